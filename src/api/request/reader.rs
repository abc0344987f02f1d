//! What reading the fields of a body and reading the parameters of a query have in common.

use std::str::FromStr;

use super::page::{CURSOR, Page};
use crate::api::error::ApiError;
use crate::domain::ParseError;

/// Reads named texts one by one, and gathers what is wrong until [`Reader::finish`].
pub(in crate::api) trait Reader: Sized {
    /// A text: part of the body, or decoded from the query.
    type Text: AsRef<str>;

    /// A text; an empty one counts as absent.
    fn text(&mut self, name: &'static str) -> Option<Self::Text>;

    /// The rows that a list is asked for, `limit`.
    fn limit(&mut self) -> u32;

    /// Notes an error.
    fn fail(&mut self, name: &str, sentence: impl Into<String>);

    /// What is wrong, in the order in which it was found.
    fn into_errors(self) -> Vec<(String, String)>;

    /// A text that is parsed; its error says "must be …".
    fn parsed<T: FromStr<Err = ParseError>>(&mut self, name: &'static str) -> Option<T> {
        let text = self.text(name)?;
        self.parse(name, text.as_ref())
    }

    /// Parses a text that was read under a name.
    fn parse<T: FromStr<Err = ParseError>>(&mut self, name: &'static str, text: &str) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(name, format!("The {} {error}.", label(name)));
                None
            }
        }
    }

    /// One of a few words.
    fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let chosen = choices.iter().find(|(word, _)| *word == text.as_ref()).map(|(_, value)| *value);
        if chosen.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.fail(name, format!("The selected {} is invalid: use one of {}.", label(name), words.join(", ")));
        }
        chosen
    }

    /// A `cursor` that is read by this list alone.
    fn cursor<T>(&mut self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let cursor = read(self.text("cursor")?.as_ref());
        if cursor.is_none() {
            self.fail("cursor", CURSOR);
        }
        cursor
    }

    /// `limit`, and a `cursor` that is a row's number.
    fn page(&mut self) -> Page {
        let limit = self.limit();
        Page { limit, cursor: self.cursor(|cursor| cursor.parse().ok().filter(|row: &i64| *row >= 0)) }
    }

    /// All errors at once, or none.
    fn finish(self) -> Result<(), ApiError> {
        self.finish_with(|| Some(()))
    }

    /// All errors at once, or what was read. `value` is `None` only where something is missing, which is among the
    /// errors then.
    fn finish_with<T>(self, value: impl FnOnce() -> Option<T>) -> Result<T, ApiError> {
        let errors = self.into_errors();
        let value = if errors.is_empty() { value() } else { None };
        value.ok_or(ApiError::Validation(errors))
    }
}

/// A field's name in a sentence: `flow_id` is "flow id".
pub(super) fn label(name: &str) -> String {
    name.replace('_', " ")
}
