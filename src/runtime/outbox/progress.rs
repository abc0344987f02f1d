//! Statuses of a message that a channel sends after it took it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Outbox;
use super::claim::may_speak;
use super::refused::{AfterRefusal, Refused};
use crate::channels::incoming::{Progress, Stage};
use crate::channels::outgoing::{Refusal, RefusalClass};
use crate::domain::{MessageId, MessageStatus, Reason, StoredMessage, Timestamp};
use crate::error::Result;
use crate::runtime::commands::end_sessions::end_sessions;
use crate::runtime::job::access::Access;
use crate::runtime::job::message_outcome::Acceptance;
use crate::runtime::job::{Deferred, Job};
use crate::runtime::{Command, Runtime};
use crate::store::messages;
use crate::store::outbox::{self, OutboxRow};

/// Takes a status of a message of ours: each stage is published once, in whatever order and however often the statuses
/// come.
#[derive(Debug)]
struct NoteProgress {
    progress: Arc<Progress>,
    outbox: Arc<Outbox>,
    access: Access,
}

/// What a status of a message has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgressOutcome {
    /// It was new, and was recorded.
    Noted,
    /// It was known, or something later is.
    Known,
    /// No message has that id.
    UnknownMessage,
    /// It was new: the message failed in a way that may pass, and goes out again.
    GoesAgain {
        /// Row of the contact.
        contact_seq: i64,
        /// The message, which the channel may know by its own id alone.
        id: MessageId,
    },
    /// It was new: the person does not want to be written to any more, and has more sessions than one job ends.
    StillEnding {
        /// Row of the contact.
        contact_seq: i64,
    },
}

impl Command for NoteProgress {
    type Outcome = ProgressOutcome;

    fn run(&self, job: &Job<'_>) -> Result<ProgressOutcome, Deferred> {
        let Some(row) = self.message(job)? else { return Ok(ProgressOutcome::UnknownMessage) };
        let row = match self.progress.recipient.addresses.iter().find(|address| !address.kind.is_id()) {
            // The number in a failure may not be the recipient's.
            Some(named) if self.progress.stage != Stage::Failed => job.reached_at(row, (named, false), self.access)?,
            _ => row,
        };
        let at = self.progress.at.unwrap_or(job.now());
        match self.progress.stage {
            Stage::Failed => self.failed(job, &row, at),
            stage => Ok(self.got_on(job, &row, stage, at)?),
        }
    }
}

impl NoteProgress {
    /// The message that it is about: by our id, which went out with it, else by the channel's.
    fn message(&self, job: &Job<'_>) -> Result<Option<OutboxRow>> {
        let by_id = self.progress.message_id.map_or(Ok(None), |id| outbox::find_by_id(job.tx(), id))?;
        match (by_id.filter(|row| row.channel == job.channel()), &self.progress.provider_id) {
            (None, Some(provider_id)) => outbox::find_by_provider_id(job.tx(), job.channel(), provider_id),
            (found, _) => Ok(found),
        }
    }

