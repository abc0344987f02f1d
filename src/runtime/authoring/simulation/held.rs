//! A colleague who writes to the contact of a simulation: the flow is silent then, as it is on the server.

use std::borrow::Cow;

use super::{Refused, Simulation};
use crate::domain::{Held, Holder, Session, Timestamp, WaitKind};
use crate::engine::{self, Move, TurnRecord, Warning};

impl Simulation {
    /// Until when a colleague holds the conversation, if one does.
    pub fn held_until(&self) -> Option<Timestamp> {
        self.held().map(|held| held.until)
    }

    /// Whether what the contact writes is for the colleague, and not for who has taken the session over.
    pub(super) fn is_for_colleague(&self) -> bool {
        let wait = self.state.session.wait.as_ref();
        self.held().is_some() && wait.is_none_or(|wait| wait.kind != WaitKind::Handoff)
    }

    fn held(&self) -> Option<Held> {
        self.state.held.filter(|held| held.is_on(self.state.now))
    }

    /// Handles a colleague's message: due timers fire first, and the other ones move on by the pause.
    pub(super) fn receive_from_colleague(&mut self) -> Result<(), Refused> {
        let pause = self.subject.colleague_pause;
        if pause.is_zero() {
            return Err(Refused::because("`routing.colleague_pause` is off"));
        }
        self.fire_due()?;
        let now = self.state.now;
        let (since, from) = self.held().map_or((now, now), |held| (held.since, held.until));
        let held = Held { by: Holder::Colleague, since, until: now.plus(pause) };
        engine::move_timers(&mut self.state.session, Move::between(from, held.until), held.until);
        self.state.held = Some(held);
        Ok(())
    }

    /// The session as it would be if the conversation were not held.
    pub(super) fn as_if_not_held(&self) -> Cow<'_, Session> {
        let (session, now) = (&self.state.session, self.state.now);
        self.held().map_or(Cow::Borrowed(session), |held| {
            let mut session = session.clone();
            engine::move_timers(&mut session, Move::Back(held.rest(now)), now);
            Cow::Owned(session)
        })
    }

    /// Moves the timers on again that an event has armed.
    pub(super) fn hold_on(&mut self) {
        if let Some(held) = self.held() {
            engine::move_timers(&mut self.state.session, Move::On(held.rest(self.state.now)), held.until);
        }
    }

    /// Adds a warning that the messages of a turn wait.
    pub(super) fn warn_of_colleague(&self, record: &mut TurnRecord) {
        if let Some(held) = self.held() {
            let until = held.until.to_iso_seconds();
            let text = format!("A colleague holds the conversation: on a phone it comes at {until} at the earliest.");
            record.warnings.push(Warning { node: None, text });
        }
    }
}
