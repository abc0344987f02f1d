//! Assistants' clients as they are: arguments that nobody asked for, pages that do not exist, and batches.

use qyvo::store::tokens::Scope;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question, secret};

use crate::api::mcp::{ask, call_by, post_raw, refusal, start_client, with_client};

/// What n8n's agents add to every call.
fn added() -> Value {
    json!({"toolCallId": "call_7", "sessionId": "abc", "action": "sendMessage", "chatInput": "Start it"})
}

/// Arguments with others beside them.
fn with(mut arguments: Value, more: Value) -> Value {
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    arguments
}

#[tokio::test]
async fn every_tool_can_be_used_by_a_client_that_adds_arguments_of_its_own() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let draft = app.post("/flows", &json!({"document": question(30)})).await.expect(201);
        app.trigger(flow, "+14155550199").await.expect(201);
        let sessions = app.get("/sessions").await.expect(200);
        let url = format!("{}/mcp", app.base);
        let Some(client) = start_client(&url, &secret(Scope::Admin)) else { return };
        let (_, listed) = with_client(client, move |client| {
            client.read();
            let listed = client.order(json!({"tools": true}));
            let start = json!({"flow_id": flow, "phone": PHONE, "idempotency_key": "once"});
            for (tool, arguments) in [
                ("list_flows", json!({})),
                ("get_flow", json!({"id": flow})),
                ("create_flow", json!({"name": "New"})),
                ("validate_flow", json!({"document": question(30)})),
                ("publish_flow", json!({"id": draft["id"], "revision": draft["revision"]})),
                ("trigger_flow", start.clone()),
                ("list_sessions", json!({})),
                ("get_session", json!({"id": sessions["data"][0]["id"]})),
                ("search_contacts", json!({"query": "415"})),
                ("get_contact", json!({"phone": PHONE})),
                ("send_message", json!({"phone": "+14155550199", "text": "Hi"})),
            ] {
                let result = client.order(json!({"call": tool, "arguments": with(arguments, added())}));
                assert_eq!(result["isError"], json!(false), "{tool}: {result}");
                assert_eq!(result["content"].as_array().unwrap().len(), 1, "and no word of it: {result}");
            }
            // Repeated by such a client, a call has another id of its own, and is the same call.
            let again = with(start, json!({"toolCallId": "call_8"}));
            assert_eq!(call_by(client, "trigger_flow", &again)["status"], "started");
            listed
        })
        .await;
        assert_eq!(listed["tools"].as_array().unwrap().len(), 11, "each of them was called");
    })
    .await;
}

#[tokio::test]
async fn what_a_model_made_up_is_said_and_what_it_misspelt_is_refused() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let before = app.rows();
        let misspelt = json!({"flow_id": flow, "phone": PHONE, "onRunning": "restart"});
        let refused = refusal(&app, Scope::Trigger, "trigger_flow", misspelt).await;
        assert!(refused.contains("`onRunning`") && refused.contains("`on_running`"), "{refused}");
        let refused = refusal(&app, Scope::Trigger, "trigger_flow", json!({"flow_di": flow, "phone": PHONE})).await;
        assert!(refused.contains("`flow_di`") && refused.contains("`flow_id`"), "{refused}");
        assert_eq!(app.rows(), before, "nothing was started");
        // It would have run in earnest.
        let made_up = json!({"flow_id": flow, "phone": PHONE, "dry_run": true});
        let refused = refusal(&app, Scope::Trigger, "trigger_flow", made_up).await;
        assert!(refused.contains("- dry_run: The dry_run field is not known"), "{refused}");
        assert_eq!(app.rows(), before, "nothing was started");
        let params = json!({"name": "get_flow", "arguments": {"id": flow, "verbose": true, "depth": 7}});
        let result = ask(&app, Scope::Api, "tools/call", params).await.unwrap();
        assert_eq!((&result["isError"], &result["structuredContent"]["id"]), (&json!(false), &json!(flow)));
        let note = result["content"][1]["text"].as_str().unwrap();
        assert!(note.contains("`verbose`") && note.contains("`depth`"), "{note}");
    })
    .await;
}

