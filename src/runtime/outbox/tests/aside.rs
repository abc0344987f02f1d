//! Messages that have stepped aside for the hours of their flow, and what goes out past them. The clock begins at 08:14
//! UTC; the flows that wait may speak first from 07:00 to 20:00.

use super::*;

const NIGHT: &str = "2026-05-07T22:00:00+00:00";
const OPENING: &str = "2026-05-08T07:00:00+00:00";

/// What says three things, on the clock of UTC and by day alone.
fn by_day() -> Value {
    let mut document = speech();
    document["settings"]["send_window"] = json!({"from": "07:00", "to": "20:00"});
    document["settings"]["timezone"] = json!("UTC");
    document
}

/// What says one thing at any hour.
fn code() -> Value {
    json!({"schema_version": 1, "name": "C", "entry_node": "a", "nodes": [
        {"id": "a", "type": "ask", "text": "Your code is 7."}
    ]})
}

fn said(attempts: &[Attempt]) -> Vec<String> {
    let text = |attempt: &Attempt| match &attempt.message.content {
        Content::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    attempts.iter().map(text).collect()
}

impl Desk {
    /// At night, with a flow's three messages for Ana that wait for the morning.
    async fn with_one_aside() -> Self {
        let desk = Self::new(whatsapp()).await;
        desk.clock.set(NIGHT.parse().unwrap());
        desk.start(by_day(), ANA).await;
        assert_eq!(desk.claim().await, []);
        desk.clock.advance(seconds(60));
        desk
    }

    /// Claims the only message that can go out, which says this.
    async fn goes_out(&self, text: &str) {
        let attempts = self.claim().await;
        assert_eq!(said(&attempts), [text]);
        assert_eq!(self.claim().await, [], "one at a time");
        self.answer(&attempts[0], accepted(text)).await;
    }

    async fn wait_for_the_opening(&self) {
        assert_eq!(self.claim().await, []);
        self.clock.set(OPENING.parse::<Timestamp>().unwrap().minus(seconds(1)));
        assert_eq!(self.claim().await, [], "a second too early");
        self.clock.set(OPENING.parse().unwrap());
    }
}

#[tokio::test]
async fn what_others_say_goes_out_past_it_and_its_own_session_keeps_its_order() {
    let desk = Desk::with_one_aside().await;
    desk.start(code(), ANA).await;
    desk.goes_out("Your code is 7.").await;
    for (origin, text) in [(Origin::Agent, "an agent"), (Origin::Api, "the API"), (Origin::Consent, "consent")] {
        desk.say(ANA, origin, text).await;
    }
    for text in ["an agent", "the API", "consent"] {
        desk.goes_out(text).await;
    }
    assert_eq!(
        desk.store.read(|conn| stored::parked_heads(conn, "whatsapp", 9)).unwrap(),
        [] as [i64; 0],
        "nobody is forgotten"
    );
    assert!(!desk.messages(ANA)[..3].iter().any(|message| message.attempts > 0));
    desk.wait_for_the_opening().await;
    for text in ["One", "Two", "Three"] {
        desk.goes_out(text).await;
    }
    assert_eq!(desk.claim().await, []);
    assert!(desk.statuses(ANA).iter().all(|(status, _)| *status == "sent"), "{:?}", desk.statuses(ANA));
}

#[tokio::test]
async fn what_was_queued_before_it_stepped_aside_goes_out_past_it_too() {
    let desk = Desk::new(whatsapp()).await;
    desk.clock.set(NIGHT.parse().unwrap());
    desk.start(by_day(), ANA).await;
    desk.start(code(), ANA).await;
    desk.goes_out("Your code is 7.").await;
    desk.wait_for_the_opening().await;
    desk.goes_out("One").await;
}

#[tokio::test]
async fn several_stand_aside_and_go_out_one_at_a_time() {
    let desk = Desk::with_one_aside().await;
    desk.start(by_day(), ANA).await;
    assert_eq!(desk.claim().await, []);
    desk.wait_for_the_opening().await;
    // Comes in the very moment in which the hours begin.
    desk.say(ANA, Origin::Api, "Late").await;
    let mut order = Vec::new();
    for _ in 0..7 {
        let attempt = desk.claim_one().await;
        order.push(said(std::slice::from_ref(&attempt)).remove(0));
        desk.answer(&attempt, accepted(&order.len().to_string())).await;
    }
    assert_eq!(desk.claim().await, []);
    let nth = |text: &str| order.iter().position(|said| said == text).unwrap();
    assert!(order[0] == "One" && nth("One") < nth("Two") && nth("Two") < nth("Three"), "{order:?}");
    let rows: Vec<Option<Timestamp>> = desk.messages(ANA).iter().map(|message| message.accepted_at).collect();
    assert!(rows.iter().all(Option::is_some));
    assert_eq!(order.iter().filter(|said| *said == "One").count(), 2);
}

#[tokio::test]
async fn what_is_under_way_or_in_doubt_holds_the_lane_for_all() {
    let desk = Desk::with_one_aside().await;
    desk.start(code(), ANA).await;
    let under_way = desk.claim_one().await;
    desk.say(ANA, Origin::Agent, "Next").await;
    assert_eq!(desk.claim().await, []);
    desk.answer(&under_way, ambiguous()).await;
    desk.write(ANA, "Hello?").await;
    assert_eq!(desk.claim().await, [], "nobody knows what became of the one before");
    desk.told(under_way.id(), Stage::Sent, None).await;
    for text in ["One", "Two", "Three", "Next"] {
        desk.goes_out(text).await;
    }
}

#[tokio::test]
async fn who_writes_gets_what_stood_aside_before_anything_new() {
    let desk = Desk::with_one_aside().await;
    desk.start(code(), ANA).await;
    desk.goes_out("Your code is 7.").await;
    desk.write(ANA, "Hi").await;
    desk.say(ANA, Origin::Api, "New").await;
    for text in ["One", "Two", "Three", "New"] {
        desk.goes_out(text).await;
    }
    assert_eq!(desk.claim().await, []);
}

#[tokio::test]
async fn an_operators_retry_goes_out_past_it() {
    let desk = Desk::with_one_aside().await;
    let id = desk.say(ANA, Origin::Api, "Again").await;
    let attempt = desk.claim_one().await;
    desk.answer(&attempt, refused(RefusalClass::Permanent, "131026")).await;
    assert_eq!(desk.message(id).status, MessageStatus::Failed);
    assert_eq!(desk.runtime.retry_message(id).await.unwrap(), Retried::Queued);
    desk.goes_out("Again").await;
}

#[tokio::test]
async fn who_opts_out_gets_neither_but_the_confirmation_at_once() {
    let desk = Desk::with_one_aside().await;
    desk.say(ANA, Origin::Api, "News").await;
    desk.write(ANA, "STOP").await;
    let attempts = desk.claim().await;
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    assert!(!["One", "News"].contains(&said(&attempts)[0].as_str()));
    desk.answer(&attempts[0], accepted("stop")).await;
    desk.clock.set(OPENING.parse().unwrap());
    assert_eq!(desk.claim().await, []);
    let failed = desk.messages(ANA).iter().filter(|message| message.status == MessageStatus::Failed).count();
    assert_eq!(failed, 4);
}

#[tokio::test]
async fn a_restart_keeps_what_stands_aside_where_it_was() {
    let desk = Desk::with_one_aside().await;
    desk.start(code(), ANA).await;
    let desk = desk.restart(Options::new(whatsapp(), seconds(1800))).await;
    desk.goes_out("Your code is 7.").await;
    let desk = desk.restart(Options::new(whatsapp(), seconds(1800))).await;
    desk.wait_for_the_opening().await;
    for text in ["One", "Two", "Three"] {
        desk.goes_out(text).await;
    }
}

#[tokio::test]
async fn who_answers_early_still_gets_what_was_said_before_the_end() {
    let desk = Desk::new(whatsapp()).await;
    let session = desk.start(question(), ANA).await;
    desk.write(ANA, "fine").await;
    assert_eq!(desk.outcome(session), (Status::Completed, Some("done".to_owned())));
    assert_eq!(said(&desk.claim().await), ["How are you?"]);
}
