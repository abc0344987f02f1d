//! Many messages that need a look, at once: marked as seen.

use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question, secret};

use super::problems::{FarSide, fail, keys, problem, with_status};

async fn seen(app: &TestApp, body: Value) -> Value {
    app.post("/messages/seen", &body).await.expect(200)
}

#[actix_web::test]
async fn what_failed_is_a_problem_until_it_is_seen() {
    local(async {
        let far = FarSide::start(200).await;
        let app = TestApp::start_with(far.channel()).await;
        let flow = app.publish(&question(30)).await;
        fail(&app, flow, 0..2).await;
        app.advance(5);
        fail(&app, flow, 2..4).await;
        // One by one.
        let all = app.get("/messages?status=failed").await.expect(200)["data"].clone();
        let (id, other) = (&all[0]["id"], "01a20839-0a52-7d0e-8d1c-57c94bfa6c10");
        assert!(all[0].get("seen").is_none());
        let marked = seen(&app, json!({"ids": [id, other]})).await;
        assert_eq!(marked, json!({"seen": 1, "already_seen": 0, "not_needed": 0, "not_found": 1}));
        app.advance(5);
        let again = seen(&app, json!({"ids": [id]})).await;
        assert_eq!(again, json!({"seen": 0, "already_seen": 1, "not_needed": 0, "not_found": 0}));
        assert_eq!(problem(&app, "messages_failed:http_404").await["count"], 3);
        let of = async |seen: &str| {
            let list = app.get(&format!("/messages?status=failed&seen={seen}")).await.expect(200);
            list["data"].as_array().unwrap().clone()
        };
        let (marked, unmarked) = (of("true").await, of("false").await);
        assert_eq!((marked.len(), unmarked.len()), (1, 3));
        assert_eq!(
            marked[0]["seen"],
            json!({"at": "2026-05-07T08:00:05+00:00", "by": "admin"}),
            "the first mark stands"
        );
        // All of a reason, until a moment.
        let other = json!({"direction": "out", "reason": "other"});
        assert_eq!(seen(&app, other).await["seen"], 0);
        let group = json!({"direction": "out", "reason": "http_404", "until": "2026-05-07T08:00:04+00:00"});
        assert_eq!(seen(&app, group.clone()).await["seen"], 2);
        assert_eq!(seen(&app, group).await["seen"], 0);
        assert_eq!(problem(&app, "messages_failed:http_404").await["since"], "2026-05-07T08:00:05+00:00");
        assert_eq!(seen(&app, json!({"direction": "out", "status": "failed"})).await["seen"], 1);
        assert_eq!(keys(&app).await, [] as [&str; 0]);
        // A mark goes with another attempt.
        app.post(&format!("/messages/{}/retry", id.as_str().unwrap()), &json!({})).await.expect(202);
        let sent = with_status(&app, "sent", 1).await;
        assert_eq!((&sent[0]["id"], sent[0].get("seen")), (id, None));
        let audit = app.get("/audit?action=messages.seen").await.expect(200);
        let details: Vec<&Value> = audit["data"].as_array().unwrap().iter().rev().map(|row| &row["detail"]).collect();
        assert_eq!(details, ["1 message", "failed and unknown, reason http_404", "failed"]);
        app.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_nothing_took_is_a_problem_until_it_is_seen() {
    local(async {
        let far = FarSide::start(200).await;
        let app = TestApp::start_with(far.channel()).await;
        app.say(PHONE, "Hello?").await;
        app.say(PHONE, "Anybody?").await;
        assert_eq!(keys(&app).await, ["messages_unrouted:no_session"]);
        let marked = seen(&app, json!({"direction": "in", "reason": "no_session"})).await;
        assert_eq!(marked["seen"], 2);
        assert_eq!(keys(&app).await, [] as [&str; 0]);
        let list = app.get("/messages?status=unrouted&seen=false").await.expect(200);
        assert_eq!(list["data"], json!([]));
        // The marks go with their messages.
        let contact = app.get("/messages?status=unrouted").await.expect(200)["data"][0]["contact_id"].clone();
        app.delete(&format!("/contacts/{}", contact.as_str().unwrap())).await.expect(200);
        assert!(!format!("{:?}", app.rows()).contains("Anybody?"));
        assert_eq!(app.count("messages"), 0);
        app.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_marks_cannot_be_is_said_and_changes_nothing() {
    local(async {
        let app = TestApp::start().await;
        for path in ["/messages/seen"] {
            for scope in [Scope::Trigger, Scope::Api] {
                let body = Some(json!({"reason": "x"}).to_string());
                app.request(Method::POST, &format!("/api/v1{path}"), Some(&secret(scope)), body).await.expect(403);
            }
        }
        let before = app.rows();
        for (path, body, field, text) in [
            ("seen", json!({}), "direction", "The direction field is required when ids is not present."),
            ("seen", json!({"ids": []}), "ids", "The ids must be 1 to 1000."),
            ("seen", json!({"ids": ["x"]}), "ids.0", "The ids.0 must be a valid UUID."),
            (
                "seen",
                json!({"ids": ["01a20839-0a52-7d0e-8d1c-57c94bfa6c10"], "direction": "in"}),
                "ids",
                "Give either ids or what the messages have in common.",
            ),
            (
                "seen",
                json!({"direction": "in", "status": "failed"}),
                "status",
                "The status is one of messages that went out.",
            ),
            ("seen", json!({"direction": "in", "all": true}), "all", "The all field is not known here."),
        ] {
            let refused = app.post(&format!("/messages/{path}"), &body).await.expect(422);
            assert_eq!(refused["errors"][field], json!([text]), "{body}: {refused}");
        }
        assert_eq!(app.rows(), before);
        app.stop().await;
    })
    .await;
}
