//! Posting queued events to endpoints: in order for each, concurrently for all of them.
//!
//! - 2xx: taken. Everything else has failed and is tried again: after 5 s at first, at last after an hour.
//! - A delivery that has failed for 24 hours is abandoned, with all that are as old, and the next is tried within the
//!   hour.
//! - An answer that blames the request (3xx, as redirects are not followed, and 4xx except 408, 425 and 429) abandons
//!   that delivery after five attempts, so that one which an endpoint will never take does not hold up the others for a
//!   day.
//! - 410 Gone switches the endpoint off and abandons what is queued for it.
//!
//! An endpoint may be inside the operator's network, and the person who sets it up need not be the operator: the body
//! of an answer is kept as the reason only if flows may call the address that gave it (see `address_guard`).
//!
//! A test is posted outside of the queue, once, and its result is shown to the administrator who started it.
//!
//! Each delivery is posted at least once. A delivery that is posted and not recorded when the process dies is posted
//! again, with the same `X-Qyvo-Delivery-Id`: at most those posted within [`RECORD_WITHIN`], and those under way.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::time::{Duration, Instant};

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::watch;
use tokio::task::{self, JoinSet};
use uuid::Uuid;

use crate::channels::http::{self, NoAnswer};
use crate::channels::signature::{SIGNATURE_HEADER, sign};
use crate::domain::{EndpointId, Timestamp, web_link};
use crate::error::Result;
use crate::metrics::Metric;
use crate::runtime::address_guard::Guard;
use crate::runtime::{Runtime, jittered, log_failure, wait_for_store};
use crate::store::WriteClass;
use crate::store::webhooks::{self, DeliveryRow, Endpoint};

/// How long an endpoint may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that are read of an answer: the beginning of an explanation.
const ANSWER_BYTES: usize = 1024;
/// Characters of an explanation that are kept.
const REASON_CHARS: usize = 300;
/// How long a delivery is tried.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Attempts at a delivery that the endpoint says is at fault.
const ATTEMPTS_AT_FAULTY: u32 = 5;
/// The longest wait after the first attempt that failed; the shortest is the half. It doubles with each.
const BACK_OFF: Duration = Duration::from_secs(10);
/// The longest wait between two attempts.
const BACK_OFF_AT_MOST: Duration = Duration::from_secs(3600);
/// Deliveries that are read at once.
const BATCH: u32 = 64;
/// How soon an accepted delivery is recorded, together with others that were accepted meanwhile.
const RECORD_WITHIN: Duration = Duration::from_millis(250);
/// Interval at which the queue is polled without a wake-up.
const POLL: Duration = Duration::from_secs(1);
/// How long the posts under way may go on when the server stops.
const GRACE: Duration = Duration::from_secs(10);

impl Runtime {
    /// Posts everything that is queued for endpoints and due, and returns how many attempts there were. The worker does
    /// so by itself, except under a clock that is moved by hand.
    ///
    /// # Errors
    /// When the store cannot be read or takes no writes.
    pub async fn run_due_webhooks(&self) -> Result<usize> {
        let (_stop, stopping) = watch::channel(false);
        let now = self.clock().now();
        let mut lanes = JoinSet::new();
        for (endpoint, id) in self.inner.webhooks.take_tests() {
            let runtime = self.clone();
            lanes.spawn(async move { test(&runtime, endpoint, id).await });
        }
        let mut attempts = 0;
        while let Some(tested) = lanes.join_next().await {
            attempts += tested.unwrap_or(Ok(0))?;
        }
        for (id, due_at) in self.store().query_vital(webhooks::waiting).await? {
            if due_at <= now {
                let (runtime, stopping) = (self.clone(), stopping.clone());
                lanes.spawn(async move { drain(&runtime, id, &stopping).await });
            }
        }
        while let Some(drained) = lanes.join_next().await {
            attempts += drained.unwrap_or(Ok(0))?;
        }
        Ok(attempts)
    }

