//! Claiming: what goes out now is decided and marked in one transaction, and sent after it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Outbox;
use super::pace::{ClaimPace, Pace};
use crate::channels::capabilities::address_kinds;
use crate::channels::outgoing::{Content, Outgoing, Recipient};
use crate::domain::{
    Held, MessageId, MessageStatus, MessageTemplate, Origin, Reach, Reason, SendHours, Status, StoredMessage,
    TemplateRef, Timestamp, is_same_language,
};
use crate::error::{Error, Result};
use crate::runtime::Command;
use crate::runtime::job::access::Access;
use crate::runtime::job::compose::{self, Choice, Languages, is_window_open};
use crate::runtime::job::message_outcome::Failure;
use crate::runtime::job::{Deferred, Job};
use crate::runtime::templates::were_templates_fetched;
use crate::store::messages;
use crate::store::outbox::{self, Addressee, OutboxRow, SessionBrief};
use crate::store::{channels, templates};

/// An attempt still open after this is abandoned: longer than a channel may take to answer.
pub(super) const LEASE: Duration = Duration::from_secs(120);
/// What a message that waited for its hours has left to go out in from when they begin, however long it has waited:
/// what stands before it in its lane goes first.
const AFTER_OPENING: Duration = Duration::from_secs(3600);
/// After this a message that waits for the channel's templates is looked at again, even without a wake-up.
const WITHOUT_TEMPLATES: Duration = Duration::from_secs(600);
/// Why a template fails for a contact who has opted out of marketing: Meta's code for just that.
const NO_MARKETING: Cause = Cause::Code("131050");

/// Takes up to `limit` messages out of the heads of their lanes.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) limit: u32,
    /// Whose pace it keeps to.
    pub(super) outbox: Arc<Outbox>,
    /// A session that cannot be read must not hold up the others.
    pub(super) access: Access,
}

/// The outcome of a [`Claim`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Claimed {
    /// What is to be sent now. A claim has no idempotency key, so this is never stored.
    #[serde(skip)]
    pub(super) attempts: Vec<Attempt>,
    /// Messages that failed instead.
    pub(super) failed: u32,
    /// The channel is paused.
    pub(super) is_paused: bool,
    /// There may be more that can go out at once.
    pub(super) may_be_more: bool,
    /// The number has had enough until then.
    pub(super) paced_until: Option<Timestamp>,
    /// Messages that the number's pace has yet to count.
    pub(super) taken: u32,
}

/// A message that is to be sent now.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attempt {
    /// The message's row.
    pub(super) seq: i64,
    /// Row of its contact.
    pub(super) contact_seq: i64,
    /// Which attempt this is, from 1.
    pub(super) number: u32,
    /// What goes out. Its time is when the attempt began.
    pub(super) message: Outgoing,
}

impl Attempt {
    pub(super) fn id(&self) -> MessageId {
        self.message.id
    }
}

/// What is to be done with a message that is due.
enum Decision {
    /// It is not the head of its lane.
    NotHead,
    /// It waits for the given condition.
    Wait(Wait),
    /// It will never go out, for this reason.
    Fail(Cause),
    /// It goes out, and its stored body changes to this.
    Send(Box<Outgoing>, Option<String>),
}

/// Why a message never goes out.
#[derive(Clone, Copy)]
enum Cause {
    /// A reason of ours.
    Reason(Reason),
    /// The provider's code for just that, as if it had been asked.
    Code(&'static str),
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::Reason(reason) => reason.as_str(),
            Self::Code(code) => code,
        }
    }

    fn reach(self) -> Reach {
        match self {
            Self::Reason(reason) => reason.reach(),
            Self::Code(_) => Reach::Message,
        }
    }
}

/// What a message waits for.
enum Wait {
    /// It steps aside until then, when the hours begin in which its flow may speak first.
    Hours(Timestamp),
    /// It steps aside until the hold on the conversation ends.
    Holder(Held),
    /// It waits in its place: the channel's templates were never fetched, so it is unknown whether the one that it
    /// names exists.
    Templates,
}

/// Why a message does not go out now.
enum NotSent {
    Deferred(Deferred),
    Waits(Wait),
    Fails(Cause),
}

impl From<Deferred> for NotSent {
    fn from(deferred: Deferred) -> Self {
        Self::Deferred(deferred)
    }
}

