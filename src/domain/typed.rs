//! What people type, compared with what an author wrote: one normal form, and how much of it each place takes.
//!
//! | compared by | [`same_letters`] | [`exact`] besides | [`loose`] besides |
//! |---|---|---|---|
//! | `contains`, `starts_with`, `ends_with`, words | yes | no | no |
//! | `equals`, `not_equals`, `in` | yes | yes | no |
//! | words that opt out and in | yes | yes, and emoji around the word | no |
//! | titles and synonyms of a menu, keywords | yes | yes | where nothing is equal without it and one alone fits |
//!
//! - [`same_letters`]: Unicode's compatibility forms (NFKC) and case folding; digits of any script are ASCII's, and
//!   keycap emoji their digit; every apostrophe, every double quotation mark and every hyphen or dash is one; blanks
//!   collapse; characters that cannot be seen go.
//! - [`exact`]: punctuation at the edges goes, but for what belongs to a number beside it (`-5`, `.5`, `5%`).
//! - [`loose`]: accents go, and what decorates the edges: emoji, signs, and a number or letter of a list (`1.`, `1️⃣`,
//!   `a)`).

use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::text::ascii_digit;
use super::unseen::is_unseen;

/// A text in all forms in which it may be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// The text in the form of [`same_letters`].
    pub letters: String,
    /// The text in the form of [`exact`].
    pub exact: String,
    /// The text in the form of [`loose`]; `None` if nothing is left.
    pub loose: Option<String>,
}

impl Typed {
    /// The forms of a text.
    pub fn of(text: &str) -> Self {
        let letters = same_letters(text);
        Self { exact: exact_of(&letters), letters, loose: loose(text) }
    }

    /// Whether nothing of it can be seen.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// Whether the two agree loosely.
    pub fn is_like(&self, other: &Self) -> bool {
        self.loose.is_some() && self.loose == other.loose
    }
}

/// The letters of a text, however they were typed. It is empty where nothing can be seen.
pub fn same_letters(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii() && byte != b'`' && (byte >= b' ' || byte == b'\n');
    let folded = if text.bytes().all(is_plain) {
        text.to_ascii_lowercase()
    } else {
        let plain: String = text.chars().filter_map(plain).collect();
        let composed: String = plain.nfkc().collect();
        // What a compatibility form brings, such as the apostrophe of `ŉ`.
        let folded: String = caseless::default_case_fold_str(&composed).chars().filter_map(self::plain).collect();
        folded.nfkc().collect()
    };
    let is_collapsed = !folded.contains("  ") && !folded.contains(|c: char| c.is_whitespace() && c != ' ');
    if is_collapsed && !folded.starts_with(' ') && !folded.ends_with(' ') {
        return folded;
    }
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// [`same_letters`] without the punctuation at the edges. A text of nothing else is compared as it stands.
pub fn exact(text: &str) -> String {
    exact_of(&same_letters(text))
}

fn exact_of(letters: &str) -> String {
    let trimmed = without_edges(letters);
    if trimmed.is_empty() { letters.to_owned() } else { trimmed.to_owned() }
}

/// Whether two texts are the same for a condition: by their letters, or by their [`exact`] form.
pub fn is_same(one: &str, other: &str) -> bool {
    if is_plain(one) && is_plain(other) {
        return one.eq_ignore_ascii_case(other);
    }
    let (one, other) = (same_letters(one), same_letters(other));
    one == other || exact_of(&one) == exact_of(&other)
}

/// [`exact`] without accents and decoration; `None` where nothing is left, as of `👍`.
pub fn loose(text: &str) -> Option<String> {
    static LISTED: LazyLock<Regex> = LazyLock::new(|| {
        let source = r"^[^\p{L}\p{N}]*(?:\p{Nd}{1,2}\x{fe0f}?\x{20e3}|[①-⑳⓪❶-❿➀-➓🄀-🄊]|\p{Nd}{1,2}(?:[.):]|\s?[-–—]\s)|[A-Za-z]\))\s*";
        Regex::new(source).unwrap_or_else(|error| unreachable!("{error}"))
    });
    let rest = LISTED.find(text).map_or("", |found| &text[found.end()..]);
    // `1.5 kg` is no item of a list, and neither is `1.` alone.
    let has_item = rest.chars().next().is_some_and(|c| !c.is_numeric()) && rest.chars().any(char::is_alphanumeric);
    let composed = unaccented(&same_letters(if has_item { rest } else { text }));
    let trimmed = composed.trim_matches(|c: char| !c.is_alphanumeric() && !is_combining_mark(c));
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// [`same_letters`] without their accents.
pub fn unaccented(letters: &str) -> String {
    if letters.is_ascii() {
        return letters.to_owned();
    }
    let mut unaccented = String::with_capacity(letters.len());
    for c in letters.nfkd().filter(|c| !is_accent(*c)) {
        match without_stroke(c) {
            Some(letters) => unaccented.push_str(letters),
            None => unaccented.push(c),
        }
    }
    unaccented.nfc().collect()
}

/// Whether only the case of a text changes, as of most values.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()].into_iter().flatten().all(u8::is_ascii_alphanumeric);
    let are_blanks = |pair: &[u8]| pair == b"  ";
    ends && bytes.iter().all(|byte| (b' '..=b'~').contains(byte) && *byte != b'`') && !bytes.windows(2).any(are_blanks)
}

/// A character in its plain form; `None` of one that cannot be seen.
fn plain(c: char) -> Option<char> {
    match c {
        // The signs of which emoji flags of regions are made distinguish them.
        '\u{e0020}'..='\u{e007f}' => Some(c),
        // It makes a keycap of a digit.
        '\u{20e3}' => None,
        '’' | '‘' | '‛' | 'ʼ' | 'ʻ' | '′' | '´' | '`' | '＇' => Some('\''),
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' => Some('"'),
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => Some('-'),
        // They show a blank.
        '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' => Some(' '),
        c if is_unseen(c) => None,
        c => Some(ascii_digit(c).unwrap_or(c)),
    }
}

/// Without the punctuation at the edges that belongs to no number.
fn without_edges(text: &str) -> &str {
    static PUNCTUATION: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[\p{P}~]$").unwrap_or_else(|error| unreachable!("{error}")));
    let is_punctuation = |c: char| match c {
        '%' | '‰' | '#' | '&' | '@' | '/' | '\\' => false,
        c if c.is_ascii() => c.is_ascii_punctuation() && !matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '|'),
        c => !c.is_alphanumeric() && PUNCTUATION.is_match(c.encode_utf8(&mut [0; 4])),
    };
    let is_edge = |c: char| c == ' ' || is_punctuation(c);
    let text = text.trim_end_matches(is_edge);
    let rest = text.trim_start_matches(is_edge);
    let is_of_number = rest.starts_with(|c: char| c.is_ascii_digit());
    let before = &text[..text.len() - rest.len()];
    match before.chars().next_back() {
        Some('-' | '.' | ',') if is_of_number => &text[before.len() - 1..],
        _ => rest,
    }
}

