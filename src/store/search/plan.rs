//! How a search finds the contacts that match, in the order of the answer.
//!
//! If many contacts match, some with recent messages do, too. So contacts are read in the order of the answer first, up
//! to a bounded number of rows. If that does not fill the page, the index is asked. It does not know the order, and may
//! return hundreds of thousands of contacts. They are sorted by the blocks of [`super::activity`]; only the first of
//! them are kept, and only as many are read as the page still needs. If there are many, most of them without messages,
//! those with messages are asked for first. The others follow from the newest on, which is the order of the index.
//!
//! No contact is missed: one whose last message is newer than the blocks has been walked past, one that has changed
//! since it was indexed waits in the queue and is checked there, and the place of all others is known.

use std::collections::{BinaryHeap, VecDeque};

use rusqlite::{OptionalExtension, ToSql, params};

use super::Filter;
use super::activity::{self, Place, Times};
use super::index::{DIGITS, IN_TOUCH, LONGEST, Person, digits_of, runs_of, select_person, tag_word, word};
use crate::error::Result;
use crate::store::Conn;

/// How far each way of finding is followed before another is tried.
pub(super) struct Bounds {
    /// Contacts that are walked through before the index is asked, as long as it looks as if they would fill the
    /// answer.
    pub(super) walked_first: usize,
    /// After so many contacts this is decided anew.
    pub(super) stride: usize,
    /// How many contacts the index may return before only those with messages are asked for, unless these are most of
    /// them anyway.
    pub(super) few: usize,
    /// How many of the contacts that the index returns are kept, the first in order. There may be twice as many for a
    /// moment.
    pub(super) kept: usize,
    /// How many may have an email address for these to be looked at by themselves, too.
    pub(super) same_email: u32,
}

pub(super) const BOUNDS: Bounds =
    Bounds { walked_first: 3_000, stride: 250, few: 20_000, kept: 20_000, same_email: 3_000 };
/// Contacts that are read although they are not indexed yet: the next ones in the queue, and the newest.
const UNINDEXED: u32 = 1_000;
/// Indexed contacts that are sampled to find out which runs of the query are rare.
const SAMPLED: u64 = 200;
/// The golden ratio as a part of 2 to the power of 64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// Words whose runs are looked at.
const WORDS: usize = 8;
/// Runs of each length of a word that are looked at.
const COUNTED: usize = 48;
/// Runs that the index is asked for at most, and so many only where it has few contacts for each further one.
const ASKED: usize = 4;
const ASKED_OF_RARE: usize = 8;
/// A run is rare if it is in one of so many of the sample.
const RARE: usize = 50;

/// All contacts in the order of the answer.
const ALL: &str = select_person!(
    "FROM contacts AS c WHERE NOT EXISTS (SELECT 1 FROM erasures AS e WHERE e.contact_seq = c.seq)
     ORDER BY c.last_message_at DESC, c.seq DESC"
);
/// Those with messages that come after a given contact with messages.
pub(super) const ACTIVE_BEFORE: &str = select_person!(
    "FROM contacts AS c WHERE (c.last_message_at, c.seq) < (?2, ?3)
         AND NOT EXISTS (SELECT 1 FROM erasures AS e WHERE e.contact_seq = c.seq)
     ORDER BY c.last_message_at DESC, c.seq DESC"
);
/// Those of a lower row who were never in touch.
pub(super) const NEVER_IN_TOUCH: &str = select_person!(
    "FROM contacts AS c WHERE c.last_message_at IS NULL AND c.seq < ?2
         AND NOT EXISTS (SELECT 1 FROM erasures AS e WHERE e.contact_seq = c.seq)
     ORDER BY c.seq DESC"
);