    /// Posts events to endpoints until `stop` is done. Posts under way then end and are recorded; the rest is posted
    /// after the next start.
    pub async fn run_webhooks(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        if self.clock().is_by_hand() {
            return stop.await;
        }
        let (stopper, stopping) = watch::channel(false);
        let mut lanes = Lanes::default();
        match self.store().query_vital(webhooks::tests).await {
            Ok(left) => left.into_iter().for_each(|(endpoint, id)| self.make_test(endpoint, id)),
            Err(error) => tracing::warn!(%error, "which tests were not made could not be read"),
        }
        loop {
            // Register for the wake-up before looking: an event that is queued in between is then not missed.
            let woken = self.shared().signals.webhooks.notified();
            let pause = start_due(self, &mut lanes, &stopping).await;
            tokio::select! {
                () = &mut stop => break,
                () = woken => {}
                () = tokio::time::sleep(pause) => {}
                () = lanes.one_ends(), if !lanes.tasks.is_empty() => {}
            }
        }
        stopper.send_replace(true);
        let drained = async { while lanes.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, drained).await;
    }
}

/// Starts the tests that are to be made and the deliveries that are due. Returns how long to sleep.
async fn start_due(runtime: &Runtime, lanes: &mut Lanes, stopping: &watch::Receiver<bool>) -> Duration {
    for (endpoint, id) in runtime.inner.webhooks.take_tests() {
        lanes.tasks.spawn(test_or_log(runtime.clone(), endpoint, id));
    }
    let waiting = match runtime.store().query_vital(webhooks::waiting).await {
        Ok(waiting) => waiting,
        Err(error) => {
            tracing::warn!(%error, "what is to be told could not be read; it is tried again");
            return POLL;
        }
    };
    let now = runtime.clock().now();
    let mut pause = POLL;
    for (id, due_at) in waiting {
        if due_at > now {
            pause = pause.min(due_at.since(now).max(Duration::from_millis(5)));
        } else if !lanes.is_busy(id) {
            lanes.start(id, drain_or_log(runtime.clone(), id, stopping.clone()));
        }
    }
    pause
}

async fn test_or_log(runtime: Runtime, endpoint: EndpointId, id: Uuid) {
    if let Err(error) = test(&runtime, endpoint, id).await {
        log_failure(&runtime, &error, "an endpoint could not be tested");
    }
}

async fn drain_or_log(runtime: Runtime, id: EndpointId, stopping: watch::Receiver<bool>) {
    if let Err(error) = drain(&runtime, id, &stopping).await {
        log_failure(&runtime, &error, "events could not be told; it is tried again");
        tokio::time::sleep(POLL).await;
    }
}

/// The posts under way: a task for each endpoint, and never two for one.
#[derive(Default)]
struct Lanes {
    tasks: JoinSet<()>,
    /// The endpoint of each task, so that events are posted to it again also after its task panicked.
    busy: HashMap<task::Id, EndpointId>,
}

impl Lanes {
    fn is_busy(&self, id: EndpointId) -> bool {
        self.busy.values().any(|busy| *busy == id)
    }

    fn start(&mut self, id: EndpointId, telling: impl Future<Output = ()> + Send + 'static) {
        self.busy.insert(self.tasks.spawn(telling).id(), id);
    }

    /// Waits until one of them ends, if there is one.
    async fn one_ends(&mut self) {
        let task = match self.tasks.join_next_with_id().await {
            Some(Ok((task, ()))) => task,
            Some(Err(error)) => {
                let endpoint = self.busy.get(&error.id()).map(ToString::to_string);
                tracing::error!(endpoint, %error, "telling an endpoint panicked");
                error.id()
            }
            None => return,
        };
        self.busy.remove(&task);
    }
}

/// Posts what is queued for one endpoint until nothing is due, an attempt fails or the server stops. Returns how many
/// attempts there were.
async fn drain(runtime: &Runtime, id: EndpointId, stopping: &watch::Receiver<bool>) -> Result<usize> {
    let mut attempts = 0;
    while !*stopping.borrow() {
        let now = runtime.clock().now();
        let found = runtime.store().query_vital(move |conn| webhooks::next_deliveries(conn, id, now, BATCH)).await?;
        let Some((endpoint, rows)) = found.filter(|(_, rows)| !rows.is_empty()) else { break };
        let began = Instant::now();
        let mut taken = Vec::new();
        let mut failed = None;
        for row in rows {
            attempts += 1;
            match post(runtime, &endpoint, &row).await {
                Ok(()) => taken.push(row.seq),
                Err(refusal) => {
                    failed = Some((row, refusal));
                    break;
                }
            }
            if began.elapsed() >= RECORD_WITHIN || *stopping.borrow() {
                break;
            }
        }
        let has_failed = failed.is_some();
        record(runtime, id, taken, failed).await?;
        if has_failed {
            break;
        }
    }
    Ok(attempts)
}

