//! The program as one value: wired, bound to its port, and run until it is stopped.

use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App as WebApp, web};
use tokio::sync::watch;

use super::health::watch_health;
use super::signals::{stop_on_signals, until};
use super::sockets;
use super::wiring::{keep_channel, options, pin_password};
use crate::api;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::runtime::{Clock, Runtime};
use crate::settings::{Settings, TAKE_AWAY, complete, make_channel};
use crate::store::{self, Store};

/// How soon what the command line writes takes effect in the server.
const GENERATION_INTERVAL: Duration = Duration::from_millis(500);

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
        let options = sockets::Options {
            bind: config.server.bind,
            connections_per_peer: config.server.connections_per_peer,
            trusted_proxies: config.server.trusted_proxies.clone(),
        };
        let listener = sockets::bind(&options)?;
        let cannot_serve = |error| Error::internal("The HTTP server cannot be started").caused_by(error);
        let port = listener.local_addr().map_err(cannot_serve)?.port();
        let shared = state.clone();
        let server = sockets::serve(listener, options, move || {
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
