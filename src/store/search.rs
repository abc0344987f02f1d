//! Finding contacts by a part of their name, email address or phone number, by a tag, by an email address.
//!
//! Who was last in touch comes first, and contacts that nobody was in touch with come last, the newest first. A list of
//! so few is found in one of two ways. Of what many people have, those who were in touch lately have it, too: so the
//! contacts are walked through in the order of the answer, for a bounded number of rows. What that does not fill is rare
//! enough to be looked up: the index (see [`super::search_index`]) gives everybody who may fit, and these are put in
//! order. Where these are many, those who were in touch are asked for first, and then the others from the newest on, who
//! are in order as the index gives them and of whom only as many are looked at as are missing. Everyone who is found is held against the contact's own row, so an index that is behind can leave somebody out
//! for a moment and never shows what is not so; contacts that it does not have yet are looked at by themselves.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, ToSql, params};

use super::Conn;
use super::contacts::{self, Profile};
use super::search_index::{LONGEST, Person, folded_field, in_touch_word, select_person, word};
use crate::domain::text::fold_for_search;
use crate::error::Result;

/// How far each way of finding is followed before another is tried.
struct Bounds {
    /// Contacts that are walked through before the index is asked, as long as it looks as if they would fill the answer.
    walked_first: usize,
    /// After so many of them it is asked anew whether it does.
    stride: usize,
    /// Contacts that are walked through when the index knows too many.
    walked_more: usize,
    /// How many the index may give before it is asked for those who were in touch.
    few: usize,
    /// How many of those who were in touch it may give before walking on is tried, which takes as long as so many.
    candidates: usize,
    /// How many may have a tag for that to be looked through rather than the index.
    tagged: u32,
}

const BOUNDS: Bounds =
    Bounds { walked_first: 3_000, stride: 250, walked_more: 10_000, few: 5_000, candidates: 30_000, tagged: 3_000 };
/// Contacts that are not indexed yet and are looked at all the same, the newest of them.
const UNINDEXED: u32 = 1_000;
/// Runs of what is sought that are counted, and that the index is asked for.
const COUNTED: usize = 32;
const ASKED: usize = 4;

/// What is sought. All that is given must fit; nothing at all fits everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// A part of the name, the email address or a phone number, whatever the case. No character has a special meaning.
    pub query: Option<String>,
    /// The whole name of a tag, in its case.
    pub tag: Option<String>,
    /// A whole email address, whatever the case of its ASCII letters.
    pub email: Option<String>,
}

/// The `limit` contacts that a search fits and that were last in touch, then those that nobody was in touch with, the
/// newest first.
///
/// # Errors
/// When the database cannot be read.
pub fn find(conn: &Conn, search: &Search, limit: u32) -> Result<Vec<Profile>> {
    let Some(filter) = Filter::of(conn, search)? else { return Ok(Vec::new()) };
    let mut profiles = Vec::new();
    for seq in find_seqs(conn, &filter, &BOUNDS, limit as usize)? {
        profiles.extend(contacts::profile(conn, seq)?);
    }
    Ok(profiles)
}

/// Names of tags that have `part` in them, whatever the case, in the order of their bytes, at most `limit`.
///
/// # Errors
/// When the database cannot be read.
pub fn tags(conn: &Conn, part: Option<&str>, limit: usize) -> Result<Vec<String>> {
    let part = part.map(fold_for_search).unwrap_or_default();
    let mut statement = conn.prepare_cached("SELECT name FROM tags ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        if fold_for_search(&name).contains(&part) {
            names.push(name);
        }
        if names.len() == limit {
            break;
        }
    }
    Ok(names)
}

/// A search, ready to be held against contacts.
struct Filter {
    /// Texts one of which must be there, folded; none for everybody.
    needles: Vec<String>,
    tag_seq: Option<i64>,
    email: Option<String>,
}

impl Filter {
    /// `None` where nobody can fit, since nobody has the tag.
    fn of(conn: &Conn, search: &Search) -> Result<Option<Self>> {
        let tag_seq = match &search.tag {
            None => None,
            Some(tag) => {
                let mut statement = conn.prepare_cached("SELECT seq FROM tags WHERE name = ?1")?;
                match statement.query_row([tag], |row| row.get(0)).optional()? {
                    None => return Ok(None),
                    found => found,
                }
            }
        };
        let needles = search.query.as_deref().map(needles).unwrap_or_default();
        Ok(Some(Self { needles, tag_seq, email: search.email.clone() }))
    }

