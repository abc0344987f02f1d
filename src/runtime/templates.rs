//! Templates of the channel: fetched from where they are approved.
//!
//! The fetched list replaces the stored one as a whole. A fetch that fails on any page changes nothing, because a part
//! of the list would look like templates that are gone.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Change, Runtime};
use crate::channels::incoming::FetchedTemplate;
use crate::channels::outgoing::Refusal;
use crate::domain::{MessageTemplate, TemplateId, Timestamp};
use crate::error::Result;
use crate::store::{Conn, Tx, outbox, settings, templates};

/// How often templates are fetched.
const EVERY: Duration = Duration::from_secs(3600);
/// How long after a fetch that failed the next one is tried; each failure doubles it, up to [`EVERY`].
const FIRST_RETRY: Duration = Duration::from_secs(60);
/// Messages that are released at once that waited for the templates.
const RELEASED_AT_ONCE: u32 = 5_000;

/// The outcome of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateSync {
    /// The stored templates are the channel's.
    Done(TemplatesChanged),
    /// The channel did not hand them over; nothing has changed.
    Refused(Refusal),
    /// The channel approves no templates: they are made by hand.
    ByHand,
}

/// What a fetch changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TemplatesChanged {
    /// Templates that are new.
    pub added: u64,
    /// Templates that are not what they were.
    pub changed: u64,
    /// Templates that the channel does not have any more.
    pub removed: u64,
    /// Templates that the channel has, over all languages.
    pub total: u64,
}

/// When templates were last fetched, and how the last fetch failed if it did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSync {
    /// When they were last fetched; milliseconds since the Unix epoch.
    pub at: Option<i64>,
    /// The channel's code and explanation, if it refused the last time.
    pub refused: Option<(String, String)>,
}

impl Runtime {
    /// Fetches the channel's templates, one fetch at a time. The next one is due an hour later, or sooner if this one
    /// failed.
    ///
    /// # Errors
    /// When the store refuses. What the channel refuses is an outcome.
    pub async fn sync_templates(&self) -> Result<TemplateSync> {
        let mut schedule = self.inner.templates.schedule.lock().await;
        self.fetch_templates(&mut schedule).await
    }

    /// Fetches the channel's templates if that is due; `None` if it is not.
    ///
    /// # Errors
    /// As [`Runtime::sync_templates`].
    pub async fn run_due_templates(&self) -> Result<Option<TemplateSync>> {
        let mut schedule = self.inner.templates.schedule.lock().await;
        if !self.inner.templates.wanted.take() && !schedule.is_due(self.clock().now()) {
            return Ok(None);
        }
        self.fetch_templates(&mut schedule).await.map(Some)
    }

    /// The same where messages may wait for the templates, which is as long as these were never fetched.
    pub(super) async fn fetch_awaited_templates(&self) -> Result<Option<TemplateSync>> {
        let name = self.channel().name();
        if !self.channel().kind().has_templates()
            || self.store().query_vital(move |conn| were_templates_fetched(conn, name)).await?
        {
            return Ok(None);
        }
        self.run_due_templates().await
    }

    /// Has the channel's templates fetched as soon as possible, after an operator has acted.
    pub(super) fn want_templates(&self) {
        if self.channel().kind().has_templates() {
            self.inner.templates.wanted.request();
        }
    }

