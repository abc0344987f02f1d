//! Which of a message's text and template goes out, and what exactly that is.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::channels::outgoing::Content;
use crate::domain::unseen::is_blank;
use crate::domain::{
    ButtonKind, MediaRef, MessageKind, MessageOption, MessageTemplate, Reason, SentAs, SessionId, StoredMessage,
    TemplateRef, TemplateStatus, Timestamp, is_same_language, link_suffix, shares_language, web_link,
};

/// How long free text may be sent after a person's message (Meta, "Customer service windows").
const WINDOW: Duration = Duration::from_secs(24 * 3600);
/// How much earlier we stop: the message takes its time, and Meta's clock is not ours.
const WINDOW_MARGIN: Duration = Duration::from_secs(60);

/// Which of the two goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime) enum Choice<'a> {
    /// The text, with its medium or its options.
    Text,
    /// The template that stands in for the text.
    Template(&'a TemplateRef),
}

/// In which languages a template is looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::runtime) struct Languages<'a> {
    /// The contact's language; `None` if unknown.
    pub(in crate::runtime) contact: Option<&'a str>,
    /// The flow's language; `None` if it sets none.
    pub(in crate::runtime) flow: Option<&'a str>,
}

/// Which of the two goes out. `takes_text`: whether the channel takes free text to this person now.
///
/// # Errors
/// The reason, if neither can.
pub(in crate::runtime) fn choose(message: &StoredMessage, takes_text: bool) -> Result<Choice<'_>, Reason> {
    match (&message.template, message.kind) {
        (Some(template), MessageKind::Template) => Ok(Choice::Template(template)),
        (None, MessageKind::Template) => Err(Reason::UnknownTemplate),
        (_, _) if takes_text => Ok(Choice::Text),
        (Some(template), _) => Ok(Choice::Template(template)),
        (None, _) => Err(Reason::WindowClosed),
    }
}

/// The text of a message, with its medium or its options.
///
/// # Errors
/// The reason, if it cannot be sent.
pub(in crate::runtime) fn text(message: &StoredMessage, session: Option<SessionId>) -> Result<Content, Reason> {
    let text = message.text.clone();
    Ok(match (message.kind, &message.media) {
        (MessageKind::Media, Some(media)) => {
            let url = web_link(&media.url).ok_or(Reason::BadMedia)?;
            Content::Media { media: MediaRef { url, ..media.clone() }, caption: text }
        }
        _ if message.options.is_empty() => Content::Text(text.unwrap_or_default()),
        _ => {
            let options = message
                .options
                .iter()
                .map(|option| MessageOption { id: tap_id(session, option), ..option.clone() })
                .collect();
            Content::Menu { text: text.unwrap_or_default(), options }
        }
    })
}

/// The template that a message names, in the language that fits, filled in. `known` are the channel's of that name;
/// `needs_approval` is whether the channel sends only those that it has approved.
///
/// # Errors
/// The reason, if none can be sent.
pub(in crate::runtime) fn template(
    message: &StoredMessage,
    named: &TemplateRef,
    session: Option<SessionId>,
    languages: Languages<'_>,
    known: Vec<MessageTemplate>,
    needs_approval: bool,
) -> Result<Content, Reason> {
    let template = pick(named, languages, known, needs_approval)?;
    let mut variables = BTreeMap::new();
    for placeholder in template.placeholders() {
        let value =
            named.variables.get(&placeholder.key).filter(|value| !is_blank(value)).ok_or(Reason::MissingVariable)?;
        let value = match template.button_of(&placeholder.key).map(|button| button.kind) {
            _ if placeholder.is_media => web_link(value).ok_or(Reason::BadMedia)?,
            Some(ButtonKind::Url) => link_suffix(value),
            _ => value.clone(),
        };
        variables.insert(placeholder.key, value);
    }
    // It stands for all parts, also for the last, which has the options.
    let options = message.part.as_ref().map_or(&message.options, |part| &part.options);
    let taps = options.iter().map(|option| tap_id(session, option));
    let payloads = template.quick_replies().zip(taps).map(|(_, tap)| tap).collect();
    Ok(Content::Template { template: Box::new(template), variables, payloads })
}

/// A template in a language that is asked for; where it may not be sent in that, in the contact's or any other. `known`
/// are its translations; `needs_approval` is as for [`template`].
///
/// # Errors
/// The reason, if none can be sent.
pub(in crate::runtime) fn any_translation(
    name: &str,
    (wanted, contact): (Option<&str>, Option<&str>),
    known: Vec<MessageTemplate>,
    needs_approval: bool,
) -> Result<MessageTemplate, Reason> {
    let named = |language: Option<&str>| TemplateRef {
        name: name.to_owned(),
        language: language.map(str::to_owned),
        variables: BTreeMap::new(),
    };
    best(&named(wanted), Languages { contact, flow: None }, known, needs_approval).map(|mut found| found.swap_remove(0))
}