/// Posts a test, once and beside what is queued for its endpoint. Returns how many attempts there were.
async fn test(runtime: &Runtime, endpoint: EndpointId, id: Uuid) -> Result<usize> {
    let found = runtime.store().query_vital(move |conn| webhooks::find_test(conn, endpoint, id)).await?;
    let Some((endpoint, row)) = found else { return Ok(0) };
    let (taken, failed) = match post(runtime, &endpoint, &row).await {
        Ok(()) => (vec![row.seq], None),
        Err(refusal) => (Vec::new(), Some((row, refusal))),
    };
    record(runtime, endpoint.id, taken, failed).await?;
    Ok(1)
}

/// Why an endpoint has not taken a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    /// Of its answer, if it gave one.
    status: Option<u16>,
    reason: String,
    /// How long it asks callers to wait.
    retry_after: Option<Duration>,
}

async fn post(runtime: &Runtime, endpoint: &Endpoint, row: &DeliveryRow) -> Result<(), Refusal> {
    let silent =
        |reason: String| Refusal { status: None, reason: http::truncate(&reason, REASON_CHARS), retry_after: None };
    let client: &Client = runtime
        .inner
        .webhooks
        .client
        .get_or_init(|| http::client().map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|why| silent(why.clone()))?;
    let unix = runtime.clock().now().as_millis().div_euclid(1000);
    let request = client
        .post(web_link(&endpoint.url).as_ref().unwrap_or(&endpoint.url))
        .timeout(TIMEOUT)
        .header(CONTENT_TYPE, "application/json")
        .header(SIGNATURE_HEADER, sign(&endpoint.secret, unix, row.body.as_bytes()))
        .header("X-Qyvo-Event", &row.event)
        .header("X-Qyvo-Webhook-Id", endpoint.id.to_string())
        .header("X-Qyvo-Delivery-Id", row.id.to_string())
        .body(row.body.clone());
    let answer = match http::call(request, ANSWER_BYTES).await {
        Ok(answer) => answer,
        Err(NoAnswer::Unreachable(why) | NoAnswer::Ambiguous(why)) => return Err(silent(why)),
    };
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    // The answer of a service inside the operator's network is not shown: an administrator need not have access to that
    // network. The answer of an address that flows may call may be shown.
    let guard = Guard::new(runtime.shared().options.allow.clone());
    let may_show = answer.from.is_some_and(|address| guard.check(address).is_ok());
    let said = if may_show { String::from_utf8_lossy(&answer.body) } else { Cow::default() };
    let said: String = said.chars().filter(|c| !c.is_control()).collect();
    let reason = format!("status {}: {said}", answer.status);
    let reason = http::truncate(reason.trim_end_matches([':', ' ']), REASON_CHARS);
    Err(Refusal { status: Some(answer.status), reason, retry_after: answer.retry_after })
}

/// What follows from a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextStep {
    /// It is tried again then.
    Again(Timestamp),
    /// It is abandoned, and the next is tried at once.
    Faulty,
    /// It is abandoned with all that are as old, and the next is tried then.
    TooOld(Timestamp),
    /// The endpoint has answered 410 and wants no more events.
    Gone,
}

fn classify(row: &DeliveryRow, refusal: &Refusal, now: Timestamp) -> NextStep {
    let is_fault = matches!(refusal.status, Some(300..=499)) && !matches!(refusal.status, Some(408 | 425 | 429));
    if refusal.status == Some(410) {
        return NextStep::Gone;
    }
    // An administrator waits for the result of a test, and starts another one if need be.
    let is_test = row.next_attempt_at.is_none();
    if is_test || (is_fault && row.attempts + 1 >= ATTEMPTS_AT_FAULTY) {
        return NextStep::Faulty;
    }
    if now.since(row.created_at) >= GIVE_UP_AFTER {
        return NextStep::TooOld(now.plus(jittered(BACK_OFF_AT_MOST)));
    }
    let doubled = BACK_OFF.saturating_mul(2_u32.saturating_pow(row.attempts)).min(BACK_OFF_AT_MOST);
    NextStep::Again(now.plus(jittered(doubled).max(refusal.retry_after.unwrap_or_default())))
}

