//! Flows as their authors handle them: drafts, and documents that were checked.
//!
//! Any JSON object can be a draft, because an author saves unfinished work. Only a flow document can be published or
//! imported. [`publishing`] makes versions of them.

pub mod publishing;
pub mod room;
pub mod simulation;
pub mod simulations;
pub mod test_cases;

use serde_json::{Map, Value, json};

use crate::domain::{FlowDocument, FlowId, FlowKind, Problem, Severity, Timestamp, checks};
use crate::engine::{self, CompiledFlow, NO_ENTRY_NODE, Publishing};
use crate::error::{Error, Result};
use crate::store::Tx;
use crate::store::flows::{self, FlowRow, FlowSummary, NewDraft};

/// Characters of a flow's name at most, as lists show it.
const NAME_CHARS: usize = 255;

/// A document whose shape is right, with every problem found in it.
#[derive(Debug, Clone)]
pub struct CheckedDocument {
    /// The parsed document, with its id if it was given one.
    pub document: FlowDocument,
    /// Its JSON as it is kept: without the id, which belongs to the flow.
    pub json: String,
    /// What the checks found.
    pub problems: Vec<Problem>,
}

impl CheckedDocument {
    /// Checks a document, perhaps knowing no more than the time to live of flows that set none.
    ///
    /// # Errors
    /// The problems of a document of the wrong shape, with all that can be known of the rest of it.
    pub fn check<'a>(value: &Value, publishing: impl Into<Publishing<'a>>) -> Result<Self, Vec<Problem>> {
        let publishing = publishing.into();
        let document = FlowDocument::parse(value).map_err(|_| engine::problems_of(value, publishing))?;
        let (_, problems) = CompiledFlow::compile(document.clone(), publishing);
        Ok(Self { document, json: without_id(value), problems })
    }

    /// Whether it can be published; `force` overrules a missing entry node and failing test cases.
    pub fn is_publishable(&self, force: bool) -> bool {
        is_publishable(&self.problems, force)
    }
}

/// Whether a document with these problems can be published; `force` overrules a missing entry node and failing test
/// cases.
pub fn is_publishable(problems: &[Problem], force: bool) -> bool {
    let is_overruled =
        |problem: &Problem| force && [NO_ENTRY_NODE, checks::TEST_CASE_FAILED.id()].contains(&problem.id);
    problems.iter().all(|problem| problem.severity != Severity::Error || is_overruled(problem))
}

/// The draft that an author saves: a flow document, perhaps unfinished.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What people will call the flow; `None` where the document has no usable name.
    name: Option<String>,
    /// Flow or sequence; `None` where the document does not have it.
    kind: Option<FlowKind>,
    /// The document's JSON, without an id.
    json: String,
}

impl Draft {
    /// A draft of a document.
    pub fn of(fields: &Map<String, Value>) -> Self {
        let name = fields.get("name").and_then(Value::as_str).map(str::trim).filter(|name| !name.is_empty());
        let kind = match fields.get("kind").and_then(Value::as_str) {
            Some("flow") => Some(FlowKind::Flow),
            Some("sequence") => Some(FlowKind::Sequence),
            _ => None,
        };
        Self {
            name: name.map(|name| name.chars().take(NAME_CHARS).collect()),
            kind,
            json: without_id(&Value::Object(fields.clone())),
        }
    }

    /// The draft of a flow of one message, for an author to begin with.
    pub fn starter(name: &str, kind: FlowKind) -> Self {
        let document = json!({
            "schema_version": 1,
            "kind": kind.as_str(),
            "name": name,
            "entry_node": "hello",
            "nodes": [{
                "id": "hello",
                "type": "send_message",
                "text": "Hi {{contact.name|default('there')}}!",
                "exits": {"next": "done"}
            }, {
                "id": "done",
                "type": "end",
                "outcome": "greeted"
            }]
        });
        document.as_object().map_or_else(|| Self { name: None, kind: None, json: "{}".to_owned() }, Self::of)
    }

