//! What is said to people: in order, once, and never lost without a word.

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::app::PHONE;
use testkit::meta::{Delivery, Fault, Pacing, Phone};
use testkit::site::Site;
use tokio::sync::Notify;

use super::{drinks, is_at, questions, with_anna};
use crate::whatsapp::crash::patiently;
use crate::whatsapp::lanes::{calling, green};
use crate::whatsapp::world::{World, cart, cart_context, cart_template};

/// Waits longer than a day and then asks something.
fn after_a_day(exits: Value) -> Value {
    json!({
        "schema_version": 1, "name": "Patient", "entry_node": "ask", "settings": {"session_ttl_minutes": 4320},
        "nodes": [
            {"id": "ask", "type": "ask", "text": "Which size?", "timeout_seconds": 90000,
             "exits": {"reply": null, "no_match": null, "timeout": "nudge"}},
            {"id": "nudge", "type": "ask", "text": "Still interested?", "timeout_seconds": 600, "exits": exits},
            {"id": "lost", "type": "end", "outcome": "unreachable"}
        ]
    })
}

#[actix_web::test]
async fn silence_has_a_branch_of_its_own() {
    let (world, anna) = with_anna().await;
    let ben = world.cloud.phone("+14155550124");
    ben.say("hello");
    world.settle().await;
    let flow = json!({
        "schema_version": 1, "name": "Follow-up", "entry_node": "ask",
        "nodes": [
            {"id": "ask", "type": "ask", "text": "Which size?", "timeout_seconds": 600,
             "exits": {"reply": "done", "no_match": null, "timeout": "nudge"}},
            {"id": "nudge", "type": "ask", "text": "Still there?", "timeout_seconds": 600,
             "exits": {"reply": "done", "no_match": null, "timeout": "quiet"}},
            {"id": "done", "type": "end", "outcome": "answered"},
            {"id": "quiet", "type": "end", "outcome": "silent"}
        ]
    });
    let flow = world.app.publish(&flow).await;
    let silent = world.trigger(flow, PHONE, json!({})).await;
    let answers = world.trigger(flow, "+14155550124", json!({})).await;
    world.settle().await;
    ben.say("L");
    world.settle().await;
    world.wait(599).await;
    assert_eq!(anna.texts(), ["Which size?"]);
    world.wait(1).await;
    assert_eq!(anna.texts(), ["Which size?", "Still there?"]);
    world.wait(600).await;
    world.wait(3600).await;
    is_at(&world, &silent, "completed", "silent").await;
    is_at(&world, &answers, "completed", "answered").await;
    assert_eq!(anna.inbox().len(), 2, "one reminder and no more");
    assert_eq!(ben.texts(), ["Which size?"], "who answers is not reminded");
}

