//! Meta's deliveries: messages of people, how far ours got, and news about the account.
//!
//! The JSON is walked by hand and not read into structs: Meta leaves out numbers, contacts and ids as people change
//! their privacy, writes one field as a string here and as a number there, and adds kinds. What is there is taken, in
//! whatever form makes sense; whatever is not known stays as it came. Meta redelivers for days what is not
//! acknowledged, so that nothing but a delivery that is no JSON is an error.

use std::borrow::Cow;

use serde_json::Value;

use super::fields::{text, unknown};
use super::messages::{read_message, read_status};
use super::people::Contacts;
use super::repair::repaired;
use super::{changes, echoes};
use crate::channels::incoming::{Item, Unreadable};

/// Reads a delivery of Meta to the number `phone_number_id`, in its order. Whatever this version does not know is in it
/// as it came, and so is what is meant for another number of the account.
///
/// # Errors
/// When it is not JSON, or nested deeper than 128 levels.
pub fn read_delivery(raw: &[u8], phone_number_id: &str) -> Result<Vec<Item>, Unreadable> {
    let delivery = parse(raw)?;
    if delivery.get("object").and_then(Value::as_str) != Some("whatsapp_business_account") {
        return Ok(vec![unknown("it is not about a WhatsApp Business account", delivery)]);
    }
    let Some(entries) = delivery.get("entry").and_then(Value::as_array) else {
        return Ok(vec![unknown("it has no entries", delivery)]);
    };
    let mut items = Vec::new();
    for entry in entries {
        match entry.get("changes").and_then(Value::as_array) {
            Some(changes) => changes.iter().for_each(|change| read_change(change, phone_number_id, &mut items)),
            None => items.push(unknown("an entry has no changes", entry.clone())),
        }
    }
    Ok(items)
}

/// The JSON of a delivery. Half a surrogate pair, as of an emoji that was cut in two, and bytes that are not UTF-8 do
/// not make a message unreadable: what cannot be shown is replaced.
fn parse(raw: &[u8]) -> Result<Value, Unreadable> {
    serde_json::from_slice(raw).or_else(|error| match repaired(raw) {
        Cow::Borrowed(_) => Err(Unreadable(error.to_string())),
        Cow::Owned(text) => serde_json::from_str(&text).map_err(|error| Unreadable(error.to_string())),
    })
}

