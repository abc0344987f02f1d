//! How much room the disk of the database has left, and which writes it still lets in.
//!
//! A full disk must never take the room that makes room again: a checkpoint may need as many bytes as the write-ahead
//! log has, and an erasure writes before it frees. So new work stops first, then everything else that can be sent
//! again, and what frees room or must never wait goes on until SQLite itself refuses.
//!
//! Beside the database stands a file of [`RESERVE`] bytes that holds nothing. A start that finds no room removes it,
//! because SQLite needs some for its shared memory; it is made anew once there is room.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fs4::FileExt;

use super::file::{PRIVATE, beside, real_path};
use crate::error::{Error, Result};

/// Bytes of the reserve file.
pub(super) const RESERVE: u64 = 4 << 20;
/// The part of `min_free` that is kept for what must never wait is half of it, and no more than this.
const KEPT_AT_MOST: u64 = 1 << 30;
/// A level is left for a better one only with so many bytes to spare, so that it does not change with every batch.
const TO_SPARE: u64 = 8 << 20;
/// Bytes that one job is taken to write at most, for deciding how many may run together where room is short.
const BYTES_OF_JOB: u64 = 1 << 20;
/// How long nothing but essential writes are tried after SQLite found the disk full, whatever the free space says: a
/// quota does not show there.
const AFTER_FULL: Duration = Duration::from_secs(5);
/// How long to wait before the reserve is tried again that could not be made.
const RESERVE_AGAIN: Duration = Duration::from_secs(60);

/// What a write is for. It decides how little room on the disk still lets it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WriteClass {
    /// It frees room, or must never wait: erasing, opting out, recording what has left already.
    Essential,
    /// It goes on with what has begun: replies, statuses, timers, and all that people change by hand.
    Ongoing,
    /// It begins something: a session, a message of another system, rows of an import.
    New,
}

/// Which writes the room lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoomLevel {
    /// All writes.
    Enough,
    /// All but [`WriteClass::New`].
    NothingNew,
    /// Only those of [`WriteClass::Essential`].
    EssentialOnly,
}

impl RoomLevel {
    /// Whether it lets a write in.
    pub fn allows(self, class: WriteClass) -> bool {
        match self {
            Self::Enough => true,
            Self::NothingNew => class <= WriteClass::Ongoing,
            Self::EssentialOnly => class == WriteClass::Essential,
        }
    }
}

/// The room of one database, shared by its writer and all who want to write.
#[derive(Debug)]
pub(super) struct Room {
    database: PathBuf,
    min_free: AtomicU64,
    /// Bytes that were free when it was last measured.
    free: AtomicU64,
    /// Bytes of the write-ahead log that a checkpoint may have to write.
    log: AtomicU64,
    /// Bytes that were written since it was last measured.
    written: AtomicU64,
    level: AtomicU8,
    full_until: Mutex<Option<Instant>>,
    has_reserve: AtomicBool,
    reserve_again: Mutex<Option<Instant>>,
}

impl Room {
    /// The room of a database before it is first measured. Without `min_free` nothing is refused before SQLite finds
    /// the disk full.
    pub(super) fn new(database: &Path, min_free: u64) -> Self {
        Self {
            database: real_path(database),
            min_free: AtomicU64::new(min_free),
            free: AtomicU64::new(u64::MAX),
            log: AtomicU64::new(0),
            written: AtomicU64::new(0),
            level: AtomicU8::new(RoomLevel::Enough as u8),
            full_until: Mutex::default(),
            has_reserve: AtomicBool::new(reserve_path(database).exists()),
            reserve_again: Mutex::default(),
        }
    }

    pub(super) fn level(&self) -> RoomLevel {
        match self.level.load(Ordering::Relaxed) {
            0 => RoomLevel::Enough,
            1 => RoomLevel::NothingNew,
            _ => RoomLevel::EssentialOnly,
        }
    }

