//! The pieces of a template's text, as the template library distinguishes them.
//!
//! All code that looks at a template before the library does, to escape its values or to bound what it may do, uses
//! these pieces. What is text here and a value for the library would go out as the contact has typed it; so a tag ends
//! here exactly where it ends there, and what the library refuses is no text.

/// A piece of a template's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// An expression: `{{…}}`
    Value(&'a str),
    /// The first word of `{%…%}`, and all of it.
    Tag(&'a str, &'a str),
    Comment(&'a str),
    /// All from a tag, or a raw block, that does not end: the library refuses it.
    Unread(&'a str),
}

/// The pieces of a text, which are the text again if they are put together.
pub(super) fn pieces(source: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = source;
    let text = |text| (!str::is_empty(text)).then_some(Piece::Text(text));
    while let Some(open) = rest.as_bytes().windows(2).position(|two| two[0] == b'{' && b"{%#".contains(&two[1])) {
        pieces.extend(text(&rest[..open]));
        rest = &rest[open..];
        let Some(length) = tag_length(rest) else {
            pieces.push(Piece::Unread(rest));
            return pieces;
        };
        let (tag, behind) = rest.split_at(length);
        rest = behind;
        match tag.as_bytes()[1] {
            b'{' => pieces.push(Piece::Value(tag)),
            b'#' => pieces.push(Piece::Comment(tag)),
            _ => pieces.push(Piece::Tag(first_word(tag), tag)),
        }
        if is_bare(tag, "raw") {
            let Some(end) = rest.match_indices("{%").map(|(at, _)| at).find(|at| is_bare(&rest[*at..], "endraw"))
            else {
                pieces.push(Piece::Unread(rest));
                return pieces;
            };
            pieces.extend(text(&rest[..end]));
            rest = &rest[end..];
        }
    }
    pieces.extend(text(rest));
    pieces
}

/// The length of the tag that a text begins with. It ends outside of strings and brackets; a comment has neither.
fn tag_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let start = 2 + usize::from(bytes.get(2).is_some_and(|byte| b"-+".contains(byte)));
    let close: &[u8] = match bytes.get(1)? {
        b'#' => return text[start..].find("#}").map(|at| start + at + 2),
        b'%' => b"%}",
        _ => b"}}",
    };
    let mut outside = Outside::default();
    for at in start..bytes.len() {
        if outside.is_here() && bytes[at..].starts_with(close) {
            return Some(at + close.len());
        }
        if !outside.pass(bytes[at]) {
            return None;
        }
    }
    None
}

/// Where a text is that consists of a tag's words: in strings, in brackets or outside of both.
#[derive(Debug, Default)]
struct Outside {
    quote: Option<u8>,
    is_escaped: bool,
    depth: usize,
}

impl Outside {
    fn is_here(&self) -> bool {
        self.quote.is_none() && self.depth == 0
    }

    /// Goes on by a byte. Whether that may be: no bracket closes that is not open.
    fn pass(&mut self, byte: u8) -> bool {
        match (self.quote, byte) {
            (Some(_), _) if self.is_escaped => self.is_escaped = false,
            (Some(_), b'\\') => self.is_escaped = true,
            (Some(quote), byte) if byte == quote => self.quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => self.quote = Some(byte),
            (None, b'(' | b'[' | b'{') => self.depth += 1,
            (None, b')' | b']' | b'}') => match self.depth.checked_sub(1) {
                Some(depth) => self.depth = depth,
                None => return false,
            },
            (None, _) => {}
        }
        true
    }
}

/// Whether a text begins with `{%…%}` in which nothing but a word stands.
fn is_bare(text: &str, word: &str) -> bool {
    let blanks = |c: char| c.is_ascii_whitespace();
    let sign = |text: &'_ str| usize::from(text.starts_with(['-', '+']));
    let Some(inner) = text.strip_prefix("{%") else { return false };
    let Some(behind) = inner[sign(inner)..].trim_start_matches(blanks).strip_prefix(word) else { return false };
    let behind = behind.trim_start_matches(blanks);
    behind[sign(behind)..].starts_with("%}")
}

fn first_word(tag: &str) -> &str {
    let inner = tag[2..].trim_start_matches(['-', '+']).trim_start();
    inner.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// What stands within `{{…}}`, between what says how blanks around it are treated.
pub(super) fn inside(value: &str) -> (&str, &str, &str) {
    let inner = value.strip_prefix("{{").and_then(|inner| inner.strip_suffix("}}")).unwrap_or_default();
    let (head, inner) = inner.split_at(usize::from(inner.starts_with(['-', '+'])));
    let (inner, tail) = inner.split_at(inner.len() - usize::from(inner.ends_with(['-', '+'])));
    (head, inner, tail)
}

/// The parts of an expression between signs that stand outside of strings and brackets.
pub(super) fn split_outside(expression: &str, sign: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut outside = Outside::default();
    let mut start = 0;
    for (at, byte) in expression.bytes().enumerate() {
        if outside.is_here() && char::from(byte) == sign {
            parts.push(&expression[start..at]);
            start = at + 1;
        }
        outside.pass(byte);
    }
    parts.push(&expression[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use minijinja::Environment;
    use minijinja::syntax::SyntaxConfig;
    use proptest::prelude::*;

    use super::*;

    /// What a template gives by its pieces, if each of its values is the same; `None` if it cannot be read.
    fn by_pieces(source: &str, value: &str) -> Option<String> {
        let texts = pieces(source).into_iter().map(|piece| match piece {
            Piece::Text(text) => Some(text),
            Piece::Value(_) => Some(value),
            Piece::Tag(..) | Piece::Comment(_) => Some(""),
            Piece::Unread(_) => None,
        });
        texts.collect()
    }

    fn by_library(source: &str, value: &str) -> Option<String> {
        let mut environment = Environment::new();
        environment.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build().unwrap());
        let value = value.to_owned();
        environment.set_formatter(move |out, _, _| Ok(out.write_str(&value)?));
        environment.render_str(source, minijinja::context!(n => "n")).ok()
    }

    #[test]
    fn a_raw_block_ends_at_its_tag() {
        for (source, text) in [
            ("{% raw %}use endraw to close{% endraw %}{{n}}", "use endraw to closeV"),
            ("{% raw %}endraw{% endraw %}<a>{{n}}</a>", "endraw<a>V</a>"),
            ("{% raw %}{% endraw x %}{{n}}{%endraw+%}{{n}}", "{% endraw x %}{{n}}V"),
            ("{% raw %}{% rawendraw %}{{ \"{%+ endraw\t%}{{n}}", "{% rawendraw %}{{ \"V"),
            ("{%+raw+%}{{n}}{%\nendraw %}{{n}}", "{{n}}V"),
            ("{# {% raw %} {{ \" #}{{n}}{# endraw #}", "V"),
            ("{{ n if '}}' and \"%}\\\"}}\" else '}}' }}{{n}}", "VV"),
            ("{{ {'a':{'b':n}}.a.b }}{{n}}", "VV"),
            ("{% if {'a':{'%}':n}} %}{{n}}{% endif %}", "V"),
        ] {
            assert_eq!(by_pieces(source, "V").as_deref(), Some(text), "{source}");
            assert_eq!(by_library(source, "V").as_deref(), Some(text), "{source}");
        }
        for source in
            ["{{n", "{{ ' }}", "{{ n) ~ (n }}", "{# {{n}}", "{#}{{n}}", "{% raw %}{{n}} endraw %}", "{% if (n %}"]
        {
            assert!(matches!(pieces(source).last(), Some(Piece::Unread(_))), "{source}");
            assert_eq!(by_library(source, "V"), None, "{source}");
        }
    }

    #[test]
    fn expressions_are_split_outside_of_strings_and_brackets() {
        assert_eq!(split_outside("a ~ 'x~y' ~ (b ~ c)", '~'), ["a ", " 'x~y' ", " (b ~ c)"]);
        assert_eq!(inside("{{- a|f -}}"), ("-", " a|f ", "-"));
        assert_eq!(inside("{{a}}"), ("", "a", ""));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_the_library_reads_is_read_alike(
            parts in prop::collection::vec(prop::sample::select(vec![
                "{{n}}", "{{ n if '}}' else '%}' }}", "{{ {'a':{'b':n}}.a.b }}", "{{ [n][0] }}", "{% raw %}", "{%raw%}",
                "{% endraw %}", "{%+endraw +%}", "{% endraw", "endraw", "{# {{n}} #}", "{#+#}", "{#", "#}", "{", "}",
                "{%",
                "%}", "{{", "}}", "'", "\"", "\\", "x", " ", "\n",
            ]), 0..12),
        ) {
            let source = parts.concat();
            let whole: String = pieces(&source).iter().map(|piece| match piece {
                Piece::Text(text) | Piece::Value(text) | Piece::Tag(_, text) | Piece::Comment(text)
                | Piece::Unread(text) => *text,
            }).collect();
            prop_assert_eq!(&whole, &source);
            if let Some(rendered) = by_library(&source, "V") {
                prop_assert_eq!(by_pieces(&source, "V"), Some(rendered), "{}", source);
            }
        }
    }
}
