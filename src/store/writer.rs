//! The writer: one thread that owns the one connection that writes.
//!
//! It takes all jobs that are queued, runs them in one transaction, commits once, and only then answers the callers:
//! one fsync pays for all of them. Nothing else serialises writers, so a job may read, decide and write without a lock.
//!
//! What goes wrong, and what callers get:
//! - A job fails or panics: the transaction is rolled back and the batch runs again, now with a savepoint around each
//!   job. The neighbours commit; the culprits get their own errors. The savepoints are not there the first time
//!   because they would halve the throughput of all batches for the sake of the few that fail.
//! - SQLite rolls back the whole transaction (disk full, input or output, memory): no job of the batch happened, and
//!   all callers get an error that says so. The writer goes on with the next batch.
//! - The commit finds the disk full (`SQLITE_FULL`): the frame that makes a transaction valid is the last one that is
//!   written to the log, and it was not. So this, too, is rolled back, and the writer goes on.
//! - The commit fails otherwise: it is unknown what is on the disk. All callers of the batch get an error that says so,
//!   and the writer stops for good. A second fsync may report success for pages that the first one lost, so nothing is
//!   tried again; a new process has to read what the disk really has. No room for SQLite's shared memory
//!   (`SQLITE_IOERR_SHMSIZE`) is of this kind: it shows when the log has the commit already.
//! - Another process holds the write lock: the batch, and all that was queued while it waited, is refused.
//! - The database file is gone, or another one is at its path: the writer stops for good, and what the open file holds
//!   is brought to a file with a name (`rescue.rs`).
//! - SQLite finds the file damaged, in a job, a checkpoint or a read, or another process writes over it or its log
//!   (`foreign_writes.rs`): the writer stops for good and writes nothing more. An answer given after that would confirm
//!   a write that is lost.
//!
//! Twice a second, and before each batch that comes later, the writer looks at the file (`file.rs`) and measures the
//! room on the disk (`room.rs`), which may allow less than what is queued.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;
use rusqlite::config::DbConfig;
use tokio::sync::{oneshot, watch};

use super::checkpoint::{Failed, Log};
use super::file::{Loss, OpenFile};
use super::foreign_writes::Watch;
use super::lock::{Ending, Lock};
use super::measures::{Measures, Refused};
use super::readers::Damage;
use super::room::{Room, RoomLevel, WriteClass};
use super::tx::Shared;
use super::{BUSY_TIMEOUT, Conn, Tx, cause, is_damage, rescue};
use crate::error::{Error, Result};

/// How long the queue stays empty before the write-ahead log is emptied, too.
const IDLE: Duration = Duration::from_secs(1);
/// How often the file and the room are looked at while nothing is written.
const LOOK: Duration = Duration::from_millis(500);
/// Interval at which refused batches are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What the queue carries.
pub(super) enum Command {
    /// Something to write, and what for.
    Write(Box<dyn Job>, WriteClass),
    /// Empty the write-ahead log after what was queued before; the answer is whether it is empty.
    EmptyLog(oneshot::Sender<bool>),
    /// Stop. What was queued before is written first.
    Stop,
}

/// A closure in the queue, with the caller who waits for it.
pub(super) trait Job: Send {
    /// Runs the closure and keeps what it returned for [`Job::answer`]. `true` if it succeeded.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// The error of the last run.
    fn error(&self) -> Option<&Error>;
    /// Gives the caller what the last run returned.
    fn answer(self: Box<Self>);
    /// Gives the caller an error, whatever the last run returned.
    fn refuse(self: Box<Self>, error: Error);
}

/// The one implementation of [`Job`]. A caller is answered in any case: one whose job is dropped learns whether it may
/// have happened.
pub(super) struct Pending<T, F> {
    job: F,
    started: bool,
    outcome: Option<Result<T>>,
    caller: Option<oneshot::Sender<Result<T>>>,
}

