//! Publishing: the one way from a document to a version, for the API, the page, the command line, assistants and the
//! demonstration alike.
//!
//! Only a [`Publishable`] can be published, and only [`prepare`] makes one: a document that was checked with the
//! templates of the channel, the flows that are published and the flow's test cases.

use std::fmt;

use serde_json::Value;

use super::test_cases;
use super::{CheckedDocument, is_publishable};
use crate::channels::ChannelKind;
use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::domain::{Check, FlowDocument, FlowId, NodeKind, Problem, Timestamp, checks};
use crate::engine::{Offered, Publishing};
use crate::error::{Error, Result};
use crate::runtime::authoring;
use crate::runtime::templates::last_template_sync;
use crate::runtime::{Runtime, ServerSettings};
use crate::store::flows::{self, FlowRow, FlowSummary};
use crate::store::{Conn, Reads, Tx, templates, test_cases as case_rows};

/// What of a server its documents are checked against, besides its database.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    /// What its sessions and the simulations of them depend on.
    pub settings: ServerSettings,
    /// The live channel, if its provider approves templates.
    pub approving_channel: Option<&'static str>,
}

impl ServerFacts {
    /// The settings of a server with one of the `channels`, by their names: if it is uncertain which, a document has to
    /// pass the checks of all of them.
    pub fn of<'a>(settings: ServerSettings, channels: impl IntoIterator<Item = &'a str>) -> Self {
        let mut kinds = channels.into_iter().filter_map(ChannelKind::parse);
        Self { settings, approving_channel: kinds.find(|kind| kind.has_templates()).map(ChannelKind::as_str) }
    }
}

/// The checks whose warnings a publisher has to accept by name, because a flow that is meant seldom has them.
pub const TO_ACCEPT: &[Check] = &[checks::UNREACHABLE_NODE];

/// Which problems of a document do not keep its publisher from publishing it.
#[derive(Debug, Clone, Default)]
pub struct Consent {
    /// Whether a missing entry node and failing test cases do not matter.
    pub force: bool,
    /// Warnings of [`TO_ACCEPT`] that are meant, by their ids.
    pub accept: Vec<&'static str>,
}

impl Consent {
    /// Adds a warning by the id of its check.
    ///
    /// # Errors
    /// A sentence that names those that can be accepted.
    pub fn accept(&mut self, id: &str) -> Result<(), String> {
        let Some(check) = TO_ACCEPT.iter().find(|check| check.id() == id) else {
            let known: Vec<String> = TO_ACCEPT.iter().map(|check| format!("`{}`", check.id())).collect();
            return Err(format!("`{id}` is no warning that can be accepted; these are: {}.", known.join(", ")));
        };
        self.accept.push(check.id());
        Ok(())
    }

    /// Whether a problem is a warning that has not been accepted.
    fn leaves_open(&self, problem: &Problem) -> bool {
        TO_ACCEPT.iter().any(|check| check.id() == problem.id) && !self.accept.contains(&problem.id)
    }
}

/// A document that may be published: it passed every check of publishing.
#[derive(Debug, Clone)]
pub struct Publishable {
    checked: CheckedDocument,
    /// Whether its warnings are accepted; those of the published version need not be.
    is_accepted: bool,
}

impl Publishable {
    /// The document with its warnings, and what was overruled.
    pub fn checked(&self) -> &CheckedDocument {
        &self.checked
    }
}

/// Why a document is not published: its problems, at least one of which is an error or a warning that was not accepted.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Everything that was found, errors first.
    pub problems: Vec<Problem>,
    /// How many of them are errors that nothing overrules.
    errors: usize,
}

impl Refused {
    /// The refusal of a document with these problems.
    pub fn of(problems: Vec<Problem>, consent: &Consent) -> Self {
        let is_error = |problem: &&Problem| !is_publishable(std::slice::from_ref(*problem), consent.force);
        Self { errors: problems.iter().filter(is_error).count(), problems }
    }

