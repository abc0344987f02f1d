//! The contacts that the index of the search takes in next: code that writes a searched column queues them here.

use super::Tx;
use crate::domain::Timestamp;
use crate::error::Result;

/// At so many new contacts that are not indexed a further one does not wait for its turn. Searches look at more than
/// that.
pub(super) const BACKLOG: i64 = 500;

/// Queues a contact to be indexed next, because its name, email address, numbers or tags have changed.
pub(super) fn mark(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO search_queue (contact_seq) VALUES (?1)")?.execute([seq])?;
    Ok(())
}

/// Queues a new contact to be indexed next if more than [`BACKLOG`] others are not indexed yet. Otherwise its turn
/// comes without a mark, in the order of the rows.
pub(super) fn mark_new(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO search_queue (contact_seq) SELECT ?1 FROM search_progress WHERE up_to < ?1 - ?2",
    )?
    .execute((seq, BACKLOG))?;
    Ok(())
}

/// Moves a contact that is one of many, as from a file, behind all that are queued or not indexed yet.
pub fn defer(tx: &Tx<'_>, seq: i64) -> Result<()> {
    // Its turn comes as that of every new contact.
    let sql = "DELETE FROM search_queue WHERE contact_seq = ?1 AND ?1 > (SELECT up_to FROM search_progress)";
    if tx.prepare_cached(sql)?.execute([seq])? == 0 {
        tx.prepare_cached(
            "UPDATE search_queue SET place = (SELECT min(place) - 1 FROM search_queue) WHERE contact_seq = ?1",
        )?
        .execute([seq])?;
    }
    Ok(())
}

/// Queues a contact whose `last_message_at` a message of the time `at` is about to change in a way that
/// `search::activity` would not see: from none at all, or to a time that its blocks have passed already. A contact that
/// is not indexed yet needs no mark, so a message to a new contact mostly costs nothing.
pub(super) fn mark_message(tx: &Tx<'_>, seq: i64, at: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO search_queue (contact_seq)
         SELECT c.seq FROM contacts AS c, search_progress AS p
         WHERE c.seq = ?1 AND c.seq <= p.up_to
             AND (c.last_message_at IS NULL OR (c.last_message_at < ?2 AND ?2 <= p.followed_at))
         ON CONFLICT DO NOTHING",
    )?
    .execute((seq, at))?;
    Ok(())
}
