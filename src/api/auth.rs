//! Authentication: tokens, log-ins and scopes.
//!
//! Tokens and log-ins are looked up in memory; the database is not read on the way in but before a token is refused.

use crate::domain::Scope;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev, web};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::{ApiError, REQUESTS};
use super::state::State;
pub(super) use super::state::caller::{Caller, Principal};
use super::state::quotas::note_refusal;
use super::state::rate_limit::Allowance;
use crate::error::Error;

impl FromRequest for Principal {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    /// The principal that [`authenticate`] found.
    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        std::future::ready(request.extensions().get::<Self>().cloned().ok_or(ApiError::Unauthenticated))
    }
}

/// Lets a request through whose token or log-in has the scope, and shows what is left of its rate limit on every
/// answer.
pub(super) async fn authenticate(
    scope: Scope,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else {
        let error = Error::internal("The application's state is missing");
        return Ok(request.error_response(ApiError::from(error)));
    };
    let mut principal = match identify(&state, &request).await {
        Ok(principal) => principal,
        Err(error) => return Ok(request.error_response(error)),
    };
    let allowance = match state.rate_limit.check(&principal) {
        Ok(allowance) => allowance,
        Err(error) => {
            note_refusal(&principal, REQUESTS, state.runtime.clock().now());
            return Ok(request.error_response(error));
        }
    };
    if principal.scope < scope {
        return Ok(finish(allowance, request.error_response(ApiError::Forbidden(scope))));
    }
    if principal.scope >= Scope::Admin {
        principal.network = Some(state.logins.network_of(request.request()).into());
    }
    request.extensions_mut().insert(principal);
    let response = next.call(request).await?;
    Ok(finish(allowance, response))
}

/// Whether a request carries the token of `server.metrics_token`. It is compared by its hash and in constant time, and
/// it is long enough that no number of tries finds it.
pub(super) fn has_metrics_token(request: &ServiceRequest) -> bool {
    let token = request.app_data::<web::Data<State>>().and_then(|state| state.metrics_token);
    let sent = request.headers().get(AUTHORIZATION).and_then(bearer);
    token.zip(sent).is_some_and(|(token, sent)| Sha256::digest(sent).ct_eq(token.as_slice()).into())
}

/// The token in an `Authorization` header; `None` if it is of another scheme.
fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether who was let through still would be: of a request that goes on for long.
pub(super) fn is_still_let_through(state: &State, principal: &Principal) -> bool {
    let now = state.runtime.clock().now();
    match (principal.caller, principal.secret) {
        (Caller::Token(_), secret) => secret.is_some_and(|secret| state.tokens.is_live(&secret, now)),
        (Caller::Login(seq), _) => state.logins.is_live(seq, now),
    }
}

/// The caller, by a token if one is sent, else by the admin page's cookie.
async fn identify(state: &State, request: &ServiceRequest) -> Result<Principal, ApiError> {
    if let Some(header) = request.headers().get(AUTHORIZATION) {
        let token = bearer(header).ok_or(ApiError::Unauthenticated)?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        let found = match state.tokens.of_hash(&hash, state.runtime.clock().now()) {
            None => state.look_for_token(hash).await?,
            known => known,
        };
        return found.ok_or(ApiError::Unauthenticated);
    }
    let now = state.runtime.clock().now();
    let (principal, csrf_token) = state.logins.find(request.headers(), now).ok_or(ApiError::Unauthenticated)?;
    // A browser sends the cookie with requests of any site's page; only our own page knows the token.
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
