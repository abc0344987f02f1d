//! The export of a data subject: what is stored of a person besides profile and conversation.

use serde_json::json;

use super::Conn;
use super::values::Json;
use crate::domain::Timestamp;
use crate::error::Result;

/// An event that was published to the operator's own systems, or is queued for them.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedEvent {
    /// Row number of the event's delivery.
    pub seq: i64,
    /// Such as `message.received`.
    pub event: String,
    /// What is published.
    pub body: serde_json::Value,
    /// When it happened.
    pub created_at: Timestamp,
}

/// The events of a contact after the row `after` (0 for all), in their order.
pub fn published_events_of(conn: &Conn, contact_seq: i64, after: i64, limit: u32) -> Result<Vec<PublishedEvent>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, event, body, created_at FROM webhook_deliveries
         WHERE contact_seq = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    )?;
    let rows = statement.query_map((contact_seq, after, limit), |row| {
        let Json(body) = row.get(2)?;
        Ok(PublishedEvent { seq: row.get(0)?, event: row.get(1)?, body, created_at: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The HTTP calls of a session that have not been answered: method, URL and body. Their headers are the operator's,
/// with the secrets of other systems in them, and nothing of the person.
pub fn calls_of(conn: &Conn, session_seq: i64) -> Result<Vec<serde_json::Value>> {
    let mut statement = conn.prepare_cached("SELECT call FROM http_calls WHERE session_seq = ?1 ORDER BY seq")?;
    let rows = statement.query_map([session_seq], |row| {
        let Json::<serde_json::Value>(call) = row.get(0)?;
        Ok(json!({"method": call["method"], "url": call["url"], "body": call["body"]}))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// When the contact may be written to again without being written to too often, by channel.
pub fn pair_clocks_of(conn: &Conn, contact_seq: i64) -> Result<Vec<(String, Timestamp)>> {
    let mut statement =
        conn.prepare_cached("SELECT channel, arrival_at FROM pair_clocks WHERE contact_seq = ?1 ORDER BY channel")?;
    let rows = statement.query_map([contact_seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use crate::store::testing;

    #[test]
    fn nothing_is_found_by_scanning() {
        let conn = testing::conn();
        for sql in [
            "SELECT seq, event, body, created_at FROM webhook_deliveries
             WHERE contact_seq = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            "SELECT call FROM http_calls WHERE session_seq = ?1 ORDER BY seq",
            "SELECT channel, arrival_at FROM pair_clocks WHERE contact_seq = ?1 ORDER BY channel",
        ] {
            let plan = testing::plan(&conn, sql);
            assert!(!plan.contains("SCAN") && !plan.contains("TEMP"), "{sql}: {plan}");
        }
    }
}
