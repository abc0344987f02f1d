//! The events of webhooks, which an operator's own systems can subscribe to.

use super::Status;
use super::named::named;

named! {
    /// An event that a webhook endpoint can choose.
    #[derive(Hash)]
    pub enum EventKind {
        /// A session has begun.
        SessionStarted = "session.started",
        /// A session came to an end of its flow.
        SessionCompleted = "session.completed",
        /// A session's time to live ran out.
        SessionExpired = "session.expired",
        /// A session failed.
        SessionFailed = "session.failed",
        /// A session was ended.
        SessionCancelled = "session.cancelled",
        /// A flow asks for a person.
        HandoffRequested = "handoff.requested",
        /// A person wants no messages any more.
        ContactOptedOut = "contact.opted_out",
        /// A person wants messages again.
        ContactOptedIn = "contact.opted_in",
        /// Nothing goes out on the channel until an operator acts.
        ChannelPaused = "channel.paused",
        /// The channel goes on.
        ChannelResumed = "channel.resumed",
        /// A person wrote.
        MessageReceived = "message.received",
        /// The channel took a message of ours.
        MessageSent = "message.status.sent",
        /// It reached the phone.
        MessageDelivered = "message.status.delivered",
        /// The person opened it.
        MessageRead = "message.status.read",
        /// It will not arrive.
        MessageFailed = "message.status.failed",
    }
}

/// What events are about, in the order in which the admin page shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventGroup {
    /// Messages in both directions.
    Messages,
    /// Events of sessions.
    Conversations,
    /// Events of contacts.
    People,
    /// The channel in use.
    Channel,
}

impl EventGroup {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Messages, Self::Conversations, Self::People, Self::Channel];

    /// What stands above its events.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Messages => "Messages",
            Self::Conversations => "Conversations",
            Self::People => "People",
            Self::Channel => "The channel",
        }
    }
}

impl EventKind {
    /// That a session has ended so; `None` while it runs.
    pub const fn of_end(status: Status) -> Option<Self> {
        match status {
            Status::Running => None,
            Status::Completed => Some(Self::SessionCompleted),
            Status::Expired => Some(Self::SessionExpired),
            Status::Failed => Some(Self::SessionFailed),
            Status::Cancelled => Some(Self::SessionCancelled),
        }
    }

    /// What it is about.
    pub const fn group(self) -> EventGroup {
        match self {
            Self::SessionStarted
            | Self::SessionCompleted
            | Self::SessionExpired
            | Self::SessionFailed
            | Self::SessionCancelled
            | Self::HandoffRequested => EventGroup::Conversations,
            Self::ContactOptedOut | Self::ContactOptedIn => EventGroup::People,
            Self::ChannelPaused | Self::ChannelResumed => EventGroup::Channel,
            Self::MessageReceived
            | Self::MessageSent
            | Self::MessageDelivered
            | Self::MessageRead
            | Self::MessageFailed => EventGroup::Messages,
        }
    }
}
