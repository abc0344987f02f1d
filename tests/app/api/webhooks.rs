//! Outgoing webhooks: what happens is told in order, signed, until it is taken or given up; and the routes around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::app::{PHONE, TestApp, local, question};
use testkit::site::{Seen, Site, answer};
use tokio::sync::Notify;

fn taken() -> Vec<u8> {
    answer(204, "text/plain", b"")
}

/// Makes an endpoint and gives what was answered.
async fn endpoint(app: &TestApp, url: &str, events: &[&str]) -> Value {
    app.post("/webhook-endpoints", &json!({"url": url, "events": events})).await.expect(201)
}

async fn shown(app: &TestApp, endpoint: &Value) -> Value {
    app.get(&path_of(endpoint, "")).await.expect(200)
}

fn path_of(endpoint: &Value, rest: &str) -> String {
    format!("/webhook-endpoints/{}{rest}", endpoint["id"].as_str().unwrap())
}

/// Status, attempts and event of each delivery, oldest first.
async fn deliveries(app: &TestApp, endpoint: &Value) -> Vec<String> {
    let listed = app.get(&path_of(endpoint, "/deliveries?limit=200")).await.expect(200);
    let line = |row: &Value| {
        format!("{} {} {}", row["status"].as_str().unwrap(), row["attempts"], row["event"].as_str().unwrap())
    };
    listed["data"].as_array().unwrap().iter().rev().map(line).collect()
}

fn events(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|request| request.header("x-qyvo-event").unwrap()).collect()
}

