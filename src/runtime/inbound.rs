//! A message from a person: whose it is, and which session gets it.
//!
//! In order: de-duplicate by (channel, provider id), find or create the contact, then the session whose message is
//! tapped or quoted, else the waiting one that spoke last; what no session takes is stored as unrouted, with the reason.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::arrivals::Arrival;
use super::job::{Hold, Job, Live, to_json};
use super::{Command, Notice, turn};
use crate::domain::{FlowId, MessageId, Phone, Reply, ReplyKind, Session, SessionId, Timestamp, WaitKind};
use crate::engine::Event;
use crate::error::Result;
use crate::store::contacts::{self, StoredContact};
use crate::store::messages::{self, Direction, MessageStatus, NewInbound};
use crate::store::sessions::{self, StoredSession};

/// A message from a person, as a channel hands it over.
#[derive(Debug)]
pub struct Inbound {
    /// The provider's id of it: the same one is never handled twice.
    pub provider_id: String,
    /// Who sent it.
    pub from: Phone,
    /// What it is.
    pub kind: ReplyKind,
    /// Typed text, title or caption.
    pub text: Option<String>,
    /// Id of the tapped option: `<session>:<option>` as sent, or the bare option.
    pub option: Option<String>,
    /// Our message that it taps or quotes.
    pub reply_to: Option<MessageId>,
    /// Medium, place or contacts.
    pub payload: Option<Value>,
    /// When it was written, as the channel says.
    pub sent_at: Option<Timestamp>,
    /// When it came here.
    pub arrival: Arrival,
}

/// How a message was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handling {
    /// A session took it.
    Reply,
    /// It belongs to a session that did not take it, such as one in a delay; the trace says why.
    Ignored,
    /// No session wants it; it is kept with the reason.
    Unrouted,
    /// It was here before; nothing ran.
    Duplicate,
}

impl Handling {
    /// The name used in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Ignored => "ignored",
            Self::Unrouted => "unrouted",
            Self::Duplicate => "duplicate",
        }
    }
}

/// What came of an [`Inbound`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// The stored message.
    pub message_id: MessageId,
    /// The session that it belongs to.
    pub session_id: Option<SessionId>,
    /// How it was handled.
    pub handling: Handling,
    /// Why not, where it was not.
    pub reason: Option<String>,
}

