//! `POST /actions/…`: starting and ending sessions.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use super::State;
use super::auth::Principal;
use super::error::ApiError;
use super::request::{Fields, JsonBody, idempotency_key, key_reused};
use crate::domain::FlowId;
use crate::domain::text::json_depth;
use crate::runtime::{Cancel, Cancelled, Command, IdempotencyKey, OnRunning, Once, Trigger, TriggerRefusal, Triggered};

/// Bytes of JSON that a `context` may have.
const CONTEXT_BYTES: usize = 64 * 1024;
/// How deep a `context` may be nested.
const CONTEXT_DEPTH: usize = 32;

const FLOW_NOT_FOUND: &str = "Flow not found or not published";
pub(super) const CONTACT_NOT_FOUND: &str = "Contact not found";

/// `POST /actions/trigger-flow`: starts a published flow for a contact.
pub(super) async fn trigger_flow(
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

/// What a trigger passes to the flow.
pub(super) fn read_context(fields: &mut Fields<'_>) -> Map<String, Value> {
    let context = fields.object("context").cloned().unwrap_or_default();
    if json_depth(&Value::Object(context.clone())) > CONTEXT_DEPTH {
        fields.fail("context", format!("The context must not be nested deeper than {CONTEXT_DEPTH} levels."));
    } else if serde_json::to_vec(&context).map_or(usize::MAX, |bytes| bytes.len()) > CONTEXT_BYTES {
        fields.fail("context", format!("The context must not be larger than {CONTEXT_BYTES} bytes."));
    }
    context
}

/// The answer to a trigger that was refused.
pub(super) fn refused(refusal: TriggerRefusal) -> ApiError {
    let unprocessable = |text: &str| ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, text);
    match refusal {
        TriggerRefusal::FlowNotFound => ApiError::not_found(FLOW_NOT_FOUND)
            .hint("Check the flow_id, and publish the flow: drafts cannot be triggered."),
        TriggerRefusal::NoEntryNode => unprocessable("Flow has no entry node")
            .hint("Name the first node in the flow's `entry_node` and publish it again."),
        TriggerRefusal::ContactNotFound => {
            ApiError::not_found(CONTACT_NOT_FOUND).hint("Send `phone` instead of `contact_id` to create the contact.")
        }
        TriggerRefusal::ContactMismatch => contact_mismatch(),
        TriggerRefusal::OptedOut => unprocessable("Contact has opted out").hint("Only the contact can undo this."),
        TriggerRefusal::BadInputs { errors } => ApiError::Validation(errors),
        TriggerRefusal::Running { id } => ApiError::refused(StatusCode::CONFLICT, "A session is already running")
            .with("id", id.to_string())
            .hint("Send on_running `return` to get it, or `restart` to end it first."),
    }
}

pub(super) fn contact_mismatch() -> ApiError {
    let sentence = "The contact id and the phone belong to different contacts: send one of them.";
    ApiError::Validation(["contact_id", "phone"].map(|field| (field.to_owned(), sentence.to_owned())).to_vec())
}

/// `POST /actions/cancel-flow`: ends the live session of a flow and a contact.
pub(super) async fn cancel_flow(
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

/// Runs a command under its key, and gives with its outcome whether it is a replay.
pub(super) async fn run_once<C: Command>(
    state: &State,
    key: Option<IdempotencyKey>,
    command: C,
) -> Result<(C::Outcome, bool), ApiError> {
    match state.runtime.handle_once(key, command).await? {
        Once::Ran(outcome) => Ok((outcome, false)),
        Once::Replayed(outcome) => Ok((outcome, true)),
        Once::KeyReused => Err(key_reused()),
    }
}

pub(super) fn answer_once(status: StatusCode, body: &Value, is_replay: bool) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    if is_replay {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    response.json(body)
}
