//! Callers that wait for the result of a message: woken, after the commit, by each change of its status.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::domain::MessageId;

/// Callers that wait at once; any more are answered at once.
const MAX_WAITING: usize = 256;

/// The callers that wait, by message.
#[derive(Debug)]
pub(in crate::runtime) struct Waiters {
    permits: Semaphore,
    by_message: Mutex<HashMap<MessageId, Arc<Notify>>>,
}

impl Waiters {
    pub(in crate::runtime) fn new() -> Self {
        Self { permits: Semaphore::new(MAX_WAITING), by_message: Mutex::default() }
    }

    /// Whether callers wait, or are about to.
    pub(in crate::runtime) fn are_there(&self) -> bool {
        self.permits.available_permits() < MAX_WAITING
    }

    /// Wakes who waits for a message.
    pub(in crate::runtime) fn wake(&self, id: MessageId) {
        if self.are_there()
            && let Some(waiter) = self.by_message().get(&id)
        {
            waiter.notify_waiters();
        }
    }

    /// Lets a caller wait, if not too many do. From then on changes of messages are published.
    pub(in crate::runtime) fn try_wait(&self) -> Option<SemaphorePermit<'_>> {
        self.permits.try_acquire().ok()
    }

    /// Registers a caller for a message, until it drops what it is given.
    pub(in crate::runtime) fn register(&self, id: MessageId) -> Waiter<'_> {
        let waiter = self.by_message().entry(id).or_default().clone();
        Waiter { waiters: self, id, waiter }
    }

    fn by_message(&self) -> MutexGuard<'_, HashMap<MessageId, Arc<Notify>>> {
        // A map of handles is whole after any panic.
        self.by_message.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that waits for a message. Several may wait for one: each retry under its key.
pub(in crate::runtime) struct Waiter<'a> {
    waiters: &'a Waiters,
    id: MessageId,
    waiter: Arc<Notify>,
}

impl Waiter<'_> {
    /// Completes when a change of the message is published after this future was first polled or enabled.
    pub(in crate::runtime) fn woken(&self) -> Notified<'_> {
        self.waiter.notified()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut by_message = self.waiters.by_message();
        // The map's handle and this one.
        if Arc::strong_count(&self.waiter) <= 2 {
            by_message.remove(&self.id);
        }
    }
}
