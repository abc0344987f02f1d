//! A simulation goes as the real thing does: every golden conversation is played by a [`Simulation`] and by the real
//! application with a clock that the test moves, and after each event both must show the same turns, messages, session
//! and contact.
//!
//! Both get the events of `tests/flows/*.json`, not what those expect: there an event goes to the engine directly,
//! while here timers fire because they are due, and what is overdue is settled before a message is heard. Two kinds of
//! events have no way into the real application:
//! - `delivery_failed`, which no channel reports yet: from there on the simulation is held against what the golden
//!   conversation expects;
//! - `resume`, which nobody can ask for yet: the same;
//! - a tap without an option, which no channel hands over: the comparison ends before it.
//!
//! Conversations that call an HTTP endpoint are not compared: what the network answers, and when, a simulation is told.
use std::path::Path;
use std::time::Duration;

use qyvo::domain::Synchronous;
use qyvo::domain::{Contact, ContactId, EventName, FlowId, FlowKind, ReplyKind, Status, Timestamp};
use qyvo::runtime::Clock;
use qyvo::runtime::authoring::CheckedDocument;
use qyvo::runtime::simulation::{Refused, SimulatedEvent, SimulatedTurn, Simulation, Start, Subject, TestContact};
use qyvo::store::flows::NewDraft;
use qyvo::store::{contacts, flows, sessions};
use serde_json::{Map, Value, json};
use testkit::app::{PHONE, START, TestApp, local};
use testkit::golden::conversations;
use uuid::Uuid;

/// The default time to live, on both sides.
const TTL: Duration = Duration::from_secs(1800);
/// Goldens that do not end on both sides, with the step from which they go on otherwise.
const PARTIAL: [(&str, usize); 14] = [
    ("delay-delivery-failed", 1),
    ("end-last-word-undelivered", 1),
    ("handoff-cancelled", 3),
    ("handoff-resumed", 2),
    ("handoff-timeout", 3),
    ("menu-delivery-failed", 1),
    ("menu-tap-without-a-turn", 2),
    ("run-flow-delivery-failed-inside", 1),
    ("run-flow-delivery-failed-of-one-that-is-over", 1),
    ("run-flow-delivery-failed-of-the-caller", 1),
    ("run-flow-delivery-failed-unwired", 1),
    ("send-message-delivery-failed-late", 2),
    ("send-message-delivery-failed-unwired", 1),
    ("send-message-delivery-failed-wired", 1),
];

/// One golden conversation on both sides.
struct Pair {
    app: TestApp,
    flow: FlowId,
    contact: Contact,
    /// Of the real session.
    session: Value,
    simulation: Simulation,
    /// Turns of the real session that the simulation refused instead of tracing them.
    refusals: usize,
}

fn start_of_all() -> Timestamp {
    START.parse().unwrap()
}

fn goldens() -> Vec<(String, Value)> {
    let all = conversations().into_iter().map(|conversation| (conversation.name, conversation.golden));
    all.filter(|(_, golden)| !calls(golden)).collect()
}

/// Whether a golden conversation calls an endpoint.
fn calls(golden: &Value) -> bool {
    golden.to_string().contains("\"http_request\"")
}

fn document(golden: &Value) -> Value {
    match &golden["flow"] {
        Value::String(sample) => {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("static/samples/{sample}.json"));
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
        }
        document => document.clone(),
    }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

