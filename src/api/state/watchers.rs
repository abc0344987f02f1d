//! Connections that are open for what changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::api::error::ApiError;
use crate::error::Error;

/// Watchers at once.
const WATCHERS: usize = 200;

/// The event streams that are open, which are limited in number.
#[derive(Debug)]
pub(crate) struct Watchers {
    open: Arc<AtomicUsize>,
    closing: watch::Receiver<bool>,
}

impl Watchers {
    /// No streams are open yet. All are closed once `closing` is true.
    pub(crate) fn new(closing: watch::Receiver<bool>) -> Self {
        Self { open: Arc::default(), closing }
    }

    pub(in crate::api) fn admit(&self) -> Result<Watcher, ApiError> {
        let watcher = Watcher(self.open.clone());
        if self.open.fetch_add(1, Ordering::Relaxed) >= WATCHERS {
            return Err(Error::unavailable("Too many are watching at once; try again later.").into());
        }
        Ok(watcher)
    }

    /// Whether any are open.
    pub(in crate::api) fn are_there(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }

    /// Is true once the server sends them away.
    pub(in crate::api) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.clone()
    }
}

/// One who watches; dropping it makes room.
pub(in crate::api) struct Watcher(Arc<AtomicUsize>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
