//! The nodes of a flow document: what each type takes, and the exits it has.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::node_registry::node_types;
use super::{FlowId, MediaTemplate, Passing, Says, TemplateUse};

node_types! {
    /// Says something and goes on.
    SendMessage = "send_message" {
        about: "says something and goes on",
        takes_template: true,
        brief: "{text} (next, delivery_failed)",
        fields: r#"{"text": "Hello {{contact.name|default('there')}}.", "exits": {"next": null}}"#,
    }
    /// Waits for an answer of a given kind.
    Ask = "ask" {
        about: "asks and reads the answer",
        takes_template: true,
        brief: "{text, expects: any|text|number|date|time|email|phone|media|location, save_as, timeout_seconds} \
                (reply, no_match, timeout, delivery_failed)",
        fields: r#"{"text": "What is your e-mail address?", "expects": "email", "save_as": "email",
                    "timeout_seconds": 3600, "exits": {"reply": null, "no_match": null, "timeout": null}}"#,
    }
    /// Waits for one of several options.
    Menu = "menu" {
        about: "offers options to tap",
        takes_template: true,
        brief: "{text, options: [{id, title}] 1 to 10, timeout_seconds} (each option's id, no_match, timeout, \
                delivery_failed)",
        fields: r#"{"text": "What would you like?",
                    "options": [{"id": "yes", "title": "Yes"}, {"id": "no", "title": "No"}], "timeout_seconds": 3600,
                    "exits": {"yes": null, "no": null, "no_match": null, "timeout": null}}"#,
    }
    /// Takes the first case that holds.
    Condition = "condition" {
        about: "goes one way or another",
        takes_template: false,
        brief: "{cases: [{left, operator, right, exit}]} (those exits, default)",
        fields: r#"{"cases": [{"left": "{{context.total}}", "operator": "number_gte", "right": 100, "exit": "large"}],
                    "exits": {"large": null, "default": null}}"#,
    }
    /// Takes a branch by chance.
    RandomSplit = "random_split" {
        about: "splits by chance",
        takes_template: false,
        brief: "{branches: [{id, weight}]} (branch ids)",
        fields: r#"{"branches": [{"id": "a", "weight": 1}, {"id": "b", "weight": 1}],
                    "exits": {"a": null, "b": null}}"#,
    }
    /// Writes into `context`.
    SetVariable = "set_variable" {
        about: "keeps values",
        takes_template: false,
        brief: "{assignments: [{name, value}]} (next)",
        fields: r#"{"assignments": [{"name": "source", "value": "reminder"}], "exits": {"next": null}}"#,
    }
    /// Writes into the contact.
    UpdateContact = "update_contact" {
        about: "changes the contact",
        takes_template: false,
        brief: "{name, add_tags, …} (next)",
        fields: r#"{"add_tags": ["reminded"], "exits": {"next": null}}"#,
    }
    /// Calls an HTTP endpoint and waits for its answer.
    HttpRequest = "http_request" {
        about: "calls a server of yours",
        takes_template: false,
        brief: "{method, url, headers, body, save_as} (success, failure)",
        fields: r#"{"method": "POST", "url": "https://shop.example.com/api/carts/{{context.cart_id}}",
                    "headers": {"X-Source": "qyvo"}, "body": {"phone": "{{contact.phone}}"}, "timeout_ms": 10000,
                    "max_retries": 2, "save_as": "cart", "exits": {"success": null, "failure": null}}"#,
    }
    /// Waits for a time.
    Delay = "delay" {
        about: "waits for a time",
        takes_template: false,
        brief: "{seconds} (next)",
        fields: r#"{"seconds": 3600, "exits": {"next": null}}"#,
    }
    /// Waits for an event from outside.
    WaitForEvent = "wait_for_event" {
        about: "waits for an event",
        takes_template: false,
        brief: "{event, timeout_seconds} (event, timeout)",
        fields: r#"{"event": "order.paid", "timeout_seconds": 86400, "save_as": "order",
                    "exits": {"event": null, "timeout": null}}"#,
    }
    /// Runs another flow inside this session.
    RunFlow = "run_flow" {
        about: "runs another flow inside this one",
        takes_template: false,
        brief: "{flow_id} (completed, expired, failed)",
        fields: r#"{"flow_id": "", "context": {}, "save_as": "result",
                    "exits": {"completed": null, "expired": null, "failed": null}}"#,
    }
    /// Asks for a person.
    Handoff = "handoff" {
        about: "calls a person",
        takes_template: false,
        brief: "{note} (resumed, timeout)",
        fields: r#"{"note": "{{contact.name|default('Somebody')}} asks for help.", "timeout_seconds": 86400,
                    "exits": {"resumed": null, "timeout": null}}"#,
    }
    /// Ends the session.
    End = "end" {
        about: "ends the conversation",
        takes_template: true,
        brief: "{outcome, text}",
        fields: r#"{"outcome": "done", "text": "Thank you."}"#,
    }
}

