//! Events to a webhook endpoint: the release binary with its default settings, an endpoint that answers after a time,
//! and triggers of new phone numbers, each of which is one event (`session.started`) for it.
//!
//! First a queue of events is worked off at an endpoint that answers after 50 ms and at one that answers after 100 ms:
//! how many are taken in a second. Then 100 triggers a second for a while beside an endpoint of 100 ms: how long after
//! its trigger an event is taken, at most. At last what a trigger costs without an endpoint and with one.
//!
//! `QYVO_BENCH_BINARY` names another program to measure, such as that of an earlier version.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

#[path = "support/server.rs"]
mod server;
#[path = "support/mod.rs"]
mod support;

use server::Server;
use support::Phones;

/// Events that are queued before the endpoint is measured.
const QUEUED: usize = 2_000;
/// How long an endpoint is measured.
const MEASURED: Duration = Duration::from_secs(8);
/// Triggers in each second of the measurement of the lag.
const PER_SECOND: usize = 100;
/// Seconds of that measurement.
const SECONDS: usize = 15;
/// Callers at once where triggers are measured.
const CALLERS: usize = 32;

/// Sessions whose `session.started` came, and when.
type Taken = Arc<Mutex<HashMap<String, Instant>>>;

/// An endpoint that answers after a time. Gives its URL.
async fn endpoint(delay: Duration, taken: Taken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, delay, taken.clone()));
        }
    });
    url
}

async fn serve(mut stream: TcpStream, delay: Duration, taken: Taken) {
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
        let Some(at) = request.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let Ok(body) = serde_json::from_slice::<Value>(&request[at + 4..]) else { continue };
        tokio::time::sleep(delay).await;
        if let Some(id) = body["session"]["id"].as_str() {
            taken.lock().expect("no panic").entry(id.to_owned()).or_insert_with(Instant::now);
        }
        request.clear();
        if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
            return;
        }
    }
}

/// A server of its own, with one flow and a token.
struct Bench {
    _folder: tempfile::TempDir,
    server: Server,
    client: reqwest::Client,
    token: String,
    flow_id: String,
    phones: Mutex<Phones>,
}

impl Bench {
    /// All of it is made by the program that is measured, which may be an earlier version.
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = Server::start(folder.path(), &[("QYVO_LIMITS_REQUESTS_PER_MINUTE", "0")]);
        let token = server.command(folder.path(), &["token", "create", "--name", "bench", "--scope", "admin"]);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let phones = Mutex::new(Phones::new(Uuid::now_v7().as_u64_pair().1));
        let client =
            reqwest::Client::builder().pool_idle_timeout(Duration::from_millis(500)).build().expect("a client");
        let mut bench = Self { _folder: folder, server, client, token, flow_id: String::new(), phones };
        let published = bench.post("/flows/import?publish=true&accept=unreachable_node", &support::sample()).await;
        bench.flow_id = published["id"].as_str().unwrap_or_else(|| panic!("{published}")).to_owned();
        bench
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("http://{}/api/v1{path}", self.server.address);
        let mut tries = 0;
        loop {
            let sent = self.client.post(&url).bearer_auth(&self.token).json(body).send().await;
            tries += 1;
            match sent {
                Ok(answer) => return answer.json().await.expect("JSON"),
                // The server closes a connection that was idle just when it is taken again: nothing was done.
                Err(error) => assert!(tries < 5, "{error:?}"),
            }
        }
    }

    /// Makes an endpoint that is told when sessions start.
    async fn listen(&self, url: &str) {
        let made = self.post("/webhook-endpoints", &json!({"url": url, "events": ["session.started"]})).await;
        assert!(made["id"].is_string(), "{made}");
    }

    async fn trigger(&self) -> String {
        let phone = self.phones.lock().expect("no panic").next();
        let body = json!({"flow_id": self.flow_id, "phone": phone, "context": support::context()});
        let answer = self.post("/actions/trigger-flow", &body).await;
        answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Triggers so many sessions, several at once, and gives how many that are in a second.
    async fn trigger_many(self: &Arc<Self>, sessions: usize) -> f64 {
        let began = Instant::now();
        let callers = (0..CALLERS).map(|_| {
            let bench = self.clone();
            tokio::spawn(async move {
                for _ in 0..sessions / CALLERS {
                    bench.trigger().await;
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.expect("a caller");
        }
        sessions as f64 / began.elapsed().as_secs_f64()
    }
}

/// Events that an endpoint takes in a second, from a queue.
async fn rate(delay: Duration) {
    let bench = Arc::new(Bench::start().await);
    let taken = Taken::default();
    bench.listen(&endpoint(delay, taken.clone()).await).await;
    bench.trigger_many(QUEUED).await;
    let (before, began) = (taken.lock().expect("no panic").len(), Instant::now());
    while began.elapsed() < MEASURED && taken.lock().expect("no panic").len() < QUEUED / CALLERS * CALLERS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = taken.lock().expect("no panic").len() - before;
    let per_second = told as f64 / began.elapsed().as_secs_f64();
    let memory = bench.server.memory("VmHWM");
    println!(
        "endpoint of {:>3} ms: {per_second:>7.1} events/s ({told} of them), memory at most {memory:.1} MiB",
        delay.as_millis()
    );
}

/// How long after its trigger an event is taken at an endpoint of 100 ms, at so many triggers a second.
async fn lag() {
    let bench = Arc::new(Bench::start().await);
    let taken = Taken::default();
    bench.listen(&endpoint(Duration::from_millis(100), taken.clone()).await).await;
    let mut clock = tokio::time::interval(Duration::from_secs(1) / PER_SECOND as u32);
    let mut calls = Vec::new();
    for _ in 0..PER_SECOND * SECONDS {
        clock.tick().await;
        let bench = bench.clone();
        calls.push(tokio::spawn(async move {
            let began = Instant::now();
            (bench.trigger().await, began)
        }));
    }
    let mut begun = Vec::new();
    for call in calls {
        begun.push(call.await.expect("a trigger"));
    }
    let patience = Instant::now() + Duration::from_secs(10);
    while taken.lock().expect("no panic").len() < begun.len() && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let taken = taken.lock().expect("no panic");
    let mut lags: Vec<Duration> =
        begun.iter().filter_map(|(id, at)| Some(taken.get(id)?.duration_since(*at))).collect();
    lags.sort_unstable();
    let at = |share: f64| lags.get((lags.len() as f64 * share) as usize).map_or(f64::NAN, Duration::as_secs_f64);
    println!(
        "{PER_SECOND} triggers/s for {SECONDS} s, endpoint of 100 ms: {} of {} events taken 10 s later, \
         half within {:.2} s, 99 % within {:.2} s, all of them within {:.2} s",
        lags.len(),
        begun.len(),
        at(0.5),
        at(0.99),
        lags.last().map_or(f64::NAN, Duration::as_secs_f64)
    );
}

/// What triggers cost without an endpoint and with one that takes no time.
async fn triggers() {
    for listens in [false, true] {
        let bench = Arc::new(Bench::start().await);
        if listens {
            bench.listen(&endpoint(Duration::ZERO, Taken::default()).await).await;
        }
        bench.trigger_many(2_000).await;
        let per_second = bench.trigger_many(10_000).await;
        println!("trigger-flow, {} endpoint: {per_second:>7.0}/s", if listens { "one" } else { "no " });
    }
}

fn main() {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio.block_on(async {
        rate(Duration::from_millis(50)).await;
        rate(Duration::from_millis(100)).await;
        lag().await;
        triggers().await;
    });
}
