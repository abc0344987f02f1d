//! Words that opt out or in, on their way.

use super::Route;
use crate::domain::Holder;
use crate::domain::consent::{Wish, Word};
use crate::runtime::job::consent::Ending;
use crate::runtime::job::{Job, LoadedSession};
use crate::store::contacts::StoredContact;

/// A word by which a person opts out or in, unless it is the answer that a session waits for.
#[derive(Clone, Copy)]
pub(super) struct Consent<'a> {
    pub(super) wish: Wish,
    pub(super) word: Word<'a>,
}

impl<'a> Consent<'a> {
    /// The word that a typed text is. Words that opt in are heard from who has opted out.
    pub(super) fn of(job: &'a Job<'_>, text: &str, contact: &StoredContact) -> Option<Self> {
        let find = |wish| job.shared().consent.find(wish, text).map(|word| Self { wish, word });
        find(Wish::OptOut).or_else(|| find(Wish::OptIn).filter(|_| contact.contact.opted_out_at.is_some()))
    }

    /// Whether it may be an answer to another holder of the conversation, who may have asked anything. Who has opted
    /// out is asked nothing.
    pub(super) fn may_answer(&self, holder: Option<Holder>) -> bool {
        self.wish == Wish::OptOut && holder.is_some()
    }

    pub(super) fn route(self, sessions: Vec<LoadedSession>) -> Route {
        let language = self.word.language.map(str::to_owned);
        match self.wish {
            Wish::OptOut => Route::OptOut(language, Ending::InOrder(sessions)),
            Wish::OptIn => Route::OptIn(language),
        }
    }
}
