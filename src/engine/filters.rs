//! The filters of ours: `default`, `money`, `date` and `phone_national`.

use jiff::tz::TimeZone;
use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, State, Value as Dynamic};

use super::template::is_missing;
use crate::domain::{Phone, Timestamp};

/// What a filter of ours costs beside its instruction, by how long a release build takes for one.
const MONEY_FUEL: u64 = 60;
const DATE_FUEL: u64 = 40;
const PHONE_FUEL: u64 = 600;

/// Adds them to a flow's environment, whose dates are shown in `zone`.
pub(super) fn add(environment: &mut Environment<'static>, zone: TimeZone) {
    environment.add_filter("default", default_filter);
    environment.add_filter("d", default_filter);
    environment.add_filter("money", money);
    environment.add_filter("phone_national", phone_national);
    environment.add_filter("date", move |state: &State<'_, '_>, value: Dynamic, format: Option<String>| {
        state.consume_fuel(DATE_FUEL)?;
        Ok::<_, minijinja::Error>(date(&value, format, &zone))
    });
}

/// `default`: stands in for missing, null and empty values.
fn default_filter(value: Dynamic, other: Rest<Dynamic>) -> Dynamic {
    let is_empty = is_missing(&value) || value.as_str().is_some_and(|text| text.trim().is_empty());
    if is_empty { other.0.into_iter().next().unwrap_or_else(|| Dynamic::from("")) } else { value }
}

/// `money`: two decimals, thousands grouped; `money('EUR')` names the currency behind. What is no number stays.
fn money(state: &State<'_, '_>, value: Dynamic, currency: Option<String>) -> Result<Dynamic, minijinja::Error> {
    state.consume_fuel(MONEY_FUEL)?;
    if is_missing(&value) {
        return Ok(value);
    }
    let shown = value.to_string();
    let Ok(amount) = shown.trim().replace(',', "").parse::<f64>() else { return Ok(value) };
    if !amount.is_finite() {
        return Ok(value);
    }
    let fixed = format!("{:.2}", amount.abs());
    let (whole, cents) = fixed.split_once('.').unwrap_or((&fixed, "00"));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if amount < 0.0 && fixed != "0.00" { "-" } else { "" };
    let currency = currency.map(|name| format!(" {name}")).unwrap_or_default();
    Ok(Dynamic::from(format!("{sign}{grouped}.{cents}{currency}")))
}

/// `phone_national`: a number as people of its country write it. What is no number stays.
fn phone_national(state: &State<'_, '_>, value: Dynamic) -> Result<Dynamic, minijinja::Error> {
    state.consume_fuel(PHONE_FUEL)?;
    match value.as_str().map(str::parse::<Phone>) {
        Some(Ok(phone)) => Ok(Dynamic::from(phone.to_national())),
        _ => Ok(value),
    }
}

/// `date`: a moment or a day in the flow's time zone, by a strftime format. What is neither stays.
fn date(value: &Dynamic, format: Option<String>, zone: &TimeZone) -> Dynamic {
    let format = format.unwrap_or_else(|| "%Y-%m-%d".to_owned());
    let zoned = match value.kind() {
        ValueKind::Number => i64::try_from(value.clone())
            .ok()
            .and_then(|seconds| seconds.checked_mul(1000))
            .map(|millis| Timestamp::from_millis(millis).to_jiff().to_zoned(zone.clone())),
        _ => value.as_str().and_then(|text| read_moment(text, zone)),
    };
    zoned
        .and_then(|zoned| jiff::fmt::strtime::format(&format, &zoned).ok())
        .map_or_else(|| value.clone(), Dynamic::from)
}

/// Reads an ISO 8601 moment, or a date and time, or a date (its midnight), of `zone`.
pub(super) fn read_moment(text: &str, zone: &TimeZone) -> Option<jiff::Zoned> {
    let text = text.trim();
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp.to_jiff().to_zoned(zone.clone()));
    }
    let civil = text
        .parse::<jiff::civil::DateTime>()
        .or_else(|_| text.parse::<jiff::civil::Date>().map(|date| date.to_datetime(jiff::civil::Time::midnight())))
        .ok()?;
    civil.to_zoned(zone.clone()).ok()
}
