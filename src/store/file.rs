//! The database file as the file system knows it: which one it is, whether it is still the one at its path, and whether
//! it may be opened at all.
//!
//! SQLite finds the write-ahead log of a file by the file's name. A file of two names has two logs, and a log that
//! stands beside another file than the one it was written for damages that file. So the inode of the open file is
//! kept: the lock file names it, and the path is compared with it while the server runs. That takes a `stat` and
//! never an `open`, because closing any descriptor of a file gives up all locks that the process has on it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};

/// Permissions of the files that are made: other users of the machine may not read what people wrote.
pub(super) const PRIVATE: u32 = 0o600;

/// How long after its log a database may be written: a checkpoint follows a commit within seconds.
const LATER: Duration = Duration::from_secs(60);

/// Symbolic links that are followed at most where the last of them leads to nothing.
const LINKS: usize = 8;

/// How a server is to begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Begin {
    /// With an empty database where there was one that is gone.
    pub anew: bool,
    /// With the write-ahead log that stands beside the file, though the file is another one than before.
    pub keep_log: bool,
}

/// Which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    pub(super) inode: u64,
}

impl Identity {
    pub(super) fn of(file: &fs::Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }
}

/// The file that a server has open, and the path by which it was opened.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    /// SQLite's own files beside it, which are there for as long as it is open.
    beside: Vec<(PathBuf, Identity)>,
    /// Whether the warning about other names was logged.
    is_warned: bool,
    /// Its length when it was last looked at.
    length: u64,
}

/// Why the open file is not the one at its path any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Nothing is there.
    Gone,
    /// Another file is there.
    Replaced,
    /// Another file was copied over it.
    Overwritten,
    /// The write-ahead log or the shared memory beside it is gone or another file. Writes then go to a log without a
    /// name, and other processes do not see the writer.
    LogGone,
    /// The write-ahead log was emptied, or another one was copied over it.
    LogOverwritten,
}

impl OpenFile {
    /// Remembers the file at a path, which has just been opened.
    ///
    /// # Errors
    /// When it is gone already.
    pub(super) fn remember(path: &Path) -> Result<Self> {
        // SQLite, too, makes a relative path absolute when it opens the file.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let file = fs::metadata(&path).map_err(|error| unreadable(&path, error))?;
        let beside = [log_of(&path), shared_memory_of(&path)];
        let beside = beside.into_iter().filter_map(|path| Some((Identity::of(&fs::metadata(&path).ok()?), path)));
        let beside = beside.map(|(identity, path)| (path, identity)).collect();
        Ok(Self { identity: Identity::of(&file), length: file.len(), path, beside, is_warned: false })
    }

    /// Whether it is SQLite that has shortened the file, as a `VACUUM` of another process does: then the database has
    /// fewer bytes than the file had, and else as many or more.
    pub(super) fn takes_length(&mut self, database_bytes: u64) -> bool {
        let is_shortened = database_bytes < self.length;
        if is_shortened {
            self.length = length(&self.path);
        }
        is_shortened
    }

    /// Compares the file at the path with the open one. What cannot be looked at now is taken to be there.
    pub(super) fn look(&mut self) -> Option<Loss> {
        let file = match fs::metadata(&self.path) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Some(Loss::Gone),
            Err(_) => return None,
        };
        if Identity::of(&file) != self.identity {
            return Some(Loss::Replaced);
        }
        if file.len() < self.length {
            return Some(Loss::Overwritten);
        }
        self.length = file.len();
        let is_other = |(path, identity): &(PathBuf, Identity)| match fs::metadata(path) {
            Ok(file) => Identity::of(&file) != *identity,
            Err(error) => is_absent(&error),
        };
        if self.beside.iter().any(is_other) {
            return Some(Loss::LogGone);
        }
        if file.nlink() > 1 && !self.is_warned {
            tracing::warn!(
                path = %self.path.display(),
                names = file.nlink(),
                "the database has got another name (a hard link): whatever writes by that name damages it; \
                 the next start refuses it"
            );
        }
        self.is_warned = file.nlink() > 1;
        None
    }
}

/// What a lock file says of the database that the last server had open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recorded {
    /// There never was one.
    Nothing,
    /// There was one; older versions did not say which.
    Unknown,
    /// The file with this inode.
    Database(u64),
}

