//! Background work: timers that are due, erasures, backups, imports, clean-up, retention, and the reports of the
//! server's health and of what is wrong.

pub(super) mod backups;
pub(super) mod erasure;
pub(super) mod gauges;
pub(crate) mod health;
pub(super) mod housekeeping;
pub mod import;
pub(super) mod problems;
pub(super) mod retention;
pub(super) mod sweeper;
