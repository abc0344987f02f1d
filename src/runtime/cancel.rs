//! Ending a session from outside.

use serde::{Deserialize, Serialize};

use super::Command;
use super::job::{Found, Hold, Job, Whom};
use crate::domain::{FlowId, SessionId};
use crate::engine::Event;
use crate::error::Result;
use crate::store::{flows, sessions};

/// Ends the live session of a flow and a contact: the customer paid, so the reminder stops.
#[derive(Debug, Clone)]
pub struct Cancel {
    /// The flow, published or not.
    pub flow_id: FlowId,
    /// The contact.
    pub whom: Whom,
    /// For the trace and the session.
    pub reason: Option<String>,
}

/// What came of a [`Cancel`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Cancelled {
    /// The session has ended.
    Ended {
        /// That session.
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

    fn run(&self, job: &Job<'_>) -> Result<Cancelled, Hold> {
        let Some(flow) = flows::find(job.tx(), self.flow_id)? else { return Ok(Cancelled::FlowNotFound) };
        let contact = match job.find(&self.whom)? {
            Found::Known(contact) => contact,
            Found::New(_) => return Ok(Cancelled::NotRunning),
            Found::Unknown => return Ok(Cancelled::ContactNotFound),
            Found::Mismatch => return Ok(Cancelled::ContactMismatch),
        };
        let Some(stored) = sessions::find_running(job.tx(), flow.seq, contact.seq)? else {
            return Ok(Cancelled::NotRunning);
        };
        job.wait_for_replies(&stored.session)?;
        let mut live = job.live(stored, contact)?;
        job.settle(&mut live, job.now())?;
        if !live.is_running() {
            return Ok(Cancelled::NotRunning);
        }
        let reason = self.reason.clone().unwrap_or_else(|| "cancelled".to_owned());
        job.apply(&mut live, &Event::Cancel { reason })?;
        Ok(Cancelled::Ended { id: live.session.id })
    }
}
