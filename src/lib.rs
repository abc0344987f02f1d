//! Qyvo: a self-hosted server for conversation flows, one binary and one SQLite file.
//!
//! The modules in reading order: [`domain`] (types without input or output), [`engine`] (how a conversation runs, as
//! one pure function), [`views`] (what the outside sees of a contact, a session, a message), [`store`] (the only module
//! that knows SQLite), [`channels`] (how messages leave), [`runtime`] (loads, steps and persists in one write job),
//! `api` (HTTP), and [`App`], which wires them. [`config`], [`telemetry`] and [`error`] serve them all; [`cli`] holds
//! the commands.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod api;
pub mod channels;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod domain;
pub mod engine;
pub mod error;
pub mod runtime;
mod server;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod views;

use std::thread;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App as WebApp, web};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use channels::Channel;
use config::Config;
use error::{Error, Result};
use runtime::{Clock, Options, Routing, Runtime};
use settings::{Settings, TAKE_AWAY, complete, make_channel};
use store::Store;

/// How soon what the command line writes takes effect in the server.
const GENERATION_INTERVAL: Duration = Duration::from_millis(500);
/// How soon it is noted that the disk has no room.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);

/// Looks at the disk for one at everything that may impair the server.
const LOOKS_PER_WHOLE: u32 = 15;

/// The whole program, wired and bound to its port.
pub struct App {
    runtime: Runtime,
    state: web::Data<api::State>,
    server: actix_web::dev::Server,
    port: u16,
    closing: watch::Sender<bool>,
    sweep_interval: Duration,
}

impl App {
    /// Opens the database, binds the port and wires everything. Requests are taken once it runs.
    ///
    /// # Errors
    /// When the database cannot be opened (another server has it, a newer version wrote it) or the address cannot be
    /// bound.
    pub fn build(config: &Config, clock: Clock) -> Result<Self> {
        let store = Self::open_store(config)?;
        pin_password(&store, config, clock.now())?;
        let settings = Settings::load(&store, config.clone())?;
        // A token that was set on the admin page is as good as one in the file.
        let complete = complete(config, &settings.effective());
        let live = config.live_channel_with(&complete)?;
        if let Some(sentence) = live.in_part.as_ref().filter(|_| !live.waits) {
            tracing::warn!("settings of the database are not used: {sentence} {TAKE_AWAY}");
        }
        let channel = make_channel(&complete, &live)?;
        keep_channel(&store, channel.name(), clock.now())?;
        let is_pinned = !config.admin.password.expose().is_empty();
        let logins = api::Logins::load(&store, is_pinned, config.server.trusted_proxies.clone(), clock.now())?;
        let runtime = Runtime::new(store.clone(), clock, options(&complete, &live, channel));
        let (closing, closed) = watch::channel(false);
        let state = web::Data::new(api::State {
            tokens: api::Tokens::load(&store)?,
            logins,
            rate_limit: api::RateLimit::per_minute(config.limits.requests_per_minute),
            settings,
            watchers: api::Watchers::new(closed),
            admitting: tokio::sync::Mutex::default(),
            unproven_bytes: tokio::sync::Semaphore::new(api::UNPROVEN_BYTES),
            compiling: tokio::sync::Semaphore::new(api::COMPILED_AT_ONCE),
            batches: api::Batches::default(),
            max_body: config.server.max_body.bytes(),
            read_secret: {
                let config = config.clone();
                Box::new(move |key| config.read_secret_again(key))
            },
            runtime: runtime.clone(),
        });
        state.follow_settings();
        let options = server::Options {
            bind: config.server.bind,
            connections_per_peer: config.server.connections_per_peer,
            trusted_proxies: config.server.trusted_proxies.clone(),
        };
        let listener = server::bind(&options)?;
        let cannot_serve = |error| Error::internal("The HTTP server cannot be started").caused_by(error);
        let port = listener.local_addr().map_err(cannot_serve)?.port();
        let shared = state.clone();
        let server = server::serve(listener, options, move || {
            WebApp::new().app_data(shared.clone()).configure(api::configure).wrap(from_fn(api::surround))
        })
        .map_err(cannot_serve)?;
        let sweep_interval = config.sessions.sweep_interval;
        Ok(Self { runtime, state, server, port, closing, sweep_interval })
    }

