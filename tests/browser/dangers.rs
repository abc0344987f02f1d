//! What cannot be undone: it says how much of it there is, and no stray key press does it.

use serde_json::json;
use testkit::chromium::Browser;
use testkit::process::{Server, question};
use testkit::wait::until;

use crate::story::{enter, old};

/// The test id of what has the focus.
async fn focus(browser: &Browser) -> String {
    browser.run("return document.activeElement.dataset.testid ?? ''").await.as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_undone_is_asked_with_its_size_and_cancelled_by_enter() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(60)).await;
    let name = server.get(&token, &format!("/api/v1/flows/{flow}")).await["name"].as_str().unwrap().to_owned();
    let rows: Vec<_> = (0..101).map(|n| json!({"phone": format!("+14155550{n:03}")})).collect();
    let batch = format!("/api/v1/flows/{flow}/trigger-batch");
    server.send(&token, "POST", &batch, &json!(rows)).await;
    enter(&browser, &server, "Ana").await;

    browser.open(&old(&server, &format!("flows/{flow}"))).await;
    browser.click("flow-stop").await;
    browser.says("101 running sessions are cancelled").await;
    assert_eq!(focus(&browser).await, "stop-confirm-cancel");
    browser.look("stop-many").await;
    browser.press_enter().await;
    until("the dialog to close", async || browser.run("return !document.querySelector('dialog')").await == json!(true))
        .await;
    browser.click("flow-stop").await;
    browser.click("stop-confirm").await;
    browser.says(&format!("That is not {name}.")).await;
    let shown = server.get(&token, &format!("/api/v1/flows/{flow}")).await;
    assert_eq!((&shown["status"], &shown["sessions"]["running"]), (&json!("published"), &json!(101)));
    browser.click("stop-confirm-cancel").await;

    browser.click("flow-unpublish").await;
    browser.says("101 sessions that are running go on to their end").await;
    assert_eq!(focus(&browser).await, "unpublish-confirm-cancel");
    browser.look("unpublish").await;
    browser.click("unpublish-confirm-cancel").await;
    browser.click("flow-publish").await;
    browser.click("publish-confirm").await;
    browser.says("Nothing has changed: version 1 is live already").await;

    browser.click("flow-stop").await;
    browser.fill("stop-confirm-typed", &name).await;
    browser.click("stop-confirm").await;
    browser.says("101 sessions were cancelled").await;
    let stopped = server.get(&token, &format!("/api/v1/flows/{flow}/stop")).await;
    assert_eq!(stopped, json!({"id": flow, "running_sessions": 0, "queued_messages": 0}));

    browser.click("nav-tokens").await;
    browser.click("token-revoke").await;
    assert_eq!(focus(&browser).await, "token-revoke-confirm-cancel");
    browser.press_enter().await;
    browser.click("nav-contacts").await;
    browser.click("contact-row").await;
    browser.click_label("+14155550100").await;
    browser.click("contact-opt-out").await;
    browser.says("+14155550100: no flow reaches them any more. No session of theirs is running.").await;
    assert_eq!(focus(&browser).await, "contact-opt-out-confirm-cancel");
    browser.look("opt-out").await;
    browser.press_enter().await;
    browser.click("contact-erase").await;
    browser.says("Type +14155550100 to confirm").await;
    assert_eq!(focus(&browser).await, "contact-erase-confirm-cancel");
    browser.look("erase").await;
    browser.click("contact-erase-confirm").await;
    browser.says("That is not +14155550100.").await;
    browser.fill("contact-erase-confirm-typed", "+1 (415) 555-0100").await;
    browser.click("contact-erase-confirm").await;
    browser.says("Erased, with 1 session").await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_no_way_leads_to_are_published_with_a_tick() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    server.publish(&token, &question(60)).await;
    let mut document = question(60);
    document["nodes"].as_array_mut().unwrap().push(json!({"id": "lost", "type": "end"}));
    let draft = server.send(&token, "POST", "/api/v1/flows/import", &document).await;
    let flow = draft["id"].as_str().unwrap().to_owned();
    enter(&browser, &server, "Ana").await;
    browser.open(&old(&server, &format!("flows/{flow}"))).await;
    browser.click("flow-publish").await;
    browser.says("No way leads here").await;
    let disabled = "return document.querySelector('[data-testid=publish-confirm]').disabled";
    assert_eq!(browser.run(disabled).await, json!(true));
    browser.look("publish-accept").await;
    browser.click("publish-accept").await;
    browser.click("publish-confirm").await;
    browser.says("Published version 1").await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}
