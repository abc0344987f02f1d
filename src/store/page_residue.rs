//! What SQLite leaves behind of deleted rows, and clearing it away.
//!
//! `secure_delete` overwrites rows that are deleted and pages that are freed. It leaves one thing: when SQLite puts a
//! page of a tree together anew, because its rows were spread over more or fewer pages, the bytes between the array of
//! cell pointers and the first cell stay as they were. They may hold copies of rows that now stand on another page, and
//! deleting a row does not touch its copies. (`rebuildPage()` in SQLite's `btree.c`; about one page in two hundred of a
//! busy database has such bytes.) So after an erasure all pages are looked through, part by part and beside everything
//! else, and those bytes are cleared; free blocks, too, that older releases left as they were.
//!
//! Pages are read and written through SQLite's own `sqlite_dbpage`, so that the page cache, the write-ahead log and
//! the transactions know of it. SQLite never reads the bytes that are changed.
//!
//! SQLite has `sqlite_dbpage` only where it was built with the flag that `.cargo/config.toml` sets. A build without it
//! erases rows as any other, and logs at its start and after each erasure that their residue stays: see [`Obstacle`].

use std::fmt;
use std::ops::Range;

use rusqlite::OptionalExtension;

use super::{Conn, Tx};
use crate::error::Result;

/// First bytes of the pages of trees: inner and leaf pages of indexes and tables.
const TREES: [u8; 4] = [2, 5, 10, 13];
/// The header of a file comes before the tree on its first page.
const FILE_HEADER: usize = 100;
/// With more pages the number that other pages begin with could be taken for the mark of a tree. That is 128 GiB.
const PAGES_AT_MOST: u32 = 0x0200_0000;

/// Why the residue of a file cannot be cleared. It is shown as the sentence of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// SQLite was built without `sqlite_dbpage`.
    NotBuilt,
    /// The file shrinks by itself, so that it has pages which begin like trees and are none.
    AutoVacuum,
    /// It has so many pages that the number of one could be taken for the mark of a tree.
    TooLarge,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            Self::NotBuilt => {
                "this program was built without SQLITE_ENABLE_DBPAGE_VTAB, which .cargo/config.toml sets in \
                 LIBSQLITE3_FLAGS"
            }
            Self::AutoVacuum => "the file shrinks by itself (PRAGMA auto_vacuum)",
            Self::TooLarge => "the file is too large",
        };
        write!(
            f,
            "what SQLite leaves behind of erased contacts cannot be cleared in this file, because {why}; VACUUM does, \
             while no server runs"
        )
    }
}

/// What keeps the residue of this file from being cleared, if anything does.
pub fn obstacle(conn: &Conn) -> Result<Option<Obstacle>> {
    let is_built =
        conn.query_row("SELECT EXISTS (SELECT 1 FROM pragma_module_list WHERE name = 'sqlite_dbpage')", [], |row| {
            row.get(0)
        })?;
    let auto_vacuum = conn.query_row("PRAGMA auto_vacuum", [], |row| row.get(0))?;
    Ok(obstacle_of(is_built, auto_vacuum, pages(conn)?))
}

fn obstacle_of(is_built: bool, auto_vacuum: u32, pages: u32) -> Option<Obstacle> {
    match () {
        () if !is_built => Some(Obstacle::NotBuilt),
        () if auto_vacuum != 0 => Some(Obstacle::AutoVacuum),
        () if pages >= PAGES_AT_MOST => Some(Obstacle::TooLarge),
        () => None,
    }
}

/// Looks through `limit` pages, beginning with page number `from`; the first page is 1. Returns those that have
/// residue, and the number to go on with, which is `None` at the end of the file.
pub fn find(conn: &Conn, from: u32, limit: u32) -> Result<(Vec<u32>, Option<u32>)> {
    let end = from.saturating_add(limit);
    let mut statement = conn.prepare_cached("SELECT data FROM sqlite_dbpage WHERE pgno = ?1")?;
    let mut found = Vec::new();
    for page in from..end {
        let is_found = statement
            .query_row([page], |row| Ok(!residue_of(page, row.get_ref(0)?.as_blob()?).is_empty()))
            .optional()?;
        match is_found {
            Some(true) => found.push(page),
            Some(false) => {}
            None => return Ok((found, None)),
        }
    }
    Ok((found, Some(end)))
}

