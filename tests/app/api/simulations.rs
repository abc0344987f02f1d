//! `/simulations`: conversations that are tried out.

use serde_json::{Value, json};
use testkit::app::{PHONE, START, TestApp, local, question};

async fn start(app: &TestApp, body: Value) -> Value {
    app.post("/simulations", &body).await.expect(201)
}

async fn event(app: &TestApp, simulation: &Value, event: Value) -> Value {
    app.post(&format!("/simulations/{}/events", simulation["id"].as_str().unwrap()), &event).await.expect(200)
}

async fn refused(app: &TestApp, simulation: &Value, event: Value) -> String {
    let path = format!("/simulations/{}", simulation["id"].as_str().unwrap());
    let before = app.get(&path).await.expect(200);
    let refused = app.post(&format!("{path}/events"), &event).await.expect(409);
    assert_eq!(app.get(&path).await.expect(200), before, "a refusal changes nothing");
    assert!(refused["error"].as_str().unwrap().ends_with('.'), "{refused}");
    refused["reason"].as_str().unwrap().to_owned()
}

fn texts(turn: &Value) -> Vec<&str> {
    turn["messages"].as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_played_and_touches_no_row() {
    local(async {
        let app = TestApp::start().await;
        let rows = app.rows();
        let begun = start(
            &app,
            json!({"flow": question(30), "contact": {"name": "Ann", "tags": ["vip", "new"]}, "context": {"n": 1},
                "seed": 7}),
        )
        .await;
        assert_eq!((&begun["now"], &begun["seed"]), (&json!(START), &json!(7)));
        let session = &begun["session"];
        assert_eq!(
            (&session["status"], &session["waiting_for"], &session["turn"]),
            (&json!("running"), &json!("reply"), &json!(1))
        );
        assert_eq!((&session["current_node_id"], &session["context"]), (&json!("ask"), &json!({"n": 1})));
        assert_eq!(session["wake_at"], "2026-05-07T08:00:30+00:00");
        assert_eq!(session["expires_at"], "2026-05-07T08:30:00+00:00");
        assert_eq!(begun["contact"]["tags"], json!(["new", "vip"]));
        assert_eq!(begun["contact"]["phone"], PHONE);
        assert_eq!(
            begun["turn"]["messages"],
            json!([{"index": 0, "type": "menu", "text": "Tea or coffee?", "media": null, "template": null,
                    "options": [{"id": "tea", "title": "Tea"}, {"id": "coffee", "title": "Coffee"}],
                    "status": "simulated", "reason": null}])
        );
        assert_eq!(begun["turn"]["stimulus"], json!({"type": "start"}));
        let done = event(&app, &begun, json!({"type": "reply", "text": "coffee"})).await;
        assert_eq!(
            (&done["session"]["status"], &done["session"]["outcome"]),
            (&json!("completed"), &json!("answered"))
        );
        assert_eq!(texts(&done["turn"]), ["Coming up: coffee"]);
        assert_eq!(
            done["turn"]["path"][0],
            json!({"node": "ask", "type": "menu", "exit": "coffee", "why": "text equals the title"})
        );
        let whole = app.get(&format!("/simulations/{}", begun["id"].as_str().unwrap())).await.expect(200);
        assert_eq!(whole["turns"], json!([begun["turn"], done["turn"]]));
        assert_eq!(refused(&app, &begun, json!({"type": "reply", "text": "tea"})).await, "no_session");
        assert_eq!(refused(&app, &begun, json!({"type": "tap", "id": "tea"})).await, "session_ended");
        assert_eq!(app.rows(), rows);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_fires_what_falls_due_in_order() {
    local(async {
        let app = TestApp::start().await;
        let remind = json!({
            "schema_version": 1, "name": "Remind", "entry_node": "ask", "settings": {"session_ttl_minutes": 2},
            "nodes": [{"id": "ask", "type": "ask", "text": "Name?", "timeout_seconds": 50,
                "exits": {"timeout": "again"}},
                      {"id": "again", "type": "ask", "text": "Still there?", "timeout_seconds": 50,
                          "exits": {"timeout": "last"}},
                      {"id": "last", "type": "ask", "text": "Last call", "timeout_seconds": 20}]
        });
        let begun = start(&app, json!({"flow": remind, "now": "2030-01-01T00:00:00+02:00"})).await;
        assert_eq!(begun["now"], "2029-12-31T22:00:00+00:00");
        let early = event(&app, &begun, json!({"type": "advance", "seconds": 49.9})).await;
        assert_eq!((&early["turn"], &early["turns"]), (&json!(null), &json!([])));
        let both = event(&app, &begun, json!({"type": "advance", "seconds": 60})).await;
        let at: Vec<_> = both["turns"].as_array().unwrap().iter().map(|turn| turn["at"].as_str().unwrap()).collect();
        assert_eq!(at, ["2029-12-31T22:00:50+00:00", "2029-12-31T22:01:40+00:00"]);
        assert_eq!((texts(&both["turns"][0]), texts(&both["turn"])), (vec!["Still there?"], vec!["Last call"]));
        assert_eq!(both["now"], "2029-12-31T22:01:49+00:00");
        // The last prompt's own timer ties with the time to live.
        assert_eq!(refused(&app, &begun, json!({"type": "timeout"})).await, "the session expires first");
        let ended = event(&app, &begun, json!({"type": "expire"})).await;
        assert_eq!(
            (&ended["session"]["status"], &ended["now"]),
            (&json!("expired"), &json!("2029-12-31T22:02:00+00:00"))
        );
        assert_eq!(ended["turn"]["messages"], json!([]));

        let again = start(&app, json!({"flow": remind})).await;
        let timeout = event(&app, &again, json!({"type": "timeout"})).await;
        assert_eq!(
            (&timeout["now"], texts(&timeout["turn"])),
            (&json!("2026-05-07T08:00:50+00:00"), vec!["Still there?"])
        );
        let asleep = event(&app, &again, json!({"type": "advance", "seconds": 60, "fire": false})).await;
        assert_eq!(asleep["turns"], json!([]));
        let late = event(&app, &again, json!({"type": "reply", "text": "Ann"})).await;
        assert_eq!(late["turns"].as_array().unwrap().len(), 2, "the timeout, then the reply that missed it");
        assert_eq!(late["turn"]["warnings"], json!([{"node": null, "text": "ignored: late"}]));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_colleague_silences_the_flow_and_its_clock_stands_still() {
    local(async {
        let app = TestApp::start().await;
        let ask = json!({
            "schema_version": 1, "name": "Ask", "entry_node": "ask", "settings": {"session_ttl_minutes": 30},
            "nodes": [{"id": "ask", "type": "ask", "text": "Name?", "timeout_seconds": 600,
                       "exits": {"timeout": "again", "reply": "wait"}},
                      {"id": "again", "type": "ask", "text": "Still there?"},
                      {"id": "wait", "type": "wait_for_event", "event": "paid", "timeout_seconds": 60,
                       "exits": {"event": "thanks", "timeout": "again"}},
                      {"id": "thanks", "type": "ask", "text": "Thank you", "timeout_seconds": 60}]
        });
        let begun = start(&app, json!({"flow": ask, "now": "2030-01-01T00:00:00+00:00"})).await;
        assert_eq!(begun["held_until"], json!(null));
        event(&app, &begun, json!({"type": "advance", "seconds": 60})).await;
        let held = event(&app, &begun, json!({"type": "colleague", "text": "I will look"})).await;
        assert_eq!(held["held_until"], "2030-01-01T01:01:00+00:00");
        let timers = (&held["session"]["wake_at"], &held["session"]["expires_at"]);
        assert_eq!(timers, (&json!("2030-01-01T01:10:00+00:00"), &json!("2030-01-01T01:30:00+00:00")));
        assert_eq!(refused(&app, &begun, json!({"type": "reply", "text": "Ann"})).await, "colleague");
        event(&app, &begun, json!({"type": "advance", "seconds": 1800})).await;
        let longer = event(&app, &begun, json!({"type": "colleague"})).await;
        assert_eq!(longer["session"]["wake_at"], "2030-01-01T01:40:00+00:00");
        let over = event(&app, &begun, json!({"type": "advance", "seconds": 3600})).await;
        assert_eq!((&over["held_until"], &over["turns"]), (&json!(null), &json!([])));
        event(&app, &begun, json!({"type": "reply", "text": "Ann"})).await;
        // What happens meanwhile is taken, and what comes of it waits.
        event(&app, &begun, json!({"type": "colleague"})).await;
        event(&app, &begun, json!({"type": "advance", "seconds": 600})).await;
        let paid = event(&app, &begun, json!({"type": "event", "name": "paid"})).await;
        assert_eq!((texts(&paid["turn"]), &paid["now"]), (vec!["Thank you"], &json!("2030-01-01T01:41:00+00:00")));
        assert!(paid["turn"]["warnings"].to_string().contains("A colleague holds the conversation"), "{paid}");
        assert_eq!(paid["session"]["wake_at"], "2030-01-01T02:32:00+00:00");
        let stopped = event(&app, &begun, json!({"type": "reply", "text": "STOP"})).await;
        assert_eq!(stopped["session"]["reason"], "opted_out");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_of_an_older_message_prompts_again() {
    local(async {
        let app = TestApp::start().await;
        let options = json!([{"id": "yes", "title": "Yes"}, {"id": "no", "title": "No"}]);
        let document = json!({
            "schema_version": 1, "name": "Two", "entry_node": "tea",
            "nodes": [{"id": "tea", "type": "menu", "text": "Tea?", "options": options, "exits": {"yes": "milk"}},
                      {"id": "milk", "type": "menu", "text": "Milk?", "options": options, "exits": {"yes": "done"}},
                      {"id": "done", "type": "end", "text": "{{input.text}}, with milk"}]
        });
        let begun = start(&app, json!({"flow": document})).await;
        event(&app, &begun, json!({"type": "tap", "id": "yes", "message": 0})).await;
        let again = event(&app, &begun, json!({"type": "tap", "id": "yes", "message": 0})).await;
        assert_eq!(again["turn"]["path"][0]["why"], "an older message was tapped");
        assert_eq!((&again["turn"]["messages"][0]["index"], texts(&again["turn"])), (&json!(2), vec!["Milk?"]));
        assert_eq!(
            refused(&app, &begun, json!({"type": "tap", "id": "yes", "message": 9})).await,
            "there is no message 9"
        );
        let done = event(&app, &begun, json!({"type": "tap", "id": "yes", "message": 1})).await;
        assert_eq!(texts(&done["turn"]), ["Yes, with milk"]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_wait_does_not_take_is_refused_and_changes_nothing() {
    local(async {
        let app = TestApp::start().await;
        let document = json!({
            "schema_version": 1, "name": "Later", "entry_node": "later", "kind": "sequence",
            "nodes": [{"id": "later", "type": "delay", "seconds": 3600, "exits": {"next": "hello"}},
                      {"id": "hello", "type": "send_message", "text": "Hello"}]
        });
        let begun = start(&app, json!({"flow": document})).await;
        for (event, reason) in [
            (json!({"type": "reply", "text": "hi"}), "the message came during a delay"),
            (json!({"type": "media", "kind": "audio"}), "the message came during a delay"),
            (json!({"type": "location", "latitude": 1, "longitude": 2.5}), "the message came during a delay"),
            (json!({"type": "expire"}), "the session has no time to live"),
            (json!({"type": "resume"}), "the session is not in handoff"),
            (json!({"type": "delivery_failed"}), "nothing was said yet"),
        ] {
            assert_eq!(refused(&app, &begun, event).await, reason);
        }
        let kept = event(&app, &begun, json!({"type": "event", "name": "paid", "payload": {"id": 1}})).await;
        assert_eq!(kept["turn"]["changes"], json!([{"name": "kept_events", "value": ["paid"]}]));
        let window = event(&app, &begun, json!({"type": "window", "open": false})).await;
        assert_eq!((&window["window_open"], &window["turn"]), (&json!(false), &json!(null)));
        let done = event(&app, &begun, json!({"type": "timeout"})).await;
        assert_eq!((texts(&done["turn"]), &done["session"]["status"]), (vec!["Hello"], &json!("completed")));

        let waiting = start(&app, json!({"flow": question(30)})).await;
        let failed = event(&app, &waiting, json!({"type": "delivery_failed", "code": "131047"})).await;
        assert_eq!((&failed["session"]["status"], &failed["session"]["reason"]), (&json!("failed"), &json!("131047")));
        let waiting = start(&app, json!({"flow": question(30)})).await;
        let ended = event(&app, &waiting, json!({"type": "cancel", "reason": "paid"})).await;
        assert_eq!((&ended["session"]["status"], &ended["session"]["reason"]), (&json!("cancelled"), &json!("paid")));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_names_every_field() {
    local(async {
        let app = TestApp::start().await;
        let flow = question(30);
        let id = "01936b1e-7c6a-7000-8000-000000000001";
        let stub = json!({"url": "https://shop.example", "status": 200, "body": {"a": 1}});
        for (body, fields) in [
            (json!({}), &["flow", "flow_id"][..]),
            (json!({"flow": flow, "flow_id": id}), &["flow", "flow_id"]),
            (json!({"flow": flow, "version": 1}), &["version"]),
            (json!({"flow_id": "x", "version": 0}), &["flow_id", "version"]),
            (json!({"flow": flow, "colour": "red"}), &["colour"]),
            (json!({"flow": flow, "context": [1], "now": "soon", "seed": -1}), &["context", "now", "seed"]),
            (json!({"flow": flow, "channel": "pigeon", "window_open": "no"}), &["channel", "window_open"]),
            (
                json!({"flow": flow, "contact": {"phone": "12", "tags": "vip", "age": 3}}),
                &["contact.phone", "contact.tags", "contact.age"],
            ),
            (json!({"flow": flow, "flows": {"x": flow}}), &["flows.x"]),
            (json!({"flow": flow, "flows": {id: {"nodes": []}}}), &[&format!("flows.{id}")]),
            (
                json!({"flow": flow, "http": [stub, {"status": 20}, 3, {"status": 200, "methud": "GET"}]}),
                &["http.1.status", "http.2", "http.3.methud"],
            ),
        ] {
            let answer = app.post("/simulations", &body).await.expect(422);
            let found: Vec<_> = answer["errors"].as_object().unwrap_or_else(|| panic!("{answer}")).keys().collect();
            assert_eq!(found, fields, "{body}");
        }
        let unknown = json!({"flow_id": id});
        assert_eq!(app.post("/simulations", &unknown).await.expect(404)["error"], "Flow not found");

        // What the engine has no use for yet is taken and kept.
        let begun = start(
            &app,
            json!({"flow": flow, "channel": "whatsapp", "window_open": false, "flows": {id: flow}, "http": [stub]}),
        )
        .await;
        assert_eq!((&begun["channel"], &begun["window_open"]), (&json!("whatsapp"), &json!(false)));
        let path = format!("/simulations/{}/events", begun["id"].as_str().unwrap());
        for (body, fields) in [
            (json!({}), &["type"][..]),
            (json!({"type": "dance", "text": "x"}), &["type"]),
            (json!({"type": "reply", "words": "x"}), &["text", "words"]),
            (json!({"type": "reply", "text": "x".repeat(16_385)}), &["text"]),
            (json!({"type": "tap", "message": -1}), &["id", "message"]),
            (json!({"type": "media", "kind": "text", "media": 3}), &["kind", "media"]),
            (json!({"type": "location", "latitude": "north"}), &["latitude", "longitude"]),
            (json!({"type": "advance"}), &["seconds"]),
            (json!({"type": "advance", "seconds": -1}), &["seconds"]),
            (json!({"type": "advance", "seconds": 1e12, "fire": 1}), &["seconds", "fire"]),
            (json!({"type": "timeout", "armed_in": 1}), &["armed_in"]),
            (json!({"type": "event"}), &["name"]),
            (json!({"type": "event", "name": "a b", "payload": "x".repeat(65_536)}), &["name", "payload"]),
            (json!({"type": "window"}), &["open"]),
        ] {
            let answer = app.post(&path, &body).await.expect(422);
            let found: Vec<_> = answer["errors"].as_object().unwrap_or_else(|| panic!("{answer}")).keys().collect();
            assert_eq!(found, fields, "{body}");
        }
        let gone = format!("/simulations/{id}");
        app.get(&gone).await.expect(404);
        app.get("/simulations/x").await.expect(404);
        app.post(&format!("{gone}/events"), &json!({"type": "timeout"})).await.expect(404);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_versions_and_documents_can_be_simulated() {
    local(async {
        let app = TestApp::start().await;
        let mut broken = question(30);
        broken["nodes"][0]["exits"]["tea"] = json!("nowhere");
        let refused = app.post("/simulations", &json!({"flow": broken})).await.expect(422);
        assert!(refused["problems"].to_string().contains("unknown_exit_target"), "{refused}");
        let refused = app.post("/simulations", &json!({"flow": {"nodes": 3}})).await.expect(422);
        assert_eq!(refused["problems"][0]["id"], "wrong_shape");

        let mut document = question(30);
        document["inputs"] = json!([{"name": "total", "type": "number", "required": true}]);
        let missing = app.post("/simulations", &json!({"flow": document})).await.expect(422);
        assert_eq!(missing["errors"]["context.total"], json!(["The context.total field is required."]));

        let mut document = question(30);
        let draft = app.post("/flows/import", &document).await.expect(201);
        let begun = start(&app, json!({"flow_id": draft["id"]})).await;
        assert_eq!((&begun["session"]["flow_id"], &begun["session"]["version"]), (&draft["id"], &json!(null)));
        document["id"] = draft["id"].clone();
        app.publish(&document).await;
        document["nodes"][0]["text"] = json!("Milk or water?");
        app.publish(&document).await;
        document["nodes"][0]["text"] = json!("Never published");
        app.post("/flows/import", &document).await.expect(200);
        let begun = start(&app, json!({"flow_id": draft["id"]})).await;
        assert_eq!((texts(&begun["turn"]), &begun["session"]["version"]), (vec!["Milk or water?"], &json!(2)));
        let begun = start(&app, json!({"flow_id": draft["id"], "version": 1})).await;
        assert_eq!((texts(&begun["turn"]), &begun["session"]["version"]), (vec!["Tea or coffee?"], &json!(1)));
        app.post("/simulations", &json!({"flow_id": draft["id"], "version": 3})).await.expect(404);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_is_kept_for_an_hour_and_a_thousand_at_most() {
    local(async {
        let app = TestApp::start().await;
        let path = |simulation: &Value| format!("/simulations/{}", simulation["id"].as_str().unwrap());
        let first = start(&app, json!({"flow": question(30)})).await;
        app.advance_millis(3_599_999);
        app.get(&path(&first)).await.expect(200);
        app.advance_millis(1);
        let gone = app.get(&path(&first)).await.expect(404);
        assert_eq!(gone["error"], "Simulation not found");
        let oldest = start(&app, json!({"flow": question(30)})).await;
        let second = start(&app, json!({"flow": question(30)})).await;
        for _ in 0..998 {
            start(&app, json!({"flow": question(30)})).await;
        }
        app.get(&path(&oldest)).await.expect(200);
        start(&app, json!({"flow": question(30)})).await;
        app.get(&path(&oldest)).await.expect(404);
        app.get(&path(&second)).await.expect(200);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_begins_it_where_it_would_begin_the_real_thing() {
    local(async {
        let app = TestApp::start().await;
        let mut document = json!({
            "schema_version": 1, "name": "Info", "entry_node": "ask", "settings": {"keywords": ["Información"]},
            "nodes": [
                {"id": "ask", "type": "ask", "text": "You wrote {{input.text}} ({{input.type}}). Your name?",
                 "save_as": "name", "exits": {"reply": "end", "no_match": "end", "timeout": "end"},
                 "timeout_seconds": 60},
                {"id": "end", "type": "end", "text": "Hi {{context.name}}"}
            ]
        });
        let flow = app.publish(&document).await;
        for text in ["informacion", "¡INFORMACIÓN!"] {
            let begun = start(&app, json!({"flow_id": flow, "message": {"type": "text", "text": text}})).await;
            // In earnest.
            let phone = format!("+1415555{:04}", 200 + text.len());
            let told = app.say(&phone, text).await;
            assert_eq!(told["handled"], "keyword", "{text}");
            let turns = app.turns(&told["session_id"]).await;
            let said = |turn: &Value| turn["messages"][0]["text"].clone();
            assert_eq!(said(&begun["turns"][0]), said(&turns[0]), "{text}");
            assert_eq!(said(&turns[0]), format!("You wrote {text} (text). Your name?"));
            let path = |turn: &Value| turn["path"].clone();
            assert_eq!(path(&begun["turns"][0]), path(&turns[0]));
            let done = event(&app, &begun, json!({"type": "reply", "text": "Ann"})).await;
            assert_eq!(texts(&done["turn"]), ["Hi Ann"]);
            // It is played again as a test case.
            let case = json!({"name": text, "simulation_id": begun["id"]});
            let path = format!("/flows/{flow}/test-cases");
            let kept = app.post(&path, &case).await.expect(201);
            assert_eq!(kept["script"]["start"]["message"], json!({"type": "text", "text": text}));
            let run = app.post(&format!("{path}/run"), &json!({})).await.expect(200);
            assert!(run["data"].as_array().unwrap().iter().all(|case| case["passed"] == true), "{run}");
        }
        let rows = app.rows();
        for (message, field, why) in [
            (json!({"type": "text", "text": "hello"}), "message", "Información"),
            (json!({"type": "text", "text": "STOP"}), "message", "opts out"),
            (json!({"type": "audio"}), "message", "keywords"),
            (json!({"type": "text"}), "message.text", "required"),
            (json!({"type": "tap"}), "message.option", "required"),
            (json!({"text": "informacion"}), "message.type", "required"),
            (json!({"type": "text", "text": "informacion", "from": "x"}), "message.from", "not known"),
        ] {
            let refused = app.post("/simulations", &json!({"flow_id": flow, "message": message})).await.expect(422);
            let text = refused["errors"][field][0].as_str().unwrap_or_else(|| panic!("{message}: {refused}"));
            assert!(text.contains(why), "{text}");
        }
        let both = json!({"flow_id": flow, "message": {"type": "text", "text": "informacion"}, "context": {"a": 1}});
        let refused = app.post("/simulations", &both).await.expect(422);
        assert!(refused["errors"]["context"].is_array(), "{refused}");
        document["settings"] = json!({});
        let none = json!({"flow": document, "message": {"type": "text", "text": "informacion"}});
        let refused = app.post("/simulations", &none).await.expect(422);
        assert!(refused["errors"]["message"][0].as_str().unwrap().contains("no keywords"), "{refused}");
        assert_eq!(app.rows(), rows);
        app.stop().await;
    })
    .await;
}

/// What the person reads when these texts are written one after another to a flow that was triggered, in earnest.
async fn read_in_earnest(app: &TestApp, flow: qyvo::domain::FlowId, phone: &str, texts: &[&str]) -> Vec<String> {
    let contact = app.trigger(flow, phone).await.expect(201)["contact_id"].as_str().unwrap().to_owned();
    for text in texts {
        app.say(phone, text).await;
        app.advance(1);
    }
    let listed = app.get(&format!("/contacts/{contact}/messages?limit=200")).await.expect(200);
    let said = listed["data"].as_array().unwrap().iter().filter(|message| message["direction"] == "out");
    // The newest comes first.
    said.rev().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

/// The same in a simulation, where what is not taken is left out, and a confirmation is told apart.
async fn read_in_a_simulation(app: &TestApp, flow: qyvo::domain::FlowId, phone: &str, texts: &[&str]) -> Vec<String> {
    let begun = start(app, json!({"flow_id": flow, "contact": {"phone": phone}})).await;
    let mut read: Vec<String> = Vec::new();
    let mut note = |state: &Value| {
        let said = state["turns"].as_array().unwrap().iter().flat_map(|turn| turn["messages"].as_array().unwrap());
        read = said.map(|message| message["text"].as_str().unwrap().to_owned()).collect();
    };
    note(&begun);
    let path = format!("/simulations/{}", begun["id"].as_str().unwrap());
    for text in texts {
        app.post(&format!("{path}/events"), &json!({"type": "reply", "text": text})).await;
        app.post(&format!("{path}/events"), &json!({"type": "advance", "seconds": 1})).await;
    }
    note(&app.get(&path).await.expect(200));
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_after_the_end_is_answered_as_in_earnest() {
    local(async {
        let app = TestApp::start().await;
        let flow = |settings: Value| {
            json!({
                "schema_version": 1, "name": "Tea", "entry_node": "ask", "settings": settings,
                "nodes": [
                    {"id": "ask", "type": "menu", "text": "Tea?", "options": [{"id": "yes", "title": "Yes"}],
                     "save_as": "tea", "exits": {"yes": "bye", "no_match": "bye", "timeout": "bye"},
                     "timeout_seconds": 60},
                    {"id": "again", "type": "send_message", "text": "Again: {{context.tea}} {{input.text}}",
                     "exits": {"next": "ask"}},
                    {"id": "bye", "type": "end", "text": "Bye"}
                ]
            })
        };
        let many = vec!["hello"; 12];
        let scripts: [(Value, &[&str]); 6] = [
            (json!({"late_reply": {"text": "Too late: {{input.text}}"}}), &["yes", "hello", "anybody?"]),
            (json!({"late_reply": {"restart_at": "again"}}), &["yes", "hello", "yes", "hello", "nonsense", "yes"]),
            (json!({"keywords": ["teatime"], "late_reply": {"text": "Too late"}}), &["yes", "Teatime!", "yes", "hm"]),
            (json!({}), &["yes", "hello"]),
            (json!({"late_reply": {"text": "Too late"}}), &many),
            (json!({"keywords": ["brew"]}), &["yes", "brew", "brew", "yes"]),
        ];
        for (n, (settings, texts)) in scripts.into_iter().enumerate() {
            let path = format!("/flows/{}/unpublish", app.publish(&flow(json!({}))).await);
            app.post(&path, &json!({})).await.expect(200);
            let id = app.publish(&flow(settings.clone())).await;
            let phone = format!("+1415555{:04}", 300 + n);
            let real = read_in_earnest(&app, id, &phone, texts).await;
            assert!(real.len() > 1, "{real:?}");
            let simulated = read_in_a_simulation(&app, id, &phone, texts).await;
            assert_eq!(simulated, real, "{settings}");
            app.post(&format!("/flows/{id}/unpublish"), &json!({})).await.expect(200);
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_is_no_object_where_one_is_needed() {
    local(async {
        let app = TestApp::start().await;
        let refused = app.post("/simulations", &json!({"flow": []})).await.expect(422);
        let text = "Send either a flow, which is a document, or a flow_id.";
        assert_eq!(refused["errors"], json!({"flow": [text], "flow_id": [text]}));
        let flow = app.publish(&question(30)).await;
        let cases = format!("/flows/{flow}/test-cases");
        let refused = app.post(&cases, &json!({"name": "Empty", "script": []})).await.expect(422);
        let text = "Send either a simulation_id or a script.";
        assert_eq!(refused["errors"], json!({"simulation_id": [text], "script": [text]}));
        let script = json!({"start": [], "steps": [{"event": []}]});
        let refused = app.post(&cases, &json!({"name": "Empty", "script": script})).await.expect(422);
        assert_eq!(refused["errors"], json!({"script.steps.0.event": ["The event field is required."]}));
        app.stop().await;
    })
    .await;
}
