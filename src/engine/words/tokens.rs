//! A text as the words, numbers and signs that it is read by.

use unicode_normalization::char::is_combining_mark;

use crate::domain::typed;

/// Characters of a text that are looked at: a day, a time or a number needs no more.
const CHARS_AT_MOST: usize = 1_000;

/// One word, number or sign of a text, in the form of [`typed::unaccented`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Token {
    pub(in crate::engine) text: String,
    /// The same with its accents.
    pub(in crate::engine) written: String,
    pub(in crate::engine) kind: Kind,
    /// Whether a blank, or the start of the text, is before it.
    pub(in crate::engine) is_spaced: bool,
    /// Whether a dot is right behind a word, as behind one that is cut short.
    pub(in crate::engine) has_dot: bool,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Kind {
    /// A run of digits and its value; a longer run than a value has room for is the greatest.
    Number(u64),
    /// A run of letters; one letter of the scripts that put no blanks between words.
    Word,
    /// Anything else but blanks.
    Sign(char),
}

impl Token {
    /// Whether it is this sign.
    pub(in crate::engine) fn is(&self, sign: char) -> bool {
        self.kind == Kind::Sign(sign)
    }
}

/// The tokens of a text, of a long one none, since the end of it might change the meaning of its beginning.
/// Apostrophes, and hyphens and dots between letters, part words and are no tokens, so that `a.m.`, `a. m.` and
/// `après-midi` are two words each.
pub(in crate::engine) fn tokens(text: &str) -> Vec<Token> {
    if text.chars().nth(CHARS_AT_MOST).is_some() {
        return Vec::new();
    }
    let text = typed::same_letters(text);
    let mut found: Vec<Token> = Vec::new();
    let mut is_spaced = true;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_whitespace() {
            is_spaced = true;
            continue;
        }
        let mut token =
            Token { text: String::new(), written: c.to_string(), kind: Kind::Sign(c), is_spaced, has_dot: false };
        if c.is_ascii_digit() {
            while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                token.written.push(digit);
            }
            token.kind = Kind::Number(token.written.parse().unwrap_or(u64::MAX));
        } else if c.is_alphabetic() || is_combining_mark(c) {
            token.kind = Kind::Word;
            let is_alone = has_no_blanks(c);
            while let Some(letter) = rest.next_if(|next| {
                !is_alone && (next.is_alphabetic() || is_combining_mark(*next)) && !has_no_blanks(*next)
            }) {
                token.written.push(letter);
            }
            if rest.peek() == Some(&'.') {
                rest.next();
                token.has_dot = true;
            }
        } else if let Some(before) = found.last()
            && matches!(c, '\'' | '-' | '\u{5f3}' | '\u{5f4}' | '"')
            && before.kind == Kind::Word
            && rest.peek().is_some_and(|next| next.is_alphabetic())
        {
            is_spaced = false;
            continue;
        } else if c == '\'' {
            continue;
        }
        is_spaced = false;
        token.text = typed::unaccented(&token.written);
        found.push(token);
    }
    found
}

/// Whether a letter is of a script that puts no blanks between words, or glues what belongs to a word behind it: of
/// China, Japan and Korea, of Thailand, Laos, Myanmar and Cambodia.
pub(in crate::engine) fn has_no_blanks(c: char) -> bool {
    matches!(u32::from(c),
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3005..=0x3007 | 0x3040..=0x30ff | 0x3400..=0x4dbf
            | 0x4e00..=0x9fff | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}
