//! What moves sessions: loads, steps and persists in one write job.
//!
//! [`Runtime::handle`] is the only way to advance a session. Its commands (such as [`Trigger`], [`SendEvent`],
//! [`Cancel`], [`Due`]) each run as one job of the store's writer, so no two of them ever interleave and there is no
//! lock on a session anywhere. A job that needs a flow which is not compiled yet hands itself back before it has
//! written anything, the flow is compiled outside the writer, and the job is submitted again.

mod address_guard;
pub mod authoring;
mod calls;
mod clock;
mod commands;
mod deliveries;
mod inbound;
mod indexer;
mod job;
mod options;
mod outbox;
pub mod templates;
mod upkeep;
pub mod webhooks;

use std::future::Future;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;

use crate::channels::{Channel, ChannelKind};
use crate::domain::audit::Actor;
use crate::domain::{ContactId, FlowDocument};
use crate::engine::CompiledFlow;
use crate::error::{Code, Error, Result};
use crate::metrics::Metrics;
use crate::store::{self, RoomLevel, Store, WriteClass};
use authoring::simulations::Simulations;
use commands::update_contact;
use job::access::Access;
use job::flow_cache::{CachedFlow, FlowKey};
use job::shared::Shared;
use job::{AfterCommit, idempotent, keywords};
use upkeep::{backups, erasure, gauges, housekeeping, problems, sweeper};

pub use authoring::{publishing, simulation, simulations, test_cases};
pub use clock::Clock;
pub use commands::answer::{Answer, Answered};
pub use commands::cancel::{Cancel, CancelSession, Cancelled, Ended, FireTimeout};

pub use commands::event::{EventHandling, EventOutcome, EventSent, EventTarget, SendEvent};
pub use commands::resume::{Resume, ResumeContact, Resumed};
pub use commands::save_contact::{ContactSaved, SaveContact, TAGS_PER_CONTACT};
pub use commands::send::{SendRefusal, SendTemplate, SendText, Sending};
pub use commands::stop_flow::Stopped;
pub use commands::trigger::{BatchBegun, BeginBatch, OnRunning, Trigger, TriggerRefusal, Triggered};
pub use commands::update_contact::{ContactUpdated, METADATA_BYTES, UpdateContact};
pub use inbound::{AllowAutoReplies, Handling, Inbound, Quoted, Received, has_stopped_auto_replies};
pub use job::arrivals::Arrival;
pub use job::changes::Change;
pub use job::idempotent::{IdempotencyKey, Idempotent};
pub use job::lookup::{ContactRef, Resolved, find_contact};
pub use job::{Command, Deferred, Job};
pub use options::{BackupPlan, Options, Retention, Routing, ServerSettings};
pub use outbox::delivery_wait::{DeliveryResult, DeliveryWait};
pub use outbox::{ChannelState, FailedFor, ProgressOutcome, Retried, RetriedAll, Skipped, why_it_waits};
pub use upkeep::backups::{BackupFile, BackupState};
pub use upkeep::erasure::Erased;
pub(crate) use upkeep::health;
pub use upkeep::health::Impairment;
pub use upkeep::import;
pub use upkeep::retention::Deleted;
pub use upkeep::sweeper::{Due, Fired};

/// How long to wait before what the store did not take is offered again.
const AFTER_REFUSAL: Duration = Duration::from_millis(200);
/// The same while the disk is full.
const WHILE_FULL: Duration = Duration::from_secs(1);
/// How often a job is handed back before it gives up on a flow.
const MAX_DEFERRALS: u32 = 500;
/// How long a job waits for earlier replies in all: then it goes on without them.
const MAX_REPLY_WAIT: Duration = Duration::from_secs(1);

/// The runtime. Clones are handles to the same one.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

/// What the runtime keeps in memory: what all jobs share, and the state of each worker, which is its own.
struct Inner {
    shared: Shared,
    calls: calls::Calls,
    webhooks: webhooks::Publisher,
    marker: inbound::Marker,
    sweeper: sweeper::SweepPlan,
    simulations: Simulations,
    outbox: Arc<outbox::Outbox>,
    health: health::ImpairmentLog,
    erasure: erasure::ErasureLocks,
    backups: backups::Backups,
    /// The length of the database file when housekeeping last looked; 0 before.
    database_bytes: AtomicI64,
    templates: templates::TemplateFetcher,
    sampled: gauges::Sampled,
    problems: problems::Problems,
}