/// The record of how a message goes out as this content, to be stored with it.
pub(in crate::runtime) fn note(content: &Content) -> SentAs {
    match content {
        Content::Template { template, variables, .. } => SentAs::Template {
            name: template.name.clone(),
            language: template.language.clone(),
            text: template.body_with(|key| variables.get(key).cloned()),
        },
        Content::Text(_) | Content::Menu { .. } | Content::Media { .. } => SentAs::Text { refused: None },
    }
}

/// A tap carries its session, so that it can never reach another one.
fn tap_id(session: Option<SessionId>, option: &MessageOption) -> String {
    session.map_or_else(|| option.id.clone(), |session| format!("{session}:{}", option.id))
}

/// The template that goes out: the best that the node has variables for. A translation that was changed since the flow
/// was published, or that its author did not think of, makes way for the next.
fn pick(
    named: &TemplateRef,
    languages: Languages<'_>,
    known: Vec<MessageTemplate>,
    needs_approval: bool,
) -> Result<MessageTemplate, Reason> {
    let mut found = best(named, languages, known, needs_approval)?;
    let has_all = |one: &MessageTemplate| one.placeholders().iter().all(|it| named.variables.contains_key(&it.key));
    let place = found.iter().position(has_all).ok_or(Reason::MissingVariable)?;
    Ok(found.swap_remove(place))
}

/// The translations that may be sent, the best first, which is the one in the node's language; then in the contact's,
/// in the flow's, and any other. There is at least one.
///
/// # Errors
/// The reason, if there is none.
fn best(
    named: &TemplateRef,
    languages: Languages<'_>,
    mut known: Vec<MessageTemplate>,
    needs_approval: bool,
) -> Result<Vec<MessageTemplate>, Reason> {
    let why_not = match known.iter().map(|template| template.status).min_by_key(|status| hope(*status)) {
        None => Reason::UnknownTemplate,
        Some(TemplateStatus::Paused) => Reason::TemplatePaused,
        Some(TemplateStatus::Disabled) => Reason::TemplateDisabled,
        Some(_) => Reason::TemplateNotApproved,
    };
    known.retain(|template| !needs_approval || template.status == TemplateStatus::Approved);
    // Only what a channel has approved has parts that are the channel's own.
    if needs_approval && !known.is_empty() {
        known.retain(|template| template.unfillable.is_empty());
        if known.is_empty() {
            return Err(Reason::BadTemplate);
        }
    }
    let wanted = [named.language.as_deref(), languages.contact, languages.flow];
    let wanted: Vec<&str> = wanted.into_iter().flatten().filter(|language| !language.trim().is_empty()).collect();
    // How far down the list of wishes a translation is: the same language before the same language of another region.
    let rank = |template: &MessageTemplate| {
        wanted
            .iter()
            .enumerate()
            .find_map(|(place, language)| match shares_language(&template.language, language) {
                true => Some((place, !is_same_language(&template.language, language))),
                false => None,
            })
            .unwrap_or((wanted.len(), false))
    };
    known.sort_by_key(rank);
    if known.is_empty() { Err(why_not) } else { Ok(known) }
}

/// How soon a template may be sent again, the sooner the less.
fn hope(status: TemplateStatus) -> u8 {
    match status {
        TemplateStatus::Approved => 0,
        TemplateStatus::Paused => 1,
        TemplateStatus::Pending => 2,
        TemplateStatus::Rejected => 3,
        TemplateStatus::Disabled => 4,
        TemplateStatus::Other => 5,
    }
}

