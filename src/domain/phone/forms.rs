//! Numbers that are written in two ways: as the country's plan has them now, and as WhatsApp or people still do.
//!
//! Both ways are one number, and lead to one person. Which of them a message is sent to is another question: the one
//! that WhatsApp itself has named, else the one of the plan in force ([`current`]).

/// The other way in which a number is written, without its `+`.
pub(in crate::domain) fn other_form(digits: &str) -> Option<String> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if let Some((_, newer)) = newer_form(digits) {
        return Some(newer);
    }
    older_form(digits).or_else(|| argentina(digits))
}

/// The number as the plan of its country has it now. A number that is possible in both ways stays as it is.
pub(super) fn current(digits: &str) -> Option<String> {
    newer_form(digits).map(|(_, newer)| newer)
}

/// One of the two ways, always the same one; `None` for a number that is it, or has no other way.
pub(super) fn one_form(digits: &str) -> Option<String> {
    current(digits).or_else(|| argentina(digits).filter(|other| other.len() > digits.len()))
}

/// The countries whose numbers grew or shrank by a fixed rule while WhatsApp kept accounts under the old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Mobile numbers got a ninth digit between 2012 and 2016 (Anatel). Landlines never did, and begin with 2 to 5.
    Brazil,
    /// A 1 between country code and number marked mobiles until 2019 (IFT).
    Mexico,
    /// 01 stands before all numbers since 30 November 2024 (ARCEP Bénin).
    Benin,
    /// Two digits for the operator stand before all numbers since 31 January 2021 (ARTCI).
    IvoryCoast,
}

/// A number in the form of before the change, and what it is now.
fn newer_form(digits: &str) -> Option<(Change, String)> {
    let at = |index: usize| digits.as_bytes().get(index).copied().unwrap_or_default();
    match digits.len() {
        12 if digits.starts_with("55") && at(4) >= b'6' => {
            Some((Change::Brazil, format!("{}9{}", &digits[..4], &digits[4..])))
        }
        13 if digits.starts_with("521") => Some((Change::Mexico, format!("52{}", &digits[3..]))),
        11 if digits.starts_with("229") && at(3) != b'0' => Some((Change::Benin, format!("22901{}", &digits[3..]))),
        11 if digits.starts_with("225") => {
            Some((Change::IvoryCoast, format!("225{}{}", operator_of_ivory_coast(&digits[3..])?, &digits[3..])))
        }
        _ => None,
    }
}

/// The form of before the change of a number that had one.
fn older_form(digits: &str) -> Option<String> {
    let older = match digits.len() {
        13 if digits.starts_with("55") && digits.as_bytes()[4] == b'9' => format!("{}{}", &digits[..4], &digits[5..]),
        12 if digits.starts_with("52") => format!("521{}", &digits[2..]),
        13 if digits.starts_with("22901") => format!("229{}", &digits[5..]),
        13 if digits.starts_with("225") => format!("225{}", &digits[5..]),
        _ => return None,
    };
    // Only if the rule leads back here: other operators' numbers, and landlines, never had another form.
    newer_form(&older).filter(|(_, newer)| newer == digits).map(|_| older)
}

/// A 9 marks mobiles of Argentina in international calls; both forms are in use, for the same ten digits.
fn argentina(digits: &str) -> Option<String> {
    match digits.len() {
        12 if digits.starts_with("54") => Some(format!("549{}", &digits[2..])),
        13 if digits.starts_with("549") => Some(format!("54{}", &digits[3..])),
        _ => None,
    }
}

/// The digits that stand before a number of eight digits of Ivory Coast since 2021, by what it begins with: for mobiles
/// the second digit stood for the operator (Moov, MTN, Orange), for landlines the third.
fn operator_of_ivory_coast(eight: &str) -> Option<&'static str> {
    let digits = eight.as_bytes();
    Some(match (digits[0], digits[1], digits[2]) {
        (b'0' | b'4' | b'5' | b'7', b'0'..=b'3', _) if !eight.starts_with("00") => "01",
        (b'0' | b'4'..=b'9', b'4'..=b'6', _) => "05",
        (b'0' | b'4'..=b'9', b'7'..=b'9', _) => "07",
        (b'2' | b'3', _, b'8') => "21",
        (b'2' | b'3', _, b'0') => "25",
        (b'2' | b'3', _, _) => "27",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_some_countries_are_written_in_two_ways() {
        for (older, newer) in [
            ("554188887777", "5541988887777"),
            ("5215512345678", "525512345678"),
            ("22997258007", "2290197258007"),
            ("22920211234", "2290120211234"),
            ("22507123401", "2250707123401"),
            ("22547123401", "2250747123401"),
            ("22505123401", "2250505123401"),
            ("22564123401", "2250564123401"),
            ("22501123401", "2250101123401"),
            ("22540123401", "2250140123401"),
            ("22522412345", "2252722412345"),
            ("22520812345", "2252120812345"),
            ("22521012345", "2252521012345"),
        ] {
            assert_eq!(other_form(older).as_deref(), Some(newer), "{older}");
            assert_eq!(other_form(newer).as_deref(), Some(older), "{newer}");
            assert_eq!((current(older).as_deref(), current(newer)), (Some(newer), None), "{older}");
        }
        let (with, without) = ("5491112345678", "541112345678");
        assert_eq!((other_form(with).as_deref(), other_form(without).as_deref()), (Some(without), Some(with)));
        assert_eq!((current(with), current(without)), (None, None), "a landline has no 9");
        assert_eq!((one_form(with), one_form(without).as_deref()), (None, Some(with)));
        assert_eq!((one_form("22997258007").as_deref(), one_form("2290197258007")), (Some("2290197258007"), None));
        for alone in [
            "",
            "5",
            "14155550123",
            "554133334444",
            "5541933334444",
            "5521",
            "52abc5678901",
            "4915112345678",
            // An operator's new digits before another one's old number, and what was no number before.
            "2250705071234",
            "2250107123401",
            "22500123401",
            "22901972580",
            "2290297258007",
            "22901123456",
        ] {
            assert_eq!(other_form(alone), None, "{alone}");
        }
    }
}
