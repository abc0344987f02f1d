//! The writer, with jobs that fail, a disk that is full and a file that is damaged.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::domain::CounterName;
use crate::error::Code;
use crate::store::testing::{self, now};
use crate::store::{Counter, Direct, Options, Store, counters, generation, settings};

/// A job that sets the setting `n`, and counts it.
fn set(n: usize) -> impl Fn(&Tx<'_>) -> Result<usize> + Send + 'static {
    move |tx| {
        settings::set(tx, &n.to_string(), "1", now())?;
        tx.count(counter(), 1);
        Ok(n)
    }
}

fn counter() -> Counter {
    Counter::of(CounterName::SessionStarted)
}

fn counted(store: &Store) -> i64 {
    store.read(|conn| counters::value(conn, &counter())).unwrap()
}

fn stored(store: &Store) -> i64 {
    store.read(|conn| Ok(conn.query_row("SELECT count(*) FROM settings", [], |row| row.get(0))?)).unwrap()
}

/// Keeps the writer busy with a job of its own until the sender is dropped, so that what is submitted meanwhile
/// becomes one batch.
fn block(store: &Store) -> Sender<()> {
    let (release, released) = channel::<()>();
    let (begin, begun) = channel();
    let _answer = store
        .submit(WriteClass::Ongoing, move |_| {
            let _ = begin.send(());
            let _ = released.recv();
            Ok(())
        })
        .unwrap();
    begun.recv().unwrap();
    release
}

fn small(dir: &TempDir, options: impl FnOnce(&mut Options)) -> Store {
    let mut small = testing::options(dir);
    options(&mut small);
    Store::open(&small).unwrap()
}

fn log_bytes(dir: &TempDir) -> u64 {
    std::fs::metadata(dir.path().join("qyvo.db-wal")).map_or(0, |file| file.len())
}

#[test]
fn a_job_that_fails_and_one_that_panics_leave_their_neighbours_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = testing::store(&dir);
    let release = block(&store);
    let runs = Arc::new(AtomicUsize::new(0));
    let answers: Vec<_> = (0..64)
        .map(|n| {
            let runs = Arc::clone(&runs);
            store
                .submit(WriteClass::Ongoing, move |tx| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    let set = set(n)(tx)?;
                    match n {
                        20 => Err(Error::invalid("job 20 will not")),
                        40 => panic!("job {n} breaks"),
                        _ => Ok(set),
                    }
                })
                .unwrap()
        })
        .collect();
    drop(release);
    for (n, answer) in answers.into_iter().enumerate() {
        let answer = answer.blocking_recv().unwrap();
        match n {
            20 => {
                let error = answer.unwrap_err();
                assert_eq!((error.code(), error.message()), (Code::Invalid, "job 20 will not"));
            }
            40 => {
                let error = answer.unwrap_err();
                assert_eq!((error.code(), error.message()), (Code::Internal, "A write job panicked: job 40 breaks"));
            }
            _ => assert_eq!(answer.unwrap(), n),
        }
    }
    assert_eq!(runs.load(Ordering::Relaxed), 21 + 64, "one batch, run again as a whole");
    assert_eq!((stored(&store), counted(&store)), (62, 62));
    assert_eq!(store.write_blocking(set(64)).unwrap(), 64);
    assert_eq!((stored(&store), counted(&store)), (63, 63));
    assert!(store.is_healthy());
}

#[test]
fn a_job_without_neighbours_runs_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = testing::store(&dir);
    let runs = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&runs);
    let refused = store.write_blocking(move |tx| {
        seen.fetch_add(1, Ordering::Relaxed);
        set(1)(tx)?;
        Err::<(), _>(Error::conflict("no"))
    });
    assert_eq!(refused.unwrap_err().code(), Code::Conflict);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert_eq!((stored(&store), counted(&store)), (0, 0));
}

