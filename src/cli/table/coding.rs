//! What the characters of a file are written in.

use encoding_rs::Encoding;

use super::encoding::shown_name;
use crate::domain::unicode_form::UnicodeForm;

/// What to do with a file that is no CSV in UTF-8.
pub(super) const SAVE: &str = "save it as CSV UTF-8 and import that";

/// What the characters of a file are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// One that the library has.
    Encoding(&'static Encoding),
    /// UTF-32, which it lacks.
    Utf32(UnicodeForm),
}

impl Coding {
    /// That of a form of Unicode.
    pub(super) fn of_form(form: UnicodeForm) -> Self {
        form.encoding().map_or(Self::Utf32(form), Self::Encoding)
    }

    /// Its name for people.
    pub(super) fn name(self) -> String {
        match self {
            Self::Encoding(encoding) => shown_name(encoding),
            Self::Utf32(form) => form.name().to_owned(),
        }
    }
}
