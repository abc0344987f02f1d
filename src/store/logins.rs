//! Log-ins of the admin page, and wrong guesses of its password.

use std::time::Duration;

use rusqlite::OptionalExtension;

use super::{Conn, Tx};
use crate::domain::Timestamp;
use crate::error::Result;

/// How long a network is known from which the right password came.
const KNOWN_FOR: Duration = Duration::from_secs(90 * 24 * 3600);
/// Stands for all networks without an earlier log-in.
const UNKNOWN_NETWORKS: &str = "*";

/// A log-in that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRow {
    /// Row number of the log-in.
    pub seq: i64,
    /// SHA-256 of the cookie's value.
    pub hash: [u8; 32],
    /// The name given at log-in.
    pub actor: String,
    /// When the log-in ends.
    pub expires_at: Timestamp,
}

/// Wrong guesses from one network since the last right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// The number of wrong guesses.
    pub count: u32,
    /// When the last was.
    pub last_at: Timestamp,
}

/// Keeps a log-in and returns its row.
pub fn insert(tx: &Tx<'_>, hash: &[u8; 32], actor: &str, now: Timestamp, expires_at: Timestamp) -> Result<i64> {
    tx.prepare_cached("INSERT INTO logins (hash, actor, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)")?
        .execute((hash, actor, now, expires_at))?;
    Ok(tx.last_insert_rowid())
}

