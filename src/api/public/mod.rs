//! What a program's token may call: the actions, what clients poll for and choose from, and batches of triggers.

pub(super) mod actions;
mod batch_quota;
pub(super) mod dropdowns;
pub(super) mod me;
pub(super) mod polling;
pub(super) mod session_events;
pub(super) mod trigger_batch;
