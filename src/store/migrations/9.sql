-- From version 8 to 9.

-- One row: the number up to which the list of erased contacts beside the database was taken in.
CREATE TABLE erased_list (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    number INTEGER NOT NULL
) STRICT;

INSERT INTO erased_list (only, number) VALUES (1, 0);
