//! Templates that a channel has approved: what a business may say first, or after a long silence.

use serde::{Deserialize, Serialize};

use super::ParseError;
use super::named::named;

/// A template as the channel knows it, in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageTemplate {
    /// Its name at the channel, the same in all languages.
    pub name: String,
    /// The channel's code of the language, such as `en_US`.
    pub language: String,
    /// Whether it may be sent.
    pub status: TemplateStatus,
    /// The channel's category, such as `MARKETING`.
    #[serde(default)]
    pub category: String,
    /// What stands above the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<TemplateHeader>,
    /// The body, with its placeholders as the channel writes them: `{{1}}`, or `{{name}}`.
    pub body: String,
    /// What stands below the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    /// Its buttons, in the channel's order; a button's place in this list is the index that the channel knows it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<TemplateButton>,
    /// The parts that keep it from being sent, because they take values with each message that nothing here can give:
    /// in words, each with the channel's name for it, such as `a carousel of cards (CAROUSEL)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unfillable: Vec<String>,
}

named! {
    /// Whether a template may be sent.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum TemplateStatus {
        /// It may be sent.
        Approved = "approved",
        /// The channel has not looked at it yet.
        Pending = "pending",
        /// The channel does not allow it.
        Rejected = "rejected",
        /// The channel holds it back for a time, because people complained.
        Paused = "paused",
        /// The channel has switched it off for good.
        Disabled = "disabled",
        /// The channel's status is none of these, or the channel does not have it any more.
        Other = "other",
    }
}

/// What stands above a template's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TemplateHeader {
    /// Text, perhaps with one placeholder.
    Text {
        /// The text, with its placeholders.
        text: String,
    },
    /// A medium, given as a link with each message.
    Media {
        /// `image`, `video` or `document`.
        media: String,
    },
    /// A place on the map.
    Location,
}

/// A button of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateButton {
    /// What it does.
    pub kind: ButtonKind,
    /// What is written on it.
    pub text: String,
    /// Of a URL button: the URL, whose end may be a placeholder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Of a button that dials: the number, as the channel has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
}

/// What a template's button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonKind {
    /// Answers, as an option of a menu does.
    QuickReply,
    /// Opens a web page.
    Url,
    /// Dials a phone number.
    PhoneNumber,
    /// Copies a code.
    CopyCode,
    /// Opens a form.
    Flow,
    /// Opens the catalog.
    Catalog,
    /// A kind that is not known here.
    Other,
}

/// A value that a template must be given with each message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    /// What a flow calls it: `1` or `name` for the body, `header.1`, `button.0`.
    pub key: String,
    /// Whether its value is a link to a medium.
    pub is_media: bool,
}

impl MessageTemplate {
    /// Why it cannot be sent whatever values there are, as the end of a sentence that begins with its name.
    pub fn cannot_be_sent(&self) -> Option<String> {
        let parts = self.unfillable.join(", ");
        (!parts.is_empty()).then(|| format!("cannot be sent from here, because it has {parts}"))
    }

    /// The placeholders of its body, each once, in their order: `1` or `name`.
    pub fn body_placeholders(&self) -> Vec<String> {
        placeholders_in(&self.body)
    }

    /// Every value that must be given with a message, in the order of header, body and buttons.
    pub fn placeholders(&self) -> Vec<Placeholder> {
        let plain = |key: String| Placeholder { key, is_media: false };
        let mut all = Vec::new();
        match &self.header {
            Some(TemplateHeader::Text { text }) => {
                all.extend(placeholders_in(text).into_iter().take(1).map(|_| plain("header.1".to_owned())));
            }
            Some(TemplateHeader::Media { .. }) => {
                all.push(Placeholder { key: "header.1".to_owned(), is_media: true });
            }
            Some(TemplateHeader::Location) | None => {}
        }
        all.extend(placeholders_in(&self.body).into_iter().map(plain));
        for (index, button) in self.buttons.iter().enumerate() {
            let varies = button.url.as_deref().is_some_and(|url| !placeholders_in(url).is_empty());
            if button.kind == ButtonKind::CopyCode || (button.kind == ButtonKind::Url && varies) {
                all.push(plain(format!("button.{index}")));
            }
        }
        all
    }

    /// The button that a placeholder such as `button.0` belongs to.
    pub fn button_of(&self, key: &str) -> Option<&TemplateButton> {
        self.buttons.get(key.strip_prefix("button.")?.parse::<usize>().ok()?)
    }

    /// The indexes of its quick-reply buttons, which stand for the options of a menu in their order.
    pub fn quick_replies(&self) -> impl Iterator<Item = usize> + '_ {
        self.buttons.iter().enumerate().filter(|(_, button)| button.kind == ButtonKind::QuickReply).map(|(at, _)| at)
    }

    /// Its body with the placeholders filled in; one without a value is left out.
    pub fn body_with(&self, value: impl Fn(&str) -> Option<String>) -> String {
        let mut filled = String::with_capacity(self.body.len());
        let mut rest = self.body.as_str();
        while let Some((before, key, after)) = next_placeholder(rest) {
            filled.push_str(before);
            filled.extend(value(key));
            rest = after;
        }
        filled.push_str(rest);
        filled
    }
}

