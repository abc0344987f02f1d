//! Messages that the operator's own systems send: what the cloud says of them is what the caller is answered.

use serde_json::{Value, json};

use crate::whatsapp::world::{World, cart, cart_context, cart_template};
use qyvo::store::tokens::Scope;
use testkit::app::{Answer, PHONE, read, secret};
use testkit::meta::{Fault, Template};

const WINDOW: &str = "(#131047) Re-engagement message: Message failed to send because more than 24 hours have passed \
                      since the customer last replied to this number.";

/// Sends through an action while the outbox runs beside it.
async fn send(world: &World, action: &str, key: Option<&str>, body: Value) -> Answer {
    let url = format!("{}/api/v1/actions/{action}", world.app.base);
    let mut request = world.app.client.post(url).bearer_auth(secret(Scope::Api)).json(&body);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    let is_done = std::cell::Cell::new(false);
    let asking = async {
        let answer = read(request).await;
        is_done.set(true);
        answer
    };
    // Each round runs to its end: what it has claimed is under way.
    let outbox = async {
        while !is_done.get() {
            world.app.runtime.run_outbox_once().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(asking, outbox).0
}

async fn text(world: &World, text: &str) -> Answer {
    send(world, "send-text-message", None, json!({"phone": PHONE, "message": text})).await
}

#[actix_web::test]
async fn a_text_goes_within_24_hours_of_the_last_inbound_message_only() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    let before = world.app.rows();
    let refused = text(&world, "Hello?").await.expect(422);
    assert_eq!((&refused["error"], &refused["error_code"]), (&json!(WINDOW), &json!(131_047)));
    assert_eq!(world.app.rows(), before, "nobody was made, and nothing stored");

    // A template of ours does not open the window.
    let session = world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;
    text(&world, "Hello?").await.expect(422);
    let anna = world.cloud.phone(PHONE);
    world.app.advance(60);
    anna.say("hm");
    world.settle().await;
    let running = world.app.session(&session).await;
    let sent = text(&world, "*Hello* 👋").await.expect(200);
    let accepted = world.cloud.accepted();
    let newest = accepted.last().unwrap();
    assert_eq!(sent["status"], "sent");
    assert_eq!(sent["whatsapp_message_id"], newest.wamid);
    assert_eq!(sent["contact_id"], running["contact_id"]);
    assert_eq!(anna.texts().last().unwrap(), "*Hello* 👋");
    let after = world.app.session(&session).await;
    assert_eq!((&after["turn"], &after["wake_at"]), (&running["turn"], &running["wake_at"]), "it is not disturbed");
    let stored = world.messages(&sent["contact_id"]).await.pop().unwrap();
    assert_eq!((&stored["id"], &stored["origin"]), (&sent["id"], &json!("api")));
    assert_eq!(stored["session_id"], Value::Null);

    // The person's last message counts, and no message of ours.
    world.app.advance(24 * 3600);
    let before = world.cloud.requests().len();
    text(&world, "Still there?").await.expect(422);
    assert_eq!(world.cloud.requests().len(), before, "Meta was not asked");
    world.assert_all_taken();
}

#[actix_web::test]
async fn what_meta_refuses_the_caller_is_told() {
    let world = World::start(|_| {}).await;
    world.cloud.phone(PHONE).say("hi");
    world.settle().await;
    world.cloud.next(Fault::error(131_026));
    let refused = text(&world, "One").await.expect(422);
    assert_eq!(refused["error_code"], 131_026, "{refused}");
    assert!(refused["error"].as_str().unwrap().contains("undeliverable"), "{refused}");
    let failed = world.with_status("failed").await;
    assert_eq!((failed.len(), &failed[0]["id"]), (1, &refused["id"]));

    // Meta's own word on the window, inside it.
    world.cloud.next(Fault::error(131_047));
    let refused = text(&world, "Two").await.expect(422);
    assert_eq!((&refused["error"], &refused["error_code"]), (&json!(WINDOW), &json!(131_047)));

    // It goes again later, and the caller does not wait for that.
    world.cloud.next(Fault::html());
    let body = json!({"phone": PHONE, "message": "Three"});
    let queued = send(&world, "send-text-message", Some("three"), body.clone()).await.expect(200);
    assert_eq!((&queued["status"], &queued["whatsapp_message_id"]), (&json!("queued"), &Value::Null));
    world.wait(60).await;
    let replayed = send(&world, "send-text-message", Some("three"), body).await;
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    let replayed = replayed.expect(200);
    assert_eq!((&replayed["id"], &replayed["status"]), (&queued["id"], &json!("sent")));
    assert_eq!(replayed["whatsapp_message_id"], world.cloud.accepted().last().unwrap().wamid);
    assert_eq!(world.cloud.phone(PHONE).texts(), ["Three"], "once");
}

#[actix_web::test]
async fn a_paused_channel_keeps_nobody_waiting() {
    let world = World::start(|_| {}).await;
    world.cloud.phone(PHONE).say("hi");
    world.settle().await;
    world.app.post("/channels/whatsapp/pause", &json!({"reason": "maintenance"})).await.expect(200);
    // Whoever waited for the channel would wait for five seconds each, a minute in all.
    const CALLS: usize = 12;
    let begun = std::time::Instant::now();
    for _ in 0..CALLS {
        let queued = text(&world, "Later").await.expect(200);
        assert_eq!((&queued["status"], &queued["whatsapp_message_id"]), (&json!("queued"), &Value::Null));
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(45), "{:?}", begun.elapsed());
    assert!(world.cloud.accepted().is_empty());
    world.app.post("/channels/whatsapp/resume", &json!({})).await.expect(200);
    world.drain().await;
    assert_eq!(world.cloud.phone(PHONE).texts(), ["Later"; CALLS]);
}

#[actix_web::test]
async fn who_opted_out_is_not_written_to_whoever_asks() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let anna = world.cloud.phone(PHONE);
    anna.say("STOP");
    world.settle().await;
    let template = world.app.post("/actions/list-templates", &json!({})).await.expect(200)[0]["id"].clone();
    let variables = json!({"1": "Ana", "2": "12"});
    let by_template = json!({"phone": PHONE, "template_id": template, "variables": variables});
    for round in ["known", "erased"] {
        let before = world.app.rows();
        let refused = text(&world, "Please").await.expect(422);
        assert_eq!(refused["error"], "Contact has opted out", "{round}");
        let refused = send(&world, "send-template-message", None, by_template.clone()).await.expect(422);
        assert_eq!(refused["error"], "Contact has opted out", "{round}");
        assert_eq!(world.app.rows(), before, "{round}: nothing is stored");
        if round == "known" {
            let contacts = world.app.get("/contacts").await.expect(200);
            let contact = contacts["data"][0]["id"].as_str().unwrap().to_owned();
            world.app.delete(&format!("/contacts/{contact}")).await.expect(200);
        }
    }
    assert_eq!(anna.inbox().len(), 1, "the confirmation alone");
}

