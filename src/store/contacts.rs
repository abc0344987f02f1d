//! Contacts, the addresses that lead to them, and their tags.
//!
//! A contact that is being erased (see [`super::erasure`]) has no address; lists leave it out, and no id finds it. Only
//! its row does, for its sessions that still run.

use rusqlite::{OptionalExtension, Row, ToSql, params_from_iter};
use serde::{Deserialize, Serialize};

use super::row_numbers::Numbered;
use super::values::Json;
use super::{Conn, Tx, addresses, search_queue};
use crate::domain::{AddressKey, Contact, ContactId, Held, Phone, Timestamp};
use crate::error::Result;

/// A contact and its row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredContact {
    /// Row number of the contact.
    pub seq: i64,
    /// The profile, with its tags and the phone number in use.
    pub contact: Contact,
    /// When the contact was made.
    pub created_at: Timestamp,
    /// The current or last hold on the conversation.
    #[serde(default)]
    pub held: Option<Held>,
}

/// A contact with what its page shows beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The contact and its row, which is the cursor of [`list`].
    pub stored: StoredContact,
    /// What created it, such as `api`.
    pub source: String,
    /// When the person last wrote.
    pub last_inbound_at: Option<Timestamp>,
    /// When a message last went either way.
    pub last_message_at: Option<Timestamp>,
    /// Messages in both directions.
    pub total_messages: u32,
    /// When the profile last changed.
    pub updated_at: Timestamp,
}

/// Where a person is reached, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The name of its kind, such as `phone`.
    pub kind: String,
    /// Such as a phone number with its `+`.
    pub value: String,
    /// When it was learnt.
    pub added_at: Timestamp,
    /// When the contact left it; `None` while it leads to the contact.
    pub retired_at: Option<Timestamp>,
}

/// The columns of a profile, which [`read()`] and [`write()`] take in this order.
macro_rules! columns {
    ($of:literal) => {
        concat!(
            $of,
            "name, ",
            $of,
            "email, ",
            $of,
            "language, ",
            $of,
            "metadata, ",
            $of,
            "opted_in_at, ",
            $of,
            "opted_out_at, ",
            $of,
            "marketing_only"
        )
    };
}

/// A parameter for each of the [`columns`].
macro_rules! values {
    () => {
        "?, ?, ?, ?, ?, ?, ?"
    };
}

/// The columns that [`read`] takes. The phone is the newest one that is not retired; tags come in the order of their
/// bytes, which is the order that [`Contact`] keeps.
macro_rules! select {
    ($from:literal) => {
        select!("", $from)
    };
    ($more:literal, $from:literal) => {
        concat!(
            "SELECT c.seq, c.id,
                (SELECT a.value FROM addresses AS a
                 WHERE a.contact_seq = c.seq AND a.kind = 'phone' AND a.retired_at IS NULL
                 ORDER BY a.added_at DESC, a.value LIMIT 1),
                (SELECT json_group_array(t.name ORDER BY t.name)
                 FROM contact_tags AS ct JOIN tags AS t ON t.seq = ct.tag_seq WHERE ct.contact_seq = c.seq),
                c.created_at, c.held_by, c.held_since, c.held_until, ",
            columns!("c."),
            $more,
            " ",
            $from
        )
    };
}

/// The further columns of a [`Profile`].
macro_rules! select_profile {
    ($from:literal) => {
        select!(", c.source, c.last_inbound_at, c.last_message_at, c.total_messages, c.updated_at", $from)
    };
}

/// A new row.
const INSERT: &str = concat!(
    "INSERT INTO contacts (",
    columns!(""),
    ", seq, id, source, created_at, updated_at, total_messages, last_message_at) VALUES (",
    values!(),
    ", ?, ?, ?, ?, ?, ?, ?)"
);

/// Another profile.
const UPDATE: &str =
    concat!("UPDATE contacts SET (", columns!(""), ") = (", values!(), "), updated_at = ? WHERE seq = ?");

/// The profile of a stub, and nothing beside it.
const BLANK: &str = concat!(
    "UPDATE contacts SET (",
    columns!(""),
    ") = (",
    values!(),
    "), id = ?, created_at = ?, updated_at = ?, source = 'erased', last_inbound_at = NULL, last_message_at = NULL,
         total_messages = 0, held_by = NULL, held_since = NULL, held_until = NULL, marketing_choice_at = NULL
     WHERE seq = ?"
);

