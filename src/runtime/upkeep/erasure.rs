//! Erasing a person.
//!
//! An erasure is many small jobs, because a long history must not keep the writer from other jobs. The first cuts the
//! contact off: from then on the person can neither be found nor written to, and a trigger or a message of theirs makes
//! a new contact. Then the sessions that still run end, kept answers that name the contact are forgotten, and the
//! history goes part by part. The caller may disconnect, and the server may crash: the erasure goes on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::channels::capabilities::address_kinds;
use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::domain::{ContactId, Reason};
use crate::error::{Error, Result};
use crate::runtime::Runtime;
use crate::runtime::commands::end_sessions::end_sessions;
use crate::store::contacts;
use crate::store::erasure::{self, Erasure, Removed};
use crate::store::idempotency::{self, OwnedKey};
use crate::store::tombstones::ErasureKey;
use crate::store::unprocessed_deliveries::UnprocessedDelivery;
use crate::store::{Conn, WriteClass, audit, page_residue, unprocessed_deliveries};

/// Pages that one read looks through for residue: 4 MB.
const PAGES_PER_READ: u32 = 1_000;
/// Pages that one job clears of residue.
const PAGES_PER_JOB: usize = 64;
/// How long the disk is left to others after each read.
const CLEARING_PAUSE: Duration = Duration::from_millis(5);
/// Unprocessed deliveries that one read looks through; one may have 3 MB.
const DELIVERIES_PER_READ: u32 = 20;
/// Kept answers that one read looks through.
const ANSWERS_PER_READ: u32 = 1_000;
/// Kept answers that one job forgets.
const ANSWERS_PER_JOB: usize = 100;

/// What an erasure took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// The contact's id.
    pub contact_id: ContactId,
    /// How many sessions were erased.
    pub sessions: u32,
    /// Messages in both directions.
    pub messages: u32,
}

/// What erasures of one server take turns by.
#[derive(Default)]
pub(in crate::runtime) struct ErasureLocks {
    /// Held while a contact is erased: one at a time.
    erasing: tokio::sync::Mutex<()>,
    /// Held while page residue is cleared. How many erasures had ended when all pages were last cleared, while the log
    /// still has them as they were.
    clearing: tokio::sync::Mutex<Option<u64>>,
}

/// Erases a contact, or ends an erasure of it that was interrupted. `None` if there is neither. The audit has who began
/// it, and not whom it erased.
pub(in crate::runtime) async fn erase(runtime: &Runtime, id: ContactId, by: Actor) -> Result<Option<Erased>> {
    let _turn = runtime.inner.erasure.erasing.lock().await;
    let key = key_for_erasing(runtime).await?;
    let now = runtime.clock().now();
    let stub_id = ContactId(Uuid::now_v7());
    // Done while the addresses are known. Deliveries that come after this are searched once the contact is cut off.
    let addresses = runtime.store().query_vital(move |conn| match contacts::find_by_id(conn, id)? {
        Some(known) => contacts::addresses(conn, known.seq),
        None => Ok(Vec::new()),
    });
    let addresses = Arc::new(addresses.await?.into_iter().map(|address| address.value).collect::<Vec<_>>());
    let looked_at = forget_deliveries(runtime, &addresses, 0).await?;
    let deed = Deed::new(AuditAction::ContactErased, by);
    let recorded = deed.clone();
    let begun = runtime.store().write_as(WriteClass::Essential, move |tx| match contacts::find_by_id(tx, id)? {
        Some(known) => {
            audit::record(tx, &recorded, now)?;
            Ok((erasure::begin(tx, &key, &known, stub_id, address_kinds(), now).map(Some)?, true))
        }
        None => Ok((erasure::find(tx, id)?, false)),
    });
    let (begun, is_new) = begun.await?;
    if is_new {
        audit::log(&deed);
    }
    forget_deliveries(runtime, &addresses, looked_at).await?;
    match begun {
        Some(erasure) => finish(runtime, &key, erasure).await.map(Some),
        None => Ok(None),
    }
}

