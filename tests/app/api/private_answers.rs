//! What may be kept of an answer: nothing but the program's own files.

use qyvo::store::tokens::Scope;
use reqwest::Method;
use testkit::app::{TestApp, secret};

#[actix_web::test]
async fn private_answers_are_neither_stored_nor_taken_for_something_else() {
    let app = TestApp::start().await;
    let admin = secret(Scope::Admin);
    let contact = app.post("/actions/create-contact", &serde_json::json!({"phone": "+14155550123"})).await.expect(201);
    let id = contact["id"].as_str().unwrap().to_owned();
    let export = format!("/api/v1/contacts/{id}/export");
    for (method, path, token, body, status) in [
        (Method::GET, "/api/v1/contacts", Some(admin.as_str()), None, 200),
        (Method::GET, "/v1/contacts", Some(&admin), None, 200),
        (Method::GET, export.as_str(), Some(&admin), None, 200),
        (Method::GET, "/api/v1/contacts", None, None, 401),
        (Method::GET, "/api/v1/contacts/nobody", Some(&admin), None, 404),
        (Method::GET, "/api/v1/nothing/here", None, None, 404),
        (Method::GET, "/api", None, None, 404),
        (Method::PUT, "/api/v1/contacts", Some(&admin), None, 405),
        (Method::POST, "/api/v1/actions/get-contact", Some(&admin), Some("{"), 400),
        (Method::GET, "/api/v1/admin/session", None, None, 200),
        (Method::POST, "/api/v1/admin/log-in", None, Some("{}"), 422),
        (Method::POST, "/mcp", Some(&admin), Some("{"), 400),
        (Method::GET, "/mcp", Some(&admin), None, 405),
        (Method::GET, "/healthz", None, None, 200),
        (Method::GET, "/admin/nothing.js", None, None, 404),
        (Method::HEAD, "/api/v1/contacts", Some(&admin), None, 200),
    ] {
        let mut request = app.client.request(method.clone(), format!("{}{path}", app.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("cache-control"), Some("no-store"), "{method} {path}");
        assert_eq!(header("x-content-type-options"), Some("nosniff"), "{method} {path}");
    }
    let stream = app.client.get(format!("{}/api/v1/events", app.base)).bearer_auth(&admin).send().await.unwrap();
    assert_eq!(stream.headers()["cache-control"], "no-store");
    assert_eq!(stream.headers()["x-content-type-options"], "nosniff");
    drop(stream);
    for path in ["/admin/", "/admin/old/", "/admin/old/app.css", "/docs/", "/api/v1/openapi.yaml"] {
        let file = app.client.get(format!("{}{path}", app.base)).send().await.unwrap();
        assert_eq!(file.headers()["cache-control"], "no-cache", "{path}: asked for again, and not sent again");
        assert!(file.headers().contains_key("etag"), "{path}");
    }
}