impl Runtime {
    /// A runtime on a store.
    pub fn new(store: Store, clock: Clock, options: Options) -> Self {
        outbox::count_from_zero(store.metrics(), options.channel.name());
        let inner = Inner {
            calls: calls::Calls::default(),
            webhooks: webhooks::Publisher::default(),
            marker: inbound::Marker::default(),
            sweeper: sweeper::SweepPlan::default(),
            simulations: Simulations::new(clock.clone()),
            outbox: Arc::new(outbox::Outbox::new(options.messages_per_second)),
            health: health::ImpairmentLog::default(),
            erasure: erasure::ErasureLocks::default(),
            backups: backups::Backups::default(),
            database_bytes: AtomicI64::new(0),
            templates: templates::TemplateFetcher::default(),
            sampled: gauges::Sampled::default(),
            problems: problems::Problems::default(),
            shared: Shared::new(store, clock, options),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What all jobs share.
    fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// The store, for reads and plain records.
    pub fn store(&self) -> &Store {
        &self.shared().store
    }

    /// The metrics of this server.
    pub fn metrics(&self) -> &Metrics {
        self.store().metrics()
    }

    /// The time to live of sessions whose flow sets none.
    pub fn default_ttl(&self) -> Duration {
        self.shared().default_ttl()
    }

    /// What simulations have to know of how this server is set.
    pub fn server_settings(&self) -> ServerSettings {
        let webhook = match self.channel().kind() {
            ChannelKind::Webhook => self.channel().text_limits(),
            _ => ChannelKind::Webhook.text_limits(),
        };
        let (default_ttl, words) = (self.default_ttl(), self.shared().consent.clone());
        let routing = &self.shared().options.routing;
        let (colleague_pause, fallback) = (routing.colleague_pause, routing.fallback_flow);
        ServerSettings { default_ttl, words, colleague_pause, live: self.channel().text_limits(), webhook, fallback }
    }

    /// Changes the time to live of sessions whose flow sets none: of those that begin or move from now on.
    pub fn set_default_ttl(&self, default_ttl: Duration) {
        self.shared().set_default_ttl(default_ttl);
    }

    /// What changes from now on.
    pub fn watch(&self) -> Receiver<Arc<Change>> {
        self.shared().feed.watch()
    }

    /// Has the outbox look for what may go out.
    pub(in crate::runtime) fn wake_outbox(&self) {
        self.shared().signals.messages.notify_one();
    }

    /// Publishes a committed change to all subscribers.
    pub fn publish_change(&self, change: Change) {
        self.shared().feed.publish(change);
    }

    /// The channel that messages go out on.
    pub fn channel(&self) -> &Channel {
        &self.shared().options.channel
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.shared().clock
    }

    /// The conversations that are only tried out.
    pub fn simulations(&self) -> &Simulations {
        &self.inner.simulations
    }

    /// Stamps and registers a message from a contact, as soon as it has arrived and before it queues.
    pub fn arrive(&self) -> Arrival {
        self.shared().arrivals.register()
    }

    /// Runs a command.
    ///
    /// # Errors
    /// `Unavailable` when the queue is full or the store has stopped, `OutcomeUnknown` after a failed commit,
    /// `Internal` otherwise. Refusals are outcomes.
    pub async fn handle<C: Command>(&self, command: C) -> Result<C::Outcome> {
        match self.handle_idempotent(None, command).await? {
            Idempotent::Ran(outcome) | Idempotent::Replayed(outcome) => Ok(outcome),
            Idempotent::KeyReused => Err(Error::internal("A command without a key found its key reused")),
        }
    }

    /// Forgets a key under which nothing was done in the end, so that a retry does it. It is left alone where it stands
    /// for another outcome by now: another caller has forgotten it already, and a retry was faster. Returns whether it
    /// was forgotten.
    ///
    /// # Errors
    /// `Unavailable` when the queue is full or the store has stopped, `OutcomeUnknown` after a failed commit,
    /// `Internal` otherwise.
    pub async fn forget_key<T>(&self, key: IdempotencyKey, outcome: T) -> Result<bool>
    where
        T: Serialize + Send + 'static,
    {
        self.shared().store.write_as(WriteClass::Essential, move |tx| idempotent::forget(tx, &key, &outcome)).await
    }

    /// Whether requests with these keys are answered from what is kept, in their order. Another body makes no
    /// difference: that is refused, which is an answer, too.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn answered(&self, keys: Vec<IdempotencyKey>) -> Result<Vec<bool>> {
        let now = self.clock().now();
        self.store().query(move |conn| keys.iter().map(|key| idempotent::is_answered(conn, key, now)).collect()).await
    }

    /// Runs a command once for all requests with the same key within 24 hours. The key's row is part of the command's
    /// own transaction: a duplicate in flight stands behind it in the writer's queue and finds the row.
    ///
    /// # Errors
    /// As [`Runtime::handle`].
    pub async fn handle_idempotent<C: Command>(
        &self,
        key: Option<IdempotencyKey>,
        command: C,
    ) -> Result<Idempotent<C::Outcome>> {
        let class = command.class();
        let command = Arc::new(command);
        let key = Arc::new(key);
        let mut deferrals = 0;
        let mut reply_deadline: Option<Instant> = None;
        loop {
            let (runtime, command, key) = (self.clone(), command.clone(), key.clone());
            let may_defer =
                deferrals < MAX_DEFERRALS && reply_deadline.is_none_or(|deadline| Instant::now() < deadline);
            // Counted before the job looks, so that a reply which ends while it looks is not missed.
            let replies_ended = self.shared().arrivals.drops();
            // What a job is handed back for after it has written: the store takes back what a job that fails has
            // written.
            let held = Arc::new(Mutex::new(None));
            let kept = held.clone();
            let attempt = self.shared().store.write_as(class, move |tx| {
                let written = tx.rows_written();
                let job = Job::new(tx, runtime.shared(), may_defer);
                match idempotent::run(&job, key.as_ref().as_ref(), command.as_ref()) {
                    Ok(outcome) => Ok(Ok((outcome, job.into_effects()))),
                    Err(Deferred::Failed(error)) => Err(error),
                    Err(deferred) if tx.rows_written() == written => Ok(Err(deferred)),
                    Err(deferred) => {
                        *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(deferred);
                        Err(Error::internal("A job was handed back after it had written"))
                    }
                }
            });
            let attempt = match attempt.await {
                Ok(attempt) => attempt,
                Err(error) => match held.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    Some(deferred) if error.code() == Code::Internal => Err(deferred),
                    _ => return Err(error),
                },
            };
            match attempt {
                Ok((outcome, effects)) => {
                    self.follow(effects);
                    return Ok(outcome);
                }
                Err(Deferred::NeedsFlow(_) | Deferred::NeedsKeywords) if deferrals >= MAX_DEFERRALS => {
                    return Err(Error::unavailable("Too many flows are in use at once; try again"));
                }
                Err(Deferred::NeedsFlow(flow)) => self.compile(flow).await?,
                Err(Deferred::NeedsKeywords) => keywords::read(&self.shared().keywords, self.store()).await?,
                Err(Deferred::EarlierReply) => {
                    let deadline = *reply_deadline.get_or_insert_with(|| Instant::now() + MAX_REPLY_WAIT);
                    let at_most = deadline.saturating_duration_since(Instant::now());
                    self.shared().arrivals.wait_for_drop(replies_ended, at_most).await;
                }
                Err(Deferred::Failed(error)) => return Err(error),
            }
            deferrals += 1;
        }
    }

