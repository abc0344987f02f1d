//! The operators of `condition`.
//!
//! How text is compared stands in [`typed`]. A value of the wrong type is no match and a warning: numbers
//! are never compared as text behind the author's back.

use std::cmp::Ordering;
use std::collections::HashSet;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::moment;
use super::number::{self, Number, Writing};
use super::pattern::Pattern;
use crate::domain::Operator;
use crate::domain::profile::clean_tag;
use crate::domain::text::{fold, words};
use crate::domain::typed::{self, same_letters};
use crate::domain::unseen::is_blank;

/// The outcome of one case.
pub(super) enum CaseResult {
    /// It holds; the part of `left` that matched.
    Holds(Value),
    /// It does not hold.
    Fails,
    /// It cannot be decided on these values; the sentence is for the trace.
    WrongType(String),
}

/// The surroundings of a comparison. What comes of the contact's country is asked for where it matters: finding that
/// out takes longer than comparing.
pub(super) struct Surroundings<'a> {
    /// The contact's tags, for `has_tag`.
    pub(super) tags: &'a [String],
    /// How numbers are written.
    pub(super) writing: &'a dyn Fn() -> Writing,
    /// In which zone a date without a zone lies.
    pub(super) zone: &'a dyn Fn() -> TimeZone,
    /// Reads the day in a text as people write it.
    pub(super) day: &'a dyn Fn(&str) -> Option<Date>,
}

/// Decides one case; `pattern` is the compiled `right` of `matches`.
pub(super) fn decide(
    operator: Operator,
    left: &Value,
    right: &Value,
    pattern: Option<&Pattern>,
    around: &Surroundings<'_>,
) -> CaseResult {
    let holds = |yes: bool, part: &Value| if yes { CaseResult::Holds(trimmed(part)) } else { CaseResult::Fails };
    match operator {
        Operator::Equals => holds(same(left, right), left),
        Operator::NotEquals => holds(!same(left, right), left),
        Operator::Contains => match left {
            Value::Array(items) => match items.iter().find(|item| same(item, right)) {
                Some(item) => CaseResult::Holds(trimmed(item)),
                None => CaseResult::Fails,
            },
            _ => on_text(left, right, |text, part| text.contains(part), false),
        },
        Operator::StartsWith => on_text(left, right, |text, part| text.starts_with(part), false),
        Operator::EndsWith => on_text(left, right, |text, part| text.ends_with(part), true),
        Operator::Matches => match pattern.and_then(|pattern| pattern.find(&as_text(left)).map(str::to_owned)) {
            Some(part) => CaseResult::Holds(json!(part)),
            None => CaseResult::Fails,
        },
        Operator::In => match right {
            Value::Array(items) => holds(items.iter().any(|item| same(left, item)), left),
            _ => CaseResult::WrongType("`in` needs a list on its right".to_owned()),
        },
        Operator::IsSet => holds(is_set(left), left),
        Operator::IsEmpty => holds(!is_set(left), left),
        Operator::NumberEq => on_numbers(left, right, around, Ordering::is_eq),
        Operator::NumberLt => on_numbers(left, right, around, Ordering::is_lt),
        Operator::NumberLte => on_numbers(left, right, around, Ordering::is_le),
        Operator::NumberGt => on_numbers(left, right, around, Ordering::is_gt),
        Operator::NumberGte => on_numbers(left, right, around, Ordering::is_ge),
        Operator::NumberBetween => between(left, right, around),
        Operator::DateBefore => on_dates(left, right, around, |a, b| a < b),
        Operator::DateAfter => on_dates(left, right, around, |a, b| a > b),
        Operator::DateEq => on_dates(left, right, around, |a, b| a == b),
        Operator::HasAnyWord => has_words(left, right, |found, _| found > 0),
        Operator::HasAllWords => has_words(left, right, |found, wanted| found == wanted && wanted > 0),
        Operator::HasTag => {
            // A simulation's contact, and a session's from before an upgrade, may have tags that are not clean.
            let wanted = fold(&clean_tag(&as_text(right)));
            match around.tags.iter().find(|tag| fold(&clean_tag(tag)) == wanted) {
                Some(tag) => CaseResult::Holds(json!(tag)),
                None => CaseResult::Fails,
            }
        }
    }
}

/// A value as text; whole numbers without a fraction, missing values as nothing.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match Number::of_json(value) {
            Some(read) => read.to_json().to_string(),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn same(left: &Value, right: &Value) -> bool {
    typed::is_same(&as_text(left), &as_text(right))
}

/// A value as it is kept: a text without the blanks at its edges.
fn trimmed(value: &Value) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| json!(text.trim()))
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !is_blank(text),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Compares the letters of two texts; nothing is a part of none. What is kept is the part of `left`, the first of such
/// or the last.
fn on_text(left: &Value, right: &Value, test: impl Fn(&str, &str) -> bool, is_last: bool) -> CaseResult {
    let (text, wanted) = (as_text(left), as_text(right));
    let part = same_letters(&wanted);
    if part.is_empty() || !test(&same_letters(&text), &part) {
        return CaseResult::Fails;
    }
    CaseResult::Holds(json!(typed::part(&text, &wanted, is_last).unwrap_or(wanted.trim())))
}

