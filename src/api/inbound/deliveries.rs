//! `POST /webhooks/{channel}`: what a channel's provider delivers.
//!
//! A provider proves that a delivery is its own and takes only 200 for an answer: anything else is delivered again, by
//! Meta for up to 7 days. So what cannot be committed now is answered 5xx, and what will never be understood is kept as
//! it came and answered 200.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use crate::api::coding::of_body;
use crate::api::error::ApiError;
use crate::api::request::{decode, raw_body};
use crate::api::state::State;
use crate::channels::capabilities::Deliveries;
use crate::channels::{Channel, ChannelKind};

/// Bytes that a delivery may have (Meta's documentation: up to 3 MB).
pub(in crate::api) const DELIVERY_BYTES: usize = 3 * 1024 * 1024;
/// Bytes of a delivery that are read from any sender: a provider's own have seldom more than a few thousand, and a
/// stranger who sends slowly, or not at all, must keep none of them out. How many connections send that much is the
/// server's limit.
const FREE_BYTES: usize = 64 * 1024;
/// Bytes beyond them that deliveries may hold together before their signatures can be checked. Counted as they arrive:
/// an attacker that wants to fill them has to send as much every few seconds.
pub(crate) const UNPROVEN_BYTES: usize = 48 * 1024 * 1024;

/// Takes a delivery of the channel whose path it is, and answers once all of it is committed.
pub(in crate::api) async fn receive_delivery(
    request: HttpRequest,
    state: web::Data<State>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let mut known = ChannelKind::ALL.into_iter().filter_map(|kind| Some((kind, kind.deliveries()?)));
    let Some((kind, rules)) = known.find(|(_, rules)| request.path().ends_with(rules.path)) else {
        return Err(ApiError::not_found("Channel not found"));
    };
    let channel = live_channel(&state, kind)?;
    let proof = request.headers().get(rules.proof).and_then(|value| value.to_str().ok());
    // A body without a proof is not worth reading.
    let proof = proof.filter(|proof| channel.is_proof(proof)).ok_or_else(|| unproven(rules))?;
    let coding = of_body(&request)?;
    // The signature is over the bytes as sent, and a body is not decompressed before it is checked.
    let raw = raw_body(&request, payload, (FREE_BYTES, &state.unproven_bytes)).await?;
    if !channel.is_proven(proof, &raw) {
        return Err(unproven(rules));
    }
    // Before anything in it is looked at, but not before it is known to be the provider's: no timer fires while an
    // arrival is open, and a stranger who sends slowly must not hold them up.
    let arrival = state.runtime.arrive();
    let read = match decode(coding, raw.clone(), DELIVERY_BYTES).await {
        Ok(body) => channel.read_delivery(&body).map_err(|unreadable| unreadable.to_string()),
        Err(error) => Err(error.body(None)["error"].as_str().unwrap_or_default().to_owned()),
    };
    match read {
        Ok(items) => state.runtime.take_delivery(items, arrival).await?,
        // It is the provider's, which would send the very same again and again.
        Err(unreadable) => {
            let raw = json!(String::from_utf8_lossy(&raw));
            state.runtime.keep_unprocessed(unreadable, &raw).await?;
        }
    }
    Ok(HttpResponse::Ok().finish())
}

/// The live channel, if it is of this kind and whole.
pub(super) fn live_channel(state: &State, kind: ChannelKind) -> Result<&Channel, ApiError> {
    let channel = state.runtime.channel();
    if channel.kind() != kind {
        let error = format!("{} is not this server's channel.", kind.title());
        return Err(ApiError::not_found(&error).hint(&format!("Set the keys of `{}`.", kind.as_str())));
    }
    match channel.lacks() {
        // The provider delivers again later.
        Some(lacks) => Err(ApiError::refused(StatusCode::SERVICE_UNAVAILABLE, lacks)),
        None => Ok(channel),
    }
}

fn unproven(rules: Deliveries) -> ApiError {
    ApiError::refused(StatusCode::UNAUTHORIZED, "The signature is missing or wrong.").hint(rules.hint)
}
