//! Reading the time of day in a text: `7:56:30 pm`, `8h30`, `20.30 Uhr`, `8 de la tarde`, `halb 9`, `half past 8`.
//!
//! A text with two times, or with a word that could change the time that is read, has none.

use jiff::civil::Time;

use super::items::{Item, Items};
use super::words::{Languages, Meaning};

/// Minutes of an hour, of half a day, and of a day.
const HOUR: i32 = 60;
const HALF_DAY: i32 = 12 * HOUR;
const DAY: i32 = 24 * HOUR;
/// Minutes by which what people call the evening begins earlier, and ends later, than CLDR has it.
const EARLIER: i32 = 2 * HOUR;
const LATER: i32 = 3 * HOUR;

/// Why no time was read from a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoTime {
    Missing,
    /// More than one can be meant.
    Unclear,
}

/// The one time of day in a text.
///
/// # Errors
/// There is none, or more than one.
pub(super) fn read(text: &str, languages: &Languages) -> Result<Time, NoTime> {
    let items = Items::of(text, languages);
    let mut reader = Reader { items: &items, clocks: Vec::new(), halves: Vec::new(), is_open: false };
    reader.read();
    reader.conclude()
}

/// An hour and its minutes as they are written, and whether these could be a date as well, as `20.10` could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    minutes: i32,
    /// As of `8`, and not of `8:30`.
    is_bare: bool,
    is_dotted: bool,
    /// A bare number that nothing marks as an hour.
    is_marked: bool,
}

struct Reader<'a> {
    items: &'a Items,
    clocks: Vec<Clock>,
    /// Am, pm and the parts of the day in the text.
    halves: Vec<Meaning>,
    is_open: bool,
}

