//! Whether another process writes over the database or its write-ahead log in place, which changes neither's inode.
//!
//! Two things hold for as long as SQLite alone writes, whichever process it is in. The frames of the log are where its
//! index (`-shm`) says that they are, with the salt that the index has, and the last one with its checksum. And the
//! database file changes only by a checkpoint, which the index counts: before it begins, and when it is done (see
//! "WAL-Index File Format" in SQLite's description of its write-ahead log). So both are compared with the index, and
//! nothing is concluded while the index changes or says that a checkpoint is under way or was broken off.
//!
//! Closing any descriptor of a file gives up all locks that the process has on it. So each is opened once, and closed
//! after the last connection.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::file::{Loss, log_of, shared_memory_of};

/// The version of the index that is understood.
const VERSION: u32 = 3_007_000;
/// Bytes of the header in the index, which stands there twice.
const HEADER: usize = 48;
/// Bytes of the index that are read.
const INDEX: usize = 136;
/// Bytes of the headers of a log, of a frame in it, and of a database.
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const FILE_HEADER: usize = 100;
/// Parts into which what was added to the log is divided, to look at a frame of each.
const SAMPLES: u64 = 64;

/// Descriptors of a database and of what SQLite has beside it.
#[derive(Debug)]
pub(super) struct Files {
    database: File,
    log: File,
    index: File,
}

impl Files {
    /// Opens them once more, after SQLite did; `None` if they are not there or cannot be read.
    pub(super) fn open(path: &Path) -> Option<Arc<Self>> {
        let open = |path: &Path| File::open(path).ok();
        let (log, index) = (open(&log_of(path))?, open(&shared_memory_of(path))?);
        Some(Arc::new(Self { database: open(path)?, log, index }))
    }
}

/// The state of a log in its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Index {
    /// Frames in the log.
    frames: u32,
    /// Bytes of a page.
    page: u64,
    /// The checksum of the last frame.
    checksum: [u32; 2],
    /// Another one whenever the log begins anew.
    salt: [u8; 8],
    /// Frames that are in the database file, and those that a checkpoint was about to write there.
    written: [u32; 2],
}

impl Index {
    /// Reads it; `None` while it changes.
    fn read(file: &File) -> Option<Self> {
        let mut bytes = [0; INDEX];
        file.read_exact_at(&mut bytes, 0).ok()?;
        let (first, second) = (&bytes[..HEADER], &bytes[HEADER..2 * HEADER]);
        let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        if first != second || number(0)? != VERSION || bytes[12] != 1 {
            return None;
        }
        let page = u64::from(u16::from_ne_bytes([bytes[14], bytes[15]]));
        Some(Self {
            frames: number(16)?,
            page: if page == 1 { 65_536 } else { page },
            checksum: [number(24)?, number(28)?],
            salt: bytes[32..40].try_into().ok()?,
            written: [number(96)?, number(128)?],
        })
    }

    /// Whether no checkpoint is under way, and none was broken off.
    fn is_settled(&self) -> bool {
        self.written[0] == self.written[1]
    }

    /// Whether the log holds the frames that the index lists; `None` if it cannot be read. Of the frames that were
    /// added since it had `since` of them, only samples are read. The last frame alone proves nothing: if another
    /// process truncates the log, SQLite still writes later frames at their usual offsets, behind a hole.
    fn is_of(&self, log: &File, since: u32) -> Option<bool> {
        let (since, last) = (u64::from(since.clamp(1, self.frames.max(1))), u64::from(self.frames));
        let (mut header, mut frame) = ([0; LOG_HEADER], [0; FRAME_HEADER]);
        if last == 0 {
            return None;
        }
        let mut is_whole = is_there(log, &mut header, 0)? && header[16..24] == self.salt;
        for number in (0..=SAMPLES).map(|n| since + (last - since) * n / SAMPLES) {
            let at = LOG_HEADER as u64 + (number - 1) * (self.page + FRAME_HEADER as u64);
            is_whole = is_whole && is_there(log, &mut frame, at)? && frame[8..16] == self.salt;
        }
        Some(is_whole && frame[16..24] == self.checksum.map(u32::to_be_bytes).concat())
    }
}