/// Clears the residue of some pages, if they still have any, and returns of how many.
pub fn clear(tx: &Tx<'_>, pages: &[u32]) -> Result<usize> {
    let mut read = tx.prepare_cached("SELECT data FROM sqlite_dbpage WHERE pgno = ?1")?;
    let mut write = tx.prepare_cached("UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1")?;
    let mut cleared = 0;
    for &page in pages {
        let Some(mut data) = read.query_row([page], |row| row.get::<_, Vec<u8>>(0)).optional()? else { continue };
        let ranges = residue_of(page, &data);
        if ranges.is_empty() {
            continue;
        }
        ranges.into_iter().for_each(|range| data[range].fill(0));
        write.execute((page, data))?;
        cleared += 1;
    }
    Ok(cleared)
}

fn pages(conn: &Conn) -> Result<u32> {
    Ok(conn.query_row("PRAGMA page_count", [], |row| row.get(0))?)
}

/// The unused ranges of a tree's page that have something in them: its middle and its free blocks. See "B-tree Pages"
/// in SQLite's description of its file format. Where the numbers make no sense there are none.
fn residue_of(page: u32, data: &[u8]) -> Vec<Range<usize>> {
    let start = if page == 1 { FILE_HEADER } else { 0 };
    let number = |at: usize| data.get(at..at + 2).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]])));
    let (Some(kind), Some(free), Some(cells), Some(content)) =
        (data.get(start), number(start + 1), number(start + 3), number(start + 5))
    else {
        return Vec::new();
    };
    if !TREES.contains(kind) {
        return Vec::new();
    }
    let is_leaf = *kind >= 10;
    let pointers = start + if is_leaf { 8 } else { 12 };
    let middle = pointers + 2 * cells..if content == 0 { 65_536 } else { content };
    let mut found = Vec::new();
    let Some(unused) = data.get(middle.clone()) else { return found };
    // Pointers to cells that are gone are no evidence, and a third of all pages has some.
    let pointers = unused
        .chunks_exact(2)
        .take_while(|pair| (1..data.len()).contains(&usize::from(u16::from_be_bytes([pair[0], pair[1]]))))
        .count();
    if unused[2 * pointers..].iter().any(|byte| *byte != 0) {
        found.push(middle.clone());
    }
    // Each block begins with where the next one is and how long it is itself. They come in the order of their places.
    let (mut block, mut before) = (free, middle.end);
    while block >= before {
        let (Some(next), Some(length)) = (number(block), number(block + 2)) else { break };
        let Some(content) = data.get(block + 4..block + length) else { break };
        if content.iter().any(|byte| *byte != 0) {
            found.push(block + 4..block + length);
        }
        (block, before) = (next, block + length);
    }
    found
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a page mostly has one range of residue")]
mod tests {
    use super::*;
    use crate::store::{Direct, settings, testing};

    const NONE: [Range<usize>; 0] = [];

    /// A page of 512 bytes with two cells at its end.
    fn leaf(middle: &[u8]) -> Vec<u8> {
        let mut data = vec![0; 512];
        data[..12].copy_from_slice(&[13, 0, 0, 0, 2, 1, 0xf0, 0, 1, 0xf8, 1, 0xf0]);
        data[0x1f0..].fill(b'x');
        data[100..100 + middle.len()].copy_from_slice(middle);
        data
    }

