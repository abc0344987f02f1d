//! The flow document: what an author writes, imports and publishes.
//!
//! [`FlowDocument::parse`] decides the shape only: known keys of the right type, unique node ids, the limits of size.
//! Whether the flow makes sense (exits that lead somewhere, templates that parse) is the engine's check, because it
//! needs the engine's template library and expressions.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::named::named;
use super::shape::shape;
use super::{FlowId, Node, NodeId, Problem, checks, what_instead};

/// At most this many nodes in a flow.
const MAX_NODES: usize = 1_000;

/// A flow as its author wrote it, with its shape checked.
#[derive(Debug, Clone)]
pub struct FlowDocument {
    /// The id to create or replace, if the document names one.
    pub id: Option<FlowId>,
    /// Flow or sequence.
    pub kind: FlowKind,
    /// What people call it.
    pub name: String,
    /// BCP 47 tag of the language it is written in.
    pub language: Option<String>,
    /// How its sessions behave.
    pub settings: Settings,
    /// What its trigger must pass in `context`.
    pub inputs: Vec<Input>,
    /// Where a session begins; kept as text because a document may name a node that is not there (yet).
    pub entry_node: Option<String>,
    /// The nodes, in the author's order.
    pub nodes: Vec<Node>,
}

named! {
    /// A flow answers within minutes, a sequence over days: the same document and engine, but no time to live by
    /// default.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum FlowKind {
        /// A short conversation.
        #[default]
        Flow = "flow",
        /// Messages over days.
        Sequence = "sequence",
    }
}

/// A flow's settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Minutes of silence after which a session expires; 1 to 43,200.
    pub session_ttl_minutes: Option<u32>,
    /// Words that start this flow from an inbound message.
    pub keywords: Vec<String>,
    /// What a reply to an ended session of this flow does.
    pub late_reply: Option<LateReply>,
    /// Minutes after a session's end in which a trigger for the same contact starts nothing.
    pub quiet_period_minutes: u32,
    /// Hours of the contact's day in which this flow may speak first.
    pub send_window: Option<SendWindow>,
    /// Minutes after which a message that is still queued is dropped.
    pub message_max_age_minutes: Option<u32>,
    /// ISO 3166 country by which replies are read; it sets the contact's clock where neither `timezone` nor the number
    /// does.
    pub country: Option<String>,
    /// `dmy`, `mdy` or `ymd`: how dates such as 5/6/2026 are read.
    pub date_order: Option<String>,
    /// IANA time zone of the clock that every contact is on in this flow, wherever they live: see
    /// [`Contact::time_zone`](super::Contact::time_zone).
    pub timezone: Option<String>,
}

/// What a reply to an ended session does.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LateReply {
    /// It is answered with a text.
    Text(String),
    /// It starts a new session at a node, with the old context.
    RestartAt(NodeId),
}

/// Hours of a day, `HH:MM`; over midnight if they end earlier than they begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendWindow {
    /// First minute, as `HH:MM`.
    pub from: String,
    /// First minute after.
    pub to: String,
}

/// One value that a trigger must (or may) pass in `context`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Key in `context`.
    pub name: String,
    /// Type of the value.
    #[serde(rename = "type", default)]
    pub kind: InputType,
    /// Whether a trigger without it is refused.
    #[serde(default)]
    pub required: bool,
}

/// Type of an [`Input`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputType {
    /// Any JSON value.
    #[default]
    Any,
    /// A JSON string.
    String,
    /// A JSON number.
    Number,
    /// True or false.
    Boolean,
    /// A JSON object.
    Object,
    /// A JSON array.
    Array,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    schema_version: u32,
    #[serde(default)]
    id: Option<FlowId>,
    #[serde(default)]
    kind: FlowKind,
    name: String,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    settings: Settings,
    #[serde(default)]
    inputs: Vec<Input>,
    #[serde(default)]
    entry_node: Option<String>,
    /// Only that there is a list: what is in it is read apart.
    #[serde(rename = "nodes")]
    _nodes: Vec<Value>,
    /// Where the editor draws the nodes. Nothing here reads it.
    #[serde(default, rename = "ui")]
    _ui: Value,
}

