//! `GET /events`: what changes, as it changes, as server-sent events.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::watch;

use crate::api::auth::{Principal, is_still_let_through};
use crate::api::error::ApiError;
use crate::api::request::{Query, Reader};
use crate::api::state::State;
use crate::api::state::watchers::Watcher;
use crate::domain::{ContactId, FlowId, SessionId};
use crate::runtime::Change;

/// Interval at which a comment line is sent, so that no proxy takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Changes that one chunk carries at most.
const CHUNK: usize = 64;

/// What a watcher subscribes to; `None` is everything.
#[derive(Debug, Default)]
struct Interest {
    flow: Option<FlowId>,
    contact: Option<ContactId>,
    session: Option<SessionId>,
}

impl Interest {
    fn covers(&self, change: &Change) -> bool {
        match change {
            Change::Session { id, flow_id, contact_id, .. }
            | Change::Handoff { session_id: id, flow_id, contact_id, .. } => {
                self.flow.is_none_or(|wanted| wanted == *flow_id)
                    && self.contact.is_none_or(|wanted| wanted == *contact_id)
                    && self.session.is_none_or(|wanted| wanted == *id)
            }
            Change::Message { flow_id, contact_id, session_id, .. } => {
                self.flow.is_none_or(|wanted| *flow_id == Some(wanted))
                    && self.contact.is_none_or(|wanted| wanted == *contact_id)
                    && self.session.is_none_or(|wanted| *session_id == Some(wanted))
            }
            Change::Flow { id, .. } => {
                self.flow.is_none_or(|wanted| wanted == *id) && self.contact.is_none() && self.session.is_none()
            }
            Change::Templates { .. } => self.flow.is_none() && self.contact.is_none() && self.session.is_none(),
            // It concerns every subscriber.
            Change::Channel { .. } | Change::Problems { .. } | Change::Everything => true,
        }
    }
}

/// One connection's state.
struct Connection {
    state: web::Data<State>,
    principal: Principal,
    changes: Receiver<Arc<Change>>,
    closing: watch::Receiver<bool>,
    interest: Interest,
    is_greeted: bool,
    _watcher: Watcher,
}

/// Streams changes until the caller goes away or the server stops.
pub(in crate::api) async fn watch_events(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read(&request)?;
    let interest = Interest {
        flow: query.parsed("flow_id"),
        contact: query.parsed("contact_id"),
        session: query.parsed("session_id"),
    };
    query.finish()?;
    let connection = Connection {
        _watcher: state.watchers.admit()?,
        changes: state.runtime.watch(),
        closing: state.watchers.closing(),
        interest,
        is_greeted: false,
        principal,
        state: state.clone(),
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        // A proxy that gathers an answer before it passes it on would keep everything to itself.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(stream::unfold(connection, next)))
}

async fn next(mut connection: Connection) -> Option<(Result<Bytes, actix_web::Error>, Connection)> {
    if !connection.is_greeted {
        connection.is_greeted = true;
        return Some((Ok(Bytes::from_static(b"retry: 2000\n\n")), connection));
    }
    let Connection { changes, closing, interest, .. } = &mut connection;
    let mut chunk = String::new();
    // Once for the whole chunk: on a busy server changes for others come more often than this.
    let mut heartbeat = std::pin::pin!(tokio::time::sleep(HEARTBEAT));
    loop {
        let received = tokio::select! {
            () = &mut heartbeat => {
                chunk.push_str(": still here\n\n");
                break;
            }
            received = changes.recv() => received,
            _ = closing.wait_for(|closing| *closing) => return None,
        };
        if !put(&mut chunk, received, interest) {
            return None;
        }
        for _ in 1..CHUNK {
            let received = match changes.try_recv() {
                Ok(change) => Ok(change),
                Err(TryRecvError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            };
            put(&mut chunk, received, interest);
        }
        if !chunk.is_empty() {
            break;
        }
    }
    // The stream may outlast the token or the log-in that opened it.
    if !is_still_let_through(&connection.state, &connection.principal) {
        return None;
    }
    Some((Ok(Bytes::from(chunk)), connection))
}

/// Adds what was received to a chunk; `false` once nothing will come any more.
fn put(chunk: &mut String, received: Result<Arc<Change>, RecvError>, interest: &Interest) -> bool {
    let change = match received {
        Ok(change) => change,
        Err(RecvError::Lagged(_)) => Arc::new(Change::Everything),
        Err(RecvError::Closed) => return false,
    };
    if interest.covers(&change) {
        let data = match change.as_ref() {
            Change::Everything => "{}".to_owned(),
            change => serde_json::to_string(change).unwrap_or_default(),
        };
        chunk.push_str(&format!("event: {}\ndata: {data}\n\n", change.kind()));
    }
    true
}
