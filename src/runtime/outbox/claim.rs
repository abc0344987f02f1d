//! Claiming: what goes out now is decided and marked in one transaction, and sent after it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::compose::{self, Choice, Languages};
use super::pace::Pace;
use super::settle::{Failure, OPTED_OUT};
use crate::channels::Channel;
use crate::channels::outgoing::{Content, Outgoing, Recipient};
use crate::domain::{
    Held, MessageId, MessageTemplate, SendHours, SessionId, Status, StoredMessage, Timestamp, is_same_language,
};
use crate::error::Result;
use crate::runtime::Command;
use crate::runtime::access::Access;
use crate::runtime::job::{Hold, Job};
use crate::runtime::templates::were_templates_fetched;
use crate::store::messages::{self, MessageStatus, Origin};
use crate::store::outbox::{self, Addressee, OutboxRow, SessionBrief};
use crate::store::{channels, templates};

/// After what an attempt that has not ended is given up: longer than a channel may take to answer.
pub(super) const LEASE: Duration = Duration::from_secs(120);
/// How long free text may be sent after a person's message (Meta, "Customer service windows").
const WINDOW: Duration = Duration::from_secs(24 * 3600);
/// How much earlier we stop: the message takes its time, and Meta's clock is not ours.
const WINDOW_MARGIN: Duration = Duration::from_secs(60);
/// Why a message to somebody fails of whom nothing is to be left.
pub(super) const ERASED: &str = "erased";
/// Why a message fails whose session is over.
pub(super) const SESSION_ENDED: &str = "session_ended";
/// Why a message fails that waited for too long.
pub(super) const TOO_OLD: &str = "too_old";
/// What a message that waited for its hours has left to go out in from when they begin, however long it has waited: what
/// stands before it in its lane goes first.
const AFTER_OPENING: Duration = Duration::from_secs(3600);
/// After what a message that waits for the channel's templates is looked at again, should nobody have said that they
/// are there.
const WITHOUT_TEMPLATES: Duration = Duration::from_secs(600);
/// Why a message fails to somebody who is reached nowhere.
const NO_ADDRESS: &str = "no_address";
/// Why a template fails to somebody who has opted out of marketing: Meta's code for just that.
const NO_MARKETING: &str = "131050";
/// Why a message fails that this version cannot read.
const UNREADABLE: &str = "unreadable";

/// Takes up to `limit` messages out of the heads of their lanes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) limit: u32,
    /// A session that cannot be read must not hold up the others.
    pub(super) access: Access,
}

/// What came of a [`Claim`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Claimed {
    /// What is to be sent now. A claim has no idempotency key, so nobody stores this.
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
    /// Messages that the number's pace has yet to be told of.
    pub(super) taken: u32,
}

/// A message that is to be sent now.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attempt {
    /// Its row.
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
    HeldBack,
    /// It steps aside until then, when the hours begin in which its flow may speak first.
    Wait(Timestamp),
    /// It steps aside until somebody else has let go of the conversation.
    WaitForOther(Held),
    /// It waits in its place until the channel's templates are there.
    WaitForTemplates,
    /// It will never go out.
    Fail(&'static str),
    /// It goes out, and its stored body changes to this.
    Send(Box<Outgoing>, Option<String>),
}

/// Why a message does not go out now.
enum NotSent {
    /// The hours in which its flow may speak first begin then.
    Waits(Timestamp),
    /// Somebody else holds the conversation.
    IsHeld(Held),
    /// The channel's templates were never fetched, so that nobody knows whether there is the one that it names.
    LacksTemplates,
    /// It never will, for this reason.
    Fails(&'static str),
}

impl Command for Claim {
    type Outcome = Claimed;

