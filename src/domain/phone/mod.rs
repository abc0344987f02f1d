//! Phone numbers as E.164 text.

mod forms;
mod plan;
mod typed;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::ParseError;
pub(super) use forms::other_form;
use plan::Fit;
use typed::Typed;

/// A phone number in international form: `+` and 7 to 15 digits, the first of them not 0 (ITU-T E.164).
///
/// Whether the number is in use, or its range is one of its country's, is not asked: WhatsApp itself delivers numbers
/// that numbering-plan libraries call invalid. What is typed must have a country's code, and as many digits as some
/// number of that country.
///
/// There are two ways in. What people type and systems export is parsed, which takes off what is no part of the number
/// ([`FromStr`], [`Phone::parse_in_country`]). What a channel names or the database holds is taken digit by digit
/// ([`Phone::from_e164`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Phone(String);

impl Phone {
    /// The number with its `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number without its `+`.
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }

    /// Takes a number as it is: `+` and digits, of which none is changed.
    ///
    /// # Errors
    /// When it has another form.
    pub fn from_e164(text: &str) -> Result<Self, ParseError> {
        let is_number = text.strip_prefix('+').is_some_and(|digits| {
            (7..=15).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && !digits.starts_with('0')
        });
        if is_number { Ok(Self(text.to_owned())) } else { Err(refusal("it must be + and 7 to 15 digits")) }
    }

    /// The ISO 3166 code of the number's country; `None` if the number does not show it.
    pub fn country(&self) -> Option<String> {
        plan::country(self.digits())
    }

    /// The number as people of its country write it, such as `(415) 555-0123`; the E.164 form where that is unknown.
    pub fn to_national(&self) -> String {
        let national = phonenumber::parse(None, &self.0).ok().and_then(|parsed| {
            // The crate takes the first digit of some numbers for a prefix.
            let is_whole = plan::split(self.digits()).is_some_and(|(_, rest)| parsed.national().to_string() == rest);
            is_whole.then(|| parsed.format().mode(phonenumber::Mode::National).to_string())
        });
        national.unwrap_or_else(|| self.0.clone())
    }

    /// The number to send to where WhatsApp has named none: the one of the plan that is in force in its country.
    pub fn in_force(&self) -> Self {
        forms::current(self.digits()).map_or_else(|| self.clone(), |digits| Self(format!("+{digits}")))
    }

    /// The same of two numbers that are one (see [`Phone::is_same_number`]), by which it is known where it is no
    /// address.
    pub fn one_form(&self) -> Self {
        forms::one_form(self.digits()).map_or_else(|| self.clone(), |digits| Self(format!("+{digits}")))
    }

    /// The number without what is dialled only inside its country, if it was stored with that: the result of typing it
    /// today.
    pub fn without_trunk_prefix(&self) -> Option<Self> {
        // Both forms of a number that has two are known; neither has a prefix.
        if other_form(self.digits()).is_some() {
            return None;
        }
        Self::of_digits(&plan::without_trunk_prefix(self.digits())?).ok()
    }

    /// The number as releases before the prefix was taken off have stored it, where its country has one.
    pub fn with_trunk_prefix(&self) -> Option<Self> {
        Self::of_digits(&plan::with_trunk_prefix(self.digits())?).ok()
    }

    /// Whether both are one number, perhaps in the two ways in which some countries' numbers are written.
    pub fn is_same_number(&self, other: &Self) -> bool {
        self == other || other_form(self.digits()).is_some_and(|form| form == other.digits())
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
        let country = country.and_then(|code| code.parse::<phonenumber::country::Id>().ok());
        let read_national = |typed: &Typed| country.and_then(|country| plan::read_national(&typed.digits, country));
        let fit = |typed: &Typed| match typed.is_international {
            true => fit(international_digits(&typed.digits)),
            false => read_national(typed).map_or(Fit::Unknown, |digits| plan::fit(&digits)),
        };
        let typed = typed::read(text, fit).map_err(refusal)?;
        let international = match typed.is_international {
            true => Self::of_international(&typed),
            false => Err(refusal("it must begin with + or 00 and the country code")),
        };
        if international.is_ok() {
            return international;
        }
        read_national(&typed).map_or(international, |digits| Self::of_digits(&digits))
    }

    /// Reads an optional number of a JSON document that people write.
    ///
    /// # Errors
    /// When it is no number.
    pub fn deserialize_typed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let typed = Option::<String>::deserialize(deserializer)?;
        typed.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
    }

    /// The number that was typed with its country's code.
    fn of_international(typed: &Typed) -> Result<Self, ParseError> {
        let digits = international_digits(&typed.digits);
        if digits.starts_with('0') {
            return Err(refusal("a country code does not begin with 0"));
        }
        if let Some(without) = typed.without_bracketed_zero.as_deref().map(international_digits)
            && !plan::is_valid(digits)
        {
            // "+44 (0)20 ..." shows the prefix that is dialled only inside the country; the 0 of Italy is dialled
            // always, and where none is dialled, the number is another country's.
            if !plan::has_trunk_zero(digits) {
                return Err(no_part('0'));
            }
            let without = plan::without_trunk_prefix(without).unwrap_or_else(|| without.to_owned());
            return Self::of_whole(&without);
        }
        // A number of 16 digits and more may be one once the prefix is taken off.
        let as_typed = Self(format!("+{digits}"));
        as_typed.without_trunk_prefix().map_or_else(|| Self::of_whole(digits), Ok)
    }

    /// The number of which nothing more can be taken off.
    fn of_whole(digits: &str) -> Result<Self, ParseError> {
        let number = Self::of_digits(digits)?;
        if let Some(code) = plan::unassigned_code(digits) {
            return Err(refusal(&format!("no country has the code {code}")));
        }
        let has_other_form = |is_one: fn(&str) -> bool| other_form(digits).is_some_and(|other| is_one(&other));
        if let Some(first) = plan::impossible_start(digits)
            && !has_other_form(plan::is_valid)
        {
            return Err(no_part(first));
        }
        match plan::impossible_length(digits) {
            Some(length) if !has_other_form(|other| plan::impossible_length(other).is_none()) => {
                Err(refusal(&format!("no number of that country has {length} digits behind the country code")))
            }
            _ => Ok(number),
        }
    }

    fn of_digits(digits: &str) -> Result<Self, ParseError> {
        match digits.len() {
            16.. => Err(refusal("it has more than 15 digits")),
            ..7 => Err(refusal("it has fewer than 7 digits")),
            _ if digits.starts_with('0') => Err(refusal("a country code does not begin with 0")),
            _ => Ok(Self(format!("+{digits}"))),
        }
    }
}

