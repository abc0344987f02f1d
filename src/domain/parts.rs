//! A text in parts: one that is too long for a message of the channel is cut where a reader would pause.
//!
//! A cut is at a paragraph, else at a line, a sentence, a word; never inside an emoji, nor inside a link that fits into
//! a message. Scripts that write no blanks between words are cut where Unicode ends a word (UAX #29), which is between
//! any two signs of Han or Thai. Lengths are characters, as the limits of channels are.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};
use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

use super::{MessageId, MessageKind, MessageOption, OutgoingMessage};

/// How long the texts of a channel's messages may be, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextLimits {
    /// A text by itself.
    pub text: usize,
    /// A text above options to tap.
    pub menu: usize,
    /// The text below a medium.
    pub caption: usize,
    /// Kinds of media that no text goes below.
    pub without_caption: &'static [&'static str],
}

impl TextLimits {
    /// Those of a channel that takes everything.
    pub const NONE: Self = Self::all(usize::MAX);

    /// One limit for all texts.
    pub const fn all(chars: usize) -> Self {
        Self { text: chars, menu: chars, caption: chars, without_caption: &[] }
    }

    fn are_exceeded_by(&self, message: &OutgoingMessage) -> bool {
        let Some(text) = message.text.as_deref().filter(|text| !text.trim().is_empty()) else { return false };
        match (message.kind, &message.media) {
            (MessageKind::Template, _) => false,
            (MessageKind::Media, Some(media)) => {
                is_longer(text, self.caption) || self.without_caption.contains(&media.kind.as_str())
            }
            (MessageKind::Menu, _) => is_longer(text, self.menu),
            (MessageKind::Text | MessageKind::Media, _) => is_longer(text, self.text),
        }
    }
}

/// The place of a message among the parts of a text. It is stored with the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The message that is the first part.
    pub first: MessageId,
    /// Its place, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// On the first part, what can be tapped on the last: a template that goes in place of them all has buttons for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<MessageOption>,
}

/// A message in the parts in which a channel with these limits takes it, in the order in which they go out: itself, if
/// that is short enough. The first part has the template, which goes in place of them all, and the last the options.
pub fn parts_of(message: OutgoingMessage, limits: &TextLimits) -> Vec<OutgoingMessage> {
    if !limits.are_exceeded_by(&message) {
        return vec![message];
    }
    let OutgoingMessage { node, kind, text, options, media, template } = message;
    let text = text.unwrap_or_default();
    let plain =
        OutgoingMessage { node, kind: MessageKind::Text, text: None, options: Vec::new(), media: None, template: None };
    let mut parts = Vec::new();
    let texts = match kind {
        MessageKind::Menu => cut_before_options(&text, limits),
        MessageKind::Media => {
            parts.push(OutgoingMessage { kind, media, ..plain.clone() });
            split_text(&text, limits.text)
        }
        MessageKind::Text | MessageKind::Template => split_text(&text, limits.text),
    };
    parts.extend(texts.into_iter().map(|text| OutgoingMessage { text: Some(text.to_owned()), ..plain.clone() }));
    if let Some(last) = parts.last_mut().filter(|_| kind == MessageKind::Menu) {
        (last.kind, last.options) = (kind, options);
    }
    if let Some(first) = parts.first_mut() {
        first.template = template;
    }
    parts
}

/// Characters beyond a piece that are looked at to find out whether a sign, a word or a link goes on.
const BEYOND: usize = 64;
/// Characters before the last piece that are looked at for the beginning of a link.
const BEFORE: usize = 2_048;

/// A text in pieces of at most `limit` characters, without the blanks around the cuts. None of them is blank.
pub fn split_text(text: &str, limit: usize) -> Vec<&str> {
    let limit = limit.max(1);
    let mut pieces = Vec::new();
    let mut rest = text;
    while is_longer(rest, limit) {
        let (until, half) = (after_chars(rest, limit), after_chars(rest, limit.div_ceil(2)));
        let near = &rest[..after_chars(rest, limit.saturating_add(BEYOND))];
        let links = links_in(near);
        let at = [Pause::Paragraph, Pause::Line, Pause::Sentence, Pause::Clause, Pause::Word, Pause::Unspaced]
            .into_iter()
            .map(|pause| (pause, half..=until))
            .chain([Pause::Word, Pause::Grapheme, Pause::InLink].map(|pause| (pause, 1..=until)))
            .find_map(|(pause, range)| pauses(near, pause, range, &links).next_back())
            .unwrap_or(until);
        push(&mut pieces, rest[..at].trim_end());
        rest = beginning(&rest[at..]);
    }
    push(&mut pieces, rest);
    pieces
}

