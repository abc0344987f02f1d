//! Reading what people type, paste and export as a phone number.
//!
//! What may stand between digits is dropped, what cannot be part of a number is refused with a sentence. A number must
//! never become another one: a fraction, an extension or a second number is no further digits.

use std::borrow::Cow;
use std::iter::once;
use std::ops::RangeInclusive;

use unicode_normalization::UnicodeNormalization;

use super::plan::Fit;
use crate::domain::text::ascii_digit;
use crate::domain::unseen::is_unseen;

/// A number as it was typed, without what stands between digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typed {
    /// The digits, behind `+` or `00` if it is international.
    pub(super) digits: String,
    /// It begins with the country's code.
    pub(super) is_international: bool,
    /// The same without a 0 in brackets, which is left out when one calls from abroad.
    pub(super) without_bracketed_zero: Option<String>,
}

/// Quotation marks and the like that spreadsheets put around a number to keep it a text.
const QUOTES: &[char] = &['\'', '"', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2bc}', '`', '\u{b4}'];
/// What stands before a number in a link.
const SCHEMES: [&str; 5] = ["tel:", "sms:", "callto:", "whatsapp:", "skype:"];
/// What stands before the digits in a link to a chat, which are international without a `+`.
const CHAT_LINKS: [&str; 4] =
    ["wa.me/", "api.whatsapp.com/send?phone=", "api.whatsapp.com/send/?phone=", "send?phone="];
/// What stands behind the digits in the ids of WhatsApp Web.
const CHAT_IDS: [&str; 2] = ["@s.whatsapp.net", "@c.us"];

/// How many points are looked at behind which a fraction may begin.
const MAX_POINTS: usize = 16;
/// The digits of the shortest number, and of the longest one with what is dialled before it.
const DIGITS: RangeInclusive<usize> = 7..=24;

/// Reads a number. `fit` returns how well a number is known, so that what follows a whole one is something else.
///
/// # Errors
/// Why it is no number, for the person who sent it.
pub(super) fn read(text: &str, fit: impl Fn(&Typed) -> Fit) -> Result<Typed, &'static str> {
    // What is neither a digit nor ASCII yet may become so: full-width forms, blanks of any width.
    let seen: Cow<'_, str> = match text.is_ascii() {
        true => text.into(),
        false if text.chars().any(is_digit_of_a_note) => {
            return Err("it has a raised or circled digit, which is no part of a number: leave it out");
        }
        false => text.nfkc().filter(|c| !is_unseen(*c)).map(as_ascii).collect(),
    };
    let (number, is_link) = without_surroundings(&seen);
    let gather = |number: &str| {
        gather(number).map(|typed| Typed { is_international: is_link || typed.is_international, ..typed })
    };
    let fit = |number: &str| gather(number).map_or(Fit::Unknown, |typed| fit(&typed));
    let number = without_fraction(number, fit)?;
    if let Some((head, _)) = number.split_once('/')
        && digits_in(head) >= 9
        && fit(head).is_known()
    {
        return Err("there are two numbers in it");
    }
    let typed = gather(number)?;
    refuse_excess(number, fit)?;
    Ok(typed)
}

/// Whether a character is a digit only in its compatible form: raised, lowered, circled, in brackets or with a dot.
/// Those number notes, and stand behind what the note belongs to.
fn is_digit_of_a_note(c: char) -> bool {
    let is_decimal = ascii_digit(c).is_some() || matches!(c, '\u{1d7ce}'..='\u{1d7ff}' | '\u{1fbf0}'..='\u{1fbf9}');
    c.is_numeric() && !is_decimal && once(c).nfkc().any(|c| c.is_ascii_digit())
}

/// Digits of any script, and the point in the middle of the line, as ASCII has them.
fn as_ascii(c: char) -> char {
    if c == '\u{b7}' { '.' } else { ascii_digit(c).unwrap_or(c) }
}

fn digits_in(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

/// The number without quotation marks, and without what makes a link of it; and whether that link has no `+`.
fn without_surroundings(text: &str) -> (&str, bool) {
    let mut number = text.trim().trim_start_matches('=').trim_matches(QUOTES).trim();
    let after = |number: &str, what: &str| {
        let start = number.get(..what.len())?;
        start.eq_ignore_ascii_case(what).then_some(what.len())
    };
    for start in ["https://", "http://", "whatsapp://", "www."] {
        if let Some(length) = after(number, start) {
            number = &number[length..];
        }
    }
    if let Some(length) = CHAT_LINKS.iter().find_map(|link| after(number, link)) {
        let digits = &number[length..];
        let end = digits.find(['?', '&', '/', '#']).unwrap_or(digits.len());
        return (&digits[..end], true);
    }
    if let Some(id) = CHAT_IDS.iter().find_map(|id| number.strip_suffix(id)) {
        return (id, true);
    }
    let number = SCHEMES.iter().find_map(|scheme| after(number, scheme)).map_or(number, |length| &number[length..]);
    (number.trim(), false)
}

/// Takes off the zeros that spreadsheets and data frames put behind the decimal point of a number, some of them twice,
/// and refuses what they rounded.
fn without_fraction(number: &str, fit: impl Fn(&str) -> Fit) -> Result<&str, &'static str> {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let bytes = number.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let is_exponent = matches!(byte, b'e' | b'E') && at > 0 && is_digit(bytes.get(at - 1));
        if is_exponent && (is_digit(bytes.get(at + 1)) || matches!(bytes.get(at + 1), Some(b'+'))) {
            return Err("a spreadsheet has rounded it, so that its last digits are lost: make the column text");
        }
    }
    let number = number.trim_end_matches(['.', ' ', '\t']);
    let Some((last, _)) = number.char_indices().rfind(|(_, c)| is_point(*c)) else {
        return Ok(number);
    };
    // Behind the last digit that is not 0, and the zeros that belong to it.
    let zeros_from = number.trim_end_matches(|c: char| c == '0' || is_blank(c) || is_point(c)).len();
    let first = number[zeros_from..].find(is_point).map_or(last, |at| zeros_from + at);
    let starts = number[first..].char_indices().filter(|(_, c)| is_point(*c)).map(|(at, _)| first + at);
    for start in starts.take(MAX_POINTS) {
        if is_fraction(number, start, start == first, &fit) {
            return Ok(number[..start].trim_end_matches(is_between));
        }
    }
    let head = number[..last].trim_end_matches(is_blank);
    let tail = number[last..].trim_start_matches(is_between);
    let is_digits = tail.bytes().all(|byte| byte.is_ascii_digit());
    match tail.len() {
        1 if tail == "0" && head.contains(is_point) && fit(number).is_known() => Ok(number),
        1 if is_digits => Err("it has a decimal fraction"),
        2 if is_digits && (plain_digits(head) >= 7 || fit(head).is_known()) => Err("it has a decimal fraction"),
        _ => Ok(number),
    }
}

/// Whether nothing but the zeros of a fraction stands behind a point. `is_first`: no point before it could begin them.
fn is_fraction(number: &str, point: usize, is_first: bool, fit: impl Fn(&str) -> Fit) -> bool {
    let head = number[..point].trim_end_matches(is_between);
    let mut zeros = number[point..].split(is_between).filter(|part| !part.is_empty());
    let Some(group) = zeros.next().filter(|group| group.bytes().all(|byte| byte == b'0')) else { return false };
    let is_one_group = zeros.next().is_none();
    let plain = plain_digits(head);
    let is_known = || fit(head).is_known();
    match (is_one_group, group.len()) {
        // A number does not end with a group of one digit, unless all of its digits stand by themselves.
        (true, 1) => plain >= 7 || (!ends_with_single(head) && (is_known() || (is_first && !fit(number).is_known()))),
        (_, 1 | 2) => plain >= 7 || is_known(),
        // Three and more may be a group of a number that is written with points.
        (true, _) => plain >= 10 || (is_known() && !fit(number).is_known()),
        (false, _) => is_known(),
    }
}

/// Whether the last digit stands behind a point, by itself.
fn ends_with_single(number: &str) -> bool {
    let mut last = number.chars().rev();
    last.next().is_some_and(|c| c.is_ascii_digit()) && last.next().is_some_and(is_between)
}

/// How many digits a number has that is written without anything between them; 0 if there is something.
fn plain_digits(number: &str) -> usize {
    let plain = number.strip_prefix('+').unwrap_or(number);
    if plain.bytes().all(|byte| byte.is_ascii_digit()) { plain.len() } else { 0 }
}

fn is_point(c: char) -> bool {
    matches!(c, '.' | ',' | '\u{66b}')
}

/// What stands between the parts of a fraction.
fn is_between(c: char) -> bool {
    is_point(c) || is_blank(c)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// Refuses digits behind a number that is whole without them: they are a second number, an extension or a note, and
/// would make another person's number of it.
fn refuse_excess(number: &str, fit: impl Fn(&str) -> Fit) -> Result<(), &'static str> {
    let groups = groups(number);
    if groups.len() < 2 {
        return Ok(());
    }
    let of_all = fit(number);
    // Of single digits at the end all are behind the number, unless the whole number is written digit by digit.
    let singles = groups.iter().rev().take_while(|(_, group)| group.len() == 1).count();
    let mut digits = 0;
    for (at, pair) in groups.windows(2).enumerate() {
        let [(start, group), (next, _)] = *pair else { continue };
        digits += group.len();
        if digits < *DIGITS.start() {
            continue;
        }
        if digits > *DIGITS.end() {
            break;
        }
        let (head, between) = number[..next].split_at(start + group.len());
        let (behind, of_head) = (groups.len() - at - 1, fit(head));
        let is_behind = of_head.is_known() || (behind == 1 && !of_all.is_known());
        if is_behind && between.contains(['(', '[']) {
            return Err("it has digits in brackets behind the number, which must be left out");
        }
        if behind == singles && of_head == Fit::Mobile {
            return Err(
                "a single digit stands behind a whole number: leave it out, or join it to the digits before it",
            );
        }
        if (of_head.is_known() && !of_all.is_known()) || (of_head > Fit::Unknown && of_all == Fit::Unknown) {
            return Err("it has more digits than a number of that country: leave out what stands behind the number");
        }
    }
    Ok(())
}

/// The groups of digits, and where each begins.
fn groups(number: &str) -> Vec<(usize, &str)> {
    let is_digit = |c: char| c.is_ascii_digit();
    let mut groups = Vec::new();
    let mut end = 0;
    while let Some(start) = number[end..].find(is_digit).map(|at| end + at) {
        end = number[start..].find(|c| !is_digit(c)).map_or(number.len(), |at| start + at);
        groups.push((start, &number[start..end]));
    }
    groups
}

/// Puts the digits together.
fn gather(number: &str) -> Result<Typed, &'static str> {
    let mut digits = String::with_capacity(number.len());
    let mut bracketed_zero = None;
    let mut open = None;
    for c in number.trim().chars() {
        match c {
            '+' if digits.is_empty() && open.is_none() => digits.push('+'),
            '+' => return Err("there are two numbers in it"),
            '(' | '[' => open = Some(digits.len()),
            ')' | ']' => {
                if let Some(at) = open.take()
                    && &digits[at..] == "0"
                {
                    bracketed_zero = Some(at);
                }
            }
            ' ' | '\t' | '-' | '.' | '/' | '\u{2010}'..='\u{2015}' | '\u{2212}' => {}
            _ if c.is_ascii_digit() => digits.push(c),
            ',' | ';' | '#' | '*' | '|' | '\n' | '\r' => {
                return Err("it has an extension or a second number behind it, which must be left out");
            }
            _ if c.is_alphabetic() && digits.len() >= 7 && has_extension(number) => {
                return Err("it has an extension behind it, and messages go to no extension: leave it out");
            }
            _ => return Err("it has characters that no number has"),
        }
    }
    // "+0049 ..." says twice that it is international.
    if let Some(rest) = digits.strip_prefix("+00") {
        digits = format!("+{rest}");
        bracketed_zero = None;
    }
    let is_international = digits.starts_with('+') || digits.starts_with("00");
    let without_bracketed_zero = bracketed_zero.map(|at| {
        let mut without = digits.clone();
        without.remove(at);
        without
    });
    Ok(Typed { digits, is_international, without_bracketed_zero })
}

/// Whether letters behind a number say that an extension follows: its last characters are digits.
fn has_extension(number: &str) -> bool {
    number.trim_end_matches([')', '.', ' ']).ends_with(|c: char| c.is_ascii_digit())
}
