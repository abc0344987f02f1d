//! Which option of a menu a reply takes: the first rule that holds, and no fuzzy guessing.

use crate::domain::text::{contains_words, normalize_reply, words};
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
    /// A tap on a button of an older message: the menu is said again and no attempt is counted.
    OldTap,
    /// It takes none.
    NoMatch {
        /// For the trace.
        why: &'static str,
    },
}

/// Matches a reply against the options that were shown; `synonyms` stand in the same order, normalised.
pub(super) fn choose(
    reply: &Reply,
    options: &[MessageOption],
    synonyms: &[Vec<String>],
    allow_numbers: bool,
) -> Choice {
    let option = |index, why| Choice::Option { index, why };
    if reply.kind == ReplyKind::Tap {
        let tapped = reply.option.as_deref();
        return match options.iter().position(|shown| Some(shown.id.as_str()) == tapped) {
            Some(index) => option(index, "tapped"),
            None => Choice::OldTap,
        };
    }
    if reply.kind != ReplyKind::Text {
        return Choice::NoMatch { why: "no text" };
    }
    let typed = normalize_reply(reply.text.as_deref().unwrap_or_default());
    if typed.is_empty() {
        return Choice::NoMatch { why: "no text" };
    }
    let titles = normal_titles(options);
    if let Some((index, why)) = equal(&typed, &titles, synonyms) {
        return option(index, why);
    }
    // With a title such as "2" a bare number means the title or nothing.
    let is_number = |title: &String| !title.is_empty() && title.chars().all(|c| c.is_ascii_digit());
    if allow_numbers
        && !titles.iter().any(is_number)
        && let Some(index) = typed.parse::<usize>().ok().and_then(|number| number.checked_sub(1))
        && index < options.len()
    {
        return option(index, "number of the option");
    }
    let typed_words = words(&typed);
    let occurs = |text: &String| contains_words(&typed_words, &words(text));
    let mut found = (0..options.len())
        .filter(|&index| occurs(&titles[index]) || synonyms.get(index).is_some_and(|list| list.iter().any(occurs)));
    match (found.next(), found.next()) {
        (Some(index), None) => option(index, "the only option whose words occur"),
        (Some(_), Some(_)) => Choice::NoMatch { why: "several options occur in the text" },
        _ => Choice::NoMatch { why: "no option fits" },
    }
}

/// Whether a typed text is the title or a synonym of an option, whatever else it may mean.
pub(super) fn is_option(text: &str, options: &[MessageOption], synonyms: &[Vec<String>]) -> bool {
    let typed = normalize_reply(text);
    !typed.is_empty() && equal(&typed, &normal_titles(options), synonyms).is_some()
}

/// The option whose title, else whose synonym a text equals, and why.
fn equal(typed: &String, titles: &[String], synonyms: &[Vec<String>]) -> Option<(usize, &'static str)> {
    if let Some(index) = titles.iter().position(|title| title == typed) {
        return Some((index, "text equals the title"));
    }
    synonyms.iter().position(|list| list.contains(typed)).map(|index| (index, "text equals a synonym"))
}

fn normal_titles(options: &[MessageOption]) -> Vec<String> {
    options.iter().map(|shown| normalize_reply(&shown.title)).collect()
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
        let synonyms = vec![vec!["purchase".to_owned(), "i will take it".to_owned()], vec![]];
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
        let voice = choose(&reply(ReplyKind::Audio, "A", None), &menu, &[], true);
        assert_eq!(voice, Choice::NoMatch { why: "no text" });
        let numbers_off = choose(&reply(ReplyKind::Text, "1", None), &menu, &[], false);
        assert_eq!(numbers_off, Choice::NoMatch { why: "no option fits" });
    }
}
