//! `/templates`: messages that may begin a conversation, or follow a long silence. Those of WhatsApp are made and
//! approved at Meta and only fetched; for other channels they are made here.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::api::answer::paginate;
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Fields, JsonBody, Query, Reader};
use crate::api::state::{State, read};
use crate::channels::capabilities::NotHere;
use crate::domain::{
    ButtonKind, MessageTemplate, Phone, TemplateButton, TemplateHeader, TemplateId, TemplateStatus, check_placeholders,
    text::has_odd_characters,
};
use crate::error::Result;
use crate::runtime::Change;
use crate::runtime::templates::{TemplateSync, TemplatesChanged};
use crate::store::Tx;
use crate::store::templates::{self, TemplateRow};
use crate::views::template::{AdminTemplate, PlaceholderKey, SyncAnswer, TemplateFields};
use crate::views::{IsoTime, Listing};

// The limits are those that Meta's documentation of message templates gives: what is made here could be made there.
const NAME_CHARS: usize = 512;
const BODY_CHARS: usize = 1024;
const HEADER_CHARS: usize = 60;
const FOOTER_CHARS: usize = 60;
const BUTTON_CHARS: usize = 25;
const URL_CHARS: usize = 2000;
const BUTTONS: usize = 10;

const STATUSES: [(&str, TemplateStatus); 6] = [
    ("approved", TemplateStatus::Approved),
    ("pending", TemplateStatus::Pending),
    ("rejected", TemplateStatus::Rejected),
    ("paused", TemplateStatus::Paused),
    ("disabled", TemplateStatus::Disabled),
    ("other", TemplateStatus::Other),
];
const BUTTON_KINDS: [(&str, ButtonKind); 7] = [
    ("quick_reply", ButtonKind::QuickReply),
    ("url", ButtonKind::Url),
    ("phone_number", ButtonKind::PhoneNumber),
    ("copy_code", ButtonKind::CopyCode),
    ("flow", ButtonKind::Flow),
    ("catalog", ButtonKind::Catalog),
    ("other", ButtonKind::Other),
];

fn not_found() -> ApiError {
    ApiError::not_found("Template not found")
}

/// `GET /templates?name=&status=&language=`: templates of the live channel, by name and language.
pub(in crate::api) async fn list_templates(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read(&request)?;
    let name = query.text("name");
    let language = query.text("language");
    let status = query.choice("status", &STATUSES);
    let channel = state.runtime.channel().name();
    let mut rows = read(&state, move |conn| templates::list(conn, channel)).await?;
    rows.retain(|TemplateRow { template, .. }| {
        name.as_ref().is_none_or(|name| template.name == *name)
            && language.as_ref().is_none_or(|language| template.language == *language)
            && status.is_none_or(|status| template.status == status)
    });
    let (rows, next_cursor) = paginate(rows, &mut query);
    query.finish()?;
    let data = rows.iter().map(|row| template_view(&state, row)).collect();
    Ok(HttpResponse::Ok().json(Listing { data, next_cursor }))
}

/// `GET /templates/{id}`: one template.
pub(in crate::api) async fn get_template(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: TemplateId = id.parse().map_err(|_| not_found())?;
    let row = read(&state, move |conn| templates::find_by_id(conn, id)).await?.ok_or_else(not_found)?;
    Ok(HttpResponse::Ok().json(template_view(&state, &row)))
}

/// `POST /templates`: makes a template by hand.
pub(in crate::api) async fn create_template(
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let channel = state.runtime.channel().name();
    check_by_hand(&state, channel)?;
    let template = read_template(&body.fields)?;
    state.charge(&principal, body.raw.len())?;
    let (id, now) = (TemplateId(Uuid::now_v7()), state.runtime.clock().now());
    let made = state.runtime.store().write(move |tx| {
        if is_taken(tx, channel, &template, None)? {
            return Ok(None);
        }
        templates::insert(tx, id, channel, None, &template, now)?;
        templates::find_by_id(tx, id)
    });
    let row = made.await?.ok_or_else(taken)?;
    state.runtime.publish_change(Change::Templates { channel, added: 1, changed: 0, removed: 0 });
    Ok(HttpResponse::Created().json(template_view(&state, &row)))
}

