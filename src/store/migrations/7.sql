-- From version 6 to 7.

-- The numbers of rows that are gone are not given again.
CREATE TABLE row_numbers (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    contacts INTEGER NOT NULL,
    sessions INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    http_calls INTEGER NOT NULL,
    webhook_deliveries INTEGER NOT NULL,
    strays INTEGER NOT NULL
) STRICT;

INSERT INTO row_numbers (only, contacts, sessions, messages, http_calls, webhook_deliveries, strays)
SELECT
    1,
    (SELECT coalesce(max(seq), 0) FROM contacts),
    (SELECT coalesce(max(seq), 0) FROM sessions),
    (SELECT coalesce(max(seq), 0) FROM messages),
    (SELECT coalesce(max(seq), 0) FROM http_calls),
    (SELECT coalesce(max(seq), 0) FROM webhook_deliveries),
    (SELECT coalesce(max(seq), 0) FROM strays);

CREATE TRIGGER contacts_numbers AFTER DELETE ON contacts
WHEN OLD.seq > (SELECT coalesce(max(seq), 0) FROM contacts)
BEGIN
    UPDATE row_numbers SET contacts = max(contacts, OLD.seq);
END;

CREATE TRIGGER sessions_numbers AFTER DELETE ON sessions
WHEN OLD.seq > (SELECT coalesce(max(seq), 0) FROM sessions)
BEGIN
    UPDATE row_numbers SET sessions = max(sessions, OLD.seq);
END;

CREATE TRIGGER messages_numbers AFTER DELETE ON messages
WHEN OLD.seq > (SELECT coalesce(max(seq), 0) FROM messages)
BEGIN
    UPDATE row_numbers SET messages = max(messages, OLD.seq);
END;

CREATE TRIGGER http_calls_numbers AFTER DELETE ON http_calls
WHEN OLD.seq > (SELECT coalesce(max(seq), 0) FROM http_calls)
BEGIN
    UPDATE row_numbers SET http_calls = max(http_calls, OLD.seq);
END;

CREATE TRIGGER webhook_deliveries_numbers AFTER DELETE ON webhook_deliveries
WHEN OLD.seq > (SELECT coalesce(max(seq), 0) FROM webhook_deliveries)
BEGIN
    UPDATE row_numbers SET webhook_deliveries = max(webhook_deliveries, OLD.seq);
END;

CREATE TRIGGER strays_numbers AFTER DELETE ON strays
WHEN OLD.seq > (SELECT coalesce(max(seq), 0) FROM strays)
BEGIN
    UPDATE row_numbers SET strays = max(strays, OLD.seq);
END;
