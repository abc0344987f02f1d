//! What an answer has to lie within: `validation.min` and `max` of an `ask`, read once when the flow is compiled.

use jiff::civil::{Date, Time};
use serde_json::Value;

use super::number::{self, Number, Writing};
use crate::domain::{Expects, Validation};

/// The bounds of one `ask`, both inclusive, in the type of its answers.
#[derive(Debug, Clone, Default)]
pub(super) enum Bounds {
    /// Answers of its kind have none.
    #[default]
    None,
    /// Of numbers, and of the length of texts.
    Numbers(Range<Number>),
    /// Of dates, from the first to the last.
    Days(Range<Date>),
    /// Of times of day.
    Times(Range<Time>),
}

#[derive(Debug, Clone)]
pub(super) struct Range<T> {
    min: Option<T>,
    max: Option<T>,
}

impl<T> Range<T> {
    fn holds(&self, is_below: impl Fn(&T) -> bool, is_above: impl Fn(&T) -> bool) -> bool {
        !self.min.as_ref().is_some_and(is_below) && !self.max.as_ref().is_some_and(is_above)
    }
}

/// A bound that cannot be used: its field, and the end of the sentence that says so.
pub(super) type BadBound = (&'static str, String);

impl Bounds {
    /// Reads the bounds of an `ask`. One that cannot be read bounds nothing; publishing refuses it.
    pub(super) fn read(expects: Expects, validation: &Validation, writing: Writing) -> (Self, Vec<BadBound>) {
        let mut bad = Vec::new();
        let bounds = match expects {
            Expects::Number | Expects::Text => {
                let read = |value: &Value| match number::bound(value, writing) {
                    Some((number, true)) => Ok(number),
                    // It was published before this was checked, and is read as answers are.
                    Some((number, false)) => Err((Some(number), "can be read in two ways")),
                    None => Err((None, "is no number")),
                };
                let range = range(validation, "a number, such as 18", read, &mut bad);
                check_order(&range, |min, max| min.compare(*max).is_gt(), &mut bad);
                Self::Numbers(range)
            }
            Expects::Date => {
                let read = |value: &Value| value.as_str().and_then(read_date).ok_or((None, "is no date"));
                let range = range(validation, "a date, such as \"2026-12-31\"", read, &mut bad);
                check_order(&range, |min, max| min > max, &mut bad);
                Self::Days(range)
            }
            Expects::Time => {
                let read = |value: &Value| value.as_str().and_then(read_time).ok_or((None, "is no time of day"));
                let range = range(validation, "a time of day, such as \"18:00\"", read, &mut bad);
                check_order(&range, |min, max| min > max, &mut bad);
                Self::Times(range)
            }
            _ => Self::None,
        };
        (bounds, bad)
    }

    /// Whether there are any for dates.
    pub(super) fn are_set(&self) -> bool {
        matches!(self, Self::Days(range) if range.min.is_some() || range.max.is_some())
    }

    /// Whether a number lies within them.
    pub(super) fn hold_number(&self, number: Number) -> bool {
        match self {
            Self::Numbers(range) => range.holds(|min| number.compare(*min).is_lt(), |max| number.compare(*max).is_gt()),
            _ => true,
        }
    }

    /// Whether a date lies within them.
    pub(super) fn hold_date(&self, date: Date) -> bool {
        match self {
            Self::Days(range) => range.holds(|min| date < *min, |max| date > *max),
            _ => true,
        }
    }

    /// Whether a time of day lies within them.
    pub(super) fn hold_time(&self, time: Time) -> bool {
        match self {
            Self::Times(range) => range.holds(|min| time < *min, |max| time > *max),
            _ => true,
        }
    }
}

fn range<T>(
    validation: &Validation,
    wanted: &str,
    read: impl Fn(&Value) -> Result<T, (Option<T>, &'static str)>,
    bad: &mut Vec<BadBound>,
) -> Range<T> {
    let mut one = |field: &'static str, bound: Option<&Value>| match read(bound.filter(|value| !value.is_null())?) {
        Ok(bound) => Some(bound),
        Err((bound_as_read, why)) => {
            let shown = bound.map(Value::to_string).unwrap_or_default();
            bad.push((field, format!("{shown} {why}. Write {wanted}")));
            bound_as_read
        }
    };
    Range { min: one("validation.min", validation.min.as_ref()), max: one("validation.max", validation.max.as_ref()) }
}

fn check_order<T>(range: &Range<T>, is_greater: impl Fn(&T, &T) -> bool, bad: &mut Vec<BadBound>) {
    if let (Some(min), Some(max)) = (&range.min, &range.max)
        && is_greater(min, max)
    {
        bad.push((
            "validation.min",
            "it is greater than `max`, so that no answer fits. Correct one of them".to_owned(),
        ));
    }
}

fn read_date(text: &str) -> Option<Date> {
    let text = text.trim();
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}

fn read_time(text: &str) -> Option<Time> {
    let text = text.trim();
    let padded = if text.find(':') == Some(1) { format!("0{text}") } else { text.to_owned() };
    padded.contains(':').then(|| padded.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use jiff::civil::{date, time};
    use serde_json::json;

    use super::*;

    fn read(expects: Expects, min: Value, max: Value) -> (Bounds, Vec<&'static str>) {
        let given = |bound: Value| Some(bound).filter(|bound| !bound.is_null());
        let validation = Validation { pattern: None, min: given(min), max: given(max) };
        let (bounds, bad) = Bounds::read(expects, &validation, Writing::of_country(Some("DE")));
        (bounds, bad.into_iter().map(|(field, _)| field).collect())
    }

    #[test]
    fn bounds_are_read_as_answers_are() {
        let (bounds, bad) = read(Expects::Number, json!("1.290,50"), json!("9007199254740993"));
        assert!(bad.is_empty());
        for (number, holds) in [
            (Number::Fraction(1290.5), true),
            (Number::Fraction(1290.4), false),
            (Number::Whole(9_007_199_254_740_993), true),
            (Number::Whole(9_007_199_254_740_994), false),
        ] {
            assert_eq!(bounds.hold_number(number), holds, "{number:?}");
        }
        let (bounds, _) = read(Expects::Time, json!("9:00"), json!("18:00"));
        assert!(bounds.hold_time(time(10, 30, 0, 0)) && !bounds.hold_time(time(8, 59, 0, 0)));
        let (bounds, _) = read(Expects::Date, json!("2026-05-07"), json!(null));
        assert!(bounds.hold_date(date(2026, 5, 7)) && !bounds.hold_date(date(2026, 5, 6)));
    }

    #[test]
    fn a_bound_that_cannot_be_read_is_told() {
        for (expects, min, max, told) in [
            (Expects::Number, json!("eighteen"), json!(99), vec!["validation.min"]),
            (Expects::Number, json!("18 years"), json!(true), vec!["validation.min", "validation.max"]),
            (Expects::Number, json!("1.000"), json!(null), vec!["validation.min"]),
            (Expects::Number, json!(5), json!(4), vec!["validation.min"]),
            (Expects::Text, json!([2]), json!(null), vec!["validation.min"]),
            (Expects::Date, json!("31.12.2026"), json!("today"), vec!["validation.min", "validation.max"]),
            (Expects::Date, json!(20_261_231), json!(null), vec!["validation.min"]),
            (Expects::Time, json!("9 am"), json!("25:00"), vec!["validation.min", "validation.max"]),
            (Expects::Any, json!("x"), json!("y"), vec![]),
        ] {
            assert_eq!(read(expects, min.clone(), max.clone()).1, told, "{expects:?} {min} {max}");
        }
        let (bounds, _) = read(Expects::Number, json!("1.000"), json!(null));
        assert!(!bounds.hold_number(Number::Whole(999)), "a flow that was published before reads it as answers");
    }
}
