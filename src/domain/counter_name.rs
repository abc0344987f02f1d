//! What is counted.

use super::Status;
use super::named::named;

named! {
    /// What a counter counts. Statistics show those of sessions in this order.
    #[derive(Hash)]
    pub enum CounterName {
        /// Sessions that began.
        SessionStarted = "session.started",
        /// Sessions that came to an end of their flow.
        SessionCompleted = "session.completed",
        /// Sessions that came to an end of their flow after their last message was not delivered. They are none of
        /// those that completed.
        SessionUndelivered = "session.undelivered",
        /// Sessions whose time to live ran out.
        SessionExpired = "session.expired",
        /// Sessions that failed.
        SessionFailed = "session.failed",
        /// Sessions that were ended.
        SessionCancelled = "session.cancelled",
        /// Messages of flows that the channel took.
        MessageOut = "message.out",
        /// Messages of flows that were not sent.
        MessageFailed = "message.failed",
        /// Messages that the channel bills, by category.
        MessageBillable = "message.billable",
        /// Messages that the channel does not bill, by category.
        MessageFree = "message.free",
        /// How often a node was left by an exit.
        NodeExit = "node.exit",
        /// How often a conversation ended at an exit that leads nowhere, without a word to the person.
        NodeLeadsNowhere = "node.leads_nowhere",
        /// Statuses of messages that are not known here.
        StatusUnknown = "status.unknown",
        /// Bytes by which the database file has grown, by hour.
        DatabaseGrown = "database.grown",
    }
}

impl CounterName {
    /// The counters of sessions, each with the name under which statistics show it, such as `started`.
    pub fn of_sessions() -> impl Iterator<Item = (Self, &'static str)> {
        Self::ALL.into_iter().filter_map(|counter| Some((counter, counter.of_session()?)))
    }

    /// The name under which statistics show a counter of sessions.
    pub fn of_session(self) -> Option<&'static str> {
        self.as_str().strip_prefix("session.")
    }

    /// Whether statistics show it also where it has counted nothing.
    pub const fn is_always_shown(self) -> bool {
        matches!(self, Self::SessionStarted) || (self.is_end() && !matches!(self, Self::SessionUndelivered))
    }

    /// Whether what it counts are sessions that have ended.
    pub const fn is_end(self) -> bool {
        matches!(
            self,
            Self::SessionCompleted
                | Self::SessionUndelivered
                | Self::SessionExpired
                | Self::SessionFailed
                | Self::SessionCancelled
        )
    }

    /// What a session counts as that ended so; `None` while it runs.
    pub fn of_end(status: Status) -> Option<Self> {
        match status {
            Status::Running => None,
            Status::Completed => Some(Self::SessionCompleted),
            Status::Expired => Some(Self::SessionExpired),
            Status::Failed => Some(Self::SessionFailed),
            Status::Cancelled => Some(Self::SessionCancelled),
        }
    }
}
