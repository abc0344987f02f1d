//! Conversations that somebody else holds: a colleague in the WhatsApp Business app, an agent of Meta's.

use serde_json::{Value, json};
use testkit::app::PHONE;
use testkit::meta::{Delivery, Pacing, Phone};
use testkit::site::{Site, answer};

use crate::whatsapp::crash::{Mortal, until};
use crate::whatsapp::world::{World, cart, cart_context, cart_template, held as webhooks_held};

const HOUR: u64 = 3600;

/// Asks, reminds after ten minutes, and lives for half an hour.
fn question() -> Value {
    json!({
        "schema_version": 1, "name": "Question", "entry_node": "ask",
        "settings": {"session_ttl_minutes": 30, "keywords": ["menu"], "message_max_age_minutes": 5,
                     "late_reply": {"text": "Too late."}},
        "nodes": [
            {"id": "ask", "type": "menu", "text": "Tea?", "timeout_seconds": 600,
             "options": [{"id": "yes", "title": "Yes"}, {"id": "no", "title": "No"}],
             "exits": {"yes": "fine", "no": "fine", "timeout": "again"}},
            {"id": "fine", "type": "end", "text": "Fine."},
            {"id": "again", "type": "ask", "text": "Still there?", "exits": {"reply": "fine"}}]
    })
}

/// A world in which the person has written, and a session of [`question`] waits for the answer.
async fn asked() -> (World, Phone, Value) {
    asked_with(|_| {}).await
}

async fn asked_with(change: impl FnOnce(&mut qyvo::config::Config)) -> (World, Phone, Value) {
    let world = World::start_with(Pacing::OFF, |cloud| cloud.add_template(cart_template()), change).await;
    let flow = world.app.publish(&question()).await;
    let anna = world.cloud.phone(PHONE);
    anna.say("hello");
    world.settle().await;
    let id = world.trigger(flow, PHONE, json!({})).await;
    world.settle().await;
    assert_eq!(anna.texts(), ["Tea?"]);
    (world, anna, id)
}

async fn contact(world: &World) -> Value {
    world.app.get(&format!("/contacts?phone={}", PHONE.replace('+', "%2B"))).await.expect(200)["data"][0].clone()
}

/// Type, text, origin, status, what took it, and why, of a contact's last message.
async fn last(world: &World) -> Value {
    let contact = contact(world).await;
    let messages = world.messages(&contact["id"]).await;
    let last = messages.last().unwrap();
    json!([last["type"], last["text"], last["origin"], last["status"], last["handled"], last["reason"]])
}

fn seconds(from: &Value, to: &Value) -> i64 {
    let read = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    read(to) - read(from)
}

#[actix_web::test]
async fn what_a_colleague_writes_is_shown_and_flows_are_silent() {
    let (world, anna, id) = asked().await;
    let before = world.app.session(&id).await;
    let window = contact(&world).await["last_inbound_at"].clone();
    world.wait(60).await;
    anna.hear_colleague("I am looking for it");
    world.settle().await;
    assert_eq!(last(&world).await, json!(["text", "I am looking for it", "colleague", "sent", null, null]));
    let person = contact(&world).await;
    assert_eq!((&person["held_by"], &person["last_inbound_at"]), (&json!("colleague"), &window));
    let session = world.app.session(&id).await;
    assert_eq!((&session["held_by"], &session["held_until"]), (&json!("colleague"), &person["held_until"]));
    for timer in ["wake_at", "expires_at"] {
        assert_eq!(seconds(&before[timer], &session[timer]), 3600, "{timer}");
    }
    // Neither the option nor a keyword is answered, and no timer fires.
    for text in ["yes", "menu"] {
        anna.say(text);
        world.settle().await;
        assert_eq!(last(&world).await, json!(["text", text, null, "received", "held", "colleague"]));
    }
    world.wait(HOUR - 61).await;
    assert_eq!(anna.inbox().len(), 1);
    let turns = world.app.turns(&id).await;
    assert!(turns.last().unwrap()["warnings"].to_string().contains("ignored: colleague"), "{turns:?}");
    world.wait(61).await;
    assert_eq!(contact(&world).await["held_by"], Value::Null);
    assert_eq!(world.app.session(&id).await["held_by"], Value::Null);
    // Nine of the ten minutes are left.
    world.wait(538).await;
    assert_eq!(anna.texts(), ["Tea?"]);
    world.wait(2).await;
    assert_eq!(anna.texts(), ["Tea?", "Still there?"]);
    anna.say("yes");
    world.settle().await;
    assert_eq!(anna.texts().last().unwrap(), "Fine.");
    world.assert_all_taken();
    world.assert_at_rest().await;
    assert_eq!(world.app.count("strays"), 0);
}

