//! The words of days, months, times and numbers in the languages of the world, and what their people write first.
//!
//! `cldr.json` is made of Unicode CLDR by `cldr.py` beside it; [`phrases`] holds what CLDR does not have. Words are
//! compared without case and accents. A word of one of a contact's languages counts before the same word of another
//! one; one of any other language counts only if it is long enough not to be met by chance.

mod later;
mod phrases;
mod tokens;

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::Deserialize;

pub(super) use tokens::{Kind, Token, has_no_blanks, tokens};

/// Words of a phrase at most, and letters of one in a script without blanks.
const PHRASE_TOKENS: usize = 16;

/// What a word or phrase stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A month, from 1 to 12.
    Month(u8),
    /// A day of the week, from 1, Monday, to 7.
    Weekday(u8),
    /// So many days after today.
    Relative(i8),
    /// So many days from today, as `in 3 days`.
    In(u8),
    /// From midnight to noon, and from noon on: behind a time.
    Am,
    Pm,
    /// Twelve o'clock at noon.
    Noon,
    Midnight,
    /// The morning; with the name of a day beside it, as `mañana`, the other is meant.
    Morning,
    /// Later parts of the day, from and to which minute.
    Daytime(u16, u16),
    Night(u16, u16),
    /// A number, and its place in a row.
    Cardinal(u16),
    Ordinal(u16),
    /// A power of ten that multiplies the number before it, as `thousand`.
    Multiple(u8),
    /// Halves that make a number, as `डेढ़`, one and a half: three.
    Halves(u8),
    /// Minutes that are added to the hour that follows, as `half past`; `halb` has -30.
    Before(i8),
    /// Minutes that are added to the hour before it, as `y media`.
    After(i8),
    /// A quarter of an hour, before `past` or `to`.
    Quarter,
    /// Before the minutes that an hour lacks, as `без 10 семь`.
    Lacking,
    /// Between minutes and the hour that follows, as `10 past 8`.
    Past,
    To,
    /// Between an hour and the minutes that follow, as `8 menos 10`.
    Plus,
    Minus,
    /// What stands before an hour.
    At,
    /// The same where the hours are counted from sunrise, six of other clocks, as in Swahili.
    AtFromSix,
    /// What stands behind hours, minutes, a day of the month and a year.
    HourUnit,
    MinuteUnit,
    DayUnit,
    YearUnit,
    /// What stands before a day of the month.
    DayMark,
    /// What may stand within a date.
    Filler,
    /// `and`: there are two days or times, if another follows.
    On,
    /// What turns a day, a time or a number into another one, or leaves it open.
    Changed,
    /// `more than`: a number is a limit.
    Limit,
}

impl Meaning {
    /// Whether it names the half or part of the day that an hour is of.
    pub(super) fn is_part_of_day(self) -> bool {
        matches!(
            self,
            Self::Am | Self::Pm | Self::Noon | Self::Midnight | Self::Morning | Self::Daytime(..) | Self::Night(..)
        )
    }
}

/// The languages by whose words a contact's texts are read, as places in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Languages {
    own: Vec<u8>,
    /// English, where the others do not know a word.
    beside: Option<u8>,
}

impl Languages {
    /// Of a contact: those that are named (BCP 47), those of the country, and English.
    pub(super) fn of<'a>(named: impl IntoIterator<Item = &'a str>, country: Option<&str>) -> Self {
        let words = &*WORDS;
        let spoken = country.and_then(|code| words.countries.get(code.to_ascii_uppercase().as_str()));
        let named = named.into_iter().map(|tag| tag.split(['-', '_']).next().unwrap_or_default());
        let spoken = spoken.into_iter().flat_map(|country| country.languages.iter().map(String::as_str));
        // Where another language comes first, English is what people fall back to.
        let spoken = spoken.enumerate().filter(|(at, name)| *at == 0 || *name != "en").map(|(_, name)| name);
        Self {
            own: named.chain(spoken).filter_map(|name| words.place_of(name)).collect(),
            beside: words.place_of("en"),
        }
    }

    /// Whether a language (BCP 47) is one of them.
    pub(super) fn has(&self, name: &str) -> bool {
        WORDS.place_of(name).is_some_and(|language| self.rank(language).is_some())
    }

    /// Whether a language is one of them, and how well it is known to be.
    fn rank(&self, language: u8) -> Option<u8> {
        if self.own.contains(&language) { Some(0) } else { (self.beside == Some(language)).then_some(1) }
    }
}

