//! What is written about the program, held against it: README.md, the API's description, the rules of the source.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod openapi;
mod ops;
mod readme;
mod routes;
mod tidy;
