//! Properties of the engine and of the parsers, on flows, events and inputs that nobody wrote by hand.
//!
//! A flow is drawn as JSON, so that what is tested is what an import would bring. It is valid by construction: exits
//! lead to nodes that exist, and no loop lacks a wait. Everything after that is left to chance.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use qyvo::domain::{
    Contact, ContactId, FlowDocument, FlowId, NodeId, Phone, Place, Reason, Reply, ReplyKind, Session, SessionId,
    Status, Timestamp, WaitKind,
};
use qyvo::engine::{self, Beginning, CompiledFlow, Effect, Event, Lookup, Step, begin, limits, next_queued};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// A value that looks like a template. Conversations pass it on as it stands.
const EVIL: &str = "{{context.secret}}";
/// What would be seen if [`EVIL`] were ever expanded: no template of a drawn flow reads it.
const SECRET: &str = "S3CRET-VALUE";

/// Texts for every place that takes a template. Some render blank, fail, or grow what they read.
const TEXTS: [&str; 18] = [
    "Hello",
    "  ",
    "Hi {{contact.name|default('there')}}",
    "{{context.a}}",
    "{{context.a}} and {{context.b|money}}",
    "{{context.missing.deeper}}",
    "{{context.b * 1.1}}",
    "{{context.b + 1}}",
    "{{context.a ~ context.a}}",
    "{{[context.a, context.a]}}",
    "{{context.b * 9223372036854775807}}",
    "{{input.text}}",
    "{{input.id}} {{input.type}} {{node.visits}}",
    "{{contact.tags|join(',')}} {{contact.metadata}} {{contact.phone|phone_national}}",
    "{{now|date('%H:%M')}} {{session.id}} {{flow.name}}",
    "{{'0123456789' * 500}}",
    "2026-05-07",
    "{{context.list[1].name}}",
];

/// Texts that burn a part of a turn's fuel, or more than all of it.
const GREEDY: [&str; 2] = [
    "{% for i in range(300) %}{{i}} {% endfor %}",
    "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
];

/// What people type, besides noise.
const TYPED: [&str; 24] = [
    "yes",
    "Yes!",
    "No thanks",
    "yes or no",
    "1",
    "2.",
    "٣",
    "2️⃣",
    "",
    "   ",
    "24ans",
    "1.000,50",
    "0.1234567890123",
    "1 000 5",
    "-3",
    "5/6/2026",
    "on May 7th",
    "9:30 pm",
    "ann@example.com",
    "+44 20 7946 0000",
    "(415) 555-0199",
    "order 4711",
    "👍🏽 ok",
    EVIL,
];

const NAMES: [&str; 3] = ["a", "b", "list"];
const OPTIONS: [(&str, &str); 4] = [("yes", "Yes"), ("no", "No"), ("two", "2"), ("own", "{{context.a}}")];
/// Events from outside; no drawn node waits for the last.
const EVENTS: [&str; 3] = ["paid", "order.shipped", "other"];
/// The flows beside the one that a session is of; the last is not published.
const SUB_FLOWS: [&str; 3] = [
    "0193bc00-1111-7000-8000-000000000001",
    "0193bc00-1111-7000-8000-000000000002",
    "0193bc00-1111-7000-8000-000000000003",
];
const OPERATORS: [&str; 21] = [
    "equals",
    "not_equals",
    "contains",
    "starts_with",
    "ends_with",
    "matches",
    "in",
    "is_set",
    "is_empty",
    "number_eq",
    "number_lt",
    "number_lte",
    "number_gt",
    "number_gte",
    "number_between",
    "date_before",
    "date_after",
    "date_eq",
    "has_any_word",
    "has_all_words",
    "has_tag",
];

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

fn texts() -> impl Strategy<Value = &'static str> {
    prop_oneof![60 => select(&TEXTS[..]), 1 => select(&GREEDY[..])]
}

/// An object without the fields that were drawn as absent.
fn object(fields: Value) -> Value {
    let mut fields = fields;
    if let Some(map) = fields.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    fields
}

fn template() -> impl Strategy<Value = Value> {
    (option::of(select(&["de", "en_US"][..])), texts())
        .prop_map(|(language, text)| object(json!({"name": "t", "language": language, "variables": {"1": text}})))
}

fn send_message() -> impl Strategy<Value = Value> {
    let media = (select(&["image", "audio", "document"][..]), texts(), option::of(texts())).prop_map(
        |(kind, path, caption)| {
            object(json!({"kind": kind, "url": format!("https://x.example/{path}"), "caption": caption}))
        },
    );
    (texts(), option::weighted(0.3, media), option::weighted(0.3, template())).prop_map(|(text, media, template)| {
        // A text of blanks alone is refused by the check, where nothing else is said.
        let text = if text.trim().is_empty() { "Hello" } else { text };
        object(json!({"type": "send_message", "text": text, "media": media, "template": template}))
    })
}

