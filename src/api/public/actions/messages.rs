//! Sending a contact a message: a text, or a template.
//!
//! Messages go out through the outbox. The answer waits a few seconds for the channel's, because clients expect its id
//! of the message; what takes longer is answered as `queued` and goes out all the same.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::opted_out;
use super::templates::template_not_found;
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Charge, Fields, JsonBody, Reader, answer_idempotent, idempotency_key, run_idempotent};
use crate::api::state::State;
use crate::domain::{Phone, Reason, TemplateId};
use crate::runtime::{Command, DeliveryResult, IdempotencyKey, SendRefusal, SendTemplate, SendText, Sending};
use crate::views::message::SendAnswer;

/// Characters of a text at most, which is what WhatsApp takes. They are counted as Unicode scalar values.
const TEXT_CHARS: usize = 4_096;
/// Variables at most: far more than any template has.
const VARIABLES: usize = 200;
/// What is wrong with a text that has a character with which many programs end one.
const NO_NUL: &str = "must not have the character U+0000";
/// Meta's code for free text outside the 24 hours.
const WINDOW_CODE: u32 = 131_047;
/// What Meta says with it (Meta, "Cloud API error codes").
const WINDOW_TEXT: &str = "(#131047) Re-engagement message: Message failed to send because more than 24 hours have \
                           passed since the customer last replied to this number.";

/// `POST /actions/send-text-message`: sends a text.
pub(in crate::api) async fn send_text_message(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let command = read_text(&body)?;
    let key = idempotency_key(&request, &principal, "send-text-message", &body.raw)?;
    let charge = Charge::Sent(&principal, body.raw.len());
    let (answer, is_replay) = send_idempotent(&state, charge, key, command).await?;
    Ok(answer_idempotent(StatusCode::OK, &answer, is_replay))
}

/// `POST /actions/send-template-message`: sends a template.
pub(in crate::api) async fn send_template_message(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let command = read_template(&body)?;
    let key = idempotency_key(&request, &principal, "send-template-message", &body.raw)?;
    let charge = Charge::Sent(&principal, body.raw.len());
    let (answer, is_replay) = send_idempotent(&state, charge, key, command).await?;
    Ok(answer_idempotent(StatusCode::OK, &answer, is_replay))
}

fn read_text(body: &JsonBody) -> Result<SendText, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let phone: Option<Phone> = fields.required("phone");
    let text = read_message(&mut fields, "message");
    fields.finish_with(|| Some(SendText { phone: phone?, text }))
}

/// A text that must be there, in the field of that name.
pub(in crate::api) fn read_message(fields: &mut Fields<'_>, name: &'static str) -> String {
    let text = fields.required_text(name).unwrap_or_default().to_owned();
    if text.chars().count() > TEXT_CHARS {
        fields.fail(name, format!("The {name} must not be longer than {TEXT_CHARS} characters."));
    }
    if text.contains('\0') {
        fields.fail(name, format!("The {name} {NO_NUL}."));
    }
    if !text.is_empty() && text.trim().is_empty() {
        fields.fail(name, format!("The {name} must not be blank."));
    }
    text
}

fn read_template(body: &JsonBody) -> Result<SendTemplate, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let phone: Option<Phone> = fields.required("phone");
    let template_id: Option<TemplateId> = fields.required("template_id");
    let language = fields.text("language").map(str::to_owned);
    let variables = read_variables(&mut fields);
    fields.finish_with(|| Some(SendTemplate { phone: phone?, template_id: template_id?, language, variables }))
}

/// Texts, and numbers as they are written. Null is as good as absent.
pub(in crate::api) fn read_variables(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let Some(sent) = fields.object("variables") else { return BTreeMap::new() };
    if sent.len() > VARIABLES {
        fields.fail("variables", format!("There may be {VARIABLES} variables at most."));
        return BTreeMap::new();
    }
    let mut variables = BTreeMap::new();
    for (name, value) in sent {
        let text = match value {
            Value::String(text) if text.contains('\0') => {
                let place = format!("variables.{name}");
                fields.fail(&place, format!("The {place} {NO_NUL}."));
                continue;
            }
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Null => continue,
            _ => {
                let place = format!("variables.{name}");
                fields.fail(&place, format!("The {place} must be a string."));
                continue;
            }
        };
        variables.insert(name.clone(), text);
    }
    variables
}

