//! `qyvo token …`.

use super::{Context, note, out};
use crate::credentials;
use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::domain::{Scope, TokenId};
use crate::error::{Error, Result};
use crate::runtime::Clock;
use crate::store::{audit, tokens};

/// `qyvo token create`: makes a token and prints it.
///
/// # Errors
/// `Invalid` when the name or the limit cannot be; otherwise when the database cannot be written.
pub fn create(context: &Context, name: &str, scope: Scope, rate_limit: Option<u64>) -> Result<()> {
    let name = name.trim().to_owned();
    credentials::check_token_name(&name).map_err(|wrong| Error::invalid(format!("--name {wrong}")))?;
    let rate_limit = rate_limit.map(credentials::check_rate_limit).transpose();
    let rate_limit = rate_limit.map_err(|wrong| Error::invalid(format!("--rate-limit {wrong}")))?;
    let mut direct = context.open()?;
    let secret = credentials::make_token()?;
    let now = Clock::system().now();
    direct.write(|tx| {
        let id = credentials::keep_token(tx, &name, scope, rate_limit, &secret, now)?;
        audit::record(tx, &credentials::token_made(Actor::command_line(), id, &name, scope), now)
    })?;
    note("This token is shown once; only its hash is kept.");
    out(&secret)
}

/// `qyvo token list`: prints all tokens.
///
/// # Errors
/// When the database cannot be read.
pub fn list(context: &Context) -> Result<()> {
    let now = Clock::system().now();
    for token in context.open()?.read(tokens::list)? {
        let state = match (token.revoked_at, token.old_until.filter(|until| *until > now)) {
            (Some(at), _) => format!("revoked {}", at.to_iso_seconds()),
            (None, Some(until)) => format!("live, old secret until {}", until.to_iso_seconds()),
            (None, None) => "live".to_owned(),
        };
        let limit = match token.rate_limit {
            None => String::new(),
            Some(0) => "no limit  ".to_owned(),
            Some(per_minute) => format!("{per_minute}/min  "),
        };
        let made_at = token.created_at.to_iso_seconds();
        let line = format!("{}  {}  {}…  {made_at}  {limit}{state}", token.id, token.scope, token.hint);
        out(&format!("{line}  {}", super::plain(&token.name)))?;
    }
    Ok(())
}

/// `qyvo token rotate`: gives a token another secret and prints it; a running server takes it at once, and the one
/// before as long as `grace`.
///
/// # Errors
/// `Invalid` when the id or the grace cannot be; `NotFound` when there is no such live token.
pub fn rotate(context: &Context, id: &str, grace: &str) -> Result<()> {
    let id = parse_id(id)?;
    let grace = credentials::read_grace(grace).map_err(|wrong| Error::invalid(format!("--grace {wrong}")))?;
    let secret = credentials::make_token()?;
    let now = Clock::system().now();
    let is_rotated = context.open()?.write(|tx| {
        let is_rotated = credentials::rotate_token(tx, id, &secret, grace, now)?;
        if is_rotated {
            audit::record(tx, &credentials::token_rotated(Actor::command_line(), id, grace), now)?;
        }
        Ok(is_rotated)
    });
    if !is_rotated? {
        return Err(not_live(id));
    }
    match grace.is_zero() {
        true => note("The token's old secret is refused from now on."),
        false => note(format_args!("The token's old secret is taken until {}.", now.plus(grace).to_iso_seconds())),
    }
    note("This token is shown once; only its hash is kept.");
    out(&secret)
}

/// `qyvo token revoke`: a running server refuses the token within a second.
///
/// # Errors
/// When there is no such live token.
pub fn revoke(context: &Context, id: &str) -> Result<()> {
    let id = parse_id(id)?;
    let now = Clock::system().now();
    let is_revoked = context.open()?.write(|tx| {
        let is_revoked = tokens::revoke(tx, id, now)?;
        if is_revoked {
            audit::record(tx, &Deed::new(AuditAction::TokenRevoked, Actor::command_line()).to(id), now)?;
        }
        Ok(is_revoked)
    });
    if is_revoked? {
        note(format_args!("Token {id} is revoked."));
        Ok(())
    } else {
        Err(not_live(id))
    }
}

fn parse_id(id: &str) -> Result<TokenId> {
    id.parse().map_err(|_| Error::invalid(format!("`{id}` is not a token's id: see `qyvo token list`")))
}

fn not_live(id: TokenId) -> Error {
    Error::not_found(format!("There is no live token {id}: see `qyvo token list`"))
}