fn ask() -> impl Strategy<Value = Value> {
    let expects = select(
        &["any", "any", "text", "text", "number", "number", "date", "time", "email", "phone", "media", "location"][..],
    );
    let bounds = select(vec![json!({}), json!({"pattern": "\\d"}), json!(null)]);
    let save_as = option::of(select(&NAMES[..]));
    (option::of(texts()), expects, bounds, save_as, option::of(texts()), 1..6_u32, option::of(1..4_000_u32)).prop_map(
        |(text, expects, validation, save_as, retry_text, max_attempts, timeout_seconds)| {
            // Bounds are of the kind of what is expected.
            let of_kind = match expects {
                "date" => json!({"min": "2026-05-07"}),
                "time" => json!({"max": "18:00"}),
                _ => json!({"min": "2", "max": 30}),
            };
            let validation = if validation.is_null() { of_kind } else { validation };
            object(json!({
                "type": "ask", "text": text, "expects": expects, "validation": validation, "save_as": save_as,
                "retry_text": retry_text, "max_attempts": max_attempts, "timeout_seconds": timeout_seconds
            }))
        },
    )
}

fn menu() -> impl Strategy<Value = Value> {
    let save_as = option::of(select(&NAMES[..]));
    (texts(), 1..=OPTIONS.len(), any::<bool>(), save_as, option::of(texts()), 1..6_u32, option::of(1..4_000_u32))
        .prop_map(|(text, count, allow_numbers, save_as, retry_text, max_attempts, timeout_seconds)| {
            let text = if text.trim().is_empty() { "Which?" } else { text };
            let option = |(id, title): &(&str, &str)| json!({"id": id, "title": title, "synonyms": ["👍", "sure"]});
            object(json!({
                "type": "menu", "text": text, "options": OPTIONS[..count].iter().map(option).collect::<Vec<_>>(),
                "allow_numbers": allow_numbers, "save_as": save_as, "retry_text": retry_text,
                "max_attempts": max_attempts, "timeout_seconds": timeout_seconds
            }))
        })
}

fn condition() -> impl Strategy<Value = Value> {
    let right = select(vec![
        Value::Null,
        json!("yes"),
        json!("[a-z]+"),
        json!("{{now}}"),
        json!(5),
        json!([1, "5"]),
        json!("2026-05-07"),
    ]);
    let case =
        (texts(), select(&OPERATORS[..]), right, select(&["x", "y"][..])).prop_map(|(left, operator, right, exit)| {
            // The right side of `matches` is no template.
            let right = if operator == "matches" { json!("[a-z]+") } else { right };
            json!({"left": left, "operator": operator, "right": right, "exit": exit})
        });
    (vec(case, 1..3), option::of(select(&NAMES[..])))
        .prop_map(|(cases, save_as)| object(json!({"type": "condition", "cases": cases, "save_as": save_as})))
}

fn set_variable() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        texts().prop_map(|text| json!(text)),
        texts().prop_map(|text| json!({"list": [text, 1.5, null]})),
        Just(json!("{{context.evil}}")),
        Just(json!("{{[context.a, context.a, context.a]}}")),
    ];
    vec((select(&NAMES[..]), value), 0..3).prop_map(|assignments| {
        let assignments: Vec<_> =
            assignments.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        json!({"type": "set_variable", "assignments": assignments})
    })
}

fn update_contact() -> impl Strategy<Value = Value> {
    (option::of(texts()), texts(), vec(texts(), 0..2), option::of(any::<bool>())).prop_map(
        |(email, value, tags, opt_out)| {
            object(json!({
                "type": "update_contact", "email": email, "metadata": {"k": value, "gone": null}, "add_tags": tags,
                "remove_tags": ["old"], "opt_out": opt_out
            }))
        },
    )
}

fn delay() -> impl Strategy<Value = Value> {
    let moments = ["2020-01-01", "2026-05-07T08:30:00Z", "2026-05-07T10:40", "{{now}}", "{{context.a}}", "1778148000"];
    let length = prop_oneof![
        (1..7_200_u32).prop_map(|seconds| (Some(seconds), None)),
        select(moments.to_vec()).prop_map(|until| (None, Some(until))),
    ];
    (length, select(&["ignore", "continue"][..])).prop_map(|((seconds, until), on_reply)| {
        object(json!({"type": "delay", "seconds": seconds, "until": until, "on_reply": on_reply}))
    })
}

fn wait_for_event() -> impl Strategy<Value = Value> {
    (select(&EVENTS[..2]), option::of(1..7_200_u32), option::of(select(&NAMES[..]))).prop_map(
        |(event, timeout_seconds, save_as)| {
            object(json!({
                "type": "wait_for_event", "event": event, "timeout_seconds": timeout_seconds, "save_as": save_as
            }))
        },
    )
}

