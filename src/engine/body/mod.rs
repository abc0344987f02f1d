//! Text bodies of HTTP calls: a value stays within the place that it stands in, whatever the contact has typed.
//!
//! The body is escaped by its content type. In JSON a value stands in a string, or is a JSON value of its own; in a
//! form it stands behind a `=`; plain text takes it as it is. Where no escape is known (XML, GraphQL, a key of an
//! object, JSON that stands in a text), a flow is not published, and one that was published before calls only with
//! values that mean the same everywhere.

mod form;
mod json;
mod look;
mod ways;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use minijinja::{Environment, Error, ErrorKind, State, Value as Dynamic};
use regex::{Regex, RegexSet};
use serde_json::{Map, Value};

use super::condition::as_text;
use super::notes::{is_missing, note_missing};
use super::pieces::{Piece, inside, pieces};

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

/// Stands for a value in what is [`written`] in a body.
const VALUE: char = '\u{0}';
/// A link in a sentence, whose `=` and `&` make no form of it.
const LINK: &str = r"(?:^|[\s(<])https?://[^\s<>]*";
/// What sentences do not have and data does: brackets and tags, keys in or before quotation marks, fields of forms, the
/// parts of a multipart body, operations of GraphQL and calls of functions.
const SIGNS_OF_DATA: [&str; 11] = [
    r"[{}\[\]]",
    r"<[A-Za-z/!?\x00]",
    r#"^""#,
    r#""\s*:"#,
    r#"[A-Za-z0-9_\x00]:["']"#,
    r#""\s*,\s*\w+\s*:"#,
    r"^[^\s=&]*=|&[^\s=&]+=",
    r#"\S=["']?\x00"#,
    r"(?i)content-(?:disposition|type)\s*:|^--\S",
    r"^(?:query|mutation|subscription|fragment)\s*\w*\s*\(",
    r"(?s)^[A-Za-z_$][\w.$]*\(.*\);?$",
];

/// How the values of a body are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Form,
    Plain,
    /// A text within JSON, which is escaped as a whole.
    Part,
    /// A type whose escape is not known, or that is not known itself.
    Other,
    /// No header declares the type, and signs may have a meaning for the receiver.
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
        static WITHOUT: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(LINK).unwrap_or_else(|error| unreachable!("constant pattern: {error}")));
        static SIGNS: LazyLock<RegexSet> = LazyLock::new(|| {
            RegexSet::new(SIGNS_OF_DATA).unwrap_or_else(|error| unreachable!("constant pattern: {error}"))
        });
        if SIGNS.is_match(&WITHOUT.replace_all(written, " ")) { Self::Unsaid } else { Self::Plain }
    }

    /// Of a text within JSON.
    pub(super) fn of_part(source: &str) -> Self {
        if Self::of_text(&written(source)) == Self::Json { Self::Json } else { Self::Part }
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

/// Whether JSON can be sent as a body of the content type that the headers give.
pub(super) fn takes_json(headers: &BTreeMap<String, String>) -> bool {
    Kind::of(headers, "{}") != Kind::Other
}

/// The fields of an object as a form.
pub(super) fn form_of(fields: &Map<String, Value>) -> String {
    let pairs = fields.iter().map(|(key, value)| format!("{}={}", percent(key), percent(&as_text(value))));
    pairs.collect::<Vec<_>>().join("&")
}

/// What is written in a body besides its values, for each of which [`VALUE`] stands, and its tags.
fn written(body: &str) -> String {
    let mut written = String::with_capacity(body.len());
    for piece in pieces(body) {
        match piece {
            Piece::Text(text) | Piece::Unread(text) => written.push_str(text),
            Piece::Value(_) => written.push(VALUE),
            Piece::Tag(..) | Piece::Comment(_) => {}
        }
    }
    written
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
    let mut filters: Vec<Treatment> = match kind {
        Kind::Plain => return Guarded { source: body.to_owned(), problems: Vec::new() },
        Kind::Json => json::filters(&pieces),
        Kind::Form => form::filters(&pieces),
        Kind::Part => look::filters(&pieces),
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
            Piece::Text(text) | Piece::Tag(_, text) | Piece::Comment(text) => guarded.source.push_str(text),
            Piece::Value(tag) => {
                let (filter, problem) = filters.next().unwrap_or((HARMLESS, None));
                guarded.problems.extend(problem.map(|why| format!("`{tag}` {why}")));
                guarded.source.push_str(&filtered(tag, filter));
            }
            // Nothing of it may go out, should the library read it after all.
            Piece::Unread(_) => guarded.source.push_str(UNREADABLE),
        }
    }
    guarded
}

