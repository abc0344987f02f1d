//! A message of a person, and a status of one of ours, out of Meta's JSON.

use serde_json::{Map, Value, json};

use super::addresses::Person;
use super::catalog::{self, Treatment};
use super::fields::{number, text, timestamp, unknown};
use super::people::Contacts;
use super::{answer, changes};
use crate::channels::incoming::{IncomingKind, IncomingMessage, Item, Progress, Stage};
use crate::channels::outgoing::RefusalClass;
use crate::domain::ReplyKind;

/// A message of a person.
pub(super) fn read_message(message: &Value, contacts: &Contacts) -> Item {
    let refuse = |why: &str| unknown(why, message.clone());
    let Some(provider_id) = text(Some(message), "id") else {
        return refuse("a message has no id");
    };
    if text(Some(message), "group_id").is_some() {
        return refuse("it was written to a group");
    }
    let system = message.get("system").filter(|system| system.is_object());
    let Some(from) = contacts.sender_of(message, system) else {
        return refuse("a message has no sender");
    };
    let said = Content::of(message, system);
    let from = Person { wa_id: from.wa_id.clone().or_else(|| own_number(message)), ..from };
    Item::Message(Box::new(IncomingMessage {
        provider_id,
        from: from.into(),
        sent_at: timestamp(message),
        kind: said.kind,
        text: said.text,
        option: said.option,
        reply_to: said.reply_to.or_else(|| text(message.get("context"), "id")),
        payload: with_extras(said.payload, message),
    }))
}

/// The content of a message, by its type.
pub(super) struct Content {
    pub(super) kind: IncomingKind,
    pub(super) text: Option<String>,
    option: Option<String>,
    pub(super) reply_to: Option<String>,
    pub(super) payload: Option<Value>,
}

impl Content {
    pub(super) fn of(message: &Value, system: Option<&Value>) -> Self {
        let kind = text(Some(message), "type").unwrap_or_default();
        let body = message.get(&kind).filter(|body| !body.is_null());
        let reply = |kind: ReplyKind| Self {
            kind: IncomingKind::Reply(kind),
            text: None,
            option: None,
            reply_to: None,
            payload: body.cloned(),
        };
        let medium = |kind: ReplyKind| Self { text: text(body, "caption"), ..reply(kind) };
        let about_earlier =
            |kind: IncomingKind, id: &str| Self { kind, reply_to: text(body, id), ..reply(ReplyKind::Text) };
        match kind.as_str() {
            "text" => match text(body, "body") {
                Some(body) => Self { text: Some(body), payload: None, ..reply(ReplyKind::Text) },
                None => reply(ReplyKind::Unsupported),
            },
            "interactive" => Self::tapped(body).unwrap_or_else(|| reply(ReplyKind::Unsupported)),
            "button" => {
                let (text, option) = (text(body, "text"), text(body, "payload"));
                let kind = if text.is_some() || option.is_some() { ReplyKind::Tap } else { ReplyKind::Unsupported };
                Self { text, option, ..reply(kind) }
            }
            "image" => medium(ReplyKind::Image),
            "video" => medium(ReplyKind::Video),
            "audio" | "voice" => medium(ReplyKind::Audio),
            "document" => medium(ReplyKind::Document),
            "sticker" => medium(ReplyKind::Sticker),
            "location" => reply(ReplyKind::Location),
            "contacts" => Self { payload: body.map(|cards| cards_of(cards, message)), ..reply(ReplyKind::Contacts) },
            "order" => Self { text: text(body, "text"), ..reply(ReplyKind::Order) },
            // Without an emoji it takes an earlier one back.
            "reaction" => Self { text: text(body, "emoji"), ..about_earlier(IncomingKind::Reaction, "message_id") },
            "edit" => Self { text: edited_text(body), ..about_earlier(IncomingKind::Edit, "original_message_id") },
            "revoke" => about_earlier(IncomingKind::Revoke, "original_message_id"),
            "system" => {
                let payload = system.map(|system| changes::of_person(system, message));
                let kind = match payload.as_ref().is_some_and(changes::has_new_address) {
                    true => IncomingKind::NumberChanged,
                    false => IncomingKind::System,
                };
                Self { kind, text: text(system, "body"), payload, ..reply(ReplyKind::Text) }
            }
            "request_welcome" => Self { kind: IncomingKind::System, ..reply(ReplyKind::Text) },
            // `unsupported`, `unknown`, and types that came after this version: the person sent something.
            _ => reply(ReplyKind::Unsupported),
        }
    }

    /// A tapped button or row.
    fn tapped(body: Option<&Value>) -> Option<Self> {
        let body = body?;
        let tapped = ["button_reply", "list_reply"].into_iter().find_map(|key| body.get(key))?;
        let option = text(Some(tapped), "id")?;
        Some(Self {
            kind: IncomingKind::Reply(ReplyKind::Tap),
            text: text(Some(tapped), "title"),
            option: Some(option),
            reply_to: None,
            payload: Some(body.clone()),
        })
    }
}

