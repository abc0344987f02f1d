//! Events go out in lanes: in order for each contact of an endpoint, and side by side for several of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use qyvo::domain::FlowId;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question};
use testkit::site::{Seen, Site, answer};
use tokio::sync::Notify;

const EVENTS: [&str; 2] = ["session.started", "session.cancelled"];

fn taken() -> Vec<u8> {
    answer(204, "text/plain", b"")
}

async fn endpoint(app: &TestApp, url: &str) -> String {
    let made = app.post("/webhook-endpoints", &json!({"url": url, "events": EVENTS})).await.expect(201);
    app.runtime.run_due_webhooks().await.unwrap();
    format!("/webhook-endpoints/{}", made["id"].as_str().unwrap())
}

fn phone(n: usize) -> String {
    format!("+1415555{n:04}")
}

/// Starts a session for each of so many people and cancels it: two events for each.
async fn happen(app: &TestApp, flow: FlowId, people: usize) {
    for phone in (0..people).map(phone) {
        app.trigger(flow, &phone).await.expect(201);
        app.post("/actions/cancel-flow", &json!({"flow_id": flow, "phone": phone})).await.expect(200);
    }
}

/// Whose event a request is.
fn whose(request: &Seen) -> String {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    body["contact"]["phone"].as_str().unwrap_or_default().to_owned()
}

/// The events of each person, in the order in which they came first.
fn by_person(seen: &[Seen]) -> BTreeMap<String, Vec<String>> {
    let mut known = BTreeSet::new();
    let mut events: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in seen.iter().filter(|it| it.header("x-qyvo-event") != Some("webhook.test")) {
        if known.insert(request.header("x-qyvo-delivery-id").unwrap().to_owned()) {
            events.entry(whose(request)).or_default().push(request.header("x-qyvo-event").unwrap().to_owned());
        }
    }
    events
}

fn all_in_order(people: usize) -> BTreeMap<String, Vec<String>> {
    (0..people).map(|n| (phone(n), EVENTS.map(str::to_owned).to_vec())).collect()
}