impl Pair {
    async fn start(golden: &Value) -> Self {
        // The application's own sweeper plans its next round for an hour after its first one, and is woken by earlier
        // timers only: from then on it leaves all timers to the test.
        let first_round = Clock::by_hand(start_of_all().minus(Duration::from_secs(3600)));
        let app = TestApp::start_in(tempfile::tempdir().unwrap(), first_round, |config| {
            config.storage.synchronous = Synchronous::Off;
        })
        .await;
        let document = document(golden);
        let flows = object(&golden["flows"]);
        for (id, sub_flow) in &flows {
            // Some run themselves without waiting, which publishing refuses.
            publish_unchecked(&app, FlowId(id.parse().unwrap()), sub_flow).await;
        }
        let flow = publish(&app, &document).await;
        let test_contact: TestContact =
            serde_json::from_value(golden.get("contact").cloned().unwrap_or(json!({}))).unwrap();
        let contact = known_contact(&app, &test_contact).await;
        app.clock.set(start_of_all());
        let phone = contact.phone.as_ref().unwrap();
        let trigger = json!({"flow_id": flow, "phone": phone, "context": object(&golden["context"])});
        let started = app.post("/actions/trigger-flow", &trigger).await.expect(201);
        let session: Uuid = started["id"].as_str().unwrap().parse().unwrap();
        let start = Start {
            contact: test_contact,
            context: object(&golden["context"]),
            message: None,
            now: start_of_all(),
            // A trigger takes the low half of the session's id.
            seed: session.as_u64_pair().1,
            channel: Default::default(),
            window_open: true,
            flows,
            http: Vec::new(),
        };
        let checked = CheckedDocument::check(&document, TTL).unwrap();
        let simulation = Simulation::start(Subject::of(&checked, Some(flow), TTL), start).unwrap();
        Self { app, flow, contact, session: started["id"].clone(), simulation, refusals: 0 }
    }

    /// Takes a golden's step on both sides. Gives `false` if there is no way to.
    async fn step(&mut self, step: &Value) -> bool {
        let event = &step["event"];
        let millis = (step["after"].as_f64().unwrap_or(0.0) * 1000.0).round();
        let text = |key: &str| event[key].as_str().map(str::to_owned);
        let message = event["answers_turn"].as_u64().map(|turn| self.message_of(turn as u32));
        let stimulus = match event["type"].as_str().unwrap() {
            "reply" => SimulatedEvent::Reply { text: text("text").unwrap(), message },
            "tap" => {
                let Some(id) = text("id") else { return false };
                // A phone shows no option that the message does not have: such a tap names no message.
                let offers = |index: &usize| {
                    let said = self.simulation.messages().nth(*index).unwrap();
                    said.message.options.iter().any(|option| option.id == id)
                };
                SimulatedEvent::Tap { message: message.filter(offers), text: text("text"), id }
            }
            "send" if event["kind"] == "location" => {
                let mut fields = object(&event["payload"]);
                fields.insert("type".to_owned(), json!("location"));
                serde_json::from_value(Value::Object(fields)).unwrap()
            }
            "send" => {
                let kind: ReplyKind = serde_json::from_value(event["kind"].clone()).unwrap();
                SimulatedEvent::Media { kind, text: text("text"), media: object(&event["payload"]) }
            }
            // Timers fire when they are due, whatever the golden says of them.
            "timeout" | "expire" => SimulatedEvent::Advance { seconds: 0.0, fire: true },
            "cancel" => SimulatedEvent::Cancel { reason: text("reason") },
            "event" => serde_json::from_value(event.clone()).unwrap(),
            "delivery_failed" | "resume" => return false,
            // A session that runs begins only once: a trigger finds it, and a simulation has nothing to take.
            "start" => {
                let trigger = json!({"flow_id": self.flow, "phone": self.contact.phone});
                let found = self.app.post("/actions/trigger-flow", &trigger).await.expect(200);
                assert_eq!(found["id"], self.session);
                self.compare(&SimulatedEvent::Timeout).await;
                return true;
            }
            other => panic!("{other} is no event"),
        };
        self.play(&SimulatedEvent::Advance { seconds: millis / 1000.0, fire: false }).await;
        self.play(&stimulus).await;
        true
    }

    /// Lets something happen on both sides, and compares them.
    async fn play(&mut self, stimulus: &SimulatedEvent) {
        let before = self.real_turns().await.len();
        let title = self.title(stimulus);
        let taken = self.simulation.take(stimulus);
        let told = match (stimulus, &taken) {
            // There is no way to ask the real application for it: it fires timers when they are due.
            (SimulatedEvent::Timeout | SimulatedEvent::Expire, Err(refused)) => Some(refused.reason.clone()),
            _ => self.tell(stimulus, title).await,
        };
        self.compare_refusal(before, told, taken).await;
        self.compare(stimulus).await;
    }