/// In which order the people of a country write a date: the whole one, and one without its year; empty where there is
/// none.
pub(super) fn orders_of(country: &str) -> Option<(&'static str, &'static str)> {
    let found = WORDS.countries.get(country.to_ascii_uppercase().as_str())?;
    Some((&found.whole, &found.without_year))
}

/// The name of a month (1 to 12) or weekday (1 to 7) in a language (BCP 47), as it stands in a date: wide or short.
pub(super) fn name(language: &str, meaning: Meaning, is_short: bool) -> Option<&'static str> {
    let primary = language.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let names = WORDS.names.get(primary.as_str())?;
    let forms = match meaning {
        Meaning::Month(month) => names.months.get(usize::from(month).checked_sub(1)?)?,
        Meaning::Weekday(day) => names.days.get(usize::from(day).checked_sub(1)?)?,
        _ => return None,
    };
    forms.get(usize::from(is_short)).or(forms.first()).map(String::as_str)
}

/// The meanings of the longest phrase that begins at a place, and its length in tokens. Several meanings are of one
/// language in which the phrase has them all, or of several.
pub(super) fn find(tokens: &[Token], at: usize, languages: &Languages) -> Option<(usize, Vec<Meaning>)> {
    let words = &*WORDS;
    let mut phrase = String::new();
    let mut found = None;
    for (index, token) in tokens.iter().enumerate().skip(at).take(PHRASE_TOKENS) {
        if matches!(token.kind, Kind::Sign(_)) {
            break;
        }
        if index > at {
            phrase.push(' ');
        }
        phrase.push_str(&token.text);
        let start = words.phrases.partition_point(|entry| *entry.phrase < *phrase);
        if !words.phrases.get(start).is_some_and(|entry| entry.phrase.starts_with(&phrase)) {
            break;
        }
        let same = words.phrases[start..].iter().take_while(|entry| *entry.phrase == *phrase);
        let same = same.filter(|entry| has_accents_of(&tokens[at..=index], entry));
        let of_rank = |rank: u8| -> Vec<Meaning> {
            let known = same.clone().filter(|entry| languages.rank(entry.language) == Some(rank));
            known.map(|entry| entry.meaning).collect()
        };
        let own = Some(of_rank(0)).filter(|own| !own.is_empty()).unwrap_or_else(|| of_rank(1));
        let meanings = if own.is_empty() {
            let letters = phrase.chars().count();
            let is_foreign =
                |entry: &&Entry| phrase.starts_with(has_no_blanks) || letters >= least_letters(entry.meaning);
            same.clone().filter(is_foreign).map(|entry| entry.meaning).collect()
        } else {
            own
        };
        if !meanings.is_empty() {
            found = Some((index + 1 - at, meanings));
        }
    }
    found
}

/// Letters that a word of a language which is not the contact's has at least, so that it is not met by chance.
fn least_letters(meaning: Meaning) -> usize {
    match meaning {
        // A number is beside them.
        Meaning::Month(_) | Meaning::HourUnit => 3,
        _ => 4,
    }
}

/// A phrase in the form of its tokens, beside what it means in a language.
struct Entry {
    phrase: Box<str>,
    /// With its accents, where it has any.
    accented: Option<Box<str>>,
    language: u8,
    meaning: Meaning,
}

struct Words {
    /// Sorted by phrase, then by language.
    phrases: Vec<Entry>,
    languages: Vec<String>,
    countries: HashMap<String, Country>,
    names: HashMap<String, Names>,
}

