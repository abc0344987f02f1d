//! A webhook endpoint and its deliveries, as the admin page sees them.

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::IsoTime;
use crate::domain::EndpointId;

/// An endpoint. Its secret is shown once, in the answer to the request that made or changed it.
#[derive(Debug, Serialize)]
pub struct Endpoint {
    /// The endpoint's id.
    pub id: EndpointId,
    /// The URL that events are posted to.
    pub url: String,
    /// What its owner says of it.
    pub description: String,
    /// The events that it chose; none is all of them.
    pub events: Vec<String>,
    /// Whether events are posted to it.
    pub is_active: bool,
    /// The secret's first characters.
    pub secret_hint: String,
    /// Events that wait.
    pub queued: u32,
    /// When the first of them was queued.
    pub oldest_queued_at: Option<IsoTime>,
    /// When the first of them is given up if the endpoint goes on failing; `None` while none is at risk.
    pub gives_up_at: Option<IsoTime>,
    /// Since when it takes nothing.
    pub failing_since: Option<IsoTime>,
    /// Its last error in place of taking one.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: IsoTime,
    /// What it checks signatures with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// An event that was posted to an endpoint, or is queued for it.
#[derive(Debug, Serialize)]
pub struct Delivery {
    /// The delivery's id.
    pub id: Uuid,
    /// The event's name.
    pub event: String,
    /// Whether it was taken.
    pub status: &'static str,
    /// Why it was not taken; `None` if it was.
    pub reason: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried; `None` also where another one of its contact is tried first.
    pub next_attempt_at: Option<IsoTime>,
    /// The queued delivery of its contact that is tried before this one; `None` if there is none.
    pub behind: Option<FirstDelivery>,
    /// What is posted.
    pub body: Map<String, Value>,
    /// When it was queued.
    pub created_at: IsoTime,
    /// When anything of it last changed.
    pub updated_at: IsoTime,
}

/// What of a contact's events is tried first at an endpoint.
#[derive(Debug, Serialize)]
pub struct FirstDelivery {
    /// The delivery's id.
    pub id: Uuid,
    /// The event's name.
    pub event: String,
}
