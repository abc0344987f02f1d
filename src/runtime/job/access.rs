//! Full and degraded access to sessions: what a session that cannot be read must not keep from happening.
//!
//! A stored session may be beyond this version: its JSON is damaged, or its flow cannot be compiled. A command that
//! comes upon one fails as `Internal`. Commands that must not be lost to that (a message from a person, an opt-out, the
//! answer of a channel) run again with degraded access: they do what they are for, and neither read nor step any
//! session.

use crate::error::{Code, Error};

/// Whether a command reads and steps sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime) enum Access {
    /// Sessions are read and stepped.
    Full,
    /// It does not, because one of them cannot be read. Those that are to end are only marked.
    Degraded,
}

impl Access {
    /// Whether sessions are read and stepped.
    pub(in crate::runtime) fn is_full(self) -> bool {
        self == Self::Full
    }

    /// Whether a command that failed with this access runs again with degraded access.
    pub(in crate::runtime) fn degrades_by(self, error: &Error) -> bool {
        self.is_full() && error.code() == Code::Internal
    }
}
