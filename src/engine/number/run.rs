//! The digits of a text that belong together, and what number they are.

use unicode_normalization::char::is_combining_mark;

use super::currency::{self, is_currency};
use super::multiples::{is_multiple, is_multiple_before};
use super::{Number, Writing};
use crate::domain::text::ascii_digit;

/// A text's characters without those that cannot be seen.
pub(super) fn plain(text: &str) -> Vec<char> {
    let is_unseen = |c: char| {
        matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fe0f}' | '\u{20e3}')
    };
    text.chars().filter(|c| !is_unseen(*c)).collect()
}

/// Whether digits are of a script of India, where they are grouped by two.
fn is_of_india(c: char) -> bool {
    matches!(c, '\u{966}'..='\u{96f}' | '\u{9e6}'..='\u{9ef}' | '\u{a66}'..='\u{a6f}' | '\u{ae6}'..='\u{aef}'
        | '\u{b66}'..='\u{b6f}' | '\u{be6}'..='\u{bef}' | '\u{c66}'..='\u{c6f}' | '\u{ce6}'..='\u{cef}'
        | '\u{d66}'..='\u{d6f}')
}

fn is_digit(c: char) -> bool {
    ascii_digit(c).is_some()
}

fn is_minus(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{2011}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}')
}

/// A dash that is no minus, though it may be meant as one.
fn is_dash(c: char) -> bool {
    matches!(c, '\u{2012}'..='\u{2015}' | '\u{2e3a}' | '\u{2e3b}')
}

pub(super) fn is_sign(c: char) -> bool {
    is_minus(c) || matches!(c, '+' | '\u{ff0b}')
}

fn is_of_word(c: char) -> bool {
    c.is_alphabetic() || is_combining_mark(c)
}

/// `½` and `²`: numbers that are no digits and change what stands before them.
fn is_part_of_number(c: char) -> bool {
    c.is_numeric() && !is_digit(c)
        || matches!(c, '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{2070}'..='\u{209c}' | '\u{bc}'..='\u{be}')
}

/// What stands between two groups of digits of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    Dot,
    Comma,
    /// `'` and its like, which only group.
    Apostrophe,
    Blank,
    /// The Arabic sign for thousands.
    Thousands,
    /// The Arabic sign before a fraction.
    Decimal,
}

impl Separator {
    fn of(c: char) -> Option<Self> {
        Some(match c {
            '.' | '\u{ff0e}' => Self::Dot,
            ',' | '\u{ff0c}' | '\u{60c}' => Self::Comma,
            '\'' | '’' | '‘' | '\u{2bc}' | '\u{ff07}' | '´' | '`' => Self::Apostrophe,
            '\u{66b}' => Self::Decimal,
            '\u{66c}' => Self::Thousands,
            c if c.is_whitespace() && !matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}') => Self::Blank,
            _ => return None,
        })
    }

    /// Whether a number may begin with it.
    fn begins(c: char) -> bool {
        matches!(Self::of(c), Some(Self::Dot | Self::Comma | Self::Decimal))
    }
}

/// Digits that belong together, whether they are a number or not.
pub(super) struct Run {
    pub(super) start: usize,
    pub(super) end: usize,
    is_negative: bool,
    /// It begins with a separator, such as `.51`.
    leads: bool,
    /// From where to where each group of digits goes.
    groups: Vec<(usize, usize)>,
    separators: Vec<Separator>,
    is_unclear: bool,
    /// The countries, by how they write numbers, where the following text makes the number unclear; `None` if there are
    /// none.
    is_unclear_where: Option<fn(Writing) -> bool>,
}

pub(super) enum Reading {
    /// A number, the same in every country.
    Clear(Number),
    /// A number whose one separator means something else in other countries.
    ByCountry(Number),
    Unclear,
}

