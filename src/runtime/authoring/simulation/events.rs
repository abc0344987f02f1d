//! What each event of a simulation does.

use std::time::Duration;

use serde_json::{Value, json};

use super::{BYTES, Refused, SimulatedEvent, SimulatedMessage, Simulation};
use crate::domain::{Holder, OutgoingMessage, Reason, Reply, ReplyKind, Timestamp};
use crate::engine::Event;
use crate::runtime::inbound::EarlierKind;
use crate::runtime::job::turn;

/// The provider's code of a message that fails without a reason: the one that WhatsApp gives for a number that cannot
/// be reached (Cloud API, error codes).
const UNDELIVERABLE: &str = "131026";

/// A message from the contact.
pub(super) struct Received {
    pub(super) kind: ReplyKind,
    pub(super) text: Option<String>,
    pub(super) option: Option<String>,
    pub(super) payload: Option<Value>,
    /// The turn of the message that it taps or quotes.
    pub(super) answers_turn: Option<u32>,
    /// It taps or quotes a message, so that it belongs to the session even after its end.
    pub(super) names_session: bool,
}

impl Received {
    /// A message that taps and quotes nothing.
    fn of(kind: ReplyKind, text: Option<String>, payload: Option<Value>) -> Self {
        Self { kind, text, option: None, payload, answers_turn: None, names_session: false }
    }
}

impl Simulation {
    /// What an event does, by its kind.
    pub(super) fn run(&mut self, event: &SimulatedEvent) -> Result<(), Refused> {
        match event {
            SimulatedEvent::Reply { text, message } => {
                let answers_turn = match message {
                    Some(index) => Some(self.shown(*index)?.0),
                    None => None,
                };
                let received = Received::of(ReplyKind::Text, Some(text.clone()), None);
                self.receive(Received { answers_turn, names_session: message.is_some(), ..received })
            }
            SimulatedEvent::Tap { id, message, text } => self.tap(id, *message, text.as_deref()),
            SimulatedEvent::Media { kind, text, media } => {
                self.receive(Received::of(*kind, text.clone(), Some(Value::Object(media.clone()))))
            }
            SimulatedEvent::Location { latitude, longitude, name, address } => {
                let mut payload = json!({"latitude": latitude, "longitude": longitude});
                for (key, text) in [("name", name), ("address", address)] {
                    if let Some(text) = text {
                        payload[key] = json!(text);
                    }
                }
                self.receive(Received::of(ReplyKind::Location, None, Some(payload)))
            }
            SimulatedEvent::Advance { seconds, fire } => {
                let until = self.state.now.plus(duration(*seconds));
                if *fire {
                    return self.pass(until);
                }
                self.state.now = until;
                Ok(())
            }
            SimulatedEvent::Timeout => self.pass_timeout(),
            SimulatedEvent::Expire => self.pass_to_expiry(),
            SimulatedEvent::Event { name, payload } => {
                self.apply_after_due(Event::External { name: name.clone(), payload: payload.clone() })
            }
            SimulatedEvent::Resume => self.apply_after_due(Event::Resume),
            SimulatedEvent::DeliveryFailed { message, code } => self.fail_delivery(*message, code.as_deref()),
            SimulatedEvent::Window { open } => {
                self.state.window.set(*open);
                Ok(())
            }
            SimulatedEvent::Colleague { .. } => self.receive_from_colleague(),
            SimulatedEvent::Cancel { reason } => self
                .apply_after_due(Event::Cancel { reason: reason.clone().unwrap_or_else(|| Reason::Cancelled.into()) }),
        }
    }

    /// Moves the clock to the timeout of the wait.
    fn pass_timeout(&mut self) -> Result<(), Refused> {
        let wake_at = self.state.session.wait.as_ref().and_then(|wait| wait.wake_at);
        let Some(wake_at) = wake_at else { return Err(self.idle("no timer is armed")) };
        if self.state.session.expires_next() {
            return Err(Refused::because(Reason::ExpiresFirst));
        }
        self.pass(wake_at.max(self.state.now))
    }

    /// Moves the clock to the end of the session's life, and stops on the way wherever a timer fires.
    fn pass_to_expiry(&mut self) -> Result<(), Refused> {
        if self.state.session.expires_at.is_none() {
            return Err(self.idle("the session has no time to live"));
        }
        while let Some(due_at) = self.state.session.due_at() {
            self.pass(due_at.max(self.state.now))?;
        }
        Ok(())
    }

