//! Patterns of flows, and what it costs to look for them.
//!
//! The library's time is linear in the text, but the factor is the pattern's size: `[ab]*a[ab]{300}c` takes 300 times
//! as long as a word. So a pattern must be one that a small automaton can look for, only the beginning of a long text
//! is searched, and size times length counts as fuel.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};
use regex_automata::MatchKind;
use regex_automata::dfa::{StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Look, Repetition};

/// Bytes of a text that are searched.
pub(super) const TEXT_BYTES: usize = 4 * 1024;
/// Memory that one pattern may take when compiled.
const PATTERN_BYTES: usize = 256 * 1024;
/// Steps (places of the pattern times bytes of the text) that cost one unit of fuel. Measured with regex 1.12: 4 KB
/// cost 0.1 to 0.4 ms the first time, for patterns of some ten places, and 0.01 ms afterwards.
const STEPS_PER_FUEL: u64 = 16;
/// How much more a step costs of a pattern that has no small automaton. Only flows that were published before such were
/// refused have any.
const LARGE_FACTOR: u64 = 8;
/// States that a small automaton has for each place of its pattern, and besides.
const STATES_PER_PLACE: usize = 16;
const STATES_BESIDES: usize = 500;
/// Memory of an automaton besides its table.
const TABLES_BESIDES: usize = 16 * 1024;
/// Letters beyond ASCII that are distinguished when an automaton's size is measured.
const LETTERS: usize = 100;

/// A pattern that was compiled.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// What a byte of text costs, in steps.
    steps: u64,
}

impl Pattern {
    /// Compiles a pattern, which ignores case. Beside it stands why it cannot be published, if so; it may run all the
    /// same.
    pub(super) fn compile(source: &str) -> (Option<Self>, Option<String>) {
        let regex = match RegexBuilder::new(source).case_insensitive(true).size_limit(PATTERN_BYTES).build() {
            Ok(regex) => regex,
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
                return (None, Some(reason.to_owned()));
            }
        };
        let parsed = regex_syntax::ParserBuilder::new().case_insensitive(true).build().parse(source);
        let Ok(hir) = parsed else { return (None, Some("it cannot be parsed".to_owned())) };
        let places = places(&hir);
        let is_small = has_small_automaton(&hir, places);
        let steps = places.saturating_add(1).saturating_mul(if is_small { 1 } else { LARGE_FACTOR });
        let why = "what it repeats and what comes before can be the same text in too many ways. Repeat less, or begin \
                   it with what tells the two apart";
        (Some(Self { regex, steps }), (!is_small).then(|| why.to_owned()))
    }

    /// What it costs to look for it in a text, in units of the fuel of templates.
    pub(super) fn cost(&self, text: &str) -> u64 {
        let bytes = text.len().min(TEXT_BYTES) as u64;
        1 + self.steps.saturating_mul(bytes) / STEPS_PER_FUEL
    }

    /// The first part of a text that it fits. Of a long text the beginning is searched, and a match that reaches the
    /// end of the searched part is not taken: it might go on.
    pub(super) fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        let searched = &text[..text.floor_char_boundary(TEXT_BYTES)];
        let found = self.regex.find(searched)?;
        let is_cut = searched.len() < text.len() && found.end() == searched.len();
        (!is_cut).then_some(found.as_str())
    }
}

/// How many places of a pattern a search can be at: its characters and classes, each as often as it may be repeated.
fn places(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty => 0,
        HirKind::Look(_) | HirKind::Class(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Capture(capture) => places(&capture.sub),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            places(&repetition.sub).saturating_mul(times.into())
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(0, |all: u64, part| all.saturating_add(places(part)))
        }
    }
}

/// Whether a pattern's automata for both directions have a number of states that is linear in its size. The letters
/// beyond ASCII count as few of them: in UTF-8 they would add states that cost no time.
fn has_small_automaton(hir: &Hir, places: u64) -> bool {
    let mut letters = BTreeSet::new();
    collect_letters(hir, &mut letters);
    let letters: Vec<char> = letters.into_iter().take(LETTERS).collect();
    let narrow = narrow(hir, &letters);
    let states = usize::try_from(places).unwrap_or(usize::MAX).saturating_mul(STATES_PER_PLACE);
    let states = states.saturating_add(STATES_BESIDES);
    [false, true].into_iter().all(|reverse| {
        let config = thompson::Config::new()
            .utf8(false)
            .reverse(reverse)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(PATTERN_BYTES));
        let Ok(nfa) = thompson::Compiler::new().configure(config).build_from_hir(&narrow) else { return false };
        let state_bytes = nfa.byte_classes().alphabet_len().next_power_of_two() * size_of::<u32>();
        let bytes = states.saturating_mul(state_bytes).saturating_add(TABLES_BESIDES).min(16 * PATTERN_BYTES);
        let config = dense::Config::new()
            .start_kind(if reverse { StartKind::Anchored } else { StartKind::Unanchored })
            .match_kind(if reverse { MatchKind::All } else { MatchKind::LeftmostFirst })
            .dfa_size_limit(Some(bytes))
            .determinize_size_limit(Some(16 * PATTERN_BYTES));
        dense::Builder::new().configure(config).build_from_nfa(&nfa).is_ok()
    })
}

