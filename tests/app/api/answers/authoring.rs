//! Flows and what belongs to them, and who may come in.

use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use super::Story;
use testkit::app::{local, question, secret};
use testkit::site::{Site, answer};

const FLOW: &str = "0198a000-0000-4000-8000-000000000001";
const OTHER: &str = "0198a000-0000-4000-8000-000000000002";
const UNKNOWN: &str = "0198a000-0000-4000-8000-00000000dead";

fn document() -> Value {
    let mut document = question(30);
    document["id"] = json!(FLOW);
    document
}

/// A document of which a node is reached by none.
fn unreachable() -> Value {
    let mut document = document();
    document["nodes"].as_array_mut().unwrap().push(json!({"id": "alone", "type": "end", "outcome": "never"}));
    document
}

async fn drafts(story: &mut Story) {
    story.get("flows-none", "/flows").await;
    let made = story.post("flow-made", "/flows", json!({"name": "Mine", "kind": "sequence"})).await;
    let mine = format!("/flows/{}", story.call(&made["id"], "flow mine"));
    story.post("flow-refused", "/flows", json!({"name": "", "kind": "poem", "document": 7, "colour": 1})).await;
    story.post("flow-imported", "/flows/import", document()).await;
    story.post("flow-import-refused", "/flows/import", json!({"name": "x", "nodes": [{"id": "a"}]})).await;
    story.post("flow-import-unreachable", "/flows/import?publish=true", unreachable()).await;
    let path = "/flows/import?publish=true&accept=unreachable_node";
    story.post("flow-published-at-once", path, unreachable()).await;
    story.post("flow-published-unchanged", path, unreachable()).await;
    story.get("flow", &format!("/flows/{FLOW}")).await;
    story.get("flow-unknown", &format!("/flows/{UNKNOWN}")).await;
    let saved = json!({"document": question(45)});
    let flow = format!("/flows/{FLOW}");
    story.send("flow-saved-blindly", Method::PUT, &flow, &[], saved.clone()).await;
    story.send("flow-saved-stale", Method::PUT, &flow, &[("If-Match", "\"7\"")], saved.clone()).await;
    story.send("flow-saved", Method::PUT, &flow, &[("If-Match", "*")], saved).await;
    story.post("flow-validated", "/flows/validate", unreachable()).await;
    story.post("flow-validated-badly", "/flows/validate", json!({"nodes": []})).await;
    story.get("flow-exported", &format!("{flow}/export")).await;
    story.post("flow-duplicated", &format!("{flow}/duplicate"), json!({})).await;
    story.post("flow-published", &format!("{flow}/publish"), json!({"note": "Second"})).await;
    story.post("flow-published-again", &format!("{flow}/publish"), json!({})).await;
    story.post("flow-publish-refused", &format!("{flow}/publish"), json!({"note": 7, "accept": ["x"]})).await;
    story.get("flow-versions", &format!("{flow}/versions")).await;
    story.get("flow-versions-page", &format!("{flow}/versions?limit=1")).await;
    story.get("flow-version", &format!("{flow}/versions/1")).await;
    story.get("flow-version-unknown", &format!("{flow}/versions/9")).await;
    story.post("flow-restored", &format!("{flow}/versions/1/restore"), json!({})).await;
    for phone in ["+14155550101", "+14155550102"] {
        story.app.trigger(FLOW.parse().unwrap(), phone).await.expect(201);
    }
    story.get("flows", "/flows?limit=2").await;
    story.post("flow-got", "/actions/get-flow", json!({"flow_id": FLOW})).await;
    story.post("sequence-got", "/actions/get-sequence", json!({"sequence_id": made["id"]})).await;
    story.post("sequence-got-none", "/actions/get-sequence", json!({"sequence_id": FLOW})).await;
    story.get("flow-choices", "/dropdowns/flows").await;
    story.get("sequence-choices", "/dropdowns/sequences").await;
    story.send("flow-in-use", Method::DELETE, &flow, &[], Value::Null).await;
    story.get("flow-stop-foreseen", &format!("{flow}/stop")).await;
    story.post("flow-stopped", &format!("{flow}/stop"), json!({})).await;
    story.app.publish(&document()).await;
    story.post("flow-unpublished", &format!("{flow}/unpublish"), json!({})).await;
    story.send("flow-deleted", Method::DELETE, &mine, &[], Value::Null).await;
}

