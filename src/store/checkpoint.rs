//! When the write-ahead log is written into the database file. SQLite's own checkpoint inside a commit would let one
//! caller pay for it, and never shrinks the file.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

use super::file::{length, log_of};
use super::foreign_writes::Own;
use super::measures::Measures;
use super::room::Room;
use super::{BUSY_TIMEOUT, Conn, is_damage, rows_of_checkpoint};

/// How long a checkpoint that has to have the log for itself waits for readers.
const LOCK_TIMEOUT: Duration = Duration::from_millis(100);
/// How long the log is left alone after readers have kept it from being emptied while nothing is written: at first, and
/// at most, because it doubles each time. Each try keeps the writer from its queue for [`LOCK_TIMEOUT`], and a process
/// such as Litestream reads for as long as it runs.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// At this many times the checkpoint threshold, readers overlap so that no passive checkpoint can start the log anew.
const OVERGROWN: u32 = 4;
/// Pages between checkpoints while room is short: what the log takes is given back early.
const STEP_WHEN_SHORT: u32 = 1_000;
/// Bytes of a page. SQLite's own header of each page in the log is left out of account.
const PAGE: u64 = 4_096;
/// Bytes that must be free beside what the database file grows by.
const MARGIN: u64 = 1 << 20;

thread_local! {
    /// Pages in the write-ahead log after this thread's last commit. SQLite's hook takes no closure that could carry
    /// it.
    static LOG_PAGES: Cell<u32> = const { Cell::new(0) };
}

/// Why there must not be another checkpoint.
pub(super) enum Failed {
    /// It is not known what is on the disk.
    Unknown(String),
    /// The file is damaged.
    Damaged(String),
}

/// The write-ahead log of the writer's connection.
pub(super) struct Log {
    room: Arc<Room>,
    measures: Arc<Measures>,
    /// Pages between checkpoints.
    step: u32,
    /// Pages after the last commit.
    last: u32,
    /// Pages at which the next checkpoint is due.
    next: u32,
    /// The same while room is short.
    next_when_short: u32,
    /// How often it was written into the database file, or that was tried.
    checkpoints: u64,
    /// When readers were there the last time that it was to be emptied, and how long it is left alone.
    blocked: Option<Blocked>,
}

/// Readers kept the log from being emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Blocked {
    at: Instant,
    pause: Duration,
}

impl Blocked {
    /// The same again, or for the first time.
    fn again(before: Option<Self>, at: Instant) -> Self {
        let [first, longest] = PAUSES;
        Self { at, pause: before.map_or(first, |before| (before.pause * 2).min(longest)) }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= self.pause
    }
}

impl Log {
    /// Follows the log of a connection, on its thread.
    pub(super) fn follow(conn: &Conn, checkpoint_pages: u32, room: Arc<Room>, measures: Arc<Measures>) -> Self {
        conn.raw().wal_hook(Some(|_, pages| {
            LOG_PAGES.set(u32::try_from(pages).unwrap_or(0));
            Ok(())
        }));
        // A crash leaves a log behind, whose length the hook does not report before the first commit.
        let left = conn.raw().path().map_or(0, |path| length(&log_of(Path::new(path))));
        LOG_PAGES.set(u32::try_from(left / PAGE).unwrap_or(u32::MAX));
        room.wrote(left, 0);
        let step = checkpoint_pages.max(1);
        Self {
            room,
            measures,
            step,
            last: LOG_PAGES.get(),
            next: step,
            next_when_short: 0,
            checkpoints: 0,
            blocked: None,
        }
    }

    /// Whether it holds anything that may not be in the database file.
    pub(super) fn is_empty(&self) -> bool {
        LOG_PAGES.get() == 0
    }

    /// What this thread has done with it.
    pub(super) fn own(&self) -> Own {
        Own { frames: LOG_PAGES.get(), checkpoints: self.checkpoints }
    }

    /// Notes what a batch has written.
    pub(super) fn note(&mut self) {
        let pages = LOG_PAGES.get();
        if pages < self.last {
            // The log began anew, which it does once a checkpoint got to its end.
            self.next = self.step;
            self.next_when_short = 0;
        }
        let new = if pages < self.last { pages } else { pages - self.last };
        self.last = pages;
        self.room.wrote(u64::from(pages) * PAGE, u64::from(new) * PAGE);
    }

