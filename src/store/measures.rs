//! What the store counts and measures while it writes, as handles that cost an atomic addition each.

use std::time::Instant;

use super::WriteClass;
use crate::metrics::{Counter, Histogram, Metric, Metrics};

/// Why a job was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The queue of the writer was full.
    QueueFull,
    /// The disk has no room for anything new.
    NearlyFull,
    /// The disk has no room for anything but what is essential, or SQLite found it full.
    Full,
    /// Another process kept the database locked.
    Locked,
    /// The database refused the batch.
    NotWritten,
    /// Whether it was written is not known.
    OutcomeUnknown,
    /// The store takes no writes any more.
    Stopped,
}

/// The values of the label, in the order of [`Refused`].
const REASONS: [&str; 7] =
    ["queue_full", "disk_nearly_full", "disk_full", "database_locked", "not_written", "outcome_unknown", "stopped"];

impl Refused {
    /// Why there is no room for a write.
    pub(super) const fn for_room(class: WriteClass) -> Self {
        match class {
            WriteClass::New => Self::NearlyFull,
            WriteClass::Ongoing | WriteClass::Essential => Self::Full,
        }
    }
}

/// The handles of the writer and of those who give it jobs.
pub(super) struct Measures {
    batch: Histogram,
    commit: Histogram,
    checkpoint: Histogram,
    refused: [Counter; REASONS.len()],
}

impl Measures {
    pub(super) fn of(metrics: &Metrics) -> Self {
        Self {
            batch: metrics.histogram(Metric::WriterBatch, &[]),
            commit: metrics.histogram(Metric::WriterCommit, &[]),
            checkpoint: metrics.histogram(Metric::WriterCheckpoint, &[]),
            refused: REASONS.map(|reason| metrics.counter(Metric::WriterRefused, &[reason])),
        }
    }

    /// Notes that so many jobs were not written.
    pub(super) fn refuse(&self, reason: Refused, jobs: usize) {
        self.refused[reason as usize].increment(jobs as u64);
    }

    /// Notes that a batch was committed.
    pub(super) fn committed(&self, jobs: usize) {
        self.batch.record(jobs as f64);
    }

    /// Notes how long a COMMIT took that began then.
    pub(super) fn commit_took(&self, began: Instant) {
        self.commit.record(began.elapsed());
    }

    /// Notes how long a checkpoint took that began then.
    pub(super) fn checkpoint_took(&self, began: Instant) {
        self.checkpoint.record(began.elapsed());
    }
}
