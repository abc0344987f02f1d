//! The access token is not good, or the account is not, before the first message: whatever is asked for first pauses
//! the channel, and nothing is lost.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, OnceLock};

use qyvo::domain::FlowId;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp};
use testkit::meta::{FakeCloud, Fault, GraphError, Request};

use crate::whatsapp::crash::until;
use crate::whatsapp::world::{World, cart, cart_context, cart_template, configure};

fn phone(n: usize) -> String {
    format!("+1415555{n:04}")
}

/// What the process logs, from the first call on.
fn log() -> &'static Mutex<Vec<u8>> {
    struct Lines(&'static Mutex<Vec<u8>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    static LOG: OnceLock<&'static Mutex<Vec<u8>>> = OnceLock::new();
    LOG.get_or_init(|| {
        let lines: &'static Mutex<Vec<u8>> = Box::leak(Box::default());
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_ansi(false);
        let _ = subscriber.with_writer(move || Lines(lines)).try_init();
        lines
    })
}

/// Says nothing but a template, and ends.
fn news() -> Value {
    json!({"schema_version": 1, "name": "News", "entry_node": "say", "nodes": [
        {"id": "say", "type": "send_message", "template": {"name": "news"}, "exits": {"next": "end"}},
        {"id": "end", "type": "end"}
    ]})
}

fn with_templates(cloud: &FakeCloud) {
    cloud.add_template(cart_template());
    cloud.add_template(testkit::meta::Template::new("news", "en").body("There is news."));
}

/// A server whose token had expired before it started.
async fn expired() -> World {
    let world = World::start_unsynced(|cloud| {
        with_templates(cloud);
        cloud.revoke_token();
    })
    .await;
    // The worker asks at the start; this waits for it.
    world.app.runtime.run_due_templates().await.unwrap();
    world
}

async fn ready(app: &TestApp) -> Value {
    app.request(reqwest::Method::GET, "/readyz", None, None).await.expect(200)
}

async fn channel(app: &TestApp) -> Value {
    app.get("/channels").await.expect(200)["data"][0].clone()
}

/// Publishes a flow and gives the ids of the problems that were told.
async fn publish(app: &TestApp, document: &Value) -> (FlowId, Vec<String>) {
    let answer = app.post("/flows/import?publish=true&accept=unreachable_node", document).await.expect(201);
    let problems = answer["problems"].as_array().unwrap();
    let ids = problems.iter().map(|problem| problem["id"].as_str().unwrap().to_owned()).collect();
    (answer["id"].as_str().unwrap().parse().unwrap(), ids)
}

/// Triggers 200 sessions of each of the two flows.
async fn trigger_all(world: &World) {
    let (cart, told) = publish(&world.app, &cart()).await;
    assert!(told.contains(&"templates_not_checked".to_owned()), "{told:?}");
    let (news, told) = publish(&world.app, &news()).await;
    assert_eq!(told, ["templates_not_checked"]);
    for n in 0..200 {
        world.trigger(cart, &phone(n), cart_context()).await;
        world.trigger(news, &phone(n + 200), json!({})).await;
    }
    world.settle().await;
    assert!(world.cloud.accepted().is_empty());
    assert_eq!(world.with_status("failed").await, [] as [Value; 0]);
    let queued = world.with_status("queued").await;
    let reasons: Vec<&Value> = queued.iter().map(|row| &row["reason"]).collect();
    assert_eq!((reasons.len(), reasons[0]), (200, &json!("waits_for_templates")));
    assert!(reasons.iter().all(|reason| *reason == reasons[0]));
}

/// Each of the 400 people has one template, and nothing failed.
async fn assert_all_arrived(world: &World) {
    world.drain().await;
    world.assert_nothing_in_doubt().await;
    let mut inboxes = BTreeMap::new();
    for accepted in world.cloud.accepted() {
        assert_eq!(accepted.kind, "template");
        *inboxes.entry(accepted.went_to.unwrap()).or_insert(0) += 1;
    }
    assert_eq!(inboxes.len(), 400, "everybody");
    assert!(inboxes.values().all(|count| *count == 1), "and nobody twice");
    let flows = world.app.get("/flows").await.expect(200);
    let failed: i64 =
        flows["data"].as_array().unwrap().iter().map(|it| it["sessions"]["failed"].as_i64().unwrap()).sum();
    assert_eq!(failed, 0);
    assert_eq!(ready(&world.app).await["status"], "ready");
}

