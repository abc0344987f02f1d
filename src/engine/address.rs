//! Addresses with values in them: which can never work, and which a value would lead elsewhere.

use super::body;
use super::pieces::{Piece, inside, pieces, split_outside};
use super::template::{has_tags, single_expression};
use crate::domain::web_link;

/// Stands for a value where an address is looked at without them.
const VALUE: char = '\u{0}';
/// Stands for values and texts that are joined in a way that is not looked into.
const JOINED: char = '\u{1}';

/// Why an address can never work, or would let a value choose the host, as a sentence.
pub(super) fn problem(source: &str) -> Option<String> {
    // An address has no line breaks and tabs: parsers leave them out (WHATWG URL, section 4.4).
    let is_single = single_expression(source).is_some();
    let plain = replaced(source, |tag| unfolded(tag, !is_single));
    let plain: String = plain.chars().filter(|c| !"\t\n\r".contains(*c)).collect();
    let plain = plain.trim();
    if plain.starts_with(VALUE) && !is_single {
        let why = "The address begins with a value and goes on: values within an address are percent-encoded, so that \
                   this can never be one. Write its beginning out, or put the whole address into one value.";
        return Some(why.to_owned());
    }
    // An address that is a single value can only be checked when it is used.
    if !plain.starts_with(VALUE) && !plain.starts_with(JOINED) && !begins_link(plain) {
        return Some("The address is not one of the web. Write it with https://.".to_owned());
    }
    if !has_tags(source) && web_link(source).is_none() {
        return Some("The address cannot be read as one: look at its host and its port.".to_owned());
    }
    let authority = plain.split_once("://")?.1.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        // What stands right behind the bracket is neither host nor port.
        Some((host, port)) => (host, port.strip_prefix(':').map_or_else(|| format!("?{port}"), str::to_owned)),
        None => host.split_once(':').map_or((host, String::new()), |(host, port)| (host, port.to_owned())),
    };
    if host.is_empty() {
        return Some("There is no host behind `://`. Write one there.".to_owned());
    }
    if host.contains(JOINED) || port.contains(JOINED) {
        let why = "A value is joined to a text in the host or the port. Write the text outside of the braces.";
        return Some(why.to_owned());
    }
    if port.contains(VALUE) && !port.chars().eq([VALUE]) {
        let why = "A value stands right behind the host or its port and would become part of it. Put a `/` before the \
                   value.";
        return Some(why.to_owned());
    }
    let behind = &host[host.rfind(VALUE)? + VALUE.len_utf8()..];
    let is_whole = host.chars().eq([VALUE]);
    let is_below = behind.starts_with('.') && behind.len() > 1;
    (!is_whole && !is_below).then(|| {
        "A value stands right behind the host and would become part of its name. Put a `/` before the value.".to_owned()
    })
}

