//! Errors as the Graph API words them.

use serde_json::{Value, json};

/// A refusal, or the reason of a failure that comes later.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphError {
    /// The HTTP status; callers should go by the code instead, as Meta says.
    pub status: u16,
    /// Meta's error code.
    pub code: i64,
    /// Meta's subcode, where one is known.
    pub subcode: Option<i64>,
    /// What was wrong, for people.
    pub details: String,
}

impl GraphError {
    /// An error by Meta's code.
    pub fn new(code: i64, details: impl Into<String>) -> Self {
        Self { status: http_status(code), code, subcode: None, details: details.into() }
    }

    /// The same with a subcode.
    pub fn with_subcode(self, subcode: i64) -> Self {
        Self { subcode: Some(subcode), ..self }
    }

    /// The body of an answer.
    pub fn body(&self) -> Value {
        let mut error = json!({
            "message": format!("(#{}) {}", self.code, title(self.code)),
            "type": "OAuthException",
            "code": self.code,
            "error_data": {"messaging_product": "whatsapp", "details": self.details},
            "fbtrace_id": "AbCdEfGhIjKlMnOpQrStUv",
        });
        if let Some(subcode) = self.subcode {
            error["error_subcode"] = subcode.into();
        }
        json!({ "error": error })
    }

    /// An item of `errors` in a webhook.
    pub fn in_webhook(&self) -> Value {
        json!({
            "code": self.code,
            "title": title(self.code),
            "message": title(self.code),
            "error_data": {"details": self.details},
            "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
        })
    }
}

/// The statuses of older copies of Meta's table, but 400 for pacing, as answers seen in the field have it.
fn http_status(code: i64) -> u16 {
    match code {
        0 | 190 => 401,
        3 | 10 | 131005 | 131031 | 368 | 200..=299 => 403,
        1 | 2 | 131000 | 131016 => 500,
        _ => 400,
    }
}

fn title(code: i64) -> &'static str {
    match code {
        1 => "API Unknown",
        2 => "API Service",
        4 => "Application request limit reached",
        100 => "Invalid parameter",
        190 => "Access token has expired",
        368 => "Temporarily blocked for policies violations",
        80007 => "Rate limit issues",
        130429 => "Rate limit hit",
        130472 => "User's number is part of an experiment",
        131000 => "Something went wrong",
        131005 => "Access denied",
        131008 => "Required parameter is missing",
        131009 => "Parameter value is not valid",
        131016 => "Service unavailable",
        131026 => "Message undeliverable",
        131031 => "Account has been locked",
        131042 => "Business eligibility payment issue",
        131047 => "Re-engagement message",
        131048 => "Spam rate limit hit",
        131049 => "This message was not delivered to maintain healthy ecosystem engagement",
        131050 => "User has stopped marketing messages",
        131051 => "Unsupported message type",
        131052 => "Media download error",
        131053 => "Media upload error",
        131056 => "(Business Account, Consumer Account) pair rate limit hit",
        131057 => "Account in maintenance mode",
        132000 => "Number of parameters does not match the expected number of params",
        132001 => "Template name does not exist in the translation",
        132012 => "Parameter format does not match format in the created template",
        132015 => "Template is paused",
        132016 => "Template is disabled",
        _ => "Error",
    }
}
