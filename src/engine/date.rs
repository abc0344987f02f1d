//! Reading the day in a text: `22/04`, `4/22/2026`, `15.1.`, `2-Oct`, `28. Oktober`, `el 15`, `friday`, `mañana`.
//!
//! A text with two days, or with a word that could change the day that is read, has none.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

use super::bounds::Bounds;
use super::items::{Item, Items};
use super::words::{self, Languages, Meaning};

/// Order of day, month and year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DateOrder {
    whole: Whole,
    /// Whether the month is first if the year is missing or last; `None` where the people of a country differ.
    month_first: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    DayMonthYear,
    MonthDayYear,
    YearMonthDay,
}

impl DateOrder {
    /// The setting's text as an order.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, month_first) = match text {
            "dmy" => (Whole::DayMonthYear, false),
            "mdy" => (Whole::MonthDayYear, true),
            "ymd" => (Whole::YearMonthDay, true),
            _ => return None,
        };
        Some(Self { whole, month_first: Some(month_first) })
    }

    /// The order of a flow's setting, else that of a country.
    pub(super) fn of(setting: Option<&str>, country: Option<&str>) -> Self {
        setting.and_then(Self::parse).unwrap_or_else(|| Self::of_country(country))
    }

    /// The order that people of a country write; without a country the one of most of the world.
    pub(super) fn of_country(country: Option<&str>) -> Self {
        let (whole, without_year) = country.and_then(words::orders_of).unwrap_or(("dmy", "dm"));
        let order = Self::parse(whole).unwrap_or(Self { whole: Whole::DayMonthYear, month_first: Some(false) });
        let month_first = match without_year {
            "md" => Some(true),
            "dm" => Some(false),
            _ => None,
        };
        Self { month_first, ..order }
    }
}

/// Why no day was read from a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoDate {
    /// There is none, or none within the bounds.
    Missing,
    /// More than one can be meant.
    Unclear,
}

/// Around what dates are read.
pub(super) struct Around<'a> {
    pub(super) order: DateOrder,
    pub(super) languages: &'a Languages,
    pub(super) today: Date,
}

/// The one day in a text that lies within the bounds.
///
/// # Errors
/// There is none, or more than one.
pub(super) fn read(text: &str, around: &Around<'_>, bounds: &Bounds) -> Result<Date, NoDate> {
    let items = Items::of(text, around.languages);
    let mut reader = Reader { items: &items, around, told: Vec::new(), weekdays: Vec::new(), is_open: false };
    reader.read();
    reader.conclude(bounds)
}

/// A day that was read: with a year it is one; without, the next or, where that is out of bounds, the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    next: Date,
    last: Option<Date>,
}

impl From<Date> for Told {
    fn from(date: Date) -> Self {
        Self { next: date, last: None }
    }
}

struct Reader<'a> {
    items: &'a Items,
    around: &'a Around<'a>,
    told: Vec<Told>,
    weekdays: Vec<u8>,
    /// Whether a word leaves the day open.
    is_open: bool,
}

/// The day that was read from some items, if it is clear, and how many items these are.
type Read = (Option<Told>, usize);

