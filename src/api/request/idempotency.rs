//! Idempotency keys: what binds one to its request, and running a command under one.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::state::State;
use crate::runtime::{Command, IdempotencyKey, Idempotent};

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

/// Runs a command under its key, and gives with its outcome whether it is a replay.
pub(in crate::api) async fn run_idempotent<C: Command>(
    state: &State,
    key: Option<IdempotencyKey>,
    command: C,
) -> Result<(C::Outcome, bool), ApiError> {
    match state.runtime.handle_idempotent(key, command).await? {
        Idempotent::Ran(outcome) => Ok((outcome, false)),
        Idempotent::Replayed(outcome) => Ok((outcome, true)),
        Idempotent::KeyReused => Err(ApiError::KeyReused),
    }
}

/// The answer of a command under a key, with a header where it is a replay.
pub(in crate::api) fn answer_idempotent(status: StatusCode, body: &impl Serialize, is_replay: bool) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    if is_replay {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    response.json(body)
}
