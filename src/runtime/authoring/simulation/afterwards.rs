//! What happens to a message after the session has ended, with the rules of the server: a word that opts out or in, a
//! keyword, a late reply, the fallback flow, and the limit of automatic answers.

use serde_json::Map;

use super::{Received, Refused, Simulation};
use crate::domain::{
    Holder, LateReply, MessageKind, NodeId, OutgoingMessage, Reason, Reply, ReplyKind, SessionId, SessionInput, Status,
};
use crate::engine::{self, Beginning, Event};
use crate::runtime::commands::trigger;
use crate::runtime::inbound::{Earlier, EarlierKind, LATE, Standing, standing};
use crate::runtime::job::turn;

/// How a message after the end is answered.
enum Answer {
    /// A text of the flow whose session has ended.
    Say(String),
    /// A new session. It has the context of the one before, and begins at a node, if that one's flow has it so.
    Begin(Option<(NodeId, Map<String, serde_json::Value>)>),
}

impl Simulation {
    /// Handles a message that no session waits for.
    pub(super) fn receive_after_end(&mut self, received: &Received) -> Result<(), Refused> {
        let typed = received.text.as_deref().filter(|_| received.kind == ReplyKind::Text);
        if let Some(text) = typed
            && self.receive_consent_word(text)?.is_none()
        {
            return Ok(());
        }
        if self.state.contact.opted_out_at.is_some() {
            return Err(Refused::because(Reason::OptedOut));
        }
        if self.held_until().is_some() {
            return Err(Refused::because(Holder::Colleague.reason()));
        }
        let now = self.state.now;
        self.state.window.receive(now);
        let Received { kind, text, option, payload, .. } = received;
        let input = SessionInput::of(*kind, text.as_deref(), option.as_deref(), payload.as_ref());
        let Some(answer) = self.answer_to(received, &input) else {
            let why = if received.names_session { Reason::SessionEnded } else { Reason::NoSession };
            return Err(Refused::because(why));
        };
        if standing(self.state.earlier.iter().rev().copied(), None, now) != Standing::Free {
            return Err(Refused::because(Reason::AutoReplyLimit));
        }
        self.note_received(EarlierKind::Answered);
        let reply = Event::Reply(Reply {
            kind: *kind,
            text: text.clone(),
            option: option.clone(),
            payload: payload.clone(),
            answers_turn: None,
            received_at: now,
        });
        let untaken = |ended_in| turn::not_taken(ended_in, reply, Reason::LateReply);
        let ended_in = self.state.session.turn;
        match answer {
            Answer::Say(text) => self.keep(untaken(ended_in), vec![said(text)?]),
            Answer::Begin(after) => {
                if after.is_some() {
                    self.keep(untaken(ended_in), Vec::new())?;
                }
                self.begin_again(after, input)
            }
        }
    }

    /// Records how a message of the contact was handled, for the limit.
    pub(super) fn note_received(&mut self, kind: EarlierKind) {
        self.state.earlier.push(Earlier { at: self.state.now, kind });
    }

    fn answer_to(&self, received: &Received, input: &SessionInput) -> Option<Answer> {
        let (subject, session) = (&self.subject, &self.state.session);
        let starts = || trigger::check_start(&subject.flow, &Map::new()).is_ok();
        if subject.is_keyword(received.kind, received.text.as_deref()) && starts() {
            return Some(Answer::Begin(None));
        }
        let is_recent = session.ended_at.is_some_and(|ended_at| ended_at.plus(LATE) > self.state.now);
        let late = match &subject.flow.document().settings.late_reply {
            _ if !is_recent || session.status == Status::Cancelled => None,
            None => None,
            Some(LateReply::Text(_)) => {
                let input = input.clone();
                engine::late_text(&subject.flow, &self.state.contact, session, input, self.state.now).map(Answer::Say)
            }
            Some(LateReply::RestartAt(node)) => {
                let is_there = subject.flow.document().nodes.iter().any(|one| one.id == *node);
                is_there.then(|| Answer::Begin(Some((node.clone(), session.context.clone()))))
            }
        };
        late.or_else(|| (subject.is_fallback && starts()).then_some(Answer::Begin(None)))
    }

    fn begin_again(
        &mut self,
        after: Option<(NodeId, Map<String, serde_json::Value>)>,
        input: SessionInput,
    ) -> Result<(), Refused> {
        let (node, context) = after.map_or((None, Map::new()), |(node, context)| (Some(node), context));
        let (before, now) = (&self.state.session, self.state.now);
        let seed = before.seed.wrapping_add(1);
        let beginning = Beginning {
            id: SessionId(super::id(now, seed)),
            flow_id: before.flow_id,
            version: before.version,
            contact_id: before.contact_id,
            context,
            seed,
        };
        let mut session = engine::begin(&self.subject.flow, beginning, now);
        (session.input, session.current_node) = (Some(input), node);
        (self.state.session, self.state.first_turn) = (session, self.turns.len());
        self.apply(&Event::Start)
    }
}

