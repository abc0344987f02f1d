//! Publishing: the one way from a document to a version, for the API, the page, the command line, assistants and the
//! demonstration alike.
//!
//! What is published is a [`Publishable`], which only [`prepare`] makes: a document that was held against the templates
//! of the channel, the flows that are published and the flow's test cases.

use std::fmt;

use serde_json::Value;

use super::authoring::{self, CheckedDocument, is_publishable};
use super::templates::last_template_sync;
use super::{Runtime, ServerSettings, test_cases};
use crate::channels;
use crate::domain::{FlowDocument, FlowId, NodeKind, Problem, Severity, Timestamp};
use crate::engine::{self, Offered, Publishing};
use crate::error::{Error, Result};
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
    /// Those of a server that has one of the `channels`, by their names: where it is not certain which one, what is
    /// published fits all of them.
    pub fn of<'a>(settings: ServerSettings, channels: impl IntoIterator<Item = &'a str>) -> Self {
        let approves = channels.into_iter().any(|name| name == channels::WHATSAPP);
        Self { settings, approving_channel: approves.then_some(channels::WHATSAPP) }
    }
}

/// A document that passed every check of publishing.
#[derive(Debug, Clone)]
pub struct Publishable(CheckedDocument);

impl Publishable {
    /// The document with its warnings.
    pub fn checked(&self) -> &CheckedDocument {
        &self.0
    }
}

/// Why a document is not published: its problems, at least one of which is an error.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Everything that was found, errors first.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        write!(f, "The flow has {errors} {} to mend.", if errors == 1 { "problem" } else { "problems" })
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
        // Until they have been fetched once nobody can say which there are; what is sent is checked again then.
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
    // What cannot be read is not held against the author; the log says it.
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

/// Holds a document that is to be published against everything: what [`check`] looks at, and the test cases of its
/// flow. `id` is the flow's, where the document does not say; `force` overrules a missing entry node and failing test
/// cases. Takes as long as its test cases play, so not in the writer.
///
/// # Errors
/// When the database cannot be read. A refusal is an outcome.
pub fn prepare(
    reads: &impl Reads,
    facts: &ServerFacts,
    value: &Value,
    id: Option<FlowId>,
    force: bool,
) -> Result<Result<Publishable, Refused>> {
    let mut checked = match check(reads, facts, value, id)? {
        Ok(checked) => checked,
        Err(problems) => return Ok(Err(Refused { problems })),
    };
    if let Some(id) = id.or(checked.document.id) {
        let cases = reads.read(|conn| case_rows::of_flow(conn, id))?;
        test_cases::examine(&mut checked, id, &cases, facts.settings.clone());
    }
    match is_publishable(&checked.problems, force) {
        true => Ok(Ok(Publishable(checked))),
        false => Ok(Err(Refused { problems: checked.problems })),
    }
}

/// What came of publishing a draft.
#[derive(Debug, Clone)]
pub enum Published {
    /// It is the version of this number.
    Version(u32),
    /// Somebody has saved since it was checked; nothing was changed.
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
    flows::publish(tx, flow.seq, &publishable.checked().json, note, actor, now).map(Published::Version)
}

/// Imports a document and publishes it at once. Inside a write transaction.
///
/// # Errors
/// Those of [`authoring::import`].
pub fn import_published(
    tx: &Tx<'_>,
    publishable: &Publishable,
    new_id: FlowId,
    note: Option<&str>,
    actor: &str,
    now: Timestamp,
) -> Result<(FlowRow, u32)> {
    let flow = authoring::import(tx, publishable.checked(), new_id, actor, now)?;
    let version = flows::publish(tx, flow.summary.seq, &publishable.checked().json, note, actor, now)?;
    Ok((authoring::kept(tx, flow.summary.id)?, version))
}

impl Runtime {
    /// What documents are checked against on this server, besides its database.
    pub fn server_facts(&self) -> ServerFacts {
        let channel = self.channel();
        ServerFacts {
            settings: self.server_settings(),
            approving_channel: channel.has_templates().then(|| channel.name()),
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

/// What of a document only a server's database can tell, in words; empty if it names nothing outside of itself.
pub fn left_unchecked(document: &FlowDocument) -> Vec<String> {
    let mut left = Vec::new();
    let mut add = |what: String| {
        if !left.contains(&what) {
            left.push(what);
        }
    };
    for node in &document.nodes {
        if let Some(named) = engine::template_of(node) {
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
        Self::invalid(refused.to_string())
    }
}
