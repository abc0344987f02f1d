//! Sending again a message that failed, or whose delivery is unknown.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::claim::may_speak;
use crate::domain::{MessageId, MessageStatus};
use crate::error::Result;
use crate::runtime::job::{Deferred, Job, MESSAGE_MAX_AGE_MINUTES};
use crate::runtime::{Command, Runtime};
use crate::store::outbox::{self};

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

impl Command for Retry {
    type Outcome = Retried;

    fn run(&self, job: &Job<'_>) -> Result<Retried, Deferred> {
        let (tx, now) = (job.tx(), job.now());
        let Some(row) = outbox::find_by_id(tx, self.id)? else { return Ok(Retried::NotFound) };
        if !matches!(row.status, MessageStatus::Failed | MessageStatus::Unknown) {
            return Ok(Retried::NotFailed);
        }
        if row.origin.is_elsewhere() {
            return Ok(Retried::SentElsewhere);
        }
        if row.channel != job.channel() || !job.shared().options.channel.kind().can_resend() {
            return Ok(Retried::OtherChannel);
        }
        let session = job.brief(&row)?;
        if row.session_seq.is_some() && !session.as_ref().is_some_and(|session| may_speak(session, row.turn)) {
            return Ok(Retried::SessionEnded);
        }
        let max_age = match &session {
            Some(session) => job.flow(session.flow_seq, session.version)?.document().settings.message_max_age_minutes,
            None => None,
        };
        if row.status == MessageStatus::Unknown && row.next_attempt_at.is_none() {
            // It counts as taken since it was settled, and is not counted again.
            outbox::set_accepted(tx, row.seq)?;
        }
        // The parts that were dropped with it go on from it again.
        let mut again = job.parts_to_retry(&row)?;
        again.insert(0, row);
        for row in &again {
            outbox::requeue(tx, row.seq, now, 0, None, now)?;
            outbox::forget_failure(tx, row.seq)?;
            if row.good_until.is_some() {
                // It gets the time again that it was given in the first place.
                let minutes = max_age.unwrap_or(MESSAGE_MAX_AGE_MINUTES);
                outbox::set_good_until(tx, row.seq, now.plus(Duration::from_secs(u64::from(minutes) * 60)))?;
            }
            job.note_progress(row, session.as_ref(), MessageStatus::Queued)?;
        }
        job.wake_outbox();
        Ok(Retried::Queued)
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
}
