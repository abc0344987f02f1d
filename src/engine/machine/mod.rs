//! One event's way through a flow: the loop behind [`super::step`].

pub(super) mod calls;
mod events;
mod frames;
mod replies;
mod speak;
mod values;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::compile::{Action, CompiledCase, CompiledFlow};
use super::condition::{CaseResult, Surroundings, as_text, decide};
use super::moment;
use super::scope::TurnScope;
use super::template::Text;
use super::{Change, Effect, Event, Flows, NotLoaded, PathStep, Step, TurnRecord, Warning, limits};
use crate::domain::{Branch, Contact, Delay, Frame, Reason, Reply, Session, Status, Timestamp, Wait, WaitKind};
use values::{ContextView, compare_cost};

/// Where the session goes next.
enum Next {
    /// Into the node at this index.
    Node(usize),
    /// Nowhere: it waits or has ended.
    Stop,
}

/// A limit was hit: the session fails with this reason, and what was done before it stays done.
struct Halt(Reason);

/// How a flow comes to its end: the root flow's is the session's, a sub-flow's leads back to its caller.
enum Ending {
    Completed(Option<String>),
    /// With the reason: one of [`Reason`], or the code with which a message could not be delivered.
    Failed(String),
}

/// A flow that runs: the root flow, which the caller of the engine holds, or a sub-flow.
#[derive(Clone)]
enum Running<'a> {
    Root(&'a CompiledFlow),
    Sub(Arc<CompiledFlow>),
}

impl Deref for Running<'_> {
    type Target = CompiledFlow;

    fn deref(&self) -> &CompiledFlow {
        match self {
            Self::Root(flow) => flow,
            Self::Sub(flow) => flow,
        }
    }
}

