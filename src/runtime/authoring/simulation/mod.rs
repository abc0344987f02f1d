//! Conversations that are only tried out: the engine and the runtime's rules, without a store, a channel or a clock of
//! their own.
//!
//! A [`Simulation`] does what the runtime would do for one contact with one session, turn by turn and message by
//! message, because it takes events through the same functions as the writer's jobs. Its clock stands still until an
//! event moves it. What it holds is enough to play it again, which is how a conversation becomes a test case.
//!
//! HTTP calls get the answers, and sub-flows the documents, that it began with. On WhatsApp it shows the text or the
//! template, as the channel's window has it: the contact's messages open it for 24 hours.

mod afterwards;
mod consent;
mod events;
mod held;
mod opening;
mod script;
mod subject;
mod window;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{
    Contact, ContactId, FlowId, Held, HttpCall, OutgoingMessage, Reason, Session, SessionId, Status, Timestamp,
};
use crate::engine::{self, Beginning, CompiledFlow, Event, Lookup, TurnRecord};
use crate::runtime::commands::trigger::{self, TriggerRefusal};
use crate::runtime::inbound::{Earlier, EarlierKind};
use crate::runtime::job::turn::{self, NotTaken, Turn};

use events::Received;
pub use script::{HttpStub, Opening, PHONE, SimulatedEvent, Start, TestContact};
pub use subject::Subject;
use subject::sub_flows;
use window::Window;

/// Events that a simulation takes at most.
pub const EVENTS: usize = 1_000;
/// Bytes that the turns and events of a simulation may have as JSON.
pub const BYTES: usize = 4 * 1024 * 1024;

/// Why a simulation does not begin.
#[derive(Debug, Clone, PartialEq)]
pub enum NotStarted {
    /// A trigger would be refused for it.
    Trigger(TriggerRefusal),
    /// The message that was to begin it does not. The sentence says what it does.
    Message(String),
}

impl From<TriggerRefusal> for NotStarted {
    fn from(refusal: TriggerRefusal) -> Self {
        Self::Trigger(refusal)
    }
}

/// Why an event was refused. Nothing has changed then, the clock included.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// As a real session's trace says it, such as `session_ended` or `the message came during a delay`.
    pub reason: String,
}

impl Refused {
    fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// A turn of a simulation.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedTurn {
    /// When it ran.
    pub at: Timestamp,
    /// What happened and why.
    pub record: TurnRecord,
    /// What it said.
    pub messages: Vec<SimulatedMessage>,
}

/// A message of a simulation.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedMessage {
    /// Counts the messages of the simulation from 0.
    pub index: usize,
    /// The message.
    pub message: OutgoingMessage,
    /// Why it did not go out, if so.
    pub refused: Option<Reason>,
}

/// A conversation that is tried out.
#[derive(Debug)]
pub struct Simulation {
    subject: Subject,
    start: Start,
    /// The flows that can be run as sub-flows, the simulated one included.
    flows: HashMap<FlowId, Arc<CompiledFlow>>,
    events: Vec<SimulatedEvent>,
    state: State,
    turns: Vec<SimulatedTurn>,
    /// Bytes of `turns` and `events` as JSON.
    bytes: usize,
}

/// What an event that is refused must leave as it was.
#[derive(Debug, Clone)]
struct State {
    now: Timestamp,
    window: Window,
    session: Session,
    contact: Contact,
    /// The confirmation that is sent to a contact that opts out or in.
    confirmation: Option<String>,
    /// A colleague holds the conversation, or held it last.
    held: Option<Held>,
    /// Where the turns of the session begin among all: those before are of sessions that have ended.
    first_turn: usize,
    /// What became of the contact's messages, oldest first.
    earlier: Vec<Earlier>,
}

/// What comes of an event besides its turn.
struct After {
    /// The HTTP call that it made.
    call: Option<HttpCall>,
    /// The event of a message that the channel refuses.
    undelivered: Option<Event>,
}

