//! `POST /flows/import` and `/flows/{id}/publish`.

use serde_json::json;

use crate::support::{PHONE, TestApp, local, question};

#[tokio::test(flavor = "multi_thread")]
async fn import_creates_then_replaces_and_publish_makes_versions() {
    local(async {
        let app = TestApp::start().await;
        let mut document = question(30);
        document["id"] = json!("01936b1e-7c6a-7000-8000-0000000000aa");
        let created = app.post("/flows/import", &document).await.expect(201);
        assert_eq!(
            (&created["id"], &created["status"], &created["revision"]),
            (&document["id"], &json!("draft"), &json!(1))
        );
        let replaced = app.post("/flows/import", &document).await.expect(200);
        assert_eq!((&replaced["revision"], &replaced["published_version"]), (&json!(2), &json!(null)));
        let path = format!("/flows/{}/publish", document["id"].as_str().unwrap());
        let first = app.post(&path, &json!({"note": "first"})).await.expect(200);
        assert_eq!((&first["version"], &first["published_at"]), (&json!(1), &json!("2026-05-07T08:00:00+00:00")));
        let again = app.post("/flows/import?publish=true", &document).await.expect(200);
        assert_eq!((&again["status"], &again["published_version"]), (&json!("published"), &json!(2)));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_say_where_and_what() {
    local(async {
        let app = TestApp::start().await;
        let document = json!({
            "schema_version": 1, "name": "Broken", "entry_node": "a",
            "nodes": [{"id": "a", "type": "send_message", "text": "{{cart}}", "exits": {"next": "b"}}]
        });
        let draft = app.post("/flows/import", &document).await.expect(201);
        let problems = draft["problems"].as_array().unwrap();
        assert_eq!(problems[0]["id"], "unknown_template_root");
        assert_eq!((&problems[1]["id"], &problems[1]["field"]), (&json!("unknown_exit_target"), &json!("exits.next")));
        assert_eq!(problems[0]["node"], "a");
        let path = format!("/flows/{}/publish", draft["id"].as_str().unwrap());
        let refused = app.post(&path, &json!({"force": true})).await.expect(422);
        assert_eq!(refused["problems"], draft["problems"]);
        assert_eq!(refused["error"], "The flow has 2 problems to mend.");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_document_is_taken_and_a_sequence_takes_no_flows_place() {
    local(async {
        let app = TestApp::start().await;
        let mut document = question(30);
        document["ui"] = json!({"note": "x".repeat(900 * 1024)});
        let flow = app.publish(&document).await;
        app.trigger(flow, PHONE).await.expect(201);
        document["ui"] = json!({"note": "x".repeat(1024 * 1024)});
        assert_eq!(app.post("/flows/import", &document).await.expect(422)["problems"][0]["id"], "document_too_large");
        let mut sequence = question(30);
        sequence["id"] = json!(flow);
        sequence["kind"] = json!("sequence");
        app.post("/flows/import", &sequence).await.expect(409);
        app.stop().await;
    })
    .await;
}
