//! Reading moments in time: ISO 8601, and seconds or milliseconds since 1970.

use jiff::civil::{DateTime, Time};
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use serde_json::Value;

use super::number::Number;
use crate::domain::Timestamp;

/// Years that a moment to wait for may be off; one that is further is a slip.
const YEARS: i16 = 10;
/// Seconds that an offset may have: those of Kiribati, the furthest.
const MOST_OFFSET_SECONDS: i32 = 14 * 3600;

/// The moment in a text: ISO 8601, where a date is its midnight and a time without an offset one of `zone`; or seconds
/// since 1970 (from 1973 on: fewer digits are another number), or milliseconds, of 13 digits.
pub(super) fn of_text(text: &str, zone: &TimeZone) -> Option<Zoned> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !whole.is_empty() && [whole, fraction].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit())) {
        return match (whole.len(), fraction) {
            (9 | 10 | 13, _) => since_1970(text.parse().ok()?, zone),
            // `20260507`
            (8, "") => midnight(text, zone),
            _ => None,
        };
    }
    // No clock is further from that of Greenwich than this.
    let offset = Pieces::parse(text).ok().and_then(|pieces| pieces.to_numeric_offset());
    if offset.is_some_and(|offset| offset.seconds().abs() > MOST_OFFSET_SECONDS) {
        return None;
    }
    // A zone in brackets stands beside an offset or in place of it.
    if text.contains('[') {
        return text.parse::<Zoned>().ok().map(|zoned| zoned.with_time_zone(zone.clone()));
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp.to_jiff().to_zoned(zone.clone()));
    }
    match text.parse::<DateTime>() {
        Ok(civil) => civil.to_zoned(zone.clone()).ok(),
        Err(_) => midnight(text, zone),
    }
}

/// The moment in a value: a text, or a number of seconds or of milliseconds since 1970.
pub(super) fn of_value(value: &Value, zone: &TimeZone) -> Option<Zoned> {
    match value {
        Value::String(text) => of_text(text, zone),
        value => of_number(Number::of_json(value)?, zone),
    }
}

/// The moment so many seconds after 1970 (from 1973 on), or milliseconds, if the number has 13 digits.
pub(super) fn of_number(number: Number, zone: &TimeZone) -> Option<Zoned> {
    match number {
        Number::Whole(whole) => since_1970(whole as f64, zone),
        Number::Fraction(value) => since_1970(value, zone),
    }
}

/// Whether a date alone is written, without a time of day.
pub(super) fn is_date(text: &str) -> bool {
    let text = text.trim();
    text.len() <= 10 && text.contains('-') && text.parse::<jiff::civil::Date>().is_ok()
}

/// Whether a moment is so near that it can be waited for, or has been of late.
pub(super) fn is_near(moment: Timestamp, now: Timestamp) -> bool {
    let now = now.to_jiff().to_zoned(TimeZone::UTC);
    let moment = moment.to_jiff();
    let from = now.checked_sub(YEARS.years()).map_or(jiff::Timestamp::MIN, |zoned| zoned.timestamp());
    let to = now.checked_add(YEARS.years()).map_or(jiff::Timestamp::MAX, |zoned| zoned.timestamp());
    (from..=to).contains(&moment)
}

fn since_1970(count: f64, zone: &TimeZone) -> Option<Zoned> {
    let millis = match count {
        1e8..1e10 => count * 1000.0,
        1e12..1e13 => count,
        _ => return None,
    };
    Some(jiff::Timestamp::from_millisecond(millis.floor() as i64).ok()?.to_zoned(zone.clone()))
}

fn midnight(text: &str, zone: &TimeZone) -> Option<Zoned> {
    text.parse::<jiff::civil::Date>().ok()?.to_datetime(Time::midnight()).to_zoned(zone.clone()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Option<String> {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        of_value(&value, &zone).map(|zoned| Timestamp::from_millis(zoned.timestamp().as_millisecond()).to_string())
    }

    #[test]
    fn moments_are_iso_8601_or_counted_since_1970() {
        for (value, expected) in [
            (json!("2026-12-01T09:00:00Z"), "2026-12-01T09:00:00+00:00"),
            (json!(" 2026-12-01t09:00z "), "2026-12-01T09:00:00+00:00"),
            (json!("2026-12-01T09:00:00+02:00"), "2026-12-01T07:00:00+00:00"),
            (json!("2026-12-01T09:00:00.250Z"), "2026-12-01T09:00:00.250+00:00"),
            (json!("2026-12-01T09:00"), "2026-12-01T08:00:00+00:00"),
            (json!("2026-12-01 09:00:00"), "2026-12-01T08:00:00+00:00"),
            (json!("2026-12-01T09:00[America/New_York]"), "2026-12-01T14:00:00+00:00"),
            (json!("2026-12-01"), "2026-11-30T23:00:00+00:00"),
            (json!("20261201"), "2026-11-30T23:00:00+00:00"),
            (json!("20261201T090000Z"), "2026-12-01T09:00:00+00:00"),
            (json!("1796137200"), "2026-12-01T15:00:00+00:00"),
            (json!("1796137200.0"), "2026-12-01T15:00:00+00:00"),
            (json!("1796137200250"), "2026-12-01T15:00:00.250+00:00"),
            (json!(1_796_137_200), "2026-12-01T15:00:00+00:00"),
            (json!(1_796_137_200.5), "2026-12-01T15:00:00.500+00:00"),
            (json!(1_796_137_200_250_u64), "2026-12-01T15:00:00.250+00:00"),
        ] {
            assert_eq!(read(value.clone()).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for value in [
            json!("01/12/2026 09:00"),
            json!("tomorrow 9am"),
            json!(""),
            json!("soon"),
            json!("09:00"),
            json!("5"),
            json!("17961372000"),
            json!("1796137200000000"),
            json!("2026-13-01"),
            json!("2026-12-01T25:00"),
            json!("2026"),
            json!("1,796,137,200"),
            json!("-1796137200"),
            json!(1e300),
            json!(-1e300),
            json!(0),
            json!(7),
            json!(-86_400),
            json!(true),
            json!(null),
            json!(["2026-12-01"]),
            json!("2026-12-01T09:00[Nowhere/City]"),
            json!("2026-12-01T09:00 tomorrow"),
        ] {
            assert_eq!(read(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn ten_years_are_near_and_more_is_a_slip() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-05-07T08:00:00Z");
        for (moment, near) in [
            ("2036-05-07T08:00:00Z", true),
            ("2036-05-07T08:00:01Z", false),
            ("2016-05-07T08:00:00Z", true),
            ("2016-05-07T07:59:59Z", false),
            ("9999-12-01T00:00:00Z", false),
        ] {
            assert_eq!(is_near(at(moment), now), near, "{moment}");
        }
    }
}
