//! What an operator does to a large file beside traffic: a backup, and deleting what is old; then compacting it.
//!
//! `cargo bench --bench operations -- backup 2048` fills a file with sessions up to so many MiB, triggers 200 times a
//! second for 30 s without a backup and then with one (three times over if it is short), and prints the waits of both.
//! `… -- retention 1000000` does the same with so many sessions of a month ago and `retention.sessions` of eight days,
//! and compacts the file at the end. The waits count from the moment at which a request was due, so that a server that
//! stands still is not spared. All of it stays on 127.0.0.1.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use qyvo::channels::Channel;
use qyvo::domain::{FlowId, Synchronous};
use qyvo::runtime::{Clock, Options, Runtime};
use qyvo::store::{self, Store};
use serde_json::json;

#[path = "support/server.rs"]
mod server;
#[path = "support/mod.rs"]
mod support;

use server::Server;
use support::{Phones, TTL, context, publish_sample, trigger};

/// Triggers a second.
const RATE: u32 = 200;
/// How long triggers are sent for comparison.
const ALONE: Duration = Duration::from_secs(30);
/// Sessions that are begun at once while a file is filled.
const AT_ONCE: usize = 512;

/// Fills a file with sessions until `is_enough` of its length and their number. Gives the flow.
async fn fill(folder: &Path, clock: &Clock, is_enough: impl Fn(u64, usize) -> bool) -> FlowId {
    let path = folder.join("qyvo.db");
    let options = store::Options { synchronous: Synchronous::Off, ..store::Options::new(&path) };
    let store = Store::open(&options).expect("a new file");
    let publishing = store.clone();
    let flow = tokio::task::spawn_blocking(move || publish_sample(&publishing)).await.expect("it does not panic");
    let runtime = Runtime::new(store.clone(), clock.clone(), Options::new(Channel::Simulator, TTL));
    let mut phones = Phones::new(1);
    let mut sessions = 0;
    let bytes = || std::fs::metadata(&path).map_or(0, |file| file.len());
    while !is_enough(bytes(), sessions) {
        let begun: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (runtime, command) = (runtime.clone(), trigger(flow, &phones.next()));
                tokio::spawn(async move { runtime.handle(command).await })
            })
            .collect();
        for one in begun {
            one.await.expect("it does not panic").expect("a trigger is taken");
        }
        sessions += AT_ONCE;
    }
    tokio::task::spawn_blocking(move || store.close()).await.expect("it does not panic");
    println!("{} MiB with {sessions} sessions", bytes() >> 20);
    flow
}

/// Waits of triggers, in milliseconds and in order.
struct Waits(Vec<f64>);

impl Waits {
    fn print(&self, name: &str) {
        let at = |percent: f64| {
            let index = (self.0.len().saturating_sub(1)) as f64 * percent / 100.0;
            self.0.get(index as usize).copied().unwrap_or(f64::NAN)
        };
        println!(
            "{name:<18} {:>6} triggers  p50 {:>7.2}  p95 {:>7.2}  p99 {:>7.2}  max {:>7.2} ms",
            self.0.len(),
            at(50.0),
            at(95.0),
            at(99.0),
            at(100.0)
        );
    }
}

/// Triggers at the rate until `is_over`.
async fn load(
    server: &Server,
    token: &str,
    flow: FlowId,
    seed: u64,
    mut is_over: impl FnMut(Instant) -> bool,
) -> Waits {
    let client = reqwest::Client::new();
    let waits = Arc::new(Mutex::new(Vec::new()));
    let mut phones = Phones::new(seed);
    let url = format!("http://{}/api/v1/actions/trigger-flow", server.address);
    let begun = Instant::now();
    let mut due = begun;
    let mut under_way = Vec::new();
    while !is_over(begun) {
        tokio::time::sleep_until(due.into()).await;
        let body = json!({"flow_id": flow, "phone": phones.next(), "context": context()});
        let request = client.post(&url).bearer_auth(token).json(&body);
        let (waits, at) = (waits.clone(), due);
        under_way.push(tokio::spawn(async move {
            let status = request.send().await.expect("an answer").status();
            assert_eq!(status.as_u16(), 201);
            waits.lock().expect("no panic").push(at.elapsed().as_secs_f64() * 1000.0);
        }));
        due += Duration::from_secs(1) / RATE;
    }
    for one in under_way {
        one.await.expect("it does not panic");
    }
    let mut waits = std::mem::take(&mut *waits.lock().expect("no panic"));
    waits.sort_by(f64::total_cmp);
    Waits(waits)
}

