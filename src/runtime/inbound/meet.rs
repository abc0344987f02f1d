//! Addresses that a delivery shows together without a message of the person, as statuses do.

use super::super::job::{Hold, Job};
use super::super::sweeper::read;
use super::super::{Command, Runtime};
use super::identity::addresses_of;
use crate::channels::incoming::Sender;
use crate::domain::AddressKey;
use crate::error::{Code, Result};
use crate::store::addresses;

/// Makes addresses lead to one contact, if any of them leads to one. The outcome is whether there was one.
#[derive(Debug, Clone)]
struct Meet {
    shown: Vec<AddressKey>,
    /// No session is read, for when one of them cannot be.
    is_blind: bool,
}

impl Command for Meet {
    type Outcome = bool;

    fn run(&self, job: &Job<'_>) -> Result<bool, Hold> {
        // Of nobody who is unknown here a contact is made: they have said nothing.
        if job.owners(&self.shown)?.is_empty() {
            return Ok(false);
        }
        job.identify(&self.shown, None, job.channel(), self.is_blind)?;
        Ok(true)
    }
}

impl Runtime {
    /// Takes note that somebody has these addresses, which may make one contact of two.
    ///
    /// # Errors
    /// As [`Runtime::handle`].
    pub(in crate::runtime) async fn meet(&self, person: &Sender) -> Result<()> {
        let shown = addresses_of(person);
        if shown.len() < 2 {
            return Ok(());
        }
        let asked = shown.clone();
        let owners =
            move |conn: &_| asked.iter().map(|address| addresses::owner(conn, address)).collect::<Result<Vec<_>>>();
        // Mostly there is nothing new, and a look costs less than a job.
        let owners = read(self, owners).await?;
        if owners[0].is_some() && owners.iter().all(|owner| *owner == owners[0]) {
            return Ok(());
        }
        match self.handle(Meet { shown: shown.clone(), is_blind: false }).await {
            Err(error) if error.code() == Code::Internal => {
                tracing::error!(%error, "two contacts could not be made one in good order");
                self.handle(Meet { shown, is_blind: true }).await.map(|_| ())
            }
            other => other.map(|_| ()),
        }
    }
}