/// Where a message goes.
enum Route {
    /// To a session that takes it.
    To(Box<Live>),
    /// Kept with the session that it was meant for, and traced there, but not taken.
    Unheard(StoredTurn, &'static str),
    /// To no session.
    Nowhere(&'static str),
}

/// A session and the last turn that it took.
#[derive(Clone, Copy)]
struct StoredTurn {
    seq: i64,
    id: SessionId,
    flow_id: FlowId,
    turn: u32,
}

impl StoredTurn {
    fn of(seq: i64, session: &Session) -> Self {
        Self { seq, id: session.id, flow_id: session.flow_id, turn: session.turn }
    }
}

impl Command for Inbound {
    type Outcome = Received;

    fn run(&self, job: &Job<'_>) -> Result<Received, Hold> {
        let channel = job.channel();
        if let Some(earlier) = messages::find_by_provider_id(job.tx(), channel, &self.provider_id)? {
            return Ok(Received {
                message_id: earlier.id,
                session_id: earlier.session_id,
                handling: Handling::Duplicate,
                reason: None,
            });
        }
        let known = contacts::find_by_phone(job.tx(), &self.from)?;
        if let Some(message_id) = job.erased_message(channel, &self.provider_id, known.as_ref())? {
            return Ok(Received { message_id, session_id: None, handling: Handling::Duplicate, reason: None });
        }
        let route = self.route(job, known.as_ref())?;
        let (contact_seq, contact_id) = match known {
            Some(known) => (known.seq, known.contact.id),
            None => job.add_contact(self.from.clone(), channel)?,
        };
        let (session, handling, reason) = match &route {
            Route::To(live) => (live.seq.map(|seq| StoredTurn::of(seq, &live.session)), Handling::Reply, None),
            Route::Unheard(at, why) => (Some(*at), Handling::Unrouted, Some(*why)),
            Route::Nowhere(why) => (None, Handling::Unrouted, Some(*why)),
        };
        let id = MessageId(Uuid::now_v7());
        let seq = messages::insert_inbound(
            job.tx(),
            &NewInbound {
                id,
                contact_seq,
                session: session.as_ref().map(|at| (at.seq, at.turn)),
                channel,
                provider_id: Some(&self.provider_id),
                kind: self.kind.as_str(),
                body: &to_json(&self.body())?,
                handled: Some(handling.as_str()),
                reason,
                created_at: self.arrival.at(),
            },
        )?;
        contacts::touch(job.tx(), contact_seq, 1, Some(self.arrival.at()), self.arrival.at())?;
        let of_session = session.map(|at| (at.id, at.flow_id));
        job.notice(|| Notice::message(id, contact_id, of_session, Direction::In, MessageStatus::Received));
        let session_id = session.map(|at| at.id);
        let mut received = Received { message_id: id, session_id, handling, reason: reason.map(str::to_owned) };
        match route {
            Route::To(mut live) => {
                let answers_turn = self.answered_turn(job, live.session.id)?;
                if let Some(why) = job.apply(&mut live, &Event::Reply(self.reply(answers_turn)))? {
                    received.handling = Handling::Ignored;
                    received.reason = Some(why.to_owned());
                    messages::set_handled(job.tx(), seq, Handling::Ignored.as_str(), Some(why), live.seq)?;
                }
            }
            Route::Unheard(at, why) => job.trace_unheard(at.seq, at.turn, Event::Reply(self.reply(None)), why)?,
            Route::Nowhere(_) => {}
        }
        Ok(received)
    }
}

impl Inbound {
    /// Settles what was due when the message arrived, and finds the session that gets it.
    fn route(&self, job: &Job<'_>, contact: Option<&StoredContact>) -> Result<Route, Hold> {
        let named = self.named(job)?;
        let Some(contact) = contact else {
            return Ok(named.map_or(Route::Nowhere("no_session"), |_| Route::Nowhere("not_your_session")));
        };
        // Whatever may hold the job comes before anything is written.
        let mut lives = Vec::new();
        for stored in sessions::running_of_contact(job.tx(), contact.seq)? {
            job.wait_for_earlier_replies(&stored.session, &self.arrival)?;
            lives.push(job.live(stored, contact.clone())?);
        }
        let had_floor = floor(&lives, &[]);
        let mut settled = Vec::new();
        for (index, live) in lives.iter_mut().enumerate() {
            if job.settle(live, self.arrival.at())? > 0 {
                settled.push(index);
            }
        }
        let chosen = match &named {
            Some(Named::Session(named)) => match lives.iter().position(|live| live.seq == Some(named.seq)) {
                None if named.contact_seq != contact.seq => return Ok(Route::Nowhere("not_your_session")),
                None => {
                    return Ok(Route::Unheard(StoredTurn::of(named.seq, &named.session), "session_ended"));
                }
                found => found,
            },
            Some(Named::Gone) => return Ok(Route::Nowhere("session_ended")),
            // A session that ended when its timer fired gives the floor to the one before it. One that goes on keeps it,
            // but what it says now was not there when the message was written.
            None => match had_floor {
                Some(index) if settled.contains(&index) && !lives[index].is_running() => {
                    floor(&lives, &settled).or(had_floor)
                }
                other => other,
            },
        };
        let Some(index) = chosen else { return Ok(Route::Nowhere("no_session")) };
        let mut live = lives.swap_remove(index);
        if settled.contains(&index) {
            let why = turn::too_late(&live.session);
            let seq = live.seq.unwrap_or_default();
            return Ok(Route::Unheard(StoredTurn::of(seq, &live.session), why));
        }
        if !settled.is_empty() {
            job.refresh(&mut live)?;
        }
        Ok(Route::To(Box::new(live)))
    }

    /// The session whose message is tapped or quoted.
    fn named(&self, job: &Job<'_>) -> Result<Option<Named>> {
        if let Some((session, _)) = self.option.as_deref().and_then(split_option) {
            let found = sessions::find_by_id(job.tx(), session)?;
            return Ok(Some(found.map_or(Named::Gone, |stored| Named::Session(Box::new(stored)))));
        }
        let Some(reply_to) = self.reply_to else { return Ok(None) };
        let Some(seq) = messages::find_by_id(job.tx(), reply_to)?.and_then(|message| message.session_seq) else {
            return Ok(None);
        };
        Ok(sessions::find_by_seq(job.tx(), seq)?.map(|stored| Named::Session(Box::new(stored))))
    }

    fn answered_turn(&self, job: &Job<'_>, session: SessionId) -> Result<Option<u32>> {
        let Some(reply_to) = self.reply_to else { return Ok(None) };
        let message = messages::find_by_id(job.tx(), reply_to)?;
        Ok(message.filter(|message| message.session_id == Some(session)).and_then(|message| message.turn))
    }

    fn reply(&self, answers_turn: Option<u32>) -> Reply {
        let bare = |option: &str| split_option(option).map_or(option, |(_, bare)| bare).to_owned();
        Reply {
            kind: self.kind,
            text: self.text.clone(),
            option: self.option.as_deref().map(bare),
            payload: self.payload.clone(),
            answers_turn,
            received_at: self.arrival.at(),
        }
    }

    fn body(&self) -> Value {
        let mut body = json!({});
        for (key, value) in [
            ("text", self.text.as_ref().map(|text| json!(text))),
            ("option", self.option.as_ref().map(|option| json!(option))),
            ("reply_to", self.reply_to.map(|id| json!(id))),
            ("media", self.payload.clone()),
            ("sent_at", self.sent_at.map(|at| json!(at))),
        ] {
            if let Some(value) = value {
                body[key] = value;
            }
        }
        body
    }
}

/// A session that a message names.
enum Named {
    Session(Box<StoredSession>),
    /// A session's id that no session has (any more).
    Gone,
}

/// The session that has the floor: of those that wait for a reply the one that spoke last, else one that waits for
/// something else, whose trace then says why it does not listen; those at `except` are left out. `lives` come with the
/// last speaker first.
fn floor(lives: &[Live], except: &[usize]) -> Option<usize> {
    let first = |listens: bool| {
        let fits =
            |live: &Live| live.session.wait.as_ref().is_some_and(|wait| (wait.kind == WaitKind::Reply) == listens);
        (0..lives.len()).find(|index| !except.contains(index) && fits(&lives[*index]))
    };
    first(true).or_else(|| first(false))
}

/// The parts of `<session>:<option>`.
fn split_option(option: &str) -> Option<(SessionId, &str)> {
    let (session, bare) = option.split_once(':')?;
    Some((session.parse().ok()?, bare))
}
