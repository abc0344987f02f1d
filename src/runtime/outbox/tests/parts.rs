//! What is said in several messages: order, timers, and what becomes of the rest when one of them fails.

use super::*;

/// Three paragraphs that make a message of WhatsApp each.
fn long() -> String {
    ["One", "Two", "Six"].map(|word| format!("{word} {}", "x ".repeat(1_800).trim_end())).join("\n\n")
}

/// Asks at length.
fn long_question(delivery_failed: bool) -> Value {
    let mut document = question();
    document["nodes"][0]["text"] = json!(long());
    if !delivery_failed {
        document["nodes"][0]["exits"].as_object_mut().unwrap().remove("delivery_failed");
    }
    document
}

fn beginning(attempt: &Attempt) -> &str {
    match &attempt.message.content {
        Content::Text(text) => &text[..3],
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn parts_go_one_by_one_and_the_timeout_counts_from_the_last() {
    let desk = Desk::new(whatsapp()).await;
    let session = desk.start(long_question(true), ANA).await;
    assert_eq!(desk.statuses(ANA).len(), 3);
    for (place, expected) in ["One", "Two", "Six"].into_iter().enumerate() {
        let attempt = desk.claim_one().await;
        assert_eq!(beginning(&attempt), expected);
        assert_eq!(desk.claim().await, [], "one at a time");
        desk.clock.advance(seconds(50));
        desk.runtime.run_due().await.unwrap();
        desk.answer(&attempt, accepted(&format!("w{place}"))).await;
    }
    let accepted_at = desk.clock.now();
    assert_eq!(desk.session(session).wait.unwrap().wake_at, Some(accepted_at.plus(seconds(60))));
    assert_eq!(desk.statuses(ANA), [("sent", None), ("sent", None), ("sent", None)]);
    assert_eq!(desk.heard("message.status.failed"), [] as [Value; 0]);
}

#[tokio::test]
async fn a_part_that_fails_moves_its_session_once_and_the_rest_is_dropped() {
    for is_wired in [true, false] {
        let desk = Desk::new(whatsapp()).await;
        let session = desk.start(long_question(is_wired), ANA).await;
        let first = desk.claim_one().await;
        desk.answer(&first, accepted("w1")).await;
        desk.answer(&desk.claim_one().await, refused(RefusalClass::Permanent, "131026")).await;
        let expected = if is_wired { (Status::Completed, "lost") } else { (Status::Failed, "131026") };
        assert_eq!(desk.outcome(session), (expected.0, Some(expected.1.to_owned())));
        let failed = |reason: &str| ("failed", Some(reason.to_owned()));
        assert_eq!(desk.statuses(ANA), [("sent", None), failed("131026"), failed("earlier_part_failed")]);
        let told: Vec<_> = desk.heard("message.status.failed").iter().map(|body| body["error_code"].clone()).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(desk.claim().await, []);
        let turns = desk.session(session).turn;
        desk.told(first.id(), Stage::Failed, Some("131026")).await;
        assert_eq!(desk.session(session).turn, turns, "it has heard of it");
    }
}

#[tokio::test]
async fn a_failed_part_is_sent_again_with_those_that_went_down_with_it() {
    let desk = Desk::new(whatsapp()).await;
    desk.start(long_question(true), ANA).await;
    let first = desk.claim_one().await;
    desk.answer(&first, refused(RefusalClass::Permanent, "131026")).await;
    assert_eq!(desk.statuses(ANA).iter().filter(|(status, _)| *status == "failed").count(), 3);
    assert_eq!(desk.runtime.retry_message(first.id()).await.unwrap(), Retried::Queued);
    for (place, expected) in ["One", "Two", "Six"].into_iter().enumerate() {
        let attempt = desk.claim_one().await;
        assert_eq!(beginning(&attempt), expected);
        desk.answer(&attempt, accepted(&format!("w{place}"))).await;
    }
    assert_eq!(desk.statuses(ANA), [("sent", None), ("sent", None), ("sent", None)]);
}

#[tokio::test]
async fn who_opts_out_between_two_parts_gets_no_more() {
    let desk = Desk::new(whatsapp()).await;
    let session = desk.start(long_question(true), ANA).await;
    desk.answer(&desk.claim_one().await, refused(RefusalClass::OptedOut, "131050")).await;
    assert_eq!(desk.claim().await, []);
    assert_eq!(desk.session(session).status, Status::Cancelled);
    assert!(desk.statuses(ANA).iter().all(|(status, _)| *status == "failed"));
}

#[tokio::test]
async fn the_words_of_an_agent_go_in_parts_as_well() {
    let desk = Desk::new(whatsapp()).await;
    let phone: Phone = ANA.parse().unwrap();
    let contact = desk.store.read(|conn| people::find_by_phone(conn, &phone)).unwrap().unwrap();
    let answer = crate::runtime::Answer { contact_id: contact.contact.id, text: long(), is_by_person: true };
    let crate::runtime::Answered::Queued { id } = desk.runtime.handle(answer).await.unwrap() else { panic!() };
    let first = desk.claim_one().await;
    assert_eq!((first.id(), beginning(&first)), (id, "One"));
    desk.answer(&first, refused(RefusalClass::Permanent, "131026")).await;
    assert_eq!(
        desk.statuses(ANA).iter().filter(|(_, reason)| reason.as_deref() == Some("earlier_part_failed")).count(),
        2
    );
}

#[tokio::test]
async fn the_generic_webhook_gets_as_much_as_it_takes() {
    let far_side = webhook("http://127.0.0.1:9/".to_owned());
    let Channel::Webhook(far_side) = far_side else { panic!() };
    let roomy = Arc::try_unwrap(far_side).unwrap().taking(20_000);
    for (channel, parts) in [(webhook("http://127.0.0.1:9/".to_owned()), 3), (Channel::Webhook(Arc::new(roomy)), 1)] {
        let desk = Desk::new(channel).await;
        desk.start(long_question(true), ANA).await;
        assert_eq!(desk.statuses(ANA).len(), parts);
    }
    let desk = Desk::new(Channel::Simulator).await;
    desk.start(long_question(true), ANA).await;
    assert_eq!(desk.statuses(ANA), [("simulated", None)]);
}
