//! `/flows`: the drafts that authors work on.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_DISPOSITION, ETAG, IF_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::draft_room::write_draft;
use super::stats::session_counts;
use crate::api::answer::{iso, paginate};
use crate::api::auth::Principal;
use crate::api::coding::plain_tag;
use crate::api::error::ApiError;
use crate::api::request::{Fields, JsonBody, OptionalJsonBody, Query, Reader};
use crate::api::state::{State, compute, read};
use crate::domain::audit::{AuditAction, Deed};
use crate::domain::text::has_odd_characters;
use crate::domain::{FlowDocument, FlowId, FlowKind, Problem};
use crate::error::{Error, Result};
use crate::runtime::Change;
use crate::runtime::authoring::{self, Draft, Saved};
use crate::store::flows::{self, FlowRow, FlowSummary};
use crate::store::{Conn, Tx, WriteClass, audit, sessions};
use crate::views::flow::{FlowDetail, ListedFlow, Validation, status_of};
use crate::views::{IsoTime, Listing};

/// Characters of a flow's name at most.
const NAME_CHARS: usize = 255;

const KINDS: [(&str, FlowKind); 2] = [("flow", FlowKind::Flow), ("sequence", FlowKind::Sequence)];

pub(in crate::api) fn not_found() -> ApiError {
    ApiError::not_found("Flow not found")
}

/// `GET /flows?kind=`: all flows by name, with their counts.
pub(in crate::api) async fn list_flows(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read(&request)?;
    let kind = query.choice("kind", &KINDS);
    let mut rows = read(&state, flows::list).await?;
    rows.retain(|flow| kind.is_none_or(|kind| flow.kind == kind));
    let (rows, next) = paginate(rows, &mut query);
    query.finish()?;
    Ok(HttpResponse::Ok().json(list_view(&state, rows, next).await?))
}

/// A part of the list of flows.
pub(in crate::api) async fn list_view(
    state: &State,
    rows: Vec<FlowSummary>,
    next: Option<String>,
) -> Result<Listing<ListedFlow>, ApiError> {
    let views = read(state, move |conn| rows.iter().map(|flow| listed_flow(conn, flow)).collect::<Result<Vec<_>>>());
    Ok(Listing { data: views.await?, next_cursor: next })
}

/// `POST /flows`: a new flow, of a document or with one sentence to begin with.
pub(in crate::api) async fn create_flow(
    state: web::Data<State>,
    principal: Principal,
    body: OptionalJsonBody,
) -> Result<HttpResponse, ApiError> {
    let draft = read_new(&body.0)?;
    let created = create(&state, &principal, draft).await?;
    flow_answer(&state, StatusCode::CREATED, created).await
}

/// What a new flow begins with.
pub(in crate::api) fn read_new(body: &Map<String, Value>) -> Result<Draft, ApiError> {
    let mut fields = Fields::of(body);
    let name = read_name(&mut fields);
    let kind = fields.choice("kind", &KINDS);
    let document = read_document(&mut fields);
    if kind.is_some() && document.is_some() {
        fields.fail("kind", "The kind belongs in the document when there is one.");
    }
    fields.refuse_unknown();
    fields.finish()?;
    Ok(match (document, name) {
        (Some(document), None) => Draft::of(document),
        (Some(document), Some(name)) => Draft::of(document).renamed(&name),
        (None, name) => Draft::starter(name.as_deref().unwrap_or("Untitled"), kind.unwrap_or_default()),
    })
}

/// Keeps a new flow.
pub(in crate::api) async fn create(state: &State, principal: &Principal, draft: Draft) -> Result<FlowRow, ApiError> {
    let (id, now) = (FlowId(Uuid::now_v7()), state.runtime.clock().now());
    let (actor, bytes) = (principal.name.clone(), draft.len());
    let job = move |tx: &Tx<'_>| authoring::create(tx, id, &draft, &actor, now);
    let created = write_draft(state, principal, (id, bytes), job).await?;
    note_flow_change(state, &created.summary);
    Ok(created)
}

/// `GET /flows/{id}`: a flow with its draft and what is wrong with it.
pub(in crate::api) async fn get_flow(state: web::Data<State>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let flow = find(&state, &id).await?;
    flow_answer(&state, StatusCode::OK, flow).await
}

/// `PUT /flows/{id}`: replaces the draft that the author has read.
pub(in crate::api) async fn replace_flow(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let id: FlowId = id.parse().map_err(|_| not_found())?;
    let expected = read_if_match(&request)?.ok_or_else(|| {
        ApiError::refused(StatusCode::PRECONDITION_REQUIRED, "The header If-Match is missing.")
            .hint("Send the ETag that GET gave with the draft, so that nobody's work is overwritten.")
    })?;
    let mut fields = Fields::of(&body.fields);
    let document = read_document(&mut fields);
    if let Some(document) = document {
        match document.get("id").map(|id| id.as_str().and_then(|id| id.parse::<FlowId>().ok())) {
            None => {}
            Some(Some(named)) if named == id => {}
            Some(_) => fields.fail("document", "The document's id is another flow's: leave it out, or import it."),
        }
    } else if fields.value("document").is_none() {
        fields.fail("document", "The document field is required.");
    }
    fields.refuse_unknown();
    fields.finish()?;
    let draft = document.map(Draft::of).ok_or_else(not_found)?;
    let saved = replace(&state, &principal, id, expected, draft).await?;
    saved_answer(&state, saved).await
}

