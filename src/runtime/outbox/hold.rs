//! What the outbox keeps in memory: for how long the channel, or one person, is left alone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::pace::NumberPace;
use super::record::TRIES;
use super::{CLAIMED_AT_ONCE, IN_FLIGHT};
use crate::channels::outgoing::{Refusal, RefusalClass, Sent};
use crate::domain::{MessageId, Timestamp};

/// How long the channel is left alone at the most, unless it asks for more.
const LONGEST_HOLD: Duration = Duration::from_secs(30);
/// How long one person is left alone at the most.
const LONGEST_PERSON_HOLD: Duration = Duration::from_secs(5 * 60);

/// What the outbox keeps in memory. All of it may be lost.
#[derive(Debug)]
pub(in crate::runtime) struct Outbox {
    /// Rung when something may go out.
    pub(super) wake: Notify,
    pub(super) pace: NumberPace,
    hold: Mutex<Held>,
    /// How often in a row each person was to be left alone, by the contact's row.
    refusals: Mutex<HashMap<i64, u32>>,
    /// Whether the outbox was brought into order since the start. Held while it is, and while messages are claimed.
    pub(super) in_order: tokio::sync::Mutex<bool>,
}

/// How long the channel is left alone.
#[derive(Debug, Default)]
pub(super) struct Held {
    until: Option<Timestamp>,
    /// How often in a row.
    failures: u32,
    /// Raised each time: the answer to an attempt from before says nothing new.
    pub(super) round: u64,
}

impl Outbox {
    pub(in crate::runtime) fn new(messages_per_second: u32) -> Self {
        Self {
            wake: Notify::new(),
            pace: NumberPace::new(messages_per_second),
            hold: Mutex::default(),
            refusals: Mutex::default(),
            in_order: tokio::sync::Mutex::default(),
        }
    }

    /// Rings: something may go out.
    pub(in crate::runtime) fn ring(&self) {
        self.wake.notify_one();
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

    /// Takes note of what an answer says about the channel as a whole, and gives until when it is left alone.
    pub(super) fn hear(&self, sent: &Sent, round: u64, id: MessageId, now: Timestamp) -> Option<Timestamp> {
        let mut held = self.held();
        if held.round != round {
            return None;
        }
        let refusal = match sent {
            Sent::Refused(refusal) => match refusal.class {
                RefusalClass::ChannelPacing | RefusalClass::Unreachable => refusal,
                _ => {
                    *held = Held { round, ..Held::default() };
                    return None;
                }
            },
            Sent::Accepted { .. } => {
                *held = Held { round, ..Held::default() };
                return None;
            }
            // It tells nothing.
            Sent::Ambiguous { .. } => return None,
        };
        held.failures = held.failures.saturating_add(1);
        held.round += 1;
        let pause = backoff(held.failures, LONGEST_HOLD, id).max(refusal.retry_after.unwrap_or_default());
        let until = now.plus(pause);
        held.until = Some(until);
        Some(until)
    }

    /// When a message to a contact goes out again whose attempt of this number was refused, if it does: how long its
    /// person, or it alone, is left alone. It changes nothing.
    pub(super) fn again_at(
        &self,
        refusal: &Refusal,
        contact_seq: i64,
        (id, number): (MessageId, u32),
        now: Timestamp,
    ) -> Timestamp {
        let pause = match refusal.class {
            RefusalClass::RecipientPacing => {
                let times = self.refusals().get(&contact_seq).copied().unwrap_or(0);
                // Meta: "retry after 4^X seconds, X from 0".
                Duration::from_secs(4_u64.saturating_pow(times)).min(LONGEST_PERSON_HOLD)
            }
            RefusalClass::Transient => backoff(number, Duration::from_secs(1 << TRIES), id),
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
            Sent::Accepted { .. } => _ = self.refusals().remove(&contact_seq),
            Sent::Refused(_) | Sent::Ambiguous { .. } => {}
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
            self.hear(&sent, round, id, now);
        }
        self.ring();
    }

    fn refusals(&self) -> MutexGuard<'_, HashMap<i64, u32>> {
        // Counts are whole after any panic.
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        // Three plain values are whole after any panic.
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
