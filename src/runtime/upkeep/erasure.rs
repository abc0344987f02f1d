//! Erasing a person.
//!
//! An erasure is many small jobs, because a long history must not keep the writer from other jobs. The first cuts the
//! contact off: from then on the person can neither be found nor written to, and a trigger or a message of theirs makes
//! a new contact. Then the sessions that still run end, kept answers that name the contact are forgotten, and the
//! history goes part by part. The caller may disconnect, and the server may crash: the erasure goes on. Before all that
//! the contact's ids are written to the list of erased contacts, by which a start erases them again in an older copy of
//! the database.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::channels::capabilities::address_kinds;
use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::domain::{ContactId, Reason};
use crate::error::{Error, Result};
use crate::runtime::Runtime;
use crate::runtime::commands::end_sessions::end_sessions;
use crate::store::contacts;
use crate::store::contacts::StoredContact;
use crate::store::erased_list::{self, Entry, ErasedList};
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
    /// The list of erased contacts, once it is open.
    list: Arc<Mutex<Option<ErasedList>>>,
    /// Held while page residue is cleared. How many erasures had ended when all pages were last cleared, while the log
    /// still has them as they were.
    clearing: tokio::sync::Mutex<Option<u64>>,
}

/// Erases a contact, or ends an erasure of it that was interrupted. `None` if there is neither. The audit has who began
/// it, and not whom it erased.
pub(in crate::runtime) async fn erase(runtime: &Runtime, id: ContactId, by: Actor) -> Result<Option<Erased>> {
    let _turn = runtime.inner.erasure.erasing.lock().await;
    erase_in_turn(runtime, id, Some(by)).await
}

/// Erases a contact for an actor, or for the list of erased contacts, which has the erasure then.
async fn erase_in_turn(runtime: &Runtime, id: ContactId, by: Option<Actor>) -> Result<Option<Erased>> {
    let is_listed = by.is_none();
    let key = key_for_erasing(runtime).await?;
    let now = runtime.clock().now();
    let stub_id = ContactId(Uuid::now_v7());
    // Done while the addresses are known. Deliveries that come after this are searched once the contact is cut off.
    let known = runtime.store().query_vital(move |conn| {
        let Some(known) = contacts::find_by_id(conn, id)? else { return Ok(None) };
        let addresses = contacts::addresses(conn, known.seq)?.into_iter().map(|address| address.value).collect();
        Ok(Some((ids_of(conn, &known)?, addresses)))
    });
    let (ids, addresses): (Vec<ContactId>, Vec<String>) = known.await?.unwrap_or_default();
    let listed = match &*ids {
        [] => None,
        _ if is_listed => None,
        ids => Some(write_entry(runtime, ids.to_vec()).await?),
    };
    let addresses = Arc::new(addresses);
    let looked_at = forget_deliveries(runtime, &addresses, 0).await?;
    let deed = by.map(|by| Deed::new(AuditAction::ContactErased, by));
    let recorded = deed.clone();
    let begun = runtime.store().write_as(WriteClass::Essential, move |tx| {
        if let Some(number) = listed {
            erased_list::set_applied(tx, number)?;
        }
        match contacts::find_by_id(tx, id)? {
            Some(known) => {
                if let Some(deed) = &recorded {
                    audit::record(tx, deed, now)?;
                }
                let ids = ids_of(tx, &known)?;
                Ok(Some((erasure::begin(tx, &key, &known, stub_id, address_kinds(), now)?, ids)))
            }
            None => Ok(erasure::find(tx, id)?.map(|erasure| (erasure, Vec::new()))),
        }
    });
    let begun = begun.await?;
    // What has no ids was begun before.
    if let Some(deed) = deed.filter(|_| begun.as_ref().is_some_and(|(_, ids)| !ids.is_empty())) {
        audit::log(&deed);
    }
    forget_deliveries(runtime, &addresses, looked_at).await?;
    let Some((erasure, ids_at_begin)) = begun else { return Ok(None) };
    if !is_listed && ids_at_begin.iter().any(|id| !ids.contains(id)) {
        // It was merged with another one in between.
        let number = write_entry(runtime, ids_at_begin).await?;
        runtime.store().write_as(WriteClass::Essential, move |tx| erased_list::set_applied(tx, number)).await?;
    }
    finish(runtime, &key, erasure).await.map(Some)
}

/// The ids by which a contact is known, its own first.
fn ids_of(conn: &Conn, known: &StoredContact) -> Result<Vec<ContactId>> {
    let former = contacts::former_ids(conn, known.seq)?;
    Ok([known.contact.id].into_iter().chain(former).collect())
}

/// Writes an erasure to the list of erased contacts, and returns its number once it is on the disk.
async fn write_entry(runtime: &Runtime, ids: Vec<ContactId>) -> Result<u64> {
    let applied = runtime.store().query_vital(erased_list::applied).await?;
    with_list(runtime, move |list| {
        let number = list.next_number(applied);
        list.append(Entry { number, ids })?;
        Ok(number)
    })
    .await
}

/// Works with the list of erased contacts, on a thread that may wait for the disk.
async fn with_list<T: Send + 'static>(
    runtime: &Runtime,
    f: impl FnOnce(&mut ErasedList) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (list, store) = (runtime.inner.erasure.list.clone(), runtime.store().clone());
    let copies: Vec<PathBuf> = runtime.backup_plan().list_copy(store.path()).into_iter().collect();
    let work = move || {
        let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.is_none() {
            *list = Some(store.erased_list(&copies)?);
        }
        list.as_mut().map_or_else(|| Err(Error::internal("The list of erased contacts is not open")), f)
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::internal("Writing the list of erased contacts panicked").caused_by(error)))
}

/// Erases the contacts that were erased after this copy of the database was made, so that none of them is here when the
/// first request is taken.
pub(in crate::runtime) async fn take_in_list(runtime: &Runtime) -> Result<()> {
    let _turn = runtime.inner.erasure.erasing.lock().await;
    let applied = runtime.store().query_vital(erased_list::applied).await?;
    let missing = with_list(runtime, move |list| {
        list.take_room();
        Ok(list.above(applied))
    });
    let missing = missing.await?;
    let mut erased = 0;
    for Entry { number, ids } in &missing {
        for id in ids {
            erased += u32::from(erase_in_turn(runtime, *id, None).await?.is_some());
        }
        let number = *number;
        runtime.store().write_as(WriteClass::Essential, move |tx| erased_list::set_applied(tx, number)).await?;
    }
    if !missing.is_empty() {
        tracing::warn!(
            erasures = missing.len(),
            contacts = erased,
            "the database is older than the list of erased contacts beside it: they were erased again"
        );
    }
    Ok(())
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