    /// The title that a phone hands over with a tap.
    fn title(&self, stimulus: &SimulatedEvent) -> Option<String> {
        let SimulatedEvent::Tap { id, message, text } = stimulus else { return None };
        let said = self.simulation.messages().rev().filter(|said| message.is_none_or(|index| said.index == index));
        let title = said.flat_map(|said| &said.message.options).find(|option| option.id == *id);
        text.clone().or_else(|| title.map(|option| option.title.clone()))
    }

    /// The index of the first message that a turn said.
    fn message_of(&self, turn: u32) -> usize {
        let turn = self.simulation.turns().iter().find(|it| it.record.turn == turn).unwrap();
        turn.messages[0].index
    }

    /// Tells the real application. Gives why it did not take it, if so.
    async fn tell(&self, stimulus: &SimulatedEvent, title: Option<String>) -> Option<String> {
        let phone = self.contact.phone.as_ref().unwrap();
        let mut body = json!({"id": Uuid::now_v7(), "from": phone});
        match stimulus {
            SimulatedEvent::Reply { text, message } => {
                body["type"] = json!("text");
                body["text"] = json!(text);
                body["reply_to"] = self.real_message(*message).await;
            }
            SimulatedEvent::Tap { id, message, .. } => {
                body["type"] = json!("tap");
                body["option"] = json!(format!("{}:{id}", self.session.as_str().unwrap()));
                body["reply_to"] = self.real_message(*message).await;
                body["text"] = json!(title);
            }
            SimulatedEvent::Media { kind, text, media } => {
                body["type"] = json!(kind.as_str());
                body["text"] = json!(text);
                if !media.is_empty() {
                    body["media"] = json!(media);
                }
            }
            SimulatedEvent::Location { latitude, longitude, .. } => {
                body["type"] = json!("location");
                body["media"] = json!({"latitude": latitude, "longitude": longitude});
            }
            SimulatedEvent::Advance { fire: false, .. } => {
                self.app.clock.set(self.simulation.now());
                return None;
            }
            SimulatedEvent::Advance { .. } | SimulatedEvent::Timeout | SimulatedEvent::Expire => {
                self.sweep(self.simulation.now()).await;
                return None;
            }
            SimulatedEvent::Cancel { reason } => {
                let cancel = json!({"flow_id": self.flow, "phone": phone, "reason": reason});
                let answer = self.app.post("/actions/cancel-flow", &cancel).await.expect(200);
                return (answer["status"] == "not_running").then(|| "the session has ended".to_owned());
            }
            SimulatedEvent::Event { name, payload } => {
                let event = json!({"event": name, "payload": payload});
                let path = format!("/sessions/{}/events", self.session.as_str().unwrap());
                let answer = self.app.post(&path, &event).await;
                if answer.status != 409 {
                    answer.expect(202);
                    return None;
                }
                return Some(match answer.body["error"].as_str().unwrap() {
                    "The session has ended." => "the session has ended".to_owned(),
                    "The session has no room to keep the event." => "there is no room to keep the event".to_owned(),
                    other => panic!("{other}"),
                });
            }
            other => panic!("{other:?} has no way in"),
        }
        let answer = self.app.post("/inbound", &body).await.expect(202);
        // What is kept for a person goes by the engine, and leaves no trace in the session.
        if answer["handled"] == "handoff" {
            return Some("a person has taken over".to_owned());
        }
        answer["reason"].as_str().map(str::to_owned)
    }

    /// Moves the clock, and sweeps whenever something falls due.
    async fn sweep(&self, until: Timestamp) {
        loop {
            let store = self.app.runtime.store().clone();
            let next = tokio::task::spawn_blocking(move || store.read(sessions::next_due)).await.unwrap().unwrap();
            let Some(due_at) = next.filter(|due_at| *due_at <= until) else { break };
            self.app.clock.set(due_at.max(self.app.clock.now()));
            assert!(self.app.runtime.run_due().await.unwrap() > 0);
        }
        self.app.clock.set(until);
    }

