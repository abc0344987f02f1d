//! Sessions. Columns mirror what queries ask for; the rest of a [`Session`] is in `state`, and reading puts the two
//! together again without loss.

use std::borrow::Cow;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

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

/// Sessions that [`lately_ended`] looks at for a flow that answers late replies.
const LATELY_ENDED: u32 = 20;

/// A session and its row.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSession {
    /// Row number of the session.
    pub seq: i64,
    /// Row of its flow.
    pub flow_seq: i64,
    /// Row of its contact.
    pub contact_seq: i64,
    /// When the channel took its last prompt; `None` before that.
    pub prompted_at: Option<Timestamp>,
    /// The session as the engine takes it.
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
                s.outcome, s.current_node, s.turn, s.expires_at, s.started_at, s.last_interaction_at, s.ended_at,
                s.state
             FROM sessions AS s ",
            $index,
            " JOIN flows AS f ON f.seq = s.flow_seq JOIN contacts AS c ON c.seq = s.contact_seq ",
            $rest
        )
    };
}

/// The session that runs for a contact in a flow. There is at most one.
pub fn find_running(conn: &Conn, flow_seq: i64, contact_seq: i64) -> Result<Option<StoredSession>> {
    let mut statement = conn.prepare_cached(select!(
        "INDEXED BY sessions_running",
        "WHERE s.contact_seq = ?2 AND s.flow_seq = ?1 AND s.status = 'running'"
    ))?;
    Ok(statement.query_row((flow_seq, contact_seq), read).optional()?)
}

/// The session of an id.
pub fn find_by_id(conn: &Conn, id: SessionId) -> Result<Option<StoredSession>> {
    Ok(conn.prepare_cached(select!("", "WHERE s.id = ?1"))?.query_row([id], read).optional()?)
}

/// The session of a row.
pub fn find_by_seq(conn: &Conn, seq: i64) -> Result<Option<StoredSession>> {
    Ok(conn.prepare_cached(select!("", "WHERE s.seq = ?1"))?.query_row([seq], read).optional()?)
}

/// All sessions that run for a contact, the last prompted first, those without a prompt last.
pub fn running_of_contact(conn: &Conn, contact_seq: i64) -> Result<Vec<StoredSession>> {
    let mut statement = conn.prepare_cached(select!(
        "INDEXED BY sessions_running",
        "WHERE s.contact_seq = ?1 AND s.status = 'running' ORDER BY s.prompted_at DESC NULLS LAST, s.seq DESC"
    ))?;
    let rows = statement.query_map([contact_seq], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Sessions that run in a flow, in the order of their rows: those after the row `after`, with their rows.
pub fn running_of_flow(conn: &Conn, flow_seq: i64, after: i64, limit: u32) -> Result<Vec<(i64, SessionId)>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id FROM sessions INDEXED BY sessions_by_flow
         WHERE flow_seq = ?1 AND status = 'running' AND seq > ?2 ORDER BY seq LIMIT ?3",
    )?;
    let rows = statement.query_map((flow_seq, after, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many sessions run in a flow, and how many of their messages have not gone out yet.
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
    /// Their status; `None`: any.
    pub status: Option<Status>,
    /// Row of the contact.
    pub contact_seq: Option<i64>,
}

/// Sessions, newest first: those before the row `before`.
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

/// The newest sessions of all flows of a kind, or of one of them, without those of people who are being erased. It
/// looks once at each flow and status, and once more at that of each session that it gives.
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

/// A session's place in [`list_of_contact`]. The default comes before all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Row of its flow.
    pub flow_seq: i64,
    /// Row number of the session.
    pub seq: i64,
}

/// Sessions of a contact, by flow and then oldest first, after a place. A page may be short where another flow begins;
/// only an empty one is the end.
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
pub fn last_ended(conn: &Conn, flow_seq: i64, contact_seq: i64) -> Result<Option<(SessionId, Timestamp)>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, ended_at FROM sessions
         WHERE contact_seq = ?2 AND flow_seq = ?1 AND status <> 'running' AND ended_at IS NOT NULL
         ORDER BY seq DESC LIMIT 1",
    )?;
    Ok(statement.query_row((flow_seq, contact_seq), |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Inserts a session and returns its row.
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
        "INSERT INTO sessions (seq, id, flow_seq, version, contact_seq, status, reason, outcome, current_node,
             waiting_for, wake_at, expires_at, due_at, turn, prompted_at, state, started_at, last_interaction_at,
             ended_at)
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
pub fn due(conn: &Conn, until: Timestamp, limit: u32) -> Result<Vec<(i64, Timestamp)>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, due_at FROM sessions WHERE status = 'running' AND due_at <= ?1 ORDER BY due_at, seq LIMIT ?2",
    )?;
    let rows = statement.query_map((until, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// When the next running session falls due.
pub fn next_due(conn: &Conn) -> Result<Option<Timestamp>> {
    let mut statement = conn.prepare_cached(
        "SELECT due_at FROM sessions WHERE status = 'running' AND due_at IS NOT NULL ORDER BY due_at LIMIT 1",
    )?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

/// A session that [`mark_failed`] or [`mark_cancelled`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// Row number of the session.
    pub seq: i64,
    /// Row of its flow.
    pub flow_seq: i64,
    /// The version that it was on.
    pub version: u32,
    /// The last turn that it took.
    pub turn: u32,
    /// The session's public id.
    pub id: SessionId,
    /// Its flow's id.
    pub flow_id: FlowId,
    /// Row of its contact.
    pub contact_seq: i64,
}

/// Fails a running session that cannot even be read or stepped, without reading it, if it is (still) due. `None` if it
/// has ended or is not due.
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

/// Fails a session that had completed, because a message of its last turn could not be delivered, and returns when it
/// had ended. `None` if it has not completed.
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

/// Sessions of a contact that ended within `span` before `now` and were not cancelled, the last to end first.
pub fn lately_ended(conn: &Conn, contact_seq: i64, span: Duration, now: Timestamp) -> Result<Vec<StoredSession>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq FROM sessions INDEXED BY sessions_history
         WHERE contact_seq = ?1 AND status IN ('completed', 'expired', 'failed') AND ended_at > ?2
         ORDER BY ended_at DESC, seq DESC LIMIT ?3",
    )?;
    let seqs = statement.query_map((contact_seq, now.minus(span), LATELY_ENDED), |row| row.get(0))?;
    let mut ended = Vec::new();
    for seq in seqs.collect::<rusqlite::Result<Vec<i64>>>()? {
        ended.extend(find_by_seq(conn, seq)?);
    }
    Ok(ended)
}

/// Notes that the channel took a prompt of a session, which gives it the floor. The time never goes back.
pub fn set_prompted(tx: &Tx<'_>, session_seq: i64, at: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "UPDATE sessions SET prompted_at = ?2 WHERE seq = ?1 AND (prompted_at IS NULL OR prompted_at < ?2)",
    )?
    .execute((session_seq, at))?;
    Ok(())
}

#[cfg(test)]
mod tests;
