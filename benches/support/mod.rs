//! What the benchmarks share: a database with the abandoned-cart sample in it, random phone numbers, and the bare SQL
//! that a trigger is measured against.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::cell::Cell;
use std::path::Path;

use qyvo::domain::{FlowId, FlowKind, Timestamp};
use qyvo::runtime::publishing::{self, Consent, ServerFacts};
use qyvo::runtime::{Clock, ContactRef, OnRunning, Options, Trigger};
use qyvo::store::{self, Store};
use rusqlite::types::Value as Column;
use rusqlite::{Connection, params_from_iter};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Time to live of sessions whose flow sets none; the sample sets its own.
pub(crate) const TTL: std::time::Duration = std::time::Duration::from_secs(1800);

/// The document of the abandoned-cart sample.
pub(crate) fn sample() -> Value {
    serde_json::from_str(include_str!("../../static/samples/abandoned-cart.json")).expect("the sample is JSON")
}

/// Publishes the sample in a new store and gives its id.
pub(crate) fn publish_sample(store: &Store) -> FlowId {
    let facts = ServerFacts { settings: TTL.into(), approving_channel: None };
    let prepared =
        publishing::prepare(store, &facts, &sample(), None, &Consent::default()).expect("a new store can be read");
    let publishable = prepared.expect("the sample can be published");
    let id = publishable.checked().document.id.expect("the sample has an id");
    let now = Clock::system().now();
    store
        .write_blocking(move |tx| publishing::import_published(tx, &publishable, id, (None, "bench"), now))
        .expect("a new store takes a flow");
    id
}

/// What a shop passes.
pub(crate) fn context() -> Map<String, Value> {
    match json!({"cart_total": "129.00", "checkout_url": "https://shop.example.com/cart/987654321"}) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// A trigger of the sample for a phone number.
pub(crate) fn trigger(flow_id: FlowId, phone: &str) -> Trigger {
    let phone = phone.parse().expect("the number is well formed");
    let contact_ref = ContactRef::Phone(phone);
    Trigger { flow_id, kind: FlowKind::Flow, contact_ref, context: context(), on_running: OnRunning::Return }
}

/// Phone numbers without an order, so that their index is entered at another place each time. None comes twice.
pub(crate) struct Phones(u64);

/// How many numbers there are: all of ten digits that begin with 2 to 9.
const NUMBERS: u64 = 8_000_000_000;

impl Phones {
    /// Numbers that a seed decides.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed % NUMBERS)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> String {
        // A linear congruential generator of full period (Hull and Dobell, 1962): the increment shares no factor with
        // the modulus, and the multiplier is 1 modulo 4 and 5.
        self.0 = (self.0 * 1_103_515_241 + 3_037_000_493) % NUMBERS;
        format!("+1{}", 2_000_000_000 + self.0)
    }
}

/// The rows of one trigger, by nothing but prepared statements, in a database file of their own that the store made.
/// Each row is a copy of what a real trigger wrote, with ids and a phone number of its own; columns that are NULL are
/// left to their default.
pub(crate) struct Bare {
    conn: Connection,
    tables: [Copied; 5],
    counters: Vec<[Column; 6]>,
    phones: Phones,
}

/// How one table's row is made.
struct Copied {
    insert: String,
    values: Vec<Column>,
    /// Where a fresh id goes, if the table has one.
    id: Option<usize>,
    /// Where other rows' numbers go: place among the columns, and place of the table among the tables.
    links: Vec<(usize, usize)>,
    /// Where the phone number goes.
    phone: Option<usize>,
    /// Where the JSON array with the number of the message goes.
    list: Option<usize>,
}

const CONTACTS: usize = 0;
const ADDRESSES: usize = 1;
const SESSIONS: usize = 2;
const MESSAGES: usize = 3;
const TURNS: usize = 4;
const TABLES: [&str; 5] = ["contacts", "addresses", "sessions", "messages", "turns"];

/// The pages at which the store's writer checkpoints.
const CHECKPOINT_PAGES: i32 = 16_000;

thread_local! {
    /// Pages in the log after this thread's last commit.
    static LOG_PAGES: Cell<i32> = const { Cell::new(0) };
}

