//! What the countries' numbering plans say of a number: where its country code ends, which digits are dialled only
//! inside the country, whether it could be in use.
//!
//! The plans are those of the phonenumber crate, which come from Google's libphonenumber. They lag behind the world,
//! and WhatsApp delivers numbers that they call invalid. So a number is changed by them only where it is impossible as
//! it is written and the plan knows it without a prefix.

use std::sync::OnceLock;

use phonenumber::Metadata;
use phonenumber::country::Id;
use phonenumber::metadata::{DATABASE, Descriptor};
use regex::{Regex, RegexBuilder};

/// Calling codes of two digits (ITU-T E.164, list of assigned codes). Those that begin with 1 or 7 have one digit, and
/// all others three.
const TWO_DIGITS: [u8; 44] = [
    20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61, 62,
    63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
];

/// Calling codes that are assigned (the same list), and of which the plans say nothing.
const WITHOUT_PLAN: [&str; 3] = ["379", "991", "997"];

/// Prefixes that callers in Mexico dialled until 2019 before ten digits.
const MEXICO_BEFORE_2019: [&str; 3] = ["044", "045", "01"];

/// How many digits numbers have behind their calling codes: bit 10 is set where some have ten (the plans of
/// libphonenumber). A number is checked with this first: reading the plans takes long, and most numbers need none.
#[rustfmt::skip]
const LENGTHS: [(u16, u32); 215] = [
    (1, 0x480), (7, 0x4400), (20, 0x700), (27, 0x7e0), (30, 0x1c00), (31, 0xfe0), (32, 0x300), (33, 0x200),
    (34, 0x200), (36, 0x300), (39, 0x1fc0), (40, 0x240), (41, 0x1200), (43, 0x3ff0), (44, 0x680), (45, 0x100),
    (46, 0x17c0), (47, 0x120), (48, 0x7c0), (49, 0xfff0), (51, 0x300), (52, 0x400), (53, 0x5c0), (54, 0xc00),
    (55, 0xf00), (56, 0xe00), (57, 0xd00), (58, 0x400), (60, 0x700), (61, 0x17e0), (62, 0x3ff80), (63, 0x3f40),
    (64, 0x7e0), (65, 0xd00), (66, 0x2700), (81, 0x3ff00), (82, 0x7f60), (84, 0x780), (86, 0x1f80), (90, 0x3480),
    (91, 0x3f00), (92, 0x1f00), (93, 0x200), (94, 0x200), (95, 0x7c0), (98, 0x4f0), (211, 0x200), (212, 0x200),
    (213, 0x300), (216, 0x100), (218, 0x200), (220, 0x80), (221, 0x200), (222, 0x100), (223, 0x100), (224, 0x300),
    (225, 0x400), (226, 0x100), (227, 0x100), (228, 0x100), (229, 0x400), (230, 0x580), (231, 0x380), (232, 0x100),
    (233, 0x300), (234, 0x7c00), (235, 0x100), (236, 0x100), (237, 0x300), (238, 0x80), (239, 0x80), (240, 0x200),
    (241, 0x180), (242, 0x200), (243, 0x780), (244, 0x200), (245, 0x280), (246, 0x80), (247, 0x60), (248, 0x80),
    (249, 0x200), (250, 0x300), (251, 0x200), (252, 0x3c0), (253, 0x100), (254, 0x780), (255, 0x200), (256, 0x200),
    (257, 0x100), (258, 0x300), (260, 0x200), (261, 0x200), (262, 0x200), (263, 0x680), (264, 0x300), (265, 0x280),
    (266, 0x100), (267, 0x580), (268, 0x300), (269, 0x80), (290, 0x30), (291, 0x80), (297, 0x80), (298, 0x40),
    (299, 0x40), (350, 0x100), (351, 0x200), (352, 0xff0), (353, 0x780), (354, 0x280), (355, 0x3c0), (356, 0x100),
    (357, 0x100), (358, 0x1fe0), (359, 0x13c0), (370, 0x100), (371, 0x100), (372, 0x580), (373, 0x100), (374, 0x100),
    (375, 0xfc0), (376, 0x340), (377, 0x300), (378, 0x500), (380, 0x600), (381, 0x1fc0), (382, 0x300), (383, 0x1f00),
    (385, 0x380), (386, 0x1e0), (387, 0x300), (389, 0x100), (420, 0x1e00), (421, 0x2c0), (423, 0x280), (500, 0x20),
    (501, 0x880), (502, 0x900), (503, 0x980), (504, 0x900), (505, 0x100), (506, 0x500), (507, 0xd80), (508, 0x240),
    (509, 0x100), (590, 0x200), (591, 0x300), (592, 0x80), (593, 0xf00), (594, 0x200), (595, 0xfc0), (596, 0x200),
    (597, 0xc0), (598, 0x3ff0), (599, 0x180), (670, 0x180), (672, 0x40), (673, 0x80), (674, 0x80), (675, 0x180),
    (676, 0xa0), (677, 0xa0), (678, 0xa0), (679, 0x880), (680, 0x80), (681, 0x240), (682, 0x20), (683, 0x90),
    (685, 0x4e0), (686, 0x120), (687, 0x40), (688, 0xe0), (689, 0x340), (690, 0xf0), (691, 0x80), (692, 0x80),
    (800, 0x100), (808, 0x100), (850, 0x500), (852, 0xbe0), (853, 0x180), (855, 0x700), (856, 0x700), (870, 0x1200),
    (878, 0x1000), (880, 0x7c0), (881, 0x600), (882, 0x1f80), (883, 0x1f00), (886, 0xf80), (888, 0x800), (960, 0x480),
    (961, 0x180), (962, 0x300), (963, 0x300), (964, 0x700), (965, 0x180), (966, 0x600), (967, 0x380), (968, 0x380),
    (970, 0x700), (971, 0x1fe0), (972, 0x1f80), (973, 0x100), (974, 0xb80), (975, 0x180), (976, 0x700), (977, 0xd00),
    (979, 0x200), (992, 0x200), (993, 0x100), (994, 0x200), (995, 0x200), (996, 0x600), (998, 0x200),
];

