//! The lock that keeps two servers off one database.
//!
//! SQLite lets many processes write in turn, and that is what the command line relies on. Two servers on one file would
//! each send every message, so a server also holds an advisory lock on `<database>.lock`. The kernel drops it when the
//! process ends, however it ends; the file itself stays, because removing it would let two servers hold locks on two
//! files of the same name. If it is removed by hand, it is made and locked anew. The server also locks the database
//! file itself, in a way that SQLite does not notice, so that a second one is refused even if the lock file is gone.
//! The descriptor of that lock is never closed before SQLite's own: closing it would give up SQLite's locks.
//!
//! The file records which process holds it and which file it had open, by the inode: the next start knows from that
//! whether the database was taken away or replaced. A server whose file was lost adds why it ended, and also writes the
//! record to where the path leads now, such as an empty folder in the place of one that was moved. The lock file is
//! beside the database file itself; if the database is opened by a symbolic link, a copy is beside the link, for a
//! start that finds the link gone or led elsewhere.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, OpenFlags};

use super::file::{Identity, PRIVATE, Recorded, beside, check_before_command, is_absent, length};
use super::{BUSY_TIMEOUT, Conn};
use crate::error::{Error, Result};

/// What stands before the inode.
const INODE: &str = "inode ";
/// What stands there while no database has been made.
const NONE: &str = "none";
/// What stands before why the last server ended: its file was taken away, or written over.
const LOST: &str = "lost: ";
const DAMAGED: &str = "damaged: ";

impl Recorded {
    /// Reads the lock file of a database, also while another process holds the lock.
    pub(super) fn of(database: &Path) -> Self {
        Self::read(&lock_path(database)).or_of_link(database)
    }

    fn read(lock: &Path) -> Self {
        fs::read_to_string(lock).map_or(Self::Nothing, |text| Self::parse(&text))
    }

    /// This record; if it is empty, the one beside the symbolic link to the database.
    fn or_of_link(self, database: &Path) -> Self {
        match copy_path(database) {
            Some(copy) if self == Self::Nothing => Self::read(&copy),
            _ => self,
        }
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        match (lines.next(), lines.next().map(|line| line.trim().trim_start_matches(INODE))) {
            (None, _) | (_, Some(NONE)) => Self::Nothing,
            (_, Some(inode)) => inode.parse().map_or(Self::Unknown, Self::Database),
            (Some(_), None) => Self::Unknown,
        }
    }

    /// Whether there was a database.
    pub(super) fn is_of_database(self) -> bool {
        self != Self::Nothing
    }
}

/// Why the last server ended, if it lost its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    /// The file or its log was written over: what stands there may not fit together.
    pub(super) is_damage: bool,
    /// As a sentence without its end.
    pub(super) told: String,
}

impl Ending {
    /// Reads the lock file of a database, also while another process holds the lock.
    pub(super) fn of(database: &Path) -> Option<Self> {
        Self::read(&lock_path(database))
    }

    fn read(lock: &Path) -> Option<Self> {
        fs::read_to_string(lock).ok().and_then(|text| Self::parse(&text))
    }

    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().nth(2)?;
        let of = |mark: &str, is_damage| Some(Self { is_damage, told: line.strip_prefix(mark)?.to_owned() });
        of(LOST, false).or_else(|| of(DAMAGED, true))
    }

    fn line(&self) -> String {
        // A path may have any character.
        let told = self.told.replace(|one: char| one.is_control(), " ");
        format!("\n{}{told}", if self.is_damage { DAMAGED } else { LOST })
    }
}

/// The lock on one database; dropping it releases the database.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
    /// Where a copy of it stands, if the database is opened by a symbolic link.
    copy: Option<PathBuf>,
    recorded: Recorded,
    /// What the copy said when the lock was taken.
    of_link: Recorded,
    /// Why the last server ended, or this one does.
    ending: Option<Ending>,
    /// A file of the same contents where the path leads now.
    elsewhere: Option<File>,
    /// The database, once there is one.
    database: Option<File>,
}

