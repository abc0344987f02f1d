//! The cells of a row, read as the data of a person.

use serde_json::json;

use super::columns::Field;
use crate::domain::profile::{NAME_CHARS, TAG_CHARS, clean_name, clean_tag, is_email, is_language};
use crate::domain::{ContactChange, Phone, Timestamp};
use crate::runtime::import::{Incoming, Moment};

/// The data read from a row so far.
pub(super) struct Reader<'a> {
    now: Timestamp,
    /// ISO 3166 code of the country whose numbers may be without the country's code.
    country: Option<&'a str>,
    phone: Option<Phone>,
    given: Option<String>,
    family: Option<String>,
    change: ContactChange,
    opted_in: Option<Moment>,
    opted_out: Option<Moment>,
    wrong: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(now: Timestamp, country: Option<&'a str>) -> Self {
        Self {
            now,
            country,
            phone: None,
            given: None,
            family: None,
            change: ContactChange::default(),
            opted_in: None,
            opted_out: None,
            wrong: Vec::new(),
        }
    }

    /// Takes a cell. A blank one changes nothing.
    pub(super) fn take(&mut self, field: &Field, cell: &str) {
        let cell = unwrapped(cell);
        if cell.is_empty() {
            return;
        }
        let taken = match field {
            Field::LeftOut | Field::Unnamed => Ok(()),
            Field::Phone => read_phone(cell, self.country).map(|phone| self.phone = Some(phone)),
            Field::Name => read_name(cell).map(|name| self.change.name = Some(name)),
            Field::GivenName(key) => read_name(cell).map(|name| {
                self.given = Some(name);
                self.change.metadata.insert(key.clone(), json!(cell));
            }),
            Field::FamilyName(key) => read_name(cell).map(|name| {
                self.family = Some(name);
                self.change.metadata.insert(key.clone(), json!(cell));
            }),
            Field::Email if !is_email(cell) => Err(format!("`{cell}` is not an email address")),
            Field::Email => {
                self.change.email = Some(cell.to_owned());
                Ok(())
            }
            // `pt_BR` is how Java and many shops write it.
            Field::Language => match cell.replace('_', "-") {
                tag if is_language(&tag) => {
                    self.change.language = Some(tag);
                    Ok(())
                }
                _ => Err(format!("`{cell}` is not a language tag (BCP 47) such as pt or pt-BR")),
            },
            Field::Tags => read_tags(cell).map(|tags| self.change.add_tags = tags),
            Field::OptedIn => read_moment(cell, self.now).map(|moment| keep_dated(&mut self.opted_in, moment)),
            Field::OptedOut => read_moment(cell, self.now).map(|moment| keep_dated(&mut self.opted_out, moment)),
            Field::Metadata(key) => {
                self.change.metadata.insert(key.clone(), json!(cell));
                Ok(())
            }
        };
        self.wrong.extend(taken.err());
    }

    /// The row's data; else why it is refused.
    pub(super) fn finish(mut self) -> Result<Incoming, String> {
        if self.change.name.is_none()
            && let Some(name) = whole_name(self.given, self.family)
        {
            self.wrong.extend(read_name(&name).map(|name| self.change.name = Some(name)).err());
        }
        if self.phone.is_none() && self.wrong.is_empty() {
            self.wrong.push("the phone is missing".to_owned());
        }
        match self.phone {
            Some(phone) if self.wrong.is_empty() => {
                let Self { change, opted_in, opted_out, .. } = self;
                Ok(Incoming { phone, change, opted_in, opted_out })
            }
            _ => Err(self.wrong.join("; ")),
        }
    }
}

/// A cell without its edges, and without the formula `="…"` that keeps spreadsheets from making a number of a text.
fn unwrapped(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')).map_or(cell, str::trim)
}

