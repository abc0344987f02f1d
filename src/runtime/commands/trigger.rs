//! Starting a session.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::domain::{AddressKey, ContactId, FlowDocument, FlowId, FlowKind, InputType, Reason, SessionId, Timestamp};
use crate::engine::{self, Beginning, CompiledFlow, Event};
use crate::error::{Error, Result};
use crate::runtime::job::Command;
use crate::runtime::job::lookup::{ContactRef, Resolved};
use crate::runtime::job::{ContactRow, Deferred, Job, LoadedSession};
use crate::store::{WriteClass, contacts, flows, sessions};

/// Starts a published flow for a contact.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// The flow or sequence to start.
    pub flow_id: FlowId,
    /// What it must be: a sequence is not found where a flow is asked for, and the other way round.
    pub kind: FlowKind,
    /// The contact; a new phone number becomes one.
    pub contact_ref: ContactRef,
    /// The values that templates read as `{{context.*}}`.
    pub context: Map<String, Value>,
    /// What to do if a session of the pair is live.
    pub on_running: OnRunning,
}

/// What a trigger does if a session of the same flow and contact is live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnRunning {
    /// Answers with the live one.
    #[default]
    Return,
    /// Cancels it and starts anew.
    Restart,
    /// The trigger is refused.
    Fail,
}

/// The outcome of a [`Trigger`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Triggered {
    /// A session is committed and its first turn has run.
    Started {
        /// The id of the new session.
        id: SessionId,
        /// The flow's name.
        flow_name: String,
        /// The contact, also if the trigger made it.
        contact_id: ContactId,
    },
    /// A session of the pair is live, or ended within the flow's quiet period.
    AlreadyRunning {
        /// The id of the live or ended session.
        id: SessionId,
        /// The flow's name.
        flow_name: String,
        /// The contact that the session is with.
        contact_id: ContactId,
        /// It has ended, and the quiet period has not.
        ended: bool,
    },
    /// Nothing was started, and nothing was changed.
    Refused(TriggerRefusal),
}

/// Why a trigger was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum TriggerRefusal {
    /// There is no such flow, or it is not published.
    FlowNotFound,
    /// The published version has no node to begin with.
    NoEntryNode,
    /// No contact has that id.
    ContactNotFound,
    /// The contact and the phone number are different people.
    ContactMismatch,
    /// The contact does not want to be written to.
    OptedOut,
    /// `context` does not have what the flow's `inputs` ask for: field and sentence.
    BadInputs {
        /// Such as `context.cart_total`.
        errors: Vec<(String, String)>,
    },
    /// A session is live, and the trigger said to fail then.
    Running {
        /// The id of the live session.
        id: SessionId,
    },
}

/// Checks whether a flow can be triggered at all, before many triggers of it. An idempotency key of the whole batch is
/// kept with it, so that the key is refused with another batch.
#[derive(Debug, Clone, Copy)]
pub struct BeginBatch {
    /// The flow or sequence of all triggers that follow.
    pub flow_id: FlowId,
}

/// The outcome of a [`BeginBatch`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum BatchBegun {
    /// The flow is published, compiled, and has a node to begin with.
    Ready {
        /// What it is, by which its triggers are worded. Batches that were begun before sequences could be were of
        /// flows.
        #[serde(default)]
        kind: FlowKind,
    },
    /// Every one of the triggers would be refused.
    Refused {
        /// What it is, published or not; a flow where there is none.
        kind: FlowKind,
        /// Why the triggers would be refused.
        refusal: TriggerRefusal,
    },
}

impl Command for BeginBatch {
    type Outcome = BatchBegun;

    fn class(&self) -> WriteClass {
        WriteClass::New
    }

    fn is_kept(outcome: &BatchBegun) -> bool {
        matches!(outcome, BatchBegun::Ready { .. })
    }

    fn run(&self, job: &Job<'_>) -> Result<BatchBegun, Deferred> {
        let Some(published) = flows::find_published(job.tx(), self.flow_id)? else {
            let kind = flows::find_summary(job.tx(), self.flow_id)?.map_or(FlowKind::Flow, |summary| summary.kind);
            return Ok(BatchBegun::Refused { kind, refusal: TriggerRefusal::FlowNotFound });
        };
        // Handed back until it is compiled, and so none of the triggers that follow overtakes another for it.
        let flow = job.flow(published.seq, published.version)?;
        if flow.has_entry() {
            Ok(BatchBegun::Ready { kind: published.kind })
        } else {
            Ok(BatchBegun::Refused { kind: published.kind, refusal: TriggerRefusal::NoEntryNode })
        }
    }
}

impl Command for Trigger {
    type Outcome = Triggered;

    fn class(&self) -> WriteClass {
        WriteClass::New
    }

    fn is_kept(outcome: &Triggered) -> bool {
        !matches!(outcome, Triggered::Refused(_))
    }

