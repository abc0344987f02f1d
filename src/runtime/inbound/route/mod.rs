//! Chooses what takes a message from a contact. The order is a contract; the first that fits takes it:
//!
//! 1. opting out by a typed word, unless the session that would take the message by 2, 3 or 4 waits for exactly that
//!    answer (see [`Word::counts`](crate::domain::consent::Word::counts)); opting in, for a contact that has opted out,
//!    by the same rule;
//! 2. the running session whose message is tapped or quoted;
//! 3. a session in handoff: the person who has taken over reads it;
//! 4. the session that has the floor: of the sessions that wait for a reply, or for an HTTP call and queue replies
//!    meanwhile, the one that sent a message last;
//! 5. a typed keyword of a published flow that has no running session with the contact; of two flows with the keyword,
//!    the one that was published last;
//! 6. a session that waits for something else. It has asked nothing, so it comes after the keywords; if it takes no
//!    replies, its trace has the reason;
//! 7. the late reply of a flow whose session ended within 7 days: of the session that is tapped or quoted, else of the
//!    last one to end whose flow has a late reply. A cancelled session has none: it was ended on purpose;
//! 8. the fallback flow, if no session runs;
//! 9. nothing: the message is stored with the reason.
//!
//! 5, 7 and 8 are automatic answers, limited by [`auto_replies`](crate::runtime::inbound::auto_replies).
//!
//! While another holder has the conversation only 1 applies, and 3 where the holder is a colleague; other messages are
//! stored for the holder.
//!
//! A contact that has opted out starts no flow and gets no message; a session whose own flow opted the contact out may
//! still take replies. A message that was written more than a day before it arrived, as after an outage, gets no
//! further than 3: no conversation waits for it any more, but a tap still names what it answers.

mod automatic;
mod consent_word;
mod floor;
mod follow;

use std::time::Duration;

use super::message::{Inbound, StoredTurn};
use crate::domain::consent::{Awaited, Wish};
use crate::domain::typed::Typed;
use crate::domain::{Handling, Holder, Reason, ReplyKind, WaitKind};
use crate::error::Result;
use crate::runtime::job::consent::Ending;
use crate::runtime::job::{Deferred, Job, LoadedSession, turn};
use crate::store::contacts::StoredContact;
use crate::store::sessions;
pub(in crate::runtime) use automatic::LATE;
use automatic::Start;
use consent_word::Consent;
use floor::{Floor, Named, place};
pub(super) use follow::follow;

/// What takes a message.
pub(super) enum Route {
    /// To a session that takes it.
    To(Box<LoadedSession>),
    /// Kept with the session that it was meant for, and traced there, but not taken.
    NotTaken(StoredTurn, Reason),
    /// To the person who has taken the session over.
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
    /// To the other holder of the conversation, in place of the session that would have taken it.
    Held(Option<StoredTurn>, Holder),
    /// It is shown in the conversation and does nothing.
    Noted,
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

/// Fires the timers that were due when the message arrived, and chooses what takes it.
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
    let (waits, fired) = (Vec::new(), Vec::new());
    Router { job, inbound, kind, contact: contact.clone(), holder, keyword, consent, waits, fired }.choose(sessions)
}

/// The same where sessions cannot be read or stepped: the message is kept, and opting out works all the same.
pub(super) fn choose_degraded(job: &Job<'_>, inbound: &Inbound, kind: ReplyKind) -> Route {
    let typed = inbound.text.as_deref().filter(|_| kind == ReplyKind::Text);
    match typed.and_then(|text| job.shared().consent.find(Wish::OptOut, text)) {
        Some(word) => Route::OptOut(word.language.map(str::to_owned), Ending::Unloaded),
        None => Route::Nowhere(Reason::InternalError),
    }
}

/// What [`choose`] goes by.
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
    fired: Vec<bool>,
}

impl Router<'_> {
    fn choose(mut self, mut sessions: Vec<LoadedSession>) -> Result<Route, Deferred> {
        let named = self.named()?;
        if let Some(Named::Session(named)) = &named
            && named.contact_seq != self.contact.seq
        {
            return Ok(self.consent.map_or(Route::Nowhere(Reason::NotYourSession), |consent| consent.route(sessions)));
        }
        self.fire_due(&mut sessions)?;
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
        self.choose_automatic(sessions, ended, is_named)
    }

    /// Fires the timers that were due when the message came, and notes what each session waited for until then.
    fn fire_due(&mut self, sessions: &mut [LoadedSession]) -> Result<(), Deferred> {
        self.waits = sessions.iter().map(|loaded| loaded.session.wait.as_ref().map(|wait| wait.kind)).collect();
        for loaded in sessions.iter_mut() {
            let fired = self.job.fire_due(loaded, self.inbound.arrival.at())?;
            self.fired.push(fired > 0);
        }
        if self.fired.contains(&true) {
            self.contact = self.job.contact(self.contact.seq)?;
            for loaded in sessions {
                self.job.refresh(loaded)?;
            }
        }
        Ok(())
    }

    /// Keeps the message for the other holder of the conversation. Who has taken a session over reads it as ever, while
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

    /// Gives the message to a session that runs. One whose timer fired has said something since that was not there when
    /// the message was written.
    fn give(&self, mut sessions: Vec<LoadedSession>, index: usize) -> Route {
        let loaded = sessions.swap_remove(index);
        if self.fired[index] {
            return Route::NotTaken(at(&loaded), turn::too_late(&loaded.session));
        }
        Route::To(Box::new(loaded))
    }
}

fn at(loaded: &LoadedSession) -> StoredTurn {
    StoredTurn::of(loaded.seq.unwrap_or_default(), &loaded.session)
}
