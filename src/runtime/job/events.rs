//! Queueing webhook events, in the transaction that makes them happen: one delivery for each endpoint that wants one.

use serde::Serialize;
use uuid::Uuid;

use super::changes::Change;
use super::ending::SessionEnder;
use super::turn::Handoff;
use super::{Job, to_json};
use crate::domain::{Contact, EndpointId, EventKind, Session, Status, Timestamp};
use crate::error::Result;
use crate::store::contacts;
use crate::store::sessions::Marked;
use crate::store::webhooks::{self, Listener, NewDelivery};
use crate::views::event::{ConsentChanged, Event, HandoffRequested, SessionMoved};
use crate::views::session::EventSession;

impl SessionEnder<'_> {
    /// Enqueues an event for every endpoint that subscribes to it, in the transaction that makes it happen. `body` has
    /// the event's fields beside its name, its time and the tenant. `contact_seq` is the row of the contact that it is
    /// about.
    pub(in crate::runtime) fn emit<B: Serialize>(
        &self,
        event: EventKind,
        contact_seq: Option<i64>,
        body: impl FnOnce() -> B,
    ) -> Result<()> {
        self.emit_at(event, contact_seq, self.now, body)
    }

    /// The same for an event that happened at another time than the job's.
    pub(in crate::runtime) fn emit_at<B: Serialize>(
        &self,
        event: EventKind,
        contact_seq: Option<i64>,
        at: Timestamp,
        body: impl FnOnce() -> B,
    ) -> Result<()> {
        let wanted = |listeners: &[Listener]| -> Vec<EndpointId> {
            listeners.iter().filter(|listener| listener.wants(event)).map(|listener| listener.id).collect()
        };
        let known = self.listeners.and_then(|listeners| listeners.with(wanted));
        let endpoints = match known {
            Some(endpoints) => endpoints,
            None => wanted(&webhooks::listeners(self.tx)?),
        };
        if endpoints.is_empty() {
            return Ok(());
        }
        let (body, created_at) = (to_json(&Event::new(event.as_str(), at, body()))?, self.now);
        for endpoint in endpoints {
            let id = Uuid::now_v7();
            webhooks::insert_delivery(
                self.tx,
                &NewDelivery { id, endpoint, contact_seq, event: event.as_str(), body: &body, created_at },
            )?;
        }
        self.wakeups.webhooks();
        Ok(())
    }

    /// Publishes the end of a session that was not loaded.
    pub(in crate::runtime) fn emit_unloaded(&self, status: Status, marked: &Marked, reason: &str) -> Result<()> {
        let Some(event) = EventKind::of_end(status) else { return Ok(()) };
        let contact = contacts::find_by_seq(self.tx, marked.contact_seq)?.map(|stored| stored.contact);
        let Some(contact) = contact else { return Ok(()) };
        self.emit(event, Some(marked.contact_seq), || SessionMoved {
            session: EventSession {
                id: marked.id,
                flow_id: marked.flow_id,
                version: marked.version,
                contact_id: contact.id,
                status: event.as_str().trim_start_matches("session."),
                reason: Some(reason),
                outcome: None,
            },
            contact: contact.into(),
        })
    }

    /// Publishes that a contact opted out or in.
    pub(in crate::runtime) fn emit_consent(&self, event: EventKind, contact_seq: i64, contact: &Contact) -> Result<()> {
        self.emit(event, Some(contact_seq), || ConsentChanged { contact: contact.into() })
    }
}

impl Job<'_> {
    /// Queues an event, as [`SessionEnder::emit`] does.
    pub(in crate::runtime) fn emit<B: Serialize>(
        &self,
        event: EventKind,
        contact_seq: Option<i64>,
        body: impl FnOnce() -> B,
    ) -> Result<()> {
        self.session_ender().emit(event, contact_seq, body)
    }

    /// Publishes that a session has begun or ended.
    pub(in crate::runtime) fn emit_session(
        &self,
        event: EventKind,
        contact_seq: i64,
        contact: &Contact,
        session: &Session,
    ) -> Result<()> {
        self.emit(event, Some(contact_seq), || SessionMoved { session: session.into(), contact: contact.into() })
    }

    /// Publishes the flows' requests for a person.
    pub(in crate::runtime) fn request_handoffs(
        &self,
        contact_seq: i64,
        contact: &Contact,
        session: &Session,
        handoffs: &[Handoff],
    ) -> Result<()> {
        for Handoff { node, note, waits } in handoffs {
            self.note_change(|| Change::Handoff {
                session_id: session.id,
                flow_id: session.flow_id,
                contact_id: session.contact_id,
                node_id: node.clone(),
                note: note.clone(),
                waits: *waits,
            });
            self.emit(EventKind::HandoffRequested, Some(contact_seq), || HandoffRequested {
                of: SessionMoved { session: session.into(), contact: contact.into() },
                node,
                note: note.as_deref(),
                waits: *waits,
            })?;
        }
        Ok(())
    }
}
