//! What goes to phones and comes from them: the generic channel's requests, and WhatsApp's deliveries.

use reqwest::Method;
use serde_json::{Value, json};

use super::Story;
use crate::api::channels::{Meta, whatsapp};
use crate::api::deliveries::{deliver, delivery, text};
use testkit::app::{PHONE, local};
use testkit::site::{Seen, Site, answer};
use testkit::wait::until;

const FLOW: &str = "0198a000-0000-4000-8000-000000000001";
const TALK: &str = "0198a000-0000-4000-8000-000000000002";
const WA_ID: &str = "14155550123";
/// When the tests begin, in seconds.
const NOW: i64 = 1_778_140_800;

/// Says everything that a flow can say.
fn everything() -> Value {
    json!({
        "schema_version": 1, "id": FLOW, "name": "Everything", "entry_node": "hello",
        "nodes": [
            {"id": "hello", "type": "send_message", "text": "Hello {{contact.name|default('you')}}",
             "exits": {"next": "picture"}},
            {"id": "picture", "type": "send_message", "exits": {"next": "silent"},
             "media": {"kind": "image", "url": "https://shop.example/a.png", "caption": "Look"}},
            {"id": "silent", "type": "send_message", "exits": {"next": "menu"},
             "media": {"kind": "document", "url": "https://shop.example/a.pdf", "filename": "a.pdf"}},
            {"id": "menu", "type": "menu", "text": "Tea or coffee?",
             "options": [{"id": "tea", "title": "Tea", "description": "Green"}, {"id": "coffee", "title": "Coffee"}],
             "exits": {"tea": "end", "coffee": "end", "no_match": "end"}},
            {"id": "end", "type": "end", "outcome": "done", "text": "Refuse this"}
        ]
    })
}

