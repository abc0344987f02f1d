//! The tokens that are in force. They are looked up in memory, by the SHA-256 of what was sent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::caller::{Caller, Principal, SentSecret};
use super::unknown_tokens::UnknownTokens;
use super::usage::{Refused, Usage};
use crate::domain::{Timestamp, TokenId};
use crate::error::Result;
use crate::store::tokens::{self, LiveSecret};
use crate::store::{self, Store};

/// The live tokens, by hash.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    live: RwLock<Arc<HashMap<[u8; 32], Principal>>>,
    /// The database's generation when they were read, or before.
    generation: AtomicI64,
    unknown: UnknownTokens,
}

impl Tokens {
    /// Reads the tokens of a store.
    pub(crate) fn load(store: &Store) -> Result<Self> {
        let tokens = Self::default();
        let (generation, rows) = store.read(|conn| Ok((store::generation(conn)?, tokens::live(conn)?)))?;
        tokens.replace(generation, rows);
        Ok(tokens)
    }

    /// Puts tokens in force that were read at that generation of the database, or later.
    pub(in crate::api) fn replace(&self, generation: i64, rows: Vec<LiveSecret>) {
        // What a token has taken goes on to count; what one took that is gone goes with it.
        let mut usages: HashMap<Caller, Arc<Usage>> =
            self.all().values().filter_map(|principal| Some((principal.caller, principal.usage.clone()?))).collect();
        let live = rows
            .into_iter()
            .map(|LiveSecret { hash, until, token }| {
                let tokens::TokenRow { seq, id, name, scope, rate_limit, .. } = token;
                let (caller, name, secret) = (Caller::Token(seq), name.into(), Some(SentSecret { hash, until }));
                let usage = Some(usages.entry(caller).or_insert_with(|| Arc::new(Usage::new(id))).clone());
                (hash, Principal { caller, name, scope, rate_limit, token: Some(id), network: None, usage, secret })
            })
            .collect();
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
        self.generation.store(generation, Ordering::SeqCst);
    }

    /// The database's generation that they are of.
    pub(in crate::api) fn generation(&self) -> i64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(super) fn unknown(&self) -> &UnknownTokens {
        &self.unknown
    }

    /// Whether a secret of a token is still taken.
    pub(in crate::api) fn is_live(&self, secret: &SentSecret, now: Timestamp) -> bool {
        self.of_hash(&secret.hash, now).is_some()
    }

    /// What the token in a row has taken; `None` where it is not taken any more.
    pub(in crate::api) fn usage(&self, seq: i64) -> Option<Arc<Usage>> {
        self.all().values().find(|principal| principal.caller == Caller::Token(seq))?.usage.clone()
    }

    /// What each token that is taken was refused, with its name; none of those that were refused nothing.
    pub(in crate::api) fn refused(&self) -> Vec<(TokenId, Arc<str>, Refused)> {
        // A token that was rotated has two secrets for a while.
        let mut refused: HashMap<TokenId, (Arc<str>, Refused)> = HashMap::new();
        for principal in self.all().values() {
            if let Some((id, found)) = principal.token.zip(principal.usage.as_ref().and_then(|usage| usage.refused())) {
                refused.insert(id, (principal.name.clone(), found));
            }
        }
        refused.into_iter().map(|(id, (name, found))| (id, name, found)).collect()
    }

    fn all(&self) -> Arc<HashMap<[u8; 32], Principal>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whose a token with that hash is.
    pub(in crate::api) fn of_hash(&self, hash: &[u8; 32], now: Timestamp) -> Option<Principal> {
        let is_over = |secret: SentSecret| secret.until.is_some_and(|until| until <= now);
        self.all().get(hash).filter(|principal| !principal.secret.is_some_and(is_over)).cloned()
    }
}
