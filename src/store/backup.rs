//! A consistent copy of a database, also of one that a server writes to.
//!
//! `VACUUM INTO` copies one snapshot: it needs no second try however much is written meanwhile, the copy has no gaps,
//! and nothing of rows that were deleted. While it runs the write-ahead log cannot begin anew, so the log grows by what
//! is written meanwhile. The copy is written to a file of another name, synced, checked, and renamed at the end: what
//! stands under a backup's name is whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{ErrorCode, OpenFlags};

use super::file::{self, Identity, PRIVATE};
use super::lock::Ending;
use super::schema::{self, State};
use super::{COMMAND_BUSY_TIMEOUT, Conn};
use crate::error::{Error, Result};

/// What the name of a copy that is not complete ends with.
const PARTIAL: &str = ".partial";
/// Instructions of SQLite between two looks at how far the copy is: some thirty rows.
const LOOK_EVERY: i32 = 100;
/// Bytes after which what was written is synced: one sync of gigabytes at the end would hold up the commits of a server
/// on the same disk.
const SYNC_EVERY: u64 = 8 << 20;
/// The longest pause after such a sync, in which the disk is left to others.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Memory of the page cache, in KiB.
const CACHE: i64 = 16 * 1024;

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were written.
    pub written: u64,
    /// Bytes that the copy will have, about.
    pub expected: u64,
}

/// How to copy.
pub struct CopyOptions {
    /// Bytes that stay free on the disk of the database; on another disk the copy may take all.
    pub min_free: u64,
    /// Whether the disk is left to others half of the time.
    pub is_gentle: bool,
    /// Is told how far the copy is. `false` ends it.
    pub progress: Box<dyn FnMut(Progress) -> bool + Send>,
}

/// A copy that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its length in bytes.
    pub bytes: u64,
    /// How long it took, the check included.
    pub took: Duration,
}

/// Copies a database to a file, which it replaces if that is an older copy.
///
/// # Errors
/// `NotFound` when there is no database; `Conflict` when it or what stands at `to` is not ours, when `to` is a database
/// in use, and when another copy to `to` is being made; `Unavailable` when the disk has no room; `Internal` when the
/// database or the copy is damaged. In each case `to` is as it was.
pub fn copy(database: &Path, to: &Path, options: CopyOptions) -> Result<Copied> {
    let began = Instant::now();
    let conn = open_source(database)?;
    check_target(database, to)?;
    let partial = partial_of(to);
    let part = Part::begin(&partial, to)?;
    let expected = size(&conn)?;
    let room = Room::of(database, to, options.min_free);
    room.check(expected)?;
    write(&conn, &part, expected, room, options)?;
    drop(conn);
    let bytes = part.finish(to)?;
    Ok(Copied { bytes, took: began.elapsed() })
}

/// Where a copy is written until it is complete.
fn partial_of(to: &Path) -> PathBuf {
    let mut partial = to.as_os_str().to_owned();
    partial.push(PARTIAL);
    partial.into()
}

/// Whether a name is that of a copy that is not complete.
pub fn is_partial(name: &Path) -> bool {
    name.as_os_str().to_string_lossy().ends_with(PARTIAL)
}

/// Removes a copy that was not completed, unless one is being made there.
pub fn remove_partial(partial: &Path) {
    if let Ok(file) = OpenOptions::new().write(true).open(partial)
        && file.try_lock().is_ok()
        && let Err(error) = remove(partial)
    {
        tracing::warn!(%error, path = %partial.display(), "a copy that was not completed could not be removed");
    }
}

/// Removes a copy that is not complete, and the journal that SQLite leaves beside it when the disk is full.
fn remove(partial: &Path) -> io::Result<()> {
    let mut journal = partial.as_os_str().to_owned();
    journal.push("-journal");
    let _ = fs::remove_file(journal);
    fs::remove_file(partial)
}

