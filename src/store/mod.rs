//! The only module that knows SQLite.
//!
//! [`Store`] is what a server uses: jobs for the one writer, reads from a pool. [`Direct`] is what a command on the
//! command line uses. The modules below hold the SQL, a file for each family of tables: functions that take a [`Conn`]
//! read, functions that take a [`Tx`] write, and none of them commits. The caller owns the transaction.
//!
//! A job may run twice (see [`Store::write`]), so it does nothing but read and write rows. Ids and times are made
//! before the job and moved into it.
//!
//! # Errors
//! Each of these functions fails when SQLite refuses a statement: `Unavailable` while the disk is full or another
//! process has the lock, `Internal` for anything else. Only what a function adds to that stands with it.

pub mod addresses;
pub mod audit;
pub mod backup;
pub mod channels;
mod checkpoint;
pub mod compact;
mod conn;
pub mod contacts;
pub mod counters;
mod direct;
pub mod erased_list;
pub mod erasure;
mod file;
pub mod flows;
mod foreign_writes;
pub mod gauges;
pub mod http_calls;
pub mod idempotency;
mod lock;
pub mod logins;
mod measures;
pub mod merge;
pub mod messages;
pub mod outbox;
pub mod page_residue;
pub mod problems;
mod readers;
mod rescue;
pub mod restore;
pub mod retention;
mod room;
mod row_numbers;
mod same_people;
mod schema;
pub mod search;
pub mod search_queue;
pub mod secrets;
pub mod sessions;
pub mod settings;
pub mod subject_export;
pub mod templates;
pub mod test_cases;
#[cfg(test)]
pub(crate) mod testing;
pub mod tokens;
pub mod tombstones;
pub mod turns;
mod tx;
pub mod unprocessed_deliveries;
mod values;
pub mod webhooks;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{ErrorCode, OpenFlags};
use tokio::sync::{oneshot, watch};

pub use conn::Conn;
pub use counters::Counter;
pub use direct::Direct;
pub use file::{Begin, is_open_to_all};
pub use readers::Reads;
pub use room::{RoomLevel, WriteClass};
pub use tx::Tx;

use crate::domain::Synchronous;
use crate::error::{Code, Error, Result};
use crate::metrics::Metrics;
use erased_list::ErasedList;
use file::OpenFile;
use foreign_writes::{Files, Watch};
use lock::Lock;
use measures::{Measures, Refused};
use readers::{Damage, Readers};
use room::Room;
use writer::{Command, Pending, Writer};

/// How long a batch, or a reader, waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 256;
/// Memory of the writer's page cache, in KiB: the upper levels of every index that a random phone number goes through.
const WRITER_CACHE: i64 = 32 * 1024;
/// How long a command waits for the server's writer.
const COMMAND_BUSY_TIMEOUT: Duration = Duration::from_secs(15);

/// How to open a [`Store`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The database file. Its write-ahead log and its lock file stand beside it.
    pub path: PathBuf,
    /// When a commit is on the disk.
    pub synchronous: Synchronous,
    /// Connections for reading.
    pub readers: u32,
    /// Jobs that can wait; one more is refused.
    pub queue: usize,
    /// Jobs that are committed together at most.
    pub batch: usize,
    /// Pages of 4 KiB in the write-ahead log at which it is written into the database file.
    pub checkpoint_pages: u32,
    /// Bytes on the disk beside the size of the write-ahead log below which only ongoing and essential writes are
    /// taken; below half of it only essential ones. 0 leaves it to SQLite to find the disk full.
    pub min_free: u64,
    /// How to begin where the database is not the file that it was.
    pub begin: Begin,
    /// Where the store counts and measures, and what [`Store::metrics`] gives.
    pub metrics: Metrics,
}

impl Options {
    /// The defaults for a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            synchronous: Synchronous::Full,
            readers: 4,
            queue: 4096,
            batch: 512,
            checkpoint_pages: 16_000,
            min_free: 0,
            begin: Begin::default(),
            metrics: Metrics::default(),
        }
    }
}

