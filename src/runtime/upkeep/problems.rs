//! What is wrong with the server now, as far as the runtime can say. What callers do wrong is added by the API.
//!
//! Everything is found anew when somebody asks, and at most once a second, as the metrics are (`gauges.rs`): any number
//! of viewers cost as much as one. Only since when a problem has been there is kept, where no row says so.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::channels::ChannelKind;
use crate::domain::server_problem::{About, ProblemKind, ServerProblem, Severity};
use crate::domain::{FlowDocument, FlowId, Place, Reach, Reason, TemplateStatus, Timestamp, is_in_language};
use crate::error::Result;
use crate::runtime::Runtime;
use crate::runtime::outbox::ChannelState;
use crate::runtime::templates::last_template_sync;
use crate::runtime::upkeep::gauges::Reading;
use crate::runtime::upkeep::health::{BEHIND_AFTER, GIVING_UP_WITHIN, Impairment, names};
use crate::runtime::webhooks::gives_up_at;
use crate::store::messages::{Attention, OfReason, UnseenGroup};
use crate::store::problems::{self, Asked, Counted, Found};
use crate::store::{Conn, RoomLevel, flows};

/// The templates of flows, by the row and the version of the flow.
type TemplatesOfVersions = HashMap<(i64, u32), Arc<FlowTemplates>>;
/// A template that cannot be sent: its name, why, and the flows that send it, with their names.
type Unavailable = (String, String, Vec<(FlowId, String)>);

/// How long a timer is due before it is reported.
const OVERDUE_AFTER: Duration = Duration::from_secs(60);
/// How long a message may have been due before it is reported: a campaign of twenty thousand is through by then.
const LATE_AFTER: Duration = Duration::from_secs(300);
/// For how long events are reported that were given up.
const GIVEN_UP_FOR: Duration = Duration::from_secs(24 * 3600);
/// Days before the disk is full in which that is reported.
const FULL_WITHIN_DAYS: u64 = 14;
/// Flows that a problem names at most.
const FLOWS_NAMED: usize = 20;

/// What is kept between two answers.
#[derive(Debug, Default)]
pub(in crate::runtime) struct Problems {
    last: tokio::sync::Mutex<Option<(Reading, Arc<Vec<ServerProblem>>)>>,
    /// When the problems were first noticed that are there now, by their keys.
    since: Mutex<HashMap<String, Timestamp>>,
    /// The templates of published versions, by the row of the flow and the version.
    templates: Arc<Mutex<TemplatesOfVersions>>,
}

/// What a published flow says with templates.
#[derive(Debug, Default)]
struct FlowTemplates {
    flow: Option<(FlowId, String)>,
    /// The name of each, with the language that a node or the flow wants it in.
    used: Vec<(String, Option<String>)>,
}

/// What the database says.
#[derive(Default)]
struct Read {
    found: Found,
    /// Templates that cannot be sent, why, and the flows that use them.
    unavailable: Vec<Unavailable>,
}

impl Runtime {
    /// What is wrong with the server now, the worst first; empty while nothing is. It may be a second old.
    pub async fn problems(&self) -> Arc<Vec<ServerProblem>> {
        let mut last = self.inner.problems.last.lock().await;
        let began = Instant::now();
        // A clock that a test moves makes each reading another one.
        if let Some((reading, problems)) = &*last
            && !self.clock().is_by_hand()
            && reading.stands(began)
        {
            return problems.clone();
        }
        let problems = Arc::new(self.find_problems().await);
        *last = Some((Reading::begun(began), problems.clone()));
        problems
    }

