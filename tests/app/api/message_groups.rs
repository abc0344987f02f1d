//! Many messages that need a look, at once: marked as seen, and sent again by their reason.

use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question, secret};

use super::problems::{FarSide, fail, keys, problem, with_status};

async fn seen(app: &TestApp, body: Value) -> Value {
    app.post("/messages/seen", &body).await.expect(200)
}

async fn retry(app: &TestApp, body: Value) -> Value {
    app.post("/messages/retry", &body).await.expect(200)
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
        for path in ["/messages/seen", "/messages/retry"] {
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
            ("retry", json!({}), "reason", "The reason field is required."),
            ("retry", json!({"reason": "x", "limit": 0}), "limit", "The limit must be 1 to 100000."),
            (
                "retry",
                json!({"reason": "x", "cursor": "y"}),
                "cursor",
                "The cursor must be a `next_cursor` of this list.",
            ),
        ] {
            let refused = app.post(&format!("/messages/{path}"), &body).await.expect(422);
            assert_eq!(refused["errors"][field], json!([text]), "{body}: {refused}");
        }
        assert_eq!(app.rows(), before);
        app.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn all_that_failed_for_a_reason_is_sent_again_once() {
    local(async {
        let far = FarSide::start(200).await;
        let app = TestApp::start_with(far.channel()).await;
        let flow = app.publish(&question(30)).await;
        const PEOPLE: usize = 70;
        fail(&app, flow, 0..PEOPLE).await;
        let failed = app.get("/messages?status=failed&limit=200").await.expect(200)["data"].clone();
        let failed = failed.as_array().unwrap();
        // The conversation of one is over, and one is marked as seen.
        app.post(&format!("/sessions/{}/cancel", failed[0]["session_id"].as_str().unwrap()), &json!({}))
            .await
            .expect(200);
        assert_eq!(seen(&app, json!({"ids": [failed[1]["id"]]})).await["seen"], 1);
        assert_eq!(retry(&app, json!({"reason": "other"})).await["queued"], 0);
        let elsewhere = retry(&app, json!({"reason": "http_404", "channel": "whatsapp"})).await;
        assert_eq!(elsewhere, json!({"queued": 0, "skipped": [], "next_cursor": null}));
        let earlier = json!({"reason": "http_404", "until": "2026-05-07T07:00:00+00:00"});
        assert_eq!(retry(&app, earlier).await["queued"], 0);

        let first = retry(&app, json!({"reason": "http_404", "limit": 55})).await;
        assert_eq!((&first["queued"], first["next_cursor"].is_string()), (&json!(55), true), "{first}");
        let rest = retry(&app, json!({"reason": "http_404", "cursor": first["next_cursor"]})).await;
        assert_eq!((&rest["queued"], &rest["next_cursor"]), (&json!(PEOPLE - 57), &json!(null)), "{rest}");
        let ended = json!([{
            "reason": "session_ended",
            "count": 1,
            "hint": "The conversation that it belongs to is over: start the flow again.",
        }]);
        assert_eq!(rest["skipped"], ended);
        let again = retry(&app, json!({"reason": "http_404"})).await;
        assert_eq!((&again["queued"], &again["skipped"]), (&json!(0), &ended), "nothing is queued twice");
        with_status(&app, "sent", PEOPLE - 2).await;
        let again = retry(&app, json!({"reason": "http_404"})).await;
        assert_eq!(again["queued"], 0);
        assert_eq!(far.site.seen().len(), PEOPLE - 2, "each went out once");
        let left = problem(&app, "messages_failed:http_404").await;
        assert_eq!(left["count"], 1, "{left}");
        let audit = app.get("/audit?action=messages.retried").await.expect(200);
        let details: Vec<&Value> = audit["data"].as_array().unwrap().iter().map(|row| &row["detail"]).collect();
        assert_eq!(details, ["reason http_404", "reason http_404"], "one for each request that did anything");
        app.stop().await;
    })
    .await;
}
