//! Which way a message goes. The order is the contract; the first that fits takes it:
//!
//! 1. a typed word that opts out, unless the session that would take it by 2, 3 or 4 waits for just that answer (see
//!    [`Word::counts`]); one that opts in, from who has opted out, by the same rule;
//! 2. the live session whose message is tapped or quoted;
//! 3. a session in handoff: the person who has taken over reads it;
//! 4. the session that has the floor: of those that wait for a reply, or call out and queue replies meanwhile, the one
//!    that spoke last;
//! 5. a typed keyword of a published flow that is not running for the contact; of two flows with the word, the one that
//!    was published last;
//! 6. a session that waits for something else. It has asked nothing, so it comes after the keywords, and its trace says
//!    why it does not listen, if it does not;
//! 7. the late reply of the flow whose session ended within 7 days: the one that is tapped or quoted, else the last one to
//!    end whose flow has one. A session that somebody cancelled has none: it was ended on purpose;
//! 8. the fallback flow, if nothing runs;
//! 9. nothing: it is kept with the reason.
//!
//! 5, 7 and 8 answer by themselves, and only as often as [`auto_replies`](super::auto_replies) lets them.
//!
//! While somebody else holds the conversation there is only 1, and 3 where that is a colleague: the rest is kept for
//! them.
//!
//! Who has opted out starts nothing and is told nothing; a session that their own flow opted them out of may still listen.
//! What was written more than a day before it came, as after an outage it may, gets no further than 3: nobody waits for a
//! chat's answer to it any more, but a tap still names what it answers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use uuid::Uuid;

use super::auto_replies::Standing;
use super::consent::Ending;
use super::message::{Inbound, Quoted, Received, Stored, StoredTurn};
use crate::domain::consent::{Awaited, Wish, Word};
use crate::domain::typed::Typed;
use crate::domain::{
    Direction, FlowId, Handling, Holder, LateReply, NodeId, Origin, Reason, Reply, ReplyKind, SessionId, Status,
    WaitKind, split_option,
};
use crate::engine::{self, Beginning, CompiledFlow, Event};
use crate::error::Result;
use crate::runtime::commands::trigger;
use crate::runtime::job::sub_flows::SubFlows;
use crate::runtime::job::turn;
use crate::runtime::job::{ContactRow, Deferred, Job, LoadedSession, message_max_age};
use crate::store::contacts::StoredContact;
use crate::store::flows::{self, PublishedFlow};
use crate::store::sessions::{self, StoredSession};
use crate::store::{messages, messages::MessageRow};

/// How long after its end a session's flow answers a late reply.
pub(in crate::runtime) const LATE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long before it came a message may have been written to be taken as part of a chat.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// Where a message goes.
pub(super) enum Route {
    /// To a session that takes it.
    To(Box<LoadedSession>),
    /// Kept with the session that it was meant for, and traced there, but not taken.
    NotTaken(StoredTurn, Reason),
    /// To whoever has taken the session over.
    Handoff(StoredTurn),
    /// To no session.
    Nowhere(Reason),
    /// The person opts out.
    OptOut(Option<String>, Ending),
    /// The person opts in again.
    OptIn(Option<String>),
    /// It starts a flow.
    Start(Box<Start>, Handling),
    /// A flow says something to it, though its session has ended.
    Say(StoredTurn, String, Duration),
    /// To whoever holds the conversation in place of the session that would have taken it.
    Held(Option<StoredTurn>, Holder),
    /// It is shown in the conversation and does nothing.
    Noted,
}

/// A session that a message starts.
pub(super) struct Start {
    published: PublishedFlow,
    flow: Arc<CompiledFlow>,
    context: Map<String, serde_json::Value>,
    /// Where it begins, if not at the flow's entry.
    at: Option<NodeId>,
    /// The session that it is the late reply of.
    after: Option<StoredTurn>,
}

