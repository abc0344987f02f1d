//! Publishing checks of sub-flows: whether they are there, and whether flows call one another in a circle without ever
//! waiting.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::Publishing;
use crate::domain::{FlowDocument, FlowId, Node, NodeKind, Problem, RunFlow, checks};

/// How far flows are followed into one another. Deeper ones are assumed to wait.
const DEPTH: usize = 50;

/// The published flows around a document that is checked.
pub(super) struct SubFlows<'a> {
    own_id: Option<FlowId>,
    own: &'a FlowDocument,
    find: Option<&'a dyn Fn(FlowId) -> Option<FlowDocument>>,
    found: HashMap<FlowId, Option<Rc<FlowDocument>>>,
    passing: HashMap<FlowId, bool>,
}

impl<'a> SubFlows<'a> {
    pub(super) fn new(document: &'a FlowDocument, publishing: &Publishing<'a>) -> Self {
        let own_id = publishing.flow_id.or(document.id);
        Self { own_id, own: document, find: publishing.flows, found: HashMap::new(), passing: HashMap::new() }
    }

    /// What is wrong with the document's sub-flows; none if it is not known which flows are published.
    pub(super) fn problems(&mut self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.find.is_none() {
            return problems;
        }
        let own = self.own;
        for (node, run) in own.nodes.iter().filter_map(run_flow) {
            if Some(run.flow_id) != self.own_id && self.document(run.flow_id).is_none() {
                let text = format!(
                    "The flow {} is not published, so the node takes `failed`. Choose one that is, or publish it \
                    first.",
                    run.flow_id
                );
                problems.push(Problem::new(checks::SUB_FLOW_NOT_PUBLISHED, text).at(node.id.as_str()).field("flow_id"));
            }
        }
        for (node, run) in self.entered_at_once(own, 0) {
            if self.leads_back(run.flow_id) {
                let text =
                    "The flow comes back to itself from here without waiting for anything. Put a wait before it.";
                problems.push(Problem::new(checks::RECURSIVE_SUB_FLOW, text).at(&node).field("flow_id"));
            }
        }
        problems
    }

    /// Whether a session may come through a node without waiting for anything.
    pub(super) fn is_passed(&mut self, node: &Node) -> bool {
        self.is_passed_in(node, 0)
    }

    fn is_passed_in(&mut self, node: &Node, depth: usize) -> bool {
        match &node.kind {
            NodeKind::RunFlow(run) => run.returns && self.may_pass(run.flow_id, depth + 1),
            kind => !kind.waits(),
        }
    }

    /// Whether a flow may come to its end without waiting for anything.
    fn may_pass(&mut self, id: FlowId, depth: usize) -> bool {
        if let Some(&known) = self.passing.get(&id) {
            return known;
        }
        if depth > DEPTH {
            return false;
        }
        // A flow that comes back to itself first is not at its end.
        self.passing.insert(id, false);
        let may_pass = self.document(id).is_some_and(|document| {
            let reached = self.reached_at_once(&document, depth);
            reached.into_iter().any(|index| {
                let node = &document.nodes[index];
                let exits = exits_at_once(node);
                let is_end = node.kind.is_end() || exits.iter().any(|exit| node.exit(exit).is_none());
                is_end && self.is_passed_in(node, depth)
            })
        });
        self.passing.insert(id, may_pass);
        may_pass
    }

    /// Whether a flow, or one that it runs, runs the document that is checked, all without waiting.
    fn leads_back(&mut self, from: FlowId) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![from];
        while let Some(id) = open.pop() {
            if Some(id) == self.own_id {
                return true;
            }
            if seen.insert(id)
                && let Some(document) = self.document(id)
            {
                open.extend(self.entered_at_once(&document, 0).into_iter().map(|(_, run)| run.flow_id));
            }
        }
        false
    }

    /// The sub-flows that a session of a document comes to before it waits, with their nodes.
    fn entered_at_once(&mut self, document: &FlowDocument, depth: usize) -> Vec<(String, RunFlow)> {
        let reached = self.reached_at_once(document, depth);
        let nodes = reached.into_iter().map(|index| &document.nodes[index]);
        nodes.filter_map(run_flow).map(|(node, run)| (node.id.to_string(), run.clone())).collect()
    }

    /// The nodes that a session comes to before it waits, those where it does included.
    fn reached_at_once(&mut self, document: &FlowDocument, depth: usize) -> Vec<usize> {
        let places: HashMap<&str, usize> =
            document.nodes.iter().enumerate().map(|(index, node)| (node.id.as_str(), index)).collect();
        let mut open: Vec<usize> =
            document.entry_node.as_deref().and_then(|entry| places.get(entry).copied()).into_iter().collect();
        let mut reached = Vec::new();
        let mut seen = vec![false; document.nodes.len()];
        while let Some(index) = open.pop() {
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            reached.push(index);
            let node = &document.nodes[index];
            if self.is_passed_in(node, depth) {
                let targets = exits_at_once(node).into_iter().filter_map(|exit| node.exit(exit));
                open.extend(targets.filter_map(|target| places.get(target).copied()));
            }
        }
        reached
    }

    fn document(&mut self, id: FlowId) -> Option<Rc<FlowDocument>> {
        let (own_id, own, find) = (self.own_id, self.own, self.find?);
        let found = self.found.entry(id).or_insert_with(|| match Some(id) == own_id {
            true => Some(Rc::new(own.clone())),
            false => find(id).map(Rc::new),
        });
        found.clone()
    }
}

/// The exits that a node may be left by in the turn that enters it.
pub(super) fn exits_at_once(node: &Node) -> Vec<&str> {
    let mut exits = node.kind.exit_names();
    exits.retain(|exit| match &node.kind {
        NodeKind::RunFlow(_) => *exit == "completed",
        _ => *exit != "delivery_failed",
    });
    exits
}

fn run_flow(node: &Node) -> Option<(&Node, &RunFlow)> {
    match &node.kind {
        NodeKind::RunFlow(run) => Some((node, run)),
        _ => None,
    }
}