/// Replaces the draft that has the revision `expected`, or whatever is there.
pub(in crate::api) async fn replace(
    state: &State,
    principal: &Principal,
    id: FlowId,
    expected: Option<u32>,
    draft: Draft,
) -> Result<Saved, ApiError> {
    let (actor, now, bytes) = (principal.name.clone(), state.runtime.clock().now(), draft.len());
    let job = move |tx: &Tx<'_>| authoring::replace_draft(tx, id, expected, &draft, &actor, now);
    write_draft(state, principal, (id, bytes), job).await
}

/// The answer after a draft was saved, and the change for the feed.
pub(in crate::api) async fn saved_answer(state: &State, saved: Saved) -> Result<HttpResponse, ApiError> {
    match saved {
        Saved::Kept(flow) => {
            note_flow_change(state, &flow.summary);
            flow_answer(state, StatusCode::OK, flow).await
        }
        Saved::Stale(flow) => Err(stale(&flow)),
        Saved::NotFound => Err(not_found()),
    }
}

/// The refusal of a lost update.
pub(in crate::api) fn stale(flow: &FlowSummary) -> ApiError {
    let by = if flow.updated_by.is_empty() { "somebody" } else { flow.updated_by.as_str() };
    let text = format!("The draft has revision {} now, saved by {by}: yours was made from another.", flow.revision);
    ApiError::refused(StatusCode::PRECONDITION_FAILED, text)
        .with("revision", flow.revision)
        .with("updated_by", flow.updated_by.as_str())
        .with("updated_at", iso(Some(flow.updated_at)))
}

/// `DELETE /flows/{id}`: hides a flow that is not published and has no running session.
pub(in crate::api) async fn delete_flow(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: FlowId = id.parse().map_err(|_| not_found())?;
    let now = state.runtime.clock().now();
    let deed = Deed::new(AuditAction::FlowDeleted, principal.actor()).to(id);
    let recorded = deed.clone();
    let deleted = state.runtime.store().write_as(WriteClass::Essential, move |tx| {
        let Some(flow) = flows::find_summary(tx, id)? else { return Ok(None) };
        let is_in_use = flow.published_version.is_some() || !sessions::running_of_flow(tx, flow.seq, 0, 1)?.is_empty();
        if !is_in_use {
            flows::delete(tx, flow.seq, now)?;
            audit::record(tx, &recorded, now)?;
        }
        Ok(Some((flow, is_in_use)))
    });
    match deleted.await? {
        None => Err(not_found()),
        Some((_, true)) => {
            let text = "The flow is published, or has sessions that run.";
            Err(ApiError::refused(StatusCode::CONFLICT, text).hint("Stop it first: POST /flows/{id}/stop."))
        }
        Some((flow, false)) => {
            audit::log(&deed);
            note_flow_change(&state, &FlowSummary { revision: flow.revision + 1, ..flow });
            Ok(HttpResponse::NoContent().finish())
        }
    }
}

/// `POST /flows/validate`: what is wrong with a document. Saves nothing.
pub(in crate::api) async fn validate_flow(state: web::Data<State>, body: JsonBody) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(validation_view(&state, Value::Object(body.fields)).await?))
}

/// What is wrong with a document.
pub(in crate::api) async fn validation_view(state: &State, document: Value) -> Result<Validation, ApiError> {
    let problems = problems(state, document, None).await?;
    let is_publishable = authoring::is_publishable(&problems, false);
    Ok(Validation { problems, is_publishable })
}

/// `GET /flows/{id}/export`: the draft as a document that can be imported.
pub(in crate::api) async fn export_flow(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let flow = find(&state, &id).await?;
    let mut document = Map::new();
    document.insert("id".to_owned(), json!(flow.summary.id));
    if let Value::Object(fields) = parse_draft(&flow)? {
        document.extend(fields);
    }
    let file = format!("attachment; filename=\"{}.json\"", file_name(&flow.summary.name));
    Ok(HttpResponse::Ok().insert_header((CONTENT_DISPOSITION, file)).json(document))
}

/// `POST /flows/{id}/duplicate`: another flow with the same draft.
pub(in crate::api) async fn duplicate_flow(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
    body: OptionalJsonBody,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::of(&body.0);
    let name = read_name(&mut fields);
    fields.refuse_unknown();
    fields.finish()?;
    let flow = find(&state, &id).await?;
    let Value::Object(document) = parse_draft(&flow)? else { return Err(not_found()) };
    let name = name.unwrap_or_else(|| format!("{} (copy)", flow.summary.name));
    let draft = Draft::of(&document).renamed(&name);
    let created = create(&state, &principal, draft).await?;
    flow_answer(&state, StatusCode::CREATED, created).await
}

