//! Which encoding a file is in that is not UTF-8, by what its words look like in each and by whose numbers it has.
//!
//! Spreadsheets write what their machine is set to, so the country of most numbers suggests which encodings are likely.
//! A reading counts only if its words look like words: letters of one script, capitals where capitals stand. What two
//! readings could be is for a person to say: a wrong name is worse than a question.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GBK, IBM866, ISO_8859_2, ISO_8859_4, ISO_8859_5, ISO_8859_6, ISO_8859_7,
    ISO_8859_8, ISO_8859_13, ISO_8859_15, ISO_8859_16, KOI8_U, MACINTOSH, SHIFT_JIS, WINDOWS_874, WINDOWS_1250,
    WINDOWS_1251, WINDOWS_1252, WINDOWS_1253, WINDOWS_1254, WINDOWS_1255, WINDOWS_1256, WINDOWS_1257, WINDOWS_1258,
    X_MAC_CYRILLIC,
};
use regex::Regex;

use super::words::is_word;
use crate::domain::Phone;

/// Every encoding that a file is tested for, in the order in which messages list them.
const CANDIDATES: [&Encoding; 28] = [
    WINDOWS_1252,
    WINDOWS_1250,
    WINDOWS_1251,
    WINDOWS_1253,
    WINDOWS_1254,
    WINDOWS_1255,
    WINDOWS_1256,
    WINDOWS_1257,
    WINDOWS_1258,
    WINDOWS_874,
    ISO_8859_2,
    ISO_8859_4,
    ISO_8859_5,
    ISO_8859_6,
    ISO_8859_7,
    ISO_8859_8,
    ISO_8859_13,
    ISO_8859_15,
    ISO_8859_16,
    KOI8_U,
    IBM866,
    MACINTOSH,
    X_MAC_CYRILLIC,
    SHIFT_JIS,
    EUC_JP,
    GBK,
    BIG5,
    EUC_KR,
];

const WESTERN: &[&Encoding] = &[WINDOWS_1252, MACINTOSH, ISO_8859_15];
/// The encodings that files of a country are in. Those of all others are [`WESTERN`].
const HOMES: [(&str, &[&Encoding]); 13] = [
    ("PL CZ SK HU SI HR BA ME RO AL MD", &[WINDOWS_1250, ISO_8859_2]),
    ("RU UA BY BG RS MK KZ KG MN TJ UZ TM BA ME MD", &[WINDOWS_1251, KOI8_U, IBM866, ISO_8859_5, X_MAC_CYRILLIC]),
    ("GR CY", &[WINDOWS_1253, ISO_8859_7]),
    ("TR AZ CY", &[WINDOWS_1254]),
    ("IL", &[WINDOWS_1255, ISO_8859_8]),
    ("EG SA AE BH DZ IQ IR JO KW LB LY MA OM PS QA SD SY TN YE AF PK MR", &[WINDOWS_1256, ISO_8859_6]),
    ("LT LV EE", &[WINDOWS_1257, ISO_8859_13]),
    ("TH", &[WINDOWS_874]),
    ("JP", &[SHIFT_JIS, EUC_JP]),
    ("CN SG", &[GBK]),
    ("TW HK MO", &[BIG5]),
    ("KR KP", &[EUC_KR]),
    ("VN", &[WINDOWS_1258]),
];

/// Letters beyond ASCII of the languages of Western Europe, but for those of Icelandic.
const WESTERN_LETTERS: &str = "àáâãäåæçèéêëìíîïñòóôõöøùúûüßœÿÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜŒŸªº’‘“”„–—´«»·";
/// Letters that Latin-9 has in place of signs of Windows-1252.
const LATIN_9_LETTERS: &str = "ŠšŽžŒœŸ";
const ICELANDIC_LETTERS: &str = "þðýÞÐÝ";
/// Words from which a guess is taken for sure that is not the usual Western one.
const ENOUGH_WORDS: usize = 3;
/// Readings that a question names at most.
const READINGS: usize = 6;
/// Bytes of lines that are kept to judge by.
const SAMPLE_BYTES: usize = 128 * 1024;
/// Bytes of a line that are kept.
const LINE_BYTES: usize = 2_048;
/// Numbers from which the country is taken.
const NUMBERS: usize = 300;
/// Lines in which those are looked for.
const NUMBERED_LINES: u64 = 3_000;

