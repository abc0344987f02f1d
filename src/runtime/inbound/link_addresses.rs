//! Addresses that a delivery shows together without a message of the person, as statuses do.

use crate::channels::incoming::Sender;
use crate::domain::AddressKey;
use crate::error::{Error, Result};
use crate::runtime::inbound::identity::are_two_people;
use crate::runtime::job::access::Access;
use crate::runtime::job::{Deferred, Job};
use crate::runtime::{Command, Runtime};
use crate::store::addresses;
use crate::store::outbox::{self, OutboxRow};

/// Makes addresses lead to one contact, if any of them leads to one. The outcome is whether there was one.
#[derive(Debug, Clone)]
struct LinkAddresses {
    shown: Vec<AddressKey>,
    access: Access,
}

impl Command for LinkAddresses {
    type Outcome = bool;

    fn run(&self, job: &Job<'_>) -> Result<bool, Deferred> {
        // A status never creates a contact: the person has written nothing.
        if job.owners(&self.shown)?.is_empty() {
            return Ok(false);
        }
        job.identify(&self.shown, None, job.channel(), self.access)?;
        Ok(true)
    }
}

impl Job<'_> {
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

impl Runtime {
    /// Records that these addresses belong to one person, which may merge two contacts.
    ///
    /// # Errors
    /// As [`Runtime::handle`].
    pub(in crate::runtime) async fn link_addresses(&self, person: &Sender) -> Result<()> {
        let shown = person.addresses.clone();
        if shown.len() < 2 {
            return Ok(());
        }
        let asked = shown.clone();
        let owners =
            move |conn: &_| asked.iter().map(|address| addresses::owner(conn, address)).collect::<Result<Vec<_>>>();
        // Mostly there is nothing new, and a look costs less than a job.
        let owners = self.store().query_vital(owners).await?;
        if owners[0].is_some() && owners.iter().all(|owner| *owner == owners[0]) {
            return Ok(());
        }
        let log = |error: &_| tracing::error!(%error, "two contacts could not be made one in good order");
        self.handle_degraded(|access| LinkAddresses { shown: shown.clone(), access }, log).await.map(drop)
    }
}
