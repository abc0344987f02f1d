//! Who calls: tokens, scopes and the rate limit.
//!
//! Tokens are looked up in memory, by the SHA-256 of what was sent; the database is not read on the way in. Changes made
//! by this process or by the command line are followed through the database's generation.

use std::collections::HashMap;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev, web};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use sha2::{Digest, Sha256};

use super::State;
use super::error::ApiError;
use crate::error::{Error, Result};
use crate::store::{self, Store, tokens, tokens::Scope};

/// A caller with a valid token.
#[derive(Debug, Clone)]
pub(super) struct Principal {
    /// The token's row.
    pub(super) seq: i64,
    /// The token's name: who did it, where that is recorded.
    pub(super) name: Arc<str>,
    /// What it may do.
    pub(super) scope: Scope,
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
}

impl Tokens {
    /// Reads the tokens of a store.
    pub(crate) fn load(store: &Store) -> Result<Self> {
        let tokens = Self::default();
        tokens.replace(store.read(tokens::live)?);
        Ok(tokens)
    }

    fn replace(&self, rows: Vec<([u8; 32], tokens::TokenRow)>) {
        let live = rows
            .into_iter()
            .map(|(hash, row)| (hash, Principal { seq: row.seq, name: row.name.into(), scope: row.scope }))
            .collect();
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
    }

    /// Reloads the tokens whenever the command line has written to the database, until `stop` is done.
    pub(crate) async fn follow(&self, store: &Store, interval: Duration, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut seen = None;
        loop {
            let reading = store.clone();
            let read = web::block(move || {
                reading.read(|conn| {
                    let generation = store::generation(conn)?;
                    let rows = (seen != Some(generation)).then(|| tokens::live(conn)).transpose()?;
                    Ok((generation, rows))
                })
            });
            match read.await.map_err(|error| Error::internal("A read panicked").caused_by(error)).flatten() {
                Ok((generation, rows)) => {
                    seen = Some(generation);
                    rows.into_iter().for_each(|rows| self.replace(rows));
                }
                Err(error) => tracing::warn!(%error, "tokens could not be reloaded"),
            }
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(interval) => {}
            }
        }
    }

    fn find(&self, token: &str) -> Option<Principal> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner).clone();
        live.get(&hash).cloned()
    }
}

type Limiter = RateLimiter<i64, DefaultKeyedStateStore<i64>, DefaultClock, StateInformationMiddleware>;

/// Requests per minute and token.
pub(crate) struct RateLimit {
    limit: u32,
    limiter: Option<Limiter>,
    clock: DefaultClock,
}

impl RateLimit {
    /// A limit of so many requests per minute; 0 is none.
    pub(crate) fn per_minute(limit: u32) -> Self {
        let limiter = NonZeroU32::new(limit)
            .map(|limit| RateLimiter::keyed(Quota::per_minute(limit)).with_middleware::<StateInformationMiddleware>());
        Self { limit, limiter, clock: DefaultClock::default() }
    }

    /// Counts a request and gives how many may follow at once; `None` without a limit.
    fn check(&self, token_seq: i64) -> Result<Option<u32>, ApiError> {
        let Some(limiter) = &self.limiter else { return Ok(None) };
        match limiter.check_key(&token_seq) {
            Ok(snapshot) => Ok(Some(snapshot.remaining_burst_capacity())),
            Err(too_early) => {
                let wait = too_early.wait_time_from(self.clock.now());
                let retry_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Err(ApiError::TooManyRequests { retry_after: retry_after.max(1), limit: self.limit })
            }
        }
    }

    fn show(&self, remaining: u32, headers: &mut HeaderMap) {
        headers.insert(HeaderName::from_static("x-ratelimit-limit"), HeaderValue::from(self.limit));
        headers.insert(HeaderName::from_static("x-ratelimit-remaining"), HeaderValue::from(remaining));
    }
}

/// Lets a request through whose token has the scope, and shows what is left of its rate limit on every answer.
pub(super) async fn authenticate(
    scope: Scope,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else {
        let error = Error::internal("The application's state is missing");
        return Ok(request.error_response(ApiError::from(error)));
    };
    let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let Some(principal) = bearer.and_then(|token| state.tokens.find(token)) else {
        return Ok(request.error_response(ApiError::Unauthenticated));
    };
    let remaining = match state.rate_limit.check(principal.seq) {
        Ok(remaining) => remaining,
        Err(error) => return Ok(request.error_response(error)),
    };
    if principal.scope < scope {
        return Ok(finish(&state, remaining, request.error_response(ApiError::Forbidden(scope))));
    }
    request.extensions_mut().insert(principal);
    let response = next.call(request).await?;
    Ok(finish(&state, remaining, response))
}

fn finish(state: &State, remaining: Option<u32>, mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    if let Some(remaining) = remaining {
        state.rate_limit.show(remaining, response.headers_mut());
    }
    response
}
