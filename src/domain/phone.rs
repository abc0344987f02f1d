//! Phone numbers as E.164 text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::ParseError;
use super::text::ascii_digit;

/// A phone number in international form: `+` and 7 to 15 digits, the first of them not 0 (ITU-T E.164).
///
/// Whether the number is in use, or could be under its country's numbering plan, is not asked: WhatsApp itself
/// delivers numbers that numbering-plan libraries call invalid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Phone(String);

impl Phone {
    /// The number with its `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ISO 3166 code of the number's country, where its calling code tells.
    pub fn country(&self) -> Option<String> {
        let parsed = phonenumber::parse(None, &self.0).ok()?;
        parsed.country().id().map(|id| id.as_ref().to_owned())
    }

    /// The number as people of its country write it, such as `(415) 555-0123`; the E.164 form where that is unknown.
    pub fn to_national(&self) -> String {
        match phonenumber::parse(None, &self.0) {
            Ok(parsed) => parsed.format().mode(phonenumber::Mode::National).to_string(),
            Err(_) => self.0.clone(),
        }
    }

    /// Whether a text is the ISO 3166 code of a country whose numbers are known, such as `ES`.
    pub fn knows_country(code: &str) -> bool {
        code.parse::<phonenumber::country::Id>().is_ok()
    }

    /// Reads a number that a person of `country` (ISO 3166) typed, in national or international form.
    ///
    /// # Errors
    /// When it is not a number in either form.
    pub fn parse_in_country(text: &str, country: Option<&str>) -> Result<Self, ParseError> {
        let international = text.parse();
        if international.is_ok() {
            return international;
        }
        let Some(country) = country.and_then(|code| code.parse::<phonenumber::country::Id>().ok()) else {
            return international;
        };
        match phonenumber::parse(Some(country), text) {
            Ok(number) if phonenumber::is_valid(&number) => {
                number.format().mode(phonenumber::Mode::E164).to_string().parse()
            }
            _ => international,
        }
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Phone {
    type Err = ParseError;

    /// Takes what people paste: spaces, dashes, dots, slashes, brackets and a trunk `(0)` are dropped, digits of any
    /// script are read, `00` stands for `+`.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |why: &str| {
            Err(ParseError(format!("must be a phone number in international form such as +14155550123: {why}")))
        };
        let typed: String = text.nfkc().collect();
        // "+44 (0)20 ..." shows the trunk prefix that is dialled only inside the country.
        let typed = typed.replace("(0)", "");
        let mut kept = String::with_capacity(typed.len());
        for c in typed.trim().chars() {
            match c {
                '+' if kept.is_empty() => kept.push('+'),
                ' '
                | '-'
                | '.'
                | '/'
                | '('
                | ')'
                | '\u{2010}'..='\u{2015}'
                | '\u{2212}'
                | '\u{200e}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}' => {}
                _ => match ascii_digit(c) {
                    Some(digit) => kept.push(digit),
                    None => return refuse("it has characters that no number has"),
                },
            }
        }
        let digits = match (kept.strip_prefix('+'), kept.strip_prefix("00")) {
            (Some(digits), _) | (None, Some(digits)) => digits,
            (None, None) => return refuse("it must begin with + or 00 and the country code"),
        };
        if digits.len() > 15 {
            return refuse("it has more than 15 digits");
        }
        if digits.len() < 7 {
            return refuse("it has fewer than 7 digits");
        }
        if digits.starts_with('0') {
            return refuse("a country code does not begin with 0");
        }
        Ok(Self(format!("+{digits}")))
    }
}

impl TryFrom<String> for Phone {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Phone> for String {
    fn from(phone: Phone) -> Self {
        phone.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_however_it_is_written() {
        for text in [
            "+14155550123",
            "+1 (415) 555-0123",
            "0014155550123",
            "00 1 415.555.0123",
            " +1 415/555 0123 ",
            "+1\u{2011}415\u{2011}555\u{2011}0123",
            "\u{ff0b}１４１５５５５０１２３",
            "+١٤١٥٥٥٥٠١٢٣",
        ] {
            assert_eq!(text.parse::<Phone>().map(String::from), Ok("+14155550123".to_owned()), "{text}");
        }
        assert_eq!("+44 (0)20 7946 0000".parse::<Phone>().unwrap().as_str(), "+442079460000");
    }

    #[test]
    fn refuses_what_is_no_international_number() {
        for text in [
            "",
            "12",
            "+",
            "00",
            "4155550123",
            "14155550123",
            "+1415555CALL",
            "+1234567890123456",
            "0012345678901234567",
            "+0123456789",
            "+12",
            "++14155550123",
            "+1415+5550123",
            "phone",
        ] {
            assert!(text.parse::<Phone>().is_err(), "{text}");
        }
        assert!("+123456789012345".parse::<Phone>().is_ok(), "15 digits are the most");
    }

    #[test]
    fn keeps_what_numbering_plans_call_invalid() {
        // Forms that WhatsApp delivers for Brazil and Mexico.
        for text in ["+554188887777", "+5215512345678"] {
            assert_eq!(text.parse::<Phone>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn reads_national_numbers_of_a_known_country() {
        let phone = Phone::parse_in_country("020 7946 0000", Some("GB")).unwrap();
        assert_eq!(phone.as_str(), "+442079460000");
        assert_eq!(phone.country().as_deref(), Some("GB"));
        assert_eq!(phone.to_national(), "020 7946 0000");
        assert!(Phone::parse_in_country("020 7946 0000", None).is_err());
    }
}
