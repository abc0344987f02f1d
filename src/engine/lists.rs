//! Lists as templates see them, and what templates may not do with lists.
//!
//! The template library bounds most of what a template does by fuel, but not the repetition of a list: `[1] *
//! 100000000` is made in no time and takes seconds and gigabytes to walk through. So lists of ours cannot be repeated,
//! and a template that multiplies may not make any itself. Nor may a template keep values, with which a few lines could
//! make a list of a thousand billion lists, or one that contains itself.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Serde};
use minijinja::{Environment, Error, ErrorKind, State, Value as Dynamic};
use serde_json::Value;

use super::pieces::{Piece, pieces};

/// Functions of the library that make values which contain themselves, or that reveal internals of the program.
const NO_FUNCTIONS: [&str; 3] = ["namespace", "dict", "debug"];
/// Filters whose argument says how much they make.
const NO_FILTERS: [&str; 5] = ["batch", "slice", "indent", "center", "format"];
/// Tags that only choose and repeat.
const TAGS: [&str; 8] = ["if", "elif", "else", "endif", "for", "endfor", "raw", "endraw"];
/// What makes a list.
const MAKES_LISTS: [&str; 19] = [
    "range",
    "split",
    "lines",
    "list",
    "sort",
    "unique",
    "map",
    "select",
    "reject",
    "selectattr",
    "rejectattr",
    "items",
    "dictsort",
    "chain",
    "zip",
    "reverse",
    "groupby",
    "batch",
    "slice",
];
/// Words behind which a bracket begins a list.
const OPERATORS: [&str; 7] = ["in", "not", "and", "or", "if", "else", "is"];
/// What a value costs that is written as JSON, for each of its bytes.
const JSON_FUEL: u64 = 1;

/// Takes from an environment what its fuel does not bound.
pub(super) fn restrict(environment: &mut Environment<'static>) {
    NO_FUNCTIONS.iter().for_each(|name| environment.remove_global(name));
    NO_FILTERS.iter().for_each(|name| environment.remove_filter(name));
    environment.add_filter("tojson", to_json);
    for name in ["length", "count"] {
        environment.add_filter(name, length);
    }
}

/// What a template does that it may not, as the end of a sentence that begins with the template.
pub(super) fn forbidden(source: &str) -> Option<String> {
    let mut multiplies = false;
    let mut makes_lists = None;
    for piece in pieces(source) {
        // What is not read is refused by the library.
        let (is_tag, tag) = match piece {
            Piece::Value(tag) => (false, tag),
            Piece::Tag(_, tag) => (true, tag),
            Piece::Text(_) | Piece::Comment(_) | Piece::Unread(_) => continue,
        };
        let inner = tag[2..].trim_start_matches(['-', '+']).trim_start();
        let words = words(inner);
        if is_tag {
            let first = words.first().map_or("", |(word, _)| *word);
            if !TAGS.contains(&first) {
                return Some(format!(
                    "uses the tag `{first}`. Only if, for and raw can be used: keep values with set_variable"
                ));
            }
            if first == "for" && words.iter().any(|(word, _)| *word == "recursive") {
                return Some("loops recursively. Leave out `recursive`".to_owned());
            }
        }
        let mut last = "";
        for (word, before) in words {
            match word {
                "*" => multiplies = true,
                // A part of a list of ours is a list of the library's.
                ":" => makes_lists = makes_lists.or(Some("[…:…]")),
                "[" if !is_index(before) || OPERATORS.contains(&last) => makes_lists = makes_lists.or(Some("[…]")),
                name if before != Some('.') => {
                    makes_lists = makes_lists.or(MAKES_LISTS.into_iter().find(|one| *one == name));
                }
                _ => {}
            }
            last = word;
        }
    }
    let maker = makes_lists.filter(|_| multiplies)?;
    Some(format!("multiplies and makes a list with `{maker}`. Do one of them in a set_variable before"))
}

/// Whether a bracket behind this character takes something out of a value.
fn is_index(before: Option<char>) -> bool {
    before.is_some_and(|c| c.is_alphanumeric() || "_)]'\"".contains(c))
}

/// The words, stars, colons and brackets of a tag outside of its texts, each with the last character before it that is
/// no blank.
fn words(tag: &str) -> Vec<(&str, Option<char>)> {
    let mut found = Vec::new();
    let mut quote = None;
    let mut escaped = false;
    let mut before = None;
    let mut start = None;
    for (at, c) in tag.char_indices().chain([(tag.len(), ' ')]) {
        let is_word = quote.is_none() && (c.is_alphanumeric() || c == '_');
        match (is_word, start) {
            (true, None) => start = Some((at, before)),
            (false, Some((from, ahead))) => {
                found.push((&tag[from..at], ahead));
                start = None;
            }
            _ => {}
        }
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if "*[:".contains(c) => found.push((&tag[at..at + 1], before)),
            None => {}
        }
        if !c.is_whitespace() {
            before = Some(c);
        }
    }
    found
}