/// A text whose last piece goes above options.
fn cut_before_options<'a>(text: &'a str, limits: &TextLimits) -> Vec<&'a str> {
    let limit = limits.menu.max(1);
    let text = text.trim_end();
    if !is_longer(text, limit) {
        return vec![text];
    }
    let length = text.chars().count();
    let before = after_chars(text, (length - limit).saturating_sub(BEFORE));
    let near = &text[before..];
    let from = after_chars(text, length - limit) - before;
    let half = after_chars(text, length - limit / 2) - before;
    let links = links_in(near);
    // As long as it can be, so that the question keeps what it is about.
    let at = [
        (Pause::Paragraph, near.len()),
        (Pause::Line, half),
        (Pause::Sentence, half),
        (Pause::Clause, half),
        (Pause::Word, half),
        (Pause::Unspaced, half),
        (Pause::Word, near.len()),
        (Pause::Grapheme, near.len()),
        (Pause::InLink, near.len()),
    ]
    .into_iter()
    .find_map(|(pause, until)| pauses(near, pause, from..=until, &links).next())
    .unwrap_or(from);
    let at = before + at;
    let mut pieces = split_text(text[..at].trim_end(), limits.text);
    push(&mut pieces, beginning(&text[at..]));
    pieces
}

/// Where one may pause.
#[derive(Clone, Copy)]
enum Pause {
    /// Before an empty line.
    Paragraph,
    /// Before the next line.
    Line,
    /// After a full stop, or what stands for one.
    Sentence,
    /// After a comma of a script without blanks.
    Clause,
    /// Before a blank.
    Word,
    /// Between two words of a script without blanks, or beside an emoji.
    Unspaced,
    /// Between any two signs that are not in a link.
    Grapheme,
    /// Between any two signs.
    InLink,
}

/// The places of such pauses in a range of a text, in order.
fn pauses(
    text: &str,
    pause: Pause,
    range: RangeInclusive<usize>,
    links: &[(usize, usize)],
) -> impl DoubleEndedIterator<Item = usize> {
    static PARAGRAPH: LazyLock<Regex> = LazyLock::new(|| pattern(r"\r?\n[ \t\r]*\n"));
    static LINE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\r?\n"));
    static SENTENCE: LazyLock<Regex> = LazyLock::new(|| pattern(r#"[.!?…؟۔।॥]+["'”’»)\]]*\s|[。！？]+[”’」』）]*"#));
    static CLAUSE: LazyLock<Regex> = LazyLock::new(|| pattern("[、，；：]"));
    static UNSPACED: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Extended_Pictographic}]")
    });
    let (from, until) = (*range.start(), *range.end());
    let starts = |regex: &Regex| regex.find_iter(text).map(|found| found.start()).collect::<Vec<_>>();
    // A blank behind the sign is left for the cut to take away.
    let ends = |regex: &Regex| regex.find_iter(text).map(|found| text[..found.end()].trim_end().len()).collect();
    let found: Vec<usize> = match pause {
        Pause::Paragraph => starts(&PARAGRAPH),
        Pause::Line => starts(&LINE),
        Pause::Sentence => ends(&SENTENCE),
        Pause::Clause => ends(&CLAUSE),
        Pause::Word => {
            let is_blank = |c: char| c.is_whitespace() && !['\u{a0}', '\u{2007}', '\u{202f}'].contains(&c);
            text.char_indices().filter(|(_, c)| is_blank(*c)).map(|(at, _)| at).collect()
        }
        Pause::Unspaced => {
            let is_unspaced = |word: &str| UNSPACED.is_match(word);
            let words: Vec<(usize, &str)> = text.split_word_bound_indices().collect();
            let beside = |pair: &[(usize, &str)]| is_unspaced(pair[0].1) || is_unspaced(pair[1].1);
            words.windows(2).filter(|pair| beside(pair)).map(|pair| pair[1].0).collect()
        }
        Pause::Grapheme | Pause::InLink => text.grapheme_indices(true).map(|(at, _)| at).collect(),
    };
    let may_split_links = matches!(pause, Pause::InLink);
    let is_in_link = |at: usize| !may_split_links && links.iter().any(|(start, end)| (start + 1..*end).contains(&at));
    // A mark behind a blank belongs to it, and signs that hang together stay so.
    let is_whole = |at: usize| {
        matches!(pause, Pause::Paragraph | Pause::Line)
            || GraphemeCursor::new(at, text.len(), true).is_boundary(text, 0).unwrap_or(true)
    };
    let fits: Vec<usize> = found
        .into_iter()
        .filter(|at| (from.max(1)..=until).contains(at) && *at < text.len() && !is_in_link(*at) && is_whole(*at))
        // What is cut off must not be blank, on either side.
        .filter(|at| !text[..*at].trim().is_empty() && !text[*at..].trim().is_empty())
        .collect();
    fits.into_iter()
}

