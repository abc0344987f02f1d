//! Starting and ending the sessions of flows, and looking flows up.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::{CONTACT_NOT_FOUND, contact_mismatch, read_context, refused, words_of};
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Charge, Fields, JsonBody, Reader, answer_idempotent, idempotency_key, run_idempotent};
use crate::api::state::{State, read};
use crate::domain::{CounterName, FlowId, FlowKind};
use crate::error::Result as StoreResult;
use crate::runtime::{Cancel, Cancelled, IdempotencyKey, OnRunning, Trigger, Triggered};
use crate::store::flows::{self, FlowRow};
use crate::store::{Conn, Counter, counters};
use crate::views::IsoTime;
use crate::views::flow::{FlowKeys, PublicFlow, status_of};
use crate::views::session::{CancelAnswer, TriggerAnswer};

/// `POST /actions/trigger-flow`: starts a published flow for a contact.
pub(in crate::api) async fn trigger_flow(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let trigger = read_trigger(Fields::of(&body.fields), false)?;
    let key = idempotency_key(&request, &principal, "trigger-flow", &body.raw)?;
    let charge = Charge::Sent(&principal, body.raw.len());
    let (status, answer, is_replay) = trigger_idempotent(&state, charge, key, trigger).await?;
    Ok(answer_idempotent(status, &answer, is_replay))
}

/// Starts a flow or a sequence, and returns the answer and whether it is a replay.
pub(in crate::api) async fn trigger_idempotent(
    state: &State,
    charge: Charge<'_>,
    key: Option<IdempotencyKey>,
    trigger: Trigger,
) -> Result<(StatusCode, TriggerAnswer, bool), ApiError> {
    let (flow_id, kind) = (trigger.flow_id, trigger.kind);
    state.runtime.check_room()?;
    let (outcome, is_replay) = run_idempotent(state, charge, key, trigger).await?;
    let (code, status, id, name, contact_id, ended) = match outcome {
        Triggered::Started { id, flow_name, contact_id } => {
            (StatusCode::CREATED, "started", id, flow_name, contact_id, false)
        }
        Triggered::AlreadyRunning { id, flow_name, contact_id, ended } => {
            (StatusCode::OK, "already_running", id, flow_name, contact_id, ended)
        }
        Triggered::Refused(refusal) => return Err(refused(kind, refusal)),
    };
    let flow = FlowKeys::new(kind, flow_id, name);
    Ok((code, TriggerAnswer { id, status, flow, contact_id, ended }, is_replay))
}

/// Which flow to start for whom. A strict reading refuses what it does not know.
pub(in crate::api) fn read_trigger(fields: Fields<'_>, is_strict: bool) -> Result<Trigger, ApiError> {
    read_trigger_of(FlowKind::Flow, fields, is_strict)
}

/// The same for a flow or a sequence.
pub(in crate::api) fn read_trigger_of(
    kind: FlowKind,
    mut fields: Fields<'_>,
    is_strict: bool,
) -> Result<Trigger, ApiError> {
    let flow_id: Option<FlowId> = fields.required(id_key(kind));
    let contact_ref = fields.contact_ref();
    let context = read_context(&mut fields);
    let words = [("return", OnRunning::Return), ("restart", OnRunning::Restart), ("fail", OnRunning::Fail)];
    let on_running = fields.choice("on_running", &words).unwrap_or_default();
    if is_strict {
        fields.refuse_unknown();
    }
    fields.finish_with(|| Some(Trigger { flow_id: flow_id?, kind, contact_ref: contact_ref?, context, on_running }))
}

/// The key that names a flow of a kind.
pub(in crate::api) fn id_key(kind: FlowKind) -> &'static str {
    match kind {
        FlowKind::Flow => "flow_id",
        FlowKind::Sequence => "sequence_id",
    }
}

/// `POST /actions/get-flow`: one flow, published or not.
pub(in crate::api) async fn get_public_flow(state: web::Data<State>, body: JsonBody) -> Result<HttpResponse, ApiError> {
    look_up(&state, FlowKind::Flow, &body).await
}

