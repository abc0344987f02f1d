//! `/messages/seen` and `/messages/retry`: many messages that need a look, at once.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde_json::Value;

use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Fields, JsonBody, Reader};
use crate::api::state::State;
use crate::channels::ChannelKind;
use crate::domain::audit::{AuditAction, Deed};
use crate::domain::{Direction, MessageId, MessageStatus, Timestamp};
use crate::error::Result;
use crate::runtime::FailedFor;
use crate::store::audit;
use crate::store::messages::{self, Attention, Marked, OfReason, Place};
use crate::views::message::{MarkedSeen, RetriedMessages, SkippedMessages};

/// Ids that one request marks at most.
const IDS: usize = 1_000;
/// Messages that one job marks.
const MARKED_PER_JOB: u32 = 1_000;
/// Failed messages that a request looks at if it does not say.
const RETRIED: u64 = 10_000;
/// Failed messages that a request looks at, at most.
const MOST_RETRIED: u64 = 100_000;

/// What a request marks as seen.
enum ToMark {
    /// Messages by their ids.
    Ids(Vec<MessageId>),
    /// All that need a look for a reason, until a moment.
    Group { attentions: Vec<Attention>, reason: OfReason, until: Timestamp },
}

/// `POST /messages/seen`: marks messages that need a look as seen.
pub(in crate::api) async fn mark_messages_seen(
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let now = state.runtime.clock().now();
    let deed = Deed::new(AuditAction::MessagesSeen, principal.actor());
    let (at, by) = (now, principal.name.to_string());
    let marked = match read_to_mark(&body, now)? {
        ToMark::Ids(ids) => mark_ids(&state, deed, ids, (at, by)).await?,
        ToMark::Group { attentions, reason, until } => {
            let deed = deed.saying(group_words(&attentions, &reason));
            mark_groups(&state, deed, (attentions, reason, until), (at, by)).await?
        }
    };
    Ok(HttpResponse::Ok().json(marked))
}

/// `POST /messages/retry`: sends again all that failed for a reason.
pub(in crate::api) async fn retry_messages(
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let reason = fields.required_text("reason").map(str::to_owned);
    let channel = fields.choice("channel", &ChannelKind::ALL.map(|kind| (kind.as_str(), kind.as_str())));
    let until = fields.parsed("until").map(end_of_second);
    let limit = fields.whole_number("limit").unwrap_or(RETRIED);
    if !(1..=MOST_RETRIED).contains(&limit) {
        fields.fail("limit", format!("The limit must be 1 to {MOST_RETRIED}."));
    }
    let after = fields.cursor(read_place);
    fields.refuse_unknown();
    let reason = fields.finish_with(|| reason)?;
    let which = FailedFor {
        reason,
        channel: channel.map(str::to_owned),
        until: until.unwrap_or_else(|| state.runtime.clock().now()),
        after: after.unwrap_or((Timestamp::from_millis(i64::MIN), 0)),
    };
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let retried = state.runtime.retry_failed(which, limit, principal.actor()).await?;
    let skipped = retried.skipped.into_iter().map(|(reason, skipped)| SkippedMessages {
        reason,
        count: skipped.count,
        hint: skipped.hint,
    });
    Ok(HttpResponse::Ok().json(RetriedMessages {
        queued: retried.queued,
        skipped: skipped.collect(),
        next_cursor: retried.next.map(|(at, seq)| format!("{}-{seq}", at.as_millis())),
    }))
}

/// A place as its cursor has it: the milliseconds, and the row.
fn read_place(cursor: &str) -> Option<Place> {
    let (at, seq) = cursor.split_once('-')?;
    Some((Timestamp::from_millis(at.parse().ok()?), seq.parse().ok()?))
}

/// The end of the second, where a moment is a whole one: the API shows no parts of seconds, and what happened in the
/// one that is shown is meant.
fn end_of_second(at: Timestamp) -> Timestamp {
    if at.as_millis() % 1_000 == 0 { at.plus(Duration::from_millis(999)) } else { at }
}