/// How the signs between two groups of digits connect them.
enum Between {
    Joins(Separator),
    /// They belong together and are no number: a range, a fraction, a date, a time.
    Confuses,
    /// A comma and a blank: a list, or in a text of nothing else a number with a slip.
    Lists,
    /// They are two numbers.
    Parts,
}

impl Run {
    /// The next digits from a place on.
    pub(super) fn next(chars: &[char], from: usize) -> Option<Self> {
        let digits_from = |at: usize| chars[at..].iter().take_while(|c| is_digit(**c)).count() + at;
        let first = from + chars[from..].iter().position(|c| is_digit(*c))?;
        let before = |at: usize| at.checked_sub(1).map(|at| chars[at]);
        // A dot right behind a letter belongs to the word: `no.5`.
        let leads = before(first).is_some_and(Separator::begins)
            && !before(first - 1).is_some_and(|c| is_of_word(c) || is_digit(c) || Separator::begins(c));
        let start = first - usize::from(leads);
        let mut end = digits_from(first);
        let mut run = Self {
            start,
            end,
            is_negative: false,
            leads,
            groups: vec![(first, end)],
            separators: Vec::new(),
            is_unclear: is_confused_before(&chars[..start]),
            is_unclear_where: None,
        };
        run.is_negative = is_negative(&chars[..start]);
        while let Some(next) = chars[end..].iter().position(|c| is_digit(*c)).map(|at| at + end) {
            let next_end = digits_from(next);
            match between(&chars[end..next], next_end - next, &chars[next_end..]) {
                Between::Joins(separator) => run.separators.push(separator),
                Between::Confuses => run.is_unclear = true,
                Between::Lists if !chars.iter().any(|c| is_of_word(*c)) => run.is_unclear = true,
                Between::Lists | Between::Parts => break,
            }
            end = next_end;
            run.groups.push((next, end));
        }
        run.end = end;
        match behind(&chars[..start], &chars[end..], run.has_cents()) {
            Behind::Leaves => {}
            Behind::Confuses => run.is_unclear = true,
            Behind::ConfusesWhere(holds) => run.is_unclear_where = Some(holds),
        }
        Some(run)
    }

    /// Whether it surely has a fraction: one separator, with other than three digits behind it.
    fn has_cents(&self) -> bool {
        let is_decimal = matches!(self.separators.as_slice(), [Separator::Dot | Separator::Comma | Separator::Decimal]);
        let (from, to) = self.groups[self.groups.len() - 1];
        self.leads || (is_decimal && to - from != 3)
    }

    pub(super) fn read(&self, chars: &[char], writing: Writing) -> Reading {
        match self.parts(chars, writing) {
            Some((whole, fraction, is_clear)) => match Number::of_digits(self.is_negative, &whole, &fraction) {
                Some(number) if is_clear => Reading::Clear(number),
                Some(number) => Reading::ByCountry(number),
                None => Reading::Unclear,
            },
            None => Reading::Unclear,
        }
    }

