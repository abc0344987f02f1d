//! `POST /inbound`: a message in, on the generic webhook and on the simulator.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Map, Value};

use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Fields, JsonBody, Reader};
use crate::api::state::State;
use crate::channels::Channel;
use crate::channels::capabilities::NotHere;
use crate::channels::incoming::{IncomingKind, Sender};
use crate::domain::text::json_depth;
use crate::domain::{MessageId, Phone, ReplyKind, Timestamp};
use crate::runtime::{Arrival, Inbound, Quoted};
use crate::views::message::InboundAnswer;

/// Characters of a message's text at most.
pub(in crate::api) const TEXT_CHARS: usize = 16_384;

/// How deep `media` may be nested.
pub(in crate::api) const MEDIA_DEPTH: usize = 32;

/// Takes a message and answers once it is stored and its session has moved.
pub(in crate::api) async fn receive_inbound(
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    check_channel(state.runtime.channel())?;
    // Stamped before anything else, and registered until it is answered.
    let arrival = state.runtime.arrive();
    let inbound = read_inbound(&body, arrival)?;
    state.charge(&principal, body.raw.len())?;
    let received = state.runtime.receive(inbound).await?;
    let answer = InboundAnswer {
        message_id: received.message_id,
        handled: received.handling.as_str(),
        session_id: received.session_id,
        reason: received.reason,
    };
    Ok(HttpResponse::Accepted().json(answer))
}

/// Refuses where the provider delivers what people write: a token of the API must not speak for people there.
fn check_channel(channel: &Channel) -> Result<(), ApiError> {
    match channel.kind().refuses_handed_in() {
        None => Ok(()),
        Some(NotHere { error, hint }) => Err(ApiError::refused(StatusCode::CONFLICT, error).hint(hint)),
    }
}

fn read_inbound(body: &JsonBody, arrival: Arrival) -> Result<Inbound, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let provider_id = fields.required_text("id");
    if provider_id.is_some_and(|id| id.len() > 255) {
        fields.fail("id", "The id must not be longer than 255 bytes.");
    }
    let from: Option<Phone> = fields.required("from");
    let Content { kind, text, option, media, referral } = read_content(&mut fields);
    let reply_to: Option<MessageId> = fields.parsed("reply_to");
    let sent_at: Option<Timestamp> = fields.parsed("timestamp");
    fields.refuse_unknown();
    fields.finish_with(|| {
        let kind = kind?;
        Some(Inbound {
            provider_id: provider_id?.to_owned(),
            from: Sender::of_phone(&from?),
            kind: IncomingKind::Reply(kind),
            text,
            option,
            reply_to: reply_to.map(Quoted::Ours),
            payload: payload_of(kind, media, referral),
            sent_at,
            is_overheard: false,
            arrival: Arc::new(arrival),
        })
    })
}

/// What a message is, apart from whose.
pub(in crate::api) struct Content {
    pub(in crate::api) kind: Option<ReplyKind>,
    pub(in crate::api) text: Option<String>,
    pub(in crate::api) option: Option<String>,
    pub(in crate::api) media: Option<Map<String, Value>>,
    /// The ad or post that led to it.
    pub(in crate::api) referral: Option<Map<String, Value>>,
}

/// Reads what a message is. What is wrong with it is noted in the fields.
pub(in crate::api) fn read_content(fields: &mut Fields<'_>) -> Content {
    const KINDS: [(&str, ReplyKind); 9] = [
        ("text", ReplyKind::Text),
        ("tap", ReplyKind::Tap),
        ("image", ReplyKind::Image),
        ("video", ReplyKind::Video),
        ("audio", ReplyKind::Audio),
        ("document", ReplyKind::Document),
        ("sticker", ReplyKind::Sticker),
        ("location", ReplyKind::Location),
        ("contacts", ReplyKind::Contacts),
    ];
    let kind = fields.required_text("type").and_then(|_| fields.choice("type", &KINDS));
    let text = fields.text("text").map(str::to_owned);
    if text.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS) {
        fields.fail("text", format!("The text must not be longer than {TEXT_CHARS} characters."));
    }
    let option = fields.text("option").map(str::to_owned);
    let media = fields.object("media").cloned();
    if media.as_ref().is_some_and(|media| json_depth(&Value::Object(media.clone())) > MEDIA_DEPTH) {
        fields.fail("media", format!("The media must not be nested deeper than {MEDIA_DEPTH} levels."));
    }
    let referral = fields.object("referral").cloned();
    if referral.as_ref().is_some_and(|referral| json_depth(&Value::Object(referral.clone())) > MEDIA_DEPTH) {
        fields.fail("referral", format!("The referral must not be nested deeper than {MEDIA_DEPTH} levels."));
    }
    match kind {
        Some(ReplyKind::Text) if text.is_none() => fields.fail("text", "The text field is required for a text."),
        Some(ReplyKind::Tap) if option.is_none() => fields.fail("option", "The option field is required for a tap."),
        Some(ReplyKind::Location) => check_location(media.as_ref(), fields),
        _ => {}
    }
    Content { kind, text, option, media, referral }
}

/// What is kept beside the text: the medium, and the ad or post that led to the message.
fn payload_of(
    kind: ReplyKind,
    media: Option<Map<String, Value>>,
    referral: Option<Map<String, Value>>,
) -> Option<Value> {
    let has_media = !matches!(kind, ReplyKind::Text | ReplyKind::Tap);
    let mut payload = media.or_else(|| (has_media || referral.is_some()).then(Map::new))?;
    if let Some(referral) = referral {
        payload.insert("referral".to_owned(), Value::Object(referral));
    }
    Some(Value::Object(payload))
}

fn check_location(media: Option<&Map<String, Value>>, fields: &mut Fields<'_>) {
    let has = |key: &str| media.is_some_and(|media| media.get(key).is_some_and(Value::is_number));
    if !has("latitude") || !has("longitude") {
        fields.fail("media", "The media of a location must have the numbers latitude and longitude.");
    }
}