#[actix_web::test]
async fn another_message_makes_it_longer_and_an_operator_shorter() {
    let (world, anna, id) = asked().await;
    let before = world.app.session(&id).await;
    anna.hear_colleague("one");
    world.settle().await;
    world.wait(1800).await;
    let second = anna.hear_colleague("two");
    world.settle().await;
    let session = world.app.session(&id).await;
    assert_eq!(seconds(&before["wake_at"], &session["wake_at"]), 5400);
    // A redelivery, a reaction and a message taken back make nothing longer.
    world.wait(60).await;
    let person = contact(&world).await;
    for odd in [
        json!({"type": "reaction", "reaction": {"message_id": second, "emoji": "👍"}}),
        json!({"type": "revoke", "revoke": {"original_message_id": second}}),
        json!({"type": "text", "text": {"body": "two"}, "id": second}),
    ] {
        anna.hear_colleague_send(odd);
    }
    world.settle().await;
    assert_eq!(contact(&world).await["held_until"], person["held_until"]);
    anna.hear_colleague_send(json!({"type": "edit", "edit": {"original_message_id": second,
        "message": {"type": "text", "text": {"body": "too"}}}}));
    world.settle().await;
    assert_eq!(seconds(&person["held_until"], &contact(&world).await["held_until"]), 60);
    assert_eq!(last(&world).await[0], "edit");
    let kinds: Vec<Value> = world.messages(&person["id"]).await.iter().map(|one| one["type"].clone()).collect();
    assert_eq!(kinds[2..], ["text", "text", "reaction", "revoke", "edit"]);

    let path = format!("/contacts/{}/resume", person["id"].as_str().unwrap());
    let resumed = world.app.post(&path, &json!({})).await.expect(200);
    assert_eq!(
        (&resumed["id"], &resumed["held_by"], &resumed["held_until"]),
        (&person["id"], &Value::Null, &Value::Null)
    );
    // 1,860 seconds have passed, and none of them counts.
    let session = world.app.session(&id).await;
    for timer in ["wake_at", "expires_at"] {
        assert_eq!(seconds(&before[timer], &session[timer]), 1860, "{timer}");
    }
    assert_eq!(session["held_by"], Value::Null);
    world.app.post(&path, &json!({})).await.expect(200);
    world.app.post("/contacts/01936b1e-7c6a-7000-8000-00000000dead/resume", &json!({})).await.expect(404);
    anna.say("yes");
    world.settle().await;
    assert_eq!(anna.texts(), ["Tea?", "Fine."]);
    world.assert_at_rest().await;
}

#[actix_web::test]
async fn a_session_that_is_triggered_meanwhile_speaks_when_it_is_over() {
    let (world, anna, _) = asked().await;
    anna.say("yes");
    world.settle().await;
    anna.hear_colleague("Hello Anna");
    world.settle().await;
    let flow = world.app.publish(&question()).await;
    let id = world.trigger(flow, PHONE, json!({})).await;
    world.settle().await;
    assert_eq!(last(&world).await, json!(["menu", "Tea?", "flow", "queued", null, "colleague"]));
    let session = world.app.session(&id).await;
    let until = contact(&world).await["held_until"].clone();
    assert_eq!((seconds(&until, &session["wake_at"]), seconds(&until, &session["expires_at"])), (600, 1800));
    // What people and other systems say goes past it.
    let path = format!("/contacts/{}/messages", session["contact_id"].as_str().unwrap());
    world.app.post(&path, &json!({"text": "An agent"})).await.expect(202);
    world.settle().await;
    assert_eq!(anna.texts(), ["Tea?", "Fine.", "An agent"]);
    assert_eq!(contact(&world).await["held_by"], "colleague", "an agent's own message holds nothing and ends nothing");
    // It was good for five minutes, which have not begun.
    world.wait(HOUR - 1).await;
    assert_eq!(anna.inbox().len(), 3);
    world.wait(1).await;
    assert_eq!(anna.texts()[3..], ["Tea?"]);
    world.wait(599).await;
    assert_eq!(anna.inbox().len(), 4);
    world.wait(1).await;
    assert_eq!(anna.texts()[4..], ["Still there?"]);
    world.assert_all_taken();
    world.assert_nothing_in_doubt().await;
}

