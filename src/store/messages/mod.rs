//! Messages in both directions. The queued ones are the outbox.

mod lists;
mod seen;

use std::sync::LazyLock;

use rusqlite::{OptionalExtension, Row, params};

pub use lists::{
    Filter, HeardRow, MAX_SCANNED, Which, by_seqs, heard_of, history_of_contact, list, list_of_contact, newest_received,
};
pub use seen::{
    Attention, Marked, OfReason, Place, Unseen, UnseenGroup, failed_after, mark_group_seen, mark_seen, unseen_groups,
};

use super::outbox::OutboxRow;
use super::row_numbers::Numbered;
use super::{Conn, Tx, outbox};
use crate::domain::{ContactId, Direction, Handling, Holder, MessageId, MessageStatus, Origin, SessionId, Timestamp};
use crate::error::Result;

/// A message to a contact that is to be queued.
#[derive(Debug, Clone, Copy)]
pub struct NewOutgoing<'a> {
    /// Public id; the channel gets it for de-duplication.
    pub id: MessageId,
    /// Row of the contact.
    pub contact_seq: i64,
    /// Row of the session that sends it, and the turn; `None` for messages outside of sessions.
    pub session: Option<(i64, u32)>,
    /// The channel's name.
    pub channel: &'a str,
    /// What it is, such as `text`.
    pub kind: &'a str,
    /// The content as JSON.
    pub body: &'a str,
    /// `Queued`; `Simulated` where no channel is to see it; `Failed` where it must not go out at all.
    pub status: MessageStatus,
    /// Why it failed.
    pub reason: Option<&'a str>,
    /// When a queued message may go out.
    pub next_attempt_at: Option<Timestamp>,
    /// The kind of sender.
    pub origin: Origin,
    /// When a message that has not gone out by then is dropped.
    pub good_until: Option<Timestamp>,
    /// The current time.
    pub created_at: Timestamp,
}

/// A message to a contact that another sender wrote on the same number.
#[derive(Debug, Clone, Copy)]
pub struct NewElsewhere<'a> {
    /// The message's public id.
    pub id: MessageId,
    /// Row of the contact.
    pub contact_seq: i64,
    /// The channel's name.
    pub channel: &'a str,
    /// The channel's id of it, by which a second delivery is known, and its statuses are.
    pub provider_id: &'a str,
    /// Who wrote it.
    pub by: Holder,
    /// What it is, such as `text`.
    pub kind: &'a str,
    /// The content as JSON.
    pub body: &'a str,
    /// When it went out.
    pub sent_at: Timestamp,
    /// The current time.
    pub created_at: Timestamp,
}

/// A message from a contact.
#[derive(Debug, Clone, Copy)]
pub struct NewInbound<'a> {
    /// The message's public id.
    pub id: MessageId,
    /// Row of the contact.
    pub contact_seq: i64,
    /// Row of the session that took it, and the turn.
    pub session: Option<(i64, u32)>,
    /// The channel's name.
    pub channel: &'a str,
    /// The channel's id of it, by which a second delivery is known.
    pub provider_id: Option<&'a str>,
    /// The sender among whose messages `provider_id` is unique: a phone number; empty if it is unique on the channel.
    pub sender: &'a str,
    /// What it is, such as `text`.
    pub kind: &'a str,
    /// The content as JSON.
    pub body: &'a str,
    /// What took it, if that is known already; see [`set_handled`].
    pub handled: Option<Handling>,
    /// Why nothing took it.
    pub reason: Option<&'a str>,
    /// When it arrived.
    pub created_at: Timestamp,
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// Row; the cursor of [`list_of_contact`].
    pub seq: i64,
    /// The message's public id.
    pub id: MessageId,
    /// Row of its contact.
    pub contact_seq: i64,
    /// The contact that wrote or got it.
    pub contact_id: ContactId,
    /// Row of the session that sent or took it.
    pub session_seq: Option<i64>,
    /// That session; `None` also once the session itself is gone.
    pub session_id: Option<SessionId>,
    /// The turn of that session.
    pub turn: Option<u32>,
    /// Which way it goes.
    pub direction: Direction,
    /// The channel's name.
    pub channel: String,
    /// The channel's id of it.
    pub provider_id: Option<String>,
    /// What it is, such as `text`.
    pub kind: String,
    /// The content as JSON.
    pub body: String,
    /// How far it got.
    pub status: MessageStatus,
    /// Why it failed, or why nothing handled it.
    pub reason: Option<String>,
    /// What took an inbound message.
    pub handled: Option<Handling>,
    /// How often sending was tried.
    pub attempts: u32,
    /// When it may go out.
    pub next_attempt_at: Option<Timestamp>,
    /// When the attempt under way began.
    pub claimed_at: Option<Timestamp>,
    /// When the channel took it.
    pub accepted_at: Option<Timestamp>,
    /// When it was queued, or arrived.
    pub created_at: Timestamp,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
    /// The kind of sender; `None` of one that came in.
    pub origin: Option<Origin>,
    /// The provider's explanation of the reason.
    pub error: Option<String>,
    /// When it is dropped if it has not gone out by then.
    pub good_until: Option<Timestamp>,
    /// What it costs, as the channel says; JSON.
    pub pricing: Option<String>,
    /// When a person has looked at what went wrong with it, and who that was.
    pub seen: Option<(Timestamp, String)>,
}

