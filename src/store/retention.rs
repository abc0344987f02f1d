//! Finding and deleting rows that were kept for long enough.
//!
//! No index is kept for it, which each message and session would have to write: rows are looked through in the order
//! in which they were inserted, which is nearly that of their age, by reads; and only those that may go are deleted, by
//! short jobs. A running session never goes, nor do its messages and turns.

use std::collections::HashMap;

use rusqlite::Rows;

use super::{Conn, Tx, http_calls};
use crate::domain::Timestamp;
use crate::error::Result;

/// Rows that one read looks at.
pub const LOOKED_AT: u32 = 1_000;
/// Turns or stages that are deleted with one row of another table in a job.
const PARTS: u32 = 256;

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Rows that may go.
    pub seqs: Vec<i64>,
    /// The last row that was looked at; `None` once all that are old enough were.
    pub last: Option<i64>,
}

/// The time for which a flow refuses to begin again with a person after a session of theirs, by the row of the flow:
/// its last session has to be kept for as long. In minutes, of the published versions that have one.
pub fn quiet_periods(conn: &Conn) -> Result<HashMap<i64, u32>> {
    let mut statement = conn.prepare_cached(
        "SELECT f.seq, v.document ->> '$.settings.quiet_period_minutes' AS minutes
         FROM flows AS f JOIN flow_versions AS v ON v.flow_seq = f.seq AND v.version = f.published_version
         WHERE minutes > 0",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Sessions after a row that ended before a moment. Those of a flow with a quiet period have to have ended before
/// `quiet_before` of its minutes.
pub fn sessions(conn: &Conn, after: i64, before: Timestamp, quiet_before: &HashMap<i64, Timestamp>) -> Result<Found> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, started_at, ended_at, flow_seq FROM sessions WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = statement.query((after, LOOKED_AT))?;
    let mut pass = Pass::new(before);
    while let Some(row) = rows.next()? {
        let (ended_at, flow_seq): (Option<Timestamp>, i64) = (row.get(2)?, row.get(3)?);
        let before = quiet_before.get(&flow_seq).map_or(before, |quiet| before.min(*quiet));
        pass.look(row.get(0)?, row.get(1)?, ended_at.is_some_and(|ended_at| ended_at < before));
    }
    Ok(pass.end())
}

/// Messages after a row that were made before a moment and are settled, but for those of running sessions.
pub fn messages(conn: &Conn, after: i64, before: Timestamp) -> Result<Found> {
    let mut statement = conn.prepare_cached(
        "SELECT m.seq, m.created_at, m.created_at < ?3 AND m.next_attempt_at IS NULL
             AND m.status NOT IN ('queued', 'sending') AND (s.status IS NULL OR s.status <> 'running')
         FROM messages AS m LEFT JOIN sessions AS s ON s.seq = m.session_seq
         WHERE m.seq > ?1 ORDER BY m.seq LIMIT ?2",
    )?;
    through(statement.query((after, LOOKED_AT, before))?, before)
}

/// Turns after a row that ran before a moment, but for those of running sessions.
pub fn turns(conn: &Conn, after: i64, before: Timestamp) -> Result<Found> {
    let mut statement = conn.prepare_cached(
        "SELECT t.seq, t.at, t.at < ?3 AND s.status <> 'running'
         FROM turns AS t JOIN sessions AS s ON s.seq = t.session_seq
         WHERE t.seq > ?1 ORDER BY t.seq LIMIT ?2",
    )?;
    through(statement.query((after, LOOKED_AT, before))?, before)
}

/// Looks at rows of a number, a moment of insertion and whether it may go.
fn through(mut rows: Rows<'_>, before: Timestamp) -> Result<Found> {
    let mut pass = Pass::new(before);
    while let Some(row) = rows.next()? {
        pass.look(row.get(0)?, row.get(1)?, row.get(2)?);
    }
    Ok(pass.end())
}

/// Deletes a session that has ended, with its turns. `false` if there are more of them than a job deletes: then the
/// session is still there.
pub fn delete_session(tx: &Tx<'_>, seq: i64) -> Result<bool> {
    let turns = tx
        .prepare_cached(
            "DELETE FROM turns WHERE seq IN (SELECT seq FROM turns WHERE session_seq = ?1 ORDER BY seq LIMIT ?2)",
        )?
        .execute((seq, PARTS))?;
    if turns >= PARTS as usize {
        return Ok(false);
    }
    http_calls::delete_of_session(tx, seq)?;
    tx.prepare_cached("DELETE FROM sessions WHERE seq = ?1 AND status <> 'running'")?.execute([seq])?;
    Ok(true)
}

/// Deletes a message that is settled, with its stages.
pub fn delete_message(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM message_stages WHERE message_seq = ?1")?.execute([seq])?;
    tx.prepare_cached(
        "DELETE FROM messages WHERE seq = ?1 AND next_attempt_at IS NULL AND status NOT IN ('queued', 'sending')",
    )?
    .execute([seq])?;
    Ok(())
}

/// Deletes a turn.
pub fn delete_turn(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM turns WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// Goes through rows in the order in which they were inserted.
struct Pass {
    before: Timestamp,
    found: Found,
    looked_at: u32,
    /// Whether a row was old enough to have others behind it that are.
    is_old: bool,
}

impl Pass {
    fn new(before: Timestamp) -> Self {
        Self { before, found: Found::default(), looked_at: 0, is_old: false }
    }

    fn look(&mut self, seq: i64, inserted_at: Timestamp, may_go: bool) {
        self.looked_at += 1;
        self.is_old |= inserted_at < self.before;
        self.found.last = Some(seq);
        if may_go {
            self.found.seqs.push(seq);
        }
    }

    /// A clock that was set back mixes rows of both times, so it is over only where a whole read found none that is
    /// old.
    fn end(mut self) -> Found {
        if self.looked_at < LOOKED_AT || !self.is_old {
            self.found.last = None;
        }
        self.found
    }
}
