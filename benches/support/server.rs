//! The release binary as a server of its own.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The server, which ends with this value. `QYVO_BENCH_BINARY` names another program than this version's.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
}

impl Server {
    /// Starts it on a database in a folder, with its default settings but for these variables.
    pub(crate) fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(program())
            .args(["serve", "--bind", "127.0.0.1:0", "--database"])
            .arg(folder.join("qyvo.db"))
            .current_dir(folder)
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server's binary");
        let log = child.stderr.take().expect("a pipe");
        let mut lines = BufReader::new(log).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("listening on http://").map(|(_, address)| address.trim().to_owned()))
            .expect("the server says where it listens");
        // A full pipe would hold the server up.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("server: {line}")));
        Self { child, address }
    }

    /// Runs another command on the database in the same folder, and gives what it printed.
    pub(crate) fn command(&self, folder: &Path, arguments: &[&str]) -> String {
        let done = Command::new(program()).args(arguments).current_dir(folder).output().expect("the program");
        String::from_utf8(done.stdout).expect("text").trim().to_owned()
    }

    /// A line of the kernel's account of the server's memory, such as `VmRSS`, in MiB.
    pub(crate) fn memory(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next()?.parse::<f64>().ok());
        kib.map_or(f64::NAN, |kib| kib / 1024.0)
    }

    /// How many file descriptors the server has open, the connections of clients aside.
    pub(crate) fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).into_iter().flatten().flatten();
        let targets = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        targets.filter(|target| !target.to_string_lossy().starts_with("socket:")).count()
    }
}

fn program() -> OsString {
    std::env::var_os("QYVO_BENCH_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_qyvo").into())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
