//! Messages that wait for the hours in which their flow may speak first. The clock begins at 08:14 UTC.

use super::*;

const NIGHT: &str = "2026-05-07T21:00:00+00:00";
const OPENING: &str = "2026-05-08T06:00:00+00:00";

/// A flow on the clock of UTC that may speak first from 06:00 to 20:00.
fn by_day(mut document: Value) -> Value {
    document["settings"]["send_window"] = json!({"from": "06:00", "to": "20:00"});
    document["settings"]["timezone"] = json!("UTC");
    document
}

/// Asks, and thanks for the answer.
fn thankful() -> Value {
    by_day(json!({"schema_version": 1, "name": "T", "entry_node": "a", "nodes": [
        {"id": "a", "type": "ask", "text": "How are you?", "exits": {"reply": "thanks"}},
        {"id": "thanks", "type": "ask", "text": "Thanks. And now?"}
    ]}))
}

impl Desk {
    async fn at_night(channel: Channel) -> Self {
        let desk = Self::new(channel).await;
        desk.clock.set(NIGHT.parse().unwrap());
        desk
    }
}

fn text(attempt: &Attempt) -> &str {
    match &attempt.message.content {
        Content::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_comes_at_night_waits_for_the_morning_with_its_timeout_and_its_time_to_live() {
    let desk = Desk::at_night(whatsapp()).await;
    let mut document = by_day(question());
    document["settings"]["message_max_age_minutes"] = json!(30);
    let session = desk.start(document, ANA).await;
    assert_eq!(desk.claim().await, []);
    let waiting = [("queued", Some("send_window".to_owned()))];
    assert_eq!(desk.statuses(ANA), waiting);
    let opening: Timestamp = OPENING.parse().unwrap();
    assert_eq!(desk.session(session).expires_at, Some(opening.plus(seconds(3600))));
    let trace = desk.store.read(|conn| crate::store::turns::list(conn, session_seq(conn, session), 0, 9)).unwrap();
    assert!(trace[0].record.contains("2026-05-08 06:00 UTC"), "{}", trace[0].record);
    // Its own timeout, its age and its session's time to live would all be over.
    for _ in 0..8 {
        desk.clock.advance(seconds(3600));
        assert_eq!(desk.runtime.run_due().await.unwrap(), 0);
        assert_eq!(desk.claim().await, []);
    }
    desk.clock.set(opening.minus(seconds(1)));
    assert_eq!((desk.claim().await, desk.statuses(ANA)), (vec![], waiting.to_vec()));
    desk.clock.set(opening);
    let attempt = desk.claim_one().await;
    assert_eq!((text(&attempt), desk.statuses(ANA)), ("How are you?", vec![("sending", None)]));
    desk.answer(&attempt, accepted("a")).await;
    desk.clock.advance(seconds(59));
    assert_eq!(desk.runtime.run_due().await.unwrap(), 0);
    desk.clock.advance(seconds(1));
    assert_eq!(desk.runtime.run_due().await.unwrap(), 1);
    assert_eq!(desk.outcome(session), (Status::Completed, Some("late".to_owned())));
}

#[tokio::test]
async fn the_hours_a_delay_and_what_is_said_are_on_one_clock() {
    const EVA: &str = "+525512345678";
    let flow = |entry: &str, text: &str| {
        json!({"schema_version": 1, "name": "T", "settings": {"send_window": {"from": "09:00", "to": "20:00"}},
            "entry_node": entry, "nodes": [
            {"id": "wait", "type": "delay", "until": "2026-05-07T09:00", "exits": {"next": "say"}},
            {"id": "say", "type": "send_message", "text": text}
        ]})
    };
    let desk = Desk::new(whatsapp()).await;
    desk.add_contact(EVA).await;
    desk.clock.advance(seconds(3600));
    desk.start(flow("say", "Good morning"), EVA).await;
    let reminder = desk.start(flow("wait", "It is {{now|date('%H:%M')}}"), EVA).await;
    let nine: Timestamp = "2026-05-07T15:00:00+00:00".parse().unwrap();
    assert_eq!(desk.session(reminder).wait.unwrap().wake_at, Some(nine));
    desk.clock.set(nine.minus(seconds(1)));
    assert_eq!((desk.runtime.run_due().await.unwrap(), desk.claim().await), (0, vec![]));
    assert_eq!(desk.statuses(EVA), [("queued", Some("send_window".to_owned()))]);
    desk.clock.set(nine);
    assert_eq!(desk.runtime.run_due().await.unwrap(), 1);
    for expected in ["Good morning", "It is 09:00"] {
        let attempt = desk.claim_one().await;
        assert_eq!(text(&attempt), expected);
        desk.answer(&attempt, accepted(expected)).await;
    }
}

#[tokio::test]
async fn by_day_nothing_waits_and_neither_do_others_at_night() {
    let desk = Desk::new(whatsapp()).await;
    desk.start(by_day(question()), ANA).await;
    desk.answer(&desk.claim_one().await, accepted("a")).await;
    desk.clock.set(NIGHT.parse().unwrap());
    desk.start(question(), BEN).await;
    desk.answer(&desk.claim_one().await, accepted("b")).await;
    assert_eq!(desk.statuses(BEN), [("sent", None)]);
}

#[tokio::test]
async fn all_that_a_turn_says_waits_in_its_order() {
    let desk = Desk::at_night(whatsapp()).await;
    let session = desk.start(by_day(speech()), ANA).await;
    assert_eq!((desk.claim().await, desk.outcome(session).0), (vec![], Status::Completed));
    desk.clock.set(OPENING.parse().unwrap());
    for expected in ["One", "Two", "Three"] {
        let attempt = desk.claim_one().await;
        assert_eq!(text(&attempt), expected);
        desk.answer(&attempt, accepted(expected)).await;
    }
    assert_eq!(desk.claim().await, []);
}

#[tokio::test]
async fn whoever_writes_at_night_gets_what_waits_and_then_the_answer_at_once() {
    let desk = Desk::at_night(whatsapp()).await;
    desk.start(thankful(), ANA).await;
    let ben = desk.start(thankful(), BEN).await;
    assert_eq!(desk.claim().await, []);
    desk.write(ANA, "Well").await;
    let first = desk.claim_one().await;
    assert_eq!(text(&first), "How are you?");
    desk.answer(&first, accepted("1")).await;
    let second = desk.claim_one().await;
    assert_eq!(text(&second), "Thanks. And now?");
    desk.answer(&second, accepted("2")).await;
    assert_eq!(desk.claim().await, [], "Ben has not written");
    assert_eq!(desk.statuses(BEN), [("queued", Some("send_window".to_owned()))]);
    assert_eq!(desk.session(ben).turn, 1);
}

#[tokio::test]
async fn a_delay_speaks_first_but_a_short_one_in_a_conversation_does_not() {
    let desk = Desk::new(whatsapp()).await;
    let after = |delay: u64| {
        by_day(json!({"schema_version": 1, "name": "D", "entry_node": "a", "nodes": [
            {"id": "a", "type": "ask", "text": "?", "exits": {"reply": "b"}},
            {"id": "b", "type": "delay", "seconds": delay, "exits": {"next": "c"}},
            {"id": "c", "type": "ask", "text": "Still there?"}
        ]}))
    };
    let day: Timestamp = "2026-05-07T19:59:00+00:00".parse().unwrap();
    desk.clock.set(day);
    for (phone, delay) in [(ANA, 90), (BEN, 600)] {
        desk.start(after(delay), phone).await;
        desk.answer(&desk.claim_one().await, accepted(phone)).await;
        desk.write(phone, "Hi").await;
    }
    desk.clock.set(day.plus(seconds(90)));
    assert_eq!(desk.runtime.run_due().await.unwrap(), 1);
    let short = desk.claim_one().await;
    assert_eq!(text(&short), "Still there?");
    desk.answer(&short, accepted("short")).await;
    desk.clock.set(day.plus(seconds(600)));
    assert_eq!(desk.runtime.run_due().await.unwrap(), 1);
    assert_eq!(desk.claim().await, []);
    desk.clock.set(OPENING.parse().unwrap());
    assert_eq!(text(&desk.claim_one().await), "Still there?");
}

#[tokio::test]
async fn what_delays_part_does_not_come_together_in_the_morning() {
    let desk = Desk::at_night(whatsapp()).await;
    let mut document = by_day(json!({"schema_version": 1, "name": "D", "entry_node": "a", "nodes": [
        {"id": "a", "type": "send_message", "text": "One", "exits": {"next": "b"}},
        {"id": "b", "type": "delay", "seconds": 1800, "exits": {"next": "c"}},
        {"id": "c", "type": "send_message", "text": "Two", "exits": {"next": "d"}},
        {"id": "d", "type": "delay", "seconds": 1800, "exits": {"next": "e"}},
        {"id": "e", "type": "send_message", "text": "Three"}
    ]}));
    document["kind"] = json!("sequence");
    document["settings"]["session_ttl_minutes"] = json!(60);
    let session = desk.start(document, ANA).await;
    let opening: Timestamp = OPENING.parse().unwrap();
    for hour in 0..9 {
        desk.clock.set(opening.minus(seconds((9 - hour) * 3600)));
        assert_eq!((desk.runtime.run_due().await.unwrap(), desk.claim().await), (0, vec![]), "{hour} hours on");
    }
    desk.clock.set(opening.plus(seconds(30)));
    for expected in ["One", "Two", "Three"] {
        let attempt = desk.claim_one().await;
        assert_eq!(text(&attempt), expected);
        desk.answer(&attempt, accepted(expected)).await;
        desk.clock.advance(seconds(1799));
        assert_eq!((desk.runtime.run_due().await.unwrap(), desk.claim().await), (0, vec![]), "{expected}");
        desk.clock.advance(seconds(1));
        let goes_on = usize::from(expected != "Three");
        assert_eq!(desk.runtime.run_due().await.unwrap(), goes_on, "{expected}");
    }
    assert_eq!(desk.outcome(session).0, Status::Completed);
}

#[tokio::test]
async fn a_delay_until_a_moment_does_not_wait_for_what_was_said_before_it() {
    let desk = Desk::at_night(whatsapp()).await;
    let mut document = by_day(json!({"schema_version": 1, "name": "D", "entry_node": "a", "nodes": [
        {"id": "a", "type": "send_message", "text": "One", "exits": {"next": "b"}},
        {"id": "b", "type": "delay", "until": "2026-05-08T08:00:00Z", "exits": {"next": "c"}},
        {"id": "c", "type": "send_message", "text": "Two"}
    ]}));
    document["kind"] = json!("sequence");
    desk.start(document, ANA).await;
    desk.clock.set(OPENING.parse().unwrap());
    desk.answer(&desk.claim_one().await, accepted("1")).await;
    desk.clock.set("2026-05-08T08:00:00+00:00".parse().unwrap());
    assert_eq!(desk.runtime.run_due().await.unwrap(), 1);
    assert_eq!(text(&desk.claim_one().await), "Two");
}

#[tokio::test]
async fn a_message_that_is_tried_again_after_closing_waits_and_what_has_become_too_old_does_not() {
    let desk = Desk::new(whatsapp()).await;
    desk.clock.set("2026-05-07T19:59:59+00:00".parse().unwrap());
    let mut document = by_day(json!({"schema_version": 1, "name": "D", "entry_node": "a", "nodes": [
        {"id": "a", "type": "handoff", "note": "x", "wait": false, "exits": {"next": "b"}},
        {"id": "b", "type": "ask", "text": "?"}
    ]}));
    document["kind"] = json!("sequence");
    desk.start(document.clone(), ANA).await;
    desk.answer(&desk.claim_one().await, refused(RefusalClass::Transient, "131000")).await;
    document["settings"]["message_max_age_minutes"] = json!(5);
    desk.start(document, BEN).await;
    desk.clock.advance(seconds(600));
    assert_eq!(desk.claim().await, []);
    assert_eq!(desk.statuses(ANA), [("queued", Some("send_window".to_owned()))]);
    assert_eq!(desk.statuses(BEN), [("failed", Some("too_old".to_owned()))]);
    desk.clock.set(OPENING.parse().unwrap());
    assert_eq!(text(&desk.claim_one().await), "?");
}

fn session_seq(conn: &crate::store::Conn, id: SessionId) -> i64 {
    sessions::find_by_id(conn, id).unwrap().unwrap().seq
}