    /// Runs a command with full access and, where that fails as `Internal`, once more with degraded access. `log` is
    /// told of the error in between.
    ///
    /// # Errors
    /// As [`Runtime::handle`].
    pub(in crate::runtime) async fn handle_degraded<C: Command>(
        &self,
        command: impl Fn(Access) -> C,
        log: impl FnOnce(&Error),
    ) -> Result<C::Outcome> {
        match self.handle(command(Access::Full)).await {
            Err(error) if Access::Full.degrades_by(&error) => {
                log(&error);
                self.handle(command(Access::Degraded)).await
            }
            other => other,
        }
    }

    /// Does what follows from a job that is committed.
    fn follow(&self, effects: AfterCommit) {
        let AfterCommit { nearest_timer, wakeups, failed, changes } = effects;
        failed.into_iter().for_each(|(contact_seq, id)| self.inner.outbox.forget_head(contact_seq, id));
        wakeups.wake(&self.shared().signals);
        changes.into_iter().for_each(|change| self.shared().feed.publish(change));
        // Only now, after the commit: a sweeper that looks after this finds the timer.
        if let Some(due_at) = nearest_timer.filter(|_| !self.clock().is_by_hand()) {
            self.inner.sweeper.wake_for(due_at);
        }
    }

    /// Changes a contact's profile. Opting out ends all of its sessions.
    ///
    /// # Errors
    /// As [`Runtime::handle`]. Refusals are outcomes.
    pub async fn update_contact(&self, command: UpdateContact) -> Result<ContactUpdated> {
        update_contact::update(self, command).await
    }

    /// Erases a contact and all that is stored of the person. `None` if no contact has that id. The erasure goes on
    /// when the caller stops waiting, and after a restart. `by` is who asks for it, for the audit.
    ///
    /// # Errors
    /// As [`Runtime::handle`]; what was begun then goes on within a minute.
    pub async fn erase_contact(&self, id: ContactId, by: Actor) -> Result<Option<Erased>> {
        let runtime = self.clone();
        let erasing = tokio::spawn(async move { erasure::erase(&runtime, id, by).await });
        erasing.await.map_err(|error| Error::internal("Erasing a contact panicked").caused_by(error))?
    }

