//! The bodies of requests that send something.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::addresses::{BSUID, WA_ID};
use super::limits::{self, checked, refuse};
use crate::channels::outgoing::{Content, Outgoing, Recipient, Refusal};
use crate::domain::unseen::is_blank;
use crate::domain::{
    ButtonKind, MediaRef, MessageOption, MessageTemplate, Reason, TemplateHeader, link_suffix, web_link,
};

/// Characters at the end of a file name that show its kind, at most.
const FILE_KIND: usize = 10;
/// The button that opens a list. A message does not state its language, and this word is known in most that WhatsApp is
/// used in.
const LIST_BUTTON: &str = "Menu";

/// The body that sends a message.
///
/// # Errors
/// When WhatsApp would refuse it: `too_long`, `blank`, `too_many`, `missing_variable`, …, always for good.
pub(super) fn body_of(message: &Outgoing) -> Result<Value, Refusal> {
    let mut body = Map::new();
    body.insert("messaging_product".to_owned(), json!("whatsapp"));
    body.insert("recipient_type".to_owned(), json!("individual"));
    let (key, address) = address(&message.to)?;
    body.insert(key.to_owned(), Value::from(address));
    let (kind, content) = content(&message.content)?;
    body.insert("type".to_owned(), json!(kind));
    body.insert(kind.to_owned(), content);
    // It comes back with every status of this message, also of one whose answer was lost.
    body.insert("biz_opaque_callback_data".to_owned(), json!(message.id));
    Ok(Value::Object(body))
}

/// The body that marks a message of a person as read.
pub(super) fn mark_read(provider_id: &str, typing: bool) -> Value {
    let mut body = json!({"messaging_product": "whatsapp", "status": "read", "message_id": provider_id});
    if typing {
        body["typing_indicator"] = json!({"type": "text"});
    }
    body
}

/// The field for a message's recipient, and its value.
///
/// `to` always has its plus sign: without one Meta puts the business's own calling code before the digits, and another
/// person may get the message. A business-scoped id goes into `recipient` and never into `to`, where Meta answers 200
/// and drops the message. With a number at hand the id stays out: `to` would win, and the number then stays in Meta's
/// statuses of the message. A number that WhatsApp has named itself goes out as it named it, any other one as its
/// country's plan has it now.
fn address(to: &Recipient) -> Result<(&'static str, String), Refusal> {
    if let Some(wa_id) = to.get(WA_ID) {
        return Ok(("to", format!("+{}", wa_id.trim_start_matches('+'))));
    }
    if let Some(phone) = to.phone() {
        return Ok(("to", phone.in_force().to_string()));
    }
    let bsuid = to.get(BSUID).ok_or_else(|| refuse(Reason::NoAddress, "The contact has no address on WhatsApp"))?;
    Ok(("recipient", bsuid.to_owned()))
}

/// A content's type, which is also the name of its field, and its body.
fn content(content: &Content) -> Result<(&'static str, Value), Refusal> {
    match content {
        Content::Text(text) => {
            let text = checked("The text", text, limits::TEXT)?;
            let has_url = text.contains("https://") || text.contains("http://");
            Ok(("text", json!({"body": text, "preview_url": has_url})))
        }
        Content::Menu { text, options } => Ok(("interactive", menu(text, options)?)),
        Content::Media { media, caption } => medium(media, caption.as_deref()),
        Content::Template { template, variables, payloads } => {
            Ok(("template", self::template(template, variables, payloads)?))
        }
    }
}

