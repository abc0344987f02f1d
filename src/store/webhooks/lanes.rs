//! Lanes: which of an endpoint's queued deliveries may be posted now, and which wait.
//!
//! A lane is what is queued for one endpoint about one contact; events about no contact are a lane of their own. The
//! deliveries of a lane are posted in the order of their rows: only its head has a time (`next_attempt_at`), those
//! behind it are parked, and whoever settles or drops a head releases its lane. A test is in no lane: it has no
//! `next_attempt_at`, holds up nothing and is held up by nothing.

use rusqlite::{OptionalExtension, params};

use super::deliveries::{COLUMNS, DeliveryRow, parked, read_delivery};
use super::{Endpoint, Standing, find_endpoint};
use crate::domain::{DeliveryStatus, EndpointId, Timestamp};
use crate::error::Result;
use crate::store::{Conn, Tx};

/// The head of a lane: endpoint `?1`, contact `?2`.
pub(super) const HEAD: &str = "SELECT seq FROM webhook_deliveries INDEXED BY webhook_deliveries_lane
    WHERE endpoint_seq = ?1 AND contact_seq IS ?2 AND status = 'queued' AND next_attempt_at IS NOT NULL
    ORDER BY seq LIMIT 1";
pub(super) const RELEASE: &str = "UPDATE webhook_deliveries SET next_attempt_at = min(created_at, ?3)
    WHERE seq = (SELECT seq FROM webhook_deliveries INDEXED BY webhook_deliveries_lane
                 WHERE endpoint_seq = ?1 AND contact_seq IS ?2 AND status = 'queued' AND next_attempt_at IS NOT NULL
                 ORDER BY seq LIMIT 1)
        AND next_attempt_at = 253402207199999";
pub(super) const DUE: &str = "SELECT seq FROM webhook_deliveries INDEXED BY webhook_deliveries_due
    WHERE endpoint_seq = ?1 AND status = 'queued' AND next_attempt_at < 253402207199999 AND next_attempt_at <= ?2
    ORDER BY next_attempt_at, seq LIMIT ?3";
pub(super) const RESUME: &str = "UPDATE webhook_deliveries INDEXED BY webhook_deliveries_due
    SET next_attempt_at = min(created_at, ?2)
    WHERE endpoint_seq = ?1 AND status = 'queued' AND next_attempt_at < 253402207199999 AND next_attempt_at > ?2";
pub(super) const WAITING: &str = "SELECT e.id, d.next_attempt_at, e.probe_at
    FROM webhook_endpoints AS e JOIN webhook_deliveries AS d
        ON d.seq = (SELECT q.seq FROM webhook_deliveries AS q INDEXED BY webhook_deliveries_due
                    WHERE q.endpoint_seq = e.seq AND q.status = 'queued' AND q.next_attempt_at < 253402207199999
                    ORDER BY q.next_attempt_at, q.seq LIMIT 1)
    WHERE e.is_active = 1";
pub(super) const OLDEST: &str = "SELECT seq, contact_seq, created_at FROM webhook_deliveries
    INDEXED BY webhook_deliveries_outbox
    WHERE endpoint_seq = ?1 AND status = 'queued' AND next_attempt_at IS NOT NULL ORDER BY seq LIMIT ?2";
pub(super) const PARK_BEHIND: &str = "UPDATE webhook_deliveries SET next_attempt_at = 253402207199999
    WHERE contact_seq = ?1 AND status = 'queued' AND next_attempt_at < 253402207199999
        AND EXISTS (SELECT 1 FROM webhook_deliveries AS h INDEXED BY webhook_deliveries_lane
                    WHERE h.endpoint_seq = webhook_deliveries.endpoint_seq AND h.contact_seq = ?1
                        AND h.status = 'queued' AND h.next_attempt_at IS NOT NULL AND h.seq < webhook_deliveries.seq)";
const HEADLESS: &str = "SELECT endpoint_seq, contact_seq FROM webhook_deliveries INDEXED BY webhook_deliveries_lane
    WHERE status = 'queued' AND next_attempt_at IS NOT NULL
    GROUP BY endpoint_seq, contact_seq HAVING min(next_attempt_at) = 253402207199999";

/// Lets the head of a lane be posted if it is parked, because the one before it is settled or gone.
pub(in crate::store) fn release(
    tx: &Tx<'_>,
    endpoint_seq: i64,
    contact_seq: Option<i64>,
    now: Timestamp,
) -> Result<()> {
    // It keeps its place among the lanes: those go first that have waited longest.
    tx.prepare_cached(RELEASE)?.execute((endpoint_seq, contact_seq, now))?;
    Ok(())
}

