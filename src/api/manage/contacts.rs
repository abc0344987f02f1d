//! `/contacts`: what is known of people, changing it, erasing it.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use super::sessions::show_holder;
use crate::api::answer::{cut, iso};
use crate::api::error::ApiError;
use crate::api::request::contact_fields::{
    checked_tags, cleared_or, metadata_too_large, read_email, read_metadata, read_name,
};
use crate::api::request::{Fields, JsonBody, Query, Reader};
use crate::api::state::{State, read, read_heavy};
use crate::domain::profile::is_language;
use crate::domain::{ContactChange, ContactId, ParseError, Phone, Timestamp};
use crate::error::Result;
use crate::runtime::{
    AllowAutoReplies, ContactUpdated, Found, ResumeContact, UpdateContact, Whom, find_contact, has_stopped_auto_replies,
};
use crate::store::Conn;
use crate::store::contacts::{self, Profile};
use crate::store::search::{self, Search};

pub(super) fn not_found() -> ApiError {
    ApiError::not_found("Contact not found")
}

/// `GET /contacts`: newest first, or the one of a phone number, or those that a search fits, who was last in touch first.
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
        return Ok(HttpResponse::Ok().json(found_view(&state, search, after, limit).await?));
    }
    let page = query.page();
    query.finish()?;
    let now = state.runtime.clock().now();
    let listed = read(&state, move |conn| {
        let mut rows = match phone {
            Some(InQuery(phone)) => match find_contact(conn, &Whom::Phone(phone))? {
                Found::Known(found) if page.cursor.is_none_or(|cursor| found.seq < cursor) => {
                    contacts::profile(conn, found.seq)?.into_iter().collect()
                }
                _ => Vec::new(),
            },
            None => contacts::list(conn, page.cursor, page.limit + 1)?,
        };
        let next = cut(&mut rows, page.limit, |row| row.stored.seq);
        Ok(json!({"data": rows.iter().map(|row| contact_view(row, now)).collect::<Vec<_>>(), "next_cursor": next}))
    });
    Ok(HttpResponse::Ok().json(listed.await?))
}

/// A part of what a search finds, and how many there are in all.
async fn found_view(
    state: &State,
    search: Search,
    after: Option<search::Place>,
    limit: u32,
) -> Result<Value, ApiError> {
    let found = read_heavy(state, move |conn| search::find_page(conn, &search, after, limit)).await?;
    let now = state.runtime.clock().now();
    let data: Vec<Value> = found.profiles.iter().map(|row| contact_view(row, now)).collect();
    let mut view = json!({"data": data, "next_cursor": found.next.map(cursor_of)});
    if let Some((total, is_exact)) = found.total {
        view["total"] = json!(total);
        view["is_total_exact"] = json!(is_exact);
    }
    Ok(view)
}

/// The cursor behind somebody: when they were last in touch, if ever, and their row.
fn cursor_of((at, seq): search::Place) -> String {
    at.map_or_else(|| format!(".{seq}"), |at| format!("{at}.{seq}"))
}

fn place_of(cursor: &str) -> Option<search::Place> {
    let (at, seq) = cursor.split_once('.')?;
    let at = if at.is_empty() { None } else { Some(at.parse().ok()?) };
    Some((at, seq.parse().ok()?))
}

/// A phone number in a query, where a `+` that nobody escaped has become a blank.
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

/// `POST /contacts/{id}/resume`: flows go on, though somebody else has held the conversation.
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
    let view = read(state, move |conn| {
        let Some(profile) = profile_of(conn, id)? else { return Ok(None) };
        let mut view = contact_view(&profile, now);
        if has_stopped_auto_replies(conn, profile.stored.seq, now)? {
            view["auto_replies_stopped"] = json!(true);
        }
        Ok(Some(view))
    });
    Ok(HttpResponse::Ok().json(view.await?.ok_or_else(not_found)?))
}

pub(super) fn profile_of(conn: &Conn, id: ContactId) -> Result<Option<Profile>> {
    match contacts::find_by_id(conn, id)? {
        Some(found) => contacts::profile(conn, found.seq),
        None => Ok(None),
    }
}

pub(super) fn contact_view(profile: &Profile, now: Timestamp) -> Value {
    let contact = &profile.stored.contact;
    let mut view = json!({
        "id": contact.id,
        "phone": contact.phone,
        "name": contact.name,
        "email": contact.email,
        "language": contact.language,
        "tags": contact.tags,
        "metadata": contact.metadata,
        "source": profile.source,
        "opted_in_at": iso(contact.opted_in_at),
        "opted_out_at": iso(contact.opted_out_at),
        "opted_out_of": contact.opted_out_at.map(|_| if contact.marketing_only { "marketing" } else { "everything" }),
        "last_inbound_at": iso(profile.last_inbound_at),
        "last_message_at": iso(profile.last_message_at),
        "total_messages": profile.total_messages,
        "created_at": iso(Some(profile.stored.created_at)),
        "updated_at": iso(Some(profile.updated_at)),
    });
    show_holder(&mut view, profile.stored.held.filter(|held| held.is_on(now)));
    view
}

/// `PATCH /contacts/{id}`: changes what is sent and leaves the rest.
pub(in crate::api) async fn update_contact(
    state: web::Data<State>,
    id: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let id: ContactId = id.parse().map_err(|_| not_found())?;
    let command = read_update(id, &body.fields)?;
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
    let name = read_name(&mut fields);
    let email = read_email(&mut fields);
    let language = cleared_or(&mut fields, "language", |language| {
        (!is_language(language)).then(|| "must be a language tag (BCP 47) such as pt or pt-BR".to_owned())
    });
    let tags = read_tags(&mut fields);
    let metadata = read_metadata(&mut fields);
    let opt_out = match fields.sent("opted_out") {
        None => None,
        Some(Value::Bool(opted_out)) => Some(*opted_out),
        Some(_) => {
            fields.fail("opted_out", "The opted out field must be true or false.");
            None
        }
    };
    fields.refuse_unknown();
    fields.finish()?;
    let change = ContactChange { name, email, language, metadata, opt_out, ..ContactChange::default() };
    Ok(UpdateContact { id, change, tags })
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

/// `DELETE /contacts/{id}`: erases a person.
pub(in crate::api) async fn delete_contact(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: ContactId = id.parse().map_err(|_| not_found())?;
    let erased = state.runtime.erase_contact(id).await?.ok_or_else(not_found)?;
    let counts = json!({"sessions": erased.sessions, "messages": erased.messages});
    Ok(HttpResponse::Ok().json(json!({"id": erased.contact_id, "erased": counts})))
}
