//! The transaction in which a job writes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Deref;

use super::row_numbers::{Numbered, RowNumbers};
use super::{Conn, Counter, counters};
use crate::error::Result;

/// A connection inside a write transaction, with the counts that become true when it commits.
pub struct Tx<'a> {
    conn: &'a Conn,
    counts: RefCell<Vec<(Counter, i64)>>,
    numbers: Cell<Option<RowNumbers>>,
}

/// What the jobs of a transaction hand on to the next one, and to its end. A job that fails hands on nothing.
#[derive(Default)]
pub(super) struct Shared {
    counts: HashMap<Counter, i64>,
    numbers: Option<RowNumbers>,
}

impl Shared {
    /// Takes over what a job that succeeded leaves.
    pub(super) fn add(&mut self, tx: Tx<'_>) {
        for (counter, delta) in tx.counts.into_inner() {
            let sum = self.counts.entry(counter).or_default();
            *sum = sum.saturating_add(delta);
        }
        self.numbers = tx.numbers.get();
    }

    /// Writes what stands at the end of a transaction, just before its commit.
    pub(super) fn write(&self, conn: &Conn) -> Result<()> {
        counters::add_all(conn, &self.counts)
    }
}

impl<'a> Tx<'a> {
    /// The first of a transaction, or the only one.
    pub(super) fn new(conn: &'a Conn) -> Self {
        Self::after(conn, &Shared::default())
    }

    /// The next of a transaction.
    pub(super) fn after(conn: &'a Conn, shared: &Shared) -> Self {
        Self { conn, counts: RefCell::default(), numbers: Cell::new(shared.numbers) }
    }

    /// The number of the row that is inserted next into a table.
    pub(super) fn next_seq(&self, table: Numbered) -> Result<i64> {
        let mut numbers = match self.numbers.get() {
            Some(numbers) => numbers,
            None => RowNumbers::read(self.conn)?,
        };
        let seq = numbers.next(table);
        self.numbers.set(Some(numbers));
        Ok(seq)
    }

    /// How many rows this connection has written so far: by its growth one knows whether a job has written.
    pub fn rows_written(&self) -> u64 {
        self.conn.raw().total_changes()
    }

    /// Adds to a counter. All counts of a batch are summed and written once, just before the commit, so a job does not
    /// see its own. A job that fails has counted nothing.
    pub fn count(&self, counter: Counter, delta: i64) {
        self.counts.borrow_mut().push((counter, delta));
    }
}

impl Deref for Tx<'_> {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        self.conn
    }
}
