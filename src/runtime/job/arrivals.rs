//! Replies that have arrived and are not yet committed.
//!
//! Whether a reply is in time is judged by when it arrived, not by when the writer gets to it. So each reply is stamped
//! and registered in one step on arrival, and no timer fires that falls due at or after the oldest registered one: that
//! reply's own job decides. What waits for a reply is woken when its arrival is dropped.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::domain::Timestamp;
use crate::runtime::clock::Clock;

/// The register of replies that have arrived and whose jobs are not yet answered. Clones share it.
#[derive(Debug, Clone)]
pub(in crate::runtime) struct Arrivals {
    clock: Clock,
    open: Arc<Mutex<Open>>,
    /// Notified when an arrival is dropped.
    dropped: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    /// How many arrivals were dropped.
    dropped: u64,
    entries: BTreeSet<(Timestamp, u64)>,
}

/// A registered arrival. Dropping it, after its job was answered, takes it from the register.
#[derive(Debug)]
pub struct Arrival {
    arrivals: Arrivals,
    entry: (Timestamp, u64),
}

impl Arrivals {
    pub(in crate::runtime) fn new(clock: Clock) -> Self {
        Self { clock, open: Arc::default(), dropped: Arc::default() }
    }

    /// Stamps and registers an arrival. What lay in a socket while the process stood still has arrived before that.
    pub(in crate::runtime) fn register(&self) -> Arrival {
        let mut open = self.lock();
        open.last += 1;
        let entry = (self.clock.timer_cutoff(), open.last);
        open.entries.insert(entry);
        Arrival { arrivals: self.clone(), entry }
    }

    /// The present, if a timer due at `due_at` may fire: it is due, and no reply has arrived that may precede it.
    pub(in crate::runtime) fn may_fire(&self, due_at: Timestamp) -> Option<Timestamp> {
        let open = self.lock();
        let cutoff = self.clock.timer_cutoff();
        let is_first = open.entries.first().is_none_or(|(oldest, _)| due_at < *oldest);
        (due_at <= cutoff && is_first).then_some(self.clock.now())
    }

    /// Whether a reply other than `own` is registered that arrived until `until`.
    pub(in crate::runtime) fn is_other_open(&self, until: Timestamp, own: &Arrival) -> bool {
        self.lock().entries.iter().take_while(|(at, _)| *at <= until).any(|entry| *entry != own.entry)
    }

    /// How many arrivals were dropped until now, for [`Arrivals::wait_for_drop`].
    pub(in crate::runtime) fn drops(&self) -> u64 {
        self.lock().dropped
    }

    /// Waits until an arrival is dropped after the `seen`-th, for `at_most` at the most. None is missed that is dropped
    /// between the count and the wait.
    pub(in crate::runtime) async fn wait_for_drop(&self, seen: u64, at_most: Duration) {
        let mut woken = std::pin::pin!(self.dropped.notified());
        // Register for the wake-up before looking.
        woken.as_mut().enable();
        if self.drops() == seen {
            let _ = tokio::time::timeout(at_most, woken).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // A set of stamps is whole after any panic.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrival {
    /// When it arrived.
    pub fn at(&self) -> Timestamp {
        self.entry.0
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut open = self.arrivals.lock();
        open.entries.remove(&self.entry);
        open.dropped += 1;
        drop(open);
        self.arrivals.dropped.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_timer_waits_for_replies_that_may_precede_it() {
        let start = Timestamp::from_millis(1_000_000);
        let clock = Clock::by_hand(start);
        let arrivals = Arrivals::new(clock.clone());
        let at = |millis| start.plus(Duration::from_millis(millis));
        let early = arrivals.register();
        clock.advance(Duration::from_millis(10));
        let late = arrivals.register();
        clock.advance(Duration::from_millis(10));
        assert_eq!(arrivals.may_fire(start.minus(Duration::from_millis(1))), Some(at(20)));
        assert_eq!(arrivals.may_fire(at(0)), None, "a reply of the same millisecond decides itself");
        assert_eq!(arrivals.may_fire(at(5)), None);
        drop(early);
        assert_eq!(arrivals.may_fire(at(5)), Some(at(20)));
        assert_eq!(arrivals.may_fire(at(15)), None);
        drop(late);
        assert_eq!(arrivals.may_fire(at(15)), Some(at(20)));
        assert_eq!(arrivals.may_fire(at(21)), None, "not due");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_a_reply_is_woken_by_its_end_and_misses_none() {
        let forever = Duration::from_secs(3600);
        let arrivals = Arrivals::new(Clock::by_hand(Timestamp::from_millis(1_000_000)));
        let began = tokio::time::Instant::now();
        let (reply, seen) = (arrivals.register(), arrivals.drops());
        let ends = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(reply);
        };
        tokio::join!(arrivals.wait_for_drop(seen, forever), ends);
        assert_eq!(began.elapsed(), Duration::from_secs(1), "it goes on as soon as the reply has ended");
        arrivals.wait_for_drop(seen, forever).await;
        assert_eq!(began.elapsed(), Duration::from_secs(1), "what ended before is not waited for");
        arrivals.wait_for_drop(arrivals.drops(), Duration::from_secs(2)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(3), "where nothing ends it waits no longer than it is to");
    }
}
