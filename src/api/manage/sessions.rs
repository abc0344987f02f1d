//! `GET /sessions/…`: where a conversation stands, and how it came there.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::messages::message_view;
use crate::api::answer::trim_page;
use crate::api::error::ApiError;
use crate::api::request::{Fields, OptionalJsonBody, Page, Query, Reader};
use crate::api::state::{State, read};
use crate::domain::{ContactId, FlowId, Reason, SessionId, Status, Timestamp};
use crate::error::{Error, Result};
use crate::runtime::{CancelSession, Ended, FireTimeout, Resume, Resumed};
use crate::store::messages::{self, MessageRow};
use crate::store::sessions::{Filter, StoredSession};
use crate::store::turns::{self, TurnRow};
use crate::store::{Conn, contacts, flows, sessions};
use crate::views::contact::HeldBy;
use crate::views::session::{ListedSession, SessionDetail, Turn};
use crate::views::{IsoTime, Listing};

pub(in crate::api) fn not_found() -> ApiError {
    ApiError::not_found("Session not found")
}

/// `GET /sessions?flow_id=&status=&contact_id=&waiting_for=`: sessions, newest first.
pub(in crate::api) async fn list_sessions(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read(&request)?;
    let flow_id: Option<FlowId> = query.parsed("flow_id");
    let contact_id: Option<ContactId> = query.parsed("contact_id");
    let status = query.choice("status", &Status::ALL.map(|status| (status.as_str(), status)));
    // What waits for anything else is too common to be found without a filter that has an index.
    let in_handoff = query.choice("waiting_for", &[("handoff", ())]).is_some();
    let page = query.page();
    query.finish()?;
    let wanted = Wanted { flow_id, contact_id, status, in_handoff };
    Ok(HttpResponse::Ok().json(list_view(&state, wanted, page).await?))
}

/// Which sessions a list shows.
pub(in crate::api) struct Wanted {
    /// Those of one flow.
    pub(in crate::api) flow_id: Option<FlowId>,
    /// Those of one person.
    pub(in crate::api) contact_id: Option<ContactId>,
    /// Those that stand so.
    pub(in crate::api) status: Option<Status>,
    /// Those that wait for a person.
    pub(in crate::api) in_handoff: bool,
}

/// A page of the list of sessions, newest first.
pub(in crate::api) async fn list_view(
    state: &State,
    wanted: Wanted,
    page: Page,
) -> Result<Listing<ListedSession>, ApiError> {
    let Wanted { flow_id, contact_id, status, in_handoff } = wanted;
    let now = state.runtime.clock().now();
    let listed = read(state, move |conn| {
        // An unknown flow or contact has no sessions: the list is empty.
        let flow_seq = flow_id.map(|id| flows::seq_of_any(conn, id)).transpose()?;
        let contact_seq = contact_id.map(|id| contacts::find_by_id(conn, id)).transpose()?;
        if matches!(flow_seq, Some(None)) || matches!(contact_seq, Some(None)) {
            return Ok(Listing { data: Vec::new(), next_cursor: None });
        }
        let contact_seq = contact_seq.flatten().map(|contact| contact.seq);
        let filter = Filter { flow_seq: flow_seq.flatten(), status, contact_seq };
        let mut rows = match in_handoff {
            true => sessions::list_in_handoff(conn, &filter, page.cursor, page.limit + 1)?,
            false => sessions::list(conn, &filter, page.cursor, page.limit + 1)?,
        };
        let next_cursor = trim_page(&mut rows, page.limit, |row| row.seq);
        let data = rows.iter().map(|row| listed_session(conn, row, now)).collect::<Result<Vec<_>>>()?;
        Ok(Listing { data, next_cursor })
    });
    listed.await
}

/// `GET /sessions/{id}`: one session.
pub(in crate::api) async fn get_session(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: SessionId = id.parse().map_err(|_| not_found())?;
    session_answer(&state, id).await
}

/// `POST /sessions/{id}/cancel`: ends a session.
pub(in crate::api) async fn cancel_session(
    state: web::Data<State>,
    id: web::Path<String>,
    body: OptionalJsonBody,
) -> Result<HttpResponse, ApiError> {
    let id: SessionId = id.parse().map_err(|_| not_found())?;
    let mut fields = Fields::of(&body.0);
    let reason = fields.reason();
    fields.refuse_unknown();
    fields.finish()?;
    let reason = reason.unwrap_or_else(|| Reason::Cancelled.into());
    let ended = state.runtime.handle(CancelSession { id, reason }).await?;
    moved(&state, id, ended).await
}

/// `POST /sessions/{id}/fire-timeout`: fires the timer of what a session waits for, before it is due.
pub(in crate::api) async fn fire_timeout(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: SessionId = id.parse().map_err(|_| not_found())?;
    let ended = state.runtime.handle(FireTimeout { id }).await?;
    moved(&state, id, ended).await
}

/// `POST /sessions/{id}/resume`: gives a session in handoff back to its flow.
pub(in crate::api) async fn resume_session(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: SessionId = id.parse().map_err(|_| not_found())?;
    match state.runtime.handle(Resume { id }).await? {
        Resumed::Done => session_answer(&state, id).await,
        Resumed::NotInHandoff => Err(ApiError::refused(StatusCode::CONFLICT, "The session is not in handoff.")),
        Resumed::NotRunning => Err(ApiError::refused(StatusCode::CONFLICT, "The session has ended.")),
        Resumed::NotFound => Err(not_found()),
    }
}

