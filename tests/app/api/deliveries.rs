//! `/webhooks/whatsapp`: the challenge, the signature, and what comes of a delivery.

use hmac::{Hmac, KeyInit, Mac};
use qyvo::store::tokens::Scope;
use qyvo::store::unprocessed_deliveries;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use testkit::app::{Answer, TestApp, local, question, read, secret};
use testkit::wait::{PATIENCE, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::api::channels::{Meta, whatsapp};

/// Nobody answers there: whatever the server tells Meta is lost, and nothing depends on it.
const NOBODY: &str = "http://127.0.0.1:9";

pub(crate) async fn start() -> TestApp {
    TestApp::start_with(whatsapp(NOBODY)).await
}

/// Meta's signature, computed here by itself.
fn signature(raw: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"app-secret").unwrap();
    mac.update(raw);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

pub(crate) async fn deliver(app: &TestApp, body: &Value) -> Answer {
    post(app, body.to_string().into_bytes(), None).await
}

async fn post(app: &TestApp, raw: Vec<u8>, signed: Option<&str>) -> Answer {
    let signed = signed.map_or_else(|| signature(&raw), str::to_owned);
    let request = app.client.post(format!("{}/webhooks/whatsapp", app.base));
    read(request.header("X-Hub-Signature-256", signed).header("Content-Type", "application/json").body(raw)).await
}

/// A delivery of these messages, each from somebody with a profile of that name.
pub(crate) fn delivery(messages: &[Value]) -> Value {
    let contacts: Vec<Value> = messages
        .iter()
        .map(|message| {
            let mut contact = json!({"profile": {"name": "Ana"}});
            for (from, to) in [("from", "wa_id"), ("from_user_id", "user_id")] {
                if let Some(value) = message.get(from) {
                    contact[to] = value.clone();
                }
            }
            contact
        })
        .collect();
    change(&json!({"contacts": contacts, "messages": messages}))
}

fn change(value: &Value) -> Value {
    let mut whole = json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
    });
    whole.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
    json!({"object": "whatsapp_business_account",
           "entry": [{"id": "102290129340398", "changes": [{"field": "messages", "value": whole}]}]})
}

/// A typed text, written when the tests begin.
pub(crate) fn text(id: &str, from: &Value, text: &str) -> Value {
    let mut message = json!({"id": id, "timestamp": "1778140800", "type": "text", "text": {"body": text}});
    message.as_object_mut().unwrap().extend(from.as_object().unwrap().clone());
    message
}

