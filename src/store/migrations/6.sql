-- From version 5 to 6.

-- People are found without accents and the other marks that are left out in a hurry: what the index has of names beyond
-- ASCII is made anew, behind everything else, as after a change.
INSERT INTO search_queue (contact_seq)
SELECT contact_seq FROM search_texts
WHERE length(text) <> length(CAST(text AS BLOB)) AND contact_seq NOT IN (SELECT contact_seq FROM search_queue);