    fn run(&self, job: &Job<'_>) -> Result<Triggered, Deferred> {
        let refused = |refusal| Ok(Triggered::Refused(refusal));
        let Some(published) = find_flow(job, self.flow_id, self.kind)? else {
            return refused(TriggerRefusal::FlowNotFound);
        };
        let flow = job.flow(published.seq, published.version)?;
        if let Err(refusal) = check_start(&flow, &self.context) {
            return refused(refusal);
        }
        let found = job.find(&self.contact_ref)?;
        match &found {
            Resolved::Unknown => return refused(TriggerRefusal::ContactNotFound),
            Resolved::Mismatch => return refused(TriggerRefusal::ContactMismatch),
            Resolved::Known(known) if known.contact.opted_out_at.is_some() => return refused(TriggerRefusal::OptedOut),
            Resolved::New(phone) if job.had_opted_out(&AddressKey::of_phone(phone))? => {
                return refused(TriggerRefusal::OptedOut);
            }
            Resolved::Known(_) | Resolved::New(_) => {}
        }
        let already = |id, contact_id, ended| {
            Ok(Triggered::AlreadyRunning { id, flow_name: published.name.clone(), contact_id, ended })
        };
        if let Resolved::Known(known) = &found {
            if let Some(stored) = sessions::find_running(job.tx(), published.seq, known.seq)? {
                job.wait_for_replies(&stored.session)?;
                let mut loaded = job.load(stored, known.clone())?;
                job.fire_due(&mut loaded, job.now())?;
                // The timer's own turn may have opted the contact out.
                if loaded.contact.opted_out_at.is_some() {
                    return refused(TriggerRefusal::OptedOut);
                }
                if loaded.is_running() {
                    match self.on_running {
                        OnRunning::Return => return already(loaded.session.id, known.contact.id, false),
                        OnRunning::Fail => return refused(TriggerRefusal::Running { id: loaded.session.id }),
                        OnRunning::Restart => {
                            job.apply(&mut loaded, &Event::Cancel { reason: Reason::Restarted.into() })?;
                        }
                    }
                }
            }
            let quiet_minutes = flow.document().settings.quiet_period_minutes;
            if quiet_minutes > 0 && self.on_running != OnRunning::Restart {
                let quiet = std::time::Duration::from_secs(u64::from(quiet_minutes) * 60);
                let last = sessions::last_ended(job.tx(), published.seq, known.seq)?;
                if let Some((id, _)) = last.filter(|(_, ended_at)| ended_at.plus(quiet) > job.now()) {
                    return already(id, known.contact.id, true);
                }
            }
        }
        self.start(job, found, published.seq, published.version, flow, published.name)
    }
}

impl Trigger {
    fn start(
        &self,
        job: &Job<'_>,
        found: Resolved,
        flow_seq: i64,
        version: u32,
        flow: std::sync::Arc<CompiledFlow>,
        flow_name: String,
    ) -> Result<Triggered, Deferred> {
        let now = job.now();
        let (contact, contact_row, held) = match found {
            Resolved::New(phone) => (Job::new_contact(phone, Some(now)), ContactRow::New("api"), None),
            // What settling an overdue session changed about the contact must be seen.
            Resolved::Known(known) => {
                let known = self.with_consent(job, known.contact.id, now)?;
                (known.contact, ContactRow::Stored(known.seq), known.held)
            }
            Resolved::Unknown | Resolved::Mismatch => return Err(Error::internal("A trigger without a contact").into()),
        };
        let id = Uuid::now_v7();
        let beginning = Beginning {
            id: SessionId(id),
            flow_id: self.flow_id,
            version,
            contact_id: contact.id,
            context: self.context.clone(),
            // The low half of a version 7 UUID is random.
            seed: id.as_u64_pair().1,
        };
        let session = engine::begin(&flow, beginning, now);
        let contact_id = contact.id;
        let mut loaded =
            LoadedSession { seq: None, flow_seq, flow, contact, contact_row, session, prompted_at: None, held };
        job.apply(&mut loaded, &Event::Start)?;
        Ok(Triggered::Started { id: SessionId(id), flow_name, contact_id })
    }

    /// The contact; one that is named by phone has consented by now, if not before.
    fn with_consent(&self, job: &Job<'_>, id: ContactId, now: Timestamp) -> Result<contacts::StoredContact> {
        let known = contacts::find_by_id(job.tx(), id)?
            .ok_or_else(|| Error::internal("A contact vanished inside a transaction"))?;
        let by_phone = matches!(self.contact_ref, ContactRef::Phone(_) | ContactRef::Both(..));
        if !by_phone || known.contact.opted_in_at.is_some() {
            return Ok(known);
        }
        let mut consenting = known.clone();
        consenting.contact.opted_in_at = Some(now);
        contacts::update(job.tx(), known.seq, &consenting.contact, &known.contact, now)?;
        Ok(consenting)
    }
}

/// A published flow of this kind.
fn find_flow(job: &Job<'_>, id: FlowId, kind: FlowKind) -> Result<Option<flows::PublishedFlow>> {
    Ok(flows::find_published(job.tx(), id)?.filter(|flow| flow.kind == kind))
}

/// Whether a session of the flow can start with this context, for any contact.
pub(in crate::runtime) fn check_start(flow: &CompiledFlow, context: &Map<String, Value>) -> Result<(), TriggerRefusal> {
    if !flow.has_entry() {
        return Err(TriggerRefusal::NoEntryNode);
    }
    let errors = input_errors(flow.document(), context);
    if errors.is_empty() { Ok(()) } else { Err(TriggerRefusal::BadInputs { errors }) }
}

fn input_errors(document: &FlowDocument, context: &Map<String, Value>) -> Vec<(String, String)> {
    let mut errors = Vec::new();
    for input in &document.inputs {
        let field = format!("context.{}", input.name);
        match context.get(&input.name).filter(|value| !value.is_null()) {
            None if input.required => errors.push((field.clone(), format!("The {field} field is required."))),
            None => {}
            Some(value) => {
                let (fits, noun) = match input.kind {
                    InputType::Any => (true, ""),
                    InputType::String => (value.is_string(), "a string"),
                    InputType::Number => (value.is_number(), "a number"),
                    InputType::Boolean => (value.is_boolean(), "true or false"),
                    InputType::Object => (value.is_object(), "an object"),
                    InputType::Array => (value.is_array(), "an array"),
                };
                if !fits {
                    errors.push((field.clone(), format!("The {field} field must be {noun}.")));
                }
            }
        }
    }
    errors
}