/// Whether it is known without the plans that some numbers of a calling code have as many digits as this one.
fn has_usual_length(code: &str, rest: &str) -> bool {
    let lengths = code.parse().ok().and_then(|code: u16| LENGTHS.binary_search_by_key(&code, |(code, _)| *code).ok());
    lengths.is_some_and(|at| rest.len() < 32 && LENGTHS[at].1 & (1 << rest.len()) != 0)
}

/// The calling code of an international number without its `+`, and the rest of the number.
pub(super) fn split(digits: &str) -> Option<(&str, &str)> {
    let two: u8 = digits.get(..2)?.parse().ok()?;
    let length = match digits.as_bytes()[0] {
        b'1' | b'7' => 1,
        _ if TWO_DIGITS.contains(&two) => 2,
        _ => 3,
    };
    digits.split_at_checked(length)
}

/// How well a plan knows a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// No number of the country begins like it, or has that many digits.
    Unknown,
    /// It has the form of the country's numbers, in a range that is not in use.
    Possible,
    /// Its range is in use, but not for mobiles.
    Landline,
    /// Its range is in use, perhaps for mobiles.
    Mobile,
}

impl Fit {
    /// Whether the number could be in use.
    pub(super) fn is_known(self) -> bool {
        self >= Self::Landline
    }
}

/// How well the plans of its calling code know an international number without its `+`.
pub(super) fn fit(digits: &str) -> Fit {
    let Some((code, rest)) = split(digits) else { return Fit::Unknown };
    let mut best = Fit::Unknown;
    for plan in plans(code) {
        best = best.max(plan.fit(rest));
        if best == Fit::Mobile {
            break;
        }
    }
    best
}

/// Whether an international number without its `+` could be in use.
pub(super) fn is_valid(digits: &str) -> bool {
    split(digits).is_some_and(|(code, rest)| plans(code).iter().any(|plan| plan.fits(rest)))
}

