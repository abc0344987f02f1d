//! What the configuration means to the parts of the server, and what a start writes down of it.

use std::thread;

use crate::channels::Channel;
use crate::config::{Config, LiveChannel, Sending};
use crate::domain::Timestamp;
use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::error::{Error, Result};
use crate::runtime::{BackupPlan, Options, Retention, Routing};
use crate::store::{Store, Tx, WriteClass, audit};
use crate::{credentials, settings};

/// The options of the runtime by a configuration.
///
/// # Errors
/// `Internal` when a section of the configuration cannot be written down.
pub(super) fn options(config: &Config, live: &LiveChannel, channel: Channel) -> Result<Options> {
    let Sending { resend, messages_per_second } = config.sending(live.channel)?;
    let unset = Options::new(channel, config.sessions.default_ttl);
    Ok(Options {
        unknown_after: config.outbox.unknown_after,
        resend,
        messages_per_second: messages_per_second.unwrap_or(unset.messages_per_second),
        routing: Routing {
            opt_out_words: config.routing.opt_out_words.clone(),
            opt_in_words: config.routing.opt_in_words.clone(),
            fallback_flow: config.routing.fallback_flow.parse().ok(),
            colleague_pause: config.routing.colleague_pause,
        },
        allow: config.http_request.allow.clone(),
        backups: backup_plan(config),
        unused_settings: live.in_part.clone().filter(|_| !live.waits),
        retention: Retention {
            sessions: config.retention.sessions,
            messages: config.retention.messages,
            traces: config.retention.traces,
            deliveries: config.retention.deliveries,
            audit: config.retention.audit,
        },
        ..unset
    })
}

/// When and where the server makes backups.
fn backup_plan(config: &Config) -> BackupPlan {
    BackupPlan {
        every: config.backup.every,
        keep: config.backup.keep as usize,
        dir: config.backup_dir(),
        min_free: config.storage.min_free.bytes() as u64,
    }
}

/// SHA-256 of the token that `/metrics` takes beside those of scope admin, where the configuration has one.
pub(super) fn metrics_token(config: &Config) -> Option<[u8; 32]> {
    let token = config.server.metrics_token.expose();
    (!token.is_empty()).then(|| credentials::fingerprint(token))
}

/// Makes the configuration's password the admin page's. Another one than before ends all log-ins.
pub(super) fn pin_password(store: &Store, config: &Config, now: Timestamp) -> Result<()> {
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
    write_at_start(store, move |tx| {
        credentials::set_password(tx, &hash, None, now)?;
        audit::record(tx, &Deed::new(AuditAction::PasswordChanged, Actor::server()), now)
    })
}

/// Tells commands on this database which channel its server has.
pub(super) fn keep_channel(store: &Store, name: &'static str, now: Timestamp) -> Result<()> {
    if store.read(settings::last_channel)?.as_deref() == Some(name) {
        return Ok(());
    }
    write_at_start(store, move |tx| settings::keep_channel(tx, name, now))
}

/// Writes on a thread of its own: this one may be driving asynchronous work, which must not wait for the writer.
fn write_at_start(store: &Store, job: impl Fn(&Tx<'_>) -> Result<()> + Send + 'static) -> Result<()> {
    let store = store.clone();
    let writing = thread::spawn(move || store.write_blocking_as(WriteClass::Essential, job));
    writing.join().unwrap_or_else(|_| Err(Error::internal("Writing at the start panicked")))
}
