//! Connections for reading, and how many of them each kind of read may hold at once.
//!
//! A search, an export or a statistic may take a good part of a second. They hold two connections at most and queue
//! apart, so that other reads go on beside them; and all reads of requests together leave one connection to the
//! server's own work, to log-ins, to `/readyz` and to the compiling of flows.

use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::OpenFlags;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{BUSY_TIMEOUT, Conn, Direct, Options, STATEMENTS, Store};
use crate::error::{Error, Result};

/// How long a read waits for a connection of the pool.
const WAIT: Duration = Duration::from_secs(5);
/// Memory of a reader's page cache, in KiB.
const READER_CACHE: i64 = 4 * 1024;
/// Heavy reads that run at once.
const HEAVY: u32 = 2;

/// Something whose database can be read: a server's store, or the file that a command has open.
pub trait Reads {
    /// Reads from one snapshot.
    ///
    /// # Errors
    /// Those of `f`, and when the database cannot be read.
    fn read<T>(&self, f: impl FnOnce(&Conn) -> Result<T>) -> Result<T>;
}

impl Reads for Store {
    fn read<T>(&self, f: impl FnOnce(&Conn) -> Result<T>) -> Result<T> {
        Self::read(self, f)
    }
}

impl Reads for Direct {
    fn read<T>(&self, f: impl FnOnce(&Conn) -> Result<T>) -> Result<T> {
        Self::read(self, f)
    }
}

/// Opens the pool's connections.
struct Connections(SqliteConnectionManager);

impl r2d2::ManageConnection for Connections {
    type Connection = Conn;
    type Error = rusqlite::Error;

    fn connect(&self) -> rusqlite::Result<Conn> {
        self.0.connect().map(Conn::from)
    }

    fn is_valid(&self, conn: &mut Conn) -> rusqlite::Result<()> {
        conn.execute_batch("")
    }

    fn has_broken(&self, _: &mut Conn) -> bool {
        false
    }
}

/// The pool, with what ordinary and heavy reads take turns for.
pub(super) struct Readers {
    pool: r2d2::Pool<Connections>,
    ordinary: Slots,
    heavy: Arc<Semaphore>,
    damage: Damage,
}

/// What a reader has found, if it found the file damaged: the writer stops for it.
pub(super) type Damage = Arc<OnceLock<String>>;

impl Readers {
    /// Opens the connections of a store.
    pub(super) fn open(options: &Options, damage: Damage) -> Result<Self> {
        let connections = options.readers.max(1);
        let manager = SqliteConnectionManager::file(&options.path)
            .with_flags(OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .with_init(|conn| {
                conn.busy_timeout(BUSY_TIMEOUT)?;
                conn.set_prepared_statement_cache_capacity(STATEMENTS);
                conn.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;")?;
                conn.pragma_update(None, "cache_size", -READER_CACHE)
            });
        let pool = r2d2::Pool::builder()
            .max_size(connections)
            .connection_timeout(WAIT)
            // A connection to a local file does not break while it is idle.
            .test_on_check_out(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .build(Connections(manager))
            .map_err(|error| Error::internal("Cannot open connections for reading").caused_by(error))?;
        Ok(Self::new(pool, connections, damage))
    }

    /// Divides a pool of so many connections. Of very few, the kinds share what there is.
    fn new(pool: r2d2::Pool<Connections>, connections: u32, damage: Damage) -> Self {
        let heavy = HEAVY.min(connections.saturating_sub(2)).max(1);
        Self {
            pool,
            ordinary: Slots::new(connections.saturating_sub(1).max(1)),
            heavy: Arc::new(Semaphore::new(heavy as usize)),
            damage,
        }
    }

    /// A read of a request.
    pub(super) fn ordinary<T>(&self, f: impl FnOnce(&Conn) -> Result<T>) -> Result<T> {
        let _slot = self.ordinary.take().ok_or_else(busy)?;
        self.vital(f)
    }

    /// A read for which one connection is always left.
    pub(super) fn vital<T>(&self, f: impl FnOnce(&Conn) -> Result<T>) -> Result<T> {
        let conn = self.pool.get().map_err(|error| busy().caused_by(error))?;
        // The transaction makes several statements agree. It ends by its drop, also when `f` panics.
        let outcome = conn.raw().unchecked_transaction().map_err(Error::from).and_then(|_snapshot| f(&conn));
        if let Err(error) = &outcome
            && super::cause(error).is_some_and(super::is_damage)
        {
            self.damage.get_or_init(|| format!("a read failed: {error}"));
        }
        outcome
    }

    /// A heavy read's turn.
    pub(super) async fn heavy(&self) -> Result<OwnedSemaphorePermit> {
        let turn = tokio::time::timeout(WAIT, self.heavy.clone().acquire_owned()).await;
        turn.map_err(|_| {
            Error::unavailable("Too many searches, exports or statistics are under way: retry in a moment")
        })?
        .map_err(|error| Error::internal("Closed").caused_by(error))
    }
}

impl Store {
    /// [`Store::read`] for asynchronous code: it runs on a thread that may block, also when the caller stops waiting.
    ///
    /// # Errors
    /// Those of [`Store::read`]; `Internal` when `f` panicked.
    pub async fn query<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Conn) -> Result<T> + Send + 'static,
    {
        let store = self.clone();
        on_blocking_thread(move || store.read(f)).await
    }

    /// [`Store::query`] for what must go on while requests keep all other connections busy (see [`Store::read_vital`]).
    ///
    /// # Errors
    /// Those of [`Store::query`].
    pub async fn query_vital<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Conn) -> Result<T> + Send + 'static,
    {
        let store = self.clone();
        on_blocking_thread(move || store.read_vital(f)).await
    }

