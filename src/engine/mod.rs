//! The engine: how a conversation runs.
//!
//! One pure function, [`step`], takes a compiled flow, a contact, a session, an event and the time, and returns the
//! session after it, the effects to carry out, and a record of what happened and why. It reads no clock, draws no
//! random number but from the session's seed, and does no input or output; the caller stores the result in one
//! transaction.
//!
//! Every loop has a limit, and hitting one is a state of the session, not a panic: see [`limits`].

mod address;
mod awaited;
mod body;
mod bounds;
mod callables;
mod check;
mod compile;
mod condition;
mod date;
mod extract;
mod filters;
mod items;
mod late;
mod lists;
mod machine;
mod moment;
mod notes;
mod number;
mod offered;
mod pattern;
mod pieces;
mod reply;
mod scope;
mod standstill;
mod template;
mod time_of_day;
mod window;
mod words;

pub use awaited::awaited;
pub use check::{NO_ENTRY_NODE, Offered, Publishing};
pub use compile::{CompiledFlow, problems_of};
pub use late::late_text;
pub use standstill::{Move, move_timers};

use std::sync::Arc;
use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::domain::{
    Contact, ContactChange, ContactId, EventName, FlowId, FlowPin, HttpCall, NodeId, OutgoingMessage, Reason, Reply,
    Session, SessionId, Status, Timestamp, Wait, WaitKind,
};

/// The bounds of a conversation.
pub mod limits {
    use std::time::Duration;

    /// Nodes that one event may pass; more fails the session with `node_limit`.
    pub const NODES_PER_TURN: u32 = 100;
    /// Events that one session may take; more fails it with `turn_limit`.
    pub const TURNS: u32 = 500;
    /// Bytes of JSON that a session's context may have; more fails it with `state_limit`, and what was too much is not
    /// kept.
    pub const STATE_BYTES: usize = 256 * 1024;
    /// Events that a session keeps until it waits for them; of more, the oldest is dropped. They count as context, too.
    pub const KEPT_EVENTS: usize = 20;
    /// Levels that a value in the context or in a contact's metadata may be nested: what is written deeper than 127
    /// cannot be read again.
    pub const DEPTH: usize = 64;
    /// Sub-flows that a session may be in at once; entering more fails it with `depth_limit`.
    pub const FRAMES: usize = 10;
    /// Replies that a session queues during an HTTP call; of more, the newest are not taken. They count as context,
    /// too.
    pub const QUEUED_REPLIES: usize = 20;
    /// How long an attempt of an HTTP call is waited for beyond its own timeout: its place in the queue, and the
    /// back-off before the next one.
    pub const CALL_BACK_OFF: Duration = Duration::from_secs(10);
    /// How long an HTTP call is waited for beyond all its attempts, before the timer of the wait is due. The runtime
    /// moves that timer on while the call is still to be made or answered.
    pub const CALL_GRACE: Duration = Duration::from_secs(5);
    /// Bytes of an HTTP call's address, and of each of its headers.
    pub const ADDRESS_BYTES: usize = 8 * 1024;
    /// Characters of one rendered text; the rest is cut, with a warning in the trace. That is eight of the longest
    /// messages of WhatsApp, which takes 45 at once for one person, and a turn may say a hundred texts.
    pub const TEXT_CHARS: usize = 32_768;
}

/// What happens to a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// It begins. Only for a session that [`begin`] just made.
    Start,
    /// The contact sent a message.
    Reply(Reply),
    /// The timer of the wait that was armed in this turn fell due.
    Timeout {
        /// The turn in which it was armed: in any other the timer is stale.
        armed_in: u32,
    },
    /// An event from outside. A `wait_for_event` for it takes it, now or later: until then the session keeps it,
    /// without a turn of its own.
    #[serde(rename = "event")]
    External {
        /// The event's name, which a `wait_for_event` node waits for.
        name: EventName,
        /// The event's payload; `null` without one.
        #[serde(default)]
        payload: Value,
    },
    /// The answer to the HTTP call that was armed in this turn.
    #[serde(rename = "http")]
    HttpAnswered {
        /// The turn that made the call: to a session that has gone on since, the answer means nothing.
        armed_in: u32,
        /// The answer's status; 0 without an answer.
        status: u16,
        /// The answer's body: JSON, or else text.
        #[serde(default)]
        body: Value,
    },
    /// The session takes up the oldest reply that it has queued. A caller that has applied an event applies this one
    /// for as long as [`next_queued`] returns it.
    Queued,
    /// A person gives a session in handoff back to its flow.
    Resume,
    /// The time to live ran out.
    Expire,
    /// The session is cancelled.
    Cancel {
        /// For the trace and the session.
        reason: String,
    },
    /// A message of this turn failed for good.
    DeliveryFailed {
        /// The turn that sent it.
        turn: u32,
        /// The node that sent it.
        node: NodeId,
        /// The provider's code.
        code: String,
    },
}

