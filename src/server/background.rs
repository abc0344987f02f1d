//! What goes on beside the requests: timers, what is sent and called, and what follows the database.

use std::time::Duration;

use actix_web::web;
use tokio::task::JoinHandle;

use super::health::watch_health;
use super::signals::Stops;
use crate::api;
use crate::metrics::Metrics;
use crate::runtime::Runtime;

/// How soon what the command line writes takes effect in the server.
const GENERATION_INTERVAL: Duration = Duration::from_millis(500);

/// How often new observations are sorted into their histograms, so that they take no memory where nobody scrapes.
const SORT_INTERVAL: Duration = Duration::from_secs(5);

/// The tasks that go on beside the requests, in the order in which their ends are awaited.
pub(super) struct Background {
    tasks: Vec<JoinHandle<()>>,
}

impl Background {
    /// Begins them all. What reaches others begins nothing new once a stop was asked for, while requests under
    /// way finish; the rest goes on until it has stopped.
    pub(super) fn start(
        runtime: Runtime,
        state: web::Data<api::State>,
        sweep_interval: Duration,
        stops: &Stops,
    ) -> Self {
        let mut background = Self { tasks: Vec::new() };
        let (sweeper, until) = (runtime.clone(), stops.until_stopped());
        background.spawn(async move { sweeper.sweep(sweep_interval, until).await });
        let (sender, until) = (runtime.clone(), stops.until_told());
        background.spawn(async move { sender.run_outbox(until).await });
        let (until, watched) = (stops.until_stopped(), state.clone());
        background.spawn_here(async move { api::follow(&state, GENERATION_INTERVAL, until).await });
        background.spawn_here(watch_health(runtime.clone(), stops.until_stopped()));
        let until = stops.until_stopped();
        background.spawn_here(async move { api::watch_problems(&watched, until).await });
        let (templates, until) = (runtime.clone(), stops.until_stopped());
        background.spawn(async move { templates.keep_templates(until).await });
        let (calls, until) = (runtime.clone(), stops.until_told());
        background.spawn(async move { calls.run_calls(until).await });
        let (webhooks, until) = (runtime.clone(), stops.until_told());
        background.spawn(async move { webhooks.run_webhooks(until).await });
        let (retention, until) = (runtime.clone(), stops.until_stopped());
        background.spawn(async move { retention.run_retention(until).await });
        let (backups, until) = (runtime.clone(), stops.until_stopped());
        background.spawn(async move { backups.run_backups(until).await });
        background.spawn(sort_observations(runtime.metrics().clone(), stops.until_stopped()));
        let until = stops.until_stopped();
        background.spawn(async move { runtime.run_search_index(until).await });
        background
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(task));
    }

    /// On this thread.
    fn spawn_here(&mut self, task: impl Future<Output = ()> + 'static) {
        self.tasks.push(actix_web::rt::spawn(task));
    }

    /// Waits until they have all ended, or cuts off those that have not once nothing is waited for any more.
    pub(super) async fn join(self, stops: &Stops) {
        for mut task in self.tasks {
            let ended = tokio::select! {
                biased;
                ended = &mut task => ended,
                () = stops.until_aborted() => {
                    task.abort();
                    task.await
                }
            };
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!(%error, "a background task panicked");
            }
        }
    }
}

/// Sorts new observations into their histograms now and then, until `stop` is done.
async fn sort_observations(metrics: Metrics, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(SORT_INTERVAL) => metrics.sort_observations(),
        }
    }
}