/// An open database with its writer. Clones are handles to the same one; the last to go closes it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    queue: SyncSender<Command>,
    readers: Readers,
    failure: watch::Receiver<Option<Arc<str>>>,
    closing: AtomicBool,
    writes_begun: AtomicU64,
    /// Of the jobs that were begun, those that the writer has taken out of the queue.
    writes_taken: Arc<AtomicU64>,
    queue_limit: usize,
    metrics: Metrics,
    measures: Arc<Measures>,
    writer: Mutex<Option<JoinHandle<()>>>,
    room: Arc<Room>,
    is_cut_off: Arc<AtomicBool>,
    is_locked: Arc<AtomicBool>,
    /// It goes after the readers: its end gives up all locks that this process has on the files.
    _files: Option<Arc<Files>>,
}

impl Store {
    /// Takes the database's lock, creates the file or brings it forward, and starts the writer.
    ///
    /// # Errors
    /// `Conflict` when another server runs on the file, or it is not ours, or newer than this program, or not the file
    /// that it was (see [`Begin`]); otherwise `Internal`.
    pub fn open(options: &Options) -> Result<Self> {
        let path = &options.path;
        let mut lock = Lock::take(path)?;
        check_last(&lock, options)?;
        if room::release_reserve(path)? {
            tracing::warn!(
                "the disk is full: the reserve file beside the database was removed, so that it can be opened"
            );
        }
        lock.record(None);
        file::make_private(path)?;
        lock.hold(path)?;
        let conn = open_for_writing(path, options.synchronous).map_err(|error| about(path, error))?;
        let file = OpenFile::remember(path)?;
        lock.record(Some(file.identity));
        if is_open_to_all(path) {
            tracing::warn!("everybody on this machine can read {0}: `chmod o= {0}*` ends that", path.display());
        }
        if let Some(obstacle) = page_residue::obstacle(&conn)? {
            tracing::warn!("{obstacle}");
        }
        let (sender, queue) = sync_channel(options.queue.max(1));
        let (failure, failed) = watch::channel(None);
        let (batch, checkpoint_pages) = (options.batch.max(1), options.checkpoint_pages);
        let damage = Damage::default();
        let readers = Readers::open(options, damage.clone())?;
        let files = Files::open(path);
        let room = Arc::new(Room::new(path, options.min_free));
        room.measure()?;
        let (is_cut_off, is_locked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (writes_taken, measures) = (Arc::new(AtomicU64::new(0)), Arc::new(Measures::of(&options.metrics)));
        let writer = Writer {
            conn,
            queue,
            batch,
            checkpoint_pages,
            failure,
            lock,
            file,
            watch: files.clone().map(Watch::new),
            damage,
            room: room.clone(),
            is_cut_off: is_cut_off.clone(),
            is_locked: is_locked.clone(),
            taken: writes_taken.clone(),
            measures: measures.clone(),
        };
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| Error::internal("Cannot start the writer's thread").caused_by(error))?;
        let inner = Inner {
            path: path.clone(),
            queue: sender,
            readers,
            failure: failed,
            closing: AtomicBool::new(false),
            writes_begun: AtomicU64::new(0),
            writes_taken,
            queue_limit: options.queue.max(1),
            metrics: options.metrics.clone(),
            measures,
            writer: Mutex::new(Some(thread)),
            room,
            is_cut_off,
            is_locked,
            _files: files,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// How many jobs the writer was given since the store was opened: by what it grew one knows whether others write.
    pub fn writes_begun(&self) -> u64 {
        self.inner.writes_begun.load(Ordering::Relaxed)
    }

    /// Jobs that wait for the writer, and how many may.
    pub fn queue(&self) -> (u64, usize) {
        let taken = self.inner.writes_taken.load(Ordering::Relaxed);
        (self.writes_begun().saturating_sub(taken), self.inner.queue_limit)
    }

    /// The metrics of the server whose store this is.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Runs a job of the class [`WriteClass::Ongoing`] in the writer and waits until what it wrote is on the disk.
    ///
    /// The job may run twice, after a neighbour in its batch failed; the first run then left nothing. So it must do the
    /// same again, and it should decide before it writes, because an error makes the whole batch run a second time.
    /// It runs also when the caller stops waiting.
    ///
    /// # Errors
    /// The job's own, after which nothing of it was written; `Internal` with the message when it panicked.
    /// `Unavailable` when the queue is full, the store is closed, or the database refused the whole batch: nothing was
    /// written. `OutcomeUnknown` when the commit failed.
    pub async fn write<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.write_as(WriteClass::Ongoing, job).await
    }

    /// [`Store::write`] for a job of another class, which needs more or less room on the disk.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn write_as<T, F>(&self, class: WriteClass, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        // A job answers even when it is dropped, so the channel never closes without a value.
        self.submit(class, job)?.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// [`Store::write`] for a plain thread. It must not be called from asynchronous code.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub fn write_blocking<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.write_blocking_as(WriteClass::Ongoing, job)
    }