    async fn find_problems(&self) -> Vec<ServerProblem> {
        let now = self.clock().now();
        let channel = self.channel_state().await.ok();
        let mut all: Vec<ServerProblem> =
            self.impairments().await.iter().filter_map(|found| of_impairment(found, channel.as_ref())).collect();
        if !self.store().is_healthy() {
            let text = "The database takes no writes any more, and the server ends.";
            all.push(ServerProblem::new(ProblemKind::DatabaseStopped, now, text));
        }
        all.extend(self.no_phones(now));
        all.extend(self.failed_backup(now));
        match self.read_problems(now).await {
            Ok(Read { found, unavailable }) => {
                all.extend(found.unseen.iter().map(|(attention, group)| of_messages(*attention, group)));
                all.extend(found.overdue.map(overdue));
                all.extend(found.on_standby.map(on_standby));
                let is_stopped = channel.is_none_or(|state| state.paused_at.is_some() || state.held_until.is_some());
                all.extend(found.late.filter(|_| !is_stopped).map(|late| behind(self.channel().name(), late)));
                all.extend(of_endpoints(&found, now));
                all.extend(self.disk_fills_up(found.growth_per_day, now));
                let channel = Some(self.channel().name());
                all.extend(unavailable.into_iter().map(|(template, why, flows)| {
                    let text = format!("Published flows use the template `{template}`, and it cannot be sent: {why}.");
                    let about = About { channel, template: Some(template), flows, ..About::default() };
                    ServerProblem::new(ProblemKind::TemplateUnavailable, now, text).about(about)
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "what is wrong could not be read from the database");
                let text = "The database cannot be read at the moment.";
                if all.iter().all(|problem| problem.kind != ProblemKind::ChannelUnknown) {
                    all.push(ServerProblem::new(ProblemKind::ChannelUnknown, now, text));
                }
            }
        }
        self.inner.problems.date(&mut all, now);
        all.sort_by_cached_key(ServerProblem::order);
        all
    }

    async fn read_problems(&self, now: Timestamp) -> Result<Read> {
        let kind = self.channel().kind();
        let asked = Asked {
            now,
            channel: kind.as_str(),
            timers_until: now.minus(OVERDUE_AFTER),
            messages_until: now.minus(LATE_AFTER),
            given_up_after: now.minus(GIVEN_UP_FOR),
        };
        let known = self.inner.problems.templates.clone();
        let read = self.store().query_vital(move |conn| {
            let found = problems::read(conn, &asked)?;
            // Where the channel approves none, or its list was never fetched, nothing is known of them.
            let is_known = kind.has_templates() && last_template_sync(conn, asked.channel)?.at.is_some();
            let unavailable =
                if is_known { unavailable(conn, asked.channel, &found.published, &known)? } else { Vec::new() };
            Ok(Read { found, unavailable })
        });
        read.await
    }

    /// That messages reach no phone, and why, if another channel was wanted.
    fn no_phones(&self, now: Timestamp) -> Option<ServerProblem> {
        let channel = self.channel().name();
        if self.channel().kind().reaches_phones() {
            return None;
        }
        let mut text = format!(
            "Messages reach no phone: the channel in use is the {channel}, and every message is only recorded here."
        );
        if let Some(why) = &self.shared().options.unused_settings {
            text = format!("{text} {why}");
        }
        let about = About { channel: Some(channel), ..About::default() };
        Some(ServerProblem::new(ProblemKind::NoPhones, now, text).about(about))
    }

    fn failed_backup(&self, now: Timestamp) -> Option<ServerProblem> {
        self.backup_failure()
            .map(|_| ServerProblem::new(ProblemKind::BackupFailed, now, "The last backup of the database failed."))
    }

    /// That the room above `storage.min_free` is used up within days. Once it is, that is what is reported.
    fn disk_fills_up(&self, growth_per_day: Option<i64>, now: Timestamp) -> Option<ServerProblem> {
        if self.store().room() != RoomLevel::Enough {
            return None;
        }
        let free = self.store().disk().ok()?.free.saturating_sub(self.store().min_free());
        let days = days_until_full(free, growth_per_day?)?;
        let when = match u32::try_from(days).unwrap_or(u32::MAX) {
            0 => "Within a day".to_owned(),
            days => format!("In about {}", counted_words(days, "day")),
        };
        let text = format!(
            "{when} the disk has no room for new sessions: the database has grown by {} MB a day of late.",
            growth_per_day.unwrap_or_default() / 1_000_000,
        );
        Some(ServerProblem::new(ProblemKind::DiskFillsUp, now, text))
    }
}

impl Problems {
    /// Says of the problems of which no row says it since when they have been there: those that begin `now`.
    fn date(&self, all: &mut [ServerProblem], now: Timestamp) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let keys: HashSet<String> = all.iter().map(ServerProblem::key).collect();
        since.retain(|key, _| keys.contains(key));
        for problem in all.iter_mut().filter(|problem| problem.since == now) {
            problem.since = *since.entry(problem.key()).or_insert(now);
        }
    }
}

/// The days until so many free bytes are used up, where they are few.
fn days_until_full(free: u64, growth_per_day: i64) -> Option<u64> {
    let days = free.checked_div(u64::try_from(growth_per_day).ok()?)?;
    (days < FULL_WITHIN_DAYS).then_some(days)
}

/// An impairment as a problem. Those of endpoints are found for each of them.
fn of_impairment(found: &Impairment, channel: Option<&ChannelState>) -> Option<ServerProblem> {
    if found.code.starts_with("webhooks_") {
        return None;
    }
    let kind = ProblemKind::parse(found.code)?;
    let text = match kind {
        ProblemKind::ChannelPaused | ProblemKind::ChannelBackingOff => {
            channel.map_or_else(|| found.text.clone(), |state| stopped(kind, state))
        }
        ProblemKind::DiskNearlyFull => "The disk is nearly full: triggers, batches and messages of other systems are \
                                        refused; replies, statuses and timers go on."
            .to_owned(),
        ProblemKind::DiskFull => {
            "The disk is full: nothing but erasures, opt-outs and what frees room is written.".to_owned()
        }
        ProblemKind::DatabaseLocked => {
            "Another process keeps the database locked, and every write is refused.".to_owned()
        }
        ProblemKind::TemplatesNotFetched => "The channel's templates could not be fetched yet: messages that need one \
                                             wait, and publishing cannot check them."
            .to_owned(),
        _ => found.text.clone(),
    };
    let about = match kind {
        ProblemKind::ChannelPaused | ProblemKind::ChannelBackingOff | ProblemKind::TemplatesNotFetched => {
            About { channel: channel.map(|state| state.name), ..About::default() }
        }
        _ => About::default(),
    };
    Some(ServerProblem::new(kind, found.since, text).about(about))
}

/// What a channel that sends nothing says, with the reason in words.
fn stopped(kind: ProblemKind, state: &ChannelState) -> String {
    let what = match kind {
        ProblemKind::ChannelPaused => "is paused: nothing goes out, and messages wait",
        _ => "cannot be reached or refuses everything: messages wait",
    };
    let mut text = format!("The channel {} {what}.", state.name);
    let reason = state.reason.as_deref();
    if let Some(words) = reason.and_then(words_of) {
        text = format!("{text} {words}");
    }
    let explanation = state.explanation.as_deref().map(str::trim).filter(|words| !words.is_empty());
    if let Some(explanation) = explanation {
        let said_by = match reason {
            Some(reason) if reason == Reason::Operator.as_str() => "They say",
            Some(reason) if reason == Reason::ConfiguredInPart.as_str() => return format!("{text} {explanation}"),
            _ => "The channel says",
        };
        text = format!("{text} {said_by}: {explanation}");
        if !explanation.ends_with(['.', '!', '?']) {
            text.push('.');
        }
    }
    text
}

/// What a reason means, in a sentence: one of the program's own, or a provider's code.
fn words_of(reason: &str) -> Option<&'static str> {
    Reason::parse(reason).map(Reason::words).or_else(|| {
        let code: i64 = reason.parse().ok()?;
        let mut all = ChannelKind::ALL.into_iter().flat_map(ChannelKind::code_words);
        all.find(|(known, _)| *known == code).map(|(_, words)| *words)
    })
}

