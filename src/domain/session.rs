//! A session: one conversation of one contact with one version of one flow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::named::named;
use super::{ContactId, EventName, FlowId, MessageOption, NodeId, Reply, ReplyKind, SessionId, Timestamp};

named! {
    /// Whether a session goes on, and if not, how it ended.
    #[derive(Hash, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Status {
        /// It waits for something.
        Running = "running",
        /// It came to an end of the flow.
        Completed = "completed",
        /// Its time to live ran out.
        Expired = "expired",
        /// A limit was hit or a message could not be delivered; the session's `reason` says which.
        Failed = "failed",
        /// It was cancelled; the session's `reason` says why.
        Cancelled = "cancelled",
    }
}

named! {
    /// What a session waits for.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum WaitKind {
        /// A message from the contact.
        Reply = "reply",
        /// The end of a delay.
        Delay = "delay",
        /// An event from outside.
        Event = "event",
        /// The answer to an HTTP call.
        Http = "http",
        /// A person, who gives the session back when it is done.
        Handoff = "handoff",
    }
}

/// An armed wait, at the session's current node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// What it waits for.
    #[serde(rename = "for")]
    pub kind: WaitKind,
    /// The turn in which the node was entered: messages of earlier turns are old prompts.
    pub entered_in: u32,
    /// The turn in which the timer was armed. A timer that names another turn is stale and does nothing.
    pub armed_in: u32,
    /// How many replies did not match so far.
    pub attempts: u32,
    /// When the timeout fires or the delay ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
    /// The span that `wake_at` was armed with, in milliseconds: what it is armed with again when the prompt is known to
    /// have been accepted. `None` for a delay until a moment that stands fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// The moment that a delay waits for, where `wake_at` is later because the conversation is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moment: Option<Timestamp>,
    /// When the node was entered, if what entered it goes on from an HTTP call: a message from before that is not meant
    /// for it. `None` where the contact's own message or a timer led here, and where nothing was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// The options on offer, as shown: a reply is matched against what the person saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<MessageOption>,
}

/// The message that led to the current turn: `{{input.*}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Text, title or caption; empty where there is none.
    pub text: String,
    /// Id of the chosen option.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What kind of message it was.
    #[serde(rename = "type")]
    pub kind: ReplyKind,
    /// The ad or post that led to it, as the channel describes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referral: Option<Map<String, Value>>,
    /// The product that it asks about, as the channel describes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referred_product: Option<Map<String, Value>>,
}

impl Input {
    /// Bytes of JSON that are kept of a referral or a product: a session keeps it for a turn and more.
    const ABOUT_BYTES: usize = 8 * 1024;

    /// The input that a message is. `option` is the chosen one, if that is known.
    pub fn of(kind: ReplyKind, text: Option<&str>, option: Option<&str>, payload: Option<&Value>) -> Self {
        let about =
            |key: &str| payload.and_then(|payload| payload.get(key)).and_then(Value::as_object).map(Self::bounded);
        Self {
            text: text.unwrap_or_default().to_owned(),
            id: option.map(str::to_owned),
            kind,
            referral: about("referral"),
            referred_product: about("referred_product"),
        }
    }

    /// The part that is kept of what a channel reports beside a message: without its longest values, where it is too
    /// long.
    fn bounded(about: &Map<String, Value>) -> Map<String, Value> {
        let bytes = |value: &Value| serde_json::to_string(value).map_or(usize::MAX, |json| json.len());
        let mut sized: Vec<(usize, &String)> =
            about.iter().map(|(key, value)| (bytes(value).saturating_add(key.len() + 6), key)).collect();
        sized.sort_unstable();
        let mut room = Self::ABOUT_BYTES;
        let fits = |(size, key): (usize, &String)| {
            room = room.checked_sub(size)?;
            Some(key.clone())
        };
        let kept: Vec<String> = sized.into_iter().map_while(fits).collect();
        about.iter().filter(|(key, _)| kept.contains(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

/// An event from outside that came before the session waited for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptEvent {
    /// The event's name, which an event node waits for.
    pub name: EventName,
    /// The event's payload; `null` without one.
    pub payload: Value,
}

/// A version of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowPin {
    /// The flow's id.
    pub id: FlowId,
    /// The version that was published when it was entered.
    pub version: u32,
}

/// A sub-flow that a session is in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Number of the frame, unique in its session; the root flow is 0.
    pub id: u32,
    /// The sub-flow, which the frame stays on.
    pub flow: FlowPin,
    /// Whether its end leads back to the flow that called it.
    pub returns: bool,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_node: Option<NodeId>,
    /// How often each of its nodes was entered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub visits: BTreeMap<NodeId, u32>,
    /// Its own `{{context.*}}`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub context: Map<String, Value>,
}

/// The frame that sent a message of the last turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoken {
    /// The node that sent it.
    pub node: NodeId,
    /// The frame's id.
    pub frame: u32,
}