/// What stands beside the profile of the contact in row `?2`, added to that of the contact in row `?1`.
const ADD_UP: &str = "UPDATE contacts SET
         total_messages = contacts.total_messages + o.total_messages,
         last_inbound_at =
             coalesce(max(contacts.last_inbound_at, o.last_inbound_at), contacts.last_inbound_at, o.last_inbound_at),
         last_message_at =
             coalesce(max(contacts.last_message_at, o.last_message_at), contacts.last_message_at, o.last_message_at),
         marketing_choice_at = coalesce(
             max(contacts.marketing_choice_at, o.marketing_choice_at), contacts.marketing_choice_at,
             o.marketing_choice_at),
         created_at = min(contacts.created_at, o.created_at)
     FROM contacts AS o WHERE contacts.seq = ?1 AND o.seq = ?2";

/// The place of the first of the [`columns`] in what [`select`] selects.
const FIRST: usize = 8;
/// The place of the first of the further columns of a [`Profile`]: how many columns [`read`] takes.
const PROFILE: usize = FIRST + 7;

fn read(row: &Row<'_>) -> rusqlite::Result<StoredContact> {
    let contact = Contact {
        id: row.get(1)?,
        phone: row.get(2)?,
        tags: row.get::<_, Json<_>>(3)?.0,
        name: row.get(FIRST)?,
        email: row.get(FIRST + 1)?,
        language: row.get(FIRST + 2)?,
        metadata: row.get::<_, Json<_>>(FIRST + 3)?.0,
        opted_in_at: row.get(FIRST + 4)?,
        opted_out_at: row.get(FIRST + 5)?,
        marketing_only: row.get(FIRST + 6)?,
    };
    Ok(StoredContact { seq: row.get(0)?, contact, created_at: row.get(4)?, held: read_held(row, 5)? })
}

fn read_profile(row: &Row<'_>) -> rusqlite::Result<Profile> {
    Ok(Profile {
        stored: read(row)?,
        source: row.get(PROFILE)?,
        last_inbound_at: row.get(PROFILE + 1)?,
        last_message_at: row.get(PROFILE + 2)?,
        total_messages: row.get(PROFILE + 3)?,
        updated_at: row.get(PROFILE + 4)?,
    })
}

/// Runs a statement whose first parameters are the [`columns`] of a profile, and `more` those behind them.
fn write(tx: &Tx<'_>, sql: &str, contact: &Contact, more: &[&dyn ToSql]) -> Result<()> {
    let Contact {
        id: _,
        phone: _,
        tags: _,
        name,
        email,
        language,
        metadata,
        opted_in_at,
        opted_out_at,
        marketing_only,
    } = contact;
    let profile: [&dyn ToSql; _] = [name, email, language, &Json(metadata), opted_in_at, opted_out_at, marketing_only];
    tx.prepare_cached(sql)?.execute(params_from_iter(profile.iter().chain(more)))?;
    Ok(())
}

/// The contact of an id, also of an id that was merged into another contact. One that is being erased is not found.
pub fn find_by_id(conn: &Conn, id: ContactId) -> Result<Option<StoredContact>> {
    let mut statement = conn.prepare_cached(select!(
        "FROM contacts AS c
         WHERE c.id = ?1 AND NOT EXISTS (SELECT 1 FROM erasures AS e WHERE e.contact_seq = c.seq)"
    ))?;
    let found = statement.query_row([id], read).optional()?;
    if found.is_some() {
        return Ok(found);
    }
    let mut statement = conn.prepare_cached(select!(
        "FROM contact_redirects AS r JOIN contacts AS c ON c.seq = r.contact_seq
         WHERE r.old_id = ?1 AND NOT EXISTS (SELECT 1 FROM erasures AS e WHERE e.contact_seq = c.seq)"
    ))?;
    Ok(statement.query_row([id], read).optional()?)
}

/// The contact that a phone number leads to; `None` also for a number that its contact has left.
pub fn find_by_phone(conn: &Conn, phone: &Phone) -> Result<Option<StoredContact>> {
    let mut statement = conn.prepare_cached(select!(
        "FROM addresses AS o JOIN contacts AS c ON c.seq = o.contact_seq
         WHERE o.kind = 'phone' AND o.value = ?1 AND o.retired_at IS NULL"
    ))?;
    Ok(statement.query_row([phone], read).optional()?)
}

