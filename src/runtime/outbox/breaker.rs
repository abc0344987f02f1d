//! The circuit breaker of the outbox: for how long the channel, one person or one message is held back.
//!
//! It lives in memory, and all of it may be lost. The circuit is closed while the channel takes messages, open while
//! the channel is held back, and half-open after that: one message at a time goes out until the channel takes one.
//!
//! A refusal that may pass ([`RefusalClass::Transient`]) does not say whether it is about the message or about the far
//! side: a server that is down answers 500 to everything, and one that stumbles over a message answers 500 to that.
//! What the far side does with other messages distinguishes the two:
//!
//! - It takes others while it refuses one: it is the message, which has eight tries. Only a try that was followed by an
//!   acceptance counts, of any contact's message, and the first.
//! - It refuses those of three people, and takes nothing in between: it is the far side. The channel is held back as if
//!   it could not be reached, and tried with one message at a time until it takes one.
//! - It refuses those of one or two people, and there is nothing else to send: the cause is unknown. The channel is not
//!   held, because a single bad message must not keep the next person waiting; the message is tried about once a minute
//!   and no try counts, so that it outlasts an outage of any length that its own age allows
//!   (`message_max_age_minutes`).

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::channels::outgoing::{Refusal, RefusalClass, Sent};
use crate::domain::{MessageId, Timestamp};

/// Messages that are on their way to the channel at once.
pub(super) const MAX_IN_FLIGHT: u32 = 256;
/// Messages that one claim takes, so that the writer is not kept from others.
const CLAIM_BATCH: u32 = 64;
/// How long the channel is held back at the most, unless it asks for more.
const MAX_OPEN: Duration = Duration::from_secs(30);
/// How long one person is held back at the most.
const MAX_PERSON_PAUSE: Duration = Duration::from_secs(5 * 60);
/// How long a message is held back at the most that was refused for a reason that may pass.
const MAX_MESSAGE_PAUSE: Duration = Duration::from_secs(60);
/// People whose messages are refused, with nothing taken in between, before that counts as an outage of the far side.
const LANES_OF_AN_OUTAGE: usize = 3;
/// Refusals in a row after which tries of a message count all the same: a day of them, at the pace at which an outage
/// is probed. It ends those that have no age of their own, such as an agent's.
const MAX_UNCOUNTED: u32 = 2_880;

/// The circuit breaker of the channel in use.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

/// An attempt, as the breaker knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttemptRef {
    /// The message, which is the head of its lane.
    pub(super) id: MessageId,
    /// Row of its contact, which names the lane.
    pub(super) contact_seq: i64,
    /// Which attempt of the message it is, from 1.
    pub(super) number: u32,
    /// The round of the breaker in which it was claimed, of [`Breaker::slots`].
    pub(super) round: u64,
}

/// What follows from the result of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Consequence {
    /// Until when the channel is held back, if this result opened the circuit.
    pub(super) open_until: Option<Timestamp>,
    /// When the message goes out again, if it does.
    pub(super) retry_at: Timestamp,
    /// Whether the attempt counts against the message's tries if it was refused for a reason that may pass.
    pub(super) is_spent: bool,
}

#[derive(Debug, Default)]
struct State {
    circuit: Circuit,
    /// How often in a row each person was to be held back, by the contact's row.
    person_refusals: HashMap<i64, u32>,
    /// Messages that the channel took since the start.
    accepted: u64,
    /// Heads of lanes that were refused for a reason that may pass, by the contact's row: of a lane only the head is
    /// tried.
    failing_heads: HashMap<i64, TransientFailure>,
}

/// Whether the channel as a whole takes messages.
#[derive(Debug, Default)]
struct Circuit {
    /// Until when it is open; half-open after that, and closed where there is none.
    open_until: Option<Timestamp>,
    /// The code and the explanation of the refusal that it is open for.
    reason: Option<(String, String)>,
    /// Rows of contacts whose messages were refused for a reason that may pass, since a message was taken: so many at
    /// the most as make an outage.
    suspects: HashSet<i64>,
    /// How often in a row it opened.
    failures: u32,
    /// Raised each time that it opens or is closed by hand: a result of an attempt from before is no news.
    round: u64,
}

/// A message that was refused for a reason that may pass.
#[derive(Debug)]
struct TransientFailure {
    id: MessageId,
    /// How often in a row.
    times: u32,
    /// What the channel had taken by the last time.
    accepted: u64,
}

