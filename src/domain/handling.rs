//! How a message from a person was handled.

use serde::{Deserialize, Serialize};

use super::named::named;

named! {
    /// How a message from a person was handled.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Handling {
        /// A session took it.
        Reply = "reply",
        /// It belongs to a session that did not take it, such as one in a delay; the trace says why.
        Ignored = "ignored",
        /// The person opted out.
        OptOut = "opt_out",
        /// The person opted in again.
        OptIn = "opt_in",
        /// It is for the person who has taken over the session.
        Handoff = "handoff",
        /// The conversation is held by another party; the reason says by which party.
        Held = "held",
        /// It started a flow by one of its keywords.
        Keyword = "keyword",
        /// It came after its session had ended, and the flow answered as it does then.
        LateReply = "late_reply",
        /// It started the fallback flow.
        Fallback = "fallback",
        /// It is no message to answer, such as a reaction: it is shown in the conversation and does nothing.
        Noted = "noted",
        /// Nothing wants it; it is kept with the reason.
        Unrouted = "unrouted",
        /// It was here before; nothing ran.
        Duplicate = "duplicate",
    }
}

impl Handling {
    /// Whether a flow took it and may be about to answer.
    pub fn is_taken(self) -> bool {
        matches!(self, Self::Reply | Self::Keyword | Self::LateReply | Self::Fallback)
    }
}