    fn run(&self, job: &Job<'_>) -> Result<Claimed, Hold> {
        let mut claimed = Claimed::default();
        let (tx, now) = (job.tx(), job.now());
        if channels::find(tx, job.channel())?.is_some_and(|channel| channel.paused_at.is_some()) {
            claimed.is_paused = true;
            return Ok(claimed);
        }
        let due = outbox::due(tx, job.channel(), now, self.limit)?;
        claimed.may_be_more = due.len() >= self.limit as usize;
        let mut decided = Vec::with_capacity(due.len());
        let mut held_back = Vec::new();
        for seq in due {
            let Some(row) = outbox::find(tx, seq)? else { continue };
            match self.decide(job, &row)? {
                Decision::HeldBack => held_back.push(row.seq),
                decision => decided.push((row, decision)),
            }
        }
        // Before a head is settled, because that releases the one behind it.
        for seq in held_back {
            outbox::park(tx, seq)?;
        }
        let is_paced = matches!(job.inner().options.channel, Channel::WhatsApp(_));
        let pace = is_paced.then(|| job.inner().outbox.pace.of_claim(tx, job.channel(), now));
        for (row, decision) in decided {
            let (message, body) = match decision {
                Decision::HeldBack => continue,
                Decision::Wait(opening) => {
                    let good_until = row.good_until.map(|good_until| good_until.max(opening.plus(AFTER_OPENING)));
                    outbox::hold_for_hours(tx, row.seq, opening, good_until)?;
                    // What other sessions and people say goes out past it.
                    claimed.may_be_more |= outbox::release(tx, &row.channel, row.contact_seq, now)?;
                    continue;
                }
                Decision::WaitForOther(held) => {
                    outbox::hold_for_other(tx, row.seq, &held)?;
                    claimed.may_be_more |= outbox::release(tx, &row.channel, row.contact_seq, now)?;
                    continue;
                }
                Decision::WaitForTemplates => {
                    outbox::wait_for_templates(tx, row.seq, now.plus(WITHOUT_TEMPLATES))?;
                    continue;
                }
                Decision::Fail(reason) => {
                    let notifies_session = self.notifies_session(reason);
                    job.fail_message(&row, &Failure { reason, error: None, at: now, notifies_session })?;
                    claimed.failed += 1;
                    claimed.may_be_more = true;
                    continue;
                }
                Decision::Send(message, body) => (message, body),
            };
            if claimed.attempts.iter().any(|attempt| attempt.contact_seq == row.contact_seq) {
                // One whose hours have just begun met one that would have gone out past it: one at a time all the same.
                outbox::park(tx, row.seq)?;
                continue;
            }
            match pace.as_ref().map_or(Ok(Pace::Go), |pace| pace.check(row.contact_seq))? {
                Pace::Go => {}
                Pace::PersonUntil(until) => {
                    outbox::hold(tx, row.seq, until)?;
                    continue;
                }
                Pace::NumberUntil(until) => {
                    claimed.paced_until = Some(until);
                    claimed.may_be_more = false;
                    break;
                }
            }
            outbox::claim(tx, row.seq, body.as_deref(), now.plus(LEASE), now)?;
            if let Content::Template { .. } = message.content {
                job.drop_parts_of_template(&row)?;
            }
            claimed.attempts.push(Attempt {
                seq: row.seq,
                contact_seq: row.contact_seq,
                number: row.attempts + 1,
                message: *message,
            });
        }
        claimed.taken = pace.map_or(0, |pace| pace.taken());
        Ok(claimed)
    }
}

impl Claim {
    /// Decides on a message that is due. It writes nothing.
    fn decide(&self, job: &Job<'_>, row: &OutboxRow) -> Result<Decision, Hold> {
        if row.status != MessageStatus::Queued || outbox::is_held_back(job.tx(), row)? {
            return Ok(Decision::HeldBack);
        }
        let session = job.brief(row)?;
        match self.prepare(job, row, session.as_ref())? {
            Ok((message, body)) => Ok(Decision::Send(Box::new(message), body)),
            Err(NotSent::Waits(opening)) => Ok(Decision::Wait(opening)),
            Err(NotSent::IsHeld(held)) => Ok(Decision::WaitForOther(held)),
            Err(NotSent::LacksTemplates) => Ok(Decision::WaitForTemplates),
            Err(NotSent::Fails(reason)) => {
                if self.notifies_session(reason) {
                    // The failure is a step of its session: better the job is handed back now, with nothing written.
                    job.wait_to_fail(row)?;
                }
                Ok(Decision::Fail(reason))
            }
        }
    }

    /// Whether a session hears of a message that fails for this reason.
    fn notifies_session(&self, reason: &str) -> bool {
        self.access.is_full() && ![OPTED_OUT, ERASED, SESSION_ENDED].contains(&reason)
    }