/// Makes one lane of two at each endpoint, after all deliveries about one contact have become another's: of their two
/// heads the later one is parked.
pub(in crate::store) fn join_lanes(tx: &Tx<'_>, contact_seq: i64) -> Result<()> {
    tx.prepare_cached(PARK_BEHIND)?.execute([contact_seq])?;
    Ok(())
}

/// Lanes, as endpoint and contact, in which everything is parked: what removed a head did not release its lane. Looks
/// at everything that is queued.
pub fn lanes_without_head(conn: &Conn) -> Result<Vec<(i64, Option<i64>)>> {
    let mut statement = conn.prepare(HEADLESS)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Releases lanes.
pub fn release_lanes(tx: &Tx<'_>, lanes: &[(i64, Option<i64>)], now: Timestamp) -> Result<()> {
    lanes.iter().try_for_each(|(endpoint_seq, contact_seq)| release(tx, *endpoint_seq, *contact_seq, now))
}

/// The delivery of a lane that is posted before the others of it.
pub fn head_of_lane(conn: &Conn, endpoint_seq: i64, contact_seq: Option<i64>) -> Result<Option<DeliveryRow>> {
    let mut statement = conn.prepare_cached(HEAD)?;
    let seq: Option<i64> = statement.query_row((endpoint_seq, contact_seq), |row| row.get(0)).optional()?;
    seq.map_or(Ok(None), |seq| find(conn, seq))
}

fn find(conn: &Conn, seq: i64) -> Result<Option<DeliveryRow>> {
    let sql = format!("SELECT {COLUMNS} FROM webhook_deliveries WHERE seq = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([seq], read_delivery).optional()?)
}

/// The active endpoints with something queued, each with the time of its next attempt.
pub fn waiting(conn: &Conn) -> Result<Vec<(EndpointId, Timestamp)>> {
    let mut statement = conn.prepare_cached(WAITING)?;
    let rows = statement.query_map([], |row| {
        let (due_at, probe_at): (Timestamp, Option<Timestamp>) = (row.get(1)?, row.get(2)?);
        Ok((row.get(0)?, probe_at.map_or(due_at, |probe_at| probe_at.max(due_at))))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// An active endpoint with heads of lanes that are due and not `under_way`, at most `limit`, those first that have
/// waited longest. An endpoint that is taken to be down has one, once its time has come and nothing is under way.
/// `None` if the endpoint is gone or switched off.
pub fn due(
    conn: &Conn,
    id: EndpointId,
    now: Timestamp,
    under_way: &[i64],
    limit: usize,
) -> Result<Option<(Endpoint, Vec<DeliveryRow>)>> {
    let Some(endpoint) = find_endpoint(conn, id)?.filter(|endpoint| endpoint.is_active) else { return Ok(None) };
    let limit = match endpoint.standing.probe_at {
        None => limit,
        Some(probe_at) if probe_at <= now && under_way.is_empty() => limit.min(1),
        Some(_) => 0,
    };
    if limit == 0 {
        return Ok(Some((endpoint, Vec::new())));
    }
    let mut statement = conn.prepare_cached(DUE)?;
    // Heads that are under way are due as well.
    let looked_at = i64::try_from(limit + under_way.len()).unwrap_or(i64::MAX);
    let seqs = statement.query_map((endpoint.seq, now, looked_at), |row| row.get(0))?;
    let mut rows = Vec::new();
    for seq in seqs {
        let seq = seq?;
        if rows.len() < limit && !under_way.contains(&seq) {
            rows.extend(find(conn, seq)?);
        }
    }
    Ok(Some((endpoint, rows)))
}

/// Makes what waits to be tried again due at once: the heads of all lanes, and the probe of an endpoint that is taken
/// to be down. Returns whether anything is queued.
pub fn try_now(tx: &Tx<'_>, endpoint_seq: i64, now: Timestamp) -> Result<bool> {
    tx.prepare_cached("UPDATE webhook_endpoints SET probe_at = ?2 WHERE seq = ?1 AND probe_at > ?2")?
        .execute((endpoint_seq, now))?;
    resume(tx, endpoint_seq, now)?;
    Ok(tx.prepare_cached(OLDEST)?.query_row((endpoint_seq, 1), |_| Ok(())).optional()?.is_some())
}

/// Makes the heads of all lanes of an endpoint due that wait to be tried again.
pub(super) fn resume(tx: &Tx<'_>, endpoint_seq: i64, now: Timestamp) -> Result<()> {
    tx.prepare_cached(RESUME)?.execute((endpoint_seq, now))?;
    Ok(())
}

/// Records that an endpoint has taken deliveries, and releases their lanes. One that was taken to be down is not any
/// more if it was its probe, or a test, that it took: what failed meanwhile is tried at once.
pub fn set_sent(tx: &Tx<'_>, id: EndpointId, taken: &[i64], is_test: bool, now: Timestamp) -> Result<()> {
    let mut update = tx.prepare_cached(
        "UPDATE webhook_deliveries SET status = 'sent', reason = NULL, attempts = attempts + 1, next_attempt_at = NULL,
             updated_at = ?2
         WHERE seq = ?1 AND status = 'queued' RETURNING endpoint_seq, contact_seq",
    )?;
    for seq in taken {
        let lane = update.query_row((seq, now), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        release_lanes(tx, lane.as_slice(), now)?;
    }
    let Some(endpoint) = find_endpoint(tx, id)? else { return Ok(()) };
    tx.prepare_cached(
        "UPDATE webhook_endpoints SET failing_since = NULL, last_error = NULL, failures = 0, failing_lane = NULL
         WHERE seq = ?1 AND (failing_since IS NOT NULL OR last_error IS NOT NULL OR failures > 0)",
    )?
    .execute([endpoint.seq])?;
    if endpoint.standing.probe_at.is_some_and(|probe_at| probe_at <= now || is_test) {
        tx.prepare_cached("UPDATE webhook_endpoints SET probe_at = NULL WHERE seq = ?1")?.execute([endpoint.seq])?;
        resume(tx, endpoint.seq, now)?;
    }
    Ok(())
}

/// Records that an attempt failed. Without another attempt (`next_attempt_at`) the delivery has failed for good, and
/// its lane is released.
pub fn set_attempt_failed(
    tx: &Tx<'_>,
    seq: i64,
    reason: &str,
    next_attempt_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<()> {
    let status = if next_attempt_at.is_some() { DeliveryStatus::Queued } else { DeliveryStatus::Failed };
    // One that is parked stays so: its contact was found to be another one, whose lane has an earlier head.
    let lane: Option<(i64, Option<i64>)> = tx
        .prepare_cached(
            "UPDATE webhook_deliveries SET status = ?2, reason = ?3, attempts = attempts + 1, updated_at = ?5,
                 next_attempt_at = CASE WHEN ?4 IS NOT NULL AND next_attempt_at = ?6 THEN ?6 ELSE ?4 END
             WHERE seq = ?1 AND status = 'queued' RETURNING endpoint_seq, contact_seq",
        )?
        .query_row(params![seq, status, reason, next_attempt_at, now, parked()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some(lane) = lane else { return Ok(()) };
    tx.prepare_cached(
        "UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, ?2), last_error = ?3 WHERE seq = ?1",
    )?
    .execute((lane.0, now, reason))?;
    if next_attempt_at.is_none() {
        release_lanes(tx, &[lane], now)?;
    }
    Ok(())
}

/// Records how an endpoint stands after attempts that failed.
pub fn set_standing(tx: &Tx<'_>, id: EndpointId, standing: &Standing) -> Result<()> {
    let Standing { failures, failing_lane, probe_at } = standing;
    tx.prepare_cached("UPDATE webhook_endpoints SET failures = ?2, failing_lane = ?3, probe_at = ?4 WHERE id = ?1")?
        .execute((id, failures, failing_lane, probe_at))?;
    Ok(())
}

/// Gives up the oldest of the deliveries that are queued for an endpoint, as far as they were queued no later than
/// `until`, at most `limit`, and releases their lanes. Returns how many.
pub fn give_up_oldest(
    tx: &Tx<'_>,
    id: EndpointId,
    until: Timestamp,
    reason: &str,
    now: Timestamp,
    limit: u32,
) -> Result<usize> {
    let Some(endpoint) = find_endpoint(tx, id)? else { return Ok(0) };
    let mut statement = tx.prepare_cached(OLDEST)?;
    let mut rows = statement.query((endpoint.seq, limit))?;
    let mut old: Vec<(i64, Option<i64>)> = Vec::new();
    while let Some(row) = rows.next()? {
        // What is behind a younger one is looked at when that one is as old.
        if row.get::<_, Timestamp>(2)? > until {
            break;
        }
        old.push((row.get(0)?, row.get(1)?));
    }
    drop(rows);
    let mut fail = tx.prepare_cached(
        "UPDATE webhook_deliveries SET status = 'failed', reason = ?2, next_attempt_at = NULL, updated_at = ?3
         WHERE seq = ?1",
    )?;
    for (seq, _) in &old {
        fail.execute((seq, reason, now))?;
    }
    for (_, contact_seq) in &old {
        release(tx, endpoint.seq, *contact_seq, now)?;
    }
    Ok(old.len())
}
