//! Posting queued events to endpoints: in order for each contact of an endpoint, several contacts at once, and
//! concurrently for all endpoints. [`record`](super::record) has what becomes of what an endpoint does not take.
//!
//! A test is posted outside of the queue, once, and its result is shown to the administrator who started it.
//!
//! Each delivery is posted at least once. A delivery that is posted and not recorded when the process dies is posted
//! again, with the same `X-Qyvo-Delivery-Id`: of each endpoint at most those under way ([`LANES`]) and those answered
//! within [`RECORD_WITHIN`]. The next one of a lane is posted once the one before it is recorded, so that no crash
//! changes the order of a contact's events.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{self, JoinSet};
use tokio::time::Instant;
use uuid::Uuid;

use super::post::post;
use super::record::{Attempt, record};
use crate::domain::EndpointId;
use crate::error::{Error, Result};
use crate::runtime::{Runtime, log_failure};
use crate::store::WriteClass;
use crate::store::webhooks;

/// Requests of one endpoint that are under way at once.
const LANES: usize = 16;
/// How soon an answer is recorded, together with those that come meanwhile.
const RECORD_WITHIN: Duration = Duration::from_millis(20);
/// Answers that are recorded in one job at most.
const RECORD_AT_MOST: usize = 64;
/// Lanes that one job releases.
const LANES_PER_JOB: usize = 1_000;
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
        let (_wake, woken) = watch::channel(());
        let now = self.clock().now();
        let mut tasks = JoinSet::new();
        for (endpoint, id) in self.inner.webhooks.take_tests() {
            let runtime = self.clone();
            tasks.spawn(async move { test(&runtime, endpoint, id).await });
        }
        let mut attempts = 0;
        while let Some(tested) = tasks.join_next().await {
            attempts += tested.unwrap_or(Ok(0))?;
        }
        for (id, due_at) in self.store().query_vital(webhooks::waiting).await? {
            if due_at <= now {
                let (runtime, stopping, woken) = (self.clone(), stopping.clone(), woken.clone());
                tasks.spawn(async move { drain(&runtime, id, &stopping, woken).await });
            }
        }
        while let Some(drained) = tasks.join_next().await {
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
        let mut endpoints = Endpoints::default();
        match self.store().query_vital(webhooks::tests).await {
            Ok(left) => left.into_iter().for_each(|(endpoint, id)| self.make_test(endpoint, id)),
            Err(error) => tracing::warn!(%error, "which tests were not made could not be read"),
        }
        if let Err(error) = release_lanes(self).await {
            tracing::warn!(%error, "whether lanes of events have no head could not be read");
        }
        loop {
            // Register for the wake-up before looking: an event that is queued in between is then not missed.
            let woken = self.shared().signals.webhooks.notified();
            let pause = start_due(self, &mut endpoints, &stopping).await;
            tokio::select! {
                () = &mut stop => break,
                () = woken => {}
                () = tokio::time::sleep(pause) => {}
                () = endpoints.one_ends(), if !endpoints.tasks.is_empty() => {}
            }
        }
        stopper.send_replace(true);
        let drained = async { while endpoints.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, drained).await;
    }
}

/// Starts the tests that are to be made and the deliveries that are due. Returns how long to sleep.
async fn start_due(runtime: &Runtime, endpoints: &mut Endpoints, stopping: &watch::Receiver<bool>) -> Duration {
    for (endpoint, id) in runtime.inner.webhooks.take_tests() {
        endpoints.tasks.spawn(test_or_log(runtime.clone(), endpoint, id));
    }
    // Those that are at work look for what came; the others are started below.
    endpoints.wake.send_replace(());
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
        } else if !endpoints.is_busy(id) {
            let woken = endpoints.wake.subscribe();
            endpoints.start(id, drain_or_log(runtime.clone(), id, stopping.clone(), woken));
        }
    }
    pause
}

async fn test_or_log(runtime: Runtime, endpoint: EndpointId, id: Uuid) {
    if let Err(error) = test(&runtime, endpoint, id).await {
        log_failure(&runtime, &error, "an endpoint could not be tested");
    }
}

async fn drain_or_log(runtime: Runtime, id: EndpointId, stopping: watch::Receiver<bool>, woken: watch::Receiver<()>) {
    if let Err(error) = drain(&runtime, id, &stopping, woken).await {
        log_failure(&runtime, &error, "events could not be told; it is tried again");
        tokio::time::sleep(POLL).await;
    }
}

/// Releases lanes whose head is gone, because the job that removed it ended before it had released the lane.
async fn release_lanes(runtime: &Runtime) -> Result<()> {
    let lanes = runtime.store().query_vital(webhooks::lanes_without_head).await?;
    let now = runtime.clock().now();
    for lanes in lanes.chunks(LANES_PER_JOB) {
        let lanes = lanes.to_vec();
        let released = move |tx: &crate::store::Tx<'_>| webhooks::release_lanes(tx, &lanes, now);
        runtime.store().write_as(WriteClass::Essential, released).await?;
    }
    Ok(())
}

/// The endpoints that are posted to: a task for each, and never two for one.
struct Endpoints {
    tasks: JoinSet<()>,
    /// The endpoint of each task, so that events are posted to it again also after its task panicked.
    busy: HashMap<task::Id, EndpointId>,
    /// Has the tasks look for more.
    wake: watch::Sender<()>,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self { tasks: JoinSet::new(), busy: HashMap::new(), wake: watch::Sender::new(()) }
    }
}

impl Endpoints {
    fn is_busy(&self, id: EndpointId) -> bool {
        self.busy.values().any(|busy| *busy == id)
    }

