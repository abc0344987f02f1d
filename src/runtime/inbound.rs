//! A message from a person: whose it is, and which session gets it.
//!
//! In order: de-duplicate by (channel, provider id), find or create the contact, then the session whose message is
//! tapped or quoted, else the waiting one that spoke last; what no session takes is stored as unrouted, with the reason.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Command;
use super::arrivals::Arrival;
use super::job::{Found, Hold, Job, Live, Whom, to_json};
use crate::domain::{MessageId, Phone, Reply, ReplyKind, SessionId, Status, Timestamp, WaitKind};
use crate::engine::Event;
use crate::error::Result;
use crate::store::contacts::{self, StoredContact};
use crate::store::messages::{self, NewInbound};
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
    To(Box<Live>),
    /// Kept with the session it was meant for, but not taken.
    Late(Box<Live>, &'static str),
    Nowhere(&'static str),
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
        let contact = match job.find(&Whom::Phone(self.from.clone()))? {
            Found::Known(contact) => contact,
            Found::New(phone) => job.add_contact(phone, channel, None)?,
            Found::Unknown | Found::Mismatch => unreachable!("a phone number is known or new"),
        };
        let route = self.route(job, &contact)?;
        let (session, session_id) = match &route {
            Route::To(live) | Route::Late(live, _) => {
                (live.seq.map(|seq| (seq, live.session.turn)), Some(live.session.id))
            }
            Route::Nowhere(_) => (None, None),
        };
        let (handling, reason) = match &route {
            Route::To(_) => (Handling::Reply, None),
            Route::Late(_, why) | Route::Nowhere(why) => (Handling::Unrouted, Some(*why)),
        };
        let id = MessageId(Uuid::now_v7());
        let seq = messages::insert_inbound(
            job.tx(),
            &NewInbound {
                id,
                contact_seq: contact.seq,
                session,
                channel,
                provider_id: Some(&self.provider_id),
                kind: self.kind.as_str(),
                body: &to_json(&self.body())?,
                handled: Some(handling.as_str()),
                reason,
                created_at: self.arrival.at(),
            },
        )?;
        contacts::touch(job.tx(), contact.seq, 1, Some(self.arrival.at()), self.arrival.at())?;
        let mut received = Received { message_id: id, session_id, handling, reason: reason.map(str::to_owned) };
        if let Route::To(mut live) = route {
            let answers_turn = self.answered_turn(job, live.session.id)?;
            let ignored = job.apply(&mut live, &Event::Reply(self.reply(answers_turn)))?;
            if let Some(why) = ignored {
                received.handling = Handling::Ignored;
                received.reason = Some(why.to_owned());
                messages::set_handled(job.tx(), seq, Handling::Ignored.as_str(), Some(why), live.seq)?;
            }
        }
        Ok(received)
    }
}

impl Inbound {
    /// Settles what was due when the message arrived, and finds the session that gets it.
    fn route(&self, job: &Job<'_>, contact: &StoredContact) -> Result<Route, Hold> {
        let running = sessions::running_of_contact(job.tx(), contact.seq)?;
        // Flows are fetched for all before anything is written: a hold must leave nothing behind.
        let mut lives = Vec::with_capacity(running.len());
        for stored in running {
            lives.push(job.live(stored, contact.clone())?);
        }
        let named = self.named_session(job)?;
        let chosen = match &named {
            Some(named) => lives.iter().position(|live| live.seq == Some(named.seq)),
            None => floor(&lives),
        };
        let mut was_settled = false;
        for (index, live) in lives.iter_mut().enumerate() {
            let fired = job.settle(live, self.arrival.at())?;
            was_settled |= fired > 0 && Some(index) == chosen;
        }
        if let Some(index) = chosen {
            let live = Box::new(lives.swap_remove(index));
            // What the session says now was not there when the message was written.
            return Ok(match (was_settled, live.is_running()) {
                (false, _) => Route::To(live),
                (true, true) => Route::Late(live, "late"),
                (true, false) => Route::Late(live, "session_ended"),
            });
        }
        Ok(match named {
            Some(named) if named.contact_seq == contact.seq && named.session.status != Status::Running => {
                Route::Nowhere("session_ended")
            }
            Some(_) => Route::Nowhere("not_your_session"),
            None => Route::Nowhere("no_session"),
        })
    }

    /// The session whose message is tapped or quoted.
    fn named_session(&self, job: &Job<'_>) -> Result<Option<StoredSession>> {
        if let Some((session, _)) = self.option.as_deref().and_then(split_option) {
            return sessions::find_by_id(job.tx(), session);
        }
        let Some(reply_to) = self.reply_to else { return Ok(None) };
        match messages::find_by_id(job.tx(), reply_to)?.and_then(|message| message.session_seq) {
            Some(seq) => sessions::find_by_seq(job.tx(), seq),
            None => Ok(None),
        }
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

/// The session that has the floor: of those that wait for a reply the one that spoke last, else one in a delay.
/// `lives` come with the last speaker first.
fn floor(lives: &[Live]) -> Option<usize> {
    let waits_for =
        |kind| lives.iter().position(|live| live.session.wait.as_ref().is_some_and(|wait| wait.kind == kind));
    waits_for(WaitKind::Reply).or_else(|| waits_for(WaitKind::Delay))
}

/// The parts of `<session>:<option>`.
fn split_option(option: &str) -> Option<(SessionId, &str)> {
    let (session, bare) = option.split_once(':')?;
    Some((session.parse().ok()?, bare))
}
