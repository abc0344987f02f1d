//! Writing people's profiles for the systems of the operator: making a contact, changing it, tagging it.
//!
//! None of this records whether a person wants to be written to: it neither opts in nor out. The number of a person who
//! had opted out before being erased is opted out from the moment it is entered again.

use serde::{Deserialize, Serialize};

use super::update_contact::{METADATA_BYTES, metadata_fits};
use crate::domain::profile::TAGS;
use crate::domain::{AddressKey, ContactChange};
use crate::error::{Error, Result};
use crate::runtime::job::lookup::{ContactRef, Resolved};
use crate::runtime::job::{Command, Deferred, Job};
use crate::store::contacts::{self, Profile};

/// Tags of a contact at most.
pub const TAGS_PER_CONTACT: usize = TAGS;

/// Changes a contact, or makes one for a phone number that belongs to no contact.
#[derive(Debug, Clone)]
pub struct SaveContact {
    /// The contact whose profile is changed.
    pub contact_ref: ContactRef,
    /// The new values. `opt_out` is ignored.
    pub change: ContactChange,
    /// All tags from now on, before those of the change come and go.
    pub tags: Option<Vec<String>>,
    /// The source of a contact that is made for an unknown phone number; `None`: none is made.
    pub source: Option<String>,
}

/// The outcome of a [`SaveContact`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ContactSaved {
    /// The contact as it is now.
    Saved {
        /// With what its page shows beside it.
        profile: Box<Profile>,
    },
    /// No contact has that id or number.
    NotFound,
    /// The id and the number are different people.
    Mismatch,
    /// The metadata would be larger than [`crate::runtime::METADATA_BYTES`]. Nothing was changed.
    MetadataTooLarge,
    /// The contact would have more than [`TAGS_PER_CONTACT`] tags, and more than before. Nothing was changed.
    TooManyTags,
}

impl Command for SaveContact {
    type Outcome = ContactSaved;

    /// The whole profile is in it, also what was there before.
    fn answer_bytes(&self) -> usize {
        METADATA_BYTES + 8 * 1024
    }

    fn is_kept(outcome: &ContactSaved) -> bool {
        matches!(outcome, ContactSaved::Saved { .. })
    }

    fn run(&self, job: &Job<'_>) -> Result<ContactSaved, Deferred> {
        let (seq, before) = match (job.find(&self.contact_ref)?, &self.source) {
            (Resolved::Known(known), _) => (Some(known.seq), known.contact),
            (Resolved::New(phone), Some(_)) => {
                let had_opted_out = job.had_opted_out(&AddressKey::of_phone(&phone))?;
                let mut contact = Job::new_contact(phone, None);
                contact.opted_out_at = had_opted_out.then(|| job.now());
                (None, contact)
            }
            (Resolved::New(_), None) | (Resolved::Unknown, _) => return Ok(ContactSaved::NotFound),
            (Resolved::Mismatch, _) => return Ok(ContactSaved::Mismatch),
        };
        let mut contact = before.clone();
        if let Some(tags) = &self.tags {
            contact.tags.clone_from(tags);
        }
        contact.apply(&ContactChange { opt_out: None, ..self.change.clone() }, job.now());
        if !metadata_fits(&self.change, &contact) {
            return Ok(ContactSaved::MetadataTooLarge);
        }
        if contact.tags.len() > TAGS_PER_CONTACT.max(before.tags.len()) {
            return Ok(ContactSaved::TooManyTags);
        }
        let seq = match (seq, &self.source) {
            (None, Some(source)) => contacts::insert(job.tx(), &contact, source, job.now())?,
            (Some(seq), _) => {
                contacts::update(job.tx(), seq, &contact, &before, job.now())?;
                seq
            }
            (None, None) => return Ok(ContactSaved::NotFound),
        };
        let profile = contacts::profile(job.tx(), seq)?
            .ok_or_else(|| Error::internal("A contact vanished inside a transaction"))?;
        Ok(ContactSaved::Saved { profile: Box::new(profile) })
    }
}
