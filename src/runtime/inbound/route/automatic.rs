//! Flows that answer by themselves: by a keyword, after the end of a session, or as the fallback.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Route, Router};
use crate::domain::typed::Typed;
use crate::domain::{FlowId, Handling, LateReply, NodeId, Reason, ReplyKind, SessionId, Status};
use crate::engine::{self, Beginning, CompiledFlow, Event};
use crate::error::Result;
use crate::runtime::commands::trigger;
use crate::runtime::inbound::auto_replies::Standing;
use crate::runtime::inbound::message::{Inbound, StoredTurn};
use crate::runtime::job::{ContactRow, Deferred, Job, LoadedSession, message_max_age};
use crate::store::contacts::StoredContact;
use crate::store::flows::{self, PublishedFlow};
use crate::store::sessions::{self, StoredSession};

/// How long after its end a session's flow answers a late reply.
pub(in crate::runtime) const LATE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A session that a message starts.
pub(in crate::runtime::inbound) struct Start {
    published: PublishedFlow,
    flow: Arc<CompiledFlow>,
    context: Map<String, Value>,
    /// Where it begins, if not at the flow's entry.
    at: Option<NodeId>,
    /// The session that it is the late reply of.
    pub(super) after: Option<StoredTurn>,
}

impl Start {
    /// Starts the session. The message that starts it is its `{{input}}`, and no wait of it is met by that message.
    pub(super) fn run(
        self,
        job: &Job<'_>,
        inbound: &Inbound,
        kind: ReplyKind,
        contact_seq: i64,
    ) -> Result<(Option<i64>, SessionId), Deferred> {
        let Self { published, flow, context, at, after: _ } = self;
        let StoredContact { contact, held, .. } = job.contact(contact_seq)?;
        let id = Uuid::now_v7();
        let beginning = Beginning {
            id: SessionId(id),
            flow_id: published.id,
            version: published.version,
            contact_id: contact.id,
            context,
            // The low half of a version 7 UUID is random.
            seed: id.as_u64_pair().1,
        };
        let mut session = engine::begin(&flow, beginning, job.now());
        session.input = Some(inbound.input(kind));
        session.current_node = at;
        let mut loaded = LoadedSession {
            seq: None,
            flow_seq: published.seq,
            flow,
            contact,
            contact_row: ContactRow::Stored(contact_seq),
            session,
            prompted_at: None,
            held,
        };
        job.apply(&mut loaded, &Event::Start)?;
        Ok((loaded.seq, SessionId(id)))
    }
}

