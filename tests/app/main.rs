//! The application in the test's own process, over HTTP: port 0, a database of its own, a clock that the test moves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod fake_cloud;
mod simulation;
mod whatsapp;
