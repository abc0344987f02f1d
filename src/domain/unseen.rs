//! Characters that cannot be seen: what copying, spreadsheets and keyboards leave in names, numbers and tags.

/// Whether a character shows nothing where it stands: default ignorable (Unicode, DerivedCoreProperties.txt), a mark
/// that turns the direction of writing, or the two that show a blank without being white space.
pub fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether a character joins others or picks one of their forms, so that it matters between characters that are seen:
/// the joiners of emoji and of Persian and Indian scripts, the selectors of an emoji's look, the tags of regional
/// flags.
pub(super) fn is_joining(c: char) -> bool {
    matches!(
        c,
        '\u{200c}'
            | '\u{200d}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{180b}'..='\u{180f}'
            | '\u{e0020}'..='\u{e007f}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Whether nothing of a text can be seen.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c.is_control() || is_unseen(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_is_known() {
        for c in "\u{ad}\u{34f}\u{61c}\u{115f}\u{180e}\u{200b}\u{200f}\u{202a}\u{2060}\u{2066}\u{2800}\u{3164}\u{fe0f}\
                  \u{feff}\u{ffa0}\u{e0041}"
            .chars()
        {
            assert!(is_unseen(c), "{:x}", u32::from(c));
        }
        for c in ['a', 'é', ' ', '-', '\u{301}', '👍', 'ـ', '٣'] {
            assert!(!is_unseen(c), "{c}");
        }
        assert!(is_blank("") && is_blank(" \u{3164}\t\u{2800}\u{200b}") && !is_blank(" .\u{200b}"));
    }
}