#[actix_web::test]
async fn what_was_queued_before_waits_and_does_not_grow_old() {
    let (world, anna, id) = asked().await;
    world.app.post("/channels/whatsapp/pause", &json!({"reason": "maintenance"})).await.expect(200);
    anna.say("yes");
    world.settle().await;
    anna.hear_colleague("Wait");
    world.settle().await;
    world.app.post("/channels/whatsapp/resume", &json!({})).await.expect(200);
    world.wait(1200).await;
    assert_eq!(anna.texts(), ["Tea?"]);
    assert_eq!(world.app.session(&id).await["status"], "completed");
    let person = contact(&world).await;
    world.app.post(&format!("/contacts/{}/resume", person["id"].as_str().unwrap()), &json!({})).await.expect(200);
    world.settle().await;
    assert_eq!(anna.texts(), ["Tea?", "Fine."]);
    world.assert_at_rest().await;
}

#[actix_web::test]
async fn opting_out_is_heard_and_confirmed_all_the_same() {
    let (world, anna, id) = asked().await;
    anna.hear_colleague("Hello");
    world.settle().await;
    anna.say("STOP");
    world.settle().await;
    assert_eq!(world.app.session(&id).await["reason"], "opted_out");
    assert!(anna.texts().last().unwrap().starts_with("You will not get any more messages"));
    anna.say("START");
    world.settle().await;
    assert_eq!(anna.inbox().len(), 3);
    assert_eq!(contact(&world).await["opted_out_at"], Value::Null);
}

/// A colleague may have asked for it, whatever the flow waits for, and also where none runs.
#[actix_web::test]
async fn an_ordinary_answer_to_whoever_holds_the_conversation_opts_nobody_out() {
    let (world, anna, id) = asked().await;
    anna.hear_colleague("¿Su dolor es alto o bajo?");
    world.settle().await;
    for text in ["alto", "Baja.", "sair"] {
        anna.say(text);
        world.settle().await;
        assert_eq!(world.app.session(&id).await["status"], "running", "{text}");
        assert_eq!(contact(&world).await["opted_out_at"], Value::Null, "{text}");
    }
    let stranger = world.cloud.phone("+14155550777");
    stranger.hear_colleague("¿Alto o bajo?");
    world.settle().await;
    stranger.say("alto");
    world.settle().await;
    assert_eq!(stranger.texts().len(), 0, "nothing is confirmed");
    stranger.say("stop");
    world.settle().await;
    assert_eq!(stranger.texts().len(), 1, "but STOP is heard");
    // Where nobody holds it and nobody asks, it is the wish that it says.
    let other = world.cloud.phone("+14155550778");
    other.say("alto");
    world.settle().await;
    assert_eq!(other.texts().len(), 1);
}