fn http_request() -> impl Strategy<Value = Value> {
    let body = prop_oneof![
        Just(Value::Null),
        texts().prop_map(|text| json!(text)),
        texts().prop_map(|text| json!({"a": [text, 1.5, null], "b": {"c": text}})),
    ];
    let url = prop_oneof![
        3 => texts().prop_map(|text| format!("https://x.example/{text}?q={text}")),
        1 => Just("{{context.a}}".to_owned()),
    ];
    (url, texts(), body, 0..3_u32, option::of(select(&NAMES[..]))).prop_map(
        |(url, header, body, max_retries, save_as)| {
            object(json!({
                "type": "http_request", "method": "POST", "url": url, "headers": {"X-Text": header}, "body": body,
                "timeout_ms": 500, "max_retries": max_retries, "save_as": save_as
            }))
        },
    )
}

fn handoff() -> impl Strategy<Value = Value> {
    (option::of(texts()), any::<bool>(), option::of(1..7_200_u32)).prop_map(|(note, wait, timeout_seconds)| {
        object(json!({"type": "handoff", "note": note, "wait": wait, "timeout_seconds": timeout_seconds}))
    })
}

fn run_flow() -> impl Strategy<Value = Value> {
    let save_as = option::of(select(&NAMES[..]));
    (prop_oneof![4 => Just(0), 4 => Just(1), 1 => Just(2)], texts(), save_as, prop::bool::weighted(0.8)).prop_map(
        |(flow, text, save_as, returns)| {
            object(json!({
                "type": "run_flow", "flow_id": SUB_FLOWS[flow], "save_as": save_as, "return": returns,
                "context": {"a": text, "b": "{{context.b}}", "evil": EVIL.replace("{{", "{{'{{'}}")}
            }))
        },
    )
}

fn node() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => http_request(),
        1 => handoff(),
        3 => run_flow(),
        2 => send_message(),
        3 => ask(),
        3 => menu(),
        1 => condition(),
        1 => vec(0..3_u32, 1..4).prop_map(|weights| {
            let branch = |(index, weight): (usize, u32)| {
                json!({"id": format!("b{index}"),
                    "weight": weight + u32::from(index == 0)})
            };
            json!({"type": "random_split", "branches": weights.into_iter().enumerate().map(branch).collect::<Vec<_>>()})
        }),
        2 => set_variable(),
        1 => update_contact(),
        2 => delay(),
        2 => wait_for_event(),
        1 => (option::of(texts()), option::of(select(&["won", "lost"][..])))
            .prop_map(|(text, outcome)| object(json!({"type": "end", "text": text, "outcome": outcome}))),
    ]
}

/// A flow document that can be published, if with warnings.
fn document() -> impl Strategy<Value = Value> {
    let settings = (
        option::of(1..60_u32),
        option::of(select(&["DE", "US"][..])),
        option::of(select(&["dmy", "mdy", "ymd"][..])),
        option::of(select(&["Europe/Berlin", "Asia/Kolkata"][..])),
    )
        .prop_map(|(ttl, country, date_order, timezone)| {
            object(json!({
                "session_ttl_minutes": ttl, "country": country, "date_order": date_order, "timezone": timezone
            }))
        });
    // Exits are drawn as numbers, and led to a node when the number of nodes is known.
    let nodes = vec((node(), vec(option::weighted(0.95, any::<prop::sample::Index>()), 8)), 1..10);
    (settings, nodes, select(&["flow", "sequence"][..]))
        .prop_map(|(settings, nodes, kind)| wire(&settings, kind, &nodes))
}

fn wire(settings: &Value, kind: &str, nodes: &[(Value, Vec<Option<prop::sample::Index>>)]) -> Value {
    let with_id = |(index, (node, _)): (usize, &(Value, Vec<_>))| {
        let mut node = node.clone();
        node["id"] = json!(format!("n{index}"));
        node
    };
    let nodes_alone: Vec<Value> = nodes.iter().enumerate().map(with_id).collect();
    let mut document = json!({
        "schema_version": 1, "kind": kind, "name": "Drawn", "settings": settings, "entry_node": "n0",
        "nodes": nodes_alone
    });
    let parsed = FlowDocument::parse(&document).unwrap();
    for (index, node) in parsed.nodes.iter().enumerate() {
        let names: BTreeSet<&str> = node.kind.exit_names().into_iter().collect();
        let exits: Map<String, Value> = names
            .into_iter()
            .zip(&nodes[index].1)
            .map(|(name, target)| {
                // A way back is led over a wait only: publishing refuses loops without one.
                let target = target
                    .map(|target| target.index(nodes.len()))
                    .filter(|&target| target > index || node.kind.waits() || parsed.nodes[target].kind.waits());
                (name.to_owned(), json!(target.map(|target| format!("n{target}"))))
            })
            .collect();
        document["nodes"][index]["exits"] = Value::Object(exits);
    }
    document
}