/// The columns that [`read`] takes, from `m`.
macro_rules! select {
    ($from:literal, $rest:literal) => {
        concat!(
            "SELECT m.seq, m.id, m.contact_seq, c.id, m.session_seq, s.id, m.turn, m.direction, m.channel,
                m.provider_id, m.type, m.body, m.status, m.reason, m.handled, m.attempts, m.next_attempt_at,
                m.claimed_at, m.accepted_at, m.created_at, m.updated_at, coalesce(m.origin, m.elsewhere), m.error,
                m.good_until, m.pricing, m.seen_at, coalesce(m.seen_by, '')
             FROM ",
            $from,
            " JOIN contacts AS c ON c.seq = m.contact_seq LEFT JOIN sessions AS s ON s.seq = m.session_seq ",
            $rest
        )
    };
}
use select;

pub(super) static INSERT_OUTGOING: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO messages (seq, id, contact_seq, session_seq, turn, direction, channel, type, body, status,
             reason, next_attempt_at, created_at, updated_at, origin, good_until)
         VALUES (?15, ?1, ?2, ?3, ?4, 'out', ?5, ?6, ?7, ?8, ?9,
             CASE WHEN ?10 IS NOT NULL AND {} THEN ?14 ELSE ?10 END, ?11, ?11, ?12, ?13)",
        outbox::WAITS_AT_THE_END
    )
});

/// Inserts a message to a contact and returns its row. A queued one waits for those of its lane that are not settled:
/// see [`outbox`].
pub fn insert_outgoing(tx: &Tx<'_>, message: &NewOutgoing<'_>) -> Result<i64> {
    let seq = tx.next_seq(Numbered::Messages)?;
    tx.prepare_cached(&INSERT_OUTGOING)?.execute(params![
        message.id,
        message.contact_seq,
        message.session.map(|(seq, _)| seq),
        message.session.map(|(_, turn)| turn),
        message.channel,
        message.kind,
        message.body,
        message.status,
        message.reason,
        message.next_attempt_at,
        message.created_at,
        message.origin,
        message.good_until,
        outbox::parked(),
        seq,
    ])?;
    Ok(seq)
}

/// Inserts a message to a contact that another sender wrote, and returns its row.
///
/// # Errors
/// When the database refuses, as it does if the channel reported it before: look first.
pub fn insert_elsewhere(tx: &Tx<'_>, message: &NewElsewhere<'_>) -> Result<i64> {
    let seq = tx.next_seq(Numbered::Messages)?;
    tx.prepare_cached(
        "INSERT INTO messages (seq, id, contact_seq, direction, channel, provider_id, type, body, status, accepted_at,
             created_at, updated_at, elsewhere)
         VALUES (?1, ?2, ?3, 'out', ?4, ?5, ?6, ?7, 'sent', ?8, ?9, ?9, ?10)",
    )?
    .execute(params![
        seq,
        message.id,
        message.contact_seq,
        message.channel,
        message.provider_id,
        message.kind,
        message.body,
        message.sent_at,
        message.created_at,
        message.by,
    ])?;
    Ok(seq)
}