#[actix_web::test]
async fn what_the_colleague_wrote_gets_its_statuses_and_is_never_sent_again() {
    let (world, anna, _) = asked().await;
    let [read, failed] = ["Hello", "Again"].map(|text| anna.hear_colleague(text));
    world.settle().await;
    let status = |wamid: &str, status: &str, code: Option<i64>| {
        let mut item = json!({"id": wamid, "status": status, "timestamp": (world.cloud.now() / 1000).to_string()});
        if let Some(code) = code {
            item["errors"] = json!([{"code": code, "title": "Odd"}]);
        }
        json!({"messaging_product": "whatsapp", "statuses": [item]})
    };
    for value in
        [status(&read, "delivered", None), status(&read, "read", None), status(&failed, "failed", Some(131_000))]
    {
        world.cloud.announce("messages", value);
    }
    world.settle().await;
    world.wait(600).await;
    let person = contact(&world).await;
    let messages = world.messages(&person["id"]).await;
    let shown: Vec<_> = messages.iter().filter(|one| one["origin"] == "colleague").collect();
    assert_eq!(
        (&shown[0]["status"], &shown[1]["status"], &shown[1]["reason"]),
        (&json!("read"), &json!("failed"), &json!("131000"))
    );
    assert_eq!(shown[0]["stages"].as_array().unwrap().len(), 2);
    let refused =
        world.app.post(&format!("/messages/{}/retry", shown[1]["id"].as_str().unwrap()), &json!({})).await.expect(409);
    assert_eq!(refused["reason"], "sent_elsewhere");
    assert_eq!(anna.texts(), ["Tea?"], "nothing went out twice");
}

#[actix_web::test]
async fn an_echo_that_comes_late_holds_what_is_left_or_nothing() {
    let (world, anna, id) = asked().await;
    let before = world.app.session(&id).await;
    let ago = |seconds: i64| world.cloud.now() - seconds * 1000;
    let said = json!({"type": "text", "text": {"body": "Long ago"}});
    anna.hear_colleague_at(ago(2 * 3600), said.clone());
    anna.hear_colleague_at(ago(3600), said.clone());
    world.settle().await;
    assert_eq!(last(&world).await[1], "Long ago");
    assert_eq!(
        (world.app.session(&id).await["wake_at"].clone(), contact(&world).await["held_by"].clone()),
        (before["wake_at"].clone(), Value::Null)
    );
    anna.hear_colleague_at(ago(3000), said);
    world.settle().await;
    assert_eq!(seconds(&before["wake_at"], &world.app.session(&id).await["wake_at"]), 600);
    world.wait(600).await;
    anna.say("yes");
    world.settle().await;
    assert_eq!(anna.texts(), ["Tea?", "Fine."]);
}

#[actix_web::test]
async fn a_pause_of_zero_is_none_and_a_colleague_may_write_to_strangers() {
    let (world, anna, _) = asked_with(|config| config.routing.colleague_pause = std::time::Duration::ZERO).await;
    anna.hear_colleague("Hello");
    let bob = world.cloud.phone("+14155550177");
    bob.hear_colleague("We met yesterday");
    let nameless = world.cloud.user_without_phone("US.77", "kim");
    nameless.hear_colleague("You too");
    world.settle().await;
    anna.say("yes");
    world.settle().await;
    assert_eq!(anna.texts(), ["Tea?", "Fine."]);
    let people = world.app.get("/contacts").await.expect(200);
    let people = people["data"].as_array().unwrap();
    assert_eq!(people.len(), 3);
    assert!(people.iter().all(|person| person["held_by"] == Value::Null && person["opted_in_at"] != json!("")));
    assert_eq!((&people[1]["phone"], &people[1]["total_messages"]), (&json!("+14155550177"), &json!(1)));
    bob.say("hello");
    world.settle().await;
    assert_eq!(world.app.get("/contacts").await.expect(200)["data"].as_array().unwrap().len(), 3);
}

#[actix_web::test]
async fn a_message_of_ours_is_no_echo() {
    let (world, anna, _) = asked().await;
    let ours = anna.inbox()[0].clone();
    anna.hear_colleague_send(json!({"type": "text", "text": {"body": "Tea?"}, "id": ours.wamid}));
    anna.hear_colleague_send(
        json!({"type": "text", "text": {"body": "Tea?"}, "biz_opaque_callback_data": ours.callback}),
    );
    world.settle().await;
    assert_eq!(contact(&world).await["held_by"], Value::Null);
    assert_eq!(world.messages(&contact(&world).await["id"]).await.len(), 2);
}

