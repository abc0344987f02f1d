//! `GET /sessions/…`: where a conversation stands, and how it came there.

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::error::ApiError;
use super::messages::message_view;
use super::request::Page;
use super::{State, iso, read};
use crate::domain::SessionId;
use crate::error::{Error, Result};
use crate::store::messages::{self, MessageRow};
use crate::store::sessions::StoredSession;
use crate::store::{Conn, flows, sessions, turns};

fn not_found() -> ApiError {
    ApiError::not_found("Session not found")
}

/// `GET /sessions/{id}`: one session.
pub(super) async fn get_session(state: web::Data<State>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let id: SessionId = id.parse().map_err(|_| not_found())?;
    let found = read(&state, move |conn| {
        let Some(stored) = sessions::find_by_id(conn, id)? else { return Ok(None) };
        let flow = flows::find_by_seq(conn, stored.flow_seq)?;
        Ok(Some(session_view(&stored, flow.map(|flow| flow.name).as_deref())))
    });
    Ok(HttpResponse::Ok().json(found.await?.ok_or_else(not_found)?))
}

fn session_view(stored: &StoredSession, flow_name: Option<&str>) -> Value {
    let session = &stored.session;
    json!({
        "id": session.id,
        "flow_id": session.flow_id,
        "flow_name": flow_name,
        "version": session.version,
        "contact_id": session.contact_id,
        "status": session.status,
        "reason": session.reason,
        "outcome": session.outcome,
        "current_node_id": session.current_node,
        "waiting_for": session.wait.as_ref().map(|wait| wait.kind),
        "wake_at": iso(session.wait.as_ref().and_then(|wait| wait.wake_at)),
        "expires_at": iso(session.expires_at),
        "context": session.context,
        "turn": session.turn,
        "started_at": iso(Some(session.started_at)),
        "last_interaction_at": iso(Some(session.last_interaction_at)),
        "ended_at": iso(session.ended_at),
    })
}

/// `GET /sessions/{id}/turns`: the trace, oldest first.
pub(super) async fn list_turns(
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

fn turns_view(conn: &Conn, session_seq: i64, page: Page) -> Result<Value> {
    let mut rows = turns::list(conn, session_seq, page.cursor.unwrap_or(0), page.limit + 1)?;
    let next = super::cut(&mut rows, page.limit, |row| row.seq);
    let wanted: Vec<i64> = rows.iter().flat_map(|row| row.messages.iter().copied()).collect();
    let said: HashMap<i64, MessageRow> =
        messages::by_seqs(conn, &wanted)?.into_iter().map(|message| (message.seq, message)).collect();
    let mut data = Vec::with_capacity(rows.len());
    for row in rows {
        let mut turn: Value = serde_json::from_str(&row.record)
            .map_err(|error| Error::internal("A stored turn is no JSON").caused_by(error))?;
        turn["at"] = iso(Some(row.at));
        let views =
            row.messages.iter().filter_map(|seq| said.get(seq)).map(message_view).collect::<Result<Vec<_>>>()?;
        turn["messages"] = json!(views);
        data.push(turn);
    }
    Ok(json!({"data": data, "next_cursor": next}))
}
