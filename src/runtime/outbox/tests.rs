//! Tests of the outbox. What a channel answers is made up: messages are claimed and answers recorded as the worker does
//! it, with nothing in between.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::claim::Attempt;
use super::*;
use crate::channels::incoming::{Progress, Sender, Stage};
use crate::channels::outgoing::{Content, Refusal};
use crate::channels::webhook::{Webhook, WebhookOptions};
use crate::channels::whatsapp::{WhatsApp, WhatsAppOptions};
use crate::domain::{
    Contact, ContactId, FlowId, FlowKind, MessageTemplate, Phone, Session, SessionId, Status, TemplateId,
};
use crate::runtime::{CancelSession, Clock, OnRunning, Options, Resend, Trigger, Triggered, Whom};
use crate::store::messages::{MessageRow, MessageStatus, NewOutgoing, Origin};
use crate::store::{Store, contacts as people, flows, messages, sessions, templates, testing};

const ANA: &str = "+14155550123";
const BEN: &str = "+14155550124";

/// A runtime on a file, and the clock that it goes by.
struct Desk {
    dir: TempDir,
    store: Store,
    clock: Clock,
    runtime: Runtime,
}

fn whatsapp() -> Channel {
    Channel::WhatsApp(Arc::new(
        WhatsApp::new(WhatsAppOptions {
            api_base: "http://127.0.0.1:9".to_owned(),
            api_version: "v26.0".to_owned(),
            phone_number_id: "1".to_owned(),
            business_account_id: "2".to_owned(),
            access_token: "t".to_owned(),
            app_secret: "s".to_owned(),
            verify_token: "v".to_owned(),
            only_to: Vec::new(),
        })
        .unwrap(),
    ))
}

fn webhook(url: String) -> Channel {
    Channel::Webhook(Arc::new(Webhook::new(WebhookOptions { url, secret: "s".to_owned() }).unwrap()))
}

fn accepted(provider_id: &str) -> Sent {
    Sent::Accepted { provider_id: Some(provider_id.to_owned()), wa_id: None }
}

fn refused(class: RefusalClass, code: &str) -> Sent {
    Sent::Refused(Refusal { class, code: code.to_owned(), text: format!("({code})"), retry_after: None })
}