impl Reader<'_> {
    fn read(&mut self) {
        let mut at = 0;
        while at < self.items.len() {
            if let Some(length) = self.clock(at) {
                at += length;
            } else if let Some((told, length)) = self.in_digits(at).or_else(|| self.named(at)) {
                match told {
                    Some(told) => self.told.push(told),
                    None => self.is_open = true,
                }
                at += length;
            } else {
                self.word(at);
                at += 1;
            }
        }
        if self.told.is_empty() {
            self.told.extend(self.day_of_month());
        }
    }

    /// A word or phrase that names a day by itself, or leaves one open.
    fn word(&mut self, at: usize) {
        let Some(Item::Said(meanings)) = self.items.at(at) else { return };
        let relative = self.items.one(at, |meaning| match meaning {
            Meaning::Relative(days) => Some(i64::from(days)),
            Meaning::In(days) => Some(i64::from(days)),
            _ => None,
        });
        let weekday = self.items.one(at, |meaning| match meaning {
            Meaning::Weekday(day) => Some(day),
            _ => None,
        });
        let is_changed = meanings.iter().any(|meaning| matches!(meaning, Meaning::Changed | Meaning::Limit));
        if is_changed {
            self.is_open = true;
        } else if let Some(days) = relative {
            match self.around.today.checked_add(days.days()) {
                Ok(date) => self.told.push(date.into()),
                Err(_) => self.is_open = true,
            }
        } else if let Some(weekday) = weekday {
            self.weekdays.push(weekday);
        } else if meanings
            .iter()
            .any(|meaning| matches!(meaning, Meaning::Relative(_) | Meaning::Changed | Meaning::Limit))
        {
            self.is_open = true;
        }
    }

    /// How many items are a time of day, which may stand beside a day.
    fn clock(&self, at: usize) -> Option<usize> {
        let items = self.items;
        let is_at = items.means(at, Meaning::At) && !items.means(at, Meaning::DayMark);
        let start = if is_at { at + 1 } else { at };
        let (hour, digits) = items.number(start)?;
        if hour > 24 || digits > 2 {
            return None;
        }
        let mut length = start - at + 1;
        let minutes = |at: usize| items.number(at).is_some_and(|(minute, digits)| minute < 60 && digits == 2);
        let mut is_time = false;
        while items.sign(at + length, ":").is_some() && minutes(at + length + 1) {
            is_time = true;
            length += 2;
        }
        if items.means(at + length, Meaning::HourUnit) && !items.means(at + length, Meaning::DayUnit) {
            is_time = true;
            length += 1;
            if minutes(at + length) {
                length += 1;
            }
        } else if items.sign(at + length, ".").is_some()
            && minutes(at + length + 1)
            && (items.means(at + length + 2, Meaning::HourUnit) || is_half_day(items, at + length + 2))
        {
            return Some(length + 3);
        }
        if is_half_day(items, at + length) {
            return Some(length + 1);
        }
        // `at 7`, but not `a 7 de mayo`.
        let goes_on = items.sign(at + length, "/.-").is_some()
            || (0..2).any(|further| items.month(at + length + further).is_some());
        (is_time || is_at && !goes_on).then_some(length)
    }

    /// A date of numbers alone.
    fn in_digits(&self, at: usize) -> Option<Read> {
        let items = self.items;
        let first = items.number(at)?;
        if let Some(date) = self.compact(at) {
            return Some((date.map(Told::from), 1));
        }
        // The next number, with the sign before it or `None` for a blank alone.
        let next = |at: usize| -> Option<(Option<char>, (u64, usize), usize)> {
            match items.sign(at, "/.-") {
                Some(sign) => items.number(at + 1).map(|number| (Some(sign), number, at + 2)),
                None => items.number(at).map(|number| (None, number, at + 1)),
            }
        };
        let (sign, second, end) = next(at + 1)?;
        let third = next(end).filter(|(other, _, _)| *other == sign);
        if let Some((_, third, end)) = third {
            // `192.168.1.2`, and a blank alone parts the numbers of a date only where the year is whole.
            let goes_on = sign.is_some() && next(end).is_some_and(|(other, _, _)| other == sign);
            let has_year = first.1 == 4 || third.1 == 4;
            if sign.is_none() && !has_year {
                return None;
            }
            let date = if goes_on { None } else { self.whole(first, second, third) };
            let length = end - at;
            return Some((date.map(Told::from), length + usize::from(items.sign(end, ".").is_some())));
        }
        let sign = sign?;
        if first.1 > 2 || second.1 > 2 || items.month(end).is_some() && !items.is_spaced(end) {
            return None;
        }
        // `15-17 mayo` are two days.
        if (0..2).any(|further| items.month(end + further).is_some()) {
            return Some((None, end - at));
        }
        let length = end - at + usize::from(items.sign(end, ".").is_some());
        // `4-5` may be a range as well, `el 4-5` is none.
        let is_marked = at.checked_sub(1).is_some_and(|before| items.means(before, Meaning::DayMark));
        if sign == '-' && first.0 <= 12 && second.0 <= 12 && first.0 != second.0 && !is_marked {
            return Some((None, length));
        }
        Some((self.day_and_month(first.0, second.0), length))
    }

    /// `20260507`, `07052026`: all digits of a date in one run.
    fn compact(&self, at: usize) -> Option<Option<Date>> {
        let (value, 8) = self.items.number(at)? else { return None };
        let part = |divisor: u64, size: u64| (value / divisor % size, 2);
        let year_first = date(value / 10_000, value / 100 % 100, value % 100);
        let year_last = self.whole(part(1_000_000, 100), part(10_000, 100), (value % 10_000, 4));
        match (year_first.filter(|date| is_usual(*date)), year_last.filter(|date| is_usual(*date))) {
            (Some(date), None) | (None, Some(date)) => Some(Some(date)),
            (Some(_), Some(_)) => Some(None),
            (None, None) => None,
        }
    }

    /// The date of three numbers, each with how many digits it has.
    fn whole(&self, first: (u64, usize), second: (u64, usize), third: (u64, usize)) -> Option<Date> {
        let order = self.around.order;
        let is_year = |number: (u64, usize)| number.1 == 4;
        let day_first = || date(full_year(third)?, second.0, first.0);
        let month_first = || date(full_year(third)?, first.0, second.0);
        let year_first = || date(full_year(first)?, second.0, third.0);
        if second.1 > 2 {
            return None;
        }
        if is_year(first) {
            return (third.1 <= 2).then(year_first)?;
        }
        if first.1 > 2 {
            return None;
        }
        if order.whole == Whole::YearMonthDay && !is_year(third) && first.1 == 2 {
            return year_first().or_else(|| (third.1 == 2).then(day_first)?);
        }
        if !is_year(third) && third.1 != 2 {
            return None;
        }
        match order.whole {
            Whole::DayMonthYear => day_first().or_else(month_first),
            Whole::MonthDayYear => month_first().or_else(day_first),
            Whole::YearMonthDay if !is_year(third) => None,
            Whole::YearMonthDay => match (day_first(), month_first(), order.month_first) {
                (Some(date), Some(other), _) if date == other => Some(date),
                (Some(date), Some(_), Some(false)) => Some(date),
                (Some(_), Some(_), _) => None,
                (date, other, _) => date.or(other),
            },
        }
    }

    /// A day and a month in digits.
    fn day_and_month(&self, first: u64, second: u64) -> Option<Told> {
        let day_first = || self.next_such_day(second, first);
        let month_first = || self.next_such_day(first, second);
        match self.around.order.month_first {
            Some(true) => month_first().or_else(day_first),
            Some(false) => day_first().or_else(month_first),
            None => match (day_first(), month_first()) {
                (Some(one), Some(other)) => (one == other).then_some(one),
                (one, other) => one.or(other),
            },
        }
    }

    /// A day with the name of its month.
    fn named(&self, at: usize) -> Option<Read> {
        let items = self.items;
        if let Some(month) = items.month(at) {
            let (day_at, before) = self.skip(at + 1);
            if let Some((day, end)) = self.day(day_at)
                && before.is_none_or(|sign| sign != ':')
            {
                // `mayo 2026` has no day, and `May 5 and 6` has two.
                let year_before = self.year_before(at);
                let is_one_of_several = self.is_followed_by_another_day(end);
                let (year, end) = match year_before {
                    Some(year) => (Some(year), end),
                    None => self.year(end),
                };
                let told = if is_one_of_several || self.has_other_year_before(at) {
                    None
                } else {
                    self.told(year, month, day)
                };
                return Some((told, end - at));
            }
            return None;
        }
        let (day, end) = self.day(at)?;
        let (month_at, _) = self.skip(end);
        let month = items.month(month_at)?;
        if self.is_one_of_several(at) {
            return Some((None, month_at + 1 - at));
        }
        let (year, end) = self.year(month_at + 1);
        Some((self.told(year, month, day), end - at))
    }

    /// A day of the month, in digits or words, and where what belongs to it ends.
    fn day(&self, at: usize) -> Option<(u64, usize)> {
        let items = self.items;
        let (day, mut end) = match items.number(at) {
            Some((day, digits)) => (day, (digits <= 2).then_some(at + 1)?),
            None => (number_word(items, at)?, at + 1),
        };
        if items.means(end, Meaning::YearUnit) && !items.means(end, Meaning::DayUnit) && !items.is_spaced(end) {
            return None;
        }
        (1..=31).contains(&day).then_some(())?;
        // `2nd`, `15º`, `1er`, `22-én`, `15日`.
        let dash = items.sign(end, "-").is_some() && matches!(items.at(end + 1), Some(Item::Word(_)));
        let suffix = if dash { end + 1 } else { end };
        let is_suffix = match items.at(suffix) {
            Some(Item::Word(word)) => !items.is_spaced(suffix) && word.chars().count() <= 4,
            Some(Item::Said(_)) => {
                items.means(suffix, Meaning::DayUnit)
                    || !items.is_spaced(suffix) && items.month(suffix).is_none() && !is_half_day(items, suffix)
            }
            Some(Item::Sign(sign)) => matches!(sign, '°' | 'º' | 'ª'),
            _ => false,
        };
        if is_suffix {
            end = suffix + 1;
        }
        Some((day, end))
    }

    /// Past what may stand between a day and its month, and the last sign there.
    fn skip(&self, at: usize) -> (usize, Option<char>) {
        let items = self.items;
        let mut end = at;
        let mut last = None;
        for _ in 0..3 {
            if let Some(sign) = items.sign(end, ".,-/") {
                last = Some(sign);
            } else if !(items.means(end, Meaning::Filler) || items.means(end, Meaning::YearUnit))
                || items.month(end).is_some()
            {
                break;
            }
            end += 1;
        }
        (end, last)
    }

    /// The year behind a month, if one is there, and where it ends.
    fn year(&self, at: usize) -> (Option<u64>, usize) {
        let items = self.items;
        let (year_at, sign) = self.skip(at);
        let Some(number) = items.number(year_at) else { return (None, at) };
        let is_last = year_at + 1 >= items.len() || items.means(year_at + 1, Meaning::YearUnit);
        let is_year = number.1 == 4 || number.1 == 2 && (is_last || matches!(sign, Some('-' | '/')));
        if !is_year {
            return (None, at);
        }
        let end = year_at + 1 + usize::from(items.means(year_at + 1, Meaning::YearUnit));
        (full_year(number), end)
    }

    /// The year before a month, as in `2026年4月22日`.
    fn year_before(&self, at: usize) -> Option<u64> {
        (1..=3).filter_map(|back| at.checked_sub(back)).find_map(|place| {
            let number = self.items.number(place)?;
            let is_year = number.1 == 4 || number.1 == 2 && self.items.means(place + 1, Meaning::YearUnit);
            is_year.then(|| full_year(number)).flatten()
        })
    }

    /// Whether the year before a month is one of another count, as `令和8年`.
    fn has_other_year_before(&self, at: usize) -> bool {
        at.checked_sub(2).is_some_and(|place| {
            let is_glued = matches!(place.checked_sub(1).and_then(|before| self.items.at(before)), Some(Item::Word(_)));
            let digits = self.items.number(place).map(|(_, digits)| digits);
            self.items.means(place + 1, Meaning::YearUnit)
                && digits.is_some_and(|digits| digits != 4 && (digits != 2 || is_glued && !self.items.is_spaced(place)))
        })
    }

    /// Whether the day before this place is one of a range or a list: `15-17 mayo`, `15 and 16 May`.
    fn is_one_of_several(&self, at: usize) -> bool {
        let Some(joint) = at.checked_sub(1) else { return false };
        let is_word = |at: usize| {
            matches!(self.items.at(at), Some(Item::Word(_) | Item::Said(_))) && self.items.month(at).is_none()
        };
        let before = |at: Option<usize>| at.is_some_and(|before| self.ends_in_day(before));
        (self.joins(joint) || is_word(joint))
            && (before(joint.checked_sub(1))
                || is_word(joint) && joint.checked_sub(1).is_some_and(is_word) && before(joint.checked_sub(2)))
    }

    fn ends_in_day(&self, at: usize) -> bool {
        let is_day = |at: usize| self.items.number(at).is_some_and(|(day, digits)| digits <= 2 && day <= 31);
        is_day(at) || self.items.sign(at, ".").is_some() && at.checked_sub(1).is_some_and(is_day)
    }

    fn is_followed_by_another_day(&self, at: usize) -> bool {
        // `Oct 3rd, 2 adults` counts something.
        let counts = self.items.sign(at, ",").is_some() && matches!(self.items.at(at + 2), Some(Item::Word(_)));
        let is_day = self.items.number(at + 1).is_some_and(|(day, digits)| digits <= 2 && day <= 31);
        self.joins(at) && is_day && !counts
    }

    /// Whether an item joins two days.
    fn joins(&self, at: usize) -> bool {
        let is_said =
            [Meaning::On, Meaning::Changed, Meaning::To, Meaning::At].iter().any(|said| self.items.means(at, *said));
        is_said || self.items.sign(at, "-/,&+~").is_some()
    }

    /// A day and month with a year or without.
    fn told(&self, year: Option<u64>, month: u8, day: u64) -> Option<Told> {
        match year {
            Some(year) => date(year, month.into(), day).filter(|date| is_usual(*date)).map(Told::from),
            None => self.next_such_day(month.into(), day),
        }
    }

    /// The next such day, today included, and the last one before today.
    fn next_such_day(&self, month: u64, day: u64) -> Option<Told> {
        let today = self.around.today;
        let year = u64::try_from(today.year()).ok()?;
        // The 29th of February comes every four years, or eight.
        let next = (year..=year + 8).filter_map(|year| date(year, month, day)).find(|date| *date >= today)?;
        let last =
            (year.saturating_sub(8)..=year).rev().filter_map(|year| date(year, month, day)).find(|date| *date < today);
        Some(Told { next, last })
    }

    /// A day of the month alone: `el 15`, `the 15th`, `15日`, or `15` as the whole text.
    fn day_of_month(&self) -> Option<Told> {
        let items = self.items;
        let numbers: Vec<usize> = (0..items.len()).filter(|at| items.number(*at).is_some()).collect();
        let [at] = numbers[..] else { return None };
        let (day, end) = self.day(at)?;
        let is_weekday =
            |at: usize| items.one(at, |meaning| matches!(meaning, Meaning::Weekday(_)).then_some(())).is_some();
        let before = at.checked_sub(1).filter(|before| items.sign(*before, ",").is_none()).or(at.checked_sub(2));
        let is_marked = before.is_some_and(|before| items.means(before, Meaning::DayMark) || is_weekday(before))
            || is_weekday(end + usize::from(items.sign(end, ",").is_some()));
        let has_ending = end > at + 1 && self.is_ending_of_day(end - 1);
        let is_all = items.len() <= end - at + usize::from(items.sign(end, ".").is_some());
        let is_numbered = items.sign(end, ".").is_some() && items.len() <= 4;
        if !is_marked && !has_ending && !is_all && !is_numbered {
            return None;
        }
        let today = self.around.today;
        let month_of = |months: i64| {
            let month = today.first_of_month().checked_add(months.months()).ok()?;
            date(u64::try_from(month.year()).ok()?, u64::try_from(month.month()).ok()?, day)
        };
        // A name of a day beside it is checked with all others.
        let next = (0..=2).filter_map(month_of).find(|date| *date >= today)?;
        let last = (-2..=0).rev().filter_map(month_of).find(|date| *date < today);
        Some(Told { next, last })
    }

    fn is_ending_of_day(&self, at: usize) -> bool {
        const ENDINGS: [&str; 22] = [
            "st", "nd", "rd", "th", "o", "a", "er", "ere", "re", "e", "eme", "de", "ste", "го", "е", "ое", "и", "ого",
            "en", "an", "te", "ten",
        ];
        match self.items.at(at) {
            Some(Item::Word(word)) => ENDINGS.contains(&word.as_str()),
            Some(Item::Said(_)) => {
                self.items.means(at, Meaning::DayUnit)
                    || !self.items.is_spaced(at) && self.items.means(at, Meaning::Filler)
            }
            Some(Item::Sign(sign)) => matches!(sign, '°' | 'º' | 'ª'),
            _ => false,
        }
    }

    fn conclude(self, bounds: &Bounds) -> Result<Date, NoDate> {
        let today = self.around.today;
        let is_day = |date: Date, day: u8| i64::from(date.weekday().to_monday_one_offset()) == i64::from(day);
        let mut told = self.told;
        if told.is_empty() {
            let mut days = self.weekdays.clone();
            days.sort_unstable();
            days.dedup();
            for day in days {
                let Ok(weekday) = Weekday::from_monday_one_offset(day.cast_signed()) else { continue };
                let next = (0..7_i64)
                    .filter_map(|days| today.checked_add(days.days()).ok())
                    .find(|date| date.weekday() == weekday);
                let last = today.nth_weekday(-1, weekday).ok();
                told.extend(next.map(|next| Told { next, last }));
            }
        } else if told.iter().any(|told| self.weekdays.iter().any(|day| !is_day(told.next, *day))) {
            return Err(NoDate::Unclear);
        }
        if told.is_empty() {
            return Err(if self.is_open { NoDate::Unclear } else { NoDate::Missing });
        }
        let fits =
            |told: &Told| [Some(told.next), told.last].into_iter().flatten().find(|date| bounds.hold_date(*date));
        let mut fitting: Vec<Date> = told.iter().filter_map(fits).collect();
        fitting.sort_unstable();
        fitting.dedup();
        match fitting[..] {
            // `not 1/1/2020 but 1/1/2027`, where the bounds leave one of the two.
            [date] if !self.is_open || told.len() > 1 && bounds.are_set() => Ok(date),
            [] => Err(NoDate::Missing),
            _ => Err(NoDate::Unclear),
        }
    }
}

