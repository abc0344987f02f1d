//! Texts: how they are folded for searching, their words, and how deep JSON is nested.

use std::sync::LazyLock;
use std::time::Duration;

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

/// The form in which email addresses are compared: [`fold`], and every I of Turkish as the i of other languages.
pub fn fold_case(text: &str) -> String {
    let folded = fold(text);
    // The letter with a dot folds to an i with a combining dot (Unicode, CaseFolding.txt).
    if folded.is_ascii() { folded } else { folded.replace("i\u{307}", "i").replace('\u{131}', "i") }
}

/// The form in which parts of names are searched: [`fold_case`], and without what another keyboard, or a hand in a
/// hurry, leaves out: accents, the vowel signs of Arabic and Hebrew, the strokes of letters, what cannot be seen. The
/// two syllabaries of Japanese are one, as are the forms that Arabic letters have in other languages.
pub fn fold_for_search(text: &str) -> String {
    let folded = fold_case(text);
    if folded.is_ascii() {
        return folded;
    }
    let mut plain = String::with_capacity(folded.len());
    for c in folded.nfd() {
        match plain_letters(c) {
            Some(letters) => plain.push_str(letters),
            None => plain.extend(plain_letter(c)),
        }
    }
    // What was no mark of its own, such as the parts of a Hangul syllable, is one letter again.
    plain.nfc().collect::<String>().trim().to_owned()
}

/// What stands for letters that are no letter with a mark, by Unicode, and that people type so all the same.
fn plain_letters(c: char) -> Option<&'static str> {
    Some(match c {
        'ł' => "l",
        'ø' => "o",
        'đ' | 'ɖ' | 'ð' => "d",
        'ħ' => "h",
        'ŧ' => "t",
        'ŋ' => "n",
        'ı' => "i",
        'ə' => "e",
        'ɓ' => "b",
        'ɗ' => "d",
        'ƙ' => "k",
        'ƴ' => "y",
        'ĸ' => "k",
        'ſ' => "s",
        'þ' => "th",
        'æ' => "ae",
        'œ' => "oe",
        'ß' => "ss",
        'ґ' => "г",
        'ё' => "е",
        // The forms of Arabic letters in other languages, and those that many type one for the other.
        'ى' | 'ی' | 'ې' => "ي",
        'ک' => "ك",
        'ة' | 'ہ' | 'ە' | 'ھ' => "ه",
        'ٱ' => "ا",
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}' | '\u{2bb}' | '\u{2b9}' | '\u{2c8}' | '`' | '\u{b4}' => "'",
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{5be}' => "-",
        _ => return None,
    })
}

/// A character without what is left out; nothing for what is left out itself.
fn plain_letter(c: char) -> Option<char> {
    match c {
        // Accents over any letter.
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}'
        // The points of Hebrew.
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}'
        // The vowel signs of Arabic, the hamza over and under letters, and what only makes a word longer.
        | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}'
        | '\u{6df}'..='\u{6e8}' | '\u{6ea}'..='\u{6ed}' | '\u{8d3}'..='\u{8ff}'
        // What cannot be seen.
        | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{61c}' => None,
        // Katakana as hiragana.
        '\u{30a1}'..='\u{30f6}' => char::from_u32(u32::from(c) - 0x60),
        c => ascii_digit(c).or(Some(c)),
    }
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

/// A span of time in its two largest units, such as `1 minute` or `1 hour 30 minutes`; parts of a second do not count.
pub fn span_in_words(span: Duration) -> String {
    let mut rest = span.as_secs();
    let mut parts: Vec<String> = Vec::new();
    for (unit, seconds) in [("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)] {
        let count = rest / seconds;
        rest %= seconds;
        if count > 0 && parts.len() < 2 {
            parts.push(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }));
        }
    }
    if parts.is_empty() { "0 seconds".to_owned() } else { parts.join(" ") }
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
