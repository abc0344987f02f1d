//! When each contact was last in touch, in blocks that are read at once: what puts many contacts in the order of an
//! answer, which takes twenty times as long by their rows.
//!
//! Every message changes when its contact was last in touch, and the blocks do not follow every message. They are right
//! up to a place in the order of the contacts' last messages, which moves on by many contacts at a time. Those beyond
//! it were in touch since then and are found by walking; there are few of them, since [`follow`] comes before there are
//! many. What changes a time without bringing it beyond that place is marked like any other change, see
//! [`super::index`].

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};

use crate::error::Result;
use crate::store::{Conn, Tx};

/// A contact's place among all: its last message, in milliseconds since the Unix epoch, and its row. The highest is
/// first.
pub(super) type Place = (Option<i64>, i64);

/// Contacts in a block, which with its row fills half of a page.
const PER_BLOCK: i64 = 256;
/// Bytes of a time: big-endian milliseconds, 0 for a contact without messages.
const WIDTH: usize = 8;
/// Contacts that were in touch since then, before the blocks are made to follow.
const MAX_LAG: u32 = 1_000;
/// Contacts that are followed at once.
const BATCH: u32 = 2 * MAX_LAG;

/// Up to which place the blocks are right.
pub(super) fn followed_to(conn: &Conn) -> Result<Place> {
    let mut statement = conn.prepare_cached("SELECT followed_at, followed_seq FROM search_progress")?;
    Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Whether so many were in touch beyond that place that the blocks should follow.
pub(super) fn is_behind(conn: &Conn) -> Result<bool> {
    let mut statement = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM contacts AS c, search_progress AS p WHERE c.last_message_at > p.followed_at
                        LIMIT 1 OFFSET ?1)",
    )?;
    Ok(statement.query_row([MAX_LAG - 1], |row| row.get(0))?)
}

/// Has the blocks follow some more messages, and returns for how many contacts.
pub(super) fn follow(tx: &Tx<'_>) -> Result<u32> {
    let mut statement = tx.prepare_cached(
        "SELECT last_message_at, seq FROM contacts WHERE (last_message_at, seq) > (?1, ?2)
         ORDER BY last_message_at, seq LIMIT ?3",
    )?;
    let (at, seq) = followed_to(tx)?;
    let rows = statement.query_map(params![at, seq, BATCH], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let places: Vec<Place> = rows.collect::<rusqlite::Result<_>>()?;
    let Some((at, seq)) = places.last() else { return Ok(0) };
    set(tx, &places)?;
    tx.prepare_cached("UPDATE search_progress SET followed_at = ?1, followed_seq = ?2")?.execute(params![at, seq])?;
    Ok(u32::try_from(places.len()).unwrap_or(u32::MAX))
}

/// Writes when some contacts were last in touch.
pub(super) fn set(tx: &Tx<'_>, places: &[Place]) -> Result<()> {
    let mut by_block: BTreeMap<i64, Vec<Place>> = BTreeMap::new();
    for &(at, seq) in places {
        by_block.entry(seq / PER_BLOCK).or_default().push((at, seq));
    }
    for (block, places) in by_block {
        let mut before = read(tx, block)?;
        before.resize(offset(PER_BLOCK - 1) + WIDTH, 0);
        let mut times = before.clone();
        for (at, seq) in places {
            let from = offset(seq);
            times[from..from + WIDTH].copy_from_slice(&at.unwrap_or(0).to_be_bytes());
        }
        if times != before {
            tx.prepare_cached(
                "INSERT INTO search_activity (block, times) VALUES (?1, ?2)
                 ON CONFLICT (block) DO UPDATE SET times = excluded.times",
            )?
            .execute((block, times))?;
        }
    }
    Ok(())
}

/// The blocks, for contacts that are asked for in the order of their rows.
pub(super) struct Times<'a> {
    conn: &'a Conn,
    block: Option<i64>,
    times: Vec<u8>,
}

impl<'a> Times<'a> {
    pub(super) fn new(conn: &'a Conn) -> Self {
        Self { conn, block: None, times: Vec::new() }
    }

    /// A contact's place, as far as the blocks have it.
    pub(super) fn place(&mut self, seq: i64) -> Result<Place> {
        let block = seq / PER_BLOCK;
        if self.block != Some(block) {
            self.times = read(self.conn, block)?;
            self.block = Some(block);
        }
        let from = offset(seq);
        let bytes = self.times.get(from..from + WIDTH).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
        Ok((Some(i64::from_be_bytes(bytes)).filter(|at| *at != 0), seq))
    }
}

