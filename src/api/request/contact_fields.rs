//! The fields of a contact that requests change. [`read_change`] names them all.

use serde_json::{Map, Value};

use super::fields::Fields;
use super::reader::Reader;
use crate::api::error::ApiError;
use crate::domain::ContactChange;
use crate::domain::profile::{NAME_CHARS, TAG_CHARS, clean_name, clean_tag, is_email, is_language};
use crate::domain::text::{has_odd_characters, json_depth};
use crate::domain::unseen::is_blank;
use crate::runtime::{METADATA_BYTES, TAGS_PER_CONTACT};

/// How deep metadata may be nested.
const METADATA_DEPTH: usize = 32;

/// The kind of request that changes a contact: what it may change and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum ChangeBy {
    /// `PATCH /contacts/{id}`: every field; the tags are a list.
    Operator,
    /// `update-contact`: the tags are a text, and blank metadata changes nothing.
    Program,
    /// `create-contact`: as [`ChangeBy::Program`], and what is blank changes nothing.
    Creation,
}

/// Reads all that a request changes of a contact, and the tags that are sent.
pub(in crate::api) fn read_change(fields: &mut Fields<'_>, by: ChangeBy) -> (ContactChange, Option<Vec<String>>) {
    let is_operator = by == ChangeBy::Operator;
    let kept = |text: Option<String>| text.filter(|text| by != ChangeBy::Creation || !text.is_empty());
    let name = kept(read_name(fields));
    let email = kept(read_email(fields));
    let language = if is_operator { read_language(fields) } else { None };
    let tags = if is_operator { read_tags(fields) } else { read_csv(fields) };
    let metadata = if is_operator { read_metadata(fields) } else { read_metadata_or_blank(fields) };
    let opt_out = if is_operator { read_opt_out(fields) } else { None };
    (ContactChange { name, email, language, metadata, opt_out, ..ContactChange::default() }, tags)
}

/// A name, without its invisible characters; an empty text clears it.
fn read_name(fields: &mut Fields<'_>) -> Option<String> {
    let problem = |name: &str| match clean_name(name) {
        name if name.is_empty() => Some("must have a character that can be seen".to_owned()),
        name if name.chars().count() > NAME_CHARS => Some(format!("must not be longer than {NAME_CHARS} characters")),
        _ => None,
    };
    cleared_or(fields, "name", problem).map(|name| clean_name(&name))
}

/// An email address; an empty text clears it.
fn read_email(fields: &mut Fields<'_>) -> Option<String> {
    cleared_or(fields, "email", |email| {
        let is_wrong = !is_email(email) || has_odd_characters(email);
        is_wrong.then(|| "must be an email address such as ana@example.com".to_owned())
    })
}

/// A language; an empty text clears it.
fn read_language(fields: &mut Fields<'_>) -> Option<String> {
    cleared_or(fields, "language", |language| {
        (!is_language(language)).then(|| "must be a language tag (BCP 47) such as pt or pt-BR".to_owned())
    })
}

/// What changes of the metadata; null takes a key away.
fn read_metadata(fields: &mut Fields<'_>) -> Map<String, Value> {
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

/// Metadata; null and an empty text count as an empty object.
fn read_metadata_or_blank(fields: &mut Fields<'_>) -> Map<String, Value> {
    match fields.value("metadata") {
        Some(_) => read_metadata(fields),
        None => Map::new(),
    }
}

/// The refusal of metadata that would be too large.
pub(in crate::api) fn metadata_too_large() -> ApiError {
    let text = format!("The metadata must not be larger than {METADATA_BYTES} bytes, what is there included.");
    ApiError::Validation(vec![("metadata".to_owned(), text)])
}

/// A text without blanks around it; empty where it is to be cleared, by null or by a text of nothing but blanks.
fn cleared_or(fields: &mut Fields<'_>, name: &'static str, problem: impl Fn(&str) -> Option<String>) -> Option<String> {
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

/// Whether the person is to be opted out, or in again.
fn read_opt_out(fields: &mut Fields<'_>) -> Option<bool> {
    match fields.sent("opted_out") {
        None => None,
        Some(Value::Bool(opted_out)) => Some(*opted_out),
        Some(_) => {
            fields.fail("opted_out", "The opted out field must be true or false.");
            None
        }
    }
}

/// The whole list of tags, in the order in which contacts keep them, each once.
fn read_tags(fields: &mut Fields<'_>) -> Option<Vec<String>> {
    let sent = fields.sent("tags")?;
    let texts = sent.as_array().and_then(|tags| tags.iter().map(|tag| tag.as_str().map(str::trim)).collect());
    let Some(texts): Option<Vec<&str>> = texts else {
        fields.fail("tags", "The tags must be a list of strings.");
        return None;
    };
    Some(checked_tags(fields, texts))
}

/// Tags between commas, with blanks around them or without; a list of texts, too, which is the only way to say that
/// there are none. `None` where no name is in the text.
fn read_csv(fields: &mut Fields<'_>) -> Option<Vec<String>> {
    let sent = fields.value("tags")?;
    let texts: Option<Vec<&str>> = match sent {
        Value::String(text) => Some(text.split(',').filter(|tag| !is_blank(tag)).collect()),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::trim)).collect(),
        _ => None,
    };
    let Some(texts) = texts else {
        fields.fail("tags", "The tags must be a string such as `vip, beta`, with commas between them.");
        return None;
    };
    if sent.is_string() && texts.is_empty() {
        return None;
    }
    Some(checked_tags(fields, texts))
}

/// Tags in the order in which contacts keep them, each once, and what is wrong with them.
fn checked_tags<'a>(fields: &mut Fields<'_>, texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
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
