//! Reading answers: the first number, date, time, address in a text that parses and validates.

use std::sync::LazyLock;

use jiff::ToSpan;
use jiff::civil::{Date, Time};
use regex::{Captures, Regex};
use serde_json::{Value, json};

use super::bounds::Bounds;
use super::number::{self, NoNumber, Number, Writing};
use super::pattern::Pattern;
use crate::domain::text::ascii_digit;
use crate::domain::unseen::{is_blank, is_unseen};
use crate::domain::{Expects, Phone, Reply, ReplyKind};

/// How replies of one contact to one flow are read.
#[derive(Debug, Clone)]
pub(super) struct Locale {
    /// ISO 3166 country, of the flow's settings or the contact's number.
    pub(super) country: Option<String>,
    /// How `5/6/2026` is read.
    pub(super) date_order: DateOrder,
    /// How numbers are written.
    pub(super) writing: Writing,
    /// The day on which the reply was received, on the contact's clock.
    pub(super) today: Date,
}

/// Order of day, month and year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DateOrder {
    DayMonthYear,
    MonthDayYear,
    YearMonthDay,
}

impl DateOrder {
    /// The setting's text as an order.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "dmy" => Some(Self::DayMonthYear),
            "mdy" => Some(Self::MonthDayYear),
            "ymd" => Some(Self::YearMonthDay),
            _ => None,
        }
    }

    /// The order that people of a country write.
    pub(super) fn of_country(country: Option<&str>) -> Self {
        match country {
            Some("US" | "PH" | "PR" | "GU" | "FM" | "PW" | "MH") => Self::MonthDayYear,
            Some("CN" | "JP" | "KR" | "KP" | "TW" | "HK" | "HU" | "LT" | "MN" | "IR" | "SE") => Self::YearMonthDay,
            _ => Self::DayMonthYear,
        }
    }
}

/// An answer that was understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) parsed: Value,
    pub(super) raw: Value,
}

/// Reads a reply as an `ask` expects it.
///
/// # Errors
/// Why it is no match, for the trace.
pub(super) fn extract(
    reply: &Reply,
    expects: Expects,
    bounds: &Bounds,
    pattern: Option<&Pattern>,
    locale: &Locale,
) -> Result<Answer, &'static str> {
    let received = reply.text.as_deref().unwrap_or_default();
    if let Some(pattern) = pattern
        && pattern.find(received).is_none()
    {
        return Err("the pattern is not found in the text");
    }
    let text: String = received.chars().map(plain_digit).collect();
    let parsed = match expects {
        Expects::Any => Some(any_value(reply, received)),
        Expects::Text => text_value(reply, received, bounds),
        Expects::Number => match number::first_in(received, locale.writing, |number| bounds.hold_number(number)) {
            Ok(number) => Some(number.to_json()),
            Err(NoNumber::Unclear) => return Err("the number can be read in more than one way"),
            Err(NoNumber::Missing) => None,
        },
        Expects::Date => in_text(reply).and_then(|()| date(&text, locale, bounds)),
        Expects::Time => in_text(reply).and_then(|()| time(&text, bounds)),
        Expects::Email => in_text(reply).and_then(|()| email(received)),
        Expects::Phone if reply.kind == ReplyKind::Contacts => card_phone(reply, locale),
        Expects::Phone => in_text(reply).and_then(|()| phone(&text, locale)),
        Expects::Media => reply.kind.is_media().then(|| any_value(reply, received)),
        Expects::Location => (reply.kind == ReplyKind::Location).then(|| any_value(reply, received)),
    };
    let raw = if reply.text.is_some() { json!(received) } else { reply.payload.clone().unwrap_or_default() };
    match parsed {
        Some(parsed) => Ok(Answer { parsed, raw }),
        None => Err(match expects {
            Expects::Any | Expects::Text => "it is not a text of the wanted length",
            Expects::Number => "no number in the wanted range",
            Expects::Date => "no date in the wanted range",
            Expects::Time => "no time in the wanted range",
            Expects::Email => "no email address",
            Expects::Phone => "no phone number",
            Expects::Media => "no media",
            Expects::Location => "no location",
        }),
    }
}

/// Typed text, taps and captions can be read; a voice note or a place cannot.
fn in_text(reply: &Reply) -> Option<()> {
    reply.text.is_some().then_some(())
}

fn plain_digit(c: char) -> char {
    ascii_digit(c).unwrap_or(c)
}

