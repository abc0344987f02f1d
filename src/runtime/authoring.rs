//! Documents on their way into the database: checked, kept as a draft, published as a version that never changes.

use std::time::Duration;

use serde_json::Value;

use crate::domain::{FlowDocument, FlowId, Problem, Severity, Timestamp};
use crate::engine::{CompiledFlow, NO_ENTRY_NODE};
use crate::error::{Error, Result};
use crate::store::Tx;
use crate::store::flows::{self, FlowRow};

/// A document whose shape is right, with every problem found in it.
#[derive(Debug, Clone)]
pub struct CheckedDocument {
    /// The document.
    pub document: FlowDocument,
    /// Its JSON as it is kept.
    pub json: String,
    /// What the checks found.
    pub problems: Vec<Problem>,
}

impl CheckedDocument {
    /// Checks a document. `default_ttl` is the time to live of flows that set none.
    ///
    /// # Errors
    /// The problems of its shape: such a document is not kept even as a draft.
    pub fn check(value: &Value, default_ttl: Duration) -> Result<Self, Vec<Problem>> {
        let document = FlowDocument::parse(value)?;
        let (_, problems) = CompiledFlow::compile(document.clone(), default_ttl);
        Ok(Self { document, json: value.to_string(), problems })
    }

    /// Whether it can be published; `force` overrules a missing entry node.
    pub fn is_publishable(&self, force: bool) -> bool {
        self.problems
            .iter()
            .all(|problem| problem.severity != Severity::Error || (force && problem.id == NO_ENTRY_NODE))
    }
}

/// Keeps a document as the draft of the flow it names, else of `new_id`. Inside a write transaction.
///
/// # Errors
/// `Conflict` when the flow exists and is of the other kind.
pub fn save_draft(tx: &Tx<'_>, checked: &CheckedDocument, new_id: FlowId, now: Timestamp) -> Result<FlowRow> {
    let document = &checked.document;
    let id = document.id.unwrap_or(new_id);
    if let Some(existing) = flows::find(tx, id)?.filter(|existing| existing.kind != document.kind) {
        let text = format!("{id} is a {}; a {} cannot take its place.", existing.kind.as_str(), document.kind.as_str());
        return Err(Error::conflict(text));
    }
    flows::save_draft(tx, id, document.kind, &document.name, &checked.json, now)
}

/// Publishes a draft as the next version. Inside a write transaction; the caller has checked the very same draft.
///
/// # Errors
/// `Conflict` when the draft is not the one that was checked.
pub fn publish(
    tx: &Tx<'_>,
    id: FlowId,
    checked: &CheckedDocument,
    note: Option<&str>,
    actor: &str,
    now: Timestamp,
) -> Result<u32> {
    let flow = flows::find(tx, id)?.ok_or_else(|| Error::not_found("Flow not found"))?;
    if flow.draft != checked.json {
        return Err(Error::conflict("The draft has changed since it was checked; try again."));
    }
    flows::publish(tx, flow.seq, &flow.draft, note, actor, now)
}
