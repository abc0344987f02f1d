//! Sending again a message that failed, or whose delivery is unknown; and all that failed for one reason.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::claim::may_speak;
use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::domain::{MessageId, MessageStatus, Reason, Timestamp};
use crate::error::{Error, Result};
use crate::runtime::job::{Deferred, Job, MESSAGE_MAX_AGE_MINUTES};
use crate::runtime::{Command, Runtime};
use crate::store::messages::{self, Place};
use crate::store::{audit, outbox};

/// Messages that one job queues again.
const MESSAGES_PER_JOB: u32 = 50;

/// Queues a message again.
struct Retry {
    id: MessageId,
}

/// The outcome of [`Runtime::retry_message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Retried {
    /// It is queued. Whether it may go out is checked again when it is its turn.
    Queued,
    /// No message to a person has that id.
    NotFound,
    /// It has not failed, and whether it was delivered is known.
    NotFailed,
    /// Its session has ended, and it would come out of nowhere.
    SessionEnded,
    /// It was for a channel that is not the one in use.
    OtherChannel,
    /// Another sender wrote it.
    SentElsewhere,
}

impl Retried {
    /// Why it is not sent again, as a code and in a sentence; `None` if it is, or is not there.
    pub fn refusal(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Queued | Self::NotFound => None,
            Self::NotFailed => Some(("not_failed", "Only a message that failed or is in doubt can be sent again.")),
            Self::SessionEnded => Some((
                Reason::SessionEnded.as_str(),
                "The conversation that it belongs to is over: start the flow again.",
            )),
            Self::SentElsewhere => Some((
                "sent_elsewhere",
                "This server did not send it: it was written in the WhatsApp Business app or by Meta.",
            )),
            Self::OtherChannel => Some((
                "other_channel",
                "It was for a channel that is not in use, or for the simulator, which sends nothing.",
            )),
        }
    }
}

impl Command for Retry {
    type Outcome = Retried;

    fn run(&self, job: &Job<'_>) -> Result<Retried, Deferred> {
        job.retry(self.id)
    }
}

impl Job<'_> {
    /// Queues a message again, if it may be sent again.
    fn retry(&self, id: MessageId) -> Result<Retried, Deferred> {
        let (tx, now) = (self.tx(), self.now());
        let Some(row) = outbox::find_by_id(tx, id)? else { return Ok(Retried::NotFound) };
        if !matches!(row.status, MessageStatus::Failed | MessageStatus::Unknown) {
            return Ok(Retried::NotFailed);
        }
        if row.origin.is_elsewhere() {
            return Ok(Retried::SentElsewhere);
        }
        if row.channel != self.channel() || !self.shared().options.channel.kind().can_resend() {
            return Ok(Retried::OtherChannel);
        }
        let session = self.brief(&row)?;
        if row.session_seq.is_some() && !session.as_ref().is_some_and(|session| may_speak(session, row.turn)) {
            return Ok(Retried::SessionEnded);
        }
        let max_age = match &session {
            Some(session) => self.flow(session.flow_seq, session.version)?.document().settings.message_max_age_minutes,
            None => None,
        };
        if row.status == MessageStatus::Unknown && row.next_attempt_at.is_none() {
            // It counts as taken since it was settled, and is not counted again.
            outbox::set_accepted(tx, row.seq)?;
        }
        // The parts that were dropped with it go on from it again.
        let mut again = self.parts_to_retry(&row)?;
        again.insert(0, row);
        for row in &again {
            outbox::requeue(tx, row.seq, now, 0, None, now)?;
            outbox::forget_failure(tx, row.seq)?;
            if row.good_until.is_some() {
                // It gets the time again that it was given in the first place.
                let minutes = max_age.unwrap_or(MESSAGE_MAX_AGE_MINUTES);
                outbox::set_good_until(tx, row.seq, now.plus(Duration::from_secs(u64::from(minutes) * 60)))?;
            }
            self.note_progress(row, session.as_ref(), MessageStatus::Queued)?;
        }
        self.wake_outbox();
        Ok(Retried::Queued)
    }
}

/// Which failed messages are sent again.
#[derive(Debug, Clone)]
pub struct FailedFor {
    /// The reason for which they failed.
    pub reason: String,
    /// Only those of this channel.
    pub channel: Option<String>,
    /// Only those that failed until then.
    pub until: Timestamp,
    /// Only those after this place: where another run has ended.
    pub after: Place,
}

