//! Sub-flows: entering one, coming back from it, and what happens to all of them together.
//!
//! Each runs in a frame of its own, with its own nodes, visits and context. While the machine runs, those of the frame
//! that is active stand in the session itself, so that nodes need not know where they are; before and after, the
//! session's are the root flow's.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::values::json_bytes;
use super::{Ending, Halt, Machine, Next, Running};
use crate::domain::text::{json_depth, span_in_words};
use crate::domain::{FlowPin, Frame, NodeId, Reason, Session, Spoken, Status, WaitKind};
use crate::engine::compile::{Action, SubFlow};
use crate::engine::{Lookup, limits};

/// The id of the root flow's frame.
const ROOT: u32 = 0;

impl Machine<'_> {
    /// Puts the innermost frame's node, visits and context in the place of the root flow's.
    pub(super) fn enter_frames(&mut self) -> Result<(), Halt> {
        let Some(mut active) = self.session.frames.pop() else { return Ok(()) };
        swap(&mut self.session, &mut active);
        let root = Frame {
            current_node: active.current_node.take(),
            visits: mem::take(&mut active.visits),
            context: mem::take(&mut active.context),
            ..self.root_frame()
        };
        self.callers.push(root);
        self.callers.append(&mut self.session.frames);
        let pin = active.flow;
        self.frame = Some(active);
        self.flow = self.find(pin)?;
        Ok(())
    }

    /// The reverse of [`Machine::enter_frames`]. A session that has ended is in no sub-flow any more.
    pub(super) fn restore_root(&mut self) {
        let Some(mut active) = self.frame.take() else { return };
        swap(&mut self.session, &mut active);
        self.callers.push(active);
        let mut root = self.callers.remove(0);
        let has_ended = self.session.status != Status::Running;
        swap(&mut self.session, &mut root);
        self.session.frames = if has_ended { Vec::new() } else { mem::take(&mut self.callers) };
    }

    /// Runs another flow in a frame of its own.
    pub(super) fn run_flow(&mut self, index: usize, sub: &SubFlow) -> Result<Next, Halt> {
        let mut context = Map::new();
        for (name, leaf) in &sub.context {
            context.insert(name.clone(), self.value(index, leaf)?);
        }
        let depth = context.values().map(json_depth).max().unwrap_or(0);
        if depth > limits::DEPTH {
            self.warn(index, format!("the sub-flow's context would be nested deeper than {} levels", limits::DEPTH));
            return Err(Halt(Reason::StateLimit));
        }
        self.burn_bytes(json_bytes(&context))?;
        if sub.returns && self.callers.len() >= limits::FRAMES {
            self.warn(index, format!("a session is in no more than {} sub-flows at once", limits::FRAMES));
            return Err(Halt(Reason::DepthLimit));
        }
        let (version, flow) = match (self.flows)(sub.id, None) {
            Lookup::Ready { version, flow } => (version, flow),
            Lookup::NotPublished => return self.not_run(index, sub, Reason::SubFlowNotPublished),
            Lookup::Load => return Err(self.not_loaded()),
        };
        let Some(entry) = flow.entry() else { return self.not_run(index, sub, Reason::SubFlowWithoutEntry) };
        self.stay(index, Some(&format!("into {}", flow.name())));
        let id = self.next_frame_id();
        let frame = Frame {
            id,
            flow: FlowPin { id: sub.id, version },
            returns: sub.returns,
            current_node: None,
            visits: Default::default(),
            context: Map::new(),
        };
        self.suspend(frame, context);
        if !sub.returns {
            // The frames that waited for the sub-flow's end are over; the root flow's context is the session's.
            self.callers.truncate(1);
        }
        self.flow = Running::Sub(flow);
        if !self.has_room() {
            self.warn_of_session(format!(
                "the sub-flow's context would make the state larger than {} bytes",
                limits::STATE_BYTES
            ));
            self.session.context.clear();
            return Err(Halt(Reason::StateLimit));
        }
        Ok(Next::Node(entry))
    }

    /// Ends the flow that runs: its caller goes on, and without one the session ends.
    pub(super) fn close(&mut self, ending: Ending) -> Result<Next, Halt> {
        if !self.has_caller() {
            match ending {
                Ending::Completed(outcome) => {
                    self.session.outcome = outcome;
                    self.end(Status::Completed, None);
                }
                Ending::Failed(reason) => self.end(Status::Failed, Some(&reason)),
            }
            return Ok(Next::Stop);
        }
        let (index, context) = self.pop_frame()?;
        match ending {
            Ending::Completed(outcome) => {
                self.save_result(index, json!({"status": "completed", "outcome": outcome, "context": context}))?;
                self.leave(index, "completed", None)
            }
            Ending::Failed(reason) => self.fail_sub_flow(index, reason, context),
        }
    }

    /// The time to live has run out: of the flow that runs, and of every caller that has no use for it.
    pub(super) fn expire(&mut self) {
        let expired_at = self.session.expires_at;
        if let Some((index, why)) = self.silence() {
            self.stay(index, Some(&why));
        }
        while self.has_caller() {
            let (index, context) = match self.pop_frame() {
                Ok(back) => back,
                Err(halt) => return self.fail_here(halt),
            };
            if self.flow.node(index).exit("expired").is_none() {
                continue;
            }
            if !self.open_turn() {
                return;
            }
            self.session.input = None;
            self.renew_ttl();
            let result = json!({"status": "expired", "outcome": null, "context": context});
            let saved = self.save_result(index, result);
            let why = "the time to live ran out".to_owned();
            let next = saved.and_then(|()| self.leave(index, "expired", Some(why)));
            return self.proceed(next);
        }
        self.count_last_turn();
        self.end(Status::Expired, None);
        // It was over then, however late this is noticed.
        self.session.ended_at = expired_at;
    }

    /// The node at which the session waited until it expired, and why it did not go on by its timer.
    fn silence(&self) -> Option<(usize, String)> {
        let (index, wait) = (self.current()?, self.session.wait.as_ref()?);
        let node = self.flow.node(index);
        let ttl = self.root.ttl?;
        let lived = span_in_words(ttl);
        let (what, wired) = match wait.kind {
            WaitKind::Reply => (format!("{lived} without an answer"), node.exit("timeout").is_some()),
            WaitKind::Event => (format!("{lived} without the event"), node.exit("timeout").is_some()),
            WaitKind::Delay | WaitKind::Http | WaitKind::Handoff => {
                return Some((index, format!("{lived} have passed")));
            }
        };
        let timer = match wait.timeout.map(Duration::from_millis) {
            None => "the node has no `timeout_seconds`".to_owned(),
            Some(span) if span < ttl => format!("its timeout of {} began too late to end first", span_in_words(span)),
            Some(span) => {
                format!("its timeout of {} is not shorter than the flow's time to live", span_in_words(span))
            }
        };
        let exit =
            if wired { "so that its exit `timeout` was not taken" } else { "and its exit `timeout` is not wired" };
        Some((index, format!("{what}; {timer}, {exit}")))
    }

    /// Passes the failure of a message to the frame that sent it, where that frame still is.
    pub(super) fn take_delivery_failure(&mut self, turn: u32, node: &NodeId, code: &str) -> Result<(), Reason> {
        if turn != self.session.turn {
            return Err(Reason::HasGoneOn);
        }
        let said_in = self.session.spoken.iter().rev().find(|spoken| spoken.node == *node);
        let said_in = said_in.map_or(ROOT, |spoken| spoken.frame);
        if !self.open_turn() {
            return Ok(());
        }
        self.session.input = None;
        // A handoff that is left this way was without a time to live.
        if self.session.wait.as_ref().is_some_and(|wait| wait.kind == WaitKind::Handoff) {
            self.renew_ttl();
        }
        while self.frame_id() != said_in {
            let is_below = self.has_caller() && self.callers.iter().any(|caller| caller.id == said_in);
            if !is_below {
                // The sub-flow that could have gone on from it is over.
                self.end(Status::Failed, Some(code));
                return Ok(());
            }
            if let Err(halt) = self.pop_frame() {
                self.fail_here(halt);
                return Ok(());
            }
        }
        let next = match self.flow.places.get(node.as_str()).copied() {
            Some(index) if self.flow.node(index).exit("delivery_failed").is_some() => {
                self.leave(index, "delivery_failed", Some(code.to_owned()))
            }
            _ => self.close(Ending::Failed(code.to_owned())),
        };
        self.proceed(next);
        Ok(())
    }

    /// Records that a node of a sub-flow has sent a message in this turn.
    pub(super) fn note_spoken(&mut self, node: &NodeId) {
        if let Some(frame) = &self.frame {
            let spoken = Spoken { node: node.clone(), frame: frame.id };
            if self.session.spoken.last() != Some(&spoken) {
                self.session.spoken.push(spoken);
            }
        }
    }

    /// Leaves the node of a sub-flow that could not be entered.
    fn not_run(&mut self, index: usize, sub: &SubFlow, reason: Reason) -> Result<Next, Halt> {
        self.warn(index, format!("the flow {} cannot be run: {reason}", sub.id));
        self.fail_sub_flow(index, reason.into(), Map::new())
    }

    /// Handles the failure of a sub-flow: the caller goes on at its exit `failed`, and without one it fails, too.
    fn fail_sub_flow(&mut self, index: usize, reason: String, context: Map<String, Value>) -> Result<Next, Halt> {
        if self.flow.node(index).exit("failed").is_none() {
            self.stay(index, Some(&reason));
            return self.close(Ending::Failed(reason));
        }
        self.save_result(index, json!({"status": "failed", "outcome": null, "context": context}))?;
        self.leave(index, "failed", Some(reason))
    }

    fn save_result(&mut self, index: usize, result: Value) -> Result<(), Halt> {
        let flow = self.flow.clone();
        match &flow.actions[index] {
            Action::RunFlow(sub) => sub.save_as.as_ref().map_or(Ok(()), |name| self.assign(index, name, result)),
            _ => Ok(()),
        }
    }

    /// Suspends the running flow for a sub-flow.
    fn suspend(&mut self, mut frame: Frame, context: Map<String, Value>) {
        let mut caller = self.frame.take().unwrap_or_else(|| self.root_frame());
        frame.context = context;
        swap(&mut self.session, &mut frame);
        (caller.current_node, caller.visits, caller.context) =
            (frame.current_node.take(), mem::take(&mut frame.visits), mem::take(&mut frame.context));
        self.callers.push(caller);
        self.frame = Some(frame);
        self.forget_views();
    }

    /// Goes back to the caller, at its node. Returns that node's place, and the context that the sub-flow had.
    fn pop_frame(&mut self) -> Result<(usize, Map<String, Value>), Halt> {
        let Some(mut caller) = self.callers.pop() else { return Err(Halt(Reason::WaitAtWrongNode)) };
        swap(&mut self.session, &mut caller);
        let context = mem::take(&mut caller.context);
        self.session.wait = None;
        self.forget_views();
        self.flow = match caller.id {
            ROOT => Running::Root(self.root),
            _ => self.find(caller.flow)?,
        };
        (caller.current_node, caller.visits) = Default::default();
        self.frame = (caller.id != ROOT).then_some(caller);
        let index = self.current().ok_or(Halt(Reason::MissingNode))?;
        Ok((index, context))
    }

    fn has_caller(&self) -> bool {
        self.frame.as_ref().is_some_and(|frame| frame.returns) && !self.callers.is_empty()
    }

    fn frame_id(&self) -> u32 {
        self.frame.as_ref().map_or(ROOT, |frame| frame.id)
    }

    /// An id that is unused among the present frames and those that sent a message in this turn.
    fn next_frame_id(&self) -> u32 {
        let of_callers = self.callers.iter().map(|frame| frame.id);
        let of_spoken = self.session.spoken.iter().map(|spoken| spoken.frame);
        of_callers.chain(of_spoken).chain([self.frame_id()]).max().unwrap_or(ROOT) + 1
    }

    fn root_frame(&self) -> Frame {
        let flow = FlowPin { id: self.session.flow_id, version: self.session.version };
        Frame { id: ROOT, flow, returns: true, current_node: None, visits: BTreeMap::new(), context: Map::new() }
    }

    /// The version that a frame is pinned to.
    fn find<'b>(&mut self, pin: FlowPin) -> Result<Running<'b>, Halt> {
        match (self.flows)(pin.id, Some(pin.version)) {
            Lookup::Ready { flow, .. } => Ok(Running::Sub(flow)),
            Lookup::NotPublished => Err(Halt(Reason::MissingFlow)),
            Lookup::Load => Err(self.not_loaded()),
        }
    }

    fn not_loaded(&mut self) -> Halt {
        self.is_not_loaded = true;
        Halt(Reason::SubFlowNotLoaded)
    }

    /// Views that were made for the templates of one frame do not fit another.
    fn forget_views(&mut self) {
        self.context_bytes = None;
        self.held_bytes = None;
        self.context_view = None;
        self.turn_scope = None;
    }
}

fn swap(session: &mut Session, frame: &mut Frame) {
    mem::swap(&mut session.current_node, &mut frame.current_node);
    mem::swap(&mut session.visits, &mut frame.visits);
    mem::swap(&mut session.context, &mut frame.context);
}
