//! The messages of nodes: texts, options, media and templates, filled in.

use std::collections::BTreeMap;

use super::{Halt, Machine};
use crate::domain::unseen::is_blank;
use crate::domain::{MediaRef, MessageKind, MessageOption, NO_WEB_ADDRESS, OutgoingMessage, TemplateRef, web_link};
use crate::engine::Effect;
use crate::engine::compile::{ChannelTemplate, Media, Speech};
use crate::engine::template::Text;

/// Characters that a trace shows of what is no link.
const SHOWN_OF_LINK: usize = 100;

impl Machine<'_> {
    /// Adds a node's message, with `instead` in place of its text, and returns the options as shown.
    pub(super) fn send(
        &mut self,
        index: usize,
        speech: &Speech,
        instead: Option<&Text>,
    ) -> Result<Vec<MessageOption>, Halt> {
        let text = match instead.or(speech.text.as_ref()) {
            Some(text) => Some(self.text(index, text)?).filter(|text| !text.trim().is_empty()),
            None => None,
        };
        let mut options = Vec::with_capacity(speech.options.len());
        for option in &speech.options {
            let title = self.text(index, &option.title)?;
            let description = match &option.description {
                Some(description) => Some(self.text(index, description)?),
                None => None,
            };
            options.push(MessageOption { id: option.id.clone(), title, description });
        }
        // A retry text answers a message that just came, so no template has to stand in for it.
        let template = match speech.template.as_ref().filter(|_| instead.is_none()) {
            Some(template) => Some(self.channel_template(index, template)?),
            None => None,
        };
        let node = self.flow.node(index).id.clone();
        self.note_spoken(&node);
        let plain =
            OutgoingMessage { node, kind: MessageKind::Text, text, options: options.clone(), media: None, template };
        match speech.media.as_ref().filter(|_| instead.is_none()) {
            Some(media) => self.send_media(index, plain, media)?,
            None if plain.text.is_none() && plain.template.is_none() => {
                self.warn(index, "the text is blank: nothing is said".to_owned());
            }
            None => {
                let kind = match (&plain.text, plain.options.is_empty()) {
                    (None, _) => MessageKind::Template,
                    (Some(_), true) => MessageKind::Text,
                    (Some(_), false) => MessageKind::Menu,
                };
                self.effects.push(Effect::Send(OutgoingMessage { kind, ..plain }));
            }
        }
        Ok(options)
    }

    /// A medium with its caption, which is the node's text where the medium has none and can bear one.
    fn send_media(&mut self, index: usize, plain: OutgoingMessage, media: &Media) -> Result<(), Halt> {
        let url = self.media_link(index, media)?;
        let caption = match &media.caption {
            Some(caption) => Some(self.text(index, caption)?),
            None => None,
        };
        let filename = match &media.filename {
            // A name is one line and no path.
            Some(filename) => {
                let is_no_part = |c: char| c.is_control() || matches!(c, '/' | '\\');
                Some(self.text(index, filename)?.replace(is_no_part, "_")).filter(|name| !is_blank(name))
            }
            None => None,
        };
        let text_is_caption = caption.is_none() && media.kind != "audio";
        let (caption, text) = if text_is_caption { (plain.text.clone(), None) } else { (caption, plain.text.clone()) };
        self.effects.push(Effect::Send(OutgoingMessage {
            kind: MessageKind::Media,
            text: caption,
            media: Some(MediaRef { kind: media.kind.clone(), url, filename }),
            ..plain.clone()
        }));
        if text.is_some() {
            self.effects.push(Effect::Send(OutgoingMessage { kind: MessageKind::Text, text, template: None, ..plain }));
        }
        Ok(())
    }

    /// A medium's link. What is none stays as it came: the channel's way out refuses it, and the trace says why.
    fn media_link(&mut self, index: usize, media: &Media) -> Result<String, Halt> {
        let url = self.text(index, &media.url)?;
        if let Some(link) = web_link(&url) {
            return Ok(link);
        }
        let shown: String = url.trim().chars().take(SHOWN_OF_LINK).collect();
        self.warn(index, format!("the {} cannot be sent: `{shown}` {NO_WEB_ADDRESS}", media.kind));
        Ok(url.trim().to_owned())
    }

    fn channel_template(&mut self, index: usize, template: &ChannelTemplate) -> Result<TemplateRef, Halt> {
        let mut variables = BTreeMap::new();
        for (name, text) in &template.variables {
            variables.insert(name.clone(), self.text(index, text)?);
        }
        Ok(TemplateRef { name: template.name.clone(), language: template.language.clone(), variables })
    }
}
