//! What people send: once, twice, late, to the wrong place or to a person.

use serde_json::{Value, json};
use testkit::app::PHONE;
use testkit::meta::{Delivery, brazil_mexico_argentina};

use super::{drinks, is_at, last_heard, questions, sessions, with_anna};
use crate::whatsapp::world::{World, cart, cart_context, cart_template, held};

#[actix_web::test]
async fn a_provider_that_redelivers_gets_no_second_answer() {
    let (world, anna) = with_anna().await;
    let flow = world.app.publish(&questions(&["Your name?", "Your age?"])).await;
    let id = world.trigger(flow, PHONE, json!({})).await;
    world.settle().await;
    world.cloud.set_delivery(Delivery { twice: true, parallel: 2, ..held() });
    anna.say("Anna");
    world.settle().await;
    assert_eq!(anna.texts(), ["Your name?", "Your age?"]);
    let turns = world.app.turns(&id).await.len();
    // Once more, much later, as after an outage of theirs.
    let posted = world.cloud.posted();
    let body =
        posted.iter().find(|posted| posted.body.contains("\"Anna\"") && posted.body.contains("\"text\"")).unwrap();
    world.wait(900).await;
    assert_eq!(world.cloud.post_signed(body.body.as_bytes()).await.0, 200);
    world.settle().await;
    assert_eq!(anna.texts(), ["Your name?", "Your age?"]);
    assert_eq!(world.app.turns(&id).await.len(), turns, "no step was run");
    let session = world.app.session(&id).await;
    assert_eq!((&session["context"]["a1"], &session["context"]["a2"]), (&json!("Anna"), &Value::Null));
    let heard = world.messages(&session["contact_id"]).await;
    assert_eq!(heard.iter().filter(|message| message["text"] == "Anna").count(), 1);
    world.assert_all_taken();
}

#[actix_web::test]
async fn two_messages_in_quick_succession_advance_once_each() {
    let (world, anna) = with_anna().await;
    let flow = world.app.publish(&questions(&["Your name?", "Your age?", "Your town?"])).await;
    let id = world.trigger(flow, PHONE, json!({})).await;
    world.settle().await;
    world.cloud.set_delivery(Delivery { batch: 10, ..held() });
    anna.say("Anna");
    anna.say("30");
    world.settle().await;
    assert_eq!(anna.texts(), ["Your name?", "Your age?", "Your town?"], "each question once");
    let session = world.app.session(&id).await;
    assert_eq!((&session["context"]["a1"], &session["context"]["a2"]), (&json!("Anna"), &json!("30")));
    assert_eq!((&session["current_node_id"], &session["turn"]), (&json!("q3"), &json!(3)));
}

#[actix_web::test]
async fn a_keyword_said_twice_in_a_row_starts_one_session() {
    let (world, anna) = with_anna().await;
    let mut document = drinks("Drinks");
    document["settings"] = json!({"keywords": ["menu"]});
    world.app.publish(&document).await;
    world.cloud.set_delivery(Delivery { batch: 10, twice: true, shuffled: true, parallel: 4, ..held() });
    anna.say("menu");
    anna.say("menu");
    world.settle().await;
    assert_eq!(sessions(&world).await, 1);
    let asked = anna.texts().len();
    assert_eq!(asked, 2, "the second is an answer that the menu does not have: {:?}", anna.texts());
    anna.tap(&anna.inbox()[1].wamid, "Tea");
    world.settle().await;
    assert_eq!(anna.texts()[asked..], ["Drinks: tea."]);
}

#[actix_web::test]
async fn a_second_resume_runs_nothing_again() {
    let (world, anna) = with_anna().await;
    let flow = json!({
        "schema_version": 1, "name": "Help", "entry_node": "agent",
        "nodes": [
            {"id": "agent", "type": "handoff", "note": "", "exits": {"resumed": "next", "timeout": null}},
            {"id": "next", "type": "ask", "text": "Did that help?", "timeout_seconds": 600,
             "exits": {"reply": null, "no_match": null, "timeout": null}}
        ]
    });
    let flow = world.app.publish(&flow).await;
    let id = world.trigger(flow, PHONE, json!({})).await;
    let path = format!("/sessions/{}/resume", id.as_str().unwrap());
    let resume = async |_| world.app.post(&path, &json!({})).await;
    let all = futures::future::join_all((0..8).map(resume)).await;
    let mut statuses: Vec<u16> = all.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
    world.settle().await;
    assert_eq!(anna.texts(), ["Did that help?"]);
    let session = world.app.session(&id).await;
    assert_eq!((&session["turn"], &session["waiting_for"]), (&json!(2), &json!("reply")), "and the wait is armed");
    assert!(session["wake_at"].is_string());
}

