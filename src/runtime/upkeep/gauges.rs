//! Brings the metrics up to date that say how things stand: what the database has, the disk, the channel, readiness.
//!
//! That is read when somebody asks for the metrics, and at most once a second; where reading takes long, so seldom that
//! it takes a fiftieth of the time at most. So any number of scrapers cost nothing.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::domain::{CounterName, Timestamp};
use crate::error::Result;
use crate::metrics::Metric;
use crate::runtime::Runtime;
use crate::runtime::upkeep::health;
use crate::store::RoomLevel;
use crate::store::gauges::{self, Gauges, Waiting};

/// How long what was read stands at least.
const STANDS: Duration = Duration::from_secs(1);
/// How many times as long as the reading took it stands at least.
const STANDS_TIMES: u32 = 50;

/// When the metrics were last brought up to date.
#[derive(Debug, Default)]
pub(in crate::runtime) struct Sampled {
    last: Mutex<Option<Reading>>,
}

/// A reading of how things stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    at: Instant,
    took: Duration,
}

impl Reading {
    /// One that ends now.
    pub(super) fn begun(at: Instant) -> Self {
        Self { at: Instant::now(), took: at.elapsed() }
    }

    /// Whether it need not be done anew yet.
    pub(super) fn stands(self, now: Instant) -> bool {
        now.duration_since(self.at) < STANDS.max(self.took.saturating_mul(STANDS_TIMES))
    }
}

impl Runtime {
    /// Brings the metrics up to date that say how things stand, unless that was done a moment ago. What cannot be read
    /// stays as it was, and `qyvo_database_readable` is 0 then.
    pub async fn sample_metrics(&self) {
        let mut last = self.inner.sampled.last.lock().await;
        let began = Instant::now();
        // A clock that a test moves makes each reading another one.
        if !self.clock().is_by_hand() && last.is_some_and(|reading| reading.stands(began)) {
            return;
        }
        self.sample_server();
        self.sample_readiness().await;
        let read = self.sample_database().await;
        if let Err(error) = &read {
            tracing::warn!(%error, "what the metrics show of the database could not be read");
        }
        self.metrics().set(Metric::DatabaseReadable, &[], f64::from(u8::from(read.is_ok())));
        *last = Some(Reading::begun(began));
    }

    /// What is known without the database.
    fn sample_server(&self) {
        let (metrics, store) = (self.metrics(), self.store());
        let (queued, limit) = store.queue();
        metrics.set(Metric::WriterQueue, &[], queued as f64);
        metrics.set(Metric::WriterQueueLimit, &[], limit as f64);
        metrics.set(Metric::Ready, &[], f64::from(u8::from(store.is_healthy())));
        metrics.set(Metric::MinFreeBytes, &[], store.min_free() as f64);
        let level = match store.room() {
            RoomLevel::Enough => 2.0,
            RoomLevel::NothingNew => 1.0,
            RoomLevel::EssentialOnly => 0.0,
        };
        metrics.set(Metric::RoomLevel, &[], level);
        match store.disk() {
            Ok(disk) => {
                metrics.set(Metric::FreeBytes, &[], disk.free as f64);
                metrics.set(Metric::DatabaseBytes, &[], disk.database as f64);
                metrics.set(Metric::LogBytes, &[], disk.log as f64);
            }
            Err(error) => tracing::debug!(%error, "the room on the disk is not known"),
        }
    }

