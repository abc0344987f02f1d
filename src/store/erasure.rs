//! Taking a person out of the database, in jobs that each do a bounded part of it.
//!
//! [`begin`] cuts a contact off: no id, address or tag leads to it any more, its profile is empty, and only a stub is
//! left that its sessions and messages hang on. [`remove_some`] takes those away until nothing is left, the stub
//! last, with what its sessions still made of it. An erasure that was interrupted stands in the table `erasures` and
//! goes on where it was.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::contacts::{self, Address, StoredContact};
use super::tombstones::{self, ErasureKey, Tombstone};
use super::{Conn, Tx, audit, http_calls, search, secrets};
use crate::domain::{AddressKey, AddressKind, ContactId, SessionId, Timestamp};
use crate::error::Result;

/// How long a provider may deliver a message again: the ids of younger ones are remembered.
pub const REDELIVERY: Duration = Duration::from_secs(8 * 24 * 3600);
/// Where it stands among the secrets how many erasures ended since page residue was cleared.
const UNCLEARED: &str = "erasures_uncleared";
/// Rows that one job deletes at the most.
const BATCH: u32 = 256;
/// Bytes of text after which a job stops deleting: with `secure_delete` each of their pages is written.
const BYTES: u32 = 1024 * 1024;

/// An erasure that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    /// Row of the stub.
    pub contact_seq: i64,
    /// What the contact was known by.
    pub contact_id: ContactId,
    /// Sessions that were taken away so far.
    pub sessions: u32,
    /// Messages that were taken away so far.
    pub messages: u32,
}

/// How far [`remove_some`] got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// There may be more.
    Some,
    /// The erasure is complete.
    All(Erasure),
}

