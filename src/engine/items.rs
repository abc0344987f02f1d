//! The words, numbers and signs of an answer with what they mean: what dates and times of day are read from.

use super::words::{self, Kind, Languages, Meaning, Token};

/// Letters of an ordinal that is written in one with the half before it.
const FOLLOWING_LETTERS: usize = 5;

/// One part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A number in digits.
    Number {
        value: u64,
        digits: usize,
    },
    /// A word or phrase with a meaning, or several.
    Said(Vec<Meaning>),
    /// Any other word.
    Word(String),
    Sign(char),
}

/// An item and how it stands beside the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) item: Item,
    /// Whether a blank, or the start, is before it.
    pub(super) is_spaced: bool,
}

/// The items of an answer.
#[derive(Debug, Clone)]
pub(super) struct Items(pub(super) Vec<Placed>);

impl Items {
    /// Takes a text apart.
    pub(super) fn of(text: &str, languages: &Languages) -> Self {
        let tokens = words::tokens(text);
        let words_in_all = tokens.iter().filter(|token| token.kind == Kind::Word).count();
        let mut items = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let token = &tokens[at];
            let said = words::find(&tokens, at, languages).and_then(|(length, meanings)| {
                let meanings = in_place(&tokens, at, length, meanings, words_in_all);
                (!meanings.is_empty()).then_some((length, meanings))
            });
            if let (None, Some(hour)) = (&said, half_of_an_hour(token, languages)) {
                items.push(Placed { item: Item::Said(vec![Meaning::Before(-30)]), is_spaced: token.is_spaced });
                items.push(Placed { item: Item::Said(vec![Meaning::Ordinal(hour)]), is_spaced: true });
                at += 1;
                continue;
            }
            let (length, item) = match (said, token.kind) {
                (Some((length, meanings)), _) => (length, Item::Said(meanings)),
                (None, Kind::Number(value)) => (1, Item::Number { value, digits: token.text.len() }),
                (None, Kind::Sign(sign)) => (1, Item::Sign(sign)),
                (None, Kind::Word) => (1, Item::Word(token.text.clone())),
            };
            items.push(Placed { item, is_spaced: token.is_spaced });
            // A dot behind a number that is a word of a phrase, as in `4. Mai`, is a sign of its own already.
            at += length;
        }
        Self(items)
    }

    /// The item at a place.
    pub(super) fn at(&self, at: usize) -> Option<&Item> {
        self.0.get(at).map(|placed| &placed.item)
    }

    /// The number in digits at a place, and how many these are.
    pub(super) fn number(&self, at: usize) -> Option<(u64, usize)> {
        match self.at(at)? {
            Item::Number { value, digits } => Some((*value, *digits)),
            _ => None,
        }
    }

    /// Whether the item at a place is one of these signs.
    pub(super) fn sign(&self, at: usize, signs: &str) -> Option<char> {
        match self.at(at)? {
            Item::Sign(sign) if signs.contains(*sign) => Some(*sign),
            _ => None,
        }
    }

    /// Whether the item at a place has a meaning.
    pub(super) fn means(&self, at: usize, meaning: Meaning) -> bool {
        matches!(self.at(at), Some(Item::Said(meanings)) if meanings.contains(&meaning))
    }

    /// What the item at a place means of one kind, if it means one thing of it.
    pub(super) fn one<T: PartialEq>(&self, at: usize, kind: impl Fn(Meaning) -> Option<T>) -> Option<T> {
        let Item::Said(meanings) = self.at(at)? else { return None };
        let mut found = meanings.iter().filter_map(|meaning| kind(*meaning));
        let first = found.next()?;
        found.all(|other| other == first).then_some(first)
    }

    /// The month at a place.
    pub(super) fn month(&self, at: usize) -> Option<u8> {
        self.one(at, |meaning| match meaning {
            Meaning::Month(month) => Some(month),
            _ => None,
        })
    }

    /// Whether a blank, or the start, is before the item at a place.
    pub(super) fn is_spaced(&self, at: usize) -> bool {
        self.0.get(at).is_none_or(|placed| placed.is_spaced)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The hour of a Russian half that is written in one with it, as `полдевятого`.
fn half_of_an_hour(token: &Token, languages: &Languages) -> Option<u16> {
    let hour = token.text.strip_prefix("пол").filter(|rest| rest.chars().count() >= FOLLOWING_LETTERS)?;
    let hour = [Token { text: hour.to_owned(), ..token.clone() }];
    let (_, meanings) = words::find(&hour, 0, languages)?;
    meanings.into_iter().find_map(|meaning| match meaning {
        Meaning::Ordinal(hour) => Some(hour),
        _ => None,
    })
}

/// The meanings that a phrase can have where it stands: a short name of a day is also an ordinary word.
fn in_place(
    tokens: &[Token],
    at: usize,
    length: usize,
    mut meanings: Vec<Meaning>,
    words_in_all: usize,
) -> Vec<Meaning> {
    let token = &tokens[at];
    let letters = token.text.chars().count();
    let is_latin = token.text.is_ascii();
    let is_beside_number =
        |at: Option<usize>| at.and_then(|at| tokens.get(at)).is_some_and(|token| matches!(token.kind, Kind::Number(_)));
    let has_number = is_beside_number(at.checked_sub(1)) || is_beside_number(Some(at + length));
    let is_short = length == 1 && is_latin && letters <= 3 && token.kind == Kind::Word;
    let is_clear = token.has_dot || words_in_all == 1 || (letters == 3 && words_in_all <= 4);
    let is_ending = !token.is_spaced && is_beside_number(at.checked_sub(1));
    if is_short && (!is_clear || is_ending) {
        meanings.retain(|meaning| !matches!(meaning, Meaning::Weekday(_)));
    }
    // One letter is a part of the day behind a number alone, as `8 p.m.` and `3:30 م` do.
    if length == 1 && letters == 1 && token.kind == Kind::Word && !has_no_blanks(token) && !has_number {
        meanings.retain(|meaning| !meaning.is_part_of_day());
    }
    meanings
}

fn has_no_blanks(token: &Token) -> bool {
    token.text.chars().next().is_some_and(words::has_no_blanks)
}
