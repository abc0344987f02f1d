//! Rows of an older file that are one person's, or one tag's, by the rules of version 5.
//!
//! Before it a number kept the digits that are dialled only inside its country, the two ways of writing the numbers of
//! some countries led to two contacts, and tags that look alike were several. Each contact that is joined goes through
//! the same statements as when two turn out to be one person while the server runs. What cannot be joined stays as it
//! is.

use rusqlite::OptionalExtension;

use super::contacts::StoredContact;
use super::sessions::Marked;
use super::tx::Shared;
use super::{
    Conn, Counter, Tx, addresses, contacts, http_calls, merge, messages, outbox, search_queue, sessions, turns,
};
use crate::domain::profile::clean_tag;
use crate::domain::{AddressKey, AddressKind, CounterName, Phone, Reason, Timestamp};
use crate::error::{Error, Result};

/// A number as WhatsApp writes it, and its id of a person, as files of that version name them.
const WA_ID: AddressKind = AddressKind::digits("wa_id");
const BSUID: AddressKind = AddressKind::id("bsuid");
/// Addresses that are read at once.
const BATCH: u32 = 4096;

/// Joins them, and returns sentences for the log on how many there were.
pub(super) fn join(conn: &Conn) -> Result<Vec<String>> {
    let tx = Tx::new(conn);
    // No caller passes a time: the file is migrated while it is opened.
    let now = conn.query_row("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)", [], |row| row.get(0))?;
    let mut numbers = Numbers { tx: &tx, now, joined: 0, mended: 0, left: 0 };
    numbers.go_through()?;
    let Numbers { joined, mended, left, .. } = numbers;
    let tags = join_tags(&tx)?;
    let mut shared = Shared::default();
    shared.add(tx);
    shared.write(conn)?;
    let told = [
        (joined, "contacts joined with another one, because their phone numbers are one number"),
        (mended, "phone numbers lost the digits that are dialled only inside their country"),
        (left, "contacts left apart, although their phone numbers are one number"),
        (tags, "tags joined with another one, or renamed, because they look the same"),
    ];
    Ok(told.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect())
}

struct Numbers<'a> {
    tx: &'a Tx<'a>,
    now: Timestamp,
    joined: u32,
    mended: u32,
    left: u32,
}

impl Numbers<'_> {
    fn go_through(&mut self) -> Result<()> {
        for kind in [AddressKind::PHONE, WA_ID] {
            let mut after = String::new();
            loop {
                let values = some_after(self.tx, kind, &after)?;
                let Some(last) = values.last().cloned() else { break };
                for value in values {
                    self.look_at(&AddressKey::new(kind, value))?;
                }
                after = last;
            }
        }
        Ok(())
    }

    /// Joins the owner of an address with that of another form of the same number. An address for which that fails is
    /// left.
    fn look_at(&mut self, address: &AddressKey) -> Result<()> {
        let stored = (address.kind == AddressKind::PHONE).then(|| Phone::from_e164(&address.value).ok()).flatten();
        let mended = stored.and_then(|phone| phone.without_trunk_prefix()).map(|phone| AddressKey::of_phone(&phone));
        if mended.is_none() && address.variant().is_none() {
            return Ok(());
        }
        self.tx.execute_batch("SAVEPOINT same_people")?;
        match self.take(address, mended.as_ref()) {
            Ok(()) => Ok(self.tx.execute_batch("RELEASE same_people")?),
            Err(error) => {
                tracing::warn!(%error, "a phone number of an older file stays as it is");
                self.left += 1;
                Ok(self.tx.execute_batch("ROLLBACK TO same_people; RELEASE same_people")?)
            }
        }
    }

    fn take(&mut self, address: &AddressKey, mended: Option<&AddressKey>) -> Result<()> {
        let Some(mut seq) = addresses::owner(self.tx, address)? else { return Ok(()) };
        let number = mended.unwrap_or(address);
        let (mut joined, mut left) = (0, 0);
        for form in number.forms(&[AddressKind::PHONE, WA_ID]) {
            let Some(other) = addresses::owner(self.tx, &form)?.filter(|other| *other != seq) else { continue };
            match self.unite(seq, other)? {
                Some(kept) => {
                    seq = kept;
                    joined += 1;
                }
                None => left += 1,
            }
        }
        let mends = mended.filter(|_| left == 0);
        if let Some(mended) = mends {
            let added_at = self.tx.query_row(
                "DELETE FROM addresses WHERE kind = ?1 AND value = ?2 RETURNING added_at",
                (address.kind, &address.value),
                |row| row.get(0),
            )?;
            addresses::add(self.tx, seq, mended, added_at)?;
        }
        self.joined += joined;
        self.left += left;
        self.mended += u32::from(mends.is_some());
        Ok(())
    }

    /// Makes one contact of two and returns its row; `None` if they are two people by their business-scoped ids.
    fn unite(&self, one: i64, other: i64) -> Result<Option<i64>> {
        let is_known_by_id = |seq| addresses::of_contact(self.tx, seq, BSUID).map(|ids| !ids.is_empty());
        if is_known_by_id(one)? && is_known_by_id(other)? {
            return Ok(None);
        }
        let (one, other) = (self.contact(one)?, self.contact(other)?);
        let is_first = (one.created_at, one.seq) <= (other.created_at, other.seq);
        let (keep, gone) = if is_first { (one, other) } else { (other, one) };
        let (of_keep, of_gone) = (running(self.tx, keep.seq)?, running(self.tx, gone.seq)?);
        if keep.contact.opted_out_at.is_some() != gone.contact.opted_out_at.is_some() {
            for session in of_keep.iter().chain(&of_gone) {
                self.cancel(session.seq, Reason::OptedOut)?;
            }
        } else {
            for theirs in &of_gone {
                if let Some(ours) = of_keep.iter().find(|ours| ours.flow_seq == theirs.flow_seq) {
                    let is_ours_later = (ours.prompted_at, ours.seq) > (theirs.prompted_at, theirs.seq);
                    self.cancel(if is_ours_later { theirs.seq } else { ours.seq }, Reason::Merged)?;
                }
            }
        }
        if keep.contact.opted_out_at.is_some() || gone.contact.opted_out_at.is_some() {
            for contact in [&keep, &gone] {
                outbox::fail_queued_of_contact(self.tx, contact.seq, Reason::OptedOut.as_str(), self.now)?;
            }
        }
        merge::unite(self.tx, &keep, &gone, self.now)?;
        Ok(Some(keep.seq))
    }

    fn contact(&self, seq: i64) -> Result<StoredContact> {
        contacts::find_by_seq(self.tx, seq)?.ok_or_else(|| Error::internal(format!("There is no contact in row {seq}")))
    }

    /// Ends a session without reading it: its flow may need more than this program knows.
    fn cancel(&self, seq: i64, reason: Reason) -> Result<()> {
        let reason = reason.as_str();
        let Some(marked) = sessions::mark_one_cancelled(self.tx, seq, reason, self.now)? else { return Ok(()) };
        let Marked { flow_seq, version, turn, .. } = marked;
        messages::fail_queued_of_session(self.tx, seq, None, reason, self.now)?;
        http_calls::delete_of_session(self.tx, seq)?;
        let of_flow = Counter { flow_seq, ..Counter::of(CounterName::SessionCancelled) };
        self.tx.count(Counter { version, ..of_flow.clone() }, 1);
        self.tx.count(Counter { hour: Counter::hour_of(self.now), ..of_flow.clone() }, 1);
        self.tx.count(of_flow, 1);
        let note = "two contacts turned out to be one person when the database was brought forward";
        let record = serde_json::json!({
            "turn": turn, "stimulus": {"type": "cancel"}, "path": [], "changes": [],
            "warnings": [{"node": null, "text": note}]
        });
        turns::insert(self.tx, seq, turn, self.now, &record.to_string(), &[])?;
        Ok(())
    }
}

