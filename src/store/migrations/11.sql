-- From version 10 to 11.

-- Events of an endpoint go out in lanes, one for each contact: all but the first of a lane are parked.
ALTER TABLE webhook_endpoints ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE webhook_endpoints ADD COLUMN failing_lane INTEGER;
ALTER TABLE webhook_endpoints ADD COLUMN probe_at INTEGER;

CREATE INDEX webhook_deliveries_lane ON webhook_deliveries (endpoint_seq, contact_seq)
WHERE status = 'queued' AND next_attempt_at IS NOT NULL;

UPDATE webhook_deliveries SET next_attempt_at = 253402207199999
WHERE status = 'queued' AND next_attempt_at IS NOT NULL AND EXISTS (
    SELECT 1 FROM webhook_deliveries AS h INDEXED BY webhook_deliveries_lane
    WHERE h.endpoint_seq = webhook_deliveries.endpoint_seq AND h.contact_seq IS webhook_deliveries.contact_seq
        AND h.status = 'queued' AND h.next_attempt_at IS NOT NULL AND h.seq < webhook_deliveries.seq
);

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_seq, next_attempt_at)
WHERE status = 'queued' AND next_attempt_at < 253402207199999;

-- A token that is rotated takes its old secret for a while.
ALTER TABLE tokens ADD COLUMN old_hash BLOB CHECK (length(old_hash) = 32);
ALTER TABLE tokens ADD COLUMN old_until INTEGER;
