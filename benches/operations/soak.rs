//! Everything beside everything, for an hour unless told otherwise: half the load of the other measurements, a backup
//! every minute, retention, the sweeper, and a webhook endpoint that fails.
//!
//! The file has already lived: it begins with as many people as will be triggered, with sessions, messages and settled
//! deliveries that are a month old. The server deletes them while the same people come again, as it would go on for
//! years. Half of these sessions are answered after a few seconds, and the others run out of time. The endpoint is
//! told when sessions end. It refuses one event in ten, and every one in the first minute of each five.
//!
//! Every ten seconds the memory, the descriptors, the file and its log are looked at; the waits of triggers and answers
//! are taken together by the minute. Writes `target/soak/soak.csv` and `target/soak/soak.svg`, and fails unless the
//! last quarter of the time is like the second one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plotters::prelude::*;
use qyvo::runtime::Clock;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::filling::{SEED, end_all, fill, run as run_command};
use crate::server::Server;
use crate::support::{Phones, context};

/// Triggers a second; half as many answers come beside them.
const RATE: u64 = 100;
/// How long after its trigger a session is answered.
const ANSWERS_AFTER: Duration = Duration::from_secs(5);
/// How often the server is looked at.
const LOOKS: Duration = Duration::from_secs(10);
/// By how much the mean of the last quarter may be over that of the second.
const FLAT: f64 = 1.1;

/// Of the waits of a minute the median, what 99 % stay below, and the longest, in milliseconds.
type Shares = (f64, f64, f64);
/// The waits of each minute, in milliseconds.
type Minutes = Arc<Mutex<Vec<Vec<f64>>>>;

/// What a look at the server found.
#[derive(Clone, Copy)]
struct Look {
    seconds: f64,
    memory_mib: f64,
    descriptors: f64,
    log_mib: f64,
    file_mib: f64,
}

/// One value of a look.
type Of = fn(&Look) -> f64;

/// What is plotted of a look, with its name.
const SERIES: [(&str, Of); 4] = [
    ("resident memory, MiB", |look| look.memory_mib),
    ("open descriptors", |look| look.descriptors),
    ("write-ahead log, MiB", |look| look.log_mib),
    ("database file, MiB", |look| look.file_mib),
];

/// Runs the hour.
pub(crate) async fn run(folder: &Path, minutes: u64) {
    let sessions = RATE * 60 * minutes;
    // Those of before have no answers: half as many more take as much room.
    let before = sessions * 3 / 2;
    let month_ago = Clock::by_hand(Clock::system().now().minus(Duration::from_secs(30 * 24 * 3600)));
    let flow = fill(folder, &month_ago, |_, filled| filled as u64 >= before).await.to_string();
    end_all(folder);
    let token = {
        let server = Server::start(folder, &[]);
        let token = run_command(folder, &["token", "create", "--name", "soak", "--scope", "admin"]);
        let url = endpoint().await;
        let body = json!({"url": url, "events": ["session.completed", "session.expired"]});
        let answer = post(&server, &token, "/webhook-endpoints", &body).await;
        assert!(answer["id"].is_string(), "{answer}");
        token
    };
    settled_deliveries(folder, sessions);

    let server = Arc::new(Server::start(
        folder,
        &[
            ("QYVO_LIMITS_REQUESTS_PER_MINUTE", "0"),
            ("QYVO_BACKUP_EVERY", "1min"),
            ("QYVO_BACKUP_KEEP", "3"),
            ("QYVO_RETENTION_SESSIONS", "8days"),
            ("QYVO_RETENTION_MESSAGES", "8days"),
        ],
    ));
    let begun = Instant::now();
    let waits = Minutes::default();
    let looking = tokio::spawn(look(server.clone(), folder.to_owned(), begun, Duration::from_secs(60 * minutes)));
    let failed = send(&server, &token, &flow, sessions, begun, &waits).await;
    let looks = looking.await.expect("it does not panic");
    let waits = std::mem::take(&mut *waits.lock().expect("no panic"));
    let shares = waits.into_iter().map(shares).collect::<Vec<_>>();
    let picture = save(&looks, &shares).expect("files in target");
    println!("{sessions} triggers, {failed} requests failed; see {}", picture.display());
    let mut is_flat = failed == 0;
    for (name, value) in SERIES {
        let quarter = |part: usize| mean(&looks[looks.len() * part / 4..looks.len() * (part + 1) / 4], value);
        let highest = looks.iter().map(value).fold(0.0, f64::max);
        let (second, last) = (quarter(1), quarter(3));
        println!("{name:<22} second quarter {second:>8.1}  last {last:>8.1}  at most {highest:>8.1}");
        is_flat &= last <= second * FLAT;
    }
    for (minute, (p50, p99, most)) in shares.iter().enumerate() {
        println!("minute {minute:>2}: p50 {p50:>7.2}  p99 {p99:>7.2}  max {most:>7.2} ms");
    }
    let copies = std::fs::read_dir(folder.join("backups")).map_or(0, Iterator::count);
    println!("{copies} files in the folder of the backups");
    if !is_flat {
        drop(server);
        std::process::exit(1);
    }
}