/// The filter of a value, and why it cannot be escaped where it stands.
type Treatment = (&'static str, Option<&'static str>);

/// A value that nothing is done to.
const AS_IT_IS: &str = "";
/// A template that no library can read.
const UNREADABLE: &str = "{{";

/// `{{ … }}` with a filter behind all that stands in it.
fn filtered(tag: &str, filter: &str) -> String {
    if filter == AS_IT_IS {
        return tag.to_owned();
    }
    let (head, inner, tail) = inside(tag);
    format!("{{{{{head} ({inner})|{filter} {tail}}}}}")
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
            (
                r#"{"a":"{% raw %}use endraw to close{% endraw %}","b":"{{n}}"}"#,
                json!({"a": "use endraw to close", "b": TYPED}),
            ),
            (r#"{"a":"[sic] {{word}} [5] [{{n}}]"}"#, json!({"a": format!("[sic] Ann Lee [5] [{TYPED}]")})),
            (
                r#"{"a":"{\"b\": [{{ word | tojson }}, {{q|tojson}}]}"}"#,
                json!({"a": "{\"b\": [\"Ann Lee\", \"\\\"\"]}"}),
            ),
            (
                r#"{"a":"{% for one in list %}{{one}}, {% endfor %}and {% if n %}[{{n}}]{% else %}-{% endif %}"}"#,
                json!({"a": format!("a\"b, {{'c': None}}, and [{TYPED}]")}),
            ),
            (
                r#"[{% for one in list %}{{one}}{% if not loop.last %},{% endif %}{% endfor %}]"#,
                json!(["a\"b", {"c": null}]),
            ),
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
            r#"{"a":"data={\"b\":\"{{n}}\"}"}"#,
            r#"{"a":"{{word}}{\"b\":\"{{n}}\"}"}"#,
            r#"{"a":"\n{\"b\":\"{{n}}\"}"}"#,
            r#"{"a":"{\u0022b\u0022:\u0022{{n}}\u0022}"}"#,
            r#"{"a":"\u007b\u0022b\u0022:{{n}}}"}"#,
            r#"{"a":"[{{n}}]"}"#,
            r#"{"a":"Data: [{{n}}]"}"#,
            r#"{"a":"Items [\"{{n}}\"]"}"#,
            r#"{"a":"{{word}}\"b\":\"{{n}}\""}"#,
            r#"{"a":"{\"b\":\"{{ n | tojson }}\"}"}"#,
            r#"{"a":"{\"b\":{{ n ~ n | tojson }}}"}"#,
            r#"{"a":"{% for one in list %}{{n}}{ {% endfor %}"}"#,
            r#"{"a":"{% if five %}{ {% endif %}{{n}}"}"#,
            r#"{"b":1,{% if five %}"{{n}}"{% else %}"a"{% endif %}: 1}"#,
        ] {
            assert!(problems(body, Kind::Json) > 0, "{body}");
            assert!(render(body, Kind::Json).is_err(), "{body}");
        }
        for body in [
            "<name>{{n}}</name>",
            "{% raw %}endraw{% endraw %}<a>{{n}}</a>",
            "query { user(name: \"{{n}}\") { id } }",
            "{{n}}",
        ] {
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
        for body in [
            "{{n}}=1",
            "a=1&{{n}}",
            "{{n}}",
            "a=1;{{n}}=2",
            "a=%{{n}}",
            r#"payload={"text":"{{n}}"}"#,
            r#"payload={"text":{{n}}}"#,
            "payload=%7B%22text%22:%22{{n}}%22%7D",
            "payload=[{{n}}]",
            "{% if five %}a={% endif %}{{n}}",
            "a={% for one in list %}{{n}}&{% endfor %}",
        ] {
            assert_eq!(problems(body, Kind::Form), 1, "{body}");
            assert!(render(body, Kind::Form).is_err(), "{body}");
        }
        for (body, sent) in [
            ("a={% raw %}endraw{% endraw %}&b={{n}}", format!("a=endraw&b={}", percent(TYPED))),
            ("a=1;b={{n}}&c[]={{n}}", format!("a=1;b={0}&c[]={0}", percent(TYPED))),
            ("p={\"a\":{{q|tojson}}}", "p={\"a\":%22%5C%22%22}".to_owned()),
            (
                "{% for one in [1, 2] %}{% if not loop.first %}&{% endif %}a={{n}}{% endfor %}",
                format!("a={0}&a={0}", percent(TYPED)),
            ),
        ] {
            assert_eq!(problems(body, Kind::Form), 0, "{body}");
            assert_eq!(render(body, Kind::Form).unwrap(), sent, "{body}");
        }
        let fields = json!({"a b": "x&y=1", "n": 5, "list": ["&"]});
        assert_eq!(form_of(fields.as_object().unwrap()), "a%20b=x%26y%3D1&n=5&list=%5B%22%26%22%5D");
    }

    #[test]
    fn json_in_a_part_of_json_is_no_text() {
        for source in ["data={\"b\":\"{{n}}\"}", "{{n}}{\"b\":\"{{n}}\"}", "Data: [{{n}}]"] {
            assert_eq!((Kind::of_part(source), problems(source, Kind::Part)), (Kind::Part, 1), "{source}");
            assert!(render(source, Kind::Part).is_err(), "{source}");
        }
        for source in ["He said \"{{n}}\" [{{n}}]", "data={\"b\":{{n|tojson}}}", "{{n}}"] {
            assert_eq!((Kind::of_part(source), problems(source, Kind::Part)), (Kind::Part, 0), "{source}");
        }
        assert_eq!(Kind::of_part("{\"b\":\"{{n}}\"}"), Kind::Json);
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
            (None, "{{n}}<a>{{n}}</a>", Kind::Unsaid),
            (None, "Order: <a>{{n}}</a>", Kind::Unsaid),
            (None, "hello&name={{n}}", Kind::Unsaid),
            (None, "=1&name={{n}}", Kind::Unsaid),
            (None, "full name={{n}}&role=user", Kind::Unsaid),
            (None, "full name={{n}}", Kind::Unsaid),
            (None, "a:\"{{n}}\",b:1", Kind::Unsaid),
            (None, "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n{{n}}\r\n--x--", Kind::Unsaid),
            (None, "\r\nContent-Disposition: form-data\r\n\r\n{{n}}", Kind::Unsaid),
            (None, "mutation(n: {{n}})", Kind::Unsaid),
            (None, "query Of(n: {{n}})", Kind::Unsaid),
            (None, "go({{n}});", Kind::Unsaid),
            (None, "{\"a\":\"{{n}}\"}\n{\"b\":\"{{n}}\"}", Kind::Json),
            (
                None,
                "{{n}} <3 & more (2 items): \"{{n}}\", at 5 < 6, see https://shop.example/?a=1&id={{n}}",
                Kind::Plain,
            ),
            (None, "Name: {{n}}\nRole: user", Kind::Plain),
            (None, "He said: \"{{n}}\"", Kind::Plain),
        ] {
            assert_eq!(kind(header, body), expected, "{header:?} {body}");
            let is_sent_raw = render(body, expected).is_ok_and(|text| text.contains(TYPED));
            assert_eq!(is_sent_raw, expected == Kind::Plain, "{header:?} {body}");
        }
    }
}
