//! The account's templates, as Meta lists them.

use reqwest::Url;
use serde_json::Value;

use super::components::{self, text};
use crate::channels::incoming::FetchedTemplate;
use crate::channels::outgoing::{Refusal, RefusalClass};
use crate::domain::{ButtonKind, MessageTemplate, Reason, TemplateButton, TemplateHeader, TemplateStatus};

/// The fields of a template that are asked for.
pub(super) const FIELDS: &str = "id,name,language,status,category,components";
/// Templates that are asked for at once.
pub(super) const PER_PAGE: &str = "100";
/// Pages that are fetched: an account has 6,000 templates at most, each in a few languages.
pub(super) const MAX_PAGES: usize = 500;

/// The status that Meta's word for it means, in a list of templates or in a notice about one.
pub(super) fn template_status(word: &str) -> TemplateStatus {
    match word.to_ascii_uppercase().as_str() {
        // A flagged template is about to lose its approval, and may be sent until it does.
        "APPROVED" | "REINSTATED" | "UNPAUSED" | "FLAGGED" => TemplateStatus::Approved,
        "PENDING" | "IN_APPEAL" => TemplateStatus::Pending,
        "REJECTED" => TemplateStatus::Rejected,
        "PAUSED" => TemplateStatus::Paused,
        "DISABLED" => TemplateStatus::Disabled,
        _ => TemplateStatus::Other,
    }
}

/// The status that a template has after an event; `None` where that is whatever it was before, so that it has to be
/// asked for.
pub(super) fn template_event(word: &str) -> Option<TemplateStatus> {
    match word.to_ascii_uppercase().as_str() {
        // Taken away: it cannot be sent until it is back.
        "ARCHIVED" | "DELETED" | "PENDING_DELETION" => Some(TemplateStatus::Other),
        other => Some(template_status(other)).filter(|status| *status != TemplateStatus::Other),
    }
}

/// The templates of a page. An entry without a name or a language cannot be sent, and is left out with a warning.
///
/// # Errors
/// When the page is none: a list without it would look like templates gone.
pub(super) fn read_page(page: &Value) -> Result<Vec<FetchedTemplate>, Refusal> {
    let Some(entries) = page.get("data").and_then(Value::as_array) else {
        return Err(refuse(Reason::NoAnswer, "Meta's list of templates has no `data`".to_owned()));
    };
    let readable = entries.iter().filter_map(|entry| {
        let template = read_template(entry);
        if template.is_none() {
            tracing::warn!(
                "Meta lists a template without a name or a language: {}",
                super::http::truncate(&entry.to_string(), 200)
            );
        }
        template
    });
    Ok(readable.collect())
}

/// Where the next page is, if there is one. It must be on the same host as the API: the access token goes along.
///
/// # Errors
/// When it is anywhere else.
pub(super) fn next_page(page: &Value, base: &Url) -> Result<Option<Url>, Refusal> {
    let Some(next) = page.pointer("/paging/next").and_then(Value::as_str) else {
        return Ok(None);
    };
    match next.parse::<Url>() {
        Ok(url) if url.origin() == base.origin() => Ok(Some(url)),
        Ok(url) => {
            let host = url.host_str().unwrap_or("nowhere");
            Err(refuse(
                Reason::ForeignPage,
                format!("The list of templates goes on at {host}, where the token is not sent"),
            ))
        }
        Err(_) => Err(refuse(Reason::ForeignPage, "The list of templates goes on at what is no URL".to_owned())),
    }
}

pub(super) fn refuse(code: Reason, text: String) -> Refusal {
    Refusal { class: RefusalClass::Transient, code: code.into(), text, retry_after: None }
}

