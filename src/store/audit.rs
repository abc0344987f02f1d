//! The audit: who did what to the server.

use rusqlite::{Row, params};

use super::{Conn, Tx};
use crate::domain::audit::{AuditAction, Deed};
use crate::domain::{Timestamp, TokenId};
use crate::error::Result;

/// A deed as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Row number of the entry.
    pub seq: i64,
    /// When it was done.
    pub at: Timestamp,
    /// What was done, by its name; a newer program may have recorded others than this one knows.
    pub action: String,
    /// What kind of actor did it.
    pub actor_kind: String,
    /// The name given at log-in, or the token's.
    pub actor: String,
    /// The token.
    pub token: Option<TokenId>,
    /// Where the request came from.
    pub network: Option<String>,
    /// What it was done to.
    pub target: Option<String>,
    /// What else there is to say.
    pub detail: Option<String>,
}

/// Which deeds a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of this kind alone.
    pub action: Option<AuditAction>,
    /// Those of actors with this name alone.
    pub actor: Option<String>,
}

const ALL: &str = "SELECT seq, at, action, actor_kind, actor, token_id, network, target, detail FROM audit
    WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2";
const BY_ACTION: &str = "SELECT seq, at, action, actor_kind, actor, token_id, network, target, detail
    FROM audit INDEXED BY audit_by_action
    WHERE action = ?3 AND (?4 IS NULL OR actor = ?4) AND seq < ?1 ORDER BY seq DESC LIMIT ?2";
const BY_ACTOR: &str = "SELECT seq, at, action, actor_kind, actor, token_id, network, target, detail
    FROM audit INDEXED BY audit_by_actor WHERE actor = ?3 AND seq < ?1 ORDER BY seq DESC LIMIT ?2";
const OLD: &str = "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE at < ?1 ORDER BY at LIMIT ?2)";
const OF_TARGET: &str = "UPDATE audit SET target = NULL WHERE target = ?1";

/// Records a deed, in the transaction in which it is done.
pub fn record(tx: &Tx<'_>, deed: &Deed, now: Timestamp) -> Result<()> {
    let Deed { action, actor, target, detail } = deed;
    let (kind, name, network) = (actor.kind.as_str(), &*actor.name, actor.network.as_deref());
    tx.prepare_cached(
        "INSERT INTO audit (at, action, actor_kind, actor, token_id, network, target, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![now, action.as_str(), kind, name, actor.token, network, target, detail])?;
    Ok(())
}

/// Writes a deed to the log, once it is committed.
pub fn log(deed: &Deed) {
    let Deed { action, actor, target, detail } = deed;
    let name = Some(&*actor.name).filter(|name| !name.is_empty());
    tracing::info!(
        action = action.as_str(),
        by = actor.kind.as_str(),
        actor = name,
        token = actor.token.map(tracing::field::display),
        network = actor.network.as_deref(),
        target = target.as_deref(),
        detail = detail.as_deref(),
        "audit"
    );
}

/// The deeds that a filter lets through, newest first: those before the row `before`, at most `limit`.
pub fn list(conn: &Conn, filter: &Filter, before: Option<i64>, limit: u32) -> Result<Vec<AuditRow>> {
    let before = before.unwrap_or(i64::MAX);
    let rows = match (&filter.action, &filter.actor) {
        (None, None) => conn.prepare_cached(ALL)?.query_map((before, limit), read)?.collect(),
        (Some(action), actor) => {
            conn.prepare_cached(BY_ACTION)?.query_map((before, limit, action.as_str(), actor), read)?.collect()
        }
        (None, Some(actor)) => conn.prepare_cached(BY_ACTOR)?.query_map((before, limit, actor), read)?.collect(),
    };
    let rows: rusqlite::Result<Vec<AuditRow>> = rows;
    Ok(rows?)
}

/// Deletes some deeds that were done before a time, and returns how many.
pub fn prune(tx: &Tx<'_>, before: Timestamp, limit: u32) -> Result<usize> {
    Ok(tx.prepare_cached(OLD)?.execute((before, limit))?)
}

/// Forgets to what deeds were done that were done to this: a contact that is erased.
pub(super) fn forget_target(tx: &Tx<'_>, target: &str) -> Result<()> {
    tx.prepare_cached(OF_TARGET)?.execute([target])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        seq: row.get(0)?,
        at: row.get(1)?,
        action: row.get(2)?,
        actor_kind: row.get(3)?,
        actor: row.get(4)?,
        token: row.get(5)?,
        network: row.get(6)?,
        target: row.get(7)?,
        detail: row.get(8)?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::audit::{Actor, ActorKind};
    use crate::store::testing::{self, now};

    #[test]
    fn deeds_are_listed_newest_first_and_filtered_and_go_after_their_time() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let later = now().plus(Duration::from_secs(1));
        let made = Deed::new(AuditAction::TokenCreated, Actor::command_line()).to("a").saying("scope trigger");
        record(&tx, &made, now()).unwrap();
        record(&tx, &Deed::new(AuditAction::LoggedIn, Actor::login("Ana", "192.0.2.1")), now()).unwrap();
        record(&tx, &Deed::new(AuditAction::LoggedOut, Actor::login("Ana", "192.0.2.1")), later).unwrap();
        let seqs = |filter: &Filter, before| {
            list(&tx, filter, before, 9).unwrap().into_iter().map(|row| row.seq).collect::<Vec<_>>()
        };
        let by = |action, actor: Option<&str>| Filter { action, actor: actor.map(str::to_owned) };
        assert_eq!(seqs(&Filter::default(), None), [3, 2, 1]);
        assert_eq!(seqs(&Filter::default(), Some(3)), [2, 1]);
        assert_eq!(seqs(&by(Some(AuditAction::LoggedIn), None), None), [2]);
        assert_eq!(seqs(&by(Some(AuditAction::LoggedIn), Some("Bo")), None), [] as [i64; 0]);
        assert_eq!(seqs(&by(None, Some("Ana")), None), [3, 2]);
        let row = list(&tx, &Filter::default(), None, 9).unwrap().pop().unwrap();
        assert_eq!((row.target.as_deref(), row.detail.as_deref()), (Some("a"), Some("scope trigger")));
        forget_target(&tx, "a").unwrap();
        assert_eq!(list(&tx, &Filter::default(), None, 9).unwrap().pop().unwrap().target, None);
        assert_eq!((prune(&tx, later, 1).unwrap(), prune(&tx, later, 9).unwrap()), (1, 1));
        assert_eq!(seqs(&Filter::default(), None), [3]);
    }

    #[test]
    fn the_schema_takes_every_kind_of_actor() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        for kind in ActorKind::ALL {
            let actor = Actor { kind, ..Actor::server() };
            record(&tx, &Deed::new(AuditAction::LoggedIn, actor), now()).unwrap();
        }
    }

    #[test]
    fn no_query_scans() {
        let conn = testing::conn();
        for sql in [ALL, BY_ACTION, BY_ACTOR, OLD, OF_TARGET] {
            let plan = testing::plan(&conn, sql);
            assert!(!plan.contains("SCAN") && !plan.contains("TEMP"), "{sql}: {plan}");
        }
    }
}
