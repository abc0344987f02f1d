//! The events that are posted to webhook endpoints.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::IsoTime;
use super::contact::{ContactBrief, ContactConsent};
use super::session::EventSession;
use crate::domain::{EndpointId, MessageId, NodeId};

/// The tenant that events name, as Qyvo's do: a server has only this one.
pub const TENANT_ID: Uuid = Uuid::from_u128(1);

/// An event, as it is posted.
#[derive(Debug, Serialize)]
pub struct Event<'a, B> {
    event: &'a str,
    timestamp: IsoTime,
    tenant_id: Uuid,
    #[serde(flatten)]
    body: B,
}

impl<'a, B: Serialize> Event<'a, B> {
    /// An event at a time. `body` has the fields of its kind.
    pub fn new(event: &'a str, at: impl Into<IsoTime>, body: B) -> Self {
        Self { event, timestamp: at.into(), tenant_id: TENANT_ID, body }
    }
}

/// The event `webhook.test`, which tries an endpoint out.
#[derive(Debug, Serialize)]
pub struct TestEvent<'a> {
    /// Always `webhook.test`.
    pub event: &'a str,
    /// The endpoint that is tested.
    pub webhook_id: EndpointId,
    /// When it was asked for.
    pub timestamp: IsoTime,
}

/// The body of `session.…` events.
#[derive(Debug, Serialize)]
pub struct SessionMoved<'a> {
    /// The session that has begun or ended.
    pub session: EventSession<'a>,
    /// Whose it is.
    pub contact: ContactBrief,
}

/// The body of `handoff.requested`.
#[derive(Debug, Serialize)]
pub struct HandoffRequested<'a> {
    /// The session that asks for a person, and whose it is.
    #[serde(flatten)]
    pub of: SessionMoved<'a>,
    /// The node that asks.
    pub node: &'a NodeId,
    /// What it wants the person to know.
    pub note: Option<&'a str>,
    /// Whether the session waits until it is given back.
    pub waits: bool,
}

/// The body of `contact.opted_in` and `contact.opted_out`.
#[derive(Debug, Serialize)]
pub struct ConsentChanged<'a> {
    /// Who opted in or out.
    pub contact: ContactConsent<'a>,
}

/// The body of `channel.paused`.
#[derive(Debug, Serialize)]
pub struct ChannelPaused<'a> {
    /// The channel that is paused.
    pub channel: PausedChannel<'a>,
}

/// A channel that does not send, and why.
#[derive(Debug, Serialize)]
pub struct PausedChannel<'a> {
    /// The channel's name.
    pub name: &'a str,
    /// Such as the provider's code.
    pub reason: &'a str,
    /// The explanation in words, if there is one.
    pub explanation: Option<&'a str>,
}

/// The body of `channel.resumed`.
#[derive(Debug, Serialize)]
pub struct ChannelResumed<'a> {
    /// The channel that sends again.
    pub channel: ResumedChannel<'a>,
}

/// A channel that sends again.
#[derive(Debug, Serialize)]
pub struct ResumedChannel<'a> {
    /// The channel's name.
    pub name: &'a str,
}

/// The body of `message.status.…` events. Their time is when the message reached the stage.
#[derive(Debug, Serialize)]
pub struct MessageProgress<'a> {
    /// The message that reached the stage.
    pub message_id: MessageId,
    /// The provider's id of it.
    pub whatsapp_message_id: Option<&'a str>,
    /// Why it failed; there only where it did.
    #[serde(flatten)]
    pub failure: Option<MessageFailure<'a>>,
    /// What it costs; there only where the channel says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pricing: Option<&'a Value>,
}

/// Why a message failed.
#[derive(Debug, Serialize)]
pub struct MessageFailure<'a> {
    /// The provider's code, or ours.
    pub error_code: &'a str,
    /// What the provider says of it.
    pub error_message: Option<&'a str>,
}
