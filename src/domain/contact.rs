//! A contact as the engine sees it.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::country_zone::zone_of;
use super::{ContactId, Phone, Settings, Timestamp};

/// One person, with what flows may read of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// Public id; older ids of a merged contact resolve to it.
    pub id: ContactId,
    /// The phone number that is shown and written to, if one is known.
    pub phone: Option<Phone>,
    /// Full name; `None` if unknown.
    pub name: Option<String>,
    /// Email address; `None` if unknown.
    pub email: Option<String>,
    /// BCP 47 language tag such as `fr`.
    pub language: Option<String>,
    /// Names of tags, in alphabetical order.
    pub tags: Vec<String>,
    /// Free JSON that the operator's systems keep on the person.
    pub metadata: Map<String, Value>,
    /// When the person first agreed to be written to.
    pub opted_in_at: Option<Timestamp>,
    /// Since when the person is not to be written to.
    pub opted_out_at: Option<Timestamp>,
    /// That the person has opted out of marketing alone, as channels offer it: nothing is begun with them and no
    /// template goes to them, while a conversation in which they have written goes on. Only together with
    /// `opted_out_at`.
    #[serde(default)]
    pub marketing_only: bool,
}

/// Fields of a contact that templates read, such as `{{contact.name}}`.
macro_rules! readable {
    ($($field:ident),*) => {
        impl Contact {
            /// The names of the fields that templates read.
            pub const READABLE: &[&str] = &[$(stringify!($field)),*];

            /// The fields that templates read, by their names.
            pub fn readable(&self) -> Value {
                json!({$((stringify!($field)): self.$field),*})
            }
        }
    };
}

readable!(name, phone, email, language, tags, metadata);

impl Contact {
    /// The country (ISO 3166) by which what the contact types is read: that of the flow, if it names one, else that of
    /// the phone number.
    pub fn country(&self, of_flow: Option<&str>) -> Option<String> {
        let of_phone = || self.phone.as_ref().and_then(Phone::country);
        of_flow.map(str::to_owned).or_else(of_phone)
    }

