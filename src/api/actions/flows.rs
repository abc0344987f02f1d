//! Starting and ending the sessions of flows.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::{CONTACT_NOT_FOUND, answer_once, contact_mismatch, read_context, refused, run_once};
use crate::api::State;
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Fields, JsonBody, idempotency_key};
use crate::domain::FlowId;
use crate::runtime::{Cancel, Cancelled, IdempotencyKey, OnRunning, Trigger, Triggered};

/// `POST /actions/trigger-flow`: starts a published flow for a contact.
pub(in crate::api) async fn trigger_flow(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let trigger = read_trigger(Fields::of(&body.fields), false)?;
    let key = idempotency_key(&request, &principal, "trigger-flow", &body.raw)?;
    let (status, answer, is_replay) = trigger_once(&state, key, trigger).await?;
    Ok(answer_once(status, &answer, is_replay))
}

/// Starts a flow, and gives the answer and whether it is a replay.
pub(in crate::api) async fn trigger_once(
    state: &State,
    key: Option<IdempotencyKey>,
    trigger: Trigger,
) -> Result<(StatusCode, Value, bool), ApiError> {
    let flow_id = trigger.flow_id;
    state.runtime.check_room()?;
    let (outcome, is_replay) = run_once(state, key, trigger).await?;
    match outcome {
        Triggered::Started { id, flow_name, contact_id } => {
            let body = json!({
                "id": id, "status": "started", "flow_id": flow_id, "flow_name": flow_name, "contact_id": contact_id
            });
            Ok((StatusCode::CREATED, body, is_replay))
        }
        Triggered::AlreadyRunning { id, flow_name, contact_id, ended } => {
            let mut body = json!({
                "id": id, "status": "already_running", "flow_id": flow_id, "flow_name": flow_name, "contact_id": contact_id
            });
            if ended {
                body["ended"] = json!(true);
            }
            Ok((StatusCode::OK, body, is_replay))
        }
        Triggered::Refused(refusal) => Err(refused(refusal)),
    }
}

/// Which flow to start for whom. A strict reading refuses what it does not know.
pub(in crate::api) fn read_trigger(mut fields: Fields<'_>, is_strict: bool) -> Result<Trigger, ApiError> {
    let flow_id: Option<FlowId> = fields.required("flow_id");
    let whom = fields.whom();
    let context = read_context(&mut fields);
    let words = [("return", OnRunning::Return), ("restart", OnRunning::Restart), ("fail", OnRunning::Fail)];
    let on_running = fields.choice("on_running", &words).unwrap_or_default();
    if is_strict {
        fields.refuse_unknown();
    }
    fields.finish()?;
    match (flow_id, whom) {
        (Some(flow_id), Some(whom)) => Ok(Trigger { flow_id, whom, context, on_running }),
        _ => Err(ApiError::Validation(Vec::new())),
    }
}

/// `POST /actions/cancel-flow`: ends the live session of a flow and a contact.
pub(in crate::api) async fn cancel_flow(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let cancel = read_cancel(&body)?;
    let key = idempotency_key(&request, &principal, "cancel-flow", &body.raw)?;
    let (outcome, is_replay) = run_once(&state, key, cancel).await?;
    let body = match outcome {
        Cancelled::Ended { id } => json!({"id": id, "status": "cancelled"}),
        Cancelled::NotRunning => json!({"status": "not_running"}),
        Cancelled::FlowNotFound => return Err(ApiError::not_found("Flow not found")),
        Cancelled::ContactNotFound => return Err(ApiError::not_found(CONTACT_NOT_FOUND)),
        Cancelled::ContactMismatch => return Err(contact_mismatch()),
    };
    Ok(answer_once(StatusCode::OK, &body, is_replay))
}

fn read_cancel(body: &JsonBody) -> Result<Cancel, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let flow_id: Option<FlowId> = fields.required("flow_id");
    let whom = fields.whom();
    let reason = fields.reason();
    fields.finish()?;
    match (flow_id, whom) {
        (Some(flow_id), Some(whom)) => Ok(Cancel { flow_id, whom, reason }),
        _ => Err(ApiError::Validation(Vec::new())),
    }
}
