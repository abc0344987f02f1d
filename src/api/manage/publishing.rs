//! `/flows/…`: from a draft to versions, and back.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use uuid::Uuid;

use super::draft_room::write_draft;
use super::flows::{
    find, flow_view, listed_flow, not_found, note_flow_change, parse_draft, read_if_match, replace, saved_answer,
    stale, view_answer,
};
use crate::api::answer::trim_page;
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Fields, JsonBody, OptionalJsonBody, Page, Query, Reader};
use crate::api::state::{State, compute, read};
use crate::domain::audit::{AuditAction, Deed};
use crate::domain::{FlowId, Problem};
use crate::error::{Error, Result};
use crate::runtime::Stopped;
use crate::runtime::authoring::{self, CheckedDocument, Draft};
use crate::runtime::publishing::{self, Consent, Publishable, Published, Refused};
use crate::store::flows::{self, VersionRow};
use crate::store::{WriteClass, audit, sessions};
use crate::views::flow::{PublishAnswer, StopAnswer, StopForeseen, Version};
use crate::views::{IsoTime, Listing};

/// Characters of a publisher's note at most.
const NOTE_CHARS: usize = 1_000;

/// The answer to a document that has errors.
pub(in crate::api) fn refused(problems: &[Problem]) -> ApiError {
    unpublishable(Refused::of(problems.to_vec(), &Consent::default()))
}

/// The answer to a document that is not published.
fn unpublishable(refused: Refused) -> ApiError {
    let answer = ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, refused.to_string());
    let ids = json!(refused.to_accept());
    let answer = answer.with("problems", json!(refused.problems));
    if ids == json!([]) {
        return answer;
    }
    let hint = format!(
        "Wire an exit to each of these nodes or remove it. If they are meant to stay, publish with \"accept\": {ids}."
    );
    answer.with("accept", ids).hint(&hint)
}

/// `POST /flows/import?publish=&accept=`: creates a flow, or replaces the draft of the one that the document names.
pub(in crate::api) async fn import_flow(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read(&request)?;
    let publish = query.choice("publish", &[("true", true), ("false", false)]).unwrap_or(false);
    let mut consent = Consent::default();
    for id in query.text("accept").iter().flat_map(|ids| ids.split(',')) {
        if let Err(sentence) = consent.accept(id.trim()) {
            query.fail("accept", sentence);
        }
    }
    query.finish()?;
    let document = Value::Object(body.fields);
    let import = match publish {
        true => Import::Published(prepare(&state, document, None, consent).await?),
        // A draft need not pass its test cases yet.
        false => Import::Draft(check(&state, document).await?),
    };
    let expected = read_if_match(&request)?.flatten();
    let now = state.runtime.clock().now();
    let (new_id, actor, by) = (FlowId(Uuid::now_v7()), principal.name.clone(), principal.actor());
    let (id, bytes) = (import.checked().document.id.unwrap_or(new_id), import.checked().json.len());
    if publish {
        // Its version is stored besides its draft.
        state.charge(&principal, bytes)?;
    }
    let imported = write_draft(&state, &principal, (id, bytes), move |tx| {
        let existing = flows::find_summary(tx, id)?;
        match existing {
            Some(existing) if expected.is_some_and(|expected| expected != existing.revision) => {
                return Ok(Err(existing));
            }
            _ => {}
        }
        let (flow, published) = match &import {
            Import::Published(publishable) => {
                let (flow, published) = publishing::import_published(tx, publishable, new_id, (None, &actor), now)?;
                if let Some(deed) = publishing::deed_of(&published, flow.summary.id, by.clone()) {
                    audit::record(tx, &deed, now)?;
                }
                (flow, Some(published))
            }
            Import::Draft(checked) => (authoring::import(tx, checked, new_id, &actor, now)?, None),
        };
        Ok(Ok((flow, published, existing.is_none())))
    });
    let (flow, published, is_new) = imported.await?.map_err(|existing| stale(&existing))?;
    let deed = published.as_ref().and_then(|it| publishing::deed_of(it, flow.summary.id, principal.actor()));
    deed.iter().for_each(audit::log);
    note_flow_change(&state, &flow.summary);
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let revision = flow.summary.revision;
    let mut view = flow_view(&state, flow).await?;
    view.unchanged = published.map(|published| matches!(published, Published::Unchanged(_)));
    Ok(view_answer(status, revision, &view))
}

/// An imported document, checked as a draft or for publishing.
enum Import {
    Draft(CheckedDocument),
    Published(Publishable),
}

impl Import {
    fn checked(&self) -> &CheckedDocument {
        match self {
            Self::Draft(checked) => checked,
            Self::Published(publishable) => publishable.checked(),
        }
    }
}

