//! The outbox: messages go out after the commit that enqueues them, in order, at least once.
//!
//! A message is a row that a turn inserts. It stands in a lane, one for each channel and contact, and only the head of
//! a lane goes out; lanes do not wait for each other. A worker claims heads (one job decides on many and marks them),
//! hands them to the channel, many at a time, and records each answer in a job of its own. State is exactly-once; a
//! message goes out at least once, always under the same id:
//!
//! | the process dies | then |
//! |---|---|
//! | before the claim is committed (`outbox.before_claim`) | it is still queued and goes out after the restart |
//! | after the claim, before it is sent (`outbox.after_claim`) | not sent; it is `unknown` after the restart |
//! | after it was sent (`outbox.after_send`) | sent; it is `unknown` after the restart |
//! | before the answer is committed (`outbox.before_record`) | the same, and the channel's id of it is lost as well |
//!
//! A message that is `unknown` holds its lane for [`Options::unknown_after`](super::Options::unknown_after). If a
//! status of the channel comes meanwhile (our id goes out with the message and comes back), that settles it. Else
//! [`Resend`](crate::domain::Resend) decides: it goes out again, and the person may have it twice (if no answer ever
//! comes, once for each of eight attempts), or it counts as accepted, and the person may not have it at all. It also
//! counts as accepted after eight attempts, or where another channel has come into force. Nothing else is ever lost or
//! doubled: a refusal is recorded before the lane goes on.
//!
//! A message that is refused for a reason that may pass has eight tries, which count while the channel takes others;
//! the head of `breaker` describes how an outage, which costs no tries, is recognized.
//!
//! Debug builds abort at the point that the environment variable `QYVO_CRASH_AT` names, and stand still at the one that
//! `QYVO_STAND_AT` names, so that a test can kill them there; `outbox.after_send:3` is the third time that it is
//! passed.

mod breaker;
mod channel;
mod claim;
pub(super) mod delivery_wait;
mod pace;
mod progress;
mod record;
mod refused;
mod retry;

use std::future::Future;
#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::Runtime;
use super::commands::end_sessions::end_sessions;
use super::job::access::Access;
use super::templates::TemplateSync;
use crate::channels::http;
use crate::channels::outgoing::{Refusal, Sent};
use crate::domain::{MessageId, Reason, Timestamp};
use crate::error::{Code, Error, Result};
use crate::metrics::{Metric, Metrics};
use crate::store::{channels as stored_channels, outbox as stored};
use breaker::{AttemptRef, Breaker, MAX_IN_FLIGHT};
use claim::{Attempt, Claim, Claimed, LEASE};
use pace::NumberPace;
use record::{Decide, Expire, Record, Recorded, Recover};
use refused::AfterRefusal;

pub use channel::{ChannelState, why_it_waits};
pub use progress::ProgressOutcome;
pub use retry::{FailedFor, Retried, RetriedAll, Skipped};

/// Interval at which due messages are looked for without a wake-up.
const POLL: Duration = Duration::from_secs(1);
/// The same while the channel is paused.
const POLL_PAUSED: Duration = Duration::from_secs(5);
/// How long to wait after a round that failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// How long messages under way have to come back when the server stops: as long as the channel may take to answer, and
/// a moment to record it. A message that is cut off is in doubt, and a text in doubt may go out twice.
const GRACE: Duration = http::TOTAL_TIMEOUT.saturating_add(Duration::from_secs(2));
/// How long to wait before recording is tried again, at first and at the most.
const RECORD_AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// What can come of handing a message to the channel, as metrics name it.
const OUTCOMES: [&str; 3] = ["accepted", "refused", "ambiguous"];
/// Rounds that one call of [`Runtime::run_outbox_once`] makes at the most.
const ROUNDS: usize = 100_000;

