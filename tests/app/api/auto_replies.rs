//! The end of automatic answers: two machines that answer each other, and people who merely write a lot.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question};

const FALLBACK: &str = "01936b1e-7c6a-7000-8000-00000000fa11";
const LIMIT: &str = "auto_reply_limit";

/// Says something and ends.
fn says(text: &str, settings: Value) -> Value {
    json!({"schema_version": 1, "name": text, "settings": settings, "entry_node": "end",
           "nodes": [{"id": "end", "type": "end", "text": text}]})
}

async fn with_fallback() -> TestApp {
    let app = TestApp::start_with(|config| config.routing.fallback_flow = FALLBACK.to_owned()).await;
    let mut fallback = says("We will write to you.", json!({}));
    fallback["id"] = json!(FALLBACK);
    app.publish(&fallback).await;
    app
}

fn handled(received: &Value) -> (&str, Option<&str>) {
    (received["handled"].as_str().unwrap(), received["reason"].as_str())
}

async fn contact(app: &TestApp, phone: &str) -> Value {
    let list = app.get(&format!("/contacts?phone={}", phone.replace('+', "%2B"))).await.expect(200);
    app.get(&format!("/contacts/{}", list["data"][0]["id"].as_str().unwrap())).await.expect(200)
}

/// Messages that went out to somebody.
async fn said(app: &TestApp, phone: &str) -> usize {
    let id = contact(app, phone).await["id"].clone();
    app.talk(&id).await.iter().filter(|line| line.starts_with("out")).count()
}

/// The other machine writes so often, a second apart. Gives how its messages were handled.
async fn write(app: &TestApp, times: usize, text: &str) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    for _ in 0..times {
        app.advance(1);
        let received = app.say(PHONE, text).await;
        let (handled, reason) = handled(&received);
        all.push((handled.to_owned(), reason.map(str::to_owned)));
    }
    all
}

