//! The catalogue of tools: the name of each, the scope that it needs, and its description for an assistant.

use crate::domain::Scope;
use std::sync::Arc;

use rmcp::model::{self, ToolAnnotations};
use serde_json::{Map, Value};

use super::schemas;

/// A tool of the MCP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    /// Which flows there are.
    ListFlows,
    /// One flow with its draft.
    GetFlow,
    /// A new draft.
    CreateFlow,
    /// What is wrong with a document.
    ValidateFlow,
    /// A draft becomes what new sessions run.
    PublishFlow,
    /// Starts a flow for a contact.
    TriggerFlow,
    /// Which conversations there are.
    ListSessions,
    /// One conversation with its trace.
    GetSession,
    /// Contacts that match some words.
    SearchContacts,
    /// One contact with its profile.
    GetContact,
    /// Sends a contact a message outside of any flow.
    SendMessage,
}

/// What a tool may do to the world.
#[derive(Clone, Copy)]
enum Effect {
    /// It changes nothing.
    Reads,
    /// It adds something.
    Adds,
    /// It replaces or ends something.
    Replaces,
    /// It writes to people. What they are in ends only where the caller asks for it.
    Writes,
}

/// One row of the table of tools.
struct Entry {
    tool: Tool,
    /// Its name in the protocol.
    name: &'static str,
    title: &'static str,
    /// What a token must have to see it and call it.
    scope: Scope,
    effect: Effect,
    description: &'static str,
    /// The schema of its arguments.
    arguments: fn() -> Value,
    /// The schema of its answer, as far as an assistant needs it.
    answer: fn() -> Value,
}

/// Every tool, in the order of [`Tool`] and of the lists that clients get.
static TOOLS: [Entry; 11] = [
    Entry {
        tool: Tool::ListFlows,
        name: "list_flows",
        title: "List flows",
        scope: Scope::Api,
        effect: Effect::Reads,
        description: "\
            Lists flows by name, each with its id, status, revision and how many sessions it has had. Documents \
            are left out: get_flow has them.",
        arguments: schemas::list_flows_arguments,
        answer: schemas::list_flows_answer,
    },
    Entry {
        tool: Tool::GetFlow,
        name: "get_flow",
        title: "Get a flow",
        scope: Scope::Api,
        effect: Effect::Reads,
        description: "\
            Gives a flow with the document of its draft and the problems of that document. Without the scope \
            `admin`, the url, headers and body of http_request nodes are shown as \"***\".",
        arguments: schemas::get_flow_arguments,
        answer: schemas::get_flow_answer,
    },
    Entry {
        tool: Tool::CreateFlow,
        name: "create_flow",
        title: "Create a draft of a flow",
        scope: Scope::Api,
        effect: Effect::Adds,
        description: "\
            Creates a flow as a draft, which reaches nobody until it is published. Check the document with \
            validate_flow first: a draft with errors is kept, but cannot be published. The answer has the new \
            flow's id and revision, and the problems of the document.",
        arguments: schemas::create_flow_arguments,
        answer: schemas::create_flow_answer,
    },
    Entry {
        tool: Tool::ValidateFlow,
        name: "validate_flow",
        title: "Check a flow document",
        scope: Scope::Api,
        effect: Effect::Reads,
        description: "\
            Tells what is wrong with a flow document and saves nothing. Each problem has a severity (an error \
            forbids publishing, a warning does not), a text that says what to do, and the node and field where \
            it is.",
        arguments: schemas::validate_flow_arguments,
        answer: schemas::validate_flow_answer,
    },
    Entry {
        tool: Tool::PublishFlow,
        name: "publish_flow",
        title: "Publish a flow",
        scope: Scope::Admin,
        effect: Effect::Replaces,
        description: "\
            Makes a flow's draft its next version, which new sessions run from then on; running ones stay on \
            theirs. Refused, with the problems, while the draft has errors or fails its test cases.",
        arguments: schemas::publish_flow_arguments,
        answer: schemas::publish_flow_answer,
    },
    Entry {
        tool: Tool::TriggerFlow,
        name: "trigger_flow",
        title: "Start a flow for a contact",
        scope: Scope::Trigger,
        effect: Effect::Writes,
        description: "\
            Starts a published flow or sequence for one contact, who may get messages at once. A contact runs a flow \
            once at a time: if it runs already, the answer has the status already_running and the id of that \
            session, and nothing changes. With an idempotency_key, a call that is repeated starts nothing again \
            and gets the first one's answer.",
        arguments: schemas::trigger_flow_arguments,
        answer: schemas::trigger_flow_answer,
    },
    Entry {
        tool: Tool::ListSessions,
        name: "list_sessions",
        title: "List sessions",
        scope: Scope::Api,
        effect: Effect::Reads,
        description: "\
            Lists sessions, newest first: where each stands, what it waits for and until when, and how it ended.",
        arguments: schemas::list_sessions_arguments,
        answer: schemas::list_sessions_answer,
    },
    Entry {
        tool: Tool::GetSession,
        name: "get_session",
        title: "Get a session with its trace",
        scope: Scope::Api,
        effect: Effect::Reads,
        description: "\
            Gives a session with its context and its trace: for each turn what caused it, the path through the \
            nodes and why each exit was taken, the messages with how far they got, changes, and warnings. Says \
            why a conversation went as it did, or where it is stuck. Without the scope `admin`, the addresses \
            that http_request nodes called are shown as \"***\".",
        arguments: schemas::get_session_arguments,
        answer: schemas::get_session_answer,
    },
    Entry {
        tool: Tool::SearchContacts,
        name: "search_contacts",
        title: "Search contacts",
        scope: Scope::Api,
        effect: Effect::Reads,
        description: "\
            Finds at most 50 contacts that fit all that is given, who was last in touch first; without anything, \
            those who were last in touch.",
        arguments: schemas::search_contacts_arguments,
        answer: schemas::search_contacts_answer,
    },
    Entry {
        tool: Tool::GetContact,
        name: "get_contact",
        title: "Get a contact",
        scope: Scope::Api,
        effect: Effect::Reads,
        description: "\
            Gives what is known of one contact: name, tags, metadata, consent, and when the last message was. \
            Several contacts may have the same email address; then it is one of them.",
        arguments: schemas::get_contact_arguments,
        answer: schemas::get_contact_answer,
    },
    Entry {
        tool: Tool::SendMessage,
        name: "send_message",
        title: "Send a message to a contact",
        scope: Scope::Api,
        effect: Effect::Writes,
        description: "\
            Writes to one contact outside any flow: a text, or a template. WhatsApp takes free text only within \
            24 hours of the contact's last message; outside them send a template. The status tells how far it \
            got: sent, simulated (no channel is configured), queued or unknown. With an idempotency_key, a call \
            that is repeated sends nothing again and tells how far the first one's message got by then.",
        arguments: schemas::send_message_arguments,
        answer: schemas::send_message_answer,
    },
];

