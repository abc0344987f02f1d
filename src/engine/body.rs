//! Text bodies of HTTP calls: a value stays within the place that it stands in, whatever somebody has typed.
//!
//! The body is escaped by its content type. In JSON a value stands in a string, or is a JSON value of its own; in a
//! form it stands behind a `=`; plain text takes it as it is. Where no escape is known (XML, GraphQL, a key of an
//! object), a flow is not published, and one that was published before calls only with values that mean the same
//! everywhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use minijinja::{Environment, Error, ErrorKind, State, Value as Dynamic};
use serde_json::{Map, Value};

use super::condition::as_text;
use super::template::{is_missing, note_missing, tag_length};

/// The content type of bodies that are JSON.
pub(super) const JSON: &str = "application/json";
/// The content type of texts that are nothing else.
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";
const FORM: &str = "application/x-www-form-urlencoded";

/// Filters that the bodies' values go through; authors have no use for them.
const IN_STRING: &str = "qyvo_json_string";
const AS_VALUE: &str = "qyvo_json_value";
const IN_FORM: &str = "qyvo_form_value";
const HARMLESS: &str = "qyvo_harmless";
/// Bytes of a value that are escaped for one unit of fuel.
const BYTES_PER_FUEL: usize = 64;

/// How the values of a body are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Form,
    Plain,
    /// A type whose escape is not known, or that is not known itself.
    Other,
    /// No header says what it is, and its signs may mean something to whoever reads it.
    Unsaid,
}

impl Kind {
    /// By the content type that the headers give; without one by what is written around the values.
    pub(super) fn of(headers: &BTreeMap<String, String>, body: &str) -> Self {
        let given = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        match given {
            Some((_, value)) => Self::of_type(value),
            None => Self::of_text(&written(body)),
        }
    }

    /// By what is [`written`] in it.
    fn of_text(written: &str) -> Self {
        let written = written.trim();
        let is_within = |open: char, close: char| written.starts_with(open) && written.ends_with(close);
        if is_within('{', '}') || is_within('[', ']') {
            return Self::Json;
        }
        let is_field = |field: &str| {
            let name = field.split_once('=').map(|(name, _)| name);
            name.is_some_and(|name| !name.is_empty() && !name.contains(char::is_whitespace))
        };
        let solid: String = written.chars().filter(|c| !c.is_whitespace()).collect();
        let is_data = written.split('&').all(is_field)
            || written.starts_with(['<', '"'])
            || written.contains(['{', '}', '[', ']'])
            || solid.contains("\":");
        if is_data { Self::Unsaid } else { Self::Plain }
    }

    fn of_type(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            JSON | "text/json" => Self::Json,
            json if json.ends_with("+json") => Self::Json,
            FORM => Self::Form,
            "text/plain" => Self::Plain,
            _ => Self::Other,
        }
    }

    /// The content type of a text body that has no header for it.
    pub(super) fn default_type(self) -> &'static str {
        if self == Self::Json { JSON } else { PLAIN }
    }
}

/// Whether a content type is that of a form.
pub(super) fn is_form(content_type: &str) -> bool {
    Kind::of_type(content_type) == Kind::Form
}

/// Whether a text with values in it is JSON around them.
pub(super) fn is_json_text(source: &str) -> bool {
    Kind::of_text(&written(source)) == Kind::Json
}

/// Whether JSON can be sent as a body of the content type that the headers give.
pub(super) fn takes_json(headers: &BTreeMap<String, String>) -> bool {
    Kind::of(headers, "{}") != Kind::Other
}

/// The fields of an object as a form.
pub(super) fn form_of(fields: &Map<String, Value>) -> String {
    let pairs = fields.iter().map(|(key, value)| format!("{}={}", percent(key), percent(&as_text(value))));
    pairs.collect::<Vec<_>>().join("&")
}

/// What is written in a body besides its values, each of which is a letter here, and its tags.
fn written(body: &str) -> String {
    let texts = pieces(body).into_iter().map(|piece| match piece {
        Piece::Text(text) => text,
        Piece::Value(_) => "v",
        Piece::Tag(..) => "",
    });
    texts.collect()
}

/// A body whose values are escaped, and why some of them cannot be, as the end of a sentence that begins with the
/// value.
pub(super) struct Guarded {
    pub(super) source: String,
    pub(super) problems: Vec<String>,
}

