//! Commands that pause the channel and let it go on.

use crate::channels::outgoing::{Refusal, RefusalClass};
use crate::domain::audit::Deed;
use crate::domain::{EventKind, Reason, Timestamp};
use crate::error::Result;
use crate::runtime::Runtime;
use crate::runtime::job::changes::Change;
use crate::runtime::job::{Command, Deferred, Job};
use crate::store::{WriteClass, audit, channels, settings};
use crate::views::event::{ChannelPaused, ChannelResumed, PausedChannel, ResumedChannel};

/// Pauses the channel. The outcome is whether it was going.
pub(in crate::runtime) struct Pause {
    pub(in crate::runtime) reason: String,
    pub(in crate::runtime) explanation: Option<String>,
    /// For the audit, if somebody does it by hand.
    pub(in crate::runtime) deed: Option<Deed>,
}

/// Pauses the channel for a refusal of the account, the number or the access token.
pub(in crate::runtime) struct PauseFor {
    pub(in crate::runtime) refusal: Refusal,
    /// When the call began that was refused.
    pub(in crate::runtime) began_at: Timestamp,
}

/// Lets the channel go on. The outcome is whether it was paused.
pub(in crate::runtime) struct Resume {
    /// Only if it was paused for this reason.
    pub(in crate::runtime) only: Option<Reason>,
    /// For the audit, if somebody does it by hand.
    pub(in crate::runtime) deed: Option<Deed>,
}

/// Lets a channel go on that the provider had paused, now that the account is reached with this. The outcome is whether
/// it was paused.
pub(in crate::runtime) struct UseCredentials {
    pub(in crate::runtime) digest: String,
    /// The server starts: only settings that differ from the refused ones lift the pause, and since the number may be
    /// another one, they lift it whatever the provider's reason was.
    pub(in crate::runtime) is_start: bool,
}

impl Command for Pause {
    type Outcome = bool;

    fn class(&self) -> WriteClass {
        WriteClass::Essential
    }

    fn run(&self, job: &Job<'_>) -> Result<bool, Deferred> {
        let is_paused = job.pause_channel(&self.reason, self.explanation.as_deref())?;
        job.record_deed(self.deed.as_ref().filter(|_| is_paused))?;
        Ok(is_paused)
    }
}

impl Command for PauseFor {
    type Outcome = bool;

    fn run(&self, job: &Job<'_>) -> Result<bool, Deferred> {
        Ok(job.pause_for(&self.refusal, self.began_at)?)
    }
}

impl Command for Resume {
    type Outcome = bool;

    fn run(&self, job: &Job<'_>) -> Result<bool, Deferred> {
        if let Some(only) = self.only {
            let row = channels::find(job.tx(), job.channel())?;
            if row.and_then(|row| row.reason).is_none_or(|reason| reason != only.as_str()) {
                return Ok(false);
            }
        }
        let is_resumed = job.resume_channel()?;
        job.record_deed(self.deed.as_ref().filter(|_| is_resumed))?;
        Ok(is_resumed)
    }
}

impl Command for UseCredentials {
    type Outcome = bool;

    fn run(&self, job: &Job<'_>) -> Result<bool, Deferred> {
        let Some(reason) = channels::find(job.tx(), job.channel())?.and_then(|row| row.reason) else {
            return Ok(false);
        };
        let is_mended = if self.is_start {
            let refused = settings::get(job.tx(), &refused_credentials_key(job.channel()))?;
            reason != Reason::Operator.as_str() && refused.is_none_or(|refused| refused != self.digest)
        } else {
            // Also by the same token: an operator who sets it again wants a new attempt.
            job.shared().options.channel.kind().is_token_refusal(&reason)
        };
        Ok(is_mended && job.resume_channel()?)
    }
}

impl Job<'_> {
    /// Pauses the channel for a refusal that concerns all of it. The answer to a call that began before an operator's
    /// last change no longer counts.
    pub(in crate::runtime) fn pause_for(&self, refusal: &Refusal, began_at: Timestamp) -> Result<bool> {
        let acted_at = channels::find(self.tx(), self.channel())?.map(|channel| channel.updated_at);
        let Refusal { code, text, .. } = refusal;
        if acted_at.is_some_and(|at| at > began_at) || !self.pause_channel(code, Some(text))? {
            return Ok(false);
        }
        if let Some(digest) = self.shared().options.channel.credentials_digest() {
            settings::set(self.tx(), &refused_credentials_key(self.channel()), &digest, self.now())?;
        }
        tracing::error!(
            channel = self.channel(),
            code,
            text,
            "the channel refuses everything and is paused until somebody acts; messages stay queued"
        );
        Ok(true)
    }

    fn record_deed(&self, deed: Option<&Deed>) -> Result<()> {
        deed.map_or(Ok(()), |deed| audit::record(self.tx(), deed, self.now()))
    }

    fn resume_channel(&self) -> Result<bool> {
        if !channels::resume(self.tx(), self.channel(), self.now())? {
            return Ok(false);
        }
        self.wake_outbox();
        self.note_change(|| Change::Channel { name: self.channel(), state: "running", reason: None });
        self.emit(EventKind::ChannelResumed, None, || ChannelResumed {
            channel: ResumedChannel { name: self.channel() },
        })?;
        Ok(true)
    }

    /// Pauses the channel in this job, and publishes that. `false` if it is paused already.
    pub(in crate::runtime) fn pause_channel(&self, reason: &str, explanation: Option<&str>) -> Result<bool> {
        if !channels::pause(self.tx(), self.channel(), reason, explanation, self.now())? {
            return Ok(false);
        }
        self.note_change(|| Change::Channel { name: self.channel(), state: "paused", reason: Some(reason.to_owned()) });
        let channel = PausedChannel { name: self.channel(), reason, explanation };
        self.emit(EventKind::ChannelPaused, None, || ChannelPaused { channel })?;
        Ok(true)
    }
}

impl Runtime {
    /// Takes a refusal of a call that sends no message: one that concerns the account, the number or the access token
    /// pauses the channel, as the same refusal of a message would.
    pub(in crate::runtime) async fn pause_if_down(&self, refusal: &Refusal, began_at: Timestamp) {
        if refusal.class == RefusalClass::ChannelDown
            && let Err(error) = self.handle(PauseFor { refusal: refusal.clone(), began_at }).await
        {
            tracing::error!(%error, code = refusal.code, "the channel could not be paused");
        }
    }
}

/// Settings of this name are none of the configuration's: what the account was reached with when it was refused.
fn refused_credentials_key(channel: &str) -> String {
    format!("refused_credentials:{channel}")
}
