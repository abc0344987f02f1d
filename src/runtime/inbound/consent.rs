//! Opting out and in by a word.
//!
//! A person who opts out gets one confirmation and then nothing: all of the person's sessions end, and what is queued
//! for them is dropped. Only the confirmation is sent to an opted-out contact; its origin allows it.

use crate::domain::consent::Wish;
use crate::domain::{Origin, Reason};
use crate::error::Result;
use crate::runtime::job::consent::Ending;
use crate::runtime::job::{Deferred, Job};
use crate::store::contacts::StoredContact;
use crate::store::outbox;

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

    /// Opts a person in again. `language` as in [`Job::opt_out`].
    pub(super) fn opt_in(&self, contact: &StoredContact, language: Option<Option<&str>>) -> Result<(), Deferred> {
        self.opt_in_silently(contact)?;
        if let Some(language) = language {
            self.confirm(Wish::OptIn, contact, language)?;
        }
        Ok(())
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
}
