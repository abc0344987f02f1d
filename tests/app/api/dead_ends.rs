//! An exit that leads nowhere: told before publishing, in the trace and in the statistics.

use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local};

/// A menu, a decision and a draw, each with an exit that is not wired.
fn document() -> Value {
    json!({
        "schema_version": 1, "name": "Dead ends", "entry_node": "when", "settings": {"late_reply": {"text": "Bye"}},
        "nodes": [
            {"id": "when", "type": "menu", "text": "When?", "timeout_seconds": 60,
             "options": [{"id": "now", "title": "Now"}, {"id": "later", "title": "Remind me tomorrow"},
                         {"id": "never", "title": "Never"}],
             "exits": {"now": "age", "later": null, "timeout": "bye", "no_match": "bye", "delivery_failed": "bye"}},
            {"id": "age", "type": "condition",
             "cases": [{"left": "{{context.age}}", "operator": "number_gte", "right": 18, "exit": "grown"},
                       {"left": "{{context.age}}", "operator": "number_gte", "right": 12, "exit": "half"}],
             "exits": {"grown": "draw"}},
            {"id": "draw", "type": "random_split", "branches": [{"id": "a", "weight": 1}, {"id": "b", "weight": 0}]},
            {"id": "bye", "type": "send_message", "text": "Bye"}
        ]
    })
}

#[tokio::test]
async fn exits_that_lead_nowhere_are_told_by_their_titles() {
    local(async {
        let app = TestApp::start().await;
        let checked = app.post("/flows/validate", &document()).await.expect(200);
        let found: Vec<_> = checked["problems"].as_array().unwrap().iter().collect();
        let dead: Vec<_> = found.iter().filter(|problem| problem["id"] == "exit_leads_nowhere").collect();
        let places: Vec<_> =
            dead.iter().map(|it| (it["node"].as_str().unwrap(), it["field"].as_str().unwrap())).collect();
        assert_eq!(
            places,
            [("when", "exits"), ("age", "exits"), ("draw", "exits.a")],
            "what is never drawn, and the end after a message, are no dead ends"
        );
        let text = |index: usize| dead[index]["text"].as_str().unwrap();
        for title in ["Remind me tomorrow", "Never"] {
            let sentence = format!("Option \"{title}\" leads nowhere: the conversation ends without a word.");
            assert!(text(0).contains(&sentence), "{}", text(0));
        }
        assert!(!text(0).contains("Now") && text(0).ends_with("Wire the exits `later`, `never`."), "{}", text(0));
        assert!(text(1).contains("Case 2 (exit `half`)") && text(1).contains("`default`"), "{}", text(1));
        assert!(text(2).ends_with("Wire the exit `a`."), "{}", text(2));
        assert!(dead.iter().all(|problem| problem["severity"] == "warning"));
        assert_eq!(checked["is_publishable"], true);
        app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_conversation_that_ends_without_a_word_says_where() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&document()).await;
        let last_step = async |answer: &str, age: u32| {
            let body = json!({"flow_id": flow, "phone": PHONE, "context": {"age": age}});
            let started = app.post("/actions/trigger-flow", &body).await.expect(201);
            let said = app.say(PHONE, answer).await;
            let turns = app.turns(&started["id"]).await;
            assert_eq!(app.session(&started["id"]).await["status"], "completed", "{answer} {age}: {said} {turns:?}");
            turns.last().unwrap()["path"].as_array().unwrap().last().unwrap().clone()
        };
        for (answer, age, exit) in [
            ("2", 0, "later"),
            ("Remind me tomorrow", 0, "later"),
            ("now", 13, "half"),
            ("now", 5, "default"),
            ("now", 20, "a"),
        ] {
            let step = last_step(answer, age).await;
            assert_eq!((&step["exit"], &step["leads_nowhere"]), (&json!(exit), &json!(true)), "{step}");
            assert!(step["why"].as_str().unwrap().ends_with("; this exit leads nowhere"), "{step}");
        }
        let started = app.trigger(flow, PHONE).await.expect(201);
        app.advance(61);
        app.runtime.run_due().await.unwrap();
        let turns = app.turns(&started["id"]).await;
        let path = turns.last().unwrap()["path"].to_string();
        assert!(path.contains("\"bye\"") && !path.contains("nowhere"), "an end after a message is an end: {path}");

        let stats = app.get(&format!("/stats?flow_id={flow}")).await.expect(200);
        let nowhere = |name: &str| {
            let nodes = stats["nodes"].as_array().unwrap();
            nodes.iter().find(|row| row["node"] == name).unwrap()["leads_nowhere"].clone()
        };
        assert_eq!(nowhere("when"), json!({"later": 2}));
        assert_eq!(nowhere("age"), json!({"half": 1, "default": 1}));
        assert_eq!(nowhere("draw"), json!({"a": 1}));
        assert_eq!(nowhere("bye"), json!(null));

        let body = json!({"flow": document(), "context": {"age": 1}});
        let simulated = app.post("/simulations", &body).await.expect(201);
        let path = format!("/simulations/{}/events", simulated["id"].as_str().unwrap());
        let answered = app.post(&path, &json!({"type": "reply", "text": "never"})).await.expect(200);
        let why = answered["turn"]["path"][0]["why"].as_str().unwrap();
        assert!(why.contains("this exit leads nowhere"), "{why}");
        app.stop().await;
    })
    .await;
}
