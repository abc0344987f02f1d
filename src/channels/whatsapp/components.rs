//! The parts of templates, and how each is filled when a template is sent: the only list of them.
//!
//! A part that takes values of its own with each message, and that nothing here can fill, makes the whole template one
//! that Meta would refuse; so does a part that is not known here. Names are Meta's (Message templates, "Components"),
//! as pywa 4.5 lists them and as the Graph API names what a button may be filled as.

use serde_json::Value;

/// Where a part stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Among the components.
    Component,
    /// Above the body: the header's format.
    Header,
    /// Among the buttons.
    Button,
}

/// How a part is filled when the template is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It goes as it was approved, and must not be named.
    AsItIs,
    /// It is filled with the message's values, or named without any.
    Filled,
    /// Nothing here can fill it. What it is, in words.
    Refused(&'static str),
}

const PARTS: [(Place, &str, Way); 40] = [
    (Place::Component, "HEADER", Way::Filled),
    (Place::Component, "BODY", Way::Filled),
    (Place::Component, "FOOTER", Way::AsItIs),
    (Place::Component, "BUTTONS", Way::Filled),
    (Place::Component, "CALL_PERMISSION_REQUEST", Way::AsItIs),
    (Place::Component, "REQUEST_CONTACT_INFO", Way::AsItIs),
    (Place::Component, "CAROUSEL", Way::Refused("a carousel of cards")),
    (Place::Component, "LIMITED_TIME_OFFER", Way::Refused("an offer for a limited time")),
    (Place::Component, "ORDER_STATUS", Way::Refused("the status of an order")),
    (Place::Component, "TAP_TARGET_CONFIGURATION", Way::Refused("a link for a tap on the title")),
    (Place::Header, "", Way::AsItIs),
    (Place::Header, "TEXT", Way::Filled),
    (Place::Header, "IMAGE", Way::Filled),
    (Place::Header, "VIDEO", Way::Filled),
    (Place::Header, "DOCUMENT", Way::Filled),
    (Place::Header, "LOCATION", Way::Refused("a place above the text")),
    (Place::Header, "PRODUCT", Way::Refused("a product above the text")),
    (Place::Header, "GIF", Way::Refused("a moving picture above the text")),
    (Place::Button, "QUICK_REPLY", Way::Filled),
    (Place::Button, "URL", Way::Filled),
    // Of authentication templates: Meta takes the code as the end of a link.
    (Place::Button, "OTP", Way::Filled),
    (Place::Button, "COPY_CODE", Way::Filled),
    // Both are named without values, which are optional: the form's first screen, the catalog's first picture.
    (Place::Button, "FLOW", Way::Filled),
    (Place::Button, "CATALOG", Way::Filled),
    (Place::Button, "PHONE_NUMBER", Way::AsItIs),
    (Place::Button, "VOICE_CALL", Way::AsItIs),
    (Place::Button, "CALL_PERMISSION_REQUEST", Way::AsItIs),
    (Place::Button, "REQUEST_CONTACT_INFO", Way::AsItIs),
    // Goes with the product above the text, which is refused by itself.
    (Place::Button, "SPM", Way::Refused("a button for a product")),
    (Place::Button, "MPM", Way::Refused("a button for several products")),
    (Place::Button, "ORDER_DETAILS", Way::Refused("a button for the details of an order")),
    (Place::Button, "REVIEW_AND_PAY", Way::Refused("a button that pays")),
    (Place::Button, "PAYMENT_REQUEST", Way::Refused("a button that pays")),
    (Place::Button, "OPEN_PAYMENT_SETTINGS", Way::Refused("a button for the settings of payments")),
    (Place::Button, "REMINDER", Way::Refused("a button that reminds")),
    (Place::Button, "BOOKING_CONFIRMATION", Way::Refused("a button for a booking")),
    (Place::Button, "APP", Way::Refused("a button that opens an app")),
    (Place::Button, "GROUP_INVITE_LINK", Way::Refused("an invitation to a group")),
    (Place::Button, "CAROUSEL", Way::Refused("a carousel of cards")),
    (Place::Button, "ORDER_STATUS", Way::Refused("the status of an order")),
];

