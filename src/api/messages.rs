//! `GET /contacts/{id}/messages`: what was said, both ways.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::error::ApiError;
use super::request::Page;
use super::{State, iso, read};
use crate::domain::ContactId;
use crate::error::{Error, Result};
use crate::store::messages::{self, MessageRow};
use crate::store::{Conn, contacts};

fn not_found() -> ApiError {
    ApiError::not_found("Contact not found")
}

/// Lists a contact's messages, newest first.
pub(super) async fn list_messages(
    request: HttpRequest,
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: ContactId = id.parse().map_err(|_| not_found())?;
    let page = Page::read(&request)?;
    let listed = read(&state, move |conn| match contacts::find_by_id(conn, id)? {
        Some(contact) => messages_view(conn, contact.seq, page).map(Some),
        None => Ok(None),
    });
    Ok(HttpResponse::Ok().json(listed.await?.ok_or_else(not_found)?))
}

fn messages_view(conn: &Conn, contact_seq: i64, page: Page) -> Result<Value> {
    let mut rows = messages::list_of_contact(conn, contact_seq, page.cursor, page.limit + 1)?;
    let next = super::cut(&mut rows, page.limit, |row| row.seq);
    let data = rows.iter().map(message_view).collect::<Result<Vec<_>>>()?;
    Ok(json!({"data": data, "next_cursor": next}))
}

/// A message as it is shown. Its options carry the session before their id, as channels send them.
pub(super) fn message_view(row: &MessageRow) -> Result<Value> {
    let body: Value = serde_json::from_str(&row.body)
        .map_err(|error| Error::internal("A stored message is no JSON").caused_by(error))?;
    let mut view = json!({
        "id": row.id,
        "direction": row.direction.as_str(),
        "type": row.kind,
        "text": body["text"],
        "options": null,
        "media": body["media"],
        "template": body["template"],
        "status": row.status.as_str(),
        "reason": row.reason,
        "handled": row.handled,
        "channel": row.channel,
        "provider_id": row.provider_id,
        "session_id": row.session_id,
        "created_at": iso(Some(row.created_at)),
    });
    if let (Some(options), Some(session)) = (body["options"].as_array(), row.session_id) {
        let shown = options.iter().map(|option| {
            let mut option = option.clone();
            option["id"] = json!(format!("{session}:{}", option["id"].as_str().unwrap_or_default()));
            option
        });
        view["options"] = shown.collect();
    }
    if let Some(option) = body.get("option") {
        view["option"] = option.clone();
    }
    Ok(view)
}
