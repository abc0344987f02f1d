//! How the types of nodes are declared: `node_types!` makes of one row all that has to know a type by its name. The
//! rows are in `node.rs`.

use super::{Problem, checks};

/// Declares the types of nodes in the order in which they are offered: the kind, which has the fields of the struct of
/// the same name, the `type` by which documents name it, and the rest of its [`NodeSample`].
macro_rules! node_types {
    ($(
        $(#[$doc:meta])*
        $kind:ident = $name:literal {
            about: $about:literal,
            takes_template: $takes_template:literal,
            brief: $brief:literal,
            fields: $fields:literal,
        }
    )+) => {
        /// What a node does, by its `type`.
        #[derive(Debug, Clone)]
        pub enum NodeKind {
            $($(#[$doc])* $kind($kind),)+
        }

        /// Every `type` of node that this version runs.
        pub const NODE_TYPES: [&str; [$($name),+].len()] = [$($name),+];

        /// Every type, for people who choose one.
        pub const NODE_SAMPLES: [$crate::domain::NodeSample; NODE_TYPES.len()] = [
            $($crate::domain::NodeSample {
                type_name: $name,
                about: $about,
                takes_template: $takes_template,
                brief: $brief,
                fields: $fields,
            },)+
        ];

        impl NodeKind {
            /// The name used as `type` in documents.
            pub fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $name,)+
                }
            }

            /// Reads what a node of a type has beside what all have.
            pub(super) fn parse(
                type_name: &str,
                fields: serde_json::Map<String, serde_json::Value>,
            ) -> Result<Self, $crate::domain::Problem> {
                match type_name {
                    $($name => $crate::domain::shape::shape(fields).map(Self::$kind),)+
                    other => Err($crate::domain::node_registry::unknown(other, &NODE_TYPES)),
                }
            }
        }
    };
}
pub(super) use node_types;

/// The problem that no node has a type.
pub(super) fn unknown(type_name: &str, types: &[&str]) -> Problem {
    let text = format!("`{type_name}` is not a type of node: use one of {}.", types.join(", "));
    Problem::new(checks::UNKNOWN_NODE_TYPE, text).field("type")
}

/// A type of node, for people who choose one.
#[derive(Debug, Clone, Copy)]
pub struct NodeSample {
    /// The node's `type`.
    pub type_name: &'static str,
    /// What such a node does: the rest of a sentence that begins with the type.
    pub about: &'static str,
    /// Whether it sends a message, and so may name a template.
    pub takes_template: bool,
    /// Its fields, and in brackets its exits, as short as an assistant can work with.
    pub brief: &'static str,
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{FlowDocument, NODE_SAMPLES};

    fn parses(sample: &NodeSample, more: Value) -> bool {
        let mut node = sample.node("node");
        node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let document = json!({"schema_version": 1, "name": "Sample", "entry_node": "node", "nodes": [node]});
        FlowDocument::parse(&document).is_ok()
    }

    #[test]
    fn there_is_a_sound_sample_of_each_type() {
        for sample in NODE_SAMPLES {
            assert!(parses(&sample, json!({})), "{}", sample.type_name);
            let with_template = json!({"template": {"name": "reminder"}});
            assert_eq!(parses(&sample, with_template), sample.takes_template, "{}", sample.type_name);
        }
    }
}
