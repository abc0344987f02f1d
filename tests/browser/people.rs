//! Finding one person among all: those that an import brought, and one that a flow was triggered for.

use serde_json::json;
use testkit::chromium::Browser;
use testkit::process::{Server, question};
use testkit::wait::until;

use crate::story::enter;

const PEOPLE: &str = "phone,name,email,tags
+34600111222,Zo\u{eb} Quetzal,zoe@example.org,lead
+34600111223,\u{130}pek Y\u{131}lmaz,ipek@example.org,lead
+34600111224,\u{738b}\u{4f1f},,customer
+34600111225,50% Off GmbH,,
";

/// The names of the contacts that are listed.
async fn listed(browser: &Browser) -> Vec<String> {
    let script = "return [...document.querySelectorAll('[data-testid=contact-row] a')].map((link) => link.innerText)";
    serde_json::from_value(browser.run(script).await).unwrap()
}

/// Waits until these are listed and nobody else.
async fn lists(browser: &Browser, expected: &[&str]) {
    until(&format!("{expected:?} to be listed"), async || listed(browser).await == expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_found_by_a_part_of_what_is_known() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(60)).await;
    let file = folder.path().join("people.csv");
    std::fs::write(&file, PEOPLE).unwrap();
    let imported = server.command(&["contacts", "import", file.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let (status, _) = server.trigger_with(&token, &flow, "+14155550123", json!({})).await;
    assert_eq!(status, 201);

    enter(&browser, &server, "Ana").await;
    browser.click("nav-contacts").await;
    browser.says("+14155550123").await;
    assert_eq!(listed(&browser).await.len(), 5);
    for (query, expected) in [
        ("ZO\u{cb}", &["Zo\u{eb} Quetzal"] as &[&str]),
        ("\u{4f1f}", &["\u{738b}\u{4f1f}"]),
        ("ipek@", &["\u{130}pek Y\u{131}lmaz"]),
        ("yilmaz", &["\u{130}pek Y\u{131}lmaz"]),
        ("quetzal zoe", &["Zo\u{eb} Quetzal"]),
        ("%", &["50% Off GmbH"]),
        ("5550123", &["+14155550123"]),
        ("+34 600 111 222", &["Zo\u{eb} Quetzal"]),
        ("example.org", &["\u{130}pek Y\u{131}lmaz", "Zo\u{eb} Quetzal"]),
    ] {
        browser.fill("contacts-query", query).await;
        browser.click("contacts-find").await;
        lists(&browser, expected).await;
    }
    browser.look("contacts-found").await;
    browser.fill("contacts-query", "nobody is called so").await;
    browser.click("contacts-find").await;
    browser.says("No contact has this").await;
    lists(&browser, &[]).await;
    browser.look("contacts-not-found").await;
    browser.fill("contacts-query", "ipek").await;
    browser.fill("contacts-tag", "lead").await;
    browser.click("contacts-find").await;
    lists(&browser, &["\u{130}pek Y\u{131}lmaz"]).await;
    browser.look("contacts-tag").await;
    browser.fill("contacts-tag", "customer").await;
    browser.click("contacts-find").await;
    lists(&browser, &[]).await;
    browser.fill("contacts-query", "").await;
    browser.fill("contacts-tag", "").await;
    browser.click("contacts-find").await;
    browser.says("+14155550123").await;
    assert_eq!(listed(&browser).await.len(), 5, "nothing sought is everybody");

    let many: String = (0..60).map(|n| format!("+346002{n:05},Ada Lovelace {n}\n")).collect();
    std::fs::write(&file, format!("phone,name\n{many}")).unwrap();
    assert!(server.command(&["contacts", "import", file.to_str().unwrap()]).status.success());
    browser.fill("contacts-query", "lovelace ada").await;
    browser.click("contacts-find").await;
    browser.says("The first 50 of 60.").await;
    browser.look("contacts-many").await;
    browser.click_label("Show more").await;
    until("all to be listed", async || listed(&browser).await.len() == 60).await;
    assert!(!browser.text().await.contains("The first"), "all are there");

    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}
