//! The outbox: messages to people that are not settled.
//!
//! They stand in lanes, one for each channel and contact, and go out in the order of their rows. A message holds its
//! lane for as long as it has a `next_attempt_at`, and only the head of a lane may go out. All others are *parked*:
//! their `next_attempt_at` is the end of time, so that a query for due rows does not return them.
//! [`super::messages::insert_outgoing`] parks; the code that settles or drops a message has to call [`release`].
//!
//! One that waits for the hours of its flow ([`Reason::SendWindow`](crate::domain::Reason::SendWindow)), or for the end
//! of a hold on the conversation ([`delay_for_holder`]), *steps aside*, and with it all later messages of its session:
//! others go out past them, so that an answer to a question asked at night does not wait until the morning behind a
//! message that was not asked for. The session's own messages keep their order, and a message that is under way or in
//! doubt holds its lane for all.

mod lanes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row, params};

pub(super) use lanes::WAITS_AT_THE_END;
pub use lanes::{
    NextDue, PartsIn, behind, delay, delay_for_holder, delay_for_hours, due, held_up, is_behind, is_turn_unsettled,
    move_good_until, next_due, park, parked, parked_heads, recover, release, release_all, stop_holding, stop_waiting,
    templates_came, wait_for_templates,
};

use super::{Conn, Tx, contacts};
use crate::domain::{
    ContactId, FlowId, Held, MessageId, MessageStatus, Origin, SessionId, Status, StoredBody, Timestamp,
};
use crate::error::Result;

/// A message to a contact, with what deciding on it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Row number of the message.
    pub seq: i64,
    /// The message's public id.
    pub id: MessageId,
    /// Row of its contact.
    pub contact_seq: i64,
    /// Row of the session that sends it.
    pub session_seq: Option<i64>,
    /// The turn of that session.
    pub turn: Option<u32>,
    /// The channel's name.
    pub channel: String,
    /// The channel's id of it.
    pub provider_id: Option<String>,
    /// The content, and how it was sent so far.
    pub body: StoredBody,
    /// How far it got.
    pub status: MessageStatus,
    /// Attempts so far that count.
    pub attempts: u32,
    /// Set while it holds its lane.
    pub next_attempt_at: Option<Timestamp>,
    /// When the attempt under way began.
    pub claimed_at: Option<Timestamp>,
    /// The kind of sender.
    pub origin: Origin,
    /// When it is dropped if it has not gone out by then.
    pub good_until: Option<Timestamp>,
    /// When it was first queued; a retry does not change it.
    pub created_at: Timestamp,
    /// When the channel first took it.
    pub accepted_at: Option<Timestamp>,
}

/// What the outbox wants to know of a message's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionBrief {
    /// The session's public id.
    pub id: SessionId,
    /// The flow that it runs.
    pub flow_id: FlowId,
    /// Row of that flow.
    pub flow_seq: i64,
    /// The version that it is on.
    pub version: u32,
    /// Whether it runs.
    pub status: Status,
    /// The last turn that it took.
    pub turn: u32,
    /// It waits for a reply, and not for ever, or for a delay to be over: its timer may move with its message.
    pub has_span: bool,
}

/// What the outbox wants to know of a message's contact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addressee {
    /// The contact's public id; `None` if the contact is being erased.
    pub id: Option<ContactId>,
    /// BCP 47 language tag; `None` if unknown.
    pub language: Option<String>,
    /// Since when the person is not to be written to.
    pub opted_out_at: Option<Timestamp>,
    /// Whether the opt-out is from marketing only.
    pub marketing_only: bool,
    /// When the person last wrote.
    pub last_inbound_at: Option<Timestamp>,
    /// Whether the contact is being erased.
    pub is_being_erased: bool,
    /// The current or last hold on the conversation.
    pub held: Option<Held>,
    /// The newest address of each kind, by its name.
    pub addresses: BTreeMap<String, String>,
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

const TOO_OLD_ELSEWHERE: &str = select!(
    "INDEXED BY messages_outbox
     WHERE status = 'queued' AND next_attempt_at > 0 AND channel <> ?1 AND good_until < ?2 LIMIT ?3"
);
const IN_DOUBT: &str = select!(
    "WHERE status = 'unknown' AND next_attempt_at IS NOT NULL AND next_attempt_at <= ?1
     ORDER BY next_attempt_at LIMIT ?2"
);
const ABANDONED: &str = select!("WHERE status = 'sending' AND claimed_at <= ?1 ORDER BY claimed_at LIMIT ?2");

/// The message of a row, if it is one to a contact.
pub fn find(conn: &Conn, seq: i64) -> Result<Option<OutboxRow>> {
    let mut statement = conn.prepare_cached(select!("WHERE seq = ?1 AND direction = 'out'"))?;
    Ok(statement.query_row([seq], read).optional()?)
}

