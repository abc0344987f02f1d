//! Making, changing, getting and searching contacts.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::{CONTACT_NOT_FOUND, contact_mismatch};
use crate::api::answer::row_of;
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::contact_fields::{ChangeBy, metadata_too_large, read_change};
use crate::api::request::{
    Charge, Fields, JsonBody, OptionalJsonBody, Reader, answer_idempotent, idempotency_key, run_idempotent,
};
use crate::api::state::{State, read, read_heavy};
use crate::domain::{ContactChange, Phone};
use crate::runtime::{ContactRef, ContactSaved, Resolved, SaveContact, TAGS_PER_CONTACT, find_contact};
use crate::store::contacts::{self, Profile};
use crate::store::search::{self, Search};
use crate::views::contact::{FoundContact, PublicContact, UpdatedContact};

/// Contacts that a search gives at most.
const FOUND_AT_MOST: u32 = 50;
/// What contacts come from that are made here.
const SOURCE: &str = "api";

/// `POST /actions/create-contact`: makes the contact of a phone number, or changes the one that there is.
pub(in crate::api) async fn create_contact(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let command = read_creation(&body)?;
    let key = idempotency_key(&request, &principal, "create-contact", &body.raw)?;
    let (outcome, is_replay) = run_idempotent(&state, Charge::Sent(&principal, body.raw.len()), key, command).await?;
    let profile = saved(outcome, "tags")?;
    Ok(answer_idempotent(StatusCode::CREATED, &PublicContact::saved(&row_of(&profile)), is_replay))
}

fn read_creation(body: &JsonBody) -> Result<SaveContact, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let phone: Option<Phone> = fields.required("phone");
    let (change, tags) = read_change(&mut fields, ChangeBy::Creation);
    let phone = fields.finish_with(|| phone)?;
    let change = ContactChange { add_tags: tags.unwrap_or_default(), ..change };
    Ok(SaveContact { contact_ref: ContactRef::Phone(phone), change, tags: None, source: Some(SOURCE.to_owned()) })
}

/// `POST /actions/update-contact`: changes the fields that are sent.
pub(in crate::api) async fn update_contact(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let command = read_update(&body)?;
    let key = idempotency_key(&request, &principal, "update-contact", &body.raw)?;
    let (outcome, is_replay) = run_idempotent(&state, Charge::Sent(&principal, body.raw.len()), key, command).await?;
    let profile = saved(outcome, "tags")?;
    Ok(answer_idempotent(StatusCode::OK, &UpdatedContact::new(&row_of(&profile)), is_replay))
}

fn read_update(body: &JsonBody) -> Result<SaveContact, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let contact_ref = known(&mut fields)?;
    let (change, tags) = read_change(&mut fields, ChangeBy::Program);
    let contact_ref = fields.finish_with(|| contact_ref)?;
    Ok(SaveContact { contact_ref, change, tags, source: None })
}

/// Which contact an action is about that makes no contacts; none only where what was sent is wrong.
///
/// # Errors
/// The documented refusal where neither field is there.
pub(super) fn known(fields: &mut Fields<'_>) -> Result<Option<ContactRef>, ApiError> {
    if fields.value("contact_id").is_none() && fields.value("phone").is_none() {
        return Err(ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, "Neither contact_id nor phone provided"));
    }
    Ok(fields.contact_ref())
}

/// The contact as it was saved. `field` is the one that tags were sent in.
///
/// # Errors
/// The refusal, where nothing was saved.
pub(super) fn saved(outcome: ContactSaved, field: &str) -> Result<Box<Profile>, ApiError> {
    match outcome {
        ContactSaved::Saved { profile } => Ok(profile),
        ContactSaved::NotFound => Err(ApiError::not_found(CONTACT_NOT_FOUND)),
        ContactSaved::Mismatch => Err(contact_mismatch()),
        ContactSaved::MetadataTooLarge => Err(metadata_too_large()),
        ContactSaved::TooManyTags => {
            let text =
                format!("A contact must not have more than {TAGS_PER_CONTACT} tags, those that it has included.");
            Err(ApiError::Validation(vec![(field.to_owned(), text)]))
        }
    }
}

