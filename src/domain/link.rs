//! Links: what no URL may have is percent-encoded, and what is encoded already stays.

use std::fmt::Write;

/// A link with everything percent-encoded that may not stand in one (RFC 3986, section 2), such as blanks and letters
/// with marks. A `%` that begins no escape is one more. The host stays as it is: names there are written otherwise.
pub fn encode_link(link: &str) -> String {
    let link = link.trim();
    let host = link.find("://").map_or(0, |scheme| scheme + 3);
    let path = host + link[host..].find(['/', '?', '#']).unwrap_or(link.len() - host);
    let (mut encoded, rest) = (link[..path].to_owned(), &link[path..]);
    encoded.reserve(rest.len());
    let mut has_fragment = false;
    for (at, c) in rest.char_indices() {
        let may_stand = match c {
            '%' => is_escape(&rest[at..]),
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

    #[test]
    fn what_no_link_may_have_is_encoded_once() {
        for (link, expected) in [
            ("https://a.example/Rechnung Mai.pdf", "https://a.example/Rechnung%20Mai.pdf"),
            ("https://a.example/mi señal 1.pdf", "https://a.example/mi%20se%C3%B1al%201.pdf"),
            ("https://a.example/Rechnung%20Mai.pdf", "https://a.example/Rechnung%20Mai.pdf"),
            ("https://a.example/a%20b c.pdf", "https://a.example/a%20b%20c.pdf"),
            ("https://a.example/100%.pdf", "https://a.example/100%25.pdf"),
            ("https://a.example/100%zz", "https://a.example/100%25zz"),
            (" https://a.example/a.pdf\n", "https://a.example/a.pdf"),
            ("https://a.example/报告.pdf?v=1&n=é#s", "https://a.example/%E6%8A%A5%E5%91%8A.pdf?v=1&n=%C3%A9#s"),
            ("https://a.example/a[1]{2}|3.pdf", "https://a.example/a%5B1%5D%7B2%7D%7C3.pdf"),
            ("https://a.example/a#b#c", "https://a.example/a#b%23c"),
            ("https://[2001:db8::1]:8443/a b", "https://[2001:db8::1]:8443/a%20b"),
            ("https://münchen.example/a b", "https://münchen.example/a%20b"),
            ("https://a.example?q=a b", "https://a.example?q=a%20b"),
            ("https://a.example", "https://a.example"),
            ("c/Mai 1", "c/Mai%201"),
            ("", ""),
        ] {
            assert_eq!(encode_link(link), expected, "{link}");
            assert_eq!(encode_link(expected), expected, "once");
        }
    }

    #[test]
    fn what_may_stand_in_a_link_stays() {
        let link = "https://u:p@a.example:8080/a-b._~/c;d=e,f/(g)'h'!*+$&@:?x=/?&y=%C3%A9";
        assert_eq!(encode_link(link), link);
    }
}