fn ambiguous() -> Sent {
    Sent::Ambiguous { text: "no answer".to_owned() }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Asks, and takes each way to an end of its own.
fn question() -> Value {
    json!({"schema_version": 1, "name": "Q", "settings": {"session_ttl_minutes": 60}, "entry_node": "a", "nodes": [
        {"id": "a", "type": "ask", "text": "How are you?", "timeout_seconds": 60,
         "exits": {"reply": "done", "timeout": "late", "delivery_failed": "lost"}},
        {"id": "done", "type": "end", "outcome": "done"},
        {"id": "late", "type": "end", "outcome": "late"},
        {"id": "lost", "type": "end", "outcome": "lost"}
    ]})
}

/// Says three things and ends.
fn speech() -> Value {
    json!({"schema_version": 1, "name": "S", "entry_node": "a", "nodes": [
        {"id": "a", "type": "send_message", "text": "One", "exits": {"next": "b"}},
        {"id": "b", "type": "send_message", "text": "Two", "exits": {"next": "c"}},
        {"id": "c", "type": "end", "text": "Three"}
    ]})
}

impl Desk {
    async fn new(channel: Channel) -> Self {
        Self::with(Options::new(channel, seconds(1800))).await
    }

    async fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&crate::store::Options::new(dir.path().join("qyvo.db"))).unwrap();
        let clock = Clock::by_hand(Timestamp::from_millis(1_778_141_663_000));
        store
            .write(|tx| {
                testing::listen(tx);
                Ok(())
            })
            .await
            .unwrap();
        let runtime = Runtime::new(store.clone(), clock.clone(), options);
        bring_into_order(&runtime).await.unwrap();
        let desk = Self { dir, store, clock, runtime };
        for phone in [ANA, BEN] {
            desk.meet(phone).await;
        }
        desk
    }

    /// Starts again on the same file.
    async fn restart(self, options: Options) -> Self {
        let Self { dir, store, clock, runtime } = self;
        drop(runtime);
        let runtime = Runtime::new(store.clone(), clock.clone(), options);
        bring_into_order(&runtime).await.unwrap();
        Self { dir, store, clock, runtime }
    }

    /// Somebody writes for the first time, which opens the window.
    async fn meet(&self, phone: &str) {
        let (now, phone) = (self.clock.now(), phone.parse::<Phone>().unwrap());
        self.store
            .write(move |tx| {
                let contact = Contact::new(ContactId(Uuid::now_v7()), Some(phone.clone()));
                let seq = people::insert(tx, &contact, "test", now)?;
                people::touch(tx, seq, 0, Some(now), now)
            })
            .await
            .unwrap();
    }

    async fn start(&self, document: Value, phone: &str) -> SessionId {
        let (now, id) = (self.clock.now(), FlowId(Uuid::now_v7()));
        let text = document.to_string();
        self.store
            .write(move |tx| {
                let draft = flows::NewDraft { kind: FlowKind::Flow, name: "F", document: &text, actor: "Ana" };
                let seq = flows::save_draft(tx, id, &draft, now)?;
                flows::publish(tx, seq, &text, None, "Ana", now)
            })
            .await
            .unwrap();
        self.trigger(id, phone).await
    }

    async fn trigger(&self, flow_id: FlowId, phone: &str) -> SessionId {
        let whom = Whom::Phone(phone.parse().unwrap());
        let trigger = Trigger { flow_id, whom, context: Map::new(), on_running: OnRunning::Return };
        match self.runtime.handle(trigger).await.unwrap() {
            Triggered::Started { id, .. } => id,
            other => panic!("{other:?}"),
        }
    }

    async fn claim(&self) -> Vec<Attempt> {
        let mut all = Vec::new();
        loop {
            let batch = claim(&self.runtime, 0).await.unwrap();
            all.extend(batch.claimed.attempts);
            if !batch.claimed.may_be_more {
                return all;
            }
        }
    }

    /// Queues a text that no flow says.
    async fn say(&self, phone: &str, origin: Origin, text: &str) -> MessageId {
        let (now, id, phone) = (self.clock.now(), MessageId(Uuid::now_v7()), phone.parse().unwrap());
        let body = json!({"type": "text", "text": text}).to_string();
        self.store
            .write(move |tx| {
                let message = NewOutgoing {
                    id,
                    contact_seq: people::find_by_phone(tx, &phone)?.unwrap().seq,
                    session: None,
                    channel: "whatsapp",
                    kind: "text",
                    body: &body,
                    status: MessageStatus::Queued,
                    reason: None,
                    next_attempt_at: Some(now),
                    origin,
                    good_until: None,
                    created_at: now,
                };
                messages::insert_outgoing(tx, &message)
            })
            .await
            .unwrap();
        id
    }

    /// Claims the only message that can go out.
    #[track_caller]
    fn claim_one(&self) -> impl Future<Output = Attempt> {
        let place = std::panic::Location::caller();
        async move {
            let mut attempts = self.claim().await;
            assert_eq!(attempts.len(), 1, "{place}: {attempts:?}");
            attempts.remove(0)
        }
    }

    async fn answer(&self, attempt: &Attempt, sent: Sent) {
        let round = self.runtime.inner.outbox.held().round;
        record(&self.runtime, attempt, sent, round).await;
    }

    async fn told(&self, id: MessageId, stage: Stage, code: Option<&str>) -> ProgressOutcome {
        let progress = Progress {
            provider_id: None,
            message_id: Some(id),
            stage,
            at: Some(self.clock.now()),
            recipient: Sender::default(),
            code: code.map(str::to_owned),
            text: code.map(|code| format!("({code})")),
            pricing: None,
        };
        self.runtime.note_progress(progress).await.unwrap()
    }

    fn messages(&self, phone: &str) -> Vec<MessageRow> {
        let phone = phone.parse().unwrap();
        self.store
            .read(|conn| {
                let contact = people::find_by_phone(conn, &phone)?.unwrap();
                messages::history_of_contact(conn, contact.seq, 0, 1_000)
            })
            .unwrap()
    }

    fn message(&self, id: MessageId) -> MessageRow {
        self.store.read(|conn| messages::find_by_id(conn, id)).unwrap().unwrap()
    }

    fn statuses(&self, phone: &str) -> Vec<(&'static str, Option<String>)> {
        self.messages(phone).into_iter().map(|message| (message.status.as_str(), message.reason)).collect()
    }

    fn session(&self, id: SessionId) -> Session {
        self.store.read(|conn| sessions::find_by_id(conn, id)).unwrap().unwrap().session
    }

    fn prompted_at(&self, id: SessionId) -> Option<Timestamp> {
        self.store.read(|conn| sessions::find_by_id(conn, id)).unwrap().unwrap().prompted_at
    }

    /// Events of a kind that were told, and their bodies.
    fn heard(&self, event: &str) -> Vec<Value> {
        let all = self.store.read(|conn| Ok(testing::told(conn))).unwrap();
        all.into_iter().filter(|(name, _)| name == event).map(|(_, body)| body).collect()
    }

    fn outcome(&self, id: SessionId) -> (Status, Option<String>) {
        let session = self.session(id);
        (session.status, session.outcome.or(session.reason))
    }
}

