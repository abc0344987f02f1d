//! Tagging contacts, and the tags that there are.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest, Sha256};
use uuid::Builder;

use super::contacts::{known, saved};
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::contact_fields::is_tag;
use crate::api::request::{
    Charge, Fields, JsonBody, OptionalJsonBody, Reader, answer_idempotent, idempotency_key, run_idempotent,
};
use crate::api::state::{State, read_heavy};
use crate::domain::profile::{TAG_CHARS, clean_tag};
use crate::domain::{Contact, ContactChange};
use crate::runtime::{ContactRef, IdempotencyKey, SaveContact};
use crate::store::search;
use crate::views::contact::{Tag, TaggedContact};

/// Tags that a list has at most.
const LISTED_AT_MOST: usize = 1_000;

/// `POST /actions/add-tag`: tags a contact. Twice is as good as once.
pub(in crate::api) async fn add_tag(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let (contact_ref, tag) = read_tagging(&body)?;
    let key = idempotency_key(&request, &principal, "add-tag", &body.raw)?;
    let change = ContactChange { add_tags: vec![tag.clone()], ..ContactChange::default() };
    let (contact, is_replay) =
        save(&state, Charge::Sent(&principal, body.raw.len()), key, (contact_ref, change)).await?;
    Ok(answer_idempotent(StatusCode::OK, &TaggedContact::added(&contact, &tag), is_replay))
}

/// `POST /actions/remove-tag`: takes a tag off a contact, if it is on it. The tag itself stays.
pub(in crate::api) async fn remove_tag(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let (contact_ref, tag) = read_tagging(&body)?;
    let key = idempotency_key(&request, &principal, "remove-tag", &body.raw)?;
    let change = ContactChange { remove_tags: vec![tag.clone()], ..ContactChange::default() };
    let (contact, is_replay) =
        save(&state, Charge::Sent(&principal, body.raw.len()), key, (contact_ref, change)).await?;
    Ok(answer_idempotent(StatusCode::OK, &TaggedContact::removed(&contact, &tag), is_replay))
}

/// Saves a change of tags under its key. Gives the contact, and whether that is a replay.
async fn save(
    state: &State,
    charge: Charge<'_>,
    key: Option<IdempotencyKey>,
    (contact_ref, change): (ContactRef, ContactChange),
) -> Result<(Contact, bool), ApiError> {
    let command = SaveContact { contact_ref, change, tags: None, source: None };
    let (outcome, is_replay) = run_idempotent(state, charge, key, command).await?;
    Ok((saved(outcome, "tag")?.stored.contact, is_replay))
}

fn read_tagging(body: &JsonBody) -> Result<(ContactRef, String), ApiError> {
    let mut fields = Fields::of(&body.fields);
    let contact_ref = known(&mut fields)?;
    let tag = fields.required_text("tag").map(clean_tag);
    if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
        fields.fail("tag", format!("The tag must have 1 to {TAG_CHARS} characters that can be seen."));
    }
    fields.finish_with(|| contact_ref.zip(tag))
}

/// `POST /actions/list-tags`: all tags, or those with a text in their names, by name.
pub(in crate::api) async fn list_tags(
    state: web::Data<State>,
    body: OptionalJsonBody,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::of(&body.0);
    let part = fields.text("name").map(clean_tag).filter(|part| !part.is_empty());
    fields.finish()?;
    let names = read_heavy(&state, move |conn| search::tags(conn, part.as_deref(), LISTED_AT_MOST)).await?;
    Ok(HttpResponse::Ok().json(names.iter().map(|name| tag_view(name)).collect::<Vec<_>>()))
}

/// A tag is its name: the id is made of that, so that a tag which is forgotten and comes back has the same one.
fn tag_view(name: &str) -> Tag<'_> {
    let hash = Sha256::new().chain_update("tag\0").chain_update(name).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Tag { id: Builder::from_custom_bytes(bytes).into_uuid(), name }
}
