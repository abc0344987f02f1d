//! What the server does by itself: timers that are due, erasures, imports, tidying up, and what it says of its health.

pub(super) mod erasure;
pub(crate) mod health;
pub(super) mod housekeeping;
pub mod import;
pub(super) mod sweeper;
