//! A message that another sender wrote, as it is stored: what a person sent to us, or somebody else sent to a person
//! on our number.
//!
//! `messages.body` holds it as JSON; its kind is in a column of its own. It is written once and never decided on:
//! [`StoredMessage`](super::StoredMessage) is for what goes out from here.

use serde::Serialize;
use serde_json::Value;

use super::Timestamp;

/// The body of a message that came in.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ReceivedBody<'a> {
    /// Typed text, title or caption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<&'a str>,
    /// Id of the tapped option, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option: Option<&'a str>,
    /// The message that it taps, quotes, edits, takes back or reacts to: our id of it or the provider's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// What else it has, as the provider describes it. It need not be a medium.
    #[serde(rename = "media", skip_serializing_if = "Option::is_none")]
    pub payload: Option<&'a Value>,
    /// When it was written, as the provider says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_what_earlier_versions_wrote() {
        let payload = json!({"type": "image", "about": {"b": 1, "a": [2.5]}});
        let whole = ReceivedBody {
            text: Some("Hi"),
            option: Some("s:buy"),
            reply_to: Some("wamid.1".to_owned()),
            payload: Some(&payload),
            sent_at: Some(Timestamp::from_millis(1_700_000_000_000)),
        };
        let null = ReceivedBody { payload: Some(&Value::Null), ..ReceivedBody::default() };
        let cases = [
            (
                whole,
                concat!(
                    r#"{"text":"Hi","option":"s:buy","reply_to":"wamid.1","#,
                    r#""media":{"type":"image","about":{"b":1,"a":[2.5]}},"sent_at":"2023-11-14T22:13:20+00:00"}"#
                ),
            ),
            (null, r#"{"media":null}"#),
            (ReceivedBody::default(), "{}"),
        ];
        for (body, json) in cases {
            assert_eq!(serde_json::to_string(&body).unwrap(), json);
        }
    }
}
