//! Texts within a body, as far as they have the look of JSON.
//!
//! A value in a string of JSON, or in a field of a form, is escaped for that place alone. Where the text around it is
//! JSON itself, it would have to be escaped once more.

use std::mem;

use super::ways::{Place, Ways, through_loops};
use super::{AS_IT_IS, HARMLESS, Treatment, VALUE};
use crate::engine::pieces::{Piece, inside, split_outside};

const NESTED: &str = "stands in JSON that is written in a text, where it would have to be escaped twice. Put `|tojson` \
                      at its end and no quotation marks around it; if this is no JSON, close the brackets before it";
/// What stands in an expression of more than one operand.
const OPERATORS: [char; 14] = [' ', '\t', '\n', '\r', '~', '+', '-', '*', '/', '%', '=', '<', '>', '!'];

/// What stands in a text within a body, as far as that has the look of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Look {
    /// Brackets that are open.
    depth: u16,
    /// Square brackets before these that may be those of a sentence, as in `Order [5]`.
    prose: u16,
    /// In a string within brackets, and behind a backslash in it.
    in_string: bool,
    is_escaped: bool,
    /// The last two characters that are no blanks, and whether one stands behind them.
    before_last: Option<char>,
    last: Option<char>,
    is_blank: bool,
    /// What stands here depends on the values.
    is_unsure: bool,
}

impl Look {
    pub(super) fn pass(&mut self, c: char) {
        match c {
            _ if self.is_unsure => return,
            _ if self.in_string && self.is_escaped => self.is_escaped = false,
            '\\' if self.in_string => self.is_escaped = true,
            '"' if self.in_string => self.in_string = false,
            _ if self.in_string => {}
            '{' => self.depth = self.depth.saturating_add(1),
            '[' if self.depth == 0 && self.is_behind_word() => self.prose = self.prose.saturating_add(1),
            '[' => self.depth = self.depth.saturating_add(1),
            ']' if self.depth == 0 => self.prose = self.prose.saturating_sub(1),
            '}' | ']' => self.depth = self.depth.saturating_sub(1),
            // A sentence may have quotation marks. Behind a bracket, or a key, they are those of JSON.
            '"' => {
                let is_behind_key = (self.before_last, self.last) == (Some('"'), Some(':'));
                self.depth = self.depth.saturating_add(mem::take(&mut self.prose));
                if self.depth == 0 && is_behind_key {
                    self.depth = 1;
                }
                self.in_string = self.depth > 0;
            }
            _ => {}
        }
        self.is_blank = c.is_whitespace();
        if !self.is_blank {
            (self.before_last, self.last) = (self.last, Some(c));
        }
    }

    pub(super) fn pass_value(&mut self) {
        if !self.is_unsure {
            (self.before_last, self.last, self.is_blank) = (self.last, Some(VALUE), false);
        }
    }

    fn is_behind_word(&self) -> bool {
        match self.last {
            Some(VALUE | '.' | ',' | '!' | '?' | ')' | ']' | '"') => self.is_blank,
            Some(c) => c.is_alphanumeric(),
            None => false,
        }
    }

    /// How a value is to be treated that stands here, where `otherwise` would do in a text that is no JSON.
    pub(super) fn treat(&self, tag: &str, otherwise: Treatment) -> Treatment {
        let is_place = !self.is_unsure && !self.in_string && self.last.is_some_and(|last| "[,:".contains(last));
        if (self.is_unsure || self.depth > 0) && !(is_place && is_json(tag)) {
            (HARMLESS, Some(NESTED))
        } else {
            otherwise
        }
    }
}

impl Place for Look {
    fn or(self, other: Self) -> Self {
        let place = |look: Self| (look.depth, look.prose, look.in_string, look.is_escaped, look.is_unsure);
        if place(self) != place(other) {
            return Self { is_unsure: true, ..Self::default() };
        }
        Self {
            before_last: self.before_last.filter(|_| self.before_last == other.before_last),
            last: self.last.filter(|_| self.last == other.last),
            is_blank: self.is_blank && other.is_blank,
            ..self
        }
    }
}

/// A text that is escaped as a whole may still have JSON in it.
pub(super) fn filters(pieces: &[Piece<'_>]) -> Vec<Treatment> {
    through_loops(|ways: &mut Ways<Look>| {
        let mut filters = Vec::new();
        let mut now = Look::default();
        for piece in pieces {
            match piece {
                Piece::Text(text) => text.chars().for_each(|c| now.pass(c)),
                Piece::Value(tag) => {
                    filters.push(now.treat(tag, (AS_IT_IS, None)));
                    now.pass_value();
                }
                Piece::Tag(word, _) => now = ways.take(word, now),
                Piece::Comment(_) | Piece::Unread(_) => {}
            }
        }
        filters
    })
}

/// Whether a value is written as JSON: the last filter behind all of it does that.
fn is_json(tag: &str) -> bool {
    let (_, inner, _) = inside(tag);
    let parts = split_outside(inner, '|');
    // With an operator in it the filter would be that of the last operand alone.
    let is_operand = |part: &str| OPERATORS.iter().all(|sign| split_outside(part, *sign).len() == 1);
    let is_simple = parts.iter().all(|part| is_operand(part.trim()));
    is_simple && parts.len() > 1 && parts.last().is_some_and(|last| last.trim() == "tojson")
}
