//! Which option of a menu a reply takes: the first rule that holds, and no fuzzy guessing.

use crate::domain::text::{contains_words, words};
use crate::domain::typed::Typed;
use crate::domain::{MessageOption, Reply, ReplyKind};

/// What a reply is to a menu.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// It takes the option at this place.
    Option {
        /// Index in the menu's options.
        index: usize,
        /// The rule that held, for the trace.
        why: &'static str,
    },
    /// A tap on a button of an older message: the menu is sent again and no attempt is counted.
    OldTap,
    /// It takes none.
    NoMatch {
        /// For the trace.
        why: &'static str,
    },
}

/// Matches a reply against the options that were shown; `synonyms` stand in the same order.
pub(super) fn choose(reply: &Reply, options: &[MessageOption], synonyms: &[Vec<Typed>], allow_numbers: bool) -> Choice {
    let option = |index, why| Choice::Option { index, why };
    if reply.kind == ReplyKind::Tap {
        let tapped = reply.option.as_deref();
        return match options.iter().position(|shown| Some(shown.id.as_str()) == tapped) {
            Some(index) => option(index, "tapped"),
            None => Choice::OldTap,
        };
    }
    let typed = Typed::of(reply.written().unwrap_or_default());
    if typed.is_empty() {
        return Choice::NoMatch { why: "no text" };
    }
    let offered = Offered { titles: options.iter().map(|shown| Typed::of(&shown.title)).collect(), synonyms };
    if let Some((index, why)) = offered.equal(&typed) {
        return option(index, why);
    }
    if allow_numbers && let Some(index) = numbered(&typed.exact, &offered.titles) {
        return option(index, "number of the option");
    }
    for (is_loose, why) in [
        (false, "the only option whose words occur"),
        (true, "the only option whose words occur, without accents and decoration"),
    ] {
        let words_of = |text: &Typed| match is_loose {
            true => text.loose.as_deref().map(words).unwrap_or_default(),
            false => words(&text.exact),
        };
        let typed_words = words_of(&typed);
        let occurs = |text: &Typed| contains_words(&typed_words, &words_of(text));
        let mut found = (0..options.len()).filter(|&index| offered.texts(index).any(occurs));
        match (found.next(), found.next()) {
            (Some(index), None) => return option(index, why),
            (Some(_), Some(_)) => return Choice::NoMatch { why: "several options occur in the text" },
            _ => {}
        }
    }
    Choice::NoMatch { why: "no option fits" }
}

/// Whether a typed text is the title or a synonym of an option, whatever else it may mean.
pub(super) fn is_option(text: &str, options: &[MessageOption], synonyms: &[Vec<Typed>]) -> bool {
    let typed = Typed::of(text);
    let offered = Offered { titles: options.iter().map(|shown| Typed::of(&shown.title)).collect(), synonyms };
    !typed.is_empty() && offered.equal(&typed).is_some()
}

/// What can be typed to take the options of a menu.
struct Offered<'a> {
    titles: Vec<Typed>,
    synonyms: &'a [Vec<Typed>],
}

impl Offered<'_> {
    /// The title and the synonyms of an option.
    fn texts(&self, index: usize) -> impl Iterator<Item = &Typed> {
        self.titles.get(index).into_iter().chain(self.synonyms.get(index).into_iter().flatten())
    }

    /// The option whose title, else whose synonym, a text equals, else the only one that it is like; and why.
    fn equal(&self, typed: &Typed) -> Option<(usize, &'static str)> {
        let title = |index: usize| self.titles.get(index).into_iter();
        let synonyms = |index: usize| self.synonyms.get(index).into_iter().flatten();
        let all = 0..self.titles.len();
        let same = |text: &Typed| text.letters == typed.letters;
        let equal = |text: &Typed| text.exact == typed.exact;
        let first_or_only = |first: &dyn Fn(usize) -> bool, other: &dyn Fn(usize) -> bool| {
            all.clone().find(|&index| first(index)).or_else(|| only(all.clone().filter(|&index| other(index))))
        };
        if let Some(index) = first_or_only(&|index| title(index).any(same), &|index| title(index).any(equal)) {
            return Some((index, "text equals the title"));
        }
        if let Some(index) = first_or_only(&|index| synonyms(index).any(same), &|index| synonyms(index).any(equal)) {
            return Some((index, "text equals a synonym"));
        }
        let like = only(all.filter(|&index| self.texts(index).any(|text| text.is_like(typed))));
        like.map(|index| (index, "text equals the only such option, without accents and decoration"))
    }
}

