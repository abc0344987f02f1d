//! The public API's sending of texts and templates where no WhatsApp is needed, and what it refuses.

use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question, secret};

/// An action with the scope that it needs, and no more.
async fn act(app: &TestApp, action: &str, body: &Value) -> testkit::app::Answer {
    let path = format!("/v1/actions/{action}");
    app.request(Method::POST, &path, Some(&secret(Scope::Api)), Some(body.to_string())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_makes_its_contact_and_disturbs_no_session() {
    local(async {
        let app = TestApp::start().await;
        let sent = act(&app, "send-text-message", &json!({"phone": "+1 (415) 555-0123", "message": "Hi"})).await;
        assert!(sent.header("idempotency-replayed").is_none());
        let sent = sent.expect(200);
        let mut keys: Vec<_> = sent.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["contact_id", "id", "status", "whatsapp_message_id"]);
        assert_eq!((&sent["status"], &sent["whatsapp_message_id"]), (&json!("simulated"), &Value::Null));
        let contact = app.get(&format!("/contacts/{}", sent["contact_id"].as_str().unwrap())).await.expect(200);
        assert_eq!((&contact["phone"], &contact["opted_in_at"]), (&json!(PHONE), &Value::Null), "no consent");

        let flow = app.publish(&question(30)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let before = app.session(&session["id"]).await;
        let again = act(&app, "send-text-message", &json!({"phone": PHONE, "message": "By the way"})).await.expect(200);
        assert_eq!(again["contact_id"], sent["contact_id"]);
        assert_eq!(app.session(&session["id"]).await, before);
        let talk = app.talk(&sent["contact_id"]).await;
        assert_eq!(talk, ["out Hi [simulated]", "out Tea or coffee? [simulated]", "out By the way [simulated]"]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_named_and_nothing_changes() {
    local(async {
        let app = TestApp::start().await;
        let before = app.rows();
        type Case<'a> = (&'a str, Value, &'a [(&'a str, &'a str)]);
        let wrong: &[Case<'_>] = &[
            (
                "send-text-message",
                json!({}),
                &[("phone", "The phone field is required."), ("message", "The message field is required.")],
            ),
            (
                "send-text-message",
                json!({"phone": "", "message": ""}),
                &[("phone", "The phone field is required."), ("message", "The message field is required.")],
            ),
            ("send-text-message", json!({"phone": PHONE, "message": " \n"}), &[("message", "must not be blank")]),
            ("send-text-message", json!({"phone": PHONE, "message": 7}), &[("message", "must be a string")]),
            ("send-text-message", json!({"phone": "call me", "message": "Hi"}), &[("phone", "international form")]),
            (
                "send-text-message",
                json!({"phone": PHONE, "message": "x".repeat(4097)}),
                &[("message", "must not be longer than 4096 characters")],
            ),
            (
                "send-template-message",
                json!({}),
                &[("phone", "The phone field is required."), ("template_id", "The template id field is required.")],
            ),
            (
                "send-template-message",
                json!({"phone": PHONE, "template_id": "cart"}),
                &[("template_id", "The template id must be a valid UUID.")],
            ),
            (
                "send-template-message",
                json!({"phone": PHONE, "template_id": uuid::Uuid::from_u128(7), "variables": {"1": ["a"]}}),
                &[("variables.1", "The variables.1 must be a string.")],
            ),
            ("send-text-message", json!({"phone": PHONE, "message": "a\u{0}b"}), &[("message", "U+0000")]),
            (
                "send-template-message",
                json!({"phone": PHONE, "template_id": uuid::Uuid::from_u128(7), "variables": {"1": "\u{0}"}}),
                &[("variables.1", "U+0000")],
            ),
            (
                "send-template-message",
                json!({"phone": PHONE, "template_id": uuid::Uuid::from_u128(7), "variables": "Ana"}),
                &[("variables", "must be an object")],
            ),
        ];
        for (action, body, errors) in wrong {
            let refused = act(&app, action, body).await.expect(422);
            assert_eq!(refused["message"], "The given data was invalid.", "{body}");
            assert_eq!(refused["errors"].as_object().unwrap().len(), errors.len(), "{refused}");
            for (field, sentence) in *errors {
                assert!(refused["errors"][field][0].as_str().unwrap().contains(sentence), "{field}: {refused}");
            }
        }
        let unknown = json!({"phone": PHONE, "template_id": uuid::Uuid::from_u128(7), "variables": {}});
        let refused = act(&app, "send-template-message", &unknown).await.expect(404);
        assert_eq!(refused, json!({"error": "Template not found"}));
        for action in ["send-text-message", "send-template-message", "list-templates", "get-template"] {
            let path = format!("/v1/actions/{action}");
            let answer = app.request(Method::POST, &path, Some(&secret(Scope::Trigger)), Some("{}".to_owned())).await;
            assert_eq!(answer.status, 403, "{action}");
        }
        assert_eq!(app.rows(), before);

        let pictured = json!({"name": "pictured", "language": "en", "body": "Look",
            "header": {"kind": "media", "media": "image"}});
        let pictured = app.post("/templates", &pictured).await.expect(201)["id"].clone();
        let before = app.rows();
        for link in ["picture", "ftp://x.example/1.png", "javascript:alert(1)"] {
            let body = json!({"phone": PHONE, "template_id": pictured, "variables": {"header.1": link}});
            let refused = act(&app, "send-template-message", &body).await.expect(422);
            let text = refused["errors"]["variables.header.1"][0].as_str().unwrap();
            assert!(text.contains("must be a link"), "{refused}");
        }
        assert_eq!(app.rows(), before);

        // As many characters as there may be, of four bytes each; and keys that nobody asked for.
        let longest = json!({"phone": PHONE, "message": "😀".repeat(4096), "surprise": 1});
        act(&app, "send-text-message", &longest).await.expect(200);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_made_by_hand_goes_out_as_its_text() {
    local(async {
        let app = TestApp::start().await;
        let fields = json!({"name": "cart", "language": "en", "body": "Hi {{1}}, {{total}} is waiting, {{1}}.",
            "buttons": [{"kind": "url", "text": "Open", "url": "https://shop.example/{{1}}"}]});
        let template = app.post("/templates", &fields).await.expect(201)["id"].clone();
        let german = json!({"name": "cart", "language": "de", "body": "Hallo {{1}}"});
        let german = app.post("/templates", &german).await.expect(201)["id"].clone();
        let body = |id: &Value, language: &str, variables: Value| {
            json!({"phone": PHONE, "template_id": id, "language": language, "variables": variables})
        };
        let refused = act(&app, "send-template-message", &body(&template, "en", json!({"1": "Ana"}))).await.expect(422);
        assert_eq!(
            refused,
            json!({"error": "Template requires variables that were not provided.",
                   "expected_placeholders": ["1", "total", "button.0"], "missing": ["total", "button.0"]})
        );
        assert_eq!(app.count("contacts"), 0);
        let all = json!({"1": "{{total}}", "total": "12 €", "button.0": "cart/7", "more": "x"});
        let sent = act(&app, "send-template-message", &body(&template, "en", all)).await.expect(200);
        assert_eq!(sent["status"], "simulated");
        // Any language's id leads to the template, and the language is the one that is asked for.
        let sent_too = act(&app, "send-template-message",
            &body(&template, "de", json!({"1": "Ana"})))
            .await
            .expect(200);
        act(&app, "send-template-message", &body(&german, "en", json!({"1": "Ana"}))).await.expect(422);
        assert_eq!(sent_too["contact_id"], sent["contact_id"]);
        let talk = app.talk(&sent["contact_id"]).await;
        let first = "out Hi {{total}}, 12 € is waiting, {{total}}. [simulated]";
        assert_eq!(talk, [first, "out Hallo Ana [simulated]"], "filled in once");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_under_its_key_says_nothing_again() {
    local(async {
        let app = TestApp::start().await;
        let body = json!({"phone": PHONE, "message": "Once"});
        let first = app.post_with_key("/actions/send-text-message", "k1", &body).await.expect(200);
        let again = app.post_with_key("/actions/send-text-message", "k1", &body).await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.expect(200), first);
        let other = json!({"phone": PHONE, "message": "Twice"});
        let reused = app.post_with_key("/actions/send-text-message", "k1", &other).await.expect(422);
        assert!(reused["error"].as_str().unwrap().contains("another body"));
        assert_eq!(app.count("messages"), 1);
        app.stop().await;
    })
    .await;
}
