//! Events from outside: waiting for one, taking it, and keeping what comes too early.

use serde_json::{Value, json};

use super::{Halt, Machine, Next};
use crate::domain::text::json_depth;
use crate::domain::{EventName, KeptEvent, Reason, WaitForEvent, WaitKind};
use crate::engine::compile::Action;
use crate::engine::{Change, limits};

impl Machine<'_> {
    /// Takes an event if the session waits for it; else keeps it.
    pub(super) fn take_event(&mut self, name: &EventName, payload: &Value) -> Result<(), Reason> {
        let (Some(wait), Some(index)) = (self.session.wait.as_ref(), self.current()) else {
            return Err(Reason::WaitsForNothing);
        };
        if json_depth(payload) > limits::DEPTH {
            return Err(Reason::PayloadTooDeep);
        }
        let flow = self.flow.clone();
        let awaited = match &flow.actions[index] {
            Action::AwaitEvent(awaited) if wait.kind == WaitKind::Event && awaited.event == name.as_str() => awaited,
            _ => return self.keep_event(KeptEvent { name: name.clone(), payload: payload.clone() }),
        };
        if !self.open_turn() {
            return Ok(());
        }
        self.session.input = None;
        // The wait is due now, and takes the time to live along from here.
        self.renew_ttl();
        let next = self.pass_event(index, awaited, payload.clone(), "the event came");
        self.proceed(next);
        Ok(())
    }

    /// Waits for an event, or goes on at once with the earliest of that name that is kept.
    pub(super) fn await_event(&mut self, index: usize, awaited: &WaitForEvent) -> Result<Next, Halt> {
        let earliest = self.session.kept_events.iter().position(|kept| kept.name.as_str() == awaited.event);
        if let Some(place) = earliest {
            let kept = self.session.kept_events.remove(place);
            self.held_bytes = None;
            return self.pass_event(index, awaited, kept.payload, "the event had come before");
        }
        let wake_at = awaited.timeout_seconds.map(|seconds| self.now.plus(std::time::Duration::from_secs(seconds)));
        self.wait_for(WaitKind::Event, wake_at);
        if let Some(wake_at) = wake_at {
            self.extend_ttl(wake_at);
        }
        self.stay(index, None);
        Ok(Next::Stop)
    }

    fn pass_event(&mut self, index: usize, awaited: &WaitForEvent, payload: Value, why: &str) -> Result<Next, Halt> {
        if let Some(name) = &awaited.save_as {
            self.assign(index, name, payload)?;
        }
        self.leave(index, "event", Some(why.to_owned()))
    }

    /// Keeps an event. Of too many the oldest goes, because the newest is the most current; what the state has no room
    /// for is not kept, so that an event from outside never fails a session.
    fn keep_event(&mut self, event: KeptEvent) -> Result<(), Reason> {
        let mut kept = self.session.kept_events.clone();
        kept.push(event);
        let dropped = (kept.len() > limits::KEPT_EVENTS).then(|| kept.remove(0));
        self.session.kept_events = kept;
        if !self.has_room() {
            return Err(Reason::NoRoomForEvent);
        }
        if let Some(dropped) = dropped {
            let text = format!("`{}` is dropped: no more than {} events are kept", dropped.name, limits::KEPT_EVENTS);
            self.warn_of_session(text);
        }
        let names: Vec<&EventName> = self.session.kept_events.iter().map(|kept| &kept.name).collect();
        self.changes.push(Change { name: "kept_events".to_owned(), value: json!(names) });
        self.is_kept = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{Contact, ContactId, FlowDocument, FlowId, Session, SessionId, Status, Timestamp};
    use crate::engine::{Beginning, CompiledFlow, Event, begin, no_flows, step};
    use uuid::Uuid;

    const WAIT: &str = r#"{"schema_version": 1, "name": "F", "entry_node": "pause", "nodes": [
        {"id": "pause", "type": "delay", "seconds": 60, "exits": {"next": "write"}},
        {"id": "write", "type": "set_variable", "assignments": [{"name": "copy", "value": "{{context.text}}"}],
         "exits": {"next": "wait"}},
        {"id": "wait", "type": "wait_for_event", "event": "x", "save_as": "x", "exits": {"event": null}}
    ]}"#;

    #[test]
    fn an_event_without_room_is_not_kept_and_fails_no_session() {
        let document = FlowDocument::parse(&serde_json::from_str(WAIT).unwrap()).unwrap();
        let flow = CompiledFlow::compile(document, Duration::from_secs(1800)).0.unwrap();
        let contact = Contact::new(ContactId(Uuid::nil()), None);
        let now = Timestamp::from_millis(0);
        let run =
            |session: &Session, event: &Event, now| step(&flow, &no_flows, &contact, session, event, now).unwrap();
        let play = |name: &str, text_bytes: usize, payload_bytes: usize| {
            let beginning = Beginning {
                id: SessionId(Uuid::nil()),
                flow_id: FlowId(Uuid::nil()),
                version: 1,
                contact_id: contact.id,
                context: json!({"text": "x".repeat(text_bytes)}).as_object().unwrap().clone(),
                seed: 1,
            };
            let session = run(&begin(&flow, beginning, now), &Event::Start, now).session;
            let event = Event::External { name: name.parse().unwrap(), payload: "x".repeat(payload_bytes).into() };
            let kept = run(&session, &event, now);
            let due = now.plus(Duration::from_secs(60));
            let ended = run(&kept.session, &Event::Timeout { armed_in: 1 }, due).session;
            (kept, ended)
        };
        let framing = r#"{"text":""}[{"name":"x","payload":""}]"#.len();
        let (kept, _) = play("x", 200_000, limits::STATE_BYTES - 200_000 - framing);
        assert!(kept.is_kept && kept.ignored.is_none());
        let (refused, ended) = play("x", 200_000, limits::STATE_BYTES - 200_000 - framing + 1);
        assert_eq!(refused.ignored, Some(Reason::NoRoomForEvent));
        assert_eq!(refused.session.status, Status::Running);
        assert_eq!(
            (ended.status, ended.reason.as_deref()),
            (Status::Failed, Some("state_limit")),
            "of its own writing"
        );
        // What is kept counts when a node writes, until it is taken.
        let (_, ended) = play("y", 80_000, 110_000);
        assert_eq!((ended.status, ended.reason.as_deref()), (Status::Failed, Some("state_limit")));
        let (_, ended) = play("x", 3_000, 200_000);
        assert_eq!((ended.status, ended.context["x"].as_str().unwrap().len()), (Status::Completed, 200_000));
    }
}
