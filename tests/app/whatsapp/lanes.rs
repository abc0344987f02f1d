//! Nobody waits for somebody else: neither behind a slow endpoint nor behind a person who has had enough for now.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::app::PHONE;
use testkit::meta::Pacing;
use testkit::site::{Site, answer};
use tokio::sync::Notify;

use crate::whatsapp::crash::patiently;
use crate::whatsapp::world::World;

/// Calls a site and says what it answered.
pub(crate) fn calling(url: &str) -> Value {
    json!({
        "schema_version": 1, "name": "Call", "entry_node": "call",
        "nodes": [
            {"id": "call", "type": "http_request", "method": "GET", "url": url, "timeout_ms": 30000, "max_retries": 0,
             "save_as": "answer", "exits": {"success": "good", "failure": "bad"}},
            {"id": "good", "type": "end", "outcome": "good", "text": "It is {{context.answer.body.colour}}."},
            {"id": "bad", "type": "end", "outcome": "bad", "text": "It did not answer."}
        ]
    })
}

/// Says so many things.
fn speech(things: usize) -> Value {
    let say = |n: usize| {
        let next = if n < things { json!(format!("n{}", n + 1)) } else { Value::Null };
        json!({"id": format!("n{n}"), "type": "send_message", "text": n.to_string(), "exits": {"next": next}})
    };
    let nodes: Vec<Value> = (1..=things).map(say).collect();
    json!({"schema_version": 1, "name": "Speech", "entry_node": "n1", "nodes": nodes})
}

pub(crate) fn green() -> Vec<u8> {
    answer(200, "application/json", br#"{"colour": "green"}"#)
}

fn phone(n: usize) -> String {
    format!("+1415777{n:04}")
}

#[actix_web::test]
async fn a_slow_endpoint_holds_up_no_message_and_no_other_call() {
    /// More than are ever called at once.
    const SLOW: usize = 80;
    let gate = Arc::new(Notify::new());
    let slow = Site::start_slow(gate.clone(), |_| green()).await;
    // Another host, as the places are counted.
    let quick = Site::start_at("127.0.0.2", |_| green()).await;
    let world = World::start_with(
        Pacing::OFF,
        |_| {},
        |config| {
            config.http_request.allow = vec!["127.0.0.0/8".parse().unwrap()];
        },
    )
    .await;
    let waits = world.app.publish(&calling(&slow.url("/"))).await;
    let asks = world.app.publish(&calling(&quick.url("/"))).await;
    let speaks = world.app.publish(&speech(3)).await;
    let [anna, ben] = [world.cloud.phone(PHONE), world.cloud.phone("+14155550124")];
    let crowd: Vec<_> = (0..SLOW).map(|n| world.cloud.phone(&phone(n))).collect();
    for person in crowd.iter().chain([&anna, &ben]) {
        person.say("hello");
    }
    world.settle().await;
    // What came in counts against the number's pace.
    world.wait(2).await;
    for n in 0..SLOW {
        world.trigger(waits, &phone(n), json!({})).await;
    }
    let runtime = world.app.runtime.clone();
    let calls = tokio::spawn(async move { runtime.run_due_calls().await });
    patiently("the slow calls", slow.wait_for(16)).await;

    world.trigger(speaks, PHONE, json!({})).await;
    let asked = world.trigger(asks, "+14155550124", json!({})).await;
    patiently("the other host", world.app.runtime.run_due_calls()).await.unwrap();
    world.settle().await;
    assert_eq!(anna.texts(), ["1", "2", "3"]);
    assert_eq!(ben.texts(), ["It is green."], "a call to another host");
    assert_eq!(world.app.session(&asked).await["outcome"], "good");
    assert!(!calls.is_finished(), "the slow site has answered nothing yet");
    assert!(crowd.iter().all(|person| person.inbox().is_empty()));
    assert_eq!(slow.seen().len(), 16, "so many at once to one host");

    let opened = tokio::spawn(async move {
        loop {
            gate.notify_waiters();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    patiently("the answers", calls).await.unwrap().unwrap();
    opened.abort();
    world.drain().await;
    assert!(crowd.iter().all(|person| person.texts() == ["It is green."]));
    assert_eq!(slow.seen().len(), SLOW, "each was called once");
    assert!(world.cloud.refused().is_empty());
}

#[actix_web::test]
async fn a_paced_person_holds_up_nobody_else_and_loses_nothing() {
    let pacing = Pacing { pair: true, per_second: Some(80) };
    let world = World::start_with(pacing, |_| {}, |_| {}).await;
    let (long, short) = (world.app.publish(&speech(60)).await, world.app.publish(&speech(3)).await);
    let [anna, ben] = [world.cloud.phone(PHONE), world.cloud.phone("+14155550124")];
    anna.say("hello");
    ben.say("hello");
    world.settle().await;
    world.trigger(long, PHONE, json!({})).await;
    world.settle().await;
    for _ in 0..5 {
        world.wait(1).await;
    }
    let had = anna.inbox().len();
    assert!((45..=46).contains(&had), "the burst that one person may have: {had}");
    // Nothing is tried that Meta would refuse, and the one who waits does not take the number's pace.
    world.trigger(short, "+14155550124", json!({})).await;
    world.settle().await;
    assert_eq!(ben.texts(), ["1", "2", "3"], "at once");
    assert_eq!(anna.inbox().len(), had);
    let mut last = had;
    for _ in 0..100 {
        world.wait(6).await;
        let now = anna.inbox().len();
        assert!(now <= last + 1, "one in six seconds");
        last = now;
    }
    let all: Vec<String> = (1..=60).map(|n| n.to_string()).collect();
    assert_eq!(anna.texts(), all, "in order, and none is lost");
    assert!(world.cloud.refused().is_empty(), "{:?}", world.cloud.refused().first());
    assert!(world.with_status("failed").await.is_empty());
}
