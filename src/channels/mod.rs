//! Channels: how messages leave the house, and what they bring in.
//!
//! [`Channel`] is a closed enum and no trait object: there are three, the rest of the house asks what one of them can do
//! rather than what it is, and a fourth should make the compiler name every place that has to decide about it.

pub mod http;
pub mod incoming;
pub mod outgoing;
pub mod signature;
#[cfg(test)]
mod testing;
pub mod webhook;
pub mod whatsapp;

use std::sync::Arc;

use crate::domain::TextLimits;
use outgoing::{Outgoing, Refusal, RefusalClass, Sent};
use webhook::Webhook;
use whatsapp::WhatsApp;

/// The name of WhatsApp's channel.
pub const WHATSAPP: &str = "whatsapp";

/// The channel that messages go out on. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub enum Channel {
    /// Needs no account anywhere: what a flow says is recorded and shown, and no phone rings. There is nobody to hand a
    /// message to, so it counts as accepted in the very transaction that says it; it never waits in the outbox, and a
    /// timeout runs from that commit.
    Simulator,
    /// WhatsApp Cloud API.
    WhatsApp(Arc<WhatsApp>),
    /// The operator's own URL, behind which any other messenger may be.
    Webhook(Arc<Webhook>),
    /// A channel of which the settings of the database hold a part: its messages wait until the rest is there, or that
    /// part is taken away.
    Incomplete {
        /// The channel's name.
        name: &'static str,
        /// What is missing, and what to do.
        lacks: String,
    },
}

/// Why an incomplete channel is paused.
pub const CONFIGURED_IN_PART: &str = "configured_in_part";

impl Channel {
    /// Its name in the store, in the API and in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Simulator => "simulator",
            Self::WhatsApp(_) => WHATSAPP,
            Self::Webhook(_) => "webhook",
            Self::Incomplete { name, .. } => name,
        }
    }

    /// Whether anybody's phone rings.
    pub fn reaches_phones(&self) -> bool {
        match self {
            Self::Simulator => false,
            Self::WhatsApp(_) | Self::Webhook(_) | Self::Incomplete { .. } => true,
        }
    }

    /// Whether free text may go out only within 24 hours of the person's last message.
    pub fn has_window(&self) -> bool {
        match self {
            Self::WhatsApp(_) => true,
            Self::Simulator | Self::Webhook(_) => false,
            Self::Incomplete { name, .. } => *name == WHATSAPP,
        }
    }

    /// Whether the provider approves templates, so that a node's template must be one of those that it knows. The generic
    /// webhook takes templates as well, made by hand, and sends them filled in.
    pub fn has_templates(&self) -> bool {
        match self {
            Self::WhatsApp(_) => true,
            Self::Simulator | Self::Webhook(_) => false,
            Self::Incomplete { name, .. } => *name == WHATSAPP,
        }
    }

    /// How long the texts of its messages may be. What is longer goes out in parts.
    pub fn text_limits(&self) -> TextLimits {
        match self {
            Self::Simulator => TextLimits::NONE,
            Self::WhatsApp(_) => whatsapp::TEXT_LIMITS,
            Self::Webhook(webhook) => webhook.text_limits(),
            // What is cut now goes out once the channel is whole.
            Self::Incomplete { name, .. } if *name == WHATSAPP => whatsapp::TEXT_LIMITS,
            Self::Incomplete { .. } => TextLimits::all(Webhook::TEXT_CHARS),
        }
    }

    /// Whether the far side can tell a double, so that a message whose fate is unknown may well be sent again. A webhook's
    /// receiver is given the message's id as an idempotency key; WhatsApp documents none, and the person would get it twice.
    pub fn tells_doubles(&self) -> bool {
        match self {
            Self::Simulator | Self::Webhook(_) => true,
            Self::WhatsApp(_) => false,
            Self::Incomplete { name, .. } => *name != WHATSAPP,
        }
    }

    /// Why it takes nothing, if it is configured in part.
    pub fn lacks(&self) -> Option<&str> {
        match self {
            Self::Incomplete { lacks, .. } => Some(lacks),
            _ => None,
        }
    }

    /// Hands a message over, once. What to do after that is the outbox's business.
    pub async fn send(&self, message: &Outgoing) -> Sent {
        match self {
            Self::Simulator => Sent::Accepted { provider_id: None, wa_id: None },
            Self::WhatsApp(whatsapp) => whatsapp.send(message).await,
            Self::Webhook(webhook) => webhook.send(message).await,
            Self::Incomplete { lacks, .. } => Sent::Refused(in_part(lacks)),
        }
    }
}

/// The refusal of a channel that is configured in part.
pub fn in_part(lacks: &str) -> Refusal {
    let class = RefusalClass::ChannelDown;
    Refusal { class, code: CONFIGURED_IN_PART.to_owned(), text: lacks.to_owned(), retry_after: None }
}