/// What the outbox keeps in memory. All of it may be lost.
#[derive(Debug)]
pub(super) struct Outbox {
    pace: NumberPace,
    breaker: Breaker,
    /// Whether the outbox was brought into order since the start. Held while it is, and while messages are claimed.
    in_order: Mutex<bool>,
}

impl Outbox {
    pub(super) fn new(messages_per_second: u32) -> Self {
        Self { pace: NumberPace::new(messages_per_second), breaker: Breaker::default(), in_order: Mutex::default() }
    }

    /// Forgets what it knows of a message that will not be tried again, once that is committed.
    pub(super) fn forget_head(&self, contact_seq: i64, id: MessageId) {
        self.breaker.forget_head(contact_seq, id);
    }
}

/// A batch of messages that were claimed together.
struct Batch {
    claimed: Claimed,
    /// Of the breaker.
    round: u64,
}

impl Runtime {
    /// Sends what can go out now, and waits until the answers are recorded. Returns how many messages were handed to
    /// the channel.
    ///
    /// # Errors
    /// As [`Runtime::handle`].
    pub async fn run_outbox_once(&self) -> Result<usize> {
        let mut handed_over = 0;
        if self.clock().listens_for().is_some() {
            return Ok(handed_over);
        }
        for _ in 0..ROUNDS {
            recover_after_start(self).await?;
            decide_doubts(self).await?;
            let batch = claim(self, 0).await?;
            if batch.claimed.attempts.is_empty() && !batch.claimed.may_be_more {
                // What waits for the templates goes on if they come now.
                if let Some(TemplateSync::Done(_)) = self.fetch_awaited_templates().await? {
                    continue;
                }
                break;
            }
            handed_over += batch.claimed.attempts.len();
            let mut flights = JoinSet::new();
            launch(self, batch, &mut flights);
            while let Some(landed) = flights.join_next().await {
                log_panic(landed);
            }
        }
        Ok(handed_over)
    }

    /// Uses a channel again at once that is held back.
    fn close_breaker(&self) {
        self.inner.outbox.breaker.close();
        self.wake_outbox();
    }

    /// Records a refusal that came in a status and not as an answer.
    fn record_late_refusal(&self, refusal: &Refusal, contact_seq: i64, id: MessageId) {
        self.inner.outbox.breaker.record_late_refusal(refusal, contact_seq, id, self.clock().now());
        self.wake_outbox();
    }

    /// Sends messages until `stop` is done, as soon as they are queued and may go out; then waits for what is under
    /// way, for 32 seconds at the most. While the clock is moved by hand it leaves that to
    /// [`Runtime::run_outbox_once`].
    pub async fn run_outbox(&self, stop: impl Future<Output = ()>) {
        run(self, stop).await;
    }

    /// Counts messages that came in against the number's limit, which is for both directions together.
    pub fn count_inbound(&self, messages: u32) {
        if is_paced(self) {
            self.inner.outbox.pace.count(messages, self.clock().now());
        }
    }

    /// Releases heads of lanes that were never released, of which there should be none, and fails messages that have
    /// waited for too long for a channel that is not in use.
    ///
    /// # Errors
    /// When the database cannot be read or takes no writes.
    pub(super) async fn release_stuck_messages(&self) -> Result<()> {
        expire_elsewhere(self).await?;
        let name = self.channel().name();
        if self.store().query_vital(move |conn| stored::parked_heads(conn, name, 1)).await?.is_empty() {
            return Ok(());
        }
        let now = self.clock().now();
        let released = self.store().write(move |tx| stored::release_all(tx, name, now)).await?;
        tracing::debug!(released, "messages go on that waited for one that is gone");
        self.wake_outbox();
        Ok(())
    }
}

