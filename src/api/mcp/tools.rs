//! The catalogue of tools: what each is called, who may call it, and what an assistant is told of it.

use std::sync::Arc;

use rmcp::model::{self, ToolAnnotations};
use serde_json::{Map, Value, json};

use crate::runtime::publishing::TO_ACCEPT;
use crate::store::tokens::Scope;

/// How a flow document looks, as short as an assistant can work with. The guide has all of it.
const DOCUMENT: &str = "\
A flow document: {\"schema_version\": 1, \"name\": …, \"entry_node\": id of the first node, \"nodes\": [{\"id\", \
\"type\", …, \"exits\": {exit: node id}}], \"settings\"?: {\"session_ttl_minutes\": 30, \"keywords\": []}, \
\"inputs\"?: [{\"name\", \"type\", \"required\"}]}. Unknown keys are errors. A missing exit ends the session.
Nodes and their exits: send_message {text} (next, delivery_failed); ask {text, expects: \
any|text|number|date|time|email|phone|media|location, save_as, timeout_seconds} (reply, no_match, timeout, \
delivery_failed); menu {text, options: [{id, title}] 1 to 10, timeout_seconds} (each option's id, no_match, timeout, \
delivery_failed); condition {cases: [{left, operator, right, exit}]} (those exits, default); random_split {branches: \
[{id, weight}]} (branch ids); set_variable {assignments: [{name, value}]} (next); update_contact {name, add_tags, …} \
(next); http_request {method, url, headers, body, save_as} (success, failure); delay {seconds} (next); wait_for_event \
{event, timeout_seconds} (event, timeout); run_flow {flow_id} (completed, expired, failed); handoff {note} (resumed, \
timeout); end {outcome, text}.
Texts are templates: {{context.*}}, {{contact.name|phone|email|tags|metadata.*}}, {{input.text|referral.*}}, with |default('…'). \
On WhatsApp a first message needs a template beside its text: \"template\": {\"name\", \"variables\": {\"1\": …}}. The \
resource qyvo://guide/flow-document has every field and an example.";

/// One tool.
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
    /// A flow is started for somebody.
    TriggerFlow,
    /// Which conversations there are.
    ListSessions,
    /// One conversation with its trace.
    GetSession,
    /// Who fits some words.
    SearchContacts,
    /// One contact.
    GetContact,
    /// Something is said to somebody outside any flow.
    SendMessage,
}

/// What a tool may do to the world.
#[derive(Clone, Copy)]
enum Effect {
    /// Nothing.
    Reads,
    /// It adds something.
    Adds,
    /// It replaces or ends something.
    Replaces,
    /// It writes to people. What they are in ends only where the caller asks for it.
    Writes,
}

impl Tool {
    /// Every tool, in the order in which it is listed.
    pub(super) const ALL: [Self; 11] = [
        Self::ListFlows,
        Self::GetFlow,
        Self::CreateFlow,
        Self::ValidateFlow,
        Self::PublishFlow,
        Self::TriggerFlow,
        Self::ListSessions,
        Self::GetSession,
        Self::SearchContacts,
        Self::GetContact,
        Self::SendMessage,
    ];

