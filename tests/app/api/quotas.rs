//! What a token may have stored: each limit refuses with its sentence, changes nothing, and is seen with the token.

use qyvo::config::{ByteLimit, Limits};
use qyvo::domain::FlowId;
use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{Answer, PHONE, TestApp, local, question, read, secret};

use super::admin::logged_in;
use super::mcp;

async fn start(change: impl FnOnce(&mut Limits)) -> TestApp {
    TestApp::start_with(|config| change(&mut config.limits)).await
}

/// Sends as the trigger scope may.
async fn send(app: &TestApp, path: &str, key: Option<&str>, body: &Value) -> Answer {
    let url = format!("{}/api/v1{path}", app.base);
    let mut request = app.client.post(url).bearer_auth(secret(Scope::Trigger)).body(body.to_string());
    request = request.header("Content-Type", "application/json");
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    read(request).await
}

async fn batch(app: &TestApp, flow: FlowId, key: Option<&str>, rows: std::ops::Range<usize>) -> Answer {
    let rows: Value = rows.map(|n| json!({"phone": format!("+1415{n:07}")})).collect();
    send(app, &format!("/flows/{flow}/trigger-batch"), key, &rows).await
}

async fn trigger(app: &TestApp, flow: FlowId, key: Option<&str>, n: usize, context: usize) -> Answer {
    let body = json!({"flow_id": flow, "phone": format!("+1415{n:07}"), "context": {"text": "x".repeat(context)}});
    send(app, "/actions/trigger-flow", key, &body).await
}

fn started(answer: Answer) -> u64 {
    answer.expect(200)["started"].as_u64().unwrap()
}

/// The refusal of a rate: its sentence and the seconds to wait. It names the key of the limit.
fn rate(answer: Answer, key: &str) -> (String, u64) {
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    let body = answer.expect(429);
    assert_eq!(body["limit"], key);
    let error = body["error"].as_str().unwrap();
    assert!(error.contains(key) && error.ends_with(&format!("try again in {wait} s.")), "{error}");
    let hint = format!("Nothing of it was done. Send it again then, or have `{key}` raised.");
    assert_eq!(body["hint"], hint);
    (error.to_owned(), wait)
}

/// The refusal of what is full until something goes.
fn full(answer: Answer, key: &str) -> String {
    let body = answer.expect(409);
    assert_eq!(body["limit"], key);
    assert!(body["hint"].as_str().unwrap().ends_with(&format!(", or have `{key}` raised.")), "{body}");
    body["error"].as_str().unwrap().to_owned()
}