/// Triggers at the rate, and answers every second session. Gives how many requests were refused or lost.
async fn send(server: &Arc<Server>, token: &str, flow: &str, sessions: u64, begun: Instant, waits: &Minutes) -> u64 {
    let client = reqwest::Client::new();
    let failed = Arc::new(AtomicU64::new(0));
    let mut phones = Phones::new(SEED);
    let mut answers = tokio::task::JoinSet::new();
    for number in 0..sessions {
        let due = begun + Duration::from_secs(1) * u32::try_from(number).unwrap_or(u32::MAX) / RATE as u32;
        tokio::time::sleep_until(due.into()).await;
        let phone = phones.next();
        let request = |path: &str, body: Value| {
            client.post(format!("http://{}/api/v1{path}", server.address)).bearer_auth(token).json(&body)
        };
        let triggers = request("/actions/trigger-flow", json!({"flow_id": flow, "phone": phone, "context": context()}));
        let replies = (number.is_multiple_of(2)).then(|| {
            request("/inbound", json!({"id": format!("soak-{number}"), "from": phone, "type": "text", "text": "1"}))
        });
        let (failed, waits) = (failed.clone(), waits.clone());
        answers.spawn(async move {
            let one = async |request: reqwest::RequestBuilder, due: Instant| {
                let answer = request.send().await;
                if !answer.is_ok_and(|answer| answer.status().is_success()) {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                let mut waits = waits.lock().expect("no panic");
                let minute = (due - begun).as_secs() as usize / 60;
                if waits.len() <= minute {
                    waits.resize(minute + 1, Vec::new());
                }
                waits[minute].push(due.elapsed().as_secs_f64() * 1000.0);
            };
            one(triggers, due).await;
            if let Some(replies) = replies {
                let due = due + ANSWERS_AFTER;
                tokio::time::sleep_until(due.into()).await;
                one(replies, due).await;
            }
        });
        while answers.try_join_next().is_some() {}
    }
    while answers.join_next().await.is_some() {}
    failed.load(Ordering::Relaxed)
}

/// Looks at the server until the time is over.
async fn look(server: Arc<Server>, folder: PathBuf, begun: Instant, until: Duration) -> Vec<Look> {
    let mebibytes = |name: &str| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len()) as f64 / 1_048_576.0;
    let mut looks = Vec::new();
    let mut clock = tokio::time::interval(LOOKS);
    while begun.elapsed() < until {
        clock.tick().await;
        looks.push(Look {
            seconds: begun.elapsed().as_secs_f64(),
            memory_mib: server.memory("VmRSS"),
            descriptors: server.descriptors() as f64,
            log_mib: mebibytes("qyvo.db-wal"),
            file_mib: mebibytes("qyvo.db"),
        });
    }
    looks
}

