//! `/settings`: the configuration as it stands, and what of it the admin page may change.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::State;
use super::error::ApiError;
use super::request::{JsonBody, Query};
use crate::channels::Channel;
use crate::error::Result;

/// The secret that can be set here: a channel stops when it expires, and goes on with a new one.
const ACCESS_TOKEN: &str = "whatsapp.access_token";

/// `GET /settings`: every key with its value and where that comes from.
pub(super) async fn list_settings(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    Query::read(&request)?.finish()?;
    Ok(HttpResponse::Ok().json(view(&state)))
}

/// `PUT /settings`: sets keys, or resets those with null. Other keys stay as they are.
pub(super) async fn change_settings(state: web::Data<State>, body: JsonBody) -> Result<HttpResponse, ApiError> {
    let mut changes: BTreeMap<String, Value> = body.fields.into_iter().collect();
    // What is copied from Meta's page easily has a line's end with it.
    if let Some(Value::String(token)) = changes.get_mut(ACCESS_TOKEN) {
        *token = token.trim().to_owned();
    }
    let token = changes.get(ACCESS_TOKEN).cloned();
    if token == Some(Value::Null) && matches!(state.runtime.channel(), Channel::WhatsApp(_)) {
        let text = "The live channel needs it: set another one instead.".to_owned();
        return Err(ApiError::Validation(vec![(ACCESS_TOKEN.to_owned(), text)]));
    }
    let now = state.runtime.clock().now();
    let changed = state.settings.change(state.runtime.store(), changes, now).await?;
    changed.map_err(ApiError::Validation)?;
    state.follow_settings();
    if let Some(Value::String(token)) = token {
        super::channels::use_access_token(&state, token).await?;
    }
    Ok(HttpResponse::Ok().json(view(&state)))
}

fn view(state: &State) -> Value {
    let row = |(setting, source): (crate::runtime::settings::Setting, &str)| {
        json!({
            "key": setting.key,
            "value": setting.value,
            "default": setting.default,
            "source": source,
            "is_editable": setting.is_editable,
            "is_secret": setting.is_secret,
            "about": setting.about,
        })
    };
    let data: Vec<Value> = state.settings.all().into_iter().map(row).collect();
    json!({"data": data, "next_cursor": null})
}