    /// The digits before and behind the decimal separator, and whether they are the same in every country.
    fn parts(&self, chars: &[char], writing: Writing) -> Option<(String, String, bool)> {
        if self.is_unclear || self.is_unclear_where.is_some_and(|holds| holds(writing)) {
            return None;
        }
        let groups: Vec<String> = self
            .groups
            .iter()
            .map(|(from, to)| chars[*from..*to].iter().filter_map(|c| ascii_digit(*c)).collect())
            .collect();
        if self.leads {
            return (groups.len() == 1).then(|| (String::new(), groups[0].clone(), true));
        }
        let mut is_clear = true;
        let last = self.separators.last().copied();
        let has_fraction = match last {
            Some(Separator::Decimal) => true,
            Some(one @ (Separator::Dot | Separator::Comma)) => {
                let is_alone = self.separators.len() == 1;
                let (ahead, behind) = (&groups[0], &groups[groups.len() - 1]);
                if !is_alone {
                    // Of two kinds the later one is the decimal one; of one kind each groups.
                    self.separators.iter().filter(|other| **other == one).count() == 1
                } else if behind.len() == 3 && ahead.len() <= 3 && !ahead.starts_with('0') {
                    is_clear = false;
                    (one == Separator::Comma) == writing.decimal_comma
                } else {
                    true
                }
            }
            _ => false,
        };
        let grouping = &self.separators[..self.separators.len() - usize::from(has_fraction)];
        let (whole, fraction) = groups.split_at(grouping.len() + 1);
        if let Some(one) = grouping.first() {
            let is_of_india = writing.groups_by_two || is_of_india(chars[self.groups[0].0]);
            let is_grouped = is_grouped(whole, 3) || (is_of_india && is_grouped(whole, 2));
            let is_uniform = grouping.iter().all(|other| other == one) && *one != Separator::Decimal;
            if !is_grouped || !is_uniform {
                return None;
            }
            if *one == Separator::Blank && !writing.groups_by_blanks && !self.is_whole_text(chars) {
                return None;
            }
        }
        Some((whole.concat(), fraction.concat(), is_clear))
    }

    /// Whether it has one separator, with exactly three digits behind it, so that it may be a thousandth or thousands.
    pub(super) fn may_be_thousands(&self) -> bool {
        let [.., (from, to)] = self.groups.as_slice() else { return false };
        let separators = self.separators.len() + usize::from(self.leads);
        let is_of_two_meanings = matches!(self.separators.last(), None | Some(Separator::Dot | Separator::Comma));
        separators == 1 && to - from == 3 && is_of_two_meanings
    }

    /// Whether nothing but signs and currencies stands around it.
    fn is_whole_text(&self, chars: &[char]) -> bool {
        let is_nothing = |c: &char| c.is_whitespace() || is_sign(*c) || is_currency(*c) || matches!(c, '.' | '!' | ',');
        chars[..self.start].iter().chain(&chars[self.end..]).all(is_nothing)
    }
}

/// Whether digits are grouped by so many, the last group always by three.
fn is_grouped(groups: &[String], by: usize) -> bool {
    let [first, middle @ .., last] = groups else { return false };
    (1..=by).contains(&first.len())
        && !first.starts_with('0')
        && middle.iter().all(|group| group.len() == by)
        && last.len() == 3
}

/// Whether the text before a number makes it negative.
fn is_negative(before: &[char]) -> bool {
    let mut rest = before;
    // `-€5`
    while let [head @ .., last] = rest
        && is_currency(*last)
    {
        rest = head;
    }
    match rest {
        [head @ .., last] if is_minus(*last) => !head.last().is_some_and(|c| is_of_word(*c) || is_digit(*c)),
        _ => false,
    }
}

/// Whether the text before a number makes its value unclear: a sign that is a word or stands apart, a dash that may be
/// a sign, `±`, `½`.
fn is_confused_before(before: &[char]) -> bool {
    let Some(last) = before.last().copied() else { return false };
    if last == '±' || last == '∓' || is_part_of_number(last) {
        return true;
    }
    if is_dash(last) {
        return before.len() < 2 || before[before.len() - 2].is_whitespace();
    }
    let is_apart = |c: &char| c.is_whitespace() || is_currency(*c);
    // `-(5)`
    let opened = before.iter().rposition(|c| !is_apart(c) && *c != '(').map_or(0, |at| at + 1);
    if before[opened..].contains(&'(')
        && let [head @ .., sign] = &before[..opened]
        && (is_minus(*sign) || is_dash(*sign))
    {
        return !head.last().is_some_and(|c| is_of_word(*c) || is_digit(*c));
    }
    let signs: Vec<char> = before.iter().copied().filter(|c| !is_apart(c)).collect();
    let stands_apart = last.is_whitespace() && matches!(signs.as_slice(), [c] if is_minus(*c) || is_dash(*c));
    let word: Vec<char> = before.iter().rev().copied().skip_while(is_apart).take_while(|c| is_of_word(*c)).collect();
    let word: String = word.into_iter().rev().collect::<String>().to_lowercase();
    // `halb 5` is half past four.
    let is_half = matches!(word.as_str(), "half" | "halb" | "halv");
    let changes_it = is_half || MINUS.contains(&word.as_str()) || is_multiple_before(&word);
    stands_apart || changes_it || matches!(before, [.., a, b] if is_minus(*a) && is_minus(*b))
}