/// An event, with what only the session can tell (turns, due times) left open.
#[derive(Debug, Clone)]
enum Draft {
    Typed(String, Option<u32>),
    Tap(Option<&'static str>, Option<u32>),
    Sent(ReplyKind, Option<Value>),
    Happened(&'static str, Value),
    /// The armed timer, at whatever time it is.
    Timer,
    /// The armed timer at the moment when it is due.
    TimerDue,
    Stale(u32),
    /// The answer to a call, of this turn or an earlier one.
    Answered(u32, u16, Value),
    Resume,
    Expire,
    ExpireDue,
    Cancel,
    Undelivered(prop::sample::Index, u32),
    Start,
}

fn draft() -> impl Strategy<Value = Draft> {
    let back = || option::of(0..4_u32);
    let noise = "\\PC{0,24}".prop_map(|text| text.replace("{{", "{ "));
    let kinds = [
        ReplyKind::Image,
        ReplyKind::Audio,
        ReplyKind::Document,
        ReplyKind::Sticker,
        ReplyKind::Location,
        ReplyKind::Contacts,
    ];
    let payload =
        option::of(select(vec![json!({"url": "https://x.example/1"}), json!({"latitude": 52.52}), json!([7])]));
    prop_oneof![
        16 => (select(&TYPED[..]), back()).prop_map(|(text, back)| Draft::Typed(text.to_owned(), back)),
        4 => (noise, back()).prop_map(|(text, back)| Draft::Typed(text, back)),
        10 => (option::of(select(&["yes", "no", "two", "own", "gone"][..])), back())
            .prop_map(|(id, back)| Draft::Tap(id, back)),
        3 => (select(kinds.to_vec()), payload).prop_map(|(kind, payload)| Draft::Sent(kind, payload)),
        8 => (select(&EVENTS[..]), event_payload()).prop_map(|(name, payload)| Draft::Happened(name, payload)),
        2 => Just(Draft::Timer),
        8 => Just(Draft::TimerDue),
        2 => (1..600_u32).prop_map(Draft::Stale),
        8 => (select(&[0, 0, 0, 1][..]), select(&[0, 200, 204, 404, 500][..]), event_payload())
            .prop_map(|(back, status, body)| Draft::Answered(back, status, body)),
        4 => Just(Draft::Resume),
        2 => Just(Draft::Expire),
        1 => Just(Draft::ExpireDue),
        1 => Just(Draft::Cancel),
        2 => (any::<prop::sample::Index>(), select(&[0, 0, 1][..]))
            .prop_map(|(node, back)| Draft::Undelivered(node, back)),
        1 => Just(Draft::Start),
    ]
}

fn event_payload() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => select(vec![Value::Null, json!({"total": 12.5, "by": EVIL}), json!(["a", 1]), json!("x")]),
        // A few of these leave no room for more.
        2 => Just(json!("x".repeat(60_000))),
        1 => Just((0..70).fold(json!(1), |inner, _| json!([inner]))),
    ]
}

/// The event that a draft is for a session, and the time at which it comes.
fn event(draft: &Draft, session: &Session, nodes: usize, now: Timestamp) -> (Event, Timestamp) {
    let turn_before = |back: &u32| session.turn.saturating_sub(*back);
    let reply =
        |kind: ReplyKind, text: Option<&str>, option: Option<&str>, payload: Option<&Value>, back: Option<&u32>| {
            Event::Reply(Reply {
                kind,
                text: text.map(str::to_owned),
                option: option.map(str::to_owned),
                payload: payload.cloned(),
                answers_turn: back.map(turn_before),
                received_at: now,
            })
        };
    let armed_in = session.wait.as_ref().map_or(0, |wait| wait.armed_in);
    let wake_at = session.wait.as_ref().and_then(|wait| wait.wake_at);
    match draft {
        Draft::Typed(text, back) => (reply(ReplyKind::Text, Some(text), None, None, back.as_ref()), now),
        Draft::Tap(id, back) => (reply(ReplyKind::Tap, Some("Yes"), *id, None, back.as_ref()), now),
        Draft::Sent(kind, payload) => (reply(*kind, None, None, payload.as_ref(), None), now),
        Draft::Happened(name, payload) => {
            (Event::External { name: name.parse().unwrap(), payload: payload.clone() }, now)
        }
        Draft::Timer => (Event::Timeout { armed_in }, now),
        Draft::TimerDue => (Event::Timeout { armed_in }, wake_at.map_or(now, |wake_at| wake_at.max(now))),
        Draft::Stale(distance) => (Event::Timeout { armed_in: armed_in.wrapping_sub(*distance) }, now),
        Draft::Answered(back, status, body) => {
            let armed_in = armed_in.saturating_sub(*back);
            (Event::HttpAnswered { armed_in, status: *status, body: body.clone() }, now)
        }
        Draft::Resume => (Event::Resume, now),
        Draft::Expire => (Event::Expire, now),
        Draft::ExpireDue => (Event::Expire, session.expires_at.map_or(now, |expires_at| expires_at.max(now))),
        Draft::Cancel => (Event::Cancel { reason: "by hand".to_owned() }, now),
        Draft::Undelivered(node, back) => {
            let node: NodeId = format!("n{}", node.index(nodes)).parse().unwrap();
            (Event::DeliveryFailed { turn: turn_before(back), node, code: "131026".to_owned() }, now)
        }
        Draft::Start => (Event::Start, now),
    }
}

