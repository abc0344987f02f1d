//! Finding contacts by a part of their name, email address or phone number, by a tag, by an email address.
//!
//! Who was last in touch comes first, and contacts that nobody was in touch with come last, the newest first. A list of
//! so few is found in one of two ways, see `way`: what many people have is found by walking through the contacts in that
//! order, and what few have, or nobody did lately, by the index (see [`super::search_index`]). Everyone who is found is
//! held against the contact's own row, so an index that is behind can leave somebody out for a moment and never shows
//! what is not so; contacts that it does not have yet are looked at by themselves.

mod way;

use rusqlite::OptionalExtension;

use super::Conn;
use super::contacts::{self, Profile};
use super::search_index::{LONGEST, Person, folded_field};
use crate::domain::profile::clean_tag;
use crate::domain::text::fold_for_search;
use crate::domain::{AddressKey, Phone};
use crate::error::Result;

/// What is sought. All that is given must fit; nothing at all fits everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// A part of the name, the email address or a phone number, whatever the case. No character has a special meaning.
    pub query: Option<String>,
    /// The whole name of a tag, in its case.
    pub tag: Option<String>,
    /// A whole email address, whatever the case.
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
    for seq in way::find_seqs(conn, &filter, &way::BOUNDS, limit as usize)? {
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
    /// Folded.
    email: Option<String>,
}

impl Filter {
    /// `None` where nobody can fit, since nobody has the tag.
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
        let needles = search.query.as_deref().map(needles).unwrap_or_default();
        Ok(Some(Self { needles, tag_seq, email: search.email.as_deref().map(folded_field) }))
    }

    fn fits(&self, conn: &Conn, person: &Person, text: &str) -> Result<bool> {
        let fits_query = self.needles.is_empty() || self.needles.iter().any(|needle| text.contains(needle));
        if !fits_query || !self.email.as_ref().is_none_or(|email| has_email(person, email)) {
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
}

/// Whether somebody has a folded email address. Most are of ASCII, for which nothing has to be folded.
fn has_email(person: &Person, email: &str) -> bool {
    person.email.as_ref().is_some_and(|own| match own.is_ascii() {
        true => own.eq_ignore_ascii_case(email),
        false => folded_field(own) == email,
    })
}

/// What is looked for: the text; the number alone where it is a phone number, or a part of one, as people write it; and
/// where it is a whole one, that number and the other one by which people of its country may be known.
fn needles(query: &str) -> Vec<String> {
    let text = folded_field(query);
    let is_number = text.chars().all(|c| c.is_ascii_digit() || " +()-./".contains(c));
    let number: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
    let phone = query.parse::<Phone>().ok();
    let known = phone.clone().or_else(|| format!("+{number}").parse().ok().filter(|_| is_number));
    let variant = known.and_then(|known| AddressKey::of_phone(&known).variant());
    let number = Some(number).filter(|number| is_number && number.len() >= LONGEST);
    let mut needles = vec![text];
    needles.extend(number);
    needles.extend(phone.map(String::from));
    needles.extend(variant.map(|variant| variant.value));
    needles.retain(|needle| !needle.is_empty());
    // Whoever has a text has each of its parts, too.
    let all = needles.clone();
    needles.retain(|needle| !all.iter().any(|part| part != needle && needle.contains(part.as_str())));
    needles.sort_unstable();
    needles.dedup();
    needles
}

#[cfg(test)]
mod tests;