impl From<Error> for NotSent {
    fn from(error: Error) -> Self {
        Self::Deferred(error.into())
    }
}

impl From<Reason> for NotSent {
    fn from(reason: Reason) -> Self {
        Self::Fails(Cause::Reason(reason))
    }
}

impl From<Wait> for NotSent {
    fn from(wait: Wait) -> Self {
        Self::Waits(wait)
    }
}

impl Command for Claim {
    type Outcome = Claimed;

    fn run(&self, job: &Job<'_>) -> Result<Claimed, Deferred> {
        let (tx, now) = (job.tx(), job.now());
        if channels::find(tx, job.channel())?.is_some_and(|channel| channel.paused_at.is_some()) {
            return Ok(Claimed { is_paused: true, ..Claimed::default() });
        }
        let due = outbox::due(tx, job.channel(), now, self.limit)?;
        let may_be_more = due.len() >= self.limit as usize;
        let decided = self.decide_all(job, due)?;
        let is_paced = job.shared().options.channel.kind().is_paced();
        let pace = is_paced.then(|| self.outbox.pace.of_claim(tx, job.channel(), now));
        let mut claiming = Claiming { job, pace, claimed: Claimed { may_be_more, ..Claimed::default() } };
        for (row, decision) in decided {
            match decision {
                Decision::NotHead => {}
                Decision::Fail(cause) => claiming.fail(&row, cause, self.notifies_session(cause))?,
                Decision::Wait(wait) => claiming.put_off(&row, &wait)?,
                Decision::Send(message, body) => {
                    if claiming.send(&row, *message, body.as_deref())?.is_break() {
                        break;
                    }
                }
            }
        }
        claiming.claimed.taken = claiming.pace.map_or(0, |pace| pace.taken());
        Ok(claiming.claimed)
    }
}

impl Claim {
    /// Decides on all that is due, and parks what is not the head of its lane: before a head is settled, because that
    /// releases the one behind it.
    fn decide_all(&self, job: &Job<'_>, due: Vec<i64>) -> Result<Vec<(OutboxRow, Decision)>, Deferred> {
        let mut decided = Vec::with_capacity(due.len());
        for seq in due {
            let Some(row) = outbox::find(job.tx(), seq)? else { continue };
            let decision = self.decide(job, &row)?;
            decided.push((row, decision));
        }
        for (row, _) in decided.iter().filter(|(_, decision)| matches!(decision, Decision::NotHead)) {
            outbox::park(job.tx(), row.seq)?;
        }
        Ok(decided)
    }

    /// Decides on a message that is due. It writes nothing.
    fn decide(&self, job: &Job<'_>, row: &OutboxRow) -> Result<Decision, Deferred> {
        if row.status != MessageStatus::Queued || outbox::is_behind(job.tx(), row)? {
            return Ok(Decision::NotHead);
        }
        match self.prepare(job, row) {
            Ok((message, body)) => Ok(Decision::Send(Box::new(message), body)),
            Err(NotSent::Waits(wait)) => Ok(Decision::Wait(wait)),
            Err(NotSent::Fails(cause)) => {
                if self.notifies_session(cause) {
                    // The failure is a step of its session: better the job is handed back now, with nothing written.
                    job.wait_to_fail(row)?;
                }
                Ok(Decision::Fail(cause))
            }
            Err(NotSent::Deferred(deferred)) => Err(deferred),
        }
    }

    /// Whether the session of a message that fails for this gets the failure as an event.
    fn notifies_session(&self, cause: Cause) -> bool {
        self.access.is_full()
            && match cause.reach() {
                Reach::Message | Reach::Text => true,
                Reach::Conversation => false,
            }
    }

