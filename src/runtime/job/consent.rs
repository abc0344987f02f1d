//! Opting out and in: what changes of the contact, the sessions that end, and the event.

use super::{Deferred, Job, LoadedSession};
use crate::domain::{EventKind, Reason};
use crate::error::Result;
use crate::store::contacts::{self, StoredContact};

/// The running sessions of who opts out.
pub(in crate::runtime) enum Ending {
    /// Read, to be ended in good order.
    InOrder(Vec<LoadedSession>),
    /// Only to be marked, with degraded access.
    Unloaded,
}

impl Job<'_> {
    /// Opts a person out without a confirmation: the sessions end, and what is queued is dropped.
    pub(in crate::runtime) fn opt_out_silently(&self, contact: &StoredContact, ending: Ending) -> Result<(), Deferred> {
        let mut opted_out = contact.contact.clone();
        opted_out.opted_out_at = opted_out.opted_out_at.or(Some(self.now()));
        opted_out.marketing_only = false;
        contacts::update(self.tx(), contact.seq, &opted_out, &contact.contact, self.now())?;
        match ending {
            Ending::InOrder(sessions) => self.cancel_all(sessions, Reason::OptedOut)?,
            Ending::Unloaded => while self.cancel_unloaded(contact.seq, Reason::OptedOut)? {},
        }
        self.drop_queued_of(contact.seq, Reason::OptedOut)?;
        if !contact.contact.is_opted_out() {
            self.emit_consent(EventKind::ContactOptedOut, contact.seq)?;
        }
        Ok(())
    }

    /// Opts a person in again without a confirmation.
    pub(in crate::runtime) fn opt_in_silently(&self, contact: &StoredContact) -> Result<()> {
        let mut opted_in = contact.contact.clone();
        (opted_in.opted_out_at, opted_in.marketing_only) = (None, false);
        // The consent from before was taken back: this one is new.
        opted_in.opted_in_at = Some(self.now());
        contacts::update(self.tx(), contact.seq, &opted_in, &contact.contact, self.now())?;
        self.emit_consent(EventKind::ContactOptedIn, contact.seq)
    }

    /// Publishes the event that a contact opted out or in.
    pub(in crate::runtime) fn emit_consent(&self, event: EventKind, contact_seq: i64) -> Result<()> {
        let contact = self.contact(contact_seq)?.contact;
        self.session_ender().emit_consent(event, contact_seq, &contact)
    }
}
