//! The log, and what the program does where nobody reads it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server whose log is a pipe that this test reads as it likes.
struct Logged {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    address: String,
}

impl Logged {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_qyvo"))
            .args(["serve", "--bind", "127.0.0.1:0"])
            .current_dir(folder)
            .env("QYVO_LOG_LEVEL", "debug")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on http://") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the server says where it listens");
        }
        let address = line.rsplit("http://").next().unwrap().trim().to_owned();
        Self { child, log, address }
    }

    /// Sends requests one after the other; each is a line of the log.
    fn ask(&self, requests: usize) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(testkit::wait::PATIENCE)).unwrap();
        let mut answer = [0; 4096];
        for n in 0..requests {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let length = stream.read(&mut answer).unwrap_or_else(|error| panic!("request {n}: {error}"));
            assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK"));
        }
    }

    fn stop(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_log_that_nobody_reads_holds_nothing_up_and_says_later_what_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Logged::start(folder.path());
    server.ask(4000);
    let lost = server.log.by_ref().lines().map(Result::unwrap).find(|line| line.contains("lines of the log were lost"));
    assert!(lost.unwrap().contains("WARN"));
    server.ask(10);
    // The pipe is full again, and the program ends all the same.
    server.ask(4000);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_last_lines_are_written_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Logged::start(folder.path());
    // Who is answered finds a server that hears signals, too.
    server.ask(1);
    assert_eq!(server.stop(), Some(0));
    let lines: Vec<String> = server.log.by_ref().lines().map(Result::unwrap).collect();
    assert!(lines.last().unwrap().contains("stopped"), "{lines:?}");
}

#[test]
fn a_refusal_that_cannot_be_written_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["flow", "list"][..], &["serve", "--bind", "192.0.2.1:1"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_qyvo"));
        command.args(arguments).current_dir(folder.path()).stderr(writer);
        assert_eq!(command.status().unwrap().code(), Some(1), "{arguments:?}");
    }
    // `qyvo serve --demo | head -0`
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_qyvo"));
    command.args(["serve", "--demo", "--database", "demo.db", "--bind", "127.0.0.1:0"]);
    command.current_dir(folder.path()).stdout(writer).stderr(Stdio::null());
    assert_eq!(command.status().unwrap().code(), Some(1));
}
