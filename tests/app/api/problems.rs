//! What is wrong now: each kind of problem by its cause, over HTTP, and gone once that is mended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use qyvo::config::Config;
use qyvo::domain::FlowId;
use qyvo::store::tokens::Scope;
use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use testkit::app::{Answer, PHONE, TestApp, local, question, secret};
use testkit::site::{Site, answer};
use testkit::wait::until;

/// The answer of a far side whose status a test changes.
pub(super) struct FarSide {
    pub(super) site: Site,
    status: Arc<AtomicU16>,
}

impl FarSide {
    pub(super) async fn start(status: u16) -> Self {
        let status = Arc::new(AtomicU16::new(status));
        let shared = status.clone();
        let site = Site::start(move |_| {
            let status = shared.load(Ordering::SeqCst);
            answer(status, "application/json", br#"{"id": "taken"}"#)
        })
        .await;
        Self { site, status }
    }

    pub(super) fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Messages go there.
    pub(super) fn channel(&self) -> impl FnOnce(&mut Config) + use<> {
        let url = self.site.url("/messages");
        move |config| {
            config.webhook.url = url;
            config.webhook.secret = "webhook-secret".to_owned().into();
        }
    }
}

async fn listed(app: &TestApp) -> Value {
    app.get("/problems").await.expect(200)
}

/// The keys of all problems, in their order.
pub(super) async fn keys(app: &TestApp) -> Vec<String> {
    let list = listed(app).await;
    let problems = list["problems"].as_array().unwrap();
    assert_eq!(list["count"], problems.len());
    problems.iter().map(|problem| problem["key"].as_str().unwrap().to_owned()).collect()
}

/// The problem of a key.
pub(super) async fn problem(app: &TestApp, key: &str) -> Value {
    let list = listed(app).await;
    let found = list["problems"].as_array().unwrap().iter().find(|problem| problem["key"] == key);
    found.unwrap_or_else(|| panic!("{key} is none of {list}")).clone()
}

fn phone(n: usize) -> String {
    format!("+1415555{n:04}")
}

/// Starts a flow for people, and has their first messages fail: the far side gets none of them.
pub(super) async fn fail(app: &TestApp, flow: FlowId, people: std::ops::Range<usize>) {
    app.post("/channels/webhook/pause", &json!({})).await.expect(200);
    for n in people {
        app.trigger(flow, &phone(n)).await.expect(201);
    }
    let now = app.clock.now().as_millis();
    let failed = "UPDATE messages SET status = 'failed', reason = 'http_404', next_attempt_at = NULL";
    write(app, &format!("{failed}, updated_at = {now} WHERE status = 'queued'"));
    app.post("/channels/webhook/resume", &json!({})).await.expect(200);
}

/// Waits until so many messages have a status, and gives them.
pub(super) async fn with_status(app: &TestApp, status: &str, count: usize) -> Vec<Value> {
    let path = format!("/messages?status={status}&limit=200");
    let mut found = Vec::new();
    until(&format!("{count} messages are {status}"), async || {
        app.runtime.run_outbox_once().await.unwrap();
        found = app.get(&path).await.expect(200)["data"].as_array().unwrap().clone();
        found.len() >= count
    })
    .await;
    found
}

fn write(app: &TestApp, sql: &str) {
    let conn = Connection::open(app.folder.path().join("qyvo.db")).unwrap();
    assert!(conn.execute(sql, []).unwrap() > 0, "{sql}");
}

#[actix_web::test]
async fn who_may_ask_and_what_the_simulator_is() {
    local(async {
        let app = TestApp::start().await;
        let ask = async |scope, path: &str| -> Answer {
            app.request(Method::GET, &format!("/api/v1{path}"), Some(&secret(scope)), None).await
        };
        let list = ask(Scope::Api, "/problems").await.expect(200);
        assert_eq!(list["at"], "2026-05-07T08:00:00+00:00");
        let simulator = json!([{
            "key": "messages_reach_no_phone:simulator",
            "kind": "messages_reach_no_phone",
            "severity": "warning",
            "since": "2026-05-07T08:00:00+00:00",
            "newest_at": null,
            "text": "Messages reach no phone: the channel in use is the simulator, and every message is only recorded \
                here.",
            "advice": "Connect a channel in the settings, and restart the server. For trying flows out it may stay as \
                it is.",
            "count": null,
            "is_at_least": false,
            "about": {"channel": "simulator"},
        }]);
        assert_eq!(list["problems"], simulator);
        app.advance(60);
        assert_eq!(listed(&app).await["problems"], simulator, "it keeps its beginning");
        ask(Scope::Trigger, "/problems").await.expect(403);
        app.request(Method::GET, "/api/v1/problems", None, None).await.expect(401);
        let unknown = ask(Scope::Api, "/problems?days=3").await.expect(422);
        assert_eq!(unknown["errors"]["days"], json!(["The days parameter is not known here."]));
        app.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_channel_that_is_stopped_or_held_back_says_why() {
    local(async {
        let far = FarSide::start(200).await;
        let app = TestApp::start_with(far.channel()).await;
        assert_eq!(listed(&app).await["problems"], json!([]), "nothing is wrong");
        app.post("/channels/webhook/pause", &json!({"reason": "Lunch"})).await.expect(200);
        let paused = problem(&app, "channel_paused:webhook").await;
        assert_eq!(paused["severity"], "error");
        assert_eq!(
            paused["text"],
            "The channel webhook is paused: nothing goes out, and messages wait. Somebody paused the channel. They \
             say: Lunch."
        );
        app.post("/channels/webhook/resume", &json!({})).await.expect(200);
        assert_eq!(keys(&app).await, [] as [&str; 0]);
        far.answers(401);
        let flow = app.publish(&question(30)).await;
        app.trigger(flow, PHONE).await.expect(201);
        until("the channel is held back", async || {
            app.runtime.run_outbox_once().await.unwrap();
            keys(&app).await == ["channel_backing_off:webhook"]
        })
        .await;
        let held = problem(&app, "channel_backing_off:webhook").await;
        assert!(held["text"].as_str().unwrap().contains("The URL refused the signature or the address"), "{held}");
        app.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_endpoint_that_takes_nothing_has_one_problem_for_each_trouble() {
    local(async {
        let (far, hook) = (FarSide::start(200).await, FarSide::start(500).await);
        let app = TestApp::start_with(far.channel()).await;
        let body = json!({"url": hook.site.url("/hook"), "description": "Shop"});
        let endpoint = app.post("/webhook-endpoints", &body).await.expect(201);
        let id = endpoint["id"].as_str().unwrap();
        let key = |kind: &str| format!("{kind}:{id}");
        let ours = async || -> Vec<String> {
            keys(&app).await.into_iter().filter(|key| key.starts_with("endpoint_")).collect()
        };
        until("the endpoint fails", async || {
            app.runtime.run_due_webhooks().await.unwrap();
            keys(&app).await.contains(&key("endpoint_failing"))
        })
        .await;
        let flow = app.publish(&question(30)).await;
        app.trigger(flow, PHONE).await.expect(201);
        until("the event was tried", async || {
            app.runtime.run_due_webhooks().await.unwrap();
            let list = app.get(&format!("/webhook-endpoints/{id}/deliveries?status=queued")).await.expect(200);
            list["data"].as_array().unwrap().iter().any(|delivery| delivery["attempts"] != 0)
        })
        .await;
        let failing = problem(&app, &key("endpoint_failing")).await;
        assert_eq!(failing["about"], json!({"endpoint_id": id}));
        assert!(failing["text"].as_str().unwrap().contains("“Shop”"), "{failing}");
        write(&app, "UPDATE webhook_endpoints SET failing_since = NULL, probe_at = 4102444800000");
        app.advance(61);
        assert_eq!(ours().await, [key("endpoint_behind")]);
        write(&app, "UPDATE webhook_endpoints SET failing_since = 0");
        app.advance(19 * 3600);
        assert_eq!(ours().await, [key("endpoint_giving_up"), key("endpoint_failing")]);
        // The test of a new endpoint is no event that anybody misses.
        assert!(
            app.get(&format!("/webhook-endpoints/{id}/deliveries?status=failed")).await.expect(200)["data"][0]
                .is_object()
        );
        write(&app, "UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL WHERE status = 'queued'");
        let given_up = problem(&app, &key("endpoint_gave_up")).await;
        assert!(given_up["count"].as_u64().unwrap() >= 1, "{given_up}");
        app.advance(6 * 3600);
        assert_eq!(ours().await, [key("endpoint_failing")], "it was more than a day ago");
        app.delete(&format!("/webhook-endpoints/{id}")).await.expect(204);
        assert_eq!(ours().await, [] as [&str; 0]);
        app.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_disk_timers_backups_quotas_and_other_systems_of_meta() {
    local(async {
        let far = FarSide::start(200).await;
        let app = TestApp::start_with(|config| {
            far.channel()(config);
            config.backup.dir = std::path::PathBuf::from("/proc/no/folder");
        })
        .await;
        app.runtime.measure_room(u64::MAX).unwrap();
        assert_eq!(keys(&app).await, ["disk_nearly_full"]);
        app.runtime.measure_room(1).unwrap();
        assert_eq!(keys(&app).await, [] as [&str; 0]);

        write(
            &app,
            "INSERT INTO counters (name, flow_seq, version, node, exit, hour, value)
             VALUES ('database.grown', 0, 0, '', '', 493900, 1000000000000000)",
        );
        let fills = problem(&app, "disk_fills_up").await;
        assert!(fills["text"].as_str().unwrap().starts_with("Within a day the disk "), "{fills}");
        write(&app, "DELETE FROM counters WHERE name = 'database.grown'");

        let flow = app.publish(&question(30)).await;
        app.trigger(flow, PHONE).await.expect(201);
        with_status(&app, "sent", 1).await;
        app.advance(95);
        let overdue = problem(&app, "timers_overdue").await;
        assert_eq!((&overdue["count"], &overdue["since"]), (&json!(1), &json!("2026-05-07T08:00:30+00:00")));
        app.runtime.run_due().await.unwrap();
        assert_eq!(keys(&app).await, [] as [&str; 0]);

        app.post("/backups", &json!({})).await.expect(409);
        assert_eq!(keys(&app).await, ["backup_failed"]);

        let token =
            app.post("/tokens", &json!({"name": "shop", "scope": "trigger", "rate_limit": 1})).await.expect(201);
        let ask = async || {
            let path = "/api/v1/triggers/new-campaign-sent";
            app.request(Method::GET, path, Some(token["token"].as_str().unwrap()), None).await.status.as_u16()
        };
        assert_eq!((ask().await, ask().await), (403, 429));
        let key = format!("quota_refused:{}:limits.requests_per_minute", token["id"].as_str().unwrap());
        let refused = problem(&app, &key).await;
        assert_eq!(refused["text"], "The limit limits.requests_per_minute has refused 1 request of the token “shop”.");
        app.advance(3600);
        assert_eq!(keys(&app).await, ["backup_failed"]);

        write(&app, "UPDATE contacts SET held_by = 'standby', held_since = 1778140800000, held_until = 4102444800000");
        let standby = problem(&app, "conversations_on_standby").await;
        assert_eq!((&standby["severity"], &standby["count"]), (&json!("notice"), &json!(1)));
        app.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn viewers_are_told_that_the_problems_have_changed() {
    local(async {
        let far = FarSide::start(200).await;
        let app = TestApp::start_with(far.channel()).await;
        let url = format!("{}/api/v1/events", app.base);
        // Without a limit on how long an answer may take.
        let stream = reqwest::Client::new().get(url).bearer_auth(secret(Scope::Admin));
        let mut stream = stream.send().await.unwrap();
        let mut told = String::new();
        let mut wait_for = async |event: &str| {
            while !told.contains(event) {
                told.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
            }
            told.clear();
        };
        wait_for("event: problems\ndata: {\"count\":0}\n\n").await;
        app.post("/channels/webhook/pause", &json!({})).await.expect(200);
        wait_for("event: problems\ndata: {\"count\":1}\n\n").await;
        app.post("/channels/webhook/resume", &json!({})).await.expect(200);
        wait_for("event: problems\ndata: {\"count\":0}\n\n").await;
        drop(stream);
        app.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_failed_and_what_nothing_took_is_told_by_its_reason() {
    local(async {
        let far = FarSide::start(200).await;
        let app = TestApp::start_with(far.channel()).await;
        app.say(PHONE, "Hello?").await;
        app.say(PHONE, "Anybody?").await;
        let unrouted = problem(&app, "messages_unrouted:no_session").await;
        assert_eq!((&unrouted["severity"], &unrouted["count"]), (&json!("notice"), &json!(2)));
        assert_eq!(unrouted["about"], json!({"status": "unrouted", "reason": "no_session"}));
        let flow = app.publish(&question(30)).await;
        fail(&app, flow, 0..2).await;
        app.advance(5);
        fail(&app, flow, 2..4).await;
        let failed = problem(&app, "messages_failed:http_404").await;
        assert_eq!((&failed["count"], &failed["is_at_least"]), (&json!(4), &json!(false)));
        assert_eq!(failed["about"], json!({"status": "failed", "reason": "http_404"}));
        assert_eq!(failed["text"], "4 messages failed. There is nothing at the URL: correct it.");
        assert_eq!(
            (&failed["since"], &failed["newest_at"]),
            (&json!("2026-05-07T08:00:00+00:00"), &json!("2026-05-07T08:00:05+00:00"))
        );
        assert_eq!(keys(&app).await, ["messages_failed:http_404", "messages_unrouted:no_session"]);
        app.stop().await;
    })
    .await;
}