    /// The time zone of the contact in a flow: that of `settings.timezone`, else of the country of the phone number,
    /// else of `settings.country`, else UTC. All times of day that a flow writes, reads or acts on are in it.
    ///
    /// A country of several zones has the one in which most of its people live, the United States the Central one.
    /// Finding out a number's country costs a good part of a turn: ask only where a time of day matters.
    pub fn time_zone(&self, settings: &Settings) -> TimeZone {
        let named = settings.timezone.as_deref().and_then(|name| TimeZone::get(name).ok());
        named.unwrap_or_else(|| {
            let of_number = self.phone.as_ref().and_then(Phone::country).and_then(|code| zone_of(&code));
            let of_flow = || settings.country.as_deref().and_then(|code| zone_of(&code.to_uppercase()));
            let name = of_number.or_else(of_flow);
            name.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC)
        })
    }

    /// A contact of whom nothing but the phone number is known.
    pub fn new(id: ContactId, phone: Option<Phone>) -> Self {
        Self {
            id,
            phone,
            name: None,
            email: None,
            language: None,
            tags: Vec::new(),
            metadata: Map::new(),
            opted_in_at: None,
            opted_out_at: None,
            marketing_only: false,
        }
    }

    /// Applies a change. `now` becomes the time of an opt-out; an earlier opt-out keeps its time.
    pub fn apply(&mut self, change: &ContactChange, now: Timestamp) {
        let set = |field: &mut Option<String>, new: &Option<String>| {
            if let Some(text) = new {
                *field = (!text.is_empty()).then(|| text.clone());
            }
        };
        set(&mut self.name, &change.name);
        set(&mut self.email, &change.email);
        set(&mut self.language, &change.language);
        for (key, value) in &change.metadata {
            if value.is_null() {
                self.metadata.shift_remove(key);
            } else {
                self.metadata.insert(key.clone(), value.clone());
            }
        }
        self.tags.retain(|tag| !change.remove_tags.contains(tag));
        for tag in &change.add_tags {
            if let Err(at) = self.tags.binary_search(tag) {
                self.tags.insert(at, tag.clone());
            }
        }
        match change.opt_out {
            Some(true) => (self.opted_out_at, self.marketing_only) = (self.opted_out_at.or(Some(now)), false),
            Some(false) => (self.opted_out_at, self.marketing_only) = (None, false),
            None => {}
        }
    }

    /// The contact that this one and another of the same person make together. A field that both have keeps the value
    /// of this one; an opt-out of either stands; the earliest consent counts.
    #[must_use]
    pub fn united_with(&self, other: &Self) -> Self {
        let either = |own: &Option<String>, others: &Option<String>| own.as_ref().or(others.as_ref()).cloned();
        let mut tags = [self.tags.as_slice(), &other.tags].concat();
        tags.sort();
        tags.dedup();
        let mut metadata = self.metadata.clone();
        for (key, value) in &other.metadata {
            metadata.entry(key.clone()).or_insert_with(|| value.clone());
        }
        let opted_out_at = earliest(self.opted_out_at, other.opted_out_at);
        Self {
            id: self.id,
            phone: self.phone.clone(),
            name: either(&self.name, &other.name),
            email: either(&self.email, &other.email),
            language: either(&self.language, &other.language),
            tags,
            metadata,
            opted_in_at: earliest(self.opted_in_at, other.opted_in_at),
            opted_out_at,
            marketing_only: opted_out_at.is_some() && !self.is_opted_out() && !other.is_opted_out(),
        }
    }

    /// Whether no message may go to the person, not even in a conversation that goes on. Whether one may be begun is a
    /// matter of `opted_out_at` alone.
    pub fn is_opted_out(&self) -> bool {
        self.opted_out_at.is_some() && !self.marketing_only
    }
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// What a node (or a caller) changes about a contact. Absent fields stay; an empty text clears.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContactChange {
    /// The new name; an empty text clears it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New email address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The new language; an empty text clears it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Merged key by key; `null` removes a key.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Tags to attach.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add_tags: Vec<String>,
    /// Tags to detach.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_tags: Vec<String>,
    /// `true` opts the person out, `false` undoes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_out: Option<bool>,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_clock_is_the_flows_else_the_numbers_else_the_countrys() {
        let zone = |number: Option<&str>, timezone: Option<&str>, country: Option<&str>| {
            let contact = Contact::new(ContactId(Uuid::nil()), number.map(|number| number.parse().unwrap()));
            let (timezone, country) = (timezone.map(str::to_owned), country.map(str::to_owned));
            let zone = contact.time_zone(&Settings { timezone, country, ..Settings::default() });
            zone.iana_name().unwrap().to_owned()
        };
        let (german, toll_free) = (Some("+4915112345678"), Some("+80012345678"));
        for (number, timezone, country, expected) in [
            (german, Some("Asia/Tokyo"), Some("FR"), "Asia/Tokyo"),
            (None, Some("Asia/Tokyo"), None, "Asia/Tokyo"),
            (german, None, Some("FR"), "Europe/Berlin"),
            (Some("+61412345678"), None, None, "Australia/Sydney"),
            (Some("+40712345678"), None, None, "Europe/Bucharest"),
            (Some("+5215512345678"), None, None, "America/Mexico_City"),
            (Some("+919812345678"), None, None, "Asia/Kolkata"),
            (Some("+14155550123"), None, None, "America/Chicago"),
            (toll_free, None, Some("FR"), "Europe/Paris"),
            (None, None, Some("fr"), "Europe/Paris"),
            (None, None, None, "UTC"),
            (toll_free, None, None, "UTC"),
            (None, None, Some("ZZ"), "UTC"),
            // Publishing refuses it; what was published before goes on as if it were not there.
            (german, Some("Europe/Bonn"), None, "Europe/Berlin"),
        ] {
            assert_eq!(zone(number, timezone, country), expected, "{number:?} {timezone:?} {country:?}");
        }
    }
}
