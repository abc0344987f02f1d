//! What one token of the scope `trigger` makes of the disk in 30 seconds when it sends as much as it may, with the
//! abandoned-cart sample: batches of large rows and of small ones, one after the other, beside a client that triggers
//! with a token of its own. First that client is measured alone, for as long.
//!
//! Prints how much the database and its log have grown, how many rows were started and how many requests refused, and
//! how long the other client waited; fails where more than 300 MB were added. All of it stays on this machine.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use qyvo::credentials;
use qyvo::domain::Scope;
use qyvo::runtime::Clock;
use qyvo::store::{Options, Store};
use serde_json::{Value, json};

#[path = "support/server.rs"]
mod server;
#[path = "support/mod.rs"]
mod support;

use server::Server;
use support::Phones;

/// How long the token sends.
const SENDS: Duration = Duration::from_secs(30);
/// Megabytes by which the disk may be fuller then.
const AT_MOST: f64 = 300.0;
/// The kinds of batches: rows, and bytes of the context of each.
const KINDS: [(usize, usize); 2] = [(260, 60_000), (10_000, 60)];
/// How often the other client triggers.
const EVERY: Duration = Duration::from_millis(10);

/// A token of the scope `trigger`, made in a store that no server has open.
fn token(store: &Store, name: &'static str) -> String {
    let secret = credentials::make_token().expect("random bytes");
    let (kept, now) = (secret.clone(), Clock::system().now());
    let made = store.write_blocking(move |tx| credentials::keep_token(tx, name, Scope::Trigger, None, &kept, now));
    made.expect("a new store takes a token");
    secret
}

/// Megabytes of the database and its log.
fn on_disk(folder: &Path) -> f64 {
    let bytes = |name| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
    (bytes("qyvo.db") + bytes("qyvo.db-wal")) as f64 / 1e6
}

/// Triggers at a steady pace until it is over, and gives the milliseconds that each took, in order.
async fn other_client(base: String, token: String, flow: String, is_over: &AtomicBool, mut phones: Phones) -> Vec<f64> {
    let client = reqwest::Client::new();
    let mut waits = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let started = Instant::now();
        let body = json!({"flow_id": flow, "phone": phones.next(), "context": support::context()});
        let url = format!("{base}/api/v1/actions/trigger-flow");
        let answer = client.post(url).bearer_auth(&token).json(&body).send().await;
        waits.push(match answer {
            Ok(answer) if answer.status() == 201 => started.elapsed().as_secs_f64() * 1000.0,
            _ => f64::INFINITY,
        });
        tokio::time::sleep(EVERY.saturating_sub(started.elapsed())).await;
    }
    waits.sort_by(f64::total_cmp);
    waits
}

/// What the token came to.
#[derive(Default)]
struct Sent {
    started: u64,
    refused: u64,
}

/// Sends batches of one kind as fast as they are answered.
async fn flood(base: String, token: String, flow: String, (rows, bytes): (usize, usize), mut phones: Phones) -> Sent {
    let client = reqwest::Client::new();
    let mut sent = Sent::default();
    let begun = Instant::now();
    while begun.elapsed() < SENDS {
        let mut context = support::context();
        context.insert("text".to_owned(), json!("x".repeat(bytes)));
        let rows: Vec<Value> = (0..rows).map(|_| json!({"phone": phones.next(), "context": context.clone()})).collect();
        let url = format!("{base}/api/v1/flows/{flow}/trigger-batch");
        let Ok(answer) = client.post(url).bearer_auth(&token).json(&rows).send().await else { continue };
        if answer.status() == 200 {
            let body: Value = answer.json().await.unwrap_or_default();
            sent.started += body["started"].as_u64().unwrap_or_default();
        } else {
            sent.refused += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    sent
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn at(waits: &[f64], percent: usize) -> f64 {
    waits.get(waits.len().saturating_sub(1) * percent / 100).copied().unwrap_or(f64::NAN)
}

fn run(kinds: &'static [(usize, usize)], name: &str) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&Options::new(folder.path().join("qyvo.db"))).expect("a new file");
    let flow = support::publish_sample(&store).to_string();
    let (greedy, other) = (token(&store, "greedy"), token(&store, "other"));
    store.close();
    drop(store);
    let server = Server::start(folder.path(), &[]);
    let base = format!("http://{}", server.address);
    let before = on_disk(folder.path());
    let is_over = AtomicBool::new(false);
    let (sent, waits) = std::thread::scope(|scope| {
        let waits = scope
            .spawn(|| runtime().block_on(other_client(base.clone(), other, flow.clone(), &is_over, Phones::new(7))));
        let floods: Vec<_> = kinds
            .iter()
            .zip(1..)
            .map(|(kind, seed)| {
                let (base, greedy, flow) = (base.clone(), greedy.clone(), flow.clone());
                scope.spawn(move || {
                    runtime().block_on(flood(base, greedy, flow, *kind, Phones::new(seed * 1_000_000_007)))
                })
            })
            .collect();
        let begun = Instant::now();
        let sent = floods.into_iter().map(|flood| flood.join().expect("it does not panic"));
        let sent = sent.fold(Sent::default(), |all, one| Sent {
            started: all.started + one.started,
            refused: all.refused + one.refused,
        });
        std::thread::sleep(SENDS.saturating_sub(begun.elapsed()));
        is_over.store(true, Ordering::Relaxed);
        (sent, waits.join().expect("it does not panic"))
    });
    let grown = on_disk(folder.path()) - before;
    println!(
        "{name:<24} {grown:>7.0} MB more  {:>7} rows started  {:>5} requests refused  other client: {} triggers, \
         p50 {:.1} ms, p99 {:.1} ms, {} failed",
        sent.started,
        sent.refused,
        waits.len(),
        at(&waits, 50),
        at(&waits, 99),
        waits.iter().filter(|wait| wait.is_infinite()).count(),
    );
    drop(server);
    grown
}

fn main() {
    // The client has no cryptography of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    run(&[], "the other client alone");
    let grown = [run(&KINDS[..1], "large rows"), run(&KINDS[1..], "small rows"), run(&KINDS, "both")];
    if grown.iter().any(|grown| *grown > AT_MOST) {
        println!("over {AT_MOST} MB");
        std::process::exit(1);
    }
}