impl Reader<'_> {
    fn read(&mut self) {
        let mut at = 0;
        // Where the last clock ended.
        let mut ended = None;
        while at < self.items.len() {
            if let Some(length) = self.date(at) {
                at += length;
            } else if let Some((clock, length)) = self.counted(at).or_else(|| self.clock(at)) {
                // `8 às 10`
                self.is_open |= ended == Some(at) && self.items.means(at, Meaning::At);
                self.clocks.push(clock);
                at += length;
                ended = (!clock.is_dotted).then_some(at);
            } else {
                self.word(at);
                at += 1;
            }
        }
    }

    /// Reads a word about the time of day that has no hour.
    fn word(&mut self, at: usize) {
        let Some(Item::Said(meanings)) = self.items.at(at) else {
            // `7p` may be anything.
            let is_left_over =
                matches!(self.items.at(at), Some(Item::Word(word)) if matches!(word.as_str(), "a" | "p"));
            self.is_open |= is_left_over
                && !self.items.is_spaced(at)
                && at.checked_sub(1).is_some_and(|before| self.items.number(before).is_some());
            return;
        };
        let leaves_open = |meaning: &Meaning| {
            is_part_of_hour(*meaning) || matches!(meaning, Meaning::Changed | Meaning::Limit | Meaning::AtFromSix)
        };
        let halves: Vec<Meaning> = meanings.iter().copied().filter(|meaning| meaning.is_part_of_day()).collect();
        if halves.is_empty() {
            self.is_open |= meanings.iter().any(leaves_open);
        } else if !meanings.iter().any(|meaning| is_name(*meaning)) {
            // One word for several: `дня` is noon and the afternoon, `du matin` the morning and the end of the night.
            let is_exact = |half: &&Meaning| {
                matches!(half, Meaning::Noon | Meaning::Midnight | Meaning::Am | Meaning::Pm | Meaning::Night(..))
            };
            let part =
                halves.iter().find(|half| **half == Meaning::Morning).or(halves.iter().find(|half| !is_exact(half)));
            self.halves.extend(part.or(halves.first()).copied());
        }
    }

    /// How many items are a date, which may stand beside a time.
    fn date(&self, at: usize) -> Option<usize> {
        let items = self.items;
        let (first, digits) = items.number(at)?;
        if let Some(sign) = items.sign(at + 1, "/-.")
            && let Some((second, second_digits)) = items.number(at + 2)
        {
            let is_same = |at: usize| items.sign(at, "/-.") == Some(sign);
            if is_same(at + 3) && items.number(at + 4).is_some() {
                return Some(5);
            }
            let is_day = first <= 31 && second <= 12 && digits <= 2 && second_digits <= 2;
            if sign == '/' && is_day
                || sign == '.' && is_day && items.sign(at + 3, ".").is_some() && at + 4 < items.len()
            {
                return Some(3);
            }
        }
        let is_month = |at: usize| items.month(at).is_some();
        let month_at =
            (1..=3).find(|further| is_month(at + further) && (1..*further).all(|between| self.is_filler(at + between)));
        if digits <= 2
            && first <= 31
            && let Some(further) = month_at
        {
            let year = items.number(at + further + 1).filter(|(_, digits)| *digits == 4);
            return Some(further + 1 + usize::from(year.is_some()));
        }
        // `dia 23 às 16h`, `Samstag 23 um 11`
        let is_day_name = |at: usize| {
            items.one(at, |meaning| matches!(meaning, Meaning::Weekday(_) | Meaning::DayMark).then_some(())).is_some()
        };
        if digits <= 2
            && (1..=31).contains(&first)
            && at.checked_sub(1).is_some_and(is_day_name)
            && items.means(at + 1, Meaning::At)
        {
            return Some(1);
        }
        // `May 7`, `5月7日`
        let behind_month = at.checked_sub(1).is_some_and(is_month);
        (behind_month && digits <= 2 && items.sign(at + 1, ":").is_none() && !items.means(at + 1, Meaning::HourUnit)
            || items.means(at + 1, Meaning::DayUnit))
        .then_some(1)
    }

    fn is_filler(&self, at: usize) -> bool {
        self.items.means(at, Meaning::Filler)
            || self.items.sign(at, ".,").is_some()
            || matches!(self.items.at(at),
                Some(Item::Word(word)) if !self.items.is_spaced(at) && word.chars().count() <= 3)
    }

    /// A time that is given by what is added to an hour: `half past 8`, `halb 9`, `10 to 8`, `8 menos cuarto`.
    fn counted(&self, at: usize) -> Option<(Clock, usize)> {
        let items = self.items;
        let start = if items.means(at, Meaning::At) && !self.is_number(at) { at + 1 } else { at };
        let clock = |minutes: i32, end: usize| {
            let clock = Clock { minutes: minutes.rem_euclid(DAY), is_bare: false, is_dotted: false, is_marked: true };
            Some((clock, end - at))
        };
        // `half 9` is 9:30 to some and 8:30 to others: it is read where one of them alone can be meant.
        let before = items.one(start, |meaning| match meaning {
            Meaning::Before(minutes) => Some(i32::from(minutes)),
            _ => None,
        });
        if let Some(minutes) = before
            && let Some((hour, end)) = self.hour_with_unit(self.past_at(start + 1))
        {
            return clock(to_half(hour, minutes) + minutes, end);
        }
        // `без 10 семь`
        if items.means(start, Meaning::Lacking) {
            let count = if items.means(start + 1, Meaning::Quarter) { Some(15) } else { self.small_number(start + 1) };
            let unit = usize::from(items.means(start + 2, Meaning::MinuteUnit));
            let (hour, end) = self.hour_with_unit(self.past_at(start + 2 + unit))?;
            let count = count.filter(|count| *count < HOUR)?;
            return clock(to_half(hour, -count) - count, end);
        }
        // `quarter past 8`, `10 minutes to 8`
        let is_quarter = items.means(start, Meaning::Quarter);
        let count = if is_quarter { Some(15) } else { self.small_number(start).filter(|number| *number < HOUR) };
        if let Some(count) = count {
            let sign_at = if items.means(start + 1, Meaning::MinuteUnit) { start + 2 } else { start + 1 };
            let direction =
                [(Meaning::Past, 1), (Meaning::To, -1)].into_iter().find(|(sign, _)| items.means(sign_at, *sign));
            if let Some((_, direction)) = direction {
                // `5 nach halb 9`
                let half = items.one(sign_at + 1, |meaning| match meaning {
                    Meaning::Before(minutes) => Some(i32::from(minutes)),
                    _ => None,
                });
                let hour_at = sign_at + 1 + usize::from(half.is_some());
                let hour_at = if items.sign(hour_at, "-").is_some() { hour_at + 1 } else { hour_at };
                if let Some((hour, end)) = self.hour_with_unit(self.past_at(hour_at)) {
                    let added = direction * count + half.unwrap_or(0);
                    return clock(to_half(hour, added) + added, end);
                }
            }
            if is_quarter {
                return None;
            }
        }
        // `8 y media`, `8 menos cuarto`, `8 y 10`
        let (hour, end) = self.hour_with_unit(start)?;
        let added = items.one(end, |meaning| match meaning {
            Meaning::After(minutes) => Some(i32::from(minutes)),
            _ => None,
        });
        if let Some(added) = added {
            return clock(hour * HOUR + added, end + 1);
        }
        let direction =
            [(Meaning::Plus, 1), (Meaning::Minus, -1)].into_iter().find(|(sign, _)| items.means(end, *sign));
        let (_, direction) = direction?;
        // `8 y 9` are two hours rather than nine minutes.
        let minutes = self.small_number(end + 1).filter(|minutes| *minutes == 5 || (10..HOUR).contains(minutes))?;
        let unit = usize::from(items.means(end + 2, Meaning::MinuteUnit));
        clock(hour * HOUR + direction * minutes, end + 2 + unit)
    }

    /// Past what may stand before an hour.
    fn past_at(&self, at: usize) -> usize {
        if self.items.means(at, Meaning::At) && !self.is_number(at) { at + 1 } else { at }
    }

    /// An hour in digits or words with what belongs to it, and where it ends.
    fn hour_with_unit(&self, at: usize) -> Option<(i32, usize)> {
        let named = self.items.one(at, |meaning| match meaning {
            Meaning::Noon => Some(12),
            Meaning::Midnight => Some(24),
            _ => None,
        });
        let hour = self.small_number(at).or(named).filter(|hour| *hour <= 24)?;
        let end = at + 1;
        let end = if self.items.means(end, Meaning::HourUnit) { end + 1 } else { end };
        Some((hour, end))
    }

    /// A number of one or two digits, or in words.
    fn small_number(&self, at: usize) -> Option<i32> {
        if let Some((number, digits)) = self.items.number(at) {
            return (digits <= 2).then(|| i32::try_from(number).ok())?;
        }
        self.items.one(at, |meaning| match meaning {
            Meaning::Cardinal(number) | Meaning::Ordinal(number) => Some(i32::from(number)),
            _ => None,
        })
    }

    fn is_number(&self, at: usize) -> bool {
        self.small_number(at).is_some()
    }

    /// An hour with minutes in digits, or one that something marks as an hour.
    fn clock(&self, at: usize) -> Option<(Clock, usize)> {
        let items = self.items;
        if items.means(at, Meaning::AtFromSix) {
            return self.hour_from_six(at);
        }
        let is_at = items.means(at, Meaning::At) && !self.is_number(at);
        let mut start = if is_at { at + 1 } else { at };
        if is_at && items.sign(start, "-:").is_some() {
            start += 1;
        }
        let marked = |minutes, end: usize, is_bare, is_dotted| {
            Some((Clock { minutes, is_bare, is_dotted, is_marked: true }, end - at))
        };
        let (number, digits) = match items.number(start) {
            Some(number) => number,
            None => {
                // An hour in words needs a mark: `a las siete`, `sieben Uhr`, `seven pm`.
                let halves = items.one(start, |meaning| match meaning {
                    Meaning::Halves(halves) => Some(i32::from(halves)),
                    _ => None,
                });
                if let Some(halves) = halves.filter(|_| items.means(start + 1, Meaning::HourUnit)) {
                    return marked(halves * HOUR / 2, start + 2, false, false);
                }
                let hour = self.small_number(start).filter(|hour| *hour <= 24)?;
                let end = start + 1;
                let minutes = self.small_number(end).filter(|minutes| (10..HOUR).contains(minutes));
                if let Some(minutes) = minutes.filter(|_| items.len() == end + 1 && items.number(end).is_none()) {
                    return marked(hour * HOUR + minutes, end + 1, false, false);
                }
                let has_unit = items.means(end, Meaning::HourUnit);
                let minutes = has_unit.then(|| self.small_number(end + 1)).flatten().filter(|minutes| *minutes < HOUR);
                if let Some(minutes) = minutes {
                    return marked(hour * HOUR + minutes, end + 2, false, false);
                }
                let is_said = is_at
                    || has_unit
                    || self.is_half(end)
                    || at.checked_sub(1).is_some_and(|before| self.is_half(before));
                let is_all = end == items.len() && start == 0;
                return (is_said || is_all)
                    .then(|| marked(hour * HOUR, end + usize::from(has_unit), true, false))
                    .flatten();
            }
        };
        let number = i32::try_from(number).ok()?;
        let is_spaced_from = |at: usize| items.is_spaced(at);
        let minutes_at = |at: usize| {
            items
                .number(at)
                .filter(|(minutes, digits)| *digits == 2 && *minutes < 60)
                .and_then(|(m, _)| i32::try_from(m).ok())
        };
        // `1930`, `0730 hrs`
        if (digits == 4 || digits == 3) && number / 100 < 24 && number % 100 < HOUR {
            let has_unit = items.means(start + 1, Meaning::HourUnit) || self.is_half(start + 1);
            let is_all = items.len() == start + 1 && digits == 4;
            if has_unit || is_all || is_at && digits == 4 {
                let end = start + 1 + usize::from(items.means(start + 1, Meaning::HourUnit));
                return marked(number / 100 * HOUR + number % 100, end, false, false);
            }
        }
        if digits > 2 || number > 24 {
            return None;
        }
        let end = start + 1;
        // `7:56:30`, `9.30`
        if let Some(sign) = items.sign(end, ":.")
            && let Some(minutes) = minutes_at(end + 1)
        {
            let has_seconds = items.sign(end + 2, ":.") == Some(sign) && minutes_at(end + 3).is_some();
            let mut end = if has_seconds { end + 4 } else { end + 2 };
            let has_unit = items.means(end, Meaning::HourUnit);
            end += usize::from(has_unit);
            return marked(number * HOUR + minutes, end, false, sign == '.' && !has_unit && !self.is_half(end));
        }
        // `18,30` as the whole text
        if items.sign(end, ",").is_some()
            && let Some(minutes) = minutes_at(end + 1)
            && items.len() == end + 2
            && start == usize::from(is_at)
        {
            return marked(number * HOUR + minutes, end + 2, false, false);
        }
        // `17-30`, which can be no two hours
        if items.sign(end, "-").is_some()
            && let Some(minutes) = minutes_at(end + 1).filter(|minutes| *minutes > 24)
            && !self.goes_on(end + 2)
        {
            return marked(number * HOUR + minutes, end + 2, false, false);
        }
        // `8h30`, `8 Uhr 30`, `8時30分`
        if items.means(end, Meaning::HourUnit) {
            let minutes = items.number(end + 1).filter(|(minutes, _)| *minutes < 60);
            let has_unit = items.means(end + 2, Meaning::MinuteUnit);
            let is_close = minutes.is_some_and(|(_, digits)| digits == 2 && !(self.goes_on(end + 2)));
            if let Some((minutes, _)) = minutes
                && (has_unit || is_close)
            {
                let minutes = i32::try_from(minutes).ok()?;
                return marked(number * HOUR + minutes, end + 2 + usize::from(has_unit), false, false);
            }
            return marked(number * HOUR, end + 1, true, false);
        }
        // `7 30 pm`, `7 30`
        if let Some(minutes) = minutes_at(end)
            && is_spaced_from(end)
            && (is_at || self.is_half(end + 1) || items.len() == end + 1 && start == 0)
            && !self.goes_on(end + 1)
        {
            return marked(number * HOUR + minutes, end + 1, false, false);
        }
        let is_marked = is_at || self.is_half(end) || self.is_alone(start);
        let clock = Clock { minutes: number * HOUR, is_bare: true, is_dotted: false, is_marked };
        Some((clock, end - at))
    }

    /// An hour that is counted from six: without a part of the day it may be the one of the morning or of the evening.
    fn hour_from_six(&self, at: usize) -> Option<(Clock, usize)> {
        let items = self.items;
        let (hour, mut end) = self.hour_with_unit(at + 1)?;
        let mut minutes = (hour * HOUR + HALF_DAY / 2) % HALF_DAY;
        if !(1..=12).contains(&hour) {
            return None;
        }
        let added = items.one(end, |meaning| match meaning {
            Meaning::After(minutes) => Some(i32::from(minutes)),
            _ => None,
        });
        let in_digits = items.number(end + 1).filter(|(minutes, digits)| *digits == 2 && *minutes < 60);
        if let Some(added) = added {
            minutes += added;
            end += 1;
        } else if let (Some(_), Some((added, _))) = (items.sign(end, ":."), in_digits) {
            minutes += i32::try_from(added).ok()?;
            end += 2;
        }
        self.is_half(end).then_some((Clock { minutes, is_bare: false, is_dotted: false, is_marked: true }, end - at))
    }

    /// Whether a number goes on behind a sign: `8-9`, `8.000`, `8/2`.
    fn goes_on(&self, at: usize) -> bool {
        self.items.sign(at, "-./,:").is_some() && self.items.number(at + 1).is_some()
    }

    /// Whether nothing but signs is beside the number at a place.
    fn is_alone(&self, at: usize) -> bool {
        (0..self.items.len()).all(|other| {
            other == at || matches!(self.items.at(other), Some(Item::Sign(sign)) if !sign.is_alphanumeric())
        }) && !self.goes_on(at + 1)
            && at.checked_sub(1).is_none_or(|before| self.items.sign(before, "-+./,").is_none())
            && self.items.sign(at + 1, "%$€£°+*/").is_none()
    }

    fn is_half(&self, at: usize) -> bool {
        let Some(Item::Said(meanings)) = self.items.at(at) else { return false };
        meanings.iter().any(|meaning| meaning.is_part_of_day()) && !meanings.iter().any(|meaning| is_name(*meaning))
    }

    fn conclude(self) -> Result<Time, NoTime> {
        let mut clocks = self.clocks;
        // `20.10.` beside `8:30` is a day.
        if clocks.iter().any(|clock| clock.is_marked && !clock.is_dotted) {
            clocks.retain(|clock| !clock.is_dotted);
        }
        if clocks.iter().any(|clock| clock.is_marked) {
            clocks.retain(|clock| clock.is_marked);
        } else if clocks.len() == 1 && !self.halves.is_empty() {
            // `mañana en la tarde, 5`: the one number beside a part of the day.
        } else {
            clocks.clear();
        }
        clocks.dedup();
        let open = if self.is_open { NoTime::Unclear } else { NoTime::Missing };
        let time = match clocks[..] {
            [clock] if !self.is_open => in_half(clock, &self.halves).ok_or(NoTime::Unclear)?,
            [] if !self.is_open => match self.halves[..] {
                [Meaning::Noon] => HALF_DAY,
                [Meaning::Midnight] => 0,
                _ => return Err(NoTime::Missing),
            },
            [] => return Err(open),
            _ => return Err(NoTime::Unclear),
        };
        let hour = i8::try_from(time / HOUR).map_err(|_| NoTime::Missing)?;
        let minute = i8::try_from(time % HOUR).map_err(|_| NoTime::Missing)?;
        Time::new(hour, minute, 0, 0).map_err(|_| NoTime::Missing)
    }
}

