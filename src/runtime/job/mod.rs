//! What happens inside one write job: a command's view of the transaction, and what follows from it after the commit.

pub(in crate::runtime) mod access;
pub(in crate::runtime) mod arrivals;
mod call_rows;
pub(in crate::runtime) mod changes;
pub(in crate::runtime) mod compose;
pub(in crate::runtime) mod consent;
pub(in crate::runtime) mod ending;
mod events;
pub(in crate::runtime) mod flow_cache;
pub(in crate::runtime) mod held;
pub(in crate::runtime) mod idempotent;
mod identity;
pub(in crate::runtime) mod keywords;
pub(in crate::runtime) mod listeners;
pub(in crate::runtime) mod lookup;
mod merge;
pub(in crate::runtime) mod message_outcome;
mod messages;
mod parts;
pub(in crate::runtime) mod send_waiters;
pub(in crate::runtime) mod shared;
mod step;
pub(in crate::runtime) mod sub_flows;
pub(in crate::runtime) mod turn;
pub(in crate::runtime) mod wake;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::domain::{Contact, ContactId, MessageId, Phone, Session, Status, Timestamp};
use crate::engine::CompiledFlow;
use crate::error::{Error, Result};
use crate::store::contacts;
use crate::store::sessions::Marked;
use crate::store::{Tx, WriteClass};
use arrivals::Arrival;
use changes::Change;
use ending::SessionEnder;
use flow_cache::FlowKey;
pub(in crate::runtime) use messages::{MESSAGE_MAX_AGE_MINUTES, MessageBody, message_max_age};
use shared::Shared;
pub(in crate::runtime) use step::{ContactRow, LoadedSession, Taken};
use wake::Wakeups;

/// Something that may advance a session, as one write job.
pub trait Command: Send + Sync + 'static {
    /// The outcome. Stored under an idempotency key, so it survives JSON.
    type Outcome: Serialize + DeserializeOwned + Send + 'static;

    /// Runs in the writer. May run twice: it decides before it writes and keeps nothing outside the transaction.
    #[doc(hidden)]
    fn run(&self, job: &Job<'_>) -> Result<Self::Outcome, Deferred>;

    /// What it writes for, which decides how little room on the disk still lets it in.
    fn class(&self) -> WriteClass {
        WriteClass::Ongoing
    }

    /// Bytes that the outcome has as JSON, about, where it is not known yet: room is taken for so many.
    fn answer_bytes(&self) -> usize {
        512
    }

    /// Whether an idempotency key keeps this outcome: refusals are decided anew each time.
    fn is_kept(_outcome: &Self::Outcome) -> bool {
        false
    }
}

/// Why a job was handed back instead of an outcome. What it has written is taken back then.
#[derive(Debug)]
pub enum Deferred {
    /// The job failed, and is rolled back.
    Failed(Error),
    /// It needs a flow that is not compiled yet.
    NeedsFlow(FlowKey),
    /// Flows were published since their keywords were read.
    NeedsKeywords,
    /// A reply that arrived before the session fell due is still on its way to the writer.
    EarlierReply,
}

impl From<Error> for Deferred {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// One run of a command inside the writer's transaction.
pub struct Job<'a> {
    tx: &'a Tx<'a>,
    shared: &'a Shared,
    now: Timestamp,
    /// Up to when timers fire in it.
    timer_cutoff: Timestamp,
    may_defer: bool,
    nearest_timer: Cell<Option<Timestamp>>,
    dropped: Cell<u64>,
    wakeups: Wakeups,
    /// Messages that failed for good, each with the row of its contact.
    failed: RefCell<Vec<(i64, MessageId)>>,
    changes: RefCell<Vec<Change>>,
}

/// What follows from a job once it is committed.
#[derive(Debug)]
pub(in crate::runtime) struct AfterCommit {
    /// The earliest timer that it armed.
    pub(in crate::runtime) nearest_timer: Option<Timestamp>,
    /// The workers to wake.
    pub(in crate::runtime) wakeups: Wakeups,
    /// Messages that failed for good and will not be tried again, each with the row of its contact.
    pub(in crate::runtime) failed: Vec<(i64, MessageId)>,
    /// What subscribers of the change feed receive.
    pub(in crate::runtime) changes: Vec<Change>,
}

impl<'a> Job<'a> {
    pub(in crate::runtime) fn new(tx: &'a Tx<'a>, shared: &'a Shared, may_defer: bool) -> Self {
        Self {
            tx,
            shared,
            now: shared.clock.now(),
            timer_cutoff: shared.clock.timer_cutoff(),
            may_defer,
            nearest_timer: Cell::default(),
            dropped: Cell::default(),
            wakeups: Wakeups::default(),
            failed: RefCell::default(),
            changes: RefCell::default(),
        }
    }

