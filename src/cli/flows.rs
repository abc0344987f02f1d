//! `qyvo flow …`.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Context, note, out};
use crate::domain::{FlowId, Problem, Severity};
use crate::error::{Error, Result};
use crate::runtime::Clock;
use crate::runtime::authoring::{self, CheckedDocument};
use crate::runtime::test_cases::{TEST_CASE_FAILED, examine};
use crate::store::{flows, test_cases};

/// Who published, in a version's record.
const ACTOR: &str = "command line";

/// `qyvo flow validate`: prints a document's problems. Opens no database.
///
/// # Errors
/// When the document has errors; warnings are printed and pass.
pub fn validate(context: &Context, file: &Path) -> Result<()> {
    let checked = check(context.config.sessions.default_ttl, file)?;
    if !checked.is_publishable(false) {
        return Err(unpublishable(&checked.problems));
    }
    out(&format!("{}: {} nodes, no errors", checked.document.name, checked.document.nodes.len()))
}

/// `qyvo flow import`: creates a flow, or replaces the draft of the one that the document names.
///
/// # Errors
/// When the document's shape is wrong, or it is to be published and has errors.
pub fn import(context: &Context, file: &Path, publish: bool) -> Result<()> {
    let mut direct = context.open()?;
    let default_ttl = context.default_ttl(&direct)?;
    let mut checked = check(default_ttl, file)?;
    if publish && !checked.is_publishable(false) {
        return Err(unpublishable(&checked.problems));
    }
    if let Some(id) = checked.document.id.filter(|_| publish) {
        let cases = direct.read(|conn| test_cases::of_flow(conn, id))?;
        examine(&mut checked, id, &cases, context.server_settings(default_ttl));
        let broken: Vec<&Problem> = checked.problems.iter().filter(|problem| problem.id == TEST_CASE_FAILED).collect();
        broken.iter().for_each(note);
        if !broken.is_empty() {
            return Err(unpublishable(&checked.problems));
        }
    }
    let now = Clock::system().now();
    let new_id = FlowId(Uuid::now_v7());
    let (id, version) = direct.write(|tx| {
        if !publish {
            return Ok((authoring::import(tx, &checked, new_id, ACTOR, now)?.summary.id, None));
        }
        let (flow, version) = authoring::import_published(tx, &checked, new_id, None, ACTOR, now)?;
        Ok((flow.summary.id, Some(version)))
    })?;
    match version {
        Some(version) => note(format_args!("{} is published as version {version}.", checked.document.name)),
        None => note(format_args!("{} is a draft; publish it with --publish.", checked.document.name)),
    }
    out(&id.to_string())
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

/// Reads a document and prints its problems. `-` is standard input.
pub(super) fn check(default_ttl: Duration, file: &Path) -> Result<CheckedDocument> {
    let name = file.display();
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    }
    .map_err(|error| Error::invalid(format!("Cannot read {name}")).caused_by(error))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| Error::invalid(format!("{name} is not JSON")).caused_by(error))?;
    let checked = CheckedDocument::check(&value, default_ttl).map_err(|problems| {
        problems.iter().for_each(note);
        unpublishable(&problems)
    })?;
    checked.problems.iter().for_each(note);
    Ok(checked)
}

pub(super) fn unpublishable(problems: &[Problem]) -> Error {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    Error::invalid(format!("The document has {errors} {}", if errors == 1 { "error" } else { "errors" }))
}
