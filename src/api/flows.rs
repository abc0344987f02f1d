//! `POST /flows/…`: documents in, versions out.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use uuid::Uuid;

use super::auth::Principal;
use super::error::ApiError;
use super::request::{Fields, JsonBody, OptionalJsonBody};
use super::{State, iso, read};
use crate::domain::{FlowId, Problem, Severity};
use crate::error::{Error, Result};
use crate::runtime::authoring::{self, CheckedDocument};
use crate::store::flows::{self, FlowRow};

/// Characters of a publisher's note at most.
const NOTE_CHARS: usize = 1_000;

fn not_found() -> ApiError {
    ApiError::not_found("Flow not found")
}

fn refused(problems: &[Problem]) -> ApiError {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let text = format!("The flow has {errors} {} to mend.", if errors == 1 { "problem" } else { "problems" });
    ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, text).with("problems", json!(problems))
}

/// `POST /flows/import?publish=`: creates a flow, or replaces the draft of the one that the document names.
pub(super) async fn import_flow(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let publish = match request.query_string() {
        "" | "publish=false" => false,
        "publish=true" => true,
        _ => {
            let text = "The query may be publish=true or publish=false.".to_owned();
            return Err(ApiError::Validation(vec![("publish".to_owned(), text)]));
        }
    };
    let checked = check(&state, Value::Object(body.fields)).await?.map_err(|problems| refused(&problems))?;
    if publish && !checked.is_publishable(false) {
        return Err(refused(&checked.problems));
    }
    let now = state.runtime.clock().now();
    let (new_id, actor, problems) = (FlowId(Uuid::now_v7()), principal.name, checked.problems.clone());
    let (flow, is_new) = state
        .runtime
        .store()
        .write(move |tx| {
            let existed = flows::find(tx, checked.document.id.unwrap_or(new_id))?.is_some();
            let mut flow = authoring::save_draft(tx, &checked, new_id, now)?;
            if publish {
                authoring::publish(tx, flow.id, &checked, None, &actor, now)?;
                flow = flows::find(tx, flow.id)?.unwrap_or(flow);
            }
            Ok((flow, !existed))
        })
        .await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(HttpResponse::build(status).json(flow_view(&flow, &problems)))
}

fn flow_view(flow: &FlowRow, problems: &[Problem]) -> Value {
    json!({
        "id": flow.id,
        "name": flow.name,
        "status": if flow.published_version.is_some() { "published" } else { "draft" },
        "revision": flow.revision,
        "published_version": flow.published_version,
        "problems": problems,
    })
}

/// `POST /flows/{id}/publish`: makes the draft the next version, which never changes.
pub(super) async fn publish_flow(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
    body: OptionalJsonBody,
) -> Result<HttpResponse, ApiError> {
    let id: FlowId = id.parse().map_err(|_| not_found())?;
    let mut fields = Fields::of(&body.0);
    let note = fields.text("note").map(str::to_owned);
    if note.as_ref().is_some_and(|note| note.chars().count() > NOTE_CHARS) {
        fields.fail("note", format!("The note must not be longer than {NOTE_CHARS} characters."));
    }
    let force = match fields.value("force") {
        None => false,
        Some(Value::Bool(force)) => *force,
        Some(_) => {
            fields.fail("force", "The force field must be true or false.");
            false
        }
    };
    fields.refuse_unknown();
    fields.finish()?;

    let flow = read(&state, move |conn| flows::find(conn, id)).await?.ok_or_else(not_found)?;
    let draft =
        serde_json::from_str(&flow.draft).map_err(|error| Error::internal("A draft is no JSON").caused_by(error))?;
    let checked = check(&state, draft).await?.map_err(|problems| refused(&problems))?;
    if !checked.is_publishable(force) {
        return Err(refused(&checked.problems));
    }
    let now = state.runtime.clock().now();
    let problems = checked.problems.clone();
    let version = state
        .runtime
        .store()
        .write(move |tx| authoring::publish(tx, id, &checked, note.as_deref(), &principal.name, now))
        .await?;
    Ok(HttpResponse::Ok().json(json!({
        "id": id, "name": flow.name, "version": version, "published_at": iso(Some(now)), "problems": problems
    })))
}

/// Checks a document outside the writer and the request's thread: compiling may take milliseconds.
async fn check(state: &State, document: Value) -> Result<Result<CheckedDocument, Vec<Problem>>, ApiError> {
    let default_ttl = state.runtime.default_ttl();
    web::block(move || CheckedDocument::check(&document, default_ttl))
        .await
        .map_err(|error| Error::internal("Checking a flow panicked").caused_by(error).into())
}
