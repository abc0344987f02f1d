//! What channels hand over: messages, the progress of ours, and news about the channel itself.
//!
//! Nothing in it is trusted to be there: providers leave out numbers, contacts and ids.

use serde_json::Value;

use super::outgoing::RefusalClass;
use crate::domain::{AddressKey, Holder, MessageId, MessageTemplate, Phone, ReplyKind, TemplateStatus, Timestamp};

/// A delivery that is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not JSON: {0}")]
pub struct Unreadable(pub String);

/// One item of a provider's delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A person sent something.
    Message(Box<IncomingMessage>),
    /// A person sent something while another system of the provider holds the conversation.
    Overheard(Box<IncomingMessage>),
    /// Another sender wrote to a person on the same number.
    Echo(Box<Echo>),
    /// A conversation changed hands.
    Handover(Box<Handover>),
    /// The status of a message of ours.
    Progress(Box<Progress>),
    /// A template's status changed.
    Template(TemplateNews),
    /// The provider's list of templates has changed: it has to be fetched again.
    Templates,
    /// A person has told the provider whether marketing messages are wanted.
    Preference(Preference),
    /// Something about the account or the channel as a whole, to be shown to the operator.
    Notice {
        /// Short, such as the provider's code.
        code: String,
        /// A sentence for the operator.
        text: String,
        /// As it came.
        raw: Value,
    },
    /// What this version cannot read; it is kept as it came.
    Unknown {
        /// Why it cannot be read.
        why: String,
        /// As it came.
        raw: Value,
    },
}

/// A message from a person.
#[derive(Debug, Clone, PartialEq)]
pub struct IncomingMessage {
    /// The provider's id of it: the same one is handled once.
    pub provider_id: String,
    /// Who sent it.
    pub from: Sender,
    /// When it was written, as the provider says.
    pub sent_at: Option<Timestamp>,
    /// What it is.
    pub kind: IncomingKind,
    /// Typed text, a title or a caption.
    pub text: Option<String>,
    /// The id or payload of the tapped option, as we sent it.
    pub option: Option<String>,
    /// The provider's id of the message of ours that it taps or quotes.
    pub reply_to: Option<String>,
    /// Medium, place, contacts, order, as the provider describes it.
    pub payload: Option<Value>,
}

/// A message to a person that did not go out from here.
#[derive(Debug, Clone, PartialEq)]
pub struct Echo {
    /// The provider's id of it: a message of the same id is handled once, and its statuses name it.
    pub provider_id: String,
    /// Our id of it, should it be ours after all.
    pub message_id: Option<MessageId>,
    /// Who wrote it.
    pub by: Holder,
    /// The recipient.
    pub to: Sender,
    /// When it was written, as the provider says.
    pub sent_at: Option<Timestamp>,
    /// What it is.
    pub kind: IncomingKind,
    /// Its text or caption.
    pub text: Option<String>,
    /// The provider's id of the message that it quotes, edits, takes back or reacts to.
    pub reply_to: Option<String>,
    /// What else it has, as the provider describes it.
    pub payload: Option<Value>,
}

/// A conversation changed hands between us and another system of the provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Handover {
    /// The conversation with whom.
    pub person: Sender,
    /// Whether it is ours from now on.
    pub to_us: bool,
    /// When, as the provider says.
    pub at: Option<Timestamp>,
}

/// The sender of a message, with all that the provider reports of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sender {
    /// The addresses that are the person's, the surest first; at least one, but for the recipient of a status.
    pub addresses: Vec<AddressKey>,
    /// The name that the person goes by.
    pub name: Option<String>,
}

impl Sender {
    /// A person of whom only a phone number is known.
    pub fn of_phone(phone: &Phone) -> Self {
        Self { addresses: vec![AddressKey::of_phone(phone)], name: None }
    }
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncomingKind {
    /// Something that a flow may be waiting for.
    Reply(ReplyKind),
    /// An emoji on a message, or its removal. Never an answer.
    Reaction,
    /// Another text for an earlier message. Never an answer.
    Edit,
    /// An earlier message taken back. Never an answer.
    Revoke,
    /// The person has new addresses, which the payload says: see
    /// [`ChannelKind::new_addresses`](super::ChannelKind::new_addresses).
    NumberChanged,
    /// Another notice of the provider about the person.
    System,
}

impl IncomingKind {
    /// The name used in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reply(kind) => kind.as_str(),
            Self::Reaction => "reaction",
            Self::Edit => "edit",
            Self::Revoke => "revoke",
            Self::NumberChanged | Self::System => "system",
        }
    }
}

/// How far a message of ours got.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The provider's id of it.
    pub provider_id: Option<String>,
    /// Our id of it, which went out with it.
    pub message_id: Option<MessageId>,
    /// The stage that the message reached.
    pub stage: Stage,
    /// When, as the provider says.
    pub at: Option<Timestamp>,
    /// The recipient, as far as the provider names one.
    pub recipient: Sender,
    /// The class of a failure. The provider reports some only after it took the message.
    pub class: Option<RefusalClass>,
    /// The provider's code, of a failure.
    pub code: Option<String>,
    /// The provider's explanation, of a failure.
    pub text: Option<String>,
    /// What it costs, as the provider describes it.
    pub pricing: Option<Value>,
}

/// A stage of a message's way. A later one in this order is never replaced by an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The provider sent it off.
    Sent,
    /// It could not be delivered; never after it was.
    Failed,
    /// It reached the phone.
    Delivered,
    /// The person opened it.
    Read,
    /// The person listened to it.
    Played,
}

/// A template of the provider's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedTemplate {
    /// The provider's id of it, which differs by language.
    pub provider_id: String,
    /// The template, in one language.
    pub template: MessageTemplate,
}

/// A template whose status changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateNews {
    /// The template's name.
    pub name: String,
    /// The channel's code of its language.
    pub language: String,
    /// The provider's word for its status, such as `APPROVED`.
    pub status: String,
    /// The status that this means; `None` where that is whatever it was before, so that it has to be asked for.
    pub becomes: Option<TemplateStatus>,
    /// Why, where the provider says.
    pub reason: Option<String>,
}

/// Whether a person wants marketing messages, as expressed to the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    /// The person whose preference it is.
    pub from: Sender,
    /// Whether they are wanted.
    pub wants_marketing: bool,
    /// When the person said so, as the provider says.
    pub at: Option<Timestamp>,
}