/// `PATCH /templates/{id}`: changes the fields that are sent; null takes a part away.
pub(in crate::api) async fn update_template(
    state: web::Data<State>,
    id: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let id = find_by_hand(&state, &id).await?.id;
    let now = state.runtime.clock().now();
    let changed = state.runtime.store().write(move |tx| {
        let Some(row) = templates::find_by_id(tx, id)? else { return Ok(Err(not_found())) };
        let mut fields = fields_of(&row.template);
        fields.extend(body.fields.clone());
        let template = match read_template(&fields) {
            Ok(template) => template,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if is_taken(tx, &row.channel, &template, Some(id))? {
            return Ok(Err(taken()));
        }
        if row.template != template {
            templates::update(tx, row.seq, None, &template, now)?;
        }
        Ok(templates::find_by_id(tx, id)?.ok_or_else(not_found))
    });
    let row = changed.await??;
    let channel = state.runtime.channel().name();
    state.runtime.publish_change(Change::Templates { channel, added: 0, changed: 1, removed: 0 });
    Ok(HttpResponse::Ok().json(template_view(&state, &row)))
}

/// `DELETE /templates/{id}`: messages that name it are refused from then on.
pub(in crate::api) async fn delete_template(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = find_by_hand(&state, &id).await?.id;
    if !state.runtime.store().write(move |tx| templates::delete(tx, id)).await? {
        return Err(not_found());
    }
    let channel = state.runtime.channel().name();
    state.runtime.publish_change(Change::Templates { channel, added: 0, changed: 0, removed: 1 });
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /templates/sync`: fetches them from the channel now.
pub(in crate::api) async fn sync_templates(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    match state.runtime.sync_templates().await? {
        TemplateSync::Done(TemplatesChanged { added, changed, removed, total }) => {
            Ok(HttpResponse::Ok().json(SyncAnswer { added, changed, removed, total }))
        }
        TemplateSync::Refused(refusal) => Err(super::channels::refused_by_channel(&refusal)),
        TemplateSync::ByHand => {
            let error = format!("The channel {} approves no templates.", state.runtime.channel().name());
            Err(ApiError::refused(StatusCode::CONFLICT, error).hint("Make them with POST /templates."))
        }
    }
}

/// Refuses to make by hand what a channel has to approve.
fn check_by_hand(state: &State, channel: &str) -> Result<(), ApiError> {
    let live = state.runtime.channel().kind();
    match live.refuses_handmade() {
        Some(NotHere { error, hint }) if live.as_str() == channel => {
            Err(ApiError::refused(StatusCode::CONFLICT, error).hint(hint))
        }
        _ => Ok(()),
    }
}

/// A template that may be changed here.
async fn find_by_hand(state: &web::Data<State>, id: &str) -> Result<TemplateRow, ApiError> {
    let id: TemplateId = id.parse().map_err(|_| not_found())?;
    let row = read(state, move |conn| templates::find_by_id(conn, id)).await?.ok_or_else(not_found)?;
    check_by_hand(state, &row.channel)?;
    Ok(row)
}

fn is_taken(tx: &Tx<'_>, channel: &str, template: &MessageTemplate, own: Option<TemplateId>) -> Result<bool> {
    let named = templates::named(tx, channel, &template.name)?;
    Ok(named.iter().any(|row| row.template.language == template.language && Some(row.id) != own))
}

fn taken() -> ApiError {
    ApiError::refused(StatusCode::CONFLICT, "There is a template of this name in this language.")
}

fn template_view<'a>(state: &State, row: &'a TemplateRow) -> AdminTemplate<'a> {
    let (channel, template) = (state.runtime.channel(), &row.template);
    AdminTemplate {
        fields: template.into(),
        id: row.id,
        channel: &row.channel,
        provider_id: row.provider_id.as_deref(),
        placeholders: template.placeholders().into_iter().map(PlaceholderKey::from).collect(),
        unfillable: &template.unfillable,
        is_editable: !(channel.kind().has_templates() && channel.name() == row.channel),
        created_at: IsoTime(row.created_at),
        updated_at: IsoTime(row.updated_at),
    }
}

/// A template as it is sent to be made.
fn fields_of(template: &MessageTemplate) -> Map<String, Value> {
    match json!(TemplateFields::from(template)) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Reads a template that is made by hand.
fn read_template(fields: &Map<String, Value>) -> Result<MessageTemplate, ApiError> {
    let mut fields = Fields::of(fields);
    let name = fields.required_text("name").unwrap_or_default().to_owned();
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.is_empty() && (name.len() > NAME_CHARS || !name.chars().all(is_plain)) {
        let rule = format!("The name must have 1 to {NAME_CHARS} of the characters a-z, 0-9 and _.");
        fields.fail("name", rule);
    }
    let language = fields.required_text("language").unwrap_or_default().to_owned();
    if !language.is_empty() && !is_language(&language) {
        fields.fail("language", "The language must be a code such as en, en_US or pt_BR.");
    }
    let body = fields.required_text("body").unwrap_or_default().to_owned();
    check_text(&mut fields, "body", &body, BODY_CHARS);
    let footer = fields.text("footer").map(str::to_owned);
    check_text(&mut fields, "footer", footer.as_deref().unwrap_or_default(), FOOTER_CHARS);
    if footer.as_ref().is_some_and(|footer| footer.contains("{{")) {
        fields.fail("footer", "The footer takes no placeholders.");
    }
    let category = fields.text("category").unwrap_or_default().to_owned();
    check_text(&mut fields, "category", &category, FOOTER_CHARS);
    let status = fields.choice("status", &STATUSES).unwrap_or(TemplateStatus::Approved);
    let header = read_header(&mut fields);
    let buttons = read_buttons(&mut fields);
    fields.refuse_unknown();
    fields.finish()?;
    let unfillable = Vec::new();
    Ok(MessageTemplate { name, language, status, category, header, body, footer, buttons, unfillable })
}

fn read_header(fields: &mut Fields<'_>) -> Option<TemplateHeader> {
    let header = fields.object("header")?;
    fields.within("header", header, |fields| {
        let kinds = [("text", "text"), ("media", "media"), ("location", "location")];
        let kind = fields.required_text("kind").and_then(|_| fields.choice("kind", &kinds));
        let header = match kind? {
            "text" => {
                let text = fields.required_text("text")?.to_owned();
                check_text(fields, "text", &text, HEADER_CHARS);
                if text.matches("{{").count() > 1 {
                    fields.fail("text", "The header takes one placeholder at most.");
                }
                TemplateHeader::Text { text }
            }
            "media" => {
                let media = ["image", "video", "document"].map(|kind| (kind, kind));
                let media = fields.required_text("media").and_then(|_| fields.choice("media", &media))?;
                TemplateHeader::Media { media: media.to_owned() }
            }
            _ => TemplateHeader::Location,
        };
        fields.refuse_unknown();
        Some(header)
    })
}

fn read_buttons(fields: &mut Fields<'_>) -> Vec<TemplateButton> {
    let Some(list) = fields.list("buttons") else { return Vec::new() };
    if list.len() > BUTTONS {
        fields.fail("buttons", format!("There may be {BUTTONS} buttons at most."));
    }
    let mut buttons = Vec::with_capacity(list.len());
    for (index, value) in list.iter().take(BUTTONS).enumerate() {
        let place = format!("buttons.{index}");
        let Value::Object(button) = value else {
            fields.fail(&place, "A button must be an object.");
            continue;
        };
        buttons.extend(fields.within(&place, button, read_button));
    }
    buttons
}

fn read_button(fields: &mut Fields<'_>) -> Option<TemplateButton> {
    let kind = fields.required_text("kind").and_then(|_| fields.choice("kind", &BUTTON_KINDS));
    let text = fields.required_text("text").map(str::to_owned);
    check_text(fields, "text", text.as_deref().unwrap_or_default(), BUTTON_CHARS);
    let url = fields.text("url").map(str::to_owned);
    match (kind, &url) {
        (Some(ButtonKind::Url), None) => fields.fail("url", "A button that opens a page needs its url."),
        (Some(ButtonKind::Url), Some(url)) => {
            let is_web = url.starts_with("https://") || url.starts_with("http://");
            // Meta allows one placeholder, and only at the end.
            let is_last = url.find("{{").is_none_or(|at| url[at..].matches("{{").count() == 1 && url.ends_with("}}"));
            let is_sound = is_last && check_placeholders(url).is_ok();
            if !is_web || !is_sound || url.len() > URL_CHARS || url.contains(char::is_whitespace) {
                let rule = "The url must begin with https:// or http://; it may end in one placeholder such as {{1}}.";
                fields.fail("url", rule);
            }
        }
        (Some(_), Some(_)) => fields.fail("url", "Only a button of the kind url has one."),
        _ => {}
    }
    let phone_number = fields.parsed::<Phone>("phone_number").map(|phone| phone.to_string());
    if phone_number.is_some() && kind.is_some_and(|kind| kind != ButtonKind::PhoneNumber) {
        fields.fail("phone_number", "Only a button of the kind phone_number has one.");
    }
    fields.refuse_unknown();
    Some(TemplateButton { kind: kind?, text: text?, url, phone_number })
}

/// Notes what is wrong with a text of a template.
fn check_text(fields: &mut Fields<'_>, name: &'static str, text: &str, chars: usize) {
    if text.chars().count() > chars {
        fields.fail(name, format!("The {name} must not be longer than {chars} characters."));
    }
    if text.contains('\0') || (name != "body" && has_odd_characters(text)) {
        fields.fail(name, format!("The {name} has characters that cannot be shown."));
    }
    if let Err(error) = check_placeholders(text) {
        fields.fail(name, format!("The {name} {error}."));
    }
}

/// A language code as Meta writes it: `en`, `en_US`, `zh_CN`.
fn is_language(code: &str) -> bool {
    let mut parts = code.split('_');
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && parts.all(|part| (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}