    async fn sample_readiness(&self) {
        let impairments = self.impairments().await;
        let present = impairments.iter().map(|impairment| (impairment.code, 1.0));
        let absent = health::CODES.into_iter().filter(|code| impairments.iter().all(|found| found.code != *code));
        self.metrics().set_family(Metric::Degraded, present.chain(absent.map(|code| (code, 0.0))));
        let (every, newest) = match self.backup_state() {
            Some(state) => (state.every.as_secs_f64(), state.newest),
            None => (0.0, None),
        };
        let newest = newest.map_or(0.0, |newest| newest.created_at.as_millis() as f64 / 1_000.0);
        self.metrics().set(Metric::BackupInterval, &[], every);
        self.metrics().set(Metric::BackupLastSuccess, &[], newest);
        let Ok(channel) = self.channel_state().await else { return };
        let flag = |is_so| f64::from(u8::from(is_so));
        self.metrics().set_family(Metric::ChannelPaused, [(channel.name, flag(channel.paused_at.is_some()))]);
        self.metrics().set_family(Metric::ChannelBackingOff, [(channel.name, flag(channel.held_until.is_some()))]);
    }

    async fn sample_database(&self) -> Result<()> {
        let (metrics, now) = (self.metrics(), self.clock().now());
        let Gauges {
            growth_per_day,
            sessions_running,
            sessions,
            published,
            next_due,
            mut outbox,
            endpoints,
            http_calls,
        } = self.store().query_vital(move |conn| gauges::read(conn, now)).await?;
        metrics.set(Metric::GrowthBytes, &[], growth_per_day.unwrap_or(0) as f64);
        metrics.set(Metric::SessionsRunning, &[], sessions_running as f64);
        for (name, value) in sessions {
            let value = u64::try_from(value).unwrap_or_default();
            match name.of_session() {
                Some(_) if name == CounterName::SessionStarted => {
                    metrics.set_counter(Metric::SessionsStarted, &[], value);
                }
                Some(status) => metrics.set_counter(Metric::SessionsEnded, &[status], value),
                None => {}
            }
        }
        metrics
            .set_family(Metric::FlowsPublished, published.iter().map(|(kind, count)| (kind.as_str(), *count as f64)));
        metrics.set(Metric::TimersOverdue, &[], next_due.map_or(0.0, |due_at| seconds_since(due_at, now)));
        // The channel in use is shown also while nothing waits for it.
        outbox.entry(self.channel().name().to_owned()).or_default();
        let by_channel = |value: fn(&Waiting, Timestamp) -> f64| {
            outbox.iter().map(move |(channel, waiting)| (channel.as_str(), value(waiting, now)))
        };
        metrics.set_family(Metric::OutboxQueued, by_channel(|waiting, _| waiting.count as f64));
        metrics.set_family(Metric::OutboxOldest, by_channel(age));
        let endpoints: Vec<(String, Waiting)> =
            endpoints.into_iter().map(|(id, waiting)| (id.to_string(), waiting)).collect();
        let by_endpoint = |value: fn(&Waiting, Timestamp) -> f64| {
            endpoints.iter().map(move |(id, waiting)| (id.as_str(), value(waiting, now)))
        };
        metrics.set_family(Metric::EventsQueued, by_endpoint(|waiting, _| waiting.count as f64));
        metrics.set_family(Metric::EventsOldest, by_endpoint(age));
        metrics.set(Metric::HttpCallsQueued, &[], http_calls as f64);
        Ok(())
    }
}

/// Seconds that the oldest of a queue has waited; 0 if there is none.
fn age(waiting: &Waiting, now: Timestamp) -> f64 {
    waiting.oldest.map_or(0.0, |oldest| seconds_since(oldest, now))
}

/// Seconds from `at` to `now`; 0 if it is still to come.
pub(super) fn seconds_since(at: Timestamp, now: Timestamp) -> f64 {
    now.since(at).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_stands_for_a_second_or_fifty_times_as_long_as_it_took() {
        let at = Instant::now();
        let later = |seconds| at + Duration::from_secs_f64(seconds);
        let short = Reading { at, took: Duration::from_millis(1) };
        assert!(short.stands(later(0.9)) && !short.stands(later(1.1)));
        let long = Reading { at, took: Duration::from_millis(100) };
        assert!(long.stands(later(4.9)) && !long.stands(later(5.1)));
    }
}
