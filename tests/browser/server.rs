//! The view of the server: room, backups, and who did what.

use serde_json::json;
use testkit::chromium::Browser;
use testkit::process::{Server, question};

use crate::story::enter;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_the_room_makes_a_backup_and_reads_who_did_what() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &[], &[("QYVO_BACKUP_EVERY", "6h")]).await;
    let token = server.token("admin");
    server.publish(&token, &question(60)).await;
    enter(&browser, &server, "Ana").await;

    browser.click("nav-server").await;
    browser.says("Free on its disk").await;
    browser.says("known after a day").await;
    browser.says("The server makes one every 6 hours.").await;
    browser.says("flow.published").await;
    browser.click("backup-make").await;
    browser.says("is whole").await;
    browser.says("backup.created").await;
    browser.settle().await;
    browser.look("server").await;

    let list = server.get(&token, "/api/v1/backups").await;
    let newest = list["data"][0].clone();
    let href = "return document.querySelector('[data-testid=backup-download]').getAttribute('href')";
    assert_eq!(browser.run(href).await, json!(format!("/api/v1/backups/{}", newest["name"].as_str().unwrap())));
    let download = "return (async () => {
        const link = document.querySelector('[data-testid=backup-download]');
        const copy = await (await fetch(link.href)).arrayBuffer();
        return [copy.byteLength, new TextDecoder().decode(copy.slice(0, 15))];
    })()";
    assert_eq!(browser.run(download).await, json!([newest["bytes"], "SQLite format 3"]));
    browser.fill("audit-actor", "Nobody").await;
    browser.press_enter().await;
    browser.says("Nothing was done under this name.").await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}
