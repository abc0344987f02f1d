//! The generic channel: messages are posted to a URL of the operator's, behind which any other messenger may be.
//!
//! The receiver hands messages of people back through `POST /inbound`.

use std::fmt;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::http::{self, Answer, NoAnswer};
use super::outgoing::{Content, Outgoing, Recipient, Refusal, RefusalClass, Sent};
use super::signature::{SIGNATURE_HEADER, sign};
use crate::domain::{MessageTemplate, Reason, TextLimits, Timestamp, web_link};
use crate::error::{Error, Result};

/// Bytes that are read of an answer: it has an id in it, or an explanation.
const MAX_ANSWER: usize = 64 * 1024;
/// Characters that are kept of a refusal's body.
const SHOWN_OF_REFUSAL: usize = 200;

/// Where messages are posted.
#[derive(Clone, Deserialize)]
pub struct WebhookOptions {
    /// An `http` or `https` URL.
    pub url: String,
    /// What requests are signed with.
    pub secret: String,
}

/// The channel's section of the configuration.
#[derive(Deserialize)]
pub(super) struct WebhookSection {
    #[serde(flatten)]
    options: WebhookOptions,
    /// Characters that the receiver takes in one message.
    text_chars: usize,
}

/// The generic channel.
pub struct Webhook {
    client: Client,
    url: Url,
    secret: String,
    text_limits: TextLimits,
}

impl Webhook {
    /// Characters that a receiver takes in one message unless its operator says otherwise, as most messengers do.
    pub const TEXT_CHARS: usize = 4_096;

    /// A channel that posts to a URL.
    ///
    /// # Errors
    /// `Invalid`, naming the key of the configuration, when an option is missing or wrong.
    pub fn new(options: WebhookOptions) -> Result<Self> {
        let url = web_link(&options.url).and_then(|url| url.parse::<Url>().ok());
        let Some(url) = url else {
            return Err(Error::invalid("`webhook.url` must be an http or https URL"));
        };
        if options.secret.trim().is_empty() {
            return Err(Error::invalid("`webhook.secret` is missing: messages are signed with it"));
        }
        let text_limits = TextLimits::all(Self::TEXT_CHARS);
        Ok(Self { client: http::client()?, url, secret: options.secret, text_limits })
    }

    /// The channel that the configuration describes.
    pub(super) fn configured(section: WebhookSection) -> Result<Self> {
        Ok(Self::new(section.options)?.taking(section.text_chars))
    }

    /// The same for a receiver that takes so many characters in one message.
    #[must_use]
    pub fn taking(self, chars: usize) -> Self {
        Self { text_limits: TextLimits::all(chars), ..self }
    }

    /// How long the texts of its messages may be.
    pub fn text_limits(&self) -> TextLimits {
        self.text_limits
    }

    /// Posts a message, signed.
    pub async fn send(&self, message: &Outgoing) -> Sent {
        self.post(&message.id.to_string(), message.at, body_of(message).to_string()).await
    }

    /// Posts a `channel.test`, signed as messages are, so that the operator sees whether the receiver takes it.
    pub async fn test(&self, id: &str, at: Timestamp) -> Sent {
        let body = json!({"event": "channel.test", "message_id": id, "timestamp": at.to_iso_seconds()});
        self.post(id, at, body.to_string()).await
    }

    async fn post(&self, id: &str, at: Timestamp, body: String) -> Sent {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(SIGNATURE_HEADER, sign(&self.secret, at.as_millis().div_euclid(1000), body.as_bytes()))
            .header("X-Qyvo-Message-Id", id)
            .header("Idempotency-Key", id)
            .body(body);
        match http::call(request, MAX_ANSWER).await {
            Ok(answer) => read_answer(&answer),
            Err(NoAnswer::Unreachable(text)) => Sent::Refused(Refusal {
                class: RefusalClass::Unreachable,
                code: Reason::Unreachable.into(),
                text,
                retry_after: None,
            }),
            Err(NoAnswer::Ambiguous(text)) => Sent::Ambiguous { text },
        }
    }
}

