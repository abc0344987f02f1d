//! Tokens that are not known here: a command may have made them a moment ago.
//!
//! Whether one has is asked once before a token is refused. Callers of the same moment share a look, and a token that
//! was not there is refused for a second without another, so that guesses cost the database next to nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::state::{State, read_vital};
use crate::store;

/// How long a token that was not there is refused without a look.
const REMEMBERED: Duration = Duration::from_secs(1);
/// Tokens that are remembered so at most.
const MISSES: usize = 1_024;

/// What is known of tokens that are unknown.
#[derive(Debug, Default)]
pub(in crate::api) struct UnknownTokens {
    /// Those that were not there, by hash, and when.
    misses: Mutex<HashMap<[u8; 32], Instant>>,
    /// When the last look began. Held by who looks.
    looked_at: tokio::sync::Mutex<Option<Instant>>,
}

impl UnknownTokens {
    /// Looks whether a command has made a token that is not known here. Reads the tokens anew if it may have.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(in crate::api) async fn look_for(state: &State, hash: [u8; 32]) -> Result<Option<Principal>, ApiError> {
        let unknown = state.tokens.unknown();
        let arrived_at = Instant::now();
        if unknown.is_missed(&hash, arrived_at) {
            return Ok(None);
        }
        let mut looked_at = unknown.looked_at.lock().await;
        // A look that began since sees what this caller would.
        if looked_at.is_none_or(|at| at < arrived_at) {
            let began_at = Instant::now();
            if read_vital(state, store::generation).await? != state.tokens.generation() {
                state.admit().await?;
            }
            *looked_at = Some(began_at);
        }
        drop(looked_at);
        let found = state.tokens.of_hash(&hash);
        if found.is_none() {
            unknown.miss(hash, Instant::now());
        }
        Ok(found)
    }

    fn is_missed(&self, hash: &[u8; 32], now: Instant) -> bool {
        let misses = self.misses.lock().unwrap_or_else(PoisonError::into_inner);
        misses.get(hash).is_some_and(|at| now.duration_since(*at) < REMEMBERED)
    }

    fn miss(&self, hash: [u8; 32], now: Instant) {
        let mut misses = self.misses.lock().unwrap_or_else(PoisonError::into_inner);
        if misses.len() >= MISSES {
            misses.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        }
        // What is forgotten costs another look and no more.
        if misses.len() >= MISSES {
            misses.clear();
        }
        misses.insert(hash, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misses_are_remembered_for_a_second_and_so_many_of_them() {
        let unknown = UnknownTokens::default();
        let now = Instant::now();
        unknown.miss([1; 32], now);
        assert!(unknown.is_missed(&[1; 32], now + REMEMBERED - Duration::from_millis(1)));
        assert!(!unknown.is_missed(&[1; 32], now + REMEMBERED) && !unknown.is_missed(&[2; 32], now));
        for n in 0..3 * MISSES {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_be_bytes());
            unknown.miss(hash, now);
            assert!(unknown.is_missed(&hash, now));
        }
        assert!(unknown.misses.lock().unwrap().len() <= MISSES);
    }
}
