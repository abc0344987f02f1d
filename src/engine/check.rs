//! Publishing checks of a flow's graph and fields. What concerns one template or pattern is found by compiling it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::limits;
use crate::domain::{Delay, FlowDocument, Menu, Node, NodeKind, Problem};

/// The one error that publishing by force overrules.
pub const NO_ENTRY_NODE: &str = "no_entry_node";

const WEEKS_52: u64 = 52 * 7 * 24 * 3600;

/// Every problem of the graph and the fields.
pub(super) fn graph(document: &FlowDocument, ttl: Option<Duration>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let ids: HashMap<&str, usize> =
        document.nodes.iter().enumerate().map(|(index, node)| (node.id.as_str(), index)).collect();
    settings(document, &mut problems);
    match document.entry_node.as_deref() {
        None => problems.push(
            Problem::error(NO_ENTRY_NODE, "Name the node that a session begins with in `entry_node`.")
                .field("entry_node"),
        ),
        Some(entry) if !ids.contains_key(entry) => problems.push(
            Problem::error(NO_ENTRY_NODE, format!("`entry_node` names `{entry}`, and no node has that id."))
                .field("entry_node"),
        ),
        Some(_) => {}
    }
    for node in &document.nodes {
        let mut add = |problem: Problem| problems.push(problem.at(node.id.as_str()));
        exits(node, &ids, &mut add);
        fields(node, &mut add);
        text_lengths(node, &mut add);
        wait(node, ttl, &mut add);
    }
    problems.extend(loops_without_wait(document, &ids));
    problems.extend(unreachable(document, &ids));
    problems
}

fn settings(document: &FlowDocument, problems: &mut Vec<Problem>) {
    let settings = &document.settings;
    if settings.session_ttl_minutes.is_some_and(|minutes| !(1..=43_200).contains(&minutes)) {
        problems.push(
            Problem::error("ttl_out_of_range", "A session lives 1 to 43,200 minutes (30 days).")
                .field("settings.session_ttl_minutes"),
        );
    }
    if settings.date_order.as_deref().is_some_and(|order| !["dmy", "mdy", "ymd"].contains(&order)) {
        problems.push(Problem::error("bad_date_order", "Use `dmy`, `mdy` or `ymd`.").field("settings.date_order"));
    }
    for (field, is_set) in [
        ("keywords", !settings.keywords.is_empty()),
        ("late_reply", settings.late_reply.is_some()),
        ("send_window", settings.send_window.is_some()),
        ("message_max_age_minutes", settings.message_max_age_minutes.is_some()),
    ] {
        if is_set {
            let text = format!("`{field}` is kept with the flow, but this version does not act on it yet.");
            problems.push(Problem::warning("setting_without_effect", text).field(format!("settings.{field}")));
        }
    }
    let mut seen = HashSet::new();
    for (index, input) in document.inputs.iter().enumerate() {
        let field = format!("inputs[{index}].name");
        if !is_name(&input.name) {
            problems.push(bad_name(&input.name).field(field));
        } else if !seen.insert(&input.name) {
            let text = format!("Two inputs have the name `{}`.", input.name);
            problems.push(Problem::error("duplicate_input", text).field(field));
        }
    }
}

fn exits(node: &Node, ids: &HashMap<&str, usize>, add: &mut impl FnMut(Problem)) {
    let names = node.kind.exit_names();
    for (exit, target) in &node.exits {
        if !names.contains(&exit.as_str()) {
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let text = format!("A `{}` has no exit `{exit}`: its exits are {known}.", node.kind.type_name());
            add(Problem::error("unknown_exit", text).field(format!("exits.{exit}")));
        }
        if let Some(target) = target.as_deref().filter(|target| !ids.contains_key(target)) {
            let text = format!("The exit leads to `{target}`, and no node has that id: choose another or remove it.");
            add(Problem::error("unknown_exit_target", text).field(format!("exits.{exit}")));
        }
    }
}

