//! A template, as each caller sees it.

use serde::Serialize;

use super::IsoTime;
use crate::domain::{
    ButtonKind, MessageTemplate, Placeholder, TemplateButton, TemplateHeader, TemplateId, TemplateStatus,
};

/// The fields of a template that can be written, as they are shown and taken.
#[derive(Debug, Serialize)]
pub struct TemplateFields<'a> {
    name: &'a str,
    language: &'a str,
    status: TemplateStatus,
    category: &'a str,
    header: Option<&'a TemplateHeader>,
    body: &'a str,
    footer: Option<&'a str>,
    buttons: &'a [TemplateButton],
}

impl<'a> From<&'a MessageTemplate> for TemplateFields<'a> {
    fn from(template: &'a MessageTemplate) -> Self {
        Self {
            name: &template.name,
            language: &template.language,
            status: template.status,
            category: &template.category,
            header: template.header.as_ref(),
            body: &template.body,
            footer: template.footer.as_deref(),
            buttons: &template.buttons,
        }
    }
}

/// A template on the admin page, in one language.
#[derive(Debug, Serialize)]
pub struct AdminTemplate<'a> {
    /// What can be written.
    #[serde(flatten)]
    pub fields: TemplateFields<'a>,
    /// The template's id.
    pub id: TemplateId,
    /// The channel's name.
    pub channel: &'a str,
    /// The channel's id of it.
    pub provider_id: Option<&'a str>,
    /// What a message must fill in.
    pub placeholders: Vec<PlaceholderKey>,
    /// The parts that keep it from being sent.
    pub unfillable: &'a [String],
    /// Whether it can be changed here.
    pub is_editable: bool,
    /// When it was first known.
    pub created_at: IsoTime,
    /// When it last changed.
    pub updated_at: IsoTime,
}

/// A placeholder by the key that a message's `variables` name it by.
#[derive(Debug, Serialize)]
pub struct PlaceholderKey {
    key: String,
    is_media: bool,
}

impl From<Placeholder> for PlaceholderKey {
    fn from(placeholder: Placeholder) -> Self {
        Self { key: placeholder.key, is_media: placeholder.is_media }
    }
}

/// What a fetch of a channel's templates found.
#[derive(Debug, Serialize)]
pub struct SyncAnswer {
    /// Templates that are new.
    pub added: u64,
    /// Those that are not what they were.
    pub changed: u64,
    /// Those that are gone.
    pub removed: u64,
    /// All that there are.
    pub total: u64,
}

/// A template in the public API, with all its languages.
#[derive(Debug, Serialize)]
pub struct PublicTemplate<'a> {
    /// The template's id.
    pub id: TemplateId,
    /// Its name at the channel.
    pub name: &'a str,
    /// The channel's category.
    pub category: Option<&'a str>,
    /// `APPROVED`, `PENDING` or `REJECTED`.
    pub status: &'static str,
    /// The channel's codes of them.
    pub languages: Vec<&'a str>,
    /// When it was first known.
    pub created_at: IsoTime,
    /// The parts that keep it from being sent; there only where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfillable: Option<&'a [String]>,
    /// Its text in one of the languages; absent in lists.
    #[serde(flatten)]
    pub text: Option<TemplateText<'a>>,
}

/// What a template says, in one language.
#[derive(Debug, Serialize)]
pub struct TemplateText<'a> {
    body: &'a str,
    header_type: Option<String>,
    header_content: Option<&'a str>,
    footer: Option<&'a str>,
    buttons: Vec<PublicButton<'a>>,
    placeholders: Vec<String>,
}

impl<'a> From<&'a MessageTemplate> for TemplateText<'a> {
    fn from(template: &'a MessageTemplate) -> Self {
        let (header_type, header_content) = match &template.header {
            Some(TemplateHeader::Text { text }) => (Some("TEXT".to_owned()), Some(text.as_str())),
            // Its link is given with each message, so the template has none.
            Some(TemplateHeader::Media { media }) => (Some(media.to_uppercase()), None),
            Some(TemplateHeader::Location) => (Some("LOCATION".to_owned()), None),
            None => (None, None),
        };
        Self {
            body: &template.body,
            header_type,
            header_content,
            footer: template.footer.as_deref(),
            buttons: template.buttons.iter().map(PublicButton::from).collect(),
            placeholders: template.body_placeholders(),
        }
    }
}

/// A button of a template, as channels name its kind.
#[derive(Debug, Serialize)]
pub struct PublicButton<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a str>,
}

impl<'a> From<&'a TemplateButton> for PublicButton<'a> {
    fn from(button: &'a TemplateButton) -> Self {
        let kind = match button.kind {
            ButtonKind::QuickReply => "QUICK_REPLY",
            ButtonKind::Url => "URL",
            ButtonKind::PhoneNumber => "PHONE_NUMBER",
            ButtonKind::CopyCode => "COPY_CODE",
            ButtonKind::Flow => "FLOW",
            ButtonKind::Catalog => "CATALOG",
            ButtonKind::Other => "OTHER",
        };
        Self { kind, text: &button.text, url: button.url.as_deref(), phone_number: button.phone_number.as_deref() }
    }
}
