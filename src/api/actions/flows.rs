//! Starting and ending the sessions of flows.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::{CONTACT_NOT_FOUND, answer_once, contact_mismatch, read_context, refused, run_once};
use crate::api::State;
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Fields, JsonBody, idempotency_key};
use crate::domain::FlowId;
use crate::runtime::{Cancel, Cancelled, OnRunning, Trigger, Triggered};

/// `POST /actions/trigger-flow`: starts a published flow for a contact.
pub(in crate::api) async fn trigger_flow(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let trigger = read_trigger(&body)?;
    let flow_id = trigger.flow_id;
    state.runtime.check_room()?;
    let key = idempotency_key(&request, &principal, "trigger-flow", &body.raw)?;
    let (outcome, is_replay) = run_once(&state, key, trigger).await?;
    let answer = |status, body| Ok(answer_once(status, &body, is_replay));
    match outcome {
        Triggered::Started { id, flow_name, contact_id } => answer(
            StatusCode::CREATED,
            json!({"id": id, "status": "started", "flow_id": flow_id, "flow_name": flow_name, "contact_id": contact_id}),
        ),
        Triggered::AlreadyRunning { id, flow_name, contact_id, ended } => {
            let mut body = json!({
                "id": id, "status": "already_running", "flow_id": flow_id, "flow_name": flow_name, "contact_id": contact_id
            });
            if ended {
                body["ended"] = json!(true);
            }
            answer(StatusCode::OK, body)
        }
        Triggered::Refused(refusal) => Err(refused(refusal)),
    }
}

fn read_trigger(body: &JsonBody) -> Result<Trigger, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let flow_id: Option<FlowId> = fields.required("flow_id");
    let whom = fields.whom();
    let context = read_context(&mut fields);
    let words = [("return", OnRunning::Return), ("restart", OnRunning::Restart), ("fail", OnRunning::Fail)];
    let on_running = fields.choice("on_running", &words).unwrap_or_default();
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