#[actix_web::test]
async fn a_callback_before_the_wait_is_armed_is_not_lost() {
    let (world, anna) = with_anna().await;
    let flow = json!({
        "schema_version": 1, "name": "Order", "entry_node": "size",
        "nodes": [
            {"id": "size", "type": "ask", "text": "Which size?", "exits": {"reply": "paid"}},
            {"id": "paid", "type": "wait_for_event", "event": "paid", "timeout_seconds": 3600, "save_as": "payment",
             "exits": {"event": "thanks", "timeout": null}},
            {"id": "thanks", "type": "end", "outcome": "paid", "text": "Thank you for {{context.payment.total}}."}
        ]
    });
    let flow = world.app.publish(&flow).await;
    let id = world.trigger(flow, PHONE, json!({})).await;
    world.settle().await;
    let event = json!({"event": "paid", "payload": {"total": 12}});
    let told = world.app.post(&format!("/sessions/{}/events", id.as_str().unwrap()), &event).await.expect(202);
    assert_eq!(told["handled"], "kept");
    world.settle().await;
    assert_eq!(anna.texts(), ["Which size?"], "nothing happens before its time");
    anna.say("L");
    world.settle().await;
    assert_eq!(anna.texts(), ["Which size?", "Thank you for 12."]);
    is_at(&world, &id, "completed", "paid").await;
}

#[actix_web::test]
async fn phone_variants_make_no_second_contact() {
    let world = World::start(|cloud| {
        cloud.add_template(cart_template());
        cloud.set_wa_id(brazil_mexico_argentina);
    })
    .await;
    let flow = world.app.publish(&cart()).await;
    // Meta answers with another number than the one that was written to, and people write from that one.
    for number in ["+5511987654321", "+525512345678", "+541123456789"] {
        let person = world.cloud.phone(number);
        assert_ne!(format!("+{}", person.wa_id().unwrap()), number);
        let id = world.trigger(flow, number, cart_context()).await;
        world.settle().await;
        person.tap_without_context(&person.inbox()[0].wamid, "Check out");
        world.settle().await;
        is_at(&world, &id, "completed", "checkout").await;
        assert_eq!(person.inbox().len(), 2);
        let again = world.trigger(flow, number, cart_context()).await;
        assert_eq!(world.app.session(&again).await["contact_id"], world.app.session(&id).await["contact_id"]);
        // The clock stands, and what comes in counts against the number's pace.
        world.wait(1).await;
    }
    assert_eq!(world.app.get("/contacts").await.expect(200)["data"].as_array().unwrap().len(), 3);
}

#[actix_web::test]
async fn a_stuck_session_does_not_block_its_contact() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    let anna = world.cloud.phone(PHONE);
    let old = world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;
    // Nobody fires what is due.
    world.app.advance(3 * 3600);
    let new = world.trigger(flow, PHONE, cart_context()).await;
    assert_ne!(new, old);
    is_at(&world, &old, "completed", "no_reply").await;
    world.settle().await;
    assert_eq!(anna.inbox().len(), 2);
    anna.tap_without_context(&anna.inbox()[1].wamid, "Check out");
    world.settle().await;
    is_at(&world, &new, "completed", "checkout").await;
}

#[actix_web::test]
async fn a_late_reply_restarts_nothing() {
    let (world, anna) = with_anna().await;
    let silent = world.app.publish(&drinks("Silent")).await;
    let id = world.trigger(silent, PHONE, json!({})).await;
    world.settle().await;
    world.wait(1800).await;
    is_at(&world, &id, "expired", Value::Null).await;
    let contact = world.app.session(&id).await["contact_id"].clone();
    for reply in [false, true, true] {
        if reply {
            anna.tap(&anna.inbox()[0].wamid, "Tea");
        } else {
            anna.say("tea");
        }
        world.settle().await;
        let (handled, reason) = last_heard(&world, &contact).await;
        assert_eq!(handled, "unrouted");
        assert!(reason.is_string(), "kept, with the reason");
    }
    assert_eq!(anna.inbox().len(), 1, "{:?}", anna.texts());
    is_at(&world, &id, "expired", Value::Null).await;

    // A flow that has something to say to it says it once for each, and begins nothing.
    let mut document = drinks("Polite");
    document["settings"] = json!({"late_reply": {"text": "This has ended."}});
    let polite = world.app.publish(&document).await;
    let id = world.trigger(polite, PHONE, json!({})).await;
    world.settle().await;
    world.wait(1800).await;
    anna.tap(&anna.inbox()[1].wamid, "Tea");
    world.settle().await;
    world.wait(3600).await;
    assert_eq!(anna.texts(), ["Silent?", "Polite?", "This has ended."]);
    is_at(&world, &id, "expired", Value::Null).await;
    assert_eq!(sessions(&world).await, 2);
}