/// The erasures that have not ended, in the order of their contacts.
pub fn list(conn: &Conn) -> Result<Vec<Erasure>> {
    let mut statement =
        conn.prepare_cached("SELECT contact_seq, contact_id, sessions, messages FROM erasures ORDER BY contact_seq")?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The erasure under way of a contact that was known by `id`, also one that was merged into it.
pub fn find(conn: &Conn, id: ContactId) -> Result<Option<Erasure>> {
    let mut statement = conn.prepare_cached(
        "SELECT contact_seq, contact_id, sessions, messages FROM erasures
         WHERE contact_id = ?1
             OR contact_seq = (SELECT contact_seq FROM contact_redirects WHERE old_id = ?1)",
    )?;
    Ok(statement.query_row([id], read).optional()?)
}

/// Cuts a contact off from everything that leads to it, and keeps hashes of its addresses if the person has opted out.
/// `stub_id` is a new id, given out to no caller; `kinds` are the kinds that addresses may be of. Former ids stay until
/// the end, so that a retry under one finds the erasure.
pub fn begin(
    tx: &Tx<'_>,
    key: &ErasureKey,
    known: &StoredContact,
    stub_id: ContactId,
    kinds: &[AddressKind],
    now: Timestamp,
) -> Result<Erasure> {
    let StoredContact { seq, contact, .. } = known;
    tx.prepare_cached("INSERT INTO erasures (contact_seq, contact_id, begun_at) VALUES (?1, ?2, ?3)")?
        .execute((seq, contact.id, now))?;
    for Address { kind, value, retired_at, .. } in contacts::addresses(tx, *seq)? {
        let tombstone = Tombstone::OptOut(&kind, &value);
        match (retired_at, contact.opted_out_at) {
            // It leads to no contact, and its next owner has not opted out.
            (Some(_), _) => {}
            (None, Some(_)) => tombstones::insert(tx, key, tombstone, now)?,
            // Erased once before, then back and willing, perhaps by the other form of the number.
            (None, None) => {
                let kind = kinds.iter().find(|known| known.as_str() == kind);
                for form in kind.iter().flat_map(|kind| AddressKey::new(**kind, &*value).forms_ever_kept(kinds)) {
                    tombstones::remove(tx, key, Tombstone::OptOut(form.kind.as_str(), &form.value))?;
                }
            }
        }
    }
    for id in contacts::former_ids(tx, *seq)?.into_iter().chain([contact.id]) {
        audit::forget_target(tx, &id.to_string())?;
    }
    remove_tags_and_addresses(tx, *seq)?;
    search::index::remove(tx, *seq)?;
    contacts::blank(tx, *seq, stub_id, now)?;
    Ok(Erasure { contact_seq: *seq, contact_id: contact.id, sessions: 0, messages: 0 })
}

/// How many erasures ended whose [`super::page_residue`] was not cleared yet; `None` without any.
pub fn uncleared(conn: &Conn) -> Result<Option<u64>> {
    // A count that cannot be read still says that there is residue.
    Ok(secrets::get(conn, UNCLEARED)?.map(|count| count.parse().unwrap_or(0)))
}

/// Records that the page residue of so many erasures is cleared, unless further ones ended meanwhile.
pub fn set_cleared(tx: &Tx<'_>, erasures: u64) -> Result<()> {
    if uncleared(tx)? == Some(erasures) {
        secrets::remove(tx, UNCLEARED)?;
    }
    Ok(())
}

/// Ids of all sessions of a contact.
pub fn session_ids(conn: &Conn, contact_seq: i64) -> Result<Vec<SessionId>> {
    let mut statement = conn.prepare_cached("SELECT id FROM sessions WHERE contact_seq = ?1")?;
    let rows = statement.query_map([contact_seq], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Deletes a bounded part of what hangs on a stub: its messages, the newest first since those may still be waiting to
/// go out, the webhook deliveries about it, then its sessions with their turns and calls, at last the stub itself.
/// Hashes of what the person wrote lately are kept. Its sessions have ended before.
pub fn remove_some(tx: &Tx<'_>, key: &ErasureKey, contact_seq: i64, now: Timestamp) -> Result<Removed> {
    let mut budget = Budget { rows: BATCH, bytes: BYTES };
    let messages = remove_messages(tx, key, contact_seq, now, &mut budget)?;
    remove_deliveries(tx, contact_seq, &mut budget)?;
    let mut sessions = 0;
    while !budget.is_spent() {
        let Some((seq, bytes)) = next_session(tx, contact_seq)? else { break };
        remove_turns(tx, seq, &mut budget)?;
        if budget.is_spent() {
            break;
        }
        http_calls::delete_of_session(tx, seq)?;
        tx.prepare_cached("DELETE FROM sessions WHERE seq = ?1")?.execute([seq])?;
        budget.spend(bytes);
        sessions += 1;
    }
    tx.prepare_cached("UPDATE erasures SET sessions = sessions + ?2, messages = messages + ?3 WHERE contact_seq = ?1")?
        .execute(params![contact_seq, sessions, messages])?;
    if budget.is_spent() {
        return Ok(Removed::Some);
    }
    // Sessions that still ran when the erasure began may have tagged the stub, and would keep it from going.
    remove_tags_and_addresses(tx, contact_seq)?;
    tx.prepare_cached("DELETE FROM contact_redirects WHERE contact_seq = ?1")?.execute([contact_seq])?;
    tx.prepare_cached("DELETE FROM pair_clocks WHERE contact_seq = ?1")?.execute([contact_seq])?;
    search::index::remove(tx, contact_seq)?;
    contacts::remove(tx, contact_seq)?;
    let erasures = uncleared(tx)?.unwrap_or(0) + 1;
    secrets::set(tx, UNCLEARED, &erasures.to_string(), now)?;
    let mut statement = tx.prepare_cached(
        "DELETE FROM erasures WHERE contact_seq = ?1 RETURNING contact_seq, contact_id, sessions, messages",
    )?;
    Ok(Removed::All(statement.query_row([contact_seq], read)?))
}

fn remove_tags_and_addresses(tx: &Tx<'_>, contact_seq: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM addresses WHERE contact_seq = ?1")?.execute([contact_seq])?;
    contacts::remove_tags(tx, contact_seq)
}

/// What a job may still delete.
struct Budget {
    rows: u32,
    bytes: u32,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.rows == 0 || self.bytes == 0
    }

    fn spend(&mut self, bytes: u32) {
        self.rows = self.rows.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

fn remove_messages(
    tx: &Tx<'_>,
    key: &ErasureKey,
    contact_seq: i64,
    now: Timestamp,
    budget: &mut Budget,
) -> Result<u32> {
    // octet_length() gives a text's size without reading the pages that hold the rest of it.
    let mut newest = tx.prepare_cached(
        "SELECT seq, octet_length(body), channel,
             CASE WHEN direction = 'in' OR elsewhere IS NOT NULL THEN provider_id END, created_at, sender
         FROM messages WHERE contact_seq = ?1 ORDER BY seq DESC LIMIT 1",
    )?;
    let mut delete_stages = tx.prepare_cached("DELETE FROM message_stages WHERE message_seq = ?1")?;
    let mut delete = tx.prepare_cached("DELETE FROM messages WHERE seq = ?1")?;
    let mut removed = 0;
    while !budget.is_spent() {
        let message = newest.query_row([contact_seq], |row| {
            let (channel, provider_id): (String, Option<String>) = (row.get(2)?, row.get(3)?);
            let provider_id = provider_id.map(|id| (row.get::<_, String>(5), id));
            Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?, channel, provider_id, row.get::<_, Timestamp>(4)?))
        });
        let Some((seq, bytes, channel, provider_id, created_at)) = message.optional()? else { break };
        if let Some((sender, provider_id)) = provider_id.filter(|_| created_at.plus(REDELIVERY) > now) {
            tombstones::insert(tx, key, Tombstone::of_message(&channel, &sender?, &provider_id), now)?;
        }
        for _ in 0..delete_stages.execute([seq])? {
            budget.spend(0);
        }
        delete.execute([seq])?;
        budget.spend(bytes);
        removed += 1;
    }
    Ok(removed)
}

/// Deletes webhook deliveries about a person, posted or not.
fn remove_deliveries(tx: &Tx<'_>, contact_seq: i64, budget: &mut Budget) -> Result<()> {
    let mut first = tx.prepare_cached(
        "SELECT seq, octet_length(body) FROM webhook_deliveries WHERE contact_seq = ?1 ORDER BY seq LIMIT 1",
    )?;
    let mut delete = tx.prepare_cached("DELETE FROM webhook_deliveries WHERE seq = ?1")?;
    while !budget.is_spent() {
        let delivery = first.query_row([contact_seq], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?)));
        let Some((seq, bytes)) = delivery.optional()? else { break };
        delete.execute([seq])?;
        budget.spend(bytes);
    }
    Ok(())
}

