//! The admin page, and the page that shows the API, in a real browser, against the real program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod application;
mod channel;
mod dangers;
mod docs;
mod hostile;
mod https;
mod people;
mod server;
mod story;
