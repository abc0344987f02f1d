//! Running a command once for all requests with the same idempotency key: the key's row is part of the command's own
//! transaction.

use std::time::Duration;

use serde::Serialize;

use super::{Command, Deferred, Job};
use crate::domain::Timestamp;
use crate::error::{Error, Result};
use crate::store::{Conn, Tx, idempotency};

/// How long the answer to an idempotency key is kept.
pub(in crate::runtime) const KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A caller's promise that two requests are the same one.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// The token that sent it.
    pub token_seq: i64,
    /// The route, so that a key is not shared between two actions.
    pub route: &'static str,
    /// The header's text, at most 255 characters.
    pub key: String,
    /// SHA-256 of the raw body.
    pub body_hash: [u8; 32],
}

impl IdempotencyKey {
    fn row(&self) -> idempotency::Key<'_> {
        idempotency::Key { token_seq: self.token_seq, route: self.route, key: &self.key }
    }
}

/// The outcome of a command under an idempotency key.
#[derive(Debug)]
pub enum Idempotent<T> {
    /// It ran now.
    Ran(T),
    /// It ran before, with this outcome.
    Replayed(T),
    /// The key was used with another body.
    KeyReused,
}

/// Deletes the outcome of a key, if it is still this one.
pub(in crate::runtime) fn forget<T: Serialize>(tx: &Tx<'_>, key: &IdempotencyKey, outcome: &T) -> Result<bool> {
    let row = key.row();
    match idempotency::find(tx, &row)? {
        Some(kept) if kept.outcome == outcome_json(outcome)? => idempotency::delete(tx, &row),
        _ => Ok(false),
    }
}

fn outcome_json<T: Serialize>(outcome: &T) -> Result<String> {
    serde_json::to_string(outcome).map_err(|error| Error::internal("An outcome cannot be stored").caused_by(error))
}

/// Whether a request with the key is answered from what is kept.
pub(in crate::runtime) fn is_answered(conn: &Conn, key: &IdempotencyKey, now: Timestamp) -> Result<bool> {
    Ok(idempotency::find(conn, &key.row())?.is_some_and(|kept| kept.created_at.plus(KEY_LIFETIME) > now))
}

/// Runs a command, unless its key's row has an outcome already.
pub(in crate::runtime) fn run<C: Command>(
    job: &Job<'_>,
    key: Option<&IdempotencyKey>,
    command: &C,
) -> Result<Idempotent<C::Outcome>, Deferred> {
    let Some(key) = key else { return command.run(job).map(Idempotent::Ran) };
    let now = job.now();
    let row = key.row();
    let earlier = idempotency::find(job.tx(), &row)?;
    let is_live = |at: Timestamp| at.plus(KEY_LIFETIME) > now;
    match earlier {
        Some(earlier) if is_live(earlier.created_at) && earlier.body_hash == key.body_hash => {
            let outcome = serde_json::from_str(&earlier.outcome)
                .map_err(|error| Error::internal("A stored outcome cannot be read").caused_by(error))?;
            return Ok(Idempotent::Replayed(outcome));
        }
        Some(earlier) if is_live(earlier.created_at) => return Ok(Idempotent::KeyReused),
        _ => {}
    }
    let has_stale = earlier.is_some();
    let outcome = command.run(job)?;
    if C::is_kept(&outcome) {
        if has_stale {
            idempotency::delete(job.tx(), &row)?;
        }
        idempotency::insert(job.tx(), &row, &key.body_hash, &outcome_json(&outcome)?, now)?;
    }
    Ok(Idempotent::Ran(outcome))
}
