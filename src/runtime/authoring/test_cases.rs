//! Test cases: conversations that a flow must still have, checked before it is published.
//!
//! What is compared is what the person and the caller see: the messages, how the session stands, and values of the
//! context where the case names them. The path is not, so that renaming a node breaks no case.

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::CheckedDocument;
use super::simulation::{NotStarted, SimulatedEvent, SimulatedTurn, Simulation, Start, Subject};
use crate::domain::{FlowId, MessageKind, OutgoingMessage, Problem, Severity, Status, WaitKind, checks};
use crate::error::{Error, Result};
use crate::runtime::ServerSettings;
use crate::runtime::commands::trigger::TriggerRefusal;
use crate::store::test_cases::TestCaseRow;

/// Bytes of JSON that a script may have.
pub const BYTES: usize = 256 * 1024;
/// The problem of a document that breaks a test case.
pub const TEST_CASE_FAILED: &str = checks::TEST_CASE_FAILED.id();
/// How long playing a flow's test cases may take.
const RUN_TIMEOUT: Duration = Duration::from_secs(10);
/// Characters of a text in a failure's sentence at most.
const SHOWN_CHARS: usize = 200;

/// A test case: how a conversation begins, what happens in it, and what must come of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// How it begins.
    pub start: Start,
    /// What the first turn must come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectation>,
    /// What happens then, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// An event of a test case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The event that the simulation takes.
    pub event: SimulatedEvent,
    /// What it must come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectation>,
}

/// What an event must come to. What is absent is not compared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The messages, without those that must not go out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<ExpectedMessage>>,
    /// Whether the session goes on, or how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The outcome; `Some(None)` for none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub outcome: Option<Option<String>>,
    /// What the session waits for; `Some(None)` for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub waiting_for: Option<Option<WaitKind>>,
    /// Values of the context, by their names.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub context: Map<String, Value>,
}

/// Distinguishes a field that is null from one that is absent.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A message that is expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedMessage {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// The text that it must have; `None`: it is not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The titles of its options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// Where a test case breaks, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The turn of the session, as its trace counts: the start is 1.
    pub turn: u32,
    /// The event in words.
    pub stimulus: String,
    /// What was expected, and what came instead.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at turn {} ({}): {}", self.turn, self.stimulus, self.text)
    }
}

impl Script {
    /// A simulation as a test case: what was played, with what came of it as what must.
    ///
    /// # Errors
    /// `Internal` when it does not play the same way again.
    pub fn of(simulation: &Simulation) -> Result<Self> {
        let mut script = Self {
            start: simulation.beginning().clone(),
            expect: None,
            steps: simulation.events().iter().map(|event| Step { event: event.clone(), expect: None }).collect(),
        };
        let mut seen = Vec::with_capacity(script.steps.len() + 1);
        let played = script.play(simulation.subject(), |simulation, turns, _| {
            seen.push(Expectation::of(simulation, turns));
            Ok(())
        });
        played.map_err(|failure| Error::internal(format!("A simulation cannot be played again {failure}")))?;
        let mut seen = seen.into_iter();
        script.expect = seen.next();
        script.steps.iter_mut().zip(seen).for_each(|(step, expect)| step.expect = Some(expect));
        Ok(script)
    }

    /// Plays it on a flow.
    ///
    /// # Errors
    /// Where it breaks first.
    pub fn run(&self, subject: &Subject) -> Result<(), Failure> {
        self.play(subject, |simulation, turns, expect| {
            expect.map_or(Ok(()), |expect| expect.compare(simulation, turns))
        })
    }

    fn play(
        &self,
        subject: &Subject,
        mut check: impl FnMut(&Simulation, &[SimulatedTurn], Option<&Expectation>) -> Result<(), String>,
    ) -> Result<(), Failure> {
        let at_start = |text| Failure { turn: 1, stimulus: "the start".to_owned(), text };
        let mut simulation = Simulation::start(subject.clone(), self.start.clone())
            .map_err(|refusal| at_start(format!("expected a session, got a refusal: {}", refusal_text(&refusal))))?;
        check(&simulation, simulation.turns(), self.expect.as_ref()).map_err(at_start)?;
        for Step { event, expect } in &self.steps {
            let at = |turn| move |text| Failure { turn, stimulus: in_words(event), text };
            let (before, next) = (simulation.turns().len(), simulation.session().turn + 1);
            simulation
                .take(event)
                .map_err(|refused| at(next)(format!("expected that it is taken, got a refusal: {refused}")))?;
            let turn = simulation.session().turn.max(next);
            check(&simulation, &simulation.turns()[before..], expect.as_ref()).map_err(at(turn))?;
        }
        Ok(())
    }
}