/// What a refusal for a reason that may pass means for the tries of its message.
struct Tries {
    /// How often in a row the message was refused so.
    times: u32,
    /// This one counts.
    is_spent: bool,
}

impl Breaker {
    /// Records the result of an attempt: its consequences for the channel as a whole, for the message and for its
    /// contact.
    pub(super) fn record_result(&self, attempt: &AttemptRef, sent: &Sent, now: Timestamp) -> Consequence {
        let AttemptRef { id, contact_seq, round, .. } = *attempt;
        let mut state = self.state();
        let open_until = state.circuit.record(sent, round, (id, contact_seq), now);
        let tries = state.record_message(sent, attempt);
        let retry_at = match sent {
            Sent::Refused(refusal) => state.retry_at(refusal, contact_seq, (id, tries.times), now),
            Sent::Accepted { .. } | Sent::Ambiguous { .. } => now,
        };
        state.record_person(sent, contact_seq);
        Consequence { open_until, retry_at, is_spent: tries.is_spent }
    }

    /// Records a refusal that came in a status and not as an answer. While the circuit is open or half-open, it is no
    /// news about the channel: it is of an attempt from before.
    pub(super) fn record_late_refusal(&self, refusal: &Refusal, contact_seq: i64, id: MessageId, now: Timestamp) {
        let sent = Sent::Refused(refusal.clone());
        let mut state = self.state();
        state.record_person(&sent, contact_seq);
        let is_pacing = matches!(refusal.class, RefusalClass::ChannelPacing | RefusalClass::Unreachable);
        if is_pacing && !state.circuit.is_tripped() {
            let round = state.circuit.round;
            state.circuit.record(&sent, round, (id, contact_seq), now);
        }
    }

    /// When a message to a contact goes out again that was refused so many times, if it does: how long its person, or
    /// it alone, is held back. It changes nothing.
    pub(super) fn retry_at(
        &self,
        refusal: &Refusal,
        contact_seq: i64,
        (id, times): (MessageId, u32),
        now: Timestamp,
    ) -> Timestamp {
        self.state().retry_at(refusal, contact_seq, (id, times), now)
    }

    /// Forgets what it knows of the head of a lane that will not be tried again. The next head of the lane may have
    /// failed by then.
    pub(super) fn forget_head(&self, contact_seq: i64, id: MessageId) {
        let mut state = self.state();
        if state.failing_heads.get(&contact_seq).is_some_and(|failure| failure.id == id) {
            state.failing_heads.remove(&contact_seq);
        }
        state.person_refusals.remove(&contact_seq);
    }

