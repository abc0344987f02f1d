//! `GET /webhooks/whatsapp`: Meta's question whether the webhook is ours. Its deliveries are in [`super::deliveries`].

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::deliveries::live_channel;
use crate::api::error::ApiError;
use crate::api::state::State;
use crate::channels::{Channel, ChannelKind};

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

/// `GET /webhooks/whatsapp`: answers the challenge, word for word, to a caller that sends the verify token.
pub(in crate::api) async fn answer_challenge(
    state: web::Data<State>,
    query: Option<web::Query<Challenge>>,
) -> Result<HttpResponse, ApiError> {
    let answer = match (live_channel(&state, ChannelKind::WhatsApp)?, query) {
        (Channel::WhatsApp(whatsapp), Some(asked)) => {
            whatsapp.challenge(&asked.mode, &asked.verify_token, &asked.challenge)
        }
        _ => None,
    };
    match answer {
        Some(challenge) => Ok(HttpResponse::Ok()
            .content_type(ContentType::plaintext())
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(challenge)),
        None => Err(ApiError::refused(StatusCode::FORBIDDEN, "The verify token is not this server's.")
            .hint("Enter the value of `whatsapp.verify_token` at Meta.")),
    }
}