#[actix_web::test]
async fn a_session_in_handoff_stays_with_who_has_it() {
    let world = World::start(|_| {}).await;
    let flow = world
        .app
        .publish(&json!({"schema_version": 1, "name": "Help", "entry_node": "agent",
            "nodes": [{"id": "agent", "type": "handoff", "exits": {"resumed": "bye"}},
                {"id": "bye", "type": "end", "text": "Bye."}]}))
        .await;
    let anna = world.cloud.phone(PHONE);
    anna.say("hello");
    world.settle().await;
    let id = world.trigger(flow, PHONE, json!({})).await;
    anna.hear_colleague("How can I help?");
    world.settle().await;
    anna.say("With this");
    world.settle().await;
    assert_eq!(last(&world).await, json!(["text", "With this", null, "received", "handoff", null]));
    world.wait(HOUR).await;
    assert_eq!(world.app.session(&id).await["waiting_for"], "handoff");
    world.app.post(&format!("/sessions/{}/resume", id.as_str().unwrap()), &json!({})).await.expect(200);
    world.settle().await;
    assert_eq!(anna.texts(), ["Bye."]);
}

#[actix_web::test]
async fn a_prompt_on_its_way_has_its_whole_timeout_after_the_pause() {
    let (world, anna, _) = asked().await;
    anna.say("yes");
    world.settle().await;
    world.cloud.set_delivery(webhooks_held());
    let flow = world.app.publish(&question()).await;
    let gate = world.cloud.hold_next_answer();
    let id = world.trigger(flow, PHONE, json!({})).await;
    let sending = tokio::spawn({
        let runtime = world.app.runtime.clone();
        async move { runtime.run_outbox_once().await }
    });
    anna.wait_for(3).await;
    anna.hear_colleague("Hello");
    world.cloud.deliver().await;
    gate.open();
    sending.await.unwrap().unwrap();
    world.settle().await;
    let until = contact(&world).await["held_until"].clone();
    assert_eq!(seconds(&until, &world.app.session(&id).await["wake_at"]), 600);
    world.assert_all_taken();
}

#[actix_web::test]
async fn two_contacts_that_are_one_are_held_as_one() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    world.cloud.set_delivery(Delivery { delay_statuses: true, ..Delivery::default() });
    let flow = world.app.publish(&cart()).await;
    let anna = world.cloud.phone(PHONE);
    let id = world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;
    let before = world.app.session(&id).await;
    // A colleague writes to somebody of whom only an id is known.
    let echo = json!({"to_user_id": anna.bsuid(), "id": "wamid.KIM", "type": "text", "text": {"body": "Hi"},
                      "timestamp": (world.cloud.now() / 1000).to_string()});
    world.cloud.announce("smb_message_echoes", json!({"messaging_product": "whatsapp", "message_echoes": [echo]}));
    world.settle().await;
    assert_eq!(world.app.session(&id).await["wake_at"], before["wake_at"]);
    assert_eq!(world.app.get("/contacts").await.expect(200)["data"].as_array().unwrap().len(), 2);
    world.wait(600).await;
    anna.say("Check out");
    world.settle().await;
    assert_eq!(world.app.get("/contacts").await.expect(200)["data"].as_array().unwrap().len(), 1);
    assert_eq!(last(&world).await, json!(["text", "Check out", null, "received", "held", "colleague"]));
    assert_eq!(seconds(&before["wake_at"], &world.app.session(&id).await["wake_at"]), 3000);
    world.assert_all_taken();
}

