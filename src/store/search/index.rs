//! The index by which contacts are found: for every run of one, two and three characters of their names, email addresses
//! and phone numbers the contacts that have it, and for every run of four and of six digits. Numbers that were given one
//! after another have the same three digits by the hundred thousand, and in many places: these would tell nobody apart.
//!
//! Writing it in the jobs that change contacts would cost a fifth of the rate of writes. So those only leave a mark: a
//! new contact none at all, since its row is beyond the last one that was indexed, and a changed one a row in a queue.
//! [`index_some`] follows. The queue is worked from its newest end, and what a file brings goes to its oldest: whoever is
//! changed or made by themselves does not wait until thousands of others are indexed. What is taken out of the index is
//! gone from the file at once, which erasing a person relies on: `remove` is part of the same job.
//!
//! It also has who has which tag and who was ever in touch, as words of their own, so that these can be asked for together
//! with the runs: the index intersects two long lists five times as fast as the tables do. When somebody was in touch it
//! does not have, since that changes with every message; see `activity`.
//!
//! SQLite's own trigram tokenizer finds nothing for one or two characters, so the runs are made here and told to the
//! index as words: the bytes of each in hexadecimal, which no tokenizer takes apart.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, ToSql};

use super::activity::{self, Place};
use crate::domain::Timestamp;
use crate::domain::text::fold_for_search;
use crate::error::Result;
use crate::store::{Conn, Tx};

/// Characters in the longest run that is indexed.
pub(super) const LONGEST: usize = 3;
/// Digits in the longer runs that are indexed where there is nothing but digits.
pub(super) const DIGITS: [usize; 2] = [4, 6];
/// Characters of a name or an email address that can be searched.
const CHARS: usize = 500;
/// At so many new contacts that are not indexed a further one does not wait for its turn. Searches look at more than that.
const BACKLOG: i64 = 500;
/// What stands between the fields of a text, and in no run.
const BETWEEN: char = '\n';

/// The word that those have who were ever in touch. No run in hexadecimal is spelled so, and no tag.
pub(super) const IN_TOUCH: &str = "intouch";

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

    /// Where the person stands among all.
    pub(super) fn place(&self) -> Place {
        (self.last_message_at, self.seq)
    }
}

/// Notes that what is searched of a contact has changed, and that it is next.
///
/// # Errors
/// When the database refuses.
pub(in crate::store) fn mark(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO search_queue (contact_seq) VALUES (?1)")?.execute([seq])?;
    Ok(())
}

/// Notes that there is a new contact, if so many others wait to be indexed that it is not to wait for its turn.
///
/// # Errors
/// When the database refuses.
pub(in crate::store) fn mark_new(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO search_queue (contact_seq) SELECT ?1 FROM search_progress WHERE up_to < ?1 - ?2",
    )?
    .execute((seq, BACKLOG))?;
    Ok(())
}

/// Has a contact that is one of many, new or changed, wait until those are indexed that are not.
///
/// # Errors
/// When the database refuses.
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

