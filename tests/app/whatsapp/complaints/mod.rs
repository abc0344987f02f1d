//! What people complain about in systems of this kind, and what happens here: a test for each that says what
//! does not go wrong.
//!
//! Some of it has its test where it belongs:
//!
//! | complaint | test |
//! |---|---|
//! | one bad row stops the timers of all | `api/timers.rs`, `a_session_that_cannot_go_on_is_failed_and_stops_no_other` |
//! | timers are lost while the server is down | `api/timers.rs`, `after_downtime_timers_fire_in_due_order_and_speak_for_no_ended_session` |
//! | unanswered reminders go on for ever | `api/timers.rs`, `three_unanswered_reminders_end_in_expired` |
//! | concurrent starts make two sessions | `api/trigger.rs`, `two_hundred_triggers_at_once_start_one_session` |
//! | a version cannot be looked at or brought back | `api/flows.rs`, `versions_are_listed_read_and_restored` |
//! | who opted out is still written to | `people.rs`, `stop_reaches_the_queue_before_the_messages_leave_it` |
//! | a call runs twice, or not at all, after a crash | `kill.rs`, `calls_under_way_are_made_again_under_their_keys_and_heard_once` |
//! | a slow call holds up everything | `lanes.rs`, `a_slow_endpoint_holds_up_no_message_and_no_other_call` |
//! | the simulator has no timeouts | `api/simulations.rs`, `time_fires_what_falls_due_in_order` |
//! | the simulator has real effects | `api/simulations.rs`, `a_conversation_is_played_and_touches_no_row` |
//! | the simulator is another engine, or lacks nodes | `simulation.rs`, `every_golden_conversation_goes_as_it_would_in_earnest` |

mod listening;
mod speaking;

use serde_json::{Value, json};
use testkit::app::PHONE;
use testkit::meta::Phone;

use crate::whatsapp::world::{World, cart_template};

/// A world in which Anna has just written, so that texts reach her.
pub(super) async fn with_anna() -> (World, Phone) {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let anna = world.cloud.phone(PHONE);
    anna.say("hello");
    world.settle().await;
    assert!(anna.inbox().is_empty());
    (world, anna)
}

/// Asks one thing after the other, and keeps the answers as `a1`, `a2` and so on.
pub(super) fn questions(texts: &[&str]) -> Value {
    let ask = |(index, text): (usize, &&str)| {
        let n = index + 1;
        let next = if n < texts.len() { json!(format!("q{}", n + 1)) } else { json!("done") };
        json!({"id": format!("q{n}"), "type": "ask", "text": text, "save_as": format!("a{n}"), "timeout_seconds": 1200,
               "exits": {"reply": next, "no_match": null, "timeout": null}})
    };
    let done = json!({"id": "done", "type": "end", "outcome": "answered", "text": "Thank you."});
    let nodes: Vec<Value> = texts.iter().enumerate().map(ask).chain([done]).collect();
    json!({"schema_version": 1, "name": "Questions", "entry_node": "q1", "nodes": nodes})
}

/// A menu of drinks.
pub(super) fn drinks(name: &str) -> Value {
    json!({
        "schema_version": 1, "name": name, "entry_node": "ask",
        "nodes": [
            {"id": "ask", "type": "menu", "text": format!("{name}?"), "options": [
                {"id": "tea", "title": "Tea"}, {"id": "coffee", "title": "Coffee"}],
             "exits": {"tea": "tea", "coffee": "coffee"}},
            {"id": "tea", "type": "end", "outcome": "tea", "text": format!("{name}: tea.")},
            {"id": "coffee", "type": "end", "outcome": "coffee", "text": format!("{name}: coffee.")}
        ]
    })
}

pub(super) async fn is_at(world: &World, id: &Value, status: &str, outcome: impl Into<Value>) {
    let session = world.app.session(id).await;
    assert_eq!((&session["status"], &session["outcome"]), (&json!(status), &outcome.into()), "{session}");
}

/// How many sessions there are of anybody.
pub(super) async fn sessions(world: &World) -> usize {
    world.app.get("/sessions").await.expect(200)["data"].as_array().unwrap().len()
}

/// The newest message that came in: how it was handled, and why.
pub(super) async fn last_heard(world: &World, contact: &Value) -> (Value, Value) {
    let messages = world.messages(contact).await;
    let last = messages.iter().rfind(|message| message["direction"] == "in").unwrap();
    (last["handled"].clone(), last["reason"].clone())
}
