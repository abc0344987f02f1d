//! Messages of the operator's own systems to people: a text, or a template of the channel.
//!
//! They belong to no session and disturb none. They go to a phone number, whose contact is made where there is none; a
//! refusal leaves nothing behind.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{
    AddressKey, ContactId, MessageId, NewMessage, Origin, Phone, Reason, TemplateId, TemplateRef, web_link,
};
use crate::error::Result;
use crate::runtime::job::compose::{any_translation, is_window_open};
use crate::runtime::job::{Command, Deferred, Job, MESSAGE_MAX_AGE_MINUTES, MessageBody};
use crate::store::contacts::{self, StoredContact};
use crate::store::{WriteClass, outbox, templates};

/// How long a message may wait to go out: a system's message is news of the day.
const MAX_AGE: Duration = Duration::from_secs(MESSAGE_MAX_AGE_MINUTES as u64 * 60);

/// Sends a text. Where the channel takes free text for 24 hours after a person's message only, the person must have
/// written by then.
#[derive(Debug, Clone)]
pub struct SendText {
    /// The recipient's number; an unknown one becomes a contact.
    pub phone: Phone,
    /// The text, split into parts if it is longer than the channel takes.
    pub text: String,
}

/// Sends a template of the channel.
#[derive(Debug, Clone)]
pub struct SendTemplate {
    /// The recipient's number; an unknown one becomes a contact.
    pub phone: Phone,
    /// Which: any of its languages.
    pub template_id: TemplateId,
    /// The language; any other that may be sent stands in for one that may not, the contact's before the rest.
    pub language: Option<String>,
    /// By name: `1` or `name` for the body, `header.1`, `button.0`. Those that the template does not ask for are left.
    pub variables: BTreeMap<String, String>,
}

/// The outcome of a [`SendText`] or a [`SendTemplate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Sending {
    /// It waits to go out; on the simulator it is shown.
    Queued {
        /// The message's id, or that of its first part.
        id: MessageId,
        /// The recipient.
        contact_id: ContactId,
    },
    /// Nothing was enqueued, and nothing was changed.
    Refused(SendRefusal),
}

/// Why nothing was enqueued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum SendRefusal {
    /// The contact does not want to be written to.
    OptedOut,
    /// The channel takes no free text to this person now.
    WindowClosed,
    /// The channel has no such template.
    TemplateNotFound,
    /// No language of the template may be sent.
    NotApproved {
        /// Such as `template_paused`.
        reason: String,
    },
    /// Every language that may be sent has parts that nothing here can fill.
    Unfillable {
        /// What it has, as the end of a sentence that begins with the template's name.
        why: String,
    },
    /// The value for a medium is no link.
    NoLink {
        /// The placeholder's name, such as `header.1`.
        key: String,
    },
    /// The template needs values that are not there, or blank.
    MissingVariables {
        /// All that it needs, in the order of header, body and buttons.
        expected: Vec<String>,
        /// Those among them that are missing.
        missing: Vec<String>,
    },
}

impl Command for SendText {
    type Outcome = Sending;

    fn class(&self) -> WriteClass {
        WriteClass::New
    }

    fn is_kept(outcome: &Sending) -> bool {
        is_said(outcome)
    }

    fn run(&self, job: &Job<'_>) -> Result<Sending, Deferred> {
        let found = match job.reachable(&self.phone, false)? {
            Ok(found) => found,
            Err(refusal) => return Ok(Sending::Refused(refusal)),
        };
        if job.shared().options.channel.kind().has_window() {
            let addressee = match &found {
                Some(contact) => outbox::addressee(job.tx(), contact.seq)?,
                None => None,
            };
            if !is_window_open(addressee.and_then(|addressee| addressee.last_inbound_at), job.now()) {
                return Ok(Sending::Refused(SendRefusal::WindowClosed));
            }
        }
        let contact = job.addressee(found, &self.phone)?;
        let id = job.enqueue_text(&contact, Origin::Api, &self.text, Some(MAX_AGE))?;
        Ok(Sending::Queued { id, contact_id: contact.contact.id })
    }
}

impl Command for SendTemplate {
    type Outcome = Sending;

