//! Addresses with values in them: which can never work, and which a value would lead elsewhere.

use super::template::{single_expression, tag_length};

/// Stands for a value where an address is looked at without them.
const VALUE: char = '\u{0}';

/// Why an address can never work, or would let a value choose the host, as a sentence.
pub(super) fn problem(source: &str) -> Option<String> {
    if single_expression(source).is_some() {
        return None;
    }
    let plain = without_values(source);
    let plain = plain.trim();
    if plain.starts_with(VALUE) {
        let why = "The address begins with a value and goes on: values within an address are percent-encoded, so that \
                   this can never be one. Write its beginning out, or put the whole address into one value.";
        return Some(why.to_owned());
    }
    let authority = plain.split_once("://")?.1.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        // What stands right behind the bracket is neither host nor port.
        Some((host, port)) => (host, port.strip_prefix(':').map_or_else(|| format!("?{port}"), str::to_owned)),
        None => host.split_once(':').map_or((host, String::new()), |(host, port)| (host, port.to_owned())),
    };
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

/// Whether an address has steps of only dots in its path, which lead up (WHATWG URL, section 4.4).
pub(super) fn has_dots(address: &str) -> bool {
    let plain = without_values(address);
    let path = plain.split_once("://").map_or(plain.as_str(), |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).skip(1).any(|step| {
        let step = step.to_ascii_lowercase().replace("%2e", ".");
        step == "." || step == ".."
    })
}

fn without_values(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(open) = ["{{", "{%", "{#"].iter().filter_map(|open| rest.find(open)).min() {
        let length = tag_length(&rest[open..]);
        plain.push_str(&rest[..open]);
        if rest[open..].starts_with("{{") {
            plain.push(VALUE);
        }
        rest = &rest[open + length..];
    }
    plain.push_str(rest);
    plain
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
