//! The worker against a small server.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

#[tokio::test]
async fn the_worker_posts_to_the_webhook_and_stops_in_good_order() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let arrived = arrived.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                loop {
                    let read = stream.read(&mut buffer).await.unwrap_or(0);
                    if read == 0 {
                        return;
                    }
                    request.extend_from_slice(&buffer[..read]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head.lines().find_map(|line| {
                        line.to_lowercase().strip_prefix("content-length: ").and_then(|length| length.parse().ok())
                    });
                    if body.len() < length.unwrap_or(0) {
                        continue;
                    }
                    let body: Value = serde_json::from_str(body).unwrap();
                    arrived.send(body["message"]["text"].as_str().unwrap().to_owned()).unwrap();
                    request.clear();
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
                }
            });
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&crate::store::Options::new(dir.path().join("qyvo.db"))).unwrap();
    store
        .write(|tx| {
            testing::listen(tx);
            Ok(())
        })
        .await
        .unwrap();
    let runtime = Runtime::new(store.clone(), Clock::system(), Options::new(webhook(url), seconds(1800)));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = {
        let runtime = runtime.clone();
        tokio::spawn(async move { runtime.run_outbox(async move { drop(stopped.await) }).await })
    };
    let clock = runtime.clock().clone();
    let desk = Desk { store: CloseOnDrop(store), clock, runtime, dir };
    desk.start(speech(), ANA).await;
    for expected in ["One", "Two", "Three"] {
        let text = tokio::time::timeout(seconds(30), arrivals.recv()).await.unwrap().unwrap();
        assert_eq!(text, expected);
    }
    // What is under way is recorded before the worker ends.
    stop.send(()).unwrap();
    worker.await.unwrap();
    assert_eq!(desk.statuses(ANA), [("sent", None), ("sent", None), ("sent", None)]);
    assert_eq!(desk.heard("message.status.sent").len(), 3);
    assert_eq!(desk.runtime.run_outbox_once().await.unwrap(), 0);
    server.abort();
}

#[tokio::test]
async fn a_far_side_that_is_not_there_spends_no_try() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let desk = Desk::new(webhook(url)).await;
    desk.start(speech(), ANA).await;
    assert_eq!(desk.runtime.run_outbox_once().await.unwrap(), 1);
    assert_eq!(desk.runtime.run_outbox_once().await.unwrap(), 0, "it is left alone");
    let message = &desk.messages(ANA)[0];
    assert_eq!((message.status, message.attempts), (MessageStatus::Queued, 0));
    desk.clock.advance(seconds(1));
    assert_eq!(desk.runtime.run_outbox_once().await.unwrap(), 1);
}
