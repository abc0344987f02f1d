//! The flow document: what an author writes, imports and publishes.
//!
//! [`FlowDocument::parse`] decides the shape only: known keys of the right type, unique node ids, the limits of size.
//! Whether the flow makes sense (exits that lead somewhere, templates that parse) is the engine's check, because it
//! needs the engine's template library and expressions.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{FlowId, NodeId, Problem};

/// At most this many nodes in a flow.
const MAX_NODES: usize = 1_000;
/// At most this many bytes of JSON in a flow.
const MAX_BYTES: usize = 1024 * 1024;

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

/// A flow answers within minutes, a sequence over days: the same document and engine, but no time to live by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowKind {
    /// A short conversation.
    #[default]
    Flow,
    /// Messages over days.
    Sequence,
}

impl FlowKind {
    /// The name used in documents and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Sequence => "sequence",
        }
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
    /// ISO 3166 country by which replies are read.
    pub country: Option<String>,
    /// `dmy`, `mdy` or `ymd`: how dates such as 5/6/2026 are read.
    pub date_order: Option<String>,
    /// IANA time zone in which dates are shown.
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

/// Hours of a day, `HH:MM`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendWindow {
    /// First minute.
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
    /// Anything.
    #[default]
    Any,
    /// A text.
    String,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// An object.
    Object,
    /// A list.
    Array,
}

/// One node of a flow.
#[derive(Debug, Clone)]
pub struct Node {
    /// Unique in the flow and stable over its versions.
    pub id: NodeId,
    /// What its author calls it; an `update_contact` has none.
    pub name: Option<String>,
    /// Where each exit leads; a missing or null exit ends the session.
    pub exits: BTreeMap<String, Option<String>>,
    /// What it does.
    pub kind: NodeKind,
}

impl Node {
    /// The node that an exit leads to, if it is wired.
    pub fn exit(&self, name: &str) -> Option<&str> {
        self.exits.get(name).and_then(Option::as_deref)
    }
}

/// What a node does, by its `type`.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// Says something and goes on.
    SendMessage(SendMessage),
    /// Waits for an answer of a given kind.
    Ask(Ask),
    /// Waits for one of several options.
    Menu(Menu),
    /// Takes the first case that holds.
    Condition(Condition),
    /// Takes a branch by chance.
    RandomSplit(RandomSplit),
    /// Writes into `context`.
    SetVariable(SetVariable),
    /// Writes into the contact.
    UpdateContact(UpdateContact),
    /// Waits for a time.
    Delay(Delay),
    /// Ends the session.
    End(End),
}

/// Every `type` of node that this version runs.
pub const NODE_TYPES: [&str; 9] =
    ["send_message", "ask", "menu", "condition", "random_split", "set_variable", "update_contact", "delay", "end"];

impl NodeKind {
    /// The name used as `type` in documents.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::SendMessage(_) => "send_message",
            Self::Ask(_) => "ask",
            Self::Menu(_) => "menu",
            Self::Condition(_) => "condition",
            Self::RandomSplit(_) => "random_split",
            Self::SetVariable(_) => "set_variable",
            Self::UpdateContact(_) => "update_contact",
            Self::Delay(_) => "delay",
            Self::End(_) => "end",
        }
    }

    /// The exits that a node of this kind can take.
    pub fn exit_names(&self) -> Vec<&str> {
        match self {
            Self::SendMessage(_) => vec!["next", "delivery_failed"],
            Self::Ask(_) => vec!["reply", "no_match", "timeout", "delivery_failed"],
            Self::Menu(menu) => {
                let mut names: Vec<&str> = menu.options.iter().map(|option| option.id.as_str()).collect();
                names.extend(["no_match", "timeout", "delivery_failed"]);
                names
            }
            Self::Condition(condition) => {
                let mut names: Vec<&str> = condition.cases.iter().map(|case| case.exit.as_str()).collect();
                names.push("default");
                names
            }
            Self::RandomSplit(split) => split.branches.iter().map(|branch| branch.id.as_str()).collect(),
            Self::SetVariable(_) | Self::UpdateContact(_) | Self::Delay(_) => vec!["next"],
            Self::End(_) => Vec::new(),
        }
    }

    /// Whether a session stops here until something happens.
    pub fn waits(&self) -> bool {
        matches!(self, Self::Ask(_) | Self::Menu(_) | Self::Delay(_))
    }

    fn parse(type_name: &str, fields: Map<String, Value>) -> Result<Self, Problem> {
        match type_name {
            "send_message" => shape(fields).map(Self::SendMessage),
            "ask" => shape(fields).map(Self::Ask),
            "menu" => shape(fields).map(Self::Menu),
            "condition" => shape(fields).map(Self::Condition),
            "random_split" => shape(fields).map(Self::RandomSplit),
            "set_variable" => shape(fields).map(Self::SetVariable),
            "update_contact" => shape(fields).map(Self::UpdateContact),
            "delay" => shape(fields).map(Self::Delay),
            "end" => shape(fields).map(Self::End),
            other => Err(Problem::error(
                "unknown_node_type",
                format!("`{other}` is not a type of node: use one of {}.", NODE_TYPES.join(", ")),
            )
            .field("type")),
        }
    }
}

