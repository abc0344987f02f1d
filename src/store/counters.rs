//! Counts that pages show. Jobs add to them through [`Tx::count`](super::Tx::count); nothing counts rows.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use rusqlite::OptionalExtension;

use super::Conn;
use crate::domain::{CounterName, NodeId, Timestamp};
use crate::error::Result;

/// Hours by which the growth of the database is told: a week.
const GROWTH_HOURS: i64 = 7 * HOURS_PER_DAY;
const HOURS_PER_DAY: i64 = 24;

/// What is counted. A field as in [`Counter::of`] stands for all of its kind, so a lifetime total of a flow has a name
/// and a `flow_seq` only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Counter {
    /// What it counts.
    pub name: CounterName,
    /// The flow; 0 for all.
    pub flow_seq: i64,
    /// The published version; 0 for all.
    pub version: u32,
    /// The node; `None` for all.
    pub node: Option<NodeId>,
    /// The exit; empty for all.
    pub exit: Cow<'static, str>,
    /// Hours since 1970-01-01T00:00:00Z; 0 for all.
    pub hour: i64,
}

impl Counter {
    /// The total of all flows, nodes and hours.
    pub fn of(name: CounterName) -> Self {
        Self { name, flow_seq: 0, version: 0, node: None, exit: Cow::Borrowed(""), hour: 0 }
    }

    /// The hour that a moment belongs to, as counters name it.
    pub fn hour_of(at: Timestamp) -> i64 {
        at.as_millis().div_euclid(3_600_000)
    }
}

/// Adds to counters, making those that are not there yet.
pub fn add_all(conn: &Conn, counts: &HashMap<Counter, i64>) -> Result<()> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO counters (name, flow_seq, version, node, exit, hour, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET value = value + excluded.value",
    )?;
    for (counter, delta) in counts.iter().filter(|&(_, &delta)| delta != 0) {
        let node = counter.node.as_ref().map_or("", NodeId::as_str);
        let Counter { name, flow_seq, version, exit, hour, .. } = counter;
        statement.execute((name, flow_seq, version, node, exit, hour, delta))?;
    }
    Ok(())
}

/// The value of one counter; 0 if nothing was ever counted.
pub fn value(conn: &Conn, counter: &Counter) -> Result<i64> {
    let node = counter.node.as_ref().map_or("", NodeId::as_str);
    let Counter { name, flow_seq, version, exit, hour, .. } = counter;
    let value = conn
        .prepare_cached(
            "SELECT value FROM counters
             WHERE name = ?1 AND flow_seq = ?2 AND version = ?3 AND node = ?4 AND exit = ?5 AND hour = ?6",
        )?
        .query_row((name, flow_seq, version, node, exit, hour), |row| row.get(0))
        .optional()?;
    Ok(value.unwrap_or(0))
}

/// All counters of a name and a flow within `hours`, in the order of version, node, exit and hour. The range `0..1`
/// reads the lifetime totals.
pub fn of_flow(conn: &Conn, name: CounterName, flow_seq: i64, hours: Range<i64>) -> Result<Vec<(Counter, i64)>> {
    let mut statement = conn.prepare_cached(
        "SELECT version, nullif(node, ''), exit, hour, value FROM counters
         WHERE name = ?1 AND flow_seq = ?2 AND hour >= ?3 AND hour < ?4
         ORDER BY version, node, exit, hour",
    )?;
    let rows = statement.query_map((name, flow_seq, hours.start, hours.end), |row| {
        let counter = Counter {
            name,
            flow_seq,
            version: row.get(0)?,
            node: row.get(1)?,
            exit: row.get::<_, String>(2)?.into(),
            hour: row.get(3)?,
        };
        Ok((counter, row.get(4)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A flow's counts by hour within `hours`, in their order, as hours and values. Other than [`of_flow`], it looks at no
/// other hour.
pub fn by_hour(conn: &Conn, name: CounterName, flow_seq: i64, hours: Range<i64>) -> Result<Vec<(i64, i64)>> {
    let mut statement = conn.prepare_cached(
        "SELECT hour, value FROM counters
         WHERE name = ?1 AND flow_seq = ?2 AND version = 0 AND node = '' AND exit = '' AND hour >= ?3 AND hour < ?4
         ORDER BY hour",
    )?;
    let rows = statement.query_map((name, flow_seq, hours.start, hours.end), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// By how many bytes the database has grown a day within the last week; `None` before it was observed for a day.
pub fn growth_per_day(conn: &Conn, now: Timestamp) -> Result<Option<i64>> {
    let last = Counter::hour_of(now);
    let grown = by_hour(conn, CounterName::DatabaseGrown, 0, last - GROWTH_HOURS + 1..last + 1)?;
    let hours = grown.first().map_or(0, |(first, _)| last - first + 1);
    let bytes: i64 = grown.iter().map(|(_, bytes)| bytes).sum();
    Ok((hours >= HOURS_PER_DAY).then(|| bytes * HOURS_PER_DAY / hours))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[test]
    fn adds_up_and_reads_back() {
        let conn = testing::conn();
        let name = CounterName::SessionStarted;
        let total = Counter { flow_seq: 3, ..Counter::of(name) };
        let hour = Counter::hour_of("2026-05-07T08:59:59Z".parse().unwrap());
        let node =
            Counter { version: 2, node: Some("ask".parse().unwrap()), exit: "timeout".into(), hour, ..total.clone() };
        for _ in 0..2 {
            add_all(&conn, &HashMap::from([(total.clone(), 5), (node.clone(), 1)])).unwrap();
        }
        assert_eq!(value(&conn, &total).unwrap(), 10);
        assert_eq!(value(&conn, &Counter { flow_seq: 4, ..total.clone() }).unwrap(), 0);
        assert_eq!(of_flow(&conn, name, 3, 0..1).unwrap(), [(total.clone(), 10)]);
        assert_eq!(of_flow(&conn, name, 3, hour..hour + 1).unwrap(), [(node, 2)]);
        assert_eq!(of_flow(&conn, name, 4, 0..i64::MAX).unwrap(), []);
        let of_hour = Counter { hour, ..total.clone() };
        add_all(&conn, &HashMap::from([(of_hour, 7)])).unwrap();
        assert_eq!(by_hour(&conn, name, 3, 1..i64::MAX).unwrap(), [(hour, 7)], "neither totals nor nodes");
    }
}
