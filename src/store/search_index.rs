//! The index by which contacts are found: for every run of one, two and three characters of their names, email addresses
//! and phone numbers the contacts that have it.
//!
//! Writing it in the jobs that change contacts would cost a fifth of the rate of writes. So those only leave a mark: a
//! new contact none at all, since its row is beyond the last one that was indexed, and a changed one a row in a queue.
//! [`index_some`] follows. What is taken out of the index is gone from the file at once, which erasing a person relies
//! on: `remove` is part of the same job.
//!
//! It also has who was ever in touch, so that those can be asked for by themselves.
//!
//! SQLite's own trigram tokenizer finds nothing for one or two characters, so the runs are made here and told to the index as
//! words: the bytes of each in hexadecimal, which no tokenizer takes apart.

use std::collections::BTreeSet;

use rusqlite::OptionalExtension;

use super::{Conn, Tx};
use crate::domain::text::fold_for_search;
use crate::error::Result;

/// Characters in the longest run that is indexed.
pub(super) const LONGEST: usize = 3;
/// Characters of a name or an email address that can be searched.
const CHARS: usize = 500;
/// What stands between the fields of a text, and in no run.
const BETWEEN: char = '\n';

/// A field of its own in the text of those who were in touch. No other field has it.
const IN_TOUCH: char = '\u{1}';

/// What is searched of a person.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) seq: i64,
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    /// Those that lead to the contact, one a line.
    pub(super) phones: Option<String>,
    /// When a message last went either way, in milliseconds since the Unix epoch.
    pub(super) last_message_at: Option<i64>,
}

/// The columns of a [`Person`]. The parameter `?1` tells whether the phone numbers are wanted.
macro_rules! select_person {
    ($from:literal) => {
        concat!(
            "SELECT c.seq, c.name, c.email,
                CASE WHEN ?1 THEN
                    (SELECT group_concat(a.value, char(10)) FROM addresses AS a
                     WHERE a.contact_seq = c.seq AND a.kind = 'phone' AND a.retired_at IS NULL)
                END,
                c.last_message_at ",
            $from
        )
    };
}
pub(super) use select_person;

impl Person {
    pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            name: row.get(1)?,
            email: row.get(2)?,
            phones: row.get(3)?,
            last_message_at: row.get(4)?,
        })
    }

    /// The person of a row, with the phone numbers or without; `None` while it is being erased.
    pub(super) fn find(conn: &Conn, seq: i64, has_phones: bool) -> Result<Option<Self>> {
        let mut statement = conn.prepare_cached(select_person!(
            "FROM contacts AS c
             WHERE c.seq = ?2 AND NOT EXISTS (SELECT 1 FROM erasures AS e WHERE e.contact_seq = c.seq)"
        ))?;
        Ok(statement.query_row((has_phones, seq), Self::read).optional()?)
    }

    /// The text that has what is sought: name, email address and numbers, folded.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for field in [&self.name, &self.email].into_iter().flatten() {
            let end = field.char_indices().nth(CHARS).map_or(field.len(), |(end, _)| end);
            text.push_str(&folded_field(&field[..end]));
            text.push(BETWEEN);
        }
        text.push_str(self.phones.as_deref().unwrap_or_default());
        text
    }

    /// The text that is indexed: also whether the person was in touch.
    fn indexed_text(&self) -> String {
        let mut text = self.text();
        if self.last_message_at.is_some() {
            text.extend([BETWEEN, IN_TOUCH]);
        }
        text
    }
}

/// Notes that what is searched of a contact has changed.
///
/// # Errors
/// When the database refuses.
pub(super) fn mark(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("INSERT INTO search_queue (contact_seq) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([seq])?;
    Ok(())
}

/// Notes that a message is about to go to or come from a contact, if it is the first. A contact that has not been indexed
/// needs no mark, so most of those that are written to at once cost nothing.
///
/// # Errors
/// When the database refuses.
pub(super) fn mark_first_message(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO search_queue (contact_seq)
         SELECT seq FROM contacts
         WHERE seq = ?1 AND last_message_at IS NULL AND seq <= (SELECT up_to FROM search_progress)
         ON CONFLICT DO NOTHING",
    )?
    .execute([seq])?;
    Ok(())
}