/// Words between two numbers that make something else of them: a range, a choice, a sum.
#[rustfmt::skip]
const CONJUNCTIONS: [&str; 163] = [
    "to", "up to", "till", "until", "through", "thru", "bis", "bis zu", "a", "à", "á", "al", "hasta", "ate", "até",
    "tot", "tot en met", "t/m", "til", "till och med", "do", "až", "az", "la", "până la", "pana la", "fino a",
    "jusqu'à", "jusqu’à", "jusque", "đến", "den", "έως", "εως", "ως", "μέχρι", "до", "по", "ile", "sampai", "hingga",
    "إلى", "الى", "حتى", "تا", "עד", "से", "and", "or", "and/or", "of", "by", "y", "o", "od", "u", "y/o", "o bien",
    "e", "e/o", "e/ou", "et", "et/ou", "ou", "ou bien", "und", "und/oder", "oder", "en", "en/of", "och", "eller",
    "og", "i", "lub", "ja", "tai", "és", "vagy", "și", "si", "sau", "nebo", "alebo", "ili", "и", "или", "і", "або",
    "ve", "veya", "dan", "atau", "và", "και", "أو", "و", "او", "או", "ו", "और", "या", "หรือ", "out of", "von", "de",
    "sur", "su", "van", "av", "из", "vs", "versus", "over", "per", "por", "durch", "divided by", "hoch", "elevado a",
    "to the power of", "plus", "minus", "times", "más", "mais", "menos", "moins", "mal", "ó", "eða", "ose", "edo",
    "nó", "හෝ", "fois", "vezes", "veces", "razy", "krát", "kali", "tambah", "cộng", "nhân", "più", "плюс", "artı",
    "çarpı", "زائد", "ضرب", "entre", "diviso", "dividido", "multiplicado", "на", "multiplied by", "to the",
    "dividido por", "multiplicado por", "divisé par", "multiplié par", "up to maybe", "to about",
];
/// Such words of scripts without blanks.
const UNSPACED_CHOICES: [&str; 9] = ["或", "或者", "和", "と", "か", "または", "또는", "หรือ", "และ"];
/// Those for a range, which may have a unit before them: `5個から7個`.
const UNSPACED_RANGES: [&str; 5] = ["至", "到", "から", "부터", "ถึง"];
/// Units that take a part without a name behind them: `5 ft 10`, `1 m 80`, `8 h 30`.
const ADDING_UNITS: [&str; 6] = ["m", "h", "ft", "feet", "foot", "uhr"];
/// Characters of a text between two numbers that may link them.
const LINK_CHARS: usize = 32;
/// Words before a number that make it negative.
#[rustfmt::skip]
const MINUS: [&str; 33] = [
    "minus", "menos", "moins", "meno", "min", "mínus", "минус", "eksi", "ناقص", "سالب", "माइनस", "negative",
    "negativo", "negativ", "négatif", "miinus", "mínusz", "mīnus", "μείον", "мінус", "منفی", "מינוס", "âm", "ลบ", "負",
    "负", "零下", "マイナス", "마이너스", "영하", "neg", "minusgrader", "мінуси",
];
/// Words by which a fraction is added, and such fractions: `5 and a half`, `5 y media`.
const ADDING: [&str; 25] = [
    "&", "+", "and", "y", "e", "et", "ed", "und", "en", "och", "og", "i", "с", "ve", "và", "és", "a", "ja", "și", "ir",
    "и", "з", "και", "و", "ו",
];
#[rustfmt::skip]
pub(super) const FRACTIONS: [&str; 43] = [
    "half", "quarter", "quarters", "third", "thirds", "halb", "halbe", "halbes", "viertel", "drittel", "medio",
    "media", "cuarto", "tercio", "demi", "demie", "quart", "tiers", "mezzo", "mezza", "quarto", "meio", "meia",
    "kwart", "halv", "pół", "половиной", "yarım", "nửa", "fél", "půl", "pol", "puoli", "jumătate", "половина",
    "половиною", "pusė", "μισό", "نص", "نصف", "نیم", "חצי", "kwartier",
];
/// Words right behind a number that change it: halves, parts, powers.
#[rustfmt::skip]
const CHANGING: [&str; 25] = [
    "buçuk", "setengah", "rưỡi", "ونصف", "half", "halves", "third", "thirds", "quarter", "quarters", "fifths",
    "eighths", "drittel", "viertel", "fünftel", "achtel", "tercio", "tercios", "squared", "cubed", "ونص", "וחצי", "半",
    "반", "ครึ่ง",
];
/// Words for the decimal separator.
#[rustfmt::skip]
const POINTS: [&str; 24] = [
    "point", "dot", "punkt", "punt", "komma", "comma", "koma", "coma", "punto", "virgule", "vírgula", "virgula",
    "virgola", "ponto", "przecinek", "virgül", "nokta", "запятая", "נקודה", "פסיק", "点", "τελεία", "точка", "kropka",
];
/// Words behind a number and before one of `ZEROS`: `5 below zero`, `5 Grad unter null`.
#[rustfmt::skip]
const BELOW: [&str; 18] = [
    "below", "under", "unter", "bajo", "debajo", "sotto", "abaixo", "dessous", "sous", "onder", "ниже", "нижче",
    "poniżej", "pod", "sob", "alatt", "alla", "altında",
];
#[rustfmt::skip]
const ZEROS: [&str; 14] = [
    "zero", "zéro", "null", "cero", "nul", "noll", "нуля", "zera", "nulou", "nulom", "freezing", "nulla", "nolla",
    "sıfırın",
];
/// Signs of Chinese, Japanese and Korean for multiples, and for the parts of dates and times.
const IDEOGRAPHS: &str = "千万萬億亿百兆천만억年月日号號時时點点分秒년월시분";

