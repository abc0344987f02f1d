//! Bringing in contacts that another system has: by the same rules as saving one over the API, without a server.
//!
//! A row is looked for by its phone number. It adds to what is known: tags come and none go, metadata is merged, and
//! what is blank stays as it was. Consent is taken over where none is recorded. A person who has opted out is not opted
//! in, neither as a contact nor after an erasure.
//!
//! An opt-out overrides consent that was recorded by others, whenever that was: a trigger or an earlier import does not
//! show what the person said. It does not undo what the person wrote here: a contact who has opted in by a word since
//! stays in. An opt-out without a date gives way, too, because it may be the earlier of the two.

use std::fmt;

use uuid::Uuid;

use crate::domain::profile::TAGS;
use crate::domain::{AddressKey, Contact, ContactChange, ContactId, EventKind, Handling, Phone, Reason, Timestamp};
use crate::error::Result;
use crate::runtime::METADATA_BYTES;
use crate::runtime::job::ending::SessionEnder;
use crate::runtime::job::lookup::{find_by_phone, had_opted_out};
use crate::runtime::job::wake::Wakeups;
use crate::store::tombstones::ErasureKey;
use crate::store::{Conn, Tx, contacts, messages, search_queue};

/// The source in the rows of the contacts.
const SOURCE: &str = "csv_import";
/// The reason in the traces of sessions that end with an opt-out.
const ENDED_BY_IMPORT: &str = "an import opted the contact out";

/// What another system knows of a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// Whose row it is.
    pub phone: Phone,
    /// The new values. `opt_out` may be `true` only.
    pub change: ContactChange,
    /// That the person agreed to be written to.
    pub opted_in: Option<Moment>,
    /// That the person is not to be written to.
    pub opted_out: Option<Moment>,
}

/// When something happened, according to another system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At that time.
    At(Timestamp),
    /// Some time until now.
    Undated,
}

impl Moment {
    fn or(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Undated => now,
        }
    }
}

/// The outcome of an [`Incoming`], and whether its opt-out was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The outcome.
    pub saved: Saved,
    /// The row opts the person out, and the person has opted in here since, or may have: the opt-in stands.
    pub stays_in: bool,
}

/// Where an [`Incoming`] has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// The number belonged to no contact; one was made.
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

/// Saves a person inside a transaction. If this opts the person out, the running sessions end, and what flows and
/// systems have queued is dropped, as after the person's own opt-out.
///
/// # Errors
/// When the database refuses. Refusals are outcomes.
pub fn save(tx: &Tx<'_>, incoming: &Incoming, now: Timestamp) -> Result<Outcome> {
    let plan = plan(tx, incoming, now)?;
    match &plan.before {
        _ if matches!(plan.outcome.saved, Saved::Unchanged | Saved::Refused(_)) => {}
        Some((seq, before)) => {
            contacts::update(tx, *seq, &plan.contact, before, now)?;
            if !before.is_opted_out() && plan.contact.is_opted_out() {
                end_conversations(tx, *seq, &plan.contact, now)?;
            }
            search_queue::defer(tx, *seq)?;
        }
        None => {
            let seq = contacts::insert(tx, &plan.contact, SOURCE, now)?;
            search_queue::defer(tx, seq)?;
        }
    }
    Ok(plan.outcome)
}

/// What [`save`] would come to. It changes nothing.
///
/// # Errors
/// When the database cannot be read.
pub fn preview(conn: &Conn, incoming: &Incoming, now: Timestamp) -> Result<Outcome> {
    Ok(plan(conn, incoming, now)?.outcome)
}

/// Ends the sessions of a contact who opted out without reading them: flows are compiled by a server only. A server
/// that runs beside keeps neither sessions nor queued messages in memory, and reads both anew before it acts on them.
fn end_conversations(tx: &Tx<'_>, contact_seq: i64, contact: &Contact, now: Timestamp) -> Result<()> {
    // These wake-ups reach no worker: the server looks for work every second.
    let wakeups = Wakeups::default();
    let session_ender = SessionEnder { tx, now, listeners: None, wakeups: &wakeups };
    while session_ender.cancel_unloaded(contact_seq, Reason::OptedOut, ENDED_BY_IMPORT)?.is_some() {}
    session_ender.drop_queued_of(contact_seq, Reason::OptedOut)?;
    session_ender.emit_consent(EventKind::ContactOptedOut, contact_seq, contact)
}

struct Plan {
    outcome: Outcome,
    /// Row of the contact and what it was.
    before: Option<(i64, Contact)>,
    contact: Contact,
}

fn plan(conn: &Conn, incoming: &Incoming, now: Timestamp) -> Result<Plan> {
    let Incoming { phone, change, opted_in, opted_out } = incoming;
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
    contact.opted_in_at = contact.opted_in_at.or(opted_in.map(|moment| moment.or(now)));
    let mut stays_in = false;
    if let Some(moment) = opted_out.filter(|_| !contact.is_opted_out()) {
        let own_word = match &before {
            Some((seq, _)) => messages::last_handled_at(conn, *seq, Handling::OptIn)?,
            None => None,
        };
        stays_in = is_undone(moment, *opted_in, own_word);
        if !stays_in {
            (contact.opted_out_at, contact.marketing_only) = (Some(moment.or(now)), false);
        }
    }
    let metadata_fits = change.metadata.is_empty()
        || serde_json::to_vec(&contact.metadata).is_ok_and(|json| json.len() <= METADATA_BYTES);
    let saved = if !metadata_fits {
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
    Ok(Plan { outcome: Outcome { saved, stays_in }, before, contact })
}

/// Whether an opt-out is not in force any more: the same system says that the person agreed later, or the person has
/// opted in here by `own_word`, and not before it.
fn is_undone(opted_out: Moment, opted_in: Option<Moment>, own_word: Option<Timestamp>) -> bool {
    match opted_out {
        Moment::At(out) => {
            own_word.is_some_and(|word| word >= out) || matches!(opted_in, Some(Moment::At(agreed)) if agreed > out)
        }
        Moment::Undated => own_word.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opt_out_gives_way_to_what_came_after_it_alone() {
        let at = |second: i64| Timestamp::from_millis(second * 1_000);
        let moment = |second| Moment::At(at(second));
        for (opted_out, opted_in, own_word, expected) in [
            (moment(5), None, None, false),
            (moment(5), Some(moment(4)), None, false),
            (moment(5), Some(moment(5)), None, false),
            (moment(5), Some(moment(6)), None, true),
            (moment(5), Some(Moment::Undated), None, false),
            (moment(5), None, Some(at(4)), false),
            (moment(5), None, Some(at(5)), true),
            (moment(5), Some(moment(4)), Some(at(6)), true),
            (Moment::Undated, Some(moment(4)), None, false),
            (Moment::Undated, Some(Moment::Undated), None, false),
            (Moment::Undated, None, Some(at(4)), true),
        ] {
            assert_eq!(is_undone(opted_out, opted_in, own_word), expected, "{opted_out:?} {opted_in:?} {own_word:?}");
        }
    }
}