/// The calling code of an international number without its `+`, if no country has such a code.
pub(super) fn unassigned_code(digits: &str) -> Option<&str> {
    let (code, rest) = split(digits)?;
    let is_assigned = has_usual_length(code, rest) || !plans(code).is_empty() || WITHOUT_PLAN.contains(&code);
    (!is_assigned).then_some(code)
}

/// How many digits a number has behind its calling code, if no number of the country has so many.
pub(super) fn impossible_length(digits: &str) -> Option<usize> {
    let (code, rest) = split(digits)?;
    if has_usual_length(code, rest) {
        return None;
    }
    let plans = plans(code);
    let may_be = |plan: &Plan| plan.lengths.is_empty() || plan.has_length(rest) || plan.is_possible(rest);
    (!plans.is_empty() && !plans.iter().any(may_be)).then_some(rest.len())
}

/// Whether a 0 is dialled before the numbers inside their country, and is no part of them.
pub(super) fn has_trunk_zero(digits: &str) -> bool {
    split(digits).is_some_and(|(code, _)| plans(code).iter().any(Plan::has_trunk_zero))
}

/// The digit behind the calling code with which no number of the country can begin, or none that is as long: it is
/// dialled only inside the country, or was until its plan changed.
pub(super) fn impossible_start(digits: &str) -> Option<char> {
    let (code, rest) = split(digits)?;
    let first = rest.chars().next().filter(|first| *first == '0' || (*first == '1' && code == "1"))?;
    let plans = plans(code);
    let is_part = plans.is_empty()
        || plans.iter().any(|plan| plan.is_possible(rest) || (plan.has_leading_zeros() && plan.has_length(rest)));
    (!is_part).then_some(first)
}

/// The number without the digits that are dialled only inside its country, such as the 0 of +44 07911 …; `None` if it
/// has none. In some countries the 0 is part of the number: what is possible as it is written stays as it is. Where a
/// country dials no 0, what stands behind it is another country's number, and no digit is taken off that.
pub(super) fn without_trunk_prefix(digits: &str) -> Option<String> {
    let (code, rest) = split(digits)?;
    let has_code_twice = rest.trim_start_matches('0').starts_with(code);
    // Most numbers cannot have a prefix, and are not held against patterns.
    let may_have = match code {
        "1" | "692" => rest.starts_with(['0', '1']),
        "7" | "370" | "375" | "993" => rest.starts_with(['0', '8']),
        "54" => rest.starts_with('0') || rest.len() > 10,
        _ => rest.starts_with('0'),
    };
    if !may_have && !has_code_twice {
        return None;
    }
    let plans = plans(code);
    if plans.iter().any(|plan| plan.fits(rest)) {
        return None;
    }
    let fits = |shorter: &str| plans.iter().any(|plan| plan.fits(shorter));
    let is_possible = |rest: &str| plans.iter().any(|plan| plan.is_possible(rest));
    let has_zero = plans.iter().any(Plan::has_trunk_zero);
    let zeros: &[char] = if has_zero { &['0'] } else { &[] };
    let after_zero = rest.strip_prefix('0').filter(|_| has_zero);
    // The country's code is there twice only if a number of the country could not begin with the same digits. Before
    // the second one some write the 00 of calls to another country.
    let first = rest.strip_prefix("00").unwrap_or(rest).trim_start_matches(zeros);
    let without_code =
        first.strip_prefix(code).map(|twice| twice.trim_start_matches(zeros)).filter(|_| !is_possible(first));
    if !may_have {
        return without_code.filter(|found| fits(found)).map(|found| format!("{code}{found}"));
    }
    let of_country = |rest: &str| plans.iter().flat_map(|plan| plan.without_prefix(rest)).collect::<Vec<_>>();
    let mut shorter = of_country(rest);
    match code {
        "52" => {
            shorter.extend(MEXICO_BEFORE_2019.iter().filter_map(|prefix| rest.strip_prefix(prefix)).map(str::to_owned))
        }
        // The 9 of mobile numbers stands before what callers inside Argentina dial.
        "54" => {
            let local = rest.strip_prefix('9').map(of_country).unwrap_or_default();
            shorter.extend(
                local.into_iter().map(|local| if local.starts_with('9') { local } else { format!("9{local}") }),
            );
        }
        _ => {}
    }
    // Some write the prefix twice, once in brackets.
    shorter.extend(
        [after_zero, Some(rest.trim_start_matches(zeros)), without_code].into_iter().flatten().map(str::to_owned),
    );
    if let Some(found) = shorter.iter().find(|shorter| fits(shorter)) {
        return Some(format!("{code}{found}"));
    }
    // The plan may not know the number yet. Where no number begins with the prefix, it is a prefix all the same, if
    // what is left has the form or at least the length of the country's numbers. Some plans no longer have the prefix.
    let prefix = plans.iter().find_map(|plan| plan.metadata.national_prefix());
    let is_never_part = match rest.starts_with('0') {
        true => !is_possible(rest) && !plans.iter().any(Plan::has_leading_zeros),
        false => code == "1" && rest.len() == 11,
    };
    if !is_never_part {
        return None;
    }
    let by_prefix = prefix.and_then(|prefix| rest.strip_prefix(prefix));
    let of_form = [by_prefix, after_zero].into_iter().flatten().find(|found| is_possible(found));
    let of_length = || {
        let is_prefix = prefix.is_some_and(|prefix| prefix.starts_with('0'));
        let found = by_prefix.or(after_zero).filter(|found| is_prefix && !found.starts_with('0'))?;
        plans.iter().any(|plan| plan.has_length(found)).then_some(found)
    };
    of_form.or_else(of_length).map(|found| format!("{code}{found}"))
}

