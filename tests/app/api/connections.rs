//! Connections: how many a peer may have, and what they are like over real sockets.

use std::time::Duration;

use testkit::app::TestApp;
use testkit::wait::patiently;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.base.trim_start_matches("http://")).await.unwrap()
}

/// Whether the server answers on this connection, or has closed it.
async fn is_served(stream: &mut TcpStream) -> bool {
    if stream.write_all(HEALTH).await.is_err() {
        return false;
    }
    let mut answer = [0; 1024];
    let read = patiently("an answer", stream.read(&mut answer)).await;
    read.is_ok_and(|length| answer[..length].starts_with(b"HTTP/1.1 200 OK"))
}

#[actix_web::test]
async fn one_connection_more_than_a_peer_may_have_is_closed() {
    let app = TestApp::start_with(|config| config.server.connections_per_peer = 3).await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&app).await;
        assert!(is_served(&mut stream).await);
        kept.push(stream);
    }
    assert!(!is_served(&mut connect(&app).await).await, "the fourth is closed");
    for stream in &mut kept {
        assert!(is_served(stream).await, "those that were there first go on");
    }
    drop(kept.pop());
    // Nobody says when the server has seen the end of a connection.
    for attempt in 0.. {
        if is_served(&mut connect(&app).await).await {
            break;
        }
        assert!(attempt < 100, "who has left makes room");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[actix_web::test]
async fn connections_of_a_trusted_proxy_are_not_counted() {
    let app = TestApp::start_with(|config| {
        config.server.connections_per_peer = 1;
        config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let mut kept = Vec::new();
    for _ in 0..9 {
        let mut stream = connect(&app).await;
        assert!(is_served(&mut stream).await);
        kept.push(stream);
    }
    drop(app);
    let app = TestApp::start_with(|config| config.server.connections_per_peer = 0).await;
    for _ in 0..9 {
        let mut stream = connect(&app).await;
        assert!(is_served(&mut stream).await, "0 is no limit");
        kept.push(stream);
    }
}

/// `POST /actions/trigger-flow` and the like behind each other on one connection, as a client with a pipeline sends
/// them.
#[actix_web::test]
async fn pipelined_requests_with_bodies_are_all_answered_in_turn() {
    let app = TestApp::start().await;
    let body = r#"{"query": "HTTP/1.1"}"#;
    let head = format!(
        "POST /api/v1/actions/search-contacts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n",
        testkit::app::secret(qyvo::store::tokens::Scope::Admin),
        body.len()
    );
    let mut requests = format!("{head}{body}").repeat(50);
    requests.push_str("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let (mut reader, mut writer) = connect(&app).await.into_split();
    tokio::task::spawn_local(async move { writer.write_all(requests.as_bytes()).await.map(|()| writer) });
    let mut answers = String::new();
    patiently("the answers", reader.read_to_string(&mut answers)).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 51, "{answers}");
}
