//! Flows, their drafts and their published versions.

use rusqlite::{OptionalExtension, Row};

use super::{Conn, Tx};
use crate::domain::{FlowId, FlowKind, Timestamp};
use crate::error::{Error, Result};

/// A flow that sessions can start on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedFlow {
    /// Row.
    pub seq: i64,
    /// Public id.
    pub id: FlowId,
    /// The draft's name, which is what people call the flow now.
    pub name: String,
    /// Flow or sequence.
    pub kind: FlowKind,
    /// The version that new sessions start on.
    pub version: u32,
}

/// A flow without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowSummary {
    /// Row.
    pub seq: i64,
    /// Public id.
    pub id: FlowId,
    /// Flow or sequence.
    pub kind: FlowKind,
    /// What people call it.
    pub name: String,
    /// How often the draft was saved.
    pub revision: u32,
    /// The version that new sessions start on; `None` while unpublished.
    pub published_version: Option<u32>,
    /// When that version was published.
    pub published_at: Option<Timestamp>,
    /// When it was first saved.
    pub created_at: Timestamp,
    /// When it was last saved, published or unpublished.
    pub updated_at: Timestamp,
}

/// A flow with its draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowRow {
    /// Row.
    pub seq: i64,
    /// Public id.
    pub id: FlowId,
    /// Flow or sequence.
    pub kind: FlowKind,
    /// What people call it.
    pub name: String,
    /// The draft's JSON.
    pub draft: String,
    /// How often the draft was saved.
    pub revision: u32,
    /// The version that new sessions start on; `None` while unpublished.
    pub published_version: Option<u32>,
    /// When that version was published.
    pub published_at: Option<Timestamp>,
    /// When it was first saved.
    pub created_at: Timestamp,
    /// When it was last saved, published or unpublished.
    pub updated_at: Timestamp,
}

/// The flow of an id, if it is published.
///
/// # Errors
/// When the database cannot be read.
pub fn find_published(conn: &Conn, id: FlowId) -> Result<Option<PublishedFlow>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, name, kind, published_version FROM flows WHERE id = ?1 AND published_version IS NOT NULL",
    )?;
    let flow = statement.query_row([id], |row| {
        Ok(PublishedFlow {
            seq: row.get(0)?,
            id: row.get(1)?,
            name: row.get(2)?,
            kind: row.get(3)?,
            version: row.get(4)?,
        })
    });
    Ok(flow.optional()?)
}

/// The flow of an id.
///
/// # Errors
/// When the database cannot be read.
pub fn find(conn: &Conn, id: FlowId) -> Result<Option<FlowRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, kind, name, revision, published_version, published_at, created_at, updated_at, draft
         FROM flows WHERE id = ?1",
    )?;
    Ok(statement.query_row([id], read_row).optional()?)
}

/// The flow of a row.
///
/// # Errors
/// When the database cannot be read.
pub fn find_by_seq(conn: &Conn, seq: i64) -> Result<Option<FlowRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, kind, name, revision, published_version, published_at, created_at, updated_at, draft
         FROM flows WHERE seq = ?1",
    )?;
    Ok(statement.query_row([seq], read_row).optional()?)
}

/// All flows and sequences by name, without their documents.
///
/// # Errors
/// When the database cannot be read.
pub fn list(conn: &Conn) -> Result<Vec<FlowSummary>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, kind, name, revision, published_version, published_at, created_at, updated_at
         FROM flows ORDER BY name, seq",
    )?;
    let rows = statement.query_map([], read_summary)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The document of a published version, as JSON.
///
/// # Errors
/// When the database cannot be read.
pub fn version_document(conn: &Conn, flow_seq: i64, version: u32) -> Result<Option<String>> {
    let mut statement =
        conn.prepare_cached("SELECT document FROM flow_versions WHERE flow_seq = ?1 AND version = ?2")?;
    Ok(statement.query_row((flow_seq, version), |row| row.get(0)).optional()?)
}

/// Creates a flow, or replaces the draft of the one that has the id. What is published stays.
///
/// # Errors
/// When the database refuses.
pub fn save_draft(
    tx: &Tx<'_>,
    id: FlowId,
    kind: FlowKind,
    name: &str,
    document: &str,
    now: Timestamp,
) -> Result<FlowRow> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO flows (id, kind, name, draft, revision, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, 1, ?5, ?5)
         ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, name = excluded.name, draft = excluded.draft,
             revision = revision + 1, updated_at = excluded.updated_at
         RETURNING seq, id, kind, name, revision, published_version, published_at, created_at, updated_at, draft",
    )?;
    Ok(statement.query_row((id, kind, name, document, now), read_row)?)
}

