//! Events from outside: `POST /actions/send-event` by contact, `POST /sessions/{id}/events` by session.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::actions::{CONTACT_NOT_FOUND, contact_mismatch};
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Charge, Fields, JsonBody, Reader, answer_idempotent, idempotency_key, run_idempotent};
use crate::api::state::State;
use crate::domain::text::json_depth;
use crate::domain::{EventName, FlowId, SessionId};
use crate::runtime::{ContactRef, EventHandling, EventOutcome, EventSent, EventTarget, SendEvent};
use crate::views::session::{EventAnswer, EventTaken};

/// Bytes of JSON that a `payload` may have.
const PAYLOAD_BYTES: usize = 64 * 1024;
/// How deep a `payload` may be nested.
const PAYLOAD_DEPTH: usize = 32;

/// `POST /actions/send-event`: sends an event to the running sessions of a contact.
pub(in crate::api) async fn send_event(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let flow_id: Option<FlowId> = fields.parsed("flow_id");
    let contact_ref = fields.contact_ref();
    let to = contact_ref.map(|contact_ref: ContactRef| EventTarget::Contact { flow_id, contact_ref });
    let event = read_event(to, fields, false)?;
    let key = idempotency_key(&request, &principal, "send-event", &body.raw)?;
    let (outcome, is_replay) = run_idempotent(&state, Charge::Sent(&principal, body.raw.len()), key, event).await?;
    let sessions = sent(outcome)?;
    let sessions = sessions.iter().map(|sent| EventTaken { id: sent.id, handled: sent.handled }).collect();
    Ok(answer_idempotent(StatusCode::OK, &EventAnswer { sessions }, is_replay))
}

/// `POST /sessions/{id}/events`: sends an event to one session.
pub(in crate::api) async fn send_session_event(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let id: SessionId = id.parse().map_err(|_| session_not_found())?;
    let fields = Fields::of(&body.fields);
    let event = read_event(Some(EventTarget::Session(id)), fields, true)?;
    state.charge(&principal, body.raw.len())?;
    let sessions = sent(state.runtime.handle(event).await?)?;
    match sessions.first() {
        Some(EventSent { handled: EventHandling::Refused, .. }) | None => {
            let error = ApiError::refused(StatusCode::CONFLICT, "The session has no room to keep the event.");
            Err(error.hint("Send less in `payload`, or send the event when the session waits for it."))
        }
        Some(sent) => Ok(HttpResponse::Accepted().json(EventTaken { id: sent.id, handled: sent.handled })),
    }
}

fn read_event(to: Option<EventTarget>, mut fields: Fields<'_>, is_strict: bool) -> Result<SendEvent, ApiError> {
    let name: Option<EventName> = fields.required("event");
    let payload = read_payload(&mut fields);
    if is_strict {
        fields.refuse_unknown();
    }
    fields.finish_with(|| Some(SendEvent { to: to?, name: name?, payload }))
}

/// The payload of an event: any JSON.
pub(in crate::api) fn read_payload(fields: &mut Fields<'_>) -> Value {
    let payload = fields.sent("payload").cloned().unwrap_or_default();
    if json_depth(&payload) > PAYLOAD_DEPTH {
        fields.fail("payload", format!("The payload must not be nested deeper than {PAYLOAD_DEPTH} levels."));
    } else if serde_json::to_vec(&payload).map_or(usize::MAX, |bytes| bytes.len()) > PAYLOAD_BYTES {
        fields.fail("payload", format!("The payload must not be larger than {PAYLOAD_BYTES} bytes."));
    }
    payload
}

fn sent(outcome: EventOutcome) -> Result<Vec<EventSent>, ApiError> {
    match outcome {
        EventOutcome::Sent { sessions } => Ok(sessions),
        EventOutcome::SessionNotFound => Err(session_not_found()),
        EventOutcome::SessionEnded => Err(ApiError::refused(StatusCode::CONFLICT, "The session has ended.")),
        EventOutcome::FlowNotFound => Err(ApiError::not_found("Flow not found")),
        EventOutcome::ContactNotFound => Err(ApiError::not_found(CONTACT_NOT_FOUND)),
        EventOutcome::ContactMismatch => Err(contact_mismatch()),
    }
}

fn session_not_found() -> ApiError {
    ApiError::not_found("Session not found")
}