/// Reads a file that a copy was made to, whole: whether it is a database of this program with no damage. Returns its
/// schema version.
///
/// # Errors
/// `NotFound`, `Conflict` when it is no database of ours or one of a newer program, `Internal` when it is damaged.
pub fn check(copy: &Path, is_thorough: bool) -> Result<i64> {
    if !copy.exists() {
        return Err(Error::not_found(format!("There is no file {}", copy.display())));
    }
    if file::length(&file::log_of(copy)) > 0 {
        return Err(Error::conflict(format!(
            "{} has a write-ahead log beside it, so it is no backup but a database that was in use: open it once with \
             `qyvo check --database`, or copy it with `qyvo backup`",
            copy.display()
        )));
    }
    // What is not written to needs no log beside it.
    let uri = format!("file:{}?immutable=1", uri_path(copy));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Conn::open_with_flags(uri, flags)?;
    let damaged = |what: &str| Error::internal(format!("{} is damaged: {what}", copy.display()));
    match read_whole(&conn, is_thorough) {
        Ok(found) if found == ["ok"] => Ok(conn.query_row("PRAGMA user_version", [], |row| row.get(0))?),
        Ok(found) if found.is_empty() => Err(Error::conflict(format!("{} is empty", copy.display()))),
        Ok(found) => Err(damaged(&found.join("; "))),
        Err(error) => match super::cause(&error) {
            Some(cause) if cause.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                Err(damaged(&cause.to_string()))
            }
            _ => Err(super::about(copy, error)),
        },
    }
}

/// What SQLite finds wrong with a file, or `ok`; nothing if there is nothing in the file.
fn read_whole(conn: &Conn, is_thorough: bool) -> Result<Vec<String>> {
    // Looked at first: it has a sentence for what is no database.
    if schema::CURRENT.inspect(conn)? == State::Empty {
        return Ok(Vec::new());
    }
    conn.raw().pragma_update(None, "cache_size", -CACHE)?;
    let pragma = if is_thorough { "PRAGMA integrity_check(3)" } else { "PRAGMA quick_check(3)" };
    let mut statement = conn.prepare(pragma)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn uri_path(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

/// Opens a database that is to be copied, of whichever version.
fn open_source(database: &Path) -> Result<Conn> {
    if !database.exists() {
        return Err(Error::not_found(format!(
            "There is no database at {}: `qyvo serve` creates one",
            database.display()
        )));
    }
    file::check_before_command(database, super::file::Recorded::of(database))?;
    if let Some(ending) = Ending::of(database).filter(|ending| ending.is_damage) {
        file::check_after_damage(database, &ending.told, file::Begin::default())?;
    }
    // It is not written to, but a database that is not in use has its log made and removed by whoever reads it.
    let conn = Conn::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.raw().busy_timeout(COMMAND_BUSY_TIMEOUT)?;
    // Closing must not write the log into the database, which is the server's business.
    conn.raw().pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.raw().pragma_update(None, "cache_size", -CACHE)?;
    match schema::CURRENT.inspect(&conn).map_err(|error| super::about(database, error))? {
        State::Empty => Err(Error::conflict(format!("{} is empty: `qyvo serve` fills it", database.display()))),
        State::Current | State::Older(_) => Ok(conn),
    }
}

/// Refuses to copy over a file that is no older copy.
fn check_target(database: &Path, to: &Path) -> Result<()> {
    let shown = to.display();
    let target = match fs::metadata(to) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::conflict(format!("{shown} cannot be written: {error}"))),
    };
    if target.is_dir() {
        return Err(Error::conflict(format!("{shown} is a folder: name a file in it")));
    }
    if fs::metadata(database).is_ok_and(|source| Identity::of(&source) == Identity::of(&target)) {
        return Err(Error::conflict(format!("{shown} is the database itself: name another file for the copy")));
    }
    if file::length(&file::log_of(to)) > 0 || file::beside(to, "lock").exists() {
        return Err(Error::conflict(format!("{shown} is a database that is or was in use: name another file")));
    }
    if target.len() > 0 {
        let of_other = |_| Error::conflict(format!("{shown} is there and is no backup: name another file"));
        let conn = Conn::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        schema::CURRENT.inspect(&conn).map_err(of_other)?;
    }
    Ok(())
}

