//! Making a database as small as what is in it, while no server runs on it.
//!
//! Rows that are deleted leave room in the file that later rows take, so the file does not shrink by itself. Here it is
//! copied without gaps, and the copy takes its place once it is whole and checked.

use std::path::{Path, PathBuf};

use rusqlite::OpenFlags;

use super::backup::{self, CopyOptions, Progress};
use super::file::{self, Identity, Recorded};
use super::lock::{self, Lock};
use super::{COMMAND_BUSY_TIMEOUT, Conn, rows_of_checkpoint};
use crate::error::{Error, Result};

/// What a database takes on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes before.
    pub before: u64,
    /// Bytes now.
    pub after: u64,
}

/// What compacting a database needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    /// Bytes of the copy, about.
    pub bytes: u64,
    /// Bytes that are free on the disk.
    pub free: u64,
    /// Bytes of the database.
    pub database: u64,
}

/// How much room compacting needs.
///
/// # Errors
/// `NotFound` when there is no database; `Conflict` when it is not ours.
pub fn needed(database: &Path) -> Result<Needed> {
    let bytes = backup::expected_size(database)?;
    Ok(Needed { bytes, free: super::free_bytes(database)?, database: file::length(database) })
}

/// Puts a copy without gaps in the place of a database.
///
/// # Errors
/// `Conflict` when a server or another process has it open, `Unavailable` when the disk has no room, `Internal` when it
/// is damaged. The database is as it was then.
pub fn compact(database: &Path, progress: impl FnMut(Progress) + Send + 'static) -> Result<Compacted> {
    let mut lock = Lock::take(database)?;
    lock::refuse_if_open(database)?;
    let before = file::length(database);
    empty_log(database)?;
    let to: PathBuf = file::beside(database, "compacting");
    let mut progress = progress;
    let told = Box::new(move |done| {
        progress(done);
        true
    });
    backup::copy(database, &to, CopyOptions { min_free: 0, is_gentle: false, progress: told })?;
    file::replace(&to, database)?;
    let placed = std::fs::metadata(database);
    let placed = placed.map_err(|error| Error::internal("The database cannot be looked at").caused_by(error))?;
    lock.record(Some(Identity::of(&placed)));
    Ok(Compacted { before, after: placed.len() })
}

/// Writes the log into the database, so that the copy can take its place without it.
fn empty_log(database: &Path) -> Result<()> {
    file::check_before_command(database, Recorded::of(database))?;
    let conn = Conn::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.raw().busy_timeout(COMMAND_BUSY_TIMEOUT)?;
    let (is_blocked, ..) = rows_of_checkpoint(&conn, "TRUNCATE")?;
    if is_blocked {
        return Err(Error::conflict(format!("Another process has {} open: end it first", database.display())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Direct, Store, settings, testing};

    #[test]
    fn what_was_deleted_is_given_back_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("qyvo.db");
        let store = testing::store(&dir);
        let value = format!("\"{}\"", "x".repeat(10_000));
        let fill = move |tx: &crate::store::Tx<'_>| {
            (0..1_000).try_for_each(|n| settings::set(tx, &n.to_string(), &value, testing::now()))
        };
        store.write_blocking(fill).unwrap();
        assert!(compact(&database, |_| ()).unwrap_err().message().contains("in use"));
        store.write_blocking(|tx| Ok(tx.execute("DELETE FROM settings WHERE key > '5'", [])?)).unwrap();
        drop(store);
        // What has it open and neither reads nor writes now would go on with the file that is replaced.
        let other = Conn::open(&database).unwrap();
        let tables = |conn: &Conn| conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
        tables(&other).unwrap();
        let refused = compact(&database, |_| ()).unwrap_err();
        assert!(refused.message().contains("Another process has"), "{refused}");
        drop(other);
        let needed = needed(&database).unwrap();
        let done = compact(&database, |_| ()).unwrap();
        assert_eq!(done.before, needed.database);
        assert!(done.after < done.before * 2 / 3 && done.after.abs_diff(needed.bytes) < 1 << 20, "{done:?} {needed:?}");
        assert_eq!(Direct::open(&database).unwrap().check().unwrap(), Vec::<String>::new());
        let store = Store::open(&testing::options(&dir)).unwrap();
        let left: i64 =
            store.read(|conn| Ok(conn.query_row("SELECT count(*) FROM settings", [], |row| row.get(0))?)).unwrap();
        assert_eq!(left, 446);
    }
}
