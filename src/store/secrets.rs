//! What the server keeps to itself: keys and hashes that no list, export or answer shows.

use rusqlite::OptionalExtension;

use super::{Conn, Tx};
use crate::domain::Timestamp;
use crate::error::Result;

/// The value of a secret, if it was ever set.
pub fn get(conn: &Conn, name: &str) -> Result<Option<String>> {
    let mut statement = conn.prepare_cached("SELECT value FROM secrets WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

/// Sets a secret, whether or not it was set before.
pub fn set(tx: &Tx<'_>, name: &str, value: &str, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO secrets (name, value, updated_at) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
    )?
    .execute((name, value, now))?;
    Ok(())
}

/// Deletes a secret. Returns whether there was one.
pub fn remove(tx: &Tx<'_>, name: &str) -> Result<bool> {
    Ok(tx.prepare_cached("DELETE FROM secrets WHERE name = ?1")?.execute([name])? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[test]
    fn a_secret_stands_until_it_is_removed() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        assert_eq!(get(&tx, "admin_password").unwrap(), None);
        for value in ["first", "second"] {
            set(&tx, "admin_password", value, testing::now()).unwrap();
            assert_eq!(get(&tx, "admin_password").unwrap().as_deref(), Some(value));
        }
        assert!(remove(&tx, "admin_password").unwrap());
        assert!(!remove(&tx, "admin_password").unwrap());
        assert_eq!(get(&tx, "admin_password").unwrap(), None);
    }
}