/// A text that belongs to no node.
fn said(text: String) -> Result<turn::PlannedMessage, Refused> {
    let node = "late_reply".parse().map_err(|_| Refused::because("a late reply has no node"))?;
    let (options, media, template) = (Vec::new(), None, None);
    let message = OutgoingMessage { node, kind: MessageKind::Text, text: Some(text), options, media, template };
    Ok(turn::PlannedMessage { message, refused: None, part: None })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::domain::Status;
    use crate::runtime::authoring::simulation::Simulation;
    use crate::runtime::authoring::simulation::tests::{event, simulate};

    fn over(settings: Value) -> Simulation {
        let mut simulation = simulate(json!({
            "schema_version": 1, "name": "Tea", "entry_node": "ask", "settings": settings,
            "nodes": [
                {"id": "ask", "type": "menu", "text": "Tea?", "options": [{"id": "yes", "title": "Yes"}],
                 "save_as": "tea", "exits": {"yes": "bye"}},
                {"id": "again", "type": "send_message", "text": "Again, after {{context.tea}}: {{input.text}}",
                 "exits": {"next": "ask"}},
                {"id": "bye", "type": "end", "text": "Bye"}
            ]
        }));
        simulation.take(&event(json!({"type": "reply", "text": "yes"}))).unwrap();
        assert_eq!(simulation.session().status, Status::Completed);
        simulation
    }

    fn reply(simulation: &mut Simulation, text: &str) -> Result<String, String> {
        simulation.take(&event(json!({"type": "reply", "text": text}))).map_err(|refused| refused.reason)?;
        let last = simulation.messages().last().and_then(|said| said.message.text.clone());
        Ok(last.unwrap_or_default())
    }

    #[test]
    fn a_late_reply_is_answered_or_starts_anew_with_the_old_context() {
        let mut said = over(json!({"late_reply": {"text": "Too late for {{input.text}}."}}));
        assert_eq!(reply(&mut said, "hello").as_deref(), Ok("Too late for hello."));
        assert_eq!(said.session().status, Status::Completed);
        let mut restarted = over(json!({"late_reply": {"restart_at": "again"}}));
        assert_eq!(reply(&mut restarted, "hello").as_deref(), Ok("Tea?"));
        let texts: Vec<_> = restarted.messages().filter_map(|said| said.message.text.as_deref()).collect();
        assert_eq!(texts, ["Tea?", "Bye", "Again, after yes: hello", "Tea?"]);
        assert_eq!(restarted.session().status, Status::Running);
        // What was tapped in the session before is none of this one's.
        let stale = event(json!({"type": "tap", "id": "yes", "message": 0}));
        assert_eq!(restarted.take(&stale).unwrap_err().reason, "session_ended");
        assert_eq!(reply(&mut restarted, "yes").as_deref(), Ok("Bye"));
    }

    #[test]
    fn a_keyword_starts_it_again_and_what_nothing_takes_is_refused() {
        let mut simulation = over(json!({"keywords": ["tea"], "late_reply": {"text": "Too late."}}));
        assert_eq!(reply(&mut simulation, "Tea").as_deref(), Ok("Tea?"));
        assert_eq!(simulation.session().context.len(), 0, "it is a new conversation");
        let mut without = over(json!({}));
        assert_eq!(reply(&mut without, "hello"), Err("no_session".to_owned()));
        let mut days_later = over(json!({"late_reply": {"text": "Too late."}}));
        days_later.take(&event(json!({"type": "advance", "seconds": 7 * 86_400}))).unwrap();
        assert_eq!(reply(&mut days_later, "hello"), Err("no_session".to_owned()));
    }

    #[test]
    fn words_that_opt_out_and_in_are_heard_after_the_end() {
        let mut simulation = over(json!({"late_reply": {"text": "Too late."}}));
        reply(&mut simulation, "stop").unwrap();
        assert!(simulation.confirmation().is_some() && simulation.contact().opted_out_at.is_some());
        assert_eq!(reply(&mut simulation, "hello"), Err("opted_out".to_owned()));
        reply(&mut simulation, "start").unwrap();
        assert_eq!(reply(&mut simulation, "hello").as_deref(), Ok("Too late."));
    }

    #[test]
    fn two_machines_come_to_an_end() {
        let mut simulation = over(json!({"late_reply": {"text": "Too late."}}));
        for _ in 0..10 {
            assert_eq!(reply(&mut simulation, "I am away").as_deref(), Ok("Too late."));
        }
        assert_eq!(reply(&mut simulation, "I am away"), Err("auto_reply_limit".to_owned()));
    }
}
