//! Events from outside, for the sessions that wait for one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{EventName, FlowId, SessionId};
use crate::engine::Event;
use crate::error::{Error, Result};
use crate::runtime::job::lookup::{ContactRef, Resolved};
use crate::runtime::job::{Command, Deferred, Job, LoadedSession};
use crate::store::{contacts, flows, sessions};

/// Sends an event to sessions: those that wait for it go on, the others keep it until they do.
#[derive(Debug, Clone)]
pub struct SendEvent {
    /// The sessions that get the event.
    pub to: EventTarget,
    /// The event's name, which an event node waits for.
    pub name: EventName,
    /// What the event carries; `null` where it carries nothing.
    pub payload: Value,
}

/// The sessions that an event is for.
#[derive(Debug, Clone)]
pub enum EventTarget {
    /// One session by its id, running or not.
    Session(SessionId),
    /// The running ones of a contact.
    Contact {
        /// Of this flow alone, published or not.
        flow_id: Option<FlowId>,
        /// The contact whose sessions are meant.
        contact_ref: ContactRef,
    },
}

/// What a session did with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventHandling {
    /// It waited for it, and went on.
    Taken,
    /// It keeps it until it waits for it.
    Kept,
    /// It has no room to keep it; the trace says so.
    Refused,
}

/// One session that got an event, and what it did with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSent {
    /// The session's id.
    pub id: SessionId,
    /// What it did.
    pub handled: EventHandling,
}

/// The outcome of a [`SendEvent`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum EventOutcome {
    /// The event was sent to these sessions; none if the contact has no running session.
    Sent {
        /// The last prompted first.
        sessions: Vec<EventSent>,
    },
    /// There is no such session.
    SessionNotFound,
    /// That session has ended.
    SessionEnded,
    /// There is no such flow.
    FlowNotFound,
    /// No contact has that id.
    ContactNotFound,
    /// The contact and the phone number are different people.
    ContactMismatch,
}

impl Command for SendEvent {
    type Outcome = EventOutcome;

    fn is_kept(outcome: &EventOutcome) -> bool {
        matches!(outcome, EventOutcome::Sent { .. })
    }

    fn run(&self, job: &Job<'_>) -> Result<EventOutcome, Deferred> {
        let (stored, contact) = match &self.to {
            EventTarget::Session(id) => {
                let Some(stored) = sessions::find_by_id(job.tx(), *id)? else {
                    return Ok(EventOutcome::SessionNotFound);
                };
                let contact = contacts::find_by_seq(job.tx(), stored.contact_seq)?
                    .ok_or_else(|| Error::internal(format!("Session {id} has no contact")))?;
                (vec![stored], contact)
            }
            EventTarget::Contact { flow_id, contact_ref } => {
                let flow = flow_id.map(|id| flows::seq_of(job.tx(), id)).transpose()?;
                let flow = match flow {
                    Some(None) => return Ok(EventOutcome::FlowNotFound),
                    other => other.flatten(),
                };
                let contact = match job.find(contact_ref)? {
                    Resolved::Known(contact) => contact,
                    Resolved::New(_) => return Ok(EventOutcome::Sent { sessions: Vec::new() }),
                    Resolved::Unknown => return Ok(EventOutcome::ContactNotFound),
                    Resolved::Mismatch => return Ok(EventOutcome::ContactMismatch),
                };
                let stored = match flow {
                    Some(flow) => sessions::find_running(job.tx(), flow, contact.seq)?.into_iter().collect(),
                    None => sessions::running_of_contact(job.tx(), contact.seq)?,
                };
                (stored, contact)
            }
        };
        // Whatever may defer the job comes before anything is written.
        let mut sessions = Vec::with_capacity(stored.len());
        for stored in stored {
            job.wait_for_replies(&stored.session)?;
            sessions.push(job.load(stored, contact.clone())?);
        }
        let mut sent = Vec::with_capacity(sessions.len());
        for loaded in &mut sessions {
            // The session before may have changed the contact.
            job.refresh(loaded)?;
            sent.extend(self.send(job, loaded)?);
        }
        match self.to {
            EventTarget::Session(_) if sent.is_empty() => Ok(EventOutcome::SessionEnded),
            _ => Ok(EventOutcome::Sent { sessions: sent }),
        }
    }
}

impl SendEvent {
    /// Sends the event to one session, unless that has ended by now.
    fn send(&self, job: &Job<'_>, loaded: &mut LoadedSession) -> Result<Option<EventSent>, Deferred> {
        job.fire_due(loaded, job.now())?;
        if !loaded.is_running() {
            return Ok(None);
        }
        let turn = loaded.session.turn;
        let event = Event::External { name: self.name.clone(), payload: self.payload.clone() };
        let refused = job.apply(loaded, &event)?.is_some();
        // Keeping an event is no turn, and what fails a session at its last turn was taken.
        let handled = match loaded.session.turn == turn && loaded.is_running() {
            _ if refused => EventHandling::Refused,
            true => EventHandling::Kept,
            false => EventHandling::Taken,
        };
        Ok(Some(EventSent { id: loaded.session.id, handled }))
    }
}
