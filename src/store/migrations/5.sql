-- From version 4 to 5.

-- When an operator let automatic answers to a person go on.
ALTER TABLE contacts ADD COLUMN auto_replies_from INTEGER;

-- Ids of messages count for each sender, where the channel does not number them for all.
ALTER TABLE messages ADD COLUMN sender TEXT NOT NULL DEFAULT '';
DROP INDEX messages_provider_id;
CREATE UNIQUE INDEX messages_provider_id ON messages (channel, direction, provider_id, sender)
    WHERE provider_id IS NOT NULL;

-- Networks that somebody has logged in from are not held up by wrong guesses from all others.
ALTER TABLE failed_logins ADD COLUMN right_at INTEGER;