    /// The id of a message, by its place among those of the session.
    async fn real_message(&self, index: Option<usize>) -> Value {
        let Some(index) = index else { return Value::Null };
        let turns = self.real_turns().await;
        let mut ids = turns.iter().flat_map(|turn| turn["messages"].as_array().unwrap()).map(|said| said["id"].clone());
        ids.nth(index).unwrap()
    }

    async fn real_turns(&self) -> Vec<Value> {
        self.app.turns(&self.session).await
    }

    /// What one side does not take, the other does not take either, and for the same reason.
    async fn compare_refusal(&mut self, before: usize, told: Option<String>, taken: Result<(), Refused>) {
        let turns = self.real_turns().await;
        let traced = |turn: &Value| {
            let warning = turn["warnings"][0]["text"].as_str().unwrap_or_default();
            warning.strip_prefix("ignored: ").map(str::to_owned)
        };
        match (told, taken) {
            (None, Ok(())) => assert!(turns[before..].iter().all(|turn| traced(turn).is_none())),
            // What was overdue ended the session first, which is a change.
            (Some(why), Ok(())) if ["the session has ended", "opted_out"].contains(&why.as_str()) => {
                assert!(turns.len() > before);
            }
            // Timers were settled first: that is a change, and the simulation keeps the trace of it.
            (Some(why), Ok(())) => assert_eq!(traced(turns.last().unwrap()), Some(why)),
            (Some(why), Err(refused)) => {
                assert_eq!(refused.reason, why);
                for turn in &turns[before..] {
                    assert_eq!(traced(turn).as_ref(), Some(&why));
                    self.refusals += 1;
                }
            }
            (None, Err(refused)) => panic!("only the simulation refused it: {refused}"),
        }
    }

    async fn compare(&self, event: &SimulatedEvent) {
        let simulation = &self.simulation;
        let ours = simulation.session().id.to_string();
        let with_our_id = |value: &Value| -> Value {
            let text = value.to_string().replace(self.session.as_str().unwrap(), &ours);
            serde_json::from_str(&text).unwrap()
        };
        let simulated: Vec<Value> = simulation.turns().iter().map(shown_turn).collect();
        // What a simulation refuses, the application traces; what both trace may look the same as such a turn.
        let mut unmatched: Vec<&Value> = simulated.iter().collect();
        let mut is_refusal = |turn: &Value| match unmatched.iter().position(|kept| *kept == turn) {
            Some(place) => {
                unmatched.remove(place);
                false
            }
            None => turn["warnings"][0]["text"].as_str().unwrap_or_default().starts_with("ignored: "),
        };
        let real: Vec<Value> = self.real_turns().await.iter().map(|turn| with_our_id(&real_turn(turn))).collect();
        let (refused, real): (Vec<Value>, Vec<Value>) = real.into_iter().partition(|turn| is_refusal(turn));
        assert_eq!(refused.len(), self.refusals, "{event:?}");
        assert_eq!(simulated, real, "{event:?}");

        let session = simulation.session();
        let wake_at = session.wait.as_ref().and_then(|wait| wait.wake_at);
        let simulated = json!({
            "flow_id": session.flow_id, "status": session.status, "outcome": session.outcome, "reason": session.reason,
            "current_node_id": session.current_node, "waiting_for": session.wait.as_ref().map(|wait| wait.kind),
            "wake_at": wake_at.map(|at| at.to_iso_seconds()),
            "expires_at": session.expires_at.map(|at| at.to_iso_seconds()),
            "ended_at": session.ended_at.map(|at| at.to_iso_seconds()),
            "context": session.context, "turn": session.turn,
        });
        let real = with_our_id(&self.app.session(&self.session).await);
        for (name, value) in simulated.as_object().unwrap() {
            assert_eq!(*value, real[name], "{event:?}: {name}");
        }

        let store = self.app.runtime.store().clone();
        let id = self.contact.id;
        let real = tokio::task::spawn_blocking(move || store.read(|conn| contacts::find_by_id(conn, id)));
        let real = real.await.unwrap().unwrap().unwrap().contact;
        assert_eq!(Contact { id, ..simulation.contact().clone() }, real, "{event:?}");
    }