/// The number with what is dialled before it inside its country; `None` where nothing is.
pub(super) fn with_trunk_prefix(digits: &str) -> Option<String> {
    let (code, rest) = split(digits)?;
    let prefix = plans(code).iter().find_map(|plan| plan.metadata.national_prefix())?;
    Some(format!("{code}{prefix}{rest}"))
}

/// A number as people of a country write it, perhaps with the country's code but without a `+`: with its calling code.
pub(super) fn read_national(digits: &str, country: Id) -> Option<String> {
    let code = DATABASE.by_id(country.as_ref())?.country_code().to_string();
    let plan = plans(&code).iter().find(|plan| plan.metadata.id() == country.as_ref())?;
    let with_code = |rest: &str| format!("{code}{rest}");
    // Countries that share a calling code call each other as if they were one.
    let fits = |rest: &str| plan.fits(rest) || plans(&code).iter().any(|plan| plan.fits(rest));
    if let Some(rest) = plan.without_prefix(digits).iter().find(|shorter| fits(shorter)) {
        let found = with_code(rest);
        // "049 151 …" may be the country's code behind one 0 of the two: which of both numbers is meant is unknown.
        let is_code = rest.starts_with(&code) && fit(rest) == Fit::Mobile && fit(&found) != Fit::Mobile;
        return (!is_code).then_some(found);
    }
    // Where numbers are dialled with a prefix, one without it rather begins with the country's code.
    let rest = digits.strip_prefix(&code).filter(|rest| fits(rest));
    if rest.is_some() && plan.metadata.national_prefix().is_some() {
        return Some(digits.to_owned());
    }
    if fits(digits) {
        return Some(with_code(digits));
    }
    // What is dialled in this country to call another one; longer ones come with a carrier.
    let abroad =
        plan.metadata.international_prefix().and_then(|prefix| prefix.find(digits)).filter(|found| found.start() == 0);
    if let Some(abroad) = abroad.map(|found| &digits[found.end()..]).filter(|abroad| is_valid(abroad)) {
        return Some(abroad.to_owned());
    }
    if rest.is_some() {
        return Some(digits.to_owned());
    }
    digits.strip_prefix(&code).and_then(|_| without_trunk_prefix(digits)).filter(|found| is_valid(found))
}

