//! The outbox: messages to people that are not settled.
//!
//! They stand in lanes, one for each channel and contact, and go out in the order of their rows. A message holds its
//! lane for as long as it has a `next_attempt_at`, and only the head of a lane may go out. All others are *parked*: their
//! `next_attempt_at` is the end of time, so that whoever looks for what is due does not come upon them again and again.
//! [`super::messages::insert_outgoing`] parks; whoever settles or drops a message calls [`release`].
//!
//! One that waits for the hours of its flow ([`WAITS_FOR_HOURS`]), or for somebody else to let go of the conversation
//! ([`hold_for_other`]), *steps aside*, and with it all that its session says later: others go out past them, so that
//! what somebody asks for at night does not wait until the morning for what nobody has asked for. The session's own
//! messages keep their order, and whatever is under way or in doubt holds its lane for all.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params};

use super::messages::{MessageStatus, Origin};
use super::{Conn, Tx, contacts};
use crate::domain::{ContactId, FlowId, Held, MessageId, Phone, SessionId, Status, Timestamp};
use crate::error::Result;

/// When a message may go out that waits for the one before it: not before that one is settled.
pub fn parked() -> Timestamp {
    Timestamp::from_millis(i64::MAX)
}

/// A message to a contact, with what deciding on it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Row.
    pub seq: i64,
    /// Public id.
    pub id: MessageId,
    /// Row of its contact.
    pub contact_seq: i64,
    /// Row of the session that says it.
    pub session_seq: Option<i64>,
    /// The turn of that session.
    pub turn: Option<u32>,
    /// The channel's name.
    pub channel: String,
    /// The channel's id of it.
    pub provider_id: Option<String>,
    /// JSON.
    pub body: String,
    /// How far it got.
    pub status: MessageStatus,
    /// Attempts so far that count.
    pub attempts: u32,
    /// Set while it holds its lane.
    pub next_attempt_at: Option<Timestamp>,
    /// When the attempt under way began.
    pub claimed_at: Option<Timestamp>,
    /// Who says it.
    pub origin: Origin,
    /// When it is dropped if it has not gone out by then.
    pub good_until: Option<Timestamp>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When the channel first took it.
    pub accepted_at: Option<Timestamp>,
}

/// What the outbox wants to know of a message's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionBrief {
    /// Its id.
    pub id: SessionId,
    /// Its flow.
    pub flow_id: FlowId,
    /// Row of that flow.
    pub flow_seq: i64,
    /// The version that it is on.
    pub version: u32,
    /// Whether it runs.
    pub status: Status,
    /// The last turn that it took.
    pub turn: u32,
    /// It waits for a reply, and not for ever, or for a delay to be over: its timer may move with what it says.
    pub has_span: bool,
}

/// What the outbox wants to know of a message's contact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addressee {
    /// Public id.
    pub id: Option<ContactId>,
    /// BCP 47.
    pub language: Option<String>,
    /// Since when the person is not to be written to.
    pub opted_out_at: Option<Timestamp>,
    /// That this concerns marketing alone.
    pub marketing_only: bool,
    /// When the person last wrote.
    pub last_inbound_at: Option<Timestamp>,
    /// Nothing of the person is to be left.
    pub is_being_erased: bool,
    /// Who else holds the conversation, or held it last.
    pub held: Option<Held>,
    /// The newest phone number.
    pub phone: Option<Phone>,
    /// The newest number as WhatsApp knows it.
    pub wa_id: Option<String>,
    /// The newest business-scoped id.
    pub bsuid: Option<String>,
}

/// When the outbox has something to do next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NextDue {
    /// When a message may go out.
    pub queued: Option<Timestamp>,
    /// When a message in doubt is decided on.
    pub doubt: Option<Timestamp>,
    /// Since when the oldest attempt under way has been so.
    pub sending_since: Option<Timestamp>,
}

/// The columns that [`read`] takes.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT seq, id, contact_seq, session_seq, turn, channel, provider_id, body, status, attempts,
                next_attempt_at, claimed_at, coalesce(origin, elsewhere), good_until, created_at, accepted_at
             FROM messages ",
            $rest
        )
    };
}

/// Whether a message `o` has stepped aside: it waits for its hours or until somebody else has let go of the
/// conversation, or for an earlier one of its session that does. Only what a flow says does so, which an agent's and
/// the server's own messages are not.
macro_rules! is_aside {
    () => {
        "EXISTS (SELECT 1 FROM messages AS h INDEXED BY messages_lane
                 WHERE h.contact_seq = o.contact_seq AND h.next_attempt_at IS NOT NULL AND h.channel = o.channel
                     AND h.seq <= o.seq AND (h.seq = o.seq OR h.session_seq = o.session_seq) AND h.status = 'queued'
                     AND h.reason IN ('send_window', 'colleague', 'standby'))"
    };
}