#[actix_web::test]
async fn a_publish_breaks_no_running_conversation() {
    let (world, anna) = with_anna().await;
    let ben = world.cloud.phone("+14155550124");
    ben.say("hello");
    world.settle().await;
    let mut document = drinks("First");
    let flow = world.app.publish(&document).await;
    let old = world.trigger(flow, PHONE, json!({})).await;
    world.settle().await;
    let second = drinks("Second");
    document["id"] = json!(flow);
    document["nodes"] = second["nodes"].clone();
    // The option that Anna is about to tap is there no more.
    document["nodes"][0]["options"] = json!([{"id": "coffee", "title": "Coffee"}]);
    document["nodes"][0]["exits"] = json!({"coffee": "coffee"});
    document["nodes"].as_array_mut().unwrap().remove(1);
    assert_eq!(world.app.publish(&document).await, flow);
    anna.tap(&anna.inbox()[0].wamid, "Tea");
    world.settle().await;
    assert_eq!(anna.texts(), ["First?", "First: tea."]);
    is_at(&world, &old, "completed", "tea").await;
    let new = world.trigger(flow, "+14155550124", json!({})).await;
    world.settle().await;
    assert_eq!(ben.texts(), ["Second?"]);
    let (old, new) = (world.app.session(&old).await, world.app.session(&new).await);
    assert!(old["version"].as_i64() < new["version"].as_i64());
}

#[actix_web::test]
async fn an_old_menu_button_goes_nowhere_wrong() {
    let (world, anna) = with_anna().await;
    let two = json!({
        "schema_version": 1, "name": "Two menus", "entry_node": "one",
        "nodes": [
            {"id": "one", "type": "menu", "text": "Drink?", "options": [
                {"id": "a", "title": "Tea"}, {"id": "b", "title": "Coffee"}], "exits": {"a": "two", "b": "two"}},
            {"id": "two", "type": "menu", "text": "Cake?", "max_attempts": 1, "options": [
                {"id": "a", "title": "Yes"}, {"id": "b", "title": "No"}],
                "exits": {"a": "yes", "b": "no", "no_match": "no"}},
            {"id": "yes", "type": "end", "outcome": "cake", "text": "Cake it is."},
            {"id": "no", "type": "end", "outcome": "none", "text": "No cake."}
        ]
    });
    let flow = world.app.publish(&two).await;
    let id = world.trigger(flow, PHONE, json!({})).await;
    world.settle().await;
    let old = anna.inbox()[0].wamid.clone();
    anna.tap(&old, "Tea");
    world.settle().await;
    // The same ids stand on both menus, and the second takes no wrong answer.
    for tap in 0..3 {
        anna.tap(&old, if tap == 1 { "Coffee" } else { "Tea" });
        world.settle().await;
    }
    assert_eq!(anna.texts(), ["Drink?", "Cake?", "Cake?", "Cake?", "Cake?"], "it asks what it waits for");
    assert_eq!(world.app.session(&id).await["current_node_id"], "two");
    anna.tap(&anna.inbox()[1].wamid, "Yes");
    world.settle().await;
    is_at(&world, &id, "completed", "cake").await;

    // While another session of the same flow waits, the ended one's buttons reach nobody.
    let next = world.trigger(flow, PHONE, json!({})).await;
    world.settle().await;
    let heard = anna.inbox().len();
    anna.tap(&old, "Tea");
    world.settle().await;
    assert_eq!(anna.inbox().len(), heard);
    assert_eq!(world.app.session(&next).await["current_node_id"], "one");
    let contact = world.app.session(&next).await["contact_id"].clone();
    assert_eq!(last_heard(&world, &contact).await, (json!("unrouted"), json!("session_ended")));
}

