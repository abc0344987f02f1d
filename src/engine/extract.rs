//! Reading answers: the first number, date, time, address in a text that parses and validates.

use std::sync::LazyLock;

use jiff::civil::Date;
use regex::Regex;
use serde_json::{Value, json};

use super::bounds::Bounds;
use super::date::{self, DateOrder, NoDate};
use super::number::{self, NoNumber, Number, Writing};
use super::pattern::Pattern;
use super::time_of_day::{self, NoTime};
use super::words::Languages;
use crate::domain::text::ascii_digit;
use crate::domain::unseen::{is_blank, is_unseen};
use crate::domain::{Expects, Phone, Reply, ReplyKind};

/// How replies of one contact to one flow are read.
#[derive(Debug, Clone)]
pub(super) struct Locale {
    /// ISO 3166 country, of the flow's settings or the contact's number.
    pub(super) country: Option<String>,
    /// How `5/6/2026` is read, if the flow says so.
    pub(super) date_order: Option<DateOrder>,
    /// How numbers are written.
    pub(super) writing: Writing,
    /// Whose words are read: the contact's language and the flow's (BCP 47).
    pub(super) languages: [Option<String>; 2],
    /// The day on which the reply was received, on the contact's clock.
    pub(super) today: Date,
}

impl Locale {
    fn languages(&self) -> Languages {
        Languages::of(self.languages.iter().flatten().map(String::as_str), self.country.as_deref())
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
        Expects::Number => match number::first_in(received, locale.writing, |number| bounds.hold_number(number))
            .or_else(|error| number::in_words(received, locale.writing, &locale.languages(), error))
        {
            Ok(_) if !is_digits(received) && number::is_open(received, &locale.languages()) => {
                return Err("the number is told as one of several");
            }
            Ok(number) => bounds.hold_number(number).then(|| number.to_json()),
            Err(NoNumber::Unclear) => return Err("the number can be read in more than one way"),
            Err(NoNumber::Missing) => None,
        },
        Expects::Date if reply.text.is_some() => {
            let languages = locale.languages();
            let order = locale.date_order.unwrap_or_else(|| DateOrder::of_country(locale.country.as_deref()));
            let around = date::Around { order, languages: &languages, today: locale.today };
            match date::read(received, &around, bounds) {
                Ok(date) => Some(json!(date.to_string())),
                Err(NoDate::Unclear) => return Err("more than one day can be meant"),
                Err(NoDate::Missing) => None,
            }
        }
        Expects::Time if reply.text.is_some() => match time_of_day::read(received, &locale.languages()) {
            Ok(time) if bounds.hold_time(time) => Some(json!(time.strftime("%H:%M").to_string())),
            Err(NoTime::Unclear) => return Err("more than one time can be meant"),
            Ok(_) | Err(NoTime::Missing) => None,
        },
        Expects::Date | Expects::Time => None,
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

/// Whether there is nothing beside a number.
fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
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

/// The first number of the address-book entries that a contact shares: as WhatsApp knows it, else as it is written.
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
            date_order: None,
            writing: Writing::of_country(country),
            languages: [None, None],
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
            ("7", json!("07:00")),
            ("at 7 or 8", Value::Null),
            ("table for 4", Value::Null),
            ("4 of us at half past 8 pm", json!("20:30")),
            (&format!("8 pm{}", " and so on".repeat(100)), Value::Null),
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
