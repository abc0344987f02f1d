//! What nodes of every type have, how one is read from a document, and what the fields and answers of several types are
//! made of.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::shape::shape;
use super::{NodeId, NodeKind, Problem, checks};

/// One node of a flow.
#[derive(Debug, Clone)]
pub struct Node {
    /// Unique in the flow and stable over its versions.
    pub id: NodeId,
    /// What its author calls it; an `update_contact` has none.
    pub name: Option<String>,
    /// Where each exit leads; a missing or null exit ends the session.
    pub exits: BTreeMap<String, Option<String>>,
    /// What it does.
    pub kind: NodeKind,
}

impl Node {
    /// Reads the node at a place of the document's list.
    ///
    /// # Errors
    /// What is wrong with its shape, at its id where it has one.
    pub(super) fn parse(index: usize, value: Value) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Common {
            id: String,
            #[serde(rename = "type")]
            type_name: String,
            #[serde(default)]
            name: Option<String>,
            #[serde(default)]
            exits: BTreeMap<String, Option<String>>,
        }

        let here = format!("nodes[{index}]");
        let Value::Object(mut fields) = value else {
            return Err(Problem::new(
                checks::WRONG_SHAPE,
                "A node is a JSON object: write it as {\"id\": …, \"type\": …}.",
            )
            .field(here));
        };
        // The `name` of an `update_contact` is the contact's, so such a node has no label.
        let is_label = fields.get("type").and_then(Value::as_str) != Some("update_contact");
        let mut common = Map::new();
        for key in ["id", "type", "name", "exits"] {
            if let Some(value) = (key != "name" || is_label).then(|| fields.shift_remove(key)).flatten() {
                common.insert(key.to_owned(), value);
            }
        }
        // Until the id is known the problem is placed by index, afterwards by id.
        let label = common.get("id").and_then(Value::as_str).map(str::to_owned);
        let place = |problem: Problem| match &label {
            Some(id) => problem.at(id),
            None => {
                let field = problem.field.clone().map_or_else(|| here.clone(), |field| format!("{here}.{field}"));
                problem.field(field)
            }
        };
        let common: Common = shape(common).map_err(place)?;
        let id: NodeId = common
            .id
            .parse()
            .map_err(|error| place(Problem::new(checks::BAD_NODE_ID, format!("{error}.")).field("id")))?;
        let kind = NodeKind::parse(&common.type_name, fields).map_err(place)?;
        Ok(Self { id, name: common.name, exits: common.exits, kind })
    }

    /// The node that an exit leads to, if it is wired.
    pub fn exit(&self, name: &str) -> Option<&str> {
        self.exits.get(name).and_then(Option::as_deref)
    }
}

/// A medium in a document; `url`, `caption` and `filename` are templates.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaTemplate {
    /// `image`, `video`, `audio` or `document`.
    pub kind: String,
    /// Where the channel fetches it.
    pub url: String,
    /// Text below it.
    pub caption: Option<String>,
    /// Name of a document.
    pub filename: Option<String>,
}

/// A channel template in a document; the values of `variables` are templates of ours.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateUse {
    /// Name at the channel.
    pub name: String,
    /// Language to send it in.
    pub language: Option<String>,
    /// `1`, `2`, … for the body, `header.1`, `button.0`.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
}

/// What passes before a node is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// The contact has written.
    Reply,
    /// So many seconds have passed, and the time to live with them.
    Timeout(u64),
    /// So many seconds have passed, and the time to live begins anew.
    Delay(u64),
    /// The node is left at once.
    AtOnce,
}

/// What a node says to the contact.
#[derive(Debug, Clone, Copy)]
pub enum Says<'a> {
    /// Nothing.
    Nothing,
    /// A text or a medium, which a channel may refuse after a day of silence.
    FreeText,
    /// Something in whose place the template is sent where the channel forbids free text.
    WithTemplate(&'a TemplateUse),
}

impl<'a> Says<'a> {
    /// The template, if one is named.
    pub fn template(self) -> Option<&'a TemplateUse> {
        match self {
            Self::WithTemplate(template) => Some(template),
            Self::FreeText | Self::Nothing => None,
        }
    }
}
