//! What WhatsApp allows in a message, checked before it is sent: a sentence that names the field beats Meta's 131009.
//!
//! Meta counts "characters" and does not say which; these are code points. Limits are from Meta's documentation of each
//! message type and its OpenAPI file; those of templates from the docstrings of pywa 4.

use crate::channels::outgoing::{Refusal, RefusalClass};
use crate::domain::{Reason, TextLimits};

/// What goes out in parts when it is longer. It shows no text below a voice note or a sticker.
pub const TEXT_LIMITS: TextLimits =
    TextLimits { text: TEXT, menu: INTERACTIVE_TEXT, caption: CAPTION, without_caption: &["audio", "sticker"] };

/// A free text.
pub(super) const TEXT: usize = 4096;
/// The text above buttons or a list. A list's may be longer by Meta's page, but not by some of its partners'.
pub(super) const INTERACTIVE_TEXT: usize = 1024;
/// The text below a medium.
pub(super) const CAPTION: usize = 1024;
/// Options that fit on buttons; more make a list.
pub(super) const BUTTONS: usize = 3;
/// What is written on a button.
pub(super) const BUTTON_TITLE: usize = 20;
/// What a tap on a button brings back.
pub(super) const BUTTON_ID: usize = 256;
/// Rows of a list, over all its sections.
pub(super) const ROWS: usize = 10;
/// A row's first line.
pub(super) const ROW_TITLE: usize = 24;
/// A row's second line.
pub(super) const ROW_DESCRIPTION: usize = 72;
/// What a tap on a row brings back.
pub(super) const ROW_ID: usize = 200;
/// The name that a document is shown under.
pub(super) const FILENAME: usize = 240;
/// The variable end of a URL.
pub(super) const URL_SUFFIX: usize = 2000;
/// What a tap on a template's quick-reply button brings back.
pub(super) const PAYLOAD: usize = 256;

/// Refuses a message for good, with a reason of ours for a code.
pub(super) fn refuse(code: Reason, text: impl Into<String>) -> Refusal {
    Refusal { class: RefusalClass::Permanent, code: code.into(), text: text.into(), retry_after: None }
}

/// A text that is neither blank nor longer than `limit` characters.
pub(super) fn checked<'a>(field: &str, text: &'a str, limit: usize) -> Result<&'a str, Refusal> {
    if text.trim().is_empty() {
        return Err(refuse(Reason::Blank, format!("{field} is blank, which WhatsApp does not take")));
    }
    let length = text.chars().count();
    if length > limit {
        let sentence = format!("{field} has {length} characters, and WhatsApp takes at most {limit}");
        return Err(refuse(Reason::TooLong, sentence));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_code_points_and_names_the_field() {
        assert_eq!(checked("The title", &"é".repeat(20), BUTTON_TITLE).map(str::len), Ok(40));
        let refusal = checked("The title of option 2", &"é".repeat(21), BUTTON_TITLE).unwrap_err();
        assert_eq!((refusal.class, refusal.code.as_str()), (RefusalClass::Permanent, "too_long"));
        assert_eq!(refusal.text, "The title of option 2 has 21 characters, and WhatsApp takes at most 20");
        assert_eq!(checked("The text", " \n", TEXT).unwrap_err().code, "blank");
    }
}
