//! What a token may do.

use std::str::FromStr;

use super::ParseError;
use super::named::named;

named! {
    /// What a token may do. Each scope includes those before it.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum Scope {
        /// Start and stop flows.
        Trigger = "trigger",
        /// Use the whole API except what `Admin` guards.
        Api = "api",
        /// Make tokens and change settings.
        Admin = "admin",
    }
}

impl FromStr for Scope {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text).ok_or_else(|| ParseError(format!("`{text}` is not a scope: use trigger, api or admin")))
    }
}