/// HMAC-SHA256 as RFC 2104 writes it, so that what signs is not what checks.
fn hmac(secret: &str, text: &str) -> String {
    let mut key = [0_u8; 64];
    key[..secret.len().min(64)].copy_from_slice(secret.as_bytes().get(..64).unwrap_or(secret.as_bytes()));
    if secret.len() > 64 {
        key = [0; 64];
        key[..32].copy_from_slice(&Sha256::digest(secret));
    }
    let inner = Sha256::new().chain_update(key.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    hex::encode(Sha256::new().chain_update(key.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_signed_and_in_order() {
    local(async {
        let app = TestApp::start().await;
        let site = Site::start(|_| taken()).await;
        let made = endpoint(&app, &site.url("/hook?a=b"), &["session.started", "session.completed"]).await;
        let flow = app.publish(&question(30)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        app.say(PHONE, "tea").await;
        assert_eq!(site.seen().len(), 0, "a request waits for no endpoint");
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 3);
        let seen = site.seen();
        assert_eq!(events(&seen), ["webhook.test", "session.started", "session.completed"]);
        let unix = 1_778_140_800;
        for request in &seen {
            assert_eq!(request.line, "POST /hook?a=b HTTP/1.1");
            assert_eq!(request.header("content-type"), Some("application/json"));
            assert_eq!(request.header("x-qyvo-webhook-id"), made["id"].as_str());
            let expected = hmac(made["secret"].as_str().unwrap(), &format!("{unix}.{}", request.body));
            assert_eq!(request.header("x-qyvo-signature").unwrap(), format!("t={unix},v1={expected}"));
            let body: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(body["event"].as_str(), request.header("x-qyvo-event"));
            assert_eq!(body["timestamp"], testkit::app::START);
        }
        let bodies: Vec<Value> = seen.iter().map(|request| serde_json::from_str(&request.body).unwrap()).collect();
        assert_eq!(bodies[0]["webhook_id"], made["id"]);
        assert_eq!(bodies[1]["session"]["id"], session["id"]);
        assert_eq!(bodies[1]["tenant_id"], bodies[2]["tenant_id"]);
        assert!(bodies[1]["tenant_id"].is_string());
        assert_eq!(
            bodies[2]["session"],
            json!({"id": session["id"], "flow_id": flow, "version": 1, "contact_id": session["contact_id"],
                   "status": "completed", "reason": null, "outcome": "answered"})
        );
        assert_eq!(bodies[2]["contact"], json!({"id": session["contact_id"], "name": null, "phone": PHONE}));
        let ids: std::collections::BTreeSet<_> =
            seen.iter().map(|it| it.header("x-qyvo-delivery-id").unwrap()).collect();
        assert_eq!(ids.len(), 3);
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 0);
        assert_eq!(
            deliveries(&app, &made).await,
            ["sent 1 webhook.test", "sent 1 session.started", "sent 1 session.completed"]
        );
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_hears_only_what_it_chose_and_only_while_it_is_on() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        app.trigger(flow, "+14155550101").await.expect(201);
        assert_eq!(app.count("webhook_deliveries"), 0, "nobody wants to hear anything");
        let site = Site::start(|_| taken()).await;
        let made = endpoint(&app, &site.url("/"), &["session.expired", "session.cancelled"]).await;
        let session = app.trigger(flow, "+14155550102").await.expect(201);
        app.post("/actions/cancel-flow", &json!({"flow_id": flow, "phone": "+14155550102"})).await.expect(200);
        app.runtime.run_due_webhooks().await.unwrap();
        assert_eq!(events(&site.seen()), ["webhook.test", "session.cancelled"]);
        assert!(site.seen()[1].body.contains(session["id"].as_str().unwrap()));
        app.patch(&path_of(&made, ""), &json!({"is_active": false})).await.expect(200);
        app.trigger(flow, "+14155550103").await.expect(201);
        app.post("/actions/cancel-flow", &json!({"flow_id": flow, "phone": "+14155550103"})).await.expect(200);
        assert_eq!(app.count("webhook_deliveries"), 2);
        app.post(&path_of(&made, "/test"), &json!({})).await.expect(409);
        app.patch(&path_of(&made, ""), &json!({"is_active": true, "events": []})).await.expect(200);
        app.trigger(flow, "+14155550104").await.expect(201);
        app.runtime.run_due_webhooks().await.unwrap();
        assert_eq!(events(&site.seen())[2..], ["session.started"]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_told_once_though_the_first_turn_keeps_events() {
    local(async {
        let app = TestApp::start().await;
        let site = Site::start(|_| taken()).await;
        let made = endpoint(&app, &site.url("/"), &["session.started"]).await;
        let flow = app.publish(&question(30)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let path = format!("/sessions/{}/events", session["id"].as_str().unwrap());
        assert_eq!(app.post(&path, &json!({"event": "paid"})).await.expect(202)["handled"], "kept");
        assert_eq!(deliveries(&app, &made).await, ["queued 0 webhook.test", "queued 0 session.started"]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_told_again_in_order_also_after_a_restart() {
    local(async {
        let app = TestApp::start_with(allow).await;
        let status = Arc::new(AtomicU16::new(500));
        let told = status.clone();
        let site = Site::start(move |_| answer(told.load(Ordering::SeqCst), "text/plain", b"not\nnow")).await;
        let other = Site::start(|_| taken()).await;
        let made = endpoint(&app, &site.url("/"), &["session.started"]).await;
        endpoint(&app, &other.url("/"), &["session.started"]).await;
        let flow = app.publish(&question(30)).await;
        app.trigger(flow, PHONE).await.expect(201);
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 4);
        assert_eq!(events(&site.seen()), ["webhook.test", "session.started"]);
        assert_eq!(events(&other.seen()), ["webhook.test", "session.started"], "one holds up no other");
        let failing = shown(&app, &made).await;
        assert_eq!(failing["failing_since"], testkit::app::START);
        assert_eq!((&failing["last_error"], &failing["queued"]), (&json!("status 500: notnow"), &json!(1)));
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 0, "not at once");
        app.advance_millis(4_999);
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 0);
        app.advance_millis(5_001);
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 1);

        let clock = app.clock.clone();
        let app = TestApp::start_in(app.stop().await, clock, |_| {}).await;
        status.store(200, Ordering::SeqCst);
        app.advance(20);
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 1);
        let seen = site.seen();
        assert_eq!(events(&seen)[1..], ["session.started"; 3], "a test goes once");
        let ids: Vec<_> = seen.iter().map(|request| request.header("x-qyvo-delivery-id").unwrap()).collect();
        assert!(ids[0] != ids[1] && ids[1] == ids[2] && ids[2] == ids[3]);
        let time = |request: &Seen| request.header("x-qyvo-signature").unwrap().split(',').next().unwrap().to_owned();
        assert_ne!(time(&seen[1]), time(&seen[2]), "each attempt is signed anew");
        let well = shown(&app, &made).await;
        assert_eq!(
            (&well["failing_since"], &well["last_error"], &well["queued"]),
            (&json!(null), &json!(null), &json!(0))
        );
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_a_day_is_given_up_and_the_rest_is_told() {
    local(async {
        let app = TestApp::start().await;
        let status = Arc::new(AtomicU16::new(503));
        let told = status.clone();
        let site = Site::start(move |_| answer(told.load(Ordering::SeqCst), "text/plain", b"")).await;
        let made = endpoint(&app, &site.url("/"), &["session.started"]).await;
        let flow = app.publish(&question(30)).await;
        app.trigger(flow, "+14155550101").await.expect(201);
        let mut attempts = 0;
        for minute in 0..(24 * 60 + 65) {
            attempts += app.runtime.run_due_webhooks().await.unwrap();
            if minute == 23 * 60 {
                assert_eq!(deliveries(&app, &made).await.len(), 2);
                app.trigger(flow, PHONE).await.expect(201);
            }
            app.advance(60);
        }
        assert!((30..70).contains(&attempts), "from seconds to an hour: {attempts}");
        // The test's row is gone after a day.
        let mut rows = deliveries(&app, &made).await;
        rows.retain(|row| !row.ends_with(" webhook.test"));
        assert!(rows[0].starts_with("failed ") && rows[0].ends_with(" session.started"), "{rows:?}");
        assert!(rows[1].starts_with("queued ") && rows[1].ends_with(" session.started"), "{rows:?}");
        status.store(200, Ordering::SeqCst);
        app.advance(3600);
        app.runtime.run_due_webhooks().await.unwrap();
        assert!(deliveries(&app, &made).await.last().unwrap().starts_with("sent "));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_that_an_endpoint_will_never_take_does_not_hold_up_the_others_for_a_day() {
    local(async {
        let app = TestApp::start().await;
        let site = Site::start(|request| match request.header("x-qyvo-event") {
            Some("session.started") => {
                b"HTTP/1.1 302 X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
            }
            _ => taken(),
        })
        .await;
        let made = endpoint(&app, &site.url("/"), &["session.started", "session.completed"]).await;
        let flow = app.publish(&question(30)).await;
        app.trigger(flow, PHONE).await.expect(201);
        app.say(PHONE, "tea").await;
        for _ in 0..200 {
            app.runtime.run_due_webhooks().await.unwrap();
            app.advance(1);
        }
        assert_eq!(
            deliveries(&app, &made).await,
            ["sent 1 webhook.test", "failed 5 session.started", "sent 1 session.completed"]
        );
        assert_eq!(site.seen().len(), 7);
        assert!(site.seen().iter().all(|request| request.path() == "/"), "redirects are not followed");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_goes_beside_the_queue_and_what_waits_says_behind_what() {
    local(async {
        let app = TestApp::start_with(allow).await;
        let status = Arc::new(AtomicU16::new(500));
        let told = status.clone();
        let site = Site::start(move |_| answer(told.load(Ordering::SeqCst), "text/plain", b"")).await;
        let made = endpoint(&app, &site.url("/"), &["session.started", "session.cancelled"]).await;
        let flow = app.publish(&question(30)).await;
        app.trigger(flow, PHONE).await.expect(201);
        app.post("/actions/cancel-flow", &json!({"flow_id": flow, "phone": PHONE})).await.expect(200);
        app.runtime.run_due_webhooks().await.unwrap();
        let path = path_of(&made, "/deliveries?status=queued");
        let waiting = app.get(&path).await.expect(200)["data"].clone();
        let [second, first] = [&waiting[0], &waiting[1]];
        assert!(first["behind"].is_null() && first["next_attempt_at"].is_string(), "{first}");
        assert_eq!(second["behind"], json!({"id": first["id"], "event": "session.started"}));
        assert!(second["next_attempt_at"].is_null(), "it has no time of its own: {second}");

        // A test is not held up by what fails, and holds nothing up.
        let before = site.seen().len();
        let test = app.post(&path_of(&made, "/test"), &json!({})).await.expect(202)["delivery_id"].clone();
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 1);
        assert_eq!(events(&site.seen())[before..], ["webhook.test"]);
        let listed = app.get(&path_of(&made, "/deliveries")).await.expect(200)["data"].clone();
        let row = listed.as_array().unwrap().iter().find(|row| row["id"] == test).unwrap();
        assert_eq!(
            (&row["status"], &row["attempts"], &row["reason"]),
            (&json!("failed"), &json!(1), &json!("status 500"))
        );

        // What waits for too long is said where the operator looks.
        let ready = app.request("GET".parse().unwrap(), "/readyz", None, None).await.expect(200);
        assert_eq!(ready, json!({"status": "ready"}));
        app.advance(61);
        let ready = app.request("GET".parse().unwrap(), "/readyz", None, None).await.expect(200);
        assert_eq!((&ready["status"], &ready["reasons"][0]["code"]), (&json!("degraded"), &json!("webhooks_behind")));
        assert_eq!(ready["reasons"][0]["since"], testkit::app::START);
        let text = ready["reasons"][0]["text"].as_str().unwrap();
        assert!(text.contains("2 events wait") && !text.contains("127.0.0.1"), "{text}");

        app.runtime.run_due_webhooks().await.unwrap();
        status.store(200, Ordering::SeqCst);
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 0, "it is not due yet");
        let tried = app.post(&path_of(&made, "/try-now"), &json!({})).await.expect(202);
        assert_eq!((&tried["id"], &tried["queued"]), (&made["id"], &json!(2)));
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 2);
        let ready = app.request("GET".parse().unwrap(), "/readyz", None, None).await.expect(200);
        assert_eq!(ready, json!({"status": "ready"}));
        app.post(&path_of(&made, "/try-now"), &json!({})).await.expect(202);
        app.patch(&path_of(&made, ""), &json!({"is_active": false})).await.expect(200);
        app.post(&path_of(&made, "/try-now"), &json!({})).await.expect(409);
        app.post("/webhook-endpoints/01a20839-0a4e-7f13-9c0b-2f3f1f9d8b55/try-now", &json!({})).await.expect(404);
        app.stop().await;
    })
    .await;
}

/// Lets flows call this machine, so that what it says is shown.
fn allow(config: &mut qyvo::config::Config) {
    config.http_request.allow = vec!["127.0.0.1/32".parse().unwrap()];
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_inside_says_is_not_shown() {
    local(async {
        let app = TestApp::start().await;
        for status in [500, 404, 401] {
            let site = Site::start(move |_| answer(status, "text/plain", b"the secret of the inside")).await;
            let made = endpoint(&app, &site.url("/"), &[]).await;
            app.runtime.run_due_webhooks().await.unwrap();
            assert_eq!(site.seen().len(), 1, "it is told all the same");
            let failing = shown(&app, &made).await;
            assert_eq!(failing["last_error"], format!("status {status}"));
            let listed = app.get(&path_of(&made, "/deliveries")).await.expect(200).to_string();
            assert!(!listed.contains("secret of the inside"), "{listed}");
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_switches_an_endpoint_off() {
    local(async {
        let app = TestApp::start_with(allow).await;
        let site = Site::start(|_| answer(410, "text/plain", b"moved on")).await;
        let made = endpoint(&app, &site.url("/"), &[]).await;
        let flow = app.publish(&question(30)).await;
        app.trigger(flow, PHONE).await.expect(201);
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 1);
        assert_eq!(deliveries(&app, &made).await, ["failed 1 webhook.test", "failed 0 session.started"]);
        let off = shown(&app, &made).await;
        assert_eq!((&off["is_active"], &off["last_error"]), (&json!(false), &json!("status 410: moved on")));
        app.trigger(flow, "+14155550199").await.expect(201);
        assert_eq!(app.count("webhook_deliveries"), 2, "nothing is queued any more");
        app.advance(7200);
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 0);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_slow_holds_up_no_other_and_its_answer_is_not_read_to_the_end() {
    local(async {
        let app = TestApp::start_with(allow).await;
        let gate = Arc::new(Notify::new());
        let slow = Site::start_slow(gate.clone(), |_| answer(500, "text/plain", &[b'x'; 500_000])).await;
        let quick = Site::start(|_| taken()).await;
        let (held, _) = (endpoint(&app, &slow.url("/"), &[]).await, endpoint(&app, &quick.url("/"), &[]).await);
        let runtime = app.runtime.clone();
        let telling = tokio::spawn(async move { runtime.run_due_webhooks().await });
        slow.wait_for(1).await;
        quick.wait_for(1).await;
        gate.notify_one();
        assert_eq!(telling.await.unwrap().unwrap(), 2);
        let error = shown(&app, &held).await["last_error"].as_str().unwrap().to_owned();
        assert!(error.starts_with("status 500: xxx") && error.len() == 300, "{}", error.len());
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_is_kept_for_a_day_and_goes_with_the_person() {
    local(async {
        let app = TestApp::start().await;
        let site = Site::start(|_| taken()).await;
        let made = endpoint(&app, &site.url("/"), &["session.started"]).await;
        let flow = app.publish(&question(30)).await;
        let gone = app.trigger(flow, "+14155550101").await.expect(201);
        app.trigger(flow, "+14155550102").await.expect(201);
        assert_eq!(app.count("webhook_deliveries"), 3);
        app.delete(&format!("/contacts/{}", gone["contact_id"].as_str().unwrap())).await;
        assert_eq!(app.count("webhook_deliveries"), 2);
        app.runtime.run_due_webhooks().await.unwrap();
        assert_eq!(site.seen().len(), 2);
        assert!(site.seen().iter().all(|request| !request.body.contains("+14155550101")));
        app.advance(24 * 3600);
        app.runtime.tidy().await.unwrap();
        assert_eq!(app.count("webhook_deliveries"), 2);
        app.advance(1);
        app.runtime.tidy().await.unwrap();
        assert_eq!(deliveries(&app, &made).await, [] as [&str; 0]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_tells_by_itself_and_drains_when_it_stops() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let app = TestApp::start_in(folder, qyvo::runtime::Clock::system(), |_| {}).await;
        let gate = Arc::new(Notify::new());
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = tries.clone();
        let site = Site::start_slow(gate.clone(), move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            taken()
        })
        .await;
        endpoint(&app, &site.url("/"), &[]).await;
        site.wait_for(1).await;
        let folder = {
            let path = app.folder.path().join("qyvo.db");
            let stopping = app.stop();
            let opening = async {
                gate.notify_one();
                path
            };
            tokio::join!(stopping, opening).0
        };
        let conn = rusqlite::Connection::open(folder.path().join("qyvo.db")).unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?));
        let told = conn.query_row("SELECT status, attempts FROM webhook_deliveries", [], row).unwrap();
        assert_eq!((told, tries.load(Ordering::SeqCst)), (("sent".to_owned(), 1), 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_made_changed_and_deleted() {
    local(async {
        let app = TestApp::start().await;
        let site = Site::start(|_| taken()).await;
        let body = json!({"url": format!(" {} ", site.url("/")), "description": "CRM",
                          "events": ["session.expired", "session.expired", "message.status.read"]});
        let made = app.post("/webhook-endpoints", &body).await.expect(201);
        let secret = made["secret"].as_str().unwrap();
        assert!(secret.starts_with("whsec_") && secret.len() == 6 + 64);
        assert_eq!(made["events"], json!(["session.expired", "message.status.read"]));
        assert_eq!((&made["url"], &made["description"]), (&json!(site.url("/")), &json!("CRM")));
        assert_eq!((&made["is_active"], &made["queued"]), (&json!(true), &json!(1)));
        let listed = app.get("/webhook-endpoints").await;
        assert!(!listed.body.to_string().contains(secret) && listed.body["next_cursor"].is_null());
        assert_eq!(listed.body["data"][0]["secret_hint"].as_str(), secret.get(..12));

        let rotated = app.post(&path_of(&made, "/rotate-secret"), &json!({})).await.expect(200);
        assert_ne!(rotated["secret"], made["secret"]);
        app.runtime.run_due_webhooks().await.unwrap();
        let seen = site.seen();
        let (time, hex) = seen[0].header("x-qyvo-signature").unwrap().split_once(",v1=").unwrap();
        let signed = format!("{}.{}", time.strip_prefix("t=").unwrap(), seen[0].body);
        assert_eq!(hex, hmac(rotated["secret"].as_str().unwrap(), &signed));

        let other = json!({"url": "https://e.example/", "description": ""});
        let changed = app.patch(&path_of(&made, ""), &other).await.expect(200);
        assert_eq!((&changed["url"], &changed["description"]), (&json!("https://e.example/"), &json!("")));
        assert_eq!(changed["events"], made["events"], "what is not sent stays");
        assert!(changed.get("secret").is_none());
        assert_eq!(app.delete(&path_of(&made, "")).await.status.as_u16(), 204);
        assert_eq!((app.count("webhook_endpoints"), app.count("webhook_deliveries")), (0, 0));
        for (method, rest) in
            [("GET", ""), ("GET", "/deliveries"), ("DELETE", ""), ("POST", "/test"), ("POST", "/rotate-secret")]
        {
            let path = format!("/api/v1{}", path_of(&made, rest));
            let token = testkit::app::secret(qyvo::store::tokens::Scope::Admin);
            let answer = app.request(method.parse().unwrap(), &path, Some(&token), None).await;
            assert_eq!(answer.expect(404), json!({"error": "Webhook endpoint not found"}), "{method} {rest}");
        }
        app.patch(&path_of(&made, ""), &json!({})).await.expect(404);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_endpoints_are_refused_by_the_field_and_change_nothing() {
    local(async {
        let app = TestApp::start().await;
        let made = endpoint(&app, "https://e.example/", &[]).await;
        let before = app.rows();
        for (body, field) in [
            (json!({}), "url"),
            (json!({"url": "ftp://e.example/"}), "url"),
            (json!({"url": "e.example"}), "url"),
            (json!({"url": "https://user:pw@e.example/"}), "url"),
            (json!({"url": format!("https://e.example/{}", "x".repeat(2000))}), "url"),
            (json!({"url": "https://e.example/", "events": ["session.began"]}), "events"),
            (json!({"url": "https://e.example/", "events": "all"}), "events"),
            (json!({"url": "https://e.example/", "events": [1]}), "events"),
            (json!({"url": "https://e.example/", "description": "x".repeat(201)}), "description"),
            (json!({"url": "https://e.example/", "description": 1}), "description"),
            (json!({"url": "https://e.example/", "secret": "mine"}), "secret"),
        ] {
            let refused = app.post("/webhook-endpoints", &body).await.expect(422);
            assert!(refused["errors"][field].is_array(), "{body}: {refused}");
            if field != "url" || body.get("url").is_some() {
                let refused = app.patch(&path_of(&made, ""), &body).await.expect(422);
                assert!(refused["errors"][field].is_array(), "{body}: {refused}");
            }
        }
        assert_eq!(app.rows(), before);
        for n in 2..=50 {
            endpoint(&app, &format!("https://e.example/{n}"), &[]).await;
        }
        let refused = app.post("/webhook-endpoints", &json!({"url": "https://e.example/51"})).await.expect(409);
        assert!(refused["error"].as_str().unwrap().contains("50"), "{refused}");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_for_and_gives_the_session_back() {
    local(async {
        let app = TestApp::start().await;
        let site = Site::start(|_| taken()).await;
        endpoint(&app, &site.url("/"), &["handoff.requested", "session.completed"]).await;
        let flow = app
            .publish(&json!({
                "schema_version": 1, "name": "Help", "entry_node": "agent",
                "nodes": [
                    {"id": "agent", "type": "handoff", "note": "{{contact.phone}} is angry",
                     "exits": {"resumed": "done", "timeout": "late"}},
                    {"id": "done", "type": "end", "outcome": "helped"},
                    {"id": "late", "type": "end", "outcome": "late"}
                ]
            }))
            .await;
        let mut news = app.runtime.watch();
        let session = app.trigger(flow, PHONE).await.expect(201);
        assert_eq!(app.session(&session["id"]).await["waiting_for"], "handoff");
        let mut told = Vec::new();
        while let Ok(change) = news.try_recv() {
            told.push((change.kind(), serde_json::to_value(change.as_ref()).unwrap()));
        }
        let (_, handoff) = told.iter().find(|(kind, _)| *kind == "handoff").unwrap();
        assert_eq!(
            *handoff,
            json!({"session_id": session["id"], "flow_id": flow, "contact_id": session["contact_id"],
                   "node_id": "agent", "note": "+14155550123 is angry", "waits": true})
        );
        let path = format!("/sessions/{}/resume", session["id"].as_str().unwrap());
        let resumed = app.post(&path, &json!({})).await.expect(200);
        assert_eq!((&resumed["status"], &resumed["outcome"]), (&json!("completed"), &json!("helped")));
        assert_eq!(app.post(&path, &json!({})).await.expect(409)["error"], "The session has ended.");
        app.runtime.run_due_webhooks().await.unwrap();
        let seen = site.seen();
        assert_eq!(events(&seen), ["webhook.test", "handoff.requested", "session.completed"]);
        let body: Value = serde_json::from_str(&seen[1].body).unwrap();
        assert_eq!(
            (&body["node"], &body["note"], &body["waits"]),
            (&json!("agent"), &json!("+14155550123 is angry"), &json!(true))
        );
        assert_eq!((&body["session"]["id"], &body["contact"]["phone"]), (&session["id"], &json!(PHONE)));

        let asking = app.trigger(app.publish(&question(30)).await, PHONE).await.expect(201);
        let before = app.rows();
        let path = format!("/sessions/{}/resume", asking["id"].as_str().unwrap());
        assert_eq!(app.post(&path, &json!({})).await.expect(409)["error"], "The session is not in handoff.");
        assert_eq!(app.rows(), before);
        app.post("/sessions/01a20839-0a4e-7f13-9c0b-2f3f1f9d8b55/resume", &json!({})).await.expect(404);
        app.stop().await;
    })
    .await;
}