/// Reads a part of a file. `true` if the file is as long; `None` if it cannot be read.
fn is_there(file: &File, part: &mut [u8], at: u64) -> Option<bool> {
    match file.read_exact_at(part, at) {
        Ok(()) => Some(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some(false),
        Err(_) => None,
    }
}

/// The state at the last look.
#[derive(Debug)]
struct Seen {
    index: Index,
    /// The beginning of the database file.
    file: [u8; FILE_HEADER],
    /// Checkpoints of this process.
    checkpoints: u64,
}

/// Compares the files with the index, again and again.
#[derive(Debug)]
pub(super) struct Watch {
    files: Arc<Files>,
    seen: Option<Seen>,
    /// The index was seen to have what this process had committed: what is read here is what SQLite writes there, and
    /// not a copy that the file system keeps.
    is_sure: bool,
}

/// What the process that looks has done itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    /// Frames in the log after its last commit.
    pub(super) frames: u32,
    /// Checkpoints that it ran.
    pub(super) checkpoints: u64,
}

impl Watch {
    pub(super) fn new(files: Arc<Files>) -> Self {
        Self { files, seen: None, is_sure: false }
    }

    /// Whether the next look must not wait: the log has begun, or begun anew, since the last one. Until a look has the
    /// new log, a file that is copied over the database would be taken for what was there before.
    pub(super) fn is_due(&self, own: Own) -> bool {
        let is_of_this_log = |seen: &Seen| own.frames >= seen.index.frames && own.checkpoints == seen.checkpoints;
        !self.is_sure || !self.seen.as_ref().is_some_and(is_of_this_log)
    }

    /// Looks, on the thread that writes.
    pub(super) fn look(&mut self, own: Own) -> Option<Loss> {
        let before = Index::read(&self.files.index)?;
        let earlier = self.seen.as_ref().filter(|seen| seen.index.salt == before.salt);
        let has_log = before.is_of(&self.files.log, earlier.map_or(1, |seen| seen.index.frames));
        let mut file = [0; FILE_HEADER];
        let is_read = self.files.database.read_exact_at(&mut file, 0).is_ok();
        let index = Index::read(&self.files.index).filter(|after| *after == before)?;
        self.is_sure |= index.frames > 0 && index.frames == own.frames;
        if has_log == Some(false) && self.is_sure {
            return Some(Loss::LogOverwritten);
        }
        let now = Seen { index, file, checkpoints: own.checkpoints };
        let is_overwritten = self.is_sure && self.seen.as_ref().is_some_and(|seen| seen.is_overwritten(&now));
        self.seen = Some(now).filter(|_| is_read);
        is_overwritten.then_some(Loss::Overwritten)
    }
}

impl Seen {
    /// Whether the file has changed though no checkpoint has written to it.
    fn is_overwritten(&self, now: &Self) -> bool {
        let is_same = self.index.salt == now.index.salt && self.index.written == now.index.written;
        is_same && now.index.is_settled() && self.checkpoints == now.checkpoints && self.file != now.file
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;
    use crate::store::Conn;

    const NOTHING: Own = Own { frames: 0, checkpoints: 0 };

    struct Case {
        dir: TempDir,
        conn: Conn,
        watch: Watch,
    }

    impl Case {
        /// A database with a log, of which is known that what is read here is what SQLite writes.
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let conn = Conn::open(dir.path().join("a.db")).unwrap();
            conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x)").unwrap();
            let watch = Watch::new(Files::open(&dir.path().join("a.db")).unwrap());
            let mut case = Self { dir, conn, watch };
            case.write();
            let frames = Index::read(&case.watch.files.index).unwrap().frames;
            assert_eq!(case.watch.look(Own { frames, checkpoints: 0 }), None);
            assert!(case.watch.is_sure);
            case
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        /// Adds some pages.
        fn write(&self) {
            self.conn.execute("INSERT INTO t VALUES (randomblob(20000))", []).unwrap();
        }

        fn checkpoint(&self, mode: &str) {
            crate::store::rows_of_checkpoint(&self.conn, mode).unwrap();
        }

        fn look(&mut self) -> Option<Loss> {
            self.look_after(0)
        }

        fn look_after(&mut self, checkpoints: u64) -> Option<Loss> {
            self.watch.look(Own { checkpoints, ..NOTHING })
        }

        /// Copies a file over another one, which keeps its inode.
        fn copy(&self, from: &str, to: &str) {
            let bytes = fs::read(self.path(from)).unwrap();
            fs::write(self.path(to), bytes).unwrap();
        }
    }