impl Route {
    pub(super) fn handling(&self) -> Handling {
        match self {
            Self::To(_) => Handling::Reply,
            Self::NotTaken(..) | Self::Nowhere(_) => Handling::Unrouted,
            Self::Handoff(_) => Handling::Handoff,
            Self::Held(..) => Handling::Held,
            Self::OptOut(..) => Handling::OptOut,
            Self::OptIn(_) => Handling::OptIn,
            Self::Start(_, handling) => *handling,
            Self::Say(..) => Handling::LateReply,
            Self::Noted => Handling::Noted,
        }
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        match self {
            Self::NotTaken(_, why) | Self::Nowhere(why) => Some(*why),
            Self::Held(_, by) => Some(by.reason()),
            _ => None,
        }
    }

    /// The session that it belongs to as it comes. One that it starts is not there yet.
    pub(super) fn session(&self) -> Option<StoredTurn> {
        match self {
            Self::To(loaded) => loaded.seq.map(|seq| StoredTurn::of(seq, &loaded.session)),
            Self::NotTaken(at, _) | Self::Handoff(at) | Self::Say(at, ..) => Some(*at),
            Self::Start(start, _) => start.after,
            Self::Held(at, _) => *at,
            Self::Nowhere(_) | Self::OptOut(..) | Self::OptIn(_) | Self::Noted => None,
        }
    }
}

/// Settles what was due when the message arrived, and finds out where it goes.
pub(super) fn choose(
    job: &Job<'_>,
    inbound: &Inbound,
    kind: ReplyKind,
    contact: &StoredContact,
) -> Result<Route, Deferred> {
    let mut sessions = Vec::new();
    for stored in sessions::running_of_contact(job.tx(), contact.seq)? {
        job.wait_for_earlier_replies(&stored.session, &inbound.arrival)?;
        sessions.push(job.load(stored, contact.clone())?);
    }
    let typed = inbound.text.as_deref().filter(|_| kind == ReplyKind::Text);
    let consent = typed.and_then(|text| Consent::of(job, text, contact));
    let holder = match inbound.is_overheard {
        true => Some(Holder::Standby),
        false => job.holder(contact.held).map(|held| held.by),
    };
    // What counts whatever is asked needs no look at who asks.
    let counts = |consent: &Consent<'_>| {
        let may_answer = !sessions.is_empty() || consent.may_answer(holder);
        !may_answer || consent.word.counts(Awaited::ThisText)
    };
    if let Some(consent) = consent.filter(counts) {
        return Ok(consent.route(sessions));
    }
    let written = inbound.text.as_deref().filter(|_| kind.is_written());
    let keyword = written.map(Typed::of).filter(|word| !word.is_empty());
    let (waits, settled) = (Vec::new(), Vec::new());
    Router { job, inbound, kind, contact: contact.clone(), holder, keyword, consent, waits, settled }.choose(sessions)
}

/// A word by which a person opts out or in, unless it is the answer that a session waits for.
#[derive(Clone, Copy)]
struct Consent<'a> {
    wish: Wish,
    word: Word<'a>,
}

impl<'a> Consent<'a> {
    /// The word that a typed text is. Words that opt in are heard from who has opted out.
    fn of(job: &'a Job<'_>, text: &str, contact: &StoredContact) -> Option<Self> {
        let find = |wish| job.shared().consent.find(wish, text).map(|word| Self { wish, word });
        find(Wish::OptOut).or_else(|| find(Wish::OptIn).filter(|_| contact.contact.opted_out_at.is_some()))
    }

    /// Whether it may be an answer to whoever else holds the conversation, who may have asked anything. Who has opted out is
    /// asked nothing.
    fn may_answer(&self, holder: Option<Holder>) -> bool {
        self.wish == Wish::OptOut && holder.is_some()
    }

    fn route(self, sessions: Vec<LoadedSession>) -> Route {
        let language = self.word.language.map(str::to_owned);
        match self.wish {
            Wish::OptOut => Route::OptOut(language, Ending::InOrder(sessions)),
            Wish::OptIn => Route::OptIn(language),
        }
    }
}

