//! What a session waits for, as far as a typed text may also mean something else.

use super::compile::Action;
use super::reply::is_option;
use super::{CompiledFlow, Flows, Lookup, NotLoaded};
use crate::domain::consent::Awaited;
use crate::domain::{Session, Status, Timestamp, WaitKind};

/// What the wait of a session is to a typed text that is received at this time, if the session takes it.
///
/// # Errors
/// When the session is in a sub-flow that is not compiled yet.
pub fn awaited(
    flow: &CompiledFlow,
    flows: Flows<'_>,
    session: &Session,
    (text, received_at): (&str, Timestamp),
) -> Result<Awaited, NotLoaded> {
    let wait = match &session.wait {
        // The person who has taken over may have asked something.
        Some(wait) if wait.kind == WaitKind::Handoff && session.status == Status::Running => {
            return Ok(Awaited::Anything);
        }
        Some(wait) if wait.kind == WaitKind::Reply => wait,
        _ => return Ok(Awaited::Nothing),
    };
    let is_too_early = wait.asked_at.is_some_and(|asked_at| received_at < asked_at);
    if session.status != Status::Running || is_too_early {
        return Ok(Awaited::Nothing);
    }
    let of_node = |flow: &CompiledFlow, node: Option<&str>| match node.and_then(|node| flow.action_of(node)) {
        Some(Action::Ask { .. }) => Awaited::Anything,
        Some(Action::Menu { synonyms, .. }) if is_option(text, &wait.options, synonyms) => Awaited::ThisText,
        _ => Awaited::Nothing,
    };
    // The sub-flow that it is in asks for it.
    let Some(frame) = session.frames.last() else {
        return Ok(of_node(flow, session.current_node.as_ref().map(|node| node.as_str())));
    };
    match flows(frame.flow.id, Some(frame.flow.version)) {
        Lookup::Ready { flow, .. } => Ok(of_node(&flow, frame.current_node.as_ref().map(|node| node.as_str()))),
        Lookup::NotPublished => Ok(Awaited::Nothing),
        Lookup::Load => Err(NotLoaded),
    }
}