/// A flow without its document, as lists show it.
pub(in crate::api) fn listed_flow(conn: &Conn, flow: &FlowSummary) -> Result<ListedFlow> {
    Ok(ListedFlow {
        id: flow.id,
        kind: flow.kind.as_str(),
        name: flow.name.clone(),
        status: status_of(flow.published_version),
        revision: flow.revision,
        published_version: flow.published_version,
        published_at: flow.published_at.map(IsoTime),
        latest_version: flow.latest_version,
        has_changes: flow.has_changes,
        created_at: IsoTime(flow.created_at),
        updated_at: IsoTime(flow.updated_at),
        updated_by: flow.updated_by.clone(),
        sessions: session_counts(conn, flow.seq, None)?,
    })
}

/// The whole of a flow, with its revision as the ETag.
pub(in crate::api) async fn flow_answer(
    state: &State,
    status: StatusCode,
    flow: FlowRow,
) -> Result<HttpResponse, ApiError> {
    let revision = flow.summary.revision;
    Ok(view_answer(status, revision, &flow_view(state, flow).await?))
}

/// A flow's view as an answer.
pub(in crate::api) fn view_answer(status: StatusCode, revision: u32, view: &FlowDetail) -> HttpResponse {
    HttpResponse::build(status).insert_header((ETAG, format!("\"{revision}\""))).json(view)
}

/// The whole of a flow: its draft, too, and what is wrong with that.
pub(in crate::api) async fn flow_view(state: &State, flow: FlowRow) -> Result<FlowDetail, ApiError> {
    let document = parse_draft(&flow)?;
    let problems = problems(state, document.clone(), Some(flow.summary.id)).await?;
    let flow = read(state, move |conn| listed_flow(conn, &flow.summary)).await?;
    Ok(FlowDetail { flow, document: Some(document), problems, unchanged: None })
}

/// The flow of an id in a path.
pub(in crate::api) async fn find(state: &State, id: &str) -> Result<FlowRow, ApiError> {
    let id: FlowId = id.parse().map_err(|_| not_found())?;
    read(state, move |conn| flows::find(conn, id)).await?.ok_or_else(not_found)
}

/// A flow's draft, parsed.
pub(in crate::api) fn parse_draft(flow: &FlowRow) -> Result<Value, ApiError> {
    let parsed = serde_json::from_str(&flow.draft);
    Ok(parsed.map_err(|error| Error::internal("A draft is no JSON").caused_by(error))?)
}

/// Publishes that a flow has changed.
pub(in crate::api) fn note_flow_change(state: &State, flow: &FlowSummary) {
    let FlowSummary { id, revision, published_version, .. } = flow;
    state.runtime.publish_change(Change::Flow { id: *id, revision: *revision, published_version: *published_version });
}

/// The revision that `If-Match` names: `Some(None)` for `*`, which is any.
pub(in crate::api) fn read_if_match(request: &HttpRequest) -> Result<Option<Option<u32>>, ApiError> {
    let Some(header) = request.headers().get(IF_MATCH) else { return Ok(None) };
    let text = header.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(Some(None));
    }
    // A client that got the draft compressed has another tag of the same revision.
    let bare = plain_tag(text.strip_prefix("W/").unwrap_or(text).trim_matches('"'));
    let revision = bare.parse().map_err(|_| {
        ApiError::refused(StatusCode::BAD_REQUEST, "If-Match must be the ETag of the draft, such as \"7\".")
    })?;
    Ok(Some(Some(revision)))
}

fn read_name(fields: &mut Fields<'_>) -> Option<String> {
    let name = fields.text("name").map(str::trim)?;
    if name.is_empty() || name.chars().count() > NAME_CHARS || has_odd_characters(name) {
        fields.fail("name", format!("The name must have 1 to {NAME_CHARS} characters that can be seen."));
    }
    Some(name.to_owned())
}

/// A document that is kept as it is, unless it is too large even for that.
fn read_document<'a>(fields: &mut Fields<'a>) -> Option<&'a Map<String, Value>> {
    let document = match fields.value("document")? {
        Value::Object(document) => document,
        _ => {
            fields.fail("document", "The document must be an object.");
            return None;
        }
    };
    let bytes = Draft::of(document).len();
    if bytes > FlowDocument::MAX_BYTES {
        let limit = FlowDocument::MAX_BYTES;
        fields.fail("document", format!("The document has {bytes} bytes; at most {limit} are allowed."));
    }
    Some(document)
}

/// Checks a document outside the request's thread: compiling may take milliseconds.
async fn problems(state: &State, document: Value, id: Option<FlowId>) -> Result<Vec<Problem>, ApiError> {
    let runtime = state.runtime.clone();
    let checked = compute(state, "Checking a flow", move || runtime.check_document(&document, id)).await??;
    Ok(checked.map_or_else(|problems| problems, |checked| checked.problems))
}

/// A name that every file system takes.
fn file_name(name: &str) -> String {
    let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(60).collect();
    let safe = safe.trim_matches('-').to_ascii_lowercase();
    if safe.is_empty() { "flow".to_owned() } else { safe }
}
