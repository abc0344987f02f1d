//! The application at `/admin/`: what it costs to open, that its lists keep still, and each of its views.

mod first_page;
mod lists;
mod views;

use testkit::chromium::Browser;
use testkit::process::Server;

use crate::story::{PASSWORD, set_up_code};

/// The address of a view.
fn view(server: &Server, path: &str) -> String {
    server.url(&format!("/admin/#/{path}"))
}

/// Comes in by the link that the server printed, with its code in it.
async fn enter(browser: &Browser, server: &Server, name: &str) {
    browser.open(&view(server, &format!("set-up/{}", set_up_code(server)))).await;
    browser.fill("login-password", PASSWORD).await;
    browser.fill("login-password-again", PASSWORD).await;
    browser.fill("login-name", name).await;
    browser.click("login-submit").await;
    browser.find("nav-flows").await;
}

/// What the console complained of, but for routes that the page asks for once to learn whether the server has them.
async fn complaints(browser: &Browser) -> Vec<String> {
    let is_probe = |text: &String| {
        text.contains(" 404 ")
            && ["problems", "search", "samples"].iter().any(|name| text.contains(&format!("/{name}")))
    };
    browser.complaints().await.into_iter().filter(|text| !is_probe(text)).collect()
}
