//! Reading numbers that people and shops wrote as text, and writing amounts.
//!
//! Every number that the engine reads from a text is read here, so that `1.290,50` is the same amount in an answer, in
//! a condition and in a template. What can be read in more than one way is not read at all: an answer is asked for
//! again, and an amount stands as it came. A whole number is kept exactly, and so is a fraction of up to 15 digits;
//! what would change when it is kept is no number.

mod currency;
mod multiples;
mod run;
mod spelled;

use std::cmp::Ordering;
use std::sync::Arc;

use minijinja::value::Object;
use serde_json::{Value, json};

pub(super) use spelled::{in_words, is_open};

use run::{Reading, Run, is_sign, plain};

/// Characters of a text that is one number as a whole; a longer text is none.
const SINGLE_CHARS: usize = 100;

/// How the people of a country write numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Writing {
    /// `1,5` is one and a half, and `1.000` a thousand.
    decimal_comma: bool,
    /// `1 000` is a thousand, also in the middle of a sentence.
    groups_by_blanks: bool,
    /// `1,00,000` is a hundred thousand.
    groups_by_two: bool,
}

/// Templates carry it to the filters.
impl Object for Writing {
    fn render(self: &Arc<Self>, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

/// Countries with a decimal comma (Unicode CLDR 48, the country's main language).
#[rustfmt::skip]
const DECIMAL_COMMA: [&str; 106] = [
    "AD", "AL", "AM", "AO", "AR", "AT", "AX", "AZ", "BA", "BE", "BF", "BG", "BI", "BJ", "BL", "BO", "BR", "BY", "CD",
    "CF", "CG", "CI", "CL", "CM", "CO", "CR", "CU", "CV", "CY", "CZ", "DE", "DJ", "DK", "DZ", "EC", "EE", "ES", "FI",
    "FO", "FR", "GA", "GE", "GF", "GL", "GN", "GP", "GQ", "GR", "GW", "HR", "HU", "ID", "IS", "IT", "KG", "KM", "KZ",
    "LB", "LT", "LU", "LV", "LY", "MA", "MC", "MD", "ME", "MF", "MG", "MK", "ML", "MQ", "MR", "MZ", "NC", "NE", "NL",
    "NO", "PF", "PL", "PM", "PT", "PY", "RE", "RO", "RS", "RU", "SE", "SI", "SK", "SM", "SN", "SR", "ST", "TD", "TG",
    "TL", "TM", "TN", "TR", "UA", "UY", "UZ", "VE", "VN", "XK", "ZA",
];
/// Countries that group digits by blanks (Unicode CLDR 48, the country's main languages).
#[rustfmt::skip]
const BLANKS: [&str; 59] = [
    "AL", "AM", "AT", "AX", "BE", "BF", "BG", "BI", "BJ", "BL", "BY", "CA", "CD", "CF", "CG", "CH", "CI", "CM", "CR",
    "CZ", "DJ", "DZ", "EE", "ES", "FI", "FR", "GA", "GE", "GF", "GN", "GP", "GQ", "HU", "KG", "KM", "KZ", "LT", "LU",
    "LV", "MC", "MG", "ML", "MQ", "NC", "NE", "NO", "PF", "PL", "PT", "RE", "RU", "SE", "SK", "SN", "TD", "TG", "UA",
    "UZ", "ZA",
];
/// Countries that count in lakhs and crores.
const LAKHS: [&str; 6] = ["BD", "BT", "IN", "LK", "NP", "PK"];

impl Writing {
    /// How they write in a country, by its ISO 3166 code.
    pub(super) fn of_country(country: Option<&str>) -> Self {
        let country = country.unwrap_or_default().to_ascii_uppercase();
        let is_among = |countries: &[&str]| countries.contains(&country.as_str());
        Self {
            decimal_comma: is_among(&DECIMAL_COMMA),
            groups_by_blanks: is_among(&BLANKS),
            groups_by_two: is_among(&LAKHS),
        }
    }
}

/// A number, exactly as it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// A whole number that JSON can carry.
    Whole(i128),
    /// One with a fraction, or beyond what a whole number can be.
    Fraction(f64),
}

impl Number {
    /// The number of a JSON value that is one.
    pub(super) fn of_json(value: &Value) -> Option<Self> {
        let Value::Number(number) = value else { return None };
        if let Some(whole) = number.as_i128() {
            return Some(Self::Whole(whole));
        }
        number.as_f64().and_then(Self::of_float)
    }

