//! Links: what no URL may have is percent-encoded, and what is encoded already stays.
//!
//! All links that go out come through here: of media, of templates, of HTTP calls and of webhooks. What may stand in a
//! URL stays byte for byte, because a signature over a link may count on every one of them.

use std::fmt::Write;

use url::{Host, Url};

use super::unseen::is_unseen;

/// A link to the web with everything percent-encoded that may not stand in one (RFC 3986, section 2), such as blanks
/// and letters with marks, and with the host in Punycode. A `%` that begins no escape is one more. Blanks and unseen
/// marks around it are left off, and line breaks and tabs within it (WHATWG URL, section 4.4). `None` for what is no
/// http or https address.
pub fn web_link(text: &str) -> Option<String> {
    let text: String = bare(text).chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    let (scheme, rest) = text.split_once("://")?;
    if !["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return None;
    }
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
    let (user, place) = authority.rsplit_once('@').map_or((None, authority), |(user, place)| (Some(user), place));
    let has_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let (host, port) = place.rsplit_once(':').filter(|(_, port)| has_port(port)).map_or((place, ""), |(host, port)| {
        // The colon goes along.
        (host, &place[place.len() - port.len() - 1..])
    });
    if host.is_empty() {
        return None;
    }
    let mut link = format!("{}://", scheme.to_ascii_lowercase());
    if let Some(user) = user {
        link.push_str(&percent_encoded(user));
        link.push('@');
    }
    // What hosts consist of stays as it is written; the rest is another way of writing that, or none.
    let is_plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    match is_plain || host.starts_with('[') {
        true => link.push_str(host),
        false if host.is_ascii() && !host.contains('%') => return None,
        false => link.push_str(&Host::parse(host).ok()?.to_string()),
    }
    link.push_str(port);
    link.push_str(&percent_encoded(behind));
    // HTTP clients parse it the same way.
    Url::parse(&link).is_ok_and(|url| url.has_host()).then_some(link)
}

/// The end of a link whose beginning stands elsewhere, encoded as [`web_link`] does.
pub fn link_suffix(text: &str) -> String {
    percent_encoded(bare(text))
}

/// Whether a text is a path that is percent-encoded already: nothing in it needs to be, and each `%` begins an escape.
pub fn is_encoded_path(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/%".contains(c);
    let mut escapes = text.match_indices('%').peekable();
    escapes.peek().is_some() && text.chars().all(is_plain) && escapes.all(|(at, _)| is_escape(&text[at..]))
}

/// What stands between blanks and unseen marks, which are copied along with links.
fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_unseen(c))
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    let mut has_fragment = false;
    for (at, c) in text.char_indices() {
        let may_stand = match c {
            '%' => is_escape(&text[at..]),
            // A second one is no sign for a fragment any more.
            '#' => !std::mem::replace(&mut has_fragment, true),
            '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' | '[' | ']' => false,
            c => c.is_ascii_graphic(),
        };
        if may_stand {
            encoded.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            // Writing into a text does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn is_escape(text: &str) -> bool {
    text.as_bytes().get(1..3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Links and what goes out for them; null for what is none.
    const CASES: &str = include_str!("link_cases.json");

    #[test]
    fn what_no_link_may_have_is_encoded_once_and_the_rest_stays_byte_for_byte() {
        let cases: Vec<(String, Option<String>)> = serde_json::from_str(CASES).unwrap();
        assert!(cases.len() >= 200, "{}", cases.len());
        let wrong: Vec<_> = cases
            .iter()
            .filter(|(text, expected)| web_link(text) != *expected)
            .map(|(text, expected)| format!("{text:?}: {:?} and not {expected:?}", web_link(text)))
            .collect();
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
        for link in cases.into_iter().filter_map(|(_, link)| link) {
            assert_eq!(web_link(&link).as_ref(), Some(&link), "once");
        }
    }

    #[test]
    fn the_end_of_a_link_is_encoded_whatever_is_in_it() {
        for (suffix, expected) in [
            ("c/Mai 1", "c/Mai%201"),
            ("c/Mai%201", "c/Mai%201"),
            ("?next=https://münchen.example/a b", "?next=https://m%C3%BCnchen.example/a%20b"),
            ("né", "n%C3%A9"),
            (" c/7\n", "c/7"),
            ("a\nb", "a%0Ab"),
            ("?sig=a+b%2Fc~!*'()", "?sig=a+b%2Fc~!*'()"),
            ("100%", "100%25"),
            ("", ""),
        ] {
            assert_eq!(link_suffix(suffix), expected, "{suffix}");
            assert_eq!(link_suffix(expected), expected, "once");
        }
    }

    #[test]
    fn a_path_is_encoded_already_where_only_its_escapes_are_left() {
        for path in ["a%20b.pdf", "%C3%A9", "2026/mi%20se%C3%B1al.pdf"] {
            assert!(is_encoded_path(path), "{path}");
        }
        for path in ["", "a.pdf", "a b%20c", "100%", "50%off", "a%20b?c", "é%20", "a%2"] {
            assert!(!is_encoded_path(path), "{path}");
        }
    }
}
