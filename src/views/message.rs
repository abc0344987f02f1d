//! A message, as each caller sees it.

use serde::Serialize;
use serde_json::{Value, json};

use super::IsoTime;
use super::contact::{ContactBrief, ContactKeys, EventContact};
use crate::domain::{
    ContactId, MediaRef, MessageId, MessageKind, MessageOption, OutgoingMessage, ReplyKind, SessionId, TemplateRef,
    Timestamp, split_option,
};

/// A message on the admin page: in the turn that sent or took it, and in an export.
#[derive(Debug, Serialize)]
pub struct Message {
    /// The message's id.
    pub id: MessageId,
    /// Whose conversation it belongs to.
    pub contact_id: ContactId,
    /// `in` or `out`.
    pub direction: &'static str,
    /// What it is, such as `text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it says.
    #[serde(flatten)]
    pub content: MessageContent,
    /// What it costs, as the channel says.
    pub pricing: Option<Value>,
    /// The template that goes out in its place outside the channel's window.
    pub template: Value,
    /// The content as it was sent.
    pub sent: Value,
    /// How far it got.
    pub status: &'static str,
    /// Why it failed, waits, or was not handled.
    pub reason: Option<String>,
    /// The provider's explanation of the reason.
    pub error: Option<String>,
    /// How often sending was tried.
    pub attempts: u32,
    /// The kind of sender; `None` of one that came in.
    pub origin: Option<&'static str>,
    /// Of one that came in: what took it.
    pub handled: Option<&'static str>,
    /// The channel's name.
    pub channel: String,
    /// The channel's id of it.
    pub provider_id: Option<String>,
    /// The session that sent or took it.
    pub session_id: Option<SessionId>,
    /// When it was queued, or arrived.
    pub created_at: IsoTime,
    /// The option that was tapped; there only where one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option: Option<Value>,
    /// The mark of one that needs a look; there only where it is marked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

/// That a person has seen a message that needs a look.
#[derive(Debug, Serialize)]
pub struct Seen {
    /// When it was marked.
    pub at: IsoTime,
    /// The name of the log-in or of the token that marked it.
    pub by: String,
}

/// What became of messages that were to be marked as seen.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MarkedSeen {
    /// Messages that are marked now.
    pub seen: u64,
    /// Messages that were marked before.
    pub already_seen: u64,
    /// Messages that need no look.
    pub not_needed: u64,
    /// Ids of no message.
    pub not_found: u64,
}

/// What became of failed messages that were to be sent again.
#[derive(Debug, Serialize)]
pub struct RetriedMessages {
    /// Messages that are queued.
    pub queued: u32,
    /// Messages that are not, by why not.
    pub skipped: Vec<SkippedMessages>,
    /// Where the next request goes on; `None` once all were looked at.
    pub next_cursor: Option<String>,
}

/// Messages that are not sent again for one reason.
#[derive(Debug, Serialize)]
pub struct SkippedMessages {
    /// Why not, for programs.
    pub reason: String,
    /// How many.
    pub count: u32,
    /// Why not and what to do, for people.
    pub hint: String,
}

/// What a message says.
#[derive(Debug, Serialize)]
pub struct MessageContent {
    text: Value,
    /// Each id has the session before it, as channels send it.
    options: Option<Vec<Value>>,
    media: Option<Value>,
    referral: Option<Value>,
}

impl MessageContent {
    /// Takes it out of a message's stored body.
    pub fn take(body: &mut Value, session: Option<SessionId>) -> Self {
        let referral = about(body.get("media"), "referral").cloned();
        let media = match take(body, "media") {
            Value::Null => None,
            media => Some(described(media)),
        };
        let options = match (take(body, "options"), session) {
            (Value::Array(options), Some(session)) => Some(options_of(session, options)),
            _ => None,
        };
        Self { text: take(body, "text"), options, media, referral }
    }
}

