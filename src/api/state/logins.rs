//! Log-ins of the admin page: the cookie, the set-up code, and how often a password may be guessed.
//!
//! Log-ins are in memory like tokens, and in the database, so that a restart ends none. A guess counts as wrong before
//! it is checked and is taken back if it was right: many at once are no faster than one after the other.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use ipnet::IpNet;
use tokio::sync::oneshot;

use super::caller::{Caller, Principal};
use super::forwarded;
use crate::api::error::ApiError;
use crate::credentials;
use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::domain::{Network, Scope, Timestamp};
use crate::error::{Error, Result};
use crate::store::logins::{self, Failures, LoginRow};
use crate::store::{Conn, Store, Tx, WriteClass, audit};

/// The cookie's name.
pub(in crate::api) const COOKIE: &str = "qyvo_admin";
/// How long a log-in lasts.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// Wrong guesses from one network that cost nothing.
const FREE_GUESSES: u32 = 5;
/// How long the guess after those waits; each further one waits twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(15);
/// How long a guess waits at most.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Wrong passwords in an hour from all networks together that had no log-in before: half of them at once, and the other
/// half in the course of the hour. A network with an earlier log-in is not affected by the guesses of others.
const UNKNOWN_GUESSES: u32 = 100;
/// The share of an hour that such a guess uses up, and how far ahead of the time they may be.
const GUESS_SHARE: Duration = Duration::from_secs(3600 / (UNKNOWN_GUESSES as u64 / 2));
const SHARES: Duration = Duration::from_secs(3600);
/// Passwords that wait to be hashed: each takes some 50 ms.
const HASHES_WAITING: usize = 64;

/// The admin page's door.
pub(crate) struct Logins {
    state: RwLock<Arc<Known>>,
    code: String,
    is_pinned: bool,
    trusted: Vec<IpNet>,
    /// Whether the warning about an untrusted proxy was logged.
    has_warned: AtomicBool,
    hashing: Hashing,
}

#[derive(Default)]
struct Known {
    live: HashMap<[u8; 32], LoginRow>,
    has_password: bool,
}

/// Rows of the store about log-ins: the live ones, and whether a password is set.
pub(in crate::api) type Rows = (Vec<LoginRow>, bool);

impl Logins {
    /// Reads the log-ins of a store. `is_pinned` says that the configuration sets the password.
    pub(crate) fn load(store: &Store, is_pinned: bool, trusted: Vec<IpNet>, now: Timestamp) -> Result<Self> {
        let logins = Self {
            state: RwLock::default(),
            code: credentials::make_code()?,
            is_pinned,
            trusted,
            has_warned: AtomicBool::new(false),
            hashing: Hashing::start()?,
        };
        logins.replace(store.read(|conn| Self::rows(conn, now))?);
        Ok(logins)
    }

    /// What [`Logins::replace`] takes.
    pub(in crate::api) fn rows(conn: &Conn, now: Timestamp) -> Result<Rows> {
        Ok((logins::live(conn, now)?, credentials::password(conn)?.is_some()))
    }

