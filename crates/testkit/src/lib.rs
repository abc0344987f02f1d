//! What the tests of Qyvo share: the application in the test's own process, the program as a child process, and the
//! others that a test needs beside them.
//!
//! Qyvo's own unit tests may use only what names no type of Qyvo's, such as [`site`]: this crate is built against the
//! library without `cfg(test)`, whose types are others to the compiler.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod address;
pub mod app;
pub mod chromium;
pub mod golden;
pub mod meta;
pub mod process;
pub mod site;
pub mod tools;
pub mod wait;

use std::path::Path;

/// The folder of the whole project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}