/// Whether a text begins as a link to the web does.
pub(super) fn begins_link(text: &str) -> bool {
    let text = text.trim_start().as_bytes();
    ["https://", "http://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme.as_bytes())))
}

/// Whether an address has steps of only dots in its path, which lead up (WHATWG URL, section 4.4).
pub(super) fn has_dots(address: &str) -> bool {
    let plain = replaced(address, |_| VALUE.to_string());
    let path = plain.split_once("://").map_or(plain.as_str(), |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).skip(1).any(|step| {
        let step = step.to_ascii_lowercase().replace("%2e", ".");
        step == "." || step == ".."
    })
}

/// An address with something else in the place of its values.
fn replaced(source: &str, by: impl Fn(&str) -> String) -> String {
    let mut plain = String::with_capacity(source.len());
    for piece in pieces(source) {
        match piece {
            Piece::Text(text) => plain.push_str(text),
            Piece::Value(tag) => plain.push_str(&by(tag)),
            Piece::Tag(..) | Piece::Comment(_) | Piece::Unread(_) => {}
        }
    }
    plain
}

/// `{{'a' ~ b}}` as if it were written `a{{b}}`, perhaps with what of it is percent-encoded.
fn unfolded(tag: &str, is_encoded: bool) -> String {
    let (_, inner, _) = inside(tag);
    let parts = split_outside(inner, '~').into_iter().map(|part| {
        let part = part.trim();
        let is_text = |quote: char| {
            let text = part.strip_prefix(quote)?.strip_suffix(quote)?;
            (!text.contains([quote, '\\'])).then_some(text)
        };
        if let Some(text) = is_text('"').or_else(|| is_text('\'')) {
            return if is_encoded { body::percent(text) } else { text.to_owned() };
        }
        // Whatever makes one text of several.
        let has_text = part.contains(['"', '\'']);
        let begins_with_text = part.starts_with(['"', '\'', '(', '[']);
        let is_joined = part.contains(['~', '+'])
            || (begins_with_text && ["join", "replace", "format"].iter().any(|filter| part.contains(filter)));
        if has_text && is_joined { JOINED.to_string() } else { VALUE.to_string() }
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_begins_with_its_author_and_its_host_is_no_values_guess() {
        for source in [
            "{{context.base}}/orders/1",
            " {{context.base}}?a=1",
            "{{context.scheme}}://shop.example/",
            "{{context.a}}{{context.b}}",
            "https://shop.example{{context.path}}",
            "https://shop.example{{context.path}}/x",
            "https://api.{{context.path}}",
            "https://shop.{{context.top}}/x",
            "https://u:{{context.p}}@shop.example{{context.path}}:80/x",
            "http://shop.example:18999{{context.path}}",
            "http://[::1]:80{{context.path}}",
            "http://[::1]{{context.path}}",
            "http://shop.example:{{context.port}}{{context.path}}",
            "http://{{\"127.0.0.1\" ~ context.n}}:80/x",
            "http://{{'127.0.0.1' ~ context.n if context.n else 'shop.example'}}/x",
            "http://{{('127.0.0.1' ~ context.n)|lower}}/x",
            "http://{{['127.0.0.1', context.n]|join}}/x",
            "http://{{'127.0.0.1' + context.n}}/x",
            "http://shop.example{{'/' ~ context.n}}",
            "http://shop.example:{{'80' ~ context.n}}/x",
            "{{'http://127.0.0.1' ~ context.n}}",
            "http:///host{{context.n}}:80/x",
            "http://\\host{{context.n}}:80/x",
            "http://\t/host{{context.n}}/x",
            "http://:80/x",
            "https://",
            "http://{% raw %}endraw{{% endraw %}{{context.path}}/x",
        ] {
            assert!(problem(source).is_some(), "{source}");
        }
        for source in [
            "{{context.u}}",
            " {{ context.u }} ",
            "https://shop.example/orders/{{context.id}}?q={{context.q}}",
            "https://{{context.shop}}.example.com/x",
            "https://{{context.host}}/x",
            "https://{{context.host}}:8443/x",
            "https://shop.example:{{context.port}}/x",
            "https://[::1]:{{context.port}}/x?{{context.q}}",
            "https://u:{{context.p}}@shop.example/x",
            "https://shop.example?q={{context.q}}",
            "https://shop.example/a",
            "https://{{context.shop ~ '.example.com'}}/x",
            "https://{{'a.example' if context.test else 'b.example'}}/x",
            "https://shop.example/{{'orders-' ~ context.id}}",
            "{{context.base ~ '/orders'}}",
            "{{'https://shop.example/' ~ context.path}}",
        ] {
            assert_eq!(problem(source), None, "{source}");
        }
    }

    #[test]
    fn steps_of_dots_are_seen_however_they_are_written() {
        for address in
            ["https://x.example/a/../b", "https://x.example/.", "https://x.example/%2E./b?q", "https://x/a\\..\\b"]
        {
            assert!(has_dots(address), "{address}");
        }
        for address in [
            "https://x.example/a..b/...",
            "https://x.example/a?q=../..",
            "https://x.example",
            "https://x.example/{{context.a}}",
        ] {
            assert!(!has_dots(address), "{address}");
        }
    }
}
