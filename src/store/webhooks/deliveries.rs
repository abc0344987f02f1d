//! The deliveries queued for webhook endpoints.
//!
//! The deliveries of one endpoint are posted in the order of their rows. Only the first queued one is ever tried, so
//! its `next_attempt_at` is when the endpoint is tried again. A test is in no queue: it has no `next_attempt_at`, holds
//! up nothing and is held up by nothing.

use rusqlite::{OptionalExtension, Row, params};
use uuid::Uuid;

use super::{Endpoint, find_endpoint};
use crate::domain::{DeliveryStatus, EndpointId, Timestamp};
use crate::error::Result;
use crate::store::row_numbers::Numbered;
use crate::store::{Conn, Tx};

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
    /// When a queued one is tried, or tried again, once those before it are done; `None` of a test.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When that changed last.
    pub updated_at: Timestamp,
}

/// Queues a delivery. Nothing happens if the endpoint is deleted or switched off by now.
pub fn insert_delivery(tx: &Tx<'_>, delivery: &NewDelivery<'_>) -> Result<()> {
    let seq = tx.next_seq(Numbered::WebhookDeliveries)?;
    tx.prepare_cached(
        "INSERT INTO webhook_deliveries (seq, id, endpoint_seq, contact_seq, event, body, status, next_attempt_at,
             created_at, updated_at)
         SELECT ?7, ?1, seq, ?3, ?4, ?5, 'queued', ?6, ?6, ?6 FROM webhook_endpoints WHERE id = ?2 AND is_active = 1",
    )?
    .execute(params![
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
        "SELECT seq, id, event, body, status, reason, attempts, next_attempt_at, created_at, updated_at
         FROM webhook_deliveries
         WHERE id = ?1 AND endpoint_seq = ?2 AND status = 'queued' AND next_attempt_at IS NULL",
    )?;
    let row = statement.query_row(params![id.as_bytes(), endpoint.seq], read_delivery).optional()?;
    Ok(row.map(|row| (endpoint, row)))
}

/// The first queued delivery of an endpoint, for which the others wait.
pub fn first_queued(conn: &Conn, endpoint_seq: i64) -> Result<Option<DeliveryRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, event, body, status, reason, attempts, next_attempt_at, created_at, updated_at
         FROM webhook_deliveries INDEXED BY webhook_deliveries_outbox
         WHERE endpoint_seq = ?1 AND status = 'queued' AND next_attempt_at IS NOT NULL ORDER BY seq LIMIT 1",
    )?;
    Ok(statement.query_row([endpoint_seq], read_delivery).optional()?)
}

/// Makes the first queued delivery of an endpoint due at once. Returns whether anything is queued.
pub fn try_now(tx: &Tx<'_>, endpoint_seq: i64, now: Timestamp) -> Result<bool> {
    let Some(first) = first_queued(tx, endpoint_seq)? else { return Ok(false) };
    tx.prepare_cached("UPDATE webhook_deliveries SET next_attempt_at = ?2 WHERE seq = ?1 AND next_attempt_at > ?2")?
        .execute((first.seq, now))?;
    Ok(true)
}

