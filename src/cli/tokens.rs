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
    for token in context.open()?.read(tokens::list)? {
        let state = token.revoked_at.map_or_else(|| "live".to_owned(), |at| format!("revoked {}", at.to_iso_seconds()));
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

/// `qyvo token revoke`: a running server refuses the token within a second.
///
/// # Errors
/// When there is no such live token.
pub fn revoke(context: &Context, id: &str) -> Result<()> {
    let id: TokenId =
        id.parse().map_err(|_| Error::invalid(format!("`{id}` is not a token's id: see `qyvo token list`")))?;
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
        Err(Error::not_found(format!("There is no live token {id}: see `qyvo token list`")))
    }
}