impl Simulation {
    /// Starts a session, as a trigger would, or the message that begins it, and runs its first turn.
    ///
    /// # Errors
    /// What a trigger would be refused for that is not about the contact: no entry node, bad inputs. What becomes of a
    /// message that starts no session of the flow.
    pub fn start(subject: Subject, start: Start) -> Result<Self, NotStarted> {
        if let Some(message) = &start.message {
            message.check(&subject)?;
        }
        trigger::check_start(&subject.flow, &start.context)?;
        let now = start.now;
        let contact = start.contact.contact(ContactId(id(now, !start.seed)), now, start.message.is_none());
        let beginning = Beginning {
            id: SessionId(id(now, start.seed)),
            flow_id: subject.flow_id.unwrap_or(FlowId(Uuid::nil())),
            version: subject.version.unwrap_or(0),
            contact_id: contact.id,
            context: start.context.clone(),
            seed: start.seed,
        };
        let mut session = engine::begin(&subject.flow, beginning, now);
        let bytes = json_bytes(&start);
        let mut window = Window::new(&start);
        if let Some(message) = &start.message {
            session.input = Some(message.input());
            window.receive(now);
        }
        let (confirmation, held) = (None, None);
        let mut earlier = Vec::new();
        if start.message.is_some() {
            earlier.push(Earlier { at: now, kind: EarlierKind::Answered });
        }
        let state = State { now, window, session, contact, confirmation, held, first_turn: 0, earlier };
        let flows = sub_flows(&subject, &start);
        let mut simulation = Self { subject, start, flows, events: Vec::new(), state, turns: Vec::new(), bytes };
        // A first turn too large to be kept beside others is shown all the same; what follows it is refused.
        let _ = simulation.apply(&Event::Start);
        Ok(simulation)
    }

    /// Takes an event.
    ///
    /// # Errors
    /// Why it is not taken; nothing has changed then.
    pub fn take(&mut self, event: &SimulatedEvent) -> Result<(), Refused> {
        if self.events.len() >= EVENTS {
            return Err(Refused::because(format!("a simulation takes at most {EVENTS} events: start another")));
        }
        let (state, turns, bytes) = (self.state.clone(), self.turns.len(), self.bytes);
        let taken = self.run(event);
        match taken {
            Ok(()) => {
                self.bytes += json_bytes(event);
                self.events.push(event.clone());
            }
            Err(_) => {
                self.state = state;
                self.turns.truncate(turns);
                self.bytes = bytes;
            }
        }
        taken
    }

    /// What is simulated.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// How it began.
    pub fn beginning(&self) -> &Start {
        &self.start
    }

    /// The events that it took, in order.
    pub fn events(&self) -> &[SimulatedEvent] {
        &self.events
    }

    /// Where its clock stands.
    pub fn now(&self) -> Timestamp {
        self.state.now
    }

    /// Whether the channel's window for free text is open.
    pub fn is_window_open(&self) -> bool {
        self.state.window.is_open(self.state.now)
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.state.session
    }

    /// The contact, with what the flow changed about it.
    pub fn contact(&self) -> &Contact {
        &self.state.contact
    }

    /// All turns so far, oldest first.
    pub fn turns(&self) -> &[SimulatedTurn] {
        &self.turns
    }