/// The rows of the first `limit` contacts that fit, of those behind the place `after` if one is given.
pub(super) fn find_seqs(
    conn: &Conn,
    filter: &Filter,
    bounds: &Bounds,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<i64>> {
    let has_phones = filter.needs_phones();
    let mut first = conn.prepare_cached(if after.is_none() { ALL } else { ACTIVE_BEFORE })?;
    let mut second = conn.prepare_cached(NEVER_IN_TOUCH)?;
    let rows = match after {
        None => [Some(first.query([has_phones])?), None],
        Some((Some(at), seq)) => {
            [Some(first.query((has_phones, at, seq))?), Some(second.query((has_phones, i64::MAX))?)]
        }
        Some((None, seq)) => [Some(second.query((has_phones, seq))?), None],
    };
    let rows = rows.into_iter().flatten().collect();
    let mut walk = Walk { conn, filter, limit, rows, found: Vec::new(), at: after };
    if walk.go(bounds.stride)? {
        return Ok(walk.found);
    }
    for walked in (bounds.stride..bounds.walked_first).step_by(bounds.stride) {
        // At this rate not even half of the missing matches would be found: for rare ones the index is faster.
        if walk.found.len() * bounds.walked_first * 2 < limit * walked {
            break;
        }
        if walk.go(bounds.stride)? {
            return Ok(walk.found);
        }
    }
    let questions = questions(conn, filter)?;
    let followed = activity::followed_to(conn)?;
    while questions.is_empty() || walk.at.is_some_and(|at| at > followed) {
        if walk.go(bounds.stride)? {
            return Ok(walk.found);
        }
    }
    let missing = limit - walk.found.len();
    let mut aside = unindexed(conn)?;
    if let Some(email) = &filter.email {
        aside.extend(with_email(conn, &email.whole, bounds.same_email)?);
    }
    let mut rest = first_fitting(conn, filter, walk.ahead_of(aside), missing)?;
    match walk.indexed(&questions, bounds.kept, bounds.few)? {
        Some(found) => rest.extend(found),
        None => {
            let in_touch: Vec<String> =
                questions.iter().map(|question| format!("({question}) AND {IN_TOUCH}")).collect();
            let found = walk.indexed(&in_touch, bounds.kept, usize::MAX)?.unwrap_or_default();
            if found.len() < missing {
                rest.extend(walk.never_in_touch(&questions, missing - found.len())?);
            }
            rest.extend(found);
        }
    }
    rest.sort_unstable_by(|one, other| other.cmp(one));
    rest.dedup();
    rest.truncate(missing);
    Ok(walk.found.into_iter().chain(rest.into_iter().map(|(_, seq)| seq)).collect())
}

/// The way through the contacts in the order of the answer.
struct Walk<'a> {
    conn: &'a Conn,
    filter: &'a Filter,
    limit: usize,
    /// One after another.
    rows: VecDeque<rusqlite::Rows<'a>>,
    /// Rows of those that fit so far.
    found: Vec<i64>,
    /// The place of the last contact that was checked.
    at: Option<Place>,
}

impl Walk<'_> {
    /// Looks at so many more contacts. `true` if the answer is complete.
    fn go(&mut self, rows: usize) -> Result<bool> {
        for _ in 0..rows {
            if self.found.len() >= self.limit {
                return Ok(true);
            }
            let Some(rows) = self.rows.front_mut() else { return Ok(true) };
            let Some(row) = rows.next()? else {
                self.rows.pop_front();
                continue;
            };
            let person = Person::read(row)?;
            let text = self.filter.text_of(&person);
            if self.filter.fits(self.conn, &person, &text)? {
                self.found.push(person.seq);
            }
            self.at = Some(person.place());
        }
        Ok(self.found.len() >= self.limit || self.rows.is_empty())
    }

    /// Whether a place has not been looked at yet.
    fn is_ahead(&self, place: Place) -> bool {
        self.at.is_none_or(|at| place < at)
    }

    fn ahead_of(&self, mut places: Vec<Place>) -> Vec<Place> {
        places.retain(|place| self.is_ahead(*place));
        places
    }

    /// Whether a contact matches and has the place that the index gives it. One without that place has got messages
    /// since then. The indexed text is checked first, since it is read sooner than the contact's row. A contact whose
    /// text has changed is in the queue, and checked there.
    fn fits_at(&self, place: Place) -> Result<bool> {
        if !self.filter.wanted.is_empty() {
            let mut statement = self.conn.prepare_cached("SELECT text FROM search_texts WHERE contact_seq = ?1")?;
            let mut rows = statement.query([place.1])?;
            let Some(row) = rows.next()? else { return Ok(false) };
            let text: String = row.get(0)?;
            if !self.filter.fits_text(&text) {
                return Ok(false);
            }
        }
        match Person::find(self.conn, place.1, self.filter.needs_phones())? {
            Some(person) if person.place() == place => {
                self.filter.fits(self.conn, &person, &self.filter.text_of(&person))
            }
            _ => Ok(false),
        }
    }

    /// The first matching contacts that the index returns for the questions, in order, as many as the page still needs.
    /// About `kept` are in memory at a time. `None` if one question has more than `few` contacts, most of them without
    /// messages: asking for those with messages first is quicker then.
    fn indexed(&self, questions: &[String], kept: usize, few: usize) -> Result<Option<Vec<Place>>> {
        let missing = self.limit - self.found.len();
        let mut found = Vec::new();
        let mut last = self.at;
        loop {
            let mut first = First { after: last, kept, places: Vec::new(), given_up: None };
            for question in questions {
                if !first.add(self.conn, question, few)? {
                    return Ok(None);
                }
            }
            let mut places = BinaryHeap::from(first.places);
            while let Some(place) = places.pop() {
                if found.last() != Some(&place) && self.fits_at(place)? {
                    found.push(place);
                }
                if found.len() == missing {
                    return Ok(Some(found));
                }
            }
            if first.given_up.is_none() {
                return Ok(Some(found));
            }
            last = first.given_up;
        }
    }

    /// The newest matching contacts without messages, at least so many of what each question returns.
    fn never_in_touch(&self, questions: &[String], missing: usize) -> Result<Vec<Place>> {
        let mut found = Vec::new();
        for question in questions {
            let mut statement = self.conn.prepare_cached(
                "SELECT g.rowid FROM search_grams AS g WHERE search_grams MATCH ?1 ORDER BY g.rowid DESC",
            )?;
            let mut rows = statement.query([format!("({question}) NOT {IN_TOUCH}")])?;
            let mut missing = missing;
            while missing > 0
                && let Some(row) = rows.next()?
            {
                let place = (None, row.get(0)?);
                if self.is_ahead(place) && self.fits_at(place)? {
                    found.push(place);
                    missing -= 1;
                }
            }
        }
        Ok(found)
    }
}

