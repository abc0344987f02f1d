//! Foreign tools, which `.ci/run` installs below `target/tools`, and talking with programs that use them.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// Where the tools are.
pub fn folder() -> PathBuf {
    crate::root().join("target/tools")
}

/// Whether a tool is there; [`skip`] says so of one that is missing.
pub fn is_there(tool: &str, install: &str) -> bool {
    let is_there = folder().join(tool).exists();
    if !is_there {
        skip(&format!("target/tools/{tool} is missing: run {install}"));
    }
    is_there
}

/// Says loudly that something is not tested, and why. Where tests run for others, with `CI` set and not to a no,
/// nothing may be left out: it panics.
#[track_caller]
pub fn skip(why: &str) {
    let is_ci = std::env::var("CI").is_ok_and(|ci| !matches!(ci.as_str(), "" | "0" | "false"));
    assert!(!is_ci, "{why}; and CI must not skip this");
    // Written past the test harness, which keeps what a passing test prints to itself.
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: {why} ***\n");
}

/// A program that takes an order a line and answers each with a line of JSON. It ends when this is dropped.
pub struct Program {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("its interpreter");
        let (orders, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, orders, answers }
    }

    /// What it says next.
    pub fn read(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}; its own words are above"))
    }

    /// What it says to an order.
    pub fn order(&mut self, order: impl Display) -> Value {
        writeln!(self.orders, "{order}").unwrap();
        self.read()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