/// An action to carry out besides storing the session.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Say this to the contact.
    Send(OutgoingMessage),
    /// Write this into the contact.
    UpdateContact(ContactChange),
    /// Call this; the answer comes back as [`Event::HttpAnswered`] of this turn.
    CallHttp(HttpCall),
    /// A person is asked for.
    RequestHandoff {
        /// The node that asks.
        node: NodeId,
        /// What it wants the person to know.
        note: Option<String>,
        /// Whether the session waits until it is given back.
        waits: bool,
    },
}

/// One line of a turn's path.
#[derive(Debug, Clone, PartialEq)]
pub struct PathStep {
    /// The node's id.
    pub node: NodeId,
    /// The node's type.
    pub kind: String,
    /// The sub-flow that it is in; absent for the root flow.
    pub flow: Option<FlowPin>,
    /// The exit it was left by; `null` where the session stops or ends.
    pub exit: Option<String>,
    /// Why that exit.
    pub why: Option<String>,
    /// That the exit is not wired, and the conversation ends with it without a word.
    pub leads_nowhere: bool,
}

/// The reason at an exit that leads nowhere.
const NOWHERE: &str = "this exit leads nowhere";

impl PathStep {
    /// Why that exit, and that it leads nowhere if it does.
    pub fn reason(&self) -> Option<String> {
        match (&self.why, self.leads_nowhere) {
            (why, false) => why.clone(),
            (None, true) => Some(NOWHERE.to_owned()),
            (Some(why), true) => Some(format!("{why}; {NOWHERE}")),
        }
    }
}

impl Serialize for PathStep {
    /// As the trace shows it: the reason says where an exit leads nowhere.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reason = self.reason();
        let fields = 3 + usize::from(self.flow.is_some()) + usize::from(reason.is_some());
        let mut step = serializer.serialize_struct("PathStep", fields + usize::from(self.leads_nowhere))?;
        step.serialize_field("node", &self.node)?;
        step.serialize_field("type", &self.kind)?;
        if let Some(flow) = &self.flow {
            step.serialize_field("flow", flow)?;
        }
        step.serialize_field("exit", &self.exit)?;
        if let Some(reason) = &reason {
            step.serialize_field("why", reason)?;
        }
        if self.leads_nowhere {
            step.serialize_field("leads_nowhere", &true)?;
        }
        step.end()
    }
}

/// A value that a turn wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What was written, such as `context.size` or `contact.tags`.
    pub name: String,
    /// Its new value.
    pub value: Value,
}

/// Something an author should know of a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Warning {
    /// Where; `null` for the session as a whole.
    pub node: Option<NodeId>,
    /// What the author should know, in words.
    pub text: String,
}

/// The trace of one event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TurnRecord {
    /// The turn, counted from 1. An event that was ignored or kept has the number of the turn before.
    pub turn: u32,
    /// The event that the turn took.
    pub stimulus: Event,
    /// The nodes it passed, with the exit taken and why.
    pub path: Vec<PathStep>,
    /// What was written.
    pub changes: Vec<Change>,
    /// Warnings for the author.
    pub warnings: Vec<Warning>,
}

