//! The admin page, and the page that shows the API, in a real browser, against the real program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod channel;
#[path = "../../crates/testkit/src/chromium.rs"]
mod chromium;
#[path = "../../crates/testkit/src/process.rs"]
mod common;
mod dangers;
mod docs;
mod hostile;
mod https;
mod people;
mod story;
#[path = "../../crates/testkit/src/tools.rs"]
mod tools;
#[path = "../../crates/testkit/src/wait.rs"]
mod wait;