fn refusal(why: &str) -> ParseError {
    ParseError(format!("must be a phone number in international form such as +14155550123: {why}"))
}

/// Refuses a digit that is dialled only inside a country, or never was.
fn no_part(first: char) -> ParseError {
    refusal(&format!(
        "the {first} behind the country code is no part of a number of that country: leave it out and check the \
         digits behind it"
    ))
}

/// What stands behind `+` or `00`.
fn international_digits(typed: &str) -> &str {
    typed.strip_prefix('+').or_else(|| typed.strip_prefix("00")).unwrap_or(typed)
}

/// How well an international number is known, in whichever way it is written.
fn fit(digits: &str) -> Fit {
    let as_typed = plan::fit(digits);
    if as_typed.is_known() {
        return as_typed;
    }
    let others = [other_form(digits), plan::without_trunk_prefix(digits)];
    others.into_iter().flatten().map(|other| plan::fit(&other)).fold(as_typed, Fit::max)
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Phone {
    type Err = ParseError;

    /// Takes what people paste and spreadsheets write: blanks, dashes, dots, slashes, brackets and what cannot be seen
    /// are dropped, digits of any script are read, `00` stands for `+`, a link or quotation marks around the number
    /// count for nothing, and neither do the `.0` of a data frame and the 0 that is dialled only inside the country.
    /// Digits that no plan knows are a number too, but not behind a whole one, nor after a 0 that is part of none, nor
    /// more or fewer than numbers of the country have.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse_in_country(text, None)
    }
}

impl TryFrom<String> for Phone {
    type Error = ParseError;

    /// What is stored was parsed before.
    fn try_from(text: String) -> Result<Self, ParseError> {
        Self::from_e164(&text)
    }
}

impl From<Phone> for String {
    fn from(phone: Phone) -> Self {
        phone.0
    }
}

#[cfg(test)]
mod tests;
