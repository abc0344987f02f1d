//! `POST /flows/import` and `/flows/{id}/publish`.

use serde_json::json;
use testkit::app::{PHONE, TestApp, local, question};

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
        document["nodes"][0]["text"] = json!("Another question?");
        let again = app.post("/flows/import?publish=true", &document).await.expect(200);
        assert_eq!((&again["status"], &again["published_version"]), (&json!("published"), &json!(2)));
        assert_eq!((&again["unchanged"], &replaced["unchanged"]), (&json!(false), &json!(null)));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_live_already_makes_no_version() {
    local(async {
        let app = TestApp::start().await;
        let mut document = question(30);
        let id = "01936b1e-7c6a-7000-8000-0000000000ab";
        document["id"] = json!(id);
        let flow = app.post("/flows/import?publish=true", &document).await.expect(201);
        assert_eq!(flow["unchanged"], false);
        let versions = format!("/flows/{id}/versions");
        let publish = format!("/flows/{id}/publish");
        app.advance(60);
        let rows = app.rows();
        // The same in another order of keys.
        let mut turned = serde_json::Map::new();
        for (key, value) in document.as_object().unwrap().iter().rev() {
            turned.insert(key.clone(), value.clone());
        }
        let turned = json!(turned);
        assert_ne!(turned.to_string(), document.to_string());
        for document in [&document, &turned] {
            let again = app.post("/flows/import?publish=true", document).await.expect(200);
            assert_eq!((&again["unchanged"], &again["published_version"]), (&json!(true), &json!(1)));
            assert_eq!((&again["revision"], &again["has_changes"]), (&flow["revision"], &json!(false)));
            let published = app.post(&publish, &json!({"note": "again", "force": true})).await.expect(200);
            assert_eq!((&published["unchanged"], &published["version"]), (&json!(true), &json!(1)));
            assert_eq!(published["published_at"], flow["published_at"], "that of the version that is live");
        }
        assert_eq!(app.rows(), rows, "nothing has changed");
        // A draft that only looks different.
        let draft = app.post("/flows/import", &turned).await.expect(200);
        assert_eq!(draft["has_changes"], true);
        assert_eq!(app.post(&publish, &json!({})).await.expect(200)["unchanged"], true);
        assert_eq!(app.get(&format!("/flows/{id}")).await.expect(200)["has_changes"], false);
        // A draft that is another, over which what is live is imported.
        let mut other = document.clone();
        other["nodes"][0]["text"] = json!("Else?");
        app.post("/flows/import", &other).await.expect(200);
        let back = app.post("/flows/import?publish=true", &document).await.expect(200);
        assert_eq!((&back["unchanged"], &back["has_changes"]), (&json!(true), &json!(false)));
        assert_eq!(back["document"]["nodes"][0]["text"], document["nodes"][0]["text"]);
        assert_eq!(app.get(&versions).await.expect(200)["data"].as_array().unwrap().len(), 1);
        // What was withdrawn is not live.
        app.post(&format!("/flows/{id}/unpublish"), &json!({})).await.expect(200);
        let anew = app.post(&publish, &json!({})).await.expect(200);
        assert_eq!((&anew["unchanged"], &anew["version"]), (&json!(false), &json!(2)));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_no_way_leads_to_have_to_be_accepted() {
    local(async {
        let app = TestApp::start().await;
        let mut document = question(30);
        for n in 1..=7 {
            let lost = json!({"id": format!("lost{n}"), "type": "end"});
            document["nodes"].as_array_mut().unwrap().push(lost);
        }
        let draft = app.post("/flows/import", &document).await.expect(201);
        let path = format!("/flows/{}/publish", draft["id"].as_str().unwrap());
        let rows = app.rows();
        let refused = app.post(&path, &json!({"force": true})).await.expect(422);
        assert_eq!(refused["error"], "No way leads to `lost1`, `lost2`, `lost3`, `lost4`, `lost5` and 2 more.");
        assert_eq!((&refused["accept"], &refused["problems"]), (&json!(["unreachable_node"]), &draft["problems"]));
        assert!(refused["hint"].as_str().unwrap().ends_with(r#"publish with "accept": ["unreachable_node"]."#));
        for (wrong, sentence) in [
            (
                json!(["no_entry_node"]),
                "`no_entry_node` is no warning that can be accepted; these are: `unreachable_node`.",
            ),
            (json!([1]), "The accept must be a list of names."),
            (json!("unreachable_node"), "The accept must be a list."),
        ] {
            let refused = app.post(&path, &json!({"accept": wrong})).await.expect(422);
            assert_eq!(refused["errors"]["accept"][0], sentence);
        }
        let refused = app.post("/flows/import?publish=true", &document).await.expect(422);
        assert_eq!(refused["accept"], json!(["unreachable_node"]));
        assert_eq!(app.rows(), rows, "nothing was published");
        let accepted = app.post(&path, &json!({"accept": ["unreachable_node"]})).await.expect(200);
        assert_eq!((&accepted["version"], &accepted["problems"]), (&json!(1), &draft["problems"]));
        assert_eq!(app.post(&path, &json!({})).await.expect(200)["unchanged"], true, "what is live needs no leave");
        document["id"] = draft["id"].clone();
        document["name"] = json!("Another");
        let imported = app.post("/flows/import?publish=true&accept=unreachable_node", &document).await.expect(200);
        assert_eq!(imported["published_version"], 2);
        // Errors come first.
        document["entry_node"] = json!("gone");
        document["nodes"][0]["exits"] = json!({"reply": "nowhere"});
        let refused = app.post("/flows/import?publish=true", &document).await.expect(422);
        assert_eq!((&refused["accept"], &refused["hint"]), (&json!(null), &json!(null)), "{refused}");
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
