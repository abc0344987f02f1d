//! What channels are doing: whether they are paused, and when they may write to a person again.

use rusqlite::{OptionalExtension, params};

use super::{Conn, Tx};
use crate::domain::Timestamp;
use crate::error::Result;

/// A channel that was stopped at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRow {
    /// Since when nothing goes out.
    pub paused_at: Option<Timestamp>,
    /// Why, such as the provider's code.
    pub reason: Option<String>,
    /// The provider's explanation, or the operator's.
    pub explanation: Option<String>,
    /// When it was last paused or resumed.
    pub updated_at: Timestamp,
}

/// The state of a channel; `None` for one that was never paused.
pub fn find(conn: &Conn, name: &str) -> Result<Option<ChannelRow>> {
    let mut statement =
        conn.prepare_cached("SELECT paused_at, reason, explanation, updated_at FROM channels WHERE name = ?1")?;
    let found = statement.query_row([name], |row| {
        Ok(ChannelRow {
            paused_at: row.get(0)?,
            reason: row.get(1)?,
            explanation: row.get(2)?,
            updated_at: row.get(3)?,
        })
    });
    Ok(found.optional()?)
}

/// Pauses a channel. `false` if it is paused already: the first reason stands.
pub fn pause(tx: &Tx<'_>, name: &str, reason: &str, explanation: Option<&str>, now: Timestamp) -> Result<bool> {
    let paused = tx
        .prepare_cached(
            "INSERT INTO channels (name, paused_at, reason, explanation, updated_at) VALUES (?1, ?4, ?2, ?3, ?4)
             ON CONFLICT (name) DO UPDATE SET paused_at = ?4, reason = ?2, explanation = ?3, updated_at = ?4
             WHERE paused_at IS NULL",
        )?
        .execute(params![name, reason, explanation, now])?;
    Ok(paused > 0)
}

/// Lets a channel go on. `false` if it was not paused.
pub fn resume(tx: &Tx<'_>, name: &str, now: Timestamp) -> Result<bool> {
    let resumed = tx
        .prepare_cached(
            "UPDATE channels SET paused_at = NULL, reason = NULL, explanation = NULL, updated_at = ?2
             WHERE name = ?1 AND paused_at IS NOT NULL",
        )?
        .execute((name, now))?;
    Ok(resumed > 0)
}

/// The theoretical arrival time of a channel's next message to a contact; `None` if nothing went there for long.
pub fn pair_clock(conn: &Conn, channel: &str, contact_seq: i64) -> Result<Option<Timestamp>> {
    let mut statement =
        conn.prepare_cached("SELECT arrival_at FROM pair_clocks WHERE channel = ?1 AND contact_seq = ?2")?;
    Ok(statement.query_row((channel, contact_seq), |row| row.get(0)).optional()?)
}

/// Sets that time.
pub fn set_pair_clock(tx: &Tx<'_>, channel: &str, contact_seq: i64, arrival_at: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO pair_clocks (channel, contact_seq, arrival_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (channel, contact_seq) DO UPDATE SET arrival_at = ?3",
    )?
    .execute((channel, contact_seq, arrival_at))?;
    Ok(())
}

/// Removes at most `limit` of those times that have passed, and returns how many.
pub fn prune_pair_clocks(tx: &Tx<'_>, now: Timestamp, limit: u32) -> Result<usize> {
    // Only those written to within the last minutes have a row, so there is no index to find the old ones by.
    let mut statement = tx.prepare_cached(
        "DELETE FROM pair_clocks WHERE (channel, contact_seq) IN
             (SELECT channel, contact_seq FROM pair_clocks WHERE arrival_at <= ?1 LIMIT ?2)",
    )?;
    Ok(statement.execute((now, limit))?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::testing::{self, now};

    #[test]
    fn a_channel_is_paused_once_and_keeps_the_first_reason() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let later = now().plus(Duration::from_secs(1));
        assert_eq!(find(&tx, "whatsapp").unwrap(), None);
        assert!(!resume(&tx, "whatsapp", now()).unwrap());
        assert!(pause(&tx, "whatsapp", "190", Some("The token has expired"), now()).unwrap());
        assert!(!pause(&tx, "whatsapp", "368", None, later).unwrap());
        let found = find(&tx, "whatsapp").unwrap().unwrap();
        assert_eq!((found.paused_at, found.reason.as_deref()), (Some(now()), Some("190")));
        assert_eq!(find(&tx, "webhook").unwrap(), None);
        assert!(resume(&tx, "whatsapp", later).unwrap());
        let resumed = ChannelRow { paused_at: None, reason: None, explanation: None, updated_at: later };
        assert_eq!(find(&tx, "whatsapp").unwrap(), Some(resumed));
        assert!(pause(&tx, "whatsapp", "368", None, later).unwrap());
        assert_eq!(find(&tx, "whatsapp").unwrap().unwrap().reason.as_deref(), Some("368"));
    }

    #[test]
    fn clocks_that_have_passed_are_removed() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (_, contact) = testing::flow_and_contact(&tx);
        let later = now().plus(Duration::from_secs(6));
        set_pair_clock(&tx, "whatsapp", contact, now()).unwrap();
        set_pair_clock(&tx, "whatsapp", contact, later).unwrap();
        set_pair_clock(&tx, "other", contact, now()).unwrap();
        assert_eq!(pair_clock(&tx, "whatsapp", contact).unwrap(), Some(later));
        assert_eq!(prune_pair_clocks(&tx, now(), 10).unwrap(), 1);
        assert_eq!(prune_pair_clocks(&tx, now(), 10).unwrap(), 0);
        assert_eq!(pair_clock(&tx, "other", contact).unwrap(), None);
        assert_eq!(pair_clock(&tx, "whatsapp", contact).unwrap(), Some(later));
    }
}