    #[test]
    fn only_unused_bytes_of_a_trees_page_count() {
        assert_eq!(residue_of(2, &leaf(b"")), NONE);
        assert_eq!(residue_of(2, &leaf(b"Ana")), [12..0x1f0]);
        let mut with_old_pointers = leaf(b"");
        with_old_pointers[12..16].copy_from_slice(&[1, 0xe8, 1, 0xe0]);
        assert_eq!(residue_of(2, &with_old_pointers), NONE);
        with_old_pointers[20] = b'A';
        assert_eq!(residue_of(2, &with_old_pointers), [12..0x1f0]);
        let mut overflow = leaf(b"Ana");
        overflow[0] = 0;
        assert_eq!(residue_of(2, &overflow), NONE, "the rest of a long text is no residue");
        let mut inner = leaf(b"Ana");
        inner[0] = 5;
        assert_eq!(residue_of(2, &inner), [16..0x1f0]);
        let mut first = vec![0; 512];
        first[100..112].copy_from_slice(&[13, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!(residue_of(1, &first), NONE);
        first[300] = b'A';
        assert_eq!(residue_of(1, &first), [108..512]);
        let mut with_block = leaf(b"");
        with_block[1..3].copy_from_slice(&[1, 0xf4]);
        with_block[0x1f4..0x1fc].copy_from_slice(&[0, 0, 0, 8, 0, 0, 0, 0]);
        assert_eq!(residue_of(2, &with_block), NONE);
        with_block[0x1f9] = b'A';
        assert_eq!(residue_of(2, &with_block), [0x1f8..0x1fc], "a block that was freed without secure_delete");
        with_block[0x1f4..0x1f6].copy_from_slice(&[1, 0xf4]);
        assert_eq!(residue_of(2, &with_block).len(), 1, "a circle of blocks ends");
        let mut damaged = leaf(b"");
        damaged[3] = 0xff;
        assert_eq!(residue_of(2, &damaged), NONE, "nothing is cleared where the numbers make no sense");
        assert_eq!(residue_of(2, &[13]), NONE);
    }

    #[test]
    fn what_keeps_residue_from_being_cleared_is_known() {
        assert_eq!(obstacle_of(true, 0, PAGES_AT_MOST - 1), None);
        assert_eq!(obstacle_of(true, 0, PAGES_AT_MOST), Some(Obstacle::TooLarge));
        assert_eq!(obstacle_of(true, 2, 9), Some(Obstacle::AutoVacuum));
        assert_eq!(obstacle_of(false, 0, 9), Some(Obstacle::NotBuilt));
        let told = Obstacle::NotBuilt.to_string();
        let flag = include_str!("../../.cargo/config.toml").lines().find(|line| line.starts_with("LIBSQLITE3_FLAGS"));
        assert!(flag.unwrap().contains("-DSQLITE_ENABLE_DBPAGE_VTAB") && told.contains("LIBSQLITE3_FLAGS"), "{told}");
    }

    #[test]
    fn a_file_that_shrinks_by_itself_is_left_alone_and_the_start_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let conn = Conn::open(dir.path().join("qyvo.db")).unwrap();
        conn.execute_batch("PRAGMA auto_vacuum = FULL; CREATE TABLE t (a); DROP TABLE t").unwrap();
        drop(conn);
        let (store, log) = testing::logged(|| testing::store(&dir));
        assert_eq!(store.read(obstacle).unwrap(), Some(Obstacle::AutoVacuum), "its maps of pointers look like trees");
        assert!(log.contains("WARN") && log.contains(&Obstacle::AutoVacuum.to_string()), "{log}");
    }

    #[test]
    fn residue_is_cleared_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (store, log) = testing::logged(|| testing::store(&dir));
        assert_eq!(store.read(obstacle).unwrap(), None, "SQLite is built for it, see .cargo/config.toml");
        assert!(!log.contains("VACUUM"), "{log}");
        // Rows that grow, here and there: their pages are split and put together anew.
        let value = |n: usize, round: usize| format!("\"row {n} of round {round}{}\"", " grows".repeat(n * round % 40));
        for round in 0..8 {
            store
                .write_blocking(move |tx| {
                    let keys = (0..2_000).filter(|n| round == 0 || n * 7 % 8 == round);
                    keys.into_iter().try_for_each(|n| {
                        settings::set(tx, &format!("{:05}", n * 7919 % 2_000), &value(n, round), testing::now())
                    })
                })
                .unwrap();
        }
        let all = |conn: &Conn| {
            let mut statement = conn.prepare("SELECT key, value FROM settings ORDER BY key")?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        };
        let before = store.read(all).unwrap();
        let look = || {
            let mut found = Vec::new();
            let mut from = Some(1);
            while let Some(page) = from {
                let (more, next) = store.read(|conn| find(conn, page, 7)).unwrap();
                found.extend(more);
                from = next;
            }
            found
        };
        let found = look();
        assert!(!found.is_empty(), "SQLite leaves nothing behind any more, and this file may go");
        let pages = found.clone();
        assert_eq!(store.write_blocking(move |tx| clear(tx, &pages)).unwrap(), found.len());
        assert_eq!(look(), [] as [u32; 0]);
        let again = found.clone();
        assert_eq!(store.write_blocking(move |tx| clear(tx, &again)).unwrap(), 0);
        assert_eq!(store.read(all).unwrap(), before);
        store.write_blocking(|tx| settings::set(tx, "after", "1", testing::now())).unwrap();
        drop(store);
        assert_eq!(Direct::open(&dir.path().join("qyvo.db")).unwrap().check().unwrap(), Vec::<String>::new());
    }
}
