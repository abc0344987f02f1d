//! API tokens: the hashes of their secrets, and what they may do.

use rusqlite::Row;

use super::{Conn, Tx};
pub use crate::domain::Scope;
use crate::domain::{Timestamp, TokenId};
use crate::error::Result;

/// A token that is to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewToken<'a> {
    /// The token's public id.
    pub id: TokenId,
    /// What people call it.
    pub name: &'a str,
    /// What it may do.
    pub scope: Scope,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// The secret's first characters.
    pub hint: &'a str,
    /// Requests per minute in place of the configured ones; 0 is no limit.
    pub rate_limit: Option<u32>,
}

/// A stored token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Row number of the token.
    pub seq: i64,
    /// The token's public id.
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// The secret's first characters, by which its owner knows it.
    pub hint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is no longer taken.
    pub revoked_at: Option<Timestamp>,
    /// Requests per minute in place of the configured ones; 0 is no limit.
    pub rate_limit: Option<u32>,
}

/// Inserts a token and returns its row.
pub fn insert(tx: &Tx<'_>, token: &NewToken<'_>, now: Timestamp) -> Result<i64> {
    let NewToken { id, name, scope, hash, hint, rate_limit } = token;
    tx.prepare_cached(
        "INSERT INTO tokens (id, name, scope, hash, hint, created_at, rate_limit) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((id, name, scope, hash, hint, now, rate_limit))?;
    Ok(tx.last_insert_rowid())
}

/// All tokens, oldest first, the revoked ones among them.
pub fn list(conn: &Conn) -> Result<Vec<TokenRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, name, scope, hint, created_at, revoked_at, rate_limit FROM tokens ORDER BY seq",
    )?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The tokens that are taken, with the hashes of their secrets.
pub fn live(conn: &Conn) -> Result<Vec<([u8; 32], TokenRow)>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, name, scope, hint, created_at, revoked_at, rate_limit, hash FROM tokens
         WHERE revoked_at IS NULL",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(8)?, read(row)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Revokes a token for good. Returns whether there was one to revoke.
pub fn revoke(tx: &Tx<'_>, id: TokenId, now: Timestamp) -> Result<bool> {
    let revoked = tx
        .prepare_cached("UPDATE tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL")?
        .execute((id, now))?;
    Ok(revoked > 0)
}

/// Gives a token that is taken a rate limit of its own; `None` is the configured one. Returns whether there is such a
/// token.
pub fn set_rate_limit(tx: &Tx<'_>, id: TokenId, rate_limit: Option<u32>) -> Result<bool> {
    let changed = tx
        .prepare_cached("UPDATE tokens SET rate_limit = ?2 WHERE id = ?1 AND revoked_at IS NULL")?
        .execute((id, rate_limit))?;
    Ok(changed > 0)
}

fn read(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    Ok(TokenRow {
        seq: row.get(0)?,
        id: row.get(1)?,
        name: row.get(2)?,
        scope: row.get(3)?,
        hint: row.get(4)?,
        created_at: row.get(5)?,
        revoked_at: row.get(6)?,
        rate_limit: row.get(7)?,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::testing::{self, now};

    #[test]
    fn a_revoked_token_is_listed_and_not_live() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let token = |n: u8, scope| NewToken {
            id: TokenId(Uuid::from_u128(u128::from(n))),
            name: "checkout",
            scope,
            hash: [n; 32],
            hint: "qyvo_ab",
            rate_limit: None,
        };
        let seq = insert(&tx, &token(1, Scope::Trigger), now()).unwrap();
        insert(&tx, &token(2, Scope::Admin), now()).unwrap();
        let twice = NewToken { hash: [1; 32], ..token(3, Scope::Api) };
        assert!(insert(&tx, &twice, now()).is_err());
        let first = TokenRow {
            seq,
            id: TokenId(Uuid::from_u128(1)),
            name: "checkout".to_owned(),
            scope: Scope::Trigger,
            hint: "qyvo_ab".to_owned(),
            created_at: now(),
            revoked_at: None,
            rate_limit: None,
        };
        assert_eq!(live(&tx).unwrap()[0], ([1; 32], first.clone()));
        assert!(set_rate_limit(&tx, first.id, Some(0)).unwrap());
        assert_eq!(live(&tx).unwrap()[0].1, TokenRow { rate_limit: Some(0), ..first.clone() });
        assert!(set_rate_limit(&tx, first.id, None).unwrap());
        assert!(revoke(&tx, first.id, now()).unwrap());
        assert!(!revoke(&tx, first.id, now()).unwrap());
        assert!(!set_rate_limit(&tx, first.id, Some(5)).unwrap());
        assert_eq!(live(&tx).unwrap().iter().map(|(hash, _)| hash[0]).collect::<Vec<_>>(), [2]);
        assert_eq!(list(&tx).unwrap()[0], TokenRow { revoked_at: Some(now()), ..first });
    }

    #[test]
    fn scopes_are_ordered_and_parse() {
        assert!(Scope::Trigger < Scope::Api && Scope::Api < Scope::Admin);
        for scope in [Scope::Trigger, Scope::Api, Scope::Admin] {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        assert!("root".parse::<Scope>().is_err());
    }
}