fn fields(node: &Node, add: &mut impl FnMut(Problem)) {
    let mut name = |field: &str, value: Option<&String>| {
        if let Some(value) = value.filter(|value| !is_name(value)) {
            add(bad_name(value).field(field));
        }
    };
    match &node.kind {
        NodeKind::SendMessage(say) => {
            if is_blank(say.text.as_deref()) && say.media.is_none() && say.template.is_none() {
                add(Problem::error("nothing_to_say", "Give the node a text, a medium or a template."));
            }
            if let Some(media) = &say.media {
                const KINDS: [&str; 4] = ["image", "video", "audio", "document"];
                if !KINDS.contains(&media.kind.as_str()) {
                    let text = format!("A medium is one of {}.", KINDS.join(", "));
                    add(Problem::error("bad_media_kind", text).field("media.kind"));
                }
            }
        }
        NodeKind::Ask(ask) => name("save_as", ask.save_as.as_ref()),
        NodeKind::Menu(menu) => {
            name("save_as", menu.save_as.as_ref());
            menu_fields(menu, add);
        }
        NodeKind::Condition(condition) => {
            name("save_as", condition.save_as.as_ref());
            if condition.cases.is_empty() {
                add(Problem::error("no_cases", "Give the condition at least one case.").field("cases"));
            }
            for (index, case) in condition.cases.iter().enumerate() {
                if case.exit.trim().is_empty() {
                    add(Problem::error("blank_exit", "Name the exit of this case.")
                        .field(format!("cases[{index}].exit")));
                }
            }
        }
        NodeKind::RandomSplit(split) => {
            if split.branches.iter().all(|branch| branch.weight == 0) {
                add(Problem::error("no_weight", "Give at least one branch a weight above 0.").field("branches"));
            }
            duplicates(split.branches.iter().map(|branch| branch.id.as_str()), "branches", add);
        }
        NodeKind::SetVariable(set) => {
            for (index, assignment) in set.assignments.iter().enumerate() {
                name(&format!("assignments[{index}].name"), Some(&assignment.name));
            }
        }
        NodeKind::Delay(Delay { seconds, until, .. }) => match (seconds, until) {
            (Some(_), Some(_)) | (None, None) => {
                add(Problem::error("bad_delay", "Give the delay either `seconds` or `until`.").field("seconds"));
            }
            (Some(seconds), None) if !(1..=WEEKS_52).contains(seconds) => {
                add(Problem::error("bad_delay", "A delay takes 1 second to 52 weeks.").field("seconds"));
            }
            _ => {}
        },
        NodeKind::UpdateContact(_) | NodeKind::End(_) => {}
    }
}

/// Literal texts over the limit; what templates grow to is cut when it is said.
fn text_lengths(node: &Node, add: &mut impl FnMut(Problem)) {
    let texts: Vec<(&str, Option<&String>)> = match &node.kind {
        NodeKind::SendMessage(say) => vec![("text", say.text.as_ref())],
        NodeKind::Ask(ask) => vec![("text", ask.text.as_ref()), ("retry_text", ask.retry_text.as_ref())],
        NodeKind::Menu(menu) => vec![("text", menu.text.as_ref()), ("retry_text", menu.retry_text.as_ref())],
        NodeKind::End(end) => vec![("text", end.text.as_ref())],
        _ => Vec::new(),
    };
    for (field, text) in texts {
        let length = text.filter(|text| !text.contains("{{")).map_or(0, |text| text.chars().count());
        if length > limits::TEXT_CHARS {
            let text =
                format!("The text has {length} characters; at most {} can be sent. Split it.", limits::TEXT_CHARS);
            add(Problem::error("text_too_long", text).field(field));
        }
    }
}

