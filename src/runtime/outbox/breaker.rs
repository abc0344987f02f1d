//! What the outbox keeps in memory: for how long the channel, or one person, is left alone.
//!
//! A refusal that may pass ([`RefusalClass::Transient`]) does not say whether it is about the message or about the far
//! side: a server that is down answers 500 to everything, and one that stumbles over a message answers 500 to that. What
//! the far side does with other messages tells the two apart:
//!
//! - It takes others while it refuses one: it is the message, which has eight tries. Only a try that was followed by an
//!   acceptance counts, whoever's message that was, and the first.
//! - It refuses those of three people, and takes nothing in between: it is the far side. The channel is left alone as if it
//!   could not be reached, and tried with one message at a time until it takes one.
//! - It refuses those of one or two people, and there is nothing else to send: nobody can tell. The channel is not held,
//!   because a single bad message must not keep the next person waiting; the message is tried about once a minute and no
//!   try counts, so that it outlasts an outage of any length that its own age allows (`message_max_age_minutes`).

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::pace::NumberPace;
use super::{CLAIMED_AT_ONCE, IN_FLIGHT};
use crate::channels::outgoing::{Refusal, RefusalClass, Sent};
use crate::domain::{MessageId, Timestamp};

/// How long the channel is left alone at the most, unless it asks for more.
const LONGEST_HOLD: Duration = Duration::from_secs(30);
/// How long one person is left alone at the most.
const LONGEST_PERSON_HOLD: Duration = Duration::from_secs(5 * 60);

/// How long a message is left alone at the most that was refused for a reason that may pass.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// People whose messages are refused, with nothing taken in between, before that counts as an outage of the far side.
const LANES_OF_AN_OUTAGE: usize = 3;
/// Refusals in a row after which tries of a message count all the same: a day of them, at the pace at which an outage is
/// probed. It ends those that have no age of their own, such as an agent's.
const LONGEST_RUN: u32 = 2_880;

/// What the outbox keeps in memory. All of it may be lost.
#[derive(Debug)]
pub(in crate::runtime) struct Outbox {
    /// Rung when something may go out.
    pub(super) wake: Notify,
    pub(super) pace: NumberPace,
    hold: Mutex<Held>,
    /// How often in a row each person was to be left alone, by the contact's row.
    refusals: Mutex<HashMap<i64, u32>>,
    troubles: Mutex<Troubles>,
    /// Whether the outbox was brought into order since the start. Held while it is, and while messages are claimed.
    pub(super) in_order: tokio::sync::Mutex<bool>,
}

/// How long the channel is left alone.
#[derive(Debug, Default)]
pub(super) struct Held {
    until: Option<Timestamp>,
    /// The code and the explanation of the refusal that it is for.
    reason: Option<(String, String)>,
    /// Rows of contacts whose messages were refused for a reason that may pass, since a message was taken: so many at the
    /// most as make an outage.
    suspects: HashSet<i64>,
    /// How often in a row.
    failures: u32,
    /// Raised each time: the answer to an attempt from before says nothing new.
    pub(super) round: u64,
}

/// Messages that were refused for reasons that may pass.
#[derive(Debug, Default)]
struct Troubles {
    /// Messages that the channel took since the start.
    accepted: u64,
    /// By the contact's row: of a lane only the head is tried.
    heads: HashMap<i64, Trouble>,
}

/// A message that was refused for a reason that may pass.
#[derive(Debug)]
struct Trouble {
    id: MessageId,
    /// How often in a row.
    times: u32,
    /// What the channel had taken by the last time.
    accepted: u64,
}

/// What a refusal for a reason that may pass means for the tries of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Try {
    /// How often in a row the message was refused so.
    pub(super) times: u32,
    /// It counts.
    pub(super) is_spent: bool,
}

impl Outbox {
    pub(in crate::runtime) fn new(messages_per_second: u32) -> Self {
        Self {
            wake: Notify::new(),
            pace: NumberPace::new(messages_per_second),
            hold: Mutex::default(),
            refusals: Mutex::default(),
            troubles: Mutex::default(),
            in_order: tokio::sync::Mutex::default(),
        }
    }

    /// Rings: something may go out.
    pub(in crate::runtime) fn ring(&self) {
        self.wake.notify_one();
    }