/// Whether a word names a day and not a part of one: `mañana`, but not `tonight`.
fn is_name(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Month(_) | Meaning::Weekday(_))
        || matches!(meaning, Meaning::Relative(days) if days != 0)
}

/// Whether something belongs to an hour that was not read with it.
fn is_part_of_hour(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::After(_) | Meaning::Before(_) | Meaning::Quarter | Meaning::Minus | Meaning::Lacking)
}

/// An hour that minutes are taken from: the twelfth before one is that of noon, and so `halb 1` is 12:30.
fn to_half(hour: i32, added: i32) -> i32 {
    let hour = if hour == 1 && added < 0 { 13 } else { hour };
    hour * HOUR
}

/// The minute of the day that is meant by a clock within the parts of the day in the text.
fn in_half(clock: Clock, halves: &[Meaning]) -> Option<i32> {
    let minutes = if clock.minutes == DAY { 0 } else { clock.minutes };
    let is_late = minutes >= HALF_DAY + HOUR;
    let mut meant: Option<i32> = None;
    for half in halves {
        let one = match *half {
            // `13pm` is a slip, `15:30 pm` is not.
            Meaning::Pm if is_late => (!clock.is_bare).then_some(minutes),
            Meaning::Am | Meaning::Pm if is_late => None,
            Meaning::Am => Some(minutes % HALF_DAY),
            Meaning::Pm if minutes < HOUR => None,
            Meaning::Pm => Some(minutes % HALF_DAY + HALF_DAY),
            Meaning::Noon => {
                // `12 noon`, and `1 del mediodía`.
                let hour = minutes / HOUR;
                match hour {
                    11..=15 => Some(minutes),
                    1..=3 => Some(minutes + HALF_DAY),
                    _ => None,
                }
            }
            Meaning::Midnight => matches!(minutes / HOUR, 0 | 12).then_some(minutes % HALF_DAY),
            Meaning::Morning if minutes < HALF_DAY => Some(minutes),
            Meaning::Daytime(from, to) => within(minutes, from.into(), to.into(), HOUR),
            Meaning::Night(from, to) => at_night(minutes, from.into(), to.into()),
            _ => None,
        }?;
        if meant.is_some_and(|other| other != one) {
            return None;
        }
        meant = Some(one);
    }
    Some(meant.unwrap_or(minutes))
}

