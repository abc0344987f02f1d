//! Types that exist without input or output: ids, time, phone numbers, contacts, the flow document, sessions, messages.
//!
//! Everything here is parsed at the edge and valid inside: a [`Phone`] that exists is a phone number, a
//! [`FlowDocument`] that exists has unique node ids of a known type. Nothing here reads a clock, draws a random
//! number, or knows how it is stored.

mod address;
mod any_node;
pub mod audit;
pub mod consent;
mod contact;
mod counter_name;
mod country_zone;
mod delivery_status;
mod direction;
mod document;
mod event_kind;
pub mod file_kind;
mod foreign;
mod handling;
mod held;
mod http_call;
mod ids;
pub mod json_text;
mod link;
mod message;
mod message_status;
mod named;
mod network;
mod node;
mod node_registry;
mod origin;
mod parts;
mod phone;
mod problem;
pub mod profile;
mod reason;
mod received_body;
mod resend;
mod scope;
mod send_hours;
pub mod server_problem;
mod session;
mod shape;
mod stored_message;
mod synchronous;
mod template;
pub mod text;
mod timestamp;
pub mod typed;
pub mod unicode_form;
pub mod unseen;

pub use address::{AddressKey, AddressKind};
pub use any_node::{MediaTemplate, Node, Passing, Says, TemplateUse};
pub use contact::{Contact, ContactChange};
pub use counter_name::CounterName;
pub use delivery_status::DeliveryStatus;
pub use direction::Direction;
pub use document::{FlowDocument, FlowKind, Input, InputType, LateReply, SendWindow, Settings, Survey};
pub use event_kind::{EventGroup, EventKind};
pub use foreign::what_instead;
pub use handling::Handling;
pub use held::{Held, Holder};
pub use http_call::{CALLED, HttpCall, NO_WEB_ADDRESS, NOT_CALLED};
pub use ids::{
    ContactId, EndpointId, EventName, FlowId, MessageId, NodeId, SessionId, SimulationId, TemplateId, TestCaseId,
    TokenId,
};
pub use link::{is_encoded_path, link_suffix, web_link};
pub use message::{MediaRef, MessageKind, MessageOption, OutgoingMessage, Reply, ReplyKind, TemplateRef, split_option};
pub use message_status::MessageStatus;
pub(crate) use named::named;
pub use network::Network;
// The registry of nodes exports all that it has: a new type needs no line here.
pub use node::*;
pub use node_registry::NodeSample;
pub use origin::Origin;
pub use parts::{Part, TextLimits, parts_of, split_text};
pub use phone::Phone;
pub use problem::{Check, Problem, Severity, checks};
pub use reason::{Place, Reach, Reason};
pub use received_body::ReceivedBody;
pub use resend::Resend;
pub use scope::Scope;
pub use send_hours::SendHours;
pub use session::{FlowPin, Frame, Input as SessionInput, KeptEvent, Session, Spoken, Status, Wait, WaitKind};
pub use stored_message::{NewMessage, SentAs, StoredBody, StoredMessage};
pub use synchronous::Synchronous;
pub use template::{
    ButtonKind, MessageTemplate, Placeholder, TemplateButton, TemplateHeader, TemplateStatus, check_placeholders,
    is_in_language, is_same_language, shares_language,
};
pub use timestamp::Timestamp;

/// Why a text is not a value of one of these types. The message is a whole sentence for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);