    fn fits(&self, conn: &Conn, person: &Person, text: &str) -> Result<bool> {
        let fits_query = self.needles.is_empty() || self.needles.iter().any(|needle| text.contains(needle));
        let has_email = |email: &String| person.email.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(email));
        if !fits_query || !self.email.as_ref().is_none_or(has_email) {
            return Ok(false);
        }
        let Some(tag_seq) = self.tag_seq else { return Ok(true) };
        let mut statement =
            conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM contact_tags WHERE contact_seq = ?1 AND tag_seq = ?2)")?;
        Ok(statement.query_row((person.seq, tag_seq), |row| row.get(0))?)
    }

    /// Whether anything that is sought may be in a phone number, which takes longer to read than all the rest.
    fn needs_phones(&self) -> bool {
        self.needles.iter().any(|needle| needle.chars().all(|c| c.is_ascii_digit() || c == '+'))
    }

    /// What a person is held against the needles by; nothing where there are none.
    fn text_of(&self, person: &Person) -> String {
        if self.needles.is_empty() { String::new() } else { person.text() }
    }

    /// Whether the contact of a row fits.
    fn fits_row(&self, conn: &Conn, seq: i64) -> Result<bool> {
        match Person::find(conn, seq, self.needs_phones())? {
            Some(person) => self.fits(conn, &person, &self.text_of(&person)),
            None => Ok(false),
        }
    }
}

/// What is looked for: the text, and the number alone where it is a phone number as people write it.
fn needles(query: &str) -> Vec<String> {
    let text = folded_field(query);
    let is_number = text.chars().all(|c| c.is_ascii_digit() || " +()-./".contains(c));
    let number: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
    let mut needles = vec![text];
    if is_number && number.len() >= LONGEST {
        needles.push(number);
    }
    needles.retain(|needle| !needle.is_empty());
    needles.dedup();
    needles
}

/// Where a contact stands in the answer: its last message, in milliseconds, and its row. The highest is first.
type Place = (Option<i64>, i64);

fn find_seqs(conn: &Conn, filter: &Filter, bounds: &Bounds, limit: usize) -> Result<Vec<i64>> {
    if let Some(email) = &filter.email {
        let sql = "SELECT last_message_at, seq FROM contacts WHERE email = ?1 COLLATE NOCASE";
        let found = first_fitting(conn, filter, places(conn, sql, params![email])?, limit)?;
        return Ok(found.into_iter().map(|(_, seq)| seq).collect());
    }
    let mut statement = conn.prepare_cached(select_person!(
        "FROM contacts AS c WHERE NOT EXISTS (SELECT 1 FROM erasures AS e WHERE e.contact_seq = c.seq)
         ORDER BY c.last_message_at DESC, c.seq DESC"
    ))?;
    let rows = statement.query([filter.needs_phones()])?;
    let mut walk = Walk { conn, filter, limit, rows, found: Vec::new(), at: None };
    let mut sample = Sample::of(&filter.needles);
    if walk.go(bounds.stride, Some(&mut sample))? {
        return Ok(walk.found);
    }
    for walked in (bounds.stride..bounds.walked_first).step_by(bounds.stride) {
        // At this rate not even half of what is missing would be found: what is so rare is found sooner by the index.
        if walk.found.len() * bounds.walked_first * 2 < limit * walked {
            break;
        }
        if walk.go(bounds.stride, None)? {
            return Ok(walk.found);
        }
    }
    let mut others = Vec::new();
    let mut candidates = match filter.tag_seq {
        Some(tag_seq) if filter.needles.is_empty() || has_few(conn, tag_seq, bounds.tagged)? => {
            let sql = "SELECT c.last_message_at, c.seq
                 FROM contact_tags AS ct JOIN contacts AS c ON c.seq = ct.contact_seq WHERE ct.tag_seq = ?1";
            places(conn, sql, params![tag_seq])?
        }
        tag_seq => {
            let questions = sample.questions();
            let mut seqs = BTreeSet::new();
            if !ask(conn, &questions, tag_seq, bounds.few, &mut seqs)? {
                let in_touch: Vec<String> =
                    questions.iter().map(|question| format!("({question}) AND {}", in_touch_word())).collect();
                if !ask(conn, &in_touch, tag_seq, bounds.candidates, &mut seqs)? {
                    if walk.go(bounds.walked_more, None)? {
                        return Ok(walk.found);
                    }
                    ask(conn, &in_touch, tag_seq, usize::MAX, &mut seqs)?;
                }
                others = never_in_touch(&walk, &questions)?;
            }
            seqs.extend(unindexed(conn)?);
            seqs.into_iter().map(|seq| place(conn, seq)).collect::<Result<Vec<_>>>()?
        }
    };
    // Those before have been held against the search.
    candidates.retain(|place| walk.is_ahead(*place));
    let mut rest = first_fitting(conn, filter, candidates, limit - walk.found.len())?;
    rest.extend(others);
    rest.sort_unstable_by(|one, other| other.cmp(one));
    rest.dedup();
    rest.truncate(limit - walk.found.len());
    Ok(walk.found.into_iter().chain(rest.into_iter().map(|(_, seq)| seq)).collect())
}

