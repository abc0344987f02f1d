//! A server that expects https, visited without from another machine.

use crate::story::{PASSWORD, set_up};
use testkit::chromium::Browser;
use testkit::process::Server;

const PUBLIC: &str = "https://qyvo.example.com";

/// The server's address under a name that the browser does not trust as its own machine.
fn elsewhere(server: &Server) -> String {
    server.url("/admin/old/").replace("127.0.0.1", "box.test")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_that_the_browser_does_not_keep_is_told() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &[], &[("QYVO_SERVER_PUBLIC_URL", PUBLIC)]).await;
    set_up(&browser, &server, &elsewhere(&server), "Ola").await;
    browser.says("your browser did not keep the cookie: this server expects https").await;
    browser.says(PUBLIC).await;
    // The password is set all the same; logging in ends alike.
    browser.open("about:blank").await;
    browser.open(&elsewhere(&server)).await;
    browser.fill("login-password", PASSWORD).await;
    browser.fill("login-name", "Ola").await;
    browser.click("login-submit").await;
    browser.says("your browser did not keep the cookie: this server expects https").await;
    browser.look("cookie-not-kept").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_asks_before_an_address_locks_its_author_out() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let saved = async || {
        let listed = server.get(&token, "/api/v1/settings").await;
        let rows = listed["data"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["key"] == "server.public_url").unwrap()["value"].clone()
    };
    set_up(&browser, &server, &elsewhere(&server), "Ola").await;
    browser.click("nav-settings").await;
    let row = "document.querySelector('[data-key=\"server.public_url\"]')";
    browser.find("setting-value").await;
    let type_and_save = format!(
        "const row = {row}; row.querySelector('[data-testid=\"setting-value\"]').value = '{PUBLIC}';
         row.querySelector('[data-testid=\"setting-save\"]').click();"
    );
    browser.run(&type_and_save).await;
    browser.says("whoever visits as you do now cannot log in any more").await;
    browser.look("setting-confirm").await;
    browser.click_label("Cancel").await;
    assert_eq!(saved().await, "");
    browser.run(&type_and_save).await;
    browser.click("setting-confirm").await;
    browser.says("Saved server.public_url").await;
    assert_eq!(saved().await, PUBLIC);
    browser.close().await;
}