impl fmt::Debug for Webhook {
    /// Shows the host alone: the rest of a URL often holds a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl fmt::Debug for WebhookOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookOptions").finish_non_exhaustive()
    }
}

/// What is posted.
fn body_of(message: &Outgoing) -> Value {
    json!({
        "event": "message.outgoing",
        "message_id": message.id,
        "to": recipient(&message.to),
        "message": content(&message.content),
        "timestamp": message.at.to_iso_seconds(),
    })
}

fn recipient(to: &Recipient) -> Value {
    let known = to.addresses.iter();
    known.map(|address| (address.kind.as_str().to_owned(), address.value.clone().into())).collect::<Map<_, _>>().into()
}

fn content(content: &Content) -> Value {
    match content {
        Content::Text(text) => json!({"type": "text", "text": text}),
        Content::Menu { text, options } => json!({"type": "menu", "text": text, "options": options}),
        Content::Media { media, caption } => {
            let mut view = json!({"type": "media", "media": media});
            if let Some(caption) = caption {
                view["text"] = json!(caption);
            }
            view
        }
        Content::Template { template, variables, payloads } => {
            let body = template.body_with(|key| variables.get(key).cloned());
            let mut view = json!({
                "type": "template",
                "text": body,
                "template": {
                    "name": template.name,
                    "language": template.language,
                    "body": body,
                    "variables": variables,
                },
            });
            let options = options(template, payloads);
            if !options.is_empty() {
                view["options"] = Value::from(options);
            }
            view
        }
    }
}

/// A template's quick-reply buttons as the options of a menu are posted, so that a receiver needs one way for both.
fn options(template: &MessageTemplate, payloads: &[String]) -> Vec<Value> {
    let buttons = template.quick_replies().filter_map(|index| template.buttons.get(index));
    buttons.zip(payloads).map(|(button, payload)| json!({"id": payload, "title": button.text})).collect()
}

/// What an answer means.
///
/// A status of the 5xx and 408 count as not taken: there was an answer, and a receiver that took the message all the
/// same recognizes it by its key. They use up tries, because a receiver may fail over this very message, which must not
/// stop the others for ever, and so do 404 and 410. Statuses of a receiver that is absent, or denies access, hold the
/// channel instead, which is tried again by itself. 504 means that the receiver got the message and never answered.
fn read_answer(answer: &Answer) -> Sent {
    let refused = |class| {
        let text = String::from_utf8_lossy(&answer.body);
        let text = http::truncate(text.trim(), SHOWN_OF_REFUSAL);
        let text = match (&answer.location, text.is_empty()) {
            (Some(location), _) => format!("redirects to {location}, which is not followed"),
            (None, true) => format!("answered {} without an explanation", answer.status),
            (None, false) => text,
        };
        Sent::Refused(Refusal { class, code: format!("http_{}", answer.status), text, retry_after: answer.retry_after })
    };
    match answer.status {
        200..300 => Sent::Accepted { provider_id: provider_id(&answer.body), reached: None },
        429 => refused(RefusalClass::ChannelPacing),
        // Without `Retry-After` it is a proxy's word for a receiver that is away.
        503 if answer.retry_after.is_some() => refused(RefusalClass::ChannelPacing),
        // The secret or the URL is not right, or a proxy denies access: the next message would fare no better, and none
        // shall be lost to it. A single answer is no reason to wait for an operator, because a proxy that is being set
        // up gives one, too.
        300..=399 | 401 | 403 | 405 | 407 | 502 | 503 => refused(RefusalClass::Unreachable),
        504 => Sent::Ambiguous { text: "a gateway answered 504 in place of the receiver".to_owned() },
        // A receiver that is being deployed answers 404 to everything, and one that knows no such person to this
        // message.
        404 | 408 | 410 | 500.. => refused(RefusalClass::Transient),
        _ => refused(RefusalClass::Permanent),
    }
}

