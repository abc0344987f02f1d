//! What requests share: the runtime and its store, the tokens, and the log-ins of the admin page.

pub(super) mod batches;
pub(super) mod caller;
pub(super) mod follow;
mod forwarded;
pub(super) mod logins;
pub(super) mod problems;
pub(super) mod quotas;
pub(super) mod rate_limit;
pub(super) mod requests;
pub(super) mod tokens;
mod unknown_tokens;
pub(super) mod usage;
pub(super) mod watchers;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::web;

use crate::api::error::ApiError;
use crate::error::{Error, Result};
use crate::runtime::Runtime;
use crate::settings::Settings;
use crate::store::idempotency::bytes_by_hour;
use crate::store::tokens::live as tokens_of;
use crate::store::{Conn, generation};
use batches::Batches;
use caller::{Caller, Principal};
use logins::Logins;
use quotas::Quotas;
use rate_limit::RateLimit;
use requests::Requests;
use tokens::Tokens;
use usage::Usage;
use watchers::Watchers;

/// Flows that are compiled or played for requests at once.
pub(crate) const COMPILED_AT_ONCE: usize = 4;

/// Reads the secret of a key of the configuration from its file; `None` where it came from no file.
pub(crate) type SecretReader = Box<dyn Fn(&str) -> Result<Option<String>> + Send + Sync>;

/// What handlers share.
pub(crate) struct State {
    /// Moves sessions and holds the store.
    pub(crate) runtime: Runtime,
    /// The tokens that may call.
    pub(crate) tokens: Tokens,
    /// The log-ins of the admin page.
    pub(crate) logins: Logins,
    /// How often a caller may call.
    pub(crate) rate_limit: RateLimit,
    /// What is counted of requests.
    pub(crate) requests: Requests,
    /// SHA-256 of the token that `/metrics` takes beside those of scope admin; `None` where none is configured.
    pub(crate) metrics_token: Option<[u8; 32]>,
    /// What a caller may have stored.
    pub(crate) quotas: Quotas,
    /// What the admin page may change.
    pub(crate) settings: Settings,
    /// The subscribers to the feed of changes.
    pub(crate) watchers: Watchers,
    /// Flows that are compiled or played for a request at once: each takes a core, and perhaps 50 MB.
    pub(crate) compiling: tokio::sync::Semaphore,
    /// Room for deliveries whose sender is not known yet, in bytes.
    pub(crate) unproven_bytes: tokio::sync::Semaphore,
    /// What batches of triggers take turns for.
    pub(crate) batches: Batches,
    /// Held while tokens and log-ins are read and until they are in force: an older reading never replaces a newer one,
    /// which would admit a revoked token again.
    pub(crate) admitting: tokio::sync::Mutex<()>,
    /// Bytes that a body may have.
    pub(crate) max_body: usize,
    /// Reads the secret of a key of the configuration again where that read it; `None` where that was no file.
    pub(crate) read_secret: SecretReader,
}

impl State {
    /// Puts the tokens and log-ins of the database in force.
    pub(in crate::api) async fn admit(&self) -> Result<(), ApiError> {
        let _in_order = self.admitting.lock().await;
        let now = self.runtime.clock().now();
        // The generation first: a write meanwhile then causes another read.
        let admitted = move |conn: &Conn| Ok((generation(conn)?, tokens_of(conn)?, Logins::rows(conn, now)?));
        let (generation, tokens, logins) = read_vital(self, admitted).await?;
        self.tokens.replace(generation, tokens);
        self.logins.replace(logins);
        self.rate_limit.forget_gone(|caller| match caller {
            Caller::Token(seq) => self.tokens.usage(seq).is_some(),
            Caller::Login(seq) => self.logins.is_live(seq, now),
        });
        Ok(())
    }