/// As much of a document as can be read, and every problem of its shape.
#[derive(Debug)]
pub struct Survey {
    /// The document without the nodes that cannot be read; `None` if it is not even clear what it is.
    pub document: Option<FlowDocument>,
    /// The ids of nodes that are left out of `document`: what leads to them does lead somewhere.
    pub unread: BTreeSet<String>,
    /// What is wrong with its shape.
    pub problems: Vec<Problem>,
}

impl FlowDocument {
    /// At most this many bytes of JSON in a flow.
    pub const MAX_BYTES: usize = 1024 * 1024;

    /// Reads a document.
    ///
    /// # Errors
    /// All the problems of its shape: unknown keys and types, missing fields, ids that are invalid or used twice,
    /// limits of size.
    pub fn parse(document: &Value) -> Result<Self, Vec<Problem>> {
        let survey = Self::survey(document);
        match survey.document {
            Some(document) if survey.problems.is_empty() => Ok(document),
            _ => Err(survey.problems),
        }
    }

    /// Reads what can be read of a document, whatever is wrong with the rest.
    pub fn survey(document: &Value) -> Survey {
        let mut survey = Survey { document: None, unread: BTreeSet::new(), problems: Vec::new() };
        let problems = &mut survey.problems;
        let size = serde_json::to_vec(document).map_or(usize::MAX, |bytes| bytes.len());
        if size > Self::MAX_BYTES {
            let text =
                format!("The document has {size} bytes; at most {} are allowed. Split the flow.", Self::MAX_BYTES);
            problems.push(Problem::new(checks::DOCUMENT_TOO_LARGE, text));
            return survey;
        }
        if let Some(text) = what_instead(document) {
            problems.push(Problem::new(checks::FOREIGN_DOCUMENT, text));
            return survey;
        }
        let Value::Object(fields) = document else {
            let what = match document {
                Value::Null => "`null`",
                Value::Array(_) => "a list",
                Value::String(_) => "a text",
                _ => "one value",
            };
            let text = format!(
                "This is {what}, and a flow document is a JSON object: write it as \
                {{\"schema_version\": 1, \"name\": …}}."
            );
            problems.push(Problem::new(checks::WRONG_SHAPE, text));
            return survey;
        };
        let mut fields = fields.clone();
        // The nodes are read one by one, and whether or not the rest can be.
        let nodes = match fields.get_mut("nodes") {
            Some(Value::Array(nodes)) => std::mem::take(nodes),
            _ => Vec::new(),
        };
        let head: Option<Head> = shape(fields).map_err(|problem| problems.push(problem)).ok();
        if let Some(head) = &head {
            head.check(problems);
        }
        if nodes.len() > MAX_NODES {
            let text = format!("The flow has {} nodes; at most {MAX_NODES} are allowed. Split the flow.", nodes.len());
            problems.push(Problem::new(checks::TOO_MANY_NODES, text).field("nodes"));
            return survey;
        }
        let mut read = Vec::with_capacity(nodes.len());
        let mut seen = HashSet::new();
        for (index, value) in nodes.into_iter().enumerate() {
            let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
            match Node::parse(index, value) {
                Ok(node) if !seen.insert(node.id.clone()) => {
                    let text = format!("Two nodes have the id `{}`: rename one.", node.id);
                    problems.push(Problem::new(checks::DUPLICATE_NODE_ID, text).at(node.id.as_str()).field("id"));
                }
                Ok(node) => read.push(node),
                Err(problem) => {
                    survey.unread.extend(id);
                    problems.push(problem);
                }
            }
        }
        survey.document = head.map(|head| head.with(read));
        survey
    }
}

