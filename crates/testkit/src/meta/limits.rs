//! The shape and the limits of each kind of message, after Meta's documentation. Lengths are code points.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::error::GraphError;

type Checked = Result<(), GraphError>;

/// Checks everything of a message that can be judged by itself, and gives its kind.
pub(super) fn check_message(body: &Value) -> Result<String, GraphError> {
    let message = body.as_object().ok_or_else(|| GraphError::new(100, "The body must be a JSON object."))?;
    check_product(body)?;
    let kind = match message.get("type") {
        None | Some(Value::Null) => "text",
        Some(Value::String(kind)) => kind,
        Some(_) => return Err(GraphError::new(100, "Param type must be a string")),
    };
    let allowed =
        ["messaging_product", "recipient_type", "to", "recipient", "type", "context", "biz_opaque_callback_data"];
    only_keys(message, &[&allowed[..], &[kind]].concat(), "the message")?;
    if let Some(recipient_type) = message.get("recipient_type").filter(|given| *given != "individual") {
        return Err(GraphError::new(
            100,
            format!("Param recipient_type must be one of individual, not {recipient_type}"),
        ));
    }
    if let Some(callback) = message.get("biz_opaque_callback_data") {
        at_most(require_text(callback, "biz_opaque_callback_data")?, 512, 100, "biz_opaque_callback_data")?;
    }
    if let Some(context) = message.get("context") {
        require_text(&context["message_id"], "context['message_id']")?;
    }
    let part = || message.get(kind).and_then(Value::as_object).ok_or_else(|| missing(kind));
    match kind {
        "text" => check_text(part()?),
        "interactive" => check_interactive(part()?),
        // What it is filled with is judged beside the template.
        "template" => only_keys(part()?, &["name", "language", "components"], "template"),
        "image" | "video" | "audio" | "document" | "sticker" => check_media(kind, part()?),
        "location" => check_location(part()?),
        "reaction" => {
            require_text(&body[kind]["message_id"], "reaction['message_id']")?;
            part()?
                .get("emoji")
                .filter(|emoji| emoji.is_string())
                .map(|_| ())
                .ok_or_else(|| missing("reaction['emoji']"))
        }
        "contacts" => match body["contacts"].as_array() {
            Some(contacts) if !contacts.is_empty() => contacts.iter().try_for_each(|contact| {
                require_text(&contact["name"]["formatted_name"], "contacts['name']['formatted_name']").map(|_| ())
            }),
            _ => Err(missing("contacts")),
        },
        kind => Err(GraphError::new(131051, format!("Message type {kind} is not supported"))),
    }?;
    Ok(kind.to_owned())
}

pub(super) fn check_product(body: &Value) -> Checked {
    if body["messaging_product"] == "whatsapp" {
        return Ok(());
    }
    Err(GraphError::new(100, "The parameter messaging_product is required and must be whatsapp."))
}

/// A string that has to be there and not be empty.
pub(super) fn require_text<'a>(value: &'a Value, name: &str) -> Result<&'a str, GraphError> {
    match value.as_str() {
        Some("") => Err(GraphError::new(131008, format!("Param {name} must not be empty"))),
        Some(text) => Ok(text),
        None if value.is_null() => Err(missing(name)),
        None => Err(GraphError::new(100, format!("Param {name} must be a string"))),
    }
}

pub(super) fn at_most(text: &str, limit: usize, code: i64, name: &str) -> Checked {
    let length = text.chars().count();
    if length <= limit {
        return Ok(());
    }
    Err(GraphError::new(code, format!("Param {name} must be at most {limit} characters long, and has {length}")))
}

fn missing(name: &str) -> GraphError {
    GraphError::new(131008, format!("Param {name} is required"))
}

fn only_keys(object: &Map<String, Value>, allowed: &[&str], place: &str) -> Checked {
    match object.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(GraphError::new(100, format!("Unexpected key \"{key}\" on {place}"))),
        None => Ok(()),
    }
}

fn text_within(value: &Value, limit: usize, name: &str) -> Checked {
    at_most(require_text(value, name)?, limit, 131009, name)
}

fn check_text(text: &Map<String, Value>) -> Checked {
    only_keys(text, &["body", "preview_url"], "param text")?;
    at_most(require_text(&text.get("body").cloned().unwrap_or_default(), "text['body']")?, 4096, 100, "text['body']")?;
    match text.get("preview_url") {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(_) => Err(GraphError::new(100, "Param text['preview_url'] must be a boolean")),
    }
}

fn check_interactive(interactive: &Map<String, Value>) -> Checked {
    only_keys(interactive, &["type", "header", "body", "footer", "action"], "param interactive")?;
    let part = |name: &str| interactive.get(name).unwrap_or(&Value::Null);
    let kind = require_text(part("type"), "interactive['type']")?;
    let body_limit = if kind == "list" { 4096 } else { 1024 };
    text_within(&part("body")["text"], body_limit, "interactive['body']['text']")?;
    if !part("footer").is_null() {
        text_within(&part("footer")["text"], 60, "interactive['footer']['text']")?;
    }
    check_header(kind, part("header"))?;
    let action = part("action");
    match kind {
        "button" => check_buttons(&action["buttons"]),
        "list" => check_list(action),
        "cta_url" => {
            text_within(&action["parameters"]["display_text"], 20, "action['parameters']['display_text']")?;
            check_link(&action["parameters"]["url"], "action['parameters']['url']")
        }
        "request_contact_info" if action["name"] == "request_contact_info" => Ok(()),
        "location_request_message" if action["name"] == "send_location" => Ok(()),
        kind => Err(GraphError::new(131009, format!("interactive['type'] {kind} with this action is not supported"))),
    }
}