    /// Opens the database that a configuration names, creating it if it is not there.
    ///
    /// # Errors
    /// When another server has it, or it is not ours, or a newer version wrote it.
    pub fn open_store(config: &Config) -> Result<Store> {
        let storage = &config.storage;
        let begin = store::Begin { anew: storage.begin_anew, keep_log: storage.keep_log };
        let min_free = storage.min_free.bytes() as u64;
        Store::open(&store::Options {
            synchronous: storage.synchronous,
            min_free,
            begin,
            ..store::Options::new(&storage.path)
        })
    }

    /// Builds it, calls `ready` and runs it until it is stopped, on this thread and the server's own.
    ///
    /// # Errors
    /// As [`App::build`] and [`App::run_until_stopped`], and what `ready` says.
    pub fn serve(config: &Config, clock: Clock, ready: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        actix_web::rt::System::new().block_on(async {
            let app = Self::build(config, clock)?;
            ready(&app)?;
            app.run_until_stopped().await
        })
    }

    /// The port it is bound to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The code that sets the admin page's first password, while there is none.
    pub fn set_up_code(&self) -> Option<&str> {
        self.state.logins.set_up_code()
    }

    /// The runtime, for tests and tools that drive it beside the API.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Stops the server from elsewhere; `true` lets requests under way finish.
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// Takes requests, fires timers and sends messages until SIGTERM, SIGINT or [`App::handle`] stops it, or the database takes no more
    /// writes. Then requests and messages under way finish, nothing new goes out, and the database is closed. A second
    /// signal cuts off what is under way.
    ///
    /// # Errors
    /// Why the database stopped taking writes, or why the server failed.
    pub async fn run_until_stopped(self) -> Result<()> {
        let Self { runtime, state, server, closing, sweep_interval, .. } = self;
        runtime.settle_configuration().await?;
        let store = runtime.store().clone();
        let (stop, stopped) = watch::channel(false);
        let (abort, aborted) = watch::channel(false);
        let until_stopped = || until(&stopped);
        // What reaches others begins nothing new once the server is told to stop, while requests under way finish.
        let closed = closing.subscribe();
        let until_told = || {
            let (closed, stopped) = (until(&closed), until(&stopped));
            async move {
                tokio::select! {
                    () = closed => {}
                    () = stopped => {}
                }
            }
        };
        let sweeper = {
            let (runtime, until) = (runtime.clone(), until_stopped());
            tokio::spawn(async move { runtime.sweep(sweep_interval, until).await })
        };
        let sender = {
            let (runtime, until) = (runtime.clone(), until_told());
            tokio::spawn(async move { runtime.run_outbox(until).await })
        };
        let follower = {
            let until = until_stopped();
            actix_web::rt::spawn(async move { api::follow(&state, GENERATION_INTERVAL, until).await })
        };
        let templates_of = runtime.clone();
        let callers = [
            tokio::spawn({
                let (runtime, until) = (runtime.clone(), until_told());
                async move { runtime.run_calls(until).await }
            }),
            tokio::spawn({
                let (runtime, until) = (runtime.clone(), until_told());
                async move { runtime.run_webhooks(until).await }
            }),
            tokio::spawn({
                let (runtime, until) = (runtime.clone(), until_stopped());
                async move { runtime.run_search_index(until).await }
            }),
        ];
        let warden = actix_web::rt::spawn(watch_health(runtime, until_stopped()));
        let templates = {
            let (runtime, until) = (templates_of, until_stopped());
            tokio::spawn(async move { runtime.keep_templates(until).await })
        };
        let handle = server.handle();
        // It hears signals until the database is closed: tokio keeps them from ending the process by themselves.
        let stopper = actix_web::rt::spawn(stop_on_signals(server.handle(), closing, stopped.clone(), abort));
        let mut server = std::pin::pin!(server);
        let served = tokio::select! {
            served = &mut server => served.map_err(|error| Error::internal("The server failed").caused_by(error)),
            failure = store.failed() => {
                tracing::error!(error = %failure, "the database takes no more writes; the server stops");
                // The server has to run to carry out its own stop.
                let _ = tokio::join!(handle.stop(false), &mut server);
                Err(failure)
            }
            // A stop that waits for requests hears of no other.
            () = until(&aborted) => Ok(()),
        };
        stop.send_replace(true);
        for mut task in [sweeper, sender, follower, warden, templates].into_iter().chain(callers) {
            let ended = tokio::select! {
                biased;
                ended = &mut task => ended,
                () = until(&aborted) => {
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
        // Closing waits for the writer's thread, which may be saving a file that was removed.
        let saving = store.clone();
        let cut_off = until(&aborted);
        let waiting = actix_web::rt::spawn(async move {
            cut_off.await;
            saving.cut_off();
        });
        let closing = store.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || closing.close()).await {
            tracing::error!(%error, "closing the database panicked");
        }
        waiting.abort();
        stopper.abort();
        served
    }
}

/// Done once a watched value is true. The sender going away counts, too.
fn until(watched: &watch::Receiver<bool>) -> impl Future<Output = ()> + Send + use<> {
    let mut watched = watched.clone();
    async move { drop(watched.wait_for(|is_so| *is_so).await) }
}

/// Stops the server on SIGTERM or SIGINT, letting requests and messages under way finish. Raises `abort` on the second
/// one, or on one that comes once the server has stopped for another reason: then nothing is waited for any more.
async fn stop_on_signals(
    server: ServerHandle,
    closing: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    abort: watch::Sender<bool>,
) {
    let signals = || Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?));
    let (mut terminate, mut interrupt) = match signals() {
        Ok(signals) => signals,
        Err(error) => {
            let error: std::io::Error = error;
            tracing::error!(%error, "signals cannot be heard: only a kill stops this server");
            // The senders going away would be a stop.
            return std::future::pending().await;
        }
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if *stopped.borrow() || closing.send_replace(true) {
            tracing::warn!("stopping at once: what is under way is cut off, and the next start decides on it");
            abort.send_replace(true);
        } else {
            tracing::info!("stopping: what is under way finishes; a second signal cuts it off");
            // Not awaited, so that a second signal is heard meanwhile.
            drop(actix_web::rt::spawn(server.stop(true)));
        }
    }
}