/// The same where sessions cannot be read or stepped: the message is kept, and opting out works all the same.
pub(super) fn choose_degraded(job: &Job<'_>, inbound: &Inbound, kind: ReplyKind) -> Route {
    let typed = inbound.text.as_deref().filter(|_| kind == ReplyKind::Text);
    match typed.and_then(|text| job.shared().consent.find(Wish::OptOut, text)) {
        Some(word) => Route::OptOut(word.language.map(str::to_owned), Ending::Unloaded),
        None => Route::Nowhere(Reason::InternalError),
    }
}

/// Goes the way that was chosen, now that the message is stored.
pub(super) fn follow(
    job: &Job<'_>,
    inbound: &Inbound,
    kind: ReplyKind,
    route: Route,
    (contact, stored): (&StoredContact, &Stored),
    received: &mut Received,
) -> Result<(), Deferred> {
    match route {
        Route::To(mut loaded) => {
            let answers_turn = answered_turn(job, inbound, loaded.session.id)?;
            let (handling, why) = match job.apply_reply(&mut loaded, &event(inbound.reply(kind, answers_turn)))? {
                Ok(None) => return Ok(()),
                Ok(Some(why)) => (Handling::Reply, why),
                Err(why) => {
                    received.handling = Handling::Ignored;
                    received.reason = Some(why.into());
                    (Handling::Ignored, why)
                }
            };
            messages::set_handled(job.tx(), stored.seq, handling, Some(why.as_str()), loaded.seq)?;
        }
        Route::Held(Some(at), by) => {
            job.trace_not_taken(at.seq, at.turn, event(inbound.reply(kind, None)), by.reason())?;
        }
        Route::NotTaken(at, why) => job.trace_not_taken(at.seq, at.turn, event(inbound.reply(kind, None)), why)?,
        // Timers that were overdue may have changed the contact.
        // While another system has the conversation, the wish is not confirmed either.
        Route::OptOut(language, ending) => {
            let language = (!inbound.is_overheard).then_some(language.as_deref());
            job.opt_out(&job.contact(contact.seq)?, language, ending)?;
        }
        Route::OptIn(language) => {
            let language = (!inbound.is_overheard).then_some(language.as_deref());
            job.opt_in(&job.contact(contact.seq)?, language)?;
        }
        Route::Say(at, text, max_age) => {
            job.trace_not_taken(at.seq, at.turn, event(inbound.reply(kind, None)), Reason::LateReply)?;
            // Timers that were overdue may have changed the contact.
            job.enqueue_text(&job.contact(contact.seq)?, Origin::Flow, &text, Some(max_age))?;
        }
        Route::Start(start, handling) => {
            if let Some(at) = start.after {
                job.trace_not_taken(at.seq, at.turn, event(inbound.reply(kind, None)), Reason::LateReply)?;
            }
            let (seq, id) = start.run(job, inbound, kind, contact.seq)?;
            received.session_id = Some(id);
            messages::set_handled(job.tx(), stored.seq, handling, None, seq)?;
        }
        Route::Handoff(_) | Route::Held(None, _) | Route::Nowhere(_) | Route::Noted => {}
    }
    Ok(())
}

/// The event that a message is to a session.
fn event(reply: Reply) -> Event {
    Event::Reply(reply)
}

/// A session that a message names.
enum Named {
    Session(Box<StoredSession>),
    /// A session's id that no session has (any more).
    Gone,
}

impl Named {
    /// Where it is among the live ones.
    fn place(&self, sessions: &[LoadedSession]) -> Option<usize> {
        match self {
            Self::Session(named) => place(named, sessions),
            Self::Gone => None,
        }
    }
}

fn place(of: &StoredSession, sessions: &[LoadedSession]) -> Option<usize> {
    sessions.iter().position(|loaded| loaded.seq == Some(of.seq))
}

struct Router<'a> {
    job: &'a Job<'a>,
    inbound: &'a Inbound,
    kind: ReplyKind,
    contact: StoredContact,
    /// Who else holds the conversation.
    holder: Option<Holder>,
    /// What was written, as a keyword may be.
    keyword: Option<Typed>,
    /// The word by which the person opts out or in, perhaps.
    consent: Option<Consent<'a>>,
    /// What each of the sessions waited for when the message came.
    waits: Vec<Option<WaitKind>>,
    /// Those whose timers fired before it.
    settled: Vec<bool>,
}