    /// [`Store::query`] for what may take long: a search, an export, a statistic. A few run at once; the others wait
    /// for their turn without a thread.
    ///
    /// # Errors
    /// Those of [`Store::query`]; `Unavailable` when others take too long.
    pub async fn query_heavy<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Conn) -> Result<T> + Send + 'static,
    {
        let turn = self.heavy_turn().await?;
        on_blocking_thread(move || turn.read(f)).await
    }

    /// Waits for the turn of a heavy read. They queue apart.
    async fn heavy_turn(&self) -> Result<HeavyTurn> {
        Ok(HeavyTurn { store: self.clone(), _permit: self.inner.readers.heavy().await? })
    }
}

async fn on_blocking_thread<T: Send + 'static>(read: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(read).await.map_err(|error| Error::internal("A read panicked").caused_by(error))?
}

/// The turn of a heavy read, which lasts until it is dropped.
struct HeavyTurn {
    store: Store,
    _permit: OwnedSemaphorePermit,
}

impl HeavyTurn {
    fn read<T>(&self, f: impl FnOnce(&Conn) -> Result<T>) -> Result<T> {
        self.store.read(f)
    }
}

fn busy() -> Error {
    Error::unavailable("All connections for reading are busy: retry in a moment")
}

/// A count of what may be under way at once, for threads that may block.
struct Slots {
    free: Mutex<u32>,
    freed: Condvar,
}

impl Slots {
    fn new(count: u32) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// Waits for a slot; `None` if none was free for [`WAIT`].
    fn take(&self) -> Option<Slot<'_>> {
        let until = Instant::now() + WAIT;
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            let left = until.checked_duration_since(Instant::now())?;
            free = self.freed.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= 1;
        Some(Slot(self))
    }
}

struct Slot<'a>(&'a Slots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use crate::store::{generation, testing};

    #[tokio::test(flavor = "multi_thread")]
    async fn heavy_reads_leave_connections_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let store = testing::store(&dir);
        let turns = [store.heavy_turn().await.unwrap(), store.heavy_turn().await.unwrap()];
        let (begun, has_begun) = channel();
        let mut ends = Vec::new();
        let mut threads = Vec::new();
        for turn in turns {
            let (end, ended) = channel::<()>();
            let begun = begun.clone();
            ends.push(end);
            threads.push(thread::spawn(move || {
                turn.read(|conn| {
                    begun.send(()).unwrap();
                    // Until the test drops its end.
                    let _ = ended.recv();
                    generation(conn)
                })
            }));
        }
        (0..2).for_each(|_| has_begun.recv().unwrap());
        assert_eq!(store.inner.readers.heavy.available_permits(), 0, "a third one queues");
        assert_eq!(store.read(generation).unwrap(), 0, "another read is not held up by searches");
        // The last ordinary connection is taken, too: what must never wait still has one.
        store
            .read(|_| {
                assert_eq!(store.read_vital(generation)?, 0);
                Ok(())
            })
            .unwrap();
        drop(ends);
        for thread in threads {
            assert_eq!(thread.join().unwrap().unwrap(), 0);
        }
        assert_eq!(store.heavy_turn().await.unwrap().read(generation).unwrap(), 0, "a turn ends with its holder");
    }
}
