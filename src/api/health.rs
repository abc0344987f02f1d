//! `/healthz`, `/readyz` and the API's own description.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use rust_embed::RustEmbed;
use serde_json::json;

use super::State;
use super::error::ApiError;

/// Files that are part of the program.
#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// `GET /healthz`: the process answers.
pub(super) async fn get_health() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// `GET /readyz`: it can take work.
pub(super) async fn get_readiness(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    if !state.runtime.store().is_healthy() {
        let text = "The database takes no writes; the log says why. Restart the server.";
        return Err(ApiError::refused(StatusCode::SERVICE_UNAVAILABLE, text));
    }
    Ok(HttpResponse::Ok().json(json!({"status": "ok"})))
}

/// `GET /openapi.yaml`: this API, described.
pub(super) async fn get_openapi() -> Result<HttpResponse, ApiError> {
    match Files::get("openapi.yaml") {
        Some(file) => Ok(HttpResponse::Ok().content_type("application/yaml").body(file.data.into_owned())),
        None => Err(ApiError::not_found("Not found")),
    }
}
