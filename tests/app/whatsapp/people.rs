//! People who opt out, and who turn out to be one.

use serde_json::{Value, json};
use testkit::app::PHONE;
use testkit::meta::{Delivery, Fault, Gate};

use crate::whatsapp::crash::until;
use crate::whatsapp::world::{World, cart, cart_context, cart_template};

/// Says three things and asks a fourth.
fn talkative() -> Value {
    let say = |id: &str, next: &str| {
        json!({"id": id, "type": "send_message", "text": format!("This is {id}."),
            "exits": {"next": next}})
    };
    json!({
        "schema_version": 1, "name": "Talkative", "entry_node": "one",
        "nodes": [say("one", "two"), say("two", "three"), say("three", "ask"),
            {"id": "ask", "type": "ask", "text": "And you?",
                "exits": {"reply": null, "no_match": null, "timeout": null},
             "timeout_seconds": 600}]
    })
}

#[actix_web::test]
async fn stop_reaches_the_queue_before_the_messages_leave_it() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&talkative()).await;
    let anna = world.cloud.phone(PHONE);
    anna.say("hello");
    world.settle().await;
    world.app.post("/channels/whatsapp/pause", &json!({"reason": "maintenance"})).await.expect(200);
    let id = world.trigger(flow, PHONE, json!({})).await;
    assert_eq!(world.with_status("queued").await.len(), 4);
    anna.say("STOP");
    world.settle().await;
    world.app.post("/channels/whatsapp/resume", &json!({})).await.expect(200);
    world.settle().await;
    assert_eq!(anna.texts(), [CONFIRMATION], "and nothing else");
    let session = world.app.session(&id).await;
    assert_eq!((session["status"].as_str(), session["reason"].as_str()), (Some("cancelled"), Some("opted_out")));
    let four = ["This is one.", "This is two.", "This is three.", "And you?"];
    assert_dropped(&world.messages(&session["contact_id"]).await, &id, &four);

    let refused = world.app.trigger(flow, PHONE).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.body["error"], "Contact has opted out");
    // Saying it again is not confirmed again.
    anna.say("stop!");
    world.settle().await;
    assert_eq!(anna.inbox().len(), 1);

    let contact = session["contact_id"].as_str().unwrap().to_owned();
    world.app.delete(&format!("/contacts/{contact}")).await.expect(200);
    let refused = world.app.trigger(flow, PHONE).await;
    assert_eq!(refused.status, 422, "erased, and still opted out");
    anna.say("START");
    world.settle().await;
    assert_eq!(anna.inbox().len(), 2, "{:?}", anna.texts());
    world.app.trigger(flow, PHONE).await.expect(201);
    world.settle().await;
    assert_eq!(anna.inbox().len(), 6);
    world.assert_all_taken();
}

/// What answers STOP.
const CONFIRMATION: &str = "You will not get any more messages from us. Reply START to get them again.";

/// These messages of a session, and no others of the person, failed as `opted_out` and were never tried; the
/// confirmation went out.
#[track_caller]
fn assert_dropped(messages: &[Value], session: &Value, texts: &[&str]) {
    let failed = messages.iter().filter(|message| message["status"] == "failed");
    let failed: Vec<Value> = failed
        .map(|row| json!([row["text"], row["session_id"], row["reason"], row["origin"], row["attempts"]]))
        .collect();
    let expected: Vec<Value> = texts.iter().map(|text| json!([text, session, "opted_out", "flow", 0])).collect();
    assert_eq!(failed, expected);
    let consent: Vec<_> = messages.iter().filter(|message| message["origin"] == "consent").collect();
    assert_eq!(consent.len(), 1, "{consent:?}");
    assert_eq!((&consent[0]["text"], &consent[0]["session_id"]), (&json!(CONFIRMATION), &Value::Null));
    assert!(["sent", "delivered"].contains(&consent[0]["status"].as_str().unwrap()), "{}", consent[0]);
}