fn read_name(cell: &str) -> Result<String, String> {
    match clean_name(cell) {
        name if name.is_empty() => Err("the name has no character that can be seen".to_owned()),
        name if name.chars().count() > NAME_CHARS => Err(format!("the name has more than {NAME_CHARS} characters")),
        name if name.contains('\u{fffd}') => {
            Err(format!("a letter of the name `{name}` was lost before it came here: write it anew"))
        }
        name => Ok(name),
    }
}

/// Both parts of a name, in the order in which people write them: of Chinese, Japanese and Korean the family's first.
fn whole_name(given: Option<String>, family: Option<String>) -> Option<String> {
    let is_east_asian = |text: &str| {
        text.chars().all(
            |c| matches!(c, '\u{3005}' | '\u{3041}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'),
        )
    };
    match (given, family) {
        (Some(given), Some(family)) if is_east_asian(&given) && is_east_asian(&family) => Some(family + &given),
        (Some(given), Some(family)) => Some(format!("{given} {family}")),
        (given, family) => given.or(family),
    }
}

fn read_phone(cell: &str, country: Option<&str>) -> Result<Phone, String> {
    Phone::parse_in_country(cell, country).map_err(|error| {
        let typed = cell.trim_start_matches('\'');
        let is_national =
            country.is_none() && typed.starts_with(|c: char| c.is_ascii_digit()) && !typed.starts_with("00");
        let hint = if is_national { "; or say with --country whose numbers these are" } else { "" };
        format!("the phone {error}{hint}")
    })
}

/// Quotation marks that stand around a tag, with what closes them.
const QUOTES: [(char, &str); 12] = [
    ('"', "\""),
    ('\'', "'"),
    ('`', "`´'"),
    ('“', "”“\""),
    ('”', "”“"),
    ('„', "“”\""),
    ('«', "»"),
    ('»', "«"),
    ('‹', "›"),
    ('‘', "’‘"),
    ('「', "」"),
    ('『', "』"),
];

fn read_tags(cell: &str) -> Result<Vec<String>, String> {
    let list = match cell.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(inner) => array_of(inner)
            .ok_or_else(|| format!("the tags `{cell}` are no list: write them with commas between them"))?,
        // Some programs write the list as code does.
        None => split_tags(cell.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(cell)),
    };
    let mut tags: Vec<String> = list.iter().map(|tag| clean_tag(tag)).filter(|tag| !tag.is_empty()).collect();
    tags.sort();
    tags.dedup();
    match tags.iter().find(|tag| tag.chars().count() > TAG_CHARS) {
        Some(tag) => Err(format!("the tag `{tag}` has more than {TAG_CHARS} characters")),
        None => Ok(tags),
    }
}

/// What is in an array of PostgreSQL, between its braces (its manual, section 8.15.6): with quotation marks around what
/// has a comma, and a backslash before those marks. `None` for what is none.
fn array_of(inner: &str) -> Option<Vec<String>> {
    let mut items = Vec::new();
    let (mut item, mut is_quoted, mut was_quoted) = (String::new(), false, false);
    let mut characters = inner.chars();
    loop {
        let next = characters.next();
        match next {
            Some('"') if !is_quoted && (was_quoted || !item.trim().is_empty()) => return None,
            Some('"') => {
                (is_quoted, was_quoted) = (!is_quoted, true);
                // Blanks around the marks are none of it.
                if is_quoted {
                    item.clear();
                }
            }
            Some('\\') => item.push(characters.next()?),
            Some(',') | None if !is_quoted => {
                let text = std::mem::take(&mut item);
                match std::mem::take(&mut was_quoted) {
                    true => items.push(text),
                    false if text.trim() == "NULL" => {}
                    false => items.push(text.trim().to_owned()),
                }
                if next.is_none() {
                    return Some(items);
                }
            }
            None => return None,
            Some('{' | '}') if !is_quoted => return None,
            Some(c) if was_quoted && !is_quoted => {
                if !c.is_whitespace() {
                    return None;
                }
            }
            Some(c) => item.push(c),
        }
    }
}

