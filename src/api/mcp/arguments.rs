//! The arguments of a call: those that the tool takes, and the note on the others.
//!
//! Clients add arguments of their own to each call, which no schema keeps them from, and other servers let pass what
//! they do not know. Those that are known to be added are ignored, whatever the tool does. But a model that has
//! misspelt a name, or made one up, must be notified. Where the tool reads or drafts, a note beside the answer is
//! enough; one that reaches people would have done something else than it was asked for, and refuses.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::tools::Tool;
use crate::api::error::ApiError;

/// Arguments that clients are known to add by themselves, so that the model gets no note about them: the tool node of
/// n8n's agents also sends its own input.
const OF_CLIENTS: [&str; 4] = ["toolCallId", "sessionId", "action", "chatInput"];

/// The arguments of a call, without those that its tool ignores.
pub(super) struct KnownArguments {
    /// The arguments that the tool knows. For a tool that reaches people also the unknown ones, which it refuses.
    pub(super) known: Map<String, Value>,
    /// A sentence on the other arguments, if there are any that the model should correct.
    pub(super) note: Option<String>,
}

/// Removes the arguments that a tool does not know.
///
/// # Errors
/// A name that is nearly one of the tool's, where that one was not sent: it was meant.
pub(super) fn keep_known(tool: Tool, mut arguments: Map<String, Value>) -> Result<KnownArguments, ApiError> {
    let schema = tool.arguments();
    let names: HashSet<&str> =
        schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
    let others: Vec<String> = arguments.keys().filter(|name| !names.contains(name.as_str())).cloned().collect();
    let (mut misspelt, mut ignored) = (Vec::new(), Vec::new());
    for other in others.iter().filter(|other| !OF_CLIENTS.contains(&other.as_str())) {
        let meant = names.iter().filter(|name| !arguments.contains_key(**name)).find(|name| is_near(other, name));
        match meant {
            Some(meant) => {
                misspelt.push((other.clone(), format!("{} has no argument `{other}`: write `{meant}`.", tool.name())));
            }
            None if tool.reaches_people() => {}
            None => ignored.push(format!("`{other}`")),
        }
    }
    if !misspelt.is_empty() {
        return Err(ApiError::Validation(misspelt));
    }
    let is_kept = |other: &&String| tool.reaches_people() && !OF_CLIENTS.contains(&other.as_str());
    others.iter().filter(|other| !is_kept(other)).for_each(|other| drop(arguments.shift_remove(other)));
    let note = (!ignored.is_empty()).then(|| {
        format!("{} has no such argument and did as if it was not there: {}.", tool.name(), ignored.join(", "))
    });
    Ok(KnownArguments { known: arguments, note })
}

/// Whether one name may have been meant as the other: written in another style, or with a slip or two.
fn is_near(written: &str, name: &str) -> bool {
    let bare = |name: &str| name.replace(['_', '-', ' '], "").to_lowercase();
    let (written, name) = (bare(written), bare(name));
    let slips = match name.len() {
        0..=3 => 0,
        4..=6 => 1,
        _ => 2,
    };
    // Names that are much longer are not compared letter by letter.
    written.len() <= name.len() + slips && strsim::osa_distance(&written, &name) <= slips
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sifted(tool: Tool, arguments: Value) -> Result<(Value, Option<String>), String> {
        let Value::Object(arguments) = arguments else { panic!("no object") };
        match keep_known(tool, arguments) {
            Ok(sifted) => Ok((Value::Object(sifted.known), sifted.note)),
            Err(error) => Err(error.body(None).to_string()),
        }
    }

    #[test]
    fn what_clients_add_is_passed_over_without_a_word() {
        for tool in Tool::all() {
            let added = json!({"toolCallId": "call_1", "sessionId": "s", "action": "sendMessage", "chatInput": "Hi"});
            assert_eq!(sifted(tool, added), Ok((json!({}), None)), "{tool:?}");
        }
    }

    #[test]
    fn what_is_made_up_is_said_or_left_to_be_refused() {
        let (known, note) = sifted(Tool::GetFlow, json!({"id": "x", "verbose": true})).unwrap();
        assert_eq!(known, json!({"id": "x"}));
        assert!(note.unwrap().contains("`verbose`"));
        let asked = json!({"flow_id": "x", "dry_run": true});
        let more = json!({"flow_id": "x", "dry_run": true, "toolCallId": "call_1"});
        assert_eq!(sifted(Tool::TriggerFlow, more), Ok((asked, None)), "it must not run in earnest");
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        for (tool, written, meant) in [
            (Tool::TriggerFlow, "flowId", "flow_id"),
            (Tool::TriggerFlow, "FLOW-ID", "flow_id"),
            (Tool::TriggerFlow, "on_runing", "on_running"),
            (Tool::TriggerFlow, "contxt", "context"),
            (Tool::TriggerFlow, "phoen", "phone"),
            (Tool::TriggerFlow, "idempotencyKey", "idempotency_key"),
            (Tool::GetSession, "ID", "id"),
            (Tool::SendMessage, "txet", "text"),
            (Tool::ListSessions, "waitingFor", "waiting_for"),
        ] {
            let refused = sifted(tool, json!({written: "x"})).unwrap_err();
            assert!(refused.contains(&format!("write `{meant}`")), "{written}: {refused}");
        }
    }

    #[test]
    fn nothing_is_taken_for_a_slip_of_what_was_sent_as_well() {
        let both = sifted(Tool::TriggerFlow, json!({"flow_id": "x", "flowId": "x", "phones": []}));
        assert!(both.is_err(), "phones may be the phone that is missing");
        let (known, note) = sifted(Tool::GetFlow, json!({"id": "x", "Id": "y"})).unwrap();
        assert_eq!((known, note.is_some()), (json!({"id": "x"}), true));
    }

    #[test]
    fn no_name_that_clients_add_is_near_to_one_of_ours() {
        for tool in Tool::all() {
            let schema = tool.arguments();
            for name in schema["properties"].as_object().unwrap().keys() {
                assert!(OF_CLIENTS.iter().all(|added| !is_near(added, name)), "{tool:?}: {name}");
            }
        }
    }
}
