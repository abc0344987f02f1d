//! Replies: asking for one, taking it, and asking again when it does not fit.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{Halt, Machine, Next, millis};
use crate::domain::{Expects, MessageOption, OnReply, Reason, Reply, ReplyKind, SessionInput, Wait, WaitKind};
use crate::engine::compile::{Action, Prompt};
use crate::engine::extract::{Locale, extract};
use crate::engine::number::Writing;
use crate::engine::reply::{Choice, choose};
use crate::engine::{Change, limits};

/// Why a prompt is sent again though the reply was not wrong.
const OLD_TAP: &str = "an older message was tapped";

impl Machine<'_> {
    pub(super) fn take_reply(&mut self, reply: &Reply) -> Result<(), Reason> {
        let (Some(wait), Some(index)) = (self.session.wait.clone(), self.current()) else {
            return Err(Reason::WaitsForNothing);
        };
        match &self.flow.actions[index] {
            Action::Delay { delay, .. } if delay.on_reply == OnReply::Ignore => {
                return Err(Reason::DuringDelay);
            }
            Action::AwaitEvent(_) => return Err(Reason::WaitsForEvent),
            Action::Handoff { .. } => return Err(Reason::PersonTookOver),
            Action::Call(_) => return self.queue_reply(reply),
            _ => {}
        }
        if wait.asked_at.is_some_and(|asked_at| reply.received_at < asked_at) {
            return Err(match wait.kind {
                WaitKind::Delay => Reason::BeforeDelay,
                _ => Reason::BeforeQuestion,
            });
        }
        if !self.open_turn() {
            return Ok(());
        }
        self.session.last_interaction_at = self.now;
        self.renew_ttl();
        self.session.input = Some(SessionInput::of(reply.kind, reply.text.as_deref(), None, reply.payload.as_ref()));
        let flow = self.flow.clone();
        let next = match &flow.actions[index] {
            Action::Delay { .. } => self.leave(index, "next", Some("the contact wrote".to_owned())),
            Action::Ask { prompt, expects, bounds, pattern } => {
                if is_old_tap(reply, &wait) {
                    self.prompt_again(index, prompt, &wait, OLD_TAP)
                } else if let Some(pattern) = pattern
                    && !self.affords(index, pattern, reply.text.as_deref().unwrap_or_default())
                {
                    self.no_match(index, prompt, &wait, "the text is too long for the pattern")
                } else {
                    match extract(reply, *expects, bounds, pattern.as_ref(), &self.locale(*expects)) {
                        Ok(answer) => self
                            .save_answer(prompt, answer.parsed, answer.raw)
                            .and_then(|()| self.leave(index, "reply", None)),
                        Err(why) => self.no_match(index, prompt, &wait, why),
                    }
                }
            }
            Action::Menu { prompt, synonyms, allow_numbers } => {
                let choice = match is_old_tap(reply, &wait) {
                    true => Choice::OldTap,
                    false => choose(reply, &wait.options, synonyms, *allow_numbers),
                };
                match choice {
                    Choice::Option { index: chosen, why } => {
                        let id = wait.options[chosen].id.clone();
                        if let Some(input) = &mut self.session.input {
                            input.id = Some(id.clone());
                        }
                        let saved = match &prompt.save_as {
                            Some(name) => self.assign(index, name, json!(id)),
                            None => Ok(()),
                        };
                        saved.and_then(|()| self.leave(index, &id, Some(why.to_owned())))
                    }
                    Choice::OldTap => self.prompt_again(index, prompt, &wait, OLD_TAP),
                    Choice::NoMatch { why } => self.no_match(index, prompt, &wait, why),
                }
            }
            _ => Err(Halt(Reason::WaitAtWrongNode)),
        };
        self.proceed(next);
        Ok(())
    }

    pub(super) fn await_reply(
        &mut self,
        index: usize,
        prompt: &Prompt,
        options: Vec<MessageOption>,
        earlier: Option<&Wait>,
    ) {
        let turn = self.session.turn;
        let speaks = prompt.speech.text.is_some() || prompt.speech.template.is_some();
        let asked_at = match earlier {
            Some(wait) => wait.asked_at,
            None => (speaks && self.follows_a_call()).then_some(self.now),
        };
        self.session.wait = Some(Wait {
            kind: WaitKind::Reply,
            entered_in: earlier.map_or(turn, |wait| wait.entered_in),
            armed_in: turn,
            attempts: earlier.map_or(0, |wait| wait.attempts),
            wake_at: prompt.timeout.map(|timeout| self.now.plus(timeout)),
            timeout: prompt.timeout.map(millis),
            moment: None,
            asked_at,
            options,
        });
        self.stay(index, None);
    }

    /// Takes up the oldest reply of the queue. One that is not for the node where the session is by now is traced, and
    /// is gone from the queue, too.
    pub(super) fn take_queued(&mut self) -> Result<(), Reason> {
        let is_calling = self.session.wait.as_ref().is_none_or(|wait| wait.kind == WaitKind::Http);
        if is_calling || self.session.queued_replies.is_empty() {
            return Err(Reason::NoReplyQueued);
        }
        let reply = self.session.queued_replies.remove(0);
        self.queued = Some(reply.clone());
        if let Err(why) = self.take_reply(&reply) {
            self.warn_of_session(format!("ignored: {why}"));
        }
        Ok(())
    }

    /// Keeps a reply that came during an HTTP call until the call is answered. No turn is counted for it. After the
    /// answer each has a turn of its own, but for those that what follows does not take: a prompt that speaks refuses
    /// what was written before it was asked (see [`Machine::follows_a_call`]).
    fn queue_reply(&mut self, reply: &Reply) -> Result<(), Reason> {
        if self.session.queued_replies.len() >= limits::QUEUED_REPLIES {
            return Err(Reason::TooManyDuringCall);
        }
        self.session.queued_replies.push(reply.clone());
        if !self.has_room() {
            return Err(Reason::NoRoomForMessage);
        }
        let queued = self.session.queued_replies.len();
        self.changes.push(Change { name: "queued_replies".to_owned(), value: json!(queued) });
        self.is_kept = true;
        Ok(())
    }

    /// Whether this turn goes on from an HTTP call, so that messages from before it may still be queued or on their
    /// way. A prompt that speaks notes then when it was asked, and refuses them: they are no answer to it.
    pub(super) fn follows_a_call(&self) -> bool {
        let was_calling = self.before.wait.as_ref().is_some_and(|wait| wait.kind == WaitKind::Http);
        was_calling || self.queued.is_some()
    }

    /// Says the prompt again and waits on. An old tap is no attempt, and gets the prompt itself.
    fn prompt_again(&mut self, index: usize, prompt: &Prompt, wait: &Wait, why: &str) -> Result<Next, Halt> {
        let is_attempt = why != OLD_TAP;
        let retry = prompt.retry.as_ref().filter(|_| is_attempt);
        let can_speak = prompt.speech.text.is_some() || prompt.speech.template.is_some() || retry.is_some();
        let said = if can_speak { self.send(index, &prompt.speech, retry)? } else { Vec::new() };
        let mut wait = wait.clone();
        wait.attempts += u32::from(is_attempt);
        self.await_reply(index, prompt, said, Some(&wait));
        if let Some(step) = self.path.last_mut() {
            step.why = Some(why.to_owned());
        }
        Ok(Next::Stop)
    }

    fn no_match(&mut self, index: usize, prompt: &Prompt, wait: &Wait, why: &str) -> Result<Next, Halt> {
        if wait.attempts + 1 < prompt.max_attempts {
            return self.prompt_again(index, prompt, wait, why);
        }
        self.leave(index, "no_match", Some(why.to_owned()))
    }

    fn save_answer(&mut self, prompt: &Prompt, parsed: Value, raw: Value) -> Result<(), Halt> {
        let Some(name) = &prompt.save_as else { return Ok(()) };
        let index = self.current().unwrap_or_default();
        self.assign(index, name, parsed)?;
        self.assign(index, &format!("{name}_raw"), raw)
    }

    fn locale(&mut self, expects: Expects) -> Locale {
        let country = self.country();
        // Only dates are read by it, and it takes as long to find out as the country.
        let zone = if expects == Expects::Date { self.turn_scope().zone().clone() } else { TimeZone::UTC };
        Locale {
            date_order: self.flow.date_order,
            writing: Writing::of_country(country.as_deref()),
            languages: [self.contact.language.clone(), self.flow.document.language.clone()],
            today: self.now.to_jiff().to_zoned(zone).date(),
            country,
        }
    }
}

/// A tap on, or of, a message from before the current prompt.
fn is_old_tap(reply: &Reply, wait: &Wait) -> bool {
    reply.kind == ReplyKind::Tap && reply.answers_turn.is_some_and(|turn| turn < wait.entered_in)
}
