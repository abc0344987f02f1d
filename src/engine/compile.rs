//! From a document to what the engine runs: templates and patterns parsed once, exits and defaults resolved.
//!
//! Compiling costs milliseconds and happens outside the writer; a [`CompiledFlow`] is shared and never changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::bounds::Bounds;
use super::check::{self, Publishing};
use super::date::DateOrder;
use super::moment;
use super::number::Writing;
use super::pattern::Pattern;
use super::template::{Leaf, Place, Templates, Text, has_tags};
use super::{address, body};
use crate::domain::typed::Typed;
use crate::domain::{
    Ask, Branch, Contact, Delay, Expects, FlowDocument, FlowId, FlowKind, Handoff, HttpRequest, LateReply,
    MediaTemplate, MenuOption, Node, NodeKind, Operator, Problem, Severity, Survey, TemplateUse, WaitForEvent, checks,
};

/// Patterns that a flow may have.
const PATTERNS: usize = 200;
/// Templates that a flow may have. Each takes some 10 KB when compiled, however small it is.
const TEMPLATES: usize = 2_000;

/// What a flow takes by itself, and each of its nodes, templates and patterns on top of their text, in bytes: measured
/// with minijinja 3.1 and regex 1.12, rounded up.
mod weights {
    pub(super) const FLOW: usize = 16 * 1024;
    pub(super) const NODE: usize = 1024;
    pub(super) const TEMPLATE: usize = 10 * 1024;
    pub(super) const PATTERN: usize = 16 * 1024;
}

/// A flow that the engine can run.
#[derive(Debug)]
pub struct CompiledFlow {
    pub(super) document: Arc<FlowDocument>,
    pub(super) templates: Templates,
    pub(super) actions: Vec<Action>,
    pub(super) places: HashMap<String, usize>,
    pub(super) ttl: Option<Duration>,
    pub(super) date_order: Option<DateOrder>,
    /// The answer to a message that comes after a session's end.
    pub(super) late_text: Option<Text>,
    weight: usize,
}

/// The message of a node: text, medium and template, any of which may be absent, and the options below it.
#[derive(Debug, Default)]
pub(super) struct Speech {
    pub(super) text: Option<Text>,
    pub(super) media: Option<Media>,
    pub(super) template: Option<ChannelTemplate>,
    pub(super) options: Vec<MenuChoice>,
}

#[derive(Debug)]
pub(super) struct Media {
    pub(super) kind: String,
    pub(super) url: Text,
    pub(super) caption: Option<Text>,
    pub(super) filename: Option<Text>,
}

#[derive(Debug)]
pub(super) struct ChannelTemplate {
    pub(super) name: String,
    pub(super) language: Option<String>,
    pub(super) variables: Vec<(String, Text)>,
}

#[derive(Debug)]
pub(super) struct MenuChoice {
    pub(super) id: String,
    pub(super) title: Text,
    pub(super) description: Option<Text>,
}

/// How a node waits for a reply.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) speech: Speech,
    pub(super) retry: Option<Text>,
    pub(super) save_as: Option<String>,
    pub(super) max_attempts: u32,
    pub(super) timeout: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct CompiledCase {
    pub(super) left: Leaf,
    pub(super) operator: Operator,
    pub(super) right: Leaf,
    pub(super) pattern: Option<Pattern>,
    pub(super) exit: String,
}

/// A node's work, compiled; stands at the node's index.
#[derive(Debug)]
pub(super) enum Action {
    Say(Speech),
    Ask {
        prompt: Prompt,
        expects: Expects,
        bounds: Bounds,
        pattern: Option<Pattern>,
    },
    Menu {
        prompt: Prompt,
        synonyms: Vec<Vec<Typed>>,
        allow_numbers: bool,
    },
    Branch {
        cases: Vec<CompiledCase>,
        save_as: Option<String>,
    },
    Split(Vec<Branch>),
    Assign(Vec<(String, Leaf)>),
    Contact(Box<ContactTemplates>),
    Delay {
        delay: Delay,
        until: Option<Text>,
    },
    AwaitEvent(WaitForEvent),
    Call(Box<CallTemplates>),
    /// Without a timeout it does not wait.
    Handoff {
        note: Option<Text>,
        timeout: Option<Duration>,
    },
    RunFlow(Box<SubFlow>),
    End {
        outcome: Option<String>,
        speech: Speech,
    },
}

