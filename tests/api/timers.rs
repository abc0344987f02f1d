//! Time under a clock that the test moves: expiry, timeouts, and replies that come close to them.

use qyvo::domain::ReplyKind;
use qyvo::runtime::{Handling, Inbound};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{PHONE, TestApp, local, question};

fn reply(app: &TestApp, text: &str) -> Inbound {
    Inbound {
        provider_id: Uuid::now_v7().to_string(),
        from: PHONE.parse().unwrap(),
        kind: ReplyKind::Text,
        text: Some(text.to_owned()),
        option: None,
        reply_to: None,
        payload: None,
        sent_at: None,
        arrival: app.runtime.arrive(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_expires_to_the_second() {
    local(async {
        let app = TestApp::start().await;
        let mut document = question(1);
        document["nodes"][0]["timeout_seconds"] = json!(null);
        let flow = app.publish(&document).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        app.advance_millis(59_999);
        assert_eq!(app.runtime.run_due().await.unwrap(), 0);
        assert_eq!(app.session(&session["id"]).await["status"], "running");
        app.advance_millis(1);
        assert_eq!(app.runtime.run_due().await.unwrap(), 1);
        let ended = app.session(&session["id"]).await;
        assert_eq!((&ended["status"], &ended["ended_at"]), (&json!("expired"), &json!("2026-05-07T08:01:00+00:00")));
        assert_eq!(app.runtime.run_due().await.unwrap(), 0);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_after_the_due_time_starts_anew_though_the_sweeper_never_ran() {
    local(async {
        let app = TestApp::start().await;
        let mut document = question(1);
        document["nodes"][0]["timeout_seconds"] = json!(null);
        let flow = app.publish(&document).await;
        let first = app.trigger(flow, PHONE).await.expect(201);
        app.advance_millis(59_999);
        assert_eq!(app.trigger(flow, PHONE).await.expect(200)["id"], first["id"]);
        app.advance_millis(2);
        let second = app.trigger(flow, PHONE).await.expect(201);
        assert_ne!(second["id"], first["id"]);
        assert_eq!(app.session(&first["id"]).await["status"], "expired");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_a_millisecond_before_the_timeout_wins_though_the_sweeper_is_first() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        app.advance_millis(29_999);
        let in_time = reply(&app, "tea");
        app.advance_millis(5);
        assert_eq!(app.runtime.run_due().await.unwrap(), 0, "the timer is left to the reply");
        assert_eq!(app.session(&session["id"]).await["status"], "running");
        let received = app.runtime.handle(in_time).await.unwrap();
        assert_eq!(received.handling, Handling::Reply);
        assert_eq!(app.session(&session["id"]).await["outcome"], "answered");
        assert_eq!(app.runtime.run_due().await.unwrap(), 0);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_a_millisecond_after_the_timeout_loses_though_the_sweeper_never_ran() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        for sweep_first in [false, true] {
            let session = app.trigger(flow, PHONE).await.expect(201);
            app.advance_millis(30_001);
            let late = reply(&app, "tea");
            if sweep_first {
                assert_eq!(app.runtime.run_due().await.unwrap(), 1);
            }
            let received = app.runtime.handle(late).await.unwrap();
            assert_eq!(received.handling, Handling::Unrouted, "sweeper first: {sweep_first}");
            assert_eq!(app.session(&session["id"]).await["outcome"], "silent");
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_waits_for_a_reply_that_keeps_the_session_alive() {
    local(async {
        let app = TestApp::start().await;
        let mut document = question(1);
        document["nodes"][0] = json!({"id": "ask", "type": "ask", "text": "Name?", "exits": {"reply": "more"}});
        document["nodes"].as_array_mut().unwrap().push(json!({"id": "more", "type": "ask", "text": "Age?"}));
        let flow = app.publish(&document).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        app.advance_millis(59_999);
        let in_time = reply(&app, "Ann");
        app.advance_millis(2);
        let (triggered, received) = tokio::join!(app.trigger(flow, PHONE), async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            app.runtime.handle(in_time).await.unwrap()
        });
        assert_eq!(received.handling, Handling::Reply);
        assert_eq!(triggered.expect(200)["id"], session["id"]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_unanswered_reminders_end_in_expired() {
    local(async {
        let app = TestApp::start().await;
        let remind = json!({
            "schema_version": 1, "name": "Remind", "entry_node": "ask", "settings": {"session_ttl_minutes": 1},
            "nodes": [{"id": "ask", "type": "ask", "text": "Still there?", "timeout_seconds": 15,
                       "exits": {"timeout": "ask"}}]
        });
        let flow = app.publish(&remind).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let mut fired = 0;
        for _ in 0..70 {
            app.advance(1);
            fired += app.runtime.run_due().await.unwrap();
        }
        let ended = app.session(&session["id"]).await;
        assert_eq!((&ended["status"], &ended["ended_at"]), (&json!("expired"), &json!("2026-05-07T08:01:00+00:00")));
        assert_eq!(fired, 4, "three reminders and the expiry");
        let said = app.talk(&session["contact_id"]).await;
        assert_eq!(said, ["out Still there? [simulated]"; 4]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_downtime_timers_fire_in_due_order_and_speak_for_no_ended_session() {
    local(async {
        let app = TestApp::start().await;
        let remind = json!({
            "schema_version": 1, "name": "Remind", "entry_node": "ask", "settings": {"session_ttl_minutes": 10},
            "nodes": [{"id": "ask", "type": "ask", "text": "First", "timeout_seconds": 60, "exits": {"timeout": "again"}},
                      {"id": "again", "type": "ask", "text": "Reminder"}]
        });
        let flow = app.publish(&remind).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        app.advance(3600);
        assert_eq!(app.runtime.run_due().await.unwrap(), 2, "the timeout, then the expiry");
        assert_eq!(app.session(&session["id"]).await["status"], "expired");
        let said = app.talk(&session["contact_id"]).await;
        assert_eq!(said, ["out First [simulated]", "out Reminder [failed]"]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweeper_fires_by_itself_and_sooner_than_its_interval() {
    local(async {
        // The machine's clock: the sweeper sleeps for an hour unless a nearer timer wakes it.
        let folder = tempfile::tempdir().unwrap();
        let app = TestApp::start_in(folder, qyvo::runtime::Clock::system(), |_| {}).await;
        let mut document = question(30);
        document["nodes"][0]["timeout_seconds"] = json!(1);
        let flow = app.publish(&document).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let mut ended = Value::Null;
        for _ in 0..100 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            ended = app.session(&session["id"]).await;
            if ended["status"] != "running" {
                break;
            }
        }
        assert_eq!(ended["outcome"], "silent");
        app.stop().await;
    })
    .await;
}
