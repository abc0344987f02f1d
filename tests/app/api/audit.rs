//! The audit: what is recorded, by whom and from where, and what never is.

use std::time::Duration;

use qyvo::domain::audit::AuditAction;
use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question, read, secret};

use super::problems::{FarSide, fail};

const PASSWORD: &str = "correct horse battery";

/// The entries of a query, newest first.
async fn entries(app: &TestApp, query: &str) -> Vec<Value> {
    app.get(&format!("/audit{query}")).await.expect(200)["data"].as_array().unwrap().clone()
}

/// The actions of all entries, oldest first.
async fn actions(app: &TestApp) -> Vec<String> {
    let mut entries = entries(app, "?limit=200").await;
    entries.reverse();
    entries.iter().map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn log_ins_are_recorded_and_wrong_passwords_without_what_came_with_them() {
    local(async {
        let app =
            TestApp::start_with(|config| config.server.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()]).await;
        let ask = async |path: &str, body: Value, cookie: Option<(&str, &str)>| {
            let url = format!("{}/api/v1/admin/{path}", app.base);
            let mut request = app.client.post(url).header("X-Forwarded-For", "203.0.113.9").json(&body);
            if let Some((cookie, csrf)) = cookie {
                request = request.header("Cookie", cookie).header("X-CSRF-Token", csrf);
            }
            read(request).await
        };
        let code = app.set_up_code.clone().unwrap();
        let wrong = json!({"code": "AAAA-AAAA", "password": PASSWORD, "name": "Mallory"});
        ask("set-up", wrong, None).await.expect(403);
        ask("set-up", json!({"code": code, "password": PASSWORD, "name": "Ana"}), None).await.expect(200);
        let wrong = json!({"password": "hunter2 hunter2", "name": "my secret passw0rd"});
        ask("log-in", wrong, None).await.expect(401);
        let answer = ask("log-in", json!({"password": PASSWORD, "name": "Ana"}), None).await;
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let csrf = answer.expect(200)["csrf_token"].as_str().unwrap().to_owned();
        let cookie = Some((cookie.as_str(), csrf.as_str()));
        ask("password", json!({"current": PASSWORD, "new": "another password"}), cookie).await.expect(204);
        ask("log-out", json!({}), cookie).await.expect(204);

        assert_eq!(
            actions(&app).await,
            [
                "admin.log_in_failed",
                "admin.set_up",
                "admin.log_in_failed",
                "admin.logged_in",
                "admin.password_changed",
                "admin.logged_out"
            ]
        );
        let all = entries(&app, "").await;
        let of_ana = json!({"kind": "login", "name": "Ana", "token_id": null, "network": "203.0.113.9"});
        assert_eq!(all[0]["actor"], of_ana);
        let unknown = json!({"kind": "unknown", "name": null, "token_id": null, "network": "203.0.113.9"});
        assert_eq!(all[3]["actor"], unknown);
        let text = format!("{:?}", app.rows().into_iter().filter(|(name, _)| name == "audit").collect::<Vec<_>>());
        for secret in ["hunter2", "passw0rd", PASSWORD, "another password", "Mallory", code.as_str()] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    })
    .await;
}

#[actix_web::test]
async fn what_is_changed_is_recorded_with_the_token_that_did_it() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(60)).await;
        app.post(&format!("/flows/{flow}/publish"), &json!({})).await.expect(200);
        app.post(&format!("/flows/{flow}/unpublish"), &json!({})).await.expect(200);
        app.post(&format!("/flows/{flow}/publish"), &json!({})).await.expect(200);
        app.post(&format!("/flows/{flow}/stop"), &json!({})).await.expect(200);
        app.delete(&format!("/flows/{flow}")).await.expect(204);
        app.delete(&format!("/flows/{flow}")).await.expect(404);
        let token = app.post("/tokens", &json!({"name": "shop", "scope": "trigger"})).await.expect(201);
        let id = token["id"].as_str().unwrap();
        app.patch(&format!("/tokens/{id}"), &json!({"rate_limit": 7})).await.expect(200);
        app.post(&format!("/tokens/{id}/rotate"), &json!({"grace": "1h"})).await.expect(200);
        app.delete(&format!("/tokens/{id}")).await.expect(204);
        app.delete(&format!("/tokens/{id}")).await.expect(404);
        app.send(Method::PUT, "/settings", &[], Some(&json!({"account.name": "A Shop"}))).await.expect(200);
        app.send(Method::PUT, "/settings", &[], Some(&json!({"storage.path": "x"}))).await.expect(422);
        app.post("/channels/simulator/pause", &json!({"reason": "lunch"})).await.expect(200);
        app.post("/channels/simulator/pause", &json!({})).await.expect(200);
        app.post("/channels/simulator/resume", &json!({})).await.expect(200);
        let endpoint = app.post("/webhook-endpoints", &json!({"url": "http://127.0.0.1:9/"})).await.expect(201);
        let path = format!("/webhook-endpoints/{}", endpoint["id"].as_str().unwrap());
        app.patch(&path, &json!({"description": "the shop"})).await.expect(200);
        app.post(&format!("{path}/rotate-secret"), &json!({})).await.expect(200);
        app.delete(&path).await.expect(204);
        app.delete(&path).await.expect(404);
        let backup = app.post("/backups", &json!({})).await.expect(201);
        app.get(&format!("/backups/{}", backup["name"].as_str().unwrap())).await;

        assert_eq!(
            actions(&app).await,
            [
                "flow.published",
                "flow.unpublished",
                "flow.published",
                "flow.stopped",
                "flow.deleted",
                "token.created",
                "token.changed",
                "token.rotated",
                "token.revoked",
                "settings.changed",
                "channel.paused",
                "channel.resumed",
                "webhook_endpoint.created",
                "webhook_endpoint.changed",
                "webhook_endpoint.secret_rotated",
                "webhook_endpoint.deleted",
                "backup.created",
                "backup.downloaded"
            ]
        );
        let all = entries(&app, "?action=token.created").await;
        assert_eq!(all.len(), 1);
        assert_eq!((&all[0]["target"], &all[0]["detail"]), (&token["id"], &json!("shop, scope trigger")));
        let actor = &all[0]["actor"];
        assert_eq!(
            (&actor["kind"], &actor["name"], &actor["network"]),
            (&json!("token"), &json!("admin"), &json!("127.0.0.1"))
        );
        let admin = app.get("/tokens").await.expect(200)["data"][2]["id"].clone();
        assert_eq!(actor["token_id"], admin);
        let settings = entries(&app, "?action=settings.changed&actor=admin").await;
        assert_eq!(settings[0]["detail"], "account.name", "the key, and no value");
        assert_eq!(entries(&app, "?actor=nobody").await, [] as [Value; 0]);
        let first = app.get("/audit?limit=1").await.expect(200);
        let next = app.get(&format!("/audit?limit=200&cursor={}", first["next_cursor"].as_str().unwrap())).await;
        assert_eq!(next.expect(200)["data"].as_array().unwrap().len(), 17);
        app.get("/audit?action=token.eaten").await.expect(422);
        app.request(Method::GET, "/api/v1/audit", Some(&secret(Scope::Api)), None).await.expect(403);
    })
    .await;
}

