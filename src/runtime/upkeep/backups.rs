//! Backups that the server makes by itself: at an interval, into a folder, of which it keeps the newest.
//!
//! What there is, the folder says, not the database: a restart and a restored database know of all of it. The interval
//! is counted from the newest backup.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::Timestamp;
use crate::error::{Error, Result};
use crate::runtime::Runtime;
use crate::runtime::options::BackupPlan;
use crate::store::backup::{self, Copied, CopyOptions};
use crate::store::erased_list;

/// How soon a backup that failed is tried again.
const AFTER_FAILURE: Duration = Duration::from_secs(300);
/// How often the clock is looked at: it may be set, and the machine may have slept.
const LOOK: Duration = Duration::from_secs(30);
/// The end of the names of backups.
const ENDING: &str = ".db";
/// Characters of a moment in a name, such as `20261201T101500Z`.
const MOMENT: usize = 16;

/// A backup in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFile {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was begun.
    pub created_at: Timestamp,
}

/// How the server's own backups stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupState {
    /// The interval.
    pub every: Duration,
    /// The newest backup.
    pub newest: Option<BackupFile>,
    /// How long the last one took, if this process made it.
    pub took: Option<Duration>,
    /// Why the last one failed, since the last that did not.
    pub failure: Option<String>,
    /// No backup was made for more than two intervals.
    pub is_late: bool,
}

/// What is known of backups in memory.
#[derive(Default)]
pub(in crate::runtime) struct Backups {
    last: Mutex<Last>,
    /// Held while one is made.
    making: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Last {
    /// When this process began to make them: nothing is late before a whole interval has passed.
    began: Option<Timestamp>,
    /// The newest backup when the folder was last read: one on another machine may hang, and `/readyz` must not.
    newest: Option<BackupFile>,
    took: Option<Duration>,
    failure: Option<String>,
}

impl BackupPlan {
    /// Where the copy of the list of erased contacts is; `None` while no backups are made.
    pub(in crate::runtime) fn list_copy(&self, database: &Path) -> Option<PathBuf> {
        (!self.dir.as_os_str().is_empty()).then(|| erased_list::copy_in(&self.dir, database))
    }

    /// The backups of a database, the newest first.
    ///
    /// # Errors
    /// When the folder is there and cannot be read.
    pub fn list(&self, database: &Path) -> Result<Vec<BackupFile>> {
        let unreadable = |error: std::io::Error| {
            Error::internal(format!("The folder of the backups {} cannot be read", self.dir.display())).caused_by(error)
        };
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut backups = Vec::new();
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(created_at) = moment_of(&name, database) else { continue };
            let bytes = entry.metadata().map_or(0, |file| file.len());
            backups.push(BackupFile { name, bytes, created_at });
        }
        backups.sort_by(|a, b| b.name.cmp(&a.name));
        Ok(backups)
    }

    /// Makes a backup, with the list of erased contacts beside it, and removes those that are too many.
    ///
    /// # Errors
    /// Those of [`backup::copy`], and when the folder cannot be made.
    fn make(&self, database: &Path, now: Timestamp) -> Result<(BackupFile, Copied)> {
        fs::create_dir_all(&self.dir).map_err(|error| {
            Error::conflict(format!("The folder {} (backup.dir) cannot be made: {error}", self.dir.display()))
        })?;
        self.remove_partials(database);
        let name = name_of(database, now);
        let options = CopyOptions { min_free: self.min_free, is_gentle: true, progress: Box::new(|_| true) };
        let copied = backup::copy(database, &self.dir.join(&name), options)?;
        // The list after the copy: it has every contact that the copy lacks.
        erased_list::copy(&erased_list::path_of(database), &erased_list::copy_in(&self.dir, database))?;
        for old in self.list(database)?.into_iter().skip(self.keep.max(1)) {
            let path = self.dir.join(&old.name);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(%error, path = %path.display(), "an old backup could not be removed");
            }
        }
        Ok((BackupFile { name, bytes: copied.bytes, created_at: now }, copied))
    }

    /// Removes what backups that were broken off have left.
    fn remove_partials(&self, database: &Path) {
        let names = fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|entry| entry.path());
        for partial in names.filter(|path| backup::is_partial(path)) {
            let is_ours =
                partial.file_stem().is_some_and(|name| moment_of(&name.to_string_lossy(), database).is_some());
            if is_ours {
                backup::remove_partial(&partial);
            }
        }
    }
}

/// The name of a backup that is begun now, such as `qyvo-20261201T101500Z.db`.
fn name_of(database: &Path, now: Timestamp) -> String {
    // From `2026-12-01T10:15:00+00:00`.
    let moment: String = now.to_iso_seconds().chars().take(19).filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{}-{moment}Z{ENDING}", stem(database))
}

