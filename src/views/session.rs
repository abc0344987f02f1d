//! A session, as each caller sees it.

use serde::Serialize;
use serde_json::{Map, Value};

use super::IsoTime;
use super::contact::{ContactBrief, ContactKeys, HeldBy};
use super::flow::FlowKeys;
use super::message::Message;
use crate::domain::{ContactId, FlowId, NodeId, Session, SessionId, Status, Timestamp, WaitKind};

/// Where a session stands, flattened into every struct that shows one. `T` is how a moment is shown: the API shows
/// whole seconds, the terminal milliseconds, too.
#[derive(Debug, Serialize)]
pub struct Standing<T> {
    status: Status,
    reason: Option<String>,
    outcome: Option<String>,
    current_node_id: Option<NodeId>,
    waiting_for: Option<WaitKind>,
    wake_at: Option<T>,
    expires_at: Option<T>,
}

impl<T: From<Timestamp>> From<&Session> for Standing<T> {
    fn from(session: &Session) -> Self {
        let wait = session.wait.as_ref();
        Self {
            status: session.status,
            reason: session.reason.clone(),
            outcome: session.outcome.clone(),
            current_node_id: session.current_node.clone(),
            waiting_for: wait.map(|wait| wait.kind),
            wake_at: wait.and_then(|wait| wait.wake_at).map(T::from),
            expires_at: session.expires_at.map(T::from),
        }
    }
}

/// A session in a list on the admin page.
#[derive(Debug, Serialize)]
pub struct ListedSession {
    id: SessionId,
    flow_id: FlowId,
    flow_name: Option<String>,
    version: u32,
    contact_id: ContactId,
    contact: Option<ContactBrief>,
    #[serde(flatten)]
    standing: Standing<IsoTime>,
    turn: u32,
    started_at: IsoTime,
    last_interaction_at: IsoTime,
    ended_at: Option<IsoTime>,
    #[serde(flatten)]
    held: Option<HeldBy>,
    /// The provider's code; there only where the last words of a session that completed were not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    undelivered: Option<String>,
}

impl ListedSession {
    /// A session with the flow's name, its contact, and who holds the conversation so that the session stands still.
    pub fn new(
        session: &Session,
        flow_name: Option<String>,
        contact: Option<ContactBrief>,
        held: Option<HeldBy>,
    ) -> Self {
        Self {
            id: session.id,
            flow_id: session.flow_id,
            flow_name,
            version: session.version,
            contact_id: session.contact_id,
            contact,
            standing: session.into(),
            turn: session.turn,
            started_at: IsoTime(session.started_at),
            last_interaction_at: IsoTime(session.last_interaction_at),
            ended_at: session.ended_at.map(IsoTime),
            held,
            undelivered: session.undelivered.clone(),
        }
    }
}

/// A session on the admin page.
#[derive(Debug, Serialize)]
pub struct SessionDetail {
    /// As lists show it.
    #[serde(flatten)]
    pub session: ListedSession,
    /// The values of the session's context.
    pub context: Map<String, Value>,
    /// Why it did not come to its end, in words.
    pub reason_text: Option<String>,
}

/// A session in an export; its turns follow.
#[derive(Debug, Serialize)]
pub struct ExportedSession {
    /// The session's own fields.
    #[serde(flatten)]
    pub session: SessionDetail,
    /// Calls of its flow that are not answered yet.
    pub http_calls: Vec<Value>,
}

/// The session of a simulation.
#[derive(Debug, Serialize)]
pub struct SimulatedSession<'a> {
    id: SessionId,
    flow_id: Option<FlowId>,
    version: Option<u32>,
    #[serde(flatten)]
    standing: Standing<IsoTime>,
    context: &'a Map<String, Value>,
    turn: u32,
}

impl<'a> SimulatedSession<'a> {
    /// A session of a flow and a version, as far as these have ids.
    pub fn new(session: &'a Session, flow_id: Option<FlowId>, version: Option<u32>) -> Self {
        let (standing, context) = (session.into(), &session.context);
        Self { id: session.id, flow_id, version, standing, context, turn: session.turn }
    }
}

