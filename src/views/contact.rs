//! A contact, as each caller sees it.
//!
//! The comment of each struct names its reader. A new field of [`Contact`] is shown where a field for it is added here.

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::IsoTime;
use crate::domain::{Contact, ContactId, Held, Holder, Phone, Timestamp};

/// A contact and the columns of its row.
#[derive(Debug, Clone, Copy)]
pub struct ContactRow<'a> {
    /// The contact's profile.
    pub contact: &'a Contact,
    /// What created it, such as `api`.
    pub source: &'a str,
    /// The current or last hold on the conversation.
    pub held: Option<Held>,
    /// When the person last wrote.
    pub last_inbound_at: Option<Timestamp>,
    /// When a message last went either way.
    pub last_message_at: Option<Timestamp>,
    /// Messages in both directions.
    pub total_messages: u32,
    /// When the contact was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A contact for the admin page: `/contacts`, and the head of an export.
#[derive(Debug, Serialize)]
pub struct AdminContact<'a> {
    id: ContactId,
    phone: Option<&'a Phone>,
    name: Option<&'a str>,
    email: Option<&'a str>,
    language: Option<&'a str>,
    tags: &'a [String],
    metadata: &'a Map<String, Value>,
    source: &'a str,
    opted_in_at: Option<IsoTime>,
    opted_out_at: Option<IsoTime>,
    /// `marketing` or `everything`.
    opted_out_of: Option<&'static str>,
    last_inbound_at: Option<IsoTime>,
    last_message_at: Option<IsoTime>,
    total_messages: u32,
    created_at: IsoTime,
    updated_at: IsoTime,
    #[serde(flatten)]
    held: Option<HeldBy>,
    /// That automatic answers stopped, because there were too many at once; there only where they did.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    auto_replies_stopped: bool,
}

impl<'a> AdminContact<'a> {
    /// The contact as it stands at a time.
    pub fn new(row: &ContactRow<'a>, now: Timestamp) -> Self {
        let contact = row.contact;
        let opted_out_of = if contact.marketing_only { "marketing" } else { "everything" };
        Self {
            id: contact.id,
            phone: contact.phone.as_ref(),
            name: contact.name.as_deref(),
            email: contact.email.as_deref(),
            language: contact.language.as_deref(),
            tags: &contact.tags,
            metadata: &contact.metadata,
            source: row.source,
            opted_in_at: contact.opted_in_at.map(IsoTime),
            opted_out_at: contact.opted_out_at.map(IsoTime),
            opted_out_of: contact.opted_out_at.map(|_| opted_out_of),
            last_inbound_at: row.last_inbound_at.map(IsoTime),
            last_message_at: row.last_message_at.map(IsoTime),
            total_messages: row.total_messages,
            created_at: IsoTime(row.created_at),
            updated_at: IsoTime(row.updated_at),
            held: row.held.filter(|held| held.is_on(now)).map(HeldBy::from),
            auto_replies_stopped: false,
        }
    }

    /// The same, with whether automatic answers stopped.
    #[must_use]
    pub fn with_stopped_auto_replies(self, stopped: bool) -> Self {
        Self { auto_replies_stopped: stopped, ..self }
    }
}

/// The holder of a conversation, and until when. It is flattened into a contact or a session, and only while the hold
/// lasts.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct HeldBy {
    held_by: Holder,
    held_until: IsoTime,
}

impl From<Held> for HeldBy {
    fn from(held: Held) -> Self {
        Self { held_by: held.by, held_until: IsoTime(held.until) }
    }
}

/// A contact in the public API: `create-contact`, `get-contact`.
#[derive(Debug, Serialize)]
pub struct PublicContact<'a> {
    id: ContactId,
    phone: Option<&'a Phone>,
    name: Option<&'a str>,
    email: Option<&'a str>,
    locale: Option<&'a str>,
    source: &'a str,
    metadata: &'a Map<String, Value>,
    tags: &'a [String],
    opted_in_at: Option<IsoTime>,
    opted_out_at: Option<IsoTime>,
    last_message_at: Option<IsoTime>,
    total_messages: u32,
    created_at: IsoTime,
    /// There only in the answer to the request that made or changed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<IsoTime>,
}

impl<'a> PublicContact<'a> {
    /// The contact as it is looked up.
    pub fn new(row: &ContactRow<'a>) -> Self {
        let contact = row.contact;
        Self {
            id: contact.id,
            phone: contact.phone.as_ref(),
            name: contact.name.as_deref(),
            email: contact.email.as_deref(),
            locale: contact.language.as_deref(),
            source: row.source,
            metadata: &contact.metadata,
            tags: &contact.tags,
            opted_in_at: contact.opted_in_at.map(IsoTime),
            opted_out_at: contact.opted_out_at.map(IsoTime),
            last_message_at: row.last_message_at.map(IsoTime),
            total_messages: row.total_messages,
            created_at: IsoTime(row.created_at),
            updated_at: None,
        }
    }

