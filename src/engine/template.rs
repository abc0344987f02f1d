//! Templates: `{{context.cart_total|money}}` inside texts, links and values.
//!
//! Built on minijinja. All templates of a flow are parsed once, into one environment per flow. Added to it: the roots
//! that exist, the filters `date`, `money`, `phone_national` and `default`, the percent-encoding inside links, the rule
//! that a missing value is empty text and a warning, and the fuel that bounds a turn.

use std::collections::BTreeSet;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Object;
use minijinja::{Environment, ErrorKind, Output, State, UndefinedBehavior, Value as Dynamic};
use serde_json::Value;

use super::notes::{is_missing, note_missing, notes, saw_missing};
use super::pieces::{Piece, pieces};
use super::scope::Scope;
use super::{body, callables, filters, lists};
use crate::domain::{Contact, Problem, checks, is_encoded_path, unseen};

/// Template instructions that one turn may run: at most about 2 ms of the writer's time, whatever they are.
pub(super) const TURN_FUEL: u64 = 20_000;
/// Bytes that one `{{…}}` or `{%…%}` may have.
const TAG_BYTES: usize = 500;
/// Tags that one template may have.
const TAGS: usize = 200;

/// What `{{…}}` can begin with. The second list bounds the next step, where the set is closed.
const ROOTS: [(&str, &[&str]); 7] = [
    ("context", &[]),
    ("contact", Contact::READABLE),
    ("input", &["text", "id", "type", "referral", "referred_product"]),
    ("session", &["id"]),
    ("flow", &["id", "name"]),
    ("node", &["visits"]),
    ("now", &[]),
];

/// A compiled text.
#[derive(Debug, Clone)]
pub(super) enum Text {
    /// Nothing to fill in.
    Literal(String),
    /// A template of the flow's environment.
    Template {
        /// Its name there.
        name: String,
        /// The paths it reads, such as `context.cart_total`, to name what was missing.
        paths: Vec<String>,
        /// It is exactly one `{{…}}`: its value can keep its type.
        typed: bool,
    },
}

/// A JSON value whose string leaves are templates.
#[derive(Debug, Clone)]
pub(super) enum Leaf {
    /// A number, true, false, null.
    Plain(Value),
    /// A string, which is a template.
    Text(Text),
    /// A list of leaves.
    List(Vec<Leaf>),
    /// An object; keys are no templates.
    Object(Vec<(String, Leaf)>),
}

/// What a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Text that is not escaped.
    Text,
    /// A link: values are percent-encoded, unless they are already, or the whole link is one value.
    Link,
    /// The address of a call: as a link, but a value stays within the step of the path that it stands in, so that a
    /// typed text never leads to another endpoint.
    Address,
}

/// The templates of one flow.
#[derive(Debug)]
pub(super) struct Templates {
    environment: Environment<'static>,
    count: usize,
    at_most: usize,
    /// Whether what a template calls is looked for before it runs.
    is_checked: bool,
}

/// Why a template gave nothing.
pub(super) enum RenderError {
    /// The turn's fuel is used up.
    OutOfFuel,
    /// It failed on these values; the sentence is for the trace.
    Failed(String),
}

/// The outcome of a template.
pub(super) struct Rendered<T> {
    pub(super) value: T,
    /// Paths whose value was missing.
    pub(super) missing: Vec<String>,
    /// What filters could do nothing with, for the trace.
    pub(super) notes: Vec<String>,
    pub(super) fuel: u64,
}

const RESULT: &str = "qyvo_result";

impl Templates {
    /// No templates yet and later at most so many, for a document that is to be published.
    pub(super) fn checked(at_most: usize) -> Self {
        Self { at_most, is_checked: true, ..Self::published() }
    }

