//! The parameters of a query, read one by one, with all their errors at once.

use std::ops::RangeInclusive;
use std::str::FromStr;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};

use super::page::{CURSOR, DEFAULT_LIMIT, MAX_LIMIT, Page};
use super::sentences::{label, not_a_choice};
use crate::api::error::ApiError;
use crate::domain::ParseError;

impl Page {
    /// Reads `limit` and `cursor` from a query that has nothing else.
    pub(in crate::api) fn read(request: &HttpRequest) -> Result<Self, ApiError> {
        let mut query = Query::read(request)?;
        let page = query.page();
        query.finish()?;
        Ok(page)
    }
}

/// The parameters of a query, read one by one; what is wrong is gathered until [`Query::finish`], which refuses
/// parameters that nobody asked for.
pub(in crate::api) struct Query {
    parameters: Vec<(String, String)>,
    known: Vec<&'static str>,
    errors: Vec<(String, String)>,
}

impl Query {
    /// Splits the query.
    pub(in crate::api) fn read(request: &HttpRequest) -> Result<Self, ApiError> {
        let parameters = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
            .map_err(|_| ApiError::refused(StatusCode::BAD_REQUEST, "The query cannot be read."))?
            .into_inner();
        Ok(Self { parameters, known: Vec::new(), errors: Vec::new() })
    }

    /// Whether a parameter was sent.
    pub(in crate::api) fn has(&self, name: &str) -> bool {
        self.parameters.iter().any(|(key, _)| key == name)
    }

    /// A parameter's text; an empty one counts as absent, and of several the last counts.
    pub(in crate::api) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let found = self.parameters.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.trim().is_empty())
    }

    /// A parameter that is parsed; its error says "must be …".
    pub(in crate::api) fn parsed<T: FromStr<Err = ParseError>>(&mut self, name: &'static str) -> Option<T> {
        match self.text(name)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(name, format!("The {} {error}.", label(name)));
                None
            }
        }
    }

    /// A whole number within a range.
    pub(in crate::api) fn number(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        match self.text(name)?.parse() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                self.fail(name, format!("The {} must be {} to {}.", label(name), range.start(), range.end()));
                None
            }
        }
    }

    /// One of a few words.
    pub(in crate::api) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if chosen.is_none() {
            self.fail(name, not_a_choice(name, choices.iter().map(|(word, _)| *word)));
        }
        chosen
    }

    /// `limit`.
    pub(in crate::api) fn limit(&mut self) -> u32 {
        let limit = self.number("limit", 1..=i64::from(MAX_LIMIT)).and_then(|limit| u32::try_from(limit).ok());
        limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// A `cursor` that is read by this list alone.
    pub(in crate::api) fn cursor<T>(&mut self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let cursor = read(&self.text("cursor")?);
        if cursor.is_none() {
            self.fail("cursor", CURSOR);
        }
        cursor
    }

    /// `limit` and `cursor`.
    pub(in crate::api) fn page(&mut self) -> Page {
        let limit = self.limit();
        let sent = self.text("cursor");
        let cursor = sent.as_ref().and_then(|cursor| cursor.parse().ok()).filter(|cursor: &i64| *cursor >= 0);
        if sent.is_some() && cursor.is_none() {
            self.fail("cursor", CURSOR);
        }
        Page { limit, cursor }
    }

    /// Notes an error.
    pub(in crate::api) fn fail(&mut self, name: &str, sentence: impl Into<String>) {
        self.errors.push((name.to_owned(), sentence.into()));
    }

    /// The end of reading in the public API, where parameters that are not known are let pass.
    pub(in crate::api) fn finish_with_strangers(self) -> Result<(), ApiError> {
        if self.errors.is_empty() { Ok(()) } else { Err(ApiError::Validation(self.errors)) }
    }

    /// All errors at once, or none.
    pub(in crate::api) fn finish(mut self) -> Result<(), ApiError> {
        for (name, _) in &self.parameters {
            if !self.known.contains(&name.as_str()) {
                self.errors.push((name.clone(), format!("The {name} parameter is not known here.")));
            }
        }
        if self.errors.is_empty() { Ok(()) } else { Err(ApiError::Validation(self.errors)) }
    }
}
