//! What the way of a message from a person asks of several tables.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::outbox::OutboxRow;
use super::{Conn, Tx, outbox, sessions};
use crate::domain::{FlowId, Timestamp};
use crate::error::Result;

/// Sessions that [`lately_ended`] looks at for a flow that answers late replies.
const LATELY_ENDED: u32 = 20;

/// A word that starts a flow, as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeywordRow {
    /// The flow.
    pub flow_id: FlowId,
    /// The word.
    pub word: String,
}

/// A number that grows whenever any flow is published: with it, and only with it, a keyword may have come.
///
/// # Errors
/// When the database cannot be read.
pub fn publications(conn: &Conn) -> Result<i64> {
    let mut statement = conn.prepare_cached("SELECT coalesce(max(rowid), 0) FROM flow_versions")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// The keywords of all published flows, those of the flow that was published last first.
///
/// # Errors
/// When the database cannot be read.
pub fn keywords(conn: &Conn) -> Result<Vec<KeywordRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT f.id, k.value FROM flows AS f
         JOIN flow_versions AS v ON v.flow_seq = f.seq AND v.version = f.published_version
         JOIN json_each(v.document, '$.settings.keywords') AS k
         WHERE f.deleted_at IS NULL AND k.type = 'text'
         ORDER BY v.rowid DESC, k.key",
    )?;
    let rows = statement.query_map([], |row| Ok(KeywordRow { flow_id: row.get(0)?, word: row.get(1)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Sessions of a contact that ended within `span` before `now` and that nobody cancelled, the last to end first.
///
/// # Errors
/// When the database cannot be read.
pub fn lately_ended(
    conn: &Conn,
    contact_seq: i64,
    span: Duration,
    now: Timestamp,
) -> Result<Vec<sessions::StoredSession>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq FROM sessions INDEXED BY sessions_history
         WHERE contact_seq = ?1 AND status IN ('completed', 'expired', 'failed') AND ended_at > ?2
         ORDER BY ended_at DESC, seq DESC LIMIT ?3",
    )?;
    let seqs = statement.query_map((contact_seq, now.minus(span), LATELY_ENDED), |row| row.get(0))?;
    let mut ended = Vec::new();
    for seq in seqs.collect::<rusqlite::Result<Vec<i64>>>()? {
        ended.extend(sessions::find_by_seq(conn, seq)?);
    }
    Ok(ended)
}

/// A message from a contact, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardRow {
    /// When it came.
    pub at: Timestamp,
    /// What took it.
    pub handled: Option<String>,
    /// Why nothing did, or why what took it could do nothing with it.
    pub reason: Option<String>,
    /// A session began with it and went on by itself: a timer of it fired.
    pub went_on: bool,
}

/// Whether a session went on by itself is looked up of messages after `?3` alone, and not where it could have been another
/// session, which had begun before.
const HEARD: &str = "SELECT m.created_at, m.handled, m.reason,
        m.created_at > ?3 AND m.handled IN ('keyword', 'late_reply', 'fallback') AND EXISTS (
            SELECT 1 FROM sessions AS s JOIN turns AS t INDEXED BY turns_by_session ON t.session_seq = s.seq
            WHERE s.seq = m.session_seq AND s.started_at >= m.created_at
                AND t.record ->> '$.stimulus.type' IN ('timeout', 'expire'))
    FROM messages AS m INDEXED BY messages_by_contact
    WHERE m.contact_seq = ?1 AND m.direction = 'in' ORDER BY m.seq DESC LIMIT ?2";

/// What a contact wrote before `at`, the newest first, back to where it was silent for as long as `silence`; `limit` at
/// most. Which sessions went on by themselves is told of those that began less than `span` before `at`.
///
/// # Errors
/// When the database cannot be read.
pub fn heard_of(
    conn: &Conn,
    contact_seq: i64,
    at: Timestamp,
    (silence, span): (Duration, Duration),
    limit: u32,
) -> Result<Vec<HeardRow>> {
    let mut statement = conn.prepare_cached(HEARD)?;
    let mut rows = statement.query((contact_seq, limit, at.minus(span)))?;
    let (mut heard, mut after) = (Vec::new(), at);
    while let Some(row) = rows.next()? {
        let at: Timestamp = row.get(0)?;
        if at.plus(silence) <= after {
            break;
        }
        heard.push(HeardRow {
            at,
            handled: row.get(1)?,
            reason: row.get(2)?,
            went_on: row.get::<_, Option<_>>(3)?.unwrap_or(false),
        });
        after = after.min(at);
    }
    Ok(heard)
}

