//! `qyvo flow …`.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Context, note, out};
use crate::domain::audit::Actor;
use crate::domain::{FlowId, Problem, Severity, json_text};
use crate::error::{Error, Result};
use crate::runtime::Clock;
use crate::runtime::authoring::{self, CheckedDocument};
use crate::runtime::publishing::{self, Consent, Published};
use crate::store::{audit, flows};

/// The publisher in a version's record.
const ACTOR: &str = "command line";

/// `qyvo flow validate`: prints a document's problems, and what it could not check. Opens no database.
///
/// # Errors
/// When the document has errors; warnings are printed and pass.
pub fn validate(context: &Context, file: &Path) -> Result<()> {
    let checked = check(context.config.sessions.default_ttl, file)?;
    if !checked.is_publishable(false) {
        return Err(unpublishable(&checked.problems));
    }
    for what in publishing::left_unchecked(&checked.document) {
        note(format_args!("not checked without a server's database: {what}"));
    }
    out(&format!("{}: {} nodes, no errors", checked.document.name, checked.document.nodes.len()))
}

/// `qyvo flow import`: creates a flow, or replaces the draft of the one that the document names. Published, it passes
/// the same checks as on the server; `consent` is what its publisher overrules.
///
/// # Errors
/// When the document's shape is wrong, or it is to be published and has errors or warnings that have to be accepted.
pub fn import(context: &Context, file: &Path, publish: Option<&Consent>) -> Result<()> {
    let mut direct = context.open()?;
    let facts = context.server_facts(&direct)?;
    let value = read(file)?;
    let now = Clock::system().now();
    let new_id = FlowId(Uuid::now_v7());
    let Some(consent) = publish else {
        let checked = publishing::check(&direct, &facts, &value, None)?.map_err(noted)?;
        checked.problems.iter().for_each(note);
        let id = direct.write(|tx| Ok(authoring::import(tx, &checked, new_id, ACTOR, now)?.summary.id))?;
        note(format_args!("{} is a draft; publish it with --publish.", checked.document.name));
        return out(&id.to_string());
    };
    let prepared = publishing::prepare(&direct, &facts, &value, None, consent)?;
    let publishable = prepared.inspect_err(|refused| refused.problems.iter().for_each(note))?;
    publishable.checked().problems.iter().for_each(note);
    let (flow, published) = direct.write(|tx| {
        let (flow, published) = publishing::import_published(tx, &publishable, new_id, (None, ACTOR), now)?;
        if let Some(deed) = publishing::deed_of(&published, flow.summary.id, Actor::command_line()) {
            audit::record(tx, &deed, now)?;
        }
        Ok((flow, published))
    })?;
    let name = &publishable.checked().document.name;
    match published {
        Published::Unchanged(version) => {
            note(format_args!("{name} is published as version {version} already: nothing has changed."));
        }
        _ => {
            note(format_args!("{name} is published as version {}.", flow.summary.published_version.unwrap_or_default()))
        }
    }
    out(&flow.summary.id.to_string())
}

/// `qyvo flow export`: prints a flow's draft as a document that can be imported.
///
/// # Errors
/// When there is no such flow.
pub fn export(context: &Context, id: &str) -> Result<()> {
    let id: FlowId =
        id.parse().map_err(|_| Error::invalid(format!("`{id}` is not a flow's id: see `qyvo flow list`")))?;
    let flow = context.open()?.read(|conn| flows::find(conn, id))?;
    let flow = flow.ok_or_else(|| Error::not_found(format!("There is no flow {id}: see `qyvo flow list`")))?;
    let mut document: Value =
        serde_json::from_str(&flow.draft).map_err(|error| Error::internal("A draft is no JSON").caused_by(error))?;
    document["id"] = json!(id);
    let pretty = serde_json::to_string_pretty(&document);
    out(&pretty.map_err(|error| Error::internal("A draft cannot be written").caused_by(error))?)
}

/// `qyvo flow list`: prints all flows.
///
/// # Errors
/// When the database cannot be read.
pub fn list(context: &Context) -> Result<()> {
    for flow in context.open()?.read(flows::list)? {
        let state =
            flow.published_version.map_or_else(|| "draft".to_owned(), |version| format!("published v{version}"));
        out(&format!("{}  {}  {state}  {}", flow.id, flow.kind.as_str(), super::plain(&flow.name)))?;
    }
    Ok(())
}

/// Reads a document, checks it by itself and prints its problems. `-` is standard input.
pub(super) fn check(default_ttl: Duration, file: &Path) -> Result<CheckedDocument> {
    let checked = CheckedDocument::check(&read(file)?, default_ttl).map_err(noted)?;
    checked.problems.iter().for_each(note);
    Ok(checked)
}

/// Reads a file as JSON. `-` is standard input.
fn read(file: &Path) -> Result<Value> {
    let name = file.display();
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(file).map(|read| bytes = read)
    }
    .map_err(|error| Error::invalid(format!("Cannot read {name}")).caused_by(error))?;
    json_text::parse_value(&bytes).map_err(|error| Error::invalid(format!("{name} is not JSON")).caused_by(error))
}

/// Prints the problems of a document of the wrong shape, and returns the refusal.
fn noted(problems: Vec<Problem>) -> Error {
    problems.iter().for_each(note);
    unpublishable(&problems)
}

pub(super) fn unpublishable(problems: &[Problem]) -> Error {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    Error::invalid(format!("The document has {errors} {}", if errors == 1 { "error" } else { "errors" }))
}