#[tokio::test]
async fn a_cursor_that_nobody_gave_out_is_refused() {
    local(async {
        let app = TestApp::start().await;
        for method in ["tools/list", "resources/list", "resources/templates/list"] {
            for params in [json!({}), json!({"cursor": null})] {
                ask(&app, Scope::Api, method, params).await.unwrap();
            }
            for cursor in ["nonsense", "", "50"] {
                let wrong = ask(&app, Scope::Api, method, json!({"cursor": cursor})).await.unwrap_err();
                assert_eq!(wrong["code"], -32602, "{method} {cursor}: {wrong}");
                assert!(wrong["message"].as_str().unwrap().contains("cursor"), "{wrong}");
            }
        }
        // Lists that there are none of, and other methods of the protocol.
        for method in ["prompts/list", "prompts/get", "completion/complete", "logging/setLevel", "resources/subscribe"]
        {
            let wrong = ask(&app, Scope::Api, method, json!({"cursor": "x"})).await.unwrap_err();
            assert!([json!(-32601), json!(-32602)].contains(&wrong["code"]), "{method}: {wrong}");
        }
        let Some(client) = start_client(&format!("{}/mcp", app.base), &secret(Scope::Api)) else { return };
        with_client(client, |client| {
            client.read();
            for order in [json!({"tools": {"cursor": "x"}}), json!({"resources": {"cursor": "x"}})] {
                assert_eq!(client.order(&order)["code"], json!(-32602), "{order}");
            }
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn the_revision_that_has_batches_is_spoken_with_them() {
    local(async {
        let app = TestApp::start_with(|config| config.limits.requests_per_minute = 40).await;
        let flow = app.publish(&question(30)).await;
        let token = secret(Scope::Admin);
        let message = |id: Value, method: &str, params: Value| {
            json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        };
        let client = json!({"name": "a-test", "version": "1"});
        let params = json!({"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": client});
        let initialize = message(json!(0), "initialize", params);
        let agreed = post_raw(&app, Some(&token), &[], &initialize.to_string()).await.expect(200);
        assert_eq!(agreed["result"]["protocolVersion"], "2025-03-26");

        let start = json!({"name": "trigger_flow", "arguments": {"flow_id": flow, "phone": PHONE}});
        let notification = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let batch = json!([
            message(json!("a"), "ping", json!({})),
            notification,
            message(json!(2), "tools/call", start.clone()),
            message(json!(3), "tools/call", start),
            message(json!(4), "no/method", json!({})),
            {"id": 5},
            initialize,
        ])
        .to_string();
        for headers in [&[][..], &[("mcp-protocol-version", "2025-03-26")]] {
            let answers = post_raw(&app, Some(&token), headers, &batch).await.expect(200);
            let answers = answers.as_array().unwrap();
            let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
            assert_eq!(ids, [&json!("a"), &json!(2), &json!(3), &json!(4), &Value::Null, &json!(0)], "{answers:?}");
            assert_eq!(answers[0]["result"], json!({}));
            assert_eq!(answers[2]["result"]["structuredContent"]["status"], "already_running", "in their order");
            let codes: Vec<&Value> = answers[3..].iter().map(|answer| &answer["error"]["code"]).collect();
            assert_eq!(codes, [&json!(-32601), &json!(-32600), &json!(-32600)]);
        }
        assert_eq!(app.count("sessions"), 1);
        let told = post_raw(&app, Some(&token), &[], &json!([notification, notification]).to_string()).await;
        assert_eq!((told.status.as_u16(), &told.body), (202, &json!("")));
        for (headers, body) in [
            (&[][..], json!([])),
            (&[], json!(vec![message(json!(1), "ping", json!({})); 21])),
            (&[("mcp-protocol-version", "2025-06-18")], json!([message(json!(1), "ping", json!({}))])),
            (&[("mcp-protocol-version", "2025-11-25")], json!([message(json!(1), "ping", json!({}))])),
        ] {
            let refused = post_raw(&app, Some(&token), headers, &body.to_string()).await.expect(400);
            assert_eq!((&refused["error"]["code"], &refused["id"]), (&json!(-32600), &Value::Null), "{refused}");
        }
        // As many as the limit of its token lets through, however they are sent.
        let pings = json!(vec![message(json!(1), "ping", json!({})); 20]).to_string();
        let mut last = None;
        for _ in 0..3 {
            last = Some(post_raw(&app, Some(&token), &[], &pings).await);
        }
        let refused = last.unwrap();
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
        refused.expect(429);
    })
    .await;
}