async fn reasons(app: &TestApp) -> Vec<String> {
    let ready = app.request("GET".parse().unwrap(), "/readyz", None, None).await.expect(200);
    let reasons = ready["reasons"].as_array().cloned().unwrap_or_default();
    reasons.iter().map(|reason| reason["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_people_are_told_of_at_once_and_each_in_order() {
    local(async {
        let app = TestApp::start().await;
        let gate = Arc::new(Notify::new());
        let site = Site::start_slow(gate.clone(), |_| taken()).await;
        let made = app.post("/webhook-endpoints", &json!({"url": site.url("/"), "events": EVENTS})).await.expect(201);
        let flow = app.publish(&question(30)).await;
        happen(&app, flow, 20).await;
        let runtime = app.runtime.clone();
        let telling = tokio::spawn(async move { runtime.run_due_webhooks().await });
        // The test of the endpoint goes first.
        site.wait_for(1).await;
        gate.notify_one();
        site.wait_for(17).await;
        let people: BTreeSet<String> = site.seen()[1..].iter().map(whose).collect();
        assert_eq!((site.seen().len(), people.len()), (17, 16), "a request of each person, and no more");
        while !telling.is_finished() {
            gate.notify_waiters();
            tokio::task::yield_now().await;
        }
        assert_eq!(telling.await.unwrap().unwrap(), 41);
        assert_eq!(by_person(&site.seen()), all_in_order(20));
        assert_eq!(site.seen().len(), 41, "each once");
        let path = format!("/webhook-endpoints/{}", made["id"].as_str().unwrap());
        let shown = app.get(&path).await.expect(200);
        assert_eq!((&shown["queued"], &shown["oldest_queued_at"]), (&json!(0), &json!(null)));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_refused_holds_up_its_person_alone() {
    local(async {
        let app = TestApp::start().await;
        let site = Site::start(|request| match whose(request) == phone(3) {
            true => answer(500, "text/plain", b""),
            false => taken(),
        })
        .await;
        let path = endpoint(&app, &site.url("/")).await;
        let flow = app.publish(&question(30)).await;
        happen(&app, flow, 6).await;
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 11);
        let shown = app.get(&path).await.expect(200);
        assert_eq!((&shown["queued"], &shown["oldest_queued_at"]), (&json!(2), &json!(testkit::app::START)));
        // Others are told at once meanwhile, and this one backs off.
        for n in 10..40 {
            app.trigger(flow, &phone(n)).await.expect(201);
            assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 1);
        }
        app.advance(11);
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 1);
        let listed = app.get(&format!("{path}/deliveries?status=queued")).await.expect(200)["data"].clone();
        let row = |n: usize| (listed[n]["event"].clone(), listed[n]["attempts"].clone(), listed[n]["behind"].clone());
        assert_eq!(row(1), (json!(EVENTS[0]), json!(2), json!(null)));
        assert_eq!(row(0), (json!(EVENTS[1]), json!(0), json!({"id": listed[1]["id"], "event": EVENTS[0]})));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_takes_nothing_is_tried_with_one_at_a_time_and_then_gets_all() {
    local(async {
        let app = TestApp::start().await;
        let status = Arc::new(AtomicU16::new(204));
        let told = status.clone();
        let site = Site::start(move |_| answer(told.load(Ordering::SeqCst), "text/plain", b"")).await;
        let path = endpoint(&app, &site.url("/")).await;
        let flow = app.publish(&question(30)).await;
        status.store(404, Ordering::SeqCst);
        happen(&app, flow, 40).await;
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 16, "what was under way, and no more");
        let mut attempts = 0;
        for _ in 0..3600 {
            let tried = app.runtime.run_due_webhooks().await.unwrap();
            assert!(tried <= 1, "{tried}");
            attempts += tried;
            app.advance(1);
        }
        assert!((14..=32).contains(&attempts), "every five minutes at last: {attempts}");
        let shown = app.get(&path).await.expect(200);
        assert_eq!(shown["queued"], json!(80), "an answer that blames an event means nothing while none is taken");

        // Try now is one attempt, too, and what it takes brings the rest.
        app.post(&format!("{path}/try-now"), &json!({})).await.expect(202);
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 1);
        status.store(204, Ordering::SeqCst);
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 0);
        app.post(&format!("{path}/try-now"), &json!({})).await.expect(202);
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 80);
        let all: Vec<Seen> = site.seen();
        assert_eq!(by_person(&all[all.len() - 80..]), all_in_order(40));
        let shown = app.get(&path).await.expect(200);
        assert_eq!((&shown["failing_since"], &shown["gives_up_at"]), (&json!(null), &json!(null)));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_before_anything_is_given_up() {
    local(async {
        let app = TestApp::start().await;
        let site = Site::start(|_| answer(503, "text/plain", b"")).await;
        let path = endpoint(&app, &site.url("/")).await;
        let flow = app.publish(&question(30)).await;
        happen(&app, flow, 20).await;
        app.runtime.run_due_webhooks().await.unwrap();
        let shown = app.get(&path).await.expect(200);
        let gives_up_at = shown["gives_up_at"].as_str().unwrap();
        assert_eq!(gives_up_at, testkit::app::START.replace("2026-05-07", "2026-05-08"));
        for (hours, expected) in [(17, &["webhooks_behind"][..]), (2, &["webhooks_behind", "webhooks_giving_up"])] {
            for _ in 0..hours * 12 {
                app.advance(300);
                app.runtime.run_due_webhooks().await.unwrap();
            }
            assert_eq!(reasons(&app).await, expected);
        }
        assert_eq!(app.get(&path).await.expect(200)["queued"], json!(40), "nothing is given up yet");
        for _ in 0..6 * 12 {
            app.advance(300);
            app.runtime.run_due_webhooks().await.unwrap();
        }
        let shown = app.get(&path).await.expect(200);
        assert_eq!((&shown["queued"], &shown["gives_up_at"]), (&json!(0), &json!(null)));
        let failed = app.get(&format!("{path}/deliveries?status=failed&limit=200")).await.expect(200);
        assert_eq!(failed["data"].as_array().unwrap().len(), 41, "the test, too");
        assert!(reasons(&app).await.is_empty());
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_holds_over_switching_off_another_url_and_a_restart() {
    local(async {
        let app = TestApp::start().await;
        let refused = Arc::new(Mutex::new(BTreeSet::new()));
        let once = refused.clone();
        // Each person's first event is refused the first time.
        let site = Site::start(move |request| match once.lock().unwrap().insert(whose(request)) {
            true => answer(500, "text/plain", b""),
            false => taken(),
        })
        .await;
        let path = endpoint(&app, "http://127.0.0.1:9/").await;
        let flow = app.publish(&question(30)).await;
        happen(&app, flow, 5).await;
        app.runtime.run_due_webhooks().await.unwrap();
        app.patch(&path, &json!({"is_active": false})).await.expect(200);
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 0);
        app.patch(&path, &json!({"url": site.url("/")})).await.expect(200);
        app.patch(&path, &json!({"is_active": true})).await.expect(200);
        app.runtime.run_due_webhooks().await.unwrap();
        let clock = app.clock.clone();
        let app = TestApp::start_in(app.stop().await, clock, |_| {}).await;
        for _ in 0..20 {
            app.advance(10);
            app.runtime.run_due_webhooks().await.unwrap();
        }
        assert_eq!(by_person(&site.seen()), all_in_order(5));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_person_holds_up_nobody() {
    local(async {
        let app = TestApp::start().await;
        let status = Arc::new(AtomicU16::new(500));
        let told = status.clone();
        let site = Site::start(move |_| answer(told.load(Ordering::SeqCst), "text/plain", b"")).await;
        let path = endpoint(&app, &site.url("/")).await;
        let flow = app.publish(&question(30)).await;
        let gone = app.trigger(flow, PHONE).await.expect(201);
        happen(&app, flow, 1).await;
        app.runtime.run_due_webhooks().await.unwrap();
        app.delete(&format!("/contacts/{}", gone["contact_id"].as_str().unwrap())).await;
        assert_eq!(app.get(&path).await.expect(200)["queued"], json!(2));
        status.store(204, Ordering::SeqCst);
        app.advance(30);
        assert_eq!(app.runtime.run_due_webhooks().await.unwrap(), 2);
        app.stop().await;
    })
    .await;
}