    /// All messages so far, in the order of their indexes.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &SimulatedMessage> {
        self.turns.iter().flat_map(|turn| &turn.messages)
    }

    /// About how much memory it takes, in bytes.
    pub fn weight(&self) -> usize {
        // The document is there as it was parsed and as texts of its nodes; turns and events are larger than their
        // JSON.
        let flows: usize = self.flows.values().map(|flow| flow.weight()).sum();
        self.subject.flow.weight() + flows + 4 * self.subject.bytes + 2 * self.bytes
    }

    /// A session that had completed has failed if the channel does not take its last word.
    fn fail_completed(&mut self, event: &Event) {
        if let Event::DeliveryFailed { turn, code, .. } = event {
            turn::fail_completed(&mut self.state.session, *turn, code);
        }
    }

    /// Fires what is due. Gives how many timers there were.
    fn fire_due(&mut self) -> Result<usize, Refused> {
        let mut fired = 0;
        while let Some(event) = turn::due(&self.state.session, self.state.now) {
            self.apply(&event)?;
            fired += 1;
        }
        Ok(fired)
    }

    fn apply(&mut self, event: &Event) -> Result<(), Refused> {
        let mut after = self.apply_one(event)?;
        // As the runtime would: first what the channel does not take, then the answer to what was called, then the
        // replies that were queued meanwhile.
        loop {
            if let Some(failed) = after.undelivered.take() {
                if self.is_running() {
                    after = self.apply_one(&failed)?;
                } else {
                    self.fail_completed(&failed);
                }
                continue;
            }
            let answer = after.call.take().map(|call| self.answer(&call));
            let Some(event) = answer.or_else(|| turn::next(&self.state.session)) else { return Ok(()) };
            after = self.apply_one(&event)?;
        }
    }

    /// Takes one event. Gives what comes of it besides.
    fn apply_one(&mut self, event: &Event) -> Result<After, Refused> {
        let State { now, contact, .. } = &self.state;
        let before = self.as_if_not_held();
        let lookup = |id: FlowId, _| match self.flows.get(&id) {
            Some(flow) => Lookup::Ready { version: 0, flow: flow.clone() },
            None => Lookup::NotPublished,
        };
        let limits = self.state.window.text_limits(self.subject.texts);
        let taken = turn::take(&self.subject.flow, &lookup, contact, &before, event, (&limits, *now));
        let Turn { session, contact, mut said, call, mut record, .. } = taken.map_err(|why| match why {
            NotTaken::Ignored(why) => Refused::because(why),
            NotTaken::NotLoaded => Refused::because("a sub-flow is missing"),
        })?;
        self.state.session = session;
        self.state.contact = contact;
        self.hold_on();
        if said.iter().any(|said| said.refused.is_none()) {
            self.warn_of_colleague(&mut record);
        }
        self.state.window.choose_all(&mut said, self.state.now);
        let undelivered = said.iter().find_map(|said| {
            let code = said.refused.filter(|why| window::UNDELIVERED.contains(why))?;
            Some(Event::DeliveryFailed { turn: record.turn, node: said.message.node.clone(), code: code.into() })
        });
        self.keep(record, said)?;
        Ok(After { call, undelivered })
    }

    /// What the first stub that fits answers to a call; without one there is no answer.
    fn answer(&self, call: &HttpCall) -> Event {
        let stub = self.start.http.iter().find(|stub| stub.fits(call));
        let (status, body) = stub.map_or((0, Value::Null), |stub| (stub.status, stub.body.clone()));
        let armed_in = self.state.session.wait.as_ref().map_or(0, |wait| wait.armed_in);
        Event::HttpAnswered { armed_in, status, body }
    }

    fn keep(&mut self, record: TurnRecord, said: Vec<turn::PlannedMessage>) -> Result<(), Refused> {
        let first = self.messages().count();
        let messages: Vec<SimulatedMessage> = said
            .into_iter()
            .zip(first..)
            .map(|(said, index)| SimulatedMessage { index, message: said.message, refused: said.refused })
            .collect();
        self.bytes += json_bytes(&record) + messages.iter().map(|said| json_bytes(&said.message)).sum::<usize>();
        self.turns.push(SimulatedTurn { at: self.state.now, record, messages });
        if self.bytes > BYTES {
            return Err(Refused::because(format!("a simulation keeps at most {BYTES} bytes: start another")));
        }
        Ok(())
    }

    fn is_running(&self) -> bool {
        self.state.session.status == Status::Running
    }

    /// Why an event finds nothing to do.
    fn idle(&self, why: &str) -> Refused {
        Refused::because(if self.is_running() { why } else { Reason::HasEnded.as_str() })
    }
}

/// An id that looks like a trigger's, of version 7, and is the same whenever the same simulation is played again.
fn id(now: Timestamp, low: u64) -> Uuid {
    let millis = u64::try_from(now.as_millis()).unwrap_or_default();
    Uuid::from_u64_pair(millis << 16 | 0x7000, low)
}

