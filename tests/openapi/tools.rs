//! Foreign tools, which `.ci/run` installs below `target/tools`.

use std::io::Write;
use std::path::{Path, PathBuf};

/// The description that the server serves.
pub(crate) const DESCRIPTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/static/openapi.yaml");

/// Where the tools are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools")
}

/// Whether a tool is there. One that is missing is said loudly; where `CI` is set it has to be there.
pub(crate) fn is_there(tool: &str, install: &str) -> bool {
    let is_there = folder().join(tool).exists();
    if !is_there {
        let is_ci = std::env::var("CI").is_ok_and(|ci| !matches!(ci.as_str(), "" | "0" | "false"));
        assert!(!is_ci, "target/tools/{tool} is missing, and CI must not skip this: run {install}");
        // Written past the test harness, which keeps what a passing test prints to itself.
        let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: target/tools/{tool} is missing: run {install} ***\n");
    }
    is_there
}
