//! What batches of triggers take turns for.

use tokio::sync::Semaphore;

/// Bytes that a batch may have. Each of its rows has the limit of a request of its own.
pub(in crate::api) const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that the bodies of all batches may have together, those that are still on their way included. What a slow
/// caller has not sent yet takes no room.
const BYTES_AT_ONCE: usize = 3 * BATCH_BYTES;
/// Batches at once: each holds its answers in memory, at most 10,000 of a few hundred bytes. A batch that is still on
/// its way is not among them.
const BATCHES_AT_ONCE: usize = 3;
/// Rows of all batches together that stand in the writer's queue. Other writes wait for them: a few milliseconds.
/// Commits of eight times as many rows would spare the writer a third of its time, and make other writes wait much
/// longer.
pub(in crate::api) const ROWS_AT_ONCE: usize = 64;

/// What batches take turns for.
pub(crate) struct Batches {
    /// Bytes of bodies.
    pub(in crate::api) bytes: Semaphore,
    /// Batches under way.
    pub(in crate::api) batches: Semaphore,
    /// Their rows in the writer's queue.
    pub(in crate::api) rows: Semaphore,
}

impl Default for Batches {
    fn default() -> Self {
        Self {
            bytes: Semaphore::new(BYTES_AT_ONCE),
            batches: Semaphore::new(BATCHES_AT_ONCE),
            rows: Semaphore::new(ROWS_AT_ONCE),
        }
    }
}