#[actix_web::test]
async fn a_template_goes_in_a_language_that_may_be_sent() {
    let world = World::start(|cloud| {
        let sale = |language: &str, status: &str| {
            Template::new("sale", language)
                .status(status)
                .media_header("IMAGE")
                .body(&format!("{language}: hi {{{{1}}}}, {{{{2}}}} off"))
                .url_button("Open", "https://shop.example/{{1}}")
        };
        cloud.add_template(sale("de", "PENDING"));
        cloud.add_template(sale("en", "APPROVED"));
        cloud.add_template(sale("fr", "APPROVED"));
        cloud.add_template(Template::new("asleep", "en").status("PAUSED").body("Zzz"));
        cloud.add_template(Template::new("waiting", "en").status("PENDING").body("Hm"));
    })
    .await;
    let listed = world.app.post("/actions/list-templates", &json!({"status": ""})).await.expect(200);
    let id = |name: &str| listed.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap()["id"].clone();
    let variables = json!({"1": "Ana", "2": 20, "header.1": "https://shop.example/a.png", "button.0": "s/1", "x": "y"});
    let body = |language: Value, variables: &Value| {
        json!({"phone": PHONE, "template_id": id("sale"), "language": language,
            "variables": variables})
    };

    let before = world.app.rows();
    for (variables, missing) in [
        (json!(null), vec!["header.1", "1", "2", "button.0"]),
        (json!([]), vec!["header.1", "1", "2", "button.0"]),
        (json!({"1": "Ana", "2": "", "header.1": "https://a.example/b.png", "button.0": " "}), vec!["2", "button.0"]),
    ] {
        let refused = send(&world, "send-template-message", None, body(json!("en"), &variables)).await.expect(422);
        let expected = json!({
            "error": "Template requires variables that were not provided.",
            "expected_placeholders": ["header.1", "1", "2", "button.0"], "missing": missing,
        });
        assert_eq!(refused, expected);
    }
    for (name, error) in [("asleep", "Template is paused"), ("waiting", "Template has no approved translation")] {
        let body = json!({"phone": PHONE, "template_id": id(name)});
        let refused = send(&world, "send-template-message", None, body).await.expect(422);
        assert_eq!(refused["error"], error);
    }
    assert_eq!(world.app.rows(), before, "no contact was made, and nothing stored");

    for (language, goes_in) in [("en", "en"), ("fr", "fr"), ("de", "en"), ("it", "en"), ("", "en"), ("fr_CA", "fr")] {
        let sent = send(&world, "send-template-message", None, body(json!(language), &variables)).await.expect(200);
        assert_eq!(sent["status"], "sent", "{language}");
        let stored = world.messages(&sent["contact_id"]).await.pop().unwrap();
        assert_eq!(stored["sent"]["language"], goes_in, "{language}: {stored}");
        assert_eq!(stored["text"], format!("{goes_in}: hi Ana, 20 off"), "{language}");
        world.app.advance(600);
    }
    let contacts = world.app.get("/contacts").await.expect(200)["data"].as_array().unwrap().clone();
    assert_eq!(contacts.len(), 1);
    assert_eq!((&contacts[0]["phone"], &contacts[0]["opted_in_at"]), (&json!(PHONE), &Value::Null));
    // The contact's own language stands in for one that may not be sent.
    let path = format!("/contacts/{}", contacts[0]["id"].as_str().unwrap());
    world.app.patch(&path, &json!({"language": "fr"})).await.expect(200);
    let sent = send(&world, "send-template-message", None, body(json!("de"), &variables)).await.expect(200);
    let stored = world.messages(&sent["contact_id"]).await.pop().unwrap();
    assert_eq!(stored["sent"]["language"], "fr");
    assert!(world.cloud.refused().is_empty(), "{:?}", world.cloud.refused());
}

