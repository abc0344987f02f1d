//! Sessions. Columns mirror what queries ask for; the rest of a [`Session`] is in `state`, and reading puts the two
//! together again without loss.

use std::borrow::Cow;
use std::collections::{BTreeMap, BinaryHeap};

use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::row_numbers::Numbered;
use super::values::Json;
use super::{Conn, Tx};
use crate::domain::{
    FlowId, FlowKind, Frame, KeptEvent, NodeId, Reply, Session, SessionId, SessionInput, Spoken, Status, Timestamp,
    Wait,
};
use crate::error::Result;

/// A session and its row.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSession {
    /// Row.
    pub seq: i64,
    /// Row of its flow.
    pub flow_seq: i64,
    /// Row of its contact.
    pub contact_seq: i64,
    /// When the channel took its last prompt; `None` before that.
    pub prompted_at: Option<Timestamp>,
    /// The session.
    pub session: Session,
}

/// What of a session has no column.
#[derive(Serialize, Deserialize)]
struct State<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<Cow<'a, Wait>>,
    seed: u64,
    draws: u64,
    visits: Cow<'a, BTreeMap<NodeId, u32>>,
    context: Cow<'a, Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Cow<'a, SessionInput>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept_events: Option<Cow<'a, [KeptEvent]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frames: Option<Cow<'a, [Frame]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spoken: Option<Cow<'a, [Spoken]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    undelivered: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queued_replies: Option<Cow<'a, [Reply]>>,
}

/// The columns that [`read`] takes. An index is named where the planner, which knows nothing of the sizes, would go
/// through a contact's whole history instead.
macro_rules! select {
    ($index:literal, $rest:literal) => {
        concat!(
            "SELECT s.seq, s.flow_seq, s.contact_seq, s.prompted_at, s.id, f.id, s.version, c.id, s.status, s.reason,
                s.outcome, s.current_node, s.turn, s.expires_at, s.started_at, s.last_interaction_at, s.ended_at, s.state
             FROM sessions AS s ",
            $index,
            " JOIN flows AS f ON f.seq = s.flow_seq JOIN contacts AS c ON c.seq = s.contact_seq ",
            $rest
        )
    };
}

/// The session that runs for a contact in a flow. There is at most one.
///
/// # Errors
/// When the database cannot be read.
pub fn find_running(conn: &Conn, flow_seq: i64, contact_seq: i64) -> Result<Option<StoredSession>> {
    let mut statement = conn.prepare_cached(select!(
        "INDEXED BY sessions_running",
        "WHERE s.contact_seq = ?2 AND s.flow_seq = ?1 AND s.status = 'running'"
    ))?;
    Ok(statement.query_row((flow_seq, contact_seq), read).optional()?)
}

/// The session of an id.
///
/// # Errors
/// When the database cannot be read.
pub fn find_by_id(conn: &Conn, id: SessionId) -> Result<Option<StoredSession>> {
    Ok(conn.prepare_cached(select!("", "WHERE s.id = ?1"))?.query_row([id], read).optional()?)
}

/// The session of a row.
///
/// # Errors
/// When the database cannot be read.
pub fn find_by_seq(conn: &Conn, seq: i64) -> Result<Option<StoredSession>> {
    Ok(conn.prepare_cached(select!("", "WHERE s.seq = ?1"))?.query_row([seq], read).optional()?)
}

