-- Brings a file of version 1 to 2: authors, test cases, the admin page, lists, erasure.
ALTER TABLE flows ADD COLUMN updated_by TEXT NOT NULL DEFAULT '';
ALTER TABLE flows ADD COLUMN deleted_at INTEGER;

-- Documents were kept with the flow's id, which is the flow's row's business and never the document's.
UPDATE flows SET draft = json_remove(draft, '$.id') WHERE draft ->> '$.id' IS NOT NULL;
DROP TRIGGER flow_versions_are_immutable;
UPDATE flow_versions SET document = json_remove(document, '$.id') WHERE document ->> '$.id' IS NOT NULL;
CREATE TRIGGER flow_versions_are_immutable BEFORE UPDATE ON flow_versions
BEGIN
    SELECT RAISE(ABORT, 'a published version never changes');
END;

CREATE TABLE flow_test_cases (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    flow_seq INTEGER NOT NULL REFERENCES flows (seq),
    name TEXT NOT NULL,
    script TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (flow_seq, name)
) STRICT;

CREATE INDEX sessions_by_flow ON sessions (flow_seq, status);

CREATE INDEX messages_failed ON messages (status) WHERE status IN ('failed', 'unknown');

CREATE INDEX messages_unrouted ON messages (handled) WHERE handled = 'unrouted';

CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE logins (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    actor TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE failed_logins (
    network TEXT NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE erased (
    kind TEXT NOT NULL CHECK (kind IN ('opt_out', 'provider_id')),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    erased_at INTEGER NOT NULL,
    PRIMARY KEY (kind, hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX erased_by_age ON erased (erased_at) WHERE kind = 'provider_id';

CREATE TABLE erasures (
    contact_seq INTEGER PRIMARY KEY,
    contact_id BLOB NOT NULL UNIQUE CHECK (length(contact_id) = 16),
    sessions INTEGER NOT NULL DEFAULT 0,
    messages INTEGER NOT NULL DEFAULT 0,
    begun_at INTEGER NOT NULL
) STRICT;