/// Takes a contact out of the index, whose row is about to go.
///
/// # Errors
/// When the database refuses.
pub(super) fn remove(tx: &Tx<'_>, seq: i64) -> Result<()> {
    if let Some(text) = indexed_text(tx, seq)? {
        take_out(tx, seq, &runs(&text))?;
        tx.prepare_cached("DELETE FROM search_texts WHERE contact_seq = ?1")?.execute([seq])?;
    }
    tx.prepare_cached("DELETE FROM search_queue WHERE contact_seq = ?1")?.execute([seq])?;
    // The next contact may get the last one's row, and must not pass for one that has been indexed.
    tx.prepare_cached(
        "UPDATE search_progress SET up_to = ?1 - 1
         WHERE up_to >= ?1 AND NOT EXISTS (SELECT 1 FROM contacts WHERE seq > ?1)",
    )?
    .execute([seq])?;
    Ok(())
}

/// Whether the index lacks anything.
///
/// # Errors
/// When the database cannot be read.
pub fn is_behind(conn: &Conn) -> Result<bool> {
    let mut statement = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM search_queue)
             OR EXISTS (SELECT 1 FROM contacts WHERE seq > (SELECT up_to FROM search_progress))",
    )?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Brings the index up to date for `limit` contacts at most, the changed ones first, and gives how many it looked at:
/// fewer than `limit` when nothing is left.
///
/// # Errors
/// When the database refuses.
pub fn index_some(tx: &Tx<'_>, limit: u32) -> Result<u32> {
    let changed = seqs(tx, "SELECT contact_seq FROM search_queue ORDER BY contact_seq LIMIT ?1", limit)?;
    for &seq in &changed {
        index(tx, seq)?;
        tx.prepare_cached("DELETE FROM search_queue WHERE contact_seq = ?1")?.execute([seq])?;
    }
    let done = u32::try_from(changed.len()).unwrap_or(u32::MAX);
    let sql = "SELECT seq FROM contacts WHERE seq > (SELECT up_to FROM search_progress) ORDER BY seq LIMIT ?1";
    let new = seqs(tx, sql, limit.saturating_sub(done))?;
    for &seq in &new {
        index(tx, seq)?;
    }
    if let Some(last) = new.last() {
        tx.prepare_cached("UPDATE search_progress SET up_to = ?1")?.execute([last])?;
    }
    Ok(done + u32::try_from(new.len()).unwrap_or(u32::MAX))
}

/// A field of a person, or a part of one that is sought, as it is compared.
pub(super) fn folded_field(field: &str) -> String {
    fold_for_search(field).replace([BETWEEN, IN_TOUCH], " ")
}

/// The runs of a text of one to [`LONGEST`] characters, each once, as the index has them.
pub(super) fn runs(text: &str) -> BTreeSet<String> {
    let mut runs = BTreeSet::new();
    for field in text.split(BETWEEN) {
        let starts: Vec<usize> = field.char_indices().map(|(at, _)| at).chain([field.len()]).collect();
        for length in 1..=LONGEST {
            for ends in starts.windows(length + 1) {
                runs.insert(word(&field[ends[0]..ends[length]]));
            }
        }
    }
    runs
}

/// What the index has for those who were in touch.
pub(super) fn in_touch_word() -> String {
    format!("\"{}\"", word(IN_TOUCH.encode_utf8(&mut [0; 4])))
}

/// A run as the index has it.
pub(super) fn word(run: &str) -> String {
    hex::encode(run)
}

/// Makes the index say what a contact's row says.
fn index(tx: &Tx<'_>, seq: i64) -> Result<()> {
    let before = indexed_text(tx, seq)?;
    let text = Person::find(tx, seq, true)?.map(|person| person.indexed_text()).unwrap_or_default();
    if before.as_deref().unwrap_or_default() == text {
        return Ok(());
    }
    let (old, new) = (before.map(|text| runs(&text)).unwrap_or_default(), runs(&text));
    // Most of a text stays when a part of it changes, and taking a run out costs more than leaving it in.
    let gone: BTreeSet<String> = old.difference(&new).cloned().collect();
    if !gone.is_empty() {
        take_out(tx, seq, &gone)?;
    }
    // Also where there is nothing to add: the index counts its rows.
    tx.prepare_cached("INSERT INTO search_grams (rowid, grams) VALUES (?1, ?2)")?
        .execute((seq, joined(new.difference(&old))))?;
    tx.prepare_cached(
        "INSERT INTO search_texts (contact_seq, text) VALUES (?1, ?2)
         ON CONFLICT (contact_seq) DO UPDATE SET text = excluded.text",
    )?
    .execute((seq, text))?;
    Ok(())
}

