//! `qyvo settings`, `qyvo check`, and a server whose database holds a part of a channel.

use std::path::Path;

use serde_json::{Value, json};
use testkit::process::{Server, command, question};

use crate::cli::{out, refused};

/// Puts a setting into the database, as an older version let it be saved.
fn keep(folder: &Path, key: &str, value: &Value) {
    let conn = rusqlite::Connection::open(folder.join("qyvo.db")).unwrap();
    conn.execute(
        "INSERT OR REPLACE INTO settings (key, value, updated_at) VALUES (?1, ?2, 0)",
        (format!("config:{key}"), value.to_string()),
    )
    .unwrap();
}

const TOKEN: &str = "whatsapp.access_token";
const MISSING: &str = "set whatsapp.phone_number_id, whatsapp.business_account_id, whatsapp.app_secret, \
                       whatsapp.verify_token as well";

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_channel_in_the_database_lets_the_server_start_and_messages_wait() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(5)).await;
    let message = async |server: &Server, phone: &str| {
        let (status, _) = server.trigger(&token, &flow, phone).await;
        assert_eq!(status, 201);
        server.get(&token, "/api/v1/messages?limit=1").await["data"][0]["status"].clone()
    };
    server.kill();
    keep(folder.path(), TOKEN, &json!("EAAG"));
    let told = refused(&server.command(&["check"]));
    assert!(told.contains(MISSING) && told.contains("qyvo settings unset"), "{told}");

    server.restart(&[]).await;
    let log = server.log();
    assert!(log.contains("WARN") && log.contains(MISSING), "{log}");
    let ready = server.get(&token, "/readyz").await;
    assert_eq!((&ready["status"], &ready["channel"]["name"]), (&json!("degraded"), &json!("whatsapp")), "{ready}");
    assert_eq!(ready["channel"]["reason"], "configured_in_part");
    let channels = server.get(&token, "/api/v1/channels").await;
    let live = &channels["data"][0];
    assert_eq!((&live["name"], &live["state"]), (&json!("whatsapp"), &json!("paused")));
    assert!(live.to_string().contains("whatsapp.phone_number_id"), "{live}");
    assert_eq!(message(&server, "+14155550101").await, "queued", "nothing is simulated");
    let resume = server.client.post(server.url("/api/v1/channels/whatsapp/resume")).bearer_auth(&token);
    assert_eq!(resume.send().await.unwrap().status(), 409);
    // Nothing that is signed with an empty secret is taken.
    let delivery = server.client.post(server.url("/webhooks/whatsapp")).body("{}").send().await.unwrap();
    assert_eq!(delivery.status(), 503);
    server.kill();

    // Whoever asks for the simulator gets it.
    server.restart_with(&[], &[("QYVO_CHANNEL_DEFAULT", "simulator")]).await;
    assert_eq!(message(&server, "+14155550102").await, "simulated");
    server.kill();
    // An empty variable goes before what the database has.
    server.restart_with(&[], &[("QYVO_WHATSAPP_ACCESS_TOKEN", "")]).await;
    assert_eq!(message(&server, "+14155550103").await, "simulated");
    server.kill();
    std::fs::write(folder.path().join("qyvo.toml"), "[whatsapp]\naccess_token = \"\"\n").unwrap();
    server.restart(&[]).await;
    assert_eq!(message(&server, "+14155550104").await, "simulated");
    server.kill();
    std::fs::remove_file(folder.path().join("qyvo.toml")).unwrap();

    let listed = out(&server.command(&["settings", "list"]));
    assert!(listed.contains("whatsapp.access_token = ***  (database)") && !listed.contains("EAAG"), "{listed}");
    out(&server.command(&["settings", "unset", TOKEN]));
    out(&server.command(&["check"]));
    server.restart(&[]).await;
    assert_eq!(server.get(&token, "/readyz").await, json!({"status": "ready"}));
    assert_eq!(message(&server, "+14155550105").await, "simulated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_in_the_file_or_the_environment_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]).await;
    server.kill();
    std::fs::write(folder.path().join("qyvo.toml"), "[whatsapp]\nphone_number_id = \"1\"\n").unwrap();
    keep(folder.path(), TOKEN, &json!("EAAG"));
    let missing = "set whatsapp.business_account_id, whatsapp.app_secret, whatsapp.verify_token as well";
    for arguments in [&["serve", "--bind", "127.0.0.1:0"][..], &["check"]] {
        let told = refused(&command(folder.path(), arguments));
        assert!(told.contains(missing), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_set_and_unset_where_no_page_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let refusals = [
        (TOKEN, "EAAG", MISSING),
        ("sessions.default_ttl", "90s", "whole minutes"),
        ("limits.requests_per_minute", "many", "not a whole number"),
        ("server.bind", "0.0.0.0:1", "cannot be set here"),
        ("account.nme", "x", "settings list"),
    ];
    for (key, value, why) in refusals {
        let told = refused(&server.command(&["settings", "set", key, value]));
        assert!(told.contains(why), "{key}: {told}");
    }
    // The API refuses the same.
    let put = || server.client.put(server.url("/api/v1/settings")).bearer_auth(&token).json(&json!({TOKEN: "EAAG"}));
    let mut answer = put().send().await.unwrap();
    // Until the server knows the token.
    while answer.status() == 401 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        answer = put().send().await.unwrap();
    }
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains(MISSING));

    out(&server.command(&["settings", "set", "limits.requests_per_minute", "77"]));
    assert_eq!(out(&server.command(&["settings", "get", "limits.requests_per_minute"])).trim(), "77");
    out(&server.command(&["settings", "unset", "limits.requests_per_minute"]));
    assert_eq!(out(&server.command(&["settings", "get", "limits.requests_per_minute"])).trim(), "6000");
    // One that no version knows any more can be taken away, too.
    keep(folder.path(), "account.colour", &json!("red"));
    assert!(refused(&server.command(&["check"])).contains("account.colour"));
    assert!(out(&server.command(&["settings", "list"])).contains("account.colour = red  (database, not good"));
    out(&server.command(&["settings", "unset", "account.colour"]));
    out(&server.command(&["check"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_force_is_shown_with_its_source() {
    let folder = tempfile::tempdir().unwrap();
    // Without a database, and so without a server.
    let printed = out(&command(folder.path(), &["settings"]));
    let line = |printed: &str, key: &str| {
        let line = printed.lines().find(|line| line.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("{key}: {printed}")).split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line(&printed, "limits.requests_per_minute"), "6000 default");
    assert_eq!(line(&printed, "webhook.secret"), "- default");
    let column = |line: &str| line[..line.rfind("  ").unwrap()].chars().count();
    let columns: std::collections::BTreeSet<usize> = printed.lines().map(column).collect();
    assert_eq!(columns.len(), 1, "{printed}");

    let server = Server::start(folder.path(), &[]).await;
    keep(folder.path(), "account.name", &json!("The Shop"));
    keep(folder.path(), "account.colour", &json!("red"));
    let path = folder.path().join("other.toml");
    let text =
        "[webhook]\nurl = \"http://127.0.0.1:9/\"\nsecret = \"hush-hush\"\n[sessions]\nsweep_interval = \"2s\"\n";
    std::fs::write(&path, text).unwrap();
    let config = path.to_str().unwrap();
    let all = server.command(&["settings", "--config", config, "--database", "qyvo.db", "--json"]);
    let printed: Value = serde_json::from_slice(&all.stdout).unwrap();
    let row = |key: &str| {
        let row = printed["settings"].as_array().unwrap().iter().find(|row| row["key"] == key).unwrap();
        json!([row["value"], row["source"], row["set_by"]])
    };
    assert_eq!(row("account.name"), json!(["The Shop", "database", null]));
    assert_eq!(row("sessions.sweep_interval"), json!(["2s", "file", config]));
    assert_eq!(row("webhook.secret"), json!(["***", "file", config]));
    assert_eq!(row("storage.path"), json!(["qyvo.db", "flag", "--database"]));
    assert_eq!(row("server.bind")[1], "default");
    assert!(!String::from_utf8_lossy(&all.stdout).contains("hush-hush"));
    assert_eq!((all.status.code(), printed["problems"][0]["key"].as_str()), (Some(1), Some("account.colour")));
    out(&server.command(&["settings", "unset", "account.colour"]));
    assert!(refused(&server.command(&["settings", "--json", "list"])).contains("--json"));
}

#[test]
fn what_is_wrong_in_a_configuration_is_named_and_the_rest_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let broken =
        "[sessions]\nsweep_interval = \"often\"\ndefault_ttl = \"45m\"\n[server]\nbnd = \"x\"\nmax_body = \"1MiB\"\n";
    std::fs::write(folder.path().join("qyvo.toml"), broken).unwrap();
    let shown = command(folder.path(), &["settings"]);
    let (printed, told) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    assert_eq!(shown.status.code(), Some(1));
    let line = |key: &str| {
        let line = printed.lines().find(|line| line.split_whitespace().next() == Some(key)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("sessions.sweep_interval"), "1s default");
    assert_eq!(line("sessions.default_ttl"), "45m file qyvo.toml");
    assert!(told.contains("sessions.sweep_interval") && told.contains("bnd"), "{told}");
    std::fs::write(folder.path().join("qyvo.toml"), "no toml").unwrap();
    let shown = command(folder.path(), &["settings"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("sessions.default_ttl"));
    assert!(String::from_utf8_lossy(&shown.stderr).contains("is not TOML"));
}
