//! Webhook endpoints, and the deliveries queued for them.

mod deliveries;

use rusqlite::{OptionalExtension, Row, params};

use super::values::Json;
use super::{Conn, Tx};
use crate::domain::{EndpointId, EventKind, Timestamp};
use crate::error::Result;

pub use deliveries::{
    Behind, DeliveryRow, NewDelivery, behind_since, defer_first, find_test, first_queued, give_up_older,
    insert_delivery, insert_test, list_deliveries, next_deliveries, prune, set_attempt_failed, set_sent, tests,
    try_now, waiting,
};

/// A webhook endpoint with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Row number of the endpoint.
    pub seq: i64,
    /// The endpoint's public id.
    pub id: EndpointId,
    /// Where events are posted.
    pub url: String,
    /// What people call it.
    pub description: String,
    /// The events that it subscribes to; empty for all.
    pub events: Vec<String>,
    /// The key that signs what is posted.
    pub secret: String,
    /// Whether events are queued and posted.
    pub is_active: bool,
    /// Since when it has taken nothing.
    pub failing_since: Option<Timestamp>,
    /// Why not, the last time.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What an endpoint is made of.
#[derive(Debug, Clone)]
pub struct NewEndpoint<'a> {
    /// The endpoint's public id.
    pub id: EndpointId,
    /// Where events are posted.
    pub url: &'a str,
    /// What people call it.
    pub description: &'a str,
    /// The events that it subscribes to; empty for all.
    pub events: &'a [String],
    /// The key that signs what is posted.
    pub secret: &'a str,
}

/// The changes of an endpoint; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct EndpointChange {
    /// Where events are posted.
    pub url: Option<String>,
    /// What people call it.
    pub description: Option<String>,
    /// The events that it subscribes to; empty for all; `None`: unchanged.
    pub events: Option<Vec<String>>,
    /// Whether events are queued and posted.
    pub is_active: Option<bool>,
}

/// An active endpoint and the events that it subscribes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The endpoint's public id.
    pub id: EndpointId,
    /// Names of events; empty for all.
    pub events: Vec<String>,
}

impl Listener {
    /// Whether it subscribes to an event.
    pub fn wants(&self, event: EventKind) -> bool {
        self.events.is_empty() || self.events.iter().any(|wanted| wanted == event.as_str())
    }
}

/// Makes an endpoint, active, and returns its row.
pub fn insert_endpoint(tx: &Tx<'_>, new: &NewEndpoint<'_>, now: Timestamp) -> Result<i64> {
    tx.prepare_cached(
        "INSERT INTO webhook_endpoints (id, url, description, events, secret, is_active, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6)",
    )?
    .execute(params![new.id, new.url, new.description, Json(new.events), new.secret, now])?;
    Ok(tx.last_insert_rowid())
}

/// All endpoints, oldest first, each with the number of its queued deliveries.
pub fn list_endpoints(conn: &Conn) -> Result<Vec<(Endpoint, u32)>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, url, description, events, secret, is_active, failing_since, last_error, created_at,
             (SELECT count(*) FROM webhook_deliveries AS d WHERE d.endpoint_seq = e.seq AND d.status = 'queued')
         FROM webhook_endpoints AS e ORDER BY seq",
    )?;
    let rows = statement.query_map([], |row| Ok((read_endpoint(row)?, row.get(10)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The endpoint with an id; `None` if there is none.
pub fn find_endpoint(conn: &Conn, id: EndpointId) -> Result<Option<Endpoint>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, url, description, events, secret, is_active, failing_since, last_error, created_at
         FROM webhook_endpoints WHERE id = ?1",
    )?;
    Ok(statement.query_row([id], read_endpoint).optional()?)
}

/// Changes an endpoint. What was queued is tried at once where the change lets hope: another URL, or switched on again.
/// Returns whether there is one.
pub fn update_endpoint(tx: &Tx<'_>, id: EndpointId, change: &EndpointChange, now: Timestamp) -> Result<bool> {
    let EndpointChange { url, description, events, is_active } = change;
    let changed = tx
        .prepare_cached(
            "UPDATE webhook_endpoints SET url = coalesce(?2, url), description = coalesce(?3, description),
                 events = coalesce(?4, events), is_active = coalesce(?5, is_active), updated_at = ?6
             WHERE id = ?1",
        )?
        .execute(params![id, url, description, events.as_ref().map(Json), is_active, now])?;
    if url.is_some() || *is_active == Some(true) {
        tx.prepare_cached("UPDATE webhook_endpoints SET failing_since = NULL, last_error = NULL WHERE id = ?1")?
            .execute([id])?;
        tx.prepare_cached(
            "UPDATE webhook_deliveries SET next_attempt_at = ?2
             WHERE status = 'queued' AND next_attempt_at > ?2
                 AND endpoint_seq = (SELECT seq FROM webhook_endpoints WHERE id = ?1)",
        )?
        .execute((id, now))?;
    }
    Ok(changed > 0)
}

/// Gives an endpoint another secret. Returns whether there is one.
pub fn set_secret(tx: &Tx<'_>, id: EndpointId, secret: &str, now: Timestamp) -> Result<bool> {
    let changed = tx
        .prepare_cached("UPDATE webhook_endpoints SET secret = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute((id, secret, now))?;
    Ok(changed > 0)
}

/// Deletes some of an endpoint's deliveries, and the endpoint when there are none left. Returns whether it is gone.
pub fn delete_some(tx: &Tx<'_>, id: EndpointId, limit: u32) -> Result<bool> {
    let deleted = tx
        .prepare_cached(
            "DELETE FROM webhook_deliveries WHERE seq IN
                 (SELECT seq FROM webhook_deliveries
                  WHERE endpoint_seq = (SELECT seq FROM webhook_endpoints WHERE id = ?1) LIMIT ?2)",
        )?
        .execute((id, limit))?;
    if deleted >= limit as usize {
        return Ok(false);
    }
    tx.prepare_cached("DELETE FROM webhook_endpoints WHERE id = ?1")?.execute([id])?;
    Ok(true)
}

/// The active endpoints, oldest first.
pub fn listeners(conn: &Conn) -> Result<Vec<Listener>> {
    let mut statement =
        conn.prepare_cached("SELECT id, events FROM webhook_endpoints WHERE is_active = 1 ORDER BY seq")?;
    let rows = statement.query_map([], |row| Ok(Listener { id: row.get(0)?, events: row.get::<_, Json<_>>(1)?.0 }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Switches an endpoint off.
pub fn deactivate(tx: &Tx<'_>, endpoint: EndpointId, now: Timestamp) -> Result<()> {
    tx.prepare_cached("UPDATE webhook_endpoints SET is_active = 0, updated_at = ?2 WHERE id = ?1")?
        .execute((endpoint, now))?;
    Ok(())
}

fn read_endpoint(row: &Row<'_>) -> rusqlite::Result<Endpoint> {
    Ok(Endpoint {
        seq: row.get(0)?,
        id: row.get(1)?,
        url: row.get(2)?,
        description: row.get(3)?,
        events: row.get::<_, Json<_>>(4)?.0,
        secret: row.get(5)?,
        is_active: row.get(6)?,
        failing_since: row.get(7)?,
        last_error: row.get(8)?,
        created_at: row.get(9)?,
    })
}