/// Refuses what must not be opened, before anything is touched.
///
/// # Errors
/// `Conflict` with a sentence that says what to do.
pub(super) fn check_before_server(path: &Path, recorded: Recorded, begin: Begin) -> Result<()> {
    let shown = path.display();
    let log = log_of(path);
    let has_log = length(&log) > 0;
    let file = match fs::metadata(path) {
        Ok(file) => Some(file),
        Err(error) if is_absent(&error) => None,
        Err(error) => return Err(unreadable(path, error)),
    };
    // SQLite throws the log of an empty file away.
    let Some(file) = file.filter(|file| !file.is_file() || file.len() > 0) else {
        if has_log {
            return Err(Error::conflict(format!(
                "There is no database at {shown}, but {} holds writes of the one that was there. Put the database \
                 back{}, or move that file aside to begin without them",
                log.display(),
                rescued_beside(path),
            )));
        }
        let rescued = rescued_beside(path);
        if (recorded.is_of_database() || !rescued.is_empty()) && !begin.anew {
            return Err(Error::conflict(format!(
                "There is no database at {shown} any more, though a server has run on it. Put the database \
                 back{rescued}, or begin with an empty one by `qyvo serve --new`"
            )));
        }
        return Ok(());
    };
    if file.nlink() > 1 {
        return Err(Error::conflict(format!(
            "{shown} has {} names (hard links): each name has a write-ahead log of its own, and what is written by one \
             name damages what is written by another. Remove the other names, or use a copy of the file",
            file.nlink()
        )));
    }
    if is_mount_point(path) {
        return Err(Error::conflict(format!(
            "{shown} is mounted as a single file: its write-ahead log would stand outside of the mount and be lost \
             with it. Mount its folder instead"
        )));
    }
    match recorded {
        Recorded::Database(inode) if inode != file.ino() && has_log && !begin.keep_log => {
            Err(Error::conflict(of_another(path, &log)))
        }
        Recorded::Database(_) if has_log && !begin.keep_log && is_later(&file, &log) => Err(Error::conflict(format!(
            "{shown} was written after {}, as by a copy over it: the writes there belong to what it was before and \
             would damage it. If it was restored, move that file aside first; if nobody wrote over it, start once with \
             `qyvo serve --keep-log`, which takes the writes in",
            log.display()
        ))),
        _ => Ok(()),
    }
}

/// Refuses a database or a log that was written over while the last server ran, as it said when it ended.
///
/// # Errors
/// `Conflict` with a sentence that says what to do.
pub(super) fn check_after_damage(path: &Path, told: &str, begin: Begin) -> Result<()> {
    let log = log_of(path);
    // An empty log as well: it may have been emptied by hand, and by moving it aside an operator shows that this was
    // read.
    if !log.exists() || begin.keep_log {
        return Ok(());
    }
    Err(Error::conflict(format!(
        "The last server on {} ended because {told}. What was in {} is gone, or may not fit what is there now and \
         would damage it. Move that file aside and put a backup of the database in its place, or begin with the \
         database as it stands; `qyvo serve --keep-log` takes the writes in all the same",
        path.display(),
        log.display()
    )))
}

/// Whether a database is there and is another file than one of those that are known.
pub(super) fn is_another(path: &Path, known: [Recorded; 2]) -> bool {
    let file = fs::metadata(path).ok().filter(|file| file.len() > 0);
    file.is_some_and(|file| known.iter().any(|one| matches!(one, Recorded::Database(inode) if *inode != file.ino())))
}

/// Whether a database was written so long after its log as no checkpoint does.
fn is_later(file: &fs::Metadata, log: &Path) -> bool {
    let written = fs::metadata(log).and_then(|log| log.modified());
    match (file.modified(), written) {
        (Ok(file), Ok(log)) => file.duration_since(log).is_ok_and(|later| later > LATER),
        _ => false,
    }
}

/// Refuses what a command must not open, whether or not a server runs on it.
///
/// # Errors
/// `Conflict` with a sentence that says what to do; `Internal` when the file cannot be looked at.
pub(super) fn check_before_command(path: &Path, recorded: Recorded) -> Result<()> {
    let file = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    let log = log_of(path);
    match recorded {
        Recorded::Database(inode) if inode == file.ino() => Ok(()),
        Recorded::Database(_) if length(&log) > 0 => Err(Error::conflict(of_another(path, &log))),
        _ if file.nlink() > 1 => Err(Error::conflict(format!(
            "{} has {} names (hard links), and this is not the one that a server uses: use that one",
            path.display(),
            file.nlink()
        ))),
        _ => Ok(()),
    }
}