/// Escapes the values of a body.
pub(super) fn guard(body: &str, kind: Kind) -> Guarded {
    let pieces = pieces(body);
    let mut filters: Vec<(&'static str, Option<&'static str>)> = match kind {
        Kind::Plain => return Guarded { source: body.to_owned(), problems: Vec::new() },
        Kind::Json => json_filters(&pieces),
        Kind::Form => form_filters(&pieces),
        Kind::Other | Kind::Unsaid => Vec::new(),
    };
    let unknown = match kind {
        Kind::Unsaid => {
            "stands in a body of which nothing says what it is. Write the body as a JSON object, or add the header \
             content-type: application/json, application/x-www-form-urlencoded, or text/plain where it is nothing but \
             text"
        }
        _ => {
            "stands in a body whose content type has no escape that is known here. Write the body as a JSON object, or \
             with the content type application/json, application/x-www-form-urlencoded or text/plain"
        }
    };
    filters.resize(pieces.iter().filter(|piece| matches!(piece, Piece::Value(_))).count(), (HARMLESS, Some(unknown)));
    let mut filters = filters.into_iter();
    let mut guarded = Guarded { source: String::with_capacity(body.len() + 64), problems: Vec::new() };
    for piece in pieces {
        match piece {
            Piece::Text(text) | Piece::Tag(_, text) => guarded.source.push_str(text),
            Piece::Value(tag) => {
                let (filter, problem) = filters.next().unwrap_or((HARMLESS, None));
                guarded.problems.extend(problem.map(|why| format!("`{tag}` {why}")));
                guarded.source.push_str(&filtered(tag, filter));
            }
        }
    }
    guarded
}