    pub(in crate::api) fn replace(&self, (rows, has_password): Rows) {
        let live = rows.into_iter().map(|row| (row.hash, row)).collect();
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Known { live, has_password });
    }

    /// The code that sets the first password, while there is none.
    pub(crate) fn set_up_code(&self) -> Option<&str> {
        (!self.known().has_password).then_some(self.code.as_str())
    }

    /// Whether the configuration sets the password.
    pub(in crate::api) fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    /// The user whose valid cookie was sent, and the token that goes with it.
    pub(in crate::api) fn find(&self, headers: &HeaderMap, now: Timestamp) -> Option<(Principal, String)> {
        let cookies = headers.get_all(actix_web::http::header::COOKIE).filter_map(|value| value.to_str().ok());
        let value = cookies
            .flat_map(|value| value.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))?
            .to_owned();
        let known = self.known();
        let row = known.live.get(&credentials::fingerprint(&value)).filter(|row| row.expires_at > now)?;
        let caller = Caller::Login(row.seq);
        let principal = Principal {
            caller,
            name: row.actor.as_str().into(),
            scope: Scope::Admin,
            rate_limit: None,
            token: None,
            network: None,
            usage: None,
            secret: None,
        };
        Some((principal, csrf_token(&value)))
    }

    /// Whether the log-in in a row still lasts.
    pub(in crate::api) fn is_live(&self, seq: i64, now: Timestamp) -> bool {
        self.known().live.values().any(|row| row.seq == seq && row.expires_at > now)
    }

    /// Checks a password, and returns the hash that it fits. A caller that acts on it must check in the same
    /// transaction that it is still the one in force.
    ///
    /// # Errors
    /// 401 where it is wrong, 429 where too many were, 409 where none is set.
    pub(in crate::api) async fn check_password(
        &self,
        store: &Store,
        network: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<String, ApiError> {
        self.guess(store, network, now, true).await?;
        let hash: String = store.query_vital(credentials::password).await?.ok_or_else(|| {
            ApiError::refused(StatusCode::CONFLICT, "No password is set yet.")
                .hint("Set one with the code that the server printed when it started.")
        })?;
        let (password, kept) = (password.to_owned(), hash.clone());
        let is_right = self.hashing.run(move || credentials::is_password(&password, &kept)).await?;
        if !is_right {
            self.record_failure(store, network, now).await?;
            return Err(wrong_password());
        }
        let network = network.to_owned();
        store
            .write(move |tx| {
                if !logins::is_known(tx, &network)?
                    && let Some(used) = logins::used_up_to(tx)?
                {
                    logins::set_used_up_to(tx, used.minus(GUESS_SHARE))?;
                }
                logins::clear_failures(tx, &network)?;
                logins::add_known(tx, &network, now)
            })
            .await?;
        Ok(hash)
    }

    /// Checks the set-up code.
    ///
    /// # Errors
    /// 403 where it is wrong, 429 where too many were, 409 where a password is set.
    pub(in crate::api) async fn check_code(
        &self,
        store: &Store,
        network: &str,
        code: &str,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let Some(right) = self.set_up_code() else { return Err(self.already_set_up()) };
        self.guess(store, network, now, false).await?;
        let bare = |code: &str| code.replace(['-', ' '], "").to_ascii_uppercase();
        // Compared by their hashes, so that the time it takes reveals nothing.
        if credentials::fingerprint(&bare(code)) != credentials::fingerprint(&bare(right)) {
            self.record_failure(store, network, now).await?;
            let error = ApiError::refused(StatusCode::FORBIDDEN, "The set-up code is wrong.");
            return Err(error.hint("The server prints it when it starts; it is another one each time."));
        }
        self.forgive(store, network).await
    }

    /// The refusal of a second set-up.
    pub(in crate::api) fn already_set_up(&self) -> ApiError {
        ApiError::refused(StatusCode::CONFLICT, "The password is set already.").hint(match self.is_pinned {
            true => "Log in with the one that the configuration sets.",
            false => "Log in with it. If nobody knows it, run `qyvo admin reset-password` on the server.",
        })
    }

    /// The hash of a new password.
    pub(in crate::api) async fn hash_password(&self, password: &str) -> Result<String, ApiError> {
        let password = password.to_owned();
        self.hashing.run(move || credentials::hash_password(&password)).await?.map_err(ApiError::from)
    }

    /// Counts a guess as wrong, unless it comes too early. A password is also counted for all networks together; the
    /// set-up code is not, for it cannot be guessed at any pace, and its owner's network is not known yet.
    async fn guess(&self, store: &Store, network: &str, now: Timestamp, is_password: bool) -> Result<(), ApiError> {
        // Checked before anything is written: a guess that comes too early takes no time of the writer.
        let mine = network.to_owned();
        let found = store.query_vital(move |conn| Throttle::read(conn, &mine, is_password)).await?;
        if !found.is_ahead_of(now) {
            refuse_early(found.wait(now))?;
        }
        let network = network.to_owned();
        let wait = store
            .write_as(WriteClass::Essential, move |tx| {
                let mut found = Throttle::read(tx, &network, is_password)?;
                if found.is_ahead_of(now) {
                    // The clock was ahead when they were made. They wait from now on, and not until then.
                    logins::take_back_to(tx, now)?;
                    if let Some(used) = found.used_up_to {
                        logins::set_used_up_to(tx, used.min(now.plus(SHARES)))?;
                    }
                    found = Throttle::read(tx, &network, is_password)?;
                }
                let wait = found.wait(now);
                if wait.is_zero() {
                    logins::add_failure(tx, &network, now)?;
                    if found.counts_for_all {
                        let used = found.used_up_to.map_or(now, |used| used.max(now));
                        logins::set_used_up_to(tx, used.plus(GUESS_SHARE))?;
                    }
                }
                Ok(wait)
            })
            .await?;
        refuse_early(wait)
    }

    /// Records a wrong password or code in the audit. The throttle bounds how many that are, and the name that came
    /// with it is left out: it proves nothing, and people type passwords there.
    async fn record_failure(&self, store: &Store, network: &str, now: Timestamp) -> Result<(), ApiError> {
        let deed = Deed::new(AuditAction::LogInFailed, Actor::unknown(network));
        let kept = deed.clone();
        store.write_as(WriteClass::Essential, move |tx| audit::record(tx, &kept, now)).await?;
        audit::log(&deed);
        Ok(())
    }

    async fn forgive(&self, store: &Store, network: &str) -> Result<(), ApiError> {
        let network = network.to_owned();
        Ok(store.write_as(WriteClass::Essential, move |tx| logins::clear_failures(tx, &network)).await?)
    }

    /// The network that a request comes from: the unit in which guesses are counted.
    pub(in crate::api) fn network_of(&self, request: &HttpRequest) -> String {
        let Some((address, is_ignored)) = forwarded::caller(request, &self.trusted) else {
            return "unknown".to_owned();
        };
        if is_ignored && !self.has_warned.swap(true, Ordering::Relaxed) {
            let peer = address;
            tracing::warn!(%peer, "X-Forwarded-For of a proxy that server.trusted_proxies does not name is ignored");
        }
        Network::of(address).to_string()
    }

    fn known(&self) -> Arc<Known> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The refusal of a password.
pub(in crate::api) fn wrong_password() -> ApiError {
    ApiError::refused(StatusCode::UNAUTHORIZED, "The password is wrong.")
}

/// The one thread that hashes passwords. Each takes 19 MiB, and a thread that once had them keeps them: on a pool they
/// would add up.
struct Hashing(mpsc::SyncSender<Box<dyn FnOnce() + Send>>);

impl Hashing {
    fn start() -> Result<Self> {
        let (sender, jobs) = mpsc::sync_channel::<Box<dyn FnOnce() + Send>>(HASHES_WAITING);
        let work = move || {
            for job in jobs {
                // The caller gets an error after a panic, and the next job is served all the same.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
        };
        std::thread::Builder::new()
            .name("hashing".to_owned())
            .spawn(work)
            .map_err(|error| Error::internal("The thread that hashes passwords cannot be started").caused_by(error))?;
        Ok(Self(sender))
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            // A caller that no longer waits needs no answer.
            let _ = answer.send(work());
        };
        if self.0.try_send(Box::new(job)).is_err() {
            return Err(ApiError::TooManyGuesses { retry_after: 5 });
        }
        Ok(answered.await.map_err(|error| Error::internal("Hashing a password panicked").caused_by(error))?)
    }
}

/// A new log-in: its row, and the cookie's value.
pub(in crate::api) fn insert(tx: &Tx<'_>, secret: &str, actor: &str, now: Timestamp) -> Result<i64> {
    logins::insert(tx, &credentials::fingerprint(secret), actor, now, now.plus(LIFETIME))
}

/// The answer's cookie that keeps a browser logged in.
pub(in crate::api) fn cookie(secret: String, is_secure: bool) -> Cookie<'static> {
    let lifetime = i64::try_from(LIFETIME.as_secs()).unwrap_or_default();
    bare_cookie(secret, is_secure).max_age(time::Duration::seconds(lifetime)).finish()
}

