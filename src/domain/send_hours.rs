//! The hours of a contact's day in which a flow may speak first, and when they begin next.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{Contact, SendWindow, Settings, Timestamp};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A flow's [`SendWindow`] on the clock of one contact. Kept as JSON with each message that must wait for it, so that
/// deciding on the message takes no flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendHours {
    /// First minute, and first minute after. Later than that, the hours go over midnight.
    window: SendWindow,
    /// IANA name of the contact's time zone.
    zone: String,
}

impl SendHours {
    /// A contact who wrote so recently is in a conversation: a message is then an answer, also after a short delay, and
    /// does not begin one.
    pub const CONVERSATION: Duration = Duration::from_secs(300);

    /// The hours that a flow's settings give a contact, if they give any that can be read, on the contact's clock.
    pub fn of(settings: &Settings, contact: &Contact) -> Option<Self> {
        let window = settings.send_window.clone().filter(SendWindow::is_valid)?;
        let zone = contact.time_zone(settings);
        Some(Self { window, zone: zone.iana_name().unwrap_or("UTC").to_owned() })
    }

    /// When the hours begin next, if `at` is outside of them. Always later than `at`.
    pub fn opening(&self, at: Timestamp) -> Option<Timestamp> {
        let (from, to) = self.window.minutes()?;
        let zone = TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC);
        let local = at.to_jiff().to_zoned(zone.clone()).datetime();
        let minute = minute_of(local.time());
        let is_open = if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to };
        if is_open {
            return None;
        }
        let day = if minute < from { local.date() } else { local.date().tomorrow().ok()? };
        let hour = i8::try_from(from / 60).ok()?;
        let opening = zone.to_ambiguous_zoned(day.at(hour, i8::try_from(from % 60).ok()?, 0, 0));
        // In the night in which an hour comes twice, the first opening may be over.
        let first = opening.clone().compatible().ok()?.timestamp();
        let first = if first > at.to_jiff() { first } else { opening.later().ok()?.timestamp() };
        let opening = Timestamp::from_millis(first.as_millisecond());
        (opening > at).then_some(opening)
    }

    /// A moment on the contact's clock, for people: `2026-05-08 09:00 Europe/Berlin`.
    pub fn on_the_clock(&self, at: Timestamp) -> String {
        let zone = TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC);
        format!("{} {}", at.to_jiff().to_zoned(zone).strftime("%Y-%m-%d %H:%M"), self.zone)
    }
}

impl SendWindow {
    /// Whether both ends are times of a day and not the same. `24:00` is the end of the day.
    pub fn is_valid(&self) -> bool {
        self.minutes().is_some()
    }

    /// Both ends as minutes of the day.
    fn minutes(&self) -> Option<(u16, u16)> {
        let (from, to) = (minutes(&self.from)?, minutes(&self.to)?);
        (from < DAY && from != to).then_some((from, to))
    }
}

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hours) || !two_digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= DAY).then_some(all)
}

fn minute_of(time: Time) -> u16 {
    u16::try_from(time.hour()).unwrap_or(0) * 60 + u16::try_from(time.minute()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::ContactId;

    fn hours(from: &str, to: &str, zone: &str) -> SendHours {
        SendHours { window: SendWindow { from: from.to_owned(), to: to.to_owned() }, zone: zone.to_owned() }
    }

    fn opening(hours: &SendHours, at: &str) -> Option<String> {
        hours.opening(at.parse().unwrap()).map(Timestamp::to_iso_seconds)
    }

    fn some(at: &str) -> Option<String> {
        Some(at.to_owned())
    }

    #[test]
    fn hours_of_the_day_open_at_their_first_minute_and_close_with_their_last() {
        let day = hours("09:00", "18:00", "Europe/Berlin");
        assert_eq!(opening(&day, "2026-05-07T06:59:59+00:00"), some("2026-05-07T07:00:00+00:00"));
        assert_eq!(opening(&day, "2026-05-07T07:00:00+00:00"), None);
        assert_eq!(opening(&day, "2026-05-07T15:59:59+00:00"), None);
        assert_eq!(opening(&day, "2026-05-07T16:00:00+00:00"), some("2026-05-08T07:00:00+00:00"));
        let evening = hours("18:00", "24:00", "UTC");
        assert_eq!(opening(&evening, "2026-05-07T23:59:59+00:00"), None);
        assert_eq!(opening(&evening, "2026-05-08T00:00:00+00:00"), some("2026-05-08T18:00:00+00:00"));
    }

    #[test]
    fn hours_over_midnight_are_one_night() {
        let night = hours("22:00", "06:00", "America/New_York");
        assert_eq!(opening(&night, "2026-05-08T01:59:00+00:00"), some("2026-05-08T02:00:00+00:00"));
        for open in ["2026-05-08T02:00:00+00:00", "2026-05-08T04:00:00+00:00", "2026-05-08T09:59:59+00:00"] {
            assert_eq!(opening(&night, open), None, "{open}");
        }
        assert_eq!(opening(&night, "2026-05-08T10:00:00+00:00"), some("2026-05-09T02:00:00+00:00"));
    }

    #[test]
    fn the_days_on_which_clocks_are_changed_have_their_hours_too() {
        // Berlin goes from 02:00 to 03:00 on 29 March and from 03:00 back to 02:00 on 25 October 2026.
        let day = hours("09:00", "18:00", "Europe/Berlin");
        assert_eq!(opening(&day, "2026-03-28T20:00:00+00:00"), some("2026-03-29T07:00:00+00:00"));
        assert_eq!(opening(&day, "2026-10-24T20:00:00+00:00"), some("2026-10-25T08:00:00+00:00"));
        // An opening that the clock leaps over comes when it has leapt.
        let small = hours("02:30", "09:00", "Europe/Berlin");
        assert_eq!(opening(&small, "2026-03-29T00:30:00+00:00"), some("2026-03-29T01:30:00+00:00"));
        // Of an opening that comes twice, the second is left when the first is over.
        assert_eq!(opening(&small, "2026-10-25T00:00:00+00:00"), some("2026-10-25T00:30:00+00:00"));
        assert_eq!(opening(&small, "2026-10-25T01:10:00+00:00"), some("2026-10-25T01:30:00+00:00"));
    }

    #[test]
    fn what_is_no_time_of_a_day_opens_and_shuts_nothing() {
        for (from, to) in
            [("9:00", "18:00"), ("09:00", "25:00"), ("09:60", "10:00"), ("24:00", "08:00"), ("08:00", "08:00")]
        {
            let hours = hours(from, to, "UTC");
            assert!(!hours.window.is_valid(), "{from} {to}");
            assert_eq!(opening(&hours, "2026-05-07T03:00:00+00:00"), None);
        }
    }

    #[test]
    fn the_hours_are_on_the_clock_of_the_contact() {
        let window = Some(SendWindow { from: "09:00".to_owned(), to: "18:00".to_owned() });
        let mexican = Contact::new(ContactId(Uuid::nil()), Some("+5215512345678".parse().unwrap()));
        let plain = Settings { send_window: window, ..Settings::default() };
        let opens = |settings: &Settings| opening(&SendHours::of(settings, &mexican).unwrap(), "2026-05-07T08:00:00Z");
        assert_eq!(opens(&plain), some("2026-05-07T15:00:00+00:00"));
        let fixed = Settings { timezone: Some("europe/berlin".to_owned()), ..plain };
        assert_eq!(opens(&fixed), None);
        assert_eq!(SendHours::of(&Settings::default(), &mexican), None);
    }
}