    /// A float as a number; a whole one up to 2^53 is whole, so that `3.0` is 3.
    pub(super) fn of_float(value: f64) -> Option<Self> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if value.fract() == 0.0 && value.abs() <= EXACT {
            return Some(Self::Whole(value as i128));
        }
        value.is_finite().then_some(Self::Fraction(value))
    }

    /// The number of digits with a point before the fraction; `None` where it could not be kept as it is written.
    fn of_digits(is_negative: bool, whole: &str, fraction: &str) -> Option<Self> {
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        if fraction.is_empty() {
            let value: i128 = whole.parse().ok()?;
            let value = if is_negative { -value } else { value };
            return (i64::MIN.into()..=u64::MAX.into()).contains(&value).then_some(Self::Whole(value));
        }
        let written = format!("{whole}.{fraction}");
        let value: f64 = written.parse().ok()?;
        // Shown shortest, a float is what was written, or it is another number.
        let is_kept = value.to_string() == written;
        is_kept.then_some(Self::Fraction(if is_negative { -value } else { value }))
    }

    /// As a JSON number.
    pub(super) fn to_json(self) -> Value {
        match self {
            Self::Whole(whole) => match (i64::try_from(whole), u64::try_from(whole)) {
                (Ok(whole), _) => json!(whole),
                (_, Ok(whole)) => json!(whole),
                _ => Value::Null,
            },
            Self::Fraction(value) => json!(value),
        }
    }

    /// Which of two is greater; whole numbers exactly.
    pub(super) fn compare(self, other: Self) -> Ordering {
        let float = |number: Self| match number {
            Self::Whole(whole) => whole as f64,
            Self::Fraction(value) => value,
        };
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            (a, b) => float(a).total_cmp(&float(b)),
        }
    }

    /// Two decimals, thousands grouped by commas. Half a cent is rounded up, as people round.
    pub(super) fn to_amount(self) -> String {
        let (is_negative, digits) = match self {
            Self::Whole(whole) => (whole < 0, whole.unsigned_abs().to_string()),
            Self::Fraction(value) => (value < 0.0, value.abs().to_string()),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
        let mut cents: Vec<u8> = whole.bytes().chain(fraction.bytes().chain(*b"00").take(2)).collect();
        if fraction.as_bytes().get(2).is_some_and(|digit| *digit >= b'5') {
            let nines = cents.iter().rev().take_while(|digit| **digit == b'9').count();
            let place = cents.len() - nines;
            cents[place..].fill(b'0');
            match place.checked_sub(1) {
                Some(before) => cents[before] += 1,
                None => cents.insert(0, b'1'),
            }
        }
        let is_nothing = cents.iter().all(|digit| *digit == b'0');
        let mut amount = String::from(if is_negative && !is_nothing { "-" } else { "" });
        let whole = cents.len() - 2;
        for (index, digit) in cents.iter().enumerate() {
            match whole.checked_sub(index) {
                Some(0) => amount.push('.'),
                Some(left) if index > 0 && left % 3 == 0 => amount.push(','),
                _ => {}
            }
            amount.push(char::from(*digit));
        }
        amount
    }
}

/// Why a text has no number that can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoNumber {
    /// None is in it that fits.
    Missing,
    /// Its number can be read in more than one way.
    Unclear,
}

/// The first number in a text that fits. One that is unclear ends the search: what it was meant to be is unknown.
pub(super) fn first_in(text: &str, writing: Writing, fits: impl Fn(Number) -> bool) -> Result<Number, NoNumber> {
    let chars = plain(text);
    let mut at = 0;
    while let Some(run) = Run::next(&chars, at) {
        match run.read(&chars, writing) {
            Reading::Unclear => return Err(NoNumber::Unclear),
            Reading::Clear(number) | Reading::ByCountry(number) if fits(number) => return Ok(number),
            _ => at = run.end,
        }
    }
    Err(NoNumber::Missing)
}

/// A text that is one number as a whole, with what stands around it.
struct Single {
    number: Number,
    /// It would be the same number in every country.
    is_clear: bool,
    /// It has one separator before exactly three digits.
    may_be_thousands: bool,
    /// The words and signs beside it, such as `€`.
    beside: Vec<String>,
}

