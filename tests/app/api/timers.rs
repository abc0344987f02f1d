//! Time under a clock that the test moves: expiry, timeouts, and replies that come close to them.

use std::sync::Arc;

use qyvo::channels::incoming::{IncomingKind, Sender};
use qyvo::domain::ReplyKind;
use qyvo::runtime::{Handling, Inbound};
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question};
use testkit::wait::until;
use uuid::Uuid;

fn reply(app: &TestApp, text: &str) -> Inbound {
    Inbound {
        provider_id: Uuid::now_v7().to_string(),
        from: Sender::of_phone(&PHONE.parse().unwrap()),
        kind: IncomingKind::Reply(ReplyKind::Text),
        text: Some(text.to_owned()),
        option: None,
        reply_to: None,
        payload: None,
        sent_at: None,
        is_overheard: false,
        arrival: Arc::new(app.runtime.arrive()),
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
        let node = &document["nodes"][0];
        let wired = if node["exits"]["timeout"].is_string() {
            "so that its exit `timeout` was not taken"
        } else {
            "and its exit `timeout` is not wired"
        };
        let why = format!("1 minute without an answer; the node has no `timeout_seconds`, {wired}");
        let last = app.turns(&session["id"]).await.pop().unwrap();
        let step = json!({"node": node["id"], "type": node["type"], "exit": null, "why": why});
        assert_eq!(last["path"], json!([step]));
        assert_eq!(ended["reason_text"], format!("At `{}`: {why}.", node["id"].as_str().unwrap()));
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
        app.advance(60);
        assert_ne!(app.trigger(flow, PHONE).await.expect(201)["id"], second["id"], "at the due time it is over");
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
        let received = app.runtime.receive(in_time).await.unwrap();
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
            let received = app.runtime.receive(late).await.unwrap();
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
            app.runtime.receive(in_time).await.unwrap()
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
            "nodes": [{"id": "ask", "type": "ask", "text": "First", "timeout_seconds": 60,
                "exits": {"timeout": "again"}},
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
        until("the timeout", async || app.session(&session["id"]).await["status"] != "running").await;
        assert_eq!(app.session(&session["id"]).await["outcome"], "silent");
        app.stop().await;
    })
    .await;
}