/// `POST /flows/{id}/publish`: makes the draft the next version, which never changes.
pub(in crate::api) async fn publish_flow(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
    body: OptionalJsonBody,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::of(&body.0);
    let note = read_note(&mut fields);
    let mut consent = read_accept(&mut fields);
    consent.force = fields.boolean("force").unwrap_or(false);
    fields.refuse_unknown();
    fields.finish()?;
    let publication = Publication { note, consent, expected: read_if_match(&request)?.flatten() };
    Ok(HttpResponse::Ok().json(publish(&state, &id, &principal, publication).await?))
}

/// How a draft is to be published.
pub(in crate::api) struct Publication {
    /// What its publisher has to say of it.
    pub(in crate::api) note: Option<String>,
    /// What does not keep it from being published.
    pub(in crate::api) consent: Consent,
    /// The revision that its publisher has read; `None` is any.
    pub(in crate::api) expected: Option<u32>,
}

/// What a publisher has to say.
pub(in crate::api) fn read_note(fields: &mut Fields<'_>) -> Option<String> {
    let note = fields.text("note").map(str::to_owned);
    if note.as_ref().is_some_and(|note| note.chars().count() > NOTE_CHARS) {
        fields.fail("note", format!("The note must not be longer than {NOTE_CHARS} characters."));
    }
    note
}

/// The warnings that a publisher accepts.
pub(in crate::api) fn read_accept(fields: &mut Fields<'_>) -> Consent {
    let mut consent = Consent::default();
    for id in fields.list("accept").into_iter().flatten() {
        let accepted =
            id.as_str().map_or_else(|| Err("The accept must be a list of names.".to_owned()), |id| consent.accept(id));
        if let Err(sentence) = accepted {
            fields.fail("accept", sentence);
        }
    }
    consent
}

/// Makes the draft of the flow with that id the next version, unless it is published already, and returns the version.
pub(in crate::api) async fn publish(
    state: &web::Data<State>,
    id: &str,
    principal: &Principal,
    Publication { note, consent, expected }: Publication,
) -> Result<PublishAnswer, ApiError> {
    let flow = find(state, id).await?;
    if expected.is_some_and(|expected| expected != flow.summary.revision) {
        return Err(stale(&flow.summary));
    }
    let draft = parse_draft(&flow)?;
    let publishable = prepare(state, draft, Some(flow.summary.id), consent).await?;
    state.charge(principal, flow.draft.len())?;
    let now = state.runtime.clock().now();
    let (id, revision) = (flow.summary.id, flow.summary.revision);
    let problems = publishable.checked().problems.clone();
    let (publisher, by) = (principal.name.clone(), principal.actor());
    let published = state.runtime.store().write(move |tx| {
        let published = publishing::publish(tx, (id, revision), &publishable, note.as_deref(), &publisher, now)?;
        if let Some(deed) = publishing::deed_of(&published, id, by.clone()) {
            audit::record(tx, &deed, now)?;
        }
        Ok((published, flows::find_summary(tx, id)?))
    });
    let published = published.await?;
    publishing::deed_of(&published.0, id, principal.actor()).iter().for_each(audit::log);
    let (version, published_at, unchanged) = match published {
        (Published::Version(version), summary) => {
            summary.iter().for_each(|summary| note_flow_change(state, summary));
            (version, Some(now), false)
        }
        (Published::Unchanged(version), summary) => (version, summary.and_then(|flow| flow.published_at), true),
        (Published::Stale(flow), _) => return Err(stale(&flow)),
        (Published::NotFound, _) => return Err(not_found()),
    };
    let (name, published_at) = (flow.summary.name, published_at.map(IsoTime));
    Ok(PublishAnswer { id, name, version, published_at, unchanged, problems })
}

/// `POST /flows/{id}/unpublish`: no new sessions; those that run go on.
pub(in crate::api) async fn unpublish_flow(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: FlowId = id.parse().map_err(|_| not_found())?;
    let now = state.runtime.clock().now();
    let deed = Deed::new(AuditAction::FlowUnpublished, principal.actor()).to(id);
    let recorded = deed.clone();
    let unpublished = state.runtime.store().write_as(WriteClass::Essential, move |tx| {
        let Some(seq) = flows::seq_of(tx, id)? else { return Ok(None) };
        flows::unpublish(tx, seq, now)?;
        audit::record(tx, &recorded, now)?;
        flows::find_summary(tx, id)
    });
    let flow = unpublished.await?.ok_or_else(not_found)?;
    audit::log(&deed);
    note_flow_change(&state, &flow);
    Ok(HttpResponse::Ok().json(read(&state, move |conn| listed_flow(conn, &flow)).await?))
}

/// `GET /flows/{id}/stop`: what stopping the flow would end, for a question before it.
pub(in crate::api) async fn foresee_stop(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: FlowId = id.parse().map_err(|_| not_found())?;
    let counted = read(&state, move |conn| {
        flows::seq_of(conn, id)?.map(|seq| sessions::count_running_of_flow(conn, seq)).transpose()
    });
    let (running_sessions, queued_messages) = counted.await?.ok_or_else(not_found)?;
    Ok(HttpResponse::Ok().json(StopForeseen { id, running_sessions, queued_messages }))
}

