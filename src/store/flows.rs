//! Flows, their drafts and their published versions.

use rusqlite::{OptionalExtension, Row};

use super::{Conn, Tx};
use crate::domain::{FlowId, FlowKind, Timestamp};
use crate::error::{Error, Result};

/// A flow that sessions can start on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedFlow {
    /// Row number of the flow.
    pub seq: i64,
    /// The flow's public id.
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
    /// Row number of the flow.
    pub seq: i64,
    /// The flow's public id.
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
    /// The newest version, published now or once; `None` if there never was one.
    pub latest_version: Option<u32>,
    /// Whether the draft is another document than what is published; `true` while nothing is.
    pub has_changes: bool,
    /// When it was first saved.
    pub created_at: Timestamp,
    /// When it was last saved, published or unpublished.
    pub updated_at: Timestamp,
    /// Who saved the draft last.
    pub updated_by: String,
}

/// A flow with its draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowRow {
    /// All but the draft.
    pub summary: FlowSummary,
    /// The draft's JSON.
    pub draft: String,
}

/// A draft to be kept.
#[derive(Debug, Clone, Copy)]
pub struct NewDraft<'a> {
    /// Flow or sequence.
    pub kind: FlowKind,
    /// What people call it.
    pub name: &'a str,
    /// The document as JSON, without its id.
    pub document: &'a str,
    /// Who saves it.
    pub actor: &'a str,
}

/// A published version without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// The version's number, from 1 for each flow.
    pub version: u32,
    /// What its publisher wrote.
    pub note: Option<String>,
    /// Who published it.
    pub actor: String,
    /// When it was published.
    pub published_at: Timestamp,
}

/// The columns that [`read_summary`] takes, from `f`.
macro_rules! summary {
    () => {
        "f.seq, f.id, f.kind, f.name, f.revision, f.published_version, f.published_at, f.created_at, f.updated_at,
         f.updated_by, f.draft IS NOT
             (SELECT v.document FROM flow_versions AS v WHERE v.flow_seq = f.seq AND v.version = f.published_version),
         (SELECT max(v.version) FROM flow_versions AS v WHERE v.flow_seq = f.seq)"
    };
}

/// The flow of an id, if it is published.
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

/// The flow of an id, unless it was deleted.
pub fn find(conn: &Conn, id: FlowId) -> Result<Option<FlowRow>> {
    let sql = concat!("SELECT ", summary!(), ", f.draft FROM flows AS f WHERE f.id = ?1 AND f.deleted_at IS NULL");
    Ok(conn.prepare_cached(sql)?.query_row([id], read_row).optional()?)
}

/// The flow of an id without its document, unless it was deleted.
pub fn find_summary(conn: &Conn, id: FlowId) -> Result<Option<FlowSummary>> {
    let sql = concat!("SELECT ", summary!(), " FROM flows AS f WHERE f.id = ?1 AND f.deleted_at IS NULL");
    Ok(conn.prepare_cached(sql)?.query_row([id], read_summary).optional()?)
}

/// The row of a flow, unless it was deleted.
pub fn seq_of(conn: &Conn, id: FlowId) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached("SELECT seq FROM flows WHERE id = ?1 AND deleted_at IS NULL")?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?)
}

/// The row of a flow, also once it was deleted: for its history.
pub fn seq_of_any(conn: &Conn, id: FlowId) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached("SELECT seq FROM flows WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?)
}