/// The times of a block, empty where there is none yet.
fn read(conn: &Conn, block: i64) -> Result<Vec<u8>> {
    let mut statement = conn.prepare_cached("SELECT times FROM search_activity WHERE block = ?1")?;
    Ok(statement.query_row([block], |row| row.get(0)).optional()?.unwrap_or_default())
}

fn offset(seq: i64) -> usize {
    usize::try_from(seq % PER_BLOCK).unwrap_or(0) * WIDTH
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Contact;
    use crate::store::contacts;
    use crate::store::testing::{self, contact_id, now};

    fn people(tx: &Tx<'_>, many: u32) {
        for n in 1..=many {
            contacts::insert(tx, &Contact::new(contact_id(n.into()), None), "api", now()).unwrap();
        }
    }

    fn touch(tx: &Tx<'_>, seq: i64, seconds: u64) -> Place {
        let at = now().plus(Duration::from_secs(seconds));
        contacts::touch(tx, seq, 1, None, at).unwrap();
        (Some(at.as_millis()), seq)
    }

    fn place(conn: &Conn, seq: i64) -> Place {
        Times::new(conn).place(seq).unwrap()
    }

    #[test]
    fn blocks_follow_once_many_were_in_touch() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        people(&tx, MAX_LAG + 1);
        assert!(!is_behind(&tx).unwrap());
        let mut places: Vec<Place> = (1..i64::from(MAX_LAG)).map(|seq| touch(&tx, seq, 5)).collect();
        assert!(!is_behind(&tx).unwrap());
        assert_eq!(place(&tx, 1), (None, 1), "nothing is written with a message");
        places.push(touch(&tx, i64::from(MAX_LAG), 4));
        assert!(is_behind(&tx).unwrap());
        assert_eq!(follow(&tx).unwrap(), MAX_LAG);
        assert!(!is_behind(&tx).unwrap());
        for known in places {
            assert_eq!(place(&tx, known.1), known);
        }
        assert_eq!(place(&tx, i64::from(MAX_LAG) + 1), (None, i64::from(MAX_LAG) + 1));
        assert_eq!(place(&tx, 1_000_000), (None, 1_000_000));
        assert_eq!(followed_to(&tx).unwrap(), place(&tx, i64::from(MAX_LAG) - 1));
        assert_eq!(follow(&tx).unwrap(), 0);
    }

    #[test]
    fn messages_of_one_moment_are_followed_part_by_part() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        people(&tx, BATCH + 3);
        let places: Vec<Place> = (1..=i64::from(BATCH) + 3).map(|seq| touch(&tx, seq, 5)).collect();
        assert_eq!((follow(&tx).unwrap(), follow(&tx).unwrap(), follow(&tx).unwrap()), (BATCH, 3, 0));
        for known in places {
            assert_eq!(place(&tx, known.1), known);
        }
    }

    #[test]
    fn who_is_taken_out_leaves_no_time_behind_and_makes_no_block() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        set(&tx, &[(None, 7)]).unwrap();
        let blocks = || tx.query_row("SELECT count(*) FROM search_activity", [], |row| row.get::<_, u32>(0)).unwrap();
        assert_eq!(blocks(), 0);
        set(&tx, &[(Some(5), 1), (Some(6), 2), (Some(7), 255), (Some(8), 256)]).unwrap();
        set(&tx, &[(None, 2), (None, 300)]).unwrap();
        let kept = [1, 2, 255, 256, 300].map(|seq| place(&tx, seq).0);
        assert_eq!((kept, blocks()), ([Some(5), None, Some(7), Some(8), None], 2));
    }

    #[test]
    fn nothing_is_found_by_scanning() {
        let conn = testing::conn();
        for sql in [
            "SELECT 1 FROM contacts AS c, search_progress AS p WHERE c.last_message_at > p.followed_at
             LIMIT 1 OFFSET 9",
            "SELECT last_message_at, seq FROM contacts WHERE (last_message_at, seq) > (?1, ?2)
             ORDER BY last_message_at, seq LIMIT ?3",
        ] {
            let plan = testing::plan(&conn, sql);
            assert!(plan.contains("contacts_by_activity (last_message_at>"), "{sql}: {plan}");
            assert!(!plan.contains("TEMP"), "{sql}: {plan}");
        }
    }
}