#[tokio::test]
async fn a_lane_keeps_its_order_and_waits_for_no_other() {
    let desk = Desk::new(whatsapp()).await;
    let ana = desk.start(speech(), ANA).await;
    let ben = desk.start(speech(), BEN).await;
    assert_eq!((desk.outcome(ana).0, desk.prompted_at(ben)), (Status::Completed, None), "nothing has gone out");
    let first = desk.claim().await;
    let texts =
        |attempts: &[Attempt]| attempts.iter().map(|attempt| attempt.message.content.clone()).collect::<Vec<_>>();
    let say = |text: &str| Content::Text(text.to_owned());
    assert_eq!(texts(&first), [say("One"), say("One")]);
    assert_eq!(desk.claim().await, [], "one at a time");
    desk.answer(&first[1], accepted("b1")).await;
    let second = desk.claim_one().await;
    assert_eq!((second.contact_seq, &second.message.content), (first[1].contact_seq, &say("Two")));
    desk.answer(&second, accepted("b2")).await;
    desk.answer(&desk.claim_one().await, accepted("b3")).await;
    assert_eq!(desk.claim().await, [], "Ana's first has no answer yet");
    assert_eq!(desk.statuses(BEN), [("sent", None), ("sent", None), ("sent", None)]);
    assert_eq!(desk.statuses(ANA)[0].0, "sending");
    desk.answer(&first[0], accepted("a1")).await;
    assert_eq!(texts(&desk.claim().await), [say("Two")]);
    let profile = desk.store.read(|conn| people::profile(conn, first[1].contact_seq)).unwrap().unwrap();
    assert_eq!(profile.total_messages, 3);
}

#[tokio::test]
async fn an_accepted_message_gives_its_session_the_floor_and_the_whole_timeout() {
    let desk = Desk::new(whatsapp()).await;
    let session = desk.start(question(), ANA).await;
    let begun = desk.clock.now();
    assert_eq!(desk.session(session).wait.unwrap().wake_at, Some(begun.plus(seconds(60))));
    let attempt = desk.claim_one().await;
    desk.clock.advance(seconds(59));
    desk.answer(&attempt, Sent::Accepted { provider_id: Some("w1".to_owned()), wa_id: Some("14155550123".to_owned()) })
        .await;
    let accepted_at = desk.clock.now();
    assert_eq!(desk.session(session).wait.unwrap().wake_at, Some(accepted_at.plus(seconds(60))));
    assert_eq!(desk.prompted_at(session), Some(accepted_at));
    let message = desk.message(attempt.id());
    assert_eq!((message.provider_id.as_deref(), message.accepted_at), (Some("w1"), Some(accepted_at)));
    let addresses = desk.store.read(|conn| people::addresses(conn, attempt.contact_seq)).unwrap();
    assert!(addresses.iter().any(|address| address.kind == "wa_id" && address.value == "14155550123"));
    desk.clock.advance(seconds(59));
    assert_eq!(desk.runtime.run_due().await.unwrap(), 0);
    desk.clock.advance(seconds(1));
    assert_eq!(desk.runtime.run_due().await.unwrap(), 1);
    assert_eq!(desk.outcome(session), (Status::Completed, Some("late".to_owned())));
}