/// Inserts a message from a contact and returns its row.
///
/// # Errors
/// When the database refuses, as it does if the channel delivered it before: look with [`find_received`] first.
pub fn insert_inbound(tx: &Tx<'_>, message: &NewInbound<'_>) -> Result<i64> {
    let seq = tx.next_seq(Numbered::Messages)?;
    tx.prepare_cached(
        "INSERT INTO messages (seq, id, contact_seq, session_seq, turn, direction, channel, provider_id, type, body,
             status, reason, handled, created_at, updated_at, sender)
         VALUES (?1, ?2, ?3, ?4, ?5, 'in', ?6, ?7, ?8, ?9, 'received', ?10, ?11, ?12, ?12, ?13)",
    )?
    .execute(params![
        seq,
        message.id,
        message.contact_seq,
        message.session.map(|(seq, _)| seq),
        message.session.map(|(_, turn)| turn),
        message.channel,
        message.provider_id,
        message.kind,
        message.body,
        message.reason,
        message.handled,
        message.created_at,
        message.sender,
    ])?;
    Ok(seq)
}

/// The message that came in before under this id. `sender` is whose ids they are (see [`NewInbound`]), and
/// `contact_seq` the contact that this is now: rows of before version 5 do not say whose ids theirs are, and count as
/// the contact's.
pub fn find_received(
    conn: &Conn,
    channel: &str,
    (sender, provider_id): (&str, &str),
    contact_seq: Option<i64>,
) -> Result<Option<MessageRow>> {
    let mut statement = conn.prepare_cached(select!(
        "messages AS m",
        "WHERE m.channel = ?1 AND m.direction = 'in' AND m.provider_id = ?2 AND m.sender = ?3"
    ))?;
    let found = statement.query_row((channel, provider_id, sender), read).optional()?;
    if found.is_some() || sender.is_empty() {
        return Ok(found);
    }
    let earlier = statement.query_row((channel, provider_id, ""), read).optional()?;
    Ok(earlier.filter(|earlier| Some(earlier.contact_seq) == contact_seq))
}

/// The message of a direction that a channel knows by `provider_id`, among the ids that all its messages share. Each
/// direction has ids of its own: a receiver of our messages on the generic webhook may use the same numbers as for the
/// messages of people.
pub fn find_by_provider_id(
    conn: &Conn,
    channel: &str,
    direction: Direction,
    provider_id: &str,
) -> Result<Option<MessageRow>> {
    let mut statement = conn.prepare_cached(select!(
        "messages AS m",
        "WHERE m.channel = ?1 AND m.direction = ?2 AND m.provider_id = ?3 AND m.sender = ''"
    ))?;
    Ok(statement.query_row((channel, direction, provider_id), read).optional()?)
}

/// The message of an id.
pub fn find_by_id(conn: &Conn, id: MessageId) -> Result<Option<MessageRow>> {
    Ok(conn.prepare_cached(select!("messages AS m", "WHERE m.id = ?1"))?.query_row([id], read).optional()?)
}

/// How many messages are queued, under way or in doubt, and when the oldest of them was queued.
pub fn waiting(conn: &Conn) -> Result<(u32, Option<Timestamp>)> {
    // The index of the lanes holds these rows alone, with all that is asked of them.
    let mut statement = conn.prepare_cached(WAITING_SQL)?;
    let (count, oldest): (u32, Option<i64>) = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(oldest) = oldest else { return Ok((count, None)) };
    let mut statement = conn.prepare_cached("SELECT created_at FROM messages WHERE seq = ?1")?;
    Ok((count, statement.query_row([oldest], |row| row.get(0)).optional()?))
}

const WAITING_SQL: &str = "SELECT COUNT(*), MIN(seq) FROM messages WHERE next_attempt_at IS NOT NULL";