fn take_out(tx: &Tx<'_>, seq: i64, runs: &BTreeSet<String>) -> Result<()> {
    tx.prepare_cached("INSERT INTO search_grams (search_grams, rowid, grams) VALUES ('delete', ?1, ?2)")?
        .execute((seq, joined(runs)))?;
    Ok(())
}

fn joined<'a>(runs: impl IntoIterator<Item = &'a String>) -> String {
    let mut words = String::new();
    for run in runs {
        words.push_str(run);
        words.push(' ');
    }
    words
}

fn indexed_text(conn: &Conn, seq: i64) -> Result<Option<String>> {
    let mut statement = conn.prepare_cached("SELECT text FROM search_texts WHERE contact_seq = ?1")?;
    Ok(statement.query_row([seq], |row| row.get(0)).optional()?)
}

fn seqs(conn: &Conn, sql: &str, limit: u32) -> Result<Vec<i64>> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([limit], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, contact_id, now};
    use super::super::{contacts, merge};
    use super::*;
    use crate::domain::Contact;

    fn person(tx: &Tx<'_>, n: u128, name: &str) -> i64 {
        let mut contact = Contact::new(contact_id(n), Some(format!("+1415555{n:04}").parse().unwrap()));
        contact.name = Some(name.to_owned());
        contacts::insert(tx, &contact, "api", now()).unwrap()
    }

    fn rename(tx: &Tx<'_>, seq: i64, name: Option<&str>) {
        let before = contacts::find_by_seq(tx, seq).unwrap().unwrap().contact;
        let after = Contact { name: name.map(str::to_owned), ..before.clone() };
        contacts::update(tx, seq, &after, &before, now()).unwrap();
    }

    fn with(conn: &Conn, run: &str) -> Vec<i64> {
        let mut statement = conn.prepare("SELECT rowid FROM search_grams WHERE search_grams MATCH ?1").unwrap();
        statement.query_map([word(run)], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn check(conn: &Conn) {
        conn.execute("INSERT INTO search_grams (search_grams) VALUES ('integrity-check')", []).unwrap();
    }

    #[test]
    fn a_text_is_cut_into_runs_within_its_fields() {
        let text = "\u{738b}\u{4f1f}\nab";
        let expected: BTreeSet<String> =
            ["\u{738b}", "\u{4f1f}", "\u{738b}\u{4f1f}", "a", "b", "ab"].map(word).into_iter().collect();
        assert_eq!(runs(text), expected);
        assert!(runs("").is_empty());
    }

    #[test]
    fn new_and_changed_contacts_are_indexed_some_at_a_time() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        assert!(!is_behind(&tx).unwrap());
        let (ana, bo, cy) = (person(&tx, 1, "Ana"), person(&tx, 2, "Bo"), person(&tx, 3, "Cy Ana"));
        assert!(is_behind(&tx).unwrap());
        assert_eq!(index_some(&tx, 2).unwrap(), 2);
        assert_eq!((with(&tx, "ana"), with(&tx, "cy")), (vec![ana], vec![]));
        assert_eq!(index_some(&tx, 2).unwrap(), 1);
        assert!(!is_behind(&tx).unwrap());
        assert_eq!((with(&tx, "ana"), with(&tx, "y"), with(&tx, "555")), (vec![ana, cy], vec![cy], vec![ana, bo, cy]));

        rename(&tx, bo, Some("Anabel"));
        assert_eq!(with(&tx, "ana"), [ana, cy], "the job that renames does not index");
        assert!(is_behind(&tx).unwrap());
        assert_eq!(index_some(&tx, 9).unwrap(), 1);
        assert_eq!((with(&tx, "ana"), with(&tx, "bo")), (vec![ana, bo, cy], vec![]));
        rename(&tx, bo, None);
        index_some(&tx, 9).unwrap();
        assert_eq!((with(&tx, "ana"), with(&tx, "555")), (vec![ana, cy], vec![ana, bo, cy]));
        for name in [Some("Bo"), Some("Bob"), Some("Bo"), None, Some("Bo")] {
            rename(&tx, bo, name);
            index_some(&tx, 9).unwrap();
        }
        for seq in [ana, bo, cy] {
            remove(&tx, seq).unwrap();
        }
        check(&tx);
        for run in ["a", "an", "ana", "b", "5", "+14"] {
            assert_eq!(with(&tx, run), [0; 0], "{run}");
        }
    }

    #[test]
    fn what_changes_nothing_that_is_searched_is_not_indexed_again() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let seq = person(&tx, 1, "Ana");
        contacts::touch(&tx, seq, 1, None, now()).unwrap();
        assert_eq!(index_some(&tx, 9).unwrap(), 1, "a contact that is not indexed needs no mark");
        let before = contacts::find_by_seq(&tx, seq).unwrap().unwrap().contact;
        let after = Contact { tags: vec!["vip".to_owned()], language: Some("pt".to_owned()), ..before.clone() };
        contacts::update(&tx, seq, &after, &before, now()).unwrap();
        contacts::touch(&tx, seq, 1, None, now()).unwrap();
        assert!(!is_behind(&tx).unwrap());
    }

    #[test]
    fn the_first_message_is_indexed_and_no_other() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (ana, bo) = (person(&tx, 1, "Ana"), person(&tx, 2, "\u{1}"));
        index_some(&tx, 9).unwrap();
        assert_eq!(with(&tx, "\u{1}"), [0; 0], "nobody has what is the index's own");
        contacts::touch(&tx, ana, 1, None, now()).unwrap();
        contacts::touch(&tx, bo, 1, None, now()).unwrap();
        assert_eq!(index_some(&tx, 9).unwrap(), 2);
        assert_eq!((with(&tx, "\u{1}"), with(&tx, "ana")), (vec![ana, bo], vec![ana]));
        contacts::touch(&tx, ana, 1, None, now()).unwrap();
        assert!(!is_behind(&tx).unwrap());
        remove(&tx, ana).unwrap();
        assert_eq!(with(&tx, "\u{1}"), [bo]);
        check(&tx);
    }

    #[test]
    fn a_row_that_is_given_again_is_indexed_again() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let seq = person(&tx, 1, "Ana");
        index_some(&tx, 9).unwrap();
        remove(&tx, seq).unwrap();
        tx.execute_batch("DELETE FROM addresses; DELETE FROM contacts;").unwrap();
        assert_eq!(person(&tx, 2, "Bo"), seq);
        assert!(is_behind(&tx).unwrap());
        index_some(&tx, 9).unwrap();
        assert_eq!((with(&tx, "bo"), with(&tx, "ana")), (vec![seq], vec![]));
    }

    #[test]
    fn a_merge_takes_one_out_and_adds_its_number_to_the_other() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (keep, gone) = (person(&tx, 1, "Ana"), person(&tx, 2, "Bo"));
        index_some(&tx, 9).unwrap();
        let stored = |seq| contacts::find_by_seq(&tx, seq).unwrap().unwrap();
        merge::unite(&tx, &stored(keep), &stored(gone), now()).unwrap();
        assert_eq!((with(&tx, "bo"), with(&tx, "002")), (vec![], vec![]), "at once");
        index_some(&tx, 9).unwrap();
        assert_eq!((with(&tx, "ana"), with(&tx, "002"), with(&tx, "bo")), (vec![keep], vec![keep], vec![]));
        check(&tx);
    }

    #[test]
    fn nothing_is_found_by_scanning() {
        let conn = testing::conn();
        for sql in [
            "SELECT contact_seq FROM search_queue ORDER BY contact_seq LIMIT ?1",
            "SELECT seq FROM contacts WHERE seq > (SELECT up_to FROM search_progress) ORDER BY seq LIMIT ?1",
        ] {
            let plan = testing::plan(&conn, sql).replace("SCAN search_progress", "");
            assert!(!plan.contains("SCAN contacts") && !plan.contains("TEMP"), "{sql}: {plan}");
        }
    }
}
