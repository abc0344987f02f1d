//! The real binary is stopped in good order while an answer of the cloud is outstanding.

use std::process::Command;

use serde_json::Value;

use crate::crash::{Mortal, patiently, until};
use crate::meta::{Delivery, Pacing};
use crate::support::PHONE;

#[actix_web::test]
async fn a_stop_waits_for_the_answer_that_is_outstanding_and_doubles_nothing() {
    // A message that were in doubt would go out again, soon and always.
    let settings = "resend = \"all\"\n[outbox]\nunknown_after = \"1s\"\n";
    let mut mortal = Mortal::start(settings, &[], Pacing::default()).await;
    let (talk, _) = mortal.publish().await;
    let phone = mortal.cloud.phone(PHONE);
    phone.say("hello");
    until("the hello", async || !mortal.cloud.posted().is_empty()).await;
    // Nothing but the answer may tell what became of the message.
    mortal.cloud.set_delivery(Delivery { delay_statuses: true, ..Delivery::default() });
    let gate = mortal.cloud.hold_next_answer();
    let (status, session) = mortal.trigger(&talk, PHONE).await.unwrap();
    assert_eq!(status, 201);
    patiently("the first message", mortal.cloud.wait_for_accepted(1)).await;

    let pid = mortal.server.pid().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    until("the port to close", async || mortal.trigger(&talk, PHONE).await.is_none()).await;
    gate.open();
    mortal.server.wait_until_dead().await;
    // The port closes before the workers are told, so the next may just have gone.
    let told = phone.texts();
    assert!(
        !told.is_empty()
            && ["One.", "Two.", "And you?"].starts_with(&told.iter().map(String::as_str).collect::<Vec<_>>()),
        "{told:?}"
    );

    mortal.restart().await;
    let log = mortal.server.log();
    assert!(!log.contains("under way when the server stopped"), "{log}");
    until("the rest", async || phone.texts().len() >= 3 && mortal.with_status("sent").await.len() >= 3).await;
    // Past the time after which a message in doubt would have gone out again.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(phone.texts(), ["One.", "Two.", "And you?"]);
    assert_eq!(mortal.with_status("unknown").await, [] as [Value; 0]);
    assert_eq!(mortal.session(session["id"].as_str().unwrap()).await["status"], "running");
    mortal.assert_at_rest().await;
}