fn of_another(path: &Path, log: &Path) -> String {
    format!(
        "{} is another file than the one that the last server had open, and {} holds writes of that one. If both were \
         copied or put back together, start once with `qyvo serve --keep-log`, which takes the writes in. If only the \
         database was put there, move {} aside first: its writes belong to the other file and would damage this one",
        path.display(),
        log.display(),
        log.display(),
    )
}

/// Makes an empty file that only its owner may read, if there is none. SQLite gives its log and its shared memory the
/// same permissions.
///
/// # Errors
/// When it cannot be made.
pub(super) fn make_private(path: &Path) -> Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::internal(format!("Cannot create {}", path.display())).caused_by(error)),
    }
}

/// Puts a file in the place of a database, in its folder, and returns once that is on the disk.
///
/// # Errors
/// When it cannot be renamed.
pub(super) fn replace(from: &Path, database: &Path) -> Result<()> {
    let real = real_path(database);
    File::open(from)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(from, &real))
        .and_then(|()| File::open(real.parent().unwrap_or(Path::new("/"))))
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Error::unavailable(format!("Cannot replace {}: {error}", database.display())))
}

/// Whether all users of this machine may read a file. Its group is taken to be intended.
pub fn is_open_to_all(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.mode() & 0o004 != 0)
}

/// The file that a path leads to, through symbolic links, whether or not it is there: SQLite puts its own files beside
/// that one.
pub(super) fn real_path(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        if let Ok(real) = path.canonicalize() {
            return real;
        }
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path,
    }
}

/// A file of ours beside the database: its path with a dot and a word.
pub(super) fn beside(database: &Path, word: &str) -> PathBuf {
    let mut path = real_path(database).into_os_string();
    path.push(".");
    path.push(word);
    path.into()
}

/// The write-ahead log of a database.
pub(super) fn log_of(database: &Path) -> PathBuf {
    of_sqlite(database, "-wal")
}

/// What processes that have a database open share of its log.
pub(super) fn shared_memory_of(database: &Path) -> PathBuf {
    of_sqlite(database, "-shm")
}

/// A file of SQLite beside the database.
fn of_sqlite(database: &Path, ending: &str) -> PathBuf {
    let mut path = real_path(database).into_os_string();
    path.push(ending);
    path.into()
}

/// The length of a file, 0 of none.
pub(super) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// Whether an error says that nothing is there.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::internal(format!("Cannot look at {}", path.display())).caused_by(error)
}

/// Names the newest copy that a server has rescued, for the sentence that asks to put one back.
fn rescued_beside(path: &Path) -> String {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return String::new() };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut wanted = name.to_owned();
    wanted.push(".rescued-");
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let newest = names
        .filter(|name| name.as_bytes().starts_with(wanted.as_bytes()) && !name.as_bytes().ends_with(b"-journal"))
        .max();
    newest.map_or_else(String::new, |name| format!(" (a server has saved {})", folder.join(name).display()))
}

/// Whether a path is itself a mount point, as the kernel lists them; `false` where it does not.
fn is_mount_point(path: &Path) -> bool {
    let path = real_path(path);
    let Ok(mounts) = fs::read("/proc/self/mountinfo") else { return false };
    mounts
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .any(|point| unescaped(point).as_os_str() == path.as_os_str())
}

