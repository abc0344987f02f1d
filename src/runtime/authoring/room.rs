//! How many flows there may be, and how large their drafts together. Published versions are not counted: whoever may
//! publish answers for them.

use crate::domain::FlowId;
use crate::error::Result;
use crate::store::flows::{self, DraftTotals};
use crate::store::{Conn, Tx};

/// How many flows there may be that are not deleted, and bytes of their drafts; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DraftLimits {
    /// Of all flows and sequences.
    pub all: DraftTotals,
    /// Of those that the author was the last to save; `None`: the author has no limit.
    pub of_author: Option<DraftTotals>,
}

/// What there would be too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surplus {
    /// Flows: so many are allowed.
    Flows(u64),
    /// Bytes of drafts: so many are allowed.
    Bytes(u64),
}

/// A draft for which there is no room. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom {
    /// Whether it is the author's limit, or that of all.
    pub is_of_author: bool,
    /// What there would be too much of.
    pub surplus: Surplus,
}

/// Whether there is room for a draft of so many bytes as that of a flow. A draft that takes the place of one that is no
/// smaller always has room, also under a limit that was lowered. Inside a write transaction.
///
/// # Errors
/// When the database cannot be read.
pub fn check(tx: &Tx<'_>, limits: &DraftLimits, author: &str, id: FlowId, bytes: u64) -> Result<Result<(), NoRoom>> {
    let draft = (id, bytes);
    let no_room = |is_of_author| move |surplus| NoRoom { is_of_author, surplus };
    if let Some(limit) = &limits.of_author
        && let Err(surplus) = fits(tx, limit, Some(author), draft)?
    {
        return Ok(Err(no_room(true)(surplus)));
    }
    Ok(fits(tx, &limits.all, None, draft)?.map_err(no_room(false)))
}

fn fits(
    conn: &Conn,
    limit: &DraftTotals,
    author: Option<&str>,
    (id, bytes): (FlowId, u64),
) -> Result<Result<(), Surplus>> {
    if *limit == DraftTotals::default() {
        return Ok(Ok(()));
    }
    let (others, own) = flows::draft_totals(conn, author, id)?;
    let is_over = |limit: u64, after: u64, before: u64| limit > 0 && after > limit && after > before;
    Ok(if is_over(limit.flows, others.flows + 1, others.flows + own.flows) {
        Err(Surplus::Flows(limit.flows))
    } else if is_over(limit.bytes, others.bytes + bytes, others.bytes + own.bytes) {
        Err(Surplus::Bytes(limit.bytes))
    } else {
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::Timestamp;
    use crate::runtime::authoring::{Draft, create, replace_draft};
    use crate::store::{Options, Store};

    fn draft(bytes: usize) -> Draft {
        let text = "x".repeat(bytes - "{\"x\":\"\"}".len());
        Draft::of(serde_json::json!({"x": text}).as_object().unwrap())
    }

    #[test]
    fn drafts_count_for_who_saved_them_last_and_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Options::new(folder.path().join("qyvo.db"))).unwrap();
        let id = |n| FlowId(Uuid::from_u128(n));
        let now = Timestamp::from_millis(1_778_141_663_250);
        let some = |flows, bytes| DraftTotals { flows, bytes };
        let of_all = |surplus| Err(NoRoom { is_of_author: false, surplus });
        let of_author = |surplus| Err(NoRoom { is_of_author: true, surplus });
        let done = store.write_blocking(move |tx| {
            let check = |limits: (DraftTotals, Option<DraftTotals>), author, n, bytes| {
                check(tx, &DraftLimits { all: limits.0, of_author: limits.1 }, author, id(n), bytes).unwrap()
            };
            for (n, author) in [(1, "shop"), (2, "shop"), (3, "Ann")] {
                assert_eq!(check((some(3, 300), None), author, n, 100), Ok(()));
                create(tx, id(n), &draft(100), author, now)?;
            }
            assert_eq!(check((some(3, 0), None), "shop", 4, 1), of_all(Surplus::Flows(3)));
            assert_eq!(check((some(0, 300), None), "shop", 4, 1), of_all(Surplus::Bytes(300)));
            assert_eq!(check((some(0, 0), None), "shop", 4, 1 << 40), Ok(()), "0 is no limit");
            assert_eq!(check((some(9, 900), Some(some(2, 900))), "shop", 4, 1), of_author(Surplus::Flows(2)));
            assert_eq!(check((some(9, 900), Some(some(9, 250))), "shop", 4, 51), of_author(Surplus::Bytes(250)));
            assert_eq!(check((some(9, 900), Some(some(9, 250))), "shop", 4, 50), Ok(()));
            assert_eq!(check((some(9, 900), Some(some(2, 250))), "Ann", 4, 100), Ok(()), "another author");
            assert_eq!(check((some(9, 900), Some(some(2, 900))), "shop", 3, 1), of_author(Surplus::Flows(2)));

            assert_eq!(check((some(1, 10), Some(some(1, 10))), "shop", 1, 100), Ok(()), "no larger than before");
            assert_eq!(check((some(3, 300), None), "shop", 1, 101), of_all(Surplus::Bytes(300)));

            replace_draft(tx, id(1), None, &draft(100), "Ann", now)?;
            assert_eq!(check((some(9, 900), Some(some(2, 900))), "shop", 4, 1), Ok(()), "a person took it over");
            let seq = flows::seq_of(tx, id(2))?.unwrap();
            flows::delete(tx, seq, now)?;
            assert_eq!(check((some(3, 300), None), "shop", 4, 100), Ok(()), "a deleted one does not count");
            assert_eq!(check((some(2, 0), None), "shop", 2, 100), of_all(Surplus::Flows(2)), "nor is it there");
            Ok(())
        });
        done.unwrap();
    }
}
