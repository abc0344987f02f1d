//! `/webhook-endpoints`: the endpoints to which events are posted.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::api::answer::{paginate, trim_page};
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Fields, JsonBody, Query, Reader};
use crate::api::state::{State, read};
use crate::domain::{DeliveryStatus, EndpointId, EventKind, Timestamp};
use crate::error::{Error, Result};
use crate::runtime::webhooks::{
    EndpointMade, EndpointTested, check_endpoint_description, check_endpoint_url, gives_up_at, secret_hint,
};
use crate::store::webhooks::{self, DeliveryRow, Endpoint, EndpointChange, Queue};
use crate::views::endpoint::{Delivery, Endpoint as EndpointView, FirstDelivery};
use crate::views::{IsoTime, Listing};

fn not_found() -> ApiError {
    ApiError::not_found("Webhook endpoint not found")
}

/// `GET /webhook-endpoints`: all of them, oldest first.
pub(in crate::api) async fn list_endpoints(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read(&request)?;
    let (rows, next_cursor) = paginate(read(&state, webhooks::list_endpoints).await?, &mut query);
    query.finish()?;
    let data = rows.into_iter().map(|(endpoint, queue)| endpoint_view(endpoint, queue)).collect();
    Ok(HttpResponse::Ok().json(Listing { data, next_cursor }))
}

/// `GET /webhook-endpoints/{id}`: one endpoint with its state.
pub(in crate::api) async fn get_endpoint(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let view = view_of(&state, parse_id(&id)?).await?;
    Ok(HttpResponse::Ok().json(view.ok_or_else(not_found)?))
}

/// `POST /webhook-endpoints`: makes one and shows its secret once.
pub(in crate::api) async fn create_endpoint(
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::of(&body.fields);
    fields.required_text("url");
    let wanted = read_fields(&mut fields);
    fields.refuse_unknown();
    fields.finish()?;
    let url = wanted.url.unwrap_or_default();
    let (description, events) = (wanted.description.unwrap_or_default(), wanted.events.unwrap_or_default());
    state.charge(&principal, body.raw.len())?;
    match state.runtime.create_endpoint(url, description, events, principal.actor()).await? {
        EndpointMade::Made { id, secret } => {
            let view = view_of(&state, id).await?.ok_or_else(gone)?;
            Ok(HttpResponse::build(StatusCode::CREATED).json(EndpointView { secret: Some(secret), ..view }))
        }
        EndpointMade::TooMany { limit } => {
            let error = format!("There are {limit} webhook endpoints, and there can be no more.");
            Err(ApiError::refused(StatusCode::CONFLICT, error).hint("Delete one that is not needed any more."))
        }
    }
}

/// `PATCH /webhook-endpoints/{id}`: changes the fields that are sent.
pub(in crate::api) async fn update_endpoint(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let id = parse_id(&id)?;
    let mut fields = Fields::of(&body.fields);
    let is_active = fields.boolean("is_active");
    let change = EndpointChange { is_active, ..read_fields(&mut fields) };
    fields.refuse_unknown();
    fields.finish()?;
    if !state.runtime.change_endpoint(id, change, principal.actor()).await? {
        return Err(not_found());
    }
    Ok(HttpResponse::Ok().json(view_of(&state, id).await?.ok_or_else(not_found)?))
}

/// `DELETE /webhook-endpoints/{id}`: deletes an endpoint and its queued deliveries.
pub(in crate::api) async fn delete_endpoint(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    match state.runtime.delete_endpoint(parse_id(&id)?, principal.actor()).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(not_found()),
    }
}

/// `POST /webhook-endpoints/{id}/rotate-secret`: another secret, shown once.
pub(in crate::api) async fn rotate_secret(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = parse_id(&id)?;
    let secret = state.runtime.rotate_endpoint_secret(id, principal.actor()).await?.ok_or_else(not_found)?;
    let view = view_of(&state, id).await?.ok_or_else(not_found)?;
    Ok(HttpResponse::Ok().json(EndpointView { secret: Some(secret), ..view }))
}

/// `POST /webhook-endpoints/{id}/test`: posts `webhook.test` once, beside what is queued.
pub(in crate::api) async fn test_endpoint(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    match state.runtime.test_endpoint(parse_id(&id)?).await? {
        EndpointTested::Queued { delivery } => Ok(HttpResponse::Accepted().json(json!({"delivery_id": delivery}))),
        EndpointTested::Inactive => Err(switched_off()),
        EndpointTested::NotFound => Err(not_found()),
    }
}

/// `POST /webhook-endpoints/{id}/try-now`: makes what waits to be tried again due at once.
pub(in crate::api) async fn try_endpoint(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = parse_id(&id)?;
    match state.runtime.try_endpoint_now(id).await? {
        Some(_) => Ok(HttpResponse::Accepted().json(view_of(&state, id).await?.ok_or_else(not_found)?)),
        None if view_of(&state, id).await?.is_none() => Err(not_found()),
        None => Err(switched_off()),
    }
}