    pub(in crate::runtime) fn tx(&self) -> &Tx<'a> {
        self.tx
    }

    /// The time of the whole job.
    pub(in crate::runtime) fn now(&self) -> Timestamp {
        self.now
    }

    /// What all jobs share.
    pub(in crate::runtime) fn shared(&self) -> &Shared {
        self.shared
    }

    /// What ends sessions without reading them.
    pub(in crate::runtime) fn session_ender(&self) -> SessionEnder<'_> {
        SessionEnder { tx: self.tx, now: self.now, listeners: Some(&self.shared.listeners), wakeups: &self.wakeups }
    }

    /// Name of the channel that messages go out on.
    pub(in crate::runtime) fn channel(&self) -> &'static str {
        self.shared.options.channel.name()
    }

    /// Notes a session's timer.
    pub(in crate::runtime) fn arm(&self, session: &Session) {
        if let Some(due_at) = session.due_at() {
            let nearest = self.nearest_timer.get().map_or(due_at, |nearest| nearest.min(due_at));
            self.nearest_timer.set(Some(nearest));
        }
    }

    /// The workers to wake.
    pub(in crate::runtime) fn wakeups(&self) -> &Wakeups {
        &self.wakeups
    }

    /// Messages that this job dropped because their session ended.
    pub(in crate::runtime) fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Something may go out once the job is committed.
    pub(in crate::runtime) fn wake_outbox(&self) {
        self.wakeups.messages();
    }

    /// Whether the feed of changes has subscribers or waiters.
    pub(in crate::runtime) fn is_watched(&self) -> bool {
        self.shared.feed.is_watched()
    }

    /// Notes a message that failed for good: it will not be tried again.
    pub(in crate::runtime) fn note_failed(&self, contact_seq: i64, id: MessageId) {
        self.failed.borrow_mut().push((contact_seq, id));
    }

    /// What follows once the job is committed.
    pub(in crate::runtime) fn into_effects(self) -> AfterCommit {
        AfterCommit {
            nearest_timer: self.nearest_timer.get(),
            wakeups: self.wakeups,
            failed: self.failed.into_inner(),
            changes: self.changes.into_inner(),
        }
    }

    /// Records a change for the feed, if it is followed.
    pub(in crate::runtime) fn note_change(&self, change: impl FnOnce() -> Change) {
        if self.shared.feed.is_watched() {
            self.changes.borrow_mut().push(change());
        }
    }

    pub(in crate::runtime) fn note_session(&self, session: &Session) {
        self.note_change(|| Change::Session {
            id: session.id,
            flow_id: session.flow_id,
            contact_id: session.contact_id,
            status: session.status,
            turn: session.turn,
            current_node_id: session.current_node.clone(),
            waiting_for: session.wait.as_ref().map(|wait| wait.kind),
        });
    }

    /// The same for a session that has ended without being read.
    pub(in crate::runtime) fn note_marked(&self, marked: &Marked, status: Status) -> Result<()> {
        if !self.is_watched() {
            return Ok(());
        }
        if let Some(contact) = contacts::find_by_seq(self.tx, marked.contact_seq)? {
            self.note_change(|| Change::Session {
                id: marked.id,
                flow_id: marked.flow_id,
                contact_id: contact.contact.id,
                status,
                turn: marked.turn,
                current_node_id: None,
                waiting_for: None,
            });
        }
        Ok(())
    }

    /// A compiled flow, or a deferral that has it compiled.
    pub(in crate::runtime) fn flow(&self, flow_seq: i64, version: u32) -> Result<Arc<CompiledFlow>, Deferred> {
        let key = FlowKey { flow_seq, version };
        self.shared.flows.get(&key).map(|cached| cached.flow.clone()).ok_or(Deferred::NeedsFlow(key))
    }

    /// A contact of whom only the number is known, not inserted yet.
    pub(in crate::runtime) fn new_contact(phone: Phone, opted_in_at: Option<Timestamp>) -> Contact {
        let mut contact = Contact::new(ContactId(Uuid::now_v7()), Some(phone));
        contact.opted_in_at = opted_in_at;
        contact
    }

    /// Holds the job while a reply is under way that arrived before the session fell due: that reply decides.
    pub(in crate::runtime) fn wait_for_replies(&self, session: &Session) -> Result<(), Deferred> {
        match session.due_at().filter(|due_at| *due_at <= self.timer_cutoff) {
            Some(due_at) if self.may_defer && self.shared.arrivals.may_fire(due_at).is_none() => {
                Err(Deferred::EarlierReply)
            }
            _ => Ok(()),
        }
    }

    /// The same for a job that is a reply itself: only another one's arrival holds it.
    pub(in crate::runtime) fn wait_for_earlier_replies(
        &self,
        session: &Session,
        own: &Arrival,
    ) -> Result<(), Deferred> {
        match session.due_at().filter(|due_at| *due_at <= own.at()) {
            Some(due_at) if self.may_defer && self.shared.arrivals.is_other_open(due_at, own) => {
                Err(Deferred::EarlierReply)
            }
            _ => Ok(()),
        }
    }

    /// Whether there is room for new sessions.
    pub(in crate::runtime) fn has_room(&self) -> bool {
        self.shared.store.check_room(WriteClass::New).is_ok()
    }

    /// Whether the sweeper may fire a timer due at this time.
    pub(in crate::runtime) fn may_fire(&self, due_at: Timestamp) -> bool {
        self.shared.arrivals.may_fire(due_at).is_some()
    }
}

pub(in crate::runtime) fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal("A record cannot be written as JSON").caused_by(error))
}
