//! What each tool does: the same as the API's own way to it, whose functions it calls.

use actix_web::http::StatusCode;
use actix_web::web;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::tools::Tool;
use crate::api::answer::{row_of, slice_page};
use crate::api::auth::Principal;
use crate::api::error::ApiError;

use crate::api::manage::flows;
use crate::api::manage::publishing::{Publication, publish, read_accept, read_note};
use crate::api::manage::{sessions, sessions::Wanted, sessions::session_view, sessions::turns_view};
use crate::api::public::actions::contacts::{
    found_contact, found_contacts, one_contact, read_contact_query, read_search,
};
use crate::api::public::actions::flows::{read_trigger, trigger_idempotent};
use crate::api::public::actions::messages::{read_message, read_variables, send_idempotent};
use crate::api::public::actions::{CONTACT_NOT_FOUND, contact_mismatch};
use crate::api::request::{Charge, Fields, MAX_KEY, Page, Reader};
use crate::api::state::{State, read};
use crate::domain::{CALLED, FlowKind, NO_WEB_ADDRESS, NOT_CALLED, Phone, Scope, SessionId, Status, TemplateId};
use crate::error::Error;
use crate::runtime::{ContactRef, IdempotencyKey, Resolved, SendTemplate, SendText, find_contact};
use crate::store;
use crate::views::Listing;
use crate::views::contact::PublicContact;
use crate::views::flow::FlowDetail;
use crate::views::session::SessionWithTurns;

/// What stands for what a token may not see.
const HIDDEN: &str = "***";
/// The argument that identifies a repeated call.
const KEY: &str = "idempotency_key";
/// Fields of a node that calls another service, any of which may carry a credential.
const OF_ANOTHER_SERVICE: [&str; 3] = ["url", "headers", "body"];

/// Calls a tool that the caller's scope reaches.
pub(super) async fn call(
    state: &web::Data<State>,
    caller: &Principal,
    tool: Tool,
    arguments: &Map<String, Value>,
) -> Result<Value, ApiError> {
    let fields = Fields::of(arguments);
    match tool {
        Tool::ListFlows => list_flows(state, fields).await,
        Tool::GetFlow => get_flow(state, caller, fields).await,
        Tool::CreateFlow => create_flow(state, caller, arguments).await,
        Tool::ValidateFlow => validate_flow(state, fields).await,
        Tool::PublishFlow => publish_flow(state, caller, fields).await,
        Tool::TriggerFlow => trigger_flow(state, caller, arguments).await,
        Tool::ListSessions => list_sessions(state, fields).await,
        Tool::GetSession => get_session(state, caller, fields).await,
        Tool::SearchContacts => search_contacts(state, fields).await,
        Tool::GetContact => get_contact(state, fields).await,
        Tool::SendMessage => send_message(state, caller, arguments).await,
    }
}

async fn list_flows(state: &State, mut fields: Fields<'_>) -> Result<Value, ApiError> {
    let is_published = fields.choice("status", &[("draft", false), ("published", true)]);
    let kind = fields.choice("kind", &[("flow", FlowKind::Flow), ("sequence", FlowKind::Sequence)]);
    let Page { limit, cursor } = fields.page();
    close(fields)?;
    let mut rows = read(state, store::flows::list).await?;
    rows.retain(|flow| is_published.is_none_or(|wanted| flow.published_version.is_some() == wanted));
    rows.retain(|flow| kind.is_none_or(|wanted| flow.kind == wanted));
    let (rows, next) = slice_page(rows, cursor, limit as usize);
    structured(&flows::list_view(state, rows, next).await?)
}

async fn get_flow(state: &State, caller: &Principal, mut fields: Fields<'_>) -> Result<Value, ApiError> {
    let id = fields.required_text("id").unwrap_or_default().to_owned();
    close(fields)?;
    let mut view = flows::flow_view(state, flows::find(state, &id).await?).await?;
    if caller.scope < Scope::Admin {
        view.document.as_mut().into_iter().for_each(hide_credentials);
    }
    structured(&view)
}

async fn create_flow(state: &State, caller: &Principal, arguments: &Map<String, Value>) -> Result<Value, ApiError> {
    let draft = flows::read_new(arguments)?;
    let created = flows::create(state, caller, draft).await?;
    let view = flows::flow_view(state, created).await?;
    // The caller has just written it.
    structured(&FlowDetail { document: None, ..view })
}

async fn validate_flow(state: &State, mut fields: Fields<'_>) -> Result<Value, ApiError> {
    let document = fields.object("document").cloned();
    if document.is_none() && !fields.has_object("document") {
        fields.fail("document", "The document field is required.");
    }
    close(fields)?;
    structured(&flows::validation_view(state, Value::Object(document.unwrap_or_default())).await?)
}

