//! Webhook endpoints, and the deliveries queued for them.

mod deliveries;
mod lanes;
#[cfg(test)]
mod tests;

use rusqlite::{OptionalExtension, Row, params};

use super::values::Json;
use super::{Conn, Tx};
use crate::domain::{EndpointId, EventKind, Timestamp};
use crate::error::Result;

pub use deliveries::{
    DeliveryRow, NewDelivery, find_test, insert_delivery, insert_test, list_deliveries, prune, tests,
};
pub(super) use lanes::join_lanes;
pub use lanes::{
    due, give_up_oldest, head_of_lane, lanes_without_head, release_lanes, set_attempt_failed, set_sent, set_standing,
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
    /// What its last attempts that failed say of it.
    pub standing: Standing,
}

/// Whether an endpoint takes anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Attempts that failed since it took anything.
    pub failures: u32,
    /// The contact of the first of them; 0 for an event about no contact.
    pub failing_lane: Option<i64>,
    /// It is taken to be down: the next attempt, one alone, is not before this.
    pub probe_at: Option<Timestamp>,
}

/// What is queued for an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queue {
    /// How many deliveries, tests among them.
    pub queued: u32,
    /// When the oldest was queued, tests aside.
    pub oldest: Option<Timestamp>,
    /// How often that one was tried.
    pub attempts: u32,
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

pub(super) const LIST: &str = "SELECT e.seq, e.id, e.url, e.description, e.events, e.secret, e.is_active,
        e.failing_since, e.last_error, e.created_at, e.failures, e.failing_lane, e.probe_at,
        (SELECT count(*) FROM webhook_deliveries AS c INDEXED BY webhook_deliveries_outbox
         WHERE c.endpoint_seq = e.seq AND c.status = 'queued'), d.created_at, coalesce(d.attempts, 0)
    FROM webhook_endpoints AS e LEFT JOIN webhook_deliveries AS d
        ON d.seq = (SELECT q.seq FROM webhook_deliveries AS q INDEXED BY webhook_deliveries_outbox
                    WHERE q.endpoint_seq = e.seq AND q.status = 'queued' AND q.next_attempt_at IS NOT NULL
                    ORDER BY q.seq LIMIT 1)
    ORDER BY e.seq";

/// All endpoints, oldest first, each with what is queued for it, which is counted in an index.
pub fn list_endpoints(conn: &Conn) -> Result<Vec<(Endpoint, Queue)>> {
    let mut statement = conn.prepare_cached(LIST)?;
    let rows = statement.query_map([], |row| {
        let queue = Queue { queued: row.get(13)?, oldest: row.get(14)?, attempts: row.get(15)? };
        Ok((read_endpoint(row)?, queue))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How far the endpoints are behind, oldest endpoint first: how many deliveries are queued for each, and when the
/// oldest of them was queued, tests aside. They are counted in an index.
pub fn lag(conn: &Conn) -> Result<Vec<(EndpointId, u32, Option<Timestamp>)>> {
    Ok(list_endpoints(conn)?.into_iter().map(|(endpoint, queue)| (endpoint.id, queue.queued, queue.oldest)).collect())
}

/// The endpoint with an id; `None` if there is none.
pub fn find_endpoint(conn: &Conn, id: EndpointId) -> Result<Option<Endpoint>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, url, description, events, secret, is_active, failing_since, last_error, created_at, failures,
             failing_lane, probe_at
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
        let seq = tx
            .prepare_cached(
                "UPDATE webhook_endpoints SET failing_since = NULL, last_error = NULL, failures = 0,
                     failing_lane = NULL, probe_at = NULL
                 WHERE id = ?1 RETURNING seq",
            )?
            .query_row([id], |row| row.get(0))
            .optional()?;
        if let Some(seq) = seq {
            lanes::resume(tx, seq, now)?;
        }
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
        standing: Standing { failures: row.get(10)?, failing_lane: row.get(11)?, probe_at: row.get(12)? },
    })
}
