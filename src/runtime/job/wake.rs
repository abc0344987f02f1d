//! Waking the workers, after the commit that made work for them.

use std::cell::Cell;

use tokio::sync::Notify;

/// What each worker waits for.
#[derive(Debug, Default)]
pub(in crate::runtime) struct WakeSignals {
    /// An HTTP call is to be made.
    pub(in crate::runtime) calls: Notify,
    /// A message may go out.
    pub(in crate::runtime) messages: Notify,
    /// An event is to be posted to webhook endpoints.
    pub(in crate::runtime) webhooks: Notify,
}

/// Which workers a transaction has made work for: they are woken once it is committed.
#[derive(Debug, Clone, Default)]
pub(in crate::runtime) struct Wakeups {
    calls: Cell<bool>,
    messages: Cell<bool>,
    webhooks: Cell<bool>,
}

impl Wakeups {
    /// There is an HTTP call to make.
    pub(in crate::runtime) fn calls(&self) {
        self.calls.set(true);
    }

    /// There is a message to send.
    pub(in crate::runtime) fn messages(&self) {
        self.messages.set(true);
    }

    /// There is an event to post.
    pub(in crate::runtime) fn webhooks(&self) {
        self.webhooks.set(true);
    }

    /// Wakes the workers for which there is work.
    pub(in crate::runtime) fn wake(&self, signals: &WakeSignals) {
        let wanted =
            [(&self.calls, &signals.calls), (&self.messages, &signals.messages), (&self.webhooks, &signals.webhooks)];
        for (is_wanted, signal) in wanted {
            if is_wanted.get() {
                signal.notify_one();
            }
        }
    }
}