/// The message to a contact of an id.
pub fn find_by_id(conn: &Conn, id: MessageId) -> Result<Option<OutboxRow>> {
    let mut statement = conn.prepare_cached(select!("WHERE id = ?1 AND direction = 'out'"))?;
    Ok(statement.query_row([id], read).optional()?)
}

/// The message to a contact that a channel knows by `provider_id`.
pub fn find_by_provider_id(conn: &Conn, channel: &str, provider_id: &str) -> Result<Option<OutboxRow>> {
    let mut statement =
        conn.prepare_cached(select!("WHERE channel = ?1 AND provider_id = ?2 AND direction = 'out'"))?;
    Ok(statement.query_row((channel, provider_id), read).optional()?)
}

/// Messages that are queued for another channel than this one, and were good until before `now`.
pub fn too_old_elsewhere(conn: &Conn, channel: &str, now: Timestamp, limit: u32) -> Result<Vec<OutboxRow>> {
    let mut statement = conn.prepare_cached(TOO_OLD_ELSEWHERE)?;
    let rows = statement.query_map((channel, now, limit), read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Marks a message as being sent: an attempt more, abandoned at `lease`. `body` replaces its JSON.
pub fn claim(tx: &Tx<'_>, seq: i64, body: Option<&str>, lease: Timestamp, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET status = 'sending', attempts = attempts + 1, claimed_at = ?3, next_attempt_at = ?2,
             updated_at = ?3, body = coalesce(?4, body), reason = NULL
         WHERE seq = ?1 AND status = 'queued'",
    )?
    .execute((seq, lease, now, body))?;
    Ok(())
}

/// Puts a message back into its lane, to go out at `at`. `attempts` are those that count from now on, `error` is why it
/// has not gone out.
pub fn requeue(tx: &Tx<'_>, seq: i64, at: Timestamp, attempts: u32, error: Option<&str>, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET status = 'queued', next_attempt_at = ?2, attempts = ?3, error = ?4, reason = NULL,
             claimed_at = NULL, updated_at = ?5, seen_at = NULL, seen_by = NULL
         WHERE seq = ?1",
    )?
    .execute(params![seq, at, attempts, error, now])?;
    Ok(())
}

/// Replaces a message's JSON.
pub fn set_body(tx: &Tx<'_>, seq: i64, body: &str) -> Result<()> {
    tx.prepare_cached("UPDATE messages SET body = ?2 WHERE seq = ?1")?.execute((seq, body))?;
    Ok(())
}

/// Notes of a message that counts as taken when that came to be so.
pub fn set_accepted(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("UPDATE messages SET accepted_at = updated_at WHERE seq = ?1 AND accepted_at IS NULL")?
        .execute([seq])?;
    Ok(())
}

/// Gives a message new time to go out in.
pub fn set_good_until(tx: &Tx<'_>, seq: i64, good_until: Timestamp) -> Result<()> {
    tx.prepare_cached("UPDATE messages SET good_until = ?2 WHERE seq = ?1")?.execute((seq, good_until))?;
    Ok(())
}

/// Marks a message as `unknown`: the channel may or may not have taken it. It holds its lane until `until`.
pub fn doubt(tx: &Tx<'_>, seq: i64, error: &str, until: Timestamp, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET status = 'unknown', next_attempt_at = ?2, error = ?3, updated_at = ?4 WHERE seq = ?1",
    )?
    .execute(params![seq, until, error, now])?;
    Ok(())
}

/// Settles a message that the channel took, or counts as taken. Its lane is released by [`release`]. A time of
/// acceptance that is known already stays.
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
pub fn fail(tx: &Tx<'_>, seq: i64, reason: &str, error: Option<&str>, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET status = 'failed', reason = ?2, error = ?3, next_attempt_at = NULL, updated_at = ?4,
             seen_at = NULL, seen_by = NULL
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
pub fn forget_failure(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM message_stages WHERE message_seq = ?1 AND stage = 'failed'")?.execute([seq])?;
    Ok(())
}

/// Messages in doubt whose outcome is due to be decided.
pub fn in_doubt(conn: &Conn, now: Timestamp, limit: u32) -> Result<Vec<OutboxRow>> {
    let mut statement = conn.prepare_cached(IN_DOUBT)?;
    let rows = statement.query_map((now, limit), read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Messages whose attempt began at `until` or before and has not ended.
pub fn abandoned(conn: &Conn, until: Timestamp, limit: u32) -> Result<Vec<OutboxRow>> {
    let mut statement = conn.prepare_cached(ABANDONED)?;
    let rows = statement.query_map((until, limit), read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What the outbox wants to know of a session; `None` once it is gone.
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
        addressee.addresses.insert(row.get(0)?, row.get(1)?);
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
        body: row.get::<_, String>(7)?.into(),
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

/// Drops what flows and systems have queued for a contact, and returns it. Answers by agents and confirmations of
/// consent stay queued.
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

/// Drops the confirmations of wishes that are queued for a contact, because another wish came after them, and returns
/// them.
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