/// A session of a flow whose timeout changes the contact, then ends.
fn stamping(name: &str, change: &Value) -> Value {
    let mut stamp = json!({"id": "stamp", "type": "update_contact", "exits": {"next": "over"}});
    stamp.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    json!({
        "schema_version": 1, "name": name, "entry_node": "ask",
        "nodes": [{"id": "ask", "type": "ask", "text": name, "timeout_seconds": 10,
            "exits": {"timeout": "stamp", "reply": "stamp"}},
                  stamp, {"id": "over", "type": "end", "text": "Over"}]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_of_one_session_is_seen_by_the_other_in_the_same_job() {
    local(async {
        let app = TestApp::start().await;
        let out = app.publish(&stamping("Out", &json!({"opt_out": true, "add_tags": ["t"]}))).await;
        let mut other = stamping("Other", &json!({"metadata": {"k": 1}, "add_tags": ["t"]}));
        other["nodes"][0]["timeout_seconds"] = json!(null);
        let other = app.publish(&other).await;
        app.trigger(out, PHONE).await.expect(201);
        app.advance(1);
        let second = app.trigger(other, PHONE).await.expect(201);
        // Past the first session's timeout, which nobody has fired yet.
        app.advance(11);
        let received = app.say(PHONE, "hello").await;
        assert_eq!(received["session_id"], second["id"]);
        let said = app.talk(&second["contact_id"]).await;
        assert_eq!(said.last().unwrap(), "out Over [failed]", "{said:?}");
        assert_eq!(app.trigger(out, PHONE).await.expect(422)["error"], "Contact has opted out");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_sees_the_opt_out_of_the_timer_that_it_settles() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&stamping("Out", &json!({"opt_out": true}))).await;
        app.trigger(flow, PHONE).await.expect(201);
        app.advance(10);
        assert_eq!(app.trigger(flow, PHONE).await.expect(422)["error"], "Contact has opted out");
        assert_eq!(app.count("sessions"), 1);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_unseen_gives_the_floor_to_the_one_before_it() {
    local(async {
        let app = TestApp::start().await;
        for sweep_first in [false, true] {
            let earlier = app.publish(&question(30)).await;
            let mut brief = question(1);
            brief["nodes"][0]["timeout_seconds"] = json!(null);
            let brief = app.publish(&brief).await;
            let mut patient = question(30);
            patient["id"] = json!(earlier);
            patient["nodes"][0]["timeout_seconds"] = json!(null);
            app.publish(&patient).await;
            let first = app.trigger(earlier, PHONE).await.expect(201);
            app.advance(1);
            app.trigger(brief, PHONE).await.expect(201);
            app.advance(61);
            if sweep_first {
                assert_eq!(app.runtime.run_due().await.unwrap(), 1);
            }
            let received = app.say(PHONE, "tea").await;
            assert_eq!(
                (&received["handled"], &received["session_id"]),
                (&json!("reply"), &first["id"]),
                "{sweep_first}"
            );
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replies_around_the_due_time_the_earlier_decides() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        app.advance_millis(29_999);
        let in_time = reply(&app, "tea");
        app.advance_millis(2);
        let late = reply(&app, "coffee");
        let (second, first) = tokio::join!(app.runtime.receive(late), async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            app.runtime.receive(in_time).await
        });
        assert_eq!(first.unwrap().handling, Handling::Reply);
        assert_eq!(second.unwrap().handling, Handling::Unrouted);
        let said = app.talk(&session["contact_id"]).await;
        assert!(said.contains(&"out Coming up: tea [simulated]".to_owned()), "{said:?}");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_stops_nothing() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        app.advance(35);
        let stamped_ahead = reply(&app, "tea");
        app.clock.set(testkit::app::START.parse().unwrap());
        let received = app.runtime.receive(stamped_ahead).await.unwrap();
        assert_eq!(received.handling, Handling::Reply);
        assert_eq!(app.session(&session["id"]).await["outcome"], "answered");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn downtime_does_not_lengthen_the_quiet_period() {
    local(async {
        let app = TestApp::start().await;
        let mut document = question(1);
        document["nodes"][0]["timeout_seconds"] = json!(null);
        document["settings"]["quiet_period_minutes"] = json!(10);
        let flow = app.publish(&document).await;
        let first = app.trigger(flow, PHONE).await.expect(201);
        app.advance(24 * 3600);
        app.trigger(flow, PHONE).await.expect(201);
        assert_eq!(app.session(&first["id"]).await["ended_at"], "2026-05-07T08:01:00+00:00");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_go_on_is_failed_and_stops_no_other() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let broken = app.trigger(flow, PHONE).await.expect(201);
        let sound = app.trigger(flow, "+4915112345678").await.expect(201);
        let id = broken["id"].as_str().unwrap().replace('-', "");
        let spoil = format!("UPDATE sessions SET state = '[]' WHERE hex(id) = upper('{id}')");
        let conn = rusqlite::Connection::open(app.folder.path().join("qyvo.db")).unwrap();
        conn.execute(&spoil, []).unwrap();
        app.advance(30);
        app.runtime.run_due().await.unwrap();
        assert_eq!(app.session(&sound["id"]).await["outcome"], "silent");
        let row: (String, String) = conn
            .query_row("SELECT status, reason FROM sessions WHERE state = '[]'", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(row, ("failed".to_owned(), "internal_error".to_owned()));
        app.trigger(flow, PHONE).await.expect(201);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_standstill_what_lies_in_sockets_is_read_before_timers_fire() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let (silent, third) = ("+14155550124", "+14155550125");
        let session = app.trigger(flow, PHONE).await.expect(201);
        let other = app.trigger(flow, silent).await.expect(201);
        app.trigger(flow, third).await.expect(201);
        app.advance(24);
        // The timers of all three fall due meanwhile; so does the time to live of nobody.
        app.clock.stand_still(std::time::Duration::from_secs(60));
        assert_eq!(app.runtime.run_due().await.unwrap(), 0, "the sweeper lets the sockets speak");
        assert_eq!(app.say(PHONE, "tea").await["handled"], "reply", "it was sent before its timeout");
        assert_eq!(app.session(&session["id"]).await["outcome"], "answered");
        let again = app.trigger(flow, silent).await.expect(200);
        assert_eq!(again["id"], other["id"], "nor does anybody else fire them");
        app.advance_millis(999);
        assert_eq!(app.runtime.run_due().await.unwrap(), 0);
        app.advance_millis(1);
        assert_eq!(app.runtime.run_due().await.unwrap(), 2, "a second later they fire");
        assert_eq!(app.say(third, "tea").await["handled"], "unrouted", "and who writes then is late");
        app.stop().await;
    })
    .await;
}
