//! A connection, and the transaction in which a job writes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Deref;

use super::Counter;

/// A connection, for reading unless it stands in a [`Tx`].
pub type Conn = rusqlite::Connection;

/// A connection inside a write transaction, with the counts that become true when it commits.
pub struct Tx<'a> {
    conn: &'a Conn,
    counts: RefCell<Vec<(Counter, i64)>>,
}

impl<'a> Tx<'a> {
    pub(super) fn new(conn: &'a Conn) -> Self {
        Self { conn, counts: RefCell::default() }
    }

    /// Adds what was counted here to what was counted before.
    pub(super) fn merge_counts(self, counts: &mut HashMap<Counter, i64>) {
        for (counter, delta) in self.counts.into_inner() {
            let sum = counts.entry(counter).or_default();
            *sum = sum.saturating_add(delta);
        }
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