async fn publish_flow(state: &web::Data<State>, caller: &Principal, mut fields: Fields<'_>) -> Result<Value, ApiError> {
    let id = fields.required_text("id").unwrap_or_default().to_owned();
    let revision = fields.whole_number("revision");
    if fields.value("revision").is_none() {
        fields.fail("revision", "The revision field is required: it is the one that get_flow gave with the draft.");
    }
    let note = read_note(&mut fields);
    let consent = read_accept(&mut fields);
    close(fields)?;
    let expected = revision.map(|revision| u32::try_from(revision).unwrap_or(u32::MAX));
    structured(&publish(state, &id, caller, Publication { note, consent, expected }).await?)
}

async fn trigger_flow(state: &State, caller: &Principal, arguments: &Map<String, Value>) -> Result<Value, ApiError> {
    let mut fields = Fields::of(arguments);
    let key = read_key(&mut fields, caller, "mcp-trigger-flow", arguments);
    let mut trigger = read_trigger(fields, true)?;
    // An assistant has one tool for both: list_flows gives it the ids of sequences, too.
    let id = trigger.flow_id;
    let found = read(state, move |conn| store::flows::find(conn, id)).await?;
    trigger.kind = found.map_or(FlowKind::Flow, |flow| flow.summary.kind);
    let (_, answer, _) = trigger_idempotent(state, charge_for(caller, arguments), key, trigger).await?;
    structured(&answer)
}

async fn list_sessions(state: &State, mut fields: Fields<'_>) -> Result<Value, ApiError> {
    let wanted = Wanted {
        flow_id: fields.parsed("flow_id"),
        contact_id: fields.parsed("contact_id"),
        status: fields.choice("status", &Status::ALL.map(|status| (status.as_str(), status))),
        in_handoff: fields.choice("waiting_for", &[("handoff", ())]).is_some(),
    };
    let page = fields.page();
    close(fields)?;
    structured(&sessions::list_view(state, wanted, page).await?)
}

async fn get_session(state: &State, caller: &Principal, mut fields: Fields<'_>) -> Result<Value, ApiError> {
    let now = state.runtime.clock().now();
    let id = fields.required_text("id").unwrap_or_default().to_owned();
    let page = fields.page();
    close(fields)?;
    let id: SessionId = id.parse().map_err(|_| sessions::not_found())?;
    let found = read(state, move |conn| {
        let Some(stored) = store::sessions::find_by_id(conn, id)? else { return Ok(None) };
        let session = session_view(conn, &stored, now)?;
        let Listing { data: turns, next_cursor } = turns_view(conn, stored.seq, page)?;
        Ok(Some(SessionWithTurns { session, turns, next_cursor }))
    });
    let mut view = found.await?.ok_or_else(sessions::not_found)?;
    if caller.scope < Scope::Admin {
        view.turns.iter_mut().for_each(|turn| hide_addresses(&mut turn.record));
    }
    structured(&view)
}

async fn search_contacts(state: &State, fields: Fields<'_>) -> Result<Value, ApiError> {
    let profiles = found_contacts(state, read_search(fields, true)?).await?;
    Ok(json!({"data": profiles.iter().map(found_contact).collect::<Vec<_>>()}))
}

async fn get_contact(state: &State, fields: Fields<'_>) -> Result<Value, ApiError> {
    let profile = one_contact(state, read_contact_query(fields, true)?).await?;
    structured(&PublicContact::new(&row_of(&profile)))
}

async fn send_message(state: &State, caller: &Principal, arguments: &Map<String, Value>) -> Result<Value, ApiError> {
    let mut fields = Fields::of(arguments);
    let key = read_key(&mut fields, caller, "mcp-send-message", arguments);
    let charge = charge_for(caller, arguments);
    let contact_ref = fields.contact_ref();
    let is_template = match fields.choice("type", &[("text", false), ("template", true)]) {
        Some(is_template) => is_template,
        None => fields.value("template_id").is_some(),
    };
    if !is_template {
        let text = read_message(&mut fields, "text");
        fields.refuse_unknown();
        let phone = phone_of(state, fields.finish_with(|| contact_ref)?).await?;
        return structured(&send_idempotent(state, charge, key, SendText { phone, text }).await?.0);
    }
    let template_id: Option<TemplateId> = fields.required("template_id");
    let language = fields.text("language").map(str::to_owned);
    let variables = read_variables(&mut fields);
    fields.refuse_unknown();
    let (contact_ref, template_id) = fields.finish_with(|| contact_ref.zip(template_id))?;
    let phone = phone_of(state, contact_ref).await?;
    let command = SendTemplate { phone, template_id, language, variables };
    structured(&send_idempotent(state, charge, key, command).await?.0)
}

