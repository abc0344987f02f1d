//! People, what is said to them, and who is told of it, on the simulator.

use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use super::Story;
use testkit::app::{local, question, secret};
use testkit::site::{Site, answer};

const ANA: &str = "+14155550101";
const BEN: &str = "+14155550102";
const CLEO: &str = "+14155550103";
const DAN: &str = "+14155550104";
const EVE: &str = "+14155550105";
const QUESTION: &str = "0198a000-0000-4000-8000-000000000001";
const DAYS: &str = "0198a000-0000-4000-8000-000000000002";
const TALK: &str = "0198a000-0000-4000-8000-000000000003";
const ORDER: &str = "0198a000-0000-4000-8000-000000000004";
const CALL: &str = "0198a000-0000-4000-8000-000000000005";
const CHOICE: &str = "0198a000-0000-4000-8000-000000000006";
/// The last news of the story.
const LAST: &str = "0198a000-0000-4000-8000-0000000000ff";
const UNKNOWN: &str = "0198a000-0000-4000-8000-00000000dead";

fn with_id(mut document: Value, id: &str, name: &str) -> Value {
    document["id"] = json!(id);
    document["name"] = json!(name);
    document
}

fn flows() -> Vec<Value> {
    let mut days = with_id(question(120), DAYS, "Days");
    days["kind"] = json!("sequence");
    let talk = json!({
        "schema_version": 1, "id": TALK, "name": "Talk", "entry_node": "talk", "settings": {"keywords": ["agent"]},
        "nodes": [{"id": "talk", "type": "handoff", "note": "Wants to talk", "wait": true, "exits": {"resumed": "bye"}},
                  {"id": "bye", "type": "end", "outcome": "talked", "text": "Goodbye"}]
    });
    let order = json!({
        "schema_version": 1, "id": ORDER, "name": "Order", "entry_node": "paid",
        "inputs": [{"name": "cart", "type": "number", "required": true},
                   {"name": "shop", "type": "string", "required": true}],
        "nodes": [
            {"id": "paid", "type": "wait_for_event", "event": "order.paid", "timeout_seconds": 3600,
             "save_as": "payment", "exits": {"event": "thanks", "timeout": "late"}},
            {"id": "thanks", "type": "end", "outcome": "paid", "text": "Thank you for {{context.payment.total}}."},
            {"id": "late", "type": "end", "outcome": "unpaid"}
        ]
    });
    let call = json!({
        "schema_version": 1, "id": CALL, "name": "Call", "entry_node": "call",
        "nodes": [
            {"id": "call", "type": "http_request", "method": "POST", "url": "http://10.1.2.3/colour",
             "body": {"to": "{{contact.phone}}"}, "timeout_ms": 5000, "save_as": "answer",
             "exits": {"success": "good", "failure": "good"}},
            {"id": "good", "type": "end", "outcome": "good"}
        ]
    });
    let choice = json!({
        "schema_version": 1, "id": CHOICE, "name": "Choice", "entry_node": "ask",
        "nodes": [
            {"id": "ask", "type": "menu", "text": "Red or blue?", "save_as": "colour",
             "options": [{"id": "red", "title": "Red", "description": "Like a rose"}, {"id": "blue", "title": "Blue"}],
             "exits": {"red": "picture", "blue": "picture", "no_match": "picture"}},
            {"id": "picture", "type": "send_message", "exits": {"next": "keep"},
             "media": {"kind": "image", "url": "https://shop.example/{{context.colour}}.png", "caption": "Here"}},
            {"id": "keep", "type": "update_contact", "add_tags": ["chose"], "exits": {"next": "end"}},
            {"id": "end", "type": "end", "outcome": "chose"}
        ]
    });
    vec![with_id(question(30), QUESTION, "Question"), days, talk, order, call, choice]
}