/// The contact of a row, also of one that is being erased.
pub fn find_by_seq(conn: &Conn, seq: i64) -> Result<Option<StoredContact>> {
    Ok(conn.prepare_cached(select!("FROM contacts AS c WHERE c.seq = ?1"))?.query_row([seq], read).optional()?)
}

/// The profile of a contact's row.
pub fn profile(conn: &Conn, seq: i64) -> Result<Option<Profile>> {
    let mut statement = conn.prepare_cached(select_profile!("FROM contacts AS c WHERE c.seq = ?1"))?;
    Ok(statement.query_row([seq], read_profile).optional()?)
}

/// The contact with an email address, in whatever case its ASCII letters are; of several the one that a message went to
/// or came from last, then the newest. One that is being erased is not found, though a session of it that still runs
/// may give it an email address.
pub fn find_by_email(conn: &Conn, email: &str) -> Result<Option<StoredContact>> {
    let mut statement = conn.prepare_cached(select!(
        "FROM contacts AS c
         WHERE c.email = ?1 COLLATE NOCASE AND NOT EXISTS (SELECT 1 FROM erasures AS e WHERE e.contact_seq = c.seq)
         ORDER BY c.last_message_at DESC, c.seq DESC LIMIT 1"
    ))?;
    Ok(statement.query_row([email], read).optional()?)
}