async fn run(runtime: &Runtime, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    if runtime.clock().is_by_hand() {
        return stop.await;
    }
    let mut flights = JoinSet::new();
    loop {
        // Register for the wake-up before looking: a message that is queued in between is then not slept through.
        let mut woken = std::pin::pin!(runtime.shared().signals.messages.notified());
        woken.as_mut().enable();
        while let Some(landed) = flights.try_join_next() {
            log_panic(landed);
        }
        let pause = match round(runtime, &mut flights).await {
            Ok(pause) => pause,
            Err(error) => {
                super::log_failure(runtime, &error, "messages could not be claimed; it is tried again");
                AFTER_ERROR
            }
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(landed) = flights.join_next() => log_panic(landed),
            () = woken => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    let landing = async {
        while let Some(landed) = flights.join_next().await {
            log_panic(landed);
        }
    };
    if tokio::time::timeout(GRACE, landing).await.is_err() {
        tracing::warn!("messages are still under way to the channel; the next start decides on them");
    }
}

/// Claims what may go out and launches it. Returns how long there is nothing to do but to be woken.
async fn round(runtime: &Runtime, flights: &mut JoinSet<()>) -> Result<Duration> {
    // Messages and statuses that came while the process stood still may confirm a delivery, or opt out.
    if let Some(listening) = runtime.clock().listens_for() {
        return Ok(listening);
    }
    if flights.len() >= MAX_IN_FLIGHT as usize {
        // The next that lands makes room.
        return Ok(POLL);
    }
    recover_after_start(runtime).await?;
    let name = runtime.channel().name();
    let (next, is_paused) = runtime
        .store()
        .query_vital(move |conn| {
            let channel = stored_channels::find(conn, name)?;
            Ok((stored::next_due(conn, name)?, channel.is_some_and(|channel| channel.paused_at.is_some())))
        })
        .await?;
    let now = runtime.clock().now();
    let abandoned_at = next.sending_since.map(|since| since.plus(LEASE));
    if [next.doubt, abandoned_at].into_iter().flatten().any(|at| at <= now) && decide_doubts(runtime).await? > 0 {
        return Ok(Duration::ZERO);
    }
    let mut wake_at = [next.doubt, abandoned_at].into_iter().flatten().min();
    let mut sooner = |at: Option<Timestamp>| wake_at = [wake_at, at].into_iter().flatten().min();
    let (slots, _) = runtime.inner.outbox.breaker.slots(now, flights.len());
    let poll = match (is_paused, runtime.inner.outbox.breaker.open_until(now)) {
        (true, _) => POLL_PAUSED,
        (false, Some(until)) => {
            sooner(Some(until));
            POLL
        }
        (false, None) => {
            match next.queued {
                Some(at) if at <= now && slots > 0 => {
                    let batch = claim(runtime, flights.len()).await?;
                    sooner(batch.claimed.paced_until);
                    // The claimed messages are not due any more, and a message behind them wakes the worker when it may
                    // go out.
                    let goes_on = batch.claimed.may_be_more
                        || (!batch.claimed.attempts.is_empty() && batch.claimed.paced_until.is_none());
                    launch(runtime, batch, flights);
                    if goes_on && runtime.inner.outbox.breaker.slots(now, flights.len()).0 > 0 {
                        return Ok(Duration::ZERO);
                    }
                }
                Some(at) if at > now => sooner(Some(at)),
                // There is no slot: the next that lands frees one.
                _ => {}
            }
            POLL
        }
    };
    Ok(wake_at.map_or(poll, |at| at.since(now).clamp(Duration::from_millis(1), poll)))
}

/// Does once after the start what a stop or a crash has left to do.
async fn recover_after_start(runtime: &Runtime) -> Result<()> {
    let mut in_order = runtime.inner.outbox.in_order.lock().await;
    if !*in_order {
        let doubtful = runtime.handle(Recover).await?;
        if doubtful > 0 {
            tracing::warn!(
                doubtful,
                "messages were under way when the server stopped: nobody can tell whether they arrived"
            );
        }
        expire_elsewhere(runtime).await?;
        channel::use_credentials(runtime).await?;
        *in_order = true;
    }
    Ok(())
}

/// Fails what is queued for other channels and is too old.
async fn expire_elsewhere(runtime: &Runtime) -> Result<()> {
    let (name, now) = (runtime.channel().name(), runtime.clock().now());
    while !runtime.store().query_vital(move |conn| stored::too_old_elsewhere(conn, name, now, 1)).await?.is_empty() {
        let log =
            |error: &_| tracing::error!(%error, "messages for another channel are dropped without their sessions");
        runtime.handle_degraded(|access| Expire { access }, log).await?;
    }
    Ok(())
}

async fn decide_doubts(runtime: &Runtime) -> Result<usize> {
    let mut all = 0;
    loop {
        let log = |error: &_| tracing::error!(%error, "messages in doubt are decided on without their sessions");
        let decided = runtime.handle_degraded(|access| Decide { access }, log).await?;
        all += decided;
        if decided == 0 {
            return Ok(all);
        }
    }
}

async fn claim(runtime: &Runtime, in_flight: usize) -> Result<Batch> {
    crash_point("outbox.before_claim");
    let outbox = &runtime.inner.outbox;
    // One claim at a time, so that a probe is alone and the number's pace is counted once.
    let _claiming = outbox.in_order.lock().await;
    let now = runtime.clock().now();
    let (mut limit, round) = outbox.breaker.slots(now, in_flight);
    let mut paced_until = None;
    if is_paced(runtime) {
        // No more is decided on than may go out.
        let (available, again_at) = outbox.pace.available(now);
        limit = limit.min(available);
        paced_until = (available == 0).then_some(again_at);
    }
    if limit == 0 {
        return Ok(Batch { claimed: Claimed { paced_until, ..Claimed::default() }, round });
    }
    let mut claimed = claim_up_to(runtime, limit).await?;
    outbox.pace.count(claimed.taken, runtime.clock().now());
    // After a probe there is more only if it is answered.
    claimed.may_be_more &= claimed.attempts.is_empty() || !outbox.breaker.is_tripped();
    if !claimed.attempts.is_empty() {
        crash_point("outbox.after_claim");
    }
    Ok(Batch { claimed, round })
}

/// Runs a claim. When something in it cannot be read, messages are claimed one by one, and the one that it is about
/// without its session.
async fn claim_up_to(runtime: &Runtime, limit: u32) -> Result<Claimed> {
    let claim = |limit, access| Claim { limit, outbox: runtime.inner.outbox.clone(), access };
    match runtime.handle(claim(limit, Access::Full)).await {
        Err(error) if Access::Full.degrades_by(&error) => log_unclaimed(&error, limit),
        other => return other,
    }
    runtime.handle_degraded(|access| claim(1, access), |error| log_unclaimed(error, 1)).await
}

fn log_unclaimed(error: &Error, limit: u32) {
    tracing::error!(%error, limit, "messages could not be claimed");
}

fn launch(runtime: &Runtime, batch: Batch, flights: &mut JoinSet<()>) {
    let round = batch.round;
    for attempt in batch.claimed.attempts {
        let runtime = runtime.clone();
        flights.spawn(async move { deliver(&runtime, &attempt, round).await });
    }
}

/// Hands a message to the channel and records the result.
async fn deliver(runtime: &Runtime, attempt: &Attempt, round: u64) {
    let sent = runtime.channel().send(&attempt.message).await;
    count_sent(runtime, &sent);
    crash_point("outbox.after_send");
    record(runtime, attempt, sent, round).await;
}

/// Has the counts of a channel begin at 0, so that the first of an outcome is seen as one more.
pub(super) fn count_from_zero(metrics: &Metrics, channel: &str) {
    OUTCOMES.into_iter().for_each(|outcome| metrics.add(Metric::OutboxSends, &[channel, outcome], 0));
}

/// Counts the result of an attempt, by the channel and by the code of a refusal.
fn count_sent(runtime: &Runtime, sent: &Sent) {
    let (metrics, channel) = (runtime.metrics(), runtime.channel().name());
    let [accepted, refused, ambiguous] = OUTCOMES;
    let outcome = match sent {
        Sent::Accepted { .. } => accepted,
        Sent::Refused(_) => refused,
        Sent::Ambiguous { .. } => ambiguous,
    };
    metrics.add(Metric::OutboxSends, &[channel, outcome], 1);
    if let Sent::Refused(refusal) = sent {
        metrics.add_foreign(Metric::OutboxRefusals, &[channel], &refusal.code);
    }
}

/// Records the result of an attempt. It is not dropped while the store is merely busy.
async fn record(runtime: &Runtime, attempt: &Attempt, sent: Sent, round: u64) {
    let now = runtime.clock().now();
    let outbox = &runtime.inner.outbox;
    let of = AttemptRef { id: attempt.id(), contact_seq: attempt.contact_seq, number: attempt.number, round };
    let consequence = outbox.breaker.record_result(&of, &sent, now);
    if let Some(until) = consequence.open_until {
        tracing::warn!(channel = runtime.channel().name(), %until, ?sent, "the channel is left alone for a while");
    }
    let mut record = Record {
        seq: attempt.seq,
        number: attempt.number,
        began_at: attempt.message.at,
        to: attempt.message.to.clone(),
        sent,
        retry_at: consequence.retry_at,
        is_spent: consequence.is_spent,
        access: Access::Full,
    };
    crash_point("outbox.before_record");
    let mut pause = RECORD_AGAIN.0;
    let recorded = loop {
        match runtime.handle(record.clone()).await {
            Ok(recorded) => break recorded,
            Err(error) if record.access.degrades_by(&error) => {
                tracing::error!(message = %attempt.id(), %error, "an answer is recorded without its session");
                record.access = Access::Degraded;
            }
            Err(error) if runtime.store().is_healthy() && error.code() == Code::Unavailable => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RECORD_AGAIN.1);
            }
            Err(error) => {
                tracing::error!(message = %attempt.id(), %error, sent = ?record.sent,
                    "an answer of the channel is lost");
                return;
            }
        }
    };
    if let Recorded::Refused(AfterRefusal::OptedOut { contact_seq, is_ending: true }) = recorded
        && let Err(error) = end_sessions(runtime, contact_seq, Reason::OptedOut).await
    {
        tracing::error!(contact_seq, %error, "not all sessions of somebody who opted out have ended");
    }
    // A message that is queued again, and the one behind it, may go out in the next round.
    runtime.wake_outbox();
}

