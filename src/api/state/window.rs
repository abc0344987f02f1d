//! What was taken within a span of time that ends now, such as the last 60 seconds.
//!
//! Amounts are added up by slot, and one slot more than the span has is kept: so whatever 60 seconds are looked at, no
//! more was taken in them than the limit, and not only in those that begin with a minute.

use crate::domain::Timestamp;

/// Slots of [`Minute`]: one more than a minute has seconds.
const SECONDS: usize = 61;
/// Slots of [`Day`]: one more than a day has hours.
const HOURS: usize = 25;

/// The last 60 seconds, by the second.
pub(super) type Minute = Window<SECONDS, 1_000>;
/// The last 24 hours, by the hour.
pub(super) type Day = Window<HOURS, 3_600_000>;

/// Amounts by slot, each of so many milliseconds.
#[derive(Debug)]
pub(super) struct Window<const SLOTS: usize, const MILLIS: i64> {
    /// The slot of the latest time that was named. Of a slot with the number `n`, the amount is at `n % SLOTS`.
    latest: i64,
    sum: u64,
    slots: [u64; SLOTS],
}

impl<const SLOTS: usize, const MILLIS: i64> Default for Window<SLOTS, MILLIS> {
    fn default() -> Self {
        Self { latest: 0, sum: 0, slots: [0; SLOTS] }
    }
}

impl<const SLOTS: usize, const MILLIS: i64> Window<SLOTS, MILLIS> {
    /// Seconds until there is room for an amount within a limit; `None` if there is room now. A limit of 0 is none. An
    /// amount beyond the limit waits for all that was taken.
    pub(super) fn wait(&mut self, now: Timestamp, amount: u64, limit: u64) -> Option<u64> {
        self.follow(now);
        if limit == 0 || self.sum.saturating_add(amount) <= limit {
            return None;
        }
        let mut left = self.sum;
        let oldest = self.latest - SLOTS as i64 + 1;
        let last = (oldest..=self.latest).find(|slot| {
            left -= self.slots[Self::place(*slot)];
            left.saturating_add(amount) <= limit
        });
        let ends = (last.unwrap_or(self.latest) + SLOTS as i64).saturating_mul(MILLIS);
        let millis = u64::try_from(ends.saturating_sub(now.as_millis())).unwrap_or_default();
        Some(millis.div_ceil(1_000).max(1))
    }

    /// Takes an amount at a time, whether there is room or not. What is older than the span does not count.
    pub(super) fn add(&mut self, at: Timestamp, amount: u64) {
        let slot = at.as_millis() / MILLIS;
        if slot > self.latest {
            self.follow(at);
        }
        if slot > self.latest - SLOTS as i64 {
            let place = &mut self.slots[Self::place(slot)];
            *place = place.saturating_add(amount);
            self.sum = self.sum.saturating_add(amount);
        }
    }

    /// Gives back what was taken at a time, unless it counts no more.
    pub(super) fn give_back(&mut self, at: Timestamp, amount: u64) {
        let slot = at.as_millis() / MILLIS;
        if slot <= self.latest && slot > self.latest - SLOTS as i64 {
            let place = &mut self.slots[Self::place(slot)];
            let back = amount.min(*place);
            *place -= back;
            self.sum -= back;
        }
    }

    /// What counts at a time.
    #[cfg(test)]
    pub(super) fn sum(&mut self, now: Timestamp) -> u64 {
        self.follow(now);
        self.sum
    }

    /// Forgets what is older than the span by now. A clock that goes back a little stands still here; one that goes
    /// back by more than the span begins anew, since it would stand still for as long.
    fn follow(&mut self, now: Timestamp) {
        let slot = now.as_millis() / MILLIS;
        if (slot - self.latest).unsigned_abs() >= SLOTS as u64 {
            *self = Self { latest: slot, ..Self::default() };
            return;
        }
        for slot in self.latest + 1..=slot {
            self.sum -= std::mem::take(&mut self.slots[Self::place(slot)]);
        }
        self.latest = self.latest.max(slot);
    }

