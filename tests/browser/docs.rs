//! The page that shows the API: drawn without the world outside, and good to call the server from.

use serde_json::Value;
use testkit::chromium::Browser;
use testkit::process::{Server, question};

/// Enters a token as a person does, in the dialog that is open; React takes what is typed from the event alone.
const ENTER: &str = "
    const field = document.querySelector('.auth-container input[type=text], .auth-container input[type=password]');
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, 'TOKEN');
    field.dispatchEvent(new Event('input', { bubbles: true }));
    field.closest('.auth-container').querySelector('.auth-btn-wrapper .authorize').click();";

#[tokio::test(flavor = "multi_thread")]
async fn the_api_can_be_read_and_tried_offline() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(60)).await;

    browser.open(&server.url("/docs")).await;
    browser.says("Start a flow for a contact").await;
    browser.look_at_foreign("docs").await;
    let click = |selector: &str| format!("document.querySelector('{selector}').click()");
    browser.run(&click("#operations-Actions-triggerFlow .opblock-summary-control")).await;
    browser.says("Retries. Send an Idempotency-Key").await;
    browser.run("document.querySelector('#operations-Actions-triggerFlow').scrollIntoView()").await;
    browser.look_at_foreign("docs-operation").await;
    browser.run(&click("#operations-Actions-triggerFlow .opblock-summary-control")).await;

    browser.run(&click(".btn.authorize")).await;
    browser.says("Available authorizations").await;
    browser.run(&ENTER.replace("TOKEN", &token)).await;
    browser.says("Logout").await;
    browser.run(&click(".auth-btn-wrapper .btn-done")).await;
    browser.run(&click("#operations-Flows-listFlows .opblock-summary-control")).await;
    browser.says("Try it out").await;
    browser.run(&click("#operations-Flows-listFlows .try-out__btn")).await;
    browser.says("Execute").await;
    browser.run(&click("#operations-Flows-listFlows .execute")).await;
    browser.says(&flow).await;
    browser.run("document.querySelector('#operations-Flows-listFlows').scrollIntoView()").await;
    browser.look_at_foreign("docs-tried").await;

    let loaded = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)").await;
    let loaded: Vec<&str> = loaded.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(loaded.iter().any(|url| url.ends_with("/api/v1/openapi.yaml")), "{loaded:?}");
    let foreign: Vec<&&str> =
        loaded.iter().filter(|url| !url.starts_with(&server.url("/")) && !url.starts_with("data:")).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}