/// All that is known of a conversation. Serialises to JSON and back without loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The session's public id.
    pub id: SessionId,
    /// The root flow, which sub-flows return to.
    pub flow_id: FlowId,
    /// The published version that it started on and stays on.
    pub version: u32,
    /// Whom it talks to.
    pub contact_id: ContactId,
    /// Running, or how it ended.
    pub status: Status,
    /// Why it failed or was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The `outcome` of the `end` node it reached, or `no_match`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Where it waits, or the last node it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_node: Option<NodeId>,
    /// What it waits for; `None` once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// How many events it has taken, its start included.
    pub turn: u32,
    /// Decides all random splits of this session.
    pub seed: u64,
    /// How many random splits were drawn.
    pub draws: u64,
    /// How often each node was entered.
    pub visits: BTreeMap<NodeId, u32>,
    /// `{{context.*}}`: what the trigger passed, and what nodes added.
    pub context: Map<String, Value>,
    /// The message that led to the last turn; `None` after a trigger or a timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// The events that no wait has taken yet, in the order in which they came. An ended session has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_events: Vec<KeptEvent>,
    /// The sub-flows that it is in, each called by the one before. `current_node`, `visits` and `context` above are the
    /// root flow's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<Frame>,
    /// The messages of sub-flows in the last turn, so that a failed delivery finds the frame that it concerns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spoken: Vec<Spoken>,
    /// The code of the failure to deliver its last message, as long as it has neither sent nor got a message since. If
    /// it then comes to its end, it did not reach the contact, whatever its outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undelivered: Option<String>,
    /// Messages that came during an HTTP call, in the order in which they came. An ended session has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queued_replies: Vec<Reply>,
    /// When it ends unless something happens; `None` for flows without a time to live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was triggered.
    pub started_at: Timestamp,
    /// When the contact last answered, or the trigger.
    pub last_interaction_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl Session {
    /// When its next timer falls due: the earlier of the wait's and the time to live's.
    pub fn due_at(&self) -> Option<Timestamp> {
        if self.status != Status::Running {
            return None;
        }
        let wake_at = self.wait.as_ref().and_then(|wait| wait.wake_at);
        match (wake_at, self.expires_at) {
            (Some(wake), Some(expiry)) => Some(wake.min(expiry)),
            (wake, expiry) => wake.or(expiry),
        }
    }

    /// Whether the timer that falls due next is the time to live; on a tie it is.
    pub fn expires_next(&self) -> bool {
        self.expires_at.is_some() && self.due_at() == self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_told_of_an_ad_is_kept_and_bounded() {
        let input = |payload: Value| Input::of(ReplyKind::Text, Some("Hi"), None, Some(&payload));
        let ad = json!({"source_id": "120", "welcome_message": {"text": "Hello"}});
        assert_eq!(input(json!({"referral": ad})).referral.map(Value::Object), Some(ad));
        for none in [json!({}), json!([]), json!({"referral": null}), json!({"referral": "x"})] {
            assert_eq!(input(none), Input::of(ReplyKind::Text, Some("Hi"), None, None));
        }
        let long = json!({"referral": {"body": "x".repeat(9_000), "source_id": "1", "ctwa_clid": "y".repeat(4_000)}});
        let kept: Vec<String> = input(long).referral.unwrap().keys().cloned().collect();
        assert_eq!(kept, ["source_id", "ctwa_clid"], "the longest goes first");
        let old: Input = serde_json::from_value(json!({"text": "Hi", "type": "text"})).unwrap();
        assert_eq!(old, Input::of(ReplyKind::Text, Some("Hi"), None, None));
    }
}
