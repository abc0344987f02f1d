//! Pacing: how fast a WhatsApp number may write, and how fast to one person.
//!
//! Meta's documentation gives both limits ("Messaging limits and throughput"): 80 messages a second per number, those
//! that come in counted along, and one in 6 seconds to one person, where up to 45 may be borrowed from later.
//!
//! The algorithm is [`governor`]'s. What it remembers is a moment, the theoretical arrival time of the next message; it
//! is reckoned from the Unix epoch by the runtime's clock, so that what is stored means the same after a restart, and
//! to a clock that a test moves. The person's moment is a row, written in the transaction that claims the message: a
//! restart is no reason for a burst, and a claim that is rolled back has taken nothing. The number's is in memory, and
//! what a claim has taken of it is counted once the claim is committed.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use crate::domain::Timestamp;
use crate::error::{Error, Result};
use crate::store::{Tx, channels};

/// The part of them that may go at the same moment. It is taken from what goes steadily, so that no second has more
/// than the whole.
const PART_AT_ONCE: u32 = 8;
/// How often one person may be written to.
const PAIR_PERIOD: Duration = Duration::from_secs(6);
/// How many messages to one person may be borrowed from later.
const PAIR_BURST: u32 = 45;

/// For how long the number is silent at the most: what people send is not ours to slow down, and must not keep us from
/// answering.
const LONGEST_DEBT: Duration = Duration::from_secs(1);
const NANOS_PER_MILLI: u64 = 1_000_000;

type NumberLimiter = RateLimiter<NotKeyed, Remembered, JobClock, NoOpMiddleware<Nanos>>;

/// How much the number has handled lately.
#[derive(Debug)]
pub(super) struct NumberPace {
    /// Messages that it may handle in a second.
    per_second: u32,
    arrival: Mutex<Option<Nanos>>,
}

/// What one claim takes of the number's pace, and of its contacts'.
pub(super) struct ClaimPace<'a> {
    number: NumberLimiter,
    pair: RateLimiter<i64, PairClocks<'a>, JobClock, NoOpMiddleware<Nanos>>,
    failed: Rc<RefCell<Option<Error>>>,
    /// A message that the number's limit allows and that has not been used yet.
    spare: Cell<bool>,
    taken: Cell<u32>,
}

/// Whether a message may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// It may go out now.
    Go,
    /// The person has had enough until then; others have not.
    PersonUntil(Timestamp),
    /// The number has had enough until then.
    NumberUntil(Timestamp),
}

impl NumberPace {
    /// A number that has handled nothing yet.
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: per_second.max(1), arrival: Mutex::default() }
    }

    fn at_once(&self) -> u32 {
        (self.per_second / PART_AT_ONCE).max(1)
    }

    /// Messages that it may handle in a second that follows a pause of none.
    fn steadily(&self) -> u32 {
        self.per_second.saturating_sub(self.at_once()).max(1)
    }

    fn quota(&self) -> Quota {
        Quota::per_second(at_least_one(self.steadily())).allow_burst(at_least_one(self.at_once()))
    }

    /// Counts messages that came in or have been claimed.
    pub(super) fn count(&self, messages: u32, now: Timestamp) {
        let mut arrival = self.arrival.lock().unwrap_or_else(PoisonError::into_inner);
        let (latest, now) = (since_epoch(now.plus(LONGEST_DEBT)).as_u64(), since_epoch(now).as_u64());
        let period = 1_000 * NANOS_PER_MILLI / u64::from(self.steadily());
        let next = arrival.map_or(0, Nanos::as_u64).clamp(now, latest) + period * u64::from(messages);
        *arrival = Some(Nanos::from(next.min(latest)));
    }

    /// How many messages the number may handle now, and when it may again if it is none.
    pub(super) fn available(&self, now: Timestamp) -> (u32, Timestamp) {
        let arrival = *self.arrival.lock().unwrap_or_else(PoisonError::into_inner);
        let limiter: NumberLimiter =
            RateLimiter::new(self.quota(), Remembered(Cell::new(arrival)), JobClock::default());
        limiter.clock().0.set(since_epoch(now));
        for available in 0..self.at_once() {
            if let Err(denied) = limiter.check() {
                return (available, at(denied.earliest_possible()));
            }
        }
        (self.at_once(), now)
    }

    /// A claim's view of it.
    pub(super) fn of_claim<'a>(&self, tx: &'a Tx<'a>, channel: &'static str, now: Timestamp) -> ClaimPace<'a> {
        let arrival = *self.arrival.lock().unwrap_or_else(PoisonError::into_inner);
        // Later than that it is only if the clock was set back.
        let arrival = arrival.map(|arrival| arrival.min(since_epoch(now.plus(LONGEST_DEBT))));
        let number = RateLimiter::new(self.quota(), Remembered(Cell::new(arrival)), JobClock::default());
        let pair_quota = Quota::with_period(PAIR_PERIOD)
            .unwrap_or_else(|| unreachable!("six seconds are more than none"))
            .allow_burst(at_least_one(PAIR_BURST));
        let longest = PAIR_PERIOD * PAIR_BURST;
        let failed = Rc::new(RefCell::new(None));
        let clocks = PairClocks { tx, channel, latest: now.plus(longest), failed: failed.clone() };
        let pair = RateLimiter::new(pair_quota, clocks, JobClock::default());
        // A limiter reckons from what its clock shows first, which is therefore the epoch.
        number.clock().0.set(since_epoch(now));
        pair.clock().0.set(since_epoch(now));
        ClaimPace { number, pair, failed, spare: Cell::new(false), taken: Cell::new(0) }
    }
}

