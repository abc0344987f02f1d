//! `/channels`: what carries messages, how it does, and what an operator can do about it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use crate::api::answer::trim_page;
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Fields, OptionalJsonBody, Query, Reader};
use crate::api::state::{State, read};
use crate::channels::ChannelKind;
use crate::channels::capabilities::Tested;
use crate::channels::outgoing::Refusal;
use crate::domain::{Reason, Timestamp};
use crate::error::Error;
use crate::runtime::ChannelState;
use crate::runtime::templates::last_template_sync;
use crate::store::{messages, templates, unprocessed_deliveries};
use crate::views::channel::{
    ChannelTest, ImpairedChannel, ListedChannel, LiveChannel, OffChannel, Queue, RefusedSync, Templates,
    UnprocessedDelivery,
};
use crate::views::{IsoTime, Listing};

/// `GET /channels`: all channels, the live one first.
pub(in crate::api) async fn list_channels(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    Query::read(&request)?.finish()?;
    let live = ListedChannel::Live(Box::new(live_view(&state).await?));
    let mut others = ChannelKind::ALL;
    others.sort_by_key(|kind| !kind.reaches_phones());
    let others = others.into_iter().filter(|kind| *kind != state.runtime.channel().kind());
    let off = others.map(|kind| ListedChannel::Off(OffChannel { name: kind.as_str(), is_live: false, state: "off" }));
    let data = std::iter::once(live).chain(off).collect();
    Ok(HttpResponse::Ok().json(Listing { data, next_cursor: None }))
}

/// `POST /channels/{name}/pause`: nothing goes out until it is resumed.
pub(in crate::api) async fn pause_channel(
    state: web::Data<State>,
    principal: Principal,
    name: web::Path<String>,
    body: OptionalJsonBody,
) -> Result<HttpResponse, ApiError> {
    check_live(&state, &name)?;
    let mut fields = Fields::of(&body.0);
    let explanation = fields.reason();
    fields.refuse_unknown();
    fields.finish()?;
    state.runtime.pause_channel(Reason::Operator.into(), explanation, Some(principal.actor())).await?;
    Ok(HttpResponse::Ok().json(live_view(&state).await?))
}

/// `POST /channels/{name}/resume`: what waits goes out. An access token that came from a file is read again first.
pub(in crate::api) async fn resume_channel(
    state: web::Data<State>,
    principal: Principal,
    name: web::Path<String>,
    body: OptionalJsonBody,
) -> Result<HttpResponse, ApiError> {
    check_live(&state, &name)?;
    let mut fields = Fields::of(&body.0);
    fields.refuse_unknown();
    fields.finish()?;
    if let Some(lacks) = state.runtime.channel().lacks() {
        let error = ApiError::refused(StatusCode::CONFLICT, lacks);
        return Err(error.hint("What is missing takes effect at the next start of the server."));
    }
    if let Some(key) = state.live_token_key() {
        let shared = state.clone();
        let token = web::block(move || (shared.read_secret)(key)).await;
        let token = token.map_err(|error| Error::internal("Reading a file panicked").caused_by(error))?;
        if let Some(token) = token.map_err(|error| unreadable_token(key, &error))? {
            state.use_access_token(key, token).await?;
        }
    }
    state.runtime.resume_channel(Some(principal.actor())).await?;
    Ok(HttpResponse::Ok().json(live_view(&state).await?))
}

/// `POST /channels/{name}/test`: asks the far side whether it would take messages. No message is sent.
pub(in crate::api) async fn test_channel(
    state: web::Data<State>,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    check_live(&state, &name)?;
    let (text, details) = match state.runtime.test_channel().await {
        Tested::Works { text, details } => (text, details),
        Tested::Refused(refusal) => return Err(refused_by_channel(&refusal)),
        Tested::Unclear(text) => {
            let error = format!("The URL was reached and did not answer: {text}");
            return Err(ApiError::refused(StatusCode::BAD_GATEWAY, error));
        }
    };
    let details = details.into_iter().map(|(key, detail)| (key.to_owned(), detail)).collect();
    Ok(HttpResponse::Ok().json(ChannelTest { name: &name, is_working: true, text, details }))
}

