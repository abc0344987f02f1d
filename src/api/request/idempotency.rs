//! Idempotency keys: what binds one to its request.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use actix_web::web::Bytes;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::runtime::IdempotencyKey;

/// At most this many characters in an `Idempotency-Key`.
pub(in crate::api) const MAX_KEY: usize = 255;

/// The request's `Idempotency-Key`, bound to its token, its route and its body.
pub(in crate::api) fn idempotency_key(
    request: &HttpRequest,
    principal: &Principal,
    route: &'static str,
    raw: &Bytes,
) -> Result<Option<IdempotencyKey>, ApiError> {
    let Some(header) = request.headers().get(HeaderName::from_static("idempotency-key")) else { return Ok(None) };
    let key = header.to_str().unwrap_or_default().trim();
    if key.is_empty() || key.len() > MAX_KEY {
        let text = format!("Idempotency-Key must have 1 to {MAX_KEY} visible ASCII characters.");
        return Err(ApiError::refused(StatusCode::BAD_REQUEST, text));
    }
    let body_hash = Sha256::digest(raw).into();
    Ok(Some(IdempotencyKey { token_seq: principal.caller.stored_seq(), route, key: key.to_owned(), body_hash }))
}

/// Binds a key also to what its request's path names: that is part of what is asked for, and no part of the body.
pub(in crate::api) fn scoped_to(key: Option<IdempotencyKey>, id: Uuid) -> Option<IdempotencyKey> {
    key.map(|key| {
        let body_hash = Sha256::new().chain_update(id).chain_update(key.body_hash).finalize().into();
        IdempotencyKey { body_hash, ..key }
    })
}