/// A medium in a document; `url`, `caption` and `filename` are templates.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaTemplate {
    /// `image`, `video`, `audio` or `document`.
    pub kind: String,
    /// Where the channel fetches it.
    pub url: String,
    /// Text below it.
    pub caption: Option<String>,
    /// Name of a document.
    pub filename: Option<String>,
}

/// A channel template in a document; the values of `variables` are templates of ours.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateUse {
    /// Name at the channel.
    pub name: String,
    /// Language to send it in.
    pub language: Option<String>,
    /// `1`, `2`, … for the body, `header.1`, `button.0`.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
}

/// Fields of `send_message`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// What it says.
    pub text: Option<String>,
    /// What it shows.
    pub media: Option<MediaTemplate>,
    /// What stands in where the channel forbids free text.
    pub template: Option<TemplateUse>,
}

/// Fields of `ask`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The question; without one the node waits silently.
    pub text: Option<String>,
    /// What stands in where the channel forbids free text.
    pub template: Option<TemplateUse>,
    /// What an answer must be.
    #[serde(default)]
    pub expects: Expects,
    /// What it must be besides.
    #[serde(default)]
    pub validation: Validation,
    /// Where in `context` the answer is kept.
    pub save_as: Option<String>,
    /// What is said after an answer that did not match; the text again by default.
    pub retry_text: Option<String>,
    /// How many answers in all before `no_match`.
    #[serde(default = "default_attempts")]
    pub max_attempts: u32,
    /// How long it waits.
    pub timeout_seconds: Option<u64>,
}

fn default_attempts() -> u32 {
    3
}

/// What an `ask` takes for an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expects {
    /// Whatever is sent.
    #[default]
    Any,
    /// Text that is not blank.
    Text,
    /// A number in a text.
    Number,
    /// A date in a text.
    Date,
    /// A time of day in a text.
    Time,
    /// An email address in a text.
    Email,
    /// A phone number in a text.
    Phone,
    /// An image, video, sound, document or sticker.
    Media,
    /// A place.
    Location,
}

/// What an answer must be besides its kind.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Validation {
    /// A pattern that is found in the text as received.
    pub pattern: Option<String>,
    /// Least value, inclusive: a number, a date, a time, or the length of a text.
    pub min: Option<Value>,
    /// Greatest value, inclusive.
    pub max: Option<Value>,
}

/// Fields of `menu`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Menu {
    /// What it says.
    pub text: Option<String>,
    /// What stands in where the channel forbids free text.
    pub template: Option<TemplateUse>,
    /// What can be chosen.
    pub options: Vec<MenuOption>,
    /// Whether a bare number chooses the option at that place.
    #[serde(default = "default_true")]
    pub allow_numbers: bool,
    /// Where in `context` the chosen id is kept.
    pub save_as: Option<String>,
    /// What is said after an answer that did not match; the text again by default.
    pub retry_text: Option<String>,
    /// How many answers in all before `no_match`.
    #[serde(default = "default_attempts")]
    pub max_attempts: u32,
    /// How long it waits.
    pub timeout_seconds: Option<u64>,
}

fn default_true() -> bool {
    true
}

/// One option of a menu.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MenuOption {
    /// Name of its exit.
    pub id: String,
    /// What is shown.
    pub title: String,
    /// A second line.
    pub description: Option<String>,
    /// Other texts that choose it.
    #[serde(default)]
    pub synonyms: Vec<String>,
}

/// Fields of `condition`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Tried in order.
    pub cases: Vec<Case>,
    /// Where in `context` the part of `left` that matched is kept.
    pub save_as: Option<String>,
}

