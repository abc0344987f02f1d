//! What can be looked at: sessions, turns, messages, health, the description.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_shows_where_it_stands_and_its_trace_how_it_came_there() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let body = json!({"flow_id": flow, "phone": PHONE, "context": {"cart": {"id": 7, "total": 0.1}}});
        let started = app.post("/actions/trigger-flow", &body).await.expect(201);
        let session = app.session(&started["id"]).await;
        assert_eq!(
            session,
            json!({
                "id": started["id"], "flow_id": flow, "flow_name": "Question", "version": 1,
                "contact_id": started["contact_id"],
                "contact": {"id": started["contact_id"], "name": null, "phone": PHONE}, "status": "running",
                "reason": null, "outcome": null,
                "current_node_id": "ask", "waiting_for": "reply", "wake_at": "2026-05-07T08:00:30+00:00",
                "expires_at": "2026-05-07T08:30:00+00:00", "context": {"cart": {"id": 7, "total": 0.1}}, "turn": 1,
                "started_at": "2026-05-07T08:00:00+00:00", "last_interaction_at": "2026-05-07T08:00:00+00:00",
                "ended_at": null, "reason_text": null
            })
        );
        app.advance(10);
        app.say(PHONE, "perhaps").await;
        app.say(PHONE, "coffee please").await;
        let turns = app.turns(&started["id"]).await;
        let whys: Vec<_> = turns.iter().map(|turn| (turn["turn"].clone(), turn["path"][0]["why"].clone())).collect();
        assert_eq!(
            whys,
            [
                (json!(1), json!(null)),
                (json!(2), json!("no option fits")),
                (json!(3), json!("the only option whose words occur"))
            ]
        );
        assert_eq!(turns[2]["messages"][0]["text"], "Coming up: coffee please");
        assert_eq!(turns[2]["stimulus"]["type"], "reply");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_newest_first_by_flow_status_and_contact() {
    local(async {
        let app = TestApp::start().await;
        let (tea, coffee) = (app.publish(&question(30)).await, app.publish(&question(60)).await);
        let mut started = Vec::new();
        for (flow, phone) in [(tea, "+14155550101"), (coffee, "+14155550101"), (tea, "+14155550102")] {
            started.push(app.trigger(flow, phone).await.expect(201));
        }
        app.say("+14155550102", "tea").await;
        let list = async |query: &str| {
            let listed = app.get(&format!("/sessions?{query}")).await.expect(200);
            let place = |row: &Value| started.iter().position(|session| session["id"] == row["id"]).unwrap();
            (listed["data"].as_array().unwrap().iter().map(place).collect::<Vec<_>>(), listed["next_cursor"].clone())
        };
        assert_eq!(list("").await, (vec![2, 1, 0], json!(null)));
        let (first, cursor) = list("limit=2").await;
        assert_eq!(first, [2, 1]);
        assert_eq!(list(&format!("limit=2&cursor={}", cursor.as_str().unwrap())).await, (vec![0], json!(null)));
        assert_eq!(list("status=running").await.0, [1, 0]);
        assert_eq!(list(&format!("flow_id={tea}")).await.0, [2, 0]);
        let (first, cursor) = list(&format!("flow_id={tea}&limit=1")).await;
        assert_eq!(first, [2]);
        assert_eq!(list(&format!("flow_id={tea}&limit=1&cursor={}", cursor.as_str().unwrap())).await.0, [0]);
        assert_eq!(list(&format!("flow_id={tea}&status=completed")).await.0, [2]);
        let contact = started[0]["contact_id"].as_str().unwrap();
        assert_eq!(list(&format!("contact_id={contact}")).await.0, [1, 0]);
        assert_eq!(list(&format!("contact_id={contact}&flow_id={coffee}&status=running")).await.0, [1]);
        assert_eq!(list(&format!("flow_id={}", uuid::Uuid::now_v7())).await.0, [] as [usize; 0]);
        let wrong = app.get("/sessions?status=gone&flow_id=7&limit=0&colour=red").await.expect(422);
        let fields: Vec<_> = wrong["errors"].as_object().unwrap().keys().collect();
        assert_eq!(fields, ["flow_id", "status", "limit", "colour"]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_cancelled_or_timed_out_by_hand() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let path = |session: &Value, what: &str| format!("/sessions/{}/{what}", session["id"].as_str().unwrap());
        let first = app.trigger(flow, PHONE).await.expect(201);
        let timed_out = app.post(&path(&first, "fire-timeout"), &json!({})).await.expect(200);
        assert_eq!((&timed_out["status"], &timed_out["outcome"]), (&json!("completed"), &json!("silent")));
        app.post(&path(&first, "fire-timeout"), &json!({})).await.expect(409);
        app.post(&path(&first, "cancel"), &json!({})).await.expect(409);
        let second = app.trigger(flow, PHONE).await.expect(201);
        let cancelled = app.post(&path(&second, "cancel"), &json!({"reason": "paid"})).await.expect(200);
        assert_eq!((&cancelled["status"], &cancelled["reason"]), (&json!("cancelled"), &json!("paid")));
        let mut patient = question(30);
        patient["nodes"][0].as_object_mut().unwrap().remove("timeout_seconds");
        let third = app.trigger(app.publish(&patient).await, PHONE).await.expect(201);
        let refused = app.post(&path(&third, "fire-timeout"), &json!({})).await.expect(409);
        assert!(refused["error"].as_str().unwrap().contains("no"), "{refused}");
        app.advance(1801);
        app.post(&path(&third, "cancel"), &json!({})).await.expect(409);
        assert_eq!(app.session(&third["id"]).await["status"], "expired", "what was overdue came first");
        app.post("/sessions/01936b1e-7c6a-7000-8000-0000000000aa/cancel", &json!({})).await.expect(404);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_are_counted_by_flow_version_node_and_hour() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        app.trigger(flow, PHONE).await.expect(201);
        app.say(PHONE, "tea").await;
        app.advance(3600);
        app.trigger(flow, PHONE).await.expect(201);
        let stats = app.get(&format!("/stats?flow_id={flow}&hours=2")).await.expect(200);
        let sessions = json!({
            "cancelled": 0, "completed": 1, "expired": 0, "failed": 0, "running": 1, "started": 2
        });
        assert_eq!(stats["totals"], json!({"sessions": sessions, "messages": {"out": 3}}));
        let hour = |at: &str, started: u32, completed: u32, out: u32| {
            json!({"hour": at, "started": started, "completed": completed, "expired": 0, "failed": 0, "cancelled": 0,
                   "messages_out": out})
        };
        let series = [hour("2026-05-07T08:00:00+00:00", 1, 1, 2), hour("2026-05-07T09:00:00+00:00", 1, 0, 1)];
        assert_eq!(stats["series"], json!(series));
        assert_eq!(stats["versions"][0]["started"], 2);
        assert_eq!(stats["nodes"], json!([{"node": "ask", "exits": {"tea": 1}}]));
        let all = app.get("/stats").await.expect(200);
        assert_eq!((&all["totals"], all["series"].as_array().unwrap().len()), (&stats["totals"], 24));
        app.get("/stats?hours=1000").await.expect(422);
        app.get("/stats?flow_id=01936b1e-7c6a-7000-8000-0000000000aa").await.expect(404);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let started = app.trigger(flow, PHONE).await.expect(201);
        for text in ["a", "b", "c"] {
            app.say(PHONE, text).await;
        }
        let path = format!("/contacts/{}/messages", started["contact_id"].as_str().unwrap());
        let whole = app.get(&path).await.expect(200)["data"].as_array().unwrap().clone();
        assert_eq!(whole.len(), 6, "a prompt, three answers, two more prompts");
        let mut paged = Vec::new();
        let mut cursor = String::new();
        for pages in 1.. {
            let page = app.get(&format!("{path}?limit=4{cursor}")).await.expect(200);
            paged.extend(page["data"].as_array().unwrap().clone());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => {
                    assert_eq!(pages, 2);
                    break;
                }
            }
        }
        assert_eq!(paged, whole);
        let turns = format!("/sessions/{}/turns?limit=1", started["id"].as_str().unwrap());
        let page = app.get(&turns).await.expect(200);
        assert_eq!(page["data"][0]["turn"], 1);
        assert!(page["next_cursor"].is_string());
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_description_need_no_token() {
    local(async {
        let app = TestApp::start().await;
        for (path, status) in [("/healthz", "ok"), ("/readyz", "ready")] {
            assert_eq!(app.request(Method::GET, path, None, None).await.expect(200), json!({"status": status}));
            assert_eq!(app.request(Method::HEAD, path, None, None).await.status, 200);
        }
        for path in ["/api/v1/openapi.yaml", "/v1/openapi.yaml"] {
            let answer = app.request(Method::GET, path, None, None).await;
            assert_eq!(answer.header("content-type"), Some("application/yaml"));
            assert!(answer.body.as_str().unwrap().starts_with("openapi: 3.1"), "{}", answer.body);
        }
        let post = app.request(Method::POST, "/healthz", None, None).await;
        assert_eq!((post.status.as_u16(), post.header("allow")), (405, Some("GET, HEAD")));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_good_order_keeps_everything() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let started = app.trigger(flow, PHONE).await.expect(201);
        let clock = app.clock.clone();
        let app = TestApp::start_in(app.stop().await, clock, |_| {}).await;
        assert_eq!(app.trigger(flow, PHONE).await.expect(200)["id"], started["id"]);
        assert_eq!(app.say(PHONE, "tea").await["handled"], "reply");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_on_the_disk_triggers_wait_and_messages_come_in() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let started = app.trigger(flow, PHONE).await.expect(201);
        app.runtime.measure_room(u64::MAX).unwrap();
        let refused = app.trigger(flow, "+4915112345678").await;
        assert_eq!(refused.header("retry-after"), Some("1"));
        let error = refused.expect(503)["error"].as_str().unwrap().to_owned();
        assert!(error.contains("disk") && error.contains("What people write is taken"), "{error}");
        let ready = app.request(Method::GET, "/readyz", None, None).await.expect(200);
        let reason = &ready["reasons"][0];
        assert_eq!((&ready["status"], &reason["code"]), (&json!("degraded"), &json!("disk_nearly_full")));
        assert_eq!(reason["since"], testkit::app::START);
        app.advance(60);
        let later = app.request(Method::GET, "/readyz", None, None).await.expect(200);
        assert_eq!(later["reasons"][0]["since"], testkit::app::START, "since it began");
        assert_eq!(app.say(PHONE, "tea").await["session_id"], started["id"]);
        app.runtime.measure_room(1).unwrap();
        assert_eq!(app.request(Method::GET, "/readyz", None, None).await.expect(200), json!({"status": "ready"}));
        app.trigger(flow, "+4915112345678").await.expect(201);
        let disk = &app.get("/stats").await.expect(200)["disk"];
        assert!(disk["free_bytes"].as_u64() > Some(0) && disk["database_bytes"].as_u64() > Some(0), "{disk}");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_another_process_locks_the_database_it_is_not_ready() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let other = rusqlite::Connection::open(app.folder.path().join("qyvo.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let refused = app.trigger(flow, PHONE).await;
        assert!(refused.expect(503)["error"].as_str().unwrap().contains("Another process"));
        let ready = app.request(Method::GET, "/readyz", None, None).await.expect(200);
        assert_eq!((&ready["status"], &ready["reasons"][0]["code"]), (&json!("degraded"), &json!("database_locked")));
        drop(other);
        app.trigger(flow, PHONE).await.expect(201);
        assert_eq!(app.request(Method::GET, "/readyz", None, None).await.expect(200), json!({"status": "ready"}));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_commit_the_server_stops_with_the_reason() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        // A violation that SQLite finds only at COMMIT.
        let conn = rusqlite::Connection::open(app.folder.path().join("qyvo.db")).unwrap();
        conn.execute_batch(
            "CREATE TABLE spoiled (contact_seq INTEGER REFERENCES contacts (seq) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER spoil AFTER INSERT ON settings BEGIN INSERT INTO spoiled VALUES (99); END",
        )
        .unwrap();
        let now = app.runtime.clock().now();
        let spoil = app.runtime.store().write(move |tx| qyvo::store::settings::set(tx, "spoil", "1", now));
        assert_eq!(spoil.await.unwrap_err().code(), qyvo::error::Code::OutcomeUnknown);
        // Whoever is answered at all is turned away.
        let body = json!({"flow_id": flow, "phone": PHONE}).to_string();
        let url = format!("{}/v1/actions/trigger-flow", app.base);
        let late = app.client.post(url).bearer_auth(testkit::app::secret(qyvo::store::tokens::Scope::Admin));
        if let Ok(response) = late.header("Content-Type", "application/json").body(body).send().await {
            assert_eq!(response.status(), 503);
        }
        let stopped = app.wait_until_stopped().await.unwrap_err();
        assert!(stopped.to_string().contains("FOREIGN KEY"), "{stopped}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_follow_what_happened() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        app.trigger(flow, PHONE).await.expect(201);
        app.trigger(flow, PHONE).await.expect(200);
        app.say(PHONE, "tea").await;
        app.trigger(flow, "+4915112345678").await.expect(201);
        app.advance(30);
        app.runtime.run_due().await.unwrap();
        let conn = rusqlite::Connection::open(app.folder.path().join("qyvo.db")).unwrap();
        let count = |name: &str, node: &str, exit: &str| -> i64 {
            let sql = "SELECT coalesce(sum(value), 0) FROM counters
                       WHERE name = ?1 AND node = ?2 AND exit = ?3 AND hour = 0 AND (node <> '' OR version = 0)";
            conn.query_row(sql, (name, node, exit), |row| row.get(0)).unwrap()
        };
        let counted =
            ["session.started", "session.completed", "session.expired", "message.out"].map(|name| count(name, "", ""));
        assert_eq!(counted, [2, 2, 0, 3]);
        assert_eq!([count("node.exit", "ask", "tea"), count("node.exit", "ask", "timeout")], [1, 1]);
        app.stop().await;
    })
    .await;
}
