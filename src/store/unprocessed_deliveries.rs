//! Parts of channels' deliveries that this version cannot read or has no place for, as they came. Their table is called
//! `strays`.

use std::time::Duration;

use rusqlite::params;
use sha2::{Digest, Sha256};

use super::row_numbers::Numbered;
use super::{Conn, Tx};
use crate::domain::Timestamp;
use crate::error::Result;

/// How long the same part of a delivery is not kept again: providers deliver again for days what they are not sure of.
const AGAIN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// A part of a delivery that nothing took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnprocessedDelivery {
    /// Row number of the delivery.
    pub seq: i64,
    /// The channel's name.
    pub channel: String,
    /// Why nothing took it.
    pub why: String,
    /// The provider's item as JSON.
    pub raw: String,
    /// When it came.
    pub created_at: Timestamp,
}

/// Keeps a part of a delivery, and returns whether: the very same is kept once a day.
pub fn insert(tx: &Tx<'_>, channel: &str, why: &str, raw: &str, now: Timestamp) -> Result<bool> {
    let mut hash = Sha256::new();
    for part in [channel, why, raw] {
        // The length says where one part ends and the next begins.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let hash: [u8; 32] = hash.finalize().into();
    let kept = tx
        .prepare_cached(
            "INSERT INTO strays (channel, why, raw, hash, created_at, seq) SELECT ?1, ?2, ?3, ?4, ?5, ?7
             WHERE NOT EXISTS (SELECT 1 FROM strays WHERE hash = ?4 AND created_at > ?6)",
        )?
        .execute(params![
            channel,
            why,
            raw,
            hash,
            now,
            now.minus(AGAIN_AFTER),
            tx.next_seq(Numbered::UnprocessedDeliveries)?
        ])?;
    Ok(kept > 0)
}

/// At most `limit` of them after the row `after` (0 for all), in the order in which they came.
pub fn list(conn: &Conn, after: i64, limit: u32) -> Result<Vec<UnprocessedDelivery>> {
    let mut statement = conn
        .prepare_cached("SELECT seq, channel, why, raw, created_at FROM strays WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let rows = statement.query_map((after, limit), read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// At most `limit` of a channel, the newest first; those before the row `before`, if any.
pub fn newest_of(conn: &Conn, channel: &str, before: Option<i64>, limit: u32) -> Result<Vec<UnprocessedDelivery>> {
    let mut statement = conn.prepare_cached(NEWEST_OF)?;
    let rows = statement.query_map((channel, before.unwrap_or(i64::MAX), limit), read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

const NEWEST_OF: &str = "SELECT seq, channel, why, raw, created_at FROM strays WHERE channel = ?1 AND seq < ?2
    ORDER BY seq DESC LIMIT ?3";

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<UnprocessedDelivery> {
    Ok(UnprocessedDelivery {
        seq: row.get(0)?,
        channel: row.get(1)?,
        why: row.get(2)?,
        raw: row.get(3)?,
        created_at: row.get(4)?,
    })
}

/// Deletes a row, if it is there.
pub fn delete(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM strays WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// Deletes those that came before a moment, the oldest first, at most `limit`, and returns how many.
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
    use super::*;
    use crate::store::testing::{self, now};

    #[test]
    fn they_are_kept_until_they_are_old() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        for age in [30, 20, 10] {
            let raw = if age == 20 { "{\"a\":2}" } else { "{\"a\":1}" };
            let at = now().minus(Duration::from_secs(age * 86_400 / 10));
            assert!(insert(&tx, "whatsapp", "unknown", raw, at).unwrap());
            assert!(!insert(&tx, "whatsapp", "unknown", raw, at.plus(Duration::from_secs(86_399))).unwrap());
        }
        let all = list(&tx, 0, 9).unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(
            (all[0].channel.as_str(), all[0].why.as_str(), all[0].raw.as_str()),
            ("whatsapp", "unknown", "{\"a\":1}")
        );
        assert_eq!(list(&tx, all[0].seq, 1).unwrap(), [all[1].clone()]);
        let newest: Vec<i64> = newest_of(&tx, "whatsapp", None, 2).unwrap().iter().map(|row| row.seq).collect();
        assert_eq!(newest, [all[2].seq, all[1].seq]);
        assert_eq!(newest_of(&tx, "whatsapp", Some(all[1].seq), 2).unwrap(), [all[0].clone()]);
        assert_eq!(newest_of(&tx, "webhook", None, 2).unwrap(), []);
        assert_eq!(prune(&tx, now().minus(Duration::from_secs(129_600)), 1).unwrap(), 1);
        assert_eq!(prune(&tx, now().minus(Duration::from_secs(129_600)), 9).unwrap(), 1);
        delete(&tx, all[2].seq).unwrap();
        assert_eq!(list(&tx, 0, 9).unwrap(), []);
        let plan = testing::plan(&conn, "SELECT seq FROM strays WHERE created_at < ?1 ORDER BY created_at LIMIT ?2");
        assert!(plan.contains("strays_by_age") && !plan.contains("TEMP"), "{plan}");
        let plan = testing::plan(&conn, NEWEST_OF);
        assert!(plan.contains("strays_by_channel") && !plan.contains("TEMP"), "{plan}");
        let plan = testing::plan(&conn, "SELECT 1 FROM strays WHERE hash = ?4 AND created_at > ?6");
        assert!(plan.contains("strays_by_hash"), "{plan}");
    }
}
