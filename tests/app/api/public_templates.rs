//! The public API's templates: one entry for each name, whatever languages it has.

use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{Answer, START, TestApp, local, secret};

use crate::api::channels::{Meta, whatsapp};

async fn act(app: &TestApp, action: &str, body: &Value) -> Answer {
    let path = format!("/v1/actions/{action}");
    app.request(Method::POST, &path, Some(&secret(Scope::Api)), Some(body.to_string())).await
}

fn entry(name: &str, language: &str, status: &str) -> Value {
    json!({
        "id": format!("{name}.{language}"), "name": name, "language": language, "status": status, "category": "UTILITY",
        "components": [
            {"type": "HEADER", "format": "TEXT", "text": "Order {{1}}"},
            {"type": "BODY", "text": format!("{language}: hi {{{{1}}}}, {{{{2}}}} and {{{{1}}}}.")},
            {"type": "FOOTER", "text": "Reply STOP"},
            {"type": "BUTTONS", "buttons": [
                {"type": "QUICK_REPLY", "text": "Yes"},
                {"type": "URL", "text": "Open", "url": "https://shop.example/{{1}}"},
                {"type": "PHONE_NUMBER", "text": "Call", "phone_number": "+15550783881"},
                {"type": "COPY_CODE", "text": "Copy"}]}
        ]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_name_is_one_template_with_its_languages_and_its_best_state() {
    local(async {
        let meta = Meta::start().await;
        let all = [
            ("b_order", "en", "PENDING"),
            ("b_order", "fr", "APPROVED"),
            ("b_order", "de", "REJECTED"),
            ("a_paused", "en", "PAUSED"),
            ("c_off", "en", "DISABLED"),
            ("d_odd", "en", "LIMIT_EXCEEDED"),
            ("e_no", "en", "REJECTED"),
            ("e_no", "fr", "PENDING"),
        ];
        let data: Vec<Value> = all.iter().map(|(name, language, status)| entry(name, language, status)).collect();
        meta.answer("limit=", json!({"data": data}));
        let app = TestApp::start_with(whatsapp(&meta.base)).await;
        app.post("/templates/sync", &json!({})).await.expect(200);

        let seen = |list: &Value| -> Vec<String> {
            let rows = list.as_array().unwrap().iter();
            rows.map(|row| {
                format!("{} {} {}", row["name"].as_str().unwrap(), row["status"].as_str().unwrap(), row["languages"])
            })
            .collect()
        };
        for (filter, expected) in [
            (
                json!({}),
                vec![
                    r#"a_paused PENDING ["en"]"#,
                    r#"b_order APPROVED ["de","en","fr"]"#,
                    r#"c_off REJECTED ["en"]"#,
                    r#"d_odd REJECTED ["en"]"#,
                    r#"e_no PENDING ["en","fr"]"#,
                ],
            ),
            (json!({"status": "", "surprise": 1}), vec!["a_paused", "b_order", "c_off", "d_odd", "e_no"]),
            (json!({"status": "APPROVED"}), vec!["b_order"]),
            (json!({"status": "PENDING"}), vec!["a_paused", "e_no"]),
            (json!({"status": "REJECTED"}), vec!["c_off", "d_odd"]),
        ] {
            let list = act(&app, "list-templates", &filter).await.expect(200);
            let seen = seen(&list);
            assert_eq!(seen.len(), expected.len(), "{filter}: {seen:?}");
            assert!(
                seen.iter().zip(&expected).all(|(seen, expected)| seen.starts_with(expected)),
                "{filter}: {seen:?}"
            );
        }
        let wrong = act(&app, "list-templates", &json!({"status": "approved"})).await.expect(422);
        assert!(wrong["errors"]["status"][0].as_str().unwrap().contains("APPROVED, PENDING, REJECTED"));
        let bare = app.request(Method::POST, "/v1/actions/list-templates", Some(&secret(Scope::Api)), None).await;
        assert_eq!(seen(&bare.expect(200)).len(), 5, "no body asks for all");

        let list = act(&app, "list-templates", &json!({"status": "APPROVED"})).await.expect(200);
        let summary = list[0].as_object().unwrap();
        let mut keys: Vec<_> = summary.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["category", "created_at", "id", "languages", "name", "status"]);
        assert_eq!((&list[0]["category"], &list[0]["created_at"]), (&json!("UTILITY"), &json!(START)));

        let shown = act(&app, "get-template", &json!({"template_id": list[0]["id"]})).await.expect(200);
        let mut expected = list[0].clone();
        for (key, value) in [
            ("body", json!("fr: hi {{1}}, {{2}} and {{1}}.")),
            ("header_type", json!("TEXT")),
            ("header_content", json!("Order {{1}}")),
            ("footer", json!("Reply STOP")),
            (
                "buttons",
                json!([
                    {"type": "QUICK_REPLY", "text": "Yes"},
                    {"type": "URL", "text": "Open", "url": "https://shop.example/{{1}}"},
                    {"type": "PHONE_NUMBER", "text": "Call", "phone_number": "+15550783881"},
                    {"type": "COPY_CODE", "text": "Copy"}
                ]),
            ),
            ("placeholders", json!(["1", "2"])),
        ] {
            expected[key] = value;
        }
        assert_eq!(shown, expected, "of the first language that is approved");
        for row in app.get("/templates?name=b_order").await.expect(200)["data"].as_array().unwrap() {
            let by_language = act(&app, "get-template", &json!({"template_id": row["id"]})).await.expect(200);
            assert_eq!(by_language, shown, "{}", row["language"]);
        }
        app.stop().await;
        meta.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_id_goes_on_to_work_whatever_the_channel_drops_and_brings_back() {
    local(async {
        let meta = Meta::start().await;
        let [german, english] = ["de", "en"].map(|language| entry("cart", language, "APPROVED"));
        let bring = |all: Vec<&Value>| meta.answer("limit=", json!({"data": all}));
        bring(vec![&german]);
        let app = TestApp::start_with(whatsapp(&meta.base)).await;
        app.post("/templates/sync", &json!({})).await.expect(200);
        let choices = app.get("/dropdowns/templates").await.expect(200);
        let id = choices[0]["id"].clone();
        let languages = async || {
            let shown = act(&app, "get-template", &json!({"template_id": id})).await;
            if shown.status == 404 { Value::Null } else { shown.expect(200)["languages"].clone() }
        };
        assert_eq!(languages().await, json!(["de"]));
        for (all, expected, offered) in [
            (vec![&german, &english], json!(["de", "en"]), &choices),
            (vec![&english], json!(["en"]), &choices),
            (vec![], Value::Null, &json!([])),
            (vec![&english], json!(["en"]), &choices),
        ] {
            bring(all);
            app.post("/templates/sync", &json!({})).await.expect(200);
            assert_eq!(languages().await, expected);
            assert_eq!(&app.get("/dropdowns/templates").await.expect(200), offered);
        }
        let path = format!("/dropdowns/template-variables?template_id={}", id.as_str().unwrap());
        assert_eq!(app.get(&path).await.expect(200)[1], json!({"id": "1", "label": "{{1}}"}));
        app.stop().await;
        meta.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_made_by_hand_are_there_and_unknown_ones_are_not() {
    local(async {
        let app = TestApp::start().await;
        assert_eq!(act(&app, "list-templates", &json!({})).await.expect(200), json!([]));
        let fields = json!({"name": "hello", "language": "en", "body": "Hi",
            "header": {"kind": "media", "media": "video"},
            "buttons": [{"kind": "phone_number", "text": "Call", "phone_number": "+1 555 078 3881"}]});
        let made = app.post("/templates", &fields).await.expect(201);
        let shown = act(&app, "get-template", &json!({"template_id": made["id"]})).await.expect(200);
        let again = act(&app, "get-template", &json!({"template_id": shown["id"]})).await.expect(200);
        assert_eq!((again, &shown["category"]), (shown.clone(), &Value::Null));
        assert_eq!((&shown["header_type"], &shown["header_content"]), (&json!("VIDEO"), &Value::Null));
        assert_eq!((&shown["footer"], &shown["placeholders"]), (&Value::Null, &json!([])));
        assert_eq!(shown["buttons"], json!([{"type": "PHONE_NUMBER", "text": "Call", "phone_number": "+15550783881"}]));
        let misplaced = json!({"name": "x", "language": "en", "body": "Hi",
            "buttons": [{"kind": "quick_reply", "text": "Call", "phone_number": "+15550783881"}]});
        let refused = app.post("/templates", &misplaced).await.expect(422);
        assert!(refused["errors"]["buttons.0.phone_number"].is_array(), "{refused}");

        for (body, status, error) in [
            (json!({"template_id": uuid::Uuid::from_u128(9)}), 404, json!({"error": "Template not found"})),
            (
                json!({"template_id": "hello"}),
                422,
                json!({"message": "The given data was invalid.",
                       "errors": {"template_id": ["The template id must be a valid UUID."]}}),
            ),
            (
                json!({"template_id": ""}),
                422,
                json!({"message": "The given data was invalid.",
                       "errors": {"template_id": ["The template id field is required."]}}),
            ),
        ] {
            assert_eq!(act(&app, "get-template", &body).await.expect(status), error);
        }
        app.stop().await;
    })
    .await;
}
