//! `/tokens`: the tokens of the API, for the admin page.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::answer::paginate;
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{Fields, JsonBody, OptionalJsonBody, Query, Reader};
use crate::api::state::usage::Refused;
use crate::api::state::{State, read};
use crate::credentials;
use crate::domain::audit::{AuditAction, Deed};
use crate::domain::{Scope, Timestamp, TokenId};
use crate::error::{Error, Result};
use crate::store::tokens::{self, TokenRow};
use crate::store::{Tx, WriteClass, audit};
use crate::views::token::{Token, TokenRefusals};
use crate::views::{IsoTime, Listing};

fn not_found() -> ApiError {
    ApiError::not_found("Token not found")
}

/// `GET /tokens`: all tokens, also those that were revoked. No secret is among it.
pub(in crate::api) async fn list_tokens(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::read(&request)?;
    let (rows, next_cursor) = paginate(read(&state, tokens::list).await?, &mut query);
    query.finish()?;
    let now = state.runtime.clock().now();
    let data = rows.iter().map(|row| token_view(&state, row, now)).collect();
    Ok(HttpResponse::Ok().json(Listing { data, next_cursor }))
}

/// `POST /tokens`: makes a token and shows it once.
pub(in crate::api) async fn create_token(
    state: web::Data<State>,
    principal: Principal,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let name = fields.required_text("name").map(|name| name.trim().to_owned());
    if let Some(Err(wrong)) = name.as_deref().map(credentials::check_token_name) {
        fields.fail("name", format!("The name {wrong}."));
    }
    let scopes = [Scope::Trigger, Scope::Api, Scope::Admin].map(|scope| (scope.as_str(), scope));
    let scope = fields.required_text("scope").and_then(|_| fields.choice("scope", &scopes));
    let rate_limit = read_rate_limit(&mut fields);
    fields.refuse_unknown();
    let (name, scope) = fields.finish_with(|| name.zip(scope))?;
    let secret = credentials::make_token()?;
    let (kept, now) = (secret.clone(), state.runtime.clock().now());
    let actor = principal.actor();
    let made = state.runtime.store().write(move |tx| {
        let id = credentials::keep_token(tx, &name, scope, rate_limit, &kept, now)?;
        let deed = credentials::token_made(actor.clone(), id, &name, scope);
        audit::record(tx, &deed, now)?;
        let row = tokens::list(tx)?.into_iter().find(|row| row.id == id);
        Ok((row.ok_or_else(|| Error::internal("A token is gone as soon as it was made"))?, deed))
    });
    let (row, deed) = made.await?;
    audit::log(&deed);
    state.admit().await?;
    let view = Token { token: Some(&secret), ..token_view(&state, &row, now) };
    Ok(HttpResponse::build(StatusCode::CREATED).json(view))
}

/// `PATCH /tokens/{id}`: gives it a rate limit of its own from now on; null gives it the configured one.
pub(in crate::api) async fn change_token(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let id: TokenId = id.parse().map_err(|_| not_found())?;
    let mut fields = Fields::of(&body.fields);
    if fields.sent("rate_limit").is_none() {
        fields.fail("rate_limit", "The rate limit field is required; null stands for the configured limit.");
    }
    let rate_limit = read_rate_limit(&mut fields);
    fields.refuse_unknown();
    fields.finish()?;
    let limit = rate_limit.map_or_else(|| "the configured one".to_owned(), |limit| limit.to_string());
    let deed = Deed::new(AuditAction::TokenChanged, principal.actor()).to(id).saying(format!("rate limit: {limit}"));
    let (recorded, now) = (deed.clone(), state.runtime.clock().now());
    let row = state.runtime.store().write(move |tx| {
        let is_changed = tokens::set_rate_limit(tx, id, rate_limit)?;
        if is_changed { changed(tx, id, &recorded, now) } else { Ok(None) }
    });
    let row = row.await?.ok_or_else(not_found)?;
    state.admit().await?;
    audit::log(&deed);
    Ok(HttpResponse::Ok().json(token_view(&state, &row, state.runtime.clock().now())))
}

