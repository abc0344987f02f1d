//! `GET /messages` and `/contacts/{id}/messages`: messages in both directions, and an agent's answers.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use crate::api::answer::trim_page;
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::public::actions::opted_out;
use crate::api::request::{
    Charge, Fields, JsonBody, Page, Query, Reader, answer_idempotent, idempotency_key, run_idempotent, scoped_to,
};
use crate::api::state::{State, read};
use crate::domain::{ContactId, Direction, Handling, MessageId, MessageStatus, Origin, Scope};
use crate::error::{Error, Result};
use crate::runtime::{Answer, Answered, Retried, why_it_waits};
use crate::store::{Conn, contacts};
use crate::store::{messages, messages::Filter, messages::MessageRow, messages::Which};
use crate::views::message::{ListedMessage, Message, MessageContent, Seen, Stage, TracedMessage, take};
use crate::views::{IsoTime, Listing};

/// Characters of an agent's answer at most, which is what WhatsApp takes.
const ANSWER_CHARS: usize = 4_096;

fn not_found() -> ApiError {
    ApiError::not_found("Contact not found")
}

/// What `status` asks for in the list of all messages.
const STATUSES: [(&str, Which); 10] = [
    ("received", Which::Status(MessageStatus::Received)),
    ("queued", Which::Status(MessageStatus::Queued)),
    ("sending", Which::Status(MessageStatus::Sending)),
    ("simulated", Which::Status(MessageStatus::Simulated)),
    ("sent", Which::Status(MessageStatus::Sent)),
    ("delivered", Which::Status(MessageStatus::Delivered)),
    ("read", Which::Status(MessageStatus::Read)),
    ("failed", Which::Status(MessageStatus::Failed)),
    ("unknown", Which::Status(MessageStatus::Unknown)),
    ("unrouted", Which::Unrouted),
];

/// Lists messages to and from all contacts, newest first. A page may be short before the end of the list.
pub(in crate::api) async fn list_messages(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read(&request)?;
    let which = query.choice("status", &STATUSES).unwrap_or(Which::All);
    let reason = query.text("reason");
    let is_seen = query.choice("seen", &[("true", true), ("false", false)]);
    let page = query.page();
    query.finish()?;
    let listed = read(&state, move |conn| {
        let filter = Filter { reason: reason.as_deref(), is_seen };
        let (rows, next) = messages::list(conn, which, filter, page.cursor, page.limit)?;
        let data = rows.iter().map(|row| listed_message(conn, row)).collect::<Result<Vec<_>>>()?;
        Ok(Listing { data, next_cursor: next.map(|seq| seq.to_string()) })
    });
    Ok(HttpResponse::Ok().json(listed.await?))
}

/// Lists a contact's messages, newest first.
pub(in crate::api) async fn list_contact_messages(
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

/// `POST /contacts/{id}/messages`: an agent or a system answers a contact.
pub(in crate::api) async fn answer_contact(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let contact_id: ContactId = id.parse().map_err(|_| not_found())?;
    let mut fields = Fields::of(&body.fields);
    let text = fields.required_text("text").map(str::to_owned);
    if text.as_ref().is_some_and(|text| text.chars().count() > ANSWER_CHARS) {
        fields.fail("text", format!("The text must not be longer than {ANSWER_CHARS} characters."));
    }
    if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
        fields.fail("text", "The text must not be blank.");
    }
    fields.refuse_unknown();
    let text = fields.finish_with(|| text)?;
    let key = scoped_to(idempotency_key(&request, &principal, "answer-contact", &body.raw)?, contact_id.0);
    let answer = Answer { contact_id, text, is_by_person: principal.scope >= Scope::Admin };
    let (outcome, is_replay) = run_idempotent(&state, Charge::Sent(&principal, body.raw.len()), key, answer).await?;
    let id = match outcome {
        Answered::Queued { id } => id,
        Answered::OptedOut => return Err(opted_out()),
        Answered::NotFound => return Err(not_found()),
    };
    let view = read(&state, move |conn| {
        messages::find_by_id(conn, id)?.map(|row| message_with_stages(conn, &row)).transpose()
    });
    Ok(answer_idempotent(StatusCode::ACCEPTED, &view.await?.ok_or_else(not_found)?, is_replay))
}

