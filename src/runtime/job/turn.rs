//! The effect of one event on a session and its contact, before anything is stored.
//!
//! The writer's jobs and the simulations both come through here, so that a simulated conversation cannot go another way
//! than a real one.

use std::fmt::Display;

use crate::domain::{
    Contact, HttpCall, MessageKind, MessageOption, NodeId, OutgoingMessage, Reason, SendHours, Session, Status,
    TextLimits, Timestamp, parts_of,
};
use crate::engine::{self, CompiledFlow, Effect, Event, Flows, NotLoaded, Step, TurnRecord, Warning};

/// An event that was taken.
pub(in crate::runtime) struct Turn {
    /// The session after it.
    pub(in crate::runtime) session: Session,
    /// The contact after it.
    pub(in crate::runtime) contact: Contact,
    /// Its messages, in order.
    pub(in crate::runtime) said: Vec<PlannedMessage>,
    /// The hours that its messages must wait for; `None` if they may go out at any time, as answers may.
    pub(in crate::runtime) hours: Option<SendHours>,
    /// The HTTP call that it makes, whose answer the session then waits for.
    pub(in crate::runtime) call: Option<HttpCall>,
    /// The people it asks for, in order.
    pub(in crate::runtime) handoffs: Vec<Handoff>,
    /// What happened and why.
    pub(in crate::runtime) record: TurnRecord,
    /// Why a reply is no answer, if so.
    pub(in crate::runtime) no_answer: Option<Reason>,
}

/// A person is asked for.
pub(in crate::runtime) struct Handoff {
    /// The node that asks.
    pub(in crate::runtime) node: NodeId,
    /// What it wants the person to know.
    pub(in crate::runtime) note: Option<String>,
    /// Whether the session waits until it is given back.
    pub(in crate::runtime) waits: bool,
}

/// A message of a turn, before it is stored.
pub(in crate::runtime) struct PlannedMessage {
    pub(in crate::runtime) message: OutgoingMessage,
    /// Why it must not go out, if so.
    pub(in crate::runtime) refused: Option<Reason>,
    /// Which part it is, if a node's text is in several messages.
    pub(in crate::runtime) part: Option<PartOf>,
}

/// A message's place among the parts of one node's text.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct PartOf {
    /// This part's number, from 1.
    pub(in crate::runtime) number: u32,
    /// How many there are.
    pub(in crate::runtime) of: u32,
    /// On the first one, if it has a template: what can be tapped on the last.
    pub(in crate::runtime) options: Vec<MessageOption>,
}

/// The messages of a turn, in parts that are no longer than the channel takes.
fn in_parts(said: Vec<PlannedMessage>, limits: &TextLimits) -> Vec<PlannedMessage> {
    let mut groups: Vec<Vec<PlannedMessage>> = Vec::with_capacity(said.len());
    for PlannedMessage { message, refused, .. } in said {
        let goes_on = groups.last().and_then(|group| group.first()).is_some_and(|before| {
            // A medium, perhaps with a caption that follows it, and the text of its node.
            let is_text = message.kind == MessageKind::Text && message.template.is_none();
            before.message.kind == MessageKind::Media && before.message.node == message.node && is_text
        });
        let parts =
            parts_of(message, limits).into_iter().map(|message| PlannedMessage { message, refused, part: None });
        match groups.last_mut().filter(|_| goes_on) {
            Some(group) => group.extend(parts),
            None => groups.push(parts.collect()),
        }
    }
    for group in groups.iter_mut().filter(|group| group.len() > 1) {
        let of = u32::try_from(group.len()).unwrap_or(u32::MAX);
        let tapped = group.last().map(|last| last.message.options.clone()).unwrap_or_default();
        for (said, number) in group.iter_mut().zip(1..) {
            let options = if said.message.template.is_some() { tapped.clone() } else { Vec::new() };
            said.part = Some(PartOf { number, of, options });
        }
    }
    groups.into_iter().flatten().collect()
}

/// Why an event is not taken.
pub(in crate::runtime) enum NotTaken {
    /// It changes nothing, and this is why.
    Ignored(Reason),
    /// A sub-flow has to be compiled first; the look-up knows which.
    NotLoaded,
}

impl From<NotLoaded> for NotTaken {
    fn from(_: NotLoaded) -> Self {
        Self::NotLoaded
    }
}

