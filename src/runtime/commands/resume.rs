//! Giving a conversation back to its flow: after a handoff of a session, or after another party held the conversation.

use serde::{Deserialize, Serialize};

use super::cancel::{Ended, running};
use crate::domain::{ContactId, SessionId, WaitKind};
use crate::engine::Event;
use crate::error::Result;
use crate::runtime::job::{Command, Deferred, Job};
use crate::store::contacts;

/// Takes a session out of handoff: its flow goes on.
#[derive(Debug, Clone, Copy)]
pub struct Resume {
    /// The session in handoff.
    pub id: SessionId,
}

/// The outcome of a [`Resume`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Resumed {
    /// Its flow has gone on.
    Done,
    /// No person has it.
    NotInHandoff,
    /// It has ended.
    NotRunning,
    /// There is no such session.
    NotFound,
}

impl Command for Resume {
    type Outcome = Resumed;

    fn run(&self, job: &Job<'_>) -> Result<Resumed, Deferred> {
        let mut loaded = match running(job, self.id)? {
            Ok(loaded) => loaded,
            Err(Ended::NotFound) => return Ok(Resumed::NotFound),
            Err(_) => return Ok(Resumed::NotRunning),
        };
        if loaded.session.wait.as_ref().is_none_or(|wait| wait.kind != WaitKind::Handoff) {
            return Ok(Resumed::NotInHandoff);
        }
        match job.apply(&mut loaded, &Event::Resume)? {
            None => Ok(Resumed::Done),
            Some(_) => Ok(Resumed::NotInHandoff),
        }
    }
}

/// Ends the hold on a contact's conversation: flows go on. The outcome is whether there is such a contact.
#[derive(Debug, Clone, Copy)]
pub struct ResumeContact {
    /// The contact whose conversation is held.
    pub contact_id: ContactId,
}

impl Command for ResumeContact {
    type Outcome = bool;

    fn run(&self, job: &Job<'_>) -> Result<bool, Deferred> {
        let Some(contact) = contacts::find_by_id(job.tx(), self.contact_id)? else { return Ok(false) };
        job.let_go(&contact)?;
        Ok(true)
    }
}
