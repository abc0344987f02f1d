//! Words that opt out or in, and what they are while somebody is asked something: the answer.

use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local};
use uuid::Uuid;

/// A flow that asks once and says what it understood.
fn asks(name: &str, node: Value) -> Value {
    let mut ask = json!({"id": "ask", "text": "¿Prioridad?", "save_as": "level"});
    ask.as_object_mut().unwrap().extend(node.as_object().unwrap().clone());
    json!({
        "schema_version": 1, "name": name, "entry_node": "ask", "settings": {"session_ttl_minutes": 30},
        "nodes": [ask, {"id": "got", "type": "send_message", "text": format!("{name} GOT {{{{context.level}}}}")}]
    })
}

fn menu(name: &str) -> Value {
    asks(
        name,
        json!({"type": "menu", "timeout_seconds": 60,
               "options": [{"id": "high", "title": "Alta"},
                   {"id": "low", "title": "Baja", "synonyms": ["Sair", "unsubscribe"]},
                           {"id": "stop", "title": "Stop"}],
               "exits": {"high": "got", "low": "got", "stop": "got"}}),
    )
}

fn open_question(name: &str) -> Value {
    asks(name, json!({"type": "ask", "exits": {"reply": "got"}}))
}

async fn handled(app: &TestApp, text: &str) -> String {
    app.say(PHONE, text).await["handled"].as_str().unwrap().to_owned()
}