/// Goes on with what a crash or an error interrupted. One erasure that fails does not stop the others; the first error
/// is given.
pub(in crate::runtime) async fn resume(runtime: &Runtime) -> Result<()> {
    let _turn = runtime.inner.erasure.erasing.lock().await;
    let (kept, begun) = runtime.store().query_vital(|conn| Ok((ErasureKey::find(conn)?, erasure::list(conn)?))).await?;
    if let Some(key) = kept {
        // From now on looking a contact up needs no read of the key.
        runtime.shared().erasure_key.get_or_init(|| key);
    }
    if begun.is_empty() {
        return Ok(());
    }
    let key = key_for_erasing(runtime).await?;
    let mut outcome = Ok(());
    for erasure in begun {
        let contact_seq = erasure.contact_seq;
        if let Err(error) = finish(runtime, &key, erasure).await {
            tracing::error!(contact_seq, %error, "an erasure cannot go on; it is tried again");
            outcome = outcome.and(Err(error));
        }
    }
    outcome
}

async fn finish(runtime: &Runtime, key: &ErasureKey, erasure: Erasure) -> Result<Erased> {
    let Erasure { contact_seq, .. } = erasure;
    end_sessions(runtime, contact_seq, Reason::Erased).await?;
    forget_answers(runtime, erasure).await?;
    let key = *key;
    loop {
        let now = runtime.clock().now();
        match runtime
            .store()
            .write_as(WriteClass::Essential, move |tx| erasure::remove_some(tx, &key, contact_seq, now))
            .await?
        {
            Removed::Some => {}
            Removed::All(Erasure { contact_id, sessions, messages, .. }) => {
                return Ok(Erased { contact_id, sessions, messages });
            }
        }
    }
}

