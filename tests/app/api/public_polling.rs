//! What clients poll for and choose from: bare lists, newest first, as the n8n node calls them.

use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{PHONE, START, TestApp, local, question, secret};
use uuid::Uuid;

/// The fields of a session that a flow has started, in their order.
pub(crate) const SESSION_KEYS: [&str; 14] = [
    "id",
    "flow_id",
    "flow_name",
    "contact_id",
    "contact_phone",
    "contact_name",
    "contact_email",
    "status",
    "current_node_id",
    "context",
    "last_interaction_at",
    "expires_at",
    "completed_at",
    "created_at",
];
/// The fields of a message, in their order.
pub(crate) const MESSAGE_KEYS: [&str; 13] = [
    "id",
    "direction",
    "type",
    "content",
    "status",
    "contact_id",
    "contact_phone",
    "contact_name",
    "contact_email",
    "sent_at",
    "delivered_at",
    "read_at",
    "created_at",
];

fn keys(body: &Value) -> Vec<&str> {
    body.as_object().unwrap().keys().map(String::as_str).collect()
}

fn column(list: &Value, key: &str) -> Vec<Value> {
    list.as_array().unwrap().iter().map(|row| row[key].clone()).collect()
}

fn sequence() -> Value {
    let mut document = question(30);
    document["kind"] = json!("sequence");
    document["name"] = json!("Days");
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn started_sessions_are_listed_newest_first_with_the_documented_fields() {
    local(async {
        let app = TestApp::start().await;
        let (flow, days) = (app.publish(&question(30)).await, app.publish(&sequence()).await);
        let mut other = question(30);
        other["name"] = json!("Other");
        let other = app.publish(&other).await;
        assert_eq!(app.get("/triggers/new-flow-triggered").await.expect(200), json!([]));
        let first = json!({"flow_id": flow, "phone": PHONE, "context": {"cart": 7}});
        let first = app.post("/actions/trigger-flow", &first).await.expect(201);
        let second = app.trigger(other, PHONE).await.expect(201);
        let started = json!({"sequence_id": days, "phone": PHONE});
        let started = app.post("/actions/trigger-sequence", &started).await.expect(201);

        let list = app.get("/triggers/new-flow-triggered").await.expect(200);
        assert_eq!(column(&list, "id"), [second["id"].clone(), first["id"].clone()]);
        let row = &list[1];
        assert_eq!(keys(row), SESSION_KEYS);
        assert_eq!((&row["flow_id"], &row["flow_name"]), (&json!(flow), &json!("Question")));
        assert_eq!((&row["contact_phone"], &row["context"]), (&json!(PHONE), &json!({"cart": 7})));
        assert_eq!((&row["status"], &row["current_node_id"]), (&json!("running"), &json!("ask")));
        assert_eq!((&row["created_at"], &row["last_interaction_at"]), (&json!(START), &json!(START)));
        assert_eq!((&row["expires_at"], &row["completed_at"]), (&json!("2026-05-07T08:30:00+00:00"), &Value::Null));

        let only = app.get(&format!("/triggers/new-flow-triggered?flow_id={flow}")).await.expect(200);
        assert_eq!(column(&only, "id"), [first["id"].clone()]);
        for nothing in [days.to_string(), Uuid::now_v7().to_string()] {
            let path = format!("/triggers/new-flow-triggered?flow_id={nothing}");
            assert_eq!(app.get(&path).await.expect(200), json!([]), "{path}");
        }
        let malformed = app.get("/triggers/new-flow-triggered?flow_id=7").await.expect(422);
        assert!(malformed["errors"]["flow_id"].is_array());
        for blank in ["?flow_id=", "?flow_id=%20", "?other=1"] {
            assert_eq!(app.get(&format!("/triggers/new-flow-triggered{blank}")).await.expect(200), list);
        }

        let of_days = app.get(&format!("/triggers/new-sequence-triggered?sequence_id={days}")).await.expect(200);
        assert_eq!(of_days, app.get("/triggers/new-sequence-triggered").await.expect(200));
        assert_eq!(column(&of_days, "id"), [started["id"].clone()]);
        assert_eq!((&of_days[0]["sequence_id"], &of_days[0]["sequence_name"]), (&json!(days), &json!("Days")));
        assert!(of_days[0].get("flow_id").is_none());

        // A cancelled session is one that failed; it keeps its place and its id.
        let cancel = json!({"flow_id": flow, "phone": PHONE});
        app.post("/actions/cancel-flow", &cancel).await.expect(200);
        let after = app.get("/triggers/new-flow-triggered").await.expect(200);
        assert_eq!(column(&after, "id"), column(&list, "id"));
        assert_eq!((&after[1]["status"], &after[1]["completed_at"]), (&json!("failed"), &json!(START)));
        assert_eq!(app.get("/triggers/new-campaign-sent").await.expect(200), json!([]));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_a_hundred_are_listed() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let mut ids = Vec::new();
        for n in 0..103 {
            ids.push(app.trigger(flow, &format!("+1415555{n:04}")).await.expect(201)["id"].clone());
            app.say(&format!("+1415555{n:04}"), "Tea").await;
        }
        ids.reverse();
        let list = app.get("/triggers/new-flow-triggered").await.expect(200);
        assert_eq!(column(&list, "id"), ids[..100]);
        assert!(column(&list, "status").iter().all(|status| status == "completed"));
        assert_eq!(app.get("/triggers/new-message-received").await.expect(200).as_array().unwrap().len(), 100);

        let days = app.publish(&sequence()).await;
        let mut ids = Vec::new();
        for n in 0..101 {
            let start = json!({"sequence_id": days, "phone": format!("+1415555{n:04}")});
            ids.push(app.post("/actions/trigger-sequence", &start).await.expect(201)["id"].clone());
        }
        ids.reverse();
        let of_days = app.get("/triggers/new-sequence-triggered").await.expect(200);
        assert_eq!(column(&of_days, "id"), ids[..100]);
        assert_eq!(app.get("/triggers/new-flow-triggered").await.expect(200), list, "they are apart");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_stays_with_the_time_of_its_end() {
    local(async {
        let app = TestApp::start().await;
        let mut patient = question(30);
        patient["nodes"][0] = json!({"id": "ask", "type": "ask", "text": "?", "exits": {"reply": "good"}});
        let mut endless = patient.clone();
        (endless["kind"], endless["name"], endless["settings"]) = (json!("sequence"), json!("Days"), json!({}));
        let (flow, days) = (app.publish(&patient).await, app.publish(&endless).await);
        app.trigger(flow, PHONE).await.expect(201);
        app.trigger(flow, "+14155550124").await.expect(201);
        app.post("/actions/trigger-sequence", &json!({"sequence_id": days, "phone": PHONE})).await.expect(201);
        let of_days = async |app: &TestApp| app.get("/triggers/new-sequence-triggered").await.expect(200)[0].clone();
        let running = of_days(&app).await;
        assert_eq!((&running["status"], &running["expires_at"]), (&json!("running"), &Value::Null));
        app.advance(60);
        app.say("+14155550124", "Tea").await;
        app.advance(29 * 60 - 1);
        app.runtime.run_due().await.unwrap();
        let list = app.get("/triggers/new-flow-triggered").await.expect(200);
        assert_eq!(column(&list, "status"), ["completed", "running"]);
        app.advance(1);
        app.runtime.run_due().await.unwrap();
        let list = app.get("/triggers/new-flow-triggered").await.expect(200);
        assert_eq!(column(&list, "status"), ["completed", "expired"]);
        let ends = [json!("2026-05-07T08:01:00+00:00"), json!("2026-05-07T08:30:00+00:00")];
        assert_eq!((column(&list, "expires_at"), column(&list, "completed_at")), (ends.to_vec(), ends.to_vec()));
        app.post("/actions/cancel-flow", &json!({"sequence_id": days, "phone": PHONE})).await.expect(200);
        let ended = of_days(&app).await;
        assert_eq!((&ended["status"], &ended["expires_at"]), (&json!("failed"), &json!("2026-05-07T08:30:00+00:00")));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_from_people_are_listed_with_what_they_say() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let started = app.trigger(flow, PHONE).await.expect(201);
        let tapped = format!("{}:tea", started["id"].as_str().unwrap());
        for body in [
            json!({"type": "text", "text": "Hm", "timestamp": "2026-05-07T07:59:30+00:00"}),
            json!({"type": "tap", "text": "Tea", "option": tapped}),
            json!({"type": "image", "text": "Look",
                "media": {"url": "https://x.example/1.jpg", "mime_type": "image/jpeg"}}),
        ] {
            let mut body = body;
            body["id"] = json!(Uuid::now_v7());
            body["from"] = json!(PHONE);
            app.post("/inbound", &body).await.expect(202);
        }
        let list = app.get("/triggers/new-message-received").await.expect(200);
        assert_eq!(column(&list, "type"), ["image", "interactive", "text"]);
        let contents = [
            json!({"url": "https://x.example/1.jpg", "mime_type": "image/jpeg", "caption": "Look"}),
            json!({"body": "Tea", "id": "tea", "title": "Tea"}),
            json!({"body": "Hm"}),
        ];
        assert_eq!(column(&list, "content"), contents);
        let text = &list[2];
        assert_eq!(keys(text), MESSAGE_KEYS);
        assert_eq!((&text["direction"], &text["status"]), (&json!("inbound"), &json!("received")));
        assert_eq!((&text["contact_phone"], &text["contact_id"]), (&json!(PHONE), &started["contact_id"]));
        assert_eq!((&text["sent_at"], &text["created_at"]), (&json!("2026-05-07T07:59:30+00:00"), &json!(START)));
        assert_eq!((&text["delivered_at"], &text["read_at"]), (&Value::Null, &Value::Null));
        let of_type = |kind: &str| format!("/triggers/new-message-received?message_type={kind}");
        for (kind, index) in [("image", 0), ("interactive", 1), ("text", 2)] {
            assert_eq!(app.get(&of_type(kind)).await.expect(200), json!([list[index]]), "{kind}");
        }
        for kind in ["audio", "document", "video", "location", "contacts", "sticker"] {
            assert_eq!(app.get(&of_type(kind)).await.expect(200), json!([]), "{kind}");
        }
        assert_eq!(app.get(&of_type("")).await.expect(200), list);
        assert!(app.get(&of_type("smoke")).await.expect(422)["errors"]["message_type"].is_array());
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropdowns_offer_what_can_be_used_by_label() {
    local(async {
        let app = TestApp::start().await;
        let mut named = question(30);
        named["name"] = json!("apple");
        let (flow, apple, days) =
            (app.publish(&question(30)).await, app.publish(&named).await, app.publish(&sequence()).await);
        app.post("/flows", &json!({"name": "Draft"})).await.expect(201);
        let flows = json!([{"id": apple, "label": "apple"}, {"id": flow, "label": "Question"}]);
        assert_eq!(app.get("/dropdowns/flows").await.expect(200), flows);
        assert_eq!(app.get("/dropdowns/sequences").await.expect(200), json!([{"id": days, "label": "Days"}]));
        assert_eq!(app.get("/dropdowns/templates").await.expect(200), json!([]));

        let cart = json!({"name": "cart", "language": "en", "body": "Hi {{1}}, {{total}} waits.",
            "header": {"kind": "media", "media": "image"},
            "buttons": [{"kind": "url", "text": "Open", "url": "https://shop.example/{{1}}"}]});
        let first = app.post("/templates", &cart).await.expect(201);
        let german = json!({"name": "cart", "language": "de", "body": "Hallo"});
        app.post("/templates", &german).await.expect(201);
        let templates = app.get("/dropdowns/templates").await.expect(200);
        let listed = app.post("/actions/list-templates", &json!({})).await.expect(200);
        assert_eq!(templates, json!([{"id": listed[0]["id"], "label": "cart"}]), "one for all its languages");
        let variables_of = |id: &Value| format!("/dropdowns/template-variables?template_id={}", id.as_str().unwrap());
        let variables = app.get(&variables_of(&listed[0]["id"])).await.expect(200);
        assert_eq!(app.get(&variables_of(&first["id"])).await.expect(200), variables, "by the id of one language, too");
        assert!(variables.is_array(), "{variables}");
        for row in variables.as_array().unwrap() {
            assert_eq!(keys(row), ["id", "label"]);
        }
        let unknown = format!("/dropdowns/template-variables?template_id={}", Uuid::now_v7());
        assert_eq!(app.get(&unknown).await.expect(404)["error"], "Template not found");
        for path in ["/dropdowns/template-variables", "/dropdowns/template-variables?template_id="] {
            assert!(app.get(path).await.expect(422)["errors"]["template_id"].is_array());
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_url_may_end_with_a_slash_and_leave_out_api() {
    local(async {
        let app = TestApp::start_with(|config| {
            config.account.name = "Ada".to_owned();
            config.account.email = "ada@shop.example".to_owned();
            config.account.tenant = "Shop".to_owned();
        })
        .await;
        let flow = app.publish(&question(30)).await;
        let token = secret(Scope::Api);
        for path in ["/api/v1/me", "//api/v1/me", "/v1/me", "//v1//me"] {
            let me = app.request(Method::GET, path, Some(&token), None).await.expect(200);
            let tenant = json!({"id": "00000000-0000-0000-0000-000000000001", "name": "Shop"});
            assert_eq!(me, json!({"id": 1, "email": "ada@shop.example", "name": "Ada", "tenant": tenant}), "{path}");
        }
        let body = json!({"flow_id": flow, "phone": PHONE, "context": {}}).to_string();
        for (path, status) in [("//api/v1/actions/trigger-flow", 201), ("/api/v1//actions/trigger-flow", 200)] {
            app.request(Method::POST, path, Some(&token), Some(body.clone())).await.expect(status);
        }
        app.request(Method::GET, "//api/v1/me", None, None).await.expect(401);
        app.request(Method::GET, "/api/v1/me", Some(&secret(Scope::Trigger)), None).await.expect(403);
        for nothing in ["/api/v1/me/", "//api/v1/nothing", "//nothing", "//"] {
            let answer = app.request(Method::GET, nothing, Some(&token), None).await;
            assert!(nothing == "//" || answer.status == 404, "{nothing}: {}", answer.status);
        }
        app.stop().await;
    })
    .await;
}