#[derive(Debug)]
pub(super) struct CallTemplates {
    pub(super) method: String,
    pub(super) url: Text,
    pub(super) headers: Vec<(String, Text)>,
    pub(super) body: Leaf,
    /// The content type of a text that has no header for it.
    pub(super) text_type: &'static str,
    /// Whether the author wrote steps of only dots into the address.
    pub(super) has_dots: bool,
    pub(super) timeout_ms: u32,
    pub(super) max_retries: u32,
    pub(super) save_as: Option<String>,
}

#[derive(Debug)]
pub(super) struct SubFlow {
    pub(super) id: FlowId,
    pub(super) context: Vec<(String, Leaf)>,
    pub(super) save_as: Option<String>,
    pub(super) returns: bool,
}

#[derive(Debug)]
pub(super) struct ContactTemplates {
    pub(super) name: Option<Text>,
    pub(super) email: Option<Text>,
    pub(super) language: Option<Text>,
    pub(super) metadata: Vec<(String, Leaf)>,
    pub(super) add_tags: Vec<Text>,
    pub(super) remove_tags: Vec<Text>,
    pub(super) opt_out: Option<bool>,
}

impl CompiledFlow {
    /// Compiles a document and checks that it can be published. Sequences have no time to live unless they set one.
    ///
    /// Gives the flow if it can run at all, and every problem found. A flow without an entry node is compiled: it can
    /// be published by force, and its trigger is refused.
    pub fn compile<'a>(document: FlowDocument, publishing: impl Into<Publishing<'a>>) -> (Option<Self>, Vec<Problem>) {
        let publishing = publishing.into();
        let (flow, mut found) = Self::build(document, publishing.default_ttl, Templates::checked(TEMPLATES));
        found.extend(check::graph(&flow.document, flow.ttl, &publishing));
        errors_first(&mut found);
        let runs =
            found.iter().all(|problem| problem.severity != Severity::Error || problem.id == check::NO_ENTRY_NODE);
        (runs.then_some(flow), found)
    }

    /// Compiles a version that was published, without the checks of publishing: sessions go on with the version they
    /// started on, also after a later release of this program has come to check more. A template or pattern that it
    /// cannot read any more is blank.
    pub fn load(document: FlowDocument, default_ttl: Duration) -> Self {
        Self::build(document, default_ttl, Templates::published()).0
    }

    fn build(document: FlowDocument, default_ttl: Duration, templates: Templates) -> (Self, Vec<Problem>) {
        let mut compiler = Compiler::new(&document, templates);
        let actions = document.nodes.iter().map(|node| compiler.action(node)).collect();
        let late_text = compiler.late_text(document.settings.late_reply.as_ref());
        let Compiler { templates, problems, patterns, .. } = compiler;
        let ttl = match (document.settings.session_ttl_minutes, document.kind) {
            (Some(minutes), _) => Some(Duration::from_secs(u64::from(minutes) * 60)),
            (None, FlowKind::Flow) => Some(default_ttl),
            (None, FlowKind::Sequence) => None,
        };
        let places = document.nodes.iter().enumerate().map(|(index, node)| (node.id.to_string(), index)).collect();
        let date_order = document.settings.date_order.as_deref().and_then(DateOrder::parse);
        let weight = weights::FLOW
            + document.nodes.len() * weights::NODE
            + templates.len() * weights::TEMPLATE
            + patterns.min(PATTERNS) * weights::PATTERN;
        let document = Arc::new(document);
        (Self { document, templates, actions, places, ttl, date_order, late_text, weight }, problems)
    }

    /// What people call the flow.
    pub fn name(&self) -> &str {
        &self.document.name
    }

    /// The document it was compiled from.
    pub fn document(&self) -> &FlowDocument {
        &self.document
    }

    /// About how much memory it takes besides its texts, in bytes. Templates make up the most: a document of small ones
    /// takes a hundred times its size.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Whether a session has a node to begin at.
    pub fn has_entry(&self) -> bool {
        self.entry().is_some()
    }

    /// Where a late reply starts a new session, as the document says.
    fn restart_node(&self) -> Option<&str> {
        match &self.document.settings.late_reply {
            Some(LateReply::RestartAt(node)) => Some(node.as_str()),
            _ => None,
        }
    }

    pub(super) fn entry(&self) -> Option<usize> {
        self.places.get(self.document.entry_node.as_deref()?).copied()
    }

    /// The country by which a contact's numbers and dates are read.
    pub(super) fn country_of(&self, contact: &Contact) -> Option<String> {
        contact.country(self.document.settings.country.as_deref())
    }

    pub(super) fn node(&self, index: usize) -> &Node {
        &self.document.nodes[index]
    }

    /// What the node with this id does.
    pub(super) fn action_of(&self, node: &str) -> Option<&Action> {
        self.places.get(node).map(|index| &self.actions[*index])
    }
}