    /// What goes out, and what its stored body changes to.
    fn prepare(&self, job: &Job<'_>, row: &OutboxRow) -> Result<(Outgoing, Option<String>), NotSent> {
        let session = job.brief(row)?;
        let addressee = outbox::addressee(job.tx(), row.contact_seq)?.ok_or(Reason::NoAddress)?;
        let candidate = Candidate { job, row, session: session.as_ref(), addressee: &addressee, access: self.access };
        candidate.check_consent()?;
        candidate.check_session_and_age()?;
        let to = Recipient::of(&addressee.addresses, address_kinds());
        if to.addresses.is_empty() {
            return Err(Reason::NoAddress.into());
        }
        let Some(message) = row.body.message() else {
            tracing::error!(message = %row.id, "a queued message cannot be read");
            return Err(Reason::Unreadable.into());
        };
        if let Some(opening) = opening(row, message, addressee.last_inbound_at, job.now()) {
            return Err(Wait::Hours(opening).into());
        }
        let content = candidate.content(message)?;
        // Of a message that can only go out in one way nothing has to be noted.
        let noted = message.template.as_ref().and_then(|_| row.body.with_sent(&compose::note(&content)));
        Ok((Outgoing { id: row.id, to, content, at: job.now() }, noted))
    }
}

/// A claim while it runs and writes its decisions.
struct Claiming<'a> {
    job: &'a Job<'a>,
    /// Where the number has a limit.
    pace: Option<ClaimPace<'a>>,
    claimed: Claimed,
}

impl Claiming<'_> {
    /// Fails a message.
    fn fail(&mut self, row: &OutboxRow, cause: Cause, notifies_session: bool) -> Result<(), Deferred> {
        let failure = Failure { reason: cause.as_str(), error: None, at: self.job.now(), notifies_session };
        self.job.fail_message(row, &failure)?;
        self.claimed.failed += 1;
        self.claimed.may_be_more = true;
        Ok(())
    }

    /// Has a message wait. Messages of other sessions and of people go out past one that steps aside.
    fn put_off(&mut self, row: &OutboxRow, wait: &Wait) -> Result<()> {
        let (tx, now) = (self.job.tx(), self.job.now());
        match wait {
            Wait::Hours(opening) => {
                let good_until = row.good_until.map(|good_until| good_until.max(opening.plus(AFTER_OPENING)));
                outbox::delay_for_hours(tx, row.seq, *opening, good_until)?;
            }
            Wait::Holder(held) => outbox::delay_for_holder(tx, row.seq, held)?,
            Wait::Templates => return outbox::wait_for_templates(tx, row.seq, now.plus(WITHOUT_TEMPLATES)),
        }
        self.claimed.may_be_more |= outbox::release(tx, &row.channel, row.contact_seq, now)?;
        Ok(())
    }

    /// Claims a message, as far as the pace lets it go. Breaks where the number has had enough.
    fn send(&mut self, row: &OutboxRow, message: Outgoing, body: Option<&str>) -> Result<ControlFlow<()>, Deferred> {
        let (tx, now) = (self.job.tx(), self.job.now());
        if self.claimed.attempts.iter().any(|attempt| attempt.contact_seq == row.contact_seq) {
            // The hours of one message have just begun, and another would have gone out past it: still one at a time.
            outbox::park(tx, row.seq)?;
            return Ok(ControlFlow::Continue(()));
        }
        match self.pace.as_ref().map_or(Ok(Pace::Go), |pace| pace.check(row.contact_seq))? {
            Pace::Go => {}
            Pace::PersonUntil(until) => {
                outbox::delay(tx, row.seq, until)?;
                return Ok(ControlFlow::Continue(()));
            }
            Pace::NumberUntil(until) => {
                self.claimed.paced_until = Some(until);
                self.claimed.may_be_more = false;
                return Ok(ControlFlow::Break(()));
            }
        }
        outbox::claim(tx, row.seq, body, now.plus(LEASE), now)?;
        if let Content::Template { .. } = message.content {
            self.job.drop_parts_of_template(row)?;
        }
        self.claimed.attempts.push(Attempt {
            seq: row.seq,
            contact_seq: row.contact_seq,
            number: row.attempts + 1,
            message,
        });
        Ok(ControlFlow::Continue(()))
    }
}

/// The head of a lane that is due, with what deciding on it takes.
struct Candidate<'a> {
    job: &'a Job<'a>,
    row: &'a OutboxRow,
    session: Option<&'a SessionBrief>,
    addressee: &'a Addressee,
    access: Access,
}

