//! The person that a delivery is about: the fields of a message or a status, and those beside it.

use serde_json::Value;

use super::addresses::Person;
use super::fields::{is_scoped_id, number, scoped_id, text};

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

    /// The sender of a message; `None` if nothing identifies one.
    pub(super) fn sender_of(&self, message: &Value, system: Option<&Value>) -> Option<Person> {
        let mut told = Person {
            wa_id: number(message, "from"),
            // A number's field with an id in it is an id.
            bsuid: scoped_id(message, "from_user_id").or_else(|| scoped_id(message, "from")),
            parent_bsuid: scoped_id(message, "from_parent_user_id"),
            ..Person::default()
        };
        if let Some(system) = system {
            // A person whose id has changed is known by the old one. Meta leaves the id out, or gives the new one.
            let is_known = told.bsuid.is_some() && told.bsuid != scoped_id(system, "user_id");
            told.bsuid = previous_id(system).filter(|_| !is_known).or(told.bsuid);
        }
        let sender = self.completed(told);
        if sender.is_known() {
            return Some(sender);
        }
        // One contact and one message leave no doubt. A system message names a new address, which may not be the
        // contact's.
        let [only] = self.all.as_slice() else { return None };
        (self.count == 1 && system.is_none() && only.is_known()).then(|| only.clone())
    }

    /// The person whose preference it is; `None` if nothing identifies one.
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

    /// The recipient of a message of ours, as far as its status names one.
    pub(super) fn recipient_of(&self, status: &Value) -> Person {
        self.completed(Person {
            wa_id: number(status, "recipient_id"),
            bsuid: scoped_id(status, "recipient_user_id").or_else(|| scoped_id(status, "recipient_id")),
            parent_bsuid: scoped_id(status, "recipient_parent_user_id"),
            ..Person::default()
        })
    }

    /// Completes a person with the contact of the same delivery that is the same person.
    fn completed(&self, mut told: Person) -> Person {
        let same = |contact: &&Person| {
            let pairs = [(&contact.wa_id, &told.wa_id), (&contact.bsuid, &told.bsuid)];
            let both = pairs.iter().filter(|(one, other)| one.is_some() && other.is_some());
            // If one id is the same and the other differs, the number or id has passed to another person.
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

/// The id that a person had before it changed: as such, or out of the sentence "User … changed from … to …". A person's
/// name stands in that sentence too, so that only its end counts, and only if it leads to the new id of the message.
pub(super) fn previous_id(system: &Value) -> Option<String> {
    scoped_id(system, "previous_user_id").or_else(|| scoped_id(system, "previous_parent_user_id")).or_else(|| {
        let new = scoped_id(system, "user_id")?;
        let sentence = text(Some(system), "body")?;
        let rest = sentence.trim_end().strip_suffix(new.as_str())?.strip_suffix(" to ")?;
        let (_, old) = rest.rsplit_once(" changed from ")?;
        is_scoped_id(old).then(|| old.to_owned())
    })
}