    fn class(&self) -> WriteClass {
        WriteClass::New
    }

    fn is_kept(outcome: &Sending) -> bool {
        is_said(outcome)
    }

    fn run(&self, job: &Job<'_>) -> Result<Sending, Deferred> {
        let refused = |refusal| Ok(Sending::Refused(refusal));
        let Some(group) = templates::find_group(job.tx(), job.channel(), self.template_id)? else {
            return refused(SendRefusal::TemplateNotFound);
        };
        let found = job.reachable(&self.phone, true)?;
        let of_contact = found.as_ref().ok().and_then(Option::as_ref).and_then(|found| found.contact.language.clone());
        let languages = (self.language.as_deref(), of_contact.as_deref());
        let needs_approval = job.shared().options.channel.kind().has_templates();
        let unfillable = group.translations.iter().find_map(|row| row.template.cannot_be_sent());
        let known = group.translations.into_iter().map(|row| row.template).collect();
        let template = match any_translation(&group.name, languages, known, needs_approval) {
            Ok(template) => template,
            Err(Reason::BadTemplate) => {
                return refused(SendRefusal::Unfillable { why: unfillable.unwrap_or_default() });
            }
            Err(reason) => return refused(SendRefusal::NotApproved { reason: reason.into() }),
        };
        let placeholders = template.placeholders();
        let expected: Vec<String> = placeholders.iter().map(|placeholder| placeholder.key.clone()).collect();
        let is_missing = |key: &&String| self.variables.get(*key).is_none_or(|value| value.trim().is_empty());
        let missing: Vec<String> = expected.iter().filter(is_missing).cloned().collect();
        if !missing.is_empty() {
            return refused(SendRefusal::MissingVariables { expected, missing });
        }
        let is_link = |value: &String| web_link(value).is_some();
        let of_media = placeholders.into_iter().filter(|placeholder| placeholder.is_media);
        if let Some(no_link) = of_media.map(|media| media.key).find(|key| !self.variables.get(key).is_some_and(is_link))
        {
            return refused(SendRefusal::NoLink { key: no_link });
        }
        let found = match found {
            Ok(found) => found,
            Err(refusal) => return refused(refusal),
        };
        let value = |key: &str| self.variables.get(key).cloned();
        let text = template.body_with(value);
        let named = TemplateRef {
            name: template.name,
            language: Some(template.language),
            variables: expected.into_iter().filter_map(|key| value(&key).map(|value| (key, value))).collect(),
        };
        let body = NewMessage::template(&named, &text);
        let contact = job.addressee(found, &self.phone)?;
        let id = job.enqueue(&contact, Origin::Api, MessageBody { kind: "template", body: &body }, Some(MAX_AGE))?;
        Ok(Sending::Queued { id, contact_id: contact.contact.id })
    }
}

fn is_said(outcome: &Sending) -> bool {
    matches!(outcome, Sending::Queued { .. })
}

impl Job<'_> {
    /// The contact of a number, if it has one already. A text may go to a contact who has opted out of marketing alone,
    /// a template may not.
    ///
    /// # Errors
    /// The inner error is why the person may not be written to.
    fn reachable(&self, phone: &Phone, is_template: bool) -> Result<Result<Option<StoredContact>, SendRefusal>> {
        let found = self.find_by_phone(phone)?;
        let is_opted_out = match &found {
            Some(known) => known.contact.is_opted_out() || (is_template && known.contact.marketing_only),
            None => self.had_opted_out(&AddressKey::of_phone(phone))?,
        };
        Ok(if is_opted_out { Err(SendRefusal::OptedOut) } else { Ok(found) })
    }

    /// The contact, which is made if no contact has the number. That is no consent: `opted_in_at` stays as it is.
    fn addressee(&self, found: Option<StoredContact>, phone: &Phone) -> Result<StoredContact> {
        Ok(match found {
            Some(contact) => contact,
            None => {
                let contact = Job::new_contact(phone.clone(), None);
                let seq = contacts::insert(self.tx(), &contact, "api", self.now())?;
                StoredContact { seq, contact, created_at: self.now(), held: None }
            }
        })
    }
}
