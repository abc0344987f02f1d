//! What a flow may say 24 hours after the contact's last message, when WhatsApp takes approved templates only.
//!
//! A reply opens the window for 24 hours. The longest silence before a node is the sum of the delays and timeouts on
//! the way to it since the last reply, as far as the session lives that long: a chain of timeouts ends in expiry, while
//! a delay takes the time to live along.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::domain::{FlowDocument, NodeKind, Passing, Problem, Says, checks};

/// Seconds for which WhatsApp takes free text after a message from the person.
const WINDOW: u64 = 24 * 3600;

/// The longest silence before a node is entered, in seconds. Anything beyond [`WINDOW`] counts as [`WINDOW`].
#[derive(Debug, Clone, Copy, PartialEq)]
struct Silence {
    /// Up to the last event that set the time to live: the reply itself, or the end of a delay.
    settled: u64,
    /// The timeouts since.
    since: u64,
}

/// The nodes that may say a free text too late.
pub(super) fn late_texts(
    document: &FlowDocument,
    ids: &HashMap<&str, usize>,
    roots: &[usize],
    ttl: Option<Duration>,
) -> Vec<Problem> {
    let ways = ways(document, ids, ttl);
    let ttl = ttl.map_or(u64::MAX, |ttl| ttl.as_secs());
    let least = least_timeouts(&ways, roots, ttl);
    let longest = longest_silences(&ways, roots, &least, ttl);
    let is_late = |index: &usize| longest[*index].is_some_and(|silence| silence.settled + silence.since >= WINDOW);
    let late = (0..document.nodes.len()).filter(is_late).map(|index| &document.nodes[index]);
    late.filter(|node| says_free_text(&node.kind))
        .map(|node| {
            let text = "The contact may have been silent for 24 hours here, and then WhatsApp refuses free text. Add a \
                        `template`, or ask something earlier.";
            Problem::new(checks::FREE_TEXT_AFTER_A_DAY, text).at(node.id.as_str()).field("template")
        })
        .collect()
}

/// The nodes that may send a free text before the contact has written at all: those that a trigger leads to without a
/// reply on the way. What a sub-flow or a person has sent before is not known, so nothing is reported of what follows.
pub(super) fn first_texts(document: &FlowDocument, ids: &HashMap<&str, usize>, ttl: Option<Duration>) -> Vec<Problem> {
    let ways = ways(document, ids, ttl);
    let mut reached = vec![false; ways.len()];
    let mut open: Vec<usize> =
        document.entry_node.as_deref().and_then(|entry| ids.get(entry).copied()).into_iter().collect();
    while let Some(index) = open.pop() {
        let node = &document.nodes[index].kind;
        if std::mem::replace(&mut reached[index], true) || node.lets_others_speak() {
            continue;
        }
        let silent = ways[index].iter().filter(|(_, passing)| !matches!(passing, Passing::Reply));
        open.extend(silent.map(|(target, _)| *target));
    }
    let first = document.nodes.iter().zip(reached).filter(|(node, is_first)| *is_first && says_free_text(&node.kind));
    first
        .map(|(node, _)| {
            let text = "The contact may not have written yet when this is said, and then WhatsApp takes approved \
                        templates only. Add a `template`.";
            Problem::new(checks::FIRST_MESSAGE_WITHOUT_TEMPLATE, text).at(node.id.as_str()).field("template")
        })
        .collect()
}

fn says_free_text(kind: &NodeKind) -> bool {
    matches!(kind.says(), Says::FreeText)
}

/// Where each node leads, and what passes on the way.
fn ways(document: &FlowDocument, ids: &HashMap<&str, usize>, ttl: Option<Duration>) -> Vec<Vec<(usize, Passing)>> {
    document
        .nodes
        .iter()
        .map(|node| {
            let wired = node.exits.iter().filter_map(|(exit, target)| Some((exit, *ids.get(target.as_deref()?)?)));
            wired.filter_map(|(exit, target)| Some((target, node.kind.passing(exit, ttl)?))).collect()
        })
        .collect()
}

