//! What one event costs in the engine: no database, no clock, no threads.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use qyvo::domain::{Contact, ContactId, FlowDocument, FlowId, Phone, Reply, ReplyKind, Session, SessionId, Status};
use qyvo::engine::{self, Beginning, CompiledFlow, Event};
use serde_json::{Value, json};
use uuid::Uuid;

#[path = "support/mod.rs"]
mod support;

use support::{TTL, context, now, sample};

fn compile(document: &Value) -> CompiledFlow {
    let document = FlowDocument::parse(document).expect("a document of the right shape");
    let (flow, problems) = CompiledFlow::compile(document, TTL);
    flow.unwrap_or_else(|| panic!("{problems:?}"))
}

fn contact() -> Contact {
    let phone: Phone = "+14155550123".parse().expect("a number");
    Contact::new(ContactId(Uuid::from_u128(1)), Some(phone))
}

fn begin(flow: &CompiledFlow) -> Session {
    let beginning = Beginning {
        id: SessionId(Uuid::from_u128(2)),
        flow_id: FlowId(Uuid::from_u128(3)),
        version: 1,
        contact_id: contact().id,
        context: context(),
        seed: 7,
    };
    engine::begin(flow, beginning, now())
}

fn reply(text: &str) -> Event {
    Event::Reply(Reply {
        kind: ReplyKind::Text,
        text: Some(text.to_owned()),
        option: None,
        payload: None,
        answers_turn: None,
        received_at: now(),
    })
}

/// A document of nodes that are entered one after the other.
fn document(nodes: Value) -> Value {
    json!({"schema_version": 1, "kind": "flow", "name": "Bench", "entry_node": "n0", "nodes": nodes})
}

/// Ten nodes, conditions and assignments in turns, and an end.
fn chain() -> Value {
    let mut nodes: Vec<Value> = (0..10)
        .map(|n| {
            let (id, next) = (format!("n{n}"), format!("n{}", n + 1));
            if n % 2 == 0 {
                json!({
                    "id": id, "type": "set_variable", "exits": {"next": next},
                    "assignments": [{"name": format!("seen_{n}"), "value": "{{context.cart_total}}"}]
                })
            } else {
                json!({
                    "id": id, "type": "condition", "exits": {"big": next, "default": next},
                    "cases": [{"exit": "big", "left": "{{context.cart_total}}", "operator": "number_gt", "right": 100}]
                })
            }
        })
        .collect();
    nodes.push(json!({"id": "n10", "type": "end"}));
    document(nodes.into())
}

/// A template that runs until the turn's fuel is used up, by doing the thing that costs most per instruction.
fn endless(body: &str) -> Value {
    let text = format!("{{% for a in range(1000) %}}{{% for b in range(1000) %}}{body}{{% endfor %}}{{% endfor %}}");
    document(json!([
        {"id": "n0", "type": "send_message", "text": text, "exits": {"next": "n1"}},
        {"id": "n1", "type": "end"}
    ]))
}

fn bench(criterion: &mut Criterion) {
    let cart = compile(&sample());
    let contact = contact();
    let fresh = begin(&cart);
    let step = |flow: &CompiledFlow, session: &Session, event: &Event| {
        engine::step(flow, &engine::no_flows, &contact, session, event, now()).expect("a flow without sub-flows")
    };
    let start = |flow: &CompiledFlow, session: &Session| step(flow, session, &Event::Start);
    let waiting = start(&cart, &fresh).session;
    assert_eq!(waiting.status, Status::Running);
    let mut group = criterion.benchmark_group("engine");
    group.bench_function("trigger into a menu", |bencher| bencher.iter(|| black_box(start(&cart, &fresh))));
    for (name, text, turns) in [("a reply that matches", "checkout", 2), ("a reply that does not", "what is it?", 2)] {
        let event = reply(text);
        let take = || step(&cart, &waiting, &event);
        assert_eq!(take().session.turn, turns);
        group.bench_function(name, |bencher| bencher.iter(|| black_box(take())));
    }

    let chain = compile(&chain());
    let fresh = begin(&chain);
    let record = start(&chain, &fresh).record;
    assert_eq!((record.path.len(), record.warnings.len()), (11, 0), "{record:?}");
    group.bench_function("a chain of ten nodes", |bencher| bencher.iter(|| black_box(start(&chain, &fresh))));

    for (name, body) in [
        ("all fuel, plain text", "x"),
        ("all fuel, context values", "{{ context.cart_total }}"),
        ("all fuel, money", "{{ context.cart_total|money }}"),
        ("all fuel, dates", "{{ now|date('%d %B %Y') }}"),
        ("all fuel, phone numbers", "{{ contact.phone|phone_national }}"),
    ] {
        let flow = compile(&endless(body));
        let fresh = begin(&flow);
        let session = start(&flow, &fresh).session;
        assert_eq!(session.reason.as_deref(), Some("template_limit"), "{name}");
        group.bench_function(name, |bencher| bencher.iter(|| black_box(start(&flow, &fresh))));
    }
    group.finish();

    let mut large = String::new();
    for n in 0..50 {
        let _ = writeln!(large, "Item {n}: {{{{context.cart_total|money}}}}");
    }
    let large = compile(&document(json!([
        {"id": "n0", "type": "send_message", "text": large, "exits": {"next": "n1"}},
        {"id": "n1", "type": "end"}
    ])));
    let fresh = begin(&large);
    criterion
        .bench_function("engine/a text of fifty values", |bencher| bencher.iter(|| black_box(start(&large, &fresh))));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = bench
}
criterion_main!(benches);