async fn simulations(story: &mut Story) {
    let start = json!({"flow_id": FLOW, "seed": 3, "now": "2026-05-07T08:00:00Z"});
    let begun = story.post("simulation-started", "/simulations", start).await;
    let simulation = story.call(&begun["id"], "simulation");
    let events = format!("/simulations/{simulation}/events");
    story.post("simulation-advanced", &events, json!({"type": "advance", "seconds": 10})).await;
    story.post("simulation-replied", &events, json!({"type": "reply", "text": "coffee"})).await;
    story.post("simulation-over", &events, json!({"type": "timeout"})).await;
    story.post("simulation-event-refused", &events, json!({"type": "tap", "message": "x"})).await;
    story.get("simulation", &format!("/simulations/{simulation}")).await;
    story.get("simulation-unknown", &format!("/simulations/{UNKNOWN}")).await;
    let choice = json!({
        "schema_version": 1, "name": "Choice", "entry_node": "ask",
        "nodes": [
            {"id": "ask", "type": "menu", "text": "Which?", "options": [{"id": "a", "title": "A"}],
             "exits": {"a": "end", "no_match": "end"}},
            {"id": "end", "type": "end", "outcome": "over", "text": "Look"}
        ]
    });
    let contact = json!({"name": "Ana", "phone": "+14155550101", "email": "a@example.com", "language": "pt",
                         "tags": ["b", "a"], "metadata": {"z": 1, "a": null}});
    let start = json!({"flow": choice, "seed": 5, "now": "2026-05-07T08:00:00Z", "channel": "whatsapp",
                       "contact": contact});
    story.post("simulation-of-document", "/simulations", start).await;
    let wrong = json!({"flow_id": FLOW, "flow": {}, "contact": {"phone": "1", "tags": 7}, "channel": "pigeon",
                       "http": [{"status": 7}]});
    story.post("simulation-refused", "/simulations", wrong).await;

    let cases = format!("/flows/{FLOW}/test-cases");
    let case = json!({"name": "Coffee", "simulation_id": simulation});
    let case = story.post("test-case-made", &cases, case).await;
    let id = story.call(&case["id"], "test case");
    story.post("test-case-taken", &cases, json!({"name": "Coffee", "script": case["script"]})).await;
    story.post("test-case-refused", &cases, json!({"name": "", "script": {"steps": [7]}, "colour": 1})).await;
    let mut broken = case["script"].clone();
    broken["steps"][1]["expect"]["outcome"] = json!("silent");
    story.app.post(&cases, &json!({"name": "Broken", "script": broken})).await.expect(201);
    story.get("test-cases", &cases).await;
    story.post("test-cases-run", &format!("{cases}/run"), json!({})).await;
    story.post("test-cases-stop-publish", &format!("/flows/{FLOW}/publish"), json!({})).await;
    story.send("test-case-deleted", Method::DELETE, &format!("{cases}/{id}"), &[], Value::Null).await;
}

async fn templates(story: &mut Story) {
    let plain = json!({"name": "plain", "language": "en", "body": "Hello"});
    let made = story.post("template-made", "/templates", plain.clone()).await;
    let path = format!("/templates/{}", story.call(&made["id"], "template plain"));
    story.post("template-taken", "/templates", plain).await;
    story.post("template-refused", "/templates", json!({"name": "A B", "language": "", "buttons": 7})).await;
    let rich = json!({
        "name": "rich", "language": "pt_BR", "category": "marketing", "body": "Hi {{name}}, {{2}}", "footer": "Bye",
        "header": {"kind": "text", "text": "Big {{1}}"},
        "buttons": [{"kind": "quick_reply", "text": "Yes"},
                    {"kind": "url", "text": "Open", "url": "https://x.example/{{1}}"},
                    {"kind": "phone_number", "text": "Call", "phone_number": "+14155550123"}]
    });
    let rich = story.post("template-made-rich", "/templates", rich).await;
    let change = json!({"body": "Bye {{1}}", "footer": "Yours"});
    story.send("template-changed", Method::PATCH, &path, &[], change).await;
    story.get("template", &path).await;
    story.get("template-unknown", &format!("/templates/{UNKNOWN}")).await;
    story.get("templates", "/templates?limit=1").await;
    let listed = story.post("templates-public", "/actions/list-templates", json!({})).await;
    for template in listed.as_array().unwrap() {
        let name = template["name"].as_str().unwrap();
        let body = json!({"template_id": template["id"]});
        story.post(&format!("template-public-{name}"), "/actions/get-template", body).await;
    }
    assert!(rich.is_object());
    story.get("template-choices", "/dropdowns/templates").await;
    let id = listed[0]["id"].as_str().unwrap();
    story.get("variable-choices", &format!("/dropdowns/template-variables?template_id={id}")).await;
    story.get("variable-choices-refused", "/dropdowns/template-variables").await;
    story.post("templates-not-synced", "/templates/sync", json!({})).await;
    story.send("template-deleted", Method::DELETE, &path, &[], Value::Null).await;
}