/// Bytes that a copy of a database has, about.
///
/// # Errors
/// As [`copy`].
pub fn expected_size(database: &Path) -> Result<u64> {
    size(&open_source(database)?)
}

/// Bytes that a copy without gaps has.
fn size(conn: &Conn) -> Result<u64> {
    let pragma = |name: &str| -> Result<u64> {
        Ok(conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, u32>(0))?.into())
    };
    Ok((pragma("page_count")?.saturating_sub(pragma("freelist_count")?)) * pragma("page_size")?)
}

/// Writes the copy, and ends it early where it must not go on.
fn write(conn: &Conn, part: &Part, expected: u64, room: Room, options: CopyOptions) -> Result<()> {
    let CopyOptions { is_gentle, mut progress, .. } = options;
    let file = part.file.clone();
    let refusal: Arc<Mutex<Option<Error>>> = Arc::default();
    let refused = refusal.clone();
    let mut synced = 0;
    let look = move || {
        let written = file.metadata().map_or(0, |file| file.len());
        if written < synced + SYNC_EVERY {
            return false;
        }
        synced = written;
        let began = Instant::now();
        let go_on = file.sync_data().map_err(|error| cannot_write(&error)).and_then(|()| room.check(0));
        let go_on = go_on.and_then(|()| match progress(Progress { written, expected: expected.max(written) }) {
            true => Ok(()),
            false => Err(Error::unavailable("The copy was broken off")),
        });
        if is_gentle {
            std::thread::sleep(began.elapsed().min(LONGEST_PAUSE));
        }
        match go_on {
            Ok(()) => false,
            Err(error) => {
                *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                true
            }
        }
    };
    conn.raw().progress_handler(LOOK_EVERY, Some(look))?;
    let copied = conn.execute("VACUUM INTO ?1", [part.path.to_string_lossy()]);
    conn.raw().progress_handler(0, None::<fn() -> bool>)?;
    match (copied, refusal.lock().unwrap_or_else(PoisonError::into_inner).take()) {
        (_, Some(error)) => Err(error),
        (Ok(_), None) => Ok(()),
        (Err(error), None) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            Err(Error::unavailable("The disk of the copy is full: make room, or name a file on another disk"))
        }
        (Err(error), None) => Err(Error::internal("The database cannot be copied").caused_by(error)),
    }
}

fn cannot_write(error: &io::Error) -> Error {
    Error::unavailable(format!("The copy cannot be written: {error}"))
}

/// The room that a copy may take.
#[derive(Debug, Clone)]
struct Room {
    folder: PathBuf,
    /// The database, if it is on the same disk, and what has to stay free for it beside its log.
    database: Option<(PathBuf, u64)>,
}

impl Room {
    fn of(database: &Path, to: &Path, min_free: u64) -> Self {
        let folder = folder_of(to);
        let database = file::real_path(database);
        let device = |path: &Path| fs::metadata(path).ok().map(|file| file.dev());
        let is_same = device(&folder).is_some() && device(&folder) == device(&database);
        Self { folder, database: is_same.then_some((database, min_free)) }
    }

