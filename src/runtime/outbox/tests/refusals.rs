//! What each class of refusal calls for, and how the channel as a whole is held back or paused.

use super::*;

#[tokio::test]
async fn refusals_are_taken_by_their_class() {
    use RefusalClass::{ChannelPacing, Permanent, RecipientPacing, Transient, Unreachable, WindowClosed};
    // What is refused, in how many seconds it goes out again, and attempts that count then.
    for (class, again, attempts) in [
        (RecipientPacing, Some(1), 0),
        (ChannelPacing, Some(0), 0),
        (Unreachable, Some(0), 0),
        (Transient, Some(1), 1),
        (WindowClosed, None, 1),
        (Permanent, None, 1),
    ] {
        let desk = Desk::new(whatsapp()).await;
        let session = desk.start(question(), ANA).await;
        let attempt = desk.claim_one().await;
        desk.answer(&attempt, refused(class, "1234")).await;
        let message = desk.message(attempt.id());
        assert_eq!(message.attempts, attempts, "{class:?}");
        assert_eq!(message.error.as_deref(), Some("(1234)"), "{class:?}");
        match again {
            Some(again) => {
                assert_eq!(message.status, MessageStatus::Queued, "{class:?}");
                assert_eq!(message.next_attempt_at, Some(desk.clock.now().plus(seconds(again))), "{class:?}");
                assert_eq!(desk.outcome(session).0, Status::Running);
                assert_eq!(desk.heard("message.status.failed"), [] as [Value; 0]);
                desk.clock.advance(seconds(1));
                assert_eq!(desk.claim_one().await.id(), attempt.id(), "{class:?}");
            }
            None => {
                assert_eq!((message.status, message.reason.as_deref()), (MessageStatus::Failed, Some("1234")));
                assert_eq!(desk.outcome(session), (Status::Completed, Some("lost".to_owned())), "{class:?}");
                let heard = desk.heard("message.status.failed");
                assert_eq!(heard.len(), 1);
                assert_eq!(heard[0]["message_id"], json!(attempt.id()));
                assert_eq!((&heard[0]["error_code"], &heard[0]["error_message"]), (&json!("1234"), &json!("(1234)")));
            }
        }
        assert_eq!(desk.runtime.channel_state().await.unwrap().paused_at, None);
    }
}

#[tokio::test]
async fn a_message_is_tried_eight_times_with_growing_pauses() {
    let desk = Desk::new(whatsapp()).await;
    let session = desk.start(question(), ANA).await;
    for attempt_number in 1..=8_u32 {
        let attempt = desk.claim_one().await;
        assert_eq!(attempt.number, attempt_number);
        desk.answer(&attempt, refused(RefusalClass::Transient, "131000")).await;
        let message = desk.message(attempt.id());
        if attempt_number == 8 {
            assert_eq!((message.status, message.reason.as_deref()), (MessageStatus::Failed, Some("131000")));
            break;
        }
        let pause = message.next_attempt_at.unwrap().since(desk.clock.now());
        let longest = seconds(60.min(1 << (attempt_number - 1)));
        assert!(pause <= longest && pause >= longest / 2, "{attempt_number}: {pause:?}");
        desk.clock.advance(pause - Duration::from_millis(1));
        assert_eq!(desk.claim().await, []);
        // Another contact's message is taken meanwhile, so the cause is the message.
        desk.say(BEN, Origin::Agent, "Hi").await;
        desk.answer(&desk.claim_one().await, accepted(&format!("b{attempt_number}"))).await;
        desk.clock.advance(Duration::from_millis(1));
    }
    assert_eq!(desk.outcome(session), (Status::Completed, Some("lost".to_owned())));
}

#[tokio::test]
async fn a_person_who_gets_too_much_holds_up_nobody_else() {
    let desk = Desk::new(whatsapp()).await;
    desk.start(speech(), ANA).await;
    for (round, held) in [1, 4, 16, 64, 256, 300, 300].into_iter().enumerate() {
        let attempt = desk.claim_one().await;
        desk.answer(&attempt, refused(RefusalClass::RecipientPacing, "131056")).await;
        desk.clock.advance(seconds(held) - Duration::from_millis(1));
        assert_eq!(desk.claim().await, []);
        desk.start(question(), BEN).await;
        desk.answer(&desk.claim_one().await, accepted(&format!("b{round}"))).await;
        desk.clock.advance(Duration::from_millis(1));
    }
    desk.answer(&desk.claim_one().await, accepted("a1")).await;
    desk.answer(&desk.claim_one().await, refused(RefusalClass::RecipientPacing, "131056")).await;
    desk.clock.advance(seconds(1));
    assert_eq!(desk.claim_one().await.message.content, Content::Text("Two".to_owned()), "counted anew");
}

