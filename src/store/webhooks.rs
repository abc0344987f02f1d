//! Who wants to hear what happens here, and what is to be told to them.

use rusqlite::params;
use uuid::Uuid;

use super::{Conn, Tx};
use crate::domain::Timestamp;
use crate::error::Result;

/// Something to tell an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct NewDelivery<'a> {
    /// Public id, the same over all attempts.
    pub id: Uuid,
    /// Row of the endpoint.
    pub endpoint_seq: i64,
    /// Row of the contact that it tells of.
    pub contact_seq: Option<i64>,
    /// Such as `session.started`.
    pub event: &'a str,
    /// JSON.
    pub body: &'a str,
    /// Now.
    pub created_at: Timestamp,
}

/// Rows of the endpoints that want to hear of an event.
///
/// # Errors
/// When the database cannot be read.
pub fn listeners(conn: &Conn, event: &str) -> Result<Vec<i64>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq FROM webhook_endpoints WHERE is_active = 1
             AND (events = '[]' OR EXISTS (SELECT 1 FROM json_each(events) WHERE value = ?1))
         ORDER BY seq",
    )?;
    let rows = statement.query_map([event], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Queues something to tell.
///
/// # Errors
/// When the database refuses.
pub fn insert_delivery(tx: &Tx<'_>, delivery: &NewDelivery<'_>) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO webhook_deliveries (id, endpoint_seq, contact_seq, event, body, status, next_attempt_at,
             created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ?6, ?6, ?6)",
    )?
    .execute(params![
        delivery.id.as_bytes(),
        delivery.endpoint_seq,
        delivery.contact_seq,
        delivery.event,
        delivery.body,
        delivery.created_at,
    ])?;
    Ok(())
}