impl<T, F> Pending<T, F> {
    /// A job and where to send what it returns.
    pub(super) fn new(job: F, caller: oneshot::Sender<Result<T>>) -> Self {
        Self { job, started: false, outcome: None, caller: Some(caller) }
    }

    fn send(&mut self, outcome: Result<T>) {
        if let Some(caller) = self.caller.take() {
            // The caller may no longer wait for an answer; the write stands.
            let _ = caller.send(outcome);
        }
    }
}

impl<T: Send, F: Fn(&Tx<'_>) -> Result<T> + Send> Job for Pending<T, F> {
    fn run(&mut self, tx: &Tx<'_>) -> bool {
        self.started = true;
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.job)(tx))).unwrap_or_else(|panic| {
            Err(Error::internal(format!("A write job panicked: {}", message_of(panic.as_ref()))))
        });
        let succeeded = outcome.is_ok();
        self.outcome = Some(outcome);
        succeeded
    }

    fn error(&self) -> Option<&Error> {
        self.outcome.as_ref().and_then(|outcome| outcome.as_ref().err())
    }

    fn answer(mut self: Box<Self>) {
        if let Some(outcome) = self.outcome.take() {
            self.send(outcome);
        }
    }

    fn refuse(mut self: Box<Self>, error: Error) {
        self.send(Err(error));
    }
}

impl<T, F> Drop for Pending<T, F> {
    fn drop(&mut self) {
        if self.caller.is_some() {
            let error = if self.started { unknown("the writer broke down") } else { super::stopped() };
            self.send(Err(error));
        }
    }
}

/// The thread's state.
pub(super) struct Writer {
    /// The one connection that writes.
    pub(super) conn: Conn,
    /// The jobs and other commands, in the order in which they were sent.
    pub(super) queue: Receiver<Command>,
    /// At most this many jobs are committed together.
    pub(super) batch: usize,
    /// Checkpoint between batches once the log has this many pages.
    pub(super) checkpoint_pages: u32,
    /// Gets the reason once the writer has stopped for good.
    pub(super) failure: watch::Sender<Option<Arc<str>>>,
    /// Held as long as this thread may write.
    pub(super) lock: Lock,
    /// The file that it writes to.
    pub(super) file: OpenFile,
    /// Notices writes of other processes, where that can be seen.
    pub(super) watch: Option<Watch>,
    /// What a reader found.
    pub(super) damage: Damage,
    /// What the disk has room for.
    pub(super) room: Arc<Room>,
    /// Set when a lost file is not to be saved any longer.
    pub(super) is_cut_off: Arc<AtomicBool>,
    /// Another process keeps the database locked: the last batch was refused for it, or still would be.
    pub(super) is_locked: Arc<AtomicBool>,
    /// Jobs that it has taken out of the queue.
    pub(super) taken: Arc<AtomicU64>,
    /// Where it counts and measures.
    pub(super) measures: Arc<Measures>,
}

impl Writer {
    /// Serves the queue until a command stops it or it has to stop.
    pub(super) fn run(mut self) {
        let end = catch_unwind(AssertUnwindSafe(|| self.serve()));
        let fatal = match end {
            Ok(Ok(())) => None,
            Ok(Err(fatal)) => Some(fatal),
            Err(panic) => Some(Fatal::Failed(format!("the writer panicked: {}", message_of(panic.as_ref())))),
        };
        if let Some(fatal) = &fatal {
            // Closing the last connection would write the log into the database: not after an fsync that failed.
            let _ = self.conn.raw().set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            let reason = match fatal {
                Fatal::Failed(reason) => reason.clone(),
                Fatal::Lost(loss) => rescue::reason(&self.file, *loss),
                Fatal::Damaged(why) => damaged(why),
            };
            self.failure.send_replace(Some(reason.into()));
        }
        // The queue goes first: callers in it get the answer that nothing was written. The lock goes last.
        let Self { conn, queue, mut lock, file, is_cut_off, .. } = self;
        drop(queue);
        match fatal {
            Some(Fatal::Lost(loss)) => {
                let is_damage = rescue::is_damage(loss);
                let told = rescue::reason(&file, loss);
                lock.end(&file.path, Ending { is_damage, told: told.clone() });
                if is_damage {
                    rescue::log_damage(&file, Some(loss));
                } else if let Some(saved) = rescue::save(&conn, &file, loss, &is_cut_off) {
                    let told = format!("{told}; everything that was answered is in {}", saved.display());
                    lock.end(&file.path, Ending { is_damage, told });
                }
            }
            Some(Fatal::Damaged(why)) => {
                lock.end(&file.path, Ending { is_damage: true, told: damaged(&why) });
                rescue::log_damage(&file, None);
            }
            Some(Fatal::Failed(_)) | None => {}
        }
        drop(conn);
        drop(lock);
    }

