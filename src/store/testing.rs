//! What the tests of this module share, and what others need that no function of the store gives.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::Map;
use tempfile::TempDir;
use uuid::Uuid;

use super::{Conn, Options, Store, Tx, contacts, flows, schema, sessions};
use crate::domain::{Contact, ContactId, FlowId, FlowKind, Session, SessionId, Status, Timestamp};

/// A moment in 2026.
pub(super) fn now() -> Timestamp {
    Timestamp::from_millis(1_778_141_663_250)
}

/// A database in memory with the whole schema and foreign keys checked.
pub(super) fn conn() -> Conn {
    let conn = Conn::open_in_memory().unwrap();
    conn.raw().pragma_update(None, "foreign_keys", true).unwrap();
    schema::CURRENT.prepare(&conn).unwrap();
    conn
}

/// Options for `qyvo.db` in a directory.
pub(super) fn options(dir: &TempDir) -> Options {
    Options::new(dir.path().join("qyvo.db"))
}

/// A store on `qyvo.db` in a directory.
pub(super) fn store(dir: &TempDir) -> Store {
    Store::open(&options(dir)).unwrap()
}

/// A store that is closed when it is dropped, even if other handles to it are left.
pub(crate) struct CloseOnDrop(pub(crate) Store);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl std::ops::Deref for CloseOnDrop {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.0
    }
}

pub(super) fn flow_id(n: u128) -> FlowId {
    FlowId(Uuid::from_u128(n))
}

pub(super) fn contact_id(n: u128) -> ContactId {
    ContactId(Uuid::from_u128(n))
}

pub(super) fn session_id(n: u128) -> SessionId {
    SessionId(Uuid::from_u128(n))
}

/// Inserts flow `n` and returns its row.
pub(super) fn flow(tx: &Tx<'_>, n: u128) -> i64 {
    let draft = flows::NewDraft { kind: FlowKind::Flow, name: "Cart", document: "{}", actor: "Ana" };
    flows::save_draft(tx, flow_id(n), &draft, now()).unwrap()
}

/// Inserts flow 1 and contact 1, and returns their rows.
pub(super) fn flow_and_contact(tx: &Tx<'_>) -> (i64, i64) {
    let contact = Contact::new(contact_id(1), Some("+14155550123".parse().unwrap()));
    (flow(tx, 1), contacts::insert(tx, &contact, "trigger", now()).unwrap())
}

/// Inserts flow 1, contact 1 and their running session 1, and returns the session's row.
pub(super) fn running(tx: &Tx<'_>) -> i64 {
    let (flow_seq, contact_seq) = flow_and_contact(tx);
    sessions::insert(tx, flow_seq, contact_seq, &session(1), None).unwrap()
}

/// Session `n` of contact 1 in flow 1, or in flow `n` + 10 where the test made that one.
pub(super) fn session(n: u128) -> Session {
    Session {
        id: session_id(n),
        flow_id: flow_id(1),
        version: 1,
        contact_id: contact_id(1),
        status: Status::Running,
        reason: None,
        outcome: None,
        current_node: None,
        wait: None,
        turn: 1,
        seed: 7,
        draws: 0,
        visits: Default::default(),
        context: Map::new(),
        input: None,
        kept_events: Vec::new(),
        frames: Vec::new(),
        spoken: Vec::new(),
        undelivered: None,
        queued_replies: Vec::new(),
        expires_at: None,
        started_at: now(),
        last_interaction_at: now(),
        ended_at: None,
    }
}

/// How SQLite would run a statement.
pub(super) fn plan(conn: &Conn, sql: &str) -> String {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut rows = statement.raw_query();
    let mut plan = String::new();
    while let Some(row) = rows.next().unwrap() {
        plan += &row.get::<_, String>(3).unwrap();
        plan += "; ";
    }
    plan
}

/// Adds an endpoint that gets every event from now on.
pub(crate) fn listen(tx: &Tx<'_>) {
    tx.execute(
        "INSERT INTO webhook_endpoints (id, url, description, events, secret, is_active, created_at, updated_at)
         VALUES (?1, 'https://shop.example', '', '[]', 's', 1, 0, 0)",
        [Uuid::from_u128(1).as_bytes()],
    )
    .unwrap();
}

/// The deliveries queued since, in order: the event and its body.
pub(crate) fn told(conn: &Conn) -> Vec<(String, serde_json::Value)> {
    let mut statement = conn.prepare("SELECT event, body FROM webhook_deliveries ORDER BY seq").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
    rows.map(|row| row.map(|(event, body)| (event, serde_json::from_str(&body).unwrap())).unwrap()).collect()
}

/// Damages a session so that it cannot be read any more.
pub(crate) fn break_session(tx: &Tx<'_>, id: SessionId) {
    tx.execute("UPDATE sessions SET state = '[]' WHERE id = ?1", [id]).unwrap();
}

/// What `f` gives, and what it wrote into the log.
pub(super) fn logged<T>(f: impl FnOnce() -> T) -> (T, String) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Lines(writer.clone())).finish();
    let value = tracing::subscriber::with_default(subscriber, f);
    let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    (value, text)
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
