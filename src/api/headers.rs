//! Headers that mean one thing, and came with two values.
//!
//! Whichever of them were taken, a proxy or a log on the way may have taken the other one. HTTP itself forbids it of
//! `Host` and `Content-Length`, which actix-http refuses.

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, ORIGIN};

use crate::api::error::ApiError;

/// Headers that have one value. Others are lists, or nothing here reads them.
const SINGLE: [(&str, HeaderName); 8] = [
    ("Authorization", AUTHORIZATION),
    ("Content-Type", CONTENT_TYPE),
    ("Idempotency-Key", HeaderName::from_static("idempotency-key")),
    ("Origin", ORIGIN),
    ("X-CSRF-Token", HeaderName::from_static("x-csrf-token")),
    ("X-Hub-Signature-256", HeaderName::from_static("x-hub-signature-256")),
    ("X-Qyvo-Signature", HeaderName::from_static("x-qyvo-signature")),
    ("MCP-Protocol-Version", HeaderName::from_static("mcp-protocol-version")),
];

/// Refuses a request with several different values for one of these headers. The same value may come several times.
pub(super) fn refuse_contradictions(headers: &HeaderMap) -> Result<(), ApiError> {
    // Nearly every request has each header once, and is not looked at any further.
    if headers.len() == headers.len_keys() {
        return Ok(());
    }
    for (name, header) in &SINGLE {
        let mut values = headers.get_all(header);
        let first = values.next();
        if values.any(|other| Some(other) != first) {
            let error = format!("The header {name} came more than once, with different values.");
            return Err(ApiError::refused(StatusCode::BAD_REQUEST, error).hint("Send it once."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{ACCEPT, HeaderValue};

    use super::*;

    #[test]
    fn only_different_values_of_one_header_contradict() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_static("text/html"));
        headers.append(ACCEPT, HeaderValue::from_static("text/plain"));
        assert!(refuse_contradictions(&headers).is_ok(), "a list");
        for (name, header) in SINGLE {
            let mut headers = headers.clone();
            headers.append(header.clone(), HeaderValue::from_static("a"));
            headers.append(header.clone(), HeaderValue::from_static("a"));
            assert!(refuse_contradictions(&headers).is_ok(), "{name}");
            headers.append(header, HeaderValue::from_static("b"));
            let refused = refuse_contradictions(&headers).unwrap_err();
            assert!(refused.body(None)["error"].as_str().unwrap().contains(name), "{name}");
        }
    }
}
