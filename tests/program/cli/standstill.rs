//! A server that stands still for a while, as in a virtual machine that is paused.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testkit::process::{Server, question};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PHONE: &str = "+14155550123";
/// Seconds that the contact has to answer.
const TIMEOUT: u64 = 5;

fn signal(server: &Server, name: &str) {
    let done = Command::new("kill").args([name, &server.pid().to_string()]).status().unwrap();
    assert!(done.success());
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// When the session's timer is due, in seconds since the epoch.
fn due_at(session: &Value) -> u64 {
    let at: qyvo::domain::Timestamp = session["wake_at"].as_str().unwrap().parse().unwrap();
    u64::try_from(at.as_millis() / 1000).unwrap()
}

fn address(server: &Server) -> String {
    server.url("/").trim_start_matches("http://").trim_end_matches('/').to_owned()
}

/// A request that ends its connection.
fn post(path: &str, token: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_request_that_lies_in_the_socket_is_answered_however_long() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    let mut stream = TcpStream::connect(address(&server)).await.unwrap();
    // It is taken, and nothing has come yet.
    server.get(&token, "/api/v1/me").await;
    signal(&server, "-STOP");
    let request = post("/api/v1/actions/trigger-flow", &token, &json!({"flow_id": flow, "phone": PHONE}));
    stream.write_all(request.as_bytes()).await.unwrap();
    // Longer than the five seconds in which actix-http would have the first request.
    tokio::time::sleep(Duration::from_secs(7)).await;
    signal(&server, "-CONT");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}\n{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_lies_in_the_socket_is_heard_before_its_timer() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let mut document = question(30);
    document["nodes"][0]["timeout_seconds"] = json!(TIMEOUT);
    document["nodes"][0]["exits"]["timeout"] = json!("good");
    let flow = server.publish(&token, &document).await;
    // A machine that is too slow to stop the server within the time is given another try.
    for _ in 0..5 {
        let (_, session) = server.trigger(&token, &flow, PHONE).await;
        let path = format!("/api/v1/sessions/{}", session["id"].as_str().unwrap());
        let session = server.get(&token, &path).await;
        if session["wake_at"].is_null() || now() + 2 > due_at(&session) {
            continue;
        }
        signal(&server, "-STOP");
        if now() >= due_at(&session) {
            signal(&server, "-CONT");
            continue;
        }
        // The kernel takes the connection and the request; the server is not there to read them.
        let body = json!({"id": uuid::Uuid::now_v7(), "from": PHONE, "type": "text", "text": "tea"});
        let mut stream = TcpStream::connect(address(&server)).await.unwrap();
        let request = post("/api/v1/inbound", &token, &body);
        stream.write_all(request.as_bytes()).await.unwrap();
        while now() < due_at(&session) + 2 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        signal(&server, "-CONT");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("\"handled\":\"reply\""), "{answer}\n{}", server.log());
        let turns = server.get(&token, &format!("{path}/turns")).await;
        assert!(turns.to_string().contains("\"exit\":\"tea\""), "{turns}");
        return;
    }
    panic!("the machine is too slow to stop a server within {TIMEOUT} s");
}