#[actix_web::test]
async fn concurrent_triggers_send_the_first_message_once() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    let written = ["+14155550123", "+1 415 555 0123", "+1 (415) 555-0123", "+1-415-555-0123"];
    let trigger = async |n: usize| {
        let body = json!({"flow_id": flow, "phone": written[n % written.len()], "context": cart_context()});
        world.app.post("/actions/trigger-flow", &body).await
    };
    let answers = futures::future::join_all((0..20).map(trigger)).await;
    let id = answers[0].body["id"].clone();
    assert!(answers.iter().all(|answer| answer.body["id"] == id));
    assert_eq!(answers.iter().filter(|answer| answer.status.as_u16() == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status.as_u16() == 200).count(), 19);
    world.settle().await;
    assert_eq!(world.cloud.accepted().len(), 1);
    assert_eq!(world.app.get("/contacts").await.expect(200)["data"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn rate_limits_drop_nothing() {
    let world = World::start(|_| {}).await;
    let flow = world.app.publish(&questions(&["Your name?", "Your age?"])).await;
    let people: Vec<Phone> = (0..6).map(|n| world.cloud.phone(&format!("+1415888{n:04}"))).collect();
    for person in &people {
        person.say("hello");
    }
    world.settle().await;
    world.cloud.next_times(4, Fault::error(130_429));
    world.cloud.next_times(4, Fault::error(131_056));
    for n in 0..people.len() {
        world.trigger(flow, &format!("+1415888{n:04}"), json!({})).await;
    }
    for turn in 1..=3 {
        for _ in 0..120 {
            world.wait(1).await;
            if people.iter().all(|person| person.inbox().len() == turn) {
                break;
            }
        }
        for person in &people {
            assert_eq!(person.texts(), ["Your name?", "Your age?", "Thank you."][..turn]);
            if turn < 3 {
                person.say("something");
            }
        }
    }
    let codes: Vec<i64> = world.cloud.refused().iter().map(|refused| refused.error.code).collect();
    assert_eq!(codes.iter().filter(|code| **code == 130_429).count(), 4, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 131_056).count(), 4, "{codes:?}");
    assert!(world.with_status("failed").await.is_empty());
    assert_eq!(world.cloud.accepted().len(), 3 * people.len(), "and nothing comes twice");
}

#[actix_web::test]
async fn the_closed_window_is_not_silent() {
    let (world, anna) = with_anna().await;
    let imported = world
        .app
        .post(
            "/flows/import?publish=true&accept=unreachable_node",
            &after_a_day(json!({"reply": null, "no_match": null, "timeout": null})),
        )
        .await
        .expect(201);
    let warned = imported["problems"].as_array().unwrap().iter();
    let warned = warned.filter(|problem| problem["node"] == "nudge" && problem["field"] == "template").count();
    assert_eq!(warned, 1, "publishing says so: {imported}");
    let flow = imported["id"].as_str().unwrap().parse().unwrap();
    let unwired = world.trigger(flow, PHONE, json!({})).await;
    let mut wired = after_a_day(json!({"reply": null, "no_match": null, "timeout": null, "delivery_failed": "lost"}));
    wired["name"] = json!("Careful");
    let flow = world.app.publish(&wired).await;
    let wired = world.trigger(flow, PHONE, json!({})).await;
    world.settle().await;
    assert_eq!(anna.inbox().len(), 2);
    let requests = world.cloud.requests().len();
    world.wait(90_000).await;
    world.settle().await;
    let session = world.app.session(&unwired).await;
    assert_eq!((&session["status"], &session["reason"]), (&json!("failed"), &json!("window_closed")));
    is_at(&world, &wired, "completed", "unreachable").await;
    let failed = world.with_status("failed").await;
    assert_eq!(failed.len(), 2);
    assert!(failed.iter().all(|message| message["reason"] == "window_closed"));
    assert_eq!(anna.inbox().len(), 2);
    assert_eq!(world.cloud.requests().len(), requests, "Meta is not asked in vain");
}

#[actix_web::test]
async fn what_meta_refuses_afterwards_is_not_silent() {
    let (world, anna) = with_anna().await;
    let flow = world.app.publish(&drinks("Drinks")).await;
    world.cloud.next(Fault::fail_later(131_047));
    let id = world.trigger(flow, PHONE, json!({})).await;
    world.settle().await;
    let session = world.app.session(&id).await;
    assert_eq!((&session["status"], &session["reason"]), (&json!("failed"), &json!("131047")));
    let failed = world.with_status("failed").await;
    assert_eq!((failed.len(), &failed[0]["reason"]), (1, &json!("131047")));
    anna.say("tea");
    world.settle().await;
    assert_eq!(world.app.session(&id).await["status"], "failed", "nothing goes on by itself");
}

#[actix_web::test]
async fn bursts_arrive_in_order() {
    let (world, anna) = with_anna().await;
    let ben = world.cloud.phone("+14155550124");
    ben.say("hello");
    world.settle().await;
    let say = |id: &str, content: Value, next: &str| {
        let mut node = json!({"id": id, "type": "send_message", "exits": {"next": next}});
        node.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
        node
    };
    let image = json!({"media": {"kind": "image", "url": "https://shop.example.com/a.jpg", "caption": "a picture"}});
    let document = json!({
        "schema_version": 1, "name": "Burst", "entry_node": "a",
        "nodes": [
            say("a", image.clone(), "b"), say("b", json!({"text": "below it"}), "c"), say("c", image, "d"),
            {"id": "d", "type": "end", "text": "the end"}
        ]
    });
    let flow = world.app.publish(&document).await;
    let order = ["a picture", "below it", "a picture", "the end"];
    // Word of a message settles it as well as the answer does.
    world.cloud.set_delivery(Delivery { delay_statuses: true, ..Delivery::default() });
    let gate = world.cloud.hold_next_answer();
    world.trigger(flow, PHONE, json!({})).await;
    let runtime = world.app.runtime.clone();
    let sending = tokio::spawn(async move { runtime.run_outbox_once().await });
    anna.wait_for(1).await;
    // The picture takes its time; what is behind it does not overtake it, and Ben does not wait for Anna.
    world.trigger(flow, "+14155550124", json!({})).await;
    world.settle().await;
    assert_eq!(ben.texts(), order);
    assert_eq!(anna.texts(), order[..1]);
    assert!(!sending.is_finished());
    gate.open();
    patiently("the answer", sending).await.unwrap().unwrap();
    world.settle().await;
    assert_eq!(anna.texts(), order);
}

#[actix_web::test]
async fn a_message_during_an_http_call_kills_nothing() {
    let gate = Arc::new(Notify::new());
    let site = Site::start_slow(gate.clone(), |_| green()).await;
    let world = World::start_with(
        Pacing::OFF,
        |_| {},
        |config| {
            config.http_request.allow = vec!["127.0.0.1/32".parse().unwrap()];
        },
    )
    .await;
    let anna = world.cloud.phone(PHONE);
    anna.say("hello");
    world.settle().await;
    let mut document = calling(&site.url("/"));
    document["nodes"][1] = json!({"id": "good", "type": "ask", "text": "It is {{context.answer.body.colour}}. Yes?",
        "save_as": "fine", "exits": {"reply": "done", "no_match": null, "timeout": null}});
    document["nodes"].as_array_mut().unwrap().push(json!({"id": "done", "type": "end", "outcome": "fine"}));
    let flow = world.app.publish(&document).await;
    let id = world.trigger(flow, PHONE, json!({})).await;
    let runtime = world.app.runtime.clone();
    let calls = tokio::spawn(async move { runtime.run_due_calls().await });
    patiently("the call", site.wait_for(1)).await;
    for text in ["Hello?", "Are you there?"] {
        anna.say(text);
        world.settle().await;
    }
    let session = world.app.session(&id).await;
    assert_eq!((&session["status"], &session["waiting_for"]), (&json!("running"), &json!("http")));
    assert!(anna.inbox().is_empty());
    world.app.advance(1);
    gate.notify_one();
    patiently("the answer", calls).await.unwrap().unwrap();
    world.settle().await;
    assert_eq!(anna.texts(), ["It is green. Yes?"]);
    assert_eq!(world.app.session(&id).await["waiting_for"], "reply", "what was said before is no answer to it");
    assert_eq!(site.seen().len(), 1, "it is not called again");
    anna.say("Yes");
    world.settle().await;
    is_at(&world, &id, "completed", "fine").await;
    assert_eq!(world.app.session(&id).await["context"]["fine"], "Yes");
}

#[actix_web::test]
async fn a_run_that_stops_says_why() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let mut document = cart();
    document["nodes"][0]["exits"]["delivery_failed"] = Value::Null;
    document["nodes"][0]["exits"].as_object_mut().unwrap().remove("delivery_failed");
    let flow = world.app.publish(&document).await;
    let anna = world.cloud.phone(PHONE);
    anna.leave_whatsapp();
    let id = world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;
    let session = world.app.session(&id).await;
    assert_eq!((&session["status"], &session["reason"]), (&json!("failed"), &json!("131026")));
    let message = &world.with_status("failed").await[0];
    assert_eq!((&message["reason"], &message["session_id"]), (&json!("131026"), &id));
    assert!(message["error"].as_str().is_some_and(|error| !error.is_empty()), "in Meta's words: {message}");
    let turns = world.app.turns(&id).await;
    let last = turns.iter().max_by_key(|turn| turn["turn"].as_u64()).unwrap();
    assert_eq!(last["stimulus"]["type"], "delivery_failed", "{last}");
    assert!(last.to_string().contains("131026"));
    assert!(anna.inbox().is_empty());
}

#[actix_web::test]
async fn no_blank_and_no_raw_token_is_sent() {
    let (world, anna) = with_anna().await;
    let mut document = questions(&["Hi {{contact.metadata.nickname}}, your order {{context.order.number}}?"]);
    document["name"] = json!("Holes");
    let flow = world.app.publish(&document).await;
    world.trigger(flow, PHONE, json!({"order": {"number": "{{contact.phone}}"}})).await;
    world.settle().await;
    assert_eq!(anna.texts(), ["Hi , your order {{contact.phone}}?"], "a value is never expanded");
    // In a template a blank would be refused, or worse, sent.
    let ben = world.cloud.phone("+14155550124");
    let mut template = cart();
    template["inputs"] = json!([]);
    template["nodes"][0]["template"]["variables"]["2"] = json!("{{context.nothing}}");
    let flow = world.app.publish(&template).await;
    let id = world.trigger(flow, "+14155550124", json!({})).await;
    world.settle().await;
    assert!(ben.inbox().is_empty());
    let failed = world.with_status("failed").await;
    assert_eq!((failed.len(), &failed[0]["reason"]), (1, &json!("missing_variable")));
    is_at(&world, &id, "completed", "no_reply").await;
}