/// Whom, when, and with what a conversation begins.
#[derive(Debug, Clone)]
struct Setting {
    phone: Option<&'static str>,
    context: Value,
    seed: u64,
    /// Turns that the session is taken to have had before: near the limit in some cases.
    earlier_turns: u32,
}

fn setting() -> impl Strategy<Value = Setting> {
    let context = prop_oneof![
        2 => Just(json!({})),
        6 => Just(json!({"a": "Ann", "b": 19.99, "list": [{"name": "shoe"}, {"name": "sock"}]})),
        3 => Just(json!({"a": {"b": [1, null]}, "b": null, "list": EVIL})),
        // Near enough to the limit of the context that a flow may reach it.
        1 => Just(json!({"a": "x".repeat(80_000), "b": "7"})),
    ];
    let phone = option::of(select(&["+14155550123", "+4930901820"][..]));
    let earlier_turns = prop_oneof![4 => Just(0), 1 => limits::TURNS - 20..limits::TURNS];
    (phone, context, any::<u64>(), earlier_turns).prop_map(|(phone, mut context, seed, earlier_turns)| {
        context["secret"] = json!(SECRET);
        context["evil"] = json!(EVIL);
        Setting { phone, context, seed, earlier_turns }
    })
}

fn compile(document: &Value) -> CompiledFlow {
    let parsed = FlowDocument::parse(document).unwrap();
    let (flow, problems) = CompiledFlow::compile(parsed, Duration::from_secs(1800));
    flow.unwrap_or_else(|| panic!("{problems:?}"))
}

/// The state after any event, and what the event may have done to it.
fn check(flow: &CompiledFlow, before: &Session, event: &Event, now: Timestamp, result: &Step) {
    let after = &result.session;
    let nodes: BTreeSet<&str> = flow.document().nodes.iter().map(|node| node.id.as_str()).collect();
    let of_root = result.record.path.iter().filter(|step| step.flow.is_none());
    assert!(of_root.into_iter().all(|step| nodes.contains(step.node.as_str())), "{:?}", result.record.path);

    assert_eq!(after.status == Status::Running, after.wait.is_some(), "a session runs as long as it waits: {after:?}");
    assert_eq!(after.status == Status::Running, after.ended_at.is_none(), "{after:?}");
    assert!(after.current_node.as_ref().is_some_and(|node| nodes.contains(node.as_str())), "{after:?}");
    assert!((before.turn..=before.turn + 1).contains(&after.turn), "{} -> {}", before.turn, after.turn);
    assert!(after.turn <= limits::TURNS, "{}", after.turn);
    assert_eq!(result.record.turn, after.turn);
    let bytes = |value: Value| serde_json::to_vec(&value).unwrap().len();
    let frames: usize = after.frames.iter().map(|frame| bytes(json!(frame.context))).sum();
    let of_list = |list: Value| if list == json!([]) { 0 } else { bytes(list) };
    let kept_bytes = of_list(json!(after.kept_events)) + of_list(json!(after.queued_replies));
    let context_bytes = bytes(json!(after.context)) + frames;
    assert!(context_bytes + kept_bytes <= limits::STATE_BYTES, "{context_bytes} {kept_bytes}");
    assert!(after.kept_events.len() <= limits::KEPT_EVENTS);
    assert!(after.queued_replies.len() <= limits::QUEUED_REPLIES);
    assert!(after.frames.len() <= limits::FRAMES);
    let ids: BTreeSet<u32> = after.frames.iter().map(|frame| frame.id).collect();
    assert_eq!(ids.len(), after.frames.len(), "each frame has an id of its own: {:?}", after.frames);
    assert!(!ids.contains(&0), "0 is the root flow");
    assert!(after.frames.iter().skip(1).all(|frame| frame.returns), "only the outermost can have no caller");
    assert!(after.outcome.is_none() || after.status == Status::Completed, "{after:?}");
    assert_eq!(after.reason.is_some(), matches!(after.status, Status::Failed | Status::Cancelled), "{after:?}");
    if let (Status::Failed, Some(reason)) = (after.status, &after.reason) {
        let is_registered = Reason::parse(reason).is_some_and(|known| known.places().contains(&Place::Session));
        let is_told = matches!(event, Event::DeliveryFailed { code, .. } if code == reason);
        assert!(is_registered || is_told || before.status == Status::Failed, "{reason} after {event:?}");
    }

    let wake_at = after.wait.as_ref().and_then(|wait| wait.wake_at);
    let timers: Vec<Timestamp> = wake_at.into_iter().chain(after.expires_at).collect();
    assert_eq!(after.due_at(), timers.iter().min().copied());
    if after.status != Status::Running {
        assert!(timers.is_empty() && after.due_at().is_none(), "an ended session has no timer: {after:?}");
        assert!(after.kept_events.is_empty(), "an ended session waits for nothing any more: {after:?}");
        assert!(after.queued_replies.is_empty() && after.frames.is_empty() && after.spoken.is_empty(), "{after:?}");
    }

    if result.ignored.is_some() {
        assert_eq!(after, before, "an ignored event changes nothing");
        assert!(result.effects.is_empty() && result.record.path.is_empty() && result.record.changes.is_empty());
        assert!(!result.is_kept);
    } else if result.is_kept {
        check_kept(before, event, result);
    } else if *event == Event::Queued && after.turn == before.turn && after.status == Status::Running {
        let mut rest = before.clone();
        rest.queued_replies.remove(0);
        assert_eq!(after, &rest, "a reply that is not taken is gone from the queue, and nothing else");
        assert!(result.effects.is_empty() && result.record.warnings.len() == 1, "{:?}", result.record);
    } else {
        assert_eq!(before.status, Status::Running, "an ended session takes nothing");
        check_taken(flow, before, event, now, result);
    }
    check_timers(before, event, now, result);
    check_effects(result);
}

