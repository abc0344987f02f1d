//! The whole server over HTTP: the release binary with its default settings on a database of its own, 64 connections
//! that stay open, a trigger of a new phone number in each request; then `/healthz` on the same connections, which is
//! what HTTP alone costs. At last two batches of 10,000 triggers, the second of them beside one caller of single
//! triggers.
//!
//! The server and its client share one machine. The client is one thread that waits on all connections at once and
//! parses nothing but a status and a length, so that most of the machine is left to the server.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use qyvo::domain::{FlowId, TokenId};
use qyvo::runtime::Clock;
use qyvo::store::tokens::{NewToken, Scope, insert};
use qyvo::store::{self, Store};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

#[path = "support/server.rs"]
mod server;
#[path = "support/mod.rs"]
mod support;

use server::Server;
use support::{Bare, Phones, context, publish_sample};

/// Connections, each with one request under way.
const CONNECTIONS: usize = 64;
/// Requests of one kind at most.
const REQUESTS: usize = 20_000;
/// Time for the requests of one kind at most.
const LIMIT: Duration = Duration::from_secs(30);
/// Rows of a batch, as many as one may have.
const ROWS: usize = 10_000;
/// Commits of the bare SQL that the ratio is made with.
const BARE_COMMITS: usize = 100;

/// What a round of requests came to.
struct Round {
    per_second: f64,
    /// Milliseconds, in order.
    latencies: Vec<f64>,
}

impl Round {
    fn percentile(&self, percent: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * percent / 100).copied().unwrap_or(f64::NAN)
    }

    fn print(&self, name: &str) {
        println!(
            "{name:<22} {:>8.0} requests/s  p50 {:>7.2} ms  p95 {:>7.2} ms  p99 {:>7.2} ms  ({} requests)",
            self.per_second,
            self.percentile(50),
            self.percentile(95),
            self.percentile(99),
            self.latencies.len()
        );
    }
}

/// A connection and what has been read from it.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server takes connections");
        stream.set_nodelay(true).expect("an open socket");
        Self { stream, buffer: Vec::with_capacity(4096) }
    }

    /// Sends a request and reads its answer to the end. Gives the status.
    async fn ask(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).await.expect("an open connection");
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("an open connection");
            assert!(read > 0, "the server closed the connection");
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.buffer[..end]).expect("a head in ASCII");
                let length = head
                    .lines()
                    .filter_map(|line| line.split_once(':'))
                    .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                    .and_then(|(_, value)| value.trim().parse::<usize>().ok())
                    .expect("an answer with a length");
                if self.buffer.len() >= end + 4 + length {
                    return head[9..12].parse().expect("a status");
                }
            }
        }
    }
}

