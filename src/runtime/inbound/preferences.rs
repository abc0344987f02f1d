//! Wishes that people express to the channel itself: to get no marketing, or to get it again.

use std::time::Duration;

use crate::channels::incoming::Preference;
use crate::domain::Reason;
use crate::error::Result;
use crate::runtime::commands::end_sessions::end_sessions;
use crate::runtime::job::access::Access;
use crate::runtime::job::{Deferred, Job};
use crate::runtime::{Command, Runtime};
use crate::store::{WriteClass, contacts};

/// How far the channel's clock may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(300);

/// A [`Preference`] as one job.
///
/// It has the same effect as a refusal because of it, and only the person can undo it: by another preference, or by a
/// word that opts in. It does not change an opt-out by a word. For an unknown person a contact is made, so that a later
/// trigger for that number finds the wish.
#[derive(Debug, Clone)]
struct Prefer {
    preference: Preference,
    access: Access,
}

impl Command for Prefer {
    /// The row of the contact, if there are more sessions to end than one job ends.
    type Outcome = Option<i64>;

    fn class(&self) -> WriteClass {
        if self.preference.wants_marketing { WriteClass::Ongoing } else { WriteClass::Essential }
    }

    fn run(&self, job: &Job<'_>) -> Result<Option<i64>, Deferred> {
        let Preference { from, wants_marketing, at } = &self.preference;
        let contact = job.identify(&from.addresses, from.name.as_deref(), job.channel(), self.access)?;
        // Deliveries come in any order and more than once; a clock that is far ahead must not outlast a later wish.
        let at = at.filter(|at| *at <= job.now().plus(AHEAD)).unwrap_or(job.now());
        if !wants_marketing && self.access.is_full() {
            // Everything that may defer the job comes first: after the note below a second run would take the
            // preference for a known one.
            job.running(&contact, usize::MAX, true)?;
        }
        if !contacts::note_marketing_choice(job.tx(), contact.seq, at)? {
            return Ok(None);
        }
        if *wants_marketing {
            if contact.contact.marketing_only {
                job.opt_in_silently(&contact)?;
            }
            return Ok(None);
        }
        let is_ending = job.opt_out_of_marketing(&contact, self.access)?;
        Ok(is_ending.then_some(contact.seq))
    }
}

impl Runtime {
    /// Takes a wish that a person has expressed to the channel.
    ///
    /// # Errors
    /// As [`Runtime::handle`]. Nothing is lost by telling it again.
    pub(in crate::runtime) async fn take_preference(&self, preference: Preference) -> Result<()> {
        let prefer = |access| Prefer { preference: preference.clone(), access };
        let log = |error: &_| tracing::error!(%error, "somebody opts out of marketing, and sessions are just marked");
        match self.handle_degraded(prefer, log).await? {
            Some(contact_seq) => end_sessions(self, contact_seq, Reason::OptedOut).await,
            None => Ok(()),
        }
    }
}