/// Since when automatic answers to a contact are counted, if an operator has let them go on.
///
/// # Errors
/// When the database cannot be read.
pub fn auto_replies_allowed_from(conn: &Conn, contact_seq: i64) -> Result<Option<Timestamp>> {
    let mut statement = conn.prepare_cached("SELECT auto_replies_from FROM contacts WHERE seq = ?1")?;
    Ok(statement.query_row([contact_seq], |row| row.get(0)).optional()?.flatten())
}

/// Counts automatic answers to a contact from now on.
///
/// # Errors
/// When the database refuses.
pub fn allow_auto_replies(tx: &Tx<'_>, contact_seq: i64, now: Timestamp) -> Result<()> {
    tx.prepare_cached("UPDATE contacts SET auto_replies_from = ?2 WHERE seq = ?1")?.execute((contact_seq, now))?;
    Ok(())
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
    outbox::dropped(tx, &rows.collect::<rusqlite::Result<Vec<i64>>>()?, now)
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
    outbox::dropped(tx, &rows.collect::<rusqlite::Result<Vec<i64>>>()?, now)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::super::flows::{self, NewDraft};
    use super::super::messages::{self, MessageStatus, NewOutgoing, Origin};
    use super::super::testing::{self, now};
    use super::*;
    use crate::domain::{FlowKind, MessageId, Session, Status};

    #[test]
    fn keywords_come_with_publishing_and_the_last_published_first() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        assert_eq!((publications(&tx).unwrap(), keywords(&tx).unwrap()), (0, Vec::new()));
        let mut seqs = Vec::new();
        for n in 1..=3 {
            let draft = NewDraft { kind: FlowKind::Flow, name: "F", document: "{}", actor: "a" };
            seqs.push(flows::save_draft(&tx, testing::flow_id(n), &draft, now()).unwrap());
        }
        let publish = |n: usize, words: serde_json::Value| {
            let document = json!({"settings": {"keywords": words}}).to_string();
            flows::publish(&tx, seqs[n], &document, None, "a", now()).unwrap();
        };
        publish(0, json!(["Menu", "help"]));
        publish(1, json!(["menu"]));
        flows::publish(&tx, seqs[2], "{}", None, "a", now()).unwrap();
        let before = publications(&tx).unwrap();
        publish(0, json!(["MENU"]));
        assert!(publications(&tx).unwrap() > before);
        let all =
            |tx: &Tx<'_>| keywords(tx).unwrap().into_iter().map(|row| (row.flow_id, row.word)).collect::<Vec<_>>();
        let (one, two) = (testing::flow_id(1), testing::flow_id(2));
        assert_eq!(all(&tx), [(one, "MENU".to_owned()), (two, "menu".to_owned())]);
        flows::unpublish(&tx, seqs[0], now()).unwrap();
        assert_eq!(all(&tx), [(two, "menu".to_owned())]);
    }

    #[test]
    fn sessions_that_ended_lately_are_found_unless_somebody_ended_them() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (flow_seq, contact_seq) = testing::flow_and_contact(&tx);
        let week = Duration::from_secs(7 * 24 * 3600);
        for (n, status, ago) in [
            (1, Status::Expired, 10),
            (2, Status::Completed, 5),
            (3, Status::Cancelled, 1),
            (4, Status::Failed, 20),
            (5, Status::Expired, 7 * 24 * 3600),
        ] {
            let ended_at = Some(now().minus(Duration::from_secs(ago)));
            let session = Session { status, ended_at, wait: None, ..testing::session(n) };
            sessions::insert(&tx, flow_seq, contact_seq, &session, None).unwrap();
        }
        let found = lately_ended(&tx, contact_seq, week, now()).unwrap();
        let ids: Vec<_> = found.into_iter().map(|stored| stored.session.id).collect();
        assert_eq!(ids, [2, 1, 4].map(testing::session_id));
    }

    #[test]
    fn what_a_contact_wrote_lately_is_found_without_reading_more() {
        let conn = testing::conn();
        let plan = testing::plan(&conn, HEARD);
        let (messages, rest) = plan.split_once("; ").unwrap();
        assert_eq!(messages, "SEARCH m USING INDEX messages_by_contact (contact_seq=?)");
        assert!(!rest.contains("SCAN") && !rest.contains("TEMP") && rest.contains("turns_by_session"), "{plan}");
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