pub(super) struct Machine<'a> {
    /// The flow that the session is a session of.
    root: &'a CompiledFlow,
    flows: Flows<'a>,
    /// The flow of the frame that is running. While the machine runs, the session's node, visits and context are that
    /// frame's.
    flow: Running<'a>,
    /// That frame; its node, visits and context are in the session meanwhile. `None` for the root flow.
    frame: Option<Frame>,
    /// The frames that wait for it, the root flow first; none while the root flow runs.
    callers: Vec<Frame>,
    /// A sub-flow has to be compiled before the event can be taken.
    is_not_loaded: bool,
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
    /// The reply that the event took up from the queue.
    queued: Option<Reply>,
    passed: u32,
    fuel: u64,
    /// What patterns have used of their own fuel.
    pattern_fuel: u64,
    /// Size of the context as JSON, counted when a node first writes into it.
    context_bytes: Option<usize>,
    /// Size of what is counted with the context: kept events, queued replies, and the contexts of other frames.
    held_bytes: Option<usize>,
    /// The context as templates read it, made when a template first does.
    context_view: Option<ContextView>,
    /// The rest of what templates read, and of how people write, made when something first asks for it; gone when the
    /// contact changes, or the flow.
    turn_scope: Option<Arc<TurnScope>>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(
        flow: &'a CompiledFlow,
        flows: Flows<'a>,
        contact: &Contact,
        (session, event): (&'a Session, &'a Event),
        now: Timestamp,
    ) -> Self {
        Self {
            root: flow,
            flows,
            flow: Running::Root(flow),
            frame: None,
            callers: Vec::new(),
            is_not_loaded: false,
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
            queued: None,
            passed: 0,
            fuel: 0,
            pattern_fuel: 0,
            context_bytes: None,
            held_bytes: None,
            context_view: None,
            turn_scope: None,
        }
    }

    pub(super) fn run(mut self) -> Result<Step, NotLoaded> {
        let ignored = self.take().err();
        if self.is_not_loaded {
            return Err(NotLoaded);
        }
        match ignored {
            Some(_) => self.session = self.before.clone(),
            None => self.restore_root(),
        }
        Ok(Step {
            record: TurnRecord {
                turn: self.session.turn,
                stimulus: self.queued.map_or_else(|| self.event.clone(), Event::Reply),
                path: self.path,
                changes: self.changes,
                warnings: self.warnings,
            },
            session: self.session,
            effects: self.effects,
            ignored,
            is_kept: self.is_kept,
        })
    }

    /// Takes the event, or says why it changes nothing.
    fn take(&mut self) -> Result<(), Reason> {
        if self.session.status != Status::Running {
            return Err(Reason::HasEnded);
        }
        if let Err(halt) = self.enter_frames() {
            self.fail(halt.0);
            return Ok(());
        }
        match self.event {
            Event::Start => {
                if self.session.turn > 0 {
                    return Err(Reason::AlreadyBegun);
                }
                self.session.turn = 1;
                let first = match &self.session.current_node {
                    Some(node) => self.flow.places.get(node.as_str()).copied(),
                    None => self.flow.entry(),
                };
                match first {
                    Some(first) => self.travel(Next::Node(first)),
                    None => self.fail(Reason::NoEntryNode),
                }
            }
            Event::Reply(reply) => self.take_reply(reply)?,
            Event::Timeout { armed_in } => self.take_timeout(*armed_in)?,
            Event::External { name, payload } => self.take_event(name, payload)?,
            Event::HttpAnswered { armed_in, status, body } => self.take_answer(*armed_in, *status, body)?,
            Event::Queued => self.take_queued()?,
            Event::Resume => self.take_resume()?,
            Event::Expire => {
                if self.session.expires_at.is_none_or(|expires_at| expires_at > self.now) {
                    return Err(Reason::NotExpired);
                }
                self.expire();
            }
            Event::Cancel { reason } => {
                self.count_last_turn();
                self.end(Status::Cancelled, Some(reason));
            }
            Event::DeliveryFailed { turn, node, code } => self.take_delivery_failure(*turn, node, code)?,
        }
        Ok(())
    }

    fn take_timeout(&mut self, armed_in: u32) -> Result<(), Reason> {
        let (Some(wait), Some(index)) = (self.session.wait.clone(), self.current()) else {
            return Err(Reason::WaitsForNothing);
        };
        if wait.armed_in != armed_in {
            return Err(Reason::TimerStale);
        }
        if wait.wake_at.is_none_or(|wake_at| wake_at > self.now) {
            return Err(Reason::TimerNotDue);
        }
        if self.session.expires_next() {
            return Err(Reason::ExpiresFirst);
        }
        if !self.open_turn() {
            return Ok(());
        }
        self.session.input = None;
        let next = match wait.kind {
            WaitKind::Delay => self.leave(index, "next", Some("the delay is over".to_owned())),
            WaitKind::Http => self.pass_answer(index, 0, Value::Null, "no answer in time"),
            WaitKind::Handoff => {
                self.renew_ttl();
                self.leave(index, "timeout", Some("nobody gave it back in time".to_owned()))
            }
            WaitKind::Event => self.leave(index, "timeout", Some("no event in time".to_owned())),
            WaitKind::Reply => self.leave(index, "timeout", Some("no reply in time".to_owned())),
        };
        self.proceed(next);
        Ok(())
    }

    /// Counts a turn. At the limit the session fails instead, and `false` is given.
    fn open_turn(&mut self) -> bool {
        if self.session.turn >= limits::TURNS {
            self.fail(Reason::TurnLimit);
            return false;
        }
        self.session.turn += 1;
        self.session.spoken.clear();
        true
    }

    /// Counts the turn of an event that ends the session by itself: it is taken at the limit, too, and not counted
    /// there.
    fn count_last_turn(&mut self) {
        self.session.turn = (self.session.turn + 1).min(limits::TURNS);
    }

    /// Goes from node to node until the session waits or ends.
    fn travel(&mut self, mut next: Next) {
        while let Next::Node(index) = next {
            self.passed += 1;
            if self.passed > limits::NODES_PER_TURN {
                return self.fail(Reason::NodeLimit);
            }
            next = match self.enter(index) {
                Ok(next) => next,
                Err(halt) => return self.fail_here(halt),
            };
        }
    }

    /// Travels on, unless a limit was hit.
    fn proceed(&mut self, next: Result<Next, Halt>) {
        match next {
            Ok(next) => self.travel(next),
            Err(halt) => self.fail_here(halt),
        }
    }

    fn enter(&mut self, index: usize) -> Result<Next, Halt> {
        let flow = self.flow.clone();
        let id = flow.node(index).id.clone();
        *self.session.visits.entry(id.clone()).or_insert(0) += 1;
        self.session.current_node = Some(id);
        self.session.wait = None;
        match &flow.actions[index] {
            Action::Say(speech) => {
                self.send(index, speech, None)?;
                self.leave(index, "next", None)
            }
            Action::Ask { prompt, .. } => {
                let is_silent = prompt.speech.text.is_none() && prompt.speech.template.is_none();
                let options = if is_silent { Vec::new() } else { self.send(index, &prompt.speech, None)? };
                self.await_reply(index, prompt, options, None);
                Ok(Next::Stop)
            }
            Action::Menu { prompt, .. } => {
                let options = self.send(index, &prompt.speech, None)?;
                self.await_reply(index, prompt, options, None);
                Ok(Next::Stop)
            }
            Action::Branch { cases, save_as } => self.branch(index, cases, save_as.as_deref()),
            Action::Split(branches) => self.split(index, branches),
            Action::Assign(assignments) => {
                for (name, leaf) in assignments {
                    let value = self.value(index, leaf)?;
                    self.assign(index, name, value)?;
                }
                self.leave(index, "next", None)
            }
            Action::Contact(templates) => {
                self.update_contact(index, templates)?;
                self.leave(index, "next", None)
            }
            Action::Delay { delay, until } => self.delay(index, delay, until.as_ref()),
            Action::AwaitEvent(awaited) => self.await_event(index, awaited),
            Action::Call(call) => self.call(index, call),
            Action::Handoff { note, timeout } => self.hand_off(index, note.as_ref(), *timeout),
            Action::RunFlow(sub) => self.run_flow(index, sub),
            Action::End { outcome, speech } => {
                if speech.text.is_some() || speech.template.is_some() {
                    self.send(index, speech, None)?;
                }
                self.stay(index, None);
                self.close(Ending::Completed(outcome.clone()))
            }
        }
    }

    /// Leaves a node by an exit: to the node it is wired to, else to the end of the flow.
    fn leave(&mut self, index: usize, exit: &str, why: Option<String>) -> Result<Next, Halt> {
        self.note(index, Some(exit), why);
        match self.flow.node(index).exit(exit).map(|target| self.flow.places.get(target)) {
            Some(Some(&target)) => Ok(Next::Node(target)),
            // Publishing refuses such a flow; a session of one must still end in a legal state.
            Some(None) => self.close(Ending::Failed(Reason::MissingNode.into())),
            None => {
                // A sub-flow's caller goes on.
                let is_end = self.frame.is_none() && self.flow.node(index).kind.ends_without_a_word(exit);
                if let Some(step) = self.path.last_mut() {
                    step.leads_nowhere = is_end;
                }
                self.close(Ending::Completed((exit == "no_match").then(|| "no_match".to_owned())))
            }
        }
    }

    /// Notes that the session stops at a node.
    fn stay(&mut self, index: usize, why: Option<&str>) {
        self.note(index, None, why.map(str::to_owned));
    }

    fn note(&mut self, index: usize, exit: Option<&str>, why: Option<String>) {
        let node = self.flow.node(index);
        self.path.push(PathStep {
            node: node.id.clone(),
            kind: node.kind.type_name().to_owned(),
            flow: self.frame.as_ref().map(|frame| frame.flow),
            exit: exit.map(str::to_owned),
            why,
            leads_nowhere: false,
        });
    }

    /// Ends a session at the node where it hit a limit.
    fn fail_here(&mut self, Halt(reason): Halt) {
        if let Some(index) = self.current() {
            self.stay(index, None);
        }
        self.fail(reason);
    }

    /// Fails the session for a reason of the engine's own.
    fn fail(&mut self, reason: Reason) {
        self.end(Status::Failed, Some(reason.as_str()));
    }

    fn end(&mut self, status: Status, reason: Option<&str>) {
        self.session.status = status;
        self.session.reason = reason.map(str::to_owned);
        self.session.wait = None;
        self.session.kept_events.clear();
        self.session.spoken.clear();
        let unheard = std::mem::take(&mut self.session.queued_replies).len();
        if unheard > 0 {
            self.warn_of_session(format!("queued and not heard, because the session has ended: {unheard}"));
        }
        self.session.expires_at = None;
        self.session.ended_at = Some(self.now);
    }

    fn branch(&mut self, index: usize, cases: &[CompiledCase], save_as: Option<&str>) -> Result<Next, Halt> {
        for (place, case) in cases.iter().enumerate() {
            let left = self.value(index, &case.left)?;
            let right = self.value(index, &case.right)?;
            self.burn(1 + compare_cost(case.operator, &left) + compare_cost(case.operator, &right))?;
            if let Some(pattern) = &case.pattern
                && !self.affords(index, pattern, &as_text(&left))
            {
                continue;
            }
            let turn = self.turn_scope();
            let around = Surroundings {
                tags: &turn.contact.tags,
                writing: &|| turn.writing(),
                zone: &|| turn.zone().clone(),
                day: &|text| turn.day_in(text),
            };
            match decide(case.operator, &left, &right, case.pattern.as_ref(), &around) {
                CaseResult::Holds(part) => {
                    if let Some(name) = save_as {
                        self.assign(index, name, part)?;
                    }
                    return self.leave(index, &case.exit, Some(format!("case {} holds", place + 1)));
                }
                CaseResult::Fails => {}
                CaseResult::WrongType(why) => self.warn(index, format!("case {}: {why}", place + 1)),
            }
        }
        self.leave(index, "default", Some("no case holds".to_owned()))
    }

    fn split(&mut self, index: usize, branches: &[Branch]) -> Result<Next, Halt> {
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
            None => self.close(Ending::Failed(Reason::NothingToDraw.into())),
        }
    }

    fn delay(&mut self, index: usize, delay: &Delay, until: Option<&Text>) -> Result<Next, Halt> {
        let follows_a_call = self.follows_a_call();
        let (wake_at, told) = match (delay.seconds, until) {
            (Some(seconds), _) => {
                (Some(self.now.plus(Duration::from_secs(seconds))), format!("{seconds} seconds from now"))
            }
            (None, Some(until)) => {
                let text = self.text(index, until)?;
                let moment = moment::of_text(&text, self.turn_scope().zone());
                let told = format!("`{}`", text.trim().chars().take(100).collect::<String>());
                (moment.map(|zoned| Timestamp::from_millis(zoned.timestamp().as_millisecond())), told)
            }
            (None, None) => (None, "nothing".to_owned()),
        };
        let why = match wake_at {
            None => Some("is no moment in time"),
            Some(wake_at) if !moment::is_near(wake_at, self.now) => Some("is more than ten years off"),
            Some(_) => None,
        };
        let Some(wake_at) = wake_at.filter(|_| why.is_none()) else {
            self.warn(index, format!("the delay cannot end: {told} {}", why.unwrap_or_default()));
            self.stay(index, why);
            return self.close(Ending::Failed(Reason::BadTime.into()));
        };
        if wake_at <= self.now {
            if delay.seconds.is_none() {
                self.warn(index, format!("{told} has passed: the delay is over at once"));
            }
            return self.leave(index, "next", Some("the moment has passed".to_owned()));
        }
        self.wait_for(WaitKind::Delay, Some(wake_at));
        if let Some(wait) = self.session.wait.as_mut() {
            wait.asked_at = follows_a_call.then_some(self.now);
            // A moment is fixed, while seconds count from when the message before them goes out.
            wait.timeout = wait.timeout.filter(|_| delay.seconds.is_some());
        }
        self.extend_ttl(wake_at);
        self.stay(index, None);
        Ok(Next::Stop)
    }

    /// Waits for something other than a reply.
    fn wait_for(&mut self, kind: WaitKind, wake_at: Option<Timestamp>) {
        let turn = self.session.turn;
        self.session.wait = Some(Wait {
            kind,
            entered_in: turn,
            armed_in: turn,
            attempts: 0,
            wake_at,
            timeout: wake_at.map(|wake_at| millis(wake_at.since(self.now))),
            moment: None,
            asked_at: None,
            options: Vec::new(),
        });
    }

    /// The time to live begins anew. It is the root flow's, whichever flow runs.
    fn renew_ttl(&mut self) {
        self.session.expires_at = self.root.ttl.map(|ttl| self.now.plus(ttl));
    }

    /// A wait takes the time to live along to its own due time.
    fn extend_ttl(&mut self, due_at: Timestamp) {
        self.session.expires_at = self.root.ttl.map(|ttl| due_at.plus(ttl));
    }

    fn country(&self) -> Option<String> {
        self.flow.country_of(&self.contact)
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
