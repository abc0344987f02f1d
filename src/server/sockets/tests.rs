//! What a connection is given of its input, and when it is closed.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::{HttpService, Protocol, Request, Response};
use actix_service::{Service, ServiceFactory, fn_service};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

use super::*;

/// Bytes that the pipe between a client and the server holds, in each direction.
const PIPE: usize = 16 * 1024;
/// Bytes of an answer in these tests.
const ANSWER: usize = 4600;
const ONE: &[u8] = b"GET /one HTTP/1.1\r\nHost: x\r\n\r\n";

/// The server's side of one connection, with a handler that answers by path.
struct Served {
    client: DuplexStream,
    /// The paths and bodies of the requests that reached the handler.
    seen: Rc<RefCell<Vec<(String, usize)>>>,
    /// Whether the server is done with the connection.
    is_closed: Rc<Cell<bool>>,
}

impl Served {
    async fn start() -> Self {
        let (client, socket) = tokio::io::duplex(PIPE);
        let seen = Rc::<RefCell<Vec<(String, usize)>>>::default();
        let noted = seen.clone();
        let handler = fn_service(move |request: Request| answer(request, noted.clone()));
        let http = HttpService::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(NO_LIMIT)
            .client_disconnect_timeout(DISCONNECT)
            .on_connect_ext(|connection: &Connection<DuplexStream>, data| {
                data.insert(connection.pace());
            })
            .finish(answering(handler));
        let service = http.new_service(()).await.unwrap();
        let admitted = Peers::new(0, Vec::new()).admit(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        let connection = Connection::new(socket, PROGRESS_TIMEOUTS, admitted);
        let is_closed = Rc::<Cell<bool>>::default();
        let closed = is_closed.clone();
        actix_web::rt::spawn(async move {
            let _ = service.call((connection, Protocol::Http1, None)).await;
            closed.set(true);
        });
        Self { client, seen, is_closed }
    }

    /// Writes as much as is taken within a second, and gives how much that was.
    async fn push(&mut self, bytes: &[u8]) -> usize {
        let mut pushed = 0;
        while pushed < bytes.len() {
            match timeout(Duration::from_secs(1), self.client.write(&bytes[pushed..])).await {
                Ok(written) => pushed += written.unwrap(),
                Err(_) => break,
            }
        }
        sleep(Duration::from_millis(10)).await;
        pushed
    }

    fn requests(&self) -> usize {
        self.seen.borrow().len()
    }

    /// Seconds until the connection is closed.
    async fn seconds_open(&self) -> u64 {
        let started = Instant::now();
        while !self.is_closed.get() && started.elapsed() < Duration::from_secs(600) {
            sleep(Duration::from_secs(1)).await;
        }
        started.elapsed().as_secs()
    }
}

async fn answer(mut request: Request, seen: Rc<RefCell<Vec<(String, usize)>>>) -> actix_web::Result<Response<BoxBody>> {
    let path = request.path().to_owned();
    let mut bytes = 0;
    if path == "/later" {
        sleep(Duration::from_secs(5)).await;
    }
    if path != "/unread" {
        let mut body = request.take_payload();
        while let Some(piece) = body.next().await {
            bytes += piece?.len();
        }
    }
    seen.borrow_mut().push((path.clone(), bytes));
    match path.as_str() {
        "/never" => std::future::pending().await,
        "/slow" => sleep(Duration::from_secs(300)).await,
        _ => {}
    }
    Ok(Response::ok().set_body(BoxBody::new(vec![b'.'; if path == "/empty" { 0 } else { ANSWER }])))
}

#[actix_web::test]
async fn nothing_is_read_ahead_of_a_request_that_is_being_answered() {
    tokio::time::pause();
    let mut served = Served::start().await;
    let many = [b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(), &ONE.repeat(4000)].concat();
    let pushed = served.push(&many).await;
    assert_eq!(served.requests(), 1);
    assert!(pushed < 3 * PIPE, "{pushed} bytes were read ahead");
}

#[actix_web::test]
async fn no_request_is_taken_while_an_answer_is_not() {
    tokio::time::pause();
    for path in ["/one", "/empty"] {
        let mut served = Served::start().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let pushed = served.push(&request.as_bytes().repeat(4000)).await;
        let answer = if path == "/one" { ANSWER } else { 60 };
        let most = (2 * PIPE + 32 * 1024) / answer;
        assert!(served.requests() <= most, "{} requests of {path} were answered to nobody", served.requests());
        assert!(pushed < 4 * PIPE + served.requests() * request.len(), "{pushed} bytes were read ahead");
    }
}

#[actix_web::test]
async fn every_request_is_answered_in_turn_however_its_bytes_arrive() {
    tokio::time::pause();
    let mut sent = Vec::new();
    let mut expected = Vec::new();
    for n in 0..60 {
        let (path, body) = (format!("/{n}"), "GET / HTTP/1.1\r\n\r\nHHTTP/1.0 HTTP/1".repeat(n * 7));
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n");
        let tail = match n % 3 {
            0 => format!("Content-Length: {}\r\n\r\n{body}", body.len()),
            1 => format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len().max(1)),
            _ => format!("Expect: 100-continue\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        };
        if n % 3 == 1 && body.is_empty() {
            continue;
        }
        sent.push(format!("{head}{tail}"));
        expected.push((path, body.len()));
    }
    let sent = sent.concat().into_bytes();
    for size in [1, 7, 1000, sent.len()] {
        let served = Served::start().await;
        let (mut reader, mut writer) = tokio::io::split(served.client);
        let pieces: Vec<Vec<u8>> = sent.chunks(size).map(<[u8]>::to_vec).collect();
        actix_web::rt::spawn(async move {
            for piece in pieces {
                writer.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            writer.shutdown().await.unwrap();
        });
        let mut answers = Vec::new();
        timeout(Duration::from_secs(60), reader.read_to_end(&mut answers)).await.unwrap().unwrap();
        assert_eq!(*served.seen.borrow(), expected, "in pieces of {size}");
        let text = String::from_utf8(answers).unwrap();
        assert_eq!(text.matches("HTTP/1.1 200 OK").count(), expected.len());
    }
}

#[actix_web::test]
async fn a_connection_that_takes_all_it_is_offered_lets_others_go_on() {
    let admitted = Peers::new(0, Vec::new()).admit(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    let mut connection =
        Connection::new(tokio::io::join(tokio::io::empty(), tokio::io::sink()), PROGRESS_TIMEOUTS, admitted);
    let piece = [b'.'; 4096];
    let mut runs = vec![0];
    for _ in 0..100 {
        let written = poll_fn(|cx| Poll::Ready(Pin::new(&mut connection).poll_write(cx, &piece))).await;
        match written {
            Poll::Ready(written) => *runs.last_mut().unwrap() += written.unwrap(),
            Poll::Pending => runs.push(0),
        }
    }
    assert_eq!(runs[..5], [64 * 1024; 5]);
}

#[actix_web::test]
async fn a_large_body_comes_in_whole_and_one_that_nobody_reads_does_not() {
    tokio::time::pause();
    let bytes = 3 * 1024 * 1024;
    let mut served = Served::start().await;
    let head = |path: &str| format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {bytes}\r\n\r\n").into_bytes();
    let upload = [head("/one"), vec![b'x'; bytes]].concat();
    assert_eq!(served.push(&upload).await, upload.len());
    assert_eq!(*served.seen.borrow(), [("/one".to_owned(), bytes)]);

    let mut served = Served::start().await;
    served.push(&head("/unread")).await;
    let mut status = [0; 15];
    served.client.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
    assert!(served.seconds_open().await <= 3, "the rest of the body is not waited for");
}

#[actix_web::test]
async fn a_connection_without_a_request_is_closed() {
    tokio::time::pause();
    let begun = PROGRESS_TIMEOUTS.begun.as_secs();
    let expected = begun..=begun + 2;

    let silent = Served::start().await;
    assert!(expected.contains(&silent.seconds_open().await), "its first request never begins");

    let mut first = Served::start().await;
    first.push(b"GET /one HTTP/1.1\r\nHo").await;
    assert!(expected.contains(&first.seconds_open().await), "its first request never ends");
}

#[actix_web::test]
async fn a_connection_without_progress_is_closed() {
    tokio::time::pause();
    let begun = PROGRESS_TIMEOUTS.begun.as_secs();
    let expected = begun..=begun + 2;

    let mut unread = Served::start().await;
    unread.push(&ONE.repeat(100)).await;
    assert!(expected.contains(&unread.seconds_open().await), "its answers are not taken");

    let mut second = Served::start().await;
    second.push(ONE).await;
    second.client.read_exact(&mut [0; ANSWER]).await.unwrap();
    second.push(b"GET /one HTTP/1.1\r\nHo").await;
    assert!(expected.contains(&second.seconds_open().await), "its second request never ends");

    let mut dribble = Served::start().await;
    dribble.push(ONE).await;
    dribble.client.read_exact(&mut [0; ANSWER]).await.unwrap();
    let started = Instant::now();
    while !dribble.is_closed.get() && started.elapsed() < Duration::from_secs(600) {
        let _ = dribble.client.write(b"G").await;
        sleep(Duration::from_secs(1)).await;
    }
    assert!(expected.contains(&started.elapsed().as_secs()), "its second request comes byte by byte");

    let mut chunked = Served::start().await;
    chunked.push(b"POST /unread HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab").await;
    assert!(expected.contains(&chunked.seconds_open().await), "the rest of a body that nobody wants never comes");

    let mut part = Served::start().await;
    part.push(&[ONE, b"GET /one"].concat()).await;
    let idle = PROGRESS_TIMEOUTS.idle.as_secs();
    assert!(part.seconds_open().await <= idle + 2, "a few bytes come behind a request, and no more");
}

#[actix_web::test]
async fn a_connection_that_waits_for_its_answer_is_kept() {
    tokio::time::pause();
    let mut slow = Served::start().await;
    slow.push(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    sleep(Duration::from_secs(290)).await;
    assert!(!slow.is_closed.get());
    slow.client.read_exact(&mut [0; ANSWER]).await.unwrap();
}

#[actix_web::test]
async fn a_connection_that_waits_for_its_next_request_is_kept() {
    // Once, because actix-http measures this by a clock that does not go on with the test's.
    tokio::time::pause();
    let mut idle = Served::start().await;
    idle.push(&ONE.repeat(3)).await;
    let mut answers = vec![0; 16 * 1024];
    let mut length = 0;
    while length < 3 * ANSWER {
        let read = idle.client.read(&mut answers).await.unwrap();
        assert!(read > 0, "it was closed");
        length += read;
    }
    sleep(KEEP_ALIVE - Duration::from_secs(5)).await;
    assert!(!idle.is_closed.get());
    let more = idle.seconds_open().await;
    assert!(more <= 25, "it is closed when it has been silent for long, and not {more} s later");
}

#[actix_web::test]
async fn who_goes_away_is_noticed_while_the_answer_is_made() {
    tokio::time::pause();
    let mut served = Served::start().await;
    served.push(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(served.requests(), 1);
    let Served { client, is_closed, .. } = served;
    drop(client);
    sleep(Duration::from_secs(301)).await;
    assert!(is_closed.get());
}

#[test]
fn hundreds_of_connections_may_wait_to_be_accepted() {
    let options = Options {
        bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        connections_per_peer: 0,
        trusted_proxies: Vec::new(),
    };
    let listener = bind(&options).unwrap();
    let address = listener.local_addr().unwrap();
    let connect = |_| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(10));
    // Nobody accepts them.
    let waiting: std::io::Result<Vec<std::net::TcpStream>> = (0..400).map(connect).collect();
    assert_eq!(waiting.unwrap().len(), 400);
}

#[actix_web::test]
async fn a_client_is_told_to_go_on_when_the_body_is_asked_for() {
    tokio::time::pause();
    let told = b"HTTP/1.1 100 Continue\r\n\r\n";
    let head =
        |path: &str| format!("POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    for (path, seconds) in [("/one", 0), ("/later", 5)] {
        let mut served = Served::start().await;
        let started = Instant::now();
        served.client.write_all(head(path).as_bytes()).await.unwrap();
        let mut heard = [0; 25];
        timeout(Duration::from_secs(60), served.client.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!((&heard, started.elapsed().as_secs()), (told, seconds), "{path}");
        served.client.write_all(b"body").await.unwrap();
        let mut heard = [0; 15];
        timeout(Duration::from_secs(60), served.client.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(&heard, b"HTTP/1.1 200 OK", "{path}");
        assert_eq!(*served.seen.borrow(), [(path.to_owned(), 4)]);
    }
    // A body that nobody asks for is not waited for either.
    let mut served = Served::start().await;
    served.client.write_all(head("/unread").as_bytes()).await.unwrap();
    let mut heard = String::new();
    timeout(Duration::from_secs(60), served.client.read_to_string(&mut heard)).await.unwrap().unwrap();
    let heard = heard.to_lowercase();
    assert!(heard.starts_with("http/1.1 200 ok\r\n") && heard.contains("\r\nconnection: close\r\n"), "{heard}");
}

#[actix_web::test]
async fn the_answer_to_head_is_over_with_its_head() {
    tokio::time::pause();
    let mut served = Served::start().await;
    let requests =
        [&b"HEAD /one HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"GET /empty HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"];
    served.client.write_all(&requests.concat()).await.unwrap();
    let mut heard = String::new();
    timeout(Duration::from_secs(60), served.client.read_to_string(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard.matches("HTTP/1.1 200 OK").count(), 2, "{heard}");
    assert!(heard.contains(&format!("content-length: {ANSWER}\r\n")) && !heard.contains("...."), "{heard}");
}
