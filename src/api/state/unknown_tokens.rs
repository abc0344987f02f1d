//! Tokens that are not known here: a command may have made them a moment ago.
//!
//! Whether one has is asked once before a token is refused. Callers of the same moment share a look, and a token that
//! was not there is refused for a second without another, so that guesses cost the database next to nothing.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::api::error::ApiError;

/// How long a token that was not there is refused without a look.
const REMEMBERED: Duration = Duration::from_secs(1);
/// Tokens that are remembered so at most.
const MISSES: usize = 1_024;

/// What is known of tokens that are unknown.
#[derive(Debug, Default)]
pub(super) struct UnknownTokens {
    /// Those that were not there, by hash, and when.
    misses: Mutex<HashMap<[u8; 32], Instant>>,
    /// When the last look began. Held by who looks.
    looked_at: tokio::sync::Mutex<Option<Instant>>,
}

impl UnknownTokens {
    /// What `find` has for a token that is not known here, after `reload` where a command may have made it since.
    ///
    /// # Errors
    /// When `reload` fails.
    pub(super) async fn look_for<T>(
        &self,
        hash: [u8; 32],
        reload: impl Future<Output = Result<(), ApiError>>,
        find: impl FnOnce() -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let arrived_at = Instant::now();
        if self.is_missed(&hash, arrived_at) {
            return Ok(None);
        }
        let mut looked_at = self.looked_at.lock().await;
        // A look that began since sees what this caller would.
        if looked_at.is_none_or(|at| at < arrived_at) {
            let began_at = Instant::now();
            reload.await?;
            *looked_at = Some(began_at);
        }
        drop(looked_at);
        let found = find();
        if found.is_none() {
            self.miss(hash, Instant::now());
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