fn stem(database: &Path) -> String {
    database.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// When a backup of a database was begun, by its name; `None` of any other file.
fn moment_of(name: &str, database: &Path) -> Option<Timestamp> {
    let moment = name.strip_prefix(&stem(database))?.strip_prefix('-')?.strip_suffix(ENDING)?;
    let digits =
        |range: std::ops::Range<usize>| moment.get(range).filter(|part| part.bytes().all(|b| b.is_ascii_digit()));
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        digits(0..4)?,
        digits(4..6)?,
        digits(6..8)?,
        digits(9..11)?,
        digits(11..13)?,
        digits(13..15)?
    );
    (moment.len() == MOMENT).then(|| text.parse().ok()).flatten()
}

impl Runtime {
    /// When and where backups are made.
    pub fn backup_plan(&self) -> &BackupPlan {
        &self.shared().options.backups
    }

    /// Makes backups at their interval until `stop` is done. One that is being made then is broken off with the
    /// process.
    pub async fn run_backups(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        if self.backup_plan().every.is_zero() {
            return stop.await;
        }
        self.inner.backups.lock().began = Some(self.clock().now());
        let mut not_before = self.clock().now();
        loop {
            let now = self.clock().now();
            if now >= not_before && self.is_backup_due(now).await {
                tokio::select! {
                    () = &mut stop => return,
                    made = self.make_backup() => if made.is_err() {
                        not_before = self.clock().now().plus(AFTER_FAILURE.min(self.backup_plan().every));
                    }
                }
            }
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(LOOK.min(self.backup_plan().every / 10)) => {}
            }
        }
    }

    async fn is_backup_due(&self, now: Timestamp) -> bool {
        // Making one says what is wrong with the folder.
        let Ok(backups) = self.backup_files().await else { return true };
        let newest = backups.into_iter().next();
        // One from the future is no reason to make none: the clock was wrong then.
        let is_due = newest
            .as_ref()
            .is_none_or(|newest| newest.created_at.plus(self.backup_plan().every) <= now || newest.created_at > now);
        self.inner.backups.lock().newest = newest;
        is_due
    }

    /// The backups in their folder, the newest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn backup_files(&self) -> Result<Vec<BackupFile>> {
        let (plan, database) = (self.backup_plan().clone(), self.store().path().to_owned());
        blocking(move || plan.list(&database)).await
    }

    /// Makes a backup now, into the folder of the backups.
    ///
    /// # Errors
    /// Those of [`backup::copy`]; they are also logged, and noted for `/readyz`.
    pub async fn make_backup(&self) -> Result<BackupFile> {
        let _turn = self.inner.backups.making.lock().await;
        let (plan, database, now) = (self.backup_plan().clone(), self.store().path().to_owned(), self.clock().now());
        let made = blocking(move || plan.make(&database, now)).await;
        let mut last = self.inner.backups.lock();
        match made {
            Ok((file, copied)) => {
                let took_ms = copied.took.as_millis();
                tracing::info!(name = file.name, bytes = file.bytes, took_ms, "a backup was made");
                (last.took, last.failure, last.newest) = (Some(copied.took), None, Some(file.clone()));
                Ok(file)
            }
            Err(error) => {
                tracing::error!(%error, "the backup failed; it is tried again");
                last.failure = Some(error.message().to_owned());
                Err(error)
            }
        }
    }

    /// Why the last backup failed; `None` if it did not.
    pub fn backup_failure(&self) -> Option<String> {
        self.inner.backups.lock().failure.clone()
    }

    /// How the server's own backups stand; `None` while it makes none.
    pub fn backup_state(&self) -> Option<BackupState> {
        let every = self.backup_plan().every;
        if every.is_zero() {
            return None;
        }
        let last = self.inner.backups.lock();
        let since = [last.newest.as_ref().map(|newest| newest.created_at), last.began].into_iter().flatten().max();
        let is_late = since.is_some_and(|since| since.plus(every * 2) < self.clock().now());
        Some(BackupState {
            every,
            newest: last.newest.clone(),
            took: last.took,
            failure: last.failure.clone(),
            is_late,
        })
    }
}

impl Backups {
    fn lock(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn blocking<T: Send + 'static>(f: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(f).await;
    done.unwrap_or_else(|error| Err(Error::internal("A backup panicked").caused_by(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_of_which_database_and_moment_a_backup_is() {
        let database = Path::new("/var/lib/qyvo/qyvo.db");
        let at = Timestamp::from_millis(1_796_120_100_000);
        let name = name_of(database, at);
        assert_eq!(name, "qyvo-20261201T101500Z.db");
        assert_eq!(moment_of(&name, database), Some(at));
        assert_eq!(moment_of(&name, Path::new("other.db")), None);
        for other in [
            "qyvo.db",
            "qyvo-.db",
            "qyvo-20261201T101500Z.db.partial",
            "qyvo-2026120éT101500Z.db",
            "qyvo-99999999T999999Z.db",
        ] {
            assert_eq!(moment_of(other, database), None, "{other}");
        }
    }
}
