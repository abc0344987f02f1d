//! `/webhooks/whatsapp`: Meta's question whether the webhook is ours, and its deliveries.
//!
//! Meta signs what it delivers and takes only 200 for an answer: anything else is delivered again for up to 7 days. So
//! what cannot be committed now is answered 5xx, and what will never be understood is kept as it came and answered 200.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use crate::api::coding::of_body;
use crate::api::error::ApiError;
use crate::api::request::{decode, raw_body};
use crate::api::state::State;
use crate::channels::Channel;
use crate::channels::whatsapp::{WhatsApp, read_delivery};

/// Bytes that a delivery may have (Meta's documentation: up to 3 MB).
pub(in crate::api) const DELIVERY_BYTES: usize = 3 * 1024 * 1024;
/// Bytes of a delivery that are read from anybody: Meta's own have seldom more than a few thousand, and a stranger who
/// sends slowly, or not at all, must keep none of them out. How many connections send that much is the server's limit.
const FREE_BYTES: usize = 64 * 1024;
/// Bytes beyond them that deliveries may hold together before their signatures can be checked. Counted as they arrive:
/// who wants to fill them has to send as much every few seconds.
pub(crate) const UNPROVEN_BYTES: usize = 48 * 1024 * 1024;
/// The header that carries the signature.
const SIGNATURE: &str = "X-Hub-Signature-256";

/// What Meta asks with; each may be missing.
#[derive(Deserialize)]
pub(in crate::api) struct Challenge {
    #[serde(rename = "hub.mode", default)]
    mode: String,
    #[serde(rename = "hub.verify_token", default)]
    verify_token: String,
    #[serde(rename = "hub.challenge", default)]
    challenge: String,
}

/// `GET /webhooks/whatsapp`: answers the challenge, word for word, to who knows the verify token.
pub(in crate::api) async fn answer_challenge(
    state: web::Data<State>,
    query: Option<web::Query<Challenge>>,
) -> Result<HttpResponse, ApiError> {
    let whatsapp = whatsapp(&state)?;
    let answer = query.and_then(|asked| whatsapp.challenge(&asked.mode, &asked.verify_token, &asked.challenge));
    match answer {
        Some(challenge) => Ok(HttpResponse::Ok()
            .content_type(ContentType::plaintext())
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(challenge)),
        None => Err(ApiError::refused(StatusCode::FORBIDDEN, "The verify token is not this server's.")
            .hint("Enter the value of `whatsapp.verify_token` at Meta.")),
    }
}

/// `POST /webhooks/whatsapp`: takes a delivery, and answers once all of it is committed.
pub(in crate::api) async fn receive_delivery(
    request: HttpRequest,
    state: web::Data<State>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let whatsapp = whatsapp(&state)?;
    let signature = request.headers().get(SIGNATURE).and_then(|value| value.to_str().ok());
    // A body without a signature is not worth reading.
    let signature = signature.filter(|signature| looks_signed(signature)).ok_or_else(unsigned)?;
    let coding = of_body(&request)?;
    // Signed is what was sent, and nothing of a stranger's is unpacked.
    let raw = raw_body(&request, payload, (FREE_BYTES, &state.unproven_bytes)).await?;
    if !whatsapp.is_signed(Some(signature), &raw) {
        return Err(unsigned());
    }
    // Before anything in it is looked at, but not before it is known to be Meta's: no timer fires while an arrival is
    // open, and a stranger who sends slowly must not hold them up.
    let arrival = state.runtime.arrive();
    let read = match decode(coding, raw.clone(), DELIVERY_BYTES).await {
        Ok(body) => read_delivery(&body, whatsapp.phone_number_id()).map_err(|unreadable| unreadable.to_string()),
        Err(error) => Err(error.body(None)["error"].as_str().unwrap_or_default().to_owned()),
    };
    match read {
        Ok(items) => state.runtime.take_delivery(items, arrival).await?,
        // It is signed, so Meta would send the very same again and again.
        Err(unreadable) => {
            let raw = json!(String::from_utf8_lossy(&raw));
            state.runtime.keep_unprocessed(unreadable, &raw).await?;
        }
    }
    Ok(HttpResponse::Ok().finish())
}

/// Whether a signature has the form of Meta's: an HMAC-SHA256 in hexadecimal.
fn looks_signed(signature: &str) -> bool {
    let hex = signature.strip_prefix("sha256=");
    hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn unsigned() -> ApiError {
    ApiError::refused(StatusCode::UNAUTHORIZED, "The signature is missing or wrong.")
        .hint("Enter the app's secret as `whatsapp.app_secret`.")
}

fn whatsapp(state: &State) -> Result<Arc<WhatsApp>, ApiError> {
    match state.runtime.channel() {
        Channel::WhatsApp(whatsapp) => Ok(whatsapp.clone()),
        // Meta delivers again later.
        Channel::Incomplete { lacks, .. } => Err(ApiError::refused(StatusCode::SERVICE_UNAVAILABLE, lacks.as_str())),
        Channel::Simulator | Channel::Webhook(_) => {
            Err(ApiError::not_found("WhatsApp is not this server's channel.").hint("Set the keys of `whatsapp`."))
        }
    }
}