impl Lock {
    /// Takes the lock of `database`.
    ///
    /// # Errors
    /// `Conflict` when another server holds it, with that server's process id, and when there is no folder for it;
    /// `Internal` when the lock file cannot be made.
    pub(super) fn take(database: &Path) -> Result<Self> {
        let path = lock_path(database);
        let broken = |error: io::Error| match path.parent() {
            Some(folder) if is_absent(&error) && !folder.is_dir() => Error::conflict(format!(
                "There is no folder {}, in which the database {} is to be. If it was moved or is not mounted, put it \
                     back or set `storage.path` to where it is now; for a new database, create it",
                folder.display(),
                database.display()
            )),
            _ => Error::internal(format!("Cannot use the lock file {}", path.display())).caused_by(error),
        };
        let in_use = || {
            // The sentence stands without the process id, too.
            let text = fs::read_to_string(&path).unwrap_or_default();
            let holder = match text.lines().next().map(str::trim) {
                None | Some("") => "another process".to_owned(),
                Some(pid) => format!("process {pid}"),
            };
            Error::conflict(format!(
                "{} is in use by {holder}: only one server can run on a database. Stop that one, or name another file \
                 with --database",
                database.display()
            ))
        };
        let held_database = lock_database(database).map_err(|()| in_use())?;
        let mut file = open(&path).map_err(broken)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use()),
            Err(TryLockError::Error(error)) => return Err(broken(error)),
        }
        let mut text = String::new();
        // A file that cannot be read counts as empty.
        let _ = file.read_to_string(&mut text);
        let recorded = Recorded::parse(&text).or_of_link(database);
        let copy = copy_path(database);
        let of_link = copy.as_deref().map_or(Recorded::Nothing, Recorded::read);
        // The copy is about the files that the link led to, and not those that it leads to now.
        let of_copy = || Some(Ending { is_damage: false, ..Ending::read(copy.as_deref()?)? });
        let ending = Ending::parse(&text).or_else(of_copy);
        Ok(Self { file, path, copy, recorded, of_link, ending, elsewhere: None, database: held_database })
    }

    /// What the file and its copy beside a symbolic link said when it was taken.
    pub(super) fn known(&self) -> [Recorded; 2] {
        [self.recorded, self.of_link]
    }

    /// Why the last server ended, if it lost its file.
    pub(super) fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Writes down why this server ends, for the next start, also where the path leads now if there is no record.
    pub(super) fn end(&mut self, database: &Path, ending: Ending) {
        self.ending = Some(ending);
        self.write();
        let here = lock_path(database);
        if self.elsewhere.is_none() {
            self.elsewhere = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(here).ok();
        }
        let text = self.text();
        if let Some(file) = &mut self.elsewhere
            && let Err(error) = overwrite(file, &text)
        {
            tracing::warn!(%error, "another lock file could not be written");
        }
    }

    /// The file's record when it was taken, or the one written since.
    pub(super) fn recorded(&self) -> Recorded {
        self.recorded
    }

    /// Locks the database that has been made since, too.
    ///
    /// # Errors
    /// `Conflict` when another server was faster.
    pub(super) fn hold(&mut self, database: &Path) -> Result<()> {
        if self.database.is_none() {
            let in_use = |()| Error::conflict(format!("{} is in use by another server", database.display()));
            self.database = lock_database(database).map_err(in_use)?;
        }
        Ok(())
    }

    /// Writes down which process holds the lock, and which database it has open; none before it has opened one that is
    /// new.
    pub(super) fn record(&mut self, database: Option<Identity>) {
        self.recorded = match (database, self.recorded) {
            (Some(database), _) => Recorded::Database(database.inode),
            (None, recorded) => recorded,
        };
        self.ending = None;
        self.write();
    }

    fn write(&mut self) {
        // A full disk may have no room for the text. The lock holds without it.
        let text = self.text();
        if let Err(error) = overwrite(&mut self.file, &text) {
            tracing::warn!(path = %self.path.display(), %error, "the lock file could not be written");
        }
        if let Some(copy) = &self.copy
            && let Err(error) = open(copy).and_then(|mut file| overwrite(&mut file, &text))
        {
            tracing::warn!(path = %copy.display(), %error, "the copy of the lock file could not be written");
        }
    }

    fn text(&self) -> String {
        let line = match self.recorded {
            Recorded::Nothing => format!("\n{NONE}"),
            Recorded::Unknown => String::new(),
            Recorded::Database(inode) => format!("\n{INODE}{inode}"),
        };
        let ending = self.ending.as_ref().map_or_else(String::new, Ending::line);
        format!("{}{line}{ending}\n", std::process::id())
    }

    /// Checks whether the lock file is still there, and makes and locks it anew where it is not.
    ///
    /// # Errors
    /// `Conflict` when another server has a lock of the same name meanwhile.
    pub(super) fn keep(&mut self) -> Result<()> {
        let own = self.file.metadata().map(|file| Identity::of(&file));
        match (fs::metadata(&self.path), own) {
            (Ok(there), Ok(own)) if Identity::of(&there) != own => {}
            (Err(error), _) if is_absent(&error) => {}
            // It is there, or cannot be looked at.
            _ => return Ok(()),
        }
        let Ok(file) = open(&self.path) else { return Ok(()) };
        match file.try_lock() {
            Ok(()) => {
                tracing::warn!(path = %self.path.display(), "the lock file was removed; it is made anew");
                self.file = file;
                self.record(None);
                Ok(())
            }
            Err(TryLockError::WouldBlock) => Err(Error::conflict(format!(
                "{} was removed, and another server has begun to run on the database",
                self.path.display()
            ))),
            Err(TryLockError::Error(_)) => Ok(()),
        }
    }
}

