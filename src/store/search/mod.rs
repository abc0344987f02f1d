//! Finding contacts by a part of their name, email address or phone number, by a tag, by an email address.
//!
//! Results are in the order of the last message, the latest first; contacts without messages come last, the newest
//! first. A page of that order is found in one of two ways, see `plan`: what many contacts match is found by walking
//! through the contacts in that order; what few match, or none with a recent message, by the index (see [`index`]).
//! Every match is checked against the contact's own row, so an index that is behind can miss a contact for a moment and
//! never shows a wrong one; contacts that are not indexed yet are checked one by one.

mod activity;
pub mod index;
mod plan;

use rusqlite::OptionalExtension;

use self::index::{LONGEST, Person, folded_field};
use super::Conn;
use super::contacts::{self, Profile};
use crate::domain::profile::clean_tag;
use crate::domain::text::{fold_case, fold_for_search};
use crate::domain::{AddressKey, Phone};
use crate::error::Result;

/// What is sought. All given fields must match; without any, every contact matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// A part of the name, the email address or a phone number, whatever the case. No character has a special meaning.
    pub query: Option<String>,
    /// The whole name of a tag, in its case.
    pub tag: Option<String>,
    /// A whole email address, whatever the case.
    pub email: Option<String>,
}

/// Contacts that are counted at most; above that only the fact that there are more is returned.
pub const COUNTED: usize = 1_000;

/// A contact's place in the order of a search: when a message last went either way, in milliseconds since the Unix
/// epoch, and the row.
pub type Place = (Option<i64>, i64);

/// A part of what a search finds.
#[derive(Debug)]
pub struct FoundPage {
    /// The contacts that match, in the order of the search.
    pub profiles: Vec<Profile>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<Place>,
    /// How many there are in all, [`COUNTED`] at most, and whether there are no more; `None` but for the first part.
    pub total: Option<(usize, bool)>,
}

/// The `limit` contacts that match and have the latest messages, then those without messages, the newest first.
pub fn find(conn: &Conn, search: &Search, limit: u32) -> Result<Vec<Profile>> {
    let Some(filter) = Filter::of(conn, search)? else { return Ok(Vec::new()) };
    let mut profiles = Vec::new();
    for seq in plan::find_seqs(conn, &filter, &plan::BOUNDS, None, limit as usize)? {
        profiles.extend(contacts::profile(conn, seq)?);
    }
    Ok(profiles)
}

/// As [`find`], in parts: those behind the place `after`, if one is given. A contact that gets a message meanwhile
/// moves to the beginning, and is in no later part.
pub fn find_page(conn: &Conn, search: &Search, after: Option<Place>, limit: u32) -> Result<FoundPage> {
    let limit = limit as usize;
    let Some(filter) = Filter::of(conn, search)? else {
        return Ok(FoundPage { profiles: Vec::new(), next: None, total: after.is_none().then_some((0, true)) });
    };
    let wanted = if after.is_none() { limit.max(COUNTED) } else { limit };
    let seqs = plan::find_seqs(conn, &filter, &plan::BOUNDS, after, wanted + 1)?;
    let total = after.is_none().then(|| (seqs.len().min(COUNTED), seqs.len() <= COUNTED));
    let mut profiles = Vec::new();
    let mut last = None;
    for &seq in seqs.iter().take(limit) {
        // Only who was erased a moment ago has no row.
        if let Some(person) = Person::find(conn, seq, false)? {
            last = Some(person.place());
            profiles.extend(contacts::profile(conn, seq)?);
        }
    }
    Ok(FoundPage { profiles, next: last.filter(|_| seqs.len() > limit), total })
}

/// Names of tags that have `part` in them, whatever the case, in the order of their bytes, at most `limit`.
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

/// A search, prepared for comparing contacts with it.
struct Filter {
    /// Alternatives, one of which must match; empty where every contact matches.
    wanted: Vec<Wanted>,
    tag_seq: Option<i64>,
    email: Option<Email>,
}

/// One reading of the text that is searched for: words that must all be in a contact's text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    /// Folded, at least one.
    words: Vec<String>,
    /// Digits with which a phone number begins as people of its country write it.
    national: Option<String>,
}

/// A whole email address that is sought.
struct Email {
    /// As it is compared.
    whole: String,
    /// As the index has it.
    indexed: String,
}

impl Filter {
    /// `None` where no contact can match, since the tag does not exist.
    fn of(conn: &Conn, search: &Search) -> Result<Option<Self>> {
        let tag_seq = match &search.tag {
            None => None,
            Some(tag) => {
                let mut statement = conn.prepare_cached("SELECT seq FROM tags WHERE name = ?1")?;
                match statement.query_row([clean_tag(tag)], |row| row.get(0)).optional()? {
                    None => return Ok(None),
                    found => found,
                }
            }
        };
        let wanted = search.query.as_deref().map(wanted).unwrap_or_default();
        let email =
            search.email.as_deref().map(|email| Email { whole: fold_case(email), indexed: folded_field(email) });
        Ok(Some(Self { wanted, tag_seq, email }))
    }