#[tokio::test]
async fn a_timeout_due_while_its_message_is_unsent_begins_anew_and_expiry_does_not() {
    let desk = Desk::new(whatsapp()).await;
    let session = desk.start(question(), ANA).await;
    let expires_at = desk.session(session).expires_at.unwrap();
    for _ in 0..3 {
        desk.clock.advance(seconds(60));
        assert_eq!(desk.runtime.run_due().await.unwrap(), 0);
        assert_eq!(desk.session(session).wait.unwrap().wake_at, Some(desk.clock.now().plus(seconds(60))));
    }
    // Nor while nobody can tell.
    let attempt = desk.claim_one().await;
    desk.answer(&attempt, ambiguous()).await;
    desk.clock.advance(seconds(60));
    assert_eq!(desk.runtime.run_due().await.unwrap(), 0);
    desk.clock.set(expires_at);
    assert_eq!(desk.runtime.run_due().await.unwrap(), 1);
    assert_eq!(desk.outcome(session).0, Status::Expired);
}

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
        let longest = seconds(1 << (attempt_number - 1));
        assert!(pause <= longest && pause >= longest / 2, "{attempt_number}: {pause:?}");
        desk.clock.advance(pause - Duration::from_millis(1));
        assert_eq!(desk.claim().await, []);
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
    desk.meet(carl).await;
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
    assert!(!desk.runtime.pause_channel("operator".to_owned(), None).await.unwrap());
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
    assert!(desk.runtime.resume_channel().await.unwrap() && !desk.runtime.resume_channel().await.unwrap());
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
async fn a_message_is_checked_again_when_it_is_its_turn() {
    let desk = Desk::new(whatsapp()).await;
    // A session that ended meanwhile, otherwise than by its last word.
    let cancelled = desk.start(question(), ANA).await;
    desk.runtime.handle(CancelSession { id: cancelled, reason: "paid".to_owned() }).await.unwrap();
    // One that waited too long.
    let mut brief = question();
    brief["settings"]["message_max_age_minutes"] = json!(1);
    let old = desk.start(brief, BEN).await;
    desk.clock.advance(seconds(61));
    assert_eq!(desk.claim().await, []);
    assert_eq!(desk.statuses(ANA), [("failed", Some("session_ended".to_owned()))]);
    assert_eq!(desk.statuses(BEN), [("failed", Some("too_old".to_owned()))]);
    assert_eq!(desk.outcome(old), (Status::Completed, Some("lost".to_owned())));
    // One whose window has closed.
    desk.clock.advance(seconds(24 * 3600));
    let closed = desk.start(question(), ANA).await;
    assert_eq!(desk.claim().await, []);
    assert_eq!(desk.statuses(ANA)[1], ("failed", Some("window_closed".to_owned())));
    assert_eq!(desk.outcome(closed), (Status::Completed, Some("lost".to_owned())));
    let mut unwired = question();
    unwired["nodes"][0]["exits"]["delivery_failed"] = json!(null);
    let unwired = desk.start(unwired, ANA).await;
    assert_eq!(desk.claim().await, []);
    assert_eq!(desk.outcome(unwired), (Status::Failed, Some("window_closed".to_owned())));
    assert_eq!(desk.heard("message.status.failed").len(), 3, "what a cancel drops is no failure");
}

