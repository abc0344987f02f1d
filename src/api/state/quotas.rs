//! What a token may have the server do and store: rows of batches and bytes within a minute, and the answers that are
//! kept for its idempotency keys.
//!
//! What a request takes is known before it runs and is taken then, so that requests at once cannot get past a limit
//! together; what turns out to store nothing, such as a replay or a refusal, is given back. A request that is cut off
//! keeps what it took, because its job may run all the same.
//!
//! A person who is logged in has no limits within a minute: what people do by hand is little, and the page must be
//! there to raise a limit. What is kept in all counts for everybody.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::caller::Principal;
use super::usage::{Amount, KEPT, Usage, full_of_answers, lock, over};
use super::window::Day;
use crate::api::error::{ApiError, OverLimit};
use crate::domain::Timestamp;
use crate::settings::Limits;
use crate::telemetry::LogRateLimit;

/// Says what of people who are logged in was refused. Tokens have one each.
static OF_PAGE: LogRateLimit = LogRateLimit::new();

/// The limits in force, and what all callers together have taken.
pub(crate) struct Quotas {
    limits: RwLock<Limits>,
    kept: Mutex<Day>,
}

/// What was taken for a request. It stays so unless it is given back.
pub(in crate::api) struct Reserved<'a> {
    quotas: &'a Quotas,
    usage: Option<Arc<Usage>>,
    at: Timestamp,
    amount: Amount,
}

impl Quotas {
    /// Nothing is taken yet.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits: RwLock::new(limits), kept: Mutex::default() }
    }

    /// Changes the limits. What was taken stays taken.
    pub(in crate::api) fn set(&self, limits: Limits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// The limits in force.
    pub(in crate::api) fn limits(&self) -> Limits {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an amount for a request of a caller, all of it or nothing.
    ///
    /// # Errors
    /// The refusal, with the limit that has no room for it. It is not counted yet: see [`Quotas::refuse`].
    pub(in crate::api) fn take(
        &self,
        principal: &Principal,
        amount: Amount,
        now: Timestamp,
    ) -> Result<Reserved<'_>, OverLimit> {
        let limits = self.limits();
        let mut of_token = principal.usage.as_deref().map(|usage| lock(&usage.taken));
        if let Some(taken) = &mut of_token {
            taken.check(amount, &limits, now)?;
        }
        if amount.kept > 0 {
            let mut kept = lock(&self.kept);
            let limit = limits.kept_answers;
            if let Some(wait) = kept.wait(now, amount.kept, limit.bytes()) {
                let error = full_of_answers("all callers", KEPT, limit);
                return Err(over(KEPT, error, wait, amount.kept > limit.bytes()));
            }
            kept.add(now, amount.kept);
        }
        if let Some(taken) = &mut of_token {
            taken.add(amount, now);
        }
        drop(of_token);
        Ok(Reserved { quotas: self, usage: principal.usage.clone(), at: now, amount })
    }

    /// Takes what a request that keeps no answer has the server store.
    ///
    /// # Errors
    /// The refusal. It is counted.
    pub(in crate::api) fn charge(&self, principal: &Principal, sent: usize, now: Timestamp) -> Result<(), ApiError> {
        match self.take(principal, Amount::of_body(sent), now) {
            Ok(_) => Ok(()),
            Err(over) => Err(self.refuse(principal, over, now)),
        }
    }

    /// Takes an amount that is known afterwards only, whether there is room or not.
    pub(in crate::api) fn add(&self, principal: &Principal, amount: Amount, now: Timestamp) {
        if let Some(usage) = &principal.usage {
            lock(&usage.taken).add(amount, now);
        }
        lock(&self.kept).add(now, amount.kept);
    }

    /// Counts a refusal, tells the log of it, and gives the answer.
    pub(in crate::api) fn refuse(&self, principal: &Principal, over: OverLimit, now: Timestamp) -> ApiError {
        note_refusal(principal, over.limit, now);
        ApiError::OverLimit(over)
    }

    /// Counts answers that are kept already, by the rows of their tokens, and when they were given.
    pub(in crate::api) fn load_kept<'a>(
        &self,
        rows: impl IntoIterator<Item = (i64, Timestamp, u64)>,
        usage_of: impl Fn(i64) -> Option<&'a Usage>,
        now: Timestamp,
    ) {
        // The time first: what is older than the span does not count.
        lock(&self.kept).add(now, 0);
        for (token, at, bytes) in rows {
            lock(&self.kept).add(at, bytes);
            if let Some(usage) = usage_of(token) {
                let mut taken = lock(&usage.taken);
                taken.kept.add(now, 0);
                taken.kept.add(at, bytes);
            }
        }
    }
}