    /// # Errors
    /// `Unavailable` while there is no room for such a write.
    pub(super) fn check(&self, class: WriteClass) -> Result<()> {
        if self.level().allows(class) {
            return Ok(());
        }
        Err(Error::unavailable(match class {
            WriteClass::New => {
                "The server's disk is nearly full: until there is room again no session is started and no message of \
                 another system is sent. What people write is taken."
            }
            WriteClass::Ongoing | WriteClass::Essential => {
                "The server's disk is full: nothing but erasures and opt-outs is written until there is room again."
            }
        }))
    }

    /// Bytes that were free when it was last measured.
    pub(super) fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    /// Bytes that are to stay free, beside the size of the log.
    pub(super) fn min_free(&self) -> u64 {
        self.min_free.load(Ordering::Relaxed)
    }

    pub(super) fn set_min_free(&self, min_free: u64) {
        self.min_free.store(min_free, Ordering::Relaxed);
    }

    /// Notes how long the log is, and how much of it is new.
    pub(super) fn wrote(&self, log: u64, written: u64) {
        self.log.store(log, Ordering::Relaxed);
        self.written.fetch_add(written, Ordering::Relaxed);
    }

    /// Whether so much was written since the last measurement that it has to be repeated before more is.
    pub(super) fn is_stale(&self) -> bool {
        self.written.load(Ordering::Relaxed) >= (self.spare() / 8).min(TO_SPARE)
    }

    /// Jobs that may run in one transaction, of `batch` at most: where room is short, their writes must not use the
    /// room that is kept for checkpoints and erasures.
    pub(super) fn batch(&self, batch: usize) -> usize {
        usize::try_from(self.spare() / BYTES_OF_JOB).unwrap_or(batch).clamp(1, batch)
    }

    /// Bytes until nothing but essential writes are let in.
    fn spare(&self) -> u64 {
        let kept = kept_of(self.min_free.load(Ordering::Relaxed)).saturating_add(self.log.load(Ordering::Relaxed));
        self.free().saturating_sub(kept).saturating_sub(self.written.load(Ordering::Relaxed))
    }

    /// Whether a measurement would refuse anything. Unlike [`Room::measure`] it changes nothing.
    pub(super) fn is_short(&self) -> bool {
        let (min_free, log) = (self.min_free.load(Ordering::Relaxed), self.log.load(Ordering::Relaxed));
        super::free_bytes(&self.database)
            .is_ok_and(|free| level_for(self.level(), free, log, min_free) > RoomLevel::Enough)
    }

    /// SQLite found the disk full, whatever the measurements say.
    pub(super) fn found_full(&self) {
        *self.full_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + AFTER_FULL);
        self.change(RoomLevel::EssentialOnly);
    }

    /// Gives the reserve to what must be written. Returns whether there was one.
    pub(super) fn use_reserve(&self) -> bool {
        let is_freed =
            self.has_reserve.swap(false, Ordering::Relaxed) && fs::remove_file(reserve_path(&self.database)).is_ok();
        if is_freed {
            tracing::warn!(
                "the disk is full: the reserve file beside the database was removed for what must be written"
            );
        }
        is_freed
    }

    /// Measures the room, and makes the reserve where there is enough of it.
    ///
    /// # Errors
    /// When the free space cannot be read; what was measured before stands.
    pub(super) fn measure(&self) -> Result<()> {
        let free = super::free_bytes(&self.database)?;
        self.free.store(free, Ordering::Relaxed);
        self.written.store(0, Ordering::Relaxed);
        let (min_free, log) = (self.min_free.load(Ordering::Relaxed), self.log.load(Ordering::Relaxed));
        let is_full = {
            let mut until = self.full_until.lock().unwrap_or_else(PoisonError::into_inner);
            *until = until.filter(|until| *until > Instant::now());
            until.is_some()
        };
        let level = if is_full { RoomLevel::EssentialOnly } else { level_for(self.level(), free, log, min_free) };
        self.change(level);
        let wanted = min_free.saturating_add(log).saturating_add(TO_SPARE).saturating_add(RESERVE);
        if level == RoomLevel::Enough && free >= wanted {
            self.make_reserve();
        }
        Ok(())
    }

    fn change(&self, level: RoomLevel) {
        if self.level.swap(level as u8, Ordering::Relaxed) == level as u8 {
            return;
        }
        let (free, log) = (self.free(), self.log.load(Ordering::Relaxed));
        let min_free = self.min_free.load(Ordering::Relaxed);
        match level {
            RoomLevel::Enough => tracing::info!(free, log, min_free, "there is room on the disk again"),
            RoomLevel::NothingNew => {
                tracing::error!(free, log, min_free, "the disk is nearly full: no session is started");
            }
            RoomLevel::EssentialOnly => tracing::error!(
                free,
                log,
                min_free,
                "the disk is full: nothing but erasures and opt-outs is written until there is room again"
            ),
        }
    }

    fn make_reserve(&self) {
        if self.has_reserve.load(Ordering::Relaxed) {
            return;
        }
        let mut again = self.reserve_again.lock().unwrap_or_else(PoisonError::into_inner);
        if again.is_some_and(|at| at > Instant::now()) {
            return;
        }
        match make_reserve(&reserve_path(&self.database)) {
            Ok(()) => self.has_reserve.store(true, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!(%error, "the reserve file beside the database cannot be made; it is tried again");
                *again = Some(Instant::now() + RESERVE_AGAIN);
            }
        }
    }
}

