//! A web site on this machine, for tests of what calls out.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its first line, such as `GET / HTTP/1.1`.
    pub line: String,
    /// Its headers, with names in lowercase.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Seen {
    /// Its path with the query.
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }

    /// A header by its lowercase name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

type Handler = Arc<dyn Fn(&Seen) -> Vec<u8> + Send + Sync>;

/// A site that answers each connection once; gone when dropped.
pub struct Site {
    address: std::net::SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    arrived: Arc<Notify>,
    serving: JoinHandle<()>,
}

impl Site {
    /// Starts on a free port of 127.0.0.1.
    pub async fn start(handler: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1", handler).await
    }

    /// At an address with or without a port.
    pub async fn start_at(at: &str, handler: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::serve(at, Arc::new(handler), None, false).await
    }

    /// One that answers each request only when the gate lets one through.
    pub async fn start_slow(gate: Arc<Notify>, handler: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::serve("127.0.0.1", Arc::new(handler), Some(gate), false).await
    }

    /// One that never closes a connection, whatever it has announced.
    pub async fn start_open(handler: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::serve("127.0.0.1", Arc::new(handler), None, true).await
    }

    async fn serve(at: &str, handler: Handler, gate: Option<Arc<Notify>>, stays_open: bool) -> Self {
        let at = if at.contains(':') { at.to_owned() } else { format!("{at}:0") };
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, arrived) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let (kept, rung) = (seen.clone(), arrived.clone());
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (kept, rung, handler, gate) = (kept.clone(), rung.clone(), handler.clone(), gate.clone());
                tokio::spawn(async move {
                    let Some(request) = read(&mut stream).await else { return };
                    kept.lock().unwrap().push(request.clone());
                    rung.notify_one();
                    if let Some(gate) = gate {
                        gate.notified().await;
                    }
                    // Whoever has heard enough hangs up.
                    let _ = stream.write_all(&handler(&request)).await;
                    if stays_open {
                        let _ = stream.read(&mut [0; 1]).await;
                    }
                });
            }
        });
        Self { address, seen, arrived, serving }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until this many requests have arrived.
    pub async fn wait_for(&self, requests: usize) {
        while self.seen.lock().unwrap().len() < requests {
            self.arrived.notified().await;
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut lines = text.lines();
    let line = lines.next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    while bytes.len() < head + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[head + 4..].to_vec()).unwrap();
    Some(Seen { line, headers, body })
}

/// An answer after which the connection is closed.
pub fn answer(status: u16, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
