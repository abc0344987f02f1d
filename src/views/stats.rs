//! Counts for the dashboard.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::flow::SessionCounts;

/// What `GET /stats` gives, of all flows or of one.
#[derive(Debug, Serialize)]
pub struct Stats {
    /// From the beginning.
    pub totals: Totals,
    /// By hour, oldest first: `hour`, and the counters of that hour by their names.
    pub series: Vec<Map<String, Value>>,
    /// By version, newest first; there only of one flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<Vec<VersionCounts>>,
    /// By node; there only of one flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<NodeCounts>>,
    /// The free space; there only where the file system reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
}

/// Counts from the beginning.
#[derive(Debug, Serialize)]
pub struct Totals {
    /// Sessions, by how they ended, `running` and `started` among them.
    pub sessions: BTreeMap<&'static str, i64>,
    /// Counts of messages.
    pub messages: MessageTotals,
}

/// How many messages went out, and what the channel has put a price on.
#[derive(Debug, Serialize)]
pub struct MessageTotals {
    /// Messages to contacts.
    pub out: i64,
    /// Those that cost something, by category; there only where there are any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub billable: BTreeMap<String, i64>,
    /// Those that cost nothing, likewise.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub free: BTreeMap<String, i64>,
}

/// The sessions of a version.
#[derive(Debug, Serialize)]
pub struct VersionCounts {
    /// Counts of the version's sessions.
    #[serde(flatten)]
    pub sessions: SessionCounts,
    /// The version's number.
    pub version: u32,
}

/// How often sessions left a node.
#[derive(Debug, Serialize)]
pub struct NodeCounts {
    /// The node's id.
    pub node: String,
    /// How many sessions left by each exit.
    pub exits: BTreeMap<String, i64>,
    /// Those that ended without a word, because the exit is not wired; there only where there are any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub leads_nowhere: BTreeMap<String, i64>,
}

/// Bytes of the disk.
#[derive(Debug, Serialize)]
pub struct Disk {
    /// Free for the server.
    pub free_bytes: u64,
    /// Of the database.
    pub database_bytes: u64,
    /// Of its write-ahead log.
    pub log_bytes: u64,
    /// By how many the database grows in a day, by the last week; there only once it was observed for a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth_per_day_bytes: Option<i64>,
    /// In how many days the disk is full if that goes on; there only while the database grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_in_days: Option<u64>,
}