    /// Bytes of its JSON.
    pub fn len(&self) -> usize {
        self.json.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.json == "{}"
    }

    /// The same draft under another name, which its document carries, too.
    #[must_use]
    pub fn renamed(self, name: &str) -> Self {
        match serde_json::from_str(&self.json) {
            Ok(Value::Object(mut fields)) => {
                fields.insert("name".to_owned(), json!(name));
                Self::of(&fields)
            }
            _ => self,
        }
    }
}

/// The outcome of saving a draft.
#[derive(Debug, Clone)]
pub enum Saved {
    /// It is kept.
    Kept(FlowRow),
    /// Another author saved after this one had read the draft; nothing was changed.
    Stale(FlowSummary),
    /// There is no such flow.
    NotFound,
}

/// Makes a flow of a draft. Inside a write transaction.
///
/// # Errors
/// When the database refuses.
pub fn create(tx: &Tx<'_>, id: FlowId, draft: &Draft, actor: &str, now: Timestamp) -> Result<FlowRow> {
    let name = draft.name.as_deref().unwrap_or("Untitled");
    let kind = draft.kind.unwrap_or_default();
    flows::save_draft(tx, id, &NewDraft { kind, name, document: &draft.json, actor }, now)?;
    kept(tx, id)
}

/// Replaces the draft that has the revision `expected`, or whatever is there if none is given. Inside a write
/// transaction.
///
/// # Errors
/// `Conflict` when the flow is of the other kind; otherwise when the database refuses.
pub fn replace_draft(
    tx: &Tx<'_>,
    id: FlowId,
    expected: Option<u32>,
    draft: &Draft,
    actor: &str,
    now: Timestamp,
) -> Result<Saved> {
    let Some(flow) = flows::find_summary(tx, id)? else { return Ok(Saved::NotFound) };
    if expected.is_some_and(|expected| expected != flow.revision) {
        return Ok(Saved::Stale(flow));
    }
    let kind = draft.kind.unwrap_or(flow.kind);
    refuse_other_kind(&flow, kind)?;
    let name = draft.name.as_deref().unwrap_or(&flow.name);
    flows::save_draft(tx, id, &NewDraft { kind, name, document: &draft.json, actor }, now)?;
    kept(tx, id).map(Saved::Kept)
}

/// Keeps a document as the draft of the flow it names, else of `new_id`, whatever was there before. Inside a write
/// transaction.
///
/// # Errors
/// `Conflict` when the flow exists and is of the other kind.
pub fn import(tx: &Tx<'_>, checked: &CheckedDocument, new_id: FlowId, actor: &str, now: Timestamp) -> Result<FlowRow> {
    let document = &checked.document;
    let id = document.id.unwrap_or(new_id);
    if let Some(existing) = flows::find_summary(tx, id)? {
        refuse_other_kind(&existing, document.kind)?;
    }
    let draft = NewDraft { kind: document.kind, name: &document.name, document: &checked.json, actor };
    flows::save_draft(tx, id, &draft, now)?;
    kept(tx, id)
}

fn refuse_other_kind(flow: &FlowSummary, kind: FlowKind) -> Result<()> {
    if flow.kind == kind {
        return Ok(());
    }
    let text = format!("{} is a {}; a {} cannot take its place.", flow.id, flow.kind.as_str(), kind.as_str());
    Err(Error::conflict(text))
}

pub(in crate::runtime) fn kept(tx: &Tx<'_>, id: FlowId) -> Result<FlowRow> {
    flows::find(tx, id)?.ok_or_else(|| Error::internal(format!("Flow {id} is gone as soon as it was saved")))
}

fn without_id(document: &Value) -> String {
    match document {
        Value::Object(fields) if fields.contains_key("id") => {
            let mut fields = fields.clone();
            fields.shift_remove("id");
            Value::Object(fields).to_string()
        }
        other => other.to_string(),
    }
}
