//! Bringing in contacts that another system has: by the same rules as saving one over the API, without a server.
//!
//! A row is looked for by its phone number. It adds to what is known: tags come and none go, metadata is merged, and what
//! is blank stays as it was. Consent is taken over where none is recorded. Nobody who has opted out is opted in, neither
//! a contact nor somebody who was erased since.

use std::fmt;

use uuid::Uuid;

use super::METADATA_BYTES;
use super::inbound::identity::{find_by_phone, had_opted_out};
use crate::domain::profile::TAGS;
use crate::domain::{AddressKey, Contact, ContactChange, ContactId, Phone, Timestamp};
use crate::error::Result;
use crate::store::erased::ErasureKey;
use crate::store::{Conn, Tx, contacts};

/// What the contacts' records say of where they are from.
const SOURCE: &str = "import";

/// What another system knows of a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// Whose row it is.
    pub phone: Phone,
    /// What it says. `opt_out` may be `true` only.
    pub change: ContactChange,
    /// When the person agreed to be written to.
    pub opted_in_at: Option<Timestamp>,
    /// Since when the person is not to be written to.
    pub opted_out_at: Option<Timestamp>,
}

/// What came of an [`Incoming`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// The number was nobody's.
    Created,
    /// The contact had it otherwise.
    Updated,
    /// The contact had it all.
    Unchanged,
    /// Nothing was changed.
    Refused(Refusal),
}

/// Why an [`Incoming`] was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The metadata would be larger than [`METADATA_BYTES`].
    MetadataTooLarge,
    /// The contact would have more tags than [`TAGS`].
    TooManyTags,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MetadataTooLarge => {
                write!(f, "the metadata would be larger than {METADATA_BYTES} bytes, what is there included")
            }
            Self::TooManyTags => write!(f, "the contact would have more than {TAGS} tags, those it has included"),
        }
    }
}

/// Saves a person inside a transaction.
///
/// # Errors
/// When the database refuses. Refusals are outcomes.
pub fn save(tx: &Tx<'_>, incoming: &Incoming, now: Timestamp) -> Result<Saved> {
    let plan = plan(tx, incoming, now)?;
    match &plan.before {
        _ if matches!(plan.outcome, Saved::Unchanged | Saved::Refused(_)) => {}
        Some((seq, before)) => contacts::update(tx, *seq, &plan.contact, before, now)?,
        None => {
            contacts::insert(tx, &plan.contact, SOURCE, now)?;
        }
    }
    Ok(plan.outcome)
}

/// What [`save`] would come to. It changes nothing.
///
/// # Errors
/// When the database cannot be read.
pub fn preview(conn: &Conn, incoming: &Incoming, now: Timestamp) -> Result<Saved> {
    Ok(plan(conn, incoming, now)?.outcome)
}

struct Plan {
    outcome: Saved,
    /// Row of the contact and what it was.
    before: Option<(i64, Contact)>,
    contact: Contact,
}

fn plan(conn: &Conn, incoming: &Incoming, now: Timestamp) -> Result<Plan> {
    let Incoming { phone, change, opted_in_at, opted_out_at } = incoming;
    let before = find_by_phone(conn, phone)?.map(|known| (known.seq, known.contact));
    let mut contact = match &before {
        Some((_, contact)) => contact.clone(),
        None => {
            let mut contact = Contact::new(ContactId(Uuid::now_v7()), Some(phone.clone()));
            if let Some(key) = ErasureKey::find(conn)?
                && had_opted_out(conn, &key, &AddressKey::of_phone(phone))?
            {
                contact.opted_out_at = Some(now);
            }
            contact
        }
    };
    let tags_before = contact.tags.len();
    contact.apply(change, now);
    contact.opted_in_at = contact.opted_in_at.or(*opted_in_at);
    contact.opted_out_at = contact.opted_out_at.or(*opted_out_at);
    let metadata_fits = change.metadata.is_empty()
        || serde_json::to_vec(&contact.metadata).is_ok_and(|json| json.len() <= METADATA_BYTES);
    let outcome = if !metadata_fits {
        Saved::Refused(Refusal::MetadataTooLarge)
    } else if contact.tags.len() > TAGS.max(tags_before) {
        Saved::Refused(Refusal::TooManyTags)
    } else {
        match &before {
            None => Saved::Created,
            Some((_, before)) if *before == contact => Saved::Unchanged,
            Some(_) => Saved::Updated,
        }
    };
    Ok(Plan { outcome, before, contact })
}