#[test]
fn a_full_database_refuses_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let store = testing::store(&dir);
    let limit = |store: &Store, spare: i64| {
        store
            .write_blocking_as(WriteClass::Essential, move |tx| {
                let pages: i64 = tx.query_row("PRAGMA page_count", [], |row| row.get(0))?;
                tx.query_row(&format!("PRAGMA max_page_count = {}", pages + spare), [], |_| Ok(()))?;
                Ok(())
            })
            .unwrap();
    };
    limit(&store, 4);
    let release = block(&store);
    let large = |tx: &Tx<'_>| settings::set(tx, "large", &"x".repeat(1 << 20), now());
    let mut answers: Vec<_> = (0..8).map(|n| store.submit(WriteClass::Ongoing, set(n)).unwrap()).collect();
    let refused = store.submit(WriteClass::Ongoing, large).unwrap();
    answers.extend((8..16).map(|n| store.submit(WriteClass::Ongoing, set(n)).unwrap()));
    drop(release);
    let error = refused.blocking_recv().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(error.to_string().contains("full"), "{error}");
    // Whether SQLite gives up the statement or the whole transaction is its own decision; each answer is true.
    let done: i64 = answers.into_iter().map(|answer| i64::from(answer.blocking_recv().unwrap().is_ok())).sum();
    assert_eq!((stored(&store), counted(&store)), (done, done));
    limit(&store, 100_000);
    store.write_blocking_as(WriteClass::Essential, large).unwrap();
    store.write_blocking_as(WriteClass::Essential, set(99)).unwrap();
    assert!(store.is_healthy());
}

#[test]
fn a_transaction_that_is_gone_fails_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    let store = testing::store(&dir);
    let release = block(&store);
    let first = store.submit(WriteClass::Ongoing, set(1)).unwrap();
    let culprit = store
        .submit(WriteClass::Ongoing, |tx| {
            tx.execute("ROLLBACK", [])?;
            Err::<(), _>(Error::unavailable("as SQLite does when the disk fails"))
        })
        .unwrap();
    let last = store.submit(WriteClass::Ongoing, set(2)).unwrap();
    drop(release);
    for error in [
        first.blocking_recv().unwrap().unwrap_err(),
        culprit.blocking_recv().unwrap().unwrap_err(),
        last.blocking_recv().unwrap().unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::Unavailable);
        assert!(error.to_string().contains("gave up the transaction: as SQLite does"), "{error}");
        assert!(!error.message().contains("SQLite"), "what the caller sees: {error}");
    }
    assert_eq!((stored(&store), counted(&store)), (0, 0));
    store.write_blocking(set(3)).unwrap();
    assert_eq!((stored(&store), counted(&store)), (1, 1));
}

#[test]
fn a_commit_that_fails_leaves_the_outcome_unknown_and_stops_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = testing::store(&dir);
    let release = block(&store);
    let mut answers: Vec<_> = (0..4).map(|n| store.submit(WriteClass::Ongoing, set(n)).unwrap()).collect();
    let poison = store.submit(WriteClass::Ongoing, |tx| {
        tx.execute_batch(
            "PRAGMA defer_foreign_keys = ON;
             INSERT INTO turns (session_seq, turn, at, record, messages) VALUES (99, 1, 0, '{}', '[]')",
        )?;
        Ok(0)
    });
    answers.push(poison.unwrap());
    drop(release);
    for answer in answers {
        let error = answer.blocking_recv().unwrap().unwrap_err();
        assert_eq!(error.code(), Code::OutcomeUnknown);
        assert!(error.message().contains("the commit failed: FOREIGN KEY"), "{error}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let failed = runtime.block_on(store.failed());
    assert!(failed.message().contains("the commit failed"), "{failed}");
    assert!(!store.is_healthy());
    assert_eq!(store.write_blocking(set(9)).unwrap_err().code(), Code::Unavailable);
    assert_eq!(stored(&store), 0);
    store.close();
}

/// Fails as SQLite does where a file is damaged, or only what a virtual table keeps in it.
fn malformed(extended_code: i32) -> Result<()> {
    Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(extended_code), None).into())
}