fn any_value(reply: &Reply, received: &str) -> Value {
    match &reply.payload {
        Some(payload) if !matches!(reply.kind, ReplyKind::Text | ReplyKind::Tap) => {
            let mut value = payload.clone();
            if let Some(fields) = value.as_object_mut() {
                fields.insert("type".to_owned(), json!(reply.kind.as_str()));
            }
            value
        }
        _ => json!(received),
    }
}

fn text_value(reply: &Reply, received: &str, bounds: &Bounds) -> Option<Value> {
    let text = received.trim();
    if is_blank(text) || !(reply.kind.is_written() || reply.kind == ReplyKind::Tap) {
        return None;
    }
    let length = i128::try_from(text.chars().count()).unwrap_or(i128::MAX);
    bounds.hold_number(Number::Whole(length)).then(|| json!(text))
}

fn pattern(source: &str) -> Regex {
    Regex::new(source).unwrap_or_else(|error| unreachable!("constant pattern: {error}"))
}

fn date(text: &str, locale: &Locale, bounds: &Bounds) -> Option<Value> {
    let text = text.to_lowercase();
    let found = dates(&text, locale).into_iter().find(|date| bounds.hold_date(*date));
    found.map(|date| json!(date.to_string()))
}

/// All dates in a lower-case text, in the order of their places.
fn dates(text: &str, locale: &Locale) -> Vec<Date> {
    static YEAR_FIRST: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(\d{4})[-/. ](\d{1,2})[-/. ](\d{1,2})(?:\b|t)"));
    static NUMERIC: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"\b(\d{1,2})\s?[-/. ]\s?(\d{1,2})\s?[-/. ]\s?(\d{4}|\d{1,2})\b"));
    static DAY_NAME: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"\b(\d{1,2})(?:st|nd|rd|th|\.|º)?\s+(?:of\s+|de\s+)?(\p{L}{3,})\.?,?(?:\s+(?:de\s+)?(\d{4}))?\b")
    });
    static NAME_DAY: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"\b(\p{L}{3,})\.?\s+(\d{1,2})(?:st|nd|rd|th)?(?:,?\s+(\d{4}))?\b"));
    static WORD: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(today|tomorrow|yesterday)\b"));

    let group =
        |found: &Captures<'_>, index: usize| found.get(index).and_then(|part| part.as_str().parse::<i16>().ok());
    let mut found: Vec<(usize, Date)> = Vec::new();
    let mut add = |at: &Captures<'_>, date: Option<Date>| {
        found.extend(date.map(|date| (at.get(0).map_or(0, |whole| whole.start()), date)));
    };
    for at in YEAR_FIRST.captures_iter(text) {
        add(&at, day(group(&at, 1), group(&at, 2), group(&at, 3)));
    }
    for at in NUMERIC.captures_iter(text) {
        let (first, second, third) = (group(&at, 1), group(&at, 2), group(&at, 3).map(full_year));
        let read = match locale.date_order {
            // A year of one digit is no year.
            DateOrder::MonthDayYear | DateOrder::DayMonthYear if at.get(3).is_some_and(|part| part.len() == 1) => None,
            DateOrder::MonthDayYear => day(third, first, second).or_else(|| day(third, second, first)),
            DateOrder::YearMonthDay if at.get(3).is_some_and(|part| part.len() < 4) => {
                day(first.map(full_year), second, group(&at, 3)).or_else(|| day(third, second, first))
            }
            _ => day(third, second, first).or_else(|| day(third, first, second)),
        };
        add(&at, read);
    }
    for at in DAY_NAME.captures_iter(text) {
        add(&at, named_day(group(&at, 3), at.get(2).map_or("", |name| name.as_str()), group(&at, 1), locale.today));
    }
    for at in NAME_DAY.captures_iter(text) {
        add(&at, named_day(group(&at, 3), at.get(1).map_or("", |name| name.as_str()), group(&at, 2), locale.today));
    }
    for at in WORD.captures_iter(text) {
        let shifted = match at.get(1).map(|word| word.as_str()) {
            Some("tomorrow") => locale.today.checked_add(1.day()),
            Some("yesterday") => locale.today.checked_sub(1.day()),
            _ => Ok(locale.today),
        };
        add(&at, shifted.ok());
    }
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, date)| date).collect()
}

