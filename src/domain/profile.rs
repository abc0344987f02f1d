//! What a contact's profile may hold, whoever writes it.

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

/// Whether a text has the shape of an email address: whether it is one, only a message to it can tell.
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
