//! Addresses: each leads to one contact, or to none once its contact has left it.

use rusqlite::OptionalExtension;
use rusqlite::types::{ToSql, ToSqlOutput};

use super::{Conn, Tx, search_queue};
use crate::domain::{AddressKey, AddressKind, Timestamp};
use crate::error::{Error, Result};

impl ToSql for AddressKind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

/// The row of the contact that an address leads to; `None` also for an address that its contact has left.
pub fn owner(conn: &Conn, address: &AddressKey) -> Result<Option<i64>> {
    let mut statement =
        conn.prepare_cached("SELECT contact_seq FROM addresses WHERE kind = ?1 AND value = ?2 AND retired_at IS NULL")?;
    Ok(statement.query_row((address.kind, &address.value), |row| row.get(0)).optional()?)
}

/// Makes an address lead to a contact. One that its contact left is taken over.
///
/// # Errors
/// `Conflict` when it leads to another contact; otherwise when the database refuses.
pub fn add(tx: &Tx<'_>, contact_seq: i64, address: &AddressKey, now: Timestamp) -> Result<()> {
    add_first(tx, contact_seq, address, now)?;
    mark(tx, contact_seq, address)
}

/// [`add`] for a contact that was inserted just now, which the search index lacks anyway.
///
/// # Errors
/// Those of [`add`].
pub(super) fn add_first(tx: &Tx<'_>, contact_seq: i64, address: &AddressKey, now: Timestamp) -> Result<()> {
    let AddressKey { kind, value } = address;
    // Two statements, the second of which is rare: one that could do both keeps a journal of its own for each row.
    let added = tx
        .prepare_cached(
            "INSERT INTO addresses (kind, value, contact_seq, added_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (kind, value) DO NOTHING",
        )?
        .execute((kind, value, contact_seq, now))?;
    if added > 0 {
        return Ok(());
    }
    let taken_over = tx
        .prepare_cached(
            "UPDATE addresses SET contact_seq = ?3, added_at = ?4, retired_at = NULL
             WHERE kind = ?1 AND value = ?2 AND retired_at IS NOT NULL",
        )?
        .execute((kind, value, contact_seq, now))?;
    if taken_over == 0 && owner(tx, address)? != Some(contact_seq) {
        return Err(Error::conflict(format!("{value} is the number of another contact")));
    }
    Ok(())
}

/// Retires an address that the person has left: it leads to no contact from now on.
pub fn retire(tx: &Tx<'_>, contact_seq: i64, address: &AddressKey, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "UPDATE addresses SET retired_at = ?4
         WHERE kind = ?1 AND value = ?2 AND contact_seq = ?3 AND retired_at IS NULL",
    )?
    .execute((address.kind, &address.value, contact_seq, now))?;
    mark(tx, contact_seq, address)
}

/// Phone numbers are what people are searched by; other addresses are not.
fn mark(tx: &Tx<'_>, contact_seq: i64, address: &AddressKey) -> Result<()> {
    if address.kind == AddressKind::PHONE { search_queue::mark(tx, contact_seq) } else { Ok(()) }
}

/// The addresses of a kind that lead to a contact, the newest first.
pub fn of_contact(conn: &Conn, contact_seq: i64, kind: AddressKind) -> Result<Vec<AddressKey>> {
    let mut statement = conn.prepare_cached(
        "SELECT value FROM addresses WHERE contact_seq = ?1 AND kind = ?2 AND retired_at IS NULL
         ORDER BY added_at DESC, value",
    )?;
    let rows = statement.query_map((contact_seq, kind), |row| Ok(AddressKey { kind, value: row.get(0)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Contact;
    use crate::error::Code;
    use crate::store::testing::{self, now};
    use crate::store::{contacts, testing::contact_id};

    #[test]
    fn an_address_leads_to_one_contact_until_it_is_left() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let one = contacts::insert(&tx, &Contact::new(contact_id(1), None), "api", now()).unwrap();
        let two = contacts::insert(&tx, &Contact::new(contact_id(2), None), "api", now()).unwrap();
        let address = AddressKey::new(AddressKind::digits("wa_id"), "14155550123");
        assert_eq!(owner(&tx, &address).unwrap(), None);
        add(&tx, one, &address, now()).unwrap();
        add(&tx, one, &address, now()).unwrap();
        assert_eq!(owner(&tx, &address).unwrap(), Some(one));
        assert_eq!(owner(&tx, &AddressKey { kind: AddressKind::id("bsuid"), ..address.clone() }).unwrap(), None);
        assert_eq!(add(&tx, two, &address, now()).unwrap_err().code(), Code::Conflict);
        retire(&tx, two, &address, now()).unwrap();
        assert_eq!(owner(&tx, &address).unwrap(), Some(one), "only its contact leaves it");
        retire(&tx, one, &address, now()).unwrap();
        assert_eq!(owner(&tx, &address).unwrap(), None);
        let later = now().plus(Duration::from_secs(1));
        add(&tx, two, &address, later).unwrap();
        let newest = AddressKey::new(AddressKind::digits("wa_id"), "14155550124");
        add(&tx, two, &newest, later.plus(Duration::from_secs(1))).unwrap();
        assert_eq!(of_contact(&tx, two, AddressKind::digits("wa_id")).unwrap(), [newest, address]);
        assert_eq!(of_contact(&tx, one, AddressKind::digits("wa_id")).unwrap(), []);
    }
}