impl Head {
    fn check(&self, problems: &mut Vec<Problem>) {
        if self.schema_version != 1 {
            let text = format!(
                "Schema version {} is not known here. Write 1, or import the flow into a later version of this \
                program.",
                self.schema_version
            );
            problems.push(Problem::new(checks::UNKNOWN_SCHEMA_VERSION, text).field("schema_version"));
        }
        if self.name.trim().is_empty() {
            problems.push(Problem::new(checks::BLANK_NAME, "The flow has no name. Give it one.").field("name"));
        }
    }

    fn with(self, nodes: Vec<Node>) -> FlowDocument {
        FlowDocument {
            id: self.id,
            kind: self.kind,
            name: self.name.trim().to_owned(),
            language: self.language,
            settings: self.settings,
            inputs: self.inputs,
            entry_node: self.entry_node,
            nodes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{NODE_SAMPLES, NodeKind};
    use serde_json::json;

    fn problems(nodes: Value) -> Vec<String> {
        let document = json!({"schema_version": 1, "name": "F", "entry_node": "a", "nodes": nodes});
        match FlowDocument::parse(&document) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn reads_every_type_of_node() {
        let nodes: Vec<Value> =
            NODE_SAMPLES.iter().enumerate().map(|(index, sample)| sample.node(&format!("n{index}"))).collect();
        let document = json!({"schema_version": 1, "name": "F", "nodes": nodes, "ui": {"n0": {"x": 1}}});
        let flow = FlowDocument::parse(&document).unwrap();
        let read: Vec<_> = flow.nodes.iter().map(|node| node.kind.type_name()).collect();
        assert_eq!(read, NODE_SAMPLES.map(|sample| sample.type_name));
    }

    #[test]
    fn the_name_of_an_update_contact_is_the_contacts() {
        let node = json!({"id": "a", "type": "update_contact", "name": "Ann"});
        let flow = FlowDocument::parse(&json!({"schema_version": 1, "name": "F", "nodes": [node]})).unwrap();
        let NodeKind::UpdateContact(update) = &flow.nodes[0].kind else { panic!("{:?}", flow.nodes[0]) };
        assert_eq!((update.name.as_deref(), flow.nodes[0].name.as_deref()), (Some("Ann"), None));
    }

    #[test]
    fn says_where_the_shape_is_wrong() {
        let found = problems(json!([
            {"id": "a", "type": "send_message", "txet": "Hi"},
            {"id": "a b", "type": "end"},
            {"type": "end"},
            {"id": "c", "type": "teleport"},
            {"id": "d", "type": "menu", "options": [{"id": "x"}]},
            {"id": "e", "type": "ask", "timeout_seconds": 1.5},
            {"id": "f", "type": "end"},
            {"id": "f", "type": "end"},
            7
        ]));
        let expected = [
            ("node a txet", "unknown field `txet`"),
            ("node a b id", "not a node id"),
            ("nodes[2]", "missing field `id`"),
            ("node c type", "not a type of node"),
            ("node d options[0]", "missing field `title`"),
            ("node e timeout_seconds", "floating point"),
            ("node f id", "Two nodes"),
            ("nodes[8]", "JSON object"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (problem, (place, text)) in found.iter().zip(expected) {
            assert!(problem.contains(place) && problem.contains(text), "{problem} / {place} / {text}");
        }
    }

    #[test]
    fn refuses_unknown_keys_at_the_top_and_too_many_nodes() {
        let document = json!({"schema_version": 1, "name": "F", "nodes": [], "colour": "red"});
        assert!(FlowDocument::parse(&document).unwrap_err()[0].text.contains("colour"));
        let many: Vec<_> = (0..1001).map(|n| json!({"id": n.to_string(), "type": "end"})).collect();
        assert!(problems(Value::Array(many))[0].contains("too_many_nodes"));
        let large = json!({"schema_version": 1, "name": "x".repeat(FlowDocument::MAX_BYTES), "nodes": []});
        assert_eq!(FlowDocument::parse(&large).unwrap_err()[0].id, "document_too_large");
    }
}
