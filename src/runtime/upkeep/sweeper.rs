//! The sweeper: fires timers of sessions that no request has settled.
//!
//! Correctness does not depend on it: any request for an overdue session settles it first, so the sweeper's lag is
//! never visible.

use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::domain::Timestamp;
use crate::error::{Code, Error, Result};
use crate::metrics::Metric;
use crate::runtime::clock::BEAT;
use crate::runtime::job::access::Access;
use crate::runtime::job::{Deferred, Job};
use crate::runtime::upkeep::gauges::seconds_since;
use crate::runtime::{Clock, Command, Runtime, log_failure};
use crate::store::{contacts, sessions};

/// Jobs of the sweeper that are in the writer's queue at once, so that it never starves triggers.
const QUEUED_AT_MOST: usize = 64;
/// How often the database is tidied up.
const TIDY_INTERVAL: Duration = Duration::from_secs(60);
/// How long to wait at least after a round that failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Settles one session if it is due.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    /// The session's row.
    pub session_seq: i64,
}

/// The outcome of a [`Due`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fired {
    /// So many timers fired.
    Timers(usize),
    /// A reply has arrived that may precede the timer: its own job decides.
    LeftToReply,
    /// It was not due any more.
    NotDue,
}

impl Command for Due {
    type Outcome = Fired;

    fn run(&self, job: &Job<'_>) -> Result<Fired, Deferred> {
        let Some(stored) = sessions::find_by_seq(job.tx(), self.session_seq)? else { return Ok(Fired::NotDue) };
        match stored.session.due_at() {
            Some(due_at) if due_at > job.now() => return Ok(Fired::NotDue),
            Some(due_at) if !job.may_fire(due_at) => return Ok(Fired::LeftToReply),
            Some(_) => {}
            None => return Ok(Fired::NotDue),
        }
        let contact = contacts::find_by_seq(job.tx(), stored.contact_seq)?
            .ok_or_else(|| Error::internal(format!("Session {} has no contact", stored.session.id)))?;
        let mut loaded = job.load(stored, contact)?;
        Ok(Fired::Timers(job.fire_due(&mut loaded, job.now())?))
    }
}

pub(in crate::runtime) async fn run_due(runtime: &Runtime) -> Result<usize> {
    let mut fired = 0;
    loop {
        let now = runtime.clock().timer_cutoff();
        let limit = u32::try_from(QUEUED_AT_MOST).unwrap_or(u32::MAX);
        let due = runtime.store().query_vital(move |conn| sessions::due(conn, now, limit)).await?;
        let is_last = due.len() < QUEUED_AT_MOST;
        // Submitted in due order, and the writer's queue keeps it.
        let jobs: Vec<_> = due.iter().map(|(seq, due_at)| (*seq, *due_at, spawn(runtime, *seq))).collect();
        let mut progressed = false;
        for (seq, due_at, job) in jobs {
            match job.await.unwrap_or_else(|error| Err(Error::internal("A timer's job panicked").caused_by(error))) {
                Ok(Fired::Timers(timers)) => {
                    fired += timers;
                    let metrics = runtime.metrics();
                    metrics.add(Metric::TimersFired, &[], timers as u64);
                    metrics.set(Metric::TimerLag, &[], seconds_since(due_at, runtime.clock().now()));
                    progressed = true;
                }
                Ok(Fired::LeftToReply | Fired::NotDue) => {}
                Err(error) => progressed |= give_up(runtime, seq, error).await?,
            }
        }
        // Without progress the rest is left to replies under way, or to the next round.
        if is_last || !progressed {
            return Ok(fired);
        }
    }
}

fn spawn(runtime: &Runtime, session_seq: i64) -> JoinHandle<Result<Fired>> {
    let runtime = runtime.clone();
    tokio::spawn(async move { runtime.handle(Due { session_seq }).await })
}

/// Ends a session that cannot be stepped, so that it never stops the others. It gets a second try by itself first.
/// Returns whether it was dealt with; while the store takes no writes the session is left as it is.
async fn give_up(runtime: &Runtime, session_seq: i64, error: Error) -> Result<bool> {
    if error.code() != Code::Internal {
        return Err(error);
    }
    let log = |error: &_| {
        tracing::error!(session_seq, %error, "a timer could not be fired; its session is marked as failed");
    };
    runtime.handle_degraded(|access| Settle { session_seq, access }, log).await
}