#[tokio::test]
async fn silence_is_broken_with_a_template_and_conversation_with_text() {
    let desk = Desk::new(whatsapp()).await;
    let template = MessageTemplate {
        name: "cart".to_owned(),
        language: "en".to_owned(),
        status: crate::domain::TemplateStatus::Approved,
        category: String::new(),
        header: None,
        body: "Hi {{1}}".to_owned(),
        footer: None,
        buttons: Vec::new(),
    };
    let (kept, now) = (template.clone(), desk.clock.now());
    desk.store
        .write(move |tx| templates::insert(tx, TemplateId(Uuid::now_v7()), "whatsapp", None, &kept, now))
        .await
        .unwrap();
    let mut document = question();
    document["nodes"][0]["template"] = json!({"name": "cart", "variables": {"1": "there"}});
    desk.start(document.clone(), ANA).await;
    let text = desk.claim_one().await;
    assert_eq!(text.message.content, Content::Text("How are you?".to_owned()));
    let sent = |id| serde_json::from_str::<Value>(&desk.message(id).body).unwrap()["sent"].clone();
    assert_eq!(sent(text.id()), json!({"as": "text"}));
    desk.clock.advance(seconds(24 * 3600 - 60));
    desk.start(document, BEN).await;
    let by_template = desk.claim().await.pop().unwrap();
    let Content::Template { variables, .. } = &by_template.message.content else { panic!("{by_template:?}") };
    assert_eq!(variables["1"], "there");
    assert_eq!(sent(by_template.id()), json!({"as": "template", "name": "cart", "language": "en", "text": "Hi there"}));
}

#[tokio::test]
async fn after_a_restart_nobody_can_tell_and_the_policy_decides() {
    for (resend, goes_again) in [(Resend::None, false), (Resend::Texts, true), (Resend::All, true)] {
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
        if goes_again {
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
    // The first and the second stage, the status after both, and what was told.
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
    let mut other = attempt.clone();
    other.message.id = MessageId(Uuid::from_u128(7));
    desk.answer(&other, accepted("x")).await;
    assert_eq!(desk.message(attempt.id()).status, MessageStatus::Sending, "the row was given to another message");
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
async fn the_worker_posts_to_the_webhook_and_stops_in_good_order() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let arrived = arrived.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                loop {
                    let read = stream.read(&mut buffer).await.unwrap_or(0);
                    if read == 0 {
                        return;
                    }
                    request.extend_from_slice(&buffer[..read]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head.lines().find_map(|line| {
                        line.to_lowercase().strip_prefix("content-length: ").and_then(|length| length.parse().ok())
                    });
                    if body.len() < length.unwrap_or(0) {
                        continue;
                    }
                    let body: Value = serde_json::from_str(body).unwrap();
                    arrived.send(body["message"]["text"].as_str().unwrap().to_owned()).unwrap();
                    request.clear();
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
                }
            });
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&crate::store::Options::new(dir.path().join("qyvo.db"))).unwrap();
    store
        .write(|tx| {
            testing::listen(tx);
            Ok(())
        })
        .await
        .unwrap();
    let runtime = Runtime::new(store.clone(), Clock::system(), Options::new(webhook(url), seconds(1800)));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = {
        let runtime = runtime.clone();
        tokio::spawn(async move { runtime.run_outbox(async move { drop(stopped.await) }).await })
    };
    let clock = runtime.clock().clone();
    let desk = Desk { dir, store, clock, runtime };
    desk.start(speech(), ANA).await;
    for expected in ["One", "Two", "Three"] {
        let text = tokio::time::timeout(seconds(30), arrivals.recv()).await.unwrap().unwrap();
        assert_eq!(text, expected);
    }
    // What is under way is recorded before the worker ends.
    stop.send(()).unwrap();
    worker.await.unwrap();
    assert_eq!(desk.statuses(ANA), [("sent", None), ("sent", None), ("sent", None)]);
    assert_eq!(desk.heard("message.status.sent").len(), 3);
    assert_eq!(desk.runtime.run_outbox_once().await.unwrap(), 0);
    server.abort();
}