    /// Plays on without the real application, against what a golden's step expects.
    fn step_alone(&mut self, step: &Value) {
        let event = &step["event"];
        let seconds = step["after"].as_f64().unwrap_or(0.0);
        self.simulation.take(&SimulatedEvent::Advance { seconds, fire: false }).unwrap();
        let before = self.simulation.turns().len();
        let text = |key: &str| event[key].as_str().map(str::to_owned);
        let taken = match event["type"].as_str().unwrap() {
            "delivery_failed" => {
                let is_named = |turn: &&SimulatedTurn| turn.record.turn == event["turn"].as_u64().unwrap() as u32;
                let turn = self.simulation.turns().iter().find(is_named);
                let said =
                    turn.and_then(|turn| turn.messages.iter().find(|it| it.message.node.as_str() == event["node"]));
                let index = said.map_or(usize::MAX, |said| said.index);
                self.simulation.take(&SimulatedEvent::DeliveryFailed { message: Some(index), code: text("code") })
            }
            "timeout" => self.simulation.take(&SimulatedEvent::Advance { seconds: 0.0, fire: true }),
            "cancel" => self.simulation.take(&SimulatedEvent::Cancel { reason: text("reason") }),
            "resume" => self.simulation.take(&SimulatedEvent::Resume),
            "expire" => self.simulation.take(&SimulatedEvent::Advance { seconds: 0.0, fire: true }),
            "reply" => self.simulation.take(&SimulatedEvent::Reply { text: text("text").unwrap(), message: None }),
            other => panic!("{other} after a delivery failed"),
        };
        let expect = &step["expect"];
        let turns = &self.simulation.turns()[before..];
        if expect.get("ignored").is_some() {
            assert!(taken.is_err() || turns.is_empty(), "{event}: {turns:?}");
        } else {
            taken.unwrap();
            let [turn] = turns else { panic!("{event}: {turns:?}") };
            let path: Vec<String> = turn.record.path.iter().map(golden_path).collect();
            let said: Vec<Value> =
                turn.messages.iter().map(|said| serde_json::to_value(&said.message).unwrap()).collect();
            assert_eq!(json!(path), expect["path"], "{event}");
            assert_eq!(json!(said), expect.get("messages").cloned().unwrap_or(json!([])), "{event}");
        }
        let session = self.simulation.session();
        let expected = &expect["session"];
        assert_eq!(json!(session.status), expected["status"], "{event}");
        assert_eq!(json!(session.reason), expected["reason"], "{event}");
        assert_eq!(
            (json!(session.turn), json!(session.current_node)),
            (expected["turn"].clone(), expected["current_node"].clone())
        );
        assert_eq!(json!(session.expires_at), expected["expires_at"], "{event}");
    }
}

fn golden_path(step: &qyvo::engine::PathStep) -> String {
    // Golden conversations name a sub-flow by the end of its id, at version 3.
    let flow = step.flow.map_or_else(String::new, |pin| {
        let id = pin.id.to_string();
        format!("flow {} version 3: ", &id[id.len() - 2..])
    });
    let exit = step.exit.as_deref().map_or_else(|| ".".to_owned(), |exit| format!("-> {exit}"));
    let why = step.why.as_deref().map_or_else(String::new, |why| format!(" ({why})"));
    format!("{flow}{} {exit}{why}", step.node)
}

/// Publishes over HTTP; a sequence, which no trigger starts yet, goes in as a flow's version.
async fn publish(app: &TestApp, document: &Value) -> FlowId {
    if document["kind"] != "sequence" {
        return app.publish(document).await;
    }
    let id = FlowId(Uuid::now_v7());
    publish_unchecked(app, id, document).await;
    id
}

