//! Putting a copy in the place of a database, while no server runs on it.
//!
//! The copy is checked, brought forward and completed beside the database, and takes its place by a rename at the end:
//! until then nothing has changed. The old file stays under another name. What must not be undone is taken over from
//! it: opt-outs that the copy lacks, and tokens that were revoked. Log-ins end, since some of them may have been ended
//! on purpose. Erasures are on a list of their own, see [`erased_list`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{OpenFlags, OptionalExtension};

use super::backup::{self, Progress};
use super::erased_list::{self, ErasedList};
use super::file::{self, Identity, PRIVATE, Recorded};
use super::lock::{self, Ending, Lock};
use super::schema;
use super::tombstones::{self, ErasureKey, Tombstone};
use super::{COMMAND_BUSY_TIMEOUT, Conn, Tx, open_for_writing, rows_of_checkpoint};
use crate::domain::{Synchronous, Timestamp};
use crate::error::{Error, Result};

/// Bytes that are copied at a time.
const CHUNK: usize = 8 << 20;
/// Bytes beside the copy's own that its log may take while it is brought forward.
const SPARE: u64 = 64 << 20;

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Bytes of the database.
    pub bytes: u64,
    /// Where the old file is; `None` if there was none.
    pub aside: Option<PathBuf>,
    /// What was taken over from the old file, or why nothing could be; `None` if there was none.
    pub carried: Option<std::result::Result<Carried, String>>,
    /// Erasures that the copy has not seen: the next start carries them out.
    pub erasures: usize,
    /// Messages that wait to go out. Some may have gone out since the copy was made.
    pub queued: u64,
    /// Sessions that go on.
    pub running: u64,
}

/// What was taken over from the old file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Addresses of people who opted out since the copy was made.
    pub opt_outs: usize,
    /// Tokens that were revoked since then.
    pub revoked: usize,
}

/// Puts the copy `from` in the place of a database. `lists` are copies of the list of erased contacts.
///
/// # Errors
/// `Conflict` when a server or another process has the database open, or `from` is no backup; `NotFound` when there is
/// none; `Unavailable` when the disk has no room; `Internal` when the copy is damaged. The database is as it was then.
pub fn restore(
    database: &Path,
    from: &Path,
    lists: &[PathBuf],
    mut progress: impl FnMut(Progress),
) -> Result<Restored> {
    if backup::is_partial(from) {
        return Err(Error::conflict(format!("{} is a copy that was not completed", from.display())));
    }
    let identity = |path: &Path| fs::metadata(path).ok().map(|file| Identity::of(&file));
    if identity(from).is_some() && identity(from) == identity(database) {
        return Err(Error::conflict(format!("{} is the database itself", from.display())));
    }
    let mut lock = Lock::take(database)?;
    lock::refuse_if_open(database)?;
    backup::check(from, true)?;
    check_room(database, from)?;
    let fresh = Fresh::copy(database, from, &mut progress)?;
    let old = Old::look(database);
    let conn = open_for_writing(&fresh.path, Synchronous::Full).map_err(|error| super::about(from, error))?;
    let tx = conn.raw().unchecked_transaction()?;
    let carried = complete(&Tx::new(&conn), &old)?;
    tx.commit()?;
    let applied = erased_list::applied(&conn)?;
    let count = |sql: &str| -> Result<u64> { Ok(u64::from(conn.query_row(sql, [], |row| row.get::<_, u32>(0))?)) };
    let queued = count("SELECT count(*) FROM messages WHERE status = 'queued'")?;
    let running = count("SELECT count(*) FROM sessions WHERE status = 'running'")?;
    let at: String = conn.query_row("SELECT strftime('%Y%m%dT%H%M%SZ', 'now')", [], |row| row.get(0))?;
    rows_of_checkpoint(&conn, "TRUNCATE")?;
    drop(conn);
    let erasures = ErasedList::open(database, lists)?.above(applied).len();
    let aside = match old {
        Old::Missing => None,
        _ => Some(set_aside(database, &at)?),
    };
    fresh.take_place(database)?;
    let placed = fs::metadata(database).map_err(|error| cannot("look at", database, error))?;
    lock.record(Some(Identity::of(&placed)));
    Ok(Restored { bytes: placed.len(), aside, carried, erasures, queued, running })
}

