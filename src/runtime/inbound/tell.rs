//! Telling of a message that came: the operator's own systems, and the person who wrote it.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::message::{Inbound, split_option};
use crate::domain::{MessageId, ReplyKind, Timestamp};
use crate::error::Result;
use crate::runtime::Runtime;
use crate::runtime::job::Job;
use crate::store::contacts::StoredContact;
use crate::views::contact::EventContact;

/// Requests that mark messages as read, at once. Of more, some messages stay unread, which harms nobody.
const MARKED_AT_ONCE: usize = 16;

/// Marks messages as read.
pub(in crate::runtime) struct Marker {
    places: Arc<Semaphore>,
}

impl Default for Marker {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MARKED_AT_ONCE)) }
    }
}

impl Marker {
    /// Marks a message as read and shows that an answer is being typed. Nothing waits for it and nothing depends on it.
    pub(super) fn mark_read(&self, runtime: &Runtime, provider_id: String) {
        let Ok(place) = self.places.clone().try_acquire_owned() else { return };
        let (runtime, began_at) = (runtime.clone(), runtime.clock().now());
        tokio::spawn(async move {
            let _place = place;
            if let Err(refusal) = runtime.channel().mark_read(&provider_id).await {
                runtime.heed(&refusal, began_at).await;
                tracing::debug!(code = refusal.code, text = refusal.text, "a message could not be marked as read");
            }
        });
    }
}

/// Queues `message.received`, whose message has the shape of `GET /triggers/new-message-received`.
pub(super) fn message_received(
    job: &Job<'_>,
    inbound: &Inbound,
    kind: ReplyKind,
    (contact, id): (&StoredContact, MessageId),
) -> Result<()> {
    job.emit("message.received", Some(contact.seq), || {
        let person = &contact.contact;
        let iso = |at: Option<Timestamp>| at.map(Timestamp::to_iso_seconds);
        json!({
            "message": {
                "id": id,
                "direction": "inbound",
                "type": if kind == ReplyKind::Tap { "interactive" } else { kind.as_str() },
                "content": content(kind, inbound.text.as_deref(), inbound.option.as_deref(), inbound.payload.clone()),
                "status": "received",
                "contact_id": person.id,
                "contact_phone": person.phone,
                "contact_name": person.name,
                "contact_email": person.email,
                "sent_at": iso(inbound.sent_at),
                "delivered_at": null,
                "read_at": null,
                "created_at": iso(Some(inbound.arrival.at())),
            },
            "contact": EventContact::new(person, contact.created_at),
        })
    })
}

/// What a message from a person says, as the public API tells it: `{body}` of a text, `{body, id, title}` of a tap, with the
/// option's own id; of anything else what the channel tells of it, such as `{url, mime_type}`, and its `caption`. Beside
/// it the `referral` of the ad or post that led to it and the `referred_product` that it asks about, if there is one.
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

/// What a message tells beside what it says: the `referral` of the ad or post that led to it, the `referred_product` that
/// it asks about.
pub fn about<'a>(payload: Option<&'a Value>, key: &str) -> Option<&'a Value> {
    payload?.get(key).filter(|about| about.is_object())
}

/// What a channel tells of a medium, as the object that it is said to be: address-book entries were kept as their list
/// before, also under `items` beside a referral.
pub fn described(payload: Value) -> Value {
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