/// The first of many contacts.
struct First {
    /// Contacts up to and including this place are not wanted.
    after: Option<Place>,
    kept: usize,
    places: Vec<Place>,
    /// The first place that was dropped to make room for earlier ones.
    given_up: Option<Place>,
}

impl First {
    /// Adds those that the index has for a question. `false` if there are more than `few`, most of them never in touch.
    fn add(&mut self, conn: &Conn, question: &str, few: usize) -> Result<bool> {
        let mut statement =
            conn.prepare_cached("SELECT g.rowid FROM search_grams AS g WHERE search_grams MATCH ?1 ORDER BY g.rowid")?;
        let mut rows = statement.query([question])?;
        let mut times = Times::new(conn);
        let (mut given, mut in_touch) = (0, 0);
        while let Some(row) = rows.next()? {
            let place = times.place(row.get(0)?)?;
            given += 1;
            in_touch += usize::from(place.0.is_some());
            if given > few && in_touch * 2 < given {
                return Ok(false);
            }
            if self.after.is_none_or(|after| place < after) && self.given_up.is_none_or(|least| place > least) {
                self.push(place);
            }
        }
        Ok(true)
    }

    fn push(&mut self, place: Place) {
        self.places.push(place);
        if self.places.len() == 2 * self.kept {
            let (_, least, _) = self.places.select_nth_unstable_by(self.kept - 1, |one, other| other.cmp(one));
            self.given_up = Some(*least);
            self.places.truncate(self.kept);
        }
    }
}

/// The questions for the index, one for each wanted alternative; none where every contact matches.
fn questions(conn: &Conn, filter: &Filter) -> Result<Vec<String>> {
    let email = filter.email.as_ref().map(|email| &email.indexed).filter(|email| !email.is_empty());
    let texts = if filter.wanted.is_empty() && email.is_none() { Vec::new() } else { sample(conn)? };
    let quoted = |words: &[String]| -> Vec<String> {
        telling_runs(words, &texts).into_iter().map(|run| format!("\"{}\"", word(run))).collect()
    };
    let everybody: Vec<String> = email.map(|email| quoted(std::slice::from_ref(email))).unwrap_or_default();
    let everybody: Vec<String> = everybody.into_iter().chain(filter.tag_seq.map(tag_word)).collect();
    let wanted = match filter.wanted.is_empty() {
        true => vec![Vec::new()],
        false => filter.wanted.iter().map(|wanted| quoted(&wanted.words)).collect(),
    };
    let questions = wanted.into_iter().map(|runs| [runs, everybody.clone()].concat().join(" AND "));
    Ok(questions.filter(|question| !question.is_empty()).collect())
}