/// Whether a mark is an accent: not those of the scripts of India and others, where they are vowels.
fn is_accent(c: char) -> bool {
    matches!(
        u32::from(c),
        0x300..=0x36f | 0x483..=0x487 | 0x591..=0x5bd | 0x5bf | 0x5c1..=0x5c2 | 0x5c4..=0x5c5 | 0x5c7
            | 0x610..=0x61a | 0x640 | 0x64b..=0x65f | 0x670 | 0x6d6..=0x6dc | 0x6df..=0x6e4 | 0x6e7..=0x6e8
            | 0x6ea..=0x6ed | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0xfe20..=0xfe2f
    )
}

/// The letters for one whose stroke or ligature Unicode does not take apart.
fn without_stroke(c: char) -> Option<&'static str> {
    Some(match c {
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ı' => "i",
        'ŧ' => "t",
        'æ' => "ae",
        'œ' => "oe",
        'þ' => "th",
        'ŋ' => "n",
        _ => return None,
    })
}

/// The part of a text whose letters are those of `wanted`, as it is written there: the first, or the last.
pub fn part<'t>(text: &'t str, wanted: &str, is_last: bool) -> Option<&'t str> {
    // Taken apart, letters do not depend on those beside them, so that each place leads back to the text.
    let (letters, places) = taken_apart(text);
    let (wanted, _) = taken_apart(wanted);
    let wanted = wanted.trim();
    let at = if is_last { letters.rfind(wanted) } else { letters.find(wanted) }.filter(|_| !wanted.is_empty())?;
    let (from, last) = (places[at], places[at + wanted.len() - 1]);
    let goes_on = |c: char| is_combining_mark(c) || is_unseen(c);
    let mut behind = text[last..].char_indices().skip(1);
    let to = behind.find(|(_, c)| !goes_on(*c)).map_or(text.len(), |(at, _)| last + at);
    Some(text[from..to].trim())
}

