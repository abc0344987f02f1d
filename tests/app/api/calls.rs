//! HTTP calls of flows: made at least once, answered once, and holding up nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use qyvo::config::Config;
use qyvo::runtime::Clock;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local};
use testkit::site::{Site, answer};
use testkit::wait::{patiently, until};
use tokio::sync::Notify;

fn allow(config: &mut Config) {
    config.http_request.allow = vec!["127.0.0.1/32".parse().unwrap()];
}

/// A flow that calls a URL and says what came of it.
fn calling(url: &str, max_retries: u32) -> Value {
    json!({
        "schema_version": 1, "name": "Call", "entry_node": "call",
        "nodes": [
            {"id": "call", "type": "http_request", "method": "POST", "url": url, "headers": {"x-shop": "7"},
             "body": {"to": "{{contact.phone}}"}, "timeout_ms": 5000, "max_retries": max_retries, "save_as": "answer",
             "exits": {"success": "good", "failure": "bad"}},
            {"id": "good", "type": "end", "outcome": "good", "text": "It is {{context.answer.body.colour}}"},
            {"id": "bad", "type": "end", "outcome": "bad"}
        ]
    })
}

fn green() -> Vec<u8> {
    answer(200, "application/json", br#"{"colour": "green"}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_not_made_says_why() {
    local(async {
        let app = TestApp::start().await;
        for (url, why) in [
            (
                "http://10.1.2.3/colour",
                "10.1.2.3 is no address of the public internet (private); the operator can allow its network with \
                `http_request.allow`",
            ),
            ("http://localhost/colour", "`localhost` is this machine (loopback)"),
        ] {
            let flow = app.publish(&calling(url, 0)).await;
            let session = app.trigger(flow, PHONE).await.expect(201);
            assert_eq!(app.runtime.run_due_calls().await.unwrap(), 1);
            let step = app.turns(&session["id"]).await.pop().unwrap()["path"][0].clone();
            assert_eq!((&step["exit"], &step["why"]), (&json!("failure"), &json!(format!("no answer: {why}"))));
            assert_eq!(app.session(&session["id"]).await["context"]["answer"]["body"]["error"], why);
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_goes_on_with_the_answer() {
    local(async {
        let app = TestApp::start_with(allow).await;
        let site = Site::start(|_| green()).await;
        let flow = app.publish(&calling(&site.url("/colour"), 0)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let waiting = app.session(&session["id"]).await;
        assert_eq!((&waiting["status"], &waiting["waiting_for"]), (&json!("running"), &json!("http")));
        assert_eq!((site.seen().len(), app.count("http_calls")), (0, 1), "a trigger waits for no one");
        assert_eq!(app.runtime.run_due_calls().await.unwrap(), 1);
        let ended = app.session(&session["id"]).await;
        assert_eq!((&ended["status"], &ended["outcome"]), (&json!("completed"), &json!("good")));
        assert_eq!(ended["context"]["answer"], json!({"status": 200, "body": {"colour": "green"}}));
        assert_eq!(app.talk(&session["contact_id"]).await, ["out It is green [simulated]"]);
        let seen = site.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].header("x-shop"), seen[0].body.as_str()), (Some("7"), r#"{"to":"+14155550123"}"#));
        assert_eq!((app.count("http_calls"), app.runtime.run_due_calls().await.unwrap()), (0, 0));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_export_of_a_person_shows_a_call_without_the_operators_secrets() {
    local(async {
        let app = TestApp::start_with(allow).await;
        let mut flow = calling("http://127.0.0.1:9/colour", 0);
        flow["nodes"][0]["headers"] = json!({"authorization": "Bearer hush-hush"});
        let flow = app.publish(&flow).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        assert_eq!(app.count("http_calls"), 1);
        let path = format!("/contacts/{}/export", session["contact_id"].as_str().unwrap());
        let export = app.get(&path).await.expect(200);
        let call = json!({"method": "POST", "url": "http://127.0.0.1:9/colour", "body": r#"{"to":"+14155550123"}"#});
        assert_eq!(export["sessions"][0]["http_calls"], json!([call]));
        assert!(!export.to_string().contains("hush-hush"), "{export}");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_is_tried_again_under_the_same_key_also_after_a_restart() {
    local(async {
        let app = TestApp::start_with(allow).await;
        let tries = Arc::new(AtomicUsize::new(0));
        let site = Site::start(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
            0 => answer(503, "text/html", b"<html>later"),
            1 => [b"HTTP/1.1 429 X\r\nRetry-After: 20\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".as_slice()]
                .concat(),
            _ => green(),
        })
        .await;
        let flow = app.publish(&calling(&site.url("/"), 2)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        assert_eq!(app.runtime.run_due_calls().await.unwrap(), 1);
        assert_eq!(app.runtime.run_due_calls().await.unwrap(), 0, "not at once");
        app.advance_millis(500);
        assert_eq!(app.runtime.run_due_calls().await.unwrap(), 1);
        let clock = app.clock.clone();
        let app = TestApp::start_in(app.stop().await, clock, allow).await;
        app.advance_millis(19_999);
        assert_eq!(app.runtime.run_due_calls().await.unwrap(), 0, "Retry-After is obeyed");
        app.advance_millis(1);
        assert_eq!(app.runtime.run_due_calls().await.unwrap(), 1);
        assert_eq!(app.session(&session["id"]).await["outcome"], "good");
        let seen = site.seen();
        let keys: Vec<_> = seen.iter().map(|request| request.header("idempotency-key").unwrap()).collect();
        assert_eq!(keys, [keys[0]; 3]);
        assert_eq!(app.count("http_calls"), 0);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_answers_well_takes_failure() {
    local(async {
        let app = TestApp::start_with(allow).await;
        let broken = Site::start(|_| answer(500, "text/plain", b"oops")).await;
        let refusing = Site::start(|_| answer(404, "application/json", b"null")).await;
        // Nobody listens there.
        let silent = Site::start(|_| green()).await.url("/");
        for (url, retries, attempts, status) in
            [(broken.url("/"), 2, 3, 500), (refusing.url("/"), 2, 1, 404), (silent, 1, 2, 0)]
        {
            let flow = app.publish(&calling(&url, retries)).await;
            let session = app.trigger(flow, PHONE).await.expect(201);
            let mut made = 0;
            for _ in 0..20 {
                made += app.runtime.run_due_calls().await.unwrap();
                app.advance(1);
            }
            let ended = app.session(&session["id"]).await;
            assert_eq!((made, &ended["outcome"]), (attempts, &json!("bad")), "{url}");
            assert_eq!(ended["context"]["answer"]["status"], status);
            assert_eq!(ended["context"]["answer"]["body"]["error"].is_string(), status == 0, "{ended}");
            assert_eq!(app.count("http_calls"), 0);
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_means_nothing_to_a_session_that_was_cancelled_meanwhile() {
    local(async {
        let app = TestApp::start_with(allow).await;
        let gate = Arc::new(Notify::new());
        let site = Site::start_slow(gate.clone(), |_| green()).await;
        let flow = app.publish(&calling(&site.url("/"), 2)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let runtime = app.runtime.clone();
        let calls = tokio::spawn(async move { runtime.run_due_calls().await });
        site.wait_for(1).await;
        app.post(&format!("/sessions/{}/cancel", session["id"].as_str().unwrap()), &json!({})).await.expect(200);
        assert_eq!(app.count("http_calls"), 0, "it goes with the wait");
        let before = app.rows();
        gate.notify_one();
        assert_eq!(calls.await.unwrap().unwrap(), 1);
        assert_eq!(app.rows(), before);
        assert_eq!(app.session(&session["id"]).await["status"], "cancelled");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_means_nothing_to_a_session_whose_timer_was_fired_meanwhile() {
    local(async {
        let app = TestApp::start_with(allow).await;
        let gate = Arc::new(Notify::new());
        let site = Site::start_slow(gate.clone(), |_| green()).await;
        let mut document = calling(&site.url("/"), 0);
        // The same node again: it waits for another call when the answer of the first one comes.
        document["nodes"][0]["exits"]["failure"] = json!("call");
        let flow = app.publish(&document).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let runtime = app.runtime.clone();
        let calls = tokio::spawn(async move { runtime.run_due_calls().await });
        site.wait_for(1).await;
        let fired = app.post(&format!("/sessions/{}/fire-timeout", session["id"].as_str().unwrap()), &json!({})).await;
        assert_eq!(fired.expect(200)["waiting_for"], "http");
        assert_eq!(app.count("http_calls"), 1);
        gate.notify_one();
        site.wait_for(2).await;
        assert_eq!(app.session(&session["id"]).await["status"], "running", "the first answer is not its");
        gate.notify_one();
        assert_eq!(calls.await.unwrap().unwrap(), 2);
        let ended = app.session(&session["id"]).await;
        assert_eq!((&ended["outcome"], &ended["turn"]), (&json!("good"), &json!(3)));
        let seen = site.seen();
        assert_ne!(seen[0].header("idempotency-key"), seen[1].header("idempotency-key"));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_endpoint_holds_up_no_message_and_no_other_call() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        // The real clock: the worker runs by itself.
        let app = TestApp::start_in(folder, Clock::system(), allow).await;
        let gate = Arc::new(Notify::new());
        let slow = Site::start_slow(gate.clone(), |_| green()).await;
        // Another host, as names go.
        let quick = Site::start(|_| green()).await;
        let slow_flow = app.publish(&calling(&slow.url("/"), 0)).await;
        let quick_flow = app.publish(&calling(&format!("http://localhost:{}/", quick.port()), 0)).await;
        let mut held = Vec::new();
        for n in 0..40 {
            held.push(app.trigger(slow_flow, &format!("+1415555{n:04}")).await.expect(201));
        }
        slow.wait_for(16).await;
        let session = app.trigger(quick_flow, PHONE).await.expect(201);
        quick.wait_for(1).await;
        ended(&app, &session, "good").await;
        assert_eq!(slow.seen().len(), 16, "one host takes 16 places and no more");
        assert_eq!(app.talk(&session["contact_id"]).await, ["out It is green [simulated]"]);
        for session in &held {
            assert_eq!(app.session(&session["id"]).await["status"], "running");
        }
        let opened = open(gate);
        for session in &held {
            ended(&app, session, "good").await;
        }
        opened.abort();
        assert_eq!(slow.seen().len(), 40);
        app.stop().await;
    })
    .await;
}

/// Opens a gate for good, until the task is aborted.
fn open(gate: Arc<Notify>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            gate.notify_waiters();
            tokio::task::yield_now().await;
        }
    })
}

/// Waits until a session has ended with this outcome.
async fn ended(app: &TestApp, session: &Value, outcome: &str) {
    until("the session's end", async || app.session(&session["id"]).await["status"] != "running").await;
    let now = app.session(&session["id"]).await;
    assert_eq!(now["outcome"], outcome, "{now}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_inside_is_called_unless_the_operator_says_so() {
    local(async {
        let app = TestApp::start().await;
        let site = Site::start(|_| green()).await;
        for url in
            [site.url("/"), format!("http://localhost:{}/", site.port()), format!("http://0x7f.1:{}/", site.port())]
        {
            let flow = app.publish(&calling(&url, 2)).await;
            let session = app.trigger(flow, PHONE).await.expect(201);
            assert_eq!(app.runtime.run_due_calls().await.unwrap(), 1, "it is not tried again");
            let ended = app.session(&session["id"]).await;
            let kept = &ended["context"]["answer"];
            assert_eq!((&ended["outcome"], &kept["status"]), (&json!("bad"), &json!(0)), "{url}");
            assert!(kept["body"]["error"].as_str().unwrap().contains("loopback"), "{kept}");
        }
        assert_eq!(site.seen().len(), 0);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_could_make_while_the_server_was_down_is_made_and_not_timed_out() {
    local(async {
        let site = Site::start(|_| green()).await;
        for (hours, outcome) in [(23, "good"), (24, "bad")] {
            let app = TestApp::start_with(allow).await;
            let flow = app.publish(&calling(&site.url("/"), 0)).await;
            let session = app.trigger(flow, PHONE).await.expect(201);
            let clock = app.clock.clone();
            let folder = app.stop().await;
            clock.advance(Duration::from_secs(hours * 3600));
            let app = TestApp::start_in(folder, clock, allow).await;
            let before = site.seen().len();
            app.runtime.run_due().await.unwrap();
            assert_eq!(app.session(&session["id"]).await["status"] == "running", outcome == "good");
            let called = app.runtime.run_due_calls().await.unwrap();
            assert_eq!((called, site.seen().len() - before), if outcome == "good" { (1, 1) } else { (0, 0) });
            let ended = app.session(&session["id"]).await;
            assert_eq!((&ended["outcome"], app.count("http_calls")), (&json!(outcome), 0));
            app.stop().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_answer_was_lost_with_the_process_is_made_again_under_its_key() {
    local(async {
        let app = TestApp::start_with(allow).await;
        let gate = Arc::new(Notify::new());
        let site = Site::start_slow(gate.clone(), |_| green()).await;
        let flow = app.publish(&calling(&site.url("/"), 0)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let runtime = app.runtime.clone();
        let calls = tokio::spawn(async move { runtime.run_due_calls().await });
        site.wait_for(1).await;
        calls.abort();
        assert!(calls.await.unwrap_err().is_cancelled());
        assert_eq!(app.runtime.run_due_calls().await.unwrap(), 0, "it is claimed");
        let clock = app.clock.clone();
        let app = TestApp::start_in(app.stop().await, clock, allow).await;
        let opened = open(gate);
        // The next start releases it, beside everything else that starts.
        let mut made = 0;
        while made == 0 {
            made = app.runtime.run_due_calls().await.unwrap();
        }
        opened.abort();
        assert_eq!(made, 1);
        assert_eq!(app.session(&session["id"]).await["outcome"], "good");
        let seen = site.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].header("idempotency-key"), seen[1].header("idempotency-key"));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_at_a_host_that_hangs_leaves_room_for_calls_to_others() {
    /// More than are claimed at once.
    const CROWD: usize = 1_100;
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let allow = |config: &mut qyvo::config::Config| {
            config.http_request.allow = vec!["127.0.0.0/8".parse().unwrap()];
        };
        // The worker itself, and so the time of day.
        let app = TestApp::start_in(folder, qyvo::runtime::Clock::system(), allow).await;
        let hanging = Site::start_slow(Arc::new(Notify::new()), |_| green()).await;
        let quick = Site::start_at("127.0.0.2", |_| green()).await;
        // Longer than the crowd takes to begin, so that the first of it still hang when the last has come.
        let mut patient = calling(&hanging.url("/"), 0);
        patient["nodes"][0]["timeout_ms"] = json!(30_000);
        let hangs = app.publish(&patient).await;
        let asks = app.publish(&calling(&quick.url("/"), 0)).await;
        let crowd: Value = (0..CROWD).map(|n| json!({"phone": format!("+1415666{n:04}")})).collect();
        app.post(&format!("/flows/{hangs}/trigger-batch"), &crowd).await.expect(200);
        hanging.wait_for(16).await;
        app.trigger(asks, PHONE).await.expect(201);
        patiently("a call to another host, behind the crowd", quick.wait_for(1)).await;
        assert_eq!(hanging.seen().len(), 16);
    })
    .await;
}