    /// The tool of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// Its name in the protocol.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ListFlows => "list_flows",
            Self::GetFlow => "get_flow",
            Self::CreateFlow => "create_flow",
            Self::ValidateFlow => "validate_flow",
            Self::PublishFlow => "publish_flow",
            Self::TriggerFlow => "trigger_flow",
            Self::ListSessions => "list_sessions",
            Self::GetSession => "get_session",
            Self::SearchContacts => "search_contacts",
            Self::GetContact => "get_contact",
            Self::SendMessage => "send_message",
        }
    }

    /// What a token must have to see it and call it.
    pub(super) fn scope(self) -> Scope {
        match self {
            Self::TriggerFlow => Scope::Trigger,
            Self::PublishFlow => Scope::Admin,
            _ => Scope::Api,
        }
    }

    /// All that an assistant is told of it.
    pub(super) fn describe(self) -> model::Tool {
        let tool = model::Tool::new(self.name(), self.description(), object(self.arguments()))
            .with_title(self.title())
            .with_annotations(self.effect().annotations());
        tool.with_raw_output_schema(object(self.answer()))
    }

    fn title(self) -> &'static str {
        match self {
            Self::ListFlows => "List flows",
            Self::GetFlow => "Get a flow",
            Self::CreateFlow => "Create a draft of a flow",
            Self::ValidateFlow => "Check a flow document",
            Self::PublishFlow => "Publish a flow",
            Self::TriggerFlow => "Start a flow for a contact",
            Self::ListSessions => "List sessions",
            Self::GetSession => "Get a session with its trace",
            Self::SearchContacts => "Search contacts",
            Self::GetContact => "Get a contact",
            Self::SendMessage => "Send a message to a contact",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::ListFlows => {
                "Lists flows by name, each with its id, status, revision and how many sessions it has had. Documents \
                 are left out: get_flow has them."
            }
            Self::GetFlow => {
                "Gives a flow with the document of its draft and the problems of that document. Without the scope \
                 `admin`, the url, headers and body of http_request nodes are shown as \"***\"."
            }
            Self::CreateFlow => {
                "Creates a flow as a draft, which reaches nobody until it is published. Check the document with \
                 validate_flow first: a draft with errors is kept, but cannot be published. The answer has the new \
                 flow's id and revision, and the problems of the document."
            }
            Self::ValidateFlow => {
                "Tells what is wrong with a flow document and saves nothing. Each problem has a severity (an error \
                 forbids publishing, a warning does not), a text that says what to do, and the node and field where \
                 it is."
            }
            Self::PublishFlow => {
                "Makes a flow's draft its next version, which new sessions run from then on; running ones stay on \
                 theirs. Refused, with the problems, while the draft has errors or fails its test cases."
            }
            Self::TriggerFlow => {
                "Starts a published flow or sequence for one contact, who may get messages at once. A contact runs a flow once \
                 at a time: if it runs already, the answer has the status already_running and the id of that \
                 session, and nothing changes. With an idempotency_key, a call that is repeated starts nothing again \
                 and gets the first one's answer."
            }
            Self::ListSessions => {
                "Lists sessions, newest first: where each stands, what it waits for and until when, and how it ended."
            }
            Self::GetSession => {
                "Gives a session with its context and its trace: for each turn what caused it, the path through the \
                 nodes and why each exit was taken, the messages with how far they got, changes, and warnings. Says \
                 why a conversation went as it did, or where it is stuck. Without the scope `admin`, the addresses \
                 that http_request nodes called are shown as \"***\"."
            }
            Self::SearchContacts => {
                "Finds at most 50 contacts that fit all that is given, who was last in touch first; without anything, \
                 those who were last in touch."
            }
            Self::GetContact => {
                "Gives what is known of one contact: name, tags, metadata, consent, and when the last message was. \
                 Several contacts may have the same email address; then it is one of them."
            }
            Self::SendMessage => {
                "Writes to one contact outside any flow: a text, or a template. WhatsApp takes free text only within \
                 24 hours of the contact's last message; outside them send a template. The status tells how far it \
                 got: sent, simulated (no channel is configured), queued or unknown. With an idempotency_key, a call \
                 that is repeated sends nothing again and tells how far the first one's message got by then."
            }
        }
    }

    /// Whether a call may change what people are told.
    pub(super) fn reaches_people(self) -> bool {
        matches!(self.effect(), Effect::Replaces | Effect::Writes)
    }

    fn effect(self) -> Effect {
        match self {
            Self::ListFlows
            | Self::GetFlow
            | Self::ValidateFlow
            | Self::ListSessions
            | Self::GetSession
            | Self::SearchContacts
            | Self::GetContact => Effect::Reads,
            Self::CreateFlow => Effect::Adds,
            Self::PublishFlow => Effect::Replaces,
            Self::TriggerFlow | Self::SendMessage => Effect::Writes,
        }
    }

    /// The schema of its arguments.
    pub(super) fn arguments(self) -> Value {
        match self {
            Self::ListFlows => arguments(
                json!({
                    "status": {"type": "string", "enum": ["draft", "published"],
                               "description": "Only flows that were never published or are withdrawn, or only those that are."},
                    "kind": {"type": "string", "enum": ["flow", "sequence"]},
                    "limit": limit(),
                    "cursor": cursor(),
                }),
                &[],
            ),
            Self::GetFlow => arguments(json!({"id": uuid("The flow's id.")}), &["id"]),
            Self::CreateFlow => arguments(
                json!({
                    "name": {"type": "string", "maxLength": 255,
                             "description": "The flow's name; it replaces the one in the document."},
                    "document": {"type": "object", "description": DOCUMENT},
                    "kind": {"type": "string", "enum": ["flow", "sequence"],
                             "description": "Only without a document, where the flow begins with one sentence."},
                }),
                &[],
            ),
            Self::ValidateFlow => {
                arguments(json!({"document": {"type": "object", "description": DOCUMENT}}), &["document"])
            }
            Self::PublishFlow => arguments(
                json!({
                    "id": uuid("The flow's id."),
                    "revision": {"type": "integer", "minimum": 0,
                                 "description": "The revision of the draft that is meant, as get_flow gave it: \
                                                 nothing is published that somebody has changed since."},
                    "note": {"type": "string", "maxLength": 1000, "description": "What this version changes."},
                    "accept": {
                        "type": "array",
                        "items": {"type": "string", "enum": TO_ACCEPT.iter().map(|check| check.id()).collect::<Vec<_>>()},
                        "description": "Warnings that otherwise keep the flow from being published, as the refusal \
                                        names them. Ask the person first: a node that no way leads to is a mistake \
                                        more often than not.",
                    },
                }),
                &["id", "revision"],
            ),
            Self::TriggerFlow => arguments(
                json!({
                    "flow_id": uuid("A published flow or sequence."),
                    "contact_id": uuid("An existing contact; this or phone."),
                    "phone": phone(),
                    "context": {"type": "object",
                                "description": "What the flow reads as {{context.*}}; at most 64 KiB."},
                    "on_running": {"type": "string", "enum": ["return", "restart", "fail"], "default": "return",
                                   "description": "If the contact is in this flow already: tell so, end that session \
                                                   and start anew, or refuse."},
                    "idempotency_key": key(),
                }),
                &["flow_id"],
            ),
            Self::ListSessions => arguments(
                json!({
                    "flow_id": uuid("Only sessions of this flow."),
                    "contact_id": uuid("Only sessions of this contact."),
                    "status": {"type": "string", "enum": ["running", "completed", "expired", "failed", "cancelled"]},
                    "waiting_for": {"type": "string", "enum": ["handoff"],
                                    "description": "Only sessions that wait for a person."},
                    "limit": limit(),
                    "cursor": cursor(),
                }),
                &[],
            ),
            Self::GetSession => arguments(
                json!({
                    "id": uuid("The session's id."),
                    "limit": limit(),
                    "cursor": {"type": "string", "description": "The next_cursor of the answer before: later turns."},
                }),
                &["id"],
            ),
            Self::SearchContacts => arguments(
                json!({
                    "query": {"type": "string", "description": "Part of a name, a phone number or an email address."},
                    "tag": {"type": "string", "description": "A tag that they have."},
                    "email": {"type": "string", "description": "Their email address."},
                }),
                &[],
            ),
            Self::GetContact => arguments(
                json!({
                    "contact_id": uuid("The contact's id; this, phone or email."),
                    "phone": {"type": "string", "description": "E.164, such as +14155550123."},
                    "email": {"type": "string", "description": "Counts only without the other two."},
                }),
                &[],
            ),
            Self::SendMessage => arguments(
                json!({
                    "contact_id": uuid("An existing contact; this or phone."),
                    "phone": phone(),
                    "type": {"type": "string", "enum": ["text", "template"],
                             "description": "A template if template_id is given, else a text."},
                    "text": {"type": "string", "maxLength": 4096, "description": "What to say, for a text."},
                    "template_id": uuid("An approved template."),
                    "language": {"type": "string",
                                 "description": "Of the template, such as `en`; another approved one goes out \
                                                 where there is none in it."},
                    "variables": {"type": "object", "additionalProperties": {"type": "string"},
                                  "description": "What stands for the template's placeholders: {\"1\": \"Anna\"}."},
                    "idempotency_key": key(),
                }),
                &[],
            ),
        }
    }

    /// The schema of its answer, as far as an assistant needs it.
    fn answer(self) -> Value {
        let flow = || {
            json!({
                "id": uuid("The flow's id."),
                "name": text(),
                "kind": text(),
                "status": {"type": "string", "enum": ["draft", "published"]},
                "revision": {"type": "integer"},
                "published_version": {"type": ["integer", "null"]},
                "has_changes": {"type": "boolean", "description": "Whether the draft differs from what is published."},
                "sessions": {"type": "object", "description": "How many there are, by status."},
            })
        };
        let session = || {
            json!({
                "id": uuid("The session's id."),
                "flow_id": text(),
                "flow_name": text(),
                "contact_id": text(),
                "status": text(),
                "reason": {"type": ["string", "null"], "description": "Why it failed or was cancelled."},
                "outcome": {"type": ["string", "null"]},
                "current_node_id": {"type": ["string", "null"]},
                "waiting_for": {"type": ["string", "null"]},
                "wake_at": {"type": ["string", "null"], "description": "When it goes on without an answer."},
                "expires_at": {"type": ["string", "null"]},
            })
        };
        let contact = || {
            json!({
                "id": uuid("The contact's id."),
                "phone": {"type": ["string", "null"]},
                "name": {"type": ["string", "null"]},
                "email": {"type": ["string", "null"]},
                "tags": {"type": "array", "items": text()},
                "last_message_at": {"type": ["string", "null"]},
            })
        };
        match self {
            Self::ListFlows => list(flow()),
            Self::GetFlow => with(flow(), json!({"document": {"type": "object"}, "problems": problems()})),
            Self::CreateFlow => with(flow(), json!({"problems": problems()})),
            Self::ValidateFlow => with(json!({"is_publishable": {"type": "boolean"}}), json!({"problems": problems()})),
            Self::PublishFlow => with(
                json!({
                    "id": text(),
                    "name": text(),
                    "version": {"type": "integer"},
                    "published_at": text(),
                    "unchanged": {"type": "boolean", "description": "Whether it was live already: no version was made."},
                }),
                json!({"problems": problems()}),
            ),
            Self::TriggerFlow => {
                let mut started = with(
                    json!({
                        "id": uuid("The session's id."),
                        "status": {"type": "string", "enum": ["started", "already_running"]},
                        "contact_id": text(),
                    }),
                    json!({}),
                );
                // One pair of them, by what was started.
                for key in ["flow_id", "flow_name", "sequence_id", "sequence_name"] {
                    started["properties"][key] = text();
                }
                started
            }
            Self::ListSessions => list(session()),
            Self::GetSession => with(
                session(),
                json!({
                    "context": {"type": "object"},
                    "turns": {"type": "array", "items": {"type": "object"}},
                    "next_cursor": {"type": ["string", "null"]},
                }),
            ),
            Self::SearchContacts => {
                with(json!({"data": {"type": "array", "items": with(contact(), json!({}))}}), json!({}))
            }
            Self::GetContact => with(
                contact(),
                json!({
                    "metadata": {"type": "object"},
                    "opted_out_at": {"type": ["string", "null"], "description": "Since then flows do not reach them."},
                }),
            ),
            Self::SendMessage => with(
                json!({"id": uuid("The message's id."), "contact_id": text()}),
                json!({
                    "status": {"type": "string", "enum": ["sent", "simulated", "queued", "unknown"]},
                    "whatsapp_message_id": {"type": ["string", "null"]},
                }),
            ),
        }
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

/// Arguments by name. Others are not forbidden: clients add some of their own, and a strict one would stop itself.
fn arguments(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

/// An object that has all of these properties, and may have more.
fn with(properties: Value, more: Value) -> Value {
    let (Value::Object(mut properties), Value::Object(more)) = (properties, more) else { return Value::Null };
    properties.extend(more);
    let required: Vec<&String> = properties.keys().collect();
    json!({"type": "object", "required": required, "properties": properties})
}

/// A page of a list.
fn list(properties: Value) -> Value {
    let row = with(properties, json!({}));
    with(json!({"data": {"type": "array", "items": row}}), json!({"next_cursor": {"type": ["string", "null"]}}))
}

fn problems() -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "id": {"type": "string", "description": "Stable name of the check."},
                "severity": {"type": "string", "enum": ["error", "warning"]},
                "node": {"type": ["string", "null"]},
                "field": {"type": ["string", "null"]},
                "text": text(),
            },
        },
    })
}