impl Single {
    fn read(text: &str, writing: Writing) -> Option<Self> {
        if text.chars().nth(SINGLE_CHARS).is_some() {
            return None;
        }
        let chars = plain(text);
        let run = Run::next(&chars, 0)?;
        if Run::next(&chars, run.end).is_some() {
            return None;
        }
        let (number, is_clear) = match run.read(&chars, writing) {
            Reading::Clear(number) => (number, true),
            Reading::ByCountry(number) => (number, false),
            Reading::Unclear => return None,
        };
        let before: String = chars[..run.start].iter().filter(|c| !is_sign(**c)).collect();
        // `12,-` is how shops write that there are no cents.
        let mut after: String = chars[run.end..].iter().collect();
        for dashes in [",--", ".--", ",-", ".-", ",–", ".–", ",—", ".—"] {
            if let Some(rest) = after.strip_prefix(dashes) {
                after = rest.to_owned();
                break;
            }
        }
        let beside = before.split_whitespace().chain(after.split_whitespace()).map(str::to_owned).collect();
        Some(Self { number, is_clear, may_be_thousands: run.may_be_thousands(), beside })
    }
}

/// The number that a text is, as conditions compare it: alone, or with a currency beside it.
pub(super) fn whole(text: &str, writing: Writing) -> Option<Number> {
    let single = Single::read(text, writing)?;
    single.beside.iter().all(|word| currency::is_one(word)).then_some(single.number)
}

/// The number that a bound in a document is, and whether it can be read in one way only.
pub(super) fn bound(value: &Value, writing: Writing) -> Option<(Number, bool)> {
    match value {
        Value::String(text) => {
            let single = Single::read(text, writing).filter(|single| single.beside.is_empty())?;
            Some((single.number, single.is_clear))
        }
        value => Number::of_json(value).map(|number| (number, true)),
    }
}

/// The amount that a text is, to be shown with `currency`; `None` where it is not clear how much of what it is.
/// `writing` is asked for only where it may matter: finding out a contact's country costs more than all else.
pub(super) fn amount(text: &str, writing: impl FnOnce() -> Writing, currency: Option<&str>) -> Option<Number> {
    if let Some(amount) = clear_amount(text) {
        return Some(amount);
    }
    let single = Single::read(text, writing())?;
    let is_plain = match single.beside.as_slice() {
        [] => true,
        [word] => currency.map_or_else(|| currency::is_one(word), |wanted| currency::may_be(word, wanted)),
        _ => false,
    };
    (single.is_clear && !single.may_be_thousands && is_plain).then_some(single.number)
}

