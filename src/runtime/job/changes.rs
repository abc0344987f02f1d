//! The feed of changes, which pages and event streams follow live.
//!
//! A change names what has changed and its state now, after the commit that changed it. It is no record: what needs
//! certainty reads the store. A subscriber that is too slow misses changes and receives `Everything`.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::broadcast::{self, Receiver, Sender};

use super::send_waiters::Waiters;
use crate::domain::{ContactId, Direction, FlowId, MessageId, MessageStatus, NodeId, SessionId, Status, WaitKind};

/// Changes that a subscriber may be behind.
const MAX_LAG: usize = 4_096;

/// Something has changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Change {
    /// A session began, moved or ended.
    Session {
        /// The session's id.
        id: SessionId,
        /// The flow that it runs.
        flow_id: FlowId,
        /// The contact that it is with.
        contact_id: ContactId,
        /// Whether it runs, or how it ended.
        status: Status,
        /// Events taken so far.
        turn: u32,
        /// Where it stands.
        current_node_id: Option<NodeId>,
        /// What it waits for.
        waiting_for: Option<WaitKind>,
    },
    /// A message came in or went out.
    Message {
        /// The message's id.
        id: MessageId,
        /// Whose conversation it belongs to.
        contact_id: ContactId,
        /// The session that sent or took it.
        session_id: Option<SessionId>,
        /// The flow of that session.
        #[serde(skip)]
        flow_id: Option<FlowId>,
        /// Which way it went.
        direction: &'static str,
        /// How far it got.
        status: &'static str,
    },
    /// A flow asks for a person.
    Handoff {
        /// The session that asks.
        session_id: SessionId,
        /// The flow that the session runs.
        flow_id: FlowId,
        /// Whose conversation it is.
        contact_id: ContactId,
        /// The node that asks.
        node_id: NodeId,
        /// What it wants the person to know.
        note: Option<String>,
        /// Whether the session waits until it is given back.
        waits: bool,
    },
    /// A flow's draft was saved, or it was published, unpublished or deleted.
    Flow {
        /// The flow's id.
        id: FlowId,
        /// How often its draft was saved.
        revision: u32,
        /// What new sessions start on.
        published_version: Option<u32>,
    },
    /// A channel was paused, or goes on.
    Channel {
        /// The channel's name.
        name: &'static str,
        /// `paused` or `running`.
        state: &'static str,
        /// Why, such as the provider's code.
        reason: Option<String>,
    },
    /// Templates of a channel were fetched, made, changed or deleted.
    Templates {
        /// The channel's name.
        channel: &'static str,
        /// How many are new.
        added: u64,
        /// How many are not what they were.
        changed: u64,
        /// How many are gone.
        removed: u64,
    },
    /// What is wrong with the server is not what it was.
    Problems {
        /// How many problems there are now.
        count: usize,
    },
    /// Anything may have changed, such as by a command on the command line.
    Everything,
}

impl Change {
    /// The name of its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Session { .. } => "session",
            Self::Message { .. } => "message",
            Self::Handoff { .. } => "handoff",
            Self::Flow { .. } => "flow",
            Self::Channel { .. } => "channel",
            Self::Templates { .. } => "templates",
            Self::Problems { .. } => "problems",
            Self::Everything => "lagged",
        }
    }

    pub(in crate::runtime) fn message(
        id: MessageId,
        contact_id: ContactId,
        session: Option<(SessionId, FlowId)>,
        direction: Direction,
        status: MessageStatus,
    ) -> Self {
        let (direction, status) = (direction.as_str(), status.as_str());
        let (session_id, flow_id) = session.unzip();
        Self::Message { id, contact_id, session_id, flow_id, direction, status }
    }
}

/// Hands changes to all subscribers, and wakes requests that wait for a message.
#[derive(Debug)]
pub(in crate::runtime) struct ChangeFeed {
    watchers: Sender<Arc<Change>>,
    waiters: Waiters,
}

impl ChangeFeed {
    pub(in crate::runtime) fn new() -> Self {
        Self { watchers: broadcast::channel(MAX_LAG).0, waiters: Waiters::new() }
    }

    /// Whether there are subscribers, or callers that wait for a message.
    pub(in crate::runtime) fn is_watched(&self) -> bool {
        self.watchers.receiver_count() > 0 || self.waiters.are_there()
    }

    /// The callers that wait for a message.
    pub(in crate::runtime) fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    pub(in crate::runtime) fn publish(&self, change: Change) {
        if let Change::Message { id, .. } = &change {
            self.waiters.wake(*id);
        }
        // No subscriber is no failure.
        let _ = self.watchers.send(Arc::new(change));
    }

    pub(in crate::runtime) fn watch(&self) -> Receiver<Arc<Change>> {
        self.watchers.subscribe()
    }
}
