//! The filters of ours: `default`, `money`, `date` and `phone_national`.

use std::borrow::Cow;

use jiff::Zoned;
use jiff::tz::TimeZone;
use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, State, Value as Dynamic};

use super::moment;
use super::notes::{is_missing, note};
use super::number::{self, Number, Writing};
use super::scope::{DAYS, Days, LANGUAGE, WRITING, ZONE, Zone};
use super::words::{self, Meaning};
use crate::domain::{Phone, unseen};

/// What a filter of ours costs beside its instruction, by how long a release build takes for one.
const MONEY_FUEL: u64 = 60;
const DATE_FUEL: u64 = 56;
/// And what it costs to read a day as people write it.
const DAY_FUEL: u64 = 600;
const PHONE_FUEL: u64 = 600;
/// Characters of a value that are shown in the trace.
const NOTE_CHARS: usize = 60;

/// Adds them to a flow's environment.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("default", default_filter);
    environment.add_filter("d", default_filter);
    environment.add_filter("money", money);
    environment.add_filter("phone_national", phone_national);
    environment.add_filter("date", date);
}

/// `default`: stands in for missing, null and empty values.
fn default_filter(value: Dynamic, other: Rest<Dynamic>) -> Dynamic {
    let is_empty = is_missing(&value) || value.as_str().is_some_and(unseen::is_blank);
    if is_empty { other.0.into_iter().next().unwrap_or_else(|| Dynamic::from("")) } else { value }
}

/// `money`: two decimals, thousands grouped; `money('EUR')` names the currency behind. What is no amount stays, and so
/// does what is another amount in another country.
fn money(state: &mut State<'_, '_>, value: Dynamic, currency: Option<String>) -> Result<Dynamic, minijinja::Error> {
    state.consume_fuel(MONEY_FUEL)?;
    if is_missing(&value) {
        return Ok(value);
    }
    let amount = match value.kind() {
        ValueKind::Number => number_of(&value),
        _ => {
            let writing = || {
                let writing = state.lookup(WRITING);
                writing.and_then(|value| value.downcast_object_ref::<Writing>().copied()).unwrap_or_default()
            };
            value.as_str().and_then(|text| number::amount(text, writing, currency.as_deref()))
        }
    };
    let Some(amount) = amount else {
        if !is_blank(&value) {
            note(state, &format!("`{}` is not clearly an amount and stands as it came", shortened(&value)));
        }
        return Ok(value);
    };
    let currency = currency.map(|name| format!(" {name}")).unwrap_or_default();
    Ok(Dynamic::from(format!("{}{currency}", amount.to_amount())))
}

/// `phone_national`: a number as people of its country write it. What is no number stays.
fn phone_national(state: &State<'_, '_>, value: Dynamic) -> Result<Dynamic, minijinja::Error> {
    state.consume_fuel(PHONE_FUEL)?;
    match value.as_str().map(str::parse::<Phone>) {
        Some(Ok(phone)) => Ok(Dynamic::from(phone.to_national())),
        _ => Ok(value),
    }
}

/// `date`: a moment or a day on the contact's clock, by a strftime format; a day also as people write it. What is
/// neither stays.
fn date(state: &mut State<'_, '_>, value: Dynamic, format: Option<String>) -> Result<Dynamic, minijinja::Error> {
    state.consume_fuel(DATE_FUEL)?;
    if is_missing(&value) {
        return Ok(value);
    }
    let format = format.unwrap_or_else(|| "%Y-%m-%d".to_owned());
    let zone = state.lookup(ZONE).and_then(|value| value.downcast_object::<Zone>());
    let zone = zone.map_or(TimeZone::UTC, |zone| zone.0.clone());
    let zoned = match value.kind() {
        ValueKind::Number => number_of(&value).and_then(|number| moment::of_number(number, &zone)),
        _ => match value.as_str().map(|text| (text, moment::of_text(text, &zone))) {
            // `22/04/2026`, `el 15`: what a question for a date would take.
            Some((text, None)) => {
                state.consume_fuel(DAY_FUEL)?;
                let days = state.lookup(DAYS).and_then(|value| value.downcast_object::<Days>());
                let day = days.and_then(|days| days.0.day_in(text));
                day.and_then(|day| day.to_zoned(zone.clone()).ok())
            }
            Some((_, zoned)) => zoned,
            None => None,
        },
    };
    let language = || state.lookup(LANGUAGE).and_then(|value| value.as_str().map(str::to_owned));
    let shown = zoned.and_then(|zoned| {
        let format = with_names(&format, &zoned, language);
        jiff::fmt::strtime::format(format.as_ref(), &zoned).ok()
    });
    if shown.is_none() && !is_blank(&value) {
        note(state, &format!("`{}` is not shown as a date and stands as it came", shortened(&value)));
    }
    Ok(shown.map_or(value, Dynamic::from))
}

/// A format whose names of days and months are those of a language, which is asked for only where there are any.
fn with_names<'a>(format: &'a str, zoned: &Zoned, language: impl FnOnce() -> Option<String>) -> Cow<'a, str> {
    let has_names = ["%A", "%a", "%B", "%b", "%h"].iter().any(|directive| format.contains(directive));
    let Some(language) = has_names.then(language).flatten() else { return Cow::Borrowed(format) };
    let day = Meaning::Weekday(zoned.weekday().to_monday_one_offset().unsigned_abs());
    let month = Meaning::Month(zoned.month().unsigned_abs());
    let mut named = String::with_capacity(format.len());
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        named.push(c);
        if c != '%' {
            continue;
        }
        let Some(directive) = rest.next() else { break };
        let name = match directive {
            'A' => words::name(&language, day, false),
            'a' => words::name(&language, day, true),
            'B' => words::name(&language, month, false),
            'b' | 'h' => words::name(&language, month, true),
            _ => None,
        };
        match name {
            Some(name) => {
                named.pop();
                named.push_str(&name.replace('%', "%%"));
            }
            None => named.push(directive),
        }
    }
    Cow::Owned(named)
}

/// The number of a value that is one.
fn number_of(value: &Dynamic) -> Option<Number> {
    match i128::try_from(value.clone()) {
        Ok(whole) => Some(Number::Whole(whole)),
        Err(_) => f64::try_from(value.clone()).ok().and_then(Number::of_float),
    }
}

fn is_blank(value: &Dynamic) -> bool {
    value.as_str().is_some_and(unseen::is_blank)
}

/// A value for the trace.
fn shortened(value: &Dynamic) -> String {
    value.to_string().chars().take(NOTE_CHARS).collect()
}
