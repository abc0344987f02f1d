//! The program as one value: wired, bound to its port, and run until it is stopped.

use std::pin::{Pin, pin};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App as WebApp, web};
use tokio::sync::watch;

use super::background::Background;
use super::signals::{Stops, stop_on_signals};
use super::sockets;
use super::wiring::{keep_channel, metrics_token, options, pin_password};
use crate::api;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::runtime::{Clock, Runtime};
use crate::settings::{Settings, TAKE_AWAY, make_channel};
use crate::store::{self, Store};

/// The whole program, wired and bound to its port.
pub struct App {
    runtime: Runtime,
    state: web::Data<api::State>,
    server: Server,
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
        let complete = settings.complete();
        let live = config.live_channel_with(&complete)?;
        if let Some(sentence) = live.in_part.as_ref().filter(|_| !live.waits) {
            tracing::warn!("settings of the database are not used: {sentence} {TAKE_AWAY}");
        }
        let channel = make_channel(&complete, &live)?;
        keep_channel(&store, channel.name(), clock.now())?;
        let is_pinned = !config.admin.password.expose().is_empty();
        let logins = api::Logins::load(&store, is_pinned, config.server.trusted_proxies.clone(), clock.now())?;
        let runtime = Runtime::new(store.clone(), clock, options(&complete, &live, channel)?);
        let (closing, closed) = watch::channel(false);
        let state = web::Data::new(api::State {
            tokens: api::Tokens::load(&store)?,
            logins,
            rate_limit: api::RateLimit::per_minute(config.limits.requests_per_minute),
            requests: api::Requests::of(runtime.metrics().clone()),
            metrics_token: metrics_token(config),
            quotas: api::Quotas::new(config.limits),
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
            metrics: Metrics::new(),
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

    /// Takes requests, fires timers and sends messages until SIGTERM, SIGINT or [`App::handle`] stops it, or the
    /// database takes no more writes. Then requests and messages under way finish, nothing new goes out, and the
    /// database is closed. A second signal cuts off what is under way.
    ///
    /// # Errors
    /// Why the database stopped taking writes, or why the server failed.
    pub async fn run_until_stopped(self) -> Result<()> {
        let Self { runtime, state, server, closing, sweep_interval, .. } = self;
        runtime.take_in_erasures().await?;
        runtime.settle_configuration().await?;
        let store = runtime.store().clone();
        let (stop, stopped) = watch::channel(false);
        let (abort, aborted) = watch::channel(false);
        let stops = Stops { closing: closing.subscribe(), stopped, aborted };
        let background = Background::start(runtime, state, sweep_interval, &stops);
        // It hears signals until the database is closed: tokio keeps them from ending the process by themselves.
        let stopper = actix_web::rt::spawn(stop_on_signals(server.handle(), closing, stops.stopped.clone(), abort));
        let mut server = pin!(server);
        let served = take_requests(server.as_mut(), &store, &stops).await;
        stop.send_replace(true);
        background.join(&stops).await;
        close(&store, &stops).await;
        stopper.abort();
        served
    }
}

/// Takes requests until the server is stopped, or the database takes no more writes.
async fn take_requests(mut server: Pin<&mut Server>, store: &Store, stops: &Stops) -> Result<()> {
    let handle = server.handle();
    tokio::select! {
        served = &mut server => served.map_err(|error| Error::internal("The server failed").caused_by(error)),
        failure = store.failed() => {
            tracing::error!(error = %failure, "the database takes no more writes; the server stops");
            // The server has to run to carry out its own stop.
            let _ = tokio::join!(handle.stop(false), &mut server);
            Err(failure)
        }
        // A stop that waits for requests hears of no other.
        () = stops.until_aborted() => Ok(()),
    }
}

/// Closes the database. That waits for the writer's thread, which may be saving a file that was removed.
async fn close(store: &Store, stops: &Stops) {
    let (saving, cut_off) = (store.clone(), stops.until_aborted());
    let waiting = actix_web::rt::spawn(async move {
        cut_off.await;
        saving.cut_off();
    });
    let closing = store.clone();
    if let Err(error) = tokio::task::spawn_blocking(move || closing.close()).await {
        tracing::error!(%error, "closing the database panicked");
    }
    waiting.abort();
}
