//! A contact as the engine sees it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ContactId, Phone, Timestamp};

/// One person, with what flows may read of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// Public id; older ids of a merged contact resolve to it.
    pub id: ContactId,
    /// The phone number that is shown and written to, if one is known.
    pub phone: Option<Phone>,
    /// Full name.
    pub name: Option<String>,
    /// Email address.
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
}

impl Contact {
    /// The country (ISO 3166) by which what the contact types is read: that of the flow, if it names one, else that of
    /// the phone number.
    pub fn country(&self, of_flow: Option<&str>) -> Option<String> {
        let of_phone = || self.phone.as_ref().and_then(Phone::country);
        of_flow.map(str::to_owned).or_else(of_phone)
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
            Some(true) => self.opted_out_at = self.opted_out_at.or(Some(now)),
            Some(false) => self.opted_out_at = None,
            None => {}
        }
    }
}

/// What a node (or a caller) changes about a contact. Absent fields stay; an empty text clears.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContactChange {
    /// New name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New email address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// New language.
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