impl Words {
    /// The place of a language (BCP 47).
    fn place_of(&self, name: &str) -> Option<u8> {
        let name = name.to_ascii_lowercase();
        // Both of Norway's languages are read by the words of one.
        let name = if name == "nb" || name == "nn" { "no" } else { name.as_str() };
        let at = self.languages.iter().position(|language| language == name)?;
        u8::try_from(at).ok()
    }
}

struct Country {
    whole: String,
    without_year: String,
    languages: Vec<String>,
}

struct Names {
    months: Vec<Vec<String>>,
    days: Vec<Vec<String>>,
}

/// The contents of `cldr.json`.
#[derive(Deserialize)]
struct Cldr {
    countries: HashMap<String, Vec<String>>,
    languages: BTreeMap<String, Language>,
}

#[derive(Deserialize)]
struct Language {
    months: Vec<Vec<String>>,
    days: Vec<Vec<String>>,
    relative: BTreeMap<String, Vec<String>>,
    in_days: Vec<String>,
    in_weeks: Vec<String>,
    periods: BTreeMap<String, Period>,
    /// From nought to a hundred.
    cardinals: Vec<Vec<String>>,
    /// From two hundred to nine.
    hundreds: Vec<Vec<String>>,
    /// From the noughth on.
    ordinals: Vec<Vec<String>>,
    /// By the power of ten.
    multiples: BTreeMap<u8, Vec<String>>,
}

#[derive(Deserialize)]
struct Period {
    /// Minutes of the day; the end may lie after midnight.
    span: Vec<u16>,
    names: Vec<String>,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let cldr: Cldr = serde_json::from_str(include_str!("cldr.json")).unwrap_or_else(|error| unreachable!("{error}"));
    let languages: Vec<String> = cldr.languages.keys().cloned().collect();
    let mut phrases = Vec::new();
    let mut names = HashMap::new();
    for (name, language) in cldr.languages {
        let at = languages.iter().position(|other| *other == name).unwrap_or_default() as u8;
        let mut add = |text: &str, meaning| {
            let (phrase, accented) = phrase_of(text);
            if !phrase.is_empty() {
                let accented = (accented != phrase).then(|| accented.into());
                phrases.push(Entry { phrase: phrase.into(), accented, language: at, meaning });
            }
        };
        language.add_to(&mut add);
        if name == "tr" {
            // `yirmi dört` is also written in one.
            for (forms, number) in language.cardinals.iter().zip(0..) {
                forms.iter().for_each(|form| add(&form.replace(' ', ""), Meaning::Cardinal(number)));
            }
        }
        // What is written as one word with the name behind it, or left out before it.
        for (name_of_it, meaning) in language.names() {
            match name.as_str() {
                "he" => add(&format!("ב{name_of_it}"), meaning),
                "ar" => add(name_of_it.trim_start_matches("ال"), meaning),
                _ => {}
            }
        }
        for (_, meaning, texts) in phrases::PHRASES.iter().filter(|(of, ..)| *of == name) {
            texts.iter().for_each(|text| add(text, *meaning));
        }
        for (_, days, pattern) in later::LATER.iter().filter(|(of, ..)| *of == name) {
            language.add_later(pattern, *days, &mut add);
        }
        names.insert(name, Names { months: language.months, days: language.days });
    }
    phrases.sort_by(|one, other| one.phrase.cmp(&other.phrase).then(one.language.cmp(&other.language)));
    phrases.dedup_by(|one, other| {
        one.phrase == other.phrase
            && one.accented == other.accented
            && one.language == other.language
            && one.meaning == other.meaning
    });
    let country = |mut parts: Vec<String>| {
        let languages = parts.split_off(2.min(parts.len()));
        let mut orders = parts.into_iter();
        let mut next = || orders.next().unwrap_or_default();
        Country { whole: next(), without_year: next(), languages }
    };
    let countries = cldr.countries.into_iter().map(|(code, parts)| (code, country(parts))).collect();
    Words { phrases, languages, countries, names }
});

impl Language {
    /// The names of the months and of the weekdays with what each means.
    fn names(&self) -> impl Iterator<Item = (&str, Meaning)> {
        let months = numbered(&self.months).map(|(name, month)| (name, Meaning::Month(month)));
        months.chain(numbered(&self.days).map(|(name, day)| (name, Meaning::Weekday(day))))
    }