/// The way through the contacts in the order of the answer.
struct Walk<'a> {
    conn: &'a Conn,
    filter: &'a Filter,
    limit: usize,
    rows: rusqlite::Rows<'a>,
    /// Rows of those that fit so far.
    found: Vec<i64>,
    /// Who was looked at last.
    at: Option<Place>,
}

impl Walk<'_> {
    /// Looks at so many more contacts, and tells whether the answer is complete.
    fn go(&mut self, rows: usize, mut sample: Option<&mut Sample>) -> Result<bool> {
        for _ in 0..rows {
            if self.found.len() >= self.limit {
                return Ok(true);
            }
            let Some(row) = self.rows.next()? else { return Ok(true) };
            let person = Person::read(row)?;
            let text = self.filter.text_of(&person);
            if let Some(sample) = &mut sample {
                sample.count(&text);
            }
            if self.filter.fits(self.conn, &person, &text)? {
                self.found.push(person.seq);
            }
            self.at = Some((person.last_message_at, person.seq));
        }
        Ok(self.found.len() >= self.limit)
    }

    /// Whether a place has not been looked at yet.
    fn is_ahead(&self, place: Place) -> bool {
        self.at.is_none_or(|at| place < at)
    }
}

/// How many of some contacts have each run of characters of what is sought: the rarest are what the index is asked for,
/// because what many have takes it long to go through.
struct Sample {
    /// For each needle its runs, each with its count.
    needles: Vec<Vec<(String, u32)>>,
}

impl Sample {
    fn of(needles: &[String]) -> Self {
        Self { needles: needles.iter().map(|needle| longest_runs(needle)).collect() }
    }

    fn count(&mut self, text: &str) {
        for (run, count) in self.needles.iter_mut().flatten() {
            if text.contains(run.as_str()) {
                *count += 1;
            }
        }
    }

    /// For each needle what to ask the index.
    fn questions(mut self) -> Vec<String> {
        let question = |runs: &mut Vec<(String, u32)>| {
            runs.sort_by_key(|(_, count)| *count);
            let words: Vec<String> = runs.iter().take(ASKED).map(|(run, _)| format!("\"{}\"", word(run))).collect();
            words.join(" AND ")
        };
        self.needles.iter_mut().map(question).collect()
    }
}

/// The runs of a needle that the index has, as long as possible, each once.
fn longest_runs(needle: &str) -> Vec<(String, u32)> {
    let starts: Vec<usize> = needle.char_indices().map(|(at, _)| at).chain([needle.len()]).collect();
    let length = LONGEST.min(starts.len() - 1);
    let runs = starts.windows(length + 1).map(|ends| needle[ends[0]..ends[length]].to_owned());
    let runs: BTreeSet<String> = runs.take(COUNTED).collect();
    runs.into_iter().map(|run| (run, 0)).collect()
}

