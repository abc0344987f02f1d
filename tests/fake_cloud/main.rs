//! The fake Cloud API: what it promises the other tests, and its proof with clients that nobody here wrote.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod business;
mod clients;
mod faults;
mod reading;
mod sending;
mod webhooks;