#[tokio::test]
async fn a_far_side_that_is_not_there_spends_no_try() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let desk = Desk::new(webhook(url)).await;
    desk.start(speech(), ANA).await;
    assert_eq!(desk.runtime.run_outbox_once().await.unwrap(), 1);
    assert_eq!(desk.runtime.run_outbox_once().await.unwrap(), 0, "it is left alone");
    let message = &desk.messages(ANA)[0];
    assert_eq!((message.status, message.attempts), (MessageStatus::Queued, 0));
    desk.clock.advance(seconds(1));
    assert_eq!(desk.runtime.run_outbox_once().await.unwrap(), 1);
}

#[tokio::test]
async fn a_paced_person_waits_and_the_rest_of_the_lane_behind() {
    let desk = Desk::new(whatsapp()).await;
    let mut nodes: Vec<Value> = (0..50)
        .map(|n| json!({"id": format!("n{n}"), "type": "send_message", "text": "Hi", "exits": {"next": format!("n{}", n + 1)}}))
        .collect();
    nodes.push(json!({"id": "n50", "type": "end"}));
    let document = json!({"schema_version": 1, "name": "M", "entry_node": "n0", "nodes": nodes});
    desk.start(document, ANA).await;
    let mut sent = 0;
    while let Some(attempt) = desk.claim().await.pop() {
        desk.answer(&attempt, accepted(&format!("a{sent}"))).await;
        sent += 1;
        desk.clock.advance(Duration::from_millis(100));
    }
    assert_eq!(sent, 45);
    desk.start(question(), BEN).await;
    desk.answer(&desk.claim_one().await, accepted("b")).await;
    let options = Options::new(whatsapp(), seconds(1800));
    let desk = desk.restart(options).await;
    assert_eq!(desk.claim().await, [], "a restart is no reason for a burst");
    desk.clock.advance(seconds(6));
    let attempt = desk.claim_one().await;
    desk.answer(&attempt, accepted("a45")).await;
    assert_eq!(desk.claim().await, []);
    desk.runtime.tidy().await.unwrap();
    desk.clock.advance(seconds(3600));
    desk.runtime.tidy().await.unwrap();
    assert_eq!(desk.claim().await.len(), 1);
}

#[tokio::test]
async fn a_number_that_has_had_enough_delays_and_drops_nothing() {
    let desk = Desk::new(whatsapp()).await;
    let phones: Vec<String> = (0..40).map(|n| format!("+1415555{:04}", 2_000 + n)).collect();
    for phone in &phones {
        desk.meet(phone).await;
        desk.start(question(), phone).await;
    }
    let batch = claim(&desk.runtime, 0).await.unwrap();
    assert_eq!(batch.claimed.attempts.len(), 10);
    let batch = claim(&desk.runtime, 0).await.unwrap();
    assert_eq!((batch.claimed.attempts.len(), batch.claimed.may_be_more), (0, false));
    let again = batch.claimed.paced_until.unwrap();
    assert!(again > desk.clock.now() && again.since(desk.clock.now()) <= Duration::from_millis(13), "{again}");
    // What comes in counts, too.
    desk.runtime.count_inbound(20);
    desk.clock.advance(Duration::from_millis(250));
    assert!(desk.claim().await.len() <= 1);
    let mut sent = 10;
    for _ in 0..100 {
        desk.clock.advance(Duration::from_millis(100));
        sent += desk.claim().await.len();
    }
    assert!((39..=40).contains(&sent), "{sent}");
}

#[tokio::test]
async fn a_head_that_nobody_released_goes_on_within_a_minute() {
    let desk = Desk::new(whatsapp()).await;
    desk.start(speech(), ANA).await;
    let attempt = desk.claim_one().await;
    let (seq, now) = (attempt.seq, desk.clock.now());
    desk.store.write(move |tx| crate::store::outbox::fail(tx, seq, "gone", None, now)).await.unwrap();
    assert_eq!(desk.claim().await, []);
    desk.runtime.tidy().await.unwrap();
    assert_eq!(desk.claim_one().await.message.content, Content::Text("Two".to_owned()));
}