impl Expectation {
    fn of(simulation: &Simulation, turns: &[SimulatedTurn]) -> Self {
        let session = simulation.session();
        Self {
            messages: Some(said(turns)),
            status: Some(session.status),
            outcome: Some(session.outcome.clone()),
            waiting_for: Some(session.wait.as_ref().map(|wait| wait.kind)),
            context: Map::new(),
        }
    }

    /// Compares, and returns what differs first.
    fn compare(&self, simulation: &Simulation, turns: &[SimulatedTurn]) -> Result<(), String> {
        let session = simulation.session();
        if let Some(expected) = &self.messages {
            let said = said(turns);
            let first = (0..expected.len().max(said.len())).find(|&index| expected.get(index) != said.get(index));
            if let Some(index) = first {
                return differ(message(expected.get(index)), message(said.get(index)));
            }
        }
        if let Some(expected) = self.status.filter(|expected| *expected != session.status) {
            let why = session.reason.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
            let got = format!("{}{why}", session.status.as_str());
            return differ(format!("that the session is {}", expected.as_str()), format!("that it is {got}"));
        }
        if let Some(expected) = self.outcome.as_ref().filter(|expected| **expected != session.outcome) {
            let outcome = |outcome: &Option<String>| match outcome {
                Some(outcome) => format!("the outcome {}", quoted(outcome)),
                None => "no outcome".to_owned(),
            };
            return differ(outcome(expected), outcome(&session.outcome));
        }
        let waiting_for = session.wait.as_ref().map(|wait| wait.kind);
        if let Some(expected) = self.waiting_for.filter(|expected| *expected != waiting_for) {
            let wait = |wait: Option<WaitKind>| match wait {
                Some(kind) => format!("a wait for {}", kind.as_str()),
                None => "no wait".to_owned(),
            };
            return differ(wait(expected), wait(waiting_for));
        }
        for (name, expected) in &self.context {
            let got = session.context.get(name);
            if got != Some(expected) {
                let got = got.map_or_else(|| "nothing there".to_owned(), |got| clipped(&got.to_string()));
                return differ(format!("context.{name} to be {}", clipped(&expected.to_string())), got);
            }
        }
        Ok(())
    }
}

/// Adds to a document's problems the test cases that it breaks. One that has errors runs none: they could only repeat
/// those. Takes as long as the conversations do, so not in the writer.
pub fn examine(
    checked: &mut CheckedDocument,
    flow_id: FlowId,
    cases: &[TestCaseRow],
    server: impl Into<ServerSettings>,
) {
    let has_errors = checked.problems.iter().any(|problem| problem.severity == Severity::Error);
    if has_errors || cases.is_empty() {
        return;
    }
    let subject = Subject::of(checked, Some(flow_id), server);
    let started = Instant::now();
    for (index, case) in cases.iter().enumerate() {
        if started.elapsed() > RUN_TIMEOUT {
            let left = cases.len() - index;
            let text = format!(
                "{left} of the test cases were not played, because the others took {} s. Delete some, or make them \
                shorter.",
                RUN_TIMEOUT.as_secs()
            );
            checked.problems.push(Problem::new(checks::TEST_CASE_FAILED, text));
            return;
        }
        if let Some(failure) = run(case, &subject) {
            let text = format!("Test case {} breaks {failure}", quoted(&case.name));
            checked.problems.push(Problem::new(checks::TEST_CASE_FAILED, text));
        }
    }
}

/// Runs a stored test case. Returns where it breaks, if it does.
pub fn run(case: &TestCaseRow, subject: &Subject) -> Option<String> {
    match serde_json::from_str::<Script>(&case.script) {
        Ok(script) => script.run(subject).err().map(|failure| failure.to_string()),
        Err(error) => Some(format!("because it cannot be read: {error}")),
    }
}

fn said(turns: &[SimulatedTurn]) -> Vec<ExpectedMessage> {
    let messages = turns.iter().flat_map(|turn| &turn.messages).filter(|said| said.refused.is_none());
    let expected = |message: &OutgoingMessage| ExpectedMessage {
        kind: message.kind,
        text: message.text.clone(),
        options: message.options.iter().map(|option| option.title.clone()).collect(),
    };
    messages.map(|said| expected(&said.message)).collect()
}

fn differ(expected: String, got: String) -> Result<(), String> {
    Err(format!("expected {expected}, got {got}"))
}

