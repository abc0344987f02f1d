//! A sound beginning of each type of node, for pages on which people write flows.

/// A type of node, for people who choose one.
#[derive(Debug, Clone, Copy)]
pub struct NodeSample {
    /// The node's `type`.
    pub type_name: &'static str,
    /// What such a node does: the rest of a sentence that begins with the type.
    pub about: &'static str,
    /// Whether it sends a message, and so may name a template.
    pub takes_template: bool,
    /// JSON of what a new one has beside `id` and `type`. Its exits lead nowhere yet.
    pub fields: &'static str,
}

#[cfg(test)]
impl NodeSample {
    /// The node of a document that the sample makes.
    pub(super) fn node(&self, id: &str) -> serde_json::Value {
        let mut node = serde_json::json!({"id": id, "type": self.type_name});
        let fields: serde_json::Map<_, _> = serde_json::from_str(self.fields).unwrap();
        node.as_object_mut().unwrap().extend(fields);
        if node.get("flow_id").is_some() {
            // Which flow it runs is left to its author.
            node["flow_id"] = "01936b1e-7c6a-7000-8000-000000000001".into();
        }
        node
    }
}

/// Every type, in the order in which it is offered.
pub const NODE_SAMPLES: [NodeSample; super::NODE_TYPES.len()] = [
    NodeSample {
        type_name: "send_message",
        about: "says something and goes on",
        takes_template: true,
        fields: r#"{"text": "Hello {{contact.name|default('there')}}.", "exits": {"next": null}}"#,
    },
    NodeSample {
        type_name: "ask",
        about: "asks and reads the answer",
        takes_template: true,
        fields: r#"{"text": "What is your e-mail address?", "expects": "email", "save_as": "email",
                    "timeout_seconds": 3600, "exits": {"reply": null, "no_match": null, "timeout": null}}"#,
    },
    NodeSample {
        type_name: "menu",
        about: "offers options to tap",
        takes_template: true,
        fields: r#"{"text": "What would you like?",
                    "options": [{"id": "yes", "title": "Yes"}, {"id": "no", "title": "No"}], "timeout_seconds": 3600,
                    "exits": {"yes": null, "no": null, "no_match": null, "timeout": null}}"#,
    },
    NodeSample {
        type_name: "condition",
        about: "goes one way or another",
        takes_template: false,
        fields: r#"{"cases": [{"left": "{{context.total}}", "operator": "number_gte", "right": 100, "exit": "large"}],
                    "exits": {"large": null, "default": null}}"#,
    },
    NodeSample {
        type_name: "random_split",
        about: "splits by chance",
        takes_template: false,
        fields: r#"{"branches": [{"id": "a", "weight": 1}, {"id": "b", "weight": 1}],
                    "exits": {"a": null, "b": null}}"#,
    },
    NodeSample {
        type_name: "set_variable",
        about: "keeps values",
        takes_template: false,
        fields: r#"{"assignments": [{"name": "source", "value": "reminder"}], "exits": {"next": null}}"#,
    },
    NodeSample {
        type_name: "update_contact",
        about: "changes the contact",
        takes_template: false,
        fields: r#"{"add_tags": ["reminded"], "exits": {"next": null}}"#,
    },
    NodeSample {
        type_name: "http_request",
        about: "calls a server of yours",
        takes_template: false,
        fields: r#"{"method": "POST", "url": "https://shop.example.com/api/carts/{{context.cart_id}}",
                    "headers": {"X-Source": "qyvo"}, "body": {"phone": "{{contact.phone}}"}, "timeout_ms": 10000,
                    "max_retries": 2, "save_as": "cart", "exits": {"success": null, "failure": null}}"#,
    },
    NodeSample {
        type_name: "delay",
        about: "waits for a time",
        takes_template: false,
        fields: r#"{"seconds": 3600, "exits": {"next": null}}"#,
    },
    NodeSample {
        type_name: "wait_for_event",
        about: "waits for an event",
        takes_template: false,
        fields: r#"{"event": "order.paid", "timeout_seconds": 86400, "save_as": "order",
                    "exits": {"event": null, "timeout": null}}"#,
    },
    NodeSample {
        type_name: "run_flow",
        about: "runs another flow inside this one",
        takes_template: false,
        fields: r#"{"flow_id": "", "context": {}, "save_as": "result",
                    "exits": {"completed": null, "expired": null, "failed": null}}"#,
    },
    NodeSample {
        type_name: "handoff",
        about: "calls a person",
        takes_template: false,
        fields: r#"{"note": "{{contact.name|default('Somebody')}} asks for help.", "timeout_seconds": 86400,
                    "exits": {"resumed": null, "timeout": null}}"#,
    },
    NodeSample {
        type_name: "end",
        about: "ends the conversation",
        takes_template: true,
        fields: r#"{"outcome": "done", "text": "Thank you."}"#,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{FlowDocument, NODE_TYPES};

    fn parses(sample: &NodeSample, more: Value) -> bool {
        let mut node = sample.node("node");
        node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let document = json!({"schema_version": 1, "name": "Sample", "entry_node": "node", "nodes": [node]});
        FlowDocument::parse(&document).is_ok()
    }

    #[test]
    fn there_is_a_sound_sample_of_each_type() {
        let types: BTreeSet<&str> = NODE_SAMPLES.iter().map(|sample| sample.type_name).collect();
        assert_eq!(types, BTreeSet::from(NODE_TYPES));
        for sample in NODE_SAMPLES {
            assert!(parses(&sample, json!({})), "{}", sample.type_name);
            let with_template = json!({"template": {"name": "reminder"}});
            assert_eq!(parses(&sample, with_template), sample.takes_template, "{}", sample.type_name);
        }
    }
}
