//! The index by which contacts are found: for every run of one, two and three characters of their names, email
//! addresses and phone numbers the contacts that have it, and for every run of four and of six digits. Consecutive
//! numbers share the same three digits by the hundred thousand, and in many places: runs of three digits would not
//! narrow a search.
//!
//! Writing it in the jobs that change contacts would cost a fifth of the rate of writes. So those only leave a mark: a
//! new contact none at all, since its row is beyond the last one that was indexed, and a changed one a row in a queue.
//! [`index_some`] follows. The queue is worked from its newest end, and rows of an import are added at its oldest: a
//! contact that is changed or made singly does not wait until thousands of others are indexed. What is taken out of the
//! index is gone from the file at once, which erasing a person relies on: `remove` is part of the same job.
//!
//! It also holds, as words of their own, which contact has which tag and which contacts have messages at all, so that
//! these can be asked for together with the runs: the index intersects two long lists five times as fast as the tables
//! do. It does not hold the time of the last message, since that changes with every message; see `activity`.
//!
//! SQLite's own trigram tokenizer finds nothing for one or two characters, so the runs are made here and given to the
//! index as words: the bytes of each in hexadecimal, which no tokenizer takes apart.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, ToSql};

use super::activity::{self, Place};
use crate::domain::text::fold_for_search;
use crate::error::Result;
use crate::store::{Conn, Tx};

/// Characters in the longest run that is indexed.
pub(super) const LONGEST: usize = 3;
/// Lengths of the longer runs that are indexed, which are of digits only.
pub(super) const DIGITS: [usize; 2] = [4, 6];
/// Characters of a name or an email address that can be searched.
const CHARS: usize = 500;
/// The separator between the fields of a text. It is in no run.
const BETWEEN: char = '\n';

/// The word in the index of contacts with at least one message. No run, being in hexadecimal, and no tag is that word.
pub(super) const IN_TOUCH: &str = "intouch";

/// The searched columns of a contact.
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

/// The columns of a [`Person`]. The parameter `?1` is whether the phone numbers are wanted.
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

    /// The searched text: name, email address and numbers, folded.
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

    /// The contact's place among all.
    pub(super) fn place(&self) -> Place {
        (self.last_message_at, self.seq)
    }
}

/// Takes a contact out of the index, whose row is about to go.
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
pub fn is_behind(conn: &Conn) -> Result<bool> {
    let mut statement = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM search_queue)
             OR EXISTS (SELECT 1 FROM contacts WHERE seq > (SELECT up_to FROM search_progress))",
    )?;
    Ok(statement.query_row([], |row| row.get(0))? || activity::is_behind(conn)?)
}

/// Brings the index up to date for `limit` contacts at most, those in the queue first, and returns how many it looked
/// at: fewer than `limit` when nothing is left.
pub fn index_some(tx: &Tx<'_>, limit: u32) -> Result<u32> {
    // First, since each search has to look at the contacts that got messages since then, and their number grows.
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

/// A field of a person, or a part of one that is sought, as it is compared. A change of `fold_for_search` needs a
/// migration that indexes the affected contacts anew, as `migrations/6.sql` does.
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

/// Writes a contact's row into the index, and returns the contact's place.
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
mod tests;