/// Makes a document the next version of a flow, and the one that new sessions start on. Answers its number.
///
/// # Errors
/// `NotFound` when there is no such flow; otherwise when the database refuses.
pub fn publish(
    tx: &Tx<'_>,
    flow_seq: i64,
    document: &str,
    note: Option<&str>,
    actor: &str,
    now: Timestamp,
) -> Result<u32> {
    let version: u32 = tx
        .prepare_cached("SELECT coalesce(max(version), 0) + 1 FROM flow_versions WHERE flow_seq = ?1")?
        .query_row([flow_seq], |row| row.get(0))?;
    let inserted = tx
        .prepare_cached(
            "INSERT INTO flow_versions (flow_seq, version, document, note, actor, published_at)
             SELECT seq, ?2, ?3, ?4, ?5, ?6 FROM flows WHERE seq = ?1",
        )?
        .execute((flow_seq, version, document, note, actor, now))?;
    if inserted == 0 {
        return Err(Error::not_found("There is no such flow"));
    }
    tx.prepare_cached("UPDATE flows SET published_version = ?2, published_at = ?3, updated_at = ?3 WHERE seq = ?1")?
        .execute((flow_seq, version, now))?;
    Ok(version)
}

/// Stops new sessions of a flow; those that run go on. Answers whether the flow was published.
///
/// # Errors
/// When the database refuses.
pub fn unpublish(tx: &Tx<'_>, flow_seq: i64, now: Timestamp) -> Result<bool> {
    let changed = tx
        .prepare_cached(
            "UPDATE flows SET published_version = NULL, published_at = NULL, updated_at = ?2
             WHERE seq = ?1 AND published_version IS NOT NULL",
        )?
        .execute((flow_seq, now))?;
    Ok(changed > 0)
}

fn read_summary(row: &Row<'_>) -> rusqlite::Result<FlowSummary> {
    Ok(FlowSummary {
        seq: row.get(0)?,
        id: row.get(1)?,
        kind: row.get(2)?,
        name: row.get(3)?,
        revision: row.get(4)?,
        published_version: row.get(5)?,
        published_at: row.get(6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<FlowRow> {
    let FlowSummary { seq, id, kind, name, revision, published_version, published_at, created_at, updated_at } =
        read_summary(row)?;
    let draft = row.get(9)?;
    Ok(FlowRow { seq, id, kind, name, draft, revision, published_version, published_at, created_at, updated_at })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::{self, now};
    use super::*;
    use crate::error::Code;

    #[test]
    fn a_draft_is_saved_published_and_unpublished() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let id = testing::flow_id(1);
        let later = now().plus(Duration::from_secs(1));
        let saved = save_draft(&tx, id, FlowKind::Flow, "Cart", "{}", now()).unwrap();
        assert_eq!((saved.revision, saved.published_version), (1, None));
        assert_eq!(find_published(&tx, id).unwrap(), None);
        assert_eq!(publish(&tx, saved.seq, "{\"v\":1}", None, "admin", now()).unwrap(), 1);
        let again = save_draft(&tx, id, FlowKind::Sequence, "Cart 2", "[]", later).unwrap();
        assert_eq!((again.seq, again.revision, again.published_version), (saved.seq, 2, Some(1)));
        assert_eq!((again.created_at, again.updated_at), (now(), later));
        assert_eq!(publish(&tx, saved.seq, "{\"v\":2}", Some("better"), "admin", later).unwrap(), 2);
        let published = find_published(&tx, id).unwrap().unwrap();
        assert_eq!((published.version, published.name.as_str()), (2, "Cart 2"));
        assert_eq!(version_document(&tx, saved.seq, 1).unwrap().as_deref(), Some("{\"v\":1}"));
        assert_eq!(version_document(&tx, saved.seq, 3).unwrap(), None);
        assert!(unpublish(&tx, saved.seq, later).unwrap());
        assert!(!unpublish(&tx, saved.seq, later).unwrap());
        assert_eq!(find_published(&tx, id).unwrap(), None);
        assert_eq!(publish(&tx, saved.seq, "{\"v\":3}", None, "admin", later).unwrap(), 3, "no number comes twice");
        assert_eq!(find(&tx, id).unwrap(), find_by_seq(&tx, saved.seq).unwrap());
        assert_eq!(list(&tx).unwrap().len(), 1);
        assert_eq!(publish(&tx, 99, "{}", None, "admin", now()).unwrap_err().code(), Code::NotFound);
    }

    #[test]
    fn a_version_never_changes() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let flow = save_draft(&tx, testing::flow_id(1), FlowKind::Flow, "Cart", "{}", now()).unwrap();
        publish(&tx, flow.seq, "{}", None, "admin", now()).unwrap();
        let error = tx.execute("UPDATE flow_versions SET document = '[]'", []).unwrap_err();
        assert!(error.to_string().contains("never changes"), "{error}");
    }
}
