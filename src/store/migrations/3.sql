-- Brings a file of version 2 to 3: messages that really go out, templates, HTTP calls, webhooks.
ALTER TABLE messages ADD COLUMN origin TEXT CHECK (origin IN ('flow', 'consent', 'agent', 'api'));
ALTER TABLE messages ADD COLUMN error TEXT;
ALTER TABLE messages ADD COLUMN good_until INTEGER;

DROP INDEX messages_provider_id;
CREATE UNIQUE INDEX messages_provider_id ON messages (channel, direction, provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX messages_lane ON messages (contact_seq) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX messages_in_doubt ON messages (next_attempt_at) WHERE status = 'unknown' AND next_attempt_at IS NOT NULL;

CREATE INDEX sessions_in_handoff ON sessions (waiting_for) WHERE status = 'running' AND waiting_for = 'handoff';

UPDATE messages SET origin = 'flow' WHERE direction = 'out';

CREATE TABLE message_stages (
    message_seq INTEGER NOT NULL REFERENCES messages (seq),
    stage TEXT NOT NULL CHECK (stage IN ('sent', 'delivered', 'read', 'played', 'failed')),
    at INTEGER NOT NULL,
    PRIMARY KEY (message_seq, stage)
) STRICT, WITHOUT ROWID;

CREATE TABLE channels (
    name TEXT NOT NULL PRIMARY KEY,
    paused_at INTEGER,
    reason TEXT,
    explanation TEXT,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE pair_clocks (
    channel TEXT NOT NULL,
    contact_seq INTEGER NOT NULL REFERENCES contacts (seq),
    arrival_at INTEGER NOT NULL,
    PRIMARY KEY (channel, contact_seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX pair_clocks_by_contact ON pair_clocks (contact_seq);

CREATE TABLE templates (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    channel TEXT NOT NULL,
    name TEXT NOT NULL,
    language TEXT NOT NULL,
    provider_id TEXT,
    status TEXT NOT NULL CHECK (status IN ('approved', 'pending', 'rejected', 'paused', 'disabled', 'other')),
    template TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (channel, name, language)
) STRICT;

CREATE TABLE http_calls (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    session_seq INTEGER NOT NULL REFERENCES sessions (seq),
    turn INTEGER NOT NULL,
    call TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER NOT NULL,
    claimed_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX http_calls_outbox ON http_calls (next_attempt_at) WHERE claimed_at IS NULL;
CREATE INDEX http_calls_by_session ON http_calls (session_seq);

CREATE TABLE webhook_endpoints (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    events TEXT NOT NULL,
    secret TEXT NOT NULL,
    is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    failing_since INTEGER,
    last_error TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE webhook_deliveries (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    endpoint_seq INTEGER NOT NULL REFERENCES webhook_endpoints (seq),
    contact_seq INTEGER,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('queued', 'sent', 'failed')),
    reason TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX webhook_deliveries_outbox ON webhook_deliveries (endpoint_seq) WHERE status = 'queued';
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_seq);
CREATE INDEX webhook_deliveries_by_contact ON webhook_deliveries (contact_seq) WHERE contact_seq IS NOT NULL;
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (updated_at) WHERE status IN ('sent', 'failed');

CREATE TABLE strays (
    seq INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    why TEXT NOT NULL,
    raw TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX strays_by_age ON strays (created_at);
CREATE INDEX strays_by_hash ON strays (hash);
CREATE INDEX strays_by_channel ON strays (channel);
