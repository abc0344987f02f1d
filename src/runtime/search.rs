//! Keeping the index by which contacts are searched up to date.

use std::future::Future;
use std::time::{Duration, Instant};

use super::{Runtime, sweeper};
use crate::error::Result;
use crate::store::search_index;

/// Contacts that one job indexes: about 10 ms of the writer's time.
const CONTACTS_PER_JOB: u32 = 100;
/// How often it is looked whether the index lacks anything. Whoever changes a contact then finds it within a second.
const POLL: Duration = Duration::from_millis(400);

impl Runtime {
    /// Indexes what has changed of contacts, a bounded number of them. Gives of how many; 0 when nothing is left to do.
    ///
    /// # Errors
    /// When the database cannot be read or refuses; it is tried again then.
    pub async fn run_search_index_once(&self) -> Result<u32> {
        if !sweeper::read(self, search_index::is_behind).await? {
            return Ok(0);
        }
        self.store().write(|tx| search_index::index_some(tx, CONTACTS_PER_JOB)).await
    }

    /// Keeps the index up to date until `stop` is done. A file that comes from an older version, or many contacts that
    /// were imported, are indexed beside everything else: half of the time is left to other writes.
    pub async fn run_search_index(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        if self.clock().is_by_hand() {
            return stop.await;
        }
        loop {
            let began = Instant::now();
            let pause = match self.run_search_index_once().await {
                Ok(CONTACTS_PER_JOB) => began.elapsed(),
                Ok(_) => POLL,
                Err(error) => {
                    tracing::warn!(%error, "contacts could not be indexed for the search; it is tried again");
                    POLL
                }
            };
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
