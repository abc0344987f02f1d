-- From version 4 to 5.

-- When an operator let automatic answers to a person go on.
ALTER TABLE contacts ADD COLUMN auto_replies_from INTEGER;
