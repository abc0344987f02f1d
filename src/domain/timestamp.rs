//! A moment in UTC with millisecond resolution.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::ParseError;

/// Milliseconds since 1970-01-01T00:00:00Z.
///
/// As text (and in JSON) it is ISO 8601 in UTC with the offset written `+00:00`; milliseconds are shown only
/// where there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// What the calendar library can show (years 1 to 9999); arithmetic saturates there instead of overflowing.
const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_207_199_999;

impl Timestamp {
    /// From milliseconds since the Unix epoch, clamped to what a calendar can show.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(*RANGE.start(), *RANGE.end()))
    }

    /// Milliseconds since the Unix epoch.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment and `duration` more.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// This moment less `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_sub(millis))
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// ISO 8601 in UTC with whole seconds, the form of the HTTP API: `2026-05-07T08:14:23+00:00`.
    pub fn to_iso_seconds(self) -> String {
        self.to_jiff().strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
    }

    /// ISO 8601 with whole seconds on a zone's clock, with its offset: `2026-05-07T10:14:23+02:00`.
    pub fn to_iso_seconds_in(self, zone: &TimeZone) -> String {
        self.to_jiff().to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// The same moment in the calendar library's type.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.rem_euclid(1000);
        if millis == 0 {
            return f.write_str(&self.to_iso_seconds());
        }
        write!(f, "{}.{millis:03}+00:00", self.to_jiff().strftime("%Y-%m-%dT%H:%M:%S"))
    }
}

impl FromStr for Timestamp {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parsed: jiff::Timestamp = text.parse().map_err(|_| {
            ParseError(format!("`{text}` is not a moment in time: write it like 2026-05-07T08:14:23+00:00"))
        })?;
        Ok(Self::from_millis(parsed.as_millisecond()))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_offset_and_keeps_milliseconds() {
        let whole: Timestamp = "2026-05-07T08:14:23Z".parse().unwrap();
        assert_eq!(whole.to_string(), "2026-05-07T08:14:23+00:00");
        let split: Timestamp = "2026-05-07T10:14:23.250+02:00".parse().unwrap();
        assert_eq!(split.to_string(), "2026-05-07T08:14:23.250+00:00");
        assert_eq!(split.to_iso_seconds(), "2026-05-07T08:14:23+00:00");
        assert_eq!(split.since(whole), Duration::from_millis(250));
        assert_eq!(split.to_string().parse::<Timestamp>(), Ok(split));
    }

    #[test]
    fn a_zones_clock_shows_the_same_moment() {
        for (at, zone, shown) in [
            ("2026-01-07T08:14:23.250Z", "Europe/Bucharest", "2026-01-07T10:14:23+02:00"),
            ("2026-05-07T08:14:23Z", "Europe/Bucharest", "2026-05-07T11:14:23+03:00"),
            ("2026-05-07T03:14:23Z", "America/St_Johns", "2026-05-07T00:44:23-02:30"),
            ("2026-05-07T20:14:23Z", "Australia/Sydney", "2026-05-08T06:14:23+10:00"),
            ("2026-05-07T08:14:23Z", "UTC", "2026-05-07T08:14:23+00:00"),
        ] {
            let at: Timestamp = at.parse().unwrap();
            let text = at.to_iso_seconds_in(&TimeZone::get(zone).unwrap());
            assert_eq!(text, shown);
            assert_eq!(text.parse::<Timestamp>().unwrap().to_iso_seconds(), at.to_iso_seconds());
        }
    }

    #[test]
    fn saturates_instead_of_overflowing() {
        let end = Timestamp::from_millis(i64::MAX).plus(Duration::MAX);
        assert_eq!(end.to_string(), "9999-12-30T21:59:59.999+00:00");
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