/// Whether another message of its lane goes before a queued message `m`.
macro_rules! is_held_back {
    () => {
        concat!(
            "EXISTS (SELECT 1 FROM messages AS o INDEXED BY messages_lane
                     WHERE o.contact_seq = m.contact_seq AND o.next_attempt_at IS NOT NULL AND o.channel = m.channel
                         AND o.seq <> m.seq AND (o.status <> 'queued' OR o.seq < m.seq
                             AND (o.session_seq = m.session_seq OR NOT ",
            is_aside!(),
            ")))"
        )
    };
}

/// Whether a message of session `?3` that is queued last in the lane of contact `?2` and channel `?5` has to wait.
pub(super) const WAITS_AT_THE_END: &str = concat!(
    "EXISTS (SELECT 1 FROM messages AS o INDEXED BY messages_lane
             WHERE o.contact_seq = ?2 AND o.next_attempt_at IS NOT NULL AND o.channel = ?5
                 AND (o.status <> 'queued' OR o.session_seq = ?3 OR NOT ",
    is_aside!(),
    "))"
);
const DUE: &str = "SELECT seq FROM messages
    WHERE status = 'queued' AND next_attempt_at <= ?2 AND channel = ?1 ORDER BY next_attempt_at, seq LIMIT ?3";
const HOLDS_BACK: &str = concat!("SELECT ", is_held_back!(), " FROM messages AS m WHERE m.seq = ?1");
const RELEASE: &str = concat!(
    "UPDATE messages SET next_attempt_at = ?3
     WHERE seq = (SELECT m.seq FROM messages AS m INDEXED BY messages_lane
                  WHERE m.contact_seq = ?2 AND m.next_attempt_at IS NOT NULL AND m.channel = ?1
                      AND m.status = 'queued' AND m.next_attempt_at = ?4 AND NOT ",
    is_held_back!(),
    " ORDER BY m.seq LIMIT 1)"
);
const STOP_WAITING: &str = "UPDATE messages SET next_attempt_at = ?3, reason = NULL
    WHERE contact_seq = ?2 AND next_attempt_at IS NOT NULL AND channel = ?1 AND status = 'queued' AND reason IN (?4, ?5)
        AND next_attempt_at > ?3";
const MOVE_GOOD_UNTIL: &str = "UPDATE messages INDEXED BY messages_lane SET good_until = good_until + ?2
    WHERE contact_seq = ?1 AND next_attempt_at IS NOT NULL AND status = 'queued' AND origin = 'flow'";
const STOP_HOLDING: &str = "UPDATE messages INDEXED BY messages_lane SET next_attempt_at = ?2
    WHERE contact_seq = ?1 AND next_attempt_at IS NOT NULL AND status = 'queued'
        AND reason IN ('colleague', 'standby') AND next_attempt_at > ?2";
const HELD_UP: &str = "SELECT COUNT(*), MIN(created_at) FROM messages INDEXED BY messages_outbox
    WHERE status = 'queued' AND next_attempt_at < ?3 AND channel = ?1 AND reason IS NULL AND created_at <= ?2";
const TEMPLATES_CAME: &str = "UPDATE messages SET next_attempt_at = ?2, reason = NULL
    WHERE seq IN (SELECT seq FROM messages INDEXED BY messages_outbox
                  WHERE status = 'queued' AND next_attempt_at > ?2 AND channel = ?1 AND reason = ?3 LIMIT ?4)";
const UNSETTLED_OF_TURN: &str = "SELECT EXISTS (SELECT 1 FROM messages
    WHERE contact_seq = ?2 AND next_attempt_at IS NOT NULL AND session_seq = ?3 AND turn = ?4 AND channel = ?1)";
const TOO_OLD_ELSEWHERE: &str = select!(
    "INDEXED BY messages_outbox
     WHERE status = 'queued' AND next_attempt_at > 0 AND channel <> ?1 AND good_until < ?2 LIMIT ?3"
);
const IN_DOUBT: &str = select!(
    "WHERE status = 'unknown' AND next_attempt_at IS NOT NULL AND next_attempt_at <= ?1
     ORDER BY next_attempt_at LIMIT ?2"
);
const BEHIND: &str = "SELECT seq, id, contact_seq, session_seq, turn, channel, provider_id, body, status, attempts,
        next_attempt_at, claimed_at, coalesce(origin, elsewhere), good_until, created_at, accepted_at, reason
    FROM messages WHERE seq > ?1 AND seq <= ?1 + ?2 AND contact_seq = ?3 AND direction = 'out' AND status = ?4
    ORDER BY seq";
const ABANDONED: &str = select!("WHERE status = 'sending' AND claimed_at <= ?1 ORDER BY claimed_at LIMIT ?2");

const PARKED_HEADS: &str = concat!(
    "SELECT m.seq FROM messages AS m INDEXED BY messages_outbox
     WHERE m.status = 'queued' AND m.next_attempt_at = ?2 AND m.channel = ?1 AND NOT ",
    is_held_back!(),
    " LIMIT ?3"
);

/// Rows of a channel's messages that may go out now unless another message of their lane holds them back, those first
/// that have been due longest.
///
/// # Errors
/// When the database cannot be read.
pub fn due(conn: &Conn, channel: &str, now: Timestamp, limit: u32) -> Result<Vec<i64>> {
    let mut statement = conn.prepare_cached(DUE)?;
    let rows = statement.query_map((channel, now, limit), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// When a channel's outbox has something to do next.
///
/// # Errors
/// When the database cannot be read.
pub fn next_due(conn: &Conn, channel: &str) -> Result<NextDue> {
    let first = |sql: &str, params: &[&dyn rusqlite::ToSql]| -> Result<Option<Timestamp>> {
        Ok(conn.prepare_cached(sql)?.query_row(params, |row| row.get(0)).optional()?)
    };
    let queued = first(
        "SELECT next_attempt_at FROM messages WHERE status = 'queued' AND next_attempt_at IS NOT NULL AND channel = ?1
         ORDER BY next_attempt_at LIMIT 1",
        &[&channel],
    )?;
    let doubt = first(
        "SELECT next_attempt_at FROM messages WHERE status = 'unknown' AND next_attempt_at IS NOT NULL
         ORDER BY next_attempt_at LIMIT 1",
        &[],
    )?;
    let sending_since = first(
        "SELECT claimed_at FROM messages WHERE status = 'sending' AND claimed_at IS NOT NULL ORDER BY claimed_at LIMIT 1",
        &[],
    )?;
    Ok(NextDue { queued: queued.filter(|at| *at < parked()), doubt, sending_since })
}

/// The message of a row, if it is one to a contact.
///
/// # Errors
/// When the database cannot be read.
pub fn find(conn: &Conn, seq: i64) -> Result<Option<OutboxRow>> {
    let mut statement = conn.prepare_cached(select!("WHERE seq = ?1 AND direction = 'out'"))?;
    Ok(statement.query_row([seq], read).optional()?)
}

/// The message to a contact of an id.
///
/// # Errors
/// When the database cannot be read.
pub fn find_by_id(conn: &Conn, id: MessageId) -> Result<Option<OutboxRow>> {
    let mut statement = conn.prepare_cached(select!("WHERE id = ?1 AND direction = 'out'"))?;
    Ok(statement.query_row([id], read).optional()?)
}

/// The message to a contact that a channel knows by `provider_id`.
///
/// # Errors
/// When the database cannot be read.
pub fn find_by_provider_id(conn: &Conn, channel: &str, provider_id: &str) -> Result<Option<OutboxRow>> {
    let mut statement =
        conn.prepare_cached(select!("WHERE channel = ?1 AND provider_id = ?2 AND direction = 'out'"))?;
    Ok(statement.query_row((channel, provider_id), read).optional()?)
}

/// Whether another message of its lane goes before a queued one: one under way or in doubt, or an earlier one, unless
/// that is another session's and has stepped aside.
///
/// # Errors
/// When the database cannot be read.
pub fn is_held_back(conn: &Conn, row: &OutboxRow) -> Result<bool> {
    let mut statement = conn.prepare_cached(HOLDS_BACK)?;
    Ok(statement.query_row([row.seq], |row| row.get(0))?)
}

/// Whether any message that a session said in a turn on this channel is not settled. What waits for another channel, which
/// may never be back, counts for nothing.
///
/// # Errors
/// When the database cannot be read.
pub fn is_turn_unsettled(
    conn: &Conn,
    channel: &str,
    contact_seq: i64,
    (session_seq, turn): (i64, u32),
) -> Result<bool> {
    let mut statement = conn.prepare_cached(UNSETTLED_OF_TURN)?;
    Ok(statement.query_row((channel, contact_seq, session_seq, turn), |row| row.get(0))?)
}

/// Messages that are queued for another channel than this one, and were good until before `now`.
///
/// # Errors
/// When the database cannot be read.
pub fn too_old_elsewhere(conn: &Conn, channel: &str, now: Timestamp, limit: u32) -> Result<Vec<OutboxRow>> {
    let mut statement = conn.prepare_cached(TOO_OLD_ELSEWHERE)?;
    let rows = statement.query_map((channel, now, limit), read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Which of the messages behind another one are looked for.
#[derive(Debug, Clone, Copy)]
pub enum PartsIn<'a> {
    /// Those that wait to go out.
    Queue,
    /// Those that failed for one of these reasons.
    Dropped(&'a [&'a str]),
}

/// Messages to the contact of a message, in the `count` rows behind it, in their order.
///
/// # Errors
/// When the database cannot be read.
pub fn behind(conn: &Conn, row: &OutboxRow, count: u32, which: PartsIn<'_>) -> Result<Vec<OutboxRow>> {
    let mut statement = conn.prepare_cached(BEHIND)?;
    let (status, reasons) = match which {
        PartsIn::Queue => (MessageStatus::Queued, None),
        PartsIn::Dropped(reasons) => (MessageStatus::Failed, Some(reasons)),
    };
    let found = statement.query_map((row.seq, i64::from(count), row.contact_seq, status), |row| {
        Ok((read(row)?, row.get::<_, Option<String>>("reason")?))
    })?;
    let mut rows = Vec::new();
    for found in found {
        let (row, reason) = found?;
        if reasons.is_none_or(|reasons| reason.is_some_and(|reason| reasons.contains(&reason.as_str()))) {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Parks a queued message until the one before it is settled. Its turn has come: it stands aside no longer.
///
/// # Errors
/// When the database refuses.
pub fn park(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("UPDATE messages SET next_attempt_at = ?2, reason = NULL WHERE seq = ?1 AND status = 'queued'")?
        .execute((seq, parked()))?;
    Ok(())
}

/// Lets the first message of a lane go out that is parked though nothing holds it back any more, because the one before it
/// is gone or has stepped aside. Answers whether there was one.
///
/// # Errors
/// When the database refuses.
pub fn release(tx: &Tx<'_>, channel: &str, contact_seq: i64, now: Timestamp) -> Result<bool> {
    let released = tx.prepare_cached(RELEASE)?.execute((channel, contact_seq, now, parked()))?;
    Ok(released > 0)
}

/// Marks a message as being sent: an attempt more, given up at `lease`. `body` replaces its JSON.
///
/// # Errors
/// When the database refuses.
pub fn claim(tx: &Tx<'_>, seq: i64, body: Option<&str>, lease: Timestamp, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET status = 'sending', attempts = attempts + 1, claimed_at = ?3, next_attempt_at = ?2,
             updated_at = ?3, body = coalesce(?4, body), reason = NULL
         WHERE seq = ?1 AND status = 'queued'",
    )?
    .execute((seq, lease, now, body))?;
    Ok(())
}

/// Holds the head of a lane, and with it the lane, back until `until`.
///
/// # Errors
/// When the database refuses.
pub fn hold(tx: &Tx<'_>, seq: i64, until: Timestamp) -> Result<()> {
    tx.prepare_cached("UPDATE messages SET next_attempt_at = ?2, reason = NULL WHERE seq = ?1 AND status = 'queued'")?
        .execute((seq, until))?;
    Ok(())
}

/// What a queued message's `reason` says that waits for the hours in which its flow may speak first.
pub const WAITS_FOR_HOURS: &str = "send_window";

/// Has a message step aside until the hours begin in which its flow may speak first. It is good until `good_until`. What
/// goes out past it is released by [`release`].
///
/// # Errors
/// When the database refuses.
pub fn hold_for_hours(tx: &Tx<'_>, seq: i64, until: Timestamp, good_until: Option<Timestamp>) -> Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET next_attempt_at = ?2, good_until = ?3, reason = ?4 WHERE seq = ?1 AND status = 'queued'",
    )?
    .execute((seq, until, good_until, WAITS_FOR_HOURS))?;
    Ok(())
}

/// Has a message step aside until somebody else has let go of the conversation. What goes out past it is released by
/// [`release`].
///
/// # Errors
/// When the database refuses.
pub fn hold_for_other(tx: &Tx<'_>, seq: i64, held: &Held) -> Result<()> {
    tx.prepare_cached("UPDATE messages SET next_attempt_at = ?2, reason = ?3 WHERE seq = ?1 AND status = 'queued'")?
        .execute((seq, held.until, held.by))?;
    Ok(())
}

/// Gives what flows have queued for a contact so many milliseconds more to go out in, or less: it does not grow old
/// while somebody else holds the conversation.
///
/// # Errors
/// When the database refuses.
pub fn move_good_until(tx: &Tx<'_>, contact_seq: i64, millis: i64) -> Result<()> {
    tx.prepare_cached(MOVE_GOOD_UNTIL)?.execute((contact_seq, millis))?;
    Ok(())
}

/// Has a contact's messages decided on again that have stepped aside for somebody else, because that may be over.
///
/// # Errors
/// When the database refuses.
pub fn stop_holding(tx: &Tx<'_>, contact_seq: i64, now: Timestamp) -> Result<()> {
    tx.prepare_cached(STOP_HOLDING)?.execute((contact_seq, now))?;
    Ok(())
}

/// How many people have messages of a channel that were queued before a time and have nothing to wait for but the channel,
/// and since when the first of them waits. It is the heads of their lanes that are counted.
///
/// # Errors
/// When the database cannot be read.
pub fn held_up(conn: &Conn, channel: &str, before: Timestamp) -> Result<Option<(u32, Timestamp)>> {
    let mut statement = conn.prepare_cached(HELD_UP)?;
    let (count, since): (u32, Option<Timestamp>) =
        statement.query_row((channel, before, parked()), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(since.map(|since| (count, since)))
}

/// What a queued message's `reason` says that waits in its place until the channel's templates have been fetched.
pub const WAITS_FOR_TEMPLATES: &str = "waits_for_templates";

/// Has the head of a lane, and with it the lane, wait for the channel's templates: until [`templates_came`], or
/// `until`.
///
/// # Errors
/// When the database refuses.
pub fn wait_for_templates(tx: &Tx<'_>, seq: i64, until: Timestamp) -> Result<()> {
    tx.prepare_cached("UPDATE messages SET next_attempt_at = ?2, reason = ?3 WHERE seq = ?1 AND status = 'queued'")?
        .execute((seq, until, WAITS_FOR_TEMPLATES))?;
    Ok(())
}

/// Has at most `limit` messages of a channel decided on again that wait for its templates, and answers how many.
///
/// # Errors
/// When the database refuses.
pub fn templates_came(tx: &Tx<'_>, channel: &str, limit: u32, now: Timestamp) -> Result<usize> {
    let mut statement = tx.prepare_cached(TEMPLATES_CAME)?;
    Ok(statement.execute((channel, now, WAITS_FOR_TEMPLATES, limit))?)
}

/// Has a contact's message decided on again that waits for its hours or for the channel's templates, because the person
/// has written. Answers whether there is one.
///
/// # Errors
/// When the database refuses.
pub fn stop_waiting(tx: &Tx<'_>, channel: &str, contact_seq: i64, now: Timestamp) -> Result<bool> {
    let freed =
        tx.prepare_cached(STOP_WAITING)?.execute((channel, contact_seq, now, WAITS_FOR_HOURS, WAITS_FOR_TEMPLATES))?;
    Ok(freed > 0)
}

/// Puts a message back into its lane, to go out at `at`. `attempts` are those that count from now on, `error` says why
/// it has not gone out.
///
/// # Errors
/// When the database refuses.
pub fn requeue(tx: &Tx<'_>, seq: i64, at: Timestamp, attempts: u32, error: Option<&str>, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET status = 'queued', next_attempt_at = ?2, attempts = ?3, error = ?4, reason = NULL,
             claimed_at = NULL, updated_at = ?5
         WHERE seq = ?1",
    )?
    .execute(params![seq, at, attempts, error, now])?;
    Ok(())
}

/// Replaces a message's JSON.
///
/// # Errors
/// When the database refuses.
pub fn set_body(tx: &Tx<'_>, seq: i64, body: &str) -> Result<()> {
    tx.prepare_cached("UPDATE messages SET body = ?2 WHERE seq = ?1")?.execute((seq, body))?;
    Ok(())
}

/// Notes of a message that counts as taken when that came to be so.
///
/// # Errors
/// When the database refuses.
pub fn set_accepted(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("UPDATE messages SET accepted_at = updated_at WHERE seq = ?1 AND accepted_at IS NULL")?
        .execute([seq])?;
    Ok(())
}

/// Gives a message new time to go out in.
///
/// # Errors
/// When the database refuses.
pub fn set_good_until(tx: &Tx<'_>, seq: i64, good_until: Timestamp) -> Result<()> {
    tx.prepare_cached("UPDATE messages SET good_until = ?2 WHERE seq = ?1")?.execute((seq, good_until))?;
    Ok(())
}

/// Marks a message of which nobody can tell whether the channel took it. It holds its lane until `until`.
///
/// # Errors
/// When the database refuses.
pub fn doubt(tx: &Tx<'_>, seq: i64, error: &str, until: Timestamp, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET status = 'unknown', next_attempt_at = ?2, error = ?3, updated_at = ?4 WHERE seq = ?1",
    )?
    .execute(params![seq, until, error, now])?;
    Ok(())
}

/// Settles a message that the channel took, or counts as taken. Its lane is released by [`release`]. A time of acceptance
/// that is known already stays.
///
/// # Errors
/// When the database refuses.
pub fn settle(
    tx: &Tx<'_>,
    seq: i64,
    status: MessageStatus,
    accepted_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET status = ?2, accepted_at = coalesce(accepted_at, ?3), next_attempt_at = NULL,
             reason = NULL, error = CASE WHEN ?2 = 'unknown' THEN error END, updated_at = ?4
         WHERE seq = ?1",
    )?
    .execute(params![seq, status, accepted_at, now])?;
    Ok(())
}

/// Fails a message for good.
///
/// # Errors
/// When the database refuses.
pub fn fail(tx: &Tx<'_>, seq: i64, reason: &str, error: Option<&str>, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET status = 'failed', reason = ?2, error = ?3, next_attempt_at = NULL, updated_at = ?4
         WHERE seq = ?1",
    )?
    .execute(params![seq, reason, error, now])?;
    Ok(())
}

/// The messages of rows that were dropped, whose lanes go on.
pub(super) fn dropped(tx: &Tx<'_>, seqs: &[i64], now: Timestamp) -> Result<Vec<OutboxRow>> {
    let mut dropped = Vec::with_capacity(seqs.len());
    for seq in seqs {
        dropped.extend(find(tx, *seq)?);
    }
    let mut lanes: Vec<(&str, i64)> = dropped.iter().map(|row| (row.channel.as_str(), row.contact_seq)).collect();
    lanes.sort_unstable();
    lanes.dedup();
    for (channel, contact_seq) in lanes {
        release(tx, channel, contact_seq, now)?;
    }
    Ok(dropped)
}

/// Keeps the channel's id of a message: the first one, or while the message is not settled that of the latest attempt.
/// `false` if the channel gave that id to another message.
///
/// # Errors
/// When the database refuses.
pub fn learn_provider_id(tx: &Tx<'_>, row: &OutboxRow, provider_id: &str) -> Result<bool> {
    let is_final = row.provider_id.is_some() && row.next_attempt_at.is_none();
    if is_final || row.provider_id.as_deref() == Some(provider_id) {
        return Ok(true);
    }
    let is_taken: bool = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM messages WHERE channel = ?1 AND direction = 'out' AND provider_id = ?2)",
        )?
        .query_row((&row.channel, provider_id), |row| row.get(0))?;
    if !is_taken {
        tx.prepare_cached("UPDATE messages SET provider_id = ?2 WHERE seq = ?1")?.execute((row.seq, provider_id))?;
    }
    Ok(!is_taken)
}

/// Notes that a message reached a stage (`sent`, `delivered`, `read`, `played`, `failed`). `false` if that was known.
///
/// # Errors
/// When the database refuses.
pub fn add_stage(tx: &Tx<'_>, seq: i64, stage: &str, at: Timestamp) -> Result<bool> {
    let added = tx
        .prepare_cached(
            "INSERT INTO message_stages (message_seq, stage, at) VALUES (?1, ?2, ?3)
             ON CONFLICT (message_seq, stage) DO NOTHING",
        )?
        .execute((seq, stage, at))?;
    Ok(added > 0)
}

/// Forgets that a message failed: it is tried again.
///
/// # Errors
/// When the database refuses.
pub fn forget_failure(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM message_stages WHERE message_seq = ?1 AND stage = 'failed'")?.execute([seq])?;
    Ok(())
}

/// Messages in doubt of which it is time to decide what they count as.
///
/// # Errors
/// When the database cannot be read.
pub fn in_doubt(conn: &Conn, now: Timestamp, limit: u32) -> Result<Vec<OutboxRow>> {
    let mut statement = conn.prepare_cached(IN_DOUBT)?;
    let rows = statement.query_map((now, limit), read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Messages whose attempt began at `until` or before and has not ended.
///
/// # Errors
/// When the database cannot be read.
pub fn abandoned(conn: &Conn, until: Timestamp, limit: u32) -> Result<Vec<OutboxRow>> {
    let mut statement = conn.prepare_cached(ABANDONED)?;
    let rows = statement.query_map((until, limit), read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Brings the outbox into order before a server begins to send on `channel`: of attempts that were under way nobody can
/// tell what became of them, heads of lanes may go out, and what is queued for another channel waits until that one is
/// back. Answers how many attempts there were.
///
/// # Errors
/// When the database refuses.
pub fn recover(tx: &Tx<'_>, channel: &str, error: &str, until: Timestamp, now: Timestamp) -> Result<usize> {
    let doubtful = tx.execute(
        "UPDATE messages SET status = 'unknown', next_attempt_at = ?1, error = ?2, updated_at = ?3
         WHERE status = 'sending'",
        params![until, error, now],
    )?;
    tx.execute(
        "UPDATE messages SET next_attempt_at = ?2, reason = NULL
         WHERE status = 'queued' AND next_attempt_at IS NOT NULL AND next_attempt_at < ?2 AND channel <> ?1",
        (channel, parked()),
    )?;
    release_all(tx, channel, now)?;
    Ok(doubtful)
}

/// Lets the head of every lane go out that is parked though nothing is before it: whoever dropped what was there
/// did not release it. Answers how many there were.
///
/// # Errors
/// When the database refuses.
pub fn release_all(tx: &Tx<'_>, channel: &str, now: Timestamp) -> Result<usize> {
    let heads = parked_heads(tx, channel, u32::MAX)?;
    let mut statement =
        tx.prepare_cached("UPDATE messages SET next_attempt_at = ?2 WHERE seq = ?1 AND status = 'queued'")?;
    for seq in &heads {
        statement.execute((seq, now))?;
    }
    Ok(heads.len())
}

/// Rows of messages that are parked though nothing is before them.
///
/// # Errors
/// When the database cannot be read.
pub fn parked_heads(conn: &Conn, channel: &str, limit: u32) -> Result<Vec<i64>> {
    let mut statement = conn.prepare_cached(PARKED_HEADS)?;
    let rows = statement.query_map((channel, parked(), limit), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What the outbox wants to know of a session; `None` once it is gone.
///
/// # Errors
/// When the database cannot be read.
pub fn session(conn: &Conn, session_seq: i64) -> Result<Option<SessionBrief>> {
    let mut statement = conn.prepare_cached(
        "SELECT s.id, f.id, s.flow_seq, s.version, s.status, s.turn,
             (s.waiting_for IS 'reply' OR s.waiting_for IS 'delay') AND s.wake_at IS NOT NULL
         FROM sessions AS s JOIN flows AS f ON f.seq = s.flow_seq WHERE s.seq = ?1",
    )?;
    let found = statement.query_row([session_seq], |row| {
        Ok(SessionBrief {
            id: row.get(0)?,
            flow_id: row.get(1)?,
            flow_seq: row.get(2)?,
            version: row.get(3)?,
            status: row.get(4)?,
            turn: row.get(5)?,
            has_span: row.get(6)?,
        })
    });
    Ok(found.optional()?)
}

/// What the outbox wants to know of a contact.
///
/// # Errors
/// When the database cannot be read.
pub fn addressee(conn: &Conn, contact_seq: i64) -> Result<Option<Addressee>> {
    let mut statement = conn.prepare_cached(
        "SELECT c.id, c.language, c.opted_out_at, c.last_inbound_at,
             EXISTS (SELECT 1 FROM erasures AS e WHERE e.contact_seq = c.seq), c.held_by, c.held_since, c.held_until,
             c.marketing_only
         FROM contacts AS c WHERE c.seq = ?1",
    )?;
    let found = statement.query_row([contact_seq], |row| {
        Ok(Addressee {
            id: Some(row.get(0)?),
            language: row.get(1)?,
            opted_out_at: row.get(2)?,
            last_inbound_at: row.get(3)?,
            is_being_erased: row.get(4)?,
            held: contacts::read_held(row, 5)?,
            marketing_only: row.get(8)?,
            ..Addressee::default()
        })
    });
    let Some(mut addressee) = found.optional()? else { return Ok(None) };
    // The newest comes last, and stays.
    let mut statement = conn.prepare_cached(
        "SELECT kind, value FROM addresses WHERE contact_seq = ?1 AND retired_at IS NULL ORDER BY added_at, value DESC",
    )?;
    let mut rows = statement.query([contact_seq])?;
    while let Some(row) = rows.next()? {
        let value: Value = row.get(1)?;
        let Value::Text(value) = value else { continue };
        match row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)? {
            "phone" => addressee.phone = Phone::from_e164(&value).ok(),
            "wa_id" => addressee.wa_id = Some(value),
            "bsuid" => addressee.bsuid = Some(value),
            _ => {}
        }
    }
    Ok(Some(addressee))
}

fn read(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    Ok(OutboxRow {
        seq: row.get(0)?,
        id: row.get(1)?,
        contact_seq: row.get(2)?,
        session_seq: row.get(3)?,
        turn: row.get(4)?,
        channel: row.get(5)?,
        provider_id: row.get(6)?,
        body: row.get(7)?,
        status: row.get(8)?,
        attempts: row.get(9)?,
        next_attempt_at: row.get(10)?,
        claimed_at: row.get(11)?,
        // Rows of releases that did not know the column were a flow's.
        origin: row.get::<_, Option<Origin>>(12)?.unwrap_or(Origin::Flow),
        good_until: row.get(13)?,
        created_at: row.get(14)?,
        accepted_at: row.get(15)?,
    })
}

/// Drops what flows and systems have queued for a contact, and answers it. What an agent answers, and what confirms a wish
/// of the person, goes out all the same.
///
/// # Errors
/// When the database refuses.
pub fn fail_queued_of_contact(tx: &Tx<'_>, contact_seq: i64, reason: &str, now: Timestamp) -> Result<Vec<OutboxRow>> {
    let mut statement = tx.prepare_cached(
        "UPDATE messages INDEXED BY messages_lane
         SET status = 'failed', reason = ?2, next_attempt_at = NULL, updated_at = ?3
         WHERE contact_seq = ?1 AND next_attempt_at IS NOT NULL AND status = 'queued' AND origin IN ('flow', 'api')
         RETURNING seq",
    )?;
    let rows = statement.query_map(params![contact_seq, reason, now], |row| row.get(0))?;
    dropped(tx, &rows.collect::<rusqlite::Result<Vec<i64>>>()?, now)
}

/// Drops the confirmations of wishes that are queued for a contact, because another wish came after them, and answers them.
///
/// # Errors
/// When the database refuses.
pub fn fail_queued_confirmations(
    tx: &Tx<'_>,
    contact_seq: i64,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<OutboxRow>> {
    let mut statement = tx.prepare_cached(
        "UPDATE messages INDEXED BY messages_lane
         SET status = 'failed', reason = ?2, next_attempt_at = NULL, updated_at = ?3
         WHERE contact_seq = ?1 AND next_attempt_at IS NOT NULL AND status = 'queued' AND origin = 'consent'
         RETURNING seq",
    )?;
    let rows = statement.query_map(params![contact_seq, reason, now], |row| row.get(0))?;
    dropped(tx, &rows.collect::<rusqlite::Result<Vec<i64>>>()?, now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::super::messages::{self, NewOutgoing};
    use super::super::testing::{self, now};
    use super::*;

    fn queue(tx: &Tx<'_>, n: u128, contact_seq: i64, channel: &str, session: Option<(i64, u32)>) -> i64 {
        let message = NewOutgoing {
            id: MessageId(Uuid::from_u128(n)),
            contact_seq,
            session,
            channel,
            kind: "text",
            body: "{}",
            status: MessageStatus::Queued,
            reason: None,
            next_attempt_at: Some(now()),
            origin: Origin::Flow,
            good_until: None,
            created_at: now(),
        };
        messages::insert_outgoing(tx, &message).unwrap()
    }

    fn row(tx: &Tx<'_>, seq: i64) -> OutboxRow {
        find(tx, seq).unwrap().unwrap()
    }

    #[test]
    fn only_the_head_of_a_lane_is_due() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (_, one) = testing::flow_and_contact(&tx);
        let two = super::super::contacts::insert(
            &tx,
            &crate::domain::Contact::new(testing::contact_id(2), Some("+14155550124".parse().unwrap())),
            "test",
            now(),
        )
        .unwrap();
        let [first, second, other, elsewhere] = [
            queue(&tx, 1, one, "whatsapp", None),
            queue(&tx, 2, one, "whatsapp", None),
            queue(&tx, 3, two, "whatsapp", None),
            queue(&tx, 4, one, "webhook", None),
        ];
        assert_eq!(due(&tx, "whatsapp", now(), 9).unwrap(), [first, other]);
        assert_eq!(due(&tx, "webhook", now(), 9).unwrap(), [elsewhere], "a channel is a lane of its own");
        assert_eq!(row(&tx, second).next_attempt_at, Some(parked()));
        assert!(is_held_back(&tx, &row(&tx, second)).unwrap() && !is_held_back(&tx, &row(&tx, first)).unwrap());
        assert!(!release(&tx, "whatsapp", one, now()).unwrap(), "its head is not parked");
        claim(&tx, first, None, now().plus(Duration::from_secs(60)), now()).unwrap();
        assert_eq!(due(&tx, "whatsapp", parked(), 9).unwrap(), [other, second], "and this one is held back");
        assert!(!release(&tx, "whatsapp", one, now()).unwrap());
        settle(&tx, first, MessageStatus::Sent, Some(now()), now()).unwrap();
        assert!(release(&tx, "whatsapp", one, now()).unwrap());
        assert_eq!(due(&tx, "whatsapp", now(), 9).unwrap(), [second, other]);
    }

    #[test]
    fn dropping_a_head_lets_the_next_one_go() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let session = testing::running(&tx);
        let of_session = queue(&tx, 1, 1, "whatsapp", Some((session, 1)));
        let of_nobody = queue(&tx, 2, 1, "whatsapp", None);
        assert_eq!(due(&tx, "whatsapp", now(), 9).unwrap(), [of_session]);
        messages::fail_queued_of_session(&tx, session, None, "session_ended", now()).unwrap();
        assert_eq!(due(&tx, "whatsapp", now(), 9).unwrap(), [of_nobody]);
    }

    #[test]
    fn what_waits_for_the_channel_alone_is_counted_by_its_people() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        testing::flow_and_contact(&tx);
        assert_eq!(held_up(&tx, "whatsapp", now()).unwrap(), None);
        let first = queue(&tx, 1, 1, "whatsapp", None);
        queue(&tx, 2, 1, "whatsapp", None);
        assert_eq!(held_up(&tx, "whatsapp", now()).unwrap(), Some((1, now())), "the second waits for the first");
        assert_eq!(held_up(&tx, "webhook", now()).unwrap(), None);
        assert_eq!(held_up(&tx, "whatsapp", now().minus(Duration::from_secs(1))).unwrap(), None, "not for long");
        hold_for_hours(&tx, first, now().plus(Duration::from_secs(60)), None).unwrap();
        assert_eq!(held_up(&tx, "whatsapp", now()).unwrap(), None, "it waits for its hours");
    }

    #[test]
    fn a_start_brings_the_outbox_into_order() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        testing::flow_and_contact(&tx);
        let under_way = queue(&tx, 1, 1, "whatsapp", None);
        claim(&tx, under_way, None, now().plus(Duration::from_secs(60)), now()).unwrap();
        let behind = queue(&tx, 2, 1, "whatsapp", None);
        let elsewhere = queue(&tx, 3, 1, "webhook", None);
        let until = now().plus(Duration::from_secs(60));
        assert_eq!(recover(&tx, "whatsapp", "?", until, now()).unwrap(), 1);
        let doubtful = row(&tx, under_way);
        assert_eq!((doubtful.status, doubtful.next_attempt_at), (MessageStatus::Unknown, Some(until)));
        assert_eq!(due(&tx, "whatsapp", now(), 9).unwrap(), [] as [i64; 0], "the lane is held until it is decided");
        assert_eq!(row(&tx, elsewhere).next_attempt_at, Some(parked()), "nobody looks at it in vain");
        let next = next_due(&tx, "whatsapp").unwrap();
        assert_eq!(next, NextDue { queued: None, doubt: Some(until), sending_since: None });
        // The other channel is back.
        recover(&tx, "webhook", "?", until, now()).unwrap();
        assert_eq!(due(&tx, "webhook", now(), 9).unwrap(), [elsewhere]);
        // A head that nobody released.
        assert_eq!(parked_heads(&tx, "whatsapp", 9).unwrap(), [] as [i64; 0]);
        settle(&tx, under_way, MessageStatus::Sent, None, now()).unwrap();
        assert_eq!(parked_heads(&tx, "whatsapp", 9).unwrap(), [behind]);
        recover(&tx, "whatsapp", "?", until, now()).unwrap();
        assert_eq!(due(&tx, "whatsapp", now(), 9).unwrap(), [behind]);
    }

    #[test]
    fn no_query_of_the_outbox_scans_or_sorts_what_is_not_due() {
        let conn = testing::conn();
        for (sql, index) in [
            (DUE, "messages_outbox (next_attempt_at<?)"),
            (HELD_UP, "messages_outbox (next_attempt_at<?)"),
            (HOLDS_BACK, "messages_lane (contact_seq=?"),
            (RELEASE, "messages_lane (contact_seq=?)"),
            (STOP_WAITING, "messages_lane (contact_seq=?)"),
            (MOVE_GOOD_UNTIL, "messages_lane (contact_seq=?)"),
            (STOP_HOLDING, "messages_lane (contact_seq=?)"),
            (UNSETTLED_OF_TURN, "messages_lane (contact_seq=?)"),
            (TOO_OLD_ELSEWHERE, "messages_outbox (next_attempt_at>?)"),
            (IN_DOUBT, "messages_in_doubt (next_attempt_at"),
            (ABANDONED, "messages_sending (claimed_at<?)"),
            (PARKED_HEADS, "messages_outbox (next_attempt_at=?)"),
            (PARKED_HEADS, "messages_lane (contact_seq=?"),
            (HOLDS_BACK, "messages_lane (contact_seq=? AND rowid<?)"),
        ] {
            let plan = testing::plan(&conn, sql);
            let scans = plan.contains("SCAN messages") || plan.contains("TEMP");
            assert!(plan.contains(index) && !scans, "{sql}: {plan}");
        }
        let plan = testing::plan(&conn, &messages::INSERT_OUTGOING);
        assert!(plan.contains("messages_lane (contact_seq=?)") && !plan.contains("SCAN messages"), "{plan}");
    }

    #[test]
    fn only_what_flows_and_systems_queued_is_dropped() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (_, contact_seq) = testing::flow_and_contact(&tx);
        let mut n = 0;
        let mut add = |origin, status, next_attempt_at| {
            n += 1;
            let message = NewOutgoing {
                id: MessageId(Uuid::from_u128(n)),
                contact_seq,
                session: None,
                channel: "whatsapp",
                kind: "text",
                body: "{}",
                status,
                reason: None,
                next_attempt_at,
                origin,
                good_until: None,
                created_at: now(),
            };
            messages::insert_outgoing(&tx, &message).unwrap();
        };
        for origin in [Origin::Flow, Origin::Api, Origin::Agent, Origin::Consent] {
            add(origin, MessageStatus::Queued, Some(now()));
        }
        add(Origin::Flow, MessageStatus::Sending, Some(now()));
        assert_eq!(fail_queued_of_contact(&tx, contact_seq, "opted_out", now()).unwrap().len(), 2);
        let left: String =
            tx.query_row("SELECT group_concat(origin || ' ' || status) FROM messages", [], |row| row.get(0)).unwrap();
        assert_eq!(left, "flow failed,api failed,agent queued,consent queued,flow sending");
        assert_eq!(fail_queued_confirmations(&tx, contact_seq, "opted_in", now()).unwrap().len(), 1);
        let left: String = tx
            .query_row("SELECT group_concat(origin) FROM messages WHERE status = 'queued'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, "agent");
    }
}