/// Refuses a database that another process has open, before a copy takes its place. That process would go on with the
/// old file and, because SQLite finds a log by its name, with the log of the new one: Litestream makes a replica of it
/// that is damaged. A database that must not be opened, because it or its log is damaged, passes.
///
/// # Errors
/// `Conflict` when another process has it open.
pub(super) fn refuse_if_open(database: &Path) -> Result<()> {
    let is_damaged = Ending::of(database).is_some_and(|ending| ending.is_damage);
    if is_damaged || length(database) == 0 || check_before_command(database, Recorded::of(database)).is_err() {
        return Ok(());
    }
    let conn = Conn::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.raw().busy_timeout(BUSY_TIMEOUT)?;
    // Each connection holds a shared lock on the file as long as it is open, which this mode does not let stand.
    let looked = conn
        .query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))
        .and_then(|()| conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())));
    match looked {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Err(Error::conflict(format!(
            "Another process has {} open: end it first, and stop Litestream if that copies the database",
            database.display()
        ))),
        // What cannot be read is told by what reads it next.
        _ => Ok(()),
    }
}

/// Locks a database that is there. Where that is not possible the lock file has to do.
fn lock_database(path: &Path) -> Result<Option<File>, ()> {
    let Ok(file) = File::open(path) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(()),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

impl Drop for Lock {
    /// Unlocks rather than only closes: a process that another thread is starting has the same open files until its
    /// program runs, and the lock would last as long.
    fn drop(&mut self) {
        for file in [Some(&self.file), self.elsewhere.as_ref(), self.database.as_ref()].into_iter().flatten() {
            let _ = file.unlock();
        }
    }
}

/// Overwrites the contents, which needs no room, and only then cuts the file.
fn overwrite(file: &mut File, text: &str) -> io::Result<()> {
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE).open(path)
}

/// The lock file of a database: beside the file itself, also when `database` is a symbolic link to it.
fn lock_path(database: &Path) -> PathBuf {
    beside(database, "lock")
}

