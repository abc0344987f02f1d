//! Settings that the admin page edits, as JSON texts.

use rusqlite::OptionalExtension;

use super::{Conn, Tx};
use crate::domain::Timestamp;
use crate::error::Result;

/// The JSON text of a setting, if it was ever set.
///
/// # Errors
/// When the database cannot be read.
pub fn get(conn: &Conn, key: &str) -> Result<Option<String>> {
    let mut statement = conn.prepare_cached("SELECT value FROM settings WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

/// Sets a setting to a JSON text.
///
/// # Errors
/// When the database refuses.
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
    use super::super::testing;
    use super::*;

    #[test]
    fn the_last_value_stands() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        assert_eq!(get(&tx, "account").unwrap(), None);
        for value in ["1", "{\"name\":\"Shop\"}"] {
            set(&tx, "account", value, testing::now()).unwrap();
            assert_eq!(get(&tx, "account").unwrap().as_deref(), Some(value));
        }
    }
}