async fn is_opted_out(app: &TestApp) -> bool {
    let contact = app.get(&format!("/contacts?phone={}", PHONE.replace('+', "%2B"))).await.expect(200);
    !contact["data"][0]["opted_out_at"].is_null()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_title_or_synonym_of_an_option_is_the_answer_and_stop_never_is() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&menu("Level")).await;
        for (text, level) in
            [("Baja", "low"), ("¡ALTA!", "high"), ("sair.", "low"), ("Unsubscribe", "low"), ("  baja ", "low")]
        {
            let session = app.trigger(flow, PHONE).await.expect(201);
            assert_eq!(handled(&app, text).await, "reply", "{text}");
            assert!(!is_opted_out(&app).await, "{text}");
            let said = app.talk(&session["contact_id"]).await;
            assert_eq!(said.last().unwrap(), &format!("out Level GOT {level} [simulated]"), "{text}");
        }
        let decorated = asks(
            "Decorated",
            json!({"type": "menu", "timeout_seconds": 60,
                   "options": [{"id": "high", "title": "🔼 Álto"}, {"id": "low", "title": "2. Baja"},
                               {"id": "out", "title": "Sa\u{ad}ir"}],
                   "exits": {"high": "got", "low": "got", "out": "got"}}),
        );
        let flow_of_decorated = app.publish(&decorated).await;
        for (text, level) in [("alto", "high"), ("ALTO!", "high"), ("baja", "low"), ("Baja.", "low"), ("sair", "out")] {
            let session = app.trigger(flow_of_decorated, PHONE).await.expect(201);
            assert_eq!(handled(&app, text).await, "reply", "{text}");
            assert!(!is_opted_out(&app).await, "{text}");
            let said = app.talk(&session["contact_id"]).await;
            assert_eq!(said.last().unwrap(), &format!("out Decorated GOT {level} [simulated]"), "{text}");
        }
        for text in ["STOP", "🛑 stop", "alto", "dar de baja"] {
            let session = app.trigger(flow, PHONE).await.expect(201);
            assert_eq!(handled(&app, text).await, "opt_out", "{text}");
            assert_eq!(app.session(&session["id"]).await["reason"], "opted_out", "{text}");
            assert_eq!(handled(&app, "alta").await, "opt_in", "{text}");
        }
        // Nobody asks any more.
        assert_eq!(handled(&app, "Baja").await, "opt_out");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_question_takes_words_that_people_also_answer() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&open_question("Pain")).await;
        for text in ["Alto", "baja", "Sair", "停止", "pare!", "arrêt"] {
            app.trigger(flow, PHONE).await.expect(201);
            assert_eq!(handled(&app, text).await, "reply", "{text}");
        }
        for text in ["stop", "STOP ALL", "unsubscribe", "darme de baja", "退订"] {
            app.trigger(flow, PHONE).await.expect(201);
            assert_eq!(handled(&app, text).await, "opt_out", "{text}");
            assert_eq!(handled(&app, "START").await, "opt_in", "{text}");
        }
        // What waits for no answer takes none.
        let delay = json!({"schema_version": 1, "name": "Wait", "entry_node": "wait", "nodes": [
            {"id": "wait", "type": "delay", "seconds": 600}]});
        let delay = app.publish(&delay).await;
        app.trigger(delay, PHONE).await.expect(201);
        assert_eq!(handled(&app, "alto").await, "opt_out");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_to_a_person_who_has_taken_over_is_an_answer_unless_it_says_stop() {
    local(async {
        let app = TestApp::start().await;
        let flow = app
            .publish(&json!({"schema_version": 1, "name": "Help", "entry_node": "agent",
                             "nodes": [{"id": "agent", "type": "handoff", "note": "Somebody asks."}]}))
            .await;
        app.trigger(flow, PHONE).await.expect(201);
        for text in ["Alto", "baja", "sair"] {
            assert_eq!(handled(&app, text).await, "handoff", "{text}");
            assert!(!is_opted_out(&app).await, "{text}");
        }
        assert_eq!(handled(&app, "dar de baja").await, "opt_out");
        assert!(is_opted_out(&app).await);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_session_that_would_get_the_message_turns_a_word_into_an_answer() {
    local(async {
        let app = TestApp::start().await;
        let (level, plain) = (app.publish(&menu("Level")).await, app.publish(&testkit::app::question(30)).await);
        let first = app.trigger(level, PHONE).await.expect(201);
        app.advance(1);
        app.trigger(plain, PHONE).await.expect(201);
        // The one with the floor offers tea and coffee; who quotes the other one answers that.
        let asked = app.get(&format!("/contacts/{}/messages", first["contact_id"].as_str().unwrap())).await.expect(200);
        let of_level = asked["data"].as_array().unwrap().iter().find(|one| one["session_id"] == first["id"]).unwrap();
        let quoting =
            json!({"id": Uuid::now_v7(), "from": PHONE, "type": "text", "text": "Baja", "reply_to": of_level["id"]});
        let received = app.post("/inbound", &quoting).await.expect(202);
        assert_eq!((&received["handled"], &received["session_id"]), (&json!("reply"), &first["id"]));

        // Tea and coffee are no levels.
        assert_eq!(handled(&app, "Baja").await, "opt_out");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_settled_before_anybody_is_said_to_ask() {
    local(async {
        let app = TestApp::start().await;
        // The menu is over when the word comes, though no sweeper has looked yet.
        let flow = app.publish(&menu("Level")).await;
        app.trigger(flow, PHONE).await.expect(201);
        app.advance(60);
        assert_eq!(handled(&app, "baja").await, "opt_out");
        assert_eq!(handled(&app, "start").await, "opt_in");
        // The session that spoke last has expired: the one before has the floor, and its question is open.
        let mut short = testkit::app::question(1);
        short["name"] = json!("Short");
        short["nodes"][0]["timeout_seconds"] = json!(3600);
        let (open, short) = (app.publish(&open_question("Pain")).await, app.publish(&short).await);
        let asked = app.trigger(open, PHONE).await.expect(201);
        app.advance(1);
        app.trigger(short, PHONE).await.expect(201);
        app.advance(60);
        let received = app.say(PHONE, "alto").await;
        assert_eq!((&received["handled"], &received["session_id"]), (&json!("reply"), &asked["id"]));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sub_flow_asks_as_well() {
    local(async {
        let app = TestApp::start().await;
        let sub = app.publish(&menu("Level")).await;
        let caller = json!({"schema_version": 1, "name": "Caller", "entry_node": "run", "nodes": [
            {"id": "run", "type": "run_flow", "flow_id": sub, "exits": {"completed": "end"}},
            {"id": "end", "type": "end"}]});
        let caller = app.publish(&caller).await;
        let session = app.trigger(caller, PHONE).await.expect(201);
        assert_eq!(handled(&app, "Baja").await, "reply");
        assert_eq!(app.session(&session["id"]).await["status"], "completed");
        app.trigger(caller, PHONE).await.expect(201);
        assert_eq!(handled(&app, "alto").await, "opt_out");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whom_a_flow_opted_out_still_answers_its_question() {
    local(async {
        let app = TestApp::start().await;
        let open = app.publish(&menu("Level")).await;
        let out = json!({"schema_version": 1, "name": "Out", "entry_node": "out", "nodes": [
            {"id": "out", "type": "update_contact", "opt_out": true}]});
        let out = app.publish(&out).await;
        let asked = app.trigger(open, PHONE).await.expect(201);
        app.trigger(out, PHONE).await.expect(201);
        assert!(is_opted_out(&app).await);
        let received = app.say(PHONE, "Alta!").await;
        assert_eq!((&received["handled"], &received["session_id"]), (&json!("reply"), &asked["id"]));
        assert!(is_opted_out(&app).await, "it was an answer");
        assert_eq!(handled(&app, "alta").await, "opt_in", "nothing is asked any more");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_words_are_answers_only_where_they_are_offered() {
    local(async {
        let app = TestApp::start_with(|config| {
            config.routing.opt_out_words = vec!["stop".to_owned(), "es:baja".to_owned(), "en:quit".to_owned()];
        })
        .await;
        let (level, open) = (app.publish(&menu("Level")).await, app.publish(&open_question("Pain")).await);
        app.trigger(level, PHONE).await.expect(201);
        assert_eq!(handled(&app, "Baja").await, "reply");
        app.trigger(open, PHONE).await.expect(201);
        assert_eq!(handled(&app, "sair").await, "reply", "no word of the operator");
        app.trigger(open, PHONE).await.expect(201);
        assert_eq!(handled(&app, "quit").await, "opt_out");
        // The simulation hears the same words.
        let simulated = app.post("/simulations", &json!({"flow": open_question("Pain")})).await.expect(201);
        let events = format!("/simulations/{}/events", simulated["id"].as_str().unwrap());
        let told = app.post(&events, &json!({"type": "reply", "text": "Quit!"})).await.expect(200);
        assert_eq!(
            (&told["session"]["status"], &told["session"]["reason"]),
            (&json!("cancelled"), &json!("opted_out"))
        );
        assert!(!told["contact"]["opted_out_at"].is_null());
        assert!(told["confirmation"].as_str().unwrap().starts_with("You will not get any more"));
        app.stop().await;
    })
    .await;
}
