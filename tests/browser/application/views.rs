//! Each view with something in it, in light and dark, on a desk and on a telephone.

use serde_json::{Value, json};
use testkit::chromium::Browser;
use testkit::process::{Server, question};
use testkit::wait::until;

use super::{complaints, enter, view};

const PHONE: &str = "+14155550123";

#[tokio::test(flavor = "multi_thread")]
async fn each_view_is_accessible_and_fits() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    let (_, started) = server.trigger(&token, &flow, PHONE).await;
    server.say(&token, PHONE, "tea").await;
    server.say(&token, "+14155550124", "Does anybody read this?").await;
    let template = json!({"name": "cart", "language": "en", "body": "Hi {{1}}, your cart of {{2}} is waiting."});
    server.send(&token, "POST", "/api/v1/templates", &template).await;
    let endpoint = json!({"url": "http://127.0.0.1:9/hook", "description": "The shop's own CRM"});
    let endpoint = server.send(&token, "POST", "/api/v1/webhook-endpoints", &endpoint).await;
    let id = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();

    enter(&browser, &server, "Ana").await;
    let views = [
        ("problems", "problems".to_owned(), "reach no phone"),
        ("flows", "flows".to_owned(), "version 1"),
        ("trigger", format!("flows/{flow}/trigger"), "Start it here"),
        ("sessions", "sessions".to_owned(), PHONE),
        ("session", format!("sessions/{}", id(&started, "id")), "Tea or coffee?"),
        ("contacts", "contacts".to_owned(), PHONE),
        ("contact", format!("contacts/{}", id(&started, "contact_id")), "Tea or coffee?"),
        ("messages", "messages".to_owned(), "Does anybody read this?"),
        ("channel", "channel".to_owned(), "Connect WhatsApp"),
        ("templates", "templates".to_owned(), "your cart of"),
        ("webhooks", "webhooks".to_owned(), "The shop's own CRM"),
        ("webhook", format!("webhooks/{}", id(&endpoint, "id")), "Deliveries"),
        ("tokens", "tokens".to_owned(), "as configured"),
        ("settings", "settings".to_owned(), "Public address"),
        ("nowhere", "nowhere".to_owned(), "There is nothing at this address"),
        ("no-session", format!("sessions/{flow}"), "There is no such session"),
    ];
    for (name, path, says) in views {
        browser.open(&view(&server, &path)).await;
        browser.says(says).await;
        browser.settle().await;
        browser.look(&format!("app-{name}")).await;
    }
    // Links of the page before go on to work.
    browser.open(&view(&server, &format!("flows/{flow}/try"))).await;
    until("the page before", async || {
        browser.run("return location.pathname + location.hash").await == json!(format!("/admin/old/#/flows/{flow}/try"))
    })
    .await;
    let complaints: Vec<String> =
        complaints(&browser).await.into_iter().filter(|text| !text.contains(&format!("sessions/{flow}"))).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dialogs_are_accessible_and_what_cannot_be_undone_begins_at_cancel() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    let (_, started) = server.trigger(&token, &flow, PHONE).await;
    enter(&browser, &server, "Ana").await;
    let focus = async || browser.run("return document.activeElement.dataset.testid ?? ''").await;
    let is_closed = async || {
        until("the dialog to close", async || {
            browser.run("return document.querySelector('dialog') === null").await == json!(true)
        })
        .await;
    };

    for (path, opener, dialog) in [
        ("flows", "flow-new", "new-flow"),
        ("flows", "flow-import", "import"),
        ("tokens", "token-create", "new-token"),
        ("webhooks", "webhook-create", "new-endpoint"),
        ("templates", "template-create", "new-template"),
        ("flows", "find", "palette"),
        ("flows", "help", "keys"),
    ] {
        browser.open(&view(&server, path)).await;
        browser.click(opener).await;
        browser.settle().await;
        browser.look(&format!("app-dialog-{dialog}")).await;
        browser
            .run("document.querySelector('dialog').requestClose?.() ?? document.querySelector('dialog').close()")
            .await;
        is_closed().await;
        assert_eq!(focus().await, json!(opener), "the focus goes back");
    }

    browser.open(&view(&server, &format!("contacts/{}", started["contact_id"].as_str().unwrap()))).await;
    browser.click("contact-erase").await;
    browser.says("1 running session of theirs ends").await;
    assert_eq!(focus().await, json!("contact-erase-confirm-cancel"));
    browser.look("app-erase").await;
    browser.press_enter().await;
    is_closed().await;
    browser.open(&view(&server, "flows")).await;
    browser.click("flow-menu").await;
    browser.click("flow-stop").await;
    browser.says("1 running session is cancelled").await;
    assert_eq!(focus().await, json!("stop-confirm-cancel"));
    browser.click("stop-confirm").await;
    browser.says("1 session was cancelled").await;

    // Whatever is sought is found from every page.
    browser.click("find").await;
    browser.fill("palette-input", "555 0123").await;
    browser.says(PHONE).await;
    browser.look("app-found").await;
    browser.press_enter().await;
    until("the contact", async || {
        browser.run("return location.hash").await
            == json!(format!("#/contacts/{}", started["contact_id"].as_str().unwrap()))
    })
    .await;
    let complaints = complaints(&browser).await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}