/// Rows of events that the endpoint took or refused for good a month ago.
fn settled_deliveries(folder: &Path, rows: u64) {
    let conn = rusqlite::Connection::open(folder.join("qyvo.db")).expect("the file");
    conn.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO webhook_deliveries (id, endpoint_seq, contact_seq, event, body, status, attempts, created_at,
             updated_at)
         SELECT randomblob(16), 1, i, 'session.expired', json_object('text', hex(zeroblob(300))), 'sent', 1,
             started_at, started_at
         FROM n JOIN (SELECT min(started_at) AS started_at FROM sessions)",
        [rows as i64],
    )
    .expect("the rows");
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("the log");
}

async fn post(server: &Server, token: &str, path: &str, body: &Value) -> Value {
    let request = reqwest::Client::new().post(format!("http://{}/api/v1{path}", server.address));
    request.bearer_auth(token).json(body).send().await.expect("an answer").json().await.expect("JSON")
}

/// An endpoint that refuses one event in ten, and all in the first minute of each five. Gives its URL.
async fn endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (begun, events) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take(stream, begun, events.clone()));
        }
    });
    url
}

async fn take(mut stream: TcpStream, begun: Instant, events: Arc<AtomicU64>) {
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
        let Some(at) = request.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        if serde_json::from_slice::<Value>(&request[at + 4..]).is_err() {
            continue;
        }
        request.clear();
        let number = events.fetch_add(1, Ordering::Relaxed);
        let refuses = number.is_multiple_of(10) || (begun.elapsed().as_secs() / 60).is_multiple_of(5);
        let status = if refuses { "503 Service Unavailable" } else { "200 OK" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn shares(mut waits: Vec<f64>) -> Shares {
    waits.sort_by(f64::total_cmp);
    let at = |percent: usize| waits.get(waits.len().saturating_sub(1) * percent / 100).copied().unwrap_or(f64::NAN);
    (at(50), at(99), at(100))
}

fn mean(looks: &[Look], value: Of) -> f64 {
    looks.iter().map(value).sum::<f64>() / looks.len() as f64
}

/// Writes the table and the picture. Gives where the picture is.
fn save(looks: &[Look], shares: &[Shares]) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/soak");
    std::fs::create_dir_all(&folder)?;
    let mut table = String::from("seconds,memory_mib,descriptors,log_mib,file_mib\n");
    for Look { seconds, memory_mib, descriptors, log_mib, file_mib } in looks {
        writeln!(table, "{seconds:.0},{memory_mib:.1},{descriptors},{log_mib:.1},{file_mib:.1}")?;
    }
    std::fs::write(folder.join("soak.csv"), table)?;
    let picture = folder.join("soak.svg");
    let root = SVGBackend::new(&picture, (1000, 1250)).into_drawing_area();
    root.fill(&WHITE)?;
    let parts = root.split_evenly((5, 1));
    let by_minute = |value: fn(&Shares) -> f64| {
        shares.iter().enumerate().map(|(minute, one)| (minute as f64, value(one))).collect::<Vec<_>>()
    };
    let minutes = [by_minute(|one| one.0), by_minute(|one| one.1)];
    draw(&parts[0], "waits of a minute, ms: median (blue), p99 (red)", &minutes)?;
    for (part, (name, value)) in parts[1..].iter().zip(SERIES) {
        draw(part, name, &[looks.iter().map(|look| (look.seconds / 60.0, value(look))).collect()])?;
    }
    root.present()?;
    drop((parts, root));
    Ok(picture)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws lines over the minutes.
fn draw(area: &Area<'_>, name: &str, lines: &[Vec<(f64, f64)>]) -> Result<(), Box<dyn std::error::Error>> {
    let all = || lines.iter().flatten();
    let last = all().map(|point| point.0).fold(1.0, f64::max);
    let highest = all().map(|point| point.1).fold(1.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(name, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..last, 0.0..highest)?;
    chart.configure_mesh().light_line_style(WHITE).draw()?;
    for (points, colour) in lines.iter().zip([BLUE, RED]) {
        chart.draw_series(LineSeries::new(points.iter().copied(), colour))?;
    }
    Ok(())
}
