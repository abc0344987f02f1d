//! HTTP calls of flows: rows written with the turn that makes them, called outside the writer, and answered as events.
//!
//! A call is made at least once, always with the same `Idempotency-Key`. What can happen to it at each point:
//! - before its turn is committed: neither the turn nor the call is there;
//! - after that, before an attempt: it is called after a restart;
//! - during an attempt or before its answer is committed: it is called again after a restart, and the far side sees it
//!   twice under the same key;
//! - after that: its row is gone in the transaction in which the session went on.
//!
//! A session that ends or goes on by its timer deletes its call's row; the result of an attempt under way is then
//! dropped. The wait's timer is only for calls that got lost: while the row exists, and for a day at most,
//! [`Job::fire_due`] moves the timer on, so that a call that could not be made while the server was down is made after
//! the restart.

mod fetch;

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::job::access::Access;
use super::job::{Deferred, Job};
use super::{Command, Runtime, jittered, log_failure, wait_for_store};
use crate::domain::HttpCall;
use crate::engine::Event;
use crate::error::{Error, Result};
use crate::metrics::Metric;
use crate::store::http_calls::{self, Claimed};
use crate::store::{WriteClass, contacts, sessions};
use fetch::{Answer, Failure, Fetcher};

/// Calls that are claimed at once: those that go out, and those that wait for their turn in memory.
const MAX_CLAIMED: usize = 1_024;
/// Of them, those that may wait for a place at their host. More are put back, so that calls to other hosts are claimed.
const MAX_WAITING: usize = MAX_CLAIMED / 2;
/// How long one that was put back stays there.
const PUT_BACK: Duration = Duration::from_secs(3);
/// Calls that go out at once.
const MAX_CALLS: usize = 64;
/// Calls that go out at once to one host, so that a slow one leaves room for the others.
const MAX_CALLS_TO_HOST: usize = 16;
/// Hosts after which those without a call are forgotten.
const HOSTS: usize = 64;
/// Interval at which the queue is polled without a wake-up.
const POLL: Duration = Duration::from_secs(1);
/// How long the attempts under way may go on when the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// The wait after the first attempt that failed; it doubles with each.
const BACK_OFF: Duration = Duration::from_millis(500);
/// The longest wait between two attempts: a person is waiting for what comes after the call.
const BACK_OFF_AT_MOST: Duration = Duration::from_secs(8);
/// The longest that `Retry-After` is obeyed.
const RETRY_AFTER_AT_MOST: Duration = Duration::from_secs(30);
/// Where calls are made from.
pub(super) struct Calls {
    fetcher: OnceLock<Result<Fetcher, String>>,
    slots: Semaphore,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Calls that are claimed.
    claimed: AtomicUsize,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            fetcher: OnceLock::new(),
            slots: Semaphore::new(MAX_CALLS),
            hosts: Mutex::default(),
            claimed: AtomicUsize::new(0),
        }
    }
}

impl Calls {
    /// The places of a URL's host.
    fn places(&self, url: &str) -> Arc<Semaphore> {
        let host = url.parse::<Url>().ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= HOSTS {
            hosts.retain(|_, places| Arc::strong_count(places) > 1);
        }
        hosts.entry(host).or_insert_with(|| Arc::new(Semaphore::new(MAX_CALLS_TO_HOST))).clone()
    }
}

/// The answer to a call, or that there is none.
#[derive(Debug, Clone)]
struct Answered {
    seq: i64,
    session_seq: i64,
    turn: u32,
    status: u16,
    body: Value,
    /// With degraded access only the call's row goes: the timer of its wait fires then, and the sweeper deals with the
    /// session.
    access: Access,
}

/// The outcome of an [`Answered`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum AnswerHandling {
    /// The session went on with it.
    Taken,
    /// The session has ended or gone on since.
    Stale,
    /// The session cannot take it.
    Dropped,
}

impl Command for Answered {
    type Outcome = AnswerHandling;

    fn class(&self) -> WriteClass {
        if self.access.is_full() { WriteClass::Ongoing } else { WriteClass::Essential }
    }

