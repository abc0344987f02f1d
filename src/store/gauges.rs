//! What metrics show of the rows, read when somebody asks for them. Each query goes by an index, and where there may be
//! any number of rows it looks at `COUNTED` of them.

use std::collections::BTreeMap;

use super::outbox::parked;
use super::{Conn, counters, http_calls, sessions};
use crate::domain::{CounterName, EndpointId, Timestamp};
use crate::error::Result;

/// Rows of a queue that are counted at most.
const COUNTED: u32 = 100_000;

const RUNNING: &str = "SELECT count(*) FROM sessions INDEXED BY sessions_due WHERE status = 'running'";
const LIFETIME: &str = "SELECT coalesce(sum(c.value), 0) FROM flows AS f CROSS JOIN counters AS c
    ON c.name = ?1 AND c.flow_seq = f.seq AND c.version = 0 AND c.node = '' AND c.exit = '' AND c.hour = 0";
const PUBLISHED: &str = "SELECT kind, count(*) FROM flows INDEXED BY flows_published
    WHERE published_version IS NOT NULL AND deleted_at IS NULL GROUP BY kind";
const QUEUED: &str = "SELECT channel, next_attempt_at < ?2 AND reason IS NULL, created_at
    FROM messages INDEXED BY messages_outbox WHERE status = 'queued' AND next_attempt_at > 0 LIMIT ?1";
const BACKLOG: &str = "SELECT e.id,
        (SELECT count(*) FROM
            (SELECT 1 FROM webhook_deliveries AS c INDEXED BY webhook_deliveries_outbox
             WHERE c.endpoint_seq = e.seq AND c.status = 'queued' LIMIT ?1)),
        (SELECT d.created_at FROM webhook_deliveries AS d
         WHERE d.seq = (SELECT min(q.seq) FROM webhook_deliveries AS q INDEXED BY webhook_deliveries_outbox
                        WHERE q.endpoint_seq = e.seq AND q.status = 'queued' AND q.next_attempt_at IS NOT NULL))
    FROM webhook_endpoints AS e WHERE e.is_active = 1";

/// What the rows say at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gauges {
    /// By how many bytes the database has grown a day; `None` before it was observed for a day.
    pub growth_per_day: Option<i64>,
    /// Sessions that run.
    pub sessions_running: i64,
    /// Sessions since the database was made, by the counters of sessions.
    pub sessions: Vec<(CounterName, i64)>,
    /// Flows that are published, by their kind.
    pub published: Vec<(String, i64)>,
    /// When the next timer falls due.
    pub next_due: Option<Timestamp>,
    /// Messages that wait, by their channel.
    pub outbox: BTreeMap<String, Waiting>,
    /// Events that wait, by the active endpoint. Those that have none are here, too.
    pub endpoints: Vec<(EndpointId, Waiting)>,
    /// HTTP calls that wait for an attempt.
    pub http_calls: i64,
}

/// A queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many wait, at most 100,000.
    pub count: i64,
    /// When the oldest was made whose turn it is.
    pub oldest: Option<Timestamp>,
}

/// Reads all of it.
pub fn read(conn: &Conn, now: Timestamp) -> Result<Gauges> {
    let mut lifetime = conn.prepare_cached(LIFETIME)?;
    let of_sessions =
        CounterName::of_sessions().map(|(name, _)| Ok((name, lifetime.query_row([name.as_str()], |row| row.get(0))?)));
    Ok(Gauges {
        growth_per_day: counters::growth_per_day(conn, now)?,
        sessions_running: conn.prepare_cached(RUNNING)?.query_row([], |row| row.get(0))?,
        sessions: of_sessions.collect::<Result<_>>()?,
        published: published(conn)?,
        next_due: sessions::next_due(conn)?,
        outbox: outbox(conn)?,
        endpoints: backlog(conn)?,
        http_calls: http_calls::count_queued(conn)?,
    })
}

fn published(conn: &Conn) -> Result<Vec<(String, i64)>> {
    let mut statement = conn.prepare_cached(PUBLISHED)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Messages that wait, by channel. One that waits for its hours, a holder or the templates, or behind another one, is
/// counted, but its age says nothing.
fn outbox(conn: &Conn) -> Result<BTreeMap<String, Waiting>> {
    let mut statement = conn.prepare_cached(QUEUED)?;
    let mut rows = statement.query((COUNTED, parked()))?;
    let mut channels: BTreeMap<String, Waiting> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let channel = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        if !channels.contains_key(channel) {
            channels.insert(channel.to_owned(), Waiting::default());
        }
        let Some(waiting) = channels.get_mut(channel) else { continue };
        waiting.count += 1;
        if row.get(1)? {
            let made: Timestamp = row.get(2)?;
            waiting.oldest = Some(waiting.oldest.map_or(made, |oldest| oldest.min(made)));
        }
    }
    Ok(channels)
}

/// Events that wait for each active endpoint.
fn backlog(conn: &Conn) -> Result<Vec<(EndpointId, Waiting)>> {
    let mut statement = conn.prepare_cached(BACKLOG)?;
    let rows =
        statement.query_map([COUNTED], |row| Ok((row.get(0)?, Waiting { count: row.get(1)?, oldest: row.get(2)? })))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[test]
    fn an_empty_database_has_nothing_of_anything() {
        let gauges = read(&testing::conn(), Timestamp::from_millis(0)).unwrap();
        assert!(gauges.sessions.iter().any(|(name, value)| *name == CounterName::SessionFailed && *value == 0));
        assert_eq!(Gauges { sessions: Vec::new(), ..gauges }, Gauges::default());
    }

    #[test]
    fn no_query_looks_at_what_it_does_not_count() {
        let conn = testing::conn();
        for (sql, index) in [
            (RUNNING, "sessions_due"),
            (LIFETIME, "SEARCH c USING PRIMARY KEY (name=? AND flow_seq=? AND version=? AND node=? AND exit=?"),
            (PUBLISHED, "flows_published"),
            (QUEUED, "SEARCH messages USING INDEX messages_outbox"),
            (BACKLOG, "SEARCH c USING COVERING INDEX webhook_deliveries_outbox (endpoint_seq=?)"),
            (BACKLOG, "SEARCH q USING INDEX webhook_deliveries_outbox (endpoint_seq=?)"),
        ] {
            let plan = testing::plan(&conn, sql);
            assert!(plan.contains(index) && !plan.contains("TEMP"), "{sql}: {plan}");
        }
    }
}
