//! Who calls: tokens, scopes and the rate limit.
//!
//! Tokens and log-ins are looked up in memory, by the SHA-256 of what was sent; the database is not read on the way in.
//! Changes made by the command line are followed through the database's generation, which is looked at twice a second, and
//! before a token is refused that is not known.

use std::collections::HashMap;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev, web};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use sha2::{Digest, Sha256};

use crate::api::error::ApiError;
use crate::api::state::State;
use crate::api::state::unknown_tokens::UnknownTokens;
use crate::error::{Error, Result};
use crate::runtime::Notice;
use crate::store::{self, Store, tokens, tokens::Scope};

/// A caller with a valid token, or somebody who is logged in on the admin page.
#[derive(Debug, Clone)]
pub(super) struct Principal {
    /// The token's row, or the log-in's, negated.
    pub(super) seq: i64,
    /// The token's name, or the person's: who did it, where that is recorded.
    pub(super) name: Arc<str>,
    /// What it may do.
    pub(super) scope: Scope,
    /// Requests per minute in place of the configured ones; 0 is no limit.
    pub(super) rate_limit: Option<u32>,
}

impl FromRequest for Principal {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    /// The principal that [`authenticate`] found.
    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        std::future::ready(request.extensions().get::<Self>().cloned().ok_or(ApiError::Unauthenticated))
    }
}

/// The live tokens, by hash.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    live: RwLock<Arc<HashMap<[u8; 32], Principal>>>,
    /// The database's generation when they were read, or before.
    generation: AtomicI64,
    unknown: UnknownTokens,
}

impl Tokens {
    /// Reads the tokens of a store.
    pub(crate) fn load(store: &Store) -> Result<Self> {
        let tokens = Self::default();
        let (generation, rows) = store.read(|conn| Ok((store::generation(conn)?, tokens::live(conn)?)))?;
        tokens.replace(generation, rows);
        Ok(tokens)
    }

    /// Puts tokens in force that were read at that generation of the database, or later.
    pub(super) fn replace(&self, generation: i64, rows: Vec<([u8; 32], tokens::TokenRow)>) {
        let live = rows
            .into_iter()
            .map(|(hash, tokens::TokenRow { seq, name, scope, rate_limit, .. })| {
                (hash, Principal { seq, name: name.into(), scope, rate_limit })
            })
            .collect();
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
        self.generation.store(generation, Ordering::SeqCst);
    }

    /// The database's generation that they are of.
    pub(super) fn generation(&self) -> i64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(super) fn unknown(&self) -> &UnknownTokens {
        &self.unknown
    }

    /// Whether the token in a row is still taken.
    fn is_live(&self, seq: i64) -> bool {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner).clone();
        live.values().any(|principal| principal.seq == seq)
    }

    /// Whose a token with that hash is.
    pub(super) fn of_hash(&self, hash: &[u8; 32]) -> Option<Principal> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner).clone();
        live.get(hash).cloned()
    }
}

