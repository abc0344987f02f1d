//! The fields of a contact, as several requests have them.

use serde_json::{Map, Value};

use super::fields::Fields;
use super::reader::Reader;
use crate::api::error::ApiError;
use crate::domain::profile::{NAME_CHARS, TAG_CHARS, clean_name, clean_tag, is_email};
use crate::domain::text::{has_odd_characters, json_depth};
use crate::runtime::{METADATA_BYTES, TAGS_PER_CONTACT};

/// How deep metadata may be nested.
const METADATA_DEPTH: usize = 32;

/// A name, without its invisible characters; an empty text clears it.
pub(in crate::api) fn read_name(fields: &mut Fields<'_>) -> Option<String> {
    let problem = |name: &str| match clean_name(name) {
        name if name.is_empty() => Some("must have a character that can be seen".to_owned()),
        name if name.chars().count() > NAME_CHARS => Some(format!("must not be longer than {NAME_CHARS} characters")),
        _ => None,
    };
    cleared_or(fields, "name", problem).map(|name| clean_name(&name))
}

/// An email address; an empty text clears it.
pub(in crate::api) fn read_email(fields: &mut Fields<'_>) -> Option<String> {
    cleared_or(fields, "email", |email| {
        let is_wrong = !is_email(email) || has_odd_characters(email);
        is_wrong.then(|| "must be an email address such as ana@example.com".to_owned())
    })
}

/// What changes of the metadata; null takes a key away.
pub(in crate::api) fn read_metadata(fields: &mut Fields<'_>) -> Map<String, Value> {
    let metadata = match fields.sent("metadata") {
        None => Map::new(),
        Some(Value::Object(metadata)) => metadata.clone(),
        // PHP writes an empty array so.
        Some(Value::Array(items)) if items.is_empty() => Map::new(),
        Some(_) => {
            fields.fail("metadata", "The metadata must be an object; null as the value of a key removes that key.");
            Map::new()
        }
    };
    if json_depth(&Value::Object(metadata.clone())) > METADATA_DEPTH {
        fields.fail("metadata", format!("The metadata must not be nested deeper than {METADATA_DEPTH} levels."));
    }
    metadata
}

/// The refusal of metadata that would be too large.
pub(in crate::api) fn metadata_too_large() -> ApiError {
    let text = format!("The metadata must not be larger than {METADATA_BYTES} bytes, what is there included.");
    ApiError::Validation(vec![("metadata".to_owned(), text)])
}

/// A text without blanks around it; empty where it is to be cleared, by null or by a text of nothing but blanks.
pub(in crate::api) fn cleared_or(
    fields: &mut Fields<'_>,
    name: &'static str,
    problem: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let text = match fields.sent(name)? {
        Value::Null => return Some(String::new()),
        Value::String(text) => text.trim(),
        _ => {
            fields.fail(name, format!("The {name} must be a string."));
            return None;
        }
    };
    if let Some(problem) = Some(text).filter(|text| !text.is_empty()).and_then(problem) {
        fields.fail(name, format!("The {name} {problem}."));
        return None;
    }
    Some(text.to_owned())
}

/// Tags in the order in which contacts keep them, each once, and what is wrong with them.
pub(in crate::api) fn checked_tags<'a>(
    fields: &mut Fields<'_>,
    texts: impl IntoIterator<Item = &'a str>,
) -> Vec<String> {
    let mut tags: Vec<String> = texts.into_iter().map(clean_tag).collect();
    if tags.iter().any(|tag| !is_tag(tag)) {
        fields.fail("tags", format!("Each of the tags must have 1 to {TAG_CHARS} characters that can be seen."));
    }
    tags.sort();
    tags.dedup();
    if tags.len() > TAGS_PER_CONTACT {
        fields.fail("tags", format!("The tags must not be more than {TAGS_PER_CONTACT}."));
    }
    tags
}

/// Whether a text that [`clean_tag`] has been through can be a tag's name.
pub(in crate::api) fn is_tag(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= TAG_CHARS && !has_odd_characters(text)
}