/// The texts of some indexed contacts, spread over all of them: neighbours were often imported together and share
/// words. The distances follow the golden ratio, so that they are no multiple of a period in the data.
fn sample(conn: &Conn) -> Result<Vec<String>> {
    let mut statement = conn.prepare_cached("SELECT coalesce(max(contact_seq), 0) FROM search_texts")?;
    let last: i64 = statement.query_row([], |row| row.get(0))?;
    let mut statement =
        conn.prepare_cached("SELECT text FROM search_texts WHERE contact_seq >= ?1 ORDER BY contact_seq LIMIT 1")?;
    let at = |n: u64| i64::try_from((u128::from(n.wrapping_mul(GOLDEN)) * u128::from(last.unsigned_abs())) >> 64);
    let seqs = (1..=SAMPLED).map(|n| at(n).unwrap_or(last));
    seqs.map(|seq| Ok(statement.query_row([seq], |row| row.get(0)).optional()?.unwrap_or_default())).collect()
}

/// Runs of some words that together are in as few texts of a sample as possible: a run that many contacts have takes
/// the index long to go through, and a run of the same contacts does not narrow the result.
fn telling_runs<'a>(words: &'a [String], sample: &[String]) -> Vec<&'a str> {
    let mut runs: Vec<&str> = words.iter().take(WORDS).flat_map(|word| longest_runs(word)).collect();
    runs.sort_unstable();
    runs.dedup();
    let mut candidates: Vec<(&str, usize)> =
        runs.into_iter().map(|run| (run, sample.iter().filter(|text| text.contains(run)).count())).collect();
    let mut left: Vec<&String> = sample.iter().collect();
    let mut chosen = Vec::new();
    while chosen.len() < ASKED_OF_RARE {
        if chosen.len() >= ASKED {
            candidates.retain(|(_, count)| count * RARE <= sample.len());
        }
        let rank = |&(run, count): &(&str, usize)| {
            (left.iter().filter(|text| text.contains(run)).count(), count, std::cmp::Reverse(run.len()))
        };
        let Some(at) = (0..candidates.len()).min_by_key(|at| rank(&candidates[*at])) else { break };
        let (run, _) = candidates.remove(at);
        left.retain(|text| text.contains(run));
        chosen.push(run);
    }
    chosen
}

/// The runs of a word that the index has and that are in no longer one, each once.
fn longest_runs(word: &str) -> Vec<&str> {
    let length = LONGEST.min(word.chars().count());
    let mut runs: Vec<&str> = runs_of(word, length).take(COUNTED).collect();
    for length in DIGITS {
        runs.extend(digits_of(word, length).take(COUNTED));
    }
    runs.sort_unstable_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
    runs.dedup();
    let all = runs.clone();
    runs.retain(|run| !all.iter().any(|longer| longer.len() > run.len() && longer.contains(run)));
    runs
}

/// The contacts that have an email address in the case of any of its ASCII letters; none if more than `few` have it,
/// which the index has to find.
fn with_email(conn: &Conn, email: &str, few: u32) -> Result<Vec<Place>> {
    let sql = "SELECT last_message_at, seq FROM contacts WHERE email = ?1 COLLATE NOCASE LIMIT ?2";
    let places = places(conn, sql, params![email, few + 1])?;
    Ok(if places.len() > few as usize { Vec::new() } else { places })
}

/// Contacts that the index does not have as they are, those that changed last and the newest.
fn unindexed(conn: &Conn) -> Result<Vec<Place>> {
    let mut all = places(
        conn,
        "SELECT c.last_message_at, c.seq FROM search_queue AS q JOIN contacts AS c ON c.seq = q.contact_seq
         ORDER BY q.place DESC LIMIT ?1",
        params![UNINDEXED],
    )?;
    all.extend(places(
        conn,
        "SELECT last_message_at, seq FROM contacts WHERE seq > (SELECT up_to FROM search_progress)
         ORDER BY seq DESC LIMIT ?1",
        params![UNINDEXED],
    )?);
    // A new contact that was changed is both.
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn places(conn: &Conn, sql: &str, parameters: &[&dyn ToSql]) -> Result<Vec<Place>> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The first `limit` of some contacts that a search fits.
fn first_fitting(conn: &Conn, filter: &Filter, mut candidates: Vec<Place>, limit: usize) -> Result<Vec<Place>> {
    candidates.sort_unstable_by(|one, other| other.cmp(one));
    let mut found = Vec::new();
    for (_, seq) in candidates {
        if found.len() == limit {
            break;
        }
        if let Some(person) = Person::find(conn, seq, filter.needs_phones())?
            && filter.fits(conn, &person, &filter.text_of(&person))?
        {
            found.push(person.place());
        }
    }
    Ok(found)
}
