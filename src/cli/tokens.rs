//! `qyvo token …`.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Context, note, out};
use crate::domain::{Timestamp, TokenId};
use crate::error::{Error, Result};
use crate::runtime::Clock;
use crate::store::Tx;
use crate::store::tokens::{self, NewToken, Scope};

/// What every token begins with, so that a leaked one is recognised.
const PREFIX: &str = "qyvo_";
/// Characters of a token that lists show.
const HINT_CHARS: usize = 12;

/// `qyvo token create`: makes a token and prints it.
///
/// # Errors
/// When the database cannot be written.
pub fn create(context: &Context, name: &str, scope: Scope) -> Result<()> {
    let name = name.trim().to_owned();
    if name.is_empty() || name.chars().count() > 100 {
        return Err(Error::invalid("A token's name has 1 to 100 characters"));
    }
    let mut direct = context.open()?;
    let secret = make_secret()?;
    let now = Clock::system().now();
    direct.write(|tx| keep(tx, &name, scope, &secret, now))?;
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
        let line =
            format!("{}  {}  {}…  {}  {state}", token.id, token.scope, token.hint, token.created_at.to_iso_seconds());
        out(&format!("{line}  {}", token.name))?;
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
    if context.open()?.write(|tx| tokens::revoke(tx, id, now))? {
        note(format_args!("Token {id} is revoked."));
        Ok(())
    } else {
        Err(Error::not_found(format!("There is no live token {id}: see `qyvo token list`")))
    }
}

/// A new secret of 256 random bits.
pub(super) fn make_secret() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::internal("The system gives no random numbers").caused_by(error))?;
    Ok(format!("{PREFIX}{}", hex::encode(bytes)))
}

/// Keeps a secret's hash, and gives the token's id.
pub(super) fn keep(tx: &Tx<'_>, name: &str, scope: Scope, secret: &str, now: Timestamp) -> Result<TokenId> {
    let hash = Sha256::digest(secret).into();
    let hint = secret.chars().take(HINT_CHARS).collect::<String>();
    let id = TokenId(Uuid::now_v7());
    tokens::insert(tx, &NewToken { id, name, scope, hash, hint: &hint }, now)?;
    Ok(id)
}