    /// The caller of a token that is not known here: a command may have made it a moment ago.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(in crate::api) async fn look_for_token(&self, hash: [u8; 32]) -> Result<Option<Principal>, ApiError> {
        let reload = async {
            if read_vital(self, generation).await? != self.tokens.generation() {
                self.admit().await?;
            }
            Ok(())
        };
        self.tokens.unknown().look_for(hash, reload, || self.tokens.of_hash(&hash, self.runtime.clock().now())).await
    }

    /// Sends with another access token from now on, if the live channel is the one whose token the key holds.
    pub(in crate::api) async fn use_access_token(&self, key: &str, token: String) -> Result<(), ApiError> {
        // Elsewhere it is kept for the day that the channel is live.
        if self.live_token_key() == Some(key) {
            self.runtime.set_access_token(token).await?;
        }
        Ok(())
    }

    /// The key of the access token that the live channel works with. One that is configured in part works with none
    /// yet.
    pub(in crate::api) fn live_token_key(&self) -> Option<&'static str> {
        let channel = self.runtime.channel();
        channel.kind().access_token_key().filter(|_| channel.lacks().is_none())
    }

    /// Makes everything follow the settings as they are now.
    pub(crate) fn follow_settings(&self) {
        let effective = self.settings.effective();
        self.runtime.set_default_ttl(effective.default_ttl);
        self.rate_limit.set(effective.limits.requests_per_minute);
        self.quotas.set(effective.limits);
        self.runtime.simulations().set_max_bytes(effective.limits.simulation_bytes.bytes());
    }

    /// Takes what a request that keeps no answer has the server store: so many bytes were sent.
    ///
    /// # Errors
    /// The refusal, where a limit of the caller leaves no room for it.
    pub(in crate::api) fn charge(&self, principal: &Principal, sent: usize) -> Result<(), ApiError> {
        self.quotas.charge(principal, sent, self.runtime.clock().now())
    }

    /// Counts the answers that were kept before the server started. Until then there is more room for new ones.
    async fn load_kept_answers(&self) -> Result<(), ApiError> {
        let now = self.runtime.clock().now();
        let rows = read_heavy(self, bytes_by_hour).await?;
        let usages: HashMap<i64, Arc<Usage>> =
            rows.iter().filter_map(|row| Some((row.token_seq, self.tokens.usage(row.token_seq)?))).collect();
        let rows = rows.into_iter().map(|row| (row.token_seq, row.hour, row.bytes));
        self.quotas.load_kept(rows, |token| usages.get(&token).map(Arc::as_ref), now);
        Ok(())
    }

    /// Whether users come over HTTPS, so that the cookie must not travel otherwise.
    pub(in crate::api) fn is_secure(&self) -> bool {
        self.settings.effective().public_url.starts_with("https://")
    }
}

/// Reads from the store on a thread that may block.
pub(in crate::api) async fn read<T: Send + 'static>(
    state: &State,
    query: impl FnOnce(&Conn) -> Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    Ok(state.runtime.store().query(query).await?)
}

/// [`read`] for what must go on while other requests keep all connections busy.
pub(in crate::api) async fn read_vital<T: Send + 'static>(
    state: &State,
    query: impl FnOnce(&Conn) -> Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    Ok(state.runtime.store().query_vital(query).await?)
}

/// [`read`] for what may take long: a search, an export, a statistic. A few run at once, and the others wait for them.
pub(in crate::api) async fn read_heavy<T: Send + 'static>(
    state: &State,
    query: impl FnOnce(&Conn) -> Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    Ok(state.runtime.store().query_heavy(query).await?)
}

/// Compiles or plays a flow on a thread that may block, a few at once. `what` says what was done if it panics.
pub(in crate::api) async fn compute<T: Send + 'static>(
    state: &State,
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let _turn = state.compiling.acquire().await.map_err(|error| Error::internal("Closed").caused_by(error))?;
    let done = web::block(work).await;
    Ok(done.map_err(|error| Error::internal(format!("{what} panicked")).caused_by(error))?)
}