/// Records the results of an endpoint's deliveries. This is tried until the store takes it: a delivery that is not
/// recorded is posted again.
async fn record(
    runtime: &Runtime,
    endpoint: EndpointId,
    taken: Vec<i64>,
    failed: Option<(DeliveryRow, Refusal)>,
) -> Result<()> {
    let now = runtime.clock().now();
    // Classified once: a job that runs twice must do the same again.
    let failed = failed.map(|(row, refusal)| (row.seq, classify(&row, &refusal, now), refusal.reason));
    let next_step = failed.as_ref().map(|(_, next_step, _)| *next_step);
    if let Some((_, next_step, reason)) = &failed {
        tracing::info!(endpoint = %endpoint, verdict = ?next_step, reason, "an endpoint has not taken an event");
    }
    let (attempts_taken, mut given_up) = (taken.len(), 0);
    loop {
        let (taken, failed) = (taken.clone(), failed.clone());
        let recorded = runtime.store().write_as(WriteClass::Essential, move |tx| {
            if !taken.is_empty() {
                webhooks::set_sent(tx, endpoint, &taken, now)?;
            }
            let Some((seq, next_step, reason)) = &failed else { return Ok(0) };
            let next_attempt_at = if let NextStep::Again(at) = next_step { Some(*at) } else { None };
            webhooks::set_attempt_failed(tx, *seq, reason, next_attempt_at, now)?;
            match next_step {
                NextStep::Again(_) => Ok(0),
                NextStep::Faulty => Ok(1),
                NextStep::TooOld(next_at) => {
                    let older = webhooks::give_up_older(tx, endpoint, now.minus(GIVE_UP_AFTER), reason, now)?;
                    webhooks::defer_first(tx, endpoint, *next_at)?;
                    Ok(1 + older)
                }
                NextStep::Gone => {
                    webhooks::deactivate(tx, endpoint, now)?;
                    Ok(1)
                }
            }
        });
        match recorded.await {
            Ok(count) => {
                given_up += count;
                break;
            }
            Err(error) if wait_for_store(runtime).await => {
                log_failure(runtime, &error, "what an endpoint said could not be recorded; it is tried again");
            }
            Err(error) => return Err(error),
        }
    }
    if next_step == Some(NextStep::Gone) {
        tracing::warn!(endpoint = %endpoint, "an endpoint answered 410 Gone and is switched off");
        runtime.reload_endpoints().await?;
        let give_up = move |tx: &crate::store::Tx<'_>| webhooks::give_up_older(tx, endpoint, now, "endpoint_gone", now);
        loop {
            let count = runtime.store().write_as(WriteClass::Essential, give_up).await?;
            given_up += count;
            if count == 0 {
                break;
            }
        }
    }
    count_recorded(runtime, endpoint, attempts_taken, next_step.is_some(), given_up);
    Ok(())
}

/// Counts what an endpoint took, whether an attempt failed, and what will not be tried again.
fn count_recorded(runtime: &Runtime, endpoint: EndpointId, taken: usize, has_failed: bool, given_up: usize) {
    let (metrics, endpoint) = (runtime.metrics(), endpoint.to_string());
    metrics.add(Metric::EventsDelivered, &[&endpoint], taken as u64);
    metrics.add(Metric::EventAttemptsFailed, &[&endpoint], u64::from(has_failed));
    metrics.add(Metric::EventsGivenUp, &[&endpoint], given_up as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endpoint_whose_lane_panicked_is_free_again_while_others_go_on() {
        let (panics, goes_on) = (EndpointId(Uuid::from_u128(1)), EndpointId(Uuid::from_u128(2)));
        let mut lanes = Lanes::default();
        lanes.start(goes_on, std::future::pending());
        lanes.start(panics, async { panic!("on purpose") });
        assert!(lanes.is_busy(panics) && lanes.is_busy(goes_on));
        lanes.one_ends().await;
        assert!(!lanes.is_busy(panics) && lanes.is_busy(goes_on));
    }
}
