//! Templates: fetched from WhatsApp as a whole, or made by hand for a channel that approves none.

use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{TestApp, local, secret};

use crate::api::channels::{Meta, whatsapp};

fn entry(name: &str, language: &str, status: &str) -> Value {
    json!({
        "id": format!("{name}.{language}"), "name": name, "language": language, "status": status, "category": "UTILITY",
        "components": [
            {"type": "HEADER", "format": "IMAGE"},
            {"type": "BODY", "text": "Hi {{1}}, your cart of {{2}} is waiting."},
            {"type": "BUTTONS", "buttons": [
                {"type": "QUICK_REPLY", "text": "Check out"},
                {"type": "URL", "text": "Open", "url": "https://shop.example/{{1}}"}]}
        ]
    })
}

fn names(list: &Value) -> Vec<String> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let rows = list["data"].as_array().unwrap().iter();
    rows.map(|row| format!("{} {} {}", text(row, "name"), text(row, "language"), text(row, "status"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_of_templates_come_or_none() {
    local(async {
        let mut meta = Meta::start().await;
        let page = |after: &str| format!("{}/v26.0/102290129340398/message_templates?after={after}", meta.base);
        let second = page("two");
        meta.answer("after=two", json!({"data": [entry("b", "en", "PAUSED"), entry("c", "pt_BR", "APPROVED")]}));
        let first = json!({"data": [entry("a", "en", "APPROVED"), entry("a", "de", "APPROVED")],
                           "paging": {"cursors": {"after": "two"}, "next": second}});
        meta.answer("limit=", first.clone());
        let app = TestApp::start_with(whatsapp(&meta.base)).await;
        // The server fetches by itself when it starts: both pages.
        for _ in 0..2 {
            meta.asked.recv().await.unwrap();
        }
        let done = app.post("/templates/sync", &json!({})).await.expect(200);
        assert_eq!(done, json!({"added": 0, "changed": 0, "removed": 0, "total": 4}), "the first fetch had them all");
        let list = app.get("/templates").await.expect(200);
        assert_eq!(names(&list), ["a de approved", "a en approved", "b en paused", "c pt_BR approved"]);
        let keys: Vec<_> = list["data"][0]["placeholders"].as_array().unwrap().iter().map(|one| &one["key"]).collect();
        assert_eq!(keys, ["header.1", "1", "2", "button.1"]);
        assert_eq!((&list["data"][0]["is_editable"], &list["data"][0]["provider_id"]), (&json!(false), &json!("a.de")));

        // The second page fails: nothing of the first is taken for the whole.
        meta.answer("after=two", json!({"error": {"message": "Please try again", "code": 2}}));
        meta.answer("limit=", json!({"data": [], "paging": {"next": second}}));
        let before = app.get("/templates").await.body;
        let refused = app.post("/templates/sync", &json!({})).await;
        assert_eq!(refused.status, 502, "{}", refused.body);
        assert_eq!(app.get("/templates").await.body, before);
        let channel = &app.get("/channels").await.body["data"][0];
        assert!(channel["templates"]["refused"]["text"].is_string() && channel["templates"]["synced_at"].is_string());

        meta.answer("limit=", json!({"data": [entry("a", "en", "REJECTED"), entry("d", "en", "PENDING")]}));
        let done = app.post("/templates/sync", &json!({})).await.expect(200);
        assert_eq!(done, json!({"added": 1, "changed": 1, "removed": 3, "total": 2}));
        let list = app.get("/templates?status=rejected").await.expect(200);
        assert_eq!(names(&list), ["a en rejected"]);
        let kept = before["data"][1]["id"].as_str().unwrap();
        assert_eq!(list["data"][0]["id"], kept, "what changes keeps its id");
        assert_eq!(names(&app.get("/templates?name=d&language=en").await.body), ["d en pending"]);
        assert_eq!(app.get("/channels").await.body["data"][0]["templates"]["refused"], Value::Null);

        // Made at Meta, so not here.
        let by_hand = json!({"name": "mine", "language": "en", "body": "Hi"});
        let refused = app.post("/templates", &by_hand).await.expect(409);
        assert!(refused["hint"].as_str().unwrap().contains("WhatsApp Manager"), "{refused}");
        app.patch(&format!("/templates/{kept}"), &json!({"status": "approved"})).await.expect(409);
        app.delete(&format!("/templates/{kept}")).await.expect(409);
        assert_eq!(app.count("templates"), 2);
        app.stop().await;
        meta.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_made_by_hand_where_nobody_approves_them() {
    local(async {
        let app = TestApp::start().await;
        let fields = json!({"name": "cart", "language": "en", "body": "Hi {{1}},\nyour cart of {{total}} is waiting.",
            "header": {"kind": "media", "media": "image"}, "footer": "Reply STOP to opt out",
            "buttons": [{"kind": "quick_reply", "text": "Check out"},
                        {"kind": "url", "text": "Open", "url": "https://shop.example/{{1}}"}]});
        let made = app.post("/templates", &fields).await.expect(201);
        let keys: Vec<_> = made["placeholders"].as_array().unwrap().iter().map(|one| &one["key"]).collect();
        assert_eq!(keys, ["header.1", "1", "total", "button.1"]);
        assert_eq!((&made["status"], &made["is_editable"]), (&json!("approved"), &json!(true)));
        app.post("/templates", &fields).await.expect(409);
        let path = format!("/templates/{}", made["id"].as_str().unwrap());
        assert_eq!(app.get(&path).await.expect(200), made);

        let changed = app.patch(&path, &json!({"body": "Hello", "header": null, "buttons": null})).await.expect(200);
        assert_eq!((&changed["header"], &changed["buttons"]), (&Value::Null, &json!([])));
        assert_eq!((&changed["footer"], &changed["body"]), (&made["footer"], &json!("Hello")));
        let other =
            app.post("/templates", &json!({"name": "cart", "language": "de", "body": "Hallo"})).await.expect(201);
        let other = format!("/templates/{}", other["id"].as_str().unwrap());
        app.patch(&other, &json!({"language": "en"})).await.expect(409);
        assert_eq!(app.get(&other).await.body["language"], "de");

        for method in [Method::POST, Method::PATCH, Method::DELETE] {
            let path = if method == Method::POST { "/templates".to_owned() } else { path.clone() };
            let path = format!("/api/v1{path}");
            let answer = app.request(method, &path, Some(&secret(Scope::Api)), Some(fields.to_string())).await;
            assert_eq!(answer.status, 403, "the scope api only reads");
        }
        let read = app.request(Method::GET, "/api/v1/templates", Some(&secret(Scope::Api)), None).await;
        assert_eq!(names(&read.expect(200)), ["cart de approved", "cart en approved"]);
        let sync = app.post("/templates/sync", &json!({})).await.expect(409);
        assert!(sync["hint"].as_str().unwrap().contains("POST /templates"), "{sync}");
        app.delete(&path).await.expect(204);
        app.get(&path).await.expect(404);
        app.get("/templates/not-an-id").await.expect(404);
        assert_eq!(app.count("templates"), 1);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_template_is_named_all_at_once() {
    local(async {
        let app = TestApp::start().await;
        let before = app.rows();
        let wrong = json!({
            "name": "Cart 1", "language": "english", "body": "Hi {{1}", "footer": "{{1}}", "status": "fine",
            "header": {"kind": "text", "text": "{{1}} and {{2}}", "colour": "red"},
            "buttons": [{"kind": "url", "text": "Open"}, {"kind": "url", "text": "Run", "url": "javascript:alert(1)"},
                        {"kind": "quick_reply", "text": "x".repeat(26), "url": "https://a.example"}, "no"],
            "surprise": 1,
        });
        let refused = app.post("/templates", &wrong).await.expect(422);
        let mut named: Vec<&str> = refused["errors"].as_object().unwrap().keys().map(String::as_str).collect();
        named.sort_unstable();
        let expected = [
            "body",
            "buttons.0.url",
            "buttons.1.url",
            "buttons.2.text",
            "buttons.2.url",
            "buttons.3",
            "footer",
            "header.colour",
            "header.text",
            "language",
            "name",
            "status",
            "surprise",
        ];
        assert_eq!(named, expected, "{refused}");
        for (body, error) in [
            (
                "Hi {{}}",
                "The body has a placeholder without a name at character 4: write a placeholder as {{1}} or {{name}}.",
            ),
            ("}}{{", "The body has }} that closes nothing at character 1: write a placeholder as {{1}} or {{name}}."),
        ] {
            let refused =
                app.post("/templates", &json!({"name": "a", "language": "en", "body": body})).await.expect(422);
            assert_eq!(refused["errors"], json!({"body": [error]}));
        }
        let empty = json!({"name": "a", "language": "en", "body": "Hi",
            "buttons": [{"kind": "url", "text": "Open", "url": "https://shop.example/{{}}"}]});
        let refused = app.post("/templates", &empty).await.expect(422);
        assert!(refused["errors"]["buttons.0.url"].is_array(), "{refused}");
        let missing = app.post("/templates", &json!({})).await.expect(422);
        assert_eq!(missing["errors"].as_object().unwrap().len(), 3, "{missing}");
        assert_eq!(app.rows(), before, "nothing has changed");
        app.stop().await;
    })
    .await;
}
