//! What the head of a request decides: `HEAD` itself, headers that came twice, and clients that wait to be told to go
//! on.

use std::collections::BTreeMap;

use qyvo::store::tokens::Scope;
use regex::Regex;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, question, secret};
use testkit::wait::patiently;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection, as a client sees it.
struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq)]
struct Head {
    status: u16,
    headers: BTreeMap<String, String>,
}

impl Wire {
    async fn connect(app: &TestApp) -> Self {
        let stream = TcpStream::connect(app.base.trim_start_matches("http://")).await.unwrap();
        Self { stream, read: Vec::new() }
    }

    async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    async fn more(&mut self) -> usize {
        patiently("an answer", self.stream.read_buf(&mut self.read)).await.unwrap()
    }

    /// The head of the next answer; what stands behind it is left.
    async fn head(&mut self) -> Head {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let text = String::from_utf8(self.read.drain(..end + 4).collect()).unwrap();
                let mut lines = text.trim_end().split("\r\n");
                let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
                let headers = lines.map(|line| line.split_once(": ").unwrap());
                let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
                return Head { status, headers };
            }
            assert_ne!(self.more().await, 0, "the connection was closed: {}", String::from_utf8_lossy(&self.read));
        }
    }

    /// The next answer with its body.
    async fn answer(&mut self) -> (Head, Vec<u8>) {
        let head = self.head().await;
        let length: usize = head.headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            assert_ne!(self.more().await, 0, "the connection was closed");
        }
        (head, self.read.drain(..length).collect())
    }

    async fn is_closed(&mut self) -> bool {
        self.more().await == 0
    }
}

/// Headers that are another's in every answer.
fn comparable(mut head: Head) -> Head {
    for name in ["x-request-id", "date", "x-ratelimit-remaining"] {
        head.headers.remove(name);
    }
    head
}

