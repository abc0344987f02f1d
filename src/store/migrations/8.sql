-- From version 7 to 8.

-- Which kinds of address there are, the channels say. SQLite drops no CHECK, so the table is made anew; nothing refers
-- to its rows.
CREATE TABLE addresses_of_any_kind (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    contact_seq INTEGER NOT NULL REFERENCES contacts (seq),
    added_at INTEGER NOT NULL,
    retired_at INTEGER,
    PRIMARY KEY (kind, value)
) STRICT, WITHOUT ROWID;
INSERT INTO addresses_of_any_kind (kind, value, contact_seq, added_at, retired_at)
SELECT kind, value, contact_seq, added_at, retired_at FROM addresses ORDER BY kind, value;
DROP TABLE addresses;
ALTER TABLE addresses_of_any_kind RENAME TO addresses;
CREATE INDEX addresses_by_contact ON addresses (contact_seq);