/// `1 day`, `12 days`.
fn counted_words(count: u32, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The same, where there may be more.
fn at_least(counted: &Counted, what: &str) -> String {
    let words = counted_words(counted.count, what);
    if counted.is_at_least { format!("{words} or more") } else { words }
}

/// That messages need a look.
fn of_messages(attention: Attention, group: &UnseenGroup) -> ServerProblem {
    let UnseenGroup { reason, count, is_at_least, oldest, newest } = group;
    let counted = Counted { count: *count, is_at_least: *is_at_least, since: *oldest, newest: *newest };
    let messages = at_least(&counted, "message");
    let (known, code) = match reason {
        OfReason::Only(Some(code)) => (Reason::parse(code), Some(code.as_str())),
        OfReason::Only(None) | OfReason::Any => (None, None),
    };
    let (kind, what) = match attention {
        Attention::Failed => (ProblemKind::MessagesFailed, format!("{messages} failed")),
        Attention::Unknown => {
            (ProblemKind::MessagesUnknown, format!("The channel did not say whether {messages} arrived"))
        }
        Attention::Unrouted if known == Some(Reason::AutoReplyLimit) => {
            (ProblemKind::AutoRepliesStopped, format!("{messages} got no automatic answer"))
        }
        Attention::Unrouted => {
            (ProblemKind::MessagesUnrouted, format!("People wrote {messages} that no conversation took"))
        }
    };
    let text = match (code, code.and_then(words_of)) {
        (_, Some(words)) => format!("{what}. {words}"),
        (Some(code), None) => format!("{what}, with the code {code} of the channel."),
        (None, None) if *reason == OfReason::Any => format!("{what}, for other reasons."),
        (None, None) => format!("{what}."),
    };
    let reason = code.map(str::to_owned);
    let mut problem = ServerProblem::new(kind, *oldest, text)
        .about(About { status: Some(attention.as_str()), reason, ..About::default() })
        .counting(*count, *is_at_least);
    problem.newest_at = Some(*newest);
    // What ended with its conversation was meant to.
    let is_meant =
        known.is_some_and(|reason| reason.places().contains(&Place::Message) && reason.reach() == Reach::Conversation);
    if kind == ProblemKind::MessagesFailed && is_meant {
        problem.severity = Severity::Notice;
    }
    problem
}

fn overdue(counted: Counted) -> ServerProblem {
    let text = format!("{} of sessions fell due more than a minute ago and did not fire.", at_least(&counted, "timer"));
    ServerProblem::new(ProblemKind::TimersOverdue, counted.since, text).counting(counted.count, counted.is_at_least)
}

fn on_standby(counted: Counted) -> ServerProblem {
    let text = format!(
        "Another system of Meta, such as Meta Business Agent, holds {}: flows are silent there.",
        at_least(&counted, "conversation")
    );
    ServerProblem::new(ProblemKind::OnStandby, counted.since, text).counting(counted.count, counted.is_at_least)
}

fn behind(channel: &'static str, late: Counted) -> ServerProblem {
    let messages = at_least(&late, "message");
    let text = format!("The channel {channel} is behind: {messages} could have gone out more than five minutes ago.");
    ServerProblem::new(ProblemKind::ChannelBehind, late.since, text)
        .about(About { channel: Some(channel), ..About::default() })
        .counting(late.count, late.is_at_least)
}

/// What is wrong with the webhook endpoints.
fn of_endpoints(found: &Found, now: Timestamp) -> Vec<ServerProblem> {
    let mut all = Vec::new();
    for (endpoint, queue) in &found.endpoints {
        let (name, about) =
            (names(std::iter::once(endpoint)), || About { endpoint: Some(endpoint.id), ..About::default() });
        let events = counted_words(queue.queued, "event");
        let is_old = queue.oldest.is_some_and(|oldest| oldest < now.minus(BEHIND_AFTER));
        if let Some(since) = endpoint.failing_since.filter(|_| endpoint.is_active) {
            let text = format!("The webhook endpoint {name} takes no events, and {events} wait for it.");
            let problem = ServerProblem::new(ProblemKind::EndpointFailing, since, text);
            all.push(problem.about(about()).counting(queue.queued, false));
        } else if let Some(oldest) = queue.oldest.filter(|_| is_old && endpoint.is_active) {
            let text = format!("The webhook endpoint {name} is behind: {events} wait for it.");
            let problem = ServerProblem::new(ProblemKind::EndpointBehind, oldest, text);
            all.push(problem.about(about()).counting(queue.queued, false));
        }
        if let Some(at) = gives_up_at(endpoint, queue).filter(|at| at.minus(GIVING_UP_WITHIN) <= now) {
            let text = format!(
                "Events that the webhook endpoint {name} has not taken for long are given up from {} on, and are then \
                 not posted any more.",
                at.to_iso_seconds()
            );
            let problem = ServerProblem::new(ProblemKind::EndpointGivingUp, at.minus(GIVING_UP_WITHIN), text);
            all.push(problem.about(about()));
        }
        if let Some((_, counted)) = found.given_up.iter().find(|(id, _)| *id == endpoint.id) {
            let off = if endpoint.is_active { "" } else { " It is switched off." };
            let text = format!(
                "Within the last 24 hours {} for the webhook endpoint {name} were given up.{off}",
                at_least(counted, "event")
            );
            let mut problem = ServerProblem::new(ProblemKind::EndpointGaveUp, counted.since, text);
            problem.newest_at = Some(counted.newest);
            all.push(problem.about(about()).counting(counted.count, counted.is_at_least));
        }
    }
    all
}

type KnownTemplates = Mutex<HashMap<(i64, u32), Arc<FlowTemplates>>>;

/// The templates that published flows use and that cannot be sent on a channel: each with the reason and the flows. A
/// published version never changes, so that its document is read once.
fn unavailable(
    conn: &Conn,
    channel: &str,
    published: &[(i64, u32)],
    known: &KnownTemplates,
) -> Result<Vec<Unavailable>> {
    let mut of_flows = Vec::with_capacity(published.len());
    for (flow_seq, version) in published {
        let kept = lock(known).get(&(*flow_seq, *version)).cloned();
        let templates = match kept {
            Some(templates) => templates,
            None => Arc::new(templates_of(conn, *flow_seq, *version)?),
        };
        of_flows.push(((*flow_seq, *version), templates));
    }
    let mut translations = BTreeMap::new();
    let mut unavailable: BTreeMap<String, (String, Vec<(FlowId, String)>)> = BTreeMap::new();
    for (_, templates) in &of_flows {
        for (name, language) in &templates.used {
            if !translations.contains_key(name) {
                translations.insert(name.clone(), problems::translations(conn, channel, name)?);
            }
            let Some(why) = translations.get(name).and_then(|known| why_not(known, language.as_deref())) else {
                continue;
            };
            let (_, flows) = unavailable.entry(name.clone()).or_insert_with(|| (why, Vec::new()));
            let flow = templates.flow.iter().filter(|flow| !flows.contains(flow)).cloned().collect::<Vec<_>>();
            if flows.len() < FLOWS_NAMED {
                flows.extend(flow);
            }
        }
    }
    // Those that are not published any more go.
    *lock(known) = of_flows.into_iter().collect();
    Ok(unavailable.into_iter().map(|(name, (why, flows))| (name, why, flows)).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn templates_of(conn: &Conn, flow_seq: i64, version: u32) -> Result<FlowTemplates> {
    let id = flows::id_of(conn, flow_seq)?;
    let json = flows::version_document(conn, flow_seq, version)?;
    let document = json.and_then(|json| serde_json::from_str(&json).ok()).map(|json| FlowDocument::parse(&json));
    // One that cannot be read has another problem: its sessions fail, with that reason.
    let (Some(id), Some(Ok(document))) = (id, document) else { return Ok(FlowTemplates::default()) };
    let used = document.nodes.iter().filter_map(|node| node.kind.says().template());
    let used = used.map(|template| (template.name.clone(), template.language.clone()));
    let mut used: Vec<(String, Option<String>)> = used.collect();
    used.sort();
    used.dedup();
    Ok(FlowTemplates { flow: Some((id, document.name)), used })
}

/// Why a template cannot be sent that has these translations; `None` if it can.
fn why_not(translations: &[(String, TemplateStatus)], language: Option<&str>) -> Option<String> {
    let is_approved = |(_, status): &&(String, TemplateStatus)| *status == TemplateStatus::Approved;
    let asked = |(code, _): &&(String, TemplateStatus)| language.is_none_or(|language| is_in_language(code, language));
    if translations.iter().filter(asked).any(|one| is_approved(&one)) {
        return None;
    }
    let of_asked: Vec<_> = translations.iter().filter(asked).collect();
    Some(match language {
        _ if translations.is_empty() => "the channel does not have it".to_owned(),
        Some(language) if of_asked.is_empty() => format!("the channel does not have it in {language}"),
        _ => {
            let mut statuses: Vec<String> =
                of_asked.iter().map(|(code, status)| format!("{} in {code}", status_words(*status))).collect();
            statuses.sort();
            format!("it is {}", statuses.join(", "))
        }
    })
}

fn status_words(status: TemplateStatus) -> &'static str {
    match status {
        TemplateStatus::Other => "in no known status",
        known => known.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::upkeep::health::CODES;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_778_141_663_250 + seconds * 1_000)
    }

    #[test]
    fn every_impairment_has_a_kind_of_problem() {
        for code in CODES.into_iter().filter(|code| !code.starts_with("webhooks_")) {
            assert!(ProblemKind::parse(code).is_some(), "{code} is no kind of problem");
        }
    }

    #[test]
    fn a_problem_keeps_its_beginning_until_it_is_over() {
        let problems = Problems::default();
        let found = |seconds| vec![ServerProblem::new(ProblemKind::NoPhones, at(seconds), "x")];
        let dated = |mut all: Vec<ServerProblem>, seconds| {
            problems.date(&mut all, at(seconds));
            all.first().map(|problem| problem.since)
        };
        assert_eq!(dated(found(1), 1), Some(at(1)));
        assert_eq!(dated(found(2), 2), Some(at(1)));
        assert_eq!(dated(Vec::new(), 3), None);
        assert_eq!(dated(found(4), 4), Some(at(4)), "it is another time");
        assert_eq!(dated(found(0), 5), Some(at(0)), "a row says since when");
    }

    #[test]
    fn a_full_disk_is_foreseen_by_days() {
        assert_eq!(days_until_full(139, 10), Some(13));
        assert_eq!(days_until_full(140, 10), None);
        assert_eq!((days_until_full(1, 0), days_until_full(1, -5)), (None, None), "it does not grow");
        assert_eq!(days_until_full(0, 10), Some(0));
    }

    #[test]
    fn a_template_cannot_be_sent_that_is_not_approved_in_the_language_asked_for() {
        use TemplateStatus::{Approved, Paused, Rejected};
        let known = [("en".to_owned(), Approved), ("de".to_owned(), Paused)];
        assert_eq!(why_not(&known, None), None);
        assert_eq!(why_not(&known, Some("en_US")), None);
        assert_eq!(why_not(&known, Some("de")).unwrap(), "it is paused in de");
        assert_eq!(why_not(&known, Some("fr")).unwrap(), "the channel does not have it in fr");
        assert_eq!(why_not(&[], Some("fr")).unwrap(), "the channel does not have it");
        let rejected = [("en".to_owned(), Rejected), ("de".to_owned(), Paused)];
        assert_eq!(why_not(&rejected, None).unwrap(), "it is paused in de, rejected in en");
    }

    #[test]
    fn messages_are_told_by_their_reason_in_words() {
        let group = |reason: Option<&str>, count| UnseenGroup {
            reason: OfReason::Only(reason.map(str::to_owned)),
            count,
            is_at_least: false,
            oldest: at(0),
            newest: at(9),
        };
        let failed = of_messages(Attention::Failed, &group(Some("unknown_template"), 3));
        assert_eq!(
            failed.text,
            "3 messages failed. The channel has no template of this name: look at the list of templates."
        );
        assert_eq!((failed.severity, failed.since, failed.newest_at), (Severity::Warning, at(0), Some(at(9))));
        assert_eq!(failed.key(), "messages_failed:unknown_template");
        let ended = of_messages(Attention::Failed, &group(Some("session_ended"), 1));
        assert_eq!((ended.severity, ended.text.starts_with("1 message failed. ")), (Severity::Notice, true));
        let coded = of_messages(Attention::Failed, &group(Some("131026"), 1)).text;
        assert!(coded.contains("the number is perhaps not on WhatsApp"), "{coded}");
        let foreign = of_messages(Attention::Failed, &group(Some("http_418"), 1)).text;
        assert_eq!(foreign, "1 message failed, with the code http_418 of the channel.");
        let limited = of_messages(Attention::Unrouted, &group(Some("auto_reply_limit"), 2));
        assert_eq!(limited.kind, ProblemKind::AutoRepliesStopped);
        let others = UnseenGroup { reason: OfReason::Any, is_at_least: true, ..group(None, 5) };
        assert_eq!(of_messages(Attention::Failed, &others).text, "5 messages or more failed, for other reasons.");
    }
}
