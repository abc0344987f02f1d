//! A person gives a conversation back to its flow.

use serde::{Deserialize, Serialize};

use super::cancel::{Ended, running};
use crate::domain::{SessionId, WaitKind};
use crate::engine::Event;
use crate::error::Result;
use crate::runtime::Command;
use crate::runtime::job::{Hold, Job};

/// Takes a session out of handoff: its flow goes on.
#[derive(Debug, Clone, Copy)]
pub struct Resume {
    /// The session.
    pub id: SessionId,
}

/// What came of a [`Resume`].
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

    fn run(&self, job: &Job<'_>) -> Result<Resumed, Hold> {
        let mut live = match running(job, self.id)? {
            Ok(live) => live,
            Err(Ended::NotFound) => return Ok(Resumed::NotFound),
            Err(_) => return Ok(Resumed::NotRunning),
        };
        if live.session.wait.as_ref().is_none_or(|wait| wait.kind != WaitKind::Handoff) {
            return Ok(Resumed::NotInHandoff);
        }
        match job.apply(&mut live, &Event::Resume)? {
            None => Ok(Resumed::Done),
            Some(_) => Ok(Resumed::NotInHandoff),
        }
    }
}
