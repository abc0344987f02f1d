//! News: of a person's new number or id, of a template's status, of the account.

use serde_json::{Map, Value};

use super::super::incoming::{IncomingKind, IncomingMessage, Item, Sender, TemplateNews};
use super::incoming::{is_scoped_id, number, scoped_id, text, timestamp, unknown};

/// What a delivery about anything but messages says. `field` is what Meta calls it.
pub(super) fn read_news(field: &str, value: &Value, change: &Value, items: &mut Vec<Item>) {
    match field {
        "message_template_status_update" => items.push(template_news(value, change)),
        "user_id_update" => {
            let updates = value.get("user_id_update");
            let updates = updates
                .and_then(Value::as_array)
                .map_or_else(|| updates.into_iter().collect(), |all| all.iter().collect::<Vec<_>>());
            if updates.is_empty() {
                items.push(unknown("an id has changed, and it does not say which", change.clone()));
            }
            items.extend(updates.into_iter().map(read_id_update));
        }
        "account_update"
        | "account_alerts"
        | "account_review_update"
        | "account_settings_update"
        | "business_capability_update"
        | "business_status_update"
        | "message_template_quality_update"
        | "message_template_components_update"
        | "template_category_update"
        | "phone_number_name_update"
        | "phone_number_quality_update"
        | "security" => items.push(notice(field, value, change)),
        _ => items.push(unknown(&format!("deliveries of the field `{field}` are not known"), change.clone())),
    }
}

/// Something that the operator should see. `subject` is what Meta calls it, for want of a code.
pub(super) fn notice(subject: &str, about: &Value, raw: &Value) -> Item {
    let code = text(Some(about), "code").or_else(|| text(Some(about), "event"));
    let details = explanation(about).unwrap_or_else(|| {
        // Plain values say it all; nested ones are in the raw form.
        let fields = about.as_object().into_iter().flatten().filter(|(key, _)| *key != "event");
        let plain = fields.filter_map(|(key, _)| Some(format!("{key}: {}", text(Some(about), key)?)));
        plain.collect::<Vec<_>>().join(", ")
    });
    let subject_words = subject.replace('_', " ");
    let mut sentence = match text(Some(about), "event") {
        Some(event) => format!("{subject_words}: {event}"),
        None => subject_words,
    };
    if !details.is_empty() {
        sentence = format!("{sentence}: {details}");
    }
    let code = code.unwrap_or_else(|| subject.to_owned());
    Item::Notice { code, text: super::http::cut(&sentence, 500), raw: raw.clone() }
}

/// What an error of Meta says in words.
pub(super) fn explanation(error: &Value) -> Option<String> {
    let title = text(Some(error), "message").or_else(|| text(Some(error), "title"));
    let details = text(error.get("error_data"), "details");
    match (title, details) {
        (Some(title), Some(details)) if title != details => Some(format!("{title}: {details}")),
        (title, details) => title.or(details),
    }
}

/// The payload of a system message about a person: what Meta says, and the new address, if there is one, as `wa_id` and
/// `bsuid`.
pub(super) fn of_person(system: &Value, message: &Value) -> Value {
    let mut payload = system.as_object().cloned().unwrap_or_default();
    payload.remove("wa_id");
    payload.remove("bsuid");
    let wa_id = number(system, "wa_id").or_else(|| number(system, "new_wa_id"));
    // A notice of another kind repeats the number that the person has had all along.
    if let Some(wa_id) = wa_id.filter(|wa_id| Some(wa_id) != number(message, "from").as_ref()) {
        payload.insert("wa_id".to_owned(), wa_id.into());
    }
    let bsuid = scoped_id(system, "user_id");
    if let Some(bsuid) = bsuid.filter(|bsuid| Some(bsuid) != scoped_id(message, "from_user_id").as_ref()) {
        payload.insert("bsuid".to_owned(), bsuid.into());
    }
    Value::Object(payload)
}

/// Whether a system message's payload tells a new address: then it is a change of it, whatever Meta calls it by now.
pub(super) fn has_new_address(payload: &Value) -> bool {
    payload.get("wa_id").is_some() || payload.get("bsuid").is_some()
}

/// The id that a person had before it changed: as such, or out of the sentence "User … changed from … to …". A person's
/// name stands in that sentence too, so that only its end counts, and only if it leads to the new id that is told.
pub(super) fn previous_id(system: &Value) -> Option<String> {
    scoped_id(system, "previous_user_id").or_else(|| {
        let new = scoped_id(system, "user_id")?;
        let sentence = text(Some(system), "body")?;
        let rest = sentence.trim_end().strip_suffix(new.as_str())?.strip_suffix(" to ")?;
        let (_, old) = rest.rsplit_once(" changed from ")?;
        is_scoped_id(old).then(|| old.to_owned())
    })
}

/// A change of a business-scoped id on its own. It has no id of its own to be told from a redelivery by, so that the two
/// ids in it stand in for one.
fn read_id_update(update: &Value) -> Item {
    let ids = update.get("user_id");
    let of = |key: &str| ids.and_then(|ids| scoped_id(ids, key));
    let (Some(previous), Some(current)) = (of("previous"), of("current")) else {
        return unknown("an id has changed, and it does not say which", update.clone());
    };
    let mut payload = Map::from_iter([("bsuid".to_owned(), Value::from(current.clone()))]);
    if let Some(wa_id) = number(update, "wa_id") {
        payload.insert("wa_id".to_owned(), wa_id.into());
    }
    let parents = update.get("parent_user_id");
    if let Some(parent) = parents.and_then(|ids| scoped_id(ids, "current")) {
        payload.insert("parent_user_id".to_owned(), parent.into());
    }
    Item::Message(Box::new(IncomingMessage {
        provider_id: format!("user_id_update:{previous}:{current}"),
        from: Sender { bsuid: Some(previous), ..Sender::default() },
        sent_at: timestamp(update),
        kind: IncomingKind::NumberChanged,
        text: text(Some(update), "detail"),
        option: None,
        reply_to: None,
        payload: Some(Value::Object(payload)),
    }))
}

fn template_news(value: &Value, change: &Value) -> Item {
    let part = |key: &str| text(Some(value), key);
    let (name, language, status) = (part("message_template_name"), part("message_template_language"), part("event"));
    let (Some(name), Some(language), Some(status)) = (name, language, status) else {
        return unknown("a template's status has changed, and it does not say which", change.clone());
    };
    let described = ["other_info", "disable_info", "rejection_info"].into_iter().find_map(|key| {
        let info = value.get(key);
        text(info, "description").or_else(|| text(info, "reason")).or_else(|| text(info, "title"))
    });
    let reason = part("reason").filter(|reason| reason != "NONE");
    let reason = match (reason, described) {
        (Some(reason), Some(described)) => Some(format!("{reason}: {described}")),
        (reason, described) => reason.or(described),
    };
    Item::Template(TemplateNews { name, language, status, reason })
}
