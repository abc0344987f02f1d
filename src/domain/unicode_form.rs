//! The forms of Unicode that a file or a body may be in, and how they are known.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// A form of Unicode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnicodeForm {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// UTF-16, low byte first: what Windows calls Unicode, and PowerShell 5.1 writes behind `>`.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
    /// UTF-32, low byte first.
    Utf32Le,
    /// UTF-32, high byte first.
    Utf32Be,
}

impl UnicodeForm {
    /// The form that a byte order mark names, and the mark's bytes (The Unicode Standard, section 2.6, table 2-4).
    pub fn marked(start: &[u8]) -> Option<(Self, usize)> {
        // The mark of UTF-16 is the beginning of that of UTF-32.
        const MARKS: [(&[u8], UnicodeForm); 5] = [
            (b"\xff\xfe\0\0", UnicodeForm::Utf32Le),
            (b"\0\0\xfe\xff", UnicodeForm::Utf32Be),
            (b"\xef\xbb\xbf", UnicodeForm::Utf8),
            (b"\xff\xfe", UnicodeForm::Utf16Le),
            (b"\xfe\xff", UnicodeForm::Utf16Be),
        ];
        MARKS.iter().find(|(mark, _)| start.starts_with(mark)).map(|(mark, form)| (*form, mark.len()))
    }

    /// The form of a text without a mark whose first two characters are ASCII, as those of JSON are (RFC 4627, section
    /// 3). `None` for what may be UTF-8 or anything else.
    pub fn of_ascii(start: &[u8]) -> Option<Self> {
        match start {
            [0, 0, 0, 1..=255, ..] => Some(Self::Utf32Be),
            [1..=255, 0, 0, 0, ..] => Some(Self::Utf32Le),
            [0, 1..=255, 0, 1..=255, ..] | [0, 1..=255] => Some(Self::Utf16Be),
            [1..=255, 0, 1..=255, 0, ..] | [1..=255, 0] => Some(Self::Utf16Le),
            _ => None,
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le | Self::Utf16Be => "UTF-16",
            Self::Utf32Le | Self::Utf32Be => "UTF-32",
        }
    }

    /// The encoding as its library has it, which lacks UTF-32.
    pub fn encoding(self) -> Option<&'static Encoding> {
        match self {
            Self::Utf8 => Some(UTF_8),
            Self::Utf16Le => Some(UTF_16LE),
            Self::Utf16Be => Some(UTF_16BE),
            Self::Utf32Le | Self::Utf32Be => None,
        }
    }

    /// The character of four bytes of UTF-32.
    pub fn character(self, unit: [u8; 4]) -> Option<char> {
        char::from_u32(if self == Self::Utf32Be { u32::from_be_bytes(unit) } else { u32::from_le_bytes(unit) })
    }

    fn decode(self, bytes: &[u8]) -> Option<String> {
        match self.encoding() {
            Some(encoding) => encoding.decode_without_bom_handling_and_without_replacement(bytes).map(Cow::into_owned),
            None => {
                let (units, rest) = bytes.as_chunks::<4>();
                let text = units.iter().map(|unit| self.character(*unit)).collect::<Option<String>>();
                text.filter(|_| rest.is_empty())
            }
        }
    }
}

/// JSON in UTF-8, whichever form of Unicode it came in, without a byte order mark: RFC 8259, section 8.1, lets readers
/// pass over the mark, and Windows writes it. What cannot be read stays as it is, for the parser to refuse.
pub fn json_as_utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (form, mark) = match UnicodeForm::marked(bytes) {
        Some(marked) => marked,
        None => (UnicodeForm::of_ascii(bytes).unwrap_or(UnicodeForm::Utf8), 0),
    };
    match form {
        UnicodeForm::Utf8 => Cow::Borrowed(&bytes[mark..]),
        _ => form.decode(&bytes[mark..]).map_or(Cow::Borrowed(bytes), |text| Cow::Owned(text.into_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_in_every_form_of_unicode() {
        let text = "{\"a\": \"é 😀\"}";
        for mark in ["", "\u{feff}"] {
            let marked = format!("{mark}{text}");
            let le16: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let be16: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
            let le32: Vec<u8> = marked.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
            let be32: Vec<u8> = marked.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
            for bytes in [marked.clone().into_bytes(), le16, be16, le32, be32] {
                assert_eq!(json_as_utf8(&bytes), text.as_bytes(), "{bytes:x?}");
            }
        }
        assert_eq!(json_as_utf8(b"7\0"), &b"7"[..], "one character in UTF-16");
        for as_it_is in [&b""[..], b"{", b"\xff", b"\xff\xfe{", b"\0", b"{}\0\0", b"\0\0\xfe\xff\0"] {
            assert_eq!(json_as_utf8(as_it_is), as_it_is);
        }
    }
}