#[actix_web::test]
async fn stop_while_the_head_is_on_its_way_lets_nothing_follow_it() {
    // It has arrived and the answer is late, or it has not arrived yet.
    let slow: [fn(Gate) -> Fault; 2] = [Fault::HoldAnswer, Fault::HoldRequest];
    for (fault, has_arrived) in slow.into_iter().zip([true, false]) {
        let world = World::start_alive(|_| {}, |_| {}).await;
        let flow = world.app.publish(&talkative()).await;
        // No status tells of the message before its answer does.
        world.cloud.set_delivery(Delivery { delay_statuses: true, ..Delivery::default() });
        let anna = world.cloud.phone(PHONE);
        anna.say("hello");
        until("the hello", async || world.cloud.posted().len() == 1).await;
        let gate = Gate::closed();
        world.cloud.next(fault(gate.clone()));
        let id = world.trigger(flow, PHONE, json!({})).await;
        let requests = || world.cloud.requests().iter().filter(|request| request.body["type"] == "text").count();
        until("the first message", async || requests() == 1).await;
        anna.say("STOP");
        until("the STOP", async || world.app.session(&id).await["status"] == "cancelled").await;
        let contact = world.app.session(&id).await["contact_id"].clone();
        let standing = |messages: &[Value]| -> Vec<Value> {
            messages.iter().filter(|row| row["direction"] == "out").map(|row| row["status"].clone()).collect()
        };
        let under_way = standing(&world.messages(&contact).await);
        assert_eq!(under_way, ["sending", "failed", "failed", "failed", "queued"], "arrived: {has_arrived}");
        assert_eq!(anna.inbox().len(), usize::from(has_arrived));
        assert_eq!(requests(), 1, "not even the confirmation overtakes it");
        gate.open();
        anna.wait_for(2).await;
        until("the last answer", async || world.with_status("sending").await.is_empty()).await;
        assert_eq!(anna.texts(), ["This is one.", CONFIRMATION], "arrived: {has_arrived}");
        let messages = world.messages(&contact).await;
        assert_dropped(&messages, &id, &["This is two.", "This is three.", "And you?"]);
        assert_eq!(standing(&messages), ["sent", "failed", "failed", "failed", "sent"]);
        let session = world.app.session(&id).await;
        assert_eq!((&session["status"], &session["reason"]), (&json!("cancelled"), &json!("opted_out")), "still");
        assert_eq!(requests(), 2);
        world.assert_all_taken();
        world.app.stop().await;
    }
}

#[actix_web::test]
async fn two_contacts_of_one_person_meet_in_one_webhook() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    // First only the number is known, then somebody without a number writes; at last both are shown together. Statuses
    // would show that sooner.
    world.cloud.set_delivery(Delivery { delay_statuses: true, ..Delivery::default() });
    let by_phone = world.trigger(flow, PHONE, cart_context()).await;
    let older = world.app.session(&by_phone).await["contact_id"].clone();
    let anna = world.cloud.phone(PHONE);
    anna.hide_number("anna.shop");
    world.app.advance(60);
    anna.say("Hi, it is me");
    world.settle().await;
    let contacts = world.app.get("/contacts").await.expect(200)["data"].as_array().unwrap().clone();
    assert_eq!(contacts.len(), 2, "nothing says yet that they are one");
    let younger = contacts.iter().find(|contact| contact["id"] != older).unwrap()["id"].clone();
    let body = json!({"flow_id": flow, "contact_id": younger, "context": cart_context()});
    let by_id = world.app.post("/actions/trigger-flow", &body).await.expect(201)["id"].clone();
    world.settle().await;

    world.app.advance(60);
    anna.show_number();
    anna.say("I am fine");
    world.settle().await;
    world.assert_all_taken();
    let contacts = world.app.get("/contacts").await.expect(200)["data"].as_array().unwrap().clone();
    assert_eq!(contacts.len(), 1);
    assert_eq!(contacts[0]["id"], older, "the older one stays");
    let through_redirect = world.app.get(&format!("/contacts/{}", younger.as_str().unwrap())).await.expect(200);
    assert_eq!(through_redirect["id"], older);
    let ends = [world.app.session(&by_phone).await, world.app.session(&by_id).await];
    let merged: Vec<_> = ends.iter().filter(|session| session["reason"] == "merged").collect();
    assert_eq!(merged.len(), 1, "of two sessions of one flow one stays: {ends:?}");
    assert!(ends.iter().all(|session| session["contact_id"] == older));
}