#[actix_web::test]
async fn a_token_that_had_expired_at_the_start_loses_no_message() {
    let log = log();
    let world = expired().await;
    let state = channel(&world.app).await;
    assert_eq!((&state["state"], &state["reason"]), (&json!("paused"), &json!("190")));
    let said = state["explanation"].as_str().unwrap().to_owned();
    assert!(!said.is_empty());
    let ready = ready(&world.app).await;
    assert_eq!(ready["status"], "degraded");
    assert!(ready.to_string().contains(&said), "{ready}");
    let logged = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("paused until somebody acts") && logged.contains(&said), "{logged}");

    trigger_all(&world).await;
    // The token alone is mended; nobody fetches anything by hand.
    world.cloud.set_token("EAAnew");
    let settings = json!({"whatsapp.access_token": "EAAnew"});
    world.app.send(reqwest::Method::PUT, "/settings", &[], Some(&settings)).await.expect(200);
    assert_all_arrived(&world).await;
}

#[actix_web::test]
async fn a_restart_with_another_token_lets_everything_out() {
    let world = expired().await;
    trigger_all(&world).await;
    let World { app, cloud } = world;
    let clock = app.clock.clone();
    let folder = app.stop().await;
    // The same token once more helps nobody, and neither does it lose anything.
    let base = cloud.base_url().to_owned();
    let app = TestApp::start_in(folder, clock.clone(), |config| configure(config, &base)).await;
    app.runtime.run_outbox_once().await.unwrap();
    assert_eq!(channel(&app).await["state"], "paused");
    let folder = app.stop().await;
    cloud.set_token("EAAnew");
    let app = TestApp::start_in(folder, clock, |config| {
        configure(config, &base);
        config.whatsapp.access_token = serde_json::from_value(json!("EAAnew")).unwrap();
    })
    .await;
    cloud.set_webhook(&format!("{}/webhooks/whatsapp", app.base));
    assert_all_arrived(&World { app, cloud }).await;
}

#[actix_web::test]
async fn templates_that_were_never_fetched_are_waited_for_while_the_channel_runs() {
    let world = World::start_unsynced(|cloud| {
        with_templates(cloud);
        cloud.when(usize::MAX, |request| request.path.ends_with("/message_templates"), Fault::html());
    })
    .await;
    world.app.runtime.run_due_templates().await.unwrap();
    assert_eq!(channel(&world.app).await["state"], "running", "a server's hiccup is nothing to act upon");
    let (flow, _) = publish(&world.app, &cart()).await;
    let id = world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;
    let queued = world.with_status("queued").await;
    assert_eq!((queued.len(), &queued[0]["reason"]), (1, &json!("waits_for_templates")));
    // Who writes is answered in free text at once, which no template is needed for.
    let other = world.trigger(flow, &phone(1), cart_context()).await;
    world.settle().await;
    world.cloud.phone(&phone(1)).say("hello?");
    world.wait(1).await;
    world.wait(1).await;
    let kinds: Vec<String> = world.cloud.accepted().into_iter().map(|it| it.kind).collect();
    assert_eq!(kinds, ["interactive", "interactive"], "the question, and once more since it was no answer");
    assert_eq!(world.app.session(&other).await["status"], "running");
    world.cloud.clear_faults();
    world.wait(60).await;
    assert_eq!(world.cloud.phone(PHONE).inbox().len(), 1);
    assert_eq!(world.app.session(&id).await["status"], "running");
    // From now on a name that is not there is one.
    let mut unknown = news();
    unknown["nodes"][0]["template"]["name"] = json!("gone");
    assert_eq!(
        world.app.post("/flows/import?publish=true", &unknown).await.expect(422)["problems"][0]["id"],
        "unknown_template"
    );
}

fn is_read(request: &Request) -> bool {
    request.body.get("status").is_some()
}

type Matches = fn(&Request) -> bool;

/// What is asked of Meta besides sending messages.
const CALLS: [(&str, Matches); 4] = [
    ("templates", |request| request.path.ends_with("/message_templates")),
    ("number", |request| request.method == "GET" && request.query.contains("display_phone_number")),
    ("subscription", |request| request.path.ends_with("/subscribed_apps")),
    ("read", is_read),
];

