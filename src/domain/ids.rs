//! Typed ids, so that a contact's id can never stand where a session's belongs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ParseError;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub Uuid);

        impl TryFrom<String> for $name {
            type Error = ParseError;

            fn try_from(text: String) -> Result<Self, ParseError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            /// Takes the hyphenated form only: that is what the API shows, and what it documents.
            fn from_str(text: &str) -> Result<Self, ParseError> {
                if text.len() != 36 {
                    return Err(ParseError("must be a valid UUID".to_owned()));
                }
                Uuid::parse_str(text).map(Self).map_err(|_| ParseError("must be a valid UUID".to_owned()))
            }
        }
    };
}

uuid_id!(
    /// A flow, over all its versions.
    FlowId
);
uuid_id!(
    /// A contact: one person, however many addresses.
    ContactId
);
uuid_id!(
    /// One conversation of one contact with one flow.
    SessionId
);
uuid_id!(
    /// A message, in or out.
    MessageId
);
uuid_id!(
    /// A template of a channel, in one language.
    TemplateId
);
uuid_id!(
    /// An API token's row, not its secret.
    TokenId
);
uuid_id!(
    /// A simulation, while it is kept.
    SimulationId
);
uuid_id!(
    /// A conversation that a flow must pass before it is published.
    TestCaseId
);

uuid_id!(
    /// An endpoint to which events are posted.
    EndpointId
);

/// A node's id inside one flow: `[A-Za-z0-9_-]{1,64}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if text.is_empty() || text.len() > 64 || !text.chars().all(allowed) {
            return Err(ParseError(format!(
                "`{text}` is not a node id: use 1 to 64 of the characters A-Z, a-z, 0-9, `_` and `-`"
            )));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for NodeId {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.0.to_string()
    }
}

/// The name of an event from outside, such as `order.paid`: `[A-Za-z0-9_.-]{1,64}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventName(Arc<str>);

impl EventName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EventName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if text.is_empty() || text.len() > 64 || !text.chars().all(allowed) {
            return Err(ParseError("must be 1 to 64 of the characters A-Z, a-z, 0-9, `_`, `.` and `-`".to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for EventName {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<EventName> for String {
    fn from(name: EventName) -> Self {
        name.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_hyphenated_uuids() {
        assert!("01936b1e-7c6a-7000-8000-000000000001".parse::<FlowId>().is_ok());
        for bad in ["", "01J3F...", "01936b1e7c6a70008000000000000001", "{01936b1e-7c6a-7000-8000-00000000000}"] {
            assert!(bad.parse::<FlowId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn event_names_are_short_and_plain() {
        assert!("order.paid_2-b".parse::<EventName>().is_ok());
        for bad in ["", "order paid", "ä", "a:b", &"x".repeat(65)] {
            assert!(bad.parse::<EventName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn node_ids_are_short_and_plain() {
        assert!("node_3-b".parse::<NodeId>().is_ok());
        for bad in ["", "a b", "ä", "a.b", &"x".repeat(65)] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad}");
        }
    }
}