/// Why a part keeps its template from being sent, with Meta's name for it; `None` if it does not.
pub(super) fn refused(place: Place, name: &str) -> Option<String> {
    let known = PARTS.iter().find(|part| part.0 == place && part.1 == name).map(|part| part.2);
    let what = match known {
        Some(Way::AsItIs | Way::Filled) => return None,
        Some(Way::Refused(what)) => what,
        None => match place {
            Place::Component => "a part that is not known here",
            Place::Header => "something above the text that is not known here",
            Place::Button => "a button that is not known here",
        },
    };
    let name = crate::channels::http::truncate(name, 40);
    Some(if name.is_empty() { what.to_owned() } else { format!("{what} ({name})") })
}

/// The parts of a template, as Meta lists it, that keep it from being sent; each once.
pub(super) fn unfillable(entry: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut add = |what: Option<String>| {
        if let Some(what) = what.filter(|what| !found.contains(what)) {
            found.push(what);
        }
    };
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let upper = |value: &Value, key: &str| text(value, key).unwrap_or_default().to_ascii_uppercase();
    for component in list(entry, "components") {
        let kind = upper(&component, "type");
        add(refused(Place::Component, &kind));
        match kind.as_str() {
            "HEADER" => {
                add(refused(Place::Header, &upper(&component, "format")));
                let header = text(&component, "text").unwrap_or_default();
                add((variables(&header) > 1).then(|| "several variables above the text".to_owned()));
            }
            // Meta does not reveal the text of authentication templates anywhere.
            "BODY" => {
                let is_blank = text(&component, "text").unwrap_or_default().trim().is_empty();
                add(is_blank.then(|| "a text that Meta does not tell".to_owned()));
            }
            "BUTTONS" => {
                for button in list(&component, "buttons") {
                    add(refused(Place::Button, &upper(&button, "type")));
                    let link = text(&button, "url").unwrap_or_default();
                    add((variables(&link) > 1).then(|| "a button whose link has several variables".to_owned()));
                }
            }
            _ => {}
        }
    }
    found
}

fn variables(text: &str) -> usize {
    text.matches("{{").count()
}