/// The ISO 3166 code of the country of an international number without its `+`.
pub(super) fn country(digits: &str) -> Option<String> {
    let (code, rest) = split(digits)?;
    let plans = plans(code);
    let is_theirs = |plan: &&Plan| match &plan.leading {
        Some(leading) => leading.is_match(rest),
        None => plan.fits(rest),
    };
    let plan = if let [only] = plans { Some(only) } else { plans.iter().find(is_theirs) };
    plan.map(|plan| plan.metadata.id()).filter(|region| region.parse::<Id>().is_ok()).map(str::to_owned)
}

/// One region's plan, as far as it is asked here.
struct Plan {
    metadata: &'static Metadata,
    /// What numbers begin with that belong to this region, where several share a calling code.
    leading: Option<Regex>,
    /// All numbers, roughly, and those of each kind exactly.
    general: Regex,
    kinds: Regex,
    /// The pattern of mobile numbers, compiled on first use.
    mobile: OnceLock<Option<Regex>>,
    /// How many digits the numbers of any kind have.
    lengths: Vec<u16>,
}

impl Plan {
    fn of(metadata: &'static Metadata) -> Option<Self> {
        let all = metadata.descriptors();
        let kinds: Vec<&Descriptor> = [
            all.mobile(),
            all.fixed_line(),
            all.toll_free(),
            all.premium_rate(),
            all.shared_cost(),
            all.voip(),
            all.personal_number(),
            all.pager(),
            all.uan(),
            all.voicemail(),
        ]
        .into_iter()
        .flatten()
        .collect();
        let lengths = kinds.iter().flat_map(|kind| kind.possible_length()).copied().collect();
        let kinds: Vec<&str> = kinds.into_iter().map(|kind| kind.national_number().as_str()).collect();
        Some(Self {
            metadata,
            leading: metadata.leading_digits().and_then(|leading| pattern(&format!("^(?:{})", leading.as_str()))),
            general: pattern(&format!("^(?:{})$", all.general().national_number().as_str()))?,
            kinds: pattern(&format!("^(?:(?:{}))$", kinds.join(")|(?:")))?,
            mobile: OnceLock::new(),
            lengths,
        })
    }

    /// Whether it has numbers like this one, which is without its calling code.
    fn fits(&self, rest: &str) -> bool {
        self.general.is_match(rest) && self.kinds.is_match(rest)
    }

    fn fit(&self, rest: &str) -> Fit {
        if !self.is_possible(rest) {
            Fit::Unknown
        } else if !self.kinds.is_match(rest) {
            Fit::Possible
        } else if !self.is_mobile(rest) {
            Fit::Landline
        } else {
            Fit::Mobile
        }
    }

    fn is_mobile(&self, rest: &str) -> bool {
        let pattern = self.mobile.get_or_init(|| {
            let kind = self.metadata.descriptors().mobile()?;
            pattern(&format!("^(?:{})$", kind.national_number().as_str()))
        });
        pattern.as_ref().is_some_and(|pattern| pattern.is_match(rest))
    }

    /// Whether a number has the form of this region's, be its range in use or not.
    fn is_possible(&self, rest: &str) -> bool {
        self.general.is_match(rest)
    }

    /// Whether a number has as many digits as some of this region.
    fn has_length(&self, rest: &str) -> bool {
        self.lengths.iter().any(|length| usize::from(*length) == rest.len())
    }

    /// Whether subscribers' numbers may begin with a 0.
    fn has_leading_zeros(&self) -> bool {
        let kinds = [self.metadata.descriptors().fixed_line(), self.metadata.descriptors().mobile()];
        kinds.into_iter().flatten().filter_map(Descriptor::example).any(|example| example.starts_with('0'))
    }

    /// Whether a 0 is dialled before the numbers of this region.
    fn has_trunk_zero(&self) -> bool {
        let of_parsing = || self.metadata.national_prefix_for_parsing()?.find("0").map(|found| found.range());
        self.metadata.national_prefix() == Some("0") || of_parsing() == Some(0..1)
    }

