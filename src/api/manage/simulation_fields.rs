//! How a simulation begins and what happens in it, as requests and test cases say it.

use actix_web::http::Method;
use serde_json::Value;

use crate::api::inbound::generic::{Content, MEDIA_DEPTH, TEXT_CHARS, read_content};
use crate::api::public::actions;
use crate::api::public::session_events::read_payload;
use crate::api::request::{Fields, Reader};
use crate::channels::ChannelKind;
use crate::domain::text::json_depth;
use crate::domain::unseen::is_blank;
use crate::domain::{EventName, FlowDocument, FlowId, Phone, ReplyKind, Timestamp};
use crate::runtime::simulation::{HttpStub, Opening, SimulatedEvent, Start, TestContact};

/// Seconds that one event may let go by: ten years.
const ADVANCE_SECONDS: f64 = 3_650.0 * 86_400.0;
/// Answers of HTTP calls at most.
const STUBS: usize = 100;
/// Characters of a name, a code or another short text at most.
const SHORT_CHARS: usize = 255;
/// Tags of a contact at most.
const TAGS: usize = 100;

/// Reads how a simulation begins. `now` and `seed` are those of a request that has none.
pub(super) fn read_start(fields: &mut Fields<'_>, now: Timestamp, seed: u64) -> Start {
    let contact = fields.object("contact");
    let contact = contact.map(|contact| fields.within("contact", contact, read_test_contact)).unwrap_or_default();
    let context = actions::read_context(fields);
    let message = fields.object("message");
    let message = message.and_then(|message| fields.within("message", message, read_opening));
    if message.is_some() && !context.is_empty() {
        fields.fail("context", "A message brings no context: send one of the two.");
    }
    let now = fields.parsed("now").unwrap_or(now);
    let seed = fields.whole_number("seed").unwrap_or(seed);
    let channels = ChannelKind::ALL.map(|kind| (kind.as_str(), kind));
    let channel = fields.choice("channel", &channels).unwrap_or_default();
    // Where there is a window, a business that speaks first has none yet.
    let window_open = fields.boolean("window_open").unwrap_or(!channel.has_window() || message.is_some());
    let flows = fields.object("flows").cloned().unwrap_or_default();
    for (id, document) in &flows {
        let place = format!("flows.{id}");
        if id.parse::<FlowId>().is_err() {
            fields.fail(&place, "The flows must be named by their ids.");
        }
        if let Err(problems) = FlowDocument::parse(document) {
            problems.iter().for_each(|problem| fields.fail(&place, problem.to_string()));
        }
    }
    let http = fields.list("http").cloned().unwrap_or_default();
    if http.len() > STUBS {
        fields.fail("http", format!("The http must not have more than {STUBS} answers."));
    }
    let http = http.iter().take(STUBS).enumerate().filter_map(|(index, stub)| {
        let place = format!("http.{index}");
        let Some(stub) = stub.as_object() else {
            fields.fail(&place, "An answer must be an object.");
            return None;
        };
        fields.within(&place, stub, read_stub)
    });
    let http = http.collect();
    Start { contact, context, message, now, seed, channel, window_open, flows, http }
}

/// The message that begins it.
fn read_opening(fields: &mut Fields<'_>) -> Option<Opening> {
    let Content { kind, text, option, media, referral } = read_content(fields);
    fields.refuse_unknown();
    let (media, referral) = (media.unwrap_or_default(), referral.unwrap_or_default());
    Some(Opening { kind: kind?, text, option, media, referral })
}

fn read_test_contact(fields: &mut Fields<'_>) -> TestContact {
    let name = short_text(fields, "name");
    let phone: Option<Phone> = fields.parsed("phone");
    let email = short_text(fields, "email");
    let language = short_text(fields, "language");
    let tags = fields.list("tags").cloned().unwrap_or_default();
    let is_tag = |tag: &Value| tag.as_str().is_some_and(|tag| !is_blank(tag) && tag.chars().count() <= SHORT_CHARS);
    if tags.len() > TAGS || !tags.iter().all(is_tag) {
        fields.fail("tags", format!("The tags must be at most {TAGS} texts of 1 to {SHORT_CHARS} characters."));
    }
    let tags = tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect();
    let metadata = fields.object("metadata").cloned().unwrap_or_default();
    if json_depth(&Value::Object(metadata.clone())) > MEDIA_DEPTH {
        fields.fail("metadata", format!("The metadata must not be nested deeper than {MEDIA_DEPTH} levels."));
    }
    fields.refuse_unknown();
    TestContact { name, phone, email, language, tags, metadata }
}

