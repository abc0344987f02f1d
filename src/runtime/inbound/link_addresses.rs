//! Addresses that a delivery shows together without a message of the person, as statuses do.

use crate::channels::incoming::Sender;
use crate::domain::AddressKey;
use crate::error::Result;
use crate::runtime::job::access::Access;
use crate::runtime::job::{Deferred, Job};
use crate::runtime::{Command, Runtime};
use crate::store::addresses;

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