/// What holds after an event from outside that came too early: the session is where it was, and has the event.
fn check_kept(before: &Session, event: &Event, result: &Step) {
    let after = &result.session;
    if let Event::Reply(reply) = event {
        assert_eq!(after.queued_replies.last(), Some(reply));
        assert_eq!(after.queued_replies[..before.queued_replies.len()], before.queued_replies[..]);
        assert_eq!(&Session { queued_replies: before.queued_replies.clone(), ..after.clone() }, before);
        assert_eq!(before.wait.as_ref().map(|wait| wait.kind), Some(WaitKind::Http));
        assert!(result.effects.is_empty() && result.record.path.is_empty());
        return;
    }
    let Event::External { name, payload } = event else { panic!("{event:?} is kept") };
    let last = after.kept_events.last().unwrap();
    assert_eq!((&last.name, &last.payload), (name, payload));
    let expected = before.kept_events.len().min(limits::KEPT_EVENTS - 1);
    let older = &before.kept_events[before.kept_events.len() - expected..];
    assert_eq!(&after.kept_events[..expected], older, "the newest stay, in their order");
    assert_eq!(after.kept_events.len(), expected + 1);
    assert_eq!(&Session { kept_events: before.kept_events.clone(), ..after.clone() }, before);
    assert!(result.effects.is_empty() && result.record.path.is_empty());
}

/// What holds after an event that was taken.
fn check_taken(flow: &CompiledFlow, before: &Session, event: &Event, now: Timestamp, result: &Step) {
    let after = &result.session;
    match after.status {
        Status::Running => {}
        Status::Expired => assert_eq!(*event, Event::Expire),
        Status::Cancelled => assert!(matches!(event, Event::Cancel { .. })),
        // A caller may go on when its sub-flow expires, and come to an end then.
        Status::Completed | Status::Failed => {
            let goes_on = matches!(event, Event::Expire) && !before.frames.is_empty();
            assert!(goes_on || !matches!(event, Event::Expire | Event::Cancel { .. }));
        }
    }
    let Some(wait) = &after.wait else { return };
    assert_eq!(after.turn, before.turn + 1, "what was taken is a turn");
    assert_eq!(wait.armed_in, after.turn);
    assert!(wait.entered_in <= wait.armed_in);
    assert!(wait.wake_at.is_none_or(|wake_at| wake_at > now), "a timer lies ahead: {wait:?}");
    let settings = &flow.document().settings;
    let is_flow = flow.document().kind.as_str() == "flow";
    let minutes = settings.session_ttl_minutes.or(is_flow.then_some(30));
    let ttl = minutes.map(|minutes| Duration::from_secs(u64::from(minutes) * 60));
    let expected = match (wait.kind, event) {
        (WaitKind::Delay | WaitKind::Http, _) => wait.wake_at.zip(ttl).map(|(wake_at, ttl)| wake_at.plus(ttl)),
        (WaitKind::Handoff, _) => None,
        (WaitKind::Event, _) if wait.wake_at.is_some() => wait.wake_at.zip(ttl).map(|(wake_at, ttl)| wake_at.plus(ttl)),
        (
            _,
            Event::Start
            | Event::Reply(_)
            | Event::External { .. }
            | Event::HttpAnswered { .. }
            | Event::Queued
            | Event::Resume
            | Event::Expire,
        ) => ttl.map(|ttl| now.plus(ttl)),
        // A handoff had none.
        _ if before.wait.as_ref().is_some_and(|wait| wait.kind == WaitKind::Handoff) => ttl.map(|ttl| now.plus(ttl)),
        // Neither a timer nor a failed message is an interaction.
        (_, _) => before.expires_at,
    };
    assert_eq!(after.expires_at, expected, "{event:?} {wait:?}");
    if matches!(wait.kind, WaitKind::Delay | WaitKind::Http | WaitKind::Handoff) {
        assert!(wait.wake_at.is_some(), "it comes to an end by itself");
    }
    let calls = result.effects.iter().filter(|effect| matches!(effect, Effect::CallHttp(_))).count();
    assert_eq!(calls, usize::from(wait.kind == WaitKind::Http), "a call is waited for, and only one at a time");
}

