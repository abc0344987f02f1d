//! What the admin page lists, as a script of the page: reasons in words, events of webhooks, types of nodes, what
//! becomes of sessions. It is made of the server's registries, so that the page has no list of its own.

use serde_json::{Map, Value, json};

use crate::channels::ChannelKind;
use crate::domain::{CounterName, EventGroup, EventKind, NODE_SAMPLES, Reason};

/// The script: a module that exports `REASONS` (words by code), `EVENTS` (titles, each with its events), `NODES`
/// (`type`, `about`, `takes_template` and `fields` of each type), and `OUTCOMES` (names of counts of sessions).
pub(super) fn script() -> String {
    let of_kinds = ChannelKind::ALL.into_iter().flat_map(ChannelKind::code_words);
    let codes = of_kinds.map(|(code, words)| (code.to_string(), *words));
    let reasons: Map<String, Value> = Reason::ALL
        .iter()
        .map(|reason| (reason.as_str().to_owned(), reason.words()))
        .chain(codes)
        .map(|(code, words)| (code, json!(words)))
        .collect();
    let events = EventGroup::ALL.map(|group| {
        let names: Vec<&str> =
            EventKind::ALL.into_iter().filter(|kind| kind.group() == group).map(EventKind::as_str).collect();
        json!([group.title(), names])
    });
    let nodes = NODE_SAMPLES.map(|sample| {
        let fields: Value = serde_json::from_str(sample.fields).unwrap_or_default();
        json!({
            "type": sample.type_name, "about": sample.about, "takes_template": sample.takes_template, "fields": fields,
        })
    });
    let outcomes: Vec<&str> = CounterName::of_sessions().map(|(_, name)| name).collect();
    let line = |name: &str, value: Value| format!("export const {name} = {value};\n");
    [
        line("REASONS", reasons.into()),
        line("EVENTS", json!(events)),
        line("NODES", json!(nodes)),
        line("OUTCOMES", json!(outcomes)),
    ]
    .concat()
}
