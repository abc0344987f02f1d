//! Files with sessions in them, and the commands of the program.

use std::path::Path;
use std::process::Command;

use qyvo::channels::Channel;
use qyvo::domain::{FlowId, Synchronous};
use qyvo::runtime::{Clock, Options, Runtime};
use qyvo::store::{self, Store};

use crate::support::{Phones, TTL, publish_sample, trigger};

/// Sessions that are begun at once while a file is filled.
const AT_ONCE: usize = 512;
/// Decides the phone numbers of those sessions.
pub(crate) const SEED: u64 = 1;

/// Fills a file with sessions until `is_enough` of its length and their number. Gives the flow.
pub(crate) async fn fill(folder: &Path, clock: &Clock, is_enough: impl Fn(u64, usize) -> bool) -> FlowId {
    let path = folder.join("qyvo.db");
    let options = store::Options { synchronous: Synchronous::Off, ..store::Options::new(&path) };
    let store = Store::open(&options).expect("a new file");
    let publishing = store.clone();
    let flow = tokio::task::spawn_blocking(move || publish_sample(&publishing)).await.expect("it does not panic");
    let runtime = Runtime::new(store.clone(), clock.clone(), Options::new(Channel::Simulator, TTL));
    let mut phones = Phones::new(SEED);
    let mut sessions = 0;
    let bytes = || std::fs::metadata(&path).map_or(0, |file| file.len());
    while !is_enough(bytes(), sessions) {
        let begun: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (runtime, command) = (runtime.clone(), trigger(flow, &phones.next()));
                tokio::spawn(async move { runtime.handle(command).await })
            })
            .collect();
        for one in begun {
            one.await.expect("it does not panic").expect("a trigger is taken");
        }
        sessions += AT_ONCE;
    }
    tokio::task::spawn_blocking(move || store.close()).await.expect("it does not panic");
    println!("{} MiB with {sessions} sessions", bytes() >> 20);
    flow
}

/// Ends all sessions of a file as if each had run out of time when it began.
pub(crate) fn end_all(folder: &Path) {
    let conn = rusqlite::Connection::open(folder.join("qyvo.db")).expect("the file");
    conn.execute_batch(
        "UPDATE sessions SET status = 'expired', ended_at = started_at, due_at = NULL, wake_at = NULL,
             waiting_for = NULL;
         PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .expect("the sessions");
}

/// A command of the program, on the database in a folder.
pub(crate) fn qyvo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qyvo"));
    command.current_dir(folder).args(arguments);
    command
}

/// Runs a command to its end, and gives what it printed.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = qyvo(folder, arguments).output().expect("the binary");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
