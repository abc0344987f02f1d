//! What was said in several messages: the later ones go out only if those before them do, and not beside a template
//! that stands for all of them.
//!
//! The parts stand one behind the other in their lane, in rows that follow each other, and each names the first.

use super::settle::OPTED_OUT;
use crate::error::Result;
use crate::runtime::job::Job;
use crate::store::outbox::{self, OutboxRow, PartsIn};

/// Why a later part is dropped: the template that went out says all of it.
pub(super) const SENT_AS_TEMPLATE: &str = "sent_as_template";
/// Why: what it goes on from has failed.
const EARLIER_PART_FAILED: &str = "earlier_part_failed";
/// Why a part fails that fails its later ones for the same reason.
const OF_ALL: [&str; 4] = [OPTED_OUT, super::claim::ERASED, super::claim::SESSION_ENDED, super::claim::TOO_OLD];

impl Job<'_> {
    /// Drops the queued parts after one whose template goes out.
    pub(super) fn drop_parts_of_template(&self, row: &OutboxRow) -> Result<()> {
        self.drop_later_parts(row, SENT_AS_TEMPLATE)
    }

    /// Drops the queued parts after one that has failed.
    pub(super) fn drop_parts_of_failed(&self, row: &OutboxRow, reason: &str) -> Result<()> {
        let reason = if OF_ALL.contains(&reason) { reason } else { EARLIER_PART_FAILED };
        self.drop_later_parts(row, reason)
    }

    /// The parts after one that were dropped with it, and go out again with it.
    pub(super) fn parts_to_retry(&self, row: &OutboxRow) -> Result<Vec<OutboxRow>> {
        self.later_parts(row, PartsIn::Dropped(&[SENT_AS_TEMPLATE, EARLIER_PART_FAILED]))
    }

    fn drop_later_parts(&self, row: &OutboxRow, reason: &str) -> Result<()> {
        let later = self.later_parts(row, PartsIn::Queue)?;
        for part in &later {
            outbox::fail(self.tx(), part.seq, reason, None, self.now())?;
        }
        self.tell_dropped(&later, reason)
    }

    fn later_parts(&self, row: &OutboxRow, which: PartsIn<'_>) -> Result<Vec<OutboxRow>> {
        let Some(part) = row.body.part().filter(|part| part.number < part.of) else { return Ok(Vec::new()) };
        let mut later = outbox::behind(self.tx(), row, part.of - part.number, which)?;
        later.retain(|one| one.body.part().is_some_and(|other| other.first == part.first));
        Ok(later)
    }
}