/// All sessions that run for a contact, the last prompted first, those without a prompt last.
///
/// # Errors
/// When the database cannot be read.
pub fn running_of_contact(conn: &Conn, contact_seq: i64) -> Result<Vec<StoredSession>> {
    let mut statement = conn.prepare_cached(select!(
        "INDEXED BY sessions_running",
        "WHERE s.contact_seq = ?1 AND s.status = 'running' ORDER BY s.prompted_at DESC NULLS LAST, s.seq DESC"
    ))?;
    let rows = statement.query_map([contact_seq], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Sessions that run in a flow, in the order of their rows: those after the row `after`, with their rows.
///
/// # Errors
/// When the database cannot be read.
pub fn running_of_flow(conn: &Conn, flow_seq: i64, after: i64, limit: u32) -> Result<Vec<(i64, SessionId)>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id FROM sessions INDEXED BY sessions_by_flow
         WHERE flow_seq = ?1 AND status = 'running' AND seq > ?2 ORDER BY seq LIMIT ?3",
    )?;
    let rows = statement.query_map((flow_seq, after, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many sessions run in a flow, and how many of their messages have not gone out yet.
///
/// # Errors
/// When the database cannot be read.
pub fn count_running_of_flow(conn: &Conn, flow_seq: i64) -> Result<(i64, i64)> {
    let mut statement = conn.prepare_cached(COUNT_RUNNING)?;
    Ok(statement.query_row([flow_seq], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

const COUNT_RUNNING: &str = "
    SELECT count(*), coalesce(sum((
        SELECT count(*) FROM messages AS m INDEXED BY messages_queued_by_session
        WHERE m.session_seq = s.seq AND m.status = 'queued'
    )), 0)
    FROM sessions AS s INDEXED BY sessions_by_flow WHERE s.flow_seq = ?1 AND s.status = 'running'";

/// What a list of sessions is narrowed to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Row of the flow.
    pub flow_seq: Option<i64>,
    /// How they stand.
    pub status: Option<Status>,
    /// Row of the contact.
    pub contact_seq: Option<i64>,
}

/// Sessions, newest first: those before the row `before`.
///
/// # Errors
/// When the database cannot be read.
pub fn list(conn: &Conn, filter: &Filter, before: Option<i64>, limit: u32) -> Result<Vec<StoredSession>> {
    let before = before.unwrap_or(i64::MAX);
    let mut seqs = match filter {
        // A contact has few sessions.
        Filter { contact_seq: Some(contact_seq), flow_seq, status } => {
            let mut statement = conn.prepare_cached(
                "SELECT seq FROM sessions INDEXED BY sessions_history
                 WHERE contact_seq = ?1 AND (?2 IS NULL OR flow_seq = ?2) AND (?3 IS NULL OR status = ?3) AND seq < ?4
                 ORDER BY seq DESC LIMIT ?5",
            )?;
            rows_of(&mut statement, (contact_seq, flow_seq, status, before, limit))?
        }
        Filter { contact_seq: None, flow_seq: None, status: None } => {
            let mut statement =
                conn.prepare_cached("SELECT seq FROM sessions WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2")?;
            rows_of(&mut statement, (before, limit))?
        }
        // The index is in order only within a flow and a status, so each such run gives its newest.
        Filter { contact_seq: None, flow_seq, status } => {
            let flows = match flow_seq {
                Some(flow_seq) => vec![*flow_seq],
                None => super::flows::all_seqs(conn)?,
            };
            let mut statement = conn.prepare_cached(
                "SELECT seq FROM sessions INDEXED BY sessions_by_flow
                 WHERE flow_seq = ?1 AND status = ?2 AND seq < ?3 ORDER BY seq DESC LIMIT ?4",
            )?;
            let mut seqs = Vec::new();
            for flow_seq in flows {
                for status in Status::ALL.iter().filter(|one| status.is_none_or(|wanted| wanted == **one)) {
                    seqs.extend(rows_of(&mut statement, (flow_seq, status, before, limit))?);
                }
            }
            seqs
        }
    };
    seqs.sort_unstable_by(|a, b| b.cmp(a));
    seqs.truncate(limit as usize);
    let mut found = Vec::with_capacity(seqs.len());
    for seq in seqs {
        found.extend(find_by_seq(conn, seq)?);
    }
    Ok(found)
}

/// The newest of a flow's sessions of one status, before a row.
const NEWEST_OF_RUN: &str = "SELECT seq FROM sessions INDEXED BY sessions_by_flow
    WHERE flow_seq = ?1 AND status = ?2 AND seq < ?3 ORDER BY seq DESC LIMIT 1";

/// The newest sessions of all flows of a kind, or of one of them, without those of people who are being erased. It looks
/// once at each flow and status, and once more at that of each session that it gives.
///
/// # Errors
/// When the database cannot be read.
pub fn newest_of_kind(conn: &Conn, kind: FlowKind, flow_seq: Option<i64>, limit: u32) -> Result<Vec<StoredSession>> {
    let mut flows = conn.prepare_cached("SELECT seq FROM flows WHERE kind = ?1 AND (?2 IS NULL OR seq = ?2)")?;
    let mut newest = conn.prepare_cached(NEWEST_OF_RUN)?;
    let mut being_erased = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM erasures WHERE contact_seq = ?1)")?;
    let mut heads = BinaryHeap::new();
    for flow in rows_of(&mut flows, (kind, flow_seq))? {
        for (index, status) in Status::ALL.iter().enumerate() {
            let head = newest.query_row((flow, status, i64::MAX), |row| row.get(0)).optional()?;
            heads.extend(head.map(|seq: i64| (seq, flow, index)));
        }
    }
    let mut found: Vec<StoredSession> = Vec::new();
    while found.len() < limit as usize
        && let Some((seq, flow, index)) = heads.pop()
    {
        let next = newest.query_row((flow, Status::ALL[index], seq), |row| row.get(0)).optional()?;
        heads.extend(next.map(|seq: i64| (seq, flow, index)));
        // One that ends meanwhile may stand in two places.
        if found.last().is_some_and(|last| last.seq == seq) {
            continue;
        }
        if let Some(stored) = find_by_seq(conn, seq)?
            && !being_erased.query_row([stored.contact_seq], |row| row.get::<_, bool>(0))?
        {
            found.push(stored);
        }
    }
    Ok(found)
}

/// Running sessions that a person has taken over, newest first: those before the row `before`.
///
/// # Errors
/// When the database cannot be read.
pub fn list_in_handoff(conn: &Conn, filter: &Filter, before: Option<i64>, limit: u32) -> Result<Vec<StoredSession>> {
    let Filter { contact_seq, flow_seq, status } = filter;
    if status.is_some_and(|status| status != Status::Running) {
        return Ok(Vec::new());
    }
    let mut statement = conn.prepare_cached(
        "SELECT seq FROM sessions INDEXED BY sessions_in_handoff
         WHERE status = 'running' AND waiting_for = 'handoff' AND (?1 IS NULL OR flow_seq = ?1)
             AND (?2 IS NULL OR contact_seq = ?2) AND seq < ?3
         ORDER BY seq DESC LIMIT ?4",
    )?;
    let seqs = rows_of(&mut statement, (flow_seq, contact_seq, before.unwrap_or(i64::MAX), limit))?;
    let mut found = Vec::with_capacity(seqs.len());
    for seq in seqs {
        found.extend(find_by_seq(conn, seq)?);
    }
    Ok(found)
}

fn rows_of(statement: &mut rusqlite::Statement<'_>, params: impl rusqlite::Params) -> Result<Vec<i64>> {
    let rows = statement.query_map(params, |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Where a session stands in [`list_of_contact`]. The default comes before all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Row of its flow.
    pub flow_seq: i64,
    /// Its row.
    pub seq: i64,
}

/// Sessions of a contact, by flow and then oldest first, after a place. A page may be short where another flow begins;
/// only an empty one is the end.
///
/// # Errors
/// When the database cannot be read.
pub fn list_of_contact(conn: &Conn, contact_seq: i64, after: Place, limit: u32) -> Result<Vec<StoredSession>> {
    let Place { flow_seq, seq } = after;
    let mut in_flow = conn.prepare_cached(select!(
        "INDEXED BY sessions_history",
        "WHERE s.contact_seq = ?1 AND s.flow_seq = ?2 AND s.seq > ?3 ORDER BY s.seq LIMIT ?4"
    ))?;
    let rows = in_flow.query_map((contact_seq, flow_seq, seq, limit), read)?.collect::<rusqlite::Result<Vec<_>>>()?;
    if !rows.is_empty() {
        return Ok(rows);
    }
    let mut next_flow = conn.prepare_cached(
        "SELECT flow_seq FROM sessions INDEXED BY sessions_history WHERE contact_seq = ?1 AND flow_seq > ?2
         ORDER BY flow_seq LIMIT 1",
    )?;
    let next: Option<i64> = next_flow.query_row((contact_seq, flow_seq), |row| row.get(0)).optional()?;
    let Some(next) = next else { return Ok(Vec::new()) };
    let rows = in_flow.query_map((contact_seq, next, 0, limit), read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The last session of a contact in a flow that ended, and when.
///
/// # Errors
/// When the database cannot be read.
pub fn last_ended(conn: &Conn, flow_seq: i64, contact_seq: i64) -> Result<Option<(SessionId, Timestamp)>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, ended_at FROM sessions
         WHERE contact_seq = ?2 AND flow_seq = ?1 AND status <> 'running' AND ended_at IS NOT NULL
         ORDER BY seq DESC LIMIT 1",
    )?;
    Ok(statement.query_row((flow_seq, contact_seq), |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Inserts a session and answers its row.
///
/// # Errors
/// When the database refuses, as it does if the contact has a running session in the flow: look before you insert.
pub fn insert(
    tx: &Tx<'_>,
    flow_seq: i64,
    contact_seq: i64,
    session: &Session,
    prompted_at: Option<Timestamp>,
) -> Result<i64> {
    let wait = session.wait.as_ref();
    let seq = tx.next_seq(Numbered::Sessions)?;
    tx.prepare_cached(
        "INSERT INTO sessions (seq, id, flow_seq, version, contact_seq, status, reason, outcome, current_node, waiting_for,
             wake_at, expires_at, due_at, turn, prompted_at, state, started_at, last_interaction_at, ended_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
    )?
    .execute(params![
        seq,
        session.id,
        flow_seq,
        session.version,
        contact_seq,
        session.status,
        session.reason,
        session.outcome,
        session.current_node,
        wait.map(|wait| wait.kind),
        wait.and_then(|wait| wait.wake_at),
        session.expires_at,
        session.due_at(),
        session.turn,
        prompted_at,
        Json(state_of(session)),
        session.started_at,
        session.last_interaction_at,
        session.ended_at,
    ])?;
    Ok(seq)
}

/// Writes a session over its row. What a session keeps for life (ids, version, start) is not written.
///
/// # Errors
/// When the database refuses.
pub fn update(tx: &Tx<'_>, seq: i64, session: &Session, prompted_at: Option<Timestamp>) -> Result<()> {
    let wait = session.wait.as_ref();
    tx.prepare_cached(
        "UPDATE sessions SET status = ?2, reason = ?3, outcome = ?4, current_node = ?5, waiting_for = ?6, wake_at = ?7,
             expires_at = ?8, due_at = ?9, turn = ?10, prompted_at = ?11, state = ?12, last_interaction_at = ?13,
             ended_at = ?14
         WHERE seq = ?1",
    )?
    .execute(params![
        seq,
        session.status,
        session.reason,
        session.outcome,
        session.current_node,
        wait.map(|wait| wait.kind),
        wait.and_then(|wait| wait.wake_at),
        session.expires_at,
        session.due_at(),
        session.turn,
        prompted_at,
        Json(state_of(session)),
        session.last_interaction_at,
        session.ended_at,
    ])?;
    Ok(())
}

/// The rows of running sessions that fall due at `until` or before, with their times, in the order in which they fall
/// due.
///
/// # Errors
/// When the database cannot be read.
pub fn due(conn: &Conn, until: Timestamp, limit: u32) -> Result<Vec<(i64, Timestamp)>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, due_at FROM sessions WHERE status = 'running' AND due_at <= ?1 ORDER BY due_at, seq LIMIT ?2",
    )?;
    let rows = statement.query_map((until, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// When the next running session falls due.
///
/// # Errors
/// When the database cannot be read.
pub fn next_due(conn: &Conn) -> Result<Option<Timestamp>> {
    let mut statement = conn.prepare_cached(
        "SELECT due_at FROM sessions WHERE status = 'running' AND due_at IS NOT NULL ORDER BY due_at LIMIT 1",
    )?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

/// A session that [`mark_failed`] or [`mark_cancelled`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// Its row.
    pub seq: i64,
    /// Row of its flow.
    pub flow_seq: i64,
    /// The version that it was on.
    pub version: u32,
    /// The last turn that it took.
    pub turn: u32,
    /// Its id.
    pub id: SessionId,
    /// Its flow's id.
    pub flow_id: FlowId,
    /// Row of its contact.
    pub contact_seq: i64,
}

/// Fails a running session that cannot even be read or stepped, without reading it, if it is (still) due. `None` if it
/// has ended or is not due.
///
/// # Errors
/// When the database refuses.
pub fn mark_failed(tx: &Tx<'_>, seq: i64, reason: &str, now: Timestamp) -> Result<Option<Marked>> {
    // The state may be what cannot be read, and then it stays as it is.
    let mut statement = tx.prepare_cached(
        "UPDATE sessions SET status = 'failed', reason = ?2, waiting_for = NULL, wake_at = NULL, expires_at = NULL,
             due_at = NULL, ended_at = ?3,
             state = CASE WHEN json_valid(state)
                 THEN json_remove(state, '$.wait', '$.kept_events', '$.queued_replies') ELSE state END
         WHERE seq = ?1 AND status = 'running' AND due_at <= ?3
         RETURNING seq, flow_seq, version, turn, id, (SELECT id FROM flows WHERE flows.seq = flow_seq), contact_seq",
    )?;
    Ok(statement.query_row((seq, reason, now), read_marked).optional()?)
}

/// Cancels a running session of a contact without reading it, whichever comes first. `None` if none runs.
///
/// # Errors
/// When the database refuses.
pub fn mark_cancelled(tx: &Tx<'_>, contact_seq: i64, reason: &str, now: Timestamp) -> Result<Option<Marked>> {
    let mut statement = tx.prepare_cached(
        "UPDATE sessions SET status = 'cancelled', reason = ?2, waiting_for = NULL, wake_at = NULL, expires_at = NULL,
             due_at = NULL, ended_at = ?3,
             state = CASE WHEN json_valid(state)
                 THEN json_remove(state, '$.wait', '$.kept_events', '$.queued_replies') ELSE state END
         WHERE seq = (SELECT seq FROM sessions INDEXED BY sessions_running
                      WHERE contact_seq = ?1 AND status = 'running' LIMIT 1)
         RETURNING seq, flow_seq, version, turn, id, (SELECT id FROM flows WHERE flows.seq = flow_seq), contact_seq",
    )?;
    Ok(statement.query_row((contact_seq, reason, now), read_marked).optional()?)
}

/// Fails a session that had completed, because what it said in its last turn could not be delivered, and gives when it
/// had ended. `None` if it has not completed.
///
/// # Errors
/// When the database refuses.
pub fn mark_undelivered(tx: &Tx<'_>, seq: i64, code: &str) -> Result<Option<(Marked, Timestamp)>> {
    let mut statement = tx.prepare_cached(
        "UPDATE sessions SET status = 'failed', reason = ?2
         WHERE seq = ?1 AND status = 'completed' AND ended_at IS NOT NULL
         RETURNING seq, flow_seq, version, turn, id, (SELECT id FROM flows WHERE flows.seq = flow_seq), contact_seq,
             ended_at",
    )?;
    Ok(statement.query_row((seq, code), |row| Ok((read_marked(row)?, row.get(7)?))).optional()?)
}

/// Cancels one running session without reading it. `None` if it does not run.
///
/// # Errors
/// When the database refuses.
pub(super) fn mark_one_cancelled(tx: &Tx<'_>, seq: i64, reason: &str, now: Timestamp) -> Result<Option<Marked>> {
    let mut statement = tx.prepare_cached(
        "UPDATE sessions SET status = 'cancelled', reason = ?2, waiting_for = NULL, wake_at = NULL, expires_at = NULL,
             due_at = NULL, ended_at = ?3,
             state = CASE WHEN json_valid(state)
                 THEN json_remove(state, '$.wait', '$.kept_events', '$.queued_replies') ELSE state END
         WHERE seq = ?1 AND status = 'running'
         RETURNING seq, flow_seq, version, turn, id, (SELECT id FROM flows WHERE flows.seq = flow_seq), contact_seq",
    )?;
    Ok(statement.query_row((seq, reason, now), read_marked).optional()?)
}

fn read_marked(row: &Row<'_>) -> rusqlite::Result<Marked> {
    Ok(Marked {
        seq: row.get(0)?,
        flow_seq: row.get(1)?,
        version: row.get(2)?,
        turn: row.get(3)?,
        id: row.get(4)?,
        flow_id: row.get(5)?,
        contact_seq: row.get(6)?,
    })
}

fn state_of(session: &Session) -> State<'_> {
    State {
        wait: session.wait.as_ref().map(Cow::Borrowed),
        seed: session.seed,
        draws: session.draws,
        visits: Cow::Borrowed(&session.visits),
        context: Cow::Borrowed(&session.context),
        input: session.input.as_ref().map(Cow::Borrowed),
        kept_events: unless_empty(&session.kept_events),
        frames: unless_empty(&session.frames),
        spoken: unless_empty(&session.spoken),
        undelivered: session.undelivered.as_deref().map(Cow::Borrowed),
        queued_replies: unless_empty(&session.queued_replies),
    }
}

fn unless_empty<T: Clone>(items: &[T]) -> Option<Cow<'_, [T]>> {
    (!items.is_empty()).then_some(Cow::Borrowed(items))
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredSession> {
    let Json::<State<'static>>(state) = row.get(17)?;
    let session = Session {
        id: row.get(4)?,
        flow_id: row.get(5)?,
        version: row.get(6)?,
        contact_id: row.get(7)?,
        status: row.get(8)?,
        reason: row.get(9)?,
        outcome: row.get(10)?,
        current_node: row.get(11)?,
        wait: state.wait.map(Cow::into_owned),
        turn: row.get(12)?,
        seed: state.seed,
        draws: state.draws,
        visits: state.visits.into_owned(),
        context: state.context.into_owned(),
        input: state.input.map(Cow::into_owned),
        kept_events: state.kept_events.map(Cow::into_owned).unwrap_or_default(),
        frames: state.frames.map(Cow::into_owned).unwrap_or_default(),
        spoken: state.spoken.map(Cow::into_owned).unwrap_or_default(),
        undelivered: state.undelivered.map(Cow::into_owned),
        queued_replies: state.queued_replies.map(Cow::into_owned).unwrap_or_default(),
        expires_at: row.get(13)?,
        started_at: row.get(14)?,
        last_interaction_at: row.get(15)?,
        ended_at: row.get(16)?,
    };
    Ok(StoredSession {
        seq: row.get(0)?,
        flow_seq: row.get(1)?,
        contact_seq: row.get(2)?,
        prompted_at: row.get(3)?,
        session,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::{self, now};
    use super::*;
    use crate::domain::{FlowPin, MessageOption, ReplyKind, Status, WaitKind};

    fn at(seconds: u64) -> Timestamp {
        now().plus(Duration::from_secs(seconds))
    }

    fn option(id: &str, description: Option<&str>) -> MessageOption {
        MessageOption {
            id: id.to_owned(),
            title: "Überall \"5€\"".to_owned(),
            description: description.map(str::to_owned),
        }
    }

    #[test]
    fn the_newest_of_a_kind_are_found_without_a_scan() {
        let conn = testing::conn();
        let plan = testing::plan(&conn, NEWEST_OF_RUN);
        let index = "sessions_by_flow (flow_seq=? AND status=? AND rowid<?)";
        assert!(plan.contains(index) && !plan.contains("SCAN") && !plan.contains("TEMP"), "{plan}");

        let tx = Tx::new(&conn);
        let (flow, contact) = testing::flow_and_contact(&tx);
        let other = testing::flow(&tx, 2);
        let mut rows = Vec::new();
        for n in 0..12_u32 {
            let mut session = testing::session(100 + u128::from(n));
            session.status = if n == 11 { Status::Running } else { Status::ALL[1 + n as usize % 4] };
            rows.push(insert(&tx, if n % 3 == 0 { other } else { flow }, contact, &session, None).unwrap());
        }
        rows.reverse();
        let seqs = |kind, flow_seq, limit| -> Vec<i64> {
            let found = newest_of_kind(&tx, kind, flow_seq, limit).unwrap();
            found.iter().map(|row| row.seq).collect()
        };
        assert_eq!(seqs(FlowKind::Flow, None, 100), rows);
        assert_eq!(seqs(FlowKind::Flow, None, 5), rows[..5]);
        let of_other: Vec<i64> = rows.iter().rev().step_by(3).copied().collect();
        assert_eq!(seqs(FlowKind::Flow, Some(other), 100), of_other.into_iter().rev().collect::<Vec<_>>());
        assert_eq!(seqs(FlowKind::Sequence, None, 100), [] as [i64; 0]);
        assert_eq!(seqs(FlowKind::Sequence, Some(flow), 100), [] as [i64; 0]);
        let being_erased = super::super::contacts::find_by_seq(&tx, contact).unwrap().unwrap().contact.id;
        tx.execute(
            "INSERT INTO erasures (contact_seq, contact_id, begun_at) VALUES (?1, ?2, 0)",
            params![contact, being_erased],
        )
        .unwrap();
        assert_eq!(seqs(FlowKind::Flow, None, 100), [] as [i64; 0]);
    }

    fn odd(n: u128) -> Session {
        Session {
            reason: Some("an odd 'reason'".to_owned()),
            outcome: Some(String::new()),
            current_node: Some("ask_1-a".parse().unwrap()),
            wait: Some(Wait {
                kind: WaitKind::Reply,
                entered_in: 3,
                armed_in: u32::MAX,
                attempts: 2,
                wake_at: Some(Timestamp::from_millis(i64::MAX)),
                timeout: Some(u64::MAX),
                moment: Some(at(4)),
                asked_at: Some(at(2)),
                options: vec![option("yes", None), option("no", Some("\u{0}\u{1F600}"))],
            }),
            turn: 500,
            seed: u64::MAX,
            draws: 1 << 63,
            visits: BTreeMap::from([("a".parse().unwrap(), 1), ("ask_1-a".parse().unwrap(), u32::MAX)]),
            context: json!({
                "zulu": null, "alpha": [1, -1, 1.5, 0.1, 1e300, i64::MIN, u64::MAX, "", {"": {}}],
                "text": "line\nend \u{2028} \u{0} \\ \"",
            })
            .as_object()
            .unwrap()
            .clone(),
            input: Some(SessionInput::of(
                ReplyKind::Tap,
                None,
                Some("yes"),
                Some(&serde_json::json!({"referral": {"source_id": "1"}, "referred_product": {"catalog_id": "2"}})),
            )),
            kept_events: vec![KeptEvent { name: "order.paid".parse().unwrap(), payload: json!({"total": [0.1]}) }],
            frames: vec![Frame {
                id: 2,
                flow: FlowPin { id: testing::flow_id(9), version: 3 },
                returns: false,
                current_node: Some("sub".parse().unwrap()),
                visits: BTreeMap::from([("sub".parse().unwrap(), 2)]),
                context: json!({"z": 1, "a": 0.1}).as_object().unwrap().clone(),
            }],
            spoken: vec![Spoken { node: "sub".parse().unwrap(), frame: 2 }],
            undelivered: Some("131026".to_owned()),
            queued_replies: vec![Reply {
                kind: ReplyKind::Text,
                text: Some("early".to_owned()),
                option: None,
                payload: Some(json!({"n": [0.1]})),
                answers_turn: Some(4),
                received_at: at(7),
            }],
            expires_at: Some(at(1800)),
            ..testing::session(n)
        }
    }

    fn end(tx: &Tx<'_>, seq: i64) {
        tx.execute("UPDATE sessions SET status = 'completed', due_at = NULL WHERE seq = ?1", [seq]).unwrap();
    }

    #[test]
    fn a_session_comes_back_as_it_went() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (flow_seq, contact_seq) = testing::flow_and_contact(&tx);
        let session = odd(1);
        let seq = insert(&tx, flow_seq, contact_seq, &session, None).unwrap();
        let mut stored = StoredSession { seq, flow_seq, contact_seq, prompted_at: None, session };
        assert_eq!(find_by_id(&tx, stored.session.id).unwrap().as_ref(), Some(&stored));
        assert_eq!(find_running(&tx, flow_seq, contact_seq).unwrap().as_ref(), Some(&stored));
        assert_eq!(find_running(&tx, flow_seq + 1, contact_seq).unwrap(), None);
        let columns = |tx: &Tx<'_>| {
            tx.query_row("SELECT waiting_for, wake_at, due_at FROM sessions", [], |row| {
                Ok((row.get::<_, Option<String>>(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap()
        };
        let wake_at = Some(Timestamp::from_millis(i64::MAX));
        assert_eq!(columns(&tx), (Some("reply".to_owned()), wake_at, Some(at(1800))));

        let session = &mut stored.session;
        *session = Session {
            wait: None,
            input: None,
            kept_events: Vec::new(),
            frames: Vec::new(),
            spoken: Vec::new(),
            undelivered: None,
            queued_replies: Vec::new(),
            current_node: None,
            expires_at: None,
            ..session.clone()
        };
        (session.status, session.ended_at, session.turn) = (Status::Completed, Some(at(5)), 501);
        session.context.shift_remove("zulu");
        stored.prompted_at = Some(at(1));
        update(&tx, seq, &stored.session, stored.prompted_at).unwrap();
        assert_eq!(find_by_seq(&tx, seq).unwrap().as_ref(), Some(&stored));
        assert_eq!(find_running(&tx, flow_seq, contact_seq).unwrap(), None);
        assert_eq!(columns(&tx), (None, None, None));
    }

    proptest! {
        #[test]
        fn numbers_come_back_to_the_last_bit(number in any::<f64>().prop_filter("JSON has no other", |n| n.is_finite())) {
            let conn = testing::conn();
            let tx = Tx::new(&conn);
            let (flow_seq, contact_seq) = testing::flow_and_contact(&tx);
            let mut session = testing::session(1);
            session.context.insert("n".to_owned(), number.into());
            let seq = insert(&tx, flow_seq, contact_seq, &session, None).unwrap();
            prop_assert_eq!(find_by_seq(&tx, seq).unwrap().unwrap().session, session);
        }
    }

    #[test]
    fn a_history_comes_by_flow_and_ends_with_an_empty_page() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (flow_seq, contact_seq) = testing::flow_and_contact(&tx);
        let other_flow = testing::flow(&tx, 2);
        let mut seqs = Vec::new();
        for (n, flow) in [(1, flow_seq), (2, other_flow), (3, flow_seq), (4, flow_seq), (5, other_flow)] {
            let ended = Session { status: Status::Completed, ended_at: Some(at(n as u64)), ..testing::session(n) };
            seqs.push(insert(&tx, flow, contact_seq, &ended, None).unwrap());
        }
        let (mut listed, mut after) = (Vec::new(), Place::default());
        loop {
            let page = list_of_contact(&tx, contact_seq, after, 2).unwrap();
            let Some(last) = page.last() else { break };
            after = Place { flow_seq: last.flow_seq, seq: last.seq };
            listed.extend(page.into_iter().map(|stored| stored.seq));
        }
        assert_eq!(listed, [seqs[0], seqs[2], seqs[3], seqs[1], seqs[4]]);
        assert!(list_of_contact(&tx, contact_seq + 1, Place::default(), 2).unwrap().is_empty());
        for sql in [
            select!(
                "INDEXED BY sessions_history",
                "WHERE s.contact_seq = ?1 AND s.flow_seq = ?2 AND s.seq > ?3 ORDER BY s.seq LIMIT ?4"
            ),
            "SELECT flow_seq FROM sessions INDEXED BY sessions_history WHERE contact_seq = ?1 AND flow_seq > ?2
             ORDER BY flow_seq LIMIT 1",
            "SELECT seq FROM sessions INDEXED BY sessions_running WHERE contact_seq = ?1 AND status = 'running' LIMIT 1",
        ] {
            let plan = testing::plan(&conn, sql);
            assert!(!plan.contains("SCAN") && !plan.contains("TEMP"), "{sql}: {plan}");
        }
    }

    #[test]
    fn a_session_is_cancelled_without_being_read() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let seq = testing::running(&tx);
        tx.execute("UPDATE sessions SET state = 'no JSON', turn = 7", []).unwrap();
        let marked = mark_cancelled(&tx, 1, "erased", at(1)).unwrap();
        assert_eq!(
            marked.map(|marked| (marked.seq, marked.flow_seq, marked.version, marked.turn)),
            Some((seq, 1, 1, 7))
        );
        assert_eq!(mark_cancelled(&tx, 1, "erased", at(1)).unwrap(), None);
        let row = tx.query_row("SELECT status, reason, due_at, ended_at FROM sessions WHERE seq = ?1", [seq], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<i64>>(2)?, row.get(3)?))
        });
        assert_eq!(row.unwrap(), ("cancelled".to_owned(), "erased".to_owned(), None, at(1)));

        insert(&tx, 1, 1, &odd(2), None).unwrap();
        mark_cancelled(&tx, 1, "erased", at(2)).unwrap();
        let cancelled = find_by_id(&tx, testing::session_id(2)).unwrap().unwrap().session;
        let (status, reason) = (Status::Cancelled, Some("erased".to_owned()));
        let (kept_events, queued_replies) = (Vec::new(), Vec::new());
        let nothing_ahead = Session { wait: None, kept_events, queued_replies, expires_at: None, ..odd(2) };
        assert_eq!(cancelled, Session { status, reason, ended_at: Some(at(2)), ..nothing_ahead });
    }

    #[test]
    fn the_index_refuses_a_second_running_session() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (flow_seq, contact_seq) = testing::flow_and_contact(&tx);
        let seq = insert(&tx, flow_seq, contact_seq, &testing::session(1), None).unwrap();
        let refused = insert(&tx, flow_seq, contact_seq, &testing::session(2), None).unwrap_err();
        assert!(refused.to_string().contains("UNIQUE"), "{refused}");
        end(&tx, seq);
        insert(&tx, flow_seq, contact_seq, &testing::session(3), None).unwrap();
    }

    #[test]
    fn the_last_prompted_comes_first() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (_, contact_seq) = testing::flow_and_contact(&tx);
        for (n, prompted_at) in [(1, None), (2, Some(at(1))), (3, Some(at(9))), (4, Some(at(1))), (5, None)] {
            let flow_seq = testing::flow(&tx, 10 + n);
            insert(&tx, flow_seq, contact_seq, &testing::session(n), prompted_at).unwrap();
        }
        let ended = find_by_id(&tx, testing::session_id(3)).unwrap().unwrap();
        end(&tx, ended.seq);
        let ids: Vec<_> = running_of_contact(&tx, contact_seq).unwrap().iter().map(|found| found.session.id).collect();
        assert_eq!(ids, [4, 2, 5, 1].map(testing::session_id));
    }

    #[test]
    fn the_last_ended_is_the_last_started() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (flow_seq, contact_seq) = testing::flow_and_contact(&tx);
        assert_eq!(last_ended(&tx, flow_seq, contact_seq).unwrap(), None);
        for n in 1..=3 {
            let ended = Session { status: Status::Expired, ended_at: Some(at(10)), ..testing::session(n) };
            insert(&tx, flow_seq, contact_seq, &ended, None).unwrap();
        }
        insert(&tx, flow_seq, contact_seq, &testing::session(4), None).unwrap();
        assert_eq!(last_ended(&tx, flow_seq, contact_seq).unwrap(), Some((testing::session_id(3), at(10))));
        assert_eq!(last_ended(&tx, flow_seq + 1, contact_seq).unwrap(), None);
    }

    #[test]
    fn timers_come_in_due_order() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (_, contact_seq) = testing::flow_and_contact(&tx);
        assert_eq!(next_due(&tx).unwrap(), None);
        let mut seqs = Vec::new();
        for (n, expires_at) in [(1, Some(at(30))), (2, None), (3, Some(at(10))), (4, Some(at(10))), (5, Some(at(99)))] {
            let session = Session { expires_at, ..testing::session(n) };
            let flow_seq = testing::flow(&tx, 10 + n);
            seqs.push(insert(&tx, flow_seq, contact_seq, &session, None).unwrap());
        }
        assert_eq!(next_due(&tx).unwrap(), Some(at(10)));
        assert_eq!(due(&tx, at(30), 9).unwrap(), [(seqs[2], at(10)), (seqs[3], at(10)), (seqs[0], at(30))]);
        assert_eq!(due(&tx, at(30), 1).unwrap(), [(seqs[2], at(10))]);
        for seq in [seqs[2], seqs[3]] {
            assert_eq!(mark_failed(&tx, seq, "bug", at(9)).unwrap(), None, "it is not due");
            assert!(mark_failed(&tx, seq, "bug", at(10)).unwrap().is_some());
        }
        assert_eq!(next_due(&tx).unwrap(), Some(at(30)));
        assert_eq!(due(&tx, at(29), 9).unwrap(), []);
    }

    #[test]
    fn a_session_that_cannot_be_read_can_be_failed() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (flow_seq, contact_seq) = testing::flow_and_contact(&tx);
        let seq = insert(&tx, flow_seq, contact_seq, &odd(1), None).unwrap();
        tx.execute("UPDATE sessions SET state = '{'", []).unwrap();
        assert!(find_by_seq(&tx, seq).is_err());
        let marked = mark_failed(&tx, seq, "unreadable", at(9999)).unwrap().unwrap();
        assert_eq!((marked.flow_seq, marked.version), (flow_seq, odd(1).version));
        assert_eq!(mark_failed(&tx, seq, "unreadable", at(9999)).unwrap(), None, "it has ended");

        let seq = insert(&tx, flow_seq, contact_seq, &odd(2), None).unwrap();
        mark_failed(&tx, seq, "bug", at(9999)).unwrap();
        let failed = find_by_seq(&tx, seq).unwrap().unwrap().session;
        let (status, reason) = (Status::Failed, Some("bug".to_owned()));
        assert_eq!(
            failed,
            Session {
                status,
                reason,
                wait: None,
                kept_events: Vec::new(),
                queued_replies: Vec::new(),
                expires_at: None,
                ended_at: Some(at(9999)),
                ..odd(2)
            }
        );
    }

    #[test]
    fn no_query_of_the_hot_path_scans_or_sorts() {
        let conn = testing::conn();
        for (sql, index) in [
            (
                select!(
                    "INDEXED BY sessions_running",
                    "WHERE s.contact_seq = ?2 AND s.flow_seq = ?1 AND s.status = 'running'"
                ),
                "sessions_running",
            ),
            (
                select!("INDEXED BY sessions_running", "WHERE s.contact_seq = ?1 AND s.status = 'running'"),
                "sessions_running",
            ),
            (
                "SELECT id FROM sessions WHERE contact_seq = ?2 AND flow_seq = ?1 AND status <> 'running'
                 AND ended_at IS NOT NULL ORDER BY seq DESC LIMIT 1",
                "sessions_history",
            ),
            (
                "SELECT seq FROM sessions WHERE status = 'running' AND due_at <= ?1 ORDER BY due_at, seq LIMIT ?2",
                "sessions_due",
            ),
            (
                "SELECT due_at FROM sessions WHERE status = 'running' AND due_at IS NOT NULL ORDER BY due_at LIMIT 1",
                "sessions_due",
            ),
        ] {
            let plan = testing::plan(&conn, sql);
            assert!(plan.contains(index) && !plan.contains("SCAN") && !plan.contains("TEMP"), "{sql}: {plan}");
        }
    }
}
