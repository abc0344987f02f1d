//! Opting out and in by a word.
//!
//! A person who opts out gets one confirmation and then nothing: all of the person's sessions end, and what is queued
//! for them is dropped. Only the confirmation is sent to an opted-out contact; its origin allows it.

use crate::domain::consent::Wish;
use crate::domain::{EventKind, Origin, Reason};
use crate::error::Result;
use crate::runtime::job::{Deferred, Job, LoadedSession};
use crate::store::contacts::{self, StoredContact};
use crate::store::outbox;

/// The running sessions of who opts out.
pub(super) enum Ending {
    /// Read, to be ended in good order.
    InOrder(Vec<LoadedSession>),
    /// Only to be marked, with degraded access.
    Unloaded,
}

impl Job<'_> {
    /// Opts a person out. `language` is the word's; without any, not even an unknown one, nothing is confirmed. A
    /// contact who had opted out before gets no second confirmation.
    pub(super) fn opt_out(
        &self,
        contact: &StoredContact,
        language: Option<Option<&str>>,
        ending: Ending,
    ) -> Result<(), Deferred> {
        self.opt_out_silently(contact, ending)?;
        if let (Some(language), false) = (language, contact.contact.is_opted_out()) {
            self.confirm(Wish::OptOut, contact, language)?;
        }
        Ok(())
    }

    /// The same without a confirmation, because the person did not just ask for it.
    pub(super) fn opt_out_silently(&self, contact: &StoredContact, ending: Ending) -> Result<(), Deferred> {
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

    /// Opts a person in again. `language` as in [`Job::opt_out`].
    pub(super) fn opt_in(&self, contact: &StoredContact, language: Option<Option<&str>>) -> Result<(), Deferred> {
        self.opt_in_silently(contact)?;
        if let Some(language) = language {
            self.confirm(Wish::OptIn, contact, language)?;
        }
        Ok(())
    }

    /// The same without a word to the person.
    pub(super) fn opt_in_silently(&self, contact: &StoredContact) -> Result<()> {
        let mut opted_in = contact.contact.clone();
        (opted_in.opted_out_at, opted_in.marketing_only) = (None, false);
        // The consent from before was taken back: this one is new.
        opted_in.opted_in_at = Some(self.now());
        contacts::update(self.tx(), contact.seq, &opted_in, &contact.contact, self.now())?;
        self.emit_consent(EventKind::ContactOptedIn, contact.seq)
    }

    /// Queues the confirmation of a wish. The confirmation of an earlier wish that has not gone out yet is dropped: it
    /// is no longer true.
    fn confirm(&self, wish: Wish, contact: &StoredContact, language: Option<&str>) -> Result<()> {
        let reason = match wish {
            Wish::OptOut => Reason::OptedOut,
            Wish::OptIn => Reason::OptedIn,
        };
        let dropped = outbox::fail_queued_confirmations(self.tx(), contact.seq, reason.as_str(), self.now())?;
        self.publish_dropped(&dropped, reason)?;
        if !self.may_confirm(contact.seq)? {
            return Ok(());
        }
        let languages = [contact.contact.language.as_deref(), language];
        let text = self.shared().consent.confirmation(wish, languages);
        self.enqueue_text(contact, Origin::Consent, &text, None).map(|_| ())
    }

    /// Publishes the event that a contact opted out or in.
    pub(in crate::runtime) fn emit_consent(&self, event: EventKind, contact_seq: i64) -> Result<()> {
        let contact = self.contact(contact_seq)?.contact;
        self.session_ender().emit_consent(event, contact_seq, &contact)
    }
}