/// Buttons where the options fit on them, else a list.
fn menu(text: &str, options: &[MessageOption]) -> Result<Value, Refusal> {
    let text = checked("The text above the options", text, limits::INTERACTIVE_TEXT)?;
    if options.is_empty() {
        return Err(refuse(Reason::Blank, "The menu has no options"));
    }
    if options.len() > limits::ROWS {
        let sentence = format!("The menu has {} options, and WhatsApp takes at most {}", options.len(), limits::ROWS);
        return Err(refuse(Reason::TooMany, sentence));
    }
    let body = json!({"text": text});
    if fits_buttons(options) {
        let buttons = each(options, |index, option| {
            let id = checked(&format!("The id of option {index}"), &option.id, limits::BUTTON_ID)?;
            let title = checked(&format!("The title of option {index}"), &option.title, limits::BUTTON_TITLE)?;
            Ok(json!({"type": "reply", "reply": {"id": id, "title": title}}))
        })?;
        return Ok(json!({"type": "button", "body": body, "action": {"buttons": buttons}}));
    }
    let rows = each(options, |index, option| {
        let id = checked(&format!("The id of option {index}"), &option.id, limits::ROW_ID)?;
        let title = checked(&format!("The title of option {index}"), &option.title, limits::ROW_TITLE)?;
        let mut row = json!({"id": id, "title": title});
        if let Some(description) = option.description.as_deref().filter(|description| !description.trim().is_empty()) {
            let field = format!("The description of option {index}");
            row["description"] = json!(checked(&field, description, limits::ROW_DESCRIPTION)?);
        }
        Ok(row)
    })?;
    Ok(json!({"type": "list", "body": body, "action": {"button": LIST_BUTTON, "sections": [{"rows": rows}]}}))
}

/// At most three options, short, without a second line, and no two titles alike: WhatsApp refuses a message whose
/// buttons have the same title.
fn fits_buttons(options: &[MessageOption]) -> bool {
    let is_short = |option: &MessageOption| option.title.chars().count() <= limits::BUTTON_TITLE;
    let is_plain = |option: &MessageOption| option.description.as_deref().is_none_or(|text| text.trim().is_empty());
    let is_alone = |option: &MessageOption| options.iter().filter(|other| other.title == option.title).count() == 1;
    options.len() <= limits::BUTTONS
        && options.iter().all(|option| is_short(option) && is_plain(option) && is_alone(option))
}

fn each(
    options: &[MessageOption],
    view: impl Fn(usize, &MessageOption) -> Result<Value, Refusal>,
) -> Result<Vec<Value>, Refusal> {
    options.iter().enumerate().map(|(at, option)| view(at + 1, option)).collect()
}

fn medium(media: &MediaRef, caption: Option<&str>) -> Result<(&'static str, Value), Refusal> {
    let kinds = ["image", "video", "audio", "document"];
    let Some(kind) = kinds.into_iter().find(|kind| *kind == media.kind) else {
        return Err(refuse(Reason::BadMedia, format!("WhatsApp has no medium of the kind `{}`", media.kind)));
    };
    let mut view = json!({"link": link("The medium's URL", &media.url)?});
    if let Some(caption) = caption.filter(|caption| !caption.trim().is_empty()) {
        if kind == "audio" {
            // Leaving the text away would drop it silently.
            return Err(refuse(
                Reason::BadMedia,
                "WhatsApp shows no text below audio: send the text as a message of its own",
            ));
        }
        view["caption"] = json!(checked("The caption", caption, limits::CAPTION)?);
    }
    if let Some(filename) = media.filename.as_deref().filter(|_| kind == "document").and_then(filename) {
        view["filename"] = json!(filename);
    }
    Ok((kind, view))
}

/// A link as Meta's servers fetch it. Those of flows are encoded already, which does not matter here.
fn link(field: &str, url: &str) -> Result<String, Refusal> {
    web_link(url).ok_or_else(|| refuse(Reason::BadMedia, format!("{field} is not an http or https URL")))
}

/// A document's name, if it has one: cut to what WhatsApp takes, and still of its kind.
fn filename(name: &str) -> Option<String> {
    let length = name.chars().count();
    if is_blank(name) || length <= limits::FILENAME {
        return Some(name.to_owned()).filter(|name| !is_blank(name));
    }
    let is_kind = |kind: &&str| kind.chars().count() <= FILE_KIND && !kind.contains(char::is_whitespace);
    let kind =
        name.rsplit_once('.').map(|(_, kind)| kind).filter(is_kind).map_or_else(String::new, |k| format!(".{k}"));
    let stem: String = name.chars().take(limits::FILENAME - kind.chars().count()).collect();
    Some(format!("{}{kind}", stem.trim_end()))
}

