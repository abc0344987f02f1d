//! Publishing checks of a flow's graph and fields. What concerns one template or pattern is found by compiling it.

mod nodes;
mod sub_flows;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{offered, window};
use crate::domain::consent::is_opt_out_word;
use crate::domain::typed::Typed;
use crate::domain::{FlowDocument, FlowId, LateReply, MessageTemplate, Node, NodeKind, Problem, checks};
use sub_flows::{SubFlows, exits_at_once};

/// The one error that publishing by force overrules.
pub const NO_ENTRY_NODE: &str = checks::NO_ENTRY_NODE.id();

/// The facts outside of a document by which it is checked. Made from a [`Duration`], they have the time to live and
/// nothing else.
#[derive(Clone, Copy)]
pub struct Publishing<'a> {
    /// The time to live of flows that set none.
    pub default_ttl: Duration,
    /// The flow's id, where it has one and its document does not say.
    pub flow_id: Option<FlowId>,
    /// Finds what other flows are published. `None` where that is not known: then sub-flows are not checked.
    pub flows: Option<&'a dyn Fn(FlowId) -> Option<FlowDocument>>,
    /// What is known of the channel's templates.
    pub templates: Offered<'a>,
}

/// What is known of the channel's templates.
#[derive(Debug, Clone, Copy, Default)]
pub enum Offered<'a> {
    /// Those that nodes name are not checked: the channel approves none, or it is not known which it is.
    #[default]
    Unasked,
    /// The channel approves them, and they were never fetched from it.
    NotFetched,
    /// They are these, in all languages and of any status.
    Known(&'a [MessageTemplate]),
}

impl From<Duration> for Publishing<'_> {
    fn from(default_ttl: Duration) -> Self {
        Self { default_ttl, flow_id: None, flows: None, templates: Offered::Unasked }
    }
}

/// Every problem of the graph and the fields.
pub(super) fn graph(document: &FlowDocument, ttl: Option<Duration>, publishing: &Publishing<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let ids: HashMap<&str, usize> =
        document.nodes.iter().enumerate().map(|(index, node)| (node.id.as_str(), index)).collect();
    settings(document, &mut problems);
    keywords(document, &mut problems);
    late_reply(document, &mut problems);
    inputs(document, &mut problems);
    let roots = roots(document, &ids, &mut problems);
    let keywords: Vec<Typed> = document.settings.keywords.iter().map(|keyword| Typed::of(keyword)).collect();
    for node in &document.nodes {
        let mut add = |problem: Problem| problems.push(problem.at(node.id.as_str()));
        nodes::exits(node, &ids, &mut add);
        nodes::dead_ends(node, &mut add);
        nodes::fields(node, &mut add);
        if let NodeKind::Menu(menu) = &node.kind {
            nodes::menu_words(menu, &keywords, &mut add);
        }
        nodes::text_lengths(node, &mut add);
        nodes::wait(node, ttl, &mut add);
    }
    let mut sub_flows = SubFlows::new(document, publishing);
    problems.extend(loops_without_wait(document, &ids, &mut sub_flows));
    problems.extend(sub_flows.problems());
    problems.extend(unreachable(document, &ids, &roots));
    let mut silent = window::late_texts(document, &ids, &roots, ttl);
    if !matches!(publishing.templates, Offered::Unasked) {
        let first = window::first_texts(document, &ids, ttl);
        // One warning of a node is enough.
        silent.retain(|late| !first.iter().any(|first| first.node == late.node));
        problems.extend(first);
    }
    match publishing.templates {
        Offered::Unasked => {}
        Offered::NotFetched => problems.extend(offered::unchecked(document)),
        Offered::Known(templates) => problems.extend(offered::problems(document, templates)),
    }
    problems.extend(silent);
    problems
}

/// The nodes that a session may begin with.
fn roots(document: &FlowDocument, ids: &HashMap<&str, usize>, problems: &mut Vec<Problem>) -> Vec<usize> {
    let mut roots = Vec::new();
    match document.entry_node.as_deref().map(|entry| (entry, ids.get(entry))) {
        Some((_, Some(&entry))) => roots.push(entry),
        Some((entry, None)) => {
            let text = format!("`entry_node` names `{entry}`, and no node has that id. Choose another.");
            problems.push(Problem::new(checks::NO_ENTRY_NODE, text).field("entry_node"));
        }
        None => {
            let text = "A session has nowhere to begin. Name its first node in `entry_node`.";
            problems.push(Problem::new(checks::NO_ENTRY_NODE, text).field("entry_node"));
        }
    }
    if let Some(LateReply::RestartAt(node)) = &document.settings.late_reply {
        match ids.get(node.as_str()) {
            Some(&node) => roots.push(node),
            None => {
                let text = format!("A late reply starts at `{node}`, and no node has that id. Choose another.");
                let field = "settings.late_reply.restart_at";
                problems.push(Problem::new(checks::UNKNOWN_RESTART_NODE, text).field(field));
            }
        }
    }
    roots
}