/// What became of failed messages that were to be sent again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetriedAll {
    /// Messages that are queued.
    pub queued: u32,
    /// Messages that are not, by why not.
    pub skipped: BTreeMap<String, Skipped>,
    /// Where to go on; `None` once all were looked at.
    pub next: Option<Place>,
}

/// Messages that are not sent again for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// How many.
    pub count: u32,
    /// Why, in a sentence.
    pub hint: String,
}

/// Queues some of the failed messages again.
struct RetrySome {
    which: FailedFor,
    limit: u32,
    /// For the audit, if any is queued.
    deed: Option<Deed>,
}

impl Command for RetrySome {
    type Outcome = RetriedAll;

    fn run(&self, job: &Job<'_>) -> Result<RetriedAll, Deferred> {
        let FailedFor { reason, channel, until, after } = &self.which;
        let failed = messages::failed_after(job.tx(), reason, (*after, *until), self.limit)?;
        let next = failed.last().map(|last| last.place).filter(|_| failed.len() >= self.limit as usize);
        let mut all = RetriedAll { next, ..RetriedAll::default() };
        let wanted = || failed.iter().filter(|one| channel.as_ref().is_none_or(|channel| *channel == one.channel));
        // A flow that is not compiled hands the job back, which it must before it has written anything.
        for one in wanted() {
            let row = outbox::find_by_id(job.tx(), one.id)?;
            if let Some(session) = row.map(|row| job.brief(&row)).transpose()?.flatten() {
                job.flow(session.flow_seq, session.version)?;
            }
        }
        for one in wanted() {
            match job.retry(one.id)? {
                // It failed when it was read above: it is a later part of a text of which another one was queued.
                Retried::Queued | Retried::NotFailed => all.queued += 1,
                refused => {
                    let Some((code, hint)) = refused.refusal() else { continue };
                    let skipped = all.skipped.entry(code.to_owned()).or_default();
                    skipped.count += 1;
                    skipped.hint = hint.to_owned();
                }
            }
        }
        if let Some(deed) = self.deed.as_ref().filter(|_| all.queued > 0) {
            audit::record(job.tx(), deed, job.now())?;
        }
        Ok(all)
    }
}

impl Runtime {
    /// Sends a message again that failed or is in doubt, under the same id. The person may get it twice.
    ///
    /// # Errors
    /// As [`Runtime::handle`]. Refusals are outcomes.
    pub async fn retry_message(&self, id: MessageId) -> Result<Retried> {
        self.handle(Retry { id }).await
    }

    /// Sends again what failed for one reason and is not marked as seen, as far as [`Runtime::retry_message`] would:
    /// looks at `limit` messages at most, in small jobs. What failed last comes last. It goes on when the caller stops
    /// waiting; repeating it is safe, since what is queued has not failed. `by` is who asks for it, for the audit.
    ///
    /// # Errors
    /// As [`Runtime::handle`]; what was queued until then stays so.
    pub async fn retry_failed(&self, which: FailedFor, limit: u32, by: Actor) -> Result<RetriedAll> {
        let runtime = self.clone();
        let retrying = tokio::spawn(async move { runtime.retry_in_parts(which, limit, by).await });
        retrying.await.map_err(|error| Error::internal("Sending messages again panicked").caused_by(error))?
    }

    async fn retry_in_parts(&self, mut which: FailedFor, limit: u32, by: Actor) -> Result<RetriedAll> {
        let mut deed = Some(Deed::new(AuditAction::MessagesRetried, by).saying(format!("reason {}", which.reason)));
        let (mut all, mut left) = (RetriedAll::default(), limit);
        loop {
            let limit = left.min(MESSAGES_PER_JOB);
            let some = self.handle(RetrySome { which: which.clone(), limit, deed: deed.clone() }).await?;
            if some.queued > 0
                && let Some(deed) = deed.take()
            {
                audit::log(&deed);
            }
            all.queued += some.queued;
            for (code, Skipped { count, hint }) in some.skipped {
                let skipped = all.skipped.entry(code).or_default();
                skipped.count += count;
                skipped.hint = hint;
            }
            all.next = some.next;
            left -= limit;
            match some.next.filter(|_| left > 0) {
                Some(next) => which.after = next,
                None => return Ok(all),
            }
        }
    }
}