fn menu_fields(menu: &Menu, add: &mut impl FnMut(Problem)) {
    if is_blank(menu.text.as_deref()) && menu.template.is_none() {
        add(Problem::error("nothing_to_say", "Give the menu a text or a template.").field("text"));
    }
    if !(1..=10).contains(&menu.options.len()) {
        let text = format!("A menu has 1 to 10 options; this one has {}.", menu.options.len());
        add(Problem::error("menu_size", text).field("options"));
    }
    duplicates(menu.options.iter().map(|option| option.id.as_str()), "options", add);
    let longest = if menu.options.len() <= 3 { 20 } else { 24 };
    for (index, option) in menu.options.iter().enumerate() {
        let length = option.title.chars().count();
        if option.title.trim().is_empty() {
            add(Problem::error("blank_title", "Give the option a title.").field(format!("options[{index}].title")));
        } else if length > longest && !option.title.contains("{{") {
            let text = format!("The title has {length} characters; WhatsApp shows at most {longest} here. Shorten it.");
            add(Problem::warning("title_too_long", text).field(format!("options[{index}].title")));
        }
        if ["no_match", "timeout", "delivery_failed"].contains(&option.id.as_str()) || !is_option_id(&option.id) {
            let text = "An option's id is 1 to 64 of A-Z, a-z, 0-9, `_`, `-`, and not the name of another exit.";
            add(Problem::error("bad_option_id", text).field(format!("options[{index}].id")));
        }
    }
}

fn wait(node: &Node, ttl: Option<Duration>, add: &mut impl FnMut(Problem)) {
    let (timeout, attempts) = match &node.kind {
        NodeKind::Ask(ask) => (ask.timeout_seconds, ask.max_attempts),
        NodeKind::Menu(menu) => (menu.timeout_seconds, menu.max_attempts),
        _ => return,
    };
    if !(1..=100).contains(&attempts) {
        add(Problem::error("bad_attempts", "`max_attempts` is 1 to 100.").field("max_attempts"));
    }
    if timeout.is_some_and(|seconds| !(1..=WEEKS_52).contains(&seconds)) {
        add(Problem::error("bad_timeout", "A timeout takes 1 second to 52 weeks.").field("timeout_seconds"));
    }
    if node.exit("timeout").is_none() {
        let text = "Nothing happens if the contact does not answer: wire `timeout`.";
        add(Problem::warning("no_timeout_exit", text).field("exits.timeout"));
    } else if timeout.is_none() {
        let text = "The exit `timeout` is never taken: set `timeout_seconds`.";
        add(Problem::warning("timeout_never_fires", text).field("timeout_seconds"));
    }
    if node.exit("no_match").is_none() {
        let text = "Answers that do not fit end the conversation after the last attempt: wire `no_match`.";
        add(Problem::warning("no_no_match_exit", text).field("exits.no_match"));
    }
    if let (Some(seconds), Some(ttl)) = (timeout, ttl)
        && seconds >= ttl.as_secs()
    {
        let text = format!(
            "The timeout never fires: the session expires after {} minutes of silence. Shorten it or raise `session_ttl_minutes`.",
            ttl.as_secs() / 60
        );
        add(Problem::warning("timeout_beyond_ttl", text).field("timeout_seconds"));
    }
}

fn targets<'a>(node: &'a Node, ids: &'a HashMap<&str, usize>) -> impl Iterator<Item = usize> + 'a {
    node.exits.values().flatten().filter_map(|target| ids.get(target.as_str()).copied())
}

/// Loops that a session would run round for ever: a search for cycles among the nodes that do not wait.
fn loops_without_wait(document: &FlowDocument, ids: &HashMap<&str, usize>) -> Vec<Problem> {
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
            if marks[index] != Mark::New || node.kind.waits() {
                continue;
            }
            marks[index] = Mark::Open;
            stack.push((index, true));
            for target in targets(node, ids) {
                match marks[target] {
                    Mark::Open => {
                        let text = format!(
                            "The way from here leads back to `{}` without waiting for anything: put a wait into the loop.",
                            document.nodes[target].id
                        );
                        problems.push(Problem::error("loop_without_wait", text).at(node.id.as_str()));
                    }
                    Mark::New => stack.push((target, false)),
                    Mark::Done => {}
                }
            }
        }
    }
    problems
}