fn day(year: Option<i16>, month: Option<i16>, day: Option<i16>) -> Option<Date> {
    Date::new(year?, i8::try_from(month?).ok()?, i8::try_from(day?).ok()?).ok()
}

/// Two digits of a year: 69 to 99 are of the 1900s (POSIX).
fn full_year(year: i16) -> i16 {
    match year {
        0..=68 => 2000 + year,
        69..=99 => 1900 + year,
        _ => year,
    }
}

/// A day of a named month; without a year the next one to come.
fn named_day(year: Option<i16>, name: &str, number: Option<i16>, today: Date) -> Option<Date> {
    let month = month(name)?;
    if year.is_some() {
        return day(year, Some(month), number);
    }
    let this_year = day(Some(today.year()), Some(month), number)?;
    if this_year >= today { Some(this_year) } else { day(Some(today.year() + 1), Some(month), number) }
}

/// The month that a name of English, German, French, Spanish, Portuguese or Italian means, short forms included.
fn month(name: &str) -> Option<i16> {
    const MONTHS: [&[&str]; 12] = [
        &["january", "januar", "janvier", "enero", "janeiro", "gennaio"],
        &["february", "februar", "février", "fevrier", "febrero", "fevereiro", "febbraio"],
        &["march", "märz", "maerz", "mars", "marzo", "março", "marco"],
        &["april", "avril", "abril", "aprile"],
        &["may", "mai", "mayo", "maio", "maggio"],
        &["june", "juni", "juin", "junio", "junho", "giugno"],
        &["july", "juli", "juillet", "julio", "julho", "luglio"],
        &["august", "août", "aout", "agosto"],
        &["september", "septembre", "septiembre", "setembro", "settembre"],
        &["october", "oktober", "octobre", "octubre", "outubro", "ottobre"],
        &["november", "novembre", "noviembre", "novembro"],
        &["december", "dezember", "décembre", "decembre", "diciembre", "dezembro", "dicembre"],
    ];
    let fits = |full: &&str| *full == name || (full.starts_with(name) && (3..=5).contains(&name.chars().count()));
    let index = MONTHS.iter().position(|names| names.iter().any(&fits))?;
    i16::try_from(index + 1).ok()
}

fn time(text: &str, bounds: &Bounds) -> Option<Value> {
    static TIME: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)\b(\d{1,2})\s?(?:[:.]\s?(\d{2})|h\s?(\d{2})?)?\s*(am|pm|a\.m\.?|p\.m\.?|uhr|o'clock)?(?:\W|$)|\b(noon|midnight)\b",
        )
    });
    TIME.captures_iter(text).find_map(|found| {
        let part = |index: usize| found.get(index).map(|part| part.as_str());
        let (hour, minute) = match part(5) {
            Some(word) => (if word.eq_ignore_ascii_case("noon") { 12 } else { 0 }, 0),
            None => {
                let hour: i8 = part(1)?.parse().ok()?;
                let minute: i8 = part(2).or(part(3)).unwrap_or("0").parse().ok()?;
                let has_hour_mark = found.get(0)?.as_str().to_lowercase().contains('h');
                let half = part(4).map(|word| word.to_lowercase().chars().next().unwrap_or_default());
                match half {
                    Some('a' | 'p') if !(1..=12).contains(&hour) => return None,
                    Some('a') => (hour % 12, minute),
                    Some('p') => (hour % 12 + 12, minute),
                    // A bare number is no time of day.
                    None if part(2).is_none() && !has_hour_mark => return None,
                    _ => (hour, minute),
                }
            }
        };
        let time = Time::new(hour, minute, 0, 0).ok()?;
        bounds.hold_time(time).then(|| json!(format!("{:02}:{:02}", time.hour(), time.minute())))
    })
}

fn email(text: &str) -> Option<Value> {
    static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"[\p{L}\p{N}.!#$%&'*+/=?^_`{|}~-]+@[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?(?:\.[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?)+",
        )
    });
    EMAIL
        .find_iter(text)
        .map(|found| found.as_str())
        .find(|address| {
            address.len() <= 254 && !address.starts_with('.') && !address.contains("..") && !address.contains(".@")
        })
        .map(|address| json!(address))
}

