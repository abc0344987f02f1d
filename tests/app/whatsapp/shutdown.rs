//! The real binary is stopped in good order while an answer of the cloud is outstanding, and at once by a second
//! signal.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::app::PHONE;
use testkit::meta::{Delivery, Pacing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::whatsapp::crash::{Mortal, patiently, until};

const OTHER: &str = "+16505550177";

impl Mortal {
    fn terminate(&self) {
        let pid = self.server.pid().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Begins a request that starts a flow, until the server has read its head and waits for the body, and keeps back
    /// the last byte of that, which it gives as well.
    async fn begin_trigger(&self, flow: &str, phone: &str) -> (TcpStream, u8) {
        let body = json!({"flow_id": flow, "phone": phone}).to_string();
        let head = format!(
            "POST /api/v1/actions/trigger-flow HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\
             Connection: close\r\n\r\n",
            self.token,
            body.len()
        );
        let address = self.server.url("");
        let mut stream = TcpStream::connect(address.trim_start_matches("http://").trim_end_matches('/')).await.unwrap();
        let (last, rest) = body.as_bytes().split_last().unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut interim = [0; 25];
        patiently("the server to read", stream.read_exact(&mut interim)).await.unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(rest).await.unwrap();
        stream.flush().await.unwrap();
        (stream, *last)
    }
}

#[actix_web::test]
async fn a_stop_waits_for_the_answer_that_is_outstanding_and_sends_nothing_more() {
    // A message that were in doubt would go out again, soon and always.
    let settings = "resend = \"all\"\n[outbox]\nunknown_after = \"1s\"\n";
    let mut mortal = Mortal::start(settings, &[], Pacing::default()).await;
    let (talk, _) = mortal.publish().await;
    let (phone, other) = (mortal.cloud.phone(PHONE), mortal.cloud.phone(OTHER));
    phone.say("hello");
    until("the hello", async || !mortal.cloud.posted().is_empty()).await;
    other.say("hello");
    until("the other hello", async || mortal.cloud.posted().len() >= 2).await;
    // Nothing but the answer may tell what became of the message.
    mortal.cloud.set_delivery(Delivery { delay_statuses: true, ..Delivery::default() });
    let gate = mortal.cloud.hold_next_answer();
    let (status, session) = mortal.trigger(&talk, PHONE).await.unwrap();
    assert_eq!(status, 201);
    patiently("the first message", mortal.cloud.wait_for_accepted(1)).await;
    let (mut begun, last_byte) = mortal.begin_trigger(&talk, OTHER).await;

    mortal.terminate();
    until("the port to close", async || mortal.trigger(&talk, PHONE).await.is_none()).await;
    gate.open();
    // Time for the next message, which the answer makes room for.
    tokio::time::sleep(Duration::from_millis(500)).await;
    // A request that has begun is answered while the server stops, and what it says is kept for the next start.
    begun.write_all(&[last_byte]).await.unwrap();
    let mut answer = String::new();
    patiently("the answer", begun.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    mortal.server.wait_until_dead().await;
    assert_eq!((phone.texts(), other.texts()), (vec!["One.".to_owned()], vec![]), "something new went out");

    mortal.restart().await;
    let log = mortal.server.log();
    assert!(!log.contains("under way when the server stopped"), "{log}");
    until("the rest", async || {
        phone.texts().len() >= 3 && other.texts().len() >= 3 && mortal.with_status("sent").await.len() >= 6
    })
    .await;
    // Past the time after which a message in doubt would have gone out again.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(phone.texts(), ["One.", "Two.", "And you?"]);
    assert_eq!(other.texts(), ["One.", "Two.", "And you?"]);
    assert_eq!(mortal.with_status("unknown").await, [] as [Value; 0]);
    assert_eq!(mortal.session(session["id"].as_str().unwrap()).await["status"], "running");
    mortal.assert_at_rest().await;
}

#[actix_web::test]
async fn a_second_signal_cuts_off_what_is_under_way_and_loses_nothing() {
    // What is in doubt counts as taken, soon.
    let settings = "resend = \"none\"\n[outbox]\nunknown_after = \"1s\"\n";
    for has_request in [false, true] {
        let mut mortal = Mortal::start(settings, &[], Pacing::default()).await;
        let (talk, _) = mortal.publish().await;
        let phone = mortal.cloud.phone(PHONE);
        phone.say("hello");
        until("the hello", async || !mortal.cloud.posted().is_empty()).await;
        mortal.cloud.set_delivery(Delivery { delay_statuses: true, ..Delivery::default() });
        let gate = mortal.cloud.hold_next_answer();
        assert_eq!(mortal.trigger(&talk, PHONE).await.unwrap().0, 201);
        patiently("the first message", mortal.cloud.wait_for_accepted(1)).await;
        // With a request under way HTTP is still stopping when the second signal comes; without one it has stopped.
        let begun = if has_request { Some(mortal.begin_trigger(&talk, OTHER).await) } else { None };

        mortal.terminate();
        until("the port to close", async || mortal.trigger(&talk, PHONE).await.is_none()).await;
        if !has_request {
            // HTTP is down, and only the message is waited for, which by itself would take half a minute.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let second = Instant::now();
        mortal.terminate();
        mortal.server.wait_until_dead().await;
        // Well below the half minute that the answer of the cloud would be waited for.
        assert!(second.elapsed() < Duration::from_secs(20), "it took {:?}: {}", second.elapsed(), mortal.server.log());
        drop(begun);
        gate.open();
        assert_eq!(phone.texts(), ["One."]);

        mortal.restart().await;
        until("the rest", async || phone.texts().len() >= 3 && mortal.with_status("sent").await.len() >= 2).await;
        assert_eq!(phone.texts(), ["One.", "Two.", "And you?"]);
        assert_eq!(mortal.with_status("unknown").await.len(), 1);
        let log = mortal.server.log();
        assert!(log.contains("under way when the server stopped"), "{log}");
        mortal.assert_at_rest().await;
    }
}