/// A path of the kernel's list, which writes white space as a backslash and three octal digits.
fn unescaped(text: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let octal = (first == b'\\').then(|| after.get(..3)).flatten();
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: Recorded = Recorded::Database(u64::MAX);

    fn refused(path: &Path, recorded: Recorded, begin: Begin) -> Option<String> {
        check_before_server(path, recorded, begin).err().map(|error| error.message().to_owned())
    }

    #[test]
    fn a_database_that_is_gone_is_not_begun_anew_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qyvo.db");
        let (plain, anew) = (Begin::default(), Begin { anew: true, ..Begin::default() });
        assert_eq!(refused(&path, Recorded::Nothing, plain), None, "the first start");
        for recorded in [DATABASE, Recorded::Unknown] {
            assert!(refused(&path, recorded, plain).unwrap().contains("`qyvo serve --new`"));
            assert_eq!(refused(&path, recorded, anew), None);
        }
        fs::write(&path, "").unwrap();
        assert!(refused(&path, DATABASE, plain).is_some(), "an empty file is none");
        fs::write(dir.path().join("qyvo.db.rescued-20260101T000000Z"), "x").unwrap();
        assert!(refused(&path, DATABASE, plain).unwrap().contains("qyvo.db.rescued-20260101T000000Z"));
        // SQLite would discard the log, which must never happen.
        fs::write(dir.path().join("qyvo.db-wal"), "writes").unwrap();
        for begin in [plain, anew, Begin { keep_log: true, ..plain }] {
            assert!(refused(&path, Recorded::Nothing, begin).unwrap().contains("qyvo.db-wal holds writes"));
        }
    }

    #[test]
    fn the_log_of_another_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qyvo.db");
        fs::write(&path, "a database").unwrap();
        let own = Recorded::Database(fs::metadata(&path).unwrap().ino());
        let plain = Begin::default();
        assert_eq!(refused(&path, DATABASE, plain), None, "it has no log");
        fs::write(dir.path().join("qyvo.db-wal"), "writes").unwrap();
        let told = refused(&path, DATABASE, plain).unwrap();
        assert!(told.contains("--keep-log") && told.contains("qyvo.db-wal aside"), "{told}");
        assert_eq!(refused(&path, DATABASE, Begin { keep_log: true, ..plain }), None);
        assert!(check_before_command(&path, DATABASE).is_err());
        for recorded in [own, Recorded::Nothing, Recorded::Unknown] {
            assert_eq!(refused(&path, recorded, plain), None);
            check_before_command(&path, recorded).unwrap();
        }
    }

    #[test]
    fn a_file_of_two_names_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qyvo.db");
        fs::write(&path, "a database").unwrap();
        let mut open = OpenFile::remember(&path).unwrap();
        fs::hard_link(&path, dir.path().join("other.db")).unwrap();
        assert!(refused(&path, Recorded::Nothing, Begin::default()).unwrap().contains("2 names"));
        check_before_command(&path, Recorded::Database(open.identity.inode)).unwrap();
        assert!(check_before_command(&dir.path().join("other.db"), Recorded::Nothing).is_err());
        assert_eq!(open.look(), None, "it goes on, with a warning");
        assert!(open.is_warned);
    }

    #[test]
    fn the_path_is_compared_with_the_open_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("data");
        fs::create_dir(&folder).unwrap();
        let (path, other) = (folder.join("qyvo.db"), dir.path().join("other.db"));
        fs::write(&path, "1").unwrap();
        fs::write(&other, "2").unwrap();
        let link = dir.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let (mut open, mut linked) = (OpenFile::remember(&path).unwrap(), OpenFile::remember(&link).unwrap());
        assert_eq!((open.look(), linked.look()), (None, None));
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        assert_eq!((open.look(), linked.look()), (None, Some(Loss::Replaced)), "the link leads elsewhere");
        fs::rename(&folder, dir.path().join("moved")).unwrap();
        assert_eq!(open.look(), Some(Loss::Gone));
        fs::write(&folder, "a file in place of the folder").unwrap();
        assert_eq!(open.look(), Some(Loss::Gone));
        fs::remove_file(&folder).unwrap();
        fs::rename(dir.path().join("moved"), &folder).unwrap();
        assert_eq!(open.look(), None);
        fs::rename(&other, &path).unwrap();
        assert_eq!(open.look(), Some(Loss::Replaced));
    }

    #[test]
    fn the_files_beside_a_database_have_one_name_before_and_after_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, link) = (dir.path().join("data"), dir.path().join("link.db"));
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink("data/qyvo.db", &link).unwrap();
        let before = [beside(&link, "lock"), log_of(&link)];
        fs::write(folder.join("qyvo.db"), "x").unwrap();
        assert_eq!([beside(&link, "lock"), log_of(&link)], before);
        assert_eq!(before[0], folder.canonicalize().unwrap().join("qyvo.db.lock"));
    }

    #[test]
    fn mount_points_with_blanks_are_read() {
        assert_eq!(unescaped(br"/mnt/my\040disk\134x/a\0"), r"/mnt/my disk\x/a\0");
        assert!(is_mount_point(Path::new("/proc")) && !is_mount_point(Path::new("/proc/self/mountinfo")));
    }
}
