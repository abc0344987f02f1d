//! Housekeeping, once a minute: erasures that were interrupted go on, and rows that were kept for long enough go.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::erasure;
use crate::domain::CounterName;
use crate::error::Result;
use crate::runtime::job::idempotent::KEY_LIFETIME;
use crate::runtime::{Runtime, log_failure};
use crate::store::erasure::REDELIVERY;
use crate::store::{
    Counter, Tx, WriteClass, audit, channels, idempotency, logins, tombstones, unprocessed_deliveries, webhooks,
};

/// Old rows that are removed in one job.
const ROWS_PER_JOB: u32 = 1_000;
/// How long deliveries to webhook endpoints stay visible unless it is configured.
const DELIVERIES_KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long wrong guesses at the admin page's password count.
const GUESSES_KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long parts of deliveries are kept that nothing took.
const UNPROCESSED_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// The periodic clean-up: erasures that were interrupted go on, and rows that have been kept for long enough are
/// deleted.
pub(in crate::runtime) async fn tidy(runtime: &Runtime) -> Result<()> {
    let now = runtime.clock().now();
    let (keys_before, tombstones_before) = (now.minus(KEY_LIFETIME), now.minus(REDELIVERY));
    let told_before = now.minus(match runtime.shared().options.retention.deliveries {
        Duration::ZERO => DELIVERIES_KEPT,
        kept => kept,
    });
    let guesses_before = now.minus(GUESSES_KEPT);
    let unprocessed_before = now.minus(UNPROCESSED_KEPT);
    let audit_before = now.minus(runtime.shared().options.retention.audit);
    // None of them waits for another: an erasure that cannot go on must not stop the deletion of old rows.
    let parts = [
        erasure::resume(runtime).await,
        erasure::clear_page_residue(runtime).await.map(|_| ()),
        prune(runtime, move |tx| idempotency::prune(tx, keys_before, ROWS_PER_JOB)).await,
        prune(runtime, move |tx| tombstones::prune(tx, tombstones_before, ROWS_PER_JOB)).await,
        prune(runtime, move |tx| unprocessed_deliveries::prune(tx, unprocessed_before, ROWS_PER_JOB)).await,
        prune(runtime, move |tx| webhooks::prune(tx, told_before, ROWS_PER_JOB)).await,
        runtime.store().write_as(WriteClass::Essential, move |tx| logins::prune(tx, now, guesses_before)).await,
        runtime.release_stuck_messages().await,
        count_growth(runtime).await,
        prune(runtime, move |tx| audit::prune(tx, audit_before, ROWS_PER_JOB)).await,
        prune(runtime, move |tx| channels::prune_pair_clocks(tx, now, ROWS_PER_JOB)).await,
    ];
    let mut errors = parts.into_iter().filter_map(Result::err);
    let first = errors.next();
    for error in errors {
        log_failure(runtime, &error, "another part of tidying up failed as well; it is tried again");
    }
    first.map_or(Ok(()), Err)
}

/// Counts by how much the database file has grown since the last time, for those who ask when the disk will be full. A
/// file that `qyvo compact` has made smaller meanwhile is where it begins.
async fn count_growth(runtime: &Runtime) -> Result<()> {
    let bytes = i64::try_from(runtime.store().disk()?.database).unwrap_or(i64::MAX);
    let last = runtime.inner.database_bytes.swap(bytes, Ordering::Relaxed);
    if last == 0 || last == bytes {
        return Ok(());
    }
    let hour = Counter::hour_of(runtime.clock().now());
    let grown = Counter { hour, ..Counter::of(CounterName::DatabaseGrown) };
    runtime
        .store()
        .write_as(WriteClass::Essential, move |tx| {
            tx.count(grown.clone(), bytes - last);
            Ok(())
        })
        .await
}

/// Runs a job that removes old rows until there are none.
async fn prune(runtime: &Runtime, job: impl Fn(&Tx<'_>) -> Result<usize> + Copy + Send + 'static) -> Result<()> {
    while runtime.store().write_as(WriteClass::Essential, job).await? > 0 {}
    Ok(())
}
