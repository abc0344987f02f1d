//! An operator's day: a channel that stops and goes on, templates, what people send, and an answer by hand.

use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use testkit::chromium::Browser;
use testkit::process::Server;
use testkit::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::story::{enter, old};

const PHONE: &str = "+14155550123";

async fn receive(server: &Server, token: &str, id: &str, message: Value) -> Value {
    let mut body = json!({"id": id, "from": PHONE});
    body.as_object_mut().unwrap().extend(message.as_object().unwrap().clone());
    server.send(token, "POST", "/api/v1/inbound", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_stops_the_channel_and_lets_it_go_on() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    enter(&browser, &server, "Ola").await;
    browser.click("nav-channel").await;
    browser.find("banner-simulator").await;
    browser.look("channel").await;
    browser.click("channel-test").await;
    browser.says("records messages, and none reaches a phone").await;
    browser.look("channel-tested").await;
    browser.click("channel-pause").await;
    browser.fill("channel-pause-reason", "The wrong price is in a text").await;
    browser.look("channel-pause").await;
    browser.click("channel-pause-confirm").await;
    browser.find("banner-paused").await;
    browser.says("The wrong price is in a text").await;
    browser.look("channel-paused").await;
    browser.click("nav-flows").await;
    browser.says("is paused: nothing goes out").await;
    browser.click("nav-channel").await;
    browser.click("channel-resume").await;
    browser.find("banner-simulator").await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_made_and_used_in_a_flow() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    enter(&browser, &server, "Ana").await;
    browser.click("nav-templates").await;
    browser.says("No template yet").await;
    browser.look("no-templates").await;
    browser.click("template-create").await;
    browser.fill("template-name", "Cart").await;
    browser.fill("template-body", "Hi {{1}}, your cart of {{2}} is waiting.").await;
    browser.click("template-button-add").await;
    browser.fill("template-button-text", "Check out").await;
    browser.click("template-submit").await;
    browser.says("1 to 512 of the characters").await;
    browser.look("template-editor").await;
    browser.fill("template-name", "cart").await;
    browser.click("template-submit").await;
    browser.find("template-row").await;
    browser.says("Made cart").await;
    browser.look("templates").await;
    browser.click("template-preview").await;
    browser.fill("template-value", "Ada").await;
    browser.says("Hi Ada, your cart of {{2}} is waiting.").await;
    browser.look("template-preview").await;
    browser.click_label("Close").await;

    let flow = server.publish(&token, &testkit::process::question(30)).await;
    browser.open(&old(&server, &format!("flows/{flow}"))).await;
    browser.click("editor-use-template").await;
    browser.click("template-use").await;
    browser.says("a message with a blank placeholder is never sent").await;
    browser.look("use-template").await;
    let fill = "for (const input of document.querySelectorAll('[data-testid=template-value]')) {
            input.value = input.dataset.key === '1' ? \"{{contact.name|default('there')}}\" : '129.00';
            input.dispatchEvent(new Event('input', {bubbles: true})); } return true";
    browser.run(fill).await;
    browser.click("template-use").await;
    browser.says("Not saved").await;
    let document: Value = serde_json::from_str(&browser.value("editor-text").await).unwrap();
    let used = json!({"name": "cart", "language": "en",
                      "variables": {"1": "{{contact.name|default('there')}}", "2": "129.00"}});
    assert_eq!(document["nodes"][0]["template"], used);

    for kind in ["http_request", "handoff", "run_flow", "wait_for_event", "condition"] {
        browser.click("editor-add-node").await;
        browser.find("node-type").await;
        browser.run(&format!("document.querySelector('[data-testid=node-type]').value = '{kind}'; return true")).await;
        browser.click("node-add").await;
    }
    let document: Value = serde_json::from_str(&browser.value("editor-text").await).unwrap();
    let types: Vec<_> =
        document["nodes"].as_array().unwrap().iter().map(|node| node["type"].as_str().unwrap()).collect();
    assert_eq!(types[2..], ["http_request", "handoff", "run_flow", "wait_for_event", "condition"]);
    browser.look("added-nodes").await;
    // The browser itself notes the refusal of the name.
    let complaints: Vec<String> =
        browser.complaints().await.into_iter().filter(|text| !text.contains(" 422 ")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_send_is_shown_and_answered_by_hand() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    // Once that is through, the server knows the token.
    server.publish(&token, &testkit::process::question(30)).await;
    receive(&server, &token, "1", json!({"type": "text", "text": "Hello, do you ship to Norway?"})).await;
    let image = json!({"type": "image", "text": "This is broken", "media": {"mime_type": "image/jpeg"}});
    receive(&server, &token, "2", image).await;
    let place = json!({"latitude": 59.9139, "longitude": 10.7522, "name": "Home", "address": "Oslo"});
    receive(&server, &token, "3", json!({"type": "location", "media": place})).await;
    let card =
        json!({"contacts": [{"name": {"formatted_name": "Grace Hopper"}, "phones": [{"phone": "+1 415 555 0199"}]}]});
    receive(&server, &token, "4", json!({"type": "contacts", "media": card})).await;
    receive(&server, &token, "5", json!({"type": "audio", "media": {"voice": true, "duration": 65}})).await;
    let document = json!({"filename": "invoice.pdf", "mime_type": "application/pdf"});
    receive(&server, &token, "6", json!({"type": "document", "media": document})).await;
    let contacts = server.get(&token, "/api/v1/contacts").await;
    let contact = contacts["data"][0]["id"].as_str().unwrap().to_owned();

    enter(&browser, &server, "Ola").await;
    browser.open(&old(&server, &format!("contacts/{contact}"))).await;
    for said in
        ["This is broken", "Home", "59.9139, 10.7522", "Grace Hopper · +1 415 555 0199", "1 min 5 s", "invoice.pdf"]
    {
        browser.says(said).await;
    }
    let links = "return [...document.querySelectorAll('.media[href], .media a')].map((link) => [link.href, link.rel])";
    let links = browser.run(links).await;
    let map = "https://www.openstreetmap.org/?mlat=59.9139&mlon=10.7522#map=16/59.9139/10.7522";
    assert_eq!(links, json!([[map, "noopener noreferrer"]]));
    browser.look("contact-messages").await;
    browser.fill("agent-text", "Yes, we do.").await;
    browser.click("agent-send").await;
    browser.says("written by a person").await;
    assert_eq!(browser.value("agent-text").await, "");
    browser.look("contact-answered").await;
    browser.click("nav-messages").await;
    browser.says("Voice message").await;
    browser.settle().await;
    browser.look("messages-of-people").await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_of_the_operator_is_told_of_what_happens() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let receiver = Receiver::start("204 No Content").await;
    let flow = server.publish(&token, &testkit::process::question(30)).await;
    enter(&browser, &server, "Ola").await;
    browser.click("nav-webhooks").await;
    browser.says("No webhook yet").await;
    browser.look("no-webhooks").await;
    browser.click("webhook-create").await;
    browser.fill("webhook-url", "ftp://nowhere").await;
    browser.click("webhook-submit").await;
    browser.find("webhook-error").await;
    browser.fill("webhook-url", &receiver.url).await;
    browser.fill("webhook-about", "The shop's own CRM").await;
    browser.click("webhook-all").await;
    browser.click("webhook-submit").await;
    browser.says("Choose at least one event").await;
    browser.look("webhook-new").await;
    browser.run("document.querySelector('[data-event=\"session.started\"]').click(); return true").await;
    browser.click("webhook-submit").await;
    let secret = browser.find("webhook-secret").await.text().await.unwrap();
    assert!(secret.starts_with("whsec_"), "{secret}");
    browser.look("webhook-secret").await;
    browser.click("webhook-done").await;
    browser.find("webhook-row").await;
    assert!(!browser.text().await.contains(&secret), "it is shown once");
    browser.look("webhooks").await;

    let (status, _) = server.trigger(&token, &flow, PHONE).await;
    assert_eq!(status, 201);
    browser.click_label(&receiver.url).await;
    browser.click("webhook-test").await;
    receiver.heard("session.started").await;
    receiver.heard("webhook.test").await;
    browser.click_label("Refresh").await;
    browser.says("session.started").await;
    browser.look("webhook").await;
    browser.click("webhook-pause").await;
    browser.look("webhook-pause").await;
    browser.click("webhook-pause-confirm").await;
    browser.says("what happens meanwhile is not told to it").await;
    browser.click("webhook-delete").await;
    browser.click("webhook-delete-confirm").await;
    browser.says("No webhook yet").await;
    let complaints: Vec<String> =
        browser.complaints().await.into_iter().filter(|text| !text.contains(" 422 ")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_refused_says_why_and_is_sent_again() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start("400 Bad Request").await;
    let channel = format!("[webhook]\nurl = \"{}\"\nsecret = \"between-us\"\n", receiver.url);
    std::fs::write(folder.path().join("qyvo.toml"), channel).unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let document = json!({"schema_version": 1, "name": "Help", "entry_node": "person", "nodes": [
        {"id": "person", "type": "handoff", "note": "Somebody asks", "exits": {"resumed": "bye", "timeout": "bye"}},
        {"id": "bye", "type": "end", "outcome": "helped"}]});
    let flow = server.publish(&token, &document).await;
    let (status, started) = server.trigger(&token, &flow, PHONE).await;
    assert_eq!(status, 201, "{started}");
    enter(&browser, &server, "Ola").await;
    assert!(!browser.text().await.contains("Messages reach no phone"));
    browser.open(&old(&server, "sessions?status=handoff")).await;
    browser.says("a person").await;
    browser.look("handoffs").await;

    browser.open(&old(&server, &format!("contacts/{}", started["contact_id"].as_str().unwrap()))).await;
    browser.fill("agent-text", "How can I help?").await;
    browser.click("agent-send").await;
    browser.says("The channel says: answered 400 without an explanation").await;
    browser.look("refused").await;
    receiver.answers("200 OK");
    browser.click("message-retry").await;
    browser.says("✓ sent").await;
    assert!(!browser.text().await.contains("The channel says"));
    browser.look("sent").await;

    // What is tried again by itself tells what it met.
    receiver.answers("404 Not Found");
    browser.fill("agent-text", "Are you still there?").await;
    browser.click("agent-send").await;
    browser.says("The channel says: answered 404 without an explanation").await;
    browser.says("queued").await;
    browser.look("queued").await;

    browser.open(&old(&server, &format!("sessions/{}", started["id"].as_str().unwrap()))).await;
    browser.click("session-resume").await;
    browser.says(&format!("goes on with {PHONE}, and answers them by itself again")).await;
    browser.look("give-back").await;
    let stands = server.get(&token, &format!("/api/v1/sessions/{}", started["id"].as_str().unwrap())).await;
    assert_eq!(stands["status"], "running", "one click gives nothing back");
    browser.click("session-resume-confirm").await;
    browser.says("completed").await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}

/// Takes whatever is posted to it.
/// Meta delivers this, signed.
async fn deliver(server: &Server, raw: &[u8]) {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"app-secret").unwrap();
    mac.update(raw);
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let request = reqwest::Client::new().post(server.url("/webhooks/whatsapp"));
    let answer = request.header("X-Hub-Signature-256", signature).body(raw.to_vec()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

/// The channel of a server to which deliveries come.
const WHATSAPP: [(&str, &str); 6] = [
    ("QYVO_WHATSAPP_PHONE_NUMBER_ID", "106540352242922"),
    ("QYVO_WHATSAPP_BUSINESS_ACCOUNT_ID", "102290129340398"),
    ("QYVO_WHATSAPP_ACCESS_TOKEN", "token"),
    ("QYVO_WHATSAPP_APP_SECRET", "app-secret"),
    ("QYVO_WHATSAPP_VERIFY_TOKEN", "verify"),
    // Nobody answers there, and this is about what comes in.
    ("QYVO_WHATSAPP_API_BASE", "http://127.0.0.1:9"),
];

fn change(field: &str, value: &Value) -> Vec<u8> {
    let entry = json!({"id": "1", "changes": [{"field": field, "value": value}]});
    json!({"object": "whatsapp_business_account", "entry": [entry]}).to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_took_of_deliveries_is_shown_with_the_reason() {
    const HOSTILE: &str = "<img src=x onerror=window.hacked=1>";
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &[], &WHATSAPP).await;
    enter(&browser, &server, "Ola").await;
    browser.click("nav-channel").await;
    browser.says("Nothing was left over").await;
    scroll_to(&browser, "strays-section").await;
    browser.look("channel-no-strays").await;

    deliver(&server, b"no JSON").await;
    deliver(&server, &change("account_update", &json!({"event": "DISABLED_UPDATE"}))).await;
    deliver(&server, &change(HOSTILE, &json!({"said": HOSTILE, "secret": "only inside"}))).await;
    browser.run("location.reload(); return true").await;
    browser.says("account update: DISABLED_UPDATE").await;
    let text = browser.text().await;
    assert!(text.contains(&format!("deliveries of the field {HOSTILE} are not known")), "{text}");
    assert!(!text.contains("only inside"), "what was delivered is closed");
    assert!(!text.contains("Nothing was left over"));
    let rows = "return [...document.querySelectorAll('[data-testid=stray] .stray-why')].map((why) => why.innerText)";
    let rows = browser.run(rows).await;
    let rows: Vec<&str> = rows.as_array().unwrap().iter().map(|row| row.as_str().unwrap()).collect();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows[0].contains(HOSTILE) && rows[2].contains("JSON"), "the newest is on top: {rows:?}");
    scroll_to(&browser, "strays-section").await;
    browser.look("channel-strays").await;
    let open =
        "for (const raw of document.querySelectorAll('[data-testid=stray] details')) raw.open = true; return true";
    browser.run(open).await;
    browser.says("only inside").await;
    browser.says("\"no JSON\"").await;
    browser.look("channel-strays-open").await;
    let found = "return [typeof window.hacked, document.querySelectorAll('img[src=x]').length]";
    assert_eq!(browser.run(found).await, json!(["undefined", 0]));
    // What is open stays open when news come in.
    deliver(&server, &change("account_review_update", &json!({"decision": "APPROVED"}))).await;
    browser.run("window.dispatchEvent(new Event('qyvo-channel')); return true").await;
    browser.says("account_review_update").await;
    let open = "return document.querySelectorAll('[data-testid=stray] details[open]').length";
    assert_eq!(browser.run(open).await, json!(3));
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_a_conversation_is_shown_and_flows_are_let_go_on() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &[], &WHATSAPP).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &testkit::process::question(30)).await;
    let metadata = json!({"display_phone_number": "15550783881", "phone_number_id": "106540352242922"});
    let to = PHONE.trim_start_matches('+');
    let echo =
        json!({"from": "15550783881", "to": to, "id": "wamid.E", "type": "text", "text": {"body": "I will look"}});
    deliver(&server, &change("smb_message_echoes", &json!({"metadata": metadata, "message_echoes": [echo]}))).await;
    // What it says waits, so that nobody is asked whether it may go out.
    let (status, session) = server.trigger(&token, &flow, PHONE).await;
    assert_eq!(status, 201);
    let message = json!({"from": to, "id": "wamid.M", "type": "text", "text": {"body": "Thank you"}});
    deliver(&server, &change("messages", &json!({"metadata": metadata, "messages": [message]}))).await;

    enter(&browser, &server, "Ola").await;
    browser.open(&old(&server, &format!("sessions/{}", session["id"].as_str().unwrap()))).await;
    browser.find("session-held").await;
    browser.says("what the person writes is for the colleague").await;
    browser.look("session-held").await;
    browser.open(&old(&server, &format!("contacts/{}", session["contact_id"].as_str().unwrap()))).await;
    browser.find("contact-held").await;
    browser.says("written in the Business app").await;
    browser.says("for the colleague").await;
    browser.look("contact-held").await;
    browser.click("contact-resume").await;
    browser.says("Flows go on").await;
    let gone = "return document.querySelector('[data-testid=contact-held]') === null";
    until("the hold to be gone", async || browser.run(gone).await == json!(true)).await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}

