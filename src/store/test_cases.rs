//! Conversations that a flow must pass before it is published.

use rusqlite::Row;

use super::{Conn, Tx, flows};
use crate::domain::{FlowId, TestCaseId, Timestamp};
use crate::error::Result;

/// A test case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCaseRow {
    /// The test case's public id.
    pub id: TestCaseId,
    /// What it is called; no two of a flow have the same name.
    pub name: String,
    /// The script as JSON.
    pub script: String,
    /// Who saved it.
    pub actor: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Inserts a test case. The caller has seen that its name is free.
pub fn insert(tx: &Tx<'_>, flow_seq: i64, row: &TestCaseRow) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO flow_test_cases (id, flow_seq, name, script, actor, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((row.id, flow_seq, &row.name, &row.script, &row.actor, row.created_at))?;
    Ok(())
}

/// The test cases of a flow, oldest first.
pub fn list(conn: &Conn, flow_seq: i64) -> Result<Vec<TestCaseRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, name, script, actor, created_at FROM flow_test_cases WHERE flow_seq = ?1 ORDER BY seq",
    )?;
    let rows = statement.query_map([flow_seq], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The test cases of the flow of an id, oldest first; none where there is no such flow.
pub fn of_flow(conn: &Conn, id: FlowId) -> Result<Vec<TestCaseRow>> {
    flows::find_summary(conn, id)?.map_or_else(|| Ok(Vec::new()), |flow| list(conn, flow.seq))
}

/// The names of a flow's test cases.
pub fn names(conn: &Conn, flow_seq: i64) -> Result<Vec<String>> {
    let mut statement = conn.prepare_cached("SELECT name FROM flow_test_cases WHERE flow_seq = ?1")?;
    let rows = statement.query_map([flow_seq], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Bytes of the scripts of all flows that are not deleted. Looks at every row, and not into its script.
pub fn bytes(conn: &Conn) -> Result<u64> {
    let mut statement = conn.prepare_cached(
        "SELECT coalesce(sum(octet_length(script)), 0) FROM flow_test_cases
         WHERE flow_seq IN (SELECT seq FROM flows WHERE deleted_at IS NULL)",
    )?;
    Ok(statement.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// Removes a test case of a flow. Returns whether there was one.
pub fn delete(tx: &Tx<'_>, flow_seq: i64, id: TestCaseId) -> Result<bool> {
    let mut statement = tx.prepare_cached("DELETE FROM flow_test_cases WHERE flow_seq = ?1 AND id = ?2")?;
    Ok(statement.execute((flow_seq, id))? > 0)
}

fn read(row: &Row<'_>) -> rusqlite::Result<TestCaseRow> {
    Ok(TestCaseRow {
        id: row.get(0)?,
        name: row.get(1)?,
        script: row.get(2)?,
        actor: row.get(3)?,
        created_at: row.get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::testing::{self, now};

    #[test]
    fn each_flow_has_its_own_in_the_order_saved() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (one, other) = (testing::flow(&tx, 1), testing::flow(&tx, 2));
        let case = |n: u128, name: &str| TestCaseRow {
            id: TestCaseId(Uuid::from_u128(n)),
            name: name.to_owned(),
            script: "{}".to_owned(),
            actor: "Ann".to_owned(),
            created_at: now(),
        };
        for row in [case(2, "buys"), case(1, "says no")] {
            insert(&tx, one, &row).unwrap();
        }
        insert(&tx, other, &case(3, "buys")).unwrap();
        assert!(insert(&tx, one, &case(4, "buys")).is_err(), "the schema keeps names apart");
        assert_eq!(list(&tx, one).unwrap(), [case(2, "buys"), case(1, "says no")]);
        assert_eq!(names(&tx, other).unwrap(), ["buys"]);
        assert!(!delete(&tx, other, case(2, "").id).unwrap(), "not another flow's");
        assert!(delete(&tx, one, case(2, "").id).unwrap());
        assert!(!delete(&tx, one, case(2, "").id).unwrap());
        assert_eq!(names(&tx, one).unwrap(), ["says no"]);
    }

    #[test]
    fn they_are_found_by_their_flow() {
        let conn = testing::conn();
        let plan = testing::plan(&conn, "SELECT name FROM flow_test_cases WHERE flow_seq = ?1");
        assert!(plan.contains("INDEX") && plan.contains("flow_seq=?"), "{plan}");
    }
}