impl Tool {
    /// Every tool, in the order in which it is listed.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        TOOLS.iter().map(|entry| entry.tool)
    }

    /// The tool of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::all().find(|tool| tool.name() == name)
    }

    /// Its name in the protocol.
    pub(super) fn name(self) -> &'static str {
        self.entry().name
    }

    /// What a token must have to see it and call it.
    pub(super) fn scope(self) -> Scope {
        self.entry().scope
    }

    /// The tool's full description for an assistant.
    pub(super) fn describe(self) -> model::Tool {
        let entry = self.entry();
        let tool = model::Tool::new(entry.name, entry.description, object(self.arguments()))
            .with_title(entry.title)
            .with_annotations(entry.effect.annotations());
        tool.with_raw_output_schema(object((entry.answer)()))
    }

    /// The schema of its arguments.
    pub(super) fn arguments(self) -> Value {
        (self.entry().arguments)()
    }

    /// Whether a call may change what people receive.
    pub(super) fn reaches_people(self) -> bool {
        matches!(self.entry().effect, Effect::Replaces | Effect::Writes)
    }

    fn entry(self) -> &'static Entry {
        &TOOLS[self as usize]
    }
}

impl Effect {
    fn annotations(self) -> ToolAnnotations {
        let (reads, destroys, is_idempotent, is_open) = match self {
            Self::Reads => (true, false, true, false),
            Self::Adds => (false, false, false, false),
            Self::Replaces => (false, true, false, false),
            Self::Writes => (false, false, false, true),
        };
        ToolAnnotations::new().read_only(reads).destructive(destroys).idempotent(is_idempotent).open_world(is_open)
    }
}

fn object(value: Value) -> Arc<Map<String, Value>> {
    Arc::new(if let Value::Object(fields) = value { fields } else { Map::new() })
}

#[cfg(test)]
mod tests {
    use super::schemas::document;
    use super::*;

    #[test]
    fn every_tool_is_found_by_its_name_and_says_what_it_takes() {
        for tool in Tool::all() {
            assert_eq!(tool.entry().tool, tool, "the table is in the enum's order");
            assert_eq!(Tool::named(tool.name()), Some(tool));
            let told = tool.describe();
            let properties = told.input_schema["properties"].as_object().unwrap();
            for required in told.input_schema["required"].as_array().unwrap() {
                assert!(properties.contains_key(required.as_str().unwrap()), "{tool:?}");
            }
            assert!(told.output_schema.unwrap()["required"].as_array().is_some_and(|all| !all.is_empty()), "{tool:?}");
        }
        assert_eq!(Tool::named("drop_database"), None);
    }

    #[test]
    fn only_what_reads_says_so() {
        for tool in Tool::all() {
            let hints = tool.describe().annotations.unwrap();
            let reads = ["list_", "get_", "search_", "validate_"].iter().any(|verb| tool.name().starts_with(verb));
            assert_eq!(hints.read_only_hint, Some(reads), "{tool:?}");
        }
    }

    #[test]
    fn the_document_is_described_with_every_type_of_node() {
        for name in crate::domain::NODE_TYPES {
            assert!(document().contains(&format!("{name} {{")), "{name}");
        }
    }
}