impl Candidate<'_> {
    /// Whether the contact may be written to. One who opted out of marketing alone still gets the messages of a
    /// conversation that goes on.
    fn check_consent(&self) -> Result<(), NotSent> {
        let Self { job, row, addressee, .. } = *self;
        if addressee.is_being_erased {
            return Err(Reason::Erased.into());
        }
        if addressee.opted_out_at.is_none() || self.reaches_all() {
            return Ok(());
        }
        let is_unsolicited = match row.session_seq {
            Some(seq) if addressee.marketing_only => !messages::has_written_in(job.tx(), row.contact_seq, seq)?,
            _ => !addressee.marketing_only,
        };
        if is_unsolicited { Err(Reason::OptedOut.into()) } else { Ok(()) }
    }

    /// Whether the message goes out to an opted-out contact, too.
    fn reaches_all(&self) -> bool {
        [Origin::Consent, Origin::Agent].contains(&self.row.origin)
    }

    /// Whether its session still speaks, the conversation is not held, and the message is not too old.
    fn check_session_and_age(&self) -> Result<(), NotSent> {
        let Self { job, row, session, addressee, .. } = *self;
        if row.session_seq.is_some() && !session.is_some_and(|session| may_speak(session, row.turn)) {
            return Err(Reason::SessionEnded.into());
        }
        if let Some(held) = job.holder(addressee.held).filter(|_| row.origin == Origin::Flow) {
            return Err(Wait::Holder(held).into());
        }
        if row.good_until.is_some_and(|good_until| good_until < job.now()) {
            return Err(Reason::TooOld.into());
        }
        Ok(())
    }

    /// What the message goes out as: its text, or its template where the channel takes no free text to this person now.
    fn content(&self, message: &StoredMessage) -> Result<Content, NotSent> {
        let channel = &self.job.shared().options.channel;
        // The channel's word goes before our reckoning.
        let takes_text = !channel.kind().has_window()
            || (is_window_open(self.addressee.last_inbound_at, self.job.now()) && !message.was_text_refused());
        match compose::choose(message, takes_text)? {
            Choice::Text => Ok(compose::text(message, self.session.map(|session| session.id))?),
            Choice::Template(named) => self.template(message, named),
        }
    }

    /// The template that a message names.
    fn template(&self, message: &StoredMessage, named: &TemplateRef) -> Result<Content, NotSent> {
        let Self { job, session, addressee, .. } = *self;
        if addressee.marketing_only && !self.reaches_all() {
            // The conversation goes on, so its session gets the failure.
            return Err(NotSent::Fails(NO_MARKETING));
        }
        let channel = &job.shared().options.channel;
        let known = templates::named(job.tx(), channel.name(), &named.name)?;
        if known.is_empty() && channel.kind().has_templates() && !were_templates_fetched(job.tx(), channel.name())? {
            return Err(Wait::Templates.into());
        }
        let known: Vec<_> = known.into_iter().map(|row| row.template).collect();
        // Its language is asked for where the node's is not there.
        let is_served = named.language.as_ref().is_some_and(|language| {
            known.iter().any(|one: &MessageTemplate| is_same_language(&one.language, language))
        });
        let flow = match session {
            Some(session) if !is_served && self.access.is_full() => Some(job.flow(session.flow_seq, session.version)?),
            _ => None,
        };
        let languages = Languages {
            contact: addressee.language.as_deref(),
            flow: flow.as_ref().and_then(|flow| flow.document().language.as_deref()),
        };
        let session = session.map(|session| session.id);
        Ok(compose::template(message, named, session, languages, known, channel.kind().has_templates())?)
    }
}

/// Whether a session lets a message of one of its turns go out: while it runs, all the way to an end of its own, and
/// for the messages of its last turn.
pub(super) fn may_speak(session: &SessionBrief, turn: Option<u32>) -> bool {
    match session.status {
        Status::Running | Status::Completed => true,
        Status::Cancelled => false,
        Status::Expired | Status::Failed => turn == Some(session.turn),
    }
}

/// When the hours begin that a message must wait for. Not for a contact who has written since, or just before: a
/// message within a conversation does not begin it, and the answers behind the message wait for nothing.
fn opening(
    row: &OutboxRow,
    message: &StoredMessage,
    last_inbound_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let hours = message.hours.as_ref()?;
    let has_written = last_inbound_at.is_some_and(|at| at.plus(SendHours::CONVERSATION) > row.created_at);
    if has_written { None } else { hours.opening(now) }
}
