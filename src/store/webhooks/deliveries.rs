//! The deliveries of webhook endpoints: queueing them, tests, lists. [`lanes`](super::lanes) has the order in which
//! they are posted.

use rusqlite::{OptionalExtension, Row, params};
use uuid::Uuid;

use super::{Endpoint, find_endpoint};
use crate::domain::{DeliveryStatus, EndpointId, Timestamp};
use crate::error::Result;
use crate::store::row_numbers::Numbered;
use crate::store::{Conn, Tx};

/// What [`read_delivery`] reads.
pub(super) const COLUMNS: &str =
    "seq, id, event, body, status, reason, attempts, next_attempt_at, created_at, updated_at, contact_seq";

/// When a delivery may be posted that waits for the one before it: not before that one is settled.
pub(super) fn parked() -> Timestamp {
    Timestamp::from_millis(i64::MAX)
}

/// An event to queue for an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct NewDelivery<'a> {
    /// Public id, the same over all attempts.
    pub id: Uuid,
    /// The endpoint that it is posted to.
    pub endpoint: EndpointId,
    /// Row of the contact that it is about; `None` if it is about no contact.
    pub contact_seq: Option<i64>,
    /// Such as `session.started`.
    pub event: &'a str,
    /// The whole request body as JSON.
    pub body: &'a str,
    /// The current time.
    pub created_at: Timestamp,
}

/// A delivery as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Row number of the delivery.
    pub seq: i64,
    /// The delivery's public id.
    pub id: Uuid,
    /// Such as `session.started`.
    pub event: String,
    /// The whole request body as JSON.
    pub body: String,
    /// How far it got.
    pub status: DeliveryStatus,
    /// Why the last attempt failed.
    pub reason: Option<String>,
    /// Attempts so far.
    pub attempts: u32,
    /// When the head of a lane is tried, or tried again; `None` of a test.
    pub next_attempt_at: Option<Timestamp>,
    /// Row of the contact that it is about; `None` if it is about no contact.
    pub contact_seq: Option<i64>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When that changed last.
    pub updated_at: Timestamp,
}

impl DeliveryRow {
    /// Whether it waits for another one of its lane.
    pub fn is_parked(&self) -> bool {
        self.status == DeliveryStatus::Queued && self.next_attempt_at == Some(parked())
    }
}

pub(super) const INSERT: &str = "INSERT INTO webhook_deliveries (seq, id, endpoint_seq, contact_seq, event, body,
        status, next_attempt_at, created_at, updated_at)
    SELECT ?7, ?1, e.seq, ?3, ?4, ?5, 'queued',
        CASE WHEN EXISTS (SELECT 1 FROM webhook_deliveries AS d INDEXED BY webhook_deliveries_lane
                          WHERE d.endpoint_seq = e.seq AND d.contact_seq IS ?3 AND d.status = 'queued'
                              AND d.next_attempt_at IS NOT NULL)
            THEN 253402207199999 ELSE ?6 END,
        ?6, ?6
    FROM webhook_endpoints AS e WHERE e.id = ?2 AND e.is_active = 1";

/// Queues a delivery, at the end of its lane. Nothing happens if the endpoint is deleted or switched off by now.
pub fn insert_delivery(tx: &Tx<'_>, delivery: &NewDelivery<'_>) -> Result<()> {
    let seq = tx.next_seq(Numbered::WebhookDeliveries)?;
    tx.prepare_cached(INSERT)?.execute(params![
        delivery.id.as_bytes(),
        delivery.endpoint,
        delivery.contact_seq,
        delivery.event,
        delivery.body,
        delivery.created_at,
        seq,
    ])?;
    Ok(())
}

/// Adds a test of an endpoint, which is in no queue. Nothing happens if the endpoint is gone or switched off by now.
pub fn insert_test(tx: &Tx<'_>, test: &NewDelivery<'_>) -> Result<()> {
    let seq = tx.next_seq(Numbered::WebhookDeliveries)?;
    tx.prepare_cached(
        "INSERT INTO webhook_deliveries (seq, id, endpoint_seq, event, body, status, created_at, updated_at)
         SELECT ?6, ?1, seq, ?3, ?4, 'queued', ?5, ?5 FROM webhook_endpoints WHERE id = ?2 AND is_active = 1",
    )?
    .execute(params![test.id.as_bytes(), test.endpoint, test.event, test.body, test.created_at, seq])?;
    Ok(())
}

/// The tests that were not made, such as before the last end of the server, each with its endpoint. Looks at everything
/// that is queued.
pub fn tests(conn: &Conn) -> Result<Vec<(EndpointId, Uuid)>> {
    let mut statement = conn.prepare_cached(
        "SELECT e.id, d.id FROM webhook_endpoints AS e JOIN webhook_deliveries AS d ON d.endpoint_seq = e.seq
         WHERE e.is_active = 1 AND d.status = 'queued' AND d.next_attempt_at IS NULL",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, Uuid::from_bytes(row.get(1)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A test that was not made yet, with its endpoint; `None` if that is gone or switched off.
pub fn find_test(conn: &Conn, endpoint: EndpointId, id: Uuid) -> Result<Option<(Endpoint, DeliveryRow)>> {
    let Some(endpoint) = find_endpoint(conn, endpoint)?.filter(|endpoint| endpoint.is_active) else { return Ok(None) };
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, event, body, status, reason, attempts, next_attempt_at, created_at, updated_at, contact_seq
         FROM webhook_deliveries
         WHERE id = ?1 AND endpoint_seq = ?2 AND status = 'queued' AND next_attempt_at IS NULL",
    )?;
    let row = statement.query_row(params![id.as_bytes(), endpoint.seq], read_delivery).optional()?;
    Ok(row.map(|row| (endpoint, row)))
}

/// An endpoint's deliveries, newest first: those before the row `before`, at most `limit`.
pub fn list_deliveries(
    conn: &Conn,
    endpoint_seq: i64,
    status: Option<DeliveryStatus>,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<DeliveryRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, event, body, status, reason, attempts, next_attempt_at, created_at, updated_at, contact_seq
         FROM webhook_deliveries INDEXED BY webhook_deliveries_by_endpoint
         WHERE endpoint_seq = ?1 AND seq < ?2 AND (?3 IS NULL OR status = ?3) ORDER BY seq DESC LIMIT ?4",
    )?;
    let rows = statement.query_map(params![endpoint_seq, before.unwrap_or(i64::MAX), status, limit], read_delivery)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Deletes deliveries that were done before a time, at most `limit`, and returns how many.
pub fn prune(tx: &Tx<'_>, before: Timestamp, limit: u32) -> Result<usize> {
    let pruned = tx
        .prepare_cached(
            "DELETE FROM webhook_deliveries WHERE seq IN
                 (SELECT seq FROM webhook_deliveries INDEXED BY webhook_deliveries_by_age
                  WHERE status IN ('sent', 'failed') AND updated_at < ?1 LIMIT ?2)",
        )?
        .execute((before, limit))?;
    Ok(pruned)
}

pub(super) fn read_delivery(row: &Row<'_>) -> rusqlite::Result<DeliveryRow> {
    Ok(DeliveryRow {
        seq: row.get(0)?,
        id: Uuid::from_bytes(row.get(1)?),
        event: row.get(2)?,
        body: row.get(3)?,
        status: row.get(4)?,
        reason: row.get(5)?,
        attempts: row.get(6)?,
        next_attempt_at: row.get(7)?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
        contact_seq: row.get(10)?,
    })
}
