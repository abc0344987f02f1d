//! The list of erased contacts: a file beside the database, so that erasures outlive a restore.
//!
//! A copy of a database that was made before an erasure still has the person. So each erasure is written to this list
//! and synced before it is answered, under a number one above the last, and the database keeps the number up to which
//! it has taken the list in. A database with a lower number is an older copy, however it came to its place: at its next
//! start the contacts of all higher numbers are erased there, too.
//!
//! An entry is a line: its number, then the ids of the contact, those of contacts that were merged into it among them.
//! The list holds nothing else of a person. It is written into room that was taken for it before, so that a disk that
//! is full keeps nobody from being erased.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::file::{self, PRIVATE};
use super::{Conn, Tx};
use crate::domain::ContactId;
use crate::error::{Error, Result};

/// What its name is behind the database's.
const ENDING: &str = "erasures";
/// Bytes of blank lines behind the last entry that the next ones are written over.
const ROOM: usize = 4096;

/// An erasure as the list has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its number; the first is 1.
    pub number: u64,
    /// The contact's id, and those of contacts that were merged into it.
    pub ids: Vec<ContactId>,
}

/// The list of a database, for adding to it.
#[derive(Debug)]
pub struct ErasedList {
    path: PathBuf,
    /// Opened when it is first written to.
    file: Option<File>,
    entries: Vec<Entry>,
    /// Where the next entry goes.
    end: u64,
}

/// Where the list of a database is.
pub fn path_of(database: &Path) -> PathBuf {
    file::beside(database, ENDING)
}

/// Where a folder of backups has its copy of the list of a database.
pub fn copy_in(folder: &Path, database: &Path) -> PathBuf {
    folder.join(path_of(database).file_name().unwrap_or_default())
}

/// Reads a list; empty where there is none. Lines that are no entry are left out, with a warning.
///
/// # Errors
/// When there is one and it cannot be read.
pub fn read(path: &Path) -> Result<Vec<Entry>> {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if file::is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(cannot("read", path, error)),
    };
    let mut entries = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match Entry::parse(line) {
            Some(entry) => entries.push(entry),
            None => tracing::warn!(path = %path.display(), "the list of erased contacts has a line that is no entry"),
        }
    }
    Ok(entries)
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let number = words.next()?.parse().ok()?;
        let ids = words.map(|word| word.parse().ok().map(ContactId)).collect::<Option<Vec<_>>>()?;
        (!ids.is_empty()).then_some(Self { number, ids })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)?;
        self.ids.iter().try_for_each(|id| write!(f, " {id}"))
    }
}

impl ErasedList {
    /// Opens the list of a database, and adds what its copies have besides: those in the folders of backups are all
    /// that is left of it after the disk was lost.
    ///
    /// # Errors
    /// When the list is there and cannot be read, or what its copies have cannot be added.
    pub fn open(database: &Path, copies: &[PathBuf]) -> Result<Self> {
        let path = path_of(database);
        let entries = read(&path)?;
        let bytes = fs::read(&path).unwrap_or_default();
        let end = bytes.iter().rposition(|byte| !byte.is_ascii_whitespace()).map_or(0, |last| last as u64 + 1);
        let mut list = Self { path, file: None, entries, end };
        for copy in copies {
            let mut missing = read(copy)?;
            missing.retain(|entry| !list.entries.contains(entry));
            if !missing.is_empty() {
                tracing::warn!(
                    "{} erasures of {} were not in {} and were added to it",
                    missing.len(),
                    copy.display(),
                    list.path.display()
                );
                missing.into_iter().try_for_each(|entry| list.append(entry))?;
            }
        }
        Ok(list)
    }

    /// The entries above a number, in their order.
    pub fn above(&self, number: u64) -> Vec<Entry> {
        let mut above: Vec<_> = self.entries.iter().filter(|entry| entry.number > number).cloned().collect();
        above.sort();
        above
    }

    /// The number of the next entry, for a database that has taken in those up to `applied`.
    pub fn next_number(&self, applied: u64) -> u64 {
        self.entries.iter().map(|entry| entry.number).max().unwrap_or(0).max(applied) + 1
    }

    /// Adds an entry, and returns once it is on the disk.
    ///
    /// # Errors
    /// When it cannot be written; it may be in the list then, and may not.
    pub fn append(&mut self, entry: Entry) -> Result<()> {
        // A line of its own, also behind one that was not written whole.
        let line = if self.end == 0 { format!("{entry}\n") } else { format!("\n{entry}\n") };
        let (path, end) = (self.path.clone(), self.end);
        let file = self.opened()?;
        let written = file.write_all_at(line.as_bytes(), end).and_then(|()| file.sync_all());
        written.map_err(|error| cannot("write", &path, error))?;
        self.end = end + line.len() as u64 - 1;
        self.entries.push(entry);
        self.take_room();
        Ok(())
    }

    /// Takes the room for the next entries. Without it they are written where there is room.
    pub fn take_room(&mut self) {
        let end = self.end;
        let blank = [b'\n'; ROOM];
        let taken = self.opened().map(|file| {
            let length = file.metadata().map_or(0, |file| file.len());
            let is_short = length < end + ROOM as u64 / 2;
            if is_short { file.write_all_at(&blank, length).and_then(|()| file.sync_all()) } else { Ok(()) }
        });
        if !matches!(taken, Ok(Ok(()))) {
            tracing::warn!(path = %self.path.display(), "no room could be taken for the list of erased contacts");
        }
    }

