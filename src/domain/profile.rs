//! What a contact's profile may hold, whatever writes it.

use unicode_normalization::UnicodeNormalization;

use super::unseen::{is_blank, is_joining, is_unseen};

/// Characters of a name at most.
pub const NAME_CHARS: usize = 255;
/// Tags of a contact at most.
pub const TAGS: usize = 50;
/// Characters of a tag at most.
pub const TAG_CHARS: usize = 64;
/// Bytes of an email address at most (RFC 5321, section 4.5.3.1.3, less the angle brackets).
const EMAIL_BYTES: usize = 254;
/// Characters of a language tag at most (BCP 47, section 4.4.1).
const LANGUAGE_CHARS: usize = 35;

/// A name as it is kept: without the invisible characters that copying leaves in it, and on one line. What joins or
/// shapes the characters beside it stays. Empty where nothing is visible.
pub fn clean_name(text: &str) -> String {
    if is_blank(text) {
        return String::new();
    }
    let mut name = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let is_edge = |c: char| c.is_whitespace() || c.is_control() || is_unseen(c);
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            name.push(' ');
        } else if is_joining(c) {
            // A joiner joins what is on both sides of it; the others belong to what is before them.
            let is_between = !name.is_empty() && !name.ends_with(char::is_whitespace);
            let has_next =
                !matches!(c, '\u{200c}' | '\u{200d}') || characters.peek().is_some_and(|next| !is_edge(*next));
            if is_between && has_next {
                name.push(c);
            }
        } else if !is_unseen(c) {
            name.push(c);
        }
    }
    name.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// A tag as it is kept and compared: two that look alike are one. It is composed (NFC), has nothing that cannot be
/// seen, and one plain blank between its words. Empty where nothing can be seen.
pub fn clean_tag(text: &str) -> String {
    let seen: String = text.nfc().filter(|c| !is_unseen(*c)).collect();
    // Taking out a mark may bring together what composes.
    let composed: String = seen.nfc().collect();
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text has the shape of an email address: whether the address exists can only be found out by a message to
/// it.
pub fn is_email(text: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | '"');
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || !c.is_ascii())
    };
    text.len() <= EMAIL_BYTES
        && !text.contains(is_odd)
        && !local.contains('@')
        && local.split('.').all(|part| !part.is_empty())
        && domain.contains('.')
        && domain.split('.').all(is_label)
}

/// Whether a text has the shape of a language tag: a language, then subtags of letters and digits.
pub fn is_language(text: &str) -> bool {
    let mut subtags = text.split('-');
    let language = subtags.next().unwrap_or_default();
    text.len() <= LANGUAGE_CHARS
        && (2..=8).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && subtags
            .all(|subtag| (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_look_alike_are_one() {
        for tag in
            ["vip", " vip ", "vi\u{ad}p", "vip\u{3164}", "vip\u{2800}", "vip\u{fe0f}", "vip\u{e0041}", "\u{200b}vip"]
        {
            assert_eq!(clean_tag(tag), "vip", "{tag:?}");
        }
        assert_eq!(clean_tag("cafe\u{301}"), clean_tag("caf\u{e9}"));
        assert_eq!(clean_tag("cafe\u{200b}\u{301}"), "caf\u{e9}");
        assert_eq!(clean_tag("spring\u{a0}\u{3000}sale"), "spring sale");
        for nothing in ["", " ", "\u{3164}", "\u{2800}\u{ad}", "\u{200b} \u{fe0f}"] {
            assert_eq!(clean_tag(nothing), "", "{nothing:?}");
        }
        assert_ne!(clean_tag("VIP"), clean_tag("vip"));
    }

    #[test]
    fn names_lose_what_nobody_sees() {
        for (text, name) in [
            ("Jos\u{e9}\u{200b}", "Jos\u{e9}"),
            ("\u{200f}\u{645}\u{62d}\u{645}\u{62f}", "\u{645}\u{62d}\u{645}\u{62f}"),
            ("Anna\nMaria", "Anna Maria"),
            ("Anna\r\nMaria", "Anna Maria"),
            ("An\u{ad}na\u{feff}", "Anna"),
            (" \u{202a}Ana\u{202c} ", "Ana"),
            ("\u{3164}", ""),
            ("\u{2800} \u{200b}", ""),
            ("\u{200d}Ana\u{200d}", "Ana"),
            ("Ana\u{fe0f} B", "Ana\u{fe0f} B"),
            ("👩\u{200d}💻 Ana ❤\u{fe0f}", "👩\u{200d}💻 Ana ❤\u{fe0f}"),
            (
                "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
                "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            ),
        ] {
            assert_eq!(clean_name(text), name, "{text:?}");
        }
    }

    #[test]
    fn addresses_and_languages_are_known_by_their_shape() {
        for email in ["ana@example.org", "a.b+c@sub.example.co", "o'brien@x-y.ie", "用户@例子.广告", "a@1.2"] {
            assert!(is_email(email), "{email}");
        }
        let long = format!("{}@example.org", "a".repeat(250));
        for email in [
            "",
            "ana",
            "@example.org",
            "ana@",
            "ana@example",
            "a b@example.org",
            "a@b@example.org",
            ".a@b.c",
            "a..b@c.de",
            "a@b..c",
            "a@-b.c",
            "Ana <ana@example.org>",
            "a@b.c\n",
            "a@b_c.de",
            &long,
        ] {
            assert!(!is_email(email), "{email}");
        }
        for language in ["en", "pt-BR", "zh-Hant-TW", "es-419", "sl-rozaj-biske-1994", "de-x-a"] {
            assert!(is_language(language), "{language}");
        }
        for language in ["", "e", "pt_BR", "en-", "-en", "12", "en--US", "englishes", "en US", "en-toolongsub"] {
            assert!(!is_language(language), "{language}");
        }
    }
}