fn check_room(database: &Path, from: &Path) -> Result<()> {
    let needed = file::length(from) + SPARE;
    let free = super::free_bytes(database)?;
    if free >= needed {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    Err(Error::unavailable(format!(
        "The disk of the database has {} MiB free, and {} MiB are needed, because the old file is kept: make room",
        mib(free),
        mib(needed)
    )))
}

/// The copy beside the database, until it takes its place.
struct Fresh {
    path: PathBuf,
    is_placed: bool,
}

impl Fresh {
    fn copy(database: &Path, from: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Self> {
        let fresh = Self { path: file::beside(database, "restoring"), is_placed: false };
        fresh.remove();
        let expected = file::length(from);
        let mut copying = || -> io::Result<()> {
            let mut source = File::open(from)?;
            let mut to = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&fresh.path)?;
            let mut chunk = vec![0; CHUNK];
            let mut written = 0;
            loop {
                let read = source.read(&mut chunk)?;
                if read == 0 {
                    return to.sync_all();
                }
                to.write_all(&chunk[..read])?;
                written += read as u64;
                progress(Progress { written, expected: expected.max(written) });
            }
        };
        copying().map_err(|error| cannot("write", &fresh.path, error))?;
        Ok(fresh)
    }

    fn take_place(mut self, database: &Path) -> Result<()> {
        file::replace(&self.path, database)?;
        self.is_placed = true;
        Ok(())
    }

    fn remove(&self) {
        for path in [self.path.clone(), file::log_of(&self.path), file::shared_memory_of(&self.path)] {
            // One that is not there is no failure; one that stays makes creating it fail.
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.is_placed {
            self.remove();
        }
    }
}

/// Gives the old file another name. It keeps its own until the copy takes that, where the file system can do so.
fn set_aside(database: &Path, at: &str) -> Result<PathBuf> {
    let real = file::real_path(database);
    let aside = file::beside(database, &format!("before-restore-{at}"));
    let named = fs::hard_link(&real, &aside).or_else(|_| fs::rename(&real, &aside));
    named.map_err(|error| cannot("rename", database, error))?;
    // What was not written into the old file stays beside it, and must not be beside the copy.
    for (part, of_aside) in [
        (file::log_of(database), file::log_of(&aside)),
        (file::shared_memory_of(database), file::shared_memory_of(&aside)),
    ] {
        let moved = fs::rename(&part, of_aside);
        if let Err(error) = moved.or_else(|error| if file::is_absent(&error) { Ok(()) } else { Err(error) }) {
            return Err(cannot("rename", &part, error));
        }
    }
    Ok(aside)
}

fn cannot(what: &str, path: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("Cannot {what} {}: {error}", path.display()))
}

/// The file that was the database.
enum Old {
    Missing,
    Known(Known),
    /// Why it could not be read.
    Unreadable(String),
}

/// What an old file has that must not be undone.
struct Known {
    /// Kind and value of an address, when its owner opted out, and whether that concerns marketing alone.
    opt_outs: Vec<(String, String, Timestamp, bool)>,
    /// Tombstones: kind, hash, time.
    tombstones: Vec<(String, Vec<u8>, Timestamp)>,
    /// The key of their hashes.
    key: Option<ErasureKey>,
    /// Ids of tokens, and when they were revoked.
    revoked: Vec<(Vec<u8>, Timestamp)>,
}

impl Old {
    /// Reads it, and writes its log into it.
    fn look(database: &Path) -> Self {
        if file::length(database) == 0 && file::length(&file::log_of(database)) == 0 {
            return Self::Missing;
        }
        match Known::read(database) {
            Ok(known) => Self::Known(known),
            Err(error) => Self::Unreadable(match std::error::Error::source(&error) {
                Some(cause) => format!("{} ({cause})", error.message()),
                None => error.message().to_owned(),
            }),
        }
    }
}

impl Known {
    fn read(database: &Path) -> Result<Self> {
        file::check_before_command(database, Recorded::of(database))?;
        if let Some(ending) = Ending::of(database).filter(|ending| ending.is_damage) {
            return Err(Error::conflict(format!("The last server ended because {}", ending.told)));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Conn::open_with_flags(database, flags)?;
        conn.raw().busy_timeout(COMMAND_BUSY_TIMEOUT)?;
        schema::CURRENT.inspect(&conn)?;
        let mut opt_outs = conn.prepare(
            "SELECT a.kind, a.value, c.opted_out_at, c.marketing_only
             FROM contacts AS c JOIN addresses AS a ON a.contact_seq = c.seq
             WHERE c.opted_out_at IS NOT NULL AND a.retired_at IS NULL",
        )?;
        let opt_outs = opt_outs
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut tombstones = conn.prepare("SELECT kind, hash, erased_at FROM erased")?;
        let tombstones = tombstones
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut revoked = conn.prepare("SELECT id, revoked_at FROM tokens WHERE revoked_at IS NOT NULL")?;
        let revoked = revoked.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        let key = ErasureKey::find(&conn)?;
        rows_of_checkpoint(&conn, "TRUNCATE")?;
        Ok(Self { opt_outs, tombstones, key, revoked })
    }
}

/// Takes over into a copy what the old file has and the copy lacks, and ends its log-ins.
fn complete(tx: &Tx<'_>, old: &Old) -> Result<Option<std::result::Result<Carried, String>>> {
    tx.execute("DELETE FROM logins", [])?;
    let known = match old {
        Old::Missing => return Ok(None),
        Old::Unreadable(why) => return Ok(Some(Err(why.clone()))),
        Old::Known(known) => known,
    };
    let mut carried = Carried::default();
    for (id, at) in &known.revoked {
        let changed = tx.execute("UPDATE tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL", (id, at))?;
        carried.revoked += changed;
    }
    // With another key the hashes of one database mean nothing in the other.
    let key = match known.key {
        Some(key) => Some(key.keep(tx, Timestamp::from_millis(0))?).filter(|kept| *kept == key),
        None => None,
    };
    if key.is_some() {
        for (kind, hash, at) in &known.tombstones {
            let added = tx.execute(
                "INSERT INTO erased (kind, hash, erased_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                (kind, hash, at),
            )?;
            carried.opt_outs += if kind == "opt_out" { added } else { 0 };
        }
    }
    for (kind, value, at, is_of_marketing) in &known.opt_outs {
        carried.opt_outs += usize::from(carry_opt_out(tx, (kind, value), *at, *is_of_marketing)?);
    }
    Ok(Some(Ok(carried)))
}

/// Opts the owner of an address out. Returns whether that changed anything.
fn carry_opt_out(tx: &Tx<'_>, address: (&str, &str), at: Timestamp, is_of_marketing: bool) -> Result<bool> {
    let owner = tx
        .query_row(
            "SELECT c.seq, c.opted_out_at IS NOT NULL AND (c.marketing_only = 0 OR ?3)
             FROM addresses AS a JOIN contacts AS c ON c.seq = a.contact_seq
             WHERE a.kind = ?1 AND a.value = ?2 AND a.retired_at IS NULL",
            (address.0, address.1, is_of_marketing),
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)),
        )
        .optional()?;
    match owner {
        Some((_, true)) => Ok(false),
        Some((seq, false)) => {
            tx.execute(
                "UPDATE contacts SET opted_out_at = ?2, marketing_only = ?3 WHERE seq = ?1",
                (seq, at, is_of_marketing),
            )?;
            Ok(true)
        }
        // The channel itself keeps those from marketing who do not want it.
        None if is_of_marketing => Ok(false),
        // Known to the copy by nothing: a tombstone keeps a trigger from opting the person in.
        None => {
            let key = key_of(tx, at)?;
            let tombstone = Tombstone::OptOut(address.0, address.1);
            let is_new = tombstones::find(tx, &key, tombstone)?.is_none();
            tombstones::insert(tx, &key, tombstone, at)?;
            Ok(is_new)
        }
    }
}

/// The key of the copy's tombstones, made if it has none.
fn key_of(tx: &Tx<'_>, at: Timestamp) -> Result<ErasureKey> {
    if let Some(key) = ErasureKey::find(tx)? {
        return Ok(key);
    }
    let mut random = [0; 32];
    getrandom::fill(&mut random)
        .map_err(|error| Error::internal("The system gives no random bytes").caused_by(error.to_string()))?;
    ErasureKey::of(random).keep(tx, at)
}
