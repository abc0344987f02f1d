//! Values in forms.

use super::look::Look;
use super::ways::{Place, Ways, through_loops};
use super::{HARMLESS, IN_FORM, Treatment};
use crate::engine::pieces::Piece;

const FIELD: &str =
    "stands where the name of a field is, and nobody who writes to you may choose that. Write it behind a `=`";
const PERCENT: &str = "stands inside of an escape. Write `%25` for the `%` before it";

/// Where a form is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct FormState {
    /// Perhaps in the name of a field.
    in_name: bool,
    /// Characters of an escape that are still to come, and what it stands for as far as it has been read.
    escape: u8,
    code: u8,
    /// What the field says.
    look: Look,
}

impl FormState {
    fn pass(&mut self, c: char) {
        match (self.escape, c) {
            (_, '&') => *self = Self { in_name: true, escape: 0, code: 0, look: Look::default() },
            (0, '=') if self.in_name => (self.in_name, self.look) = (false, Look::default()),
            (0, '%') => (self.escape, self.code) = (2, 0),
            (0, '+') => self.look.pass(' '),
            (0, _) => self.look.pass(c),
            _ => {
                self.code = (self.code << 4) | c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0);
                self.escape -= 1;
                if self.escape == 0 {
                    self.look.pass(char::from(self.code));
                }
            }
        }
    }
}

impl Place for FormState {
    fn or(self, other: Self) -> Self {
        Self {
            in_name: self.in_name || other.in_name,
            escape: self.escape.max(other.escape),
            code: self.code.max(other.code),
            look: self.look.or(other.look),
        }
    }
}

/// What is done to each value of a form.
pub(super) fn filters(pieces: &[Piece<'_>]) -> Vec<Treatment> {
    through_loops(|ways: &mut Ways<FormState>| {
        let mut filters: Vec<Treatment> = Vec::new();
        let mut now = FormState { in_name: true, escape: 0, code: 0, look: Look::default() };
        // Values behind a `;`, which some readers take for an `&`: a `=` behind them says that it may be one.
        let mut behind: Option<Vec<usize>> = None;
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    for c in text.chars() {
                        match c {
                            ';' => behind = Some(Vec::new()),
                            '&' => behind = None,
                            '=' => {
                                for at in behind.take().unwrap_or_default() {
                                    filters[at] = (HARMLESS, Some(FIELD));
                                }
                            }
                            _ => {}
                        }
                        now.pass(c);
                    }
                }
                Piece::Value(tag) => {
                    behind.iter_mut().for_each(|values| values.push(filters.len()));
                    filters.push(match now.escape {
                        _ if now.in_name => (HARMLESS, Some(FIELD)),
                        0 => now.look.treat(tag, (IN_FORM, None)),
                        _ => (HARMLESS, Some(PERCENT)),
                    });
                    now.look.pass_value();
                }
                Piece::Tag(word, _) => now = ways.take(word, now),
                Piece::Comment(_) | Piece::Unread(_) => {}
            }
        }
        filters
    })
}