impl Router<'_> {
    /// What takes a message that no session has the floor for, from 5 on in the order of [`super`]. `ended`: the
    /// session that it would have gone to, had it not ended; `is_named`: by what is tapped or quoted.
    pub(super) fn choose_automatic(
        &self,
        sessions: Vec<LoadedSession>,
        ended: Option<StoredTurn>,
        is_named: bool,
    ) -> Result<Route, Deferred> {
        let is_opted_out = self.contact.contact.is_opted_out();
        let mut is_limited = false;
        if !is_opted_out && let Some(start) = self.by_keyword(&sessions)? {
            is_limited = self.is_limited()?;
            if !is_limited {
                return Ok(Route::Start(Box::new(start), Handling::Keyword));
            }
        }
        if !is_named && let Some(index) = sessions.iter().position(LoadedSession::is_running) {
            return Ok(self.give(sessions, index));
        }
        if !is_limited
            && !is_opted_out
            && let Some(late) = self.late_reply(&sessions, ended.map(|at| at.seq))?
        {
            is_limited = self.is_limited()?;
            if !is_limited {
                return Ok(late);
            }
        }
        if !is_limited
            && !sessions.iter().any(LoadedSession::is_running)
            && let Some(start) = self.fallback()?
        {
            is_limited = self.is_limited()?;
            if !is_limited {
                return Ok(Route::Start(Box::new(start), Handling::Fallback));
            }
        }
        if is_limited {
            return Ok(Route::Nowhere(Reason::AutoReplyLimit));
        }
        Ok(ended.map_or(Route::Nowhere(Reason::NoSession), |at| Route::NotTaken(at, Reason::SessionEnded)))
    }

    /// Whether the limit of automatic answers is reached. The log has it once, when it begins.
    fn is_limited(&self) -> Result<bool> {
        let standing = self.job.auto_replies(self.contact.seq, self.inbound.arrival.at())?;
        if standing == Standing::Reached {
            tracing::warn!(
                contact = %self.contact.contact.id,
                "automatic answers to a person stop, since there were too many at once: an operator may let them go \
                 on, or an hour of silence does"
            );
        }
        Ok(standing != Standing::Free)
    }

    fn by_keyword(&self, sessions: &[LoadedSession]) -> Result<Option<Start>, Deferred> {
        let Some(word) = &self.keyword else { return Ok(None) };
        for flow_id in self.job.flows_of_keyword(word)? {
            let Some(start) = self.start_of(flow_id, Map::new())? else { continue };
            let still_has = |keyword: &String| {
                let keyword = Typed::of(keyword);
                keyword.exact == word.exact || keyword.is_like(word)
            };
            if start.flow.document().settings.keywords.iter().any(still_has) && !runs(sessions, start.published.seq) {
                return Ok(Some(start));
            }
        }
        Ok(None)
    }

    fn fallback(&self) -> Result<Option<Start>, Deferred> {
        match self.job.shared().options.routing.fallback_flow {
            Some(flow_id) => self.start_of(flow_id, Map::new()),
            None => Ok(None),
        }
    }

    /// A session of a flow, if the flow is published and can start with this context, and there is room.
    fn start_of(&self, flow_id: FlowId, context: Map<String, Value>) -> Result<Option<Start>, Deferred> {
        let Some(published) = flows::find_published(self.job.tx(), flow_id)? else { return Ok(None) };
        let flow = self.job.flow(published.seq, published.version)?;
        let can_start = trigger::check_start(&flow, &context).is_ok() && self.job.has_room();
        Ok(can_start.then_some(Start { published, flow, context, at: None, after: None }))
    }

    /// What the flow of a session does that has ended: of the named one, else of the last one to end whose flow does
    /// anything.
    fn late_reply(&self, sessions: &[LoadedSession], ended: Option<i64>) -> Result<Option<Route>, Deferred> {
        let now = self.inbound.arrival.at();
        let tx = self.job.tx();
        let candidates = match ended {
            Some(seq) => sessions::find_by_seq(tx, seq)?.into_iter().collect(),
            None => sessions::lately_ended(tx, self.contact.seq, LATE, now)?,
        };
        for candidate in candidates {
            let session = &candidate.session;
            let is_recent = session.ended_at.is_some_and(|ended_at| ended_at.plus(LATE) > now);
            let has_ended = !matches!(session.status, Status::Running | Status::Cancelled);
            if !is_recent || !has_ended || runs(sessions, candidate.flow_seq) {
                continue;
            }
            if let Some(route) = self.late_reply_of(&candidate)? {
                return Ok(Some(route));
            }
        }
        Ok(None)
    }

    /// What is in force is what is published now: a flow that is not published says nothing.
    fn late_reply_of(&self, ended: &StoredSession) -> Result<Option<Route>, Deferred> {
        let session = &ended.session;
        let Some(published) = flows::find_published(self.job.tx(), session.flow_id)? else { return Ok(None) };
        let flow = self.job.flow(published.seq, published.version)?;
        let after = StoredTurn::of(ended.seq, session);
        Ok(match &flow.document().settings.late_reply {
            None => None,
            Some(LateReply::Text(_)) => {
                let input = self.inbound.input(self.kind);
                let text = engine::late_text(&flow, &self.contact.contact, session, input, self.job.now());
                text.map(|text| Route::Say(after, text, message_max_age(&flow)))
            }
            Some(LateReply::RestartAt(node)) => {
                let node = node.clone();
                let is_there = flow.document().nodes.iter().any(|one| one.id == node);
                let context = session.context.clone();
                let start = Start { published, flow, context, at: Some(node), after: Some(after) };
                (is_there && self.job.has_room()).then(|| Route::Start(Box::new(start), Handling::LateReply))
            }
        })
    }
}

/// Whether a flow runs for the contact.
fn runs(sessions: &[LoadedSession], flow_seq: i64) -> bool {
    sessions.iter().any(|loaded| loaded.is_running() && loaded.flow_seq == flow_seq)
}