/// The size of a value as JSON, without writing it.
fn json_bytes(value: &impl Serialize) -> usize {
    struct Count(usize);

    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX / 4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::domain::FlowDocument;
    use crate::runtime::ServerSettings;

    const TTL: Duration = Duration::from_secs(1800);

    pub(super) fn simulate(document: Value) -> Simulation {
        simulate_on(document, json!({}))
    }

    pub(super) fn simulate_on(document: Value, with: Value) -> Simulation {
        try_simulate(document, with).unwrap()
    }

    pub(super) fn try_simulate(document: Value, with: Value) -> Result<Simulation, NotStarted> {
        let document = FlowDocument::parse(&document).unwrap();
        let ServerSettings { default_ttl, words, colleague_pause, live, webhook, .. } = TTL.into();
        let flow = Arc::new(CompiledFlow::load(document, default_ttl));
        let subject = Subject {
            flow,
            flow_id: None,
            version: None,
            bytes: 1_000,
            words,
            colleague_pause,
            is_fallback: false,
            texts: (live, webhook),
        };
        let mut start = json!({"now": "2026-05-07T08:00:00+00:00", "seed": 7});
        start.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        Simulation::start(subject, serde_json::from_value(start).unwrap())
    }

    fn question(timeout: Value) -> Simulation {
        simulate(json!({
            "schema_version": 1, "name": "Question", "entry_node": "ask",
            "nodes": [
                {"id": "ask", "type": "menu", "text": "Tea?", "timeout_seconds": timeout,
                 "options": [{"id": "yes", "title": "Yes"}, {"id": "no", "title": "No"}],
                 "exits": {"yes": "milk", "timeout": "late"}},
                {"id": "milk", "type": "menu", "text": "Milk?",
                 "options": [{"id": "yes", "title": "Yes"}, {"id": "no", "title": "No"}]},
                {"id": "late", "type": "ask", "text": "Still there?"}
            ]
        }))
    }

    pub(super) fn event(event: Value) -> SimulatedEvent {
        serde_json::from_value(event).unwrap()
    }

    fn reason(simulation: &mut Simulation, refused: Value) -> String {
        let before = format!("{simulation:?}");
        let reason = simulation.take(&event(refused)).unwrap_err().reason;
        assert_eq!(format!("{simulation:?}"), before, "a refusal changes nothing");
        reason
    }

    #[test]
    fn a_tap_of_an_older_message_prompts_again_and_counts_no_attempt() {
        let mut simulation = question(Value::Null);
        simulation.take(&event(json!({"type": "tap", "id": "yes", "message": 0}))).unwrap();
        simulation.take(&event(json!({"type": "tap", "id": "yes", "message": 0}))).unwrap();
        let last = simulation.turns().last().unwrap();
        assert_eq!(last.record.path[0].why.as_deref(), Some("an older message was tapped"));
        assert_eq!((last.messages[0].index, last.messages[0].message.text.as_deref()), (2, Some("Milk?")));
        assert_eq!(simulation.session().wait.as_ref().unwrap().attempts, 0);
        assert_eq!(
            reason(&mut simulation, json!({"type": "tap", "id": "maybe", "message": 1})),
            "message 1 has no option `maybe`"
        );
        assert_eq!(reason(&mut simulation, json!({"type": "tap", "id": "yes", "message": 3})), "there is no message 3");
        simulation.take(&event(json!({"type": "tap", "id": "no"}))).unwrap();
        assert_eq!(simulation.session().status, Status::Completed);
        assert_eq!(reason(&mut simulation, json!({"type": "tap", "id": "no"})), "session_ended");
        assert_eq!(reason(&mut simulation, json!({"type": "reply", "text": "no"})), "no_session");
    }

    #[test]
    fn a_reply_after_an_overdue_timer_is_late_and_traced() {
        let mut simulation = question(json!(60));
        simulation.take(&event(json!({"type": "advance", "seconds": 61, "fire": false}))).unwrap();
        assert_eq!(simulation.turns().len(), 1);
        simulation.take(&event(json!({"type": "reply", "text": "yes"}))).unwrap();
        let [_, timeout, late] = simulation.turns() else { panic!("{:?}", simulation.turns()) };
        assert_eq!(timeout.record.path[0].exit.as_deref(), Some("timeout"));
        assert_eq!((late.record.turn, late.record.warnings[0].text.as_str()), (2, "ignored: late"));
        simulation.take(&event(json!({"type": "advance", "seconds": 3600, "fire": false}))).unwrap();
        simulation.take(&event(json!({"type": "reply", "text": "yes"}))).unwrap();
        assert_eq!(simulation.turns().last().unwrap().record.warnings[0].text, "ignored: session_ended");
        assert_eq!(simulation.session().status, Status::Expired);
    }

    #[test]
    fn time_is_moved_by_events_only_and_to_the_millisecond() {
        let mut simulation = question(json!(60));
        assert_eq!(reason(&mut simulation, json!({"type": "resume"})), "the session is not in handoff");
        simulation.take(&event(json!({"type": "advance", "seconds": 59.999}))).unwrap();
        assert_eq!(simulation.turns().len(), 1);
        simulation.take(&event(json!({"type": "advance", "seconds": 0.001}))).unwrap();
        assert_eq!(simulation.turns().len(), 2);
        assert_eq!(reason(&mut simulation, json!({"type": "timeout"})), "no timer is armed");
        simulation.take(&event(json!({"type": "expire"}))).unwrap();
        assert_eq!(simulation.now().to_string(), "2026-05-07T08:30:00+00:00");
        assert_eq!(reason(&mut simulation, json!({"type": "expire"})), "the session has ended");
        assert_eq!(reason(&mut simulation, json!({"type": "cancel"})), "the session has ended");
    }

    #[test]
    fn what_finds_timers_overdue_fires_them_though_it_is_not_taken_then() {
        let overdue = json!({"type": "advance", "seconds": 61, "fire": false});
        let mut simulation = question(json!(60));
        simulation.take(&event(overdue.clone())).unwrap();
        simulation.take(&event(json!({"type": "delivery_failed", "message": 0}))).unwrap();
        let [_, timeout, ignored] = simulation.turns() else { panic!("{:?}", simulation.turns()) };
        assert_eq!(timeout.record.path[0].exit.as_deref(), Some("timeout"));
        assert_eq!(ignored.record.warnings[0].text, "ignored: the session has gone on since that message");
        let mut simulation = question(json!(60));
        simulation.take(&event(overdue)).unwrap();
        simulation.take(&event(json!({"type": "event", "name": "paid"}))).unwrap();
        assert_eq!(simulation.session().kept_events.len(), 1);
        assert_eq!((simulation.turns().len(), simulation.session().turn), (3, 2), "keeping an event is no turn");
        simulation.take(&event(json!({"type": "advance", "seconds": 3600, "fire": false}))).unwrap();
        simulation.take(&event(json!({"type": "cancel"}))).unwrap();
        assert_eq!(simulation.session().status, Status::Expired);
        assert_eq!(reason(&mut simulation, json!({"type": "event", "name": "paid"})), "the session has ended");
    }

    #[test]
    fn calls_get_the_first_answer_that_fits_and_without_one_none() {
        let call = |id: &str, url: &str, next: &str| {
            json!({"id": id, "type": "http_request", "method": "POST", "url": url, "save_as": id,
                   "exits": {"success": next, "failure": next}})
        };
        let document = json!({
            "schema_version": 1, "name": "Calls", "entry_node": "one",
            "nodes": [call("one", "https://x.example/1", "two"), call("two", "https://x.example/2", "three"),
                      call("three", "https://y.example/", "done"), {"id": "done", "type": "ask", "text": "Done?"}]
        });
        let http = json!([
            {"method": "GET", "url": "https://x.example/1", "status": 500},
            {"method": "post", "url": "https://x.example/1", "status": 201, "body": {"id": 7}},
            {"url": "https://x.example/2", "status": 404},
            {"url": "https://x.example/2", "status": 200}
        ]);
        let simulation = simulate_on(document, json!({"http": http}));
        let context = &simulation.session().context;
        assert_eq!(context["one"], json!({"status": 201, "body": {"id": 7}}));
        assert_eq!(context["two"], json!({"status": 404, "body": null}));
        assert_eq!(context["three"], json!({"status": 0, "body": null}));
        assert_eq!((simulation.turns().len(), simulation.messages().count()), (4, 1), "each answer is a turn");
    }

    #[test]
    fn sub_flows_are_the_documents_it_began_with_and_people_give_back_what_they_took() {
        let id = "0193bc00-1111-7000-8000-000000000001";
        let sub = json!({"schema_version": 1, "name": "Agent", "entry_node": "agent", "nodes": [
            {"id": "agent", "type": "handoff", "note": "Help {{context.who}}"}]});
        let document = json!({"schema_version": 1, "name": "F", "entry_node": "run", "nodes": [
            {"id": "run", "type": "run_flow", "flow_id": id, "context": {"who": "Ann"}, "save_as": "sub"}]});
        let mut simulation = simulate_on(document.clone(), json!({"flows": {id: sub}}));
        assert_eq!(reason(&mut simulation, json!({"type": "reply", "text": "hi"})), "a person has taken over");
        assert_eq!(simulation.turns()[0].record.changes[0].value, json!("Help Ann"));
        simulation.take(&event(json!({"type": "resume"}))).unwrap();
        assert_eq!(simulation.session().context["sub"]["status"], "completed");
        let without = simulate_on(document, json!({}));
        assert_eq!(without.session().reason.as_deref(), Some("sub_flow_not_published"));
    }

    #[test]
    fn a_timeout_that_never_fires_is_refused() {
        let mut simulation = question(json!(1800));
        assert_eq!(reason(&mut simulation, json!({"type": "timeout"})), "the session expires first");
        simulation.take(&event(json!({"type": "advance", "seconds": 1800}))).unwrap();
        assert_eq!(simulation.session().status, Status::Expired);
    }

    #[test]
    fn what_it_keeps_is_bounded() {
        let text = "x".repeat(4_000);
        let mut simulation = simulate(json!({
            "schema_version": 1, "name": "Chatter", "entry_node": "say", "kind": "sequence",
            "nodes": [{"id": "say", "type": "send_message", "text": text, "exits": {"next": "set"}},
                      {"id": "set", "type": "set_variable", "assignments": [{"name": "a", "value": "y".repeat(60_000)}],
                       "exits": {"next": "wait"}},
                      {"id": "wait", "type": "delay", "seconds": 1, "exits": {"next": "say"}}]
        }));
        assert!(reason(&mut simulation, json!({"type": "advance", "seconds": 86_400})).contains("start another"));
        for _ in 0..EVENTS {
            simulation.take(&event(json!({"type": "window", "open": true}))).unwrap();
        }
        assert!(reason(&mut simulation, json!({"type": "window", "open": true})).contains("1000 events"));
        assert!(simulation.weight() < 3 * BYTES);
    }

    #[test]
    fn a_message_to_somebody_who_opted_out_does_not_go_out() {
        let mut simulation = simulate(json!({
            "schema_version": 1, "name": "Bye", "entry_node": "out",
            "nodes": [{"id": "out", "type": "update_contact", "opt_out": true, "exits": {"next": "ask"}},
                      {"id": "ask", "type": "ask", "text": "Sure?"}]
        }));
        assert_eq!(simulation.messages().next().unwrap().refused, Some(Reason::OptedOut));
        assert!(simulation.contact().opted_out_at.is_some());
        let told = reason(&mut simulation, json!({"type": "reply", "text": "no", "message": 0}));
        assert_eq!(told, "message 0 did not go out: opted_out");
        assert_eq!(reason(&mut simulation, json!({"type": "delivery_failed"})), "nothing was said yet");
        simulation.take(&event(json!({"type": "reply", "text": "no"}))).unwrap();
    }
}
