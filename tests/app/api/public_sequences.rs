//! Sequences over the public API: started, looked up, ended, and what they say days later.

use qyvo::domain::FlowId;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question};

const THREE_DAYS: u64 = 3 * 24 * 3600;

/// Greets, and asks three days later.
fn welcome() -> Value {
    json!({"schema_version": 1, "kind": "sequence", "name": "Welcome", "entry_node": "hello", "nodes": [
        {"id": "hello", "type": "send_message", "text": "Hello", "exits": {"next": "later"}},
        {"id": "later", "type": "delay", "seconds": THREE_DAYS, "exits": {"next": "ask"}},
        {"id": "ask", "type": "ask", "text": "How is it going?"}
    ]})
}

fn start(sequence: FlowId) -> Value {
    json!({"sequence_id": sequence, "phone": PHONE, "context": {}})
}

fn keys(body: &Value) -> Vec<&str> {
    body.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_starts_once_and_goes_on_after_days_and_a_restart() {
    local(async {
        let app = TestApp::start().await;
        let sequence = app.publish(&welcome()).await;
        let started = app.post("/actions/trigger-sequence", &start(sequence)).await.expect(201);
        assert_eq!(keys(&started), ["id", "status", "sequence_id", "sequence_name", "contact_id"]);
        assert_eq!((&started["status"], &started["sequence_name"]), (&json!("started"), &json!("Welcome")));
        let again = app.post("/actions/trigger-sequence", &start(sequence)).await.expect(200);
        assert_eq!(keys(&again), keys(&started));
        assert_eq!((&again["status"], &again["id"]), (&json!("already_running"), &started["id"]));
        assert_eq!(app.session(&started["id"]).await["expires_at"], Value::Null);

        app.advance(THREE_DAYS / 2);
        let clock = app.clock.clone();
        let folder = app.stop().await;
        let app = TestApp::start_in(folder, clock, |_| {}).await;
        app.advance(THREE_DAYS / 2 - 1);
        assert_eq!(app.runtime.run_due().await.unwrap(), 0);
        assert_eq!(app.talk(&started["contact_id"]).await, ["out Hello [simulated]"]);
        app.advance(1);
        app.runtime.run_due().await.unwrap();
        let said = ["out Hello [simulated]", "out How is it going? [simulated]"];
        assert_eq!(app.talk(&started["contact_id"]).await, said);
        // Weeks of silence do not end it.
        app.advance(30 * THREE_DAYS);
        app.runtime.run_due().await.unwrap();
        assert_eq!(app.session(&started["id"]).await["status"], "running");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_is_no_flow_and_a_flow_no_sequence() {
    local(async {
        let app = TestApp::start().await;
        let (sequence, flow) = (app.publish(&welcome()).await, app.publish(&question(30)).await);
        let before = app.rows();
        for (path, body, error) in [
            ("/actions/trigger-sequence", start(flow), "Sequence not found or not published"),
            ("/actions/trigger-flow", json!({"flow_id": sequence, "phone": PHONE}), "Flow not found or not published"),
            ("/actions/get-sequence", json!({"sequence_id": flow}), "Sequence not found"),
            ("/actions/get-flow", json!({"flow_id": sequence}), "Flow not found"),
        ] {
            assert_eq!(app.post(path, &body).await.expect(404)["error"], error, "{path}");
        }
        for (path, key) in [
            ("/actions/trigger-sequence", "sequence_id"),
            ("/actions/get-sequence", "sequence_id"),
            ("/actions/get-flow", "flow_id"),
        ] {
            for body in [json!({"phone": PHONE}), json!({"phone": PHONE, key: "x"}), json!({"phone": PHONE, key: ""})] {
                let refused = app.post(path, &body).await.expect(422);
                assert!(refused["errors"][key].is_array(), "{path} {body} {refused}");
            }
        }
        assert_eq!(app.rows(), before);
        let kinds = |list: Value| -> Vec<Value> {
            list["data"].as_array().unwrap().iter().map(|flow| flow["id"].clone()).collect()
        };
        assert_eq!(kinds(app.get("/flows?kind=sequence").await.expect(200)), [json!(sequence)]);
        assert_eq!(kinds(app.get("/flows?kind=flow").await.expect(200)), [json!(flow)]);
        assert_eq!(kinds(app.get("/flows?kind=").await.expect(200)).len(), 2);
        app.get("/flows?kind=poem").await.expect(422);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_up_counts_all_that_ever_started() {
    local(async {
        let app = TestApp::start().await;
        let sequence = app.publish(&welcome()).await;
        app.post("/actions/trigger-sequence", &start(sequence)).await.expect(201);
        let restart = json!({"sequence_id": sequence, "phone": PHONE, "on_running": "restart"});
        app.post("/actions/trigger-sequence", &restart).await.expect(201);
        let body = json!({"sequence_id": sequence});
        let found = app.post("/actions/get-sequence", &body).await.expect(200);
        assert_eq!(keys(&found), ["id", "name", "status", "sessions_count", "published_at", "created_at"]);
        assert_eq!((&found["status"], &found["sessions_count"]), (&json!("published"), &json!(2)));

        app.post(&format!("/flows/{sequence}/unpublish"), &json!({})).await.expect(200);
        let draft = app.post("/actions/get-sequence", &body).await.expect(200);
        assert_eq!((&draft["status"], &draft["published_at"]), (&json!("draft"), &Value::Null));

        let mut document = question(30);
        let flow = app.publish(&document).await;
        let body = json!({"flow_id": flow});
        let found = app.post("/actions/get-flow", &body).await.expect(200);
        assert_eq!(
            keys(&found),
            ["id", "name", "status", "sessions_count", "published_at", "created_at", "trigger_type"]
        );
        assert_eq!((&found["trigger_type"], &found["sessions_count"]), (&json!("manual"), &json!(0)));
        document["id"] = json!(flow);
        document["settings"]["keywords"] = json!(["coffee"]);
        app.publish(&document).await;
        assert_eq!(app.post("/actions/get-flow", &body).await.expect(200)["trigger_type"], "keyword");
        app.post(&format!("/flows/{flow}/unpublish"), &json!({})).await.expect(200);
        let draft = app.post("/actions/get-flow", &body).await.expect(200);
        assert_eq!((&draft["status"], &draft["published_at"]), (&json!("draft"), &Value::Null));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_is_cancelled_by_its_own_key() {
    local(async {
        let app = TestApp::start().await;
        let sequence = app.publish(&welcome()).await;
        let cancel = json!({"sequence_id": sequence, "phone": PHONE});
        assert_eq!(app.post("/actions/cancel-flow", &cancel).await.expect(200), json!({"status": "not_running"}));
        let started = app.post("/actions/trigger-sequence", &start(sequence)).await.expect(201);
        let cancelled = app.post("/actions/cancel-flow", &cancel).await.expect(200);
        assert_eq!(cancelled, json!({"id": started["id"], "status": "cancelled"}));
        let nobody = json!({"sequence_id": started["id"], "phone": PHONE});
        assert_eq!(app.post("/actions/cancel-flow", &nobody).await.expect(404)["error"], "Sequence not found");
        let both = json!({"sequence_id": sequence, "flow_id": sequence, "phone": PHONE});
        assert!(app.post("/actions/cancel-flow", &both).await.expect(422)["errors"]["sequence_id"].is_array());
        let neither = app.post("/actions/cancel-flow", &json!({"phone": PHONE, "flow_id": ""})).await.expect(422);
        assert!(neither["errors"]["flow_id"].is_array());
        app.advance(2 * THREE_DAYS);
        app.runtime.run_due().await.unwrap();
        assert_eq!(app.talk(&started["contact_id"]).await, ["out Hello [simulated]"]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_for_a_sequence_starts_sequences_under_their_own_keys() {
    local(async {
        let app = TestApp::start().await;
        let (sequence, flow) = (app.publish(&welcome()).await, app.publish(&question(30)).await);
        let rows = json!([
            {"phone": PHONE},
            {"phone": PHONE, "sequence_id": sequence},
            {"phone": "+14155550199", "sequence_id": flow},
        ]);
        let headers = [("Idempotency-Key", "batch-1")];
        let path = format!("/flows/{sequence}/trigger-batch");
        let body = app.send(reqwest::Method::POST, &path, &headers, Some(&rows)).await.expect(200);
        assert_eq!([&body["started"], &body["already_running"], &body["failed"]], [1, 1, 1], "{body}");
        let first = &body["results"][0];
        assert_eq!(keys(first), ["index", "code", "id", "status", "sequence_id", "sequence_name", "contact_id"]);
        assert_eq!((&first["sequence_id"], &first["sequence_name"]), (&json!(sequence), &json!("Welcome")));
        assert_eq!(body["results"][1]["id"], first["id"]);
        let refused = &body["results"][2]["errors"]["sequence_id"][0];
        assert_eq!(refused, "The sequence id must be that of the path, or be left out.");
        assert_eq!(app.count("sessions"), 1, "nobody was put into the flow");
        // The kind is kept with the key.
        let again = app.send(reqwest::Method::POST, &path, &headers, Some(&rows)).await.expect(200);
        assert_eq!((&again["results"][0]["id"], &again["results"][0]["replayed"]), (&first["id"], &json!(true)));
        assert_eq!(app.count("sessions"), 1);
        app.stop().await;
    })
    .await;
}
