//! What Meta's answers mean for the message that was sent.

use serde_json::Value;

use super::addresses::WA_ID;
use super::codes;
use crate::channels::http::{Answer, NoAnswer, truncate};
use crate::channels::outgoing::{Refusal, RefusalClass, Sent};
use crate::domain::{AddressKey, Reason};

/// Characters that are kept of an explanation.
const SHOWN: usize = 500;
/// What stands in for a secret.
const SCRUBBED: &str = "***";

/// The outcome of sending a message. `token` is what the request was authorised with; it is in no text that comes out.
pub(super) fn of_send(result: Result<Answer, NoAnswer>, token: &str) -> Sent {
    let answer = match result {
        Ok(answer) => answer,
        Err(NoAnswer::Unreachable(text)) => return Sent::Refused(unreachable(text, token)),
        Err(NoAnswer::Ambiguous(text)) => return Sent::Ambiguous { text: scrub(&text, token) },
    };
    let body = serde_json::from_slice::<Value>(&answer.body).ok();
    let accepted = || {
        // `message_status` may say that the message is held until Meta has seen how people take to the template, or
        // that it is paused. It has an id then all the same, a status follows, and sending it again would double it.
        let body = body.as_ref()?;
        let provider_id = body.pointer("/messages/0/id")?.as_str().filter(|id| !id.is_empty())?.to_owned();
        let wa_id = body.pointer("/contacts/0/wa_id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let reached = wa_id.map(|digits| AddressKey::new(WA_ID, digits));
        Some(Sent::Accepted { provider_id: Some(provider_id), reached })
    };
    match refusal(&answer, body.as_ref(), token) {
        Some(Told::Refused(refusal)) => Sent::Refused(refusal),
        Some(Told::Nothing(text)) => Sent::Ambiguous { text },
        None => accepted().unwrap_or_else(|| Sent::Ambiguous {
            text: format!("Meta answered {} without the id of a message", answer.status),
        }),
    }
}

/// The body of an answer to anything else, where a doubt whether Meta acted does no harm.
///
/// # Errors
/// When Meta refuses or says nothing that can be read.
pub(super) fn of_call(result: Result<Answer, NoAnswer>, token: &str) -> Result<Value, Refusal> {
    let answer = result.map_err(|no_answer| match no_answer {
        NoAnswer::Unreachable(text) | NoAnswer::Ambiguous(text) => unreachable(text, token),
    })?;
    let body = serde_json::from_slice::<Value>(&answer.body).ok();
    match refusal(&answer, body.as_ref(), token) {
        Some(Told::Refused(refusal)) => Err(refusal),
        Some(Told::Nothing(text)) => Err(transient(Reason::NoAnswer, text)),
        None => {
            body.ok_or_else(|| transient(Reason::NoAnswer, format!("Meta answered {} without JSON", answer.status)))
        }
    }
}

/// What an answer that is no success means.
enum Told {
    Refused(Refusal),
    /// Nothing about whether the message was taken.
    Nothing(String),
}

/// Why an answer is no success. Meta wants its `code` to be looked at before all else: the same code comes with one
/// HTTP status or another, and may come with 200.
fn refusal(answer: &Answer, body: Option<&Value>, token: &str) -> Option<Told> {
    if let Some(error) = body.and_then(|body| body.get("error")).filter(|error| error.is_object())
        && let Some(code) = integer(error.get("code"))
    {
        let class = class_of(code, error, answer.status);
        let text = scrub(&explanation(error), token);
        return Some(Told::Refused(Refusal { class, code: code.to_string(), text, retry_after: answer.retry_after }));
    }
    if (200..300).contains(&answer.status) {
        return None;
    }
    Some(by_status(answer, token))
}

/// The class of an answer that is none of Meta's own: a proxy's, or that of something else behind the address.
///
/// Whether an answer of the 5xx means that the message was not taken cannot be known in general. 504 states that a
/// server behind the proxy got the request and did not answer, so the message is in doubt, as after a timeout. A proxy
/// answers 502 and 503 when it has no server behind it: that is an outage of the whole channel, which must not use up a
/// message's tries. So are a redirect and a denied access, which take nothing: Meta itself reports a wrong token or
/// number with one of its codes, and only that pauses the channel until an operator acts. What stands in between for a
/// moment (a captive portal, a proxy that is being set up, a firewall) goes away by itself, and until then the channel
/// is held and tried. Any other status may be about this one message, which must not hold up all others for ever: a
/// limited number of tries, as Meta's advice for 131000 is, which count while others are taken.
fn by_status(answer: &Answer, token: &str) -> Told {
    let status = answer.status;
    let text = match &answer.location {
        Some(location) => format!("The address answers {status} and points to {location}, which is not followed"),
        None => format!("The address answers {status}, and not as Meta does"),
    };
    let text = scrub(&text, token);
    let class = match status {
        504 => return Told::Nothing(text),
        // Nothing at this address is Meta's API, or it denies access: no message would fare better now.
        300..=399 | 401 | 403 | 404 | 405 | 407 | 410 | 502 | 503 => RefusalClass::Unreachable,
        408 | 500.. => RefusalClass::Transient,
        429 => RefusalClass::ChannelPacing,
        _ => RefusalClass::Permanent,
    };
    Told::Refused(Refusal { class, code: format!("http_{status}"), text, retry_after: answer.retry_after })
}

/// What the error calls for with which a status says that a message failed: the codes are those of answers.
pub(super) fn class_of_status(error: &Value) -> RefusalClass {
    integer(error.get("code")).map_or(RefusalClass::Permanent, |code| class_of(code, error, 200))
}

/// What Meta's codes call for: what the table of them says, else what the error says of itself, else its status.
fn class_of(code: i64, error: &Value, status: u16) -> RefusalClass {
    // The object in the path does not exist or is not ours to see: a wrong phone-number id, or a permission withdrawn.
    // Meta files it under 100, wrong parameter, but it is about the channel and not about the message.
    const NO_SUCH_OBJECT: i64 = 33;
    if code == 100 && integer(error.get("error_subcode")) == Some(NO_SUCH_OBJECT) {
        return RefusalClass::ChannelDown;
    }
    match codes::class_of(code) {
        Some(class) => class,
        None if error.get("is_transient").and_then(Value::as_bool) == Some(true) => RefusalClass::Transient,
        None if status == 429 => RefusalClass::ChannelPacing,
        None if status >= 500 => RefusalClass::Transient,
        None => RefusalClass::Permanent,
    }
}

/// Meta's message and, where they say more, its details.
fn explanation(error: &Value) -> String {
    let part = |pointer: &str| error.pointer(pointer).and_then(Value::as_str).map(str::trim).unwrap_or_default();
    let message = part("/message");
    let details = [part("/error_data/details"), part("/error_user_msg")];
    let mut text = message.to_owned();
    if let Some(details) = details.into_iter().find(|details| !details.is_empty() && !message.contains(details)) {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(details);
    }
    if text.is_empty() { "Meta gives no explanation".to_owned() } else { text }
}

fn integer(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::String(text) => text.trim().parse().ok(),
        number => number.as_i64(),
    }
}