/// The outcome of guessing.
pub(super) enum Guess {
    /// It is this one.
    Sure(&'static Encoding),
    /// It may be one of these, the likeliest first, each with what a name reads like in it.
    Unsure(Vec<(&'static Encoding, String)>),
}

/// The lines of a file by which its encoding is recognized, and the numbers by which its country is.
#[derive(Default)]
pub(super) struct Samples {
    /// Lines with anything beyond ASCII in them.
    lines: Vec<Vec<u8>>,
    bytes: usize,
    current: Vec<u8>,
    is_long: bool,
    finished: u64,
    after_return: bool,
    /// How often numbers of each country were met.
    countries: HashMap<String, usize>,
    numbers: usize,
    /// Lines beyond ASCII that are UTF-8.
    pub(super) utf8_lines: u64,
    /// Lines that are not.
    pub(super) other_lines: u64,
    pub(super) has_japanese_escape: bool,
}

impl Samples {
    /// The line that is read, from 1.
    pub(super) fn line(&self) -> u64 {
        self.finished + 1
    }

    /// Takes the next bytes of the file.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let is_second = *byte == b'\n' && self.after_return;
            self.after_return = *byte == b'\r';
            match byte {
                _ if is_second => {}
                b'\n' | b'\r' => self.end(),
                _ if self.current.len() < LINE_BYTES => self.current.push(*byte),
                _ => self.is_long = true,
            }
        }
    }

    /// Ends a line.
    pub(super) fn end(&mut self) {
        self.finished += 1;
        if self.numbers < NUMBERS && self.finished <= NUMBERED_LINES {
            self.count_numbers();
        }
        self.has_japanese_escape |= [&b"\x1b$B"[..], b"\x1b$@", b"\x1b(J"]
            .iter()
            .any(|escape| memchr::memmem::find(&self.current, escape).is_some());
        if !self.current.is_ascii() {
            if !self.is_long {
                let is_utf8 = std::str::from_utf8(&self.current).is_ok();
                *(if is_utf8 { &mut self.utf8_lines } else { &mut self.other_lines }) += 1;
            }
            if self.bytes < SAMPLE_BYTES {
                self.bytes += self.current.len();
                self.lines.push(std::mem::take(&mut self.current));
            }
        }
        self.current.clear();
        self.is_long = false;
    }

    fn count_numbers(&mut self) {
        static NUMBER: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"(?:\+|\b00)[1-9][0-9 ()./-]{5,20}[0-9]").ok());
        let text: String =
            self.current.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect();
        for found in NUMBER.iter().flat_map(|number| number.find_iter(&text)) {
            if let Some(country) = found.as_str().parse::<Phone>().ok().and_then(|phone| phone.country()) {
                self.numbers += 1;
                *self.countries.entry(country).or_default() += 1;
            }
        }
    }

    /// The country of most numbers.
    fn country(&self) -> Option<&str> {
        let counted = self.countries.iter().max_by_key(|(country, count)| (**count, std::cmp::Reverse(*country)));
        counted.map(|(country, _)| country.as_str())
    }

    /// What the first name beyond ASCII reads like. A line with a number in it goes before the names of the columns.
    pub(super) fn first_reading(&self, encoding: &'static Encoding) -> Option<String> {
        let line = self.lines.iter().find(|line| has_number(line)).or(self.lines.first())?;
        name_in(&encoding.decode_without_bom_handling(line).0)
    }

    /// A cell that was read as Windows-1252 though it was UTF-8, and what it was, if all cells beyond ASCII are such.
    pub(super) fn garbled(&self) -> Option<(String, String)> {
        let mut first = None;
        for line in &self.lines {
            let text = String::from_utf8_lossy(line);
            for cell in text.split([',', ';', '\t', '|', '"']).map(str::trim).filter(|cell| !cell.is_ascii()) {
                let (bytes, _, is_lost) = WINDOWS_1252.encode(cell);
                let meant = std::str::from_utf8(&bytes).ok().filter(|_| !is_lost)?;
                first.get_or_insert_with(|| (cell.to_owned(), meant.to_owned()));
            }
        }
        first
    }
}

/// Whether a line is likely to be a person's and not that of the columns.
fn has_number(line: &[u8]) -> bool {
    line.iter().filter(|byte| byte.is_ascii_digit()).count() >= 6
}

/// What the first name beyond ASCII is in the beginning of a text.
pub(super) fn first_name(head: &str) -> Option<String> {
    let mut lines = head.lines().filter(|line| !line.is_ascii());
    let first = lines.clone().next()?;
    name_in(lines.find(|line| has_number(line.as_bytes())).unwrap_or(first))
}

/// The first cell of a line that is beyond ASCII.
fn name_in(line: &str) -> Option<String> {
    let cell = line.split([',', ';', '\t', '|', '"']).map(str::trim).find(|cell| !cell.is_ascii())?;
    Some(cell.chars().filter(|c| !c.is_control()).take(40).collect())
}

/// A way to read the samples.
struct Reading {
    encoding: &'static Encoding,
    /// The words beyond ASCII.
    words: BTreeSet<String>,
}