    /// What is left of a number without what may stand before it inside its country, the likeliest first: a prefix,
    /// perhaps with the code of a carrier.
    fn without_prefix(&self, rest: &str) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(pattern) = self.metadata.national_prefix_for_parsing()
            && let Some(groups) = pattern.captures(rest)
            && let Some(whole) = groups.get(0).filter(|whole| whole.start() == 0)
        {
            let is_last_there = groups.len() > 1 && groups.get(groups.len() - 1).is_some();
            match self.metadata.national_prefix_transform_rule() {
                Some(rule) if is_last_there => found.push(pattern.replace(rest, rule).into_owned()),
                _ => found.push(rest[whole.end()..].to_owned()),
            }
        }
        found.extend(self.metadata.national_prefix().and_then(|prefix| rest.strip_prefix(prefix)).map(str::to_owned));
        // Some rules add the area code to what is dialled inside the area; that is not written behind a country code.
        found.retain(|found| found.len() < rest.len());
        found
    }
}

/// A pattern of the plans, in which blanks mean nothing.
fn pattern(text: &str) -> Option<Regex> {
    RegexBuilder::new(text).ignore_whitespace(true).unicode(false).build().ok()
}

/// The plans of a calling code, the main country's first. Their patterns are compiled when the code is first met.
fn plans(code: &str) -> &'static [Plan] {
    static PLANS: [OnceLock<Vec<Plan>>; 1000] = [const { OnceLock::new() }; 1000];
    let Ok(code) = code.parse::<u16>() else { return &[] };
    PLANS.get(usize::from(code)).map_or(&[], |plans| {
        plans.get_or_init(|| {
            let all = DATABASE.by_code(&code).unwrap_or_default();
            all.into_iter().filter_map(Plan::of).collect()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> impl Iterator<Item = (&'static Metadata, String)> {
        DATABASE.iter().flat_map(|plan| {
            let kinds = plan.descriptors();
            [kinds.mobile(), kinds.fixed_line(), kinds.toll_free()]
                .into_iter()
                .flatten()
                .filter_map(Descriptor::example)
                .map(move |example| (plan, example.to_owned()))
        })
    }

    #[test]
    fn every_number_of_every_plan_stays_as_it_is() {
        for (plan, example) in examples() {
            let digits = format!("{}{example}", plan.country_code());
            assert_eq!(split(&digits).unwrap().0, plan.country_code().to_string(), "{}", plan.id());
            assert!(is_valid(&digits), "{} {digits}", plan.id());
            assert_eq!(without_trunk_prefix(&digits), None, "{} {digits}", plan.id());
        }
    }

    #[test]
    fn the_usual_lengths_are_those_of_the_plans() {
        let no_plan_has = |code: u16, length: usize| {
            !plans(&code.to_string()).iter().any(|plan| plan.has_length(&"1".repeat(length)))
        };
        let of_mask = |(code, mask): (u16, u32)| {
            (0..32).filter(move |length| mask & (1 << length) != 0).map(move |length| (code, length))
        };
        let unknown: Vec<(u16, usize)> =
            LENGTHS.into_iter().flat_map(of_mask).filter(|(code, length)| no_plan_has(*code, *length)).collect();
        assert_eq!(unknown, []);
        assert!(LENGTHS.is_sorted_by_key(|(code, _)| code));
    }

    #[test]
    fn the_prefix_of_every_plan_is_taken_off() {
        for (plan, example) in examples() {
            let (code, Some(prefix)) = (plan.country_code(), plan.national_prefix()) else { continue };
            let expected = Some(format!("{code}{example}"));
            assert_eq!(without_trunk_prefix(&format!("{code}{prefix}{example}")), expected, "{} {example}", plan.id());
            let country = plan.id().parse::<Id>();
            if let Ok(country) = country {
                for digits in [format!("{prefix}{example}"), example.clone(), format!("{code}{example}")] {
                    let read = read_national(&digits, country);
                    assert_eq!(read, expected, "{} {digits}", plan.id());
                }
            }
        }
    }
}