/// `GET /webhook-endpoints/{id}/deliveries?status=`: its deliveries, posted or queued, newest first.
pub(in crate::api) async fn list_deliveries(
    request: HttpRequest,
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = parse_id(&id)?;
    let mut query = Query::read(&request)?;
    let status = query.choice("status", &DeliveryStatus::ALL.map(|status| (status.as_str(), status)));
    let page = query.page();
    query.finish()?;
    let listed = read(&state, move |conn| {
        let Some(endpoint) = webhooks::find_endpoint(conn, id)? else { return Ok(None) };
        let mut rows = webhooks::list_deliveries(conn, endpoint.seq, status, page.cursor, page.limit + 1)?;
        let next_cursor = trim_page(&mut rows, page.limit, |row| row.seq);
        let mut data = Vec::with_capacity(rows.len());
        for row in rows {
            let head = match row.is_parked() {
                true => webhooks::head_of_lane(conn, endpoint.seq, row.contact_seq)?,
                false => None,
            };
            data.push(delivery_view(row, head, endpoint.standing.probe_at)?);
        }
        Ok(Some(Listing { data, next_cursor }))
    });
    Ok(HttpResponse::Ok().json(listed.await?.ok_or_else(not_found)?))
}

fn switched_off() -> ApiError {
    let error = ApiError::refused(StatusCode::CONFLICT, "The webhook endpoint is switched off.");
    error.hint("Send PATCH with is_active true first.")
}

fn parse_id(id: &str) -> Result<EndpointId, ApiError> {
    id.parse().map_err(|_| not_found())
}

fn gone() -> ApiError {
    Error::internal("A webhook endpoint is gone as soon as it was made").into()
}

/// The fields that both making and changing take.
fn read_fields(fields: &mut Fields<'_>) -> EndpointChange {
    let url = fields.text("url").map(|url| url.trim().to_owned());
    if let Some(Err(wrong)) = url.as_deref().map(check_endpoint_url) {
        fields.fail("url", format!("The url {wrong}."));
    }
    // An empty one takes it away.
    let description = match fields.sent("description") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.trim().to_owned()),
        Some(_) => {
            fields.fail("description", "The description must be a string.");
            None
        }
    };
    if let Some(Err(wrong)) = description.as_deref().map(check_endpoint_description) {
        fields.fail("description", format!("The description {wrong}."));
    }
    let events = fields.list("events").map(Vec::as_slice);
    if let Some(events) = events
        && let Some(wrong) = events.iter().find(|event| event.as_str().and_then(EventKind::parse).is_none())
    {
        let shown: String = wrong.to_string().chars().take(60).collect();
        let known = EventKind::ALL.map(EventKind::as_str).join(", ");
        fields.fail("events", format!("The events must not have {shown} among them: use {known}."));
    }
    let mut names: Vec<String> = Vec::new();
    for name in events.into_iter().flatten().filter_map(Value::as_str) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    EndpointChange { url, description, events: events.map(|_| names), is_active: None }
}

async fn view_of(state: &State, id: EndpointId) -> Result<Option<EndpointView>, ApiError> {
    read(state, move |conn| {
        let rows = webhooks::list_endpoints(conn)?;
        let found = rows.into_iter().find(|(endpoint, _)| endpoint.id == id);
        Ok(found.map(|(endpoint, queue)| endpoint_view(endpoint, queue)))
    })
    .await
}

fn endpoint_view(endpoint: Endpoint, queue: Queue) -> EndpointView {
    EndpointView {
        gives_up_at: gives_up_at(&endpoint, &queue).map(IsoTime),
        id: endpoint.id,
        url: endpoint.url,
        description: endpoint.description,
        events: endpoint.events,
        is_active: endpoint.is_active,
        secret_hint: secret_hint(&endpoint.secret),
        queued: queue.queued,
        oldest_queued_at: queue.oldest.map(IsoTime),
        failing_since: endpoint.failing_since.map(IsoTime),
        last_error: endpoint.last_error,
        created_at: IsoTime(endpoint.created_at),
        secret: None,
    }
}

/// `head` is the delivery that a parked one waits for: it has no time of its own. `probe_at` is when the endpoint is
/// tried at the earliest.
fn delivery_view(row: DeliveryRow, head: Option<DeliveryRow>, probe_at: Option<Timestamp>) -> Result<Delivery> {
    let due_at = row.next_attempt_at.filter(|_| !row.is_parked());
    let next_attempt_at = due_at.map(|at| probe_at.map_or(at, |probe_at| probe_at.max(at)));
    let body: Map<String, Value> = serde_json::from_str(&row.body)
        .map_err(|error| Error::internal("A stored delivery is no JSON").caused_by(error))?;
    Ok(Delivery {
        id: row.id,
        event: row.event,
        status: row.status.as_str(),
        reason: row.reason,
        attempts: row.attempts,
        next_attempt_at: next_attempt_at.map(IsoTime),
        behind: head.map(|head| FirstDelivery { id: head.id, event: head.event }),
        body,
        created_at: IsoTime(row.created_at),
        updated_at: IsoTime(row.updated_at),
    })
}
