//! An entry of the audit, as operators see it.

use serde::Serialize;

use super::IsoTime;
use crate::domain::TokenId;

/// Something that was done to the server.
#[derive(Debug, Serialize)]
pub struct AuditEntry {
    /// When it was done.
    pub at: IsoTime,
    /// What was done, such as `token.created`.
    pub action: String,
    /// Who did it.
    pub actor: AuditActor,
    /// The id or the name of what it was done to; `None` where there is nothing to name, or where it was a contact that
    /// is erased.
    pub target: Option<String>,
    /// What else there is to say.
    pub detail: Option<String>,
}

/// Who did something.
#[derive(Debug, Serialize)]
pub struct AuditActor {
    /// `login`, `token`, `command_line`, `server` or `unknown`.
    pub kind: String,
    /// The name given at log-in, or the token's; `None` for all others.
    pub name: Option<String>,
    /// The token's id.
    pub token_id: Option<TokenId>,
    /// The network that the request came from.
    pub network: Option<String>,
}