/// Publishes whatever it is, as a flow.
async fn publish_unchecked(app: &TestApp, id: FlowId, document: &Value) {
    let (now, json) = (app.clock.now(), document.to_string());
    let write = app.runtime.store().write(move |tx| {
        let draft = NewDraft { kind: FlowKind::Flow, name: "Unchecked", document: &json, actor: "test" };
        let seq = flows::save_draft(tx, id, &draft, now)?;
        flows::publish(tx, seq, &json, None, "test", now)
    });
    write.await.unwrap();
}

/// A contact that is there before the trigger.
async fn known_contact(app: &TestApp, test_contact: &TestContact) -> Contact {
    let TestContact { name, phone, email, language, tags, metadata } = test_contact.clone();
    let phone = phone.unwrap_or_else(|| PHONE.parse().unwrap());
    let contact = Contact {
        name,
        email,
        language,
        tags,
        metadata,
        opted_in_at: Some(start_of_all()),
        ..Contact::new(ContactId(Uuid::now_v7()), Some(phone))
    };
    let (kept, now) = (contact.clone(), app.clock.now());
    app.runtime.store().write(move |tx| contacts::insert(tx, &kept, "test", now)).await.unwrap();
    contact
}

/// A turn of a simulation, as far as a real one must be like it: all but the ids of messages.
fn shown_turn(turn: &SimulatedTurn) -> Value {
    let messages: Vec<Value> = turn
        .messages
        .iter()
        .map(|said| {
            json!({
                "type": said.message.kind, "text": said.message.text, "options": said.message.options,
                "media": said.message.media, "template": said.message.template, "reason": said.refused,
                "status": if said.refused.is_some() { "failed" } else { "simulated" },
            })
        })
        .collect();
    json!({
        "turn": turn.record.turn, "at": turn.at.to_iso_seconds(), "stimulus": turn.record.stimulus,
        "path": without_versions(json!(turn.record.path)), "changes": turn.record.changes,
        "warnings": turn.record.warnings,
        "messages": messages,
    })
}

/// The steps of a path without the versions of sub-flows: only what is published has one.
fn without_versions(mut path: Value) -> Value {
    for step in path.as_array_mut().unwrap() {
        if let Some(flow) = step.get_mut("flow") {
            flow["version"] = json!(0);
        }
    }
    path
}