/// The letters beyond ASCII that a pattern names.
fn collect_letters(hir: &Hir, letters: &mut BTreeSet<char>) {
    match hir.kind() {
        HirKind::Literal(literal) => {
            letters.extend(String::from_utf8_lossy(&literal.0).chars().filter(|c| !c.is_ascii()));
        }
        HirKind::Class(Class::Unicode(class)) => {
            let single = class.ranges().iter().filter(|range| range.start() == range.end());
            letters.extend(single.map(|range| range.start()).filter(|c| !c.is_ascii()));
        }
        HirKind::Capture(capture) => collect_letters(&capture.sub, letters),
        HirKind::Repetition(repetition) => collect_letters(&repetition.sub, letters),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().for_each(|part| collect_letters(part, letters));
        }
        _ => {}
    }
}

/// The pattern over an alphabet of one byte a character: ASCII, the letters that it names, and one for all others.
fn narrow(hir: &Hir, letters: &[char]) -> Hir {
    const OTHERS: u8 = 0xff;
    let byte = |c: char| match letters.binary_search(&c) {
        _ if c.is_ascii() => c as u8,
        Ok(at) => 0x80 + u8::try_from(at).unwrap_or(OTHERS - 0x80),
        Err(_) => OTHERS,
    };
    let all = |parts: &[Hir]| parts.iter().map(|part| narrow(part, letters)).collect();
    match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => {
            Hir::literal(String::from_utf8_lossy(&literal.0).chars().map(byte).collect::<Vec<u8>>())
        }
        HirKind::Class(Class::Unicode(class)) => {
            let mut bytes = ClassBytes::empty();
            for range in class.ranges() {
                if range.start().is_ascii() {
                    let end = if range.end().is_ascii() { range.end() as u8 } else { 0x7f };
                    bytes.push(ClassBytesRange::new(range.start() as u8, end));
                }
                for letter in letters.iter().filter(|letter| (range.start()..=range.end()).contains(*letter)) {
                    bytes.push(ClassBytesRange::new(byte(*letter), byte(*letter)));
                }
                if !range.end().is_ascii() && range.start() != range.end() {
                    bytes.push(ClassBytesRange::new(OTHERS, OTHERS));
                }
            }
            Hir::class(Class::Bytes(bytes))
        }
        HirKind::Class(Class::Bytes(class)) => Hir::class(Class::Bytes(class.clone())),
        HirKind::Look(look) => Hir::look(match look {
            Look::WordUnicode => Look::WordAscii,
            Look::WordUnicodeNegate => Look::WordAsciiNegate,
            Look::WordStartUnicode => Look::WordStartAscii,
            Look::WordEndUnicode => Look::WordEndAscii,
            Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
            Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
            look => *look,
        }),
        HirKind::Repetition(repetition) => {
            let Repetition { min, max, greedy, sub } = repetition;
            Hir::repetition(Repetition { min: *min, max: *max, greedy: *greedy, sub: Box::new(narrow(sub, letters)) })
        }
        HirKind::Capture(capture) => narrow(&capture.sub, letters),
        HirKind::Concat(parts) => Hir::concat(all(parts)),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_has_a_small_automaton() {
        let words = ["monday", "tuesday", "miércoles", "jueves", "вторник", "أحد"].repeat(20).join("|");
        let words = format!(r"\b(?:{words})\b");
        for source in [
            r"^\d{5}$",
            r"^\d{5}(-\d{4})?$",
            r"[a-z]{2}-\d+",
            r"\byes\b",
            r"\b(sí|si|claro|vale)\b",
            r"^[\w.+-]+@[\w-]+\.[\w.]+$",
            r"\w+",
            r"^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$",
            r"^[a-z ,.'-]{2,40}$",
            r"\s*\d+\s*(kg|lb|m²)?",
            r"https?://\S+",
            r"^\+?[0-9 ()/-]{6,20}$",
            r"[\s\S]*[\s\S]*x",
            r"(\d{1,2})[./-](\d{1,2})[./-](\d{2,4})",
            r"^(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}$",
            r"^#?([a-f0-9]{6}|[a-f0-9]{3})$",
            words.as_str(),
        ] {
            let (pattern, why) = Pattern::compile(source);
            assert!(pattern.is_some() && why.is_none(), "{source}: {why:?}");
        }
    }

    #[test]
    fn what_has_no_small_automaton_is_refused_and_costs_more() {
        for source in [r"[ab]*a[ab]{300}c", r"[ab]*a[ab]{14}c", r"(x|y)*x(x|y){20}", r"c[ab]{20}a[ab]*$|.*a.{30}b"] {
            let (pattern, why) = Pattern::compile(source);
            assert!(why.is_some(), "{source}");
            let pattern = pattern.expect("it runs in flows that were published before");
            assert!(pattern.cost(&"a".repeat(TEXT_BYTES)) > 20_000, "{source}");
        }
        assert!(Pattern::compile(r"\w{1,400}").0.is_none(), "one that takes too much memory does not run");
    }

    #[test]
    fn only_the_beginning_of_a_long_text_is_searched() {
        let pattern = |source: &str| Pattern::compile(source).0.unwrap();
        let long = format!("first {} last", "1".repeat(10_000));
        assert_eq!(pattern("first").find(&long), Some("first"));
        assert_eq!(pattern("last").find(&long), None);
        assert_eq!(pattern(r"\d+").find(&long), None, "it goes on behind the cut");
        assert_eq!(pattern(r"^[^x]*$").find(&long), None);
        let fits = "é".repeat(TEXT_BYTES / 2);
        assert_eq!(pattern("^é+$").find(&fits), Some(fits.as_str()));
        assert_eq!(pattern("^É+$").find("ééé"), Some("ééé"));
        assert_eq!(pattern("x").cost(&"x".repeat(1 << 20)), pattern("x").cost(&"x".repeat(TEXT_BYTES)));
    }
}