fn template(
    template: &MessageTemplate,
    variables: &BTreeMap<String, String>,
    payloads: &[String],
) -> Result<Value, Refusal> {
    if let Some(why) = template.cannot_be_sent() {
        return Err(refuse(Reason::BadTemplate, format!("The template `{}` {why}", template.name)));
    }
    let values = Values { template: &template.name, variables };
    let mut components = Vec::new();
    components.extend(header(template, &values)?);
    components.extend(body(template, &values)?);
    let mut payloads = payloads.iter();
    for (index, button) in template.buttons.iter().enumerate() {
        let key = format!("button.{index}");
        let (sub_type, parameter) = match button.kind {
            ButtonKind::QuickReply => {
                // An option without a button can still be typed.
                let Some(payload) = payloads.next() else { continue };
                let field = format!("The payload of button {}", index + 1);
                ("quick_reply", json!({"type": "payload", "payload": checked(&field, payload, limits::PAYLOAD)?}))
            }
            ButtonKind::Url if button.url.as_deref().is_some_and(|url| placeholder_in(url).is_some()) => {
                let suffix = link_suffix(values.get(&key)?);
                let field = format!("The variable `{key}`");
                ("url", json!({"type": "text", "text": checked(&field, &suffix, limits::URL_SUFFIX)?}))
            }
            ButtonKind::CopyCode => ("copy_code", json!({"type": "coupon_code", "coupon_code": values.get(&key)?})),
            // Meta wants them named ("131009") and leaves their values to itself.
            ButtonKind::Flow => ("flow", Value::Null),
            ButtonKind::Catalog => ("catalog", Value::Null),
            ButtonKind::Url | ButtonKind::PhoneNumber | ButtonKind::Other => continue,
        };
        let mut component = json!({"type": "button", "sub_type": sub_type, "index": index.to_string()});
        if !parameter.is_null() {
            component["parameters"] = json!([parameter]);
        }
        components.push(component);
    }
    let mut view = json!({"name": template.name, "language": {"code": template.language}});
    if !components.is_empty() {
        view["components"] = Value::from(components);
    }
    Ok(view)
}

fn header(template: &MessageTemplate, values: &Values<'_>) -> Result<Option<Value>, Refusal> {
    let parameter = match &template.header {
        None => return Ok(None),
        Some(TemplateHeader::Text { text }) => match placeholder_in(text) {
            None => return Ok(None),
            Some(name) => text_parameter(name, values.get("header.1")?),
        },
        Some(TemplateHeader::Media { media }) => {
            let url = link("The variable `header.1`", values.get("header.1")?)?;
            let mut parameter = json!({"type": media});
            parameter[media] = json!({"link": url});
            parameter
        }
        Some(TemplateHeader::Location) => {
            let sentence = format!("The template `{}` begins with a place, which a flow cannot give", template.name);
            return Err(refuse(Reason::BadTemplate, sentence));
        }
    };
    Ok(Some(json!({"type": "header", "parameters": [parameter]})))
}

/// The body's parameters. Those of numbered placeholders go by their place, so that they must stand in the order of
/// their numbers whatever the text's is; those with names are matched by name.
fn body(template: &MessageTemplate, values: &Values<'_>) -> Result<Option<Value>, Refusal> {
    let placeholders = template.placeholders().into_iter().map(|placeholder| placeholder.key);
    let mut names: Vec<String> = placeholders.filter(|key| !key.contains('.')).collect();
    names.sort_by_key(|name| name.parse::<u32>().unwrap_or(u32::MAX));
    let parameters: Result<Vec<Value>, Refusal> =
        names.iter().map(|name| Ok(text_parameter(name, values.get(name)?))).collect();
    let parameters = parameters?;
    Ok((!parameters.is_empty()).then(|| json!({"type": "body", "parameters": parameters})))
}

