//! How often a caller may come: requests per minute of each token and log-in.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use super::caller::{Caller, Principal};
use crate::api::error::ApiError;

type Limiter = RateLimiter<Caller, DefaultKeyedStateStore<Caller>, DefaultClock, StateInformationMiddleware>;

/// Requests per minute and token.
pub(crate) struct RateLimit {
    current: RwLock<Arc<Limit>>,
    /// Of tokens with a limit of their own. Made when the first request comes under it.
    own: RwLock<HashMap<Caller, Arc<Limit>>>,
    /// Of log-ins, where the configured one is lower.
    of_log_ins: Arc<Limit>,
    clock: DefaultClock,
}

struct Limit {
    per_minute: u32,
    limiter: Option<Limiter>,
}

impl Limit {
    fn new(per_minute: u32) -> Arc<Self> {
        let limiter = NonZeroU32::new(per_minute)
            .map(|limit| RateLimiter::keyed(Quota::per_minute(limit)).with_middleware::<StateInformationMiddleware>());
        Arc::new(Self { per_minute, limiter })
    }
}

/// Requests per minute that a log-in has at least: the page takes some to show a thing, and must be there to raise a
/// limit that was set too low.
const LOG_IN_AT_LEAST: u32 = 600;

/// What is left of a caller's rate limit.
pub(in crate::api) struct Allowance {
    /// Requests per minute.
    pub(in crate::api) limit: u32,
    /// Requests that may come at once.
    pub(in crate::api) remaining: u32,
}

impl RateLimit {
    /// A limit of so many requests per minute; 0 is none.
    pub(crate) fn per_minute(limit: u32) -> Self {
        Self {
            current: RwLock::new(Limit::new(limit)),
            own: RwLock::default(),
            of_log_ins: Limit::new(LOG_IN_AT_LEAST),
            clock: DefaultClock::default(),
        }
    }

    /// Changes the configured limit; all counts under it start anew.
    pub(in crate::api) fn set(&self, per_minute: u32) {
        if self.current().per_minute != per_minute {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Limit::new(per_minute);
        }
    }

    /// Forgets callers that are gone, and those that have not come for long enough to begin anew.
    pub(in crate::api) fn forget_gone(&self, is_live: impl Fn(Caller) -> bool) {
        self.own.write().unwrap_or_else(PoisonError::into_inner).retain(|caller, _| is_live(*caller));
        for limit in [&self.current(), &self.of_log_ins] {
            limit.limiter.iter().for_each(Limiter::retain_recent);
        }
    }

    fn current(&self) -> Arc<Limit> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The limit that a caller is under. One whose own limit has changed begins anew.
    fn of(&self, principal: &Principal) -> Arc<Limit> {
        let Some(per_minute) = principal.rate_limit else {
            let current = self.current();
            let is_login = matches!(principal.caller, Caller::Login(_));
            let is_too_low = (1..LOG_IN_AT_LEAST).contains(&current.per_minute);
            return if is_login && is_too_low { self.of_log_ins.clone() } else { current };
        };
        let is_same = |limit: &&Arc<Limit>| limit.per_minute == per_minute;
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(limit) = own.get(&principal.caller).filter(is_same) {
            return limit.clone();
        }
        drop(own);
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        // Of two first requests only one makes the limit that both count against.
        if let Some(limit) = own.get(&principal.caller).filter(is_same) {
            return limit.clone();
        }
        let limit = Limit::new(per_minute);
        own.insert(principal.caller, limit.clone());
        limit
    }

    /// Counts what a request asks for beyond one thing.
    pub(in crate::api) fn count_more(&self, principal: &Principal, more: usize) -> Result<(), ApiError> {
        (0..more).try_for_each(|_| self.check(principal).map(drop))
    }

    /// Counts a request and returns what is left; `None` without a limit.
    pub(in crate::api) fn check(&self, principal: &Principal) -> Result<Option<Allowance>, ApiError> {
        let of_caller = self.of(principal);
        let limit = of_caller.per_minute;
        let Some(limiter) = &of_caller.limiter else { return Ok(None) };
        match limiter.check_key(&principal.caller) {
            Ok(snapshot) => Ok(Some(Allowance { limit, remaining: snapshot.remaining_burst_capacity() })),
            Err(too_early) => {
                let wait = too_early.wait_time_from(self.clock.now());
                let retry_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Err(ApiError::TooManyRequests { retry_after: retry_after.max(1), limit })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Scope;

    #[test]
    fn callers_that_are_gone_leave_nothing() {
        let limit = RateLimit::per_minute(6_000);
        let token = |seq, rate_limit| Principal {
            caller: Caller::Token(seq),
            name: "shop".into(),
            scope: Scope::Trigger,
            rate_limit,
            token: None,
            network: None,
            usage: None,
            secret: None,
        };
        for seq in 0..100 {
            limit.check(&token(seq, Some(10))).unwrap();
            limit.check(&token(seq, None)).unwrap();
        }
        limit.forget_gone(|caller| caller == Caller::Token(7));
        assert_eq!(limit.own.read().unwrap().keys().collect::<Vec<_>>(), [&Caller::Token(7)]);
        let left = limit.check(&token(7, Some(10))).unwrap().unwrap().remaining;
        assert_eq!(left, 8, "what is live has not begun anew");
    }
}
