//! The commands: what callers ask of sessions and contacts, one command a file. Each runs as one job of the writer.

pub(super) mod answer;
pub(super) mod cancel;
pub(super) mod channel;
pub(super) mod end_sessions;
pub(super) mod event;
pub(super) mod resume;
pub(super) mod save_contact;
pub(super) mod send;
pub(super) mod stop_flow;
pub(super) mod trigger;
pub(super) mod update_contact;