fn said(id: &str, from: &str, more: Value) -> Value {
    let mut message = json!({"id": id, "from": from});
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

fn text(id: &str, from: &str, text: &str) -> Value {
    said(id, from, json!({"type": "text", "text": text}))
}

/// Contacts: made, changed, found, tagged, and what is refused.
async fn contacts(story: &mut Story) {
    let made = story.post("contact-made", "/actions/create-contact", json!({"phone": ANA})).await;
    story.call(&made["id"], "contact ana");
    let ben = json!({"phone": BEN, "name": "Ben Ng", "email": "ben@example.com", "tags": "vip, beta",
                     "metadata": {"plan": "gold", "visits": 7, "ratio": 1.5, "nested": {"z": 1, "a": [null, true]}}});
    let key = [("Idempotency-Key", "k1")];
    let made = story.send("contact-made-whole", Method::POST, "/actions/create-contact", &key, ben.clone()).await;
    story.call(&made["id"], "contact ben");
    story.send("contact-made-again", Method::POST, "/actions/create-contact", &key, ben).await;
    let other = json!({"phone": CLEO});
    story.send("contact-key-reused", Method::POST, "/actions/create-contact", &key, other).await;
    let wrong = json!({"phone": "12", "name": 7, "email": "nobody", "metadata": [1], "tags": {"a": 1}});
    story.post("contact-refused", "/actions/create-contact", wrong).await;
    let change = json!({"phone": ANA, "name": "Ana \"A\" Müller\u{1f600}", "metadata": {"note": "a/b\\c\n"}});
    story.post("contact-updated", "/actions/update-contact", change).await;
    story.post("contact-updated-nobody", "/actions/update-contact", json!({"phone": CLEO})).await;
    story.post("contact-updated-whom", "/actions/update-contact", json!({"name": "X"})).await;
    let both = json!({"phone": ANA, "contact_id": made["id"]});
    story.post("contact-mismatch", "/actions/update-contact", both).await;
    story.post("contact-got", "/actions/get-contact", json!({"phone": ANA})).await;
    story.post("contact-got-by-email", "/actions/get-contact", json!({"email": "ben@example.com"})).await;
    story.post("contact-got-nobody", "/actions/get-contact", json!({"phone": CLEO})).await;
    story.post("contacts-searched", "/actions/search-contacts", json!({})).await;
    story.post("contacts-searched-by-tag", "/actions/search-contacts", json!({"tag": "vip"})).await;
    story.post("contacts-searched-in-vain", "/actions/search-contacts", json!({"query": "zzz"})).await;
    story.post("tag-added", "/actions/add-tag", json!({"phone": ANA, "tag": "new"})).await;
    story.post("tag-removed", "/actions/remove-tag", json!({"phone": BEN, "tag": "beta"})).await;
    story.post("tag-refused", "/actions/add-tag", json!({"phone": ANA, "tag": " "})).await;
    story.post("tags", "/actions/list-tags", json!({})).await;
    let ben = format!("/contacts/{}", made["id"].as_str().unwrap());
    let change = json!({"language": "pt-BR", "metadata": {"plan": null}, "tags": ["vip", "zeta"]});
    story.send("contact-patched", Method::PATCH, &ben, &[], change).await;
    let wrong = json!({"language": "x y", "opted_out": "no", "tags": [7], "colour": "red"});
    story.send("contact-patch-refused", Method::PATCH, &ben, &[], wrong).await;
    story.get("contact", &ben).await;
    story.get("contact-unknown", &format!("/contacts/{UNKNOWN}")).await;
    story.get("contacts", "/contacts").await;
    story.get("contacts-page", "/contacts?limit=1").await;
    story.get("contacts-of-phone", &format!("/contacts?phone={}", ANA.replace('+', "%2B"))).await;
    story.get("contacts-found", "/contacts?query=ben").await;
    story.get("contacts-found-page", "/contacts?query=example&limit=1").await;
    story.get("contacts-refused", "/contacts?limit=0&phone=12&colour=red").await;
}

/// Sessions: started, refused, answered, ended.
async fn sessions(story: &mut Story) {
    for flow in flows() {
        let id = flow["id"].as_str().unwrap().to_owned();
        let path = "/flows/import?publish=true&accept=unreachable_node";
        let published = story.app.post(path, &flow).await;
        assert!(published.status.is_success(), "{id}: {}", published.body);
    }
    let ana = json!({"flow_id": QUESTION, "phone": ANA, "context": {"cart": 12.50, "note": null}});
    let key = [("Idempotency-Key", "t1")];
    let first = story.send("trigger-started", Method::POST, "/actions/trigger-flow", &key, ana.clone()).await;
    story.call(&first["id"], "session ana 1");
    story.send("trigger-replayed", Method::POST, "/actions/trigger-flow", &key, ana.clone()).await;
    story.post("trigger-running", "/actions/trigger-flow", ana.clone()).await;
    let fail = json!({"flow_id": QUESTION, "phone": ANA, "on_running": "fail"});
    story.post("trigger-conflict", "/actions/trigger-flow", fail).await;
    story.post("trigger-unknown", "/actions/trigger-flow", json!({"flow_id": UNKNOWN, "phone": ANA})).await;
    let inputs = json!({"flow_id": ORDER, "phone": ANA, "context": {"cart": "x"}});
    story.post("trigger-without-inputs", "/actions/trigger-flow", inputs).await;
    let wrong = json!({"flow_id": "7", "phone": true, "context": [1], "on_running": "maybe"});
    story.post("trigger-refused", "/actions/trigger-flow", wrong).await;
    let cleo = json!({"sequence_id": DAYS, "phone": CLEO});
    let second = story.post("sequence-started", "/actions/trigger-sequence", cleo.clone()).await;
    story.call(&second["contact_id"], "contact cleo");
    story.call(&second["id"], "session cleo 1");
    story.post("sequence-running", "/actions/trigger-sequence", cleo).await;
    story.get("flow-triggers", "/triggers/new-flow-triggered").await;
    story.get("sequence-triggers", "/triggers/new-sequence-triggered").await;
    let path = format!("/sessions/{}", first["id"].as_str().unwrap());
    story.get("session-running", &path).await;
    story.app.advance(5);
    story.post("inbound-reply", "/inbound", text("m1", ANA, "tea")).await;
    story.post("inbound-again", "/inbound", text("m1", ANA, "tea")).await;
    story.post("inbound-unrouted", "/inbound", text("m2", ANA, "Hello?")).await;
    let wrong = json!({"id": "", "from": "12", "type": "smell", "media": 7, "referral": []});
    story.post("inbound-refused", "/inbound", wrong).await;
    story.get("session-completed", &path).await;
    story.get("session-turns", &format!("{path}/turns")).await;
    story.get("session-turns-page", &format!("{path}/turns?limit=1")).await;
    story.post("session-over", &format!("{path}/cancel"), json!({})).await;
    story.get("session-unknown", &format!("/sessions/{UNKNOWN}")).await;
    choice(story).await;
    handoff(story).await;
    events(story).await;
    story.app.advance(31);
    story.app.runtime.run_due().await.unwrap();
    story.get("sessions", "/sessions").await;
    story.get("sessions-of-flow", &format!("/sessions?flow_id={QUESTION}&limit=1")).await;
    story.get("sessions-of-nobody", &format!("/sessions?contact_id={UNKNOWN}")).await;
    story.get("sessions-refused", "/sessions?status=odd&flow_id=1&limit=x").await;
}

/// A menu that is tapped, and a picture.
async fn choice(story: &mut Story) {
    let started = story.post("choice-started", "/actions/trigger-flow", json!({"flow_id": CHOICE, "phone": BEN})).await;
    let session = story.call(&started["id"], "session ben 1");
    let path = format!("/contacts/{}/messages", started["contact_id"].as_str().unwrap());
    story.get("messages-with-options", &path).await;
    let tap = said("b1", BEN, json!({"type": "tap", "option": format!("{session}:red"), "text": "Red"}));
    story.post("inbound-tap", "/inbound", tap).await;
    story.get("choice-turns", &format!("/sessions/{session}/turns")).await;
    for (id, kind, media) in [
        ("b2", "image", json!({"url": "https://x.example/a.png", "mime_type": "image/png"})),
        ("b3", "location", json!({"latitude": 52.5, "longitude": 13.0, "name": "Café"})),
        ("b4", "contacts", json!({"contacts": [{"name": {"formatted_name": "Bob"}}]})),
    ] {
        let message = said(id, BEN, json!({"type": kind, "text": "Look", "media": media}));
        story.post(&format!("inbound-{kind}"), "/inbound", message).await;
    }
    let ad = json!({"type": "text", "text": "From an ad", "timestamp": "2026-05-07T07:59:00Z",
                    "referral": {"source_id": "120", "headline": "Sale"}});
    story.post("inbound-ad", "/inbound", said("b5", BEN, ad)).await;
    story.get("messages-of-ben", &path).await;
    story.get("received", "/triggers/new-message-received").await;
    story.get("received-of-type", "/triggers/new-message-received?message_type=interactive").await;
    story.get("received-refused", "/triggers/new-message-received?message_type=smell").await;
    story.get("campaigns", "/triggers/new-campaign-sent").await;
}

/// A person takes over, answers, and hands back.
async fn handoff(story: &mut Story) {
    story.post("inbound-keyword", "/inbound", text("e1", EVE, "agent")).await;
    let listed = story.get("sessions-in-handoff", "/sessions?waiting_for=handoff").await;
    let session = story.call(&listed["data"][0]["id"], "session eve 1");
    let eve = format!("/contacts/{}", listed["data"][0]["contact_id"].as_str().unwrap());
    story.post("answered", &format!("{eve}/messages"), json!({"text": "I am here"})).await;
    story.post("answer-refused", &format!("{eve}/messages"), json!({"text": " ", "colour": 1})).await;
    story.get("contact-held", &eve).await;
    story.get("session-held", &format!("/sessions/{session}")).await;
    story.post("session-resumed", &format!("/sessions/{session}/resume"), json!({})).await;
    story.post("session-not-resumed", &format!("/sessions/{session}/resume"), json!({})).await;
    story.post("contact-resumed", &format!("{eve}/resume"), json!({})).await;
    story.post("auto-replies-allowed", &format!("{eve}/allow-auto-replies"), json!({})).await;
}

/// Events from outside, cancels, and an HTTP call.
async fn events(story: &mut Story) {
    let order = json!({"flow_id": ORDER, "phone": DAN, "context": {"cart": 1, "shop": "A"}});
    let started = story.post("order-started", "/actions/trigger-flow", order.clone()).await;
    story.call(&started["contact_id"], "contact dan");
    let session = story.call(&started["id"], "session dan 1");
    let kept = json!({"event": "order.shipped", "payload": {"by": "post"}});
    story.post("event-kept", &format!("/sessions/{session}/events"), kept).await;
    let paid = json!({"phone": DAN, "event": "order.paid", "payload": {"total": 12.5}});
    story.post("event-sent", "/actions/send-event", paid.clone()).await;
    story.post("event-sent-to-none", "/actions/send-event", paid).await;
    story.post("event-late", &format!("/sessions/{session}/events"), json!({"event": "order.paid"})).await;
    story.post("event-refused", "/actions/send-event", json!({"event": "a b", "payload": 7})).await;
    story.app.post("/actions/trigger-flow", &order).await.expect(201);
    let cancel = json!({"flow_id": ORDER, "phone": DAN, "reason": "sold out"});
    story.post("cancelled", "/actions/cancel-flow", cancel.clone()).await;
    story.post("not-cancelled", "/actions/cancel-flow", cancel).await;
    let nobody = json!({"flow_id": ORDER, "phone": "+14155550199"});
    story.post("cancelled-nobody", "/actions/cancel-flow", nobody).await;
    let again = story.app.post("/actions/trigger-flow", &order).await.expect(201);
    let session = story.call(&again["id"], "session dan 3");
    story.post("timeout-fired", &format!("/sessions/{session}/fire-timeout"), json!({})).await;
    let started = story.app.trigger(QUESTION.parse().unwrap(), DAN).await.expect(201);
    let session = story.call(&started["id"], "session dan 4");
    let reason = json!({"reason": "by hand"});
    story.post("session-cancelled", &format!("/sessions/{session}/cancel"), reason).await;
    story.app.post("/actions/trigger-flow", &json!({"flow_id": CALL, "phone": DAN})).await.expect(201);
    let path = format!("/contacts/{}/export", started["contact_id"].as_str().unwrap());
    story.get("contact-exported", &path).await;
    story.app.runtime.run_due_calls().await.unwrap();
}

/// Messages that a program sends, and the lists of all of them.
async fn messages(story: &mut Story) {
    let text = json!({"phone": ANA, "message": "Hello"});
    let sent = story.post("text-sent", "/actions/send-text-message", text.clone()).await;
    story.post("text-refused", "/actions/send-text-message", json!({"phone": "1", "message": ""})).await;
    let template = json!({"name": "offer", "language": "en", "body": "Hi {{1}}, {{2}} off", "footer": "Bye"});
    let template = story.app.post("/templates", &template).await.expect(201);
    story.call(&template["id"], "template offer");
    let lacking = json!({"phone": ANA, "template_id": template["id"], "variables": {"1": "Ana"}});
    story.post("template-lacks", "/actions/send-template-message", lacking).await;
    let whole = json!({"phone": ANA, "template_id": template["id"], "variables": {"1": "Ana", "2": 5}});
    story.post("template-sent", "/actions/send-template-message", whole).await;
    let unknown = json!({"phone": ANA, "template_id": UNKNOWN});
    story.post("template-unknown", "/actions/send-template-message", unknown).await;
    story.post("message-not-retried", &format!("/messages/{}/retry", sent["id"].as_str().unwrap()), json!({})).await;
    story.post("message-retry-unknown", &format!("/messages/{UNKNOWN}/retry"), json!({})).await;
    story.app.advance(1);
    story.post("inbound-stop", "/inbound", self::text("a9", ANA, "STOP")).await;
    story.post("text-to-opted-out", "/actions/send-text-message", text).await;
    story.post("trigger-opted-out", "/actions/trigger-flow", json!({"flow_id": QUESTION, "phone": ANA})).await;
    let listed = story.get("contacts-of-opted-out", &format!("/contacts?phone={}", ANA.replace('+', "%2B"))).await;
    let ana = format!("/contacts/{}", listed["data"][0]["id"].as_str().unwrap());
    story.send("opt-out-stays", Method::PATCH, &ana, &[], json!({"opted_out": false})).await;
    story.get("messages", "/messages?limit=3").await;
    story.get("messages-unrouted", "/messages?status=unrouted").await;
    story.get("messages-refused", "/messages?status=odd").await;
    story.get("messages-of-nobody", &format!("/contacts/{UNKNOWN}/messages")).await;
}

/// Many contacts at once, as an array and as lines.
async fn batches(story: &mut Story) {
    let path = format!("/flows/{QUESTION}/trigger-batch");
    let rows = json!([{"phone": "+14155550111"}, {"phone": BEN}, {"phone": BEN}, {"phone": ANA}, {"phone": "x"}, 7]);
    story.post("batch", &path, rows).await;
    let lines = format!("{}\n{}\n", json!({"phone": "+14155550112", "context": {"a": 1}}), json!({"phone": 7}));
    let request = story.request(Method::POST, &path).header("Content-Type", "application/x-ndjson").body(lines);
    story.ask("batch-lines", request.header("Accept", "application/x-ndjson").header("Idempotency-Key", "b")).await;
    story.post("batch-refused", &format!("/flows/{UNKNOWN}/trigger-batch"), json!([])).await;
}

/// What assistants are told.
async fn assistants(story: &mut Story) {
    let (api, admin) = (Scope::Api, Scope::Admin);
    story.tool("list-flows", api, "list_flows", json!({"status": "published", "limit": 2})).await;
    story.tool("get-flow", api, "get_flow", json!({"id": CALL})).await;
    story.tool("get-flow-whole", admin, "get_flow", json!({"id": CALL})).await;
    story.tool("create-flow", api, "create_flow", json!({"name": "Drafted"})).await;
    story.tool("validate-flow", api, "validate_flow", json!({"document": {"name": "x"}})).await;
    story.tool("publish-flow", admin, "publish_flow", json!({"id": QUESTION, "revision": 1})).await;
    let arguments = json!({"flow_id": ORDER, "phone": BEN, "context": {"cart": 1, "shop": "B"}});
    story.tool("trigger-flow", Scope::Trigger, "trigger_flow", arguments).await;
    story.tool("list-sessions", api, "list_sessions", json!({"limit": 1})).await;
    let listed = story.app.get(&format!("/sessions?flow_id={CALL}")).await.expect(200);
    story.tool("get-session", api, "get_session", json!({"id": listed["data"][0]["id"]})).await;
    story.tool("search-contacts", api, "search_contacts", json!({"tag": "vip"})).await;
    story.tool("get-contact", api, "get_contact", json!({"phone": BEN})).await;
    story.tool("send-message", api, "send_message", json!({"phone": BEN, "text": "Hi"})).await;
    story.tool("refused", api, "send_message", json!({"phone": 7, "colour": 1})).await;
    story.tool("forbidden", api, "publish_flow", json!({"id": QUESTION, "revision": 1})).await;
    story.tool("unknown", api, "sing", json!({})).await;
}

/// Counts, the end of a person, and who may not ask.
async fn the_rest(story: &mut Story) {
    story.get("stats", "/stats?hours=2").await;
    story.get("stats-of-flow", &format!("/stats?flow_id={QUESTION}&hours=1")).await;
    story.get("stats-of-nothing", &format!("/stats?flow_id={UNKNOWN}")).await;
    let listed = story.app.get(&format!("/contacts?phone={}", BEN.replace('+', "%2B"))).await.expect(200);
    let ben = format!("/contacts/{}", listed["data"][0]["id"].as_str().unwrap());
    story.get("contact-exported-whole", &format!("{ben}/export")).await;
    story.send("contact-erased", Method::DELETE, &ben, &[], Value::Null).await;
    story.send("contact-erased-again", Method::DELETE, &ben, &[], Value::Null).await;
    let base = story.app.base.clone();
    let client = story.app.client.clone();
    story.ask("health", client.get(format!("{base}/healthz"))).await;
    story.ask("no-token", client.get(format!("{base}/api/v1/contacts"))).await;
    let trigger = client.get(format!("{base}/api/v1/contacts")).bearer_auth(secret(Scope::Trigger));
    story.ask("no-scope", trigger).await;
    let put = story.request(Method::PUT, "/contacts");
    story.ask("no-method", put).await;
    story.get("no-path", "/nothing/here").await;
    let broken = story.request(Method::POST, "/actions/get-contact").header("Content-Type", "application/json");
    story.ask("no-json", broken.body("{")).await;
    let plain = story.request(Method::POST, "/actions/get-contact").header("Content-Type", "text/plain");
    story.ask("no-type", plain.body("{}")).await;
    story.post("no-object", "/actions/get-contact", json!([1])).await;
}

/// Reads what a watcher is told until the last news of the story.
async fn read_news(response: reqwest::Response) -> String {
    let mut response = response;
    let mut news = String::new();
    while !news.contains(LAST) || !news.ends_with("\n\n") {
        let chunk = testkit::wait::patiently("news", response.chunk()).await.unwrap().unwrap();
        news.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    // These come by the clock on the wall.
    let is_timed = |event: &&str| *event == ": still here\n\n" || event.starts_with("event: problems\n");
    news.split_inclusive("\n\n").filter(|event| !is_timed(event)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_on_people_are_what_they_were() {
    local(async {
        let mut story = Story::begin("people", |_| {}).await;
        let site = Site::start(|_| answer(204, "text/plain", b"")).await;
        let endpoint = json!({"url": site.url("/hook"), "description": "Ours"});
        let made = story.post("endpoint-made", "/webhook-endpoints", endpoint).await;
        let endpoint = format!("/webhook-endpoints/{}", story.call(&made["id"], "endpoint"));
        // Without a limit on how long an answer may take.
        let watcher = reqwest::Client::new().get(format!("{}/api/v1/events", story.app.base));
        let watcher = watcher.bearer_auth(secret(Scope::Admin)).send().await.unwrap();
        contacts(&mut story).await;
        sessions(&mut story).await;
        messages(&mut story).await;
        batches(&mut story).await;
        assistants(&mut story).await;
        story.get("endpoint-behind", &format!("{endpoint}/deliveries?limit=2")).await;
        while story.app.runtime.run_due_webhooks().await.unwrap() > 0 {}
        story.hold_requests("webhook-events", &site.seen());
        story.get("endpoint-deliveries", &format!("{endpoint}/deliveries?limit=2")).await;
        story.get("endpoint", &endpoint).await;
        the_rest(&mut story).await;
        let last = with_id(question(30), LAST, "Last");
        story.app.post("/flows/import", &last).await.expect(201);
        let news = read_news(watcher).await;
        story.hold("events-stream", &news);
        story.end().await;
    })
    .await;
}
