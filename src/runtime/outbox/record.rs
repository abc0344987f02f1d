//! Recording the result of an attempt, and deciding on messages in doubt.

use serde::{Deserialize, Serialize};

use super::claim::LEASE;
use super::refused::{AfterRefusal, MAX_TRIES, Refused};
use crate::channels::outgoing::{Recipient, Sent};
use crate::domain::{MessageStatus, Reason, Resend, Timestamp};
use crate::error::Result;
use crate::runtime::Command;
use crate::runtime::job::access::Access;
use crate::runtime::job::message_outcome::{Acceptance, Failure};
use crate::runtime::job::{Deferred, Job};
use crate::store::{WriteClass, outbox};

/// Messages that one job decides on.
const DECIDED_AT_ONCE: u32 = 64;
/// The error of a message whose attempt never ended.
const NEVER_ENDED: &str = "The server stopped, or lost track of it, before the channel had answered.";

/// Records the result of an attempt.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) seq: i64,
    /// Which attempt it was, from 1.
    pub(super) number: u32,
    /// When it began.
    pub(super) began_at: Timestamp,
    /// To whom it went, as far as that was known.
    pub(super) to: Recipient,
    pub(super) sent: Sent,
    /// When it goes out again, if it does.
    pub(super) retry_at: Timestamp,
    /// Whether a refusal that may pass counts against the message's tries.
    pub(super) is_spent: bool,
    /// The answer must not be lost to a session that cannot be read.
    pub(super) access: Access,
}

/// The outcome of a [`Record`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Recorded {
    /// The channel took it.
    Accepted,
    /// The channel refused it.
    Refused(AfterRefusal),
    /// Whether it was delivered is unknown.
    InDoubt,
    /// It was settled otherwise meanwhile, or is gone.
    Stale,
}

impl Command for Record {
    type Outcome = Recorded;

    fn class(&self) -> WriteClass {
        WriteClass::Essential
    }

    fn run(&self, job: &Job<'_>) -> Result<Recorded, Deferred> {
        let Some(row) = outbox::find(job.tx(), self.seq)? else { return Ok(Recorded::Stale) };
        // A status may have come before the answer, and an operator may have queued it again.
        let is_open = matches!(row.status, MessageStatus::Sending | MessageStatus::Unknown)
            && row.next_attempt_at.is_some()
            && row.attempts == self.number;
        match &self.sent {
            // A status reported before the answer that this very attempt has failed: the queued row is the next
            // attempt.
            Sent::Accepted { provider_id: Some(id), .. }
                if row.provider_id.as_ref() == Some(id)
                    && row.next_attempt_at.is_some()
                    && (row.status == MessageStatus::Queued || row.attempts != self.number) =>
            {
                Ok(Recorded::Stale)
            }
            Sent::Accepted { provider_id, reached } => {
                let is_ours = row.next_attempt_at.is_some();
                let row = match reached.as_ref().filter(|named| !self.to.addresses.contains(named)) {
                    Some(named) => job.reached_at(row, (named, true), self.access)?,
                    None => row,
                };
                let acceptance = Acceptance {
                    provider_id: provider_id.as_deref(),
                    at: job.now(),
                    is_certain: true,
                    access: self.access,
                };
                job.accept(&row, &acceptance)?;
                Ok(if is_ours { Recorded::Accepted } else { Recorded::Stale })
            }
            _ if !is_open => Ok(Recorded::Stale),
            Sent::Ambiguous { text } => {
                let until = job.now().plus(job.shared().options.unknown_after);
                outbox::doubt(job.tx(), row.seq, text, until, job.now())?;
                job.note_progress(&row, job.brief(&row)?.as_ref(), MessageStatus::Unknown)?;
                Ok(Recorded::InDoubt)
            }
            Sent::Refused(refusal) => {
                let refused = Refused {
                    refusal,
                    began_at: self.began_at,
                    retry_at: self.retry_at,
                    is_spent: self.is_spent,
                    at: job.now(),
                    access: self.access,
                };
                refused.take(job, &row).map(Recorded::Refused)
            }
        }
    }
}

/// Brings the outbox into order before anything is sent. The outcome is how many attempts were under way.
pub(super) struct Recover;

impl Command for Recover {
    type Outcome = usize;

    fn run(&self, job: &Job<'_>) -> Result<usize, Deferred> {
        let until = job.now().plus(job.shared().options.unknown_after);
        Ok(outbox::recover(job.tx(), job.channel(), NEVER_ENDED, until, job.now())?)
    }
}

/// Fails what is queued for a channel that is not in use and has waited for too long: no claim looks at it. The outcome
/// is the number of messages.
pub(super) struct Expire {
    pub(super) access: Access,
}

impl Command for Expire {
    type Outcome = usize;

    fn run(&self, job: &Job<'_>) -> Result<usize, Deferred> {
        let old = outbox::too_old_elsewhere(job.tx(), job.channel(), job.now(), DECIDED_AT_ONCE)?;
        if self.access.is_full() {
            for row in &old {
                job.wait_to_fail(row)?;
            }
        }
        let reason = Reason::TooOld.as_str();
        for row in &old {
            let failure = Failure { reason, error: None, at: job.now(), notifies_session: self.access.is_full() };
            job.fail_message(row, &failure)?;
        }
        Ok(old.len())
    }
}

/// Decides on messages that have been in doubt for long enough: they go out again, or count as taken. Attempts that
/// have not ended for too long come to be in doubt. The outcome is how many messages that were.
pub(super) struct Decide {
    pub(super) access: Access,
}

impl Command for Decide {
    type Outcome = usize;

    fn run(&self, job: &Job<'_>) -> Result<usize, Deferred> {
        let (tx, now) = (job.tx(), job.now());
        let abandoned = outbox::abandoned(tx, now.minus(LEASE), DECIDED_AT_ONCE)?;
        for row in &abandoned {
            outbox::doubt(tx, row.seq, NEVER_ENDED, now.plus(job.shared().options.unknown_after), now)?;
        }
        let doubtful = outbox::in_doubt(tx, now, DECIDED_AT_ONCE)?;
        for row in &doubtful {
            let is_ours = row.channel == job.channel() && row.attempts < MAX_TRIES;
            let will_retry = is_ours
                && match job.shared().options.resend {
                    Resend::None => false,
                    Resend::Texts => row.body.message().is_some_and(|message| !message.was_template()),
                    Resend::All => true,
                };
            if will_retry {
                outbox::requeue(tx, row.seq, now, row.attempts, None, now)?;
                job.wake_outbox();
                job.note_progress(row, job.brief(row)?.as_ref(), MessageStatus::Queued)?;
            } else {
                let acceptance = Acceptance { provider_id: None, at: now, is_certain: false, access: self.access };
                job.accept(row, &acceptance)?;
            }
        }
        Ok(abandoned.len() + doubtful.len())
    }
}