#[actix_web::test]
async fn a_refusal_of_the_account_pauses_the_channel_whatever_was_asked_for() {
    let world = World::start(|_| {}).await;
    let keyword = json!({"schema_version": 1, "name": "Hi", "entry_node": "a", "settings": {"keywords": ["hi"]},
        "nodes": [{"id": "a", "type": "end"}]});
    world.app.publish(&keyword).await;
    let codes = [190, 0, 3, 10, 200, 299, 131_005, 33, 368, 130_497, 131_031, 131_037, 131_042, 131_045, 133_010];
    for code in codes {
        for (call, matches) in CALLS {
            let words = format!("{call} is refused with {code}");
            world.app.advance(60);
            world.cloud.when(1, matches, Fault::Refuse(GraphError::new(code, &words)));
            match call {
                "templates" => _ = world.app.post("/templates/sync", &json!({})).await.expect(502),
                "read" => {
                    world.cloud.phone(PHONE).say("hi");
                    world.cloud.deliver().await;
                }
                _ => _ = world.app.post("/channels/whatsapp/test", &json!({})).await.expect(502),
            }
            until(&words, async || channel(&world.app).await["state"] == "paused").await;
            let state = channel(&world.app).await;
            assert_eq!(state["reason"], code.to_string(), "{words}");
            assert!(state["explanation"].as_str().unwrap().contains(&words), "{state}");
            assert!(ready(&world.app).await.to_string().contains(&words));
            world.app.post("/channels/whatsapp/resume", &json!({})).await.expect(200);
            world.cloud.clear_faults();
        }
    }
    // What concerns one request alone pauses nothing.
    world.cloud.when(1, CALLS[0].1, Fault::error(100));
    world.app.post("/templates/sync", &json!({})).await.expect(502);
    world.cloud.when(1, CALLS[0].1, Fault::error(80_007));
    world.app.post("/templates/sync", &json!({})).await.expect(502);
    assert_eq!(channel(&world.app).await["state"], "running");
}

#[actix_web::test]
async fn sessions_whose_messages_were_not_delivered_are_none_that_completed() {
    let world = World::start(with_templates).await;
    let mut wired = news();
    wired["nodes"][0] = json!({"id": "say", "type": "menu", "text": "News?", "template": {"name": "news"},
        "options": [{"id": "yes", "title": "Yes"}], "timeout_seconds": 600,
        "exits": {"yes": "end", "delivery_failed": "lost"}});
    wired["nodes"].as_array_mut().unwrap().push(json!({"id": "lost", "type": "end", "outcome": "lost"}));
    let mut unwired = wired.clone();
    unwired["nodes"][0]["exits"] = json!({"yes": "end"});
    world.cloud.remove_template("news");
    world.cloud.add_template(testkit::meta::Template::new("news", "en").body("There is news.").quick_reply("Yes"));
    world.app.post("/templates/sync", &json!({})).await.expect(200);
    let over_at_once = json!({"schema_version": 1, "name": "News", "entry_node": "end", "nodes": [
        {"id": "end", "type": "end", "outcome": "told", "template": {"name": "news"}}]});
    for (n, (document, count, status, outcome)) in [
        (wired, "undelivered", "completed", json!("lost")),
        (unwired, "failed", "failed", Value::Null),
        (over_at_once, "failed", "failed", json!("told")),
    ]
    .into_iter()
    .enumerate()
    {
        let flow = world.app.publish(&document).await;
        for who in 0..3 {
            world.cloud.phone(&phone(10 * n + who)).leave_whatsapp();
            let id = world.trigger(flow, &phone(10 * n + who), json!({})).await;
            world.drain().await;
            let session = world.app.session(&id).await;
            let code = if status == "failed" { &session["reason"] } else { &session["undelivered"] };
            assert_eq!((&session["status"], code), (&json!(status), &json!("131026")), "{n}");
            assert_eq!(session["outcome"], outcome, "{n}");
        }
        let id = world.trigger(flow, &phone(10 * n + 5), json!({})).await;
        world.drain().await;
        assert_ne!(world.app.session(&id).await["status"], "failed");
        let stats = world.app.get(&format!("/stats?flow_id={flow}")).await.expect(200);
        let shown = world.app.get(&format!("/flows/{flow}")).await.expect(200);
        for counts in [&stats["totals"]["sessions"], &stats["versions"][0], &shown["sessions"]] {
            let of = |name: &str| counts[name].as_i64().unwrap_or(0);
            assert_eq!((of(count), of("started")), (3, 4), "{counts}");
            assert_eq!(of("running") + of("completed"), 1, "{counts}");
            assert_eq!(of("undelivered") + of("failed"), 3, "{counts}");
        }
        let hour = stats["series"].as_array().unwrap().last().unwrap();
        assert_eq!(hour[count], 3, "{hour}");
        assert!(hour["completed"].as_i64().unwrap() <= 1, "{hour}");
    }
}
