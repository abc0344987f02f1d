//! Golden conversations: `tests/flows/*.json` hold a flow, events, and what must come of each.
//!
//! A file holds one conversation, or several as `"conversations": [{…}, …]`, each laid over what the file has beside:
//! those of one type of node share their flow, and each is counted.
//!
//! The session goes through JSON between any two events, as it does in the store. `UPDATE_GOLDEN=1 cargo test --test
//! engine golden` rewrites the expectations; read the difference before committing it.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use qyvo::domain::{Contact, FlowDocument, FlowId, FlowPin, Frame, NODE_TYPES, Reply, ReplyKind, Session, Timestamp};
use qyvo::engine::{Beginning, CompiledFlow, Effect, Event, Lookup, Step, begin, step};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use testkit::golden::{Conversation, conversations, of_file};
use uuid::Uuid;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    /// What the conversation shows, in a sentence.
    about: String,
    /// A document, or the name of a sample in `static/samples`.
    flow: Value,
    /// The flows that are published beside it, by their ids; each is at version 3.
    #[serde(default)]
    flows: BTreeMap<FlowId, Value>,
    #[serde(default)]
    contact: Option<Value>,
    #[serde(default)]
    context: Map<String, Value>,
    #[serde(default)]
    seed: Option<u64>,
    steps: Vec<GoldenStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoldenStep {
    /// Seconds since the step before.
    #[serde(default)]
    after: f64,
    /// See `read_event`.
    event: Value,
    #[serde(default)]
    expect: Value,
}

/// The events of a golden: those of the engine, with `{"type": "reply", "text": …}`, `{"type": "tap", "id": …}` and
/// `{"type": "send", "kind": "image", …}` for messages and `{"type": "timeout"}` for the timer that is armed.
fn read_event(event: &Value, session: &Session, now: Timestamp) -> Event {
    let text = |key: &str| event.get(key).and_then(Value::as_str).map(str::to_owned);
    let reply = |kind: ReplyKind| {
        const KEYS: [&str; 7] = ["type", "kind", "text", "id", "payload", "answers_turn", "received_at"];
        let unknown = event.as_object().unwrap().keys().find(|key| !KEYS.contains(&key.as_str()));
        assert_eq!(unknown, None, "{event}: a key with a slip in it would be a reply of another kind");
        Event::Reply(Reply {
            kind,
            text: text("text"),
            option: text("id"),
            payload: event.get("payload").cloned(),
            answers_turn: event.get("answers_turn").and_then(Value::as_u64).map(|turn| turn as u32),
            received_at: text("received_at").map_or(now, |at| at.parse().unwrap()),
        })
    };
    match event["type"].as_str().unwrap() {
        "reply" => reply(ReplyKind::Text),
        "tap" => reply(ReplyKind::Tap),
        "send" => reply(serde_json::from_value(event["kind"].clone()).unwrap()),
        "timeout" if event.get("armed_in").is_none() => {
            Event::Timeout { armed_in: session.wait.as_ref().map_or(0, |wait| wait.armed_in) }
        }
        _ => serde_json::from_value(event.clone()).unwrap(),
    }
}