/// One case of a condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A template; of exactly one `{{…}}` it keeps the value's type.
    pub left: String,
    /// How the two are compared.
    pub operator: Operator,
    /// What it is compared with; its strings are templates.
    #[serde(default)]
    pub right: Value,
    /// The exit taken if it holds.
    pub exit: String,
}

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the documentation; src/engine/condition.rs says what each does")]
pub enum Operator {
    Equals,
    NotEquals,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    In,
    IsSet,
    IsEmpty,
    NumberEq,
    NumberLt,
    NumberLte,
    NumberGt,
    NumberGte,
    NumberBetween,
    DateBefore,
    DateAfter,
    DateEq,
    HasAnyWord,
    HasAllWords,
    HasTag,
}

/// Fields of `random_split`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomSplit {
    /// What can be drawn.
    pub branches: Vec<Branch>,
}

/// One branch of a random split.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// Name of its exit.
    pub id: String,
    /// Its share of the whole.
    pub weight: u32,
}

/// Fields of `set_variable`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetVariable {
    /// Done in order; a later one sees what an earlier one wrote.
    pub assignments: Vec<Assignment>,
}

/// One assignment.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Key in `context`.
    pub name: String,
    /// The value; its strings are templates.
    pub value: Value,
}

/// Fields of `update_contact`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateContact {
    /// New name, a template.
    pub name: Option<String>,
    /// New email address, a template.
    pub email: Option<String>,
    /// New language, a template.
    pub language: Option<String>,
    /// Merged key by key; strings are templates, `null` removes.
    pub metadata: Map<String, Value>,
    /// Tags to attach, templates.
    pub add_tags: Vec<String>,
    /// Tags to detach, templates.
    pub remove_tags: Vec<String>,
    /// Opts the person out (`true`) or in again (`false`).
    pub opt_out: Option<bool>,
}

/// Fields of `delay`: one of `seconds` and `until`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// How long.
    pub seconds: Option<u64>,
    /// Until when: a template that gives an ISO 8601 moment.
    pub until: Option<String>,
    /// What a message does meanwhile.
    #[serde(default)]
    pub on_reply: OnReply,
}

/// What a message does during a delay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnReply {
    /// Nothing but a line in the trace.
    #[default]
    Ignore,
    /// It ends the delay.
    Continue,
}

/// Fields of `end`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// How the conversation came out, for statistics and callers.
    pub outcome: Option<String>,
    /// A last word.
    pub text: Option<String>,
    /// What stands in for it where the channel forbids free text.
    pub template: Option<TemplateUse>,
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
    nodes: Vec<Value>,
    /// Where the editor draws the nodes. Nothing here reads it.
    #[serde(default, rename = "ui")]
    _ui: Value,
}

impl FlowDocument {
    /// Reads a document.
    ///
    /// # Errors
    /// All the problems of its shape: unknown keys and types, missing fields, ids that are invalid or used twice,
    /// limits of size.
    pub fn parse(document: &Value) -> Result<Self, Vec<Problem>> {
        let size = serde_json::to_vec(document).map_or(usize::MAX, |bytes| bytes.len());
        if size > MAX_BYTES {
            let text = format!("The document has {size} bytes; at most {MAX_BYTES} are allowed. Split the flow.");
            return Err(vec![Problem::error("document_too_large", text)]);
        }
        let Value::Object(fields) = document else {
            return Err(vec![Problem::error("wrong_shape", "A flow document is a JSON object.")]);
        };
        let head: Head = shape(fields.clone()).map_err(|problem| vec![problem])?;

        let mut problems = Vec::new();
        if head.schema_version != 1 {
            let text = format!("schema_version {} is not known here: this version reads 1.", head.schema_version);
            problems.push(Problem::error("unknown_schema_version", text).field("schema_version"));
        }
        if head.name.trim().is_empty() {
            problems.push(Problem::error("blank_name", "Give the flow a name.").field("name"));
        }
        if head.nodes.len() > MAX_NODES {
            let text = format!("The flow has {} nodes; at most {MAX_NODES} are allowed.", head.nodes.len());
            problems.push(Problem::error("too_many_nodes", text).field("nodes"));
        }
        let mut nodes = Vec::with_capacity(head.nodes.len());
        let mut seen = HashSet::new();
        for (index, value) in head.nodes.into_iter().enumerate() {
            match parse_node(index, value) {
                Ok(node) if !seen.insert(node.id.clone()) => {
                    let text = format!("Two nodes have the id `{}`: rename one.", node.id);
                    problems.push(Problem::error("duplicate_node_id", text).at(node.id.as_str()).field("id"));
                }
                Ok(node) => nodes.push(node),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            id: head.id,
            kind: head.kind,
            name: head.name.trim().to_owned(),
            language: head.language,
            settings: head.settings,
            inputs: head.inputs,
            entry_node: head.entry_node,
            nodes,
        })
    }
}

