//! The one error type of everything above the engine.
//!
//! Which error to use where:
//! - a caller's mistake that the caller can mend: [`Error::invalid`], [`Error::not_found`], [`Error::conflict`];
//! - the server cannot take work now and will later: [`Error::unavailable`];
//! - a commit with an unknown outcome: [`Error::outcome_unknown`];
//! - everything else, every foreign error among it: [`Error::internal`], logged whole and never shown.
//!
//! Refusals that are ordinary answers (a flow that is not published, a contact who opted out) are no errors: they are
//! variants of the outcome that a function returns. A write job that returns an `Error` makes its whole batch run a
//! second time.

use std::error::Error as StdError;
use std::fmt;

/// What a caller can do about an error. `src/api/error.rs` holds the one table from here to HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Mend the request.
    Invalid,
    /// Ask for something else.
    NotFound,
    /// Look at the current state and decide again.
    Conflict,
    /// Retry later with the same request.
    Unavailable,
    /// Look whether it happened.
    OutcomeUnknown,
    /// Nothing; the log says more.
    Internal,
}

/// An error with a sentence for the person who meets it.
#[derive(Debug)]
pub struct Error {
    code: Code,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), source: None }
    }

    /// The request is wrong; the message says what and where.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }

    /// What was named is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// What was asked does not go with the current state.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Code::Conflict, message)
    }

    /// The server cannot do it now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// A commit failed halfway: it may or may not have happened.
    pub fn outcome_unknown(message: impl Into<String>) -> Self {
        Self::new(Code::OutcomeUnknown, message)
    }

    /// A defect or a foreign error. The message is for the log.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message)
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The sentence, without causes.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    /// The sentence and, after colons, its causes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_its_causes() {
        let io = std::io::Error::other("disk on fire");
        let error = Error::internal("Cannot read qyvo.db").caused_by(io);
        assert_eq!(error.to_string(), "Cannot read qyvo.db: disk on fire");
        assert_eq!(error.message(), "Cannot read qyvo.db");
        assert_eq!(error.code(), Code::Internal);
    }
}
