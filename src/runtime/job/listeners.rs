//! The webhook endpoints that subscribe to events, kept in memory so that no job reads them.

use std::sync::{PoisonError, RwLock};

use tokio::sync::Mutex;

use crate::error::Result;
use crate::store::Store;
use crate::store::webhooks::{self, Listener};

/// The active endpoints.
#[derive(Debug, Default)]
pub(in crate::runtime) struct Listeners {
    /// `None` until they are first read.
    active: RwLock<Option<Vec<Listener>>>,
    /// Held from reading the endpoints until they are in force: an older reading never replaces a newer one.
    reloading: Mutex<()>,
}

impl Listeners {
    /// The result of `look`; `None` before they were first read.
    pub(in crate::runtime) fn with<T>(&self, look: impl FnOnce(&[Listener]) -> T) -> Option<T> {
        self.active.read().unwrap_or_else(PoisonError::into_inner).as_deref().map(look)
    }

    /// Puts the endpoints of the database in force.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(in crate::runtime) async fn reload(&self, store: &Store) -> Result<()> {
        let _in_order = self.reloading.lock().await;
        let listeners = store.query_vital(webhooks::listeners).await?;
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = Some(listeners);
        Ok(())
    }
}