fn read_template(entry: &Value) -> Option<FetchedTemplate> {
    let name = text(entry, "name").filter(|name| !name.is_empty())?;
    let language = text(entry, "language").filter(|language| !language.is_empty())?;
    let provider_id = match entry.get("id") {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => String::new(),
    };
    let mut template = MessageTemplate {
        name,
        language,
        status: template_status(&text(entry, "status").unwrap_or_default()),
        category: text(entry, "category").unwrap_or_default(),
        header: None,
        body: String::new(),
        footer: None,
        buttons: Vec::new(),
        unfillable: Vec::new(),
    };
    template.unfillable = components::unfillable(entry);
    for component in entry.get("components").and_then(Value::as_array).into_iter().flatten() {
        match text(component, "type").unwrap_or_default().to_ascii_uppercase().as_str() {
            "BODY" => template.body = text(component, "text").unwrap_or_default(),
            "HEADER" => template.header = read_header(component),
            "FOOTER" => template.footer = text(component, "text"),
            "BUTTONS" => {
                let buttons = component.get("buttons").and_then(Value::as_array);
                template.buttons = buttons.into_iter().flatten().map(read_button).collect();
            }
            // What they keep from being sent is among `unfillable`.
            _ => {}
        }
    }
    Some(FetchedTemplate { provider_id, template })
}

fn read_header(component: &Value) -> Option<TemplateHeader> {
    let format = text(component, "format").unwrap_or_default().to_ascii_lowercase();
    match format.as_str() {
        "text" => Some(TemplateHeader::Text { text: text(component, "text").unwrap_or_default() }),
        "image" | "video" | "document" => Some(TemplateHeader::Media { media: format }),
        "location" => Some(TemplateHeader::Location),
        _ => None,
    }
}

