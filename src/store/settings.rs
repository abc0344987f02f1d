//! Settings that the admin page edits, as JSON texts.

use rusqlite::OptionalExtension;

use super::{Conn, Tx};
use crate::domain::Timestamp;
use crate::error::Result;

/// The JSON text of a setting, if it was ever set.
pub fn get(conn: &Conn, key: &str) -> Result<Option<String>> {
    let mut statement = conn.prepare_cached("SELECT value FROM settings WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

/// All settings with their JSON texts, by key.
pub fn all(conn: &Conn) -> Result<Vec<(String, String)>> {
    let mut statement = conn.prepare_cached("SELECT key, value FROM settings ORDER BY key")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Forgets a setting.
pub fn remove(tx: &Tx<'_>, key: &str) -> Result<()> {
    tx.prepare_cached("DELETE FROM settings WHERE key = ?1")?.execute([key])?;
    Ok(())
}

/// Sets a setting to a JSON text.
pub fn set(tx: &Tx<'_>, key: &str, json: &str, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO settings (key, value, updated_at) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
    )?
    .execute((key, json, now))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[test]
    fn the_last_value_stands() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        assert_eq!(get(&tx, "account").unwrap(), None);
        for value in ["1", "{\"name\":\"Shop\"}"] {
            set(&tx, "account", value, testing::now()).unwrap();
            assert_eq!(get(&tx, "account").unwrap().as_deref(), Some(value));
        }
        set(&tx, "a", "2", testing::now()).unwrap();
        assert_eq!(all(&tx).unwrap()[0], ("a".to_owned(), "2".to_owned()));
        remove(&tx, "account").unwrap();
        assert_eq!((get(&tx, "account").unwrap(), all(&tx).unwrap().len()), (None, 1));
    }
}