fn as_number(value: &Value, around: &Surroundings<'_>) -> Option<Number> {
    match value {
        Value::String(text) => number::whole(text, (around.writing)()),
        value => Number::of_json(value),
    }
}

fn no_number(value: &Value) -> CaseResult {
    CaseResult::WrongType(format!("`{}` is not a number", as_text(value)))
}

fn on_numbers(left: &Value, right: &Value, around: &Surroundings<'_>, test: fn(Ordering) -> bool) -> CaseResult {
    match (as_number(left, around), as_number(right, around)) {
        (Some(a), Some(b)) if test(a.compare(b)) => CaseResult::Holds(a.to_json()),
        (Some(_), Some(_)) => CaseResult::Fails,
        (None, _) => no_number(left),
        (_, None) => no_number(right),
    }
}

fn between(left: &Value, right: &Value, around: &Surroundings<'_>) -> CaseResult {
    let bounds = right.as_array().filter(|bounds| bounds.len() == 2);
    let Some([low, high]) = bounds.map(Vec::as_slice) else {
        return CaseResult::WrongType("`number_between` needs [least, greatest] on its right".to_owned());
    };
    match (as_number(left, around), as_number(low, around), as_number(high, around)) {
        (Some(value), Some(low), Some(high)) if value.compare(low).is_ge() && value.compare(high).is_le() => {
            CaseResult::Holds(value.to_json())
        }
        (Some(_), Some(_), Some(_)) => CaseResult::Fails,
        (None, _, _) => no_number(left),
        (_, None, _) => no_number(low),
        _ => no_number(high),
    }
}

/// Compares moments; if either side is a mere date, the dates.
fn on_dates(
    left: &Value,
    right: &Value,
    around: &Surroundings<'_>,
    test: impl Fn(DateTime, DateTime) -> bool,
) -> CaseResult {
    let read = |value: &Value| {
        let is_date = value.as_str().is_some_and(moment::is_date);
        let moment = moment::of_value(value, &(around.zone)()).map(|zoned| (zoned.datetime(), is_date));
        moment.or_else(|| (around.day)(value.as_str()?).map(|day| (day.to_datetime(Time::midnight()), true)))
    };
    let wrong = |value: &Value| CaseResult::WrongType(format!("`{}` is not a date", as_text(value)));
    let Some((a, a_is_date)) = read(left) else { return wrong(left) };
    let Some((b, b_is_date)) = read(right) else { return wrong(right) };
    let whole_days = a_is_date || b_is_date;
    let cut = |moment: DateTime| {
        if whole_days { moment.date().to_datetime(Time::midnight()) } else { moment }
    };
    if test(cut(a), cut(b)) { CaseResult::Holds(left.clone()) } else { CaseResult::Fails }
}

