//! What the command line writes to the database takes effect in the server.
//!
//! The database's generation is looked at twice a second, and before a token is refused that is not known.

use std::future::Future;
use std::time::Duration;

use super::{State, read_vital};
use crate::api::error::ApiError;
use crate::runtime::Change;
use crate::store;

/// Reloads tokens, log-ins, settings and webhook endpoints whenever the command line has written to the database, until
/// `stop` is done.
pub(crate) async fn follow(state: &State, interval: Duration, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let mut seen = None;
    if let Err(error) = state.load_kept_answers().await {
        tracing::warn!(%error, "how many answers are kept could not be read; those from before the start do not count");
    }
    loop {
        match read_vital(state, store::generation).await {
            Ok(generation) if seen == Some(generation) => {}
            Ok(generation) => match reload(state).await {
                Ok(()) => {
                    if seen.is_some() {
                        state.runtime.publish_change(Change::Everything);
                    }
                    seen = Some(generation);
                }
                Err(error) => {
                    tracing::warn!(%error, "what the command line wrote could not be read; it is tried again")
                }
            },
            Err(error) => tracing::warn!(%error, "whether the command line wrote could not be read"),
        }
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

async fn reload(state: &State) -> Result<(), ApiError> {
    state.admit().await?;
    state.runtime.reload_endpoints().await?;
    let live_token = || {
        let key = state.live_token_key()?;
        Some((key, state.settings.effective().access_tokens.remove(key)?))
    };
    let before = live_token();
    state.settings.reload(state.runtime.store()).await?;
    state.follow_settings();
    let after = live_token();
    if after != before
        && let Some((key, token)) = after
        && !token.expose().is_empty()
    {
        state.use_access_token(key, token.expose().to_owned()).await?;
    }
    Ok(())
}