/// `GET /channels/{name}/strays`: parts of deliveries that nothing took, such as a provider's notices about the
/// account, newest first. Also of a channel that was live before.
pub(in crate::api) async fn list_strays(
    request: HttpRequest,
    state: web::Data<State>,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read(&request)?;
    let page = query.page();
    query.finish()?;
    if ChannelKind::parse(&name).is_none() {
        return Err(ApiError::not_found("Channel not found"));
    }
    let name = name.into_inner();
    let mut rows = read(&state, move |conn| {
        unprocessed_deliveries::newest_of(conn, &name, page.cursor, page.limit.saturating_add(1))
    })
    .await?;
    let next_cursor = trim_page(&mut rows, page.limit, |row| row.seq);
    Ok(HttpResponse::Ok().json(Listing { data: rows.into_iter().map(unprocessed_view).collect(), next_cursor }))
}

fn unprocessed_view(row: unprocessed_deliveries::UnprocessedDelivery) -> UnprocessedDelivery {
    let unprocessed_deliveries::UnprocessedDelivery { seq: _, channel: _, why, raw, created_at } = row;
    // A part that is not JSON is shown as text.
    let raw = serde_json::from_str(&raw).unwrap_or(Value::String(raw));
    UnprocessedDelivery { why, raw, created_at: IsoTime(created_at) }
}

fn unreadable_token(key: &str, error: &Error) -> ApiError {
    ApiError::Validation(vec![(key.to_owned(), format!("{}.", error.message()))])
}

/// How a channel stands, in one word.
fn word(channel: &ChannelState) -> &'static str {
    match channel {
        ChannelState { paused_at: Some(_), .. } => "paused",
        ChannelState { held_until: Some(_), .. } => "backing_off",
        _ => "running",
    }
}

/// What there is to know of the channel that the server is to be ready with: `None` while it goes.
pub(in crate::api) async fn impairment(state: &State) -> Result<Option<ImpairedChannel>, ApiError> {
    let channel = state.runtime.channel_state().await?;
    let is_going = channel.paused_at.is_none() && channel.held_until.is_none();
    if is_going {
        return Ok(None);
    }
    // The caller need not be logged in, and the answer of a webhook's far side may reveal internals.
    let is_told = state.runtime.channel().kind().explains_to_all();
    let (state, since) = (word(&channel), channel.paused_at.map(IsoTime));
    let ChannelState { name, reason, explanation, .. } = channel;
    Ok(Some(ImpairedChannel { name, state, reason, explanation: explanation.filter(|_| is_told), since }))
}

/// 502 with the far side's explanation.
pub(in crate::api) fn refused_by_channel(refusal: &Refusal) -> ApiError {
    ApiError::refused(StatusCode::BAD_GATEWAY, format!("The channel refused: {}", refusal.text))
        .with("code", refusal.code.as_str())
}

/// Refuses what only the live channel can do.
fn check_live(state: &State, name: &str) -> Result<(), ApiError> {
    let live = state.runtime.channel().name();
    if name == live {
        return Ok(());
    }
    if ChannelKind::parse(name).is_some() {
        let error = format!("The channel {name} is not live: {live} is.");
        return Err(ApiError::refused(StatusCode::CONFLICT, error)
            .hint("Set its keys or channel.default in the configuration, and restart the server."));
    }
    Err(ApiError::not_found("Channel not found"))
}

async fn live_view(state: &web::Data<State>) -> Result<LiveChannel, ApiError> {
    let channel = state.runtime.channel();
    let name = channel.name();
    let (length, oldest, (total, approved), last) = read(state, move |conn| {
        let (waiting, oldest) = messages::waiting(conn)?;
        Ok((waiting, oldest, templates::count(conn, name)?, last_template_sync(conn, name)?))
    })
    .await?;
    let standing = state.runtime.channel_state().await?;
    let now = state.runtime.clock().now();
    let oldest_seconds = oldest.map(|oldest| (now.as_millis() - oldest.as_millis()).max(0) / 1000);
    Ok(LiveChannel {
        name,
        is_live: true,
        reaches_phones: channel.kind().reaches_phones(),
        has_window: channel.kind().has_window(),
        state: word(&standing),
        reason: standing.reason,
        explanation: standing.explanation,
        since: standing.paused_at.map(IsoTime),
        held_until: standing.held_until.map(IsoTime),
        queue: Queue { length, oldest_seconds },
        templates: Templates {
            are_by_hand: !channel.kind().has_templates(),
            total,
            approved,
            synced_at: last.at.map(|at| IsoTime(Timestamp::from_millis(at))),
            refused: last.refused.map(|(code, text)| RefusedSync { code, text }),
        },
    })
}