/// What the runtime is told of a configuration.
fn options(config: &Config, live: &config::LiveChannel, channel: Channel) -> Options {
    Options {
        unknown_after: config.outbox.unknown_after,
        resend: config.resend_on(live.channel),
        messages_per_second: config.whatsapp.messages_per_second,
        routing: Routing {
            opt_out_words: config.routing.opt_out_words.clone(),
            opt_in_words: config.routing.opt_in_words.clone(),
            fallback_flow: config.routing.fallback_flow.parse().ok(),
            colleague_pause: config.routing.colleague_pause,
        },
        allow: config.http_request.allow.clone(),
        ..Options::new(channel, config.sessions.default_ttl)
    }
}

/// Makes the configuration's password the admin page's. Another one than before ends all log-ins.
fn pin_password(store: &Store, config: &Config, now: domain::Timestamp) -> Result<()> {
    let password = config.admin.password.expose();
    if password.is_empty() {
        return Ok(());
    }
    let kept = store.read(credentials::password)?;
    if kept.as_ref().is_some_and(|hash| credentials::is_password(password, hash)) {
        return Ok(());
    }
    if kept.is_some() {
        tracing::warn!("the password of the configuration replaces the one that was set before, and ends all log-ins");
    }
    let hash = credentials::hash_password(password)?;
    write_at_start(store, move |tx| credentials::set_password(tx, &hash, None, now))
}

/// Tells commands on this database which channel its server has.
fn keep_channel(store: &Store, name: &'static str, now: domain::Timestamp) -> Result<()> {
    if store.read(settings::last_channel)?.as_deref() == Some(name) {
        return Ok(());
    }
    write_at_start(store, move |tx| settings::keep_channel(tx, name, now))
}

/// Writes on a thread of its own: this one may be driving asynchronous work, which must not wait for the writer.
fn write_at_start(store: &Store, job: impl Fn(&store::Tx<'_>) -> Result<()> + Send + 'static) -> Result<()> {
    let store = store.clone();
    let writing = thread::spawn(move || store.write_blocking_as(store::WriteClass::Essential, job));
    writing.join().unwrap_or_else(|_| Err(Error::internal("Writing at the start panicked")))
}

/// Notes since when the disk has had no room, and now and then what else impairs the server, until `stop` is done: so that
/// the log has it also where nobody asks.
async fn watch_health(runtime: Runtime, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    // Not at the very start, which has better things to do.
    let mut looks = 1_u32;
    loop {
        runtime.note_room();
        if looks.is_multiple_of(LOOKS_PER_WHOLE) {
            runtime.impairments().await;
        }
        looks = looks.wrapping_add(1);
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(ROOM_INTERVAL) => {}
        }
    }
}