/// The text or the caption of an edited message.
fn edited_text(body: Option<&Value>) -> Option<String> {
    let message = body?.get("message")?;
    let kind = text(Some(message), "type").unwrap_or_default();
    text(message.get("text"), "body").or_else(|| text(message.get(kind), "caption"))
}

/// The payload with the other parts of a message: the ad that led to it, the product that it is about, and why it
/// cannot be shown.
fn with_extras(payload: Option<Value>, message: &Value) -> Option<Value> {
    let is_true = |value: &&Value| value.as_bool() == Some(true);
    let known =
        text(Some(message), "type").is_none_or(|kind| catalog::treatment(catalog::MESSAGE_TYPES, &kind).is_some());
    let extras = [
        ("referral", message.get("referral")),
        ("referred_product", message.pointer("/context/referred_product")),
        ("forwarded", message.pointer("/context/forwarded").filter(is_true)),
        ("frequently_forwarded", message.pointer("/context/frequently_forwarded").filter(is_true)),
        ("errors", message.get("errors")),
        // Only the type identifies a message of unknown kind.
        ("type", message.get("type").filter(|_| !known)),
    ];
    let extras = extras.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.clone())));
    let extras: Map<String, Value> = extras.filter(|(_, value)| !value.is_null()).collect();
    match payload {
        None if extras.is_empty() => None,
        None => Some(Value::Object(extras)),
        Some(Value::Object(mut fields)) => {
            extras.into_iter().for_each(|(key, value)| _ = fields.entry(key).or_insert(value));
            Some(Value::Object(fields))
        }
        // Of what should be an object and is none, nothing is lost.
        Some(other) => {
            let mut fields = Map::from_iter([("value".to_owned(), other)]);
            fields.extend(extras);
            Some(Value::Object(fields))
        }
    }
}

/// The address-book entries of a message as an object, with whether they answer a request for the person's own number.
fn cards_of(cards: &Value, message: &Value) -> Value {
    let mut payload = json!({"contacts": cards});
    if let Some(origin) = origin_of(cards, message) {
        payload["origin"] = origin.into();
    }
    payload
}

/// Where address-book entries come from: Meta says so of the message or of each entry.
fn origin_of(cards: &Value, message: &Value) -> Option<String> {
    text(Some(message), "origin").or_else(|| text(cards.get(0), "origin"))
}

/// The number that a person has shared as their own: Meta vouches for it only where it answers a request for that.
/// Otherwise the card may be another person's.
fn own_number(message: &Value) -> Option<String> {
    let cards = message.get("contacts")?;
    if origin_of(cards, message)?.to_lowercase() != "contact_request" {
        return None;
    }
    let phones = cards.get(0)?.get("phones")?;
    number(phones.get(0)?, "wa_id").or_else(|| {
        // Without a country code it is ambiguous.
        let written = text(phones.get(0), "phone").filter(|phone| phone.trim_start().starts_with('+'))?;
        let digits: String = written.chars().filter(char::is_ascii_digit).collect();
        number(&json!({"phone": digits}), "phone")
    })
}

/// `None` for what nothing has to be kept of.
pub(super) fn read_status(status: &Value, contacts: &Contacts) -> Option<Item> {
    let refuse = |why: &str| unknown(why, status.clone());
    let word = text(Some(status), "status").unwrap_or_default();
    let stage = match word.as_str() {
        // A payment that fails is not a message that fails, and a call is none at all.
        _ if text(Some(status), "type").is_some_and(|kind| kind != "message") => {
            return Some(refuse("it is the status of a payment or a call, and not of a message"));
        }
        "sent" => Stage::Sent,
        "failed" => Stage::Failed,
        "delivered" => Stage::Delivered,
        "read" => Stage::Read,
        "played" => Stage::Played,
        word => {
            return match catalog::treatment(catalog::STATUSES, word) {
                Some(Treatment::Ignored(_)) => None,
                Some(Treatment::Shown(means)) => Some(refuse(means)),
                Some(Treatment::Handled) | None => Some(refuse("a message of ours has a status that is not known")),
            };
        }
    };
    let provider_id = text(Some(status), "id");
    let message_id = text(Some(status), "biz_opaque_callback_data").and_then(|id| id.parse().ok());
    if provider_id.is_none() && message_id.is_none() {
        return Some(refuse("a status does not say of which message"));
    }
    let error = status.get("errors").and_then(|errors| errors.get(0)).filter(|_| stage == Stage::Failed);
    Some(Item::Progress(Box::new(Progress {
        provider_id,
        message_id,
        stage,
        at: timestamp(status),
        recipient: contacts.recipient_of(status).into(),
        class: (stage == Stage::Failed).then(|| error.map_or(RefusalClass::Permanent, answer::class_of_status)),
        code: error.and_then(|error| text(Some(error), "code")),
        text: error.and_then(changes::explanation),
        pricing: status.get("pricing").filter(|pricing| !pricing.is_null()).cloned(),
    })))
}