/// `POST /tokens/{id}/rotate`: another secret for the same token, shown once. The one before is taken for the `grace`,
/// without one not at all.
pub(in crate::api) async fn rotate_token(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
    body: OptionalJsonBody,
) -> Result<HttpResponse, ApiError> {
    let id: TokenId = id.parse().map_err(|_| not_found())?;
    let mut fields = Fields::of(&body.0);
    let grace = fields.text("grace").map(credentials::read_grace);
    if let Some(Err(wrong)) = &grace {
        fields.fail("grace", format!("The grace {wrong}."));
    }
    fields.refuse_unknown();
    fields.finish()?;
    let grace = grace.and_then(Result::ok).unwrap_or_default();
    let (secret, now) = (credentials::make_token()?, state.runtime.clock().now());
    let kept = secret.clone();
    let deed = credentials::token_rotated(principal.actor(), id, grace);
    let recorded = deed.clone();
    // Also where the disk is full: a secret that leaked must not live on for that.
    let row = state.runtime.store().write_as(WriteClass::Essential, move |tx| {
        let is_rotated = credentials::rotate_token(tx, id, &kept, grace, now)?;
        if is_rotated { changed(tx, id, &recorded, now) } else { Ok(None) }
    });
    let row = row.await?.ok_or_else(not_found)?;
    state.admit().await?;
    audit::log(&deed);
    Ok(HttpResponse::Ok().json(Token { token: Some(&secret), ..token_view(&state, &row, now) }))
}

/// Records what was done to a token, and gives its row.
fn changed(tx: &Tx<'_>, id: TokenId, deed: &Deed, now: Timestamp) -> Result<Option<TokenRow>> {
    audit::record(tx, deed, now)?;
    Ok(tokens::list(tx)?.into_iter().find(|row| row.id == id))
}

/// `DELETE /tokens/{id}`: the token is refused from now on.
pub(in crate::api) async fn revoke_token(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: TokenId = id.parse().map_err(|_| not_found())?;
    let now = state.runtime.clock().now();
    let deed = Deed::new(AuditAction::TokenRevoked, principal.actor()).to(id);
    let recorded = deed.clone();
    let revoked = state.runtime.store().write_as(WriteClass::Essential, move |tx| {
        let is_revoked = tokens::revoke(tx, id, now)?;
        if is_revoked {
            audit::record(tx, &recorded, now)?;
        }
        Ok(is_revoked)
    });
    if !revoked.await? {
        return Err(not_found());
    }
    state.admit().await?;
    audit::log(&deed);
    Ok(HttpResponse::NoContent().finish())
}

fn read_rate_limit(fields: &mut Fields<'_>) -> Option<u32> {
    match credentials::check_rate_limit(fields.whole_number("rate_limit")?) {
        Ok(per_minute) => Some(per_minute),
        Err(wrong) => {
            fields.fail("rate_limit", format!("The rate limit {wrong}."));
            None
        }
    }
}

fn token_view<'a>(state: &State, row: &'a TokenRow, now: Timestamp) -> Token<'a> {
    let refused = state.tokens.usage(row.seq).and_then(|usage| usage.refused());
    Token {
        id: row.id,
        name: &row.name,
        scope: row.scope.as_str(),
        hint: &row.hint,
        rate_limit: row.rate_limit,
        created_at: IsoTime(row.created_at),
        revoked_at: row.revoked_at.map(IsoTime),
        old_until: row.old_until.filter(|until| *until > now && row.revoked_at.is_none()).map(IsoTime),
        refused: refused.map(|Refused { count, last_at, limit, .. }| TokenRefusals {
            count,
            last_at: IsoTime(last_at),
            limit,
        }),
        token: None,
    }
}
