//! `/settings`: the configuration as it stands, and what of it the admin page may change.

use std::collections::BTreeMap;
use std::net::IpAddr;

use actix_web::http::{StatusCode, Uri};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{JsonBody, Query, Reader};
use crate::api::state::State;
use crate::api::state::logins::COOKIE;
use crate::channels::ChannelKind;
use crate::error::Result;
use crate::settings::Setting;
use crate::views::Listing;
use crate::views::settings::Setting as SettingView;

/// Where users reach the server: with https, log-ins are kept only over https.
const PUBLIC_URL: &str = "server.public_url";

/// `GET /settings`: every key with its value and where that comes from.
pub(in crate::api) async fn list_settings(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    Query::read(&request)?.finish()?;
    Ok(HttpResponse::Ok().json(view(&state)))
}

/// `PUT /settings?confirm=`: sets keys, or resets those with null. Other keys stay as they are. A change that would
/// lock the caller out has to be confirmed.
pub(in crate::api) async fn change_settings(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read(&request)?;
    let is_confirmed = query.choice("confirm", &[("true", true), ("false", false)]).unwrap_or(false);
    query.finish()?;
    let mut changes: BTreeMap<String, Value> = body.fields.into_iter().collect();
    // What is copied from a provider's page easily has a line's end with it.
    for (_, value) in changes.iter_mut().filter(|(key, _)| ChannelKind::with_access_token(key).is_some()) {
        if let Value::String(token) = value {
            *token = token.trim().to_owned();
        }
    }
    // That of another channel is kept for the day that it is live.
    let live_token = state.live_token_key().and_then(|key| Some((key, changes.get(key)?.clone())));
    if let Some((key, Value::Null)) = live_token {
        let text = "The live channel needs it: set another one instead.".to_owned();
        return Err(ApiError::Validation(vec![(key.to_owned(), text)]));
    }
    if !is_confirmed && let Some(Value::String(url)) = changes.get(PUBLIC_URL) {
        refuse_lock_out(&request, url)?;
    }
    let now = state.runtime.clock().now();
    let changed = state.settings.change(state.runtime.store(), changes, principal.actor(), now).await?;
    changed.map_err(ApiError::Validation)?;
    state.follow_settings();
    if let Some((key, Value::String(token))) = live_token {
        state.use_access_token(key, token).await?;
    }
    Ok(HttpResponse::Ok().json(view(&state)))
}

/// Refuses an address with https while the page is visited without: its log-ins are kept only over https then.
fn refuse_lock_out(request: &HttpRequest, public_url: &str) -> Result<(), ApiError> {
    let Some(visited) = visited(request).filter(|_| public_url.trim().to_ascii_lowercase().starts_with("https://"))
    else {
        return Ok(());
    };
    let text = format!(
        "This page is visited at {visited}. Once {PUBLIC_URL} begins with https://, browsers keep its log-in only over \
         https: whoever visits as you do now cannot log in any more."
    );
    Err(ApiError::refused(StatusCode::CONFLICT, text)
        .with("confirm", PUBLIC_URL)
        .hint("Visit the page over https first, or confirm the change: send it again with ?confirm=true."))
}

/// The address at which a browser visits, if that is over plain http and not on the server's own machine: browsers
/// trust that one without https.
fn visited(request: &HttpRequest) -> Option<String> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    // Browsers send `Origin`. Without it, only the log-in's cookie tells a browser; the server itself speaks plain
    // http.
    let origin = match header("origin") {
        Some(origin) => origin.to_ascii_lowercase(),
        None if request.cookie(COOKIE).is_some() => {
            let scheme = header("x-forwarded-proto").unwrap_or("http");
            format!("{scheme}://{}", header("host")?).to_ascii_lowercase()
        }
        None => return None,
    };
    let address: Uri = origin.parse().ok()?;
    let host = address.host().filter(|_| address.scheme_str() == Some("http"))?.trim_matches(['[', ']']);
    let is_local = match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    };
    (!is_local).then_some(origin)
}

fn view(state: &State) -> Listing<SettingView> {
    let row = |(setting, source): (Setting, &'static str)| {
        let Setting { key, value, default, origin: _, is_editable, is_secret, about } = setting;
        SettingView { key, value, default, source, is_editable, is_secret, about }
    };
    Listing { data: state.settings.all().into_iter().map(row).collect(), next_cursor: None }
}