/// Adds the rows of the contacts that the index has for some questions. `false` if there are more than `limit` of one.
fn ask(
    conn: &Conn,
    questions: &[String],
    tag_seq: Option<i64>,
    limit: usize,
    seqs: &mut BTreeSet<i64>,
) -> Result<bool> {
    let sql = match tag_seq {
        None => "SELECT g.rowid FROM search_grams AS g WHERE search_grams MATCH ?1 AND ?2 IS NULL",
        Some(_) => {
            "SELECT g.rowid FROM search_grams AS g WHERE search_grams MATCH ?1
             AND EXISTS (SELECT 1 FROM contact_tags AS ct WHERE ct.contact_seq = g.rowid AND ct.tag_seq = ?2)"
        }
    };
    for question in questions {
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query((question, tag_seq))?;
        let mut given = 0;
        while let Some(row) = rows.next()? {
            if given == limit {
                return Ok(false);
            }
            given += 1;
            seqs.insert(row.get(0)?);
        }
    }
    Ok(true)
}

/// The newest contacts that a search fits, of those that nobody was in touch with as far as the index knows: for each
/// question so many that nobody was in touch with indeed, and whoever else comes before.
fn never_in_touch(walk: &Walk<'_>, questions: &[String]) -> Result<Vec<Place>> {
    let (conn, filter) = (walk.conn, walk.filter);
    let mut found = Vec::new();
    for question in questions {
        let mut statement = conn.prepare_cached(
            "SELECT g.rowid FROM search_grams AS g WHERE search_grams MATCH ?1
             AND (?2 IS NULL
                 OR EXISTS (SELECT 1 FROM contact_tags AS ct WHERE ct.contact_seq = g.rowid AND ct.tag_seq = ?2))
             ORDER BY g.rowid DESC",
        )?;
        let mut rows = statement.query((format!("({question}) NOT {}", in_touch_word()), filter.tag_seq))?;
        let mut missing = walk.limit - walk.found.len();
        while missing > 0
            && let Some(row) = rows.next()?
        {
            let Some(person) = Person::find(conn, row.get(0)?, filter.needs_phones())? else { continue };
            // Those whom the walk came past must not count as found, or as many would be missing in the end.
            let place = (person.last_message_at, person.seq);
            if walk.is_ahead(place) && filter.fits(conn, &person, &filter.text_of(&person))? {
                found.push(place);
                missing -= usize::from(person.last_message_at.is_none());
            }
        }
    }
    Ok(found)
}

/// Whether no more than `few` contacts have a tag.
fn has_few(conn: &Conn, tag_seq: i64, few: u32) -> Result<bool> {
    let mut statement =
        conn.prepare_cached("SELECT count(*) FROM (SELECT 1 FROM contact_tags WHERE tag_seq = ?1 LIMIT ?2)")?;
    Ok(statement.query_row((tag_seq, few + 1), |row| row.get::<_, u32>(0))? <= few)
}

/// Contacts that the index does not have as they are, the newest of them.
fn unindexed(conn: &Conn) -> Result<Vec<i64>> {
    let mut seqs = Vec::new();
    for sql in [
        "SELECT contact_seq FROM search_queue ORDER BY contact_seq DESC LIMIT ?1",
        "SELECT seq FROM contacts WHERE seq > (SELECT up_to FROM search_progress) ORDER BY seq DESC LIMIT ?1",
    ] {
        let mut statement = conn.prepare_cached(sql)?;
        let rows = statement.query_map([UNINDEXED], |row| row.get(0))?;
        seqs.extend(rows.collect::<rusqlite::Result<Vec<i64>>>()?);
    }
    Ok(seqs)
}

fn places(conn: &Conn, sql: &str, parameters: &[&dyn ToSql]) -> Result<Vec<Place>> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn place(conn: &Conn, seq: i64) -> Result<Place> {
    let mut statement = conn.prepare_cached("SELECT last_message_at FROM contacts WHERE seq = ?1")?;
    Ok((statement.query_row([seq], |row| row.get(0)).optional()?.flatten(), seq))
}

