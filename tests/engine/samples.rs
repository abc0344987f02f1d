//! The sample flows: people start from them, so they must be right in what a parser cannot see, too.
use std::collections::{BTreeMap, BTreeSet};

use qyvo::domain::{FlowDocument, FlowKind, LateReply, Node, NodeKind};
use serde_json::Value;

const SAMPLES: [(&str, &str); 4] = [
    ("abandoned-cart", include_str!("../../static/samples/abandoned-cart.json")),
    ("in-conversation-menu", include_str!("../../static/samples/in-conversation-menu.json")),
    ("support-triage", include_str!("../../static/samples/support-triage.json")),
    ("welcome-three-days", include_str!("../../static/samples/welcome-three-days.json")),
];

/// The grid of the editor, in pixels.
const GRID: i64 = 40;
/// Default time to live of a session.
const DEFAULT_TTL_MINUTES: u32 = 30;

fn samples() -> impl Iterator<Item = (&'static str, Value, FlowDocument)> {
    SAMPLES.into_iter().map(|(name, text)| {
        let document: Value = serde_json::from_str(text).unwrap();
        let flow = FlowDocument::parse(&document).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
        (name, document, flow)
    })
}

fn by_id(flow: &FlowDocument) -> BTreeMap<&str, &Node> {
    flow.nodes.iter().map(|node| (node.id.as_str(), node)).collect()
}

#[test]
fn every_file_is_a_sample() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/static/samples");
    let mut files: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, SAMPLES.map(|(name, _)| format!("{name}.json")));
}

#[test]
fn each_has_an_id_of_its_own() {
    let mut ids = BTreeSet::new();
    for (name, document, flow) in samples() {
        let id: uuid::Uuid = document["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 7, "{name}");
        assert_eq!(flow.id.unwrap().to_string(), id.to_string(), "{name}");
        assert!(ids.insert(id), "{name}");
    }
}

#[test]
fn exits_exist_and_lead_to_nodes_and_every_node_is_reached() {
    for (name, _, flow) in samples() {
        let nodes = by_id(&flow);
        for node in nodes.values() {
            for (exit, target) in &node.exits {
                assert!(node.kind.exit_names().contains(&exit.as_str()), "{name} {} has no exit {exit}", node.id);
                let target = target.as_deref().unwrap();
                assert!(nodes.contains_key(target), "{name} {} {exit} leads to {target}", node.id);
            }
        }
        let mut reached = BTreeSet::new();
        let mut next = vec![flow.entry_node.as_deref().unwrap()];
        if let Some(LateReply::RestartAt(node)) = &flow.settings.late_reply {
            next.push(node.as_str());
        }
        while let Some(id) = next.pop() {
            if reached.insert(id) {
                next.extend(nodes[id].exits.values().flatten().map(String::as_str));
            }
        }
        assert_eq!(reached.len(), nodes.len(), "{name} has nodes that nothing leads to");
    }
}

#[test]
fn nothing_is_left_unsaid() {
    for (name, _, flow) in samples() {
        let ttl = match (flow.settings.session_ttl_minutes, flow.kind) {
            (None, FlowKind::Sequence) => u64::MAX,
            (minutes, _) => u64::from(minutes.unwrap_or(DEFAULT_TTL_MINUTES)) * 60,
        };
        for node in &flow.nodes {
            let place = format!("{name} {}", node.id);
            // On this type of node alone, `name` could be read as the name to give to the contact.
            let nameable = !matches!(node.kind, NodeKind::UpdateContact(_));
            assert_eq!(node.name.is_some(), nameable, "{place}");
            let timeout = match &node.kind {
                NodeKind::Menu(menu) => {
                    // WhatsApp shows up to three options as buttons, more as a list.
                    let longest = if menu.options.len() <= 3 { 20 } else { 24 };
                    assert!(menu.options.len() <= 10, "{place}");
                    assert!(menu.options.iter().all(|it| it.title.chars().count() <= longest), "{place}");
                    assert!(menu.retry_text.is_some(), "{place}");
                    menu.timeout_seconds
                }
                NodeKind::Ask(ask) => {
                    assert!(ask.retry_text.is_some(), "{place}");
                    ask.timeout_seconds
                }
                // A message just before the end of a session is dropped if it has not gone out by then, so the last
                // word belongs to the `end` node itself.
                NodeKind::SendMessage(_) => {
                    let after = by_id(&flow)[node.exit("next").unwrap()];
                    assert!(!matches!(after.kind, NodeKind::End(_)), "{place} speaks just before the end");
                    continue;
                }
                NodeKind::End(end) => {
                    assert!(end.outcome.is_some(), "{place} has no outcome");
                    continue;
                }
                _ => {
                    for exit in node.kind.exit_names() {
                        assert!(node.exit(exit).is_some(), "{place} {exit} leads nowhere");
                    }
                    continue;
                }
            };
            assert!(timeout.is_some_and(|seconds| seconds < ttl), "{place} waits longer than its session lives");
            for exit in node.kind.exit_names() {
                assert!(node.exit(exit).is_some(), "{place} {exit} leads nowhere");
            }
        }
    }
}

#[test]
fn every_node_has_a_place_on_the_grid() {
    for (name, document, flow) in samples() {
        let ui = document["ui"].as_object().unwrap();
        let mut places = BTreeSet::new();
        for (node, place) in ui {
            let [x, y] = ["x", "y"].map(|axis| place[axis].as_i64().unwrap());
            assert!(x % GRID == 0 && y % GRID == 0 && places.insert((x, y)), "{name} {node}");
        }
        let drawn: BTreeSet<&str> = ui.keys().map(String::as_str).collect();
        assert_eq!(drawn, by_id(&flow).into_keys().collect(), "{name}");
    }
}

#[test]
fn the_abandoned_cart_needs_its_total() {
    let (_, _, flow) = samples().next().unwrap();
    let required: Vec<_> = flow.inputs.iter().filter(|input| input.required).map(|input| &input.name).collect();
    assert_eq!(required, ["cart_total"]);
    let nodes = by_id(&flow);
    for id in ["remind", "link", "agent", "bye", "quiet"] {
        assert!(nodes.contains_key(id), "{id}");
    }
    let NodeKind::UpdateContact(agent) = &nodes["agent"].kind else { panic!("{:?}", nodes["agent"].kind) };
    assert_eq!(agent.add_tags, ["needs-agent"]);
}

#[test]
fn the_triage_asks_one_in_five() {
    let (_, _, flow) = samples().nth(2).unwrap();
    let splits: Vec<_> = flow
        .nodes
        .iter()
        .filter_map(|node| match &node.kind {
            NodeKind::RandomSplit(split) => Some(split.branches.iter().map(|it| it.weight).collect::<Vec<_>>()),
            _ => None,
        })
        .collect();
    assert_eq!(splits, [vec![1, 4]]);
}