/// The rows of all flows, also of those that were deleted: for what they did.
pub fn all_seqs(conn: &Conn) -> Result<Vec<i64>> {
    let mut statement = conn.prepare_cached("SELECT seq FROM flows")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What people call the flow of a row, also once it was deleted.
pub fn name_of(conn: &Conn, seq: i64) -> Result<Option<String>> {
    let mut statement = conn.prepare_cached("SELECT name FROM flows WHERE seq = ?1")?;
    Ok(statement.query_row([seq], |row| row.get(0)).optional()?)
}

/// The public id of the flow of a row, also once it was deleted.
pub fn id_of(conn: &Conn, seq: i64) -> Result<Option<FlowId>> {
    let mut statement = conn.prepare_cached("SELECT id FROM flows WHERE seq = ?1")?;
    Ok(statement.query_row([seq], |row| row.get(0)).optional()?)
}

pub(super) const PUBLISHED: &str = "SELECT seq, published_version FROM flows INDEXED BY flows_published
    WHERE published_version IS NOT NULL AND deleted_at IS NULL";

/// The rows of all published flows, each with the version that new sessions start on. No flow's row is read.
pub fn published(conn: &Conn) -> Result<Vec<(i64, u32)>> {
    let mut statement = conn.prepare_cached(PUBLISHED)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// All flows and sequences by name, without their documents and without those that were deleted.
pub fn list(conn: &Conn) -> Result<Vec<FlowSummary>> {
    let sql = concat!("SELECT ", summary!(), " FROM flows AS f WHERE f.deleted_at IS NULL ORDER BY f.name, f.seq");
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([], read_summary)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A number of flows, and bytes of their drafts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DraftTotals {
    /// Flows and sequences.
    pub flows: u64,
    /// Bytes of JSON.
    pub bytes: u64,
}

/// The flows that are not deleted, of all or of those that one author was the last to save: those besides the one of an
/// id, and that one. Looks at every flow's row, and not into its draft.
pub fn draft_totals(conn: &Conn, author: Option<&str>, id: FlowId) -> Result<(DraftTotals, DraftTotals)> {
    let mut statement = conn.prepare_cached(
        "SELECT id = ?2, count(*), sum(octet_length(draft)) FROM flows
         WHERE deleted_at IS NULL AND (?1 IS NULL OR updated_by = ?1) GROUP BY 1",
    )?;
    let mut rows = statement.query((author, id))?;
    let (mut others, mut own) = (DraftTotals::default(), DraftTotals::default());
    while let Some(row) = rows.next()? {
        let (flows, bytes) = (row.get::<_, i64>(1)?.unsigned_abs(), row.get::<_, i64>(2)?.unsigned_abs());
        *(if row.get(0)? { &mut own } else { &mut others }) = DraftTotals { flows, bytes };
    }
    Ok((others, own))
}

/// The published versions of a flow, newest first, those before the number `before` if one is given.
pub fn versions(conn: &Conn, flow_seq: i64, before: Option<u32>, limit: u32) -> Result<Vec<VersionRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT version, note, actor, published_at FROM flow_versions
         WHERE flow_seq = ?1 AND version < ?2 ORDER BY version DESC LIMIT ?3",
    )?;
    let rows = statement.query_map((flow_seq, before.unwrap_or(u32::MAX), limit), |row| {
        Ok(VersionRow { version: row.get(0)?, note: row.get(1)?, actor: row.get(2)?, published_at: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The document of a published version, as JSON.
pub fn version_document(conn: &Conn, flow_seq: i64, version: u32) -> Result<Option<String>> {
    let mut statement =
        conn.prepare_cached("SELECT document FROM flow_versions WHERE flow_seq = ?1 AND version = ?2")?;
    Ok(statement.query_row((flow_seq, version), |row| row.get(0)).optional()?)
}

/// Creates a flow, or replaces the draft of the one that has the id. What is published stays; a deleted flow is there
/// again. Returns its row.
pub fn save_draft(tx: &Tx<'_>, id: FlowId, draft: &NewDraft<'_>, now: Timestamp) -> Result<i64> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO flows (id, kind, name, draft, revision, created_at, updated_at, updated_by)
         VALUES (?1, ?2, ?3, ?4, 1, ?5, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, name = excluded.name, draft = excluded.draft,
             revision = revision + 1, updated_at = excluded.updated_at, updated_by = excluded.updated_by,
             deleted_at = NULL
         RETURNING seq",
    )?;
    let NewDraft { kind, name, document, actor } = draft;
    Ok(statement.query_row((id, kind, name, document, now, actor), |row| row.get(0))?)
}

/// Hides a flow. Its row and its versions stay for the sessions that ran on them.
pub fn delete(tx: &Tx<'_>, flow_seq: i64, now: Timestamp) -> Result<()> {
    tx.prepare_cached("UPDATE flows SET deleted_at = ?2, revision = revision + 1 WHERE seq = ?1")?
        .execute((flow_seq, now))?;
    Ok(())
}

/// Makes a document the next version of a flow, and the one that new sessions start on. Returns its number.
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

/// Writes the draft in the spelling of the published document, which is equal to it.
pub fn reset_draft(tx: &Tx<'_>, flow_seq: i64) -> Result<()> {
    tx.prepare_cached(
        "UPDATE flows SET draft = v.document FROM flow_versions AS v
         WHERE seq = ?1 AND v.flow_seq = seq AND v.version = published_version AND draft IS NOT v.document",
    )?
    .execute([flow_seq])?;
    Ok(())
}

/// Stops new sessions of a flow; those that run go on. Returns whether the flow was published.
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
        updated_by: row.get(9)?,
        has_changes: row.get(10)?,
        latest_version: row.get(11)?,
    })
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<FlowRow> {
    Ok(FlowRow { summary: read_summary(row)?, draft: row.get(12)? })
}

/// A word that starts a flow, as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeywordRow {
    /// The flow that the word starts.
    pub flow_id: FlowId,
    /// The keyword in its author's spelling.
    pub word: String,
}

/// A number that grows whenever any flow is published: with it, and only with it, a keyword may have come.
pub fn publications(conn: &Conn) -> Result<i64> {
    let mut statement = conn.prepare_cached("SELECT coalesce(max(rowid), 0) FROM flow_versions")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// The keywords of all published flows, those of the flow that was published last first.
pub fn keywords(conn: &Conn) -> Result<Vec<KeywordRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT f.id, k.value FROM flows AS f
         JOIN flow_versions AS v ON v.flow_seq = f.seq AND v.version = f.published_version
         JOIN json_each(v.document, '$.settings.keywords') AS k
         WHERE f.deleted_at IS NULL AND k.type = 'text'
         ORDER BY v.rowid DESC, k.key",
    )?;
    let rows = statement.query_map([], |row| Ok(KeywordRow { flow_id: row.get(0)?, word: row.get(1)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::error::Code;
    use crate::store::testing::{self, now};

    fn draft(name: &'static str, document: &'static str, kind: FlowKind) -> NewDraft<'static> {
        NewDraft { kind, name, document, actor: "Ana" }
    }

    #[test]
    fn a_draft_is_saved_published_and_unpublished() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let id = testing::flow_id(1);
        let later = now().plus(Duration::from_secs(1));
        let seq = save_draft(&tx, id, &draft("Cart", "{\"v\":1}", FlowKind::Flow), now()).unwrap();
        let saved = find_summary(&tx, id).unwrap().unwrap();
        assert_eq!((saved.revision, saved.published_version, saved.has_changes), (1, None, true));
        assert_eq!(find_published(&tx, id).unwrap(), None);
        assert_eq!(publish(&tx, seq, "{\"v\":1}", None, "admin", now()).unwrap(), 1);
        assert!(!find_summary(&tx, id).unwrap().unwrap().has_changes);
        let other = NewDraft { actor: "Bo", ..draft("Cart 2", "[]", FlowKind::Sequence) };
        assert_eq!(save_draft(&tx, id, &other, later).unwrap(), seq);
        let again = find_summary(&tx, id).unwrap().unwrap();
        assert_eq!((again.revision, again.published_version, again.has_changes), (2, Some(1), true));
        assert_eq!((again.created_at, again.updated_at, again.updated_by.as_str()), (now(), later, "Bo"));
        assert_eq!(publish(&tx, seq, "{\"v\":2}", Some("better"), "admin", later).unwrap(), 2);
        let published = find_published(&tx, id).unwrap().unwrap();
        assert_eq!((published.version, published.name.as_str()), (2, "Cart 2"));
        assert_eq!(version_document(&tx, seq, 1).unwrap().as_deref(), Some("{\"v\":1}"));
        assert_eq!(version_document(&tx, seq, 3).unwrap(), None);
        let listed: Vec<_> =
            versions(&tx, seq, None, 9).unwrap().into_iter().map(|row| (row.version, row.note)).collect();
        assert_eq!(listed, [(2, Some("better".to_owned())), (1, None)]);
        assert_eq!(versions(&tx, seq, Some(2), 9).unwrap().len(), 1);
        assert!(unpublish(&tx, seq, later).unwrap());
        assert!(!unpublish(&tx, seq, later).unwrap());
        assert_eq!(find_published(&tx, id).unwrap(), None);
        assert_eq!(find_summary(&tx, id).unwrap().unwrap().latest_version, Some(2), "unpublished, not forgotten");
        assert_eq!(publish(&tx, seq, "{\"v\":3}", None, "admin", later).unwrap(), 3, "no number comes twice");
        assert_eq!(find(&tx, id).unwrap().unwrap().summary, list(&tx).unwrap()[0]);
        assert_eq!(publish(&tx, 99, "{}", None, "admin", now()).unwrap_err().code(), Code::NotFound);
    }

    #[test]
    fn a_deleted_flow_is_hidden_until_it_is_saved_again() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (id, seq) = (testing::flow_id(1), testing::flow(&tx, 1));
        delete(&tx, seq, now()).unwrap();
        assert_eq!((find(&tx, id).unwrap(), find_summary(&tx, id).unwrap()), (None, None));
        assert!(list(&tx).unwrap().is_empty());
        assert_eq!(name_of(&tx, seq).unwrap().as_deref(), Some("Cart"), "its sessions still name it");
        assert_eq!(save_draft(&tx, id, &draft("Back", "{}", FlowKind::Flow), now()).unwrap(), seq);
        assert_eq!(find_summary(&tx, id).unwrap().unwrap().revision, 3, "no revision comes twice");
    }

    #[test]
    fn a_version_never_changes() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let seq = testing::flow(&tx, 1);
        publish(&tx, seq, "{}", None, "admin", now()).unwrap();
        let error = tx.execute("UPDATE flow_versions SET document = '[]'", []).unwrap_err();
        assert!(error.to_string().contains("never changes"), "{error}");
    }

    #[test]
    fn keywords_come_with_publishing_and_the_last_published_first() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        assert_eq!((publications(&tx).unwrap(), keywords(&tx).unwrap()), (0, Vec::new()));
        let mut seqs = Vec::new();
        for n in 1..=3 {
            let draft = NewDraft { kind: FlowKind::Flow, name: "F", document: "{}", actor: "a" };
            seqs.push(save_draft(&tx, testing::flow_id(n), &draft, now()).unwrap());
        }
        let publish_words = |n: usize, words: serde_json::Value| {
            let document = json!({"settings": {"keywords": words}}).to_string();
            publish(&tx, seqs[n], &document, None, "a", now()).unwrap();
        };
        publish_words(0, json!(["Menu", "help"]));
        publish_words(1, json!(["menu"]));
        publish(&tx, seqs[2], "{}", None, "a", now()).unwrap();
        let before = publications(&tx).unwrap();
        publish_words(0, json!(["MENU"]));
        assert!(publications(&tx).unwrap() > before);
        let all =
            |tx: &Tx<'_>| keywords(tx).unwrap().into_iter().map(|row| (row.flow_id, row.word)).collect::<Vec<_>>();
        let (one, two) = (testing::flow_id(1), testing::flow_id(2));
        assert_eq!(all(&tx), [(one, "MENU".to_owned()), (two, "menu".to_owned())]);
        unpublish(&tx, seqs[0], now()).unwrap();
        assert_eq!(all(&tx), [(two, "menu".to_owned())]);
    }
}