#[actix_web::test]
async fn what_another_system_of_meta_holds_is_kept_and_answered_by_nothing() {
    let (world, anna, id) = asked().await;
    let before = world.app.session(&id).await;
    anna.say_to_agent("yes");
    let told = anna.hear_agent("We are open from nine");
    world.settle().await;
    anna.agents_message_got_on(&told, "read");
    world.settle().await;
    let person = contact(&world).await;
    assert_eq!(person["held_by"], "standby");
    let messages = world.messages(&person["id"]).await;
    let tail: Vec<Value> = messages[2..]
        .iter()
        .map(|one| json!([one["text"], one["origin"], one["status"], one["handled"], one["reason"]]))
        .collect();
    assert_eq!(
        tail,
        [
            json!(["yes", null, "received", "held", "standby"]),
            json!(["We are open from nine", "standby", "read", null, null]),
        ]
    );
    assert_eq!(seconds(&before["wake_at"], &world.app.session(&id).await["wake_at"]), 24 * 3600);
    anna.say_to_agent("menu");
    world.settle().await;
    assert_eq!(anna.texts(), ["Tea?"]);
    // It gives the conversation back.
    world.wait(60).await;
    anna.hand_over(false);
    world.settle().await;
    assert_eq!(contact(&world).await["held_by"], Value::Null);
    assert_eq!(seconds(&before["wake_at"], &world.app.session(&id).await["wake_at"]), 60);
    anna.say("yes");
    world.settle().await;
    assert_eq!(anna.texts(), ["Tea?", "Fine."]);
    world.assert_all_taken();
    assert_eq!(world.app.count("strays"), 0);
}

#[actix_web::test]
async fn a_conversation_of_another_system_ends_in_four_ways() {
    // The person's next message comes to us.
    let (world, anna, _) = asked().await;
    anna.hand_over(true);
    world.settle().await;
    assert_eq!(contact(&world).await["held_by"], "standby");
    world.wait(5).await;
    anna.say("yes");
    world.settle().await;
    assert_eq!(anna.texts(), ["Tea?", "Fine."]);
    // An agent of ours answers.
    let (world, anna, _) = asked().await;
    anna.say_to_agent("hm");
    world.settle().await;
    world.wait(5).await;
    let person = contact(&world).await;
    let path = format!("/contacts/{}/messages", person["id"].as_str().unwrap());
    world.app.post(&path, &json!({"text": "It is me"})).await.expect(202);
    world.settle().await;
    assert_eq!((anna.texts().last().unwrap().as_str(), &contact(&world).await["held_by"]), ("It is me", &Value::Null));
    // An operator says so.
    anna.say_to_agent("hm");
    world.settle().await;
    assert_eq!(contact(&world).await["held_by"], "standby");
    world.app.post(&format!("/contacts/{}/resume", person["id"].as_str().unwrap()), &json!({})).await.expect(200);
    assert_eq!(contact(&world).await["held_by"], Value::Null);
    // Nothing is heard of it for a day.
    anna.say_to_agent("hm");
    world.settle().await;
    world.wait(24 * HOUR - 1).await;
    assert_eq!(contact(&world).await["held_by"], "standby");
    world.wait(1).await;
    assert_eq!(contact(&world).await["held_by"], Value::Null);
}

#[actix_web::test]
async fn who_opts_out_of_another_systems_conversation_is_opted_out_without_a_word() {
    let (world, anna, id) = asked().await;
    anna.say_to_agent("STOP");
    world.settle().await;
    assert_eq!(world.app.session(&id).await["reason"], "opted_out");
    assert_ne!(contact(&world).await["opted_out_at"], Value::Null);
    assert_eq!(anna.texts(), ["Tea?"]);
}

#[actix_web::test]
async fn an_older_sign_changes_nothing() {
    let (world, anna, _) = asked().await;
    world.cloud.set_delivery(webhooks_held());
    anna.hand_over(false);
    world.wait(60).await;
    world.cloud.set_delivery(webhooks_held());
    anna.say_to_agent("hm");
    world.settle().await;
    assert_eq!(contact(&world).await["held_by"], "standby");
    let said = json!({"type": "text", "text": {"body": "Earlier"}});
    anna.hear_colleague_at(world.cloud.now() - 600_000, said.clone());
    world.settle().await;
    assert_eq!(contact(&world).await["held_by"], "standby");
    anna.hear_colleague_at(world.cloud.now() + 2_000, said);
    world.settle().await;
    assert_eq!(contact(&world).await["held_by"], "colleague", "who writes has taken it over");
}

