//! What opening the page costs: files, bytes and calls; and what opening it again does.

use serde_json::Value;
use testkit::chromium::Browser;
use testkit::process::{Server, question};

use super::{complaints, enter, view};

/// Bytes that the files of the first page have at most, coded with brotli and with gzip.
const BROTLI: f64 = 100_000.0;
const GZIP: usize = 120_000;

/// What the page has loaded: address, bytes of the body as they came, and bytes on the wire, which are none of what was
/// kept.
async fn loaded(browser: &Browser) -> Vec<(String, f64, f64)> {
    let script = "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
                      .map((entry) => [entry.name, entry.encodedBodySize, entry.transferSize])";
    let entries = browser.run(script).await;
    let read = |entry: &Value| {
        let bytes = |index: usize| entry[index].as_f64().unwrap_or_default();
        (entry[0].as_str().unwrap().split('#').next().unwrap().to_owned(), bytes(1), bytes(2))
    };
    entries.as_array().unwrap().iter().map(read).collect()
}

fn is_call(address: &str) -> bool {
    address.contains("/api/v1/") || address.ends_with("/readyz")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_page_is_small_and_a_reload_asks_for_it_alone() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    server.publish(&token, &question(30)).await;
    enter(&browser, &server, "Ana").await;
    browser.find("flow-row").await;

    // As a browser that has never been here: another page first, so that the next one is loaded from the start.
    browser.open("about:blank").await;
    browser.open(&view(&server, "flows")).await;
    browser.find("flow-row").await;
    browser.settle().await;
    let entries = loaded(&browser).await;
    let foreign: Vec<_> = entries.iter().filter(|(name, ..)| !name.starts_with(&server.url("/"))).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    let (calls, files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(name, ..)| is_call(name));
    assert!(files.len() <= 12, "{files:#?}");
    assert!(calls.len() <= 5, "{calls:#?}");
    let bytes: f64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    assert!(bytes <= BROTLI, "{bytes} bytes: {files:#?}");
    let mut packed = 0;
    for (name, ..) in &files {
        let file = server.client.get(name).header("Accept-Encoding", "gzip").send().await.unwrap();
        packed += file.bytes().await.unwrap().len();
    }
    assert!(packed <= GZIP, "{packed} bytes");
    println!("{} files, {bytes} bytes with brotli and {packed} with gzip, {} calls", files.len(), calls.len());

    browser.run("location.reload(); return true").await;
    browser.find("flow-row").await;
    browser.settle().await;
    let asked: Vec<String> = loaded(&browser)
        .await
        .into_iter()
        .filter(|(name, _, wire)| !is_call(name) && *wire > 0.0)
        .map(|(name, ..)| name)
        .collect();
    assert_eq!(asked, [server.url("/admin/")]);
    let complaints = complaints(&browser).await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}
