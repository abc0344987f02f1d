//! A token, as the admin page sees it.

use serde::Serialize;

use super::IsoTime;
use crate::domain::TokenId;

/// A token. Its secret is shown once, in the answer that makes or rotates it.
#[derive(Debug, Serialize)]
pub struct Token<'a> {
    /// The token's id.
    pub id: TokenId,
    /// What people call it.
    pub name: &'a str,
    /// What it may do.
    pub scope: &'a str,
    /// The secret's first characters.
    pub hint: &'a str,
    /// Requests a minute; `None` is the configured limit.
    pub rate_limit: Option<u32>,
    /// When it was made.
    pub created_at: IsoTime,
    /// Since when it is refused.
    pub revoked_at: Option<IsoTime>,
    /// Until when the secret before the last rotation is taken as well; `None` if it is not.
    pub old_until: Option<IsoTime>,
    /// What limits have refused since the server started; `None` where that is nothing.
    pub refused: Option<TokenRefusals>,
    /// The secret; `None` but in the answer that makes or rotates the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<&'a str>,
}

/// What a token was refused because of limits.
#[derive(Debug, Serialize)]
pub struct TokenRefusals {
    /// Requests.
    pub count: u64,
    /// When the last one was refused.
    pub last_at: IsoTime,
    /// The key of the limit that refused it.
    pub limit: &'static str,
}