/// Signs of Chinese, Japanese and Korean for multiples.
const MULTIPLYING: &str = "千万萬億亿百兆천만억";

/// Words behind a number that are looked at.
const BEHIND_WORDS: usize = 6;
/// Characters of a word that are looked at.
const WORD_CHARS: usize = 30;

/// How the text behind a number changes it.
enum Behind {
    Leaves,
    /// It is open which number was meant.
    Confuses,
    /// It is open in these countries only.
    ConfusesWhere(fn(Writing) -> bool),
}

/// How the text behind a number changes it; `before` and `has_cents` decide what a letter is short for.
fn behind(before: &[char], behind: &[char], has_cents: bool) -> Behind {
    let blanks = behind.iter().take_while(|c| c.is_whitespace()).count();
    let rest = &behind[blanks..];
    let Some(first) = rest.first().copied() else { return Behind::Leaves };
    let is_only_minus = rest.iter().all(|c| is_minus(*c) || is_dash(*c) || c.is_whitespace());
    if is_part_of_number(first) || MULTIPLYING.contains(first) || is_only_minus {
        return Behind::Confuses;
    }
    let tokens = rest.split(|c| c.is_whitespace() || is_minus(*c)).filter(|token| !token.is_empty()).take(BEHIND_WORDS);
    let written: Vec<String> = tokens.map(first_word).collect();
    let words: Vec<String> = written.iter().map(|word| word.to_lowercase()).collect();
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let is_fraction = |word: &str| FRACTIONS.contains(&word);
    let is_zero = |word: &String| ZEROS.contains(&word.as_str());
    let is_below_zero =
        |(at, word): (usize, &String)| BELOW.contains(&word.as_str()) && words[at + 1..].iter().take(2).any(is_zero);
    // What links a multiple to its number: `20 de mii`, `5 na libo`.
    let multiple = if matches!(word(0), "de" | "na" | "ka") { word(1) } else { word(0) };
    // `5 min` are minutes, and `5 negative answers` are five.
    let is_adjective = word(0).starts_with("neg") && !word(1).is_empty();
    let is_minus_behind = MINUS.contains(&word(0)) && word(0) != "min" && !is_adjective;
    let is_confused = is_multiple(multiple)
        || CHANGING.contains(&word(0))
        || word(0).starts_with("einhalb")
        || is_minus_behind
        || (POINTS.contains(&word(0)) && !word(1).is_empty())
        || (ADDING.contains(&word(0)) && (is_fraction(word(1)) || is_fraction(word(2))))
        || words.iter().enumerate().any(is_below_zero);
    if is_confused {
        return Behind::Confuses;
    }
    let letter = written.first().map_or("", String::as_str);
    let is_money = || {
        let after = &rest[letter.chars().count()..];
        let is_sign = |c: Option<&char>| c.is_some_and(|c| is_currency(*c));
        let named = before.iter().collect::<String>();
        is_sign(before.iter().rfind(|c| !c.is_whitespace()))
            || is_sign(after.iter().find(|c| !c.is_whitespace()))
            || named.split_whitespace().next_back().is_some_and(currency::is_one)
            || written.get(1).is_some_and(|word| currency::is_one(word))
    };
    match letter {
        "M" | "B" | "MM" => Behind::Confuses,
        // `5m` may be metres, and `5t` tonnes.
        "m" | "b" if (has_cents && blanks == 0) || is_money() => Behind::Confuses,
        "t" | "T" if is_money() => Behind::Confuses,
        "L" => Behind::ConfusesWhere(|writing| writing.groups_by_two),
        "l" if is_money() => Behind::ConfusesWhere(|writing| writing.groups_by_two),
        // Millions in Portuguese, and miles in English.
        "mi" if matches!(word(1), "" | "de") || currency::is_one(word(1)) => {
            Behind::ConfusesWhere(|writing| writing.decimal_comma)
        }
        // Milliards in French and Swedish, and months in Danish.
        "md" | "Md" => Behind::ConfusesWhere(|writing| writing.groups_by_blanks),
        _ => Behind::Leaves,
    }
}

