//! `/simulations`: conversations that are tried out, with a clock that the caller moves.

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::publishing;
use crate::api::answer::iso;
use crate::api::error::ApiError;
use crate::api::inbound::generic::{Content, MEDIA_DEPTH, TEXT_CHARS, read_content};
use crate::api::public::actions;
use crate::api::public::session_events::read_payload;
use crate::api::request::{Fields, JsonBody, Reader};
use crate::api::state::{State, compute};
use crate::domain::text::json_depth;
use crate::domain::unseen::is_blank;
use crate::domain::{EventName, FlowDocument, FlowId, Phone, ReplyKind, SimulationId, Timestamp};
use crate::error::{Error, Result};
use crate::runtime::authoring::CheckedDocument;
use crate::runtime::simulation::{
    HttpStub, Medium, NotStarted, Opening, Persona, Refused, SimulatedMessage, SimulatedTurn, Simulation, Start,
    Stimulus, Subject,
};
use crate::store::flows as flow_rows;

/// Seconds that one event may let go by: ten years.
const ADVANCE_SECONDS: f64 = 3_650.0 * 86_400.0;
/// Answers of HTTP calls at most.
const STUBS: usize = 100;
/// Characters of a name, a code or another short text at most.
const SHORT_CHARS: usize = 255;
/// Tags of a contact at most.
const TAGS: usize = 100;

pub(in crate::api) fn not_found() -> ApiError {
    ApiError::not_found("Simulation not found").hint("A simulation is kept for an hour: start another.")
}

/// What a simulation is made from.
enum Source {
    Document(Value),
    Flow { id: FlowId, version: Option<u32> },
}

/// `POST /simulations`: starts a conversation and runs its first turn.
pub(in crate::api) async fn start_simulation(
    state: web::Data<State>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::of(&body.fields);
    let source = read_source(&mut fields);
    let start = read_start(&mut fields, state.runtime.clock().now(), Uuid::now_v7().as_u64_pair().1 >> 11);
    fields.refuse_unknown();
    let source = fields.finish_with(|| source)?;
    let answer = in_background(state.clone(), move || {
        let subject = find_subject(&state, source)?;
        let kind = subject.flow.document().kind;
        let simulation = Simulation::start(subject, start).map_err(|refusal| match refusal {
            NotStarted::Trigger(refusal) => actions::refused(kind, refusal),
            NotStarted::Message(text) => ApiError::Validation(vec![("message".to_owned(), text)]),
        })?;
        let view = simulation_view(&simulation, simulation.turns());
        let id = state.runtime.simulations().keep(simulation);
        Ok(with_id(id, view))
    });
    Ok(HttpResponse::Created().json(answer.await?))
}

/// `POST /simulations/{id}/events`: what happens next.
pub(in crate::api) async fn take_event(
    state: web::Data<State>,
    id: web::Path<String>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let id: SimulationId = id.parse().map_err(|_| not_found())?;
    let mut fields = Fields::of(&body.fields);
    let event = read_event(&mut fields);
    let event = fields.finish_with(|| event)?;
    let answer = in_background(state.clone(), move || {
        let taken = state.runtime.simulations().with(id, |simulation| {
            let before = simulation.turns().len();
            simulation.take(&event).map(|()| simulation_view(simulation, &simulation.turns()[before..]))
        });
        Ok(with_id(id, taken.ok_or_else(not_found)?.map_err(refused)?))
    });
    Ok(HttpResponse::Ok().json(answer.await?))
}

/// `GET /simulations/{id}`: where it stands, with all its turns.
pub(in crate::api) async fn get_simulation(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: SimulationId = id.parse().map_err(|_| not_found())?;
    let answer = in_background(state.clone(), move || {
        let view = |simulation: &mut Simulation| simulation_view(simulation, simulation.turns());
        Ok(with_id(id, state.runtime.simulations().with(id, view).ok_or_else(not_found)?))
    });
    Ok(HttpResponse::Ok().json(answer.await?))
}

/// Turns may take milliseconds each: they run where a thread may block.
pub(in crate::api) async fn in_background<T: Send + 'static>(
    state: web::Data<State>,
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    compute(&state, "A simulation", work).await?
}

fn refused(refused: Refused) -> ApiError {
    let error = match refused.reason.as_str() {
        "no_session" | "session_ended" => "The session has ended.".to_owned(),
        reason => {
            let mut chars = reason.chars();
            let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
            format!("{first}{}.", chars.as_str())
        }
    };
    ApiError::refused(StatusCode::CONFLICT, error).with("reason", refused.reason)
}

