//! The trace of sessions, a row for each event that was taken.

use rusqlite::OptionalExtension;

use super::values::Json;
use super::{Conn, Tx};
use crate::domain::Timestamp;
use crate::error::Result;

/// One turn of a session, as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnRow {
    /// Row; the cursor of [`list`].
    pub seq: i64,
    /// Number of the turn in its session.
    pub turn: u32,
    /// When it ran.
    pub at: Timestamp,
    /// The turn's record as JSON.
    pub record: String,
    /// Rows of the messages it queued, in order.
    pub messages: Vec<i64>,
}

/// Inserts a turn and returns its row.
pub fn insert(
    tx: &Tx<'_>,
    session_seq: i64,
    turn: u32,
    at: Timestamp,
    record_json: &str,
    messages: &[i64],
) -> Result<i64> {
    tx.prepare_cached("INSERT INTO turns (session_seq, turn, at, record, messages) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute((session_seq, turn, at, record_json, Json(messages)))?;
    Ok(tx.last_insert_rowid())
}

/// Turns of a session, oldest first, after the row `after_seq` (0 for all).
pub fn list(conn: &Conn, session_seq: i64, after_seq: i64, limit: u32) -> Result<Vec<TurnRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, turn, at, record, messages FROM turns WHERE session_seq = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    )?;
    let rows = statement.query_map((session_seq, after_seq, limit), |row| {
        Ok(TurnRow {
            seq: row.get(0)?,
            turn: row.get(1)?,
            at: row.get(2)?,
            record: row.get(3)?,
            messages: row.get::<_, Json<_>>(4)?.0,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The record of the last turn of a session in which its time to live ran out, as JSON.
pub fn last_expiry(conn: &Conn, session_seq: i64) -> Result<Option<String>> {
    let mut statement = conn.prepare_cached(
        "SELECT record FROM turns WHERE session_seq = ?1 AND record ->> '$.stimulus.type' = 'expire'
         ORDER BY seq DESC LIMIT 1",
    )?;
    Ok(statement.query_row([session_seq], |row| row.get(0)).optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{self, now};

    #[test]
    fn turns_come_in_order_and_in_pages() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let session_seq = testing::running(&tx);
        for turn in 1..=3 {
            insert(&tx, session_seq, turn, now(), "{\"path\":[]}", &[i64::from(turn), 7]).unwrap();
        }
        let first = list(&tx, session_seq, 0, 2).unwrap();
        assert_eq!(first.iter().map(|row| row.turn).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(first[1].messages, [2, 7]);
        assert_eq!((first[1].at, first[1].record.as_str()), (now(), "{\"path\":[]}"));
        let rest = list(&tx, session_seq, first[1].seq, 2).unwrap();
        assert_eq!(rest.iter().map(|row| row.turn).collect::<Vec<_>>(), [3]);
        assert_eq!(list(&tx, session_seq + 1, 0, 9).unwrap(), []);
    }

    #[test]
    fn a_page_is_read_from_the_index() {
        let conn = testing::conn();
        let plan =
            testing::plan(&conn, "SELECT seq FROM turns WHERE session_seq = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3");
        assert!(plan.contains("turns_by_session (session_seq=? AND rowid>?)") && !plan.contains("TEMP"), "{plan}");
    }
}
