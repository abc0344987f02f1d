//! Copies of the database that the server has made.

use serde::Serialize;

use super::IsoTime;

/// What `GET /backups` gives.
#[derive(Debug, Serialize)]
pub struct Backups {
    /// Seconds between two backups; 0 while the server makes none by itself.
    pub every_seconds: u64,
    /// No backup was made for more than two intervals.
    pub is_late: bool,
    /// Why the last one failed; null if it did not.
    pub error: Option<String>,
    /// The backups in the folder, the newest first.
    pub data: Vec<Backup>,
    /// Always null: the list is whole.
    pub next_cursor: Option<String>,
}

/// A copy of the database.
#[derive(Debug, Serialize)]
pub struct Backup {
    /// The file's name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was begun: it has everything that was answered before.
    pub created_at: IsoTime,
}