async fn scroll_to(browser: &Browser, testid: &str) {
    browser.run(&format!("document.querySelector('[data-testid={testid}]').scrollIntoView(); return true")).await;
}

struct Receiver {
    url: String,
    heard: Arc<Mutex<String>>,
    answer: Arc<Mutex<&'static str>>,
}

impl Receiver {
    async fn start(answer: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/qyvo", listener.local_addr().unwrap());
        let (heard, answer) = (Arc::default(), Arc::new(Mutex::new(answer)));
        tokio::spawn(Self::listen(listener, Arc::clone(&heard), answer.clone()));
        Self { url, heard, answer }
    }

    async fn listen(listener: tokio::net::TcpListener, heard: Arc<Mutex<String>>, answer: Arc<Mutex<&'static str>>) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut request, mut part) = (String::new(), [0; 4096]);
            // Its bodies are JSON objects, which end the request.
            while !request.trim_end().ends_with('}') {
                match stream.read(&mut part).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.push_str(&String::from_utf8_lossy(&part[..read])),
                }
            }
            heard.lock().unwrap().push_str(&request);
            let status = *answer.lock().unwrap();
            let response = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(response.as_bytes()).await;
        }
    }

    fn answers(&self, status: &'static str) {
        *self.answer.lock().unwrap() = status;
    }

    /// Waits until it was told of an event.
    async fn heard(&self, event: &str) {
        let wanted = format!("\"event\":\"{event}\"");
        until(event, async || self.heard.lock().unwrap().contains(&wanted)).await;
    }
}
