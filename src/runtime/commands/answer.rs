//! Messages outside of flows: an agent's answer, the confirmation of an opt-out or an opt-in, and those of `send`.
//!
//! They go through the same outbox as a flow's, and their `origin` distinguishes them.

use serde::{Deserialize, Serialize};

use crate::domain::{ContactId, MessageId, Origin};
use crate::error::Result;
use crate::runtime::job::{Command, Deferred, Job};
use crate::store::contacts;

/// An agent, or a system of the operator's, answers a contact. An agent may also answer a contact who opted out: that
/// is between people.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The recipient.
    pub contact_id: ContactId,
    /// The text, unlimited in length: it is split into parts that the channel takes.
    pub text: String,
    /// Whether an agent wrote it, and not a system.
    pub is_by_person: bool,
}

/// The outcome of an [`Answer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Answered {
    /// It waits to go out; on the simulator it is shown.
    Queued {
        /// The message's id, or that of its first part.
        id: MessageId,
    },
    /// The contact has opted out, and no agent wrote it. Nothing was enqueued.
    OptedOut,
    /// No contact has that id.
    NotFound,
}

impl Command for Answer {
    type Outcome = Answered;

    fn is_kept(outcome: &Answered) -> bool {
        matches!(outcome, Answered::Queued { .. })
    }

    fn run(&self, job: &Job<'_>) -> Result<Answered, Deferred> {
        let Some(contact) = contacts::find_by_id(job.tx(), self.contact_id)? else { return Ok(Answered::NotFound) };
        if !self.is_by_person && contact.contact.is_opted_out() {
            return Ok(Answered::OptedOut);
        }
        // The opt-out is checked again when it goes out, by the same rule.
        let origin = if self.is_by_person { Origin::Agent } else { Origin::Api };
        Ok(Answered::Queued { id: job.enqueue_text(&contact, origin, &self.text, None)? })
    }
}