    /// [`Store::write_as`] for a plain thread. It must not be called from asynchronous code.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub fn write_blocking_as<T, F>(&self, class: WriteClass, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.submit(class, job)?.blocking_recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// Reads from one snapshot. It blocks, so asynchronous callers use [`Store::query`].
    ///
    /// # Errors
    /// Those of `f`; `Unavailable` when all connections stay busy.
    pub fn read<T>(&self, f: impl FnOnce(&Conn) -> Result<T>) -> Result<T> {
        self.inner.readers.ordinary(f)
    }

    /// [`Store::read`] for what must go on while requests keep all other connections busy: the server's own work,
    /// log-ins, `/readyz`, the compiling of a flow.
    ///
    /// # Errors
    /// Those of [`Store::read`].
    pub fn read_vital<T>(&self, f: impl FnOnce(&Conn) -> Result<T>) -> Result<T> {
        self.inner.readers.vital(f)
    }

    /// Whether writes are taken.
    pub fn is_healthy(&self) -> bool {
        !self.inner.closing.load(Ordering::Acquire) && self.inner.failure.borrow().is_none()
    }

    /// Whether another process keeps the database locked for longer than writes wait.
    pub fn is_locked(&self) -> bool {
        self.inner.is_locked.load(Ordering::Relaxed)
    }

    /// The size of the database on its disk, and the free space there.
    ///
    /// # Errors
    /// When the free space cannot be read from the file system.
    pub fn disk(&self) -> Result<DiskUse> {
        let path = &self.inner.path;
        Ok(DiskUse { free: free_bytes(path)?, database: file::length(path), log: file::length(&file::log_of(path)) })
    }

