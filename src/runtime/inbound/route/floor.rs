//! Which session a message is meant for: the one that it names, or the one that has the floor.

use std::time::Duration;

use super::Router;
use crate::domain::consent::Awaited;
use crate::domain::{Direction, WaitKind, split_option};
use crate::engine;
use crate::error::Result;
use crate::runtime::inbound::message::{Inbound, Quoted};
use crate::runtime::job::sub_flows::SubFlows;
use crate::runtime::job::{Deferred, Job, LoadedSession};
use crate::store::messages::{self, MessageRow};
use crate::store::sessions::{self, StoredSession};

/// How long before it came a message may have been written to be taken as part of a chat.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// A session that a message names.
pub(super) enum Named {
    Session(Box<StoredSession>),
    /// A session's id that no session has (any more).
    Gone,
}

impl Named {
    /// Where it is among the live ones.
    pub(super) fn place(&self, sessions: &[LoadedSession]) -> Option<usize> {
        match self {
            Self::Session(named) => place(named, sessions),
            Self::Gone => None,
        }
    }
}

pub(super) fn place(of: &StoredSession, sessions: &[LoadedSession]) -> Option<usize> {
    sessions.iter().position(|loaded| loaded.seq == Some(of.seq))
}

/// Who has the floor.
pub(super) enum Floor {
    /// The session at this place.
    Of(usize),
    /// No session any more: the one at this place had it, and has ended since.
    LeftBy(usize),
    /// No session.
    Nobody,
}

impl Router<'_> {
    /// The session whose message is tapped or quoted.
    pub(super) fn named(&self) -> Result<Option<Named>> {
        let tx = self.job.tx();
        if let Some((session, _)) = self.inbound.option.as_deref().and_then(split_option) {
            let found = sessions::find_by_id(tx, session)?;
            return Ok(Some(found.map_or(Named::Gone, |stored| Named::Session(Box::new(stored)))));
        }
        let Some(seq) = quoted(self.job, self.inbound)?.and_then(|message| message.session_seq) else {
            return Ok(None);
        };
        Ok(sessions::find_by_seq(tx, seq)?.map(|stored| Named::Session(Box::new(stored))))
    }

    /// What is waited for that would take the message as an answer: by the live session that it names, else by the one
    /// with the floor; another holder of the conversation may have asked anything. `named`: where among `sessions` the
    /// one is that it names.
    pub(super) fn awaited(
        &self,
        sessions: &[LoadedSession],
        named: Option<Option<usize>>,
    ) -> Result<Awaited, Deferred> {
        Ok(match self.awaited_by_session(sessions, named)? {
            Awaited::Nothing if self.consent.is_some_and(|consent| consent.may_answer(self.holder)) => {
                Awaited::Anything
            }
            awaited => awaited,
        })
    }

    fn awaited_by_session(
        &self,
        sessions: &[LoadedSession],
        named: Option<Option<usize>>,
    ) -> Result<Awaited, Deferred> {
        let index = match named {
            Some(named) => named,
            None => match (sessions.iter().position(|loaded| self.is_in_handoff(loaded)), self.floor(sessions)) {
                (Some(index), _) => Some(index),
                _ if self.is_stale() => None,
                (None, Floor::Of(index)) => Some(index),
                (None, Floor::LeftBy(_) | Floor::Nobody) => None,
            },
        };
        let Some(index) = index.filter(|index| !self.fired[*index]) else { return Ok(Awaited::Nothing) };
        let Some(text) = self.inbound.text.as_deref() else { return Ok(Awaited::Nothing) };
        let found = SubFlows::new(self.job);
        let lookup = |id, version| found.look_up(id, version);
        let LoadedSession { flow, session, .. } = &sessions[index];
        let awaited = engine::awaited(flow, &lookup, session, (text, self.inbound.arrival.at()));
        awaited.map_err(|_| found.into_deferred())
    }

    /// Whether it was written too long before it came for a chat to be still about it.
    pub(super) fn is_stale(&self) -> bool {
        self.inbound.sent_at.is_some_and(|sent_at| sent_at.plus(STALE) < self.inbound.arrival.at())
    }

    /// Which session has the floor: the one that had it when the message came. If that ended since, it is the one
    /// before it, as far as it has said nothing since.
    pub(super) fn floor(&self, sessions: &[LoadedSession]) -> Floor {
        let listens = |index: &usize| matches!(self.waits[*index], Some(WaitKind::Reply | WaitKind::Http));
        let mut listening = (0..sessions.len()).filter(listens);
        let Some(first) = listening.next() else {
            // One that waited for no reply and is over: the message is kept with it, if nothing else takes it.
            let over = (0..sessions.len()).find(|index| !sessions[*index].is_running());
            return over.map_or(Floor::Nobody, Floor::LeftBy);
        };
        if sessions[first].is_running() {
            return Floor::Of(first);
        }
        listening.find(|index| !self.fired[*index]).map_or(Floor::LeftBy(first), Floor::Of)
    }

    pub(super) fn is_in_handoff(&self, loaded: &LoadedSession) -> bool {
        loaded.is_running() && loaded.session.wait.as_ref().is_some_and(|wait| wait.kind == WaitKind::Handoff)
    }
}

/// The message that a message taps or quotes.
pub(super) fn quoted(job: &Job<'_>, inbound: &Inbound) -> Result<Option<MessageRow>> {
    match &inbound.reply_to {
        Some(Quoted::Ours(id)) => messages::find_by_id(job.tx(), *id),
        Some(Quoted::Provider(id)) => {
            let find = |direction| messages::find_by_provider_id(job.tx(), job.channel(), direction, id);
            // People quote what they wrote themselves as well: that names the session that it went to.
            find(Direction::Out)?.map_or_else(|| find(Direction::In), |found| Ok(Some(found)))
        }
        None => Ok(None),
    }
}