#[actix_web::test]
async fn start_undoes_stop_without_erasure() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    let anna = world.cloud.phone(PHONE);
    anna.say("Stop");
    world.settle().await;
    assert_eq!(
        world
            .app
            .post("/actions/trigger-flow", &json!({"flow_id": flow, "phone": PHONE, "context": cart_context()}))
            .await
            .status,
        422
    );
    anna.say("start");
    world.settle().await;
    world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;
    assert_eq!(anna.inbox().len(), 3, "{:?}", anna.texts());
}

/// A text of which Meta shows these addresses.
async fn hear(world: &World, id: &str, wa_id: Option<&str>, bsuid: Option<&str>, text: &str) {
    let setup = testkit::meta::Setup::default();
    let at = (world.cloud.now() / 1_000).to_string();
    let mut message = json!({"id": format!("wamid.{id}"), "timestamp": at, "type": "text", "text": {"body": text}});
    let mut contact = json!({"profile": {"name": "Anna"}});
    if let Some(wa_id) = wa_id {
        (message["from"], contact["wa_id"]) = (json!(wa_id), json!(wa_id));
    }
    if let Some(bsuid) = bsuid {
        (message["from_user_id"], contact["user_id"]) = (json!(bsuid), json!(bsuid));
    }
    let value = json!({
        "messaging_product": "whatsapp", "contacts": [contact], "messages": [message],
        "metadata": {"display_phone_number": setup.display_phone, "phone_number_id": setup.phone_number_id},
    });
    let entry = json!({"id": setup.business_account_id, "changes": [{"field": "messages", "value": value}]});
    let body = json!({"object": "whatsapp_business_account", "entry": [entry]}).to_string();
    assert_eq!(world.cloud.post_signed(body.as_bytes()).await.0, 200);
}

#[actix_web::test]
async fn who_said_stop_and_was_erased_stays_out_when_the_number_meets_an_id() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&talkative()).await;
    let number = PHONE.trim_start_matches('+');
    hear(&world, "1", Some(number), None, "STOP").await;
    world.settle().await;
    let contacts = world.app.get("/contacts").await.expect(200);
    let contact = contacts["data"][0]["id"].as_str().unwrap().to_owned();
    world.app.delete(&format!("/contacts/{contact}")).await.expect(200);
    // An id that nobody knew before, and then both together.
    hear(&world, "2", None, Some("US.9004"), "It is me").await;
    hear(&world, "3", Some(number), Some("US.9004"), "Still me").await;
    world.settle().await;
    let refused = world.app.trigger(flow, PHONE).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    world.settle().await;
    let wanted = world.cloud.requests().iter().filter(|request| request.body["type"] == "text").count();
    assert_eq!(wanted, 1, "the confirmation of STOP alone");
    // Whoever says START is not silenced by the same number showing once more.
    hear(&world, "4", Some(number), None, "START").await;
    hear(&world, "5", Some(number), Some("US.9005"), "And now?").await;
    world.settle().await;
    world.app.trigger(flow, PHONE).await.expect(201);
}

#[actix_web::test]
async fn a_status_that_shows_a_number_and_an_id_makes_one_person_of_two() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    let number = PHONE.trim_start_matches('+');
    hear(&world, "1", None, Some("US.1030"), "STOP").await;
    world.settle().await;
    let setup = testkit::meta::Setup::default();
    let status = |wamid: &str| {
        let value = json!({
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": setup.display_phone, "phone_number_id": setup.phone_number_id},
            "contacts": [{"wa_id": number, "user_id": "US.1030"}],
            "statuses": [{"id": wamid, "status": "delivered", "timestamp": (world.cloud.now() / 1_000).to_string(),
                "recipient_id": number, "recipient_user_id": "US.1030"}],
        });
        let entry = json!({"id": setup.business_account_id, "changes": [{"field": "messages", "value": value}]});
        json!({"object": "whatsapp_business_account", "entry": [entry]}).to_string()
    };
    // Of a message that another system sent, and nobody is known by the number yet.
    assert_eq!(world.cloud.post_signed(status("wamid.theirs").as_bytes()).await.0, 200);
    let contacts = world.app.get("/contacts").await.expect(200)["data"].as_array().unwrap().clone();
    assert_eq!(contacts.len(), 1);
    let body = json!({"flow_id": flow, "phone": PHONE, "context": cart_context()});
    let refused = world.app.post("/actions/trigger-flow", &body).await;
    assert_eq!(refused.status, 422, "STOP under a name covers the number");
}