/// Contacts, newest first, before the row `before_seq` if one is given.
pub fn list(conn: &Conn, before_seq: Option<i64>, limit: u32) -> Result<Vec<Profile>> {
    let mut statement = conn.prepare_cached(select_profile!(
        "FROM contacts AS c
         WHERE c.seq < ?1 AND NOT EXISTS (SELECT 1 FROM erasures AS e WHERE e.contact_seq = c.seq)
         ORDER BY c.seq DESC LIMIT ?2"
    ))?;
    let rows = statement.query_map((before_seq.unwrap_or(i64::MAX), limit), read_profile)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// All addresses of a contact, those among them that the person has left.
pub fn addresses(conn: &Conn, seq: i64) -> Result<Vec<Address>> {
    let mut statement = conn.prepare_cached(
        "SELECT kind, value, added_at, retired_at FROM addresses WHERE contact_seq = ?1 ORDER BY kind, value",
    )?;
    let rows = statement.query_map([seq], |row| {
        Ok(Address { kind: row.get(0)?, value: row.get(1)?, added_at: row.get(2)?, retired_at: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Ids of contacts that were merged into this one.
pub fn former_ids(conn: &Conn, seq: i64) -> Result<Vec<ContactId>> {
    let mut statement =
        conn.prepare_cached("SELECT old_id FROM contact_redirects WHERE contact_seq = ?1 ORDER BY old_id")?;
    let rows = statement.query_map([seq], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Inserts a contact with its phone number and tags, and returns its row. `source` says what created it.
///
/// # Errors
/// `Conflict` when the phone number leads to another contact; otherwise when the database refuses.
pub fn insert(tx: &Tx<'_>, contact: &Contact, source: &str, now: Timestamp) -> Result<i64> {
    insert_with_messages(tx, contact, source, 0, now)
}

/// [`insert`] and then [`touch`] in one write, for a contact that `messages` messages go to at once.
///
/// # Errors
/// Those of [`insert`].
pub fn insert_with_messages(
    tx: &Tx<'_>,
    contact: &Contact,
    source: &str,
    messages: u32,
    now: Timestamp,
) -> Result<i64> {
    let last_message_at = (messages > 0).then_some(now);
    let seq = tx.next_seq(Numbered::Contacts)?;
    write(tx, INSERT, contact, &[&seq, &contact.id, &source, &now, &now, &messages, &last_message_at])?;
    if let Some(phone) = &contact.phone {
        addresses::add_first(tx, seq, &AddressKey::of_phone(phone), now)?;
    }
    for tag in &contact.tags {
        add_tag(tx, seq, tag)?;
    }
    search_queue::mark_new(tx, seq)?;
    Ok(seq)
}

/// Writes what differs between a contact and what it was `before`. A new phone number retires the old one. A tag that
/// is taken off stays in the list of tags, even if no contact has it.
///
/// # Errors
/// `Conflict` when the new phone number leads to another contact; otherwise when the database refuses.
pub fn update(tx: &Tx<'_>, seq: i64, contact: &Contact, before: &Contact, now: Timestamp) -> Result<()> {
    if contact == before {
        return Ok(());
    }
    write(tx, UPDATE, contact, &[&now, &seq])?;
    let Contact { phone, name, email, tags, .. } = contact;
    if *name != before.name || *email != before.email || *tags != before.tags {
        search_queue::mark(tx, seq)?;
    }
    if *phone != before.phone {
        if let Some(old) = &before.phone {
            addresses::retire(tx, seq, &AddressKey::of_phone(old), now)?;
        }
        if let Some(new) = phone {
            addresses::add(tx, seq, &AddressKey::of_phone(new), now)?;
        }
    }
    for tag in tags.iter().filter(|tag| !before.tags.contains(tag)) {
        add_tag(tx, seq, tag)?;
    }
    for tag in before.tags.iter().filter(|tag| !tags.contains(tag)) {
        tx.prepare_cached(
            "DELETE FROM contact_tags WHERE contact_seq = ?1 AND tag_seq = (SELECT seq FROM tags WHERE name = ?2)",
        )?
        .execute((seq, tag))?;
    }
    Ok(())
}

/// Makes the profile of one contact what the two are [together](Contact::united_with), and adds up what stands beside
/// it. The row of the other one stays as it is.
pub(super) fn unite(tx: &Tx<'_>, keep: &StoredContact, gone: &StoredContact, now: Timestamp) -> Result<()> {
    update(tx, keep.seq, &keep.contact.united_with(&gone.contact), &keep.contact, now)?;
    tx.prepare_cached(ADD_UP)?.execute((keep.seq, gone.seq))?;
    Ok(())
}

/// Clears the row of a contact that is being erased, which its sessions still need: it gets another id, and an opt-out,
/// so that no message that is still queued is sent.
pub(super) fn blank(tx: &Tx<'_>, seq: i64, stub_id: ContactId, now: Timestamp) -> Result<()> {
    let stub = Contact { opted_out_at: Some(now), ..Contact::new(stub_id, None) };
    write(tx, BLANK, &stub, &[&stub_id, &now, &now, &seq])
}

/// Deletes the row of a contact on which nothing hangs any more.
pub(super) fn remove(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM contacts WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// Takes all tags off a contact that is being erased, and deletes those that no other contact has: a name may identify
/// the last person who had it. Other tags stay.
pub(super) fn remove_tags(tx: &Tx<'_>, seq: i64) -> Result<()> {
    let mut take_off = tx.prepare_cached("DELETE FROM contact_tags WHERE contact_seq = ?1 RETURNING tag_seq")?;
    let taken_off: Vec<i64> = take_off.query_map([seq], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut forget = tx.prepare_cached(
        "DELETE FROM tags
         WHERE seq = ?1 AND NOT EXISTS (SELECT 1 FROM contact_tags AS ct WHERE ct.tag_seq = tags.seq)",
    )?;
    for tag_seq in taken_off {
        forget.execute([tag_seq])?;
    }
    Ok(())
}

/// Records that `messages` messages went to or came from a contact at `at`. `inbound_at` is when the last of them came
/// in, if one did. Times never go back.
pub fn touch(tx: &Tx<'_>, seq: i64, messages: u32, inbound_at: Option<Timestamp>, at: Timestamp) -> Result<()> {
    search_queue::mark_message(tx, seq, at)?;
    // With NULL and a time, max() gives NULL and coalesce() the time.
    tx.prepare_cached(
        "UPDATE contacts SET total_messages = total_messages + ?2,
             last_inbound_at = coalesce(max(last_inbound_at, ?3), last_inbound_at, ?3),
             last_message_at = coalesce(max(last_message_at, ?4), ?4)
         WHERE seq = ?1",
    )?
    .execute((seq, messages, inbound_at, at))?;
    Ok(())
}

/// The current or last hold on a contact's conversation.
pub fn held(conn: &Conn, seq: i64) -> Result<Option<Held>> {
    let mut statement = conn.prepare_cached("SELECT held_by, held_since, held_until FROM contacts WHERE seq = ?1")?;
    Ok(statement.query_row([seq], |row| read_held(row, 0)).optional()?.flatten())
}

/// Records a hold on a contact's conversation. The caller moves the timers of its sessions.
pub fn set_held(tx: &Tx<'_>, seq: i64, held: &Held) -> Result<()> {
    let Held { by, since, until } = held;
    tx.prepare_cached("UPDATE contacts SET held_by = ?2, held_since = ?3, held_until = ?4 WHERE seq = ?1")?
        .execute((seq, by, since, until))?;
    Ok(())
}

pub(super) fn read_held(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Held>> {
    match (row.get(first)?, row.get(first + 1)?, row.get(first + 2)?) {
        (Some(by), Some(since), Some(until)) => Ok(Some(Held { by, since, until })),
        _ => Ok(None),
    }
}

fn add_tag(tx: &Tx<'_>, contact_seq: i64, tag: &str) -> Result<()> {
    tx.prepare_cached("INSERT INTO tags (name) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([tag])?;
    tx.prepare_cached(
        "INSERT INTO contact_tags (contact_seq, tag_seq) SELECT ?1, seq FROM tags WHERE name = ?2
         ON CONFLICT DO NOTHING",
    )?
    .execute((contact_seq, tag))?;
    Ok(())
}

/// Records when a person last told the channel whether marketing is wanted. `false` if a choice from the same time or
/// later is recorded already.
pub fn note_marketing_choice(tx: &Tx<'_>, seq: i64, at: Timestamp) -> Result<bool> {
    let noted = tx
        .prepare_cached(
            "UPDATE contacts SET marketing_choice_at = ?2 WHERE seq = ?1 AND coalesce(marketing_choice_at < ?2, 1)",
        )?
        .execute((seq, at))?;
    Ok(noted > 0)
}

/// Since when automatic answers to a contact are counted, if an operator has let them go on.
pub fn auto_replies_allowed_from(conn: &Conn, contact_seq: i64) -> Result<Option<Timestamp>> {
    let mut statement = conn.prepare_cached("SELECT auto_replies_from FROM contacts WHERE seq = ?1")?;
    Ok(statement.query_row([contact_seq], |row| row.get(0)).optional()?.flatten())
}

/// Counts automatic answers to a contact from now on.
pub fn allow_auto_replies(tx: &Tx<'_>, contact_seq: i64, now: Timestamp) -> Result<()> {
    tx.prepare_cached("UPDATE contacts SET auto_replies_from = ?2 WHERE seq = ?1")?.execute((contact_seq, now))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::error::Code;
    use crate::store::testing::{self, now};

    fn phone(last: u32) -> Phone {
        format!("+14155550{last:03}").parse().unwrap()
    }

    fn full(n: u128) -> Contact {
        let mut contact = Contact::new(testing::contact_id(n), Some(phone(100)));
        contact.name = Some("Ana \u{0}Ño".to_owned());
        contact.email = Some("ana@example.org".to_owned());
        contact.language = Some("pt-BR".to_owned());
        contact.tags = vec!["VIP".to_owned(), "beta, \"two\"".to_owned(), "été".to_owned()];
        contact.metadata = json!({"z": 1, "a": [1.5, null, {"deep": "\u{1F600}"}]}).as_object().unwrap().clone();
        contact.opted_in_at = Some(now());
        contact
    }

    #[test]
    fn a_contact_comes_back_as_it_went() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let contact = full(1);
        let seq = insert(&tx, &contact, "trigger", now()).unwrap();
        let keys: Vec<_> = contact.metadata.keys().cloned().collect();
        let stored = Some(StoredContact { seq, contact, created_at: now(), held: None });
        assert_eq!(find_by_id(&tx, testing::contact_id(1)).unwrap(), stored);
        let found = find_by_phone(&tx, &phone(100)).unwrap();
        assert_eq!(found, stored);
        assert!(found.unwrap().contact.metadata.keys().eq(&keys), "keys keep their order");
        assert_eq!(find_by_phone(&tx, &phone(101)).unwrap(), None);
        assert_eq!(find_by_id(&tx, testing::contact_id(2)).unwrap(), None);
        let bare = Contact::new(testing::contact_id(3), None);
        let seq = insert(&tx, &bare, "api", now()).unwrap();
        assert_eq!(
            find_by_id(&tx, bare.id).unwrap(),
            Some(StoredContact { seq, contact: bare, created_at: now(), held: None })
        );
    }

    #[test]
    fn a_contact_may_come_with_its_first_messages() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let row = |seq: i64| {
            let sql =
                "SELECT total_messages, last_message_at, last_inbound_at, updated_at FROM contacts WHERE seq = ?1";
            tx.query_row(sql, [seq], |row| {
                let (messages, last, inbound): (i64, Option<Timestamp>, Option<Timestamp>) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok((messages, last, inbound, row.get::<_, Timestamp>(3)?))
            })
            .unwrap()
        };
        let at_once = insert_with_messages(&tx, &full(1), "trigger", 2, now()).unwrap();
        assert_eq!(row(at_once), (2, Some(now()), None, now()));
        let later = Contact { phone: None, ..full(2) };
        let later = insert(&tx, &later, "trigger", now()).unwrap();
        assert_eq!(row(later), (0, None, None, now()));
        touch(&tx, later, 2, None, now()).unwrap();
        assert_eq!(row(later), row(at_once));
    }

    #[test]
    fn an_update_writes_what_differs() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let before = full(1);
        let seq = insert(&tx, &before, "trigger", now()).unwrap();
        let mut after = before.clone();
        after.name = None;
        after.tags = vec!["VIP".to_owned(), "new".to_owned()];
        after.metadata.clear();
        after.phone = Some(phone(200));
        after.opted_out_at = Some(now());
        update(&tx, seq, &after, &before, now().plus(Duration::from_secs(1))).unwrap();
        assert_eq!(find_by_id(&tx, after.id).unwrap().unwrap().contact, after);
        assert_eq!(find_by_phone(&tx, &phone(200)).unwrap().unwrap().seq, seq);
        assert_eq!(find_by_phone(&tx, &phone(100)).unwrap(), None);
        let changes = tx.query_row("SELECT total_changes()", [], |row| row.get::<_, i64>(0)).unwrap();
        update(&tx, seq, &after, &after, now()).unwrap();
        assert_eq!(tx.query_row("SELECT total_changes()", [], |row| row.get::<_, i64>(0)).unwrap(), changes);
    }

    #[test]
    fn a_phone_leads_to_one_contact_and_moves_only_once_it_is_left() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let before = full(1);
        let seq = insert(&tx, &before, "trigger", now()).unwrap();
        let second = Contact::new(testing::contact_id(2), Some(phone(100)));
        assert_eq!(insert(&tx, &second, "trigger", now()).unwrap_err().code(), Code::Conflict);
        tx.execute("DELETE FROM contacts WHERE id = ?1", [second.id]).unwrap();
        let after = Contact { phone: None, ..before.clone() };
        update(&tx, seq, &after, &before, now()).unwrap();
        let second_seq = insert(&tx, &second, "trigger", now()).unwrap();
        assert_eq!(find_by_phone(&tx, &phone(100)).unwrap().unwrap().seq, second_seq);
        assert_eq!(find_by_id(&tx, before.id).unwrap().unwrap().contact.phone, None);
    }

    #[test]
    fn a_merged_id_leads_to_the_contact_that_stays() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let contact = full(1);
        let seq = insert(&tx, &contact, "trigger", now()).unwrap();
        tx.execute("INSERT INTO contact_redirects VALUES (?1, ?2)", (testing::contact_id(9), seq)).unwrap();
        assert_eq!(
            find_by_id(&tx, testing::contact_id(9)).unwrap(),
            Some(StoredContact { seq, contact, created_at: now(), held: None })
        );
    }

    #[test]
    fn touching_counts_and_never_goes_back() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let seq = insert(&tx, &full(1), "trigger", now()).unwrap();
        let seen = || {
            tx.query_row("SELECT total_messages, last_inbound_at, last_message_at FROM contacts", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<Timestamp>>(1)?, row.get::<_, Option<Timestamp>>(2)?))
            })
            .unwrap()
        };
        let earlier = now().minus(Duration::from_secs(60));
        touch(&tx, seq, 2, None, now()).unwrap();
        assert_eq!(seen(), (2, None, Some(now())));
        touch(&tx, seq, 1, Some(earlier), earlier).unwrap();
        assert_eq!(seen(), (3, Some(earlier), Some(now())));
        touch(&tx, seq, 1, Some(now()), now()).unwrap();
        touch(&tx, seq, 1, Some(earlier), earlier).unwrap();
        touch(&tx, seq, 0, None, earlier).unwrap();
        assert_eq!(seen(), (5, Some(now()), Some(now())));
    }
}
