//! `qyvo contacts import`: what goes in, what does not and why, and what the file may look like.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;
use testkit::process::{Server, command};
use testkit::wait::until;

/// A folder with a database that no server runs on.
async fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Server::start(folder.path(), &[]).await.kill();
    folder
}

fn import(folder: &Path, file: &str, arguments: &[&str]) -> Output {
    command(folder, &[&["contacts", "import", file], arguments].concat())
}

fn told(output: &Output, code: i32) -> String {
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(output.stdout.is_empty());
    told
}

/// Phone, name, email, language, tags, metadata, whether opted in, whether opted out, source.
pub(crate) fn people(folder: &Path) -> Vec<String> {
    let conn = Connection::open(folder.join("qyvo.db")).unwrap();
    let mut statement = conn
        .prepare(
            "SELECT a.value, coalesce(c.name, '-'), coalesce(c.email, '-'), coalesce(c.language, '-'),
                (SELECT coalesce(group_concat(t.name, '+' ORDER BY t.name), '-')
                 FROM contact_tags AS ct JOIN tags AS t ON t.seq = ct.tag_seq WHERE ct.contact_seq = c.seq),
                c.metadata, iif(c.opted_in_at IS NULL, '-', 'in'), iif(c.opted_out_at IS NULL, '-', 'out'), c.source
             FROM contacts AS c JOIN addresses AS a ON a.contact_seq = c.seq AND a.kind = 'phone' ORDER BY a.value",
        )
        .unwrap();
    let line = |row: &rusqlite::Row<'_>| {
        Ok((0..9).map(|index| row.get::<_, String>(index).unwrap()).collect::<Vec<_>>().join(" "))
    };
    statement.query_map([], line).unwrap().map(Result::unwrap).collect()
}

