//! Telling a far side that is down from a message that it stumbles over, when it refuses both in the same way.

use std::collections::HashMap;

use super::*;
use crate::error::Error;
use crate::runtime::job::Job;
use crate::runtime::job::message_outcome::Failure;

const CARL: &str = "+14155550125";

/// What is said to a text, by whom it goes to and what it says.
type Answers<'a> = Box<dyn FnMut(&str, &str) -> Sent + 'a>;

/// A far side, by what it answers to each text.
struct FarSide<'a> {
    desk: &'a Desk,
    answers: Answers<'a>,
    /// To whom, and what, in the order in which it was taken.
    taken: Vec<(String, String)>,
    asked: usize,
}

impl<'a> FarSide<'a> {
    fn new(desk: &'a Desk, answers: impl FnMut(&str, &str) -> Sent + 'a) -> Self {
        Self { desk, answers: Box::new(answers), taken: Vec::new(), asked: 0 }
    }

    /// Hands over what can go out, second by second, as the worker does.
    async fn run(&mut self, seconds_long: u64) {
        for _ in 0..seconds_long {
            loop {
                let batch = claim(&self.desk.runtime, 0).await.unwrap();
                if batch.claimed.attempts.is_empty() && !batch.claimed.may_be_more {
                    break;
                }
                for attempt in &batch.claimed.attempts {
                    self.asked += 1;
                    let phone = attempt.message.to.phone().unwrap().to_string();
                    let Content::Text(text) = &attempt.message.content else { panic!("{attempt:?}") };
                    let sent = (self.answers)(&phone, text);
                    if matches!(sent, Sent::Accepted { .. }) {
                        self.taken.push((phone, text.clone()));
                    }
                    record(&self.desk.runtime, attempt, sent, batch.round).await;
                }
            }
            self.desk.clock.advance(seconds(1));
        }
    }

    /// What each person got, in order.
    fn taken_by(&self, phone: &str) -> Vec<&str> {
        self.taken.iter().filter(|(to, _)| to == phone).map(|(_, text)| text.as_str()).collect()
    }
}

fn taken() -> Sent {
    accepted(&Uuid::now_v7().to_string())
}

#[tokio::test]
async fn a_far_side_that_answers_500_for_ten_minutes_or_an_hour_loses_nothing() {
    for (minutes, code) in [(10, "http_500"), (60, "131016"), (60, "1")] {
        let desk = Desk::new(whatsapp()).await;
        desk.add_contact(CARL).await;
        let over_at = desk.clock.now().plus(seconds(minutes * 60));
        let clock = desk.clock.clone();
        let mut far_side = FarSide::new(&desk, move |_, _| match clock.now() < over_at {
            true => refused(RefusalClass::Transient, code),
            false => taken(),
        });
        for phone in [ANA, BEN, CARL] {
            desk.start(speech(), phone).await;
        }
        far_side.run(60).await;
        let mut state = desk.runtime.channel_state().await.unwrap();
        // A pause may just be over, and its probe not be out yet.
        if state.held_until.is_none() {
            far_side.run(1).await;
            state = desk.runtime.channel_state().await.unwrap();
        }
        assert!(state.held_until.is_some() && state.paused_at.is_none(), "{state:?}");
        assert_eq!((state.reason.as_deref(), state.explanation), (Some(code), Some(format!("({code})"))));
        far_side.run((minutes - 1) * 60).await;
        assert_eq!(far_side.taken, []);
        assert!(far_side.asked < 12 + 4 * usize::try_from(minutes).unwrap(), "one at a time: {}", far_side.asked);
        assert!(desk.messages(BEN).iter().all(|message| message.attempts <= 1), "no tries are spent");
        far_side.run(60).await;
        for phone in [ANA, BEN, CARL] {
            assert_eq!(far_side.taken_by(phone), ["One", "Two", "Three"], "{minutes}");
            assert!(desk.statuses(phone).iter().all(|(status, _)| *status == "sent"), "{:?}", desk.statuses(phone));
        }
        assert_eq!(desk.heard("message.status.failed"), [] as [Value; 0]);
        assert_eq!(desk.heard("channel.paused"), [] as [Value; 0], "nobody has to act");
        let state = desk.runtime.channel_state().await.unwrap();
        assert_eq!((state.held_until, state.reason), (None, None));
    }
}