fn check_header(kind: &str, header: &Value) -> Checked {
    if header.is_null() {
        return Ok(());
    }
    match require_text(&header["type"], "interactive['header']['type']")? {
        "text" => text_within(&header["text"], 60, "interactive['header']['text']"),
        media @ ("image" | "video" | "document") if kind != "list" => {
            let part = header[media].as_object().ok_or_else(|| missing("interactive['header']"))?;
            check_source(part, media)
        }
        other => Err(GraphError::new(131009, format!("A header of type {other} is not allowed in {kind}"))),
    }
}

fn check_buttons(buttons: &Value) -> Checked {
    let buttons = buttons.as_array().ok_or_else(|| missing("action['buttons']"))?;
    if !(1..=3).contains(&buttons.len()) {
        let details =
            format!("Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3, given: {}", buttons.len());
        return Err(GraphError::new(131009, details));
    }
    let (mut ids, mut titles) = (HashSet::new(), HashSet::new());
    for button in buttons {
        if button["type"] != "reply" {
            return Err(GraphError::new(131009, "Button type must be reply"));
        }
        text_within(&button["reply"]["id"], 256, "button['reply']['id']")?;
        text_within(&button["reply"]["title"], 20, "button['reply']['title']")?;
        if !ids.insert(button["reply"]["id"].as_str()) || !titles.insert(button["reply"]["title"].as_str()) {
            return Err(GraphError::new(131009, "Ids and titles of buttons must be unique in a message"));
        }
    }
    Ok(())
}

fn check_list(action: &Value) -> Checked {
    text_within(&action["button"], 20, "action['button']")?;
    let sections = action["sections"].as_array().ok_or_else(|| missing("action['sections']"))?;
    if !(1..=10).contains(&sections.len()) {
        return Err(GraphError::new(131009, format!("A list has 1 to 10 sections, given: {}", sections.len())));
    }
    let mut ids = HashSet::new();
    let mut rows = 0;
    for section in sections {
        if sections.len() > 1 || !section["title"].is_null() {
            text_within(&section["title"], 24, "section['title']")?;
        }
        for row in section["rows"].as_array().ok_or_else(|| missing("section['rows']"))? {
            rows += 1;
            text_within(&row["id"], 200, "row['id']")?;
            text_within(&row["title"], 24, "row['title']")?;
            if !row["description"].is_null() {
                text_within(&row["description"], 72, "row['description']")?;
            }
            if !ids.insert(row["id"].as_str()) {
                return Err(GraphError::new(131009, "Ids of rows must be unique in a list"));
            }
        }
    }
    if (1..=10).contains(&rows) {
        return Ok(());
    }
    Err(GraphError::new(131009, format!("Total row count exceeds the limit: 1 to 10 over all sections, given: {rows}")))
}

fn check_media(kind: &str, media: &Map<String, Value>) -> Checked {
    let allowed: &[&str] = match kind {
        "image" | "video" => &["id", "link", "caption"],
        "document" => &["id", "link", "caption", "filename"],
        "audio" => &["id", "link", "voice"],
        _ => &["id", "link"],
    };
    only_keys(media, allowed, &format!("param {kind}"))?;
    check_source(media, kind)?;
    match media.get("caption") {
        Some(caption) => at_most(caption.as_str().unwrap_or_default(), 1024, 131009, &format!("{kind}['caption']")),
        None => Ok(()),
    }
}

/// Either an id or a link.
fn check_source(media: &Map<String, Value>, name: &str) -> Checked {
    match (media.get("id"), media.get("link")) {
        (Some(id), None) => require_text(id, &format!("{name}['id']")).map(|_| ()),
        (None, Some(link)) => check_link(link, &format!("{name}['link']")),
        _ => Err(GraphError::new(131009, format!("{name} needs exactly one of id and link"))),
    }
}

fn check_link(link: &Value, name: &str) -> Checked {
    let link = require_text(link, name)?;
    if (link.starts_with("https://") || link.starts_with("http://")) && !link.contains(char::is_whitespace) {
        return Ok(());
    }
    Err(GraphError::new(100, format!("Param {name} is not a valid URL: {link}")))
}

fn check_location(location: &Map<String, Value>) -> Checked {
    let degrees = |name: &str, limit: f64| {
        let value = location.get(name).and_then(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok()));
        match value {
            Some(value) if value.abs() <= limit => Ok(()),
            Some(_) => Err(GraphError::new(131009, format!("location['{name}'] is out of range"))),
            None => Err(missing(&format!("location['{name}']"))),
        }
    };
    only_keys(location, &["latitude", "longitude", "name", "address"], "param location")?;
    degrees("latitude", 90.0)?;
    degrees("longitude", 180.0)
}
