//! Refusals that come in a status: instead of an answer, or as well.

use super::*;

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again_after_the_channel_took_it() {
    for (code, attempts, again) in [("131000", 1, 1), ("130429", 0, 0), ("131056", 0, 1)] {
        let desk = Desk::new(whatsapp()).await;
        let session = desk.start(question(), ANA).await;
        let attempt = desk.claim_one().await;
        desk.answer(&attempt, accepted("w1")).await;
        assert_eq!(desk.told(attempt.id(), Stage::Failed, Some(code)).await, ProgressOutcome::Noted);
        let message = desk.message(attempt.id());
        let next_attempt_at = Some(desk.clock.now().plus(seconds(again)));
        assert_eq!((message.status, message.next_attempt_at), (MessageStatus::Queued, next_attempt_at), "{code}");
        assert_eq!(message.attempts, attempts, "{code}");
        assert_eq!(desk.outcome(session).0, Status::Running);
        assert_eq!(desk.heard("message.status.failed"), [] as [Value; 0]);
        assert_eq!(desk.claim().await, [], "{code}: not at once");
        desk.clock.advance(seconds(1));
        let again = desk.claim_one().await;
        assert_eq!(again.id(), attempt.id());
        desk.answer(&again, accepted("w2")).await;
        let message = desk.message(attempt.id());
        assert_eq!((message.status, message.provider_id.as_deref()), (MessageStatus::Sent, Some("w2")));
        // The first attempt's failure comes once more, and does not count against the second.
        let once_more = (Some(RefusalClass::Permanent), Some("131026"));
        let told = desk.told_of(attempt.id(), Some("w1"), Stage::Failed, once_more).await;
        assert_eq!((told, desk.message(attempt.id()).status), (ProgressOutcome::Known, MessageStatus::Sent));
    }
}

#[tokio::test]
async fn a_refusal_that_is_told_twice_spends_one_try() {
    for code in ["131000", "131056"] {
        let class = if code == "131000" { RefusalClass::Transient } else { RefusalClass::RecipientPacing };
        let desk = Desk::new(whatsapp()).await;
        let session = desk.start(question(), ANA).await;
        let attempt = desk.claim_one().await;
        desk.answer(&attempt, refused(class, code)).await;
        let before = desk.message(attempt.id());
        assert_eq!(desk.told(attempt.id(), Stage::Failed, Some(code)).await, ProgressOutcome::Known);
        assert_eq!(desk.message(attempt.id()), before);
        desk.clock.advance(seconds(1));
        let second = desk.claim_one().await;
        if code == "131000" {
            assert_eq!(desk.told(attempt.id(), Stage::Failed, Some(code)).await, ProgressOutcome::Known);
            assert_eq!(desk.message(attempt.id()).status, MessageStatus::Sending);
        }
        desk.answer(&second, accepted("w2")).await;
        assert_eq!(desk.message(attempt.id()).status, MessageStatus::Sent);
        assert_eq!(desk.outcome(session).0, Status::Running);
        assert_eq!(desk.heard("message.status.failed"), [] as [Value; 0]);
    }
}

#[tokio::test]
async fn a_failure_that_outruns_the_answer_is_not_undone_by_it() {
    let desk = Desk::new(whatsapp()).await;
    desk.start(question(), ANA).await;
    let attempt = desk.claim_one().await;
    let failure = (Some(RefusalClass::Transient), Some("131000"));
    desk.told_of(attempt.id(), Some("w1"), Stage::Failed, failure).await;
    desk.answer(&attempt, accepted("w1")).await;
    assert_eq!(desk.message(attempt.id()).status, MessageStatus::Queued);
    desk.clock.advance(seconds(1));
    let second = desk.claim_one().await;
    desk.answer(&attempt, accepted("w1")).await;
    assert_eq!(desk.message(attempt.id()).status, MessageStatus::Sending);
    desk.answer(&second, accepted("w2")).await;
    assert_eq!(desk.message(attempt.id()).status, MessageStatus::Sent);
}

#[tokio::test]
async fn a_failure_of_the_account_pauses_the_channel() {
    let desk = Desk::new(whatsapp()).await;
    let session = desk.start(question(), ANA).await;
    let attempt = desk.claim_one().await;
    desk.answer(&attempt, accepted("w1")).await;
    assert_eq!(desk.told(attempt.id(), Stage::Failed, Some("131042")).await, ProgressOutcome::Noted);
    let state = desk.runtime.channel_state().await.unwrap();
    assert_eq!((state.paused_at, state.reason.as_deref()), (Some(desk.clock.now()), Some("131042")));
    assert_eq!((desk.outcome(session).0, desk.claim().await), (Status::Running, vec![]));
    desk.runtime.resume_channel(None).await.unwrap();
    assert_eq!(desk.claim_one().await.id(), attempt.id());
}

#[tokio::test]
async fn a_failure_of_the_account_from_before_a_resume_pauses_nothing_again() {
    let desk = Desk::new(whatsapp()).await;
    desk.start(question(), ANA).await;
    let attempt = desk.claim_one().await;
    desk.answer(&attempt, accepted("w1")).await;
    let failure = desk.failure(attempt.id(), "w1", RefusalClass::ChannelDown, "131042");
    desk.runtime.note_progress(failure.clone()).await.unwrap();
    desk.clock.advance(seconds(60));
    desk.runtime.resume_channel(None).await.unwrap();
    desk.clock.advance(seconds(1));
    assert_eq!(desk.claim_one().await.id(), attempt.id());
    // The provider delivers the status once more, while the next attempt is under way.
    desk.runtime.note_progress(failure).await.unwrap();
    assert_eq!(desk.runtime.channel_state().await.unwrap().paused_at, None);
}

#[tokio::test]
async fn what_its_session_would_not_say_again_has_failed() {
    let desk = Desk::new(whatsapp()).await;
    let session = desk.start(question(), ANA).await;
    let attempt = desk.claim_one().await;
    desk.answer(&attempt, accepted("w1")).await;
    desk.runtime.handle(CancelSession { id: session, reason: "paid".to_owned() }).await.unwrap();
    desk.told(attempt.id(), Stage::Failed, Some("131000")).await;
    assert_eq!(desk.statuses(ANA), [("failed", Some("131000".to_owned()))]);
    assert_eq!(desk.heard("message.status.failed").len(), 1);
}