#[tokio::test]
async fn a_lone_message_outlasts_an_outage_and_holds_up_nobody() {
    let desk = Desk::new(whatsapp()).await;
    let session = desk.start(speech(), ANA).await;
    let over_at = desk.clock.now().plus(seconds(3600));
    let clock = desk.clock.clone();
    let mut far_side = FarSide::new(&desk, move |phone, _| match phone == ANA && clock.now() < over_at {
        true => refused(RefusalClass::Transient, "131000"),
        false => taken(),
    });
    far_side.run(3_500).await;
    assert_eq!(desk.statuses(ANA)[0], ("queued", None));
    assert!((50..150).contains(&far_side.asked), "about once a minute: {}", far_side.asked);
    // It might have been the message: another contact's goes out at once.
    desk.start(speech(), BEN).await;
    far_side.run(1).await;
    assert_eq!(far_side.taken_by(BEN), ["One", "Two", "Three"]);
    far_side.run(170).await;
    assert_eq!(far_side.taken_by(ANA), ["One", "Two", "Three"]);
    assert_eq!(desk.outcome(session).0, Status::Completed);
    assert_eq!(desk.heard("message.status.failed"), [] as [Value; 0]);
}

#[tokio::test]
async fn a_bad_message_among_good_ones_fails_after_eight_tries_and_its_session_hears_of_it() {
    let desk = Desk::new(whatsapp()).await;
    desk.add_contact(CARL).await;
    let session = desk.start(question(), ANA).await;
    let tries = std::cell::Cell::new(0);
    let mut far_side = FarSide::new(&desk, |phone, _| match phone == ANA {
        true => {
            tries.set(tries.get() + 1);
            refused(RefusalClass::Transient, "131000")
        }
        false => taken(),
    });
    for round in 0..30 {
        let phone = if round % 2 == 0 { BEN } else { CARL };
        desk.say(phone, Origin::Agent, &round.to_string()).await;
        far_side.run(10).await;
        assert_eq!(far_side.taken.len(), round + 1, "nobody waits for it");
        assert_eq!(desk.runtime.channel_state().await.unwrap().held_until, None);
    }
    assert_eq!(tries.get(), 8 + 2, "of the three within the first ten seconds nothing tells yet");
    assert_eq!(desk.statuses(ANA), [("failed", Some("131000".to_owned()))]);
    assert_eq!(desk.outcome(session), (Status::Completed, Some("lost".to_owned())));
    assert_eq!(desk.heard("message.status.failed").len(), 1);
}

#[tokio::test]
async fn three_bad_messages_at_once_hold_up_the_good_ones_for_moments_only() {
    let desk = Desk::new(whatsapp()).await;
    desk.add_contact(CARL).await;
    let people: Vec<String> = (0..6).map(|n| format!("+1415555020{n}")).collect();
    for phone in &people {
        desk.add_contact(phone).await;
    }
    let mut far_side = FarSide::new(&desk, |phone, _| match [ANA, BEN, CARL].contains(&phone) {
        true => refused(RefusalClass::Transient, "131000"),
        false => taken(),
    });
    let bad =
        [desk.start(question(), ANA).await, desk.start(question(), BEN).await, desk.start(question(), CARL).await];
    for phone in &people {
        desk.start(speech(), phone).await;
    }
    far_side.run(10).await;
    for phone in &people {
        assert_eq!(far_side.taken_by(phone), ["One", "Two", "Three"]);
    }
    for round in 0..60 {
        desk.say(&people[round % people.len()], Origin::Agent, "Hi").await;
        far_side.run(30).await;
    }
    assert_eq!(far_side.taken.len(), 18 + 60);
    for session in bad {
        assert_eq!(desk.outcome(session), (Status::Completed, Some("lost".to_owned())));
    }
}

#[tokio::test]
async fn a_far_side_that_takes_one_in_twenty_gets_everything_in_the_end() {
    let desk = Desk::new(whatsapp()).await;
    let people: Vec<String> = (0..40).map(|n| format!("+141555502{n:02}")).collect();
    for phone in &people {
        desk.add_contact(phone).await;
        desk.start(speech(), phone).await;
    }
    let mut asked: HashMap<String, usize> = HashMap::new();
    let mut all = 0;
    let mut far_side = FarSide::new(&desk, |phone, _| {
        *asked.entry(phone.to_owned()).or_default() += 1;
        all += 1;
        // For an hour and a half; then it is well.
        if all % 20 == 0 || all > 500 { taken() } else { refused(RefusalClass::Transient, "http_500") }
    });
    far_side.run(4 * 3600).await;
    for phone in &people {
        assert_eq!(far_side.taken_by(phone), ["One", "Two", "Three"], "{:?}", desk.statuses(phone));
    }
}

