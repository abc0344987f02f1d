//! Changing the profile of a contact. Opting out ends the contact's sessions and drops queued messages.

use serde::{Deserialize, Serialize};

use super::end_sessions::{SESSIONS_PER_JOB, end_sessions};
use crate::domain::{Contact, ContactChange, ContactId, Reason};
use crate::error::Result;
use crate::runtime::Runtime;
use crate::runtime::job::access::Access;
use crate::runtime::job::{Command, Deferred, Job};
use crate::store::{WriteClass, contacts};

/// Bytes of JSON that a contact's metadata may have.
pub const METADATA_BYTES: usize = 64 * 1024;

/// Changes the profile of a contact. Opting out ends the contact's sessions and drops queued messages.
#[derive(Debug, Clone)]
pub struct UpdateContact {
    /// The contact, by any of its ids.
    pub id: ContactId,
    /// What changes. Of `opt_out`, `false` is refused where it would undo something: only the person may.
    pub change: ContactChange,
    /// All tags from now on.
    pub tags: Option<Vec<String>>,
}

/// The outcome of an [`UpdateContact`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ContactUpdated {
    /// It is as was asked.
    Updated {
        /// Row of the contact.
        contact_seq: i64,
        /// It opted out, and more sessions run than one job ends.
        is_ending: bool,
    },
    /// No contact has that id.
    NotFound,
    /// The metadata would be larger than [`METADATA_BYTES`]. Nothing was changed.
    MetadataTooLarge,
    /// The person has opted out, and only that person can undo it. Nothing was changed.
    StaysOptedOut,
}

/// An [`UpdateContact`] as one job.
struct Update {
    command: UpdateContact,
    /// With degraded access the sessions of who opts out are left to [`end_sessions`].
    access: Access,
}

impl Command for Update {
    type Outcome = ContactUpdated;

    fn class(&self) -> WriteClass {
        if self.command.change.opt_out == Some(true) { WriteClass::Essential } else { WriteClass::Ongoing }
    }

    fn run(&self, job: &Job<'_>) -> Result<ContactUpdated, Deferred> {
        let UpdateContact { id, change, tags } = &self.command;
        let Some(known) = contacts::find_by_id(job.tx(), *id)? else { return Ok(ContactUpdated::NotFound) };
        if change.opt_out == Some(false) && known.contact.opted_out_at.is_some() {
            return Ok(ContactUpdated::StaysOptedOut);
        }
        let mut contact = known.contact.clone();
        contact.apply(change, job.now());
        if let Some(tags) = tags {
            contact.tags.clone_from(tags);
        }
        if !metadata_fits(change, &contact) {
            return Ok(ContactUpdated::MetadataTooLarge);
        }
        let opts_out = change.opt_out == Some(true);
        let sessions = match self.access {
            Access::Full if opts_out => job.running(&known, SESSIONS_PER_JOB, true)?,
            Access::Full | Access::Degraded => Vec::new(),
        };
        let is_ending = opts_out && (self.access == Access::Degraded || sessions.len() == SESSIONS_PER_JOB);
        contacts::update(job.tx(), known.seq, &contact, &known.contact, job.now())?;
        job.cancel_all(sessions, Reason::OptedOut)?;
        Ok(ContactUpdated::Updated { contact_seq: known.seq, is_ending })
    }
}

/// Changes a contact's profile, and ends the sessions of who opts out.
pub(in crate::runtime) async fn update(runtime: &Runtime, command: UpdateContact) -> Result<ContactUpdated> {
    let outcome = if command.change.opt_out == Some(true) {
        // Whatever is wrong with a session must not keep its person from opting out.
        runtime.handle_degraded(|access| Update { command: command.clone(), access }, |_| {}).await?
    } else {
        runtime.handle(Update { command, access: Access::Full }).await?
    };
    if let ContactUpdated::Updated { contact_seq, is_ending: true } = outcome {
        end_sessions(runtime, contact_seq, Reason::OptedOut).await?;
    }
    Ok(outcome)
}

/// Whether a contact's metadata may be stored as a change has left it. What only removes keys is taken however much is
/// left.
pub(in crate::runtime) fn metadata_fits(change: &ContactChange, contact: &Contact) -> bool {
    let only_removes = change.metadata.values().all(serde_json::Value::is_null);
    only_removes || serde_json::to_vec(&contact.metadata).is_ok_and(|json| json.len() <= METADATA_BYTES)
}