fn parse_node(index: usize, value: Value) -> Result<Node, Problem> {
    #[derive(Deserialize)]
    struct Common {
        id: String,
        #[serde(rename = "type")]
        type_name: String,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        exits: BTreeMap<String, Option<String>>,
    }

    let here = format!("nodes[{index}]");
    let Value::Object(mut fields) = value else {
        return Err(Problem::error("wrong_shape", "A node is a JSON object.").field(here));
    };
    // The `name` of an `update_contact` is the contact's, so such a node has no label.
    let is_label = fields.get("type").and_then(Value::as_str) != Some("update_contact");
    let mut common = Map::new();
    for key in ["id", "type", "name", "exits"] {
        if let Some(value) = (key != "name" || is_label).then(|| fields.shift_remove(key)).flatten() {
            common.insert(key.to_owned(), value);
        }
    }
    // Until the id is known the problem is placed by index, afterwards by id.
    let label = common.get("id").and_then(Value::as_str).map(str::to_owned);
    let place = |problem: Problem| match &label {
        Some(id) => problem.at(id),
        None => {
            let field = problem.field.clone().map_or_else(|| here.clone(), |field| format!("{here}.{field}"));
            problem.field(field)
        }
    };
    let common: Common = shape(common).map_err(place)?;
    let id: NodeId =
        common.id.parse().map_err(|error| place(Problem::error("bad_node_id", format!("{error}.")).field("id")))?;
    let kind = NodeKind::parse(&common.type_name, fields).map_err(place)?;
    Ok(Node { id, name: common.name, exits: common.exits, kind })
}

/// Deserialises one object and says where it failed.
fn shape<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Problem> {
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let path = error.path().to_string();
        let text = format!("{}.", error.into_inner());
        let problem = Problem::error("wrong_shape", text);
        if path == "." { problem } else { problem.field(path) }
    })
}

impl Validation {
    /// A bound as a number, if it is one.
    pub fn number(bound: Option<&Value>) -> Option<f64> {
        bound.and_then(|value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()))
    }

    /// A bound as text (`2026-12-31`, `18:00`), if it is one.
    pub fn text(bound: Option<&Value>) -> Option<&str> {
        bound.and_then(Value::as_str).map(str::trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let nodes = json!([
            {"id": "a", "type": "send_message", "text": "Hi"},
            {"id": "b", "type": "ask", "text": "Name?", "expects": "text", "exits": {"reply": null}},
            {"id": "c", "type": "menu", "text": "?", "options": [{"id": "x", "title": "X"}]},
            {"id": "d", "type": "condition", "cases": [{"left": "{{input.text}}", "operator": "is_set", "exit": "yes"}]},
            {"id": "e", "type": "random_split", "branches": [{"id": "x", "weight": 1}]},
            {"id": "f", "type": "set_variable", "assignments": [{"name": "n", "value": 1}]},
            {"id": "g", "type": "update_contact", "name": "Ann", "add_tags": ["t"]},
            {"id": "h", "type": "delay", "seconds": 5},
            {"id": "i", "type": "end", "outcome": "done"}
        ]);
        let document = json!({"schema_version": 1, "name": "F", "nodes": nodes, "ui": {"a": {"x": 1}}});
        let flow = FlowDocument::parse(&document).unwrap();
        let NodeKind::UpdateContact(update) = &flow.nodes[6].kind else { panic!("{:?}", flow.nodes[6]) };
        assert_eq!(update.name.as_deref(), Some("Ann"), "the contact's name, not the node's");
        let types: Vec<_> = flow.nodes.iter().map(|node| node.kind.type_name()).collect();
        assert_eq!(types, NODE_TYPES);
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
        let large = json!({"schema_version": 1, "name": "x".repeat(MAX_BYTES), "nodes": []});
        assert_eq!(FlowDocument::parse(&large).unwrap_err()[0].id, "document_too_large");
    }
}