fn unreachable(text: String, token: &str) -> Refusal {
    let text = scrub(&text, token);
    Refusal { class: RefusalClass::Unreachable, code: Reason::Unreachable.into(), text, retry_after: None }
}

fn transient(code: Reason, text: String) -> Refusal {
    Refusal { class: RefusalClass::Transient, code: code.into(), text, retry_after: None }
}

/// A text without the access token, which Meta repeats when it calls one malformed, and without anything that looks
/// like another: Meta's begin with `EAA`.
fn scrub(text: &str, token: &str) -> String {
    let text = if token.is_empty() { text.to_owned() } else { text.replace(token, SCRUBBED) };
    let mut scrubbed = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find("EAA") {
        let word = rest[start..].find(|c: char| !c.is_ascii_alphanumeric()).map_or(rest.len(), |end| start + end);
        let is_token = word - start >= 20;
        scrubbed.push_str(&rest[..start]);
        scrubbed.push_str(if is_token { SCRUBBED } else { &rest[start..word] });
        rest = &rest[word..];
    }
    scrubbed.push_str(rest);
    truncate(&scrubbed, SHOWN)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn answered(status: u16, body: &str) -> Result<Answer, NoAnswer> {
        Ok(Answer { status, retry_after: None, location: None, body: body.as_bytes().to_vec(), from: None })
    }

    fn refused(status: u16, body: &Value) -> Refusal {
        match of_send(answered(status, &body.to_string()), "token") {
            Sent::Refused(refusal) => refusal,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn every_code_of_the_table_has_its_class() {
        use RefusalClass::*;
        let table: [(RefusalClass, &[i64]); 7] = [
            (RecipientPacing, &[131056]),
            (ChannelPacing, &[130429, 80007, 4, 613, 17]),
            (Transient, &[131000, 131016, 2, 1, 131057, 133004]),
            (WindowClosed, &[131047]),
            (OptedOut, &[131050]),
            (
                Permanent,
                &[
                    131026, 131021, 131030, 130403, 131049, 130472, 131062, 100, 131008, 131009, 131051, 131052,
                    131053, 132000, 132001, 132005, 132007, 132012, 132015, 132016, 132068, 132069, 132018, 999_999,
                ],
            ),
            (
                ChannelDown,
                &[
                    190, 0, 3, 5, 10, 101, 102, 104, 200, 250, 299, 131005, 368, 131031, 130497, 131042, 131045,
                    131037, 131048, 131064, 33, 133000, 133005, 133006, 133008, 133009, 133010, 133015, 133016,
                ],
            ),
        ];
        for (class, codes) in table {
            for code in codes {
                // The status says nothing where there is a code.
                for status in [200, 400, 401, 403, 404] {
                    let refusal = refused(status, &json!({"error": {"message": "No", "code": code}}));
                    assert_eq!((refusal.class, refusal.code), (class, code.to_string()), "with {status}");
                }
            }
        }
        let missing = json!({"error": {"message": "Unsupported post request.", "code": 100, "error_subcode": 33}});
        assert_eq!(refused(400, &missing).class, ChannelDown);
        let unheard_of = |transient: bool| json!({"error": {"code": "777777", "is_transient": transient}});
        assert_eq!(refused(400, &unheard_of(true)).class, Transient);
        assert_eq!(refused(400, &unheard_of(false)).class, Permanent);
        assert_eq!(refused(500, &unheard_of(false)).class, Transient);
        assert_eq!(refused(429, &unheard_of(false)).class, ChannelPacing);
    }

    #[test]
    fn answers_that_are_not_metas_go_by_their_status() {
        use RefusalClass::*;
        let html = "<html><body>Sorry</body></html>";
        for (status, class) in [
            (500, Transient),
            (501, Transient),
            (502, Unreachable),
            (503, Unreachable),
            (408, Transient),
            (429, ChannelPacing),
            (301, Unreachable),
            (302, Unreachable),
            (401, Unreachable),
            (403, Unreachable),
            (404, Unreachable),
            (407, Unreachable),
            (400, Permanent),
            (413, Permanent),
        ] {
            for body in [html, "", "{}", "[1]", r#"{"error":"no"}"#, r#"{"error":{"message":"no code"}}"#] {
                match of_send(answered(status, body), "token") {
                    Sent::Refused(refusal) => {
                        assert_eq!((refusal.class, refusal.code), (class, format!("http_{status}")))
                    }
                    other => panic!("{status}: {other:?}"),
                }
            }
        }
        assert!(matches!(of_send(answered(504, html), "token"), Sent::Ambiguous { .. }));
    }

    #[test]
    fn only_the_id_of_a_message_means_accepted() {
        let body = json!({
            "messaging_product": "whatsapp",
            "contacts": [{"input": "+5541988887777", "wa_id": "554188887777"}],
            "messages": [{"id": "wamid.1", "message_status": "accepted"}],
        });
        let accepted = |wa_id: Option<&str>| Sent::Accepted {
            provider_id: Some("wamid.1".to_owned()),
            reached: wa_id.map(|digits| AddressKey::new(WA_ID, digits)),
        };
        assert_eq!(of_send(answered(200, &body.to_string()), ""), accepted(Some("554188887777")));
        for status in ["held_for_quality_assessment", "paused", "something new"] {
            let held = json!({"messages": [{"id": "wamid.1", "message_status": status}]});
            assert_eq!(of_send(answered(200, &held.to_string()), ""), accepted(None));
        }
        let scoped = json!({"contacts": [{"input": "US.1", "user_id": "US.1"}], "messages": [{"id": "wamid.1"}]});
        assert_eq!(of_send(answered(200, &scoped.to_string()), ""), accepted(None));
        for body in
            ["", "{}", "<html>", r#"{"messages":[]}"#, r#"{"messages":[{"id":""}]}"#, r#"{"messages":[{"id":1}]}"#]
        {
            assert!(matches!(of_send(answered(200, body), ""), Sent::Ambiguous { .. }), "{body}");
        }
    }

    #[test]
    fn explanations_are_whole_and_without_the_token() {
        let error = json!({"error": {
            "message": "(#131047) Re-engagement message",
            "code": 131047,
            "error_data": {"messaging_product": "whatsapp", "details": "More than 24 hours have passed"},
        }});
        assert_eq!(refused(400, &error).text, "(#131047) Re-engagement message: More than 24 hours have passed");
        let other = format!("EAA{}", "b".repeat(40));
        let message = format!("Malformed access token my-token, not {other}; EAAfoo is none");
        let error = json!({"error": {"message": message, "code": 190}}).to_string();
        match of_send(answered(401, &error), "my-token") {
            Sent::Refused(refusal) => {
                assert_eq!(refusal.text, "Malformed access token ***, not ***; EAAfoo is none");
            }
            other => panic!("{other:?}"),
        }
        let error = json!({"error": {"code": 1}});
        assert_eq!(refused(500, &error).text, "Meta gives no explanation");
    }

    #[test]
    fn what_was_written_and_not_answered_is_a_doubt() {
        let unreachable = Err(NoAnswer::Unreachable("no route to my-token".to_owned()));
        match of_send(unreachable, "my-token") {
            Sent::Refused(refusal) => {
                assert_eq!((refusal.class, refusal.code.as_str()), (RefusalClass::Unreachable, "unreachable"));
                assert_eq!(refusal.text, "no route to ***");
            }
            other => panic!("{other:?}"),
        }
        let reset = Err(NoAnswer::Ambiguous("reset".to_owned()));
        assert_eq!(of_send(reset, ""), Sent::Ambiguous { text: "reset".to_owned() });
    }

    #[test]
    fn the_wait_that_is_asked_for_goes_along() {
        let body = json!({"error": {"message": "Rate limit hit", "code": 130429}}).to_string().into_bytes();
        let retry_after = Some(Duration::from_secs(9));
        let answer = Answer { status: 400, retry_after, location: None, body, from: None };
        match of_send(Ok(answer), "") {
            Sent::Refused(refusal) => assert_eq!(refusal.retry_after, retry_after),
            other => panic!("{other:?}"),
        }
    }
}
