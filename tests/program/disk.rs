//! A disk that fills up under the real binary: what is refused was not written, what was answered is there, and the
//! same process goes on once there is room.
//!
//! The disks are file systems in memory, which only root may mount. Elsewhere these tests say loudly that they did
//! nothing; with `CI=true` in the environment they fail instead. `QYVO_TEST_REFUSAL_SECONDS` lets messages be refused
//! for longer.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use qyvo::domain::Timestamp;
use qyvo::error::Code;
use qyvo::store::{Options, Store, settings};
use serde_json::{Value, json};
use testkit::process::{Callers, Server, begin, question};
use testkit::wait;

/// A file system of its own size, gone when dropped.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// `None` where mounting is not allowed.
    fn mount(mebibytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self { folder });
        }
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "these tests have to be run by root");
        eprintln!("\n*** SKIPPED: a file system in memory cannot be mounted here; run this test as root ***\n");
        None
    }

    fn resize(&self, mebibytes: u32) {
        let size = format!("remount,size={mebibytes}m");
        assert!(Command::new("mount").args(["-o", &size]).arg(self.folder.path()).status().unwrap().success());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.path("filler")).unwrap();
        for chunk in [1 << 20, 4096, 1] {
            while file.write_all(&vec![7; chunk]).is_ok() {}
        }
    }

    /// A folder for a server whose database is on this disk, and nothing else of it.
    fn home(&self) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        // What fills the disk within seconds is more than a token may have stored.
        let limits = "[limits]\nbytes_per_minute = \"0\"\n";
        let config = format!("[storage]\npath = {:?}\n{limits}", self.path("qyvo.db"));
        std::fs::write(home.path().join("qyvo.toml"), config).unwrap();
        home
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

/// What callers were told.
#[derive(Default)]
struct Told {
    /// Phones, or ids of messages, that were taken.
    taken: Mutex<Vec<String>>,
    refused: Mutex<Vec<String>>,
}

impl Told {
    fn taken(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    fn refused(&self) -> usize {
        self.refused.lock().unwrap().len()
    }
}

/// Sends with some callers until `enough`. `request` makes the path and the body of the n-th request, and gives by
/// what its row is known.
async fn load(
    server: &Server,
    token: &str,
    callers: usize,
    request: impl Fn(usize) -> (&'static str, Value, String) + Send + Sync + 'static,
    enough: impl Fn(&Told) -> bool,
) -> Arc<Told> {
    let (told, next, stop) =
        (Arc::new(Told::default()), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let request = Arc::new(request);
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (told, next, stop, request) = (told.clone(), next.clone(), stop.clone(), request.clone());
            let (base, client, token) = (server.url(""), server.client.clone(), token.to_owned());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let (path, body, name) = request(next.fetch_add(1, Ordering::Relaxed));
                    let sent = client.post(format!("{base}{path}")).bearer_auth(&token).json(&body).send().await;
                    let answer = sent.unwrap();
                    match answer.status().as_u16() {
                        201 | 202 => told.taken.lock().unwrap().push(name),
                        503 => {
                            assert!(answer.headers().contains_key("retry-after"));
                            told.refused.lock().unwrap().push(name);
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        other => panic!("{other}: {}", answer.text().await.unwrap()),
                    }
                }
            })
        })
        .collect();
    // A busy machine may take long for all of them, but goes on.
    let (mut answered, mut went_on_at) = (0, Instant::now());
    while !enough(&told) && !tasks.iter().any(tokio::task::JoinHandle::is_finished) {
        let now_answered = told.taken() + told.refused();
        if now_answered > answered {
            (answered, went_on_at) = (now_answered, Instant::now());
        }
        assert!(went_on_at.elapsed() < wait::PATIENCE, "{} and {}", told.taken(), told.refused());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    told
}

/// Triggers with much context, of new people.
async fn trigger_until_refused(server: &Server, token: &str, flow: &str, series: u32) -> Arc<Told> {
    let flow = flow.to_owned();
    let request = move |n: usize| {
        let phone = format!("+1415{:07}", series as usize * 1_000_000 + n);
        let body = json!({"flow_id": flow, "phone": phone, "context": {"text": "x".repeat(60_000)}});
        ("/api/v1/actions/trigger-flow", body, phone)
    };
    load(server, token, 8, request, |told| told.refused() >= 50).await
}

/// Messages of strangers, which nothing takes and which are kept.
async fn say_until(server: &Server, token: &str, enough: impl Fn(&Told) -> bool) -> Arc<Told> {
    let request = |n: usize| {
        let (id, from) = (format!("in-{n}"), format!("+4915{:09}", n % 1_000));
        ("/api/v1/inbound", json!({"id": id, "from": from, "type": "text", "text": "🙂".repeat(4_000)}), id)
    };
    load(server, token, 8, request, enough).await
}

