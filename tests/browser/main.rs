//! The admin page in a real browser, against the real program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod channel;
mod chromium;
#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod story;
