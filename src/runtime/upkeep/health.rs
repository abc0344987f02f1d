//! What keeps the server from doing all of its work, for `/readyz` and the admin page.
//!
//! Each part that can be impaired is checked on request; only the time since when it has been impaired is kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::Timestamp;
use crate::error::Result;
use crate::runtime::Runtime;
use crate::runtime::templates::were_templates_refused;
use crate::runtime::upkeep::backups::BackupState;
use crate::runtime::webhooks::gives_up_at;
use crate::store::webhooks::{self, Endpoint, Queue};
use crate::store::{Conn, RoomLevel, channels, outbox};

/// The codes of all impairments, for what shows those that are not present, too.
pub(crate) const CODES: [&str; 10] = [
    "disk_nearly_full",
    "disk_full",
    "database_locked",
    "channel_paused",
    "channel_backing_off",
    "channel_templates_not_fetched",
    "channel_unknown",
    "webhooks_behind",
    "webhooks_giving_up",
    "backup_late",
];

/// How long an event waits for its endpoint before it is reported: a restart of the far side is over by then.
pub(super) const BEHIND_AFTER: Duration = Duration::from_secs(60);

/// How long before the first event is given up that is said aloud: by then no restart of the far side helps.
pub(super) const GIVING_UP_WITHIN: Duration = Duration::from_secs(6 * 3600);

/// How long a message waits for the channel before it is reported: a campaign of twenty thousand is through by then.
const HELD_UP_AFTER: Duration = Duration::from_secs(300);

/// What a database has of what impairs its server, a sentence each, for who looks at it without one: a channel of the
/// name that is paused or takes nothing, and endpoints that do not take their events.
///
/// # Errors
/// When the database cannot be read.
pub(crate) fn kept_troubles(conn: &Conn, channel: Option<&str>, now: Timestamp) -> Result<Vec<String>> {
    let mut troubles = Vec::new();
    if let Some(name) = channel
        && let Some(row) = channels::find(conn, name)?.filter(|row| row.paused_at.is_some())
    {
        let why = row.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        troubles.push(format!("The channel {name} is paused{why}: messages wait until somebody resumes it."));
    } else if let Some(name) = channel
        && let Some((people, since)) = outbox::held_up(conn, name, now.minus(HELD_UP_AFTER))?
    {
        let since = since.to_iso_seconds();
        troubles.push(format!(
            "Messages to {people} people wait for the channel {name}, the first since {since}: it does not take them, \
            or no server runs. The server's /readyz and its log say why."
        ));
    }
    troubles.extend(webhook_troubles(&webhooks::list_endpoints(conn)?, now).into_iter().map(|detected| detected.text));
    Ok(troubles)
}

/// That endpoints do not take their events, or not fast enough, and that events are given up soon. It names no address.
fn webhook_troubles(endpoints: &[(Endpoint, Queue)], now: Timestamp) -> Vec<Detected> {
    let mut found = Vec::new();
    let mut behind: Vec<(&Endpoint, &Queue, Timestamp)> = endpoints
        .iter()
        .filter(|(endpoint, _)| endpoint.is_active)
        .filter_map(|(endpoint, queue)| Some((endpoint, queue, queue.oldest?)))
        .filter(|(_, _, oldest)| *oldest < now.minus(BEHIND_AFTER))
        .collect();
    behind.sort_by_key(|(_, _, oldest)| *oldest);
    if let Some((_, _, first)) = behind.first() {
        let queued: u32 = behind.iter().map(|(_, queue, _)| queue.queued).sum();
        let names = names(behind.iter().map(|(endpoint, ..)| *endpoint));
        let text = format!(
            "{queued} events wait for webhook endpoints that do not take them, or take them more slowly than they \
            happen ({names}): they are tried again by themselves for 24 hours. The page Webhooks says why."
        );
        found.push(Detected { code: "webhooks_behind", text, since: Some(*first) });
    }
    let mut ending: Vec<(&Endpoint, Timestamp)> = endpoints
        .iter()
        .filter_map(|(endpoint, queue)| Some((endpoint, gives_up_at(endpoint, queue)?)))
        .filter(|(_, at)| at.minus(GIVING_UP_WITHIN) <= now)
        .collect();
    ending.sort_by_key(|(_, at)| *at);
    if let Some((_, at)) = ending.first() {
        let names = names(ending.iter().map(|(endpoint, _)| *endpoint));
        let text = format!(
            "Events that webhook endpoints have not taken for long ({names}) are given up from {} on, and are then \
            not posted any more. Have the endpoints take them before; the page Webhooks says why they do not.",
            at.to_iso_seconds()
        );
        found.push(Detected { code: "webhooks_giving_up", text, since: Some(at.minus(GIVING_UP_WITHIN)) });
    }
    found
}

