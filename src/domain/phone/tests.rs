//! What numbers become as they are written by people, spreadsheets and other systems.

use super::*;

fn read(text: &str) -> Option<String> {
    text.parse::<Phone>().ok().map(String::from)
}

#[test]
fn one_number_however_it_is_written() {
    for text in [
        "+14155550123",
        "+1 (415) 555-0123",
        "0014155550123",
        "00 1 415.555.0123",
        " +1 415/555 0123 ",
        "+1\u{2011}415\u{2011}555\u{2011}0123",
        "\u{ff0b}１４１５５５５０１２３",
        "+١٤١٥٥٥٥٠١٢٣",
        "+1 1 415 555 0123",
        "+1 (1) 415 555 0123",
        "+0014155550123",
        "'+14155550123",
        "\u{2019}+1 415 555 0123",
        "=\"+14155550123\"",
        "tel:+1-415-555-0123",
        "TEL: +1 415 555 0123",
        "whatsapp:+14155550123",
        "https://wa.me/14155550123",
        "wa.me/14155550123?text=hello",
        "https://api.whatsapp.com/send?phone=14155550123&text=x",
        "14155550123@s.whatsapp.net",
        "+1\u{a0}415\u{2009}555\u{202f}0123",
    ] {
        assert_eq!(read(text).as_deref(), Some("+14155550123"), "{text}");
    }
}

#[test]
fn unseen_marks_are_no_part_of_a_number() {
    for mark in
        "\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{202a}\u{202c}\u{2060}\u{2066}\u{2069}\u{feff}\u{fe0f}\u{ad}\u{34f}\
                 \u{61c}\u{180e}\u{3164}\u{2800}\u{e0041}"
            .chars()
    {
        let text = format!("{mark}+1{mark}415{mark}5550123{mark}");
        assert_eq!(read(&text).as_deref(), Some("+14155550123"), "{:x}", u32::from(mark));
        assert_eq!(read(&mark.to_string()), None);
    }
}

