//! Starting sequences, and looking them up: flows that go on for days, under keys of their own.

use actix_web::{HttpRequest, HttpResponse, web};

use super::flows::{look_up, read_trigger_of, trigger_idempotent};
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Charge, Fields, JsonBody, answer_idempotent, idempotency_key};
use crate::api::state::State;
use crate::domain::FlowKind;

/// `POST /actions/trigger-sequence`: starts a published sequence for a contact.
pub(in crate::api) async fn trigger_sequence(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let trigger = read_trigger_of(FlowKind::Sequence, Fields::of(&body.fields), false)?;
    let key = idempotency_key(&request, &principal, "trigger-sequence", &body.raw)?;
    let charge = Charge::Sent(&principal, body.raw.len());
    let (status, answer, is_replay) = trigger_idempotent(&state, charge, key, trigger).await?;
    Ok(answer_idempotent(status, &answer, is_replay))
}

/// `POST /actions/get-sequence`: one sequence, published or not.
pub(in crate::api) async fn get_public_sequence(
    state: web::Data<State>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    look_up(&state, FlowKind::Sequence, &body).await
}