    fn add_to(&self, add: &mut impl FnMut(&str, Meaning)) {
        for (name, meaning) in self.names() {
            add(name, meaning);
        }
        for (days, names) in &self.relative {
            let days = days.parse().unwrap_or_default();
            names.iter().for_each(|name| add(name, Meaning::Relative(days)));
        }
        for (patterns, days) in [(&self.in_days, 1), (&self.in_weeks, 7)] {
            patterns.iter().for_each(|pattern| self.add_later(pattern, days, add));
        }
        for (key, period) in &self.periods {
            let meaning = match (key.as_str(), period.span.as_slice()) {
                ("am", _) => Meaning::Am,
                ("pm", _) => Meaning::Pm,
                ("noon", _) => Meaning::Noon,
                ("midnight", _) => Meaning::Midnight,
                (key, [_, _]) if key.starts_with("morning") => Meaning::Morning,
                // The hour after midnight has its name.
                (_, [0, ..=60]) => Meaning::Midnight,
                (key, [from, to]) if key.starts_with("night") => Meaning::Night(*from, *to),
                (_, [from, to]) => Meaning::Daytime(*from, *to),
                _ => continue,
            };
            period.names.iter().for_each(|name| add(name, meaning));
        }
        for (forms, number) in self.cardinals.iter().zip(0..) {
            forms.iter().for_each(|form| add(form, Meaning::Cardinal(number)));
        }
        for (forms, hundreds) in self.hundreds.iter().zip(2..) {
            forms.iter().for_each(|form| add(form, Meaning::Cardinal(hundreds * 100)));
        }
        for (power, names) in &self.multiples {
            names.iter().for_each(|name| add(name, Meaning::Multiple(*power)));
        }
        for (forms, number) in self.ordinals.iter().zip(0..) {
            forms.iter().for_each(|form| add(form, Meaning::Ordinal(number)));
        }
    }
}

impl Language {
    /// `in {0} days` with every number that it is said with: there are few, and each is a phrase of its own.
    fn add_later(&self, pattern: &str, days: u8, add: &mut impl FnMut(&str, Meaning)) {
        if !pattern.contains("{0}") {
            return;
        }
        for count in 1..=(if days == 1 { 14 } else { 4 }) {
            let meaning = Meaning::In(count * days);
            add(&pattern.replace("{0}", &count.to_string()), meaning);
            let forms = self.cardinals.get(usize::from(count)).into_iter().flatten();
            forms.for_each(|form| add(&pattern.replace("{0}", form), meaning));
        }
    }
}

/// All forms of each name with its number, from 1.
fn numbered(names: &[Vec<String>]) -> impl Iterator<Item = (&str, u8)> {
    names.iter().zip(1..).flat_map(|(forms, number)| forms.iter().map(move |form| (form.as_str(), number)))
}

/// The words of a phrase with a blank between them, without their accents and with them; none where it has signs that
/// are no words.
fn phrase_of(text: &str) -> (String, String) {
    let tokens = tokens(text);
    if tokens.iter().any(|token| matches!(token.kind, Kind::Sign(_))) {
        return (String::new(), String::new());
    }
    let join = |part: fn(&Token) -> &str| tokens.iter().map(part).collect::<Vec<_>>().join(" ");
    (join(|token| &token.text), join(|token| &token.written))
}

/// Whether words can be those of an entry: people leave accents out, and write none where there is none. `geçe` is not
/// `gece`.
fn has_accents_of(tokens: &[Token], entry: &Entry) -> bool {
    let accented = entry.accented.as_deref().unwrap_or(&entry.phrase);
    tokens.iter().zip(accented.split(' ')).all(|(token, word)| {
        let is_plain = !token.text.is_ascii() || token.written.is_ascii();
        is_plain
            || token.written.chars().zip(word.chars()).all(|(typed, letter)| typed.is_ascii() || !letter.is_ascii())
    })
}