    /// No templates yet, for a document that was published and runs on as it did.
    pub(super) fn published() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        environment.set_fuel(Some(TURN_FUEL));
        environment.set_formatter(format_value);
        lists::restrict(&mut environment);
        filters::add(&mut environment);
        body::add_filters(&mut environment);
        Self { environment, count: 0, at_most: usize::MAX, is_checked: false }
    }

    /// What the templates are compiled with.
    #[cfg(test)]
    pub(super) fn environment(&self) -> &Environment<'static> {
        &self.environment
    }

    /// How many templates were compiled.
    pub(super) fn len(&self) -> usize {
        self.environment.templates().count()
    }

    /// Compiles a text.
    ///
    /// # Errors
    /// A problem without its place: the syntax is wrong, or a root is unknown.
    pub(super) fn compile(&mut self, source: &str, place: Place) -> Result<Text, Problem> {
        if !has_tags(source) {
            return Ok(Text::Literal(source.to_owned()));
        }
        let bare = single_expression(source);
        self.add(source, source, bare, place)
    }

    /// Compiles a guarded form of the text that its author wrote; problems quote the author's text.
    ///
    /// # Errors
    /// As [`Templates::compile`].
    pub(super) fn compile_guarded(&mut self, source: &str, guarded: &str) -> Result<Text, Problem> {
        if has_tags(source) { self.add(source, guarded, None, Place::Text) } else { self.compile(source, Place::Text) }
    }

    fn add(&mut self, source: &str, run: &str, bare: Option<&str>, place: Place) -> Result<Text, Problem> {
        check_size(source)?;
        if let Some(why) = lists::forbidden(source) {
            return Err(Problem::new(checks::BAD_TEMPLATE, format!("The template `{source}` {why}.")));
        }
        if self.count >= self.at_most {
            let text = format!("The flow has more than {} templates. Split it.", self.at_most);
            return Err(Problem::new(checks::TOO_MANY_TEMPLATES, text));
        }
        self.count += 1;
        let suffix = match place {
            Place::Link if bare.is_none() => "link",
            Place::Address if bare.is_none() => "address",
            _ => "text",
        };
        let name = format!("{}.{suffix}", self.count);
        let bad = |error: &minijinja::Error| {
            let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            Problem::new(checks::BAD_TEMPLATE, format!("The template `{source}` cannot be read: {detail}. Correct it."))
        };
        self.environment.add_template_owned(name.clone(), run.to_owned()).map_err(|error| bad(&error))?;
        if let Some(why) = self.is_checked.then(|| callables::wrong_call(&self.environment, run)).flatten() {
            return Err(Problem::new(checks::UNKNOWN_TEMPLATE_CALL, format!("In `{source}`: {why}.")));
        }
        let typed = bare.is_some();
        if let Some(expression) = bare {
            let typed_source = format!("{{% set {RESULT} = ({expression}) %}}");
            self.environment.add_template_owned(format!("{name}.value"), typed_source).map_err(|error| bad(&error))?;
        }
        let template = self.environment.get_template(&name).map_err(|error| bad(&error))?;
        let paths: BTreeSet<String> = template.undeclared_variables(true).into_iter().collect();
        for path in &paths {
            check_root(path, source, &self.environment)?;
        }
        let paths = paths
            .into_iter()
            .filter(|path| !is_global(path, &self.environment) && !has_default(path, source))
            .collect();
        Ok(Text::Template { name, paths, typed })
    }

    /// Compiles all strings of a JSON value.
    ///
    /// # Errors
    /// As [`Templates::compile`].
    pub(super) fn compile_value(&mut self, value: &Value) -> Result<Leaf, Problem> {
        Ok(match value {
            Value::String(text) => Leaf::Text(self.compile(text, Place::Text)?),
            Value::Array(items) => {
                Leaf::List(items.iter().map(|item| self.compile_value(item)).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => Leaf::Object(
                fields
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.compile_value(value)?)))
                    .collect::<Result<_, Problem>>()?,
            ),
            plain => Leaf::Plain(plain.clone()),
        })
    }

    /// Renders a template to text.
    pub(super) fn render(&self, name: &str, paths: &[String], scope: &Scope) -> Result<Rendered<String>, RenderError> {
        let captured = self
            .environment
            .get_template(name)
            .and_then(|template| template.render_captured(Dynamic::from_object(scope.clone())))
            .map_err(|error| render_error(&error))?;
        let fuel = captured.state().fuel_levels().map_or(0, |(consumed, _)| consumed);
        let missing = if saw_missing(captured.state()) { missing_paths(paths, scope) } else { Vec::new() };
        let notes = notes(captured.state());
        Ok(Rendered { value: captured.into_output(), missing, notes, fuel })
    }

    /// Evaluates a template that is exactly one `{{…}}` and keeps the type of its value.
    pub(super) fn evaluate(&self, name: &str, paths: &[String], scope: &Scope) -> Result<Rendered<Value>, RenderError> {
        let captured = self
            .environment
            .get_template(&format!("{name}.value"))
            .and_then(|template| template.render_captured(Dynamic::from_object(scope.clone())))
            .map_err(|error| render_error(&error))?;
        let fuel = captured.state().fuel_levels().map_or(0, |(consumed, _)| consumed);
        let value = captured.state().lookup(RESULT).unwrap_or(Dynamic::UNDEFINED);
        let missing = if is_missing(&value) { missing_paths(paths, scope) } else { Vec::new() };
        let value = serde_json::to_value(&value).unwrap_or(Value::Null);
        Ok(Rendered { value, missing, notes: notes(captured.state()), fuel })
    }
}

