//! What one token has taken of its quotas, and what limits have refused to it. In memory, for as long as the token is
//! taken.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::window::{Day, Minute};
use crate::api::error::OverLimit;
use crate::domain::{Timestamp, TokenId};
use crate::settings::{ByteLimit, Limits};
use crate::store::idempotency::BYTES_OF_ROW;
use crate::telemetry::LogRateLimit;

/// A refusal as long after the last one is another trouble.
const ONE_TROUBLE: Duration = Duration::from_secs(3600);

/// Bytes that a request or a row of a batch is counted as besides what was sent: the rows that it makes of a session, a
/// contact, a message and a turn, their indexes included, as they were measured with the abandoned-cart sample.
pub(in crate::api) const BYTES_OF_ROWS: u64 = 2_048;
/// The keys of the limits, as they are named to callers.
pub(super) const ROWS: &str = "limits.rows_per_minute";
pub(super) const BYTES: &str = "limits.bytes_per_minute";
pub(super) const KEPT_OF_TOKEN: &str = "limits.kept_answers_per_token";
pub(super) const KEPT: &str = "limits.kept_answers";

/// What a request takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::api) struct Amount {
    /// Rows of a batch.
    pub(in crate::api) rows: u64,
    /// Bytes that are stored, those of a kept answer not included.
    pub(in crate::api) bytes: u64,
    /// Bytes of the answer that is kept for its key, with the key.
    pub(in crate::api) kept: u64,
}

impl Amount {
    /// What a request takes by which so many bytes were sent. They count twice: a session keeps them in its state, and
    /// messages say them once more.
    pub(in crate::api) fn of_body(bytes: usize) -> Self {
        Self { bytes: 2 * bytes as u64 + BYTES_OF_ROWS, ..Self::default() }
    }

    /// The same with an answer of so many bytes that is kept under a key.
    #[must_use]
    pub(in crate::api) fn keeping(self, key: &str, answer: usize) -> Self {
        Self { kept: (key.len() + answer) as u64 + u64::from(BYTES_OF_ROW), ..self }
    }

    /// Both together.
    #[must_use]
    pub(in crate::api) fn plus(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, bytes: self.bytes + other.bytes, kept: self.kept + other.kept }
    }

    /// This without what the other one is of it.
    #[must_use]
    pub(in crate::api) fn minus(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_sub(other.rows),
            bytes: self.bytes.saturating_sub(other.bytes),
            kept: self.kept.saturating_sub(other.kept),
        }
    }

    /// Bytes that are stored.
    pub(super) fn stored(self) -> u64 {
        self.bytes + self.kept
    }
}

/// What a token has taken, and what it was refused. It is there as long as the token is taken, in memory.
#[derive(Debug)]
pub(in crate::api) struct Usage {
    pub(super) id: TokenId,
    pub(super) taken: Mutex<Taken>,
    refused: Mutex<Option<Refused>>,
    log: LogRateLimit,
}

/// What a token has taken of each quota.
#[derive(Debug, Default)]
pub(super) struct Taken {
    rows: Minute,
    bytes: Minute,
    pub(super) kept: Day,
}

/// What a token was refused because of limits, since the server started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct Refused {
    /// Requests.
    pub(in crate::api) count: u64,
    /// When the last one was refused.
    pub(in crate::api) last_at: Timestamp,
    /// The key of the limit that refused it.
    pub(in crate::api) limit: &'static str,
    /// When the first was refused of those that came within an hour of each other, up to the last.
    pub(in crate::api) since: Timestamp,
    /// How many these are.
    pub(in crate::api) lately: u64,
}

impl Refused {
    /// Whether the last one was refused within an hour.
    pub(in crate::api) fn is_recent(&self, now: Timestamp) -> bool {
        now.since(self.last_at) < ONE_TROUBLE
    }
}

impl Usage {
    /// A token that has taken nothing yet.
    pub(super) fn new(id: TokenId) -> Self {
        Self { id, taken: Mutex::default(), refused: Mutex::default(), log: LogRateLimit::new() }
    }