    /// The contact as it has just been saved.
    pub fn saved(row: &ContactRow<'a>) -> Self {
        Self { updated_at: Some(IsoTime(row.updated_at)), ..Self::new(row) }
    }
}

/// A contact among those that `search-contacts` finds.
#[derive(Debug, Serialize)]
pub struct FoundContact<'a> {
    id: ContactId,
    phone: Option<&'a Phone>,
    name: Option<&'a str>,
    email: Option<&'a str>,
    source: &'a str,
    tags: &'a [String],
    last_message_at: Option<IsoTime>,
    created_at: IsoTime,
}

impl<'a> FoundContact<'a> {
    /// The contact as a search shows it.
    pub fn new(row: &ContactRow<'a>) -> Self {
        let contact = row.contact;
        Self {
            id: contact.id,
            phone: contact.phone.as_ref(),
            name: contact.name.as_deref(),
            email: contact.email.as_deref(),
            source: row.source,
            tags: &contact.tags,
            last_message_at: row.last_message_at.map(IsoTime),
            created_at: IsoTime(row.created_at),
        }
    }
}

/// A contact in the answer of `update-contact`.
#[derive(Debug, Serialize)]
pub struct UpdatedContact<'a> {
    id: ContactId,
    phone: Option<&'a Phone>,
    name: Option<&'a str>,
    email: Option<&'a str>,
    tags: &'a [String],
    updated_at: IsoTime,
}

impl<'a> UpdatedContact<'a> {
    /// The contact as it has just been changed.
    pub fn new(row: &ContactRow<'a>) -> Self {
        let contact = row.contact;
        Self {
            id: contact.id,
            phone: contact.phone.as_ref(),
            name: contact.name.as_deref(),
            email: contact.email.as_deref(),
            tags: &contact.tags,
            updated_at: IsoTime(row.updated_at),
        }
    }
}

/// A contact in the answers of `add-tag` and `remove-tag`.
#[derive(Debug, Serialize)]
pub struct TaggedContact<'a> {
    id: ContactId,
    phone: Option<&'a Phone>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag_added: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag_removed: Option<&'a str>,
    tags: &'a [String],
}

impl<'a> TaggedContact<'a> {
    /// The contact after a tag was put on it.
    pub fn added(contact: &'a Contact, tag: &'a str) -> Self {
        Self { tag_added: Some(tag), ..Self::tagged(contact) }
    }

    /// The contact after a tag was taken off it.
    pub fn removed(contact: &'a Contact, tag: &'a str) -> Self {
        Self { tag_removed: Some(tag), ..Self::tagged(contact) }
    }

    fn tagged(contact: &'a Contact) -> Self {
        let Contact { id, phone, tags, .. } = contact;
        Self { id: *id, phone: phone.as_ref(), tag_added: None, tag_removed: None, tags }
    }
}

/// A tag that contacts have, or had.
#[derive(Debug, Serialize)]
pub struct Tag<'a> {
    /// Made of the name.
    pub id: Uuid,
    /// The tag's name.
    pub name: &'a str,
}

/// A contact beside something of its own: a session, a message, an event.
#[derive(Debug, Serialize)]
pub struct ContactBrief {
    id: ContactId,
    name: Option<String>,
    phone: Option<Phone>,
}

impl From<Contact> for ContactBrief {
    fn from(contact: Contact) -> Self {
        Self { id: contact.id, name: contact.name, phone: contact.phone }
    }
}

impl From<&Contact> for ContactBrief {
    fn from(contact: &Contact) -> Self {
        Self { id: contact.id, name: contact.name.clone(), phone: contact.phone.clone() }
    }
}

/// A contact as keys of a row of `/triggers/…`, flattened into it.
#[derive(Debug, Serialize)]
pub struct ContactKeys {
    contact_id: ContactId,
    contact_phone: Option<Phone>,
    contact_name: Option<String>,
    contact_email: Option<String>,
}

impl From<Contact> for ContactKeys {
    fn from(contact: Contact) -> Self {
        let Contact { id, phone, name, email, .. } = contact;
        Self { contact_id: id, contact_phone: phone, contact_name: name, contact_email: email }
    }
}