#[tokio::test]
async fn a_channel_that_cannot_be_reached_is_probed_before_the_flood() {
    let desk = Desk::new(whatsapp()).await;
    desk.start(speech(), ANA).await;
    desk.start(speech(), BEN).await;
    let batch = claim(&desk.runtime, 0).await.unwrap();
    let (round, attempts) = (batch.round, batch.claimed.attempts);
    assert_eq!(attempts.len(), 2);
    for attempt in &attempts {
        record(&desk.runtime, attempt, refused(RefusalClass::Unreachable, "unreachable"), round).await;
    }
    let state = desk.runtime.channel_state().await.unwrap();
    assert_eq!(state.held_until, Some(desk.clock.now().plus(seconds(1))), "two at once count once");
    assert_eq!(desk.claim().await, []);
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let held_until = desk.runtime.channel_state().await.unwrap().held_until.unwrap();
        pauses.push(held_until.since(desk.clock.now()));
        desk.clock.set(held_until);
        let probe = desk.claim_one().await;
        assert_eq!(probe.number, 1, "no try is spent");
        desk.answer(&probe, refused(RefusalClass::Unreachable, "unreachable")).await;
    }
    for (pause, longest) in pauses.iter().zip([1, 2, 4, 8, 16, 30, 30].map(seconds)) {
        assert!(*pause <= longest && *pause >= longest / 2, "{pauses:?}");
    }
    desk.clock.advance(seconds(30));
    desk.answer(&desk.claim_one().await, accepted("a1")).await;
    assert_eq!(desk.claim().await.len(), 2, "it answers");
    assert_eq!(desk.runtime.channel_state().await.unwrap().held_until, None);
}

#[tokio::test]
async fn a_far_side_that_asks_for_time_gets_it() {
    let desk = Desk::new(whatsapp()).await;
    desk.start(speech(), ANA).await;
    let attempt = desk.claim_one().await;
    let refusal = Refusal {
        class: RefusalClass::ChannelPacing,
        code: "130429".to_owned(),
        text: String::new(),
        retry_after: Some(seconds(90)),
    };
    desk.answer(&attempt, Sent::Refused(refusal)).await;
    desk.clock.advance(seconds(89));
    assert_eq!(desk.claim().await, []);
    desk.clock.advance(seconds(1));
    assert_eq!(desk.claim().await.len(), 1);
}

#[tokio::test]
async fn a_channel_that_is_down_is_paused_and_loses_nothing() {
    let desk = Desk::new(whatsapp()).await;
    let ana = desk.start(question(), ANA).await;
    let ben = desk.start(question(), BEN).await;
    let carl = "+14155550125";
    desk.add_contact(carl).await;
    desk.start(question(), carl).await;
    let attempts = desk.claim().await;
    // The third answer is late.
    for attempt in &attempts[..2] {
        desk.answer(attempt, refused(RefusalClass::ChannelDown, "190")).await;
    }
    let state = desk.runtime.channel_state().await.unwrap();
    assert_eq!((state.paused_at, state.reason.as_deref()), (Some(desk.clock.now()), Some("190")));
    assert_eq!(desk.heard("channel.paused").len(), 1);
    assert_eq!(desk.message(attempts[0].id()).attempts, 0);
    desk.clock.advance(seconds(60));
    assert_eq!((desk.claim().await, desk.runtime.run_outbox_once().await.unwrap()), (vec![], 0));
    desk.runtime.handle(CancelSession { id: ben, reason: "paid".to_owned() }).await.unwrap();
    assert!(!desk.runtime.pause_channel("operator".to_owned(), None, None).await.unwrap());
    assert!(desk.runtime.set_access_token("new".to_owned()).await.unwrap());
    assert_eq!(desk.heard("channel.resumed").len(), 1);
    let again = desk.claim_one().await;
    assert_eq!((desk.session(ana).status, again.number), (Status::Running, 1));
    assert_eq!(desk.statuses(BEN), [("failed", Some("session_ended".to_owned()))]);
    desk.answer(&attempts[2], refused(RefusalClass::ChannelDown, "190")).await;
    assert_eq!(desk.runtime.channel_state().await.unwrap().paused_at, None, "that was the old token");
    let carls = desk.claim_one().await;
    assert_eq!(carls.id(), attempts[2].id());
    desk.clock.advance(seconds(1));
    desk.answer(&again, refused(RefusalClass::ChannelDown, "131042")).await;
    assert!(desk.runtime.channel_state().await.unwrap().paused_at.is_some());
    assert!(!desk.runtime.set_access_token("newer".to_owned()).await.unwrap(), "a token pays no bill");
    assert!(desk.runtime.resume_channel(None).await.unwrap() && !desk.runtime.resume_channel(None).await.unwrap());
    assert_eq!(desk.claim_one().await.id(), again.id());
}

