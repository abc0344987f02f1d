//! The one place that reads the time, and that notices when the process has stood still.
//!
//! A virtual machine that was paused, a process that was stopped, a clock that was set forward: to the program it is as
//! if far more time had passed than it slept. Timers are overdue then, while what people wrote meanwhile still lies in
//! sockets. So for a second timers fire only as far as they were due before, and what arrives in that second counts as
//! if it had arrived then.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;

/// How often the process shows that it runs.
pub(super) const BEAT: Duration = Duration::from_millis(200);
/// Without a sign for longer than this it has stood still.
const LAPSE: Duration = Duration::from_secs(2);
/// How long the server has to read from sockets what arrived meanwhile.
const LISTENING: Duration = Duration::from_secs(1);

/// A clock: the machine's, or one that a test moves. Clones show the same time.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Milliseconds since the Unix epoch of a clock that is moved by hand.
    by_hand: Option<Arc<AtomicI64>>,
    pulse: Arc<Mutex<Pulse>>,
}

/// Signs of the process that it runs.
#[derive(Debug, Default)]
struct Pulse {
    /// The last one; `None` while there are none.
    last: Option<Timestamp>,
    standstill: Option<Standstill>,
}

/// A time in which the process stood still.
#[derive(Debug, Clone, Copy)]
struct Standstill {
    from: Timestamp,
    until: Timestamp,
}

impl Pulse {
    /// Notes it if there was no sign for too long.
    fn look(&mut self, now: Timestamp) {
        if let Some(last) = self.last.filter(|last| now.since(*last) > LAPSE) {
            tracing::warn!(
                from = %last, until = %now,
                "the process stood still, or the clock was set forward: what has arrived is read before timers fire"
            );
            self.standstill = Some(Standstill { from: last, until: now });
            self.last = Some(now);
        }
    }

    /// The standstill whose replies are still being read.
    fn listening(&self, now: Timestamp) -> Option<Standstill> {
        // A clock that is set back meanwhile ends it.
        self.standstill.filter(|standstill| standstill.until <= now && now < standstill.until.plus(LISTENING))
    }
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self { by_hand: None, pulse: Arc::default() }
    }

    /// A clock that stands at `now` until it is moved.
    pub fn by_hand(now: Timestamp) -> Self {
        Self { by_hand: Some(Arc::new(AtomicI64::new(now.as_millis()))), pulse: Arc::default() }
    }

    /// The current time in UTC, or the time that the clock was set to.
    pub fn now(&self) -> Timestamp {
        match &self.by_hand {
            Some(millis) => Timestamp::from_millis(millis.load(Ordering::SeqCst)),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }

    /// The time up to which timers fire, and at which what arrives counts as arrived: the present, but for a second
    /// after the process stood still the moment at which that began.
    pub fn timer_cutoff(&self) -> Timestamp {
        let now = self.now();
        let mut pulse = self.pulse();
        pulse.look(now);
        pulse.listening(now).map_or(now, |standstill| standstill.from)
    }

    /// How long sockets are still read before timers fire; `None` at most times.
    pub fn listens_for(&self) -> Option<Duration> {
        let now = self.now();
        let mut pulse = self.pulse();
        pulse.look(now);
        pulse.listening(now).map(|standstill| standstill.until.plus(LISTENING).since(now))
    }

    /// Gives a sign that the process runs; from the first one on a lack of them is noticed.
    pub(super) fn beat(&self) {
        let now = self.now();
        let mut pulse = self.pulse();
        pulse.look(now);
        pulse.last = Some(now);
    }

    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        // It is whole after any panic.
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves a clock that is moved by hand as if the process had stood still meanwhile.
    pub fn stand_still(&self, by: Duration) {
        let from = self.now();
        self.advance(by);
        if self.is_by_hand() {
            self.pulse().standstill = Some(Standstill { from, until: self.now() });
        }
    }

    /// Whether the clock is moved by hand. Timers then fall due when the clock is moved, and fire when a caller runs
    /// them.
    pub fn is_by_hand(&self) -> bool {
        self.by_hand.is_some()
    }

    /// Moves a clock that is moved by hand; the machine's goes on as it does.
    pub fn advance(&self, by: Duration) {
        if let Some(millis) = &self.by_hand {
            millis.store(self.now().plus(by).as_millis(), Ordering::SeqCst);
        }
    }

    /// Sets a clock that is moved by hand, also back.
    pub fn set(&self, to: Timestamp) {
        if let Some(millis) = &self.by_hand {
            millis.store(to.as_millis(), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standstill_is_noticed_by_whoever_asks_first_and_lasts_a_second() {
        let start = Timestamp::from_millis(1_000_000);
        let clock = Clock::by_hand(start);
        let at = |millis| start.plus(Duration::from_millis(millis));
        clock.advance(Duration::from_secs(60));
        assert_eq!(clock.timer_cutoff(), at(60_000), "nobody gave a sign before");
        clock.set(start);
        clock.beat();
        clock.advance(LAPSE);
        assert_eq!((clock.timer_cutoff(), clock.listens_for()), (clock.now(), None), "a machine may be slow");
        clock.beat();
        clock.advance(Duration::from_secs(30));
        assert_eq!(clock.timer_cutoff(), at(2_000));
        clock.advance(Duration::from_millis(999));
        assert_eq!((clock.timer_cutoff(), clock.listens_for()), (at(2_000), Some(Duration::from_millis(1))));
        clock.beat();
        clock.advance(Duration::from_millis(1));
        assert_eq!((clock.timer_cutoff(), clock.listens_for()), (clock.now(), None));
        clock.beat();
        clock.set(start);
        assert_eq!(clock.timer_cutoff(), start, "a clock that was set back is no standstill");
        clock.stand_still(Duration::from_secs(5));
        assert_eq!(clock.timer_cutoff(), start);
        clock.set(at(1_000));
        assert_eq!(clock.listens_for(), None, "nor does it prolong one");
    }

    #[test]
    fn a_process_that_is_always_late_still_fires_its_timers() {
        let clock = Clock::by_hand(Timestamp::from_millis(1_000_000));
        clock.beat();
        for _ in 0..5 {
            let before = clock.now();
            clock.advance(Duration::from_secs(3));
            clock.beat();
            assert_eq!(clock.timer_cutoff(), before, "what was due before the last lapse");
        }
    }
}
