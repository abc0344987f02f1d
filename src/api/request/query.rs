//! The parameters of a query, read one by one, with all their errors at once.

use std::ops::RangeInclusive;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};

use super::page::{DEFAULT_LIMIT, MAX_LIMIT, Page};
use super::reader::{Reader, label};
use crate::api::error::ApiError;

impl Page {
    /// Reads `limit` and `cursor` from a query that has nothing else.
    pub(in crate::api) fn read(request: &HttpRequest) -> Result<Self, ApiError> {
        let mut query = Query::read(request)?;
        let page = query.page();
        query.finish()?;
        Ok(page)
    }
}

/// The parameters of a query, read one by one. Those that are not known are refused, unless the reading is lenient.
pub(in crate::api) struct Query {
    parameters: Vec<(String, String)>,
    known: Vec<&'static str>,
    is_lenient: bool,
    errors: Vec<(String, String)>,
}

impl Query {
    /// Splits the query.
    pub(in crate::api) fn read(request: &HttpRequest) -> Result<Self, ApiError> {
        let parameters = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
            .map_err(|_| ApiError::refused(StatusCode::BAD_REQUEST, "The query cannot be read."))?
            .into_inner();
        Ok(Self { parameters, known: Vec::new(), is_lenient: false, errors: Vec::new() })
    }

    /// Splits the query of the public API, where parameters that are not known are let pass.
    pub(in crate::api) fn read_leniently(request: &HttpRequest) -> Result<Self, ApiError> {
        Ok(Self { is_lenient: true, ..Self::read(request)? })
    }

    /// Whether a parameter was sent.
    pub(in crate::api) fn has(&self, name: &str) -> bool {
        self.parameters.iter().any(|(key, _)| key == name)
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
}

impl Reader for Query {
    type Text = String;

    /// A parameter's text. Of several of a name the last counts.
    fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let found = self.parameters.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.trim().is_empty())
    }

    fn limit(&mut self) -> u32 {
        let limit = self.number("limit", 1..=i64::from(MAX_LIMIT)).and_then(|limit| u32::try_from(limit).ok());
        limit.unwrap_or(DEFAULT_LIMIT)
    }

    fn fail(&mut self, name: &str, sentence: impl Into<String>) {
        self.errors.push((name.to_owned(), sentence.into()));
    }

    fn into_errors(mut self) -> Vec<(String, String)> {
        let unknown = self.parameters.iter().filter(|(name, _)| !self.known.contains(&name.as_str()));
        if !self.is_lenient {
            self.errors
                .extend(unknown.map(|(name, _)| (name.clone(), format!("The {name} parameter is not known here."))));
        }
        self.errors
    }
}
