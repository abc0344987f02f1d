//! Values in texts that are JSON.

use super::look::Look;
use super::ways::{BRANCHES, Place, Ways, through_loops};
use super::{AS_VALUE, HARMLESS, IN_STRING, Treatment};
use crate::engine::pieces::Piece;

const KEY: &str =
    "stands where the key of an object is, and nobody who writes to you may choose that. Write the key out";
const ESCAPE: &str = "stands inside of an escape. Remove the backslash before it";
const PLACE: &str = "stands where no JSON value can be. Put it into quotation marks";

/// Where a text of JSON is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct JsonState {
    in_string: bool,
    /// Characters of an escape that are still to come, and what it stands for as far as it has been read.
    escape: u8,
    code: u32,
    /// What the string says.
    look: Look,
    /// The last character outside of strings.
    last: Option<char>,
    /// Some ways lead into a string and others do not.
    is_uneven: bool,
}

impl JsonState {
    fn pass_in_string(&mut self, c: char) {
        match (self.escape, c) {
            (0, '\\') => self.escape = 1,
            (0, '"') => {
                self.in_string = false;
                self.last = Some('"');
            }
            (0, _) => self.look.pass(c),
            (1, 'u') => (self.escape, self.code) = (5, 0),
            (1, _) => {
                self.escape = 0;
                self.look.pass(match c {
                    'n' | 'r' | 't' => ' ',
                    c => c,
                });
            }
            (_, _) => {
                self.code = (self.code << 4) | c.to_digit(16).unwrap_or_default();
                self.escape = if self.escape == 2 { 0 } else { self.escape - 1 };
                if self.escape == 0 {
                    self.look.pass(char::from_u32(self.code).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
            }
        }
    }

    fn may_begin_value(&self) -> bool {
        self.last.is_none_or(|last| "[,:".contains(last))
    }
}

impl Place for JsonState {
    fn or(self, other: Self) -> Self {
        Self {
            look: if self.in_string || other.in_string { self.look.or(other.look) } else { Look::default() },
            is_uneven: self.is_uneven
                || other.is_uneven
                || (self.in_string, self.escape, self.code) != (other.in_string, other.escape, other.code),
            ..self
        }
    }
}

/// What is done to each value of a text.
pub(super) fn filters(pieces: &[Piece<'_>]) -> Vec<Treatment> {
    through_loops(|ways: &mut Ways<JsonState>| {
        let mut filters: Vec<Treatment> = Vec::new();
        let mut now = JsonState::default();
        // Values of the string, or the value, that has just ended: the next character says whether that was a key.
        let (mut open, mut ended): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        // Those before a branch, those of the branches before it, and whether one of them is always taken.
        let mut branches: Vec<(Vec<usize>, Vec<usize>, bool)> = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    for c in text.chars() {
                        if now.in_string {
                            now.pass_in_string(c);
                            if !now.in_string {
                                ended.append(&mut open);
                            }
                        } else if !c.is_whitespace() {
                            for at in ended.drain(..) {
                                match c {
                                    ':' => filters[at] = (HARMLESS, Some(KEY)),
                                    ',' | ']' | '}' => {}
                                    _ if filters[at].0 == AS_VALUE => filters[at] = (HARMLESS, Some(PLACE)),
                                    _ => {}
                                }
                            }
                            now.in_string = c == '"';
                            now.look = Look::default();
                            now.last = Some(c);
                        }
                    }
                }
                Piece::Value(tag) if now.in_string => {
                    open.push(filters.len());
                    filters.push(match now.escape {
                        0 => now.look.treat(tag, (IN_STRING, None)),
                        _ => (HARMLESS, Some(ESCAPE)),
                    });
                    now.look.pass_value();
                }
                Piece::Value(_) => {
                    ended.push(filters.len());
                    filters.push(if now.may_begin_value() { (AS_VALUE, None) } else { (HARMLESS, Some(PLACE)) });
                    now.last = Some('0');
                }
                Piece::Tag(word, _) => {
                    now = ways.take(word, now);
                    match (*word, branches.last_mut()) {
                        ("if" | "for", _) => branches.push((ended.clone(), Vec::new(), false)),
                        ("elif" | "else", Some((before, all, is_total))) => {
                            all.append(&mut ended);
                            ended.clone_from(before);
                            *is_total |= *word == "else";
                        }
                        ("endif" | "endfor", Some((before, all, is_total))) => {
                            ended.append(all);
                            if !*is_total {
                                ended.append(before);
                            }
                            branches.pop();
                        }
                        _ => {}
                    }
                }
                Piece::Comment(_) | Piece::Unread(_) => {}
            }
        }
        if now.is_uneven || now.in_string {
            filters.iter_mut().for_each(|filter| *filter = (HARMLESS, Some(BRANCHES)));
        }
        filters
    })
}