/// Whether anything is filled in.
pub(super) fn has_tags(source: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|open| source.contains(open))
}

/// Refuses what the template library's recursion could not bear: it walks an expression as deep as it has operators.
fn check_size(source: &str) -> Result<(), Problem> {
    let too_large = |what: String| {
        let shown: String = source.chars().take(40).collect();
        Err(Problem::new(checks::TEMPLATE_TOO_LARGE, format!("The template `{shown}…` {what}. Split it.")))
    };
    let mut tags = 0;
    for piece in pieces(source) {
        let (Piece::Value(tag) | Piece::Tag(_, tag) | Piece::Comment(tag) | Piece::Unread(tag)) = piece else {
            continue;
        };
        if tag.len() > TAG_BYTES {
            return too_large(format!("has a tag of more than {TAG_BYTES} bytes"));
        }
        tags += 1;
        if tags > TAGS {
            return too_large(format!("has more than {TAGS} tags"));
        }
    }
    Ok(())
}

/// The inside of a text that is exactly one `{{…}}`.
pub(super) fn single_expression(source: &str) -> Option<&str> {
    let inner = source.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.trim_matches('-');
    (!inner.contains("{{") && !inner.contains("}}") && !inner.trim().is_empty()).then_some(inner)
}

fn is_global(path: &str, environment: &Environment<'_>) -> bool {
    let root = path.split('.').next().unwrap_or(path);
    environment.globals().any(|(name, _)| name == root)
}

/// Whether the author has given a default for a missing value.
fn has_default(path: &str, source: &str) -> bool {
    source.match_indices(path).any(|(at, _)| {
        let rest = source[at + path.len()..].trim_start();
        let filter = rest.strip_prefix('|').map(str::trim_start).unwrap_or_default();
        let name: String = filter.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        matches!(name.as_str(), "default" | "d")
    })
}

fn check_root(path: &str, source: &str, environment: &Environment<'_>) -> Result<(), Problem> {
    let mut steps = path.split('.');
    let root = steps.next().unwrap_or_default();
    if is_global(path, environment) {
        return Ok(());
    }
    let known = |list: &[&str]| list.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let Some((_, fields)) = ROOTS.iter().find(|(name, _)| *name == root) else {
        let roots: Vec<&str> = ROOTS.iter().map(|(name, _)| *name).collect();
        let text = format!("`{root}` in `{source}` is not known. Use one of {}.", known(&roots));
        return Err(Problem::new(checks::UNKNOWN_TEMPLATE_ROOT, text));
    };
    match steps.next() {
        Some(field) if !fields.is_empty() && !fields.contains(&field) => {
            let text =
                format!("`{root}.{field}` in `{source}` is not known. Use one that `{root}` has: {}.", known(fields));
            Err(Problem::new(checks::UNKNOWN_TEMPLATE_ROOT, text))
        }
        _ => Ok(()),
    }
}

fn render_error(error: &minijinja::Error) -> RenderError {
    if error.kind() == ErrorKind::OutOfFuel {
        return RenderError::OutOfFuel;
    }
    RenderError::Failed(error.detail().map_or_else(|| error.kind().to_string(), str::to_owned))
}

/// Whether nothing of a value can be seen. One blank or line break is what an author writes between two values.
fn shows_nothing(text: &str) -> bool {
    unseen::is_blank(text) && !matches!(text, "" | " " | "\n")
}

fn missing_paths(paths: &[String], scope: &Scope) -> Vec<String> {
    let root = std::sync::Arc::new(scope.clone());
    let is_absent = |path: &&String| {
        let mut steps = path.split('.');
        let mut value = steps.next().and_then(|name| root.get_value(&Dynamic::from(name))).unwrap_or_default();
        for step in steps {
            value = value.get_attr(step).unwrap_or_default();
        }
        is_missing(&value)
    };
    paths.iter().filter(is_absent).cloned().collect()
}