/// Bytes that are kept for checkpoints and erasures, beside the size of the log.
fn kept_of(min_free: u64) -> u64 {
    (min_free / 2).min(KEPT_AT_MOST)
}

/// The level at so many free bytes. A better one than before needs some to spare.
fn level_for(before: RoomLevel, free: u64, log: u64, min_free: u64) -> RoomLevel {
    if min_free == 0 {
        // Nothing is kept free. A disk that SQLite found full is tried again once it has anything.
        let is_full = before == RoomLevel::EssentialOnly && free < BYTES_OF_JOB;
        return if is_full { before } else { RoomLevel::Enough };
    }
    let is_short = |level: RoomLevel, limit: u64| {
        let to_spare = if before >= level { TO_SPARE.min(min_free / 8) } else { 0 };
        free < limit.saturating_add(log).saturating_add(to_spare)
    };
    if is_short(RoomLevel::EssentialOnly, kept_of(min_free)) {
        RoomLevel::EssentialOnly
    } else if is_short(RoomLevel::NothingNew, min_free) {
        RoomLevel::NothingNew
    } else {
        RoomLevel::Enough
    }
}

fn reserve_path(database: &Path) -> PathBuf {
    beside(database, "reserve")
}

/// Removes the reserve file of a database whose disk has less room than the reserve itself. Returns whether it did.
///
/// # Errors
/// When the file is there and cannot be removed.
pub(super) fn release_reserve(database: &Path) -> Result<bool> {
    if super::free_bytes(database)? >= RESERVE {
        return Ok(false);
    }
    let path = reserve_path(database);
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::internal(format!("Cannot remove {}", path.display())).caused_by(error)),
    }
}

