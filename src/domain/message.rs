//! Messages of flows, and replies of people.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{NodeId, SessionId, Timestamp};
use crate::domain::named::named;

named! {
    /// What a message is, for the channel that sends it and the page that shows it.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum MessageKind {
        /// Plain text without a medium.
        Text = "text",
        /// Text with options to tap.
        Menu = "menu",
        /// An image, video, audio or document, perhaps with a caption.
        Media = "media",
        /// A channel template without a free text beside it.
        Template = "template",
    }
}

/// A message of a node, with all templates filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutgoingMessage {
    /// The node that sends it.
    pub node: NodeId,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// The text, or a medium's caption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What can be tapped, in the order shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<MessageOption>,
    /// The medium that goes with the text; `None`: text alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<MediaRef>,
    /// The template that stands in where the channel forbids free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateRef>,
}

/// One option of a menu as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageOption {
    /// The option's id inside its menu. Channels send it as `<session>:<option>`.
    pub id: String,
    /// What is shown on the button or row.
    pub title: String,
    /// A second line, on channels that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A medium to send, by link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaRef {
    /// `image`, `video`, `audio` or `document`.
    pub kind: String,
    /// Where the channel fetches it.
    pub url: String,
    /// The name that a document is shown under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
}

/// A channel template with its variables filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateRef {
    /// The template's name at the channel.
    pub name: String,
    /// The language asked for, if the node names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// `1`, `2`, … for the body, `header.1`, `button.0`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}

/// The session and the bare id of an option as channels carry it: `<session>:<option>`.
pub fn split_option(option: &str) -> Option<(SessionId, &str)> {
    let (session, bare) = option.split_once(':')?;
    Some((session.parse().ok()?, bare))
}

named! {
    /// What kind of message a person sent.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum ReplyKind {
        /// A text that the contact typed.
        Text = "text",
        /// A tapped button or row.
        Tap = "tap",
        /// An image, perhaps with a caption.
        Image = "image",
        /// A video, perhaps with a caption.
        Video = "video",
        /// A voice note or sound.
        Audio = "audio",
        /// A document or another file.
        Document = "document",
        /// A sticker of the contact's.
        Sticker = "sticker",
        /// A place on the map.
        Location = "location",
        /// Entries of the contact's address book.
        Contacts = "contacts",
        /// An order from a catalogue.
        Order = "order",
        /// Something that the channel cannot hand over, or that this version does not know.
        Unsupported = "unsupported",
    }
}

impl ReplyKind {
    /// Whether it carries a file.
    pub fn is_media(self) -> bool {
        matches!(self, Self::Image | Self::Video | Self::Audio | Self::Document | Self::Sticker)
    }

    /// Whether its text was written by the person, as a message or as the caption of a medium.
    pub fn is_written(self) -> bool {
        self == Self::Text || self.is_media()
    }
}

/// A message from a person, as the engine sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// What it is.
    pub kind: ReplyKind,
    /// Typed text, the title of what was tapped, or a medium's caption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The id of the tapped option, without the session before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// The medium or place, as the channel describes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The turn that sent the message of ours that it taps or quotes; `None` where the channel does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers_turn: Option<u32>,
    /// When the request that brought it arrived: what decides whether it was in time.
    pub received_at: Timestamp,
}

impl Reply {
    /// What the person wrote: a text, or the caption of a medium.
    pub fn written(&self) -> Option<&str> {
        self.text.as_deref().filter(|_| self.kind.is_written())
    }
}