fn count(folder: &Path) -> i64 {
    let conn = Connection::open(folder.join("qyvo.db")).unwrap();
    conn.query_row("SELECT count(*) FROM contacts", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_go_in_and_a_second_import_adds_to_them() {
    let folder = folder().await;
    let path = folder.path();
    let first = "Phone,Name,email,Language,Tags,Opted In At,metadata.plan,Shoe size\n\
                 +1 (415) 555-0123,Ana Álvarez,ana@example.com,es,\"vip, new\",2026-01-05,gold,38\n\
                 +14155550124,\"Bo \"\"B\"\"\nLee\",,,a|b,yes,,\n\
                 \n,,,,,,,\n\
                 +14155550125,Cy,,,,no,,\n";
    std::fs::write(path.join("people.csv"), first).unwrap();
    let output = told(&import(path, "people.csv", &[]), 0);
    assert!(output.contains("3 rows: 3 created, 0 updated, 0 unchanged, 0 refused"), "{output}");
    assert!(people(path)[1].starts_with("+14155550124 Bo \"B\" Lee - "), "a name of two lines is kept on one");
    let one_line = first.replace("\"Bo \"\"B\"\"\nLee\"", "\"Bo \"\"B\"\"\"");
    let with_note = one_line.replace("Shoe size\n", "note\n").replace("gold,38", "gold,\"two\nlines\"");
    std::fs::write(path.join("people.csv"), with_note).unwrap();
    let output = told(&import(path, "people.csv", &[]), 0);
    assert!(output.contains("3 rows: 0 created, 2 updated, 1 unchanged, 0 refused"), "{output}");
    assert!(output.contains("Metadata: plan, note"), "{output}");
    assert_eq!(
        people(path),
        [
            "+14155550123 Ana Álvarez ana@example.com es new+vip \
             {\"plan\":\"gold\",\"Shoe size\":\"38\",\"note\":\"two\\nlines\"} in - csv_import",
            "+14155550124 Bo \"B\" - - a+b {} in - csv_import",
            "+14155550125 Cy - - - {} - - csv_import",
        ]
    );
    let second = "phone,name,email,tags,metadata.plan,opted_out\n\
                  0014155550123,,new@example.com,later,silver,\n\
                  +14155550125,,,,,yes\n\
                  +14155550126,First,,,,\n\
                  +14155550126,Second,,,,\n";
    std::fs::write(path.join("more.csv"), second).unwrap();
    let output = told(&import(path, "more.csv", &[]), 0);
    assert!(output.contains("4 rows: 1 created, 3 updated, 0 unchanged, 0 refused"), "{output}");
    std::fs::write(path.join("again.csv"), "phone,opted_in\n+14155550125,yes\n").unwrap();
    told(&import(path, "again.csv", &[]), 0);
    let people = people(path);
    assert!(people[0].contains("Ana Álvarez new@example.com es later+new+vip {\"plan\":\"silver\""), "{people:?}");
    assert!(people[2].ends_with("in out csv_import"), "whoever has opted out stays so: {people:?}");
    assert_eq!(people[3], "+14155550126 Second - - - {} - - csv_import", "the later row updates");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_rows_are_mended_and_imported_by_themselves() {
    let folder = folder().await;
    let path = folder.path();
    let rows = "\u{feff}phone;name;email;language;tags;opted_in_at;reason\n\
                +14155550123;Ana;ana@example.com;en;;;late\n\
                4155550124;Bo;;;;;\n\
                +14155550125;Cy;cy@;english!;;2999-01-01;\n\
                ;Di;;;;;\n\
                +14155550127;E;x;y\n\
                +14155550128;\"F; G\";;;;;;extra\n";
    std::fs::write(path.join("people.csv"), rows).unwrap();
    let output = told(&import(path, "people.csv", &[]), 1);
    assert!(output.contains("6 rows: 1 created, 0 updated, 0 unchanged, 5 refused"), "{output}");
    assert!(output.contains("people.errors.csv"), "{output}");
    let errors = std::fs::read_to_string(path.join("people.errors.csv")).unwrap();
    let lines: Vec<_> = errors.lines().collect();
    assert_eq!(lines[0], "\u{feff}import_line;import_reason;phone;name;email;language;tags;opted_in_at;reason");
    assert!(
        lines[1].starts_with("3;") && lines[1].contains("--country") && lines[1].contains("4155550124;Bo"),
        "{errors}"
    );
    for part in ["`cy@` is not an email", "`english!` is not a language", "in the future"] {
        assert!(lines[2].contains(part), "{errors}");
    }
    assert!(lines[3].contains("the phone is missing"), "{errors}");
    assert!(lines[4].contains("`x` is not an email address; `y` is") && lines[5].contains("8 cells"), "{errors}");
    assert_eq!((lines.len(), count(path)), (6, 1));

    let mended = errors
        .replace(";4155550124;", ";+14155550124;")
        .replace("cy@;english!;;2999-01-01", "cy@example.com;en;;2026-01-01 10:30")
        .replace(";;Di", ";+14155550126;Di")
        .replace(";+14155550127;E;x;y", ";+14155550127;E;;;;;")
        .replace(";extra", "");
    std::fs::write(path.join("people.errors.csv"), mended).unwrap();
    let output = told(&import(path, "people.errors.csv", &[]), 0);
    assert!(output.contains("5 rows: 5 created"), "{output}");
    assert!(!output.contains("import_line"), "{output}");
    assert!(people(path)[0].contains("{\"reason\":\"late\"}"), "a column of the file's own stays: {:?}", people(path));
    assert!(people(path)[5].contains("F; G"));
    // What somebody may be mending is not written over.
    told(&import(path, "people.csv", &[]), 1);
    assert!(path.join("people.errors-2.csv").exists());
    // Nor is it found out in the middle.
    let before = people(path);
    std::fs::write(path.join("some.csv"), "phone\n+14155550199\n12\n").unwrap();
    let taken = told(&import(path, "some.csv", &["--errors", "people.errors.csv"]), 1);
    assert!(taken.contains("Cannot write people.errors.csv: it is there already"), "{taken}");
    assert_eq!(people(path), before, "nothing went in");
    // What turns out later is told with what is in.
    let lost = told(&import(path, "some.csv", &["--errors", "no/such/folder.csv"]), 1);
    assert!(lost.contains("2 rows: 1 created") && lost.contains("ended after line 3"), "{lost}");
    assert!(lost.contains("Cannot write no/such/folder.csv"), "{lost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_other_systems_are_read_and_what_cannot_be_is_refused() {
    let folder = folder().await;
    let path = folder.path();
    // Windows-1252, tabs, national numbers, other names.
    std::fs::write(
        path.join("old.txt"),
        b"Mobile\tNombre\tNotes\n612 345 678\tJos\xe9 \x80\tsecret\n+34612345679\tB\tx\n",
    )
    .unwrap();
    let arguments = ["--country", "es", "--map", "Mobile=phone", "--map", "Nombre=name", "--map", "Notes=-"];
    let output = told(&import(path, "old.txt", &arguments), 0);
    assert!(output.contains("Windows-1252") && !output.contains("Metadata"), "{output}");
    assert_eq!(people(path)[0], "+34612345678 José € - - - {} - - csv_import");
    // The rows that come back are in UTF-8, and say so to the spreadsheet that wrote the others.
    std::fs::write(path.join("older.csv"), b"phone,name\n12,Jos\xe9\n").unwrap();
    told(&import(path, "older.csv", &[]), 1);
    let errors = std::fs::read_to_string(path.join("older.errors.csv")).unwrap();
    assert!(errors.starts_with("\u{feff}import_line") && errors.contains("12,José"), "{errors}");
    std::fs::write(path.join("other.csv"), "a|b\n+14155550123|x,y;z\n").unwrap();
    let arguments = ["--delimiter", "|", "--map", "a=phone"];
    told(&import(path, "other.csv", &arguments), 0);
    assert_eq!(people(path)[0], "+14155550123 - - - - {\"b\":\"x,y;z\"} - - csv_import");

    let before = people(path);
    for (bytes, arguments, part) in [
        (&b"name\nAna\n"[..], &[][..], "No column is the phone: the file has name"),
        (b"", &[], "is empty"),
        (b"phone,Phone\n", &[], "Two columns are the same"),
        (b"phone\n", &["--map", "mobile=phone"], "There is no column `mobile`"),
        (b"phone,x\n", &["--map", "x=nonsense"], "`nonsense` is nothing that a column can be"),
        (b"phone\n", &["--country", "zz"], "`ZZ` is not a country"),
        (b"PK\x03\x04", &[], "is a workbook"),
        (b"\xff\xfep\0", &[], "No column is the phone: the file has p"),
    ] {
        std::fs::write(path.join("bad.csv"), bytes).unwrap();
        let output = told(&import(path, "bad.csv", arguments), 1);
        assert!(output.contains(part), "{output}");
    }
    assert!(told(&import(path, "gone.csv", &[]), 1).contains("Cannot read gone.csv"));
    assert_eq!(import(path, "bad.csv", &["--delimiter", "ab"]).status.code(), Some(2));
    assert_eq!(people(path), before);
    assert!(!path.join("bad.errors.csv").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_and_changes_nothing() {
    let folder = folder().await;
    let path = folder.path();
    std::fs::write(path.join("one.csv"), "phone,name\n+14155550123,Ana\n").unwrap();
    told(&import(path, "one.csv", &[]), 0);
    let before = std::fs::read(path.join("qyvo.db")).unwrap();
    let rows = "phone,name\n+14155550123,Ana\n+14155550123,Eva\n+14155550124,Bo\n+14155550124,Bob\n12,x\n";
    std::fs::write(path.join("more.csv"), rows).unwrap();
    let output = told(&import(path, "more.csv", &["--dry-run"]), 1);
    let sentence = "Dry run, nothing is changed: 5 rows: would be 1 created, 2 updated, 1 unchanged, 1 refused";
    assert!(output.contains(sentence), "{output}");
    assert!(std::fs::read(path.join("qyvo.db")).unwrap() == before, "the file is as it was");
    assert_eq!(people(path), ["+14155550123 Ana - - - {} - - csv_import"]);
    assert!(path.join("more.dry-run.errors.csv").exists(), "what would be refused can be mended beforehand");
    assert!(!path.join("more.errors.csv").exists(), "the import has this name for itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_rows_go_in_beside_a_server_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &crate::cli::question(30)).await;
    let rows: String = (0..20_000).map(|n| format!("+1415{n:07},Person {n},a|b\n")).collect();
    std::fs::write(folder.path().join("many.csv"), format!("phone,name,tags\n{rows}")).unwrap();
    let path = folder.path().to_owned();
    let importing = tokio::task::spawn_blocking(move || import(&path, "many.csv", &[]));
    let mut answered = 0;
    while !importing.is_finished() {
        let (status, _) = server.trigger(&token, &flow, &format!("+1416{answered:07}")).await;
        assert_eq!(status, 201);
        answered += 1;
    }
    let output = told(&importing.await.unwrap(), 0);
    assert!(output.contains("20000 rows: 20000 created") && !output.contains('\r'), "no bar in a pipe: {output}");
    assert!(answered > 0);
    let shown = server.get(&token, "/api/v1/contacts?phone=%2B14150019999").await;
    assert_eq!(shown["data"][0]["name"], Value::from("Person 19999"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_leaves_whole_batches_and_the_next_import_goes_on() {
    let folder = folder().await;
    let path = folder.path();
    let rows: String = (0..30_000).map(|n| format!("+1415{n:07}\n")).collect();
    std::fs::write(path.join("many.csv"), format!("phone\n{rows}")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_qyvo"))
        .args(["contacts", "import", "many.csv"])
        .current_dir(path)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while count(path) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = told(&child.wait_with_output().unwrap(), 1);
    let done = count(path);
    assert!(done < 30_000 && done % 500 == 0, "{done}");
    assert!(output.contains(&format!("up to line {} are done", done + 1)), "{output}");
    let output = told(&import(path, "many.csv", &[]), 0);
    assert!(output.contains(&format!("{} created, 0 updated, {done} unchanged", 30_000 - done)), "{output}");
}

/// The first column of a query, as text.
fn column(folder: &Path, sql: &str) -> Vec<String> {
    let conn = Connection::open(folder.join("qyvo.db")).unwrap();
    let mut statement = conn.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Reads what is posted to a port, answers each with 200, and keeps it.
fn receive(listener: std::net::TcpListener) -> Arc<Mutex<Vec<String>>> {
    let posted = Arc::new(Mutex::new(Vec::new()));
    let kept = posted.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, kept) = (stream.unwrap(), kept.clone());
            std::thread::spawn(move || {
                let mut raw = Vec::new();
                let mut piece = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut piece) {
                    raw.extend_from_slice(&piece[..read]);
                    let text = String::from_utf8_lossy(&raw).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head.to_lowercase().split_once("content-length: ").unwrap().1.to_owned();
                    if body.len() == length.lines().next().unwrap().parse::<usize>().unwrap() {
                        kept.lock().unwrap().push(body.to_owned());
                        stream
                            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                            .unwrap();
                        return;
                    }
                }
            });
        }
    });
    posted
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_opted_out_hears_no_more_of_what_runs_beside_the_import() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let address = testkit::address::unused();
    let text = format!("[webhook]\nurl = \"http://{address}/\"\nsecret = \"s\"\n");
    std::fs::write(path.join("qyvo.toml"), text).unwrap();
    let server = Server::start(path, &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &crate::cli::question(30)).await;
    let mut other = crate::cli::question(30);
    other["name"] = Value::from("Other");
    let other = server.publish(&token, &other).await;
    let endpoint = serde_json::json!({
        "url": "http://127.0.0.1:9/", "events": ["session.cancelled", "contact.opted_out", "message.status.failed"]
    });
    server.send(&token, "POST", "/api/v1/webhook-endpoints", &endpoint).await;
    let (gone, stays) = ("+14155550123", "+14155550124");
    let mut sessions = Vec::new();
    for (flow, phone) in [(&flow, gone), (&other, gone), (&flow, stays)] {
        let (status, body) = server.trigger(&token, flow, phone).await;
        assert_eq!(status, 201);
        sessions.push(body["id"].as_str().unwrap().to_owned());
    }
    let state = "SELECT status || ' ' || coalesce(reason, '-') FROM sessions ORDER BY seq";
    let queue = "SELECT m.status || ' ' || coalesce(m.reason, '-') FROM messages AS m ORDER BY seq";
    std::fs::write(path.join("out.csv"), format!("phone,opted_out\n{gone},yes\n{stays},no\n")).unwrap();
    let before = (column(path, state), column(path, queue));
    let output = told(&import(path, "out.csv", &["--dry-run"]), 0);
    assert!(output.contains("1 updated, 1 unchanged"), "{output}");
    assert_eq!((column(path, state), column(path, queue).len()), (before.0, 3), "a dry run ends nothing");
    let output = told(&import(path, "out.csv", &[]), 0);
    assert!(output.contains("1 updated, 1 unchanged"), "{output}");

    assert_eq!(column(path, state), ["cancelled opted_out", "cancelled opted_out", "running -"]);
    assert_eq!(column(path, queue)[..2], ["failed opted_out", "failed opted_out"]);
    assert!(column(path, queue)[2].starts_with("queued"), "{:?}", column(path, queue));
    let events = "SELECT event || ' ' || (body LIKE '%opted_out%') FROM webhook_deliveries
        WHERE event <> 'webhook.test' ORDER BY seq";
    let one = ["message.status.failed 1", "session.cancelled 1"];
    assert_eq!(column(path, events), [&one[..], &one[..], &["contact.opted_out 1"]].concat());
    let counted = "SELECT name || ' ' || sum(value) FROM counters
        WHERE name IN ('session.cancelled', 'message.failed') AND version = 0 AND hour = 0 GROUP BY name";
    assert_eq!(column(path, counted), ["message.failed 2", "session.cancelled 2"]);

    // The server goes by it: what it still sends is the other person's, and no reply finds a session.
    let posted = receive(std::net::TcpListener::bind(address).unwrap());
    until("the first message", async || !posted.lock().unwrap().is_empty()).await;
    let received = server.say(&token, gone, "tea").await;
    assert_eq!((&received["handled"], &received["session_id"]), (&Value::from("unrouted"), &Value::Null));
    let answered = server.say(&token, stays, "tea").await;
    assert_eq!(answered["session_id"], Value::from(sessions[2].as_str()));
    let trace = server.get(&token, &format!("/api/v1/sessions/{}", sessions[0])).await;
    assert_eq!((&trace["status"], &trace["reason"]), (&Value::from("cancelled"), &Value::from("opted_out")), "{trace}");
    assert_eq!(server.trigger(&token, &flow, gone).await.0, 422);
    until("the second message", async || posted.lock().unwrap().len() >= 2).await;
    let posted = posted.lock().unwrap().clone();
    assert_eq!(posted.len(), 2);
    assert!(posted.iter().all(|body| body.contains(stays) && !body.contains(gone)), "{posted:?}");
    // The same file again finds nothing to do and tells nobody.
    let told_before = column(path, events).len();
    assert!(told(&import(path, "out.csv", &[]), 0).contains("2 unchanged"));
    assert_eq!(column(path, events).len(), told_before);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_consent_are_known_by_the_names_that_others_give_them() {
    let folder = folder().await;
    let path = folder.path();
    for (n, (column, expected)) in [
        ("opt_out", "- out"),
        ("OptOut", "- out"),
        ("opt-out", "- out"),
        ("Unsubscribed", "- out"),
        ("unsubscribed_at", "- out"),
        ("opt_in", "in -"),
        ("optin", "in -"),
        ("Opt-In", "in -"),
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(path.join("one.csv"), format!("phone,{column}\n+1415555010{n},2026-01-05\n")).unwrap();
        let output = told(&import(path, "one.csv", &[]), 0);
        assert!(!output.contains("Metadata"), "{output}");
        assert_eq!(people(path)[n], format!("+1415555010{n} - - - - {{}} {expected} csv_import"), "{column}");
    }
    std::fs::write(path.join("one.csv"), "phone,E-Mail,Locale\n+14155550109,a@example.com,pt-BR\n").unwrap();
    told(&import(path, "one.csv", &[]), 0);
    assert_eq!(people(path)[8], "+14155550109 - a@example.com pt-BR - {} - - csv_import");
}

#[tokio::test(flavor = "multi_thread")]
async fn importing_again_does_not_undo_what_a_person_wrote_since() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let server = Server::start(path, &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &crate::cli::question(30)).await;
    let (ana, bo) = ("+14155550123", "+14155550124");
    // A trigger says that they agreed, which is no word of theirs.
    for phone in [ana, bo] {
        assert_eq!(server.trigger(&token, &flow, phone).await.0, 201);
    }
    let dated = format!("phone,opted_in,opted_out_at\n{ana},2026-01-02,2026-01-05\n{bo},2026-02-01,2026-01-05\n");
    let undated = format!("phone,opted_out\n{ana},yes\n{bo},no\n");
    std::fs::write(path.join("dated.csv"), dated).unwrap();
    std::fs::write(path.join("undated.csv"), undated).unwrap();
    let output = told(&import(path, "dated.csv", &[]), 0);
    assert!(
        output.contains("2 rows: 0 created, 1 updated, 1 unchanged") && output.contains("1 of them stay"),
        "{output}"
    );
    let opted_out = || people(path).iter().map(|person| person.ends_with("in out api")).collect::<Vec<_>>();
    assert_eq!(opted_out(), [true, false], "{:?}", people(path));
    assert_eq!(server.say(&token, ana, "START").await["handled"], "opt_in");
    assert_eq!(opted_out(), [false, false]);
    for file in ["dated.csv", "undated.csv"] {
        let output = told(&import(path, file, &[]), 0);
        assert!(output.contains("2 unchanged") && output.contains("of them stay opted in"), "{output}");
        assert_eq!(opted_out(), [false, false], "{file}");
    }
    // An operator who knows better says when.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let now = jiff::Timestamp::now();
    std::fs::write(path.join("later.csv"), format!("phone,opted_out_at\n{ana},{now}\n")).unwrap();
    let output = told(&import(path, "later.csv", &[]), 0);
    assert!(output.contains("1 updated") && !output.contains("stay"), "{output}");
    assert_eq!(opted_out(), [true, false]);
    // Of who wrote no such word an undated opt-out is taken, whoever agreed for them before.
    std::fs::write(path.join("undated.csv"), format!("phone,opted_out\n{bo},yes\n")).unwrap();
    told(&import(path, "undated.csv", &[]), 0);
    assert_eq!(opted_out(), [true, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_quotation_mark_stops_the_import_where_it_was_lost() {
    let folder = folder().await;
    let path = folder.path();
    let rows: String = (0..100_000).map(|n| format!("+1416{n:07},Somebody\n")).collect();
    std::fs::write(path.join("lost.csv"), format!("phone,name\n+14155550123,Ana\n+14155550124,\"Bo\n{rows}")).unwrap();
    let output = told(&import(path, "lost.csv", &[]), 1);
    assert!(output.contains("opened on line 3") && output.contains("quotation mark"), "{output}");
    assert!(output.contains("nothing was imported"), "{output}");
    assert_eq!(count(path), 0);
    assert!(!path.join("lost.errors.csv").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_takes_no_more_rows() {
    let folder = folder().await;
    let path = folder.path();
    std::fs::write(path.join("people.csv"), "phone\n+14155550123\n").unwrap();
    std::fs::write(path.join("qyvo.toml"), "[storage]\nmin_free = \"1000000GiB\"\n").unwrap();
    let output = told(&import(path, "people.csv", &[]), 1);
    assert!(output.contains("storage.min_free") && output.contains("0 rows:"), "{output}");
    assert_eq!(count(path), 0);
    told(&import(path, "people.csv", &["--dry-run"]), 0);
    std::fs::remove_file(path.join("qyvo.toml")).unwrap();
    told(&import(path, "people.csv", &[]), 0);
    assert_eq!(count(path), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_imported_is_found_by_a_search() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    server.publish(&token, &crate::cli::question(30)).await;
    let rows = "phone,name,email\n+14155550123,Wilhelmina Okonkwo,wo@example.com\n+14155550124,Ana,ana@example.com\n";
    std::fs::write(folder.path().join("people.csv"), rows).unwrap();
    told(&import(folder.path(), "people.csv", &[]), 0);
    until("the person to be found", async || {
        let query = serde_json::json!({"query": "mina OKON"});
        let found = server.send(&token, "POST", "/api/v1/actions/search-contacts", &query).await;
        let text = found.to_string();
        assert!(!text.contains("+14155550124"), "{text}");
        text.contains("+14155550123")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_spreadsheets_become_no_other_numbers() {
    let folder = folder().await;
    let path = folder.path();
    for (file, text) in [
        ("trunk.csv", include_str!("files/trunk-zero.csv")),
        ("float.csv", include_str!("files/float-numbers.csv")),
        ("unseen.csv", include_str!("files/unseen-marks.csv")),
    ] {
        std::fs::write(path.join(file), text).unwrap();
    }
    told(&import(path, "trunk.csv", &[]), 0);
    let output = told(&import(path, "float.csv", &["--country", "ID"]), 0);
    assert!(output.contains("3 created"), "{output}");
    told(&import(path, "unseen.csv", &[]), 0);
    let found = people(path);
    let names: Vec<String> = found.iter().map(|line| line.split(" - ").next().unwrap().to_owned()).collect();
    assert_eq!(
        names,
        [
            "+14155550181 Zero width",
            "+14155550182 Right to left",
            "+14155550183 Word joiner",
            "+14155550184 Variation selector",
            "+14155550185 \u{645}\u{62d}\u{645}\u{62f}",
            "+14155550186 Jos\u{e9}",
            "+14155550187 Anna Maria",
            "+2250707123401 Ivory Coast keeps it",
            "+33612345601 France",
            "+390612345601 Italy keeps it",
            "+447911123401 Kingdom",
            "+4915112340003 Carl",
            "+4915123456701 Germany",
            "+628123450001 Ani",
            "+628123450002 Budi",
        ]
    );
    let rows = "phone\n4.91511E+12\n+4915112340003/04\n+4915112340003 x5\n0151 12340003 / 0152 12340004\n";
    std::fs::write(path.join("wrong.csv"), rows).unwrap();
    let output = told(&import(path, "wrong.csv", &["--country", "DE"]), 1);
    assert!(output.contains("0 created, 0 updated, 0 unchanged, 4 refused"), "{output}");
    let errors = std::fs::read_to_string(path.join("wrong.errors.csv")).unwrap();
    assert!(errors.contains("rounded") && errors.contains("two numbers") && errors.contains("extension"), "{errors}");
    assert_eq!(people(path), found);
    // The same people once more, and tags that look alike.
    std::fs::write(path.join("tags.csv"), "phone,tags\n+44 07911 123401,\"vip,vi\u{ad}p,cafe\u{301}|caf\u{e9}\"\n")
        .unwrap();
    told(&import(path, "tags.csv", &[]), 0);
    assert!(people(path).iter().any(|line| line.starts_with("+447911123401") && line.contains(" caf\u{e9}+vip ")));
}