/// Refuses one message and takes the others, under ids of its own or none.
fn take(request: &Seen) -> Vec<u8> {
    if request.body.contains("Refuse this") {
        return answer(422, "text/plain", b"no such person");
    }
    let id = if request.body.contains("menu") { r#"{"id":"m-menu"}"# } else { "{}" };
    answer(200, "application/json", id.as_bytes())
}

/// Sends what waits, until nothing does.
async fn drain(story: &Story) {
    until("the queue to be empty", async || {
        story.app.runtime.run_outbox_once().await.unwrap();
        let waiting = async |status: &str| {
            let listed = story.app.get(&format!("/messages?status={status}")).await.expect(200);
            listed["data"].as_array().unwrap().len()
        };
        waiting("queued").await + waiting("sending").await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_generic_channel_posts_is_what_it_was() {
    local(async {
        let site = Site::start(take).await;
        let url = site.url("/messages");
        let begun = Story::begin("generic", |config| {
            config.webhook.url = url;
            config.webhook.secret = "webhook-secret".to_owned().into();
        });
        let mut story = begun.await;
        let hook = Site::start(|_| answer(204, "text/plain", b"")).await;
        story.app.post("/webhook-endpoints", &json!({"url": hook.url("/hook")})).await.expect(201);
        story.app.publish(&everything()).await;
        let started = json!({"flow_id": FLOW, "phone": PHONE});
        let started = story.post("trigger-started", "/actions/trigger-flow", started).await;
        let session = story.call(&started["id"], "session");
        drain(&story).await;
        let tap = json!({"id": "i1", "from": PHONE, "type": "tap", "option": format!("{session}:tea"), "text": "Tea"});
        story.post("inbound-tap", "/inbound", tap).await;
        drain(&story).await;
        let messages = format!("/contacts/{}/messages", started["contact_id"].as_str().unwrap());
        let listed = story.get("messages", &messages).await;
        story.get("session", &format!("/sessions/{session}")).await;
        story.get("messages-failed", "/messages?status=failed").await;
        let failed = format!("/messages/{}/retry", listed["data"][0]["id"].as_str().unwrap());
        story.post("message-retried", &failed, json!({})).await;
        drain(&story).await;
        story.get("messages-after", &messages).await;

        let template = json!({
            "name": "offer", "language": "en", "body": "Hi {{1}}", "header": {"kind": "media", "media": "image"},
            "buttons": [{"kind": "quick_reply", "text": "Yes"}]
        });
        let template = story.post("template-made", "/templates", template).await;
        let variables = json!({"1": "Ana", "header.1": "https://x.example/a.png"});
        let offer = json!({"phone": PHONE, "template_id": template["id"], "variables": variables});
        story.post("template-sent", "/actions/send-template-message", offer).await;
        story.post("text-sent", "/actions/send-text-message", json!({"phone": PHONE, "message": "Hello"})).await;
        let refused = json!({"phone": PHONE, "message": "Refuse this"});
        story.post("text-refused", "/actions/send-text-message", refused).await;
        drain(&story).await;
        story.get("messages-by-api", &format!("{messages}?limit=3")).await;
        story.post("channel-tested", "/channels/webhook/test", json!({})).await;
        story.get_channels("channels").await;
        story.hold_requests("posted", &site.seen());
        while story.app.runtime.run_due_webhooks().await.unwrap() > 0 {}
        story.hold_requests("webhook-events", &hook.seen());
        story.end().await;
    })
    .await;
}

fn with(mut whole: Value, more: &Value) -> Value {
    whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    whole
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

fn person() -> Value {
    json!({"from": WA_ID, "from_user_id": "US.1"})
}

/// A message of a kind, written when the tests begin.
fn message(id: &str, kind: &str, body: Value) -> Value {
    let mut message = json!({"id": id, "timestamp": NOW.to_string(), "type": kind});
    message[kind] = body;
    with(message, &person())
}

fn template(name: &str, status: &str) -> Value {
    json!({
        "id": format!("{name}.7"), "name": name, "language": "en", "status": status, "category": "UTILITY",
        "components": [
            {"type": "HEADER", "format": "IMAGE"},
            {"type": "BODY", "text": "Hi {{1}}, your cart of {{2}} is waiting."},
            {"type": "FOOTER", "text": "Bye"},
            {"type": "BUTTONS", "buttons": [
                {"type": "QUICK_REPLY", "text": "Check out"},
                {"type": "PHONE_NUMBER", "text": "Call", "phone_number": "+14155550199"},
                {"type": "URL", "text": "Open", "url": "https://shop.example/{{1}}"}]}
        ]
    })
}

/// Messages of all kinds, one after another.
async fn hear(story: &Story) {
    let ad = json!({"source_url": "https://fb.me/x1", "source_type": "ad", "source_id": "120212", "headline": "Sale"});
    let card = json!({"name": {"formatted_name": "Bo"}, "phones": [{"phone": "+14155550188"}]});
    let order = json!({"catalog_id": "c", "text": "Quick", "product_items": [
        {"product_retailer_id": "p", "quantity": 2, "item_price": 5.5, "currency": "EUR"}]});
    let product = json!({"referred_product": {"catalog_id": "c", "product_retailer_id": "p"}});
    for said in [
        with(text("w3", &person(), "Hello"), &json!({"referral": ad})),
        with(text("w4", &person(), "This?"), &json!({"context": product})),
        message("w5", "image", json!({"caption": "Look", "mime_type": "image/jpeg", "sha256": "x", "id": "9"})),
        message("w6", "location", json!({"latitude": 52.5, "longitude": 13, "name": "Bar"})),
        message("w7", "contacts", json!([card])),
        message("w8", "order", order),
        message("w9", "reaction", json!({"message_id": "wamid.1", "emoji": "\u{1f600}"})),
        message("w10", "poll_of_tomorrow", json!({"x": 1})),
    ] {
        deliver(&story.app, &delivery(&[said])).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_on_whatsapp_are_what_they_were() {
    local(async {
        let meta = Meta::start().await;
        meta.answer("message_templates", json!({"data": [template("cart", "APPROVED"), template("old", "PAUSED")]}));
        let number =
            json!({"display_phone_number": "+1 631-555-8151", "verified_name": "Shop", "quality_rating": "GREEN"});
        meta.answer("106540352242922?", number);
        meta.answer("subscribed_apps", json!({"data": [{"whatsapp_business_api_data": {"id": "7"}}]}));
        meta.answer(
            "/messages",
            json!({"messaging_product": "whatsapp", "contacts": [{"input": WA_ID, "wa_id": WA_ID}],
                                        "messages": [{"id": "wamid.1"}]}),
        );
        let mut story = Story::begin("whatsapp", whatsapp(&meta.base)).await;
        until("the templates to be fetched", async || {
            let channels = story.app.get("/channels").await.expect(200);
            channels["data"][0]["templates"]["synced_at"].is_string()
        })
        .await;
        let site = Site::start(|_| answer(204, "text/plain", b"")).await;
        story.app.post("/webhook-endpoints", &json!({"url": site.url("/hook")})).await.expect(201);
        let mut talk = testkit::app::question(300);
        talk["id"] = json!(TALK);
        talk["settings"]["keywords"] = json!(["order"]);
        story.app.publish(&talk).await;

        story.post("inbound-not-here", "/inbound", json!({"id": "1"})).await;
        story.post("channel-tested", "/channels/whatsapp/test", json!({})).await;
        story.post("templates-synced", "/templates/sync", json!({})).await;
        let templates = story.get("templates", "/templates").await;
        story.post("template-not-by-hand", "/templates", json!({"name": "a", "language": "en", "body": "x"})).await;
        let listed = story.post("templates-public", "/actions/list-templates", json!({})).await;
        let cart = json!({"template_id": listed[0]["id"]});
        story.post("template-public", "/actions/get-template", cart).await;
        story.get("template-choices", "/dropdowns/templates").await;
        let id = templates["data"][0]["id"].as_str().unwrap().to_owned();
        story.get("variable-choices", &format!("/dropdowns/template-variables?template_id={id}")).await;

        deliver(&story.app, &delivery(&[text("w1", &person(), "order")])).await.expect(200);
        drain(&story).await;
        let contact = story.get("contacts", "/contacts").await["data"][0]["id"].clone();
        let contact = format!("/contacts/{}", story.call(&contact, "contact"));
        let pricing = json!({"billable": true, "pricing_model": "PMP", "category": "utility", "type": "regular"});
        for (stage, more) in [("sent", json!({"pricing": pricing})), ("delivered", json!({})), ("read", json!({}))] {
            let said = json!({"id": "wamid.1", "status": stage, "timestamp": NOW.to_string(), "recipient_id": WA_ID});
            let status = change("messages", &json!({"statuses": [with(said, &more)]}));
            deliver(&story.app, &status).await.expect(200);
        }
        story.get("messages-read", &format!("{contact}/messages")).await;
        meta.answer("/messages", json!({"messages": [{"id": "wamid.2"}]}));
        let variables = json!({"header.1": "https://x.example/a.png", "1": "Ana", "2": "7", "button.2": "seven"});
        let cart = json!({"phone": PHONE, "template_id": id, "language": "en", "variables": variables});
        story.post("template-sent", "/actions/send-template-message", cart).await;
        story.app.advance(60);
        drain(&story).await;
        story.get("message-by-template", &format!("{contact}/messages?limit=1")).await;
        story.post("channel-paused", "/channels/whatsapp/pause", json!({"reason": "Lunch"})).await;
        deliver(&story.app, &delivery(&[text("w2", &person(), "tea")])).await.expect(200);
        hear(&story).await;
        story.get("messages", &format!("{contact}/messages")).await;
        story.get("received", "/triggers/new-message-received").await;
        let echo = json!({"id": "e1", "from": "15550783881", "to": WA_ID, "timestamp": NOW.to_string(), "type": "text",
                          "text": {"body": "I write myself"}});
        let contacts = json!([{"wa_id": WA_ID, "user_id": "US.1", "profile": {"name": "Ana"}}]);
        let echoes = json!({"contacts": contacts, "message_echoes": [echo]});
        deliver(&story.app, &change("smb_message_echoes", &echoes)).await.expect(200);
        story.get("contact-held", &contact).await;
        story.get("messages-of-colleague", &format!("{contact}/messages?limit=1")).await;
        let wish = json!({"user_preferences": [{"wa_id": WA_ID, "category": "marketing_messages", "value": "stop",
                                                "detail": "x", "timestamp": NOW}]});
        deliver(&story.app, &change("user_preferences", &wish)).await.expect(200);
        story.get("contact-without-marketing", &contact).await;
        let failed = json!({"id": "wamid.1", "status": "failed", "timestamp": NOW.to_string(), "recipient_id": WA_ID,
                            "errors": [{"code": 131_026, "title": "Undeliverable"}]});
        deliver(&story.app, &change("messages", &json!({"statuses": [failed]}))).await.expect(200);
        deliver(&story.app, &change("account_update", &json!({"event": "VERIFIED_ACCOUNT"}))).await.expect(200);
        story.get("strays", "/channels/whatsapp/strays").await;
        story.get_channels("channels").await;
        story.get("contact-exported", &format!("{contact}/export")).await;
        story.get("stats", "/stats?hours=1").await;
        while story.app.runtime.run_due_webhooks().await.unwrap() > 0 {}
        story.hold_requests("webhook-events", &site.seen());
        story.send("contact-erased", Method::DELETE, &contact, &[], Value::Null).await;
        story.end().await;
        meta.stop().await;
    })
    .await;
}