/// Takes an event. Afterwards the session may have more to take: see [`next`]. `limits` are those of the channel that
/// sends the resulting messages.
///
/// # Errors
/// Why it is not taken.
pub(in crate::runtime) fn take(
    flow: &CompiledFlow,
    flows: Flows<'_>,
    contact: &Contact,
    session: &Session,
    event: &Event,
    (limits, now): (&TextLimits, Timestamp),
) -> Result<Turn, NotTaken> {
    let is_answer = is_answer(session, event, now);
    let step = engine::step(flow, flows, contact, session, event, now)?;
    let no_answer = step.no_answer();
    let Step { mut session, effects, mut record, ignored, .. } = step;
    if let Some(why) = ignored {
        return Err(NotTaken::Ignored(why));
    }
    let mut contact = contact.clone();
    let mut said = Vec::new();
    let (mut call, mut handoffs) = (None, Vec::new());
    // A timer that fires together with the end of the session says nothing any more.
    let is_over = session.expires_next() && session.due_at().is_some_and(|due_at| due_at <= now);
    for effect in effects {
        match effect {
            Effect::Send(message) => {
                let refused = match (contact.is_opted_out(), is_over) {
                    (true, _) => Some(Reason::OptedOut),
                    (false, true) => Some(Reason::SessionEnded),
                    (false, false) => None,
                };
                said.push(PlannedMessage { message, refused, part: None });
            }
            Effect::UpdateContact(change) => contact.apply(&change, now),
            Effect::CallHttp(made) => call = Some(made),
            Effect::RequestHandoff { node, note, waits } => handoffs.push(Handoff { node, note, waits }),
        }
    }
    session.undelivered = match event {
        Event::Reply(_) | Event::Queued => None,
        _ if said.iter().any(|said| said.refused.is_none()) => None,
        Event::DeliveryFailed { code, .. } => Some(code.clone()),
        _ => session.undelivered,
    };
    let said = in_parts(said, limits);
    let hours = if is_answer { None } else { SendHours::of(&flow.document().settings, &contact) };
    if let Some(hours) = &hours
        && let Some(opening) = hours.opening(now)
        && let Some(held) = said.iter().find(|said| said.refused.is_none())
    {
        engine::extend_past(flow, &mut session, opening);
        let text = format!(
            "This is not an hour in which the flow may speak first: on a phone it comes at {} at the earliest.",
            hours.on_the_clock(opening)
        );
        record.warnings.push(Warning { node: Some(held.message.node.clone()), text });
    }
    Ok(Turn { session, contact, said, hours, call, handoffs, record, no_answer })
}

/// Whether the messages that a session sends after an event answer the person. `session` is its state before the event;
/// one that a message starts already has that message as its input.
fn is_answer(session: &Session, event: &Event, now: Timestamp) -> bool {
    match event {
        Event::Reply(_) | Event::Queued => true,
        _ => session.input.is_some() && session.last_interaction_at.plus(SendHours::CONVERSATION) > now,
    }
}

/// The next event that a session takes by itself, right after another one: a reply that it queued during an HTTP call.
/// Each has its own turn.
pub(in crate::runtime) fn next(session: &Session) -> Option<Event> {
    engine::next_queued(session)
}

/// Fails a session that had completed if a message of its last turn could not be delivered: the contact did not get it.
pub(in crate::runtime) fn fail_completed(session: &mut Session, turn: u32, code: &str) {
    if session.status == Status::Completed && session.turn == turn {
        session.status = Status::Failed;
        session.reason = Some(code.to_owned());
    }
}

/// The timer of a session that fires next, if one fell due until `until`. Each that fires moves the next beyond the
/// present or ends the session.
pub(in crate::runtime) fn due(session: &Session, until: Timestamp) -> Option<Event> {
    session.due_at().filter(|due_at| *due_at <= until)?;
    Some(match &session.wait {
        Some(wait) if !session.expires_next() => Event::Timeout { armed_in: wait.armed_in },
        _ => Event::Expire,
    })
}

/// Why a reply is not taken that found the session's timers overdue and fired them: it was written without having seen
/// what they said.
pub(in crate::runtime) fn too_late(session: &Session) -> Reason {
    if session.status == Status::Running { Reason::Late } else { Reason::SessionEnded }
}

/// The trace of an event that a session was sent and did not take. `turn` is the last that it took.
pub(in crate::runtime) fn not_taken(turn: u32, stimulus: Event, why: impl Display) -> TurnRecord {
    let warnings = vec![Warning { node: None, text: format!("ignored: {why}") }];
    TurnRecord { turn, stimulus, path: Vec::new(), changes: Vec::new(), warnings }
}