    /// Erases whom the list of erased contacts names and an older copy of the database still has. A start calls it
    /// before it takes requests.
    ///
    /// # Errors
    /// As [`Runtime::handle`], and when the list cannot be read or written.
    pub async fn take_in_erasures(&self) -> Result<()> {
        erasure::take_in_list(self).await
    }

    /// Clears what erasures since the last time have left in unused parts of the database's files, and gives of how
    /// many pages. It looks through the whole file, beside everything else. The server does so within minutes by
    /// itself.
    ///
    /// # Errors
    /// When the database cannot be read or refuses; it is tried again then.
    pub async fn clear_page_residue(&self) -> Result<usize> {
        erasure::clear_page_residue(self).await
    }

    /// Whether there is room for new sessions. Replies, timers and what ends sessions go on without.
    ///
    /// # Errors
    /// `Unavailable` while the database's disk is nearly full.
    pub fn check_room(&self) -> Result<()> {
        self.shared().store.check_room(WriteClass::New)
    }

    /// Measures the room anew, with so many bytes to be kept free.
    ///
    /// # Errors
    /// When the free space cannot be read; what was measured before stands.
    pub fn measure_room(&self, min_free: u64) -> Result<()> {
        self.shared().store.keep_free(min_free)
    }

    /// Settles every session that is due, in due order. Gives how many timers fired.
    ///
    /// # Errors
    /// When due sessions cannot be read. A session that fails is marked `failed` and does not stop the others.
    pub async fn run_due(&self) -> Result<usize> {
        sweeper::run_due(self).await
    }

    /// Tidies the database up: erasures that were interrupted go on, and what has been kept for long enough goes. The
    /// sweeper does so once a minute.
    ///
    /// # Errors
    /// The first of what went wrong, such as when the store takes no writes. The rest is done all the same, and what is
    /// left is tried the next time.
    pub async fn tidy(&self) -> Result<()> {
        housekeeping::tidy(self).await
    }

    /// Runs the sweeper until `stop` is done: at least every `interval`, sooner when a nearer timer is armed.
    pub async fn sweep(&self, interval: Duration, stop: impl Future<Output = ()>) {
        sweeper::run(self, interval, stop).await;
    }

    /// Compiles a flow's version into the cache, outside the writer.
    async fn compile(&self, key: FlowKey) -> Result<()> {
        let runtime = self.clone();
        let compiling = tokio::task::spawn_blocking(move || {
            let document =
                runtime.store().read_vital(|conn| store::flows::version_document(conn, key.flow_seq, key.version))?;
            let document = document.ok_or_else(|| {
                Error::internal(format!("Version {} of flow {} is not in the database", key.version, key.flow_seq))
            })?;
            loop {
                let default_ttl = runtime.default_ttl();
                let flow = compile_document(&document, default_ttl)?;
                let flow = CachedFlow { flow: Arc::new(flow), bytes: document.len() as u64 };
                runtime.shared().flows.insert(key, Arc::new(flow));
                // It carries the time to live, which may have changed since; then the cache was cleared before this.
                if runtime.default_ttl() == default_ttl {
                    return Ok(());
                }
            }
        });
        compiling.await.map_err(|error| Error::internal("Compiling a flow panicked").caused_by(error))?
    }
}

/// Waits a little for a store that did not take a job, and longer where the disk is full; `false` if it takes none any
/// more.
async fn wait_for_store(runtime: &Runtime) -> bool {
    tokio::time::sleep(if is_full(runtime) { WHILE_FULL } else { AFTER_REFUSAL }).await;
    runtime.store().is_healthy()
}

/// Whether the disk has no room for what goes on by itself. The log has it that the disk is full; a worker that is
/// refused need not say so again.
fn is_full(runtime: &Runtime) -> bool {
    runtime.store().room() == RoomLevel::EssentialOnly
}

/// Tells the log that a worker could not write and tries again, unless that is because the disk is full.
fn log_failure(runtime: &Runtime, error: &Error, what: &str) {
    if is_full(runtime) {
        tracing::debug!(%error, "{what}");
    } else {
        tracing::warn!(%error, "{what}");
    }
}

/// A wait that is drawn between the half and the whole of `at_most`, so that what failed together does not come back
/// together.
fn jittered(at_most: Duration) -> Duration {
    let drawn = getrandom::u32().unwrap_or(u32::MAX);
    at_most / 2 + at_most.mul_f64(f64::from(drawn) / f64::from(u32::MAX) / 2.0)
}

fn compile_document(document: &str, default_ttl: Duration) -> Result<CompiledFlow> {
    let value =
        serde_json::from_str(document).map_err(|error| Error::internal("A stored flow is no JSON").caused_by(error))?;
    let document = FlowDocument::parse(&value).map_err(|problems| {
        let why = problems.first().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        Error::internal(format!("A published flow cannot be run: {why}"))
    })?;
    Ok(CompiledFlow::load(document, default_ttl))
}
