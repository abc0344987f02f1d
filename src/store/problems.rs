//! What the rows say of what is wrong, for viewers that ask every few seconds. Each query goes by an index, and where
//! there may be any number of rows it looks at a bounded number of them.

use rusqlite::OptionalExtension;

use super::messages::{Attention, UnseenGroup, unseen_groups};
use super::{Conn, counters, flows, webhooks};
use crate::domain::{EndpointId, TemplateStatus, Timestamp};
use crate::error::Result;

/// Messages that are counted at most, those of all reasons together.
const MESSAGES: u32 = 50_000;
/// Timers, events of an endpoint, people or messages of a queue that are counted at most.
const ROWS: u32 = 10_000;
/// Reasons that are told apart.
const GROUPS: usize = 30;

const OVERDUE: &str = "SELECT count(*), min(due_at) FROM (SELECT due_at FROM sessions INDEXED BY sessions_due
    WHERE status = 'running' AND due_at <= ?1 ORDER BY due_at LIMIT ?2)";
const ON_STANDBY: &str = "SELECT count(*), min(held_since) FROM (SELECT held_since FROM contacts
    INDEXED BY contacts_on_standby WHERE held_by = 'standby' AND held_until > ?1 LIMIT ?2)";
const GIVEN_UP: &str = "SELECT count(*), min(updated_at), max(updated_at) FROM (SELECT updated_at
    FROM webhook_deliveries INDEXED BY webhook_deliveries_given_up
    WHERE endpoint_seq = ?1 AND status = 'failed' AND event <> 'webhook.test' AND updated_at > ?2 LIMIT ?3)";
const FIRST_LATE: &str = "SELECT next_attempt_at FROM messages INDEXED BY messages_outbox
    WHERE status = 'queued' AND next_attempt_at > 0 AND next_attempt_at <= ?1 AND channel = ?2 AND reason IS NULL
    ORDER BY next_attempt_at LIMIT 1";
const LATE: &str = "SELECT count(*) FROM (SELECT 1 FROM messages INDEXED BY messages_outbox
    WHERE status = 'queued' AND next_attempt_at > 0 AND next_attempt_at <= ?1 LIMIT ?2)";
const TRANSLATIONS: &str = "SELECT language, status FROM templates WHERE channel = ?1 AND name = ?2";

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The current time.
    pub now: Timestamp,
    /// The channel in use.
    pub channel: &'static str,
    /// Timers that fell due until then are overdue.
    pub timers_until: Timestamp,
    /// Messages that could have gone out by then are late.
    pub messages_until: Timestamp,
    /// Events that were given up after that are of interest.
    pub given_up_after: Timestamp,
}

/// Rows that were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// How many there are.
    pub count: u32,
    /// There may be more: counting stopped there.
    pub is_at_least: bool,
    /// When it began with the first of them.
    pub since: Timestamp,
    /// When it did with the last, where that is asked for; else as `since`.
    pub newest: Timestamp,
}

/// What the rows say.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Messages that need a look and are not marked as seen, by reason.
    pub unseen: Vec<(Attention, UnseenGroup)>,
    /// Timers of sessions that are overdue.
    pub overdue: Option<Counted>,
    /// Contacts whose conversation another system of Meta holds.
    pub on_standby: Option<Counted>,
    /// Messages of the channel that are late.
    pub late: Option<Counted>,
    /// Events that were given up, by their endpoint.
    pub given_up: Vec<(EndpointId, Counted)>,
    /// The endpoints, each with what is queued for it.
    pub endpoints: Vec<(webhooks::Endpoint, webhooks::Queue)>,
    /// By how many bytes the database has grown a day; `None` before that is known.
    pub growth_per_day: Option<i64>,
    /// Rows of published flows, each with the version that new sessions start on.
    pub published: Vec<(i64, u32)>,
}