impl Router<'_> {
    fn choose(mut self, mut sessions: Vec<LoadedSession>) -> Result<Route, Deferred> {
        let named = self.named()?;
        if let Some(Named::Session(named)) = &named
            && named.contact_seq != self.contact.seq
        {
            return Ok(self.consent.map_or(Route::Nowhere(Reason::NotYourSession), |consent| consent.route(sessions)));
        }
        self.waits = sessions.iter().map(|loaded| loaded.session.wait.as_ref().map(|wait| wait.kind)).collect();
        for loaded in &mut sessions {
            let fired = self.job.settle(loaded, self.inbound.arrival.at())?;
            self.settled.push(fired > 0);
        }
        if self.settled.contains(&true) {
            self.contact = self.job.contact(self.contact.seq)?;
            for loaded in &mut sessions {
                self.job.refresh(loaded)?;
            }
        }
        let is_opted_out = self.contact.contact.is_opted_out();
        if let Some(consent) = self.consent
            && consent.word.counts(self.awaited(&sessions, named.as_ref().map(|named| named.place(&sessions)))?)
        {
            return Ok(consent.route(sessions));
        }
        // What was said to another system is answered by nothing, however late it comes.
        if let Some(by) = self.holder {
            return Ok(self.for_holder(&sessions, named.as_ref().and_then(|named| named.place(&sessions)), by));
        }
        let mut ended = None;
        match named {
            Some(Named::Session(named)) => match place(&named, &sessions) {
                Some(index) if self.is_in_handoff(&sessions[index]) => return Ok(Route::Handoff(at(&sessions[index]))),
                Some(index) if sessions[index].is_running() => return Ok(self.give(sessions, index)),
                Some(index) => ended = Some(at(&sessions[index])),
                None => ended = Some(StoredTurn::of(named.seq, &named.session)),
            },
            Some(Named::Gone) => return Ok(Route::Nowhere(Reason::SessionEnded)),
            None => {}
        }
        if let Some(loaded) = sessions.iter().find(|loaded| self.is_in_handoff(loaded)) {
            return Ok(Route::Handoff(at(loaded)));
        }
        // A session that runs all the same is one whose own flow opted the person out: it may listen, and says nothing.
        if is_opted_out && !sessions.iter().any(LoadedSession::is_running) {
            return Ok(Route::Nowhere(Reason::OptedOut));
        }
        if self.is_stale() {
            return Ok(Route::Nowhere(Reason::Stale));
        }
        let is_named = ended.is_some();
        if !is_named {
            match self.floor(&sessions) {
                Floor::Of(index) => return Ok(self.give(sessions, index)),
                Floor::LeftBy(index) => ended = Some(at(&sessions[index])),
                Floor::Nobody => {}
            }
        }
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

    /// Keeps the message for whoever else holds the conversation. Who has taken a session over reads it as ever, while
    /// another system has nothing from it. `named`: the live one that it names.
    fn for_holder(&self, sessions: &[LoadedSession], named: Option<usize>, by: Holder) -> Route {
        let in_handoff = named.into_iter().chain(0..sessions.len()).find(|index| self.is_in_handoff(&sessions[*index]));
        if let (Holder::Colleague, Some(index)) = (by, in_handoff) {
            return Route::Handoff(at(&sessions[index]));
        }
        let floor = || match self.floor(sessions) {
            Floor::Of(index) => Some(index),
            Floor::LeftBy(_) | Floor::Nobody => None,
        };
        Route::Held(named.or_else(floor).map(|index| at(&sessions[index])), by)
    }

    /// What is waited for that would take the message as an answer: by the live session that it names, else by the one
    /// with the floor; whoever else holds the conversation may have asked anything. `named`: where among `lives` the one is
    /// that it names.
    fn awaited(&self, sessions: &[LoadedSession], named: Option<Option<usize>>) -> Result<Awaited, Deferred> {
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
        let Some(index) = index.filter(|index| !self.settled[*index]) else { return Ok(Awaited::Nothing) };
        let Some(text) = self.inbound.text.as_deref() else { return Ok(Awaited::Nothing) };
        let found = SubFlows::new(self.job);
        let lookup = |id, version| found.look_up(id, version);
        let LoadedSession { flow, session, .. } = &sessions[index];
        let awaited = engine::awaited(flow, &lookup, session, (text, self.inbound.arrival.at()));
        awaited.map_err(|_| found.into_deferred())
    }

    /// Whether it was written too long before it came for a chat to be still about it.
    fn is_stale(&self) -> bool {
        self.inbound.sent_at.is_some_and(|sent_at| sent_at.plus(STALE) < self.inbound.arrival.at())
    }

    /// Whether nothing answers by itself any more. That it begins is told once.
    fn is_limited(&self) -> Result<bool> {
        let standing = self.job.auto_replies(self.contact.seq, self.inbound.arrival.at())?;
        if standing == Standing::Reached {
            tracing::warn!(
                contact = %self.contact.contact.id,
                "automatic answers to a person stop, since there were too many at once: an operator may let them go on, or \
                 an hour of silence does"
            );
        }
        Ok(standing != Standing::Free)
    }

    /// Gives the message to a session that runs. One whose timer fired has said something since that was not there when
    /// the message was written.
    fn give(&self, mut sessions: Vec<LoadedSession>, index: usize) -> Route {
        let loaded = sessions.swap_remove(index);
        if self.settled[index] {
            return Route::NotTaken(at(&loaded), turn::too_late(&loaded.session));
        }
        Route::To(Box::new(loaded))
    }

    /// Which session has the floor: the one that had it when the message came. If that ended since, it is the one before
    /// it, as far as it has said nothing since.
    fn floor(&self, sessions: &[LoadedSession]) -> Floor {
        let listens = |index: &usize| matches!(self.waits[*index], Some(WaitKind::Reply | WaitKind::Http));
        let mut listening = (0..sessions.len()).filter(listens);
        let Some(first) = listening.next() else {
            // One that listened to nobody and is over: the message is kept with it, if nothing else takes it.
            let over = (0..sessions.len()).find(|index| !sessions[*index].is_running());
            return over.map_or(Floor::Nobody, Floor::LeftBy);
        };
        if sessions[first].is_running() {
            return Floor::Of(first);
        }
        listening.find(|index| !self.settled[*index]).map_or(Floor::LeftBy(first), Floor::Of)
    }

    fn is_in_handoff(&self, loaded: &LoadedSession) -> bool {
        loaded.is_running() && loaded.session.wait.as_ref().is_some_and(|wait| wait.kind == WaitKind::Handoff)
    }

    /// The session whose message is tapped or quoted.
    fn named(&self) -> Result<Option<Named>> {
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
    fn start_of(&self, flow_id: FlowId, context: Map<String, serde_json::Value>) -> Result<Option<Start>, Deferred> {
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

/// Who has the floor.
enum Floor {
    /// The session at this place.
    Of(usize),
    /// Nobody any more: the session at this place had it, and has ended since.
    LeftBy(usize),
    /// Nobody.
    Nobody,
}

impl Start {
    /// Starts the session. The message that starts it is its `{{input}}`, and no wait of it is met by that message.
    fn run(
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

fn at(loaded: &LoadedSession) -> StoredTurn {
    StoredTurn::of(loaded.seq.unwrap_or_default(), &loaded.session)
}

/// Whether a flow runs for the contact.
fn runs(sessions: &[LoadedSession], flow_seq: i64) -> bool {
    sessions.iter().any(|loaded| loaded.is_running() && loaded.flow_seq == flow_seq)
}

/// The message that a message taps or quotes.
fn quoted(job: &Job<'_>, inbound: &Inbound) -> Result<Option<MessageRow>> {
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

fn answered_turn(job: &Job<'_>, inbound: &Inbound, session: SessionId) -> Result<Option<u32>> {
    let message = quoted(job, inbound)?;
    Ok(message.filter(|message| message.session_id == Some(session)).and_then(|message| message.turn))
}
