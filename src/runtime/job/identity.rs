//! The sender of a message: addresses that a delivery shows together are one person's.
//!
//! An address is looked up as it was sent, then in the other notation of the same number, then as the numbers of some
//! countries are written elsewhere. What was sent is kept and never rewritten, and no number is asked whether it could
//! exist: WhatsApp delivers numbers that numbering plans call impossible.

use serde_json::Value;
use uuid::Uuid;

use super::access::Access;
use super::consent::Ending;
use super::{Deferred, Job};
use crate::channels::capabilities::address_kinds;
use crate::domain::profile::{NAME_CHARS, clean_name};
use crate::domain::{AddressKey, AddressKind, Contact, ContactId, Phone};
use crate::error::{Error, Result};
use crate::store::contacts::{self, StoredContact};
use crate::store::outbox::{self, OutboxRow};
use crate::store::{addresses, merge};

impl Job<'_> {
    /// The one contact that those of these addresses that are known lead to; `None` if they lead to several contacts,
    /// or none is known.
    pub(in crate::runtime) fn only_owner(&self, shown: &[AddressKey]) -> Result<Option<StoredContact>> {
        match self.owners(shown)?.as_slice() {
            [only] => contacts::find_by_seq(self.tx(), *only),
            _ => Ok(None),
        }
    }

    /// The contact that a sender is: found, or made one of several that turn out to be the same, or created. Every
    /// address that the sender shows leads to it from now on; a name fills an empty one only.
    pub(in crate::runtime) fn identify(
        &self,
        shown: &[AddressKey],
        name: Option<&str>,
        source: &str,
        access: Access,
    ) -> Result<StoredContact, Deferred> {
        let name = name.map(tidy_name).filter(|name| !name.is_empty());
        let seq = match self.owners(shown)?.first() {
            Some(first) if self.all_lead_to(*first, shown)? => *first,
            Some(first) => self.gather(*first, shown, access)?,
            None => self.add_contact(shown, name.as_deref(), source)?,
        };
        let mut stored = self.contact(seq)?;
        if stored.contact.name.is_none() && name.is_some() {
            let named = Contact { name, ..stored.contact.clone() };
            contacts::update(self.tx(), seq, &named, &stored.contact, self.now())?;
            stored.contact = named;
        }
        Ok(stored)
    }

    /// The person has a new number or a new id: it leads to the contact, and what it replaces leads to no contact.
    pub(in crate::runtime) fn change_addresses(
        &self,
        contact: &StoredContact,
        left: &[AddressKey],
        payload: Option<&Value>,
        access: Access,
    ) -> Result<(), Deferred> {
        let channel = self.shared().options.channel.kind();
        let new = payload.map_or_else(Vec::new, |payload| channel.new_addresses(payload));
        if new.is_empty() {
            return Ok(());
        }
        // A person's id changes with the number (Meta's documentation of business-scoped ids). It may also change
        // alone.
        let mut old = Vec::new();
        for kind in channel.address_kinds().iter().filter(|kind| kind.is_id()) {
            old.extend(addresses::of_contact(self.tx(), contact.seq, *kind)?);
        }
        if new.iter().any(|address| !address.kind.is_id()) {
            old.extend(left.iter().flat_map(|address| address.forms(address_kinds())));
        }
        for address in old.iter().filter(|address| !new.contains(address)) {
            addresses::retire(self.tx(), contact.seq, address, self.now())?;
        }
        // That the contact has no id left is no evidence about the former owner of the new number.
        self.lead_to(contact.seq, &new, access, |_, theirs| theirs.iter().all(|id| new.contains(id)))?;
        Ok(())
    }

    /// Makes all these addresses lead to one contact, which `seq` is or becomes part of. Returns its row.
    fn gather(&self, mut seq: i64, shown: &[AddressKey], access: Access) -> Result<i64, Deferred> {
        let new_id = shown.iter().find(|address| address.kind.is_id());
        if let Some(new_id) = new_id
            && addresses::owner(self.tx(), new_id)?.is_none()
            && !addresses::of_contact(self.tx(), seq, new_id.kind)?.is_empty()
        {
            // The contact of this number has another id, so the number has changed hands.
            seq = self.add_contact(std::slice::from_ref(new_id), None, self.channel())?;
        }
        self.lead_to(seq, shown, access, |ours, theirs| !are_two_people(ours, theirs))
    }

    /// Makes an address lead to the contact of a row, merging it with the contact that the address led to. Returns the
    /// contact's row after that.
    pub(in crate::runtime) fn reach(&self, seq: i64, address: &AddressKey, access: Access) -> Result<i64, Deferred> {
        self.lead_to(seq, std::slice::from_ref(address), access, |ours, theirs| !are_two_people(ours, theirs))
    }

    /// Makes all these addresses lead to the contact. Another contact that they led to is merged with it if `is_same`
    /// is true of the ids of both, of which there may be none; otherwise only the addresses move. Returns the contact's
    /// row after that.
    fn lead_to(
        &self,
        mut seq: i64,
        shown: &[AddressKey],
        access: Access,
        is_same: impl Fn(&[AddressKey], &[AddressKey]) -> bool,
    ) -> Result<i64, Deferred> {
        for address in shown {
            let Some(owner) = self.owner_of(address)?.filter(|owner| *owner != seq) else { continue };
            if is_same(&self.ids_of(seq)?, &self.ids_of(owner)?) {
                seq = self.merge(seq, owner, access)?;
            } else {
                // Two ids are two people: the number goes with the one who shows it now.
                for candidate in address.forms(address_kinds()) {
                    if addresses::owner(self.tx(), &candidate)? == Some(owner) {
                        merge::move_address(self.tx(), &candidate, seq, self.now())?;
                    }
                }
            }
        }
        if self.inherits_opt_out(seq, shown)? {
            let contact = self.contact(seq)?;
            let ending = match access {
                Access::Full => Ending::InOrder(self.running(&contact, usize::MAX, false)?),
                Access::Degraded => Ending::Unloaded,
            };
            self.opt_out_silently(&contact, ending)?;
        }
        self.add_addresses(seq, shown)?;
        Ok(seq)
    }

    /// Whether one of these addresses, new here, belonged to a person who had opted out and was erased. A contact that
    /// has such an address already and is not opted out has opted in again since.
    fn inherits_opt_out(&self, seq: i64, shown: &[AddressKey]) -> Result<bool> {
        if self.contact(seq)?.contact.is_opted_out() {
            return Ok(false);
        }
        let mut inherits = false;
        for address in shown {
            inherits |= self.owner_of(address)?.is_none() && self.had_opted_out(address)?;
        }
        if !inherits {
            return Ok(false);
        }
        for kind in address_kinds() {
            for address in addresses::of_contact(self.tx(), seq, *kind)? {
                if self.had_opted_out(&address)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Adds what does not lead to the contact yet. A number in a channel's notation is also the phone of who has none.
    fn add_addresses(&self, seq: i64, shown: &[AddressKey]) -> Result<()> {
        for address in shown {
            if addresses::owner(self.tx(), address)? != Some(seq) {
                addresses::add(self.tx(), seq, address, self.now())?;
            }
        }
        let of_channel = shown.iter().filter(|address| address.kind != AddressKind::PHONE);
        let number = of_channel.into_iter().find_map(|address| address.written_as(AddressKind::PHONE));
        if let Some(number) = number.filter(is_phone)
            && addresses::owner(self.tx(), &number)?.is_none()
            && addresses::of_contact(self.tx(), seq, AddressKind::PHONE)?.is_empty()
        {
            addresses::add(self.tx(), seq, &number, self.now())?;
        }
        Ok(())
    }

    /// Inserts a contact of whom only addresses are known, and returns its row. A person who had opted out before being
    /// erased is opted out from the first moment.
    fn add_contact(&self, shown: &[AddressKey], name: Option<&str>, source: &str) -> Result<i64> {
        let mut contact = Contact::new(ContactId(Uuid::now_v7()), None);
        contact.name = name.map(str::to_owned);
        for address in shown {
            if self.had_opted_out(address)? {
                contact.opted_out_at = Some(self.now());
            }
        }
        let seq = contacts::insert(self.tx(), &contact, source, self.now())?;
        self.add_addresses(seq, shown)?;
        Ok(seq)
    }

    /// The contacts that some addresses lead to, each once, in their order.
    pub(in crate::runtime) fn owners(&self, shown: &[AddressKey]) -> Result<Vec<i64>> {
        let mut owners = Vec::new();
        for address in shown {
            if let Some(owner) = self.owner_of(address)?
                && !owners.contains(&owner)
            {
                owners.push(owner);
            }
        }
        Ok(owners)
    }

    /// Whether nothing is new: each of the addresses leads to the contact as it is written.
    fn all_lead_to(&self, seq: i64, shown: &[AddressKey]) -> Result<bool> {
        for address in shown {
            if addresses::owner(self.tx(), address)? != Some(seq) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(in crate::runtime) fn owner_of(&self, address: &AddressKey) -> Result<Option<i64>> {
        for candidate in address.forms(address_kinds()) {
            if let Some(owner) = addresses::owner(self.tx(), &candidate)? {
                return Ok(Some(owner));
            }
        }
        Ok(None)
    }

    /// The ids by which a contact is known, of whichever channel.
    pub(in crate::runtime) fn ids_of(&self, seq: i64) -> Result<Vec<AddressKey>> {
        let mut ids = Vec::new();
        for kind in address_kinds().iter().filter(|kind| kind.is_id()) {
            ids.extend(addresses::of_contact(self.tx(), seq, *kind)?);
        }
        Ok(ids)
    }

    pub(in crate::runtime) fn contact(&self, seq: i64) -> Result<StoredContact> {
        contacts::find_by_seq(self.tx(), seq)?
            .ok_or_else(|| Error::internal(format!("The contact in row {seq} vanished inside a transaction")))
    }

    /// Records the number at which, by the channel's word, a message has reached its contact, and returns the message's
    /// row as it is then. If that number belongs to another contact, both are one person, unless each has an id of its
    /// own. An unknown number is added to the contact if `kept` is set.
    pub(in crate::runtime) fn reached_at(
        &self,
        row: OutboxRow,
        (address, kept): (&AddressKey, bool),
        access: Access,
    ) -> Result<OutboxRow, Deferred> {
        match self.owner_of(address)? {
            None if !kept => return Ok(row),
            Some(owner) if owner == row.contact_seq && !kept => return Ok(row),
            Some(owner)
                if owner != row.contact_seq && are_two_people(&self.ids_of(owner)?, &self.ids_of(row.contact_seq)?) =>
            {
                return Ok(row);
            }
            _ => {}
        }
        // One that is being erased has no address and gets none.
        if outbox::addressee(self.tx(), row.contact_seq)?.is_none_or(|known| known.is_being_erased) {
            return Ok(row);
        }
        let seq = self.reach(row.contact_seq, address, access)?;
        if seq == row.contact_seq {
            return Ok(row);
        }
        let missing = || Error::internal("A message vanished inside a transaction");
        Ok(outbox::find(self.tx(), row.seq)?.ok_or_else(missing)?)
    }
}

/// Whether two contacts, of whom these are the ids, are two people: a channel knows each by an id of its own.
pub(in crate::runtime) fn are_two_people(ids: &[AddressKey], others: &[AddressKey]) -> bool {
    ids.iter().any(|id| others.iter().any(|other| other.kind == id.kind))
}

/// Whether the value has the form of a phone number, so that it can be shown as one.
fn is_phone(address: &AddressKey) -> bool {
    Phone::from_e164(&address.value).is_ok()
}

/// A name as it is kept, and not too long.
fn tidy_name(name: &str) -> String {
    clean_name(name).chars().take(NAME_CHARS).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ids_of_a_channel_are_two_people() {
        let id = |kind, value: &str| AddressKey::new(AddressKind::id(kind), value);
        let (one, other) = ([id("one", "1")], [id("one", "2")]);
        assert!(are_two_people(&one, &other));
        for same in [&[][..], &[id("two", "2")]] {
            assert!(!are_two_people(&one, same) && !are_two_people(same, &one), "{same:?}");
        }
    }

    #[test]
    fn names_are_kept_on_one_line() {
        assert_eq!(tidy_name(" Ana\nMaria\u{0} "), "Ana Maria");
        assert_eq!(tidy_name(&"x".repeat(300)).len(), 255);
        assert_eq!(tidy_name(" \t"), "");
    }
}