impl Bare {
    /// Makes a database in a folder, lets the runtime write one trigger into it, and learns its rows.
    pub(crate) fn new(folder: &Path, seed: u64) -> Self {
        let path = folder.join("bare.db");
        let store = Store::open(&store::Options::new(&path)).expect("a new file");
        let flow_id = publish_sample(&store);
        let runtime =
            qyvo::runtime::Runtime::new(store, Clock::system(), Options::new(qyvo::channels::Channel::Simulator, TTL));
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut phones = Phones::new(seed);
        tokio.block_on(runtime.handle(trigger(flow_id, &phones.next()))).expect("a trigger");
        runtime.store().close();
        drop(runtime);

        let conn = Connection::open(&path).expect("the store's file");
        // As the store's writer has them.
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 0;",
        )
        .expect("pragmas");
        conn.wal_hook(Some(|_, pages| {
            LOG_PAGES.set(pages);
            Ok(())
        }));
        conn.set_prepared_statement_cache_capacity(64);
        let tables = TABLES.map(|table| Copied::learn(&conn, table));
        let mut statement =
            conn.prepare("SELECT name, flow_seq, version, node, exit, hour FROM counters").expect("counters");
        let columns = |row: &rusqlite::Row<'_>| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?])
        };
        let counters = statement.query_map([], columns).expect("counters").map(|row| row.expect("a row")).collect();
        drop(statement);
        Self { conn, tables, counters, phones }
    }

    /// Phone numbers for a batch.
    pub(crate) fn phones(&mut self, rows: usize) -> Vec<String> {
        (0..rows).map(|_| self.phones.next()).collect()
    }

    /// Writes the rows of as many triggers as there are phone numbers in one transaction.
    pub(crate) fn write(&mut self, phones: Vec<String>) -> rusqlite::Result<()> {
        let Self { conn, tables, counters, .. } = self;
        let rows = i64::try_from(phones.len()).unwrap_or(i64::MAX);
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for phone in phones {
            let mut seqs = [0; TABLES.len()];
            let mut phone = Some(phone);
            for (place, table) in tables.iter_mut().enumerate() {
                seqs[place] = table.write(conn, &seqs, &mut phone)?;
            }
        }
        {
            let mut statement = conn.prepare_cached(
                "INSERT INTO counters (name, flow_seq, version, node, exit, hour, value)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO UPDATE SET value = value + excluded.value",
            )?;
            for [name, flow, version, node, exit, hour] in counters.iter() {
                statement.execute((name, flow, version, node, exit, hour, rows))?;
            }
        }
        conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Writes the log into the file where the store's writer would.
    pub(crate) fn checkpoint_if_long(&self) -> rusqlite::Result<()> {
        if LOG_PAGES.get() >= CHECKPOINT_PAGES {
            self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        }
        Ok(())
    }
}

impl Copied {
    /// Learns a table's row from the only one in it.
    fn learn(conn: &Connection, table: &str) -> Self {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table}")).expect("a table");
        let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let row: Vec<Column> = statement
            .query_row([], |row| (0..names.len()).map(|place| row.get(place)).collect())
            .expect("the trigger's row");
        let (names, values): (Vec<String>, Vec<Column>) =
            names.into_iter().zip(row).filter(|(name, value)| name != "seq" && !matches!(value, Column::Null)).unzip();
        let place = |name: &str| names.iter().position(|other| other == name);
        let link = |name: &str, table: usize| place(name).map(|place| (place, table));
        let marks: Vec<String> = (1..=names.len()).map(|place| format!("?{place}")).collect();
        Self {
            insert: format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), marks.join(", ")),
            id: place("id"),
            links: [link("contact_seq", CONTACTS), link("session_seq", SESSIONS)].into_iter().flatten().collect(),
            phone: (table == TABLES[ADDRESSES]).then(|| place("value")).flatten(),
            list: (table == TABLES[TURNS]).then(|| place("messages")).flatten(),
            values,
        }
    }

    /// Inserts one row and gives its number.
    fn write(
        &mut self,
        conn: &Connection,
        seqs: &[i64; TABLES.len()],
        phone: &mut Option<String>,
    ) -> rusqlite::Result<i64> {
        if let Some(place) = self.id {
            self.values[place] = Column::Blob(Uuid::now_v7().as_bytes().to_vec());
        }
        for (place, table) in &self.links {
            self.values[*place] = Column::Integer(seqs[*table]);
        }
        if let Some(place) = self.phone {
            self.values[place] = phone.take().map_or(Column::Null, Column::Text);
        }
        if let Some(place) = self.list {
            self.values[place] = Column::Text(format!("[{}]", seqs[MESSAGES]));
        }
        conn.prepare_cached(&self.insert)?.execute(params_from_iter(&self.values))?;
        Ok(conn.last_insert_rowid())
    }
}

/// The time, for sessions that are made without a server.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(1_778_141_663_250)
}