/// A part of a template's text.
enum Piece<'a> {
    Text(&'a str),
    /// `{{…}}`
    Value(&'a str),
    /// `{%…%}` with its first word, or a comment.
    Tag(&'a str, &'a str),
}

fn pieces(source: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = source;
    while let Some(open) = ["{{", "{%", "{#"].iter().filter_map(|open| rest.find(open)).min() {
        let length = tag_length(&rest[open..]);
        let (text, tag) = (&rest[..open], &rest[open..open + length]);
        pieces.push(Piece::Text(text));
        rest = &rest[open + length..];
        if tag.starts_with("{{") {
            pieces.push(Piece::Value(tag));
            continue;
        }
        let inner = tag[2..].trim_start_matches(['-', '+']).trim_start();
        let word = inner.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        pieces.push(Piece::Tag(if tag.starts_with("{%") { word } else { "" }, tag));
        if tag.starts_with("{%") && word == "raw" {
            let end = rest.find("endraw").and_then(|at| rest[..at].rfind("{%")).unwrap_or(rest.len());
            pieces.push(Piece::Text(&rest[..end]));
            rest = &rest[end..];
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// `{{ … }}` with a filter behind all that stands in it.
fn filtered(tag: &str, filter: &str) -> String {
    let inner = tag.strip_prefix("{{").and_then(|tag| tag.strip_suffix("}}"));
    let Some(inner) = inner else { return tag.to_owned() };
    let is_control = |c: char| c == '-' || c == '+';
    let head = if inner.starts_with(is_control) { &inner[..1] } else { "" };
    let body = &inner[head.len()..];
    let tail = if body.ends_with('-') { "-" } else { "" };
    let body = &body[..body.len() - tail.len()];
    format!("{{{{{head} ({body})|{filter} {tail}}}}}")
}

/// What a string of JSON may be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum StringState {
    /// Nothing but blanks stands in it yet.
    Empty,
    /// It begins with a bracket, as JSON does.
    Opens,
    /// It has quotation marks besides, so that its values would have to be escaped twice.
    Nested,
    Text,
}

/// Where a text of JSON is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct JsonState {
    in_string: bool,
    /// Characters of an escape that are still to come.
    escape: u8,
    /// What the string is, as far as it has been read.
    string: StringState,
    /// The last character outside of strings.
    last: Option<char>,
}

const KEY: &str =
    "stands where the key of an object is, and nobody who writes to you may choose that. Write the key out";
const ESCAPE: &str = "stands inside of an escape. Remove the backslash before it";
const NESTED: &str = "stands in JSON that is written as a string, where it would have to be escaped twice. Write the \
                      body as a JSON object: a text in it that is JSON is escaped as such";
const PLACE: &str = "stands where no JSON value can be. Put it into quotation marks";
const BRANCHES: &str = "stands in a string in one branch and outside of it in another. Write the quotation marks \
                        within the branches, or the body as a JSON object";

fn json_filters(pieces: &[Piece<'_>]) -> Vec<(&'static str, Option<&'static str>)> {
    let mut filters: Vec<(&'static str, Option<&'static str>)> = Vec::new();
    let mut now = JsonState { in_string: false, escape: 0, string: StringState::Empty, last: None };
    let mut branches: Vec<JsonState> = Vec::new();
    let mut is_uneven = false;
    // Values of the string, or the value, that has just ended: the next character says whether that was a key.
    let (mut open, mut ended) = (Vec::new(), Vec::new());
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                for c in text.chars() {
                    if now.in_string {
                        now.string = match (now.string, now.escape, c) {
                            (StringState::Empty, 0, '{' | '[') => StringState::Opens,
                            (StringState::Empty, _, c) if !c.is_whitespace() => StringState::Text,
                            (StringState::Opens, 1, '"') => StringState::Nested,
                            (state, _, _) => state,
                        };
                        match (now.escape, c) {
                            (0, '\\') => now.escape = 1,
                            (0, '"') => {
                                now.in_string = false;
                                now.last = Some('"');
                                ended.append(&mut open);
                            }
                            (0, _) => {}
                            (1, 'u') => now.escape = 5,
                            (1, _) => now.escape = 0,
                            (2, _) => now.escape = 0,
                            (_, _) => now.escape -= 1,
                        }
                    } else if !c.is_whitespace() {
                        if c == ':' {
                            ended.iter().for_each(|at: &usize| filters[*at] = (HARMLESS, Some(KEY)));
                        } else if !",]}".contains(c) {
                            let bare = ended.iter().filter(|at| filters[**at].0 == AS_VALUE).copied();
                            bare.collect::<Vec<_>>().iter().for_each(|at| filters[*at] = (HARMLESS, Some(PLACE)));
                        }
                        ended.clear();
                        now.in_string = c == '"';
                        now.string = StringState::Empty;
                        now.last = Some(c);
                    }
                }
            }
            Piece::Value(_) if now.in_string => {
                open.push(filters.len());
                filters.push(match (now.escape, now.string) {
                    (0, StringState::Nested) => (HARMLESS, Some(NESTED)),
                    (0, _) => (IN_STRING, None),
                    _ => (HARMLESS, Some(ESCAPE)),
                });
                if now.string == StringState::Empty {
                    now.string = StringState::Text;
                }
            }
            Piece::Value(_) => {
                let begins = now.last.is_none_or(|last| "[,:".contains(last));
                ended.push(filters.len());
                filters.push(if begins { (AS_VALUE, None) } else { (HARMLESS, Some(PLACE)) });
                now.last = Some('0');
            }
            Piece::Tag("if" | "for", _) => branches.push(now),
            Piece::Tag("elif" | "else" | "endif" | "endfor", tag) => {
                let before = branches.last().copied().unwrap_or(now);
                is_uneven |= (before.in_string, before.escape) != (now.in_string, now.escape);
                if tag.contains("end") {
                    branches.pop();
                } else {
                    now.last = before.last;
                    ended.clear();
                }
            }
            Piece::Tag(..) => {}
        }
    }
    if is_uneven || now.in_string {
        filters.iter_mut().for_each(|filter| *filter = (HARMLESS, Some(BRANCHES)));
    }
    filters
}

fn form_filters(pieces: &[Piece<'_>]) -> Vec<(&'static str, Option<&'static str>)> {
    let why =
        "stands where the name of a field is, and nobody who writes to you may choose that. Write it behind a `=`";
    let mut is_value = false;
    let mut filters = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                for c in text.chars() {
                    match c {
                        '&' => is_value = false,
                        '=' => is_value = true,
                        _ => {}
                    }
                }
            }
            Piece::Value(_) => filters.push(if is_value { (IN_FORM, None) } else { (HARMLESS, Some(why)) }),
            Piece::Tag(..) => {}
        }
    }
    filters
}

/// Adds the filters that escape.
pub(super) fn add_filters(environment: &mut Environment<'static>) {
    environment.add_filter(IN_STRING, |state: &mut State<'_, '_>, value: Dynamic| {
        escaped(state, value, |text| {
            let quoted = Value::from(text).to_string();
            Ok(quoted[1..quoted.len() - 1].to_owned())
        })
    });
    environment.add_filter(IN_FORM, |state: &mut State<'_, '_>, value: Dynamic| {
        escaped(state, value, |text| Ok(percent(&text)))
    });
    environment.add_filter(HARMLESS, |state: &mut State<'_, '_>, value: Dynamic| escaped(state, value, harmless));
    environment.add_filter(AS_VALUE, |state: &mut State<'_, '_>, value: Dynamic| {
        if is_missing(&value) {
            note_missing(state);
            return Ok(Dynamic::from("null"));
        }
        let json = serde_json::to_string(&value).map_err(|error| {
            Error::new(ErrorKind::BadSerialization, "it cannot be written as JSON").with_source(error)
        })?;
        state.consume_fuel((json.len() / BYTES_PER_FUEL) as u64)?;
        Ok(Dynamic::from(json))
    });
}

