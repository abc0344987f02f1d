//! `/healthz` and `/readyz`.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::json;

use super::State;
use super::error::ApiError;

/// `GET /healthz`: the process answers.
pub(super) async fn get_health() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// `GET /readyz`: it can take work. While the channel is paused it is degraded: it still takes triggers, whose messages
/// wait.
pub(super) async fn get_readiness(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    if !state.runtime.store().is_healthy() {
        let text = "The database takes no writes; the log says why. Restart the server.";
        return Err(ApiError::refused(StatusCode::SERVICE_UNAVAILABLE, text));
    }
    Ok(HttpResponse::Ok().json(match super::channels::impairment(&state).await? {
        None => json!({"status": "ready"}),
        Some(channel) => json!({"status": "degraded", "channel": channel}),
    }))
}