fn message(message: Option<&ExpectedMessage>) -> String {
    let Some(ExpectedMessage { kind, text, options }) = message else { return "no message".to_owned() };
    let what = match kind {
        MessageKind::Text | MessageKind::Menu => "",
        MessageKind::Media => "a medium",
        MessageKind::Template => "a template",
    };
    let text = text.as_deref().map(quoted);
    let mut shown = match (what, text) {
        ("", Some(text)) => text,
        ("", None) => "a message without text".to_owned(),
        (what, Some(text)) => format!("{what} with {text}"),
        (what, None) => what.to_owned(),
    };
    if !options.is_empty() {
        let titles: Vec<String> = options.iter().map(|title| quoted(title)).collect();
        shown.push_str(&format!(" with the options {}", titles.join(", ")));
    }
    shown
}

/// An event, as a sentence names it.
fn in_words(event: &SimulatedEvent) -> String {
    match event {
        SimulatedEvent::Reply { text, .. } => format!("the reply {}", quoted(text)),
        SimulatedEvent::Tap { id, .. } => format!("the tap on {}", quoted(id)),
        SimulatedEvent::Media { kind, .. } => format!("the {}", kind.as_str()),
        SimulatedEvent::Location { .. } => "the location".to_owned(),
        SimulatedEvent::Advance { seconds, .. } => format!("{seconds} s later"),
        SimulatedEvent::Timeout => "the timeout".to_owned(),
        SimulatedEvent::Expire => "the expiry".to_owned(),
        SimulatedEvent::Event { name, .. } => format!("the event {}", quoted(name.as_str())),
        SimulatedEvent::Resume => "the return from an agent".to_owned(),
        SimulatedEvent::DeliveryFailed { .. } => "the failed delivery".to_owned(),
        SimulatedEvent::Window { open: true } => "the window's opening".to_owned(),
        SimulatedEvent::Window { open: false } => "the window's closing".to_owned(),
        SimulatedEvent::Cancel { .. } => "the cancelling".to_owned(),
        SimulatedEvent::Colleague { .. } => "what the colleague wrote".to_owned(),
    }
}

