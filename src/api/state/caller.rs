//! Who calls.

use std::sync::Arc;

use crate::store::tokens::Scope;

/// A caller with a valid token, or somebody who is logged in on the admin page.
#[derive(Debug, Clone)]
pub(in crate::api) struct Principal {
    /// The token's row, or the log-in's, negated.
    pub(in crate::api) seq: i64,
    /// The token's name, or the person's: who did it, where that is recorded.
    pub(in crate::api) name: Arc<str>,
    /// What it may do.
    pub(in crate::api) scope: Scope,
    /// Requests per minute in place of the configured ones; 0 is no limit.
    pub(in crate::api) rate_limit: Option<u32>,
}