    fn tap(&mut self, id: &str, index: Option<usize>, text: Option<&str>) -> Result<(), Refused> {
        let offers = |message: &OutgoingMessage| message.options.iter().find(|option| option.id == id).cloned();
        let (answers_turn, option) = match index {
            Some(index) => {
                let (turn, message) = self.shown(index)?;
                let option = offers(message);
                if option.is_none() {
                    return Err(Refused::because(format!("message {index} has no option `{id}`")));
                }
                (Some(turn), option)
            }
            None => {
                let first = if self.is_running() { self.state.first_turn } else { 0 };
                let shown = self.turns[first..].iter().flat_map(|turn| &turn.messages);
                (None, shown.rev().find_map(|shown| offers(&shown.message)))
            }
        };
        self.receive(Received {
            kind: ReplyKind::Tap,
            text: text.map(str::to_owned).or_else(|| option.map(|option| option.title)),
            option: Some(id.to_owned()),
            payload: None,
            answers_turn,
            names_session: true,
        })
    }

    /// A message that the contact has on the screen, with the turn that said it.
    fn shown(&self, index: usize) -> Result<(u32, &OutgoingMessage), Refused> {
        let turns = self.turns.iter().enumerate();
        let mut all = turns.flat_map(|(place, turn)| turn.messages.iter().map(move |said| (place, turn, said)));
        match all.nth(index) {
            Some((.., SimulatedMessage { refused: Some(why), .. })) => {
                Err(Refused::because(format!("message {index} did not go out: {why}")))
            }
            Some((place, ..)) if place < self.state.first_turn && self.is_running() => {
                Err(Refused::because(Reason::SessionEnded))
            }
            Some((_, turn, said)) => Ok((turn.record.turn, &said.message)),
            None => Err(Refused::because(format!("there is no message {index}"))),
        }
    }

    /// Handles a message from the contact, as a channel delivers it.
    fn receive(&mut self, received: Received) -> Result<(), Refused> {
        if !self.is_running() {
            return self.receive_after_end(&received);
        }
        let typed = received.text.as_deref().filter(|_| received.kind == ReplyKind::Text);
        let fired = match typed {
            Some(text) => match self.receive_consent_word(text)? {
                Some(fired) => fired,
                None => return Ok(()),
            },
            None => self.fire_due()?,
        };
        if self.is_for_colleague() {
            return Err(Refused::because(Holder::Colleague.reason()));
        }
        self.state.window.receive(self.state.now);
        let Received { kind, text, option, payload, answers_turn, .. } = received;
        let mut reply = Reply { kind, text, option, payload, answers_turn, received_at: self.state.now };
        if fired == 0 {
            self.apply(&Event::Reply(reply))?;
            // Asked again, it did not fit.
            let is_asked_again = self.state.session.wait.as_ref().is_some_and(|wait| wait.attempts > 0);
            self.note_received(if is_asked_again { EarlierKind::Heard } else { EarlierKind::Taken });
            return Ok(());
        }
        // A session that has ended traces no reply of a contact that has opted out.
        if !self.is_running() && self.state.contact.opted_out_at.is_some() {
            return Ok(());
        }
        reply.answers_turn = None;
        let why = turn::too_late(&self.state.session);
        let record = turn::not_taken(self.state.session.turn, Event::Reply(reply), why);
        self.keep(record, Vec::new())
    }

    fn fail_delivery(&mut self, index: Option<usize>, code: Option<&str>) -> Result<(), Refused> {
        let last = || self.messages().rev().find(|said| said.refused.is_none()).map(|said| said.index);
        let index = index.or_else(last).ok_or_else(|| Refused::because("nothing was said yet"))?;
        let (turn, message) = self.shown(index)?;
        let (node, code) = (message.node.clone(), code.unwrap_or(UNDELIVERABLE).to_owned());
        self.apply_after_due(Event::DeliveryFailed { turn, node, code })
    }

    /// Moves the clock, and stops on the way wherever a timer fires.
    fn pass(&mut self, until: Timestamp) -> Result<(), Refused> {
        while let Some(due_at) = self.state.session.due_at().filter(|due_at| *due_at <= until) {
            self.state.now = self.state.now.max(due_at);
            self.fire_due()?;
        }
        self.state.now = until;
        Ok(())
    }

    /// Applies an event to the session, after the timers that were due before it.
    fn apply_after_due(&mut self, event: Event) -> Result<(), Refused> {
        if !self.is_running() {
            return Err(Refused::because(Reason::HasEnded));
        }
        let fired = self.fire_due()?;
        if !self.is_running() {
            return Ok(());
        }
        match self.apply(&event) {
            // The timers that fired stand, so that the refusal is traced instead.
            Err(Refused { reason }) if fired > 0 && self.bytes <= BYTES => {
                self.keep(turn::not_taken(self.state.session.turn, event, &reason), Vec::new())
            }
            told => told,
        }
    }
}

/// Seconds with a fraction, to the millisecond; nonsense counts as none.
fn duration(seconds: f64) -> Duration {
    let millis = (seconds * 1000.0).round();
    // A cast from a float saturates, and makes 0 of what is no number.
    Duration::from_millis(millis as u64)
}
