//! The callers of the API.

use std::sync::Arc;

use super::usage::Usage;
use crate::domain::audit::{Actor, ActorKind};
use crate::domain::{Scope, Timestamp, TokenId};

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
    /// The token's public id; `None` of a person.
    pub(in crate::api) token: Option<TokenId>,
    /// The network that the request came from: known of those who may do what the audit records.
    pub(in crate::api) network: Option<Arc<str>>,
    /// What a token has taken of its quotas; `None` of a log-in, which has none.
    pub(in crate::api) usage: Option<Arc<Usage>>,
    /// The secret that was sent; `None` of a log-in.
    pub(in crate::api) secret: Option<SentSecret>,
}

impl Principal {
    /// The caller as the audit names it.
    pub(in crate::api) fn actor(&self) -> Actor {
        let kind = match self.caller {
            Caller::Token(_) => ActorKind::Token,
            Caller::Login(_) => ActorKind::Login,
        };
        Actor { kind, name: self.name.clone(), token: self.token, network: self.network.clone() }
    }
}

/// A secret of a token. A token that was rotated has two for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct SentSecret {
    /// SHA-256 of it.
    pub(in crate::api) hash: [u8; 32],
    /// Until when it is taken; `None` for the token's present one.
    pub(in crate::api) until: Option<Timestamp>,
}