/// The number of who is written to: messages of the public API go to numbers.
async fn phone_of(state: &State, contact_ref: ContactRef) -> Result<Phone, ApiError> {
    if let ContactRef::Phone(phone) = contact_ref {
        return Ok(phone);
    }
    match read(state, move |conn| find_contact(conn, &contact_ref)).await? {
        Resolved::New(phone) => Ok(phone),
        Resolved::Known(known) => known.contact.phone.ok_or_else(|| {
            ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, "Contact has no phone number")
                .hint("They are known by another address only: a flow or an answer on the admin page can reach them.")
        }),
        Resolved::Unknown => Err(ApiError::not_found(CONTACT_NOT_FOUND)),
        Resolved::Mismatch => Err(contact_mismatch()),
    }
}

/// The key of a call that may be repeated, bound to its token, its tool and its other arguments in any order.
fn read_key(
    fields: &mut Fields<'_>,
    principal: &Principal,
    route: &'static str,
    arguments: &Map<String, Value>,
) -> Option<IdempotencyKey> {
    let key = fields.text(KEY)?.trim();
    if key.is_empty() || key.len() > MAX_KEY {
        fields.fail(KEY, format!("The idempotency key must have 1 to {MAX_KEY} bytes."));
        return None;
    }
    let mut others = arguments.clone();
    others.shift_remove(KEY);
    let mut others = Value::Object(others);
    others.sort_all_objects();
    let body_hash = Sha256::digest(others.to_string()).into();
    Some(IdempotencyKey { token_seq: principal.caller.stored_seq(), route, key: key.to_owned(), body_hash })
}

/// What a call counts against: its arguments stand for the body of a request.
fn charge_for<'a>(caller: &'a Principal, arguments: &Map<String, Value>) -> Charge<'a> {
    Charge::Sent(caller, json!(arguments).to_string().len())
}

/// What a tool answers, from what the API answers.
fn structured(view: &impl Serialize) -> Result<Value, ApiError> {
    serde_json::to_value(view).map_err(|error| Error::internal("An answer cannot be written").caused_by(error).into())
}

/// Refuses arguments that the tool does not know, and returns all errors at once.
fn close(mut fields: Fields<'_>) -> Result<(), ApiError> {
    fields.refuse_unknown();
    fields.finish()
}

/// Hides what a document's nodes say to other services. Drafts are not checked, so any node with headers is one of
/// them.
fn hide_credentials(document: &mut Value) {
    let nodes = match document.get_mut("nodes") {
        Some(Value::Array(nodes)) => nodes.iter_mut().collect::<Vec<_>>(),
        Some(Value::Object(nodes)) => nodes.values_mut().collect(),
        _ => return,
    };
    for node in nodes.into_iter().filter_map(Value::as_object_mut) {
        let calls = node.contains_key("headers") || node.get("type").is_some_and(|kind| kind == "http_request");
        for (_, value) in node.iter_mut().filter(|(key, _)| calls && OF_ANOTHER_SERVICE.contains(&key.as_str())) {
            *value = json!(HIDDEN);
        }
    }
}

/// Hides which addresses a turn called, or could not call: filled in, they have what [`hide_credentials`] hides.
fn hide_addresses(record: &mut Map<String, Value>) {
    for change in record.get_mut("changes").and_then(Value::as_array_mut).into_iter().flatten() {
        if change["name"] == CALLED && change["value"].get("url").is_some() {
            change["value"]["url"] = json!(HIDDEN);
        }
    }
    for warning in record.get_mut("warnings").and_then(Value::as_array_mut).into_iter().flatten() {
        let text = warning["text"].as_str().unwrap_or_default();
        if text.starts_with(NOT_CALLED) && text.ends_with(NO_WEB_ADDRESS) {
            warning["text"] = json!(format!("{NOT_CALLED}: `{HIDDEN}` {NO_WEB_ADDRESS}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_say_to_other_services_is_hidden() {
        let mut document = json!({"nodes": [
            {"id": "call", "type": "http_request", "method": "POST", "url": "https://x/?key=secret",
             "headers": {"Authorization": "secret"}, "body": {"token": "secret"}},
            {"id": "odd", "type": "http-request", "headers": {"Authorization": "secret"}},
            {"id": "hello", "type": "send_message", "text": "Hi", "media": {"kind": "image", "url": "https://x/a.png"}},
            "no node"
        ]});
        hide_credentials(&mut document);
        assert!(!document.to_string().contains("secret"), "{document}");
        assert_eq!(document["nodes"][0]["method"], "POST");
        assert_eq!(document["nodes"][2]["media"]["url"], "https://x/a.png", "people are sent this one");
    }
}
