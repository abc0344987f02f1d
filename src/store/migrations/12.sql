-- From version 11 to 12.

-- When a person has looked at a message that needs a look, and who that was.
ALTER TABLE messages ADD COLUMN seen_at INTEGER;
ALTER TABLE messages ADD COLUMN seen_by TEXT;

CREATE INDEX messages_unseen ON messages (status, next_attempt_at, seen_at, reason, updated_at)
WHERE status IN ('failed', 'unknown') AND next_attempt_at IS NULL AND seen_at IS NULL;
CREATE INDEX messages_unrouted_unseen ON messages (handled, seen_at, reason, updated_at)
WHERE handled = 'unrouted' AND seen_at IS NULL;

-- What else is wrong, for those who ask every few seconds.
CREATE INDEX contacts_on_standby ON contacts (held_by, held_until, held_since) WHERE held_by = 'standby';
CREATE INDEX webhook_deliveries_given_up ON webhook_deliveries (endpoint_seq, updated_at, status, event)
WHERE status = 'failed' AND event <> 'webhook.test';

-- It has all that is asked of it: a flow's row has its draft in it.
DROP INDEX flows_published;
CREATE INDEX flows_published ON flows (kind, published_version, deleted_at)
WHERE published_version IS NOT NULL AND deleted_at IS NULL;