#[tokio::test]
async fn a_session_that_cannot_be_read_holds_up_nobody_and_loses_no_answer() {
    let desk = Desk::new(whatsapp()).await;
    let broken = desk.start(question(), ANA).await;
    let breaking = move |tx: &crate::store::Tx<'_>| {
        testing::break_session(tx, broken);
        Ok(())
    };
    let attempt = desk.claim_one().await;
    desk.store.write(breaking).await.unwrap();
    desk.answer(&attempt, accepted("a1")).await;
    assert_eq!(desk.message(attempt.id()).status, MessageStatus::Sent);
    // The same by a status.
    let desk = Desk::new(whatsapp()).await;
    let broken = desk.start(question(), ANA).await;
    let breaking = move |tx: &crate::store::Tx<'_>| {
        testing::break_session(tx, broken);
        Ok(())
    };
    let attempt = desk.claim_one().await;
    desk.store.write(breaking).await.unwrap();
    assert_eq!(desk.told(attempt.id(), Stage::Delivered, None).await, ProgressOutcome::Noted);
    assert_eq!(desk.message(attempt.id()).status, MessageStatus::Delivered);
    // And one that fails when it is its turn.
    let desk = Desk::new(whatsapp()).await;
    let mut brief = question();
    brief["settings"]["message_max_age_minutes"] = json!(1);
    let broken = desk.start(brief, ANA).await;
    let breaking = move |tx: &crate::store::Tx<'_>| {
        testing::break_session(tx, broken);
        Ok(())
    };
    desk.store.write(breaking).await.unwrap();
    desk.clock.advance(seconds(61));
    let ben = desk.start(question(), BEN).await;
    assert_eq!(desk.claim().await.len(), 1);
    assert_eq!(desk.statuses(BEN)[0].0, "sending");
    assert_eq!(desk.session(ben).status, Status::Running);
    assert_eq!(desk.statuses(ANA), [("failed", Some("too_old".to_owned()))]);
}

#[tokio::test]
async fn who_opted_out_hears_the_confirmation_and_people_and_nothing_else() {
    let desk = Desk::new(whatsapp()).await;
    let mut ids = Vec::new();
    for origin in [Origin::Flow, Origin::Api, Origin::Consent, Origin::Agent] {
        ids.push(desk.say(ANA, origin, origin.as_str()).await);
    }
    let (now, phone) = (desk.clock.now(), ANA.parse::<Phone>().unwrap());
    desk.store
        .write(move |tx| {
            let known = people::find_by_phone(tx, &phone)?.unwrap();
            let mut contact = known.contact.clone();
            contact.apply(
                &crate::domain::ContactChange { opt_out: Some(true), ..crate::domain::ContactChange::default() },
                now,
            );
            people::update(tx, known.seq, &contact, &known.contact, now)
        })
        .await
        .unwrap();
    for (n, expected) in ["consent", "agent"].into_iter().enumerate() {
        let attempt = desk.claim_one().await;
        assert_eq!(attempt.message.content, Content::Text(expected.to_owned()));
        desk.answer(&attempt, accepted(&format!("a{n}"))).await;
    }
    let opted_out = ("failed", Some("opted_out".to_owned()));
    assert_eq!(desk.statuses(ANA), [opted_out.clone(), opted_out, ("sent", None), ("sent", None)]);
}

#[tokio::test]
async fn two_heads_of_lanes_that_became_one_keep_their_order() {
    for first_is_dropped in [false, true] {
        let desk = Desk::new(whatsapp()).await;
        let (one, two) = (desk.say(ANA, Origin::Flow, "One").await, desk.say(ANA, Origin::Flow, "Two").await);
        let now = desk.clock.now();
        desk.store
            .write(move |tx| {
                let [one, two] = [one, two].map(|id| stored::find_by_id(tx, id).unwrap().unwrap().seq);
                stored::hold(tx, two, now)?;
                if first_is_dropped { stored::set_good_until(tx, one, now.minus(seconds(1))) } else { Ok(()) }
            })
            .await
            .unwrap();
        let attempt = desk.claim_one().await;
        if first_is_dropped {
            assert_eq!(attempt.id(), two, "it is not forgotten");
        } else {
            assert_eq!(attempt.id(), one);
            desk.answer(&attempt, accepted("a1")).await;
            assert_eq!(desk.claim_one().await.id(), two);
        }
    }
}