/// The tags of a cell, without the quotation marks around each. What separates tags is part of one inside its marks.
fn split_tags(list: &str) -> Vec<String> {
    let separates = |c: char| matches!(c, ',' | '|' | ';' | '\n' | '\r' | '、' | '，' | '،');
    let mut tags = Vec::new();
    let mut rest = list.replace(":::", ",");
    loop {
        let trimmed = rest.trim_start();
        let quoted = trimmed.chars().next().and_then(|first| {
            let (_, closing) = QUOTES.iter().find(|(open, _)| *open == first)?;
            let inner = &trimmed[first.len_utf8()..];
            // What closes a tag stands before the next one: the mark of an inch or an apostrophe does not.
            let end = inner.char_indices().find(|(at, c)| {
                let after = inner[at + c.len_utf8()..].trim_start();
                closing.contains(*c) && (after.is_empty() || after.starts_with(separates))
            })?;
            Some((inner[..end.0].to_owned(), inner[end.0 + end.1.len_utf8()..].trim_start().to_owned()))
        });
        let (tag, after) = match quoted {
            Some(found) => found,
            None => {
                let end = trimmed.find(separates).unwrap_or(trimmed.len());
                (bare(&trimmed[..end]), trimmed[end..].to_owned())
            }
        };
        tags.push(tag);
        let mut characters = after.chars();
        match characters.next() {
            Some(_) => rest = characters.as_str().to_owned(),
            None => return tags,
        }
    }
}

/// A tag without a quotation mark that was opened and never closed, or `*`, by which Google marks its own groups.
fn bare(tag: &str) -> String {
    let tag = tag.trim();
    if let Some(group) = tag.strip_prefix("* ") {
        // Every contact is in it.
        return if group == "myContacts" { String::new() } else { group.to_owned() };
    }
    let marks = tag.matches('"').count();
    match tag.strip_prefix('"') {
        Some(rest) if marks == 1 => rest.to_owned(),
        _ => tag.to_owned(),
    }
}

/// Of several columns for one field, the one with a date.
fn keep_dated(kept: &mut Option<Moment>, moment: Option<Moment>) {
    if !matches!(kept, Some(Moment::At(_))) {
        *kept = moment.or(*kept);
    }
}

/// Words for yes: of people, and of spreadsheets that write their languages' words for true.
const YES: [&str; 24] = [
    "yes",
    "y",
    "true",
    "1",
    "x",
    "ja",
    "j",
    "sí",
    "si",
    "sì",
    "oui",
    "sim",
    "tak",
    "да",
    "так",
    "evet",
    "on",
    "wahr",
    "verdadero",
    "vrai",
    "vero",
    "verdadeiro",
    "prawda",
    "истина",
];
const NO: [&str; 20] = [
    "no", "n", "false", "0", "nein", "non", "não", "nao", "nie", "nee", "nej", "нет", "ні", "hayır", "off", "falsch",
    "falso", "faux", "fałsz", "ложь",
];

/// A moment until `now`, or just whether.
fn read_moment(cell: &str, now: Timestamp) -> Result<Option<Moment>, String> {
    let word = cell.to_lowercase();
    if YES.contains(&word.as_str()) {
        return Ok(Some(Moment::Undated));
    }
    if NO.contains(&word.as_str()) {
        return Ok(None);
    }
    // Without an offset it is UTC, and without a time the day's first moment.
    let read = [cell.to_owned(), format!("{cell}Z"), format!("{cell}T00:00Z"), format!("{cell}:00Z")];
    match read.iter().find_map(|text| text.parse::<Timestamp>().ok()) {
        Some(at) if at > now => Err(format!("`{cell}` is in the future")),
        Some(at) => Ok(Some(Moment::At(at))),
        None => {
            Err(format!("`{cell}` is not a moment: write it like 2026-05-07T08:14:23Z or 2026-05-07, or yes or no"))
        }
    }
}
