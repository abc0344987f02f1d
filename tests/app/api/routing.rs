//! What a message goes to: words of consent, the session that waits, handoffs, keywords, late replies, the fallback.
//!
//! Tests that are named after what goes wrong elsewhere stand for complaints of users of other systems.

use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question, secret};
use uuid::Uuid;

/// The flow that takes what nothing else wants.
const FALLBACK: &str = "01936b1e-7c6a-7000-8000-00000000fa11";

/// A flow that says what started it, and asks.
fn greeter(name: &str, keywords: &[&str]) -> Value {
    json!({
        "schema_version": 1, "name": name, "entry_node": "ask", "settings": {"keywords": keywords},
        "nodes": [
            {"id": "ask", "type": "ask", "text": format!("{name}: {{{{input.text}}}}?"), "exits": {"reply": "done"}},
            {"id": "done", "type": "end", "text": format!("{name} done: {{{{input.text}}}}")}
        ]
    })
}

fn late(document: Value, late_reply: Value) -> Value {
    let mut document = document;
    document["settings"]["late_reply"] = late_reply;
    document
}

async fn tap(app: &TestApp, option: &str) -> Value {
    let body = json!({"id": Uuid::now_v7(), "from": PHONE, "type": "tap", "option": option, "text": "Tea"});
    app.post("/inbound", &body).await.expect(202)
}

