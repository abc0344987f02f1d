//! Ending a session from outside, or its wait.

use serde::{Deserialize, Serialize};

use crate::domain::{FlowId, Reason, SessionId, Status};
use crate::engine::Event;
use crate::error::{Error, Result};
use crate::runtime::job::lookup::{ContactRef, Resolved};
use crate::runtime::job::{Command, Deferred, Job, LoadedSession};
use crate::store::{contacts, flows, sessions};

/// Ends the live session of a flow and a contact: the customer paid, so the reminder stops.
#[derive(Debug, Clone)]
pub struct Cancel {
    /// The flow, published or not.
    pub flow_id: FlowId,
    /// The contact whose session ends.
    pub contact_ref: ContactRef,
    /// For the trace and the session.
    pub reason: Option<String>,
}

/// The outcome of a [`Cancel`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Cancelled {
    /// The session has ended.
    Ended {
        /// The session that ended.
        id: SessionId,
    },
    /// There was none.
    NotRunning,
    /// There is no such flow.
    FlowNotFound,
    /// No contact has that id.
    ContactNotFound,
    /// The contact and the phone number are different people.
    ContactMismatch,
}

impl Command for Cancel {
    type Outcome = Cancelled;

    fn is_kept(outcome: &Cancelled) -> bool {
        matches!(outcome, Cancelled::Ended { .. } | Cancelled::NotRunning)
    }

    fn run(&self, job: &Job<'_>) -> Result<Cancelled, Deferred> {
        let Some(flow_seq) = flows::seq_of(job.tx(), self.flow_id)? else { return Ok(Cancelled::FlowNotFound) };
        let contact = match job.find(&self.contact_ref)? {
            Resolved::Known(contact) => contact,
            Resolved::New(_) => return Ok(Cancelled::NotRunning),
            Resolved::Unknown => return Ok(Cancelled::ContactNotFound),
            Resolved::Mismatch => return Ok(Cancelled::ContactMismatch),
        };
        let Some(stored) = sessions::find_running(job.tx(), flow_seq, contact.seq)? else {
            return Ok(Cancelled::NotRunning);
        };
        job.wait_for_replies(&stored.session)?;
        let mut loaded = job.load(stored, contact)?;
        job.fire_due(&mut loaded, job.now())?;
        if !loaded.is_running() {
            return Ok(Cancelled::NotRunning);
        }
        let reason = self.reason.clone().unwrap_or_else(|| Reason::Cancelled.into());
        job.apply(&mut loaded, &Event::Cancel { reason })?;
        Ok(Cancelled::Ended { id: loaded.session.id })
    }
}

/// Ends one session.
#[derive(Debug, Clone)]
pub struct CancelSession {
    /// The session to end.
    pub id: SessionId,
    /// For the trace and the session.
    pub reason: String,
}

/// Fires the timer of what a session waits for, before it is due.
#[derive(Debug, Clone, Copy)]
pub struct FireTimeout {
    /// The session whose timer fires.
    pub id: SessionId,
}

/// The outcome of a [`CancelSession`] or a [`FireTimeout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Ended {
    /// It was done.
    Done {
        /// Queued messages that were dropped with the session.
        dropped: u64,
    },
    /// The session had ended before.
    NotRunning,
    /// It waits for nothing that has a timer.
    NoTimer,
    /// There is no such session.
    NotFound,
}

impl Command for CancelSession {
    type Outcome = Ended;

    fn run(&self, job: &Job<'_>) -> Result<Ended, Deferred> {
        let mut loaded = match running(job, self.id)? {
            Ok(loaded) => loaded,
            Err(ended) => return Ok(ended),
        };
        job.apply(&mut loaded, &Event::Cancel { reason: self.reason.clone() })?;
        Ok(Ended::Done { dropped: job.dropped() })
    }
}

impl Command for FireTimeout {
    type Outcome = Ended;

    fn run(&self, job: &Job<'_>) -> Result<Ended, Deferred> {
        let mut loaded = match running(job, self.id)? {
            Ok(loaded) => loaded,
            Err(ended) => return Ok(ended),
        };
        let Some(wait) = loaded.session.wait.as_mut().filter(|wait| wait.wake_at.is_some()) else {
            return Ok(Ended::NoTimer);
        };
        // The timer is brought forward: one that is not due does nothing.
        wait.wake_at = Some(job.now());
        let armed_in = wait.armed_in;
        job.apply(&mut loaded, &Event::Timeout { armed_in })?;
        Ok(Ended::Done { dropped: job.dropped() })
    }
}

/// A session with what was overdue settled, or why it cannot be moved.
pub(in crate::runtime) fn running(job: &Job<'_>, id: SessionId) -> Result<Result<LoadedSession, Ended>, Deferred> {
    let Some(stored) = sessions::find_by_id(job.tx(), id)? else { return Ok(Err(Ended::NotFound)) };
    if stored.session.status != Status::Running {
        return Ok(Err(Ended::NotRunning));
    }
    job.wait_for_replies(&stored.session)?;
    let contact = contacts::find_by_seq(job.tx(), stored.contact_seq)?
        .ok_or_else(|| Error::internal(format!("Session {id} has no contact")))?;
    let mut loaded = job.load(stored, contact)?;
    job.fire_due(&mut loaded, job.now())?;
    Ok(if loaded.is_running() { Ok(loaded) } else { Err(Ended::NotRunning) })
}