/// Values of addresses that lead to a contact, in their order.
fn some_after(conn: &Conn, kind: AddressKind, after: &str) -> Result<Vec<String>> {
    let mut statement = conn.prepare_cached(
        "SELECT value FROM addresses WHERE kind = ?1 AND value > ?2 AND retired_at IS NULL ORDER BY value LIMIT ?3",
    )?;
    let rows = statement.query_map((kind, after, BATCH), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

struct Running {
    seq: i64,
    flow_seq: i64,
    prompted_at: Option<Timestamp>,
}

/// The running sessions of a contact, with the columns that are needed here.
fn running(conn: &Conn, contact_seq: i64) -> Result<Vec<Running>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, flow_seq, prompted_at FROM sessions INDEXED BY sessions_running
         WHERE contact_seq = ?1 AND status = 'running'",
    )?;
    let rows = statement.query_map([contact_seq], |row| {
        Ok(Running { seq: row.get(0)?, flow_seq: row.get(1)?, prompted_at: row.get(2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Joins tags that look alike, and deletes tags without a visible character.
fn join_tags(tx: &Tx<'_>) -> Result<u32> {
    let mut statement = tx.prepare("SELECT seq, name FROM tags ORDER BY seq")?;
    let tags: Vec<(i64, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut joined = 0;
    for (seq, name) in tags {
        let clean = clean_tag(&name);
        if clean == name {
            continue;
        }
        joined += 1;
        let same: Option<i64> =
            tx.query_row("SELECT seq FROM tags WHERE name = ?1", [&clean], |row| row.get(0)).optional()?;
        if same.is_none() && !clean.is_empty() {
            tx.execute("UPDATE tags SET name = ?2 WHERE seq = ?1", (seq, &clean))?;
            continue;
        }
        let mut having = tx.prepare_cached("SELECT contact_seq FROM contact_tags WHERE tag_seq = ?1")?;
        let having: Vec<i64> = having.query_map([seq], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        for contact_seq in having {
            search_queue::mark(tx, contact_seq)?;
        }
        if let Some(same) = same {
            tx.execute("UPDATE OR IGNORE contact_tags SET tag_seq = ?2 WHERE tag_seq = ?1", (seq, same))?;
        }
        tx.execute("DELETE FROM contact_tags WHERE tag_seq = ?1", [seq])?;
        tx.execute("DELETE FROM tags WHERE seq = ?1", [seq])?;
    }
    Ok(joined)
}

#[cfg(test)]
mod tests;