/// Whether an item is am or pm, or a part of the day, and no day.
fn is_half_day(items: &Items, at: usize) -> bool {
    matches!(items.at(at), Some(Item::Said(meanings)) if meanings.iter().any(|meaning| meaning.is_part_of_day())
        && !meanings.iter().any(|meaning| matches!(meaning, Meaning::Relative(_) | Meaning::Month(_))))
}

/// A number in words or an ordinal.
fn number_word(items: &Items, at: usize) -> Option<u64> {
    items.one(at, |meaning| match meaning {
        Meaning::Cardinal(number) | Meaning::Ordinal(number) => Some(u64::from(number)),
        _ => None,
    })
}

fn date(year: u64, month: u64, day: u64) -> Option<Date> {
    let (year, month, day) = (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    Date::new(year, month, day).ok()
}

/// A year of four digits, or of two: 69 to 99 are of the 1900s (POSIX). Others are no year, and neither is one of
/// another calendar.
fn full_year((year, digits): (u64, usize)) -> Option<u64> {
    match (digits, year) {
        (2, 0..=68) => Some(2000 + year),
        (2, _) => Some(1900 + year),
        (4, 1700..=2399) => Some(year),
        _ => None,
    }
}

/// Whether a date is of the years that people speak of.
fn is_usual(date: Date) -> bool {
    (1700..=2399).contains(&date.year())
}
