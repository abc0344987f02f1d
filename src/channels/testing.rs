//! A far side for tests: it takes what is posted, and returns the configured answers, or none at all.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the far side does with one request.
pub(super) enum Does {
    /// Answers with a status and a body.
    Answers(u16, String),
    /// Answers with a status and points elsewhere.
    Redirects(u16, String),
    /// Takes the request and closes the connection.
    Drops,
    /// Takes the request and sends no answer.
    Hangs,
    /// Answers 200, promises more of a body than it sends, and closes.
    BreaksOff(&'static str),
}

/// A request as it was received.
pub(super) struct Request {
    /// The first line, such as `POST /path HTTP/1.1`.
    pub(super) line: String,
    headers: String,
    /// The body, as it came.
    pub(super) body: Vec<u8>,
}

impl Request {
    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The far side. It answers one request after the other, each on its own connection.
pub(super) struct FarSide {
    /// Where it listens, without a slash at the end.
    pub(super) url: String,
    received: Arc<Mutex<Vec<Request>>>,
}

impl FarSide {
    /// Listens, and does in turn what `script` makes of its own URL.
    pub(super) async fn listen(script: impl FnOnce(&str) -> Vec<Does>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = script(&url);
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = received.clone();
        tokio::spawn(async move {
            let mut hanging = Vec::new();
            for does in script {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                log.lock().unwrap().push(request);
                let answer = match does {
                    Does::Answers(status, body) => head(status, body.len(), "") + &body,
                    Does::Redirects(status, url) => head(status, 0, &format!("location: {url}\r\n")),
                    Does::BreaksOff(body) => format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{body}"),
                    Does::Drops => continue,
                    Does::Hangs => {
                        hanging.push(stream);
                        continue;
                    }
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
            // The connections are held open until no client is left.
            std::future::pending::<()>().await;
        });
        Self { url, received }
    }

    /// Answers all with a status and a body.
    pub(super) async fn answering(status: u16, body: impl Into<String>) -> Self {
        let body = body.into();
        Self::listen(|_| vec![Does::Answers(status, body)]).await
    }

    /// What was received so far.
    pub(super) fn received(&self) -> Vec<Request> {
        std::mem::take(&mut self.received.lock().unwrap())
    }
}

/// An address without a listener.
pub(super) async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn head(status: u16, length: usize, further: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{further}\r\n")
}

async fn read_request(stream: &mut TcpStream) -> Request {
    let mut raw = Vec::new();
    let head_end = loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap();
        assert_ne!(read, 0, "the connection was closed within a request");
        raw.extend_from_slice(&chunk[..read]);
        if let Some(end) = raw.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8(raw[..head_end].to_vec()).unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    let mut request =
        Request { line: line.to_owned(), headers: headers.to_owned(), body: raw[head_end + 4..].to_vec() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    while request.body.len() < length {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap();
        request.body.extend_from_slice(&chunk[..read]);
    }
    request
}
