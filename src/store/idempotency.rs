//! Answers kept for retries with the same `Idempotency-Key`.

use rusqlite::OptionalExtension;

use super::{Conn, Tx};
use crate::domain::Timestamp;
use crate::error::Result;

/// What makes a request a retry of another: its caller, its route and its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// Row of the token.
    pub token_seq: i64,
    /// The route's path.
    pub route: &'a str,
    /// What the caller sent.
    pub key: &'a str,
}

/// The answer that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOutcome {
    /// SHA-256 of the raw body that it answered.
    pub body_hash: [u8; 32],
    /// The outcome as JSON, as the handler serialized it.
    pub outcome: String,
    /// When it was given.
    pub created_at: Timestamp,
}

/// The answer that was given under a key, however old it is.
pub fn find(conn: &Conn, key: &Key<'_>) -> Result<Option<StoredOutcome>> {
    let mut statement = conn.prepare_cached(
        "SELECT body_hash, outcome, created_at FROM idempotency_keys WHERE token_seq = ?1 AND route = ?2 AND key = ?3",
    )?;
    let found = statement.query_row((key.token_seq, key.route, key.key), |row| {
        Ok(StoredOutcome { body_hash: row.get(0)?, outcome: row.get(1)?, created_at: row.get(2)? })
    });
    Ok(found.optional()?)
}

/// Keeps an answer under a key that has none.
///
/// # Errors
/// When the database refuses, as it does if the key has an answer: [`delete`] that first.
pub fn insert(tx: &Tx<'_>, key: &Key<'_>, body_hash: &[u8; 32], outcome: &str, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO idempotency_keys (token_seq, route, key, body_hash, outcome, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((key.token_seq, key.route, key.key, body_hash, outcome, now))?;
    Ok(())
}

/// Deletes the answer of a key. `true` if there was one.
pub fn delete(tx: &Tx<'_>, key: &Key<'_>) -> Result<bool> {
    let deleted = tx
        .prepare_cached("DELETE FROM idempotency_keys WHERE token_seq = ?1 AND route = ?2 AND key = ?3")?
        .execute((key.token_seq, key.route, key.key))?;
    Ok(deleted > 0)
}

/// Answers that are kept for a token, of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptAnswers {
    /// Row of the token.
    pub token_seq: i64,
    /// When the hour began in which they were given.
    pub hour: Timestamp,
    /// Bytes of the keys and outcomes, and of what is stored with each of them, about.
    pub bytes: u64,
}

/// Bytes that a row has besides its key and its outcome: the hash, the route, its entry in the index by age, and what
/// pages leave free.
pub const BYTES_OF_ROW: u32 = 192;