    /// Until when the channel is left alone, and the code and the explanation of the refusal that it is for, if it is.
    pub(super) fn standing(&self, now: Timestamp) -> Option<(Timestamp, Option<(String, String)>)> {
        let held = self.held();
        held.until.filter(|until| *until > now).map(|until| (until, held.reason.clone()))
    }

    /// Until when the channel is left alone, if it is.
    pub(super) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.held().until.filter(|until| *until > now)
    }

    /// Uses the channel again at once.
    pub(super) fn forget_hold(&self) {
        let mut held = self.held();
        *held = Held { round: held.round + 1, ..Held::default() };
        drop(held);
        self.ring();
    }

    /// How many messages may be claimed while so many are under way, and in which round that is: none while the channel is
    /// left alone, and one by itself to see whether it answers again.
    pub(super) fn room(&self, now: Timestamp, in_flight: usize) -> (u32, u64) {
        let held = self.held();
        let in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX);
        let room = match held.until {
            Some(until) if until > now => 0,
            Some(_) if in_flight > 0 => 0,
            Some(_) => 1,
            None => IN_FLIGHT.saturating_sub(in_flight).min(CLAIMED_AT_ONCE),
        };
        (room, held.round)
    }

    /// Whether the channel is only tried, since it was left alone.
    pub(super) fn is_probing(&self) -> bool {
        self.held().until.is_some()
    }

    /// Takes note of what an answer to an attempt of this message says about the channel as a whole, and gives until when
    /// it is left alone.
    pub(super) fn hear(
        &self,
        sent: &Sent,
        round: u64,
        (id, contact_seq): (MessageId, i64),
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut held = self.held();
        match sent {
            // Whatever was asked when: something is taken now.
            Sent::Accepted { .. } => held.suspects.clear(),
            Sent::Refused(Refusal { class: RefusalClass::Transient, .. })
                if held.suspects.len() < LANES_OF_AN_OUTAGE =>
            {
                held.suspects.insert(contact_seq);
            }
            _ => {}
        }
        if held.round != round {
            return None;
        }
        let refusal = match sent {
            Sent::Refused(refusal) => refusal,
            Sent::Accepted { .. } => {
                *held = Held { round, ..Held::default() };
                return None;
            }
            // It tells nothing.
            Sent::Ambiguous { .. } => return None,
        };
        match refusal.class {
            RefusalClass::ChannelPacing | RefusalClass::Unreachable => {}
            // One that is only tried is not well before it takes something.
            RefusalClass::Transient if held.until.is_some() || held.suspects.len() >= LANES_OF_AN_OUTAGE => {}
            RefusalClass::Transient => return None,
            // It looks at messages, and says so of this one. Whether it takes any is not known yet.
            _ => {
                *held = Held { round, suspects: std::mem::take(&mut held.suspects), ..Held::default() };
                return None;
            }
        }
        held.failures = held.failures.saturating_add(1);
        held.round += 1;
        held.reason = Some((refusal.code.clone(), refusal.text.clone()));
        let pause = backoff(held.failures, LONGEST_HOLD, id).max(refusal.retry_after.unwrap_or_default());
        let until = now.plus(pause);
        held.until = Some(until);
        Some(until)
    }

    /// Takes note of what an answer says about the head of a lane, which has had `number` tries with this one. Gives what
    /// it means for the message's tries.
    pub(super) fn hear_of_message(&self, sent: &Sent, (id, contact_seq): (MessageId, i64), number: u32) -> Try {
        // Asked before the other lock is taken, so that there is one order.
        let is_held = self.is_probing();
        let mut troubles = self.troubles();
        match sent {
            Sent::Accepted { .. } => {
                troubles.accepted += 1;
                troubles.heads.remove(&contact_seq);
            }
            Sent::Refused(Refusal { class: RefusalClass::Transient, .. }) => {
                let accepted = troubles.accepted;
                let before = troubles.heads.remove(&contact_seq).filter(|trouble| trouble.id == id);
                let (times, is_spent) = match before {
                    // One that was tried before this process began may be in the middle of an outage: restarts are no
                    // reason to give it up.
                    None => (1, number <= 1),
                    // While the channel is held, the far side is known to be at fault, whatever it took in between.
                    Some(before) => (
                        before.times.saturating_add(1),
                        before.times >= LONGEST_RUN || (before.accepted < accepted && !is_held),
                    ),
                };
                troubles.heads.insert(contact_seq, Trouble { id, times, accepted });
                return Try { times, is_spent };
            }
            Sent::Refused(_) | Sent::Ambiguous { .. } => _ = troubles.heads.remove(&contact_seq),
        }
        Try { times: 1, is_spent: true }
    }

    /// Forgets what it knows of the head of a lane that will not be tried again.
    pub(super) fn forget_head(&self, contact_seq: i64) {
        self.troubles().heads.remove(&contact_seq);
        self.refusals().remove(&contact_seq);
    }

    /// When a message to a contact goes out again that was refused so many times, if it does: how long its person, or it
    /// alone, is left alone. It changes nothing.
    pub(super) fn again_at(
        &self,
        refusal: &Refusal,
        contact_seq: i64,
        (id, times): (MessageId, u32),
        now: Timestamp,
    ) -> Timestamp {
        let pause = match refusal.class {
            RefusalClass::RecipientPacing => {
                let times = self.refusals().get(&contact_seq).copied().unwrap_or(0);
                // Meta: "retry after 4^X seconds, X from 0".
                Duration::from_secs(4_u64.saturating_pow(times)).min(LONGEST_PERSON_HOLD)
            }
            // The channel's own pause is what counts: once it is over, nobody waits for more.
            RefusalClass::Transient if self.is_probing() => return now,
            RefusalClass::Transient => backoff(times, LONGEST_PAUSE, id),
            _ => return now,
        };
        now.plus(pause.max(refusal.retry_after.unwrap_or_default()))
    }

    /// Takes note of what an answer says about one person.
    pub(super) fn hear_of_person(&self, sent: &Sent, contact_seq: i64) {
        match sent {
            Sent::Refused(refusal) if refusal.class == RefusalClass::RecipientPacing => {
                let mut refusals = self.refusals();
                let times = refusals.entry(contact_seq).or_insert(0);
                *times = times.saturating_add(1);
            }
            // It says nothing of the person.
            Sent::Refused(Refusal { class: RefusalClass::Transient, .. }) | Sent::Ambiguous { .. } => {}
            Sent::Accepted { .. } | Sent::Refused(_) => _ = self.refusals().remove(&contact_seq),
        }
    }

    /// Takes note of a refusal that came in a status and not as an answer. While the channel is left alone, or tried, it
    /// says nothing new of the channel: it is of an attempt from before.
    pub(super) fn hear_later(&self, refusal: &Refusal, contact_seq: i64, id: MessageId, now: Timestamp) {
        let sent = Sent::Refused(refusal.clone());
        self.hear_of_person(&sent, contact_seq);
        let is_pacing = matches!(refusal.class, RefusalClass::ChannelPacing | RefusalClass::Unreachable);
        let round = self.held().round;
        if is_pacing && !self.is_probing() {
            self.hear(&sent, round, (id, contact_seq), now);
        }
        self.ring();
    }

    /// People of whom anything is kept.
    #[cfg(test)]
    pub(super) fn known_people(&self) -> usize {
        self.troubles().heads.len() + self.refusals().len()
    }

    fn troubles(&self) -> MutexGuard<'_, Troubles> {
        // A count and plain values are whole after any panic.
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusals(&self) -> MutexGuard<'_, HashMap<i64, u32>> {
        // Counts are whole after any panic.
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        // Plain values are whole after any panic.
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 1, 2, 4 … seconds for the first, second, third … time, up to `longest`, less up to half of it: messages that failed
/// together do not come back together.
fn backoff(times: u32, longest: Duration, id: MessageId) -> Duration {
    let whole = Duration::from_secs(1_u64.checked_shl(times.saturating_sub(1)).unwrap_or(u64::MAX)).min(longest);
    // The last bytes of an id are random, and all that has to differ.
    let chance = u32::from(id.0.as_bytes()[15]) ^ times.wrapping_mul(97) & 0xff;
    if times <= 1 { whole } else { whole - whole * (chance & 0xff) / 512 }
}