async fn readiness(server: &Server) -> (u16, Value) {
    let answer = server.client.get(server.url("/readyz")).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// It is known once a write was refused, or at the next look.
async fn wait_until_full(server: &Server) {
    let is_full = async || readiness(server).await.1["reasons"][0]["code"] == "disk_full";
    wait::until("the disk to be found full", is_full).await;
}

async fn wait_until_ready(server: &Server) {
    wait::until("the server to be ready", async || readiness(server).await.1["status"] == "ready").await;
}

async fn erase(server: &Server, token: &str, phone: &str) {
    let found = server.send(token, "POST", "/api/v1/actions/get-contact", &json!({"phone": phone})).await;
    server.send(token, "DELETE", &format!("/api/v1/contacts/{}", found["id"].as_str().unwrap()), &json!({})).await;
}

/// Every session and message that was answered is in the file, and none that was refused.
fn compare(database: &Path, triggers: &[Arc<Told>], messages: &Told, erased: &[String]) {
    let conn = rusqlite::Connection::open(database).unwrap();
    let count = |sql: &str, name: &str| -> i64 {
        conn.prepare_cached(sql).unwrap().query_row([name], |row| row.get(0)).unwrap()
    };
    let sessions = "SELECT count(*) FROM sessions s JOIN addresses a USING (contact_seq) WHERE a.value = ?1";
    for told in triggers {
        for phone in told.taken.lock().unwrap().iter().filter(|phone| !erased.contains(*phone)) {
            assert_eq!(count(sessions, phone), 1, "{phone} was answered");
        }
        for phone in told.refused.lock().unwrap().iter() {
            assert_eq!(count("SELECT count(*) FROM addresses WHERE value = ?1", phone), 0, "{phone} was refused");
        }
    }
    let inbound = "SELECT count(*) FROM messages WHERE direction = 'in' AND provider_id = ?1";
    for id in messages.taken.lock().unwrap().iter() {
        assert_eq!(count(inbound, id), 1, "{id} was answered");
    }
    for id in messages.refused.lock().unwrap().iter() {
        assert_eq!(count(inbound, id), 0, "{id} was refused");
    }
    let check: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

fn refusals_for() -> Duration {
    let seconds = std::env::var("QYVO_TEST_REFUSAL_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(4))
}

/// Triggers until they are refused, messages until they are, for a while; erases somebody; makes room.
async fn fill_and_go_on(mebibytes: u32, fills_log: bool) {
    let Some(disk) = Disk::mount(mebibytes) else { return };
    let home = disk.home();
    let server = Server::start(home.path(), &[]).await;
    let (pid, token) = (server.pid(), server.token("admin"));
    let flow = server.publish(&token, &question(30)).await;

    // While somebody reads, the log cannot begin anew.
    let reader = fills_log.then(|| {
        let conn = rusqlite::Connection::open(disk.path("qyvo.db")).unwrap();
        conn.execute_batch("BEGIN; SELECT count(*) FROM sessions").unwrap();
        conn
    });
    let triggers = trigger_until_refused(&server, &token, &flow, 1).await;
    if fills_log {
        let log = std::fs::metadata(disk.path("qyvo.db-wal")).unwrap().len();
        assert!(log >= 64 << 20, "{log}");
    }
    assert!(triggers.taken() > 100, "{}", triggers.taken());
    let (status, view) = readiness(&server).await;
    assert_eq!(
        (status, &view["status"], &view["reasons"][0]["code"]),
        (200, &json!("degraded"), &json!("disk_nearly_full"))
    );
    assert!(view["reasons"][0]["since"].is_string() && !view.to_string().contains("qyvo.db"), "{view}");

    let first_refusal = Mutex::new(None);
    let lasts = refusals_for();
    let messages = say_until(&server, &token, |told| {
        told.refused() > 0 && first_refusal.lock().unwrap().get_or_insert_with(Instant::now).elapsed() >= lasts
    })
    .await;
    let (status, view) = readiness(&server).await;
    assert_eq!((status, &view["reasons"][0]["code"]), (200, &json!("disk_full")), "{}", server.log());
    assert!(messages.taken() > 100, "{}", messages.taken());

    // Erasing and opting out go on.
    let erased = triggers.taken.lock().unwrap()[0].clone();
    erase(&server, &token, &erased).await;
    let opting_out = triggers.taken.lock().unwrap()[1].clone();
    let stop = server.say(&token, &opting_out, "STOP").await;
    assert_eq!(stop["handled"], "opt_out", "{stop}");
    let tried_again = server.log().matches("tried again").count();
    assert!(tried_again < 20, "workers that are refused fill the log: {}", server.log());
    println!(
        "{mebibytes} MiB: {} triggers taken, {} refused; {} messages taken, {} refused in {} s",
        triggers.taken(),
        triggers.refused(),
        messages.taken(),
        messages.refused(),
        lasts.as_secs()
    );

    drop(reader);
    disk.resize(mebibytes + 300);
    wait_until_ready(&server).await;
    let more = trigger_until(&server, &token, &flow).await;
    assert_eq!(server.pid(), pid);
    let told = server.command(&["check"]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    compare(&disk.path("qyvo.db"), &[triggers, more], &messages, &[erased]);
    drop(server);
}

async fn trigger_until(server: &Server, token: &str, flow: &str) -> Arc<Told> {
    let flow = flow.to_owned();
    let request = move |n: usize| {
        let phone = format!("+1415{:07}", 2_000_000 + n);
        ("/api/v1/actions/trigger-flow", json!({"flow_id": flow, "phone": phone}), phone)
    };
    let told = load(server, token, 4, request, |told| told.taken() >= 20).await;
    assert_eq!(told.refused(), 0);
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_disk_that_fills_up_is_outlived() {
    fill_and_go_on(120, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_beside_a_long_log_is_outlived() {
    fill_and_go_on(300, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_to_be_erased_is_erased_when_another_file_has_taken_the_last_byte() {
    let Some(disk) = Disk::mount(120) else { return };
    let home = disk.home();
    let server = Server::start(home.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    let triggers = trigger_until(&server, &token, &flow).await;
    assert!(disk.path("qyvo.db.reserve").exists());
    disk.fill();
    let phones = triggers.taken.lock().unwrap().clone();
    wait_until_full(&server).await;
    erase(&server, &token, &phones[0]).await;
    assert_eq!(server.say(&token, &phones[1], "STOP").await["handled"], "opt_out");
    assert!(!disk.path("qyvo.db.reserve").exists(), "it was for this");
    std::fs::remove_file(disk.path("filler")).unwrap();
    wait_until_ready(&server).await;
    wait::until("the reserve to be made anew", async || disk.path("qyvo.db.reserve").exists()).await;
    drop(server);
    compare(&disk.path("qyvo.db"), &[triggers], &Told::default(), &phones[..1]);
}

#[test]
fn a_commit_that_finds_the_disk_full_is_rolled_back_and_the_writer_goes_on() {
    let Some(disk) = Disk::mount(24) else { return };
    let path = disk.path("qyvo.db");
    // Nothing is kept free, so that it is SQLite that finds the disk full.
    let store = Store::open(&Options::new(&path)).unwrap();
    let now = Timestamp::from_millis(1_778_141_663_250);
    let write = |n: usize| {
        let value = "z".repeat(200_000);
        store.write_blocking(move |tx| settings::set(tx, &n.to_string(), &value, now))
    };
    let (mut taken, mut next) = (Vec::new(), 0..);
    let refused = loop {
        let n = next.next().unwrap();
        match write(n) {
            Ok(()) => taken.push(n),
            Err(error) => break (n, error),
        }
    };
    assert_eq!(refused.1.code(), Code::Unavailable, "{}", refused.1);
    assert!(refused.1.to_string().contains("the commit failed: database or disk is full"), "{}", refused.1);
    assert!(store.is_healthy() && taken.len() > 20);
    disk.resize(100);
    let started = Instant::now();
    let more = next.find(|n| write(*n).is_ok() || started.elapsed() > wait::PATIENCE).unwrap();
    taken.push(more);
    store.close();
    let conn = rusqlite::Connection::open(&path).unwrap();
    let kept: Vec<usize> = conn
        .prepare("SELECT key FROM settings ORDER BY CAST(key AS INTEGER)")
        .unwrap()
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap()
        .map(|key| key.unwrap().parse().unwrap())
        .collect();
    assert_eq!(kept, taken, "what was answered is there, and {} is not", refused.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_another_program_fills_at_a_blow_is_outlived() {
    let Some(disk) = Disk::mount(200) else { return };
    let home = disk.home();
    let server = Server::start(home.path(), &[]).await;
    let (pid, token) = (server.pid(), server.token("admin"));
    let flow = server.publish(&token, &question(30)).await;
    let (published, is_filled) = (flow.clone(), Mutex::new(false));
    let request = move |n: usize| {
        let phone = format!("+1415{:07}", 3_000_000 + n);
        let body = json!({"flow_id": published, "phone": phone, "context": {"text": "x".repeat(10_000)}});
        ("/api/v1/actions/trigger-flow", body, phone)
    };
    let triggers = load(&server, &token, 4, request, |told| {
        let mut is_filled = is_filled.lock().unwrap();
        if !*is_filled && told.taken() >= 50 {
            disk.fill();
            *is_filled = true;
        }
        told.refused() >= 100
    })
    .await;
    wait_until_full(&server).await;
    std::fs::remove_file(disk.path("filler")).unwrap();
    wait_until_ready(&server).await;
    let more = trigger_until(&server, &token, &flow).await;
    assert_eq!(server.pid(), pid);
    compare(&disk.path("qyvo.db"), &[triggers, more], &Told::default(), &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_disk_without_a_free_byte_serves_and_goes_on() {
    let Some(disk) = Disk::mount(120) else { return };
    let home = disk.home();
    let mut server = Server::start(home.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    let before = trigger_until(&server, &token, &flow).await;
    assert_eq!(std::fs::metadata(disk.path("qyvo.db.reserve")).unwrap().len(), 4 << 20);
    // In good order, so that SQLite removes the files that it would have to make anew.
    assert!(Command::new("kill").args(["-TERM", &server.pid().to_string()]).status().unwrap().success());
    server.wait_until_dead().await;
    disk.fill();

    server.restart(&[]).await;
    assert!(!disk.path("qyvo.db.reserve").exists());
    let (status, view) = readiness(&server).await;
    assert_eq!((status, &view["reasons"][0]["code"]), (200, &json!("disk_full")), "{}", server.log());
    assert_eq!(server.trigger(&token, &flow, "+4915112345678").await.0, 503);
    let phones = before.taken.lock().unwrap().clone();
    erase(&server, &token, &phones[0]).await;
    assert_eq!(server.say(&token, &phones[1], "STOP").await["handled"], "opt_out");
    let erased = format!("/api/v1/contacts?phone={}", phones[0].replace('+', "%2B"));
    assert_eq!(server.get(&token, &erased).await["data"], json!([]));

    std::fs::remove_file(disk.path("filler")).unwrap();
    wait_until_ready(&server).await;
    assert_eq!(server.trigger(&token, &flow, "+4915112345678").await.0, 201);
    assert!(disk.path("qyvo.db.reserve").exists(), "it is made anew");
    compare(&disk.path("qyvo.db"), &[before], &Told::default(), &[phones[0].clone()]);
}

/// Copies refused because their disk is full: nothing looks like a copy, and the server notices nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_for_the_copies_harms_nothing_else() {
    let Some(disk) = Disk::mount(64) else { return };
    let home = tempfile::tempdir().unwrap();
    let copies = disk.path("copies");
    let environment = [("QYVO_BACKUP_EVERY", "1h"), ("QYVO_BACKUP_DIR", copies.to_str().unwrap())];
    let server = Server::start_with(home.path(), &[], &environment).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    let listed = async || server.get(&token, "/api/v1/backups").await;
    wait::until("a backup", async || listed().await["data"].as_array().is_some_and(|data| data.len() == 1)).await;
    let conn = rusqlite::Connection::open(home.path().join("qyvo.db")).unwrap();
    conn.busy_timeout(Duration::from_secs(20)).unwrap();
    conn.execute_batch(
        "CREATE TABLE filling (text TEXT); INSERT INTO filling WITH RECURSIVE n (i) AS
         (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT hex(zeroblob(900)) FROM n",
    )
    .unwrap();
    drop(conn);
    let callers = Callers::start(&server, &token, &flow, 2);
    callers.until(20).await;
    let names = || {
        let files = std::fs::read_dir(&copies).unwrap().chain(std::fs::read_dir(disk.path("")).unwrap());
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains(".db") && !name.ends_with(".erasures")).collect::<Vec<_>>()
    };
    assert_eq!(names().len(), 1, "{:?}", names());

    // Another program takes the room while the copy is written.
    let partial = disk.path("copy.db.partial");
    let copy = disk.path("copy.db");
    let copying = begin(home.path(), &["backup", copy.to_str().unwrap()]);
    wait::until("the copy to be under way", async || partial.metadata().is_ok_and(|file| file.len() > 0)).await;
    disk.fill();
    let copied = copying.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&copied.stderr).into_owned();
    assert!(copied.status.code() == Some(1) && said.contains("on another disk"), "{said}");
    assert_eq!(names().len(), 1, "{:?}", names());

    // It is full from the beginning.
    let answer = server.client.post(server.url("/api/v1/backups")).bearer_auth(&token).json(&json!({}));
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let body: Value = answer.json().await.unwrap();
    assert!(body["error"].as_str().unwrap().contains("The disk of the copy has"), "{body}");
    let listed = listed().await;
    assert!(listed["error"].as_str().unwrap().contains("The disk of the copy has"), "{listed}");
    assert_eq!(names().len(), 1, "{:?}", names());
    let begun = callers.begun().len();
    callers.until(begun + 20).await;
    assert_eq!(readiness(&server).await, (200, json!({"status": "ready"})));
}