/// Notes that a message is about to go to or come from a contact at `at`, if it is the first, or if it is told of so late
/// that the times which are known of everybody are beyond it. A contact that has not been indexed needs no mark, so most
/// of those that are written to at once cost nothing.
///
/// # Errors
/// When the database refuses.
pub(in crate::store) fn mark_message(tx: &Tx<'_>, seq: i64, at: Timestamp) -> Result<()> {
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

/// Takes a contact out of the index, whose row is about to go.
///
/// # Errors
/// When the database refuses.
pub(in crate::store) fn remove(tx: &Tx<'_>, seq: i64) -> Result<()> {
    if let Some(known) = Indexed::find(tx, seq)? {
        take_out(tx, seq, &known.words())?;
        tx.prepare_cached("DELETE FROM search_texts WHERE contact_seq = ?1")?.execute([seq])?;
    }
    activity::set(tx, &[(None, seq)])?;
    tx.prepare_cached("DELETE FROM search_queue WHERE contact_seq = ?1")?.execute([seq])?;
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
    Ok(statement.query_row([], |row| row.get(0))? || activity::is_behind(conn)?)
}

/// Brings the index up to date for `limit` contacts at most, those in the queue first, and gives how many it looked at:
/// fewer than `limit` when nothing is left.
///
/// # Errors
/// When the database refuses.
pub fn index_some(tx: &Tx<'_>, limit: u32) -> Result<u32> {
    // First, since each search looks at those who were in touch since, and there are ever more of them.
    let followed = if activity::is_behind(tx)? { activity::follow(tx)? } else { 0 };
    let changed = seqs(tx, "SELECT contact_seq FROM search_queue ORDER BY place DESC LIMIT ?1", limit)?;
    let mut places = Vec::new();
    for &seq in &changed {
        places.push(index(tx, seq)?);
        tx.prepare_cached("DELETE FROM search_queue WHERE contact_seq = ?1")?.execute([seq])?;
    }
    let done = u32::try_from(changed.len()).unwrap_or(u32::MAX);
    let sql = "SELECT seq FROM contacts WHERE seq > (SELECT up_to FROM search_progress) ORDER BY seq LIMIT ?1";
    let new = seqs(tx, sql, limit.saturating_sub(done))?;
    for &seq in &new {
        places.push(index(tx, seq)?);
    }
    activity::set(tx, &places)?;
    if let Some(last) = new.last() {
        tx.prepare_cached("UPDATE search_progress SET up_to = ?1")?.execute([last])?;
    }
    Ok(done.saturating_add(u32::try_from(new.len()).unwrap_or(u32::MAX)).saturating_add(followed).min(limit))
}

/// A field of a person, or a part of one that is sought, as it is compared. Whoever changes the folding of
/// `fold_for_search` has all that it changes indexed anew, as `migrations/6.sql` does.
pub(super) fn folded_field(field: &str) -> String {
    fold_for_search(field).replace(BETWEEN, " ")
}

/// The runs of a text, each once, as the index has them: of one to [`LONGEST`] characters, and of [`DIGITS`].
pub(super) fn runs(text: &str) -> BTreeSet<String> {
    let mut runs = BTreeSet::new();
    for field in text.split(BETWEEN) {
        for length in 1..=LONGEST {
            runs.extend(runs_of(field, length).map(word));
        }
        for length in DIGITS {
            runs.extend(digits_of(field, length).map(word));
        }
    }
    runs
}

/// The parts of a field of so many characters.
pub(super) fn runs_of(field: &str, length: usize) -> impl Iterator<Item = &str> {
    let starts = field.char_indices().map(|(at, _)| at);
    let ends = starts.clone().chain([field.len()]).skip(length);
    starts.zip(ends).map(|(start, end)| &field[start..end])
}

/// The parts of a field of so many ASCII digits and nothing else.
pub(super) fn digits_of(field: &str, length: usize) -> impl Iterator<Item = &str> {
    let numbers = field.split(|c: char| !c.is_ascii_digit()).filter(move |digits| digits.len() >= length);
    numbers.flat_map(move |digits| runs_of(digits, length))
}

/// The word that those have who have a tag.
pub(super) fn tag_word(tag_seq: i64) -> String {
    format!("tag{tag_seq}")
}

/// A run as the index has it.
pub(super) fn word(run: &str) -> String {
    hex::encode(run)
}

/// What the index has of a contact.
#[derive(Debug, Default, PartialEq, Eq)]
struct Indexed {
    text: String,
    /// Words that stand for no run, with blanks between them.
    labels: String,
}

impl Indexed {
    fn find(conn: &Conn, seq: i64) -> Result<Option<Self>> {
        let mut statement = conn.prepare_cached("SELECT text, labels FROM search_texts WHERE contact_seq = ?1")?;
        let read = |row: &rusqlite::Row<'_>| Ok(Self { text: row.get(0)?, labels: row.get(1)? });
        Ok(statement.query_row([seq], read).optional()?)
    }

    /// What it should have.
    fn of(conn: &Conn, person: &Person) -> Result<Self> {
        let tags = seqs(conn, "SELECT tag_seq FROM contact_tags WHERE contact_seq = ?1 ORDER BY tag_seq", person.seq)?;
        let in_touch = person.last_message_at.map(|_| IN_TOUCH.to_owned());
        let labels: Vec<String> = in_touch.into_iter().chain(tags.into_iter().map(tag_word)).collect();
        Ok(Self { text: person.text(), labels: labels.join(" ") })
    }

    fn words(&self) -> BTreeSet<String> {
        let mut words = runs(&self.text);
        words.extend(self.labels.split_ascii_whitespace().map(str::to_owned));
        words
    }
}

/// Makes the index say what a contact's row says, and gives where the contact stands.
fn index(tx: &Tx<'_>, seq: i64) -> Result<Place> {
    let before = Indexed::find(tx, seq)?;
    let person = Person::find(tx, seq, true)?;
    let after = person.as_ref().map(|person| Indexed::of(tx, person)).transpose()?.unwrap_or_default();
    let place = person.map_or((None, seq), |person| person.place());
    if before.as_ref().is_some_and(|before| *before == after) {
        return Ok(place);
    }
    let (old, new) = (before.unwrap_or_default().words(), after.words());
    // Most of a text stays when a part of it changes, and taking a run out costs more than leaving it in.
    let gone: BTreeSet<String> = old.difference(&new).cloned().collect();
    if !gone.is_empty() {
        take_out(tx, seq, &gone)?;
    }
    // Also where there is nothing to add: the index counts its rows.
    tx.prepare_cached("INSERT INTO search_grams (rowid, grams) VALUES (?1, ?2)")?
        .execute((seq, joined(new.difference(&old))))?;
    tx.prepare_cached(
        "INSERT INTO search_texts (contact_seq, text, labels) VALUES (?1, ?2, ?3)
         ON CONFLICT (contact_seq) DO UPDATE SET text = excluded.text, labels = excluded.labels",
    )?
    .execute((seq, after.text, after.labels))?;
    Ok(place)
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

fn seqs(conn: &Conn, sql: &str, parameter: impl ToSql) -> Result<Vec<i64>> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([parameter], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Contact;
    use crate::store::testing::{self, contact_id, now};
    use crate::store::{contacts, merge};

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
        with_word(conn, &word(run))
    }

    fn with_word(conn: &Conn, word: &str) -> Vec<i64> {
        let mut statement = conn.prepare("SELECT rowid FROM search_grams WHERE search_grams MATCH ?1").unwrap();
        statement.query_map([word], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
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
        let longer: Vec<String> = runs("+1234567 12345").into_iter().filter(|run| run.len() > 2 * LONGEST).collect();
        assert_eq!(longer, ["1234", "123456", "2345", "234567", "3456", "4567"].map(word));
        assert!(runs("12a34\n5678").contains(&word("5678")) && !runs("123\n45 6").contains(&word("1234")));
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
    fn who_is_changed_or_made_alone_does_not_wait_for_thousands() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let backlog = u128::try_from(BACKLOG).unwrap();
        let queued = || tx.query_row("SELECT count(*) FROM search_queue", [], |row| row.get::<_, u32>(0)).unwrap();
        let many = |numbers: std::ops::RangeInclusive<u128>| -> Vec<i64> {
            let seqs = numbers.map(|n| person(&tx, n, "Many"));
            seqs.inspect(|seq| defer(&tx, *seq).unwrap()).collect()
        };
        let first = many(1..=2 * backlog);
        assert_eq!(queued(), 0, "their turn comes");
        let (ana, bo) = (person(&tx, 5_001, "Ana"), person(&tx, 5_002, "Bo"));
        many(6_001..=6_000 + backlog);
        assert_eq!((queued(), index_some(&tx, 10).unwrap()), (2, 10));
        assert_eq!((with(&tx, "ana"), with(&tx, "bo"), with(&tx, "man").len()), (vec![ana], vec![bo], 8));
        while index_some(&tx, 1_000).unwrap() == 1_000 {}
        check(&tx);

        // As an import changes those whom it knows.
        for seq in &first {
            rename(&tx, *seq, Some("Ever"));
            defer(&tx, *seq).unwrap();
        }
        rename(&tx, ana, Some("Zo"));
        for seq in &first[..9] {
            rename(&tx, *seq, Some("Other"));
            defer(&tx, *seq).unwrap();
        }
        assert_eq!((queued(), index_some(&tx, 10).unwrap()), (2 * u32::try_from(backlog).unwrap() + 1, 10));
        assert_eq!((with(&tx, "zo"), with(&tx, "ana")), (vec![ana], vec![]));
        assert_eq!(with(&tx, "eve").len(), 9);
        rename(&tx, first[0], Some("Cy"));
        index_some(&tx, 1).unwrap();
        assert_eq!(with(&tx, "cy"), first[..1], "who waits and is changed again is next");
        while index_some(&tx, 1_000).unwrap() == 1_000 {}
        assert_eq!((queued(), with(&tx, "oth").len(), with(&tx, "eve").len()), (0, 8, first.len() - 9));
        assert!(!is_behind(&tx).unwrap());
        check(&tx);
    }

    #[test]
    fn what_changes_nothing_that_is_searched_is_not_indexed_again() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let seq = person(&tx, 1, "Ana");
        contacts::touch(&tx, seq, 1, None, now()).unwrap();
        assert_eq!(index_some(&tx, 9).unwrap(), 1, "a contact that is not indexed needs no mark");
        let before = contacts::find_by_seq(&tx, seq).unwrap().unwrap().contact;
        let after = Contact { language: Some("pt".to_owned()), ..before.clone() };
        contacts::update(&tx, seq, &after, &before, now()).unwrap();
        contacts::touch(&tx, seq, 1, None, now()).unwrap();
        assert!(!is_behind(&tx).unwrap());
    }

    #[test]
    fn the_first_message_is_indexed_and_no_other() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (ana, bo) = (person(&tx, 1, "Ana"), person(&tx, 2, "intouch tag1"));
        index_some(&tx, 9).unwrap();
        assert_eq!(with_word(&tx, IN_TOUCH), [0; 0], "nobody has what is the index's own");
        contacts::touch(&tx, ana, 1, None, now()).unwrap();
        contacts::touch(&tx, bo, 1, None, now()).unwrap();
        assert_eq!(index_some(&tx, 9).unwrap(), 2);
        assert_eq!((with_word(&tx, IN_TOUCH), with(&tx, "ana")), (vec![ana, bo], vec![ana]));
        contacts::touch(&tx, ana, 1, None, now()).unwrap();
        assert!(!is_behind(&tx).unwrap());
        remove(&tx, ana).unwrap();
        assert_eq!(with_word(&tx, IN_TOUCH), [bo]);
        check(&tx);
    }

    #[test]
    fn a_tag_is_indexed_and_taken_out_again() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (ana, bo) = (person(&tx, 1, "Ana"), person(&tx, 2, "tag1"));
        let tagged = |seq, tags: &[&str]| {
            let before = contacts::find_by_seq(&tx, seq).unwrap().unwrap().contact;
            let after = Contact { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..before.clone() };
            contacts::update(&tx, seq, &after, &before, now()).unwrap();
            index_some(&tx, 9).unwrap()
        };
        assert_eq!(tagged(ana, &["vip"]), 3, "one that is new, and one that is new and marked");
        assert_eq!(with_word(&tx, "tag1"), [ana]);
        assert_eq!((tagged(bo, &["new", "vip"]), tagged(ana, &["vip"])), (1, 0));
        assert_eq!((with_word(&tx, "tag1"), with_word(&tx, "tag2")), (vec![ana, bo], vec![bo]));
        tagged(ana, &[]);
        remove(&tx, bo).unwrap();
        assert_eq!((with_word(&tx, "tag1"), with_word(&tx, "tag2")), (vec![], vec![]));
        check(&tx);
    }

    #[test]
    fn a_message_that_is_told_of_late_is_indexed() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (ana, bo) = (person(&tx, 1, "Ana"), person(&tx, 2, "Bo"));
        let touch = |seq, seconds| {
            let at = now().plus(Duration::from_secs(seconds));
            contacts::touch(&tx, seq, 1, None, at).unwrap();
            (Some(at.as_millis()), seq)
        };
        touch(ana, 1);
        let bo_place = touch(bo, 9);
        index_some(&tx, 9).unwrap();
        activity::follow(&tx).unwrap();
        touch(bo, 8);
        assert!(!is_behind(&tx).unwrap(), "nothing has changed");
        let late = touch(ana, 5);
        assert_eq!(index_some(&tx, 9).unwrap(), 1);
        let mut times = activity::Times::new(&tx);
        assert_eq!((times.place(ana).unwrap(), times.place(bo).unwrap()), (late, bo_place));
        touch(ana, 10);
        assert!(!is_behind(&tx).unwrap(), "it is found by walking");
    }

    #[test]
    fn the_next_contact_is_indexed_though_the_newest_was_erased() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let seq = person(&tx, 1, "Ana");
        index_some(&tx, 9).unwrap();
        remove(&tx, seq).unwrap();
        tx.execute_batch("DELETE FROM addresses; DELETE FROM contacts;").unwrap();
        let next = person(&tx, 2, "Bo");
        assert!(is_behind(&tx).unwrap());
        index_some(&tx, 9).unwrap();
        assert_eq!((with(&tx, "bo"), with(&tx, "ana")), (vec![next], vec![]));
    }

    #[test]
    fn contacts_after_the_newest_are_indexed_whatever_the_order_of_the_erasures() {
        let orders = [[2, 3, 4], [2, 4, 3], [3, 2, 4], [3, 4, 2], [4, 2, 3], [4, 3, 2]];
        for (order, is_merged) in orders.iter().flat_map(|order| [(order, false), (order, true)]) {
            let conn = testing::conn();
            let tx = Tx::new(&conn);
            let stored = |seq| contacts::find_by_seq(&tx, seq).unwrap().unwrap();
            for n in 1..=4 {
                person(&tx, n, "Ana");
            }
            index_some(&tx, 9).unwrap();
            for &seq in order {
                if is_merged {
                    merge::unite(&tx, &stored(1), &stored(seq), now()).unwrap();
                } else {
                    remove(&tx, seq).unwrap();
                    tx.execute("DELETE FROM addresses WHERE contact_seq = ?1", [seq]).unwrap();
                    tx.execute("DELETE FROM contacts WHERE seq = ?1", [seq]).unwrap();
                }
            }
            index_some(&tx, 9).unwrap();
            let again: Vec<i64> = (5..=7).map(|n| person(&tx, n, "Bo")).collect();
            assert_eq!(again, [5, 6, 7]);
            index_some(&tx, 9).unwrap();
            assert_eq!((with(&tx, "bo"), with(&tx, "ana")), (again, vec![1]), "{order:?}, merged: {is_merged}");
            check(&tx);
        }
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
            "SELECT contact_seq FROM search_queue ORDER BY place DESC LIMIT ?1",
            "SELECT seq FROM contacts WHERE seq > (SELECT up_to FROM search_progress) ORDER BY seq LIMIT ?1",
        ] {
            let plan = testing::plan(&conn, sql).replace("SCAN search_progress", "");
            assert!(!plan.contains("SCAN contacts") && !plan.contains("TEMP"), "{sql}: {plan}");
        }
    }
}
