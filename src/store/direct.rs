//! How commands on the command line use a database, whether or not a server runs on it.

use std::path::Path;

use rusqlite::{OpenFlags, Transaction, TransactionBehavior};

use super::file::Recorded;
use super::lock::Ending;
use super::schema::{self, State};
use super::tx::Shared;
use super::{Conn, Tx, file};
use crate::error::{Error, Result};

/// A connection of a command's own. It takes turns with the server's writer through SQLite's own lock, and every write
/// raises the generation, so that the server learns that its caches are old.
pub struct Direct {
    conn: Conn,
}

impl Direct {
    /// Opens a database that a server made.
    ///
    /// # Errors
    /// `NotFound` when there is no file; `Conflict` when it is not ours, or not of this program's version.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(Error::not_found(format!(
                "There is no database at {}: `qyvo serve` creates one",
                path.display()
            )));
        }
        file::check_before_command(path, Recorded::of(path))?;
        if let Some(ending) = Ending::of(path).filter(|ending| ending.is_damage) {
            file::check_after_damage(path, &ending.told, file::Begin::default())?;
        }
        let conn = Conn::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        conn.raw().busy_timeout(super::COMMAND_BUSY_TIMEOUT)?;
        match schema::CURRENT.inspect(&conn).map_err(|error| super::about(path, error))? {
            State::Current => {}
            State::Empty => {
                return Err(Error::conflict(format!("{} is empty: `qyvo serve` fills it", path.display())));
            }
            State::Older(version) => {
                return Err(Error::conflict(format!(
                    "{} has schema version {version} and this program needs {}: start `qyvo serve` of this version \
                     on it once",
                    path.display(),
                    schema::CURRENT.version()
                )));
            }
        }
        super::set_up(&conn, crate::domain::Synchronous::Full)?;
        Ok(Self { conn })
    }

    /// Writes in one transaction, together with the new generation.
    ///
    /// # Errors
    /// Those of `job`, after which nothing was written; `Unavailable` when the server writes for longer than a command
    /// waits.
    pub fn write<T>(&mut self, job: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        let transaction = Transaction::new_unchecked(self.conn.raw(), TransactionBehavior::Immediate)?;
        let tx = Tx::new(&self.conn);
        let value = job(&tx)?;
        let mut shared = Shared::default();
        shared.add(tx);
        shared.write(&self.conn)?;
        self.conn.execute("UPDATE generation SET value = value + 1", [])?;
        transaction.commit()?;
        Ok(value)
    }

    /// Reads.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn read<T>(&self, f: impl FnOnce(&Conn) -> Result<T>) -> Result<T> {
        f(&self.conn)
    }

    /// Whether the disk has room for something new: so many bytes, and as many as the write-ahead log has.
    ///
    /// # Errors
    /// When the free space cannot be read from the file system.
    pub fn has_room(&self, min_free: u64) -> Result<bool> {
        let path = Path::new(self.conn.raw().path().unwrap_or_default());
        Ok(super::free_bytes(path)? >= min_free.saturating_add(file::length(&file::log_of(path))))
    }

    /// Everything that is wrong with the file, a sentence each: damaged pages and indexes, rows that refer to nothing,
    /// a schema that is not the program's. Reads the whole file.
    ///
    /// # Errors
    /// When the file is too damaged to be read at all.
    pub fn check(&self) -> Result<Vec<String>> {
        let mut problems = schema::CURRENT.differences(&self.conn)?;
        let mut statement = self.conn.prepare("PRAGMA integrity_check")?;
        for line in statement.query_map([], |row| row.get::<_, String>(0))? {
            let line = line?;
            if line != "ok" {
                problems.push(format!("Integrity: {line}."));
            }
        }
        let mut statement = self.conn.prepare("PRAGMA foreign_key_check")?;
        let orphans = statement.query_map([], |row| {
            let (table, row_id, parent) =
                (row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, String>(2)?);
            let row_id = row_id.map_or_else(String::new, |id| format!(" {id}"));
            Ok(format!("Row{row_id} of {table} refers to a row of {parent} that is not there."))
        })?;
        problems.extend(orphans.collect::<rusqlite::Result<Vec<_>>>()?);
        Ok(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::store::{generation, settings, testing};

    #[test]
    fn writes_beside_a_running_server_and_raises_the_generation() {
        let dir = tempfile::tempdir().unwrap();
        let store = testing::store(&dir);
        let mut direct = Direct::open(&dir.path().join("qyvo.db")).unwrap();
        assert_eq!(store.read(generation).unwrap(), 0);
        direct.write(|tx| settings::set(tx, "from", "\"command\"", testing::now())).unwrap();
        assert_eq!(store.read(generation).unwrap(), 1);
        store.write_blocking(|tx| settings::set(tx, "from", "\"server\"", testing::now())).unwrap();
        assert_eq!(store.read(generation).unwrap(), 1, "the server knows what it wrote itself");
        let seen = direct.read(|conn| settings::get(conn, "from")).unwrap();
        assert_eq!(seen.as_deref(), Some("\"server\""));
    }

    #[test]
    fn a_job_that_fails_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = testing::store(&dir);
        let mut direct = Direct::open(&dir.path().join("qyvo.db")).unwrap();
        let refused = direct.write(|tx| {
            settings::set(tx, "from", "1", testing::now())?;
            Err::<(), _>(Error::invalid("no"))
        });
        assert_eq!(refused.unwrap_err().code(), Code::Invalid);
        assert_eq!(store.read(generation).unwrap(), 0);
        assert_eq!(store.read(|conn| settings::get(conn, "from")).unwrap(), None);
    }

    #[test]
    fn refuses_files_that_no_server_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qyvo.db");
        assert_eq!(Direct::open(&path).err().unwrap().code(), Code::NotFound);
        assert!(!path.exists(), "a command creates no database");
        std::fs::write(&path, "").unwrap();
        assert!(Direct::open(&path).err().unwrap().message().contains("is empty"));
        std::fs::write(&path, "name,phone\n".repeat(200)).unwrap();
        let text = Direct::open(&path).err().unwrap();
        assert!(text.message().contains("not an SQLite database"), "{text}");
        std::fs::remove_file(&path).unwrap();
        Conn::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(Direct::open(&path).err().unwrap().message().contains("another program"));
    }

    #[test]
    fn check_finds_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qyvo.db");
        testing::store(&dir).close();
        let direct = Direct::open(&path).unwrap();
        assert_eq!(direct.check().unwrap(), Vec::<String>::new());
        direct
            .conn
            .execute_batch(
                "PRAGMA foreign_keys = OFF; DROP INDEX sessions_due;
                 INSERT INTO turns VALUES (7, 99, 1, 0, '{}', '[]')",
            )
            .unwrap();
        assert_eq!(
            direct.check().unwrap(),
            ["The index sessions_due is missing.", "Row 7 of turns refers to a row of sessions that is not there."]
        );
    }
}
