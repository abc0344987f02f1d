//! Assistants: what each token sees and may do, in raw JSON-RPC, and that the protocol's own client gets along.

use std::path::Path;
use std::process::Command;

use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{Answer, PHONE, TestApp, local, question, read, secret};
use testkit::tools::{Program, folder, is_there};
use uuid::Uuid;

const BOTH: &str = "application/json, text/event-stream";

/// Posts a body with these headers beside the usual ones, which they replace.
pub(crate) async fn post_raw(app: &TestApp, token: Option<&str>, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut all = vec![("accept", BOTH), ("content-type", "application/json")];
    all.retain(|(name, _)| headers.iter().all(|(other, _)| other != name));
    let mut request = app.client.post(format!("{}/mcp", app.base)).body(body.to_owned());
    for (name, value) in all.iter().chain(headers).filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    read(request).await
}

/// Sends one JSON-RPC request and gives its result, or its error.
pub(crate) async fn ask(app: &TestApp, scope: Scope, method: &str, params: Value) -> Result<Value, Value> {
    let body = json!({"jsonrpc": "2.0", "id": "7", "method": method, "params": params}).to_string();
    let answer = post_raw(app, Some(&secret(scope)), &[("mcp-protocol-version", "2025-11-25")], &body).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("mcp-session-id"), None, "there are no sessions");
    let body = answer.expect(200);
    assert_eq!((&body["jsonrpc"], &body["id"]), (&json!("2.0"), &json!("7")), "{body}");
    match body.get("error") {
        Some(error) => Err(error.clone()),
        None => Ok(body["result"].clone()),
    }
}

/// Calls a tool that must succeed, and gives its structured answer.
pub(crate) async fn call(app: &TestApp, scope: Scope, tool: &str, arguments: Value) -> Value {
    let result = ask(app, scope, "tools/call", json!({"name": tool, "arguments": arguments})).await.unwrap();
    assert_eq!(result["isError"], json!(false), "{result}");
    let answer = result["structuredContent"].clone();
    // For clients that know no structure.
    assert_eq!(serde_json::from_str::<Value>(result["content"][0]["text"].as_str().unwrap()).unwrap(), answer);
    answer
}