/// Two questions.
fn two_questions() -> Value {
    let ask = |id: &str, next: &str| {
        json!({"id": id, "type": "ask", "text": format!("{{{{context.who}}}}: {id}?"), "timeout_seconds": 1500,
            "exits": {"reply": next, "no_match": null, "timeout": null}})
    };
    json!({
        "schema_version": 1, "name": "Two questions", "entry_node": "first",
        "nodes": [ask("first", "second"), ask("second", "end"),
            {"id": "end", "type": "end", "outcome": "told", "text": "{{context.who}}: thank you."}]
    })
}

/// Two contacts meet, for each of whom the same flow runs.
#[derive(Debug, Clone, Copy)]
struct Meeting {
    /// Whether the contact of the number was there before the one of the id.
    is_number_older: bool,
    /// Whether the flow was started for the contact of the number first.
    is_number_first: bool,
    /// Whether the session that began first was the last to speak.
    speaks_first_last: bool,
}

impl Meeting {
    async fn happen(self) {
        let world = World::start(|_| {}).await;
        let flow = world.app.publish(&two_questions()).await;
        let anna = world.cloud.phone(PHONE);
        let number = anna.wa_id().unwrap();
        anna.hide_number("anna.shop");
        world.cloud.set_delivery(Delivery { delay_statuses: true, ..Delivery::default() });
        let say = async |by_number: bool, id: &str, text: &str| {
            world.app.advance(60);
            match by_number {
                true => hear(&world, id, Some(&number), None, text).await,
                false => drop(anna.say(text)),
            }
            world.settle().await;
        };
        let contacts = async || world.app.get("/contacts").await.expect(200)["data"].as_array().unwrap().clone();

        say(self.is_number_older, "hello", "hello").await;
        let older = contacts().await[0]["id"].clone();
        say(!self.is_number_older, "hello", "hello").await;
        let both = contacts().await;
        assert_eq!(both.len(), 2, "{self:?}: nothing says yet that they are one");
        let younger = both.into_iter().map(|row| row["id"].clone()).find(|id| *id != older).unwrap();
        let mut sessions = Vec::new();
        for by_number in [self.is_number_first, !self.is_number_first] {
            world.app.advance(60);
            let contact = if by_number == self.is_number_older { &older } else { &younger };
            let who = format!("S{}", sessions.len() + 1);
            let body = json!({"flow_id": flow, "contact_id": contact, "context": {"who": who}});
            sessions.push(world.app.post("/actions/trigger-flow", &body).await.expect(201)["id"].clone());
            world.settle().await;
        }
        // Both get their second question; the one who is to stay gets it last.
        let (stays, goes) = if self.speaks_first_last { (0, 1) } else { (1, 0) };
        for index in [goes, stays] {
            let by_number = self.is_number_first == (index == 0);
            say(by_number, &format!("answer {index}"), "an answer").await;
        }
        for session in &sessions {
            assert_eq!(world.app.session(session).await["turn"], 2, "{self:?}");
        }

        world.app.advance(60);
        anna.show_number();
        anna.say("It is me");
        world.settle().await;
        world.assert_all_taken();
        let left = contacts().await;
        assert_eq!((left.len(), &left[0]["id"]), (1, &older), "{self:?}: the older contact stays");
        let through_redirect = world.app.get(&format!("/contacts/{}", younger.as_str().unwrap())).await.expect(200);
        assert_eq!(through_redirect["id"], older);
        let (stayed, went) = (world.app.session(&sessions[stays]).await, world.app.session(&sessions[goes]).await);
        assert_eq!((&went["status"], &went["reason"]), (&json!("cancelled"), &json!("merged")), "{self:?}");
        // What showed that they are one was the answer to its question.
        assert_eq!((&stayed["status"], &stayed["outcome"]), (&json!("completed"), &json!("told")), "{self:?}");
        assert_eq!((&stayed["contact_id"], &went["contact_id"]), (&older, &older), "{self:?}");
        let heard = anna.texts();
        assert_eq!(heard.len(), 5, "{self:?}: {heard:?}");
        assert_eq!(heard[4], format!("S{}: thank you.", stays + 1), "{self:?}");
        world.app.stop().await;
    }
}

