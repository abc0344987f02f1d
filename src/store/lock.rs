//! The lock that keeps two servers off one database.
//!
//! SQLite lets many processes write in turn, and that is what the command line relies on. Two servers on one file
//! would each send every message, so a server also holds an advisory lock on `<database>.lock`. The kernel drops it
//! when the process ends, however it ends; the file itself stays, because removing it would let two servers hold locks
//! on two files of the same name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The lock on one database; dropping it gives the database up.
#[derive(Debug)]
pub(super) struct Lock {
    // Held for its lock only.
    _file: File,
}

impl Lock {
    /// Takes the lock of `database`, and writes this process's id into the lock file.
    ///
    /// # Errors
    /// `Conflict` when another server holds it, with that server's process id; `Internal` when the lock file cannot be
    /// made.
    pub(super) fn take(database: &Path) -> Result<Self> {
        let path = lock_path(database);
        let broken = |error| Error::internal(format!("Cannot use the lock file {}", path.display())).caused_by(error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(broken)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The sentence below stands without the process id, too.
                let _ = file.read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => "another process".to_owned(),
                    pid => format!("process {pid}"),
                };
                return Err(Error::conflict(format!(
                    "{} is in use by {holder}: only one server can run on a database",
                    database.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(broken(error)),
        }
        file.set_len(0).map_err(broken)?;
        file.rewind().map_err(broken)?;
        writeln!(file, "{}", std::process::id()).map_err(broken)?;
        Ok(Self { _file: file })
    }
}

/// The lock file of a database: beside the file itself, also when `database` is a symbolic link to it.
fn lock_path(database: &Path) -> PathBuf {
    let mut path = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    path.push(".lock");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_and_told_who_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("qyvo.db");
        let first = Lock::take(&database).unwrap();
        let refused = Lock::take(&database).unwrap_err();
        assert!(refused.message().contains(&format!("process {}:", std::process::id())), "{refused}");
        drop(first);
        assert!(Lock::take(&database).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_leads_to_the_same_lock() {
        let dir = tempfile::tempdir().unwrap();
        let (database, link) = (dir.path().join("qyvo.db"), dir.path().join("link.db"));
        File::create(&database).unwrap();
        std::os::unix::fs::symlink(&database, &link).unwrap();
        let _first = Lock::take(&link).unwrap();
        assert!(Lock::take(&database).is_err());
    }
}
