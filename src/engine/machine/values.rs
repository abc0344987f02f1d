//! What nodes read and write: templates filled in, the context and the contact, each within its limits.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::Value as Dynamic;
use minijinja::value::{Enumerator, Object};
use serde_json::{Map, Value};

use super::{Halt, Machine};
use crate::domain::profile::{clean_name, clean_tag};
use crate::domain::text::json_depth;
use crate::domain::{ContactChange, Operator, Reason};
use crate::engine::compile::ContactTemplates;
use crate::engine::lists::dynamic;
use crate::engine::pattern::{self, Pattern};
use crate::engine::scope::{MadeRoots, Scope, TurnScope};
use crate::engine::template::{Leaf, RenderError, TURN_FUEL, Text};
use crate::engine::{Change, Effect, Warning, limits};

/// Bytes of a value that cost as much as one instruction of a template.
const BYTES_PER_FUEL: u64 = 128;

impl Machine<'_> {
    /// Renders a text for a message. What goes wrong short of a limit is a warning.
    pub(super) fn text(&mut self, index: usize, text: &Text) -> Result<String, Halt> {
        let whole = self.whole_text(index, text)?;
        if matches!(text, Text::Literal(_)) || whole.chars().count() <= limits::TEXT_CHARS {
            return Ok(whole);
        }
        self.warn(index, format!("a text is longer than {} characters and was cut", limits::TEXT_CHARS));
        let cut: String = whole.chars().take(limits::TEXT_CHARS).collect();
        // Not within a word, if it has any.
        let end = cut.rfind(char::is_whitespace).filter(|end| *end > 0 && *end * 2 > cut.len()).unwrap_or(cut.len());
        Ok(cut[..end].to_owned())
    }

    /// Renders a text of any length.
    pub(super) fn whole_text(&mut self, index: usize, text: &Text) -> Result<String, Halt> {
        Ok(self.rendered(index, text)?.unwrap_or_default())
    }

    /// Renders a text of any length. `None` if its template failed on these values, which is a warning.
    pub(super) fn rendered(&mut self, index: usize, text: &Text) -> Result<Option<String>, Halt> {
        let (name, paths) = match text {
            Text::Literal(text) => return Ok(Some(text.clone())),
            Text::Template { name, paths, .. } => (name, paths),
        };
        let scope = self.scope(index);
        let rendered = match self.flow.templates.render(name, paths, &scope) {
            Ok(rendered) => rendered,
            Err(error) => return self.render_failed(index, error).map(|()| None),
        };
        self.burn(rendered.fuel)?;
        self.warn_of(index, rendered.missing, rendered.notes);
        Ok(Some(rendered.value))
    }

    /// Fills in a JSON value; a string of exactly one `{{…}}` becomes a value of that type.
    pub(super) fn value(&mut self, index: usize, leaf: &Leaf) -> Result<Value, Halt> {
        Ok(match leaf {
            Leaf::Plain(value) => value.clone(),
            Leaf::Text(Text::Template { name, paths, typed: true }) => {
                let scope = self.scope(index);
                match self.flow.templates.evaluate(name, paths, &scope) {
                    Ok(rendered) => {
                        self.burn(rendered.fuel)?;
                        self.burn_bytes(json_bytes(&rendered.value))?;
                        self.warn_of(index, rendered.missing, rendered.notes);
                        rendered.value
                    }
                    Err(error) => return self.render_failed(index, error).map(|()| Value::Null),
                }
            }
            Leaf::Text(text) => Value::String(self.text(index, text)?),
            Leaf::List(items) => {
                let items: Result<Vec<Value>, Halt> = items.iter().map(|item| self.value(index, item)).collect();
                Value::Array(items?)
            }
            Leaf::Object(fields) => {
                let mut object = Map::new();
                for (key, leaf) in fields {
                    object.insert(key.clone(), self.value(index, leaf)?);
                }
                Value::Object(object)
            }
        })
    }

    pub(super) fn render_failed(&mut self, index: usize, error: RenderError) -> Result<(), Halt> {
        match error {
            RenderError::OutOfFuel => Err(Halt(Reason::TemplateLimit)),
            RenderError::Failed(why) => {
                self.warn(index, format!("a template failed and gave nothing: {why}"));
                // What it burnt before it failed is not known; a turn can afford ten such.
                self.burn(TURN_FUEL / 10)
            }
        }
    }

    pub(super) fn burn(&mut self, fuel: u64) -> Result<(), Halt> {
        self.fuel += fuel;
        if self.fuel > TURN_FUEL { Err(Halt(Reason::TemplateLimit)) } else { Ok(()) }
    }

    /// Whether the turn can afford to search a text for a pattern; it is paid for then. What it cannot afford is not
    /// found, and a warning, so that a long message does not end a session.
    pub(super) fn affords(&mut self, index: usize, pattern: &Pattern, text: &str) -> bool {
        let cost = pattern.cost(text);
        if self.pattern_fuel + cost > TURN_FUEL {
            self.warn(index, "a pattern was not looked for: with the text it is too much for one turn".to_owned());
            return false;
        }
        if text.len() > pattern::TEXT_BYTES {
            let bytes = pattern::TEXT_BYTES;
            self.warn(index, format!("a pattern was looked for in the first {bytes} bytes of a text only"));
        }
        self.pattern_fuel += cost;
        true
    }

    /// Copying and comparing values costs the writer's time, too.
    pub(super) fn burn_bytes(&mut self, bytes: usize) -> Result<(), Halt> {
        self.burn(bytes as u64 / BYTES_PER_FUEL)
    }

    /// Warns of what a template had to do without, and of what its filters could do nothing with.
    pub(super) fn warn_of(&mut self, index: usize, missing: Vec<String>, notes: Vec<String>) {
        notes.into_iter().for_each(|note| self.warn(index, note));
        for path in missing {
            // A value that the contact has not given is often absent; the author gets a warning all the same.
            self.warn(index, format!("`{path}` is missing and gave nothing"));
        }
    }

    pub(super) fn warn(&mut self, index: usize, text: String) {
        self.add_warning(Warning { node: Some(self.flow.node(index).id.clone()), text });
    }

    pub(super) fn warn_of_session(&mut self, text: String) {
        self.add_warning(Warning { node: None, text });
    }

    fn add_warning(&mut self, warning: Warning) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Writes into the context, within its limit.
    pub(super) fn assign(&mut self, index: usize, name: &str, value: Value) -> Result<(), Halt> {
        if json_depth(&value) > limits::DEPTH {
            self.warn(index, format!("`context.{name}` would be nested deeper than {} levels", limits::DEPTH));
            return Err(Halt(Reason::StateLimit));
        }
        let entry_bytes = |value: &Value| json_bytes(value) + name.len() + 4;
        let before = match self.context_bytes {
            Some(bytes) => bytes,
            None => json_bytes(&self.session.context),
        };
        let replaced = self.session.context.get(name).map_or(0, entry_bytes);
        let added = entry_bytes(&value);
        let after = before - replaced.min(before) + added;
        if after + self.held() > limits::STATE_BYTES {
            self.warn(
                index,
                format!("`context.{name}` would make the context larger than {} bytes", limits::STATE_BYTES),
            );
            return Err(Halt(Reason::StateLimit));
        }
        self.burn_bytes(added)?;
        self.context_bytes = Some(after);
        if let Some(view) = &mut self.context_view {
            view.set(name, &value);
        }
        self.changes.push(Change { name: format!("context.{name}"), value: value.clone() });
        self.session.context.insert(name.to_owned(), value);
        Ok(())
    }

    /// Whether the state is within its limit. For what comes from outside; nodes that write are counted by
    /// [`Machine::assign`].
    pub(super) fn has_room(&mut self) -> bool {
        self.held_bytes = None;
        json_bytes(&self.session.context) + self.held() <= limits::STATE_BYTES
    }

    /// What counts as state besides the context of the frame that runs.
    fn held(&mut self) -> usize {
        let Self { session, callers, held_bytes, .. } = self;
        *held_bytes.get_or_insert_with(|| {
            let of_callers: usize = callers.iter().map(|frame| json_bytes(&frame.context)).sum();
            list_bytes(&session.kept_events) + list_bytes(&session.queued_replies) + of_callers
        })
    }

    /// What templates read at a node.
    pub(super) fn scope(&mut self, index: usize) -> Scope {
        let context = self.context_view.get_or_insert_with(|| ContextView::new(&self.session.context)).clone();
        let turn = self.turn_scope();
        let visits = self.session.visits.get(&self.flow.node(index).id).copied().unwrap_or(0);
        Scope { context: Dynamic::from_object(context), turn, visits }
    }

    /// The part of the scope that is the same for all templates of the running flow in this turn.
    pub(super) fn turn_scope(&mut self) -> Arc<TurnScope> {
        // A menu notes the tapped option in the input, and a node may change the contact.
        if let Some(turn) = self.turn_scope.as_ref().filter(|turn| turn.input == self.session.input) {
            return turn.clone();
        }
        let turn = Arc::new(TurnScope {
            contact: self.contact.clone(),
            input: self.session.input.clone(),
            session: self.session.id,
            flow: self.frame.as_ref().map_or(self.session.flow_id, |frame| frame.flow.id),
            document: self.flow.document.clone(),
            now: self.now,
            made: MadeRoots::default(),
        });
        self.turn_scope = Some(turn.clone());
        turn
    }

    pub(super) fn update_contact(&mut self, index: usize, templates: &ContactTemplates) -> Result<(), Halt> {
        let mut text = |template: &Option<Text>| match template {
            Some(template) => self.text(index, template).map(|text| Some(text.trim().to_owned())),
            None => Ok(None),
        };
        let (name, email, language) = (text(&templates.name)?, text(&templates.email)?, text(&templates.language)?);
        let name = name.as_deref().map(clean_name);
        let mut metadata = Map::new();
        for (key, leaf) in &templates.metadata {
            metadata.insert(key.clone(), self.value(index, leaf)?);
        }
        let mut change = ContactChange {
            name,
            language,
            metadata,
            add_tags: self.tags(index, &templates.add_tags)?,
            remove_tags: self.tags(index, &templates.remove_tags)?,
            opt_out: templates.opt_out,
            ..ContactChange::default()
        };
        if email.as_deref().is_some_and(|email| !email.is_empty() && !email.contains('@')) {
            self.warn(index, "the email address is not one and is not kept".to_owned());
        } else {
            change.email = email;
        }
        let mut candidate = self.contact.clone();
        candidate.apply(&change, self.now);
        let bytes = serde_json::to_vec(&candidate.metadata).map_or(usize::MAX, |bytes| bytes.len());
        let depth = candidate.metadata.values().map(json_depth).max().unwrap_or(0);
        if bytes > limits::STATE_BYTES || depth > limits::DEPTH {
            self.warn(index, "the contact's metadata would be too large or nested too deep".to_owned());
            return Err(Halt(Reason::StateLimit));
        }
        self.burn_bytes(bytes)?;
        self.contact = candidate;
        self.turn_scope = None;
        if let Ok(Value::Object(fields)) = serde_json::to_value(&change) {
            self.changes
                .extend(fields.into_iter().map(|(key, value)| Change { name: format!("contact.{key}"), value }));
        }
        self.effects.push(Effect::UpdateContact(change));
        Ok(())
    }

    fn tags(&mut self, index: usize, templates: &[Text]) -> Result<Vec<String>, Halt> {
        let mut tags = Vec::with_capacity(templates.len());
        for template in templates {
            let tag = clean_tag(&self.text(index, template)?);
            if tag.is_empty() {
                self.warn(index, "a blank tag is left out".to_owned());
            } else {
                tags.push(tag);
            }
        }
        Ok(tags)
    }
}