    /// What the token was refused; `None` where it was nothing.
    pub(in crate::api) fn refused(&self) -> Option<Refused> {
        *lock(&self.refused)
    }
    /// Counts a refusal. Gives whether the log may have a line of it, then the number of those that it did not have.
    pub(super) fn note_refusal(&self, limit: &'static str, now: Timestamp) -> Option<u64> {
        let mut refused = lock(&self.refused);
        let count = refused.map_or(0, |refused| refused.count) + 1;
        let (since, lately) = match *refused {
            Some(before) if before.is_recent(now) => (before.since, before.lately + 1),
            _ => (now, 1),
        };
        *refused = Some(Refused { count, last_at: now, limit, since, lately });
        self.log.let_through()
    }
}

impl Taken {
    /// Whether there is room for all of an amount.
    pub(super) fn check(&mut self, amount: Amount, limits: &Limits, now: Timestamp) -> Result<(), OverLimit> {
        let (rows, limit) = (amount.rows, limits.rows_per_minute);
        if rows > 0
            && let Some(wait) = self.rows.wait(now, rows, u64::from(limit))
        {
            let error = format!("{ROWS} lets a token start {limit} rows within 60 seconds, and the batch has {rows}");
            return Err(over(ROWS, error, wait, rows > u64::from(limit)));
        }
        let (bytes, limit) = (amount.stored(), limits.bytes_per_minute);
        if let Some(wait) = self.bytes.wait(now, bytes, limit.bytes()) {
            let error = format!("{BYTES} lets a token store {limit} within 60 seconds, and this takes {bytes} bytes");
            return Err(over(BYTES, error, wait, bytes > limit.bytes()));
        }
        let limit = limits.kept_answers_per_token;
        if amount.kept > 0
            && let Some(wait) = self.kept.wait(now, amount.kept, limit.bytes())
        {
            let error = full_of_answers("this token", KEPT_OF_TOKEN, limit);
            return Err(over(KEPT_OF_TOKEN, error, wait, amount.kept > limit.bytes()));
        }
        Ok(())
    }

    /// Takes an amount, whether there is room or not.
    pub(super) fn add(&mut self, amount: Amount, now: Timestamp) {
        self.rows.add(now, amount.rows);
        self.bytes.add(now, amount.stored());
        self.kept.add(now, amount.kept);
    }

    /// Gives back what was taken at a time.
    pub(super) fn give_back(&mut self, amount: Amount, at: Timestamp) {
        self.rows.give_back(at, amount.rows);
        self.bytes.give_back(at, amount.stored());
        self.kept.give_back(at, amount.kept);
    }
}

/// The refusal of an amount that may be more than the limit ever has room for.
pub(super) fn over(limit: &'static str, error: String, wait: u64, is_too_much: bool) -> OverLimit {
    OverLimit { limit, error, retry_after: (!is_too_much).then_some(wait) }
}

/// What is wrong where no answer more can be kept.
pub(super) fn full_of_answers(whose: &str, key: &str, limit: ByteLimit) -> String {
    format!(
        "{key} keeps {limit} of answers for the idempotency keys of {whose} within 24 hours, and there is no room for \
         another one: a retry could not be told from a new request"
    )
}

/// Locks what holds numbers.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each of them holds numbers that are right after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn refusals_within_an_hour_of_each_other_are_one_trouble() {
        let usage = Usage::new(TokenId(Uuid::nil()));
        let at = |minutes: u64| Timestamp::from_millis(1_778_141_663_250).plus(Duration::from_secs(minutes * 60));
        assert_eq!(usage.refused(), None);
        for minutes in [0, 50, 100] {
            usage.note_refusal(ROWS, at(minutes));
        }
        let refused = usage.refused().unwrap();
        assert_eq!((refused.count, refused.lately, refused.since), (3, 3, at(0)));
        assert!(refused.is_recent(at(159)) && !refused.is_recent(at(160)));
        usage.note_refusal(BYTES, at(200));
        let refused = usage.refused().unwrap();
        assert_eq!((refused.count, refused.lately, refused.since, refused.limit), (4, 1, at(200), BYTES));
    }
}