    /// The ids of the warnings that have to be accepted; none while there are errors to mend.
    pub fn to_accept(&self) -> Vec<&'static str> {
        let is_there = |check: &&Check| self.problems.iter().any(|problem| problem.id == check.id());
        TO_ACCEPT.iter().filter(|_| self.errors == 0).filter(is_there).map(|check| check.id()).collect()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { problems, errors } = self;
        let open = self.to_accept();
        if open.is_empty() {
            return write!(f, "The flow has {errors} {} to mend.", if *errors == 1 { "problem" } else { "problems" });
        }
        let nodes = problems.iter().filter(|problem| open.contains(&problem.id));
        let nodes: Vec<String> = nodes.filter_map(|problem| Some(format!("`{}`", problem.node.as_ref()?))).collect();
        let (first, more) = nodes.split_at(nodes.len().min(NAMED_NODES));
        write!(f, "No way leads to {}", first.join(", "))?;
        match more.len() {
            0 => f.write_str("."),
            more => write!(f, " and {more} more."),
        }
    }
}

/// Checks a document against a database: the templates of the channel, where they need approval, and the other flows
/// that are published. `id` is the flow's, where the document does not say.
///
/// # Errors
/// When the database cannot be read. The problems of a document of the wrong shape are an outcome.
pub fn check(
    reads: &impl Reads,
    facts: &ServerFacts,
    value: &Value,
    id: Option<FlowId>,
) -> Result<Result<CheckedDocument, Vec<Problem>>> {
    let templates = match facts.approving_channel {
        // Until the templates have been fetched once it is unknown which exist; the check is made again when a message
        // is sent.
        Some(channel) => reads.read(|conn| {
            if last_template_sync(conn, channel)?.at.is_none() {
                return Ok(None);
            }
            let rows = templates::list(conn, channel)?;
            Ok(Some(rows.into_iter().map(|row| row.template).collect::<Vec<_>>()))
        })?,
        None => None,
    };
    let offered = match &templates {
        Some(templates) => Offered::Known(templates),
        None if facts.approving_channel.is_some() => Offered::NotFetched,
        None => Offered::Unasked,
    };
    // A flow that cannot be read is no problem of the document; the error is logged.
    let published = |id| {
        let found = reads.read(|conn| published_document(conn, id));
        found.unwrap_or_else(|error| {
            tracing::error!(flow = %id, %error, "a published flow cannot be read");
            None
        })
    };
    let publishing = Publishing {
        default_ttl: facts.settings.default_ttl,
        flow_id: id,
        flows: Some(&published),
        templates: offered,
    };
    Ok(CheckedDocument::check(value, publishing))
}

/// Checks everything about a document that is to be published: what [`check`] looks at, and the test cases of its flow.
/// `id` is the flow's, where the document does not say. The warnings of the published version need not be accepted,
/// since publishing it again changes nothing. Takes as long as its test cases play, so not in the writer.
///
/// # Errors
/// When the database cannot be read. A refusal is an outcome.
pub fn prepare(
    reads: &impl Reads,
    facts: &ServerFacts,
    value: &Value,
    id: Option<FlowId>,
    consent: &Consent,
) -> Result<Result<Publishable, Refused>> {
    let mut checked = match check(reads, facts, value, id)? {
        Ok(checked) => checked,
        Err(problems) => return Ok(Err(Refused::of(problems, consent))),
    };
    let mut is_live = false;
    if let Some(id) = id.or(checked.document.id) {
        let cases = reads.read(|conn| case_rows::of_flow(conn, id))?;
        test_cases::examine(&mut checked, id, &cases, facts.settings.clone());
        is_live = reads.read(|conn| live_as(conn, id, &checked.json))?.is_some();
    }
    let is_accepted = !checked.problems.iter().any(|problem| consent.leaves_open(problem));
    match is_publishable(&checked.problems, consent.force) && (is_accepted || is_live) {
        true => Ok(Ok(Publishable { checked, is_accepted })),
        false => Ok(Err(Refused::of(checked.problems, consent))),
    }
}