    /// How many messages may be claimed while so many are under way, and in which round that is: none while the circuit
    /// is open, and one by itself while it is half-open.
    pub(super) fn slots(&self, now: Timestamp, in_flight: usize) -> (u32, u64) {
        let state = self.state();
        let in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX);
        let slots = match state.circuit.open_until {
            Some(until) if until > now => 0,
            Some(_) if in_flight > 0 => 0,
            Some(_) => 1,
            None => MAX_IN_FLIGHT.saturating_sub(in_flight).min(CLAIM_BATCH),
        };
        (slots, state.circuit.round)
    }

    /// Whether the circuit is open or half-open.
    pub(super) fn is_tripped(&self) -> bool {
        self.state().circuit.is_tripped()
    }

    /// Until when the channel is held back, if it is.
    pub(super) fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.state().circuit.open_until.filter(|until| *until > now)
    }

    /// The same, with the code and the explanation of the refusal that it is for.
    pub(super) fn open_with_reason(&self, now: Timestamp) -> Option<(Timestamp, Option<(String, String)>)> {
        let state = self.state();
        state.circuit.open_until.filter(|until| *until > now).map(|until| (until, state.circuit.reason.clone()))
    }

    /// Closes the circuit: the channel is used again at once.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.circuit = Circuit { round: state.circuit.round + 1, ..Circuit::default() };
    }

    /// The round in which what is claimed now is claimed.
    #[cfg(test)]
    pub(super) fn round(&self) -> u64 {
        self.state().circuit.round
    }

    /// People of whom anything is kept.
    #[cfg(test)]
    pub(super) fn known_people(&self) -> usize {
        let state = self.state();
        state.failing_heads.len() + state.person_refusals.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Plain values are whole after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Circuit {
    fn is_tripped(&self) -> bool {
        self.open_until.is_some()
    }

    /// Records a result for the channel as a whole, and returns until when it is held back if that opened the circuit.
    fn record(
        &mut self,
        sent: &Sent,
        round: u64,
        (id, contact_seq): (MessageId, i64),
        now: Timestamp,
    ) -> Option<Timestamp> {
        match sent {
            // Whatever was asked when: something is taken now.
            Sent::Accepted { .. } => self.suspects.clear(),
            Sent::Refused(Refusal { class: RefusalClass::Transient, .. })
                if self.suspects.len() < LANES_OF_AN_OUTAGE =>
            {
                self.suspects.insert(contact_seq);
            }
            _ => {}
        }
        if self.round != round {
            return None;
        }
        let refusal = match sent {
            Sent::Refused(refusal) => refusal,
            Sent::Accepted { .. } => {
                *self = Self { round, ..Self::default() };
                return None;
            }
            // It is evidence of neither.
            Sent::Ambiguous { .. } => return None,
        };
        match refusal.class {
            RefusalClass::ChannelPacing | RefusalClass::Unreachable => {}
            // One that is half-open is not well before it takes something.
            RefusalClass::Transient if self.is_tripped() || self.suspects.len() >= LANES_OF_AN_OUTAGE => {}
            RefusalClass::Transient => return None,
            // The far side processes messages, and refuses this one. Whether it takes any is not known yet.
            _ => {
                *self = Self { round, suspects: std::mem::take(&mut self.suspects), ..Self::default() };
                return None;
            }
        }
        self.failures = self.failures.saturating_add(1);
        self.round += 1;
        self.reason = Some((refusal.code.clone(), refusal.text.clone()));
        let pause = backoff(self.failures, MAX_OPEN, id).max(refusal.retry_after.unwrap_or_default());
        self.open_until = Some(now.plus(pause));
        self.open_until
    }
}

impl State {
    /// Records a result for the head of a lane, and returns what it means for the message's tries.
    fn record_message(&mut self, sent: &Sent, attempt: &AttemptRef) -> Tries {
        let AttemptRef { id, contact_seq, number, .. } = *attempt;
        match sent {
            Sent::Accepted { .. } => {
                self.accepted += 1;
                self.failing_heads.remove(&contact_seq);
            }
            Sent::Refused(Refusal { class: RefusalClass::Transient, .. }) => {
                let accepted = self.accepted;
                let before = self.failing_heads.remove(&contact_seq).filter(|failure| failure.id == id);
                let (times, is_spent) = match before {
                    // A message that was tried before this process began may be in the middle of an outage: a restart
                    // is no reason to abandon it.
                    None => (1, number <= 1),
                    // While the circuit is open, the far side is known to be at fault, whatever it took in between.
                    Some(before) => (
                        before.times.saturating_add(1),
                        before.times >= MAX_UNCOUNTED || (before.accepted < accepted && !self.circuit.is_tripped()),
                    ),
                };
                self.failing_heads.insert(contact_seq, TransientFailure { id, times, accepted });
                return Tries { times, is_spent };
            }
            Sent::Refused(_) | Sent::Ambiguous { .. } => _ = self.failing_heads.remove(&contact_seq),
        }
        Tries { times: 1, is_spent: true }
    }

    /// Records a result for one contact.
    fn record_person(&mut self, sent: &Sent, contact_seq: i64) {
        match sent {
            Sent::Refused(refusal) if refusal.class == RefusalClass::RecipientPacing => {
                let times = self.person_refusals.entry(contact_seq).or_insert(0);
                *times = times.saturating_add(1);
            }
            // It is no evidence about the contact.
            Sent::Refused(Refusal { class: RefusalClass::Transient, .. }) | Sent::Ambiguous { .. } => {}
            Sent::Accepted { .. } | Sent::Refused(_) => _ = self.person_refusals.remove(&contact_seq),
        }
    }

    fn retry_at(
        &self,
        refusal: &Refusal,
        contact_seq: i64,
        (id, times): (MessageId, u32),
        now: Timestamp,
    ) -> Timestamp {
        let pause = match refusal.class {
            RefusalClass::RecipientPacing => {
                let times = self.person_refusals.get(&contact_seq).copied().unwrap_or(0);
                // Meta: "retry after 4^X seconds, X from 0".
                Duration::from_secs(4_u64.saturating_pow(times)).min(MAX_PERSON_PAUSE)
            }
            // The channel's own pause is what counts: once it is over, no message waits longer.
            RefusalClass::Transient if self.circuit.is_tripped() => return now,
            RefusalClass::Transient => backoff(times, MAX_MESSAGE_PAUSE, id),
            _ => return now,
        };
        now.plus(pause.max(refusal.retry_after.unwrap_or_default()))
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
