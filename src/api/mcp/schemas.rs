//! The JSON schemas of the tools: what each takes, and what it answers as far as an assistant needs it.

use serde_json::{Value, json};

use crate::domain::NODE_SAMPLES;
use crate::runtime::publishing::TO_ACCEPT;

/// How a flow document looks, as short as an assistant can work with. The guide has all of it.
pub(super) fn document() -> String {
    let nodes = NODE_SAMPLES.map(|sample| format!("{} {}", sample.type_name, sample.brief)).join("; ");
    format!("{FRAME}\nNodes and their exits: {nodes}.\n{TEXTS}")
}

/// What a document has around its nodes.
const FRAME: &str = "\
A flow document: {\"schema_version\": 1, \"name\": …, \"entry_node\": id of the first node, \"nodes\": [{\"id\", \
\"type\", …, \"exits\": {exit: node id}}], \"settings\"?: {\"session_ttl_minutes\": 30, \"keywords\": []}, \
\"inputs\"?: [{\"name\", \"type\", \"required\"}]}. Unknown keys are errors. A missing exit ends the session.";

/// What its texts may read, and where the rest is told.
const TEXTS: &str = "\
Texts are templates: {{context.*}}, {{contact.name|phone|email|tags|metadata.*}}, {{input.text|referral.*}}, with \
|default('…'). On WhatsApp a first message needs a template beside its text: \"template\": {\"name\", \
\"variables\": {\"1\": …}}. The resource qyvo://guide/flow-document has every field and an example.";

pub(super) fn list_flows_arguments() -> Value {
    arguments(
        json!({
            "status": {"type": "string", "enum": ["draft", "published"],
                       "description": "Only flows that were never published or are withdrawn, or only those that are."},
            "kind": {"type": "string", "enum": ["flow", "sequence"]},
            "limit": limit(),
            "cursor": cursor(),
        }),
        &[],
    )
}

pub(super) fn list_flows_answer() -> Value {
    list(flow())
}

pub(super) fn get_flow_arguments() -> Value {
    arguments(json!({"id": uuid("The flow's id.")}), &["id"])
}

pub(super) fn get_flow_answer() -> Value {
    with(flow(), json!({"document": {"type": "object"}, "problems": problems()}))
}

pub(super) fn create_flow_arguments() -> Value {
    arguments(
        json!({
            "name": {"type": "string", "maxLength": 255,
                     "description": "The flow's name; it replaces the one in the document."},
            "document": {"type": "object", "description": document()},
            "kind": {"type": "string", "enum": ["flow", "sequence"],
                     "description": "Only without a document, where the flow begins with one sentence."},
        }),
        &[],
    )
}

pub(super) fn create_flow_answer() -> Value {
    with(flow(), json!({"problems": problems()}))
}

pub(super) fn validate_flow_arguments() -> Value {
    arguments(json!({"document": {"type": "object", "description": document()}}), &["document"])
}

pub(super) fn validate_flow_answer() -> Value {
    with(json!({"is_publishable": {"type": "boolean"}}), json!({"problems": problems()}))
}

pub(super) fn publish_flow_arguments() -> Value {
    arguments(
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
    )
}

pub(super) fn publish_flow_answer() -> Value {
    with(
        json!({
            "id": text(),
            "name": text(),
            "version": {"type": "integer"},
            "published_at": text(),
            "unchanged": {"type": "boolean", "description": "Whether it was live already: no version was made."},
        }),
        json!({"problems": problems()}),
    )
}

pub(super) fn trigger_flow_arguments() -> Value {
    arguments(
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
    )
}

pub(super) fn trigger_flow_answer() -> Value {
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

pub(super) fn list_sessions_arguments() -> Value {
    arguments(
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
    )
}

pub(super) fn list_sessions_answer() -> Value {
    list(session())
}

pub(super) fn get_session_arguments() -> Value {
    arguments(
        json!({
            "id": uuid("The session's id."),
            "limit": limit(),
            "cursor": {"type": "string", "description": "The next_cursor of the answer before: later turns."},
        }),
        &["id"],
    )
}

pub(super) fn get_session_answer() -> Value {
    with(
        session(),
        json!({
            "context": {"type": "object"},
            "turns": {"type": "array", "items": {"type": "object"}},
            "next_cursor": {"type": ["string", "null"]},
        }),
    )
}

pub(super) fn search_contacts_arguments() -> Value {
    arguments(
        json!({
            "query": {"type": "string", "description": "Part of a name, a phone number or an email address."},
            "tag": {"type": "string", "description": "A tag that they have."},
            "email": {"type": "string", "description": "Their email address."},
        }),
        &[],
    )
}

pub(super) fn search_contacts_answer() -> Value {
    with(json!({"data": {"type": "array", "items": with(contact(), json!({}))}}), json!({}))
}

pub(super) fn get_contact_arguments() -> Value {
    arguments(
        json!({
            "contact_id": uuid("The contact's id; this, phone or email."),
            "phone": {"type": "string", "description": "E.164, such as +14155550123."},
            "email": {"type": "string", "description": "Counts only without the other two."},
        }),
        &[],
    )
}

pub(super) fn get_contact_answer() -> Value {
    with(
        contact(),
        json!({
            "metadata": {"type": "object"},
            "opted_out_at": {"type": ["string", "null"], "description": "Since then flows do not reach them."},
        }),
    )
}

pub(super) fn send_message_arguments() -> Value {
    arguments(
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
    )
}

pub(super) fn send_message_answer() -> Value {
    with(
        json!({"id": uuid("The message's id."), "contact_id": text()}),
        json!({
            "status": {"type": "string", "enum": ["sent", "simulated", "queued", "unknown"]},
            "whatsapp_message_id": {"type": ["string", "null"]},
        }),
    )
}

fn flow() -> Value {
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
}

fn session() -> Value {
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
}

fn contact() -> Value {
    json!({
        "id": uuid("The contact's id."),
        "phone": {"type": ["string", "null"]},
        "name": {"type": ["string", "null"]},
        "email": {"type": ["string", "null"]},
        "tags": {"type": "array", "items": text()},
        "last_message_at": {"type": ["string", "null"]},
    })
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