/// `POST /actions/get-contact`: one contact, by id, phone number or email address.
pub(in crate::api) async fn get_contact(state: web::Data<State>, body: JsonBody) -> Result<HttpResponse, ApiError> {
    let query = read_contact_query(Fields::of(&body.fields), false)?;
    let profile = one_contact(&state, query).await?;
    Ok(HttpResponse::Ok().json(PublicContact::new(&row_of(&profile))))
}

/// The contact that a query names.
pub(in crate::api) async fn one_contact(state: &State, query: ContactQuery) -> Result<Profile, ApiError> {
    let found = read(state, move |conn| {
        let known = match query {
            ContactQuery::Contact(contact_ref) => match find_contact(conn, &contact_ref)? {
                Resolved::Known(known) => Some(known),
                Resolved::New(_) | Resolved::Unknown => None,
                Resolved::Mismatch => return Ok(Err(contact_mismatch())),
            },
            ContactQuery::Email(email) => contacts::find_by_email(conn, &email)?,
        };
        let profile = match known {
            Some(known) => contacts::profile(conn, known.seq)?,
            None => None,
        };
        Ok(profile.ok_or_else(|| ApiError::not_found(CONTACT_NOT_FOUND)))
    });
    found.await?
}

/// Which contact a request asks for.
pub(in crate::api) enum ContactQuery {
    Contact(ContactRef),
    Email(String),
}

/// Reads which contact a request asks for. An email address counts only without an id and a number: several contacts
/// may have the same one. A strict reading refuses unknown fields.
pub(in crate::api) fn read_contact_query(mut fields: Fields<'_>, is_strict: bool) -> Result<ContactQuery, ApiError> {
    let email = fields.text("email").map(str::trim).filter(|email| !email.is_empty()).map(str::to_owned);
    let has_contact_ref = fields.value("contact_id").is_some() || fields.value("phone").is_some();
    if !has_contact_ref && fields.value("email").is_none() {
        let text = "None of contact_id, phone, email provided";
        return Err(ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, text));
    }
    let contact_ref = if has_contact_ref { fields.contact_ref() } else { None };
    if is_strict {
        fields.refuse_unknown();
    }
    fields.finish()?;
    match (contact_ref, email) {
        (Some(contact_ref), _) => Ok(ContactQuery::Contact(contact_ref)),
        (None, Some(email)) => Ok(ContactQuery::Email(email)),
        (None, None) => Ok(ContactQuery::Email(String::new())),
    }
}

/// `POST /actions/search-contacts`: those that match all filters, the latest message first.
pub(in crate::api) async fn search_contacts(
    state: web::Data<State>,
    body: OptionalJsonBody,
) -> Result<HttpResponse, ApiError> {
    let search = read_search(Fields::of(&body.0), false)?;
    let profiles = found_contacts(&state, search).await?;
    Ok(HttpResponse::Ok().json(profiles.iter().map(found_contact).collect::<Vec<_>>()))
}

/// The contacts that a search fits.
pub(in crate::api) async fn found_contacts(state: &State, search: Search) -> Result<Vec<Profile>, ApiError> {
    read_heavy(state, move |conn| search::find(conn, &search, FOUND_AT_MOST)).await
}

/// A contact that a search fits, as it is shown.
pub(in crate::api) fn found_contact(profile: &Profile) -> FoundContact<'_> {
    FoundContact::new(&row_of(profile))
}

/// What is searched for. A strict reading refuses what it does not know.
pub(in crate::api) fn read_search(mut fields: Fields<'_>, is_strict: bool) -> Result<Search, ApiError> {
    let mut filter = |name| fields.text(name).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let search = Search { query: filter("query"), tag: filter("tag"), email: filter("email") };
    if is_strict {
        fields.refuse_unknown();
    }
    fields.finish()?;
    Ok(search)
}