impl NodeKind {
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
            Self::WaitForEvent(_) => vec!["event", "timeout"],
            Self::HttpRequest(_) => vec!["success", "failure"],
            Self::RunFlow(RunFlow { returns: true, .. }) => vec!["completed", "expired", "failed"],
            // Once the other flow has begun, nothing leads back.
            Self::RunFlow(_) => vec!["failed"],
            Self::Handoff(Handoff { wait: true, .. }) => vec!["resumed", "timeout"],
            Self::Handoff(_) => vec!["next"],
            Self::End(_) => Vec::new(),
        }
    }

    /// Whether a conversation that ends at an exit, because that is not wired, ends without a word to the person: after
    /// their answer, a decision, silence or a failure. After what was said or done it may well end.
    pub fn ends_without_a_word(&self, exit: &str) -> bool {
        match self {
            Self::Ask(_) | Self::Menu(_) | Self::Condition(_) | Self::RandomSplit(_) => true,
            _ => !["next", "resumed", "completed", "success", "event"].contains(&exit),
        }
    }

    /// Whether a session stops here until something happens. What a sub-flow does is not known here.
    pub fn waits(&self) -> bool {
        match self {
            Self::Ask(_) | Self::Menu(_) | Self::Delay(_) | Self::WaitForEvent(_) | Self::HttpRequest(_) => true,
            Self::Handoff(handoff) => handoff.wait,
            Self::SendMessage(_) | Self::Condition(_) | Self::RandomSplit(_) | Self::SetVariable(_) => false,
            Self::UpdateContact(_) | Self::RunFlow(_) | Self::End(_) => false,
        }
    }

    /// What passes before a node is left by an exit, in a flow whose sessions live so long; `None` if it is never left
    /// by that exit.
    pub fn passing(&self, exit: &str, ttl: Option<Duration>) -> Option<Passing> {
        if exit == "delivery_failed" {
            return Some(Passing::AtOnce);
        }
        match self {
            Self::Ask(Ask { timeout_seconds, .. }) | Self::Menu(Menu { timeout_seconds, .. }) => match exit {
                "timeout" => timeout_seconds.map(Passing::Timeout),
                _ => Some(Passing::Reply),
            },
            // A moment may be any time away.
            Self::Delay(delay) => Some(Passing::Delay(delay.seconds.unwrap_or(u64::MAX))),
            Self::WaitForEvent(wait) => match wait.timeout_seconds {
                Some(seconds) => Some(Passing::Delay(seconds)),
                // It may come at any time until the session ends.
                None => (exit == "event").then_some(Passing::Delay(ttl.map_or(u64::MAX, |ttl| ttl.as_secs()))),
            },
            Self::Handoff(handoff) if exit == "timeout" => {
                Some(Passing::Delay(handoff.timeout_seconds.unwrap_or(Handoff::TIMEOUT_SECONDS)))
            }
            Self::SendMessage(_) | Self::Condition(_) | Self::RandomSplit(_) | Self::SetVariable(_) => {
                Some(Passing::AtOnce)
            }
            Self::UpdateContact(_) | Self::HttpRequest(_) | Self::RunFlow(_) | Self::Handoff(_) | Self::End(_) => {
                Some(Passing::AtOnce)
            }
        }
    }

    /// What a node of this kind says to the contact by itself.
    pub fn says(&self) -> Says<'_> {
        let (is_spoken, template) = match self {
            Self::SendMessage(say) => (true, &say.template),
            Self::Ask(ask) => (ask.text.is_some(), &ask.template),
            Self::Menu(menu) => (true, &menu.template),
            Self::End(end) => (end.text.is_some(), &end.template),
            Self::Condition(_) | Self::RandomSplit(_) | Self::SetVariable(_) | Self::UpdateContact(_) => (false, &None),
            Self::HttpRequest(_) | Self::Delay(_) | Self::WaitForEvent(_) | Self::RunFlow(_) | Self::Handoff(_) => {
                (false, &None)
            }
        };
        match template {
            Some(template) => Says::WithTemplate(template),
            None if is_spoken => Says::FreeText,
            None => Says::Nothing,
        }
    }

    /// Whether others may speak to the contact before the node is left: another flow, or a person.
    pub fn lets_others_speak(&self) -> bool {
        matches!(self, Self::RunFlow(_) | Self::Handoff(_))
    }

    /// Whether a flow comes to its end here, whatever is wired.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::End(_))
    }
}