/// Takes a part out of a message's stored body; null where it has none.
pub fn take(body: &mut Value, key: &str) -> Value {
    body.get_mut(key).map(Value::take).unwrap_or_default()
}

fn options_of(session: SessionId, options: Vec<Value>) -> Vec<Value> {
    let named = |mut option: Value| {
        option["id"] = json!(format!("{session}:{}", option["id"].as_str().unwrap_or_default()));
        option
    };
    options.into_iter().map(named).collect()
}

/// A message with the stages of its way: in the list of a contact's messages, and in the answer to sending it.
#[derive(Debug, Serialize)]
pub struct TracedMessage {
    /// The message's own fields.
    #[serde(flatten)]
    pub message: Message,
    /// In their order; empty of one that came in.
    pub stages: Vec<Stage>,
}

/// How far a message had got at a time.
#[derive(Debug, Serialize)]
pub struct Stage {
    /// Such as `delivered`.
    pub stage: String,
    /// When it got there.
    pub at: IsoTime,
}

/// A message in the list of all of them, with whose it is.
#[derive(Debug, Serialize)]
pub struct ListedMessage {
    /// The message with its stages.
    #[serde(flatten)]
    pub message: TracedMessage,
    /// The contact whose conversation it belongs to.
    pub contact: Option<ContactBrief>,
}

/// A message of a simulation.
#[derive(Debug, Serialize)]
pub struct SimulatedMessage<'a> {
    index: usize,
    #[serde(rename = "type")]
    kind: MessageKind,
    text: Option<&'a str>,
    options: Option<&'a [MessageOption]>,
    media: Option<&'a MediaRef>,
    template: Option<&'a TemplateRef>,
    status: &'static str,
    reason: Option<&'static str>,
}

impl<'a> SimulatedMessage<'a> {
    /// The message with that many before it, and why it did not go out, if so.
    pub fn new(index: usize, message: &'a OutgoingMessage, refused: Option<&'static str>) -> Self {
        Self {
            index,
            kind: message.kind,
            text: message.text.as_deref(),
            options: Some(message.options.as_slice()).filter(|options| !options.is_empty()),
            media: message.media.as_ref(),
            template: message.template.as_ref(),
            status: if refused.is_some() { "failed" } else { "simulated" },
            reason: refused,
        }
    }
}

/// A message from a person: `/triggers/new-message-received`, and the event `message.received`.
#[derive(Debug, Serialize)]
pub struct ReceivedMessage {
    id: MessageId,
    direction: &'static str,
    /// As the public API calls it: a tap is `interactive`.
    #[serde(rename = "type")]
    kind: &'static str,
    content: Value,
    status: &'static str,
    #[serde(flatten)]
    from: ContactKeys,
    sent_at: Option<IsoTime>,
    /// Always null: messages of ours alone have these.
    delivered_at: Option<IsoTime>,
    /// Always null, likewise.
    read_at: Option<IsoTime>,
    created_at: IsoTime,
}

impl ReceivedMessage {
    /// A message of a kind with its [`content`], sent at a time that the channel may report, and arrived at another.
    pub fn new(
        (id, kind, content): (MessageId, ReplyKind, Value),
        from: ContactKeys,
        (sent_at, created_at): (Option<Timestamp>, Timestamp),
    ) -> Self {
        Self {
            id,
            direction: "inbound",
            kind: if kind == ReplyKind::Tap { "interactive" } else { kind.as_str() },
            content,
            status: "received",
            from,
            sent_at: sent_at.map(IsoTime),
            delivered_at: None,
            read_at: None,
            created_at: IsoTime(created_at),
        }
    }
}

/// The answer to sending a message by the public API.
#[derive(Debug, Serialize)]
pub struct SendAnswer {
    /// The message's id.
    pub id: MessageId,
    /// How far it got while its sender waited.
    pub status: &'static str,
    /// The channel's id of it.
    pub whatsapp_message_id: Option<String>,
    /// The recipient.
    pub contact_id: ContactId,
}

