//! News: of a person's new number, id or wishes, of a template, of the account.

use serde_json::{Map, Value};

use super::addresses::Person;
use super::catalog::{self, Treatment};
use super::fields::{number, scoped_id, text, timestamp, unknown};
use super::people::{Contacts, previous_id};
use super::templates::template_event;
use crate::channels::incoming::{IncomingKind, IncomingMessage, Item, Preference, TemplateNews};

/// Reads a delivery about anything but messages. `field` is what Meta calls it.
pub(super) fn read_news(field: &str, value: &Value, change: &Value, items: &mut Vec<Item>) {
    match field {
        "message_template_status_update" => {
            let news = template_news(value, change);
            // What is deleted leaves the list.
            let leaves = matches!(&news, Item::Template(news) if news.status.eq_ignore_ascii_case("DELETED"));
            items.push(news);
            items.extend(leaves.then_some(Item::Templates));
        }
        "template_category_update" => {
            items.push(category_news(value, change));
            items.push(Item::Templates);
        }
        "user_preferences" => read_preferences(value, change, items),
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
        _ => match catalog::treatment(catalog::FIELDS, field) {
            Some(Treatment::Shown(means)) => {
                let of_event = text(Some(value), "event").and_then(|event| catalog::account_event(&event));
                items.push(notice(field, value, change, of_event.unwrap_or(means)));
                items.extend((field == "message_template_components_update").then_some(Item::Templates));
            }
            Some(Treatment::Ignored(why)) => tracing::debug!(field, why, "a delivery is ignored"),
            Some(Treatment::Handled) | None => {
                items.push(unknown(&format!("deliveries of the field `{field}` are not known"), change.clone()));
            }
        },
    }
}

/// Something that the operator should see. `subject` is what Meta calls it, for want of a code; `means` says what it is
/// and what to do, and is empty where nothing is known of that.
pub(super) fn notice(subject: &str, about: &Value, raw: &Value, means: &str) -> Item {
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
    let room = 500_usize.saturating_sub(means.chars().count());
    let mut sentence = super::http::truncate(&sentence, room);
    if !means.is_empty() {
        sentence = format!("{sentence}. {means}");
    }
    Item::Notice { code: code.unwrap_or_else(|| subject.to_owned()), text: sentence, raw: raw.clone() }
}

/// A template's category, which decides what it costs: Meta announces a change beforehand, and reports it when it is
/// done.
fn category_news(value: &Value, change: &Value) -> Item {
    let part = |key: &str| text(Some(value), key);
    let (Some(name), Some(language)) = (part("message_template_name"), part("message_template_language")) else {
        return unknown("a template's category changes, and it does not say which", change.clone());
    };
    let (previous, new, correct) = (part("previous_category"), part("new_category"), part("correct_category"));
    let text = match (previous, new, correct) {
        (Some(previous), Some(new), _) => {
            format!(
                "The template `{name}` ({language}) is of the category {new} now and was {previous}: it costs what \
                     messages of {new} cost."
            )
        }
        // What Meta calls new is the category of the day then.
        (None, Some(current), Some(correct)) => {
            format!(
                "The template `{name}` ({language}) will be of the category {correct} and is {current}: change its \
                     text or ask for a review in WhatsApp Manager, if that is wrong."
            )
        }
        (_, Some(new), None) | (_, None, Some(new)) => {
            format!("The template `{name}` ({language}) will be of the category {new}.")
        }
        _ => return unknown("a template's category changes, and it does not say to what", change.clone()),
    };
    Item::Notice { code: "template_category_update".to_owned(), text, raw: change.clone() }
}

/// What people have chosen about marketing messages in the app.
fn read_preferences(value: &Value, change: &Value, items: &mut Vec<Item>) {
    let Some(list) = value.get("user_preferences").and_then(Value::as_array).filter(|list| !list.is_empty()) else {
        return items.push(unknown("somebody's preferences are not in it", change.clone()));
    };
    let contacts = Contacts::of(value, list.len());
    for preference in list {
        let refuse = |why: &str| unknown(why, preference.clone());
        let word = |key: &str| text(Some(preference), key).map(|word| word.to_lowercase());
        items.push(match (contacts.person_of(preference), word("category").as_deref(), word("value").as_deref()) {
            (None, ..) => refuse("a preference does not say whose it is"),
            (_, category, _) if category != Some("marketing_messages") => {
                refuse("it is a preference about something that is not known")
            }
            (Some(from), _, Some("stop")) => Item::Preference(preference_of(from, false, preference)),
            // Signing up by a link is the same wish.
            (Some(from), _, Some("resume" | "signup")) => Item::Preference(preference_of(from, true, preference)),
            _ => refuse("somebody's preference is not known"),
        });
    }
}

fn preference_of(from: Person, wants_marketing: bool, preference: &Value) -> Preference {
    Preference { from: from.into(), wants_marketing, at: timestamp(preference) }
}

/// The explanation in an error of Meta.
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
    // An account may get the ids of its portfolio alone.
    let bsuid = scoped_id(system, "user_id").or_else(|| scoped_id(system, "parent_user_id"));
    let is_new =
        |bsuid: &String| previous_id(system).is_some() || Some(bsuid) != scoped_id(message, "from_user_id").as_ref();
    if let Some(bsuid) = bsuid.filter(is_new) {
        payload.insert("bsuid".to_owned(), bsuid.into());
    }
    Value::Object(payload)
}

/// Whether a system message's payload has a new address: then it is a change of address, whatever type Meta gives it.
pub(super) fn has_new_address(payload: &Value) -> bool {
    payload.get("wa_id").is_some() || payload.get("bsuid").is_some()
}

/// A change of a business-scoped id on its own. It has no id of its own by which a redelivery could be recognized, so
/// the two ids in it stand in for one.
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
        from: Person { bsuid: Some(previous), ..Person::default() }.into(),
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
    let becomes = template_event(&status);
    Item::Template(TemplateNews { name, language, status, becomes, reason })
}