fn read_to_mark(body: &JsonBody, now: Timestamp) -> Result<ToMark, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let ids = fields.list("ids").map(|ids| read_ids(&mut fields, ids));
    let direction =
        fields.choice("direction", &[Direction::In, Direction::Out].map(|direction| (direction.as_str(), direction)));
    let statuses = [MessageStatus::Failed, MessageStatus::Unknown];
    let status = fields.choice("status", &statuses.map(|status| (status.as_str(), status)));
    let reason = fields.text("reason").map(str::to_owned);
    let until = fields.parsed("until").map(end_of_second);
    let is_group = direction.is_some() || status.is_some() || reason.is_some() || until.is_some();
    match (&ids, direction) {
        (Some(_), _) if is_group => fields.fail("ids", "Give either ids or what the messages have in common."),
        (None, None) if fields.value("direction").is_none() => {
            fields.fail("direction", "The direction field is required when ids is not present.");
        }
        (None, Some(Direction::In)) if status.is_some() => {
            fields.fail("status", "The status is one of messages that went out.");
        }
        _ => {}
    }
    fields.refuse_unknown();
    fields.finish_with(|| match (ids, direction) {
        (Some(ids), _) => Some(ToMark::Ids(ids)),
        (None, direction) => {
            let attentions = match (direction?, status) {
                (Direction::In, _) => vec![Attention::Unrouted],
                (Direction::Out, Some(MessageStatus::Failed)) => vec![Attention::Failed],
                (Direction::Out, Some(MessageStatus::Unknown)) => vec![Attention::Unknown],
                (Direction::Out, _) => vec![Attention::Failed, Attention::Unknown],
            };
            let reason = reason.map_or(OfReason::Any, |reason| OfReason::Only(Some(reason)));
            Some(ToMark::Group { attentions, reason, until: until.unwrap_or(now) })
        }
    })
}

fn read_ids(fields: &mut Fields<'_>, list: &[Value]) -> Vec<MessageId> {
    if list.is_empty() || list.len() > IDS {
        fields.fail("ids", format!("The ids must be 1 to {IDS}."));
        return Vec::new();
    }
    let mut ids = Vec::with_capacity(list.len());
    for (index, id) in list.iter().enumerate() {
        match id.as_str().and_then(|id| id.parse().ok()) {
            Some(id) => ids.push(id),
            None => fields.fail(&format!("ids.{index}"), format!("The ids.{index} must be a valid UUID.")),
        }
    }
    ids
}

/// What the audit says of a group.
fn group_words(attentions: &[Attention], reason: &OfReason) -> String {
    let what: Vec<&str> = attentions.iter().map(|attention| attention.as_str()).collect();
    match reason {
        OfReason::Only(Some(reason)) => format!("{}, reason {reason}", what.join(" and ")),
        OfReason::Only(None) | OfReason::Any => what.join(" and "),
    }
}

/// Marks messages by their ids, in one job.
async fn mark_ids(
    state: &State,
    deed: Deed,
    ids: Vec<MessageId>,
    (at, by): (Timestamp, String),
) -> Result<MarkedSeen, ApiError> {
    let recorded = deed.clone();
    let marked = state.runtime.store().write(move |tx| {
        let mut marked = MarkedSeen::default();
        for id in &ids {
            let count = match messages::mark_seen(tx, *id, at, &by)? {
                Marked::Now => &mut marked.seen,
                Marked::Before => &mut marked.already_seen,
                Marked::NotNeeded => &mut marked.not_needed,
                Marked::NotFound => &mut marked.not_found,
            };
            *count += 1;
        }
        if marked.seen > 0 {
            audit::record(tx, &recorded.clone().saying(messages_words(marked.seen)), at)?;
        }
        Ok(marked)
    });
    let marked = marked.await?;
    if marked.seen > 0 {
        audit::log(&deed.saying(messages_words(marked.seen)));
    }
    Ok(marked)
}

fn messages_words(count: u64) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

/// Marks all messages of groups, in small jobs. The first that marks any records it.
async fn mark_groups(
    state: &State,
    deed: Deed,
    (attentions, reason, until): (Vec<Attention>, OfReason, Timestamp),
    (at, by): (Timestamp, String),
) -> Result<MarkedSeen, ApiError> {
    let mut all = MarkedSeen::default();
    for attention in attentions {
        loop {
            let (reason, by) = (reason.clone(), by.clone());
            let recorded = (all.seen == 0).then(|| deed.clone());
            let marked = state.runtime.store().write(move |tx| {
                let which = (attention, &reason, until);
                let marked = messages::mark_group_seen(tx, which, MARKED_PER_JOB, (at, &by))?;
                if let Some(deed) = recorded.as_ref().filter(|_| marked > 0) {
                    audit::record(tx, deed, at)?;
                }
                Ok(marked as u64)
            });
            let marked = marked.await?;
            if all.seen == 0 && marked > 0 {
                audit::log(&deed);
            }
            all.seen += marked;
            if marked < u64::from(MARKED_PER_JOB) {
                break;
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_from_its_cursor() {
        assert_eq!(read_place("1778141663250-48211"), Some((Timestamp::from_millis(1_778_141_663_250), 48_211)));
        for cursor in ["", "12", "-", "x-1", "1-x"] {
            assert_eq!(read_place(cursor), None, "{cursor}");
        }
    }

    #[test]
    fn a_whole_second_is_meant_to_its_end() {
        let at = Timestamp::from_millis;
        assert_eq!(end_of_second(at(5_000)), at(5_999));
        assert_eq!(end_of_second(at(5_001)), at(5_001));
    }
}
