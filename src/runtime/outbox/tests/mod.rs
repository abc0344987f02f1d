//! Tests of the outbox. What a channel answers is made up: messages are claimed and answers recorded as the worker does
//! it, with nothing in between.

mod aside;
mod elsewhere;
mod hours;
mod lanes;
mod later;
mod outage;
mod parts;
mod progress;
mod refusals;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::claim::Attempt;
use super::*;
use crate::channels::Channel;
use crate::channels::incoming::{IncomingKind, Progress, Sender, Stage};
use crate::channels::outgoing::{Content, Refusal, RefusalClass};
use crate::channels::webhook::{Webhook, WebhookOptions};
use crate::channels::whatsapp::{WhatsApp, WhatsAppOptions};
use crate::domain::{
    Contact, ContactId, FlowId, FlowKind, MessageId, MessageStatus, MessageTemplate, Origin, Phone, ReplyKind, Resend,
    Session, SessionId, Status, TemplateId,
};
use crate::runtime::{CancelSession, Clock, ContactRef, Inbound, OnRunning, Options, Trigger, Triggered};
use crate::store::messages::{MessageRow, NewOutgoing};
use crate::store::testing::CloseOnDrop;
use crate::store::{Store, contacts as people, flows, messages, sessions, templates, testing};

const ANA: &str = "+14155550123";
const BEN: &str = "+14155550124";

/// A runtime on a file, and the clock that it goes by. Dropping it closes the file before its folder is removed: a
/// store that finds its file gone saves what it had into the working directory.
struct Desk {
    store: CloseOnDrop,
    clock: Clock,
    runtime: Runtime,
    dir: TempDir,
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
    Sent::Accepted { provider_id: Some(provider_id.to_owned()), reached: None }
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
        recover_after_start(&runtime).await.unwrap();
        let desk = Self { store: CloseOnDrop(store), clock, runtime, dir };
        for phone in [ANA, BEN] {
            desk.add_contact(phone).await;
        }
        desk
    }

    /// Starts again on the same file.
    async fn restart(self, options: Options) -> Self {
        let Self { store, clock, runtime, dir } = self;
        drop(runtime);
        let runtime = Runtime::new(store.clone(), clock.clone(), options);
        recover_after_start(&runtime).await.unwrap();
        Self { store, clock, runtime, dir }
    }

    /// A contact writes for the first time, which opens the window.
    async fn add_contact(&self, phone: &str) {
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
        let contact_ref = ContactRef::Phone(phone.parse().unwrap());
        let trigger =
            Trigger { flow_id, kind: FlowKind::Flow, contact_ref, context: Map::new(), on_running: OnRunning::Return };
        match self.runtime.handle(trigger).await.unwrap() {
            Triggered::Started { id, .. } => id,
            other => panic!("{other:?}"),
        }
    }

    /// A contact writes.
    async fn write(&self, phone: &str, text: &str) {
        let inbound = Inbound {
            provider_id: Uuid::now_v7().to_string(),
            from: Sender::of_phone(&phone.parse().unwrap()),
            kind: IncomingKind::Reply(ReplyKind::Text),
            text: Some(text.to_owned()),
            option: None,
            reply_to: None,
            payload: None,
            sent_at: None,
            is_overheard: false,
            arrival: Arc::new(self.runtime.arrive()),
        };
        self.runtime.receive(inbound).await.unwrap();
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
        let round = self.runtime.inner.outbox.breaker.round();
        record(&self.runtime, attempt, sent, round).await;
    }

    async fn told(&self, id: MessageId, stage: Stage, code: Option<&str>) -> ProgressOutcome {
        let class = code.map(|code| match code {
            "131000" => RefusalClass::Transient,
            "130429" => RefusalClass::ChannelPacing,
            "131056" => RefusalClass::RecipientPacing,
            "131042" => RefusalClass::ChannelDown,
            "131047" => RefusalClass::WindowClosed,
            "131050" => RefusalClass::OptedOut,
            _ => RefusalClass::Permanent,
        });
        self.told_of(id, None, stage, (class, code)).await
    }

    /// A status of the attempt with a provider's id, which has failed now.
    fn failure(&self, id: MessageId, provider_id: &str, class: RefusalClass, code: &str) -> Progress {
        Progress {
            provider_id: Some(provider_id.to_owned()),
            class: Some(class),
            message_id: Some(id),
            stage: Stage::Failed,
            at: Some(self.clock.now()),
            recipient: Sender::default(),
            code: Some(code.to_owned()),
            text: Some(format!("({code})")),
            pricing: None,
        }
    }

    /// The same of the attempt that the channel gave an id.
    async fn told_of(
        &self,
        id: MessageId,
        provider_id: Option<&str>,
        stage: Stage,
        (class, code): (Option<RefusalClass>, Option<&str>),
    ) -> ProgressOutcome {
        let progress = Progress {
            provider_id: provider_id.map(str::to_owned),
            class,
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

    /// The bodies of the events of a kind that were queued for the endpoint.
    fn heard(&self, event: &str) -> Vec<Value> {
        let all = self.store.read(|conn| Ok(testing::told(conn))).unwrap();
        all.into_iter().filter(|(name, _)| name == event).map(|(_, body)| body).collect()
    }

    fn outcome(&self, id: SessionId) -> (Status, Option<String>) {
        let session = self.session(id);
        (session.status, session.outcome.or(session.reason))
    }
}