/// Guesses the encoding of a file of which that much is known. `country` is whose national numbers it has.
pub(super) fn guess(samples: &Samples, country: Option<&str>) -> Guess {
    let country = samples.country().or(country);
    let homes = homes_of(country);
    let readings: Vec<Reading> =
        CANDIDATES.iter().filter_map(|encoding| Reading::of(samples, encoding)).filter(Reading::is_plausible).collect();
    let detected = detect(samples, country);
    if let Some(sure) = the_sure_one(&readings, &homes, detected, country) {
        return Guess::Sure(sure);
    }
    let is_likely = |encoding: &'static Encoding| homes.contains(&encoding);
    let mut ordered: Vec<&'static Encoding> = readings.iter().map(|reading| reading.encoding).collect();
    ordered.sort_by_key(|encoding| (*encoding != detected, !is_likely(encoding)));
    let mut told = HashSet::new();
    let mut named: Vec<_> = ordered
        .into_iter()
        .filter_map(|encoding| samples.first_reading(encoding).map(|reading| (encoding, reading)))
        .filter(|(_, reading)| told.insert(reading.clone()))
        .collect();
    named.truncate(READINGS);
    Guess::Unsure(named)
}

/// The one reading that nothing speaks against.
fn the_sure_one(
    readings: &[Reading],
    homes: &[&'static Encoding],
    detected: &'static Encoding,
    country: Option<&str>,
) -> Option<&'static Encoding> {
    let first = readings.first()?;
    let has_enough = |reading: &Reading| reading.words.len() >= ENOUGH_WORDS;
    let is_home = |reading: &&Reading| homes.contains(&reading.encoding);
    if readings.iter().all(|reading| reading.words == first.words) {
        let is_usual = |reading: &&Reading| is_home(reading) && reading.encoding != ISO_8859_15;
        let best = readings.iter().find(is_usual);
        return best.or(Some(first).filter(|first| has_enough(first))).map(|reading| reading.encoding);
    }
    let at_home: Vec<&Reading> = readings.iter().filter(is_home).collect();
    let found = readings.iter().find(|reading| reading.encoding == detected);
    // Of several encodings of a country the detector knows which; those that it does not know are what is left.
    let likely = match found {
        Some(found) => at_home.iter().find(|reading| reading.words == found.words)?,
        None => at_home.first().filter(|first| at_home.iter().all(|reading| reading.words == first.words))?,
    };
    if likely.encoding == WINDOWS_1252
        && let Some(latin9) = readings.iter().find(|reading| reading.encoding == ISO_8859_15)
    {
        // The eight characters by which the two differ stand in words of one of them.
        if latin9.needs_latin_9() {
            let is_sure = !likely.has_words_beside(latin9) && latin9.is_western(country);
            return is_sure.then_some(ISO_8859_15);
        }
    }
    // What is usual needs no more than usual letters, and what has others is likely to be another encoding's.
    let is_sure = match likely.encoding {
        one if one == WINDOWS_1252 => likely.is_western(country),
        one if one == ISO_8859_15 => likely.is_western(country) && has_enough(likely) && likely.needs_latin_9(),
        _ => has_enough(likely),
    };
    is_sure.then_some(likely.encoding)
}

fn homes_of(country: Option<&str>) -> Vec<&'static Encoding> {
    let of_country = |codes: &str| country.is_some_and(|country| codes.split(' ').any(|code| code == country));
    let found: Vec<_> = HOMES
        .iter()
        .filter(|(codes, _)| of_country(codes))
        .flat_map(|(_, encodings)| encodings.iter().copied())
        .collect();
    if found.is_empty() { WESTERN.to_vec() } else { found }
}

fn detect(samples: &Samples, country: Option<&str>) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    for line in &samples.lines {
        detector.feed(line, false);
        detector.feed(b"\n", false);
    }
    detector.feed(b"", true);
    let domain = country.map(str::to_ascii_lowercase).filter(|code| code.bytes().all(|byte| byte.is_ascii_lowercase()));
    detector.guess(domain.as_ref().map(String::as_bytes), Utf8Detection::Deny)
}

