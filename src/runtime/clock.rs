//! The one place that reads the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;

/// A clock: the machine's, or one that a test moves. Clones show the same time.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Milliseconds since the Unix epoch of a clock that is moved by hand.
    by_hand: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self { by_hand: None }
    }

    /// A clock that stands at `now` until it is moved.
    pub fn by_hand(now: Timestamp) -> Self {
        Self { by_hand: Some(Arc::new(AtomicI64::new(now.as_millis()))) }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match &self.by_hand {
            Some(millis) => Timestamp::from_millis(millis.load(Ordering::SeqCst)),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }

    /// Whether it is moved by hand. Then timers fall due when somebody moves it and fire when somebody calls them, not
    /// when time goes by.
    pub fn is_by_hand(&self) -> bool {
        self.by_hand.is_some()
    }

    /// Moves a clock that is moved by hand; the machine's goes on as it does.
    pub fn advance(&self, by: Duration) {
        if let Some(millis) = &self.by_hand {
            millis.store(self.now().plus(by).as_millis(), Ordering::SeqCst);
        }
    }

    /// Sets a clock that is moved by hand, also back.
    pub fn set(&self, to: Timestamp) {
        if let Some(millis) = &self.by_hand {
            millis.store(to.as_millis(), Ordering::SeqCst);
        }
    }
}