async fn get_text(app: &TestApp, path: &str) -> (u16, String) {
    let response = app.client.get(format!("{}{path}", app.base)).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn metas_challenge_is_answered_word_for_word_to_who_knows_the_token() {
    local(async {
        let app = start().await;
        for root in ["", "/api/v1", "/v1"] {
            let asked =
                format!("{root}/webhooks/whatsapp?hub.mode=subscribe&hub.verify_token=verify&hub.challenge=0%2B1");
            assert_eq!(get_text(&app, &asked).await, (200, "0+1".to_owned()));
        }
        for asked in [
            "?hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1",
            "?hub.mode=unsubscribe&hub.verify_token=verify&hub.challenge=1",
            "?hub.challenge=1",
            "",
        ] {
            assert_eq!(get_text(&app, &format!("/webhooks/whatsapp{asked}")).await.0, 403, "{asked}");
        }
        app.stop().await;
        let app = TestApp::start().await;
        assert_eq!(get_text(&app, "/webhooks/whatsapp?hub.mode=subscribe").await.0, 404);
        assert_eq!(post(&app, b"{}".to_vec(), None).await.status.as_u16(), 404);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_meta_did_not_sign_stores_nothing() {
    local(async {
        let app = start().await;
        let body = delivery(&[text("a", &json!({"from": "14155550123"}), "hello")]).to_string().into_bytes();
        let right = signature(&body);
        for wrong in ["", "sha256=", &right[..70], &right.to_uppercase(), &right.replace("sha256", "sha1")] {
            post(&app, body.clone(), Some(wrong)).await.expect(401);
        }
        let unsigned = app.client.post(format!("{}/webhooks/whatsapp", app.base)).body(body.clone());
        read(unsigned).await.expect(401);
        for table in ["contacts", "addresses", "messages", "sessions", "strays", "counters"] {
            assert_eq!(app.count(table), 0, "{table}");
        }
        post(&app, body, None).await.expect(200);
        assert_eq!(app.count("messages"), 1);
        app.stop().await;
    })
    .await;
}

/// Begins a delivery of so many bytes, and leaves it at this part of them.
async fn begin(app: &TestApp, headers: &str, (length, sent): (usize, &[u8])) -> tokio::net::TcpStream {
    let host = app.base.trim_start_matches("http://").to_owned();
    let mut stream = tokio::net::TcpStream::connect(&host).await.unwrap();
    let head = format!("POST /webhooks/whatsapp HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream
}

/// A header that looks like Meta's and signs nothing.
fn looks_signed() -> String {
    format!("X-Hub-Signature-256: sha256={}\r\n", "0".repeat(64))
}

/// A signed delivery of so many bytes that says nothing.
fn of_size(bytes: usize) -> Vec<u8> {
    let mut body = json!({"object": "", "filler": ""}).to_string().into_bytes();
    let room = bytes - body.len();
    let at = body.len() - 2;
    body.splice(at..at, std::iter::repeat_n(b'x', room));
    body
}

/// Delivers until the answer is this one: when the server has read what others send, nothing tells.
async fn deliver_until(app: &TestApp, raw: &[u8], status: u16) -> Answer {
    let mut last = None;
    until(&format!("an answer of {status}"), async || {
        let answer = post(app, raw.to_vec(), None).await;
        last.insert(answer).status == status
    })
    .await;
    last.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_look_signed_is_refused_before_its_body_is_there() {
    local(async {
        let app = start().await;
        for wrong in ["", "X-Hub-Signature-256: sha256=12\r\n", "X-Hub-Signature-256: sha1=12\r\n"] {
            let mut answer = [0; 12];
            begin(&app, wrong, (3_000_000, b"")).await.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 401");
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_send_next_to_nothing_keep_no_delivery_out() {
    local(async {
        let app = start().await;
        let mut strangers = Vec::new();
        for n in 0..50 {
            // However much they announce, it is what they send that takes room.
            let sent: &[u8] = if n % 2 == 0 { b"" } else { b"{" };
            strangers.push(begin(&app, &looks_signed(), (3_000_000, sent)).await);
        }
        for n in 0..20 {
            let body = delivery(&[text(&format!("w{n}"), &json!({"from": "14155550123"}), "hello")]);
            deliver(&app, &body).await.expect(200);
        }
        assert_eq!(app.count("messages"), 20);
        post(&app, of_size(3 * 1024 * 1024), None).await.expect(200);
        drop(strangers);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_send_much_take_the_room_that_they_fill_and_no_more() {
    local(async {
        let app = start().await;
        let large = of_size(100 * 1024);
        let mut strangers = Vec::new();
        for _ in 0..60 {
            strangers.push(begin(&app, &looks_signed(), (3_000_000, &large[..80 * 1024])).await);
        }
        deliver_until(&app, &large, 200).await;
        // Nearly as much as all of them may hold together.
        let much = of_size(3_000_000);
        for _ in 0..16 {
            strangers.push(begin(&app, &looks_signed(), (3_100_000, &much)).await);
        }
        let refused = deliver_until(&app, &much, 503).await;
        assert!(refused.header("Retry-After").is_some());
        assert!(refused.expect(503)["error"].as_str().unwrap().contains("send this one again"));
        let body = delivery(&[text("a", &json!({"from": "14155550123"}), "hello")]);
        for _ in 0..5 {
            deliver(&app, &body).await.expect(200);
        }
        assert_eq!(app.count("messages"), 1);
        drop(strangers);
        deliver_until(&app, &much, 200).await;
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_kept_and_acknowledged() {
    local(async {
        let app = start().await;
        deliver(&app, &json!([1, {"a": "b"}])).await.expect(200);
        post(&app, b"no JSON".to_vec(), None).await.expect(200);
        let status = json!({"statuses": [{"id": "wamid.x", "status": "delivered", "timestamp": "1778140800",
                                          "recipient_id": "14155550123"}]});
        deliver(&app, &change(&status)).await.expect(200);
        let strays = app.runtime.store().read(|conn| unprocessed_deliveries::list(conn, 0, 9)).unwrap();
        let strays: Vec<String> = strays.into_iter().map(|stray| stray.raw).collect();
        assert_eq!(strays.len(), 2, "a status of a message that is not known is only counted: {strays:?}");
        assert_eq!(strays[1], "\"no JSON\"");
        assert_eq!(app.count("counters"), 2, "of the hour and of all time");
        deliver(&app, &change(&status)).await.expect(200);
        deliver(&app, &json!([1, {"a": "b"}])).await.expect(200);
        assert_eq!((app.count("counters"), app.count("strays")), (2, 2), "what comes again is kept once");
        let first = app.get("/channels/whatsapp/strays?limit=1").await.expect(200);
        assert_eq!(first["data"][0]["raw"], "no JSON");
        assert_eq!(first["data"][0]["created_at"], testkit::app::START);
        let rest = format!("/channels/whatsapp/strays?cursor={}", first["next_cursor"].as_str().unwrap());
        let rest = app.get(&rest).await.expect(200);
        assert_eq!((rest["data"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
        assert_eq!(app.get("/channels/webhook/strays").await.expect(200)["data"], json!([]));
        app.get("/channels/telegraph/strays").await.expect(404);
        let token = secret(Scope::Api);
        app.request(Method::GET, "/api/v1/channels/whatsapp/strays", Some(&token), None).await.expect(403);
        assert_eq!((app.count("messages"), app.count("contacts")), (0, 0));
        app.advance(31 * 24 * 3600);
        app.runtime.tidy().await.unwrap();
        assert_eq!(app.count("strays"), 0);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_megabytes_are_taken_and_four_are_not() {
    local(async {
        let app = start().await;
        post(&app, of_size(3 * 1024 * 1024), None).await.expect(200);
        let before = app.rows();
        let large = of_size(4 * 1024 * 1024);
        assert_eq!(post(&app, large.clone(), None).await.status.as_u16(), 413);
        // In pieces, without saying how much there will be.
        let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
            large.chunks(64 * 1024).map(|piece| Ok(piece.to_vec())).collect();
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let request = app.client.post(format!("{}/webhooks/whatsapp", app.base));
        let sent = request.header("X-Hub-Signature-256", signature(&large)).body(body).send().await;
        // The server may hang up before all of it is written.
        assert!(sent.is_err() || sent.unwrap().status().as_u16() == 413);
        assert_eq!(app.rows(), before);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_keeps_each_persons_order_and_a_second_delivery_changes_nothing() {
    local(async {
        let app = start().await;
        let document = json!({
            "schema_version": 1, "name": "Three", "entry_node": "a", "settings": {"keywords": ["go"]}, "nodes": [
                {"id": "a", "type": "ask", "text": "a?", "save_as": "a", "exits": {"reply": "b"}},
                {"id": "b", "type": "ask", "text": "b?", "save_as": "b", "exits": {"reply": "end"}},
                {"id": "end", "type": "end", "outcome": "{{context.a}}"}
            ]
        });
        let mut document = document;
        document["nodes"][2].as_object_mut().unwrap().remove("outcome");
        app.publish(&document).await;
        let mut messages = Vec::new();
        for (n, said) in ["go", "one", "two"].into_iter().enumerate() {
            for person in 0..30 {
                let from = json!({"from": format!("1415555{person:04}"), "from_user_id": format!("US.{person}")});
                messages.push(text(&format!("wamid.{person}.{n}"), &from, said));
            }
        }
        let body = delivery(&messages);
        deliver(&app, &body).await.expect(200);
        assert_eq!((app.count("contacts"), app.count("sessions"), app.count("messages")), (30, 30, 90 + 60));
        let sessions = app.get("/sessions?limit=200").await.expect(200);
        for session in sessions["data"].as_array().unwrap() {
            let session = app.session(&session["id"]).await;
            assert_eq!(
                (&session["status"], &session["context"]["a"], &session["context"]["b"]),
                (&json!("completed"), &json!("one"), &json!("two"))
            );
        }
        let rows = app.rows();
        let (one, two) = tokio::join!(deliver(&app, &body), deliver(&app, &body));
        one.expect(200);
        two.expect(200);
        assert_eq!(app.rows(), rows);
        let contact = app.get("/contacts?phone=%2B14155550000").await.expect(200)["data"][0].clone();
        assert_eq!((&contact["name"], &contact["source"]), (&json!("Ana"), &json!("whatsapp")));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_templates_button_names_its_session_and_a_reaction_names_nothing() {
    local(async {
        let app = start().await;
        let flow = app.publish(&question(300)).await;
        let session = app.trigger(flow, "+14155550123").await.expect(201);
        let other = app.publish(&question(300)).await;
        app.advance(1);
        app.trigger(other, "+14155550123").await.expect(201);
        let from = json!({"id": "w1", "from": "14155550123", "timestamp": "1778140801"});
        let with = |id: &str, more: Value| {
            let mut message = from.clone();
            message["id"] = json!(id);
            message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            message
        };
        let reaction = with("w1", json!({"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "👍"}}));
        let payload = format!("{}:tea", session["id"].as_str().unwrap());
        let button = with("w2", json!({"type": "button", "button": {"payload": payload, "text": "Tea"}}));
        deliver(&app, &delivery(&[reaction, button])).await.expect(200);
        assert_eq!(app.session(&session["id"]).await["outcome"], "answered");
        let said =
            app.get(&format!("/contacts/{}/messages", session["contact_id"].as_str().unwrap())).await.expect(200);
        let by_id =
            |id: &str| said["data"].as_array().unwrap().iter().find(|m| m["provider_id"] == id).unwrap().clone();
        assert_eq!((&by_id("w1")["handled"], &by_id("w1")["type"]), (&json!("noted"), &json!("reaction")));
        assert_eq!(by_id("w2")["handled"], "reply");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_with_three_messages_queued_drops_them_and_queues_the_confirmation() {
    local(async {
        let app = start().await;
        let document = json!({
            "schema_version": 1, "name": "Three", "entry_node": "a", "nodes": [
                {"id": "a", "type": "send_message", "text": "One", "exits": {"next": "b"}},
                {"id": "b", "type": "send_message", "text": "Two", "exits": {"next": "c"}},
                {"id": "c", "type": "ask", "text": "Three?"}
            ]
        });
        let flow = app.publish(&document).await;
        let session = app.trigger(flow, "+14155550123").await.expect(201);
        let endpoint = json!({"url": "http://127.0.0.1:9/hook", "events": ["contact.opted_out", "message.received"]});
        let endpoint = app.post("/webhook-endpoints", &endpoint).await.expect(201)["id"].clone();
        deliver(&app, &delivery(&[text("w1", &json!({"from": "14155550123"}), "STOP")])).await.expect(200);
        let said = app.talk(&session["contact_id"]).await;
        let confirmation = said.last().unwrap();
        assert_eq!(said[..4], ["out One [failed]", "out Two [failed]", "out Three? [failed]", "in STOP [received]"]);
        assert!(confirmation.starts_with("out You will not") && confirmation.ends_with("[queued]"), "{confirmation}");
        let failed = app.get("/messages?status=failed&reason=opted_out").await.expect(200);
        assert_eq!(failed["data"].as_array().unwrap().len(), 3);
        assert_eq!(app.trigger(flow, "+14155550123").await.expect(422)["error"], "Contact has opted out");
        let told = format!("/webhook-endpoints/{}/deliveries", endpoint.as_str().unwrap());
        let told = app.get(&told).await.expect(200)["data"].as_array().unwrap().clone();
        // The first is the endpoint's own test.
        let told: Vec<&Value> = told.iter().rev().skip(1).map(|delivery| &delivery["body"]).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(
            (&told[0]["event"], &told[0]["message"]["content"]),
            (&json!("message.received"), &json!({"body": "STOP"}))
        );
        assert_eq!(told[0]["contact"]["id"], session["contact_id"]);
        assert_eq!(
            (&told[1]["event"], &told[1]["contact"]["id"]),
            (&json!("contact.opted_out"), &session["contact_id"])
        );
        // After an erasure the wish still stands, whichever notation the number comes in.
        app.delete(&format!("/contacts/{}", session["contact_id"].as_str().unwrap())).await.expect(200);
        assert_eq!(app.trigger(flow, "+14155550123").await.expect(422)["error"], "Contact has opted out");
        deliver(&app, &delivery(&[text("w1", &json!({"from": "14155550123"}), "STOP")])).await.expect(200);
        assert_eq!(app.count("contacts"), 0, "what was delivered before brings nobody back");
        deliver(&app, &delivery(&[text("w2", &json!({"from": "14155550123"}), "start")])).await.expect(200);
        app.trigger(flow, "+14155550123").await.expect(201);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_flow_takes_is_marked_as_read_and_what_nothing_takes_is_not() {
    local(async {
        let mut meta = Meta::start().await;
        let app = TestApp::start_with(whatsapp(&meta.base)).await;
        let flow = app.publish(&question(300)).await;
        let from = json!({"from": "14155550123"});
        deliver(&app, &delivery(&[text("w1", &from, "hello")])).await.expect(200);
        app.trigger(flow, "+14155550123").await.expect(201);
        deliver(&app, &delivery(&[text("w2", &from, "tea")])).await.expect(200);
        let mut marked = 0;
        while let Ok(Some((path, _))) = tokio::time::timeout(PATIENCE, meta.asked.recv()).await {
            if path.ends_with("/106540352242922/messages") {
                marked += 1;
                break;
            }
        }
        // Nothing is sent in this test, so whatever else was asked there is another mark.
        while let Ok((path, _)) = meta.asked.try_recv() {
            assert!(!path.ends_with("/messages"), "{path}");
        }
        assert_eq!(marked, 1);
        app.stop().await;
        meta.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_needs_no_token_and_takes_only_its_methods() {
    local(async {
        let app = start().await;
        let wrong = app.request(Method::DELETE, "/webhooks/whatsapp", Some(&secret(Scope::Admin)), None).await;
        assert_eq!(wrong.status.as_u16(), 405);
        app.stop().await;
    })
    .await;
}