/// Settles one session if it is due, or with degraded access marks it as failed. The outcome is whether it was dealt
/// with.
struct Settle {
    session_seq: i64,
    access: Access,
}

impl Command for Settle {
    type Outcome = bool;

    fn run(&self, job: &Job<'_>) -> Result<bool, Deferred> {
        match self.access {
            Access::Full => Ok(matches!(Due { session_seq: self.session_seq }.run(job)?, Fired::Timers(_))),
            Access::Degraded => Ok(job.give_up(self.session_seq)?),
        }
    }
}

/// What the sweeper shares with jobs that arm timers.
pub(in crate::runtime) struct SweepPlan {
    /// Notified when a timer is armed that falls due before `planned`.
    woken: Notify,
    /// When the sweeper wakes next, in milliseconds since the Unix epoch.
    planned: AtomicI64,
}

impl Default for SweepPlan {
    fn default() -> Self {
        Self { woken: Notify::new(), planned: AtomicI64::new(i64::MAX) }
    }
}

impl SweepPlan {
    /// Wakes the sweeper for a timer that falls due before it would wake by itself.
    pub(in crate::runtime) fn wake_for(&self, due_at: Timestamp) {
        if due_at < Timestamp::from_millis(self.planned.load(Ordering::SeqCst)) {
            self.woken.notify_one();
        }
    }
}

pub(in crate::runtime) async fn run(runtime: &Runtime, interval: Duration, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let mut tidied_at: Option<Timestamp> = None;
    let mut tidying: Option<JoinHandle<()>> = None;
    let _pulse = Pulse::start(runtime.clock().clone());
    loop {
        // Register for the wake-up before looking: a timer armed in between is then not slept through.
        let woken = runtime.inner.sweeper.woken.notified();
        let round = async {
            // Whatever is armed from here on rings.
            runtime.inner.sweeper.planned.store(i64::MAX, Ordering::SeqCst);
            let swept = runtime.run_due().await;
            let now = runtime.clock().now();
            if tidied_at.is_none_or(|at| now.since(at) >= TIDY_INTERVAL) {
                tidied_at = Some(now);
                // In a task of its own: an erasure may take a while, and timers must not wait for it.
                if tidying.as_ref().is_none_or(JoinHandle::is_finished) {
                    let runtime = runtime.clone();
                    tidying = Some(tokio::spawn(async move {
                        if let Err(error) = runtime.tidy().await {
                            log_failure(&runtime, &error, "the database could not be tidied up; it is tried again");
                        }
                    }));
                }
            }
            match swept {
                Ok(_) => pause(runtime, interval).await,
                Err(error) => {
                    log_failure(runtime, &error, "timers could not be fired; they are tried again");
                    interval.max(AFTER_ERROR)
                }
            }
        };
        let pause = tokio::select! {
            () = &mut stop => return,
            pause = round => pause,
        };
        tokio::select! {
            () = &mut stop => return,
            () = woken => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Shows that the process runs for as long as it is kept, so that the clock notices when it stood still.
struct Pulse(Option<JoinHandle<()>>);

impl Pulse {
    fn start(clock: Clock) -> Self {
        if clock.is_by_hand() {
            return Self(None);
        }
        Self(Some(tokio::spawn(async move {
            loop {
                clock.beat();
                tokio::time::sleep(BEAT).await;
            }
        })))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// How long to sleep: until the next timer, at most the interval.
async fn pause(runtime: &Runtime, interval: Duration) -> Duration {
    if runtime.clock().is_by_hand() {
        return interval;
    }
    if let Some(listening) = runtime.clock().listens_for() {
        return listening.clamp(Duration::from_millis(5), interval);
    }
    let now = runtime.clock().now();
    let next = runtime.store().query_vital(sessions::next_due).await.ok().flatten();
    let pause = next.map_or(interval, |due_at| due_at.since(now).clamp(Duration::from_millis(5), interval));
    runtime.inner.sweeper.planned.store(now.plus(pause).as_millis(), Ordering::SeqCst);
    pause
}