fn read_source(fields: &mut Fields<'_>) -> Option<Source> {
    let document = fields.object("flow");
    let id: Option<FlowId> = fields.parsed("flow_id");
    let version = fields.whole_number("version");
    let (has_document, has_id) = (fields.value("flow").is_some(), fields.value("flow_id").is_some());
    if has_document == has_id {
        let text = "Send either a flow, which is a document, or a flow_id.";
        fields.fail("flow", text);
        fields.fail("flow_id", text);
    }
    if version.is_some() && !has_id {
        fields.fail("version", "The version is one of a flow_id's.");
    }
    let version = match version.map(u32::try_from) {
        Some(Ok(0) | Err(_)) => {
            fields.fail("version", "The version must be 1 or more.");
            None
        }
        Some(Ok(version)) => Some(version),
        None => None,
    };
    document
        .map(|document| Source::Document(Value::Object(document.clone())))
        .or_else(|| id.map(|id| Source::Flow { id, version }))
}

/// Reads how a simulation begins. `now` and `seed` are those of a request that has none.
pub(in crate::api) fn read_start(fields: &mut Fields<'_>, now: Timestamp, seed: u64) -> Start {
    let contact = fields.object("contact");
    let contact = contact.map(|contact| fields.within("contact", contact, read_persona)).unwrap_or_default();
    let context = actions::read_context(fields);
    let message = fields.object("message");
    let message = message.and_then(|message| fields.within("message", message, read_opening));
    if message.is_some() && !context.is_empty() {
        fields.fail("context", "A message brings no context: send one of the two.");
    }
    let now = fields.parsed("now").unwrap_or(now);
    let seed = fields.whole_number("seed").unwrap_or(seed);
    let channels = [("simulator", Medium::Simulator), ("whatsapp", Medium::Whatsapp), ("webhook", Medium::Webhook)];
    let channel = fields.choice("channel", &channels).unwrap_or_default();
    // A business that speaks first on WhatsApp has no window yet.
    let window_open = fields.boolean("window_open").unwrap_or(channel != Medium::Whatsapp || message.is_some());
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

fn read_persona(fields: &mut Fields<'_>) -> Persona {
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
    Persona { name, phone, email, language, tags, metadata }
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
pub(in crate::api) fn read_event(fields: &mut Fields<'_>) -> Option<Stimulus> {
    type Read = fn(&mut Fields<'_>) -> Option<Stimulus>;
    const KINDS: [(&str, Read); 13] = [
        ("reply", |fields| {
            let text = read_text(fields, "text");
            if text.is_none() && fields.value("text").is_none() {
                fields.fail("text", "The text field is required.");
            }
            Some(Stimulus::Reply { message: read_index(fields), text: text? })
        }),
        ("tap", |fields| {
            let id = fields.required_text("id").map(str::to_owned);
            Some(Stimulus::Tap { message: read_index(fields), text: read_text(fields, "text"), id: id? })
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
            Some(Stimulus::Location { latitude: latitude?, longitude: longitude?, name, address })
        }),
        ("advance", |fields| {
            let seconds = fields.value("seconds").and_then(Value::as_f64);
            let seconds = seconds.filter(|seconds| (0.0..=ADVANCE_SECONDS).contains(seconds));
            if seconds.is_none() {
                fields.fail("seconds", format!("The seconds must be a number from 0 to {ADVANCE_SECONDS}."));
            }
            let fire = fields.boolean("fire").unwrap_or(true);
            Some(Stimulus::Advance { seconds: seconds?, fire })
        }),
        ("timeout", |_| Some(Stimulus::Timeout)),
        ("expire", |_| Some(Stimulus::Expire)),
        ("event", |fields| {
            let name: Option<EventName> = fields.required("name");
            Some(Stimulus::Event { payload: read_payload(fields), name: name? })
        }),
        ("resume", |_| Some(Stimulus::Resume)),
        ("delivery_failed", |fields| {
            Some(Stimulus::DeliveryFailed { message: read_index(fields), code: short_text(fields, "code") })
        }),
        ("window", |fields| {
            let open = fields.boolean("open");
            if fields.value("open").is_none() {
                fields.fail("open", "The open field is required.");
            }
            Some(Stimulus::Window { open: open? })
        }),
        ("colleague", |fields| Some(Stimulus::Colleague { text: read_text(fields, "text") })),
        ("cancel", |fields| Some(Stimulus::Cancel { reason: short_text(fields, "reason") })),
    ];
    fields.required_text("type")?;
    // Which other keys are known depends on the type.
    let read = fields.choice("type", &KINDS)?;
    let event = read(fields);
    fields.refuse_unknown();
    event
}

fn read_media(fields: &mut Fields<'_>) -> Option<Stimulus> {
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
    Some(Stimulus::Media { kind: kind?, text, media })
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

/// Finds and compiles what is to be simulated. May block.
fn find_subject(state: &State, source: Source) -> Result<Subject, ApiError> {
    let default_ttl = state.runtime.default_ttl();
    let of_document = |document: &Value, id| {
        let checked =
            CheckedDocument::check(document, default_ttl).map_err(|problems| publishing::refused(&problems))?;
        if !checked.is_publishable(false) {
            return Err(publishing::refused(&checked.problems));
        }
        Ok(Subject::of(&checked, id, state.runtime.server_settings()))
    };
    let (id, version) = match source {
        Source::Document(document) => return of_document(&document, None),
        Source::Flow { id, version } => (id, version),
    };
    let found = state.runtime.store().read(|conn| {
        let Some(flow) = flow_rows::find(conn, id)? else { return Ok(None) };
        let version = version.or(flow.summary.published_version);
        let document = match version {
            Some(version) => flow_rows::version_document(conn, flow.summary.seq, version)?,
            None => Some(flow.draft),
        };
        Ok(Some((version, document)))
    })?;
    match found {
        None => Err(ApiError::not_found("Flow not found")),
        Some((_, None)) => Err(ApiError::not_found("The flow has no such version")),
        Some((Some(version), Some(document))) => {
            Ok(Subject::published(&document, id, version, state.runtime.server_settings())?)
        }
        Some((None, Some(draft))) => {
            let draft =
                serde_json::from_str(&draft).map_err(|error| Error::internal("A draft is no JSON").caused_by(error))?;
            of_document(&draft, Some(id))
        }
    }
}

fn with_id(id: SimulationId, mut view: Map<String, Value>) -> Map<String, Value> {
    view.shift_insert(0, "id".to_owned(), json!(id));
    view
}

fn simulation_view(simulation: &Simulation, turns: &[SimulatedTurn]) -> Map<String, Value> {
    let (session, contact, start) = (simulation.session(), simulation.contact(), simulation.beginning());
    let turns: Vec<Value> = turns.iter().map(turn_view).collect();
    let view = json!({
        "now": iso(Some(simulation.now())),
        "seed": start.seed,
        "channel": start.channel,
        "window_open": simulation.is_window_open(),
        "held_until": iso(simulation.held_until()),
        "confirmation": simulation.confirmation(),
        "contact": {
            "name": contact.name,
            "phone": contact.phone,
            "email": contact.email,
            "language": contact.language,
            "tags": contact.tags,
            "metadata": contact.metadata,
            "opted_out_at": iso(contact.opted_out_at),
        },
        "session": {
            "id": session.id,
            "flow_id": simulation.subject().flow_id,
            "version": simulation.subject().version,
            "status": session.status,
            "reason": session.reason,
            "outcome": session.outcome,
            "current_node_id": session.current_node,
            "waiting_for": session.wait.as_ref().map(|wait| wait.kind),
            "wake_at": iso(session.wait.as_ref().and_then(|wait| wait.wake_at)),
            "expires_at": iso(session.expires_at),
            "context": session.context,
            "turn": session.turn,
        },
        "turn": turns.last(),
        "turns": turns,
    });
    match view {
        Value::Object(view) => view,
        _ => Map::new(),
    }
}

fn turn_view(turn: &SimulatedTurn) -> Value {
    let record = &turn.record;
    json!({
        "turn": record.turn,
        "at": iso(Some(turn.at)),
        "stimulus": record.stimulus,
        "path": record.path,
        "changes": record.changes,
        "warnings": record.warnings,
        "messages": turn.messages.iter().map(message_view).collect::<Vec<_>>(),
    })
}

fn message_view(said: &SimulatedMessage) -> Value {
    let message = &said.message;
    json!({
        "index": said.index,
        "type": message.kind,
        "text": message.text,
        "options": (!message.options.is_empty()).then_some(&message.options),
        "media": message.media,
        "template": message.template,
        "status": if said.refused.is_some() { "failed" } else { "simulated" },
        "reason": said.refused,
    })
}
