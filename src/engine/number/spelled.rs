//! Numbers in words, and words that multiply the digits before them: `dos`, `ciento veinte`, `50 ribu`.

use text2num::{Language, text2digits};

use super::multiples::{is_multiple, is_multiple_before};
use super::run::{FRACTIONS, Run, plain};
use super::{NoNumber, Number, Writing, first_in};
use crate::engine::words::{self, Kind, Languages, Meaning, Token};

/// Words of a text at most in which one that is spelled out is looked for.
const WORDS_AT_MOST: usize = 8;

/// The number that a text has in words, where it has none in digits.
pub(in crate::engine) fn in_words(
    text: &str,
    writing: Writing,
    languages: &Languages,
    of_digits: NoNumber,
) -> Result<Number, NoNumber> {
    let tokens = words::tokens(text);
    if tokens.iter().any(|token| matches!(token.kind, Kind::Number(_))) {
        let is_unclear = of_digits == NoNumber::Unclear;
        return is_unclear.then(|| multiplied(text, writing, languages)).flatten().ok_or(of_digits);
    }
    let words_in_all = tokens.iter().filter(|token| token.kind == Kind::Word).count();
    let mut found = None;
    let mut at = 0;
    while at < tokens.len() {
        match spelled(&tokens, at, languages).ok_or(NoNumber::Unclear)? {
            Some((number, end)) => {
                if found.replace((number, end - at)).is_some() {
                    return Err(NoNumber::Unclear);
                }
                at = end;
            }
            None if changes(&tokens, at, languages) => return Err(NoNumber::Unclear),
            None => at += 1,
        }
    }
    match found {
        // One is also an article, and a longer text may be about anything.
        Some((number, length)) if length == words_in_all || number != 1 && words_in_all <= WORDS_AT_MOST => {
            Ok(Number::Whole(number.into()))
        }
        _ => Err(NoNumber::Missing),
    }
}

/// Whether a word makes something else of a number.
fn changes(tokens: &[Token], at: usize, languages: &Languages) -> bool {
    let token = &tokens[at];
    let is_said = words::find(tokens, at, languages).is_some_and(|(_, meanings)| {
        meanings.iter().any(|meaning| {
            matches!(
                meaning,
                Meaning::Changed
                    | Meaning::Limit
                    | Meaning::On
                    | Meaning::After(_)
                    | Meaning::Before(_)
                    | Meaning::Quarter
            )
        })
    });
    let is_part = is_multiple(&token.text) || is_multiple_before(&token.text);
    is_said || is_part || FRACTIONS.contains(&token.text.as_str())
}

/// The number that begins at a place, if one does, and where it ends; the outer `None` where its words do not go
/// together.
#[expect(clippy::option_option, reason = "no number, and none that can be told, are two things")]
fn spelled(tokens: &[Token], start: usize, languages: &Languages) -> Option<Option<(u64, usize)>> {
    let mut total: u64 = 0;
    let mut current: Option<u64> = None;
    let mut at = start;
    let mut end = start;
    while at < tokens.len() {
        let Some((length, meanings)) = words::find(tokens, at, languages) else {
            match (compound(&tokens[at], languages), current) {
                (Some(number), None) => current = Some(number),
                (Some(_), Some(_)) => return None,
                (None, _) => break,
            }
            at += 1;
            end = at;
            continue;
        };
        let mut numbers = meanings.iter().filter_map(|meaning| match meaning {
            Meaning::Cardinal(number) => Some(u64::from(*number)),
            _ => None,
        });
        let multiple = meanings.iter().find_map(|meaning| match meaning {
            Meaning::Multiple(power) => Some(10_u64.pow(u32::from(*power))),
            _ => None,
        });
        let halves = meanings.iter().find_map(|meaning| match meaning {
            Meaning::Halves(halves) => Some(u64::from(*halves)),
            _ => None,
        });
        // `डेढ़ सौ`: one and a half hundreds. What is half alone is no whole number.
        if let Some(halves) = halves {
            let behind = words::find(tokens, at + length, languages);
            let power = behind.and_then(|(further, meanings)| {
                meanings.iter().find_map(|meaning| match meaning {
                    Meaning::Multiple(power) => Some((further, 10_u64.pow(u32::from(*power)))),
                    _ => None,
                })
            });
            let (further, multiple) = power.filter(|_| end == start)?;
            return Some(Some((halves * multiple / 2, at + length + further)));
        }
        let number = numbers.next();
        if numbers.any(|other| Some(other) != number) {
            return None;
        }
        match (number, multiple) {
            // `about thousand` is a number, and what is not known before it may be another.
            (None, Some(_)) if end == start && start > 0 => return None,
            (_, Some(multiple)) if number.is_none() || current.is_some() => {
                let count = current.take().unwrap_or(1);
                if multiple == 100 {
                    current = Some(count.checked_mul(100).filter(|_| count < 100)?);
                } else {
                    // What comes later is less.
                    if !total.is_multiple_of(multiple * 10) {
                        return None;
                    }
                    total = total.checked_add(count.checked_mul(multiple)?)?;
                }
            }
            (Some(number), _) => match current {
                None => current = Some(number),
                Some(before) if before != 0 && number != 0 && number < lowest_power(before) => {
                    current = Some(before + number)
                }
                Some(_) => return None,
            },
            (None, _) if end > start && meanings.contains(&Meaning::On) => {
                at += length;
                continue;
            }
            _ => break,
        }
        at += length;
        end = at;
    }
    Some((end > start).then_some((total + current.unwrap_or(0), end)))
}

