//! Drafts and test cases are kept where the limits on them leave room.

use actix_web::http::StatusCode;

use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::state::State;
use crate::api::state::quotas::note_refusal;
use crate::domain::FlowId;
use crate::error::Result;
use crate::runtime::authoring::room::{self, DraftLimits, NoRoom, Surplus};
use crate::store::Tx;
use crate::store::flows::DraftTotals;

/// Runs a job that keeps a draft of so many bytes as that of a flow, if limits leave room for it. What a person saves
/// on the page counts against the limits of all alone.
///
/// # Errors
/// The refusal, with the limit; then nothing was changed. Otherwise those of the job.
pub(in crate::api) async fn write_draft<T: Send + 'static>(
    state: &State,
    principal: &Principal,
    (id, bytes): (FlowId, usize),
    job: impl Fn(&Tx<'_>) -> Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    state.charge(principal, bytes)?;
    let limits = state.quotas.limits();
    let limit = |flows: u32, bytes: u64| DraftTotals { flows: u64::from(flows), bytes };
    let is_token = principal.usage.is_some();
    let limits = DraftLimits {
        all: limit(limits.flows, limits.draft_bytes.bytes()),
        of_author: is_token.then(|| limit(limits.flows_per_token, limits.draft_bytes_per_token.bytes())),
    };
    let author = principal.name.clone();
    let written = state.runtime.store().write(move |tx| match room::check(tx, &limits, &author, id, bytes as u64)? {
        Ok(()) => job(tx).map(Ok),
        Err(no_room) => Ok(Err(no_room)),
    });
    written.await?.map_err(|no_room| refuse(state, principal, no_room, bytes))
}

fn refuse(state: &State, principal: &Principal, no_room: NoRoom, bytes: usize) -> ApiError {
    let NoRoom { is_of_author, surplus } = no_room;
    let of = if is_of_author { " that this token was the last to save" } else { "" };
    let (limit, error) = match (surplus, is_of_author) {
        (Surplus::Flows(limit), false) => ("limits.flows", format!("There are {limit} flows and sequences")),
        (Surplus::Flows(limit), true) => ("limits.flows_per_token", format!("There are {limit} flows and sequences")),
        (Surplus::Bytes(limit), false) => ("limits.draft_bytes", room_of(bytes, limit)),
        (Surplus::Bytes(limit), true) => ("limits.draft_bytes_per_token", room_of(bytes, limit)),
    };
    let error = format!("{error}{of}, and {limit} allows no more.");
    refuse_for_good(state, principal, limit, error, "Delete flows that are not needed any more")
}

fn room_of(bytes: usize, limit: u64) -> String {
    format!("The draft has {bytes} bytes, and there is no room for it among the {limit} bytes of drafts")
}

/// The refusal of something for which there is no room until something else goes. It is counted.
pub(in crate::api) fn refuse_for_good(
    state: &State,
    principal: &Principal,
    limit: &'static str,
    error: String,
    what_to_do: &str,
) -> ApiError {
    note_refusal(principal, limit, state.runtime.clock().now());
    let hint = format!("{what_to_do}, or have `{limit}` raised.");
    ApiError::refused(StatusCode::CONFLICT, error).hint(&hint).with("limit", limit)
}
