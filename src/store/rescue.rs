//! Saving an open database whose file is not at its path any more.
//!
//! The open file has everything that was answered, together with its write-ahead log. So the log is written into it,
//! and where nothing but this process holds the file, its contents are copied to a file of another name. What stands at
//! the path is left alone, as it may by now be a file of another program; only the log that is open is emptied where
//! the file has moved: beside another file it would damage that one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::file::{Identity, Loss, OpenFile, make_private};
use super::{Conn, rows_of_checkpoint};
use crate::error::{Error, Result};

/// How often a copy is tried: for ten minutes.
const ATTEMPTS: u32 = 120;
/// How long to wait before a copy that failed is tried again, in ticks.
const TICKS: u32 = 50;
/// Interval at which the flag that ends the waiting is checked.
const TICK: Duration = Duration::from_millis(100);

/// Where the contents of a lost file are.
#[derive(Debug, PartialEq, Eq)]
enum Whereabouts {
    /// In this file, which has another name now.
    Moved(PathBuf),
    /// In no file that has a name.
    Removed,
}

/// Why the server stops, as a sentence without its end.
pub(super) fn reason(file: &OpenFile, loss: Loss) -> String {
    match loss {
        Loss::Gone => format!("the database is not at {} any more", file.path.display()),
        Loss::Replaced => format!("another file was put in the place of the database at {}", file.path.display()),
        Loss::Overwritten => format!("another file was copied over the database at {}", file.path.display()),
        Loss::LogGone => {
            format!("the write-ahead log or the shared memory beside {} was removed or replaced", file.path.display())
        }
        Loss::LogOverwritten => {
            format!("the write-ahead log beside {} was emptied or written over", file.path.display())
        }
    }
}

/// Whether what is lost was written over, so that nothing may be written to either file any more.
pub(super) fn is_damage(loss: Loss) -> bool {
    matches!(loss, Loss::Overwritten | Loss::LogOverwritten)
}

/// Logs what to do with a database that was partly written over, or that SQLite finds damaged.
pub(super) fn log_damage(file: &OpenFile, loss: Option<Loss>) {
    let path = file.path.display();
    if loss.is_none() {
        tracing::error!(
            file = %path,
            "nothing more is written to the file. If somebody wrote over it, or over {path}-wal, or the disk is \
             broken, put back a backup, and move {path}-wal and {path}-shm aside before the server is started again; \
             `qyvo check` says what is wrong with a file"
        );
        return;
    }
    if loss == Some(Loss::LogOverwritten) {
        tracing::error!(
            file = %path,
            "what was answered since the log was last written into the database is gone, and nothing more is written: \
             put back a backup, or begin with {path} as it stands. Move {path}-wal and {path}-shm aside for either, \
             and start the server again"
        );
        return;
    }
    tracing::error!(
        file = %path,
        "what the database held is gone, and nothing more is written to the file: stop the server before a backup is \
         restored. Copy the backup to {path} once more, move {path}-wal and {path}-shm aside, and start the \
         server again"
    );
}

/// Brings to a file with a name what the open file and its log hold, logs where it is, and returns that file. Where
/// there is no room for a copy it is tried again for ten minutes or until `is_cut_off`: ending the process would end
/// the file.
pub(super) fn save(conn: &Conn, file: &OpenFile, loss: Loss, is_cut_off: &AtomicBool) -> Option<PathBuf> {
    // A file that only moved has its log with it no longer. What stays at the path is emptied, by the descriptor that
    // is open: were the file put back one day, SQLite would write old pages over what has been added since.
    let is_moved = loss != Loss::LogGone && matches!(whereabouts(file.identity), Whereabouts::Moved(_));
    let modes = if is_moved { &["TRUNCATE", "FULL", "PASSIVE"][..] } else { &["FULL", "PASSIVE"] };
    // Readers end within a moment; one that stays is no reason to lose what can be written.
    let is_complete = modes.iter().any(|mode| match rows_of_checkpoint(conn, mode) {
        Ok((blocked, in_log, written)) => !blocked && in_log == written,
        Err(error) => {
            tracing::error!(%error, "the write-ahead log could not be written into the open database");
            false
        }
    });
    let path = file.path.display();
    match whereabouts(file.identity) {
        Whereabouts::Moved(to) if is_complete && loss == Loss::LogGone => {
            tracing::error!(
                file = %path,
                "everything that was answered is in the database: leave {path}-wal and {path}-shm to the server, and \
                 start it again"
            );
            Some(to)
        }
        Whereabouts::Moved(to) if is_complete => {
            tracing::error!(
                file = %to.display(),
                "everything that was answered is in this file, which was the database: put it back at {path}, and move \
                 {path}-wal and {path}-shm aside if they are there"
            );
            Some(to)
        }
        _ => copy(conn, file, is_cut_off),
    }
}

