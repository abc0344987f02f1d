//! When a commit is on the disk.

use serde::{Deserialize, Serialize};

/// When a commit is on the disk: SQLite's pragma of the same name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// Before it is answered: it survives a power loss.
    #[default]
    Full,
    /// Some time later: a power loss may take the last commits, a crash of the process takes none.
    Normal,
    /// When the operating system likes: a power loss may damage the file. For tests.
    Off,
}