/// A session with a page of its trace, for assistants.
#[derive(Debug, Serialize)]
pub struct SessionWithTurns {
    /// The session's own fields.
    #[serde(flatten)]
    pub session: SessionDetail,
    /// The turns, oldest first.
    pub turns: Vec<Turn>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

/// A turn of a session's trace.
#[derive(Debug, Serialize)]
pub struct Turn {
    /// What happened, as it was stored.
    #[serde(flatten)]
    pub record: Map<String, Value>,
    /// When the turn ran.
    pub at: IsoTime,
    /// The messages of the turn.
    pub messages: Vec<Message>,
}

/// A session in `/triggers/new-flow-triggered` and `/triggers/new-sequence-triggered`.
#[derive(Debug, Serialize)]
pub struct TriggeredSession {
    id: SessionId,
    #[serde(flatten)]
    flow: FlowKeys,
    #[serde(flatten)]
    contact: ContactKeys,
    status: &'static str,
    current_node_id: Option<NodeId>,
    context: Map<String, Value>,
    last_interaction_at: IsoTime,
    expires_at: Option<IsoTime>,
    completed_at: Option<IsoTime>,
    created_at: IsoTime,
}

impl TriggeredSession {
    /// A session with its flow and its contact.
    pub fn new(session: &Session, flow: FlowKeys, contact: ContactKeys) -> Self {
        Self {
            id: session.id,
            flow,
            contact,
            status: public_status(session.status),
            current_node_id: session.current_node.clone(),
            context: session.context.clone(),
            last_interaction_at: IsoTime(session.last_interaction_at),
            // One that has ended has no timers any more; the documented type knows no null.
            expires_at: session.expires_at.or(session.ended_at).map(IsoTime),
            completed_at: session.ended_at.map(IsoTime),
            created_at: IsoTime(session.started_at),
        }
    }
}

/// A status as clients of the public API know it: their list of four is complete.
fn public_status(status: Status) -> &'static str {
    match status {
        Status::Cancelled => Status::Failed.as_str(),
        other => other.as_str(),
    }
}

/// The answer to a trigger.
#[derive(Debug, Serialize)]
pub struct TriggerAnswer {
    /// The session's id.
    pub id: SessionId,
    /// `started` or `already_running`.
    pub status: &'static str,
    /// What was triggered.
    #[serde(flatten)]
    pub flow: FlowKeys,
    /// The contact that it is with.
    pub contact_id: ContactId,
    /// That the session has ended, and the flow's quiet period has not; there only where that is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
}

/// The answer to a cancel.
#[derive(Debug, Serialize)]
pub struct CancelAnswer {
    /// The session; there only where one was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<SessionId>,
    /// `cancelled` or `not_running`.
    pub status: &'static str,
}

/// A session in an event.
#[derive(Debug, Serialize)]
pub struct EventSession<'a> {
    /// The session's id.
    pub id: SessionId,
    /// The flow that it runs.
    pub flow_id: FlowId,
    /// The version of the flow.
    pub version: u32,
    /// The contact that it is with.
    pub contact_id: ContactId,
    /// Whether it runs, or how it ended.
    pub status: &'a str,
    /// Why it ended so.
    pub reason: Option<&'a str>,
    /// What it came to.
    pub outcome: Option<&'a str>,
}

impl<'a> From<&'a Session> for EventSession<'a> {
    fn from(session: &'a Session) -> Self {
        Self {
            id: session.id,
            flow_id: session.flow_id,
            version: session.version,
            contact_id: session.contact_id,
            status: session.status.as_str(),
            reason: session.reason.as_deref(),
            outcome: session.outcome.as_deref(),
        }
    }
}

/// How a session took an event from outside.
#[derive(Debug, Serialize)]
pub struct EventTaken<H> {
    /// The session's id.
    pub id: SessionId,
    /// `taken`, `kept` or `refused`.
    pub handled: H,
}

/// The answer to `send-event`.
#[derive(Debug, Serialize)]
pub struct EventAnswer<H> {
    /// The sessions that got the event.
    pub sessions: Vec<EventTaken<H>>,
}