impl ClaimPace<'_> {
    /// Whether a message may go to a person now. If so it is counted.
    pub(super) fn check(&self, contact_seq: i64) -> Result<Pace> {
        if !self.spare.get()
            && let Err(denied) = self.number.check()
        {
            return Ok(Pace::NumberUntil(at(denied.earliest_possible())));
        }
        self.spare.set(true);
        let checked = self.pair.check_key(&contact_seq);
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        match checked {
            Ok(()) => {
                self.spare.set(false);
                self.taken.set(self.taken.get() + 1);
                Ok(Pace::Go)
            }
            Err(denied) => Ok(Pace::PersonUntil(at(denied.earliest_possible()))),
        }
    }

    /// How many messages have been counted.
    pub(super) fn taken(&self) -> u32 {
        self.taken.get()
    }
}

/// The moment that a claim goes by.
#[derive(Debug, Default)]
struct JobClock(Cell<Nanos>);

impl Clock for JobClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.get()
    }
}

/// A claim's own copy of the number's moment.
struct Remembered(Cell<Option<Nanos>>);

impl StateStore for Remembered {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (outcome, next) = decide(self.0.get())?;
        self.0.set(Some(next));
        Ok(outcome)
    }
}

/// The moments of persons, in the transaction of a claim.
struct PairClocks<'a> {
    tx: &'a Tx<'a>,
    channel: &'static str,
    /// No moment is later than that, unless the clock was set back.
    latest: Timestamp,
    /// What the database refused: a store of a limiter has no way to say so.
    failed: Rc<RefCell<Option<Error>>>,
}

impl StateStore for PairClocks<'_> {
    type Key = i64;

    fn measure_and_replace<T, F, E>(&self, contact_seq: &i64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let known = channels::pair_clock(self.tx, self.channel, *contact_seq).unwrap_or_else(|error| {
            *self.failed.borrow_mut() = Some(error);
            None
        });
        let (outcome, next) = decide(known.map(|at| since_epoch(at.min(self.latest))))?;
        if let Err(error) = channels::set_pair_clock(self.tx, self.channel, *contact_seq, at(next)) {
            *self.failed.borrow_mut() = Some(error);
        }
        Ok(outcome)
    }
}

fn since_epoch(moment: Timestamp) -> Nanos {
    Nanos::from(u64::try_from(moment.as_millis()).unwrap_or(0).saturating_mul(NANOS_PER_MILLI))
}

