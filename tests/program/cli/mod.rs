//! The commands: what they print where, and their exit codes.

mod contacts;
mod documents;
mod imports;
mod log;
mod settings;
mod standstill;
mod tokens;

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use testkit::process::{self, Server, command, question};

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn write(folder: &Path, name: &str, document: &Value) {
    std::fs::write(folder.join(name), document.to_string()).unwrap();
}

#[test]
fn only_serve_creates_a_database() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["token", "list"][..], &["flow", "list"], &["check"], &["token", "create", "--name", "x"]] {
        let told = refused(&command(folder.path(), arguments));
        assert!(told.contains("qyvo.db"), "{told}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_go_in_and_come_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    write(folder.path(), "flow.json", &question(5));
    let id = out(&server.command(&["flow", "import", "flow.json", "--publish"])).trim().to_owned();
    assert_eq!(id.len(), 36, "the id stands alone on standard output");
    let listed = out(&server.command(&["flow", "list"]));
    assert!(listed.contains(&id) && listed.contains("published v1") && listed.contains("Question"), "{listed}");

    let exported: Value = serde_json::from_str(&out(&server.command(&["flow", "export", &id]))).unwrap();
    let mut expected = question(5);
    expected["id"] = json!(id);
    assert_eq!(exported, expected);
    write(folder.path(), "again.json", &exported);
    assert_eq!(out(&server.command(&["flow", "import", "again.json"])).trim(), id, "import replaces by id");

    // The server serves what the command line published.
    let token = server.token("trigger");
    assert_eq!(server.trigger(&token, &id, "+14155550123").await.0, 201, "a new token works at once");
    // One that is not there is refused, and does not keep the next new one out.
    let unknown = format!("qyvo_{}", "0".repeat(64));
    assert_eq!(server.trigger(&unknown, &id, "+14155550123").await.0, 401);
    for _ in 0..5 {
        let token = server.token("trigger");
        let both = futures::future::join(
            server.trigger(&token, &id, "+14155550124"),
            server.trigger(&token, &id, "+14155550125"),
        );
        let (one, other) = both.await;
        assert!(
            [200, 201].contains(&one.0) && [200, 201].contains(&other.0),
            "callers share a look: {one:?} {other:?}"
        );
    }
    let told = refused(&server.command(&["flow", "export", "01936b1e-7c6a-7000-8000-000000000001"]));
    assert!(told.contains("qyvo flow list"), "{told}");
}

#[test]
fn validating_without_a_database_says_what_it_could_not_check() {
    let folder = tempfile::tempdir().unwrap();
    let other = "01936b1e-7c6a-7000-8000-000000000001";
    let document = json!({
        "id": "01936b1e-7c6a-7000-8000-000000000002", "schema_version": 1, "name": "Hello", "entry_node": "hello",
        "nodes": [
            {"id": "hello", "type": "send_message", "text": "Hi", "template": {"name": "hello_you"},
             "exits": {"next": "run"}},
            {"id": "run", "type": "run_flow", "flow_id": other, "exits": {"completed": "end", "failed": "end"}},
            {"id": "end", "type": "end"}
        ]
    });
    write(folder.path(), "flow.json", &document);
    let done = command(folder.path(), &["flow", "validate", "flow.json"]);
    let told = String::from_utf8(done.stderr.clone()).unwrap();
    out(&done);
    for what in ["the template `hello_you`", other, "the test cases"] {
        let line = told.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {told}"));
        assert!(line.starts_with("not checked without a server's database: "), "{line}");
    }
    write(folder.path(), "plain.json", &question(5));
    let done = command(folder.path(), &["flow", "validate", "plain.json"]);
    assert!(!String::from_utf8(done.stderr).unwrap().contains("not checked"), "it names nothing outside of itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstration_refuses_even_an_empty_database_of_another_serve() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]).await;
    server.kill();
    let told = refused(&server.command(&["serve", "--demo", "--bind", "127.0.0.1:0"]));
    assert!(told.contains("--database demo.db"), "{told}");
    assert_eq!(out(&server.command(&["flow", "list"])), "", "nothing was imported");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstration_publishes_every_sample_where_it_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &["--demo"]).await;
    let token = server.token("api");
    server.kill();
    server.restart(&["--demo"]).await;
    let listed = out(&server.command(&["flow", "list"]));
    assert_eq!((listed.lines().count(), listed.matches("published v1").count()), (4, 4), "{listed}");
    let choices = async |what: &str| -> Vec<String> {
        let list = server.get(&token, &format!("/api/v1/dropdowns/{what}")).await;
        list.as_array().unwrap().iter().map(|choice| choice["label"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(choices("flows").await, ["Abandoned cart 30min", "In-conversation menu", "Support triage"]);
    assert_eq!(choices("sequences").await, ["Welcome in three days"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstration_revokes_its_own_token_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &["--demo"]).await;
    out(&server.command(&["token", "create", "--name", "demo"]));
    server.kill();
    server.restart(&["--demo"]).await;
    let listed = out(&server.command(&["token", "list"]));
    let states: Vec<bool> = listed.lines().map(|line| line.contains("  live  ")).collect();
    assert_eq!(states, [false, true, true], "the first start's, the user's, the second start's: {listed}");
}

#[test]
fn validate_prints_each_problem_and_needs_no_database() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "good.json", &question(5));
    let told = out(&command(folder.path(), &["flow", "validate", "good.json"]));
    assert!(told.contains("2 nodes, no errors"), "{told}");
    let mut bad = question(5);
    bad["nodes"][0]["exits"]["tea"] = json!("nowhere");
    bad["nodes"][1]["text"] = json!("{{oops}}");
    write(folder.path(), "bad.json", &bad);
    let told = refused(&command(folder.path(), &["flow", "validate", "bad.json"]));
    assert!(told.contains("error[unknown_exit_target] node ask exits.tea"), "{told}");
    assert!(told.contains("error[unknown_template_root] node good text"), "{told}");
    assert!(told.contains("2 errors"), "{told}");
    std::fs::write(folder.path().join("no.json"), "{").unwrap();
    assert!(refused(&command(folder.path(), &["flow", "validate", "no.json"])).contains("no.json is not JSON"));
    assert!(refused(&command(folder.path(), &["flow", "validate", "gone.json"])).contains("gone.json"));
    assert!(!folder.path().join("qyvo.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_listed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = out(&server.command(&["token", "create", "--name", "shop", "--scope", "api"]));
    assert_eq!(token.lines().count(), 1, "the token stands alone on standard output");
    let token = token.trim();
    assert!(token.starts_with("qyvo_") && token.len() == 69, "{token}");
    let listed = out(&server.command(&["token", "list"]));
    assert!(
        listed.contains("shop") && listed.contains("api") && listed.contains("live") && !listed.contains(token),
        "{listed}"
    );
    let id = listed.split_whitespace().next().unwrap();
    let limited = ["token", "create", "--name", "busy", "--rate-limit"];
    assert!(server.command(&[&limited[..], &["300"]].concat()).status.success());
    assert!(server.command(&[&limited[..], &["0"]].concat()).status.success());
    let both = out(&server.command(&["token", "list"]));
    assert!(both.contains("  300/min  live  busy") && both.contains("  no limit  live  busy"), "{both}");
    let told = refused(&server.command(&[&limited[..], &["1000001"]].concat()));
    assert!(told.contains("--rate-limit must be at most 1000000"), "{told}");
    assert_eq!(server.command(&[&limited[..], &["-1"]].concat()).status.code(), Some(2), "wrong usage");
    assert!(server.command(&["token", "revoke", id]).status.success());
    assert!(out(&server.command(&["token", "list"])).contains("revoked"));
    let told = refused(&server.command(&["token", "revoke", id]));
    assert!(told.contains("no live token"), "{told}");
    assert!(refused(&server.command(&["token", "revoke", "x"])).contains("qyvo token list"));
    assert_eq!(server.command(&["token", "create"]).status.code(), Some(2), "wrong usage");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_finds_damage_and_names_a_bad_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]).await;
    assert_eq!(out(&server.command(&["check"])), "No problems found\n");
    server.kill();
    std::fs::write(folder.path().join("qyvo.toml"), "[storage]\nmin_free = \"999999GiB\"\n").unwrap();
    let full = command(folder.path(), &["check"]);
    let told = String::from_utf8_lossy(&full.stderr).into_owned();
    assert!(full.status.code() == Some(1) && told.contains("storage.min_free"), "{told}");
    std::fs::remove_file(folder.path().join("qyvo.toml")).unwrap();
    let conn = rusqlite::Connection::open(folder.path().join("qyvo.db")).unwrap();
    conn.execute_batch("DROP INDEX sessions_running").unwrap();
    drop(conn);
    let damaged = command(folder.path(), &["check"]);
    assert_eq!(damaged.status.code(), Some(1));
    let told = String::from_utf8_lossy(&damaged.stderr).into_owned();
    assert!(told.contains("sessions_running"), "{told}");
    std::fs::write(folder.path().join("qyvo.toml"), "[sessions]\ndefault_ttl = \"soon\"\n").unwrap();
    let told = refused(&command(folder.path(), &["check"]));
    assert!(told.contains("sessions.default_ttl") && told.contains("qyvo.toml"), "{told}");
}

/// Runs a chat whose lines are piped in.
fn chat(folder: &Path, arguments: &[&str], lines: &str) -> Output {
    let mut all = vec!["simulate"];
    all.extend(arguments);
    process::command_with_input(folder, &all, lines)
}

#[test]
fn a_keyword_begins_the_chat_as_it_begins_the_flow() {
    let folder = tempfile::tempdir().unwrap();
    let document = json!({
        "schema_version": 1, "name": "Info", "entry_node": "ask", "settings": {"keywords": ["info"]},
        "nodes": [{"id": "ask", "type": "ask", "text": "You wrote {{input.text}}. Your name?"}]
    });
    write(folder.path(), "info.json", &document);
    assert_eq!(
        out(&chat(folder.path(), &["info.json", "--message", "INFO!"], "/quit\n")),
        "You wrote INFO!. Your name?\n"
    );
    let told = refused(&chat(folder.path(), &["info.json", "--message", "hello"], ""));
    assert!(told.contains("whose keywords are \u{201c}info\u{201d}"), "{told}");
    let told = refused(&chat(folder.path(), &["info.json", "--message", "info", "--context", "{\"a\": 1}"], ""));
    assert!(told.contains("brings no context"), "{told}");
}

#[test]
fn a_flow_can_be_talked_to_in_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let document = json!({
        "schema_version": 1, "name": "Tea", "entry_node": "ask", "inputs": [{"name": "shop", "required": true}],
        "nodes": [
            {"id": "ask", "type": "menu", "text": "Tea at {{context.shop}}, {{contact.name}}?", "timeout_seconds": 600,
             "options": [{"id": "yes", "title": "Yes, please"}, {"id": "no", "title": "No"}],
             "exits": {"yes": "good", "no": "bye", "timeout": "again"}},
            {"id": "again", "type": "ask", "text": "Still there?", "save_as": "said", "exits": {"reply": "ask"}},
            {"id": "good", "type": "end", "outcome": "sold", "text": "Here you are"},
            {"id": "bye", "type": "end", "outcome": "left"}
        ]
    });
    write(folder.path(), "tea.json", &document);
    let script = "\n/advance 1m\n/advance soon\n/dance\n/tap 3\n/timeout\n/timeout\n//yes\n\
        /state\n/trace\n/tap 1\nhello\n/quit\n";
    let arguments = [
        "tea.json",
        "--context",
        r#"{"shop": "Ann's"}"#,
        "--now",
        "2026-05-07T08:00:00Z",
        "--seed",
        "7",
        "--name",
        "Bo",
    ];
    let said = out(&chat(folder.path(), &arguments, script));
    let (before, rest) = said.split_once("{\n").unwrap();
    let (state, after) = rest.split_once("\n}\n").unwrap();
    assert_eq!(
        before,
        "Tea at Ann's, Bo?\n  1. Yes, please [yes]\n  2. No [no]\n\
         (nothing happens; it is 2026-05-07T08:01:00+00:00)\n\
         (Say how long, such as /advance 90s, /advance 10m or /advance 2h.)\n\
         (There is no /dance: see /help.)\n\
         (No message has an option 3: tap one by its id or its number.)\n\
         (2026-05-07T08:10:00+00:00)\nStill there?\n\
         (not taken: no timer is armed)\n\
         Tea at Ann's, Bo?\n  1. Yes, please [yes]\n  2. No [no]\n"
    );
    let state: Value = serde_json::from_str(&format!("{{{state}}}")).unwrap();
    assert_eq!((&state["context"]["said"], &state["current_node_id"]), (&json!("/yes"), &json!("ask")));
    assert_eq!((&state["seed"], &state["contact"]["phone"]), (&json!(7), &json!("+14155550123")));
    assert_eq!(
        after,
        "(the path is shown from here on)\n  [menu ask -> yes: tapped]\n  [end good]\nHere you are\n\
         (the session is completed, outcome sold)\n(not taken: the session has ended)\n"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no database is opened");

    let paid = json!({
        "schema_version": 1, "name": "Paid", "entry_node": "wait", "nodes": [
            {"id": "wait", "type": "wait_for_event", "event": "order.paid", "save_as": "order",
                "exits": {"event": "thanks"}},
            {"id": "thanks", "type": "end", "text": "Thank you for {{context.order.id}}"}
        ]
    });
    write(folder.path(), "paid.json", &paid);
    let told =
        out(&chat(folder.path(), &["paid.json"], "hello\n/event a:b\n/event x {\n/event order.paid {\"id\": 7}\n"));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "(not taken: the session waits for an event)");
    assert!(lines[1].starts_with("(The name must be") && lines[2].starts_with("(The payload is not JSON"), "{told}");
    assert_eq!(lines[3..], ["Thank you for 7", "(the session is completed)"]);
    std::fs::remove_file(folder.path().join("paid.json")).unwrap();

    // The end of the input ends the chat, too; a problem that is no error is printed first.
    let ended = chat(folder.path(), &["tea.json", "--context", r#"{"shop": "x"}"#, "--trace"], "/expire\n");
    let told = out(&ended);
    assert!(
        told.ends_with("(the session is expired)\n") && told.contains("[menu ask -> timeout: no reply in time]"),
        "{told}"
    );
    assert!(String::from_utf8_lossy(&ended.stderr).contains("warning["), "{ended:?}");

    let told = refused(&chat(folder.path(), &["tea.json"], "yes\n"));
    assert!(told.contains("The context.shop field is required. Pass it with --context"), "{told}");
    assert_eq!(chat(folder.path(), &["tea.json", "--context", "[]"], "").status.code(), Some(2));
    assert!(refused(&chat(folder.path(), &["-"], "yes\n")).contains("Name a file"));
    let mut bad = document;
    bad["nodes"][0]["exits"]["yes"] = json!("nowhere");
    write(folder.path(), "bad.json", &bad);
    let told = refused(&chat(folder.path(), &["bad.json"], "yes\n"));
    assert!(told.contains("error[unknown_exit_target]") && told.contains("1 error"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_breaks_a_test_case_publishes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let id = server.publish(&token, &question(5)).await;
    let case = json!({"name": "Coffee", "script": {"steps": [
        {"event": {"type": "tap", "id": "coffee"}, "expect": {"outcome": "answered"}}
    ]}});
    let url = server.url(&format!("/api/v1/flows/{id}/test-cases"));
    let saved = server.client.post(url).bearer_auth(&token).json(&case).send().await.unwrap();
    assert_eq!(saved.status(), 201);
    let mut document = question(5);
    document["id"] = json!(id);
    write(folder.path(), "same.json", &document);
    out(&server.command(&["flow", "import", "same.json", "--publish"]));
    document["nodes"][1]["outcome"] = json!("gone");
    write(folder.path(), "changed.json", &document);
    let told = refused(&server.command(&["flow", "import", "changed.json", "--publish"]));
    assert!(told.contains("Test case \"Coffee\" breaks at turn 2 (the tap on \"coffee\")"), "{told}");
    assert!(out(&server.command(&["flow", "list"])).contains("published v1"));
    out(&server.command(&["flow", "import", "changed.json"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_what_is_live_makes_no_version_and_lost_nodes_have_to_be_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let mut document = question(5);
    write(folder.path(), "flow.json", &document);
    let id = out(&server.command(&["flow", "import", "flow.json", "--publish"])).trim().to_owned();
    document["id"] = json!(id);
    std::fs::write(folder.path().join("flow.json"), serde_json::to_string_pretty(&document).unwrap()).unwrap();
    let again = server.command(&["flow", "import", "flow.json", "--publish"]);
    let told = String::from_utf8_lossy(&again.stderr);
    assert!(told.contains("is published as version 1 already: nothing has changed."), "{told}");
    assert_eq!(out(&again).trim(), id);

    document["nodes"].as_array_mut().unwrap().push(json!({"id": "lost", "type": "end"}));
    write(folder.path(), "flow.json", &document);
    let told = refused(&server.command(&["flow", "import", "flow.json", "--publish"]));
    assert!(told.contains("No way leads to `lost`.") && told.contains("--accept unreachable_node"), "{told}");
    let unknown = server.command(&["flow", "import", "flow.json", "--publish", "--accept", "lost"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("these are: `unreachable_node`"));
    assert_eq!(server.command(&["flow", "import", "flow.json", "--accept", "unreachable_node"]).status.code(), Some(2));
    assert!(out(&server.command(&["flow", "list"])).contains("published v1"));
    out(&server.command(&["flow", "import", "flow.json", "--publish", "--accept", "unreachable_node"]));
    assert!(out(&server.command(&["flow", "list"])).contains("published v2"));
}
