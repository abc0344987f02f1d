//! The registry of metrics: what `/metrics` shows, and what the dashboard, the alerts and the documents may name.
//!
//! Names are in Prometheus's style: seconds and bytes, `_total` for what only grows. A label has few values: ids of
//! contacts, sessions and messages are never labels, and neither is anything that a stranger can make up.

/// What a metric is, and how it moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// It only grows while the process runs.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Observations by size, with the upper bounds of the buckets in their order.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The word in Prometheus's text format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Upper bounds in seconds of what takes a request or a disk.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Upper bounds of the number of jobs in a commit.
const JOBS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

macro_rules! registry {
    ($($metric:ident = $kind:expr, $name:literal $labels:tt, $help:literal;)+) => {
        /// A metric of the server.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Metric {
            $(#[doc = $help] $metric,)+
        }

        impl Metric {
            /// All of them, in the order of the registry.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$metric),+];

            /// Its name in Prometheus.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$metric => $name,)+
                }
            }

            /// What it is.
            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$metric => $kind,)+
                }
            }

            /// The names of its labels.
            pub const fn labels(self) -> &'static [&'static str] {
                match self {
                    $(Self::$metric => &$labels,)+
                }
            }

            /// One sentence on what it says.
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$metric => $help,)+
                }
            }
        }
    };
}

use Kind::{Counter, Gauge, Histogram};

