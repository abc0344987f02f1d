//! Every way to publish runs the same checks: the API, an import, an assistant's tool and the command line.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::process;

use crate::whatsapp::world::{World, cart, cart_template};

/// Runs `qyvo flow import --publish` on the server's file. Nothing of the server's configuration reaches the command.
fn import(world: &World, document: &Value) -> (bool, String, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("flow.json"), document.to_string()).unwrap();
    let file = world.app.folder.path().join("qyvo.db");
    let arguments = ["--database", file.to_str().unwrap(), "flow", "import", "flow.json", "--publish"];
    let done = process::command(folder.path(), &arguments);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (done.status.success(), text(&done.stdout), text(&done.stderr))
}

/// What an assistant is told that publishes a draft.
async fn publish_by_tool(world: &World, id: &Value) -> Value {
    let arguments = json!({"name": "publish_flow", "arguments": {"id": id, "revision": 1}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": arguments});
    let request = world
        .app
        .client
        .post(format!("{}/mcp", world.app.base))
        .bearer_auth(testkit::app::secret(qyvo::store::tokens::Scope::Admin));
    let request = request.header("accept", "application/json, text/event-stream").json(&body);
    request.send().await.unwrap().json().await.unwrap()
}

/// The ids of the errors in a list of problems.
fn errors(problems: &Value) -> BTreeSet<String> {
    let all = problems.as_array().unwrap().iter().filter(|problem| problem["severity"] == "error");
    all.map(|problem| problem["id"].as_str().unwrap().to_owned()).collect()
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut document = cart();
    document.as_object_mut().unwrap().shift_remove("id");
    let menu = document["nodes"].as_array_mut().unwrap().iter_mut().find(|node| node["type"] == "menu").unwrap();
    change(menu);
    document
}

#[actix_web::test]
async fn no_way_to_publish_knows_less_than_another() {
    let world = World::start(|cloud| {
        cloud.add_template(cart_template());
        cloud
            .add_template(testkit::meta::Template::new("plain", "en").body("Hi {{1}}, your cart of {{2}} is waiting."));
    })
    .await;
    // Each runs the other without a wait once both are published.
    let [first, second] = ["01936b1e-7c6a-7000-8000-0000000000a1", "01936b1e-7c6a-7000-8000-0000000000a2"];
    let runs = |id: &str, other: &str| {
        json!({
            "id": id, "schema_version": 1, "name": "Runs the other", "entry_node": "run",
            "nodes": [
                {"id": "run", "type": "run_flow", "flow_id": other, "exits": {"completed": "end", "failed": "end"}},
                {"id": "end", "type": "end"}
            ]
        })
    };
    let (is_done, out, told) = import(&world, &runs(first, second));
    assert!(is_done && out.trim() == first, "{told}");
    let cases = [
        ("unknown_template", with(|menu| menu["template"]["name"] = json!("nope"))),
        (
            "template_variables",
            with(|menu| {
                menu["template"]["variables"].as_object_mut().unwrap().shift_remove("2");
            }),
        ),
        ("template_buttons", with(|menu| menu["template"]["name"] = json!("plain"))),
        ("recursive_sub_flow", runs(second, first)),
        ("unknown_exit_target", with(|menu| menu["exits"]["timeout"] = json!("nowhere"))),
    ];
    for (expected, mut document) in cases {
        let expected = BTreeSet::from([expected.to_owned()]);
        let refused = world.app.post("/flows/import?publish=true", &document).await.expect(422);
        assert_eq!(errors(&refused["problems"]), expected);
        let sentence = refused["error"].as_str().unwrap();

        let (is_done, out, told) = import(&world, &document);
        assert!(!is_done && out.is_empty() && told.contains(sentence), "{expected:?}: {told}");
        for id in &expected {
            assert!(told.contains(&format!("error[{id}]")), "{told}");
        }

        document.as_object_mut().unwrap().shift_remove("id");
        let kept = world.app.post("/flows", &json!({"document": document})).await.expect(201);
        let path = format!("/flows/{}/publish", kept["id"].as_str().unwrap());
        if !expected.contains("recursive_sub_flow") {
            let refused = world.app.post(&path, &json!({})).await.expect(422);
            assert_eq!(errors(&refused["problems"]), expected);
            let told = publish_by_tool(&world, &kept["id"]).await;
            assert_eq!(told["result"]["isError"], true, "{told}");
        }
    }
    let published = world.app.get("/flows").await.expect(200)["data"].as_array().unwrap().clone();
    let published: Vec<_> = published.iter().filter(|flow| flow["status"] == "published").collect();
    assert_eq!(published.len(), 1, "{published:?}");

    let (is_done, out, told) = import(&world, &cart());
    assert!(is_done, "{told}");
    let flow = world.app.get(&format!("/flows/{}", out.trim())).await.expect(200);
    assert_eq!(flow["status"], "published");
}