/// The first `limit` of some contacts that a search fits.
fn first_fitting(conn: &Conn, filter: &Filter, mut candidates: Vec<Place>, limit: usize) -> Result<Vec<Place>> {
    candidates.sort_unstable_by(|one, other| other.cmp(one));
    let mut found = Vec::new();
    for place in candidates {
        if found.len() == limit {
            break;
        }
        if filter.fits_row(conn, place.1)? {
            found.push(place);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::search_index::{index_some, remove};
    use super::super::testing::{self, contact_id, now};
    use super::super::{Tx, addresses};
    use super::*;
    use proptest::prelude::*;

    use crate::domain::{AddressKey, AddressKind, Contact, ContactId};

    /// A contact that a message went to so many seconds ago.
    fn person(tx: &Tx<'_>, n: u128, name: &str, seconds_ago: Option<u64>) -> ContactId {
        let mut contact = Contact::new(contact_id(n), Some(format!("+1415555{n:04}").parse().unwrap()));
        contact.name = Some(name.to_owned());
        let seq = contacts::insert(tx, &contact, "api", now()).unwrap();
        if let Some(ago) = seconds_ago {
            contacts::touch(tx, seq, 1, None, now().minus(Duration::from_secs(ago))).unwrap();
        }
        contact.id
    }

    fn ids(conn: &Conn, search: &Search) -> Vec<ContactId> {
        find(conn, search, 50).unwrap().iter().map(|profile| profile.stored.contact.id).collect()
    }

    fn by(query: &str) -> Search {
        Search { query: Some(query.to_owned()), ..Search::default() }
    }

    /// More contacts than are walked through, all of them written to after everybody else.
    fn crowd(tx: &Tx<'_>) {
        let crowd = i64::try_from(BOUNDS.walked_first + 10).unwrap();
        tx.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO contacts (id, name, source, metadata, last_message_at, created_at, updated_at)
             SELECT randomblob(16), 'Crowd ' || n, 'api', '{}', ?2 + n, 0, 0 FROM n",
            params![crowd, now()],
        )
        .unwrap();
    }

    #[test]
    fn the_order_is_that_of_the_last_message_and_then_of_the_newest() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let old = person(&tx, 1, "Old", Some(60));
        let never = person(&tx, 2, "Never", None);
        let new = person(&tx, 3, "New", Some(1));
        let never_either = person(&tx, 4, "Never either", None);
        let same = person(&tx, 5, "Same", Some(1));
        let all = [same, new, old, never_either, never];
        assert_eq!(ids(&tx, &Search::default()), all);
        assert_eq!(ids(&tx, &by("415555")), all);
        crowd(&tx);
        index_some(&tx, 10_000).unwrap();
        assert_eq!(ids(&tx, &by("415555")), all);
        assert_eq!(find(&tx, &by("415555"), 2).unwrap().len(), 2);
        assert_eq!(find(&tx, &by("crowd"), 50).unwrap().len(), 50);
    }

    #[test]
    fn parts_of_any_length_are_found_whatever_the_case_and_beyond_the_walk() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let names = [
            "\u{c9}lodie",
            "\u{42f}\u{43a}\u{43e}\u{432}",
            "\u{130}pek",
            "\u{6b27}\u{9633}\u{4fee}",
            "50%_off",
            "Jose\u{301}",
            "Stra\u{df}e",
            "\u{39f}\u{3b4}\u{3c5}\u{3c3}\u{3c3}\u{3b5}\u{3cd}\u{3c2}",
        ];
        let people: Vec<ContactId> = names.iter().zip(1..).map(|(name, n)| person(&tx, n, name, None)).collect();
        let rows = [
            ("\u{e9}LO", 0),
            ("\u{c9}l", 0),
            ("\u{44f}\u{41a}\u{41e}", 1),
            ("\u{44f}", 1),
            ("ipek", 2),
            ("\u{130}PEK", 2),
            ("\u{6b27}", 3),
            ("\u{9633}\u{4fee}", 3),
            ("0%_", 4),
            ("%", 4),
            ("_", 4),
            ("%_", 4),
            ("JOS\u{c9}", 5),
            ("s\u{e9}", 5),
            ("strasse", 6),
            ("\u{3a3}\u{3a3}\u{395}\u{3cd}\u{3a3}", 7),
            ("  Off ", 4),
        ];
        for is_crowded in [false, true] {
            if is_crowded {
                crowd(&tx);
                index_some(&tx, 10_000).unwrap();
            }
            for (query, n) in rows {
                assert_eq!(ids(&tx, &by(query)), [people[n]], "{query} {is_crowded}");
            }
            for nobody in ["%%", "o_f", "5%o", "jose", "elo", "\"", "\u{0}", "(", "a\nb"] {
                assert_eq!(ids(&tx, &by(nobody)), [], "{nobody} {is_crowded}");
            }
        }
    }

    #[test]
    fn a_number_is_found_with_its_plus_and_without_and_as_people_write_it() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let ana = person(&tx, 123, "Ana", None);
        for is_crowded in [false, true] {
            if is_crowded {
                crowd(&tx);
                index_some(&tx, 10_000).unwrap();
            }
            for query in ["+14155550123", "14155550123", "+1 (415) 555-0123", "5550123", "555-0123", "0123"] {
                assert_eq!(ids(&tx, &by(query)), [ana], "{query}");
            }
            for query in ["+4155550123", "141555501234"] {
                assert_eq!(ids(&tx, &by(query)), [], "{query}");
            }
        }
        let seq = contacts::find_by_id(&tx, ana).unwrap().unwrap().seq;
        addresses::add(&tx, seq, &AddressKey::new(AddressKind::Phone, "+34600111222"), now()).unwrap();
        assert_eq!(ids(&tx, &by("600111")), [ana], "not indexed yet");
        addresses::retire(&tx, seq, &AddressKey::new(AddressKind::Phone, "+14155550123"), now()).unwrap();
        index_some(&tx, 10).unwrap();
        assert_eq!((ids(&tx, &by("600111")), ids(&tx, &by("5550123"))), (vec![ana], vec![]));
    }

    #[test]
    fn all_that_is_given_must_fit() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let people: Vec<ContactId> = (1..=4).map(|n| person(&tx, n, "Ana", Some(n as u64))).collect();
        for (n, tags, email) in
            [(0, vec!["vip"], None), (1, vec!["vip"], Some("Ana@Example.org")), (2, vec![], Some("ana@example.org"))]
        {
            let stored = contacts::find_by_id(&tx, people[n]).unwrap().unwrap();
            let mut after = stored.contact.clone();
            after.tags = tags.into_iter().map(str::to_owned).collect();
            after.email = email.map(str::to_owned);
            contacts::update(&tx, stored.seq, &after, &stored.contact, now()).unwrap();
        }
        let search = |query: Option<&str>, tag: Option<&str>, email: Option<&str>| Search {
            query: query.map(str::to_owned),
            tag: tag.map(str::to_owned),
            email: email.map(str::to_owned),
        };
        let rows: [(Search, &[ContactId]); 9] = [
            (search(None, Some("vip"), None), &people[..2]),
            (search(None, Some("VIP"), None), &[]),
            (search(None, Some("vi"), None), &[]),
            (search(None, None, Some("ANA@example.ORG")), &people[1..3]),
            (search(None, None, Some("ana@example")), &[]),
            (search(None, Some("vip"), Some("ana@example.org")), &people[1..2]),
            (search(Some("ana"), Some("vip"), None), &people[..2]),
            (search(Some("0002"), Some("vip"), None), &people[1..2]),
            (search(Some("0003"), Some("vip"), None), &[]),
        ];
        for is_crowded in [false, true] {
            if is_crowded {
                crowd(&tx);
                index_some(&tx, 10_000).unwrap();
            }
            for (search, expected) in &rows {
                assert_eq!(&ids(&tx, search), expected, "{search:?} {is_crowded}");
            }
        }
        tx.execute(
            "INSERT INTO contact_tags SELECT seq, (SELECT seq FROM tags) FROM contacts WHERE name LIKE 'Crowd%'",
            [],
        )
        .unwrap();
        assert_eq!(ids(&tx, &search(Some("0002"), Some("vip"), None)), people[1..2], "a tag that many have");
        assert_eq!(ids(&tx, &search(None, Some("vip"), None)).len(), 50);
    }

    #[test]
    fn who_is_erased_is_not_found_at_once() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let ana = person(&tx, 1, "Ana", None);
        crowd(&tx);
        index_some(&tx, 10_000).unwrap();
        assert_eq!(ids(&tx, &by("ana")), [ana]);
        let known = contacts::find_by_id(&tx, ana).unwrap().unwrap();
        remove(&tx, known.seq).unwrap();
        assert_eq!(ids(&tx, &by("ana")), []);
    }

    #[test]
    fn tags_are_found_by_a_part_of_their_names() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        tx.execute_batch("INSERT INTO tags (name) VALUES ('vip'), ('VIP 2'), ('50%'), ('\u{c9}t\u{e9}')").unwrap();
        assert_eq!(tags(&tx, None, 9).unwrap(), ["50%", "VIP 2", "vip", "\u{c9}t\u{e9}"]);
        assert_eq!(tags(&tx, None, 2).unwrap(), ["50%", "VIP 2"]);
        assert_eq!(tags(&tx, Some("ViP"), 9).unwrap(), ["VIP 2", "vip"]);
        assert_eq!(tags(&tx, Some("%"), 9).unwrap(), ["50%"]);
        assert_eq!(tags(&tx, Some("_"), 9).unwrap(), [""; 0]);
        assert_eq!(tags(&tx, Some("\u{e9}T\u{c9}"), 9).unwrap(), ["\u{c9}t\u{e9}"]);
    }

    #[test]
    fn the_walk_needs_no_sorting() {
        let conn = testing::conn();
        let plan = testing::plan(&conn, "SELECT seq FROM contacts ORDER BY last_message_at DESC, seq DESC");
        assert!(plan.contains("contacts_by_activity") && !plan.contains("TEMP"), "{plan}");
        let sql = "SELECT last_message_at, seq FROM contacts WHERE email = ?1 COLLATE NOCASE";
        let plan = testing::plan(&conn, sql);
        assert!(plan.contains("SEARCH contacts USING INDEX contacts_by_email"), "{plan}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Every way of finding gives what looking at everybody does, wherever it is given up for another.
        #[test]
        fn what_is_found_is_what_looking_at_everybody_finds(
            people in prop::collection::vec(("[ab1\u{738b}]{0,5}", prop::option::of(0_u64..9), any::<bool>(), 0_u8..4), 1..40),
            query in "[ab1\u{738b}]{1,4}",
            has_tag in any::<bool>(),
            (first, stride, more, few, candidates, tagged) in (1_usize..9, 1_usize..5, 0_usize..9, 0_usize..9, 0_usize..9, 0_u32..9),
            limit in 1_usize..12,
        ) {
            let conn = testing::conn();
            let tx = Tx::new(&conn);
            tx.execute("INSERT INTO tags (seq, name) VALUES (1, 'vip')", []).unwrap();
            let mut expected = Vec::new();
            for ((name, ago, is_tagged, when), n) in people.iter().zip(1_u32..) {
                let id = person(&tx, u128::from(n), name, ago.filter(|_| *when < 2));
                let seq = contacts::find_by_id(&tx, id).unwrap().unwrap().seq;
                // Some are indexed before their first message, and some of these again after it.
                if *when == 1 {
                    index_some(&tx, 99).unwrap();
                }
                if let Some(ago) = ago.filter(|_| *when >= 2) {
                    index_some(&tx, 99).unwrap();
                    contacts::touch(&tx, seq, 1, None, now().minus(Duration::from_secs(ago))).unwrap();
                }
                if *is_tagged {
                    tx.execute("INSERT INTO contact_tags VALUES (?1, 1)", [seq]).unwrap();
                }
                let text = format!("{name}\n+1415555{n:04}");
                if text.contains(&query) && (*is_tagged || !has_tag) {
                    expected.push((place(&tx, seq).unwrap().0, seq));
                }
            }
            expected.sort_unstable_by(|one, other| other.cmp(one));
            expected.truncate(limit);
            let expected: Vec<i64> = expected.into_iter().map(|(_, seq)| seq).collect();
            let search = Search { query: Some(query), tag: has_tag.then(|| "vip".to_owned()), email: None };
            let filter = Filter::of(&tx, &search).unwrap().unwrap();
            let bounds = Bounds { walked_first: first, stride, walked_more: more, few, candidates, tagged };
            prop_assert_eq!(find_seqs(&tx, &filter, &bounds, limit).unwrap(), expected);
        }
    }
}