/// Whether two codes name the same language, `en_US` and `en-us` alike.
pub fn is_same_language(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

/// Whether two codes have the primary language in common: a template in `pt_BR` serves a contact with `pt`.
pub fn shares_language(one: &str, other: &str) -> bool {
    let primary = |code: &str| plain(code).split('_').next().unwrap_or_default().to_owned();
    primary(one) == primary(other)
}

/// Whether a translation is in the language that is asked for: the same, or the one of a region where either names
/// none. `pt_BR` is no `pt_PT`.
pub fn is_in_language(translation: &str, asked: &str) -> bool {
    let names_region = |code: &str| plain(code).contains('_');
    let is_general = !names_region(translation) || !names_region(asked);
    is_same_language(translation, asked) || (is_general && shares_language(translation, asked))
}

fn plain(code: &str) -> String {
    code.trim().replace('-', "_").to_lowercase()
}

/// Checks that each placeholder in a text has a name and both of its ends, so that none is sent to people as it stands.
///
/// # Errors
/// What is wrong with the first that has not, and where it begins: the text's characters are counted from 1.
pub fn check_placeholders(text: &str) -> Result<(), ParseError> {
    let refuse = |at: usize, what: &str| {
        let character = text[..at].chars().count() + 1;
        Err(ParseError(format!(
            "has {what} at character {character}: write a placeholder as {{{{1}}}} or {{{{name}}}}"
        )))
    };
    let mut at = 0;
    while let Some(found) = text[at..].find("{{").map(|start| at + start) {
        if let Some(stray) = text[at..found].find("}}") {
            return refuse(at + stray, "}} that closes nothing");
        }
        let inside = &text[found + 2..];
        let name = match inside.find("}}") {
            Some(end) if !inside[..end].contains("{{") => &inside[..end],
            _ => return refuse(found, "a placeholder that is not closed"),
        };
        if name.trim().is_empty() {
            return refuse(found, "a placeholder without a name");
        }
        if name.contains(['{', '}']) {
            return refuse(found, "a placeholder with a brace in its name");
        }
        at = found + 2 + name.len() + 2;
    }
    match text[at..].find("}}") {
        Some(stray) => refuse(at + stray, "}} that closes nothing"),
        None => Ok(()),
    }
}

/// The names of the placeholders in a text, each once, in their order.
fn placeholders_in(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some((_, name, after)) = next_placeholder(rest) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
        rest = after;
    }
    names
}

/// What stands before the first `{{name}}` of a text, the name, and what stands after.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let start = text.find("{{")?;
    let inside = &text[start + 2..];
    let end = inside.find("}}")?;
    Some((&text[..start], inside[..end].trim(), &inside[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> MessageTemplate {
        let button = |kind, text: &str, url: Option<&str>| TemplateButton {
            kind,
            text: text.to_owned(),
            url: url.map(str::to_owned),
            phone_number: None,
        };
        MessageTemplate {
            name: "abandoned_cart".to_owned(),
            language: "en".to_owned(),
            status: TemplateStatus::Approved,
            category: "MARKETING".to_owned(),
            header: Some(TemplateHeader::Media { media: "image".to_owned() }),
            body: "Hi {{1}}, {{ 2 }} is waiting, {{1}}.".to_owned(),
            footer: None,
            buttons: vec![
                button(ButtonKind::Url, "Open", Some("https://shop.example/{{1}}")),
                button(ButtonKind::QuickReply, "Yes", None),
                button(ButtonKind::Url, "Home", Some("https://shop.example")),
                button(ButtonKind::QuickReply, "No", None),
            ],
            unfillable: Vec::new(),
        }
    }

    #[test]
    fn placeholders_are_named_as_flows_name_them() {
        let keys: Vec<String> = template().placeholders().into_iter().map(|placeholder| placeholder.key).collect();
        assert_eq!(keys, ["header.1", "1", "2", "button.0"]);
        assert_eq!(template().quick_replies().collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn a_text_is_sound_where_each_placeholder_has_a_name_and_both_of_its_ends() {
        for sound in ["", "Hi", "Hi {{1}}, {{ name }}{{1}}", "{one} and {two}", "a } b { c", "{ {{1}} }", "{{1}}}"] {
            assert_eq!(check_placeholders(sound), Ok(()), "{sound}");
        }
        for (text, expected) in [
            ("Hi {{}}", "without a name at character 4"),
            ("Hé {{1}} {{  }}!", "without a name at character 10"),
            ("}}{{", "}} that closes nothing at character 1"),
            ("Hi {{1}} and 2}}", "}} that closes nothing at character 15"),
            ("Hi {{1", "not closed at character 4"),
            ("Hi {{1 and {{2}}", "not closed at character 4"),
            ("Hi {{1} you", "not closed at character 4"),
            ("{{1}}{{{2}}}", "with a brace in its name at character 6"),
            ("{{a {b} }}", "with a brace in its name at character 1"),
        ] {
            let problem = check_placeholders(text).unwrap_err().to_string();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }

    #[test]
    fn the_body_is_filled_in_once() {
        let filled = template().body_with(|key| (key == "1").then(|| "{{2}}".to_owned()));
        assert_eq!(filled, "Hi {{2}},  is waiting, {{2}}.");
    }
}