fn read_change(change: &Value, phone_number_id: &str, items: &mut Vec<Item>) {
    let Some(value) = change.get("value").filter(|value| value.is_object()) else {
        return items.push(unknown("a change has no value", change.clone()));
    };
    // Of one number's messages and statuses alone: news about the account concern all of them.
    if text(value.get("metadata"), "phone_number_id").is_some_and(|id| id != phone_number_id) {
        return items.push(unknown("it is for another number of the account", change.clone()));
    }
    let field = text(Some(change), "field").unwrap_or_default();
    if echoes::FIELDS.contains(&field.as_str()) {
        return echoes::read(&field, value, (change, phone_number_id), items);
    }
    if field != "messages" && !field.is_empty() {
        return changes::read_news(&field, value, change, items);
    }
    let known = ["messages", "statuses", "errors"];
    let mut is_empty = true;
    for (key, of) in known.iter().filter_map(|key| Some((*key, value.get(*key)?))) {
        is_empty = false;
        let Some(list) = of.as_array() else {
            items.push(unknown("what should be a list is none", change.clone()));
            continue;
        };
        let contacts = Contacts::of(value, list.len());
        items.extend(list.iter().filter_map(|one| match key {
            "messages" => Some(read_message(one, &contacts)),
            "statuses" => read_status(one, &contacts),
            _ if one.is_object() => Some(changes::notice("error", one, one, "")),
            _ => Some(unknown("an error is none", one.clone())),
        }));
    }
    if is_empty {
        items.push(unknown("there are no messages, statuses or errors in it", change.clone()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channels::incoming::{IncomingKind, IncomingMessage, Sender};
    use crate::channels::outgoing::RefusalClass;
    use crate::channels::whatsapp::addresses::{BSUID, WA_ID};
    use crate::channels::whatsapp::fields::{is_scoped_id, number};
    use crate::domain::{AddressKey, ReplyKind, Timestamp};

    fn delivery(value: &Value) -> Vec<Item> {
        let body = json!({"object": "whatsapp_business_account", "entry": [{"changes": [
            {"field": "messages", "value": value},
        ]}]});
        read_delivery(body.to_string().as_bytes(), "1").unwrap()
    }

    fn message(rest: &Value) -> IncomingMessage {
        let mut message = json!({"id": "wamid.1", "from": "16505551234", "timestamp": "1770000000"});
        message.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        match delivery(&json!({"messages": [message]})).remove(0) {
            Item::Message(message) => *message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_flow_cannot_use_is_kept_for_people() {
        let voice = message(&json!({"type": "audio", "audio": {"id": "7", "voice": true}}));
        assert_eq!(voice.payload, Some(json!({"id": "7", "voice": true})));
        let ad = message(&json!({"type": "text", "text": {"body": "Hi"}, "referral": {"source_id": "120"}}));
        assert_eq!((ad.text.as_deref(), ad.payload), (Some("Hi"), Some(json!({"referral": {"source_id": "120"}}))));
        let photo = json!({"type": "image", "image": {"id": "7"}, "referral": {"source_id": "120"}});
        assert_eq!(message(&photo).payload, Some(json!({"id": "7", "referral": {"source_id": "120"}})));
        let people = json!({"type": "contacts", "contacts": [{"name": {}}], "referral": {"source_id": "120"}});
        let payload = json!({"contacts": [{"name": {}}], "referral": {"source_id": "120"}});
        assert_eq!(message(&people).payload, Some(payload));
        let unsupported = message(&json!({"type": "unsupported", "errors": [{"code": 131051}]}));
        assert_eq!(unsupported.kind, IncomingKind::Reply(ReplyKind::Unsupported));
        assert_eq!(unsupported.payload, Some(json!({"errors": [{"code": 131051}]})));
        let plain = message(&json!({"type": "text", "text": {"body": "Hi"}}));
        assert_eq!((plain.payload, plain.option, plain.reply_to), (None, None, None));
        assert_eq!(plain.sent_at, Some(Timestamp::from_millis(1_770_000_000_000)));
    }

    #[test]
    fn reactions_edits_and_notices_are_never_an_answer() {
        for kind in ["reaction", "edit", "revoke", "system", "request_welcome"] {
            let kind = message(&json!({"type": kind})).kind;
            assert!(!matches!(kind, IncomingKind::Reply(_)), "{kind:?}");
        }
    }

    #[test]
    fn a_contact_is_matched_by_what_both_say() {
        let value = json!({
            "contacts": [
                {"wa_id": "16505550000", "user_id": "US.2", "profile": {"name": "Two"}},
                {"wa_id": "16505551234", "user_id": "US.1", "parent_user_id": "US.ENT.1", "profile": {"name": "One"}},
                {"wa_id": "16505559999", "user_id": "US.3", "profile": {"name": "Moved"}},
            ],
            "messages": [
                {"id": "a", "from": "16505551234", "type": "text", "text": {"body": "x"}},
                {"id": "b", "from_user_id": "US.2", "type": "text", "text": {"body": "x"}},
                {"id": "c", "from": "16505550001", "from_user_id": "US.3", "type": "text", "text": {"body": "x"}},
            ],
        });
        let senders: Vec<Sender> = delivery(&value)
            .into_iter()
            .map(|item| match item {
                Item::Message(message) => message.from,
                other => panic!("{other:?}"),
            })
            .collect();
        let sender = |wa_id: &str, bsuid: &str, name: Option<&str>| Sender {
            addresses: vec![AddressKey::new(BSUID, bsuid), AddressKey::new(WA_ID, wa_id)],
            name: name.map(str::to_owned),
        };
        let one = sender("16505551234", "US.1", Some("One"));
        let two = sender("16505550000", "US.2", Some("Two"));
        let three = sender("16505550001", "US.3", None);
        assert_eq!(senders, [one, two, three]);
    }

    #[test]
    fn numbers_and_ids_are_told_apart_by_their_form() {
        for id in ["US.13491208655302741918", "US.ENT.11815799212886844830", "BR.a"] {
            assert!(is_scoped_id(id), "{id}");
        }
        for text in ["16505551234", "US.", "us.1", "USA.1", ".1", "US.a b", "US.é", &format!("US.{}", "1".repeat(161))]
        {
            assert!(!is_scoped_id(text), "{text}");
        }
        let number = |text: &str| number(&json!({"from": text}), "from");
        assert_eq!(number("+554188887777").as_deref(), Some("554188887777"));
        for text in ["1234", "US.12345678", "12345678901234567890123", "1650 555", "+", ""] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn pricing_and_failures_go_along() {
        let status = |rest: &Value| {
            let mut status = json!({"id": "wamid.1", "status": "failed"});
            status.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            match delivery(&json!({"statuses": [status]})).remove(0) {
                Item::Progress(progress) => *progress,
                other => panic!("{other:?}"),
            }
        };
        let errors = json!([{"code": "131026", "title": "Message undeliverable"}]);
        let failed = status(&json!({"errors": errors}));
        assert_eq!((failed.code.as_deref(), failed.text.as_deref()), (Some("131026"), Some("Message undeliverable")));
        assert_eq!(failed.class, Some(RefusalClass::Permanent));
        for (code, class) in [
            (json!(131000), RefusalClass::Transient),
            (json!("130429"), RefusalClass::ChannelPacing),
            (json!(131056), RefusalClass::RecipientPacing),
            (json!(131042), RefusalClass::ChannelDown),
            (json!(131047), RefusalClass::WindowClosed),
            (json!(131050), RefusalClass::OptedOut),
            (json!("soon"), RefusalClass::Permanent),
        ] {
            assert_eq!(status(&json!({"errors": [{"code": code}]})).class, Some(class), "{code}");
        }
        let sent = status(&json!({"status": "sent", "errors": errors, "pricing": {"category": "marketing"}}));
        assert_eq!((sent.class, sent.code, sent.text), (None, None, None), "a code of what has not failed");
        assert_eq!(sent.pricing, Some(json!({"category": "marketing"})));
        let bare = status(&json!({}));
        assert_eq!((bare.at, bare.code, bare.recipient), (None, None, Sender::default()));
    }
}