    /// The list of contacts that were erased in this database, with what these copies of it have besides.
    ///
    /// # Errors
    /// Those of [`ErasedList::open`].
    pub fn erased_list(&self, copies: &[PathBuf]) -> Result<ErasedList> {
        ErasedList::open(&self.inner.path, copies)
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Bytes that are to stay free on the disk, beside the size of the log (see [`Options::min_free`]).
    pub fn min_free(&self) -> u64 {
        self.inner.room.min_free()
    }

    /// Which writes the room on the disk lets in, as it was last measured.
    pub fn room(&self) -> RoomLevel {
        self.inner.room.level()
    }

    /// Refuses a write that there is no room for, as the writer would.
    ///
    /// # Errors
    /// `Unavailable` while there is no room for such a write.
    pub fn check_room(&self, class: WriteClass) -> Result<()> {
        self.inner.room.check(class)
    }

    /// Changes how much room is kept (see [`Options::min_free`]), and measures it.
    ///
    /// # Errors
    /// When the free space cannot be read; what was measured before stands.
    pub fn keep_free(&self, min_free: u64) -> Result<()> {
        self.inner.room.set_min_free(min_free);
        self.inner.room.measure()
    }

    /// No longer waits for a lost file to be saved, which may take minutes where there is no room for a copy.
    pub fn cut_off(&self) {
        self.inner.is_cut_off.store(true, Ordering::Relaxed);
    }

    /// Waits until the writer has stopped for good, and returns why. Nothing but a new process helps then. After an
    /// orderly [`Store::close`] it waits for ever.
    pub async fn failed(&self) -> Error {
        let mut failure = self.inner.failure.clone();
        loop {
            if let Some(reason) = failure.borrow_and_update().as_deref() {
                return Error::internal(format!("The database cannot be written any more: {reason}"));
            }
            if failure.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Writes the write-ahead log into the database file and cuts it to nothing, so that it holds no older state of any
    /// page. `false` if that was not possible, because readers still need the log.
    ///
    /// # Errors
    /// `Unavailable` when the queue is full or the store is closed.
    pub async fn empty_log(&self) -> Result<bool> {
        let (caller, answer) = oneshot::channel();
        self.enqueue(Command::EmptyLog(caller))?;
        answer.await.map_err(|_| stopped())
    }

    /// Refuses new jobs, writes those that are queued, empties the write-ahead log, and releases the lock. Blocks until
    /// that is done. Reads go on.
    pub fn close(&self) {
        self.inner.close();
    }

    fn submit<T, F>(&self, class: WriteClass, job: F) -> Result<oneshot::Receiver<Result<T>>>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        // A store that has stopped fails with that, whatever room there is.
        if self.is_healthy() {
            self.inner.room.check(class).inspect_err(|_| self.refuse(Refused::for_room(class)))?;
        }
        let (caller, answer) = oneshot::channel();
        self.enqueue(Command::Write(Box::new(Pending::new(job, caller)), class))?;
        self.inner.writes_begun.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }

    fn enqueue(&self, command: Command) -> Result<()> {
        if !self.is_healthy() {
            self.refuse(Refused::Stopped);
            return Err(stopped());
        }
        match self.inner.queue.try_send(command) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                self.refuse(Refused::QueueFull);
                Err(Error::unavailable("The server has more to write than it can: retry in a moment"))
            }
            Err(TrySendError::Disconnected(_)) => {
                self.refuse(Refused::Stopped);
                Err(stopped())
            }
        }
    }

    fn refuse(&self, reason: Refused) {
        self.inner.measures.refuse(reason, 1);
    }
}

impl Inner {
    fn close(&self) {
        self.closing.store(true, Ordering::Release);
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        if thread.thread().id() == thread::current().id() {
            // A job owned the last handle. The writer can wait neither for itself nor for room in its own queue; where
            // there is none, it stops when it has served the queue and finds all senders dropped.
            let _ = self.queue.try_send(Command::Stop);
            return;
        }
        // A writer that has stopped for good no longer listens, and needs no telling.
        let _ = self.queue.send(Command::Stop);
        // The writer catches its own panics and has logged them.
        let _ = thread.join();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Bytes on the disk of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUse {
    /// Free for this process.
    pub free: u64,
    /// Of the database file.
    pub database: u64,
    /// Of its write-ahead log.
    pub log: u64,
}

/// Bytes that are free for this process on the disk of a file.
fn free_bytes(path: &Path) -> Result<u64> {
    let path = file::real_path(path);
    fs4::available_space(path.parent().unwrap_or(Path::new("/")))
        .map_err(|error| Error::internal("The free space of the disk cannot be read").caused_by(error))
}

/// How often commands have written to the file.
pub fn generation(conn: &Conn) -> Result<i64> {
    Ok(conn.prepare_cached("SELECT value FROM generation")?.query_row([], |row| row.get(0))?)
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let told = match code_of(&error) {
            Code::Unavailable => Self::unavailable("The database cannot take this now"),
            _ => Self::internal("The database refused a statement"),
        };
        told.caused_by(error)
    }
}

/// Whether a caller should try again later, or look for a defect.
fn code_of(error: &rusqlite::Error) -> Code {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Code::Unavailable,
        _ => Code::Internal,
    }
}

/// What SQLite said, where that is behind an error.
fn cause(error: &Error) -> Option<&rusqlite::Error> {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        source = cause.source();
    }
    None
}

/// Whether SQLite finds the file damaged, or no database of its own. What a virtual table finds wrong with its own rows
/// is no damage of the file: the index for searching can be made anew.
fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| {
        matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            && error.extended_code != rusqlite::ffi::SQLITE_CORRUPT_VTAB
    })
}

