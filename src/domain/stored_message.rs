//! A message of ours to a person as it is stored: its content, and how it has been sent so far.
//!
//! `messages.body` holds it as JSON. [`NewMessage`] is what is written when the message is queued, [`StoredMessage`]
//! what is read of it whenever it is decided on, and [`StoredBody::with_sent`] what an attempt adds. Keys that this
//! version does not know are kept, and rows of earlier versions are read: keys that they lack have defaults.

use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::{MediaRef, MessageKind, MessageOption, NodeId, OutgoingMessage, Part, SendHours, TemplateRef};

/// A message as it is stored when it is queued.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewMessage<'a> {
    /// The node that sends it; `None` for a message outside of flows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<&'a NodeId>,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// The text, or a medium's caption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<&'a str>,
    /// What can be tapped, in the order shown.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub options: &'a [MessageOption],
    /// The medium; `None` for a text alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<&'a MediaRef>,
    /// The template that is sent where free text is forbidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<&'a TemplateRef>,
    /// The hours that it waits for, unless the person writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<&'a SendHours>,
    /// Which part it is of a text in several messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

impl<'a> NewMessage<'a> {
    /// A message of a node.
    pub fn of(message: &'a OutgoingMessage) -> Self {
        let OutgoingMessage { node, kind, text, options, media, template } = message;
        Self {
            node: Some(node),
            kind: *kind,
            text: text.as_deref(),
            options,
            media: media.as_ref(),
            template: template.as_ref(),
            hours: None,
            part: None,
        }
    }

    /// A text outside of flows.
    pub fn text(text: &'a str) -> Self {
        let kind = MessageKind::Text;
        Self { node: None, kind, text: Some(text), options: &[], media: None, template: None, hours: None, part: None }
    }

    /// A template outside of flows, with the text that it comes to.
    pub fn template(template: &'a TemplateRef, text: &'a str) -> Self {
        Self { kind: MessageKind::Template, template: Some(template), ..Self::text(text) }
    }
}

/// A stored message, as it is read to decide on it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StoredMessage {
    /// The node that sends it; `None` for a message outside of flows.
    #[serde(default)]
    pub node: Option<NodeId>,
    /// What it is.
    #[serde(rename = "type", default = "text")]
    pub kind: MessageKind,
    /// The text, or a medium's caption.
    #[serde(default)]
    pub text: Option<String>,
    /// What can be tapped, in the order shown.
    #[serde(default)]
    pub options: Vec<MessageOption>,
    /// The medium; `None` for a text alone.
    #[serde(default)]
    pub media: Option<MediaRef>,
    /// The template that is sent where free text is forbidden.
    #[serde(default)]
    pub template: Option<TemplateRef>,
    /// The hours that it waits for, unless the person writes.
    #[serde(default)]
    pub hours: Option<SendHours>,
    /// Which part it is of a text in several messages.
    #[serde(default)]
    pub part: Option<Part>,
    /// How the last attempt sent it, if it can go out in more than one way and was sent.
    #[serde(default, deserialize_with = "known_sent")]
    pub sent: Option<SentAs>,
}

/// How an attempt sent a message that can go out as a text or as a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case")]
pub enum SentAs {
    /// As its text, with its medium or its options.
    Text {
        /// The channel's code for that it takes no free text to this person now, if it has refused the text so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// As a template.
    Template {
        /// The template's name at the channel.
        name: String,
        /// The language that it went out in.
        language: String,
        /// What the person read, but for the template's header and buttons.
        text: String,
    },
}

impl StoredMessage {
    /// Whether the channel has refused its text as outside the window.
    pub fn was_text_refused(&self) -> bool {
        matches!(self.sent, Some(SentAs::Text { refused: Some(_) }))
    }

    /// Whether the last attempt sent its template.
    pub fn was_template(&self) -> bool {
        matches!(self.sent, Some(SentAs::Template { .. }))
    }

    /// How it was sent if the channel refuses its text with this code as outside the window, so that its template goes
    /// instead. `None` if it has none, or if that was what the channel refused.
    pub fn with_text_refused(&self, code: &str) -> Option<SentAs> {
        let was_text = matches!(self.sent, Some(SentAs::Text { .. }));
        (was_text && self.template.is_some()).then(|| SentAs::Text { refused: Some(code.to_owned()) })
    }
}

/// The JSON of a stored message. It is parsed once, when it is first looked into.
#[derive(Debug, Clone)]
pub struct StoredBody {
    json: String,
    parsed: OnceLock<Option<Parsed>>,
}

#[derive(Debug, Clone)]
struct Parsed {
    /// All that is stored, with what this version does not know.
    value: Value,
    message: StoredMessage,
}

impl StoredBody {
    /// The message; `None` if this version cannot read it.
    pub fn message(&self) -> Option<&StoredMessage> {
        self.parsed().map(|parsed| &parsed.message)
    }

    /// Which part the message is, if it is one. A message that is none is not parsed for that.
    pub fn part(&self) -> Option<&Part> {
        let may_be = self.json.contains("\"part\":");
        if may_be { self.message()?.part.as_ref() } else { None }
    }

    /// The JSON with how an attempt sends the message, in place of how an earlier one did; `None` if this version
    /// cannot read it.
    pub fn with_sent(&self, sent: &SentAs) -> Option<String> {
        let mut value = self.parsed()?.value.clone();
        value["sent"] = json!(sent);
        Some(value.to_string())
    }

