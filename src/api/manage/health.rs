//! `/healthz` and `/readyz`.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::api::error::ApiError;
use crate::api::state::State;
use crate::runtime::Impairment;
use crate::views::IsoTime;
use crate::views::channel::{ImpairmentReason, Readiness};

/// `GET /healthz`: the process answers.
pub(in crate::api) async fn get_health() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// `GET /readyz`: it can take work. It is degraded while it cannot do all of it, such as while the channel is paused:
/// then it takes triggers, whose messages wait. It is not ready only when it takes no writes at all.
pub(in crate::api) async fn get_readiness(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    if !state.runtime.store().is_healthy() {
        let text = "The database takes no writes; the log says why. Restart the server.";
        return Err(ApiError::refused(StatusCode::SERVICE_UNAVAILABLE, text));
    }
    let impairments = state.runtime.impairments().await;
    if impairments.is_empty() {
        return Ok(HttpResponse::Ok().json(Readiness { status: "ready", reasons: Vec::new(), channel: None }));
    }
    let reasons = impairments.iter().map(reason_view).collect();
    let channel = super::channels::impairment(&state).await.ok().flatten();
    Ok(HttpResponse::Ok().json(Readiness { status: "degraded", reasons, channel }))
}

fn reason_view(impairment: &Impairment) -> ImpairmentReason<'_> {
    ImpairmentReason { code: impairment.code, text: &impairment.text, since: IsoTime(impairment.since) }
}
