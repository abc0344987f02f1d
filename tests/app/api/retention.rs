//! What is kept for how long, under a clock that the test moves; and backups that are late.

use std::time::Duration;

use qyvo::runtime::Deleted;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question};
use testkit::wait;

const DAY: u64 = 24 * 3600;

fn days(days: u64) -> Duration {
    Duration::from_secs(days * DAY)
}

/// A flow that waits for thirty days.
fn lasting() -> Value {
    let mut document = question(43_200);
    document["nodes"][0]["timeout_seconds"] = json!(null);
    document
}

/// A flow whose late replies are answered.
fn late(ttl_minutes: u32) -> Value {
    let mut document = question(ttl_minutes);
    document["settings"]["late_reply"] = json!({"text": "Too late."});
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn old_sessions_go_with_their_traces_and_counts_stay() {
    local(async {
        let app = TestApp::start_with(|config| config.retention.sessions = days(8)).await;
        let flow = app.publish(&question(60)).await;
        let mut quiet = question(60);
        quiet["settings"]["quiet_period_minutes"] = json!(20 * 24 * 60);
        let quiet = app.publish(&quiet).await;
        let lasting = app.publish(&lasting()).await;
        let old = app.trigger(flow, PHONE).await.expect(201);
        app.trigger(quiet, PHONE).await.expect(201);
        let running = app.trigger(lasting, PHONE).await.expect(201);
        app.advance(3600);
        assert_eq!(app.runtime.run_due().await.unwrap(), 2);
        app.advance(8 * DAY - 1);
        let recent = app.trigger(flow, "+14155550199").await.expect(201);
        assert_eq!(app.runtime.apply_retention().await.unwrap(), Deleted::default(), "not a second too early");
        app.advance(2);
        let stats = app.get("/stats").await.expect(200)["totals"].clone();
        assert_eq!(app.runtime.apply_retention().await.unwrap(), Deleted { sessions: 1, ..Deleted::default() });
        app.get(&format!("/sessions/{}", old["id"].as_str().unwrap())).await.expect(404);
        for kept in [&running, &recent] {
            assert_eq!(app.session(&kept["id"]).await["status"], "running");
        }
        assert_eq!(app.get("/stats").await.expect(200)["totals"], stats);
        // Their messages are still in the conversation.
        assert_eq!(app.talk(&old["contact_id"]).await.len(), 3);
        let again = app.trigger(quiet, PHONE).await.expect(200);
        assert_eq!(
            (&again["status"], &again["ended"]),
            (&json!("already_running"), &json!(true)),
            "its quiet period lasts"
        );
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_messages_and_traces_go_but_not_those_of_running_sessions() {
    local(async {
        let app = TestApp::start_with(|config| {
            config.retention.messages = days(9);
            config.retention.traces = days(10);
        })
        .await;
        let (flow, lasting) = (app.publish(&question(60)).await, app.publish(&lasting()).await);
        let old = app.trigger(flow, PHONE).await.expect(201);
        app.say(PHONE, "tea").await;
        let running = app.trigger(lasting, "+14155550199").await.expect(201);
        app.advance(9 * DAY + 1);
        assert_eq!(app.runtime.apply_retention().await.unwrap(), Deleted { messages: 3, ..Deleted::default() });
        assert_eq!(app.talk(&old["contact_id"]).await, Vec::<String>::new());
        assert_eq!(app.talk(&running["contact_id"]).await.len(), 1);
        // The trace is there without what was said.
        let turns = app.turns(&old["id"]).await;
        assert_eq!(turns.len(), 2);
        assert!(turns.iter().all(|turn| turn["messages"] == json!([])), "{turns:?}");
        app.advance(DAY);
        assert_eq!(app.runtime.apply_retention().await.unwrap(), Deleted { turns: 2, ..Deleted::default() });
        assert_eq!(app.turns(&old["id"]).await, Vec::<Value>::new());
        assert_eq!(app.session(&old["id"]).await["status"], "completed");
        assert_eq!(app.turns(&running["id"]).await.len(), 1);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redelivery_and_a_late_reply_of_the_eighth_day_are_still_known() {
    local(async {
        let app = TestApp::start_with(|config| {
            for kept in [&mut config.retention.sessions, &mut config.retention.messages, &mut config.retention.traces] {
                *kept = days(8);
            }
        })
        .await;
        let flow = app.publish(&late(60)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let message = json!({"id": "wamid.1", "from": PHONE, "type": "text", "text": "tea, but with milk?"});
        app.post("/inbound", &message).await.expect(202);
        app.advance(3600);
        app.runtime.run_due().await.unwrap();
        app.advance(6 * DAY);
        app.runtime.apply_retention().await.unwrap();
        assert_eq!(app.say(PHONE, "tea").await["handled"], "late_reply");
        app.advance(2 * DAY - 3601);
        app.runtime.apply_retention().await.unwrap();
        let again = app.post("/inbound", &message).await.expect(202);
        assert_eq!(again["handled"], "duplicate", "{again}");
        assert_eq!(app.session(&session["id"]).await["status"], "completed");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_backup_is_told_until_one_is_made() {
    local(async {
        let app = TestApp::start_with(|config| config.backup.every = Duration::from_secs(6 * 3600)).await;
        wait::until("the first backup", async || {
            app.get("/backups").await.body["data"].as_array().is_some_and(|data| !data.is_empty())
        })
        .await;
        let ready = || async {
            app.client.get(format!("{}/readyz", app.base)).send().await.unwrap().json::<Value>().await.unwrap()
        };
        assert_eq!(ready().await["status"], "ready");
        app.advance(12 * 3600 + 1);
        let late = ready().await;
        assert_eq!(
            (&late["status"], &late["reasons"][0]["code"]),
            (&json!("degraded"), &json!("backup_late")),
            "{late}"
        );
        assert_eq!(app.get("/backups").await.expect(200)["is_late"], true);
        app.post("/backups", &json!({})).await.expect(201);
        assert_eq!(ready().await["status"], "ready");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_merged_into_an_erased_contact_is_erased_in_an_older_copy_too() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(60)).await;
        let [kept, gone] = ["+14155550101", "+14155550102"];
        let first = app.trigger(flow, kept).await.expect(201)["contact_id"].clone();
        let second = app.trigger(flow, gone).await.expect(201)["contact_id"].clone();
        let database = app.runtime.store().path().to_owned();
        let copy = database.with_file_name("copy.db");
        rusqlite::Connection::open(&database).unwrap().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        // As a channel does that finds two contacts to be one person.
        let id: uuid::Uuid = second.as_str().unwrap().parse().unwrap();
        rusqlite::Connection::open(&database)
            .unwrap()
            .execute(
                "INSERT INTO contact_redirects SELECT ?1, c.seq FROM contacts AS c WHERE c.id = ?2",
                (id.as_bytes(), first.as_str().unwrap().parse::<uuid::Uuid>().unwrap().as_bytes()),
            )
            .unwrap();
        app.delete(&format!("/contacts/{}", first.as_str().unwrap())).await.expect(200);
        let clock = app.clock.clone();
        let folder = app.stop().await;
        for log in ["qyvo.db-wal", "qyvo.db-shm"] {
            let _ = std::fs::remove_file(folder.path().join(log));
        }
        std::fs::rename(copy, &database).unwrap();
        let app = TestApp::start_in(folder, clock, |_| {}).await;
        for phone in [kept, gone] {
            app.post("/actions/get-contact", &json!({"phone": phone})).await.expect(404);
        }
        app.stop().await;
    })
    .await;
}
