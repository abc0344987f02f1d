//! Lists of messages: of one contact, of all contacts, and what a contact wrote lately.

use std::collections::BinaryHeap;
use std::time::Duration;

use rusqlite::OptionalExtension;

use super::{MessageRow, MessageStatus, read, select};
use crate::domain::{Handling, Timestamp};
use crate::error::Result;
use crate::store::Conn;
use crate::store::values::Json;

/// Rows that [`list`] looks at for a page.
pub const MAX_SCANNED: u32 = 10_000;

/// The newest message from a person of one type, before a row.
pub(super) const NEWEST_RECEIVED: &str = "SELECT seq FROM messages INDEXED BY messages_received
    WHERE direction = 'in' AND type = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT 1";

/// The newest messages from people of these types, without those of people who are being erased. It looks once at each
/// type, and once more at that of each message that it gives.
pub fn newest_received(conn: &Conn, kinds: &[&str], limit: u32) -> Result<Vec<MessageRow>> {
    let mut newest = conn.prepare_cached(NEWEST_RECEIVED)?;
    let mut being_erased = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM erasures WHERE contact_seq = ?1)")?;
    let mut message = conn.prepare_cached(select!("messages AS m", "WHERE m.seq = ?1"))?;
    let mut heads = BinaryHeap::new();
    for kind in kinds {
        let head = newest.query_row((kind, i64::MAX), |row| row.get(0)).optional()?;
        heads.extend(head.map(|seq: i64| (seq, *kind)));
    }
    let mut found = Vec::new();
    while found.len() < limit as usize
        && let Some((seq, kind)) = heads.pop()
    {
        let next = newest.query_row((kind, seq), |row| row.get(0)).optional()?;
        heads.extend(next.map(|seq: i64| (seq, kind)));
        if let Some(row) = message.query_row([seq], read).optional()?
            && !being_erased.query_row([row.contact_seq], |row| row.get::<_, bool>(0))?
        {
            found.push(row);
        }
    }
    Ok(found)
}

