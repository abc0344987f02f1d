//! What a refusal calls for, whether it is the answer to an attempt or comes in a status later.

use serde::{Deserialize, Serialize};

use crate::channels::outgoing::{Refusal, RefusalClass};
use crate::domain::{MessageStatus, Timestamp};
use crate::error::Result;
use crate::runtime::job::access::Access;
use crate::runtime::job::message_outcome::Failure;
use crate::runtime::job::{Deferred, Job};
use crate::store::contacts;
use crate::store::messages;
use crate::store::outbox::{self, OutboxRow};

/// Attempts of a message that count, at the most.
pub(super) const MAX_TRIES: u32 = 8;

/// What follows for a message that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AfterRefusal {
    /// It goes out again.
    Requeued,
    /// It goes out once the channel does.
    Paused,
    /// It failed for good.
    Failed,
    /// The same, and the person opted out.
    OptedOut {
        /// Row of the contact.
        contact_seq: i64,
        /// More sessions run than one job ends.
        is_ending: bool,
    },
}

/// That a channel refused an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused<'a> {
    pub(super) refusal: &'a Refusal,
    /// When the attempt began.
    pub(super) began_at: Timestamp,
    /// When the message goes out again, if it does and is held back by itself.
    pub(super) retry_at: Timestamp,
    /// Whether it counts against the message's tries if it is one that may pass.
    pub(super) is_spent: bool,
    /// When it was refused.
    pub(super) at: Timestamp,
    /// With degraded access the message's session does not get the failure.
    pub(super) access: Access,
}

impl Refused<'_> {
    /// Whether the message goes out again after this.
    pub(super) fn will_retry(&self, row: &OutboxRow) -> bool {
        match self.refusal.class {
            RefusalClass::RecipientPacing
            | RefusalClass::ChannelPacing
            | RefusalClass::Unreachable
            | RefusalClass::ChannelDown => true,
            RefusalClass::Transient => !self.is_spent || row.attempts < MAX_TRIES,
            RefusalClass::WindowClosed => self.with_text_refused(row).is_some(),
            RefusalClass::OptedOut | RefusalClass::Permanent => false,
        }
    }

    /// Queues the message again or fails it, and does with its person and its channel what the class calls for.
    pub(super) fn take(&self, job: &Job<'_>, row: &OutboxRow) -> Result<AfterRefusal, Deferred> {
        let (tx, now, refusal) = (job.tx(), job.now(), self.refusal);
        let error = self.error();
        let unspent = row.attempts.saturating_sub(1);
        match refusal.class {
            RefusalClass::RecipientPacing => outbox::requeue(tx, row.seq, self.retry_at, unspent, error, now)?,
            RefusalClass::ChannelPacing | RefusalClass::Unreachable => {
                outbox::requeue(tx, row.seq, now, unspent, error, now)?;
            }
            RefusalClass::Transient if self.will_retry(row) => {
                let attempts = if self.is_spent { row.attempts } else { unspent };
                outbox::requeue(tx, row.seq, self.retry_at, attempts, error, now)?;
            }
            RefusalClass::ChannelDown => {
                outbox::requeue(tx, row.seq, now, unspent, error, now)?;
                // A status may be of an earlier attempt, and come again after an operator has acted on it.
                job.pause_for(refusal, self.began_at.min(self.at))?;
                job.note_progress(row, job.brief(row)?.as_ref(), MessageStatus::Queued)?;
                return Ok(AfterRefusal::Paused);
            }
            RefusalClass::OptedOut => {
                let contact = contacts::find_by_seq(tx, row.contact_seq)?;
                // A session that ends by it gets no further events.
                let goes_on = match row.session_seq {
                    Some(seq) => messages::has_written_in(tx, row.contact_seq, seq)?,
                    None => false,
                };
                self.fail(job, row, self.access.is_full() && goes_on)?;
                let is_ending = match contact {
                    Some(contact) => {
                        contacts::note_marketing_choice(tx, contact.seq, self.at)?;
                        job.opt_out_of_marketing(&contact, self.access)?
                    }
                    None => false,
                };
                return Ok(AfterRefusal::OptedOut { contact_seq: row.contact_seq, is_ending });
            }
            // It happens inside a window that is open, too (Meta, known issues): then the template goes, if there is
            // one.
            RefusalClass::WindowClosed => match self.with_text_refused(row) {
                Some(body) => {
                    outbox::requeue(tx, row.seq, now, unspent, error, now)?;
                    outbox::set_body(tx, row.seq, &body)?;
                }
                None => {
                    self.fail(job, row, self.access.is_full())?;
                    return Ok(AfterRefusal::Failed);
                }
            },
            RefusalClass::Transient | RefusalClass::Permanent => {
                self.fail(job, row, self.access.is_full())?;
                return Ok(AfterRefusal::Failed);
            }
        }
        job.note_progress(row, job.brief(row)?.as_ref(), MessageStatus::Queued)?;
        Ok(AfterRefusal::Requeued)
    }

    /// Fails the message for good. `notifies_session`: its session gets the failure as an event.
    pub(super) fn fail(&self, job: &Job<'_>, row: &OutboxRow, notifies_session: bool) -> Result<(), Deferred> {
        let (reason, error) = (self.refusal.code.as_str(), self.error());
        job.fail_message(row, &Failure { reason, error, at: self.at, notifies_session })
    }

    /// The stored message noted so that its template goes in place of the text that was refused. `None` if it has none,
    /// or if that was what the channel refused.
    fn with_text_refused(&self, row: &OutboxRow) -> Option<String> {
        let sent = row.body.message()?.with_text_refused(&self.refusal.code)?;
        row.body.with_sent(&sent)
    }

    fn error(&self) -> Option<&str> {
        Some(self.refusal.text.as_str()).filter(|text| !text.is_empty())
    }
}
