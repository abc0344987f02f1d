//! Messages that need a look, and the mark that a person has seen them.
//!
//! Two partial indexes hold just those that are not marked, by their reason and in the order in which they went wrong.
//! What is asked every few seconds is read from them, and a job that marks or retries many of them goes along them.

use rusqlite::{OptionalExtension, params};

use crate::domain::{MessageId, Timestamp, named};
use crate::error::Result;
use crate::store::{Conn, Tx};

named! {
    /// Why a message needs a look.
    #[derive(Hash)]
    pub enum Attention {
        /// It is one of ours and failed.
        Failed = "failed",
        /// It is one of ours, and whether it arrived stays unknown.
        Unknown = "unknown",
        /// It came in, and nothing took it.
        Unrouted = "unrouted",
    }
}

impl Attention {
    const fn index(self) -> &'static str {
        match self {
            Self::Failed | Self::Unknown => "messages_unseen",
            Self::Unrouted => "messages_unrouted_unseen",
        }
    }

    /// With the redundant conditions, SQLite uses the partial index.
    const fn unseen(self) -> &'static str {
        match self {
            Self::Failed => {
                "status = 'failed' AND status IN ('failed', 'unknown') AND next_attempt_at IS NULL AND seen_at IS NULL"
            }
            Self::Unknown => {
                "status = 'unknown' AND status IN ('failed', 'unknown') AND next_attempt_at IS NULL AND seen_at IS NULL"
            }
            Self::Unrouted => "handled = 'unrouted' AND seen_at IS NULL",
        }
    }

    fn from(self) -> String {
        format!("FROM messages INDEXED BY {} WHERE {}", self.index(), self.unseen())
    }
}

/// Messages that need a look for one reason and are not marked as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnseenGroup {
    /// The reason; `None` of those that have none.
    pub reason: OfReason,
    /// How many there are.
    pub count: u32,
    /// There may be more: counting stopped there.
    pub is_at_least: bool,
    /// When the first of them went wrong.
    pub oldest: Timestamp,
    /// When the last of them did.
    pub newest: Timestamp,
}

/// Which messages are meant, by their reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfReason {
    /// All of them. In a group: those of all reasons that have no group of their own.
    Any,
    /// Those of this reason; of `None` those that have no reason.
    Only(Option<String>),
}

/// The messages that need a look and are not marked as seen, by their reason: at most `groups` of them, and one more
/// for the others. At most `budget` messages are counted in all, and what was counted is taken from it.
pub fn unseen_groups(conn: &Conn, attention: Attention, groups: usize, budget: &mut u32) -> Result<Vec<UnseenGroup>> {
    let mut found = Vec::new();
    let none = conn.prepare_cached(&of_none_sql(attention))?.query_row([], |_| Ok(())).optional()?;
    if none.is_some() {
        found.extend(group(conn, attention, None, budget)?);
    }
    let mut last: Option<String> = None;
    loop {
        let next: Option<String> = match &last {
            None => conn.prepare_cached(&next_reason_sql(attention, ">="))?.query_row([""], |row| row.get(0)),
            Some(last) => conn.prepare_cached(&next_reason_sql(attention, ">"))?.query_row([last], |row| row.get(0)),
        }
        .optional()?;
        let Some(next) = next else { return Ok(found) };
        if found.len() >= groups {
            break;
        }
        found.extend(group(conn, attention, Some(next.clone()), budget)?);
        last = Some(next);
    }
    let after = last.unwrap_or_default();
    let limit = (*budget).max(1);
    let (count, oldest, newest): (u32, Option<Timestamp>, Option<Timestamp>) = conn
        .prepare_cached(&others_sql(attention))?
        .query_row((after, limit), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    *budget = budget.saturating_sub(count);
    if let Some((oldest, newest)) = oldest.zip(newest) {
        found.push(UnseenGroup { reason: OfReason::Any, count, is_at_least: count >= limit, oldest, newest });
    }
    Ok(found)
}

fn group(conn: &Conn, attention: Attention, reason: Option<String>, budget: &mut u32) -> Result<Option<UnseenGroup>> {
    // One is always counted: that there are any is known by now.
    let limit = (*budget).max(1);
    let count: u32 = conn.prepare_cached(&count_sql(attention))?.query_row((&reason, limit), |row| row.get(0))?;
    *budget = budget.saturating_sub(count);
    let end =
        |order| conn.prepare_cached(&end_sql(attention, order))?.query_row([&reason], |row| row.get(0)).optional();
    let (oldest, newest): (Option<Timestamp>, Option<Timestamp>) = (end("ASC")?, end("DESC")?);
    Ok(oldest.zip(newest).map(|(oldest, newest)| UnseenGroup {
        reason: OfReason::Only(reason),
        count,
        is_at_least: count >= limit,
        oldest,
        newest,
    }))
}

fn of_none_sql(attention: Attention) -> String {
    format!("SELECT 1 {} AND reason IS NULL LIMIT 1", attention.from())
}

fn next_reason_sql(attention: Attention, than: &str) -> String {
    format!("SELECT reason {} AND reason {than} ?1 ORDER BY reason LIMIT 1", attention.from())
}

fn count_sql(attention: Attention) -> String {
    format!("SELECT count(*) FROM (SELECT 1 {} AND reason IS ?1 LIMIT ?2)", attention.from())
}

fn end_sql(attention: Attention, order: &str) -> String {
    format!("SELECT updated_at {} AND reason IS ?1 ORDER BY updated_at {order} LIMIT 1", attention.from())
}

fn others_sql(attention: Attention) -> String {
    format!(
        "SELECT count(*), min(updated_at), max(updated_at) FROM (SELECT updated_at {} AND reason > ?1 LIMIT ?2)",
        attention.from()
    )
}

/// A place along the messages of a reason: when one went wrong, and its row.
pub type Place = (Timestamp, i64);

/// A message that needs a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// When it went wrong, and its row.
    pub place: Place,
    /// The message's public id.
    pub id: MessageId,
    /// The channel's name.
    pub channel: String,
}

