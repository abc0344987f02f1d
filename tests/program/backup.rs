//! Copies of the database: made beside load, killed half-way, put back by the command and by hand.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use testkit::process::{Callers, Server, begin, command, question};
use testkit::wait;

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", told(output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", told(output));
    told(output)
}

fn count(database: &Path, sql: &str) -> i64 {
    Connection::open(database).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The id of the contact with a phone number; `None` if it leads to none.
async fn contact(server: &Server, token: &str, phone: &str) -> Option<String> {
    let request = server.client.post(server.url("/api/v1/actions/get-contact")).bearer_auth(token);
    let answer: Value = request.json(&json!({"phone": phone})).send().await.unwrap().json().await.unwrap();
    answer["id"].as_str().map(str::to_owned)
}

async fn erase(server: &Server, token: &str, phone: &str) {
    let id = contact(server, token, phone).await.unwrap();
    server.send(token, "DELETE", &format!("/api/v1/contacts/{id}"), &json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_load_has_all_that_was_answered_before_it_began() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start(home.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    let callers = Callers::start(&server, &token, &flow, 4);
    let copy = home.path().join("copy.db");
    // The second one replaces the first.
    for sessions in [200, 400] {
        callers.until(sessions).await;
        let before = callers.begun();
        let path = done(&server.command(&["backup", "copy.db"]));
        assert_eq!(Path::new(&path), copy.canonicalize().unwrap());
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        let conn = Connection::open(&copy).unwrap();
        let whole: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
        let sql = "SELECT count(*) FROM sessions s JOIN addresses a USING (contact_seq) WHERE a.value = ?1";
        let mut of_phone = conn.prepare(sql).unwrap();
        for begun in &before {
            assert_eq!(of_phone.query_row([&begun.phone], |row| row.get::<_, i64>(0)).unwrap(), 1, "{begun:?}");
        }
        assert!(before.len() >= sessions);
    }
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("copy.db.")), "{left:?}");
    server.kill();
    callers.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_leaves_nothing_that_looks_like_one() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let mut server = Server::start(home.path(), &[]).await;
    let conn = Connection::open(path("qyvo.db")).unwrap();
    conn.execute_batch(
        "CREATE TABLE filling AS WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
         SELECT i, randomblob(2000) FROM n",
    )
    .unwrap();
    drop(conn);
    let mut backup = begin(home.path(), &["backup", "copy.db"]);
    wait::until("the copy to be half made", async || {
        std::fs::metadata(path("copy.db.partial")).is_ok_and(|file| file.len() > 20 << 20)
    })
    .await;
    backup.kill().unwrap();
    backup.wait().unwrap();
    assert!(!path("copy.db").exists());
    server.kill();
    for (file, why) in [("copy.db", "no file"), ("copy.db.partial", "not completed")] {
        let told = refused(&command(home.path(), &["restore", file]));
        assert!(told.contains(why), "{told}");
    }
    // Also under a name of its own it is none.
    std::fs::copy(path("copy.db.partial"), path("half.db")).unwrap();
    refused(&command(home.path(), &["restore", "half.db"]));
    done(&command(home.path(), &["backup", "copy.db"]));
    assert!(path("copy.db").exists() && !path("copy.db.partial").exists());
    assert_eq!(count(&path("copy.db"), "SELECT count(*) FROM filling"), 60_000);
}

/// A server with people, of which a backup was made, and what happened afterwards.
struct AfterBackup {
    home: tempfile::TempDir,
    admin: String,
    revoked: String,
    flow: String,
}

/// Phones of people who are in the backup.
fn erased() -> impl Iterator<Item = String> {
    (0..99).map(|number| format!("+141555501{number:02}"))
}
const OPTED_OUT: &str = "+14155550204";
const STAYS: &str = "+14155550205";
/// Phones of people who came after it.
const NEW_AND_OUT: &str = "+14155550206";
const NEW_OUT_AND_ERASED: &str = "+14155550207";

async fn after_backup() -> AfterBackup {
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start(home.path(), &[]).await;
    let (admin, revoked) = (server.token("admin"), server.token("trigger"));
    let flow = server.publish(&admin, &question(30)).await;
    for phone in erased().chain([OPTED_OUT, STAYS].map(str::to_owned)) {
        assert_eq!(server.trigger(&admin, &flow, &phone).await.0, 201);
    }
    done(&server.command(&["backup", "copy.db"]));
    for phone in [NEW_AND_OUT, NEW_OUT_AND_ERASED] {
        assert_eq!(server.trigger(&admin, &flow, phone).await.0, 201);
    }
    for phone in [OPTED_OUT, NEW_AND_OUT, NEW_OUT_AND_ERASED] {
        assert_eq!(server.say(&admin, phone, "STOP").await["handled"], "opt_out");
    }
    for phone in erased().chain([NEW_OUT_AND_ERASED.to_owned()]) {
        erase(&server, &admin, &phone).await;
    }
    let list = done(&server.command(&["token", "list"]));
    let line = list.lines().find(|line| line.contains("trigger")).unwrap();
    done(&server.command(&["token", "revoke", line.split_whitespace().next().unwrap()]));
    server.kill();
    AfterBackup { home, admin, revoked, flow }
}

/// Nobody who was erased is in the file or its log, under the contact's number.
async fn assert_erased(case: &AfterBackup, server: &Server) {
    for phone in erased() {
        assert_eq!(contact(server, &case.admin, &phone).await, None, "{phone}");
    }
    assert!(contact(server, &case.admin, STAYS).await.is_some());
    // What is left of rows in pages is cleared within minutes; the rows themselves are gone.
    let database = case.home.path().join("qyvo.db");
    assert_eq!(count(&database, "SELECT count(*) FROM contacts"), 2);
    assert_eq!(count(&database, "SELECT count(*) FROM sessions"), 2);
    assert!(server.log().contains("older than the list of erased contacts"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_undoes_no_erasure_no_opt_out_and_no_revocation() {
    let case = after_backup().await;
    let path = |name: &str| case.home.path().join(name);
    let restored = command(case.home.path(), &["restore", "copy.db"]);
    assert_eq!(Path::new(&done(&restored)), path("qyvo.db").canonicalize().unwrap());
    let said = told(&restored);
    for part in ["3 opt-outs and 1 revoked token", "100 erasures", "101 sessions go on"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let aside = std::fs::read_dir(case.home.path()).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> = aside.filter(|path| path.to_string_lossy().contains("before-restore-")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(count(&aside[0], "SELECT count(*) FROM contacts"), 3, "the old file is as it was");

    let server = Server::start(case.home.path(), &[]).await;
    assert_erased(&case, &server).await;
    for phone in [OPTED_OUT, NEW_AND_OUT, NEW_OUT_AND_ERASED] {
        let (status, answer) = server.trigger(&case.admin, &case.flow, phone).await;
        assert_eq!((status, &answer["error"]), (422, &json!("Contact has opted out")), "{phone}");
    }
    assert_eq!(server.trigger(&case.revoked, &case.flow, "+14155550209").await.0, 401);
    assert_eq!(server.trigger(&case.admin, &case.flow, "+14155550209").await.0, 201);
    let checked = server.command(&["check"]);
    assert!(checked.status.success(), "{}", told(&checked));

    // The next start has nothing more to do.
    drop(server);
    let server = Server::start(case.home.path(), &[]).await;
    assert!(!server.log().contains("older than the list"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_put_back_by_hand_undoes_no_erasure() {
    let case = after_backup().await;
    let path = |name: &str| case.home.path().join(name);
    for file in ["qyvo.db-wal", "qyvo.db-shm"] {
        std::fs::remove_file(path(file)).unwrap();
    }
    std::fs::rename(path("copy.db"), path("qyvo.db")).unwrap();
    let server = Server::start(case.home.path(), &[]).await;
    assert_erased(&case, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_file_that_cannot_be_read_is_said_and_kept() {
    let case = after_backup().await;
    let path = |name: &str| case.home.path().join(name);
    for file in ["qyvo.db-wal", "qyvo.db-shm"] {
        std::fs::remove_file(path(file)).unwrap();
    }
    let length = std::fs::metadata(path("qyvo.db")).unwrap().len();
    std::fs::write(path("qyvo.db"), vec![0x55; usize::try_from(length).unwrap()]).unwrap();
    let restored = command(case.home.path(), &["restore", "copy.db"]);
    done(&restored);
    assert!(told(&restored).contains("WARNING: the old file could not be read"), "{}", told(&restored));
    let server = Server::start(case.home.path(), &[]).await;
    assert_erased(&case, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_is_refused_beside_a_server_and_from_what_is_no_backup() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let mut server = Server::start(home.path(), &[]).await;
    done(&server.command(&["backup", "copy.db"]));
    let said = refused(&server.command(&["restore", "copy.db"]));
    assert!(said.contains("is in use by process"), "{said}");
    server.kill();
    let other = Connection::open(path("qyvo.db")).unwrap();
    let tables: i64 = other.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    let said = refused(&command(home.path(), &["restore", "copy.db"]));
    assert!(tables > 0 && said.contains("Another process has"), "{said}");
    drop(other);
    std::fs::write(path("text"), "no database, but a text that is long enough".repeat(99)).unwrap();
    let mut bytes = std::fs::read(path("copy.db")).unwrap();
    let half = bytes.len() / 2;
    std::fs::write(path("half.db"), &bytes[..half]).unwrap();
    bytes[4096..12_288].fill(0xff);
    std::fs::write(path("damaged.db"), &bytes).unwrap();
    let before = std::fs::read(path("qyvo.db")).unwrap();
    for (file, why) in [
        ("text", "not an SQLite database"),
        ("half.db", "damaged"),
        ("damaged.db", "damaged"),
        ("qyvo.db", "the database itself"),
        ("missing.db", "no file"),
    ] {
        let said = refused(&command(home.path(), &["restore", file]));
        assert!(said.contains(why), "{file}: {said}");
        assert!(std::fs::read(path("qyvo.db")).unwrap() == before, "{file}");
    }
    done(&command(home.path(), &["restore", "copy.db"]));
    // Where there was none.
    let other = tempfile::tempdir().unwrap();
    let copy = path("copy.db");
    let restored = command(other.path(), &["restore", copy.to_str().unwrap()]);
    done(&restored);
    assert!(told(&restored).contains("There was no database before"), "{}", told(&restored));
    drop(Server::start(other.path(), &[]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_makes_backups_by_itself_and_hands_them_out() {
    let home = tempfile::tempdir().unwrap();
    let environment = [("QYVO_BACKUP_EVERY", "1h"), ("QYVO_BACKUP_KEEP", "2")];
    let server = Server::start_with(home.path(), &[], &environment).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    assert_eq!(server.trigger(&token, &flow, STAYS).await.0, 201);
    wait::until("a backup", async || {
        server.get(&token, "/api/v1/backups").await["data"].as_array().is_some_and(|data| !data.is_empty())
    })
    .await;
    erase(&server, &token, STAYS).await;
    for _ in 0..3 {
        // Names have whole seconds.
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        server.send(&token, "POST", "/api/v1/backups", &json!({})).await;
    }
    let listed = server.get(&token, "/api/v1/backups").await;
    let name = listed["data"][0]["name"].as_str().unwrap();
    assert_eq!((listed["data"].as_array().unwrap().len(), &listed["every_seconds"]), (2, &json!(3600)), "{listed}");
    let folder = home.path().join("backups");
    let bytes = std::fs::read(folder.join(name)).unwrap();
    let path = format!("/api/v1/backups/{name}");
    let got = server.client.get(server.url(&path)).bearer_auth(&token).send().await.unwrap();
    assert_eq!(got.headers()["content-length"], bytes.len().to_string());
    assert!(got.bytes().await.unwrap() == bytes);
    for name in ["..%2Fqyvo.db", "qyvo.db", "qyvo-20261201T101500Z.db"] {
        let missing = server.client.get(server.url(&format!("/api/v1/backups/{name}"))).bearer_auth(&token);
        assert_eq!(missing.send().await.unwrap().status(), 404, "{name}");
    }
    let erased = std::fs::read_to_string(folder.join("qyvo.db.erasures")).unwrap();
    assert_eq!(erased.lines().count(), 1, "{erased}");
}
