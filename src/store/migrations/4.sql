CREATE INDEX contacts_by_activity ON contacts (last_message_at);
CREATE INDEX contacts_by_email ON contacts (email COLLATE NOCASE) WHERE email IS NOT NULL;

CREATE VIRTUAL TABLE search_grams USING fts5 (grams, content = '', columnsize = 0, detail = none, tokenize = 'ascii');
INSERT INTO search_grams (search_grams, rank) VALUES ('secure-delete', 1);

CREATE TABLE search_texts (
    contact_seq INTEGER PRIMARY KEY REFERENCES contacts (seq),
    text TEXT NOT NULL,
    labels TEXT NOT NULL
) STRICT;

CREATE TABLE search_queue (
    place INTEGER PRIMARY KEY,
    contact_seq INTEGER NOT NULL UNIQUE REFERENCES contacts (seq)
) STRICT;

CREATE TABLE search_progress (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    up_to INTEGER NOT NULL,
    followed_at INTEGER NOT NULL,
    followed_seq INTEGER NOT NULL
) STRICT;

INSERT INTO search_progress (only, up_to, followed_at, followed_seq)
SELECT 1, 0, coalesce(max(last_message_at), 0), coalesce(max(seq), 0) FROM contacts;

CREATE TABLE search_activity (
    block INTEGER PRIMARY KEY,
    times BLOB NOT NULL
) STRICT;

ALTER TABLE tokens ADD COLUMN rate_limit INTEGER CHECK (rate_limit >= 0);
CREATE INDEX messages_received ON messages (type) WHERE direction = 'in';