/// Every problem that can be known of a document, whatever its shape: a slip in one node does not hide what is wrong
/// with the others.
pub fn problems_of<'a>(document: &Value, publishing: impl Into<Publishing<'a>>) -> Vec<Problem> {
    let publishing = publishing.into();
    let Survey { document, unread, problems: mut found } = FlowDocument::survey(document);
    let is_whole = found.is_empty();
    let Some(document) = document else { return found };
    let entry = document.entry_node.clone();
    let (flow, of_fields) = CompiledFlow::build(document, publishing.default_ttl, Templates::checked(TEMPLATES));
    found.extend(of_fields);
    // A problem that exists only because a node could not be read is not reported: it may be none.
    let leads_to_unread = |problem: &Problem| {
        let target = match (problem.node.as_deref(), problem.field.as_deref()) {
            (Some(node), Some(field)) => field
                .strip_prefix("exits.")
                .and_then(|exit| flow.places.get(node).and_then(|index| flow.node(*index).exit(exit))),
            _ => None,
        };
        target.is_some_and(|target| unread.contains(target))
    };
    let is_known = |problem: &Problem| match problem.id {
        id if id == checks::UNKNOWN_EXIT_TARGET.id() => !leads_to_unread(problem),
        id if id == checks::UNREACHABLE_NODE.id() => is_whole,
        id if id == checks::NO_ENTRY_NODE.id() => !entry.as_ref().is_some_and(|entry| unread.contains(entry)),
        id if id == checks::UNKNOWN_RESTART_NODE.id() => !flow.restart_node().is_some_and(|node| unread.contains(node)),
        _ => true,
    };
    found.extend(check::graph(&flow.document, flow.ttl, &publishing).into_iter().filter(is_known));
    errors_first(&mut found);
    found
}

/// What stops a publish comes before what does not.
fn errors_first(problems: &mut [Problem]) {
    problems.sort_by_key(|problem| problem.severity != Severity::Error);
}

struct Compiler<'a> {
    templates: Templates,
    problems: Vec<Problem>,
    node: &'a str,
    patterns: usize,
    /// How the flow's author writes numbers.
    writing: Writing,
}

impl<'a> Compiler<'a> {
    fn new(document: &'a FlowDocument, templates: Templates) -> Self {
        let mut problems = Vec::new();
        if document.settings.timezone.as_deref().is_some_and(|name| TimeZone::get(name).is_err()) {
            let text = "The time zone is not known. Use a name such as Europe/Berlin.";
            problems.push(Problem::new(checks::UNKNOWN_TIMEZONE, text).field("settings.timezone"));
        }
        let writing = Writing::of_country(document.settings.country.as_deref());
        Self { templates, problems, node: "", patterns: 0, writing }
    }

