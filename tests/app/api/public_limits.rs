//! Rate limits: per token, shown on every authenticated answer, and another one for a token that needs it.

use futures::future::join_all;
use qyvo::store::Direct;
use qyvo::store::tokens::{Scope, list, set_rate_limit};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{Answer, PHONE, TestApp, local, secret};
use testkit::wait::until;

async fn ask(app: &TestApp, token: &str) -> Answer {
    app.request(Method::POST, "/v1/actions/list-templates", Some(token), Some("{}".to_owned())).await
}

/// The limit and what is left of it.
fn shown(answer: &Answer) -> (Option<&str>, Option<&str>) {
    (answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_authenticated_answer_shows_what_is_left() {
    local(async {
        let app = TestApp::start_with(|config| config.limits.requests_per_minute = 100).await;
        let path = |action: &str| format!("/api/v1/actions/{action}");
        let text = json!({"phone": PHONE, "message": "Hi"}).to_string();
        let huge = json!({"phone": PHONE, "message": "x".repeat(300_000)}).to_string();
        let unknown = json!({"template_id": uuid::Uuid::from_u128(7)}).to_string();
        for (asked, (action, scope, body, status)) in [
            ("send-text-message", Scope::Api, Some(text.as_str()), 200),
            ("send-text-message", Scope::Api, Some("{}"), 422),
            ("send-text-message", Scope::Api, Some("{"), 400),
            ("send-text-message", Scope::Api, Some(&huge), 413),
            ("send-text-message", Scope::Api, None, 415),
            ("get-template", Scope::Api, Some(&unknown), 404),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = app.request(Method::POST, &path(action), Some(&secret(scope)), body.map(str::to_owned)).await;
            assert_eq!(answer.status, status, "{}", answer.body);
            let remaining = (99 - asked).to_string();
            assert_eq!(shown(&answer), (Some("100"), Some(remaining.as_str())), "{action} {status}");
        }
        let forbidden = app
            .request(Method::POST, &path("get-template"), Some(&secret(Scope::Trigger)), Some("{}".to_owned()))
            .await;
        assert_eq!((forbidden.status.as_u16(), shown(&forbidden)), (403, (Some("100"), Some("99"))), "it counts, too");
        let nobody = ask(&app, "qyvo_nobody").await;
        assert_eq!((nobody.status.as_u16(), shown(&nobody)), (401, (None, None)));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_its_own_leaves_other_tokens_alone() {
    local(async {
        let app = TestApp::start_with(|config| config.limits.requests_per_minute = 3).await;
        // The administrator's requests are not what is counted here.
        let admin = secret(Scope::Admin);
        let mut direct = Direct::open(&app.folder.path().join("qyvo.db")).unwrap();
        let id = direct.read(list).unwrap()[2].id;
        assert!(direct.write(|tx| set_rate_limit(tx, id, Some(0))).unwrap());
        until("the command line's word to take effect", async || shown(&ask(&app, &admin).await) == (None, None)).await;

        let make = |body: Value| {
            let app = &app;
            async move { app.post("/tokens", &body).await }
        };
        let own = make(json!({"name": "own", "scope": "api", "rate_limit": 5})).await.expect(201);
        let usual = make(json!({"name": "usual", "scope": "api"})).await.expect(201);
        assert_eq!((&own["rate_limit"], &usual["rate_limit"]), (&json!(5), &Value::Null));
        let token = |made: &Value| made["token"].as_str().unwrap().to_owned();
        for remaining in ["4", "3", "2", "1", "0"] {
            assert_eq!(shown(&ask(&app, &token(&own)).await), (Some("5"), Some(remaining)));
        }
        let refused = ask(&app, &token(&own)).await;
        assert_eq!((refused.status.as_u16(), shown(&refused)), (429, (Some("5"), Some("0"))));
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=12).contains(&wait), "a fifth of a minute at most: {wait}");
        assert_eq!(refused.body["error"], format!("Too many requests; try again in {wait} s."));
        assert_eq!(refused.body["limit"], "limits.requests_per_minute");
        assert!(refused.body["hint"].as_str().unwrap().contains("may make 5 requests a minute"), "{}", refused.body);
        assert_eq!(shown(&ask(&app, &token(&usual)).await), (Some("3"), Some("2")), "another token has its own");

        // A change takes effect at once, for this token alone.
        let path = format!("/tokens/{}", own["id"].as_str().unwrap());
        let changed = app.patch(&path, &json!({"rate_limit": 2})).await.expect(200);
        assert_eq!(changed["rate_limit"], 2);
        assert_eq!(changed.get("token"), None, "the secret is shown once");
        assert_eq!(shown(&ask(&app, &token(&own)).await), (Some("2"), Some("1")));
        app.patch(&path, &json!({"rate_limit": 0})).await.expect(200);
        for _ in 0..10 {
            assert_eq!(shown(&ask(&app, &token(&own)).await), (None, None), "off");
        }
        app.patch(&path, &json!({"rate_limit": null})).await.expect(200);
        assert_eq!(shown(&ask(&app, &token(&own)).await), (Some("3"), Some("2")), "the configured one");
        assert_eq!(shown(&ask(&app, &token(&usual)).await), (Some("3"), Some("1")), "it was left alone");
        let listed = app.get("/tokens").await.expect(200);
        let limits: Vec<_> = listed["data"].as_array().unwrap().iter().map(|row| row["rate_limit"].clone()).collect();
        assert_eq!(limits, [Value::Null, Value::Null, json!(0), Value::Null, Value::Null]);

        for (body, sentence) in [
            (json!({}), "field is required; null stands for the configured limit"),
            (json!({"rate_limit": -1}), "whole number, 0 or more"),
            (json!({"rate_limit": "7"}), "whole number, 0 or more"),
            (json!({"rate_limit": 1_000_001}), "at most 1000000 requests per minute"),
        ] {
            let refused = app.patch(&path, &body).await.expect(422);
            assert!(refused["errors"]["rate_limit"][0].as_str().unwrap().contains(sentence), "{refused}");
        }
        app.delete(&path).await.expect(204);
        app.patch(&path, &json!({"rate_limit": 1})).await.expect(404);
        app.patch("/tokens/x", &json!({"rate_limit": 1})).await.expect(404);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_at_once_get_no_further_than_the_limit() {
    local(async {
        let app = TestApp::start().await;
        let made = app.post("/tokens", &json!({"name": "many", "scope": "api", "rate_limit": 300})).await.expect(201);
        let token = made["token"].as_str().unwrap();
        let begun = std::time::Instant::now();
        let answers = join_all((0..1000).map(|_| ask(&app, token))).await;
        // Five a second come back meanwhile, and one may be on its way.
        let refilled = begun.elapsed().as_secs_f64() * 5.0 + 1.0;
        let through = answers.iter().filter(|answer| answer.status == 200).count();
        assert!(through >= 300 && through as f64 <= 300.0 + refilled, "{through}, {refilled} refilled");
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(answer.status, 429);
            assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        }
        app.stop().await;
    })
    .await;
}