fn shown(result: &Step) -> Value {
    let session = &result.session;
    let mut expect = json!({
        "path": result.record.path.iter().map(|step| {
            let exit = step.exit.as_deref().map_or_else(|| ".".to_owned(), |exit| format!("-> {exit}"));
            let why = step.why.as_deref().map_or_else(String::new, |why| format!(" ({why})"));
            let flow = step.flow.map_or_else(String::new, |pin| format!("{}: ", short(pin)));
            format!("{flow}{} {exit}{why}", step.node)
        }).collect::<Vec<_>>(),
        "session": {
            "status": session.status, "turn": session.turn, "current_node": session.current_node,
            "waiting_for": session.wait.as_ref().map(|wait| wait.kind.as_str()),
            "wake_at": session.wait.as_ref().and_then(|wait| wait.wake_at), "expires_at": session.expires_at,
            "context": session.context,
        },
    });
    let fields = expect.as_object_mut().unwrap();
    let said: Vec<Value> = result
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send(message) => Some(serde_json::to_value(message).unwrap()),
            _ => None,
        })
        .collect();
    let contact: Vec<Value> = result
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::UpdateContact(change) => Some(serde_json::to_value(change).unwrap()),
            _ => None,
        })
        .collect();
    let calls: Vec<Value> = result
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::CallHttp(call) => Some(serde_json::to_value(call).unwrap()),
            _ => None,
        })
        .collect();
    let handoffs: Vec<Value> = result
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::RequestHandoff { node, note, waits } => Some(json!({"node": node, "note": note, "waits": waits})),
            _ => None,
        })
        .collect();
    let warnings: Vec<String> = result.record.warnings.iter().map(|warning| warning.text.clone()).collect();
    if let Some(why) = result.ignored {
        fields.insert("ignored".to_owned(), json!(why));
    }
    if result.is_kept {
        fields.insert("kept".to_owned(), json!(true));
    }
    for (name, value) in [
        ("messages", json!(said)),
        ("calls", json!(calls)),
        ("handoffs", json!(handoffs)),
        ("contact", json!(contact)),
        ("warnings", json!(warnings)),
    ] {
        if value.as_array().is_some_and(|items| !items.is_empty()) {
            fields.insert(name.to_owned(), value);
        }
    }
    for (name, value) in [("reason", &session.reason), ("outcome", &session.outcome)] {
        if let Some(value) = value {
            fields["session"][name] = json!(value);
        }
    }
    if !session.kept_events.is_empty() {
        let names: Vec<&str> = session.kept_events.iter().map(|kept| kept.name.as_str()).collect();
        fields["session"]["kept_events"] = json!(names);
    }
    if !session.queued_replies.is_empty() {
        let texts: Vec<_> = session.queued_replies.iter().map(|reply| reply.text.as_deref()).collect();
        fields["session"]["queued_replies"] = json!(texts);
    }
    if !session.frames.is_empty() {
        let frame = |frame: &Frame| {
            json!({
                "flow": short(frame.flow), "current_node": frame.current_node, "context": frame.context,
                "returns": frame.returns,
            })
        };
        fields["session"]["frames"] = json!(session.frames.iter().map(frame).collect::<Vec<_>>());
    }
    if let Some(wait) = session.wait.as_ref().filter(|wait| wait.attempts > 0) {
        fields["session"]["attempts"] = json!(wait.attempts);
    }
    expect
}

/// A sub-flow by the end of its id.
fn short(pin: FlowPin) -> String {
    let id = pin.id.to_string();
    format!("flow {} version {}", &id[id.len() - 2..], pin.version)
}

fn goldens() -> Vec<(Conversation, Golden)> {
    let read = |conversation: Conversation| {
        let golden = Golden::deserialize(&conversation.golden);
        let golden = golden.unwrap_or_else(|error| panic!("{}: {error}", conversation.name));
        (conversation, golden)
    };
    conversations().into_iter().map(read).collect()
}

fn compile(golden: &Golden, flow: &Value) -> CompiledFlow {
    let document = match flow {
        Value::String(sample) => {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("static/samples/{sample}.json"));
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
        }
        document => document.clone(),
    };
    let document = FlowDocument::parse(&document).unwrap_or_else(|problems| panic!("{}: {problems:?}", golden.about));
    let (flow, problems) = CompiledFlow::compile(document, Duration::from_secs(1800));
    flow.unwrap_or_else(|| panic!("{}: {problems:?}", golden.about))
}