    fn run(&self, job: &Job<'_>) -> Result<AnswerHandling, Deferred> {
        if self.access == Access::Degraded {
            http_calls::delete(job.tx(), self.seq)?;
            return Ok(AnswerHandling::Dropped);
        }
        if !http_calls::exists(job.tx(), self.seq)? {
            return Ok(AnswerHandling::Stale);
        }
        let Some(stored) = sessions::find_by_seq(job.tx(), self.session_seq)? else {
            return Ok(AnswerHandling::Stale);
        };
        job.wait_for_replies(&stored.session)?;
        let contact = contacts::find_by_seq(job.tx(), stored.contact_seq)?
            .ok_or_else(|| Error::internal(format!("Session {} has no contact", stored.session.id)))?;
        let mut loaded = job.load(stored, contact)?;
        job.fire_due(&mut loaded, job.now())?;
        let event = Event::HttpAnswered { armed_in: self.turn, status: self.status, body: self.body.clone() };
        let is_taken = loaded.is_running() && job.apply(&mut loaded, &event)?.is_none();
        http_calls::delete(job.tx(), self.seq)?;
        Ok(if is_taken { AnswerHandling::Taken } else { AnswerHandling::Stale })
    }
}

impl Runtime {
    /// Makes one attempt of every call that is due, a few at once, and of those that fall due meanwhile. Returns how
    /// many attempts there were. The worker does so by itself, except under a clock that is moved by hand.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn run_due_calls(&self) -> Result<usize> {
        let mut attempts = 0;
        let mut under_way = JoinSet::new();
        loop {
            attempts += start_some(self, &mut under_way).await?;
            if under_way.join_next().await.is_none() {
                return Ok(attempts);
            }
        }
    }

    /// Makes the calls of flows until `stop` is done. The attempts that are under way then have a few seconds to end;
    /// what they leave is called again after the next start.
    pub async fn run_calls(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        while let Err(error) = self.store().write(http_calls::release_all).await {
            log_failure(self, &error, "HTTP calls of the last run could not be released; it is tried again");
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(POLL) => {}
            }
        }
        if self.clock().is_by_hand() {
            return stop.await;
        }
        let mut under_way = JoinSet::new();
        loop {
            // Register for the wake-up before looking: a call queued in between is then not slept through.
            let woken = self.shared().signals.calls.notified();
            let pause = match start_some(self, &mut under_way).await {
                Ok(_) if under_way.len() >= MAX_CLAIMED => POLL,
                Ok(_) => pause(self).await,
                Err(error) => {
                    log_failure(self, &error, "HTTP calls could not be claimed; it is tried again");
                    POLL
                }
            };
            tokio::select! {
                () = &mut stop => break,
                () = woken => {}
                () = tokio::time::sleep(pause) => {}
                Some(_) = under_way.join_next() => {}
            }
        }
        let drained = async { while under_way.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, drained).await;
    }
}

/// Claims what is due and starts its attempts, as many as there is room for. Returns how many.
async fn start_some(runtime: &Runtime, under_way: &mut JoinSet<()>) -> Result<usize> {
    let room = MAX_CLAIMED.saturating_sub(under_way.len());
    let now = runtime.clock().now();
    // A look costs less than a job, and mostly there is nothing.
    if room == 0 || runtime.store().query_vital(http_calls::next_due).await?.is_none_or(|due_at| due_at > now) {
        return Ok(0);
    }
    let limit = u32::try_from(room).unwrap_or(u32::MAX);
    let claimed = runtime.store().write(move |tx| http_calls::claim(tx, now, limit)).await?;
    let count = claimed.len();
    for call in claimed {
        let runtime = runtime.clone();
        runtime.inner.calls.claimed.fetch_add(1, Ordering::Relaxed);
        under_way.spawn(async move {
            attempt(&runtime, call).await;
            runtime.inner.calls.claimed.fetch_sub(1, Ordering::Relaxed);
        });
    }
    Ok(count)
}

/// How long to sleep: until the next call falls due.
async fn pause(runtime: &Runtime) -> Duration {
    let next = runtime.store().query_vital(http_calls::next_due).await.ok().flatten();
    next.map_or(POLL, |due_at| due_at.since(runtime.clock().now()).clamp(Duration::from_millis(5), POLL))
}

/// Makes one attempt, and records the result.
async fn attempt(runtime: &Runtime, claimed: Claimed) {
    // In a task of its own, so that a panic becomes an answer and no session waits for ever.
    let fetching = tokio::spawn(fetch(runtime.clone(), claimed.clone()));
    let (fetched, max_retries) = match fetching.await {
        Ok(Some(fetched)) => fetched,
        Ok(None) => return put_back(runtime, &claimed).await,
        Err(error) => (Err(Failure::Lasting(format!("the call failed inside the server: {error}"))), 0),
    };
    count(runtime, &fetched);
    let (attempts, is_last) = (claimed.attempts, claimed.attempts >= max_retries);
    let (status, body) = match fetched {
        Ok(answer) if !is_last && is_passing(answer.status) => {
            return retry(runtime, &claimed, back_off(attempts, answer.retry_after)).await;
        }
        Err(Failure::Passing(_)) if !is_last => return retry(runtime, &claimed, back_off(attempts, None)).await,
        Ok(Answer { status, body, .. }) => (status, body),
        Err(Failure::Passing(why) | Failure::Lasting(why)) => (0, json!({"error": why})),
    };
    answer(runtime, &claimed, status, body).await;
}