fn phone(text: &str, locale: &Locale) -> Option<Value> {
    // What a spreadsheet has rounded is found with its exponent, so that its digits pass for no number.
    static PHONE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"[+\u{ff0b}]?\(?\d[\d\s().,\-/\u{2010}-\u{2015}]{4,}\d(?:[eE]\+?\d+)?|\d[.,]\d+[eE]\+?\d+")
    });
    let read = |text: &str| {
        let phone = Phone::parse_in_country(text, locale.country.as_deref()).ok()?;
        Some(json!(phone.as_str()))
    };
    // A letter or a digit beside what was found is a part of it that was typed wrong, such as an O for a 0, also in a
    // group of its own. Some scripts have no blanks between words.
    const LETTER: &str =
        r"[\p{L}\p{N}--[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]";
    const GROUP: &str = r"(?:[OoIl]+\d|\d+[OoIl])[OoIl\d]*";
    static GOES_ON: LazyLock<Regex> = LazyLock::new(|| pattern(&format!(r"^(?:{LETTER}|[ ./-]{GROUP}\b)")));
    static BEGAN: LazyLock<Regex> = LazyLock::new(|| pattern(&format!(r"(?:{LETTER}|\b{GROUP}[ ./-])$")));
    const LOOK_BACK_CHARS: usize = 16;
    // The whole text may be a link or have quotation marks; else a number is looked for in it.
    let seen: String = text.chars().filter(|c| !is_unseen(*c)).collect();
    let is_whole = |found: &regex::Match<'_>| {
        let before = &seen[..found.start()];
        let from = before.char_indices().rev().take(LOOK_BACK_CHARS).last().map_or(0, |(at, _)| at);
        !GOES_ON.is_match(&seen[found.end()..]) && !BEGAN.is_match(&before[from..])
    };
    let found = || PHONE.find_iter(&seen).filter(is_whole).find_map(|found| read(found.as_str().trim_end_matches(',')));
    read(&seen).or_else(found)
}

