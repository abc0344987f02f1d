//! Lists keep still under the focus, and filters stand in the address.

use serde_json::{Value, json};
use testkit::chromium::Browser;
use testkit::process::{Server, question};
use testkit::wait::until;

use super::{complaints, enter, view};

/// The ids of the rows, in their order.
async fn rows(browser: &Browser) -> Value {
    browser
        .run("return [...document.querySelectorAll('[data-testid=session-row]')].map((row) => row.dataset.key)")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_stay_under_the_focus_and_what_is_new_is_counted() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    for n in 0..8 {
        server.trigger(&token, &flow, &format!("+1415555{n:04}")).await;
    }
    enter(&browser, &server, "Ana").await;
    browser.click("nav-sessions").await;
    browser.find("session-row").await;
    let focus = "return document.activeElement.tagName + document.activeElement.textContent.trim()";
    assert_eq!(browser.run(focus).await, json!("H1Sessions"), "readers go on at the heading");
    until("all to be listed", async || rows(&browser).await.as_array().unwrap().len() == 8).await;
    let before = rows(&browser).await;
    let take_focus = "const link = document.querySelectorAll('[data-testid=session-row] a')[4]; link.focus();
                      window.held = link; return link.getBoundingClientRect().top";
    let top = browser.run(take_focus).await;
    for n in 100..105 {
        server.trigger(&token, &flow, &format!("+1415555{n:04}")).await;
    }
    browser.says("5 new").await;
    assert_eq!(rows(&browser).await, before, "no row has moved");
    let held = "return [document.activeElement === window.held, window.held.getBoundingClientRect().top]";
    assert_eq!(browser.run(held).await, json!([true, top]));
    browser.look("app-held").await;
    browser.click("list-fresh").await;
    until("the new rows to be listed", async || rows(&browser).await.as_array().unwrap().len() == 13).await;

    // What is chosen stands in the address, and a reload keeps it.
    let choose = "const select = document.querySelector('[data-testid=sessions-status]');
                  select.value = 'completed'; select.dispatchEvent(new Event('change', {bubbles: true}))";
    browser.run(choose).await;
    browser.says("No session like this").await;
    assert_eq!(browser.run("return location.hash").await, json!("#/sessions?status=completed"));
    browser.run("location.reload(); return true").await;
    browser.says("No session like this").await;
    assert_eq!(browser.value("sessions-status").await, "completed");
    browser.open(&view(&server, "sessions?status=running")).await;
    until("those that run", async || rows(&browser).await.as_array().unwrap().len() == 13).await;
    let complaints = complaints(&browser).await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}