    /// Fetches the channel's templates now and every hour until `stop` is done; sooner after a failure, and once an
    /// operator has given the channel another access token or resumed it. Ends at once where there is nothing to fetch.
    /// While the clock is moved by hand it fetches them once, and leaves the rest to [`Runtime::run_due_templates`].
    pub async fn keep_templates(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let synced = tokio::select! {
                () = &mut stop => return,
                synced = self.run_due_templates() => synced,
            };
            match synced {
                Ok(Some(TemplateSync::ByHand)) => return,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "fetched templates could not be kept"),
            }
            if self.clock().is_by_hand() {
                return stop.await;
            }
            let until_due = async {
                let pause = self.inner.templates.schedule.lock().await.pause(self.clock().now());
                tokio::time::sleep(pause).await;
            };
            tokio::select! {
                () = &mut stop => return,
                () = until_due => {}
                () = self.inner.templates.wanted.requested() => {}
            }
        }
    }

    async fn fetch_templates(&self, schedule: &mut Schedule) -> Result<TemplateSync> {
        let synced = self.replace_templates().await;
        let has_failed = matches!(synced, Ok(TemplateSync::Refused(_)) | Err(_));
        schedule.plan(has_failed, self.clock().now());
        synced
    }

    /// Replaces the stored templates by the channel's.
    async fn replace_templates(&self) -> Result<TemplateSync> {
        let channel = self.channel().name();
        let now = self.clock().now();
        let fetched = match self.channel().fetch_templates().await {
            Ok(Some(fetched)) => fetched,
            Ok(None) => return Ok(TemplateSync::ByHand),
            Err(refusal) => {
                self.pause_if_down(&refusal, now).await;
                tracing::warn!(channel, code = refusal.code, text = refusal.text, "templates could not be fetched");
                let refused = Some((refusal.code.clone(), refusal.text.clone()));
                self.store()
                    .write(move |tx| {
                        let before = last_template_sync(tx, channel)?;
                        keep_last_sync(tx, channel, &LastSync { at: before.at, refused: refused.clone() }, now)
                    })
                    .await?;
                return Ok(TemplateSync::Refused(refusal));
            }
        };
        let changed = self.store().write(move |tx| {
            let is_first = !were_templates_fetched(tx, channel)?;
            let changed = replace(tx, channel, &fetched, now)?;
            keep_last_sync(tx, channel, &LastSync { at: Some(now.as_millis()), refused: None }, now)?;
            Ok((changed, is_first))
        });
        let (changed, is_first) = changed.await?;
        if is_first {
            self.release_awaiting().await?;
        }
        let TemplatesChanged { added, changed: otherwise, removed, total } = changed;
        if added + otherwise + removed > 0 {
            tracing::info!(channel, added, changed = otherwise, removed, total, "templates have changed");
            self.publish_change(Change::Templates { channel, added, changed: otherwise, removed });
        }
        Ok(TemplateSync::Done(changed))
    }
}

impl Runtime {
    /// Has messages decided on again that wait for the templates.
    async fn release_awaiting(&self) -> Result<()> {
        let (channel, now) = (self.channel().name(), self.clock().now());
        let mut all = 0;
        loop {
            let released = self.store().write(move |tx| outbox::templates_came(tx, channel, RELEASED_AT_ONCE, now));
            match released.await? {
                0 => break,
                released => all += released,
            }
        }
        if all > 0 {
            tracing::info!(channel, messages = all, "messages go on that waited for the templates");
            self.wake_outbox();
        }
        Ok(())
    }
}

/// When templates are fetched.
#[derive(Debug, Default)]
pub(super) struct TemplateFetcher {
    /// Locked while they are fetched.
    schedule: tokio::sync::Mutex<Schedule>,
    wanted: Wanted,
}

/// That templates are to be fetched before they are due.
#[derive(Debug, Default)]
struct Wanted {
    is_wanted: AtomicBool,
    requested: Notify,
}

impl Wanted {
    fn request(&self) {
        self.is_wanted.store(true, Ordering::SeqCst);
        self.requested.notify_one();
    }

    fn take(&self) -> bool {
        self.is_wanted.swap(false, Ordering::SeqCst)
    }

    async fn requested(&self) {
        self.requested.notified().await;
    }
}

/// When templates are fetched next: at once after the start.
#[derive(Debug, Default)]
struct Schedule {
    due_at: Option<Timestamp>,
    /// How often in a row they could not be fetched.
    failures: u32,
}

impl Schedule {
    /// A plan that lies further ahead than any is of a clock that has been set back since.
    fn is_due(&self, now: Timestamp) -> bool {
        self.due_at.is_none_or(|due_at| due_at <= now || due_at.since(now) > EVERY)
    }

    /// How long nothing is due.
    fn pause(&self, now: Timestamp) -> Duration {
        self.due_at.map_or(Duration::ZERO, |due_at| due_at.since(now).min(EVERY))
    }

    fn plan(&mut self, has_failed: bool, now: Timestamp) {
        let pause = if has_failed {
            let doublings = 2_u32.saturating_pow(self.failures);
            self.failures = self.failures.saturating_add(1);
            FIRST_RETRY.saturating_mul(doublings).min(EVERY)
        } else {
            self.failures = 0;
            EVERY
        };
        self.due_at = Some(now.plus(pause));
    }
}

/// When a channel's templates were last fetched.
///
/// # Errors
/// When the database cannot be read.
pub fn last_template_sync(conn: &Conn, channel: &str) -> Result<LastSync> {
    let kept = settings::get(conn, &last_sync_key(channel))?;
    Ok(kept.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default())
}

/// Whether a channel's templates were ever fetched: until then it is unknown which exist.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn were_templates_fetched(conn: &Conn, channel: &str) -> Result<bool> {
    Ok(last_template_sync(conn, channel)?.at.is_some())
}

/// Whether all that was tried to fetch a channel's templates was refused.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn were_templates_refused(conn: &Conn, channel: &str) -> Result<bool> {
    let last = last_template_sync(conn, channel)?;
    Ok(last.at.is_none() && last.refused.is_some())
}