/// The answer that takes the cookie back.
pub(in crate::api) fn no_cookie(is_secure: bool) -> Cookie<'static> {
    bare_cookie(String::new(), is_secure).max_age(time::Duration::ZERO).finish()
}

fn bare_cookie(value: String, is_secure: bool) -> actix_web::cookie::CookieBuilder<'static> {
    Cookie::build(COOKIE, value).path("/").http_only(true).same_site(SameSite::Strict).secure(is_secure)
}

/// What a page must send with every change: only a page with the cookie can know it, and no other site's page can set
/// the header.
pub(in crate::api) fn csrf_token(secret: &str) -> String {
    hex::encode(credentials::fingerprint(&format!("csrf:{secret}")))
}

/// What decides how long the next guess from a network has to wait.
struct Throttle {
    failures: Option<Failures>,
    /// The guess counts for all networks without an earlier log-in.
    counts_for_all: bool,
    /// What those have used up.
    used_up_to: Option<Timestamp>,
}

impl Throttle {
    fn read(conn: &Conn, network: &str, is_password: bool) -> Result<Self> {
        let counts_for_all = is_password && !logins::is_known(conn, network)?;
        let used_up_to = if counts_for_all { logins::used_up_to(conn)? } else { None };
        Ok(Self { failures: logins::failures(conn, network)?, counts_for_all, used_up_to })
    }

    /// Whether it was written by a clock that was ahead of this one.
    fn is_ahead_of(&self, now: Timestamp) -> bool {
        self.failures.is_some_and(|failures| failures.last_at > now)
            || self.used_up_to.is_some_and(|used| used > now.plus(SHARES))
    }

    fn wait(&self, now: Timestamp) -> Duration {
        let own = self.failures.map_or(Duration::ZERO, |failures| {
            failures.last_at.plus(pause(failures.count)).since(now).min(pause(failures.count))
        });
        let of_all =
            self.used_up_to.map_or(Duration::ZERO, |used| used.since(now.plus(SHARES.saturating_sub(GUESS_SHARE))));
        own.max(of_all.min(GUESS_SHARE))
    }
}

fn refuse_early(wait: Duration) -> Result<(), ApiError> {
    if wait.is_zero() {
        return Ok(());
    }
    Err(ApiError::TooManyGuesses { retry_after: wait.as_secs() + u64::from(wait.subsec_nanos() > 0) })
}

/// How long the guess after so many wrong ones waits.
fn pause(failures: u32) -> Duration {
    match failures.checked_sub(FREE_GUESSES) {
        None => Duration::ZERO,
        Some(more) => FIRST_WAIT.saturating_mul(1 << more.min(10)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_wait_twice_as_long_each_time() {
        let seconds: Vec<u64> = (4..14).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(seconds, [0, 15, 30, 60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(pause(u32::MAX), LONGEST_WAIT);
    }
}