/// An amount as systems write it, such as `129.00`: digits alone, or with one or two more behind a point. That is the
/// same in every country.
fn clear_amount(text: &str) -> Option<Number> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_clear = text.len() <= SINGLE_CHARS && fraction.len() <= 2 && are_digits(whole) && are_digits(fraction);
    if is_clear { Number::of_digits(false, whole, fraction) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str, country: Option<&str>) -> Result<Value, NoNumber> {
        first_in(text, Writing::of_country(country), |_| true).map(Number::to_json)
    }

    #[test]
    fn finds_the_first_number_as_the_country_writes_it() {
        for (text, country, expected) in [
            ("24ans", None, json!(24)),
            (".51", None, json!(0.51)),
            (",5", None, json!(0.5)),
            ("no.5", None, json!(5)),
            ("well...5", None, json!(5)),
            ("I am 37.", None, json!(37)),
            ("2 kids, I am 41", None, json!(2)),
            ("room 12, 3 nights", None, json!(12)),
            ("room-5", None, json!(5)),
            ("-5", None, json!(-5)),
            ("\u{2212}5", None, json!(-5)),
            ("-$5", None, json!(-5)),
            ("€-5,50", None, json!(-5.5)),
            ("+5", None, json!(5)),
            ("(5)", None, json!(5)),
            ("5€", None, json!(5)),
            ("€5", None, json!(5)),
            ("$1,000.00", None, json!(1000)),
            ("Rs.500", Some("IN"), json!(500)),
            ("12,-", Some("DE"), json!(12)),
            ("12,5", None, json!(12.5)),
            ("0,99", Some("US"), json!(0.99)),
            ("1290,50", None, json!(1290.5)),
            ("1.290,50", None, json!(1290.5)),
            ("1,290.50", Some("DE"), json!(1290.5)),
            ("1'290.50", None, json!(1290.5)),
            ("1’290", Some("CH"), json!(1290)),
            ("1.000", None, json!(1)),
            ("1.000", Some("DE"), json!(1000)),
            ("1.000", Some("us"), json!(1)),
            ("1,000", None, json!(1000)),
            ("1,000", Some("DE"), json!(1)),
            ("1,000", Some("US"), json!(1000)),
            ("0.125", Some("DE"), json!(0.125)),
            ("1290.505", Some("DE"), json!(1290.505)),
            ("1.0000", None, json!(1)),
            ("1.000.000", None, json!(1_000_000)),
            ("1 000", None, json!(1000)),
            ("1\u{a0}290,50", None, json!(1290.5)),
            ("1\u{202f}290,50 €", None, json!(1290.5)),
            ("-1 000 000,5", None, json!(-1_000_000.5)),
            ("room 3 100 euros", Some("FR"), json!(3100)),
            ("1 000 km", Some("PL"), json!(1000)),
            ("1,00,000", Some("IN"), json!(100_000)),
            ("12,34,567.89", Some("IN"), json!(1_234_567.89)),
            ("1,234,567", Some("IN"), json!(1_234_567)),
            ("१,००,०००", None, json!(100_000)),
            ("٢٤", None, json!(24)),
            ("١٢٣٫٥", None, json!(123.5)),
            ("١٬٢٣٤٫٥", None, json!(1234.5)),
            ("２４", None, json!(24)),
            ("2\u{fe0f}\u{20e3}", None, json!(2)),
            ("\u{200f}-\u{200e}5", None, json!(-5)),
            ("00012", None, json!(12)),
            ("9007199254740993", None, json!(9_007_199_254_740_993_u64)),
            ("18446744073709551615", None, json!(u64::MAX)),
            ("我有5个孩子和3只狗", None, json!(5)),
            ("5 km", None, json!(5)),
            ("5km", None, json!(5)),
            ("It costs 37. 5 of us pay", None, json!(37)),
            ("5 and more", None, json!(5)),
            ("5 y pico", Some("ES"), json!(5)),
            ("2 kids and 3 dogs", None, json!(2)),
            ("24 years", None, json!(24)),
            ("5 miles", Some("US"), json!(5)),
            ("5 mi", Some("US"), json!(5)),
            ("5 min", None, json!(5)),
            ("5m", None, json!(5)),
            ("5 M²", None, json!(5)),
            ("1.75 m", None, json!(1.75)),
            ("1,000m", Some("US"), json!(1000)),
            ("5 t", None, json!(5)),
            ("5L", Some("DE"), json!(5)),
            ("5 l", Some("IN"), json!(5)),
            ("100 kr", Some("SE"), json!(100)),
            ("99¢", None, json!(99)),
            ("5 € 3 Stück", Some("DE"), json!(5)),
            ("$5 $10", None, json!(5)),
            ("5 points", None, json!(5)),
            ("5 below", None, json!(5)),
            ("5 de mayo", Some("MX"), json!(5)),
            ("5人と3匹", Some("JP"), json!(5)),
            ("5 - ok", None, json!(5)),
            ("room-(5)", None, json!(5)),
            ("5 negative answers", None, json!(5)),
            ("2 rooms until 5 May", None, json!(2)),
            ("3 md", Some("DK"), json!(3)),
            ("5 mi casa", Some("ES"), json!(5)),
        ] {
            assert_eq!(first(text, country), Ok(expected), "{text} {country:?}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_no_number() {
        for (text, country) in [
            ("1/2", None),
            ("1 / 2", None),
            ("1½", None),
            ("3 ½", None),
            ("3 1/2", None),
            ("1e5", None),
            ("1E+5", None),
            ("1e-5", None),
            ("10^5", None),
            ("5²", None),
            ("3-4", None),
            ("10–12", None),
            ("10 - 12", None),
            ("3 to 4", None),
            ("de 3 a 4", Some("ES")),
            ("22/04", None),
            ("22/04/2026", None),
            ("2026-05-07", None),
            ("8:30", None),
            ("8h30", None),
            ("1m80", None),
            ("2x4", None),
            ("1.2.3", None),
            ("100.000.00", None),
            ("1.290,50,10", None),
            ("1,2.3,4", None),
            ("1.290 500", None),
            ("0.000.000", None),
            ("1 000 2", None),
            ("1 000 5", Some("FR")),
            ("room 3 100 euros", None),
            ("1 000 km", Some("US")),
            ("12 5", None),
            ("12, 50", None),
            ("030 123 456", Some("DE")),
            ("+49 151 23456789", Some("DE")),
            ("0151/23456789", Some("DE")),
            ("1,00,000", Some("US")),
            ("1,00,000,000", Some("IN")),
            ("5'10", None),
            ("5k", None),
            ("5 K", None),
            ("2 million", None),
            ("3 mil", Some("ES")),
            ("5万", None),
            ("12月5日", None),
            ("5 Komma 3", Some("DE")),
            ("- 5", None),
            ("between 5 and 10", None),
            ("entre 5 y 10", Some("ES")),
            ("zwischen 5 und 10", Some("DE")),
            ("5 or 6", None),
            ("5 through 10", None),
            ("5 and a half", None),
            ("5 y media", Some("ES")),
            ("5 et demi", Some("FR")),
            ("5 und ein halbes", Some("DE")),
            ("5 buçuk", Some("TR")),
            ("minus 5", None),
            ("Minus  5 degrees", None),
            ("menos 5", Some("ES")),
            ("minus €5", None),
            ("–5", None),
            ("±5", None),
            ("98765432109876543210", None),
            ("1234567890123456.78", None),
            // Words and letters that make more of a number.
            ("1.5M", None),
            ("2M", None),
            ("5 M", Some("FR")),
            ("5 M€", Some("FR")),
            ("$5MM", None),
            ("$1.5m", None),
            ("$5m", None),
            ("5m€", None),
            ("USD 5 m", None),
            ("5m USD", None),
            ("1.5b", None),
            ("1.5B", None),
            ("5 T€", Some("DE")),
            ("5 grand", None),
            ("3 dozen", None),
            ("3 Dutzend", Some("DE")),
            ("3 docenas", Some("ES")),
            ("3 dúzias", Some("BR")),
            ("5 duizend", Some("NL")),
            ("5 miljoen", Some("NL")),
            ("5 tusen", Some("SE")),
            ("5 tuhat", Some("FI")),
            ("5 tisíc", Some("CZ")),
            ("5 tisi\u{301}c", Some("CZ")),
            ("5 tisic", Some("CZ")),
            ("5 ezer", Some("HU")),
            ("5 mii", Some("RO")),
            ("20 de mii", Some("RO")),
            ("5 тисяч", Some("UA")),
            ("5 тис.", Some("UA")),
            ("5 хил.", Some("BG")),
            ("5 χιλιάδες", Some("GR")),
            ("5 ΧΙΛΙΑΔΕΣ", Some("GR")),
            ("5 אלף", Some("IL")),
            ("5 آلاف", Some("SA")),
            ("5 هزار", Some("IR")),
            ("5 พัน", Some("TH")),
            ("5พันบาท", Some("TH")),
            ("5 ngàn", Some("VN")),
            ("5 nghìn", Some("VN")),
            ("5 triệu", Some("VN")),
            ("5tr", Some("VN")),
            ("5rb", Some("ID")),
            ("1,5jt", Some("ID")),
            ("5L", Some("IN")),
            ("5 L", Some("IN")),
            ("₹5l", Some("IN")),
            ("1.5 cr", Some("IN")),
            ("5 萬", Some("TW")),
            ("5 千", Some("JP")),
            ("5 만원", Some("KR")),
            ("5 hunderttausend", Some("DE")),
            ("5 hundert", Some("DE")),
            ("5 milliers", Some("FR")),
            ("5 mi", Some("BR")),
            ("elfu 5", Some("KE")),
            // Ranges, choices and fractions.
            ("5 tot en met 7", Some("NL")),
            ("5 t/m 7", Some("NL")),
            ("5至7", Some("TW")),
            ("5到7", Some("CN")),
            ("5個から7個", Some("JP")),
            ("5から7", Some("JP")),
            ("5 から 7", Some("JP")),
            ("5 à 7", Some("FR")),
            ("5 až 7", Some("CZ")),
            ("5 & a half", None),
            ("5 dot 5", None),
            ("5 point 5", None),
            ("5 punkt 5", Some("DE")),
            ("5€ 50", Some("FR")),
            ("5 € 50", Some("FR")),
            ("5€50", Some("FR")),
            ("5 euros 50", Some("FR")),
            ("5euros50", Some("FR")),
            ("5 Euro und 50 Cent", Some("DE")),
            ("5 ft 10", None),
            ("1 m 80", Some("FR")),
            ("5k-10k", None),
            ("5kg-7kg", None),
            ("5kg to 7kg", None),
            ("5 miles to 7 miles", None),
            ("$5 to $7", None),
            ("5 EUR - 7 EUR", None),
            ("5% to 7%", None),
            ("5 ... 7", None),
            ("5 out of 7", None),
            ("5 hoch 3", Some("DE")),
            ("3 quarters", None),
            ("halb 5", Some("DE")),
            ("5 Md", Some("FR")),
            // Signs.
            ("-(5)", None),
            ("-($5)", None),
            ("- (5)", None),
            ("5 minus", None),
            ("5-", None),
            ("5 -", None),
            ("5--", None),
            ("5-million", None),
            ("5 below zero", None),
            ("5 degrees below zero", None),
            ("5° unter null", Some("DE")),
            ("5 bajo cero", Some("ES")),
            ("5 sotto zero", Some("IT")),
            ("5 abaixo de zero", Some("BR")),
            ("5 degrés en dessous de zéro", Some("FR")),
        ] {
            assert_eq!(first(text, country), Err(NoNumber::Unclear), "{text} {country:?}");
        }
        for text in ["", "none", "½", "...", "-", "€"] {
            assert_eq!(first(text, None), Err(NoNumber::Missing), "{text}");
        }
    }

    #[test]
    fn what_is_clear_at_a_glance_reads_the_same_in_every_country() {
        let mut texts = vec![String::new()];
        let mut clear = 0;
        for _ in 0..7 {
            texts = texts.iter().flat_map(|text| "015.".chars().map(move |c| format!("{text}{c}"))).collect();
            for text in &texts {
                let Some(number) = clear_amount(text) else { continue };
                clear += 1;
                for country in [None, Some("DE"), Some("FR"), Some("IN")] {
                    let single = Single::read(text, Writing::of_country(country)).unwrap();
                    assert_eq!((single.number, single.is_clear), (number, true), "{text} in {country:?}");
                    assert!(single.beside.is_empty(), "{text}");
                }
            }
        }
        assert!(clear > 1000, "{clear}");
    }

    #[test]
    fn amounts_are_what_they_are_in_every_country_or_stand_as_they_came() {
        let shown = |text: &str, country: Option<&str>, currency: Option<&str>| {
            amount(text, || Writing::of_country(country), currency).map(Number::to_amount)
        };
        for (text, expected) in [
            ("1290,50", "1,290.50"),
            ("1.290,50", "1,290.50"),
            ("1,290.50", "1,290.50"),
            ("1'290.50", "1,290.50"),
            ("1 290,50", "1,290.50"),
            ("12,50", "12.50"),
            ("0,99", "0.99"),
            ("12.5", "12.50"),
            ("-5", "-5.00"),
            ("5", "5.00"),
            ("1.000.000", "1,000,000.00"),
            ("0.1250", "0.13"),
            ("1290.5050", "1,290.51"),
            ("1'290", "1,290.00"),
            ("12,50 €", "12.50"),
            ("EUR 12,50", "12.50"),
            ("12.–", "12.00"),
            ("Rs. 500", "500.00"),
            ("9007199254740993", "9,007,199,254,740,993.00"),
            ("١٬٢٣٤٫٥٠", "1,234.50"),
        ] {
            for country in [None, Some("DE"), Some("US")] {
                assert_eq!(shown(text, country, None).as_deref(), Some(expected), "{text} {country:?}");
            }
        }
        for text in [
            "1.000",
            "1,000",
            "0,999",
            "0.125",
            ".999",
            "1290.505",
            "5 and a half",
            "minus 5",
            "-1.000 €",
            "12.345",
            "free",
            "",
            "(5)",
            "1/2",
            "5k",
            "3-4",
            "from 5 to 9",
            "5%",
            "2 x 12,50",
            "1e3",
            "12,50 € each",
            "5-",
            "1.2.3",
            "100.000.00",
            "12 5",
            "8:30",
            "5 GB",
            "5 kg",
            "5 Tage",
            "5 try",
            "99¢",
            "5 ABC",
            "5.50 CR",
        ] {
            for country in [None, Some("DE"), Some("US")] {
                assert_eq!(shown(text, country, None), None, "{text} {country:?}");
            }
        }
        for (text, currency, expected) in [
            ("€5", "EUR", Some("5.00")),
            ("5 EUR", "EUR", Some("5.00")),
            ("5 Euro", "EUR", Some("5.00")),
            ("$5", "MXN", Some("5.00")),
            ("5 €", "euros", Some("5.00")),
            ("€5", "USD", None),
            ("$5", "EUR", None),
            ("US$5", "EUR", None),
            ("5 USD", "EUR", None),
            ("R$ 5", "USD", None),
            ("€5", "eur", Some("5.00")),
            ("5 eur", "EUR", Some("5.00")),
            ("5 try", "TRY", Some("5.00")),
            ("€5", "€", Some("5.00")),
            ("$5", "$", Some("5.00")),
            ("5 USD", "$", Some("5.00")),
            ("HK$5", "$", None),
            ("US$5", "USD", Some("5.00")),
            ("C$5", "CAD", Some("5.00")),
            ("AU$ 5", "AUD", Some("5.00")),
            ("100 kr", "SEK", Some("100.00")),
            ("100 kr.", "DKK", Some("100.00")),
            ("500 Ft", "HUF", Some("500.00")),
            ("50 lei", "RON", Some("50.00")),
            ("20 Fr.", "CHF", Some("20.00")),
            ("Rs. 500", "PKR", Some("500.00")),
            ("5 zł", "PLN", Some("5.00")),
            ("5円", "JPY", Some("5.00")),
            ("¥5", "CNY", Some("5.00")),
            ("5 руб.", "RUB", Some("5.00")),
            ("R500", "ZAR", Some("500.00")),
            ("5 dollars", "USD", Some("5.00")),
            ("5", "points", Some("5.00")),
            ("5 points", "points", Some("5.00")),
            ("5 GB", "EUR", None),
            ("5 kg", "EUR", None),
            ("5 Tage", "EUR", None),
            ("5 dollars", "EUR", None),
            ("5 usd", "EUR", None),
            ("5 Pfund", "EUR", None),
            ("500 Ft", "EUR", None),
            ("5 ft", "HUF", None),
            ("100 kr", "EUR", None),
            ("50 lei", "EUR", None),
            ("20 Fr.", "EUR", None),
            ("5 円", "EUR", None),
            ("US$5", "CAD", None),
            ("HK$5", "USD", None),
            ("99¢", "USD", None),
            ("50 Cent", "EUR", None),
            ("5.50 CR", "USD", None),
            ("DR 5.50", "USD", None),
            ("1.5M", "EUR", None),
            ("2 mld", "EUR", None),
            ("500 rb", "IDR", None),
            ("€5", "usd", None),
            ("€5", "$", None),
            ("$5", "€", None),
            ("5 €", "points", None),
        ] {
            assert_eq!(shown(text, None, Some(currency)).as_deref(), expected, "{text} {currency}");
        }
    }

    #[test]
    fn amounts_are_rounded_as_people_round() {
        for (value, expected) in [
            (0.0, "0.00"),
            (-0.001, "0.00"),
            (-0.005, "-0.01"),
            (1.005, "1.01"),
            (2.675, "2.68"),
            (9.995, "10.00"),
            (999_999.995, "1,000,000.00"),
            (1290.5, "1,290.50"),
            (1e21, "1,000,000,000,000,000,000,000.00"),
        ] {
            assert_eq!(Number::of_float(value).unwrap().to_amount(), expected, "{value}");
        }
    }

    #[test]
    fn conditions_compare_whole_texts_exactly() {
        let read = |text: &str| whole(text, Writing::default());
        let ordering = |a: &str, b: &str| read(a).unwrap().compare(read(b).unwrap());
        assert_eq!(ordering("9007199254740993", "9007199254740992"), Ordering::Greater);
        assert_eq!(ordering("1.5", "1,5"), Ordering::Equal);
        assert_eq!(ordering("-1", "0.5"), Ordering::Less);
        assert_eq!(read("1.290,50 €"), Some(Number::Fraction(1290.5)));
        assert_eq!(read("5 USD"), Some(Number::Whole(5)));
        assert_eq!(read("100 kr"), Some(Number::Whole(100)));
        for text in ["5 apples", "nine", "", "5 6", "5%", "(5)", "1/2", "2026-05-07", "99¢"] {
            assert_eq!(read(text), None, "{text}");
        }
        for word in ["MLD", "TIS", "BIO", "TRD", "CRO", "DOZ", "PCT", "THO", "ABC"] {
            assert_eq!(read(&format!("5 {word}")), None, "{word}");
        }
    }
}
