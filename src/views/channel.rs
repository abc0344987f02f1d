//! A channel, as the admin page sees it.

use serde::Serialize;
use serde_json::{Map, Value};

use super::IsoTime;

/// A channel in the list of all of them.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ListedChannel {
    /// The one that carries messages.
    Live(Box<LiveChannel>),
    /// One that does not.
    Off(OffChannel),
}

/// A channel that is not in use.
#[derive(Debug, Serialize)]
pub struct OffChannel {
    /// The channel's name.
    pub name: &'static str,
    /// Always `false` here.
    pub is_live: bool,
    /// Always `off` here.
    pub state: &'static str,
}

/// The channel that carries messages.
#[derive(Debug, Serialize)]
pub struct LiveChannel {
    /// The channel's name.
    pub name: &'static str,
    /// Always `true` here.
    pub is_live: bool,
    /// Whether its messages leave the server.
    pub reaches_phones: bool,
    /// Whether free text goes out for a time after the person wrote only.
    pub has_window: bool,
    /// `running`, `backing_off` or `paused`.
    pub state: &'static str,
    /// Why it is paused or backs off, such as the provider's code.
    pub reason: Option<String>,
    /// The same in words.
    pub explanation: Option<String>,
    /// Since when it is paused.
    pub since: Option<IsoTime>,
    /// Until when it backs off.
    pub held_until: Option<IsoTime>,
    /// The messages that wait.
    pub queue: Queue,
    /// The templates, with which a conversation may begin.
    pub templates: Templates,
}

/// Messages that wait.
#[derive(Debug, Serialize)]
pub struct Queue {
    /// How many messages wait.
    pub length: u32,
    /// How old the oldest of them is.
    pub oldest_seconds: Option<i64>,
}

/// The templates of a channel, as a whole.
#[derive(Debug, Serialize)]
pub struct Templates {
    /// Whether they are made here and not by the channel.
    pub are_by_hand: bool,
    /// How many there are.
    pub total: u32,
    /// How many of them can be sent.
    pub approved: u32,
    /// When they were last fetched.
    pub synced_at: Option<IsoTime>,
    /// Why they were not, the last time.
    pub refused: Option<RefusedSync>,
}

/// The channel's error in place of its templates.
#[derive(Debug, Serialize)]
pub struct RefusedSync {
    /// The channel's error code.
    pub code: String,
    /// The channel's explanation.
    pub text: String,
}

/// A channel that does not send, for `/readyz`.
#[derive(Debug, Serialize)]
pub struct ImpairedChannel {
    /// The channel's name.
    pub name: &'static str,
    /// `backing_off` or `paused`.
    pub state: &'static str,
    /// Such as the provider's code.
    pub reason: Option<String>,
    /// The explanation in words; `None` where it is not for callers that are not logged in.
    pub explanation: Option<String>,
    /// Since when it is paused.
    pub since: Option<IsoTime>,
}

/// A part of a delivery that nothing took.
#[derive(Debug, Serialize)]
pub struct UnprocessedDelivery {
    /// Why nothing took it.
    pub why: String,
    /// What it was.
    pub raw: Value,
    /// When it came.
    pub created_at: IsoTime,
}

/// The outcome of asking a channel's far side whether it would take messages.
#[derive(Debug, Serialize)]
pub struct ChannelTest<'a> {
    /// The channel's name.
    pub name: &'a str,
    /// `true`: what does not work is answered as an error.
    pub is_working: bool,
    /// What was found, in words.
    pub text: &'static str,
    /// Other details of the channel: its number, or the id of what was posted.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// What `GET /readyz` gives.
#[derive(Debug, Serialize)]
pub struct Readiness<'a> {
    /// `ready` or `degraded`.
    pub status: &'static str,
    /// What does not go; there only while something does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ImpairmentReason<'a>>,
    /// The channel; there only while it does not send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ImpairedChannel>,
}

/// Something that does not go.
#[derive(Debug, Serialize)]
pub struct ImpairmentReason<'a> {
    /// A short name, for programs.
    pub code: &'static str,
    /// A sentence, for people.
    pub text: &'a str,
    /// When it was first noticed.
    pub since: IsoTime,
}
