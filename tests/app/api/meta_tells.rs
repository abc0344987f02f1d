//! What Meta tells beside messages: the ad that led to one, what people wish, what a message costs, the account.

use serde_json::{Value, json};
use testkit::app::{PHONE, START, TestApp, local, question};
use testkit::site::{Site, answer};

use crate::api::deliveries::{deliver, delivery, start, text};

const WA_ID: &str = "14155550123";
/// [`START`] in seconds.
const NOW: i64 = 1_778_140_800;

fn ad() -> Value {
    json!({
        "source_url": "https://fb.me/x1", "source_type": "ad", "source_id": "120212", "headline": "Summer sale",
        "body": "Write to us", "media_type": "image", "image_url": "https://scontent.example/i.jpg",
        "ctwa_clid": "ARAk9x", "welcome_message": {"text": "Hello!"}
    })
}

/// A flow that a word starts, and that says which ad led to it and to the answer.
fn of_ads(keyword: &str) -> Value {
    json!({
        "schema_version": 1, "name": "Ads", "entry_node": "keep", "settings": {"keywords": [keyword]},
        "nodes": [
            {"id": "keep", "type": "set_variable", "exits": {"next": "ask"},
             "assignments": [{"name": "click", "value": "{{input.referral.ctwa_clid}}"}]},
            {"id": "ask", "type": "ask", "text": "{{input.referral.headline|default('none')}}?",
                "exits": {"reply": "done"}},
            {"id": "done", "type": "end",
             "text": "{{context.click}} then {{input.referral.welcome_message.text|default('nothing')}}"}
        ]
    })
}

fn from_somebody() -> Value {
    json!({"from": WA_ID, "from_user_id": "US.1"})
}