/// Plays a golden and gives what came of each step.
fn play(golden: &Golden) -> Vec<(Value, Step)> {
    let flow = compile(golden, &golden.flow);
    let sub_flows: BTreeMap<FlowId, Arc<CompiledFlow>> =
        golden.flows.iter().map(|(id, document)| (*id, Arc::new(compile(golden, document)))).collect();
    let lookup = |id: FlowId, version: Option<u32>| match sub_flows.get(&id) {
        Some(flow) if version.is_none_or(|version| version == 3) => Lookup::Ready { version: 3, flow: flow.clone() },
        _ => Lookup::NotPublished,
    };
    let uuid = |n: u128| Uuid::from_u128(0x0193_6b1e_0000_7000_8000_0000_0000_0000 + n);
    let mut contact = Contact::new(qyvo::domain::ContactId(uuid(1)), Some("+14155550123".parse().unwrap()));
    if let Some(given) = &golden.contact {
        let mut fields = serde_json::to_value(&contact).unwrap();
        fields.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        contact = serde_json::from_value(fields).unwrap();
    }
    let mut now: Timestamp = "2026-05-07T08:00:00Z".parse().unwrap();
    let beginning = Beginning {
        id: qyvo::domain::SessionId(uuid(2)),
        flow_id: FlowId(uuid(3)),
        version: 1,
        contact_id: contact.id,
        context: golden.context.clone(),
        seed: golden.seed.unwrap_or(7),
    };
    let mut session = begin(&flow, beginning, now);
    let mut results = Vec::new();
    for golden_step in &golden.steps {
        now = now.plus(Duration::from_millis((golden_step.after * 1000.0).round() as u64));
        let event = read_event(&golden_step.event, &session, now);
        let result = step(&flow, &lookup, &contact, &session, &event, now).unwrap();
        let replayed = step(&flow, &lookup, &contact, &session, &event, now).unwrap();
        assert_eq!(result, replayed, "{}: the engine is a function", golden.about);
        for effect in &result.effects {
            if let Effect::UpdateContact(change) = effect {
                contact.apply(change, now);
            }
        }
        let json = serde_json::to_string(&result.session).unwrap();
        session = serde_json::from_str(&json).unwrap();
        assert_eq!(session, result.session, "{}: a session survives JSON", golden.about);
        results.push((shown(&result), result));
    }
    results
}

#[test]
fn golden_conversations() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for (conversation, golden) in goldens() {
        let results = play(&golden).into_iter().map(|(shown, _)| shown);
        if update {
            conversation.expect(results);
            continue;
        }
        for (index, (golden_step, shown)) in golden.steps.iter().zip(results).enumerate() {
            if golden_step.expect != shown {
                let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
                wrong.push(format!(
                    "{} step {index}\nexpected {}\ngot {}",
                    conversation.name,
                    pretty(&golden_step.expect),
                    pretty(&shown)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The type of node that a golden is named after.
fn named_after(name: &str) -> Option<&'static str> {
    NODE_TYPES.into_iter().find(|kind| name.starts_with(&format!("{}-", kind.replace('_', "-"))))
}

#[test]
fn every_type_of_node_has_three_golden_conversations() {
    let mut seen: BTreeMap<String, usize> = NODE_TYPES.iter().map(|name| ((*name).to_owned(), 0)).collect();
    for (Conversation { name, .. }, golden) in goldens() {
        let passed: std::collections::BTreeSet<String> = play(&golden)
            .into_iter()
            .flat_map(|(_, result)| result.record.path.into_iter().map(|step| step.kind))
            .collect();
        let subject = named_after(&name).unwrap_or_else(|| panic!("{name} is named after no type of node"));
        assert!(passed.contains(subject), "{name} never passes a `{subject}`");
        for kind in passed {
            *seen.get_mut(&kind).unwrap() += 1;
        }
    }
    let few: Vec<_> = seen.iter().filter(|(_, count)| **count < 3).collect();
    assert!(few.is_empty(), "too few golden conversations for {few:?}");
}

#[test]
fn a_file_may_hold_several_conversations() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("end-several.json");
    let steps = json!([{"event": {"type": "start"}}]);
    let file = json!({
        "flow": {"nodes": []}, "seed": 1,
        "conversations": [{"about": "A", "steps": steps}, {"about": "B", "seed": 2, "steps": steps}]
    });
    std::fs::write(&path, file.to_string()).unwrap();
    let found = of_file(&path);
    let names: Vec<&str> = found.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["end-several#1", "end-several#2"]);
    assert_eq!(found[0].golden, json!({"flow": {"nodes": []}, "seed": 1, "about": "A", "steps": steps}));
    assert_eq!(found[1].golden, json!({"flow": {"nodes": []}, "seed": 2, "about": "B", "steps": steps}));
    found[1].expect([json!("said")]);
    let mut expected = file;
    expected["conversations"][1]["steps"][0]["expect"] = json!("said");
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(written, expected, "nothing else changes, and what is shared stays where it is");
}
