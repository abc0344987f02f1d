//! `GET /stats`: counts for the dashboard. They are read from counters; no row of a session is touched.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::api::error::ApiError;
use crate::api::request::{Query, Reader};
use crate::api::state::{State, read, read_heavy};
use crate::domain::{CounterName, FlowId, Timestamp};
use crate::error::Result;
use crate::store::counters::{self, Counter};
use crate::store::{Conn, flows};
use crate::views::IsoTime;
use crate::views::flow::SessionCounts;
use crate::views::stats::{Disk, MessageTotals, NodeCounts, Stats, Totals, VersionCounts};

/// Hours of the series if the request does not say.
const DEFAULT_HOURS: i64 = 24;
/// Hours of the series at most: a month.
const MAX_HOURS: i64 = 31 * 24;

/// Totals, a series by hour, and of one flow also its versions and nodes.
pub(in crate::api) async fn get_stats(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read(&request)?;
    let flow_id: Option<FlowId> = query.parsed("flow_id");
    let hours = query.number("hours", 1..=MAX_HOURS).unwrap_or(DEFAULT_HOURS);
    query.finish()?;
    let now = state.runtime.clock().now();
    let stats = read_heavy(&state, move |conn| match flow_id {
        None => {
            let mut stats = overview(conn, &flows::all_seqs(conn)?, now, hours)?;
            stats.totals.messages.billable = by_category(conn, CounterName::MessageBillable)?;
            stats.totals.messages.free = by_category(conn, CounterName::MessageFree)?;
            Ok(Some(stats))
        }
        Some(id) => {
            let Some(seq) = flows::seq_of_any(conn, id)? else { return Ok(None) };
            let mut stats = overview(conn, &[seq], now, hours)?;
            stats.versions = Some(versions(conn, seq)?);
            stats.nodes = Some(nodes(conn, seq)?);
            Ok(Some(stats))
        }
    });
    let mut stats = stats.await?.ok_or_else(|| ApiError::not_found("Flow not found"))?;
    // If the free space cannot be read, the rest is returned without it.
    if let Ok(disk) = state.runtime.store().disk() {
        let growth = read(&state, move |conn| counters::growth_per_day(conn, now)).await?;
        let days =
            growth.and_then(|growth| u64::try_from(growth).ok()).and_then(|growth| disk.free.checked_div(growth));
        stats.disk = Some(Disk {
            free_bytes: disk.free,
            database_bytes: disk.database,
            log_bytes: disk.log,
            growth_per_day_bytes: growth,
            full_in_days: days,
        });
    }
    Ok(HttpResponse::Ok().json(stats))
}

/// How many sessions a flow, or one version of it, has and had.
pub(in crate::api) fn session_counts(conn: &Conn, flow_seq: i64, version: Option<u32>) -> Result<SessionCounts> {
    let counted = CounterName::of_sessions().map(|(name, _)| {
        let counter = Counter { flow_seq, version: version.unwrap_or(0), ..Counter::of(name) };
        Ok((name, counters::value(conn, &counter)?))
    });
    Ok(SessionCounts::new(counted.collect::<Result<Vec<_>>>()?))
}

fn overview(conn: &Conn, flow_seqs: &[i64], now: Timestamp, hours: i64) -> Result<Stats> {
    let mut sessions: BTreeMap<&'static str, i64> = BTreeMap::new();
    let mut messages = 0;
    let last = Counter::hour_of(now);
    let first = last - hours + 1;
    let mut series: Vec<Map<String, Value>> = (first..=last).map(empty_hour).collect();
    for flow_seq in flow_seqs {
        for (name, value) in session_counts(conn, *flow_seq, None)?.by_key() {
            *sessions.entry(name).or_default() += value;
        }
        let out = Counter { flow_seq: *flow_seq, ..Counter::of(CounterName::MessageOut) };
        messages += counters::value(conn, &out)?;
        add_hours(conn, *flow_seq, first, &mut series)?;
    }
    let messages = MessageTotals { out: messages, billable: BTreeMap::new(), free: BTreeMap::new() };
    Ok(Stats { totals: Totals { sessions, messages }, series, versions: None, nodes: None, disk: None })
}

/// A row of the series in which nothing has happened.
fn empty_hour(hour: i64) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("hour".to_owned(), json!(IsoTime(Timestamp::from_millis(hour * 3_600_000))));
    let of_sessions = CounterName::of_sessions().filter(|(counter, _)| counter.is_always_shown());
    for name in of_sessions.map(|(_, name)| name).chain(["messages_out"]) {
        row.insert(name.to_owned(), json!(0));
    }
    row
}

/// Adds what happened in a flow to a series of hours that begins with `first`.
fn add_hours(conn: &Conn, flow_seq: i64, first: i64, series: &mut [Map<String, Value>]) -> Result<()> {
    let hours = first..first.saturating_add_unsigned(series.len() as u64);
    for (counter, name) in CounterName::of_sessions().chain([(CounterName::MessageOut, "messages_out")]) {
        for (hour, value) in counters::by_hour(conn, counter, flow_seq, hours.clone())? {
            let row = usize::try_from(hour - first).ok().and_then(|index| series.get_mut(index));
            let Some(row) = row else { continue };
            let sum = row.get(name).and_then(Value::as_i64).unwrap_or(0);
            row.insert(name.to_owned(), json!(sum + value));
        }
    }
    Ok(())
}

/// How many messages of ours the channel has put a price on, by what it calls their category.
fn by_category(conn: &Conn, name: CounterName) -> Result<BTreeMap<String, i64>> {
    let counts = counters::of_flow(conn, name, 0, 0..1)?;
    Ok(counts.into_iter().map(|(counter, value)| (counter.exit.into_owned(), value)).collect())
}

fn versions(conn: &Conn, flow_seq: i64) -> Result<Vec<VersionCounts>> {
    let mut data = Vec::new();
    for (counter, _) in counters::of_flow(conn, CounterName::SessionStarted, flow_seq, 0..1)? {
        if counter.version > 0 {
            let sessions = session_counts(conn, flow_seq, Some(counter.version))?;
            data.push(VersionCounts { sessions, version: counter.version });
        }
    }
    data.reverse();
    Ok(data)
}

/// How often each node was left by each exit, over all versions, and how many of them ended the conversation without a
/// word because that exit is not wired.
fn nodes(conn: &Conn, flow_seq: i64) -> Result<Vec<NodeCounts>> {
    let mut nodes: BTreeMap<String, [BTreeMap<String, i64>; 2]> = BTreeMap::new();
    for (place, name) in [CounterName::NodeExit, CounterName::NodeLeadsNowhere].into_iter().enumerate() {
        for (counter, value) in counters::of_flow(conn, name, flow_seq, 0..1)? {
            let Some(node) = counter.node else { continue };
            let counts = &mut nodes.entry(node.to_string()).or_default()[place];
            *counts.entry(counter.exit.into_owned()).or_default() += value;
        }
    }
    let view = |(node, [exits, leads_nowhere]): (String, [BTreeMap<String, i64>; 2])| NodeCounts {
        node,
        exits,
        leads_nowhere,
    };
    Ok(nodes.into_iter().map(view).collect())
}
