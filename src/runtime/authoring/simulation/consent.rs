//! Words that opt out or in, in a simulation: checked as on the server, before the session gets the message.

use super::{Refused, Simulation};
use crate::domain::Reason;
use crate::domain::consent::{Awaited, Wish};
use crate::engine::{self, Event, Lookup};

impl Simulation {
    /// The confirmation that the contact who opted out or in last gets. It belongs to no turn, and is in none of
    /// [`Simulation::turns`].
    pub fn confirmation(&self) -> Option<&str> {
        self.state.confirmation.as_deref()
    }

    /// Handles a typed message as such a word, if it is one. Otherwise returns how many timers were due first.
    pub(super) fn receive_consent_word(&mut self, text: &str) -> Result<Option<usize>, Refused> {
        let words = self.subject.words.clone();
        let is_opted_out = self.state.contact.opted_out_at.is_some();
        let found = words
            .find(Wish::OptOut, text)
            .map(|word| (Wish::OptOut, word))
            .or_else(|| words.find(Wish::OptIn, text).filter(|_| is_opted_out).map(|word| (Wish::OptIn, word)));
        let Some((wish, word)) = found else { return self.fire_due().map(Some) };
        if !word.counts(Awaited::ThisText) {
            let fired = self.fire_due()?;
            let awaited = match self.awaited(text, fired)? {
                // The colleague may have asked anything.
                Awaited::Nothing if wish == Wish::OptOut && self.held_until().is_some() => Awaited::Anything,
                awaited => awaited,
            };
            if !word.counts(awaited) {
                return Ok(Some(fired));
            }
        }
        let now = self.state.now;
        let contact = &mut self.state.contact;
        match wish {
            Wish::OptOut => contact.opted_out_at = contact.opted_out_at.or(Some(now)),
            Wish::OptIn => (contact.opted_out_at, contact.opted_in_at) = (None, Some(now)),
        }
        // A contact who had opted out before gets no confirmation.
        if wish == Wish::OptIn || !is_opted_out {
            let languages = [self.state.contact.language.as_deref(), word.language];
            self.state.confirmation = Some(words.confirmation(wish, languages));
        }
        if wish == Wish::OptOut {
            self.fire_due()?;
            if self.is_running() {
                self.apply(&Event::Cancel { reason: Reason::OptedOut.into() })?;
            }
        }
        Ok(None)
    }

    fn awaited(&self, text: &str, fired: usize) -> Result<Awaited, Refused> {
        if fired > 0 {
            return Ok(Awaited::Nothing);
        }
        let lookup = |id, _| match self.flows.get(&id) {
            Some(flow) => Lookup::Ready { version: 0, flow: flow.clone() },
            None => Lookup::NotPublished,
        };
        let (session, now) = (&self.state.session, self.state.now);
        let awaited = engine::awaited(&self.subject.flow, &lookup, session, (text, now));
        awaited.map_err(|_| Refused::because("a sub-flow is missing"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::domain::Status;
    use crate::runtime::authoring::simulation::tests::{event, simulate};

    fn level(kind: Value) -> Value {
        let mut node = json!({"id": "level", "text": "¿Prioridad?", "save_as": "level"});
        node.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        json!({"schema_version": 1, "name": "Level", "entry_node": "level", "nodes": [
            node,
            {"id": "got", "type": "send_message", "text": "GOT {{context.level}}", "exits": {"next": "more"}},
            {"id": "more", "type": "wait_for_event", "event": "more"}]})
    }

    fn menu() -> Value {
        let options = json!([{"id": "alta", "title": "Alta"}, {"id": "baja", "title": "Baja"},
                             {"id": "stop", "title": "Stop"}, {"id": "leave", "title": "Go", "synonyms": ["sair"]}]);
        let exits = json!({"alta": "got", "baja": "got", "stop": "got", "leave": "got"});
        level(json!({"type": "menu", "options": options, "exits": exits}))
    }

    /// What a conversation answers to one typed message, and how it stands then.
    fn said(document: Value, text: &str) -> (Option<String>, Status, bool) {
        let mut simulation = simulate(document);
        simulation.take(&event(json!({"type": "reply", "text": text}))).unwrap();
        let last = simulation.messages().last().and_then(|said| said.message.text.clone());
        let got = last.filter(|text| text.starts_with("GOT"));
        assert_eq!(simulation.confirmation().is_some(), simulation.contact().opted_out_at.is_some());
        (got, simulation.session().status, simulation.contact().opted_out_at.is_some())
    }

    #[test]
    fn what_an_option_is_called_is_an_answer_and_stop_is_not() {
        let answered = |id: &str| (Some(format!("GOT {id}")), Status::Running, false);
        let opted_out = (None, Status::Cancelled, true);
        assert_eq!(said(menu(), "Baja"), answered("baja"));
        assert_eq!(said(menu(), "¡baja!"), answered("baja"));
        assert_eq!(said(menu(), "Alta"), answered("alta"));
        assert_eq!(said(menu(), "Sair"), answered("leave"));
        assert_eq!(said(menu(), "STOP"), opted_out);
        assert_eq!(said(menu(), "alto"), opted_out, "no option of this menu");
        assert_eq!(said(menu(), "unsubscribe"), opted_out);
    }

    #[test]
    fn an_open_question_takes_what_people_also_answer() {
        let ask = || level(json!({"type": "ask", "exits": {"reply": "got"}}));
        assert_eq!(said(ask(), "Alto"), (Some("GOT Alto".to_owned()), Status::Running, false));
        assert_eq!(said(ask(), "stop"), (None, Status::Cancelled, true));
        assert_eq!(said(ask(), "dar de baja"), (None, Status::Cancelled, true));
    }

    #[test]
    fn while_nothing_is_asked_every_word_counts() {
        let mut simulation = simulate(menu());
        simulation.take(&event(json!({"type": "tap", "id": "stop"}))).unwrap();
        assert!(simulation.contact().opted_out_at.is_none(), "a tap is never such a word");
        simulation.take(&event(json!({"type": "reply", "text": "baja"}))).unwrap();
        assert_eq!(simulation.session().reason.as_deref(), Some("opted_out"));
        assert!(simulation.confirmation().unwrap().starts_with("No recibirás"), "{:?}", simulation.confirmation());
        // A caption is no typed message.
        let mut simulation = simulate(menu());
        simulation.take(&event(json!({"type": "media", "kind": "image", "text": "stop"}))).unwrap();
        assert!(simulation.contact().opted_out_at.is_none());
    }

    #[test]
    fn a_session_that_opted_its_contact_out_still_gets_its_answer() {
        let mut document = menu();
        document["entry_node"] = json!("out");
        let out = json!({"id": "out", "type": "update_contact", "opt_out": true, "exits": {"next": "level"}});
        document["nodes"].as_array_mut().unwrap().push(out);
        let mut simulation = simulate(document);
        simulation.take(&event(json!({"type": "reply", "text": "Alta"}))).unwrap();
        assert_eq!(simulation.session().context["level"], "alta");
        assert!(simulation.contact().opted_out_at.is_some());
        simulation.take(&event(json!({"type": "reply", "text": "alta"}))).unwrap();
        assert!(simulation.contact().opted_out_at.is_none(), "nothing is asked any more");
        assert!(simulation.confirmation().unwrap().starts_with("Volverás"));
    }
}
