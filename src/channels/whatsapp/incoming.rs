//! Meta's deliveries: messages of people, how far ours got, and news about the account.
//!
//! The JSON is walked by hand and not read into structs: Meta leaves out numbers, contacts and ids as people change their
//! privacy, writes one field as a string here and as a number there, and adds kinds. What is there is taken, in whatever
//! form makes sense; whatever is not known stays as it came. Meta redelivers for days what is not acknowledged, so that
//! nothing but a delivery that is no JSON is an error.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::super::incoming::{IncomingKind, IncomingMessage, Item, Progress, Stage, Unreadable};
use super::super::outgoing::RefusalClass;
use super::addresses::Person;
use super::catalog::{self, Treatment};
use super::repair::repaired;
use super::{answer, changes, echoes};
use crate::domain::{ReplyKind, Timestamp};

/// Reads a delivery of Meta to the number `phone_number_id`, in its order. Whatever this version does not know is in it as
/// it came, and so is what is meant for another number of the account.
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

/// The JSON of a delivery. Half a surrogate pair, as of an emoji that was cut in two, and bytes that are not UTF-8 do not
/// make a message unreadable: what cannot be shown is replaced.
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
    let said = Said::of(message, system);
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

/// What a message says, by its type.
pub(super) struct Said {
    pub(super) kind: IncomingKind,
    pub(super) text: Option<String>,
    option: Option<String>,
    pub(super) reply_to: Option<String>,
    pub(super) payload: Option<Value>,
}

impl Said {
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
            // `unsupported`, `unknown`, and all that comes after this version: somebody sent something.
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

/// The payload with what else a message tells: the ad that led to it, the product that it is about, and why it cannot be
/// shown.
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
        // Of what is not known nothing else says what it is.
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

/// The number that a person has shared as their own: Meta vouches for it only where it answers a request for that. Anybody
/// may share anybody's card.
fn own_number(message: &Value) -> Option<String> {
    let cards = message.get("contacts")?;
    if origin_of(cards, message)?.to_lowercase() != "contact_request" {
        return None;
    }
    let phones = cards.get(0)?.get("phones")?;
    number(phones.get(0)?, "wa_id").or_else(|| {
        // Without the code of its country it could be anybody's.
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

/// The `contacts` beside messages or statuses, matched to them by what both say of a person and never by their place: a
/// batch has fewer contacts than messages when one person wrote twice, and in any order.
pub(super) struct Contacts {
    all: Vec<Person>,
    /// The contacts belong to this many messages.
    count: usize,
}

impl Contacts {
    pub(super) fn of(value: &Value, count: usize) -> Self {
        let all = value.get("contacts").and_then(Value::as_array).into_iter().flatten().map(|contact| {
            let profile = contact.get("profile");
            Person {
                wa_id: number(contact, "wa_id"),
                bsuid: scoped_id(contact, "user_id"),
                parent_bsuid: scoped_id(contact, "parent_user_id"),
                name: text(profile, "name").or_else(|| text(profile, "username")),
            }
        });
        Self { all: all.collect(), count }
    }

    /// Who wrote a message; `None` if nothing tells.
    pub(super) fn sender_of(&self, message: &Value, system: Option<&Value>) -> Option<Person> {
        let mut told = Person {
            wa_id: number(message, "from"),
            // A number's field with an id in it is an id.
            bsuid: scoped_id(message, "from_user_id").or_else(|| scoped_id(message, "from")),
            parent_bsuid: scoped_id(message, "from_parent_user_id"),
            ..Person::default()
        };
        if let Some(system) = system {
            // A person whose id has changed is known by the old one. Meta leaves the id out, or tells the new one.
            let is_known = told.bsuid.is_some() && told.bsuid != scoped_id(system, "user_id");
            told.bsuid = changes::previous_id(system).filter(|_| !is_known).or(told.bsuid);
        }
        let sender = self.completed(told);
        if sender.is_known() {
            return Some(sender);
        }
        // One contact and one message leave no doubt. A system message is about somebody's new address.
        let [only] = self.all.as_slice() else { return None };
        (self.count == 1 && system.is_none() && only.is_known()).then(|| only.clone())
    }

    /// Who has said what they wish; `None` if nothing tells.
    pub(super) fn person_of(&self, preference: &Value) -> Option<Person> {
        let person = self.completed(Person {
            wa_id: number(preference, "wa_id"),
            bsuid: scoped_id(preference, "user_id").or_else(|| scoped_id(preference, "wa_id")),
            parent_bsuid: scoped_id(preference, "parent_user_id"),
            ..Person::default()
        });
        if person.is_known() {
            return Some(person);
        }
        let [only] = self.all.as_slice() else { return None };
        (self.count == 1 && only.is_known()).then(|| only.clone())
    }

    /// To whom a message of ours went, as far as its status tells.
    fn recipient_of(&self, status: &Value) -> Person {
        self.completed(Person {
            wa_id: number(status, "recipient_id"),
            bsuid: scoped_id(status, "recipient_user_id").or_else(|| scoped_id(status, "recipient_id")),
            parent_bsuid: scoped_id(status, "recipient_parent_user_id"),
            ..Person::default()
        })
    }

    /// What a contact that is the same person adds to what is told.
    fn completed(&self, mut told: Person) -> Person {
        let same = |contact: &&Person| {
            let pairs = [(&contact.wa_id, &told.wa_id), (&contact.bsuid, &told.bsuid)];
            let both = pairs.iter().filter(|(one, other)| one.is_some() && other.is_some());
            // One id alike and the other not is somebody else whose number or id moved on.
            both.clone().count() > 0 && both.clone().all(|(one, other)| one == other)
        };
        if let Some(contact) = self.all.iter().find(same).cloned() {
            told.wa_id = told.wa_id.or(contact.wa_id);
            told.bsuid = told.bsuid.or(contact.bsuid);
            told.parent_bsuid = told.parent_bsuid.or(contact.parent_bsuid);
            told.name = contact.name;
        }
        told
    }
}

/// What cannot be read, and why.
pub(super) fn unknown(why: &str, raw: Value) -> Item {
    Item::Unknown { why: why.to_owned(), raw }
}

/// A text that is not blank, or a number that stands where a text should.
pub(super) fn text(value: Option<&Value>, key: &str) -> Option<String> {
    match value?.get(key)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A number as WhatsApp knows it. Numbering plans are not asked: they call some of them invalid.
pub(super) fn number(value: &Value, key: &str) -> Option<String> {
    let text = text(Some(value), key)?;
    let digits = text.trim().trim_start_matches('+');
    let is_number = (5..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.to_owned())
}

/// A business-scoped id: a country's two letters, a dot, and up to 128 characters (`US.1349…`, `US.ENT.1181…`).
pub(super) fn scoped_id(value: &Value, key: &str) -> Option<String> {
    text(Some(value), key).filter(|id| is_scoped_id(id))
}

/// Whether a text has the form of a business-scoped id.
pub(super) fn is_scoped_id(id: &str) -> bool {
    let Some((country, rest)) = id.split_once('.') else { return false };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && (1..=160).contains(&rest.len())
        && rest.bytes().all(is_plain)
}

/// When something was, in seconds since 1970; `None` for what no calendar has.
pub(super) fn timestamp(value: &Value) -> Option<Timestamp> {
    let seconds: i64 = text(Some(value), "timestamp")?.trim().parse().ok()?;
    (1..=253_402_207_199).contains(&seconds).then(|| Timestamp::from_millis(seconds * 1000))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::addresses::{BSUID, WA_ID};
    use super::*;
    use crate::channels::incoming::Sender;
    use crate::domain::AddressKey;

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