fn copy(conn: &Conn, file: &OpenFile, is_cut_off: &AtomicBool) -> Option<PathBuf> {
    let path = file.path.display();
    for attempt in 1..=ATTEMPTS {
        let error = match copy_once(conn, &file.path) {
            Ok(to) => {
                tracing::error!(
                    file = %to.display(),
                    "everything that was answered was copied to this file: put it at {path}, and move {path}-wal and \
                     {path}-shm aside if they are there"
                );
                return Some(to);
            }
            Err(error) => error,
        };
        if attempt == ATTEMPTS || is_cut_off.load(Ordering::Relaxed) {
            tracing::error!(%error, "the database could not be copied; it ends with this process");
            return None;
        }
        tracing::error!(
            %error,
            process = std::process::id(),
            "the database has no name any more and could not be copied: make room at {path}; it is tried again"
        );
        for _ in (0..TICKS).take_while(|_| !is_cut_off.load(Ordering::Relaxed)) {
            std::thread::sleep(TICK);
        }
    }
    None
}

/// Copies the database beside its path, or where that is not possible into the working directory or the system's
/// folder for temporary files.
fn copy_once(conn: &Conn, path: &Path) -> Result<PathBuf> {
    let at: String = conn.query_row("SELECT strftime('%Y%m%dT%H%M%SZ', 'now')", [], |row| row.get(0))?;
    let name = path.file_name().unwrap_or_default();
    let beside = path.parent().map(Path::to_owned);
    let mut failure = None;
    for folder in [beside, std::env::current_dir().ok(), Some(std::env::temp_dir())].into_iter().flatten() {
        let mut copy = folder.join(name).into_os_string();
        copy.push(format!(".rescued-{at}"));
        let copy = PathBuf::from(copy);
        match copy_to(conn, &copy) {
            Ok(()) => return Ok(copy),
            Err(error) => {
                // A part of a copy would be taken for one.
                let _ = fs::remove_file(&copy);
                failure.get_or_insert(error);
            }
        }
    }
    Err(failure.unwrap_or_else(|| Error::internal("There is no folder for a copy")))
}

fn copy_to(conn: &Conn, copy: &Path) -> Result<()> {
    make_private(copy)?;
    conn.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
    let cannot = |error| Error::internal(format!("Cannot write {}", copy.display())).caused_by(error);
    File::open(copy).and_then(|file| file.sync_all()).map_err(cannot)?;
    let folder = copy.parent().unwrap_or(Path::new("/"));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot)
}

/// Finds the open file among the descriptors of this process, as the kernel lists them. If the kernel lists none, the
/// file counts as removed. So does a file whose name was removed after it was opened, even if hard links to it remain.
fn whereabouts(identity: Identity) -> Whereabouts {
    let descriptors = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    for descriptor in descriptors.map(|entry| entry.path()) {
        let Ok(open) = fs::metadata(&descriptor) else { continue };
        if Identity::of(&open) != identity {
            continue;
        }
        let leads_there = |name: &PathBuf| fs::metadata(name).is_ok_and(|file| Identity::of(&file) == identity);
        return match fs::read_link(&descriptor) {
            Ok(name) if leads_there(&name) => Whereabouts::Moved(name),
            _ => Whereabouts::Removed,
        };
    }
    Whereabouts::Removed
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_moved_file_is_found_and_a_removed_one_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().canonicalize().unwrap();
        let (path, moved) = (folder.join("a.db"), folder.join("b.db"));
        fs::write(&path, "x").unwrap();
        let open = File::open(&path).unwrap();
        let identity = Identity::of(&open.metadata().unwrap());
        assert_eq!(whereabouts(identity), Whereabouts::Moved(path.clone()));
        fs::rename(&path, &moved).unwrap();
        assert_eq!(whereabouts(identity), Whereabouts::Moved(moved.clone()));
        fs::hard_link(&moved, &path).unwrap();
        fs::remove_file(&moved).unwrap();
        assert_eq!(whereabouts(identity), Whereabouts::Removed, "the kernel knows the name that is gone");
        fs::remove_file(&path).unwrap();
        assert_eq!(whereabouts(identity), Whereabouts::Removed);
    }

    #[test]
    fn a_copy_is_whole_private_and_beside_the_path_or_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let conn = Conn::open(dir.path().join("open.db")).unwrap();
        conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (7)").unwrap();
        let copy = copy_once(&conn, &dir.path().join("qyvo.db")).unwrap();
        let name = copy.file_name().unwrap().to_string_lossy().into_owned();
        assert!(copy.parent() == Some(dir.path()) && name.starts_with("qyvo.db.rescued-2"), "{name}");
        assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
        let read = Conn::open(&copy).unwrap();
        assert_eq!(read.query_row("SELECT x FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 7);
        let elsewhere = copy_once(&conn, &dir.path().join("gone/lost-and-found.db")).unwrap();
        assert!(elsewhere.exists() && elsewhere.parent() != Some(&dir.path().join("gone")));
        fs::remove_file(elsewhere).unwrap();
    }
}
