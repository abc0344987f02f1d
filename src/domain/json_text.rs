//! JSON as people and programs hand it in: in any form of Unicode, and if it is none, a sentence that says what it is.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::file_kind::FileKind;
use super::foreign;
use super::unicode_form::{UnicodeForm, json_as_utf8};

/// Why bytes are no JSON, as the end of a sentence about them: "is not JSON: …" is its whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson(String);

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotJson {}

/// Reads JSON in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.
///
/// # Errors
/// What the bytes are instead, as far as it can be recognized, and where the mistake is, by line and column.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, NotJson> {
    let text = json_as_utf8(bytes);
    serde_json::from_slice(&text).map_err(|error| NotJson(what_else(&text, &error)))
}

/// Reads a value as [`parse`] does, but none in which an object has a key twice: RFC 8259, section 4, leaves it open
/// which of the two counts, so one of them would be lost silently.
///
/// # Errors
/// As [`parse`], and the key that is there twice.
pub fn parse_value(bytes: &[u8]) -> Result<Value, NotJson> {
    parse::<Unambiguous>(bytes).map(|value| value.0)
}

/// A value whose objects have each key once.
struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unambiguous(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            // The parser adds the line and the column, which are those of the key as long as its value is not read.
            if fields.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "the key `{key}` is there twice in one object, and one of the two would be lost: the second is"
                )));
            }
            let Unambiguous(value) = entries.next_value()?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

/// What a text is that is no JSON.
fn what_else(bytes: &[u8], error: &serde_json::Error) -> String {
    let place = || match (error.line(), error.column()) {
        // Of a line break it says that it is on the line behind it.
        (line @ 2.., 0) => format!("the end of line {}", line - 1),
        (line, column) => format!("line {line}, column {column}"),
    };
    if error.is_data() {
        return error.to_string();
    }
    if let Some((form, _)) = UnicodeForm::marked(bytes) {
        return format!("it begins as {} and does not go on so: save it as UTF-8", form.name());
    }
    if let Some(kind) = FileKind::of(bytes) {
        return format!("it is {}", kind.name);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        let good = std::str::from_utf8(bytes).err().map_or(0, |error| error.valid_up_to());
        let line = memchr::memchr_iter(b'\n', &bytes[..good]).count() + 1;
        return format!("line {line} has a character that is not in UTF-8: save it as UTF-8");
    };
    let begin = text.trim_start();
    if begin.is_empty() {
        return "it is empty".to_owned();
    }
    if begin.starts_with("```") {
        let fences = text.lines().zip(1..).filter(|(line, _)| line.trim_start().starts_with("```"));
        let lines: Vec<u64> = fences.map(|(_, line)| line).collect();
        let behind = lines.get(1).map(|line| format!(" and line {line}")).unwrap_or_default();
        return format!(
            "it is wrapped in the marks of a chat: take out line {}{behind}, which have ```",
            lines.first().unwrap_or(&1)
        );
    }
    if ["export ", "module.exports", "const ", "var ", "let ", "import "].iter().any(|word| begin.starts_with(word)) {
        return "it is a program: hand in the value that it makes, as JSON".to_owned();
    }
    if let Some(what) = yaml(begin) {
        return what;
    }
    if is_table(begin) {
        return "it is a table (CSV): contacts go in by `qyvo contacts import`".to_owned();
    }
    match mistake(text, error) {
        Some(what) => format!("{what}, at {}", place()),
        None if error.is_eof() => format!("it ends too early, at {}: is the end of it missing?", place()),
        None => error.to_string(),
    }
}

/// Says that a text is YAML, if its first lines look so.
fn yaml(text: &str) -> Option<String> {
    let is_key = |line: &str| {
        let key = line.split_once(':').filter(|(_, rest)| rest.is_empty() || rest.starts_with(' '));
        key.is_some_and(|(key, _)| {
            !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$' | ' '))
        })
    };
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).take(5);
    let is_of_yaml = |line: &str| line.starts_with([' ', '\t', '-']) || is_key(line);
    let first = lines.next()?;
    let begins = first.trim_end() == "---" || is_key(first.strip_prefix("- ").unwrap_or(first));
    // One line alone may be any sentence with a colon in it.
    if !begins || lines.clone().next().is_none() || !lines.all(is_of_yaml) {
        return None;
    }
    let what = foreign::program_of_yaml(text).map(|sentence| format!(" {sentence}")).unwrap_or_default();
    Some(format!("it is YAML: write it as JSON.{what}").trim_end_matches('.').to_owned())
}

