//! Whether characters make words of any language, which distinguishes a right reading of a file from a wrong one.

use crate::domain::unseen::is_unseen;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Hebrew,
    Arabic,
    Thai,
    EastAsian,
    HalfKana,
    Other,
}

/// The script of a letter or mark; `None` for what is neither.
fn script_of(c: char) -> Option<Script> {
    Some(match c {
        'ª' | 'º' => return None,
        '\u{300}'..='\u{36f}' => return None,
        '\u{5b0}'..='\u{5ea}' | '\u{5f0}'..='\u{5f2}' => Script::Hebrew,
        '\u{610}'..='\u{6ff}' => Script::Arabic,
        '\u{e01}'..='\u{e5b}' => Script::Thai,
        '\u{3005}' | '\u{3041}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => Script::EastAsian,
        '\u{ff66}'..='\u{ff9f}' => Script::HalfKana,
        '\u{370}'..='\u{3ff}' if c.is_alphabetic() => Script::Greek,
        '\u{400}'..='\u{52f}' => Script::Cyrillic,
        _ if !c.is_alphabetic() => return None,
        'A'..='Z' | 'a'..='z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Script::Latin,
        _ => Script::Other,
    })
}

/// Whether what stands in a name beside letters without being one.
fn is_beside_letters(c: char) -> bool {
    is_unseen(c)
        || matches!(
            c,
            '\'' | '’'
                | '‘'
                | '‚'
                | '“'
                | '”'
                | '„'
                | '«'
                | '»'
                | '‹'
                | '›'
                | '–'
                | '—'
                | '´'
                | '·'
                | '…'
                | 'ª'
                | 'º'
                | '־'
                | '׳'
                | '״'
                | '・'
                | '「'
                | '」'
                | '（'
                | '）'
                | '、'
                | '　'
                | '～'
                | '－'
                | '\u{300}'..='\u{36f}'
        )
}

/// Whether a run of characters without blanks could be a word of some language.
pub(super) fn is_word(word: &str) -> bool {
    let characters: Vec<char> = word.chars().collect();
    let scripts: Vec<Option<Script>> = characters.iter().map(|c| script_of(*c)).collect();
    let letters = scripts.iter().flatten().count();
    if letters == 0 {
        return characters.iter().all(|c| {
            is_beside_letters(*c) || matches!(c, '€' | '£' | '¦' | '½' | '¼' | '¾' | '°' | '№' | '®' | '™' | '•')
        });
    }
    let Some(script) = scripts.iter().flatten().next().copied() else { return false };
    if script == Script::Other || scripts.iter().flatten().any(|one| *one != script) {
        return false;
    }
    let stands_alone = |c: char| is_beside_letters(c) || c == '°';
    if characters.iter().zip(&scripts).any(|(c, script)| script.is_none() && !stands_alone(*c)) {
        return false;
    }
    // A dash within a word is what ñ is in another encoding; names are joined by a hyphen.
    let is_letter = |at: Option<usize>| at.and_then(|at| characters.get(at)).is_some_and(|c| c.is_alphabetic());
    let is_inside = |at: usize| is_letter(at.checked_sub(1)) && is_letter(Some(at + 1));
    if characters.iter().enumerate().any(|(at, c)| matches!(c, '–' | '—') && is_inside(at)) {
        return false;
    }
    // A quotation mark at the foot of the line opens and never closes, and is what é is in other encodings.
    if characters.iter().enumerate().any(|(at, c)| matches!(c, '‚' | '„' | '…') && at > 0) {
        return false;
    }
    has_case_of_a_word(&characters)
        && match script {
            Script::Latin => !has_too_many_marks(&characters),
            Script::Greek | Script::Hebrew | Script::Arabic => has_ends_at_the_end(&characters),
            Script::Cyrillic => !matches!(characters[0], 'ь' | 'ъ' | 'Ь' | 'Ъ'),
            Script::HalfKana => letters > 1,
            Script::Thai | Script::EastAsian | Script::Other => true,
        }
}

/// Capitals stand at the beginning, or everywhere.
fn has_case_of_a_word(characters: &[char]) -> bool {
    characters.windows(2).enumerate().all(|(at, pair)| {
        let [before, c] = pair else { return true };
        let is_beyond = !before.is_ascii() || !c.is_ascii();
        let is_capital_inside = before.is_lowercase() && c.is_uppercase();
        let next = characters.get(at + 2);
        let is_second_capital =
            before.is_uppercase() && c.is_uppercase() && next.is_some_and(|next| next.is_lowercase());
        !(is_beyond && (is_capital_inside || is_second_capital))
    })
}

/// Letters with marks are few in a word of Latin letters.
fn has_too_many_marks(characters: &[char]) -> bool {
    let letters = characters.iter().filter(|c| c.is_alphabetic()).count();
    let marked = characters.iter().filter(|c| c.is_alphabetic() && !c.is_ascii()).count();
    let longest = characters.split(|c| c.is_ascii()).map(<[char]>::len).max().unwrap_or_default();
    (letters >= 2 && marked == letters) || (letters >= 4 && marked * 4 >= letters * 3) || longest >= 4
}

/// Some letters stand at the end of words only, or never there.
fn has_ends_at_the_end(characters: &[char]) -> bool {
    let last = characters.iter().rposition(|c| c.is_alphabetic()).unwrap_or_default();
    characters.iter().enumerate().all(|(at, c)| match c {
        'ς' | 'ך' | 'ם' | 'ן' | 'ף' | 'ץ' | 'ة' | 'ى' => {
            characters.get(at + 1).is_none_or(|next| !next.is_alphabetic())
        }
        'σ' => at < last,
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_look_like_words_in_one_encoding_only() {
        for word in [
            "José",
            "Đokić",
            "Żak",
            "Świętosława",
            "D’Amico",
            "O'Súilleabháin",
            "Иван",
            "Ґонтар",
            "Παπαδόπουλος",
            "יוסי",
            "أحمد",
            "สมชาย",
            "山田",
            "さくら",
            "김민준",
            "ÁNGELA",
            "€",
            "ªº",
        ] {
            assert!(is_word(word), "{word}");
        }
        for word in [
            "Èâàí",
            "JosÃ©",
            "ê–igo",
            "JosŽ",
            "JŸrgen",
            "Ko³odziej",
            "иВАН",
            "Muсoz",
            "Παπαδόπουλοσ",
            "£ukasz",
            "Jos‚",
            "םולש",
        ] {
            assert!(!is_word(word), "{word}");
        }
    }
}