#[test]
fn a_job_or_a_reader_that_finds_the_file_damaged_stops_the_writer() {
    use rusqlite::ffi::{SQLITE_CORRUPT, SQLITE_CORRUPT_INDEX, SQLITE_NOTADB};

    for code in [SQLITE_CORRUPT, SQLITE_CORRUPT_INDEX, SQLITE_NOTADB] {
        for (is_read, neighbours) in [(true, 0), (false, 0), (false, 2)] {
            let dir = tempfile::tempdir().unwrap();
            let store = testing::store(&dir);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            assert!(runtime.block_on(store.empty_log()).unwrap());
            if is_read {
                store.read(|_| malformed(code)).unwrap_err();
            } else {
                let release = block(&store);
                let others: Vec<_> =
                    (0..neighbours).map(|n| store.submit(WriteClass::Ongoing, set(n)).unwrap()).collect();
                let culprit = store.submit(WriteClass::Ongoing, move |_| malformed(code)).unwrap();
                drop(release);
                let refused = culprit.blocking_recv().unwrap().unwrap_err();
                assert_eq!(refused.code(), Code::Unavailable, "{refused}");
                for other in others {
                    assert_eq!(other.blocking_recv().unwrap().unwrap_err().code(), Code::Unavailable);
                }
            }
            let failed = runtime.block_on(store.failed());
            assert!(failed.message().contains("the database is damaged"), "{failed}");
            assert_eq!(store.write_blocking(set(9)).unwrap_err().code(), Code::Unavailable);
            drop(store);
            // Its log would be written into whatever is there now.
            std::fs::write(dir.path().join("qyvo.db-wal"), "writes").unwrap();
            let refused = Store::open(&testing::options(&dir)).err().unwrap();
            assert!(refused.message().contains("the database is damaged"), "{refused}");
            assert!(Direct::open(&dir.path().join("qyvo.db")).is_err());
            std::fs::remove_file(dir.path().join("qyvo.db-wal")).unwrap();
            drop(Store::open(&testing::options(&dir)).unwrap());
        }
    }
    // What can be made anew from the rest of the file is no damage of it.
    let dir = tempfile::tempdir().unwrap();
    let store = testing::store(&dir);
    store.read(|_| malformed(rusqlite::ffi::SQLITE_CORRUPT_VTAB)).unwrap_err();
    store.write_blocking(|_| malformed(rusqlite::ffi::SQLITE_CORRUPT_VTAB)).unwrap_err();
    std::thread::sleep(2 * LOOK);
    store.write_blocking(set(1)).unwrap();
}

#[tokio::test]
async fn a_file_that_is_copied_over_the_database_right_after_a_commit_is_noticed() {
    for is_after_checkpoint in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let store = testing::store(&dir);
        // A second job runs once all is done that follows the first commit.
        for n in [1, 2] {
            store.write(set(n)).await.unwrap();
        }
        if is_after_checkpoint {
            assert!(store.empty_log().await.unwrap());
            for n in [3, 4] {
                store.write(set(n)).await.unwrap();
            }
        }
        // The counter of changes of the database's first page, which SQLite alone writes.
        let file = OpenOptions::new().write(true).open(dir.path().join("qyvo.db")).unwrap();
        file.write_all_at(&[7; 4], 24).unwrap();
        let told = tokio::time::timeout(Duration::from_secs(30), store.failed()).await.expect("it is never noticed");
        assert!(told.message().contains("copied over"), "{told}");
    }
}

#[test]
fn what_is_queued_behind_a_failed_commit_was_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = small(&dir, |options| options.batch = 1);
    let release = block(&store);
    let poison = store.submit(WriteClass::Ongoing, |tx| {
        tx.execute_batch("PRAGMA defer_foreign_keys = ON; INSERT INTO turns VALUES (NULL, 99, 1, 0, '{}', '[]')")?;
        Ok(())
    });
    let behind = store.submit(WriteClass::Ongoing, set(1)).unwrap();
    drop(release);
    assert_eq!(poison.unwrap().blocking_recv().unwrap().unwrap_err().code(), Code::OutcomeUnknown);
    assert_eq!(behind.blocking_recv().unwrap().unwrap_err().code(), Code::Unavailable);
    assert_eq!(stored(&store), 0);
}

#[test]
fn a_full_queue_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let store = small(&dir, |options| options.queue = 3);
    let release = block(&store);
    let answers: Vec<_> = (0..3).map(|n| store.submit(WriteClass::Ongoing, set(n)).unwrap()).collect();
    let refused = store.write_blocking(set(3)).unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("more to write"), "{refused}");
    drop(release);
    assert!(answers.into_iter().all(|answer| answer.blocking_recv().unwrap().is_ok()));
    store.write_blocking(set(3)).unwrap();
    assert_eq!(stored(&store), 4);
}

#[test]
fn another_process_that_writes_for_too_long_costs_a_batch_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = testing::store(&dir);
    // The writer's patience is seconds, and this is about what comes after it.
    store.write_blocking(|tx| Ok(tx.raw().busy_timeout(Duration::from_millis(1))?)).unwrap();
    let other = Conn::open(dir.path().join("qyvo.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(!store.is_locked());
    let refused = store.write_blocking(set(1)).unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(store.is_locked());
    std::thread::sleep(2 * LOOK);
    assert!(store.is_locked(), "still");
    other.execute_batch("ROLLBACK").unwrap();
    // It is noticed without any write.
    let is_free = (0..2_000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        !store.is_locked()
    });
    assert!(is_free);
    store.write_blocking(set(1)).unwrap();
    assert!(store.is_healthy());
}

