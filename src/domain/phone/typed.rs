//! Reading what people type, paste and export as a phone number.
//!
//! What may stand between digits is dropped, what cannot be part of a number is refused with a sentence. A number must
//! never become another one: a fraction, an extension or a second number is no further digits.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::super::text::ascii_digit;
use super::super::unseen::is_unseen;

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

/// Reads a number. `is_whole` tells whether a text is a whole number by itself, so that what follows it is something
/// else.
///
/// # Errors
/// Why it is no number, for the person who sent it.
pub(super) fn read(text: &str, is_whole: impl Fn(&Typed) -> bool) -> Result<Typed, &'static str> {
    // What is neither a digit nor ASCII yet may become so: full-width forms, blanks of any width.
    let seen: Cow<'_, str> = match text.is_ascii() {
        true => text.into(),
        false => text.nfkc().filter(|c| !is_unseen(*c)).map(|c| ascii_digit(c).unwrap_or(c)).collect(),
    };
    let (number, is_link) = without_surroundings(&seen);
    let number = without_fraction(number, |head| gather(head).is_ok_and(|head| is_whole(&head)))?;
    if let Some((head, _)) = number.split_once('/')
        && gather(head).is_ok_and(|head| head.digits.len() >= 9 && is_whole(&head))
    {
        return Err("there are two numbers in it");
    }
    let mut typed = gather(number)?;
    if is_link && !typed.is_international {
        typed.is_international = true;
    }
    Ok(typed)
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

/// Takes off the zeros that spreadsheets and data frames put behind the decimal point of a number, and refuses what
/// they rounded.
fn without_fraction(number: &str, is_whole: impl Fn(&str) -> bool) -> Result<&str, &'static str> {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let bytes = number.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let is_exponent = matches!(byte, b'e' | b'E') && at > 0 && is_digit(bytes.get(at - 1));
        if is_exponent && (is_digit(bytes.get(at + 1)) || matches!(bytes.get(at + 1), Some(b'+'))) {
            return Err("a spreadsheet has rounded it, so that its last digits are lost: make the column text");
        }
    }
    let Some((at, point)) = number.char_indices().rfind(|(_, c)| matches!(c, '.' | ',' | '\u{66b}')) else {
        return Ok(number);
    };
    let (head, tail) = (&number[..at], &number[at + point.len_utf8()..]);
    if tail.is_empty() || !tail.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(number);
    }
    let plain = head.strip_prefix('+').unwrap_or(head);
    let is_plain = plain.len() >= 7 && plain.bytes().all(|byte| byte.is_ascii_digit());
    let is_long = is_plain && plain.len() >= 10;
    let is_zero = tail.bytes().all(|byte| byte == b'0');
    match tail.len() {
        1 if is_zero => Ok(head),
        1 => Err("it has a decimal fraction"),
        2 if is_plain || is_whole(head) => {
            if is_zero {
                Ok(head)
            } else {
                Err("it has a decimal fraction")
            }
        }
        _ if is_zero && is_long => Ok(head),
        _ => Ok(number),
    }
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
            ' ' | '\t' | '-' | '.' | '/' | '\u{b7}' | '\u{2010}'..='\u{2015}' | '\u{2212}' => {}
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