/// Compares words; `test` gets how many of the wanted ones are there, and how many there are. What is kept are those of
/// `left`, each once, in their order there.
fn has_words(left: &Value, right: &Value, test: impl Fn(usize, usize) -> bool) -> CaseResult {
    let wanted: HashSet<String> = match right {
        Value::Array(items) => items.iter().flat_map(|item| words(&as_text(item))).collect::<Vec<_>>(),
        other => words(&as_text(other)),
    }
    .iter()
    .map(|word| same_letters(word))
    .collect();
    let shown = words(&as_text(left));
    let mut seen = HashSet::new();
    let is_found = |word: &&String| {
        let letters = same_letters(word);
        wanted.contains(&letters) && seen.insert(letters)
    };
    let found: Vec<&str> = shown.iter().filter(is_found).map(String::as_str).collect();
    if test(found.len(), wanted.len()) { CaseResult::Holds(json!(found.join(" "))) } else { CaseResult::Fails }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(operator: &str, left: Value, right: Value) -> Result<Value, bool> {
        let operator: Operator = serde_json::from_value(json!(operator)).unwrap();
        let tags = ["VIP".to_owned()];
        let around = Surroundings { tags: &tags, writing: &Writing::default, zone: &|| TimeZone::UTC, day: &|_| None };
        let pattern = right.as_str().and_then(|source| Pattern::compile(source).0);
        match decide(operator, &left, &right, pattern.as_ref(), &around) {
            CaseResult::Holds(part) => Ok(part),
            CaseResult::Fails => Err(false),
            CaseResult::WrongType(_) => Err(true),
        }
    }

    #[test]
    fn every_operator_holds_and_fails() {
        for (operator, left, right, expected) in [
            ("equals", json!(" STRASSE "), json!("straße"), Ok(json!("STRASSE"))),
            ("equals", json!("Don’t know"), json!("don't know"), Ok(json!("Don’t know"))),
            ("equals", json!("Yes!"), json!("yes"), Ok(json!("Yes!"))),
            ("equals", json!("sí"), json!("si"), Err(false)),
            ("equals", json!("-5"), json!("5"), Err(false)),
            ("equals", json!(" Blue Car "), json!("blue car"), Ok(json!("Blue Car"))),
            ("contains", json!("Say HELLO you"), json!("hello"), Ok(json!("HELLO"))),
            ("ends_with", json!("say hello, HELLO"), json!("hello"), Ok(json!("HELLO"))),
            ("has_any_word", json!("a red car"), json!("RED blue red"), Ok(json!("red"))),
            ("has_any_word", json!("Blue, RED and blue"), json!("red blue"), Ok(json!("Blue RED"))),
            ("is_set", json!("\u{3164}"), json!(null), Err(false)),
            ("equals", json!(5.0), json!("5"), Ok(json!(5.0))),
            ("equals", json!("5"), json!("5.0"), Err(false)),
            ("not_equals", json!("a"), json!("b"), Ok(json!("a"))),
            ("contains", json!("I like Tea"), json!("tea"), Ok(json!("Tea"))),
            ("contains", json!("x"), json!(""), Err(false)),
            ("contains", json!(["a", "B"]), json!("b"), Ok(json!("B"))),
            ("starts_with", json!("Hello"), json!("he"), Ok(json!("He"))),
            ("ends_with", json!("Hello "), json!("LO"), Ok(json!("lo"))),
            ("matches", json!("Order AB-12 please"), json!(r"[a-z]{2}-\d+"), Ok(json!("AB-12"))),
            ("in", json!("b"), json!(["a", "B"]), Ok(json!("b"))),
            ("in", json!("c"), json!(["a", "B"]), Err(false)),
            ("in", json!("c"), json!("abc"), Err(true)),
            ("is_set", json!(0), json!(null), Ok(json!(0))),
            ("is_set", json!("  "), json!(null), Err(false)),
            ("is_empty", json!(null), json!(null), Ok(json!(null))),
            ("is_empty", json!("x"), json!(null), Err(false)),
            ("number_eq", json!("1,000"), json!(1000), Ok(json!(1000))),
            ("number_lt", json!("9"), json!("10"), Ok(json!(9))),
            ("number_lt", json!("nine"), json!(10), Err(true)),
            ("number_lt", json!(9), json!("ten"), Err(true)),
            ("number_lte", json!(10), json!(10), Ok(json!(10))),
            ("number_gt", json!(10.5), json!(10), Ok(json!(10.5))),
            ("number_gte", json!(-3), json!(-2), Err(false)),
            ("number_between", json!("5"), json!([5, "6"]), Ok(json!(5))),
            ("number_between", json!("7"), json!([5, 6]), Err(false)),
            ("number_between", json!("7"), json!(5), Err(true)),
            ("date_before", json!("2026-05-07"), json!("2026-05-08T00:00:00Z"), Ok(json!("2026-05-07"))),
            (
                "date_after",
                json!("2026-05-07T10:00:00Z"),
                json!("2026-05-07T09:59:59Z"),
                Ok(json!("2026-05-07T10:00:00Z")),
            ),
            ("date_eq", json!("2026-05-07T10:00:00Z"), json!("2026-05-07"), Ok(json!("2026-05-07T10:00:00Z"))),
            ("date_eq", json!("soon"), json!("2026-05-07"), Err(true)),
            ("date_eq", json!(1_778_112_000), json!("2026-05-07T00:00:00Z"), Ok(json!(1_778_112_000))),
            ("date_eq", json!("1778112000000"), json!("2026-05-07"), Ok(json!("1778112000000"))),
            ("date_before", json!("5"), json!("2026-05-07"), Err(true)),
            ("date_before", json!("01/12/2026"), json!("2026-05-07"), Err(true)),
            ("date_after", json!(true), json!("2026-05-07"), Err(true)),
            ("number_gt", json!("1.290,50 €"), json!(1000), Ok(json!(1290.5))),
            ("number_eq", json!("9007199254740993"), json!(9_007_199_254_740_992_u64), Err(false)),
            ("number_lt", json!("1/2"), json!(10), Err(true)),
            ("number_lt", json!("3-4"), json!(10), Err(true)),
            ("has_any_word", json!("Yes, please!"), json!("yes ok"), Ok(json!("Yes"))),
            ("has_any_word", json!("yesterday"), json!("yes"), Err(false)),
            ("has_all_words", json!("now I need Help"), json!("help now"), Ok(json!("now Help"))),
            ("has_all_words", json!("help"), json!("help now"), Err(false)),
            ("has_tag", json!(null), json!("vip"), Ok(json!("VIP"))),
            ("has_tag", json!(null), json!("v\u{ad}ip\u{3164}"), Ok(json!("VIP"))),
            ("has_tag", json!(null), json!("new"), Err(false)),
            ("has_tag", json!(null), json!("\u{3164}"), Err(false)),
        ] {
            assert_eq!(holds(operator, left.clone(), right.clone()), expected, "{left} {operator} {right}");
        }
    }
}