fn handled(received: &Value) -> (&str, Option<&str>) {
    (received["handled"].as_str().unwrap(), received["reason"].as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_is_swallowed_by_no_running_flow_and_nobody_is_messaged_after_it() {
    local(async {
        let app = TestApp::start().await;
        let (one, two) = (app.publish(&question(30)).await, app.publish(&greeter("Two", &["stop"])).await);
        let first = app.trigger(one, PHONE).await.expect(201);
        let second = app.trigger(two, PHONE).await.expect(201);
        let tapped = json!({"id": "tap", "from": PHONE, "type": "tap", "option": "x", "text": "Stop"});
        assert_eq!(app.post("/inbound", &tapped).await.expect(202)["handled"], "reply", "a button is no wish");
        assert_eq!(handled(&app.say(PHONE, "please stop").await), ("reply", None), "only the whole message is");

        let second = if app.session(&second["id"]).await["status"] == "running" {
            second
        } else {
            app.trigger(two, PHONE).await.expect(201)
        };
        assert_eq!(handled(&app.say(PHONE, " Stop! ").await), ("opt_out", None));
        for session in [&first, &second] {
            let ended = app.session(&session["id"]).await;
            assert_eq!((&ended["status"], &ended["reason"]), (&json!("cancelled"), &json!("opted_out")));
        }
        let said = app.talk(&first["contact_id"]).await;
        assert!(said.last().unwrap().starts_with("out You will not get any more messages"), "{said:?}");
        assert!(said.last().unwrap().contains("START"), "{said:?}");
        assert_eq!(app.trigger(one, PHONE).await.expect(422)["error"], "Contact has opted out");

        let before = app.talk(&first["contact_id"]).await.len();
        assert_eq!(handled(&app.say(PHONE, "STOP").await), ("opt_out", None));
        assert_eq!(app.talk(&first["contact_id"]).await.len(), before + 1, "there is no second confirmation");
        assert_eq!(handled(&app.say(PHONE, "hello").await), ("unrouted", Some("opted_out")));

        assert_eq!(handled(&app.say(PHONE, "start").await), ("opt_in", None));
        let said = app.talk(&first["contact_id"]).await;
        assert!(said.last().unwrap().starts_with("out You will get our messages again"), "{said:?}");
        assert_eq!(handled(&app.say(PHONE, "start").await), ("unrouted", Some("no_session")), "a word like all others");
        app.trigger(one, PHONE).await.expect(201);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_confirmation_is_in_the_contacts_language_else_the_words() {
    local(async {
        let app = TestApp::start_with(|config| {
            config.routing.opt_out_words = vec!["de:genug".to_owned(), "fin".to_owned()];
        })
        .await;
        let last = async |phone: &str| {
            let contact = app.get(&format!("/contacts?phone={}", phone.replace('+', "%2B"))).await.expect(200);
            app.talk(&contact["data"][0]["id"]).await.last().unwrap().clone()
        };
        let (one, two, three) = ("+4915112345671", "+4915112345672", "+4915112345673");
        assert_eq!(app.say(one, "Genug").await["handled"], "opt_out");
        assert!(last(one).await.starts_with("out Sie erhalten keine weiteren"));
        assert_eq!(app.say(two, "fin").await["handled"], "opt_out");
        assert!(last(two).await.starts_with("out You will not get"));
        app.say(three, "hello").await;
        let contact = app.get("/contacts?phone=%2B4915112345673").await.expect(200)["data"][0]["id"].clone();
        app.patch(&format!("/contacts/{}", contact.as_str().unwrap()), &json!({"language": "fr-CA"})).await.expect(200);
        assert_eq!(app.say(three, "genug").await["handled"], "opt_out");
        assert!(last(three).await.starts_with("out Vous ne recevrez plus"));
        assert_eq!(app.say("+4915112345674", "stop").await["handled"], "unrouted", "the operator's words replace all");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyword_hijacks_no_answer_and_is_ignored_by_no_delay() {
    local(async {
        let app = TestApp::start().await;
        let (asks, tea) = (app.publish(&question(30)).await, app.publish(&greeter("Tea shop", &["Tea", "menu"])).await);
        let first = app.trigger(asks, PHONE).await.expect(201);
        assert_eq!(app.say(PHONE, "tea").await["session_id"], first["id"], "it is the answer that was asked for");
        assert_eq!(app.session(&first["id"]).await["outcome"], "answered");

        let started = app.say(PHONE, " TEA! ").await;
        assert_eq!(handled(&started), ("keyword", None));
        let session = app.session(&started["session_id"]).await;
        assert_eq!((&session["flow_id"], &session["turn"]), (&json!(tea), &json!(1)));
        let said = app.talk(&first["contact_id"]).await;
        assert_eq!(
            said.last().unwrap(),
            "out Tea shop:  TEA! ? [simulated]",
            "the message is the input, and no answer"
        );
        assert_eq!(app.say(PHONE, "menu").await["session_id"], started["session_id"], "now it is an answer");
        assert_eq!(app.session(&started["session_id"]).await["status"], "completed");

        let delay = json!({
            "schema_version": 1, "name": "Wait", "entry_node": "wait", "nodes": [
                {"id": "wait", "type": "delay", "seconds": 600, "exits": {"next": "done"}},
                {"id": "done", "type": "end"}
            ]
        });
        let waits = app.publish(&delay).await;
        let waiting = app.trigger(waits, PHONE).await.expect(201);
        assert_eq!(handled(&app.say(PHONE, "hello").await).0, "ignored");
        let started = app.say(PHONE, "menu").await;
        assert_eq!(handled(&started).0, "keyword", "a session that has asked nothing is answered by nothing");
        assert_eq!(app.session(&waiting["id"]).await["status"], "running");
        app.say(PHONE, "bye").await;
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyword_is_known_without_accents_and_decoration_where_one_flow_has_it() {
    local(async {
        let app = TestApp::start().await;
        let says = |name: &str, keywords: &[&str]| {
            json!({"schema_version": 1, "name": name, "entry_node": "end", "settings": {"keywords": keywords},
                   "nodes": [{"id": "end", "type": "end", "text": name}]})
        };
        app.publish(&says("Information", &["Información", "What's new", "🍕 Menú"])).await;
        app.publish(&says("Potato", &["papa"])).await;
        app.publish(&says("Father", &["papá"])).await;
        for (n, (text, said)) in [
            ("informacion", "Information"),
            ("INFORMACIÓN!", "Information"),
            ("What’s new?", "Information"),
            ("menu", "Information"),
            ("papa", "Potato"),
            ("Papá", "Father"),
            ("Menú 👍", "Information"),
        ]
        .into_iter()
        .enumerate()
        {
            let phone = format!("+1415555{n:04}");
            assert_eq!(handled(&app.say(&phone, text).await), ("keyword", None), "{text}");
            let list = app.get(&format!("/contacts?phone={}", phone.replace('+', "%2B"))).await.expect(200);
            let talk = app.talk(&list["data"][0]["id"]).await;
            assert_eq!(talk.last().unwrap(), &format!("out {said} [simulated]"), "{text}");
        }
        assert_eq!(handled(&app.say(PHONE, "pàpa").await), ("unrouted", Some("no_session")), "it may be either");
        let caption = json!({"id": "p", "from": PHONE, "type": "image", "text": "menú",
                             "media": {"url": "https://m.example/p.jpg"}});
        assert_eq!(app.post("/inbound", &caption).await.expect(202)["handled"], "keyword");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_flows_with_a_keyword_the_one_published_last_starts() {
    local(async {
        let app = TestApp::start().await;
        let one = app.publish(&greeter("One", &["menu"])).await;
        let two = app.publish(&greeter("Two", &["menu"])).await;
        let flow_of = async |text: &str| {
            let started = app.say(PHONE, text).await;
            assert_eq!(started["handled"], "keyword", "{started}");
            let session = app.session(&started["session_id"]).await;
            app.say(PHONE, "end").await;
            session["flow_id"].clone()
        };
        assert_eq!(flow_of("menu").await, json!(two));
        let mut again = greeter("One", &["menu"]);
        again["id"] = json!(one);
        app.publish(&again).await;
        assert_eq!(flow_of("menu").await, json!(two), "what is live already is not published again");
        again["name"] = json!("One, again");
        app.publish(&again).await;
        assert_eq!(flow_of("menu").await, json!(one));
        app.post(&format!("/flows/{one}/unpublish"), &json!({})).await.expect(200);
        assert_eq!(flow_of("menu").await, json!(two));
        // A version without the word takes it from the flow.
        let mut other = greeter("Two", &["other"]);
        other["id"] = json!(two);
        app.publish(&other).await;
        assert_eq!(handled(&app.say(PHONE, "menu").await), ("unrouted", Some("no_session")));
        assert_eq!(flow_of("other").await, json!(two));
        let mut needs = greeter("Needs", &["other"]);
        needs["inputs"] = json!([{"name": "cart", "required": true}]);
        app.post("/flows/import?publish=true", &needs).await;
        assert_eq!(flow_of("other").await, json!(two), "one that cannot start is passed over");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_messages_in_quick_succession_start_one_session() {
    local(async {
        let app = TestApp::start().await;
        app.publish(&greeter("Menu", &["menu"])).await;
        let bodies = [1, 2].map(|n| json!({"id": format!("m-{n}"), "from": PHONE, "type": "text", "text": "menu"}));
        let (one, two) = tokio::join!(app.post("/inbound", &bodies[0]), app.post("/inbound", &bodies[1]));
        let (one, two) = (one.expect(202), two.expect(202));
        let mut both = [one["handled"].as_str().unwrap(), two["handled"].as_str().unwrap()];
        both.sort_unstable();
        assert_eq!(both, ["keyword", "reply"]);
        assert_eq!(one["session_id"], two["session_id"]);
        assert_eq!((app.count("sessions"), app.count("contacts")), (1, 1));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_retries_makes_no_second_step() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let body = json!({"id": "m-1", "from": PHONE, "type": "text", "text": "perhaps"});
        let all = futures_util::future::join_all((0..20).map(|_| app.post("/inbound", &body))).await;
        let handled: Vec<Value> = all.into_iter().map(|answer| answer.expect(202)["handled"].clone()).collect();
        assert_eq!(handled.iter().filter(|one| **one == "reply").count(), 1, "{handled:?}");
        assert_eq!(handled.iter().filter(|one| **one == "duplicate").count(), 19);
        assert_eq!(app.turns(&session["id"]).await.len(), 2);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_menu_button_tapped_later_goes_to_its_own_flow_or_nowhere() {
    local(async {
        let app = TestApp::start().await;
        let plain = app.publish(&question(1)).await;
        let answers = app.publish(&late(question(1), json!({"text": "Too late for {{input.text}}."}))).await;
        let old = app.trigger(plain, PHONE).await.expect(201);
        let spoken = app.trigger(answers, PHONE).await.expect(201);
        app.advance(31);
        app.runtime.run_due().await.unwrap();
        let now = app.publish(&greeter("Now", &[])).await;
        let live = app.trigger(now, PHONE).await.expect(201);
        let of = |session: &Value| format!("{}:tea", session["id"].as_str().unwrap());
        let received = tap(&app, &of(&old)).await;
        assert_eq!(handled(&received), ("unrouted", Some("session_ended")));
        assert_eq!(received["session_id"], old["id"]);
        let received = tap(&app, &of(&spoken)).await;
        assert_eq!(handled(&received), ("late_reply", None));
        assert_eq!(app.talk(&live["contact_id"]).await.last().unwrap(), "out Too late for Tea. [simulated]");
        assert_eq!(app.session(&live["id"]).await["turn"], 1, "neither is an answer to what is asked now");
        let turns = app.turns(&spoken["id"]).await;
        assert_eq!(turns.last().unwrap()["warnings"][0]["text"], "ignored: late_reply");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_reply_starts_anew_with_the_old_context_and_meets_no_wait() {
    local(async {
        let app = TestApp::start().await;
        let mut document = late(question(1), json!({"restart_at": "ask"}));
        document["nodes"][0]["text"] = json!("Tea or coffee for {{context.name}}?");
        document["inputs"] = json!([{"name": "name", "required": true}]);
        let flow = app.publish(&document).await;
        let body = json!({"flow_id": flow, "phone": PHONE, "context": {"name": "Ana"}});
        let first = app.post("/actions/trigger-flow", &body).await.expect(201);
        app.advance(61);
        // The timer has not fired yet: the message settles it.
        let received = app.say(PHONE, "tea").await;
        assert_eq!(handled(&received), ("late_reply", None));
        assert_ne!(received["session_id"], first["id"]);
        let session = app.session(&received["session_id"]).await;
        assert_eq!((&session["current_node_id"], &session["turn"]), (&json!("ask"), &json!(1)));
        assert_eq!(session["context"]["name"], "Ana");
        assert_eq!(app.talk(&first["contact_id"]).await.last().unwrap(), "out Tea or coffee for Ana? [simulated]");
        assert_eq!(app.say(PHONE, "tea").await["session_id"], received["session_id"]);
        assert_eq!(app.session(&received["session_id"]).await["outcome"], "answered");

        app.advance(7 * 24 * 3600);
        assert_eq!(
            handled(&app.say(PHONE, "coffee").await),
            ("unrouted", Some("no_session")),
            "too late even for that"
        );
        let third = app.post("/actions/trigger-flow", &body).await.expect(201);
        app.post("/actions/cancel-flow", &json!({"flow_id": flow, "phone": PHONE})).await.expect(200);
        assert_eq!(handled(&app.say(PHONE, "tea").await), ("unrouted", Some("no_session")), "it was ended on purpose");
        assert_eq!(app.session(&third["id"]).await["status"], "cancelled");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyword_comes_before_a_late_reply_and_the_fallback_after_both() {
    local(async {
        let app = TestApp::start_with(|config| config.routing.fallback_flow = FALLBACK.to_owned()).await;
        let received = app.say(PHONE, "hello").await;
        assert_eq!(handled(&received), ("unrouted", Some("no_session")), "it is not published yet");
        let mut fallback = greeter("Fallback", &[]);
        fallback["id"] = json!(FALLBACK);
        app.publish(&fallback).await;
        app.publish(&greeter("Menu", &["menu"])).await;
        let flow = app.publish(&late(question(1), json!({"text": "Too late."}))).await;

        let image = json!({"id": "i", "from": PHONE, "type": "image", "media": {"url": "https://cdn.example/1.jpg"}});
        let received = app.post("/inbound", &image).await.expect(202);
        assert_eq!(handled(&received), ("fallback", None));
        assert_eq!(app.session(&received["session_id"]).await["flow_id"], FALLBACK);
        assert_eq!(handled(&app.say(PHONE, "that").await).0, "reply");

        app.trigger(flow, PHONE).await.expect(201);
        app.advance(61);
        let received = app.say(PHONE, "menu").await;
        assert_eq!(handled(&received), ("keyword", None));
        app.say(PHONE, "done").await;
        assert_eq!(handled(&app.say(PHONE, "tea").await), ("late_reply", None));
        app.advance(8 * 24 * 3600);
        assert_eq!(handled(&app.say(PHONE, "tea").await), ("fallback", None));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_handoff_leaves_all_to_the_person_but_what_is_tapped_elsewhere() {
    local(async {
        let app = TestApp::start().await;
        let handoff = json!({
            "schema_version": 1, "name": "Help", "entry_node": "agent", "nodes": [
                {"id": "agent", "type": "handoff", "note": "help", "exits": {"resumed": "done"}},
                {"id": "done", "type": "end", "text": "Thanks"}
            ]
        });
        let (asks, helps) = (app.publish(&question(300)).await, app.publish(&handoff).await);
        app.publish(&greeter("Menu", &["menu"])).await;
        let helped = app.trigger(helps, PHONE).await.expect(201);
        app.advance(1);
        let asked = app.trigger(asks, PHONE).await.expect(201);
        for text in ["tea", "menu", "my order is late"] {
            let received = app.say(PHONE, text).await;
            assert_eq!(handled(&received), ("handoff", None), "{text}");
            assert_eq!(received["session_id"], helped["id"]);
        }
        assert_eq!(app.session(&helped["id"]).await["turn"], 1, "no flow hears any of it");
        let answer = format!("/contacts/{}/messages", helped["contact_id"].as_str().unwrap());
        let said = app.post(&answer, &json!({"text": "It ships tomorrow."})).await.expect(202);
        assert_eq!((&said["status"], &said["origin"]), (&json!("simulated"), &json!("agent")));
        let option = format!("{}:tea", asked["id"].as_str().unwrap());
        assert_eq!(tap(&app, &option).await["session_id"], asked["id"]);
        assert_eq!(app.session(&asked["id"]).await["outcome"], "answered");
        assert_eq!(handled(&app.say(PHONE, "stop").await).0, "opt_out", "this wish goes before everything");
        assert_eq!(app.session(&helped["id"]).await["status"], "cancelled");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_the_day_before_starts_nothing_and_still_opts_out() {
    local(async {
        let app = TestApp::start().await;
        app.publish(&greeter("Menu", &["menu"])).await;
        let flow = app.publish(&question(300)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let send = async |n: u32, more: Value| {
            let mut body = json!({"id": format!("m-{n}"), "from": PHONE, "type": "text",
                                  "timestamp": "2026-05-06T07:59:59+00:00"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            app.post("/inbound", &body).await.expect(202)
        };
        for (n, text) in [(1, "tea"), (2, "menu")] {
            assert_eq!(handled(&send(n, json!({"text": text})).await), ("unrouted", Some("stale")));
        }
        let tapped = json!({"type": "tap", "option": format!("{}:tea", session["id"].as_str().unwrap())});
        assert_eq!(handled(&send(3, tapped).await), ("reply", None), "it says what it answers");
        assert_eq!(handled(&send(4, json!({"text": "stop"})).await), ("opt_out", None));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_be_read_loses_no_message_and_keeps_nobody_from_opting_out() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(300)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let break_it = || {
            let conn = rusqlite::Connection::open(app.folder.path().join("qyvo.db")).unwrap();
            conn.execute("UPDATE sessions SET state = 'no JSON'", []).unwrap();
        };
        break_it();
        assert_eq!(handled(&app.say(PHONE, "tea").await), ("unrouted", Some("internal_error")));
        assert_eq!(handled(&app.say(PHONE, "stop").await), ("opt_out", None));
        let said = app.talk(&session["contact_id"]).await;
        assert_eq!(said[1..3], ["in tea [received]", "in stop [received]"]);
        assert!(said[3].starts_with("out You will not"), "{said:?}");
        let running = app.get("/sessions?status=running").await.expect(200);
        assert_eq!(running["data"], json!([]));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_answers_whoever_is_there() {
    local(async {
        let app = TestApp::start().await;
        app.say(PHONE, "stop").await;
        let contact = app.get("/contacts?phone=%2B14155550123").await.expect(200)["data"][0]["id"].clone();
        let path = format!("/contacts/{}/messages", contact.as_str().unwrap());
        let said = app.post_with_key(&path, "k", &json!({"text": "Sorry!"})).await.expect(202);
        assert_eq!((&said["direction"], &said["text"]), (&json!("out"), &json!("Sorry!")));
        let again = app.post_with_key(&path, "k", &json!({"text": "Sorry!"})).await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.body["id"], said["id"]);
        assert_eq!(app.talk(&contact).await.last().unwrap(), "out Sorry! [simulated]");
        let before = app.rows();
        for body in [json!({}), json!({"text": " "}), json!({"text": "x".repeat(4097)}), json!({"text": "a", "b": 1})] {
            app.post(&path, &body).await.expect(422);
        }
        app.post("/contacts/01936b1e-7c6a-7000-8000-000000000001/messages", &json!({"text": "a"})).await.expect(404);
        assert_eq!(app.rows(), before);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_answered_one_person_is_refused_for_another() {
    local(async {
        let app = TestApp::start().await;
        let mut paths = Vec::new();
        for phone in [PHONE, "+14155550188"] {
            let made = app.post("/actions/create-contact", &json!({"phone": phone})).await.expect(201);
            paths.push(format!("/contacts/{}/messages", made["id"].as_str().unwrap()));
        }
        let text = json!({"text": "Your order is on its way."});
        let said = app.post_with_key(&paths[0], "k", &text).await.expect(202);
        let other = app.post_with_key(&paths[1], "k", &text).await;
        assert_eq!(other.header("idempotency-replayed"), None);
        let refused = other.expect(422);
        assert!(refused["error"].as_str().unwrap().contains("Idempotency-Key"), "{refused}");
        assert_eq!(app.post_with_key(&paths[0], "k", &text).await.expect(202)["id"], said["id"], "the first is kept");
        assert_eq!(app.count("messages"), 1);
        app.post_with_key(&paths[1], "k2", &text).await.expect(202);
        assert_eq!(app.count("messages"), 2);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opted_out_is_answered_by_people_and_by_no_system() {
    local(async {
        let app = TestApp::start().await;
        app.say(PHONE, "hello").await;
        let contact = app.get("/contacts?phone=%2B14155550123").await.expect(200)["data"][0]["id"].clone();
        let path = format!("/api/v1/contacts/{}/messages", contact.as_str().unwrap());
        let answer = async |scope: Scope, text: &str| {
            app.request(Method::POST, &path, Some(&secret(scope)), Some(json!({"text": text}).to_string())).await
        };
        assert_eq!(answer(Scope::Admin, "A person").await.expect(202)["origin"], "agent");
        assert_eq!(answer(Scope::Api, "A system").await.expect(202)["origin"], "api");
        app.say(PHONE, "stop").await;
        let before = app.rows();
        let refused = answer(Scope::Api, "Please").await.expect(422);
        assert_eq!(refused["error"], "Contact has opted out");
        assert_eq!(
            refused,
            app.post("/actions/send-text-message", &json!({"phone": PHONE, "message": "Please"})).await.expect(422)
        );
        answer(Scope::Trigger, "Please").await.expect(403);
        assert_eq!(app.rows(), before, "nothing was stored");
        assert_eq!(answer(Scope::Admin, "Sorry!").await.expect(202)["origin"], "agent");
        assert_eq!(app.talk(&contact).await.last().unwrap(), "out Sorry! [simulated]");
        app.stop().await;
    })
    .await;
}