/// What people call the first of some endpoints.
pub(super) fn names<'a>(mut endpoints: impl Iterator<Item = &'a Endpoint>) -> String {
    let named = |endpoint: &Endpoint| match endpoint.description.trim() {
        "" => endpoint.id.to_string(),
        description => format!("\u{201c}{description}\u{201d}"),
    };
    let first: Vec<String> = endpoints.by_ref().take(3).map(named).collect();
    let more = if endpoints.next().is_some() { ", …" } else { "" };
    format!("{}{more}", first.join(", "))
}

/// That the server's own backups are late. It names no path.
fn late_backup(state: &BackupState) -> Detected {
    let every = humantime::format_duration(state.every);
    let newest = match &state.newest {
        Some(newest) => format!("the newest is of {}", newest.created_at.to_iso_seconds()),
        None => "there is none".to_owned(),
    };
    let why = if state.failure.is_some() { " The page Settings and the log say why." } else { "" };
    let text = format!("A backup is due every {every}, and {newest}.{why}");
    Detected { code: "backup_late", text, since: None }
}

/// Something that the server cannot do at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impairment {
    /// What it is, for programs.
    pub code: &'static str,
    /// What it is and what to do, for people. It names no address and no path.
    pub text: String,
    /// When it was first noticed.
    pub since: Timestamp,
}

/// When each present impairment began.
#[derive(Debug, Default)]
pub(in crate::runtime) struct ImpairmentLog {
    since: Mutex<BTreeMap<&'static str, Timestamp>>,
}

/// An impairment that is found, and since when where that is known.
struct Detected {
    code: &'static str,
    text: String,
    since: Option<Timestamp>,
}

impl ImpairmentLog {
    /// Notes what is impaired now, and returns it with the time that it began. What has that `prefix` and is not found
    /// is over.
    fn note(&self, prefix: &str, found: Vec<Detected>, now: Timestamp) -> Vec<Impairment> {
        let mut known = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|code, _| {
            let goes_on = !code.starts_with(prefix) || found.iter().any(|found| found.code == *code);
            if !goes_on {
                tracing::info!(code, "the server does this again");
            }
            goes_on
        });
        let mut noted = Vec::with_capacity(found.len());
        for Detected { code, text, since } in found {
            let first = *known.entry(code).or_insert_with(|| {
                tracing::warn!(code, "the server is degraded: {text}");
                now
            });
            noted.push(Impairment { code, text, since: since.unwrap_or(first) });
        }
        noted
    }
}

