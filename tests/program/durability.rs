//! What is answered survives `kill -9`: the real binary, killed under load and started again on its file.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::process::{Begun, Callers, Server, question};
use testkit::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test(flavor = "multi_thread")]
async fn every_answered_session_survives_a_kill_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;

    let callers = Callers::start(&server, &token, &flow, 16);
    callers.until(300).await;
    server.kill();
    let answered = callers.end().await;

    server.restart(&[]).await;
    for Begun { phone, id, .. } in &answered {
        let session = server.get(&token, &format!("/api/v1/sessions/{id}")).await;
        assert_eq!(session["status"], "running", "{phone}");
    }
    let Begun { phone, id, .. } = &answered[0];
    let again = server.trigger(&token, &flow, phone).await;
    assert_eq!((again.0, again.1["id"].as_str()), (200, Some(id.as_str())));
    let received = server.say(&token, phone, "tea").await;
    assert_eq!((&received["handled"], &received["session_id"]), (&json!("reply"), &json!(id)));
    let check = server.command(&["check"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_killed_goes_on_under_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    let rows: Value = (0..3_000).map(|n| json!({"phone": format!("+1415{n:07}")})).collect();
    let send = |server: &Server| {
        let url = server.url(&format!("/api/v1/flows/{flow}/trigger-batch"));
        server.client.post(url).bearer_auth(&token).header("Idempotency-Key", "campaign").json(&rows).send()
    };
    let sent = tokio::spawn(send(&server));
    let conn = rusqlite::Connection::open(folder.path().join("qyvo.db")).unwrap();
    let count = |sql: &str| usize::try_from(conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()).unwrap();
    while count("SELECT count(*) FROM sessions") < 200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.kill();
    assert!(sent.await.unwrap().is_err(), "it was killed before it answered");
    let before = count("SELECT count(*) FROM sessions");
    assert!(before < 3_000);

    server.restart(&[]).await;
    let answer: Value = send(&server).await.unwrap().json().await.unwrap();
    assert_eq!((&answer["started"], &answer["failed"]), (&json!(3_000), &json!(0)), "as if nothing had happened");
    let replayed = answer["results"].as_array().unwrap().iter().filter(|row| row["replayed"] == true).count();
    assert_eq!(replayed, before, "what was on the disk, and nothing else, was not done again");
    assert_eq!(count("SELECT count(*) FROM sessions"), 3_000);
    assert_eq!(count("SELECT count(*) FROM messages WHERE direction = 'out'"), 3_000, "nobody was asked twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_time_passed_while_the_server_was_down_expires_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(1)).await;
    let (_, session) = server.trigger(&token, &flow, "+14155550123").await;
    let (_, other) = server.trigger(&token, &flow, "+14155550124").await;
    server.kill();
    // The minute that passes while it is down, without waiting for it: both sessions began two minutes earlier.
    let conn = rusqlite::Connection::open(folder.path().join("qyvo.db")).unwrap();
    let moved = conn.execute(
        "UPDATE sessions SET started_at = started_at - 120000, last_interaction_at = last_interaction_at - 120000,
             expires_at = expires_at - 120000, wake_at = NULL, due_at = expires_at - 120000,
             state = json_remove(state, '$.wait.wake_at')",
        [],
    );
    assert_eq!(moved.unwrap(), 2);
    drop(conn);

    server.restart(&[]).await;
    // The first is left to the sweeper, the second is come upon by a trigger.
    let (status, anew) = server.trigger(&token, &flow, "+14155550124").await;
    assert_eq!(status, 201);
    assert_ne!(anew["id"], other["id"]);
    let path = format!("/api/v1/sessions/{}", session["id"].as_str().unwrap());
    until("the expiry", async || server.get(&token, &path).await["status"] == "expired").await;
    assert_eq!(server.trigger(&token, &flow, "+14155550123").await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let second = server.command(&["serve", "--bind", "127.0.0.1:0"]);
    let told = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1));
    assert!(told.contains(&server.pid().to_string()), "the sentence names the process: {told}");
    // The lock is the process's: it goes with it, however it went.
    let mut server = server;
    server.kill();
    server.restart(&[]).await;
}

/// Takes what is posted to it and answers 200. Gives its URL, and the id and the text of each message that came.
async fn receiver() -> (String, Arc<Mutex<Vec<(String, String)>>>) {
    async fn serve(mut stream: TcpStream, posted: Arc<Mutex<Vec<(String, String)>>>) {
        let mut request = Vec::new();
        while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&request).into_owned();
            let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
            let Ok(body) = serde_json::from_str::<Value>(body) else { continue };
            let part = |value: &Value| value.as_str().unwrap().to_owned();
            posted.lock().unwrap().push((part(&body["message_id"]), part(&body["message"]["text"])));
            request.clear();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
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
async fn the_webhook_channel_posts_again_under_one_id_what_a_crash_left_in_doubt() {
    let (url, posted) = receiver().await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("qyvo.toml");
    let text = format!("[webhook]\nurl = \"{url}\"\nsecret = \"s\"\n[outbox]\nunknown_after = \"1s\"\n");
    std::fs::write(config, text).unwrap();
    let mut server = Server::start_with(folder.path(), &[], &[("QYVO_CRASH_AT", "outbox.after_send")]).await;
    let token = server.token("admin");
    let flow = json!({"schema_version": 1, "name": "S", "entry_node": "a", "nodes": [
        {"id": "a", "type": "send_message", "text": "One", "exits": {"next": "b"}},
        {"id": "b", "type": "send_message", "text": "Two", "exits": {"next": "c"}},
        {"id": "c", "type": "end", "text": "Three"}
    ]});
    let flow = server.publish(&token, &flow).await;
    let body = json!({"flow_id": flow, "phone": "+14155550123"});
    let trigger = server.client.post(server.url("/api/v1/actions/trigger-flow")).bearer_auth(&token).json(&body);
    // The process may die before it has answered, and after the commit.
    drop(trigger.send().await);
    server.wait_until_dead().await;

    server.restart(&[]).await;
    until("all messages", async || posted.lock().unwrap().len() >= 4).await;
    let came = posted.lock().unwrap().clone();
    let texts: Vec<&str> = came.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["One", "One", "Two", "Three"]);
    assert_eq!(came[0].0, came[1].0, "the same id");
    assert_ne!(came[1].0, came[2].0);
}