/// The version that new sessions of a flow start on, if its document says the same as this one: the order of keys,
/// blanks and ways to write a number make no difference.
fn live_as(conn: &Conn, id: FlowId, json: &str) -> Result<Option<u32>> {
    let Some(flow) = flows::find_published(conn, id)? else { return Ok(None) };
    let live = flows::version_document(conn, flow.seq, flow.version)?;
    Ok(live.is_some_and(|live| is_same_document(&live, json)).then_some(flow.version))
}

fn is_same_document(one: &str, other: &str) -> bool {
    let parse = |json: &str| serde_json::from_str::<Value>(json);
    one == other || matches!((parse(one), parse(other)), (Ok(one), Ok(other)) if is_same_value(&one, &other))
}

fn is_same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| is_same_value(value, other)))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same_value(one, other))
        }
        (Value::Number(one), Value::Number(other)) => {
            // Whole numbers of more digits than a float has are compared as they are.
            one == other || ((one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64())
        }
        (one, other) => one == other,
    }
}

/// Nodes that a refusal names at most.
const NAMED_NODES: usize = 5;

/// The outcome of publishing a draft.
#[derive(Debug, Clone)]
pub enum Published {
    /// It is the version of this number.
    Version(u32),
    /// It was the version of this number already; there is no new one.
    Unchanged(u32),
    /// The draft or the published version has changed since the check; nothing was changed.
    Stale(FlowSummary),
    /// There is no such flow.
    NotFound,
}

/// Publishes the draft that was checked as the next version: the one of `revision`. Inside a write transaction.
///
/// # Errors
/// When the database refuses.
pub fn publish(
    tx: &Tx<'_>,
    (id, revision): (FlowId, u32),
    publishable: &Publishable,
    note: Option<&str>,
    actor: &str,
    now: Timestamp,
) -> Result<Published> {
    let Some(flow) = flows::find_summary(tx, id)? else { return Ok(Published::NotFound) };
    if flow.revision != revision {
        return Ok(Published::Stale(flow));
    }
    let json = &publishable.checked.json;
    if let Some(version) = live_as(tx, id, json)? {
        // In its own order of keys it would count as changed.
        flows::reset_draft(tx, flow.seq)?;
        return Ok(Published::Unchanged(version));
    }
    if !publishable.is_accepted {
        return Ok(Published::Stale(flow));
    }
    flows::publish(tx, flow.seq, json, note, actor, now).map(Published::Version)
}

/// Imports a document and publishes it at once, with a note and the author's name. If the same document is published
/// already, it replaces the draft where that differs. Inside a write transaction.
///
/// # Errors
/// Those of [`authoring::import`]; `Conflict` when the published version has changed since the document was checked.
pub fn import_published(
    tx: &Tx<'_>,
    publishable: &Publishable,
    new_id: FlowId,
    (note, actor): (Option<&str>, &str),
    now: Timestamp,
) -> Result<(FlowRow, Published)> {
    let Publishable { checked, is_accepted } = publishable;
    let id = checked.document.id.unwrap_or(new_id);
    if let Some(version) = live_as(tx, id, &checked.json)? {
        let flow = authoring::kept(tx, id)?;
        if !is_same_document(&flow.draft, &checked.json) {
            authoring::import(tx, checked, new_id, actor, now)?;
        }
        flows::reset_draft(tx, flow.summary.seq)?;
        return Ok((authoring::kept(tx, id)?, Published::Unchanged(version)));
    }
    if !is_accepted {
        return Err(Error::conflict(
            "Another version was published meanwhile, or the flow was unpublished. Try again.",
        ));
    }
    let flow = authoring::import(tx, checked, new_id, actor, now)?;
    let version = flows::publish(tx, flow.summary.seq, &checked.json, note, actor, now)?;
    Ok((authoring::kept(tx, flow.summary.id)?, Published::Version(version)))
}