    fn opened(&mut self) -> Result<&File> {
        if self.file.is_none() {
            let is_new = !self.path.exists();
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(PRIVATE).open(&self.path);
            let file = file.map_err(|error| cannot("write", &self.path, error))?;
            if is_new {
                // Its name has to be on the disk as well.
                let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
                File::open(folder.unwrap_or(Path::new(".")))
                    .and_then(|folder| folder.sync_all())
                    .map_err(|error| cannot("write", &self.path, error))?;
            }
            self.file = Some(file);
        }
        self.file.as_ref().ok_or_else(|| Error::internal("The list of erased contacts is not open"))
    }
}

/// Writes a copy of a list into a folder of backups: to a file aside, synced and renamed. What the copy has besides
/// stays in it.
///
/// # Errors
/// When it cannot be written; the copy that was there stays.
pub fn copy(list: &Path, copy: &Path) -> Result<()> {
    let mut entries = read(list)?;
    // Of another database that shares the folder, perhaps.
    entries.extend(read(copy)?);
    if entries.is_empty() {
        return Ok(());
    }
    entries.sort();
    entries.dedup();
    let text: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
    let aside = copy.with_extension("erasures.partial");
    let write = || -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE).open(&aside)?;
        file.write_all_at(text.as_bytes(), 0)?;
        file.sync_all()?;
        fs::rename(&aside, copy)
    };
    write().map_err(|error| cannot("write", copy, error))
}

/// The number up to which a database has taken the list in.
pub fn applied(conn: &Conn) -> Result<u64> {
    let number: i64 = conn.prepare_cached("SELECT number FROM erased_list")?.query_row([], |row| row.get(0))?;
    Ok(number.unsigned_abs())
}

/// Records that the list is taken in up to a number. A lower one than before changes nothing.
pub fn set_applied(tx: &Tx<'_>, number: u64) -> Result<()> {
    tx.prepare_cached("UPDATE erased_list SET number = max(number, ?1)")?
        .execute([i64::try_from(number).unwrap_or(i64::MAX)])?;
    Ok(())
}

fn cannot(what: &str, path: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("Cannot {what} the list of erased contacts {}", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::testing;

    fn entry(number: u64, ids: &[u128]) -> Entry {
        Entry { number, ids: ids.iter().map(|id| ContactId(Uuid::from_u128(*id))).collect() }
    }

    #[test]
    fn entries_are_there_after_reopening_in_private_and_in_room_that_was_taken_before() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("qyvo.db");
        let mut list = ErasedList::open(&database, &[]).unwrap();
        assert_eq!((list.above(0), list.next_number(0), list.next_number(7)), (Vec::new(), 1, 8));
        list.take_room();
        let path = path_of(&database);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let taken = fs::metadata(&path).unwrap().len();
        let all = [entry(1, &[1]), entry(2, &[2, 3]), entry(3, &[4])];
        all[..2].iter().for_each(|entry| list.append(entry.clone()).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), taken, "they needed no more room");
        let mut list = ErasedList::open(&database, &[]).unwrap();
        list.append(all[2].clone()).unwrap();
        assert_eq!(read(&path).unwrap(), all);
        assert_eq!((list.above(1), list.next_number(1)), (all[1..].to_vec(), 4));
        for number in 4..200 {
            list.append(entry(number, &[number.into()])).unwrap();
        }
        assert_eq!(read(&path).unwrap().len(), 199);
    }

    #[test]
    fn a_line_that_was_not_written_whole_costs_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("qyvo.db");
        let whole = entry(1, &[1]);
        fs::write(path_of(&database), format!("{whole}\n2 0000-")).unwrap();
        let mut list = ErasedList::open(&database, &[]).unwrap();
        assert_eq!(list.above(0), std::slice::from_ref(&whole));
        list.append(entry(2, &[5])).unwrap();
        assert_eq!(ErasedList::open(&database, &[]).unwrap().above(0), [whole, entry(2, &[5])]);
    }

    #[test]
    fn a_copy_brings_back_what_the_list_has_lost_and_keeps_what_others_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("qyvo.db");
        let copy = copy_in(dir.path().join("backups").as_path(), &database);
        fs::create_dir(dir.path().join("backups")).unwrap();
        fs::write(&copy, format!("{}\n", entry(1, &[9]))).unwrap();
        let mut list = ErasedList::open(&database, &[]).unwrap();
        list.append(entry(1, &[1])).unwrap();
        list.append(entry(2, &[2])).unwrap();
        super::copy(&path_of(&database), &copy).unwrap();
        assert_eq!(read(&copy).unwrap(), [entry(1, &[1]), entry(1, &[9]), entry(2, &[2])]);
        fs::remove_file(path_of(&database)).unwrap();
        let list = ErasedList::open(&database, std::slice::from_ref(&copy)).unwrap();
        assert_eq!(list.above(0).len(), 3);
        assert_eq!(read(&path_of(&database)).unwrap().len(), 3, "it is beside the database again");
    }

    #[test]
    fn a_database_knows_how_far_it_has_taken_the_list_in() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        assert_eq!(applied(&tx).unwrap(), 0);
        for (number, then) in [(3, 3), (2, 3), (4, 4)] {
            set_applied(&tx, number).unwrap();
            assert_eq!(applied(&tx).unwrap(), then);
        }
    }
}
