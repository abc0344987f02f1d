//! HTTP calls that sessions wait for: a queue on the disk, of which a row goes when its session no longer waits for it.
//!
//! A row is claimed while an attempt is under way. A row that was claimed when the process died is released at the next
//! start, so a call is made at least once, and always under the same id.

use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use super::row_numbers::Numbered;
use super::values::Json;
use super::{Conn, Tx};
use crate::domain::{HttpCall, Timestamp};
use crate::error::Result;

/// A call that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewCall<'a> {
    /// Goes out with every attempt.
    pub id: Uuid,
    /// Row of the session that waits for it.
    pub session_seq: i64,
    /// The turn since which it waits.
    pub turn: u32,
    /// What is called.
    pub call: &'a HttpCall,
    /// The current time.
    pub created_at: Timestamp,
}

/// A call with an attempt under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// Row number of the call.
    pub seq: i64,
    /// Goes out with every attempt.
    pub id: Uuid,
    /// Row of the session that waits for it.
    pub session_seq: i64,
    /// The turn since which it waits.
    pub turn: u32,
    /// What is called, as JSON: a row that cannot be read must not keep the others from being claimed.
    pub call: String,
    /// Attempts that have failed before this one.
    pub attempts: u32,
}

/// Queues a call, due now. A session has one at the most: an earlier one of it goes.
pub fn insert(tx: &Tx<'_>, new: &NewCall<'_>) -> Result<()> {
    delete_of_session(tx, new.session_seq)?;
    let seq = tx.next_seq(Numbered::HttpCalls)?;
    tx.prepare_cached(
        "INSERT INTO http_calls (seq, id, session_seq, turn, call, next_attempt_at, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )?
    .execute(params![seq, new.id.as_bytes(), new.session_seq, new.turn, Json(new.call), new.created_at])?;
    Ok(())
}

/// Claims calls that are due, the longest due first.
pub fn claim(tx: &Tx<'_>, now: Timestamp, limit: u32) -> Result<Vec<Claimed>> {
    let mut statement = tx.prepare_cached(
        "UPDATE http_calls SET claimed_at = ?1
         WHERE seq IN (SELECT seq FROM http_calls WHERE claimed_at IS NULL AND next_attempt_at <= ?1
                       ORDER BY next_attempt_at LIMIT ?2)
         RETURNING seq, id, session_seq, turn, call, attempts",
    )?;
    let rows = statement.query_map((now, limit), |row| {
        Ok(Claimed {
            seq: row.get(0)?,
            id: Uuid::from_bytes(row.get(1)?),
            session_seq: row.get(2)?,
            turn: row.get(3)?,
            call: row.get(4)?,
            attempts: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many calls wait for an attempt.
pub fn count_queued(conn: &Conn) -> Result<i64> {
    let mut statement =
        conn.prepare_cached("SELECT count(*) FROM http_calls INDEXED BY http_calls_outbox WHERE claimed_at IS NULL")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// When the next call that is not claimed falls due.
pub fn next_due(conn: &Conn) -> Result<Option<Timestamp>> {
    let mut statement = conn.prepare_cached(
        "SELECT next_attempt_at FROM http_calls WHERE claimed_at IS NULL ORDER BY next_attempt_at LIMIT 1",
    )?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

/// Puts a claimed call back, after an attempt that failed. Nothing happens if it is gone.
pub fn retry(tx: &Tx<'_>, seq: i64, next_attempt_at: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "UPDATE http_calls SET claimed_at = NULL, attempts = attempts + 1, next_attempt_at = ?2 WHERE seq = ?1",
    )?
    .execute((seq, next_attempt_at))?;
    Ok(())
}

/// Puts a claimed call back that was not tried, until its time comes. Nothing happens if it is gone.
pub fn put_back(tx: &Tx<'_>, seq: i64, next_attempt_at: Timestamp) -> Result<()> {
    tx.prepare_cached("UPDATE http_calls SET claimed_at = NULL, next_attempt_at = ?2 WHERE seq = ?1")?
        .execute((seq, next_attempt_at))?;
    Ok(())
}

/// Releases what was claimed by a process that is gone, and returns how many. The attempts under way then do not count.
pub fn release_all(tx: &Tx<'_>) -> Result<usize> {
    Ok(tx.prepare_cached("UPDATE http_calls SET claimed_at = NULL WHERE claimed_at IS NOT NULL")?.execute([])?)
}

/// Whether a call is still there.
pub fn exists(conn: &Conn, seq: i64) -> Result<bool> {
    let mut statement = conn.prepare_cached("SELECT 1 FROM http_calls WHERE seq = ?1")?;
    Ok(statement.exists([seq])?)
}

/// When the call was made that a session has been waiting for since a turn; `None` if there is none.
pub fn made_at(conn: &Conn, session_seq: i64, turn: u32) -> Result<Option<Timestamp>> {
    let mut statement =
        conn.prepare_cached("SELECT created_at FROM http_calls WHERE session_seq = ?1 AND turn = ?2")?;
    Ok(statement.query_row((session_seq, turn), |row| row.get(0)).optional()?)
}

/// Deletes a session's call, which it no longer waits for.
pub fn delete_of_session(tx: &Tx<'_>, session_seq: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM http_calls WHERE session_seq = ?1")?.execute([session_seq])?;
    Ok(())
}

/// Deletes a call. Nothing happens if it is gone.
pub fn delete(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM http_calls WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::testing::{self, now};
    use crate::store::{Tx, sessions};

    fn call() -> HttpCall {
        HttpCall {
            node: "call".parse().unwrap(),
            method: "POST".to_owned(),
            url: "https://example.com/".to_owned(),
            headers: [("x-a".to_owned(), "1".to_owned())].into(),
            body: Some("{}".to_owned()),
            timeout_ms: 10_000,
            max_retries: 2,
        }
    }

    fn queue(tx: &Tx<'_>, session_seq: i64, n: u128, created_at: Timestamp) {
        let call = call();
        insert(tx, &NewCall { id: Uuid::from_u128(n), session_seq, turn: 1, call: &call, created_at }).unwrap();
    }

    fn in_ms(millis: u64) -> Timestamp {
        now().plus(Duration::from_millis(millis))
    }

    #[test]
    fn a_call_is_claimed_once_and_again_after_a_failure_or_a_restart() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let session = testing::running(&tx);
        queue(&tx, session, 1, now());
        assert_eq!(next_due(&tx).unwrap(), Some(now()));
        assert!(claim(&tx, now().minus(Duration::from_millis(1)), 9).unwrap().is_empty());
        let claimed = claim(&tx, now(), 9).unwrap();
        let expected = Claimed {
            seq: claimed[0].seq,
            id: Uuid::from_u128(1),
            session_seq: session,
            turn: 1,
            call: serde_json::to_string(&call()).unwrap(),
            attempts: 0,
        };
        assert_eq!(claimed, std::slice::from_ref(&expected));
        assert!(claim(&tx, now(), 9).unwrap().is_empty() && next_due(&tx).unwrap().is_none());

        retry(&tx, expected.seq, in_ms(10)).unwrap();
        assert!(claim(&tx, in_ms(9), 9).unwrap().is_empty());
        let again = Claimed { attempts: 1, ..expected };
        assert_eq!(claim(&tx, in_ms(10), 9).unwrap(), std::slice::from_ref(&again));

        assert_eq!(release_all(&tx).unwrap(), 1);
        assert_eq!(
            claim(&tx, in_ms(10), 9).unwrap(),
            std::slice::from_ref(&again),
            "what a crash cut short does not count"
        );
        assert!(exists(&tx, again.seq).unwrap() && !exists(&tx, again.seq + 1).unwrap());
        assert_eq!(made_at(&tx, session, 1).unwrap(), Some(now()));
        assert_eq!(made_at(&tx, session, 2).unwrap(), None);
        delete(&tx, again.seq).unwrap();
        assert_eq!(made_at(&tx, session, 1).unwrap(), None);
        assert_eq!(release_all(&tx).unwrap(), 0);
    }

    #[test]
    fn the_longest_due_go_first_and_a_session_has_one_call() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (_, contact) = testing::flow_and_contact(&tx);
        let sessions: Vec<i64> = (1..=3)
            .map(|n| {
                let flow = testing::flow(&tx, 10 + n);
                sessions::insert(&tx, flow, contact, &testing::session(n), None).unwrap()
            })
            .collect();
        for (session, n, at) in [(0, 1, 30), (1, 2, 10), (2, 3, 20), (1, 4, 25)] {
            queue(&tx, sessions[session], n, in_ms(at));
        }
        let mut ids: Vec<u128> = claim(&tx, in_ms(99), 2).unwrap().iter().map(|it| it.id.as_u128()).collect();
        ids.sort_unstable();
        assert_eq!(ids, [3, 4]);
        assert_eq!(next_due(&tx).unwrap(), Some(in_ms(30)));
        delete_of_session(&tx, sessions[0]).unwrap();
        assert_eq!(next_due(&tx).unwrap(), None);
    }

    #[test]
    fn no_query_scans() {
        let conn = testing::conn();
        for sql in [
            "SELECT seq FROM http_calls WHERE claimed_at IS NULL AND next_attempt_at <= ?1
             ORDER BY next_attempt_at LIMIT ?2",
            "SELECT next_attempt_at FROM http_calls WHERE claimed_at IS NULL ORDER BY next_attempt_at LIMIT 1",
            "SELECT created_at FROM http_calls WHERE session_seq = ?1 AND turn = ?2",
            "DELETE FROM http_calls WHERE session_seq = ?1",
        ] {
            let plan = testing::plan(&conn, sql);
            let is_indexed = plan.contains("http_calls_outbox") || plan.contains("http_calls_by_session");
            assert!(is_indexed && !plan.contains("TEMP"), "{sql}: {plan}");
        }
    }
}
