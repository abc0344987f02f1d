//! The callers of the API.

use crate::domain::{Scope, Timestamp};
use std::sync::Arc;

/// A caller, by its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::api) enum Caller {
    /// A program, by the row of its token.
    Token(i64),
    /// A person on the admin page, by the row of the log-in.
    Login(i64),
}

impl Caller {
    /// The number that idempotency keys are stored under. Tokens and log-ins share the column, so a log-in's is its
    /// row, negated.
    pub(in crate::api) fn stored_seq(self) -> i64 {
        match self {
            Self::Token(seq) => seq,
            Self::Login(seq) => -seq,
        }
    }
}

/// A caller with a valid token, or a user who is logged in on the admin page.
#[derive(Debug, Clone)]
pub(in crate::api) struct Principal {
    /// The token or the log-in.
    pub(in crate::api) caller: Caller,
    /// The token's name, or the person's: who did it, where that is recorded.
    pub(in crate::api) name: Arc<str>,
    /// What it may do.
    pub(in crate::api) scope: Scope,
    /// Requests per minute in place of the configured ones; 0 is no limit.
    pub(in crate::api) rate_limit: Option<u32>,
    /// The secret that was sent; `None` of a log-in.
    pub(in crate::api) secret: Option<SentSecret>,
}

/// A secret of a token. A token that was rotated has two for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct SentSecret {
    /// SHA-256 of it.
    pub(in crate::api) hash: [u8; 32],
    /// Until when it is taken; `None` for the token's present one.
    pub(in crate::api) until: Option<Timestamp>,
}
