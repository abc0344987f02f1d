//! `/flows/{id}/test-cases`, and what publishing makes of them.

use reqwest::Method;
use serde_json::{Value, json};

use qyvo::store::tokens::Scope;
use testkit::app::{TestApp, local, question, secret};

/// A flow with a case that was played: a cup of coffee.
async fn flow_with_a_case(app: &TestApp) -> (Value, Value) {
    let draft = app.post("/flows/import", &question(30)).await.expect(201);
    let begun = app.post("/simulations", &json!({"flow_id": draft["id"], "seed": 3})).await.expect(201);
    let events = format!("/simulations/{}/events", begun["id"].as_str().unwrap());
    app.post(&events, &json!({"type": "advance", "seconds": 10})).await.expect(200);
    app.post(&events, &json!({"type": "reply", "text": "coffee"})).await.expect(200);
    let saved = json!({"name": "Coffee", "simulation_id": begun["id"]});
    let case = app.post(&cases_of(&draft["id"]), &saved).await.expect(201);
    (draft["id"].clone(), case)
}

fn cases_of(flow: &Value) -> String {
    format!("/flows/{}/test-cases", flow.as_str().unwrap())
}

async fn delete(app: &TestApp, path: &str) -> u16 {
    let path = format!("/api/v1{path}");
    app.request(Method::DELETE, &path, Some(&secret(Scope::Admin)), None).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_saved_from_a_simulation_passes_unchanged() {
    local(async {
        let app = TestApp::start().await;
        let (flow, case) = flow_with_a_case(&app).await;
        assert_eq!((&case["name"], &case["actor"]), (&json!("Coffee"), &json!("admin")));
        let steps = &case["script"]["steps"];
        assert_eq!(steps[0]["event"], json!({"type": "advance", "seconds": 10.0}));
        assert_eq!(steps[0]["expect"]["messages"], json!([]));
        assert_eq!(
            steps[1]["expect"],
            json!({"messages": [{"type": "text", "text": "Coming up: coffee"}], "status": "completed",
                   "outcome": "answered", "waiting_for": null})
        );
        assert_eq!(case["script"]["start"]["seed"], 3);
        let listed = app.get(&cases_of(&flow)).await.expect(200);
        assert_eq!(listed, json!({"data": [case], "next_cursor": null}));
        let run = app.post(&format!("{}/run", cases_of(&flow)), &json!({})).await.expect(200);
        let passed = json!({"id": case["id"], "name": "Coffee", "passed": true, "problem": null});
        assert_eq!(run, json!({"data": [passed]}));

        // The very script goes in as a script, too, and passes again.
        let again = json!({"name": "Again", "script": case["script"]});
        let again = app.post(&cases_of(&flow), &again).await.expect(201);
        assert_eq!(again["script"], case["script"]);
        let path = format!("/flows/{}/publish", flow.as_str().unwrap());
        assert_eq!(app.post(&path, &json!({})).await.expect(200)["version"], 1);
        let path = format!("{}/{}", cases_of(&flow), again["id"].as_str().unwrap());
        assert_eq!((delete(&app, &path).await, delete(&app, &path).await), (204, 404));
        assert_eq!(app.get(&cases_of(&flow)).await.expect(200), listed);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_case_stops_a_publish_and_names_the_turn() {
    local(async {
        let app = TestApp::start().await;
        let (flow, _) = flow_with_a_case(&app).await;
        let publish = format!("/flows/{}/publish", flow.as_str().unwrap());
        let mut document = question(30);
        document["id"] = flow.clone();
        document["nodes"][1]["text"] = json!("Sold out");
        // As a draft it is taken, as a version it is not.
        app.post("/flows/import", &document).await.expect(200);
        let text = "Test case \"Coffee\" breaks at turn 2 (the reply \"coffee\"): expected \"Coming up: coffee\", \
            got \"Sold out\"";
        for refused in [
            app.post(&publish, &json!({})).await.expect(422),
            app.post("/flows/import?publish=true", &document).await.expect(422),
        ] {
            assert_eq!(refused["error"], "The flow has 1 problem to mend.");
            let problem = json!({"id": "test_case_failed", "severity": "error", "node": null, "field": null,
                "text": text});
            assert!(refused["problems"].as_array().unwrap().contains(&problem), "{refused}");
        }
        let flow_row = app.get(&format!("/flows/{}", flow.as_str().unwrap())).await.expect(200);
        assert_eq!((&flow_row["published_version"], &flow_row["revision"]), (&json!(null), &json!(2)));
        let run = app.post(&format!("{}/run", cases_of(&flow)), &json!({})).await.expect(200);
        assert_eq!(run["data"][0]["passed"], false);
        let problem = "at turn 2 (the reply \"coffee\"): expected \"Coming up: coffee\", got \"Sold out\"";
        assert_eq!(run["data"][0]["problem"], problem);
        let forced = app.post(&publish, &json!({"force": true})).await.expect(200);
        assert_eq!(forced["version"], 1);
        assert!(forced["problems"].to_string().contains("test_case_failed"), "{forced}");

        // Force overrules nothing else; and a draft with errors runs no case.
        document["nodes"][0]["exits"]["tea"] = json!("nowhere");
        app.post("/flows/import", &document).await.expect(200);
        for body in [json!({}), json!({"force": true})] {
            let refused = app.post(&publish, &body).await.expect(422);
            assert!(!refused["problems"].to_string().contains("test_case_failed"), "{refused}");
        }
        app.post(&format!("{}/run", cases_of(&flow)), &json!({})).await.expect(422);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_cases_are_refused_and_a_flow_has_a_hundred_at_most() {
    local(async {
        let app = TestApp::start().await;
        let (flow, case) = flow_with_a_case(&app).await;
        let path = cases_of(&flow);
        let unknown = "01936b1e-7c6a-7000-8000-000000000001";
        for (body, fields) in [
            (json!({}), &["name", "simulation_id", "script"][..]),
            (json!({"name": "a", "script": {}, "simulation_id": unknown}), &["simulation_id", "script"]),
            (json!({"name": "a", "script": 3}), &["script"]),
            (json!({"name": "x".repeat(256), "script": {}, "colour": 1}), &["name", "colour"]),
            (json!({"name": "Coffee", "script": {}}), &["name"]),
            (
                json!({"name": "a", "script": {"start": {"now": "soon", "flow": {}}, "step": []}}),
                &["script.start.now", "script.start.flow", "script.step"],
            ),
            (
                json!({"name": "a",
                    "script": {"expect": {"messages": [{"type": "song"}]},
                        "steps": [3, {}, {"event": {"type": "reply"}}]}}),
                &[
                    "script.expect.messages[0].type",
                    "script.steps.0",
                    "script.steps.1.event",
                    "script.steps.2.event.text",
                ],
            ),
            (
                json!({"name": "a", "script": {"steps": [{"event": {"type": "timeout"}, "expect": {"path": []}}]}}),
                &["script.steps.0.expect.path"],
            ),
            (
                json!({"name": "a", "script": {"start": {"contact": {"metadata": {"a": "x".repeat(262_144)}}}}}),
                &["script"],
            ),
        ] {
            let answer = app.post(&path, &body).await.expect(422);
            let found: Vec<_> = answer["errors"].as_object().unwrap_or_else(|| panic!("{answer}")).keys().collect();
            assert_eq!(found, fields, "{}", body.to_string().chars().take(200).collect::<String>());
        }
        app.post(&path, &json!({"name": "a", "simulation_id": unknown})).await.expect(404);
        let nowhere = format!("/flows/{unknown}/test-cases");
        app.post(&nowhere, &json!({"name": "a", "script": {}})).await.expect(404);
        app.get(&nowhere).await.expect(404);
        app.post(&format!("{nowhere}/run"), &json!({})).await.expect(404);
        assert_eq!(delete(&app, &format!("{nowhere}/{}", case["id"].as_str().unwrap())).await, 404);
        for n in 1..100 {
            app.post(&path, &json!({"name": format!("Case {n}"), "script": {}})).await.expect(201);
        }
        let refused = app.post(&path, &json!({"name": "One more", "script": {}})).await.expect(409);
        assert_eq!(refused["error"], "A flow has at most 100 test cases.");
        assert_eq!(app.get(&path).await.expect(200)["data"].as_array().unwrap().len(), 100);
        app.stop().await;
    })
    .await;
}