/// A timer that is stale, early or not the next one does nothing.
fn check_timers(before: &Session, event: &Event, now: Timestamp, result: &Step) {
    let wake_at = before.wait.as_ref().and_then(|wait| wait.wake_at);
    let must_ignore = match event {
        Event::Timeout { armed_in } => {
            before.wait.as_ref().is_none_or(|wait| wait.armed_in != *armed_in)
                || wake_at.is_none_or(|wake_at| wake_at > now)
                || before.expires_at.is_some_and(|expires_at| Some(expires_at) <= wake_at)
        }
        Event::Expire => before.expires_at.is_none_or(|expires_at| expires_at > now),
        _ => return,
    };
    assert_eq!(result.ignored.is_some(), must_ignore, "{event:?} at {now} of {before:?}");
}

/// Every message is finished text of a node that this turn passed.
fn check_effects(result: &Step) {
    let path: BTreeSet<&str> = result.record.path.iter().map(|step| step.node.as_str()).collect();
    // The node that the event was for, and the nodes passed since; those that run a flow are there twice.
    let most = 2 * (limits::NODES_PER_TURN as usize + 1) + limits::FRAMES;
    assert!(result.record.path.len() <= most, "{}", result.record.path.len());
    for effect in &result.effects {
        let message = match effect {
            Effect::Send(message) => message,
            Effect::CallHttp(call) => {
                assert!(path.contains(call.node.as_str()), "{call:?} / {path:?}");
                assert!(call.url.starts_with("http"), "{call:?}");
                assert!(call.headers.values().all(|value| !value.contains(['\r', '\n'])), "{call:?}");
                let sent = call.headers.values().chain(&call.body).chain([&call.url]);
                for text in sent {
                    assert!(!text.contains(SECRET), "a value was expanded: {text}");
                    assert!(!text.replace(EVIL, "").contains("{{"), "a template was sent: {text}");
                }
                continue;
            }
            _ => continue,
        };
        assert!(path.contains(message.node.as_str()), "{message:?} / {path:?}");
        let mut said: Vec<&str> = message.text.iter().map(String::as_str).collect();
        for option in &message.options {
            said.push(&option.title);
        }
        said.extend(message.media.iter().map(|media| media.url.as_str()));
        said.extend(message.template.iter().flat_map(|template| template.variables.values()).map(String::as_str));
        for text in said {
            let length = text.chars().count();
            assert!(length <= limits::TEXT_CHARS, "{length}");
            assert!(!text.contains(SECRET), "a value was expanded: {text}");
            let own = text.replace(EVIL, "");
            // The cut of a long text may go through the value.
            let is_cut = length == limits::TEXT_CHARS;
            let own = if is_cut { own.rsplit_once("{{").map_or(own.as_str(), |(start, _)| start) } else { &own };
            assert!(!own.contains("{{"), "a template was sent: {text}");
        }
    }
}

/// Whoever fires timers as they fall due is never refused: a due session that stays due would be fired for ever.
fn check_due_timer_is_taken(flow: &Around, contact: &Contact, session: &Session) {
    let Some(due_at) = session.due_at() else { return };
    let event = match &session.wait {
        Some(wait) if !session.expires_next() => Event::Timeout { armed_in: wait.armed_in },
        _ => Event::Expire,
    };
    let result = step(flow, contact, session, &event, due_at);
    assert_eq!(result.ignored, None, "{event:?} of {session:?}");
    check(&flow.root, session, &event, due_at, &result);
}

fn step(flow: &Around, contact: &Contact, session: &Session, event: &Event, now: Timestamp) -> Step {
    let lookup = |id: FlowId, version: Option<u32>| {
        assert!(version.is_none_or(|version| version == 5), "a frame stays on its version");
        let place = SUB_FLOWS.iter().position(|sub| *sub == id.to_string());
        match place.and_then(|place| flow.subs.get(place)) {
            Some(sub) => Lookup::Ready { version: 5, flow: sub.clone() },
            None => Lookup::NotPublished,
        }
    };
    engine::step(&flow.root, &lookup, contact, session, event, now).unwrap()
}

/// A flow and those that it may run.
struct Around {
    root: CompiledFlow,
    subs: Vec<Arc<CompiledFlow>>,
}

fn through_json(session: &Session) -> Session {
    serde_json::from_str(&serde_json::to_string(session).unwrap()).unwrap()
}