    fn got_on(&self, job: &Job<'_>, row: &OutboxRow, stage: Stage, at: Timestamp) -> Result<ProgressOutcome> {
        let provider_id = self.progress.provider_id.as_deref();
        let began_at = row.claimed_at.unwrap_or(row.created_at);
        let acceptance = Acceptance {
            provider_id,
            // Channels report whole seconds, by a clock of their own.
            at: at.max(began_at).min(job.now()),
            is_certain: true,
            access: self.access,
        };
        let was_open = row.next_attempt_at.is_some();
        job.accept(row, &acceptance)?;
        let (names, status): (&[&'static str], _) = match stage {
            Stage::Sent | Stage::Failed => (&["sent"], MessageStatus::Sent),
            Stage::Delivered => (&["delivered"], MessageStatus::Delivered),
            Stage::Read => (&["read"], MessageStatus::Read),
            // A message that was played has been opened.
            Stage::Played => (&["played", "read"], MessageStatus::Read),
        };
        let mut is_news = was_open;
        if let Some(pricing) = &self.progress.pricing {
            job.note_pricing(row, pricing)?;
        }
        for name in names {
            is_news |= job.publish_priced_stage(row, name, provider_id, at, self.progress.pricing.as_ref())?;
        }
        let before = if was_open { MessageStatus::Sent } else { row.status };
        if rank(status) > rank(before) {
            messages::set_progress(job.tx(), row.seq, status, acceptance.at, job.now())?;
            job.note_progress(row, job.brief(row)?.as_ref(), status)?;
            is_news = true;
        }
        Ok(if is_news { ProgressOutcome::Noted } else { ProgressOutcome::Known })
    }

    /// A message that another sender wrote could not be delivered: the failure is shown, and has no other effect.
    fn failed_elsewhere(&self, job: &Job<'_>, row: &OutboxRow, at: Timestamp) -> Result<ProgressOutcome> {
        if row.status != MessageStatus::Sent {
            return Ok(ProgressOutcome::Known);
        }
        let refusal = refusal_of(&self.progress);
        outbox::fail(job.tx(), row.seq, &refusal.code, Some(&refusal.text), job.now())?;
        job.publish_stage(row, "failed", None, at, Some((&refusal.code, Some(&refusal.text))))?;
        job.note_progress(row, None, MessageStatus::Failed)?;
        Ok(ProgressOutcome::Noted)
    }

    fn failed(&self, job: &Job<'_>, row: &OutboxRow, at: Timestamp) -> Result<ProgressOutcome, Deferred> {
        let Some(row) = self.of_latest_attempt(job, row)? else { return Ok(ProgressOutcome::Known) };
        if row.origin.is_elsewhere() {
            return Ok(self.failed_elsewhere(job, &row, at)?);
        }
        let refusal = refusal_of(&self.progress);
        let began_at = row.claimed_at.unwrap_or(row.created_at);
        let retry_at = self.outbox.breaker.retry_at(&refusal, row.contact_seq, (row.id, row.attempts), job.now());
        // The channel took the message before, so that it is about the message.
        let refused = Refused { refusal: &refusal, began_at, retry_at, is_spent: true, at, access: self.access };
        let will_retry = refused.will_retry(&row);
        if is_known(&row, &refusal, will_retry) {
            return Ok(ProgressOutcome::Known);
        }
        if will_retry && !may_speak_again(job, &row)? {
            refused.fail(job, &row, self.access.is_full())?;
            return Ok(ProgressOutcome::Noted);
        }
        Ok(match refused.take(job, &row)? {
            AfterRefusal::OptedOut { contact_seq, is_ending: true } => ProgressOutcome::StillEnding { contact_seq },
            AfterRefusal::Requeued | AfterRefusal::Paused => {
                ProgressOutcome::GoesAgain { contact_seq: row.contact_seq, id: row.id }
            }
            AfterRefusal::OptedOut { .. } | AfterRefusal::Failed => ProgressOutcome::Noted,
        })
    }

    /// The message with the channel's id of the attempt that a failure is about; `None` if the channel took a later
    /// attempt since, under another id.
    fn of_latest_attempt(&self, job: &Job<'_>, row: &OutboxRow) -> Result<Option<OutboxRow>> {
        let mut row = row.clone();
        let Some(provider_id) = self.progress.provider_id.as_deref() else { return Ok(Some(row)) };
        if row.next_attempt_at.is_none() && row.provider_id.as_deref().is_some_and(|known| known != provider_id) {
            return Ok(None);
        }
        if outbox::learn_provider_id(job.tx(), &row, provider_id)? {
            row.provider_id = Some(provider_id.to_owned());
        }
        Ok(Some(row))
    }
}

/// Whether a failure changes nothing: the message has got further or failed before, or the failure is an earlier
/// attempt's.
fn is_known(row: &OutboxRow, refusal: &Refusal, will_retry: bool) -> bool {
    match row.status {
        MessageStatus::Delivered | MessageStatus::Read | MessageStatus::Failed => true,
        // A message that was queued anew: the failure is an earlier attempt's, which the channel may report twice, by
        // its answer and by a status.
        MessageStatus::Queued => row.attempts == 0 || will_retry || was_heeded(row, refusal),
        // The same while the next attempt is under way, whose own answer is still to come.
        MessageStatus::Sending => (will_retry && row.attempts > 1) || was_heeded(row, refusal),
        _ => false,
    }
}

/// Whether a message that has failed may go out again as far as its session goes.
fn may_speak_again(job: &Job<'_>, row: &OutboxRow) -> Result<bool> {
    Ok(match job.brief(row)? {
        Some(session) => may_speak(&session, row.turn),
        None => row.session_seq.is_none(),
    })
}

/// The failure in a status, as a refusal.
fn refusal_of(progress: &Progress) -> Refusal {
    let Progress { class, code, text, .. } = progress;
    Refusal {
        class: class.unwrap_or(RefusalClass::Permanent),
        code: code.clone().unwrap_or_else(|| Reason::Failed.into()),
        text: text.clone().unwrap_or_default(),
        retry_after: None,
    }
}

/// Whether the text that a refusal is about has made way for the template already.
fn was_heeded(row: &OutboxRow, refusal: &Refusal) -> bool {
    refusal.class == RefusalClass::WindowClosed && row.body.message().is_some_and(StoredMessage::was_text_refused)
}

impl Runtime {
    /// Takes a status of a message of ours.
    ///
    /// # Errors
    /// As [`Runtime::handle`]. Nothing is lost by telling it again.
    pub async fn note_progress(&self, progress: Progress) -> Result<ProgressOutcome> {
        let progress = Arc::new(progress);
        let note = |access| NoteProgress { progress: progress.clone(), outbox: self.inner.outbox.clone(), access };
        let log = |error: &_| tracing::error!(%error, "what a channel tells is taken without the message's session");
        match self.handle_degraded(note, log).await? {
            ProgressOutcome::GoesAgain { contact_seq, id } => {
                let refusal = refusal_of(&progress);
                self.record_late_refusal(&refusal, contact_seq, id);
                Ok(ProgressOutcome::Noted)
            }
            ProgressOutcome::StillEnding { contact_seq } => {
                end_sessions(self, contact_seq, Reason::OptedOut).await?;
                Ok(ProgressOutcome::Noted)
            }
            outcome => Ok(outcome),
        }
    }
}

/// How far a message is that has this status. A higher rank is never replaced by a lower one.
fn rank(status: MessageStatus) -> u8 {
    match status {
        MessageStatus::Received
        | MessageStatus::Queued
        | MessageStatus::Sending
        | MessageStatus::Unknown
        | MessageStatus::Simulated => 0,
        MessageStatus::Sent => 1,
        MessageStatus::Failed => 2,
        MessageStatus::Delivered => 3,
        MessageStatus::Read => 4,
    }
}