    /// What goes out, and what its stored body changes to; or why nothing does.
    fn prepare(
        &self,
        job: &Job<'_>,
        row: &OutboxRow,
        session: Option<&SessionBrief>,
    ) -> Result<Result<(Outgoing, Option<String>), NotSent>, Hold> {
        let fails = |reason| Ok(Err(NotSent::Fails(reason)));
        let now = job.now();
        let Some(addressee) = outbox::addressee(job.tx(), row.contact_seq)? else { return fails(NO_ADDRESS) };
        if addressee.is_being_erased {
            return fails(ERASED);
        }
        let reaches_all = [Origin::Consent, Origin::Agent].contains(&row.origin);
        let no_marketing = addressee.marketing_only && !reaches_all;
        if addressee.opted_out_at.is_some() && !reaches_all {
            let is_begun = match row.session_seq {
                Some(seq) if addressee.marketing_only => !messages::has_written_in(job.tx(), row.contact_seq, seq)?,
                _ => !addressee.marketing_only,
            };
            if is_begun {
                return fails(OPTED_OUT);
            }
        }
        if row.session_seq.is_some() && !session.is_some_and(|session| may_speak(session, row.turn)) {
            return fails(SESSION_ENDED);
        }
        if let Some(held) = job.holder(addressee.held).filter(|_| row.origin == Origin::Flow) {
            return Ok(Err(NotSent::IsHeld(held)));
        }
        if row.good_until.is_some_and(|good_until| good_until < now) {
            return fails(TOO_OLD);
        }
        let Addressee { phone, wa_id, bsuid, .. } = &addressee;
        let to = Recipient { phone: phone.clone(), wa_id: wa_id.clone(), bsuid: bsuid.clone() };
        if to == Recipient::default() {
            return fails(NO_ADDRESS);
        }
        let Some(message) = row.body.message() else {
            tracing::error!(message = %row.id, "a queued message cannot be read");
            return fails(UNREADABLE);
        };
        if let Some(opening) = opening(row, message, addressee.last_inbound_at, now) {
            return Ok(Err(NotSent::Waits(opening)));
        }
        let channel = &job.inner().options.channel;
        // The channel's word goes before our reckoning.
        let takes_text =
            !channel.has_window() || (is_window_open(addressee.last_inbound_at, now) && !message.was_text_refused());
        let session_id: Option<SessionId> = session.map(|session| session.id);
        let content = match compose::choose(message, takes_text) {
            Err(reason) => return fails(reason),
            Ok(Choice::Text) => match compose::text(message, session_id) {
                Ok(content) => content,
                Err(reason) => return fails(reason),
            },
            // Of the conversation that goes on, the session hears of it.
            Ok(Choice::Template(_)) if no_marketing => return fails(NO_MARKETING),
            Ok(Choice::Template(named)) => {
                let known = templates::named(job.tx(), channel.name(), &named.name)?;
                if known.is_empty() && channel.has_templates() && !were_templates_fetched(job.tx(), channel.name())? {
                    return Ok(Err(NotSent::LacksTemplates));
                }
                let known: Vec<_> = known.into_iter().map(|row| row.template).collect();
                // Its language is asked for where the node's is not there.
                let is_served = named.language.as_ref().is_some_and(|language| {
                    known.iter().any(|one: &MessageTemplate| is_same_language(&one.language, language))
                });
                let flow = match session {
                    Some(session) if !is_served && self.access.is_full() => {
                        Some(job.flow(session.flow_seq, session.version)?)
                    }
                    _ => None,
                };
                let languages = Languages {
                    contact: addressee.language.as_deref(),
                    flow: flow.as_ref().and_then(|flow| flow.document().language.as_deref()),
                };
                match compose::template(message, named, session_id, languages, known, channel.has_templates()) {
                    Ok(content) => content,
                    Err(reason) => return fails(reason),
                }
            }
        };
        // Of a message that can only go out in one way nothing has to be noted.
        let noted = message.template.as_ref().and_then(|_| row.body.with_sent(&compose::note(&content)));
        Ok(Ok((Outgoing { id: row.id, to, content, at: now }, noted)))
    }
}

/// Whether a session lets a message of one of its turns go out: while it runs, all the way to an end of its own, and as
/// its last word.
pub(super) fn may_speak(session: &SessionBrief, turn: Option<u32>) -> bool {
    match session.status {
        Status::Running | Status::Completed => true,
        Status::Cancelled => false,
        Status::Expired | Status::Failed => turn == Some(session.turn),
    }
}

/// When the hours begin that a message must wait for. Not for the person who has written since, or just before: whoever is
/// in a conversation is not spoken to first, and the answers behind the message wait for nothing.
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

/// Whether free text may go to somebody who last wrote at that time.
pub(in crate::runtime) fn is_window_open(last_inbound_at: Option<Timestamp>, now: Timestamp) -> bool {
    last_inbound_at.is_some_and(|at| at.plus(WINDOW - WINDOW_MARGIN) > now)
}