/// Reloads tokens, log-ins, settings and webhook endpoints whenever the command line has written to the database, until `stop` is done.
pub(crate) async fn follow(state: &State, interval: Duration, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let mut seen = None;
    loop {
        match crate::api::state::read_vital(state, store::generation).await {
            Ok(generation) if seen == Some(generation) => {}
            Ok(generation) => match reload(state).await {
                Ok(()) => {
                    if seen.is_some() {
                        state.runtime.tell(Notice::Everything);
                    }
                    seen = Some(generation);
                }
                Err(error) => {
                    tracing::warn!(%error, "what the command line wrote could not be read; it is tried again")
                }
            },
            Err(error) => tracing::warn!(%error, "whether the command line wrote could not be read"),
        }
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

async fn reload(state: &State) -> Result<(), ApiError> {
    state.admit().await?;
    state.runtime.reload_endpoints().await?;
    let before = state.settings.effective().access_token;
    state.settings.reload(state.runtime.store()).await?;
    state.follow_settings();
    let token = state.settings.effective().access_token;
    if token != before && !token.0.is_empty() {
        crate::api::manage::channels::use_access_token(state, token.0).await?;
    }
    Ok(())
}

type Limiter = RateLimiter<i64, DefaultKeyedStateStore<i64>, DefaultClock, StateInformationMiddleware>;

/// Requests per minute and token.
pub(crate) struct RateLimit {
    current: RwLock<Arc<Limit>>,
    /// Of tokens with a limit of their own, by their row. Made when the first request comes under it.
    own: RwLock<HashMap<i64, Arc<Limit>>>,
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
struct Allowance {
    limit: u32,
    remaining: u32,
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

    /// Changes the configured limit; everybody under it begins anew.
    pub(super) fn set(&self, per_minute: u32) {
        if self.current().per_minute != per_minute {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Limit::new(per_minute);
        }
    }

    fn current(&self) -> Arc<Limit> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The limit that a caller is under. One whose own limit has changed begins anew.
    fn of(&self, principal: &Principal) -> Arc<Limit> {
        let Some(per_minute) = principal.rate_limit else {
            let current = self.current();
            let is_too_low = principal.seq < 0 && (1..LOG_IN_AT_LEAST).contains(&current.per_minute);
            return if is_too_low { self.of_log_ins.clone() } else { current };
        };
        let is_same = |limit: &&Arc<Limit>| limit.per_minute == per_minute;
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(limit) = own.get(&principal.seq).filter(is_same) {
            return limit.clone();
        }
        drop(own);
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        // Of two first requests only one makes the limit that both count against.
        if let Some(limit) = own.get(&principal.seq).filter(is_same) {
            return limit.clone();
        }
        let limit = Limit::new(per_minute);
        own.insert(principal.seq, limit.clone());
        limit
    }

    /// Counts what a request asks for beyond one thing.
    pub(super) fn count_more(&self, principal: &Principal, more: usize) -> Result<(), ApiError> {
        (0..more).try_for_each(|_| self.check(principal).map(drop))
    }

    /// Counts a request and gives what is left; `None` without a limit.
    fn check(&self, principal: &Principal) -> Result<Option<Allowance>, ApiError> {
        let of_caller = self.of(principal);
        let limit = of_caller.per_minute;
        let Some(limiter) = &of_caller.limiter else { return Ok(None) };
        match limiter.check_key(&principal.seq) {
            Ok(snapshot) => Ok(Some(Allowance { limit, remaining: snapshot.remaining_burst_capacity() })),
            Err(too_early) => {
                let wait = too_early.wait_time_from(self.clock.now());
                let retry_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Err(ApiError::TooManyRequests { retry_after: retry_after.max(1), limit })
            }
        }
    }
}

/// Lets a request through whose token or log-in has the scope, and shows what is left of its rate limit on every answer.
pub(super) async fn authenticate(
    scope: Scope,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else {
        let error = Error::internal("The application's state is missing");
        return Ok(request.error_response(ApiError::from(error)));
    };
    let principal = match identify(&state, &request).await {
        Ok(principal) => principal,
        Err(error) => return Ok(request.error_response(error)),
    };
    let allowance = match state.rate_limit.check(&principal) {
        Ok(allowance) => allowance,
        Err(error) => return Ok(request.error_response(error)),
    };
    if principal.scope < scope {
        return Ok(finish(allowance, request.error_response(ApiError::Forbidden(scope))));
    }
    request.extensions_mut().insert(principal);
    let response = next.call(request).await?;
    Ok(finish(allowance, response))
}

/// Whether who was let through still would be: of a request that goes on for long.
pub(super) fn is_still_let_through(state: &State, principal: &Principal) -> bool {
    let now = state.runtime.clock().now();
    state.tokens.is_live(principal.seq) || state.logins.is_live(-principal.seq, now)
}

/// Who calls: by a token if one is sent, else by the admin page's cookie.
async fn identify(state: &State, request: &ServiceRequest) -> Result<Principal, ApiError> {
    if let Some(header) = request.headers().get(AUTHORIZATION) {
        let bearer = header.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let token = bearer.ok_or(ApiError::Unauthenticated)?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        let found = match state.tokens.of_hash(&hash) {
            None => UnknownTokens::look_for(state, hash).await?,
            known => known,
        };
        return found.ok_or(ApiError::Unauthenticated);
    }
    let now = state.runtime.clock().now();
    let (principal, csrf_token) = state.logins.find(request.headers(), now).ok_or(ApiError::Unauthenticated)?;
    // A browser sends the cookie whoever wrote the page; only our own page knows the token.
    let sent = request.headers().get("x-csrf-token").and_then(|value| value.to_str().ok());
    if !matches!(*request.method(), Method::GET | Method::HEAD) && sent != Some(csrf_token.as_str()) {
        return Err(ApiError::CrossSite);
    }
    Ok(principal)
}

fn finish(allowance: Option<Allowance>, mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    if let Some(Allowance { limit, remaining }) = allowance {
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static("x-ratelimit-limit"), HeaderValue::from(limit));
        headers.insert(HeaderName::from_static("x-ratelimit-remaining"), HeaderValue::from(remaining));
    }
    response
}