/// The only one there is.
fn only(mut found: impl Iterator<Item = usize>) -> Option<usize> {
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// The option that a number stands for: the one whose title begins with it, where all do; else the one at that place,
/// unless some title is a number.
fn numbered(typed: &str, titles: &[Typed]) -> Option<usize> {
    if typed.is_empty() || !typed.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let numbers: Option<Vec<&str>> = titles.iter().map(|title| leading_number(&title.letters)).collect();
    if let Some(numbers) = numbers {
        return only((0..numbers.len()).filter(|&index| numbers[index] == typed));
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(typed) || titles.iter().any(|title| is_number(&title.exact)) {
        return None;
    }
    typed.parse::<usize>().ok()?.checked_sub(1).filter(|&index| index < titles.len())
}

/// The number that a text begins with, behind what decorates it.
fn leading_number(text: &str) -> Option<&str> {
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let is_of_number = |(at, c): (usize, char)| {
        let behind = text[at + c.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        c.is_ascii_digit() || (".,:".contains(c) && behind)
    };
    let end = text.char_indices().find(|&place| !is_of_number(place)).map_or(text.len(), |(at, _)| at);
    (end > 0).then(|| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn reply(kind: ReplyKind, text: &str, option: Option<&str>) -> Reply {
        Reply {
            kind,
            text: Some(text.to_owned()),
            option: option.map(str::to_owned),
            payload: None,
            answers_turn: None,
            received_at: Timestamp::from_millis(0),
        }
    }

    fn options(titles: &[&str]) -> Vec<MessageOption> {
        let option = |(index, title): (usize, &&str)| MessageOption {
            id: format!("o{index}"),
            title: (*title).to_owned(),
            description: None,
        };
        titles.iter().enumerate().map(option).collect()
    }

    fn typed(text: &str, titles: &[&str]) -> Option<usize> {
        let synonyms = vec![vec![Typed::of("purchase"), Typed::of("I will take it")], vec![]];
        match choose(&reply(ReplyKind::Text, text, None), &options(titles), &synonyms, true) {
            Choice::Option { index, .. } => Some(index),
            _ => None,
        }
    }

    #[test]
    fn rules_in_order() {
        let menu = ["Check out", "I need help", "Not now"];
        for (text, expected) in [
            ("check out", Some(0)),
            ("CHECK  OUT!", Some(0)),
            ("purchase", Some(0)),
            ("2", Some(1)),
            ("2.", Some(1)),
            ("2)", Some(1)),
            ("٢", Some(1)),
            ("2️⃣", Some(1)),
            ("0", None),
            ("4", None),
            ("no thanks, not now please", Some(2)),
            ("ok i will take it", Some(0)),
            ("check out or not now", None),
            ("checkout", None),
            ("", None),
            ("?", None),
        ] {
            assert_eq!(typed(text, &menu), expected, "{text}");
        }
    }

    #[test]
    fn accents_and_decoration_need_not_be_typed_where_one_option_fits() {
        for (titles, text, expected) in [
            (&["Sí", "No"][..], "si", Some(0)),
            (&["Sim", "Não"], "NAO", Some(1)),
            (&["Sí", "No"], "si por favor", Some(0)),
            (&["Schon", "Schön"], "schön", Some(1)),
            (&["Schon", "Schön"], "schon", Some(0)),
            (&["Schon", "Schön"], "schôn", None),
            (&["✅ Yes", "❌ No"], "yes", Some(0)),
            (&["✅ Yes", "❌ No"], "yes please", Some(0)),
            (&["✅ Yes", "❌ No"], "✅", None),
            (&["👍", "👎"], "👎", Some(1)),
            (&["👍", "👎"], "👌", None),
            (&["1️⃣ Sales", "2️⃣ Support"], "Support", Some(1)),
            (&["1. Ventas", "2. Soporte"], "soporte", Some(1)),
            (&["1. Ventas", "2. Soporte"], "2. soporte", Some(1)),
            (&["Yes", "No"], "yes 👍", Some(0)),
            (&["Yes", "No"], "1. yes", Some(0)),
            (&["🔽 Baja", "🔼 Álta"], "alta", Some(1)),
            (&["Red ●", "Red ○"], "red", None),
            (&["Don't know", "Know"], "don’t know", Some(0)),
            (&["C", "C#", "C++"], "c#", Some(1)),
            (&["C", "C#", "C++"], "C++", Some(2)),
            (&["C", "C#", "C++"], "c", Some(0)),
            (&["-5", "5"], "-5", Some(0)),
            (&["ja\u{200b}", "nein"], "ja", Some(0)),
            (&["\u{3164}", "b"], "\u{2800}", None),
        ] {
            assert_eq!(typed(text, titles), expected, "{text} {titles:?}");
        }
        let options = options(&["✅ Sí", "1. Baja"]);
        for (text, is_offered) in [("si", true), ("baja", true), ("2", false), ("baja por favor", false), ("", false)] {
            assert_eq!(is_option(text, &options, &[]), is_offered, "{text}");
        }
    }

    #[test]
    fn where_all_titles_begin_with_numbers_these_stand_for_the_options() {
        for (titles, text, expected) in [
            (&["5 - Ventas", "7 - Soporte"][..], "7", Some(1)),
            (&["5 - Ventas", "7 - Soporte"], "1", None),
            (&["2️⃣ Two", "1️⃣ One"], "1", Some(1)),
            (&["2️⃣ Two", "1️⃣ One"], "1️⃣", Some(1)),
            (&["5 min", "10 min"], "10", Some(1)),
            (&["1 h", "1 day"], "1", None),
            (&["9:00", "10:30"], "10:30", Some(1)),
            (&["9:00", "10:30"], "2", None),
            (&["5 - Ventas", "Soporte"], "2", Some(1)),
            (&["A", "B"], "-2", None),
            (&["A", "B"], "+2", None),
        ] {
            assert_eq!(typed(text, titles), expected, "{text} {titles:?}");
        }
    }

    #[test]
    fn the_caption_of_a_medium_is_an_answer() {
        let menu = options(&["Yes", "No"]);
        let chosen = choose(&reply(ReplyKind::Image, "yes", None), &menu, &[], true);
        assert!(matches!(chosen, Choice::Option { index: 0, .. }), "{chosen:?}");
        let other = choose(&reply(ReplyKind::Location, "yes", None), &menu, &[], true);
        assert_eq!(other, Choice::NoMatch { why: "no text" });
    }

    #[test]
    fn a_title_that_is_a_number_silences_the_places() {
        assert_eq!(typed("2", &["1", "3"]), None);
        assert_eq!(typed("3", &["1", "3"]), Some(1));
        assert_eq!(typed("2", &["2", "1"]), Some(0));
        assert_eq!(typed("2", &["", "B"]), Some(1), "a blank title is no number");
    }

    #[test]
    fn taps_go_by_id_only() {
        let menu = options(&["A", "B"]);
        let tap = |id| choose(&reply(ReplyKind::Tap, "A", id), &menu, &[], true);
        assert_eq!(tap(Some("o1")), Choice::Option { index: 1, why: "tapped" });
        assert_eq!(tap(Some("gone")), Choice::OldTap);
        assert_eq!(tap(None), Choice::OldTap);
        let voice = choose(&Reply { text: None, ..reply(ReplyKind::Audio, "A", None) }, &menu, &[], true);
        assert_eq!(voice, Choice::NoMatch { why: "no text" });
        let numbers_off = choose(&reply(ReplyKind::Text, "1", None), &menu, &[], false);
        assert_eq!(numbers_off, Choice::NoMatch { why: "no option fits" });
    }
}