/// The first number of the address-book entries that somebody shares: as WhatsApp knows it, else as it is written.
fn card_phone(reply: &Reply, locale: &Locale) -> Option<Value> {
    let entries = reply.payload.as_ref()?;
    let entries = entries.get("contacts").unwrap_or(entries).as_array()?;
    let numbers = entries.iter().filter_map(|entry| entry.get("phones")?.as_array()).flatten();
    numbers.into_iter().find_map(|number| {
        let part = |key: &str| number.get(key).and_then(Value::as_str);
        let known = part("wa_id").and_then(|id| phone(&format!("+{}", id.trim_start_matches('+')), locale));
        known.or_else(|| part("phone").and_then(|text| phone(text, locale)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Timestamp, Validation};

    fn locale(country: Option<&str>) -> Locale {
        Locale {
            country: country.map(str::to_owned),
            date_order: DateOrder::of_country(country),
            writing: Writing::of_country(country),
            today: jiff::civil::date(2026, 5, 7),
        }
    }

    fn read_with(text: &str, expects: Expects, country: Option<&str>, validation: &Validation) -> Value {
        let reply = Reply {
            kind: ReplyKind::Text,
            text: Some(text.to_owned()),
            option: None,
            payload: None,
            answers_turn: None,
            received_at: Timestamp::from_millis(0),
        };
        let (bounds, _) = Bounds::read(expects, validation, Writing::of_country(country));
        extract(&reply, expects, &bounds, None, &locale(country)).map_or(Value::Null, |answer| answer.parsed)
    }

    fn read(text: &str, expects: Expects, country: Option<&str>) -> Value {
        read_with(text, expects, country, &Validation::default())
    }

    #[test]
    fn finds_the_first_number_in_the_range() {
        let adult = Validation { min: Some(json!(18)), max: Some(json!("99")), pattern: None };
        assert_eq!(read_with("2 kids, I am 41", Expects::Number, None, &adult), json!(41));
        assert_eq!(read_with("17", Expects::Number, None, &adult), Value::Null);
        assert_eq!(read_with("2 kids, I am 41 1/2", Expects::Number, None, &adult), Value::Null);
    }

    #[test]
    fn reads_dates_as_the_country_writes_them() {
        for (text, country, expected) in [
            ("2026-12-31", None, json!("2026-12-31")),
            ("2026-05-07T10:00:00Z", None, json!("2026-05-07")),
            ("5/6/2026", None, json!("2026-06-05")),
            ("5/6/2026", Some("US"), json!("2026-05-06")),
            ("13/25/2026", None, Value::Null),
            ("5/25/2026", None, json!("2026-05-25")),
            ("7.5.69", None, json!("1969-05-07")),
            ("26/5/7", Some("JP"), json!("2026-05-07")),
            ("on May 7th, 1990", None, json!("1990-05-07")),
            ("3 de marzo de 2027", Some("ES"), json!("2027-03-03")),
            ("24. Dez", Some("DE"), json!("2026-12-24")),
            ("January 2", None, json!("2027-01-02")),
            ("tomorrow", None, json!("2026-05-08")),
            ("31.2.2026", None, Value::Null),
            ("soon", None, Value::Null),
        ] {
            assert_eq!(read(text, Expects::Date, country), expected, "{text} {country:?}");
        }
        let future = Validation { min: Some(json!("2026-05-07")), max: None, pattern: None };
        assert_eq!(read_with("not 1.1.2020 but 1.1.2027", Expects::Date, None, &future), json!("2027-01-01"));
    }

    #[test]
    fn reads_times_of_day() {
        for (text, expected) in [
            ("9:30", json!("09:30")),
            ("at 9.30 pm please", json!("21:30")),
            ("21h15", json!("21:15")),
            ("14h", json!("14:00")),
            ("9pm", json!("21:00")),
            ("12 am", json!("00:00")),
            ("noon", json!("12:00")),
            ("18 Uhr", json!("18:00")),
            ("25:00", Value::Null),
            ("13pm", Value::Null),
            ("7", Value::Null),
        ] {
            assert_eq!(read(text, Expects::Time, None), expected, "{text}");
        }
    }

    #[test]
    fn reads_addresses_and_numbers_out_of_sentences() {
        assert_eq!(read("it's ann.lee+x@mail.example.com.", Expects::Email, None), json!("ann.lee+x@mail.example.com"));
        assert_eq!(read("ann@localhost", Expects::Email, None), Value::Null);
        assert_eq!(read("call +1 (415) 555-0123 today", Expects::Phone, None), json!("+14155550123"));
        assert_eq!(read("020 7946 0000", Expects::Phone, Some("GB")), json!("+442079460000"));
        assert_eq!(read("020 7946 0000", Expects::Phone, None), Value::Null);
        for (text, expected) in [
            ("+44 07911 123401", "+447911123401"),
            ("it is +44 07911 123401, thanks", "+447911123401"),
            ("\u{7535}\u{8bdd}+14155550123\u{8c22}\u{8c22}", "+14155550123"),
            ("+628123450009.0", "+628123450009"),
            ("\u{200f}+1\u{2060}4155550123", "+14155550123"),
            ("https://wa.me/14155550123", "+14155550123"),
            ("+1 415 555 0123 or later", "+14155550123"),
        ] {
            assert_eq!(read(text, Expects::Phone, None), json!(expected), "{text}");
        }
        for text in ["+4915112340003/04", "6.28E+12", "+6.28123E+12", "my number is +4.91511234E+12"] {
            assert_eq!(read(text, Expects::Phone, Some("DE")), Value::Null, "{text}");
        }
        for text in [
            "+1415555O123",
            "+1415555l123",
            "it is +4915112340O03",
            "+49 151 1234 O003",
            "+49 151 1234 0O3",
            "O151 12340003",
            "l5l 12340003",
            "0151 l2340003",
        ] {
            assert_eq!(read(text, Expects::Phone, Some("DE")), Value::Null, "{text}");
        }
    }

    #[test]
    fn texts_have_a_length_and_media_a_kind() {
        let short = Validation { min: Some(json!(2)), max: Some(json!(5)), pattern: None };
        assert_eq!(read_with("  Ann ", Expects::Text, None, &short), json!("Ann"));
        assert_eq!(read_with("A", Expects::Text, None, &short), Value::Null);
        let image = Reply {
            kind: ReplyKind::Image,
            text: None,
            option: None,
            payload: Some(json!({"url": "https://x.example/1.jpg"})),
            answers_turn: None,
            received_at: Timestamp::from_millis(0),
        };
        let extracted = |expects| extract(&image, expects, &Bounds::None, None, &locale(None));
        let value = json!({"url": "https://x.example/1.jpg", "type": "image"});
        assert_eq!(extracted(Expects::Media).unwrap().parsed, value);
        assert_eq!(extracted(Expects::Any).unwrap().parsed, value);
        assert!(extracted(Expects::Text).is_err());
        assert!(extracted(Expects::Location).is_err());
        assert!(extracted(Expects::Number).is_err());
    }
}