    fn place(slot: i64) -> usize {
        usize::try_from(slot.rem_euclid(SLOTS as i64)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_778_141_663_250;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(START + millis)
    }

    #[test]
    fn what_was_taken_counts_for_a_minute() {
        let mut minute = Minute::default();
        assert_eq!(minute.wait(at(0), 10, 10), None);
        minute.add(at(0), 10);
        assert_eq!(minute.wait(at(0), 1, 10), Some(61), "the second that has begun counts whole");
        assert_eq!(minute.wait(at(59_999), 1, 10), Some(1));
        assert_eq!(minute.wait(at(60_000), 1, 10), Some(1));
        assert_eq!(minute.wait(at(60_750), 1, 10), None);
        minute.add(at(60_750), 4);
        minute.add(at(63_000), 4);
        assert_eq!(minute.wait(at(64_000), 3, 10), Some(58), "the older four are enough");
        assert_eq!(minute.wait(at(64_000), 7, 10), Some(60));
        assert_eq!(minute.wait(at(64_000), 3, 0), None, "0 is no limit");
    }

    #[test]
    fn what_is_given_back_is_there_again() {
        let mut minute = Minute::default();
        minute.add(at(0), 10);
        minute.add(at(5_000), 10);
        minute.give_back(at(0), 4);
        minute.give_back(at(0), 100);
        assert_eq!(minute.sum(at(5_000)), 10, "never more than was taken then");
        assert_eq!(minute.sum(at(70_000)), 0);
        minute.give_back(at(5_000), 10);
        assert_eq!(minute.sum(at(70_000)), 0, "it counted no more");
    }

    #[test]
    fn a_clock_that_goes_back_neither_opens_nor_shuts_for_long() {
        let mut minute = Minute::default();
        minute.add(at(0), 10);
        assert_eq!(minute.wait(at(-3_000), 1, 10), Some(64));
        minute.add(at(365 * 24 * 3_600_000), 10);
        assert_eq!(minute.wait(at(0), 1, 10), None, "a year ahead and back");
    }

    #[test]
    fn what_is_loaded_counts_by_its_age() {
        let mut day = Day::default();
        let now = at(0);
        for hours in [1_000, 30, 23, 2] {
            day.follow(now);
            day.add(at(-hours * 3_600_000), 1);
        }
        assert_eq!(day.sum(now), 2);
        assert_eq!(day.sum(at(3 * 3_600_000)), 1);
    }

    proptest! {
        #[test]
        fn no_minute_has_more_than_the_limit(
            steps in prop::collection::vec((0i64..20_000, 0u64..60, any::<bool>()), 1..200)
        ) {
            const LIMIT: u64 = 100;
            let mut minute = Minute::default();
            let mut taken: Vec<(i64, u64)> = Vec::new();
            let mut now = 0;
            for (passes, amount, stays) in steps {
                now += passes;
                if minute.wait(at(now), amount, LIMIT).is_none() {
                    minute.add(at(now), amount);
                    if stays {
                        taken.push((now, amount));
                    } else {
                        minute.give_back(at(now), amount);
                    }
                }
                let within: u64 = taken.iter().filter(|(at, _)| *at > now - 60_000).map(|(_, amount)| amount).sum();
                prop_assert!(within <= LIMIT, "{within} in the minute before {now}");
                let counted: u64 = minute.slots.iter().sum();
                prop_assert_eq!(counted, minute.sum);
            }
        }

        #[test]
        fn who_waits_as_long_as_told_gets_in(
            before in prop::collection::vec((0i64..90_000, 1u64..50), 0..60), amount in 1u64..100
        ) {
            let mut minute = Minute::default();
            let mut now = 0;
            for (passes, amount) in before {
                now += passes;
                if minute.wait(at(now), amount, 100).is_none() {
                    minute.add(at(now), amount);
                }
            }
            if let Some(seconds) = minute.wait(at(now), amount, 100) {
                let then = now + i64::try_from(seconds).unwrap() * 1_000;
                prop_assert_eq!(minute.wait(at(then), amount, 100), None);
            }
        }
    }
}