/// `POST /messages/{id}/retry`: queues a message of ours again that failed or is in doubt.
pub(in crate::api) async fn retry_message(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let not_found = || ApiError::not_found("Message not found");
    let id: MessageId = id.parse().map_err(|_| not_found())?;
    let retried = state.runtime.retry_message(id).await?;
    if let Some((reason, hint)) = retried.refusal() {
        let error = ApiError::refused(StatusCode::CONFLICT, "The message is not sent again.");
        return Err(error.with("reason", reason).hint(hint));
    }
    if retried == Retried::NotFound {
        return Err(not_found());
    }
    let found = read(&state, move |conn| match messages::find_by_id(conn, id)? {
        Some(row) => message_with_stages(conn, &row).map(Some),
        None => Ok(None),
    });
    Ok(HttpResponse::Accepted().json(found.await?.ok_or_else(not_found)?))
}

fn messages_view(conn: &Conn, contact_seq: i64, page: Page) -> Result<Listing<TracedMessage>> {
    let mut rows = messages::list_of_contact(conn, contact_seq, page.cursor, page.limit + 1)?;
    let next_cursor = trim_page(&mut rows, page.limit, |row| row.seq);
    let data = rows.iter().map(|row| message_with_stages(conn, row)).collect::<Result<Vec<_>>>()?;
    Ok(Listing { data, next_cursor })
}

/// A message with the contact that wrote or got it.
fn listed_message(conn: &Conn, row: &MessageRow) -> Result<ListedMessage> {
    let message = message_with_stages(conn, row)?;
    let contact = contacts::find_by_seq(conn, row.contact_seq)?.map(|stored| stored.contact.into());
    Ok(ListedMessage { message, contact })
}

/// A message as it is shown, with the stages of its way.
pub(in crate::api) fn message_with_stages(conn: &Conn, row: &MessageRow) -> Result<TracedMessage> {
    let stages = match row.direction {
        Direction::In => Vec::new(),
        Direction::Out => messages::stages(conn, row.seq)?,
    };
    let stages = stages.into_iter().map(|(stage, at)| Stage { stage, at: IsoTime(at) }).collect();
    Ok(TracedMessage { message: message_view(conn, row)?, stages })
}

/// A message as it is shown. Its options carry the session before their id, as channels send them.
pub(in crate::api) fn message_view(conn: &Conn, row: &MessageRow) -> Result<Message> {
    let mut body: Value = serde_json::from_str(&row.body)
        .map_err(|error| Error::internal("A stored message is no JSON").caused_by(error))?;
    let reason = match &row.reason {
        Some(reason) => Some(reason.clone()),
        None => why_it_waits(conn, row)?.map(String::from),
    };
    Ok(Message {
        id: row.id,
        contact_id: row.contact_id,
        direction: row.direction.as_str(),
        kind: row.kind.clone(),
        content: MessageContent::take(&mut body, row.session_id),
        pricing: row.pricing.as_deref().and_then(|pricing| serde_json::from_str(pricing).ok()),
        template: take(&mut body, "template"),
        sent: take(&mut body, "sent"),
        status: row.status.as_str(),
        reason,
        error: row.error.clone(),
        attempts: row.attempts,
        origin: row.origin.map(Origin::as_str),
        handled: row.handled.map(Handling::as_str),
        channel: row.channel.clone(),
        provider_id: row.provider_id.clone(),
        session_id: row.session_id,
        created_at: IsoTime(row.created_at),
        option: body.get_mut("option").map(Value::take),
        seen: row.seen.clone().map(|(at, by)| Seen { at: IsoTime(at), by }),
    })
}