/// Writes a value into the output: missing ones as nothing, percent-encoded inside links.
fn format_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Dynamic) -> Result<(), minijinja::Error> {
    if is_missing(value) || value.as_str().is_some_and(shows_nothing) {
        note_missing(state);
        return Ok(());
    }
    if state.name().ends_with(".link") {
        let text = value.to_string();
        refuse_dots(&text)?;
        if is_encoded_path(&text) {
            refuse_dots(&text.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/").replace("%2F", "/"))?;
            return Ok(out.write_str(&text)?);
        }
        let encoded = state.apply_filter("urlencode", &[Dynamic::from(text)])?;
        return Ok(out.write_str(encoded.as_str().unwrap_or_default())?);
    }
    if state.name().ends_with(".address") {
        return Ok(out.write_str(&encode_step(&value.to_string())?)?);
    }
    minijinja::escape_formatter(out, state, value)
}

/// Percent-encodes a step of an address. Steps of only dots mean other steps, encoded or not (WHATWG URL, section 4.4),
/// so that they are refused.
fn encode_step(text: &str) -> Result<String, minijinja::Error> {
    refuse_dots(text)?;
    Ok(body::percent(text))
}

/// Refuses a value of an address that leads up its path.
fn refuse_dots(text: &str) -> Result<(), minijinja::Error> {
    if text.split(['/', '\\']).any(|step| step == "." || step == "..") {
        let why = "dots alone do not belong into an address";
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{ContactId, FlowDocument, FlowId, ReplyKind, SessionId, SessionInput};
    use crate::engine::lists::dynamic;
    use crate::engine::scope::{MadeRoots, TurnScope};

    fn scope() -> Scope {
        let document = json!({"schema_version": 1, "name": "F", "nodes": [], "settings": {
            "country": "DE", "timezone": "Europe/Berlin"
        }});
        Scope {
            context: dynamic(&json!({
                "cart_total": "1290.5", "n": 3, "empty": "", "nothing": null, "evil": "{{contact.name}}",
                "path": "a b/ü?&", "when": "2026-05-07T22:30:00Z", "deep": {"list": [1, 2]}
            })),
            turn: Arc::new(TurnScope {
                contact: Contact {
                    name: Some("Ann".to_owned()),
                    ..Contact::new(ContactId(Uuid::nil()), Some("+442079460000".parse().unwrap()))
                },
                input: Some(SessionInput::of(
                    ReplyKind::Text,
                    Some("hi"),
                    None,
                    Some(&json!({"referral": {"source_id": "120", "welcome_message": {"text": "Hello"}}})),
                )),
                session: SessionId(Uuid::nil()),
                flow: FlowId(Uuid::nil()),
                document: Arc::new(FlowDocument::parse(&document).unwrap()),
                now: "2026-05-07T08:14:23+00:00".parse().unwrap(),
                made: MadeRoots::default(),
            }),
            visits: 1,
        }
    }

    fn render_in(source: &str, place: Place) -> (String, Vec<String>) {
        let mut templates = Templates::published();
        match templates.compile(source, place).unwrap() {
            Text::Literal(text) => (text, Vec::new()),
            Text::Template { name, paths, .. } => match templates.render(&name, &paths, &scope()) {
                Ok(rendered) => (rendered.value, rendered.missing),
                Err(RenderError::OutOfFuel) => ("out of fuel".to_owned(), Vec::new()),
                Err(RenderError::Failed(why)) => (format!("failed: {why}"), Vec::new()),
            },
        }
    }

    fn render(source: &str) -> String {
        render_in(source, Place::Text).0
    }

    #[test]
    fn fills_in_values_once() {
        assert_eq!(render("Hi {{contact.name|default('there')}}!"), "Hi Ann!");
        assert_eq!(render("{{context.evil}}"), "{{contact.name}}");
        assert_eq!(render("{{context.n + 1}} {{node.visits}}"), "4 1");
        assert_eq!(render("no template { here }"), "no template { here }");
        let (text, missing) = render_in(
            "{{input.referral.source_id}} {{input.referral.welcome_message.text}}{{input.referral.ctwa_clid}}\
             {{input.referred_product.catalog_id}}",
            Place::Text,
        );
        assert_eq!(text, "120 Hello");
        assert_eq!(missing, ["input.referral.ctwa_clid", "input.referred_product.catalog_id"]);
    }

    #[test]
    fn our_filters() {
        assert_eq!(render("{{context.cart_total|money}}"), "1,290.50");
        assert_eq!(render("{{context.n|money('EUR')}}"), "3.00 EUR");
        assert_eq!(render("{{'abc'|money}}"), "abc");
        assert_eq!(render("{{(-1234567.891)|money}}"), "-1,234,567.89");
        assert_eq!(
            render("{{context.missing|default('x')}}{{context.nothing|default('y')}}{{context.empty|default('z')}}"),
            "xyz"
        );
        assert_eq!(render("{{context.when|date('%d.%m.%Y %H:%M')}}"), "08.05.2026 00:30");
        assert_eq!(render("{{'2026-05-07'|date('%d.%m.%Y')}} {{'soon'|date}}"), "07.05.2026 soon");
        assert_eq!(render("{{contact.phone|phone_national}}"), "020 7946 0000");
    }

    #[test]
    fn missing_values_are_empty_and_named() {
        let (text, missing) =
            render_in("[{{context.missing.deeper}}] [{{context.nothing}}] [{{contact.name}}]", Place::Text);
        assert_eq!(text, "[] [] [Ann]");
        assert_eq!(missing, ["context.missing.deeper", "context.nothing"]);
        let (_, missing) = render_in("{{context.missing|default('x')}}", Place::Text);
        assert!(missing.is_empty(), "a default is no missing value");
        let (_, missing) = render_in("{{context.one}} {{ context.two | default('x') }}", Place::Text);
        assert_eq!(missing, ["context.one"], "nor beside one that is");
    }

    #[test]
    fn values_in_links_are_percent_encoded() {
        let (link, _) = render_in("https://shop.example/{{context.path}}", Place::Link);
        assert_eq!(link, "https://shop.example/a%20b/%C3%BC%3F%26");
        let (link, _) = render_in("https://shop.example/{{'../private/' ~ context.n}}", Place::Link);
        assert!(link.starts_with("failed"), "{link}");
        let (link, _) = render_in("{{context.path}}", Place::Link);
        assert_eq!(link, "a b/ü?&", "a value that is the whole link stands as it is");
    }

    #[test]
    fn a_single_expression_keeps_its_type() {
        let mut templates = Templates::published();
        let mut evaluate = |source: &str| match templates.compile(source, Place::Text).unwrap() {
            Text::Template { name, paths, typed: true } => {
                templates.evaluate(&name, &paths, &scope()).ok().map(|rendered| rendered.value)
            }
            _ => None,
        };
        assert_eq!(evaluate("{{context.n}}"), Some(json!(3)));
        assert_eq!(evaluate(" {{ context.deep }} "), Some(json!({"list": [1, 2]})));
        assert_eq!(evaluate("{{context.missing}}"), Some(Value::Null));
        assert_eq!(evaluate("{{context.n}}{{context.n}}"), None);
    }

    #[test]
    fn unknown_roots_and_bad_syntax_are_problems() {
        let mut templates = Templates::published();
        let mut problem = |source: &str| templates.compile(source, Place::Text).err().map(|problem| problem.id);
        assert_eq!(problem("{{cart_total}}"), Some("unknown_template_root"));
        assert_eq!(problem("{{contact.shoe_size}}"), Some("unknown_template_root"));
        assert_eq!(problem("{{contact.metadata.shoe_size}}"), None);
        assert_eq!(problem("{{input.referral.ctwa_clid}} {{input.referred_product.catalog_id}}"), None);
        assert_eq!(problem("{{input.order}}"), Some("unknown_template_root"));
        assert_eq!(problem("{{context.cart_total"), Some("bad_template"));
        assert_eq!(problem("{{context.a|no_such_filter}}"), None, "a version that was published goes on");
        assert_eq!(problem("{% for i in range(3) %}{{i}}{% endfor %}"), None);
    }

    #[test]
    fn templates_that_would_exhaust_the_stack_are_refused() {
        let mut templates = Templates::published();
        let mut problem = |source: String| templates.compile(&source, Place::Text).err().map(|problem| problem.id);
        let large = Some("template_too_large");
        for repeated in ["1+", "1~", "-", "not ", "1 and ", "1 if 0 else ", "2**"] {
            assert_eq!(problem(format!("{{{{{}1}}}}", repeated.repeat(20_000))), large, "{repeated}");
            let hidden = format!("{{{{ '}}}}' ~ \"}}}}\\\"}}}}\" ~ {}1 }}}}", repeated.repeat(20_000));
            assert_eq!(problem(hidden), large, "{repeated} behind a quoted end");
        }
        for repeated in ["|d", ".a", "[0]", "()", " is defined"] {
            assert_eq!(problem(format!("{{{{context.x{}}}}}", repeated.repeat(5_000))), large, "{repeated}");
        }
        assert_eq!(problem(format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(10_000))), large);
        assert_eq!(problem(format!("{{{{ {}1 }}}}", "1+".repeat(240))), None, "what is allowed compiles");
        assert_eq!(problem(format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(198))), None);
        assert_eq!(problem("{{context.x}} ".repeat(200)), None);
    }

    #[test]
    fn greedy_templates_run_out_of_fuel() {
        assert_eq!(
            render("{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}"),
            "out of fuel"
        );
        assert_eq!(render("{{'x'*100000000}}"), "out of fuel");
    }
}