    fn serve(&mut self) -> Result<(), Fatal> {
        let mut log = Log::follow(&self.conn, self.checkpoint_pages, self.room.clone(), self.measures.clone());
        let mut refusals = Refusals::default();
        let (mut looked_at, mut idle_since) = (Instant::now(), Instant::now());
        loop {
            let first = match self.queue.recv_timeout(LOOK) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(log.empty(&self.conn)?),
            };
            // Half of the interval, so that no more than the whole of it passes between two looks.
            if looked_at.elapsed() >= LOOK / 2 || self.room.is_stale() {
                looked_at = Instant::now();
                self.look(&mut log)?;
            }
            let Some(first) = first else {
                if !log.is_empty() && idle_since.elapsed() >= IDLE {
                    log.empty_when_idle(&self.conn)?;
                }
                continue;
            };
            let (batch, mut then) = self.collect(first);
            if !batch.is_empty() {
                match self.write(batch, &mut refusals) {
                    Ok(true) => then = Then::Stop,
                    Ok(false) => {}
                    // That another process wrote is a better reason than SQLite's error about the result.
                    Err(Fatal::Damaged(why)) => {
                        self.look_for_others(&log)?;
                        return Err(Fatal::Damaged(why));
                    }
                    Err(fatal) => return Err(fatal),
                }
                idle_since = Instant::now();
                log.note();
                if self.watch.as_ref().is_some_and(|watch| watch.is_due(log.own())) {
                    self.look_for_others(&log)?;
                }
                log.keep_short(&self.conn)?;
            }
            match then {
                Then::GoOn => {}
                Then::EmptyLog(caller) => {
                    log.empty(&self.conn)?;
                    // The caller may be gone; that changes nothing.
                    let _ = caller.send(log.is_empty());
                }
                Then::Stop => return Ok(log.empty(&self.conn)?),
            }
        }
    }

    /// Checks whether the file and its lock are still there, and measures the room.
    fn look(&mut self, log: &mut Log) -> Result<(), Fatal> {
        match self.file.look() {
            None => {}
            Some(Loss::Overwritten) if self.is_shortened_by_sqlite() => {}
            Some(loss) => return Err(Fatal::Lost(loss)),
        }
        self.look_for_others(log)?;
        if let Some(why) = self.damage.get() {
            return Err(Fatal::Damaged(why.clone()));
        }
        self.lock.keep().map_err(|error| Fatal::Failed(error.message().to_owned()))?;
        if self.is_locked.load(Ordering::Relaxed) {
            self.is_locked.store(!self.can_begin(), Ordering::Relaxed);
        }
        // What the log takes is given back before any write is refused.
        if self.room.is_short() {
            log.give_back(&self.conn)?;
        }
        // If the file system does not report it, SQLite finds the disk full.
        if let Err(error) = self.room.measure() {
            tracing::debug!(%error, "the room on the disk is not known");
        }
        Ok(())
    }

    /// Checks whether another process has written to the files.
    fn look_for_others(&mut self, log: &Log) -> Result<(), Fatal> {
        match self.watch.as_mut().and_then(|watch| watch.look(log.own())) {
            Some(loss) => Err(Fatal::Lost(loss)),
            None => Ok(()),
        }
    }

    /// What the queue holds now, up to a batch, and what to do after it. What there is no room for is refused.
    fn collect(&self, first: Command) -> (Vec<Box<dyn Job>>, Then) {
        let mut jobs = Vec::new();
        let mut next = first;
        let batch = self.room.batch(self.batch);
        loop {
            match next {
                Command::Write(job, class) => {
                    self.taken.fetch_add(1, Ordering::Relaxed);
                    match self.room.check(class) {
                        Ok(()) => jobs.push(job),
                        Err(refusal) => {
                            self.measures.refuse(Refused::for_room(class), 1);
                            job.refuse(refusal);
                        }
                    }
                }
                Command::EmptyLog(caller) => return (jobs, Then::EmptyLog(caller)),
                Command::Stop => return (jobs, Then::Stop),
            }
            if jobs.len() >= batch {
                return (jobs, Then::GoOn);
            }
            next = match self.queue.try_recv() {
                Ok(command) => command,
                Err(_) => return (jobs, Then::GoOn),
            };
        }
    }

    /// Runs a batch, commits it, and answers every caller. Returns whether a command to stop came meanwhile.
    fn write(&self, mut batch: Vec<Box<dyn Job>>, refusals: &mut Refusals) -> Result<bool, Fatal> {
        let is_essential = self.room.level() == RoomLevel::EssentialOnly;
        let mut end = self.run_and_commit(&mut batch);
        if is_essential && matches!(end, End::Full(_)) && self.room.use_reserve() {
            end = self.run_and_commit(&mut batch);
        }
        self.is_locked.store(matches!(end, End::Locked(_)), Ordering::Relaxed);
        match end {
            End::Committed => {
                self.measures.committed(batch.len());
                batch.into_iter().for_each(Job::answer);
            }
            End::Failed => batch.into_iter().for_each(Job::answer),
            End::Refused(reason) => {
                self.measures.refuse(Refused::NotWritten, batch.len());
                refusals.log(batch.len(), &reason);
                batch.into_iter().for_each(|job| job.refuse(not_written(&reason)));
            }
            End::Full(reason) => {
                self.room.found_full();
                self.measures.refuse(Refused::Full, batch.len());
                refusals.log(batch.len(), &reason);
                batch.into_iter().for_each(|job| job.refuse(full(&reason)));
            }
            End::Locked(reason) => {
                // What was queued meanwhile would wait as long once more. It is taken before any caller is answered,
                // because a caller may send again at once.
                let (queued, is_stopped) = self.take_queued();
                self.measures.refuse(Refused::Locked, batch.len() + queued.len());
                refusals.log(batch.len() + queued.len(), &reason);
                batch.into_iter().chain(queued).for_each(|job| job.refuse(locked(&reason)));
                return Ok(is_stopped);
            }
            End::Unknown(reason) => {
                self.measures.refuse(Refused::OutcomeUnknown, batch.len());
                batch.into_iter().for_each(|job| job.refuse(unknown(&reason)));
                return Err(Fatal::Failed(reason));
            }
            End::Damaged(reason) => {
                self.measures.refuse(Refused::NotWritten, batch.len());
                batch.into_iter().for_each(|job| job.refuse(not_written(&reason)));
                return Err(Fatal::Damaged(reason));
            }
        }
        Ok(false)
    }

    fn is_shortened_by_sqlite(&mut self) -> bool {
        let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let bytes = self.conn.query_row(sql, [], |row| row.get::<_, i64>(0));
        bytes.is_ok_and(|bytes| self.file.takes_length(u64::try_from(bytes).unwrap_or_default()))
    }

    /// Whether a transaction can begin, without waiting for one.
    fn can_begin(&self) -> bool {
        let _ = self.conn.raw().busy_timeout(Duration::ZERO);
        let can_begin = self.execute("BEGIN IMMEDIATE").and_then(|()| self.execute("ROLLBACK")).is_ok();
        let _ = self.conn.raw().busy_timeout(BUSY_TIMEOUT);
        can_begin
    }

    /// Runs a batch and commits it, without those that fail.
    fn run_and_commit(&self, batch: &mut [Box<dyn Job>]) -> End {
        let end = self.run_together(batch);
        // A job that is alone in its batch has no neighbours to save.
        if matches!(end, End::Failed) && batch.len() > 1 { self.run_apart(batch) } else { end }
    }

    /// Takes all jobs out of the queue. Returns also whether a command to stop was among them.
    fn take_queued(&self) -> (Vec<Box<dyn Job>>, bool) {
        let mut jobs = Vec::new();
        while let Ok(command) = self.queue.try_recv() {
            match command {
                Command::Write(job, _) => {
                    self.taken.fetch_add(1, Ordering::Relaxed);
                    jobs.push(job);
                }
                // The caller may be gone; that changes nothing.
                Command::EmptyLog(caller) => drop(caller.send(false)),
                Command::Stop => return (jobs, true),
            }
        }
        (jobs, false)
    }

    /// Runs all jobs in one transaction, which the first that fails rolls back.
    fn run_together(&self, batch: &mut [Box<dyn Job>]) -> End {
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            return failed("Cannot begin to write", &error);
        }
        let mut shared = Shared::default();
        for job in batch {
            let tx = Tx::after(&self.conn, &shared);
            let succeeded = job.run(&tx);
            if self.conn.raw().is_autocommit() {
                return given_up(job.as_ref());
            }
            if !succeeded {
                return self.roll_back(damage_of(job.as_ref()).unwrap_or(End::Failed));
            }
            shared.add(tx);
        }
        self.commit(&shared)
    }

    /// Runs each job in a savepoint, so that those that fail leave nothing and the others commit.
    fn run_apart(&self, batch: &mut [Box<dyn Job>]) -> End {
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            return failed("Cannot begin to write", &error);
        }
        let mut shared = Shared::default();
        for job in batch {
            if let Err(error) = self.execute("SAVEPOINT job") {
                return self.roll_back(failed("Cannot write", &error));
            }
            let tx = Tx::after(&self.conn, &shared);
            let succeeded = job.run(&tx);
            if self.conn.raw().is_autocommit() {
                return given_up(job.as_ref());
            }
            if let Some(end) = damage_of(job.as_ref()) {
                return self.roll_back(end);
            }
            let undone = if succeeded {
                shared.add(tx);
                Ok(())
            } else {
                self.execute("ROLLBACK TO job")
            };
            if let Err(error) = undone.and_then(|()| self.execute("RELEASE job")) {
                return self.roll_back(failed("Cannot write", &error));
            }
        }
        self.commit(&shared)
    }

    fn commit(&self, shared: &Shared) -> End {
        if let Err(error) = shared.write(&self.conn) {
            let end = end_by(cause(&error), format!("Cannot count: {error}"));
            return self.roll_back(end);
        }
        let began = Instant::now();
        let committed = self.execute("COMMIT");
        self.measures.commit_took(began);
        let Err(error) = committed else { return End::Committed };
        let text = format!("the commit failed: {error}");
        if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
            return self.roll_back(End::Full(text));
        }
        // Only to release the write lock; its result changes nothing for the callers.
        let _ = self.execute("ROLLBACK");
        End::Unknown(text)
    }

    /// Rolls back and passes `end` on. A connection that cannot even roll back is of no further use.
    fn roll_back(&self, end: End) -> End {
        if self.conn.raw().is_autocommit() {
            return end;
        }
        match self.execute("ROLLBACK") {
            Ok(()) => end,
            Err(error) => End::Unknown(format!("the rollback failed: {error}")),
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

/// What the writer does after a batch.
enum Then {
    /// It takes the next one.
    GoOn,
    /// It empties the write-ahead log and returns whether that was possible.
    EmptyLog(oneshot::Sender<bool>),
    /// The writer stops.
    Stop,
}

/// How a batch ended.
enum End {
    /// It is on the disk; each job has its own outcome.
    Committed,
    /// It was rolled back because a job failed, which has its own outcome.
    Failed,
    /// It was rolled back for a reason that concerns all of its jobs: none is to blame, and all may try again.
    Refused(String),
    /// The same because the disk has no room.
    Full(String),
    /// It did not begin, because another process has the write lock.
    Locked(String),
    /// Whether the batch was committed is unknown.
    Unknown(String),
    /// It was rolled back because the file is damaged, so that nothing may be written any more.
    Damaged(String),
}

/// Why the writer cannot go on.
enum Fatal {
    /// It is unknown what is on the disk, or another process writes there.
    Failed(String),
    /// The file is not at its path any more, or was written over.
    Lost(Loss),
    /// SQLite finds the file damaged.
    Damaged(String),
}

impl From<Failed> for Fatal {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unknown(reason) => Self::Failed(reason),
            Failed::Damaged(reason) => Self::Damaged(reason),
        }
    }
}

