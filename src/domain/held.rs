//! The hold of another party on the conversation with a person: flows are silent, and their clocks stand still.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::named::named;
use super::{Reason, Timestamp};

named! {
    /// The party that holds a conversation in place of the flows.
    #[derive(Hash, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Holder {
        /// A person who writes in the WhatsApp Business app, on the same number.
        Colleague = "colleague",
        /// Another system of Meta, such as Meta Business Agent. Messages meanwhile come on the field `standby`.
        Standby = "standby",
    }
}

impl Holder {
    /// Why a message waits, or is not answered, because of it.
    pub fn reason(self) -> Reason {
        match self {
            Self::Colleague => Reason::Colleague,
            Self::Standby => Reason::Standby,
        }
    }
}

/// A time in which another party holds a conversation. It is kept after its end, for notices about that time that come
/// late.
///
/// While it lasts, the timers of the person's sessions stand as far beyond its end as they had to go when it began: see
/// [`crate::engine::move_timers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The party that holds it.
    pub by: Holder,
    /// When it began.
    pub since: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

impl Held {
    /// Whether it lasts at a time; a clock that was set back does not end it.
    pub fn is_on(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// How much of it is still to come at a time: for so long is put off what counts from then.
    pub fn rest(&self, at: Timestamp) -> Duration {
        self.until.since(at.max(self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_from_before_it_is_put_off_by_all_of_it() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let held = Held { by: Holder::Colleague, since: at(100), until: at(160) };
        for (seconds, rest, is_on) in
            [(0, 60, true), (100, 60, true), (130, 30, true), (159, 1, true), (160, 0, false), (999, 0, false)]
        {
            assert_eq!(
                (held.rest(at(seconds)), held.is_on(at(seconds))),
                (Duration::from_secs(rest), is_on),
                "{seconds}"
            );
        }
    }
}
