//! Background work: timers that are due, erasures, imports, clean-up, and the report of the server's health.

pub(super) mod erasure;
pub(super) mod gauges;
pub(crate) mod health;
pub(super) mod housekeeping;
pub mod import;
pub(super) mod sweeper;