/// `POST /flows/{id}/stop`: unpublishes, cancels the flow's sessions and drops what they have queued.
pub(in crate::api) async fn stop_flow(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: FlowId = id.parse().map_err(|_| not_found())?;
    let stopped = state.runtime.stop_flow(id, principal.actor()).await?.ok_or_else(not_found)?;
    if let Some(flow) = read(&state, move |conn| flows::find_summary(conn, id)).await? {
        note_flow_change(&state, &flow);
    }
    let Stopped { cancelled, dropped_messages, failed } = stopped;
    let failed = Some(failed).filter(|failed| *failed > 0);
    Ok(HttpResponse::Ok().json(StopAnswer { id, cancelled, dropped_messages, failed }))
}

/// `GET /flows/{id}/versions`: what was published, newest first.
pub(in crate::api) async fn list_versions(
    request: HttpRequest,
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: FlowId = id.parse().map_err(|_| not_found())?;
    let page = Page::read(&request)?;
    let listed = read(&state, move |conn| {
        let Some(flow) = flows::find_summary(conn, id)? else { return Ok(None) };
        let before = page.cursor.map(|cursor| u32::try_from(cursor).unwrap_or(u32::MAX));
        let mut rows = flows::versions(conn, flow.seq, before, page.limit + 1)?;
        let next_cursor = trim_page(&mut rows, page.limit, |row| i64::from(row.version));
        let data = rows.into_iter().map(|row| version_view(row, flow.published_version, None)).collect();
        Ok(Some(Listing::<Version> { data, next_cursor }))
    });
    Ok(HttpResponse::Ok().json(listed.await?.ok_or_else(not_found)?))
}

/// `GET /flows/{id}/versions/{n}`: a version with its document.
pub(in crate::api) async fn get_version(
    state: web::Data<State>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (row, current, document) = find_version(&state, &path).await?;
    Ok(HttpResponse::Ok().json(version_view(row, current, Some(document))))
}

/// `POST /flows/{id}/versions/{n}/restore`: copies a version into the draft.
pub(in crate::api) async fn restore_version(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let expected = read_if_match(&request)?.flatten();
    let (_, _, document) = find_version(&state, &path).await?;
    let id: FlowId = path.0.parse().map_err(|_| not_found())?;
    let draft = document.as_object().map(Draft::of).ok_or_else(not_found)?;
    let restored = replace(&state, &principal, id, expected, draft).await?;
    saved_answer(&state, restored).await
}

async fn find_version(
    state: &State,
    (id, number): &(String, String),
) -> Result<(VersionRow, Option<u32>, Value), ApiError> {
    let id: FlowId = id.parse().map_err(|_| not_found())?;
    let no_version = || ApiError::not_found("Version not found");
    let number: u32 = number.parse().map_err(|_| no_version())?;
    let found = read(state, move |conn| {
        let Some(flow) = flows::find_summary(conn, id)? else { return Ok(None) };
        let row = flows::versions(conn, flow.seq, number.checked_add(1), 1)?.pop().filter(|row| row.version == number);
        let document = flows::version_document(conn, flow.seq, number)?;
        Ok(Some((flow, row.zip(document))))
    });
    let (flow, version) = found.await?.ok_or_else(not_found)?;
    let (row, document) = version.ok_or_else(no_version)?;
    let document = serde_json::from_str(&document)
        .map_err(|error| Error::internal("A published flow is no JSON").caused_by(error))?;
    Ok((row, flow.published_version, document))
}

fn version_view(row: VersionRow, current: Option<u32>, document: Option<Value>) -> Version {
    let VersionRow { version, note, actor, published_at } = row;
    let is_current = current == Some(version);
    Version { version, note, actor, published_at: IsoTime(published_at), is_current, document }
}

/// Checks a document that is to be kept: outside the writer and the request's thread, because compiling takes
/// milliseconds.
async fn check(state: &web::Data<State>, document: Value) -> Result<CheckedDocument, ApiError> {
    let runtime = state.runtime.clone();
    let checking = compute(state, "Checking a flow", move || runtime.check_document(&document, None));
    checking.await??.map_err(|problems| refused(&problems))
}

/// Checks a document that is to be published, outside the writer and the request's thread, too.
async fn prepare(
    state: &web::Data<State>,
    document: Value,
    id: Option<FlowId>,
    consent: Consent,
) -> Result<Publishable, ApiError> {
    let runtime = state.runtime.clone();
    let checking = compute(state, "Checking a flow", move || {
        publishing::prepare(runtime.store(), &runtime.server_facts(), &document, id, &consent)
    });
    checking.await??.map_err(unpublishable)
}