/// The path of the lock file's copy: beside `database` where that is a symbolic link. Once the link is gone, that is
/// the place of the lock file.
fn copy_path(database: &Path) -> Option<PathBuf> {
    let is_link = fs::symlink_metadata(database).is_ok_and(|file| file.is_symlink());
    let mut name = database.file_name().filter(|_| is_link)?.to_owned();
    name.push(".lock");
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_and_told_who_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("qyvo.db");
        let mut first = Lock::take(&database).unwrap();
        first.record(None);
        let refused = Lock::take(&database).unwrap_err();
        assert!(refused.message().contains(&format!("process {}:", std::process::id())), "{refused}");
        drop(first);
        assert!(Lock::take(&database).is_ok());
    }

    #[test]
    fn a_lock_ends_though_a_process_that_is_being_started_has_its_files_too() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("qyvo.db");
        File::create(&database).unwrap();
        let first = Lock::take(&database).unwrap();
        // What a fork has until the other program runs.
        let inherited = (first.file.try_clone().unwrap(), first.database.as_ref().unwrap().try_clone().unwrap());
        drop(first);
        assert!(Lock::take(&database).is_ok());
        drop(inherited);
    }

    #[test]
    fn a_link_leads_to_the_same_lock() {
        let dir = tempfile::tempdir().unwrap();
        let (database, link) = (dir.path().join("qyvo.db"), dir.path().join("link.db"));
        File::create(&database).unwrap();
        std::os::unix::fs::symlink(&database, &link).unwrap();
        let _first = Lock::take(&link).unwrap();
        assert!(Lock::take(&database).is_err());
    }

    #[test]
    fn what_was_open_by_a_link_is_known_when_the_link_is_gone_or_leads_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, link) = (dir.path().join("data"), dir.path().join("link.db"));
        fs::create_dir(&folder).unwrap();
        let database = folder.join("qyvo.db");
        fs::write(&database, "x").unwrap();
        std::os::unix::fs::symlink(&database, &link).unwrap();
        let identity = Identity::of(&fs::metadata(&database).unwrap());
        Lock::take(&link).unwrap().record(Some(identity));
        for path in [&database, &link] {
            assert_eq!(Recorded::of(path), Recorded::Database(identity.inode));
        }
        fs::remove_file(&link).unwrap();
        assert_eq!(Recorded::of(&link), Recorded::Database(identity.inode));
        assert_eq!(Lock::take(&link).unwrap().recorded(), Recorded::Database(identity.inode));
        std::os::unix::fs::symlink(folder.join("other.db"), &link).unwrap();
        assert_eq!(Recorded::of(&link), Recorded::Database(identity.inode));
        // The record beside the file comes first.
        Lock::take(&folder.join("other.db")).unwrap().record(Some(Identity::of(&fs::metadata(&folder).unwrap())));
        assert_ne!(Recorded::of(&link), Recorded::Database(identity.inode));
    }

    #[test]
    fn a_folder_that_is_gone_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let told = Lock::take(&dir.path().join("data/qyvo.db")).unwrap_err();
        assert!(told.message().starts_with("There is no folder ") && told.message().contains("/data, "), "{told}");
    }

    #[test]
    fn it_remembers_which_file_was_open() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("qyvo.db");
        assert_eq!(Recorded::of(&database), Recorded::Nothing);
        Lock::take(&database).unwrap().record(None);
        assert_eq!(Recorded::of(&database), Recorded::Nothing, "a start that ended before there was a database");
        fs::write(&database, "x").unwrap();
        let identity = Identity::of(&fs::metadata(&database).unwrap());
        Lock::take(&database).unwrap().record(Some(identity));
        assert_eq!(Recorded::of(&database), Recorded::Database(identity.inode));
        drop(Lock::take(&database).unwrap());
        assert_eq!(Recorded::of(&database), Recorded::Database(identity.inode), "a start that was refused");
        for (text, recorded) in [
            ("", Recorded::Nothing),
            ("4711\n", Recorded::Unknown),
            ("4711\ninode 5\n", Recorded::Database(5)),
            ("4711\nsomething else\n", Recorded::Unknown),
        ] {
            assert_eq!(Recorded::parse(text), recorded, "{text:?}");
        }
    }

    #[test]
    fn why_a_server_ended_is_known_to_the_next_one_also_where_its_path_leads_by_then() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("data");
        let database = folder.join("qyvo.db");
        fs::create_dir(&folder).unwrap();
        fs::write(&database, "x").unwrap();
        let identity = Identity::of(&fs::metadata(&database).unwrap());
        let lost = |told: &str| Ending { is_damage: false, told: told.to_owned() };
        let mut lock = Lock::take(&database).unwrap();
        lock.record(Some(identity));
        fs::rename(&folder, dir.path().join("moved")).unwrap();
        fs::create_dir(&folder).unwrap();
        lock.end(&database, lost("it is gone"));
        lock.end(&database, lost("it is gone; all is in\nmoved"));
        drop(lock);
        for path in [&database, &dir.path().join("moved/qyvo.db")] {
            let lock = Lock::take(path).unwrap();
            assert_eq!(lock.ending(), Some(&lost("it is gone; all is in moved")));
            assert_eq!(lock.recorded(), Recorded::Database(identity.inode));
        }
        let mut lock = Lock::take(&database).unwrap();
        lock.record(None);
        assert_eq!((lock.ending(), Ending::of(&database)), (None, None), "a server runs again");
        lock.end(&database, Ending { is_damage: true, ..lost("it was written over") });
        assert!(Ending::of(&database).unwrap().is_damage);
    }

    #[test]
    fn a_lock_file_that_is_removed_is_made_anew_unless_another_server_was_faster() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("qyvo.db");
        let mut first = Lock::take(&database).unwrap();
        first.record(None);
        first.keep().unwrap();
        fs::remove_file(lock_path(&database)).unwrap();
        first.keep().unwrap();
        assert!(Lock::take(&database).is_err(), "it is held again");
        fs::remove_file(lock_path(&database)).unwrap();
        let _second = Lock::take(&database).unwrap();
        assert!(first.keep().unwrap_err().message().contains("another server"));
    }

    #[test]
    fn who_removes_the_lock_file_starts_no_second_server() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("qyvo.db");
        fs::write(&database, "x").unwrap();
        let first = Lock::take(&database).unwrap();
        fs::remove_file(lock_path(&database)).unwrap();
        assert!(Lock::take(&database).unwrap_err().message().contains("in use"));
        assert!(!lock_path(&database).exists(), "the first makes it anew");
        drop(first);
        let mut none = Lock::take(&dir.path().join("new.db")).unwrap();
        fs::write(dir.path().join("new.db"), "x").unwrap();
        none.hold(&dir.path().join("new.db")).unwrap();
        fs::remove_file(lock_path(&dir.path().join("new.db"))).unwrap();
        assert!(Lock::take(&dir.path().join("new.db")).is_err());
    }
}