/// The paths that `GET` takes, of the table of routes, with what they need to be found.
fn paths(ids: &[(&str, &str)]) -> Vec<String> {
    let table = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/mod.rs")).unwrap();
    let row = Regex::new(r#"(?m)^    entry\(Method::GET, "([^"]+)""#).unwrap();
    let mut paths: Vec<String> = row
        .captures_iter(&table)
        .flat_map(|found| {
            let path = ids.iter().fold(found[1].to_owned(), |path, (name, id)| path.replace(name, id));
            ["/api/v1", "/v1", ""].map(|prefix| format!("{prefix}{path}"))
        })
        .collect();
    assert!(paths.len() > 100, "{paths:?}");
    paths.extend(
        ["/", "/admin", "/admin/", "/admin/old/app.css", "/admin/none.js", "/docs", "/docs/"].map(str::to_owned),
    );
    paths.extend(["/docs/swagger-ui.css", "/mcp", "/nothing", "/api/v1/actions/trigger-flow"].map(str::to_owned));
    paths
}

#[actix_web::test]
async fn the_answer_to_head_is_that_to_get_without_its_body_and_ends() {
    let app = TestApp::start().await;
    let flow = app.publish(&question(30)).await.to_string();
    app.trigger(app.publish(&question(30)).await, PHONE).await.expect(201);
    let paths = paths(&[("{id}", &flow), ("{n}", "1"), ("{name}", "simulator")]);
    for encoding in ["", "Accept-Encoding: gzip, br\r\n"] {
        // All on one connection: nothing of an answer is left on it for the next one.
        let mut wire = Wire::connect(&app).await;
        for path in &paths {
            let rest = format!(
                " {path} HTTP/1.1\r\nHost: x\r\n{encoding}Authorization: Bearer {}\r\n\r\n",
                secret(Scope::Admin)
            );
            wire.write(&format!("HEAD{rest}")).await;
            let head = wire.head().await;
            wire.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
            let (health, body) = wire.answer().await;
            assert_eq!((health.status, body), (200, br#"{"status":"ok"}"#.to_vec()), "behind HEAD {path}");
            if path.ends_with("/events") {
                // Its answer never ends. Below the root there is none.
                let found = if path == "/events" { 404 } else { 200 };
                assert_eq!((head.status, head.headers.contains_key("content-length")), (found, found == 404));
                continue;
            }
            wire.write(&format!("GET{rest}")).await;
            let (got, body) = wire.answer().await;
            let mut heads = [head, got.clone()].map(comparable);
            if path.ends_with("/stats") || path.ends_with("/metrics") {
                // They count what is going on, which is never the same twice.
                heads.iter_mut().for_each(|head| drop(head.headers.remove("content-length")));
            }
            assert_eq!(heads[0], heads[1], "{path}");
            assert_eq!(got.headers["content-length"], body.len().to_string(), "{path}");
        }
    }
}

#[actix_web::test]
async fn a_header_that_came_with_two_values_is_refused() {
    let app = TestApp::start().await;
    let flow = app.publish(&question(30)).await;
    let body = json!({"flow_id": flow, "phone": PHONE}).to_string();
    let token = format!("Bearer {}", secret(Scope::Trigger));
    let before = app.rows();
    let request = |more: &[(&str, &str)]| {
        let mut text = format!("POST /api/v1/actions/trigger-flow HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
        let usual = [("Host", "x"), ("Authorization", token.as_str()), ("Content-Type", "application/json")];
        for (name, value) in usual.iter().chain(more) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        format!("{text}\r\n{body}")
    };
    let admin = format!("Bearer {}", secret(Scope::Admin));
    for (more, named) in [
        (&[("Authorization", admin.as_str())][..], "Authorization"),
        (&[("authorization", "Bearer ")], "Authorization"),
        (&[("Content-Type", "text/plain")], "Content-Type"),
        (&[("Idempotency-Key", "one"), ("Idempotency-Key", "two")], "Idempotency-Key"),
        (&[("Idempotency-Key", "one"), ("Idempotency-Key", "")], "Idempotency-Key"),
        (&[("X-CSRF-Token", "one"), ("X-CSRF-Token", "two")], "X-CSRF-Token"),
    ] {
        // Nobody has read the body, so the connection ends.
        let mut wire = Wire::connect(&app).await;
        wire.write(&request(more)).await;
        let (head, body) = wire.answer().await;
        let text = String::from_utf8(body).unwrap();
        assert_eq!((head.status, text.contains(named)), (400, true), "{more:?}: {text}");
    }
    // What HTTP itself forbids ends the connection.
    for more in [[("Host", "y")], [("Content-Length", "1")]] {
        let mut wire = Wire::connect(&app).await;
        wire.write(&request(&more)).await;
        assert_eq!(wire.answer().await.0.status, 400, "{more:?}");
        assert!(wire.is_closed().await);
    }
    assert_eq!(app.rows(), before, "nothing was started");
    let mut wire = Wire::connect(&app).await;
    let twice = [("Authorization", token.as_str()), ("Idempotency-Key", "one"), ("Idempotency-Key", "one")];
    wire.write(&request(&twice)).await;
    assert_eq!(wire.answer().await.0.status, 201, "the same twice is one");
    wire.write(&request(&[("Accept", "text/html"), ("Accept", "application/json"), ("X-Else", "1"), ("X-Else", "2")]))
        .await;
    assert_eq!(wire.answer().await.0.status, 200, "lists have several, and of others nothing is read");
}

#[actix_web::test]
async fn who_waits_to_be_told_to_go_on_is_told_what_the_head_decides() {
    let app = TestApp::start_with(|config| config.server.max_body = "2KB".parse().unwrap()).await;
    let flow = app.publish(&question(30)).await;
    let body = json!({"flow_id": flow, "phone": PHONE}).to_string();
    let limited = app.post("/tokens", &json!({"name": "slow", "scope": "trigger", "rate_limit": 1})).await.expect(201);
    let limited = limited["token"].as_str().unwrap();
    let used_up = app.request(Method::POST, "/api/v1/actions/trigger-flow", Some(limited), Some("{}".to_owned())).await;
    used_up.expect(422);
    let trigger = secret(Scope::Trigger);
    let head = |path: &str, token: &str, more: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
        )
    };
    let json = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    let chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    for (path, token, more, status) in [
        ("/api/v1/actions/trigger-flow", "qyvo_wrong", json.as_str(), 401),
        ("/api/v1/actions/trigger-flow", "qyvo_wrong", chunked, 401),
        ("/api/v1/flows", &trigger, &json, 403),
        ("/api/v1/nothing", &trigger, &json, 404),
        ("/api/v1/dropdowns/flows", &trigger, &json, 405),
        ("/api/v1/actions/trigger-flow", &trigger, "Content-Type: application/json\r\nContent-Length: 2001\r\n", 413),
        ("/api/v1/actions/trigger-flow", &trigger, "Content-Type: text/plain\r\nContent-Length: 9\r\n", 415),
        (
            "/api/v1/actions/trigger-flow",
            &trigger,
            "Content-Type: application/json\r\nContent-Encoding: br\r\nContent-Length: 9\r\n",
            415,
        ),
        ("/api/v1/actions/trigger-flow", limited, &json, 429),
        ("/webhooks/whatsapp", &trigger, &json, 404),
        ("/mcp", "qyvo_wrong", &json, 401),
    ] {
        let mut wire = Wire::connect(&app).await;
        wire.write(&head(path, token, more)).await;
        let (answer, _) = wire.answer().await;
        assert_eq!(answer.status, status, "{path} {more}");
        // Whether the body comes all the same is the client's to choose, and nobody could tell it from a request.
        assert_eq!(answer.headers.get("connection").map(String::as_str), Some("close"), "{path} {more}");
        assert!(wire.is_closed().await, "{path} {more}");
    }
    let mut wire = Wire::connect(&app).await;
    for status in [201, 200] {
        wire.write(&head("/api/v1/actions/trigger-flow", &trigger, &json)).await;
        assert_eq!(wire.head().await.status, 100);
        wire.write(&body).await;
        let (answer, text) = wire.answer().await;
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&text));
    }
    // Some do not wait, and are told all the same or not: both are right. The connection goes on.
    wire.write(&(head("/api/v1/actions/trigger-flow", &trigger, &json) + &body)).await;
    let mut answer = wire.answer().await;
    if answer.0.status == 100 {
        answer = wire.answer().await;
    }
    let told: Value = serde_json::from_slice(&answer.1).unwrap();
    assert_eq!((answer.0.status, &told["status"]), (200, &json!("already_running")));
    // Nothing is waited for where there is no body.
    wire.write("GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n").await;
    assert_eq!(wire.answer().await.0.status, 200);
    wire.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(wire.answer().await.0.status, 200);
}

#[actix_web::test]
async fn a_browsers_preflight_is_refused() {
    let app = TestApp::start().await;
    let url = format!("{}/api/v1/actions/trigger-flow", app.base);
    let asked = app.client.request(Method::OPTIONS, url);
    let answer = asked.header("Origin", "https://shop.example").header("Access-Control-Request-Method", "POST");
    let answer = answer.send().await.unwrap();
    // 401 where a preflight, which carries no token, would be the first thing to know.
    assert_eq!(answer.status().as_u16(), 405);
    assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("access-control-")), "{answer:?}");
}
