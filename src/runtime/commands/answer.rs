//! Messages that no flow says: an agent's answer, the confirmation of an opt-out or an opt-in, and what `send` adds.
//!
//! They go through the same outbox as a flow's, and their `origin` tells them from those.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{ContactId, Direction, MessageId, MessageStatus, NewMessage, Origin, Part, cut};
use crate::error::{Error, Result};
use crate::runtime::job::changes::Change;
use crate::runtime::job::{Command, Deferred, Job, to_json};
use crate::store::contacts::{self, StoredContact};
use crate::store::messages::{self, NewOutgoing};

/// An agent, or a system of the operator's, answers somebody. An agent also answers somebody who opted out: that is
/// between people.
#[derive(Debug, Clone)]
pub struct Answer {
    /// To whom.
    pub contact_id: ContactId,
    /// What.
    pub text: String,
    /// An agent says it, and no system.
    pub is_by_person: bool,
}

/// What came of an [`Answer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Answered {
    /// It waits to go out; on the simulator it is shown.
    Queued {
        /// The message.
        id: MessageId,
    },
    /// The contact does not want to be written to, and no agent says it. Nothing was said.
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
        // Who opts out while it waits is looked at again when it goes out, by the same rule.
        let origin = if self.is_by_person { Origin::Agent } else { Origin::Api };
        Ok(Answered::Queued { id: job.say(&contact, origin, &self.text, None)? })
    }
}

/// What is said.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtime) struct Words<'a> {
    /// What it is, such as `text`.
    pub(in crate::runtime) kind: &'a str,
    pub(in crate::runtime) body: &'a NewMessage<'a>,
}

impl Job<'_> {
    /// Says a text that belongs to no session, in parts if the channel takes it so only, and gives the first of them.
    /// It is dropped where it waits for longer than `max_age`.
    pub(in crate::runtime) fn say(
        &self,
        contact: &StoredContact,
        origin: Origin,
        text: &str,
        max_age: Option<Duration>,
    ) -> Result<MessageId> {
        let pieces = cut(text, self.shared().options.channel.text_limits().text);
        let of = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        let mut first = None;
        for (piece, number) in pieces.into_iter().zip(1..) {
            let id = MessageId(Uuid::now_v7());
            let first = *first.get_or_insert(id);
            let part = (of > 1).then(|| Part { first, number, of, options: Vec::new() });
            let body = NewMessage { part, ..NewMessage::text(piece) };
            self.queue(contact, (id, origin), Words { kind: "text", body: &body }, max_age)?;
        }
        first.ok_or_else(|| Error::internal("A blank text cannot be said"))
    }

    /// Says anything that belongs to no session. It is dropped where it waits for longer than `max_age`.
    pub(in crate::runtime) fn say_words(
        &self,
        contact: &StoredContact,
        origin: Origin,
        words: Words<'_>,
        max_age: Option<Duration>,
    ) -> Result<MessageId> {
        let id = MessageId(Uuid::now_v7());
        self.queue(contact, (id, origin), words, max_age)?;
        Ok(id)
    }

    fn queue(
        &self,
        contact: &StoredContact,
        (id, origin): (MessageId, Origin),
        words: Words<'_>,
        max_age: Option<Duration>,
    ) -> Result<()> {
        let status = match self.shared().options.channel.kind().reaches_phones() {
            false => MessageStatus::Simulated,
            true => MessageStatus::Queued,
        };
        messages::insert_outgoing(
            self.tx(),
            &NewOutgoing {
                id,
                contact_seq: contact.seq,
                session: None,
                channel: self.channel(),
                kind: words.kind,
                body: &to_json(words.body)?,
                status,
                reason: None,
                next_attempt_at: (status == MessageStatus::Queued).then(|| self.now()),
                origin,
                good_until: max_age.filter(|_| status == MessageStatus::Queued).map(|max_age| self.now().plus(max_age)),
                created_at: self.now(),
            },
        )?;
        match status {
            // Counted when the channel takes it.
            MessageStatus::Queued => self.wake_outbox(),
            _ => contacts::touch(self.tx(), contact.seq, 1, None, self.now())?,
        }
        self.note_change(|| Change::message(id, contact.contact.id, None, Direction::Out, status));
        Ok(())
    }
}