impl Reading {
    /// Reads the samples; `None` where the encoding has no such bytes, or control characters for them.
    fn of(samples: &Samples, encoding: &'static Encoding) -> Option<Self> {
        let mut words = BTreeSet::new();
        for line in &samples.lines {
            let text = encoding.decode_without_bom_handling_and_without_replacement(line)?;
            let is_odd =
                |c: char| (c.is_control() && !c.is_ascii()) || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fffd}');
            if text.contains(is_odd) {
                return None;
            }
            let ends = |c: char| {
                c.is_whitespace()
                    || c.is_ascii_digit()
                    || (c.is_ascii_punctuation() && c != '\'')
                    || c.is_ascii_control()
            };
            words.extend(text.split(ends).filter(|word| !word.is_ascii()).map(str::to_owned));
        }
        Some(Self { encoding, words })
    }

    /// Whether its words look like words; one in ten may be anything.
    fn is_plausible(&self) -> bool {
        let odd = self.words.iter().filter(|word| !is_word(word)).count();
        odd * 10 <= self.words.len()
    }

    /// Whether it has words that another reading has not. One letter may be a sign in another encoding.
    fn has_words_beside(&self, other: &Self) -> bool {
        self.words.difference(&other.words).any(|word| is_word(word) && has_letters(word))
    }

    /// Whether it has words that would have signs among their letters if they were not in Latin-9.
    fn needs_latin_9(&self) -> bool {
        let needs = |word: &&String| word.contains(|c| LATIN_9_LETTERS.contains(c)) && is_word(word);
        self.words.iter().any(|word| word == "€" || (needs(&word) && has_letters(word)))
    }

    /// Whether it has no letters but those of Western Europe.
    fn is_western(&self, country: Option<&str>) -> bool {
        let is_icelandic = matches!(country, Some("IS" | "FO"));
        let fits = |c: char| {
            c.is_ascii()
                || !c.is_alphabetic()
                || WESTERN_LETTERS.contains(c)
                || (self.encoding == ISO_8859_15 && LATIN_9_LETTERS.contains(c))
                || (is_icelandic && ICELANDIC_LETTERS.contains(c))
        };
        self.words.iter().all(|word| word.chars().all(fits))
    }
}

/// What to write behind `--encoding`.
pub(super) fn label(encoding: &'static Encoding) -> String {
    encoding.name().to_ascii_lowercase()
}

/// An encoding's name for people.
pub(super) fn shown_name(encoding: &'static Encoding) -> String {
    let name = encoding.name();
    match name.strip_prefix("windows-") {
        Some(page) => format!("Windows-{page}"),
        None if name.starts_with("UTF-16") => "UTF-16".to_owned(),
        None => name.to_owned(),
    }
}

/// Whether it has two letters at least.
fn has_letters(word: &str) -> bool {
    word.chars().filter(|c| c.is_alphabetic()).nth(1).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guessed(text: &str, encoding: &'static Encoding) -> Option<&'static Encoding> {
        let mut samples = Samples::default();
        samples.take(&encoding.encode(text).0);
        samples.end();
        match guess(&samples, None) {
            Guess::Sure(encoding) => Some(encoding),
            Guess::Unsure(readings) => {
                assert!(readings.iter().any(|(one, _)| *one == encoding), "what it is must be among what is told");
                None
            }
        }
    }

    #[test]
    fn the_country_of_the_numbers_and_enough_words_tell_the_encoding() {
        let russian = "+79161234501,Екатерина Соловьёва\n+79161234502,Дмитрий Кузнецов\n";
        assert_eq!(guessed(russian, WINDOWS_1251), Some(WINDOWS_1251));
        assert_eq!(guessed(russian, KOI8_U), Some(KOI8_U));
        assert_eq!(guessed("+79161234501,Иван\n", WINDOWS_1251), None, "one short name is not enough");
        assert_eq!(guessed("+34612345678,José\n", WINDOWS_1252), Some(WINDOWS_1252), "the usual needs no more");
        assert_eq!(guessed("12,José\n", WINDOWS_1252), Some(WINDOWS_1252));
        let french = "+33612345678,Zoé Cœur\n+33612345679,Hélène Lefèvre\n";
        assert_eq!(guessed(french, ISO_8859_15), Some(ISO_8859_15));
        let finnish = "+358412340000,Väinö Mäkelä,Škodala Ž\n";
        assert_eq!(guessed(finnish, ISO_8859_15), Some(ISO_8859_15));
        assert_eq!(guessed("+33612345678,Cœur\n", ISO_8859_15), None, "one name is not enough");
        for western in [
            "+31612345678,Zoë,Straße 2½\n",
            "+491511234567,Käthe Groß ¦ Jörg\n",
            "+39347123450,D´Amicò\n",
            "+33612345678,5 €\n",
        ] {
            let found = guessed(western, WINDOWS_1252);
            assert!(found.is_none_or(|found| found == WINDOWS_1252), "{western}: {found:?}");
        }
        assert_eq!(guessed("+4915123456701,Þahin\n", WINDOWS_1252), None, "no letter of any language in Germany");
        assert_eq!(guessed("+3546101201,Þórður\n", WINDOWS_1252), Some(WINDOWS_1252));
    }
}