fn qyvo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qyvo"));
    command.current_dir(folder).args(arguments);
    command
}

/// Runs a command to its end, and gives what it printed.
fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = qyvo(folder, arguments).output().expect("the binary");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

const UNLIMITED: (&str, &str) = ("QYVO_LIMITS_REQUESTS_PER_MINUTE", "0");

async fn backup(folder: &Path, mebibytes: u64) {
    let flow = fill(folder, &Clock::system(), |bytes, _| bytes >= mebibytes << 20).await;
    let server = Server::start(folder, &[UNLIMITED]);
    let token = run(folder, &["token", "create", "--name", "bench"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    load(&server, &token, flow, 2, |begun| begun.elapsed() > ALONE).await.print("alone");
    for round in 0..3 {
        let began = Instant::now();
        let mut copying = qyvo(folder, &["backup", "copy.db"]).spawn().expect("the binary");
        let waits = load(&server, &token, flow, 3 + round, |_| copying.try_wait().expect("a child").is_some()).await;
        let took = began.elapsed().as_secs_f64();
        waits.print("beside a backup");
        let bytes = std::fs::metadata(folder.join("copy.db")).map_or(0, |file| file.len());
        let log = std::fs::metadata(folder.join("qyvo.db-wal")).map_or(0, |file| file.len());
        println!(
            "backup of {} MiB in {took:.1} s, the log has {} MiB then, the server {:.0} MiB of memory at most",
            bytes >> 20,
            log >> 20,
            server.memory("VmHWM")
        );
    }
    drop(server);
    let began = Instant::now();
    run(folder, &["restore", "copy.db"]);
    println!("restore in {:.1} s", began.elapsed().as_secs_f64());
}

async fn retention(folder: &Path, sessions: usize) {
    let month_ago = Clock::by_hand(Clock::system().now().minus(Duration::from_secs(30 * 24 * 3600)));
    let flow = fill(folder, &month_ago, |_, filled| filled >= sessions).await;
    let conn = rusqlite::Connection::open(folder.join("qyvo.db")).expect("the file");
    // As if each had run out of time.
    conn.execute_batch(
        "UPDATE sessions SET status = 'expired', ended_at = started_at, due_at = NULL, wake_at = NULL,
             waiting_for = NULL;
         PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .expect("the sessions");
    drop(conn);
    let server = Server::start(folder, &[UNLIMITED]);
    let token = run(folder, &["token", "create", "--name", "bench"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    load(&server, &token, flow, 2, |begun| begun.elapsed() > ALONE).await.print("alone");
    drop(server);
    let kept = [("QYVO_RETENTION_SESSIONS", "8days"), ("QYVO_RETENTION_MESSAGES", "8days")];
    let server = Server::start(folder, &[UNLIMITED, kept[0], kept[1]]);
    let reading = rusqlite::Connection::open(folder.join("qyvo.db")).expect("the file");
    let left = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {table} WHERE seq <= {sessions} LIMIT 1)");
        reading.query_row(&sql, [], |row| row.get(0)).expect("the file")
    };
    let (began, mut looked_at) = (Instant::now(), Instant::now());
    let waits = load(&server, &token, flow, 3, |_| {
        let is_time = looked_at.elapsed() > Duration::from_secs(1);
        if is_time {
            looked_at = Instant::now();
        }
        is_time && left("sessions") + left("messages") == 0
    })
    .await;
    waits.print("beside retention");
    println!("gone after {:.0} s", began.elapsed().as_secs_f64());
    drop((server, reading));
    println!("compact: {}", run(folder, &["compact"]));
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let number = |default: u64| arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(default);
    let folder = tempfile::tempdir().expect("a folder");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime.block_on(async {
        match arguments.first().map(String::as_str) {
            Some("retention") => retention(folder.path(), number(1_000_000) as usize).await,
            _ => backup(folder.path(), number(2048)).await,
        }
    });
}
