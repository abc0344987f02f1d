//! `/flows`: drafts, revisions, versions, and the end of a flow.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use qyvo::store::tokens::Scope;
use testkit::app::{Answer, PHONE, TestApp, local, question, read, secret};

fn path_of(flow: &Value) -> String {
    format!("/flows/{}", flow["id"].as_str().unwrap())
}

async fn put(app: &TestApp, flow: &Value, revision: &str, document: &Value) -> Answer {
    let headers = [("If-Match", revision)];
    app.send(Method::PUT, &path_of(flow), &headers, Some(&json!({"document": document}))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_authors_the_second_is_told_and_loses_nothing() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.post("/flows", &json!({"name": "Cart"})).await.expect(201);
        assert_eq!((&flow["status"], &flow["revision"], &flow["problems"]), (&json!("draft"), &json!(1), &json!([])));
        let read = app.get(&path_of(&flow)).await;
        assert_eq!(read.header("etag"), Some("\"1\""));
        let both_read = read.expect(200)["document"].clone();
        let (mut hers, mut his) = (both_read.clone(), both_read);
        hers["nodes"][0]["text"] = json!("Hers");
        his["nodes"][0]["text"] = json!("His");
        let saved = put(&app, &flow, "\"1\"", &hers).await;
        assert_eq!(saved.header("etag"), Some("\"2\""));
        assert_eq!(saved.expect(200)["updated_by"], "admin");
        let refused = put(&app, &flow, "\"1\"", &his).await.expect(412);
        assert_eq!((&refused["revision"], &refused["updated_by"]), (&json!(2), &json!("admin")));
        assert!(refused["error"].as_str().unwrap().contains("saved by admin"), "{refused}");
        let now = app.get(&path_of(&flow)).await.expect(200);
        assert_eq!((&now["document"], &now["revision"]), (&hers, &json!(2)), "nothing of hers is lost");
        put(&app, &flow, "\"2\"", &his).await.expect(200);
        let missing = app.send(Method::PUT, &path_of(&flow), &[], Some(&json!({"document": his}))).await.expect(428);
        assert!(missing["hint"].as_str().unwrap().contains("ETag"), "{missing}");
        put(&app, &flow, "seven", &his).await.expect(400);
        assert_eq!(app.get(&path_of(&flow)).await.expect(200)["revision"], 3);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_names_a_revision_replaces_no_other() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.post("/flows/import", &question(30)).await.expect(201);
        let mut document = question(60);
        document["id"] = flow["id"].clone();
        let import = async |revision: &str| {
            app.send(Method::POST, "/flows/import", &[("If-Match", revision)], Some(&document)).await
        };
        import("\"1\"").await.expect(200);
        let rows = app.rows();
        assert_eq!(import("\"1\"").await.expect(412)["revision"], 2);
        assert_eq!(app.rows(), rows);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_lists_come_whole_or_in_pages() {
    local(async {
        let app = TestApp::start().await;
        for name in ["A", "B", "C"] {
            app.post("/flows", &json!({"name": name})).await.expect(201);
        }
        let names = |listed: &Value| -> Vec<Value> {
            listed["data"].as_array().unwrap().iter().map(|row| row["name"].clone()).collect()
        };
        let whole = app.get("/flows").await.expect(200);
        assert_eq!((names(&whole), &whole["next_cursor"]), (vec![json!("A"), json!("B"), json!("C")], &json!(null)));
        let first = app.get("/flows?limit=2").await.expect(200);
        assert_eq!(names(&first), ["A", "B"]);
        let rest = format!("/flows?limit=2&cursor={}", first["next_cursor"].as_str().unwrap());
        let rest = app.get(&rest).await.expect(200);
        assert_eq!((names(&rest), &rest["next_cursor"]), (vec![json!("C")], &json!(null)));
        assert_eq!(app.get("/tokens?limit=1").await.expect(200)["data"].as_array().unwrap().len(), 1);
        app.get("/flows?limit=0").await.expect(422);
        app.get("/tokens?cursor=-1").await.expect(422);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_authors_at_once_save_once_each_revision() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.post("/flows", &json!({"name": "Cart"})).await.expect(201);
        let tries = (0..10).map(|n| {
            let mut document = flow["document"].clone();
            document["nodes"][0]["text"] = json!(format!("Author {n}"));
            let (app, flow) = (&app, &flow);
            async move { put(app, flow, "\"1\"", &document).await.status.as_u16() }
        });
        let mut statuses = futures::future::join_all(tries).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [&[200][..], &[412; 9]].concat());
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_done_draft_is_kept_and_says_what_is_wrong() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.post("/flows", &json!({"document": {"name": "Half", "nodes": "soon"}})).await.expect(201);
        assert_eq!(flow["name"], "Half");
        assert_eq!(flow["problems"][0]["severity"], "error", "{flow}");
        let publish = format!("{}/publish", path_of(&flow));
        let refused = app.post(&publish, &json!({"force": true})).await.expect(422);
        assert_eq!(refused["problems"], flow["problems"]);
        let named = json!({"id": "01936b1e-7c6a-7000-8000-0000000000aa", "name": "Half"});
        put(&app, &flow, "\"1\"", &named).await.expect(422);
        put(&app, &flow, "\"1\"", &json!("text")).await.expect(422);
        let large = json!({"name": "Half", "ui": "x".repeat(1024 * 1024)});
        let refused = put(&app, &flow, "\"1\"", &large).await.expect(422);
        assert!(refused["errors"]["document"][0].as_str().unwrap().contains("at most"), "{refused}");
        assert_eq!(app.get(&path_of(&flow)).await.expect(200)["revision"], 1);
        let before = app.rows();
        let checked = app.post("/flows/validate", &json!({"name": "Half"})).await.expect(200);
        assert_eq!(checked["is_publishable"], false);
        let checked = app.post("/flows/validate", &question(30)).await.expect(200);
        assert_eq!(checked["is_publishable"], true);
        assert_eq!(app.rows(), before, "validating saves nothing");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_windows_are_read_and_files_of_other_programs_are_named() {
    local(async {
        let app = TestApp::start().await;
        let post = async |path: &str, bytes: Vec<u8>| {
            let request = app.client.post(format!("{}{path}", app.base)).bearer_auth(secret(Scope::Admin));
            read(request.header("Content-Type", "application/json").body(bytes)).await
        };
        let marked = |text: &str| format!("\u{feff}{text}");
        let utf16 = |text: &str| marked(text).encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let document = question(30).to_string();
        post("/api/v1/flows/import", marked(&document).into_bytes()).await.expect(201);
        post("/api/v1/flows/import?publish=true", utf16(&document)).await.expect(201);
        let checked = post("/api/v1/flows/validate", marked(&document).into_bytes()).await.expect(200);
        assert_eq!(checked["is_publishable"], true);
        let flow = app.publish(&question(30)).await;
        let trigger = json!({"flow_id": flow, "phone": PHONE, "context": {"name": "Åsa 😀"}}).to_string();
        let started = post("/api/v1/actions/trigger-flow", marked(&trigger).into_bytes()).await.expect(201);
        assert_eq!(app.session(&started["id"]).await["context"], json!({"name": "Åsa 😀"}));
        let other = trigger.replace(PHONE, "+14155550177");
        let started = post("/api/v1/actions/trigger-flow", utf16(&other)).await.expect(201);
        assert_eq!(app.session(&started["id"]).await["context"], json!({"name": "Åsa 😀"}));
        let rows = format!("[{}]", trigger.replace(PHONE, "+14155550178"));
        let batch = post(&format!("/api/v1/flows/{flow}/trigger-batch"), utf16(&rows)).await.expect(200);
        assert_eq!(batch["started"], 1);
        let listed = r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}"#;
        let request = app.client.post(format!("{}/mcp", app.base)).bearer_auth(secret(Scope::Admin));
        let request = request.header("Content-Type", "application/json").header("mcp-protocol-version", "2025-11-25");
        let request = request.header("Accept", "application/json, text/event-stream").body(marked(listed));
        assert!(read(request).await.expect(200)["result"]["tools"].is_array());

        let before = app.rows();
        let n8n =
            json!({"name": "x", "nodes": [{"parameters": {}, "type": "n8n-nodes-base.start"}], "connections": {}});
        let checked = app.post("/flows/validate", &n8n).await.expect(200);
        assert_eq!((checked["problems"].as_array().unwrap().len(), &checked["is_publishable"]), (1, &json!(false)));
        assert_eq!(checked["problems"][0]["id"], "foreign_document");
        assert!(checked["problems"][0]["text"].as_str().unwrap().contains("n8n"), "{checked}");
        let refused = app.post("/flows/import", &n8n).await.expect(422);
        assert!(refused["problems"][0]["text"].as_str().unwrap().contains("n8n"), "{refused}");
        let node_red = json!([{"id": "a", "type": "tab"}, {"id": "b", "type": "inject", "wires": []}]);
        let refused = app.post("/flows/import", &node_red).await.expect(422);
        assert!(refused["errors"]["body"][0].as_str().unwrap().contains("Node-RED"), "{refused}");
        let wrapped = app.post("/flows/validate", &json!({"flow": question(30)})).await.expect(200);
        assert!(wrapped["problems"][0]["text"].as_str().unwrap().contains("`flow`"), "{wrapped}");
        let broken = post("/api/v1/flows/import", b"{\n  // mine\n}".to_vec()).await.expect(400);
        assert!(broken["error"].as_str().unwrap().contains("comment"), "{broken}");
        let named_twice = format!("{}, \"name\": \"Another\"}}", &document[..document.len() - 1]);
        for path in ["/api/v1/flows/import", "/api/v1/flows/validate", "/api/v1/flows"] {
            let twice = named_twice.clone().into_bytes();
            let refused = post(path, twice).await.expect(400);
            assert!(refused["error"].as_str().unwrap().contains("`name` is there twice"), "{refused}");
        }
        let page = post("/api/v1/flows/import", b"<!doctype html><p>".to_vec()).await.expect(400);
        assert!(page["error"].as_str().unwrap().contains("HTML"), "{page}");
        assert_eq!(app.rows(), before, "what is refused changes nothing");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_listed_read_and_restored() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.post("/flows/import?publish=true", &question(30)).await.expect(201);
        let path = path_of(&flow);
        let mut second = question(30);
        second["name"] = json!("Second");
        put(&app, &flow, "\"1\"", &second).await.expect(200);
        assert_eq!(app.get(&path).await.expect(200)["has_changes"], true);
        let published = app.post(&format!("{path}/publish"), &json!({"note": "Better"})).await.expect(200);
        assert_eq!(published["version"], 2);
        let listed = app.get(&format!("{path}/versions?limit=1")).await.expect(200);
        assert_eq!(listed["data"][0]["note"], "Better");
        assert_eq!((&listed["data"][0]["is_current"], &listed["next_cursor"]), (&json!(true), &json!("2")));
        let rest = app.get(&format!("{path}/versions?cursor=2")).await.expect(200);
        assert_eq!((&rest["data"][0]["version"], &rest["next_cursor"]), (&json!(1), &json!(null)));
        assert_eq!(rest["data"][0]["actor"], "admin");
        assert_eq!(app.get(&format!("{path}/versions/1")).await.expect(200)["document"], question(30));
        app.get(&format!("{path}/versions/3")).await.expect(404);
        let restored = app.post(&format!("{path}/versions/1/restore"), &json!({})).await.expect(200);
        assert_eq!((&restored["document"], &restored["revision"]), (&question(30), &json!(3)));
        assert_eq!((&restored["published_version"], &restored["has_changes"]), (&json!(2), &json!(true)));
        let stale = app.send(Method::POST, &format!("{path}/publish"), &[("If-Match", "\"2\"")], None).await;
        stale.expect(412);
        assert_eq!(app.post(&format!("{path}/publish"), &json!({})).await.expect(200)["version"], 3);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_imports_as_it_was_and_a_duplicate_is_another_flow() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.post("/flows/import?publish=true", &question(30)).await.expect(201);
        let exported = app.get(&format!("{}/export", path_of(&flow))).await;
        assert_eq!(exported.header("content-disposition"), Some("attachment; filename=\"question.json\""));
        let exported = exported.expect(200);
        assert_eq!(exported["id"], flow["id"]);
        let again = app.post("/flows/import", &exported).await.expect(200);
        assert_eq!((&again["id"], &again["document"]), (&flow["id"], &question(30)));
        assert_eq!(again["has_changes"], false);
        let copy = app.post(&format!("{}/duplicate", path_of(&flow)), &json!({})).await.expect(201);
        assert_eq!((&copy["name"], &copy["status"]), (&json!("Question (copy)"), &json!("draft")));
        assert_eq!(copy["document"]["name"], "Question (copy)");
        assert_ne!(copy["id"], flow["id"]);
        let listed = app.get("/flows").await.expect(200);
        let names: Vec<_> = listed["data"].as_array().unwrap().iter().map(|flow| flow["name"].clone()).collect();
        assert_eq!(names, ["Question", "Question (copy)"]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_what_runs_and_only_then_can_a_flow_be_deleted() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.post("/flows/import?publish=true", &question(30)).await.expect(201);
        let other = app.publish(&question(60)).await;
        let (id, path) = (flow["id"].as_str().unwrap().parse().unwrap(), path_of(&flow));
        let mut sessions = Vec::new();
        for n in 0..150 {
            let started = app.trigger(id, &format!("+14155550{n:03}")).await.expect(201);
            sessions.push(started["id"].clone());
        }
        let kept = app.trigger(other, PHONE).await.expect(201);
        app.delete(&path).await.expect(409);
        assert_eq!(app.post(&format!("{path}/unpublish"), &json!({})).await.expect(200)["status"], "draft");
        app.trigger(id, "+14155559999").await.expect(404);
        assert_eq!(app.session(&sessions[0]).await["status"], "running", "unpublishing ends nothing");
        app.delete(&path).await.expect(409);
        let stopped = app.post(&format!("{path}/stop"), &json!({})).await.expect(200);
        assert_eq!((&stopped["cancelled"], &stopped["dropped_messages"]), (&json!(150), &json!(0)));
        for session in &sessions {
            let session = app.session(session).await;
            assert_eq!((&session["status"], &session["reason"]), (&json!("cancelled"), &json!("flow_stopped")));
        }
        assert_eq!(app.session(&kept["id"]).await["status"], "running");
        let counts = app.get(&path).await.expect(200)["sessions"].clone();
        assert_eq!(
            (&counts["running"], &counts["started"], &counts["cancelled"]),
            (&json!(0), &json!(150), &json!(150))
        );
        app.delete(&path).await.expect(204);
        app.get(&path).await.expect(404);
        app.delete(&path).await.expect(404);
        assert_eq!(app.session(&sessions[0]).await["flow_name"], "Question", "its history stays");
        assert_eq!(app.get("/flows").await.expect(200)["data"].as_array().unwrap().len(), 1);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_under_a_thousand_sessions_leaves_each_on_its_version() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let phones: Vec<String> = (0..1_000).map(|n| format!("+1415555{n:04}")).collect();
        let started = futures::future::join_all(phones.iter().map(|phone| app.trigger(flow, phone))).await;
        let sessions: Vec<Value> = started.into_iter().map(|answer| answer.expect(201)["id"].clone()).collect();
        let mut second = question(30);
        second["id"] = json!(flow);
        second["nodes"][1]["text"] = json!("The second version.");
        // Some answer before it, some while it runs, some after it.
        let (during, after) = phones.split_at(600);
        let replies = futures::future::join_all(during.iter().map(|phone| app.say(phone, "tea")));
        let (published, _) = tokio::join!(app.post("/flows/import?publish=true", &second), replies);
        assert_eq!(published.expect(200)["published_version"], 2);
        futures::future::join_all(after.iter().map(|phone| app.say(phone, "tea"))).await;
        for id in &sessions {
            let session = app.session(id).await;
            assert_eq!((&session["version"], &session["status"]), (&json!(1), &json!("completed")));
            let turns = app.turns(id).await;
            assert_eq!(turns[1]["messages"][0]["text"], "Coming up: tea");
        }
        let late = app.trigger(flow, "+442079460000").await.expect(201);
        assert_eq!(app.session(&late["id"]).await["version"], 2);
        app.say("+442079460000", "tea").await;
        assert_eq!(app.turns(&late["id"]).await[1]["messages"][0]["text"], "The second version.");
        app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn flows_that_run_one_another_are_checked_together() {
    local(async {
        let app = TestApp::start().await;
        let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
        let document = |id: Uuid, runs: Uuid| {
            json!({
                "id": id, "schema_version": 1, "name": "Round", "entry_node": "run",
                "nodes": [{"id": "run", "type": "run_flow", "flow_id": runs,
                    "exits": {"completed": "ask", "failed": "ask"}},
                          {"id": "ask", "type": "ask", "text": "Name?", "exits": {}}]
            })
        };
        let ids = |problems: &Value| -> Vec<String> {
            problems.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
        };
        let first = app.post("/flows/import?publish=true", &document(one, other)).await.expect(201);
        assert!(ids(&first["problems"]).contains(&"sub_flow_not_published".to_owned()), "{first}");
        let refused = app.post("/flows/import?publish=true", &document(other, one)).await.expect(422);
        assert!(ids(&refused["problems"]).contains(&"recursive_sub_flow".to_owned()), "{refused}");
        let unpublished = app.get(&format!("/flows/{other}")).await;
        assert_eq!(unpublished.status, 404, "nothing of it was kept");

        // What waits before it comes round may.
        let mut waits = document(other, one);
        waits["entry_node"] = json!("ask");
        waits["nodes"][1]["exits"] = json!({"reply": "run"});
        waits["nodes"][0]["exits"] = json!({"completed": null});
        app.post("/flows/import?publish=true", &waits).await.expect(201);
        let started = app.trigger(one.to_string().parse().unwrap(), PHONE).await.expect(201);
        let session = app.session(&started["id"]).await;
        assert_eq!((session["status"].as_str(), session["current_node_id"].as_str()), (Some("running"), Some("run")));
        app.say(PHONE, "Ann").await;
        let turns = app.turns(&started["id"]).await;
        let path = turns.last().unwrap()["path"].as_array().unwrap();
        assert_eq!(path[0]["flow"], json!({"id": other, "version": 1}), "{path:?}");
        assert_eq!(path.last().unwrap()["node"], "ask", "the first flow, run by the second, runs the second again");
        app.stop().await;
    })
    .await;
}