/// A field's text, if it is one.
pub(super) fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channels::whatsapp::templates::read_page;

    /// A template with a body and these components, as it is read.
    fn read(components: Vec<Value>) -> crate::domain::MessageTemplate {
        let mut all = vec![json!({"type": "BODY", "text": "Hi {{1}}"})];
        all.extend(components);
        let entry = json!({"id": "1", "name": "t", "language": "en", "status": "APPROVED", "components": all});
        assert_eq!(unfillable(&entry), read_page(&json!({"data": [entry.clone()]})).unwrap()[0].template.unfillable);
        read_page(&json!({"data": [entry]})).unwrap().remove(0).template
    }

    fn header(format: &str) -> Value {
        json!({"type": "HEADER", "format": format})
    }

    fn buttons(kinds: &[&str]) -> Value {
        let buttons: Vec<Value> = kinds
            .iter()
            .map(|kind| match *kind {
                "URL" => json!({"type": "URL", "text": "Open", "url": "https://a.example/{{1}}"}),
                "STATIC_URL" => json!({"type": "URL", "text": "Open", "url": "https://a.example/"}),
                "TWO_URL" => json!({"type": "URL", "text": "Open", "url": "https://a.example/{{1}}/{{2}}"}),
                kind => json!({"type": kind, "text": "B"}),
            })
            .collect();
        json!({"type": "BUTTONS", "buttons": buttons})
    }

    #[test]
    fn each_part_is_listed_once() {
        for (at, (place, name, _)) in PARTS.iter().enumerate() {
            assert!(!PARTS[..at].iter().any(|part| (part.0, part.1) == (*place, *name)), "{place:?} {name}");
        }
    }

    #[test]
    fn templates_that_can_be_sent_say_what_they_want() {
        let text = |text: &str| json!({"type": "HEADER", "format": "TEXT", "text": text});
        let shapes: Vec<(Vec<Value>, &[&str])> = vec![
            (vec![], &["1"]),
            (vec![json!({"type": "FOOTER", "text": "STOP to end"})], &["1"]),
            (vec![json!({"type": "FOOTER", "code_expiration_minutes": 5})], &["1"]),
            (vec![text("News")], &["1"]),
            (vec![text("News for {{1}}")], &["header.1", "1"]),
            (vec![text("News for {{name}}")], &["header.1", "1"]),
            (vec![json!({"type": "header", "format": "text", "text": "News"})], &["1"]),
            (vec![header("IMAGE")], &["header.1", "1"]),
            (vec![header("VIDEO")], &["header.1", "1"]),
            (vec![header("DOCUMENT")], &["header.1", "1"]),
            (vec![header("image")], &["header.1", "1"]),
            (vec![buttons(&["QUICK_REPLY"])], &["1"]),
            (vec![buttons(&["QUICK_REPLY", "QUICK_REPLY", "QUICK_REPLY"])], &["1"]),
            (vec![buttons(&["STATIC_URL"])], &["1"]),
            (vec![buttons(&["URL"])], &["1", "button.0"]),
            (vec![buttons(&["STATIC_URL", "URL"])], &["1", "button.1"]),
            (vec![buttons(&["PHONE_NUMBER"])], &["1"]),
            (vec![buttons(&["PHONE_NUMBER", "URL"])], &["1", "button.1"]),
            (vec![buttons(&["COPY_CODE"])], &["1", "button.0"]),
            (vec![buttons(&["COPY_CODE", "URL"])], &["1", "button.0", "button.1"]),
            (vec![buttons(&["OTP"])], &["1", "button.0"]),
            (vec![buttons(&["FLOW"])], &["1"]),
            (vec![buttons(&["CATALOG"])], &["1"]),
            (vec![buttons(&["VOICE_CALL"])], &["1"]),
            (vec![buttons(&["VOICE_CALL", "URL"])], &["1", "button.1"]),
            (vec![buttons(&["CALL_PERMISSION_REQUEST"])], &["1"]),
            (vec![buttons(&["REQUEST_CONTACT_INFO"])], &["1"]),
            (vec![json!({"type": "CALL_PERMISSION_REQUEST"})], &["1"]),
            (vec![header("IMAGE"), buttons(&["URL", "QUICK_REPLY"])], &["header.1", "1", "button.0"]),
            (vec![header("DOCUMENT"), buttons(&["FLOW"])], &["header.1", "1"]),
            (vec![buttons(&["quick_reply", "url"])], &["1"]),
            (vec![json!({"type": "BUTTONS", "buttons": []})], &["1"]),
            (vec![json!({"type": "BUTTONS"})], &["1"]),
        ];
        for (components, keys) in shapes {
            let template = read(components.clone());
            assert_eq!(template.unfillable, Vec::<String>::new(), "{components:?}");
            let wanted: Vec<String> = template.placeholders().into_iter().map(|placeholder| placeholder.key).collect();
            assert_eq!(wanted, keys, "{components:?}");
        }
    }

    #[test]
    fn templates_that_cannot_be_filled_name_the_part() {
        let card = json!({"components": [header("IMAGE"), {"type": "BODY", "text": "A"}, buttons(&["QUICK_REPLY"])]});
        let text = |text: &str| json!({"type": "HEADER", "format": "TEXT", "text": text});
        let shapes: Vec<(Vec<Value>, &[&str])> = vec![
            (vec![json!({"type": "CAROUSEL", "cards": [card]})], &["a carousel of cards (CAROUSEL)"]),
            (vec![json!({"type": "carousel", "cards": []})], &["a carousel of cards (CAROUSEL)"]),
            (
                vec![json!({"type": "LIMITED_TIME_OFFER",
                        "limited_time_offer": {"text": "Now", "has_expiration": true}})],
                &["an offer for a limited time (LIMITED_TIME_OFFER)"],
            ),
            (
                vec![
                    header("IMAGE"),
                    json!({"type": "LIMITED_TIME_OFFER", "limited_time_offer": {"text": "Now"}}),
                    buttons(&["COPY_CODE", "URL"]),
                ],
                &["an offer for a limited time (LIMITED_TIME_OFFER)"],
            ),
            (vec![json!({"type": "ORDER_STATUS"})], &["the status of an order (ORDER_STATUS)"]),
            (
                vec![json!({"type": "TAP_TARGET_CONFIGURATION"})],
                &["a link for a tap on the title (TAP_TARGET_CONFIGURATION)"],
            ),
            (vec![header("PRODUCT")], &["a product above the text (PRODUCT)"]),
            (
                vec![header("PRODUCT"), buttons(&["SPM"])],
                &["a product above the text (PRODUCT)", "a button for a product (SPM)"],
            ),
            (vec![header("LOCATION")], &["a place above the text (LOCATION)"]),
            (vec![header("location")], &["a place above the text (LOCATION)"]),
            (vec![header("GIF")], &["a moving picture above the text (GIF)"]),
            (vec![header("HOLOGRAM")], &["something above the text that is not known here (HOLOGRAM)"]),
            (vec![text("{{1}} of {{2}}")], &["several variables above the text"]),
            (vec![text("{{a}} {{a}}")], &["several variables above the text"]),
            (vec![buttons(&["MPM"])], &["a button for several products (MPM)"]),
            (vec![buttons(&["mpm"])], &["a button for several products (MPM)"]),
            (vec![buttons(&["SPM"])], &["a button for a product (SPM)"]),
            (vec![buttons(&["ORDER_DETAILS"])], &["a button for the details of an order (ORDER_DETAILS)"]),
            (vec![buttons(&["REVIEW_AND_PAY"])], &["a button that pays (REVIEW_AND_PAY)"]),
            (vec![buttons(&["PAYMENT_REQUEST"])], &["a button that pays (PAYMENT_REQUEST)"]),
            (
                vec![buttons(&["OPEN_PAYMENT_SETTINGS"])],
                &["a button for the settings of payments (OPEN_PAYMENT_SETTINGS)"],
            ),
            (vec![buttons(&["REMINDER"])], &["a button that reminds (REMINDER)"]),
            (vec![buttons(&["BOOKING_CONFIRMATION"])], &["a button for a booking (BOOKING_CONFIRMATION)"]),
            (vec![buttons(&["APP"])], &["a button that opens an app (APP)"]),
            (vec![buttons(&["GROUP_INVITE_LINK"])], &["an invitation to a group (GROUP_INVITE_LINK)"]),
            (vec![buttons(&["QUICK_REPLY", "MPM"])], &["a button for several products (MPM)"]),
            (vec![buttons(&["MPM", "MPM"])], &["a button for several products (MPM)"]),
            (vec![buttons(&["TWO_URL"])], &["a button whose link has several variables"]),
            (vec![buttons(&["TELEPORT"])], &["a button that is not known here (TELEPORT)"]),
            (vec![json!({"type": "BUTTONS", "buttons": [{"text": 7}]})], &["a button that is not known here"]),
            (vec![json!({"type": "SEANCE"})], &["a part that is not known here (SEANCE)"]),
            (vec![json!({"type": 1})], &["a part that is not known here"]),
            (vec![json!({"type": "BODY", "add_security_recommendation": true})], &["a text that Meta does not tell"]),
        ];
        for (components, parts) in shapes {
            let template = read(components.clone());
            assert_eq!(template.unfillable, parts, "{components:?}");
            let why = template.cannot_be_sent().unwrap();
            assert!(why.contains(parts[0]), "{why}");
        }
    }
}
