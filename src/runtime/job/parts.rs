//! Texts in several messages: the later ones go out only if those before them do, and not beside a template that stands
//! for all of them.
//!
//! The parts stand one behind the other in their lane, in rows that follow each other, and each names the first.

use super::Job;
use crate::domain::{Reach, Reason};
use crate::error::Result;
use crate::store::outbox::{self, OutboxRow, PartsIn};

impl Job<'_> {
    /// Drops the queued parts after one whose template goes out.
    pub(in crate::runtime) fn drop_parts_of_template(&self, row: &OutboxRow) -> Result<()> {
        self.drop_later_parts(row, Reason::SentAsTemplate)
    }

    /// Drops the queued parts after one that has failed.
    pub(in crate::runtime) fn drop_parts_of_failed(&self, row: &OutboxRow, reason: &str) -> Result<()> {
        let of_later = match Reason::parse(reason).map(|reason| (reason, reason.reach())) {
            Some((reason, Reach::Text | Reach::Conversation)) => reason,
            Some((_, Reach::Message)) | None => Reason::EarlierPartFailed,
        };
        self.drop_later_parts(row, of_later)
    }

    /// The parts after one that were dropped with it, and go out again with it.
    pub(in crate::runtime) fn parts_to_retry(&self, row: &OutboxRow) -> Result<Vec<OutboxRow>> {
        let dropped = [Reason::SentAsTemplate, Reason::EarlierPartFailed].map(Reason::as_str);
        self.later_parts(row, PartsIn::Dropped(&dropped))
    }

    fn drop_later_parts(&self, row: &OutboxRow, reason: Reason) -> Result<()> {
        let later = self.later_parts(row, PartsIn::Queue)?;
        for part in &later {
            outbox::fail(self.tx(), part.seq, reason.as_str(), None, self.now())?;
        }
        self.publish_dropped(&later, reason)
    }

    fn later_parts(&self, row: &OutboxRow, which: PartsIn<'_>) -> Result<Vec<OutboxRow>> {
        let Some(part) = row.body.part().filter(|part| part.number < part.of) else { return Ok(Vec::new()) };
        let mut later = outbox::behind(self.tx(), row, part.of - part.number, which)?;
        later.retain(|one| one.body.part().is_some_and(|other| other.first == part.first));
        Ok(later)
    }
}