#[tokio::test]
async fn who_told_the_channel_to_stop_is_not_written_to_again() {
    for by_status in [false, true] {
        let desk = Desk::new(whatsapp()).await;
        let session = desk.start(question(), ANA).await;
        desk.start(speech(), ANA).await;
        let attempt = desk.claim_one().await;
        if by_status {
            desk.answer(&attempt, accepted("a1")).await;
            assert_eq!(desk.told(attempt.id(), Stage::Failed, Some("131050")).await, ProgressOutcome::Noted);
        } else {
            desk.answer(&attempt, refused(RefusalClass::OptedOut, "131050")).await;
        }
        assert_eq!(desk.outcome(session), (Status::Cancelled, Some("opted_out".to_owned())));
        assert_eq!(desk.claim().await, [], "{by_status}");
        assert!(desk.statuses(ANA).iter().all(|(status, _)| *status == "failed"), "{:?}", desk.statuses(ANA));
        assert_eq!(desk.heard("contact.opted_out").len(), 1);
    }
}

#[tokio::test]
async fn who_stops_marketing_in_a_conversation_is_answered_and_gets_no_template() {
    let desk = Desk::new(whatsapp()).await;
    let conversation = json!({"schema_version": 1, "name": "C", "entry_node": "a", "nodes": [
        {"id": "a", "type": "ask", "text": "How are you?", "exits": {"reply": "b"}},
        {"id": "b", "type": "delay", "seconds": 90_000, "exits": {"next": "c"}},
        {"id": "c", "type": "ask", "text": "And now?", "template": {"name": "cart"}, "timeout_seconds": 60,
         "exits": {"reply": "done", "timeout": "done", "delivery_failed": "lost"}},
        {"id": "done", "type": "end", "outcome": "done"},
        {"id": "lost", "type": "end", "outcome": "lost"}
    ]});
    let session = desk.start(conversation, ANA).await;
    desk.answer(&desk.claim_one().await, accepted("a1")).await;
    desk.write(ANA, "fine").await;
    desk.start(speech(), ANA).await;
    desk.answer(&desk.claim_one().await, refused(RefusalClass::OptedOut, "131050")).await;
    let of_speech = ["One", "Two", "Three"].len();
    assert_eq!(desk.claim().await, [], "nothing that was begun goes out");
    assert_eq!(desk.statuses(ANA).iter().filter(|(status, _)| *status == "failed").count(), of_speech);
    assert_eq!(desk.session(session).status, Status::Running);
    assert_eq!(desk.heard("contact.opted_out").len(), 1);
    // What is said in the window is no marketing.
    let id = desk.say(ANA, Origin::Api, "Thank you").await;
    let attempt = desk.claim_one().await;
    assert_eq!(attempt.id(), id);
    desk.answer(&attempt, accepted("a2")).await;
    desk.clock.advance(seconds(90_000));
    assert_eq!(desk.runtime.run_due().await.unwrap(), 1);
    assert_eq!(desk.claim().await, []);
    assert_eq!(desk.statuses(ANA).last(), Some(&("failed", Some("131050".to_owned()))));
    assert_eq!(desk.outcome(session), (Status::Completed, Some("lost".to_owned())));
}

#[tokio::test]
async fn a_session_that_cannot_be_read_keeps_nobody_from_opting_out() {
    for by_status in [false, true] {
        let desk = Desk::new(whatsapp()).await;
        let broken = desk.start(question(), ANA).await;
        let other = desk.start(speech_with_a_wait(), ANA).await;
        let attempt = desk.claim_one().await;
        if by_status {
            desk.answer(&attempt, accepted("a1")).await;
        }
        let breaking = move |tx: &crate::store::Tx<'_>| {
            testing::break_session(tx, broken);
            Ok(())
        };
        desk.store.write(breaking).await.unwrap();
        if by_status {
            assert_eq!(desk.told(attempt.id(), Stage::Failed, Some("131050")).await, ProgressOutcome::Noted);
        } else {
            desk.answer(&attempt, refused(RefusalClass::OptedOut, "131050")).await;
        }
        let phone = ANA.parse::<Phone>().unwrap();
        let ana = desk.store.read(|conn| people::find_by_phone(conn, &phone)).unwrap().unwrap();
        assert_eq!(ana.contact.opted_out_at, Some(desk.clock.now()), "{by_status}");
        assert_eq!(desk.session(other).status, Status::Cancelled);
        assert!(desk.statuses(ANA).iter().all(|(status, _)| *status == "failed"), "{:?}", desk.statuses(ANA));
        assert_eq!((desk.heard("contact.opted_out").len(), desk.claim().await), (1, vec![]));
    }
}

/// Says something and waits.
fn speech_with_a_wait() -> Value {
    let mut document = question();
    document["name"] = json!("W");
    document
}
