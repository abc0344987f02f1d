//! The messages that a channel sends, and their results.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{AddressKey, AddressKind, MediaRef, MessageId, MessageOption, MessageTemplate, Phone, Timestamp};

/// A message that is ready to go out.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The message's id. It goes out with the message and stays the same over all attempts, so that the far side can
    /// recognize a repetition.
    pub id: MessageId,
    /// The recipient.
    pub to: Recipient,
    /// What is sent.
    pub content: Content,
    /// When this attempt is made: what is signed and stamped carries it.
    pub at: Timestamp,
}

/// Where a person is reached. Which of the addresses a message goes to, its channel decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipient {
    /// One of each kind at most, the newest, in the order of the channels' kinds.
    pub addresses: Vec<AddressKey>,
}

impl Recipient {
    /// The recipient who is known by these values, by the names of their kinds. Values of other kinds than `kinds` are
    /// left out, and so is a phone that cannot be a number.
    pub fn of(known: &BTreeMap<String, String>, kinds: &[AddressKind]) -> Self {
        let of_kind = |kind: &AddressKind| {
            let value = known.get(kind.as_str())?;
            match *kind {
                AddressKind::PHONE => Phone::from_e164(value).ok().as_ref().map(AddressKey::of_phone),
                other => Some(AddressKey::new(other, value)),
            }
        };
        Self { addresses: kinds.iter().filter_map(of_kind).collect() }
    }

    /// The address of a kind.
    pub fn get(&self, kind: AddressKind) -> Option<&str> {
        self.addresses.iter().find(|address| address.kind == kind).map(|address| address.value.as_str())
    }

    /// The phone number that is shown.
    pub fn phone(&self) -> Option<Phone> {
        self.get(AddressKind::PHONE).and_then(|phone| Phone::from_e164(phone).ok())
    }
}

/// The content of a message. The choice between a node's text and template has been made.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A message of free text.
    Text(String),
    /// Free text with options to tap. Their ids are already `<session>:<option>`.
    Menu {
        /// Above the options.
        text: String,
        /// 1 to 10.
        options: Vec<MessageOption>,
    },
    /// A medium by link.
    Media {
        /// The medium, by its URL.
        media: MediaRef,
        /// The text below the medium.
        caption: Option<String>,
    },
    /// A template of the channel.
    Template {
        /// As the channel has it, in the language that is sent.
        template: Box<MessageTemplate>,
        /// Values by [`Placeholder::key`](crate::domain::Placeholder); none is blank.
        variables: BTreeMap<String, String>,
        /// For its quick-reply buttons in their order: `<session>:<option>`.
        payloads: Vec<String>,
    },
}

/// The outcome of handing a message over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The channel took it.
    Accepted {
        /// The channel's id of it.
        provider_id: Option<String>,
        /// The number that the channel says it reaches, which the person's answers will come from. It may have other
        /// digits than the one that was written to.
        reached: Option<AddressKey>,
    },
    /// The channel did not take it.
    Refused(Refusal),
    /// The request was written and no conclusive answer came: the channel may have taken it.
    Ambiguous {
        /// What happened instead.
        text: String,
    },
}

/// Why a channel did not take a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What to do about it.
    pub class: RefusalClass,
    /// The provider's code, such as `131047`; a reason of ours such as `unreachable` where there is none.
    pub code: String,
    /// The provider's explanation, without anything secret.
    pub text: String,
    /// How long the far side asks callers to wait.
    pub retry_after: Option<Duration>,
}

/// What a refusal calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalClass {
    /// This person gets too much: hold this person back, others go on.
    RecipientPacing,
    /// The channel as a whole is used too much: hold all of it back.
    ChannelPacing,
    /// It may go better the next time: a limited number of tries while others are taken; if those of several people
    /// meet with it and nothing is taken in between, as if the channel could not be reached.
    Transient,
    /// The far side could not be reached, or something else answered in its place, so the message was not taken: hold
    /// the whole channel back and go on trying; no try of the message is counted.
    Unreachable,
    /// Free text is not allowed to this person now.
    WindowClosed,
    /// The person does not want to be written to.
    OptedOut,
    /// This message will never be taken.
    Permanent,
    /// The channel refuses everything until an operator acts: pause it.
    ChannelDown,
}
