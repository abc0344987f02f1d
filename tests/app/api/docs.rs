//! The page that shows the API, as files.

use testkit::app::TestApp;

#[actix_web::test]
async fn the_page_and_its_parts_are_served_under_a_policy_of_their_own() {
    let app = TestApp::start().await;
    let get = |path: &str| app.client.get(format!("{}{path}", app.base)).send();

    let page = get("/docs").await.unwrap();
    assert_eq!((page.status().as_u16(), page.url().path()), (200, "/docs/"));
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("http"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = page.text().await.unwrap();

    for (name, kind) in [("swagger-ui-bundle.js", "text/javascript"), ("swagger-ui.css", "text/css")] {
        assert!(page.contains(&format!("\"{name}\"")), "{page}");
        let file = get(&format!("/docs/{name}")).await.unwrap();
        assert_eq!(file.status().as_u16(), 200);
        assert_eq!(file.headers()["content-type"], format!("{kind}; charset=utf-8"));
        assert_eq!(file.headers().get("content-encoding"), None, "who takes no coding is sent none");
        assert_eq!(file.headers()["x-content-type-options"], "nosniff");
        let etag = file.headers()["etag"].clone();
        let text = file.text().await.unwrap();
        assert!(text.contains("swagger-ui") && text.len() > 100_000, "{} bytes", text.len());
        let again = app.client.get(format!("{}/docs/{name}", app.base)).header("If-None-Match", etag).send();
        assert_eq!(again.await.unwrap().status().as_u16(), 304);
    }
    let licence = get("/docs/swagger-ui.LICENSE.txt").await.unwrap().text().await.unwrap();
    assert!(licence.contains("Apache License"), "{licence}");
    for nothing in ["/docs/none.js", "/docs/../openapi.yaml", "/docs/%2e%2e/openapi.yaml"] {
        assert_eq!(get(nothing).await.unwrap().status().as_u16(), 404, "{nothing}");
    }
}