/// What the active endpoints have not taken since before a time.
pub fn behind_since(conn: &Conn, before: Timestamp) -> Result<Vec<Behind>> {
    let mut statement = conn.prepare_cached(
        "SELECT e.id, e.description, d.created_at,
             (SELECT count(*) FROM webhook_deliveries AS c WHERE c.endpoint_seq = e.seq AND c.status = 'queued')
         FROM webhook_endpoints AS e JOIN webhook_deliveries AS d
             ON d.seq = (SELECT min(q.seq) FROM webhook_deliveries AS q
                         WHERE q.endpoint_seq = e.seq AND q.status = 'queued' AND q.next_attempt_at IS NOT NULL)
         WHERE e.is_active = 1 AND d.created_at < ?1 ORDER BY d.created_at",
    )?;
    let rows = statement.query_map([before], |row| {
        Ok(Behind { endpoint: row.get(0)?, description: row.get(1)?, since: row.get(2)?, queued: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// An active endpoint that does not accept its queued deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// The endpoint's public id.
    pub endpoint: EndpointId,
    /// What people call it.
    pub description: String,
    /// When the first was queued that it has not taken.
    pub since: Timestamp,
    /// How many wait.
    pub queued: u32,
}

/// The active endpoints with something queued, each with the time of its next attempt.
pub fn waiting(conn: &Conn) -> Result<Vec<(EndpointId, Timestamp)>> {
    let mut statement = conn.prepare_cached(
        "SELECT e.id, d.next_attempt_at FROM webhook_endpoints AS e JOIN webhook_deliveries AS d
             ON d.seq = (SELECT min(q.seq) FROM webhook_deliveries AS q
                         WHERE q.endpoint_seq = e.seq AND q.status = 'queued' AND q.next_attempt_at IS NOT NULL)
         WHERE e.is_active = 1",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// An active endpoint with the first of its queued deliveries, in order; those only if the first is due.
pub fn next_deliveries(
    conn: &Conn,
    id: EndpointId,
    now: Timestamp,
    limit: u32,
) -> Result<Option<(Endpoint, Vec<DeliveryRow>)>> {
    let Some(endpoint) = find_endpoint(conn, id)?.filter(|endpoint| endpoint.is_active) else { return Ok(None) };
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, event, body, status, reason, attempts, next_attempt_at, created_at, updated_at
         FROM webhook_deliveries INDEXED BY webhook_deliveries_outbox
         WHERE endpoint_seq = ?1 AND status = 'queued' AND next_attempt_at IS NOT NULL ORDER BY seq LIMIT ?2",
    )?;
    let rows = statement.query_map((endpoint.seq, limit), read_delivery)?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    if rows.first().is_some_and(|first| first.next_attempt_at.is_some_and(|at| at > now)) {
        rows.clear();
    }
    Ok(Some((endpoint, rows)))
}

/// Records that an endpoint has taken deliveries.
pub fn set_sent(tx: &Tx<'_>, endpoint: EndpointId, taken: &[i64], now: Timestamp) -> Result<()> {
    let mut update = tx.prepare_cached(
        "UPDATE webhook_deliveries SET status = 'sent', reason = NULL, attempts = attempts + 1, next_attempt_at = NULL,
             updated_at = ?2
         WHERE seq = ?1 AND status = 'queued'",
    )?;
    for seq in taken {
        update.execute((seq, now))?;
    }
    tx.prepare_cached(
        "UPDATE webhook_endpoints SET failing_since = NULL, last_error = NULL
         WHERE id = ?1 AND failing_since IS NOT NULL",
    )?
    .execute([endpoint])?;
    Ok(())
}

/// Records that an attempt failed. Without another attempt (`next_attempt_at`) the delivery has failed for good.
pub fn set_attempt_failed(
    tx: &Tx<'_>,
    seq: i64,
    reason: &str,
    next_attempt_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<()> {
    let status = if next_attempt_at.is_some() { DeliveryStatus::Queued } else { DeliveryStatus::Failed };
    tx.prepare_cached(
        "UPDATE webhook_deliveries SET status = ?2, reason = ?3, attempts = attempts + 1, next_attempt_at = ?4,
             updated_at = ?5
         WHERE seq = ?1 AND status = 'queued'",
    )?
    .execute(params![seq, status, reason, next_attempt_at, now])?;
    tx.prepare_cached(
        "UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, ?2), last_error = ?3
         WHERE seq = (SELECT endpoint_seq FROM webhook_deliveries WHERE seq = ?1)",
    )?
    .execute((seq, now, reason))?;
    Ok(())
}

/// Abandons some of the deliveries that were queued for an endpoint before a time. Returns how many.
pub fn give_up_older(
    tx: &Tx<'_>,
    endpoint: EndpointId,
    before: Timestamp,
    reason: &str,
    now: Timestamp,
) -> Result<usize> {
    let given_up = tx
        .prepare_cached(
            "UPDATE webhook_deliveries SET status = 'failed', reason = ?3, next_attempt_at = NULL, updated_at = ?4
             WHERE seq IN (SELECT seq FROM webhook_deliveries INDEXED BY webhook_deliveries_outbox
                           WHERE endpoint_seq = (SELECT seq FROM webhook_endpoints WHERE id = ?1)
                               AND status = 'queued' AND created_at <= ?2
                           ORDER BY seq LIMIT 1000)",
        )?
        .execute(params![endpoint, before, reason, now])?;
    Ok(given_up)
}

/// Lets the first of an endpoint's queued deliveries wait until a time.
pub fn defer_first(tx: &Tx<'_>, endpoint: EndpointId, until: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "UPDATE webhook_deliveries SET next_attempt_at = ?2
         WHERE seq = (SELECT min(seq) FROM webhook_deliveries
                      WHERE endpoint_seq = (SELECT seq FROM webhook_endpoints WHERE id = ?1) AND status = 'queued'
                          AND next_attempt_at IS NOT NULL)",
    )?
    .execute((endpoint, until))?;
    Ok(())
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
        "SELECT seq, id, event, body, status, reason, attempts, next_attempt_at, created_at, updated_at
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

fn read_delivery(row: &Row<'_>) -> rusqlite::Result<DeliveryRow> {
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
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::EventKind;
    use crate::store::testing::{self, now};
    use crate::store::webhooks::{
        EndpointChange, Listener, NewEndpoint, deactivate, delete_some, insert_endpoint, list_endpoints, listeners,
        update_endpoint,
    };

    fn endpoint(tx: &Tx<'_>, n: u128, events: &[&str]) -> EndpointId {
        let id = EndpointId(Uuid::from_u128(n));
        let events: Vec<String> = events.iter().map(|event| (*event).to_owned()).collect();
        let new = NewEndpoint { id, url: "https://e.example/", description: "", events: &events, secret: "whsec_1" };
        insert_endpoint(tx, &new, now()).unwrap();
        id
    }

    fn queue(tx: &Tx<'_>, endpoint: EndpointId, n: u128, created_at: Timestamp) {
        let id = Uuid::from_u128(n);
        let delivery =
            NewDelivery { id, endpoint, contact_seq: None, event: "session.started", body: "{}", created_at };
        insert_delivery(tx, &delivery).unwrap();
    }

    fn queued(tx: &Tx<'_>, endpoint: EndpointId, at: Timestamp) -> Vec<u128> {
        let found = next_deliveries(tx, endpoint, at, 9).unwrap();
        found.map_or(Vec::new(), |(_, rows)| rows.iter().map(|row| row.id.as_u128()).collect())
    }

    fn row(tx: &Tx<'_>, n: u128) -> i64 {
        let sql = "SELECT seq FROM webhook_deliveries WHERE id = ?1";
        tx.query_row(sql, [Uuid::from_u128(n).as_bytes()], |row| row.get(0)).unwrap()
    }

    #[test]
    fn only_active_endpoints_hear_and_only_what_they_want() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (all, some) = (endpoint(&tx, 1, &[]), endpoint(&tx, 2, &["session.started", "session.failed"]));
        let off = endpoint(&tx, 3, &[]);
        deactivate(&tx, off, now()).unwrap();
        let found = listeners(&tx).unwrap();
        let wants = |it: &Listener| (it.wants(EventKind::SessionFailed), it.wants(EventKind::SessionExpired));
        assert_eq!(
            found.iter().map(|it| (it.id, wants(it).0, wants(it).1)).collect::<Vec<_>>(),
            [(all, true, true), (some, true, false)]
        );
        for (n, id) in [(1, all), (2, some), (3, off), (4, EndpointId(Uuid::from_u128(9)))] {
            queue(&tx, id, n, now());
        }
        let listed = list_endpoints(&tx).unwrap();
        assert_eq!(
            listed.iter().map(|(it, queued)| (it.id, *queued)).collect::<Vec<_>>(),
            [(all, 1), (some, 1), (off, 0)]
        );
        assert!(delete_some(&tx, all, 9).unwrap() && delete_some(&tx, all, 9).unwrap());
        assert_eq!(find_endpoint(&tx, all).unwrap(), None);
        queue(&tx, some, 5, now());
        assert!(!delete_some(&tx, some, 1).unwrap() && !delete_some(&tx, some, 1).unwrap());
        assert!(delete_some(&tx, some, 1).unwrap());
    }

    #[test]
    fn an_endpoint_is_told_in_order_and_waits_at_the_first_that_failed() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (one, other) = (endpoint(&tx, 1, &[]), endpoint(&tx, 2, &[]));
        for (n, id) in [(1, one), (2, other), (3, one), (4, one)] {
            queue(&tx, id, n, now());
        }
        assert_eq!(queued(&tx, one, now()), [1, 3, 4]);
        let later = now().plus(Duration::from_secs(5));
        set_attempt_failed(&tx, row(&tx, 1), "status 500", Some(later), now()).unwrap();
        assert_eq!(queued(&tx, one, now()), [] as [u128; 0]);
        assert_eq!((queued(&tx, one, later), queued(&tx, other, now())), (vec![1, 3, 4], vec![2]));
        let mut waits = waiting(&tx).unwrap();
        waits.sort_unstable();
        assert_eq!(waits, [(one, later), (other, now())]);
        let failing = find_endpoint(&tx, one).unwrap().unwrap();
        assert_eq!((failing.failing_since, failing.last_error.as_deref()), (Some(now()), Some("status 500")));
        set_attempt_failed(&tx, row(&tx, 1), "status 404", None, later).unwrap();
        assert_eq!(find_endpoint(&tx, one).unwrap().unwrap().failing_since, Some(now()), "since then");
        assert_eq!(queued(&tx, one, now()), [3, 4]);
        set_sent(&tx, one, &[row(&tx, 3)], later).unwrap();
        assert_eq!(queued(&tx, one, later), [4]);
        assert_eq!(find_endpoint(&tx, one).unwrap().unwrap().failing_since, None);
        let listed = list_deliveries(&tx, failing.seq, None, None, 2).unwrap();
        assert_eq!(
            listed.iter().map(|it| (it.id.as_u128(), it.status, it.attempts)).collect::<Vec<_>>(),
            [(4, DeliveryStatus::Queued, 0), (3, DeliveryStatus::Sent, 1)]
        );
        let failed = list_deliveries(&tx, failing.seq, Some(DeliveryStatus::Failed), Some(listed[1].seq), 9).unwrap();
        assert_eq!(failed.iter().map(|it| (it.id.as_u128(), it.attempts)).collect::<Vec<_>>(), [(1, 2)]);
        assert_eq!(prune(&tx, later, 9).unwrap(), 0);
        assert_eq!(prune(&tx, later.plus(Duration::from_millis(1)), 9).unwrap(), 2);
    }

    #[test]
    fn a_test_is_in_no_queue() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let one = endpoint(&tx, 1, &[]);
        let id = Uuid::from_u128(1);
        let test =
            NewDelivery { id, endpoint: one, contact_seq: None, event: "webhook.test", body: "{}", created_at: now() };
        insert_test(&tx, &test).unwrap();
        let seq = find_endpoint(&tx, one).unwrap().unwrap().seq;
        let minute = now().plus(Duration::from_secs(60));
        assert_eq!((waiting(&tx).unwrap(), queued(&tx, one, now())), (vec![], vec![]));
        assert!(!try_now(&tx, seq, now()).unwrap() && behind_since(&tx, minute).unwrap().is_empty());
        assert_eq!(tests(&tx).unwrap(), [(one, id)]);
        queue(&tx, one, 2, now());
        queue(&tx, one, 3, now());
        assert_eq!(queued(&tx, one, now()), [2, 3]);
        set_attempt_failed(&tx, row(&tx, 2), "status 500", Some(minute), now()).unwrap();
        assert!(try_now(&tx, seq, now()).unwrap());
        assert_eq!((queued(&tx, one, now()), first_queued(&tx, seq).unwrap().unwrap().id.as_u128()), (vec![2, 3], 2));
        assert_eq!(behind_since(&tx, now()).unwrap(), []);
        let behind = Behind { endpoint: one, description: String::new(), since: now(), queued: 3 };
        assert_eq!(behind_since(&tx, minute).unwrap(), [behind]);
        let (_, made) = find_test(&tx, one, id).unwrap().unwrap();
        set_sent(&tx, one, &[made.seq], now()).unwrap();
        assert_eq!((find_test(&tx, one, id).unwrap(), tests(&tx).unwrap()), (None, vec![]));
    }

    #[test]
    fn what_is_old_is_given_up_and_the_next_waits() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let one = endpoint(&tx, 1, &[]);
        let at = |seconds| now().plus(Duration::from_secs(seconds));
        for n in 1..=3 {
            queue(&tx, one, n, at(n as u64));
        }
        assert_eq!(give_up_older(&tx, one, at(2), "too old", at(9)).unwrap(), 2);
        defer_first(&tx, one, at(20)).unwrap();
        assert_eq!((queued(&tx, one, at(19)), queued(&tx, one, at(20))), (vec![], vec![3]));
        let switched_off = EndpointChange { is_active: Some(false), ..EndpointChange::default() };
        assert!(update_endpoint(&tx, one, &switched_off, at(9)).unwrap());
        assert_eq!(next_deliveries(&tx, one, at(99), 9).unwrap(), None);
        let switched_on = EndpointChange { is_active: Some(true), ..EndpointChange::default() };
        assert!(update_endpoint(&tx, one, &switched_on, at(9)).unwrap());
        assert_eq!(queued(&tx, one, at(9)), [3], "there is new hope");
    }

    #[test]
    fn no_query_of_the_worker_scans_deliveries() {
        let conn = testing::conn();
        for sql in [
            "SELECT e.id, d.next_attempt_at FROM webhook_endpoints AS e JOIN webhook_deliveries AS d
             ON d.seq = (SELECT min(q.seq) FROM webhook_deliveries AS q
                         WHERE q.endpoint_seq = e.seq AND q.status = 'queued' AND q.next_attempt_at IS NOT NULL)
             WHERE e.is_active = 1",
            "SELECT seq FROM webhook_deliveries INDEXED BY webhook_deliveries_outbox
             WHERE endpoint_seq = ?1 AND status = 'queued' AND next_attempt_at IS NOT NULL ORDER BY seq LIMIT ?2",
            "SELECT seq FROM webhook_deliveries INDEXED BY webhook_deliveries_by_endpoint
             WHERE endpoint_seq = ?1 AND seq < ?2 AND (?3 IS NULL OR status = ?3) ORDER BY seq DESC LIMIT ?4",
            "SELECT seq FROM webhook_deliveries INDEXED BY webhook_deliveries_by_age
             WHERE status IN ('sent', 'failed') AND updated_at < ?1 LIMIT ?2",
        ] {
            let plan = testing::plan(&conn, sql);
            let scans = ["SCAN d", "SCAN q", "SCAN webhook_deliveries", "TEMP"];
            assert!(!scans.iter().any(|scan| plan.contains(scan)), "{sql}: {plan}");
        }
    }
}