fn settings(document: &FlowDocument, problems: &mut Vec<Problem>) {
    let settings = &document.settings;
    if settings.session_ttl_minutes.is_some_and(|minutes| !(1..=43_200).contains(&minutes)) {
        problems.push(
            Problem::new(
                checks::TTL_OUT_OF_RANGE,
                "A session lives 1 to 43,200 minutes (30 days). Choose a number between these.",
            )
            .field("settings.session_ttl_minutes"),
        );
    }
    if settings.date_order.as_deref().is_some_and(|order| !["dmy", "mdy", "ymd"].contains(&order)) {
        problems.push(
            Problem::new(checks::BAD_DATE_ORDER, "The order of dates is not known. Use `dmy`, `mdy` or `ymd`.")
                .field("settings.date_order"),
        );
    }
    if settings.send_window.as_ref().is_some_and(|window| !window.is_valid()) {
        let text = "The hours of sending cannot be read. Write `from` and `to` as HH:MM, such as 09:00 and 18:00, and \
            not the same; hours that end earlier than they begin go over midnight.";
        problems.push(Problem::new(checks::BAD_SEND_WINDOW, text).field("settings.send_window"));
    }
}

/// A keyword only counts where the message does not opt out.
fn keywords(document: &FlowDocument, problems: &mut Vec<Problem>) {
    for (index, keyword) in document.settings.keywords.iter().enumerate() {
        if is_opt_out_word(keyword) {
            let text = format!(
                "Whoever types `{keyword}` opts out of all messages instead of starting the flow. Choose another \
                 keyword."
            );
            let field = format!("settings.keywords[{index}]");
            problems.push(Problem::new(checks::KEYWORD_IS_OPT_OUT_WORD, text).field(field));
        }
    }
}

/// A menu's buttons stay on the phone for ever.
fn late_reply(document: &FlowDocument, problems: &mut Vec<Problem>) {
    let has_menu = document.nodes.iter().any(|node| matches!(node.kind, NodeKind::Menu(_)));
    if has_menu && document.settings.late_reply.is_none() {
        let text = "Whoever taps an option after the conversation has ended is not answered by this flow. Set \
                    `late_reply`.";
        problems.push(Problem::new(checks::NO_LATE_REPLY, text).field("settings.late_reply"));
    }
}

fn inputs(document: &FlowDocument, problems: &mut Vec<Problem>) {
    let mut seen = HashSet::new();
    for (index, input) in document.inputs.iter().enumerate() {
        let field = format!("inputs[{index}].name");
        if !is_name(&input.name) {
            problems.push(bad_name(&input.name).field(field));
        } else if !seen.insert(&input.name) {
            let text = format!("Two inputs have the name `{}`. Rename or remove one.", input.name);
            problems.push(Problem::new(checks::DUPLICATE_INPUT, text).field(field));
        }
        if input.required && !document.settings.keywords.is_empty() {
            let text = format!(
                "The input `{}` is required, and a session that a keyword starts never has it. Make it optional, or \
                 remove the keywords.",
                input.name
            );
            let problem = Problem::new(checks::INPUT_NEVER_POSSIBLE, text);
            problems.push(problem.field(format!("inputs[{index}].required")));
        }
    }
}

fn targets<'a>(node: &'a Node, ids: &'a HashMap<&str, usize>) -> impl Iterator<Item = usize> + 'a {
    node.exits.values().flatten().filter_map(|target| ids.get(target.as_str()).copied())
}

/// Where a node leads in the turn that enters it, or in the turn of a message that fails.
fn targets_at_once<'a>(node: &'a Node, ids: &'a HashMap<&str, usize>) -> impl Iterator<Item = usize> + 'a {
    let leads_on = |exit: &str| exit == "delivery_failed" || exits_at_once(node).contains(&exit);
    let targets = node.exits.iter().filter(move |(exit, _)| leads_on(exit)).filter_map(|(_, target)| target.as_ref());
    targets.filter_map(|target| ids.get(target.as_str()).copied())
}