async fn moved(state: &State, id: SessionId, ended: Ended) -> Result<HttpResponse, ApiError> {
    match ended {
        Ended::Done { .. } => session_answer(state, id).await,
        Ended::NotRunning => Err(ApiError::refused(StatusCode::CONFLICT, "The session has ended.")),
        Ended::NoTimer => {
            Err(ApiError::refused(StatusCode::CONFLICT, "The session waits for nothing that has a timer.")
                .hint("Give the node a timeout_seconds, or answer it with POST /inbound."))
        }
        Ended::NotFound => Err(not_found()),
    }
}

async fn session_answer(state: &State, id: SessionId) -> Result<HttpResponse, ApiError> {
    let now = state.runtime.clock().now();
    let found = read(state, move |conn| {
        let Some(stored) = sessions::find_by_id(conn, id)? else { return Ok(None) };
        session_view(conn, &stored, now).map(Some)
    });
    Ok(HttpResponse::Ok().json(found.await?.ok_or_else(not_found)?))
}

/// A session with its context, as it stands at a time.
pub(in crate::api) fn session_view(conn: &Conn, stored: &StoredSession, now: Timestamp) -> Result<SessionDetail> {
    Ok(SessionDetail {
        session: listed_session(conn, stored, now)?,
        context: stored.session.context.clone(),
        reason_text: reason_text(conn, stored)?,
    })
}

/// Why a session did not come to its end, in words; `null` where nothing more is known than its status and reason.
fn reason_text(conn: &Conn, stored: &StoredSession) -> Result<Option<String>> {
    let session = &stored.session;
    if session.status != Status::Expired {
        return Ok(session.reason.as_deref().and_then(Reason::parse).and_then(Reason::of_session).map(str::to_owned));
    }
    let record: Value = match turns::last_expiry(conn, stored.seq)? {
        None => Value::Null,
        Some(record) => serde_json::from_str(&record)
            .map_err(|error| Error::internal("A stored turn is no JSON").caused_by(error))?,
    };
    let silent = record["path"].as_array().and_then(|path| path.first());
    let told = silent.and_then(|step| Some((step["node"].as_str()?, step["why"].as_str()?)));
    Ok(match (told, &session.current_node) {
        (Some((node, why)), _) => Some(format!("At `{node}`: {why}.")),
        // It expired before traces had a reason.
        (None, Some(node)) => Some(format!("Nothing came at `{node}` for as long as a session of this flow lives.")),
        (None, None) => None,
    })
}

/// A session as lists show it.
fn listed_session(conn: &Conn, stored: &StoredSession, now: Timestamp) -> Result<ListedSession> {
    let session = &stored.session;
    let contact = contacts::find_by_seq(conn, stored.contact_seq)?;
    // While the conversation is held, the session stands still.
    let held = contact.as_ref().and_then(|contact| contact.held);
    let held = held.filter(|held| held.is_on(now) && session.status == Status::Running);
    let contact = contact.map(|stored| stored.contact.into());
    let flow_name = flows::name_of(conn, stored.flow_seq)?;
    Ok(ListedSession::new(session, flow_name, contact, held.map(HeldBy::from)))
}

/// `GET /sessions/{id}/turns`: the trace, oldest first.
pub(in crate::api) async fn list_turns(
    request: HttpRequest,
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: SessionId = id.parse().map_err(|_| not_found())?;
    let page = Page::read(&request)?;
    let listed = read(&state, move |conn| match sessions::find_by_id(conn, id)? {
        Some(stored) => turns_view(conn, stored.seq, page).map(Some),
        None => Ok(None),
    });
    Ok(HttpResponse::Ok().json(listed.await?.ok_or_else(not_found)?))
}

/// A page of a session's trace, oldest first.
pub(in crate::api) fn turns_view(conn: &Conn, session_seq: i64, page: Page) -> Result<Listing<Turn>> {
    let mut rows = turns::list(conn, session_seq, page.cursor.unwrap_or(0), page.limit + 1)?;
    let next_cursor = trim_page(&mut rows, page.limit, |row| row.seq);
    Ok(Listing { data: turn_views(conn, &rows)?, next_cursor })
}

/// Turns as they are shown, with their messages.
pub(in crate::api) fn turn_views(conn: &Conn, rows: &[TurnRow]) -> Result<Vec<Turn>> {
    let wanted: Vec<i64> = rows.iter().flat_map(|row| row.messages.iter().copied()).collect();
    let said: HashMap<i64, MessageRow> =
        messages::by_seqs(conn, &wanted)?.into_iter().map(|message| (message.seq, message)).collect();
    let view = |row: &TurnRow| {
        let record = serde_json::from_str(&row.record)
            .map_err(|error| Error::internal("A stored turn is no JSON").caused_by(error))?;
        let messages = row.messages.iter().filter_map(|seq| said.get(seq)).map(|said| message_view(conn, said));
        Ok(Turn { record, at: IsoTime(row.at), messages: messages.collect::<Result<Vec<_>>>()? })
    };
    rows.iter().map(view).collect()
}
