//! Which part of a list a request asks for.

/// Rows of a list if the request does not say.
pub(super) const DEFAULT_LIMIT: u32 = 50;
/// Rows of a list at most.
pub(super) const MAX_LIMIT: u32 = 200;
/// The error for an invalid cursor.
pub(super) const CURSOR: &str = "The cursor must be a `next_cursor` of this list.";

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Page {
    /// How many rows the page has at most.
    pub(in crate::api) limit: u32,
    /// The row where the page before ended.
    pub(in crate::api) cursor: Option<i64>,
}