/// All log-ins that have not ended at `now`.
pub fn live(conn: &Conn, now: Timestamp) -> Result<Vec<LoginRow>> {
    let mut statement =
        conn.prepare_cached("SELECT seq, hash, actor, expires_at FROM logins WHERE expires_at > ?1 ORDER BY seq")?;
    let rows = statement.query_map([now], |row| {
        Ok(LoginRow { seq: row.get(0)?, hash: row.get(1)?, actor: row.get(2)?, expires_at: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Ends one log-in.
pub fn delete(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM logins WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// Ends all log-ins but the one in the row `keep`.
pub fn delete_all(tx: &Tx<'_>, keep: Option<i64>) -> Result<()> {
    tx.prepare_cached("DELETE FROM logins WHERE seq IS NOT ?1")?.execute([keep])?;
    Ok(())
}

/// Deletes log-ins that have ended at `now`, wrong guesses older than `before`, and networks without a log-in for 90
/// days.
pub fn prune(tx: &Tx<'_>, now: Timestamp, before: Timestamp) -> Result<()> {
    tx.prepare_cached("DELETE FROM logins WHERE expires_at <= ?1")?.execute([now])?;
    tx.prepare_cached("DELETE FROM failed_logins WHERE last_at < ?1 AND ifnull(right_at < ?2, 1)")?
        .execute((before, now.minus(KNOWN_FOR)))?;
    Ok(())
}

/// The wrong guesses from a network.
pub fn failures(conn: &Conn, network: &str) -> Result<Option<Failures>> {
    let mut statement = conn.prepare_cached("SELECT failures, last_at FROM failed_logins WHERE network = ?1")?;
    let found =
        statement.query_row([network], |row| Ok(Failures { count: row.get(0)?, last_at: row.get(1)? })).optional()?;
    Ok(found)
}

/// Whether there was a successful log-in from a network.
pub fn is_known(conn: &Conn, network: &str) -> Result<bool> {
    let mut statement =
        conn.prepare_cached("SELECT 1 FROM failed_logins WHERE network = ?1 AND right_at IS NOT NULL")?;
    Ok(statement.exists([network])?)
}

/// Counts a wrong guess.
pub fn add_failure(tx: &Tx<'_>, network: &str, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO failed_logins (network, failures, last_at) VALUES (?1, 1, ?2)
         ON CONFLICT DO UPDATE SET failures = failures + 1, last_at = excluded.last_at",
    )?
    .execute((network, now))?;
    Ok(())
}

/// Forgets the wrong guesses from a network, because the right one came.
pub fn clear_failures(tx: &Tx<'_>, network: &str) -> Result<()> {
    tx.prepare_cached("DELETE FROM failed_logins WHERE network = ?1 AND right_at IS NULL")?.execute([network])?;
    tx.prepare_cached("UPDATE failed_logins SET failures = 0 WHERE network = ?1")?.execute([network])?;
    Ok(())
}

/// Forgets the wrong guesses from all networks. Those that are known stay so.
pub fn clear_all_failures(tx: &Tx<'_>) -> Result<()> {
    tx.execute("DELETE FROM failed_logins WHERE right_at IS NULL", ())?;
    tx.execute("UPDATE failed_logins SET failures = 0", ())?;
    Ok(())
}

/// Notes that the right password came from a network.
pub fn add_known(tx: &Tx<'_>, network: &str, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO failed_logins (network, failures, last_at, right_at) VALUES (?1, 0, ?2, ?2)
         ON CONFLICT DO UPDATE SET right_at = excluded.right_at",
    )?
    .execute((network, now))?;
    Ok(())
}

/// Takes wrong guesses that are later than `now` for guesses of now: the clock was ahead when they were made.
pub fn take_back_to(tx: &Tx<'_>, now: Timestamp) -> Result<()> {
    tx.prepare_cached("UPDATE failed_logins SET last_at = ?1 WHERE last_at > ?1 AND network <> ?2")?
        .execute((now, UNKNOWN_NETWORKS))?;
    Ok(())
}

/// The time that the wrong guesses from networks that are not known have used up, each a share of an hour: guesses are
/// refused while it is too far ahead.
pub fn used_up_to(conn: &Conn) -> Result<Option<Timestamp>> {
    Ok(failures(conn, UNKNOWN_NETWORKS)?.map(|failures| failures.last_at))
}

/// Sets what [`used_up_to`] gives.
pub fn set_used_up_to(tx: &Tx<'_>, at: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO failed_logins (network, failures, last_at) VALUES (?1, 0, ?2)
         ON CONFLICT DO UPDATE SET last_at = excluded.last_at",
    )?
    .execute((UNKNOWN_NETWORKS, at))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::testing::{self, now};

    #[test]
    fn log_ins_end_by_time_by_row_and_all_at_once() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let later = now().plus(Duration::from_secs(60));
        let seqs: Vec<i64> = (1..=3).map(|n| insert(&tx, &[n; 32], "Ana", now(), later).unwrap()).collect();
        insert(&tx, &[4; 32], "Bo", now(), now()).unwrap();
        let rows = |at| live(&tx, at).unwrap().into_iter().map(|row| row.seq).collect::<Vec<_>>();
        assert_eq!(rows(now()), seqs, "the last had no time at all");
        assert_eq!(rows(later), [] as [i64; 0]);
        delete(&tx, seqs[0]).unwrap();
        delete_all(&tx, Some(seqs[1])).unwrap();
        assert_eq!(rows(now()), [seqs[1]]);
        delete_all(&tx, None).unwrap();
        assert_eq!(rows(now()), [] as [i64; 0]);
    }

    #[test]
    fn wrong_guesses_are_counted_by_network_until_the_right_one() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let later = now().plus(Duration::from_secs(60));
        add_failure(&tx, "192.0.2.1", now()).unwrap();
        add_failure(&tx, "192.0.2.1", later).unwrap();
        add_failure(&tx, "192.0.2.2", later).unwrap();
        assert_eq!(failures(&tx, "192.0.2.1").unwrap(), Some(Failures { count: 2, last_at: later }));
        clear_failures(&tx, "192.0.2.1").unwrap();
        assert_eq!(failures(&tx, "192.0.2.1").unwrap(), None);
        prune(&tx, now(), later).unwrap();
        assert!(failures(&tx, "192.0.2.2").unwrap().is_some());
        add_known(&tx, "192.0.2.3", now()).unwrap();
        prune(&tx, now(), later.plus(Duration::from_secs(1))).unwrap();
        assert_eq!(failures(&tx, "192.0.2.2").unwrap(), None);
        assert!(is_known(&tx, "192.0.2.3").unwrap(), "a network that somebody logged in from is known for longer");
        prune(&tx, now().plus(KNOWN_FOR * 2), later.plus(KNOWN_FOR)).unwrap();
        assert!(!is_known(&tx, "192.0.2.3").unwrap());
    }

    #[test]
    fn all_guesses_are_forgotten_and_those_of_a_wrong_clock_are_taken_back() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let ahead = now().plus(Duration::from_secs(60));
        add_failure(&tx, "192.0.2.1", ahead).unwrap();
        set_used_up_to(&tx, ahead).unwrap();
        take_back_to(&tx, now()).unwrap();
        assert_eq!(failures(&tx, "192.0.2.1").unwrap(), Some(Failures { count: 1, last_at: now() }));
        assert_eq!(used_up_to(&tx).unwrap(), Some(ahead), "this one is ahead when the clock is right, too");
        add_known(&tx, "192.0.2.1", now()).unwrap();
        clear_failures(&tx, "192.0.2.1").unwrap();
        assert!(is_known(&tx, "192.0.2.1").unwrap());
        add_failure(&tx, "192.0.2.1", now()).unwrap();
        add_failure(&tx, "192.0.2.2", now()).unwrap();
        clear_all_failures(&tx).unwrap();
        assert_eq!(used_up_to(&tx).unwrap(), None);
        assert_eq!(failures(&tx, "192.0.2.1").unwrap().unwrap().count, 0);
        assert_eq!(failures(&tx, "192.0.2.2").unwrap(), None);
        assert!(is_known(&tx, "192.0.2.1").unwrap());
    }
}