#[actix_web::test]
async fn what_went_out_to_nobody_is_sent_by_a_retry_under_its_key() {
    let world = World::start(|_| {}).await;
    let anna = world.cloud.phone(PHONE);
    anna.say("hi");
    world.settle().await;
    let body = json!({"phone": PHONE, "message": "One"});
    let again = async || send(&world, "send-text-message", Some("k"), body.clone()).await;
    world.cloud.next(Fault::error(131_026));
    let refused = again().await.expect(422);
    assert_eq!(refused["error_code"], 131_026, "{refused}");
    assert!(anna.texts().is_empty());

    let sent = again().await;
    assert_eq!(sent.header("idempotency-replayed"), None, "it is another message");
    let sent = sent.expect(200);
    assert_eq!(sent["status"], "sent");
    assert_ne!(sent["id"], refused["id"]);
    let replayed = again().await;
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    assert_eq!(replayed.expect(200)["id"], sent["id"]);
    assert_eq!(anna.texts(), ["One"], "once");
    let other = json!({"phone": PHONE, "message": "Two"});
    send(&world, "send-text-message", Some("k"), other).await.expect(422);
    assert_eq!(anna.texts(), ["One"]);
}

#[actix_web::test]
async fn of_two_calls_at_once_under_one_key_one_sends() {
    for is_refused in [false, true] {
        let world = World::start(|_| {}).await;
        let anna = world.cloud.phone(PHONE);
        anna.say("hi");
        world.settle().await;
        if is_refused {
            world.cloud.next(Fault::error(131_026));
        }
        let body = json!({"phone": PHONE, "message": "One"});
        let call = || send(&world, "send-text-message", Some("k"), body.clone());
        let (one, other) = tokio::join!(call(), call());
        assert_eq!(one.body["id"], other.body["id"], "{one:?} {other:?}");
        let status = if is_refused { 422 } else { 200 };
        assert_eq!((one.status.as_u16(), other.status.as_u16()), (status, status));
        assert_eq!(anna.texts().len(), usize::from(!is_refused));
        // Both have forgotten the key, and none of them what came under it after that.
        let (one, other) = tokio::join!(call(), call());
        assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200));
        assert_eq!(one.body["id"], other.body["id"]);
        assert_eq!(anna.texts(), ["One"]);
        assert_eq!(call().await.expect(200)["id"], one.body["id"]);
        assert_eq!(anna.texts(), ["One"]);
    }
}
