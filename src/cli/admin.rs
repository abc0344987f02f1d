//! `qyvo admin …`.

use super::{Context, note, out};
use crate::credentials;
use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::error::{Error, Result};
use crate::runtime::Clock;
use crate::store::audit;

/// `qyvo admin reset-password`: makes a new password and prints it. All log-ins end, in a running server within a
/// second.
///
/// # Errors
/// When the configuration sets the password, or the database cannot be written.
pub fn reset_password(context: &Context) -> Result<()> {
    if !context.config.admin.password.expose().is_empty() {
        let text = "The configuration sets the password (admin.password): change it there, and restart the server";
        return Err(Error::conflict(text));
    }
    let mut direct = context.open()?;
    let password = credentials::make_password()?;
    let hash = credentials::hash_password(&password)?;
    let now = Clock::system().now();
    direct.write(|tx| {
        credentials::set_password(tx, &hash, None, now)?;
        audit::record(tx, &Deed::new(AuditAction::PasswordChanged, Actor::command_line()), now)
    })?;
    note("The admin page has a new password, and everybody is logged out. Change it on the page.");
    out(&password)
}