/// A value of ours as templates see it.
pub(super) fn dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Array(items) => Dynamic::from_object(Items(items.iter().map(dynamic).collect())),
        Value::Object(fields) => Dynamic::from_pairs(fields.iter().map(|(key, value)| (key.as_str(), dynamic(value)))),
        Value::String(text) => Dynamic::from(text.as_str()),
        plain => Dynamic::from(Serde(plain)),
    }
}

/// A list that cannot be repeated.
struct Items(Vec<Dynamic>);

/// How the library writes a list.
impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl Object for Items {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Dynamic) -> Option<Dynamic> {
        self.0.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }

    /// The library repeats only sequences of known length.
    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.0.is_empty()
    }
}

/// `length`: also of lists of ours, whose length the library does not get.
fn length(value: Dynamic) -> Result<usize, Error> {
    if let Some(items) = value.downcast_object_ref::<Items>() {
        return Ok(items.0.len());
    }
    value.len().ok_or_else(|| {
        Error::new(ErrorKind::InvalidOperation, format!("a value of the type {} has no length", value.kind()))
    })
}

/// `tojson`: without blanks, and without the library's argument for them, which says how much it writes.
fn to_json(state: &State<'_, '_>, value: Dynamic) -> Result<Dynamic, Error> {
    let text = serde_json::to_string(&value)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, "it cannot be written as JSON").with_source(error))?;
    state.consume_fuel(JSON_FUEL * text.len() as u64)?;
    Ok(Dynamic::from(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_ours_does_all_but_repeat() {
        let mut environment = Environment::new();
        restrict(&mut environment);
        let scope = dynamic(&json!({"l": ["a", "b", ["c", 1]], "e": []}));
        let render = |source: &str| environment.render_str(source, &scope);
        for (source, text) in [
            ("{{ l }}", "['a', 'b', ['c', 1]]"),
            ("{{ l|length }} {{ l[0] }} {{ l[2][1] }} {{ l|last|first }}", "3 a 1 c"),
            ("{{ l|join('-') }} {{ 'b' in l }} {{ l[0:2] }}", "a-b-['c', 1] True ['a', 'b']"),
            ("{% for one in l %}{{ loop.index }}{% endfor %}{{ 'full' if l }}{{ 'empty' if not e }}", "123fullempty"),
            ("{{ l|tojson }}{{ l == l }}", "[\"a\",\"b\",[\"c\",1]]True"),
        ] {
            assert_eq!(render(source).unwrap(), text, "{source}");
        }
        assert!(render("{{ l * 3 }}").is_err());
        assert!(render("{{ (l + l) * 3 }}").is_err());
        assert!(render("{{ l|tojson(indent=4) }}").is_err());
        assert!(render("{{ namespace() }}").is_err());
    }

    #[test]
    fn what_fuel_does_not_bound_is_forbidden() {
        for (source, why) in [
            ("{% set x = 1 %}", "the tag `set`"),
            ("{%- macro a() -%}{% endmacro %}", "the tag `macro`"),
            ("{% for a in context.l recursive %}{% endfor %}", "recursive"),
            ("{{ ['a'] * 9 }}", "`[…]`"),
            ("{{ (['a']) * 9 }}", "`[…]`"),
            ("{{ 9 * [1][0] }}", "`[…]`"),
            ("{% for a in [[1]] %}{{ a * 9 }}{% endfor %}", "`[…]`"),
            ("{{ context.a|split(',') * 9 }}", "`split`"),
            ("{{ range(9) * 9 }}", "`range`"),
            ("{{ 'a' in ['a'] * 9 }}", "`[…]`"),
            ("{{ context.list[0:2] * 9 }}", "`[…:…]`"),
            ("{% raw %}endraw {{ \" {% endraw %}{{ ['a'] * 9 }}", "`[…]`"),
        ] {
            let told = forbidden(source).unwrap_or_else(|| panic!("{source} passes"));
            assert!(told.contains(why), "{source}: {told}");
        }
        for source in [
            "{{ context.price * context.count }}",
            "{% for a in context.list %}{{ a.price * a.count }} {% endfor %}",
            "{{ context.list[0] * 2 }} {{ context['list'][1]|float * 3 }}",
            "{{ '[a] * b' }}{{ context.a|split(',')|join }}",
            "{% raw %}{% set x = [1] * 9 %}{% endraw %}{{ context.a }}",
            "{% if context.a %}{{ [1, 2]|join(', ') }}{% endif %}",
            "{# {% set x %} #}",
        ] {
            assert_eq!(forbidden(source), None, "{source}");
        }
    }
}