    fn action(&mut self, node: &'a Node) -> Action {
        self.node = node.id.as_str();
        match &node.kind {
            NodeKind::SendMessage(say) => {
                let mut speech = self.speech(say.text.as_deref(), say.template.as_ref());
                speech.media = say.media.as_ref().map(|media| self.media(media));
                Action::Say(speech)
            }
            NodeKind::Ask(ask) => Action::Ask {
                prompt: Prompt {
                    speech: self.speech(ask.text.as_deref(), ask.template.as_ref()),
                    retry: ask.retry_text.as_deref().map(|text| self.text("retry_text", text)),
                    save_as: ask.save_as.clone(),
                    max_attempts: ask.max_attempts,
                    timeout: ask.timeout_seconds.map(Duration::from_secs),
                },
                pattern: ask
                    .validation
                    .pattern
                    .as_deref()
                    .and_then(|source| self.pattern("validation.pattern", source)),
                expects: ask.expects,
                bounds: self.bounds(ask),
            },
            NodeKind::Menu(menu) => {
                let mut speech = self.speech(menu.text.as_deref(), menu.template.as_ref());
                speech.options =
                    menu.options.iter().enumerate().map(|(index, option)| self.option(index, option)).collect();
                Action::Menu {
                    prompt: Prompt {
                        speech,
                        retry: menu.retry_text.as_deref().map(|text| self.text("retry_text", text)),
                        save_as: menu.save_as.clone(),
                        max_attempts: menu.max_attempts,
                        timeout: menu.timeout_seconds.map(Duration::from_secs),
                    },
                    synonyms: menu
                        .options
                        .iter()
                        .map(|option| option.synonyms.iter().map(|text| Typed::of(text)).collect())
                        .collect(),
                    allow_numbers: menu.allow_numbers,
                }
            }
            NodeKind::Condition(condition) => Action::Branch {
                cases: condition
                    .cases
                    .iter()
                    .enumerate()
                    .map(|(index, case)| {
                        let right = format!("cases[{index}].right");
                        CompiledCase {
                            left: self.leaf(&format!("cases[{index}].left"), &Value::String(case.left.clone())),
                            operator: case.operator,
                            pattern: (case.operator == Operator::Matches)
                                .then(|| self.case_pattern(&right, &case.right))
                                .flatten(),
                            right: match case.operator {
                                Operator::Matches => Leaf::Plain(case.right.clone()),
                                _ => self.leaf(&right, &case.right),
                            },
                            exit: case.exit.clone(),
                        }
                    })
                    .collect(),
                save_as: condition.save_as.clone(),
            },
            NodeKind::RandomSplit(split) => Action::Split(split.branches.clone()),
            NodeKind::SetVariable(set) => Action::Assign(
                set.assignments
                    .iter()
                    .enumerate()
                    .map(|(index, assignment)| {
                        let value = self.leaf(&format!("assignments[{index}].value"), &assignment.value);
                        (assignment.name.clone(), value)
                    })
                    .collect(),
            ),
            NodeKind::UpdateContact(update) => Action::Contact(Box::new(ContactTemplates {
                name: update.name.as_deref().map(|text| self.text("name", text)),
                email: update.email.as_deref().map(|text| self.text("email", text)),
                language: update.language.as_deref().map(|text| self.text("language", text)),
                metadata: update
                    .metadata
                    .iter()
                    .map(|(key, value)| (key.clone(), self.leaf(&format!("metadata.{key}"), value)))
                    .collect(),
                add_tags: update.add_tags.iter().map(|tag| self.text("add_tags", tag)).collect(),
                remove_tags: update.remove_tags.iter().map(|tag| self.text("remove_tags", tag)).collect(),
                opt_out: update.opt_out,
            })),
            NodeKind::Delay(delay) => {
                Action::Delay { until: delay.until.as_deref().map(|text| self.until(text)), delay: delay.clone() }
            }
            NodeKind::WaitForEvent(wait) => Action::AwaitEvent(wait.clone()),
            NodeKind::HttpRequest(request) => Action::Call(Box::new(self.call(request))),
            NodeKind::Handoff(handoff) => {
                let seconds = handoff.timeout_seconds.unwrap_or(Handoff::TIMEOUT_SECONDS);
                Action::Handoff {
                    note: handoff.note.as_deref().map(|text| self.text("note", text)),
                    timeout: handoff.wait.then(|| Duration::from_secs(seconds)),
                }
            }
            NodeKind::RunFlow(run) => Action::RunFlow(Box::new(SubFlow {
                id: run.flow_id,
                context: run
                    .context
                    .iter()
                    .map(|(name, value)| (name.clone(), self.leaf(&format!("context.{name}"), value)))
                    .collect(),
                save_as: run.save_as.clone(),
                returns: run.returns,
            })),
            NodeKind::End(end) => Action::End {
                outcome: end.outcome.clone(),
                speech: self.speech(end.text.as_deref(), end.template.as_ref()),
            },
        }
    }

