//! The admin page, and the page that shows the API, in a real browser, against the real program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod channel;
mod chromium;
#[path = "../common/mod.rs"]
mod common;
mod dangers;
mod docs;
mod hostile;
mod https;
mod people;
mod story;
#[path = "../common/tools.rs"]
mod tools;
#[path = "../common/wait.rs"]
mod wait;