/// Holds a conversation and checks every state that it goes through.
fn converse(document: &Value, subs: &[Value], setting: &Setting, drafts: &[(u64, Draft)]) {
    let flow = Around { root: compile(document), subs: subs.iter().map(|sub| Arc::new(compile(sub))).collect() };
    let uuid = |n: u128| Uuid::from_u128(0x0193_6b1e_0000_7000_8000_0000_0000_0000 + n);
    let mut contact = Contact::new(ContactId(uuid(1)), setting.phone.map(|phone| phone.parse().unwrap()));
    contact.tags = vec!["old".to_owned()];
    let mut now: Timestamp = "2026-05-07T08:00:00Z".parse().unwrap();
    let beginning = Beginning {
        id: SessionId(uuid(2)),
        flow_id: FlowId(uuid(3)),
        version: 1,
        contact_id: contact.id,
        context: setting.context.as_object().unwrap().clone(),
        seed: setting.seed,
    };
    let mut session = begin(&flow.root, beginning, now);
    let start = (0, Draft::Start);
    let mut events_after_the_end = 0;
    for (index, (seconds, draft)) in std::iter::once(&start).chain(drafts).enumerate() {
        let (event, at) = event(
            draft,
            &session,
            document["nodes"].as_array().unwrap().len(),
            now.plus(Duration::from_secs(*seconds)),
        );
        now = at;
        let result = step(&flow, &contact, &session, &event, now);
        assert_eq!(result, step(&flow, &contact, &session, &event, now), "the engine is a function");
        let restored = through_json(&session);
        assert_eq!(restored, session, "a session survives JSON");
        assert_eq!(result, step(&flow, &contact, &restored, &event, now), "and goes on as before");
        check(&flow.root, &session, &event, now, &result);

        for effect in &result.effects {
            if let Effect::UpdateContact(change) = effect {
                contact.apply(change, now);
            }
        }
        session = result.session;
        if index == 0 {
            session.turn += setting.earlier_turns;
            if let Some(wait) = &mut session.wait {
                wait.entered_in = session.turn;
                wait.armed_in = session.turn;
            }
        }
        while let Some(event) = next_queued(&session) {
            let queued = session.queued_replies.len();
            let result = step(&flow, &contact, &session, &event, now);
            assert_eq!(result.ignored, None);
            check(&flow.root, &session, &event, now, &result);
            assert!(result.session.queued_replies.len() < queued, "the queue comes to its end");
            for effect in &result.effects {
                if let Effect::UpdateContact(change) = effect {
                    contact.apply(change, now);
                }
            }
            session = result.session;
        }
        check_due_timer_is_taken(&flow, &contact, &session);
        events_after_the_end += u32::from(session.status != Status::Running);
        if events_after_the_end > 2 {
            break;
        }
    }
}

/// Any JSON, with keys and texts that documents have among those that they have not.
fn any_json() -> impl Strategy<Value = Value> {
    let words = ["id", "type", "nodes", "menu", "{{context.a}}", "{{", "{% if", "n0", "flow", "2026-05-07", "(a"];
    let text = prop_oneof![select(words.to_vec()).prop_map(str::to_owned), "\\PC{0,12}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text.clone(), inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// All places of a JSON value, as pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), found));
        }
        Value::Object(fields) => fields.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), found)),
        _ => {}
    }
}

fn parse_and_compile(document: &Value) {
    if let Ok(parsed) = FlowDocument::parse(document) {
        let _ = CompiledFlow::compile(parsed, Duration::from_secs(1800));
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn conversations_stay_legal(
        document in document(),
        subs in vec(document(), 2),
        setting in setting(),
        drafts in vec((prop_oneof![Just(0), 1..60_u64, 60..4_000_u64], draft()), 1..30),
    ) {
        converse(&document, &subs, &setting, &drafts);
    }

    #[test]
    fn any_json_is_a_document_or_refused(document in any_json()) {
        parse_and_compile(&document);
    }

    #[test]
    fn a_document_with_a_slip_is_compiled_or_refused(
        document in document(),
        place in any::<prop::sample::Index>(),
        other in any_json(),
    ) {
        let mut document = document;
        let mut found = Vec::new();
        places(&document, "", &mut found);
        let place = &found[place.index(found.len())];
        *document.pointer_mut(place).unwrap() = other;
        parse_and_compile(&document);
    }

    #[test]
    fn a_phone_number_reads_as_itself(
        text in prop_oneof![any::<String>(), "[+＋0]{0,2}[ ()0-9٠-٩.\u{2010}/-]{5,20}", "\\+[1-9][0-9]{5,15}"],
        country in option::of(select(&["DE", "US", "GB", "XX", ""][..])),
    ) {
        for phone in [text.parse::<Phone>(), Phone::parse_in_country(&text, country)].into_iter().flatten() {
            let shown = phone.to_string();
            let digits = shown.strip_prefix('+').unwrap_or_default();
            prop_assert!((7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()), "{}", shown);
            prop_assert_eq!(shown.parse::<Phone>(), Ok(phone.clone()));
            let json = serde_json::to_string(&phone).unwrap();
            prop_assert_eq!(serde_json::from_str::<Phone>(&json).unwrap(), phone);
        }
    }
}