    #[test]
    fn what_sqlite_does_is_no_loss_whichever_connection_does_it() {
        let mut case = Case::new();
        let other = Conn::open(case.path("a.db")).unwrap();
        for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE", "PASSIVE"] {
            for conn in [&case.conn, &other] {
                crate::store::rows_of_checkpoint(conn, mode).unwrap();
                assert_eq!(case.watch.look(NOTHING), None, "{mode}");
                conn.execute("INSERT INTO t VALUES (randomblob(9000))", []).unwrap();
                assert_eq!(case.watch.look(NOTHING), None, "{mode}");
            }
        }
        other.execute_batch("BEGIN; INSERT INTO t VALUES (randomblob(90000)); ROLLBACK").unwrap();
        assert_eq!(case.look(), None);
        other.execute_batch("DELETE FROM t; VACUUM").unwrap();
        assert_eq!(case.look(), None);
        case.checkpoint("TRUNCATE");
        assert_eq!(case.look(), None);
        // A reader that keeps a checkpoint from getting to the end.
        other.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        for _ in 0..3 {
            case.write();
            case.checkpoint("PASSIVE");
            assert_eq!(case.look(), None);
        }
    }

    #[test]
    fn another_file_over_the_database_is_found_however_long_it_is() {
        for rows in [1, 200] {
            let mut case = Case::new();
            let other = Conn::open(case.path("b.db")).unwrap();
            other.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)").unwrap();
            for _ in 0..rows {
                other.execute("INSERT INTO t VALUES (randomblob(9000))", []).unwrap();
            }
            drop(other);
            case.checkpoint("PASSIVE");
            case.write();
            assert_eq!(case.look(), None);
            let before = fs::read(case.path("a.db")).unwrap();
            case.copy("b.db", "a.db");
            assert_eq!(case.look_after(1), None, "a checkpoint of our own may have been the last to write");
            fs::write(case.path("a.db"), before).unwrap();
            assert_eq!(case.look_after(2), None);
            case.copy("b.db", "a.db");
            assert_eq!(case.look_after(2), Some(Loss::Overwritten), "{rows}");
        }
        let mut case = Case::new();
        case.checkpoint("PASSIVE");
        assert_eq!(case.look(), None);
        OpenOptions::new().write(true).open(case.path("a.db")).unwrap().write_all_at(&[0; 8192], 0).unwrap();
        assert_eq!(case.look(), Some(Loss::Overwritten), "the beginning alone");
    }

    #[test]
    fn a_log_that_is_emptied_or_older_is_found() {
        let mut case = Case::new();
        fs::write(case.path("a.db-wal"), "").unwrap();
        assert_eq!(case.look(), Some(Loss::LogOverwritten));
        case.write();
        assert_eq!(case.look(), Some(Loss::LogOverwritten), "it has a hole");

        let mut case = Case::new();
        case.copy("a.db-wal", "older");
        case.write();
        assert_eq!(case.look(), None);
        let newer = fs::read(case.path("a.db-wal")).unwrap();
        case.copy("older", "a.db-wal");
        assert_eq!(case.look(), Some(Loss::LogOverwritten), "it is shorter");
        case.write();
        assert_eq!(case.look(), Some(Loss::LogOverwritten), "it has a hole");
        let mut whole = fs::read(case.path("a.db-wal")).unwrap();
        whole[..newer.len()].copy_from_slice(&newer);
        fs::write(case.path("a.db-wal"), whole).unwrap();
        assert_eq!(case.look(), None);

        // As long as the one that is there, because the log began anew in a long file.
        let mut case = Case::new();
        case.checkpoint("RESTART");
        case.write();
        case.copy("a.db-wal", "older");
        case.checkpoint("RESTART");
        case.write();
        assert_eq!(case.look(), None);
        case.copy("older", "a.db-wal");
        assert_eq!(case.look(), Some(Loss::LogOverwritten));
    }

    #[test]
    fn nothing_is_concluded_before_the_index_was_seen_to_say_what_was_committed() {
        let mut case = Case::new();
        let mut watch = Watch::new(case.watch.files.clone());
        fs::write(case.path("a.db-wal"), "").unwrap();
        assert_eq!(watch.look(NOTHING), None);
        let frames = Index::read(&watch.files.index).unwrap().frames;
        assert_eq!(watch.look(Own { frames: frames + 1, checkpoints: 0 }), None);
        assert_eq!(watch.look(Own { frames, checkpoints: 0 }), Some(Loss::LogOverwritten));
        assert_eq!(case.look(), Some(Loss::LogOverwritten));
    }
}