fn count(all: &[(String, Option<String>)], handled: &str) -> usize {
    all.iter().filter(|(name, _)| name == handled).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_machines_end_after_ten_answers_whatever_answers() {
    local(async {
        for (how, text) in [("fallback", "I am away."), ("keyword", "hello"), ("late_reply", "I am away.")] {
            let app = if how == "fallback" { with_fallback().await } else { TestApp::start().await };
            match how {
                "keyword" => _ = app.publish(&says("Hello!", json!({"keywords": ["hello"]}))).await,
                "late_reply" => {
                    let flow = app.publish(&says("Sale!", json!({"late_reply": {"text": "Too late."}}))).await;
                    app.trigger(flow, PHONE).await.expect(201);
                }
                _ => {}
            }
            let all = write(&app, 30, text).await;
            let expected =
                |n| if n < 10 { (how.to_owned(), None) } else { ("unrouted".to_owned(), Some(LIMIT.to_owned())) };
            assert_eq!(all, (0..30).map(expected).collect::<Vec<_>>(), "{how}");
            // For as long as the machine goes on, and after a restart.
            let clock = app.clock.clone();
            let folder = app.stop().await;
            let app =
                TestApp::start_in(folder, clock, |config| config.routing.fallback_flow = FALLBACK.to_owned()).await;
            app.advance(50 * 60);
            assert_eq!(count(&write(&app, 3, text).await, "unrouted"), 3, "{how}");
            app.advance(59 * 60);
            assert_eq!(count(&write(&app, 1, text).await, "unrouted"), 1, "{how}");
            let problems = app.get(&format!("/messages?status=unrouted&reason={LIMIT}")).await.expect(200);
            assert_eq!(problems["data"].as_array().unwrap().len(), 24, "{how}: shown as a problem");
            // An hour of silence.
            app.advance(3600);
            assert_eq!(count(&write(&app, 11, text).await, how), 10, "{how}");
            app.stop().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_machine_says_to_a_question_ends_too() {
    local(async {
        let options = json!([{"id": "tea", "title": "Tea"}, {"id": "mate", "title": "Mate"}]);
        for (how, answers, node) in [
            ("menu", 10, json!({"type": "menu", "text": "Which?", "options": options})),
            ("number", 10, json!({"type": "ask", "text": "How many?", "expects": "number", "max_attempts": 2})),
            ("delay", 10, json!({"type": "delay", "seconds": 600, "on_reply": "continue"})),
            ("any text", 30, json!({"type": "ask", "text": "Who are you?"})),
        ] {
            let app = TestApp::start().await;
            let mut flow = json!({"schema_version": 1, "name": how, "settings": {"late_reply": {"restart_at": "n"}},
                "entry_node": "end", "nodes": [node, {"id": "end", "type": "end", "text": "Thank you."}]});
            flow["nodes"][0]["id"] = json!("n");
            flow["nodes"][0]["exits"] = match how {
                "menu" => json!({"tea": "end", "mate": "end", "no_match": "end"}),
                "delay" => json!({"next": "end"}),
                _ => json!({"reply": "end", "no_match": "end"}),
            };
            let id = app.publish(&flow).await;
            app.trigger(id, PHONE).await.expect(201);
            let all = write(&app, 80, "I am away.").await;
            assert_eq!(count(&all, "late_reply"), answers, "{how}: {all:?}");
            assert_eq!(all[79], ("unrouted".to_owned(), Some(LIMIT.to_owned())), "{how}");
            app.stop().await;
        }
    })
    .await;
}

/// How often the other machine looks.
const TICK_MILLIS: usize = 500;

/// Ten minutes with another machine that writes once, and then so long after the last message that it got. Gives how
/// its messages were handled.
async fn ten_minutes(app: &TestApp, after_millis: u64) -> Vec<(String, Option<String>)> {
    let (mut due, mut seen, mut all) = (Some(0), 0, Vec::new());
    for now in (0..600_000).step_by(TICK_MILLIS) {
        app.runtime.run_due().await.unwrap();
        if due.take_if(|at| *at <= now).is_some() {
            let received = app.say(PHONE, "I am away.").await;
            let (handled, reason) = handled(&received);
            all.push((handled.to_owned(), reason.map(str::to_owned)));
        }
        let count = "SELECT count(*) FROM messages WHERE direction = 'out'";
        let conn = rusqlite::Connection::open(app.folder.path().join("qyvo.db")).unwrap();
        let said: u32 = conn.query_row(count, [], |row| row.get(0)).unwrap();
        if said > seen {
            due = Some(now + after_millis);
        }
        seen = said;
        app.advance_millis(TICK_MILLIS as u64);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn two_machines_end_whatever_becomes_of_the_sessions_that_they_start() {
    local(async {
        let options = json!([{"id": "tea", "title": "Tea"}, {"id": "mate", "title": "Mate"}]);
        let menu = |attempts: u32| {
            json!([{"id": "n", "type": "menu", "text": "Which?", "options": options, "max_attempts": attempts,
                    "exits": {"tea": "end", "mate": "end", "no_match": "end"}}])
        };
        let delay = |on_reply: &str| {
            json!({"id": "d", "type": "delay", "seconds": 7, "on_reply": on_reply, "exits": {"next": "end"}})
        };
        let text = json!({"id": "n", "type": "send_message", "text": "One moment.", "exits": {"next": "d"}});
        let mut without_text = delay("ignore");
        without_text["id"] = json!("n");
        for (how, after_millis, is_restarted, nodes) in [
            ("a menu whose attempts are used up", 2_000, false, menu(3)),
            ("the same from a late reply", 2_500, true, menu(2)),
            ("one attempt", 3_500, false, menu(1)),
            (
                "a question that times out",
                7_000,
                false,
                json!([{"id": "n", "type": "ask", "text": "Who?", "timeout_seconds": 4,
                        "exits": {"reply": "end", "timeout": "end"}}]),
            ),
            ("a delay that ignores what comes", 500, false, json!([text, delay("ignore")])),
            ("a delay and no more", 500, false, json!([without_text])),
        ] {
            let app = TestApp::start_with(|config| {
                if !is_restarted {
                    config.routing.fallback_flow = FALLBACK.to_owned();
                }
            })
            .await;
            let mut flow = json!({"id": FALLBACK, "schema_version": 1, "name": how, "settings": {}, "entry_node": "n",
                "nodes": nodes});
            flow["nodes"].as_array_mut().unwrap().push(json!({"id": "end", "type": "end", "text": "Thank you."}));
            if is_restarted {
                flow["settings"] = json!({"late_reply": {"restart_at": "n"}});
            }
            let id = app.publish(&flow).await;
            if is_restarted {
                app.trigger(id, PHONE).await.expect(201);
            }
            let all = ten_minutes(&app, after_millis).await;
            let answers = count(&all, "fallback") + count(&all, "late_reply");
            assert_eq!(answers, 30, "{how}: of {}", all.len());
            let last = all.last().unwrap();
            assert_eq!(*last, ("unrouted".to_owned(), Some(LIMIT.to_owned())), "{how}: {answers} of {}", all.len());
            app.stop().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_that_say_much_end_after_ten_answers_too() {
    local(async {
        let app = TestApp::start().await;
        let say = |n: usize| {
            let next = format!("n{}", n + 1);
            json!({"id": format!("n{n}"), "type": "send_message", "text": "Hello", "exits": {"next": next}})
        };
        let mut nodes: Vec<Value> = (0..40).map(say).collect();
        nodes.push(json!({"id": "n40", "type": "end"}));
        app.publish(&json!({"schema_version": 1, "name": "Long", "settings": {"keywords": ["hello"]},
            "entry_node": "n0", "nodes": nodes}))
            .await;
        assert_eq!(count(&write(&app, 30, "hello").await, "keyword"), 10);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_of_answers_count_together_and_people_apart() {
    local(async {
        let app = with_fallback().await;
        app.publish(&says("One", json!({"keywords": ["one"]}))).await;
        app.publish(&says("Two", json!({"keywords": ["two"], "late_reply": {"text": "Too late."}}))).await;
        let mut answers = 0;
        for n in 0..24 {
            app.advance(1);
            let body = match n % 4 {
                0 => json!({"type": "text", "text": "one"}),
                1 => json!({"type": "text", "text": "two"}),
                2 => json!({"type": "audio", "media": {"url": "https://m.example/v.ogg"}}),
                _ => json!({"type": "text", "text": "whatever"}),
            };
            let mut body = body;
            body["id"] = json!(format!("m{n}"));
            body["from"] = json!(PHONE);
            let received = app.post("/inbound", &body).await.expect(202);
            answers += usize::from(handled(&received).0 != "unrouted");
            // Delivered twice, it counts once.
            assert_eq!(app.post("/inbound", &body).await.expect(202)["handled"], "duplicate");
        }
        assert_eq!((answers, said(&app, PHONE).await), (10, 10));
        assert_eq!(handled(&app.say("+14155550199", "one").await), ("keyword", None), "nobody else is concerned");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_slowly_or_talks_to_a_session_is_answered_on() {
    local(async {
        let app = with_fallback().await;
        for n in 0..30 {
            app.advance(7);
            assert_eq!(handled(&app.say(PHONE, "hello?").await).0, "fallback", "{n}");
        }
        app.advance(60);
        let flow = app.publish(&question(30)).await;
        for n in 0..4 {
            assert_eq!(count(&write(&app, 9, "hello?").await, "fallback"), 9, "{n}");
            app.trigger(flow, PHONE).await.expect(201);
            assert_eq!(handled(&app.say(PHONE, "tea").await).0, "reply", "{n}");
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_lets_them_go_on_and_sessions_and_wishes_go_on_meanwhile() {
    local(async {
        let app = with_fallback().await;
        write(&app, 12, "hello").await;
        let person = contact(&app, PHONE).await;
        assert_eq!(person["auto_replies_stopped"], true);
        let path = format!("/contacts/{}/allow-auto-replies", person["id"].as_str().unwrap());

        // What the shop begins is no automatic answer, and its session takes replies.
        let flow = app.publish(&question(30)).await;
        app.trigger(flow, PHONE).await.expect(201);
        assert_eq!(handled(&app.say(PHONE, "tea").await).0, "reply");
        assert_eq!(handled(&app.say(PHONE, "hello").await), ("unrouted", Some(LIMIT)));

        let allowed = app.post(&path, &json!({})).await.expect(200);
        assert_eq!((&allowed["id"], &allowed["auto_replies_stopped"]), (&person["id"], &Value::Null));
        assert_eq!(count(&write(&app, 12, "hello").await, "fallback"), 10);
        assert_eq!(contact(&app, PHONE).await["auto_replies_stopped"], true);

        let before = said(&app, PHONE).await;
        assert_eq!(handled(&app.say(PHONE, "STOP").await), ("opt_out", None));
        assert!(contact(&app, PHONE).await["opted_out_at"].is_string());
        assert_eq!(said(&app, PHONE).await, before + 1, "it is confirmed");
        assert_eq!(handled(&app.say(PHONE, "START").await), ("opt_in", None));

        let unknown = "/contacts/01936b1e-7c6a-7000-8000-00000000dead/allow-auto-replies";
        app.post(unknown, &json!({})).await.expect(404);
        let get = app.request(Method::GET, &format!("/api/v1{path}"), None, None).await;
        assert_eq!(get.status, 405);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_that_go_to_and_fro_are_heeded_and_not_confirmed_for_ever() {
    local(async {
        let app = TestApp::start().await;
        for _ in 0..20 {
            app.advance(1);
            assert_eq!(app.say(PHONE, "STOP").await["handled"], "opt_out");
            assert!(contact(&app, PHONE).await["opted_out_at"].is_string());
            assert_eq!(app.say(PHONE, "START").await["handled"], "opt_in");
            assert!(contact(&app, PHONE).await["opted_out_at"].is_null());
        }
        assert_eq!(said(&app, PHONE).await, 10);
        app.advance(61);
        app.say(PHONE, "STOP").await;
        assert_eq!(said(&app, PHONE).await, 11, "a minute later a person means it");
        app.stop().await;
    })
    .await;
}