/// Reads all of it.
pub fn read(conn: &Conn, asked: &Asked) -> Result<Found> {
    let mut unseen = Vec::new();
    let mut budget = MESSAGES;
    for attention in Attention::ALL {
        let groups = unseen_groups(conn, attention, GROUPS, &mut budget)?;
        unseen.extend(groups.into_iter().map(|group| (attention, group)));
    }
    let endpoints = webhooks::list_endpoints(conn)?;
    let mut given_up = Vec::new();
    for (endpoint, _) in &endpoints {
        let (count, since, newest) =
            conn.prepare_cached(GIVEN_UP)?.query_row((endpoint.seq, asked.given_up_after, ROWS), |row| {
                Ok((row.get(0)?, row.get::<_, Option<Timestamp>>(1)?, row.get::<_, Option<Timestamp>>(2)?))
            })?;
        given_up.extend(counted(count, since, newest).map(|counted| (endpoint.id, counted)));
    }
    let bounded = |sql: &str, at: Timestamp| {
        let (count, since) = conn
            .prepare_cached(sql)?
            .query_row((at, ROWS), |row| Ok((row.get(0)?, row.get::<_, Option<Timestamp>>(1)?)))?;
        Ok::<_, crate::error::Error>(counted(count, since, since))
    };
    Ok(Found {
        unseen,
        overdue: bounded(OVERDUE, asked.timers_until)?,
        on_standby: bounded(ON_STANDBY, asked.now)?,
        late: late(conn, asked)?,
        given_up,
        endpoints,
        growth_per_day: counters::growth_per_day(conn, asked.now)?,
        published: flows::published(conn)?,
    })
}

fn counted(count: u32, since: Option<Timestamp>, newest: Option<Timestamp>) -> Option<Counted> {
    let (since, newest) = since.zip(newest)?;
    Some(Counted { count, is_at_least: count >= ROWS, since, newest })
}

/// The messages that are late. How many are due is counted over all channels: what is queued for one that is not in use
/// is parked.
fn late(conn: &Conn, asked: &Asked) -> Result<Option<Counted>> {
    let first: Option<Timestamp> = conn
        .prepare_cached(FIRST_LATE)?
        .query_row((asked.messages_until, asked.channel), |row| row.get(0))
        .optional()?;
    let Some(first) = first else { return Ok(None) };
    let count = conn.prepare_cached(LATE)?.query_row((asked.messages_until, ROWS), |row| row.get(0))?;
    Ok(counted(count, Some(first), Some(first)))
}

/// The translations of a channel's template: the language and the status of each.
pub fn translations(conn: &Conn, channel: &str, name: &str) -> Result<Vec<(String, TemplateStatus)>> {
    let mut statement = conn.prepare_cached(TRANSLATIONS)?;
    let rows = statement.query_map((channel, name), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{self, now};

    #[test]
    fn an_empty_database_has_nothing_wrong() {
        let asked = Asked {
            now: now(),
            channel: "whatsapp",
            timers_until: now(),
            messages_until: now(),
            given_up_after: now(),
        };
        let found = read(&testing::conn(), &asked).unwrap();
        assert!(found.unseen.is_empty() && found.given_up.is_empty() && found.endpoints.is_empty());
        assert_eq!((found.overdue, found.on_standby, found.late), (None, None, None));
        assert_eq!((found.growth_per_day, found.published), (None, Vec::new()));
    }

    #[test]
    fn no_query_looks_at_what_is_not_wrong() {
        let conn = testing::conn();
        for (sql, index) in [
            (OVERDUE, "SEARCH sessions USING COVERING INDEX sessions_due (due_at<?)"),
            (ON_STANDBY, "SEARCH contacts USING COVERING INDEX contacts_on_standby (held_by=? AND held_until>?)"),
            (
                GIVEN_UP,
                "SEARCH webhook_deliveries USING COVERING INDEX webhook_deliveries_given_up (endpoint_seq=? AND \
                 updated_at>?)",
            ),
            (FIRST_LATE, "SEARCH messages USING INDEX messages_outbox (next_attempt_at>? AND next_attempt_at<?)"),
            (LATE, "SEARCH messages USING COVERING INDEX messages_outbox (next_attempt_at>? AND next_attempt_at<?)"),
            (TRANSLATIONS, "SEARCH templates USING INDEX sqlite_autoindex_templates_2 (channel=? AND name=?)"),
            (flows::PUBLISHED, "SCAN flows USING COVERING INDEX flows_published"),
        ] {
            let plan = testing::plan(&conn, sql);
            assert!(plan.contains(index) && !plan.contains("TEMP"), "{sql}: {plan}");
        }
    }
}
