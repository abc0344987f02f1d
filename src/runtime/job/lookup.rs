//! Looking contacts up: by the id or the number that a request names, and whether the owner of an address that belongs
//! to no contact had opted out.

use uuid::Builder;

use super::Job;
use crate::channels::capabilities::address_kinds;
use crate::domain::{AddressKey, ContactId, MessageId, Phone};
use crate::error::Result;
use crate::store::contacts::{self, StoredContact};
use crate::store::erasure::REDELIVERY;
use crate::store::tombstones::{self, ErasureKey, Tombstone};
use crate::store::{Conn, addresses};

/// Which contact a request names.
#[derive(Debug, Clone)]
pub enum ContactRef {
    /// An existing contact.
    Id(ContactId),
    /// A phone number, known or not.
    Phone(Phone),
    /// Both, which must be the same person.
    Both(ContactId, Phone),
}

/// The contact that a reference leads to.
#[expect(clippy::large_enum_variant, reason = "one lives for the length of a job")]
#[derive(Debug)]
pub enum Resolved {
    /// A contact in the database.
    Known(StoredContact),
    /// A phone number that belongs to no contact.
    New(Phone),
    /// No contact has that id.
    Unknown,
    /// The id and the number are two different people.
    Mismatch,
}

/// Looks a contact up, the same way for reads and for commands: a number in another notation leads to its owner, too.
///
/// # Errors
/// When the database cannot be read.
pub fn find_contact(conn: &Conn, contact_ref: &ContactRef) -> Result<Resolved> {
    let by_id = |id: &ContactId| contacts::find_by_id(conn, *id);
    Ok(match contact_ref {
        ContactRef::Id(id) => by_id(id)?.map_or(Resolved::Unknown, Resolved::Known),
        ContactRef::Phone(phone) => {
            find_by_phone(conn, phone)?.map_or_else(|| Resolved::New(phone.clone()), Resolved::Known)
        }
        ContactRef::Both(id, phone) => match (by_id(id)?, find_by_phone(conn, phone)?) {
            (None, _) => Resolved::Unknown,
            (Some(one), Some(other)) if one.seq == other.seq => Resolved::Known(one),
            (Some(_), _) => Resolved::Mismatch,
        },
    })
}

/// The contact that a phone number leads to, however its country's numbers are written.
pub(in crate::runtime) fn find_by_phone(conn: &Conn, phone: &Phone) -> Result<Option<StoredContact>> {
    if let Some(found) = contacts::find_by_phone(conn, phone)? {
        return Ok(Some(found));
    }
    // The number itself was just looked for.
    for candidate in AddressKey::of_phone(phone).forms(address_kinds()).into_iter().skip(1) {
        if let Some(seq) = addresses::owner(conn, &candidate)? {
            return contacts::find_by_seq(conn, seq);
        }
    }
    Ok(None)
}

/// Whether the owner of an address that belongs to no contact had opted out and was erased.
pub(in crate::runtime) fn had_opted_out(conn: &Conn, key: &ErasureKey, address: &AddressKey) -> Result<bool> {
    for candidate in address.forms_ever_kept(address_kinds()) {
        let tombstone = Tombstone::OptOut(candidate.kind.as_str(), &candidate.value);
        if tombstones::find(conn, key, tombstone)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Job<'_> {
    /// Which contact a request names.
    pub(in crate::runtime) fn find(&self, contact_ref: &ContactRef) -> Result<Resolved> {
        find_contact(self.tx, contact_ref)
    }

    /// The contact that a phone number leads to, however its country's numbers are written.
    pub(in crate::runtime) fn find_by_phone(&self, phone: &Phone) -> Result<Option<StoredContact>> {
        find_by_phone(self.tx(), phone)
    }

    /// Whether the owner of an address that belongs to no contact had opted out and was erased.
    pub(in crate::runtime) fn had_opted_out(&self, address: &AddressKey) -> Result<bool> {
        let Some(key) = self.erasure_key()? else { return Ok(false) };
        had_opted_out(self.tx(), &key, address)
    }

    /// Whether a message was delivered before and then erased with the person who wrote it. Returns an id for it,
    /// always the same. Only an unknown contact, or one that is newer than the oldest remembered message, can have been
    /// erased.
    pub(in crate::runtime) fn erased_message(
        &self,
        channel: &str,
        (sender, provider_id): (&str, &str),
        known: Option<&StoredContact>,
    ) -> Result<Option<MessageId>> {
        if known.is_some_and(|known| known.created_at.plus(REDELIVERY) < self.now()) {
            return Ok(None);
        }
        let Some(key) = self.erasure_key()? else { return Ok(None) };
        let mut hash = tombstones::find(self.tx(), &key, Tombstone::of_message(channel, sender, provider_id))?;
        if hash.is_none() && !sender.is_empty() {
            // Tombstones from before version 5 do not record the sender that a message id belongs to.
            hash = tombstones::find(self.tx(), &key, Tombstone::Inbound(channel, provider_id))?;
        }
        Ok(hash
            .and_then(|hash| hash.first_chunk().copied())
            .map(|start| MessageId(Builder::from_custom_bytes(start).into_uuid())))
    }

    /// The key of the hashes; `None` until the first erasure.
    pub(in crate::runtime) fn erasure_key(&self) -> Result<Option<ErasureKey>> {
        if let Some(key) = self.shared().erasure_key.get() {
            return Ok(Some(*key));
        }
        // Not kept in memory from here: this transaction may yet be rolled back, with a key that it made.
        ErasureKey::find(self.tx())
    }
}