/// What a text without blanks begins with: a word, or `&` and `+`, which add.
fn first_word(token: &[char]) -> String {
    if let ['&' | '+'] = token {
        return token.iter().collect();
    }
    let is_inside = |c: &&char| is_of_word(**c) || c.is_numeric() || matches!(**c, '\'' | '’');
    let word: String = token.iter().take(WORD_CHARS).take_while(is_inside).collect();
    word.trim_end_matches(['\'', '’']).to_owned()
}

/// How the characters between two groups of digits, at least one, connect them; `next_digits` is the size of the second
/// group, and `behind` what follows it.
fn between(chars: &[char], next_digits: usize, behind: &[char]) -> Between {
    let is_blank = |c: &char| c.is_whitespace();
    if let [one] = chars {
        if let Some(separator) = Separator::of(*one) {
            return Between::Joins(separator);
        }
        if IDEOGRAPHS.contains(*one) {
            return Between::Confuses;
        }
    }
    let inner: Vec<char> = {
        let from = chars.iter().take_while(|c| is_blank(c)).count();
        let to = chars.iter().rev().take_while(|c| is_blank(c)).count().min(chars.len() - from);
        chars[from..chars.len() - to].to_vec()
    };
    let has_word = inner.iter().any(|c| is_of_word(*c));
    if inner.len() <= LINK_CHARS {
        let text: String = inner.iter().collect();
        let is_amount = currency::is_one(&text) && (chars.len() == inner.len() || chars.last().is_some_and(is_blank));
        let adds = next_digits <= 2 && ADDING_UNITS.contains(&text.to_lowercase().as_str());
        // `5€ 50` and `5 euros 50`, but not `$5 $10`.
        if (next_digits == 2 && is_amount) || adds || is_unspaced_link(&text) || is_link(&text, behind) {
            return Between::Confuses;
        }
    }
    if inner.len() == chars.len() {
        // `8h30`, `1e5`, `2x4` and `1e-5`, but not the words of a script without blanks.
        let is_short = inner.len() <= 3 && inner.iter().all(|c| u32::from(*c) < 0x590);
        let is_exponent = matches!(inner.as_slice(), ['e' | 'E', sign] if is_sign(*sign));
        let is_words = inner.iter().all(|c| is_of_word(*c));
        return match has_word {
            true if is_exponent || (is_words && is_short) => Between::Confuses,
            true => Between::Parts,
            false => Between::Confuses,
        };
    }
    if inner.is_empty() {
        return Between::Confuses;
    }
    let is_comma = |c: &char| Separator::of(*c) == Some(Separator::Comma);
    match inner.as_slice() {
        [c] if is_comma(c) => Between::Lists,
        // A dot before the blank ends a sentence.
        [c] if Separator::of(*c) == Some(Separator::Dot) && chars[0] == *c => Between::Parts,
        [c] if !is_of_word(*c) && !matches!(c, '(' | '"' | '#') && !is_currency(*c) => Between::Confuses,
        ['x' | 'X' | 'х' | 'Х'] => Between::Confuses,
        dots if chars[0].is_whitespace() && dots.iter().all(|c| *c == '.') => Between::Confuses,
        _ => Between::Parts,
    }
}

