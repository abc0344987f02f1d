//! Types that exist without input or output: ids, time, phone numbers, contacts, the flow document, sessions, messages.
//!
//! Everything here is parsed at the edge and valid inside: a [`Phone`] that exists is a phone number, a
//! [`FlowDocument`] that exists has unique node ids of a known type. Nothing here reads a clock, draws a random
//! number, or knows how it is stored.

mod contact;
mod document;
mod ids;
mod message;
mod node;
mod phone;
mod session;
pub mod text;
mod timestamp;

pub use contact::{Contact, ContactChange};
pub use document::{FlowDocument, FlowKind, Input, InputType, LateReply, SendWindow, Settings};
pub use ids::{ContactId, FlowId, MessageId, NodeId, SessionId, SimulationId, TestCaseId, TokenId};
pub use message::{MediaRef, MessageKind, MessageOption, OutgoingMessage, Reply, ReplyKind, TemplateRef};
pub use node::{
    Ask, Assignment, Branch, Case, Condition, Delay, End, Expects, MediaTemplate, Menu, MenuOption, NODE_TYPES, Node,
    NodeKind, OnReply, Operator, RandomSplit, SendMessage, SetVariable, TemplateUse, UpdateContact, Validation,
};
pub use phone::Phone;
pub use session::{Input as SessionInput, Session, Status, Wait, WaitKind};
pub use timestamp::Timestamp;

use serde::Serialize;

/// Why a text is not a value of one of these types. The message is a whole sentence for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The flow cannot be published.
    Error,
    /// The flow can be published; its author should look.
    Warning,
}

/// One thing that is wrong with a flow document: what, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable name of the check, such as `unknown_exit_target`.
    pub id: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// The node it concerns; `None` for the document as a whole.
    pub node: Option<String>,
    /// Path of the field inside the node (or the document), such as `options[2].title`.
    pub field: Option<String>,
    /// A sentence that says what to do.
    pub text: String,
}

impl Problem {
    /// A problem that stops a publish.
    pub fn error(id: &'static str, text: impl Into<String>) -> Self {
        Self { id, severity: Severity::Error, node: None, field: None, text: text.into() }
    }

    /// A problem that does not stop a publish.
    pub fn warning(id: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(id, text) }
    }

    /// The same problem, at a node.
    #[must_use]
    pub fn at(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// The same problem, at a field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}[{}]", self.id)?;
        if let Some(node) = &self.node {
            write!(f, " node {node}")?;
        }
        if let Some(field) = &self.field {
            write!(f, " {field}")?;
        }
        write!(f, ": {}", self.text)
    }
}