/// That a flow was published, for the audit; `None` if no version was made.
pub fn deed_of(published: &Published, id: FlowId, by: Actor) -> Option<Deed> {
    let Published::Version(version) = published else { return None };
    Some(Deed::new(AuditAction::FlowPublished, by).to(id).saying(format!("version {version}")))
}

impl Runtime {
    /// What documents are checked against on this server, besides its database.
    pub fn server_facts(&self) -> ServerFacts {
        let channel = self.channel();
        ServerFacts {
            settings: self.server_settings(),
            approving_channel: channel.kind().has_templates().then(|| channel.name()),
        }
    }

    /// Checks a document against what is on this server, as [`check`] does.
    ///
    /// # Errors
    /// When the database cannot be read. The problems of a document of the wrong shape are an outcome.
    pub fn check_document(&self, value: &Value, id: Option<FlowId>) -> Result<Result<CheckedDocument, Vec<Problem>>> {
        check(self.store(), &self.server_facts(), value, id)
    }
}

/// The document of a flow that is published.
fn published_document(conn: &Conn, id: FlowId) -> Result<Option<FlowDocument>> {
    let Some(flow) = flows::find_published(conn, id)? else { return Ok(None) };
    let Some(json) = flows::version_document(conn, flow.seq, flow.version)? else { return Ok(None) };
    let value: Value =
        serde_json::from_str(&json).map_err(|error| Error::internal("A stored flow is no JSON").caused_by(error))?;
    Ok(FlowDocument::parse(&value).ok())
}

/// Which parts of a document only a server's database can check, in words; empty if it names nothing outside of itself.
pub fn left_unchecked(document: &FlowDocument) -> Vec<String> {
    let mut left = Vec::new();
    let mut add = |what: String| {
        if !left.contains(&what) {
            left.push(what);
        }
    };
    for node in &document.nodes {
        if let Some(named) = node.kind.says().template() {
            add(format!(
                "that the channel has the template `{}`, approved, with these variables and buttons",
                named.name
            ));
        }
        if let NodeKind::RunFlow(run) = &node.kind {
            add(format!("that the flow {} is published and does not run this one without a wait", run.flow_id));
        }
    }
    if document.id.is_some() {
        add("the test cases of the flow".to_owned());
    }
    left
}

/// The refusal as an error of a command.
impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        let text = match refused.to_accept().as_slice() {
            [] => refused.to_string(),
            ids => format!(
                "{refused} Wire an exit to each of these nodes or remove it. If they are meant to stay, publish with \
                 --accept {}",
                ids.join(",")
            ),
        };
        Self::invalid(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_compared_by_what_they_say() {
        let document = r#"{"a": 1, "b": [18, {"c": null, "d": 9007199254740993}]}"#;
        for same in [
            r#"{"b":[18.0,{"d":9007199254740993,"c":null}],"a":1}"#,
            "{\n  \"a\": 1.0,\n  \"b\": [1.8e1, {\"c\": null, \"d\": 9007199254740993}]\n}",
        ] {
            assert!(is_same_document(document, same), "{same}");
        }
        for other in [
            r#"{"a": 1, "b": [{"c": null, "d": 9007199254740993}, 18]}"#,
            r#"{"a": 1, "b": [18, {"c": null, "d": 9007199254740992}]}"#,
            r#"{"a": 1, "b": [18, {"d": 9007199254740993}]}"#,
            r#"{"a": "1", "b": [18, {"c": null, "d": 9007199254740993}]}"#,
            r#"{"a": 1, "b": [18, {"c": null, "d": 9007199254740993}], "e": 1}"#,
            "{",
        ] {
            assert!(!is_same_document(document, other), "{other}");
            assert!(!is_same_document(other, document), "{other}");
        }
    }
}
