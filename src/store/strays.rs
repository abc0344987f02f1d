//! Parts of channels' deliveries that this version cannot read or has no place for, as they came.

use rusqlite::params;

use super::{Conn, Tx};
use crate::domain::Timestamp;
use crate::error::Result;

/// A part of a delivery that nothing took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Row.
    pub seq: i64,
    /// The channel's name.
    pub channel: String,
    /// Why nothing took it.
    pub why: String,
    /// JSON.
    pub raw: String,
    /// When it came.
    pub created_at: Timestamp,
}

/// Keeps a part of a delivery.
///
/// # Errors
/// When the database refuses.
pub fn insert(tx: &Tx<'_>, channel: &str, why: &str, raw: &str, now: Timestamp) -> Result<()> {
    tx.prepare_cached("INSERT INTO strays (channel, why, raw, created_at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![channel, why, raw, now])?;
    Ok(())
}

/// At most `limit` strays after the row `after` (0 for all), in the order in which they came.
///
/// # Errors
/// When the database cannot be read.
pub fn list(conn: &Conn, after: i64, limit: u32) -> Result<Vec<Stray>> {
    let mut statement = conn
        .prepare_cached("SELECT seq, channel, why, raw, created_at FROM strays WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let rows = statement.query_map((after, limit), |row| {
        Ok(Stray {
            seq: row.get(0)?,
            channel: row.get(1)?,
            why: row.get(2)?,
            raw: row.get(3)?,
            created_at: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Deletes a stray, if it is there.
///
/// # Errors
/// When the database refuses.
pub fn delete(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM strays WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// Deletes strays that came before a moment, the oldest first, at most `limit`, and answers how many.
///
/// # Errors
/// When the database refuses.
pub fn prune(tx: &Tx<'_>, before: Timestamp, limit: u32) -> Result<usize> {
    let pruned = tx
        .prepare_cached(
            "DELETE FROM strays WHERE seq IN
                 (SELECT seq FROM strays WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)",
        )?
        .execute((before, limit))?;
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::{self, now};
    use super::*;

    #[test]
    fn strays_are_kept_until_they_are_old() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        for age in [30, 20, 10] {
            insert(&tx, "whatsapp", "unknown", "{\"a\":1}", now().minus(Duration::from_secs(age))).unwrap();
        }
        let all = list(&tx, 0, 9).unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(
            (all[0].channel.as_str(), all[0].why.as_str(), all[0].raw.as_str()),
            ("whatsapp", "unknown", "{\"a\":1}")
        );
        assert_eq!(list(&tx, all[0].seq, 1).unwrap(), [all[1].clone()]);
        assert_eq!(prune(&tx, now().minus(Duration::from_secs(15)), 1).unwrap(), 1);
        assert_eq!(prune(&tx, now().minus(Duration::from_secs(15)), 9).unwrap(), 1);
        delete(&tx, all[2].seq).unwrap();
        assert_eq!(list(&tx, 0, 9).unwrap(), []);
        let plan = testing::plan(&conn, "SELECT seq FROM strays WHERE created_at < ?1 ORDER BY created_at LIMIT ?2");
        assert!(plan.contains("strays_by_age") && !plan.contains("TEMP"), "{plan}");
    }
}
