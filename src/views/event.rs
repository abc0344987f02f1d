//! What webhook endpoints are told.

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
    /// What happened at a time. `body` has what its kind tells beside.
    pub fn new(event: &'a str, at: impl Into<IsoTime>, body: B) -> Self {
        Self { event, timestamp: at.into(), tenant_id: TENANT_ID, body }
    }
}

/// The event `webhook.test`, which tries an endpoint out.
#[derive(Debug, Serialize)]
pub struct TestEvent<'a> {
    /// Its name.
    pub event: &'a str,
    /// The endpoint.
    pub webhook_id: EndpointId,
    /// When it was asked for.
    pub timestamp: IsoTime,
}

/// What `session.…` events tell.
#[derive(Debug, Serialize)]
pub struct SessionMoved<'a> {
    /// The session.
    pub session: EventSession<'a>,
    /// Whose it is.
    pub contact: ContactBrief,
}

/// What `handoff.requested` tells.
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

/// What `contact.opted_in` and `contact.opted_out` tell.
#[derive(Debug, Serialize)]
pub struct ConsentChanged<'a> {
    /// Who opted in or out.
    pub contact: ContactConsent<'a>,
}

/// What `channel.paused` tells.
#[derive(Debug, Serialize)]
pub struct ChannelPaused<'a> {
    /// The channel.
    pub channel: PausedChannel<'a>,
}

/// A channel that does not send, and why.
#[derive(Debug, Serialize)]
pub struct PausedChannel<'a> {
    /// Its name.
    pub name: &'a str,
    /// Such as the provider's code.
    pub reason: &'a str,
    /// In words.
    pub explanation: Option<&'a str>,
}

/// What `channel.resumed` tells.
#[derive(Debug, Serialize)]
pub struct ChannelResumed<'a> {
    /// The channel.
    pub channel: ResumedChannel<'a>,
}

/// A channel that sends again.
#[derive(Debug, Serialize)]
pub struct ResumedChannel<'a> {
    /// Its name.
    pub name: &'a str,
}

/// What `message.status.…` events tell. Their time is when the message got so far.
#[derive(Debug, Serialize)]
pub struct MessageProgress<'a> {
    /// The message.
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