/// A value's text, escaped; a missing value stays one.
fn escaped(
    state: &State<'_, '_>,
    value: Dynamic,
    escape: impl Fn(String) -> Result<String, Error>,
) -> Result<Dynamic, Error> {
    if is_missing(&value) {
        return Ok(value);
    }
    let text = value.to_string();
    state.consume_fuel((text.len() / BYTES_PER_FUEL) as u64)?;
    escape(text).map(Dynamic::from)
}

/// A text that means itself in whatever format it stands in.
fn harmless(text: String) -> Result<String, Error> {
    if text.chars().all(|c| c.is_alphanumeric() || " -_.@+".contains(c)) {
        return Ok(text);
    }
    let shown: String = text.chars().take(60).collect();
    let why = format!("`{shown}` could change what the body says where it stands");
    Err(Error::new(ErrorKind::InvalidOperation, why))
}

/// Percent-encodes all but the unreserved characters (RFC 3986, section 2.3).
pub(super) fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::lists::dynamic;

    const TYPED: &str = "A \"B\"\n\\C\",\"admin\":\"yes&admin=1";

    fn render(body: &str, kind: Kind) -> Result<String, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Chainable);
        add_filters(&mut environment);
        let scope =
            dynamic(&json!({"n": TYPED, "word": "Ann Lee", "five": 5, "list": ["a\"b", {"c": null}], "q": "\""}));
        let source = guard(body, kind).source;
        environment.render_str(&source, scope).map_err(|error| format!("{source}: {error}"))
    }

    fn problems(body: &str, kind: Kind) -> usize {
        guard(body, kind).problems.len()
    }

    #[test]
    fn what_somebody_types_stays_a_value_of_json() {
        for (body, sent) in [
            (r#"{"name":"{{n}}","ok":1}"#, json!({"name": TYPED, "ok": 1})),
            (r#"{"name": {{n}}, "five": {{ five }}}"#, json!({"name": TYPED, "five": 5})),
            (r#"{"hi":"{{word}}: {{ n | upper }}"}"#, json!({"hi": format!("Ann Lee: {}", TYPED.to_uppercase())})),
            (r#"[{{list}}, {{missing}}, "{{missing}}"]"#, json!([["a\"b", {"c": null}], null, ""])),
            (r#"{"a":"\"{{n}}\\"}"#, json!({"a": format!("\"{TYPED}\\")})),
            (r#"{"a":"He said \"{{n}}\" [sic]"}"#, json!({"a": format!("He said \"{TYPED}\" [sic]")})),
            (
                r#"[{% for one in list %}{"of":"{{one}}"}{% if not loop.last %},{% endif %}{% endfor %}]"#,
                json!([{"of": "a\"b"}, {"of": "{'c': None}"}]),
            ),
            (r#"{"a":{% if five == 5 %}"{{n}}"{% else %}{{n}}{% endif %}}"#, json!({"a": TYPED})),
            (r#"{"a":"{%- if word -%}{{- n -}}{%- endif -%}"}"#, json!({"a": TYPED})),
            (r#"{"a":"{{ n if word else '}}' }}"}"#, json!({"a": TYPED})),
            (r#"{"a":"{% raw %}{{n}}{% endraw %}{{n}}"}"#, json!({"a": format!("{{{{n}}}}{TYPED}")})),
            ("{{n}}", json!(TYPED)),
        ] {
            assert_eq!(problems(body, Kind::Json), 0, "{body}: {:?}", guard(body, Kind::Json).problems);
            let text = render(body, Kind::Json).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), sent, "{body}: {text}");
        }
    }

    #[test]
    fn where_no_escape_holds_nothing_that_could_harm_is_sent() {
        for body in [
            r#"{"{{n}}": 1}"#,
            r#"{"a-{{n}}" : 1}"#,
            r#"{ {{n}}: 1}"#,
            r#"{"a": "\{{n}}"}"#,
            r#"{"a": "\u00{{n}}"}"#,
            r#"{"a": 1{{n}}}"#,
            r#"{"a": {{five}}{{n}}}"#,
            r#"{"a": {{n}}5}"#,
            r#"{"a": {% if five %}"{% endif %}{{n}}{% if five %}"{% endif %}}"#,
            r#"{"a": "{{n}}"#,
            r#"{"a": "{\"name\":\"{{n}}\"}"}"#,
            r#"{"a": "[1, {\"b\": {{n}}}]"}"#,
        ] {
            assert!(problems(body, Kind::Json) > 0, "{body}");
            assert!(render(body, Kind::Json).is_err(), "{body}");
        }
        for body in ["<name>{{n}}</name>", "query { user(name: \"{{n}}\") { id } }", "{{n}}"] {
            assert!(problems(body, Kind::Other) > 0, "{body}");
            assert!(render(body, Kind::Other).is_err(), "{body}");
        }
        assert_eq!(render("<name>{{word}}</name>", Kind::Other).unwrap(), "<name>Ann Lee</name>");
        assert_eq!(problems("<name>Ann</name>", Kind::Other), 0, "without values there is nothing to escape");
    }

    #[test]
    fn values_of_forms_are_percent_encoded() {
        assert_eq!(render("a={{word}}&b={{n}}", Kind::Form).unwrap(), format!("a=Ann%20Lee&b={}", percent(TYPED)));
        assert_eq!(problems("a={{word}}&b={{n}}", Kind::Form), 0);
        for body in ["{{n}}=1", "a=1&{{n}}", "{{n}}"] {
            assert_eq!(problems(body, Kind::Form), 1, "{body}");
            assert!(render(body, Kind::Form).is_err(), "{body}");
        }
        let fields = json!({"a b": "x&y=1", "n": 5, "list": ["&"]});
        assert_eq!(form_of(fields.as_object().unwrap()), "a%20b=x%26y%3D1&n=5&list=%5B%22%26%22%5D");
    }

    #[test]
    fn the_kind_is_that_of_the_header_or_of_the_text() {
        let kind = |header: Option<&str>, body: &str| {
            let headers = header.map(|value| ("Content-Type".to_owned(), value.to_owned()));
            Kind::of(&headers.into_iter().collect(), body)
        };
        for (header, body, expected) in [
            (Some("application/json; charset=utf-8"), "x", Kind::Json),
            (Some("application/vnd.api+JSON"), "x", Kind::Json),
            (Some("application/x-www-form-urlencoded"), "{}", Kind::Form),
            (Some("text/plain"), "{\"a\":\"{{n}}\"}", Kind::Plain),
            (Some("application/xml"), "<a/>", Kind::Other),
            (Some("application/graphql"), "{ a }", Kind::Other),
            (Some("{{context.type}}"), "x", Kind::Other),
            (Some(""), "x", Kind::Other),
            (None, " {\"a\":\"{{n}}\"}\n", Kind::Json),
            (None, "[{{n}}]", Kind::Json),
            (None, "{% if n %}{\"a\":\"{{n}}\"}{% endif %}", Kind::Json),
            (None, "{% for one in list %}{\"a\":\"{{one}}\"}\n{% endfor %}", Kind::Json),
            (None, "{% raw %}{\"a\":\"{% endraw %}{{n}}\"}", Kind::Json),
            (None, "{# of the shop #}{\"a\":\"{{n}}\"}", Kind::Json),
            (None, "{{n}}{\"a\":\"{{n}}\"}", Kind::Unsaid),
            (None, "{{n}}\"a\" : \"{{n}}\"{{n}}", Kind::Unsaid),
            (None, "They say \"{{n}}\".", Kind::Plain),
            (None, "{{n}}", Kind::Plain),
            (None, "{% if n %}{{n}}{% endif %}", Kind::Plain),
            (None, "Order {{n}} (5 = five) & more: {{n}}", Kind::Plain),
            (None, "a={{n}}", Kind::Unsaid),
            (None, "name={{n}}&y=1", Kind::Unsaid),
            (None, "{% if n %}name={{n}}{% endif %}", Kind::Unsaid),
            (None, "[1] {{n}}", Kind::Unsaid),
            (None, "callback({\"a\":\"{{n}}\"})", Kind::Unsaid),
            (None, "\"{{n}}\"", Kind::Unsaid),
            (None, "<name>{{n}}</name>", Kind::Unsaid),
        ] {
            assert_eq!(kind(header, body), expected, "{header:?} {body}");
            let is_sent_raw = render(body, expected).is_ok_and(|text| text.contains(TYPED));
            assert_eq!(is_sent_raw, expected == Kind::Plain, "{header:?} {body}");
        }
    }
}