    fn start(&mut self, id: EndpointId, posting: impl Future<Output = ()> + Send + 'static) {
        self.busy.insert(self.tasks.spawn(posting).id(), id);
    }

    /// Waits until one of them ends, if there is one.
    async fn one_ends(&mut self) {
        let task = match self.tasks.join_next_with_id().await {
            Some(Ok((task, ()))) => task,
            Some(Err(error)) => {
                let endpoint = self.busy.get(&error.id()).map(ToString::to_string);
                tracing::error!(endpoint, %error, "posting to an endpoint panicked");
                error.id()
            }
            None => return,
        };
        self.busy.remove(&task);
    }
}

/// Posts what is queued for one endpoint until nothing is due and nothing is under way, or the server stops. Returns
/// how many attempts there were.
async fn drain(
    runtime: &Runtime,
    id: EndpointId,
    stopping: &watch::Receiver<bool>,
    mut woken: watch::Receiver<()>,
) -> Result<usize> {
    let mut posts = Posts { runtime, id, tasks: JoinSet::new(), under_way: HashSet::new(), attempts: 0 };
    while !*stopping.borrow() {
        posts.start_due().await?;
        if posts.tasks.is_empty() {
            break;
        }
        tokio::select! {
            posted = posts.tasks.join_next() => {
                let answered = posts.gather(posted, stopping).await?;
                posts.record(answered).await?;
            }
            // Where all lanes are taken there is nothing to look for.
            changed = woken.changed(), if posts.tasks.len() < LANES => {
                if changed.is_err() {
                    break;
                }
            }
        }
    }
    while let Some(posted) = posts.tasks.join_next().await {
        let answered = posts.gather(Some(posted), stopping).await?;
        posts.record(answered).await?;
    }
    Ok(posts.attempts)
}

type Posted = Option<Result<Attempt, task::JoinError>>;

/// The deliveries of one endpoint that are under way.
struct Posts<'a> {
    runtime: &'a Runtime,
    id: EndpointId,
    tasks: JoinSet<Attempt>,
    /// Their rows, and those that are answered and not recorded yet: none of them is posted again meanwhile.
    under_way: HashSet<i64>,
    attempts: usize,
}

impl Posts<'_> {
    /// Starts what is due, as far as there are lanes free.
    async fn start_due(&mut self) -> Result<()> {
        let free = LANES.saturating_sub(self.tasks.len());
        if free == 0 {
            return Ok(());
        }
        let (id, now, under_way) = (self.id, self.runtime.clock().now(), self.under_way.iter().copied().collect());
        let under_way: Vec<i64> = under_way;
        let found =
            self.runtime.store().query_vital(move |conn| webhooks::due(conn, id, now, &under_way, free)).await?;
        let Some((endpoint, rows)) = found else { return Ok(()) };
        let endpoint = Arc::new(endpoint);
        for row in rows {
            self.under_way.insert(row.seq);
            self.attempts += 1;
            let (runtime, endpoint) = (self.runtime.clone(), endpoint.clone());
            self.tasks.spawn(async move {
                let refusal = post(&runtime, &endpoint, &row).await.err();
                Attempt { row, refusal }
            });
        }
        Ok(())
    }

    /// Waits for more answers to record with the first one, and starts what is due meanwhile; nothing more once
    /// something has failed, which may be the endpoint.
    async fn gather(&mut self, first: Posted, stopping: &watch::Receiver<bool>) -> Result<Vec<Attempt>> {
        let until = Instant::now() + RECORD_WITHIN;
        let mut answered = Vec::new();
        let mut next = first;
        while let Some(posted) = next.take() {
            // The task of a delivery that panicked ends the work at its endpoint, which begins again.
            answered.push(posted.map_err(|error| Error::internal("A post panicked").caused_by(error))?);
            next = self.tasks.try_join_next();
            if next.is_some() {
                continue;
            }
            if !*stopping.borrow() && answered.iter().all(|attempt| attempt.refusal.is_none()) {
                self.start_due().await?;
            }
            if answered.len() < RECORD_AT_MOST && !self.tasks.is_empty() {
                next = tokio::time::timeout_at(until, self.tasks.join_next()).await.ok().flatten();
            }
        }
        Ok(answered)
    }

    async fn record(&mut self, answered: Vec<Attempt>) -> Result<()> {
        let rows: Vec<i64> = answered.iter().map(|attempt| attempt.row.seq).collect();
        record(self.runtime, self.id, answered).await?;
        self.under_way.retain(|seq| !rows.contains(seq));
        Ok(())
    }
}

/// Posts a test, once and beside what is queued for its endpoint. Returns how many attempts there were.
async fn test(runtime: &Runtime, endpoint: EndpointId, id: Uuid) -> Result<usize> {
    let found = runtime.store().query_vital(move |conn| webhooks::find_test(conn, endpoint, id)).await?;
    let Some((endpoint, row)) = found else { return Ok(0) };
    let refusal = post(runtime, &endpoint, &row).await.err();
    record(runtime, endpoint.id, vec![Attempt { row, refusal }]).await?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endpoint_whose_task_panicked_is_free_again_while_others_go_on() {
        let (panics, goes_on) = (EndpointId(Uuid::from_u128(1)), EndpointId(Uuid::from_u128(2)));
        let mut endpoints = Endpoints::default();
        endpoints.start(goes_on, std::future::pending());
        endpoints.start(panics, async { panic!("on purpose") });
        assert!(endpoints.is_busy(panics) && endpoints.is_busy(goes_on));
        endpoints.one_ends().await;
        assert!(!endpoints.is_busy(panics) && endpoints.is_busy(goes_on));
    }
}