/// The outcome of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The session after it.
    pub session: Session,
    /// What to do, in order.
    pub effects: Vec<Effect>,
    /// What happened and why.
    pub record: TurnRecord,
    /// Why the event changed nothing, if so: a stale timer, a message during a delay.
    pub ignored: Option<Reason>,
    /// It was [`Event::External`] or a reply, and the session keeps it until it waits for it.
    pub is_kept: bool,
}

impl Step {
    /// Why a reply that was taken is no answer to a question, if so: it is `queued` for after a call, was `not_asked`
    /// for, or is a `no_match`.
    pub fn no_answer(&self) -> Option<Reason> {
        if self.is_kept {
            return Some(Reason::Queued);
        }
        let first = self.record.path.first()?;
        match (first.kind.as_str(), first.exit.as_deref()) {
            ("ask" | "menu", None | Some("no_match")) => Some(Reason::NoMatch),
            ("ask" | "menu", Some(_)) => None,
            _ => Some(Reason::NotAsked),
        }
    }
}

/// What a new session starts from.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// Id of the new session.
    pub id: SessionId,
    /// The flow to start.
    pub flow_id: FlowId,
    /// The published version.
    pub version: u32,
    /// The contact that the session is with.
    pub contact_id: ContactId,
    /// What the trigger passed.
    pub context: Map<String, Value>,
    /// Decides all random splits.
    pub seed: u64,
}

/// A session before its first event, which must be [`Event::Start`]. It begins at the flow's entry, or where its
/// `current_node` is set to before that event.
pub fn begin(flow: &CompiledFlow, beginning: Beginning, now: Timestamp) -> Session {
    Session {
        id: beginning.id,
        flow_id: beginning.flow_id,
        version: beginning.version,
        contact_id: beginning.contact_id,
        status: Status::Running,
        reason: None,
        outcome: None,
        current_node: None,
        wait: None,
        turn: 0,
        seed: beginning.seed,
        draws: 0,
        visits: std::collections::BTreeMap::new(),
        context: beginning.context,
        input: None,
        kept_events: Vec::new(),
        frames: Vec::new(),
        spoken: Vec::new(),
        undelivered: None,
        queued_replies: Vec::new(),
        expires_at: flow.ttl.map(|ttl| now.plus(ttl)),
        started_at: now,
        last_interaction_at: now,
        ended_at: None,
    }
}

/// The event that takes up the oldest queued reply, if the session is to have it now.
pub fn next_queued(session: &Session) -> Option<Event> {
    let is_calling = session.wait.as_ref().is_some_and(|wait| wait.kind == WaitKind::Http);
    let has_some = session.status == Status::Running && !session.queued_replies.is_empty();
    (has_some && !is_calling).then_some(Event::Queued)
}

/// Sets the timer of a wait that was armed in `turn` to the wait's span after `at`, when the channel accepted the
/// turn's message: a person has that long to reply, and a delay in seconds separates one message from the next. With a
/// delay the time to live moves along. `false` if the session is not in such a wait of that turn, or the wait has no
/// span; then nothing has changed.
pub fn rearm(session: &mut Session, turn: u32, at: Timestamp) -> bool {
    if session.status != Status::Running {
        return false;
    }
    let is_spoken_of = |wait: &&mut Wait| matches!(wait.kind, WaitKind::Reply | WaitKind::Delay);
    let wait = session.wait.as_mut().filter(is_spoken_of).filter(|wait| wait.armed_in == turn);
    let Some((wait, millis)) = wait.and_then(|wait| wait.timeout.map(|millis| (wait, millis))) else { return false };
    let wake_at = at.plus(Duration::from_millis(millis));
    let before = wait.wake_at.replace(wake_at);
    if let (WaitKind::Delay, Some(before), Some(expires_at)) = (wait.kind, before, session.expires_at) {
        // Expiry comes a time to live after the delay, or later.
        session.expires_at = Some(wake_at.plus(expires_at.since(before)));
    }
    true
}

/// Extends the life of a session whose message waits until `opening`, for the hours in which its flow may speak first,
/// to a whole time to live after that: a message cannot be answered before it is sent. A delay behind that message
/// counts from then, too.
pub fn extend_past(flow: &CompiledFlow, session: &mut Session, opening: Timestamp) {
    if session.wait.as_ref().is_some_and(|wait| wait.kind == WaitKind::Delay) {
        rearm(session, session.turn, opening);
    }
    if let (Status::Running, Some(ttl), Some(expires_at)) = (session.status, flow.ttl, session.expires_at) {
        session.expires_at = Some(expires_at.max(opening.plus(ttl)));
    }
}