    /// Refuses so many bytes more if they would take what the database needs.
    fn check(&self, more: u64) -> Result<()> {
        // Where the file system does not report it, the write itself will fail.
        let Ok(free) = fs4::available_space(&self.folder) else { return Ok(()) };
        let kept = self
            .database
            .as_ref()
            .map_or(0, |(database, min_free)| min_free.saturating_add(file::length(&file::log_of(database))));
        if free >= more.saturating_add(kept) {
            return Ok(());
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        Err(Error::unavailable(format!(
            "The disk of the copy has {} MiB free, and {} MiB are needed: {} for the copy and {} that the database \
             keeps free (storage.min_free and its log). Make room, or name a file on another disk",
            mib(free),
            mib(more.saturating_add(kept)),
            mib(more),
            mib(kept)
        )))
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A copy that is being made.
struct Part {
    path: PathBuf,
    /// Locked, so that two copies to one name do not meet; also what is synced.
    file: Arc<File>,
    is_complete: bool,
}

impl Part {
    fn begin(path: &Path, to: &Path) -> Result<Self> {
        let folder = folder_of(to);
        if !folder.is_dir() {
            let sentence = format!("There is no folder {}: create it, or name a file in another one", folder.display());
            return Err(Error::conflict(sentence));
        }
        let cannot = |error: io::Error| Error::conflict(format!("{} cannot be written: {error}", path.display()));
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(PRIVATE).open(path);
        let file = file.map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::conflict(format!("Another process is copying to {} already", to.display())));
            }
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        // What a copy that was killed has left.
        file.set_len(0).map_err(cannot)?;
        Ok(Self { path: path.to_owned(), file: Arc::new(file), is_complete: false })
    }

    /// Syncs the copy, checks it, and gives it its name. Returns its length.
    fn finish(mut self, to: &Path) -> Result<u64> {
        self.file.sync_all().map_err(|error| cannot_write(&error))?;
        check(&self.path, false)?;
        fs::rename(&self.path, to).map_err(|error| cannot_write(&error))?;
        self.is_complete = true;
        File::open(folder_of(to)).and_then(|folder| folder.sync_all()).map_err(|error| cannot_write(&error))?;
        Ok(file::length(to))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_complete {
            // A part of a copy must not be taken for one.
            let _ = remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::error::Code;
    use crate::store::{Store, Tx, settings, testing};

    /// Settings in the store that is copied.
    const ROWS: i64 = 3_000;

    fn options() -> CopyOptions {
        CopyOptions { min_free: 0, is_gentle: false, progress: Box::new(|_| true) }
    }

    /// A store with some megabytes.
    fn filled(dir: &tempfile::TempDir) -> Store {
        let store = testing::store(dir);
        let value = format!("\"{}\"", "x".repeat(10_000));
        let fill =
            move |tx: &Tx<'_>| (0..ROWS).try_for_each(|n| settings::set(tx, &n.to_string(), &value, testing::now()));
        store.write_blocking(fill).unwrap();
        store
    }

    fn names(dir: &tempfile::TempDir) -> Vec<String> {
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_copy_beside_a_store_is_whole_private_and_has_what_was_committed() {
        let dir = tempfile::tempdir().unwrap();
        let store = filled(&dir);
        let (database, to) = (dir.path().join("qyvo.db"), dir.path().join("copy.db"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = seen.clone();
        let progress = Box::new(move |progress| {
            told.lock().unwrap().push(progress);
            true
        });
        let copied = copy(&database, &to, CopyOptions { progress, ..options() }).unwrap();
        assert_eq!(copied.bytes, file::length(&to));
        let seen = seen.lock().unwrap();
        assert!(seen.len() >= 2 && seen.is_sorted_by_key(|progress| progress.written), "{seen:?}");
        assert!(seen.iter().all(|progress| progress.expected.abs_diff(copied.bytes) < 1 << 20), "{seen:?}");
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(check(&to, true).unwrap(), schema::CURRENT.version());
        assert!(!names(&dir).iter().any(|name| name.contains("copy.db-") || name.contains("partial")));
        let conn = Conn::open(&to).unwrap();
        assert_eq!(conn.query_row("SELECT count(*) FROM settings", [], |row| row.get::<_, i64>(0)).unwrap(), ROWS);
        drop(conn);
        store.write_blocking(|tx| settings::set(tx, "later", "1", testing::now())).unwrap();
        copy(&database, &to, options()).unwrap();
        let conn = Conn::open(&to).unwrap();
        assert_eq!(conn.query_row("SELECT count(*) FROM settings", [], |row| row.get::<_, i64>(0)).unwrap(), ROWS + 1);
    }

    #[test]
    fn a_copy_that_is_broken_off_leaves_nothing_and_what_stood_there() {
        let dir = tempfile::tempdir().unwrap();
        let _store = filled(&dir);
        let (database, to) = (dir.path().join("qyvo.db"), dir.path().join("copy.db"));
        let before = names(&dir);
        let stopped = || CopyOptions { progress: Box::new(|_| false), ..options() };
        assert_eq!(copy(&database, &to, stopped()).unwrap_err().code(), Code::Unavailable);
        assert_eq!(names(&dir), before);
        copy(&database, &to, options()).unwrap();
        let bytes = fs::read(&to).unwrap();
        assert!(copy(&database, &to, stopped()).is_err());
        assert!(fs::read(&to).unwrap() == bytes);
        // As a copy that was killed leaves it: the next one begins anew, and it is never taken for a backup.
        let partial = partial_of(&to);
        fs::write(&partial, &bytes[..1 << 20]).unwrap();
        assert!(is_partial(&partial) && check(&partial, false).is_err());
        copy(&database, &to, options()).unwrap();
        assert!(!partial.exists());
        fs::write(&partial, "").unwrap();
        let held = File::open(&partial).unwrap();
        held.try_lock().unwrap();
        let refused = copy(&database, &to, options()).unwrap_err();
        assert!(refused.message().contains("already"), "{refused}");
        remove_partial(&partial);
        assert!(partial.exists(), "it is being written");
        drop(held);
        remove_partial(&partial);
        assert!(!partial.exists());
    }

    #[test]
    fn only_an_older_copy_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let _store = testing::store(&dir);
        let path = |name: &str| dir.path().join(name);
        let database = path("qyvo.db");
        fs::write(path("text"), "a text").unwrap();
        fs::create_dir(path("folder")).unwrap();
        std::os::unix::fs::symlink(&database, path("link")).unwrap();
        Conn::open(path("other.db")).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        let other = tempfile::tempdir().unwrap();
        drop(testing::store(&other));
        let in_use = other.path().join("qyvo.db");
        for (to, why) in [
            (path("text"), "no backup"),
            (path("folder"), "a folder"),
            (database.clone(), "the database itself"),
            (path("link"), "the database itself"),
            (path("other.db"), "no backup"),
            (in_use, "was in use"),
            (path("missing/copy.db"), "create it"),
        ] {
            let before = fs::read(&to).ok();
            let refused = copy(&database, &to, options()).unwrap_err();
            assert_eq!(refused.code(), Code::Conflict);
            assert!(refused.message().contains(why), "{refused}");
            assert!(fs::read(&to).ok() == before);
        }
        let missing = copy(&path("missing.db"), &path("copy.db"), options()).unwrap_err();
        assert_eq!(missing.code(), Code::NotFound);
    }

    #[test]
    fn a_copy_leaves_the_database_its_room() {
        let dir = tempfile::tempdir().unwrap();
        let _store = filled(&dir);
        let (database, to) = (dir.path().join("qyvo.db"), dir.path().join("copy.db"));
        let refused = copy(&database, &to, CopyOptions { min_free: 1 << 60, ..options() }).unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        assert!(refused.message().contains("storage.min_free"), "{refused}");
        assert!(!to.exists() && !partial_of(&to).exists());
    }

    #[test]
    fn what_is_damaged_or_no_backup_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let _store = filled(&dir);
        let to = dir.path().join("a copy?#%.db");
        copy(&dir.path().join("qyvo.db"), &to, options()).unwrap();
        assert!(check(&to, false).is_ok());
        let mut bytes = fs::read(&to).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 8192].fill(0xff);
        fs::write(&to, &bytes).unwrap();
        assert!(check(&to, true).unwrap_err().message().contains("damaged"));
        fs::write(&to, &bytes[..bytes.len() / 2]).unwrap();
        assert!(check(&to, false).unwrap_err().message().contains("damaged"));
        fs::write(&to, "").unwrap();
        assert!(check(&to, false).unwrap_err().message().contains("is empty"));
        fs::write(file::log_of(&to), "x").unwrap();
        let in_use = check(&to, false).unwrap_err();
        assert!(in_use.message().contains("was in use"), "{in_use}");
    }
}