/// The number of a word in which several are written in one: `zweihundertfünfzig`, `duemila`.
fn compound(token: &Token, languages: &Languages) -> Option<u64> {
    const LETTERS: usize = 6;
    if token.kind != Kind::Word || token.text.len() < LETTERS {
        return None;
    }
    let written_in_one = [
        ("de", Language::german()),
        ("it", Language::italian()),
        ("nl", Language::dutch()),
        ("da", Language::danish()),
    ];
    let known = written_in_one.iter().filter(|(name, _)| languages.has(name));
    known.filter_map(|(_, language)| text2digits(&token.written, language).ok()?.parse().ok()).next()
}

/// Whether a text has a limit, corrects itself or adds up: `more than 10`, `3 sorry 4`, `2 adults and 1 child`.
pub(in crate::engine) fn is_open(text: &str, languages: &Languages) -> bool {
    let tokens = words::tokens(text);
    let is_number = |token: &Token| matches!(token.kind, Kind::Number(_));
    let numbers = tokens.iter().filter(|token| is_number(token)).count();
    let first = tokens.iter().position(is_number);
    let last = tokens.iter().rposition(is_number);
    (0..tokens.len()).any(|at| {
        let is_between = numbers > 1 && first.is_some_and(|first| first < at) && last.is_some_and(|last| at < last);
        is_between && tokens[at].is('+')
            || words::find(&tokens, at, languages).is_some_and(|(_, meanings)| {
                meanings.contains(&Meaning::Limit)
                    || is_between && meanings.iter().any(|meaning| matches!(meaning, Meaning::On | Meaning::Changed))
            })
    })
}

/// The greatest power of ten that a number is a multiple of.
fn lowest_power(number: u64) -> u64 {
    let mut power = 1;
    while number.is_multiple_of(power * 10) {
        power *= 10;
    }
    power
}

/// Digits with one word behind them that multiplies: `50 ribu`, `1,5 juta`, `5k`.
fn multiplied(text: &str, writing: Writing, languages: &Languages) -> Option<Number> {
    let chars = plain(text);
    let run = Run::next(&chars, 0)?;
    if Run::next(&chars, run.end).is_some() {
        return None;
    }
    let before: String = chars[..run.end].iter().collect();
    let behind: String = chars[run.end..].iter().collect();
    let tokens = words::tokens(&behind);
    let (length, power) = match words::find(&tokens, 0, languages) {
        Some((length, meanings)) => {
            let power = meanings.iter().find_map(|meaning| match meaning {
                Meaning::Multiple(power) => Some(*power),
                _ => None,
            });
            (length, power?)
        }
        None if tokens.first().is_some_and(|token| matches!(token.text.as_str(), "k" | "к")) => (1, 3),
        None => return None,
    };
    let is_changed = (length..tokens.len())
        .any(|at| changes(&tokens, at, languages) || matches!(spelled(&tokens, at, languages), None | Some(Some(_))));
    if is_changed {
        return None;
    }
    let power = i32::from(power);
    match first_in(&before, writing, |_| true).ok()? {
        Number::Whole(whole) => Some(Number::Whole(whole.checked_mul(10_i128.checked_pow(power.unsigned_abs())?)?)),
        // `1,5` million has no more digits than the million.
        Number::Fraction(value) => Number::of_float((value * 10_f64.powi(power) * 1e3).round() / 1e3),
    }
    .filter(|number| {
        matches!(number,
            Number::Whole(whole) if (-1_000_000_000_000_000..=1_000_000_000_000_000).contains(whole))
    })
}