/// Whether free text may go to a contact whose last message came at that time.
pub(in crate::runtime) fn is_window_open(last_inbound_at: Option<Timestamp>, now: Timestamp) -> bool {
    last_inbound_at.is_some_and(|at| at.plus(WINDOW - WINDOW_MARGIN) > now)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{TemplateButton, TemplateHeader};

    const SESSION: SessionId = SessionId(Uuid::from_u128(7));

    fn option(id: &str) -> MessageOption {
        MessageOption { id: id.to_owned(), title: id.to_uppercase(), description: None }
    }

    fn named(language: Option<&str>, variables: &[(&str, &str)]) -> TemplateRef {
        TemplateRef {
            name: "cart".to_owned(),
            language: language.map(str::to_owned),
            variables: variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn menu(template: Option<TemplateRef>) -> StoredMessage {
        StoredMessage {
            hours: None,
            node: None,
            kind: MessageKind::Menu,
            text: Some("Your cart".to_owned()),
            options: vec![option("buy"), option("no")],
            media: None,
            template,
            part: None,
            sent: None,
        }
    }

    fn known(language: &str, status: TemplateStatus) -> MessageTemplate {
        let button = |kind| TemplateButton { kind, text: "B".to_owned(), url: None, phone_number: None };
        MessageTemplate {
            name: "cart".to_owned(),
            language: language.to_owned(),
            status,
            category: String::new(),
            header: None,
            body: "Hi {{1}}".to_owned(),
            footer: None,
            buttons: vec![
                button(ButtonKind::PhoneNumber),
                button(ButtonKind::QuickReply),
                button(ButtonKind::QuickReply),
            ],
            unfillable: Vec::new(),
        }
    }

    #[test]
    fn the_text_goes_where_it_may_and_the_template_where_it_must() {
        let template = named(None, &[]);
        let both = menu(Some(template.clone()));
        let only_template = StoredMessage { kind: MessageKind::Template, text: None, ..both.clone() };
        assert_eq!(choose(&both, true), Ok(Choice::Text));
        assert_eq!(choose(&both, false), Ok(Choice::Template(&template)));
        assert_eq!(choose(&only_template, true), Ok(Choice::Template(&template)));
        assert_eq!(choose(&only_template, false), Ok(Choice::Template(&template)));
        assert_eq!(choose(&menu(None), true), Ok(Choice::Text));
        assert_eq!(choose(&menu(None), false), Err(Reason::WindowClosed));
    }

    #[test]
    fn taps_carry_their_session() {
        let Ok(Content::Menu { text: said, options }) = text(&menu(None), Some(SESSION)) else { panic!() };
        assert_eq!(said, "Your cart");
        assert_eq!(
            options.iter().map(|option| option.id.clone()).collect::<Vec<_>>(),
            [format!("{SESSION}:buy"), format!("{SESSION}:no")]
        );
        assert_eq!(options[0].title, "BUY");
        let media = MediaRef { kind: "image".to_owned(), url: "https://a.example/b.png".to_owned(), filename: None };
        let picture = StoredMessage { kind: MessageKind::Media, media: Some(media.clone()), ..menu(None) };
        assert_eq!(text(&picture, None), Ok(Content::Media { media, caption: Some("Your cart".to_owned()) }));
        let message = menu(Some(named(None, &[("1", "Ana")])));
        let approved = vec![known("en", TemplateStatus::Approved)];
        let content =
            template(&message, message.template.as_ref().unwrap(), Some(SESSION), Languages::default(), approved, true);
        let Ok(Content::Template { payloads, variables, .. }) = &content else { panic!("{content:?}") };
        assert_eq!(*payloads, [format!("{SESSION}:buy"), format!("{SESSION}:no")]);
        assert_eq!(variables["1"], "Ana");
        let (name, language) = ("cart".to_owned(), "en".to_owned());
        assert_eq!(note(&content.unwrap()), SentAs::Template { name, language, text: "Hi Ana".to_owned() });
    }

    #[test]
    fn links_are_encoded_and_what_is_none_is_not_sent() {
        let picture = |url: &str| {
            let media = MediaRef { kind: "image".to_owned(), url: url.to_owned(), filename: None };
            StoredMessage { kind: MessageKind::Media, media: Some(media), ..menu(None) }
        };
        let Ok(Content::Media { media, .. }) = text(&picture("https://münchen.example/a b"), None) else { panic!() };
        assert_eq!(media.url, "https://xn--mnchen-3ya.example/a%20b");
        assert_eq!(text(&picture("www.a.example/b.png"), None), Err(Reason::BadMedia));
        let link = |kind, url: &str| TemplateButton {
            kind,
            text: "B".to_owned(),
            url: Some(url.to_owned()),
            phone_number: None,
        };
        let sale = || MessageTemplate {
            header: Some(TemplateHeader::Media { media: "image".to_owned() }),
            body: "Hi".to_owned(),
            buttons: vec![link(ButtonKind::Url, "https://a.example/{{1}}"), link(ButtonKind::CopyCode, "")],
            ..known("en", TemplateStatus::Approved)
        };
        let filled = |header: &str, needs_approval, template| {
            let variables = [("header.1", header), ("button.0", "c/é"), ("button.1", "A B")];
            let message = menu(Some(named(None, &variables)));
            let named = message.template.as_ref().unwrap();
            super::template(&message, named, None, Languages::default(), vec![template], needs_approval)
        };
        let Ok(Content::Template { variables, .. }) = filled("https://a.example/ä", true, sale()) else { panic!() };
        assert_eq!(variables["header.1"], "https://a.example/%C3%A4");
        assert_eq!((variables["button.0"].as_str(), variables["button.1"].as_str()), ("c/%C3%A9", "A B"));
        assert_eq!(filled("a.example/b", true, sale()), Err(Reason::BadMedia));
        let cards = || MessageTemplate { unfillable: vec!["a carousel of cards (CAROUSEL)".to_owned()], ..sale() };
        assert_eq!(filled("https://a.example/", true, cards()), Err(Reason::BadTemplate));
        assert!(filled("https://a.example/", false, cards()).is_ok(), "who approves nothing has no parts of its own");
    }

    #[test]
    fn the_language_is_the_nodes_else_the_contacts_else_the_flows_else_any() {
        use TemplateStatus::{Approved, Disabled, Other, Paused, Pending, Rejected};
        type Case<'a> = (
            Option<&'a str>,
            Option<&'a str>,
            Option<&'a str>,
            &'a [(&'a str, TemplateStatus)],
            Result<&'a str, Reason>,
        );
        let all: &[(&str, TemplateStatus)] =
            &[("de", Approved), ("en_GB", Approved), ("en_US", Approved), ("fr", Approved)];
        let cases: &[Case<'_>] = &[
            (Some("fr"), Some("de"), Some("en_GB"), all, Ok("fr")),
            (Some("es"), Some("de"), None, all, Ok("de")),
            (Some("es"), Some("it"), Some("en_GB"), all, Ok("en_GB")),
            (Some("es"), None, None, all, Ok("de")),
            (Some(""), None, Some("fr"), all, Ok("fr")),
            (Some("en-us"), Some("de"), None, all, Ok("en_US")),
            (Some("EN_us "), None, None, all, Ok("en_US")),
            (Some("en_AU"), Some("de"), None, all, Ok("en_GB")),
            (Some("en-us"), None, None, all, Ok("en_US")),
            (Some("en"), None, None, all, Ok("en_GB")),
            (None, Some("en-US"), Some("de"), all, Ok("en_US")),
            (None, Some("fr-CA"), Some("de"), all, Ok("fr")),
            (None, Some("es"), Some("en_US"), all, Ok("en_US")),
            (None, Some("es"), Some("it"), all, Ok("de")),
            (None, None, None, all, Ok("de")),
            (None, Some("fr"), None, &[("de", Approved), ("fr", Paused)], Ok("de")),
            (Some("fr"), Some("de"), None, &[("de", Approved), ("fr", Paused)], Ok("de")),
            (Some("fr"), Some("de"), None, &[("de", Pending), ("fr", Paused)], Err(Reason::TemplatePaused)),
            (None, None, None, &[("de", Rejected), ("fr", Paused)], Err(Reason::TemplatePaused)),
            (None, None, None, &[("de", Disabled)], Err(Reason::TemplateDisabled)),
            (None, None, None, &[("de", Disabled), ("fr", Pending)], Err(Reason::TemplateNotApproved)),
            (None, None, None, &[("de", Other)], Err(Reason::TemplateNotApproved)),
            (None, None, None, &[], Err(Reason::UnknownTemplate)),
        ];
        for (node, contact, flow, templates, expected) in cases {
            let known = templates.iter().map(|(language, status)| known(language, *status)).collect();
            let languages = Languages { contact: *contact, flow: *flow };
            let picked = pick(&named(*node, &[("1", "")]), languages, known, true).map(|template| template.language);
            assert_eq!(picked.as_deref(), expected.as_ref().copied(), "{node:?} {contact:?} {flow:?}");
        }
        let by_hand = pick(&named(None, &[("1", "")]), Languages::default(), vec![known("de", Pending)], false);
        assert_eq!(by_hand.map(|template| template.language).as_deref(), Ok("de"));
    }

    #[test]
    fn a_translation_that_wants_what_the_node_has_not_makes_way() {
        let changed = |language: &str, header: Option<TemplateHeader>, body: &str| MessageTemplate {
            header,
            body: body.to_owned(),
            ..known(language, TemplateStatus::Approved)
        };
        let media = Some(TemplateHeader::Media { media: "image".to_owned() });
        let languages = Languages { contact: Some("de"), flow: None };
        let node = named(Some("en"), &[("1", "Ana")]);
        let picked = |known: Vec<MessageTemplate>| pick(&node, languages, known, true).map(|one| one.language);
        let [more, picture] = [changed("en", None, "Hi {{1}} {{2}}"), changed("de", media, "Hi {{1}}")];
        let plain = changed("fr", None, "Salut");
        assert_eq!(picked(vec![more.clone(), picture.clone(), plain]), Ok("fr".to_owned()));
        assert_eq!(picked(vec![more, picture]), Err(Reason::MissingVariable));
    }

    #[test]
    fn a_blank_variable_is_never_sent() {
        for variables in [&[][..], &[("1", " ")], &[("1", "\u{3164}\u{200b}\u{2800}\u{fe0f}")], &[("2", "Ana")]] {
            let message = menu(Some(named(None, variables)));
            let named = message.template.as_ref().unwrap();
            let approved = vec![known("en", TemplateStatus::Approved)];
            let content = template(&message, named, None, Languages::default(), approved, true);
            assert_eq!(content, Err(Reason::MissingVariable), "{variables:?}");
        }
    }
}
