//! `GET /problems`: what is wrong now.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::error::ApiError;
use crate::api::request::{Query, Reader};
use crate::api::state::State;
use crate::views::problem::Problems;

/// `GET /problems`: what is wrong now, the worst first.
pub(in crate::api) async fn list_problems(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    Query::read(&request)?.finish()?;
    // Before they are read: what comes later was not seen by who reads them.
    let at = state.runtime.clock().now();
    let problems = state.problems().await;
    Ok(HttpResponse::Ok().json(Problems::new(&problems, at)))
}