/// Queues a message and waits for what becomes of it. Returns the answer and whether it is a replay.
pub(in crate::api) async fn send_idempotent(
    state: &State,
    charge: Charge<'_>,
    key: Option<IdempotencyKey>,
    command: impl Command<Outcome = Sending>,
) -> Result<(SendAnswer, bool), ApiError> {
    state.runtime.check_room()?;
    let wait = state.runtime.wait_for_delivery();
    let (outcome, is_replay) = run_idempotent(state, charge, key.clone(), command).await?;
    let (id, contact_id) = match &outcome {
        Sending::Queued { id, contact_id } => (*id, *contact_id),
        Sending::Refused(refusal) => return Err(refused(refusal.clone())),
    };
    let (status, provider_id) = match wait.result_of(id).await? {
        DeliveryResult::Sent { provider_id } => ("sent", provider_id),
        DeliveryResult::Simulated => ("simulated", None),
        DeliveryResult::Queued => ("queued", None),
        DeliveryResult::Unknown => ("unknown", None),
        DeliveryResult::Failed { reason, error } => {
            // Nothing went out, so a retry has to send. That is not certain of a message that is queued or in doubt.
            if let Some(key) = key {
                state.runtime.forget_key(key, outcome).await?;
            }
            return Err(failed(&reason, error).with("id", id.to_string()));
        }
    };
    Ok((SendAnswer { id, status, whatsapp_message_id: provider_id, contact_id }, is_replay))
}

fn unprocessable(error: impl Into<String>) -> ApiError {
    ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, error)
}

fn refused(refusal: SendRefusal) -> ApiError {
    match refusal {
        SendRefusal::OptedOut => opted_out(),
        SendRefusal::WindowClosed => window_closed(),
        SendRefusal::TemplateNotFound => template_not_found(),
        SendRefusal::NotApproved { reason } => not_approved(&reason),
        SendRefusal::Unfillable { why } => bad_template(Some(&why)),
        SendRefusal::NoLink { key } => {
            let field = format!("variables.{key}");
            let text =
                format!("The {field} must be a link to the medium above the template, with https:// or http://.");
            ApiError::Validation(vec![(field, text)])
        }
        SendRefusal::MissingVariables { expected, missing } => {
            unprocessable("Template requires variables that were not provided.")
                .with("expected_placeholders", expected)
                .with("missing", missing)
        }
    }
}

/// The answer to a message that was queued and then failed: in the provider's words where there are any.
fn failed(reason: &str, error: Option<String>) -> ApiError {
    match Reason::parse(reason) {
        Some(Reason::OptedOut) => opted_out(),
        Some(Reason::WindowClosed) => window_closed(),
        None if reason == WINDOW_CODE.to_string() => window_closed(),
        Some(
            Reason::TemplatePaused | Reason::TemplateDisabled | Reason::TemplateNotApproved | Reason::UnknownTemplate,
        ) => not_approved(reason),
        Some(Reason::BadTemplate) => bad_template(None),
        _ => {
            let error = error.unwrap_or_else(|| format!("The message was not sent: {}.", reason.replace('_', " ")));
            // Meta's codes are numbers; ours and those of the webhook channel are words.
            let code = reason.parse::<u32>().map_or_else(|_| json!(reason), |code| json!(code));
            unprocessable(error).with("error_code", code)
        }
    }
}

fn window_closed() -> ApiError {
    unprocessable(WINDOW_TEXT).with("error_code", WINDOW_CODE).hint(
        "Texts go out until a minute before the 24 hours are over. Send a template instead: it may go out at any \
             time, and their answer opens the 24 hours.",
    )
}

fn bad_template(why: Option<&str>) -> ApiError {
    let why = why.unwrap_or("has a part that nothing here can fill");
    unprocessable(format!("The template {why}."))
        .with("error_code", Reason::BadTemplate.as_str())
        .hint("Choose another template, or have one approved without that part.")
}

fn not_approved(reason: &str) -> ApiError {
    let (error, hint) = match Reason::parse(reason) {
        Some(Reason::TemplatePaused) => {
            ("Template is paused", "WhatsApp holds it back for a time, because people complained.")
        }
        Some(Reason::TemplateDisabled) => ("Template is disabled", "WhatsApp has switched it off: send another one."),
        _ => ("Template has no approved translation", "Wait until the channel has approved one, or send another."),
    };
    unprocessable(error).with("error_code", reason).hint(hint)
}
