//! `GET /dropdowns/…`: what can be chosen in a client's form, as bare lists of an id and a label.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::api::error::ApiError;
use crate::api::request::{Query, Reader};
use crate::api::state::{State, read};
use crate::domain::{FlowKind, Placeholder, TemplateId};
use crate::store::{flows, templates};

/// What can be chosen.
#[derive(Serialize)]
struct Choice<I> {
    id: I,
    label: String,
}

/// `GET /dropdowns/flows`: what `trigger-flow` can start.
pub(in crate::api) async fn list_flow_choices(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    published(&state, FlowKind::Flow).await
}

/// `GET /dropdowns/sequences`: what `trigger-sequence` can start.
pub(in crate::api) async fn list_sequence_choices(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    published(&state, FlowKind::Sequence).await
}

async fn published(state: &State, kind: FlowKind) -> Result<HttpResponse, ApiError> {
    let mut rows = read(state, flows::list).await?;
    rows.retain(|flow| flow.kind == kind && flow.published_version.is_some());
    rows.sort_by_cached_key(|flow| flow.name.to_lowercase());
    let choices = rows.into_iter().map(|flow| Choice { id: flow.id, label: flow.name });
    Ok(HttpResponse::Ok().json(choices.collect::<Vec<_>>()))
}

/// `GET /dropdowns/templates`: what can be sent, in one language at least.
pub(in crate::api) async fn list_template_choices(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let channel = state.runtime.channel().name();
    let groups = read(&state, move |conn| templates::groups(conn, channel)).await?;
    let sendable = groups.into_iter().filter(|group| group.can_be_sent());
    let choices = sendable.map(|group| Choice { id: group.id, label: group.name });
    Ok(HttpResponse::Ok().json(choices.collect::<Vec<_>>()))
}

/// `GET /dropdowns/template-variables?template_id=`: the keys of a template's `variables`, in the order of its text.
pub(in crate::api) async fn list_variable_choices(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read_leniently(&request)?;
    let id: Option<TemplateId> = query.parsed("template_id");
    if query.text("template_id").is_none() {
        query.fail("template_id", "The template id field is required.");
    }
    let id = query.finish_with(|| id)?;
    let channel = state.runtime.channel().name();
    let group = read(&state, move |conn| templates::find_group(conn, channel, id)).await?;
    let group = group.ok_or_else(|| ApiError::not_found("Template not found"))?;
    let placeholders = group.shown().map(|template| template.placeholders()).unwrap_or_default();
    let choices =
        placeholders.into_iter().map(|placeholder| Choice { label: label(&placeholder), id: placeholder.key });
    Ok(HttpResponse::Ok().json(choices.collect::<Vec<_>>()))
}

fn label(placeholder: &Placeholder) -> String {
    let key = &placeholder.key;
    match key.split_once('.') {
        Some(("header", _)) if placeholder.is_media => "Header: link to the medium".to_owned(),
        Some(("header", _)) => "Header".to_owned(),
        Some(("button", index)) => format!("Button {}", index.parse::<usize>().unwrap_or_default() + 1),
        _ => format!("{{{{{key}}}}}"),
    }
}