    /// Checkpoints if the log has grown by a step. Readers are not waited for: what they still need stays in the log.
    pub(super) fn keep_short(&mut self, conn: &Conn) -> Result<(), Failed> {
        let pages = LOG_PAGES.get();
        if pages < self.next {
            return Ok(());
        }
        if pages >= self.step.saturating_mul(OVERGROWN) {
            self.empty(conn)?;
        } else if self.fits(conn) {
            self.checkpoint(conn, "PASSIVE")?;
        }
        // Readers that are still there would let every batch pay for a checkpoint that gets no further.
        self.next = LOG_PAGES.get().saturating_add(self.step);
        Ok(())
    }

    /// Empties the log where room is short, if it has grown by enough since the last time.
    pub(super) fn give_back(&mut self, conn: &Conn) -> Result<(), Failed> {
        let pages = LOG_PAGES.get();
        if pages < self.next_when_short.max(STEP_WHEN_SHORT) {
            return Ok(());
        }
        self.next_when_short = pages.saturating_add(STEP_WHEN_SHORT);
        self.empty(conn)
    }

    /// Empties the log while nothing is written, less often while readers keep it from that.
    pub(super) fn empty_when_idle(&mut self, conn: &Conn) -> Result<(), Failed> {
        if self.blocked.is_some_and(|blocked| !blocked.is_over(Instant::now())) {
            return Ok(());
        }
        self.empty(conn)
    }

    /// Writes the whole log and cuts its file to nothing, unless readers need it for longer than a moment or the disk
    /// has no room for what the database file grows by.
    pub(super) fn empty(&mut self, conn: &Conn) -> Result<(), Failed> {
        if !self.fits(conn) {
            return Ok(());
        }
        // Neither of these can fail on an open connection; the timeout of a batch is the safe one to be left with.
        let _ = conn.raw().busy_timeout(LOCK_TIMEOUT);
        let done = self.checkpoint(conn, "TRUNCATE");
        let _ = conn.raw().busy_timeout(BUSY_TIMEOUT);
        if done? {
            LOG_PAGES.set(0);
            self.last = 0;
            self.next = self.step;
            self.next_when_short = 0;
            self.blocked = None;
            self.room.wrote(0, 0);
            // If the file system does not report it, the last measurement stands.
            let _ = self.room.measure();
        } else {
            self.blocked = Some(Blocked::again(self.blocked, Instant::now()));
        }
        Ok(())
    }

    fn checkpoint(&mut self, conn: &Conn, mode: &str) -> Result<bool, Failed> {
        self.checkpoints += 1;
        let began = Instant::now();
        let done = checkpoint(conn, mode);
        self.measures.checkpoint_took(began);
        done
    }

    /// Whether the disk has room for a checkpoint. One without would fill the disk and get nowhere. Pages that the
    /// database file has already are written over.
    fn fits(&self, conn: &Conn) -> bool {
        let Some(path) = conn.raw().path().map(Path::new) else { return true };
        let Ok(free) = super::free_bytes(path) else { return true };
        if free >= u64::from(LOG_PAGES.get()) * PAGE + MARGIN {
            return true;
        }
        let pages = conn.query_row("PRAGMA page_count", [], |row| row.get::<_, u32>(0));
        pages.is_ok_and(|pages| free >= (u64::from(pages) * PAGE).saturating_sub(length(path)).saturating_add(MARGIN))
    }
}

/// Runs a checkpoint. `true` if it reached the end of the log.
fn checkpoint(conn: &Conn, mode: &str) -> Result<bool, Failed> {
    match rows_of_checkpoint(conn, mode) {
        Ok((blocked, in_log, written)) => Ok(!blocked && in_log == written),
        // The log still has it all, but the database file may have lost pages that a second fsync would call written.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => {
            Err(Failed::Unknown(format!("a checkpoint failed: {error}")))
        }
        Err(error) if is_damage(&error) => Err(Failed::Damaged(format!("a checkpoint failed: {error}"))),
        // Busy or full: the log keeps what the database file does not have yet.
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_that_stay_are_asked_less_often() {
        let began = Instant::now();
        let mut blocked = Blocked::again(None, began);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let over = blocked.at + blocked.pause;
            assert!(blocked.is_over(over) && !blocked.is_over(over - Duration::from_millis(1)));
            pauses.push(blocked.pause.as_secs());
            blocked = Blocked::again(Some(blocked), over);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
