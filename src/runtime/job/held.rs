//! A held conversation: a person or another system answers the contact, flows are silent, and their clocks stand still.
//!
//! A hold begins with a sign of another sender on the same number (a colleague's message in the WhatsApp Business app,
//! a message while another system of Meta has the conversation), lasts for a while after the last such sign, and ends
//! early when an operator ends it, when Meta gives the conversation back, or when a message of ours takes it back.
//!
//! The contact's row says who holds the conversation, and all that is armed is moved at once: see
//! [`engine::move_timers`]. So the sweeper, settling and queries for due rows need not know of it. These do:
//!
//! - [`Job::apply`](super::Job) takes an event as if the time were not, and moves on what comes of it;
//! - the router stores what the person writes without a turn, for the holder to read;
//! - a claim makes messages of flows step aside until the end, and their age moves along;
//! - the acceptance of a prompt moves its timeout by the time that was left.
//!
//! Messages of agents and of the operator's systems, and confirmations of consent, go out as ever.

use std::time::Duration;

use super::arrivals::Arrival;
use super::{Deferred, Job};
use crate::domain::{Held, Holder, Timestamp};
use crate::engine::{self, Move};
use crate::error::Result;
use crate::store::contacts::{self, StoredContact};
use crate::store::{outbox, sessions};

/// For how long another system of Meta is taken to hold a conversation after its last sign: a window for free text,
/// after which it could not answer either. A conversation must not be silent for ever because the notice that it was
/// given back is missing.
pub(in crate::runtime) const STANDBY: Duration = Duration::from_secs(24 * 3600);

/// A sign that another sender holds a conversation.
#[derive(Clone, Copy)]
pub(in crate::runtime) struct Sign<'a> {
    /// The holder.
    pub(in crate::runtime) by: Holder,
    /// When it was given.
    pub(in crate::runtime) at: Timestamp,
    /// The delivery that it came in: what was due before then is settled first.
    pub(in crate::runtime) arrival: &'a Arrival,
}

impl Job<'_> {
    /// For how long a sign counts; nothing if it does not.
    fn length_of(&self, by: Holder) -> Duration {
        match by {
            Holder::Colleague => self.shared().options.routing.colleague_pause,
            Holder::Standby => STANDBY,
        }
    }

    /// Takes a sign that another sender holds the conversation with a contact: the hold begins, or is extended. A sign
    /// that is too old, or older than the current hold's last one, changes nothing.
    pub(in crate::runtime) fn hold_for_other(&self, contact: &StoredContact, sign: Sign<'_>) -> Result<(), Deferred> {
        let now = self.now();
        let at = sign.at.min(now);
        let until = at.plus(self.length_of(sign.by));
        let current = contact.held.filter(|held| held.is_on(now));
        let held = match current {
            _ if until <= now => return Ok(()),
            Some(held) if held.by == sign.by && until <= held.until => return Ok(()),
            Some(held) if held.by != sign.by && at < held.since => return Ok(()),
            Some(held) => Held { by: sign.by, until, ..held },
            None => Held { by: sign.by, since: at, until },
        };
        // What fell due before the sign came has happened.
        let mut sessions = Vec::new();
        for stored in sessions::running_of_contact(self.tx(), contact.seq)? {
            self.wait_for_earlier_replies(&stored.session, sign.arrival)?;
            sessions.push(self.load(stored, contact.clone())?);
        }
        for mut loaded in sessions {
            self.fire_due(&mut loaded, sign.arrival.at())?;
        }
        Ok(self.move_hold(contact.seq, current.map_or(now, |held| held.until), &held)?)
    }

    /// Ends what holds the conversation with a contact, if anything does: flows go on from where they stood.
    pub(in crate::runtime) fn let_go(&self, contact: &StoredContact) -> Result<()> {
        let now = self.now();
        match contact.held.filter(|held| held.is_on(now)) {
            Some(held) => self.move_hold(contact.seq, held.until, &Held { until: now, ..held }),
            None => Ok(()),
        }
    }

    /// Moves the end of a hold from `from` to `held.until`; for a new hold `from` is the present. The timers of the
    /// contact's sessions, and the time until which their queued messages may go out, move by as much.
    pub(in crate::runtime) fn move_hold(&self, contact_seq: i64, from: Timestamp, held: &Held) -> Result<()> {
        let (tx, now) = (self.tx(), self.now());
        let by = Move::between(from, held.until);
        for mut stored in sessions::running_of_contact(tx, contact_seq)? {
            engine::move_timers(&mut stored.session, by, held.until);
            sessions::update(tx, stored.seq, &stored.session, stored.prompted_at)?;
            self.arm(&stored.session);
            self.note_session(&stored.session);
        }
        outbox::move_good_until(tx, contact_seq, held.until.as_millis().saturating_sub(from.as_millis()))?;
        if held.until < from {
            outbox::stop_holding(tx, contact_seq, now)?;
            self.wake_outbox();
        }
        contacts::set_held(tx, contact_seq, held)?;
        Ok(())
    }

    /// The holder of the conversation with a contact now.
    pub(in crate::runtime) fn holder(&self, held: Option<Held>) -> Option<Held> {
        held.filter(|held| held.is_on(self.now()))
    }
}
