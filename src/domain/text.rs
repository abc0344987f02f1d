//! Texts: how they are folded for searching, their words, and how deep JSON is nested.

use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

/// The value of a decimal digit of any script as an ASCII digit.
///
/// Unicode lays out each script's decimal digits as a run of ten beginning with its zero, so the zeros suffice.
pub fn ascii_digit(c: char) -> Option<char> {
    if c.is_ascii_digit() {
        return Some(c);
    }
    // Zeros of the scripts with decimal digits in Unicode (general category Nd) that phones can type.
    const ZEROS: [u32; 22] = [
        0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6, 0x0E50,
        0x0ED0, 0x0F20, 0x1040, 0x17E0, 0x1810, 0x1946, 0xFF10, 0xA8D0,
    ];
    let code = u32::from(c);
    ZEROS.iter().find(|&&zero| (zero..zero + 10).contains(&code)).and_then(|zero| char::from_digit(code - zero, 10))
}

/// NFKC, case folded, trimmed: the form in which tags are compared.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.trim().to_ascii_lowercase();
    }
    let composed: String = text.nfkc().collect();
    let folded = caseless::default_case_fold_str(composed.trim());
    folded.nfkc().collect()
}

/// The form in which parts of names are searched: [`fold`], and every I of Turkish as the i of everybody else, since who
/// searches for a name may have another keyboard than who wrote it.
pub fn fold_for_search(text: &str) -> String {
    let folded = fold(text);
    // The letter with a dot folds to an i with a combining dot (Unicode, CaseFolding.txt).
    if folded.is_ascii() { folded } else { folded.replace("i\u{307}", "i").replace('\u{131}', "i") }
}

/// The words of a text: runs of letters, marks, digits, `_` and `'`; every emoji is a word of its own.
pub fn words(text: &str) -> Vec<String> {
    static WORD: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"[\p{L}\p{M}\p{Nd}_'’]+|\p{Extended_Pictographic}").unwrap_or_else(|error| unreachable!("{error}"))
    });
    WORD.find_iter(text).map(|found| found.as_str().replace('’', "'")).collect()
}

/// Whether the words of `needle` occur in `haystack` side by side.
pub fn contains_words(haystack: &[String], needle: &[String]) -> bool {
    !needle.is_empty() && haystack.windows(needle.len()).any(|window| window == needle)
}

/// How deep a JSON value is nested; a plain value has depth 0.
pub fn json_depth(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::Array(items) => 1 + items.iter().map(json_depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(json_depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether a name has characters that cannot be seen or that turn others around: they would let one name pass for
/// another, and write to the terminal of who lists it.
pub fn has_odd_characters(name: &str) -> bool {
    let is_odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    // A joiner makes one emoji out of several.
    name.chars().any(|c| is_odd(c) && c != '\u{200d}' && c != '\u{200c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_marks_digits_and_single_emoji() {
        assert_eq!(words("It's 5-ish, नमस्ते 👍👍"), ["It's", "5", "ish", "नमस्ते", "👍", "👍"]);
        let haystack = words("no i need help now");
        assert!(contains_words(&haystack, &words("need help")));
        assert!(!contains_words(&haystack, &words("help need")));
        assert!(!contains_words(&haystack, &[]));
    }
}