    fn speech(&mut self, text: Option<&str>, template: Option<&TemplateUse>) -> Speech {
        Speech {
            text: text.map(|text| self.text("text", text)),
            media: None,
            template: template.map(|template| ChannelTemplate {
                name: template.name.clone(),
                language: template.language.clone(),
                variables: template
                    .variables
                    .iter()
                    .map(|(name, text)| {
                        // A link to a medium: what stands in it is no more than a part of it.
                        let begins_link = name == "header.1" && address::begins_link(text);
                        let place = if begins_link { Place::Link } else { Place::Text };
                        (name.clone(), self.compile(&format!("template.variables.{name}"), text, place))
                    })
                    .collect(),
            }),
            options: Vec::new(),
        }
    }

    fn call(&mut self, request: &HttpRequest) -> CallTemplates {
        let (body, text_type) = self.body(request);
        CallTemplates {
            method: request.method.clone(),
            url: self.compile("url", &request.url, Place::Address),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (name.to_lowercase(), self.text(&format!("headers.{name}"), value)))
                .collect(),
            body,
            text_type,
            has_dots: address::has_dots(&request.url),
            timeout_ms: request.timeout_ms,
            max_retries: request.max_retries,
            save_as: request.save_as.clone(),
        }
    }

    /// The body of a call, and the content type that it has if it is a text and no header says another.
    fn body(&mut self, request: &HttpRequest) -> (Leaf, &'static str) {
        let Value::String(source) = &request.body else {
            if !body::takes_json(&request.headers) {
                let why = "The body is JSON and the header `content-type` says something else. Remove the header, or \
                           write the body as a text.";
                self.problems.push(Problem::new(checks::BAD_HTTP_BODY, why).at(self.node).field("body"));
            }
            return (self.body_value(&request.body), body::PLAIN);
        };
        let kind = body::Kind::of(&request.headers, source);
        if kind == body::Kind::Plain || !has_tags(source) {
            return (self.leaf("body", &request.body), kind.default_type());
        }
        (Leaf::Text(self.guarded(source, kind)), kind.default_type())
    }

    /// A part of a body that is JSON. A text in it that is JSON itself keeps its values in their places, too.
    fn body_value(&mut self, value: &Value) -> Leaf {
        match value {
            Value::String(source) if has_tags(source) => {
                let kind = body::Kind::of_part(source);
                let is_guarded = kind == body::Kind::Json || !body::guard(source, kind).problems.is_empty();
                if is_guarded { Leaf::Text(self.guarded(source, kind)) } else { self.leaf("body", value) }
            }
            Value::Array(items) => Leaf::List(items.iter().map(|item| self.body_value(item)).collect()),
            Value::Object(fields) => {
                Leaf::Object(fields.iter().map(|(key, value)| (key.clone(), self.body_value(value))).collect())
            }
            plain => self.leaf("body", plain),
        }
    }

    /// A text of a body with its values escaped.
    fn guarded(&mut self, source: &str, kind: body::Kind) -> Text {
        let guarded = body::guard(source, kind);
        if let Some(why) = guarded.problems.first() {
            let text = format!("{why}.");
            self.problems.push(Problem::new(checks::BAD_HTTP_BODY, text).at(self.node).field("body"));
        }
        self.templates.compile_guarded(source, &guarded.source).unwrap_or_else(|problem| {
            self.refuse("body", problem);
            Text::Literal(String::new())
        })
    }

    fn media(&mut self, media: &MediaTemplate) -> Media {
        Media {
            kind: media.kind.clone(),
            url: self.compile("media.url", &media.url, Place::Link),
            caption: media.caption.as_deref().map(|text| self.text("media.caption", text)),
            filename: media.filename.as_deref().map(|text| self.text("media.filename", text)),
        }
    }

    fn option(&mut self, index: usize, option: &MenuOption) -> MenuChoice {
        MenuChoice {
            id: option.id.clone(),
            title: self.text(&format!("options[{index}].title"), &option.title),
            description: option
                .description
                .as_deref()
                .map(|text| self.text(&format!("options[{index}].description"), text)),
        }
    }

    fn late_text(&mut self, late_reply: Option<&LateReply>) -> Option<Text> {
        let Some(LateReply::Text(source)) = late_reply else { return None };
        let compiled = self.templates.compile(source, Place::Text);
        compiled.map_err(|problem| self.problems.push(problem.field("settings.late_reply.text"))).ok()
    }

    fn text(&mut self, field: &str, source: &str) -> Text {
        self.compile(field, source, Place::Text)
    }

    fn compile(&mut self, field: &str, source: &str, place: Place) -> Text {
        self.templates.compile(source, place).unwrap_or_else(|problem| {
            self.refuse(field, problem);
            Text::Literal(String::new())
        })
    }

    fn leaf(&mut self, field: &str, value: &Value) -> Leaf {
        self.templates.compile_value(value).unwrap_or_else(|problem| {
            self.refuse(field, problem);
            Leaf::Plain(Value::Null)
        })
    }

    /// Records the problem of a template; that there are too many is recorded once.
    fn refuse(&mut self, field: &str, problem: Problem) {
        let too_many = checks::TOO_MANY_TEMPLATES.id();
        if problem.id != too_many || !self.problems.iter().any(|one| one.id == too_many) {
            self.problems.push(problem.at(self.node).field(field));
        }
    }

    /// A moment to wait for. Whether one without templates in it is any is known now, whatever the zone.
    fn until(&mut self, source: &str) -> Text {
        let text = self.text("until", source);
        if let Text::Literal(literal) = &text
            && moment::of_text(literal, &TimeZone::UTC).is_none()
            && !source.contains("{{")
        {
            let why = format!(
                "`{literal}` is no moment in time. Write it as 2026-12-31T09:00, with an offset such as +01:00 if it \
                 is not on the contact's clock."
            );
            self.problems.push(Problem::new(checks::BAD_DELAY, why).at(self.node).field("until"));
        }
        text
    }

    fn bounds(&mut self, ask: &Ask) -> Bounds {
        let (bounds, bad) = Bounds::read(ask.expects, &ask.validation, self.writing);
        for (field, why) in bad {
            let text = format!("The bound cannot be used: {why}.");
            self.problems.push(Problem::new(checks::BAD_VALIDATION, text).at(self.node).field(field));
        }
        bounds
    }

    fn case_pattern(&mut self, field: &str, right: &Value) -> Option<Pattern> {
        if let Value::String(source) = right {
            return self.pattern(field, source);
        }
        let text = format!("`matches` needs a pattern, and {right} is none. Write it as a text.");
        self.problems.push(Problem::new(checks::BAD_PATTERN, text).at(self.node).field(field));
        None
    }

    fn pattern(&mut self, field: &str, source: &str) -> Option<Pattern> {
        self.patterns += 1;
        if self.patterns > PATTERNS {
            if self.patterns == PATTERNS + 1 {
                let text = format!("The flow has more than {PATTERNS} patterns. Split it.");
                self.problems.push(Problem::new(checks::TOO_MANY_PATTERNS, text).at(self.node).field(field));
            }
            return None;
        }
        let (pattern, why) = Pattern::compile(source);
        if let Some(why) = why {
            let text = format!("The pattern `{source}` cannot be used: {why}. Correct it.");
            self.problems.push(Problem::new(checks::BAD_PATTERN, text).at(self.node).field(field));
        }
        pattern
    }
}
