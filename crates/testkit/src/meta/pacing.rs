//! How fast messages may go: one bucket for each pair of number and person, and one for the number.

/// What of Meta's pacing is imitated.
#[derive(Clone, Copy, Debug)]
pub struct Pacing {
    /// One message in 6 seconds to one person, in bursts of up to 45 (Meta, "About the platform").
    pub pair: bool,
    /// Messages a second in both directions together, 80 by default (Meta); `None` switches it off.
    pub per_second: Option<u32>,
}

impl Pacing {
    /// No limit: for tests whose clock stands still.
    pub const OFF: Self = Self { pair: false, per_second: None };
}

impl Default for Pacing {
    fn default() -> Self {
        Self { pair: true, per_second: Some(80) }
    }
}

/// Microseconds that one message to one person takes.
pub(super) const PAIR_PERIOD: i64 = 6_000_000;
/// Messages to one person that may go at once.
pub(super) const PAIR_BURST: i64 = 45;

/// A bucket after the generic cell rate algorithm.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    /// When it will be full again, in microseconds.
    full_at: i64,
}

impl Bucket {
    /// Whether a message may go at `now` (milliseconds), where each takes `period` microseconds.
    pub(super) fn allows(self, now: i64, period: i64, burst: i64) -> bool {
        self.full_at.max(now * 1000) - now * 1000 <= period * (burst - 1)
    }

    /// Takes a message out, allowed or not.
    pub(super) fn take(&mut self, now: i64, period: i64) {
        self.full_at = self.full_at.max(now * 1000) + period;
    }
}