fn keep_last_sync(tx: &Tx<'_>, channel: &str, last: &LastSync, now: Timestamp) -> Result<()> {
    settings::set(tx, &last_sync_key(channel), &super::job::to_json(last)?, now)
}

/// Settings of this name are none of the configuration's.
fn last_sync_key(channel: &str) -> String {
    format!("templates:{channel}")
}

/// Replaces the stored templates of a channel by the fetched ones.
fn replace(tx: &Tx<'_>, channel: &str, fetched: &[FetchedTemplate], now: Timestamp) -> Result<TemplatesChanged> {
    // The channel lists each name and language once; if it lists one twice, the later entry counts.
    let key = |template: &MessageTemplate| (template.name.clone(), template.language.clone());
    let mut missing: BTreeMap<_, _> = fetched.iter().map(|one| (key(&one.template), one)).collect();
    let mut changed = TemplatesChanged { total: missing.len() as u64, ..TemplatesChanged::default() };
    for row in templates::list(tx, channel)? {
        let Some(one) = missing.remove(&key(&row.template)) else {
            templates::delete(tx, row.id)?;
            changed.removed += 1;
            continue;
        };
        if row.template != one.template || row.provider_id.as_ref() != Some(&one.provider_id) {
            templates::update(tx, row.seq, Some(&one.provider_id), &one.template, now)?;
            changed.changed += 1;
        }
    }
    for one in missing.values() {
        let id = TemplateId(Uuid::now_v7());
        templates::insert(tx, id, channel, Some(&one.provider_id), &one.template, now)?;
        changed.added += 1;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TemplateStatus;
    use crate::store::{Options, Store};

    fn fetched(name: &str, language: &str, body: &str) -> FetchedTemplate {
        let template = MessageTemplate {
            name: name.to_owned(),
            language: language.to_owned(),
            status: TemplateStatus::Approved,
            category: "UTILITY".to_owned(),
            header: None,
            body: body.to_owned(),
            footer: None,
            buttons: Vec::new(),
            unfillable: Vec::new(),
        };
        FetchedTemplate { provider_id: format!("{name}-{language}"), template }
    }

    #[test]
    fn a_fetch_is_due_every_hour_and_sooner_after_a_failure() {
        let at = |seconds: u64| Timestamp::from_millis(1_778_141_663_250).plus(Duration::from_secs(seconds));
        let mut schedule = Schedule::default();
        assert!(schedule.is_due(at(0)), "at once after the start");
        let mut now = 0;
        for pause in [60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
            schedule.plan(true, at(now));
            assert_eq!(schedule.pause(at(now)), Duration::from_secs(pause));
            assert!(!schedule.is_due(at(now + pause - 1)) && schedule.is_due(at(now + pause)), "{pause}");
            now += pause;
        }
        schedule.plan(false, at(now));
        assert!(!schedule.is_due(at(now + 3_599)) && schedule.is_due(at(now + 3_600)));
        schedule.plan(true, at(now));
        assert_eq!(schedule.pause(at(now)), FIRST_RETRY, "the count begins anew");
        assert!(schedule.is_due(at(0)), "the clock was set back");
        assert_eq!(schedule.pause(at(0)), EVERY);
    }

    #[test]
    fn what_is_stored_becomes_what_was_fetched() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Options::new(folder.path().join("qyvo.db"))).unwrap();
        let now = Timestamp::from_millis(1_778_141_663_250);
        let take =
            |all: Vec<FetchedTemplate>| store.write_blocking(move |tx| replace(tx, "whatsapp", &all, now)).unwrap();
        let ids = || store.read(|conn| templates::list(conn, "whatsapp")).unwrap();
        let first = vec![fetched("a", "en", "1"), fetched("a", "de", "2"), fetched("b", "en", "3")];
        assert_eq!(take(first.clone()), TemplatesChanged { added: 3, changed: 0, removed: 0, total: 3 });
        let before = ids();
        assert_eq!(take(first), TemplatesChanged { total: 3, ..TemplatesChanged::default() });
        assert_eq!(ids(), before);
        let second = vec![fetched("a", "en", "1"), fetched("b", "en", "other"), fetched("c", "en", "4")];
        assert_eq!(take(second), TemplatesChanged { added: 1, changed: 1, removed: 1, total: 3 });
        let after = ids();
        let names: Vec<_> = after.iter().map(|row| (row.template.name.as_str(), row.template.body.as_str())).collect();
        assert_eq!(names, [("a", "1"), ("b", "other"), ("c", "4")]);
        assert_eq!((after[0].id, after[1].id), (before[1].id, before[2].id), "what stays keeps its id");
        assert_eq!(take(vec![]), TemplatesChanged { removed: 3, ..TemplatesChanged::default() });
        store.close();
    }
}
