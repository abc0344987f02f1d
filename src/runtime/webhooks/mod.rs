//! Telling the operator's own systems what happens here.
//!
//! An event is queued in the transaction that makes it happen, one row for each endpoint that wants to hear of it, and
//! posted afterwards by `delivery`. Which endpoints there are is kept in memory, so that a server without any pays
//! nothing for its events.
//!
//! Unlike what flows call, endpoints may be anywhere, inside the operator's own network, too: only an administrator
//! can name one.

mod delivery;

use std::sync::{OnceLock, PoisonError};

use reqwest::{Client, Url};
use serde::Serialize;
use uuid::Uuid;

use super::credentials::make_secret;
use super::job::ending::SessionEnder;
use super::job::turn::Handoff;
use super::job::{Job, to_json};
use super::{Change, Runtime};
use crate::domain::text::has_odd_characters;
use crate::domain::{Contact, EndpointId, EventKind, Session, Status, Timestamp, web_link};
use crate::error::Result;
use crate::store::sessions::Marked;
use crate::store::webhooks::{self, EndpointChange, Listener, NewDelivery, NewEndpoint};
use crate::store::{WriteClass, contacts};
use crate::views::event::{ConsentChanged, Event, HandoffRequested, SessionMoved, TestEvent};
use crate::views::session::EventSession;

/// The event that tries an endpoint out. Every endpoint gets its own, whatever it has chosen.
const TEST_EVENT: &str = "webhook.test";
/// What every endpoint's secret begins with, so that a leaked one is recognised.
const SECRET_PREFIX: &str = "whsec_";
/// Characters of a secret that lists show.
const HINT_CHARS: usize = 12;
/// Endpoints at most: each event is a row for each of them.
const ENDPOINTS: usize = 50;
/// Bytes of a URL at most.
const URL_BYTES: usize = 2_000;
/// Characters of a description at most.
const DESCRIPTION_CHARS: usize = 200;
/// Rows that one job deletes.
const ROWS_PER_JOB: u32 = 1_000;

/// Who is told, and what tells them.
#[derive(Default)]
pub(super) struct Publisher {
    client: OnceLock<Result<Client, String>>,
    /// Tests that are to be made: they are in no queue.
    tests: std::sync::Mutex<Vec<(EndpointId, Uuid)>>,
}

impl Publisher {
    /// Has a test made, after the commit that has its row.
    fn add_test(&self, endpoint: EndpointId, id: Uuid) {
        self.tests.lock().unwrap_or_else(PoisonError::into_inner).push((endpoint, id));
    }

    fn take_tests(&self) -> Vec<(EndpointId, Uuid)> {
        std::mem::take(&mut *self.tests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SessionEnder<'_> {
    /// Queues an event for every endpoint that wants to hear of it, in the transaction that makes it happen. `body` has
    /// what the event tells beside its name, its time and the tenant. `contact_seq` is the person it tells of.
    pub(super) fn emit<B: Serialize>(
        &self,
        event: EventKind,
        contact_seq: Option<i64>,
        body: impl FnOnce() -> B,
    ) -> Result<()> {
        self.emit_at(event, contact_seq, self.now, body)
    }

    /// The same of an event that happened at a time of its own.
    pub(super) fn emit_at<B: Serialize>(
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

    /// Tells that a session has ended that was not read.
    pub(super) fn emit_unread(&self, status: Status, marked: &Marked, reason: &str) -> Result<()> {
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

    /// Tells that somebody opted out or in.
    pub(super) fn emit_consent(&self, event: EventKind, contact_seq: i64, contact: &Contact) -> Result<()> {
        self.emit(event, Some(contact_seq), || ConsentChanged { contact: contact.into() })
    }
}

impl Job<'_> {
    /// Queues an event, as [`SessionEnder::emit`] does.
    pub(super) fn emit<B: Serialize>(
        &self,
        event: EventKind,
        contact_seq: Option<i64>,
        body: impl FnOnce() -> B,
    ) -> Result<()> {
        self.session_ender().emit(event, contact_seq, body)
    }
    /// Tells that a session has begun or ended.
    pub(super) fn emit_session(
        &self,
        event: EventKind,
        contact_seq: i64,
        contact: &Contact,
        session: &Session,
    ) -> Result<()> {
        self.emit(event, Some(contact_seq), || SessionMoved { session: session.into(), contact: contact.into() })
    }

    /// Tells that people are asked for.
    pub(super) fn request_handoffs(
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

/// What came of making an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointMade {
    /// It is made, and its test is on its way.
    Made {
        /// Its id.
        id: EndpointId,
        /// What it checks signatures with. It is shown this once.
        secret: String,
    },
    /// There are as many as there can be.
    TooMany {
        /// How many that is.
        limit: usize,
    },
}

/// What came of testing an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointTested {
    /// The test is on its way.
    Queued {
        /// The delivery's id.
        delivery: Uuid,
    },
    /// It is switched off.
    Inactive,
    /// There is no such endpoint.
    NotFound,
}

/// A secret's first characters, by which its owner knows it.
pub fn secret_hint(secret: &str) -> String {
    secret.chars().take(HINT_CHARS).collect()
}

/// Whether an endpoint can have this URL.
///
/// # Errors
/// What is wrong with it, to stand behind "The url".
pub fn check_endpoint_url(url: &str) -> Result<(), String> {
    let parsed = web_link(url).and_then(|url| url.parse::<Url>().ok());
    let Some(parsed) = parsed.filter(|_| url.len() <= URL_BYTES && !has_odd_characters(url)) else {
        return Err(format!("must be an http or https URL of at most {URL_BYTES} bytes"));
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("must have no user name or password in it; check the signature instead".to_owned());
    }
    Ok(())
}

/// Whether an endpoint can have this description.
///
/// # Errors
/// What is wrong with it, to stand behind "The description".
pub fn check_endpoint_description(description: &str) -> Result<(), String> {
    if description.chars().count() > DESCRIPTION_CHARS || has_odd_characters(description) {
        return Err(format!("must have at most {DESCRIPTION_CHARS} characters that can be seen"));
    }
    Ok(())
}

impl Runtime {
    /// Makes an endpoint, and queues a test for it. `events` empty is all of them.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn create_endpoint(&self, url: String, description: String, events: Vec<String>) -> Result<EndpointMade> {
        let (id, secret) = (EndpointId(Uuid::now_v7()), fresh_secret()?);
        let (kept, test, now) = (secret.clone(), Uuid::now_v7(), self.clock().now());
        let made = self.store().write(move |tx| {
            if webhooks::list_endpoints(tx)?.len() >= ENDPOINTS {
                return Ok(EndpointMade::TooMany { limit: ENDPOINTS });
            }
            let new = NewEndpoint { id, url: &url, description: &description, events: &events, secret: &kept };
            webhooks::insert_endpoint(tx, &new, now)?;
            keep_test(tx, id, test, now)?;
            Ok(EndpointMade::Made { id, secret: kept.clone() })
        });
        let made = made.await?;
        if matches!(made, EndpointMade::Made { .. }) {
            self.make_test(id, test);
        }
        self.endpoints_changed().await?;
        Ok(made)
    }

    /// Changes an endpoint, from now on. Answers whether there is one.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn change_endpoint(&self, id: EndpointId, change: EndpointChange) -> Result<bool> {
        let now = self.clock().now();
        let is_known = self.store().write(move |tx| webhooks::update_endpoint(tx, id, &change, now)).await?;
        self.endpoints_changed().await?;
        Ok(is_known)
    }

    /// Gives an endpoint another secret, with which everything is signed from now on, and gives it this once. `None`
    /// if there is no such endpoint.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn rotate_endpoint_secret(&self, id: EndpointId) -> Result<Option<String>> {
        let (secret, now) = (fresh_secret()?, self.clock().now());
        let kept = secret.clone();
        let is_known = self.store().write(move |tx| webhooks::set_secret(tx, id, &kept, now)).await?;
        Ok(is_known.then_some(secret))
    }

