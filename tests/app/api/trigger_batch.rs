//! `POST /flows/{id}/trigger-batch`: a flow for many contacts, an answer for each row.

use std::cell::Cell;

use futures::future::{Either, join, select};
use qyvo::domain::FlowId;
use qyvo::store::tokens::Scope;
use serde_json::{Value, json};
use testkit::app::{Answer, PHONE, TestApp, local, question, read, secret};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const LINES: &str = "application/x-ndjson";

/// Sends a batch as the trigger scope may.
async fn send(app: &TestApp, flow: FlowId, headers: &[(&str, &str)], body: String) -> Answer {
    let url = format!("{}/api/v1/flows/{flow}/trigger-batch", app.base);
    let mut request = app.client.post(url).bearer_auth(secret(Scope::Trigger)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    read(request).await
}

async fn array(app: &TestApp, flow: FlowId, rows: &Value) -> Answer {
    send(app, flow, &[("Content-Type", "application/json")], rows.to_string()).await
}

async fn with_key(app: &TestApp, flow: FlowId, key: &str, rows: &Value) -> Answer {
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
    send(app, flow, &headers, rows.to_string()).await
}

fn phones(from: usize, to: usize) -> Value {
    (from..to).map(|n| json!({"phone": format!("+1415{n:07}")})).collect()
}

/// Counts the sessions, past the server.
fn count_of_sessions(app: &TestApp) -> impl Fn() -> i64 + use<> {
    let conn = rusqlite::Connection::open(app.folder.path().join("qyvo.db")).unwrap();
    move || conn.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0)).unwrap()
}

fn counts(body: &Value) -> [u64; 3] {
    ["started", "already_running", "failed"].map(|key| body[key].as_u64().unwrap())
}