/// Sends requests on all connections until the number or the time is used up, each of which must be answered `status`.
async fn run<F>(connections: &mut Vec<Connection>, status: u16, make: F) -> Round
where
    F: Fn(&mut Phones) -> Vec<u8> + Send + Sync + 'static,
{
    let make = Arc::new(make);
    let phones = Arc::new(Mutex::new(Phones::new(Uuid::now_v7().as_u64_pair().1)));
    let sent = Arc::new(AtomicUsize::new(0));
    let clock = Instant::now();
    let tasks: Vec<_> = connections
        .drain(..)
        .map(|mut connection| {
            let (make, phones, sent) = (make.clone(), phones.clone(), sent.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::with_capacity(REQUESTS / CONNECTIONS * 2);
                while sent.fetch_add(1, Ordering::Relaxed) < REQUESTS && clock.elapsed() < LIMIT {
                    let request = make(&mut phones.lock().expect("no task panicked"));
                    let asked = Instant::now();
                    assert_eq!(connection.ask(&request).await, status);
                    latencies.push(asked.elapsed().as_secs_f64() * 1e3);
                }
                (connection, latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        let (connection, of_task) = task.await.expect("no request failed");
        connections.push(connection);
        latencies.extend(of_task);
    }
    let per_second = latencies.len() as f64 / clock.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    Round { per_second, latencies }
}

/// A database with the sample and a token, made before the server opens it.
fn prepare(folder: &Path) -> (FlowId, &'static str) {
    let secret = "qyvo_bench";
    let store = Store::open(&store::Options::new(folder.join("qyvo.db"))).expect("a new file");
    let flow_id = publish_sample(&store);
    let now = Clock::system().now();
    store
        .write_blocking(move |tx| {
            let (id, hash) = (TokenId(Uuid::now_v7()), Sha256::digest(secret).into());
            insert(
                tx,
                &NewToken { id, name: "bench", scope: Scope::Trigger, hash, hint: "qyvo_bench", rate_limit: None },
                now,
            )
        })
        .expect("a new store takes a token");
    store.close();
    (flow_id, secret)
}

fn trigger_request(flow_id: FlowId, secret: &str, context: &Value, phone: &str) -> Vec<u8> {
    let body = json!({"flow_id": flow_id, "phone": phone, "context": context}).to_string();
    post("/api/v1/actions/trigger-flow", secret, &body)
}

fn batch_request(flow_id: FlowId, secret: &str, context: &Value, phones: &mut Phones) -> Vec<u8> {
    let rows: Vec<_> = (0..ROWS).map(|_| json!({"phone": phones.next(), "context": context})).collect();
    post(&format!("/api/v1/flows/{flow_id}/trigger-batch"), secret, &Value::Array(rows).to_string())
}

fn post(path: &str, secret: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends a batch, and meanwhile single triggers on a connection of their own if there is one. Gives the rows of the
/// batch in a second, and the single triggers.
async fn run_batch(
    connection: &mut Connection,
    single: Option<&mut Connection>,
    make: impl Fn(&mut Phones) -> Vec<u8>,
    batch: Vec<u8>,
) -> (f64, Round) {
    let clock = Instant::now();
    let mut elapsed = Duration::ZERO;
    let mut latencies = Vec::new();
    let whole = async {
        assert_eq!(connection.ask(&batch).await, 200);
        elapsed = clock.elapsed();
    };
    let singles = async {
        let Some(single) = single else { return std::future::pending().await };
        let mut phones = Phones::new(Uuid::now_v7().as_u64_pair().1);
        loop {
            let request = make(&mut phones);
            let asked = Instant::now();
            assert_eq!(single.ask(&request).await, 201);
            latencies.push(asked.elapsed().as_secs_f64() * 1e3);
        }
    };
    tokio::select! {
        () = whole => {}
        () = singles => {}
    }
    let per_second = latencies.len() as f64 / elapsed.as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    (ROWS as f64 / elapsed.as_secs_f64(), Round { per_second, latencies })
}

/// Rows of triggers that the bare SQL writes in a second, as many in a commit as the server has connections.
fn bare_per_second(bare: &mut Bare) -> f64 {
    let phones: Vec<_> = (0..BARE_COMMITS).map(|_| bare.phones(CONNECTIONS)).collect();
    let clock = Instant::now();
    for phones in phones {
        bare.write(phones).expect("a commit");
    }
    let per_second = (BARE_COMMITS * CONNECTIONS) as f64 / clock.elapsed().as_secs_f64();
    bare.checkpoint_if_long().expect("a checkpoint");
    per_second
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (flow_id, secret) = prepare(folder.path());
    let mut bare = Bare::new(folder.path(), Uuid::now_v7().as_u64_pair().1);
    let bare_before = bare_per_second(&mut bare);
    let server = Server::start(folder.path(), &[("QYVO_LIMITS_REQUESTS_PER_MINUTE", "0")]);
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let values = Value::Object(context());
    let context = values.clone();
    let make = move |phones: &mut Phones| trigger_request(flow_id, secret, &context, &phones.next());
    let triggers = tokio.block_on(async {
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(&server.address).await);
        }
        let triggers = run(&mut connections, 201, make.clone()).await;
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let health = run(&mut connections, 200, move |_| request.to_vec()).await;
        triggers.print("trigger-flow");
        health.print("healthz");
        let [first, second, ..] = &mut connections[..] else { unreachable!("there are {CONNECTIONS}") };
        let mut phones = Phones::new(Uuid::now_v7().as_u64_pair().1);
        let mut batch = || batch_request(flow_id, secret, &values, &mut phones);
        let (alone, _) = run_batch(first, None, &make, batch()).await;
        println!("trigger-batch          {alone:>8.0} rows/s, alone ({ROWS} rows)");
        let (rows, singles) = run_batch(first, Some(second), &make, batch()).await;
        println!("trigger-batch          {rows:>8.0} rows/s, beside one caller of trigger-flow:");
        singles.print("  trigger-flow");
        triggers
    });
    println!("memory of the server: at most {:.1} MiB, now {:.1} MiB", server.memory("VmHWM"), server.memory("VmRSS"));
    let bare = bare_before.midpoint(bare_per_second(&mut bare));
    println!(
        "bare SQL of the same rows, {CONNECTIONS} in a commit: {bare:.0}/s, {:.2} times the requests",
        bare / triggers.per_second
    );
}