fn refusal_text(refusal: &NotStarted) -> String {
    match refusal {
        NotStarted::Message(text) => text.clone(),
        NotStarted::Trigger(TriggerRefusal::BadInputs { errors }) => {
            errors.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" ")
        }
        _ => "the flow has no entry node".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", clipped(text))
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TTL: Duration = Duration::from_secs(1800);

    fn document() -> Value {
        json!({
            "schema_version": 1, "name": "Tea", "entry_node": "ask",
            "inputs": [{"name": "total", "required": true}],
            "nodes": [
                {"id": "ask", "type": "menu", "text": "Tea for {{context.total}}?", "timeout_seconds": 60,
                 "save_as": "choice", "options": [{"id": "yes", "title": "Yes"}, {"id": "no", "title": "No"}],
                 "exits": {"yes": "good", "no": "wait", "timeout": "late"}},
                {"id": "good", "type": "end", "outcome": "sold", "text": "Here you are"},
                {"id": "wait", "type": "delay", "seconds": 10, "exits": {"next": "good"}},
                {"id": "late", "type": "ask", "text": "Still there?", "exits": {"reply": "good"}}
            ]
        })
    }

    fn subject(document: &Value) -> Subject {
        Subject::of(&CheckedDocument::check(document, TTL).unwrap(), None, TTL)
    }

    fn script(script: Value) -> Script {
        let start = json!({"now": "2026-05-07T08:00:00+00:00", "seed": 7, "context": {"total": 3}});
        let mut script = script;
        script["start"] = script.get("start").cloned().unwrap_or(start);
        serde_json::from_value(script).unwrap()
    }

    fn played() -> Script {
        let script = script(json!({"steps": [
            {"event": {"type": "advance", "seconds": 90}}, {"event": {"type": "reply", "text": "Ann"}}
        ]}));
        let mut simulation = Simulation::start(subject(&document()), script.start.clone()).unwrap();
        script.steps.iter().for_each(|step| simulation.take(&step.event).unwrap());
        Script::of(&simulation).unwrap()
    }

    /// How the case that was played breaks on another document.
    fn broken(change: impl FnOnce(&mut Value)) -> String {
        let mut document = document();
        change(&mut document);
        played().run(&subject(&document)).unwrap_err().to_string()
    }

    #[test]
    fn what_was_played_passes_and_survives_json() {
        let script = played();
        assert_eq!(script.run(&subject(&document())), Ok(()));
        let json = serde_json::to_string(&script).unwrap();
        assert_eq!(serde_json::from_str::<Script>(&json).unwrap(), script);
        let expect = script.steps[1].expect.as_ref().unwrap();
        assert_eq!((&expect.outcome, expect.waiting_for), (&Some(Some("sold".to_owned())), Some(None)));
        assert_eq!(
            serde_json::to_value(&script.expect).unwrap(),
            json!({"messages": [{"type": "menu", "text": "Tea for 3?", "options": ["Yes", "No"]}],
                   "status": "running", "outcome": null, "waiting_for": "reply"})
        );
    }

    #[test]
    fn renaming_a_node_breaks_nothing() {
        let renamed = document().to_string().replace("\"late\"", "\"reminder\"");
        assert_eq!(played().run(&subject(&serde_json::from_str(&renamed).unwrap())), Ok(()));
    }

    #[test]
    fn a_failure_names_the_turn_the_event_and_what_differs() {
        assert_eq!(
            broken(|document| document["nodes"][0]["text"] = json!("Tea?")),
            "at turn 1 (the start): expected \"Tea for 3?\" with the options \"Yes\", \"No\", \
             got \"Tea?\" with the options \"Yes\", \"No\""
        );
        assert_eq!(
            broken(|document| document["nodes"][0]["timeout_seconds"] = json!(91)),
            "at turn 2 (90 s later): expected \"Still there?\", got no message"
        );
        assert_eq!(
            broken(|document| document["nodes"][1]["outcome"] = json!("gone")),
            "at turn 3 (the reply \"Ann\"): expected the outcome \"sold\", got the outcome \"gone\""
        );
        assert_eq!(
            broken(|document| document["nodes"][3]["type"] = json!("send_message")),
            "at turn 2 (90 s later): expected that the session is running, got that it is completed"
        );
        assert_eq!(
            broken(|document| document["inputs"][0]["name"] = json!("sum")),
            "at turn 1 (the start): expected a session, got a refusal: The context.sum field is required."
        );
    }

    #[test]
    fn only_what_is_named_is_compared() {
        let subject = subject(&document());
        let run = |steps: Value| script(json!({"steps": steps})).run(&subject).map_err(|failure| failure.to_string());
        let tap = json!({"type": "tap", "id": "yes"});
        assert_eq!(
            run(json!([{"event": tap, "expect": {"context": {"choice": "yes"}, "status": "completed"}}])),
            Ok(())
        );
        let told = run(json!([{"event": tap, "expect": {"context": {"choice": "no"}}}])).unwrap_err();
        assert_eq!(told, "at turn 2 (the tap on \"yes\"): expected context.choice to be \"no\", got \"yes\"");
        let told = run(json!([{"event": tap, "expect": {"waiting_for": "reply"}}])).unwrap_err();
        assert!(told.ends_with("expected a wait for reply, got no wait"), "{told}");
        let told = run(json!([{"event": tap}, {"event": {"type": "timeout"}}])).unwrap_err();
        let expected = "at turn 3 (the timeout): expected that it is taken, got a refusal: the session has ended";
        assert_eq!(told, expected);
    }

    #[test]
    fn a_document_that_breaks_a_case_has_that_problem_and_one_with_errors_runs_none() {
        let case = TestCaseRow {
            id: crate::domain::TestCaseId(uuid::Uuid::nil()),
            name: "buys".to_owned(),
            script: serde_json::to_string(&played()).unwrap(),
            actor: String::new(),
            created_at: played().start.now,
        };
        let unreadable = TestCaseRow { script: "{}".to_owned(), name: "old".to_owned(), ..case.clone() };
        let problems = |document: &Value| {
            let mut checked = CheckedDocument::check(document, TTL).unwrap();
            checked.problems.clear();
            let flow_id = FlowId(uuid::Uuid::nil());
            examine(&mut checked, flow_id, &[case.clone(), unreadable.clone()], TTL);
            assert!(!checked.is_publishable(false) && checked.is_publishable(true));
            checked.problems.into_iter().map(|problem| problem.text).collect::<Vec<_>>()
        };
        let old = "Test case \"old\" breaks because it cannot be read: missing field `start` at line 1 column 2";
        assert_eq!(problems(&document()), [old]);
        let mut changed = document();
        changed["nodes"][1]["text"] = json!("x".repeat(300));
        let found = problems(&changed);
        let got = format!("got \"{}…\"", "x".repeat(200));
        assert!(found[0].starts_with("Test case \"buys\" breaks at turn 3 (the reply \"Ann\"): expected"), "{found:?}");
        assert!(found[0].ends_with(&got), "{found:?}");

        let mut wrong = document();
        wrong["nodes"][0]["exits"]["yes"] = json!("nowhere");
        let mut checked = CheckedDocument::check(&wrong, TTL).unwrap();
        let before = checked.problems.clone();
        examine(&mut checked, FlowId(uuid::Uuid::nil()), std::slice::from_ref(&unreadable), TTL);
        assert_eq!(checked.problems, before);
    }
}
