//! `/simulations`: conversations that are tried out, with a clock that the caller moves.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::publishing;
use super::simulation_fields::{read_event, read_start};
use crate::api::error::ApiError;
use crate::api::public::actions;
use crate::api::request::{Fields, JsonBody, Reader};
use crate::api::state::{State, compute};
use crate::channels::ChannelKind;
use crate::domain::{FlowId, Reason, SimulationId};
use crate::error::{Error, Result};
use crate::runtime::authoring::CheckedDocument;
use crate::runtime::simulation::{NotStarted, Refused, SimulatedMessage, SimulatedTurn, Simulation, Subject};
use crate::store::flows as flow_rows;
use crate::views::IsoTime;
use crate::views::contact::SimulatedContact;
use crate::views::message;
use crate::views::session::SimulatedSession;

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
        Ok(SimulationAnswer { id, simulation: view })
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
        Ok(SimulationAnswer { id, simulation: taken.ok_or_else(not_found)?.map_err(refused)? })
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
        let simulation = state.runtime.simulations().with(id, view).ok_or_else(not_found)?;
        Ok(SimulationAnswer { id, simulation })
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
    let error = match Reason::parse(&refused.reason) {
        Some(Reason::NoSession | Reason::SessionEnded) => "The session has ended.".to_owned(),
        _ => {
            let mut chars = refused.reason.chars();
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
    let (has_document, has_id) = (fields.has_object("flow"), fields.value("flow_id").is_some());
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

/// The answer on a simulation: its id before all else.
#[derive(Serialize)]
struct SimulationAnswer {
    id: SimulationId,
    #[serde(flatten)]
    simulation: Value,
}

/// Where a simulation stands.
#[derive(Serialize)]
struct SimulationView<'a> {
    now: IsoTime,
    seed: u64,
    channel: ChannelKind,
    window_open: bool,
    held_until: Option<IsoTime>,
    confirmation: Option<&'a str>,
    contact: SimulatedContact<'a, IsoTime>,
    session: SimulatedSession<'a>,
    /// The last of the turns.
    turn: Option<&'a Value>,
    turns: &'a [Value],
}

fn simulation_view(simulation: &Simulation, turns: &[SimulatedTurn]) -> Value {
    let (session, subject, start) = (simulation.session(), simulation.subject(), simulation.beginning());
    let turns: Vec<Value> = turns.iter().map(turn_view).collect();
    json!(SimulationView {
        now: IsoTime(simulation.now()),
        seed: start.seed,
        channel: start.channel,
        window_open: simulation.is_window_open(),
        held_until: simulation.held_until().map(IsoTime),
        confirmation: simulation.confirmation(),
        contact: simulation.contact().into(),
        session: SimulatedSession::new(session, subject.flow_id, subject.version),
        turn: turns.last(),
        turns: &turns,
    })
}

fn turn_view(turn: &SimulatedTurn) -> Value {
    let record = &turn.record;
    let messages: Vec<_> = turn.messages.iter().map(message_view).collect();
    json!({
        "turn": record.turn,
        "at": IsoTime(turn.at),
        "stimulus": record.stimulus,
        "path": record.path,
        "changes": record.changes,
        "warnings": record.warnings,
        "messages": messages,
    })
}

fn message_view(said: &SimulatedMessage) -> message::SimulatedMessage<'_> {
    message::SimulatedMessage::new(said.index, &said.message, said.refused.map(Reason::as_str))
}
