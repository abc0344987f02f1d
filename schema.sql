-- The whole current schema of a Qyvo database.
--
-- A new file gets it in one transaction; an older file gets the steps in src/store/schema.rs instead, and must end up
-- with the same. Whoever changes this file raises user_version and adds the step.
--
-- Conventions. `seq` orders rows, is what other tables refer to, and leaves the server only as a list's cursor. `id` is
-- a UUID of 16 bytes, and what the API shows; it orders nothing, because UUIDs of version 7 go back when the clock
-- does. Times are milliseconds since 1970-01-01T00:00:00Z, NULL where a thing has not happened. An index over a rowid
-- table ends in the row's seq without naming it.

-- "Qyvo" in ASCII: tells our files from other people's.
PRAGMA application_id = 1366914671;
PRAGMA user_version = 12;

-- What the admin page edits. A key that the config file or the environment sets is ignored here.
CREATE TABLE settings (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL, -- JSON
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row, raised by every write of a command-line command. The server polls it to learn that its caches are old; its
-- own writes leave it alone.
CREATE TABLE generation (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    value INTEGER NOT NULL
) STRICT;

INSERT INTO generation (only, value) VALUES (1, 0);

-- Flows and sequences, with the draft that their author works on.
CREATE TABLE flows (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    kind TEXT NOT NULL CHECK (kind IN ('flow', 'sequence')),
    name TEXT NOT NULL, -- the draft's; a published version has its own in its document
    draft TEXT NOT NULL, -- JSON, as the author wrote it
    revision INTEGER NOT NULL, -- raised by every save of the draft
    published_version INTEGER, -- what new sessions start on; NULL while unpublished
    published_at INTEGER, -- when published_version was published
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL DEFAULT '', -- who saved the draft, as the admin page shows it
    deleted_at INTEGER, -- hidden since then; its sessions still need its versions
    FOREIGN KEY (seq, published_version) REFERENCES flow_versions (flow_seq, version)
) STRICT;

-- What new sessions can start on.
CREATE INDEX flows_published ON flows (kind, published_version, deleted_at)
WHERE published_version IS NOT NULL AND deleted_at IS NULL;

-- Published documents. A session stays on the version that it started on, so a version never changes.
CREATE TABLE flow_versions (
    flow_seq INTEGER NOT NULL REFERENCES flows (seq),
    version INTEGER NOT NULL CHECK (version > 0), -- counts from 1 in each flow
    document TEXT NOT NULL, -- JSON
    note TEXT,
    actor TEXT NOT NULL, -- who published it, as the admin page shows it
    published_at INTEGER NOT NULL,
    UNIQUE (flow_seq, version)
) STRICT;

CREATE TRIGGER flow_versions_are_immutable BEFORE UPDATE ON flow_versions
BEGIN
    SELECT RAISE(ABORT, 'a published version never changes');
END;

-- Conversations that a flow must pass before it is published.
CREATE TABLE flow_test_cases (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    flow_seq INTEGER NOT NULL REFERENCES flows (seq),
    name TEXT NOT NULL,
    script TEXT NOT NULL, -- JSON: how the simulation begins, its events, and what each turn must say
    actor TEXT NOT NULL, -- who saved it
    created_at INTEGER NOT NULL,
    UNIQUE (flow_seq, name)
) STRICT;

-- People.
CREATE TABLE contacts (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name TEXT,
    email TEXT,
    language TEXT, -- BCP 47
    source TEXT NOT NULL, -- what created the contact: api, csv_import, or the name of the channel that it wrote on
    metadata TEXT NOT NULL, -- a JSON object
    opted_in_at INTEGER, -- the first consent
    opted_out_at INTEGER, -- set while the person is not to be written to
    last_inbound_at INTEGER, -- opens the channel's window for free text
    last_message_at INTEGER, -- in either direction
    total_messages INTEGER NOT NULL DEFAULT 0, -- in both directions
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, -- of the profile; messages leave it alone
    auto_replies_from INTEGER, -- an operator has let automatic answers go on: those before it do not count
    -- Who else holds the conversation, or held it last: somebody in the WhatsApp Business app, another system of Meta.
    -- What the person's sessions have armed stands that much later from the first moment on.
    held_by TEXT CHECK (held_by IN ('colleague', 'standby')),
    held_since INTEGER,
    held_until INTEGER,
    marketing_only INTEGER NOT NULL DEFAULT 0, -- opted_out_at concerns marketing alone: a conversation goes on
    marketing_choice_at INTEGER -- when the person last told the channel whether marketing is wanted
) STRICT;

-- Who was written to or wrote last, and at the far end those that nobody wrote to, the newest of them first.
CREATE INDEX contacts_by_activity ON contacts (last_message_at);
CREATE INDEX contacts_by_email ON contacts (email COLLATE NOCASE) WHERE email IS NOT NULL;
-- Whose conversations another system of Meta holds, or held.
CREATE INDEX contacts_on_standby ON contacts (held_by, held_until, held_since) WHERE held_by = 'standby';

-- Where people are reached. The primary key makes an address lead to one contact.
CREATE TABLE addresses (
    kind TEXT NOT NULL, -- phone, or a kind of a channel's own, such as wa_id
    value TEXT NOT NULL, -- a phone in E.164 with its +
    contact_seq INTEGER NOT NULL REFERENCES contacts (seq),
    added_at INTEGER NOT NULL, -- the newest phone is the one that is shown and written to
    -- Set once the person left the address: it finds nobody then, and a new contact may take it over.
    retired_at INTEGER,
    PRIMARY KEY (kind, value)
) STRICT, WITHOUT ROWID;

CREATE INDEX addresses_by_contact ON addresses (contact_seq);

-- Ids of contacts that were merged into another one.
CREATE TABLE contact_redirects (
    old_id BLOB NOT NULL PRIMARY KEY CHECK (length(old_id) = 16),
    contact_seq INTEGER NOT NULL REFERENCES contacts (seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX contact_redirects_by_contact ON contact_redirects (contact_seq);

CREATE TABLE tags (
    seq INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE -- compared byte by byte, the order in which the engine keeps a contact's tags
) STRICT;

CREATE TABLE contact_tags (
    contact_seq INTEGER NOT NULL REFERENCES contacts (seq),
    tag_seq INTEGER NOT NULL REFERENCES tags (seq),
    PRIMARY KEY (contact_seq, tag_seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX contact_tags_by_tag ON contact_tags (tag_seq);

-- Finding people by parts of their names, email addresses and phone numbers: for every run of one, two and three
-- characters, and of four and six digits, the contacts that have it, by their seq. It is written behind the contacts'
-- own writes, by a worker.
-- secure-delete: what is taken out is not in the file any more, as SQLite's pragma of that name alone would not see to.
CREATE VIRTUAL TABLE search_grams USING fts5 (grams, content = '', columnsize = 0, detail = none, tokenize = 'ascii');
INSERT INTO search_grams (search_grams, rank) VALUES ('secure-delete', 1);

-- What search_grams has of each contact, since only who knows it can take it out.
CREATE TABLE search_texts (
    contact_seq INTEGER PRIMARY KEY REFERENCES contacts (seq),
    text TEXT NOT NULL, -- folded
    labels TEXT NOT NULL -- words for the tags and for whether there was ever a message
) STRICT;

-- Contacts that search_grams has as they were, and some that it does not have and that are not to wait for their turn.
CREATE TABLE search_queue (
    place INTEGER PRIMARY KEY, -- the highest is next: who was changed by themselves goes before thousands from a file
    contact_seq INTEGER NOT NULL UNIQUE REFERENCES contacts (seq)
) STRICT;

-- Contacts of a higher seq are not in search_grams yet, which costs those who write them nothing.
CREATE TABLE search_progress (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    up_to INTEGER NOT NULL,
    -- search_activity is right for those who come before this place in the order of last_message_at and seq.
    followed_at INTEGER NOT NULL,
    followed_seq INTEGER NOT NULL
) STRICT;

INSERT INTO search_progress (only, up_to, followed_at, followed_seq) VALUES (1, 0, 0, 0);

-- The last_message_at of 256 contacts each, by seq / 256: eight bytes, big-endian, 0 for NULL. By them many contacts
-- are put in order at once. They follow the messages by some thousand, since each message would have to write a block.
CREATE TABLE search_activity (
    block INTEGER PRIMARY KEY,
    times BLOB NOT NULL
) STRICT;

-- Conversations. Columns mirror the session for queries; what has no column is in state, and both together are the
-- session.
CREATE TABLE sessions (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    flow_seq INTEGER NOT NULL REFERENCES flows (seq),
    version INTEGER NOT NULL, -- of flow_versions; stays for the session's life
    contact_seq INTEGER NOT NULL REFERENCES contacts (seq),
    status TEXT NOT NULL CHECK (status IN ('running', 'completed', 'expired', 'failed', 'cancelled')),
    reason TEXT, -- why it failed or was cancelled
    outcome TEXT, -- of the end node that it reached
    current_node TEXT,
    waiting_for TEXT CHECK (waiting_for IN ('reply', 'delay', 'http', 'event', 'handoff')),
    wake_at INTEGER, -- the wait's own timer
    expires_at INTEGER, -- the time to live's
    due_at INTEGER, -- the earlier of the two while running, computed by the server since min(x, NULL) is NULL here
    turn INTEGER NOT NULL, -- events taken so far, the start included
    prompted_at INTEGER, -- when its last prompt was accepted: the latest of several sessions gets a reply
    -- A JSON object: wait, seed, draws, visits, context, input, kept_events, frames, spoken, undelivered and
    -- queued_replies.
    state TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    last_interaction_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;

-- One running session per contact and flow, under any concurrency. The contact comes first, so that the same index
-- finds all live sessions of a contact.
CREATE UNIQUE INDEX sessions_running ON sessions (contact_seq, flow_seq) WHERE status = 'running';
-- The sweeper's: what falls due next.
CREATE INDEX sessions_due ON sessions (due_at) WHERE status = 'running';
-- A contact's history with a flow, newest last: quiet periods and late replies.
CREATE INDEX sessions_history ON sessions (contact_seq, flow_seq);

-- A flow's sessions of one status, in the order of their rows.
CREATE INDEX sessions_by_flow ON sessions (flow_seq, status);

-- Sessions that a person is asked for.
CREATE INDEX sessions_in_handoff ON sessions (waiting_for) WHERE status = 'running' AND waiting_for = 'handoff';

-- The trace: one row for each event that a session took, kept for later, or did not take. The latter two count no turn
-- of their own: they have the number of the turn before.
CREATE TABLE turns (
    seq INTEGER PRIMARY KEY,
    session_seq INTEGER NOT NULL REFERENCES sessions (seq),
    turn INTEGER NOT NULL,
    at INTEGER NOT NULL,
    record TEXT NOT NULL, -- JSON: what came in, which nodes were passed, what changed
    messages TEXT NOT NULL -- a JSON array of seqs in messages, so that texts are stored once
) STRICT;

CREATE INDEX turns_by_session ON turns (session_seq);

-- Messages in and out; the queued ones are the outbox.
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY, -- the order of sending within a lane
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16), -- goes out with the message, for de-duplication on the far side
    contact_seq INTEGER NOT NULL REFERENCES contacts (seq),
    -- The session that said it, or that took it. No foreign key: dropping an old session would have to look through
    -- all messages.
    session_seq INTEGER,
    turn INTEGER, -- of that session
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    channel TEXT NOT NULL,
    provider_id TEXT, -- the channel's id of the message
    type TEXT NOT NULL,
    body TEXT NOT NULL, -- JSON
    status TEXT NOT NULL CHECK (
        (direction = 'in' AND status = 'received')
        OR (
            direction = 'out'
            AND status IN ('queued', 'sending', 'simulated', 'sent', 'delivered', 'read', 'failed', 'unknown')
        )
    ),
    -- Why it failed, or waits; of an inbound one why nothing took it, or that it is no answer.
    reason TEXT,
    handled TEXT, -- of an inbound message: what took it, such as reply, keyword or unrouted
    attempts INTEGER NOT NULL DEFAULT 0, -- of sending
    -- Set as long as the message holds back the ones behind it: when a queued one may go out, when an answer to one in
    -- sending is given up, when one in doubt (unknown) is decided on.
    next_attempt_at INTEGER,
    claimed_at INTEGER, -- when the attempt under way began
    accepted_at INTEGER, -- when the channel took it
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    -- Of a message to a contact, who says it: a flow; the server, to confirm an opt-out or an opt-in; a person, on the
    -- admin page or with a token of scope admin; the operator's own systems. Consent and agent reach also somebody who
    -- opted out, and they alone.
    origin TEXT CHECK (origin IN ('flow', 'consent', 'agent', 'api')),
    error TEXT, -- the provider's explanation of the reason
    good_until INTEGER, -- a queued message is dropped after it
    -- Whose ids provider_id counts among: the number that the message came from. '' where all of a channel's messages
    -- share their ids, as on WhatsApp, and for those that came before version 5.
    sender TEXT NOT NULL DEFAULT '',
    -- Of a message to a contact that this server did not send, who wrote it; origin is NULL then.
    elsewhere TEXT CHECK (elsewhere IN ('colleague', 'standby')),
    pricing TEXT, -- what it costs, as the channel says; JSON
    -- Of one that failed, that stays in doubt or that nothing took: when it was marked as seen, and the name of the
    -- log-in or token that did it. Another attempt, and another failure, take the mark away.
    seen_at INTEGER,
    seen_by TEXT
) STRICT;

-- A provider that delivers twice is heard once. Whoever takes our messages may number them as people's are numbered,
-- and on the generic webhook people's messages may be numbered for each of them.
CREATE UNIQUE INDEX messages_provider_id ON messages (channel, direction, provider_id, sender)
    WHERE provider_id IS NOT NULL;
-- A conversation, oldest first.
CREATE INDEX messages_by_contact ON messages (contact_seq);
-- The outbox, in the order of sending.
CREATE INDEX messages_outbox ON messages (next_attempt_at) WHERE status = 'queued';
-- What ending a session drops.
CREATE INDEX messages_queued_by_session ON messages (session_seq) WHERE status = 'queued';
-- Attempts under way, oldest first: what a restart finds unfinished.
CREATE INDEX messages_sending ON messages (claimed_at) WHERE status = 'sending';

-- Lanes: what of a contact's messages is not settled, in the order of sending.
CREATE INDEX messages_lane ON messages (contact_seq) WHERE next_attempt_at IS NOT NULL;
-- Messages in doubt, in the order in which they are decided on.
CREATE INDEX messages_in_doubt ON messages (next_attempt_at) WHERE status = 'unknown' AND next_attempt_at IS NOT NULL;

-- What went wrong with messages to people.
CREATE INDEX messages_failed ON messages (status) WHERE status IN ('failed', 'unknown');
-- What people wrote, by its type, in the order of its rows.
CREATE INDEX messages_received ON messages (type) WHERE direction = 'in';
-- What people wrote and nothing took.
CREATE INDEX messages_unrouted ON messages (handled) WHERE handled = 'unrouted';
-- Those of both that are not marked as seen, by their reason, in the order in which they went wrong. The columns of
-- the condition are in it, so that counting them reads no row.
CREATE INDEX messages_unseen ON messages (status, next_attempt_at, seen_at, reason, updated_at)
WHERE status IN ('failed', 'unknown') AND next_attempt_at IS NULL AND seen_at IS NULL;
CREATE INDEX messages_unrouted_unseen ON messages (handled, seen_at, reason, updated_at)
WHERE handled = 'unrouted' AND seen_at IS NULL;

-- Stages of a message's way that the channel has told of. Each is told to others once.
CREATE TABLE message_stages (
    message_seq INTEGER NOT NULL REFERENCES messages (seq),
    stage TEXT NOT NULL CHECK (stage IN ('sent', 'delivered', 'read', 'played', 'failed')),
    at INTEGER NOT NULL, -- as the channel says, else when it was told
    PRIMARY KEY (message_seq, stage)
) STRICT, WITHOUT ROWID;

-- What channels are doing; a channel that was never stopped has no row.
CREATE TABLE channels (
    name TEXT NOT NULL PRIMARY KEY,
    paused_at INTEGER, -- nothing goes out since then
    reason TEXT, -- why, such as the provider's code
    explanation TEXT, -- the provider's, or the operator's
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When a person may be written to again without being written to too often: the theoretical arrival time of the
-- generic cell rate algorithm. Kept here so that a restart is no reason for a burst.
CREATE TABLE pair_clocks (
    channel TEXT NOT NULL,
    contact_seq INTEGER NOT NULL REFERENCES contacts (seq),
    arrival_at INTEGER NOT NULL,
    PRIMARY KEY (channel, contact_seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX pair_clocks_by_contact ON pair_clocks (contact_seq);

-- Templates that a channel has, as they were when they were last fetched from it.
CREATE TABLE templates (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    channel TEXT NOT NULL,
    name TEXT NOT NULL,
    language TEXT NOT NULL, -- the channel's code
    provider_id TEXT, -- the channel's id of it
    status TEXT NOT NULL CHECK (status IN ('approved', 'pending', 'rejected', 'paused', 'disabled', 'other')),
    template TEXT NOT NULL, -- JSON: all of it, status included
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, -- when anything of it last changed
    UNIQUE (channel, name, language)
) STRICT;

-- HTTP calls of flows that have not been answered. An answered one is in its session's trace, and its row is gone.
CREATE TABLE http_calls (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16), -- goes out with every attempt, for de-duplication on the far side
    session_seq INTEGER NOT NULL REFERENCES sessions (seq),
    turn INTEGER NOT NULL, -- in which the session began to wait for it
    call TEXT NOT NULL, -- JSON
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER NOT NULL,
    claimed_at INTEGER, -- when the attempt under way began
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX http_calls_outbox ON http_calls (next_attempt_at) WHERE claimed_at IS NULL;
CREATE INDEX http_calls_by_session ON http_calls (session_seq);

-- Who wants to hear what happens here.
CREATE TABLE webhook_endpoints (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    events TEXT NOT NULL, -- a JSON array of names; empty for all
    secret TEXT NOT NULL, -- signs what goes there
    is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    failing_since INTEGER, -- since when it has taken nothing
    last_error TEXT, -- of the last attempt, if it failed
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0, -- attempts that failed since it took anything
    failing_lane INTEGER, -- the contact of the first of them; 0 for an event about no contact
    probe_at INTEGER -- it is taken to be down: the next attempt, one alone, is not before this
) STRICT;

-- What is to be told to them. Told ones are kept for a day.
CREATE TABLE webhook_deliveries (
    seq INTEGER PRIMARY KEY, -- the order of telling at one endpoint and of one contact: a lane
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16), -- goes out with every attempt
    endpoint_seq INTEGER NOT NULL REFERENCES webhook_endpoints (seq),
    contact_seq INTEGER, -- whom it tells of, for the day that person is erased
    event TEXT NOT NULL,
    body TEXT NOT NULL, -- JSON, as it is signed and sent
    status TEXT NOT NULL CHECK (status IN ('queued', 'sent', 'failed')),
    reason TEXT, -- of the last attempt that failed
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Of a queued one. The head of a lane has the time of its next attempt; those behind it are parked at the latest
    -- time there is. A test is in no lane and has none.
    next_attempt_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX webhook_deliveries_outbox ON webhook_deliveries (endpoint_seq) WHERE status = 'queued';
CREATE INDEX webhook_deliveries_lane ON webhook_deliveries (endpoint_seq, contact_seq)
WHERE status = 'queued' AND next_attempt_at IS NOT NULL;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_seq, next_attempt_at)
WHERE status = 'queued' AND next_attempt_at < 253402207199999;
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_seq);
CREATE INDEX webhook_deliveries_by_contact ON webhook_deliveries (contact_seq) WHERE contact_seq IS NOT NULL;
-- What an endpoint will not be told any more, in the order in which it was given up.
CREATE INDEX webhook_deliveries_given_up ON webhook_deliveries (endpoint_seq, updated_at, status, event)
WHERE status = 'failed' AND event <> 'webhook.test';
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (updated_at) WHERE status IN ('sent', 'failed');

-- Unprocessed deliveries: parts of channels' deliveries that this version cannot read or has no place for, as they
-- came. Kept for a month.
CREATE TABLE strays (
    seq INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    why TEXT NOT NULL,
    raw TEXT NOT NULL, -- JSON
    hash BLOB NOT NULL CHECK (length(hash) = 32), -- SHA-256 of channel, why and raw: what comes again is known by it
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX strays_by_age ON strays (created_at);
CREATE INDEX strays_by_hash ON strays (hash);
CREATE INDEX strays_by_channel ON strays (channel);

-- API tokens. The secret itself is nowhere.
CREATE TABLE tokens (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name TEXT NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('trigger', 'api', 'admin')),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32), -- SHA-256 of the secret, which is random and needs no salt
    hint TEXT NOT NULL, -- the secret's first characters, for lists
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    rate_limit INTEGER CHECK (rate_limit >= 0), -- requests per minute in place of the configured ones; 0 is no limit
    old_hash BLOB CHECK (length(old_hash) = 32), -- of the secret before the last rotation
    old_until INTEGER -- until when that one is taken as well
) STRICT;

-- What the server keeps to itself: the admin page's password (argon2id), the key of the hashes in `erased`.
CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who is logged in on the admin page.
CREATE TABLE logins (
    -- Never given again: a stream that outlived its log-in must not become somebody else's.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32), -- SHA-256 of the cookie's value
    actor TEXT NOT NULL, -- the name given at log-in, recorded with what is done
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- Wrong passwords, so that guessing stays slow across restarts.
CREATE TABLE failed_logins (
    -- where they came from: an IPv4 address, or the /64 of an IPv6 one; * for all that nobody has logged in from
    network TEXT NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL, -- since the last success; 0 for *
    last_at INTEGER NOT NULL, -- for *: until when its share of guesses is used up
    right_at INTEGER -- when the right password came from there last
) STRICT, WITHOUT ROWID;

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

-- Tombstones: what must be known of people who were erased, without knowing them. HMAC-SHA-256 under a key in
-- `secrets`.
CREATE TABLE erased (
    -- opt_out: an address whose person had opted out, kept for good. provider_id: a message that may be delivered
    -- again, kept for 8 days.
    kind TEXT NOT NULL CHECK (kind IN ('opt_out', 'provider_id')),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    erased_at INTEGER NOT NULL,
    PRIMARY KEY (kind, hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX erased_by_age ON erased (erased_at) WHERE kind = 'provider_id';

-- People whose erasure is under way: the contact's row is only a stub by now that the rest of its rows hangs on. A row
-- here outlives a crash, so that the erasure goes on after it.
CREATE TABLE erasures (
    contact_seq INTEGER PRIMARY KEY,
    contact_id BLOB NOT NULL UNIQUE CHECK (length(contact_id) = 16), -- what the contact was known by
    sessions INTEGER NOT NULL DEFAULT 0, -- erased so far
    messages INTEGER NOT NULL DEFAULT 0, -- erased so far
    begun_at INTEGER NOT NULL
) STRICT;

-- One row: the number up to which the list of erased contacts, a file beside the database, was taken in. Where the list
-- has higher numbers, the file is an older copy, and its start erases those contacts, too.
CREATE TABLE erased_list (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    number INTEGER NOT NULL
) STRICT;

INSERT INTO erased_list (only, number) VALUES (1, 0);

-- Answers that a retry with the same Idempotency-Key gets again.
CREATE TABLE idempotency_keys (
    token_seq INTEGER NOT NULL,
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash BLOB NOT NULL CHECK (length(body_hash) = 32), -- SHA-256 of the raw body
    outcome TEXT NOT NULL, -- JSON
    created_at INTEGER NOT NULL,
    PRIMARY KEY (token_seq, route, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Counts that pages show, so that nothing counts rows. 0 and '' stand for all.
CREATE TABLE counters (
    name TEXT NOT NULL,
    flow_seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    node TEXT NOT NULL,
    exit TEXT NOT NULL,
    hour INTEGER NOT NULL, -- hours since 1970-01-01T00:00:00Z
    value INTEGER NOT NULL,
    PRIMARY KEY (name, flow_seq, version, node, exit, hour)
) STRICT, WITHOUT ROWID;

-- One row: the highest number of a row that is gone. A new row gets a number above it and above all that are there, so
-- that none ever stands for two: cursors, exports and workers go by them from one transaction to the next.
-- AUTOINCREMENT would write such a row with every insert.
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
VALUES (1, 0, 0, 0, 0, 0, 0);

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