/// The first whole millisecond at which it is so late.
fn at(since_epoch: Nanos) -> Timestamp {
    let millis = since_epoch.as_u64().div_ceil(NANOS_PER_MILLI);
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::domain::{Contact, ContactId};
    use crate::runtime::options::MESSAGES_PER_SECOND;
    use crate::store::{Options, Store, contacts};

    /// Runs `check` in a transaction that is committed.
    fn claim<T: Send + 'static>(
        store: &Store,
        number: &Arc<NumberPace>,
        now: Timestamp,
        check: impl Fn(&ClaimPace<'_>) -> T + Send + 'static,
    ) -> T {
        let shared = number.clone();
        let (outcome, taken) = store
            .write_blocking(move |tx| {
                let pace = shared.of_claim(tx, "whatsapp", now);
                let outcome = check(&pace);
                Ok((outcome, pace.taken()))
            })
            .unwrap();
        number.count(taken, now);
        outcome
    }

    fn store(dir: &tempfile::TempDir) -> Store {
        let store = Store::open(&Options::new(dir.path().join("qyvo.db"))).unwrap();
        store
            .write_blocking(|tx| {
                for n in 1..=100_u128 {
                    let contact = Contact::new(ContactId(Uuid::from_u128(n)), None);
                    contacts::insert(tx, &contact, "test", start())?;
                }
                Ok(())
            })
            .unwrap();
        store
    }

    fn start() -> Timestamp {
        Timestamp::from_millis(1_778_141_663_250)
    }

    #[test]
    fn a_person_gets_45_messages_and_then_one_in_6_seconds_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let number = Arc::new(NumberPace::new(MESSAGES_PER_SECOND));
        let mut now = start();
        for n in 0..45 {
            now = now.plus(Duration::from_millis(20));
            assert_eq!(claim(&store, &number, now, |pace| pace.check(1).unwrap()), Pace::Go, "{n}");
        }
        let Pace::PersonUntil(again) = claim(&store, &number, now, |pace| pace.check(1).unwrap()) else { panic!() };
        let first = start().plus(Duration::from_millis(20));
        assert_eq!(again, first.plus(PAIR_PERIOD), "when the first one is paid back");
        assert_eq!(claim(&store, &number, now, |pace| pace.check(2).unwrap()), Pace::Go, "others go on");
        // Another process knows as much.
        let number = Arc::new(NumberPace::new(MESSAGES_PER_SECOND));
        let before = again.minus(Duration::from_millis(1));
        assert_eq!(claim(&store, &number, before, |pace| pace.check(1).unwrap()), Pace::PersonUntil(again));
        let both = claim(&store, &number, again, |pace| [pace.check(1).unwrap(), pace.check(1).unwrap()]);
        assert_eq!(both, [Pace::Go, Pace::PersonUntil(again.plus(PAIR_PERIOD))]);
    }

    #[test]
    fn a_clock_that_was_set_back_silences_nobody_for_long() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let number = Arc::new(NumberPace::new(MESSAGES_PER_SECOND));
        claim(&store, &number, start(), |pace| (0..45).for_each(|_| assert!(pace.check(1).is_ok())));
        let earlier = start().minus(Duration::from_secs(86_400));
        let paced = claim(&store, &number, earlier, |pace| pace.check(1).unwrap());
        let (Pace::PersonUntil(until) | Pace::NumberUntil(until)) = paced else { return };
        assert!(until.since(earlier) <= PAIR_PERIOD * PAIR_BURST, "{until}");
    }

    #[test]
    fn a_number_handles_at_most_80_a_second_and_counts_what_comes_in() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let number = Arc::new(NumberPace::new(MESSAGES_PER_SECOND));
        let in_a_second = |number: &Arc<NumberPace>, from: Timestamp| {
            let mut sent = 0;
            for milli in 0..1_000 {
                let now = from.plus(Duration::from_millis(milli));
                let contact = i64::try_from(milli % 100).unwrap() + 1;
                sent += claim(&store, number, now, move |pace| {
                    (0..3).filter(|_| pace.check(contact).unwrap() == Pace::Go).count()
                });
            }
            sent
        };
        let sent = in_a_second(&number, start());
        assert!((70..=80).contains(&sent), "{sent}");
        let later = start().plus(Duration::from_secs(600));
        number.count(40, later);
        let sent = in_a_second(&number, later);
        assert!((30..=40).contains(&sent), "{sent}");
    }

    #[test]
    fn what_a_paced_person_may_not_have_goes_to_another() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let number = Arc::new(NumberPace::new(MESSAGES_PER_SECOND));
        for step in 0..9 {
            claim(&store, &number, start().plus(Duration::from_secs(step)), |pace| {
                (0..5).for_each(|_| assert!(pace.check(1).is_ok()));
            });
        }
        let now = start().plus(Duration::from_secs(9));
        let (refused, others, taken) = claim(&store, &number, now, |pace| {
            let refused = (0..5).filter(|_| matches!(pace.check(1), Ok(Pace::PersonUntil(_)))).count();
            let others = (2..50).filter(|contact| pace.check(*contact).unwrap() == Pace::Go).count();
            (refused, others, pace.taken())
        });
        assert_eq!(refused, 4, "one was paid back meanwhile");
        assert_eq!((others, taken), (9, 10), "what was refused took nothing of the number's pace");
    }
}
