//! Messages in doubt, statuses of them, and sending them again.

use super::*;

#[tokio::test]
async fn after_a_restart_nobody_can_tell_and_the_policy_decides() {
    for (resend, will_retry) in [(Resend::None, false), (Resend::Texts, true), (Resend::All, true)] {
        let options = || Options { resend, ..Options::new(whatsapp(), seconds(1800)) };
        let desk = Desk::with(options()).await;
        let session = desk.start(question(), ANA).await;
        let attempt = desk.claim_one().await;
        let desk = desk.restart(options()).await;
        assert_eq!(desk.message(attempt.id()).status, MessageStatus::Unknown);
        desk.start(speech(), ANA).await;
        desk.clock.advance(seconds(59));
        assert_eq!((decide_doubts(&desk.runtime).await.unwrap(), desk.claim().await), (0, vec![]), "the lane is held");
        desk.clock.advance(seconds(1));
        assert_eq!(decide_doubts(&desk.runtime).await.unwrap(), 1);
        let next = desk.claim_one().await;
        if will_retry {
            assert_eq!((next.id(), next.number), (attempt.id(), 2), "the same id");
        } else {
            assert_eq!(next.message.content, Content::Text("One".to_owned()), "the lane goes on");
            let message = desk.message(attempt.id());
            assert_eq!((message.status, message.next_attempt_at), (MessageStatus::Unknown, None));
            assert_eq!(desk.prompted_at(session), Some(desk.clock.now()));
            let wake_at = desk.session(session).wait.unwrap().wake_at;
            assert_eq!(wake_at, Some(desk.clock.now().plus(seconds(60))));
            // Word comes all the same.
            assert_eq!(desk.told(attempt.id(), Stage::Delivered, None).await, ProgressOutcome::Noted);
            assert_eq!(desk.message(attempt.id()).status, MessageStatus::Delivered);
        }
    }
}

#[tokio::test]
async fn word_of_a_message_in_doubt_settles_it() {
    for stage in [Stage::Sent, Stage::Delivered, Stage::Read, Stage::Failed] {
        let desk = Desk::new(whatsapp()).await;
        let session = desk.start(question(), ANA).await;
        let attempt = desk.claim_one().await;
        desk.answer(&attempt, ambiguous()).await;
        desk.clock.advance(seconds(10));
        let told = desk.told(attempt.id(), stage, (stage == Stage::Failed).then_some("131026")).await;
        assert_eq!(told, ProgressOutcome::Noted);
        if stage == Stage::Failed {
            assert_eq!(desk.outcome(session), (Status::Completed, Some("lost".to_owned())));
        } else {
            assert_eq!(desk.prompted_at(session), Some(desk.clock.now()));
            assert_eq!(desk.session(session).wait.unwrap().wake_at, Some(desk.clock.now().plus(seconds(60))));
        }
        // The answer comes after all, and so does the time to decide.
        let before = desk.message(attempt.id()).status;
        desk.answer(&attempt, accepted("a1")).await;
        desk.clock.advance(seconds(60));
        assert_eq!(decide_doubts(&desk.runtime).await.unwrap(), 0);
        assert_eq!(desk.message(attempt.id()).status, before, "{stage:?}");
        assert_eq!(desk.claim().await, []);
    }
}

