//! One event's way through a flow: the loop behind [`super::step`].

mod events;
mod replies;
mod speak;
mod values;

use std::sync::Arc;
use std::time::Duration;

use super::compile::{Action, CompiledCase, CompiledFlow};
use super::condition::{Surroundings, Verdict, decide};
use super::extract::writes_decimal_comma;
use super::filters::read_moment;
use super::template::{Text, TurnScope};
use super::{Change, Effect, Event, PathStep, Step, TurnRecord, Warning, limits};
use crate::domain::{Branch, Contact, Delay, NodeId, Session, Status, Timestamp, Wait, WaitKind};
use values::{ContextView, compare_cost};

/// Where the session goes next.
enum Next {
    /// Into the node at this index.
    Node(usize),
    /// Nowhere: it waits or has ended.
    Stop,
}

/// A limit was hit: the session fails with this reason, and what was done before it stays done.
struct Halt(&'static str);

pub(super) struct Machine<'a> {
    flow: &'a CompiledFlow,
    before: &'a Session,
    event: &'a Event,
    now: Timestamp,
    contact: Contact,
    session: Session,
    effects: Vec<Effect>,
    path: Vec<PathStep>,
    changes: Vec<Change>,
    warnings: Vec<Warning>,
    is_kept: bool,
    passed: u32,
    fuel: u64,
    /// Size of the context as JSON, counted when a node first writes into it.
    context_bytes: Option<usize>,
    /// Size of the kept events, counted with the context's.
    kept_bytes: Option<usize>,
    /// The context as templates read it, made when a template first does.
    context_view: Option<ContextView>,
    /// The rest of what templates read, made when a template first does; gone when the contact changes.
    turn_scope: Option<Arc<TurnScope>>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(
        flow: &'a CompiledFlow,
        contact: &Contact,
        session: &'a Session,
        event: &'a Event,
        now: Timestamp,
    ) -> Self {
        Self {
            flow,
            before: session,
            event,
            now,
            contact: contact.clone(),
            session: session.clone(),
            effects: Vec::new(),
            path: Vec::new(),
            changes: Vec::new(),
            warnings: Vec::new(),
            is_kept: false,
            passed: 0,
            fuel: 0,
            context_bytes: None,
            kept_bytes: None,
            context_view: None,
            turn_scope: None,
        }
    }

    pub(super) fn run(mut self) -> Step {
        let ignored = self.take().err();
        if ignored.is_some() {
            self.session = self.before.clone();
            self.effects.clear();
        }
        Step {
            record: TurnRecord {
                turn: self.session.turn,
                stimulus: self.event.clone(),
                path: self.path,
                changes: self.changes,
                warnings: self.warnings,
            },
            session: self.session,
            effects: self.effects,
            ignored,
            is_kept: self.is_kept,
        }
    }

    /// Takes the event, or says why it changes nothing.
    fn take(&mut self) -> Result<(), &'static str> {
        if self.session.status != Status::Running {
            return Err("the session has ended");
        }
        match self.event {
            Event::Start => {
                if self.session.turn > 0 {
                    return Err("the session has already begun");
                }
                self.session.turn = 1;
                match self.flow.entry() {
                    Some(entry) => self.travel(Next::Node(entry)),
                    None => self.end(Status::Failed, Some("no_entry_node")),
                }
            }
            Event::Reply(reply) => self.take_reply(reply)?,
            Event::Timeout { armed_in } => self.take_timeout(*armed_in)?,
            Event::External { name, payload } => self.take_event(name, payload)?,
            Event::HttpAnswered { .. } => return Err("the answer is stale"),
            Event::Queued => return Err("no reply is queued"),
            Event::Resume => return Err("the session is not in handoff"),
            Event::Expire => {
                if self.session.expires_at.is_none_or(|expires_at| expires_at > self.now) {
                    return Err("the session has not expired");
                }
                self.count_last_turn();
                let expired_at = self.session.expires_at;
                self.end(Status::Expired, None);
                // It was over then, however late this is noticed.
                self.session.ended_at = expired_at;
            }
            Event::Cancel { reason } => {
                self.count_last_turn();
                self.end(Status::Cancelled, Some(reason));
            }
            Event::DeliveryFailed { turn, node, code } => self.take_delivery_failure(*turn, node, code)?,
        }
        Ok(())
    }

    fn take_timeout(&mut self, armed_in: u32) -> Result<(), &'static str> {
        let (Some(wait), Some(index)) = (self.session.wait.clone(), self.current()) else {
            return Err("the session waits for nothing");
        };
        if wait.armed_in != armed_in {
            return Err("the timer is stale");
        }
        if wait.wake_at.is_none_or(|wake_at| wake_at > self.now) {
            return Err("the timer is not due");
        }
        if self.session.expires_next() {
            return Err("the session expires first");
        }
        if !self.open_turn() {
            return Ok(());
        }
        self.session.input = None;
        let next = match wait.kind {
            WaitKind::Delay => self.leave(index, "next", Some("the delay is over".to_owned())),
            WaitKind::Http => self.leave(index, "failure", Some("no answer in time".to_owned())),
            WaitKind::Handoff => self.leave(index, "timeout", Some("nobody gave it back in time".to_owned())),
            WaitKind::Event => self.leave(index, "timeout", Some("no event in time".to_owned())),
            WaitKind::Reply => self.leave(index, "timeout", Some("no reply in time".to_owned())),
        };
        self.travel(next);
        Ok(())
    }

    fn take_delivery_failure(&mut self, turn: u32, node: &NodeId, code: &str) -> Result<(), &'static str> {
        if turn != self.session.turn {
            return Err("the session has gone on since that message");
        }
        if !self.open_turn() {
            return Ok(());
        }
        self.session.input = None;
        match self.flow.places.get(node.as_str()) {
            Some(&index) if self.flow.node(index).exit("delivery_failed").is_some() => {
                let next = self.leave(index, "delivery_failed", Some(code.to_owned()));
                self.travel(next);
            }
            _ => self.end(Status::Failed, Some(code)),
        }
        Ok(())
    }

    /// Counts a turn. At the limit the session fails instead, and `false` is given.
    fn open_turn(&mut self) -> bool {
        if self.session.turn >= limits::TURNS {
            self.end(Status::Failed, Some("turn_limit"));
            return false;
        }
        self.session.turn += 1;
        true
    }

    /// Counts the turn of an event that ends the session by itself: it is taken at the limit, too, and not counted there.
    fn count_last_turn(&mut self) {
        self.session.turn = (self.session.turn + 1).min(limits::TURNS);
    }

    /// Goes from node to node until the session waits or ends.
    fn travel(&mut self, mut next: Next) {
        while let Next::Node(index) = next {
            self.passed += 1;
            if self.passed > limits::NODES_PER_TURN {
                return self.end(Status::Failed, Some("node_limit"));
            }
            next = match self.enter(index) {
                Ok(next) => next,
                Err(halt) => return self.fail_at(index, halt),
            };
        }
    }

    fn enter(&mut self, index: usize) -> Result<Next, Halt> {
        let flow = self.flow;
        let id = flow.node(index).id.clone();
        *self.session.visits.entry(id.clone()).or_insert(0) += 1;
        self.session.current_node = Some(id);
        self.session.wait = None;
        match &flow.actions[index] {
            Action::Say(speech) => {
                self.say(index, speech, None)?;
                Ok(self.leave(index, "next", None))
            }
            Action::Ask { prompt, .. } => {
                let is_silent = prompt.speech.text.is_none() && prompt.speech.template.is_none();
                let options = if is_silent { Vec::new() } else { self.say(index, &prompt.speech, None)? };
                self.await_reply(index, prompt, options, None);
                Ok(Next::Stop)
            }
            Action::Menu { prompt, .. } => {
                let options = self.say(index, &prompt.speech, None)?;
                self.await_reply(index, prompt, options, None);
                Ok(Next::Stop)
            }
            Action::Branch { cases, save_as } => self.branch(index, cases, save_as.as_deref()),
            Action::Split(branches) => Ok(self.split(index, branches)),
            Action::Assign(assignments) => {
                for (name, leaf) in assignments {
                    let value = self.value(index, leaf)?;
                    self.assign(index, name, value)?;
                }
                Ok(self.leave(index, "next", None))
            }
            Action::Contact(templates) => {
                self.update_contact(index, templates)?;
                Ok(self.leave(index, "next", None))
            }
            Action::Delay { delay, until } => self.delay(index, delay, until.as_ref()),
            Action::AwaitEvent(awaited) => self.await_event(index, awaited),
            Action::End { outcome, speech } => {
                if speech.text.is_some() || speech.template.is_some() {
                    self.say(index, speech, None)?;
                }
                self.session.outcome.clone_from(outcome);
                self.stay(index, None);
                self.end(Status::Completed, None);
                Ok(Next::Stop)
            }
        }
    }

    /// Leaves a node by an exit: to the node it is wired to, else to the session's end.
    fn leave(&mut self, index: usize, exit: &str, why: Option<String>) -> Next {
        let node = self.flow.node(index);
        self.path.push(PathStep {
            node: node.id.clone(),
            kind: node.kind.type_name().to_owned(),
            exit: Some(exit.to_owned()),
            why,
        });
        match node.exit(exit).map(|target| self.flow.places.get(target)) {
            Some(Some(&target)) => return Next::Node(target),
            // Publishing refuses such a flow; a session of one must still end in a legal state.
            Some(None) => self.end(Status::Failed, Some("missing_node")),
            None => {
                if exit == "no_match" {
                    self.session.outcome = Some("no_match".to_owned());
                }
                self.end(Status::Completed, None);
            }
        }
        Next::Stop
    }

    /// Notes that the session stops at a node.
    fn stay(&mut self, index: usize, why: Option<&str>) {
        let node = self.flow.node(index);
        self.path.push(PathStep {
            node: node.id.clone(),
            kind: node.kind.type_name().to_owned(),
            exit: None,
            why: why.map(str::to_owned),
        });
    }

    /// Ends a session at the node where it hit a limit.
    fn fail_at(&mut self, index: usize, Halt(reason): Halt) {
        self.stay(index, None);
        self.end(Status::Failed, Some(reason));
    }

    fn end(&mut self, status: Status, reason: Option<&str>) {
        self.session.status = status;
        self.session.reason = reason.map(str::to_owned);
        self.session.wait = None;
        self.session.kept_events.clear();
        self.session.expires_at = None;
        self.session.ended_at = Some(self.now);
    }

    fn branch(&mut self, index: usize, cases: &[CompiledCase], save_as: Option<&str>) -> Result<Next, Halt> {
        for (place, case) in cases.iter().enumerate() {
            let left = self.value(index, &case.left)?;
            let right = self.value(index, &case.right)?;
            self.burn(1 + compare_cost(case.operator, &left) + compare_cost(case.operator, &right))?;
            let country = self.country();
            let around = Surroundings {
                tags: &self.contact.tags,
                comma_decimal: writes_decimal_comma(country.as_deref()),
                zone: &self.flow.zone,
            };
            match decide(case.operator, &left, &right, case.pattern.as_ref(), &around) {
                Verdict::Holds(part) => {
                    if let Some(name) = save_as {
                        self.assign(index, name, part)?;
                    }
                    return Ok(self.leave(index, &case.exit, Some(format!("case {} holds", place + 1))));
                }
                Verdict::Fails => {}
                Verdict::WrongType(why) => self.warn(index, format!("case {}: {why}", place + 1)),
            }
        }
        Ok(self.leave(index, "default", Some("no case holds".to_owned())))
    }

    fn split(&mut self, index: usize, branches: &[Branch]) -> Next {
        let total: u64 = branches.iter().map(|branch| u64::from(branch.weight)).sum();
        let draw = draw(self.session.seed, self.session.draws);
        self.session.draws += 1;
        // Scales the draw to 0..total without the bias of a remainder.
        let mut rest = ((u128::from(draw) * u128::from(total)) >> 64) as u64;
        let drawn = branches.iter().find(|branch| {
            let weight = u64::from(branch.weight);
            let is_drawn = rest < weight;
            rest = rest.saturating_sub(weight);
            is_drawn
        });
        match drawn {
            Some(branch) => {
                self.leave(index, &branch.id, Some(format!("drawn with weight {} of {total}", branch.weight)))
            }
            None => {
                self.end(Status::Failed, Some("nothing_to_draw"));
                Next::Stop
            }
        }
    }

    fn delay(&mut self, index: usize, delay: &Delay, until: Option<&Text>) -> Result<Next, Halt> {
        let wake_at = match (delay.seconds, until) {
            (Some(seconds), _) => Some(self.now.plus(Duration::from_secs(seconds))),
            (None, Some(until)) => {
                let text = self.text(index, until)?;
                let moment = read_moment(&text, &self.flow.zone);
                if moment.is_none() {
                    self.warn(index, format!("`{text}` is not a moment in time: the delay is skipped"));
                }
                moment.map(|zoned| Timestamp::from_millis(zoned.timestamp().as_millisecond()))
            }
            (None, None) => None,
        };
        let Some(wake_at) = wake_at.filter(|wake_at| *wake_at > self.now) else {
            let why = if wake_at.is_some() { "the moment has passed" } else { "there is no moment to wait for" };
            return Ok(self.leave(index, "next", Some(why.to_owned())));
        };
        let turn = self.session.turn;
        self.session.wait = Some(Wait {
            kind: WaitKind::Delay,
            entered_in: turn,
            armed_in: turn,
            attempts: 0,
            wake_at: Some(wake_at),
            timeout: Some(millis(wake_at.since(self.now))),
            asked_at: None,
            options: Vec::new(),
        });
        self.session.expires_at = self.flow.ttl.map(|ttl| wake_at.plus(ttl));
        self.stay(index, None);
        Ok(Next::Stop)
    }

    fn country(&self) -> Option<String> {
        let of_flow = self.flow.document.settings.country.clone();
        of_flow.or_else(|| self.contact.phone.as_ref().and_then(|phone| phone.country()))
    }

    fn current(&self) -> Option<usize> {
        let id = self.session.current_node.as_ref()?;
        self.flow.places.get(id.as_str()).copied()
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The session's `draws`-th random number: SplitMix64 (Steele, Lea and Flood, 2014), so that a replay is equal on
/// every machine and in every version.
fn draw(seed: u64, draws: u64) -> u64 {
    let mut z = seed.wrapping_add(draws.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