#[actix_web::test]
async fn an_erased_contact_is_not_in_the_audit() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(60)).await;
        let contact = app.trigger(flow, PHONE).await.expect(201)["contact_id"].clone();
        let path = format!("/contacts/{}", contact.as_str().unwrap());
        app.get(&format!("{path}/export")).await.expect(200);
        assert_eq!(entries(&app, "?action=contact.exported").await[0]["target"], contact);
        app.delete(&path).await.expect(200);
        app.get(&format!("{path}/export")).await.expect(404);
        let all = entries(&app, "").await;
        assert_eq!((&all[0]["action"], &all[0]["target"]), (&json!("contact.erased"), &Value::Null));
        assert_eq!((&all[1]["action"], &all[1]["target"]), (&json!("contact.exported"), &Value::Null));
        let text = format!("{:?}", app.rows().into_iter().filter(|(name, _)| name == "audit").collect::<Vec<_>>());
        assert!(!text.contains(contact.as_str().unwrap()) && !text.contains(PHONE), "{text}");
    })
    .await;
}

#[actix_web::test]
async fn entries_are_kept_as_long_as_is_configured() {
    local(async {
        let day = Duration::from_secs(24 * 3600);
        let app = TestApp::start_with(|config| config.retention.audit = day * 8).await;
        app.publish(&question(60)).await;
        app.advance(7 * 24 * 3600);
        app.runtime.tidy().await.unwrap();
        assert_eq!(actions(&app).await, ["flow.published"]);
        app.advance(24 * 3600 + 1);
        app.runtime.tidy().await.unwrap();
        assert_eq!(actions(&app).await, [] as [&str; 0]);
    })
    .await;
}

#[actix_web::test]
async fn messages_that_are_marked_or_sent_again_are_one_entry_for_each_request() {
    local(async {
        let far = FarSide::start(200).await;
        let app = TestApp::start_with(far.channel()).await;
        let flow = app.publish(&question(60)).await;
        fail(&app, flow, 0..3).await;
        let failed = app.get("/messages?status=failed").await.expect(200);
        app.post("/messages/seen", &json!({"ids": [failed["data"][0]["id"]]})).await.expect(200);
        app.post("/messages/seen", &json!({"ids": [failed["data"][0]["id"]]})).await.expect(200);
        app.post("/messages/seen", &json!({"direction": "in"})).await.expect(200);
        app.post("/messages/retry", &json!({"reason": "other"})).await.expect(200);
        app.post("/messages/retry", &json!({"reason": "http_404"})).await.expect(200);
        let done = ["flow.published", "channel.paused", "channel.resumed", "messages.seen", "messages.retried"];
        assert_eq!(actions(&app).await, done);
        let all = entries(&app, "").await;
        assert_eq!((&all[0]["detail"], &all[1]["detail"]), (&json!("reason http_404"), &json!("1 message")));
        assert_eq!(all[0]["actor"]["name"], "admin");
        app.stop().await;
    })
    .await;
}

#[test]
fn every_action_is_recorded_somewhere() {
    const THIS: &str = include_str!("audit.rs");
    let missing =
        AuditAction::ALL.map(AuditAction::as_str).into_iter().filter(|it| !THIS.contains(&format!("\"{it}\"")));
    assert_eq!(missing.collect::<Vec<_>>(), [] as [&str; 0], "no test does this");
}
