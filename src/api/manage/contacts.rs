//! `/contacts`: what is known of people, changing it, erasing it.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::api::answer::{row_of, trim_page};
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::contact_fields::{ChangeBy, metadata_too_large, read_change};
use crate::api::request::{Fields, JsonBody, Query, Reader};
use crate::api::state::{State, read, read_heavy};
use crate::domain::{ContactId, ParseError, Phone};
use crate::error::Result;
use crate::runtime::{
    AllowAutoReplies, ContactRef, ContactUpdated, Resolved, ResumeContact, UpdateContact, find_contact,
    has_stopped_auto_replies,
};
use crate::store::Conn;
use crate::store::contacts::{self, Profile};
use crate::store::search::{self, Search};
use crate::views::Listing;
use crate::views::contact::{AdminContact, ErasedContact, ErasedRows};

pub(super) fn not_found() -> ApiError {
    ApiError::not_found("Contact not found")
}

/// `GET /contacts`: newest first, or the one of a phone number, or those that match a search, the latest message first.
pub(in crate::api) async fn list_contacts(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read(&request)?;
    let phone: Option<InQuery> = query.parsed("phone");
    let mut filter = |name| query.text(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let search = Search { query: filter("query"), tag: filter("tag"), email: None };
    let is_search = search != Search::default();
    if is_search {
        if phone.is_some() {
            query.fail("phone", "The phone cannot be used together with query or tag.");
        }
        let (limit, after) = (query.limit(), query.cursor(place_of));
        query.finish()?;
        return found_answer(&state, search, after, limit).await;
    }
    let page = query.page();
    query.finish()?;
    let now = state.runtime.clock().now();
    let (rows, next_cursor) = read(&state, move |conn| {
        let mut rows = match phone {
            Some(InQuery(phone)) => match find_contact(conn, &ContactRef::Phone(phone))? {
                Resolved::Known(found) if page.cursor.is_none_or(|cursor| found.seq < cursor) => {
                    contacts::profile(conn, found.seq)?.into_iter().collect()
                }
                _ => Vec::new(),
            },
            None => contacts::list(conn, page.cursor, page.limit + 1)?,
        };
        let next = trim_page(&mut rows, page.limit, |row| row.stored.seq);
        Ok((rows, next))
    })
    .await?;
    let data = rows.iter().map(|row| AdminContact::new(&row_of(row), now)).collect();
    Ok(HttpResponse::Ok().json(Listing { data, next_cursor }))
}

/// A part of what a search finds, and how many there are in all.
async fn found_answer(
    state: &State,
    search: Search,
    after: Option<search::Place>,
    limit: u32,
) -> Result<HttpResponse, ApiError> {
    let found = read_heavy(state, move |conn| search::find_page(conn, &search, after, limit)).await?;
    let now = state.runtime.clock().now();
    let data = found.profiles.iter().map(|row| AdminContact::new(&row_of(row), now)).collect();
    let contacts = Listing { data, next_cursor: found.next.map(cursor_of) };
    let total = found.total.map(|(total, is_total_exact)| Total { total, is_total_exact });
    Ok(HttpResponse::Ok().json(FoundContacts { contacts, total }))
}

/// What a search finds.
#[derive(Serialize)]
struct FoundContacts<'a> {
    #[serde(flatten)]
    contacts: Listing<AdminContact<'a>>,
    /// There only in the first part.
    #[serde(flatten)]
    total: Option<Total>,
}

/// How many contacts a search finds in all.
#[derive(Serialize)]
struct Total {
    total: usize,
    is_total_exact: bool,
}

/// The cursor behind a contact: the time of its last message, if any, and its row.
fn cursor_of((at, seq): search::Place) -> String {
    at.map_or_else(|| format!(".{seq}"), |at| format!("{at}.{seq}"))
}