/// What `GET /tokens` shows as refused to the token of a scope.
async fn refused(app: &TestApp, scope: Scope) -> Value {
    let tokens = app.get("/tokens").await.expect(200);
    let token = tokens["data"].as_array().unwrap().iter().find(|token| token["name"] == scope.as_str()).cloned();
    token.unwrap()["refused"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_ten_thousand_passes_by_default() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let rows: Value = (0..10_000).map(|_| json!({"phone": PHONE})).collect();
        let body = send(&app, &format!("/flows/{flow}/trigger-batch"), None, &rows).await.expect(200);
        assert_eq!(
            (&body["started"], &body["already_running"], &body["failed"]),
            (&json!(1), &json!(9_999), &json!(0))
        );
        assert_eq!(refused(&app, Scope::Trigger).await, Value::Null);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_beyond_the_limit_wait_and_replays_take_none() {
    local(async {
        const ROWS: &str = "limits.rows_per_minute";
        let app = start(|limits| limits.rows_per_minute = 10).await;
        let flow = app.publish(&question(30)).await;

        let before = app.rows();
        let answer = batch(&app, flow, Some("large"), 0..11).await;
        assert_eq!(answer.header("retry-after"), None, "it would never pass");
        let body = answer.expect(413);
        assert_eq!(body["limit"], ROWS);
        assert_eq!(
            body["error"],
            format!("{ROWS} lets a token start 10 rows within 60 seconds, and the batch has 11.")
        );
        assert_eq!(body["hint"], format!("Nothing of it was done. Send it in smaller parts, or have `{ROWS}` raised."));
        assert_eq!(app.rows(), before, "not even its key is kept");

        assert_eq!(started(batch(&app, flow, Some("first"), 0..8).await), 8);
        let before = app.rows();
        let (error, wait) = rate(batch(&app, flow, Some("second"), 8..12).await, ROWS);
        assert!(error.contains("start 10 rows within 60 seconds, and the batch has 4"), "{error}");
        assert!((60..=61).contains(&wait), "{wait}");
        assert_eq!(app.rows(), before, "nothing of it was started");

        // All of it was answered before, so that it takes nothing, however often it comes.
        for _ in 0..3 {
            let replay = batch(&app, flow, Some("first"), 0..8).await;
            assert_eq!(replay.header("idempotency-replayed"), Some("true"));
            assert_eq!(started(replay), 8);
        }
        // What is refused takes nothing, either.
        let bad = json!([{"phone": "12"}, {"phone": "13"}]);
        for _ in 0..3 {
            let path = format!("/flows/{flow}/trigger-batch");
            assert_eq!(send(&app, &path, None, &bad).await.expect(200)["failed"], 2);
        }
        assert_eq!(started(batch(&app, flow, None, 20..22).await), 2, "ten in all");
        rate(batch(&app, flow, None, 22..23).await, ROWS);
        // A single trigger is no row, and another token has rows of its own.
        trigger(&app, flow, None, 23, 0).await.expect(201);
        let path = format!("/flows/{flow}/trigger-batch");
        assert_eq!(started(app.post(&path, &json!([{"phone": PHONE}])).await), 1);

        let shown = refused(&app, Scope::Trigger).await;
        assert_eq!((&shown["count"], &shown["limit"]), (&json!(3), &json!(ROWS)));
        assert_eq!(refused(&app, Scope::Admin).await, Value::Null);
        app.advance(wait);
        assert_eq!(started(batch(&app, flow, Some("second"), 8..12).await), 4, "as long as it was told to wait");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_broke_off_takes_only_what_is_left_of_it() {
    local(async {
        let app = start(|limits| limits.rows_per_minute = 10).await;
        let flow = app.publish(&question(30)).await;
        assert_eq!(started(batch(&app, flow, Some("cart"), 0..6).await), 6);
        // As if the last two had not come to run.
        let conn = rusqlite::Connection::open(app.folder.path().join("qyvo.db")).unwrap();
        let forgotten = conn.execute("DELETE FROM idempotency_keys WHERE key IN ('4#cart', '5#cart')", []);
        assert_eq!(forgotten.unwrap(), 2);
        assert_eq!(started(batch(&app, flow, None, 10..12).await), 2);
        let again = batch(&app, flow, Some("cart"), 0..6).await.expect(200);
        assert_eq!((&again["started"], &again["already_running"]), (&json!(4), &json!(2)), "two rows are left");
        rate(batch(&app, flow, None, 20..21).await, "limits.rows_per_minute");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_beyond_the_limit_wait_whatever_stores_them() {
    local(async {
        const BYTES: &str = "limits.bytes_per_minute";
        let app = start(|limits| limits.bytes_per_minute = ByteLimit::of(20 * 1024)).await;
        let flow = app.publish(&question(30)).await;
        // 4 KiB of context, which count twice, 2 KiB for the rows, and the rest of the body.
        trigger(&app, flow, Some("cart"), 1, 4 * 1024).await.expect(201);
        let before = app.rows();
        let (error, wait) = rate(trigger(&app, flow, Some("more"), 2, 4 * 1024).await, BYTES);
        assert!(error.contains("store 20KiB within 60 seconds"), "{error}");
        assert!((60..=61).contains(&wait), "{wait}");
        let rows: Value = json!([{"phone": "+14150000002", "context": {"text": "x".repeat(5 * 1024)}}]);
        rate(send(&app, &format!("/flows/{flow}/trigger-batch"), Some("rows"), &rows).await, BYTES);
        let event = json!({"event": "paid", "phone": "+14150000001", "payload": "x".repeat(5 * 1024)});
        rate(send(&app, "/actions/send-event", Some("event"), &event).await, BYTES);
        let arguments = json!({"flow_id": flow, "phone": "+14150000002", "context": {"text": "x".repeat(5 * 1024)}});
        let told = mcp::refusal(&app, Scope::Trigger, "trigger_flow", arguments).await;
        assert!(told.contains(BYTES) && told.contains("try again in"), "{told}");
        assert_eq!(app.rows(), before, "nothing of all that was done");
        assert_eq!(trigger(&app, flow, Some("large"), 2, 30 * 1024).await.expect(413)["limit"], BYTES);

        // A retry gets its answer all the same, and takes nothing.
        for _ in 0..5 {
            let replay = trigger(&app, flow, Some("cart"), 1, 4 * 1024).await;
            assert_eq!(replay.header("idempotency-replayed"), Some("true"));
            replay.expect(201);
        }
        assert_eq!(refused(&app, Scope::Trigger).await["count"], 5);
        app.advance(wait);
        trigger(&app, flow, Some("more"), 2, 4 * 1024).await.expect(201);

        // The API's scope: messages that come in, metadata, and what is kept of it under a key.
        let long = "x".repeat(4 * 1024);
        let inbound = |id: &str| json!({"id": id, "from": PHONE, "type": "text", "text": long});
        app.post("/inbound", &inbound("1")).await.expect(202);
        rate(app.post("/inbound", &inbound("2")).await, BYTES);
        let metadata = json!({"phone": PHONE, "metadata": {"text": long}});
        rate(app.post("/actions/update-contact", &metadata).await, BYTES);
        app.advance(61);
        app.post("/actions/update-contact", &metadata).await.expect(200);
        // Its answer has the whole profile, for which there is no room.
        let tag = json!({"phone": PHONE, "tag": "vip"});
        assert_eq!(app.post_with_key("/actions/add-tag", "tag", &tag).await.expect(413)["limit"], BYTES);
        app.post("/actions/add-tag", &tag).await.expect(200);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_kept_is_refused_before_anything_starts() {
    local(async {
        const KEPT: &str = "limits.kept_answers_per_token";
        let limit = |limits: &mut Limits| limits.kept_answers_per_token = ByteLimit::of(2 * 1024);
        let app = start(limit).await;
        let flow = app.publish(&question(30)).await;
        let mut n = 0;
        let refusal = loop {
            let answer = trigger(&app, flow, Some(&format!("cart-{n}")), n, 0).await;
            if answer.status == 429 {
                break answer;
            }
            answer.expect(201);
            n += 1;
        };
        assert!((3..6).contains(&n), "each takes some 400 bytes, and room for a longer one is looked for: {n}");
        let (error, wait) = rate(refusal, KEPT);
        assert!(error.contains("2KiB of answers for the idempotency keys of this token within 24 hours"), "{error}");
        assert!((24 * 3600 - 60..=25 * 3600).contains(&wait), "{wait}");
        assert_eq!(app.count("sessions"), n, "nothing was started");
        trigger(&app, flow, None, n, 0).await.expect(201);
        let replay = trigger(&app, flow, Some("cart-0"), 0, 0).await;
        assert_eq!(replay.header("idempotency-replayed"), Some("true"), "what is kept stays");

        // A restart forgets none of it.
        let clock = app.clock.clone();
        let folder = app.stop().await;
        let app = TestApp::start_in(folder, clock, |config| limit(&mut config.limits)).await;
        let mut tries = 0;
        testkit::wait::until("what was kept to be counted", async || {
            tries += 1;
            let answer = trigger(&app, flow, Some(&format!("again-{tries}")), 1_000 + tries, 0).await;
            answer.status == 429
        })
        .await;
        app.advance(25 * 3600);
        trigger(&app, flow, Some("next day"), 7, 0).await;
        assert_eq!(trigger(&app, flow, Some("next day 2"), 8, 0).await.status, 201);
        app.stop().await;

        let app = start(|limits| limits.kept_answers = ByteLimit::of(1024)).await;
        let flow = app.publish(&question(30)).await;
        trigger(&app, flow, Some("cart-0"), 0, 0).await.expect(201);
        let body = json!({"flow_id": flow, "phone": PHONE});
        let (error, _) = rate(app.post_with_key("/actions/trigger-flow", "a", &body).await, "limits.kept_answers");
        assert!(error.contains("of all callers"), "{error}");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_are_bounded_for_a_token_and_for_all() {
    local(async {
        let app = start(|limits| {
            limits.flows = 4;
            limits.flows_per_token = 2;
        })
        .await;
        let ana = logged_in(&app).await;
        app.post("/flows", &json!({"name": "One"})).await.expect(201);
        let two = app.post("/flows", &json!({"name": "Two"})).await.expect(201);
        let two = two["id"].as_str().unwrap();
        let before = app.rows();
        let error = full(app.post("/flows", &json!({"name": "Three"})).await, "limits.flows_per_token");
        let of_token = "There are 2 flows and sequences that this token was the last to save, and \
                        limits.flows_per_token allows no more.";
        assert_eq!(error, of_token);
        full(app.post("/flows/import", &question(30)).await, "limits.flows_per_token");
        full(app.post(&format!("/flows/{two}/duplicate"), &json!({})).await, "limits.flows_per_token");
        assert_eq!(app.rows(), before);
        assert_eq!(refused(&app, Scope::Admin).await["count"], 3);

        // Another token has its own, also over MCP; a person has none, but all together have one.
        mcp::call(&app, Scope::Api, "create_flow", json!({"name": "Three"})).await;
        ana.post("/flows", &json!({"name": "Four"})).await.expect(201);
        let error = full(ana.post("/flows", &json!({"name": "Five"})).await, "limits.flows");
        assert_eq!(error, "There are 4 flows and sequences, and limits.flows allows no more.");
        let told = mcp::refusal(&app, Scope::Api, "create_flow", json!({"name": "Five"})).await;
        assert!(told.starts_with(&error), "{told}");

        // Drafts that are there can be saved, and what is deleted makes room.
        let draft = app.get(&format!("/flows/{two}")).await.expect(200);
        let save = json!({"document": draft["document"]});
        app.send(Method::PUT, &format!("/flows/{two}"), &[("If-Match", "*")], Some(&save)).await.expect(200);
        app.delete(&format!("/flows/{two}")).await.expect(204);
        app.post("/flows", &json!({"name": "Five"})).await.expect(201);
        app.stop().await;

        let app = start(|limits| {
            limits.draft_bytes = ByteLimit::of(6 * 1024);
            limits.draft_bytes_per_token = ByteLimit::of(3 * 1024);
        })
        .await;
        let ana = logged_in(&app).await;
        let document = |bytes: usize| json!({"document": {"name": "Long", "text": "x".repeat(bytes)}});
        let flow = app.post("/flows", &document(2_000)).await.expect(201);
        let path = format!("/flows/{}", flow["id"].as_str().unwrap());
        full(app.post("/flows", &document(2_000)).await, "limits.draft_bytes_per_token");
        for (bytes, status) in [(3_500, 409), (2_900, 200), (1_000, 200)] {
            let answer = app.send(Method::PUT, &path, &[("If-Match", "*")], Some(&document(bytes))).await;
            assert_eq!(answer.status, status, "{bytes}: {}", answer.body);
        }
        ana.post("/flows", &document(4_900)).await.expect(201);
        let error = full(ana.post("/flows", &document(300)).await, "limits.draft_bytes");
        assert!(error.contains("there is no room for it among the 6144 bytes of drafts"), "{error}");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn test_cases_are_bounded_by_flow_and_in_all() {
    local(async {
        let app = start(|limits| {
            limits.test_cases_per_flow = 2;
            limits.test_case_bytes = ByteLimit::of(2 * 1024);
        })
        .await;
        let mut flows = Vec::new();
        for name in ["One", "Two"] {
            let flow = app.post("/flows", &json!({"name": name})).await.expect(201);
            flows.push(format!("/flows/{}/test-cases", flow["id"].as_str().unwrap()));
        }
        let case = |name: &str, bytes: usize| {
            json!({"name": name, "script": {"start": {"context": {"text": "x".repeat(bytes)}}, "steps": []}})
        };
        app.post(&flows[0], &case("a", 10)).await.expect(201);
        app.post(&flows[0], &case("b", 10)).await.expect(201);
        let before = app.rows();
        let error = full(app.post(&flows[0], &case("c", 10)).await, "limits.test_cases_per_flow");
        assert_eq!(error, "A flow has at most 2 test cases.");
        let error = full(app.post(&flows[1], &case("c", 2_000)).await, "limits.test_case_bytes");
        assert!(error.starts_with("The test cases of all flows have at most 2048 bytes"), "{error}");
        assert_eq!(app.rows(), before);
        app.post(&flows[1], &case("c", 10)).await.expect(201);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_changed_is_in_force_at_once_and_people_have_no_rates() {
    local(async {
        let app = start(|limits| limits.rows_per_minute = 2).await;
        let flow = app.publish(&question(30)).await;
        let path = format!("/flows/{flow}/trigger-batch");
        rate(batch_of(&app, &path, 0..2, 2..3).await, "limits.rows_per_minute");
        let ana = logged_in(&app).await;
        let rows: Value = (100..120).map(|n| json!({"phone": format!("+1415{n:07}")})).collect();
        assert_eq!(started(ana.post(&path, &rows).await), 20, "a person who is logged in");
        app.send(Method::PUT, "/settings", &[], Some(&json!({"limits.rows_per_minute": 4}))).await.expect(200);
        assert_eq!(started(batch(&app, flow, None, 2..4).await), 2);
        rate(batch(&app, flow, None, 4..5).await, "limits.rows_per_minute");
        let off = json!({"limits.rows_per_minute": 0, "limits.bytes_per_minute": "0"});
        app.send(Method::PUT, "/settings", &[], Some(&off)).await.expect(200);
        assert_eq!(started(batch(&app, flow, None, 4..40).await), 36);
        let wrong = json!({"limits.bytes_per_minute": "lots", "limits.flows": -1});
        let body = app.send(Method::PUT, "/settings", &[], Some(&wrong)).await.expect(422);
        assert!(body["errors"]["limits.bytes_per_minute"][0].as_str().unwrap().contains("is not a size"), "{body}");
        assert!(body["errors"]["limits.flows"].is_array(), "{body}");
        app.stop().await;
    })
    .await;
}

/// Sends a batch that passes, and gives the answer to another one.
async fn batch_of(app: &TestApp, path: &str, first: std::ops::Range<usize>, then: std::ops::Range<usize>) -> Answer {
    let rows =
        |rows: std::ops::Range<usize>| -> Value { rows.map(|n| json!({"phone": format!("+1415{n:07}")})).collect() };
    let count = first.len() as u64;
    assert_eq!(started(send(app, path, None, &rows(first)).await), count);
    send(app, path, None, &rows(then)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_refused_are_seen_with_their_token() {
    local(async {
        let app = start(|limits| limits.requests_per_minute = 2).await;
        let flow = app.publish(&question(30)).await;
        for (n, status) in [(0, 201), (1, 201), (2, 429), (3, 429)] {
            assert_eq!(trigger(&app, flow, None, n, 0).await.status, status);
        }
        let shown = refused(&app, Scope::Trigger).await;
        assert_eq!((&shown["count"], &shown["limit"]), (&json!(2), &json!("limits.requests_per_minute")));
        assert!(shown["last_at"].is_string());
        app.stop().await;
    })
    .await;
}
