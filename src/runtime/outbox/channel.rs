//! Whether the channel may be used: paused by the provider or by the operator, or left alone for a while.

use serde_json::json;
use uuid::Uuid;

use crate::channels::Channel;
use crate::channels::outgoing::{Refusal, Sent};
use crate::channels::whatsapp::Probe;
use crate::domain::Timestamp;
use crate::error::{Error, Result};
use crate::runtime::job::{Hold, Job};
use crate::runtime::sweeper::read;
use crate::runtime::{Command, Notice, Runtime};
use crate::store::channels::{self, ChannelRow};

/// How the channel stands that messages go out on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelState {
    /// Its name.
    pub name: &'static str,
    /// Since when nothing goes out, until somebody acts.
    pub paused_at: Option<Timestamp>,
    /// Why, such as the provider's code.
    pub reason: Option<String>,
    /// The provider's explanation, or the operator's.
    pub explanation: Option<String>,
    /// Until when it is left alone because it asked for that, could not be reached, or refuses everything for a reason
    /// that may pass. It goes on by itself; `reason` and `explanation` are of the latest refusal.
    pub held_until: Option<Timestamp>,
}

/// What came of asking the far side of the channel whether it would take messages.
#[derive(Debug)]
pub enum Tried {
    /// The simulator has no far side.
    Simulated,
    /// WhatsApp knows the number.
    Known(Probe),
    /// The operator's URL took a test.
    Taken {
        /// Id of what was posted.
        message_id: String,
    },
    /// It would not.
    Refused(Refusal),
    /// It was reached, and its answer tells nothing.
    Unclear(String),
}

/// Pauses the channel. The outcome is whether it was going.
struct Pause {
    reason: String,
    explanation: Option<String>,
}

/// Lets the channel go on. The outcome is whether it was paused.
struct Resume {
    /// Only if what paused it is that the provider does not know us.
    of_auth_only: bool,
}

impl Command for Pause {
    type Outcome = bool;

    fn run(&self, job: &Job<'_>) -> Result<bool, Hold> {
        Ok(job.pause_channel(&self.reason, self.explanation.as_deref())?)
    }
}

impl Command for Resume {
    type Outcome = bool;

    fn run(&self, job: &Job<'_>) -> Result<bool, Hold> {
        if self.of_auth_only {
            let row = channels::find(job.tx(), job.channel())?;
            let reason = row.and_then(|row| row.reason);
            if !reason.is_some_and(|reason| is_auth(&reason)) {
                return Ok(false);
            }
        }
        if !channels::resume(job.tx(), job.channel(), job.now())? {
            return Ok(false);
        }
        job.wake_outbox();
        job.notice(|| Notice::Channel { name: job.channel(), state: "running", reason: None });
        job.emit("channel.resumed", None, || json!({"channel": {"name": job.channel()}}))?;
        Ok(true)
    }
}

impl Job<'_> {
    /// Pauses the channel in this job, and tells so. `false` if it is paused already.
    pub(in crate::runtime) fn pause_channel(&self, reason: &str, explanation: Option<&str>) -> Result<bool> {
        if !channels::pause(self.tx(), self.channel(), reason, explanation, self.now())? {
            return Ok(false);
        }
        self.notice(|| Notice::Channel { name: self.channel(), state: "paused", reason: Some(reason.to_owned()) });
        self.emit(
            "channel.paused",
            None,
            || json!({"channel": {"name": self.channel(), "reason": reason, "explanation": explanation}}),
        )?;
        Ok(true)
    }
}

impl Runtime {
    /// Asks the far side of the channel whether it would take messages. Reaches nobody's phone.
    pub async fn try_channel(&self) -> Tried {
        match self.channel() {
            Channel::Simulator => Tried::Simulated,
            Channel::WhatsApp(whatsapp) => whatsapp.probe().await.map_or_else(Tried::Refused, Tried::Known),
            Channel::Webhook(webhook) => {
                let message_id = Uuid::now_v7().to_string();
                match webhook.test(&message_id, self.clock().now()).await {
                    Sent::Accepted { .. } => Tried::Taken { message_id },
                    Sent::Refused(refusal) => Tried::Refused(refusal),
                    Sent::Ambiguous { text } => Tried::Unclear(text),
                }
            }
        }
    }

    /// How the channel stands.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn channel_state(&self) -> Result<ChannelState> {
        let name = self.channel().name();
        let row = read(self, move |conn| channels::find(conn, name)).await?;
        let (paused_at, reason, explanation) = match row {
            Some(ChannelRow { paused_at, reason, explanation, .. }) => (paused_at, reason, explanation),
            None => (None, None, None),
        };
        let standing = self.inner.outbox.standing(self.clock().now());
        let held_until = standing.as_ref().map(|(until, _)| *until);
        // What somebody has to act upon goes before what passes by itself.
        let (reason, explanation) = match standing.and_then(|(_, reason)| reason) {
            Some((code, text)) if paused_at.is_none() => (Some(code), Some(text).filter(|text| !text.is_empty())),
            _ => (reason, explanation),
        };
        Ok(ChannelState { name, paused_at, reason, explanation, held_until })
    }

    /// Stops all sending until [`Runtime::resume_channel`]: messages stay queued, in their order. `false` if it was
    /// stopped already; the first reason stands.
    ///
    /// # Errors
    /// As [`Runtime::handle`].
    pub async fn pause_channel(&self, reason: String, explanation: Option<String>) -> Result<bool> {
        self.handle(Pause { reason, explanation }).await
    }

    /// Lets the channel go on, at once: also one that is left alone because it could not be reached. `false` if it was
    /// not paused.
    ///
    /// # Errors
    /// As [`Runtime::handle`].
    pub async fn resume_channel(&self) -> Result<bool> {
        let resumed = self.handle(Resume { of_auth_only: false }).await?;
        self.inner.outbox.forget_hold();
        Ok(resumed)
    }

    /// Gives the channel a new access token, which the next message carries, and lets the channel go on if it was
    /// paused because the old one was refused. Answers whether it was.
    ///
    /// # Errors
    /// `Invalid` if the channel has no access token; otherwise as [`Runtime::handle`].
    pub async fn set_access_token(&self, token: String) -> Result<bool> {
        let Channel::WhatsApp(whatsapp) = self.channel() else {
            return Err(Error::invalid(format!("The channel {} has no access token", self.channel().name())));
        };
        whatsapp.set_access_token(token);
        let resumed = self.handle(Resume { of_auth_only: true }).await?;
        if resumed {
            self.inner.outbox.forget_hold();
        }
        Ok(resumed)
    }
}

/// Whether a provider's code says that it does not know us, or does not let us (Meta's error codes, "Authorization
/// errors"): what a new access token may mend.
fn is_auth(code: &str) -> bool {
    matches!(code.parse::<u32>(), Ok(0 | 3 | 10 | 190 | 200..=299 | 131_005))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_mends_what_an_old_one_broke() {
        for code in ["190", "0", "3", "10", "200", "299", "131005"] {
            assert!(is_auth(code), "{code}");
        }
        for code in ["368", "131042", "300", "operator", ""] {
            assert!(!is_auth(code), "{code}");
        }
    }
}
