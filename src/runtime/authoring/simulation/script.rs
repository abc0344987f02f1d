//! The input of a simulation: how it begins, and its events. All of it is JSON in test cases.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::channels::ChannelKind;
use crate::domain::profile::{clean_name, clean_tag};
use crate::domain::{Contact, ContactId, EventName, HttpCall, Phone, ReplyKind, Timestamp, web_link};

/// The phone number of a contact for whom none is given: of a range that is kept for fiction.
pub const PHONE: &str = "+14155550123";

/// A message from a contact with whom nothing goes on, as `POST /inbound` takes one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ReplyKind,
    /// What was written: the text, the title of what was tapped, the caption of a medium.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The id of what was tapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// The medium or the place as the channel describes it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub media: Map<String, Value>,
    /// The ad or post that led to it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub referral: Map<String, Value>,
}

/// How a simulation begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Whom it talks to.
    #[serde(default)]
    pub contact: TestContact,
    /// What the trigger passes.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub context: Map<String, Value>,
    /// The message that begins it, in place of a trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Opening>,
    /// When it begins.
    pub now: Timestamp,
    /// Decides all random splits.
    pub seed: u64,
    /// The channel to behave like.
    #[serde(default)]
    pub channel: ChannelKind,
    /// Whether the channel's window for free text is open.
    #[serde(default = "yes")]
    pub window_open: bool,
    /// Documents of sub-flows, by their ids.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub flows: Map<String, Value>,
    /// Answers of HTTP calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpStub>,
}

fn yes() -> bool {
    true
}

/// The contact of a simulation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TestContact {
    /// Full name; `None`: none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Phone number; [`PHONE`] where none is given.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "Phone::deserialize_typed")]
    pub phone: Option<Phone>,
    /// Email address; `None`: none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// BCP 47 language tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Names of tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Values by name, as `{{contact.metadata.*}}` reads them.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// What an HTTP call gets in place of an answer from the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpStub {
    /// The method it stands for; every one where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The address it stands for; every one where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The answer's status.
    pub status: u16,
    /// The answer's body.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub body: Value,
}

impl HttpStub {
    /// Whether it answers a call.
    pub(super) fn fits(&self, call: &HttpCall) -> bool {
        let is_method = |method: &String| method.eq_ignore_ascii_case(&call.method);
        // Calls have their addresses percent-encoded.
        let is_address = |url: &String| *url == call.url || web_link(url).as_ref() == Some(&call.url);
        self.method.as_ref().is_none_or(is_method) && self.url.as_ref().is_none_or(is_address)
    }
}

/// What happens in a simulation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum SimulatedEvent {
    /// The contact writes.
    Reply {
        /// The text of the message.
        text: String,
        /// The message that it quotes, by its index.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<usize>,
    },
    /// The contact taps an option.
    Tap {
        /// The option's id.
        id: String,
        /// The message whose option it is, by its index. Without it the tap names no message, as on some channels.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<usize>,
        /// The title that the channel hands over; the option's own where none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// The contact sends a medium, or address-book entries.
    Media {
        /// The kind of medium.
        kind: ReplyKind,
        /// The medium's caption.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// The medium as the channel describes it.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        media: Map<String, Value>,
    },
    /// The contact sends a place.
    Location {
        /// Latitude in degrees, positive to the north.
        latitude: Number,
        /// Longitude in degrees, positive to the east.
        longitude: Number,
        /// What the place is called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Where it is, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
    /// Time goes by, and what falls due fires when it does.
    Advance {
        /// How long, in seconds.
        seconds: f64,
        /// `false`: nothing fires meanwhile, as on a server that is down. The next event settles it first.
        #[serde(default = "yes", skip_serializing_if = "is_true")]
        fire: bool,
    },
    /// Time goes by until the wait's own timer fires.
    Timeout,
    /// Time goes by, timers firing, until the session expires.
    Expire,
    /// An event from outside is sent to the session.
    Event {
        /// The event's name.
        name: EventName,
        /// The event's payload; `null` where none is given.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        payload: Value,
    },
    /// An agent hands the contact back.
    Resume,
    /// A message fails for good.
    DeliveryFailed {
        /// Which, by its index; the last one where none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<usize>,
        /// The provider's code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// The channel's window for free text opens or closes.
    Window {
        /// Which of the two.
        open: bool,
    },
    /// A colleague writes to the contact in the WhatsApp Business app: the flow is silent for a while.
    Colleague {
        /// The text of the colleague's message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// The session is cancelled.
    Cancel {
        /// The reason in the trace and the session; `cancelled` where none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

impl TestContact {
    pub(super) fn contact(&self, id: ContactId, now: Timestamp, has_consent: bool) -> Contact {
        let phone = self.phone.clone().or_else(|| PHONE.parse().ok());
        let mut tags: Vec<String> = self.tags.iter().map(|tag| clean_tag(tag)).filter(|tag| !tag.is_empty()).collect();
        tags.sort();
        tags.dedup();
        Contact {
            name: self.name.as_deref().map(clean_name).filter(|name| !name.is_empty()),
            email: self.email.clone(),
            language: self.language.clone(),
            tags,
            metadata: self.metadata.clone(),
            // A trigger by phone number implies the person's consent; a message does not.
            opted_in_at: has_consent.then_some(now),
            ..Contact::new(id, phone)
        }
    }
}