    fn fits(&self, conn: &Conn, person: &Person, text: &str) -> Result<bool> {
        if !self.fits_text(text) || !self.email.as_ref().is_none_or(|email| has_email(person, &email.whole)) {
            return Ok(false);
        }
        let Some(tag_seq) = self.tag_seq else { return Ok(true) };
        let mut statement =
            conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM contact_tags WHERE contact_seq = ?1 AND tag_seq = ?2)")?;
        Ok(statement.query_row((person.seq, tag_seq), |row| row.get(0))?)
    }

    /// Whether a contact's text matches.
    fn fits_text(&self, text: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| wanted.fits(text))
    }

    /// Whether a match may be in a phone number. Reading the numbers takes longer than reading the rest.
    fn needs_phones(&self) -> bool {
        let is_number = |word: &String| word.chars().all(|c| c.is_ascii_digit() || c == '+');
        self.wanted.iter().any(|wanted| wanted.words.iter().any(is_number))
    }

    /// The text of a contact to compare with; empty where no text is searched for.
    fn text_of(&self, person: &Person) -> String {
        if self.wanted.is_empty() { String::new() } else { person.text() }
    }
}

impl Wanted {
    fn text(words: Vec<String>) -> Self {
        Self { words, national: None }
    }

    fn fits(&self, text: &str) -> bool {
        self.words.iter().all(|word| text.contains(word.as_str()))
            && self.national.as_ref().is_none_or(|digits| has_national(text, digits))
    }

    /// Whether this reading matches every contact that `other` matches.
    fn covers(&self, other: &Self) -> bool {
        self.national.is_none() && self.words.iter().all(|word| other.words.iter().any(|longer| longer.contains(word)))
    }
}

/// Whether one of the numbers of a person's text begins with these digits as people of its country write it.
fn has_national(text: &str, digits: &str) -> bool {
    let numbers = text.lines().filter(|line| line.starts_with('+')).filter_map(|line| line.parse::<Phone>().ok());
    numbers.map(|number| number.to_national()).any(|national| {
        let national: String = national.chars().filter(char::is_ascii_digit).collect();
        national.starts_with(digits)
    })
}

/// Whether a contact has a folded email address. Most are of ASCII, for which nothing has to be folded.
fn has_email(person: &Person, email: &str) -> bool {
    person.email.as_ref().is_some_and(|own| match own.is_ascii() {
        true => own.eq_ignore_ascii_case(email),
        false => fold_case(own) == email,
    })
}

/// The conditions of a search: the words of the text, in any order. If the text is a phone number or a part of one, the
/// number alone, however it is written, also with the prefix that is dialled within its country. A whole number is
/// searched together with its other spelling, in countries where one person may have two.
fn wanted(query: &str) -> Vec<Wanted> {
    let text = folded_field(query);
    let is_number = text.chars().all(|c| c.is_ascii_digit() || " +()-./".contains(c));
    let number: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
    let phone = query.parse::<Phone>().ok();
    let known = phone.clone().or_else(|| format!("+{number}").parse().ok().filter(|_| is_number));
    let variant = known.and_then(|known| AddressKey::of_phone(&known).variant());
    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let all_words = words.clone();
    // A contact that has a word has each of its parts, too.
    words.retain(|word| !all_words.iter().any(|longer| longer != word && longer.contains(word.as_str())));
    words.sort_unstable();
    words.dedup();
    let mut all = vec![Wanted::text(words)];
    if is_number && number.len() >= LONGEST {
        all.extend(within_country(&number));
        all.push(Wanted::text(vec![number]));
    }
    all.extend(phone.map(|phone| Wanted::text(vec![phone.into()])));
    all.extend(variant.map(|variant| Wanted::text(vec![variant.value])));
    all.retain(|wanted| !wanted.words.is_empty());
    all.sort_unstable();
    all.dedup();
    let others = all.clone();
    all.retain(|wanted| !others.iter().any(|other| other != wanted && other.covers(wanted)));
    all
}

/// A number that begins with what people of many countries dial before a number of their own, without it: a 0, in
/// Hungary 06, in Russia and around it an 8 (ITU-T, National Numbering Plans). Whether it is so in the country of a
/// number that has the rest is looked at there.
fn within_country(number: &str) -> impl Iterator<Item = Wanted> {
    let rests = ["06", "0", "8"].into_iter().filter_map(|prefix| number.strip_prefix(prefix));
    rests
        .filter(|rest| rest.len() >= LONGEST && rest.starts_with(|c: char| c != '0'))
        .map(|rest| Wanted { words: vec![rest.to_owned()], national: Some(number.to_owned()) })
}

#[cfg(test)]
mod tests;