async fn access(story: &mut Story) {
    let made = story.post("token-made", "/tokens", json!({"name": "Till", "scope": "api", "rate_limit": 60})).await;
    let path = format!("/tokens/{}", story.call(&made["id"], "token till"));
    story.post("token-refused", "/tokens", json!({"name": "", "scope": "all", "rate_limit": -1})).await;
    story.send("token-changed", Method::PATCH, &path, &[], json!({"rate_limit": null})).await;
    story.post("token-rotated", &format!("{path}/rotate"), json!({"grace": "1h"})).await;
    story.post("token-not-rotated", &format!("{path}/rotate"), json!({"grace": "31d"})).await;
    story.send("token-revoked", Method::DELETE, &path, &[], Value::Null).await;
    story.get("tokens", "/tokens").await;
    story.get("me", "/me").await;
    let account = json!({"account.name": "Ana", "account.email": "ana@example.com", "account.tenant": "Shop"});
    let change = story.request(Method::PUT, "/settings").json(&account);
    let is_changed = |row: &Value| row["key"].as_str().is_some_and(|key| account.get(key).is_some());
    story.ask_for("settings-changed", change, is_changed).await;
    story.send("settings-refused", Method::PUT, "/settings", &[], json!({"colour": 1, "account.email": 7})).await;
    story.get("me-named", "/me").await;
    let (base, client) = (story.app.base.clone(), story.app.client.clone());
    story.ask("admin-set-up", client.get(format!("{base}/api/v1/admin/session"))).await;
    let code = story.app.set_up_code.clone().unwrap();
    let set_up = json!({"code": code, "password": "a long enough pass phrase", "name": "Ana"});
    story.ask("admin-logged-in", client.post(format!("{base}/api/v1/admin/set-up")).json(&set_up)).await;
    story.ask("admin-session", client.get(format!("{base}/api/v1/admin/session"))).await;
    let api = client.get(format!("{base}/api/v1/tokens")).bearer_auth(secret(Scope::Api));
    story.ask("tokens-forbidden", api).await;
}

async fn channels(story: &mut Story) {
    let (base, client) = (story.app.base.clone(), story.app.client.clone());
    story.get_channels("channels").await;
    story.ask("ready", client.get(format!("{base}/readyz"))).await;
    story.post("channel-tested", "/channels/simulator/test", json!({})).await;
    story.post("channel-not-live", "/channels/whatsapp/test", json!({})).await;
    story.post("channel-unknown", "/channels/pigeon/pause", json!({})).await;
    story.post("channel-paused", "/channels/simulator/pause", json!({"reason": "Lunch"})).await;
    story.ask("degraded", client.get(format!("{base}/readyz"))).await;
    story.post("channel-resumed", "/channels/simulator/resume", json!({})).await;
    story.get("strays", "/channels/whatsapp/strays").await;
}

async fn endpoints(story: &mut Story) {
    let site = Site::start(|_| answer(500, "text/plain", b"not now")).await;
    let chosen = json!({"url": site.url("/hook"), "events": ["session.started", "contact.opted_out"]});
    let made = story.post("endpoint-made", "/webhook-endpoints", chosen).await;
    let path = format!("/webhook-endpoints/{}", story.call(&made["id"], "endpoint"));
    story.post("endpoint-refused", "/webhook-endpoints", json!({"url": "x", "events": ["y"], "description": 7})).await;
    let mut other = document();
    other["id"] = json!(OTHER);
    story.app.publish(&other).await;
    story.app.trigger(OTHER.parse().unwrap(), "+14155550103").await.expect(201);
    story.app.runtime.run_due_webhooks().await.unwrap();
    story.get("endpoints-failing", "/webhook-endpoints").await;
    let tested = story.post("endpoint-tested", &format!("{path}/test"), json!({})).await;
    assert!(tested["delivery_id"].is_string());
    story.app.runtime.run_due_webhooks().await.unwrap();
    story.get("endpoint-deliveries", &format!("{path}/deliveries?status=queued")).await;
    story.post("endpoint-tried", &format!("{path}/try-now"), json!({})).await;
    story.post("endpoint-rotated", &format!("{path}/rotate-secret"), json!({})).await;
    let off = json!({"is_active": false, "description": "Old"});
    story.send("endpoint-changed", Method::PATCH, &path, &[], off).await;
    story.post("endpoint-off", &format!("{path}/test"), json!({})).await;
    story.send("endpoint-deleted", Method::DELETE, &path, &[], Value::Null).await;
    story.get("endpoint-unknown", &path).await;
}

/// The chat in a terminal, asked where it stands.
fn chat(story: &mut Story) {
    let file = story.app.folder.path().join("flow.json");
    std::fs::write(&file, document().to_string()).unwrap();
    let script = story.app.folder.path().join("script");
    std::fs::write(&script, "/state\ntea\n/state\n").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_qyvo"))
        .current_dir(story.app.folder.path())
        .env_clear()
        .args(["simulate", "flow.json", "--seed", "3", "--now", "2026-05-07T08:00:00Z", "--name", "Ana"])
        .args(["--context", r#"{"cart":{"z":1,"a":2.50}}"#])
        .stdin(std::fs::File::open(script).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    story.hold("chat-state", &String::from_utf8(output.stdout).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_on_flows_are_what_they_were() {
    local(async {
        let mut story = Story::begin("authoring", |_| {}).await;
        drafts(&mut story).await;
        simulations(&mut story).await;
        templates(&mut story).await;
        access(&mut story).await;
        channels(&mut story).await;
        endpoints(&mut story).await;
        chat(&mut story);
        story.end().await;
    })
    .await;
}
