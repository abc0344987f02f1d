-- From version 9 to 10.

-- What new sessions can start on, for metrics.
CREATE INDEX flows_published ON flows (kind) WHERE published_version IS NOT NULL AND deleted_at IS NULL;

-- Who did what to the server, for its operators. It has no names, numbers or texts of contacts.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    action TEXT NOT NULL, -- such as token.created
    -- unknown: who has not shown that they may do it, as after a wrong password. server: the server itself.
    actor_kind TEXT NOT NULL CHECK (actor_kind IN ('login', 'token', 'command_line', 'server', 'unknown')),
    actor TEXT NOT NULL, -- the name given at log-in, or the token's; else empty
    token_id BLOB CHECK (length(token_id) = 16), -- of a token
    network TEXT, -- where the request came from: an IPv4 address, or the /64 of an IPv6 one
    target TEXT, -- the id or the name of what it was done to; never of a contact that was erased
    detail TEXT -- what else there is to say, such as the keys of settings
) STRICT;

CREATE INDEX audit_by_age ON audit (at);
CREATE INDEX audit_by_action ON audit (action);
CREATE INDEX audit_by_actor ON audit (actor);
CREATE INDEX audit_by_target ON audit (target) WHERE target IS NOT NULL;