/// Messages of a contact in both directions, newest first, before the row `before_seq` if one is given.
pub fn list_of_contact(conn: &Conn, contact_seq: i64, before_seq: Option<i64>, limit: u32) -> Result<Vec<MessageRow>> {
    let mut statement = conn.prepare_cached(select!(
        "messages AS m",
        "WHERE m.contact_seq = ?1 AND m.seq < ?2 ORDER BY m.seq DESC LIMIT ?3"
    ))?;
    let rows = statement.query_map((contact_seq, before_seq.unwrap_or(i64::MAX), limit), read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Messages of a contact in both directions, oldest first, after the row `after_seq` (0 for all).
pub fn history_of_contact(conn: &Conn, contact_seq: i64, after_seq: i64, limit: u32) -> Result<Vec<MessageRow>> {
    let mut statement = conn
        .prepare_cached(select!("messages AS m", "WHERE m.contact_seq = ?1 AND m.seq > ?2 ORDER BY m.seq LIMIT ?3"))?;
    let rows = statement.query_map((contact_seq, after_seq, limit), read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The messages of some rows, in the order of `seqs`; rows that are gone are left out.
pub fn by_seqs(conn: &Conn, seqs: &[i64]) -> Result<Vec<MessageRow>> {
    let mut statement = conn.prepare_cached(select!(
        "json_each(?1) AS wanted CROSS JOIN messages AS m ON m.seq = wanted.value",
        "ORDER BY wanted.key"
    ))?;
    let rows = statement.query_map([Json(seqs)], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Which messages a list asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// Those that got so far.
    Status(MessageStatus),
    /// Those from people that nothing took.
    Unrouted,
}

impl Which {
    /// The rows to look at: an index where one holds just these messages, else the table.
    fn source(self) -> &'static str {
        // With the redundant condition, SQLite uses the partial index.
        match self {
            Self::Status(MessageStatus::Failed) => "status = 'failed' AND status IN ('failed', 'unknown')",
            Self::Status(MessageStatus::Unknown) => "status = 'unknown' AND status IN ('failed', 'unknown')",
            Self::Unrouted => "handled = 'unrouted'",
            Self::All | Self::Status(_) => "TRUE",
        }
    }
}

/// What else a list asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter<'a> {
    /// Only those of this reason.
    pub reason: Option<&'a str>,
    /// Only those that are marked as seen, or only those that are not.
    pub is_seen: Option<bool>,
}

/// Messages to and from all contacts, newest first, before the row `before_seq` if one is given: at most `limit` of
/// those asked for among the next [`MAX_SCANNED`]. Returns the cursor of what was not looked at, if there is more; so a
/// page may be short, and even empty, before the end.
pub fn list(
    conn: &Conn,
    which: Which,
    filter: Filter<'_>,
    before_seq: Option<i64>,
    limit: u32,
) -> Result<(Vec<MessageRow>, Option<i64>)> {
    let mut statement = conn.prepare_cached(&list_sql(which))?;
    let mut rows = statement.query((before_seq.unwrap_or(i64::MAX), MAX_SCANNED + 1))?;
    let (mut wanted, mut looked_at, mut last) = (Vec::new(), 0, None);
    let next = loop {
        let Some(row) = rows.next()? else { break None };
        if looked_at == MAX_SCANNED || wanted.len() >= limit as usize {
            break last;
        }
        looked_at += 1;
        let seq: i64 = row.get(0)?;
        last = Some(seq);
        let is_of_status = match which {
            Which::Status(status) => row.get::<_, MessageStatus>(1)? == status,
            Which::All | Which::Unrouted => true,
        };
        let reason = filter.reason;
        if is_of_status
            && (reason.is_none() || row.get_ref(2)?.as_str_or_null().map_err(rusqlite::Error::from)? == reason)
            && filter.is_seen.map_or(Ok(true), |is_seen| Ok::<_, rusqlite::Error>(row.get::<_, bool>(3)? == is_seen))?
        {
            wanted.push(seq);
        }
    };
    Ok((by_seqs(conn, &wanted)?, next))
}

pub(super) fn list_sql(which: Which) -> String {
    let source = which.source();
    format!(
        "SELECT seq, status, reason, seen_at IS NOT NULL FROM messages WHERE {source} AND seq < ?1
         ORDER BY seq DESC LIMIT ?2"
    )
}

/// A message from a contact, and how it was handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardRow {
    /// When it came.
    pub at: Timestamp,
    /// What took it.
    pub handled: Option<Handling>,
    /// Why nothing did, or why what took it could do nothing with it.
    pub reason: Option<String>,
    /// A session began with it and went on by itself: a timer of it fired.
    pub went_on: bool,
}

/// Whether a session went on by itself is looked up of messages after `?3` alone, and not where it could have been
/// another session, which had begun before.
pub(super) const HEARD: &str = "SELECT m.created_at, m.handled, m.reason,
        m.created_at > ?3 AND m.handled IN ('keyword', 'late_reply', 'fallback') AND EXISTS (
            SELECT 1 FROM sessions AS s JOIN turns AS t INDEXED BY turns_by_session ON t.session_seq = s.seq
            WHERE s.seq = m.session_seq AND s.started_at >= m.created_at
                AND t.record ->> '$.stimulus.type' IN ('timeout', 'expire'))
    FROM messages AS m INDEXED BY messages_by_contact
    WHERE m.contact_seq = ?1 AND m.direction = 'in' ORDER BY m.seq DESC LIMIT ?2";

/// What a contact wrote before `at`, the newest first, back to where it was silent for as long as `silence`; `limit` at
/// most. `went_on` is set only for sessions that began less than `span` before `at`.
pub fn heard_of(
    conn: &Conn,
    contact_seq: i64,
    at: Timestamp,
    (silence, span): (Duration, Duration),
    limit: u32,
) -> Result<Vec<HeardRow>> {
    let mut statement = conn.prepare_cached(HEARD)?;
    let mut rows = statement.query((contact_seq, limit, at.minus(span)))?;
    let (mut heard, mut after) = (Vec::new(), at);
    while let Some(row) = rows.next()? {
        let at: Timestamp = row.get(0)?;
        if at.plus(silence) <= after {
            break;
        }
        heard.push(HeardRow {
            at,
            handled: row.get(1)?,
            reason: row.get(2)?,
            went_on: row.get::<_, Option<_>>(3)?.unwrap_or(false),
        });
        after = after.min(at);
    }
    Ok(heard)
}
