//! `POST /inbound`: whose the message is, and which session gets it.

use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question};

#[tokio::test(flavor = "multi_thread")]
async fn a_redelivered_message_runs_nothing_twice() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let body = json!({"id": "m-1", "from": PHONE, "type": "text", "text": "perhaps"});
        let first = app.post("/inbound", &body).await.expect(202);
        assert_eq!(first["handled"], "reply");
        let rows = app.rows();
        let again = app.post("/inbound", &body).await.expect(202);
        assert_eq!((&again["message_id"], &again["handled"]), (&first["message_id"], &json!("duplicate")));
        assert_eq!(app.rows(), rows);
        assert_eq!(app.turns(&session["id"]).await.len(), 2);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_floor_belongs_to_the_last_prompt_and_falls_back() {
    local(async {
        let app = TestApp::start().await;
        let named = |name: &str| {
            let mut document = question(30);
            document["name"] = json!(name);
            document["nodes"][0]["text"] = json!(format!("{name}?"));
            document
        };
        let (one, two) = (app.publish(&named("One")).await, app.publish(&named("Two")).await);
        let first = app.trigger(one, PHONE).await.expect(201);
        app.advance(1);
        let second = app.trigger(two, PHONE).await.expect(201);
        assert_eq!(first["contact_id"], second["contact_id"]);
        assert_eq!(app.say(PHONE, "tea").await["session_id"], second["id"]);
        assert_eq!(app.say(PHONE, "coffee").await["session_id"], first["id"]);
        let nobody = app.say(PHONE, "tea").await;
        assert_eq!((&nobody["handled"], &nobody["reason"]), (&json!("unrouted"), &json!("no_session")));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_or_a_quote_reaches_its_own_session_only() {
    local(async {
        let app = TestApp::start().await;
        let (one, two) = (app.publish(&question(30)).await, app.publish(&question(30)).await);
        let first = app.trigger(one, PHONE).await.expect(201);
        app.advance(1);
        let second = app.trigger(two, PHONE).await.expect(201);
        let tap = |n: u32, option: String| {
            let body = json!({"id": format!("t-{n}"), "from": PHONE, "type": "tap", "option": option, "text": "Tea"});
            let app = &app;
            async move { app.post("/inbound", &body).await.expect(202) }
        };
        let of = |session: &Value| format!("{}:tea", session["id"].as_str().unwrap());
        assert_eq!(tap(1, of(&first)).await["session_id"], first["id"], "though the other spoke last");
        assert_eq!(app.session(&second["id"]).await["status"], "running");
        let late = tap(2, of(&first)).await;
        assert_eq!((&late["handled"], &late["reason"]), (&json!("unrouted"), &json!("session_ended")));
        assert_eq!(app.session(&second["id"]).await["status"], "running", "an old tap is no answer to another menu");

        // A stranger's tap on this session is none of theirs.
        let body = json!({"id": "t-3", "from": "+4915112345678", "type": "tap", "option": of(&second)});
        assert_eq!(app.post("/inbound", &body).await.expect(202)["reason"], "not_your_session");

        // A quote goes by the message that it answers.
        let said = app.get(&format!("/contacts/{}/messages", second["contact_id"].as_str().unwrap())).await.expect(200);
        let prompt = said["data"].as_array().unwrap().iter().find(|m| m["session_id"] == second["id"]).unwrap();
        assert_eq!(prompt["options"][0]["id"], json!(of(&second)));
        let quote = json!({"id": "q-1", "from": PHONE, "type": "text", "text": "coffee", "reply_to": prompt["id"]});
        assert_eq!(app.post("/inbound", &quote).await.expect(202)["session_id"], second["id"]);
        assert_eq!(app.session(&second["id"]).await["outcome"], "answered");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_on_an_older_message_asks_again_and_counts_no_attempt() {
    local(async {
        let app = TestApp::start().await;
        let document = json!({
            "schema_version": 1, "name": "Two menus", "entry_node": "one", "nodes": [
                {"id": "one", "type": "menu", "text": "One?", "options": [{"id": "yes", "title": "Yes"}],
                    "exits": {"yes": "two"}},
                {"id": "two", "type": "menu", "text": "Two?", "max_attempts": 1,
                    "options": [{"id": "yes", "title": "Yes"}]}
            ]
        });
        let flow = app.publish(&document).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let said =
            app.get(&format!("/contacts/{}/messages", session["contact_id"].as_str().unwrap())).await.expect(200);
        let old = said["data"][0]["id"].clone();
        app.say(PHONE, "yes").await;
        let body = json!({"id": "t", "from": PHONE, "type": "tap", "option": "yes", "reply_to": old});
        assert_eq!(app.post("/inbound", &body).await.expect(202)["handled"], "reply");
        let now = app.session(&session["id"]).await;
        assert_eq!((&now["status"], &now["current_node_id"]), (&json!("running"), &json!("two")));
        let said = app.talk(&session["contact_id"]).await;
        assert_eq!(said.last().unwrap(), "out Two? [simulated]");
        assert_eq!(said.iter().filter(|line| line.contains("Two?")).count(), 2);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_during_a_delay_is_traced_and_changes_nothing() {
    local(async {
        let app = TestApp::start().await;
        let document = json!({
            "schema_version": 1, "name": "Wait", "entry_node": "wait", "nodes": [
                {"id": "wait", "type": "delay", "seconds": 60, "exits": {"next": "done"}},
                {"id": "done", "type": "end", "text": "Done"}
            ]
        });
        let flow = app.publish(&document).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let ignored = app.say(PHONE, "hello?").await;
        assert_eq!((&ignored["handled"], &ignored["session_id"]), (&json!("ignored"), &session["id"]));
        let turns = app.turns(&session["id"]).await;
        assert_eq!(turns.len(), 2);
        assert_eq!(turns[1]["warnings"][0]["text"], "ignored: the message came during a delay");
        app.advance(60);
        assert_eq!(app.runtime.run_due().await.unwrap(), 1);
        let said = app.talk(&session["contact_id"]).await;
        assert_eq!(said, ["in hello? [received]", "out Done [simulated]"]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_flows_say_to_someone_who_opted_out_is_not_sent() {
    local(async {
        let app = TestApp::start().await;
        let document = json!({
            "schema_version": 1, "name": "Stop", "entry_node": "ask", "nodes": [
                {"id": "ask", "type": "ask", "text": "Stop?", "exits": {"reply": "stop"}},
                {"id": "stop", "type": "update_contact", "opt_out": true, "exits": {"next": "bye"}},
                {"id": "bye", "type": "end", "text": "Bye"}
            ]
        });
        let flow = app.publish(&document).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        app.say(PHONE, "yes").await;
        let said = app.talk(&session["contact_id"]).await;
        assert_eq!(said, ["out Stop? [simulated]", "in yes [received]", "out Bye [failed]"]);
        let before = app.rows();
        let refused = app.trigger(flow, PHONE).await.expect(422);
        assert_eq!(refused["error"], "Contact has opted out");
        assert_eq!(app.rows(), before);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_and_places_are_kept_and_shown() {
    local(async {
        let app = TestApp::start().await;
        let place =
            json!({"id": "l", "from": PHONE, "type": "location", "media": {"latitude": 52.5, "longitude": 13.4}});
        app.post("/inbound", &place).await.expect(202);
        let voice = json!({"id": "v", "from": PHONE, "type": "audio", "media": {"url": "https://cdn.example/1.ogg"}});
        let stored = app.post("/inbound", &voice).await.expect(202);
        assert_eq!((&stored["handled"], &stored["reason"]), (&json!("unrouted"), &json!("no_session")));
        let flow = app.publish(&question(30)).await;
        let contact = app.trigger(flow, PHONE).await.expect(201)["contact_id"].clone();
        let said = app.get(&format!("/contacts/{}/messages", contact.as_str().unwrap())).await.expect(200);
        let messages = said["data"].as_array().unwrap();
        assert_eq!(messages.len(), 3);
        assert_eq!((&messages[2]["type"], &messages[2]["media"]["latitude"]), (&json!("location"), &json!(52.5)));
        assert_eq!(messages[1]["media"]["url"], "https://cdn.example/1.ogg");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_of_no_known_session_reaches_none() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let option = "01936b1e-7c6a-7000-8000-000000000001:tea";
        let body = json!({"id": "t", "from": PHONE, "type": "tap", "option": option});
        assert_eq!(app.post("/inbound", &body).await.expect(202)["handled"], "unrouted");
        assert_eq!(app.session(&session["id"]).await["status"], "running");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_reply_is_traced_with_its_session() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        app.advance(31);
        let late = app.say(PHONE, "tea").await;
        assert_eq!((&late["reason"], &late["session_id"]), (&json!("session_ended"), &session["id"]));
        let turns = app.turns(&session["id"]).await;
        assert_eq!(turns.len(), 3, "the start, the timeout, and what was not heard");
        assert_eq!(turns[2]["warnings"][0]["text"], "ignored: session_ended");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_nested_deep_is_refused_and_what_grows_deep_ends_its_session() {
    local(async {
        let app = TestApp::start().await;
        let deep = (1..40).fold(json!({}), |inner, _| json!({"a": inner}));
        let body = json!({"id": "d", "from": PHONE, "type": "image", "media": deep});
        app.post("/inbound", &body).await.expect(422);
        let grows = json!({
            "schema_version": 1, "name": "Grow", "entry_node": "ask", "nodes": [
                {"id": "ask", "type": "ask", "text": "?", "exits": {"reply": "keep"}},
                {"id": "keep", "type": "set_variable", "exits": {"next": "ask"},
                 "assignments": [{"name": "history", "value": "{{[context.history, input.text]}}"}]}
            ]
        });
        let flow = app.publish(&grows).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        for _ in 0..70 {
            app.say(PHONE, "on").await;
        }
        let ended = app.session(&session["id"]).await;
        assert_eq!((&ended["status"], &ended["reason"]), (&json!("failed"), &json!("state_limit")));
        assert_eq!(app.turns(&session["id"]).await.len(), 66, "the start, 64 levels, and the one too many");
        app.stop().await;
    })
    .await;
}