/// Counts a refusal of a caller, and tells the log of it now and then.
pub(in crate::api) fn note_refusal(principal: &Principal, limit: &'static str, now: Timestamp) {
    let Some(usage) = &principal.usage else {
        if let Some(others) = OF_PAGE.let_through() {
            tracing::warn!(actor = %principal.name, limit, others, "a request of the page was over a limit");
        }
        return;
    };
    if let Some(others) = usage.note_refusal(limit, now) {
        tracing::warn!(token = %usage.id, name = %principal.name, limit, others, "a token's request was over a limit");
    }
}

impl Reserved<'_> {
    /// Gives all of it back.
    pub(in crate::api) fn give_back(self) {
        let amount = self.amount;
        self.part(amount);
    }

    /// A part of it is given back.
    pub(in crate::api) fn part(&self, amount: Amount) {
        if let Some(usage) = &self.usage {
            lock(&usage.taken).give_back(amount, self.at);
        }
        if amount.kept > 0 {
            lock(&self.quotas.kept).give_back(self.at, amount.kept);
        }
    }

    /// Takes part of it out, which is given back, or not, by itself.
    pub(in crate::api) fn split(&mut self, amount: Amount) -> Self {
        self.amount = self.amount.minus(amount);
        Self { quotas: self.quotas, usage: self.usage.clone(), at: self.at, amount }
    }

    /// Sets right what is kept, once it is known.
    pub(in crate::api) fn settle(self, kept: u64) {
        let before = Amount { kept: self.amount.kept, ..Amount::default() };
        let after = Amount { kept, ..Amount::default() };
        let (more, less) = (after.minus(before), before.minus(after));
        self.part(less);
        if more.kept > 0 {
            if let Some(usage) = &self.usage {
                lock(&usage.taken).add(more, self.at);
            }
            lock(&self.quotas.kept).add(self.at, more.kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::api::state::caller::Caller;
    use crate::api::state::usage::{BYTES, KEPT_OF_TOKEN, ROWS};
    use crate::domain::{Scope, TokenId};
    use crate::settings::ByteLimit;

    const START: i64 = 1_778_141_663_250;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(START + millis)
    }

    fn token(seq: i64) -> Principal {
        let usage = Some(Arc::new(Usage::new(TokenId(Uuid::nil()))));
        Principal {
            caller: Caller::Token(seq),
            name: "shop".into(),
            scope: Scope::Trigger,
            rate_limit: None,
            token: None,
            network: None,
            usage,
            secret: None,
        }
    }

    fn limits(rows: u32, bytes: usize, kept_per_token: usize, kept: usize) -> Limits {
        Limits {
            rows_per_minute: rows,
            bytes_per_minute: ByteLimit::of(bytes),
            kept_answers_per_token: ByteLimit::of(kept_per_token),
            kept_answers: ByteLimit::of(kept),
            ..Limits::default()
        }
    }

    fn amount(rows: u64, bytes: u64, kept: u64) -> Amount {
        Amount { rows, bytes, kept }
    }

    /// The key of the limit that refuses, and whether it is worth to wait.
    fn refusal(quotas: &Quotas, principal: &Principal, amount: Amount) -> Option<(&'static str, bool)> {
        quotas.take(principal, amount, at(0)).err().map(|over| (over.limit, over.retry_after.is_some()))
    }

    #[test]
    fn all_of_it_is_taken_or_nothing() {
        let quotas = Quotas::new(limits(10, 100, 60, 80));
        let (one, other) = (token(1), token(2));
        for (asked, expected) in [
            (amount(11, 1, 1), (ROWS, false)),
            (amount(1, 90, 20), (BYTES, false)),
            (amount(1, 1, 61), (KEPT_OF_TOKEN, false)),
        ] {
            assert_eq!(refusal(&quotas, &one, asked), Some(expected));
        }
        assert_eq!(refusal(&quotas, &one, amount(10, 40, 60)), None, "what was refused has taken nothing");
        assert_eq!(refusal(&quotas, &one, amount(1, 0, 0)), Some((ROWS, true)));
        assert_eq!(refusal(&quotas, &one, amount(0, 1, 0)), Some((BYTES, true)));
        assert_eq!(refusal(&quotas, &other, amount(1, 1, 21)), Some((KEPT, true)), "both share this one");
        assert_eq!(refusal(&quotas, &other, amount(10, 80, 20)), None);
        let person = Principal { caller: Caller::Login(1), usage: None, ..token(3) };
        assert_eq!(refusal(&quotas, &person, amount(99, 9_999, 0)), None);
        assert_eq!(refusal(&quotas, &person, amount(0, 0, 1)), Some((KEPT, true)));
        quotas.set(limits(0, 0, 0, 0));
        assert_eq!(refusal(&quotas, &one, amount(1 << 40, 1 << 40, 1 << 40)), None, "0 is no limit");
    }

    #[test]
    fn what_is_kept_is_set_right_and_parts_go_back() {
        let quotas = Quotas::new(limits(10, 1_000, 100, 0));
        let shop = token(1);
        quotas.take(&shop, amount(0, 0, 90), at(0)).unwrap().settle(40);
        assert_eq!(refusal(&quotas, &shop, amount(0, 0, 61)), Some((KEPT_OF_TOKEN, true)));
        quotas.take(&shop, amount(0, 0, 10), at(0)).unwrap().settle(60);
        assert_eq!(refusal(&quotas, &shop, amount(0, 0, 1)), Some((KEPT_OF_TOKEN, true)), "it turned out larger");
        let mut batch = quotas.take(&shop, amount(10, 100, 0), at(0)).unwrap();
        let row = batch.split(amount(1, 10, 0));
        batch.split(amount(1, 10, 0)).give_back();
        batch.give_back();
        assert_eq!(refusal(&quotas, &shop, amount(10, 0, 0)), Some((ROWS, true)), "one row has stayed");
        assert_eq!(refusal(&quotas, &shop, amount(9, 0, 0)), None);
        drop(row);
    }

    #[test]
    fn what_was_kept_before_counts() {
        let quotas = Quotas::new(limits(0, 0, 100, 150));
        let (shop, other) = (token(1), token(2));
        let usage = shop.usage.clone().unwrap();
        let rows = [(1, at(-3_600_000), 70), (1, at(-30 * 3_600_000), 1_000), (9, at(-60_000), 50)];
        quotas.load_kept(rows, |seq| (seq == 1).then_some(&*usage), at(0));
        assert_eq!(refusal(&quotas, &shop, amount(0, 0, 31)), Some((KEPT_OF_TOKEN, true)));
        assert_eq!(refusal(&quotas, &other, amount(0, 0, 31)), Some((KEPT, true)), "of a token that is gone, too");
        assert_eq!(refusal(&quotas, &shop, amount(0, 0, 30)), None);
    }

    proptest! {
        /// Whatever the mix of requests, what they store within a minute is no more than the limit.
        #[test]
        fn stored_bytes_stay_within_the_limit(
            steps in prop::collection::vec((0i64..15_000, 0u64..20, 0u64..900, 0u64..300, 0u8..5, 0u64..=100), 1..150)
        ) {
            const LIMITS: (u32, usize, usize) = (40, 2_000, 900);
            let quotas = Quotas::new(limits(LIMITS.0, LIMITS.1, LIMITS.2, 0));
            let shop = token(1);
            let mut stored: Vec<(i64, Amount)> = Vec::new();
            let mut now = 0;
            for (passes, rows, bytes, kept, what, percent) in steps {
                now += passes;
                let asked = amount(rows, bytes, kept);
                if let Ok(mut taken) = quotas.take(&shop, asked, at(now)) {
                    match what {
                        // A replay or a refusal.
                        0 => taken.give_back(),
                        // A batch of which a part has run.
                        1 => {
                            let part = amount(rows / 2, bytes / 2, kept / 2);
                            drop(taken.split(part));
                            taken.give_back();
                            stored.push((now, part));
                        }
                        // A request whose answer turned out shorter.
                        2 => {
                            let kept = kept * percent / 100;
                            taken.settle(kept);
                            stored.push((now, amount(rows, bytes, kept)));
                        }
                        // One that was cut off, and may have run.
                        _ => stored.push((now, asked)),
                    }
                }
                let within = |span: i64| {
                    let amounts = stored.iter().filter(|(at, _)| *at > now - span);
                    amounts.fold(Amount::default(), |sum, (_, amount)| sum.plus(*amount))
                };
                let minute = within(60_000);
                prop_assert!(minute.rows <= u64::from(LIMITS.0) && minute.stored() <= LIMITS.1 as u64, "{minute:?}");
                prop_assert!(within(24 * 3_600_000).kept <= LIMITS.2 as u64);
            }
        }
    }
}