/// Refuses a database that must not be opened after the way in which the last server ended, and logs what has changed
/// since.
fn check_last(lock: &Lock, options: &Options) -> Result<()> {
    let (path, begin) = (&options.path, options.begin);
    let ending = lock.ending();
    if let Some(damage) = ending.filter(|ending| ending.is_damage) {
        file::check_after_damage(path, &damage.told, begin)?;
        tracing::warn!("the last server on {} ended because {}", path.display(), damage.told);
    }
    let told = ending.map_or_else(String::new, |ending| format!(". The last server ended because {}", ending.told));
    file::check_before_server(path, lock.recorded(), begin).map_err(|error| match error.code() {
        Code::Conflict => Error::conflict(format!("{}{told}", error.message())),
        _ => error,
    })?;
    if file::is_another(path, lock.known()) {
        tracing::warn!("{} is another file than the one that the last server had open{told}", path.display());
    }
    Ok(())
}

fn stopped() -> Error {
    Error::unavailable("The server takes no more writes: nothing was written")
}

/// The same error with the file it is about.
fn about(path: &Path, error: Error) -> Error {
    let message = format!("Cannot use {}", path.display());
    let told = match error.code() {
        Code::Conflict => Error::conflict(format!("{message}: {}", error.message())),
        Code::Unavailable => Error::unavailable(message),
        _ => Error::internal(message),
    };
    // The message of a conflict is the whole of it.
    if error.code() == Code::Conflict { told } else { told.caused_by(error) }
}

fn open_for_writing(path: &Path, synchronous: Synchronous) -> Result<Conn> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Conn::open_with_flags(path, flags)?;
    conn.raw().busy_timeout(BUSY_TIMEOUT)?;
    // Looked at before anything is changed: the next pragma writes to the file, whosoever it is.
    schema::CURRENT.inspect(&conn)?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Error::internal("The file system does not support SQLite's write-ahead log"));
    }
    set_up(&conn, synchronous)?;
    // The writer checkpoints between batches.
    conn.raw().pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.raw().pragma_update(None, "cache_size", -WRITER_CACHE)?;
    for done in schema::CURRENT.prepare(&conn)? {
        // An operator is to see it whatever else is logged: it was not asked for.
        tracing::warn!("the database was brought forward: {done}");
    }
    Ok(conn)
}

/// What every connection that writes needs.
fn set_up(conn: &Conn, synchronous: Synchronous) -> Result<()> {
    conn.raw().set_prepared_statement_cache_capacity(STATEMENTS);
    // What is deleted is overwritten, so that an erased person is not in the file any more.
    conn.execute_batch("PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON;")?;
    let synchronous = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
        Synchronous::Off => "OFF",
    };
    Ok(conn.raw().pragma_update(None, "synchronous", synchronous)?)
}