#[actix_web::test]
async fn an_erased_person_is_not_brought_back_by_an_echo() {
    let (world, anna, _) = asked().await;
    let wamid = anna.hear_colleague("Hello");
    world.settle().await;
    let person = contact(&world).await;
    let exported = world.app.get(&format!("/contacts/{}/export", person["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(exported["contact"]["held_by"], "colleague");
    assert!(exported["messages"].to_string().contains("Hello"));
    world.app.delete(&format!("/contacts/{}", person["id"].as_str().unwrap())).await.expect(200);
    anna.hear_colleague_send(json!({"type": "text", "text": {"body": "Hello"}, "id": wamid}));
    world.settle().await;
    assert_eq!(world.app.get("/contacts").await.expect(200)["data"], json!([]));
    world.assert_all_taken();
}

#[actix_web::test]
async fn whichever_comes_first_of_a_reply_and_an_echo_nothing_is_said_twice_or_lost() {
    for round in 0..6 {
        let world = World::start_alive(|_| {}, |_| {}).await;
        let flow = world.app.publish(&question()).await;
        let anna = world.cloud.phone(PHONE);
        anna.say("hello");
        world.cloud.settle().await;
        world.trigger(flow, PHONE, json!({})).await;
        anna.wait_for(1).await;
        world.cloud.set_delivery(Delivery { parallel: 4, shuffled: round % 2 == 0, ..webhooks_held() });
        anna.say("yes");
        anna.hear_colleague("Hello");
        world.cloud.deliver().await;
        world.cloud.settle().await;
        let person = contact(&world).await;
        assert_eq!(person["held_by"], "colleague");
        let messages = world.messages(&person["id"]).await;
        let reply = messages.iter().find(|one| one["text"] == "yes").unwrap();
        let fine = messages.iter().find(|one| one["text"] == "Fine.");
        match reply["handled"].as_str() {
            // Its answer went out before the colleague's message came, or waits.
            Some("reply") => assert!(fine.is_some_and(|fine| fine["status"] != "failed"), "{messages:?}"),
            Some("held") => assert!(fine.is_none(), "{messages:?}"),
            other => panic!("{other:?}"),
        }
        world.assert_all_taken();
    }
}

#[actix_web::test]
async fn a_timer_that_falls_due_as_the_echo_comes_fires_before_it_or_after_the_pause() {
    let (world, anna, id) = asked().await;
    // It is overdue when the echo comes, and nobody has come upon it.
    world.app.advance(600);
    anna.hear_colleague("Hello");
    world.cloud.deliver().await;
    world.cloud.settle().await;
    let session = world.app.session(&id).await;
    assert_eq!((&session["current_node_id"], session["turn"].as_u64()), (&json!("again"), Some(2)));
    world.app.runtime.run_due().await.unwrap();
    world.settle().await;
    assert_eq!(anna.texts(), ["Tea?"], "what the timer says waits");
    world.wait(HOUR).await;
    assert_eq!(anna.texts(), ["Tea?", "Still there?"]);
}

#[actix_web::test]
async fn a_call_under_way_is_answered_and_what_comes_of_it_waits() {
    let site = Site::start(|_| answer(200, "application/json", br#"{"colour": "green"}"#)).await;
    let world = World::start_with(
        Pacing::OFF,
        |_| {},
        |config| config.http_request.allow = vec!["127.0.0.1/32".parse().unwrap()],
    )
    .await;
    let flow = world
        .app
        .publish(
            &json!({"schema_version": 1, "name": "Call", "entry_node": "call", "settings": {"session_ttl_minutes": 30},
            "nodes": [
                {"id": "call", "type": "http_request", "method": "GET", "url": site.url("/colour"), "save_as": "answer",
                 "exits": {"success": "ask"}},
                {"id": "ask", "type": "ask", "text": "Is {{context.answer.body.colour}} fine?", "timeout_seconds": 600,
                 "exits": {"timeout": "call"}}]}),
        )
        .await;
    let anna = world.cloud.phone(PHONE);
    anna.say("hello");
    world.settle().await;
    let id = world.trigger(flow, PHONE, json!({})).await;
    let watchdog = world.app.session(&id).await["wake_at"].clone();
    anna.hear_colleague("Hello");
    world.settle().await;
    assert_eq!(world.app.session(&id).await["wake_at"], watchdog, "the call is not waited for any longer");
    world.app.advance(5);
    assert_eq!(world.app.runtime.run_due_calls().await.unwrap(), 1);
    world.settle().await;
    let session = world.app.session(&id).await;
    assert_eq!((&session["current_node_id"], anna.inbox().len()), (&json!("ask"), 0));
    let until = contact(&world).await["held_until"].clone();
    assert_eq!((seconds(&until, &session["wake_at"]), seconds(&until, &session["expires_at"])), (600, 1800));
    world.wait(HOUR).await;
    assert_eq!(anna.texts(), ["Is green fine?"]);
    anna.say("It is");
    world.settle().await;
    world.assert_all_taken();
    world.assert_at_rest().await;
}

#[actix_web::test]
async fn a_text_of_a_session_that_is_over_steps_aside_as_well() {
    let (world, anna, _) = asked().await;
    anna.say("yes");
    world.settle().await;
    world.app.post("/channels/whatsapp/pause", &json!({"reason": "maintenance"})).await.expect(200);
    anna.say("and milk?");
    world.settle().await;
    assert_eq!(last(&world).await, json!(["text", "Too late.", "flow", "queued", null, "channel_paused"]));
    anna.hear_colleague("Of course");
    world.settle().await;
    world.app.post("/channels/whatsapp/resume", &json!({})).await.expect(200);
    world.settle().await;
    let path = format!("/contacts/{}/messages", contact(&world).await["id"].as_str().unwrap());
    world.app.post(&path, &json!({"text": "An agent"})).await.expect(202);
    world.settle().await;
    assert_eq!(anna.texts(), ["Tea?", "Fine.", "An agent"]);
    world.wait(HOUR).await;
    assert_eq!(anna.texts()[3..], ["Too late."]);
    world.assert_at_rest().await;
}

#[actix_web::test]
async fn what_was_said_to_another_system_is_answered_by_nothing_however_late_it_comes() {
    let (world, anna, id) = asked().await;
    world.cloud.set_delivery(webhooks_held());
    anna.say_to_agent("yes");
    world.app.advance(26 * HOUR);
    world.app.runtime.run_due().await.unwrap();
    world.settle().await;
    assert_eq!(last(&world).await, json!(["text", "yes", null, "received", "held", "standby"]));
    assert_eq!((contact(&world).await["held_by"].clone(), anna.texts().len()), (Value::Null, 1));
    assert_eq!(world.app.session(&id).await["status"], "expired");
    world.assert_all_taken();
}

#[actix_web::test]
async fn what_holds_a_conversation_outlives_a_kill_and_is_told_of_once() {
    let mut mortal = Mortal::start("", &[], Pacing::OFF).await;
    let (talk, _) = mortal.publish().await;
    let anna = mortal.cloud.phone(PHONE);
    anna.say("hello");
    mortal.cloud.settle().await;
    let (_, session) = mortal.trigger(&talk, PHONE).await.unwrap();
    anna.wait_for(3).await;
    let id = session["id"].as_str().unwrap().to_owned();
    // The process dies while the delivery is under way, at no moment that anybody chose; Meta delivers again.
    mortal.cloud.set_delivery(Delivery { twice: true, falling: vec![0; 200], ..Delivery::default() });
    anna.hear_colleague("I am looking for it");
    mortal.server.kill();
    mortal.restart().await;
    until("the echo", async || mortal.session(&id).await["held_by"] == "colleague").await;
    let contact = format!("/api/v1/contacts/{}", session["contact_id"].as_str().unwrap());
    let held = mortal.server.get(&mortal.token, &contact).await["held_until"].clone();
    mortal.server.kill();
    mortal.restart().await;
    let person = mortal.server.get(&mortal.token, &contact).await;
    assert_eq!((&person["held_by"], &person["held_until"]), (&json!("colleague"), &held));
    let session = mortal.session(&id).await;
    assert!(seconds(&held, &session["wake_at"]) > 500, "{session}");
    let listed = mortal.server.get(&mortal.token, &format!("{contact}/messages?limit=200")).await;
    let echoes = listed["data"].as_array().unwrap().iter().filter(|one| one["origin"] == "colleague").count();
    assert_eq!(echoes, 1);
    mortal.assert_at_rest().await;
}
