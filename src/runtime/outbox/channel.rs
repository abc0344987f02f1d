//! Whether the channel may be used: paused by the provider or by the operator, or held back for a while.

use uuid::Uuid;

use crate::channels::capabilities::Tested;
use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::domain::{MessageStatus, Reason, StoredBody, Timestamp};
use crate::error::{Error, Result};
use crate::runtime::Runtime;
use crate::runtime::commands::channel::{Pause, Resume, UseCredentials};
use crate::runtime::templates::were_templates_refused;
use crate::store::channels::{self, ChannelRow};
use crate::store::messages::MessageRow;
use crate::store::{Conn, audit};

/// The state of the channel that messages go out on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelState {
    /// The channel's name, as in the configuration.
    pub name: &'static str,
    /// Since when nothing goes out; it stays so until an operator acts.
    pub paused_at: Option<Timestamp>,
    /// Why, such as the provider's code.
    pub reason: Option<String>,
    /// The provider's explanation, or the operator's.
    pub explanation: Option<String>,
    /// Until when it is held back because it asked for that, could not be reached, or refuses everything for a reason
    /// that may pass. It goes on by itself; `reason` and `explanation` are of the latest refusal.
    pub held_until: Option<Timestamp>,
}

impl Runtime {
    /// Asks the far side of the channel whether it would take messages. No message is sent.
    pub async fn test_channel(&self) -> Tested {
        let began_at = self.clock().now();
        let tested = self.channel().test(&Uuid::now_v7().to_string(), began_at).await;
        if let Tested::Refused(refusal) = &tested {
            self.pause_if_down(refusal, began_at).await;
        }
        tested
    }

    /// The state of the channel.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn channel_state(&self) -> Result<ChannelState> {
        let name = self.channel().name();
        let row = self.store().query_vital(move |conn| channels::find(conn, name)).await?;
        let (paused_at, reason, explanation) = match row {
            Some(ChannelRow { paused_at, reason, explanation, .. }) => (paused_at, reason, explanation),
            None => (None, None, None),
        };
        let open = self.inner.outbox.breaker.open_with_reason(self.clock().now());
        let held_until = open.as_ref().map(|(until, _)| *until);
        // A pause that an operator has to end is reported before one that ends by itself.
        let (reason, explanation) = match open.and_then(|(_, reason)| reason) {
            Some((code, text)) if paused_at.is_none() => (Some(code), Some(text).filter(|text| !text.is_empty())),
            _ => (reason, explanation),
        };
        Ok(ChannelState { name, paused_at, reason, explanation, held_until })
    }

    /// Stops all sending until [`Runtime::resume_channel`]: messages stay queued, in their order. `false` if it was
    /// stopped already; the first reason stands. `by` is who does it by hand, for the audit.
    ///
    /// # Errors
    /// As [`Runtime::handle`].
    pub async fn pause_channel(&self, reason: String, explanation: Option<String>, by: Option<Actor>) -> Result<bool> {
        let deed = by.map(|by| Deed::new(AuditAction::ChannelPaused, by).to(self.channel().name()));
        let is_paused = self.handle(Pause { reason, explanation, deed: deed.clone() }).await?;
        deed.iter().filter(|_| is_paused).for_each(audit::log);
        Ok(is_paused)
    }

    /// Lets the channel go on, at once: also one that is held back because it could not be reached. `false` if it was
    /// not paused. `by` is who does it by hand, for the audit.
    ///
    /// # Errors
    /// As [`Runtime::handle`].
    pub async fn resume_channel(&self, by: Option<Actor>) -> Result<bool> {
        let deed = by.map(|by| Deed::new(AuditAction::ChannelResumed, by).to(self.channel().name()));
        let resumed = self.handle(Resume { only: None, deed: deed.clone() }).await?;
        deed.iter().filter(|_| resumed).for_each(audit::log);
        self.close_breaker();
        self.want_templates();
        Ok(resumed)
    }

    /// Pauses a channel that is configured in part, and lets one go on that was and is whole now. For the start.
    ///
    /// # Errors
    /// As [`Runtime::handle`].
    pub async fn settle_configuration(&self) -> Result<()> {
        match self.channel().lacks() {
            Some(lacks) => {
                tracing::warn!(channel = self.channel().name(), "the channel is paused, and messages wait: {lacks}");
                self.pause_channel(Reason::ConfiguredInPart.into(), Some(lacks.to_owned()), None).await?;
            }
            None => {
                // Nothing is written at the usual start.
                let only = Reason::ConfiguredInPart;
                if self.channel_state().await?.reason.as_deref() == Some(only.as_str()) {
                    self.handle(Resume { only: Some(only), deed: None }).await?;
                }
            }
        }
        Ok(())
    }

    /// Gives the channel a new access token, which the next message carries, and lets the channel go on if it was
    /// paused because the old one was refused. Returns whether it was.
    ///
    /// # Errors
    /// `Invalid` if the channel has no access token; otherwise as [`Runtime::handle`].
    pub async fn set_access_token(&self, token: String) -> Result<bool> {
        self.channel().set_access_token(token);
        let Some(digest) = self.channel().credentials_digest() else {
            return Err(Error::invalid(format!("The channel {} has no access token", self.channel().name())));
        };
        let resumed = self.handle(UseCredentials { digest, is_start: false }).await?;
        if resumed {
            self.close_breaker();
        }
        self.want_templates();
        Ok(resumed)
    }
}

/// Lets a channel go on at the start that the provider had paused, if the account is reached with something else now.
pub(super) async fn use_credentials(runtime: &Runtime) -> Result<()> {
    let Some(digest) = runtime.channel().credentials_digest() else { return Ok(()) };
    if runtime.handle(UseCredentials { digest, is_start: true }).await? {
        tracing::info!(channel = runtime.channel().name(), "the access token or the number is another one: it goes on");
        runtime.want_templates();
    }
    Ok(())
}

/// Why a message still waits of which no reason is stored: because of the channel as a whole.
///
/// # Errors
/// When the database cannot be read.
pub fn why_it_waits(conn: &Conn, row: &MessageRow) -> Result<Option<Reason>> {
    if row.status != MessageStatus::Queued || row.reason.is_some() {
        return Ok(None);
    }
    if were_templates_refused(conn, &row.channel)? && names_template(row) {
        return Ok(Some(Reason::WaitsForTemplates));
    }
    let is_paused = channels::find(conn, &row.channel)?.is_some_and(|channel| channel.paused_at.is_some());
    Ok(is_paused.then_some(Reason::ChannelPaused))
}

fn names_template(row: &MessageRow) -> bool {
    StoredBody::from(row.body.clone()).message().is_some_and(|message| message.template.is_some())
}

#[cfg(test)]
mod tests {
    use crate::channels::ChannelKind;

    #[test]
    fn a_new_token_mends_what_an_old_one_broke() {
        let is_token_refusal = |code| ChannelKind::WhatsApp.is_token_refusal(code);
        for code in ["190", "0", "3", "10", "200", "299", "131005"] {
            assert!(is_token_refusal(code), "{code}");
        }
        for code in ["368", "131042", "133010", "300", "operator", ""] {
            assert!(!is_token_refusal(code), "{code}");
        }
    }
}
