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
    /// Until when the secret before the last rotation is taken as well, which may be over.
    pub old_until: Option<Timestamp>,
}

/// A secret that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSecret {
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// Until when it is taken; `None` for the token's present one.
    pub until: Option<Timestamp>,
    /// The token that it stands for.
    pub token: TokenRow,
}

/// What a token gets in place of its secret.
#[derive(Debug, Clone, Copy)]
pub struct NewSecret<'a> {
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// The secret's first characters.
    pub hint: &'a str,
    /// Until when the one before is taken as well; `None` ends it at once.
    pub old_until: Option<Timestamp>,
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
        "SELECT seq, id, name, scope, hint, created_at, revoked_at, rate_limit, old_until FROM tokens ORDER BY seq",
    )?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The secrets that are taken, the old ones of rotated tokens among them, also where their time is over by now.
pub fn live(conn: &Conn) -> Result<Vec<LiveSecret>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, name, scope, hint, created_at, revoked_at, rate_limit, old_until, hash, old_hash FROM tokens
         WHERE revoked_at IS NULL",
    )?;
    let mut secrets = Vec::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let token = read(row)?;
        if let (Some(hash), Some(until)) = (row.get(10)?, token.old_until) {
            secrets.push(LiveSecret { hash, until: Some(until), token: token.clone() });
        }
        secrets.push(LiveSecret { hash: row.get(9)?, until: None, token });
    }
    Ok(secrets)
}

/// Gives a token that is taken another secret. The one before is taken until a time; the one before that, whose time
/// may not be over, is not taken any more. Returns whether there is such a token.
pub fn rotate(tx: &Tx<'_>, id: TokenId, new: &NewSecret<'_>) -> Result<bool> {
    let NewSecret { hash, hint, old_until } = new;
    let rotated = tx
        .prepare_cached(
            "UPDATE tokens SET old_hash = CASE WHEN ?4 IS NOT NULL THEN hash END, old_until = ?4, hash = ?2, hint = ?3
             WHERE id = ?1 AND revoked_at IS NULL",
        )?
        .execute((id, hash, hint, old_until))?;
    Ok(rotated > 0)
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
        old_until: row.get(8)?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
            old_until: None,
        };
        assert_eq!(live(&tx).unwrap()[0], LiveSecret { hash: [1; 32], until: None, token: first.clone() });
        assert!(set_rate_limit(&tx, first.id, Some(0)).unwrap());
        assert_eq!(live(&tx).unwrap()[0].token, TokenRow { rate_limit: Some(0), ..first.clone() });
        assert!(set_rate_limit(&tx, first.id, None).unwrap());
        assert!(revoke(&tx, first.id, now()).unwrap());
        assert!(!revoke(&tx, first.id, now()).unwrap());
        assert!(!set_rate_limit(&tx, first.id, Some(5)).unwrap());
        assert_eq!(live(&tx).unwrap().iter().map(|secret| secret.hash[0]).collect::<Vec<_>>(), [2]);
        assert_eq!(list(&tx).unwrap()[0], TokenRow { revoked_at: Some(now()), ..first });
    }

    #[test]
    fn a_rotated_token_has_one_old_secret_at_most() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let id = TokenId(Uuid::from_u128(1));
        let new = NewToken { id, name: "shop", scope: Scope::Api, hash: [1; 32], hint: "qyvo_1", rate_limit: Some(5) };
        let seq = insert(&tx, &new, now()).unwrap();
        let secrets = |tx: &Tx<'_>| -> Vec<(u8, Option<Timestamp>)> {
            live(tx).unwrap().iter().map(|secret| (secret.hash[0], secret.until)).collect()
        };
        let (soon, later) = (now().plus(Duration::from_secs(60)), now().plus(Duration::from_secs(90)));
        let rotated = |n: u8, old_until| {
            assert!(rotate(&tx, id, &NewSecret { hash: [n; 32], hint: "qyvo_2", old_until }).unwrap());
        };
        rotated(2, Some(soon));
        assert_eq!(secrets(&tx), [(1, Some(soon)), (2, None)]);
        rotated(3, Some(later));
        assert_eq!(secrets(&tx), [(2, Some(later)), (3, None)], "the oldest is not taken any more");
        let listed = list(&tx).unwrap();
        assert_eq!((listed[0].seq, listed[0].hint.as_str(), listed[0].rate_limit), (seq, "qyvo_2", Some(5)));
        assert_eq!(listed[0].old_until, Some(later));
        rotated(4, None);
        assert_eq!(secrets(&tx), [(4, None)]);
        rotated(5, Some(later));
        assert!(revoke(&tx, id, now()).unwrap());
        assert_eq!(secrets(&tx), [], "revoking ends both");
        assert!(!rotate(&tx, id, &NewSecret { hash: [6; 32], hint: "", old_until: None }).unwrap());
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