#[tokio::test]
async fn stages_come_in_any_order_and_are_told_once() {
    use Stage::{Delivered, Failed, Played, Read, Sent};
    // The first and the second stage, the status after both, and what was published.
    let table: &[(Stage, Stage, &str, &[&str])] = &[
        (Sent, Sent, "sent", &["sent"]),
        (Sent, Failed, "failed", &["sent", "failed"]),
        (Sent, Delivered, "delivered", &["sent", "delivered"]),
        (Sent, Read, "read", &["sent", "read"]),
        (Sent, Played, "read", &["sent", "read"]),
        (Failed, Sent, "failed", &["failed", "sent"]),
        (Failed, Failed, "failed", &["failed"]),
        (Failed, Delivered, "delivered", &["failed", "delivered"]),
        (Failed, Read, "read", &["failed", "read"]),
        (Failed, Played, "read", &["failed", "read"]),
        (Delivered, Sent, "delivered", &["delivered", "sent"]),
        (Delivered, Failed, "delivered", &["delivered"]),
        (Delivered, Delivered, "delivered", &["delivered"]),
        (Delivered, Read, "read", &["delivered", "read"]),
        (Delivered, Played, "read", &["delivered", "read"]),
        (Read, Sent, "read", &["read", "sent"]),
        (Read, Failed, "read", &["read"]),
        (Read, Delivered, "read", &["read", "delivered"]),
        (Read, Read, "read", &["read"]),
        (Read, Played, "read", &["read"]),
        (Played, Sent, "read", &["read", "sent"]),
        (Played, Failed, "read", &["read"]),
        (Played, Delivered, "read", &["read", "delivered"]),
        (Played, Read, "read", &["read"]),
        (Played, Played, "read", &["read"]),
    ];
    let desk = Desk::new(whatsapp()).await;
    for (row, (first, second, status, events)) in table.iter().enumerate() {
        desk.clock.advance(seconds(10));
        desk.start(question(), ANA).await;
        let attempt = desk.claim_one().await;
        desk.answer(&attempt, accepted(&format!("w{row}"))).await;
        for stage in [first, second, first, second] {
            desk.told(attempt.id(), *stage, (*stage == Failed).then_some("131026")).await;
        }
        let message = desk.message(attempt.id());
        assert_eq!(message.status.as_str(), *status, "{first:?} {second:?}");
        assert_eq!(message.reason.is_some(), *status == "failed", "{first:?} {second:?}");
        let all = desk.store.read(|conn| Ok(testing::told(conn))).unwrap();
        let of_message = all.iter().filter(|(_, body)| body["message_id"] == json!(attempt.id()));
        let names: Vec<&str> = of_message.filter_map(|(name, _)| name.strip_prefix("message.status.")).collect();
        assert_eq!(names, *events, "{first:?} {second:?}");
        let ids = all.iter().filter(|(_, body)| body["message_id"] == json!(attempt.id()));
        assert!(ids.into_iter().all(|(_, body)| body["whatsapp_message_id"] == format!("w{row}")));
    }
    let stranger = desk.told(MessageId(Uuid::from_u128(7)), Sent, None).await;
    assert_eq!(stranger, ProgressOutcome::UnknownMessage);
}

#[tokio::test]
async fn a_failure_after_the_session_went_on_is_kept_and_moves_nothing() {
    let desk = Desk::new(whatsapp()).await;
    let mut document = question();
    document["nodes"][0]["exits"]["timeout"] = json!("again");
    let again = json!({"id": "again", "type": "ask", "text": "Still there?", "timeout_seconds": 600, "exits": {}});
    document["nodes"].as_array_mut().unwrap().push(again);
    let session = desk.start(document, ANA).await;
    let first = desk.claim_one().await;
    desk.answer(&first, accepted("a1")).await;
    desk.clock.advance(seconds(60));
    assert_eq!(desk.runtime.run_due().await.unwrap(), 1);
    assert_eq!(desk.told(first.id(), Stage::Failed, Some("131047")).await, ProgressOutcome::Noted);
    assert_eq!(desk.outcome(session).0, Status::Running);
    assert_eq!(desk.message(first.id()).reason.as_deref(), Some("131047"));
    let second = desk.claim_one().await;
    desk.answer(&second, accepted("a2")).await;
    assert_eq!(desk.told(second.id(), Stage::Failed, Some("131047")).await, ProgressOutcome::Noted);
    assert_eq!(desk.outcome(session), (Status::Failed, Some("131047".to_owned())), "`delivery_failed` is not wired");
}

#[tokio::test]
async fn a_message_that_failed_is_sent_again_while_its_session_lives() {
    let desk = Desk::new(whatsapp()).await;
    let mut document = question();
    document["nodes"][0]["exits"]["timeout"] = json!("again");
    let again = json!({"id": "again", "type": "ask", "text": "Still there?", "timeout_seconds": 600, "exits": {}});
    document["nodes"].as_array_mut().unwrap().push(again);
    let session = desk.start(document, ANA).await;
    let first = desk.claim_one().await;
    assert_eq!(desk.runtime.retry_message(first.id()).await.unwrap(), Retried::NotFailed);
    desk.answer(&first, accepted("a1")).await;
    desk.clock.advance(seconds(60));
    desk.runtime.run_due().await.unwrap();
    desk.told(first.id(), Stage::Failed, Some("131026")).await;
    assert_eq!(desk.runtime.retry_message(first.id()).await.unwrap(), Retried::Queued);
    let once_more = desk.claim_one().await;
    assert_eq!((once_more.id(), once_more.number), (first.id(), 1), "before what was said later");
    desk.answer(&once_more, refused(RefusalClass::Permanent, "131026")).await;
    assert_eq!(desk.heard("message.status.failed").len(), 2, "it failed twice");
    desk.runtime.handle(CancelSession { id: session, reason: "paid".to_owned() }).await.unwrap();
    assert_eq!(desk.runtime.retry_message(first.id()).await.unwrap(), Retried::SessionEnded);
    assert_eq!(desk.runtime.retry_message(MessageId(Uuid::nil())).await.unwrap(), Retried::NotFound);
    assert_eq!(desk.claim().await, []);
}