/// Logs batches that were refused, now and then: under load there are thousands.
#[derive(Default)]
struct Refusals {
    logged_at: Option<Instant>,
    jobs: usize,
}

impl Refusals {
    fn log(&mut self, jobs: usize, reason: &str) {
        self.jobs += jobs;
        if self.logged_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            tracing::error!(jobs = self.jobs, %reason, "nothing was written, and callers are told to try again");
            *self = Self { logged_at: Some(Instant::now()), jobs: 0 };
        }
    }
}

/// The end of a batch whose transaction could not begin or go on.
fn failed(what: &str, error: &rusqlite::Error) -> End {
    let text = format!("{what}: {error}");
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => End::Locked(text),
        _ => end_by(Some(error), text),
    }
}

/// The end of a batch that SQLite has refused, by what it said.
fn end_by(error: Option<&rusqlite::Error>, text: String) -> End {
    match error {
        Some(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => End::Full(text),
        Some(error) if is_damage(error) => End::Damaged(text),
        _ => End::Refused(text),
    }
}

/// The end of a batch in which a job found the file damaged.
fn damage_of(job: &dyn Job) -> Option<End> {
    let error = job.error()?;
    cause(error).is_some_and(is_damage).then(|| End::Damaged(format!("a write failed: {error}")))
}

/// Why a server ends whose file is damaged, as a sentence without its end.
fn damaged(why: &str) -> String {
    format!("the database is damaged, as by another file that was copied over it or its log: {why}")
}

/// The end of a batch whose transaction SQLite rolled back by itself while `job` ran.
fn given_up(job: &dyn Job) -> End {
    let error = job.error();
    let why = error.map_or_else(|| "a write job ended the transaction".to_owned(), ToString::to_string);
    end_by(error.and_then(cause), format!("The database gave up the transaction: {why}"))
}

fn not_written(reason: &str) -> Error {
    caused_by(Error::unavailable("The database could not write; nothing was written"), reason)
}

fn full(reason: &str) -> Error {
    caused_by(Error::unavailable("The server's disk is full; nothing was written"), reason)
}

fn locked(reason: &str) -> Error {
    let text = "Another process keeps the database locked; nothing was written: retry in a moment";
    caused_by(Error::unavailable(text), reason)
}

fn caused_by(error: Error, reason: &str) -> Error {
    error.caused_by(reason)
}

fn unknown(reason: &str) -> Error {
    Error::outcome_unknown(format!("It is not known whether this was written: {reason}"))
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "no message",
    }
}

#[cfg(test)]
mod tests;
