//! Tokens, scopes and the rate limit.

use qyvo::store::Direct;
use qyvo::store::tokens::{Scope, list, revoke};
use reqwest::Method;
use serde_json::json;
use testkit::app::{PHONE, TestApp, add_token, local, question, secret};
use testkit::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn each_scope_reaches_as_far_as_documented() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let trigger = json!({"flow_id": flow, "phone": PHONE}).to_string();
        let message = json!({"id": "1", "from": PHONE, "type": "text", "text": "hi"}).to_string();
        let document = question(30).to_string();
        for (path, body, reached_by) in [
            ("/v1/actions/trigger-flow", trigger.clone(), [true, true, true]),
            ("/v1/actions/cancel-flow", trigger, [true, true, true]),
            ("/v1/inbound", message, [false, true, true]),
            ("/v1/flows/import", document, [false, false, true]),
        ] {
            for (scope, reaches) in [Scope::Trigger, Scope::Api, Scope::Admin].into_iter().zip(reached_by) {
                let answer = app.request(Method::POST, path, Some(&secret(scope)), Some(body.clone())).await;
                assert_eq!(answer.status != 403, reaches, "{path} {scope}: {}", answer.body);
            }
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_limit_is_per_token_and_shown() {
    local(async {
        let app = TestApp::start_with(|config| config.limits.requests_per_minute = 3).await;
        let get = |scope: Scope| {
            let app = &app;
            async move {
                app.request(Method::POST, "/v1/actions/cancel-flow", Some(&secret(scope)), Some("{}".to_owned())).await
            }
        };
        for remaining in ["2", "1", "0"] {
            let answer = get(Scope::Trigger).await;
            assert_eq!(answer.status, 422);
            assert_eq!(answer.header("x-ratelimit-limit"), Some("3"));
            assert_eq!(answer.header("x-ratelimit-remaining"), Some(remaining));
        }
        let refused = get(Scope::Trigger).await;
        assert_eq!((refused.status.as_u16(), refused.header("x-ratelimit-remaining")), (429, Some("0")));
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=20).contains(&wait), "a third of a minute at most: {wait}");
        assert!(refused.body["error"].is_string());
        assert_eq!(get(Scope::Admin).await.header("x-ratelimit-remaining"), Some("2"), "another token has its own");
        let unauthenticated = app.request(Method::POST, "/v1/inbound", None, None).await;
        assert_eq!(unauthenticated.header("x-ratelimit-limit"), None);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_the_command_line_take_effect_within_a_second() {
    local(async {
        let app = TestApp::start().await;
        let mut direct = Direct::open(&app.folder.path().join("qyvo.db")).unwrap();
        let now = app.clock.now();
        let status = |secret: &'static str| {
            let app = &app;
            async move {
                app.request(Method::POST, "/v1/inbound", Some(secret), Some("{}".to_owned())).await.status.as_u16()
            }
        };
        assert_eq!(status("qyvo_late").await, 401);
        let id = direct.write(|tx| add_token(tx, "late", Scope::Admin, "qyvo_late", now)).unwrap();
        until("the new token to be taken", async || status("qyvo_late").await == 422).await;
        assert!(direct.write(|tx| revoke(tx, id, now)).unwrap());
        until("the revoked token to be refused", async || status("qyvo_late").await == 401).await;
        assert_eq!(direct.read(list).unwrap().len(), 4);
        app.stop().await;
    })
    .await;
}
