//! `/metrics`: what the server counts and measures, for Prometheus.

use actix_web::{HttpResponse, web};

use crate::api::state::State;

/// The media type of Prometheus's text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`: all metrics, as they stand now. It answers also while the database cannot be read.
pub(in crate::api) async fn get_metrics(state: web::Data<State>) -> HttpResponse {
    state.runtime.sample_metrics().await;
    HttpResponse::Ok().content_type(TEXT).body(state.runtime.metrics().render())
}