#[test]
fn a_message_without_an_age_of_its_own_does_not_go_round_for_ever() {
    let (breaker, now) = (Breaker::default(), Timestamp::from_millis(1_778_141_663_000));
    let attempt = || AttemptRef { id: MessageId(Uuid::now_v7()), contact_seq: 1, number: 1, round: 0 };
    let (one, sent) = (attempt(), refused(RefusalClass::Transient, "131000"));
    let spent = (1..=2_900).filter(|_| breaker.record_result(&one, &sent, now).is_spent);
    // The first, and then all that are left.
    assert_eq!(spent.count(), 1 + 2_900 - 2_881 + 1);
    let retry_at = breaker.record_result(&attempt(), &sent, now).retry_at;
    assert_eq!(retry_at, now.plus(seconds(1)), "the next in its lane begins anew");
}

#[tokio::test]
async fn restarts_during_an_outage_cost_no_tries() {
    let mut desk = Desk::new(whatsapp()).await;
    desk.start(speech(), ANA).await;
    for _ in 0..12 {
        let mut far_side = FarSide::new(&desk, |_, _| refused(RefusalClass::Transient, "131016"));
        far_side.run(90).await;
        assert_eq!(far_side.taken, []);
        drop(far_side);
        desk = desk.restart(Options::new(whatsapp(), seconds(1800))).await;
    }
    let mut far_side = FarSide::new(&desk, |_, _| taken());
    far_side.run(120).await;
    assert_eq!(far_side.taken_by(ANA).len(), 3, "all that was said");
}

#[tokio::test]
async fn nothing_is_kept_of_people_whose_messages_are_settled() {
    let desk = Desk::new(whatsapp()).await;
    let people = || desk.runtime.inner.outbox.breaker.known_people();
    let mut document = question();
    document["settings"]["message_max_age_minutes"] = json!(5);
    let passing = || refused(RefusalClass::Transient, "131000");
    for (phone, refusal) in [(ANA, passing()), (BEN, refused(RefusalClass::RecipientPacing, "131056"))] {
        desk.start(document.clone(), phone).await;
        desk.answer(&desk.claim_one().await, refusal).await;
    }
    assert_eq!(people(), 2);
    // One is refused for good, the other goes on until it is too old.
    desk.clock.advance(seconds(60));
    let again = desk.claim().await;
    let [first, second] = again.as_slice() else { panic!("{again:?}") };
    desk.answer(first, refused(RefusalClass::Permanent, "131026")).await;
    assert_eq!(people(), 1);
    desk.answer(second, passing()).await;
    assert_eq!(people(), 2, "how often the person was to be left alone, and the message refused");
    desk.clock.advance(seconds(600));
    assert_eq!(desk.claim().await, []);
    assert_eq!(people(), 0);
}

#[tokio::test]
async fn a_job_that_is_rolled_back_leaves_what_is_known_of_a_lane() {
    let desk = Desk::new(whatsapp()).await;
    desk.start(question(), ANA).await;
    let attempt = desk.claim_one().await;
    desk.answer(&attempt, refused(RefusalClass::Transient, "131000")).await;
    assert_eq!(desk.runtime.inner.outbox.breaker.known_people(), 1);
    let (runtime, seq) = (desk.runtime.clone(), attempt.seq);
    let rolled_back = desk.store.write(move |tx| {
        let job = Job::new(tx, runtime.shared(), true);
        let row = stored::find(tx, seq)?.unwrap();
        let failure = Failure { reason: "lost", error: None, at: job.now(), notifies_session: true };
        job.fail_message(&row, &failure).unwrap();
        Err::<(), _>(Error::internal("on purpose"))
    });
    assert!(rolled_back.await.is_err());
    assert_eq!(desk.message(attempt.id()).status, MessageStatus::Queued);
    assert_eq!(desk.runtime.inner.outbox.breaker.known_people(), 1);
}