/// The stages of a message that the channel has reported, in order, each with its time.
pub fn stages(conn: &Conn, seq: i64) -> Result<Vec<(String, Timestamp)>> {
    let mut statement =
        conn.prepare_cached("SELECT stage, at FROM message_stages WHERE message_seq = ?1 ORDER BY at, stage")?;
    let rows = statement.query_map([seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Records what took an inbound message, or why nothing did, and the session that took it.
pub fn set_handled(
    tx: &Tx<'_>,
    seq: i64,
    handled: Handling,
    reason: Option<&str>,
    session_seq: Option<i64>,
) -> Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET handled = ?2, reason = ?3, session_seq = ?4 WHERE seq = ?1 AND direction = 'in'",
    )?
    .execute((seq, handled, reason, session_seq))?;
    Ok(())
}

/// Records that a message got on after the channel took it. What made it fail before is forgotten.
pub fn set_progress(
    tx: &Tx<'_>,
    seq: i64,
    status: MessageStatus,
    accepted_at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET status = ?2, accepted_at = coalesce(accepted_at, ?3), reason = NULL, error = NULL,
             updated_at = ?4
         WHERE seq = ?1 AND direction = 'out'",
    )?
    .execute((seq, status, accepted_at, now))?;
    Ok(())
}

/// Records the price of a message, as the channel reports it. `true` if no price was recorded before.
pub fn set_pricing(tx: &Tx<'_>, seq: i64, pricing: &str) -> Result<bool> {
    let was_unknown: Option<bool> = tx
        .prepare_cached("SELECT pricing IS NULL FROM messages WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    tx.prepare_cached("UPDATE messages SET pricing = ?2 WHERE seq = ?1 AND pricing IS NOT ?2")?
        .execute((seq, pricing))?;
    Ok(was_unknown == Some(true))
}

/// Whether a person has written anything in a session, the message that started it included.
pub fn has_written_in(conn: &Conn, contact_seq: i64, session_seq: i64) -> Result<bool> {
    let mut statement = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM messages
         WHERE contact_seq = ?1 AND session_seq = ?2 AND direction = 'in'
             AND handled IN ('reply', 'keyword', 'fallback', 'late_reply', 'handoff'))",
    )?;
    Ok(statement.query_row((contact_seq, session_seq), |row| row.get(0))?)
}