/// How much is kept for each token, by the hour. Reads every row.
pub fn bytes_by_hour(conn: &Conn) -> Result<Vec<KeptAnswers>> {
    let mut statement = conn.prepare_cached(
        "SELECT token_seq, created_at / 3600000 * 3600000,
                sum(octet_length(key) + octet_length(outcome)) + count(*) * ?1
         FROM idempotency_keys GROUP BY 1, 2",
    )?;
    let rows = statement.query_map([BYTES_OF_ROW], |row| {
        Ok(KeptAnswers { token_seq: row.get(0)?, hour: row.get(1)?, bytes: row.get::<_, i64>(2)?.unsigned_abs() })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A [`Key`] of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedKey {
    /// Row of the token.
    pub token_seq: i64,
    /// The route's path.
    pub route: String,
    /// What the caller sent.
    pub key: String,
}

impl OwnedKey {
    /// The same key, borrowed.
    pub fn as_key(&self) -> Key<'_> {
        Key { token_seq: self.token_seq, route: &self.route, key: &self.key }
    }
}

/// Looks at the `limit` answers after a key, in the order of their keys. Returns the keys of those that `is_wanted`,
/// and the last key looked at; `None` when there are no more.
pub fn look_through(
    conn: &Conn,
    after: Option<&OwnedKey>,
    limit: u32,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<(Vec<OwnedKey>, Option<OwnedKey>)> {
    let mut statement = conn.prepare_cached(
        "SELECT token_seq, route, key, outcome FROM idempotency_keys
         WHERE (token_seq, route, key) > (?1, ?2, ?3) ORDER BY token_seq, route, key LIMIT ?4",
    )?;
    let (token_seq, route, key) =
        after.map_or((i64::MIN, "", ""), |after| (after.token_seq, after.route.as_str(), after.key.as_str()));
    let mut rows = statement.query((token_seq, route, key, limit))?;
    let (mut wanted, mut last) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        let key = OwnedKey { token_seq: row.get(0)?, route: row.get(1)?, key: row.get(2)? };
        let outcome = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
        if is_wanted(outcome) {
            wanted.push(key.clone());
        }
        last = Some(key);
    }
    Ok((wanted, last))
}

/// Deletes answers from before a moment, the oldest first, at most `limit`, and returns how many.
pub fn prune(tx: &Tx<'_>, before: Timestamp, limit: u32) -> Result<usize> {
    let pruned = tx
        .prepare_cached(
            "DELETE FROM idempotency_keys WHERE (token_seq, route, key) IN
                 (SELECT token_seq, route, key FROM idempotency_keys
                  WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)",
        )?
        .execute((before, limit))?;
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::testing::{self, now};

    #[test]
    fn an_answer_is_kept_under_its_key_alone() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let key = Key { token_seq: 1, route: "/api/v1/actions/trigger-flow", key: "order-1" };
        insert(&tx, &key, &[7; 32], "{\"id\":1}", now()).unwrap();
        let stored = StoredOutcome { body_hash: [7; 32], outcome: "{\"id\":1}".to_owned(), created_at: now() };
        assert_eq!(find(&tx, &key).unwrap(), Some(stored));
        assert_eq!(find(&tx, &Key { token_seq: 2, ..key }).unwrap(), None);
        assert_eq!(find(&tx, &Key { route: "/other", ..key }).unwrap(), None);
        assert!(insert(&tx, &key, &[8; 32], "{}", now()).is_err());
        assert!(delete(&tx, &key).unwrap());
        assert!(!delete(&tx, &key).unwrap());
        insert(&tx, &key, &[8; 32], "{}", now()).unwrap();
    }

    #[test]
    fn all_answers_can_be_looked_through() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        for (token_seq, route, key, outcome) in
            [(2, "/a", "1", "x"), (1, "/b", "1", "y"), (1, "/a", "2", "x"), (1, "/a", "1", "x"), (-1, "/z", "9", "y")]
        {
            insert(&tx, &Key { token_seq, route, key }, &[0; 32], outcome, now()).unwrap();
        }
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let (wanted, last) = look_through(&tx, after.as_ref(), 2, |outcome| outcome == "x").unwrap();
            found.extend(wanted.into_iter().map(|key| (key.token_seq, key.route, key.key)));
            after = match last {
                None => break,
                last => last,
            };
        }
        let expected = [(1, "/a", "1"), (1, "/a", "2"), (2, "/a", "1")];
        assert_eq!(found, expected.map(|(seq, route, key)| (seq, route.to_owned(), key.to_owned())));
        let plan = testing::plan(
            &conn,
            "SELECT token_seq, route, key, outcome FROM idempotency_keys
             WHERE (token_seq, route, key) > (?1, ?2, ?3) ORDER BY token_seq, route, key LIMIT ?4",
        );
        assert!(plan.contains("SEARCH") && !plan.contains("TEMP"), "{plan}");
    }

    #[test]
    fn the_oldest_answers_go_first() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        for (key, age) in [("a", 10), ("b", 30), ("c", 20), ("d", 0)] {
            let key = Key { token_seq: 1, route: "/", key };
            insert(&tx, &key, &[0; 32], "{}", now().minus(Duration::from_secs(age))).unwrap();
        }
        let left = || {
            let mut statement = tx.prepare("SELECT group_concat(key, '' ORDER BY key) FROM idempotency_keys").unwrap();
            statement.query_row([], |row| row.get::<_, String>(0)).unwrap()
        };
        assert_eq!(prune(&tx, now(), 2).unwrap(), 2);
        assert_eq!(left(), "ad");
        assert_eq!(prune(&tx, now(), 9).unwrap(), 1);
        assert_eq!(left(), "d");
        let plan = testing::plan(&conn, "SELECT key FROM idempotency_keys WHERE created_at < ?1 ORDER BY created_at");
        assert!(plan.contains("idempotency_keys_by_age") && !plan.contains("TEMP"), "{plan}");
    }
}