/// The answer to `POST /inbound`.
#[derive(Debug, Serialize)]
pub struct InboundAnswer {
    /// The message's id.
    pub message_id: MessageId,
    /// What took it.
    pub handled: &'static str,
    /// The session that it belongs to, or that it started; there only where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Why nothing took it; there only where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The body of the event `message.received`.
#[derive(Debug, Serialize)]
pub struct MessageReceived<'a> {
    /// The message that came in.
    pub message: ReceivedMessage,
    /// Who wrote it.
    pub contact: EventContact<'a>,
}

/// What a message from a person says, as the public API shows it: `{body}` of a text, `{body, id, title}` of a tap,
/// with the option's own id; of anything else what the channel hands over, such as `{url, mime_type}`, and its
/// `caption`. Beside it the `referral` of the ad or post that led to it and the `referred_product` that it asks about,
/// if there is one.
pub fn content(kind: ReplyKind, text: Option<&str>, option: Option<&str>, payload: Option<Value>) -> Value {
    let with_extras = |mut content: Value| {
        for key in ["referral", "referred_product"] {
            if let Some(about) = about(payload.as_ref(), key) {
                content[key] = about.clone();
            }
        }
        content
    };
    match kind {
        ReplyKind::Text => with_extras(json!({"body": text})),
        ReplyKind::Tap => {
            let id = option.map(|option| split_option(option).map_or(option, |(_, bare)| bare));
            with_extras(json!({"body": text, "id": id, "title": text}))
        }
        _ => {
            let mut content = described(payload.unwrap_or_else(|| json!({})));
            if let (Some(fields), Some(text)) = (content.as_object_mut(), text) {
                fields.entry("caption").or_insert_with(|| json!(text));
            }
            content
        }
    }
}

/// What comes with a message beside what it says: the `referral` of the ad or post that led to it, the
/// `referred_product` that it asks about.
fn about<'a>(payload: Option<&'a Value>, key: &str) -> Option<&'a Value> {
    payload?.get(key).filter(|about| about.is_object())
}

/// The medium that a channel describes, as the object that the API's description has: address-book entries were kept as
/// their list before, also under `items` beside a referral.
fn described(payload: Value) -> Value {
    match payload {
        Value::Object(mut fields)
            if fields.get("items").is_some_and(Value::is_array) && !fields.contains_key("contacts") =>
        {
            let entries = fields.remove("items").unwrap_or_default();
            fields.insert("contacts".to_owned(), entries);
            Value::Object(fields)
        }
        Value::Array(entries) => json!({"contacts": entries}),
        object @ Value::Object(_) => object,
        other => json!({"value": other}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_were_kept_as_a_list_are_told_as_an_object() {
        let card = json!({"name": {"formatted_name": "Bo"}});
        for kept in [json!([card]), json!({"items": [card]}), json!({"contacts": [card]})] {
            assert_eq!(content(ReplyKind::Contacts, None, None, Some(kept)), json!({"contacts": [card]}));
        }
        let beside = json!({"items": [card], "referral": {"source_id": "1"}});
        assert_eq!(described(beside), json!({"referral": {"source_id": "1"}, "contacts": [card]}));
        assert_eq!(described(json!("x")), json!({"value": "x"}));
        assert_eq!(content(ReplyKind::Unsupported, None, None, None), json!({}));
    }

    #[test]
    fn an_ad_is_told_beside_whatever_was_said() {
        let payload = || Some(json!({"referral": {"source_id": "120"}, "text": "x"}));
        for kind in [ReplyKind::Text, ReplyKind::Tap, ReplyKind::Image, ReplyKind::Order] {
            assert_eq!(content(kind, Some("Hi"), None, payload())["referral"], json!({"source_id": "120"}), "{kind:?}");
        }
        assert_eq!(content(ReplyKind::Text, Some("Hi"), None, Some(json!({"referral": []}))), json!({"body": "Hi"}));
    }
}