fn with(mut message: Value, more: &Value) -> Value {
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

fn change(field: &str, value: &Value) -> Value {
    let whole = with(
        json!({
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
        }),
        value,
    );
    json!({"object": "whatsapp_business_account",
           "entry": [{"id": "102290129340398", "changes": [{"field": field, "value": whole}]}]})
}

/// Tells what somebody wishes, `at` seconds after the tests begin.
async fn prefer(app: &TestApp, who: &Value, value: &str, at: i64) {
    let said = json!({"category": "marketing_messages", "value": value, "detail": "x", "timestamp": NOW + at});
    deliver(app, &change("user_preferences", &json!({"user_preferences": [with(said, who)]}))).await.expect(200);
}

async fn by_phone(app: &TestApp, phone: &str) -> Value {
    app.get(&format!("/contacts?phone={}", phone.replace('+', "%2B"))).await.expect(200)["data"][0].clone()
}

async fn messages(app: &TestApp, contact: &Value) -> Vec<Value> {
    let path = format!("/contacts/{}/messages", contact.as_str().unwrap());
    let mut data = app.get(&path).await.expect(200)["data"].as_array().unwrap().clone();
    data.reverse();
    data
}

async fn trigger(app: &TestApp, flow: qyvo::domain::FlowId, phone: &str) -> u16 {
    app.trigger(flow, phone).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ad_is_told_and_read_by_the_flow_that_it_starts() {
    local(async {
        let app = start().await;
        let site = Site::start(|_| answer(204, "text/plain", b"")).await;
        let endpoint = json!({"url": site.url("/"), "events": ["message.received"]});
        app.post("/webhook-endpoints", &endpoint).await.expect(201);
        app.publish(&of_ads("interested")).await;
        let first = with(text("w1", &from_somebody(), "Interested"), &json!({"referral": ad()}));
        let second = with(text("w2", &from_somebody(), "yes"), &json!({"referral": ad()}));
        deliver(&app, &delivery(&[first])).await.expect(200);
        deliver(&app, &delivery(&[second])).await.expect(200);

        let contact = by_phone(&app, PHONE).await;
        let all = messages(&app, &contact["id"]).await;
        let texts: Vec<&Value> = all.iter().map(|message| &message["text"]).collect();
        assert_eq!(texts, ["Interested", "Summer sale?", "yes", "ARAk9x then Hello!"]);
        assert_eq!((&all[0]["referral"], &all[1]["referral"]), (&ad(), &Value::Null));
        assert_eq!(all[0]["media"], json!({"referral": ad()}));
        let polled = app.get("/triggers/new-message-received").await.expect(200);
        assert_eq!(polled[1]["content"], json!({"body": "Interested", "referral": ad()}));
        app.runtime.run_due_webhooks().await.unwrap();
        let told: Vec<Value> = site.seen().iter().map(|seen| serde_json::from_str(&seen.body).unwrap()).collect();
        let received = told.iter().find(|body| body["event"] == "message.received").unwrap();
        assert_eq!(received["message"]["content"], json!({"body": "Interested", "referral": ad()}));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_messenger_tells_of_its_links_alike() {
    local(async {
        let app = TestApp::start().await;
        app.publish(&of_ads("interested")).await;
        let body =
            json!({"id": "1", "from": PHONE, "type": "text", "text": "interested", "referral": {"ctwa_clid": "c1"}});
        assert_eq!(app.post("/inbound", &body).await.expect(202)["handled"], "keyword");
        app.say(PHONE, "yes").await;
        let contact = by_phone(&app, PHONE).await;
        let texts: Vec<Value> = messages(&app, &contact["id"]).await.iter().map(|one| one["text"].clone()).collect();
        assert_eq!(texts, ["interested", "none?", "yes", "c1 then nothing"]);
        let deep = (0..40).fold(json!({}), |inner, _| json!({"a": inner}));
        for wrong in [json!("ad"), json!([1]), deep] {
            let body = json!({"id": "2", "from": PHONE, "type": "text", "text": "x", "referral": wrong});
            assert!(app.post("/inbound", &body).await.expect(422)["errors"]["referral"].is_array());
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_marketing_is_not_begun_with_and_undoes_it_alone() {
    local(async {
        let app = start().await;
        let flow = app.publish(&question(300)).await;
        let (number, id) = (json!({"wa_id": WA_ID}), json!({"user_id": "US.1"}));
        let of = |contact: Value| contact["opted_out_of"].clone();
        deliver(&app, &delivery(&[text("w1", &from_somebody(), "hello")])).await.expect(200);
        let begun = app.trigger(flow, PHONE).await.expect(201);

        prefer(&app, &id, "stop", -50).await;
        assert_eq!(of(by_phone(&app, PHONE).await), "marketing");
        let ended = app.session(&begun["id"]).await;
        assert_eq!((&ended["status"], &ended["reason"]), (&json!("cancelled"), &json!("opted_out")));
        assert_eq!(trigger(&app, flow, PHONE).await, 422);
        prefer(&app, &number, "resume", -80).await;
        assert_eq!(of(by_phone(&app, PHONE).await), "marketing", "an older wish changes nothing");
        prefer(&app, &number, "resume", -20).await;
        assert_eq!(of(by_phone(&app, PHONE).await), Value::Null);
        prefer(&app, &id, "stop", -50).await;
        assert_eq!(of(by_phone(&app, PHONE).await), Value::Null, "nor does one that is delivered again");
        assert_eq!(trigger(&app, flow, PHONE).await, 201);

        // A word is another thing: for everything, and undone by a word.
        deliver(&app, &delivery(&[text("w2", &from_somebody(), "STOP")])).await.expect(200);
        prefer(&app, &number, "stop", -15).await;
        prefer(&app, &number, "resume", -10).await;
        assert_eq!(of(by_phone(&app, PHONE).await), "everything");
        deliver(&app, &delivery(&[text("w3", &from_somebody(), "START")])).await.expect(200);
        prefer(&app, &number, "stop", -5).await;
        assert_eq!(of(by_phone(&app, PHONE).await), "marketing");
        deliver(&app, &delivery(&[text("w4", &from_somebody(), "START")])).await.expect(200);
        assert_eq!(of(by_phone(&app, PHONE).await), Value::Null);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_on_with_who_stops_marketing() {
    local(async {
        let app = start().await;
        let mut document = question(300);
        document["settings"]["keywords"] = json!(["order"]);
        let flow = app.publish(&document).await;
        deliver(&app, &delivery(&[text("w1", &from_somebody(), "order")])).await.expect(200);
        prefer(&app, &json!({"wa_id": WA_ID}), "stop", -5).await;
        deliver(&app, &delivery(&[text("w2", &from_somebody(), "tea")])).await.expect(200);
        let contact = by_phone(&app, PHONE).await;
        let all = messages(&app, &contact["id"]).await;
        assert_eq!(all[3]["text"], "Coming up: tea");
        assert!(all.iter().all(|message| message["status"] != "failed"), "{all:?}");
        // What the person begins is theirs; what we begin is refused, also to who was never heard of.
        deliver(&app, &delivery(&[text("w3", &from_somebody(), "order")])).await.expect(200);
        assert_eq!(messages(&app, &contact["id"]).await[4]["handled"], "keyword");
        assert_eq!(trigger(&app, flow, PHONE).await, 422);
        prefer(&app, &json!({"wa_id": "14155550199"}), "stop", -5).await;
        assert_eq!(trigger(&app, flow, "+14155550199").await, 422);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_message_costs_is_kept_shown_and_counted() {
    local(async {
        let app = start().await;
        let site = Site::start(|_| answer(204, "text/plain", b"")).await;
        let events = ["message.status.sent", "message.status.delivered"];
        app.post("/webhook-endpoints", &json!({"url": site.url("/"), "events": events})).await.expect(201);
        let flow = app.publish(&question(300)).await;
        deliver(&app, &delivery(&[text("w1", &from_somebody(), "hello")])).await.expect(200);
        let session = app.trigger(flow, PHONE).await.expect(201);
        let ours = messages(&app, &session["contact_id"]).await[1].clone();
        assert_eq!(ours["pricing"], Value::Null);
        let pricing = json!({"billable": true, "pricing_model": "PMP", "category": "marketing", "type": "regular"});
        let status = |stage: &str, more: Value| {
            let said = json!({"id": "wamid.1", "status": stage, "timestamp": NOW.to_string(), "recipient_id": WA_ID,
                              "biz_opaque_callback_data": ours["id"]});
            change("messages", &json!({"statuses": [with(said, &more)]}))
        };
        for _ in 0..2 {
            deliver(&app, &status("sent", json!({"pricing": pricing}))).await.expect(200);
        }
        deliver(&app, &status("delivered", json!({"pricing": null}))).await.expect(200);
        let ours = messages(&app, &session["contact_id"]).await[1].clone();
        assert_eq!((&ours["status"], &ours["pricing"]), (&json!("delivered"), &pricing));
        let counted = app.get("/stats").await.expect(200)["totals"]["messages"].clone();
        assert_eq!((&counted["billable"], &counted["free"]), (&json!({"marketing": 1}), &Value::Null));
        app.runtime.run_due_webhooks().await.unwrap();
        let told: Vec<Value> = site.seen().iter().map(|seen| serde_json::from_str(&seen.body).unwrap()).collect();
        let of = |event: &str| told.iter().find(|body| body["event"] == event).unwrap()["pricing"].clone();
        assert_eq!((of(events[0]), of(events[1])), (pricing, Value::Null));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_is_shared_on_request_tells_the_number_of_who_had_none() {
    local(async {
        let app = start().await;
        app.publish(&json!({
            "schema_version": 1, "name": "Number", "entry_node": "ask", "settings": {"keywords": ["order"]},
            "nodes": [
                {"id": "ask", "type": "ask", "text": "Your number?", "expects": "phone", "save_as": "number",
                 "exits": {"reply": "done"}},
                {"id": "done", "type": "end", "text": "{{context.number}} {{contact.phone|default('nobody')}}"}
            ]
        }))
        .await;
        for (n, origin, phone) in [(1, "contact_request", "+14155550171"), (2, "other", "nobody")] {
            let user = json!({"from_user_id": format!("US.{n}")});
            deliver(&app, &delivery(&[text(&format!("a{n}"), &user, "order")])).await.expect(200);
            let number = format!("1415555017{n}");
            let card = json!({"name": {"formatted_name": "Ana"}, "origin": origin,
                              "phones": [{"phone": format!("+{number}"), "wa_id": number}]});
            let shared =
                json!({"id": format!("b{n}"), "timestamp": NOW.to_string(), "type": "contacts", "contacts": [card]});
            deliver(&app, &delivery(&[with(shared, &user)])).await.expect(200);
            let polled = app.get("/triggers/new-message-received?message_type=contacts").await.expect(200);
            assert_eq!(polled[0]["content"], json!({"contacts": [card], "origin": origin}));
            let all = messages(&app, &polled[0]["contact_id"]).await;
            assert_eq!(all[2]["media"], polled[0]["content"]);
            assert_eq!(all[3]["text"], format!("+{number} {phone}"), "{origin}");
        }
        assert_eq!(app.count("contacts"), 2);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_is_told_what_it_means() {
    local(async {
        let app = start().await;
        let restricted = json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": [{"restriction_type": "X"}]});
        deliver(&app, &change("account_update", &restricted)).await.expect(200);
        let coming = json!({"message_template_name": "cart", "message_template_language": "en",
                            "new_category": "UTILITY", "correct_category": "MARKETING"});
        let done = json!({"message_template_name": "cart", "message_template_language": "en",
                          "previous_category": "UTILITY", "new_category": "MARKETING"});
        for value in [coming, done] {
            deliver(&app, &change("template_category_update", &value)).await.expect(200);
        }
        deliver(&app, &change("tracking_events", &json!({"events": []}))).await.expect(200);
        let strays = app.get("/channels/whatsapp/strays").await.expect(200)["data"].clone();
        let why = |place: usize| strays[place]["why"].as_str().unwrap();
        assert!(why(0).contains("is of the category MARKETING now and was UTILITY"), "{strays}");
        assert!(why(1).contains("will be of the category MARKETING and is UTILITY"), "{strays}");
        assert!(why(2).contains("may not do what the restriction names"), "{strays}");
        assert_eq!(strays.as_array().unwrap().len(), 3);
        assert!(START.starts_with("2026-05-07T08:00:00"));
        app.stop().await;
    })
    .await;
}
