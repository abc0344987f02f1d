//! An author's day: from the first visit to a flow that is stopped.

use serde_json::{Value, json};
use testkit::chromium::Browser;
use testkit::process::Server;

pub(crate) const PASSWORD: &str = "correct horse battery";
const PHONE: &str = "+14155550123";

/// The code that the server printed when it started.
pub(crate) fn set_up_code(server: &Server) -> String {
    let log = server.log();
    let line = log.lines().find(|line| line.contains("with the code ")).unwrap_or_else(|| panic!("no code in {log}"));
    line.rsplit(' ').next().unwrap().to_owned()
}

/// The address of a view of the page that `static/old/` holds.
pub(crate) fn old(server: &Server, view: &str) -> String {
    server.url(&format!("/admin/old/#/{view}"))
}

/// Sets the password and comes in.
pub(crate) async fn enter(browser: &Browser, server: &Server, name: &str) {
    set_up(browser, server, &old(server, ""), name).await;
    browser.find("nav-flows").await;
}

/// Sets the password at an address.
pub(crate) async fn set_up(browser: &Browser, server: &Server, address: &str, name: &str) {
    browser.open(address).await;
    browser.fill("login-code", &set_up_code(server)).await;
    browser.fill("login-password", PASSWORD).await;
    browser.fill("login-password-again", PASSWORD).await;
    browser.fill("login-name", name).await;
    browser.click("login-submit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_authors_meet_and_neither_loses_a_word() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &testkit::process::question(30)).await;
    let path = format!("/api/v1/flows/{flow}");
    enter(&browser, &server, "Ana").await;
    browser.open(&old(&server, &format!("flows/{flow}"))).await;
    let read = browser.value("editor-text").await;
    let hers = read.replace("Tea or coffee?", "Tea or coffee, dear?");
    browser.paste("editor-text", &hers).await;
    // Meanwhile somebody else saves.
    let mut his: Value = serde_json::from_str(&read).unwrap();
    his["name"] = json!("His question");
    let client = &server.client;
    let saved =
        client.put(server.url(&path)).bearer_auth(&token).header("If-Match", "\"1\"").json(&json!({"document": his}));
    assert!(saved.send().await.unwrap().status().is_success());
    browser.click("editor-save").await;
    browser.find("conflict-dialog").await;
    browser.look("conflict").await;
    let kept = server.get(&token, &path).await;
    assert_eq!((&kept["name"], &kept["revision"]), (&json!("His question"), &json!(2)), "nothing of his is lost");
    browser.click("conflict-keep").await;
    assert_eq!(browser.value("editor-text").await, hers, "nothing of hers is lost");
    browser.open("about:blank").await;
    browser.open(&old(&server, &format!("flows/{flow}"))).await;
    browser.find("editor-restored").await;
    assert_eq!(browser.value("editor-text").await, hers, "nor by leaving");
    browser.click("editor-save").await;
    browser.click("conflict-overwrite").await;
    browser.says("Revision 3").await;
    let kept = server.get(&token, &path).await;
    assert_eq!(kept["document"]["nodes"][0]["text"], "Tea or coffee, dear?");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_becomes_a_test_case_that_stops_a_publish() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let mut document = testkit::process::question(30);
    document["nodes"][0]["timeout_seconds"] = json!(600);
    let flow = server.publish(&token, &document).await;
    enter(&browser, &server, "Ana").await;
    browser.open(&old(&server, &format!("flows/{flow}/try"))).await;
    browser.click("phone-start").await;
    browser.says("Tea or coffee?").await;
    let before = browser.find("phone-clock").await.text().await.unwrap();
    browser.click("phone-advance").await;
    browser.fill("phone-input", "something else").await;
    browser.click("phone-send").await;
    browser.says("no option fits").await;
    assert_ne!(browser.find("phone-clock").await.text().await.unwrap(), before, "a minute has gone by");
    browser.click("phone-option").await;
    browser.says("Coming up").await;
    browser.look("simulation").await;
    browser.click("phone-save-case").await;
    browser.fill("case-name", "Tea, in the end").await;
    browser.click("case-submit").await;
    browser.click("tab-tests").await;
    browser.says("Tea, in the end").await;
    browser.look("tests").await;
    browser.click("tab-document").await;
    let changed = browser.value("editor-text").await.replace("Coming up", "Here it comes");
    browser.paste("editor-text", &changed).await;
    browser.click("editor-save").await;
    browser.says("Revision 2").await;
    browser.click("flow-publish").await;
    browser.click("publish-confirm").await;
    browser.says("breaks at turn 3").await;
    browser.look("test-case-broken").await;
    assert_eq!(server.get(&token, &format!("/api/v1/flows/{flow}")).await["published_version"], 1);
    browser.click("publish-force").await;
    browser.click("publish-confirm").await;
    browser.says("Published version 2").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_author_sets_up_writes_tries_publishes_watches_restores_and_stops() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");

    browser.open(&old(&server, "")).await;
    browser.look("set-up").await;
    enter(&browser, &server, "Ana").await;
    browser.says("No flow yet").await;
    browser.look("no-flows").await;
    browser.click("log-out").await;

    browser.fill("login-password", "wrong password").await;
    browser.click("login-submit").await;
    assert!(browser.find("login-error").await.text().await.unwrap().contains("not right"));
    browser.look("wrong-password").await;
    browser.fill("login-password", PASSWORD).await;
    browser.click("login-submit").await;
    browser.find("banner-simulator").await;

    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/static/samples/abandoned-cart.json");
    browser.click("flow-import").await;
    browser.choose_file("flow-import-file", sample).await;
    browser.look("import").await;
    browser.click("flow-import-submit").await;
    browser.find("editor-text").await;
    browser.says("It can be published").await;
    browser.look("document").await;

    let sound = browser.value("editor-text").await;
    let mut broken: Value = serde_json::from_str(&sound).unwrap();
    broken["nodes"][0]["exits"]["buy"] = json!("nowhere");
    browser.paste("editor-text", &serde_json::to_string_pretty(&broken).unwrap()).await;
    browser.says("nowhere").await;
    browser.says("1 error").await;
    browser.click("editor-problem").await;
    let selected =
        browser.run("const e = document.activeElement; return e.value.slice(e.selectionStart, e.selectionEnd)");
    assert!(selected.await.as_str().unwrap().contains("nowhere"), "a click on a problem goes to its place");
    browser.look("broken-document").await;
    browser.click("editor-save").await;
    browser.says("Saved.").await;
    browser.click("flow-publish").await;
    browser.says("To mend first").await;
    browser.look("publish-refused").await;
    browser.click_label("Cancel").await;

    browser.paste("editor-text", &sound).await;
    browser.says("It can be published").await;
    browser.click("editor-save").await;
    browser.says("Revision 3").await;
    browser.click("flow-publish").await;
    browser.fill("publish-note", "The first one").await;
    browser.look("publish").await;
    browser.click("publish-confirm").await;
    browser.says("Published version 1").await;

    let flow = browser.run("return location.hash.split('/')[2]").await.as_str().unwrap().to_owned();
    browser.click("tab-sessions").await;
    browser.says("No session yet").await;
    let (status, started) = server.trigger_with(&token, &flow, PHONE, json!({"cart_total": "129.00"})).await;
    assert_eq!(status, 201, "{started}");
    browser.find("session-row").await;
    browser.says("running").await;
    browser.look("sessions").await;

    browser.click("tab-try").await;
    browser.click("try-real").await;
    browser.fill("try-phone", PHONE).await;
    browser.click("phone-start").await;
    browser.says("your cart of 129.00 is waiting").await;
    browser.look("try-contact").await;
    browser.click("phone-option").await;
    browser.says("You can finish your order here").await;
    browser.says("completed").await;
    browser.look("try-contact-completed").await;
    browser.click("tab-sessions").await;
    browser.says("checkout").await;
    browser.click_label(PHONE).await;
    browser.find("trace-turn").await;
    browser.says("because: tapped").await;
    browser.look("session").await;

    browser.open(&old(&server, &format!("flows/{flow}/versions"))).await;
    browser.find("version-row").await;
    browser.click("tab-document").await;
    let changed = browser.value("editor-text").await.replace("I need help", "Please help");
    browser.paste("editor-text", &changed).await;
    browser.click("editor-save").await;
    browser.says("Revision 4").await;
    browser.click("flow-publish").await;
    browser.click("publish-confirm").await;
    browser.says("Published version 2").await;
    browser.click("tab-versions").await;
    browser.says("Version 2").await;
    browser.look("versions").await;
    browser.click_in("version-row", "The first one", "version-restore").await;
    browser.click("version-restore-confirm").await;
    browser.says("Version 1 is the draft now").await;
    let restored = browser.value("editor-text").await;
    assert!(restored.contains("I need help") && !restored.contains("Please help"), "{restored}");

    server.trigger_with(&token, &flow, "+14155550124", json!({"cart_total": "5.00"})).await;
    browser.click("flow-stop").await;
    browser.look("stop").await;
    browser.click("stop-confirm").await;
    browser.says("1 session").await;
    let (status, refused) = server.trigger(&token, &flow, "+14155550125").await;
    assert_eq!((status, &refused["error"]), (404, &json!("Flow not found or not published")));

    for view in ["flows", "sessions", "contacts", "messages", "tokens", "settings"] {
        browser.click(&format!("nav-{view}")).await;
        browser.settle().await;
        browser.look(view).await;
    }
    for tab in ["try", "tests", "trigger", "stats"] {
        browser.open(&old(&server, &format!("flows/{flow}/{tab}"))).await;
        browser.find(&format!("tab-{tab}")).await;
        browser.settle().await;
        browser.look(&format!("flow-{tab}")).await;
    }
    let complaints: Vec<String> =
        browser.complaints().await.into_iter().filter(|text| !text.contains("401 (Unauthorized)")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await;
}
