//! The fake Cloud API: what it promises the other tests, and its proof with clients that nobody here wrote.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod business;
mod clients;
mod faults;
mod reading;
mod sending;
#[path = "../../crates/testkit/src/meta/mod.rs"]
mod support;
#[path = "../../crates/testkit/src/tools.rs"]
mod tools;
#[path = "../../crates/testkit/src/wait.rs"]
mod wait;
mod webhooks;
