//! Lanes: which of a contact's messages may go out now, which wait, and which have stepped aside.

use rusqlite::{OptionalExtension, params};

use super::{OutboxRow, read};
use crate::domain::{Held, MessageStatus, Reason, Timestamp};
use crate::error::Result;
use crate::store::{Conn, Tx};

/// When a message may go out that waits for the one before it: not before that one is settled.
pub fn parked() -> Timestamp {
    Timestamp::from_millis(i64::MAX)
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

/// Whether a message `o` has stepped aside: it waits for its hours or for the end of a hold on the conversation, or for
/// an earlier one of its session that does. Only messages of flows do so, not those of an agent or of the server
/// itself.
macro_rules! is_aside {
    () => {
        "EXISTS (SELECT 1 FROM messages AS h INDEXED BY messages_lane
                 WHERE h.contact_seq = o.contact_seq AND h.next_attempt_at IS NOT NULL AND h.channel = o.channel
                     AND h.seq <= o.seq AND (h.seq = o.seq OR h.session_seq = o.session_seq) AND h.status = 'queued'
                     AND h.reason IN ('send_window', 'colleague', 'standby'))"
    };
}

/// Whether another message of its lane goes before a queued message `m`.
macro_rules! is_behind {
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
pub(in crate::store) const WAITS_AT_THE_END: &str = concat!(
    "EXISTS (SELECT 1 FROM messages AS o INDEXED BY messages_lane
             WHERE o.contact_seq = ?2 AND o.next_attempt_at IS NOT NULL AND o.channel = ?5
                 AND (o.status <> 'queued' OR o.session_seq = ?3 OR NOT ",
    is_aside!(),
    "))"
);

pub(super) const DUE: &str = "SELECT seq FROM messages
    WHERE status = 'queued' AND next_attempt_at <= ?2 AND channel = ?1 ORDER BY next_attempt_at, seq LIMIT ?3";
pub(super) const HOLDS_BACK: &str = concat!("SELECT ", is_behind!(), " FROM messages AS m WHERE m.seq = ?1");
pub(super) const RELEASE: &str = concat!(
    "UPDATE messages SET next_attempt_at = ?3
     WHERE seq = (SELECT m.seq FROM messages AS m INDEXED BY messages_lane
                  WHERE m.contact_seq = ?2 AND m.next_attempt_at IS NOT NULL AND m.channel = ?1
                      AND m.status = 'queued' AND m.next_attempt_at = ?4 AND NOT ",
    is_behind!(),
    " ORDER BY m.seq LIMIT 1)"
);
pub(super) const STOP_WAITING: &str = "UPDATE messages SET next_attempt_at = ?3, reason = NULL
    WHERE contact_seq = ?2 AND next_attempt_at IS NOT NULL AND channel = ?1 AND status = 'queued' AND reason IN (?4, ?5)
        AND next_attempt_at > ?3";
pub(super) const MOVE_GOOD_UNTIL: &str = "UPDATE messages INDEXED BY messages_lane SET good_until = good_until + ?2
    WHERE contact_seq = ?1 AND next_attempt_at IS NOT NULL AND status = 'queued' AND origin = 'flow'";
pub(super) const STOP_HOLDING: &str = "UPDATE messages INDEXED BY messages_lane SET next_attempt_at = ?2
    WHERE contact_seq = ?1 AND next_attempt_at IS NOT NULL AND status = 'queued'
        AND reason IN ('colleague', 'standby') AND next_attempt_at > ?2";
pub(super) const HELD_UP: &str = "SELECT COUNT(*), MIN(created_at) FROM messages INDEXED BY messages_outbox
    WHERE status = 'queued' AND next_attempt_at < ?3 AND channel = ?1 AND reason IS NULL AND created_at <= ?2";
pub(super) const TEMPLATES_CAME: &str = "UPDATE messages SET next_attempt_at = ?2, reason = NULL
    WHERE seq IN (SELECT seq FROM messages INDEXED BY messages_outbox
                  WHERE status = 'queued' AND next_attempt_at > ?2 AND channel = ?1 AND reason = ?3 LIMIT ?4)";
pub(super) const UNSETTLED_OF_TURN: &str = "SELECT EXISTS (SELECT 1 FROM messages
    WHERE contact_seq = ?2 AND next_attempt_at IS NOT NULL AND session_seq = ?3 AND turn = ?4 AND channel = ?1)";
pub(super) const NEXT_IN_LANE: &str =
    "SELECT seq, id, contact_seq, session_seq, turn, channel, provider_id, body, status, attempts,
        next_attempt_at, claimed_at, coalesce(origin, elsewhere), good_until, created_at, accepted_at, reason
    FROM messages WHERE seq > ?1 AND seq <= ?1 + ?2 AND contact_seq = ?3 AND direction = 'out' AND status = ?4
    ORDER BY seq";
pub(super) const PARKED_HEADS: &str = concat!(
    "SELECT m.seq FROM messages AS m INDEXED BY messages_outbox
     WHERE m.status = 'queued' AND m.next_attempt_at = ?2 AND m.channel = ?1 AND NOT ",
    is_behind!(),
    " LIMIT ?3"
);

/// Rows of a channel's messages that may go out now unless another message of their lane holds them back, those first
/// that have been due longest.
pub fn due(conn: &Conn, channel: &str, now: Timestamp, limit: u32) -> Result<Vec<i64>> {
    let mut statement = conn.prepare_cached(DUE)?;
    let rows = statement.query_map((channel, now, limit), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// When a channel's outbox has something to do next.
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
        "SELECT claimed_at FROM messages WHERE status = 'sending' AND claimed_at IS NOT NULL
         ORDER BY claimed_at LIMIT 1",
        &[],
    )?;
    Ok(NextDue { queued: queued.filter(|at| *at < parked()), doubt, sending_since })
}

/// Whether another message of its lane goes before a queued one: one under way or in doubt, or an earlier one, unless
/// that is another session's and has stepped aside.
pub fn is_behind(conn: &Conn, row: &OutboxRow) -> Result<bool> {
    let mut statement = conn.prepare_cached(HOLDS_BACK)?;
    Ok(statement.query_row([row.seq], |row| row.get(0))?)
}

/// Whether any message of a session's turn on this channel is not settled. Messages that wait for another channel,
/// which may never be back, do not count.
pub fn is_turn_unsettled(
    conn: &Conn,
    channel: &str,
    contact_seq: i64,
    (session_seq, turn): (i64, u32),
) -> Result<bool> {
    let mut statement = conn.prepare_cached(UNSETTLED_OF_TURN)?;
    Ok(statement.query_row((channel, contact_seq, session_seq, turn), |row| row.get(0))?)
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
pub fn behind(conn: &Conn, row: &OutboxRow, count: u32, which: PartsIn<'_>) -> Result<Vec<OutboxRow>> {
    let mut statement = conn.prepare_cached(NEXT_IN_LANE)?;
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

/// Parks a queued message until the one before it is settled. It no longer steps aside.
pub fn park(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("UPDATE messages SET next_attempt_at = ?2, reason = NULL WHERE seq = ?1 AND status = 'queued'")?
        .execute((seq, parked()))?;
    Ok(())
}

/// Lets the first message of a lane go out that is parked though nothing holds it back any more, because the one before
/// it is gone or has stepped aside. Returns whether there was one.
pub fn release(tx: &Tx<'_>, channel: &str, contact_seq: i64, now: Timestamp) -> Result<bool> {
    let released = tx.prepare_cached(RELEASE)?.execute((channel, contact_seq, now, parked()))?;
    Ok(released > 0)
}

/// Holds the head of a lane, and with it the lane, back until `until`.
pub fn delay(tx: &Tx<'_>, seq: i64, until: Timestamp) -> Result<()> {
    tx.prepare_cached("UPDATE messages SET next_attempt_at = ?2, reason = NULL WHERE seq = ?1 AND status = 'queued'")?
        .execute((seq, until))?;
    Ok(())
}

/// Has a message step aside until the hours begin in which its flow may speak first. It is good until `good_until`.
/// What goes out past it is released by [`release`].
pub fn delay_for_hours(tx: &Tx<'_>, seq: i64, until: Timestamp, good_until: Option<Timestamp>) -> Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET next_attempt_at = ?2, good_until = ?3, reason = ?4 WHERE seq = ?1 AND status = 'queued'",
    )?
    .execute((seq, until, good_until, Reason::SendWindow))?;
    Ok(())
}

/// Has a message step aside until the hold on the conversation ends. What goes out past it is released by [`release`].
pub fn delay_for_holder(tx: &Tx<'_>, seq: i64, held: &Held) -> Result<()> {
    tx.prepare_cached("UPDATE messages SET next_attempt_at = ?2, reason = ?3 WHERE seq = ?1 AND status = 'queued'")?
        .execute((seq, held.until, held.by))?;
    Ok(())
}

/// Extends (or shortens) the time in which what flows have queued for a contact may go out, by so many milliseconds:
/// the time of a hold does not count.
pub fn move_good_until(tx: &Tx<'_>, contact_seq: i64, millis: i64) -> Result<()> {
    tx.prepare_cached(MOVE_GOOD_UNTIL)?.execute((contact_seq, millis))?;
    Ok(())
}

/// Makes a contact's messages that have stepped aside for a hold due again, because the hold may be over.
pub fn stop_holding(tx: &Tx<'_>, contact_seq: i64, now: Timestamp) -> Result<()> {
    tx.prepare_cached(STOP_HOLDING)?.execute((contact_seq, now))?;
    Ok(())
}

/// How many people have messages of a channel that were queued before a time and have nothing to wait for but the
/// channel, and since when the first of them waits. It is the heads of their lanes that are counted.
pub fn held_up(conn: &Conn, channel: &str, before: Timestamp) -> Result<Option<(u32, Timestamp)>> {
    let mut statement = conn.prepare_cached(HELD_UP)?;
    let (count, since): (u32, Option<Timestamp>) =
        statement.query_row((channel, before, parked()), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(since.map(|since| (count, since)))
}

/// Has the head of a lane, and with it the lane, wait for the channel's templates: until [`templates_came`], or
/// `until`.
pub fn wait_for_templates(tx: &Tx<'_>, seq: i64, until: Timestamp) -> Result<()> {
    tx.prepare_cached("UPDATE messages SET next_attempt_at = ?2, reason = ?3 WHERE seq = ?1 AND status = 'queued'")?
        .execute((seq, until, Reason::WaitsForTemplates))?;
    Ok(())
}

/// Has at most `limit` messages of a channel decided on again that wait for its templates, and returns how many.
pub fn templates_came(tx: &Tx<'_>, channel: &str, limit: u32, now: Timestamp) -> Result<usize> {
    let mut statement = tx.prepare_cached(TEMPLATES_CAME)?;
    Ok(statement.execute((channel, now, Reason::WaitsForTemplates, limit))?)
}

/// Has a contact's message decided on again that waits for its hours or for the channel's templates, because the person
/// has written. Returns whether there is one.
pub fn stop_waiting(tx: &Tx<'_>, channel: &str, contact_seq: i64, now: Timestamp) -> Result<bool> {
    let freed = tx.prepare_cached(STOP_WAITING)?.execute((
        channel,
        contact_seq,
        now,
        Reason::SendWindow,
        Reason::WaitsForTemplates,
    ))?;
    Ok(freed > 0)
}

/// Brings the outbox into order before a server begins to send on `channel`: marks attempts that a restart interrupted
/// as `unknown`, lets the heads of lanes go out, and parks what is queued for another channel until that one is back.
/// Returns how many attempts were interrupted.
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

/// Lets the head of every lane go out that is parked though nothing is before it, because the job that removed what was
/// there did not release it. Returns how many there were.
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
pub fn parked_heads(conn: &Conn, channel: &str, limit: u32) -> Result<Vec<i64>> {
    let mut statement = conn.prepare_cached(PARKED_HEADS)?;
    let rows = statement.query_map((channel, parked(), limit), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