/// One flow or sequence without its document, as the body says.
pub(super) async fn look_up(state: &State, kind: FlowKind, body: &JsonBody) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let id: Option<FlowId> = fields.required(id_key(kind));
    let id = fields.finish_with(|| id)?;
    let found = read(state, move |conn| match flows::find(conn, id)?.filter(|flow| flow.summary.kind == kind) {
        Some(flow) => view(conn, &flow).map(Some),
        None => Ok(None),
    });
    match found.await? {
        Some(view) => Ok(HttpResponse::Ok().json(view)),
        None => Err(ApiError::not_found(&format!("{} not found", words_of(kind).0))),
    }
}

fn view(conn: &Conn, flow: &FlowRow) -> StoreResult<PublicFlow> {
    let summary = &flow.summary;
    let started = Counter { flow_seq: summary.seq, ..Counter::of(CounterName::SessionStarted) };
    let trigger_type = match summary.kind {
        FlowKind::Flow => Some(trigger_type(conn, flow)?),
        FlowKind::Sequence => None,
    };
    Ok(PublicFlow {
        id: summary.id,
        name: summary.name.clone(),
        status: status_of(summary.published_version),
        sessions_count: counters::value(conn, &started)?,
        published_at: summary.published_at.map(IsoTime),
        created_at: IsoTime(summary.created_at),
        trigger_type,
    })
}

/// Whether a word starts the flow as it is published, or as it is drafted.
fn trigger_type(conn: &Conn, flow: &FlowRow) -> StoreResult<&'static str> {
    let published = match flow.summary.published_version {
        Some(version) => flows::version_document(conn, flow.summary.seq, version)?,
        None => None,
    };
    // A document that cannot be read starts by no keyword.
    let document: Value = serde_json::from_str(published.as_ref().unwrap_or(&flow.draft)).unwrap_or_default();
    let has_keywords = document["settings"]["keywords"].as_array().is_some_and(|words| !words.is_empty());
    Ok(if has_keywords { "keyword" } else { "manual" })
}

/// `POST /actions/cancel-flow`: ends the live session of a flow or a sequence and a contact.
pub(in crate::api) async fn cancel_flow(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let (kind, cancel) = read_cancel(&body)?;
    let key = idempotency_key(&request, &principal, "cancel-flow", &body.raw)?;
    let (outcome, is_replay) = run_idempotent(&state, Charge::Sent(&principal, body.raw.len()), key, cancel).await?;
    let answer = match outcome {
        Cancelled::Ended { id } => CancelAnswer { id: Some(id), status: "cancelled" },
        Cancelled::NotRunning => CancelAnswer { id: None, status: "not_running" },
        Cancelled::FlowNotFound => return Err(ApiError::not_found(&format!("{} not found", words_of(kind).0))),
        Cancelled::ContactNotFound => return Err(ApiError::not_found(CONTACT_NOT_FOUND)),
        Cancelled::ContactMismatch => return Err(contact_mismatch()),
    };
    Ok(answer_idempotent(StatusCode::OK, &answer, is_replay))
}

/// The two keys mean the same; which of them was sent is in the answer's words.
fn read_cancel(body: &JsonBody) -> Result<(FlowKind, Cancel), ApiError> {
    let mut fields = Fields::of(&body.fields);
    let sequence_id: Option<FlowId> = fields.parsed("sequence_id");
    let kind = if fields.value("sequence_id").is_some() { FlowKind::Sequence } else { FlowKind::Flow };
    if kind == FlowKind::Sequence && fields.value("flow_id").is_some() {
        fields.fail("sequence_id", "The sequence id and the flow id cannot both be sent: one session is ended.");
    }
    let flow_id = if kind == FlowKind::Flow { fields.required("flow_id") } else { sequence_id };
    let contact_ref = fields.contact_ref();
    let reason = fields.reason();
    fields.finish_with(|| Some((kind, Cancel { flow_id: flow_id?, contact_ref: contact_ref?, reason })))
}