    fn parsed(&self) -> Option<&Parsed> {
        let parse = || {
            // A list would be read as the message's fields in their order.
            let value = serde_json::from_str(&self.json).ok().filter(Value::is_object)?;
            let message = StoredMessage::deserialize(&value).ok()?;
            Some(Parsed { value, message })
        };
        self.parsed.get_or_init(parse).as_ref()
    }
}

impl From<String> for StoredBody {
    fn from(json: String) -> Self {
        Self { json, parsed: OnceLock::new() }
    }
}

impl PartialEq for StoredBody {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Eq for StoredBody {}

fn text() -> MessageKind {
    MessageKind::Text
}

/// A way of sending that this version does not know is none: the message can be read all the same.
fn known_sent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SentAs>, D::Error> {
    Ok(SentAs::deserialize(Value::deserialize(deserializer)?).ok())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use uuid::Uuid;

    use super::*;
    use crate::domain::MessageId;

    fn body(json: &str) -> StoredBody {
        StoredBody::from(json.to_owned())
    }

    #[test]
    fn what_is_written_is_what_earlier_versions_wrote_and_is_read_again() {
        let template = TemplateRef { name: "cart".to_owned(), language: None, variables: BTreeMap::new() };
        let id = MessageId(Uuid::from_u128(7));
        let part = Part { first: id, number: 1, of: 2, options: Vec::new() };
        let option = MessageOption { id: "a".to_owned(), title: "A".to_owned(), description: None };
        let said = OutgoingMessage {
            node: "n".parse().unwrap(),
            kind: MessageKind::Menu,
            text: Some("Which?".to_owned()),
            options: vec![option],
            media: None,
            template: Some(template.clone()),
        };
        assert_eq!(serde_json::to_string(&NewMessage::of(&said)).unwrap(), serde_json::to_string(&said).unwrap());
        let hours = r#"{"window":{"from":"09:00","to":"20:00"},"zone":"UTC"}"#;
        let hours: SendHours = serde_json::from_str(hours).unwrap();
        let cases = [
            (NewMessage::text("Hi"), r#"{"type":"text","text":"Hi"}"#.to_owned()),
            (
                NewMessage { hours: Some(&hours), part: Some(part.clone()), ..NewMessage::text("Hi") },
                format!(
                    r#"{{"type":"text","text":"Hi","hours":{},"part":{{"first":"{id}","number":1,"of":2}}}}"#,
                    json!(hours)
                ),
            ),
            (
                NewMessage::template(&template, "Your cart"),
                r#"{"type":"template","text":"Your cart","template":{"name":"cart"}}"#.to_owned(),
            ),
        ];
        for (new, json) in cases {
            assert_eq!(serde_json::to_string(&new).unwrap(), json);
            let stored = body(&json);
            let read = stored.message().unwrap();
            assert_eq!((read.kind, read.text.as_deref()), (new.kind, new.text), "{json}");
            assert_eq!((read.template.as_ref(), read.hours.as_ref()), (new.template, new.hours), "{json}");
            assert_eq!((stored.part(), &read.sent), (new.part.as_ref(), &None), "{json}");
        }
    }

    #[test]
    fn an_attempt_adds_how_it_sends_the_message_and_keeps_the_rest() {
        let stored = body(r#"{"type":"text","text":"Hi","later":{"b":1,"a":[2.50]},"template":{"name":"cart"}}"#);
        assert_eq!(stored.message().unwrap().with_text_refused("131047"), None, "it was not sent");
        let sent = stored.with_sent(&SentAs::Text { refused: None }).unwrap();
        assert_eq!(
            sent,
            r#"{"type":"text","text":"Hi","later":{"b":1,"a":[2.5]},"template":{"name":"cart"},"sent":{"as":"text"}}"#
        );
        let sent = body(&sent);
        let refused = sent.message().unwrap().with_text_refused("131047").unwrap();
        assert!(!sent.message().unwrap().was_text_refused());
        let refused = body(&sent.with_sent(&refused).unwrap());
        assert!(refused.message().unwrap().was_text_refused());
        let template = SentAs::Template { name: "cart".into(), language: "en".into(), text: "Your cart".into() };
        let again = refused.with_sent(&template).unwrap();
        assert!(
            again.ends_with(r#","sent":{"as":"template","name":"cart","language":"en","text":"Your cart"}}"#),
            "{again}"
        );
        let again = body(&again);
        assert!(again.message().unwrap().was_template() && !again.message().unwrap().was_text_refused());
        assert_eq!(again.message().unwrap().with_text_refused("131047"), None, "it was not the text");
    }

    #[test]
    fn what_this_version_does_not_know_stops_nothing_and_what_is_no_message_is_none() {
        let odd = body(r#"{"sent":{"as":"carrier pigeon"}}"#);
        let read = odd.message().unwrap();
        assert_eq!((read.kind, &read.node, &read.sent), (MessageKind::Text, &None, &None));
        for json in ["", "[]", "7", r#"{"type":"pigeon"}"#, r#"{"text":7}"#] {
            assert_eq!(body(json).message(), None, "{json}");
            assert_eq!(body(json).with_sent(&SentAs::Text { refused: None }), None, "{json}");
        }
    }
}