#[tokio::test]
async fn an_answer_is_recorded_for_its_own_message_alone() {
    let desk = Desk::new(whatsapp()).await;
    desk.start(question(), ANA).await;
    let attempt = desk.claim_one().await;
    let earlier = Attempt { number: 0, ..attempt.clone() };
    desk.answer(&earlier, refused(RefusalClass::Permanent, "1")).await;
    assert_eq!(desk.message(attempt.id()).status, MessageStatus::Sending, "that was an earlier attempt");
    desk.answer(&attempt, accepted("a1")).await;
    desk.start(speech(), BEN).await;
    let ben = desk.claim_one().await;
    desk.answer(&ben, accepted("a1")).await;
    let message = desk.message(ben.id());
    assert_eq!((message.status, message.provider_id), (MessageStatus::Sent, None), "the id is another message's");
}

#[tokio::test]
async fn an_attempt_that_never_ends_comes_to_be_in_doubt() {
    let desk = Desk::new(whatsapp()).await;
    desk.start(question(), ANA).await;
    let attempt = desk.claim_one().await;
    desk.clock.advance(LEASE);
    assert_eq!(decide_doubts(&desk.runtime).await.unwrap(), 1);
    assert_eq!(desk.message(attempt.id()).status, MessageStatus::Unknown);
    desk.answer(&attempt, accepted("a1")).await;
    assert_eq!(desk.message(attempt.id()).status, MessageStatus::Sent, "an answer that comes late counts");
}

#[tokio::test]
async fn a_message_that_is_sent_again_has_its_own_time_and_counts_once() {
    for is_in_doubt in [false, true] {
        let options = Options { resend: Resend::None, ..Options::new(whatsapp(), seconds(1800)) };
        let desk = Desk::with(options).await;
        let mut document = question();
        document["settings"]["message_max_age_minutes"] = json!(10);
        document["nodes"][0].as_object_mut().unwrap().remove("timeout_seconds");
        document["nodes"][0]["exits"] = json!({"reply": "done", "delivery_failed": "again"});
        let again = json!({"id": "again", "type": "ask", "text": "Still there?", "exits": {}});
        document["nodes"].as_array_mut().unwrap().push(again);
        let session = desk.start(document, ANA).await;
        let attempt = desk.claim_one().await;
        if is_in_doubt {
            desk.answer(&attempt, ambiguous()).await;
            desk.clock.advance(seconds(60));
            assert_eq!(decide_doubts(&desk.runtime).await.unwrap(), 1);
        } else {
            desk.answer(&attempt, accepted("a1")).await;
            desk.clock.advance(seconds(60));
            desk.told(attempt.id(), Stage::Failed, Some("131026")).await;
        }
        let total = || {
            let seq = desk.messages(ANA)[0].contact_seq;
            desk.store.read(|conn| people::profile(conn, seq)).unwrap().unwrap().total_messages
        };
        let before = total();
        for _ in 0..2 {
            desk.clock.advance(seconds(60));
            assert_eq!(desk.runtime.retry_message(attempt.id()).await.unwrap(), Retried::Queued);
            let good_until = desk.message(attempt.id()).good_until;
            assert_eq!(good_until, Some(desk.clock.now().plus(seconds(600))), "{is_in_doubt}");
            let once_more = desk.claim_one().await;
            assert_eq!(once_more.id(), attempt.id());
            desk.answer(&once_more, accepted("a2")).await;
            assert_eq!(total(), before, "{is_in_doubt}");
            desk.told(attempt.id(), Stage::Failed, Some("131026")).await;
        }
        assert_eq!(desk.outcome(session).0, Status::Running);
    }
}