/// What a look-up of a flow gives.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// The flow is compiled.
    Ready {
        /// The published version.
        version: u32,
        /// The compiled flow.
        flow: Arc<CompiledFlow>,
    },
    /// There is none: it is not published, or its version is gone.
    NotPublished,
    /// There is one, and it is not compiled yet.
    Load,
}

/// Finds the flows that a flow runs as sub-flows: the version asked for, else the published one.
pub type Flows<'a> = &'a dyn Fn(FlowId, Option<u32>) -> Lookup;

/// For flows that run no other.
pub fn no_flows(_: FlowId, _: Option<u32>) -> Lookup {
    Lookup::NotPublished
}

/// The look-up returned [`Lookup::Load`] for a flow that a step needs. Compile it and take the step again; nothing has
/// happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotLoaded;

/// Takes one event: the only way a session moves. `flow` is the version that the session is pinned to.
///
/// # Errors
/// When a sub-flow has to be compiled first.
pub fn step(
    flow: &CompiledFlow,
    flows: Flows<'_>,
    contact: &Contact,
    session: &Session,
    event: &Event,
    now: Timestamp,
) -> Result<Step, NotLoaded> {
    machine::Machine::new(flow, flows, contact, (session, event), now).run()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::FlowDocument;

    const TTL: Duration = Duration::from_secs(1800);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(0).plus(Duration::from_secs(seconds))
    }

    fn flow(nodes: Value) -> CompiledFlow {
        let document = json!({"schema_version": 1, "name": "F", "entry_node": "a", "nodes": nodes});
        CompiledFlow::load(FlowDocument::parse(&document).unwrap(), TTL)
    }

    fn contact() -> Contact {
        Contact::new(ContactId(Uuid::nil()), None)
    }

    fn new_session(flow: &CompiledFlow) -> Session {
        let beginning = Beginning {
            id: SessionId(Uuid::nil()),
            flow_id: FlowId(Uuid::nil()),
            version: 1,
            contact_id: contact().id,
            context: Map::new(),
            seed: 1,
        };
        begin(flow, beginning, at(0))
    }

    fn started(flow: &CompiledFlow) -> Session {
        step(flow, &no_flows, &contact(), &new_session(flow), &Event::Start, at(0)).unwrap().session
    }

    #[test]
    fn a_reply_that_fails_its_session_at_the_limit_of_turns_is_not_queued() {
        let flow = flow(json!([{"id": "a", "type": "ask", "text": "?"}]));
        let mut session = started(&flow);
        session.turn = limits::TURNS;
        let reply = Reply {
            kind: crate::domain::ReplyKind::Text,
            text: Some("Hi".to_owned()),
            option: None,
            payload: None,
            answers_turn: None,
            received_at: at(1),
        };
        let step = step(&flow, &no_flows, &contact(), &session, &Event::Reply(reply), at(1)).unwrap();
        assert_eq!(step.session.reason.as_deref(), Some("turn_limit"));
        assert_eq!(step.no_answer(), None);
    }

    #[test]
    fn a_timer_is_armed_again_for_the_turn_that_it_belongs_to_alone() {
        let mut session = started(&flow(json!([{"id": "a", "type": "ask", "text": "?", "timeout_seconds": 60}])));
        assert_eq!(session.wait.as_ref().unwrap().wake_at, Some(at(60)));
        let before = session.clone();
        assert!(!rearm(&mut session, 2, at(5)) && !rearm(&mut session, 0, at(5)));
        assert_eq!(session, before);
        assert!(rearm(&mut session, 1, at(5)));
        assert_eq!(session.wait.as_ref().unwrap().wake_at, Some(at(65)));
        let ended = Session { status: Status::Completed, ..session.clone() };
        assert!(!rearm(&mut ended.clone(), 1, at(9)), "one that has ended waits for nothing");
    }

    #[test]
    fn a_delay_in_seconds_takes_the_time_to_live_along() {
        let delaying = flow(json!([{"id": "a", "type": "delay", "seconds": 60}]));
        let mut session = started(&delaying);
        assert_eq!(session.expires_at, Some(at(60).plus(TTL)));
        assert!(!rearm(&mut session.clone(), 2, at(5)), "another turn's");
        extend_past(&delaying, &mut session, at(3600));
        let due = |session: &Session| (session.wait.as_ref().unwrap().wake_at, session.expires_at);
        assert_eq!(due(&session), (Some(at(3660)), Some(at(3660).plus(TTL))));
        // What was held goes out earlier than it was to, because the person has written.
        assert!(rearm(&mut session, 1, at(100)));
        assert_eq!(due(&session), (Some(at(160)), Some(at(160).plus(TTL))));
        session.expires_at = None;
        assert!(rearm(&mut session, 1, at(200)));
        assert_eq!(due(&session), (Some(at(260)), None));
    }

    #[test]
    fn a_wait_without_a_span_and_one_for_something_else_keep_their_timers() {
        for node in [
            json!({"id": "a", "type": "ask", "text": "?"}),
            json!({"id": "a", "type": "delay", "until": "1970-01-01T00:01:00Z"}),
            json!({"id": "a", "type": "handoff"}),
            json!({"id": "a", "type": "http_request", "url": "https://x.example"}),
        ] {
            let mut session = started(&flow(json!([node])));
            let before = session.clone();
            assert!(!rearm(&mut session, 1, at(5)));
            assert_eq!(session, before);
        }
    }

    #[test]
    fn a_sub_flow_that_is_not_compiled_yet_stops_the_step_before_anything_has_happened() {
        let id = FlowId(Uuid::from_u128(7));
        let sub = Arc::new(flow(json!([{"id": "a", "type": "ask", "text": "Name?"}])));
        let root = flow(json!([
            {"id": "a", "type": "send_message", "text": "Hi", "exits": {"next": "run"}},
            {"id": "run", "type": "run_flow", "flow_id": id}
        ]));
        let session = new_session(&root);
        let load = |_: FlowId, _: Option<u32>| Lookup::Load;
        assert_eq!(step(&root, &load, &contact(), &session, &Event::Start, at(0)), Err(NotLoaded));
        let ready = |asked: FlowId, version: Option<u32>| {
            assert_eq!((asked, version.unwrap_or(4)), (id, 4));
            Lookup::Ready { version: 4, flow: sub.clone() }
        };
        let session = step(&root, &ready, &contact(), &session, &Event::Start, at(0)).unwrap().session;
        assert_eq!(session.frames[0].flow.version, 4);
        let cancel = Event::Cancel { reason: "x".to_owned() };
        assert_eq!(step(&root, &load, &contact(), &session, &cancel, at(1)), Err(NotLoaded));
        let gone = step(&root, &no_flows, &contact(), &session, &cancel, at(1)).unwrap().session;
        assert_eq!((gone.status, gone.reason.as_deref()), (Status::Failed, Some("missing_flow")));
    }

    #[test]
    fn sessions_of_earlier_versions_load_as_they_were() {
        let json = json!({
            "id": Uuid::nil(), "flow_id": Uuid::nil(), "version": 1, "contact_id": Uuid::nil(), "status": "running",
            "current_node": "a",
            "wait": {"for": "reply", "entered_in": 1, "armed_in": 1, "attempts": 0, "wake_at": "1970-01-01T00:01:00Z"},
            "turn": 1, "seed": 1, "draws": 0, "visits": {"a": 1}, "context": {}, "started_at": "1970-01-01T00:00:00Z",
            "last_interaction_at": "1970-01-01T00:00:00Z"
        });
        let mut session: Session = serde_json::from_value(json).unwrap();
        assert!(session.frames.is_empty() && session.queued_replies.is_empty());
        assert!(!rearm(&mut session, 1, at(5)), "its span is not known");
        assert_eq!(session.wait.as_ref().unwrap().wake_at, Some(at(60)));
    }
}