/// Runs a checkpoint: whether it was blocked, pages in the log, and how many of them are in the database file.
fn rows_of_checkpoint(conn: &Conn, mode: &str) -> rusqlite::Result<(bool, i64, i64)> {
    conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

#[cfg(test)]
mod tests {
    use super::testing::now;
    use super::*;

    #[test]
    fn what_was_written_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let store = testing::store(&dir);
        store.write_blocking(|tx| settings::set(tx, "a", "1", now())).unwrap();
        let seq = store.write_blocking(|tx| Ok(testing::running(tx))).unwrap();
        store.close();
        assert!(!store.is_healthy());
        let late = store.write_blocking(|tx| settings::set(tx, "b", "1", now())).unwrap_err();
        assert_eq!(late.code(), Code::Unavailable);
        assert!(store.read(|conn| settings::get(conn, "a")).unwrap().is_some(), "reads go on");

        let again = testing::store(&dir);
        assert_eq!(again.read(|conn| settings::get(conn, "a")).unwrap().as_deref(), Some("1"));
        assert_eq!(again.read(|conn| settings::get(conn, "b")).unwrap(), None);
        assert_eq!(again.read(|conn| sessions::find_by_seq(conn, seq)).unwrap().unwrap().session, testing::session(1));
        drop((store, again));
        assert_eq!(Direct::open(&dir.path().join("qyvo.db")).unwrap().check().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn closing_writes_what_is_queued() {
        let dir = tempfile::tempdir().unwrap();
        let store = testing::store(&dir);
        let answers: Vec<_> = (0..100)
            .map(|n: usize| {
                store.submit(WriteClass::Ongoing, move |tx| settings::set(tx, &n.to_string(), "1", now())).unwrap()
            })
            .collect();
        store.close();
        answers.into_iter().for_each(|answer| answer.blocking_recv().unwrap().unwrap());
        store.close();
    }

    #[test]
    fn a_second_server_is_refused_until_the_first_has_closed() {
        let dir = tempfile::tempdir().unwrap();
        let store = testing::store(&dir);
        let refused = Store::open(&testing::options(&dir)).err().unwrap();
        assert_eq!(refused.code(), Code::Conflict);
        assert!(refused.message().contains(&std::process::id().to_string()), "{refused}");
        store.close();
        Store::open(&testing::options(&dir)).unwrap();
    }

    #[test]
    fn newer_and_foreign_files_are_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qyvo.db");
        testing::store(&dir).close();
        Conn::open(&path).unwrap().raw().pragma_update(None, "user_version", 1000).unwrap();
        let newer = Store::open(&testing::options(&dir)).err().unwrap();
        assert!(newer.message().contains("version 1000") && newer.message().contains("qyvo.db"), "{newer}");
        assert!(Direct::open(&path).err().unwrap().message().contains("version 1000"));

        std::fs::remove_file(&path).unwrap();
        Conn::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        let before = std::fs::read(&path).unwrap();
        let foreign = Store::open(&testing::options(&dir)).err().unwrap();
        assert!(foreign.message().contains("another program"), "{foreign}");
        assert!(std::fs::read(&path).unwrap() == before);
        std::fs::write(&path, "not a database at all, but a text that is long enough".repeat(99)).unwrap();
        let text = Store::open(&testing::options(&dir)).err().unwrap();
        assert!(text.message().contains("not an SQLite database"), "{text}");
    }

    #[test]
    fn every_connection_has_its_pragmas() {
        let dir = tempfile::tempdir().unwrap();
        let mut options = testing::options(&dir);
        options.synchronous = Synchronous::Normal;
        let store = Store::open(&options).unwrap();
        let pragma = |conn: &Conn, name: &str| -> Result<i64> {
            Ok(conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?)
        };
        let writer = store
            .write_blocking(move |tx| {
                [
                    "foreign_keys",
                    "synchronous",
                    "temp_store",
                    "wal_autocheckpoint",
                    "cache_size",
                    "busy_timeout",
                    "secure_delete",
                ]
                .iter()
                .map(|name| pragma(tx, name))
                .collect::<Result<Vec<_>>>()
            })
            .unwrap();
        assert_eq!(writer, [1, 1, 2, 0, -WRITER_CACHE, 2000, 1]);
        let reader = store.read(|conn| Ok([pragma(conn, "query_only")?, pragma(conn, "temp_store")?])).unwrap();
        assert_eq!(reader, [1, 2]);
        assert!(store.read(|conn| Ok(conn.execute("DELETE FROM settings", [])?)).is_err());
    }

    #[test]
    fn a_read_sees_one_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let store = testing::store(&dir);
        let seen = store
            .read(|conn| {
                let first = settings::get(conn, "a")?;
                store.write_blocking(|tx| settings::set(tx, "a", "1", now()))?;
                Ok((first, settings::get(conn, "a")?))
            })
            .unwrap();
        assert_eq!(seen, (None, None));
        assert!(store.read(|conn| settings::get(conn, "a")).unwrap().is_some());
    }

    #[tokio::test]
    async fn a_caller_that_stops_waiting_has_still_written() {
        let dir = tempfile::tempdir().unwrap();
        let store = testing::store(&dir);
        let write = store.write(|tx| settings::set(tx, "a", "1", now()));
        drop(store.submit(WriteClass::Ongoing, |tx| settings::set(tx, "b", "1", now())).unwrap());
        write.await.unwrap();
        assert!(store.read(|conn| settings::get(conn, "b")).unwrap().is_some());
    }
}
