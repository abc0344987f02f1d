//! What callers without a token can take: connections that send thousands of requests and read no answer, beside a
//! client that behaves. Then as many connections as one peer may have, and more of them from a trusted proxy.
//!
//! Prints the server's memory at its peak and 30 s after the connections have closed, and how long the other client
//! waited; fails where one of them is over its limit. All of it stays on this machine: 127.0.0.1 attacks, and
//! 127.0.0.2 is the other client.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

/// Requests that each connection sends.
const REQUESTS: usize = 4000;
/// How long the connections are held.
const HELD: Duration = Duration::from_secs(8);
/// How long after they have closed the memory is looked at again.
const AFTER: Duration = Duration::from_secs(30);
/// Milliseconds in which the other client is to be answered.
const ANSWERED_WITHIN: f64 = 50.0;
/// What is asked for: the style sheet of the page, the description of the API, and a file of 4 KB.
const FILES: [&str; 3] = ["/admin/app.css", "/api/v1/openapi.yaml", "/admin/api.js"];

/// The server, which ends with this value.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(folder: &Path, trusted: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_qyvo"))
            .args(["serve", "--bind", "127.0.0.1:0", "--database"])
            .arg(folder.join("qyvo.db"))
            .current_dir(folder)
            .env("QYVO_SERVER_TRUSTED_PROXIES", trusted)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server's binary");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("listening on http://").map(|(_, address)| address.trim().to_owned()))
            .expect("the server says where it listens");
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("server: {line}")));
        Self { child, address }
    }

    /// The memory that the server has now, in MiB.
    fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.map_or(f64::NAN, |kib| kib / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn connect(address: &str, from: &str) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(format!("{from}:0").parse().expect("an address"))?;
    socket.connect(address.parse().expect("an address")).await
}

/// Sends requests until nothing more is taken, and holds the connection without reading.
async fn attack(address: String, path: &str) {
    let Ok(mut stream) = connect(&address, "127.0.0.1").await else { return };
    let requests = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(REQUESTS);
    let _ = timeout(HELD, stream.write_all(requests.as_bytes())).await;
    sleep(HELD).await;
}

/// The milliseconds of one request on a connection of its own.
async fn probe(address: &str, from: &str) -> f64 {
    let started = Instant::now();
    let answered = async {
        let mut stream = connect(address, from).await?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<bool, std::io::Error>(answer.starts_with(b"HTTP/1.1 200"))
    };
    match timeout(Duration::from_secs(10), answered).await {
        Ok(Ok(true)) => started.elapsed().as_secs_f64() * 1000.0,
        _ => f64::INFINITY,
    }
}

/// One attack; gives whether all stayed within the limits.
async fn storm(server: &Server, path: &'static str, connections: usize, most: f64) -> bool {
    let attackers: Vec<_> = (0..connections).map(|_| tokio::spawn(attack(server.address.clone(), path))).collect();
    let (mut peak, mut slowest, mut waits): (f64, f64, Vec<f64>) = (0.0, 0.0, Vec::new());
    while attackers.iter().any(|attacker| !attacker.is_finished()) {
        let wait = probe(&server.address, "127.0.0.2").await;
        slowest = slowest.max(wait);
        waits.push(wait);
        peak = peak.max(server.memory());
        sleep(Duration::from_millis(100)).await;
    }
    sleep(AFTER).await;
    let after = server.memory();
    waits.sort_by(f64::total_cmp);
    let [median, p95] = [50, 95].map(|percent| waits.get(waits.len() * percent / 100).copied().unwrap_or(f64::NAN));
    println!(
        "{connections:>5} x {path:<24} peak {peak:>6.0} MiB  after {after:>6.0} MiB  other client p50 {median:>6.1}  \
         p95 {p95:>6.1}  max {slowest:>6.1} ms"
    );
    peak < most && after < 100.0 && p95 < ANSWERED_WITHIN
}

/// How many of so many connections that stay open are answered, twice each.
async fn keep_alive(server: &Server, connections: usize) -> usize {
    let mut open = Vec::new();
    for _ in 0..connections {
        if let Ok(stream) = connect(&server.address, "127.0.0.1").await {
            open.push(stream);
        }
    }
    let mut answered = 0;
    for stream in &mut open {
        let mut is_served = true;
        for _ in 0..2 {
            let mut answer = [0; 1024];
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
            let read = timeout(Duration::from_secs(10), stream.read(&mut answer)).await;
            is_served &= matches!(read, Ok(Ok(length)) if answer[..length].starts_with(b"HTTP/1.1 200"));
        }
        answered += usize::from(is_served);
    }
    answered
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut is_good = true;
    {
        let server = Server::start(folder.path(), "");
        println!("at start {:.0} MiB", server.memory());
        for (connections, most) in [(100, 100.0), (1000, 256.0)] {
            for path in FILES {
                is_good &= storm(&server, path, connections, most).await;
            }
        }
    }
    {
        let server = Server::start(folder.path(), "");
        let answered = keep_alive(&server, 1000).await;
        println!("{answered} of 1000 connections of one peer are served");
        is_good &= answered == 1000;
    }
    let server = Server::start(folder.path(), "127.0.0.1/32");
    let answered = keep_alive(&server, 2000).await;
    println!("{answered} of 2000 connections of a trusted proxy are served");
    is_good &= answered == 2000;
    drop(server);
    if !is_good {
        println!("over a limit");
        std::process::exit(1);
    }
}
