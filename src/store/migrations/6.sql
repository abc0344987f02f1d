-- From version 5 to 6.

-- People are found without accents and the other marks that are left out in a hurry: what the index has of names beyond
-- ASCII is made anew, behind everything else, as after a change.
INSERT INTO search_queue (contact_seq)
SELECT contact_seq FROM search_texts
WHERE length(text) <> length(CAST(text AS BLOB)) AND contact_seq NOT IN (SELECT contact_seq FROM search_queue);

-- Who else holds the conversation with a person.
ALTER TABLE contacts ADD COLUMN held_by TEXT CHECK (held_by IN ('colleague', 'standby'));
ALTER TABLE contacts ADD COLUMN held_since INTEGER;
ALTER TABLE contacts ADD COLUMN held_until INTEGER;

-- Messages to people that somebody else wrote on the same number.
ALTER TABLE messages ADD COLUMN elsewhere TEXT CHECK (elsewhere IN ('colleague', 'standby'));

-- What a message costs, as the channel says.
ALTER TABLE messages ADD COLUMN pricing TEXT;

-- People opt out of marketing alone, and in again, in WhatsApp itself.
ALTER TABLE contacts ADD COLUMN marketing_only INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contacts ADD COLUMN marketing_choice_at INTEGER;