/// Whether a text is rows of cells: the first two lines have as many of a delimiter, and no bracket of JSON.
fn is_table(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else { return false };
    let is_row = |line: &str| !line.contains(['{', '}', '[', ']']) && !line.ends_with([',', ';']);
    let has_as_many = |delimiter: char| {
        let count = first.matches(delimiter).count();
        count > 0 && count == second.matches(delimiter).count()
    };
    is_row(first) && is_row(second) && [',', ';', '\t', '|'].into_iter().any(has_as_many)
}

/// The usual mistakes of JSON that people write, by what stands where the parser stopped.
fn mistake(text: &str, error: &serde_json::Error) -> Option<String> {
    let line = text.lines().nth(error.line().checked_sub(1)?).unwrap_or_default();
    let at = line.floor_char_boundary(error.column().saturating_sub(1).min(line.len()));
    let here = &line[at..];
    let before = text_before(text, error.line(), at);
    let before = before.trim_end();
    let first = here.chars().next();
    Some(
        match first {
            Some('/' | '#') => "it has a comment, and JSON has none: take it out",
            Some('}' | ']') if before.ends_with(',') => "it has a comma before a closing bracket: take the comma out",
            Some(',') if before.ends_with(['{', '[', ',', ':']) => "it has a comma where a value should be",
            Some('\'') => "it has a text in single quotation marks, and JSON knows double ones only",
            Some('“' | '”' | '„' | '‘' | '’' | '«') => {
                "it has typographic quotation marks, as word processors make them: write plain ones"
            }
            Some('"') if error.to_string().starts_with("expected `,`") => "a comma is missing before it",
            Some(c) if (c.is_alphabetic() || c == '_') && error.to_string().starts_with("key must") => {
                "it has a key without quotation marks"
            }
            _ if here.starts_with("True") || here.starts_with("False") || here.starts_with("None") => {
                "it has a word of Python: write true, false or null"
            }
            _ if ["NaN", "Infinity", "undefined"].iter().any(|word| here.starts_with(word)) => {
                "it has a word of JavaScript that JSON has not: write null"
            }
            _ if error.to_string().starts_with("trailing characters") => {
                "there is more after the end of the document: hand in one document at a time"
            }
            _ if error.to_string().starts_with("control character") => {
                "it has a line break within a text: write \\n in its place"
            }
            _ => return None,
        }
        .to_owned(),
    )
}

fn text_before(text: &str, line: usize, at: usize) -> &str {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    &text[..text.floor_char_boundary((start + at).min(text.len()))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_there_twice_is_told_with_its_line() {
        let told = |text: &str| parse_value(text.as_bytes()).map_err(|error| error.to_string());
        let twice = told("{\n  \"name\": \"a\",\n  \"nodes\": [{\"id\": 1},\n   {\"id\": 2,\n    \"id\"\n: 3}]\n}")
            .unwrap_err();
        assert!(twice.starts_with("the key `id` is there twice"), "{twice}");
        assert!(
            told("{\"a\": 1,\n \"b\": {},\n \"\\u0061\": 1}").unwrap_err().contains("line 3"),
            "escaped is the same"
        );
        for text in ["{\"a\": {\"a\": {}}, \"b\": {\"a\": 1}}", "[{\"a\": 1}, {\"a\": 1}]"] {
            assert!(told(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn values_are_read_as_the_library_reads_them() {
        for text in [
            "null",
            "[true, false, null, \"a\\u00e9\\n\", \"plain\"]",
            "[0, -0, -0.0, 1.5, 1e3, 1E-7, 18446744073709551615, 18446744073709551616, -9223372036854775808, 0.1]",
            "{\"z\": 1, \"a\": {\"\": []}}",
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(parse_value(text.as_bytes()).unwrap().to_string(), value.to_string());
        }
        for text in ["1e999", "{\"a\" 1}", "[1,]", "", "{\"a\": 1} 2"] {
            assert!(parse_value(text.as_bytes()).is_err(), "{text}");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(parse_value(deep.as_bytes()).is_err());
    }
}