fn read_stub(fields: &mut Fields<'_>) -> Option<HttpStub> {
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD];
    let names = methods.each_ref().map(|method| (method.as_str(), method.as_str()));
    let method = fields.choice("method", &names).map(str::to_owned);
    let url = fields.text("url").map(str::to_owned);
    let status = fields.whole_number("status").and_then(|status| u16::try_from(status).ok());
    let body = fields.value("body").cloned().unwrap_or_default();
    fields.refuse_unknown();
    match status {
        Some(status) if (100..=599).contains(&status) => Some(HttpStub { method, url, status, body }),
        _ => {
            fields.fail("status", "The status must be 100 to 599.");
            None
        }
    }
}

fn short_text(fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
    let text = fields.text(name)?;
    if text.chars().count() > SHORT_CHARS {
        fields.fail(name, format!("The {name} must not be longer than {SHORT_CHARS} characters."));
    }
    Some(text.to_owned())
}

/// Reads an event. `None` where something is missing, which is among the errors then.
pub(super) fn read_event(fields: &mut Fields<'_>) -> Option<SimulatedEvent> {
    type Read = fn(&mut Fields<'_>) -> Option<SimulatedEvent>;
    const KINDS: [(&str, Read); 13] = [
        ("reply", |fields| {
            let text = read_text(fields, "text");
            if text.is_none() && fields.value("text").is_none() {
                fields.fail("text", "The text field is required.");
            }
            Some(SimulatedEvent::Reply { message: read_index(fields), text: text? })
        }),
        ("tap", |fields| {
            let id = fields.required_text("id").map(str::to_owned);
            Some(SimulatedEvent::Tap { message: read_index(fields), text: read_text(fields, "text"), id: id? })
        }),
        ("media", read_media),
        ("location", |fields| {
            let [latitude, longitude] = ["latitude", "longitude"].map(|name| match fields.value(name) {
                Some(Value::Number(number)) => Some(number.clone()),
                _ => {
                    fields.fail(name, format!("The {name} must be a number."));
                    None
                }
            });
            let (name, address) = (short_text(fields, "name"), short_text(fields, "address"));
            Some(SimulatedEvent::Location { latitude: latitude?, longitude: longitude?, name, address })
        }),
        ("advance", |fields| {
            let seconds = fields.value("seconds").and_then(Value::as_f64);
            let seconds = seconds.filter(|seconds| (0.0..=ADVANCE_SECONDS).contains(seconds));
            if seconds.is_none() {
                fields.fail("seconds", format!("The seconds must be a number from 0 to {ADVANCE_SECONDS}."));
            }
            let fire = fields.boolean("fire").unwrap_or(true);
            Some(SimulatedEvent::Advance { seconds: seconds?, fire })
        }),
        ("timeout", |_| Some(SimulatedEvent::Timeout)),
        ("expire", |_| Some(SimulatedEvent::Expire)),
        ("event", |fields| {
            let name: Option<EventName> = fields.required("name");
            Some(SimulatedEvent::Event { payload: read_payload(fields), name: name? })
        }),
        ("resume", |_| Some(SimulatedEvent::Resume)),
        ("delivery_failed", |fields| {
            Some(SimulatedEvent::DeliveryFailed { message: read_index(fields), code: short_text(fields, "code") })
        }),
        ("window", |fields| {
            let open = fields.boolean("open");
            if fields.value("open").is_none() {
                fields.fail("open", "The open field is required.");
            }
            Some(SimulatedEvent::Window { open: open? })
        }),
        ("colleague", |fields| Some(SimulatedEvent::Colleague { text: read_text(fields, "text") })),
        ("cancel", |fields| Some(SimulatedEvent::Cancel { reason: short_text(fields, "reason") })),
    ];
    fields.required_text("type")?;
    // Which other keys are known depends on the type.
    let read = fields.choice("type", &KINDS)?;
    let event = read(fields);
    fields.refuse_unknown();
    event
}

fn read_media(fields: &mut Fields<'_>) -> Option<SimulatedEvent> {
    const KINDS: [(&str, ReplyKind); 6] = [
        ("image", ReplyKind::Image),
        ("video", ReplyKind::Video),
        ("audio", ReplyKind::Audio),
        ("document", ReplyKind::Document),
        ("sticker", ReplyKind::Sticker),
        ("contacts", ReplyKind::Contacts),
    ];
    let kind = fields.required_text("kind").and_then(|_| fields.choice("kind", &KINDS));
    let text = read_text(fields, "text");
    let media = fields.object("media").cloned().unwrap_or_default();
    if json_depth(&Value::Object(media.clone())) > MEDIA_DEPTH {
        fields.fail("media", format!("The media must not be nested deeper than {MEDIA_DEPTH} levels."));
    }
    Some(SimulatedEvent::Media { kind: kind?, text, media })
}

fn read_text(fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
    let text = fields.text(name)?;
    if text.chars().count() > TEXT_CHARS {
        fields.fail(name, format!("The {name} must not be longer than {TEXT_CHARS} characters."));
    }
    Some(text.to_owned())
}

fn read_index(fields: &mut Fields<'_>) -> Option<usize> {
    fields.whole_number("message").map(|index| usize::try_from(index).unwrap_or(usize::MAX))
}