fn codes(body: &Value) -> Vec<u64> {
    body["results"].as_array().unwrap().iter().map(|row| row["code"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_is_answered_as_a_request_of_its_own() {
    local(async {
        let app = TestApp::start().await;
        let mut document = question(30);
        document["inputs"] = json!([{"name": "cart", "type": "string"}]);
        let flow = app.publish(&document).await;
        let live = app.trigger(flow, PHONE).await.expect(201);
        let other = "01936b1e-7c6a-7000-8000-000000000001";
        let rows = json!([
            {"phone": "+14155550001", "context": {"cart": "1"}},
            {"phone": PHONE, "context": {"cart": "2"}},
            {"phone": "+1 (415) 555-0001"},
            {"phone": "12"},
            {"contact_id": other},
            {},
            {"phone": PHONE, "on_running": "fail"},
            {"phone": PHONE, "on_running": "restart", "flow_id": flow},
            {"phone": "+14155550002", "flow_id": other},
            {"phone": "+14155550003", "context": {"cart": 3}},
            {"phone": "+14155550004", "context": {"cart": "x".repeat(65 * 1024)}},
            7,
            {"contact_id": live["contact_id"], "phone": "", "context": [], "unknown": true},
        ]);
        let body = array(&app, flow, &rows).await.expect(200);
        assert_eq!(codes(&body), [201, 200, 200, 422, 404, 422, 409, 201, 422, 422, 422, 422, 200]);
        assert_eq!(counts(&body), [2, 3, 8]);
        let row = |index: usize| &body["results"][index];
        for (index, row) in body["results"].as_array().unwrap().iter().enumerate() {
            assert_eq!(row["index"], index);
        }
        let keys: Vec<_> = row(0).as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["index", "code", "id", "status", "flow_id", "flow_name", "contact_id"]);
        assert_eq!(app.session(&row(0)["id"]).await["context"], json!({"cart": "1"}));
        assert_eq!((&row(1)["status"], &row(1)["id"]), (&json!("already_running"), &live["id"]));
        assert_eq!(row(2)["id"], row(0)["id"], "the same person twice in one batch");
        assert_eq!(row(3)["message"], "The given data was invalid.");
        assert!(row(3)["errors"]["phone"][0].is_string());
        assert_eq!(row(4)["error"], "Contact not found");
        assert!(row(5)["errors"]["contact_id"].is_array() && row(5)["errors"]["phone"].is_array());
        assert_eq!(row(6)["id"], live["id"]);
        assert_ne!(row(7)["id"], live["id"]);
        assert!(row(8)["errors"]["flow_id"][0].as_str().unwrap().contains("path"));
        assert!(row(9)["errors"]["context.cart"].is_array());
        assert!(row(10)["errors"]["context"][0].as_str().unwrap().contains("65536"));
        assert_eq!(row(11)["errors"]["row"][0], "The row must be a JSON object.");
        assert_eq!(row(12)["id"], row(7)["id"]);
        // The live one, the first row's, and the one that took the live one's place.
        assert_eq!((app.count("sessions"), app.count("contacts")), (3, 2), "bad rows leave nothing");
        assert_eq!(app.count("idempotency_keys"), 0);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_come_in_and_go_out() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let body = format!("\u{feff}{{\"phone\":\"{PHONE}\"}}\r\n\r\n{{\"phone\": \n  {{\"phone\":\"{PHONE}\"}}");
        let headers = [("Content-Type", "application/x-ndjson; charset=utf-8"), ("Accept", "application/x-ndjson")];
        let answer = send(&app, flow, &headers, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some(LINES)));
        let lines: Vec<Value> =
            answer.body.as_str().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(
            lines.iter().map(|line| line["code"].as_u64()).collect::<Vec<_>>(),
            [Some(201), Some(400), Some(200), None]
        );
        assert!(lines[1]["error"].as_str().unwrap().contains("not valid JSON"));
        assert_eq!(lines[3], json!({"started": 1, "already_running": 1, "failed": 1}));
        let answer = send(&app, flow, &[("Content-Type", "application/jsonl")], body).await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(counts(&answer.body), [0, 2, 1], "JSON unless lines are asked for");
        let empty = send(&app, flow, &[("Content-Type", LINES)], "\n".to_owned()).await.expect(200);
        assert_eq!(empty, json!({"started": 0, "already_running": 0, "failed": 0, "results": []}));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_whole_changes_nothing() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let draft = app.post("/flows/import", &question(30)).await.expect(201)["id"].as_str().unwrap().parse().unwrap();
        let before = app.rows();
        let row = json!([{"phone": PHONE}]);
        let missing: FlowId = "01936b1e-7c6a-7000-8000-000000000001".parse().unwrap();
        for flow in [missing, draft] {
            assert_eq!(array(&app, flow, &row).await.expect(404)["error"], "Flow not found or not published");
        }
        let path = "/flows/nonsense/trigger-batch";
        assert_eq!(app.post(path, &row).await.expect(404)["error"], "Flow not found or not published");
        for (body, status) in [("[{\"phone\": \"+14155550123\"}", 400), ("[1,]", 400), ("{}", 422), ("", 400)] {
            let answer = send(&app, flow, &[("Content-Type", "application/json")], body.to_owned()).await;
            assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.body);
        }
        let typed = send(&app, flow, &[("Content-Type", "text/csv")], row.to_string()).await.expect(415);
        assert!(typed["hint"].as_str().unwrap().contains(LINES));
        let many: Value = (0..10_001).map(|_| json!({"phone": PHONE})).collect();
        let refused = array(&app, flow, &many).await.expect(422);
        assert!(refused["errors"]["body"][0].as_str().unwrap().contains("10000 rows"), "{refused}");
        let large = format!("[{}]", " ".repeat(16 * 1024 * 1024));
        send(&app, flow, &[("Content-Type", "application/json")], large).await.expect(413);
        app.runtime.measure_room(u64::MAX).unwrap();
        assert_eq!(array(&app, flow, &row).await.header("retry-after"), Some("1"));
        app.runtime.measure_room(0).unwrap();
        let url = format!("{}/api/v1/flows/{flow}/trigger-batch", app.base);
        assert_eq!(read(app.client.post(url).json(&row)).await.status.as_u16(), 401);
        assert_eq!(app.rows(), before);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_replays_each_row() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let other = app.publish(&question(30)).await;
        let rows = json!([{"phone": PHONE}, {"phone": "12"}, {"phone": "+14155550199"}]);
        let first = with_key(&app, flow, "campaign-7", &rows).await;
        assert_eq!((first.header("idempotency-replayed"), codes(&first.body)), (None, vec![201, 422, 201]));
        // Over by now: without the key this would start a second session.
        app.say(PHONE, "tea").await;
        let rows_before = app.rows();
        let again = with_key(&app, flow, "campaign-7", &rows).await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(codes(&again.body), [201, 422, 201]);
        assert_eq!(again.body["results"][0]["id"], first.body["results"][0]["id"]);
        let replayed: Vec<_> =
            again.body["results"].as_array().unwrap().iter().map(|row| row["replayed"] == true).collect();
        assert_eq!(replayed, [true, false, true], "what was refused is decided anew");
        let reused = with_key(&app, flow, "campaign-7", &json!([{"phone": "+14155550200"}])).await.expect(422);
        assert_eq!(reused["error"], "This Idempotency-Key was used with another body.");
        let reused = with_key(&app, other, "campaign-7", &rows).await.expect(422);
        assert_eq!(reused["error"], "This Idempotency-Key was used with another body.", "the flow is asked for, too");
        assert_eq!(app.rows(), rows_before);
        let alone = json!({"flow_id": other, "phone": PHONE});
        let alone = app.post_with_key("/actions/trigger-flow", "0#campaign-7", &alone);
        alone.await.expect(201);
        assert_eq!(codes(&array(&app, flow, &rows).await.body), [201, 422, 200], "no key, no replay");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_answered_while_a_batch_runs_and_rows_without_room_go_in_later() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let rows = phones(0, 2_000);
        let is_over = Cell::new(false);
        let batch = async {
            let answer = with_key(&app, flow, "many", &rows).await;
            is_over.set(true);
            answer.expect(200)
        };
        let others = async {
            let mut answered = 0_u16;
            while !is_over.get() {
                app.trigger(flow, &format!("+1416{answered:07}")).await.expect(201);
                answered += 1;
            }
            answered
        };
        let (body, answered) = join(batch, others).await;
        assert_eq!(counts(&body), [2_000, 0, 0]);
        // Whoever waits for 64 rows at the most is answered 30 times meanwhile; one that stands behind the batch, once.
        assert!(answered >= 8, "{answered} others");

        // The disk fills up while the next one runs.
        let rows = phones(2_000, 4_000);
        let key = "more";
        let filling = async {
            let count = count_of_sessions(&app);
            while count() < 2_000 + i64::from(answered) + 100 {
                tokio::task::yield_now().await;
            }
            app.runtime.measure_room(u64::MAX).unwrap();
        };
        let (broken, ()) = join(with_key(&app, flow, key, &rows), filling).await;
        let broken = broken.expect(200);
        let [started, 0, failed] = counts(&broken) else { panic!("{:?}", counts(&broken)) };
        assert!(started >= 100 && failed > 0 && started + failed == 2_000, "{started} and {failed}");
        let refused = broken["results"].as_array().unwrap().iter().find(|row| row["code"] == 503).unwrap();
        assert!(refused["error"].as_str().unwrap().contains("disk") && refused["hint"].is_string(), "{refused}");
        app.runtime.measure_room(0).unwrap();
        let mended = with_key(&app, flow, key, &rows).await.expect(200);
        assert_eq!(counts(&mended), [2_000, 0, 0]);
        let replayed = mended["results"].as_array().unwrap().iter().filter(|row| row["replayed"] == true).count();
        assert_eq!(replayed as u64, started);
        assert_eq!(app.count("sessions"), 4_000 + usize::from(answered));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_has_the_limits_of_a_request_of_its_own() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        // Two bytes of text each, and many times that as values.
        let zeros = format!("{{\"phone\":\"{PHONE}\",\"context\":{{\"x\":[{}0]}}}}", "0,".repeat(1024 * 1024));
        let body = format!("{zeros}\n{{\"phone\":\"{PHONE}\"}}\n");
        let answer = send(&app, flow, &[("Content-Type", LINES)], body).await.expect(200);
        assert_eq!(codes(&answer), [413, 201]);
        let alone = send(&app, flow, &[("Content-Type", "application/json")], format!("[{zeros}]")).await.expect(200);
        assert_eq!(
            alone["results"][0],
            json!({"index": 0, "code": 413, "error": "The body has more than 262144 bytes."})
        );
        assert_eq!((app.count("sessions"), app.count("contacts")), (1, 1));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_another_flow_is_refused_whichever_key_names_it() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let mut document = question(30);
        document["kind"] = json!("sequence");
        let sequence = app.publish(&document).await;
        let rows = json!([
            {"phone": "+14155550001", "flow_id": flow},
            {"phone": "+14155550002", "sequence_id": sequence},
            {"phone": "+14155550003", "flow_id": flow, "sequence_id": sequence},
            {"phone": "+14155550004", "flow_id": "", "sequence_id": null},
            {"phone": "+14155550005", "flow_id": "nonsense"},
        ]);
        for (of, other, expected) in
            [(flow, "sequence_id", [201, 422, 422, 201, 422]), (sequence, "flow_id", [422, 201, 422, 201, 422])]
        {
            let body = array(&app, of, &rows).await.expect(200);
            assert_eq!(codes(&body), expected, "{body}");
            let refused = body["results"].as_array().unwrap().iter().filter(|row| row["code"] == 422).take(2);
            for row in refused {
                assert!(row["errors"][other][0].as_str().unwrap().contains("path"), "{row}");
            }
        }
        assert_eq!((app.count("sessions"), app.count("contacts")), (4, 3));
        let draft = app.post("/flows/import", &document).await.expect(201)["id"].as_str().unwrap().parse().unwrap();
        let refused = array(&app, draft, &rows).await.expect(404);
        assert_eq!(refused["error"], "Sequence not found or not published");
        assert!(refused["hint"].as_str().unwrap().contains("sequence_id"), "{refused}");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_is_passed_over_before_an_array() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let body = format!("\u{feff} [{{\"phone\":\"{PHONE}\"}}]");
        let answer = send(&app, flow, &[("Content-Type", "application/json")], body).await.expect(200);
        assert_eq!(counts(&answer), [1, 0, 0]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_send_slowly_keep_nobody_out() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let host = app.base.strip_prefix("http://").unwrap();
        let head = format!(
            "POST /api/v1/flows/{flow}/trigger-batch HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: 16000000\r\n\r\n[",
            secret(Scope::Trigger)
        );
        let mut slow = Vec::new();
        for _ in 0..20 {
            let mut stream = TcpStream::connect(host).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            slow.push(stream);
        }
        let body = array(&app, flow, &phones(0, 20)).await.expect(200);
        assert_eq!(counts(&body), [20, 0, 0]);
        drop(slow);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_and_sends_the_batch_again_triggers_nobody_twice() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let sessions = count_of_sessions(&app);
        let rows = phones(0, 5_000);
        let batch = Box::pin(with_key(&app, flow, "cut", &rows));
        let some = Box::pin(async {
            while sessions() < 100 {
                tokio::task::yield_now().await;
            }
        });
        match select(batch, some).await {
            Either::Left(_) => panic!("it was answered before anybody could hang up"),
            Either::Right(((), batch)) => drop(batch),
        }
        // The first may still be running: rows of both meet, and each person is asked once.
        let mended = with_key(&app, flow, "cut", &rows).await.expect(200);
        assert_eq!(counts(&mended), [5_000, 0, 0]);
        let replayed = mended["results"].as_array().unwrap().iter().filter(|row| row["replayed"] == true).count();
        assert!(replayed >= 100, "{replayed} rows were replayed");
        assert_eq!((sessions(), app.count("contacts")), (5_000, 5_000));
        app.stop().await;
    })
    .await;
}