/// Calls a tool that must refuse, and gives what it says.
pub(crate) async fn refusal(app: &TestApp, scope: Scope, tool: &str, arguments: Value) -> String {
    let result = ask(app, scope, "tools/call", json!({"name": tool, "arguments": arguments})).await.unwrap();
    assert_eq!(result["isError"], json!(true), "{result}");
    assert_eq!(result.get("structuredContent"), None, "it would have to fit the schema of an answer");
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

async fn tools(app: &TestApp, scope: Scope) -> Vec<Value> {
    ask(app, scope, "tools/list", json!({})).await.unwrap()["tools"].as_array().unwrap().clone()
}

fn names(tools: &[Value]) -> Vec<&str> {
    tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_client_is_told_what_there_is() {
    local(async {
        let app = TestApp::start().await;
        let client = json!({"name": "a-test", "version": "1"});
        let params = |version: &str| json!({"protocolVersion": version, "capabilities": {}, "clientInfo": client});
        for (version, answered) in [("2025-11-25", "2025-11-25"), ("2024-11-05", "2024-11-05")] {
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params(version)});
            let answer = post_raw(&app, Some(&secret(Scope::Api)), &[], &body.to_string()).await;
            assert_eq!(answer.header("mcp-session-id"), None);
            assert!(answer.header("x-request-id").is_some());
            let result = answer.expect(200)["result"].clone();
            assert_eq!(result["protocolVersion"], answered, "{result}");
            assert_eq!(result["serverInfo"]["name"], "qyvo");
            assert_eq!(
                result["capabilities"],
                json!({"tools": {}, "resources": {}}),
                "and nothing that needs a stream"
            );
            assert!(result["instructions"].as_str().unwrap().contains("validate_flow"));
        }
        let body = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
        let answer = post_raw(&app, Some(&secret(Scope::Api)), &[], &body).await;
        assert_eq!((answer.status.as_u16(), &answer.body), (202, &json!("")));
        assert_eq!(ask(&app, Scope::Trigger, "ping", json!({})).await, Ok(json!({})));
        let unknown = ask(&app, Scope::Api, "flows/list", json!({})).await.unwrap_err();
        assert_eq!(
            (&unknown["code"], unknown["message"].as_str().unwrap().contains("flows/list")),
            (&json!(-32601), true)
        );
        for (method, params, named) in [
            ("tools/call", json!({"arguments": {}}), "`name`"),
            ("tools/call", json!({"name": 7}), "`name`"),
            ("tools/call", json!({"name": "list_flows", "arguments": []}), "`arguments`"),
            ("resources/read", json!({}), "`uri`"),
        ] {
            let wrong = ask(&app, Scope::Api, method, params.clone()).await.unwrap_err();
            assert_eq!(wrong["code"], -32602, "{method} {params}: {wrong}");
            assert!(wrong["message"].as_str().unwrap().contains(named), "{wrong}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_newest_revision_is_spoken_too() {
    local(async {
        let app = TestApp::start().await;
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "a-test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}});
        let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];
        let answer = post_raw(&app, Some(&secret(Scope::Trigger)), &headers, &body.to_string()).await.expect(200);
        assert_eq!(names(answer["result"]["tools"].as_array().unwrap()), ["trigger_flow"], "{answer}");
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
        let headers = [("mcp-protocol-version", "1999-01-01")];
        let answer = post_raw(&app, Some(&secret(Scope::Api)), &headers, &body).await;
        assert!(answer.expect(400)["error"].as_str().unwrap().contains("1999-01-01"));
    })
    .await;
}

#[tokio::test]
async fn a_token_sees_the_tools_of_its_scope() {
    local(async {
        let app = TestApp::start().await;
        assert_eq!(names(&tools(&app, Scope::Trigger).await), ["trigger_flow"]);
        let all = tools(&app, Scope::Admin).await;
        let of_api = tools(&app, Scope::Api).await;
        let without_publishing: Vec<&str> = names(&all).into_iter().filter(|name| *name != "publish_flow").collect();
        assert_eq!(names(&of_api), without_publishing);
        assert_eq!(all.len(), of_api.len() + 1, "only publish_flow takes admin");
        // By its name: whether it only reads, and whether it destroys anything.
        let hints: Vec<(&str, [bool; 2])> = all
            .iter()
            .map(|tool| {
                let hint = |name: &str| tool["annotations"][name].as_bool().unwrap();
                (tool["name"].as_str().unwrap(), [hint("readOnlyHint"), hint("destructiveHint")])
            })
            .collect();
        let (reads, writes) = ([true, false], [false, false]);
        let expected = [
            ("list_flows", reads),
            ("get_flow", reads),
            ("create_flow", writes),
            ("validate_flow", reads),
            ("publish_flow", [false, true]),
            ("trigger_flow", writes),
            ("list_sessions", reads),
            ("get_session", reads),
            ("search_contacts", reads),
            ("get_contact", reads),
            ("send_message", writes),
        ];
        assert_eq!(hints, expected, "and none for sequences, which are flows here");
        for tool in &all {
            let reads = tool["annotations"]["readOnlyHint"].as_bool().unwrap();
            assert!(!reads || tool["annotations"]["idempotentHint"] == json!(true), "{tool}");
            assert_eq!(tool["inputSchema"].get("additionalProperties"), None, "clients add some: {tool}");
            assert_eq!(tool["outputSchema"]["type"], "object", "{tool}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_has_no_token_gets_nowhere() {
    local(async {
        let app = TestApp::start().await;
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
        for (token, body) in [(None, list.as_str()), (Some("qyvo_wrong"), &list), (None, "no JSON"), (None, "")] {
            let answer = post_raw(&app, token, &[], body).await;
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert_eq!(answer.expect(401), json!({"message": "Unauthenticated."}));
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_message_is_refused_in_json() {
    local(async {
        let app = TestApp::start().await;
        let token = secret(Scope::Api);
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
        for (body, code) in [("{", -32700), ("", -32700), ("[]", -32600), ("{\"id\": 1}", -32600), ("7", -32600)] {
            let answer = post_raw(&app, Some(&token), &[], body).await.expect(400);
            assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &Value::Null), "{body}: {answer}");
        }
        for accept in ["application/json", "text/html", "", "text/event-stream"] {
            let answer = post_raw(&app, Some(&token), &[("accept", accept)], &list).await.expect(406);
            assert!(answer["error"].as_str().unwrap().contains("text/event-stream"), "{accept}: {answer}");
        }
        let answer = post_raw(&app, Some(&token), &[("content-type", "text/plain")], &list).await.expect(415);
        assert!(answer["hint"].as_str().unwrap().contains("application/json"), "{answer}");
        let long = json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"long": "x".repeat(3 << 20)}});
        post_raw(&app, Some(&token), &[], &long.to_string()).await.expect(413);
        for method in [Method::GET, Method::DELETE, Method::PUT] {
            let answer = app.request(method, "/mcp", Some(&token), None).await;
            assert_eq!(answer.header("allow"), Some("POST"), "there is no stream and no session to end");
            answer.expect(405);
        }
    })
    .await;
}

#[tokio::test]
async fn strangers_pages_and_names_are_refused() {
    local(async {
        let app = TestApp::start_with(|config| config.server.public_url = "https://flows.example.com".to_owned()).await;
        let flow = app.publish(&question(30)).await;
        let before = app.rows();
        let arguments = json!({"flow_id": flow, "phone": PHONE});
        let params = json!({"name": "trigger_flow", "arguments": arguments});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
        let own = app.base.strip_prefix("http://").unwrap();
        for (host, origin) in [
            ("evil.example", ""),
            ("evil.example", "http://evil.example"),
            (own, "https://evil.example"),
            (own, "http://localhost:3000"),
            (own, "null"),
            ("flows.example.com", "http://flows.example.com:8080"),
        ] {
            let answer =
                post_raw(&app, Some(&secret(Scope::Admin)), &[("host", host), ("origin", origin)], &body).await;
            assert!(answer.expect(403)["hint"].as_str().unwrap().contains("server.public_url"), "{host} {origin}");
        }
        assert_eq!(app.rows(), before, "nobody was written to");
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
        for (host, origin) in [
            (own, ""),
            (own, app.base.as_str()),
            ("flows.example.com", "https://flows.example.com"),
            (own, "https://flows.example.com"),
            ("localhost:8080", "http://localhost:8080"),
        ] {
            post_raw(&app, Some(&secret(Scope::Admin)), &[("host", host), ("origin", origin)], &list).await.expect(200);
        }
    })
    .await;
}

#[tokio::test]
async fn assistants_share_the_rate_limit_of_their_token() {
    local(async {
        let app = TestApp::start_with(|config| config.limits.requests_per_minute = 3).await;
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
        let token = secret(Scope::Admin);
        app.get("/flows").await.expect(200);
        for left in ["1", "0"] {
            let answer = post_raw(&app, Some(&token), &[], &list).await;
            assert_eq!(answer.header("x-ratelimit-limit"), Some("3"));
            assert_eq!(answer.header("x-ratelimit-remaining"), Some(left));
            answer.expect(200);
        }
        let answer = post_raw(&app, Some(&token), &[], &list).await;
        assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        answer.expect(429);
        post_raw(&app, Some(&secret(Scope::Api)), &[], &list).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn a_flow_is_drafted_by_one_token_and_published_by_another() {
    local(async {
        let app = TestApp::start().await;
        let mut bad = question(30);
        bad["nodes"][0]["exits"]["tea"] = json!("nowhere");
        let checked = call(&app, Scope::Api, "validate_flow", json!({"document": bad})).await;
        assert_eq!(checked["is_publishable"], json!(false));
        let problem = &checked["problems"][0];
        assert_eq!((&problem["node"], &problem["severity"]), (&json!("ask"), &json!("error")), "{problem}");
        assert!(problem["field"].as_str().unwrap().contains("tea") && problem["text"].is_string(), "{problem}");
        assert_eq!(call(&app, Scope::Api, "list_flows", json!({})).await["data"], json!([]), "nothing was saved");

        let created = call(&app, Scope::Api, "create_flow", json!({"name": "Drinks", "document": question(30)})).await;
        assert_eq!((&created["name"], &created["status"]), (&json!("Drinks"), &json!("draft")));
        assert_eq!(created.get("document"), None, "the caller has it");
        let (id, revision) = (&created["id"], &created["revision"]);
        let read = call(&app, Scope::Api, "get_flow", json!({"id": id})).await;
        assert_eq!((&read["document"]["nodes"], &read["updated_by"]), (&question(30)["nodes"], &json!("api")));

        let arguments = json!({"id": id, "revision": revision, "note": "Tea, too"});
        let before = app.rows();
        let refused = refusal(&app, Scope::Api, "publish_flow", arguments.clone()).await;
        assert_eq!(refused, "This token lacks the scope `admin`.");
        assert_eq!(app.rows(), before, "nothing was published");
        let stale = refusal(&app, Scope::Admin, "publish_flow", json!({"id": id, "revision": 99})).await;
        assert!(stale.starts_with(&format!("The draft has revision {revision} now")), "{stale}");
        let unsaid = refusal(&app, Scope::Admin, "publish_flow", json!({"id": id, "force": true})).await;
        assert!(
            unsaid.contains("- revision: ") && unsaid.contains("- force: The force field is not known"),
            "{unsaid}"
        );
        assert_eq!(app.rows(), before);

        let published = call(&app, Scope::Admin, "publish_flow", arguments.clone()).await;
        assert_eq!((&published["version"], &published["id"]), (&json!(1), id));
        let again = call(&app, Scope::Admin, "publish_flow", arguments).await;
        assert_eq!((&again["version"], &again["unchanged"]), (&json!(1), &json!(true)));
        let listed = call(&app, Scope::Api, "list_flows", json!({"status": "published"})).await;
        assert_eq!((&listed["data"][0]["id"], &listed["data"][1]), (id, &Value::Null));
        assert_eq!(call(&app, Scope::Api, "list_flows", json!({"status": "draft"})).await["data"], json!([]));

        let lost = json!({"schema_version": 1, "name": "Lost", "entry_node": "a",
                          "nodes": [{"id": "a", "type": "end"}, {"id": "b", "type": "end"}]});
        let lost = call(&app, Scope::Admin, "create_flow", json!({"document": lost})).await;
        let arguments = json!({"id": lost["id"], "revision": lost["revision"]});
        let refused = refusal(&app, Scope::Admin, "publish_flow", arguments).await;
        assert!(
            refused.starts_with("No way leads to `b`.\n") && refused.contains(r#""accept": ["unreachable_node"]"#),
            "{refused}"
        );
        let arguments = json!({"id": lost["id"], "revision": lost["revision"], "accept": ["unreachable_node"]});
        assert_eq!(call(&app, Scope::Admin, "publish_flow", arguments).await["version"], 1);

        let broken = call(&app, Scope::Admin, "create_flow", json!({"document": bad})).await;
        let arguments = json!({"id": broken["id"], "revision": broken["revision"]});
        let refused = refusal(&app, Scope::Admin, "publish_flow", arguments).await;
        assert!(refused.starts_with("The flow has 1 problem to mend.\n") && refused.contains("nowhere"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn lists_of_flows_go_on_where_they_stopped() {
    local(async {
        let app = TestApp::start().await;
        for name in ["A", "B", "C"] {
            call(&app, Scope::Api, "create_flow", json!({"name": name})).await;
        }
        let first = call(&app, Scope::Api, "list_flows", json!({"limit": 2, "kind": "flow"})).await;
        let rest = call(&app, Scope::Api, "list_flows", json!({"limit": 2, "cursor": first["next_cursor"]})).await;
        let seen: Vec<&Value> = [&first, &rest].iter().flat_map(|page| page["data"].as_array().unwrap()).collect();
        let seen: Vec<&str> = seen.iter().map(|flow| flow["name"].as_str().unwrap()).collect();
        assert_eq!((seen, &rest["next_cursor"]), (vec!["A", "B", "C"], &Value::Null));
        let refused =
            refusal(&app, Scope::Api, "list_flows", json!({"limit": 0, "cursor": "x", "status": "gone"})).await;
        for field in ["- limit: ", "- cursor: ", "- status: "] {
            assert!(refused.contains(field), "{refused}");
        }
    })
    .await;
}

#[tokio::test]
async fn credentials_in_a_flow_are_shown_to_admins_only() {
    local(async {
        let app = TestApp::start().await;
        let document = json!({
            "schema_version": 1, "name": "Stock", "entry_node": "look", "nodes": [
                {"id": "look", "type": "http_request", "url": "https://stock.example/?key=s3cret",
                 "headers": {"Authorization": "Bearer s3cret"}, "save_as": "stock", "exits": {}},
            ]
        });
        let flow = app.publish(&document).await;
        let seen = call(&app, Scope::Api, "get_flow", json!({"id": flow})).await;
        assert!(!seen.to_string().contains("s3cret"), "{seen}");
        let node = &seen["document"]["nodes"][0];
        assert_eq!((&node["headers"], &node["save_as"]), (&json!("***"), &json!("stock")));
        let seen = call(&app, Scope::Admin, "get_flow", json!({"id": flow})).await;
        assert_eq!(seen["document"]["nodes"], document["nodes"]);

        // What was called stands in the trace, filled in; so does what could not be called.
        let mut misspelt = document.clone();
        misspelt["nodes"][0]["url"] = json!("https://{{context.host}}/?key=s3cret");
        let misspelt = app.publish(&misspelt).await;
        for (flow, told, host) in [(flow, "http_request", "stock.example"), (misspelt, "nothing was called", "")] {
            let context = json!({"host": ""});
            let body = json!({"flow_id": flow, "phone": PHONE, "context": context});
            let started = app.post("/actions/trigger-flow", &body).await.expect(201);
            let seen = call(&app, Scope::Api, "get_session", json!({"id": started["id"]})).await.to_string();
            assert!(!seen.contains("s3cret") && !seen.contains("stock.example"), "{seen}");
            assert!(seen.contains(told) && seen.contains("***"), "that it was tried is no secret: {seen}");
            let seen = call(&app, Scope::Admin, "get_session", json!({"id": started["id"]})).await;
            assert!(seen.to_string().contains(&format!("://{host}/?key=s3cret")), "{seen}");
            assert_eq!(seen["turns"], json!(app.turns(&started["id"]).await));
        }
        for unknown in [Uuid::now_v7().to_string(), "nonsense".to_owned()] {
            assert_eq!(refusal(&app, Scope::Api, "get_flow", json!({"id": unknown})).await, "Flow not found");
        }
    })
    .await;
}

#[tokio::test]
async fn a_conversation_is_started_and_looked_into() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let arguments = json!({"flow_id": flow, "phone": PHONE, "context": {"from": "assistant"}});
        let started = call(&app, Scope::Trigger, "trigger_flow", arguments.clone()).await;
        assert_eq!((&started["status"], &started["flow_name"]), (&json!("started"), &json!("Question")));
        let again = call(&app, Scope::Trigger, "trigger_flow", arguments.clone()).await;
        assert_eq!((&again["status"], &again["id"]), (&json!("already_running"), &started["id"]));
        let mut failing = arguments.clone();
        failing["on_running"] = json!("fail");
        let refused = refusal(&app, Scope::Trigger, "trigger_flow", failing).await;
        assert!(refused.starts_with("A session is already running\n"), "{refused}");
        assert!(refused.contains(started["id"].as_str().unwrap()), "{refused}");
        assert_eq!(app.count("sessions"), 1);
        let mut document = question(30);
        (document["kind"], document["name"]) = (json!("sequence"), json!("Days"));
        let sequence = app.publish(&document).await;
        let arguments = json!({"flow_id": sequence, "phone": "+14155550188"});
        let of_sequence = call(&app, Scope::Trigger, "trigger_flow", arguments).await;
        assert_eq!((&of_sequence["status"], &of_sequence["sequence_id"]), (&json!("started"), &json!(sequence)));
        assert_eq!((&of_sequence["sequence_name"], &of_sequence["flow_id"]), (&json!("Days"), &Value::Null));

        app.say(PHONE, "tea").await;
        let listed = call(&app, Scope::Api, "list_sessions", json!({"flow_id": flow, "status": "completed"})).await;
        assert_eq!((&listed["data"][0]["id"], &listed["next_cursor"]), (&started["id"], &Value::Null));
        let seen = call(&app, Scope::Api, "get_session", json!({"id": started["id"]})).await;
        assert_eq!((&seen["status"], &seen["outcome"]), (&json!("completed"), &json!("answered")));
        assert_eq!(seen["context"]["from"], "assistant");
        let turns = seen["turns"].as_array().unwrap();
        assert_eq!(turns.len(), 2);
        assert_eq!(turns[1]["path"][0]["exit"], "tea");
        assert_eq!(turns[1]["messages"][0]["text"], "Coming up: tea");
        let page = call(&app, Scope::Api, "get_session", json!({"id": started["id"], "limit": 1})).await;
        let later = json!({"id": started["id"], "limit": 1, "cursor": page["next_cursor"]});
        assert_eq!(call(&app, Scope::Api, "get_session", later).await["turns"][0], turns[1]);
    })
    .await;
}

#[tokio::test]
async fn a_message_is_sent_outside_any_flow() {
    local(async {
        let app = TestApp::start().await;
        let sent = call(&app, Scope::Api, "send_message", json!({"phone": PHONE, "text": "Hello from us"})).await;
        assert_eq!((&sent["status"], &sent["whatsapp_message_id"]), (&json!("simulated"), &Value::Null));
        let contact = &sent["contact_id"];
        assert_eq!(app.talk(contact).await, ["out Hello from us [simulated]"]);
        let template = json!({"name": "cart", "language": "en", "body": "Your cart of {{1}} waits, {{name}}."});
        let template = app.post("/templates", &template).await.expect(201);
        let mut arguments = json!({
            "contact_id": contact, "template_id": template["id"], "variables": {"1": "129", "name": "Anna"}
        });
        call(&app, Scope::Api, "send_message", arguments.clone()).await;
        assert_eq!(app.talk(contact).await[1], "out Your cart of 129 waits, Anna. [simulated]");

        let before = app.count("messages");
        arguments["variables"] = json!({"1": "129"});
        let refused = refusal(&app, Scope::Api, "send_message", arguments).await;
        assert!(refused.contains("\"missing\":[\"name\"]"), "{refused}");
        for (arguments, said) in [
            (json!({"text": "x"}), "- phone: "),
            (json!({"phone": PHONE}), "- text: The text field is required."),
            (json!({"phone": PHONE, "text": "  "}), "- text: The text must not be blank."),
            (json!({"phone": PHONE, "type": "template"}), "- template_id: "),
            (
                json!({"phone": PHONE, "text": "x", "template_id": template["id"]}),
                "- text: The text field is not known",
            ),
            (json!({"phone": PHONE, "text": "x", "media": "y"}), "- media: The media field is not known"),
            (json!({"contact_id": contact, "phone": "+14155550199", "text": "x"}), "belong to different contacts"),
            (json!({"contact_id": Uuid::now_v7(), "text": "x"}), "Contact not found"),
        ] {
            let refused = refusal(&app, Scope::Api, "send_message", arguments).await;
            assert!(refused.contains(said), "{said}: {refused}");
        }
        let refused = refusal(&app, Scope::Trigger, "send_message", json!({"phone": PHONE, "text": "x"})).await;
        assert_eq!(refused, "This token lacks the scope `api`.");
        assert_eq!(app.count("messages"), before);
    })
    .await;
}

#[tokio::test]
async fn a_number_in_another_notation_reaches_the_same_person() {
    local(async {
        let app = TestApp::start().await;
        let made = app.post("/actions/create-contact", &json!({"phone": "+5541988887777"})).await.expect(201);
        let both = json!({"contact_id": made["id"], "phone": "+554188887777"});
        assert_eq!(call(&app, Scope::Api, "get_contact", both.clone()).await["id"], made["id"]);
        assert_eq!(call(&app, Scope::Api, "get_contact", json!({"phone": "+554188887777"})).await["id"], made["id"]);
        let mut message = both;
        message["text"] = json!("Hi");
        assert_eq!(call(&app, Scope::Api, "send_message", message).await["contact_id"], made["id"]);
        assert_eq!((app.count("contacts"), app.count("messages")), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_repeated_under_its_key_reaches_people_once() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let start = json!({"flow_id": flow, "phone": PHONE, "on_running": "restart", "context": {"a": 1, "b": 2},
            "idempotency_key": "k"});
        let same = json!({"idempotency_key": "k", "context": {"b": 2, "a": 1}, "on_running": "restart",
            "phone": PHONE, "flow_id": flow});
        let started = call(&app, Scope::Trigger, "trigger_flow", start.clone()).await;
        assert_eq!(call(&app, Scope::Trigger, "trigger_flow", same).await, started, "their order says nothing");
        assert_eq!((app.count("sessions"), app.count("messages")), (1, 1));
        let message = json!({"phone": PHONE, "text": "Hello", "idempotency_key": "k"});
        let sent = call(&app, Scope::Api, "send_message", message.clone()).await;
        assert_eq!(call(&app, Scope::Api, "send_message", message.clone()).await, sent);
        assert_eq!(app.count("messages"), 2, "and the two tools do not share a key");
        let mut other = message.clone();
        other["phone"] = json!("+14155550188");
        let refused = refusal(&app, Scope::Api, "send_message", other).await;
        assert!(refused.starts_with("This idempotency_key was used with other arguments."), "{refused}");
        let mut other = start;
        other["context"] = json!({"a": 2});
        refusal(&app, Scope::Trigger, "trigger_flow", other).await;
        for (key, said) in [(json!("k".repeat(256)), "- idempotency_key: "), (json!(7), "- idempotency_key: ")] {
            let mut wrong = message.clone();
            wrong["idempotency_key"] = key;
            let refused = refusal(&app, Scope::Api, "send_message", wrong).await;
            assert!(refused.contains(said), "{refused}");
        }
        assert_eq!((app.count("sessions"), app.count("messages")), (1, 2));
        let mut without = message;
        without["idempotency_key"] = json!("");
        for _ in 0..2 {
            call(&app, Scope::Api, "send_message", without.clone()).await;
        }
        assert_eq!(app.count("messages"), 4, "without a key each call is a message");
    })
    .await;
}

#[tokio::test]
async fn people_are_found_and_looked_at() {
    local(async {
        let app = TestApp::start().await;
        let contact = call(&app, Scope::Api, "send_message", json!({"phone": PHONE, "text": "Hi"})).await;
        let id = &contact["contact_id"];
        let path = format!("/contacts/{}", id.as_str().unwrap());
        app.patch(&path, &json!({"name": "Anna", "tags": ["vip"]})).await.expect(200);
        for (filter, found) in [
            (json!({"query": "ann"}), 1),
            (json!({"tag": "vip"}), 1),
            (json!({}), 1),
            (json!({"query": "bob"}), 0),
            (json!({"query": "ann", "tag": "new"}), 0),
        ] {
            let answer = call(&app, Scope::Api, "search_contacts", filter.clone()).await;
            assert_eq!(answer["data"].as_array().unwrap().len(), found, "{filter}: {answer}");
        }
        for whom in [json!({"contact_id": id}), json!({"phone": PHONE})] {
            let seen = call(&app, Scope::Api, "get_contact", whom).await;
            assert_eq!((&seen["id"], &seen["name"], &seen["tags"]), (id, &json!("Anna"), &json!(["vip"])));
        }
        for (tool, arguments, said) in [
            ("get_contact", json!({"phone": "+14155550199"}), "Contact not found"),
            ("get_contact", json!({}), "None of contact_id, phone, email provided"),
            ("search_contacts", json!({"query": 7}), "- query: "),
        ] {
            let refused = refusal(&app, Scope::Api, tool, arguments).await;
            assert!(refused.contains(said), "{said}: {refused}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_changes_nothing_and_says_why() {
    local(async {
        let app = TestApp::start().await;
        let draft = call(&app, Scope::Api, "create_flow", json!({"name": "Draft"})).await;
        let before = app.rows();
        let refused =
            refusal(&app, Scope::Trigger, "trigger_flow", json!({"flow_id": draft["id"], "phone": PHONE})).await;
        assert!(refused.starts_with("Flow not found or not published\n") && refused.contains("publish"), "{refused}");
        let refused = refusal(&app, Scope::Trigger, "trigger_flow", json!({"flow": "x", "phone": "12"})).await;
        for field in ["- flow_id: ", "- phone: ", "- flow: The flow field is not known"] {
            assert!(refused.contains(field), "{refused}");
        }
        for (tool, arguments, said) in [
            ("list_flows", json!({}), "This token lacks the scope `api`."),
            ("create_flow", json!({"name": "x"}), "This token lacks the scope `api`."),
            ("publish_flow", json!({}), "This token lacks the scope `admin`."),
        ] {
            assert_eq!(refusal(&app, Scope::Trigger, tool, arguments).await, said);
        }
        for (tool, arguments, said) in [
            ("create_flow", json!({"document": "text"}), "- document: The document must be an object."),
            ("validate_flow", json!({}), "- document: The document field is required."),
            ("validate_flow", json!({"document": 7}), "- document: The document must be an object."),
            ("get_flow", json!({}), "- id: The id field is required."),
            ("get_session", json!({"id": "x"}), "Session not found"),
            ("list_sessions", json!({"contact_id": "x"}), "- contact_id: "),
        ] {
            let refused = refusal(&app, Scope::Api, tool, arguments).await;
            assert!(refused.contains(said), "{tool}: {refused}");
        }
        let unknown = ask(&app, Scope::Admin, "tools/call", json!({"name": "drop_database"})).await.unwrap_err();
        assert_eq!(unknown["code"], -32602);
        assert_eq!(app.rows(), before);
    })
    .await;
}

#[tokio::test]
async fn the_guides_example_can_be_published() {
    local(async {
        let app = TestApp::start().await;
        let listed = ask(&app, Scope::Api, "resources/list", json!({})).await.unwrap();
        let uri = &listed["resources"][0]["uri"];
        let read = ask(&app, Scope::Api, "resources/read", json!({"uri": uri})).await.unwrap();
        let text = read["contents"][0]["text"].as_str().unwrap();
        assert_eq!(listed["resources"][0]["size"], json!(text.len()));
        let example = text.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
        let document: Value = serde_json::from_str(example).unwrap();
        let checked = call(&app, Scope::Api, "validate_flow", json!({"document": document})).await;
        assert_eq!(checked, json!({"problems": [], "is_publishable": true}), "not even a warning");
        let none = ask(&app, Scope::Api, "resources/read", json!({"uri": "file:///etc/passwd"})).await.unwrap_err();
        assert!(none["message"].as_str().unwrap().contains("qyvo://guide/flow-document"), "{none}");
    })
    .await;
}

/// How the protocol's own client is installed.
const INSTALL: &str = "npm install --prefix target/tools --no-save axe-core whatsapp-api-js \
                       @modelcontextprotocol/sdk@1.32.2 (all of them, or one goes)";

/// The protocol's own client; `None` says loudly that it is missing.
pub(crate) fn start_client(url: &str, token: &str) -> Option<Program> {
    let library = "node_modules/@modelcontextprotocol/sdk";
    if !is_there(library, INSTALL) {
        return None;
    }
    let settings = json!({"url": url, "token": token, "library": folder().join(library)}).to_string();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/with_mcp_sdk.mjs");
    Some(Program::start(Command::new("node").arg(script).arg(settings)))
}

/// Calls a tool that must succeed. The client itself holds the answer against the tool's schema.
pub(crate) fn call_by(client: &mut Program, tool: &str, arguments: &Value) -> Value {
    let result = client.order(json!({"call": tool, "arguments": arguments}));
    assert_eq!(result["isError"], json!(false), "{tool}: {result}");
    result["structuredContent"].clone()
}

/// Waits for a client on a thread that may block, since the server runs on this one.
pub(crate) async fn with_client<T: Send + 'static>(
    client: Program,
    work: impl FnOnce(&mut Program) -> T + Send + 'static,
) -> (Program, T) {
    let work = move || {
        let mut client = client;
        let done = work(&mut client);
        (client, done)
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test]
async fn the_protocols_own_client_builds_and_runs_a_flow() {
    local(async {
        let app = TestApp::start().await;
        let url = format!("{}/mcp", app.base);
        let Some(client) = start_client(&url, &secret(Scope::Admin)) else { return };
        let (client, id) = with_client(client, |client| {
            assert_eq!(client.read(), json!({"connected": true}));
            let server = client.order(json!({"server": true}));
            assert_eq!((&server["name"]["name"], &server["can"]["tools"]), (&json!("qyvo"), &json!({})), "{server}");
            let listed = client.order(json!({"tools": true}));
            assert!(names(listed["tools"].as_array().unwrap()).contains(&"publish_flow"));
            let guide = client.order(json!({"read": "qyvo://guide/flow-document"}));
            let text = guide["contents"][0]["text"].as_str().unwrap().to_owned();
            let example = text.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
            let document: Value = serde_json::from_str(example).unwrap();
            let checked = call_by(client, "validate_flow", &json!({"document": document}));
            assert_eq!(checked["is_publishable"], json!(true));
            let created = call_by(client, "create_flow", &json!({"document": document}));
            let flow = call_by(client, "get_flow", &json!({"id": created["id"]}));
            let publication = json!({"id": flow["id"], "revision": flow["revision"]});
            assert_eq!(call_by(client, "publish_flow", &publication)["version"], json!(1));
            assert_eq!(call_by(client, "list_flows", &json!({}))["data"][0]["status"], "published");
            let refused =
                client.order(json!({"call": "trigger_flow", "arguments": {"flow_id": flow["id"], "phone": PHONE}}));
            assert_eq!(refused["isError"], json!(true), "the order's number is missing: {refused}");
            assert!(refused["content"][0]["text"].as_str().unwrap().contains("order_id"), "{refused}");
            let start = json!({"flow_id": flow["id"], "phone": PHONE, "context": {"order_id": "A7"}});
            call_by(client, "trigger_flow", &start)["id"].clone()
        })
        .await;
        app.say(PHONE, "great").await;
        let (_, ended) = with_client(client, move |client| {
            let listed = call_by(client, "list_sessions", &json!({"status": "completed"}));
            assert_eq!(listed["data"][0]["id"], id, "{listed}");
            let session = call_by(client, "get_session", &json!({"id": id}));
            assert_eq!(session["turns"][0]["messages"][0]["text"], "Hi there, how was the delivery of order A7?");
            client.order(json!({"end": true}))
        })
        .await;
        assert_eq!(ended, json!({"session": null}));
    })
    .await;
}

#[tokio::test]
async fn the_protocols_own_client_is_told_that_it_has_no_token() {
    local(async {
        let app = TestApp::start().await;
        let Some(client) = start_client(&format!("{}/mcp", app.base), "qyvo_wrong") else { return };
        let (_, said) = with_client(client, Program::read).await;
        assert_eq!(said["code"], json!(401), "{said}");
        assert!(said["failed"].as_str().unwrap().contains("Unauthenticated."), "{said}");
    })
    .await;
}