registry! {
    BuildInfo = Gauge, "qyvo_build_info" ["version"], "1, with the version of the program.";
    Uptime = Gauge, "qyvo_uptime_seconds" [], "Time since the server started.";
    Ready = Gauge, "qyvo_ready" [], "1 while the server takes writes, as /readyz has it; else 0.";
    Degraded = Gauge, "qyvo_degraded" ["reason"], "1 while /readyz gives this reason for being degraded; else 0.";
    ResidentMemory = Gauge, "qyvo_process_resident_memory_bytes" [], "Memory that the process has in use (Linux).";
    OpenDescriptors = Gauge, "qyvo_process_open_fds" [], "File descriptors that the process has open (Linux).";
    MaxDescriptors = Gauge, "qyvo_process_max_fds" [], "File descriptors that the process may have open (Linux).";

    HttpRequests = Counter, "qyvo_http_requests_total" ["route", "method", "status"],
        "Requests that were answered, by the pattern of their route.";
    HttpDuration = Histogram(SECONDS), "qyvo_http_request_duration_seconds" ["route", "method"],
        "Time from a request's head to the head of its answer.";

    DatabaseBytes = Gauge, "qyvo_database_size_bytes" [], "Size of the database file.";
    LogBytes = Gauge, "qyvo_database_log_bytes" [], "Size of the write-ahead log beside the database file.";
    GrowthBytes = Gauge, "qyvo_database_growth_bytes_per_day" [],
        "By how much the database has grown a day within the last week; 0 until it was observed for a day.";
    FreeBytes = Gauge, "qyvo_disk_free_bytes" [], "Free space on the disk of the database.";
    MinFreeBytes = Gauge, "qyvo_disk_min_free_bytes" [],
        "Free space, beside the size of the log, below which new work is refused (storage.min_free).";
    RoomLevel = Gauge, "qyvo_disk_room_level" [],
        "Which writes the free space lets in: 2 all, 1 nothing new, 0 only what is essential.";
    DatabaseReadable = Gauge, "qyvo_database_readable" [],
        "1 if the values that come from the database could be read for this scrape; 0 leaves them as they were.";

    WriterQueue = Gauge, "qyvo_writer_queue_jobs" [], "Jobs that wait for the writer.";
    WriterQueueLimit = Gauge, "qyvo_writer_queue_limit_jobs" [], "Jobs that may wait; one more is refused.";
    WriterBatch = Histogram(JOBS), "qyvo_writer_batch_jobs" [], "Jobs in a commit.";
    WriterCommit = Histogram(SECONDS), "qyvo_writer_commit_duration_seconds" [],
        "Time of a COMMIT, with its fsync.";
    WriterCheckpoint = Histogram(SECONDS), "qyvo_writer_checkpoint_duration_seconds" [],
        "Time of writing the log into the database file.";
    WriterRefused = Counter, "qyvo_writer_refused_jobs_total" ["reason"], "Jobs that were not written, by reason.";

    TimersFired = Counter, "qyvo_timers_fired_total" [], "Timers of sessions that the sweeper fired.";
    TimerLag = Gauge, "qyvo_timer_lag_seconds" [], "How late the sweeper settled the last session that was due.";
    TimersOverdue = Gauge, "qyvo_timers_overdue_seconds" [],
        "How long the oldest timer that has not fired has been due; 0 if none is.";

    SessionsRunning = Gauge, "qyvo_sessions_running" [], "Sessions that run now.";
    SessionsStarted = Counter, "qyvo_sessions_started_total" [], "Sessions that began, since the database was made.";
    SessionsEnded = Counter, "qyvo_sessions_ended_total" ["status"],
        "Sessions that ended, since the database was made, by how.";
    FlowsPublished = Gauge, "qyvo_flows_published" ["kind"], "Flows and sequences that are published.";

    OutboxQueued = Gauge, "qyvo_outbox_queued_messages" ["channel"],
        "Messages that wait to go out; of more than 100,000 so many are counted.";
    OutboxOldest = Gauge, "qyvo_outbox_oldest_queued_seconds" ["channel"],
        "Age of the oldest message whose turn it is and that has not gone out; 0 if there is none.";
    OutboxSends = Counter, "qyvo_outbox_sends_total" ["channel", "outcome"],
        "Messages handed to the channel: accepted, refused, or ambiguous where no conclusive answer came.";
    OutboxRefusals = Counter, "qyvo_outbox_refusals_total" ["channel", "code"],
        "Messages that the channel refused, by its code; the rarer of more than 50 codes are `other`.";
    ChannelPaused = Gauge, "qyvo_channel_paused" ["channel"], "1 while the channel is paused; else 0.";
    ChannelBackingOff = Gauge, "qyvo_channel_backing_off" ["channel"],
        "1 while the channel is left alone for a time because it takes nothing; else 0.";

    EventsQueued = Gauge, "qyvo_webhook_events_queued" ["endpoint"],
        "Events that wait for a webhook endpoint; of more than 100,000 so many are counted.";
    EventsOldest = Gauge, "qyvo_webhook_events_oldest_seconds" ["endpoint"],
        "Age of the oldest event that an endpoint has not taken; 0 if there is none.";
    EventsDelivered = Counter, "qyvo_webhook_events_delivered_total" ["endpoint"], "Events that an endpoint took.";
    EventAttemptsFailed = Counter, "qyvo_webhook_attempts_failed_total" ["endpoint"],
        "Attempts at an endpoint that failed.";
    EventsGivenUp = Counter, "qyvo_webhook_events_given_up_total" ["endpoint"],
        "Events that will not be tried again.";

    HttpCalls = Counter, "qyvo_http_calls_total" ["outcome"],
        "Attempts at HTTP calls of flows, by the class of the answer's status; unanswered if none came.";
    HttpCallsQueued = Gauge, "qyvo_http_calls_queued" [], "HTTP calls of flows that wait for an attempt.";

    BackupLastSuccess = Gauge, "qyvo_backup_last_success_timestamp_seconds" [],
        "When the last backup succeeded, in seconds since 1970; 0 if none has.";
    BackupInterval = Gauge, "qyvo_backup_interval_seconds" [], "Time between two backups; 0 while they are off.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let names: HashSet<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len(), "each name stands once");
        for metric in Metric::ALL {
            let name = metric.name();
            assert!(name.starts_with("qyvo_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind() == Counter, "{name}");
            let taken = ["_bucket", "_count", "_sum", "_milliseconds", "_minutes", "_kilobytes"];
            assert!(!taken.iter().any(|ending| name.ends_with(ending)), "{name}");
            assert!(metric.help().ends_with('.'), "{name}");
            if let Histogram(bounds) = metric.kind() {
                assert!(bounds.is_sorted_by(|a, b| a < b), "{name}");
            }
        }
    }
}
