//! What an operator does to a large file beside traffic: a backup, and deleting what is old; then compacting it.
//!
//! `cargo bench --bench operations -- backup 2048` fills a file with sessions up to so many MiB, triggers 200 times a
//! second for 30 s without a backup and then with one (three times over if it is short), and prints the waits of both.
//! `… -- retention 1000000` does the same with so many sessions of a month ago and `retention.sessions` of eight days,
//! and compacts the file at the end. `… -- soak 60` runs everything beside everything for so many minutes, see
//! `soak.rs`. The waits count from the moment at which a request was due, so that a server that stands still is not
//! spared. All of it stays on 127.0.0.1.

use std::path::Path;
use std::time::{Duration, Instant};

use qyvo::runtime::Clock;

mod filling;
#[path = "../support/server.rs"]
mod server;
mod soak;
#[path = "../support/mod.rs"]
mod support;
mod traffic;

use filling::{end_all, fill, qyvo, run};
use server::Server;
use traffic::load;

/// How long triggers are sent for comparison.
const ALONE: Duration = Duration::from_secs(30);
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
    end_all(folder);
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
            Some("soak") => soak::run(folder.path(), number(60)).await,
            Some("retention") => retention(folder.path(), number(1_000_000) as usize).await,
            _ => backup(folder.path(), number(2048)).await,
        }
    });
}