#[actix_web::test]
async fn of_two_sessions_that_meet_the_one_that_spoke_last_goes_on() {
    for n in 0..8 {
        let [is_number_older, is_number_first, speaks_first_last] = [1, 2, 4].map(|bit| n & bit != 0);
        Meeting { is_number_older, is_number_first, speaks_first_last }.happen().await;
    }
}

/// WhatsApp knows one person by another number than the shop does.
fn elsewhere(number: &str) -> String {
    if number == "14155550177" { "14155550999".to_owned() } else { number.to_owned() }
}

#[actix_web::test]
async fn who_wrote_stop_from_the_number_that_whatsapp_names_is_written_to_no_more() {
    let world = World::start(|cloud| {
        cloud.add_template(cart_template());
        cloud.set_wa_id(elsewhere);
    })
    .await;
    let flow = world.app.publish(&cart()).await;
    let shops_number = "+14155550177";
    let person = world.cloud.phone(shops_number);
    person.say("STOP");
    world.settle().await;
    // Nothing tells yet that the shop's number is the same person.
    let id = world.trigger(flow, shops_number, cart_context()).await;
    assert_eq!(world.app.get("/contacts").await.expect(200)["data"].as_array().unwrap().len(), 2);
    world.settle().await;
    assert_eq!(world.app.get("/contacts").await.expect(200)["data"].as_array().unwrap().len(), 1);
    let session = world.app.session(&id).await;
    assert_eq!((&session["status"], &session["reason"]), (&json!("cancelled"), &json!("opted_out")));
    let sent = person.inbox().len();
    for number in [shops_number, "+14155550999"] {
        let body = json!({"flow_id": flow, "phone": number, "context": cart_context()});
        let refused = world.app.post("/actions/trigger-flow", &body).await.expect(422);
        assert_eq!(refused["error"], "Contact has opted out", "{number}");
    }
    world.wait(3600).await;
    assert_eq!(person.inbox().len(), sent);
    world.assert_all_taken();
}

/// Numbers of Benin as WhatsApp knows accounts from before the plan grew.
fn benin(number: &str) -> String {
    number.strip_prefix("22901").map_or_else(|| number.to_owned(), |rest| format!("229{rest}"))
}

#[actix_web::test]
async fn stop_from_the_old_form_of_a_number_reaches_who_was_entered_with_the_new_one() {
    let world = World::start(|cloud| {
        cloud.add_template(cart_template());
        cloud.set_wa_id(benin);
    })
    .await;
    let flow = world.app.publish(&cart()).await;
    let number = "+2290197258007";
    world.app.post("/actions/create-contact", &json!({"phone": number})).await.expect(201);
    let person = world.cloud.phone(number);
    assert_eq!(person.wa_id().as_deref(), Some("22997258007"));
    person.say("STOP");
    world.settle().await;
    assert_eq!(world.app.get("/contacts").await.expect(200)["data"].as_array().unwrap().len(), 1);
    for form in [number, "+22997258007"] {
        let body = json!({"flow_id": flow, "phone": form, "context": cart_context()});
        world.app.post("/actions/trigger-flow", &body).await.expect(422);
    }
    world.settle().await;
    assert_eq!(world.with_status("queued").await.len(), 0);
}