    /// Deletes an endpoint with what is queued for it. Answers whether there was one.
    ///
    /// # Errors
    /// When the store takes no writes. The endpoint is then switched off, if it is still there, and calling again goes
    /// on.
    pub async fn delete_endpoint(&self, id: EndpointId) -> Result<bool> {
        let now = self.clock().now();
        let is_known = self.store().write(move |tx| {
            webhooks::deactivate(tx, id, now)?;
            Ok(webhooks::find_endpoint(tx, id)?.is_some())
        });
        let is_known = is_known.await?;
        self.endpoints_changed().await?;
        while !self
            .store()
            .write_as(WriteClass::Essential, move |tx| webhooks::delete_some(tx, id, ROWS_PER_JOB))
            .await?
        {}
        Ok(is_known)
    }

    /// Posts `webhook.test` to an endpoint, beside what is queued for it and once.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn test_endpoint(&self, id: EndpointId) -> Result<EndpointTested> {
        let (delivery, now) = (Uuid::now_v7(), self.clock().now());
        let tested = self.store().write(move |tx| match webhooks::find_endpoint(tx, id)? {
            Some(endpoint) if endpoint.is_active => {
                keep_test(tx, id, delivery, now)?;
                Ok(EndpointTested::Queued { delivery })
            }
            Some(_) => Ok(EndpointTested::Inactive),
            None => Ok(EndpointTested::NotFound),
        });
        let tested = tested.await?;
        if let EndpointTested::Queued { delivery } = tested {
            self.make_test(id, delivery);
        }
        Ok(tested)
    }

    /// Has the first of what is queued for an endpoint tried at once, whenever it was to be. Gives whether anything is
    /// queued; `None` if there is no such endpoint, or none that is switched on.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn try_endpoint_now(&self, id: EndpointId) -> Result<Option<bool>> {
        let now = self.clock().now();
        let tried = self.store().write(move |tx| match webhooks::find_endpoint(tx, id)? {
            Some(endpoint) if endpoint.is_active => webhooks::try_now(tx, endpoint.seq, now).map(Some),
            _ => Ok(None),
        });
        let tried = tried.await?;
        self.shared().signals.webhooks.notify_one();
        Ok(tried)
    }

    /// Puts the endpoints of the database in force, such as after another process has changed them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn reload_endpoints(&self) -> Result<()> {
        self.shared().listeners.reload(&self.shared().store).await
    }

    /// Has a test made, after the commit that has its row.
    fn make_test(&self, endpoint: EndpointId, id: Uuid) {
        self.inner.webhooks.add_test(endpoint, id);
        self.shared().signals.webhooks.notify_one();
    }

    async fn endpoints_changed(&self) -> Result<()> {
        self.reload_endpoints().await?;
        self.shared().signals.webhooks.notify_one();
        Ok(())
    }
}

fn fresh_secret() -> Result<String> {
    Ok(format!("{SECRET_PREFIX}{}", make_secret()?))
}

fn keep_test(tx: &crate::store::Tx<'_>, endpoint: EndpointId, id: Uuid, now: Timestamp) -> Result<()> {
    let body = to_json(&TestEvent { event: TEST_EVENT, webhook_id: endpoint, timestamp: now.into() })?;
    let delivery = NewDelivery { id, endpoint, contact_seq: None, event: TEST_EVENT, body: &body, created_at: now };
    webhooks::insert_test(tx, &delivery)
}