/// The messages that failed for one reason until a moment and are not marked as seen, after a place: at most `limit`.
pub fn failed_after(conn: &Conn, reason: &str, (after, until): (Place, Timestamp), limit: u32) -> Result<Vec<Unseen>> {
    let mut statement = conn.prepare_cached(&after_sql())?;
    let rows = statement.query_map(params![reason, after.0, after.1, until, limit], |row| {
        Ok(Unseen { place: (row.get(0)?, row.get(1)?), id: row.get(2)?, channel: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn after_sql() -> String {
    format!(
        "SELECT updated_at, seq, id, channel {} AND reason = ?1 AND (updated_at, seq) > (?2, ?3) AND updated_at <= ?4
         ORDER BY updated_at, seq LIMIT ?5",
        Attention::Failed.from()
    )
}

/// Marks at most `limit` messages as seen that need a look, that went wrong until a moment and are not marked yet.
/// Returns how many.
pub fn mark_group_seen(
    tx: &Tx<'_>,
    (attention, reason, until): (Attention, &OfReason, Timestamp),
    limit: u32,
    (at, by): (Timestamp, &str),
) -> Result<usize> {
    let marked = match reason {
        OfReason::Any => tx.prepare_cached(&mark_any_sql(attention))?.execute(params![at, by, until, limit])?,
        OfReason::Only(reason) => {
            tx.prepare_cached(&mark_only_sql(attention))?.execute(params![at, by, until, limit, reason])?
        }
    };
    Ok(marked)
}

fn mark_any_sql(attention: Attention) -> String {
    format!(
        "UPDATE messages SET seen_at = ?1, seen_by = ?2 WHERE seq IN (SELECT seq {} AND updated_at <= ?3 LIMIT ?4)",
        attention.from()
    )
}

fn mark_only_sql(attention: Attention) -> String {
    format!(
        "UPDATE messages SET seen_at = ?1, seen_by = ?2
         WHERE seq IN (SELECT seq {} AND reason IS ?5 AND updated_at <= ?3 LIMIT ?4)",
        attention.from()
    )
}

/// What became of a message that was to be marked as seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// It is marked now.
    Now,
    /// It was marked before; that mark stands.
    Before,
    /// It needs no look: it has not failed, is not in doubt, and something took it.
    NotNeeded,
    /// There is no such message.
    NotFound,
}

/// Marks a message as seen.
pub fn mark_seen(tx: &Tx<'_>, id: MessageId, at: Timestamp, by: &str) -> Result<Marked> {
    let found: Option<(i64, bool, bool)> = tx
        .prepare_cached(
            "SELECT seq, seen_at IS NOT NULL,
                 (status IN ('failed', 'unknown') AND next_attempt_at IS NULL) OR handled IS 'unrouted'
             FROM messages WHERE id = ?1",
        )?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    Ok(match found {
        None => Marked::NotFound,
        Some((_, _, false)) => Marked::NotNeeded,
        Some((_, true, true)) => Marked::Before,
        Some((seq, false, true)) => {
            tx.prepare_cached("UPDATE messages SET seen_at = ?2, seen_by = ?3 WHERE seq = ?1")?
                .execute((seq, at, by))?;
            Marked::Now
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::domain::{Handling, MessageStatus, Origin};
    use crate::store::messages::{self, NewInbound, NewOutgoing};
    use crate::store::testing::{self, now};

    fn id(n: u128) -> MessageId {
        MessageId(Uuid::from_u128(n))
    }

    fn later(seconds: u64) -> Timestamp {
        now().plus(Duration::from_secs(seconds))
    }

    /// A message to contact 1 that is settled so.
    fn outgoing(tx: &Tx<'_>, n: u128, status: MessageStatus, reason: Option<&str>, at: Timestamp) {
        let message = NewOutgoing {
            id: id(n),
            contact_seq: 1,
            session: None,
            channel: "webhook",
            kind: "text",
            body: "{}",
            status,
            reason,
            next_attempt_at: None,
            origin: Origin::Flow,
            good_until: None,
            created_at: at,
        };
        messages::insert_outgoing(tx, &message).unwrap();
    }

    fn unrouted(tx: &Tx<'_>, n: u128, reason: &str, at: Timestamp) {
        let message = NewInbound {
            id: id(n),
            contact_seq: 1,
            session: None,
            channel: "webhook",
            provider_id: None,
            sender: "",
            kind: "text",
            body: "{}",
            handled: Some(Handling::Unrouted),
            reason: Some(reason),
            created_at: at,
        };
        messages::insert_inbound(tx, &message).unwrap();
    }

    fn counts(conn: &Conn, attention: Attention, groups: usize, mut budget: u32) -> Vec<(OfReason, u32, bool)> {
        let groups = unseen_groups(conn, attention, groups, &mut budget).unwrap();
        groups.into_iter().map(|group| (group.reason, group.count, group.is_at_least)).collect()
    }

    fn of(reason: &str) -> OfReason {
        OfReason::Only(Some(reason.to_owned()))
    }

    #[test]
    fn what_is_not_seen_is_counted_by_its_reason() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        testing::flow_and_contact(&tx);
        assert_eq!(counts(&tx, Attention::Failed, 9, 100), []);
        for (n, reason) in ["b", "a", "b", "c", "b"].into_iter().enumerate() {
            outgoing(&tx, n as u128, MessageStatus::Failed, Some(reason), later(n as u64));
        }
        outgoing(&tx, 10, MessageStatus::Failed, None, now());
        outgoing(&tx, 11, MessageStatus::Unknown, None, now());
        outgoing(&tx, 12, MessageStatus::Delivered, Some("b"), now());
        unrouted(&tx, 13, "late", now());
        let all = [(OfReason::Only(None), 1, false), (of("a"), 1, false), (of("b"), 3, false), (of("c"), 1, false)];
        assert_eq!(counts(&tx, Attention::Failed, 9, 100), all);
        assert_eq!(counts(&tx, Attention::Unknown, 9, 100), [(OfReason::Only(None), 1, false)]);
        assert_eq!(counts(&tx, Attention::Unrouted, 9, 100), [(of("late"), 1, false)]);
        let groups = unseen_groups(&tx, Attention::Failed, 9, &mut 100).unwrap();
        assert_eq!((groups[2].oldest, groups[2].newest), (later(0), later(4)));
        let (none, first) = (all[0].clone(), all[1].clone());
        assert_eq!(counts(&tx, Attention::Failed, 2, 100), [none, first, (OfReason::Any, 4, false)]);
        let bounded = counts(&tx, Attention::Failed, 9, 3);
        assert_eq!(bounded.iter().map(|(_, count, _)| *count).collect::<Vec<_>>(), [1, 1, 1, 1]);
        assert!(bounded[2].2 && bounded[3].2, "{bounded:?}");
    }

    #[test]
    fn a_mark_is_set_once_and_goes_with_another_attempt() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        testing::flow_and_contact(&tx);
        outgoing(&tx, 1, MessageStatus::Failed, Some("a"), now());
        outgoing(&tx, 2, MessageStatus::Delivered, None, now());
        unrouted(&tx, 3, "late", now());
        assert_eq!(mark_seen(&tx, id(1), later(1), "Ana").unwrap(), Marked::Now);
        assert_eq!(mark_seen(&tx, id(1), later(2), "Ben").unwrap(), Marked::Before);
        assert_eq!(mark_seen(&tx, id(2), later(2), "Ben").unwrap(), Marked::NotNeeded);
        assert_eq!(mark_seen(&tx, id(3), later(2), "Ben").unwrap(), Marked::Now);
        assert_eq!(mark_seen(&tx, id(4), later(2), "Ben").unwrap(), Marked::NotFound);
        let seen = |n| messages::find_by_id(&tx, id(n)).unwrap().unwrap().seen;
        assert_eq!(seen(1), Some((later(1), "Ana".to_owned())));
        assert!(Attention::ALL.iter().all(|attention| counts(&tx, *attention, 9, 9).is_empty()));
        let seq = messages::find_by_id(&tx, id(1)).unwrap().unwrap().seq;
        crate::store::outbox::requeue(&tx, seq, later(3), 0, None, later(3)).unwrap();
        assert_eq!(seen(1), None);
        crate::store::outbox::fail(&tx, seq, "b", None, later(4)).unwrap();
        assert_eq!(counts(&tx, Attention::Failed, 9, 9), [(of("b"), 1, false)]);
    }

    #[test]
    fn a_group_is_marked_in_parts_and_until_a_moment() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        testing::flow_and_contact(&tx);
        for n in 0..5 {
            outgoing(&tx, n, MessageStatus::Failed, Some("a"), later(n as u64));
        }
        outgoing(&tx, 7, MessageStatus::Failed, Some("b"), now());
        let mark = |reason: &OfReason, until, limit| {
            mark_group_seen(&tx, (Attention::Failed, reason, until), limit, (later(9), "Ana")).unwrap()
        };
        assert_eq!((mark(&of("a"), later(2), 2), mark(&of("a"), later(2), 2), mark(&of("a"), later(2), 2)), (2, 1, 0));
        assert_eq!(counts(&tx, Attention::Failed, 9, 9), [(of("a"), 2, false), (of("b"), 1, false)]);
        let rest = |after| failed_after(&tx, "a", (after, later(3)), 9).unwrap();
        let found = rest((later(0), 0));
        assert_eq!(found.iter().map(|one| one.id).collect::<Vec<_>>(), [id(3)], "the last one failed after that");
        assert_eq!(rest(found[0].place), []);
        assert_eq!(mark(&OfReason::Any, later(9), 9), 3);
        assert_eq!(counts(&tx, Attention::Failed, 9, 9), []);
    }

    #[test]
    fn only_the_index_of_what_is_not_seen_is_looked_at() {
        let conn = testing::conn();
        let plan = testing::plan(&conn, &after_sql());
        assert!(plan.contains("reason=? AND updated_at>? AND updated_at<?)") && !plan.contains("TEMP"), "{plan}");
        for attention in Attention::ALL {
            let index = attention.index();
            for sql in [
                of_none_sql(attention),
                next_reason_sql(attention, ">="),
                next_reason_sql(attention, ">"),
                count_sql(attention),
                end_sql(attention, "ASC"),
                end_sql(attention, "DESC"),
                others_sql(attention),
                mark_any_sql(attention),
                mark_only_sql(attention),
            ] {
                let plan = testing::plan(&conn, &sql);
                assert!(plan.contains(index) && !plan.contains("TEMP"), "{sql}: {plan}");
                assert!(!plan.contains("SCAN messages;"), "{sql}: {plan}");
            }
            for sql in [count_sql(attention), end_sql(attention, "ASC"), others_sql(attention)] {
                // No message's row is read.
                let plan = testing::plan(&conn, &sql);
                assert!(plan.contains("SEARCH messages USING COVERING INDEX"), "{sql}: {plan}");
            }
        }
    }
}