/// A text for a placeholder, in one line: Meta refuses others ("Param text cannot have new-line/tab characters or more
/// than 4 consecutive spaces", 132018).
fn text_parameter(name: &str, value: &str) -> Value {
    let text = value.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_numbered = name.bytes().all(|byte| byte.is_ascii_digit());
    if is_numbered {
        json!({"type": "text", "text": text})
    } else {
        json!({"type": "text", "parameter_name": name, "text": text})
    }
}

/// The name of the first placeholder of a text.
fn placeholder_in(text: &str) -> Option<&str> {
    let inside = &text[text.find("{{")? + 2..];
    Some(inside[..inside.find("}}")?].trim())
}

/// A template's values, none of which may be missing.
struct Values<'a> {
    template: &'a str,
    variables: &'a BTreeMap<String, String>,
}

impl<'a> Values<'a> {
    fn get(&self, key: &str) -> Result<&'a str, Refusal> {
        let value = self.variables.get(key).filter(|value| !value.trim().is_empty());
        value.map(String::as_str).ok_or_else(|| {
            let sentence = format!("The variable `{key}` of the template `{}` is missing or blank", self.template);
            refuse(Reason::MissingVariable, sentence)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{AddressKey, AddressKind, MessageId, Phone, TemplateButton, TemplateStatus, Timestamp};

    use super::*;

    const ID: &str = "01936b1e-7c6a-7000-8000-000000000001";

    fn outgoing(content: Content) -> Outgoing {
        let to = Recipient { addresses: vec![AddressKey::new(AddressKind::PHONE, "+16505551234")] };
        Outgoing { id: ID.parse::<MessageId>().unwrap(), to, content, at: Timestamp::from_millis(0) }
    }

    /// A whole body, for what is in it besides its envelope.
    fn whole(rest: Value) -> Value {
        let mut body = json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": "+16505551234"});
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        body["biz_opaque_callback_data"] = json!(ID);
        body
    }

    fn option(id: &str, title: &str, description: Option<&str>) -> MessageOption {
        MessageOption { id: id.to_owned(), title: title.to_owned(), description: description.map(str::to_owned) }
    }

    fn media(kind: &str) -> MediaRef {
        MediaRef { kind: kind.to_owned(), url: "https://a.example/f".to_owned(), filename: Some("a.pdf".to_owned()) }
    }

    fn menu_of(options: Vec<MessageOption>) -> Content {
        Content::Menu { text: "Which?".to_owned(), options }
    }

    fn button(kind: ButtonKind, text: &str, url: Option<&str>) -> TemplateButton {
        TemplateButton { kind, text: text.to_owned(), url: url.map(str::to_owned), phone_number: None }
    }

    fn cart(header: Option<TemplateHeader>, body: &str, buttons: Vec<TemplateButton>) -> MessageTemplate {
        MessageTemplate {
            name: "cart".to_owned(),
            language: "en_US".to_owned(),
            status: TemplateStatus::Approved,
            category: String::new(),
            header,
            body: body.to_owned(),
            footer: None,
            buttons,
            unfillable: Vec::new(),
        }
    }

    fn template_of(template: MessageTemplate, variables: &[(&str, &str)], payloads: &[&str]) -> Content {
        Content::Template {
            template: Box::new(template),
            variables: variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            payloads: payloads.iter().map(|payload| (*payload).to_owned()).collect(),
        }
    }

    #[test]
    fn bodies_are_the_ones_that_meta_documents() {
        let caption = Some("Look".to_owned());
        let table = [
            (Content::Text("Hi".to_owned()), json!({"type": "text", "text": {"body": "Hi", "preview_url": false}})),
            (
                Content::Text("See https://a.example".to_owned()),
                json!({"type": "text", "text": {"body": "See https://a.example", "preview_url": true}}),
            ),
            (
                menu_of(vec![option("s:a", "Yes", None), option("s:b", "No", Some(" "))]),
                json!({"type": "interactive", "interactive": {"type": "button", "body": {"text": "Which?"}, "action":
                {"buttons": [
                    {"type": "reply", "reply": {"id": "s:a", "title": "Yes"}},
                    {"type": "reply", "reply": {"id": "s:b", "title": "No"}},
                ]}}}),
            ),
            (
                menu_of(vec![option("s:a", "Yes", Some("do")), option("s:b", "No", None)]),
                json!({"type": "interactive", "interactive": {"type": "list", "body": {"text": "Which?"}, "action":
                {"button": "Menu", "sections": [{"rows": [
                    {"id": "s:a", "title": "Yes", "description": "do"},
                    {"id": "s:b", "title": "No"},
                ]}]}}}),
            ),
            (
                Content::Media { media: media("image"), caption: caption.clone() },
                json!({"type": "image", "image": {"link": "https://a.example/f", "caption": "Look"}}),
            ),
            (
                Content::Media { media: media("video"), caption: None },
                json!({"type": "video", "video": {"link": "https://a.example/f"}}),
            ),
            (
                Content::Media { media: media("audio"), caption: None },
                json!({"type": "audio", "audio": {"link": "https://a.example/f"}}),
            ),
            (
                Content::Media { media: media("document"), caption },
                json!({"type": "document", "document":
                    {"link": "https://a.example/f", "caption": "Look", "filename": "a.pdf"}}),
            ),
            (
                template_of(cart(None, "Hello", vec![]), &[], &[]),
                json!({"type": "template", "template": {"name": "cart", "language": {"code": "en_US"}}}),
            ),
        ];
        for (content, expected) in table {
            let body = body_of(&outgoing(content)).unwrap();
            assert_eq!(body, whole(expected));
        }
    }

    #[test]
    fn a_documents_name_is_cut_before_its_kind_and_left_off_where_it_is_blank() {
        let long = "é".repeat(300);
        for (name, shown) in [
            ("a.pdf", Some("a.pdf".to_owned())),
            (" \u{200b}", None),
            ("", None),
            (&format!("{long}.pdf"), Some(format!("{}.pdf", "é".repeat(236)))),
            (&long, Some("é".repeat(240))),
            (&format!("{long}. A sentence"), Some("é".repeat(240))),
        ] {
            assert_eq!(filename(name), shown, "{name}");
            let media = MediaRef { filename: Some(name.to_owned()), ..media("document") };
            let body = body_of(&outgoing(Content::Media { media, caption: None })).unwrap();
            assert_eq!(body["document"].get("filename").and_then(Value::as_str), shown.as_deref());
        }
    }

    #[test]
    fn what_does_not_fit_on_buttons_becomes_a_list() {
        let kind = |options| body_of(&outgoing(menu_of(options))).unwrap()["interactive"]["type"].clone();
        let long = "x".repeat(21);
        assert_eq!(kind(vec![option("a", &long[..20], None)]), "button");
        assert_eq!(kind(vec![option("a", &long, None)]), "list");
        assert_eq!(kind((0..3).map(|id| option(&id.to_string(), &format!("{id}"), None)).collect()), "button");
        assert_eq!(kind((0..4).map(|id| option(&id.to_string(), &format!("{id}"), None)).collect()), "list");
        assert_eq!(kind(vec![option("a", "Same", None), option("b", "Same", None)]), "list");
    }

    #[test]
    fn a_number_has_its_plus_sign_and_an_id_never_stands_where_a_number_belongs() {
        let phone = Some("+5541988887777".parse().unwrap());
        let wa_id = Some("554188887777".to_owned());
        let bsuid = Some("BR.13491208655302741918".to_owned());
        let table = [
            (phone.clone(), None, None, ("to", "+5541988887777")),
            (Some("+554188887777".parse().unwrap()), None, None, ("to", "+5541988887777")),
            (Some("+22997258007".parse().unwrap()), None, None, ("to", "+2290197258007")),
            (Some("+22507123401".parse().unwrap()), None, None, ("to", "+2250707123401")),
            (Some("+5215512345678".parse().unwrap()), None, None, ("to", "+525512345678")),
            (Some("+541112345678".parse().unwrap()), None, None, ("to", "+541112345678")),
            (Some("+2290197258007".parse().unwrap()), Some("22997258007".to_owned()), None, ("to", "+22997258007")),
            (phone.clone(), wa_id.clone(), None, ("to", "+554188887777")),
            (None, wa_id.clone(), None, ("to", "+554188887777")),
            (None, Some("+554188887777".to_owned()), None, ("to", "+554188887777")),
            (None, None, bsuid.clone(), ("recipient", "BR.13491208655302741918")),
            (phone, wa_id, bsuid, ("to", "+554188887777")),
        ];
        for (phone, wa_id, bsuid, (key, address)) in table {
            let mut message = outgoing(Content::Text("Hi".to_owned()));
            let phone: Option<Phone> = phone;
            let phone = phone.as_ref().map(AddressKey::of_phone);
            let own = [(WA_ID, wa_id), (BSUID, bsuid)];
            let own = own.into_iter().filter_map(|(kind, value)| Some(AddressKey::new(kind, value?)));
            message.to = Recipient { addresses: phone.into_iter().chain(own).collect() };
            let body = body_of(&message).unwrap();
            assert_eq!(body[key], *address);
            let other = if key == "to" { "recipient" } else { "to" };
            assert_eq!(body.get(other), None);
            assert_eq!(body["recipient_type"], "individual");
        }
        let mut nobody = outgoing(Content::Text("Hi".to_owned()));
        nobody.to = Recipient::default();
        assert_eq!(body_of(&nobody).unwrap_err().code, "no_address");
    }

    #[test]
    fn templates_name_their_parameters_in_the_channels_order() {
        let image = TemplateHeader::Media { media: "image".to_owned() };
        let buttons = vec![
            button(ButtonKind::Url, "Open", Some("https://shop.example/{{1}}")),
            button(ButtonKind::QuickReply, "Yes", None),
            button(ButtonKind::Url, "Home", Some("https://shop.example")),
            button(ButtonKind::QuickReply, "No", None),
            button(ButtonKind::CopyCode, "Copy", None),
            button(ButtonKind::PhoneNumber, "Call", None),
        ];
        let variables = [
            ("1", "Ann"),
            ("2", "12\n\t €   now"),
            ("header.1", "https://a.example/i.png"),
            ("button.0", "c/7"),
            ("button.4", "SAVE20"),
        ];
        // The second placeholder stands first in the text.
        let template = cart(Some(image), "{{2}} for {{1}}", buttons);
        let content = template_of(template, &variables, &["s:yes", "s:no", "s:maybe"]);
        let body = body_of(&outgoing(content)).unwrap();
        assert_eq!(
            body["template"]["components"],
            json!([
                {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://a.example/i.png"}}]},
                {"type": "body", "parameters": [{"type": "text", "text": "Ann"}, {"type": "text", "text": "12 € now"}]},
                {"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": "c/7"}]},
                {"type": "button", "sub_type": "quick_reply", "index": "1",
                    "parameters": [{"type": "payload", "payload": "s:yes"}]},
                {"type": "button", "sub_type": "quick_reply", "index": "3",
                    "parameters": [{"type": "payload", "payload": "s:no"}]},
                {"type": "button", "sub_type": "copy_code", "index": "4",
                    "parameters": [{"type": "coupon_code", "coupon_code": "SAVE20"}]},
            ])
        );
    }

    #[test]
    fn parameters_with_names_carry_them() {
        let header = TemplateHeader::Text { text: "Order {{ order_id }}".to_owned() };
        let template = cart(Some(header), "Hi {{first_name}}, {{total}}", vec![]);
        let variables = [("header.1", "7"), ("first_name", "Ann"), ("total", "12 €")];
        let body = body_of(&outgoing(template_of(template, &variables, &[]))).unwrap();
        assert_eq!(
            body["template"]["components"],
            json!([
                {"type": "header", "parameters": [{"type": "text", "parameter_name": "order_id", "text": "7"}]},
                {"type": "body", "parameters": [
                    {"type": "text", "parameter_name": "first_name", "text": "Ann"},
                    {"type": "text", "parameter_name": "total", "text": "12 €"},
                ]},
            ])
        );
    }

    #[test]
    fn what_whatsapp_would_refuse_is_refused_with_the_field() {
        let long = |count| "x".repeat(count);
        let cart_of = |variables: &[(&str, &str)]| {
            let url = button(ButtonKind::Url, "Open", Some("https://shop.example/{{1}}"));
            template_of(cart(None, "Hi {{1}}", vec![url]), variables, &[])
        };
        let with_header =
            |header, variables: &[(&str, &str)]| template_of(cart(Some(header), "", vec![]), variables, &[]);
        let image = || TemplateHeader::Media { media: "image".to_owned() };
        let no_link = MediaRef { url: "file:///etc/passwd".to_owned(), ..media("image") };
        let table = [
            (Content::Text(long(4097)), "too_long", "The text"),
            (Content::Text(" ".to_owned()), "blank", "The text"),
            (
                Content::Menu { text: long(1025), options: vec![option("a", "A", None)] },
                "too_long",
                "above the options",
            ),
            (menu_of(vec![]), "blank", "no options"),
            (menu_of((0..11).map(|id| option(&id.to_string(), "T", None)).collect()), "too_many", "11 options"),
            (menu_of(vec![option("a", &long(25), None)]), "too_long", "The title of option 1"),
            (menu_of(vec![option("a", "A", None), option("b", "", None)]), "blank", "The title of option 2"),
            (menu_of(vec![option("a", "A", Some(&long(73)))]), "too_long", "The description of option 1"),
            (menu_of(vec![option(&long(201), "A", Some("d"))]), "too_long", "The id of option 1"),
            (menu_of(vec![option(&long(257), "A", None)]), "too_long", "The id of option 1"),
            (Content::Media { media: media("image"), caption: Some(long(1025)) }, "too_long", "The caption"),
            (Content::Media { media: media("audio"), caption: Some("Hi".to_owned()) }, "bad_media", "below audio"),
            (Content::Media { media: media("gif"), caption: None }, "bad_media", "`gif`"),
            (Content::Media { media: no_link, caption: None }, "bad_media", "http"),
            (cart_of(&[("1", "Ann")]), "missing_variable", "`button.0` of the template `cart`"),
            (cart_of(&[("1", " \n"), ("button.0", "x")]), "missing_variable", "`1` of the template `cart`"),
            (cart_of(&[("1", "A"), ("button.0", &long(2001))]), "too_long", "`button.0`"),
            (with_header(image(), &[]), "missing_variable", "`header.1`"),
            (with_header(image(), &[("header.1", "cat.png")]), "bad_media", "`header.1`"),
            (with_header(TemplateHeader::Location, &[]), "bad_template", "`cart`"),
        ];
        for (content, code, field) in table {
            let refusal = body_of(&outgoing(content)).unwrap_err();
            assert_eq!(refusal.code, code, "{}", refusal.text);
            assert!(refusal.text.contains(field), "{}", refusal.text);
            assert_eq!(refusal.class, crate::channels::outgoing::RefusalClass::Permanent);
        }
    }

    #[test]
    fn typing_is_shown_along_with_the_mark() {
        let read = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.1"});
        assert_eq!(mark_read("wamid.1", false), read);
        assert_eq!(mark_read("wamid.1", true)["typing_indicator"], json!({"type": "text"}));
    }
}
