//! The fields of a JSON body, read one by one, with all their errors at once.

use std::str::FromStr;

use serde_json::{Map, Value};

use super::page::{DEFAULT_LIMIT, MAX_LIMIT};
use super::reader::{Reader, label};
use crate::domain::{ContactId, ParseError, Phone};
use crate::runtime::ContactRef;

/// Characters of a reason at most.
const REASON_CHARS: usize = 200;

/// The fields of a body, read one by one; what is wrong is gathered until [`Reader::finish`].
pub(in crate::api) struct Fields<'a> {
    fields: &'a Map<String, Value>,
    known: Vec<&'static str>,
    errors: Vec<(String, String)>,
}

impl<'a> Fields<'a> {
    pub(in crate::api) fn of(fields: &'a Map<String, Value>) -> Self {
        Self { fields, known: Vec::new(), errors: Vec::new() }
    }

    /// A field's value; null and an empty text count as absent.
    pub(in crate::api) fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.fields.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    /// A field's value as it was sent: null and an empty text are values here, too.
    pub(in crate::api) fn sent(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.fields.get(name)
    }

    /// A text that must be there.
    pub(in crate::api) fn required_text(&mut self, name: &'static str) -> Option<&'a str> {
        if self.value(name).is_none() {
            self.fail(name, format!("The {} field is required.", label(name)));
        }
        self.text(name)
    }

    /// A parsed text that must be there.
    pub(in crate::api) fn required<T: FromStr<Err = ParseError>>(&mut self, name: &'static str) -> Option<T> {
        let text = self.required_text(name)?;
        self.parse(name, text)
    }

    /// An object; an empty list counts as one, because PHP writes an empty array so.
    pub(in crate::api) fn object(&mut self, name: &'static str) -> Option<&'a Map<String, Value>> {
        let value = self.value(name)?;
        match value {
            Value::Object(object) => Some(object),
            Value::Array(items) if items.is_empty() => None,
            _ => {
                self.fail(name, format!("The {} must be an object.", label(name)));
                None
            }
        }
    }

    /// Whether an object was sent, or what should be one. An empty list, as PHP writes an empty object, has nothing in
    /// it and counts as absent.
    pub(in crate::api) fn has_object(&mut self, name: &'static str) -> bool {
        self.value(name).is_some_and(|value| value.as_array().is_none_or(|items| !items.is_empty()))
    }

    /// `contact_id` or `phone`, or both.
    pub(in crate::api) fn contact_ref(&mut self) -> Option<ContactRef> {
        let is_absent = self.value("contact_id").is_none() && self.value("phone").is_none();
        if is_absent {
            self.fail("contact_id", "The contact id field is required when phone is not present.");
            self.fail("phone", "The phone field is required when contact id is not present.");
            return None;
        }
        let errors = self.errors.len();
        let id: Option<ContactId> = self.parsed("contact_id");
        let phone: Option<Phone> = self.parsed("phone");
        if self.errors.len() > errors {
            return None;
        }
        match (id, phone) {
            (Some(id), Some(phone)) => Some(ContactRef::Both(id, phone)),
            (Some(id), None) => Some(ContactRef::Id(id)),
            (None, Some(phone)) => Some(ContactRef::Phone(phone)),
            (None, None) => None,
        }
    }

    /// The reason for ending a session.
    pub(in crate::api) fn reason(&mut self) -> Option<String> {
        let reason = self.text("reason")?;
        if reason.chars().count() > REASON_CHARS {
            self.fail("reason", format!("The reason must not be longer than {REASON_CHARS} characters."));
        }
        Some(reason.to_owned())
    }

    /// True or false.
    pub(in crate::api) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let value = self.value(name)?;
        if !value.is_boolean() {
            self.fail(name, format!("The {} must be true or false.", label(name)));
        }
        value.as_bool()
    }

    /// A whole number, 0 or more.
    pub(in crate::api) fn whole_number(&mut self, name: &'static str) -> Option<u64> {
        let value = self.value(name)?;
        if !value.is_u64() {
            self.fail(name, format!("The {} must be a whole number, 0 or more.", label(name)));
        }
        value.as_u64()
    }

    /// A list of any values; a field of another type is an error of that field.
    pub(in crate::api) fn list(&mut self, name: &'static str) -> Option<&'a Vec<Value>> {
        let value = self.value(name)?;
        if !value.is_array() {
            self.fail(name, format!("The {} must be a list.", label(name)));
        }
        value.as_array()
    }

    /// Reads an object inside this one, whose errors are named `<place>.<field>`.
    pub(in crate::api) fn within<'b, T>(
        &mut self,
        place: &str,
        fields: &'b Map<String, Value>,
        read: impl FnOnce(&mut Fields<'b>) -> T,
    ) -> T {
        let mut inner = Fields::of(fields);
        let value = read(&mut inner);
        self.errors.extend(inner.errors.into_iter().map(|(field, text)| (format!("{place}.{field}"), text)));
        value
    }

    /// Refuses keys that the handler has not read.
    pub(in crate::api) fn refuse_unknown(&mut self) {
        let unknown = self.fields.keys().filter(|key| !self.known.contains(&key.as_str()));
        let errors =
            unknown.map(|key| (key.clone(), format!("The {key} field is not known here."))).collect::<Vec<_>>();
        self.errors.extend(errors);
    }
}

impl<'a> Reader for Fields<'a> {
    type Text = &'a str;

    fn text(&mut self, name: &'static str) -> Option<&'a str> {
        let value = self.value(name)?;
        let text = value.as_str();
        if text.is_none() {
            self.fail(name, format!("The {} must be a string.", label(name)));
        }
        text
    }

    fn limit(&mut self) -> u32 {
        let limit = self.whole_number("limit").and_then(|limit| u32::try_from(limit).ok().or(Some(0)));
        if limit.is_some_and(|limit| !(1..=MAX_LIMIT).contains(&limit)) {
            self.fail("limit", format!("The limit must be 1 to {MAX_LIMIT}."));
        }
        limit.unwrap_or(DEFAULT_LIMIT)
    }

    fn fail(&mut self, name: &str, sentence: impl Into<String>) {
        self.errors.push((name.to_owned(), sentence.into()));
    }

    fn into_errors(self) -> Vec<(String, String)> {
        self.errors
    }
}