/// Fields of `send_message`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// The text of the message.
    pub text: Option<String>,
    /// What it shows.
    pub media: Option<MediaTemplate>,
    /// The template that is sent where the channel forbids free text.
    pub template: Option<TemplateUse>,
}

/// Fields of `ask`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The question; without one the node waits silently.
    pub text: Option<String>,
    /// The template that is sent where the channel forbids free text.
    pub template: Option<TemplateUse>,
    /// What an answer must be.
    #[serde(default)]
    pub expects: Expects,
    /// What it must be besides.
    #[serde(default)]
    pub validation: Validation,
    /// Where in `context` the answer is kept.
    pub save_as: Option<String>,
    /// The text after an answer that did not match; the first text again by default.
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
    /// A place on the map.
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
    /// The text of the message.
    pub text: Option<String>,
    /// The template that is sent where the channel forbids free text.
    pub template: Option<TemplateUse>,
    /// What can be chosen.
    pub options: Vec<MenuOption>,
    /// Whether a bare number chooses the option at that place.
    #[serde(default = "default_true")]
    pub allow_numbers: bool,
    /// Where in `context` the chosen id is kept.
    pub save_as: Option<String>,
    /// The text after an answer that did not match; the first text again by default.
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

/// A value for one key of the context.
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
    /// The delay in seconds.
    pub seconds: Option<u64>,
    /// Until when: a template that gives an ISO 8601 moment, or seconds since 1970.
    #[serde(default, deserialize_with = "text_or_number")]
    pub until: Option<String>,
    /// What a message does meanwhile.
    #[serde(default)]
    pub on_reply: OnReply,
}

/// Reads a text, or a number as it is written.
fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text or a number")]
    enum Either {
        Text(String),
        Number(serde_json::Number),
    }
    Ok(Option::<Either>::deserialize(deserializer)?.map(|either| match either {
        Either::Text(text) => text,
        Either::Number(number) => number.to_string(),
    }))
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

/// Fields of `wait_for_event`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitForEvent {
    /// Name of the event.
    pub event: String,
    /// How long it waits.
    pub timeout_seconds: Option<u64>,
    /// Where in `context` the event's payload is kept.
    pub save_as: Option<String>,
}

/// Fields of `http_request`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRequest {
    /// Such as `POST`.
    #[serde(default = "default_method")]
    pub method: String,
    /// A template, whose values are percent-encoded.
    pub url: String,
    /// By name; the values are templates.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// JSON whose strings are templates, or a template of a text.
    #[serde(default)]
    pub body: Value,
    /// How long one attempt may take, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u32,
    /// Attempts after the first.
    #[serde(default = "default_retries")]
    pub max_retries: u32,
    /// Where in `context` status and body of the answer are kept.
    pub save_as: Option<String>,
}

fn default_method() -> String {
    "GET".to_owned()
}

fn default_timeout_ms() -> u32 {
    10_000
}

fn default_retries() -> u32 {
    2
}

/// Fields of `run_flow`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFlow {
    /// The flow; the version that is published when the node is entered.
    pub flow_id: FlowId,
    /// What the sub-flow reads as `{{context.*}}`; strings are templates.
    #[serde(default)]
    pub context: Map<String, Value>,
    /// Where in `context` it is kept how the sub-flow came out.
    pub save_as: Option<String>,
    /// Whether its end leads back here. If not, the session goes over to it for good.
    #[serde(default = "default_true", rename = "return")]
    pub returns: bool,
}

/// Fields of `handoff`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handoff {
    /// What the person should know, a template.
    pub note: Option<String>,
    /// Whether the session waits until it is given back.
    #[serde(default = "default_true")]
    pub wait: bool,
    /// How long it waits; [`Handoff::TIMEOUT_SECONDS`] where none is given.
    pub timeout_seconds: Option<u64>,
}

impl Handoff {
    /// How long a session stays with a person unless its author says otherwise.
    pub const TIMEOUT_SECONDS: u64 = 24 * 3600;
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