fn is_paced(runtime: &Runtime) -> bool {
    runtime.channel().kind().is_paced()
}

fn log_panic(landed: std::result::Result<(), tokio::task::JoinError>) {
    if let Err(error) = landed {
        tracing::error!(%error, "sending a message panicked");
    }
}

/// Ends the process, or stops it until it is killed, where a test checks what a crash leaves behind.
#[cfg(debug_assertions)]
fn crash_point(name: &str) {
    static PASSED_TO_CRASH: AtomicU32 = AtomicU32::new(0);
    static PASSED_TO_STAND: AtomicU32 = AtomicU32::new(0);
    if is_meant("QYVO_CRASH_AT", name, &PASSED_TO_CRASH) {
        std::process::abort();
    }
    if is_meant("QYVO_STAND_AT", name, &PASSED_TO_STAND) {
        tracing::warn!(point = name, "the process stands until it is killed");
        loop {
            std::thread::park();
        }
    }
}

/// Whether a variable names this point and this time that it is passed.
#[cfg(debug_assertions)]
fn is_meant(variable: &str, name: &str, passed: &AtomicU32) -> bool {
    let Ok(wanted) = std::env::var(variable) else { return false };
    let (point, time) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    point == name && time.parse() == Ok(passed.fetch_add(1, Ordering::Relaxed) + 1)
}

#[cfg(not(debug_assertions))]
fn crash_point(_name: &str) {}

#[cfg(test)]
mod tests;