/// Loops that a session would run round for ever: a search for cycles among the nodes that do not wait.
fn loops_without_wait(
    document: &FlowDocument,
    ids: &HashMap<&str, usize>,
    sub_flows: &mut SubFlows<'_>,
) -> Vec<Problem> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; document.nodes.len()];
    let mut problems = Vec::new();
    for start in 0..document.nodes.len() {
        // An explicit stack: a chain of a thousand nodes must not overflow the thread's.
        let mut stack = vec![(start, false)];
        while let Some((index, leaving)) = stack.pop() {
            let node = &document.nodes[index];
            if leaving {
                marks[index] = Mark::Done;
                continue;
            }
            if marks[index] != Mark::New || !sub_flows.is_passed(node) {
                continue;
            }
            marks[index] = Mark::Open;
            stack.push((index, true));
            for target in targets_at_once(node, ids) {
                match marks[target] {
                    Mark::Open => {
                        let text = format!(
                            "The way from here leads back to `{}` without waiting for anything. Put a wait into the \
                             loop.",
                            document.nodes[target].id
                        );
                        problems.push(Problem::new(checks::LOOP_WITHOUT_WAIT, text).at(node.id.as_str()));
                    }
                    Mark::New => stack.push((target, false)),
                    Mark::Done => {}
                }
            }
        }
    }
    problems
}

fn unreachable(document: &FlowDocument, ids: &HashMap<&str, usize>, roots: &[usize]) -> Vec<Problem> {
    // Without an entry every node would be reported, and one problem is enough.
    if !document.entry_node.as_deref().is_some_and(|entry| ids.contains_key(entry)) {
        return Vec::new();
    }
    let mut reached = vec![false; document.nodes.len()];
    let mut open = roots.to_vec();
    while let Some(index) = open.pop() {
        if !std::mem::replace(&mut reached[index], true) {
            open.extend(targets(&document.nodes[index], ids));
        }
    }
    let lost = document.nodes.iter().zip(&reached).filter(|(_, reached)| !**reached);
    lost.map(|(node, _)| {
        Problem::new(checks::UNREACHABLE_NODE, "No way leads here. Wire an exit to the node or remove it.")
            .at(node.id.as_str())
    })
    .collect()
}

/// A name that `{{context.name}}` can read.
fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn bad_name(name: &str) -> Problem {
    let text = format!(
        "`{name}` cannot be read as {{{{context.…}}}}. Use at most 64 letters, digits and `_`, not a digit first."
    );
    Problem::new(checks::BAD_VARIABLE_NAME, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{CompiledFlow, problems_of};
    use serde_json::{Value, json};

    #[test]
    fn a_sound_flow_has_no_problems() {
        let nodes = json!([
            {"id": "a", "type": "ask", "text": "Tea?", "timeout_seconds": 60,
             "exits": {"reply": "b", "timeout": "b", "no_match": "b", "delivery_failed": "b"}},
            {"id": "b", "type": "send_message", "text": "Hi {{context.x}}", "exits": {"next": "a"}}
        ]);
        let document = json!({"schema_version": 1, "name": "F", "entry_node": "a", "nodes": nodes});
        assert_eq!(problems_of(&document, Duration::from_secs(1800)), []);
    }

    #[test]
    fn a_flow_without_an_entry_still_compiles() {
        let document = json!({"schema_version": 1, "name": "F", "nodes": [{"id": "a", "type": "end"}]});
        let document = FlowDocument::parse(&document).unwrap();
        let (flow, problems) = CompiledFlow::compile(document, Duration::from_secs(60));
        assert!(!flow.unwrap().has_entry());
        assert_eq!(problems[0].id, NO_ENTRY_NODE);
    }

    #[test]
    fn a_node_that_cannot_be_read_hides_no_other_problem() {
        let ids = |document: Value| {
            let problems = problems_of(&document, Duration::from_secs(1800));
            problems.iter().map(|it| (it.id, it.node.clone().unwrap_or_default())).collect::<Vec<_>>()
        };
        let found = |id: &'static str, node: &str| (id, node.to_owned());
        let nodes = json!([
            {"id": "a", "type": "send_message", "txet": "Hi", "exits": {"next": "c"}},
            {"id": "b", "type": "send_message", "text": "{{cart}}", "exits": {"next": "a"}},
            {"id": "c", "type": "send_message", "text": "Hi", "exits": {"next": "gone"}}
        ]);
        let mut document = json!({
            "schema_version": 1, "name": "F", "entry_node": "a", "settings": {"late_reply": {"restart_at": "a"}},
            "nodes": nodes
        });
        assert_eq!(
            ids(document.clone()),
            [found("wrong_shape", "a"), found("unknown_template_root", "b"), found("unknown_exit_target", "c"),],
            "that `a` leads to `c`, and is there at all, is not held against the others"
        );
        document["colour"] = json!("red");
        assert_eq!(ids(document), [found("wrong_shape", ""), found("wrong_shape", "a")]);
    }
}