/// The places of links in a text. Their letters are ASCII: what follows in Chinese is not part of one.
fn links_in(text: &str) -> Vec<(usize, usize)> {
    static LINK: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)(?:https?://|www\.)[!-~]+"));
    LINK.find_iter(text).map(|found| (found.start(), found.end())).collect()
}

/// What a piece begins with: the next line that is not blank, or the next word.
fn beginning(rest: &str) -> &str {
    let blank = rest.len() - rest.trim_start().len();
    match rest[..blank].rfind('\n') {
        // The indent of a line stays.
        Some(line) => &rest[line + 1..],
        None => &rest[blank..],
    }
}

fn push<'a>(pieces: &mut Vec<&'a str>, piece: &'a str) {
    if !piece.trim().is_empty() {
        pieces.push(piece);
    }
}

fn is_longer(text: &str, limit: usize) -> bool {
    text.len() > limit && text.chars().nth(limit).is_some()
}

/// Where a text's first `count` characters end.
fn after_chars(text: &str, count: usize) -> usize {
    text.char_indices().nth(count).map_or(text.len(), |(at, _)| at)
}

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| unreachable!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MediaRef, TemplateRef};

    const WHATSAPP: TextLimits = TextLimits { text: 60, menu: 30, caption: 20, without_caption: &["audio", "sticker"] };

    /// The pieces, which are checked for what holds of all: none is too long or blank, and nothing but blanks is lost.
    fn pieces(text: &str, limit: usize) -> Vec<&str> {
        let pieces = split_text(text, limit);
        let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        assert_eq!(bare(&pieces.concat()), bare(text));
        assert!(pieces.iter().all(|piece| piece.chars().count() <= limit && !piece.trim().is_empty()), "{pieces:?}");
        pieces
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        assert_eq!(split_text(" a \n", 4), [" a \n"]);
        assert_eq!(split_text(&"é".repeat(40), 40).len(), 1, "characters, not bytes");
        assert_eq!(split_text(&"é".repeat(41), 40).len(), 2);
    }

    #[test]
    fn a_paragraph_goes_before_a_line_a_sentence_and_a_word() {
        assert_eq!(
            pieces("One two three.\n\nFour five.\nSix seven eight.", 30),
            ["One two three.\n\nFour five.", "Six seven eight."]
        );
        assert_eq!(
            pieces("One two three four.\n\n  Five\nsix. Seven", 30),
            ["One two three four.", "  Five\nsix. Seven"]
        );
        assert_eq!(pieces("One two three four.\r\n \r\nFive\r\nsix. Seven", 30)[0], "One two three four.");
        assert_eq!(pieces("One two three. “Four five?” Six seven", 30), ["One two three. “Four five?”", "Six seven"]);
        assert_eq!(pieces("One two three four five six seven", 20), ["One two three four", "five six seven"]);
        assert_eq!(pieces("आप कैसे हैं। मैं ठीक हूँ और तुम", 16)[0], "आप कैसे हैं।");
    }

    #[test]
    fn what_belongs_together_is_never_parted() {
        // 12.5, a link and a price in one piece each.
        assert_eq!(pieces("It costs about 12.50 EUR in all", 18), ["It costs about", "12.50 EUR in all"]);
        assert_eq!(
            pieces("Look: https://a.example/x?y=1.2&z and more", 30),
            ["Look:", "https://a.example/x?y=1.2&z", "and more"]
        );
        assert_eq!(pieces("请看这个链接https://a.example/abcdefgh，谢谢你", 25)[0], "请看这个链接");
        let family = "👨‍👩‍👧‍👦";
        for (text, sign) in [
            (family.repeat(5), family),
            ("🇩🇪".repeat(9), "🇩🇪"),
            ("👍🏽".repeat(9), "👍🏽"),
            ("e\u{301}".repeat(9), "e\u{301}"),
        ] {
            for limit in sign.chars().count()..17 {
                for piece in pieces(&text, limit) {
                    assert_eq!(piece.replace(sign, ""), "", "{limit}: {piece}");
                }
            }
        }
        assert_eq!(pieces("100\u{a0}km are far", 12), ["100\u{a0}km are", "far"]);
    }

    #[test]
    fn what_has_no_pause_is_cut_all_the_same() {
        assert_eq!(pieces(&"x".repeat(25), 10), ["x".repeat(10), "x".repeat(10), "x".repeat(5)]);
        let link = format!("https://a.example/{}", "x".repeat(30));
        assert_eq!(pieces(&link, 20).len(), 3);
        assert_eq!(
            pieces("我们今天去北京。你明天去上海吗？我们后天回来", 12),
            ["我们今天去北京。", "你明天去上海吗？", "我们后天回来"]
        );
        assert_eq!(pieces("สวัสดีครับวันนี้อากาศดี", 10).len(), 3);
        assert_eq!(pieces("\u{301}".repeat(30).as_str(), 8).len(), 4, "one sign that is longer than a message");
    }

    #[test]
    fn every_limit_holds_for_every_text() {
        let text =
            "Hallo! Dies ist\n\nein Test 👨‍👩‍👧‍👦, siehe https://a.example/very/long/path?x=1 und\r\n- 价格是一百元。谢谢！ "
                .repeat(4);
        for limit in 8..200 {
            pieces(&text, limit);
        }
    }

    fn message(kind: MessageKind, text: &str) -> OutgoingMessage {
        let option = |id: &str| MessageOption { id: id.to_owned(), title: id.to_owned(), description: None };
        let media =
            |kind: &str| MediaRef { kind: kind.to_owned(), url: "https://a.example/f".to_owned(), filename: None };
        OutgoingMessage {
            node: "say".parse().unwrap(),
            kind,
            text: Some(text.to_owned()),
            options: if kind == MessageKind::Menu { vec![option("yes"), option("no")] } else { Vec::new() },
            media: (kind == MessageKind::Media).then(|| media("image")),
            template: Some(TemplateRef { name: "t".to_owned(), language: None, variables: Default::default() }),
        }
    }

    fn shown(parts: &[OutgoingMessage]) -> Vec<(MessageKind, &str, usize, bool)> {
        let one = |part: &OutgoingMessage| part.options.len();
        parts
            .iter()
            .map(|part| (part.kind, part.text.as_deref().unwrap_or("-"), one(part), part.template.is_some()))
            .collect()
    }

    #[test]
    fn the_first_part_has_the_template_and_the_last_the_options() {
        use MessageKind::{Media, Menu, Text};
        let short = message(Menu, "Which of the two do you want?");
        assert_eq!(parts_of(short.clone(), &WHATSAPP), [short]);
        let parts = parts_of(message(Menu, "This is a long introduction to it.\n\nWhich one do you want?"), &WHATSAPP);
        assert_eq!(
            shown(&parts),
            [(Text, "This is a long introduction to it.", 0, true), (Menu, "Which one do you want?", 2, false)]
        );
        let parts = parts_of(message(Menu, &"one two three ".repeat(10)), &WHATSAPP);
        assert!(parts.iter().all(|part| !is_longer(part.text.as_deref().unwrap(), WHATSAPP.text)));
        assert!(!is_longer(parts.last().unwrap().text.as_deref().unwrap(), WHATSAPP.menu));
        let parts = parts_of(message(Media, "A caption that is too long here"), &WHATSAPP);
        assert_eq!(shown(&parts), [(Media, "-", 0, true), (Text, "A caption that is too long here", 0, false)]);
        assert_eq!(parts_of(message(Media, "Short"), &WHATSAPP).len(), 1);
        for kind in ["audio", "sticker"] {
            let mut voice = message(Media, "Short");
            voice.media.as_mut().unwrap().kind = kind.to_owned();
            assert_eq!(shown(&parts_of(voice.clone(), &WHATSAPP)), [(Media, "-", 0, true), (Text, "Short", 0, false)]);
            assert_eq!(parts_of(voice, &TextLimits::NONE).len(), 1);
        }
        assert_eq!(parts_of(message(MessageKind::Template, &"x".repeat(100)), &WHATSAPP).len(), 1);
    }
}