/// Forgets the answers kept for retries that name the contact or one of its sessions. The contact is cut off, so there
/// will be no more of them.
async fn forget_answers(runtime: &Runtime, erasure: Erasure) -> Result<()> {
    let named = runtime.store().query_vital(move |conn| {
        let sessions = erasure::session_ids(conn, erasure.contact_seq)?.into_iter().map(|id| id.0);
        let former = contacts::former_ids(conn, erasure.contact_seq)?.into_iter().map(|id| id.0);
        Ok(sessions.chain(former).chain([erasure.contact_id.0]).collect::<HashSet<Uuid>>())
    });
    let named = Arc::new(named.await?);
    let mut after: Option<OwnedKey> = None;
    loop {
        let named = named.clone();
        let (wanted, last) = runtime
            .store()
            .query_vital(move |conn| {
                idempotency::look_through(conn, after.as_ref(), ANSWERS_PER_READ, |outcome| names_any(outcome, &named))
            })
            .await?;
        for keys in wanted.chunks(ANSWERS_PER_JOB) {
            let keys = keys.to_vec();
            let deleting = runtime.store().write_as(WriteClass::Essential, move |tx| {
                keys.iter().try_for_each(|key| idempotency::delete(tx, &key.as_key()).map(|_| ()))
            });
            deleting.await?;
        }
        match last {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}

/// Forgets the parts of deliveries that nothing took and that name one of these addresses, those after a row. Returns
/// the last row that was looked at.
async fn forget_deliveries(runtime: &Runtime, addresses: &Arc<Vec<String>>, mut after: i64) -> Result<i64> {
    loop {
        let addresses = addresses.clone();
        let look = move |conn: &Conn| {
            let rows = unprocessed_deliveries::list(conn, after, DELIVERIES_PER_READ)?;
            let last = rows.last().map(|row| row.seq);
            let names = |row: &UnprocessedDelivery| addresses.iter().any(|address| names_address(&row.raw, address));
            Ok((rows.iter().filter(|row| names(row)).map(|row| row.seq).collect::<Vec<_>>(), last))
        };
        let (wanted, last) = runtime.store().query_vital(look).await?;
        if !wanted.is_empty() {
            let deleting = runtime.store().write_as(WriteClass::Essential, move |tx| {
                wanted.iter().try_for_each(|seq| unprocessed_deliveries::delete(tx, *seq))
            });
            deleting.await?;
        }
        match last {
            Some(last) => after = last,
            None => return Ok(after),
        }
    }
}

/// Clears the page residue of erasures that have ended, if there were any.
pub(in crate::runtime) async fn clear_page_residue(runtime: &Runtime) -> Result<usize> {
    let mut pages_done = runtime.inner.erasure.clearing.lock().await;
    let Some(erasures) = runtime.store().query_vital(erasure::uncleared).await? else { return Ok(0) };
    let cleared = if *pages_done == Some(erasures) { 0 } else { clear_pages(runtime).await? };
    *pages_done = Some(erasures);
    // The log has the pages as they were. While it is in use this is all that is tried again.
    if runtime.store().empty_log().await? {
        // In any case the count may begin anew.
        *pages_done = None;
        runtime.store().write_as(WriteClass::Essential, move |tx| erasure::set_cleared(tx, erasures)).await?;
    }
    Ok(cleared)
}

/// Clears the residue of all pages, and returns how many pages had some.
async fn clear_pages(runtime: &Runtime) -> Result<usize> {
    let mut cleared = 0;
    let obstacle = runtime.store().query_vital(page_residue::obstacle).await?;
    if let Some(obstacle) = obstacle {
        tracing::warn!("{obstacle}");
    }
    let mut from = if obstacle.is_none() { Some(1) } else { None };
    while let Some(page) = from {
        let look = move |conn: &Conn| page_residue::find(conn, page, PAGES_PER_READ);
        let (found, next) = runtime.store().query_vital(look).await?;
        for pages in found.chunks(PAGES_PER_JOB) {
            let pages = pages.to_vec();
            cleared +=
                runtime.store().write_as(WriteClass::Essential, move |tx| page_residue::clear(tx, &pages)).await?;
        }
        from = next;
        tokio::time::sleep(CLEARING_PAUSE).await;
    }
    Ok(cleared)
}

/// Whether a text has one of these ids in it, as UUIDs are written.
fn names_any(text: &str, ids: &HashSet<Uuid>) -> bool {
    const LENGTH: usize = 36;
    text.match_indices('-')
        .filter_map(|(dash, _)| text.get(dash.checked_sub(8)?..)?.get(..LENGTH)?.parse::<Uuid>().ok())
        .any(|id| ids.contains(&id))
}

/// Whether a text has an address in it, with or without the `+` of a phone number, and not as part of a longer one.
fn names_address(text: &str, address: &str) -> bool {
    let bare = address.trim_start_matches('+');
    let goes_on = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    !bare.is_empty()
        && text
            .match_indices(bare)
            .any(|(at, _)| !goes_on(text[..at].chars().next_back()) && !goes_on(text[at + bare.len()..].chars().next()))
}

/// The key of the hashes, made and committed if there is none.
async fn key_for_erasing(runtime: &Runtime) -> Result<ErasureKey> {
    if let Some(key) = runtime.shared().erasure_key.get() {
        return Ok(*key);
    }
    let mut random = [0; 32];
    getrandom::fill(&mut random)
        .map_err(|error| Error::internal("The system gives no random bytes").caused_by(error.to_string()))?;
    let now = runtime.clock().now();
    let key = runtime.store().write_as(WriteClass::Essential, move |tx| ErasureKey::of(random).keep(tx, now)).await?;
    Ok(*runtime.shared().erasure_key.get_or_init(|| key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_as_a_whole() {
        for text in [r#"{"from":"14155550123"}"#, "+14155550123", "to 14155550123, 1"] {
            assert!(names_address(text, "+14155550123") && names_address(text, "14155550123"), "{text}");
        }
        for text in ["", "114155550123", "141555501234", "x14155550123", "1415555012"] {
            assert!(!names_address(text, "+14155550123"), "{text}");
        }
        assert!(names_address(r#"["US.1349"]"#, "US.1349") && !names_address(r#"["US.13491"]"#, "US.1349"));
        assert!(!names_address("+", "+"));
    }

    #[test]
    fn ids_are_found_wherever_they_stand() {
        let id = Uuid::from_u128(0x01a2_0839_0a4e_7f13_9c0b_2f3f_1f9d_8b55);
        let ids = HashSet::from([id]);
        for text in [
            format!("{{\"id\":\"{id}\"}}"),
            format!("{id}"),
            format!("{{\"a\":\"é-\",\"b\":[\"-{id}-\"]}}"),
            format!("aaaa-{id}"),
        ] {
            assert!(names_any(&text, &ids), "{text}");
        }
        for text in ["", "-", "--------", "é-é", &id.to_string()[1..], &Uuid::from_u128(7).to_string()] {
            assert!(!names_any(text, &ids), "{text}");
        }
    }
}