/// Counts an attempt by the class of the answer's status.
fn count(runtime: &Runtime, fetched: &Result<Answer, Failure>) {
    let outcome = match fetched {
        Ok(answer) => match answer.status {
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            500..=599 => "5xx",
            _ => "other",
        },
        Err(_) => "unanswered",
    };
    runtime.metrics().add(Metric::HttpCalls, &[outcome], 1);
}

/// Gives the attempt's result, and how many retries the call has; `None` if its host has no place and too many wait.
async fn fetch(runtime: Runtime, claimed: Claimed) -> Option<(Result<Answer, Failure>, u32)> {
    let call: HttpCall = match serde_json::from_str(&claimed.call) {
        Ok(call) => call,
        Err(error) => return Some((Err(Failure::Lasting(format!("the stored call cannot be read: {error}"))), 0)),
    };
    let allow = &runtime.shared().options.allow;
    let fetcher =
        runtime.inner.calls.fetcher.get_or_init(|| Fetcher::new(allow.clone()).map_err(|error| error.to_string()));
    let fetcher = match fetcher {
        Ok(fetcher) => fetcher,
        Err(why) => return Some((Err(Failure::Lasting(why.clone())), 0)),
    };
    // The host's place is acquired first, so that waiting for a slow host occupies none of the shared slots. Neither
    // semaphore is ever closed.
    let places = runtime.inner.calls.places(&call.url);
    let _place = match places.try_acquire() {
        Ok(place) => Some(place),
        Err(_) if runtime.inner.calls.claimed.load(Ordering::Relaxed) > MAX_WAITING => return None,
        Err(_) => places.acquire().await.ok(),
    };
    let _slot = runtime.inner.calls.slots.acquire().await;
    let fetched = fetcher.fetch(&call, &claimed.id.to_string()).await;
    Some((fetched, call.max_retries))
}

async fn put_back(runtime: &Runtime, claimed: &Claimed) {
    let seq = claimed.seq;
    let at = runtime.clock().now().plus(jittered(PUT_BACK));
    while let Err(error) =
        runtime.store().write_as(WriteClass::Essential, move |tx| http_calls::put_back(tx, seq, at)).await
    {
        log_failure(runtime, &error, "an HTTP call could not be put back; it is tried again");
        if !wait_for_store(runtime).await {
            return;
        }
    }
}

/// Whether a status says that another attempt may fare better.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

/// How long to wait after an attempt, of which `attempts` have failed before.
fn back_off(attempts: u32, retry_after: Option<Duration>) -> Duration {
    let doubled = BACK_OFF.saturating_mul(2_u32.saturating_pow(attempts)).min(BACK_OFF_AT_MOST);
    jittered(doubled).max(retry_after.unwrap_or_default().min(RETRY_AFTER_AT_MOST))
}

async fn retry(runtime: &Runtime, claimed: &Claimed, after: Duration) {
    let seq = claimed.seq;
    let at = runtime.clock().now().plus(after);
    while let Err(error) =
        runtime.store().write_as(WriteClass::Essential, move |tx| http_calls::retry(tx, seq, at)).await
    {
        log_failure(runtime, &error, "that an HTTP call is to be retried could not be recorded; it is tried again");
        if !wait_for_store(runtime).await {
            return;
        }
    }
}

async fn answer(runtime: &Runtime, claimed: &Claimed, status: u16, body: Value) {
    let Claimed { seq, id, session_seq, turn, .. } = *claimed;
    let answered = |access| Answered { seq, session_seq, turn, status, body: body.clone(), access };
    loop {
        let log = |error: &_| {
            tracing::error!(call = %id, session_seq, %error, "a session could not take the answer of its HTTP call");
        };
        match runtime.handle_degraded(&answered, log).await {
            Ok(handling) => return tracing::debug!(call = %id, status, ?handling, "an HTTP call was answered"),
            Err(error) => {
                log_failure(runtime, &error, "the answer of an HTTP call could not be recorded; it is tried again");
                if !wait_for_store(runtime).await {
                    return;
                }
            }
        }
    }
}
