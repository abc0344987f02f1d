//! Fields of Meta's JSON, read leniently: one is written as a string here and as a number there.

use serde_json::Value;

use crate::channels::incoming::Item;
use crate::domain::Timestamp;

/// What cannot be read, and why.
pub(super) fn unknown(why: &str, raw: Value) -> Item {
    Item::Unknown { why: why.to_owned(), raw }
}

/// A text that is not blank, or a number that stands where a text should.
pub(super) fn text(value: Option<&Value>, key: &str) -> Option<String> {
    match value?.get(key)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A number as WhatsApp knows it. Numbering plans are not asked: they call some of them invalid.
pub(super) fn number(value: &Value, key: &str) -> Option<String> {
    let text = text(Some(value), key)?;
    let digits = text.trim().trim_start_matches('+');
    let is_number = (5..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.to_owned())
}

/// A business-scoped id: a country's two letters, a dot, and up to 128 characters (`US.1349…`, `US.ENT.1181…`).
pub(super) fn scoped_id(value: &Value, key: &str) -> Option<String> {
    text(Some(value), key).filter(|id| is_scoped_id(id))
}

/// Whether a text has the form of a business-scoped id.
pub(super) fn is_scoped_id(id: &str) -> bool {
    let Some((country, rest)) = id.split_once('.') else { return false };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && (1..=160).contains(&rest.len())
        && rest.bytes().all(is_plain)
}

/// When something was, in seconds since 1970; `None` for what no calendar has.
pub(super) fn timestamp(value: &Value) -> Option<Timestamp> {
    let seconds: i64 = text(Some(value), "timestamp")?.trim().parse().ok()?;
    (1..=253_402_207_199).contains(&seconds).then(|| Timestamp::from_millis(seconds * 1000))
}
