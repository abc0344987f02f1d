//! The engine and the parsers, without a database: conversations, documents, and what people type and Meta delivers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checks;
mod fuzz;
mod golden;
mod properties;
mod samples;
mod typed;
