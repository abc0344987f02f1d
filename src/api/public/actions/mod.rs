//! `POST /actions/…`: what clients of the public API call, a file for each subject, and what they share.

pub(in crate::api) mod contacts;
pub(in crate::api) mod flows;
pub(in crate::api) mod messages;
pub(in crate::api) mod sequences;
pub(in crate::api) mod tags;
pub(in crate::api) mod templates;

use std::io;

use actix_web::http::StatusCode;
use serde_json::{Map, Value};

use crate::api::error::ApiError;
use crate::api::request::{Fields, Reader};
use crate::domain::FlowKind;
use crate::domain::text::json_depth;
use crate::runtime::TriggerRefusal;

/// Bytes of JSON that a `context` may have.
const CONTEXT_BYTES: usize = 64 * 1024;
/// How deep a `context` may be nested.
const CONTEXT_DEPTH: usize = 32;

pub(in crate::api) const CONTACT_NOT_FOUND: &str = "Contact not found";

/// What a trigger passes to the flow.
pub(in crate::api) fn read_context(fields: &mut Fields<'_>) -> Map<String, Value> {
    let Some(context) = fields.object("context") else { return Map::new() };
    if 1 + context.values().map(json_depth).max().unwrap_or(0) > CONTEXT_DEPTH {
        fields.fail("context", format!("The context must not be nested deeper than {CONTEXT_DEPTH} levels."));
    } else if serde_json::to_writer(SizeLimit { left: CONTEXT_BYTES }, context).is_err() {
        fields.fail("context", format!("The context must not be larger than {CONTEXT_BYTES} bytes."));
    } else {
        // Only what is small is copied.
        return context.clone();
    }
    Map::new()
}

/// Takes so many bytes and no more, and keeps none of them.
struct SizeLimit {
    left: usize,
}

impl io::Write for SizeLimit {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the public API calls a flow of a kind, at the beginning of a sentence and in the names of keys.
pub(in crate::api) fn words_of(kind: FlowKind) -> (&'static str, &'static str) {
    match kind {
        FlowKind::Flow => ("Flow", "flow"),
        FlowKind::Sequence => ("Sequence", "sequence"),
    }
}

/// The answer to a trigger of a flow or a sequence that was refused.
pub(in crate::api) fn refused(kind: FlowKind, refusal: TriggerRefusal) -> ApiError {
    let unprocessable = |text: &str| ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, text);
    let (word, key) = words_of(kind);
    match refusal {
        TriggerRefusal::FlowNotFound => ApiError::not_found(&format!("{word} not found or not published"))
            .hint(&format!("Check the {key}_id, and publish the {key}: drafts cannot be triggered.")),
        TriggerRefusal::NoEntryNode => unprocessable(&format!("{word} has no entry node"))
            .hint(&format!("Name the first node in the {key}'s `entry_node` and publish it again.")),
        TriggerRefusal::ContactNotFound => {
            ApiError::not_found(CONTACT_NOT_FOUND).hint("Send `phone` instead of `contact_id` to create the contact.")
        }
        TriggerRefusal::ContactMismatch => contact_mismatch(),
        TriggerRefusal::OptedOut => opted_out(),
        TriggerRefusal::BadInputs { errors } => ApiError::Validation(errors),
        TriggerRefusal::Running { id } => ApiError::refused(StatusCode::CONFLICT, "A session is already running")
            .with("id", id.to_string())
            .hint("Send on_running `return` to get it, or `restart` to end it first."),
    }
}

/// The answer where the recipient has opted out.
pub(in crate::api) fn opted_out() -> ApiError {
    ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, "Contact has opted out").hint("Only the contact can undo this.")
}

pub(in crate::api) fn contact_mismatch() -> ApiError {
    let sentence = "The contact id and the phone belong to different contacts: send one of them.";
    ApiError::Validation(["contact_id", "phone"].map(|field| (field.to_owned(), sentence.to_owned())).to_vec())
}