/// Fails the messages of a session that have not been claimed yet, those of turns before `before_turn` or all of them,
/// and returns them as they are then. What waited behind them may go out.
pub fn fail_queued_of_session(
    tx: &Tx<'_>,
    session_seq: i64,
    before_turn: Option<u32>,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<OutboxRow>> {
    let mut statement = tx.prepare_cached(
        "UPDATE messages SET status = 'failed', reason = ?3, next_attempt_at = NULL, updated_at = ?4
         WHERE session_seq = ?1 AND status = 'queued' AND (?2 IS NULL OR turn < ?2)
         RETURNING seq",
    )?;
    let rows = statement.query_map((session_seq, before_turn, reason, now), |row| row.get(0))?;
    outbox::dropped(tx, &rows.collect::<rusqlite::Result<Vec<i64>>>()?, now)
}

/// When a contact last wrote a message that was handled so.
pub fn last_handled_at(conn: &Conn, contact_seq: i64, handled: Handling) -> Result<Option<Timestamp>> {
    let mut statement = conn.prepare_cached(
        "SELECT max(created_at) FROM messages INDEXED BY messages_by_contact
         WHERE contact_seq = ?1 AND direction = 'in' AND handled = ?2",
    )?;
    Ok(statement.query_row((contact_seq, handled), |row| row.get(0))?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        seq: row.get(0)?,
        id: row.get(1)?,
        contact_seq: row.get(2)?,
        contact_id: row.get(3)?,
        session_seq: row.get(4)?,
        session_id: row.get(5)?,
        turn: row.get(6)?,
        direction: row.get(7)?,
        channel: row.get(8)?,
        provider_id: row.get(9)?,
        kind: row.get(10)?,
        body: row.get(11)?,
        status: row.get(12)?,
        reason: row.get(13)?,
        handled: row.get(14)?,
        attempts: row.get(15)?,
        next_attempt_at: row.get(16)?,
        claimed_at: row.get(17)?,
        accepted_at: row.get(18)?,
        created_at: row.get(19)?,
        updated_at: row.get(20)?,
        origin: row.get(21)?,
        error: row.get(22)?,
        good_until: row.get(23)?,
        pricing: row.get(24)?,
        seen: row.get::<_, Option<_>>(25)?.map(|at| Ok::<_, rusqlite::Error>((at, row.get(26)?))).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::lists::{HEARD, NEWEST_RECEIVED, list_sql};
    use super::*;
    use crate::store::testing::{self, now};

    fn outgoing(n: u128, contact_seq: i64, session: Option<(i64, u32)>) -> NewOutgoing<'static> {
        NewOutgoing {
            id: MessageId(Uuid::from_u128(n)),
            contact_seq,
            session,
            channel: "webhook",
            kind: "text",
            body: "{\"text\":\"Hi\"}",
            status: MessageStatus::Queued,
            reason: None,
            next_attempt_at: Some(now()),
            origin: Origin::Flow,
            good_until: Some(now().plus(Duration::from_secs(60))),
            created_at: now(),
        }
    }

    fn inbound(n: u128, contact_seq: i64, provider_id: Option<&'static str>) -> NewInbound<'static> {
        NewInbound {
            id: MessageId(Uuid::from_u128(n)),
            contact_seq,
            session: None,
            channel: "webhook",
            provider_id,
            sender: "",
            kind: "text",
            body: "{}",
            handled: None,
            reason: None,
            created_at: now(),
        }
    }

    #[test]
    fn an_outgoing_message_comes_back_as_it_went() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let session_seq = testing::running(&tx);
        let seq = insert_outgoing(&tx, &outgoing(5, 1, Some((session_seq, 2)))).unwrap();
        let found = find_by_id(&tx, MessageId(Uuid::from_u128(5))).unwrap().unwrap();
        assert_eq!(
            found,
            MessageRow {
                seq,
                id: MessageId(Uuid::from_u128(5)),
                contact_seq: 1,
                contact_id: testing::contact_id(1),
                session_seq: Some(session_seq),
                session_id: Some(testing::session_id(1)),
                turn: Some(2),
                direction: Direction::Out,
                channel: "webhook".to_owned(),
                provider_id: None,
                kind: "text".to_owned(),
                body: "{\"text\":\"Hi\"}".to_owned(),
                status: MessageStatus::Queued,
                reason: None,
                handled: None,
                attempts: 0,
                next_attempt_at: Some(now()),
                claimed_at: None,
                accepted_at: None,
                created_at: now(),
                updated_at: now(),
                origin: Some(Origin::Flow),
                error: None,
                good_until: Some(now().plus(Duration::from_secs(60))),
                pricing: None,
                seen: None,
            }
        );
        let simulated = NewOutgoing { status: MessageStatus::Simulated, next_attempt_at: None, ..outgoing(6, 1, None) };
        insert_outgoing(&tx, &simulated).unwrap();
        let found = find_by_id(&tx, simulated.id).unwrap().unwrap();
        assert_eq!((found.status, found.session_id, found.turn), (MessageStatus::Simulated, None, None));
        let received = NewOutgoing { status: MessageStatus::Received, ..outgoing(7, 1, None) };
        assert!(insert_outgoing(&tx, &received).is_err(), "only what came in was received");
    }

    #[test]
    fn an_inbound_message_is_stored_once_and_routed() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let session_seq = testing::running(&tx);
        assert_eq!(find_by_provider_id(&tx, "webhook", Direction::In, "a").unwrap(), None);
        let seq = insert_inbound(&tx, &inbound(1, 1, Some("a"))).unwrap();
        assert!(insert_inbound(&tx, &inbound(2, 1, Some("a"))).is_err());
        insert_inbound(&tx, &NewInbound { channel: "whatsapp", ..inbound(3, 1, Some("a")) }).unwrap();
        for n in 4..6 {
            insert_inbound(&tx, &inbound(n, 1, None)).unwrap();
        }
        set_handled(&tx, seq, Handling::Reply, Some("matched"), Some(session_seq)).unwrap();
        let found = find_by_provider_id(&tx, "webhook", Direction::In, "a").unwrap().unwrap();
        assert_eq!((found.seq, found.direction, found.status), (seq, Direction::In, MessageStatus::Received));
        assert_eq!((found.handled, found.reason.as_deref()), (Some(Handling::Reply), Some("matched")));
        assert_eq!(found.session_id, Some(testing::session_id(1)));
        assert_eq!(find_by_provider_id(&tx, "webhook", Direction::Out, "a").unwrap(), None);
    }

    #[test]
    fn ending_a_session_fails_what_nobody_claimed() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let session_seq = testing::running(&tx);
        for (n, turn) in [(1, 1), (2, 2), (3, 3)] {
            insert_outgoing(&tx, &outgoing(n, 1, Some((session_seq, turn)))).unwrap();
        }
        insert_outgoing(&tx, &outgoing(4, 1, None)).unwrap();
        tx.execute("UPDATE messages SET status = 'sending' WHERE turn = 1", []).unwrap();
        let later = now().plus(Duration::from_secs(1));
        assert_eq!(fail_queued_of_session(&tx, session_seq, Some(3), "session_ended", later).unwrap().len(), 1);
        let status = |n| find_by_id(&tx, MessageId(Uuid::from_u128(n))).unwrap().unwrap().status;
        assert_eq!(
            [1, 2, 3, 4].map(status),
            [MessageStatus::Sending, MessageStatus::Failed, MessageStatus::Queued, MessageStatus::Queued]
        );
        let failed = find_by_id(&tx, MessageId(Uuid::from_u128(2))).unwrap().unwrap();
        assert_eq!((failed.reason.as_deref(), failed.next_attempt_at), (Some("session_ended"), None));
        assert_eq!(failed.updated_at, later);
        assert_eq!(fail_queued_of_session(&tx, session_seq, None, "session_ended", later).unwrap().len(), 1);
        assert_eq!(fail_queued_of_session(&tx, session_seq, None, "session_ended", later).unwrap().len(), 0);
        assert_eq!(status(4), MessageStatus::Queued, "it belongs to no session");
    }

    #[test]
    fn lists_come_in_pages_and_in_the_order_asked_for() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        testing::flow_and_contact(&tx);
        let seqs: Vec<i64> = (1..=4).map(|n| insert_outgoing(&tx, &outgoing(n, 1, None)).unwrap()).collect();
        let of = |rows: Vec<MessageRow>| rows.into_iter().map(|row| row.seq).collect::<Vec<_>>();
        assert_eq!(of(list_of_contact(&tx, 1, None, 3).unwrap()), [seqs[3], seqs[2], seqs[1]]);
        assert_eq!(of(list_of_contact(&tx, 1, Some(seqs[1]), 3).unwrap()), [seqs[0]]);
        assert_eq!(of(by_seqs(&tx, &[seqs[2], 99, seqs[0]]).unwrap()), [seqs[2], seqs[0]]);
        assert!(by_seqs(&tx, &[]).unwrap().is_empty());
    }

    #[test]
    fn a_list_gives_what_was_asked_for_and_looks_no_further_than_it_may() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        testing::flow_and_contact(&tx);
        let mut seqs = Vec::new();
        for n in 1..=6 {
            let (status, reason) =
                if n % 3 == 0 { (MessageStatus::Failed, Some("131047")) } else { (MessageStatus::Queued, None) };
            seqs.push(insert_outgoing(&tx, &NewOutgoing { status, reason, ..outgoing(n, 1, None) }).unwrap());
        }
        for (n, handled) in [(11, Handling::Reply), (12, Handling::Unrouted)] {
            let inbound = NewInbound { handled: Some(handled), ..inbound(n, 1, None) };
            seqs.push(insert_inbound(&tx, &inbound).unwrap());
        }
        let page = |which, reason, before, limit| {
            let (rows, next) = list(&tx, which, Filter { reason, is_seen: None }, before, limit).unwrap();
            (rows.into_iter().map(|row| row.seq).collect::<Vec<_>>(), next)
        };
        let [_, _, third, fourth, fifth, sixth, seventh, eighth] = seqs[..] else { panic!("{seqs:?}") };
        assert_eq!(page(Which::All, None, None, 3), (vec![eighth, seventh, sixth], Some(sixth)));
        assert_eq!(page(Which::All, None, Some(third), 3).1, None);
        assert_eq!(page(Which::Status(MessageStatus::Queued), None, None, 2), (vec![fifth, fourth], Some(fourth)));
        assert_eq!(page(Which::Status(MessageStatus::Failed), None, None, 9), (vec![sixth, third], None));
        assert_eq!(page(Which::Status(MessageStatus::Failed), Some("131047"), Some(sixth), 9), (vec![third], None));
        assert_eq!(page(Which::Status(MessageStatus::Failed), Some("other"), None, 9), (vec![], None));
        assert_eq!(page(Which::Status(MessageStatus::Received), None, None, 9), (vec![eighth, seventh], None));
        assert_eq!(page(Which::Unrouted, None, None, 9), (vec![eighth], None));
        assert_eq!(page(Which::Status(MessageStatus::Read), None, None, 9), (vec![], None));
        for n in 0..u128::from(MAX_SCANNED) {
            insert_outgoing(&tx, &outgoing(1_000 + n, 1, None)).unwrap();
        }
        assert_eq!(page(Which::Status(MessageStatus::Received), None, None, 9), (vec![], Some(eighth + 1)));
        assert_eq!(
            page(Which::Status(MessageStatus::Received), None, Some(eighth + 1), 9),
            (vec![eighth, seventh], None)
        );
        assert_eq!(page(Which::Unrouted, None, None, 9), (vec![eighth], None), "an index holds just these");
    }

    #[test]
    fn lists_are_read_from_an_index_or_newest_row_first() {
        let conn = testing::conn();
        for (which, index) in [
            (Which::All, "messages USING INTEGER PRIMARY KEY (rowid<?)"),
            (Which::Status(MessageStatus::Queued), "messages USING INTEGER PRIMARY KEY (rowid<?)"),
            (Which::Status(MessageStatus::Failed), "messages_failed (status=? AND rowid<?)"),
            (Which::Status(MessageStatus::Unknown), "messages_failed (status=? AND rowid<?)"),
            (Which::Unrouted, "messages_unrouted (handled=? AND rowid<?)"),
        ] {
            let plan = testing::plan(&conn, &list_sql(which));
            assert!(plan.contains(index) && !plan.contains("TEMP"), "{which:?}: {plan}");
        }
        let history = select!("messages AS m", "WHERE m.contact_seq = ?1 AND m.seq > ?2 ORDER BY m.seq LIMIT ?3");
        let plan = testing::plan(&conn, history);
        assert!(plan.contains("messages_by_contact") && !plan.contains("TEMP"), "{plan}");
    }

    #[test]
    fn no_query_of_the_hot_path_scans_or_sorts() {
        let conn = testing::conn();
        for (sql, index) in [
            (
                select!("messages AS m", "WHERE m.channel = ?1 AND m.direction = ?2 AND m.provider_id = ?3"),
                "messages_provider_id",
            ),
            (
                select!("messages AS m", "WHERE m.contact_seq = ?1 AND m.seq < ?2 ORDER BY m.seq DESC LIMIT ?3"),
                "messages_by_contact",
            ),
            (
                "UPDATE messages SET reason = ?3 WHERE session_seq = ?1 AND status = 'queued'
                 AND (?2 IS NULL OR turn < ?2)",
                "messages_queued_by_session",
            ),
            (
                "SELECT seq FROM messages WHERE status = 'queued' AND next_attempt_at <= ?1
                 ORDER BY next_attempt_at, seq LIMIT 64",
                "messages_outbox",
            ),
            ("SELECT seq FROM messages WHERE status = 'sending' AND claimed_at <= ?1", "messages_sending"),
            (NEWEST_RECEIVED, "messages_received (type=? AND rowid<?)"),
        ] {
            let plan = testing::plan(&conn, sql);
            assert!(plan.contains(index) && !plan.contains("SCAN") && !plan.contains("TEMP"), "{sql}: {plan}");
        }
    }

    #[test]
    fn what_a_contact_wrote_lately_is_found_without_reading_more() {
        let conn = testing::conn();
        let plan = testing::plan(&conn, HEARD);
        let (messages, rest) = plan.split_once("; ").unwrap();
        assert_eq!(messages, "SEARCH m USING INDEX messages_by_contact (contact_seq=?)");
        assert!(!rest.contains("SCAN") && !rest.contains("TEMP") && rest.contains("turns_by_session"), "{plan}");
    }
}
