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
use crate::api::state::quotas::Reserved;
use crate::api::state::usage::Amount;
use crate::error::Code;
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

/// What a command counts against: the quotas of its caller.
pub(in crate::api) enum Charge<'a> {
    /// So many bytes were sent for it. What they take is taken before it runs.
    Sent(&'a Principal, usize),
    /// What was taken for it already.
    Taken(Reserved<'a>),
    /// It was answered before, so that it takes nothing. If its answer is gone by now, this is added afterwards.
    Answered(&'a Principal, Amount),
}

impl Charge<'_> {
    /// Gives back what was taken for a command that is not run.
    pub(in crate::api) fn give_back(self) {
        if let Self::Taken(taken) = self {
            taken.give_back();
        }
    }
}

/// What a command takes by which so many bytes were sent.
fn amount_of<C: Command>(sent: usize, key: Option<&IdempotencyKey>, command: &C) -> Amount {
    let amount = Amount::of_body(sent);
    key.map_or(amount, |key| amount.keeping(&key.key, command.answer_bytes()))
}

/// Runs a command under its key, and gives with its outcome whether it is a replay. Replays, refusals and what the
/// store did not take count against no quota.
///
/// # Errors
/// A limit leaves no room for it, and it was not answered before; the key was used with another request; otherwise as
/// [`Runtime::handle`](crate::runtime::Runtime::handle).
pub(in crate::api) async fn run_idempotent<C: Command>(
    state: &State,
    charge: Charge<'_>,
    key: Option<IdempotencyKey>,
    command: C,
) -> Result<(C::Outcome, bool), ApiError> {
    let charge = match charge {
        Charge::Sent(principal, sent) => {
            reserve(state, principal, amount_of(sent, key.as_ref(), &command), key.as_ref()).await?
        }
        other => other,
    };
    let key_text = key.as_ref().map(|key| key.key.clone());
    let outcome = match state.runtime.handle_idempotent(key, command).await {
        Ok(Idempotent::Ran(outcome)) => {
            let is_kept = C::is_kept(&outcome);
            match charge {
                Charge::Taken(taken) if is_kept => {
                    if let Some(key) = key_text {
                        let answer = serde_json::to_vec(&outcome).map_or(0, |answer| answer.len());
                        taken.settle(Amount::default().keeping(&key, answer).kept);
                    }
                }
                Charge::Taken(taken) => taken.give_back(),
                Charge::Answered(principal, amount) if is_kept => {
                    state.quotas.add(principal, amount, state.runtime.clock().now());
                }
                Charge::Answered(..) | Charge::Sent(..) => {}
            }
            return Ok((outcome, false));
        }
        Ok(Idempotent::Replayed(outcome)) => Ok((outcome, true)),
        Ok(Idempotent::KeyReused) => Err(ApiError::KeyReused),
        Err(error) if [Code::OutcomeUnknown, Code::Internal].contains(&error.code()) => return Err(error.into()),
        Err(error) => Err(error.into()),
    };
    charge.give_back();
    outcome
}

/// Takes an amount for a command that runs once, unless it was answered before.
async fn reserve<'a>(
    state: &'a State,
    principal: &'a Principal,
    amount: Amount,
    key: Option<&IdempotencyKey>,
) -> Result<Charge<'a>, ApiError> {
    let now = state.runtime.clock().now();
    let over = match state.quotas.take(principal, amount, now) {
        Ok(taken) => return Ok(Charge::Taken(taken)),
        Err(over) => over,
    };
    // A retry gets its answer whatever the limit says. Only a request that is refused otherwise costs this look.
    if let Some(key) = key
        && state.runtime.answered(vec![key.clone()]).await?.contains(&true)
    {
        return Ok(Charge::Answered(principal, amount));
    }
    Err(state.quotas.refuse(principal, over, now))
}

/// The answer of a command under a key, with a header where it is a replay.
pub(in crate::api) fn answer_idempotent(status: StatusCode, body: &impl Serialize, is_replay: bool) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    if is_replay {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    response.json(body)
}