/// The one of a time before and after noon that lies in a part of the day, or nearly.
fn within(minutes: i32, from: i32, to: i32, earlier: i32) -> Option<i32> {
    let to = if to <= from { to + DAY } else { to };
    let both = if minutes >= HALF_DAY { [Some(minutes), None] } else { [Some(minutes), Some(minutes + HALF_DAY)] };
    let pick = |from: i32, to: i32| {
        let mut found = both.into_iter().flatten().filter(|minutes| (from..=to).contains(minutes));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    };
    pick(from, to - 1).or_else(|| pick(from - earlier, to + LATER))
}

/// The same for a night, which goes over midnight and has twelve o'clock in it.
fn at_night(minutes: i32, from: i32, to: i32) -> Option<i32> {
    let to = if to <= from { to + DAY } else { to };
    let hour = minutes / HOUR;
    let candidates = match hour {
        12 => [Some(minutes - HALF_DAY), None],
        0 => [Some(minutes), None],
        13.. => [Some(minutes), None],
        _ => [Some(minutes), Some(minutes + HALF_DAY)],
    };
    let lies_in = |minutes: &i32| {
        [*minutes, *minutes + DAY, *minutes - DAY].iter().any(|minutes| (from - EARLIER..=to + HOUR).contains(minutes))
    };
    let mut found = candidates.into_iter().flatten().filter(lies_in);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}
