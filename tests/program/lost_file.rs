//! The database file is taken away from under the real binary, under load: it stops answering, what it answered is in a
//! file with a name, and the next start says what to do in place of beginning anew.

use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use testkit::process::{Begun, Callers, Server, command, question};
use testkit::wait;

/// What a server with a lost file has answered, and what it has left.
struct Lost {
    answered: Vec<String>,
    log: String,
}

/// Starts a server on `database` in a folder, loads it with triggers, takes its file away and waits until it has ended.
async fn lose(home: &Path, database: &str, take_away: impl FnOnce()) -> Lost {
    std::fs::write(home.join("qyvo.toml"), format!("[storage]\npath = {database:?}\n")).unwrap();
    let mut server = Server::start(home, &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    let callers = Callers::start(&server, &token, &flow, 4);
    callers.until(100).await;
    take_away();
    let lost_at = Instant::now();
    let code = server.ended().await;
    let answered = callers.end().await;
    assert_eq!(code, Some(1), "{}", server.log());
    for Begun { at, phone, .. } in &answered {
        let late = at.saturating_duration_since(lost_at);
        assert!(late < Duration::from_millis(1_500), "{phone} was answered {late:?} after the file was gone");
    }
    Lost { answered: answered.into_iter().map(|begun| begun.phone).collect(), log: server.log() }
}

/// Every answered session is in a file.
fn assert_whole(database: &Path, answered: &[String]) {
    let conn = Connection::open(database).unwrap();
    let check: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let sql = "SELECT count(*) FROM sessions s JOIN addresses a USING (contact_seq) WHERE a.value = ?1";
    let mut count = conn.prepare(sql).unwrap();
    for phone in answered {
        assert_eq!(count.query_row([phone], |row| row.get::<_, i64>(0)).unwrap(), 1, "{phone} was answered");
    }
}

fn rescued(folder: &Path) -> PathBuf {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = names.filter(|path| path.to_string_lossy().contains("qyvo.db.rescued-")).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn start(home: &Path, more: &[&str]) -> Output {
    command(home, &[&["serve", "--bind", "127.0.0.1:0"], more].concat())
}

/// The sentence of a start that was refused.
fn refused(home: &Path, more: &[&str]) -> String {
    let output = start(home, more);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

fn length(path: PathBuf) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_database_is_saved_and_not_begun_anew() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let lost = lose(home.path(), "qyvo.db", || std::fs::remove_file(path("qyvo.db")).unwrap()).await;
    let copy = rescued(home.path());
    assert!(lost.log.contains(&copy.display().to_string()), "{}", lost.log);
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert_whole(&copy, &lost.answered);
    let log = length(path("qyvo.db-wal"));
    assert!(log > 0, "what stands at the path is left alone");

    for more in [&[][..], &["--new"], &["--keep-log"], &["--demo"]] {
        let told = refused(home.path(), more);
        assert!(told.contains("qyvo.db-wal holds writes") && told.contains("rescued-"), "{told}");
    }
    assert_eq!(command(home.path(), &["token", "list"]).status.code(), Some(1));
    assert!(!path("qyvo.db").exists());
    assert_eq!(length(path("qyvo.db-wal")), log);
    std::fs::rename(path("qyvo.db-wal"), path("aside")).unwrap();
    let told = refused(home.path(), &[]);
    assert!(told.contains("`qyvo serve --new`") && told.contains("rescued-"), "{told}");
    std::fs::rename(&copy, path("qyvo.db")).unwrap();
    let server = Server::start(home.path(), &[]).await;
    let told = server.command(&["check"]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_is_begun_anew_only_when_that_is_said() {
    let home = tempfile::tempdir().unwrap();
    drop(Server::start(home.path(), &[]).await);
    for file in ["qyvo.db", "qyvo.db-wal", "qyvo.db-shm"] {
        // After an orderly end there is but one.
        let _ = std::fs::remove_file(home.path().join(file));
    }
    for more in [&[][..], &["--demo"]] {
        assert!(refused(home.path(), more).contains("`qyvo serve --new`"));
    }
    let mut server = Server::start(home.path(), &["--new"]).await;
    let token = server.token("admin");
    server.publish(&token, &question(30)).await;
    server.kill();
    // It is known from now on, and `--new` does no harm to what is there.
    server.restart(&["--new"]).await;
    assert_eq!(server.get(&token, "/api/v1/flows").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_file_replaces_is_saved_and_their_logs_are_not_mixed() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let backup = path("backup.db");
    let lost = lose(home.path(), "qyvo.db", || {
        let conn = Connection::open(path("qyvo.db")).unwrap();
        conn.execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
        std::fs::rename(&backup, path("qyvo.db")).unwrap();
    })
    .await;
    let copy = rescued(home.path());
    assert_whole(&copy, &lost.answered);
    let log = length(path("qyvo.db-wal"));
    assert!(log > 0);
    let told = refused(home.path(), &[]);
    assert!(told.contains("--keep-log") && told.contains("aside"), "{told}");
    let told = String::from_utf8(command(home.path(), &["token", "create", "--name", "x"]).stderr).unwrap();
    assert!(told.contains("another file"), "{told}");
    assert_eq!(length(path("qyvo.db-wal")), log, "nothing deletes it");
    std::fs::rename(path("qyvo.db-wal"), path("aside")).unwrap();
    let server = Server::start(home.path(), &[]).await;
    assert!(server.command(&["check"]).status.success(), "the backup is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_copied_over_stops_it_and_is_not_mixed_with_its_log() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let backup = path("backup.db");
    {
        let server = Server::start(home.path(), &[]).await;
        let conn = Connection::open(path("qyvo.db")).unwrap();
        conn.execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
        drop((conn, server));
    }
    // What is written over the file keeps its inode.
    let copy = || std::fs::write(path("qyvo.db"), std::fs::read(&backup).unwrap()).unwrap();
    let write = |text: &str| {
        let conn = Connection::open(path("qyvo.db")).unwrap();
        conn.execute_batch(&format!(
            "CREATE TABLE {text} AS WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 \
                                     FROM n WHERE i < 20000) SELECT i, hex(randomblob(50)) FROM n"
        ))
        .unwrap();
    };
    write("filling");
    let lost = lose(home.path(), "qyvo.db", copy).await;
    assert!(lost.log.contains("another file was copied over the database"), "{}", lost.log);
    std::fs::remove_file(path("qyvo.db-shm")).unwrap();
    assert!(length(path("qyvo.db-wal")) > 0);

    // The same with the server killed before: the log is older than what was copied.
    let later = std::time::SystemTime::now() + Duration::from_secs(120);
    std::fs::File::options().write(true).open(path("qyvo.db")).unwrap().set_modified(later).unwrap();
    let told = refused(home.path(), &[]);
    assert!(told.contains("--keep-log") && told.contains("qyvo.db-wal"), "{told}");
    std::fs::rename(path("qyvo.db-wal"), path("aside")).unwrap();
    copy();
    let server = Server::start(home.path(), &[]).await;
    assert!(server.command(&["check"]).status.success(), "the backup is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_file_or_a_part_of_one_over_the_database_stops_it_too() {
    for is_part in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        let lost = lose(home.path(), "qyvo.db", || {
            let conn = Connection::open(path("qyvo.db")).unwrap();
            conn.execute("VACUUM INTO ?1", [path("other.db").to_str().unwrap()]).unwrap();
            let other = Connection::open(path("other.db")).unwrap();
            other.execute_batch("CREATE TABLE filling AS SELECT randomblob(5000000)").unwrap();
            // The last to close would empty the log, should the server have ended by then.
            drop((conn, other));
            let other = std::fs::read(path("other.db")).unwrap();
            if is_part {
                let file = std::fs::File::options().write(true).open(path("qyvo.db")).unwrap();
                file.write_all_at(&other[..1 << 20], 0).unwrap();
            } else {
                std::fs::write(path("qyvo.db"), other).unwrap();
            }
        })
        .await;
        assert!(lost.log.contains("copied over"), "{}", lost.log);
        let told = refused(home.path(), &[]);
        assert!(told.contains("copied over") && told.contains("--keep-log"), "{told}");
        let told = String::from_utf8(command(home.path(), &["token", "list"]).stderr).unwrap();
        assert!(told.contains("copied over"), "{told}");
        std::fs::rename(path("qyvo.db-wal"), path("aside")).unwrap();
        std::fs::copy(path("other.db"), path("qyvo.db")).unwrap();
        drop(Server::start(home.path(), &[]).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_emptied_or_written_over_stops_it_and_is_not_taken_in_by_the_next_start() {
    for is_older in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        drop(Server::start(home.path(), &[]).await);
        // What is in the database is safe.
        let conn = Connection::open(path("qyvo.db")).unwrap();
        conn.execute_batch("CREATE TABLE extra (x); PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        drop(conn);
        let lost = lose(home.path(), "qyvo.db", || {
            let log = if is_older { std::fs::read(path("qyvo.db-wal")).unwrap() } else { Vec::new() };
            std::thread::sleep(Duration::from_millis(if is_older { 300 } else { 0 }));
            std::fs::write(path("qyvo.db-wal"), log).unwrap();
        })
        .await;
        assert!(lost.log.contains("was emptied or written over"), "{}", lost.log);
        let told = refused(home.path(), &[]);
        assert!(told.contains("was emptied or written over") && told.contains("aside"), "{told}");
        std::fs::rename(path("qyvo.db-wal"), path("aside")).unwrap();
        drop(Server::start(home.path(), &[]).await);
        let conn = Connection::open(path("qyvo.db")).unwrap();
        let check: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!((check.as_str(), conn.execute("DROP TABLE extra", []).is_ok()), ("ok", true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vacuum_of_somebody_else_stops_nothing() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    let file = home.path().join("qyvo.db");
    let conn = Connection::open(&file).unwrap();
    conn.execute_batch(
        "CREATE TABLE filling AS WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE \
                        i < 20000) SELECT i, hex(randomblob(50)) FROM n; PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .unwrap();
    let long = length(file.clone());
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    conn.execute_batch("DROP TABLE filling; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(conn);
    wait::until("the file to be shorter", async || length(file.clone()) < long / 2).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(server.trigger(&token, &flow, "+14155550123").await.0, 201, "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_moves_away_has_everything() {
    for is_replaced in [false, true] {
        moves_away(is_replaced).await;
    }
}

async fn moves_away(is_replaced: bool) {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let lost = lose(home.path(), "qyvo.db", || {
        let backup = path("backup.db");
        if is_replaced {
            Connection::open(path("qyvo.db")).unwrap().execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
        }
        std::fs::rename(path("qyvo.db"), path("moved.db")).unwrap();
        if is_replaced {
            std::fs::rename(backup, path("qyvo.db")).unwrap();
        }
    })
    .await;
    assert!(lost.log.contains("moved.db"), "{}", lost.log);
    assert_whole(&path("moved.db"), &lost.answered);
    if !is_replaced {
        assert!(refused(home.path(), &[]).contains("There is no database"));
    }
    // It is used where it is now, and put back: what was added there is not written over by a log from before.
    assert_eq!(length(path("qyvo.db-wal")), 0);
    let conn = Connection::open(path("moved.db")).unwrap();
    conn.execute_batch("UPDATE flows SET name = 'Changed elsewhere'; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(conn);
    std::fs::rename(path("moved.db"), path("qyvo.db")).unwrap();
    let server = Server::start(home.path(), &[]).await;
    let names = Connection::open(path("qyvo.db")).unwrap();
    let name: String = names.query_row("SELECT name FROM flows", [], |row| row.get(0)).unwrap();
    assert_eq!(name, "Changed elsewhere");
    drop(server);
    assert!(!home.path().read_dir().unwrap().any(|entry| entry.unwrap().path().to_string_lossy().contains("rescued")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_or_a_shared_memory_that_is_removed_stops_it_and_loses_nothing() {
    for file in ["qyvo.db-wal", "qyvo.db-shm"] {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        let lost = lose(home.path(), "qyvo.db", || std::fs::remove_file(path(file)).unwrap()).await;
        assert!(lost.log.contains("everything that was answered is in the database"), "{file}: {}", lost.log);
        let server = Server::start(home.path(), &[]).await;
        let told = server.command(&["check"]);
        assert!(told.status.success(), "{file}: {}", String::from_utf8_lossy(&told.stderr));
        drop(server);
        assert_whole(&path("qyvo.db"), &lost.answered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_removed_with_all_that_is_beside_it_is_not_begun_anew_either() {
    let home = tempfile::tempdir().unwrap();
    let lost = lose(home.path(), "qyvo.db", || {
        for ending in ["", "-wal", "-shm", ".lock", ".reserve"] {
            // The reserve may not have been made yet.
            let _ = std::fs::remove_file(home.path().join(format!("qyvo.db{ending}")));
        }
    })
    .await;
    assert_whole(&rescued(home.path()), &lost.answered);
    let told = refused(home.path(), &[]);
    assert!(told.contains("`qyvo serve --new`") && told.contains("rescued-"), "{told}");
    drop(Server::start(home.path(), &["--new"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_moves_or_goes_and_a_link_that_leads_elsewhere_stop_it_too() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    std::fs::create_dir(path("data")).unwrap();
    let lost = lose(home.path(), "data/qyvo.db", || std::fs::rename(path("data"), path("moved")).unwrap()).await;
    assert_whole(&path("moved/qyvo.db"), &lost.answered);
    assert!(refused(home.path(), &[]).contains("There is no folder"));

    // The folder that moved is whole: its log goes on with its database.
    symlink(path("moved/qyvo.db"), path("link.db")).unwrap();
    std::fs::write(path("other.db"), "").unwrap();
    let lost = lose(home.path(), "link.db", || {
        std::fs::remove_file(path("link.db")).unwrap();
        symlink(path("other.db"), path("link.db")).unwrap();
    })
    .await;
    assert_whole(&path("moved/qyvo.db"), &lost.answered);

    std::fs::remove_file(path("link.db")).unwrap();
    symlink(path("moved/qyvo.db"), path("link.db")).unwrap();
    let lost = lose(home.path(), "link.db", || std::fs::remove_file(path("link.db")).unwrap()).await;
    assert_whole(&path("moved/qyvo.db"), &lost.answered);
    assert!(refused(home.path(), &[]).contains("There is no database"));
    symlink(path("moved/qyvo.db"), path("link.db")).unwrap();
    drop(Server::start(home.path(), &[]).await);

    std::fs::create_dir(path("gone")).unwrap();
    let lost = lose(home.path(), "gone/qyvo.db", || std::fs::remove_dir_all(path("gone")).unwrap()).await;
    assert_whole(&rescued(home.path()), &lost.answered);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_in_the_place_of_the_one_that_moved_is_not_begun_anew() {
    for is_link in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        std::fs::create_dir(path("first")).unwrap();
        if is_link {
            std::fs::create_dir(path("empty")).unwrap();
            symlink(path("first"), path("data")).unwrap();
        } else {
            std::fs::rename(path("first"), path("data")).unwrap();
        }
        let lost = lose(home.path(), "data/qyvo.db", || {
            if is_link {
                std::fs::remove_file(path("data")).unwrap();
                symlink(path("empty"), path("data")).unwrap();
            } else {
                std::fs::rename(path("data"), path("first")).unwrap();
                std::fs::create_dir(path("data")).unwrap();
            }
        })
        .await;
        assert_whole(&path("first/qyvo.db"), &lost.answered);
        for more in [&[][..], &["--demo"]] {
            let told = refused(home.path(), more);
            assert!(told.contains("`qyvo serve --new`") && told.contains("first/qyvo.db"), "{told}");
        }
        let _ = std::fs::remove_dir_all(path("data"));
        let _ = std::fs::remove_file(path("data"));
        std::fs::rename(path("first"), path("data")).unwrap();
        drop(Server::start(home.path(), &[]).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leads_to_a_backup_is_followed_with_a_warning() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    symlink(path("first.db"), path("link.db")).unwrap();
    let lost = lose(home.path(), "link.db", || {
        let conn = Connection::open(path("first.db")).unwrap();
        conn.execute("VACUUM INTO ?1", [path("backup.db").to_str().unwrap()]).unwrap();
        std::fs::remove_file(path("link.db")).unwrap();
        symlink(path("backup.db"), path("link.db")).unwrap();
    })
    .await;
    assert_whole(&path("first.db"), &lost.answered);
    let told = |log: String| log.contains("another file than the one that the last server had open");
    let mut server = Server::start(home.path(), &[]).await;
    let log = server.log();
    assert!(told(log.clone()) && log.contains("first.db"), "{log}");
    server.kill();
    server.restart(&[]).await;
    assert!(!told(server.log()), "it is known by now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_another_name_that_is_removed_is_saved_by_a_name_that_is_told() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let lost = lose(home.path(), "qyvo.db", || {
        std::fs::hard_link(path("qyvo.db"), path("other.db")).unwrap();
        std::fs::remove_file(path("qyvo.db")).unwrap();
    })
    .await;
    let copy = rescued(home.path());
    assert!(lost.log.contains(&copy.display().to_string()) && !lost.log.contains("(deleted)"), "{}", lost.log);
    assert_whole(&copy, &lost.answered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_folder_keeps_its_log_when_that_is_said() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start(home.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    let (_, session) = server.trigger(&token, &flow, "+14155550123").await;
    server.kill();
    let copied = tempfile::tempdir().unwrap();
    for file in ["qyvo.db", "qyvo.db-wal", "qyvo.db.lock"] {
        std::fs::copy(home.path().join(file), copied.path().join(file)).unwrap();
    }
    assert!(refused(copied.path(), &[]).contains("--keep-log"));
    let server = Server::start(copied.path(), &["--keep-log"]).await;
    let path = format!("/api/v1/sessions/{}", session["id"].as_str().unwrap());
    assert_eq!(server.get(&token, &path).await["status"], "running", "its log held the answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_name_is_refused_at_the_start_and_told_of_later() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start(home.path(), &[]).await;
    std::fs::hard_link(home.path().join("qyvo.db"), home.path().join("other.db")).unwrap();
    wait::until("the second name to be told of", async || server.log().contains("hard link")).await;
    assert!(refused(home.path(), &["--database", "other.db"]).contains("in use by another process"));
    server.kill();
    for name in ["qyvo.db", "other.db"] {
        assert!(refused(home.path(), &["--database", name]).contains("2 names"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_file_that_is_removed_is_made_anew() {
    let home = tempfile::tempdir().unwrap();
    let _server = Server::start(home.path(), &[]).await;
    let lock = home.path().join("qyvo.db.lock");
    std::fs::remove_file(&lock).unwrap();
    wait::until("the lock file", async || std::fs::read_to_string(&lock).is_ok_and(|text| !text.is_empty())).await;
    assert!(refused(home.path(), &[]).contains("in use by process"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_is_private_and_what_is_not_is_told_of() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let mut server = Server::start(home.path(), &[]).await;
    server.token("admin");
    std::fs::write(path("people.csv"), "phone,name\nnobody,Ana\n").unwrap();
    assert_eq!(server.command(&["contacts", "import", "people.csv"]).status.code(), Some(1));
    for name in ["qyvo.db", "qyvo.db-wal", "qyvo.db-shm", "qyvo.db.lock", "qyvo.db.reserve", "people.errors.csv"] {
        let mode = std::fs::metadata(path(name)).unwrap_or_else(|error| panic!("{name}: {error}")).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(!server.log().contains("can read"), "{}", server.log());
    server.kill();
    let open = |name: &str| std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(path("qyvo.toml"), "").unwrap();
    open("qyvo.toml");
    open("qyvo.db");
    server.restart(&[]).await;
    let log = server.log();
    assert!(log.contains("can read the configuration qyvo.toml") && log.contains("can read qyvo.db:"), "{log}");
}