fn real_turn(turn: &Value) -> Value {
    let message = |said: &Value| {
        let mut options = said["options"].as_array().cloned().unwrap_or_default();
        for option in &mut options {
            let (_, bare) = option["id"].as_str().unwrap().split_once(':').unwrap();
            option["id"] = json!(bare);
        }
        json!({
            "type": said["type"], "text": said["text"], "options": options, "media": said["media"],
            "template": said["template"], "reason": said["reason"], "status": said["status"],
        })
    };
    let messages: Vec<Value> = turn["messages"].as_array().unwrap().iter().map(message).collect();
    let mut shown = json!({});
    for name in ["turn", "at", "stimulus", "path", "changes", "warnings"] {
        shown[name] = turn[name].clone();
    }
    shown["path"] = without_versions(shown["path"].take());
    shown["messages"] = json!(messages);
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn every_golden_conversation_goes_as_it_would_in_earnest() {
    local(async {
        let goldens = goldens();
        let (mut full, mut partial, mut steps) = (0, Vec::new(), 0);
        for (name, golden) in &goldens {
            println!("{name}");
            let mut pair = Pair::start(golden).await;
            let all = golden["steps"].as_array().unwrap();
            assert_eq!(all[0]["event"]["type"], "start");
            pair.compare(&SimulatedEvent::Timeout).await;
            let mut parted_at = None;
            for (index, step) in all.iter().enumerate().skip(1) {
                if !pair.step(step).await {
                    parted_at = Some(index);
                    break;
                }
                steps += 1;
            }
            match parted_at {
                None => full += 1,
                Some(index) => {
                    partial.push((name.as_str(), index));
                    if ["delivery_failed", "resume"].iter().any(|kind| all[index]["event"]["type"] == **kind) {
                        all[index..].iter().for_each(|step| pair.step_alone(step));
                    }
                }
            }
            pair.app.stop().await;
        }
        println!("{} conversations, {full} in full, {steps} events after the start", goldens.len());
        assert_eq!(partial, PARTIAL);
        assert_eq!(full + PARTIAL.len(), goldens.len());
        assert!(full >= 110 && steps >= 250, "{full} conversations in full, {steps} events");
    })
    .await;
}

/// Draws numbers: SplitMix64, so that a failure comes back.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }

    fn stimulus(&mut self, simulation: &Simulation, names: &[EventName]) -> SimulatedEvent {
        const SECONDS: [f64; 8] = [0.0, 0.25, 1.0, 29.999, 60.0, 600.0, 1800.0, 86_400.0];
        const TEXTS: [&str; 8] = ["yes", "No!", "2", "12.5", "Ann", "5/6/2026", "ann@example.com", "?"];
        let shown: Vec<_> = simulation.messages().filter(|said| said.refused.is_none()).collect();
        let with_options: Vec<_> = shown.iter().filter(|said| !said.message.options.is_empty()).collect();
        match self.roll(12) {
            0..=3 => {
                let message = (!shown.is_empty() && self.roll(3) == 0).then(|| self.pick(&shown).index);
                let options = simulation.session().wait.as_ref().map(|wait| wait.options.clone()).unwrap_or_default();
                let text = match options.is_empty() || self.roll(2) == 0 {
                    true => (*self.pick(&TEXTS)).to_owned(),
                    false => self.pick(&options).title.clone(),
                };
                // A blank title cannot be typed.
                let text = if text.trim().is_empty() { "blank".to_owned() } else { text };
                SimulatedEvent::Reply { text, message }
            }
            4 | 5 if !with_options.is_empty() => {
                let said = self.pick(&with_options);
                let id = self.pick(&said.message.options).id.clone();
                SimulatedEvent::Tap { id, message: (self.roll(2) == 0).then_some(said.index), text: None }
            }
            6 => SimulatedEvent::Media { kind: ReplyKind::Audio, text: None, media: Map::new() },
            7 if self.roll(2) == 0 => SimulatedEvent::Timeout,
            7 => SimulatedEvent::Event { name: self.pick(names).clone(), payload: json!({"id": self.roll(9)}) },
            8 if self.roll(8) == 0 => SimulatedEvent::Cancel { reason: None },
            8 if self.roll(4) == 0 => SimulatedEvent::Expire,
            _ => SimulatedEvent::Advance { seconds: *self.pick(&SECONDS), fire: self.roll(4) == 0 },
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_whatever_else_happens_to_their_flows() {
    local(async {
        let (mut steps, mut late, mut refused) = (0, 0, 0);
        for (index, (name, golden)) in goldens().iter().enumerate() {
            println!("{name}");
            let mut dice = Dice(index as u64);
            let mut pair = Pair::start(golden).await;
            let document = document(golden);
            let nodes = document["nodes"].as_array().unwrap();
            let mut names: Vec<EventName> =
                nodes.iter().filter_map(|node| node["event"].as_str()).map(|name| name.parse().unwrap()).collect();
            names.push("nobody.waits".parse().unwrap());
            let mut after_its_end = 0;
            for _ in 0..20 {
                let stimulus = dice.stimulus(&pair.simulation, &names);
                println!("  {stimulus:?}");
                pair.play(&stimulus).await;
                steps += 1;
                after_its_end += u32::from(pair.simulation.session().status != Status::Running);
                if after_its_end > 3 {
                    break;
                }
            }
            refused += pair.refusals;
            let is_late =
                |turn: &&SimulatedTurn| turn.record.warnings.iter().any(|it| it.text.starts_with("ignored: "));
            late += pair.simulation.turns().iter().filter(is_late).count();
            pair.app.stop().await;
        }
        println!("{steps} events, {late} replies too late, {refused} refused and traced");
        assert!(late >= 10 && refused >= 40, "{late} replies too late, {refused} refused and traced");
    })
    .await;
}
