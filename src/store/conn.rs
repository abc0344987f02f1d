//! A connection to the database file.

use std::path::Path;

use rusqlite::{CachedStatement, Connection, OpenFlags, Params, Result, Row, Statement};

/// A connection, for reading unless it stands in a [`Tx`](crate::store::Tx).
///
/// Outside the store it is a token that the functions with the SQL take: what runs statements is only seen in here.
pub struct Conn(Connection);

impl Conn {
    pub(super) fn open_with_flags(path: impl AsRef<Path>, flags: OpenFlags) -> Result<Self> {
        Connection::open_with_flags(path, flags).map(Self)
    }

    #[cfg(test)]
    pub(super) fn open(path: impl AsRef<Path>) -> Result<Self> {
        Connection::open(path).map(Self)
    }

    pub(super) fn open_in_memory() -> Result<Self> {
        Connection::open_in_memory().map(Self)
    }

    /// The driver's connection, for what no table's SQL needs: pragmas, hooks, transactions.
    pub(super) fn raw(&self) -> &Connection {
        &self.0
    }

    pub(super) fn prepare_cached(&self, sql: &str) -> Result<CachedStatement<'_>> {
        self.0.prepare_cached(sql)
    }

    pub(super) fn prepare(&self, sql: &str) -> Result<Statement<'_>> {
        self.0.prepare(sql)
    }

    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.0.execute(sql, params)
    }

    pub(super) fn execute_batch(&self, sql: &str) -> Result<()> {
        self.0.execute_batch(sql)
    }

    pub(super) fn query_row<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        self.0.query_row(sql, params, read)
    }

    pub(super) fn last_insert_rowid(&self) -> i64 {
        self.0.last_insert_rowid()
    }
}

impl From<Connection> for Conn {
    fn from(conn: Connection) -> Self {
        Self(conn)
    }
}
