//! Text that is nearly JSON: with half a surrogate pair in it, or bytes that are no UTF-8.

use std::borrow::Cow;

/// The escape of the character that stands for what cannot be shown (U+FFFD).
const REPLACEMENT: &str = "\\ufffd";

/// The text with each lone surrogate escape and each byte that is no UTF-8 replaced; borrowed if there is nothing to
/// mend.
pub(super) fn repaired(raw: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(raw);
    let mut mended = String::new();
    // Up to here the text is in `mended`.
    let mut kept = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == b'\\') {
        let start = at + found;
        at = match surrogate(bytes, start) {
            Some(Surrogate::High) if matches!(surrogate(bytes, start + ESCAPE), Some(Surrogate::Low)) => {
                start + 2 * ESCAPE
            }
            Some(_) => {
                mended.push_str(&text[kept..start]);
                mended.push_str(REPLACEMENT);
                kept = start + ESCAPE;
                kept
            }
            // A backslash and what it escapes, which may be another backslash.
            None => (start + 2).min(bytes.len()),
        };
    }
    if kept == 0 {
        return text;
    }
    mended.push_str(&text[kept..]);
    Cow::Owned(mended)
}

/// Bytes of `\uXXXX`.
const ESCAPE: usize = 6;

enum Surrogate {
    High,
    Low,
}

/// The half of a pair that is escaped at a place.
fn surrogate(bytes: &[u8], at: usize) -> Option<Surrogate> {
    let escape = bytes.get(at..at + ESCAPE)?;
    let hex = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
    match u16::from_str_radix(hex, 16).ok()? {
        0xd800..=0xdbff => Some(Surrogate::High),
        0xdc00..=0xdfff => Some(Surrogate::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_broken_is_replaced() {
        for (raw, mended) in [
            (r#""\ud83d\udc4d""#, r#""\ud83d\udc4d""#),
            (r#""a\ud83d""#, r#""a\ufffd""#),
            (r#""\udc4da""#, r#""\ufffda""#),
            (r#""\ud83d\ud83d\udc4d""#, r#""\ufffd\ud83d\udc4d""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\\\ud83d\n""#, r#""\\\ufffd\n""#),
            (r#""\ud83"#, r#""\ud83"#),
            ("\\", "\\"),
            (r#""ü\ud83dü\u00fc""#, r#""ü\ufffdü\u00fc""#),
        ] {
            assert_eq!(repaired(raw.as_bytes()), mended);
        }
        assert_eq!(repaired(b"\"\xff\""), "\"\u{fffd}\"");
        assert!(matches!(repaired(b"{}"), Cow::Borrowed(_)));
    }
}