fn place_of(cursor: &str) -> Option<search::Place> {
    let (at, seq) = cursor.split_once('.')?;
    let at = if at.is_empty() { None } else { Some(at.parse().ok()?) };
    Some((at, seq.parse().ok()?))
}

/// A phone number in a query, where a `+` that was not escaped has become a blank.
struct InQuery(Phone);

impl std::str::FromStr for InQuery {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.strip_prefix(' ') {
            Some(digits) if !digits.starts_with(['+', '0']) => format!("+{digits}").parse(),
            _ => text.parse(),
        }
        .map(Self)
    }
}

/// `POST /contacts/{id}/allow-auto-replies`: automatic answers that stopped, because there were too many at once, go
/// on.
pub(in crate::api) async fn allow_auto_replies(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let contact_id: ContactId = id.parse().map_err(|_| not_found())?;
    if !state.runtime.handle(AllowAutoReplies { contact_id }).await? {
        return Err(not_found());
    }
    show(&state, contact_id).await
}

/// `POST /contacts/{id}/resume`: ends the hold on the conversation, so that flows go on.
pub(in crate::api) async fn resume_contact(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let contact_id: ContactId = id.parse().map_err(|_| not_found())?;
    if !state.runtime.handle(ResumeContact { contact_id }).await? {
        return Err(not_found());
    }
    show(&state, contact_id).await
}

/// `GET /contacts/{id}`: one contact.
pub(in crate::api) async fn get_contact(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    show(&state, id.parse().map_err(|_| not_found())?).await
}

async fn show(state: &State, id: ContactId) -> Result<HttpResponse, ApiError> {
    let now = state.runtime.clock().now();
    let found = read(state, move |conn| {
        let Some(profile) = profile_of(conn, id)? else { return Ok(None) };
        let has_stopped = has_stopped_auto_replies(conn, profile.stored.seq, now)?;
        Ok(Some((profile, has_stopped)))
    });
    let (profile, has_stopped) = found.await?.ok_or_else(not_found)?;
    let contact = AdminContact::new(&row_of(&profile), now).with_stopped_auto_replies(has_stopped);
    Ok(HttpResponse::Ok().json(contact))
}

pub(super) fn profile_of(conn: &Conn, id: ContactId) -> Result<Option<Profile>> {
    match contacts::find_by_id(conn, id)? {
        Some(found) => contacts::profile(conn, found.seq),
        None => Ok(None),
    }
}

/// `PATCH /contacts/{id}`: changes what is sent and leaves the rest.
pub(in crate::api) async fn update_contact(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let id: ContactId = id.parse().map_err(|_| not_found())?;
    let command = read_update(id, &body.fields)?;
    state.charge(&principal, body.raw.len())?;
    match state.runtime.update_contact(command).await? {
        ContactUpdated::Updated { .. } => {}
        ContactUpdated::NotFound => return Err(not_found()),
        ContactUpdated::MetadataTooLarge => return Err(metadata_too_large()),
        ContactUpdated::StaysOptedOut => {
            let text = "The contact has opted out, and only the contact can undo that.";
            return Err(ApiError::Validation(vec![("opted_out".to_owned(), text.to_owned())]));
        }
    }
    show(&state, id).await
}

fn read_update(id: ContactId, body: &Map<String, Value>) -> Result<UpdateContact, ApiError> {
    let mut fields = Fields::of(body);
    let (change, tags) = read_change(&mut fields, ChangeBy::Operator);
    fields.refuse_unknown();
    fields.finish()?;
    Ok(UpdateContact { id, change, tags })
}

/// `DELETE /contacts/{id}`: erases a person.
pub(in crate::api) async fn delete_contact(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: ContactId = id.parse().map_err(|_| not_found())?;
    let erased = state.runtime.erase_contact(id, principal.actor()).await?.ok_or_else(not_found)?;
    let rows = ErasedRows { sessions: erased.sessions, messages: erased.messages };
    Ok(HttpResponse::Ok().json(ErasedContact { id: erased.contact_id, erased: rows }))
}
