//! Every bad input: the documented status and shape, and not a row changed.

use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question, secret};

/// What is sent, and what must be answered.
struct Case {
    name: &'static str,
    method: Method,
    path: String,
    token: Option<String>,
    body: Option<String>,
    status: u16,
    /// Keys and values that the answer must have.
    answer: Value,
}

fn nested(depth: usize) -> Value {
    (1..depth).fold(json!({}), |inner, _| json!({"a": inner}))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_input_is_refused_and_changes_no_row() {
    local(async {
        let app = TestApp::start().await;
        let mut document = question(30);
        document["inputs"] = json!([{"name": "n", "type": "number"}]);
        let flow = app.publish(&document).await;
        let draft = app.post("/flows/import", &question(30)).await.expect(201)["id"].clone();
        let no_entry = json!({"schema_version": 1, "name": "Empty", "nodes": []});
        let no_entry = app.post("/flows/import", &no_entry).await.expect(201)["id"].clone();
        app.post(&format!("/flows/{}/publish", no_entry.as_str().unwrap()), &json!({"force": true})).await.expect(200);
        let contact = app.trigger(flow, "+4915112345678").await.expect(201)["contact_id"].clone();
        let out = json!({
            "schema_version": 1, "name": "Out", "entry_node": "out",
            "nodes": [{"id": "out", "type": "update_contact", "opt_out": true}]
        });
        let out = app.publish(&out).await;
        let ended = app.trigger(out, "+4915100000000").await.expect(201)["id"].as_str().unwrap().to_owned();
        app.runtime
            .store()
            .write(|tx| {
                let now = "2026-05-07T08:00:00Z".parse().map_err(|_| qyvo::error::Error::internal("time"))?;
                let id = testkit::app::add_token(tx, "revoked", Scope::Admin, "qyvo_revoked", now)?;
                qyvo::store::tokens::revoke(tx, id, now)
            })
            .await
            .unwrap();

        let unknown = "01936b1e-7c6a-7000-8000-000000000001";
        let not_published = json!({"error": "Flow not found or not published"});
        let invalid = json!({"message": "The given data was invalid."});
        let field = |field: &str,
        sentence: &str| json!({"message": "The given data was invalid.", "errors": {field: [sentence]}});
        let unauthenticated = json!({"message": "Unauthenticated."});
        let trigger = |name: &'static str, body: Value, status: u16, answer: Value| Case {
            name,
            method: Method::POST,
            path: "/api/v1/actions/trigger-flow".to_owned(),
            token: Some(secret(Scope::Trigger)),
            body: Some(body.to_string()),
            status,
            answer,
        };
        let raw = |name: &'static str, body: &str, status: u16, answer: Value| Case {
            body: Some(body.to_owned()),
            ..trigger(name, json!(null), status, answer)
        };
        let with_token = |name: &'static str, token: Option<&str>, status: u16, answer: Value| Case {
            token: token.map(str::to_owned),
            ..trigger(name, json!({"flow_id": flow, "phone": PHONE}), status, answer)
        };
        let admin = |name: &'static str, method: Method, path: String, body: Option<Value>, status: u16,
        answer: Value| Case {
            name,
            method,
            path: format!("/api/v1{path}"),
            token: Some(secret(Scope::Admin)),
            body: body.map(|body| body.to_string()),
            status,
            answer,
        };
        let inbound = |name: &'static str, body: Value, answer: Value| {
            admin(name, Method::POST, "/inbound".to_owned(), Some(body), 422, answer)
        };

        let cases = vec![
            raw("malformed JSON", "{\"flow_id\": ", 400, json!({})),
            raw("no JSON at all", "flow_id=1", 400, json!({})),
            raw("nothing", "", 400, json!({})),
            raw("129 levels", &"[".repeat(200), 400, json!({})),
            raw("a list", "[]", 422, field("body", "The body must be a JSON object.")),
            raw("a huge body", &format!("{{\"x\": \"{}\"}}", "x".repeat(256 * 1024)), 413, json!({})),
            trigger("nothing given", json!({}), 422, json!({"message": "The given data was invalid.", "errors": {
                "flow_id": ["The flow id field is required."],
                "contact_id": ["The contact id field is required when phone is not present."],
                "phone": ["The phone field is required when contact id is not present."]
            }})),
            trigger("wrong types, all at once", json!({"flow_id": 7, "phone": true, "context": "x", "on_running": 1}),
                422, json!({
                "message": "The given data was invalid.", "errors": {
                    "flow_id": ["The flow id must be a string."], "phone": ["The phone must be a string."],
                    "context": ["The context must be an object."], "on_running": ["The on running must be a string."]
                }
            })),
            trigger("bad flow UUID", json!({"flow_id": "01J3F...", "phone": PHONE}), 422,
                field("flow_id", "The flow id must be a valid UUID.")),
            trigger("bad contact UUID", json!({"flow_id": flow, "contact_id": "x"}), 422,
                field("contact_id", "The contact id must be a valid UUID.")),
            trigger("bad choice", json!({"flow_id": flow, "phone": PHONE, "on_running": "panic"}), 422,
                field("on_running", "The selected on running is invalid: use one of return, restart, fail.")),
            trigger("33 levels", json!({"flow_id": flow, "phone": PHONE, "context": nested(33)}), 422,
                field("context", "The context must not be nested deeper than 32 levels.")),
            trigger("a large context",
                json!({"flow_id": flow, "phone": PHONE, "context": {"x": "x".repeat(64 * 1024)}}), 422,
                field("context", "The context must not be larger than 65536 bytes.")),
            trigger("a list as context", json!({"flow_id": flow, "phone": PHONE, "context": [1]}), 422,
                field("context", "The context must be an object.")),
            trigger("a wrong input", json!({"flow_id": flow, "phone": PHONE, "context": {"n": "3"}}), 422,
                field("context.n", "The context.n field must be a number.")),
            trigger("a bad phone", json!({"flow_id": flow, "phone": "12"}), 422, invalid.clone()),
            trigger("two people", json!({"flow_id": flow, "contact_id": contact, "phone": PHONE}), 422,
                invalid.clone()),
            trigger("an unknown flow", json!({"flow_id": unknown, "phone": PHONE}), 404, not_published.clone()),
            trigger("a draft", json!({"flow_id": draft, "phone": PHONE}), 404, not_published.clone()),
            trigger("no entry node", json!({"flow_id": no_entry, "phone": PHONE}), 422,
                json!({"error": "Flow has no entry node"})),
            trigger("an unknown contact", json!({"flow_id": flow, "contact_id": unknown}), 404,
                json!({"error": "Contact not found"})),
            trigger("an opted-out contact", json!({"flow_id": flow, "phone": "+4915100000000"}), 422,
                json!({"error": "Contact has opted out"})),
            trigger("a live session, to fail", json!({"flow_id": flow, "contact_id": contact, "on_running": "fail"}),
                409, json!({"error": "A session is already running"})),
            with_token("no token", None, 401, unauthenticated.clone()),
            with_token("a wrong token", Some("qyvo_nobody"), 401, unauthenticated.clone()),
            with_token("a revoked token", Some("qyvo_revoked"), 401, unauthenticated.clone()),
            Case { path: "/api/v1/inbound".to_owned(),
                ..with_token("scope trigger for api", Some(&secret(Scope::Trigger)), 403,
                    json!({"error": "This token lacks the scope `api`."})) },
            Case { path: "/api/v1/flows/import".to_owned(),
                ..with_token("scope api for admin", Some(&secret(Scope::Api)), 403,
                    json!({"error": "This token lacks the scope `admin`."})) },
            admin("cancel of an unknown flow", Method::POST, "/actions/cancel-flow".to_owned(),
                Some(json!({"flow_id": unknown, "phone": PHONE})), 404, json!({"error": "Flow not found"})),
            admin("cancel for an unknown contact", Method::POST, "/actions/cancel-flow".to_owned(),
                Some(json!({"flow_id": flow, "contact_id": unknown})), 404, json!({"error": "Contact not found"})),
            admin("an event without a name or anybody", Method::POST, "/actions/send-event".to_owned(),
                Some(json!({"event": "a b"})), 422, json!({
                "message": "The given data was invalid.", "errors": {
                    "event": ["The event must be 1 to 64 of the characters A-Z, a-z, 0-9, `_`, `.` and `-`."],
                    "contact_id": ["The contact id field is required when phone is not present."],
                    "phone": ["The phone field is required when contact id is not present."]
                }
            })),
            admin("an event for an unknown flow", Method::POST, "/actions/send-event".to_owned(),
                Some(json!({"flow_id": unknown, "phone": PHONE, "event": "x"})), 404,
                json!({"error": "Flow not found"})),
            admin("an event for an unknown contact", Method::POST, "/actions/send-event".to_owned(),
                Some(json!({"contact_id": unknown, "event": "x"})), 404, json!({"error": "Contact not found"})),
            admin("an event for two people", Method::POST, "/actions/send-event".to_owned(),
                Some(json!({"contact_id": contact, "phone": "+4915100000000", "event": "x"})), 422, invalid.clone()),
            admin("an event for an unknown session", Method::POST, format!("/sessions/{unknown}/events"),
                Some(json!({"event": "x"})), 404, json!({"error": "Session not found"})),
            admin("an event for an ended session", Method::POST, format!("/sessions/{ended}/events"),
                Some(json!({"event": "x"})), 409, json!({"error": "The session has ended."})),
            admin("an event for no session's id", Method::POST, "/sessions/me/events".to_owned(),
                Some(json!({"event": "x"})), 404, json!({"error": "Session not found"})),
            admin("an event with an unknown key", Method::POST, format!("/sessions/{ended}/events"),
                Some(json!({"name": "x"})), 422, json!({
                "errors": {"event": ["The event field is required."], "name": ["The name field is not known here."]}
            })),
            admin("a deep payload", Method::POST, "/actions/send-event".to_owned(),
                Some(json!({"phone": PHONE, "event": "x", "payload": nested(33)})), 422,
                field("payload", "The payload must not be nested deeper than 32 levels.")),
            admin("a large payload", Method::POST, "/actions/send-event".to_owned(),
                Some(json!({"phone": PHONE, "event": "x", "payload": "x".repeat(64 * 1024)})), 422,
                field("payload", "The payload must not be larger than 65536 bytes.")),
            Case { path: format!("/api/v1/sessions/{ended}/events"),
                ..with_token("scope api for an event by session", Some(&secret(Scope::Api)), 403,
                    json!({"error": "This token lacks the scope `admin`."})) },
            inbound("an empty message", json!({}), json!({"errors": {
                "id": ["The id field is required."], "from": ["The from field is required."],
                "type": ["The type field is required."]
            }, "message": "The given data was invalid."})),
            inbound("a text without text", json!({"id": "1", "from": PHONE, "type": "text"}),
                field("text", "The text field is required for a text.")),
            inbound("a tap without option", json!({"id": "1", "from": PHONE, "type": "tap"}),
                field("option", "The option field is required for a tap.")),
            inbound("a place without coordinates", json!({"id": "1", "from": PHONE, "type": "location"}),
                invalid.clone()),
            inbound("an unknown type", json!({"id": "1", "from": PHONE, "type": "smell"}), invalid.clone()),
            inbound("an unknown key", json!({"id": "1", "from": PHONE, "type": "text", "text": "x", "colour": 1}),
                field("colour", "The colour field is not known here.")),
            inbound("a bad time", json!({"id": "1", "from": PHONE, "type": "text", "text": "x", "timestamp": "noon"}),
                invalid.clone()),
            admin("a broken flow", Method::POST, "/flows/import".to_owned(),
                Some(json!({"schema_version": 1, "name": "X", "nodes": [{"id": "a"}]})), 422,
                json!({"error": "The flow has 2 problems to mend."})),
            admin("an unsound flow to publish", Method::POST, "/flows/import?publish=true".to_owned(),
                Some(json!({"schema_version": 1, "name": "X", "entry_node": "a",
                    "nodes": [{"id": "a", "type": "end", "text": "{{x}}"}]})), 422,
                    json!({"error": "The flow has 1 problem to mend."})),
            admin("an unsound query", Method::POST, "/flows/import?publish=yes".to_owned(), Some(question(30)), 422,
                invalid.clone()),
            admin("an unknown flow to publish", Method::POST, format!("/flows/{unknown}/publish"), Some(json!({})), 404,
                json!({"error": "Flow not found"})),
            admin("a flow without entry to publish", Method::POST,
                format!("/flows/{}/publish", no_entry.as_str().unwrap()), Some(json!({})), 422,
                json!({"error": "The flow has 1 problem to mend."})),
            admin("an unknown session", Method::GET, format!("/sessions/{unknown}"), None, 404,
                json!({"error": "Session not found"})),
            admin("no session's id", Method::GET, "/sessions/me".to_owned(), None, 404,
                json!({"error": "Session not found"})),
            admin("an unknown session's turns", Method::GET, format!("/sessions/{unknown}/turns"), None, 404,
                json!({"error": "Session not found"})),
            admin("an unknown contact's messages", Method::GET, format!("/contacts/{unknown}/messages"), None, 404,
                json!({"error": "Contact not found"})),
            admin("a bad limit", Method::GET,
                format!("/contacts/{}/messages?limit=201&cursor=x", contact.as_str().unwrap()), None, 422,
                invalid.clone()),
            admin("an unknown path", Method::GET, "/nothing".to_owned(), None, 404,
                json!({"error": "There is nothing at /api/v1/nothing."})),
            admin("a wrong verb", Method::DELETE, "/inbound".to_owned(), None, 405,
                json!({"error": "This path takes POST."})),
        ];

        let before = app.rows();
        for case in &cases {
            let answer = app.request(case.method.clone(), &case.path, case.token.as_deref(), case.body.clone()).await;
            assert_eq!(answer.status.as_u16(), case.status, "{}: {}", case.name, answer.body);
            assert_eq!(answer.header("content-type"), Some("application/json"), "{}", case.name);
            assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 36), "{}", case.name);
            let has_text = answer.body["error"].is_string() || answer.body["message"].is_string();
            assert!(has_text, "{}: {}", case.name, answer.body);
            for (key, value) in case.answer.as_object().unwrap() {
                assert_eq!(&answer.body[key], value, "{}", case.name);
            }
            match case.status {
                401 => assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{}", case.name),
                405 => assert_eq!(answer.header("allow"), Some("POST"), "{}", case.name),
                _ => {}
            }
        }
        let after = app.rows();
        assert_eq!(before, after);
        assert_eq!(app.count("contacts"), 2, "no refused trigger left a contact");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_themselves_are_accepted() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let deep = json!({"flow_id": flow, "phone": PHONE, "context": nested(32)});
        app.post("/actions/trigger-flow", &deep).await.expect(201);
        let large = json!({"flow_id": flow, "phone": "+4915112345678", "context": {"x": "x".repeat(64 * 1024 - 8)}});
        app.post("/actions/trigger-flow", &large).await.expect(201);
        let php = json!({"flow_id": flow, "phone": "+4915112345679", "context": [], "contact_id": "", "unknown": 1});
        app.post("/actions/trigger-flow", &php).await.expect(201);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_by_its_type_is_refused() {
    local(async {
        let app = TestApp::start().await;
        for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
            let mut request = app
                .client
                .post(format!("{}/v1/actions/trigger-flow", app.base))
                .bearer_auth(secret(Scope::Trigger))
                .body("{}");
            if let Some(content_type) = content_type {
                request = request.header("Content-Type", content_type);
            }
            assert_eq!(request.send().await.unwrap().status(), 415, "{content_type:?}");
        }
        for content_type in ["application/json; charset=utf-8", "application/vnd.api+json"] {
            let request =
                app.client.post(format!("{}/v1/actions/trigger-flow", app.base)).bearer_auth(secret(Scope::Trigger));
            let response = request.header("Content-Type", content_type).body("{}").send().await.unwrap();
            assert_eq!(response.status(), 422, "{content_type}");
        }
        app.stop().await;
    })
    .await;
}
