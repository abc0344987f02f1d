//! Telling the operator's own systems what happens here.
//!
//! An event is queued in the transaction that makes it happen, one row for each endpoint that subscribes to it, and
//! posted afterwards by `delivery`. The list of endpoints is kept in memory, so that a server without any pays nothing
//! for its events.
//!
//! Unlike what flows call, endpoints may be anywhere, inside the operator's own network, too: only an administrator
//! can name one.

mod delivery;
mod post;
mod record;

use std::sync::{OnceLock, PoisonError};

use reqwest::{Client, Url};
use uuid::Uuid;

pub use record::gives_up_at;

use super::Runtime;
use super::job::to_json;
use crate::credentials::make_secret;
use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::domain::text::has_odd_characters;
use crate::domain::{EndpointId, Timestamp, web_link};
use crate::error::Result;
use crate::store::webhooks::{self, EndpointChange, NewDelivery, NewEndpoint};
use crate::store::{Tx, WriteClass, audit};
use crate::views::event::TestEvent;

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

/// Posts events to webhook endpoints.
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

/// The outcome of making an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointMade {
    /// It is made, and its test is on its way.
    Made {
        /// The endpoint's id.
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

/// The outcome of testing an endpoint.
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
    /// Makes an endpoint, and queues a test for it. `events` empty is all of them. `by` is who does it, for the audit.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn create_endpoint(
        &self,
        url: String,
        description: String,
        events: Vec<String>,
        by: Actor,
    ) -> Result<EndpointMade> {
        let (id, secret) = (EndpointId(Uuid::now_v7()), fresh_secret()?);
        let deed = Deed::new(AuditAction::EndpointCreated, by).to(id);
        let recorded = deed.clone();
        let (kept, test, now) = (secret.clone(), Uuid::now_v7(), self.clock().now());
        let made = self.store().write(move |tx| {
            if webhooks::list_endpoints(tx)?.len() >= ENDPOINTS {
                return Ok(EndpointMade::TooMany { limit: ENDPOINTS });
            }
            let new = NewEndpoint { id, url: &url, description: &description, events: &events, secret: &kept };
            webhooks::insert_endpoint(tx, &new, now)?;
            keep_test(tx, id, test, now)?;
            audit::record(tx, &recorded, now)?;
            Ok(EndpointMade::Made { id, secret: kept.clone() })
        });
        let made = made.await?;
        if matches!(made, EndpointMade::Made { .. }) {
            audit::log(&deed);
            self.make_test(id, test);
        }
        self.endpoints_changed().await?;
        Ok(made)
    }

    /// Changes an endpoint, from now on. Returns whether there is one. `by` is who does it, for the audit.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn change_endpoint(&self, id: EndpointId, change: EndpointChange, by: Actor) -> Result<bool> {
        let now = self.clock().now();
        let deed = Deed::new(AuditAction::EndpointChanged, by).to(id);
        let is_known = self.write_endpoint(deed, move |tx| webhooks::update_endpoint(tx, id, &change, now)).await?;
        self.endpoints_changed().await?;
        Ok(is_known)
    }

    /// Gives an endpoint another secret, with which everything is signed from now on, and returns it this once. `None`
    /// if there is no such endpoint. `by` is who does it, for the audit.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn rotate_endpoint_secret(&self, id: EndpointId, by: Actor) -> Result<Option<String>> {
        let (secret, now) = (fresh_secret()?, self.clock().now());
        let kept = secret.clone();
        let deed = Deed::new(AuditAction::EndpointSecretRotated, by).to(id);
        let is_known = self.write_endpoint(deed, move |tx| webhooks::set_secret(tx, id, &kept, now)).await?;
        Ok(is_known.then_some(secret))
    }

    /// Deletes an endpoint with what is queued for it. Returns whether there was one. `by` is who does it, for the
    /// audit.
    ///
    /// # Errors
    /// When the store takes no writes. The endpoint is then switched off, if it is still there, and calling again goes
    /// on.
    pub async fn delete_endpoint(&self, id: EndpointId, by: Actor) -> Result<bool> {
        let now = self.clock().now();
        let deed = Deed::new(AuditAction::EndpointDeleted, by).to(id);
        let is_known = self.write_endpoint(deed, move |tx| {
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

    /// Makes everything that waits to be tried again due now: one event of an endpoint that takes nothing, and the rest
    /// once it has taken that. Returns whether any is queued; `None` if the
    /// endpoint does not exist or is switched off.
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

    /// Runs a job that changes an endpoint and returns whether there is one. If so, the audit has it.
    async fn write_endpoint(&self, deed: Deed, job: impl Fn(&Tx<'_>) -> Result<bool> + Send + 'static) -> Result<bool> {
        let (recorded, now) = (deed.clone(), self.clock().now());
        let written = self.store().write(move |tx| {
            let is_known = job(tx)?;
            if is_known {
                audit::record(tx, &recorded, now)?;
            }
            Ok(is_known)
        });
        let is_known = written.await?;
        if is_known {
            audit::log(&deed);
        }
        Ok(is_known)
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