/// A contact in the events `contact.opted_in` and `contact.opted_out`.
#[derive(Debug, Serialize)]
pub struct ContactConsent<'a> {
    id: ContactId,
    phone: Option<&'a Phone>,
    name: Option<&'a str>,
    opted_in_at: Option<IsoTime>,
    opted_out_at: Option<IsoTime>,
}

impl<'a> From<&'a Contact> for ContactConsent<'a> {
    fn from(contact: &'a Contact) -> Self {
        Self {
            id: contact.id,
            phone: contact.phone.as_ref(),
            name: contact.name.as_deref(),
            opted_in_at: contact.opted_in_at.map(IsoTime),
            opted_out_at: contact.opted_out_at.map(IsoTime),
        }
    }
}

/// A contact in the event `message.received`.
#[derive(Debug, Serialize)]
pub struct EventContact<'a> {
    id: ContactId,
    phone: Option<&'a Phone>,
    name: Option<&'a str>,
    email: Option<&'a str>,
    locale: Option<&'a str>,
    tags: &'a [String],
    metadata: &'a Map<String, Value>,
    opted_in_at: Option<IsoTime>,
    opted_out_at: Option<IsoTime>,
    created_at: IsoTime,
}

impl<'a> EventContact<'a> {
    /// The sender of a message, and when the contact was made.
    pub fn new(contact: &'a Contact, created_at: Timestamp) -> Self {
        Self {
            id: contact.id,
            phone: contact.phone.as_ref(),
            name: contact.name.as_deref(),
            email: contact.email.as_deref(),
            locale: contact.language.as_deref(),
            tags: &contact.tags,
            metadata: &contact.metadata,
            opted_in_at: contact.opted_in_at.map(IsoTime),
            opted_out_at: contact.opted_out_at.map(IsoTime),
            created_at: IsoTime(created_at),
        }
    }
}

/// The contact of a simulation. `T` is how a moment is shown: the API shows whole seconds, the terminal milliseconds,
/// too.
#[derive(Debug, Serialize)]
pub struct SimulatedContact<'a, T> {
    name: Option<&'a str>,
    phone: Option<&'a Phone>,
    email: Option<&'a str>,
    language: Option<&'a str>,
    tags: &'a [String],
    metadata: &'a Map<String, Value>,
    opted_out_at: Option<T>,
}

impl<'a, T: From<Timestamp>> From<&'a Contact> for SimulatedContact<'a, T> {
    fn from(contact: &'a Contact) -> Self {
        Self {
            name: contact.name.as_deref(),
            phone: contact.phone.as_ref(),
            email: contact.email.as_deref(),
            language: contact.language.as_deref(),
            tags: &contact.tags,
            metadata: &contact.metadata,
            opted_out_at: contact.opted_out_at.map(T::from),
        }
    }
}

/// What comes first in the export of a contact; its sessions and messages follow.
#[derive(Debug, Serialize)]
pub struct ExportHead<'a> {
    /// The contact's profile.
    pub contact: AdminContact<'a>,
    /// Where the person is reached, or was.
    pub addresses: Vec<ExportedAddress<'a>>,
    /// Ids of contacts that were merged into this one.
    pub former_ids: Vec<ContactId>,
    /// When it may be written to again without being written to too often.
    pub pacing: Vec<ExportedPace>,
}

/// An address in an export.
#[derive(Debug, Serialize)]
pub struct ExportedAddress<'a> {
    /// `phone`, `wa_id` or `bsuid`.
    pub kind: &'a str,
    /// Such as a phone number with its `+`.
    pub value: &'a str,
    /// When it was learnt.
    pub added_at: IsoTime,
    /// When the contact left it; `None` while it leads to the contact.
    pub retired_at: Option<IsoTime>,
}

/// Until when a channel waits before it writes to the contact again.
#[derive(Debug, Serialize)]
pub struct ExportedPace {
    /// The channel's name.
    pub channel: String,
    /// When the channel may write again.
    pub until: IsoTime,
}

/// An event of the contact that was posted or is queued, in an export.
#[derive(Debug, Serialize)]
pub struct ExportedEvent<'a> {
    /// Such as `session.started`.
    pub event: &'a str,
    /// What is posted.
    pub body: &'a Value,
    /// When it was queued.
    pub created_at: IsoTime,
}

/// What went with an erased contact.
#[derive(Debug, Serialize)]
pub struct ErasedContact {
    /// The erased contact's id.
    pub id: ContactId,
    /// What of it.
    pub erased: ErasedRows,
}

/// How many rows went with a contact.
#[derive(Debug, Serialize)]
pub struct ErasedRows {
    /// How many sessions.
    pub sessions: u32,
    /// How many messages.
    pub messages: u32,
}
