//! What requests share: who may call, and who is at the admin page.

mod forwarded;
pub(super) mod logins;
pub(super) mod unknown_tokens;
