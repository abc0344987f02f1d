//! `GET /triggers/…`: what clients poll for, as bare lists, newest first, at most a hundred. Ids stay what they are, so
//! that a client knows what it has seen. The cost of a list does not grow with the number of rows.

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::api::error::ApiError;
use crate::api::request::{Query, Reader};
use crate::api::state::{State, read};
use crate::domain::{FlowId, FlowKind, ReplyKind, Timestamp};
use crate::error::{Error, Result};
use crate::store::messages::{self, MessageRow};
use crate::store::sessions::StoredSession;
use crate::store::{Conn, contacts, flows, sessions};
use crate::views::flow::FlowKeys;
use crate::views::message::{ReceivedMessage, content};
use crate::views::session::TriggeredSession;

/// Rows of a list.
const MAX_ROWS: u32 = 100;

/// The types of messages that can be asked for, and how they are stored. The documented ones, and stickers.
const TYPES: [(&str, ReplyKind); 9] = [
    ("text", ReplyKind::Text),
    ("image", ReplyKind::Image),
    ("audio", ReplyKind::Audio),
    ("document", ReplyKind::Document),
    ("video", ReplyKind::Video),
    ("location", ReplyKind::Location),
    ("contacts", ReplyKind::Contacts),
    ("interactive", ReplyKind::Tap),
    ("sticker", ReplyKind::Sticker),
];

/// `GET /triggers/new-flow-triggered?flow_id=`: sessions of flows.
pub(in crate::api) async fn list_triggered_flows(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    triggered(&request, &state, FlowKind::Flow, "flow_id").await
}

/// `GET /triggers/new-sequence-triggered?sequence_id=`: sessions of sequences.
pub(in crate::api) async fn list_triggered_sequences(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    triggered(&request, &state, FlowKind::Sequence, "sequence_id").await
}

async fn triggered(
    request: &HttpRequest,
    state: &State,
    kind: FlowKind,
    key: &'static str,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read_leniently(request)?;
    let flow_id: Option<FlowId> = query.parsed(key);
    query.finish()?;
    let rows = read(state, move |conn| {
        let flow_seq = match flow_id {
            Some(id) => match flows::seq_of_any(conn, id)? {
                Some(seq) => Some(seq),
                // A flow that does not exist has started no session.
                None => return Ok(Vec::new()),
            },
            None => None,
        };
        let mut names = HashMap::new();
        let rows = sessions::newest_of_kind(conn, kind, flow_seq, MAX_ROWS)?;
        rows.iter().map(|row| session_view(conn, kind, row, &mut names)).collect::<Result<Vec<_>>>()
    });
    Ok(HttpResponse::Ok().json(rows.await?.into_iter().flatten().collect::<Vec<_>>()))
}

/// `None` if the contact was erased meanwhile.
fn session_view(
    conn: &Conn,
    kind: FlowKind,
    row: &StoredSession,
    names: &mut HashMap<i64, String>,
) -> Result<Option<TriggeredSession>> {
    let Some(contact) = contacts::find_by_seq(conn, row.contact_seq)?.map(|stored| stored.contact) else {
        return Ok(None);
    };
    let name = match names.get(&row.flow_seq) {
        Some(name) => name.clone(),
        None => {
            let name = flows::name_of(conn, row.flow_seq)?.unwrap_or_default();
            names.insert(row.flow_seq, name.clone());
            name
        }
    };
    let flow = FlowKeys::new(kind, row.session.flow_id, name);
    Ok(Some(TriggeredSession::new(&row.session, flow, contact.into())))
}

/// `GET /triggers/new-message-received?message_type=`: messages from people.
pub(in crate::api) async fn list_received_messages(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read_leniently(&request)?;
    let kind = query.choice("message_type", &TYPES);
    query.finish()?;
    let rows = read(&state, move |conn| {
        let kinds = match kind {
            Some(kind) => vec![kind.as_str()],
            None => TYPES.map(|(_, kind)| kind.as_str()).to_vec(),
        };
        let rows = messages::newest_received(conn, &kinds, MAX_ROWS)?;
        rows.iter().map(|row| message_view(conn, row)).collect::<Result<Vec<_>>>()
    });
    Ok(HttpResponse::Ok().json(rows.await?.into_iter().flatten().collect::<Vec<_>>()))
}

fn message_view(conn: &Conn, row: &MessageRow) -> Result<Option<ReceivedMessage>> {
    let Some(contact) = contacts::find_by_seq(conn, row.contact_seq)?.map(|stored| stored.contact) else {
        return Ok(None);
    };
    let body: Value = serde_json::from_str(&row.body)
        .map_err(|error| Error::internal("A stored message is no JSON").caused_by(error))?;
    let Some((_, kind)) = TYPES.iter().find(|(_, kind)| kind.as_str() == row.kind) else { return Ok(None) };
    let sent_at: Option<Timestamp> = body["sent_at"].as_str().and_then(|at| at.parse().ok());
    let content = content(*kind, body["text"].as_str(), body["option"].as_str(), body.get("media").cloned());
    let times = (sent_at, row.created_at);
    Ok(Some(ReceivedMessage::new((row.id, *kind, content), contact.into(), times)))
}

/// `GET /triggers/new-campaign-sent`: nothing, because there are no campaigns here.
pub(in crate::api) async fn list_sent_campaigns() -> HttpResponse {
    HttpResponse::Ok().json(json!([]))
}