/// Whether a text between two numbers links them, with or without their currencies and their common unit: `to`, `€ -`,
/// `kg to` before `7 kg`.
fn is_link(text: &str, behind: &[char]) -> bool {
    let is_conjunction = |text: &str| {
        let is_sign = |c: char| is_minus(c) || is_dash(c) || matches!(c, '~' | '/' | '&' | '+');
        let mut chars = text.chars();
        let is_one_sign = matches!((chars.next(), chars.next()), (Some(c), None) if is_sign(c));
        is_one_sign || CONJUNCTIONS.contains(&text.to_lowercase().as_str())
    };
    if is_conjunction(text) {
        return true;
    }
    let mut spaced = String::new();
    for c in text.chars() {
        match c {
            c if is_currency(c) || matches!(c, '%' | '°') => spaced.push(' '),
            c if is_minus(c) || is_dash(c) || matches!(c, '~' | '/') => spaced.extend([' ', c, ' ']),
            c => spaced.push(c),
        }
    }
    let words: Vec<&str> = spaced.split_whitespace().filter(|word| !currency::is_one(word)).collect();
    let is_unit = |unit: &str| {
        let blanks = behind.iter().take_while(|c| c.is_whitespace()).count();
        let token = behind[blanks..].split(|c| c.is_whitespace()).next().unwrap_or_default();
        unit.to_lowercase() == first_word(token).to_lowercase()
    };
    is_conjunction(&words.join(" "))
        || matches!(words.as_slice(), [unit, rest @ ..] if is_conjunction(&rest.join(" ")) && is_unit(unit))
}

/// Whether words of a script without blanks make a range or a choice of two numbers.
fn is_unspaced_link(text: &str) -> bool {
    let is_range = |range: &&str| text.ends_with(*range) && text.chars().count() <= range.chars().count() + 2;
    UNSPACED_CHOICES.contains(&text) || UNSPACED_RANGES.iter().any(is_range)
}
