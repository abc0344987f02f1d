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

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_token_is_the_same_and_its_old_secret_ends_with_the_grace() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let made =
            app.post("/tokens", &json!({"name": "shop", "scope": "trigger", "rate_limit": 50})).await.expect(201);
        let path = format!("/tokens/{}", made["id"].as_str().unwrap());
        let trigger = async |secret: &serde_json::Value| {
            let bearer = format!("Bearer {}", secret.as_str().unwrap());
            let headers = [("authorization", bearer.as_str()), ("idempotency-key", "order-7")];
            let body = json!({"flow_id": flow, "phone": PHONE, "on_running": "restart"});
            let mut request = app.client.post(format!("{}/v1/actions/trigger-flow", app.base)).json(&body);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let answer = testkit::app::read(request).await;
            (answer.status.as_u16(), answer.header("idempotency-replayed").is_some(), answer.body["id"].clone())
        };
        let (status, _, session) = trigger(&made["token"]).await;
        assert_eq!(status, 201);

        let second = app.post(&format!("{path}/rotate"), &json!({"grace": "1h"})).await.expect(200);
        assert_eq!(second["old_until"], "2026-05-07T09:00:00+00:00");
        for field in ["id", "name", "scope", "rate_limit", "created_at"] {
            assert_eq!(second[field], made[field], "{field}");
        }
        assert_ne!(second["token"], made["token"]);
        for secret in [&made["token"], &second["token"]] {
            assert_eq!(trigger(secret).await, (201, true, session.clone()), "the key is the token's");
        }
        let listed = app.get("/tokens").await.expect(200);
        let row = listed["data"].as_array().unwrap().iter().find(|row| row["id"] == made["id"]).unwrap();
        assert_eq!((&row["old_until"], &row["hint"]), (&second["old_until"], &second["hint"]));
        assert!(row.get("token").is_none());

        // Another rotation ends the oldest, and time the one before.
        let third = app.post(&format!("{path}/rotate"), &json!({"grace": "30m"})).await.expect(200);
        assert_eq!((trigger(&made["token"]).await.0, trigger(&second["token"]).await.0), (401, 201));
        app.advance(1799);
        assert_eq!(trigger(&second["token"]).await.0, 201);
        app.advance(1);
        assert_eq!((trigger(&second["token"]).await.0, trigger(&third["token"]).await.0), (401, 201));
        let changed = app.patch(&path, &json!({"rate_limit": null})).await.expect(200);
        assert_eq!(changed["old_until"], json!(null), "it is over");

        // Without a grace the old one ends at once; a token that is revoked has none.
        let fourth = app.post(&format!("{path}/rotate"), &json!({})).await.expect(200);
        assert_eq!((trigger(&third["token"]).await.0, trigger(&fourth["token"]).await.0), (401, 201));
        let fifth = app.post(&format!("{path}/rotate"), &json!({"grace": "30d"})).await.expect(200);
        for grace in [json!("31d"), json!("soon"), json!(60)] {
            let refused = app.post(&format!("{path}/rotate"), &json!({"grace": grace})).await.expect(422);
            assert!(refused["errors"]["grace"].is_array(), "{refused}");
        }
        app.post(&format!("{path}/rotate"), &json!({"graces": "1h"})).await.expect(422);
        assert_eq!(trigger(&fifth["token"]).await.0, 201, "what is refused changes nothing");
        assert_eq!(app.delete(&path).await.status.as_u16(), 204);
        assert_eq!((trigger(&fourth["token"]).await.0, trigger(&fifth["token"]).await.0), (401, 401));
        app.post(&format!("{path}/rotate"), &json!({})).await.expect(404);
        app.stop().await;
    })
    .await;
}
