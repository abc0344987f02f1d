//! `POST /actions/trigger-flow` and `/cancel-flow`: starting, not starting twice, ending.

use futures::future::join_all;
use serde_json::json;
use testkit::app::{PHONE, TestApp, local, question};

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_triggers_at_once_start_one_session() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let body = json!({"flow_id": flow, "phone": PHONE}).to_string();
        let answers = join_all((0..64).map(|worker| {
            let (app, body) = (&app, &body);
            async move {
                // One connection each, and 200 requests over all of them.
                let client = reqwest::Client::new();
                let mut answers = Vec::new();
                for _ in (worker..200).step_by(64) {
                    let request = client
                        .post(format!("{}/api/v1/actions/trigger-flow", app.base))
                        .bearer_auth(testkit::app::secret(qyvo::store::tokens::Scope::Trigger))
                        .header("Content-Type", "application/json")
                        .body(body.clone());
                    let response = request.send().await.unwrap();
                    let status = response.status().as_u16();
                    answers.push((status, response.json::<serde_json::Value>().await.unwrap()));
                }
                answers
            }
        }))
        .await
        .concat();
        assert_eq!(answers.len(), 200);
        let started: Vec<_> = answers.iter().filter(|(status, _)| *status == 201).collect();
        assert_eq!(started.len(), 1);
        let id = &started[0].1["id"];
        for (status, body) in answers.iter().filter(|(status, _)| *status != 201) {
            assert_eq!((*status, &body["status"], &body["id"]), (200, &json!("already_running"), id));
        }
        assert_eq!(app.count("sessions"), 1);
        assert_eq!(app.session(id).await["status"], "running");
        assert_eq!(app.talk(&started[0].1["contact_id"]).await, ["out Tea or coffee? [simulated]"]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_have_the_documented_keys() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let first = app.trigger(flow, PHONE).await.expect(201);
        let keys: Vec<_> = first.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["id", "status", "flow_id", "flow_name", "contact_id"]);
        assert_eq!((&first["status"], &first["flow_name"]), (&json!("started"), &json!("Question")));
        let again = app.trigger(flow, PHONE).await.expect(200);
        assert_eq!(again["status"], "already_running");
        assert_eq!(again["id"], first["id"]);
        let by_id = json!({"flow_id": flow, "contact_id": first["contact_id"], "phone": ""});
        assert_eq!(app.post("/actions/trigger-flow", &by_id).await.expect(200)["id"], first["id"]);
        let both = json!({"flow_id": flow, "contact_id": first["contact_id"], "phone": "0014155550123", "context": {}});
        assert_eq!(app.post("/actions/trigger-flow", &both).await.expect(200)["id"], first["id"]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_number_however_it_is_written_is_one_contact() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let mut contacts = Vec::new();
        for phone in ["+1 (415) 555-0123", "0014155550123", "+14155550123"] {
            contacts.push(app.trigger(flow, phone).await.body["contact_id"].clone());
        }
        assert!(contacts[0].is_string());
        assert!(contacts.iter().all(|contact| *contact == contacts[0]));
        let before = app.rows();
        for phone in ["12", "+", "call me", "4155550123", "+1234567890123456"] {
            let refused = app.trigger(flow, phone).await.expect(422);
            assert_eq!(refused["message"], "The given data was invalid.");
            let sentence = refused["errors"]["phone"][0].as_str().unwrap();
            assert!(sentence.starts_with("The phone must be a phone number"), "{phone}: {sentence}");
        }
        assert_eq!(app.rows(), before);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_running_returns_restarts_or_fails() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let first = app.trigger(flow, PHONE).await.expect(201);
        let with = |word: &str| json!({"flow_id": flow, "phone": PHONE, "on_running": word, "context": {"n": 2}});
        assert_eq!(app.post("/actions/trigger-flow", &with("return")).await.expect(200)["id"], first["id"]);
        let failed = app.post("/actions/trigger-flow", &with("fail")).await.expect(409);
        assert_eq!(failed["id"], first["id"]);
        assert_eq!(app.session(&first["id"]).await["context"], json!({}), "a second context is dropped");
        let second = app.post("/actions/trigger-flow", &with("restart")).await.expect(201);
        assert_ne!(second["id"], first["id"]);
        let ended = app.session(&first["id"]).await;
        assert_eq!((&ended["status"], &ended["reason"]), (&json!("cancelled"), &json!("restarted")));
        assert_eq!(app.session(&second["id"]).await["context"], json!({"n": 2}));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_period_keeps_a_flow_from_starting_again() {
    local(async {
        let app = TestApp::start().await;
        let mut document = question(30);
        document["settings"]["quiet_period_minutes"] = json!(10);
        let flow = app.publish(&document).await;
        let first = app.trigger(flow, PHONE).await.expect(201);
        app.say(PHONE, "tea").await;
        app.advance(599);
        let quiet = app.trigger(flow, PHONE).await.expect(200);
        assert_eq!(
            (&quiet["status"], &quiet["id"], &quiet["ended"]),
            (&json!("already_running"), &first["id"], &json!(true))
        );
        let fail = json!({"flow_id": flow, "phone": PHONE, "on_running": "fail"});
        assert_eq!(app.post("/actions/trigger-flow", &fail).await.expect(200), quiet, "nothing is running");
        app.advance(1);
        assert_ne!(app.trigger(flow, PHONE).await.expect(201)["id"], first["id"]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_replays_its_answer() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let body = json!({"flow_id": flow, "phone": PHONE});
        let send = |key: &'static str, body: serde_json::Value| {
            let app = &app;
            async move { app.post_with_key("/actions/trigger-flow", key, &body).await }
        };
        // Duplicates in flight wait for the first and replay it.
        let answers = join_all((0..20).map(|_| send("order-1", body.clone()))).await;
        let replayed = answers.iter().filter(|answer| answer.header("Idempotency-Replayed") == Some("true")).count();
        assert_eq!(replayed, 19);
        let first = answers[0].body.clone();
        assert!(answers.iter().all(|answer| answer.status == 201 && answer.body == first), "{answers:?}");
        // It is replayed even after the session has ended, where a retry without a key starts anew.
        app.say(PHONE, "tea").await;
        assert_eq!(send("order-1", body.clone()).await.body, first);
        assert_ne!(app.post("/actions/trigger-flow", &body).await.expect(201)["id"], first["id"]);
        // Another body under the same key is refused and changes nothing.
        let before = app.rows();
        let other = send("order-1", json!({"flow_id": flow, "phone": "+4915112345678"})).await;
        assert!(other.expect(422)["error"].as_str().unwrap().contains("another body"));
        assert_eq!(app.rows(), before);
        // The key belongs to its route, and to its day.
        let cancel = app.post_with_key("/actions/cancel-flow", "order-1", &body).await;
        assert_eq!((cancel.header("Idempotency-Replayed"), &cancel.body["status"]), (None, &json!("cancelled")));
        app.advance(24 * 3600);
        let next_day = send("order-1", body.clone()).await;
        assert_eq!((next_day.status.as_u16(), next_day.header("Idempotency-Replayed")), (201, None));
        // A refusal is not kept: what was wrong may be mended.
        let unknown = json!({"flow_id": "01936b1e-7c6a-7000-8000-000000000001", "phone": PHONE});
        assert_eq!(send("order-2", unknown.clone()).await.status, 404);
        assert_eq!(send("order-2", body.clone()).await.status, 200);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_ends_the_live_session() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let body = json!({"flow_id": flow, "phone": PHONE, "reason": "paid"});
        assert_eq!(app.post("/actions/cancel-flow", &body).await.expect(200), json!({"status": "not_running"}));
        let session = app.trigger(flow, PHONE).await.expect(201);
        let cancelled = app.post("/actions/cancel-flow", &body).await.expect(200);
        assert_eq!(cancelled, json!({"id": session["id"], "status": "cancelled"}));
        let ended = app.session(&session["id"]).await;
        assert_eq!(
            (&ended["status"], &ended["reason"], &ended["wake_at"]),
            (&json!("cancelled"), &json!("paid"), &json!(null))
        );
        assert_eq!(app.post("/actions/cancel-flow", &body).await.expect(200)["status"], "not_running");
        assert_eq!(app.say(PHONE, "tea").await["handled"], "unrouted");
        app.advance(3600);
        assert_eq!(app.runtime.run_due().await.unwrap(), 0, "its timers are gone");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_stays_on_its_version() {
    local(async {
        let app = TestApp::start().await;
        let mut document = question(30);
        let flow = app.publish(&document).await;
        let old = app.trigger(flow, PHONE).await.expect(201);
        document["id"] = json!(flow);
        document["nodes"][1]["text"] = json!("New words");
        assert_eq!(app.publish(&document).await, flow);
        let new = app.trigger(flow, "+4915112345678").await.expect(201);
        app.say(PHONE, "tea").await;
        app.say("+4915112345678", "tea").await;
        assert_eq!(app.session(&old["id"]).await["version"], 1);
        assert_eq!(app.session(&new["id"]).await["version"], 2);
        assert_eq!(app.talk(&old["contact_id"]).await[2], "out Coming up: tea [simulated]");
        assert_eq!(app.talk(&new["contact_id"]).await[2], "out New words [simulated]");
        app.stop().await;
    })
    .await;
}
