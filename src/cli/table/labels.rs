//! Names of encodings, as people and programs write them.

use encoding_rs::{Encoding, X_USER_DEFINED};

use super::coding::{Coding, SAVE};
use crate::domain::unicode_form::UnicodeForm;
use crate::error::{Error, Result};

/// Names that the Encoding Standard has not, in small letters and digits alone, with one that it has.
const ALIASES: [(&str, &str); 28] = [
    // What Windows calls the encoding of its Western edition.
    ("ansi", "windows-1252"),
    ("western", "windows-1252"),
    ("latin", "iso-8859-1"),
    ("latin0", "iso-8859-15"),
    ("latin1", "iso-8859-1"),
    ("latin2", "iso-8859-2"),
    ("latin3", "iso-8859-3"),
    ("latin4", "iso-8859-4"),
    ("latin5", "iso-8859-9"),
    ("latin6", "iso-8859-10"),
    ("latin7", "iso-8859-13"),
    ("latin8", "iso-8859-14"),
    ("latin9", "iso-8859-15"),
    ("latin10", "iso-8859-16"),
    ("koi8r", "koi8-r"),
    ("koi8u", "koi8-u"),
    ("macroman", "macintosh"),
    ("maccyrillic", "x-mac-cyrillic"),
    ("dos866", "ibm866"),
    ("shiftjis", "shift_jis"),
    ("eucjp", "euc-jp"),
    ("euckr", "euc-kr"),
    ("uhc", "euc-kr"),
    ("iso2022jp", "iso-2022-jp"),
    ("tis620", "windows-874"),
    ("utf8", "utf-8"),
    ("utf8sig", "utf-8"),
    ("utf8bom", "utf-8"),
];

/// Pages of Windows and their encodings, but for those from 1250 to 1258.
const PAGES: [(&str, &str); 12] = [
    ("866", "ibm866"),
    ("874", "windows-874"),
    ("932", "shift_jis"),
    ("936", "gbk"),
    ("949", "euc-kr"),
    ("950", "big5"),
    ("1200", "utf-16le"),
    ("1201", "utf-16be"),
    ("10000", "macintosh"),
    ("20866", "koi8-r"),
    ("54936", "gb18030"),
    ("65001", "utf-8"),
];

/// The encoding of a label, as people and the Encoding Standard write it.
///
/// # Errors
/// `Invalid` when there is none of that name.
pub(super) fn coding_of(name: &str) -> Result<Coding> {
    let bare: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect();
    let form = match bare.as_str() {
        "utf32" | "utf32le" | "ucs4" => Some(UnicodeForm::Utf32Le),
        "utf32be" => Some(UnicodeForm::Utf32Be),
        "utf16" | "utf16le" | "unicode" | "ucs2" => Some(UnicodeForm::Utf16Le),
        "utf16be" => Some(UnicodeForm::Utf16Be),
        _ => None,
    };
    let known = form.map(Coding::of_form).or_else(|| {
        Encoding::for_label_no_replacement(name.trim().as_bytes())
            .or_else(|| Encoding::for_label_no_replacement(label_of(&bare)?.as_bytes()))
            .filter(|encoding| *encoding != X_USER_DEFINED)
            .map(Coding::Encoding)
    });
    known.ok_or_else(|| {
        Error::invalid(format!(
            "`{name}` is no encoding that is known here: utf-8, utf-16, windows-1252, windows-1250 to windows-1258, \
            iso-8859-2 to iso-8859-16, koi8-r, macintosh, shift_jis, gbk, big5, euc-kr and the other labels of the \
            Encoding Standard are. Or {SAVE}"
        ))
    })
}

/// The label that is meant by a name in small letters and digits alone.
fn label_of(bare: &str) -> Option<String> {
    let of = |table: &[(&str, &str)], name: &str| {
        table.iter().find(|(one, _)| *one == name).map(|(_, label)| (*label).to_owned())
    };
    let page = ["windows", "win", "codepage", "cp", "ms", "ansi", "ibm", ""].iter().find_map(|prefix| {
        let page = bare.strip_prefix(prefix)?;
        let is_of_windows = matches!(page.as_bytes(), [b'1', b'2', b'5', b'0'..=b'8']);
        if is_of_windows { Some(format!("windows-{page}")) } else { of(&PAGES, page) }
    });
    let part = || {
        let part = bare.strip_prefix("iso8859").or_else(|| bare.strip_prefix("8859"))?;
        (!part.is_empty()).then(|| format!("iso-8859-{part}"))
    };
    of(&ALIASES, bare).or(page).or_else(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_however_they_are_written() {
        for (name, encoding) in [
            ("win1251", "windows-1251"),
            ("Windows 1251", "windows-1251"),
            ("cp-1251", "windows-1251"),
            ("1257", "windows-1257"),
            ("ANSI", "windows-1252"),
            ("ISO 8859-1", "windows-1252"),
            ("ISO8859_15", "iso-8859-15"),
            ("latin-1", "windows-1252"),
            ("latin9", "iso-8859-15"),
            ("Latin 2", "iso-8859-2"),
            ("koi8r", "koi8-r"),
            ("CP866", "ibm866"),
            ("cp932", "shift_jis"),
            ("Shift-JIS", "shift_jis"),
            ("cp936", "gbk"),
            ("cp949", "euc-kr"),
            ("cp950", "big5"),
            ("Mac Roman", "macintosh"),
            ("unicode", "utf-16le"),
            ("UTF 8", "utf-8"),
            ("utf-8-sig", "utf-8"),
        ] {
            let expected = Encoding::for_label(encoding.as_bytes()).unwrap();
            assert_eq!(coding_of(name).unwrap(), Coding::Encoding(expected), "{name}");
        }
        assert_eq!(coding_of("UTF_32").unwrap(), Coding::Utf32(UnicodeForm::Utf32Le));
        for (label, pages) in ALIASES.iter().chain(&PAGES) {
            assert!(Encoding::for_label(pages.as_bytes()).is_some(), "{label}");
        }
        for name in ["", "klingon", "iso-8859", "cp850", "windows-1259", "x-user-defined"] {
            assert!(coding_of(name).is_err(), "{name}");
        }
    }
}