#[actix_web::test]
async fn a_keyword_never_hijacks_an_answer() {
    let (world, anna) = with_anna().await;
    let mut other = questions(&["Which tea?"]);
    other["settings"] = json!({"keywords": ["tea"]});
    world.app.publish(&other).await;
    let flow = world.app.publish(&drinks("Drinks")).await;
    for tapped in [false, true] {
        let id = world.trigger(flow, PHONE, json!({})).await;
        world.settle().await;
        let before = sessions(&world).await;
        if tapped {
            anna.tap(&anna.inbox().last().unwrap().wamid, "Tea");
        } else {
            anna.say("Tea");
        }
        world.settle().await;
        is_at(&world, &id, "completed", "tea").await;
        assert_eq!(anna.texts().last().unwrap(), "Drinks: tea.");
        assert_eq!(sessions(&world).await, before, "the keyword's flow did not start");
    }
    // With nobody waiting it is a keyword.
    anna.say("Tea");
    world.settle().await;
    assert_eq!(anna.texts().last().unwrap(), "Which tea?");
}

#[actix_web::test]
async fn stop_is_heard_in_the_middle_of_a_flow() {
    let (world, anna) = with_anna().await;
    let flow = world.app.publish(&questions(&["Your name?", "Your age?"])).await;
    let id = world.trigger(flow, PHONE, json!({})).await;
    world.settle().await;
    anna.say(" Stop. ");
    world.settle().await;
    let session = world.app.session(&id).await;
    assert_eq!((&session["status"], &session["reason"]), (&json!("cancelled"), &json!("opted_out")));
    assert_eq!(session["context"]["a1"], Value::Null, "it is no answer");
    let heard = anna.texts();
    assert_eq!(heard.len(), 2, "the question and the confirmation: {heard:?}");
    assert!(!heard.contains(&"Your age?".to_owned()));
    world.wait(3600).await;
    assert_eq!(world.app.trigger(flow, PHONE).await.status, 422);
    world.settle().await;
    assert_eq!(anna.inbox().len(), 2, "and nothing ever after");
}

#[actix_web::test]
async fn a_person_takes_over_and_gives_back() {
    let (world, anna) = with_anna().await;
    let mut keyword = drinks("Drinks");
    keyword["settings"] = json!({"keywords": ["menu"]});
    world.app.publish(&keyword).await;
    let flow = json!({
        "schema_version": 1, "name": "Help", "entry_node": "agent",
        "nodes": [
            {"id": "agent", "type": "handoff", "note": "Anna needs help",
                "exits": {"resumed": "next", "timeout": null}},
            {"id": "next", "type": "ask", "text": "Did that help?", "save_as": "helped",
             "exits": {"reply": "done", "no_match": null, "timeout": null}},
            {"id": "done", "type": "end", "outcome": "helped", "text": "Good."}
        ]
    });
    let flow = world.app.publish(&flow).await;
    let id = world.trigger(flow, PHONE, json!({})).await;
    let contact = world.app.session(&id).await["contact_id"].clone();
    for text in ["My parcel is lost", "menu", "yes"] {
        anna.say(text);
        world.settle().await;
        assert_eq!(last_heard(&world, &contact).await.0, "handoff", "{text}");
    }
    assert!(anna.inbox().is_empty(), "the bot is silent: {:?}", anna.texts());
    let path = format!("/contacts/{}/messages", contact.as_str().unwrap());
    let answer = world.app.post(&path, &json!({"text": "It comes tomorrow."})).await;
    assert!(answer.status.is_success(), "{}", answer.body);
    // Hours pass without the flow's time to live.
    world.wait(4 * 3600).await;
    assert_eq!(world.app.session(&id).await["waiting_for"], "handoff");
    world.app.post(&format!("/sessions/{}/resume", id.as_str().unwrap()), &json!({})).await.expect(200);
    world.settle().await;
    assert_eq!(anna.texts(), ["It comes tomorrow.", "Did that help?"]);
    anna.say("yes");
    world.settle().await;
    is_at(&world, &id, "completed", "helped").await;
    assert_eq!(world.app.session(&id).await["context"]["helped"], "yes", "not what was said to the person");
    assert_eq!(anna.texts().last().unwrap(), "Good.");
}