fn unreachable(document: &FlowDocument, ids: &HashMap<&str, usize>) -> Vec<Problem> {
    let Some(&entry) = document.entry_node.as_deref().and_then(|entry| ids.get(entry)) else {
        return Vec::new();
    };
    let mut reached = vec![false; document.nodes.len()];
    let mut open = vec![entry];
    while let Some(index) = open.pop() {
        if !std::mem::replace(&mut reached[index], true) {
            open.extend(targets(&document.nodes[index], ids));
        }
    }
    let lost = document.nodes.iter().zip(&reached).filter(|(_, reached)| !**reached);
    lost.map(|(node, _)| {
        Problem::warning("unreachable_node", "No way leads here: wire an exit to it or remove it.").at(node.id.as_str())
    })
    .collect()
}

fn duplicates<'a>(ids: impl Iterator<Item = &'a str>, field: &str, add: &mut impl FnMut(Problem)) {
    let mut seen = HashSet::new();
    for (index, id) in ids.enumerate() {
        if !seen.insert(id) {
            add(Problem::error("duplicate_id", format!("Two have the id `{id}`."))
                .field(format!("{field}[{index}].id")));
        }
    }
}

fn is_blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}

fn is_option_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A name that `{{context.name}}` can read.
fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn bad_name(name: &str) -> Problem {
    let text = format!(
        "`{name}` cannot be read as {{{{context.…}}}}: use letters, digits and `_`, not a digit first, at most 64."
    );
    Problem::error("bad_variable_name", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CompiledFlow;
    use serde_json::{Value, json};

    fn found(document: Value) -> Vec<&'static str> {
        let document = FlowDocument::parse(&document).unwrap();
        let (_, problems) = CompiledFlow::compile(document, Duration::from_secs(1800));
        problems.into_iter().map(|problem| problem.id).collect()
    }

    fn with_nodes(nodes: Value) -> Vec<&'static str> {
        found(json!({"schema_version": 1, "name": "F", "entry_node": "a", "nodes": nodes}))
    }

    #[test]
    fn a_sound_flow_has_no_problems() {
        let nodes = json!([
            {"id": "a", "type": "menu", "text": "Tea?", "options": [{"id": "y", "title": "Yes"}], "timeout_seconds": 60,
             "exits": {"y": "b", "timeout": "b", "no_match": "b", "delivery_failed": "b"}},
            {"id": "b", "type": "send_message", "text": "Hi {{context.x}}", "exits": {"next": "a"}}
        ]);
        assert_eq!(with_nodes(nodes), [] as [&str; 0]);
    }

    #[test]
    fn each_check_has_a_document_that_fails_it() {
        let say = |extra: Value| {
            let mut node = json!({"id": "a", "type": "send_message", "text": "Hi"});
            node.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            json!([node])
        };
        for (expected, nodes) in [
            ("unknown_exit_target", say(json!({"exits": {"next": "gone"}}))),
            ("unknown_exit", say(json!({"exits": {"nxet": null}}))),
            ("nothing_to_say", say(json!({"text": "  "}))),
            ("text_too_long", say(json!({"text": "x".repeat(4097)}))),
            ("bad_template", say(json!({"text": "{{context.x"}))),
            ("unknown_template_root", say(json!({"text": "{{cart}}"}))),
            ("bad_media_kind", say(json!({"media": {"kind": "gif", "url": "https://x.example"}}))),
            ("loop_without_wait", say(json!({"exits": {"next": "a"}}))),
            (
                "loop_without_wait",
                json!([
                    {"id": "a", "type": "send_message", "text": "1", "exits": {"next": "b"}},
                    {"id": "b", "type": "set_variable", "assignments": [], "exits": {"next": "a"}}
                ]),
            ),
            ("unreachable_node", json!([{"id": "a", "type": "end"}, {"id": "b", "type": "end"}])),
            ("menu_size", json!([{"id": "a", "type": "menu", "text": "?", "options": []}])),
            (
                "title_too_long",
                json!([{"id": "a", "type": "menu", "text": "?", "options": [{"id": "x", "title": "a title of 21 letters"}]}]),
            ),
            (
                "bad_option_id",
                json!([{"id": "a", "type": "menu", "text": "?", "options": [{"id": "timeout", "title": "T"}]}]),
            ),
            (
                "duplicate_id",
                json!([{"id": "a", "type": "menu", "text": "?", "options": [{"id": "x", "title": "T"}, {"id": "x", "title": "U"}]}]),
            ),
            ("no_timeout_exit", json!([{"id": "a", "type": "ask", "text": "?"}])),
            ("no_no_match_exit", json!([{"id": "a", "type": "ask", "text": "?"}])),
            ("timeout_never_fires", json!([{"id": "a", "type": "ask", "text": "?", "exits": {"timeout": "a"}}])),
            (
                "timeout_beyond_ttl",
                json!([{"id": "a", "type": "ask", "text": "?", "timeout_seconds": 1800, "exits": {"timeout": "a"}}]),
            ),
            ("bad_pattern", json!([{"id": "a", "type": "ask", "text": "?", "validation": {"pattern": "("}}])),
            (
                "bad_pattern",
                json!([{"id": "a", "type": "ask", "text": "?", "validation": {"pattern": "(a{1000}){1000}"}}]),
            ),
            ("bad_variable_name", json!([{"id": "a", "type": "ask", "text": "?", "save_as": "my name"}])),
            ("bad_attempts", json!([{"id": "a", "type": "ask", "text": "?", "max_attempts": 0}])),
            ("bad_timeout", json!([{"id": "a", "type": "ask", "text": "?", "timeout_seconds": 0}])),
            ("no_weight", json!([{"id": "a", "type": "random_split", "branches": [{"id": "x", "weight": 0}]}])),
            ("no_cases", json!([{"id": "a", "type": "condition", "cases": []}])),
            ("bad_delay", json!([{"id": "a", "type": "delay"}])),
            ("bad_delay", json!([{"id": "a", "type": "delay", "seconds": 0}])),
        ] {
            let ids = with_nodes(nodes.clone());
            assert!(ids.contains(&expected), "{expected}: {ids:?} of {nodes}");
        }
        for (expected, key, value) in [
            ("no_entry_node", "entry_node", json!("nowhere")),
            ("no_entry_node", "entry_node", json!(null)),
            ("ttl_out_of_range", "settings", json!({"session_ttl_minutes": 43_201})),
            ("bad_date_order", "settings", json!({"date_order": "myd"})),
            ("unknown_timezone", "settings", json!({"timezone": "Mars/Base"})),
            ("setting_without_effect", "settings", json!({"keywords": ["hi"]})),
            ("bad_variable_name", "inputs", json!([{"name": "1st"}])),
            ("duplicate_input", "inputs", json!([{"name": "x"}, {"name": "x"}])),
        ] {
            let mut document =
                json!({"schema_version": 1, "name": "F", "entry_node": "a", "nodes": [{"id": "a", "type": "end"}]});
            document[key] = value;
            let ids = found(document);
            assert!(ids.contains(&expected), "{expected}: {ids:?}");
        }
    }

    #[test]
    fn a_flow_without_an_entry_still_compiles() {
        let document = json!({"schema_version": 1, "name": "F", "nodes": [{"id": "a", "type": "end"}]});
        let document = FlowDocument::parse(&document).unwrap();
        let (flow, problems) = CompiledFlow::compile(document, Duration::from_secs(60));
        assert!(!flow.unwrap().has_entry());
        assert_eq!(problems[0].id, NO_ENTRY_NODE);
    }
}