fn uuid(description: &str) -> Value {
    json!({"type": "string", "format": "uuid", "description": description})
}

fn phone() -> Value {
    json!({"type": "string", "description": "E.164, such as +14155550123; the contact is created if nobody has it."})
}

fn key() -> Value {
    json!({
        "type": "string",
        "maxLength": 255,
        "description": "Any text of your own, new for each thing that you want done. Give the same one with the same \
                        arguments when you repeat a call whose answer was lost: for 24 hours it is done once.",
    })
}

fn text() -> Value {
    json!({"type": "string"})
}

fn limit() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": 200, "default": 50})
}

fn cursor() -> Value {
    json!({"type": "string", "description": "The next_cursor of the page before."})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_found_by_its_name_and_says_what_it_takes() {
        for tool in Tool::ALL {
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
        for tool in Tool::ALL {
            let hints = tool.describe().annotations.unwrap();
            let reads = ["list_", "get_", "search_", "validate_"].iter().any(|verb| tool.name().starts_with(verb));
            assert_eq!(hints.read_only_hint, Some(reads), "{tool:?}");
        }
    }

    #[test]
    fn the_document_is_described_with_every_type_of_node() {
        for name in crate::domain::NODE_TYPES {
            assert!(DOCUMENT.contains(&format!("{name} {{")), "{name}");
        }
    }
}
