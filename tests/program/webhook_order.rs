//! Each contact's events come first in their order, however often the program is killed while it posts them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::process::Server;
use testkit::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Takes what is posted to it, some milliseconds later. Gives its URL and the id of each delivery, as they came.
async fn receiver() -> (String, Arc<Mutex<Vec<String>>>) {
    async fn serve(mut stream: TcpStream, posted: Arc<Mutex<Vec<String>>>) {
        let mut request = Vec::new();
        while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&request).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            if serde_json::from_str::<Value>(body).is_err() {
                continue;
            }
            let id = head.lines().find_map(|line| line.strip_prefix("x-qyvo-delivery-id: ")).unwrap();
            posted.lock().unwrap().push(id.to_owned());
            request.clear();
            tokio::time::sleep(Duration::from_millis(20)).await;
            if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
                return;
            }
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let posted = Arc::new(Mutex::new(Vec::new()));
    let shared = posted.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, shared.clone()));
        }
    });
    (url, posted)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_each_contact_keep_their_order_over_kills_under_load() {
    const PEOPLE: usize = 40;
    let (url, posted) = receiver().await;
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    // Three events at once for each trigger: a session starts, says something, and is completed.
    let flow = json!({"schema_version": 1, "name": "S", "entry_node": "a", "nodes": [
        {"id": "a", "type": "send_message", "text": "One", "exits": {"next": "b"}},
        {"id": "b", "type": "end"}
    ]});
    let flow = server.publish(&token, &flow).await;
    server.send(&token, "POST", "/api/v1/webhook-endpoints", &json!({"url": url})).await;
    for _ in 0..5 {
        let (client, at) = (server.client.clone(), server.url("/api/v1/actions/trigger-flow"));
        let (bearer, flow) = (token.clone(), flow.clone());
        let calling = tokio::spawn(async move {
            for n in (0..PEOPLE).cycle() {
                let body = json!({"flow_id": flow, "phone": format!("+1415555{n:04}")});
                if client.post(&at).bearer_auth(&bearer).json(&body).send().await.is_err() {
                    return;
                }
            }
        });
        let before = posted.lock().unwrap().len();
        until("some events to be posted", async || posted.lock().unwrap().len() >= before + 100).await;
        server.kill();
        calling.await.unwrap();
        server.restart(&[]).await;
    }
    let conn = rusqlite::Connection::open(folder.path().join("qyvo.db")).unwrap();
    until("all events to be taken", async || {
        let sql = "SELECT count(*) FROM webhook_deliveries WHERE status <> 'sent'";
        conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() == 0
    })
    .await;

    let mut statement = conn.prepare("SELECT id, contact_seq, seq FROM webhook_deliveries").unwrap();
    let rows = statement.query_map([], |row| {
        Ok((uuid::Uuid::from_bytes(row.get(0)?).to_string(), (row.get::<_, Option<i64>>(1)?, row.get::<_, i64>(2)?)))
    });
    let rows: BTreeMap<String, (Option<i64>, i64)> = rows.unwrap().map(Result::unwrap).collect();
    let mut known = BTreeSet::new();
    let mut last: BTreeMap<Option<i64>, i64> = BTreeMap::new();
    for id in posted.lock().unwrap().iter().filter(|id| known.insert((*id).clone())) {
        let (contact, seq) = rows[id];
        let before = last.insert(contact, seq).unwrap_or_default();
        assert!(before < seq, "delivery {seq} of contact {contact:?} came first after {before}");
    }
    assert_eq!(known.len(), rows.len(), "all of them came");
    assert!(last.len() > PEOPLE && rows.len() > 4 * 100, "{} events of {} lanes", rows.len(), last.len());
}