/// The receiver's own id of the message, where the answer has one.
fn provider_id(body: &[u8]) -> Option<String> {
    match serde_json::from_slice::<Value>(body).ok()?.get("id")? {
        Value::String(id) if !id.trim().is_empty() => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::channels::testing::{Does, FarSide, nowhere};
    use crate::domain::{
        AddressKey, AddressKind, ButtonKind, MediaRef, MessageOption, TemplateButton, TemplateStatus, Timestamp,
    };

    const ID: &str = "01936b1e-7c6a-7000-8000-000000000001";

    fn outgoing(content: Content) -> Outgoing {
        let to = Recipient { addresses: vec![AddressKey::new(AddressKind::PHONE, "+16505551234")] };
        Outgoing { id: ID.parse().unwrap(), to, content, at: Timestamp::from_millis(1_770_000_000_900) }
    }

    fn text() -> Outgoing {
        outgoing(Content::Text("Hi".to_owned()))
    }

    fn webhook(url: &str) -> Webhook {
        Webhook::new(WebhookOptions { url: url.to_owned(), secret: "secret".to_owned() }).unwrap()
    }

    #[tokio::test]
    async fn a_message_is_posted_once_signed_and_with_its_id() {
        let far_side = FarSide::answering(202, r#"{"id": "their-7"}"#).await;
        let sent = webhook(&format!("{}/in?k=1", far_side.url)).send(&text()).await;
        assert_eq!(sent, Sent::Accepted { provider_id: Some("their-7".to_owned()), reached: None });
        let received = far_side.received();
        let [request] = received.as_slice() else { panic!("posted {} times", received.len()) };
        assert_eq!(request.line, "POST /in?k=1 HTTP/1.1");
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("x-qyvo-message-id"), Some(ID));
        assert_eq!(request.header("idempotency-key"), Some(ID));
        let signature = sign("secret", 1_770_000_000, &request.body);
        assert_eq!(request.header("x-qyvo-signature"), Some(signature.as_str()));
        let body = json!({
            "event": "message.outgoing",
            "message_id": ID,
            "to": {"phone": "+16505551234"},
            "message": {"type": "text", "text": "Hi"},
            "timestamp": "2026-02-02T02:40:00+00:00",
        });
        assert_eq!(request.json(), body);
    }

    #[test]
    fn each_content_has_its_form() {
        let option = |id: &str, description: Option<&str>| MessageOption {
            id: id.to_owned(),
            title: "Yes".to_owned(),
            description: description.map(str::to_owned),
        };
        let media = MediaRef { kind: "image".to_owned(), url: "https://a.example/i".to_owned(), filename: None };
        let template = MessageTemplate {
            name: "cart".to_owned(),
            language: "en".to_owned(),
            status: TemplateStatus::Approved,
            category: String::new(),
            header: None,
            body: "Hi {{1}}, {{name}}".to_owned(),
            footer: None,
            buttons: vec![
                TemplateButton { kind: ButtonKind::Url, text: "Open".to_owned(), url: None, phone_number: None },
                TemplateButton { kind: ButtonKind::QuickReply, text: "Yes".to_owned(), url: None, phone_number: None },
            ],
            unfillable: Vec::new(),
        };
        let variables = BTreeMap::from([("1".to_owned(), "Ann".to_owned()), ("name".to_owned(), "Bo".to_owned())]);
        for (given, expected) in [
            (
                Content::Menu {
                    text: "Which?".to_owned(),
                    options: vec![option("s:a", None), option("s:b", Some("d"))],
                },
                json!({"type": "menu", "text": "Which?", "options": [
                    {"id": "s:a", "title": "Yes"}, {"id": "s:b", "title": "Yes", "description": "d"},
                ]}),
            ),
            (
                Content::Media { media: media.clone(), caption: Some("Look".to_owned()) },
                json!({"type": "media", "media": {"kind": "image", "url": "https://a.example/i"}, "text": "Look"}),
            ),
            (
                Content::Media { media, caption: None },
                json!({"type": "media", "media": {"kind": "image", "url": "https://a.example/i"}}),
            ),
            (
                Content::Template { template: Box::new(template), variables, payloads: vec!["s:yes".to_owned()] },
                json!({
                    "type": "template",
                    "text": "Hi Ann, Bo",
                    "template": {"name": "cart", "language": "en", "body": "Hi Ann, Bo",
                        "variables": {"1": "Ann", "name": "Bo"}},
                    "options": [{"id": "s:yes", "title": "Yes"}],
                }),
            ),
        ] {
            assert_eq!(content(&given), expected);
        }
        let own = [(AddressKind::digits("wa_id"), "1650"), (AddressKind::id("bsuid"), "US.1")];
        let to = Recipient { addresses: own.map(|(kind, value)| AddressKey::new(kind, value)).to_vec() };
        assert_eq!(recipient(&to), json!({"wa_id": "1650", "bsuid": "US.1"}));
    }

    #[test]
    fn each_status_has_its_class() {
        use RefusalClass::*;
        let answer = |status, body: &str, seconds: Option<u64>| {
            let retry_after = seconds.map(Duration::from_secs);
            read_answer(&Answer { status, retry_after, location: None, body: body.as_bytes().to_vec(), from: None })
        };
        for (status, seconds, class) in [
            (429, None, ChannelPacing),
            (429, Some(9), ChannelPacing),
            (503, Some(9), ChannelPacing),
            (503, None, Unreachable),
            (502, None, Unreachable),
            (408, None, Transient),
            (500, None, Transient),
            (599, None, Transient),
            (301, None, Unreachable),
            (401, None, Unreachable),
            (403, None, Unreachable),
            (405, None, Unreachable),
            (407, None, Unreachable),
            (404, None, Transient),
            (410, None, Transient),
            (400, None, Permanent),
            (422, None, Permanent),
        ] {
            match answer(status, " no such person ", seconds) {
                Sent::Refused(refusal) => {
                    assert_eq!((refusal.class, refusal.code), (class, format!("http_{status}")));
                    assert_eq!(refusal.text, "no such person");
                    assert_eq!(refusal.retry_after, seconds.map(Duration::from_secs));
                }
                other => panic!("{status}: {other:?}"),
            }
        }
        assert!(matches!(answer(504, "", None), Sent::Ambiguous { .. }));
        for (body, id) in [("", None), ("ok", None), ("{}", None), (r#"{"id":""}"#, None), (r#"{"id":7}"#, Some("7"))] {
            assert_eq!(answer(200, body, None), Sent::Accepted { provider_id: id.map(str::to_owned), reached: None });
        }
        match answer(400, &"é".repeat(300), None) {
            Sent::Refused(refusal) => assert_eq!(refusal.text, "é".repeat(200)),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn silence_is_a_doubt_and_a_closed_port_is_none() {
        let dropping = FarSide::listen(|_| vec![Does::Drops]).await;
        assert!(matches!(webhook(&dropping.url).send(&text()).await, Sent::Ambiguous { .. }));
        match webhook(&nowhere().await).send(&text()).await {
            Sent::Refused(refusal) => assert_eq!(refusal.class, RefusalClass::Unreachable),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_are_checked_and_never_shown() {
        for (url, secret, key) in [
            ("", "s", "webhook.url"),
            ("ftp://a.example", "s", "webhook.url"),
            ("a.example", "s", "webhook.url"),
            ("https://a.example", " ", "webhook.secret"),
        ] {
            let options = WebhookOptions { url: url.to_owned(), secret: secret.to_owned() };
            let error = Webhook::new(options).unwrap_err();
            assert!(error.message().contains(key), "{}", error.message());
        }
        let options = WebhookOptions { url: "https://a.example/hook-path".to_owned(), secret: "hush".to_owned() };
        let shown = format!("{options:?} {:?}", Webhook::new(options.clone()).unwrap());
        assert!(!shown.contains("hush") && !shown.contains("hook-path"), "{shown}");
    }
}