/// What comparing a value costs, in instructions of a template: folding its text, which takes far longer outside ASCII,
/// and splitting it into words, which takes longer still.
pub(super) fn compare_cost(operator: Operator, value: &Value) -> u64 {
    let of_text = |text: &str| {
        let bytes = text.len() as u64;
        match operator {
            Operator::HasAnyWord | Operator::HasAllWords => bytes / 4,
            _ if text.is_ascii() => bytes / 128,
            _ => bytes / 8,
        }
    };
    match value {
        Value::String(text) => of_text(text),
        Value::Array(items) => {
            let of_items: u64 = items.iter().map(|item| compare_cost(operator, item)).sum();
            items.len() as u64 / 4 + of_items
        }
        Value::Object(_) => json_bytes(value) as u64 / 8,
        _ => 0,
    }
}

/// What a list takes of the state; an empty one takes nothing.
fn list_bytes<T: serde::Serialize>(items: &[T]) -> usize {
    if items.is_empty() { 0 } else { json_bytes(&items) }
}

pub(super) fn json_bytes(value: &impl serde::Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Values of serde_json always serialise, and counting cannot fail.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// The context as templates read it. Each key is converted once, so that a flow that writes and reads in turns does
/// not convert the whole context each time.
#[derive(Debug, Clone)]
pub(super) struct ContextView(Arc<BTreeMap<String, Dynamic>>);

impl ContextView {
    fn new(context: &Map<String, Value>) -> Self {
        Self(Arc::new(context.iter().map(|(key, value)| (key.clone(), dynamic(value))).collect()))
    }

    fn set(&mut self, key: &str, value: &Value) {
        Arc::make_mut(&mut self.0).insert(key.to_owned(), dynamic(value));
    }
}

impl Object for ContextView {
    fn get_value(self: &Arc<Self>, key: &Dynamic) -> Option<Dynamic> {
        self.0.get(key.as_str()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(|key| Dynamic::from(key.as_str())).collect())
    }
}