#[test]
fn who_is_queued_while_another_process_writes_waits_no_second_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = testing::store(&dir);
    let other = Conn::open(dir.path().join("qyvo.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let first = store.submit(WriteClass::Ongoing, set(1)).unwrap();
    // The writer is waiting for the lock by now, or takes both of them together.
    std::thread::sleep(Duration::from_millis(100));
    let second = store.submit(WriteClass::Ongoing, set(2)).unwrap();
    let refused = first.blocking_recv().unwrap().unwrap_err();
    assert!(refused.message().contains("Another process"), "{refused}");
    let mut second = second;
    let answered = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(5));
        second.try_recv().ok()
    });
    assert_eq!(answered.expect("it was refused together with the first").unwrap_err().code(), Code::Unavailable);
    drop(other);
    store.write_blocking(set(3)).unwrap();
    assert_eq!(stored(&store), 1);
}

#[test]
fn the_log_stays_short() {
    let dir = tempfile::tempdir().unwrap();
    let store = small(&dir, |options| options.checkpoint_pages = 50);
    let mut longest = 0;
    for n in 0..400 {
        store.write_blocking(move |tx| settings::set(tx, &(n % 40).to_string(), &"x".repeat(8000), now())).unwrap();
        longest = longest.max(log_bytes(&dir));
    }
    assert!(longest > 40 * 4096, "{longest}");
    // Making the schema takes some 90 pages, and the file keeps that length while it is open.
    assert!(longest < 120 * 4096, "{longest}");
    store.close();
    assert_eq!(log_bytes(&dir), 0);
}

#[test]
fn a_reader_that_stays_does_not_stop_the_log_from_shrinking_once_it_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let store = small(&dir, |options| options.checkpoint_pages = 20);
    let write = |n: usize| {
        store.write_blocking(move |tx| settings::set(tx, &n.to_string(), &"x".repeat(8000), now())).unwrap();
    };
    store
        .read(|conn| {
            let before = generation(conn)?;
            (0..60).for_each(write);
            assert_eq!(generation(conn)?, before);
            Ok(())
        })
        .unwrap();
    let grown = log_bytes(&dir);
    assert!(grown > 120 * 4096, "{grown}");
    (60..90).for_each(write);
    assert!(log_bytes(&dir) < 80 * 4096, "{}", log_bytes(&dir));
}

#[test]
fn a_job_that_hides_the_loss_of_the_transaction_fails_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    let store = testing::store(&dir);
    let release = block(&store);
    let first = store.submit(WriteClass::Ongoing, set(1)).unwrap();
    let culprit = store.submit(WriteClass::Ongoing, |tx| Ok(tx.execute("ROLLBACK", [])?)).unwrap();
    let last = store.submit(WriteClass::Ongoing, set(2)).unwrap();
    drop(release);
    for error in [
        first.blocking_recv().unwrap().unwrap_err(),
        culprit.blocking_recv().unwrap().unwrap_err(),
        last.blocking_recv().unwrap().unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::Unavailable);
        assert!(error.to_string().contains("ended the transaction"), "{error}");
    }
    assert_eq!((stored(&store), counted(&store)), (0, 0), "nothing ran outside a transaction");
    assert!(store.is_healthy());
}

#[test]
fn a_job_may_hold_the_last_handle() {
    let dir = tempfile::tempdir().unwrap();
    let store = small(&dir, |options| (options.queue, options.batch) = (2, 1));
    let release = block(&store);
    let held = store.clone();
    let first = store.submit(WriteClass::Ongoing, move |tx| held.read(generation).and_then(|_| set(1)(tx))).unwrap();
    let second = store.submit(WriteClass::Ongoing, set(2)).unwrap();
    drop(store);
    drop(release);
    assert_eq!(first.blocking_recv().unwrap().unwrap(), 1);
    assert_eq!(second.blocking_recv().unwrap().unwrap(), 2);
    // The writer still has to end in good order, but no caller waits for it.
    let patience = std::time::Instant::now() + Duration::from_secs(30);
    while let Err(held) = Lock::take(&dir.path().join("qyvo.db")) {
        assert!(std::time::Instant::now() < patience, "{held}");
        std::thread::yield_now();
    }
    assert_eq!(log_bytes(&dir), 0);
}