/// Writes the reserve aside and renames it, so that one of the right name is whole.
fn make_reserve(path: &Path) -> io::Result<()> {
    let aside = path.with_extension("reserve.new");
    let made = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE).open(&aside)?;
        if file.allocate(RESERVE).is_err() {
            // A file system that cannot set space aside has to be given something to store, which it cannot compress.
            let mut noise = vec![0; usize::try_from(RESERVE).unwrap_or(usize::MAX)];
            getrandom::fill(&mut noise).map_err(|error| io::Error::other(error.to_string()))?;
            file.write_all(&noise)?;
        }
        fs::rename(&aside, path)
    })();
    if made.is_err() {
        // It may not be there.
        let _ = fs::remove_file(&aside);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn new_work_stops_first_and_then_all_that_can_be_sent_again() {
        let level = |free: u64, log: u64| level_for(RoomLevel::Enough, free * MIB, log * MIB, 64 * MIB);
        assert_eq!(level(64, 0), RoomLevel::Enough);
        assert_eq!(level(63, 0), RoomLevel::NothingNew);
        assert_eq!(level(100, 40), RoomLevel::NothingNew, "a checkpoint may need as much as the log has");
        assert_eq!(level(72, 40), RoomLevel::NothingNew);
        assert_eq!(level(71, 40), RoomLevel::EssentialOnly);
        assert_eq!(level_for(RoomLevel::Enough, 0, MIB, 0), RoomLevel::Enough, "nothing is to be kept free");
        assert_eq!(
            level_for(RoomLevel::EssentialOnly, MIB - 1, MIB, 0),
            RoomLevel::EssentialOnly,
            "SQLite found it full"
        );
        assert_eq!(level_for(RoomLevel::EssentialOnly, MIB, MIB, 0), RoomLevel::Enough);
        let huge = level_for(RoomLevel::Enough, 8 << 30, 0, u64::MAX);
        assert_eq!(huge, RoomLevel::NothingNew, "a limit that no disk can meet does not keep replies out");
    }

    #[test]
    fn a_level_is_left_only_with_bytes_to_spare() {
        let level = |before, free: u64| level_for(before, free * MIB, 0, 64 * MIB);
        assert_eq!(level(RoomLevel::NothingNew, 71), RoomLevel::NothingNew);
        assert_eq!(level(RoomLevel::NothingNew, 72), RoomLevel::Enough);
        assert_eq!(level(RoomLevel::EssentialOnly, 39), RoomLevel::EssentialOnly);
        assert_eq!(level(RoomLevel::EssentialOnly, 40), RoomLevel::NothingNew);
        assert_eq!(level(RoomLevel::EssentialOnly, 72), RoomLevel::Enough);
        assert_eq!(level(RoomLevel::NothingNew, 31), RoomLevel::EssentialOnly);
    }

    #[test]
    fn where_room_is_short_batches_are_too() {
        let room = Room::new(Path::new("/nowhere/qyvo.db"), 64 * MIB);
        assert_eq!(room.batch(512), 512, "before it is measured");
        for (free, log, jobs) in [(2_000, 0, 512), (132, 0, 100), (132, 90, 10), (33, 0, 1), (0, 50, 1)] {
            room.free.store(free * MIB, Ordering::Relaxed);
            room.wrote(log * MIB, 0);
            assert_eq!(room.batch(512), jobs, "{free} {log}");
        }
    }

    #[test]
    fn what_was_written_makes_a_measurement_stale() {
        let room = Room::new(Path::new("/nowhere/qyvo.db"), 64 * MIB);
        room.free.store(1_000 * MIB, Ordering::Relaxed);
        assert!(!room.is_stale());
        room.wrote(7 * MIB, 7 * MIB);
        assert!(!room.is_stale());
        room.wrote(8 * MIB, MIB);
        assert!(room.is_stale());
    }

    #[test]
    fn a_disk_that_sqlite_finds_full_takes_nothing_but_what_is_essential() {
        let dir = tempfile::tempdir().unwrap();
        let room = Room::new(&dir.path().join("qyvo.db"), 1);
        room.measure().unwrap();
        room.check(WriteClass::New).unwrap();
        room.found_full();
        room.measure().unwrap();
        assert!(room.check(WriteClass::New).is_err() && room.check(WriteClass::Ongoing).is_err());
        room.check(WriteClass::Essential).unwrap();
        *room.full_until.lock().unwrap() = Some(Instant::now());
        room.measure().unwrap();
        room.check(WriteClass::New).unwrap();
    }

    #[test]
    fn the_reserve_takes_its_room_and_is_nobody_elses() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("qyvo.db");
        let room = Room::new(&database, 1);
        room.measure().unwrap();
        let reserve = fs::metadata(dir.path().join("qyvo.db.reserve")).unwrap();
        assert!(reserve.len() == RESERVE && reserve.blocks() * 512 >= RESERVE, "{reserve:?}");
        assert_eq!(reserve.mode() & 0o777, 0o600);
        assert!(!release_reserve(&database).unwrap(), "there is room without it");
    }
}
