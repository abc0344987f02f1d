//! Channels: how messages leave the house, and what they bring in.
//!
//! [`Channel`] is a closed enum and no trait object: there are three, the rest of the program asks [`capabilities`]
//! what one of them can do rather than what it is, and the compiler names there whatever a fourth has to decide.

pub mod capabilities;
pub mod http;
pub mod incoming;
pub mod outgoing;
pub mod signature;
#[cfg(test)]
mod testing;
pub mod webhook;
pub mod whatsapp;

use std::sync::Arc;

use crate::domain::{Reason, named};
use crate::error::{Error, Result};
use outgoing::{Outgoing, Refusal, RefusalClass, Sent};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use webhook::Webhook;
use whatsapp::WhatsApp;

named! {
    /// What kind of channel carries messages. What each can do stands in [`capabilities`]. Its name is the one in the
    /// store, in the API and in the configuration, where it is also the name of its section.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum ChannelKind {
        /// Records what a flow says, and sends nothing.
        #[default]
        Simulator = "simulator",
        /// WhatsApp Cloud API.
        WhatsApp = "whatsapp",
        /// The operator's own URL.
        Webhook = "webhook",
    }
}

/// The channel that messages go out on. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub enum Channel {
    /// Needs no account anywhere: what a flow says is recorded and shown, and not sent. So a message counts as accepted
    /// in the very transaction that says it; it never waits in the outbox, and a timeout runs from that commit.
    Simulator,
    /// WhatsApp Cloud API.
    WhatsApp(Arc<WhatsApp>),
    /// The operator's own URL, behind which any other messenger may be.
    Webhook(Arc<Webhook>),
    /// A channel of which the settings of the database hold a part: its messages wait until the rest is there, or that
    /// part is taken away.
    Incomplete {
        /// The kind of the channel that is set up in part.
        kind: ChannelKind,
        /// What is missing, and what to do.
        lacks: String,
    },
}

impl Channel {
    /// The channel of a kind, by the keys of its section of the configuration.
    ///
    /// # Errors
    /// `Invalid`, naming the key, when one is missing or wrong.
    pub fn open(kind: ChannelKind, section: Value) -> Result<Self> {
        Ok(match kind {
            ChannelKind::Simulator => Self::Simulator,
            ChannelKind::WhatsApp => Self::WhatsApp(Arc::new(WhatsApp::new(options(kind, section)?)?)),
            ChannelKind::Webhook => Self::Webhook(Arc::new(Webhook::configured(options(kind, section)?)?)),
        })
    }

    /// Hands a message over, once. What to do after that is the outbox's business.
    pub async fn send(&self, message: &Outgoing) -> Sent {
        match self {
            Self::Simulator => Sent::Accepted { provider_id: None, reached: None },
            Self::WhatsApp(whatsapp) => whatsapp.send(message).await,
            Self::Webhook(webhook) => webhook.send(message).await,
            Self::Incomplete { lacks, .. } => Sent::Refused(in_part(lacks)),
        }
    }
}

/// The options of a channel, out of the keys of its section. The section has more keys, which other modules read.
fn options<T: DeserializeOwned>(kind: ChannelKind, section: Value) -> Result<T> {
    serde_json::from_value(section)
        .map_err(|error| Error::invalid(format!("The section `{kind}` cannot be used: {error}")))
}

/// The refusal of a channel that is configured in part.
pub fn in_part(lacks: &str) -> Refusal {
    let class = RefusalClass::ChannelDown;
    Refusal { class, code: Reason::ConfiguredInPart.into(), text: lacks.to_owned(), retry_after: None }
}