/// A button, whatever it is: it counts in the index of those after it.
fn read_button(button: &Value) -> TemplateButton {
    let kind = match text(button, "type").unwrap_or_default().to_ascii_uppercase().as_str() {
        "QUICK_REPLY" => ButtonKind::QuickReply,
        "URL" => ButtonKind::Url,
        // Its link is Meta's own, and the code is the end of it.
        "OTP" => ButtonKind::Url,
        "PHONE_NUMBER" => ButtonKind::PhoneNumber,
        "COPY_CODE" => ButtonKind::CopyCode,
        "FLOW" => ButtonKind::Flow,
        "CATALOG" => ButtonKind::Catalog,
        _ => ButtonKind::Other,
    };
    let is_code = text(button, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("OTP"));
    TemplateButton {
        kind,
        text: text(button, "text").unwrap_or_default(),
        url: text(button, "url").or_else(|| is_code.then(|| "{{1}}".to_owned())),
        phone_number: text(button, "phone_number"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_every_kind_of_component() {
        let page = json!({"data": [{
            "id": "594425479261596",
            "name": "abandoned_cart",
            "language": "pt_BR",
            "status": "APPROVED",
            "category": "MARKETING",
            "parameter_format": "POSITIONAL",
            "components": [
                {"type": "HEADER", "format": "TEXT", "text": "Olá {{1}}", "example": {"header_text": ["Ana"]}},
                {"type": "BODY", "text": "Seu carrinho de {{1}}", "example": {"body_text": [["12"]]}},
                {"type": "FOOTER", "text": "Responda SAIR para sair"},
                {"type": "BUTTONS", "buttons": [
                    {"type": "QUICK_REPLY", "text": "Sim"},
                    {"type": "URL", "text": "Abrir", "url": "https://shop.example/{{1}}", "example": ["https://x"]},
                    {"type": "PHONE_NUMBER", "text": "Ligar", "phone_number": "+5511"},
                    {"type": "COPY_CODE", "text": "Copiar", "example": ["A"]},
                    {"type": "FLOW", "text": "Form", "flow_id": 1},
                    {"text": 7},
                ]},
                {"type": "LIMITED_TIME_OFFER", "limited_time_offer": {}},
                {"type": 1},
            ],
        }]});
        let button = |kind, text: &str, url: Option<&str>| TemplateButton {
            kind,
            text: text.to_owned(),
            url: url.map(str::to_owned),
            phone_number: (kind == ButtonKind::PhoneNumber).then(|| "+5511".to_owned()),
        };
        let expected = FetchedTemplate {
            provider_id: "594425479261596".to_owned(),
            template: MessageTemplate {
                name: "abandoned_cart".to_owned(),
                language: "pt_BR".to_owned(),
                status: TemplateStatus::Approved,
                category: "MARKETING".to_owned(),
                header: Some(TemplateHeader::Text { text: "Olá {{1}}".to_owned() }),
                body: "Seu carrinho de {{1}}".to_owned(),
                footer: Some("Responda SAIR para sair".to_owned()),
                buttons: vec![
                    button(ButtonKind::QuickReply, "Sim", None),
                    button(ButtonKind::Url, "Abrir", Some("https://shop.example/{{1}}")),
                    button(ButtonKind::PhoneNumber, "Ligar", None),
                    button(ButtonKind::CopyCode, "Copiar", None),
                    button(ButtonKind::Flow, "Form", None),
                    button(ButtonKind::Other, "", None),
                ],
                unfillable: vec![
                    "a button that is not known here".to_owned(),
                    "an offer for a limited time (LIMITED_TIME_OFFER)".to_owned(),
                    "a part that is not known here".to_owned(),
                ],
            },
        };
        assert_eq!(read_page(&page).unwrap(), [expected]);
    }

    #[test]
    fn headers_are_media_or_places_too() {
        let header = |format: &str| read_header(&json!({"type": "HEADER", "format": format}));
        for media in ["IMAGE", "VIDEO", "DOCUMENT"] {
            assert_eq!(header(media), Some(TemplateHeader::Media { media: media.to_ascii_lowercase() }));
        }
        assert_eq!(header("LOCATION"), Some(TemplateHeader::Location));
        assert_eq!(header("HOLOGRAM"), None);
    }

    #[test]
    fn a_page_may_hold_anything_but_must_be_one() {
        let odd = json!({"data": [null, 1, {}, {"name": "a"}, {"name": "", "language": "en"},
            {"name": "a", "language": "en", "id": 5, "components": "none"}]});
        let templates = read_page(&odd).unwrap();
        assert_eq!(templates.len(), 1);
        assert_eq!(templates[0].provider_id, "5");
        assert_eq!(templates[0].template.status, TemplateStatus::Other);
        for page in [json!({}), json!([]), json!({"data": {}})] {
            assert!(read_page(&page).is_err(), "{page}");
        }
    }

    #[test]
    fn the_token_stays_on_its_host() {
        let base: Url = "https://graph.facebook.com/".parse().unwrap();
        let next = |url: &str| next_page(&json!({"paging": {"next": url}}), &base);
        assert!(next("https://graph.facebook.com/v26.0/1/message_templates?after=x").unwrap().is_some());
        assert!(next("https://graph.facebook.com:443/v26.0/1").unwrap().is_some());
        for elsewhere in [
            "https://evil.example/v26.0",
            "http://graph.facebook.com/v26.0",
            "https://graph.facebook.com:8443/",
            "https://graph.facebook.com.evil.example/",
            "https://graph.facebook.com@evil.example/",
            "/v26.0/1",
            "",
        ] {
            assert_eq!(next(elsewhere).unwrap_err().code, "foreign_page", "{elsewhere}");
        }
        assert_eq!(next_page(&json!({"paging": {"cursors": {"after": "x"}}}), &base).unwrap(), None);
    }

    #[test]
    fn words_for_a_status() {
        for (word, status) in [
            ("APPROVED", TemplateStatus::Approved),
            ("approved", TemplateStatus::Approved),
            ("REINSTATED", TemplateStatus::Approved),
            ("FLAGGED", TemplateStatus::Approved),
            ("PENDING", TemplateStatus::Pending),
            ("REJECTED", TemplateStatus::Rejected),
            ("PAUSED", TemplateStatus::Paused),
            ("DISABLED", TemplateStatus::Disabled),
            ("PENDING_DELETION", TemplateStatus::Other),
            ("LIMIT_EXCEEDED", TemplateStatus::Other),
            ("", TemplateStatus::Other),
        ] {
            assert_eq!(template_status(word), status, "{word}");
        }
        // An event that does not say what the template is now has the list asked for.
        for word in ["UNARCHIVED", "LOCKED", "LIMIT_EXCEEDED", "something new"] {
            assert_eq!(template_event(word), None, "{word}");
        }
        for word in ["ARCHIVED", "DELETED", "PENDING_DELETION"] {
            assert_eq!(template_event(word), Some(TemplateStatus::Other), "{word}");
        }
        assert_eq!(template_event("paused"), Some(TemplateStatus::Paused));
    }
}