impl Runtime {
    /// What keeps the server from doing all of its work; empty while nothing does.
    pub async fn impairments(&self) -> Vec<Impairment> {
        let mut all = self.note_room();
        let now = self.clock().now();
        let locked = self.store().is_locked().then(|| Detected {
            code: "database_locked",
            text: "Another process keeps the database locked, and every write is refused. End that process, or let it \
                   finish: a tool with an open transaction, or a backup that locks the file."
                .to_owned(),
            since: None,
        });
        all.extend(self.inner.health.note("database_", locked.into_iter().collect(), now));
        let found = match self.channel_state().await {
            Ok(channel) => {
                let why = channel.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
                match (channel.paused_at, channel.held_until) {
                    (None, None) => self.templates_not_fetched().await,
                    (Some(since), _) => Some(Detected {
                        code: "channel_paused",
                        text: format!(
                            "The channel {} is paused{why}: messages wait until somebody resumes it.",
                            channel.name
                        ),
                        since: Some(since),
                    }),
                    (None, Some(_)) => Some(Detected {
                        code: "channel_backing_off",
                        text: format!(
                            "The channel {} cannot be reached or refuses everything{why}: messages wait, and it is \
                             tried again by itself.",
                            channel.name
                        ),
                        since: None,
                    }),
                }
            }
            Err(error) => {
                tracing::warn!(%error, "how the channel stands could not be read");
                let text = "The database cannot be read at the moment.".to_owned();
                Some(Detected { code: "channel_unknown", text, since: None })
            }
        };
        all.extend(self.inner.health.note("channel_", found.into_iter().collect(), now));
        let late = self.backup_state().filter(|state| state.is_late).map(|state| late_backup(&state));
        all.extend(self.inner.health.note("backup_", late.into_iter().collect(), now));
        let webhooks = match self.store().query_vital(webhooks::list_endpoints).await {
            Ok(endpoints) => webhook_troubles(&endpoints, now),
            Err(error) => {
                tracing::warn!(%error, "how the webhook endpoints stand could not be read");
                Vec::new()
            }
        };
        all.extend(self.inner.health.note("webhooks_", webhooks, now));
        all
    }

    /// That messages wait for templates which the channel does not hand over.
    async fn templates_not_fetched(&self) -> Option<Detected> {
        let name = self.channel().name();
        let were_refused = self.store().query_vital(move |conn| were_templates_refused(conn, name)).await;
        let were_refused = self.channel().kind().has_templates() && were_refused.unwrap_or_default();
        were_refused.then(|| Detected {
            code: "channel_templates_not_fetched",
            text: format!(
                "The templates of the channel {name} could not be fetched yet: messages that need one wait, and the \
                fetch is tried again by itself. The page of the templates says why."
            ),
            since: None,
        })
    }

    /// Notes whether the disk has room, so that it is known since when it has not.
    pub fn note_room(&self) -> Vec<Impairment> {
        let found = match self.store().room() {
            RoomLevel::Enough => None,
            RoomLevel::NothingNew => Some((
                "disk_nearly_full",
                "The disk is nearly full: triggers, batches and messages of other systems are refused; replies, \
                 statuses and timers go on. Free some space.",
            )),
            RoomLevel::EssentialOnly => Some((
                "disk_full",
                "The disk is full: nothing but erasures, opt-outs and what frees room is written. Free some space.",
            )),
        };
        let found = found.map(|(code, text)| Detected { code, text: text.to_owned(), since: None });
        self.inner.health.note("disk_", found.into_iter().collect(), self.clock().now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_keeps_its_beginning() {
        let log = ImpairmentLog::default();
        let at = Timestamp::from_millis;
        let found = |code| vec![Detected { code, text: "t".to_owned(), since: None }];
        assert_eq!(log.note("disk_", found("disk_full"), at(1))[0].since, at(1));
        assert_eq!(log.note("channel_", found("channel_paused"), at(2))[0].since, at(2));
        assert_eq!(log.note("disk_", found("disk_full"), at(3))[0].since, at(1));
        assert_eq!(log.note("disk_", Vec::new(), at(4)), []);
        assert_eq!(log.note("disk_", found("disk_full"), at(5))[0].since, at(5), "it is another time");
        assert_eq!(log.note("channel_", found("channel_paused"), at(6))[0].since, at(2));
        let known = vec![Detected { code: "channel_paused", text: "t".to_owned(), since: Some(at(0)) }];
        assert_eq!(log.note("channel_", known, at(7))[0].since, at(0), "where it is known it is told");
    }
}