fn next_session(tx: &Tx<'_>, contact_seq: i64) -> Result<Option<(i64, u32)>> {
    let mut statement =
        tx.prepare_cached("SELECT seq, octet_length(state) FROM sessions WHERE contact_seq = ?1 LIMIT 1")?;
    Ok(statement.query_row([contact_seq], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

fn remove_turns(tx: &Tx<'_>, session_seq: i64, budget: &mut Budget) -> Result<()> {
    let mut first =
        tx.prepare_cached("SELECT seq, octet_length(record) FROM turns WHERE session_seq = ?1 ORDER BY seq LIMIT 1")?;
    let mut delete = tx.prepare_cached("DELETE FROM turns WHERE seq = ?1")?;
    while !budget.is_spent() {
        let turn = first.query_row([session_seq], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?)));
        let Some((seq, bytes)) = turn.optional()? else { break };
        delete.execute([seq])?;
        budget.spend(bytes);
    }
    Ok(())
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Erasure> {
    Ok(Erasure { contact_seq: row.get(0)?, contact_id: row.get(1)?, sessions: row.get(2)?, messages: row.get(3)? })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Contact, MessageId, MessageStatus, Origin, Session, Status};
    use crate::store::messages::{self, NewInbound, NewOutgoing};
    use crate::store::testing::{self, now};
    use crate::store::{search, sessions, turns};

    const KINDS: [AddressKind; 2] = [AddressKind::PHONE, AddressKind::digits("wa_id")];

    fn key() -> ErasureKey {
        ErasureKey::of([7; 32])
    }

    /// A contact with two addresses, a redirect and tags, and its row.
    fn person(tx: &Tx<'_>, n: u128, opted_out_at: Option<Timestamp>) -> StoredContact {
        let mut contact = Contact::new(testing::contact_id(n), Some(format!("+1415555{n:04}").parse().unwrap()));
        contact.tags = vec![format!("of {n}"), "shared".to_owned()];
        contact.opted_out_at = opted_out_at;
        let seq = contacts::insert(tx, &contact, "api", now()).unwrap();
        tx.execute("INSERT INTO contact_redirects VALUES (?1, ?2)", (testing::contact_id(n + 100), seq)).unwrap();
        tx.execute(
            "INSERT INTO addresses VALUES ('wa_id', ?1, ?2, 0, NULL), ('phone', ?3, ?2, 0, 1)",
            (format!("1415555{n:04}"), seq, format!("+1415666{n:04}")),
        )
        .unwrap();
        contacts::find_by_seq(tx, seq).unwrap().unwrap()
    }

    fn ended(tx: &Tx<'_>, flow_seq: i64, contact: &StoredContact, n: u128) -> i64 {
        let session = Session { status: Status::Completed, ended_at: Some(now()), ..testing::session(n) };
        sessions::insert(tx, flow_seq, contact.seq, &session, None).unwrap()
    }

    fn rows(tx: &Tx<'_>, table: &str) -> i64 {
        tx.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_contact_that_is_cut_off_is_found_by_nothing() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let known = person(&tx, 1, Some(now()));
        person(&tx, 2, None);
        let stub = testing::contact_id(9);
        let erasure = begin(&tx, &key(), &known, stub, &KINDS, now()).unwrap();
        for id in [known.contact.id, testing::contact_id(101)] {
            assert_eq!(find(&tx, id).unwrap(), Some(erasure));
        }
        for id in [stub, testing::contact_id(2), testing::contact_id(102)] {
            assert_eq!(find(&tx, id).unwrap(), None);
        }
        assert_eq!(list(&tx).unwrap(), [erasure]);
        for id in [known.contact.id, testing::contact_id(101), stub] {
            assert_eq!(contacts::find_by_id(&tx, id).unwrap(), None);
        }
        assert_eq!(contacts::find_by_phone(&tx, &known.contact.phone.unwrap()).unwrap(), None);
        let listed = contacts::list(&tx, None, 9).unwrap();
        assert_eq!(listed.iter().map(|row| row.stored.contact.id).collect::<Vec<_>>(), [testing::contact_id(2)]);
        let tags: String = tx.query_row("SELECT group_concat(name) FROM tags", [], |row| row.get(0)).unwrap();
        assert_eq!(tags, "shared,of 2", "what others have stays");
        let left = contacts::find_by_seq(&tx, known.seq).unwrap().unwrap().contact;
        assert_eq!(left, Contact { opted_out_at: Some(now()), ..Contact::new(stub, None) });
    }

    #[test]
    fn nothing_that_a_session_still_learns_leads_to_the_stub() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let known = person(&tx, 1, None);
        begin(&tx, &key(), &known, testing::contact_id(9), &KINDS, now()).unwrap();
        let stub = contacts::find_by_seq(&tx, known.seq).unwrap().unwrap().contact;
        let email = Some("ana@example.org".to_owned());
        let learnt = Contact { email: email.clone(), name: Some("Ana".to_owned()), ..stub.clone() };
        contacts::update(&tx, known.seq, &learnt, &stub, now()).unwrap();
        assert_eq!(contacts::find_by_email(&tx, "ana@example.org").unwrap(), None);
        let search = search::Search { email, ..search::Search::default() };
        assert_eq!(search::find(&tx, &search, 9).unwrap(), vec![]);
        let search = search::Search { query: Some("ana".to_owned()), ..search::Search::default() };
        assert_eq!(search::find(&tx, &search, 9).unwrap(), vec![]);
        assert_eq!(contacts::find_by_id(&tx, stub.id).unwrap(), None);
        assert_eq!(contacts::list(&tx, None, 9).unwrap(), vec![]);
    }

    #[test]
    fn the_tags_of_a_person_go_unless_others_have_them_and_no_others_go() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let known = person(&tx, 1, None);
        let mut other = person(&tx, 2, None);
        let before = other.contact.clone();
        other.contact.tags.retain(|tag| tag == "shared");
        contacts::update(&tx, other.seq, &other.contact, &before, now()).unwrap();
        begin(&tx, &key(), &known, testing::contact_id(9), &KINDS, now()).unwrap();
        let tags = || search::tags(&tx, None, 9).unwrap();
        assert_eq!(tags(), ["of 2", "shared"], "a tag that was taken off stays known");
        let stub = contacts::find_by_seq(&tx, known.seq).unwrap().unwrap().contact;
        let tagged = Contact { tags: vec!["late".to_owned(), "of 2".to_owned()], ..stub.clone() };
        contacts::update(&tx, known.seq, &tagged, &stub, now()).unwrap();
        while remove_some(&tx, &key(), known.seq, now()).unwrap() == Removed::Some {}
        assert_eq!(tags(), ["shared"], "what the stub had at last goes, too");
    }

    #[test]
    fn hashes_are_kept_of_the_addresses_of_who_had_opted_out() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let is_kept = |kind, value| tombstones::find(&tx, &key(), Tombstone::OptOut(kind, value)).unwrap().is_some();
        let kept = || {
            [
                is_kept("phone", "+14155550001"),
                is_kept("wa_id", "14155550001"),
                is_kept("phone", "+14156660001"),
                is_kept("phone", "+14155550002"),
            ]
        };
        let willing = person(&tx, 2, None);
        begin(&tx, &key(), &willing, testing::contact_id(8), &KINDS, now()).unwrap();
        assert_eq!(kept(), [false; 4]);
        let unwilling = person(&tx, 1, Some(now()));
        begin(&tx, &key(), &unwilling, testing::contact_id(9), &KINDS, now()).unwrap();
        assert_eq!(kept(), [true, true, false, false], "the number that was left says nothing of its next owner");
        while remove_some(&tx, &key(), unwilling.seq, now()).unwrap() == Removed::Some {}
        let returned = person(&tx, 1, None);
        begin(&tx, &key(), &returned, testing::contact_id(7), &KINDS, now()).unwrap();
        assert_eq!(kept(), [false; 4], "who came back and agreed is asked no more to stay away");
    }

    #[test]
    fn a_history_goes_in_parts_and_leaves_only_what_may_be_delivered_again() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let flow_seq = testing::flow(&tx, 1);
        let known = person(&tx, 1, None);
        let other = person(&tx, 2, None);
        let mut n = 0;
        let mut add = |contact: &StoredContact, sessions: u128, of_each: u32, body: &str| {
            for _ in 0..sessions {
                n += 1;
                let session_seq = ended(&tx, flow_seq, contact, n);
                for turn in 1..=of_each {
                    let mut said = Vec::new();
                    n += 1;
                    let outgoing = NewOutgoing {
                        id: MessageId(Uuid::from_u128(n)),
                        contact_seq: contact.seq,
                        session: Some((session_seq, turn)),
                        channel: "webhook",
                        kind: "text",
                        body,
                        status: MessageStatus::Sent,
                        reason: None,
                        next_attempt_at: None,
                        origin: Origin::Flow,
                        good_until: None,
                        created_at: now(),
                    };
                    said.push(messages::insert_outgoing(&tx, &outgoing).unwrap());
                    turns::insert(&tx, session_seq, turn, now(), body, &said).unwrap();
                }
            }
        };
        add(&known, 40, 10, "{}");
        add(&other, 2, 2, "{}");
        add(&known, 3, 2, &format!("\"{}\"", "long ".repeat(100_000)));
        for (n, age) in [(9_001, 0), (9_002, 7), (9_003, 9)] {
            let provider_id = n.to_string();
            let created_at = now().minus(Duration::from_secs(age * 24 * 3600));
            let inbound = NewInbound {
                id: MessageId(Uuid::from_u128(n)),
                contact_seq: known.seq,
                session: None,
                channel: "webhook",
                provider_id: Some(&provider_id),
                sender: "",
                kind: "text",
                body: "{}",
                handled: None,
                reason: None,
                created_at,
            };
            messages::insert_inbound(&tx, &inbound).unwrap();
        }
        assert_eq!(session_ids(&tx, known.seq).unwrap().len(), 43);
        let erasure = begin(&tx, &key(), &known, testing::contact_id(9), &KINDS, now()).unwrap();
        let mut jobs = 0;
        let all = loop {
            let before = tx.query_row("SELECT total_changes()", [], |row| row.get::<_, u32>(0)).unwrap();
            let removed = remove_some(&tx, &key(), known.seq, now()).unwrap();
            let changes = tx.query_row("SELECT total_changes()", [], |row| row.get::<_, u32>(0)).unwrap() - before;
            assert!(changes <= BATCH + 8, "{changes} changes in one job");
            jobs += 1;
            match removed {
                Removed::Some => assert_eq!(list(&tx).unwrap().len(), 1),
                Removed::All(all) => break all,
            }
        };
        assert!(jobs >= 7, "{jobs} jobs: the long texts are a few each");
        assert_eq!(all, Erasure { sessions: 43, messages: 409, ..erasure });
        let left = ["contacts", "sessions", "turns", "messages", "erasures", "erased"].map(|table| rows(&tx, table));
        assert_eq!(left, [1, 2, 4, 4, 0, 2]);
        let is_kept = |id| tombstones::find(&tx, &key(), Tombstone::Inbound("webhook", id)).unwrap().is_some();
        assert_eq!(["9001", "9002", "9003"].map(is_kept), [true, true, false]);

        assert_eq!(uncleared(&tx).unwrap(), Some(1));
        begin(&tx, &key(), &other, testing::contact_id(9), &KINDS, now()).unwrap();
        while remove_some(&tx, &key(), other.seq, now()).unwrap() == Removed::Some {}
        set_cleared(&tx, 1).unwrap();
        assert_eq!(uncleared(&tx).unwrap(), Some(2), "another one ended meanwhile");
        set_cleared(&tx, 2).unwrap();
        assert_eq!(uncleared(&tx).unwrap(), None);
    }

    #[test]
    fn nothing_is_found_by_scanning() {
        let conn = testing::conn();
        for sql in [
            "SELECT seq FROM messages WHERE contact_seq = ?1 ORDER BY seq DESC LIMIT 1",
            "SELECT seq, octet_length(state) FROM sessions WHERE contact_seq = ?1 LIMIT 1",
            "SELECT seq, octet_length(record) FROM turns WHERE session_seq = ?1 ORDER BY seq LIMIT 1",
            "SELECT contact_seq FROM erasures
             WHERE contact_id = ?1
                 OR contact_seq = (SELECT contact_seq FROM contact_redirects WHERE old_id = ?1)",
            "SELECT t.name FROM contact_tags AS ct JOIN tags AS t ON t.seq = ct.tag_seq WHERE ct.contact_seq = ?1",
            "DELETE FROM addresses WHERE contact_seq = ?1",
            "DELETE FROM contact_redirects WHERE contact_seq = ?1",
            "DELETE FROM contact_tags WHERE contact_seq = ?1",
            "DELETE FROM http_calls WHERE session_seq = ?1",
            "DELETE FROM message_stages WHERE message_seq = ?1",
            "DELETE FROM pair_clocks WHERE contact_seq = ?1",
            "SELECT seq, octet_length(body) FROM webhook_deliveries WHERE contact_seq = ?1 ORDER BY seq LIMIT 1",
        ] {
            let plan = testing::plan(&conn, sql);
            assert!(!plan.contains("SCAN") && !plan.contains("TEMP"), "{sql}: {plan}");
        }
    }
}
