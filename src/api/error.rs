//! What a request is answered when it fails: one table from our errors to HTTP.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Map, Value, json};

use crate::domain::Scope;
use crate::error::{Code, Error};

/// Seconds after which a refused request may come again.
const RETRY_AFTER: u64 = 1;
/// The key of the limit on requests, as it is named to callers.
pub(super) const REQUESTS: &str = "limits.requests_per_minute";

/// What to do about an idempotency key that came back with another request.
pub(super) const NEW_KEY: &str =
    "Make a new key for each thing that you want done, and send the same key only when you retry it.";

/// A request that is more than a limit leaves room for. Nothing of it was done.
#[derive(Debug)]
pub(super) struct OverLimit {
    /// The key of the limit.
    pub(super) limit: &'static str,
    /// What the limit allows and the request asks for, without a stop.
    pub(super) error: String,
    /// Seconds until there is room; `None`: it is more than the limit ever has room for.
    pub(super) retry_after: Option<u64>,
}

/// A failed request.
#[derive(Debug)]
pub(super) enum ApiError {
    /// No token, or one that does not exist or was revoked.
    Unauthenticated,
    /// The token's scope does not reach.
    Forbidden(Scope),
    /// Too many requests in a minute; seconds until the next may come.
    TooManyRequests { retry_after: u64, limit: u32 },
    /// More than a limit leaves room for.
    OverLimit(OverLimit),
    /// Too many wrong passwords; seconds until the next may come.
    TooManyGuesses { retry_after: u64 },
    /// A page did not prove that it is ours.
    CrossSite,
    /// An idempotency key came back with another request.
    KeyReused,
    /// A body is in a coding that is not taken.
    UnknownCoding(String),
    /// A rule of the product forbids it.
    Refused { status: StatusCode, error: String, extra: Map<String, Value> },
    /// Fields are wrong: each with its sentences, in the order found.
    Validation(Vec<(String, String)>),
    /// An error from below.
    Failed(Error),
}

impl ApiError {
    /// A refusal with its text.
    pub(super) fn refused(status: StatusCode, error: impl Into<String>) -> Self {
        Self::Refused { status, error: error.into(), extra: Map::new() }
    }

    /// 404 with its text.
    pub(super) fn not_found(error: &str) -> Self {
        Self::refused(StatusCode::NOT_FOUND, error)
    }

    /// 404 for a path that no route and no file has.
    pub(super) fn nothing_at(path: &str) -> Self {
        Self::not_found(&format!("There is nothing at {path}."))
    }

    /// The same refusal with another key beside `error`.
    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        if let Self::Refused { extra, .. } = &mut self {
            extra.insert(key.to_owned(), value.into());
        }
        self
    }

    /// The same refusal with a sentence that says what to do.
    pub(super) fn hint(self, hint: &str) -> Self {
        self.with("hint", hint)
    }

    /// The body of the answer. `request_id` is shown where only the log has more.
    pub(super) fn body(&self, request_id: Option<&str>) -> Value {
        match self {
            Self::Unauthenticated => json!({"message": "Unauthenticated."}),
            Self::Forbidden(scope) => json!({"error": format!("This token lacks the scope `{scope}`.")}),
            Self::TooManyRequests { retry_after, limit } => json!({
                "error": format!("Too many requests; try again in {retry_after} s."),
                "hint": format!("The token may make {limit} requests a minute. Its own rate limit, or else \
                    `{REQUESTS}`, can be raised."),
                "limit": REQUESTS,
            }),
            Self::OverLimit(OverLimit { limit, error, retry_after }) => match retry_after {
                Some(wait) => json!({
                    "error": format!("{error}; try again in {wait} s."),
                    "hint": format!("Nothing of it was done. Send it again then, or have `{limit}` raised."),
                    "limit": limit,
                }),
                None => json!({
                    "error": format!("{error}."),
                    "hint": format!("Nothing of it was done. Send it in smaller parts, or have `{limit}` raised."),
                    "limit": limit,
                }),
            },
            Self::TooManyGuesses { retry_after } => {
                json!({"error": format!("Too many wrong attempts; try again in {retry_after} s.")})
            }
            Self::CrossSite => json!({
                "error": "The header X-CSRF-Token is missing or wrong.",
                "hint": "Send the csrf_token of GET /admin/session, or use a token instead of the cookie."
            }),
            Self::KeyReused => json!({
                "error": "This Idempotency-Key was used with another body.",
                "hint": NEW_KEY,
            }),
            Self::UnknownCoding(coding) => json!({
                "error": format!("The body has the Content-Encoding `{coding}`, which is not taken."),
                "hint": "Send it as it is, or compressed by gzip alone.",
            }),
            Self::Refused { error, extra, .. } => {
                let mut body = json!({"error": error});
                body.as_object_mut().into_iter().for_each(|fields| fields.extend(extra.clone()));
                body
            }
            Self::Validation(errors) => {
                let mut fields = Map::new();
                for (field, sentence) in errors {
                    let list = fields.entry(field.clone()).or_insert_with(|| json!([]));
                    list.as_array_mut().into_iter().for_each(|list| list.push(json!(sentence)));
                }
                json!({"message": "The given data was invalid.", "errors": fields})
            }
            Self::Failed(error) => match error.code() {
                Code::Internal => json!({"error": "Internal server error", "request_id": request_id}),
                Code::OutcomeUnknown => json!({
                    "error": "Outcome unknown: look whether it happened before you try again.",
                    "request_id": request_id
                }),
                _ => json!({"error": error.message()}),
            },
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            other => other.body(None).fmt(f),
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::TooManyRequests { .. } | Self::TooManyGuesses { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::OverLimit(OverLimit { retry_after: Some(_), .. }) => StatusCode::TOO_MANY_REQUESTS,
            Self::OverLimit(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownCoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Refused { status, .. } => *status,
            Self::KeyReused | Self::Validation(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Failed(error) => match error.code() {
                Code::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
                Code::NotFound => StatusCode::NOT_FOUND,
                Code::Conflict => StatusCode::CONFLICT,
                Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                Code::OutcomeUnknown | Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::Unauthenticated => {
                response.insert_header((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
            }
            Self::TooManyRequests { retry_after, limit } => {
                response.insert_header((header::RETRY_AFTER, retry_after.to_string()));
                response.insert_header(("X-RateLimit-Limit", limit.to_string()));
                response.insert_header(("X-RateLimit-Remaining", "0"));
            }
            Self::TooManyGuesses { retry_after }
            | Self::OverLimit(OverLimit { retry_after: Some(retry_after), .. }) => {
                response.insert_header((header::RETRY_AFTER, retry_after.to_string()));
            }
            // Says what is taken (RFC 9110, section 12.5.3).
            Self::UnknownCoding(_) => {
                response.insert_header((header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, identity")));
            }
            Self::Failed(error) if error.code() == Code::Unavailable => {
                response.insert_header((header::RETRY_AFTER, RETRY_AFTER.to_string()));
            }
            _ => {}
        }
        response.json(self.body(None))
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