/// For each node the least sum of timeouts since the time to live was set: whether the next one can still fire. `None`
/// for nodes that no session reaches.
fn least_timeouts(ways: &[Vec<(usize, Passing)>], roots: &[usize], ttl: u64) -> Vec<Option<u64>> {
    let mut least: Vec<Option<u64>> = vec![None; ways.len()];
    let mut open = VecDeque::new();
    for &root in roots {
        least[root] = Some(0);
        open.push_back(root);
    }
    while let Some(index) = open.pop_front() {
        let here = least[index].unwrap_or(0);
        for (target, passing) in &ways[index] {
            let there = match passing {
                Passing::Reply | Passing::Delay(_) => 0,
                Passing::Timeout(seconds) if here.saturating_add(*seconds) >= ttl => continue,
                Passing::Timeout(seconds) => here.saturating_add(*seconds),
                Passing::AtOnce => here,
            };
            if least[*target].is_none_or(|known| there < known) {
                least[*target] = Some(there);
                open.push_back(*target);
            }
        }
    }
    least
}

fn longest_silences(
    ways: &[Vec<(usize, Passing)>],
    roots: &[usize],
    least: &[Option<u64>],
    ttl: u64,
) -> Vec<Option<Silence>> {
    // The timeouts of a session that still runs are less than its time to live.
    let since_at_most = ttl.saturating_sub(1).min(WINDOW);
    let mut longest: Vec<Option<Silence>> = vec![None; ways.len()];
    for &root in roots {
        longest[root] = Some(Silence { settled: 0, since: 0 });
    }
    for round in 0.. {
        // Either number of a node is known once it has gone round all nodes, with the other one's way before it. What
        // still grows then grows with each round of a loop, without end.
        let is_endless = round > 2 * ways.len();
        let mut has_grown = false;
        for index in 0..ways.len() {
            for (target, passing) in &ways[index] {
                let Some(here) = longest[index] else { break };
                let fires = |seconds: u64| least[index].is_some_and(|least| least.saturating_add(seconds) < ttl);
                let mut there = match passing {
                    Passing::Reply => Silence { settled: 0, since: 0 },
                    Passing::Timeout(seconds) if !fires(*seconds) => continue,
                    Passing::Timeout(seconds) => Silence { since: here.since.saturating_add(*seconds), ..here },
                    Passing::Delay(seconds) => {
                        Silence { settled: (here.settled + here.since).saturating_add(*seconds), since: 0 }
                    }
                    Passing::AtOnce => here,
                };
                there.settled = there.settled.min(WINDOW);
                there.since = there.since.min(since_at_most);
                if let Some(known) = longest[*target] {
                    let grown = |there: u64, known: u64, most: u64| match there > known {
                        true if is_endless => most,
                        true => there,
                        false => known,
                    };
                    there.settled = grown(there.settled, known.settled, WINDOW);
                    there.since = grown(there.since, known.since, since_at_most);
                }
                has_grown |= longest[*target] != Some(there);
                longest[*target] = Some(there);
            }
        }
        if !has_grown {
            break;
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CompiledFlow;
    use serde_json::{Value, json};

    /// The nodes of a flow that are warned of.
    fn late(ttl_minutes: u32, nodes: Value) -> Vec<String> {
        let settings = json!({"session_ttl_minutes": ttl_minutes});
        let document =
            json!({"schema_version": 1, "name": "F", "settings": settings, "entry_node": "a", "nodes": nodes});
        let document = FlowDocument::parse(&document).unwrap();
        let (_, problems) = CompiledFlow::compile(document, Duration::from_secs(1800));
        let late = problems.into_iter().filter(|problem| problem.id == checks::FREE_TEXT_AFTER_A_DAY.id());
        late.filter_map(|problem| problem.node).collect()
    }

    fn delay(id: &str, seconds: u64, next: &str) -> Value {
        json!({"id": id, "type": "delay", "seconds": seconds, "exits": {"next": next}})
    }

    fn say(id: &str, next: &str) -> Value {
        json!({"id": id, "type": "send_message", "text": "Hi", "exits": {"next": next}})
    }

    fn ask(id: &str, timeout: u64, exits: Value) -> Value {
        json!({"id": id, "type": "ask", "text": "?", "timeout_seconds": timeout, "exits": exits})
    }

    #[test]
    fn delays_and_timeouts_add_up() {
        let half = WINDOW / 2;
        let day = json!([delay("a", half, "b"), delay("b", half, "c"), say("c", "d"), {"id": "d", "type": "end"}]);
        assert_eq!(late(30, day), ["c"]);
        let less = json!([delay("a", half, "b"), delay("b", half - 1, "c"), say("c", "d"), {"id": "d", "type": "end"}]);
        assert_eq!(late(30, less), [] as [&str; 0]);
        let mixed = json!([
            delay("a", half, "b"), ask("b", half, json!({"timeout": "c", "reply": "d"})), say("c", "e"), say("d", "e"),
            {"id": "e", "type": "end", "text": "Bye"}
        ]);
        assert_eq!(late(1440, mixed.clone()), ["c", "e"], "whoever answers can be written to");
        assert_eq!(late(30, mixed), [] as [&str; 0], "the session is over before that timeout");
        let mut until = delay("a", 1, "b");
        until["seconds"] = json!(null);
        until["until"] = json!("{{context.moment}}");
        let until = json!([until, say("b", "c"), {"id": "c", "type": "end"}]);
        assert_eq!(late(30, until), ["b"]);
    }

    #[test]
    fn events_may_come_late() {
        let wait = |timeout: Option<u64>| {
            let exits = json!({"event": "b", "timeout": "b"});
            let wait =
                json!({"id": "a", "type": "wait_for_event", "event": "x", "timeout_seconds": timeout, "exits": exits});
            json!([wait, say("b", "c"), {"id": "c", "type": "end"}])
        };
        assert_eq!(late(30, wait(Some(WINDOW))), ["b"]);
        assert_eq!(late(30, wait(Some(WINDOW - 1))), [] as [&str; 0]);
        assert_eq!(late(30, wait(None)), [] as [&str; 0], "the session ends before");
        assert_eq!(late(1440, wait(None)), ["b"]);
    }

    #[test]
    fn a_template_may_come_at_any_time() {
        let mut node = say("b", "c");
        node["template"] = json!({"name": "t"});
        let bye = json!({"id": "d", "type": "end", "text": "Bye"});
        let flow = json!([delay("a", WINDOW, "b"), node, ask("c", 60, json!({"reply": "d"})), bye]);
        assert_eq!(late(30, flow), ["c"], "the template opens no window, and the reply does");
    }

    #[test]
    fn loops_end_with_the_session() {
        let remind = json!([ask("a", 600, json!({"timeout": "a"}))]);
        assert_eq!(late(30, remind.clone()), [] as [&str; 0]);
        assert_eq!(late(1441, remind), ["a"]);
        let hourly = json!([ask("a", 60, json!({"timeout": "b"})), delay("b", 3600, "a")]);
        assert_eq!(late(30, hourly), ["a"], "each delay takes the time to live along");
        let answered = json!([ask("a", 60, json!({"reply": "b"})), delay("b", 3600, "a")]);
        assert_eq!(late(30, answered), [] as [&str; 0]);
    }

    #[test]
    fn the_largest_loop_is_seen_to_be_endless() {
        let count = 1_000;
        let nodes: Vec<Value> = (0..count)
            .map(|n| {
                let id = if n == 0 { "a".to_owned() } else { format!("n{n}") };
                let next = if n == 1 { "a".to_owned() } else { format!("n{}", (n + count - 1) % count) };
                ask(&id, 1, json!({"timeout": next}))
            })
            .collect();
        assert_eq!(late(43_200, Value::Array(nodes)).len(), count);
    }
}