/// The letters of a text without their composed forms, and of each byte where in the text it comes from.
fn taken_apart(text: &str) -> (String, Vec<usize>) {
    let (mut letters, mut places) = (String::with_capacity(text.len()), Vec::with_capacity(text.len()));
    for (at, c) in text.char_indices() {
        let Some(c) = plain(c) else { continue };
        let folded = caseless::default_case_fold_str(&c.nfkd().filter_map(plain).collect::<String>());
        for c in folded.nfkd() {
            let c = if c.is_whitespace() { ' ' } else { c };
            if c == ' ' && (letters.is_empty() || letters.ends_with(' ')) {
                continue;
            }
            letters.push(c);
            places.resize(letters.len(), at);
        }
    }
    (letters, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_the_same_however_they_are_typed() {
        for (typed, letters) in [
            ("  Check   OUT!! ", "check out!!"),
            ("ＹＥＳ", "yes"),
            ("Straße", "strasse"),
            ("٢", "2"),
            ("2️⃣", "2"),
            ("What’s new", "what's new"),
            ("don`t", "don't"),
            ("“Hi”", "\"hi\""),
            ("opt–out", "opt-out"),
            ("a\u{a0}\u{3000}b", "a b"),
            ("ja\u{200b}\u{200f}", "ja"),
            ("\u{3164}\u{2800}", ""),
            ("cafe\u{301}", "café"),
            ("ΟΔΟΣ", "οδοσ"),
            ("می\u{200c}روم", "میروم"),
            ("❤\u{fe0f}", "❤"),
        ] {
            assert_eq!(same_letters(typed), letters, "{typed}");
        }
        assert_ne!(same_letters("🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}"), same_letters("🏴"));
    }

    #[test]
    fn punctuation_at_the_edges_goes_unless_it_belongs_to_a_number() {
        for (typed, exact_form) in [
            ("Check OUT!!", "check out"),
            ("“Yes”", "yes"),
            ("¿Sí?", "sí"),
            ("*yes*", "yes"),
            ("2.", "2"),
            ("(2)", "2"),
            ("2)", "2"),
            ("?", "?"),
            (":)", ":)"),
            ("👍", "👍"),
            ("-5", "-5"),
            (" –5 ", "-5"),
            (".5", ".5"),
            ("5%", "5%"),
            ("C#", "c#"),
            ("C++", "c++"),
            ("$5", "$5"),
            ("don't", "don't"),
            ("是的。", "是的"),
            ("نعم؟", "نعم"),
        ] {
            assert_eq!(exact(typed), exact_form, "{typed}");
        }
        assert!(is_same("Don’t know", "don't know") && is_same("Yes!", "yes") && is_same("?", "?"));
        assert!(!is_same("-5", "5") && !is_same(".5", "5") && !is_same("5%", "5") && !is_same("C", "C++"));
        for (one, other) in [("Gold", "gold"), ("Gold", "Silver"), ("a b", "A  b"), ("", ""), ("5", "5.0"), ("a", "a ")]
        {
            let (letters, others) = (same_letters(one), same_letters(other));
            let is_so = letters == others || exact(one) == exact(other);
            assert_eq!(is_same(one, other), is_so, "{one} {other}");
        }
        assert!(!is_same("si", "sí") && !is_same("?", "!") && !is_same("?", ""));
    }

    #[test]
    fn accents_and_decoration_go_loosely() {
        for (typed, loose_form) in [
            ("Sí", "si"),
            ("NÃO", "nao"),
            ("Crédito", "credito"),
            ("Łódź", "lodz"),
            ("İstanbul", "istanbul"),
            ("Ilık", "ilik"),
            ("Øre", "ore"),
            ("Đặt hàng", "dat hang"),
            ("Ёлка", "елка"),
            ("أحد", "احد"),
            ("مُدَرِّس", "مدرس"),
            ("שָׁלוֹם", "שלום"),
            ("✅ Yes", "yes"),
            ("Yes 👍🏽", "yes"),
            ("1️⃣ Sales", "sales"),
            ("① Sales", "sales"),
            ("🔟 Ten", "ten"),
            ("2. Soporte", "soporte"),
            ("2) Soporte", "soporte"),
            ("2 - Soporte", "soporte"),
            ("2: Soporte", "soporte"),
            ("2.Soporte", "soporte"),
            ("✅ 10. Yes", "yes"),
            ("a) Tea", "tea"),
            ("→ Next →", "next"),
            ("2 personas", "2 personas"),
            ("10:30", "10:30"),
            ("1.5 kg", "1.5 kg"),
            ("10-15 min", "10-15 min"),
            ("2.", "2"),
            ("हिन्दी", "हिन्दी"),
            ("ガス", "ガス"),
            ("한국어", "한국어"),
        ] {
            assert_eq!(loose(typed).as_deref(), Some(loose_form), "{typed}");
        }
        for nothing in ["👍", "👎🏽", "?", "", "❤\u{fe0f}", "→"] {
            assert_eq!(loose(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_part_is_what_stands_in_the_text() {
        for (text, wanted, is_last, found) in [
            ("Say HELLO you", "hello", false, Some("HELLO")),
            ("Straße 5", "STRASSE", false, Some("Straße")),
            ("Don’t  know, don't  KNOW", "don't know", true, Some("don't  KNOW")),
            ("Don’t  know, don't  KNOW", "don't know", false, Some("Don’t  know")),
            ("Cafe\u{301}!", "CAFÉ", false, Some("Cafe\u{301}")),
            ("２４ ans", "24", false, Some("２４")),
            ("a\u{200b}bc", "ab", false, Some("a\u{200b}b")),
            ("abc", "d", false, None),
            ("abc", "", false, None),
        ] {
            assert_eq!(part(text, wanted, is_last), found, "{text} {wanted}");
        }
    }
}
