//! A message from a person, as a channel hands it over, and what came of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::channels::ChannelKind;
use crate::channels::incoming::{IncomingKind, IncomingMessage, Sender};
use crate::domain::{
    FlowId, Handling, MessageId, Phone, ReceivedBody, Reply, ReplyKind, Session, SessionId, SessionInput, Timestamp,
    split_option,
};
use crate::runtime::job::arrivals::Arrival;

/// A message from a person, as a channel hands it over.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// The provider's id of it: the same one of the same sender is never handled twice.
    pub provider_id: String,
    /// Who sent it.
    pub from: Sender,
    /// What it is.
    pub kind: IncomingKind,
    /// Typed text, title or caption.
    pub text: Option<String>,
    /// Id of the tapped option: `<session>:<option>` as sent, or the bare option.
    pub option: Option<String>,
    /// Our message that it taps or quotes.
    pub reply_to: Option<Quoted>,
    /// Medium, place or contacts; of a notice, what it says.
    pub payload: Option<Value>,
    /// When it was written, as the channel says.
    pub sent_at: Option<Timestamp>,
    /// It was said while another system of the provider holds the conversation: nothing of ours answers it.
    pub is_overheard: bool,
    /// When the delivery came here that it was in.
    pub arrival: Arc<Arrival>,
}

/// A message of ours that a person taps or quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quoted {
    /// By our id.
    Ours(MessageId),
    /// By the channel's id.
    Provider(String),
}

/// The outcome of an [`Inbound`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// The stored message.
    pub message_id: MessageId,
    /// The session that it belongs to, or that it started.
    pub session_id: Option<SessionId>,
    /// How it was handled.
    pub handling: Handling,
    /// Why not, where it was not.
    pub reason: Option<String>,
}

/// A session and the last turn that it took.
#[derive(Clone, Copy)]
pub(super) struct StoredTurn {
    pub(super) seq: i64,
    pub(super) id: SessionId,
    pub(super) flow_id: FlowId,
    pub(super) turn: u32,
}

impl StoredTurn {
    pub(super) fn of(seq: i64, session: &Session) -> Self {
        Self { seq, id: session.id, flow_id: session.flow_id, turn: session.turn }
    }
}

/// A stored message from a person.
pub(super) struct Stored {
    pub(super) seq: i64,
    pub(super) id: MessageId,
}

impl Inbound {
    /// A message of a channel's delivery.
    pub fn of(message: IncomingMessage, arrival: Arc<Arrival>) -> Self {
        let IncomingMessage { provider_id, from, sent_at, kind, text, option, reply_to, payload } = message;
        let reply_to = reply_to.map(Quoted::Provider);
        Self { provider_id, from, kind, text, option, reply_to, payload, sent_at, is_overheard: false, arrival }
    }

    /// The same for one that was said to another system of the provider.
    pub fn overheard(message: IncomingMessage, arrival: Arc<Arrival>) -> Self {
        Self { is_overheard: true, ..Self::of(message, arrival) }
    }

    /// The scope in which the message's id is unique: the sender, where the channel numbers the messages of each
    /// person; the empty text, where it numbers all messages together.
    pub(super) fn id_sender(&self, channel: ChannelKind) -> String {
        let address = self.from.addresses.first().filter(|_| channel.numbers_by_sender());
        address.map_or_else(String::new, |address| match Phone::from_e164(&address.value) {
            Ok(phone) if !address.kind.is_id() => phone.one_form().to_string(),
            _ => address.value.clone(),
        })
    }

    pub(super) fn reply(&self, kind: ReplyKind, answers_turn: Option<u32>) -> Reply {
        let bare = |option: &str| split_option(option).map_or(option, |(_, bare)| bare).to_owned();
        Reply {
            kind,
            text: self.text.clone(),
            option: self.option.as_deref().map(bare),
            payload: self.payload.clone(),
            answers_turn,
            received_at: self.arrival.at(),
        }
    }

    /// What a flow that it starts reads as `{{input}}`.
    pub(super) fn input(&self, kind: ReplyKind) -> SessionInput {
        // No option of the flow that begins, but the payload of the button that was tapped.
        let option = self.option.as_deref().filter(|_| kind == ReplyKind::Tap);
        let bare = option.map(|option| split_option(option).map_or(option, |(_, bare)| bare));
        SessionInput::of(kind, self.text.as_deref(), bare, self.payload.as_ref())
    }

    pub(super) fn body(&self) -> ReceivedBody<'_> {
        ReceivedBody {
            text: self.text.as_deref(),
            option: self.option.as_deref(),
            reply_to: self.reply_to.as_ref().map(|quoted| match quoted {
                Quoted::Ours(id) => id.to_string(),
                Quoted::Provider(id) => id.clone(),
            }),
            payload: self.payload.as_ref(),
            sent_at: self.sent_at,
        }
    }
}