#[test]
fn refuses_what_is_no_international_number() {
    for text in [
        "",
        "12",
        "+",
        "00",
        "4155550123",
        "14155550123",
        "+1415555CALL",
        "+1234567890123456",
        "0012345678901234567",
        "+0123456789",
        "+12",
        "++14155550123",
        "+1415+5550123",
        "phone",
        "0041",
        "https://example.org/14155550123",
        "120363025246125486@g.us",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    assert!("+491999999999999".parse::<Phone>().is_ok(), "15 digits are the most");
}

#[test]
fn refuses_codes_that_nobody_has_and_lengths_that_no_number_has() {
    const CODE: &str = "no country has the code";
    const LENGTH: &str = "digits behind the country code";
    for (text, why) in [
        ("+8 912 345 67 89", CODE),
        ("+99 9123456789", CODE),
        ("+384 44 123 456", CODE),
        ("+999 0123456", CODE),
        ("+210 1234567", CODE),
        ("+1 44 7911 123401", LENGTH),
        ("+1 8 912 345 67 89", LENGTH),
        ("+441 07911 123401", LENGTH),
        ("+380 80 67 123 4567", LENGTH),
        ("+1415555", LENGTH),
        ("+123456789012345", LENGTH),
        ("+34 600 1122", LENGTH),
    ] {
        for country in [None, Some("GB"), Some("DE")] {
            let error = Phone::parse_in_country(text, country).map_err(|error| error.0);
            assert!(error.as_ref().is_err_and(|error| error.contains(why)), "{text} {country:?}: {error:?}");
        }
    }
    for text in ["+628123450009", "+80012345678", "+883510012345678", "+37912345678", "+99771234567", "+5215512345678"]
    {
        assert_eq!(read(text).as_deref(), Some(text));
    }
}

#[test]
fn the_fraction_of_a_spreadsheet_is_no_digit() {
    for (text, expected) in [
        ("+628123450009.0", "+628123450009"),
        ("+628123450009.00", "+628123450009"),
        ("+628123450009.000000", "+628123450009"),
        ("+628123450009,0", "+628123450009"),
        ("+62 812 345 0009.0", "+628123450009"),
        ("+62 812 345 0009.00", "+628123450009"),
        ("00628123450009.0", "+628123450009"),
        ("+4915112340003.0", "+4915112340003"),
        ("+4915112340003.", "+4915112340003"),
        ("+628123450009.0.0", "+628123450009"),
        ("+628123450009.00.0", "+628123450009"),
        ("+628123450009.000.0", "+628123450009"),
        ("+628123450009.0.", "+628123450009"),
        ("+628123450009. 0", "+628123450009"),
        ("+628123450009 .0", "+628123450009"),
        ("+628123450009..0", "+628123450009"),
        ("+628123450009.0 0", "+628123450009"),
        ("+628123450009\u{b7}0", "+628123450009"),
        ("+628123450009\u{387}0", "+628123450009"),
        ("+628123450009\u{2024}0", "+628123450009"),
        ("+628123450009\u{ff0e}0", "+628123450009"),
        ("+62 812 345 0009.0.0", "+628123450009"),
        ("+62 812 345 0009.000", "+628123450009"),
        ("wa.me/628123450009.0", "+628123450009"),
        // The plan does not know its range.
        ("+56 9 1234 5678.0", "+56912345678"),
        ("+56912345678.0.0", "+56912345678"),
        // Groups of digits that end like one.
        ("+33.6.12.34.56.00", "+33612345600"),
        ("+33 6 12 34 56.00", "+33612345600"),
        ("+1 415.555.0000", "+14155550000"),
        ("+1415555.0000", "+14155550000"),
        ("+62.812.345.000", "+62812345000"),
        ("+33.6.12.34.00.00", "+33612340000"),
        ("+33.6.1.2.3.4.5.6.7.0", "+33612345670"),
        ("+33.6.1.2.3.4.5.6.0.0", "+33612345600"),
        ("+33\u{b7}6\u{b7}12\u{b7}34\u{b7}56\u{b7}78", "+33612345678"),
    ] {
        assert_eq!(read(text).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "+4.91511E+12",
        "4.91511E+12",
        "+6.28E+12",
        "6,28E+12",
        "+6.28e12",
        "+628123450009.5",
        "+628123450009.25",
        "+628123450009. 5",
        "+628123450009. 25",
        "+628123450009.5.",
        "+628123450009\u{b7}5",
        "+628123450009 0.0",
        "+999 12 345 678.0.0",
        "4915112340003.0",
    ] {
        let error = text.parse::<Phone>().unwrap_err().0;
        assert!(error.contains("phone number"), "{text}: {error}");
    }
    let in_indonesia = |text| Phone::parse_in_country(text, Some("ID")).ok().map(String::from);
    for text in ["628123450009.0", "08123450009.0", "0812 3450 009.0", "8123450009,0", "628123450009"] {
        assert_eq!(in_indonesia(text).as_deref(), Some("+628123450009"), "{text}");
    }
    assert_eq!(in_indonesia("08123450009.0.0").as_deref(), Some("+628123450009"));
    assert_eq!((in_indonesia("6.28E+12"), in_indonesia("08123450009.5")), (None, None));
    let in_france = |text| Phone::parse_in_country(text, Some("FR")).ok().map(String::from);
    for text in ["06.12.34.56.70", "06.12.34.56.70.0", "06.12.34.56.70.0.0"] {
        assert_eq!(in_france(text).as_deref(), Some("+33612345670"), "{text}");
    }
}

#[test]
fn the_prefix_that_is_dialled_inside_a_country_is_left_out() {
    for (text, expected) in [
        ("+44 07911 123401", "+447911123401"),
        ("0044 07911 123401", "+447911123401"),
        ("+44 (0)20 7946 0000", "+442079460000"),
        ("+44 (0) 20 7946 0000", "+442079460000"),
        ("+44 [0]20 7946 0000", "+442079460000"),
        ("+44 (0) 07911 123401", "+447911123401"),
        ("+440 07911 123401", "+447911123401"),
        ("+49 0151 23456701", "+4915123456701"),
        ("+49 (0)30 123456", "+4930123456"),
        ("+33 06 12 34 56 01", "+33612345601"),
        ("+36 06 20 123 4567", "+36201234567"),
        ("+36 (06) 20 123 4567", "+36201234567"),
        ("+7 8 916 123-02-21", "+79161230221"),
        ("+7 (8) 916 123-02-21", "+79161230221"),
        ("+7 8 701 123 4567", "+77011234567"),
        ("+375 8 029 491 19 11", "+375294911911"),
        ("+370 0 612 34567", "+37061234567"),
        ("+370 8 612 34567", "+37061234567"),
        ("+380 0 50 123 4567", "+380501234567"),
        ("+52 044 55 1234 5678", "+525512345678"),
        ("+52 01 55 1234 5678", "+525512345678"),
        ("+54 011 15 2345 6789", "+5491123456789"),
        ("+54 11 15 2345 6789", "+5491123456789"),
        ("+54 9 11 15 2345 6789", "+5491123456789"),
        ("+54 9 011 2345 6789", "+5491123456789"),
        ("+55 011 96123 4567", "+5511961234567"),
        ("+55 0 15 11 96123 4567", "+5511961234567"),
        ("+62 0812 3456 7890", "+6281234567890"),
        ("+91 098765 43210", "+919876543210"),
        ("+234 0803 123 4567", "+2348031234567"),
        ("+254 0712 345 678", "+254712345678"),
        ("+27 082 123 4567", "+27821234567"),
        ("+61 0412 345 678", "+61412345678"),
        ("+81 090 1234 5678", "+819012345678"),
        ("+82 010 2000 0000", "+821020000000"),
        ("+84 091 234 5678", "+84912345678"),
        ("+90 0532 123 4567", "+905321234567"),
        ("+92 0300 123 4567", "+923001234567"),
        ("+971 050 123 4567", "+971501234567"),
        ("+972 050 234 5678", "+972502345678"),
        ("+20 010 01234567", "+201001234567"),
        ("+41 078 123 45 67", "+41781234567"),
        ("+43 0664 123456", "+43664123456"),
        ("+31 06 12345678", "+31612345678"),
        ("+32 0470 12 34 56", "+32470123456"),
        ("+46 070 123 45 67", "+46701234567"),
        ("+358 041 2345678", "+358412345678"),
        ("+212 0650 123456", "+212650123456"),
        // The country's code is there twice, and the plan has no longer a prefix.
        ("+44 044 7911 123401", "+447911123401"),
        ("+44 44 7911 123401", "+447911123401"),
        ("+44 0 44 07911 123401", "+447911123401"),
        ("+44 0044 7911 123401", "+447911123401"),
        ("+1 001 415 555 0123", "+14155550123"),
        ("+7 7 916 123 02 21", "+79161230221"),
        ("+53 05 1234567", "+5351234567"),
        // A number that the plan does not know yet.
        ("+44 07000 000", "+447000000"),
        ("+49 0199 9999999999", "+491999999999999"),
    ] {
        assert_eq!(read(text).unwrap_or_default(), expected, "{text}");
    }
}

#[test]
fn refuses_a_start_that_no_number_of_the_country_has() {
    for text in [
        "+229 0 97258007",
        "+225 0 07 12 34 01",
        "+44 044 4444 444444",
        "+54 011 2345 678",
        "+52 0 55 1234 567",
        "+55 00 6123 4567",
        "+1 0 415 555 012",
        "+1 0 415 555 0123",
        "+1 01 4155550123",
        // Numbers of other countries, which without the 0 would be valid numbers here.
        "+1 07717 312345",
        "+1 (0)20 7946 0018",
        "+1 0803 123 4567",
        "+1 07911 123401",
        "+34 06 12 34 56 01",
        "+34 (0)6 12 34 56 01",
        "+48 0512 345 678",
        "+56 09 1234 5678",
        "+56 (0)9 1234 5678",
        "+52 055 1234 5678",
        "+7 0916 123 0221",
        "+36 020 123 4567",
        "+420 0601 123 456",
        "+351 0912 345 678",
        "+65 0812 345 67",
        "+229 (0) 97258007",
        "+1 1 415 555 012",
        "+1 155 555 0123",
        "+7 0123456789012",
    ] {
        let error = text.parse::<Phone>().map_err(|error| error.0);
        let is_told = |error: &String| error.contains("behind the country code is no part of a number of that country");
        assert!(error.as_ref().is_err_and(is_told), "{text}: {error:?}");
    }
    // Ranges that the plan may come to know, and countries that it does not.
    for text in ["+56 9 1234 5678", "+229 02 97258007", "+226 03 12 34 56", "+39 0999 999999", "+997 0123456"] {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(read(text), Some(format!("+{digits}")), "{text}");
    }
    let of_britain = Phone::parse_in_country("+1 07911 123401", Some("GB"));
    assert!(of_britain.is_err(), "{of_britain:?}");
}

#[test]
fn a_number_is_known_as_it_was_stored_with_a_prefix() {
    for (number, stored) in [
        ("+447911123401", Some("+4407911123401")),
        ("+56912345678", None),
        ("+390612345601", None),
        ("+2290197258007", None),
        ("+9991234567", None),
    ] {
        let with_prefix = Phone::from_e164(number).unwrap().with_trunk_prefix();
        assert_eq!(with_prefix.as_ref().map(Phone::as_str), stored, "{number}");
        assert!(with_prefix.is_none_or(|kept| kept.without_trunk_prefix().unwrap().as_str() == number), "{number}");
    }
}

#[test]
fn a_zero_that_is_part_of_a_number_stays() {
    for text in [
        "+39 06 1234 5601",
        "+39 02 1234 5678",
        "+39 (0)6 1234 5601",
        "+39 331 1234567",
        "+225 07 07 12 34 01",
        "+225 05 05 12 34 01",
        "+225 27 22 12 34 56",
        "+229 01 97 25 80 07",
        "+378 0549 886377",
        "+39 06 698 12345",
        "+241 06 03 12 34",
        "+241 01 44 12 34",
        "+242 06 123 4567",
        "+226 05 12 34 56",
        "+227 93 12 34 56",
        "+7 800 123 45 67",
        "+7 812 123 45 67",
        "+370 800 12345",
        "+1 800 234 5678",
        "+52 1 55 1234 5678",
        "+54 9 11 2345 6789",
        "+54 11 2345 6789",
        "+55 41 8888 7777",
        "+225 07 12 34 01",
        "+229 97 25 80 07",
        "+86 131 2345 6789",
    ] {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(read(text), Some(format!("+{digits}")), "{text}");
    }
    assert_eq!(read("+241 0 62 12 34 56").as_deref(), Some("+24162123456"), "what is dialled there since 2019");
}

#[test]
fn what_follows_a_number_is_no_further_digits() {
    for text in [
        "+4915112340003/04",
        "+49 151 12340003 / 04",
        "+14155550123/4155550124",
        "+14155550123 / +14155550124",
        "+14155550123;+14155550124",
        "+14155550123,+14155550124",
        "+14155550123, 24",
        "+14155550123\n+14155550124",
        "+14155550123 or 24",
        "+1 415 555 0123 ext. 5",
        "+1 415 555 0123 ext 5",
        "+1 415 555 0123 x12",
        "+1 415 555 0123x12",
        "+1 415 555 0123 #12",
        "+1 415 555 0123,,12",
        "tel:+1-415-555-0123;ext=5",
        "+7 916 123 02 21 доб. 5",
        "+1 415 555 0123 (home)",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    let in_germany = |text| Phone::parse_in_country(text, Some("DE")).ok().map(String::from);
    for text in ["0151/12340003", "0151 / 12 34 00 03", "+49 151/12340003"] {
        assert_eq!(in_germany(text).as_deref(), Some("+4915112340003"), "{text}");
    }
    for text in
        ["0151 12340003/04", "0151 12340003 / 0152 12340004", "030 1234567 ext 5", "0151 12340003 x5", "0800 BLUMEN"]
    {
        assert_eq!(in_germany(text), None, "{text}");
    }
}

#[test]
fn digits_behind_a_whole_number_are_none_of_it() {
    const SINGLE: &str = "a single digit stands behind a whole number";
    const BRACKETS: &str = "it has digits in brackets behind the number";
    const MORE: &str = "it has more digits than a number of that country";
    const NOTE: &str = "it has a raised or circled digit";
    for (text, country, why) in [
        ("+628123450009 (2)", None, BRACKETS),
        ("+628123450009 (10)", None, BRACKETS),
        ("+628123450009 (0)", None, BRACKETS),
        ("+628123450009 [2]", None, BRACKETS),
        ("+628123450009(2", None, BRACKETS),
        ("+628123450009 \u{ff08}2\u{ff09}", None, BRACKETS),
        ("+628123450009 (1) 0", None, BRACKETS),
        ("628123450009 (2)@c.us", None, BRACKETS),
        ("0812-3450-009 (2)", Some("ID"), BRACKETS),
        ("+628123450009-2", None, SINGLE),
        ("+628123450009 0", None, SINGLE),
        ("+628123450009\u{2013}2", None, SINGLE),
        ("+628123450009 1 0", None, SINGLE),
        ("+62 812 3450 009 2", None, SINGLE),
        ("+62 0812 3450 009 2", None, SINGLE),
        ("wa.me/628123450009-2", None, SINGLE),
        ("08123450009-2", Some("ID"), SINGLE),
        ("+1 415 555 0123 1", None, SINGLE),
        ("+229 97258007-2", None, SINGLE),
        ("+628123450009-123", None, MORE),
        ("+628123450009 12 34", None, MORE),
        ("+628123450009.123", None, MORE),
        ("+14155550123-10", None, MORE),
        ("+1 415 555 0123 4567", None, MORE),
        ("+4915112340003-04", None, MORE),
        ("+442079460000-2", None, MORE),
        // The plan does not know the range, only how long its numbers are.
        ("+56 9 1234 5678 (2)", None, BRACKETS),
        ("+56 9 1234 5678-2", None, MORE),
        ("+56912345678-10", None, MORE),
        ("+628123450009\u{b2}", None, NOTE),
        ("+628123450009 \u{2475}", None, NOTE),
        ("+628123450009\u{1f100}", None, NOTE),
    ] {
        let error = Phone::parse_in_country(text, country).map_err(|error| error.0);
        assert!(error.as_ref().is_err_and(|error| error.contains(why)), "{text}: {error:?}");
    }
    // However long a text is, it is answered at once.
    for text in ["+1".to_owned() + &" 1".repeat(200_000), "+1".to_owned() + &".0".repeat(200_000)] {
        assert_eq!(read(&text), None);
    }
    // Groups that a number of its length may have.
    for (text, expected) in [
        ("+628123450009-10", "+62812345000910"),
        ("+7 495 345-67-89", "+74953456789"),
        ("+1 (415) 555-0199", "+14155550199"),
        ("+1 415 555 (0199)", "+14155550199"),
        ("+49 30 12 34 56 7", "+49301234567"),
        ("+49 89 1234-0", "+498912340"),
        ("+358 40 123 45 67", "+358401234567"),
        ("+43 664 12 34 567", "+436641234567"),
        ("+ 6 2 8 1 2 3 4 5 0 0 0 9", "+628123450009"),
        ("0(0)44 7911 123401", "+447911123401"),
    ] {
        assert_eq!(read(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_taken_as_it_is_is_not_changed() {
    // Forms that WhatsApp delivers for Brazil and Mexico, and one that an earlier release has stored.
    for text in ["+554188887777", "+5215512345678", "+4407911123401"] {
        assert_eq!(Phone::from_e164(text).unwrap().as_str(), text);
        assert_eq!(serde_json::from_value::<Phone>(serde_json::json!(text)).unwrap().as_str(), text);
    }
    for text in ["", "+", "14155550123", "+1 4155550123", "+0123456789", "+123456", "+1234567890123456", "+1415555012a"]
    {
        assert!(Phone::from_e164(text).is_err(), "{text}");
    }
}

#[test]
fn reading_a_number_again_changes_nothing() {
    for text in [
        "+44 07911 123401",
        "+39 06 1234 5601",
        "+5215512345678",
        "+4930123456",
        "+7 8 916 123 02 21",
        "+2250707123401",
    ] {
        let once = read(text).unwrap();
        assert_eq!(read(&once).as_deref(), Some(once.as_str()));
    }
}

#[test]
fn reads_national_numbers_of_a_known_country() {
    let phone = Phone::parse_in_country("020 7946 0000", Some("GB")).unwrap();
    assert_eq!(phone.as_str(), "+442079460000");
    assert_eq!(phone.country().as_deref(), Some("GB"));
    assert_eq!(phone.to_national(), "020 7946 0000");
    assert!(Phone::parse_in_country("020 7946 0000", None).is_err());
    for (text, country, expected) in [
        ("07911 123401", "GB", "+447911123401"),
        ("06 1234 5601", "IT", "+390612345601"),
        ("07 07 12 34 01", "CI", "+2250707123401"),
        ("01 97 25 80 07", "BJ", "+2290197258007"),
        ("8 916 123 02 21", "RU", "+79161230221"),
        ("8 800 123 45 67", "RU", "+78001234567"),
        ("800 123 45 67", "RU", "+78001234567"),
        ("06 20 123 4567", "HU", "+36201234567"),
        ("(415) 555-0123", "US", "+14155550123"),
        ("1 415 555 0123", "US", "+14155550123"),
        ("011 44 7911 123401", "US", "+447911123401"),
        ("011 15 2345 6789", "AR", "+5491123456789"),
        ("55 1234 5678", "MX", "+525512345678"),
        ("0412 345 678", "AU", "+61412345678"),
        ("2079460000", "GB", "+442079460000"),
        ("+44 07911 123401", "DE", "+447911123401"),
        ("44 07911 123401", "GB", "+447911123401"),
        ("04921 123456", "DE", "+494921123456"),
    ] {
        let read = Phone::parse_in_country(text, Some(country)).map(String::from);
        assert_eq!(read.as_deref(), Ok(expected), "{text} {country}");
    }
    // A 0 too few, or a landline.
    assert!(Phone::parse_in_country("049 151 12340003", Some("DE")).is_err());
}

#[test]
fn the_national_form_has_all_the_digits() {
    for (text, expected) in [
        ("+14155550123", "(415) 555-0123"),
        ("+2250707123401", "07 07 12 3401"),
        ("+390612345601", "06 1234 5601"),
        ("+5491123456789", "011 15-2345-6789"),
        ("+78001234567", "+78001234567"),
    ] {
        assert_eq!(Phone::from_e164(text).unwrap().to_national(), expected);
    }
}

proptest::proptest! {
    #[test]
    fn whatever_is_read_is_read_as_the_same_again(
        text in "\\+?(1|7|225|226|229|241|33|36|370|375|39|44|49|52|54|55|56|62|86)?[0-9 .,/()\u{b7}-]{6,14}",
    ) {
        if let Ok(phone) = text.parse::<Phone>() {
            proptest::prop_assert_eq!(Phone::from_e164(phone.as_str()), Ok(phone.clone()));
            proptest::prop_assert_eq!(phone.as_str().parse::<Phone>(), Ok(phone.clone()), "{}", text);
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            proptest::prop_assert!(phone.digits().len() <= digits.len(), "no digit is made up");
            proptest::prop_assert_eq!(phone.one_form().one_form(), phone.one_form());
        }
    }
}
